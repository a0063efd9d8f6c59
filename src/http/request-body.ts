// A1: the bytes of request bodies. Handlers get them raw, in one Buffer of their own (nothing else writes to it later),
// inflated when they came as gzip or zstd. Fastify's own body parsing is switched off: it would make an async resource
// for each request and know nothing of inflated sizes. Every body has a bound in bytes, on the wire and inflated, and a
// deadline; and all together have a bound.

import type { IncomingMessage } from 'node:http'
import type { Transform } from 'node:stream'
import { PassThrough } from 'node:stream'
import { promisify } from 'node:util'
import { createGunzip, createZstdDecompress, gunzip, zstdDecompress } from 'node:zlib'
import type { Clock, Timer } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { BODIES_GATHERED_BYTES_MAX } from '../kernel/limits.ts'

export type BodyDone = (failure: TailraceError | undefined, body: Buffer) => void

export interface BodyOptions {
  readonly bodyBytesMax: number
  /** 0: no limit. */
  readonly requestTimeoutMs: number
}

const NO_BYTES = Buffer.alloc(0)

export class RequestBodies {
  readonly #bytesMax: number
  readonly #deadlines: Deadlines
  /** Of all bodies that are not all there yet, beyond their first chunks; and what is held beside them. */
  readonly #together = { bytes: 0 }

  constructor(options: BodyOptions, clock: Clock) {
    this.#bytesMax = options.bodyBytesMax
    this.#deadlines = new Deadlines(options.requestTimeoutMs || Number.POSITIVE_INFINITY, clock)
  }

  /**
   * The body may have a lower bound of its own. Calls back once: with the whole body, or with unsupported_media_type (an unknown Content-Encoding),
   * request_too_large, request_timed_out, overloaded (too much of other bodies is held), invalid_request (bad gzip or zstd)
   * or request_cancelled (the client is gone).
   */
  collect(raw: IncomingMessage, done: BodyDone, ownBytesMax = this.#bytesMax): void {
    const bytesMax = Math.min(ownBytesMax, this.#bytesMax)
    const encoding = raw.headers['content-encoding']
    if (encoding === undefined || encoding === 'identity') this.#gather(raw, done, bytesMax)
    else this.#gatherInflated(raw, encoding, done, bytesMax)
  }

  /** The same as a promise. */
  read(raw: IncomingMessage, bytesMax = this.#bytesMax): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const done: BodyDone = (failure, body) => (failure === undefined ? resolve(body) : reject(failure))
      this.collect(raw, done, bytesMax)
    })
  }

  /** The whole body, not inflated whatever its Content-Encoding is; as collect for the rest. */
  readAsSent(raw: IncomingMessage): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#gather(raw, (failure, body) => (failure === undefined ? resolve(body) : reject(failure)), this.#bytesMax)
    })
  }

  /**
   * The body as it comes, inflated, of any length. Its errors are TailraceErrors. A silence of the client longer than the
   * timeout, while the reader waits for it, ends the stream; the reply can still be sent.
   */
  async *stream(raw: IncomingMessage): AsyncGenerator<Buffer> {
    const source = inflating(raw)
    // What comes out of `source` can end it; the request itself must live on until it is answered.
    const onGone = (): void => {
      if (!raw.complete) source.destroy(clientGone())
    }
    raw.pipe(source)
    raw.on('close', onGone)
    const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    let deadline: Deadline | undefined
    try {
      while (true) {
        deadline = this.#deadlines.add(() => source.destroy(tooSlow()))
        const next = await chunks.next()
        this.#deadlines.remove(deadline)
        if (next.done) return
        yield next.value
      }
    } catch (error) {
      throw error instanceof TailraceError ? error : badEncoding(String(raw.headers['content-encoding']), error)
    } finally {
      if (deadline !== undefined) this.#deadlines.remove(deadline)
      raw.off('close', onGone)
      raw.unpipe(source)
      source.destroy()
      if (!raw.complete) this.#letRunBy(raw)
    }
  }

  /** Counts what came by another way with the bodies, until the function it returns is called. overloaded: too much is held. */
  hold(bytes: number): () => void {
    const together = this.#together
    if (together.bytes > 0 && together.bytes + bytes > BODIES_GATHERED_BYTES_MAX) throw tooMany()
    together.bytes += bytes
    return () => {
      together.bytes -= bytes
    }
  }

  close(): void {
    this.#deadlines.close()
  }

  #gather(raw: IncomingMessage, done: BodyDone, bytesMax: number): void {
    const deadlines = this.#deadlines
    const letRunBy = () => this.#letRunBy(raw)
    const together = this.#together
    // Most bodies are one chunk: it is kept as it is, without a list. Node does not use a chunk's memory again.
    let first: Buffer | undefined
    let rest: Buffer[] | undefined
    let restBytes = 0
    let bytes = 0
    let pending = true
    const deadline = deadlines.add(() => finish(tooSlow()))
    if (Number(raw.headers['content-length']) > bytesMax) {
      finish(tooLarge(bytesMax))
      return
    }
    raw.on('data', onData)
    raw.on('end', onEnd)
    raw.on('close', onGone)
    raw.on('error', onGone)

    function onData(chunk: Buffer): void {
      bytes += chunk.length
      if (bytes > bytesMax) finish(tooLarge(bytesMax))
      else if (first === undefined) first = chunk
      else keepMore(first, chunk)
    }
    function keepMore(before: Buffer, chunk: Buffer): void {
      if (rest === undefined) rest = [before, chunk]
      else rest.push(chunk)
      restBytes += chunk.length
      together.bytes += chunk.length
      if (together.bytes > BODIES_GATHERED_BYTES_MAX && together.bytes > restBytes) finish(tooMany())
    }
    function onEnd(): void {
      finish(undefined)
    }
    function onGone(): void {
      // After the end too, for every request: an error, which records its stack, is made only where there is one.
      if (pending) finish(clientGone())
    }
    function finish(failure: TailraceError | undefined): void {
      if (!pending) return
      pending = false
      deadlines.remove(deadline)
      together.bytes -= restBytes
      if (failure !== undefined) {
        raw.off('data', onData)
        letRunBy()
        first = undefined
        rest = undefined
        done(failure, NO_BYTES)
      } else {
        done(undefined, rest === undefined ? (first ?? NO_BYTES) : Buffer.concat(rest, bytes))
      }
    }
  }

  #gatherInflated(raw: IncomingMessage, encoding: string, done: BodyDone, bytesMax: number): void {
    const inflate = INFLATE[encoding.trim().toLowerCase()]
    if (inflate === undefined) {
      done(unknownEncoding(encoding), NO_BYTES)
      return
    }
    this.#gather(
      raw,
      (failure, body) => {
        if (failure !== undefined) done(failure, NO_BYTES)
        else
          inflate.whole(body, { maxOutputLength: bytesMax }).then(
            (inflated) => done(undefined, inflated),
            (error) => done(inflateFailure(error, encoding, bytesMax), NO_BYTES),
          )
      },
      bytesMax,
    )
  }

  /** What still comes is thrown away, for a while, so that the client reads the answer instead of a reset. */
  #letRunBy(raw: IncomingMessage): void {
    const patience = this.#deadlines.add(() => raw.destroy())
    raw.once('close', () => this.#deadlines.remove(patience))
    raw.resume()
  }
}

