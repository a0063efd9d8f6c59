// One event stream: what a tail gives, and the signs of life between, as long as the client is there and takes it. Its
// heart beats and its end come by the sweep over all live connections. States: before begin() all is held back, so that a
// refusal can still be a problem with a status; then it runs; then it says why it ends, and ends cleanly.
//
// What an EventSource does decides some of this: it comes again by itself, with the last id that it saw, after whatever end of
// a 200; any other status stops it for good.

import type { ServerResponse } from 'node:http'
import type { Clock } from '../../kernel/clock.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import { EVENT_PROGRESS_MS, LIVE_CONNECTION_PENDING_BYTES_MAX, TAIL_CHUNK_RECORDS_MAX } from '../../kernel/limits.ts'
import type { Tail, TailChunk, TailEnd, TailGap, TailProgress, TailReader } from '../../service/tail/tail.ts'
import type { LiveConnection, LiveConnections } from '../live-connections.ts'
import { LiveOutbox } from '../live-outbox.ts'
import { namedEvent } from './event-form.ts'
import { faultJson } from './json-page.ts'

export interface EventStreamOptions {
  readonly heartbeatMs: number
  /** How long it lasts, and what it says then. */
  readonly lastsMs: number
  readonly lastsBecause: 'max_ms' | 'rotation'
  /** When an EventSource comes again. */
  readonly retryMs: number
}

type EndReason = TailEnd | 'max_ms' | 'rotation' | 'draining' | 'error'

/** An id that begins so is of a stream that came to its `until`: there is nothing to come again for. */
export const ENDED_ID_PREFIX = 'end:'

const HEARTBEAT = Buffer.from(': hb\n\n')

export class EventStream implements LiveConnection, TailReader {
  readonly #options: EventStreamOptions
  readonly #clock: Clock
  readonly #live: LiveConnections
  readonly #response: ServerResponse
  readonly #outbox: LiveOutbox
  readonly #leave: () => void
  readonly #room = { records: TAIL_CHUNK_RECORDS_MAX, bytes: 0 }
  readonly #firstWord = Promise.withResolvers<'runs' | 'over'>()
  #tail: Tail | undefined
  #isOver = false
  #isBlocked = false
  readonly #endsAt: number
  #sentAt: number
  #progressAt: number
  /** Where it stands has no event with that id yet. */
  #hasMoved = false
  #wasCaughtUp = false

  /** overloaded: as many live connections as there may be. */
  constructor(response: ServerResponse, live: LiveConnections, clock: Clock, options: EventStreamOptions) {
    this.#options = options
    this.#clock = clock
    this.#live = live
    this.#response = response
    this.#outbox = new LiveOutbox(live, response, () => this.#wakeTail())
    this.#sentAt = clock.monotonic()
    this.#progressAt = this.#sentAt
    this.#endsAt = this.#sentAt + options.lastsMs
    this.#leave = live.add(this)
    this.#firstWord.promise.catch(() => {})
    response.once('close', () => this.close())
    // a write that meets a connection that has just gone: close says so
    response.on('error', () => {})
  }

