// The side of a partition's log that is compacted: it puts a cleaned segment in the place of closed ones while readers go
// on. From the decision on disk (segment-swap.ts) readers are given the new file under its present name, those under way
// keep the old one open. What must hold: the generation is durable before the decision, so that no index.db from before it
// is believed beside the new files; a folder whose changes may not be on the disk is not changed any further. One caller
// at a time, and none that deletes segments meanwhile.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { TailraceError } from '../kernel/errors.ts'
import { INDEX_ROWS_PER_TURN_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import type { IndexEntry, LogIndex } from './log-index.ts'
import type { Segment } from './log-segment.ts'
import { segmentPath } from './log-segment.ts'
import type { OpenFiles } from './open-files.ts'
import type { PartitionState } from './partition-state.ts'
import type { CleanedGroup } from './segment-cleaner.ts'
import type { SegmentDisk } from './segment-file.ts'
import type { Swap } from './segment-swap.ts'
import { putReplacedAside, swapPath } from './segment-swap.ts'
import { isPassing, storageFailure } from './storage-failure.ts'

export interface LogCompactorOptions {
  readonly directory: string
  readonly disk: SegmentDisk
  readonly files: OpenFiles
  readonly index: LogIndex
  readonly logger: Logger
  /** How often segments of this partition were replaced, as meta.db has it. */
  readonly cleaningGeneration: number
  /** Makes it durable in meta.db. */
  readonly setCleaningGeneration: (generation: number) => Promise<void>
  /** A file that nobody needs any more, under its `.deleted` name; its removal may wait. */
  readonly discard: (path: string) => void
}

interface SwapUnderWay {
  readonly swap: Swap
  readonly replaced: readonly Segment[]
  readonly segment: Segment
  /** What the new file is called by now. */
  path: string
}

export class LogCompactor {
  readonly #options: LogCompactorOptions & { readonly onSwitched: () => void }
  readonly #state: PartitionState
  #generation: number
  #underWay: SwapUnderWay | undefined
  /** Nobody knows which names are on the disk: the next start looks. */
  #stuck: TailraceError | undefined
  #working: Promise<void> | undefined

  /** `onSwitched`: positions of before mean nothing from now on. */
  constructor(state: PartitionState, options: LogCompactorOptions & { readonly onSwitched: () => void }) {
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

  /**
   * Puts a cleaned segment in the place of closed ones. Rejects when they stand as before, and also when the rest of an
   * earlier swap, which a lack of descriptors or room has interrupted, could still not be done.
   */
  replace(group: CleanedGroup): Promise<void> {
    this.#working = this.#replace(group)
    return this.#working
  }

  async #replace(group: CleanedGroup): Promise<void> {
    await this.settle()
    this.#checkWritable()
    const replaced = this.#closedSegments(group)
    const generation = this.#generation + 1
    await this.#options.setCleaningGeneration(generation)
    this.#generation = generation
    const segment = { ...group.segment, generation }
    await this.#putEntries(segment, group.entries)
    const { directory } = this.#options
    const swap = { directory, base: segment.baseOffset, last: group.replaced.at(-1) as number }
    await this.#decide(swap, group.cleanedPath)
    this.#switch({ swap, replaced, segment, path: swapPath(swap) })
    await this.settle()
    await this.#dropEntries(replaced)
  }

  #checkWritable(): void {
    if (this.#stuck !== undefined) throw this.#stuck
    if (this.#state.isClosed) throw this.#state.closedError()
    if (this.#state.offline !== undefined) throw this.#state.offline
  }

  /** The segments that a group names, in their places. The active one is written, and so is none of them. */
  #closedSegments({ replaced, segment }: CleanedGroup): Segment[] {
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
  async #putEntries(segment: Segment, entries: readonly IndexEntry[]): Promise<void> {
    try {
      for (let at = 0; at < entries.length; at += INDEX_ROWS_PER_TURN_MAX) {
        this.#options.index.putEntries(this.#state.logId, segment, entries.slice(at, at + INDEX_ROWS_PER_TURN_MAX))
        await nextTurn()
      }
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

  /** Behind it a start brings the swap to its end. */
  async #decide(swap: Swap, cleanedPath: string): Promise<void> {
    const { disk, directory } = this.#options
    await disk.rename(cleanedPath, swapPath(swap))
    try {
      await disk.syncDirectory(directory)
    } catch (error) {
      await this.#undoDecision(swap, cleanedPath)
      throw error
    }
  }

  /** Else a decision of which nobody knows could be found much later, beside newer segments. */
  async #undoDecision(swap: Swap, cleanedPath: string): Promise<void> {
    const { disk, directory } = this.#options
    try {
      await disk.rename(swapPath(swap), cleanedPath)
      await disk.syncDirectory(directory)
    } catch (error) {
      // names reach the disk in their order: what was merely not asked for so far comes with the next sync
      if (!isPassing(error)) this.#getStuck(error)
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
    this.#options.onSwitched()
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
    const { disk, directory } = this.#options
    try {
      if (underWay.path === swapPath(underWay.swap)) await this.#takeName(underWay)
      await disk.syncDirectory(directory)
      this.#underWay = undefined
    } catch (error) {
      if (!isPassing(error)) this.#getStuck(error)
      throw error
    }
  }

  async #takeName(underWay: SwapUnderWay): Promise<void> {
    const { directory, disk, files, discard } = this.#options
    const { swap, replaced } = underWay
    // a reader that came before the switch may still be opening an old file by its name
    for (const { baseOffset } of replaced) await files.drop(segmentPath(directory, baseOffset))
    for (const path of await putReplacedAside(disk, swap)) discard(path)
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

  /** What is under way has come to its end, or to a place from which a start goes on. */
  async idle(): Promise<void> {
    await this.#working?.catch(() => {
      // told to whoever asked for it
    })
  }
}
