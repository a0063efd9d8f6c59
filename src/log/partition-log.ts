// A6 F2: one partition's log: its opening, its bounds, and the side that reads, across segments. Writing is
// log-appender.ts. What must hold: only bytes below the high watermark (synced) are ever read, and none of an offline
// partition. Any number of callers at once.

import { TailraceError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { SealedBatch } from '../record/record-batch.ts'
import { BadBatches } from './bad-batches.ts'
import type { BatchRange, TimestampedOffset } from './batch-range.ts'
import { cutBatches, findByTimestamp, findMaxTimestamp } from './batch-range.ts'
import type { DeletedFiles } from './deleted-files.ts'
import type { AppendAcks, AppendedBatch, LogAppenderOptions } from './log-appender.ts'
import { LogAppender } from './log-appender.ts'
import type { CompactionPlan } from './log-compaction.ts'
import type { LogCompactorOptions, PassOptions } from './log-compactor.ts'
import { LogCompactor } from './log-compactor.ts'
import type { OpenedLog } from './log-recovery.ts'
import type { Segment } from './log-segment.ts'
import { emptySegment, segmentFloor } from './log-segment.ts'
import { PartitionState } from './partition-state.ts'
import type { ProducerEntry } from './producer-state.ts'
import { LANDMARK_BYTES, ReadLandmarks } from './read-landmarks.ts'
import type { CleanResult } from './segment-cleaner.ts'
import { SegmentDeletion } from './segment-deletion.ts'
import type { SegmentFile } from './segment-file.ts'
import { isDiskFull, isPassing, storageFailure } from './storage-failure.ts'

export interface PartitionLogOptions extends LogAppenderOptions, LogCompactorOptions {
  /** Names the partition in messages: `orders-3`. */
  readonly name: string
  readonly logger: Logger
  /** Raised by delete-records; kept in meta.db. */
  readonly logStartOffset: number
  readonly recover: () => Promise<OpenedLog>
  readonly deletedFiles: DeletedFiles
  /** index.db has something to write. */
  readonly flushSoon: () => void
}

export interface LogBounds {
  readonly logStartOffset: number
  readonly highWatermark: number
}

export class PartitionLog {
  readonly #options: PartitionLogOptions
  readonly #state: PartitionState
  readonly #appender: LogAppender
  readonly #compactor: LogCompactor
  readonly #deletion: SegmentDeletion
  /** Made when the first is met. */
  #badBatches: BadBatches | undefined
  #opening: Promise<void> | undefined
  /** It was to be opened, and could not be for a while. */
  #isUnread = false
  /** Made by the first read: partitions at rest do without. */
  #landmarks: ReadLandmarks | undefined

  constructor(options: PartitionLogOptions) {
    this.#options = options
    this.#state = new PartitionState(options)
    this.#appender = new LogAppender(this.#state, {
      ...options,
      open: () => this.open(),
      rolled: () => this.#deletion.rolled(),
      makeRoom: (bytes) => this.#deletion.makeRoom(bytes),
    })
    const roll = () => this.#appender.roll()
    const settle = () => this.#compactor.settle()
    const stopPass = () => this.#compactor.stop()
    this.#deletion = new SegmentDeletion(this.#state, { ...options, roll, settle, stopPass })
    this.#compactor = new LogCompactor(this.#state, {
      ...options,
      roll,
      switched: () => {
        // a new object: reads under way tell the old one
        this.#landmarks = undefined
      },
    })
  }

  /** Loads what is known of the partition, and after a crash mends its end. Every verb waits for it. */
  open(): Promise<void> {
    if (this.#opening === undefined && this.#state.isClosed) return Promise.reject(this.#state.closedError())
    this.#opening ??= this.#open()
    return this.#opening
  }

  get offline(): TailraceError | undefined {
    return this.#state.offline
  }

  /** The first bad batch that was met and is not deleted: all others can be read, and appends go on. */
  get corrupt(): TailraceError | undefined {
    return this.#badBatches?.firstFrom(this.#state.logStartOffset)
  }

  /** Of an open log. */
  get bounds(): LogBounds {
    const { logStartOffset, highWatermark } = this.#state
    return { logStartOffset, highWatermark }
  }

  get sizeBytes(): number {
    return this.#state.sizeBytes
  }

  get segments(): readonly Segment[] {
    return this.#state.segments
  }

  get isOpen(): boolean {
    return this.#state.isOpen
  }

  /** A later start must look at its files: it is offline, or could not be opened so far. */
  get isDoubtful(): boolean {
    return this.#state.offline !== undefined || this.#isUnread || this.#compactor.isDoubtful
  }

  async #open(): Promise<void> {
    try {
      const opened = await this.#options.recover()
      this.#state.logId = opened.logId
      this.#state.segments = opened.segments
      this.#state.producers = opened.producers
      this.#state.firstDirtyOffset = opened.firstDirtyOffset
      this.#state.highWatermark = opened.segments.at(-1)?.endOffset ?? this.#state.logStartOffset
      this.#state.nextOffset = this.#state.highWatermark
      const first = opened.segments[0]
      if (first !== undefined) this.#state.logStartOffset = Math.max(this.#state.logStartOffset, first.baseOffset)
      this.#state.sizeBytes = opened.segments.reduce((sum, segment) => sum + segment.sizeBytes, 0)
      if (this.#state.logStartOffset > this.#state.highWatermark) this.#beginAfterLoss()
      this.#isUnread = false
    } catch (error) {
      if (isPassing(error)) throw this.#openLater(error)
      this.#state.goOffline('opening it failed', error)
    }
    this.#state.isOpen = true
  }

  /** Nothing is wrong with its files: who comes next opens it. */
  #openLater(cause: unknown): TailraceError {
    this.#opening = undefined
    this.#isUnread = true
    const { name, logger } = this.#options
    const error = isDiskFull(cause)
      ? storageFailure(name, cause, 'opening it failed')
      : new TailraceError('kafka_storage_error', `${name} could not be opened: too many files are open`, {}, { cause })
    logger.warn({ err: cause, partition: name }, `${name} could not be opened; it is tried again when it is asked for`)
    return error
  }

  /** Everything up to the log start offset was deleted and its files are gone: offsets still never start again. */
  #beginAfterLoss(): void {
    this.#state.segments.push(emptySegment(this.#state.logStartOffset))
    this.#state.highWatermark = this.#state.logStartOffset
    this.#state.nextOffset = this.#state.logStartOffset
  }

  /** What waits to be written. */
  get queueBytes(): number {
    return this.#appender.queueBytes
  }

  /** Answers one result a batch, in order. Batches belong to the log from now on. */
  append(batches: readonly SealedBatch[], acks: AppendAcks): Promise<AppendedBatch[]> {
    return this.#appender.append(batches, acks)
  }

  /**
   * Whole batches from the one that holds an offset on, out of one segment, at most maxBytes of them (the first one
   * even if larger, when atLeastOne is set), their checksums verified. Empty at the high watermark. offset_out_of_range beyond the bounds, corrupt_message with
   * file, position and offset when the first batch is bad (what comes before a bad one is given first).
   */
  async read(offset: number, maxBytes: number, atLeastOne = true): Promise<Buffer> {
    if (!this.#state.isOpen) await this.open()
    this.#checkReadable()
    if (offset < this.#state.logStartOffset || offset > this.#state.highWatermark) throw this.#outOfRange(offset)
    const segment = this.#segmentOf(offset)
    if (segment === undefined) return EMPTY
    const from = Math.max(offset, segment.baseOffset)
    this.#landmarks ??= new ReadLandmarks()
    const place = this.#landmarks.find(segment.baseOffset, from) ?? this.#floorOf(segment, from)
    const { baseOffset: segmentBase } = segment
    const wanted = { offset: from, maxBytes, atLeastOne, segmentBase, landmarks: this.#landmarks }
    return this.#from(segment, place, (file, range) =>
      cutBatches(file, { ...range, ...wanted, skippedBytes: range.due === from ? 0 : LANDMARK_BYTES }),
    )
  }

  /** Reads a segment from a place on. */
  async #from<Result>(segment: Segment, place: Place, work: ReadWork<Result>): Promise<Result> {
    const read = (from: Place) => {
      const path = this.#compactor.pathOf(segment)
      return this.#options.files.use(path, false, (file) => work(file, rangeOf(path, segment, from)))
    }
    try {
      return await read(place)
    } catch (error) {
      const isKnown = this.#state.segments.includes(segment)
      if (!isCorrupt(error) || !isKnown) throw this.#readFailure(error)
      if (isBeginning(place)) throw this.#noteCorrupt(error)
      return await this.#fromBefore(segment, place, read).catch((again) => {
        throw this.#readFailure(this.#state.segments.includes(segment) ? this.#noteCorrupt(again) : again)
      })
    }
  }

  /** It may be the place that is bad, not the batch: what comes to it from the place before knows. */
  async #fromBefore<Result>(segment: Segment, place: Place, read: (from: Place) => Promise<Result>): Promise<Result> {
    this.#checkReadable()
    const result = await read(this.#floorOf(segment, place.offset - 1))
    this.#options.index.distrust(`${this.#options.name} has no batch ${place.offset} at ${place.position}`)
    return result
  }

  #noteCorrupt(error: unknown): unknown {
    if (!isCorrupt(error) || this.#state.isClosed) return error
    this.#badBatches ??= new BadBatches(this.#options)
    return this.#badBatches.note(error)
  }

  /** A disk that fails, or a file that somebody took away. */
  #readFailure(error: unknown): unknown {
    if ((error as NodeJS.ErrnoException).syscall === undefined) return error
    return storageFailure(this.#options.name, error, `reading failed: ${(error as Error).message}`)
  }

  /** Where to begin: at or before an offset. */
  #floorOf(segment: Segment, offset: number): Place {
    const entry = this.#options.index.floorOfOffset(this.#state.logId, segment, offset)
    return entry === undefined ? beginningOf(segment) : { ...entry, isExact: true }
  }

  /**
   * To be asked right before a file is used: behind a closed log its folder may be gone, and a file of another topic may
   * stand at its path. For a like reason a segment is picked right before its file is used, and never kept: what was put in
   * its place has other positions.
   */
  #checkReadable(): void {
    if (this.#state.isClosed) throw this.#state.closedError()
    if (this.#state.offline !== undefined) throw this.#state.offline
  }

  /** The segment that holds an offset or, where compaction took it, the next record; undefined at the high watermark. */
  #segmentOf(offset: number, minTimestamp = -1): Segment | undefined {
    const { segments } = this.#state
    for (let at = Math.max(0, segmentFloor(segments, offset)); at < segments.length; at++) {
      const segment = segments[at] as Segment
      if (segment.sizeBytes > 0 && offset < segment.endOffset && segment.maxTimestamp >= minTimestamp) return segment
    }
    return undefined
  }

  #outOfRange(offset: number): TailraceError {
    const { logStartOffset, highWatermark } = this.bounds
    return new TailraceError(
      'offset_out_of_range',
      `offset ${offset} of ${this.#options.name} is not between ${logStartOffset} and ${highWatermark}`,
      { offset, start_offset: logStartOffset, end_offset: highWatermark },
    )
  }

  /** The first record at or after a time, in offset order: its offset and timestamp; undefined when there is none. */
  async findByTimestamp(timestamp: number): Promise<TimestampedOffset | undefined> {
    if (!this.#state.isOpen) await this.open()
    let offset = this.#state.logStartOffset
    for (;;) {
      this.#checkReadable()
      const segment = this.#segmentOf(offset, timestamp)
      if (segment === undefined) return undefined
      const found = await this.#findInSegment(segment, timestamp)
      if (found !== undefined) return found
      offset = segment.endOffset
    }
  }

  #findInSegment(segment: Segment, timestamp: number) {
    const entry = this.#options.index.floorOfTimestamp(this.#state.logId, segment, timestamp)
    const place = entry === undefined ? beginningOf(segment) : { ...entry, isExact: true }
    const minOffset = this.#state.logStartOffset
    return this.#from(segment, place, (file, range) => findByTimestamp(file, { ...range, minOffset, timestamp }))
  }

  /** The first record that has the largest timestamp; undefined in an empty log. */
  async findMaxTimestamp(): Promise<TimestampedOffset | undefined> {
    if (!this.#state.isOpen) await this.open()
    const { segments, logStartOffset } = this.#state
    const readable = segments.filter((one) => one.sizeBytes > 0 && one.endOffset > logStartOffset)
    const max = readable.reduce((found, segment) => Math.max(found, segment.maxTimestamp), -1)
    const exact = await this.findByTimestamp(max)
    if (exact !== undefined || readable.length === 0) return exact
    // the largest lies below the log start offset, or compaction has just taken it: look at what remains
    return this.#findMaxByScan()
  }

  async #findMaxByScan(): Promise<TimestampedOffset | undefined> {
    let best: TimestampedOffset | undefined
    let offset = this.#state.logStartOffset
    for (;;) {
      this.#checkReadable()
      const segment = this.#segmentOf(offset)
      if (segment === undefined) return best
      const minOffset = this.#state.logStartOffset
      const found = await this.#from(segment, beginningOf(segment), (file, range) =>
        findMaxTimestamp(file, { ...range, minOffset }),
      )
      if (found !== undefined && found.timestamp > (best?.timestamp ?? -1)) best = found
      offset = segment.endOffset
    }
  }

  get firstDirtyOffset(): number {
    return this.#state.firstDirtyOffset
  }

  /** Of an open log: what a pass of compaction would do now; undefined: none, as LogCompactor.plan says. */
  compactionPlan(): CompactionPlan | undefined {
    return this.#compactor.plan()
  }

  /** One pass, while writers and readers go on. undefined: there is nothing to clean, or retention is at it. */
  async compact(pass: PassOptions): Promise<CleanResult | undefined> {
    try {
      return await this.#compactor.compact(pass)
    } catch (error) {
      throw this.#noteCorrupt(error)
    }
  }

  /** Takes hold at once; the caller has made it durable. Never goes back. Segments that lie below it as a whole are deleted. */
  raiseLogStartOffset(offset: number): void {
    this.#state.logStartOffset = Math.max(this.#state.logStartOffset, offset)
    this.#deletion.checkClosed()
  }

  /** Deletes the segments that retention has over, and those below the log start offset. Never rejects. */
  async retain(): Promise<void> {
    try {
      await this.open()
    } catch {
      // it has said why, and is opened when it is asked for
      return
    }
    await this.#deletion.check()
  }

  producer(producerId: bigint): ProducerEntry | undefined {
    return this.#state.producers.get(producerId)
  }

  /** All producers that this partition remembers. */
  producers(): IterableIterator<ProducerEntry> {
    return this.#state.producers.values()
  }

  /** Forgets the producers that may be forgotten; halts after each that it looks at. */
  forgetProducers(): Iterable<void> {
    const isIdle = this.#state.isClosed || this.#state.producers.size === 0
    return isIdle ? [] : this.#appender.forgetProducers()
  }

  /** Refuses what comes from now on and waits for what is under way. Nothing is left to scan afterwards. */
  async close(): Promise<void> {
    this.#state.isClosed = true
    this.#compactor.stop()
    // who asked for it is told if it fails
    await this.#opening?.catch(() => undefined)
    await this.#appender.idle()
    await this.#state.maintained()
    await this.#deletion.idle()
  }
}

const EMPTY = Buffer.alloc(0)

/** A batch begins at the position; its base offset is the offset, or, where that is not certain, at or behind it. */
interface Place {
  readonly offset: number
  readonly position: number
  readonly isExact?: boolean
}

type ReadWork<Result> = (file: SegmentFile, range: BatchRange) => Promise<Result>

function beginningOf(segment: Segment): Place {
  return { offset: segment.baseOffset, position: 0 }
}

function isBeginning({ position, isExact }: Place): boolean {
  return position === 0 && isExact !== true
}

function rangeOf(path: string, { sizeBytes, endOffset }: Segment, place: Place): BatchRange {
  const { offset: due, position, isExact: isDueExact = false } = place
  return { path, position, due, isDueExact, end: sizeBytes, endOffset }
}

function isCorrupt(error: unknown): error is TailraceError {
  return error instanceof TailraceError && error.code === 'corrupt_message'
}
