// One HTTP call over the platform's fetch, whose connections are kept alive. An answer that is no success, and no answer,
// become a TailraceClientError; an abort stays what it is.

import { brokenOff, errorOfReply, unreachable } from './client-error.ts'
import { readAhead } from './read-ahead.ts'

export type Fetch = typeof fetch

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From the root, with its query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array> | undefined
  readonly signal?: AbortSignal | undefined
}

/** The whole body of a success. */
export async function callForBody(fetch: Fetch, baseUrl: string, call: Call): Promise<Uint8Array> {
  const link = linkedAbort(call.signal)
  try {
    const response = await open(fetch, baseUrl, call, link.signal)
    return new Uint8Array(await response.arrayBuffer())
  } catch (error) {
    throw foreign(error) && !link.signal.aborted ? brokenOff(baseUrl, error) : error
  } finally {
    link.unlink()
  }
}

/** The body of a success as it arrives; little more of it is fetched than is taken. */
export async function* callForChunks(fetch: Fetch, baseUrl: string, call: Call): AsyncGenerator<Uint8Array> {
  const link = linkedAbort(call.signal)
  try {
    const response = await open(fetch, baseUrl, call, link.signal)
    if (response.body !== null) yield* readAhead(response.body)
  } catch (error) {
    throw foreign(error) && !link.signal.aborted ? brokenOff(baseUrl, error) : error
  } finally {
    link.unlink()
  }
}

async function open(fetch: Fetch, baseUrl: string, call: Call, signal: AbortSignal): Promise<Response> {
  const { method, path, headers, body } = call
  let response: Response
  try {
    const streaming = body !== undefined && typeof body === 'object' && !(body instanceof Uint8Array)
    response = await fetch(baseUrl + path, {
      method,
      signal,
      redirect: 'manual',
      ...(headers && { headers }),
      ...(body !== undefined && { body }),
      ...(streaming && { duplex: 'half' }),
    } as RequestInit)
  } catch (error) {
    throw signal.aborted ? error : unreachable(baseUrl, error)
  }
  if (response.ok) return response
  throw errorOfReply(response.status, response.headers, await response.text().catch(() => ''))
}

/** Fetch's own failures are TypeErrors; anything else is ours, or an abort. */
function foreign(error: unknown): boolean {
  return error instanceof TypeError
}

/**
 * A signal of this call's own that follows the caller's: fetch lets go of a signal only when it is collected, so that
 * thousands of calls with one signal would pile up listeners on it.
 */
function linkedAbort(signal: AbortSignal | undefined): { signal: AbortSignal; unlink(): void } {
  const controller = new AbortController()
  if (signal === undefined) return { signal: controller.signal, unlink: () => {} }
  const abort = () => controller.abort(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  return { signal: controller.signal, unlink: () => signal.removeEventListener('abort', abort) }
}
