// One page being filled: where each partition stands, whose turn it is, how much is still wanted. Path F5, pure of I/O:
// it says what to fetch next and takes what was fetched. Partitions take turns: each gives its share of the page, rounded
// up to whole batches where that is near, and the partition after the last one served begins the next page; so every
// partition comes to its turn whatever the page's limit is, no batch is read twice without need, and a page of many
// partitions costs few reads. The partitions may be of several topics. One that cannot be read stays where it stands and
// says why; the others go on.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FetchedPartition, FetchOptions, FetchPosition, Topic } from '../../engine/engine.ts'
import type { ByteRoom } from '../../kernel/byte-room.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import {
  PAGE_BYTES_MAX,
  PAGE_SCAN_RECORDS_MAX,
  PAGE_SCAN_STEPS_MAX,
  PAGE_SCAN_STEPS_PER_TURN_MAX,
} from '../../kernel/limits.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type { RecordFilter } from '../filter/record-filter.ts'
import type { TopicOffset } from './partition-offset.ts'
import type { ReadEstimate } from './read-estimates.ts'
import { RecordWalk, unreadable } from './record-walk.ts'

/** Takes each record of a page while the reader stands on it; nothing of the reader may be kept. */
export interface RecordSink {
  /** What it has made of the records is so much that the page ends. */
  readonly isFull?: boolean
  /** The records that follow are of this partition. */
  begin(topic: string, partition: number, timestampType: TimestampType, topicId: string): void
  write(record: RecordReader): void
}

/** Offsets [from, to) that were there once and are gone, by retention or because they were deleted. */
export interface Gap {
  readonly topic: string
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly reason: 'removed'
}

/** What of a RecordFilter a page looks at. */
export type PageFilter = Pick<RecordFilter, 'matches' | 'isInError' | 'steps'>

export interface PagePartition extends TopicOffset {
  /** Nothing at or behind it is taken; undefined: up to what is there. */
  readonly endOffset?: number | undefined
}

export interface PagePlan {
  readonly offsets: readonly PagePartition[]
  /** Which of them is first. */
  readonly turn: number
  readonly limit: number
  readonly maxBytes: number
  readonly filter: PageFilter | undefined
  /** Where records are gone: refuse, tell as a gap, or move on unseen (positions that are no offsets). */
  readonly onGap: 'error' | 'tell' | 'pass'
  /** The partitions have nothing to do with one another: whatever keeps one from being read is its own fault. */
  readonly isEachAlone?: boolean
  /** A gap is told in front of a page's records only: one that is met behind some begins the next page. */
  readonly isGapFirst?: boolean
  readonly sink: RecordSink
  /** What maxBytes bounds instead of the stored bytes: what the sink has made of them, give or take its last record. */
  readonly written?: { readonly size: number } | undefined
  /** Records looked at for a filter at most; undefined: as many as a page may. */
  readonly scanRecordsMax?: number | undefined
  readonly inflations: ByteRoom
}

/** A page of many partitions takes this much from one rather than little from each: every read from disk has its price. */
const SHARE_RECORDS_MIN = 250

/** What one partition gives while it is its turn. A page has room for four at least. */
function shareOf(recordCount: number, partitionCount: number): number {
  return Math.max(Math.ceil(recordCount / partitionCount), Math.min(SHARE_RECORDS_MIN, Math.ceil(recordCount / 4)))
}

/** A filtered page looks at many records for few: it fetches by size. */
const FILTERED_FETCH_BYTES = 1024 * 1024

/** Where a reader stands in a partition, and what that has. */
export interface PartitionBounds {
  readonly topic: Topic
  readonly partition: number
  readonly nextOffset: number
  readonly startOffset: number
  readonly endOffset: number
  /** Why nothing more could be read of it; the page is of the others. */
  readonly fault?: TailraceError | undefined
}

export interface PartitionState extends PartitionBounds {
  nextOffset: number
  startOffset: number
  endOffset: number
  /** Below it records can be had; an open transaction holds it back. */
  readableEnd: number
  /** Nothing is taken from there on. */
  readonly bound: number
  isKnown: boolean
  fault: TailraceError | undefined
}

export class Page {
  readonly partitions: readonly PartitionState[]
  readonly gaps: Gap[] = []
  recordCount = 0
  /** Stored bytes of the records taken. */
  recordBytes = 0
  scannedCount = 0
  /** Of those, for which the filter's expression had no result. */
  filterErrors = 0
  turn: number
  /** What the last fetch read, for the estimates. */
  readonly seen = { batchBytes: 0, batchCount: 0, recordCount: 0 }

