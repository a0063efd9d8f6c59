// What is done to all partitions of a data directory by the clock: retention, compaction, forgetting producers. A partition
// that nobody has asked for since a clean stop is judged by its rows in index.db, and opened only where something is due.
// maintenance-scheduler.ts says when, and that one job goes at a time.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../kernel/clock.ts'
import { PRODUCERS_FORGOTTEN_AT_ONCE_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { Cleaner } from './cleaner.ts'
import type { IndexKeeper } from './index-keeper.ts'
import type { LogSettings } from './log-appender.ts'
import type { CompactedLog, Filth } from './log-cleaner.ts'
import { LogCleaner } from './log-cleaner.ts'
import type { CompactionSettings } from './log-compaction.ts'
import { planPass } from './log-compactor.ts'
import type { LogIdentity } from './log-identity.ts'
import { logKey, partitionDirectory } from './log-identity.ts'
import { segmentsToDelete } from './log-retention.ts'
import type { PartitionLog } from './partition-log.ts'

/** Whose partitions compaction looks at. */
export interface CompactedPartitions {
  readonly list: () => Iterable<LogIdentity>
  /** Its topic is there, and compacted, at this moment. */
  readonly isCompacted: (identity: LogIdentity) => boolean
}

export interface LogUpkeepOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly telemetry: Telemetry
  readonly settings: (identity: LogIdentity) => LogSettings
  readonly logStartOffset: (identity: LogIdentity) => number
  readonly cleaningGeneration: (identity: LogIdentity) => number
  readonly cleaner: Cleaner
  readonly keeper: IndexKeeper
  /** Those that were asked for, by logKey. */
  readonly logs: ReadonlyMap<string, PartitionLog>
  /** Makes the object of one that was not. */
  readonly log: (identity: LogIdentity) => PartitionLog
}

/** Partitions that a check looks at in one turn of the event loop. */
const WALKED_PER_TURN = 128

export class LogUpkeep {
  readonly #options: LogUpkeepOptions
  readonly #logCleaner: LogCleaner
  /** What was found of partitions that are not open, under settings by which no time changes it. */
  readonly #judged = new Map<string, { readonly settings: CompactionSettings; readonly filth: Filth }>()

  constructor(options: LogUpkeepOptions) {
    this.#options = options
    this.#logCleaner = new LogCleaner(options)
  }

  /**
   * Has the open partitions forget the producers that may be forgotten, in turns. One that is not open holds nothing in
   * memory, and is looked at when it is open at a later check.
   */
  async forgetProducers(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    let looked = 0
    for (const log of [...this.#options.logs.values()]) {
      for (const _ of log.forgetProducers()) {
        if (++looked % PRODUCERS_FORGOTTEN_AT_ONCE_MAX !== 0) continue
        this.#options.keeper.flush()
        await nextTurn()
        if (signal.aborted) return
      }
    }
    this.#options.keeper.flush()
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
      if (this.#isRetentionDue(identity)) await this.#options.log(identity).retain()
      else if (++walked % WALKED_PER_TURN === 0) await nextTurn()
    }
    const segments = this.#options.telemetry.segmentsDeleted - segmentsDeleted
    if (segments === 0) return
    const bytes = this.#options.telemetry.segmentBytesDeleted - segmentBytesDeleted
    this.#options.logger.info({ segments, bytes }, `retention has deleted ${segments} segments (${bytes} bytes)`)
  }

  #isRetentionDue(identity: LogIdentity): boolean {
    const log = this.#options.logs.get(logKey(identity))
    const segments = (log?.isOpen ? log.segments : this.#options.keeper.find(identity)?.segments) ?? []
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
        log: () => (isCompacted(identity) ? this.#options.log(identity) : undefined),
      }
    }
  }

  /** One that nobody has asked for since a clean stop is judged by its rows in index.db, once while nothing changes. */
  #filthOf(identity: LogIdentity): Filth | undefined {
    const key = logKey(identity)
    const log = this.#options.logs.get(key)
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
    const known = this.#options.keeper.find(identity)
    if (known?.cleaningGeneration !== cleaningGeneration(identity)) return undefined
    const state = { ...known, logStartOffset: logStartOffset(identity), nowMs: clock.now() }
    const { isDue, dirtyRatio, overdueMs } = planPass(state, settings)
    return { isDue, dirtyRatio, overdueMs }
  }

  /** The partition's topic is deleted. */
  forget(identity: LogIdentity): void {
    this.#judged.delete(logKey(identity))
  }
}
