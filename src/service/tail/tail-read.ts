// Reads what lies between a place and some ends: fetched, filtered and encoded, as one chunk with the place that follows
// it. Forms that are read from one place at a time share the fetch.

import type { FetchedPartition } from '../../engine/engine.ts'
import {
  TAIL_CHUNK_BYTES_MAX,
  TAIL_LATEST_BYTES_MAX,
  TAIL_OVERFLOW_RECORDS_MAX,
  TAIL_SCAN_RECORDS_MAX,
} from '../../kernel/limits.ts'
import { releaseBytes } from '../../kernel/release-bytes.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type { PagePlan, PartitionState, RecordSink } from '../read/page.ts'
import { Page } from '../read/page.ts'
import type { ReadEstimates } from '../read/read-estimates.ts'
import type { ConsumeParts } from '../read/read-start.ts'
import { releaseFetched } from '../read/record-walk.ts'
import type { TailEncoder, TailForm } from './tail.ts'
import type { TailHead } from './tail-head.ts'
import { retryTime, UNKNOWN_END } from './tail-head.ts'
import { LatestKeys } from './tail-overflow.ts'
import type { ChunkKind, HeldChunk, PlaceFetch, StuckSlot, TailPlace, TailRead } from './tail-place.ts'
import type { TailTurns } from './tail-turns.ts'

/** A read that gave so much, or looked at so much; with more than some of the kind before it, a tail is far behind: not by what came in a moment. */
const LARGE_READ_BYTES = TAIL_CHUNK_BYTES_MAX / 2
const LARGE_READ_RECORDS = TAIL_SCAN_RECORDS_MAX / 10
const FAR_BEHIND_READS = 4

export interface TailReadBounds {
  readonly records: number
  /** Encoded; the last record may go beyond. */
  readonly bytes: number
  readonly ends: Float64Array
  /** Each key's last record alone. */
  readonly isLatestOnly?: boolean
}

export interface TailReadParts extends ConsumeParts {
  readonly estimates: ReadEstimates
  readonly turns: TailTurns
}

export class TailReads {
  readonly #parts: TailReadParts

  constructor(parts: TailReadParts) {
    this.#parts = parts
  }

  async read(head: TailHead, place: TailPlace, kind: ChunkKind, bounds: TailReadBounds): Promise<TailRead> {
    const asked = head.readable(place, bounds.ends)
    let moving: Float64Array | undefined
    const cursor = () => {
      moving ??= place.offsets.slice()
      return place.layout.cursor(moveTo(moving, page, asked), place.turn)
    }
    const sink = new EncoderSink(kind.form, cursor)
    const page = this.#newPage(place, asked, bounds, { sink, filter: kind.filter, written: sink })
    await this.#fill(head, place, page, asked, bounds.ends, sink)
    const next = head.reach(
      place,
      offsetsAfter(place, page, asked),
      asked[page.turn] ?? 0,
      this.#stuck(place, page, asked),
    )
    const { recordCount, scannedCount, filterErrors, gaps } = page
    if (next !== place) {
      const seen = Math.max(recordCount, scannedCount)
      const isLarge = sink.size >= LARGE_READ_BYTES || seen >= LARGE_READ_RECORDS
      next.isFarBehind = isLarge && offsetsBetween(next.offsets, bounds.ends) >= FAR_BEHIND_READS * seen
    }
    const scanned = kind.filter === undefined ? recordCount : scannedCount
    const chunk = recordCount === 0 ? undefined : new ReadChunk(sink.finish(next.getCursor()), recordCount, next)
    if (chunk !== undefined) this.#parts.telemetry.tails.chunksMade++
    return { chunk, gaps, scanned, filterErrors, dropped: 0, next }
  }

