// A6: the side of a partition's log that writes. It assigns offsets, gathers what waits into one write and one sync (group
// commit; commit-rounds.ts decides of which file) and remembers producers; segment-rolls.ts begins segments. What must hold: one stretch at a
// time; an append is in one stretch, and so stored whole or not at all; after a failed sync nothing is written any more,
// because nobody can say what the disk holds. Any number of callers at once.

import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { APPEND_QUEUE_BYTES_MAX, JOURNAL_STRETCH_BYTES_MAX, STRETCH_BYTES_MAX } from '../kernel/limits.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { SealedBatch } from '../record/record-batch.ts'
import { stampBatch, stampLogAppendTime } from '../record/record-batch.ts'
import type { CommitJournal } from './commit-journal.ts'
import type { CommitRounds, Turn } from './commit-rounds.ts'
import type { CompactionSettings } from './log-compaction.ts'
import type { LogIndex } from './log-index.ts'
import type { Segment } from './log-segment.ts'
import { segmentPath } from './log-segment.ts'
import type { OpenFiles } from './open-files.ts'
import type { PartitionState } from './partition-state.ts'
import type { ProducerEntry, ProducerVerdict } from './producer-state.ts'
import { judgeBatch, withBatch } from './producer-state.ts'
import type { SegmentDisk, SegmentFile } from './segment-file.ts'
import { SegmentGrowth } from './segment-growth.ts'
import { SegmentRolls } from './segment-rolls.ts'
import { isDiskFull, storageFailure } from './storage-failure.ts'

/** What of a topic's configuration the log itself obeys; read anew for every stretch, so that changes take hold at once. */
export interface LogSettings {
  readonly segmentBytes: number
  readonly segmentMs: number
  readonly indexIntervalBytes: number
  readonly logAppendTime: boolean
  /** undefined: the topic is not compacted. */
  readonly compaction: (CompactionSettings & { readonly deleteRetentionMs: number }) | undefined
  /** The largest batch that the topic takes. */
  readonly maxMessageBytes: number
  /** Infinity: nothing goes for its age, or the topic's cleanup.policy does not delete. */
  readonly retentionMs: number
  /** Infinity: nothing goes for the log's size, or the topic's cleanup.policy does not delete. */
  readonly retentionBytes: number
  readonly fileDeleteDelayMs: number
}

export interface LogAppenderOptions {
  readonly directory: string
  readonly topicId: string
  readonly partition: number
  readonly settings: () => LogSettings
  readonly disk: SegmentDisk
  readonly files: OpenFiles
  readonly index: LogIndex
  readonly rounds: CommitRounds
  readonly journal: CommitJournal
  readonly clock: Clock
  /** When producers were seen, by a clock without steps: one must not forget who may repeat its request. */
  readonly steadyNow: () => number
  readonly telemetry: Telemetry
  /** A producer that may be forgotten: nobody will ask whether a batch of it is a repeat. */
  readonly isForgotten: (entry: ProducerEntry) => boolean
  /** Stamped into every batch: the server's start counter, so that it never falls. */
  readonly leaderEpoch: number
  /** After each synced stretch. */
  readonly onSynced: (highWatermark: number, bytes: number) => void
}

/** What the appender asks of the rest of its log. */
interface LogAppenderParts extends LogAppenderOptions {
  /** Asked before the first stretch, should the partition not be open by then. */
  readonly open: () => Promise<void>
  /** A segment was closed. */
  readonly rolled: () => void
  /** Retention is to make room for so many bytes, if it can. Never rejects. */
  readonly makeRoom: (bytes: number) => Promise<void>
}

export interface AppendedBatch {
  readonly baseOffset: number
  /** ms; -1 where records keep their own timestamps. */
  readonly logAppendTimeMs: number
  readonly duplicate: boolean
  readonly error?: TailraceError | undefined
}

/** When an append is answered: after the stretch's sync, after its write, or at once. */
export type AppendAcks = 'all' | 'leader' | 'none'

interface WaitingAppend {
  readonly batches: readonly SealedBatch[]
  readonly sizeBytes: number
  readonly acks: AppendAcks
  resolve(results: AppendedBatch[]): void
  reject(error: TailraceError): void
}

interface WaitingRoll {
  resolve(): void
  reject(error: TailraceError): void
}

