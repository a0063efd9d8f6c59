// One WebSocket to the server, in its sub-protocol: frames as they come, commands and their answers, and the notice that
// it is lost: closed, or without a sign of life for two heartbeats. It is never opened again: tail.ts opens the next one.

import type { Clock, Timer } from '../kernel/clock.ts'
import { CLIENT_HELLO_MS_MAX } from '../kernel/limits.ts'
import { TailraceClientError } from './client-error.ts'
import type {
  AssignedFrame,
  DrainingFrame,
  EndFrame,
  ErrorFrame,
  GapFrame,
  HelloFrame,
  OkFrame,
  ProgressFrame,
  RevokedFrame,
} from './frames.ts'
import { splitArray, splitObject, textOf } from './raw-json.ts'
import { RawRecord } from './record-page.ts'

/** The platform's, or another one that is made and used like it. */
export type WebSocketClass = new (url: string, protocols: string[]) => WebSocket

/** Its records as they came, like those of a page. */
export interface RecordsFrame {
  readonly type: 'records'
  /** Empty where there is no place to go on from: in a work queue. */
  readonly cursor: string
  readonly records: readonly RawRecord[]
  /** What it costs of a credit: from the records on. */
  readonly byteCount: number
}

export type ServerFrame =
  | RecordsFrame
  | HelloFrame
  | OkFrame
  | ErrorFrame
  | ProgressFrame
  | GapFrame
  | EndFrame
  | AssignedFrame
  | RevokedFrame
  | DrainingFrame
  | { readonly type: 'pong' }

export interface LiveSocketOptions {
  /** The server's, as of every call: http://… */
  readonly url: string
  readonly webSocket: WebSocketClass
  readonly clock: Clock
  readonly onFrame: (frame: ServerFrame) => void
  /** Called once: nothing comes any more. `retryable` says whether to open another one. */
  readonly onLost: (failure: TailraceClientError) => void
}

const PROTOCOL = 'events.v1.json'
/** Of readyState. */
const OPEN = 1
const HEARTBEATS_MISSED_MAX = 2
/** Who has been busy or asleep for long has frames waiting: they come before the socket is called dead. */
const LAST_CHANCE_MS = 1_000

export class LiveSocket {
  readonly #options: LiveSocketOptions
  readonly #socket: WebSocket
  readonly #answers = new Map<number, PromiseWithResolvers<OkFrame>>()
  #nextId = 1
  #silenceMsMax = CLIENT_HELLO_MS_MAX
  #lastFrameAt: number
  #isLastChance = false
  #lifeTimer: Timer | undefined
  #isLost = false

  constructor(options: LiveSocketOptions) {
    const { url, webSocket: WebSocket, clock } = options
    this.#options = options
    this.#lastFrameAt = clock.monotonic()
    this.#socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/ws`, [PROTOCOL])
    this.#socket.onmessage = ({ data }) => this.#onMessage(data)
    this.#socket.onclose = ({ code, reason }) => this.#lose(failureOfClose(url, code, reason))
    this.#watch(this.#silenceMsMax)
  }

  /** What is not answered. Nothing happens once the socket is lost. */
  send(frame: object): void {
    if (!this.#isLost) this.#socket.send(JSON.stringify(frame))
  }

  /** What is answered: by ok, or by an error that it rejects with. */
  call(frame: object): Promise<OkFrame> {
    const id = this.#nextId++
    const answer = Promise.withResolvers<OkFrame>()
    if (this.#isLost || this.#socket.readyState !== OPEN) answer.reject(lostConnection(this.#options.url))
    else {
      this.#answers.set(id, answer)
      this.send({ ...frame, id })
    }
    return answer.promise
  }

  /** Nothing is told from here on. */
  close(): void {
    this.#end(lostConnection(this.#options.url))
    this.#socket.close(1000)
  }

  #onMessage(data: unknown): void {
    if (this.#isLost) return
    this.#lastFrameAt = this.#options.clock.monotonic()
    this.#isLastChance = false
    const frame = typeof data === 'string' ? parseFrame(data) : undefined
    if (frame === undefined) this.#lose(notAFrame(this.#options.url))
    else this.#onFrame(frame)
  }

  #onFrame(frame: ServerFrame): void {
    if (frame.type === 'hello') this.#silenceMsMax = frame.heartbeat_ms * HEARTBEATS_MISSED_MAX
    if ((frame.type === 'ok' || frame.type === 'error') && frame.id !== undefined) {
      const answer = this.#answers.get(frame.id)
      this.#answers.delete(frame.id)
      if (frame.type === 'ok') answer?.resolve(frame)
      else answer?.reject(errorOfFrame(frame))
    } else this.#options.onFrame(frame)
  }

  #watch(delayMs: number): void {
    this.#lifeTimer = this.#options.clock.after(delayMs, () => {
      const leftMs = this.#lastFrameAt + this.#silenceMsMax - this.#options.clock.monotonic()
      if (leftMs > 0) this.#watch(leftMs)
      else if (this.#isLastChance) this.#lose(silent(this.#options.url))
      else {
        this.#isLastChance = true
        this.#watch(LAST_CHANCE_MS)
      }
    })
  }

  #lose(failure: TailraceClientError): void {
    if (this.#isLost) return
    this.#end(failure)
    this.#socket.close()
    this.#options.onLost(failure)
  }

  #end(failure: TailraceClientError): void {
    this.#isLost = true
    this.#lifeTimer?.cancel()
    for (const answer of this.#answers.values()) answer.reject(failure)
    this.#answers.clear()
  }
}

