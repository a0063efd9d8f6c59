// Writes to the schema registry on a node that is not the one that writes: they are sent on to that one, and its answer is
// the answer. What was sent on once goes no further (X-Forward), so that two nodes that are wrong about each other do not
// pass it to and fro. When it was done this node reads on before it answers: who asks here next finds it, as far as the
// engine shows it to this node by then.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import {
  REGISTRY_BODY_BYTES_MAX,
  REGISTRY_FORWARD_MS,
  REGISTRY_FORWARDED_BYTES_MAX,
  REGISTRY_FORWARDS_MAX,
} from '../kernel/limits.ts'
import { refusedBy, registryFailure } from '../registry/registry-failure.ts'
import type { StoredSchema } from '../registry/schema-entity.ts'
import type { SchemaRequest } from '../registry/schema-finder.ts'
import type { Registrant, SchemaRegistry, WriterSeat } from '../registry/schema-registry.ts'
import type { WriterPlace } from '../registry/schema-writer.ts'
import { notTheWriter } from '../registry/schema-writer.ts'
import type { RequestBodies } from './request-body.ts'

const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json'

type Handler = (request: FastifyRequest, reply: FastifyReply) => FastifyReply | Promise<FastifyReply>

interface SchemaForwarderParts {
  readonly registry: SchemaRegistry
  readonly bodies: RequestBodies
  readonly clock: Clock
}

interface Forwarded {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

interface ForwardedReply {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

export class SchemaForwarder {
  readonly #parts: SchemaForwarderParts
  #count = 0

  constructor(parts: SchemaForwarderParts) {
    this.#parts = parts
  }

  /** A write's handler, for the node that writes. */
  forwarding(handler: Handler): Handler {
    return (request, reply) => {
      const { writer } = this.#parts.registry
      if (writer === undefined || writer.isHere) return handler(request, reply)
      return this.#counted(() => this.#forward(writer, request, reply)).then((answered) => {
        return answered ?? handler(request, reply)
      })
    }
  }

  /**
   * Registers schemas, wherever that is done; they are known here when they are given. As SchemaRegistry.registerAll, where
   * that is here; else one after the other. 50002, 50003.
   */
  async registerAll(all: readonly Registrant[], requestId: string): Promise<readonly StoredSchema[]> {
    const { registry } = this.#parts
    const { writer } = registry
    const place = writer === undefined ? 'here' : await this.#counted(() => writer.place())
    if (place === 'here') return (await registry.registerAll(all)).map(({ schema }) => schema)
    const registered: StoredSchema[] = []
    for (const { subject, request } of all) {
      const id = await this.#counted(() => this.#registerAt(place, subject, request, requestId))
      const schema = registry.findById(id, subject)
      if (schema === undefined) {
        throw new TailraceError('overloaded', 'a schema is registered, and this node has not read it yet; try again')
      }
      registered.push(schema)
    }
    return registered
  }

  async #registerAt(place: WriterUrl, subject: string, schema: SchemaRequest, requestId: string): Promise<number> {
    const { status, body } = await this.#send(place, {
      method: 'POST',
      path: `/subjects/${encodeURIComponent(subject)}/versions`,
      headers: { 'content-type': MEDIA_TYPE, 'x-request-id': requestId },
      body: Buffer.from(JSON.stringify(schema)),
    })
    const { id, error_code: errorCode, message } = jsonOf(body)
    if (status === 200 && typeof id === 'number') return id
    throw refusedBy(status, errorCode, message)
  }

  /** undefined: it is for here after all. */
  async #forward(writer: WriterSeat, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    const place = await writer.place()
    if (place === 'here') return undefined
    if (wasForwarded(request)) throw notTheWriter()
    const { headers, raw, method, url: path, id } = request
    const body = await this.#parts.bodies.read(raw, REGISTRY_BODY_BYTES_MAX)
    const release = this.#parts.bodies.hold(body.length)
    try {
      const { accept, 'content-type': type } = headers
      const given = await this.#send(place, {
        method,
        path,
        headers: { accept, 'content-type': type, 'x-request-id': id },
        body,
      })
      for (const name of PASSED_ON) {
        const value = given.headers.get(name)
        if (value !== null) reply.header(name, value)
      }
      reply.code(given.status)
      return given.status === NO_CONTENT ? reply.send() : reply.send(given.body)
    } finally {
      release()
    }
  }

  async #counted<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#count >= REGISTRY_FORWARDS_MAX) {
      throw new TailraceError('overloaded', `${this.#count} writes are on their way to the node that writes already`)
    }
    this.#count++
    try {
      return await work()
    } finally {
      this.#count--
    }
  }

  async #send({ url }: WriterUrl, forwarded: Forwarded): Promise<ForwardedReply> {
    const { clock, registry } = this.#parts
    const target = targetOf(url, forwarded.path)
    const over = new AbortController()
    const timer = clock.after(REGISTRY_FORWARD_MS, () => over.abort())
    try {
      const reply = await exchange(target, forwarded, over.signal)
      // what keeps it from being read is no failure of what was done
      if (reply.status < 300) await until(over.signal, registry.ready())
      return reply
    } catch (error) {
      throw over.signal.aborted
        ? registryFailure(50002, `the node that writes the registry, ${url}, did not answer in time`)
        : registryFailure(50003, `the node that writes the registry, ${url}, cannot be reached: ${reasonOf(error)}`)
    } finally {
      timer.cancel()
    }
  }
}

type WriterUrl = Exclude<WriterPlace, 'here'>

const NO_CONTENT = 204

const PASSED_ON = ['content-type', 'retry-after'] as const

function wasForwarded({ headers }: FastifyRequest): boolean {
  const { 'x-forward': value } = headers
  return typeof value === 'string' && value.trim().toLowerCase() === 'true'
}

function targetOf(url: string, path: string): URL {
  const target = new URL(url + path)
  const segmentsOf = (text: string) => (text.split('?', 1)[0] ?? '').split('/').length
  if (segmentsOf(target.pathname) === segmentsOf(path)) return target
  // a URL has no way to say it
  const own = 'a segment of dots alone cannot be sent on'
  throw registryFailure(400, `${own}: ask the node that writes the registry itself, ${url}`)
}

async function exchange(target: URL, forwarded: Forwarded, signal: AbortSignal): Promise<ForwardedReply> {
  const { method, body } = forwarded
  const given = Object.entries(forwarded.headers).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const response = await fetch(target, {
    method,
    headers: [...given, ['x-forward', 'true']],
    body: body.length === 0 ? null : new Uint8Array(body),
    redirect: 'manual',
    signal,
  })
  const { status, headers } = response
  return { status, headers, body: await wholeBody(response) }
}

async function wholeBody({ body }: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.length
    if (bytes > REGISTRY_FORWARDED_BYTES_MAX)
      throw new Error(`its answer has more than ${REGISTRY_FORWARDED_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Whether it was done or failed, or the time is over. */
async function until(signal: AbortSignal, done: Promise<void>): Promise<void> {
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  await Promise.race([aborted, done.catch(() => {})])
}

function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown }
  const reason = cause instanceof Error ? cause : error
  return reason instanceof Error ? reason.message : asTailraceError(error).message
}

function jsonOf(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(body.toString())
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