/** Appends that share one write and one sync. */
interface Stretch {
  readonly appends: WaitingAppend[]
  readonly results: AppendedBatch[][]
  readonly written: SealedBatch[]
  sizeBytes: number
  /** Entries of producers before this stretch, to go back to if it cannot be written. */
  readonly producersBefore: Map<bigint, ProducerEntry | undefined>
}

interface Commit {
  readonly turn: Turn
  readonly path: string
  readonly file: SegmentFile
  readonly segment: Segment
  readonly stretch: Stretch
}

const NOT_ASKED: AppendedBatch[] = []

export class LogAppender {
  readonly #options: LogAppenderParts
  readonly #state: PartitionState
  readonly #growth = new SegmentGrowth()
  readonly #segments: SegmentRolls
  #queue: WaitingAppend[] = []
  #queueBytes = 0
  #rolls: WaitingRoll[] = []
  #writing: Promise<void> | undefined

  constructor(state: PartitionState, options: LogAppenderParts) {
    this.#state = state
    this.#options = options
    this.#segments = new SegmentRolls(state, this.#growth, options)
  }

  /** What waits to be written. */
  get queueBytes(): number {
    return this.#queueBytes
  }

  /** Answers one result a batch, in order. Batches belong to the log from now on. */
  append(batches: readonly SealedBatch[], acks: AppendAcks): Promise<AppendedBatch[]> {
    let sizeBytes = 0
    for (const batch of batches) sizeBytes += batch.bytes.length
    const refusal = this.#state.offline ?? this.#refusal(sizeBytes)
    if (refusal !== undefined) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      this.#queue.push({ batches, sizeBytes, acks, resolve, reject })
      this.#queueBytes += sizeBytes
      this.#writing ??= this.#write()
      if (acks === 'none') resolve(NOT_ASKED)
    })
  }

  /** Closes the segment that is written, if there is anything in it, and begins a new one. */
  roll(): Promise<void> {
    const refusal = this.#state.offline ?? (this.#state.isClosed ? this.#state.closedError() : undefined)
    if (refusal !== undefined) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      this.#rolls.push({ resolve, reject })
      this.#writing ??= this.#write()
    })
  }

  #refusal(sizeBytes: number): TailraceError | undefined {
    if (this.#state.isClosed) return this.#state.closedError()
    if (this.#queueBytes + sizeBytes <= APPEND_QUEUE_BYTES_MAX || this.#queueBytes === 0) return undefined
    return new TailraceError(
      'overloaded',
      `${this.#queueBytes} bytes already wait to be written to ${this.#state.name}`,
      {
        limit_bytes: APPEND_QUEUE_BYTES_MAX,
      },
    )
  }

  /** Writes stretches until nothing waits. Never rejects: a failure goes to those who asked. */
  async #write(): Promise<void> {
    const { rounds } = this.#options
    try {
      if (!this.#state.isOpen) await this.#options.open()
    } catch (error) {
      this.#rejectWaiting(error as TailraceError)
    }
    while (this.#queue.length > 0 || this.#rolls.length > 0) {
      if (this.#state.offline !== undefined) {
        this.#rejectWaiting(this.#state.offline)
        break
      }
      if (this.#rolls.length > 0) await this.#rollAsAsked()
      const [next] = this.#queue
      if (next === undefined) continue
      // not within a round: others do not wait for it
      if (this.#isRoomWanted(next.sizeBytes)) await this.#options.makeRoom(next.sizeBytes)
      const turn = await rounds.enter()
      try {
        await this.#writeStretch(turn)
      } catch (error) {
        // a bug: nobody knows what became of the stretch
        this.#rejectWaiting(this.#state.goOffline('appends could not be written', error))
      } finally {
        turn.leave()
      }
    }
    this.#writing = undefined
  }

  async #rollAsAsked(): Promise<void> {
    const rolls = this.#rolls
    this.#rolls = []
    try {
      if ((this.#state.segments.at(-1)?.sizeBytes ?? 0) > 0) await this.#segments.roll()
      for (const roll of rolls) roll.resolve()
    } catch (error) {
      for (const roll of rolls) roll.reject(this.#failure(error, 'a new segment could not be made'))
    }
  }

  /**
   * A log grows to retention.bytes and one segment, and no further while its oldest segments can go. One that is beyond that
   * already, its retention.bytes having been lowered, is left to the next check: nobody is to wait for all of it.
   */
  #isRoomWanted(bytes: number): boolean {
    const roomBytes = this.#roomBytes()
    return roomBytes >= 0 && bytes > roomBytes && this.#state.segments.length > 1
  }

  #roomBytes(): number {
    const { retentionBytes, segmentBytes } = this.#options.settings()
    return retentionBytes + segmentBytes - this.#state.sizeBytes
  }

  async #writeStretch(turn: Turn): Promise<void> {
    // while it waited for its turn the journal may have failed to sync its file
    if (this.#state.offline !== undefined) return this.#rejectWaiting(this.#state.offline)
    let segment: Segment
    try {
      const next = this.#segments.forNext(this.#queue[0] as WaitingAppend)
      if (next instanceof Promise) turn.standAside()
      segment = await next
    } catch (error) {
      // nothing of these appends has been written
      this.#rejectWaiting(this.#failure(error, 'a new segment could not be made'))
      return
    }
    const stretch = this.#takeStretch(segment)
    if (stretch.written.length === 0) return settle(stretch)
    let isOpen = false
    const { files } = this.#options
    const path = segmentPath(this.#options.directory, segment.baseOffset)
    // to open it may need another file to be closed, such as one of those that would wait for this one
    if (stretch.sizeBytes > JOURNAL_STRETCH_BYTES_MAX || !files.isOpen(path)) turn.standAside()
    await files
      .use(path, false, (file) => {
        isOpen = true
        return this.#commit({ turn, path, file, segment, stretch })
      })
      .catch((error) => {
        if (isOpen) return rejectStretch(stretch, this.#state.goOffline('an append was not brought to its end', error))
        this.#rollBack(stretch)
        rejectStretch(stretch, this.#failure(error, 'its segment file could not be opened'))
      })
  }

  async #commit({ turn, path, file, segment, stretch }: Commit): Promise<void> {
    const buffers = stretch.written.map((batch) => batch.bytes)
    const position = segment.sizeBytes
    try {
      await file.write(buffers, position)
    } catch (error) {
      turn.standAside()
      await this.#undoWrite(file, segment, stretch, error)
      return
    }
    for (let at = 0; at < stretch.appends.length; at++) {
      const append = stretch.appends[at] as WaitingAppend
      if (append.acks === 'leader') append.resolve(stretch.results[at] as AppendedBatch[])
    }
    const started = this.#options.clock.monotonic()
    try {
      const { topicId, partition } = this.#options
      const { sizeBytes } = stretch
      const place = { topicId, partition, segmentBase: segment.baseOffset, position }
      await turn.sync({ ...place, sizeBytes, buffers, path, file, lost: this.#lost })
    } catch (error) {
      rejectStretch(stretch, this.#state.offline ?? this.#state.goOffline('fdatasync failed', error))
      return
    }
    this.#options.telemetry.syncSeconds.observe((this.#options.clock.monotonic() - started) / 1000)
    this.#options.telemetry.syncedBatches.observe(stretch.written.length)
    this.#advance(segment, stretch)
    settle(stretch)
  }

  readonly #lost = (cause: unknown): void => {
    if (this.#state.offline === undefined) this.#state.goOffline('fdatasync failed', cause)
  }

  /** A part of the stretch may stand in the file: it is cut off again, and if that fails too nobody knows what is there. */
  async #undoWrite(file: SegmentFile, segment: Segment, stretch: Stretch, cause: unknown): Promise<void> {
    this.#rollBack(stretch)
    try {
      await file.truncate(segment.sizeBytes)
      // else a power cut could bring the part back, behind which later segments may stand by then
      await this.#options.journal.sync(file)
    } catch (error) {
      rejectStretch(stretch, this.#state.goOffline('a failed write could not be undone', error))
      return
    }
    const failure = isDiskFull(cause)
      ? this.#failure(cause, 'the write failed')
      : this.#state.goOffline('a write failed', cause)
    rejectStretch(stretch, failure)
  }

  #rollBack(stretch: Stretch): void {
    this.#state.nextOffset = this.#state.highWatermark
    for (const [producerId, entry] of stretch.producersBefore) {
      if (entry === undefined) this.#state.producers.delete(producerId)
      else this.#state.producers.set(producerId, entry)
    }
  }

  /** What was synced becomes visible: index, high watermark, producers, then those who wait. */
  #advance(segment: Segment, stretch: Stretch): void {
    const { index } = this.#options
    const { indexIntervalBytes } = this.#options.settings()
    for (const { header } of stretch.written) {
      const entry = this.#growth.add(segment, header, indexIntervalBytes)
      if (entry !== undefined) index.addEntry(this.#state.logId, segment, entry)
    }
    for (const producerId of stretch.producersBefore.keys()) {
      const entry = this.#state.producers.get(producerId)
      // the wall clock may have leapt, and the producer be forgotten, while the stretch was synced
      if (entry !== undefined) index.noteProducer(this.#state.logId, entry)
    }
    this.#state.sizeBytes += stretch.sizeBytes
    this.#state.highWatermark = segment.endOffset
    index.noteSegment(this.#state.logId, segment, {
      segmentBase: segment.baseOffset,
      position: segment.sizeBytes,
      offset: segment.endOffset,
    })
    this.#options.onSynced(this.#state.highWatermark, stretch.sizeBytes)
  }

  /** Takes what waits, as far as it goes into the present segment and one write, and gives it its offsets. */
  #takeStretch(segment: Segment): Stretch {
    const settings = this.#options.settings()
    const stretch: Stretch = { appends: [], results: [], written: [], sizeBytes: 0, producersBefore: new Map() }
    const roomBytes = this.#roomBytes()
    const stretchBytesMax = roomBytes > 0 ? Math.min(roomBytes, STRETCH_BYTES_MAX) : STRETCH_BYTES_MAX
    let taken = 0
    for (const append of this.#queue) {
      if (taken > 0 && stretch.sizeBytes + append.sizeBytes > stretchBytesMax) break
      if (
        taken > 0 &&
        this.#segments.mustRoll({ ...segment, sizeBytes: segment.sizeBytes + stretch.sizeBytes }, append)
      )
        break
      taken++
      this.#queueBytes -= append.sizeBytes
      stretch.appends.push(append)
      stretch.results.push(append.batches.map((batch) => this.#place(batch, stretch, settings)))
    }
    this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken)
    return stretch
  }

  /** Stamps one batch with the next offset, unless its producer shows it as a repeat or refuses it. */
  #place(batch: SealedBatch, stretch: Stretch, settings: LogSettings): AppendedBatch {
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
    stampBatch(batch, this.#state.nextOffset, this.#options.leaderEpoch)
    if (settings.logAppendTime) stampLogAppendTime(batch, now)
    if (header.producerId >= 0n) this.#remember(batch, stretch)
    this.#state.nextOffset += header.lastOffsetDelta + 1
    stretch.written.push(batch)
    stretch.sizeBytes += header.sizeBytes
    return { baseOffset: header.baseOffset, logAppendTimeMs: settings.logAppendTime ? now : -1, duplicate: false }
  }

  #judge(batch: SealedBatch): ProducerVerdict | TailraceError {
    try {
      return judgeBatch(this.#state.producers.get(batch.header.producerId), batch.header)
    } catch (error) {
      return error as TailraceError
    }
  }

  #remember(batch: SealedBatch, stretch: Stretch): void {
    const { producerId } = batch.header
    const before = this.#state.producers.get(producerId)
    if (!stretch.producersBefore.has(producerId)) stretch.producersBefore.set(producerId, before)
    this.#state.producers.set(producerId, withBatch(before, batch.header, this.#options.steadyNow()))
  }

  #rejectWaiting(error: TailraceError): void {
    const waiting = [...this.#queue, ...this.#rolls]
    this.#queue = []
    this.#queueBytes = 0
    this.#rolls = []
    for (const one of waiting) one.reject(error)
  }

  #failure(cause: unknown, what: string): TailraceError {
    return storageFailure(this.#state.name, cause, what)
  }

  /** Forgets the producers that may be forgotten, and index.db with them; halts after each that it looks at. */
  forgetProducers(): Generator<void> {
    return this.#segments.forgetProducers()
  }

  /** What is under way has come to its end. */
  async idle(): Promise<void> {
    await this.#writing
  }
}

function settle(stretch: Stretch): void {
  for (let at = 0; at < stretch.appends.length; at++) {
    ;(stretch.appends[at] as WaitingAppend).resolve(stretch.results[at] as AppendedBatch[])
  }
}

function rejectStretch(stretch: Stretch, error: TailraceError): void {
  for (const append of stretch.appends) append.reject(error)
}
