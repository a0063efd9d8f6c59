// All partition logs of a data directory: one object a partition that was ever asked for, the open files and index.db
// that they share, and the flush of the index. After a clean stop a partition is opened when it is first asked for, so
// that ten thousand of them cost nothing; after a crash all that have files are opened, and mended, before the start is
// done.

import { join, relative } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { Clock, Timer } from '../kernel/clock.ts'
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
  PRODUCERS_FORGOTTEN_AT_ONCE_MAX,
} from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { Cleaner } from './cleaner.ts'
import { inThisThread } from './cleaner.ts'
import { CleanerThread } from './cleaner-thread.ts'
import type { CommitJournalOptions } from './commit-journal.ts'
import { CommitJournal } from './commit-journal.ts'
import { CommitRounds } from './commit-rounds.ts'
import { DeletedFiles } from './deleted-files.ts'
import { putIndexAside } from './index-forget.ts'
import { journalKey } from './journal-replay.ts'
import type { LogSettings } from './log-appender.ts'
import type { CompactedLog, Filth } from './log-cleaner.ts'
import { LogCleaner } from './log-cleaner.ts'
import type { CompactionSettings } from './log-compaction.ts'
import { planPass } from './log-compactor.ts'
import type { IndexedLog } from './log-index.ts'
import { createIndexSchema, dropIndexSchema, INDEX_VERSION, LogIndex } from './log-index.ts'
import { openLogFiles } from './log-recovery.ts'
import { segmentsToDelete } from './log-retention.ts'
import { OpenFiles } from './open-files.ts'
import { PartitionLog } from './partition-log.ts'
import type { ProducerEntry } from './producer-state.ts'
import type { SegmentDisk } from './segment-file.ts'
import { realDisk } from './segment-file.ts'
import { isDamage, isDiskFull } from './storage-failure.ts'

/** A partition as the catalog knows it. */
export interface LogIdentity {
  readonly topicId: string
  readonly topicName: string
  readonly partition: number
}

/** Whose partitions compaction looks at. */
export interface CompactedPartitions {
  readonly list: () => Iterable<LogIdentity>
  /** Its topic is there, and compacted, at this moment. */
  readonly isCompacted: (identity: LogIdentity) => boolean
}

export interface LogManagerOptions {
  readonly dataDir: string
  readonly disk: SegmentDisk
  readonly clock: Clock
  /** By which it is remembered when producers were seen: the steadyClock of who has such times too. */
  readonly steady?: Clock
  readonly logger: Logger
  readonly telemetry: Telemetry
  /** A producer that a partition may forget. */
  readonly isForgotten: (entry: ProducerEntry) => boolean
  /** The start counter: this start's number. */
  readonly leaderEpoch: number
  /** What the catalog knows; asked when a log is made and for every stretch. */
  readonly settings: (identity: LogIdentity) => LogSettings
  readonly logStartOffset: (identity: LogIdentity) => number
  /** How often segments of the partition were replaced by cleaned ones: as durable as the catalog. */
  readonly cleaningGeneration: (identity: LogIdentity) => number
  readonly setCleaningGeneration: (identity: LogIdentity, generation: number) => Promise<void>
  readonly onSynced: (identity: LogIdentity, highWatermark: number, bytes: number) => void
  /** Brings index.db's write-ahead log into the database, in another thread: a sync that readers must not wait for. */
  readonly checkpointIndex?: (path: string) => void
  /** That may be open at once; OPEN_SEGMENT_FILES_IN_USE_MAX if left out. */
  readonly segmentFilesMax?: number | undefined
  /** index.db, when it is not the file in the data directory. */
  readonly openIndex?: () => Database.Database
  /** When not as limits.ts has it. */
  readonly journal?: Pick<CommitJournalOptions, 'fileBytes' | 'roundsBeforeMade' | 'roundsBeforeNextTry'>
}

/** How long an index entry may be held back: what a crash has to scan again. */
const INDEX_FLUSH_MS = 500

/** Partitions that a check looks at in one turn of the event loop. */
const WALKED_PER_TURN = 128

/** About a megabyte of write-ahead log. */
const ENTRIES_PER_CHECKPOINT = 20_000

/** Pages of write-ahead log at which this thread brings them in after all, should the other one not keep up. */
const CHECKPOINT_PAGES_MAX = 20_000

const NO_TOPICS: ReadonlySet<string> = new Set()