/** undefined: it is none. What a server adds later passes as a frame of its own type. */
function parseFrame(text: string): ServerFrame | undefined {
  const bytes = new TextEncoder().encode(text)
  const members = splitObject(bytes)
  const type = members?.get('type')
  if (members === undefined || type === undefined) return undefined
  if (textOf(type) !== '"records"') return JSON.parse(text) as ServerFrame
  const array = members.get('records') ?? new Uint8Array(0)
  const records = splitArray(array)
  if (records === undefined) return undefined
  const cursor = members.get('cursor')
  const byteCount = bytes.length - array.byteOffset + RECORDS_HEAD.length
  return {
    type: 'records',
    cursor: cursor === undefined ? '' : (JSON.parse(textOf(cursor)) as string),
    records: records.map((json) => new RawRecord(json)),
    byteCount,
  }
}

/** Stands in front of them, and is the same for all subscriptions that get them. */
const RECORDS_HEAD = ',"records":'

export function errorOfFrame({ code, message, retryable, details }: ErrorFrame): TailraceClientError {
  return new TailraceClientError({
    status: 0,
    code,
    message,
    retryable,
    ...(details && { details }),
  })
}

/** What the server closes with: 44xx is the client's doing, and would be again. */
export const CLOSE_CODES: Readonly<Record<number, string>> = {
  4400: 'bad_request',
  4409: 'superseded',
  4413: 'limit',
  4500: 'internal',
  4501: 'draining',
  4502: 'slow_consumer',
  4503: 'heartbeat_timeout',
  4504: 'overloaded',
}

/** Of the standard ones: protocol error, binary, not UTF-8, against a policy, too large. */
const FINAL_CLOSE_CODES: ReadonlySet<number> = new Set([1002, 1003, 1007, 1008, 1009])

function failureOfClose(url: string, closeCode: number, reason: string): TailraceClientError {
  const isFinal = (closeCode >= 4400 && closeCode < 4500) || FINAL_CLOSE_CODES.has(closeCode)
  const code = CLOSE_CODES[closeCode] ?? 'broken_off'
  const why = [reason, code === 'broken_off' ? '' : code].filter((part) => part !== '').join(', ')
  return new TailraceClientError({
    status: 0,
    code,
    message: `the connection to ${url} was closed (${closeCode}${why === '' ? '' : `: ${why}`})`,
    retryable: !isFinal,
    details: { close_code: closeCode, reason },
  })
}

function silent(url: string): TailraceClientError {
  const message = `nothing came from ${url} for ${HEARTBEATS_MISSED_MAX} heartbeats`
  return new TailraceClientError({ status: 0, code: 'broken_off', message, retryable: true })
}

function lostConnection(url: string): TailraceClientError {
  const message = `the connection to ${url} is gone`
  return new TailraceClientError({ status: 0, code: 'broken_off', message, retryable: true })
}

function notAFrame(url: string): TailraceClientError {
  const message = `what came from ${url} is no frame of ${PROTOCOL}`
  return new TailraceClientError({ status: 0, code: 'unexpected_reply', message, retryable: false })
}
