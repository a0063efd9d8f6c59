// The segments of a partition that is written: which one the next append goes to, and how another is begun. What must hold: a
// new segment is durable, with its folder, before anything goes into it, and the one before it was synced whole; a roll that
// has failed half way is brought to its end before anything else is written. One call at a time, by log-appender.ts.

import { join } from 'node:path'
import type { Clock } from '../kernel/clock.ts'
import type { SealedBatch } from '../record/record-batch.ts'
import type { CommitJournal } from './commit-journal.ts'
import type { LogIndex } from './log-index.ts'
import { NO_LOG } from './log-index.ts'
import type { RollSettings, Segment } from './log-segment.ts'
import { emptySegment, segmentPath, shouldRoll, snapshotPath } from './log-segment.ts'
import type { OpenFiles } from './open-files.ts'
import { PARTITION_METADATA, renderPartitionMetadata } from './partition-metadata.ts'
import type { PartitionState } from './partition-state.ts'
import type { ProducerEntry } from './producer-state.ts'
import { renderSnapshot } from './producer-state.ts'
import type { SegmentDisk } from './segment-file.ts'
import type { SegmentGrowth } from './segment-growth.ts'

/** What an append brings with it. */
interface Appended {
  readonly batches: readonly SealedBatch[]
  readonly sizeBytes: number
}

interface SegmentRollsParts {
  readonly directory: string
  readonly topicId: string
  readonly partition: number
  readonly settings: () => RollSettings & { readonly logAppendTime: boolean }
  readonly disk: SegmentDisk
  readonly files: OpenFiles
  readonly index: LogIndex
  readonly journal: CommitJournal
  readonly clock: Clock
  /** A producer that may be forgotten: nobody will ask whether a batch of it is a repeat. */
  readonly isForgotten: (entry: ProducerEntry) => boolean
  /** A segment was closed. */
  readonly rolled: () => void
}

export class SegmentRolls {
  readonly #options: SegmentRollsParts
  readonly #state: PartitionState
  /** Of the last segment. */
  readonly #growth: SegmentGrowth
  /** A roll has failed half way: its file may be there, and nothing goes into the segment before it any more. */
  #isRolling = false

  constructor(state: PartitionState, growth: SegmentGrowth, options: SegmentRollsParts) {
    this.#state = state
    this.#growth = growth
    this.#options = options
  }

  /** Whether an append must not go into a segment. */
  mustRoll(segment: Segment, append: Appended): boolean {
    let records = 0
    let maxTimestamp = -1
    const { logAppendTime } = this.#options.settings()
    for (const { header } of append.batches) {
      records += header.lastOffsetDelta + 1
      maxTimestamp = Math.max(maxTimestamp, header.maxTimestamp)
    }
    if (logAppendTime) maxTimestamp = this.#options.clock.now()
    const next = { sizeBytes: append.sizeBytes, lastOffset: this.#state.nextOffset + records - 1, maxTimestamp }
    return shouldRoll(segment, next, this.#options.settings())
  }

  /** The segment that the next append goes to; a new one when there is none yet or the last is to be rolled. */
  forNext(next: Appended): Segment | Promise<Segment> {
    const last = this.#state.segments.at(-1)
    if (last !== undefined && last.sizeBytes > 0) {
      return this.#isRolling || this.mustRoll(last, next) ? this.roll() : last
    }
    return this.#firstSegment(last)
  }

  async #firstSegment(last: Segment | undefined): Promise<Segment> {
    // an empty last segment may be known from the log start offset only, without a file yet
    await this.#makeDirectory()
    return this.#addSegment(last ?? emptySegment(this.#state.nextOffset))
  }

  /** Closes the last segment and begins another. */
  async roll(): Promise<Segment> {
    const last = this.#state.segments.at(-1) as Segment
    try {
      // a start replays the journal into the last segment only
      await this.#options.journal.syncPath(segmentPath(this.#options.directory, last.baseOffset))
    } catch (error) {
      throw this.#state.offline ?? this.#state.goOffline('fdatasync failed', error)
    }
    for (const _ of this.forgetProducers());
    if (this.#state.producers.size > 0) {
      const path = snapshotPath(this.#options.directory, this.#state.nextOffset)
      await this.#options.disk.writeFileDurably(path, renderSnapshot(this.#state.producers.values()))
    }
    const segment = await this.#addSegment(emptySegment(this.#state.nextOffset))
    this.#options.rolled()
    return segment
  }

  async #addSegment(segment: Segment): Promise<Segment> {
    const { directory, files, disk } = this.#options
    if (this.#state.logId === NO_LOG)
      this.#state.logId = this.#options.index.addLog(this.#options.topicId, this.#options.partition)
    this.#isRolling = true
    await files.use(segmentPath(directory, segment.baseOffset), true, () => Promise.resolve())
    await disk.syncDirectory(directory)
    this.#isRolling = false
    if (this.#state.segments.at(-1) !== segment) this.#state.segments.push(segment)
    this.#growth.begin()
    return segment
  }

  /** The folder with the topic's UUID in it, as Kafka's partition.metadata. */
  async #makeDirectory(): Promise<void> {
    const { disk, directory, topicId } = this.#options
    if ((await disk.list(directory)).includes(PARTITION_METADATA)) return
    await disk.makeDirectory(directory)
    await disk.writeFileDurably(join(directory, PARTITION_METADATA), renderPartitionMetadata(topicId))
  }

  /** Forgets the producers that may be forgotten, and index.db with them; halts after each that it looks at. */
  *forgetProducers(): Generator<void> {
    const { index, isForgotten } = this.#options
    for (const entry of this.#state.producers.values()) {
      if (isForgotten(entry)) {
        this.#state.producers.delete(entry.producerId)
        index.forgetProducer(this.#state.logId, entry.producerId)
      }
      yield
    }
  }
}
