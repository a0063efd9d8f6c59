// What a tail gives, on its way into frames: as much as there is credit for and as the socket takes. Of free tails, and of
// those that read what a group assigns.

import type { TailraceError } from '../../kernel/errors.ts'
import type { Tail, TailChunk, TailEnd, TailGap, TailProgress, TailReader } from '../../service/tail/tail.ts'
import type { CreditGrant } from './credit.ts'
import { Credit } from './credit.ts'
import type { SubscriptionOutput } from './subscription-output.ts'

const NONE = { records: 0, bytes: 0 }

export class TailOutput implements TailReader {
  readonly credit: Credit
  isPaused = false
  /** Where its tail stands; set when that is open. */
  standing: Pick<Tail, 'cursor'> | undefined
  readonly #output: SubscriptionOutput
  readonly #now: () => number
  /** The generation in which it was told last that the end was reached, and chunks since any progress was told. */
  #caughtUpIn: number | undefined
  #chunksSince = 0

  /** `now`: wall clock. */
  constructor(output: SubscriptionOutput, first: CreditGrant | undefined, now: () => number) {
    this.credit = new Credit(first)
    this.#output = output
    this.#now = now
  }

  room(): { readonly records: number; readonly bytes: number } {
    return this.isPaused || !this.#output.hasRoom() ? NONE : this.credit
  }

  take(chunk: TailChunk): void {
    this.credit.spend(chunk.recordCount, chunk.body.length)
    this.#chunksSince++
    this.#output.sendRecords(chunk)
  }

  gap(gap: TailGap): void {
    this.#output.send('gap', gap)
  }

  /** Who is at the end, and is given what comes in one piece, stays there: that needs no word. The heartbeat tells it. */
  progress(progress: TailProgress): void {
    const isNoNews = progress.caughtUp && this.#caughtUpIn === this.#output.generation && this.#chunksSince <= 1
    if (isNoNews) this.#chunksSince = 0
    else this.tellProgress(progress)
  }

  tellProgress(progress: TailProgress): void {
    this.#caughtUpIn = progress.caughtUp ? this.#output.generation : undefined
    this.#chunksSince = 0
    this.#output.send('progress', {
      cursor: progress.cursor,
      caught_up: progress.caughtUp,
      lag: progress.lag,
      scanned: progress.scanned,
      matched: progress.matched,
      dropped: progress.dropped,
      filter_errors: progress.filterErrors,
      credit: this.credit.shown(),
      time: new Date(this.#now()).toISOString(),
    })
  }

  fault({ error, topic, partition }: { topic: string; partition: number; error: TailraceError }): void {
    this.#sendError(error, { topic, partition })
  }

  end(reason: TailEnd): void {
    this.#end(reason)
  }

  fail(error: TailraceError): void {
    this.#sendError(error)
    this.#end('error')
  }

  #end(reason: TailEnd | 'error'): void {
    const { cursor } = this.standing ?? {}
    this.#output.send('end', cursor === undefined ? { reason } : { reason, cursor })
    this.#output.ended()
  }

  #sendError({ code, message, retriable, details }: TailraceError, place: object = {}): void {
    this.#output.send('error', { code, message, retryable: retriable, details: { ...details, ...place } })
  }
}
