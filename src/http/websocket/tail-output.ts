// What a tail gives, on its way into frames: as much as there is credit for and as the socket takes. Of free tails, and of
// those that read what a group assigns.

import type { TailraceError } from '../../kernel/errors.ts'
import type { TailChunk, TailEnd, TailGap, TailProgress, TailReader } from '../../service/tail.ts'
import type { CreditGrant } from './credit.ts'
import { Credit } from './credit.ts'
import type { SubscriptionOutput } from './subscription-output.ts'

const NONE = { records: 0, bytes: 0 }

export class TailOutput implements TailReader {
  readonly credit: Credit
  isPaused = false
  readonly #output: SubscriptionOutput
  readonly #now: () => number

  /** `now`: wall clock. */
  constructor(output: SubscriptionOutput, first: CreditGrant | undefined, now: () => number) {
    this.credit = new Credit(first)
    this.#output = output
    this.#now = now
  }

  room(): { readonly records: number; readonly bytes: number } {
    return this.isPaused || !this.#output.hasRoom() ? NONE : this.credit
  }

  take({ body, recordCount }: TailChunk): void {
    this.credit.spend(recordCount, body.length)
    this.#output.sendRecords(body)
  }

  gap(gap: TailGap): void {
    this.#output.send('gap', gap)
  }

  progress(progress: TailProgress): void {
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
    this.#output.send('end', { reason })
    this.#output.ended()
  }

  fail(error: TailraceError): void {
    this.#sendError(error)
    this.#output.send('end', { reason: 'error' })
    this.#output.ended()
  }

  #sendError({ code, message, retriable, details }: TailraceError, place: object = {}): void {
    this.#output.send('error', { code, message, retryable: retriable, details: { ...details, ...place } })
  }
}
