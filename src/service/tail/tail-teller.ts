// What one tail has told its reader, and what it counts: gaps, faults and progress are told once, in front of what comes
// after them.

import type { TailraceError } from '../../kernel/errors.ts'
import { TAIL_SCAN_TOLD_RECORDS } from '../../kernel/limits.ts'
import type { Telemetry } from '../../kernel/telemetry.ts'
import { outOfRange } from '../read/page.ts'
import type { TailChunk, TailGap, TailProgress, TailReader } from './tail.ts'
import type { TailHead } from './tail-head.ts'
import type { TailSlot } from './tail-layout.ts'
import type { TailPlace, TailRead } from './tail-place.ts'

interface Counts {
  scanned: number
  matched: number
  dropped: number
  filterErrors: number
}

export class TailTeller {
  readonly #reader: TailReader
  readonly #onGap: 'error' | 'earliest'
  readonly #tails: Telemetry['tails']
  readonly #counts: Counts = { scanned: 0, matched: 0, dropped: 0, filterErrors: 0 }
  readonly #faults = new Set<TailSlot>()
  #isProgressTold = false
  #scannedUntold = 0

  constructor(reader: TailReader, onGap: 'error' | 'earliest', { tails }: Telemetry) {
    this.#reader = reader
    this.#onGap = onGap
    this.#tails = tails
  }

  /** Records given. */
  get matched(): number {
    return this.#counts.matched
  }

  /** It stands elsewhere: the end is told of anew. */
  moved(): void {
    this.#isProgressTold = false
  }

  /** offset_out_of_range where the reader wants to fail; `isFresh`: it did not name where it began by offsets. */
  gap(gap: TailGap, place: TailPlace, head: TailHead, isFresh: boolean): void {
    if (gap.reason === 'overflow' || this.#onGap === 'earliest' || isFresh) {
      this.#reader.gap(gap)
      return
    }
    const { topic: name, partition, from: nextOffset, to: startOffset } = gap
    const at = place.layout.slots.findIndex((slot) => slot.topic.name === name && slot.partition === partition)
    const endOffset = Math.max(startOffset, head.ends[at] ?? 0)
    const { topic } = place.layout.slots[at] as TailSlot
    throw outOfRange(topic, [{ partition, nextOffset, startOffset, endOffset }])
  }

  dropped(count: number): void {
    this.#counts.dropped += count
    this.#tails.recordsDropped += count
  }

  looked({ scanned, filterErrors, dropped }: TailRead): void {
    this.#counts.scanned += scanned
    this.#counts.filterErrors += filterErrors
    this.#scannedUntold += scanned
    if (dropped > 0) this.dropped(dropped)
  }

  give(chunk: TailChunk): void {
    const tails = this.#tails
    this.#counts.matched += chunk.recordCount
    this.#scannedUntold = 0
    tails.chunksGiven++
    tails.recordsGiven += chunk.recordCount
    tails.bytesGiven += chunk.body.length
    this.#reader.take(chunk)
  }

  /** Where nothing was found to give for long. */
  foundNothing(place: TailPlace, knowsEnds: boolean): void {
    if (this.#scannedUntold >= TAIL_SCAN_TOLD_RECORDS) this.tellProgress(place, knowsEnds)
  }

  tellProgress(place: TailPlace, knowsEnds: boolean): void {
    if (this.#isProgressTold) return
    this.#isProgressTold = place.isAtEnd && knowsEnds
    this.#scannedUntold = 0
    this.#reader.progress(this.progress(place, knowsEnds))
  }

  progress(place: TailPlace, knowsEnds: boolean): TailProgress {
    return new Progress(place, this.#counts, knowsEnds)
  }

  /** The next fault of a place that was not told yet; for as long as there is one. */
  tellFault({ stuck }: TailPlace): boolean {
    const told = this.#faults
    if (stuck.length === 0 && told.size === 0) return false
    for (const slot of told) if (!stuck.some((one) => one.slot === slot)) told.delete(slot)
    const next = stuck.find(({ slot, error }) => !told.has(slot) && !isGone(error))
    if (next === undefined) return false
    told.add(next.slot)
    this.#reader.fault({ topic: next.slot.topic.name, partition: next.slot.partition, error: next.error })
    return true
  }
}

/** Of a topic that was deleted: that is told by itself. */
function isGone({ code }: TailraceError): boolean {
  return code === 'unknown_topic_or_partition' || code === 'topic_recreated'
}

class Progress implements TailProgress {
  readonly caughtUp: boolean
  readonly lag: number
  readonly scanned: number
  readonly matched: number
  readonly dropped: number
  readonly filterErrors: number
  readonly #place: TailPlace

  constructor(place: TailPlace, counts: Counts, knowsEnds: boolean) {
    this.#place = place
    this.caughtUp = knowsEnds && place.isAtEnd && place.stuck.length === 0
    this.lag = place.lag
    this.scanned = counts.scanned
    this.matched = counts.matched
    this.dropped = counts.dropped
    this.filterErrors = counts.filterErrors
  }

  get cursor(): string | undefined {
    return this.#place.findCursor()
  }
}
