// The side of a partition's log that is compacted: it says what a pass has to clean, has it cleaned, and puts what comes of
// it in the place of closed segments while readers go on. From the decision on disk (segment-swap.ts) readers are given the new file under its present name, those under way
// keep the old one open. What must hold: the generation is durable before the decision, so that no index.db from before it
// is believed beside the new files; a folder whose changes may not be on the disk is not changed any further. Nobody
// deletes segments meanwhile (PartitionState.maintain).

import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { INDEX_ROWS_PER_TURN_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Cleaner, ReplacingGroup } from './cleaner.ts'
import { stopped } from './cleaner.ts'
import type { DeletedFiles } from './deleted-files.ts'
import type { LogSettings } from './log-appender.ts'
import type { CompactionPlan, CompactionSettings, CompactionState } from './log-compaction.ts'
import { mustRollForCompaction, planCompaction } from './log-compaction.ts'
import type { IndexEntry, LogIndex } from './log-index.ts'
import type { Segment } from './log-segment.ts'
import { segmentPath } from './log-segment.ts'
import type { OpenFiles } from './open-files.ts'
import type { PartitionState } from './partition-state.ts'
import type { ProducerEntry } from './producer-state.ts'
import type { CleanResult } from './segment-cleaner.ts'
import type { SegmentDisk } from './segment-file.ts'
import type { Swap } from './segment-swap.ts'
import { isCleanedName, putReplacedAside, swapPath } from './segment-swap.ts'
import { isPassing, storageFailure } from './storage-failure.ts'

export interface LogCompactorOptions {
  readonly directory: string
  readonly disk: SegmentDisk
  readonly files: OpenFiles
  readonly index: LogIndex
  readonly clock: Clock
  readonly logger: Logger
  readonly settings: () => LogSettings
  /** How often segments of this partition were replaced, as meta.db has it. */
  readonly cleaningGeneration: number
  /** Makes it durable in meta.db. */
  readonly setCleaningGeneration: (generation: number) => Promise<void>
  readonly deletedFiles: DeletedFiles
}

/** What the compactor asks of the rest of its log. */
interface LogCompactorParts extends LogCompactorOptions {
  /** Closes the segment that is written and begins a new one. */
  readonly roll: () => Promise<void>
  /** Positions of before mean nothing from now on. */
  readonly switched: () => void
}

/** Of one pass. */
export interface PassOptions {
  readonly cleaner: Cleaner
  /** Bytes of the map of keys. */
  readonly mapBytesMax: number
  readonly signal: AbortSignal
}

interface SwapUnderWay {
  readonly swap: Swap
  readonly replaced: readonly Segment[]
  readonly segment: Segment
  /** What the new file is called by now. */
  path: string
  /** The replaced files, as far as they have made way. */
  readonly aside: string[]
}

export class LogCompactor {
  readonly #options: LogCompactorParts
  readonly #state: PartitionState
  #generation: number
  #underWay: SwapUnderWay | undefined
  /** Nobody knows which names are on the disk: the next start looks. */
  #stuck: TailraceError | undefined
  /** Of the pass that is under way. */
  #stop = new AbortController()

  constructor(state: PartitionState, options: LogCompactorParts) {
    this.#state = state
    this.#options = options
    this.#generation = options.cleaningGeneration
  }