  /** Of the records that lie ahead, as far as they are looked at in one go, each key's last alone. The rest is told as gaps. */
  async readLatest(head: TailHead, place: TailPlace, kind: ChunkKind, bounds: TailReadBounds): Promise<TailRead> {
    const { ends } = bounds
    const keys = new LatestKeys(kind.filter)
    const asked = head.readable(place, ends)
    const ahead = { records: TAIL_OVERFLOW_RECORDS_MAX, bytes: TAIL_LATEST_BYTES_MAX, ends }
    const page = this.#newPage(place, asked, ahead, { sink: keys, filter: kind.filter })
    await this.#fill(head, place, page, asked, ends)
    // one that cannot be read shall be met again
    const seen = offsetsAfter(place, page, asked)
    for (const [index, { fault }] of page.partitions.entries()) {
      const at = asked[index] as number
      if (fault !== undefined) seen[at] = ends[at] as number
    }
    keys.choose()
    const read = await this.read(head, place, { ...kind, filter: keys }, { ...bounds, ends: seen })
    return { ...read, gaps: [...read.gaps, ...keys.gaps], dropped: keys.dropped }
  }

  #newPage(
    place: TailPlace,
    asked: readonly number[],
    { records: limit, bytes: maxBytes, ends }: TailReadBounds,
    plan: Pick<PagePlan, 'sink' | 'filter' | 'written'>,
  ): Page {
    const { slots } = place.layout
    return new Page({
      ...plan,
      offsets: asked.map((at) => {
        const { topic, partition } = slots[at] as (typeof slots)[number]
        return { topic, partition, offset: place.offsets[at] as number, endOffset: ends[at] as number }
      }),
      turn: 0,
      limit,
      maxBytes,
      onGap: 'tell',
      isEachAlone: true,
      isGapFirst: true,
      scanRecordsMax: TAIL_SCAN_RECORDS_MAX,
      inflations: this.#parts.inflations,
    })
  }

  #stuck(place: TailPlace, page: Page, asked: readonly number[]): readonly StuckSlot[] {
    const stuck = place.stuck.filter(({ at }) => !asked.includes(at))
    for (const [index, state] of page.partitions.entries()) {
      if (state.fault === undefined) continue
      stuck.push(stuckAt(place, asked[index] as number, state, retryTime(this.#parts.clock)))
    }
    return stuck
  }

  async #fill(
    head: TailHead,
    place: TailPlace,
    page: Page,
    asked: readonly number[],
    ends: Float64Array,
    written?: { readonly size: number },
  ): Promise<void> {
    if (asked.length === 0) return
    const { estimates, telemetry } = this.#parts
    const estimateKey = place.layout.slots[place.turn]?.topic.id ?? ''
    const { isFarBehind } = place
    let isFirst = true
    do {
      const wanted = page.wanted()
      const fetch = () => this.#fetch(page, wanted, estimateKey)
      const hasMoved = isFirst
        ? await this.#withShared(place, asked, ends, fetch, (fetched) => this.#take(page, wanted, fetched, isFarBehind))
        : await this.#takeOwn(page, wanted, await fetch(), isFarBehind)
      isFirst = false
      estimates.observe(estimateKey, page.seen)
      // what is below the ends and cannot be had is not yet there: an open transaction hides it
      if (!hasMoved) break
      // half a chunk is given rather than that the batch at its end is fetched again for a few records
      if (written !== undefined && written.size >= LARGE_READ_BYTES) break
    } while (!page.isFull && !page.isStuck && !page.isCaughtUp)
    if (written !== undefined) estimates.observeWritten(estimateKey, written.size, page.recordCount)
    telemetry.fetchRequests++
    for (const [index, { isKnown, fault, endOffset }] of page.partitions.entries()) {
      const at = asked[index] as number
      if (ends[at] === UNKNOWN_END && isKnown && fault === undefined) head.learnEnd(place.layout, at, endOffset)
    }
  }

  #fetch(page: Page, wanted: readonly PartitionState[], estimateKey: string): Promise<readonly FetchedPartition[]> {
    const { engine, estimates, telemetry } = this.#parts
    telemetry.tails.fetches++
    return engine.fetch(page.positions(wanted), {
      minBytes: 0,
      ...page.fetchSize(wanted.length, estimates.of(estimateKey)),
      maxWaitMs: 0,
      isolation: 'read_committed',
    })
  }

  /** Reads that are paced have rests of their own. */
  async #take(
    page: Page,
    wanted: readonly PartitionState[],
    fetched: readonly FetchedPartition[],
    isPaced: boolean,
  ): Promise<boolean> {
    const since = this.#parts.clock.monotonic()
    const hasMoved = await page.take(wanted, fetched)
    if (!isPaced) this.#parts.turns.charge(since)
    return hasMoved
  }

  /** What was fetched for this page alone. */
  async #takeOwn(
    page: Page,
    wanted: readonly PartitionState[],
    fetched: readonly FetchedPartition[],
    isPaced: boolean,
  ): Promise<boolean> {
    try {
      return await this.#take(page, wanted, fetched, isPaced)
    } finally {
      releaseFetched(fetched)
    }
  }

  /** The first one: it asks for all that is there. */
  async #withShared<Result>(
    place: TailPlace,
    asked: readonly number[],
    ends: Float64Array,
    fetch: () => Promise<readonly FetchedPartition[]>,
    work: (fetched: readonly FetchedPartition[]) => Promise<Result>,
  ): Promise<Result> {
    let shared = place.fetch
    if (shared === undefined || shared.ends !== ends || !isSameList(shared.asked, asked)) {
      shared = { asked, ends, fetched: fetch(), users: 0 } satisfies PlaceFetch
      place.fetch = shared
    }
    shared.users++
    let fetched: readonly FetchedPartition[] = []
    try {
      fetched = await shared.fetched
      return await work(fetched)
    } finally {
      shared.users--
      if (shared.users === 0) {
        if (place.fetch === shared) place.fetch = undefined
        releaseFetched(fetched)
      }
    }
  }
}