  readonly #plan: PagePlan
  readonly #walk: RecordWalk
  /** What the sink was told of. */
  #present: PartitionState | undefined
  #timestampType: TimestampType | undefined
  /** Nothing more goes in: a limit is reached, or what comes next cannot be read. */
  #isFull = false
  /** What the filter's expression took, in all and before this turn of the event loop. */
  #steps = 0
  #stepsBefore = 0
  #isTurnOver = false
  /** Full because of the latter: that partition begins the next page. */
  #isBroken = false
  #hasMoved = false
  /** Since the page began. */
  #hasEverMoved = false

  constructor(plan: PagePlan) {
    this.#plan = plan
    this.#walk = new RecordWalk(plan.inflations)
    this.turn = plan.turn < plan.offsets.length ? plan.turn : 0
    this.partitions = plan.offsets.map(({ topic, partition, offset, endOffset: bound = Number.POSITIVE_INFINITY }) => ({
      topic,
      partition,
      nextOffset: offset,
      startOffset: 0,
      endOffset: 0,
      readableEnd: 0,
      bound,
      isKnown: false,
      fault: undefined,
    }))
  }

  get isFull(): boolean {
    return this.#isFull
  }

  get isCaughtUp(): boolean {
    return this.partitions.every((state) => state.fault === undefined && !hasMore(state))
  }

  /** Some partition cannot be read and the others have no more: that is not waited for. */
  get isStuck(): boolean {
    return this.partitions.some(hasFault) && !this.partitions.some((state) => !hasFault(state) && isWanted(state))
  }