  /** Where a segment's file is now: to be asked right before it is opened. */
  pathOf({ baseOffset }: Segment): string {
    if (this.#underWay?.segment.baseOffset === baseOffset) return this.#underWay.path
    return segmentPath(this.#options.directory, baseOffset)
  }

  /** A swap has not come to its end: its files are for the next start to look at. */
  get isDoubtful(): boolean {
    return this.#underWay !== undefined || this.#stuck !== undefined
  }

  /** What a pass would do now; undefined: none, the topic is not compacted, or not before the next start. */
  plan(): CompactionPlan | undefined {
    const { compaction } = this.#options.settings()
    if (compaction === undefined || this.#stuck !== undefined || this.#state.offline !== undefined) return undefined
    return planPass({ ...this.#state, nowMs: this.#options.clock.now() }, compaction)
  }

  /** One pass. undefined: there is nothing to clean, or retention is at it. Rejects with shutting_down when it is given up. */
  async compact(pass: PassOptions): Promise<CleanResult | undefined> {
    return this.#state.maintain(() => {
      this.#stop = new AbortController()
      return this.#pass({ ...pass, signal: AbortSignal.any([pass.signal, this.#stop.signal]) })
    })
  }

  async #pass({ cleaner, mapBytesMax, signal }: PassOptions): Promise<CleanResult | undefined> {
    const { directory, settings, roll, clock } = this.#options
    // what a lack of descriptors or room has interrupted comes first
    await this.settle()
    this.#checkWritable()
    const { compaction, segmentBytes, indexIntervalBytes } = settings()
    if (compaction === undefined) return undefined
    // who has it given up may be the one who would roll, and wait for its end
    if (signal.aborted) throw stopped()
    if (mustRoll({ ...this.#state, nowMs: clock.now() }, compaction)) await roll()
    const plan = this.plan()
    if (plan === undefined || plan.dirtyBytes === 0) return undefined
    const { segments, firstDirtyOffset, cleanableEnd } = plan
    const { logStartOffset, producers } = this.#state
    const request = {
      directory,
      segments,
      logStartOffset,
      firstDirtyOffset,
      cleanableEnd,
      segmentBytes,
      indexIntervalBytes,
      deleteRetentionMs: compaction.deleteRetentionMs,
      nowMs: clock.now(),
      producerLastOffsets: [...producers.values()].flatMap(lastOffsetsOf),
      mapBytesMax,
    }
    let replacing: Promise<void> | undefined
    const replace = (group: ReplacingGroup) => {
      replacing = this.#replace(group)
      return replacing
    }
    const result = await cleaner.clean(request, replace, signal).catch(async (error) => {
      // a pass that is given up does not wait for what it has handed over
      await replacing?.catch(() => undefined)
      await this.#removeCleaned()
      throw error
    })
    this.#noteCleaned(result.cleanedTo)
    return result
  }

  /** What a pass that was given up has begun: a start would find it, but not one after a clean stop. */
  async #removeCleaned(): Promise<void> {
    const { directory, disk } = this.#options
    try {
      const names = await disk.list(directory)
      for (const name of names.filter(isCleanedName)) await disk.remove(join(directory, name))
    } catch (error) {
      this.#warn(error, 'a half cleaned segment is left: it goes with the next pass, or the next start')
    }
  }

  #noteCleaned(offset: number): void {
    this.#state.firstDirtyOffset = offset
    try {
      this.#options.index.setFirstDirtyOffset(this.#state.logId, offset)
    } catch (error) {
      this.#warn(error, 'index.db could not note how far the partition is clean: the next start cleans it again')
    }
  }

  /** Rejects when the segments stand as before, and when the new one could not take its name yet. */
  async #replace(group: ReplacingGroup): Promise<void> {
    this.#checkWritable()
    const replaced = this.#closedSegments(group)
    const generation = this.#generation + 1
    await this.#options.setCleaningGeneration(generation)
    this.#generation = generation
    const segment = { ...group.segment, generation }
    await this.#putEntries(segment, group.entries)
    const { directory } = this.#options
    const swap = { directory, base: segment.baseOffset, last: group.replaced.at(-1) as number }
    await this.#decide(swap, group.cleanedPath, generation).catch(async (error) => {
      await this.#dropEntries([segment])
      throw error
    })
    this.#switch({ swap, replaced, segment, path: swapPath(swap), aside: [] })
    await this.settle()
    await this.#dropEntries(replaced)
  }

  #checkWritable(): void {
    if (this.#stuck !== undefined) throw this.#stuck
    if (this.#state.isClosed) throw this.#state.closedError()
    if (this.#state.offline !== undefined) throw this.#state.offline
  }

  /** The segments that a group names, in their places. The active one is written, and so is none of them. */
  #closedSegments({ replaced, segment }: ReplacingGroup): Segment[] {
    const { segments } = this.#state
    const at = segments.findIndex(({ baseOffset }) => baseOffset === replaced[0])
    const found = at < 0 ? [] : segments.slice(at, at + replaced.length)
    const fits = found.length === replaced.length && found.every((one, place) => one.baseOffset === replaced[place])
    if (fits && at + found.length < segments.length && segment.baseOffset === replaced[0]) return found
    throw new TailraceError(
      'kafka_storage_error',
      `${this.#state.name} has no closed segments ${replaced.join(', ')} to be replaced by ${segment.baseOffset}`,
    )
  }

  /** What is missing of the index makes a search longer, nothing else. */
  async #putEntries(segment: Segment, entries: Iterable<IndexEntry>): Promise<void> {
    try {
      let some: IndexEntry[] = []
      for (const entry of entries) {
        some.push(entry)
        if (some.length < INDEX_ROWS_PER_TURN_MAX) continue
        this.#options.index.putEntries(this.#state.logId, segment, some)
        some = []
        await nextTurn()
      }
      this.#options.index.putEntries(this.#state.logId, segment, some)
    } catch (error) {
      this.#warn(error, 'entries of a cleaned segment are missing in index.db')
    }
  }

