// A6 F2: one partition's log. It assigns offsets, gathers what waits into one write and one fdatasync (group commit),
// rolls segments, remembers producers and reads across segments. What must hold: one writer; only bytes below the high
// watermark (synced) are ever read; after a failed sync the partition takes and gives nothing until it is opened again,
// because nobody can say what the disk holds; an append is in one group, and so stored whole or not at all.
// Any number of callers at once.

import { join } from 'node:path'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { APPEND_QUEUE_BYTES_MAX, GROUP_BYTES_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { SealedBatch } from '../record/record-batch.ts'
import { stampBatch, stampLogAppendTime } from '../record/record-batch.ts'
import { cutBatches, findByTimestamp, findMaxTimestamp } from './batch-range.ts'
import type { CommitRounds } from './commit-rounds.ts'
import type { LogIndex } from './log-index.ts'
import { NO_LOG } from './log-index.ts'
import type { OpenedLog } from './log-recovery.ts'
import type { Segment } from './log-segment.ts'
import { emptySegment, segmentFloor, segmentPath, shouldRoll, snapshotPath } from './log-segment.ts'
import type { OpenFiles } from './open-files.ts'
import { PARTITION_METADATA, renderPartitionMetadata } from './partition-metadata.ts'
import type { ProducerEntry, ProducerVerdict } from './producer-state.ts'
import { judgeBatch, renderSnapshot, withBatch } from './producer-state.ts'
import { LANDMARK_BYTES, ReadLandmarks } from './read-landmarks.ts'
import type { SegmentDisk, SegmentFile } from './segment-file.ts'

/** What of a topic's configuration the log itself obeys; read anew for every group, so that changes take hold at once. */
export interface LogSettings {
  readonly segmentBytes: number
  readonly segmentMs: number
  readonly indexIntervalBytes: number
  readonly logAppendTime: boolean
  /** The largest batch that the topic takes. */
  readonly maxMessageBytes: number
}

export interface PartitionLogOptions {
  /** Names the partition in messages: `orders-3`. */
  readonly name: string
  readonly directory: string
  readonly topicId: string
  readonly partition: number
  readonly settings: () => LogSettings
  readonly disk: SegmentDisk
  readonly files: OpenFiles
  readonly index: LogIndex
  readonly rounds: CommitRounds
  readonly clock: Clock
  readonly logger: Logger
  readonly telemetry: Telemetry
  readonly producerExpirationMs: number
  /** Stamped into every batch: the server's start counter, so that it never falls. */
  readonly leaderEpoch: number
  /** Raised by delete-records; kept in meta.db. */
  readonly logStartOffset: number
  readonly recover: () => Promise<OpenedLog>
  /** After each synced group. */
  readonly onSynced: (highWatermark: number, bytes: number) => void
}

export interface AppendedBatch {
  readonly baseOffset: number
  /** ms; -1 where records keep their own timestamps. */
  readonly logAppendTimeMs: number
  readonly duplicate: boolean
  readonly error?: TailraceError | undefined
}

/** When an append is answered: after the group's sync, after its write, or at once. */
export type AppendAcks = 'all' | 'leader' | 'none'

interface WaitingAppend {
  readonly batches: readonly SealedBatch[]
  readonly sizeBytes: number
  readonly acks: AppendAcks
  resolve(results: AppendedBatch[]): void
  reject(error: TailraceError): void
}

/** One write and one sync. */
interface Group {
  readonly appends: WaitingAppend[]
  readonly results: AppendedBatch[][]
  readonly written: SealedBatch[]
  sizeBytes: number
  /** Entries of producers before this group, to go back to if it cannot be written. */
  readonly producersBefore: Map<bigint, ProducerEntry | undefined>
}

export interface LogBounds {
  readonly logStartOffset: number
  readonly highWatermark: number
}

const NOT_ASKED: AppendedBatch[] = []

export class PartitionLog {
  readonly #options: PartitionLogOptions
  #opening: Promise<void> | undefined
  #opened = false
  #closed = false
  #offline: TailraceError | undefined
  /** It was to be opened, and could not be for a while. */
  #isUnread = false

  #logId = NO_LOG
  #segments: Segment[] = []
  #logStartOffset = 0
  #highWatermark = 0
  #sizeBytes = 0
  /** The next offset to give out; ahead of the high watermark while a group is under way. */
  #nextOffset = 0
  #bytesSinceIndexEntry = 0
  #producers = new Map<bigint, ProducerEntry>()

  /** Made by the first read: partitions at rest do without. */
  #landmarks: ReadLandmarks | undefined

  #queue: WaitingAppend[] = []
  #queueBytes = 0
  #writing: Promise<void> | undefined

  constructor(options: PartitionLogOptions) {
    this.#options = options
    this.#logStartOffset = options.logStartOffset
  }

  /** Loads what is known of the partition, and after a crash mends its end. Every verb waits for it. */
  open(): Promise<void> {
    if (this.#opening === undefined && this.#closed) return Promise.reject(this.#closedError())
    this.#opening ??= this.#open()
    return this.#opening
  }

  get offline(): TailraceError | undefined {
    return this.#offline
  }

  /** Of an open log. */
  get bounds(): LogBounds {
    return { logStartOffset: this.#logStartOffset, highWatermark: this.#highWatermark }
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  get segments(): readonly Segment[] {
    return this.#segments
  }

  get isOpen(): boolean {
    return this.#opened
  }

  /** A later start must look at its files: it is offline, or could not be opened so far. */
  get isDoubtful(): boolean {
    return this.#offline !== undefined || this.#isUnread
  }

  async #open(): Promise<void> {
    try {
      const opened = await this.#options.recover()
      this.#logId = opened.logId
      this.#segments = opened.segments
      this.#producers = opened.producers
      this.#highWatermark = opened.segments.at(-1)?.endOffset ?? this.#logStartOffset
      this.#nextOffset = this.#highWatermark
      const first = opened.segments[0]
      if (first !== undefined) this.#logStartOffset = Math.max(this.#logStartOffset, first.baseOffset)
      this.#sizeBytes = opened.segments.reduce((sum, segment) => sum + segment.sizeBytes, 0)
      if (this.#logStartOffset > this.#highWatermark) this.#beginAfterLoss()
      this.#isUnread = false
    } catch (error) {
      if (isPassing(error)) throw this.#openLater(error)
      this.#goOffline('opening it failed', error)
    }
    this.#opened = true
  }

  /** Nothing is wrong with its files: who comes next opens it. */
  #openLater(cause: unknown): TailraceError {
    this.#opening = undefined
    this.#isUnread = true
    const { name, logger } = this.#options
    const error = isDiskFull(cause)
      ? this.#writeFailure(cause, 'opening it failed')
      : new TailraceError('kafka_storage_error', `${name} could not be opened: too many files are open`, {}, { cause })
    logger.warn({ err: cause, partition: name }, `${name} could not be opened; it is tried again when it is asked for`)
    return error
  }

  /** Everything up to the log start offset was deleted and its files are gone: offsets still never start again. */
  #beginAfterLoss(): void {
    this.#segments.push(emptySegment(this.#logStartOffset))
    this.#highWatermark = this.#logStartOffset
    this.#nextOffset = this.#logStartOffset
  }

  // --- append ---

  /** Answers one result a batch, in order. Batches belong to the log from now on. */
  append(batches: readonly SealedBatch[], acks: AppendAcks): Promise<AppendedBatch[]> {
    let sizeBytes = 0
    for (const batch of batches) sizeBytes += batch.bytes.length
    const refusal = this.#offline ?? this.#refusal(sizeBytes)
    if (refusal !== undefined) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      this.#queue.push({ batches, sizeBytes, acks, resolve, reject })
      this.#queueBytes += sizeBytes
      this.#writing ??= this.#write()
      if (acks === 'none') resolve(NOT_ASKED)
    })
  }

  #refusal(sizeBytes: number): TailraceError | undefined {
    if (this.#closed) return this.#closedError()
    if (this.#queueBytes + sizeBytes <= APPEND_QUEUE_BYTES_MAX || this.#queueBytes === 0) return undefined
    return new TailraceError(
      'overloaded',
      `${this.#queueBytes} bytes already wait to be written to ${this.#options.name}`,
      {
        limit_bytes: APPEND_QUEUE_BYTES_MAX,
      },
    )
  }

  #closedError(): TailraceError {
    return new TailraceError('shutting_down', `the log of ${this.#options.name} is closed`)
  }

  /** Writes groups until nothing waits. Never rejects: a failure goes to those who asked. */
  async #write(): Promise<void> {
    const { rounds } = this.#options
    try {
      if (!this.#opened) await this.open()
    } catch (error) {
      this.#rejectWaiting(error as TailraceError)
    }
    while (this.#queue.length > 0) {
      if (this.#offline !== undefined) {
        this.#rejectWaiting(this.#offline)
        break
      }
      await rounds.enter()
      try {
        await this.#writeGroup()
      } catch (error) {
        // a bug: nobody knows what became of the group
        this.#rejectWaiting(this.#goOffline('a group could not be written', error))
      } finally {
        rounds.leave()
      }
    }
    this.#writing = undefined
  }

  async #writeGroup(): Promise<void> {
    let segment: Segment
    try {
      segment = await this.#segmentForNext()
    } catch (error) {
      // nothing of these appends has been written
      this.#rejectWaiting(this.#writeFailure(error, 'a new segment could not be made'))
      return
    }
    const group = this.#takeGroup(segment)
    if (group.written.length === 0) return settle(group)
    let isOpen = false
    await this.#options.files
      .use(segmentPath(this.#options.directory, segment.baseOffset), false, (file) => {
        isOpen = true
        return this.#commit(file, segment, group)
      })
      .catch((error) => {
        if (isOpen) return rejectGroup(group, this.#goOffline('a group was not brought to its end', error))
        this.#rollBack(group)
        rejectGroup(group, this.#writeFailure(error, 'its segment file could not be opened'))
      })
  }

  async #commit(file: SegmentFile, segment: Segment, group: Group): Promise<void> {
    try {
      await file.write(
        group.written.map((batch) => batch.bytes),
        segment.sizeBytes,
      )
    } catch (error) {
      await this.#undoWrite(file, segment, group, error)
      return
    }
    for (let at = 0; at < group.appends.length; at++) {
      const append = group.appends[at] as WaitingAppend
      if (append.acks === 'leader') append.resolve(group.results[at] as AppendedBatch[])
    }
    const started = this.#options.clock.monotonic()
    try {
      await file.sync()
    } catch (error) {
      rejectGroup(group, this.#goOffline('fdatasync failed', error))
      return
    }
    this.#options.telemetry.syncSeconds.observe((this.#options.clock.monotonic() - started) / 1000)
    this.#options.telemetry.groupBatches.observe(group.written.length)
    this.#advance(segment, group)
    settle(group)
  }

  /** A part of the group may stand in the file: it is cut off again, and if that fails too nobody knows what is there. */
  async #undoWrite(file: SegmentFile, segment: Segment, group: Group, cause: unknown): Promise<void> {
    this.#rollBack(group)
    try {
      await file.truncate(segment.sizeBytes)
      // else a power cut could bring the part back, behind which later segments may stand by then
      await file.sync()
    } catch (error) {
      rejectGroup(group, this.#goOffline('a failed write could not be undone', error))
      return
    }
    const failure = isDiskFull(cause)
      ? this.#writeFailure(cause, 'the write failed')
      : this.#goOffline('a write failed', cause)
    rejectGroup(group, failure)
  }

  #rollBack(group: Group): void {
    this.#nextOffset = this.#highWatermark
    for (const [producerId, entry] of group.producersBefore) {
      if (entry === undefined) this.#producers.delete(producerId)
      else this.#producers.set(producerId, entry)
    }
  }

  /** What was synced becomes visible: index, high watermark, producers, then those who wait. */
  #advance(segment: Segment, group: Group): void {
    const { index } = this.#options
    const { indexIntervalBytes } = this.#options.settings()
    for (const { header } of group.written) {
      if (this.#bytesSinceIndexEntry >= indexIntervalBytes) {
        index.addEntry(this.#logId, segment.baseOffset, {
          offset: header.baseOffset,
          position: segment.sizeBytes,
          priorMaxTimestamp: segment.maxTimestamp,
        })
        this.#bytesSinceIndexEntry = 0
      }
      if (segment.sizeBytes === 0) segment.firstTimestamp = header.maxTimestamp
      segment.sizeBytes += header.sizeBytes
      segment.maxTimestamp = Math.max(segment.maxTimestamp, header.maxTimestamp)
      segment.endOffset = header.baseOffset + header.lastOffsetDelta + 1
      this.#bytesSinceIndexEntry += header.sizeBytes
    }
    for (const producerId of group.producersBefore.keys()) {
      index.noteProducer(this.#logId, this.#producers.get(producerId) as ProducerEntry)
    }
    this.#sizeBytes += group.sizeBytes
    this.#highWatermark = segment.endOffset
    index.noteSegment(this.#logId, segment, {
      segmentBase: segment.baseOffset,
      position: segment.sizeBytes,
      offset: segment.endOffset,
    })
    this.#options.onSynced(this.#highWatermark, group.sizeBytes)
  }

  /** Takes what waits, as far as it goes into the present segment and one write, and gives it its offsets. */
  #takeGroup(segment: Segment): Group {
    const settings = this.#options.settings()
    const group: Group = { appends: [], results: [], written: [], sizeBytes: 0, producersBefore: new Map() }
    let taken = 0
    for (const append of this.#queue) {
      if (taken > 0 && group.sizeBytes + append.sizeBytes > GROUP_BYTES_MAX) break
      if (taken > 0 && this.#mustRoll({ ...segment, sizeBytes: segment.sizeBytes + group.sizeBytes }, append)) break
      taken++
      this.#queueBytes -= append.sizeBytes
      group.appends.push(append)
      group.results.push(append.batches.map((batch) => this.#place(batch, group, settings)))
    }
    this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken)
    return group
  }

  /** Stamps one batch with the next offset, unless its producer shows it as a repeat or refuses it. */
  #place(batch: SealedBatch, group: Group, settings: LogSettings): AppendedBatch {
    const { header } = batch
    if (header.producerId >= 0n) {
      const verdict = this.#judge(batch)
      if (verdict instanceof TailraceError) {
        return { baseOffset: -1, logAppendTimeMs: -1, duplicate: false, error: verdict }
      }
      if (verdict === 'forgotten') return { baseOffset: -1, logAppendTimeMs: -1, duplicate: true }
      if (verdict !== 'append') {
        const logAppendTimeMs = settings.logAppendTime ? verdict.timestamp : -1
        return { baseOffset: verdict.baseOffset, logAppendTimeMs, duplicate: true }
      }
    }
    const now = this.#options.clock.now()
    stampBatch(batch, this.#nextOffset, this.#options.leaderEpoch)
    if (settings.logAppendTime) stampLogAppendTime(batch, now)
    if (header.producerId >= 0n) this.#remember(batch, group, now)
    this.#nextOffset += header.lastOffsetDelta + 1
    group.written.push(batch)
    group.sizeBytes += header.sizeBytes
    return { baseOffset: header.baseOffset, logAppendTimeMs: settings.logAppendTime ? now : -1, duplicate: false }
  }

  #judge(batch: SealedBatch): ProducerVerdict | TailraceError {
    try {
      return judgeBatch(this.#producers.get(batch.header.producerId), batch.header)
    } catch (error) {
      return error as TailraceError
    }
  }

  #remember(batch: SealedBatch, group: Group, now: number): void {
    const { producerId } = batch.header
    const before = this.#producers.get(producerId)
    if (!group.producersBefore.has(producerId)) group.producersBefore.set(producerId, before)
    this.#producers.set(producerId, withBatch(before, batch.header, now))
  }

  #mustRoll(segment: Segment, append: WaitingAppend): boolean {
    let records = 0
    let maxTimestamp = -1
    const { logAppendTime } = this.#options.settings()
    for (const { header } of append.batches) {
      records += header.lastOffsetDelta + 1
      maxTimestamp = Math.max(maxTimestamp, header.maxTimestamp)
    }
    if (logAppendTime) maxTimestamp = this.#options.clock.now()
    const next = { sizeBytes: append.sizeBytes, lastOffset: this.#nextOffset + records - 1, maxTimestamp }
    return shouldRoll(segment, next, this.#options.settings())
  }

  /** The segment that the next append goes to; a new one when there is none yet or the last is to be rolled. */
  #segmentForNext(): Segment | Promise<Segment> {
    const last = this.#segments.at(-1)
    if (last !== undefined && last.sizeBytes > 0) {
      return this.#mustRoll(last, this.#queue[0] as WaitingAppend) ? this.#roll() : last
    }
    return this.#firstSegment(last)
  }

  async #firstSegment(last: Segment | undefined): Promise<Segment> {
    // an empty last segment may be known from the log start offset only, without a file yet
    await this.#makeDirectory()
    return this.#addSegment(last ?? emptySegment(this.#nextOffset))
  }

  async #roll(): Promise<Segment> {
    this.#forgetExpiredProducers()
    if (this.#producers.size > 0) {
      const path = snapshotPath(this.#options.directory, this.#nextOffset)
      await this.#options.disk.writeFileDurably(path, renderSnapshot(this.#producers.values()))
    }
    return this.#addSegment(emptySegment(this.#nextOffset))
  }

  async #addSegment(segment: Segment): Promise<Segment> {
    const { directory, files, disk } = this.#options
    if (this.#logId === NO_LOG) this.#logId = this.#options.index.addLog(this.#options.topicId, this.#options.partition)
    await files.use(segmentPath(directory, segment.baseOffset), true, () => Promise.resolve())
    await disk.syncDirectory(directory)
    if (this.#segments.at(-1) !== segment) this.#segments.push(segment)
    this.#bytesSinceIndexEntry = 0
    return segment
  }

  /** The folder with the topic's UUID in it, as Kafka's partition.metadata. */
  async #makeDirectory(): Promise<void> {
    const { disk, directory, topicId } = this.#options
    if ((await disk.list(directory)).includes(PARTITION_METADATA)) return
    await disk.makeDirectory(directory)
    await disk.writeFileDurably(join(directory, PARTITION_METADATA), renderPartitionMetadata(topicId))
  }

  #forgetExpiredProducers(): void {
    const oldest = this.#options.clock.now() - this.#options.producerExpirationMs
    for (const [producerId, entry] of this.#producers) {
      if (entry.lastSeenMs < oldest) this.#producers.delete(producerId)
    }
  }

  #rejectWaiting(error: TailraceError): void {
    const waiting = this.#queue
    this.#queue = []
    this.#queueBytes = 0
    for (const append of waiting) append.reject(error)
  }

  #writeFailure(cause: unknown, what: string): TailraceError {
    if (cause instanceof TailraceError) return cause
    if (isDiskFull(cause)) {
      return new TailraceError(
        'disk_full',
        `no room on the disk: ${what}`,
        { partition: this.#options.name },
        { cause },
      )
    }
    return new TailraceError('kafka_storage_error', `${this.#options.name}: ${what}`, {}, { cause })
  }

  #goOffline(what: string, cause: unknown): TailraceError {
    const { name, logger, telemetry } = this.#options
    const reason = cause instanceof TailraceError ? cause.message : `${what}: ${(cause as Error).message}`
    const error = new TailraceError(
      'kafka_storage_error',
      `partition ${name} is offline until the server is started again: ${reason}`,
      { partition: name },
      { cause },
    )
    this.#offline = error
    telemetry.partitionsFailed++
    logger.error({ err: cause, partition: name }, error.message)
    return error
  }

  // --- read ---

  /**
   * Whole batches from the one that holds an offset on, out of one segment, at most maxBytes of them (the first one
   * even if larger, when atLeastOne is set), their checksums verified. Empty at the high watermark. offset_out_of_range beyond the bounds, corrupt_message with
   * file, position and offset when the first batch is bad (what comes before a bad one is given first).
   */
  async read(offset: number, maxBytes: number, atLeastOne = true): Promise<Buffer> {
    if (!this.#opened) await this.open()
    this.#checkReadable()
    if (offset < this.#logStartOffset || offset > this.#highWatermark) throw this.#outOfRange(offset)
    const found = this.#segmentOf(offset)
    if (found === undefined) return EMPTY
    const { segment } = found
    const from = Math.max(offset, segment.baseOffset)
    this.#landmarks ??= new ReadLandmarks()
    const landmarks = this.#landmarks
    const place = landmarks.find(segment.baseOffset, from) ?? this.#floorOf(segment, from)
    const path = segmentPath(this.#options.directory, segment.baseOffset)
    return this.#options.files.use(path, false, (file) =>
      cutBatches(file, {
        path,
        position: place.position,
        end: segment.sizeBytes,
        offset: from,
        maxBytes,
        atLeastOne,
        skippedBytes: place.offset === from ? 0 : LANDMARK_BYTES,
        segmentBase: segment.baseOffset,
        landmarks,
      }),
    )
  }

  #floorOf(segment: Segment, offset: number): { readonly offset: number; readonly position: number } {
    const entry = this.#options.index.floorOfOffset(this.#logId, segment.baseOffset, offset)
    return entry ?? { offset: segment.baseOffset, position: 0 }
  }

  /**
   * To be asked right before a file is used: behind a closed log its folder may be gone, and a file of another topic may
   * stand at its path.
   */
  #checkReadable(): void {
    if (this.#closed) throw this.#closedError()
    if (this.#offline !== undefined) throw this.#offline
  }

  /** The segment that holds an offset or, where compaction took it, the next record; undefined at the high watermark. */
  #segmentOf(offset: number): { segment: Segment } | undefined {
    let at = Math.max(0, segmentFloor(this.#segments, offset))
    while (at < this.#segments.length) {
      const segment = this.#segments[at] as Segment
      if (segment.sizeBytes > 0 && offset < segment.endOffset) return { segment }
      at++
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
  async findByTimestamp(timestamp: number): Promise<{ offset: number; timestamp: number } | undefined> {
    if (!this.#opened) await this.open()
    this.#checkReadable()
    for (const segment of this.#segments) {
      if (segment.sizeBytes === 0 || segment.maxTimestamp < timestamp) continue
      if (segment.endOffset <= this.#logStartOffset) continue
      const found = await this.#findInSegment(segment, timestamp)
      if (found !== undefined) return found
    }
    return undefined
  }

  #findInSegment(segment: Segment, timestamp: number) {
    this.#checkReadable()
    const entry = this.#options.index.floorOfTimestamp(this.#logId, segment, timestamp)
    const path = segmentPath(this.#options.directory, segment.baseOffset)
    const range = { path, position: entry?.position ?? 0, end: segment.sizeBytes, minOffset: this.#logStartOffset }
    return this.#options.files.use(path, false, (file) => findByTimestamp(file, { ...range, timestamp }))
  }

  /** The first record that has the largest timestamp; undefined in an empty log. */
  async findMaxTimestamp(): Promise<{ offset: number; timestamp: number } | undefined> {
    if (!this.#opened) await this.open()
    const readable = this.#segments.filter((one) => one.sizeBytes > 0 && one.endOffset > this.#logStartOffset)
    const max = readable.reduce((found, segment) => Math.max(found, segment.maxTimestamp), -1)
    const exact = await this.findByTimestamp(max)
    if (exact !== undefined || readable.length === 0) return exact
    // the largest lies below the log start offset, in a segment that is still there: look at what remains
    return this.#findMaxByScan(readable)
  }

  async #findMaxByScan(segments: readonly Segment[]): Promise<{ offset: number; timestamp: number } | undefined> {
    let best: { offset: number; timestamp: number } | undefined
    for (const segment of segments) {
      this.#checkReadable()
      const path = segmentPath(this.#options.directory, segment.baseOffset)
      const range = { path, position: 0, end: segment.sizeBytes, minOffset: this.#logStartOffset }
      const found = await this.#options.files.use(path, false, (file) => findMaxTimestamp(file, range))
      if (found !== undefined && found.timestamp > (best?.timestamp ?? -1)) best = found
    }
    return best
  }

  // --- the rest ---

  /** Takes hold at once; the caller has made it durable. Never goes back. */
  raiseLogStartOffset(offset: number): void {
    this.#logStartOffset = Math.max(this.#logStartOffset, offset)
  }

  producer(producerId: bigint): ProducerEntry | undefined {
    return this.#producers.get(producerId)
  }

  /** All producers that this partition remembers. */
  producers(): IterableIterator<ProducerEntry> {
    return this.#producers.values()
  }

  /** Refuses what comes from now on and waits for what is under way. Nothing is left to scan afterwards. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#opening
    await this.#writing
  }
}

const EMPTY = Buffer.alloc(0)

function settle(group: Group): void {
  for (let at = 0; at < group.appends.length; at++) {
    ;(group.appends[at] as WaitingAppend).resolve(group.results[at] as AppendedBatch[])
  }
}

function rejectGroup(group: Group, error: TailraceError): void {
  for (const append of group.appends) append.reject(error)
}

/** What the machine lacks now and may have later. */
function isPassing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EMFILE' || code === 'ENFILE' || isDiskFull(error)
}

function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL'
}