  /** Whether its tail has come to its end before it had anything to tell. What keeps it from being read is thrown. */
  async isOverAtOnce(tail: Tail): Promise<boolean> {
    this.#tail = tail
    return (await this.#firstWord.promise) === 'over'
  }

  /** The head is written now. `tail` is undefined where a stream only says that the server is closing, behind `id`. */
  begin(head: Readonly<Record<string, string>>, tail: Tail | undefined, id: string | undefined): void {
    this.#tail = tail
    if (this.#isOver) tail?.close()
    this.#response.writeHead(200, head)
    const idLine = id === undefined ? '' : `id: ${id}\n`
    this.#response.write(`retry: ${this.#options.retryMs}\n${idLine}: connected\n\n`)
    this.#outbox.release()
  }

  room(): { readonly records: number; readonly bytes: number } {
    // all of a chunk or nothing: one that is read with less room is nobody else's
    const free = LIVE_CONNECTION_PENDING_BYTES_MAX - this.#outbox.waiting
    this.#isBlocked = this.#isOver || !this.#hasRoom()
    this.#room.bytes = this.#isBlocked ? 0 : free
    return this.#room
  }

  #hasRoom(): boolean {
    const { waiting } = this.#outbox
    return waiting === 0 || (waiting <= LIVE_CONNECTION_PENDING_BYTES_MAX / 2 && !this.#live.isFull)
  }

  #wakeTail(): void {
    if (!this.#isBlocked || !this.#hasRoom()) return
    this.#isBlocked = false
    this.#tail?.wake()
  }

  take(chunk: TailChunk): void {
    this.#hasMoved = false
    this.#push(chunk.body, () => chunk.taken())
  }

  /** Without an id: it is told again to who comes again before the record behind it. */
  gap({ topic, partition, from, to, reason }: TailGap): void {
    this.#push(namedEvent('gap', { topic, partition, from, to, reason }))
  }

  progress(progress: TailProgress): void {
    const hasNews = !progress.caughtUp || !this.#wasCaughtUp
    this.#wasCaughtUp = progress.caughtUp
    this.#hasMoved = true
    if (hasNews) this.#tellProgress(progress)
  }

  #tellProgress(progress: TailProgress): void {
    const { cursor, caughtUp: caught_up, lag, scanned, matched, filterErrors: filter_errors } = progress
    this.#hasMoved = false
    this.#progressAt = this.#clock.monotonic()
    this.#push(namedEvent('progress', { caught_up, lag, scanned, matched, filter_errors }, cursor))
  }

  fault({ topic, partition, error }: { topic: string; partition: number; error: TailraceError }): void {
    this.#tellProblem(error, { topic, partition })
  }

  #tellProblem(error: TailraceError, place: object): void {
    const { code, detail: message, retryable, details } = faultJson(error)
    this.#push(namedEvent('problem', { code, message, retryable, details: { ...place, ...details } }))
  }

  end(reason: TailEnd): void {
    this.#firstWord.resolve('over')
    this.#finish(reason)
  }

  fail(error: TailraceError): void {
    this.#firstWord.reject(error)
    if (this.#isOver) return
    this.#tellProblem(error, {})
    this.#finish('error')
  }

  sweep(now: number): void {
    if (this.#outbox.isStalled(now)) {
      // a reply that waits behind another one on its connection has no socket of its own yet
      this.#response.req.socket.destroy()
      return
    }
    if (this.#isOver) return
    this.#firstWord.resolve('runs')
    if (now >= this.#endsAt) this.#finish(this.#options.lastsBecause)
    else this.#giveSignOfLife(now)
  }

  #giveSignOfLife(now: number): void {
    const tail = this.#tail
    if (tail === undefined) return
    const isSilent = this.#outbox.waiting === 0 && now - this.#sentAt >= this.#options.heartbeatMs
    if (now - this.#progressAt >= EVENT_PROGRESS_MS || (isSilent && this.#hasMoved)) {
      this.#tellProgress(tail.progress())
    } else if (isSilent) this.#push(HEARTBEAT)
  }

  drain(): void {
    this.#firstWord.resolve('runs')
    this.#finish('draining')
  }

  #finish(reason: EndReason): void {
    if (this.#isOver) return
    this.#isOver = true
    const cursor = this.#tail?.cursor
    this.#tail?.close()
    const id = reason === 'until' ? `${ENDED_ID_PREFIX}${cursor ?? ''}` : cursor
    this.#outbox.push(namedEvent('end', { reason, cursor }, id))
    this.#outbox.end()
  }

  #push(bytes: Buffer, onTaken?: () => void): void {
    if (this.#isOver) return
    this.#firstWord.resolve('runs')
    this.#sentAt = this.#clock.monotonic()
    this.#outbox.push(bytes, onTaken)
  }

  /** The connection is gone, or was never begun. */
  close(): void {
    this.#isOver = true
    this.#tail?.close()
    this.#leave()
    this.#outbox.close()
    this.#firstWord.resolve('runs')
  }
}