  async #dropEntries(replaced: readonly Segment[]): Promise<void> {
    try {
      for (const segment of replaced) {
        while (
          this.#options.index.dropEntries(this.#state.logId, segment, INDEX_ROWS_PER_TURN_MAX) > 0 &&
          !this.#state.isClosed
        ) {
          await nextTurn()
        }
      }
    } catch (error) {
      this.#warn(error, 'entries of replaced segments are left in index.db')
    }
  }

  /** Behind it a start brings the swap to its end. Rejects when the segments stand as before, or nobody knows. */
  async #decide(swap: Swap, cleanedPath: string, generation: number): Promise<void> {
    const { disk, directory } = this.#options
    try {
      await disk.rename(cleanedPath, swapPath(swap))
    } catch (error) {
      if (isPassing(error)) this.#noteUnused(generation)
      // it may have happened all the same
      else this.#getStuck(error)
      throw error
    }
    try {
      await disk.syncDirectory(directory)
    } catch (error) {
      if (await this.#undoDecision(swap, cleanedPath)) this.#noteUnused(generation)
      throw error
    }
  }

  /** Else a decision of which nobody knows could be found much later, beside newer segments. False: a start may still find it. */
  async #undoDecision(swap: Swap, cleanedPath: string): Promise<boolean> {
    const { disk, directory } = this.#options
    try {
      await disk.rename(swapPath(swap), cleanedPath)
    } catch (error) {
      // whatever it was that failed: the decision lies in the folder, and the next start goes by it
      this.#getStuck(error)
      return false
    }
    try {
      await disk.syncDirectory(directory)
      return true
    } catch (error) {
      // names reach the disk in their order: what was merely not asked for so far comes with the next sync
      if (!isPassing(error)) this.#getStuck(error)
      return false
    }
  }

  #noteUnused(generation: number): void {
    try {
      this.#options.index.passOver(this.#state.logId, generation)
    } catch (error) {
      this.#warn(error, 'index.db could not note that nothing was replaced: the next start scans the partition')
    }
  }

  /** In one step: whoever picks a segment from now on gets the new one. */
  #switch(underWay: SwapUnderWay): void {
    const { replaced, segment } = underWay
    const { segments } = this.#state
    const at = segments.indexOf(replaced[0] as Segment)
    this.#state.segments = [...segments.slice(0, at), segment, ...segments.slice(at + replaced.length)]
    this.#state.sizeBytes += segment.sizeBytes - replaced.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    this.#underWay = underWay
    this.#options.switched()
    try {
      const active = segments.at(-1) as Segment
      this.#options.index.replaceSegments(this.#state.logId, { replaced, segment, active })
    } catch (error) {
      this.#warn(error, 'index.db could not follow a cleaned segment: the next start scans the partition')
    }
  }

  /** Brings a swap that was interrupted to its end; nothing, when there is none. */
  async settle(): Promise<void> {
    if (this.#stuck !== undefined) throw this.#stuck
    const underWay = this.#underWay
    if (underWay === undefined) return
    const { disk, directory, deletedFiles, settings } = this.#options
    try {
      if (underWay.path === swapPath(underWay.swap)) await this.#takeName(underWay)
      await disk.syncDirectory(directory)
      this.#underWay = undefined
    } catch (error) {
      if (!isPassing(error)) this.#getStuck(error)
      throw error
    }
    for (const path of underWay.aside) await deletedFiles.remove(path, settings().fileDeleteDelayMs)
  }

  async #takeName(underWay: SwapUnderWay): Promise<void> {
    const { directory, disk, files } = this.#options
    const { swap, replaced, aside } = underWay
    // a reader that came before the switch may still be opening an old file by its name
    for (const { baseOffset } of replaced) await files.drop(segmentPath(directory, baseOffset))
    await putReplacedAside(disk, swap, aside)
    await files.use(underWay.path, false, async () => {
      const path = segmentPath(directory, swap.base)
      await disk.rename(underWay.path, path)
      underWay.path = path
    })
    await files.drop(swapPath(swap))
  }

  #getStuck(cause: unknown): void {
    const { name } = this.#state
    this.#stuck = storageFailure(name, cause, 'its folder could not be changed: it is compacted after the next start')
    this.#options.logger.error({ err: cause, partition: name }, this.#stuck.message)
  }

  #warn(error: unknown, what: string): void {
    this.#options.logger.warn({ err: error, partition: this.#state.name }, what)
  }

  /** A pass that is under way is given up. */
  stop(): void {
    this.#stop.abort()
  }
}

/** As planCompaction; a pass is due too when it has to begin with closing the segment that is written. */
export function planPass(state: CompactionState, settings: CompactionSettings): CompactionPlan {
  const plan = planCompaction(state, settings)
  return mustRoll(state, settings) ? { ...plan, isDue: true } : plan
}

function mustRoll({ segments, nowMs }: CompactionState, { maxCompactionLagMs }: CompactionSettings): boolean {
  const active = segments.at(-1)
  return active !== undefined && mustRollForCompaction(active, maxCompactionLagMs, nowMs)
}

/** Of all batches by which a repeat is known again, so that the log alone can tell. */
function lastOffsetsOf({ batches }: ProducerEntry): number[] {
  return batches.map((one) => one.baseOffset + one.recordCount - 1)
}