export class LogManager {
  readonly #options: LogManagerOptions
  readonly #index: LogIndex
  readonly #files: OpenFiles
  readonly #journal: CommitJournal
  readonly #rounds: CommitRounds
  readonly #deletedFiles: DeletedFiles
  readonly #steady: Clock
  readonly #logs = new Map<string, PartitionLog>()
  readonly #cleaner: Cleaner
  readonly #logCleaner: LogCleaner
  /** What was found of partitions that are not open, under settings by which no time changes it. */
  readonly #judged = new Map<string, { readonly settings: CompactionSettings; readonly filth: Filth }>()
  readonly #cleanStop: boolean
  /** What a crash may have torn has been looked at. */
  #isRecovered = false
  #isClosing = false
  #sweeping: Promise<void> | undefined
  #flushTimer: Timer | undefined
  #entriesSinceCheckpoint = 0
  #indexIsAside = false
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
    this.#cleaner = options.disk === realDisk ? new CleanerThread(options.clock) : inThisThread(options.disk)
    this.#logCleaner = new LogCleaner({ ...options, cleaner: this.#cleaner })
    const onFailedRead = (error: unknown) => this.#noteIndexFailure(error)
    this.#index =
      options.openIndex === undefined
        ? openIndex(options.dataDir, options.logger, onFailedRead)
        : new LogIndex(options.openIndex(), onFailedRead)
    this.#cleanStop = this.#index.cleanStop() === options.leaderEpoch - 1
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
    const why = inDoubt.get(journalKey(identity))
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
    this.#sweepIndex()
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
    this.#sweepIndex()
    if (noRoom !== undefined) throw noRoom
  }

  /** What the last stop had no time for, or could not remove. */
  async #removeLeftFiles(): Promise<void> {
    try {
      for (const name of this.#index.leftFiles()) await this.#deletedFiles.remove(join(this.topicsDirectory, name), 1)
    } catch (error) {
      // they take room, nothing else
      this.#noteIndexFailure(error)
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
  find({ topicId, partition }: LogIdentity): PartitionLog | undefined {
    return this.#logs.get(`${topicId}-${partition}`)
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
      index: this.#index,
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
          index: this.#index,
          settings: settings(identity),
          nowMs: this.#steady.now(),
          cleanStop: this.#cleanStop,
          cleaningGeneration: this.#options.cleaningGeneration(identity),
        }).catch((error) => {
          this.#noteIndexFailure(error)
          throw error
        })
      },
      onSynced: (highWatermark, bytes) => {
        this.#flushSoon()
        onSynced(identity, highWatermark, bytes)
      },
      flushSoon: () => this.#flushSoon(),
    })
  }

  /**
   * Has the open partitions forget the producers that may be forgotten, in turns. One that is not open holds nothing in
   * memory, and is looked at when it is open at a later check.
   */
  async forgetProducers(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    let looked = 0
    for (const log of [...this.#logs.values()]) {
      for (const _ of log.forgetProducers()) {
        if (++looked % PRODUCERS_FORGOTTEN_AT_ONCE_MAX !== 0) continue
        this.flushIndex()
        await nextTurn()
        if (signal.aborted) return
      }
    }
    this.flushIndex()
  }

  #flushSoon(): void {
    this.#flushTimer ??= this.#options.clock.after(INDEX_FLUSH_MS, () => this.flushIndex())
  }

  /**
   * Deletes what retention has over, one partition after the other. One that nobody has asked for since a clean stop is
   * judged by its rows in index.db, and opened only if something is due.
   */
  async retain(identities: Iterable<LogIdentity>, signal: AbortSignal): Promise<void> {
    const { segmentsDeleted, segmentBytesDeleted } = this.#options.telemetry
    let walked = 0
    for (const identity of identities) {
      if (signal.aborted) break
      if (this.#isRetentionDue(identity)) await this.log(identity).retain()
      else if (++walked % WALKED_PER_TURN === 0) await nextTurn()
    }
    const segments = this.#options.telemetry.segmentsDeleted - segmentsDeleted
    if (segments === 0) return
    const bytes = this.#options.telemetry.segmentBytesDeleted - segmentBytesDeleted
    this.#options.logger.info({ segments, bytes }, `retention has deleted ${segments} segments (${bytes} bytes)`)
  }

  #isRetentionDue(identity: LogIdentity): boolean {
    const log = this.#logs.get(logKey(identity))
    const segments = (log?.isOpen ? log.segments : this.#indexed(identity)?.segments) ?? []
    const { retentionMs, retentionBytes } = this.#options.settings(identity)
    const due = segmentsToDelete(segments, {
      retentionMs,
      retentionBytes,
      nowMs: this.#options.clock.now(),
      logStartOffset: log?.bounds.logStartOffset ?? this.#options.logStartOffset(identity),
      highWatermark: segments.at(-1)?.endOffset ?? 0,
    })
    return due.length > 0
  }

  /** Compacts what is filthy, one partition after the other; they are listed for each anew. */
  compact(partitions: CompactedPartitions, mapBytesMax: number, signal: AbortSignal): Promise<void> {
    return this.#logCleaner.run(() => this.#compacted(partitions), mapBytesMax, signal)
  }

  *#compacted({ list, isCompacted }: CompactedPartitions): Generator<CompactedLog> {
    for (const identity of list()) {
      if (!isCompacted(identity)) continue
      yield {
        name: partitionDirectory(identity),
        key: logKey(identity),
        // asked behind pauses, in which its topic may have been deleted: nothing is made of it again
        filth: () => (isCompacted(identity) ? this.#filthOf(identity) : undefined),
        log: () => (isCompacted(identity) ? this.log(identity) : undefined),
      }
    }
  }

  /** One that nobody has asked for since a clean stop is judged by its rows in index.db, once while nothing changes. */
  #filthOf(identity: LogIdentity): Filth | undefined {
    const key = logKey(identity)
    const log = this.#logs.get(key)
    if (log?.isOpen) return log.compactionPlan()
    const { compaction } = this.#options.settings(identity)
    if (compaction === undefined) return undefined
    const judged = this.#judged.get(key)
    if (judged?.settings === compaction) return judged.filth
    const filth = this.#indexedFilth(identity, compaction)
    const { minCompactionLagMs, maxCompactionLagMs } = compaction
    const goesByTime = minCompactionLagMs > 0 || maxCompactionLagMs < Number.MAX_SAFE_INTEGER
    if (filth !== undefined && !filth.isDue && !goesByTime) this.#judged.set(key, { settings: compaction, filth })
    return filth
  }

  #indexedFilth(identity: LogIdentity, settings: CompactionSettings): Filth | undefined {
    const { logStartOffset, cleaningGeneration, clock } = this.#options
    const known = this.#indexed(identity)
    if (known?.cleaningGeneration !== cleaningGeneration(identity)) return undefined
    const state = { ...known, logStartOffset: logStartOffset(identity), nowMs: clock.now() }
    const { isDue, dirtyRatio, overdueMs } = planPass(state, settings)
    return { isDue, dirtyRatio, overdueMs }
  }

  #indexed({ topicId, partition }: LogIdentity): IndexedLog | undefined {
    try {
      return this.#index.findLog(topicId, partition)
    } catch (error) {
      this.#noteIndexFailure(error)
      return undefined
    }
  }

  /** Writes held-back index entries; a failure costs a longer scan after a crash, nothing else. False: it failed. */
  flushIndex(): boolean {
    this.#flushTimer?.cancel()
    this.#flushTimer = undefined
    try {
      this.#entriesSinceCheckpoint += this.#index.flush()
      if (this.#entriesSinceCheckpoint >= ENTRIES_PER_CHECKPOINT) {
        this.#entriesSinceCheckpoint = 0
        this.#options.checkpointIndex?.(indexPath(this.#options.dataDir))
      }
      return true
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'index.db could not be written; it is tried again')
      this.#noteIndexFailure(error)
      this.#flushTimer = this.#options.clock.after(INDEX_FLUSH_MS * 4, () => this.flushIndex())
      return false
    }
  }

  /** Closes one partition's log and moves its folder out of the way of a topic of the same name. */
  async retire(identity: LogIdentity): Promise<string | undefined> {
    const key = logKey(identity)
    const log = this.#logs.get(key)
    this.#logs.delete(key)
    this.#judged.delete(key)
    await log?.close()
    const from = join(this.topicsDirectory, partitionDirectory(identity))
    this.#journal.forget(from)
    // all of them, also those that a partition which failed no longer names: the next file at such a path is another's
    await this.#files.dropFolder(from)
    this.#deletedFiles.forgetFolder(from)
    this.#forgetIndex(identity)
    const names = await this.#options.disk.list(from)
    if (names.length === 0) return undefined
    const to = join(this.topicsDirectory, `${identity.topicId}-${identity.partition}.deleted`)
    await this.#options.disk.rename(from, to)
    return to
  }

  #forgetIndex({ topicId, partition }: LogIdentity): void {
    try {
      this.#index.dropLog(topicId, partition)
      this.#sweepIndex()
    } catch (error) {
      // rows of an id that never comes again: they take room, nothing else
      this.#options.logger.warn({ err: error, topicId, partition }, 'rows of a deleted topic are left in index.db')
    }
  }

  /** Removes rows of logs that are gone, by this start or an earlier one, in turns. */
  #sweepIndex(): void {
    this.#sweeping ??= this.#sweepInTurns().finally(() => {
      this.#sweeping = undefined
    })
  }

  async #sweepInTurns(): Promise<void> {
    try {
      while (!this.#isClosing && this.#index.sweepDropped()) {
        this.#flushSoon()
        await nextTurn()
      }
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'rows of deleted topics are left in index.db until later')
      this.#noteIndexFailure(error)
    }
  }

  /**
   * Damage in the midst of index.db is met when that place is read or written. The next start makes it anew; this one goes
   * on with the file that is open, as far as it can be read.
   */
  #noteIndexFailure(error: unknown): void {
    if (this.#indexIsAside || this.#options.openIndex !== undefined || !isDamage(error)) return
    this.#indexIsAside = true
    const aside = putIndexAside(indexPath(this.#options.dataDir))
    this.#options.logger.error({ err: error, aside }, 'index.db is damaged: the next start makes it anew')
  }

  async close(): Promise<void> {
    this.#isClosing = true
    const logs = [...this.#logs.values()]
    const failures = await this.#closeAll(logs)
    await this.#cleaner.close()
    await this.#sweeping
    const leftFiles = await this.#deletedFiles.close()
    const isJournalGone = await this.#journal.close()
    const isIndexed = this.flushIndex()
    this.#flushTimer?.cancel()
    // a partition that failed must be looked at again at the next start, and so must files that are ahead of the index
    const isWhole = failures === 0 && logs.every((log) => !log.isDoubtful)
    if (this.#isRecovered && isJournalGone && isIndexed && isWhole) this.#markCleanStop(leftFiles)
    await this.#files.close()
    this.#index.close()
  }

  /** Answers how many failed: the others, and what all share, are closed all the same. */
  async #closeAll(logs: readonly PartitionLog[]): Promise<number> {
    const closed = await Promise.allSettled(logs.map((log) => log.close()))
    const failed = closed.filter((one) => one.status === 'rejected')
    for (const { reason } of failed) this.#options.logger.error({ err: reason }, 'a partition could not be closed')
    return failed.length
  }

  #markCleanStop(leftFiles: readonly string[]): void {
    const names = leftFiles.map((path) => relative(this.topicsDirectory, path))
    try {
      this.#index.markCleanStop(this.#options.leaderEpoch, names)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'index.db could not be written: the next start looks at all files')
    }
  }
}

function logKey({ topicId, partition }: LogIdentity): string {
  return `${topicId}-${partition}`
}

function partitionDirectory(identity: LogIdentity): string {
  return `${identity.topicName}-${identity.partition}`
}

function indexPath(dataDir: string): string {
  return join(dataDir, 'index.db')
}

/** Opens index.db; one that is damaged is put aside and made anew, one of a newer version is refused. */
function openIndex(dataDir: string, logger: Logger, onFailedRead: (error: unknown) => void): LogIndex {
  const path = indexPath(dataDir)
  try {
    return openIndexFile(path, onFailedRead)
  } catch (error) {
    if (error instanceof TailraceError || isDiskFull(error)) throw error
    const aside = putIndexAside(path)
    logger.warn({ err: error, aside }, 'index.db is damaged: it was put aside and is made anew from the segment files')
    return openIndexFile(path, onFailedRead)
  }
}

function openIndexFile(path: string, onFailedRead: (error: unknown) => void): LogIndex {
  const db = new Database(path)
  try {
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = NORMAL')
    db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES_MAX}`)
    const version = db.pragma('user_version', { simple: true }) as number
    if (version > INDEX_VERSION) throw newerVersion(path, version)
    if (version > 0 && version < INDEX_VERSION) dropIndexSchema(db)
    if (version < INDEX_VERSION) createIndexSchema(db)
    const index = new LogIndex(db, onFailedRead)
    // whether it can be read at all
    index.cleanStop()
    return index
  } catch (error) {
    db.close()
    throw error
  }
}

function newerVersion(path: string, version: number): TailraceError {
  return new TailraceError(
    'kafka_storage_error',
    `${path} was written by a newer Tailrace (version ${version}, this one knows ${INDEX_VERSION}): ` +
      'start that one, or delete index.db, which is then rebuilt from the segment files',
  )
}