  /** A page that could not come on at all is no page: throws what keeps it. */
  checkProgress(): void {
    if (this.#hasEverMoved) return
    const fault = this.partitions.find(hasFault)?.fault
    if (fault !== undefined) throw fault
  }

  /** Whom to ask now, in the order of their turns: those with something left, everybody when nobody has. */
  wanted(): readonly PartitionState[] {
    const { partitions, turn } = this
    const inTurn = [...partitions.slice(turn), ...partitions.slice(0, turn)].filter((state) => !hasFault(state))
    return inTurn.some(isWanted) ? inTurn.filter(isWanted) : inTurn
  }

  positions(wanted: readonly PartitionState[]): FetchPosition[] {
    return wanted.map(({ topic, partition, nextOffset }) => ({ topic, partition, offset: nextOffset }))
  }

  /** How many bytes the records that are still wanted may take. */
  fetchSize(partitionCount: number, estimate: ReadEstimate): Pick<FetchOptions, 'maxBytes' | 'partitionMaxBytes'> {
    if (this.#plan.filter !== undefined) {
      return { maxBytes: FILTERED_FETCH_BYTES, partitionMaxBytes: FILTERED_FETCH_BYTES }
    }
    const { bytesPerRecord, batchBytes, writtenPerRecord } = estimate
    const { limit, maxBytes, written } = this.#plan
    const isBoundByWritten = written !== undefined && writtenPerRecord > 0
    const wanted = isBoundByWritten ? Math.ceil((maxBytes - written.size) / writtenPerRecord) : limit
    const recordsLeft = Math.max(1, Math.min(wanted, limit - this.recordCount))
    const bytesLeft = Math.min(PAGE_BYTES_MAX, maxBytes - this.recordBytes + batchBytes)
    const bytesOf = (recordCount: number) =>
      Math.ceil(Math.min(bytesLeft, recordCount * bytesPerRecord * 1.02 + batchBytes))
    return { maxBytes: bytesOf(recordsLeft), partitionMaxBytes: bytesOf(shareOf(recordsLeft, partitionCount)) }
  }

  /**
   * Takes what was fetched for `wanted`, in that order. True when that brought the reader on. Throws what makes the whole
   * page impossible.
   */
  async take(wanted: readonly PartitionState[], fetched: readonly FetchedPartition[]): Promise<boolean> {
    this.#hasMoved = false
    this.seen.batchBytes = 0
    this.seen.batchCount = 0
    this.seen.recordCount = 0
    this.#learn(wanted, fetched)
    try {
      await this.#drainAll(wanted, fetched)
    } finally {
      this.#walk.end()
    }
    this.#hasEverMoved ||= this.#hasMoved
    return this.#hasMoved
  }

  async #drainAll(wanted: readonly PartitionState[], fetched: readonly FetchedPartition[]): Promise<void> {
    const share = shareOf(this.#plan.limit - this.recordCount, wanted.length)
    const unfinished: number[] = []
    for (let at = 0; at < fetched.length && !this.#isFull; at++) {
      const state = wanted[at] as PartitionState
      const before = this.recordCount
      if (await this.#drain(state, fetched[at] as FetchedPartition, share)) unfinished.push(at)
      if (this.recordCount > before && !this.#isBroken)
        this.turn = (this.partitions.indexOf(state) + 1) % this.partitions.length
    }
    // What others left of the page goes to those whose bytes are here already.
    for (const at of unfinished) {
      if (this.#isFull) break
      await this.#drain(wanted[at] as PartitionState, fetched[at] as FetchedPartition, this.#plan.limit)
    }
  }

  #learn(wanted: readonly PartitionState[], fetched: readonly FetchedPartition[]): void {
    const outside: PartitionState[] = []
    for (const [at, part] of fetched.entries()) {
      const state = wanted[at] as PartitionState
      const { error } = part
      // a partition that is gone or offline by now has no bounds; what was read keeps the ones it had
      if (error === undefined || error.code === 'offset_out_of_range' || error.code === 'corrupt_message') {
        state.startOffset = part.logStartOffset
        state.endOffset = part.highWatermark
        state.readableEnd = Math.min(part.lastStableOffset, state.bound)
        state.isKnown = true
      }
      if (error === undefined) continue
      if (this.#plan.isEachAlone === true) this.#takeOwnError(state, error)
      else if (error.code !== 'offset_out_of_range' && !isForAll(error)) state.fault = faultOf(state, error)
      else if (this.recordCount > 0) this.#stopBefore(state)
      else if (isForAll(error)) throw error
      else if (!this.#passGap(state)) outside.push(state)
    }
    const [first] = outside
    if (first !== undefined) throw outOfRange(first.topic, outside)
  }

  #takeOwnError(state: PartitionState, error: TailraceError): void {
    if (error.code === 'unknown_server_error') throw error
    if (error.code !== 'offset_out_of_range') state.fault = faultOf(state, error)
    else if (this.#plan.isGapFirst === true && this.recordCount > 0) this.#stopBefore(state)
    else if (!this.#passGap(state)) state.fault = outOfRange(state.topic, [state])
  }

  /** What is here already is given out; the next page begins with what went wrong. */
  #stopBefore(state: PartitionState): void {
    this.#isFull = true
    this.#isBroken = true
    this.turn = this.partitions.indexOf(state)
  }

  /** False when the reader has to be refused. */
  #passGap(state: PartitionState): boolean {
    const { onGap } = this.#plan
    const { topic, partition, nextOffset: from, startOffset: to } = state
    if (onGap === 'error' || from >= to) return false
    if (onGap === 'tell') this.gaps.push({ topic: topic.name, partition, from, to, reason: 'removed' })
    state.nextOffset = to
    state.isKnown = false
    this.#hasMoved = true
    return true
  }

  /** True when the fetched bytes have more than the share. */
  async #drain(state: PartitionState, part: FetchedPartition, share: number): Promise<boolean> {
    if (part.error !== undefined || part.bytes.length === 0) return false
    const before = state.nextOffset
    const walk = this.#walk
    walk.begin(part, before)
    let hasMore = false
    const countBefore = this.recordCount
    try {
      for (;;) {
        const stop = this.#takeRecords(walk, state, share, countBefore)
        hasMore = stop === 'enough'
        if (stop === 'turn') await this.#letOthersGo()
        else if (hasMore || !(await walk.inflate())) break
      }
    } catch (error) {
      const fault = asTailraceError(error)
      if (fault.code === 'unknown_server_error') throw error
      state.fault = fault
    }
    this.#hasMoved ||= state.nextOffset > before
    this.seen.batchBytes += walk.batchBytes
    this.seen.batchCount += walk.batchCount
    this.seen.recordCount += walk.batchRecordCount
    return hasMore
  }

  /** Its share is counted from the page's `countBefore` on. Stops when that is given, at the end, or for others' turn. */
  #takeRecords(walk: RecordWalk, state: PartitionState, share: number, countBefore: number): 'enough' | 'end' | 'turn' {
    const { limit, filter, sink } = this.#plan
    const { record } = walk
    const { bound } = state
    const most = Math.min(limit - countBefore, share * 2)
    let taken = this.recordCount - countBefore
    while (walk.next()) {
      if (record.offset >= bound) break
      if (filter !== undefined && !this.#isLet(filter, record, state)) {
        state.nextOffset = walk.nextOffset
      } else {
        const recordBytes = record.recordEnd - record.recordStart
        if (this.#hasNoRoom(recordBytes)) return 'enough'
        if (record.timestampType !== this.#timestampType || state !== this.#present) this.#begin(state, record)
        state.nextOffset = walk.nextOffset
        sink.write(record)
        if (sink.isFull === true) this.#isFull = true
        this.recordBytes += recordBytes
        this.recordCount++
        if (++taken === most || (taken >= share && record.offset === walk.batchLastOffset)) {
          this.#isFull ||= this.recordCount >= limit
          return 'enough'
        }
      }
      if (this.#isFull) return 'enough'
      if (this.#isTurnOver) return 'turn'
    }
    state.nextOffset = Math.max(state.nextOffset, Math.min(walk.nextOffset, bound))
    return 'end'
  }

  /** For a record of this size, behind others. */
  #hasNoRoom(recordBytes: number): boolean {
    const { maxBytes, written } = this.#plan
    const bytes = written?.size ?? this.recordBytes
    if (bytes + recordBytes <= maxBytes || this.recordCount === 0) return false
    this.#isFull = true
    return true
  }

  #begin(state: PartitionState, record: RecordReader): void {
    this.#present = state
    this.#timestampType = record.timestampType
    this.#plan.sink.begin(state.topic.name, state.partition, record.timestampType, state.topic.id)
  }

  #isLet(filter: PageFilter, record: RecordReader, { topic, partition }: PartitionState): boolean {
    const isWanted = filter.matches(record, topic.name, partition)
    if (filter.isInError) this.filterErrors++
    this.scannedCount++
    this.#steps += filter.steps
    const scanMax = this.#plan.scanRecordsMax ?? PAGE_SCAN_RECORDS_MAX
    this.#isFull = this.scannedCount >= scanMax || this.#steps >= PAGE_SCAN_STEPS_MAX
    this.#isTurnOver = this.#steps - this.#stepsBefore >= PAGE_SCAN_STEPS_PER_TURN_MAX
    return isWanted
  }

  async #letOthersGo(): Promise<void> {
    await nextTurn()
    this.#stepsBefore = this.#steps
    this.#isTurnOver = false
  }
}

function hasMore({ nextOffset, readableEnd }: PartitionState): boolean {
  return nextOffset < readableEnd
}

function isWanted(state: PartitionState): boolean {
  return !state.isKnown || hasMore(state)
}

function hasFault({ fault }: PartitionState): boolean {
  return fault !== undefined
}

function faultOf({ topic, partition, nextOffset: offset }: PartitionState, error: TailraceError): TailraceError {
  return unreadable(topic, { partition, offset }, error)
}

/** No fault of one partition. */
function isForAll({ code }: TailraceError): boolean {
  return code === 'unknown_topic_or_partition' || code === 'topic_recreated' || code === 'unknown_server_error'
}

/** With the bounds, so that the reader can choose where to go on. */
export function outOfRange(topic: Topic, states: readonly Omit<PartitionBounds, 'topic'>[]): TailraceError {
  const [first] = states
  const where = first === undefined ? '' : `: ${heldOffsets(first)}, ${first.nextOffset} was asked for`
  const isGone = states.some(({ nextOffset, startOffset }) => nextOffset < startOffset)
  const advice = isGone
    ? '; from=earliest begins at the first, and a read with on_gap=earliest passes what is gone'
    : ''
  return new TailraceError('offset_out_of_range', `the position is outside topic ${topic.name}${where}${advice}`, {
    topic: topic.name,
    partitions: states.map(({ partition, nextOffset, startOffset, endOffset }) => ({
      partition,
      offset: nextOffset,
      start_offset: startOffset,
      end_offset: endOffset,
    })),
  })
}

function heldOffsets({ partition, startOffset, endOffset }: Omit<PartitionBounds, 'topic'>): string {
  if (startOffset === endOffset) return `partition ${partition} is empty, its next offset is ${endOffset}`
  return `partition ${partition} has the offsets ${startOffset} to ${endOffset - 1}`
}
