// All partition logs of a data directory: one object a partition that was ever asked for, and what they share: open files,
// index.db (index-keeper.ts), the commit journal. After a clean stop a partition is opened when it is first asked for, so
// that ten thousand of them cost nothing; after a crash all that have files are opened, and mended, before the start is
// done.

import { join, relative } from 'node:path'
import type { Clock } from '../kernel/clock.ts'
import { steadyClock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import {
  JOURNAL_FILE_BYTES,
  JOURNAL_HELD_FILES_MAX,
  JOURNAL_ROUNDS_BEFORE_MADE,
  JOURNAL_ROUNDS_BEFORE_NEXT_TRY,
  OPEN_SEGMENT_FILES_IN_USE_MAX,
  OPEN_SEGMENT_FILES_MAX,
  OPENING_PARTITIONS_MAX,
} from '../kernel/limits.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { Cleaner } from './cleaner.ts'
import { inThisThread } from './cleaner.ts'
import type { CommitJournalOptions } from './commit-journal.ts'
import { CommitJournal } from './commit-journal.ts'
import { CommitRounds } from './commit-rounds.ts'
import { DeletedFiles } from './deleted-files.ts'
import type { IndexKeeperOptions } from './index-keeper.ts'
import { IndexKeeper } from './index-keeper.ts'
import type { LogSettings } from './log-appender.ts'
import type { LogIdentity } from './log-identity.ts'
import { logKey, partitionDirectory } from './log-identity.ts'
import { openLogFiles } from './log-recovery.ts'
import type { CompactedPartitions } from './log-upkeep.ts'
import { LogUpkeep } from './log-upkeep.ts'
import { OpenFiles } from './open-files.ts'
import { PartitionLog } from './partition-log.ts'
import type { ProducerEntry } from './producer-state.ts'
import { TailMarks } from './rewritten-tail.ts'
import type { SegmentDisk } from './segment-file.ts'

export interface LogManagerOptions extends IndexKeeperOptions {
  readonly disk: SegmentDisk
  /** By which it is remembered when producers were seen: the steadyClock of who has such times too. */
  readonly steady?: Clock
  readonly telemetry: Telemetry
  /** A producer that a partition may forget. */
  readonly isForgotten: (entry: ProducerEntry) => boolean
  /** The start counter: this start's number. */
  readonly leaderEpoch: number
  /** Of marks in segment files: SIPHASH_KEY_BYTES that never change and that nobody outside knows. */
  readonly tailMarkKey: Buffer
  /** What the catalog knows; asked when a log is made and for every stretch. */
  readonly settings: (identity: LogIdentity) => LogSettings
  readonly logStartOffset: (identity: LogIdentity) => number
  /** How often segments of the partition were replaced by cleaned ones: as durable as the catalog. */
  readonly cleaningGeneration: (identity: LogIdentity) => number
  readonly setCleaningGeneration: (identity: LogIdentity, generation: number) => Promise<void>
  readonly onSynced: (identity: LogIdentity, highWatermark: number, bytes: number) => void
  /** That may be open at once; OPEN_SEGMENT_FILES_IN_USE_MAX if left out. */
  readonly segmentFilesMax?: number | undefined
  /** Where compaction works; in this thread if left out. */
  readonly cleaner?: Cleaner
  /** When not as limits.ts has it. */
  readonly journal?: Pick<CommitJournalOptions, 'fileBytes' | 'roundsBeforeMade' | 'roundsBeforeNextTry'>
}

const NO_TOPICS: ReadonlySet<string> = new Set()

export class LogManager {
  readonly #options: LogManagerOptions
  readonly #keeper: IndexKeeper
  readonly #files: OpenFiles
  readonly #journal: CommitJournal
  readonly #rounds: CommitRounds
  readonly #deletedFiles: DeletedFiles
  readonly #steady: Clock
  readonly #logs = new Map<string, PartitionLog>()
  readonly #cleaner: Cleaner
  readonly #upkeep: LogUpkeep
  readonly #cleanStop: boolean
  readonly #tailMarks: TailMarks
  /** What a crash may have torn has been looked at. */
  #isRecovered = false
  #replay: Promise<ReadonlyMap<string, string>> | undefined

  constructor(options: LogManagerOptions) {
    this.#options = options
    const filesInUseMax = options.segmentFilesMax ?? OPEN_SEGMENT_FILES_IN_USE_MAX
    this.#files = new OpenFiles({
      disk: options.disk,
      filesMax: Math.min(OPEN_SEGMENT_FILES_MAX, Math.ceil(filesInUseMax / 2)),
      filesInUseMax,
      onShort: (error) =>
        options.logger.warn({ err: error }, 'the process is short of file descriptors: raise its limit (ulimit -n)'),
    })
    this.#deletedFiles = new DeletedFiles(options)
    this.#steady = options.steady ?? steadyClock(options.clock)
    this.#journal = new CommitJournal({
      fileBytes: JOURNAL_FILE_BYTES,
      roundsBeforeMade: JOURNAL_ROUNDS_BEFORE_MADE,
      roundsBeforeNextTry: JOURNAL_ROUNDS_BEFORE_NEXT_TRY,
      ...options.journal,
      ...options,
      topicsDirectory: this.topicsDirectory,
      files: this.#files,
      // half of them at most, in both of its files together: others need some
      heldFilesMax: Math.min(JOURNAL_HELD_FILES_MAX, Math.floor(filesInUseMax / 4)),
    })
    this.#rounds = new CommitRounds(this.#journal)
    this.#cleaner = options.cleaner ?? inThisThread(options.disk)
    this.#keeper = new IndexKeeper(options)
    this.#upkeep = new LogUpkeep({
      ...options,
      cleaner: this.#cleaner,
      keeper: this.#keeper,
      logs: this.#logs,
      log: (identity) => this.log(identity),
    })
    this.#tailMarks = new TailMarks(options.tailMarkKey)
    this.#cleanStop = this.#keeper.index.cleanStop() === options.leaderEpoch - 1
  }

  /** Brings what the commit journal has into the segment files. Before anything else is done with them. */
  replayJournal(deletedTopics: ReadonlySet<string> = NO_TOPICS): Promise<ReadonlyMap<string, string>> {
    this.#replay ??= this.#journal.open(deletedTopics).catch((error) => {
      // such as for want of room: it may be asked again
      this.#replay = undefined
      throw error
    })
    return this.#replay
  }

  #checkReplayed(identity: LogIdentity, inDoubt: ReadonlyMap<string, string>): void {
    const why = inDoubt.get(logKey(identity))
    if (why === undefined) return
    throw new TailraceError(
      'corrupt_message',
      `records of ${partitionDirectory(identity)} that were acknowledged may be missing: ${why}`,
    )
  }

  /**
   * Opens what a crash may have torn. The caller names every partition that exists. disk_full when some found no room: all
   * others are open, and it may be asked again.
   */
  async recover(identities: Iterable<LogIdentity>): Promise<void> {
    await this.replayJournal()
    this.#keeper.sweep()
    if (this.#cleanStop) {
      this.#isRecovered = true
      return this.#removeLeftFiles()
    }
    const directories = new Set(await this.#options.disk.list(this.topicsDirectory))
    const { clock, logger, leaderEpoch } = this.#options
    const begunMs = clock.monotonic()
    let openedCount = 0
    const opening: Promise<void>[] = []
    let noRoom: TailraceError | undefined
    for (const identity of identities) {
      if (!directories.has(partitionDirectory(identity))) continue
      // one that cannot be opened now has said so, and is opened when it is asked for
      opening.push(
        this.log(identity)
          .open()
          .then(() => {
            openedCount++
          })
          .catch((error) => {
            if (error instanceof TailraceError && error.code === 'disk_full') noRoom = error
          }),
      )
      if (opening.length >= OPENING_PARTITIONS_MAX) await Promise.all(opening.splice(0))
    }
    await Promise.all(opening)
    this.#isRecovered = true
    const tookMs = Math.round(clock.monotonic() - begunMs)
    const facts = { partitions: openedCount, tookMs }
    const message = `it was not stopped cleanly: ${openedCount} ${openedCount === 1 ? 'partition' : 'partitions'} recovered in ${tookMs} ms`
    if (leaderEpoch > 1) logger.info(facts, message)
    this.#keeper.sweep()
    if (noRoom !== undefined) throw noRoom
  }

  /** What the last stop had no time for, or could not remove. */
  async #removeLeftFiles(): Promise<void> {
    try {
      for (const name of this.#keeper.index.leftFiles())
        await this.#deletedFiles.remove(join(this.topicsDirectory, name), 1)
    } catch (error) {
      // they take room, nothing else
      this.#keeper.noteFailure(error)
    }
  }

  get topicsDirectory(): string {
    return join(this.#options.dataDir, 'topics')
  }

  get cleanStop(): boolean {
    return this.#cleanStop
  }

  log(identity: LogIdentity): PartitionLog {
    const key = logKey(identity)
    let log = this.#logs.get(key)
    if (log === undefined) {
      log = this.#makeLog(identity)
      this.#logs.set(key, log)
    }
    return log
  }

  /** Of a partition that was asked for before. */
  find(identity: LogIdentity): PartitionLog | undefined {
    return this.#logs.get(logKey(identity))
  }

  #makeLog(identity: LogIdentity): PartitionLog {
    const { disk, clock, logger, telemetry, settings, onSynced } = this.#options
    const name = partitionDirectory(identity)
    const directory = join(this.topicsDirectory, name)
    const shared = { name, directory, topicId: identity.topicId, partition: identity.partition, disk, logger }
    return new PartitionLog({
      ...shared,
      clock,
      steadyNow: this.#steady.now,
      telemetry,
      files: this.#files,
      index: this.#keeper.index,
      rounds: this.#rounds,
      journal: this.#journal,
      settings: () => settings(identity),
      isForgotten: this.#options.isForgotten,
      leaderEpoch: this.#options.leaderEpoch,
      logStartOffset: this.#options.logStartOffset(identity),
      cleaningGeneration: this.#options.cleaningGeneration(identity),
      setCleaningGeneration: (generation) => this.#options.setCleaningGeneration(identity, generation),
      deletedFiles: this.#deletedFiles,
      recover: async () => {
        this.#checkReplayed(identity, await this.replayJournal())
        return openLogFiles({
          ...shared,
          files: this.#files,
          index: this.#keeper.index,
          settings: settings(identity),
          nowMs: this.#steady.now(),
          cleanStop: this.#cleanStop,
          cleaningGeneration: this.#options.cleaningGeneration(identity),
          tailMarks: this.#tailMarks,
        }).catch((error) => {
          this.#keeper.noteFailure(error)
          throw error
        })
      },
      onSynced: (highWatermark, bytes) => {
        this.#keeper.flushSoon()
        onSynced(identity, highWatermark, bytes)
      },
      flushSoon: () => this.#keeper.flushSoon(),
    })
  }

  /**
   * Has the open partitions forget the producers that may be forgotten, in turns. One that is not open holds nothing in
   * memory, and is looked at when it is open at a later check.
   */
  forgetProducers(signal: AbortSignal): Promise<void> {
    return this.#upkeep.forgetProducers(signal)
  }

  /** Deletes what retention has over, one partition after the other. */
  retain(identities: Iterable<LogIdentity>, signal: AbortSignal): Promise<void> {
    return this.#upkeep.retain(identities, signal)
  }

  /** Compacts what is filthy, one partition after the other; they are listed for each anew. */
  compact(partitions: CompactedPartitions, mapBytesMax: number, signal: AbortSignal): Promise<void> {
    return this.#upkeep.compact(partitions, mapBytesMax, signal)
  }

  flushIndex(): boolean {
    return this.#keeper.flush()
  }

  /** Closes one partition's log and moves its folder out of the way of a topic of the same name. */
  async retire(identity: LogIdentity): Promise<string | undefined> {
    const key = logKey(identity)
    const log = this.#logs.get(key)
    this.#logs.delete(key)
    this.#upkeep.forget(identity)
    await log?.close()
    const from = join(this.topicsDirectory, partitionDirectory(identity))
    this.#journal.forget(from)
    // all of them, also those that a partition which failed no longer names: the next file at such a path is another's
    await this.#files.dropFolder(from)
    this.#deletedFiles.forgetFolder(from)
    this.#keeper.forget(identity)
    const names = await this.#options.disk.list(from)
    if (names.length === 0) return undefined
    const to = join(this.topicsDirectory, `${identity.topicId}-${identity.partition}.deleted`)
    await this.#options.disk.rename(from, to)
    return to
  }

  async close(): Promise<void> {
    const swept = this.#keeper.endSweep()
    const logs = [...this.#logs.values()]
    const failures = await this.#closeAll(logs)
    await this.#cleaner.close()
    await swept
    const leftFiles = await this.#deletedFiles.close()
    const isJournalGone = await this.#journal.close()
    const isIndexed = this.flushIndex()
    // a partition that failed must be looked at again at the next start, and so must files that are ahead of the index
    const isWhole = failures === 0 && logs.every((log) => !log.isDoubtful)
    if (this.#isRecovered && isJournalGone && isIndexed && isWhole) {
      const names = leftFiles.map((path) => relative(this.topicsDirectory, path))
      this.#keeper.markCleanStop(this.#options.leaderEpoch, names)
    }
    await this.#files.close()
    this.#keeper.close()
  }

  /** Answers how many failed: the others, and what all share, are closed all the same. */
  async #closeAll(logs: readonly PartitionLog[]): Promise<number> {
    const closed = await Promise.allSettled(logs.map((log) => log.close()))
    const failed = closed.filter((one) => one.status === 'rejected')
    for (const { reason } of failed) this.#options.logger.error({ err: reason }, 'a partition could not be closed')
    return failed.length
  }
}
