// Compaction of all partitions of a data directory, one pass at a time, by Kafka's rules: what has waited longer than
// max.compaction.lag.ms first, then the log with the largest dirty part, until none is filthy enough. A log whose files
// cannot be read is left alone until the next start; what fails for another reason is tried again at the next check.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { Cleaner } from './cleaner.ts'
import type { CompactionPlan } from './log-compaction.ts'
import type { PartitionLog } from './partition-log.ts'
import type { CleanResult } from './segment-cleaner.ts'

/** How much a log needs a pass. */
export type Filth = Pick<CompactionPlan, 'isDue' | 'dirtyRatio' | 'overdueMs'>

/** A partition of a topic that is compacted. */
export interface CompactedLog {
  /** Names the partition in messages: `orders-3`. */
  readonly name: string
  /** The same one at every check. */
  readonly key: string
  /** undefined: not to be known now, or its topic is not compacted any more. */
  filth(): Filth | undefined
  /** undefined: its topic was deleted, or is not compacted any more. */
  log(): PartitionLog | undefined
}

export interface LogCleanerOptions {
  readonly cleaner: Cleaner
  readonly clock: Clock
  readonly logger: Logger
  readonly telemetry: Telemetry
}

/** Partitions looked at in one turn of the event loop. */
const LOOKED_AT_PER_TURN = 128

export class LogCleaner {
  readonly #options: LogCleanerOptions
  #uncleanable = new Set<string>()

  constructor(options: LogCleanerOptions) {
    this.#options = options
  }

  /** Cleans what is due, one log after the other. Never rejects for the sake of one log. */
  async run(logs: () => Iterable<CompactedLog>, mapBytesMax: number, signal: AbortSignal): Promise<void> {
    const { telemetry, clock } = this.#options
    /** Not again before the next check. */
    const tried = new Set<string>()
    while (!signal.aborted) {
      const filthiest = await this.#filthiest(logs(), tried, signal)
      if (filthiest === undefined || signal.aborted) break
      const isFurther = await this.#clean(filthiest, mapBytesMax, signal)
      if (!isFurther) tried.add(filthiest.key)
    }
    telemetry.compaction.lastCheckMs = clock.monotonic()
  }

  async #filthiest(
    logs: Iterable<CompactedLog>,
    tried: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<CompactedLog | undefined> {
    const { telemetry } = this.#options
    let best: { readonly log: CompactedLog; readonly filth: Filth } | undefined
    /** Of those that are there still. */
    const uncleanable = new Set<string>()
    let [looked, maxDirtyRatio, maxOverdueMs] = [0, 0, 0]
    for (const log of logs) {
      if (++looked % LOOKED_AT_PER_TURN === 0) {
        await nextTurn()
        if (signal.aborted) return undefined
      }
      if (this.#uncleanable.has(log.key)) {
        uncleanable.add(log.key)
        continue
      }
      const filth = log.filth()
      if (filth === undefined) continue
      maxDirtyRatio = Math.max(maxDirtyRatio, filth.dirtyRatio)
      maxOverdueMs = Math.max(maxOverdueMs, filth.overdueMs)
      if (!filth.isDue || tried.has(log.key)) continue
      if (best === undefined || isFilthier(filth, best.filth)) best = { log, filth }
    }
    this.#uncleanable = uncleanable
    telemetry.compaction.uncleanablePartitions = uncleanable.size
    telemetry.compaction.maxDirtyRatio = maxDirtyRatio
    telemetry.compaction.maxOverdueMs = maxOverdueMs
    return best?.log
  }

  /** False: this log is not to be tried again before the next check. */
  async #clean(filthy: CompactedLog, mapBytesMax: number, signal: AbortSignal): Promise<boolean> {
    const { cleaner, clock, telemetry } = this.#options
    const started = clock.monotonic()
    try {
      const log = filthy.log()
      if (log === undefined) return false
      await log.open()
      const before = log.firstDirtyOffset
      const result = await log.compact({ cleaner, mapBytesMax, signal })
      if (result === undefined) return false
      this.#count(filthy, result, (clock.monotonic() - started) / 1_000)
      return result.cleanedTo > before
    } catch (error) {
      if (signal.aborted || isOver(error)) return false
      telemetry.compaction.failures++
      this.#tell(filthy, error)
      return false
    }
  }

  #count(filthy: CompactedLog, result: CleanResult, seconds: number): void {
    const { telemetry, logger } = this.#options
    const { compaction } = telemetry
    compaction.passes++
    compaction.recordsRead += result.recordsRead
    compaction.recordsKept += result.recordsKept
    compaction.bytesRead += result.bytesRead
    compaction.bytesWritten += result.bytesWritten
    compaction.seconds += seconds
    const { recordsRead, recordsKept } = result
    const facts = { partition: filthy.name, ...result, seconds }
    logger.info(facts, `compacted ${filthy.name}: ${recordsKept} of ${recordsRead} records stay`)
  }

  #tell(filthy: CompactedLog, error: unknown): void {
    const { logger } = this.#options
    const facts = { err: error, partition: filthy.name }
    if (!(error instanceof TailraceError) || error.code !== 'corrupt_message') {
      logger.warn(facts, `${filthy.name} could not be compacted; it is tried again`)
      return
    }
    this.#uncleanable.add(filthy.key)
    logger.error(facts, `${filthy.name} is not compacted until the server is started again: ${error.message}`)
  }
}

function isFilthier(filth: Filth, other: Filth): boolean {
  if (filth.overdueMs > 0 || other.overdueMs > 0) return filth.overdueMs > other.overdueMs
  return filth.dirtyRatio > other.dirtyRatio
}

/** The partition was closed: its topic is deleted, or the server stops. */
function isOver(error: unknown): boolean {
  return error instanceof TailraceError && error.code === 'shutting_down'
}