function offsetsAfter(place: TailPlace, page: Page, asked: readonly number[]): Float64Array {
  return moveTo(place.offsets.slice(), page, asked)
}

/** Hot where each record has a cursor. */
function moveTo(offsets: Float64Array, { partitions }: Page, asked: readonly number[]): Float64Array {
  for (let index = 0; index < asked.length; index++) {
    offsets[asked[index] as number] = (partitions[index] as PartitionState).nextOffset
  }
  return offsets
}

function offsetsBetween(offsets: Float64Array, ends: Float64Array): number {
  let count = 0
  for (const [at, end] of ends.entries()) {
    if (end !== UNKNOWN_END) count += Math.max(0, end - (offsets[at] as number))
  }
  return count
}

function isSameList(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((one, at) => one === right[at])
}

function stuckAt(place: TailPlace, at: number, { fault }: PartitionState, retryAt: number): StuckSlot {
  const slot = place.layout.slots[at] as StuckSlot['slot']
  return { slot, at, error: fault as StuckSlot['error'], retryAt }
}

class EncoderSink implements RecordSink {
  readonly #form: TailForm
  readonly #cursor: () => string
  /** Made for the first record: many reads find none. */
  #encoder: TailEncoder | undefined

  constructor(form: TailForm, cursor: () => string) {
    this.#form = form
    this.#cursor = cursor
  }

  get size(): number {
    return this.#encoder?.size ?? 0
  }

  begin(topic: string, partition: number, timestampType: TimestampType, topicId: string): void {
    this.#encoder ??= this.#form.newEncoder()
    this.#encoder.begin(topic, partition, timestampType, topicId)
  }

  write(record: RecordReader): void {
    ;(this.#encoder as TailEncoder).write(record, this.#cursor)
  }

  finish(cursor: string): Buffer {
    return (this.#encoder as TailEncoder).finish(cursor)
  }
}

class ReadChunk implements HeldChunk {
  readonly body: Buffer
  readonly recordCount: number
  readonly #next: TailPlace
  #holders = 0

  constructor(body: Buffer, recordCount: number, next: TailPlace) {
    this.body = body
    this.recordCount = recordCount
    this.#next = next
  }

  get cursor(): string {
    return this.#next.getCursor()
  }

  hold(): void {
    this.#holders++
  }

  taken(): void {
    if (--this.#holders === 0) releaseBytes(this.body)
  }
}