function inflateFailure(error: unknown, encoding: string, bytesMax: number): TailraceError {
  return codeOf(error) === 'ERR_BUFFER_TOO_LARGE' ? tooLarge(bytesMax, 'inflated') : badEncoding(encoding, error)
}

const STREAM_BUFFER_BYTES = 256 * 1024

function inflating(raw: IncomingMessage): Transform {
  const encoding = raw.headers['content-encoding']
  if (encoding === undefined || encoding === 'identity') return new PassThrough({ highWaterMark: STREAM_BUFFER_BYTES })
  const inflate = INFLATE[encoding.trim().toLowerCase()]
  if (inflate === undefined) throw unknownEncoding(encoding)
  return inflate.stream()
}

const INFLATE: Readonly<Record<string, { whole: typeof inflateGzip; stream: typeof createGunzip } | undefined>> = {
  __proto__: null,
  gzip: { whole: inflateGzip, stream: createGunzip },
  'x-gzip': { whole: inflateGzip, stream: createGunzip },
  zstd: { whole: promisify(zstdDecompress), stream: createZstdDecompress as unknown as typeof createGunzip },
} as never

function inflateGzip(bytes: Buffer, options: { maxOutputLength: number }): Promise<Buffer> {
  return promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip)(bytes, options)
}

interface Deadline {
  readonly atMs: number
  readonly expired: () => void
}

/**
 * Bodies that are awaited, each with the same patience: the oldest stands first. One timer for all of them, set while
 * there are any; adding and removing is a Set's.
 */
class Deadlines {
  readonly #timeoutMs: number
  readonly #clock: Clock
  readonly #waiting = new Set<Deadline>()
  #timer: Timer | undefined
  #nowMs = 0

  constructor(timeoutMs: number, clock: Clock) {
    this.#timeoutMs = timeoutMs
    this.#clock = clock
  }

  add(expired: () => void): Deadline {
    if (this.#timer === undefined) this.#tick()
    // The time of the last tick is near enough, and costs no look at the clock.
    const deadline = { atMs: this.#nowMs + this.#timeoutMs + TICK_MS, expired }
    this.#waiting.add(deadline)
    return deadline
  }

  remove(deadline: Deadline): void {
    this.#waiting.delete(deadline)
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #tick(): void {
    this.#nowMs = this.#clock.monotonic()
    for (const deadline of this.#waiting) {
      if (deadline.atMs > this.#nowMs) break
      this.#waiting.delete(deadline)
      deadline.expired()
    }
    this.#timer = this.#clock.after(TICK_MS, () => {
      this.#timer = undefined
      if (this.#waiting.size > 0) this.#tick()
    })
  }
}

const TICK_MS = 500

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}

function tooLarge(bytesMax: number, how = 'sent'): TailraceError {
  const detail = `the request body is larger than ${bytesMax} bytes as ${how}`
  return new TailraceError('request_too_large', detail, { limit: bytesMax })
}

function tooMany(): TailraceError {
  const detail = `request bodies of more than ${BODIES_GATHERED_BYTES_MAX} bytes in all are on their way already`
  return new TailraceError('overloaded', detail, { limit_bytes: BODIES_GATHERED_BYTES_MAX })
}

function tooSlow(): TailraceError {
  return new TailraceError('request_timed_out', 'the request body did not arrive in time; nothing of it was used')
}

function clientGone(cause?: unknown): TailraceError {
  return new TailraceError('request_cancelled', 'the client hung up before the end of its body', {}, { cause })
}

function unknownEncoding(encoding: string): TailraceError {
  const detail = `Content-Encoding ${JSON.stringify(encoding.slice(0, 100))} is not understood; send gzip, zstd or none`
  return new TailraceError('unsupported_media_type', detail, { allowed: ['gzip', 'zstd', 'identity'] })
}

function badEncoding(encoding: string, cause: unknown): TailraceError {
  return new TailraceError('invalid_request', `the request body is no complete ${encoding}`, {}, { cause })
}
