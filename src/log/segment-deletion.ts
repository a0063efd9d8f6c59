// Acts on what log-retention.ts has decided: takes segments out of a partition's front, from the oldest to the newest. What
// must hold: a crash leaves the log as it was or a suffix of it, never a hole, so each rename is durable before the next; a
// reader is told of a new log start only after that, so that no start of the server shows a lower one; a reader in the
// midst of a segment reads on; the last segment stays, so that offsets never start again.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../kernel/clock.ts'
import type { Logger } from '../kernel/logger.ts'
import { SerialQueue } from '../kernel/serial-queue.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { DeletedFiles } from './deleted-files.ts'
import { DELETED_SUFFIX } from './deleted-files.ts'
import type { LogSettings } from './log-appender.ts'
import type { LogIndex } from './log-index.ts'
import { segmentsToDelete } from './log-retention.ts'
import type { Segment } from './log-segment.ts'
import { parseNumberedName, segmentPath, snapshotPath } from './log-segment.ts'
import type { OpenFiles } from './open-files.ts'
import type { PartitionState } from './partition-state.ts'
import type { SegmentDisk } from './segment-file.ts'
import { isPassing } from './storage-failure.ts'

export interface SegmentDeletionOptions {
  readonly directory: string
  readonly settings: () => LogSettings
  readonly disk: SegmentDisk
  readonly files: OpenFiles
  readonly deletedFiles: DeletedFiles
  readonly index: LogIndex
  readonly clock: Clock
  readonly logger: Logger
  readonly telemetry: Telemetry
  /** Closes the segment that is written and begins a new one. */
  readonly roll: () => Promise<void>
  /** Brings a replacement of segments to its end that was interrupted. */
  readonly settle: () => Promise<void>
  /** Has a pass of compaction given up. */
  readonly stopPass: () => void
  /** index.db has something to write. */
  readonly flushSoon: () => void
}

/** One that cannot be read has others before it. */
const SNAPSHOTS_KEPT = 3

export class SegmentDeletion {
  readonly #options: SegmentDeletionOptions
  readonly #state: PartitionState
  readonly #work = new SerialQueue()
  #clearing: Promise<void> | undefined
  /** An append waits for so much room: it goes on when enough segments are gone, though more are due. */
  #wanted: { readonly bytes: number; readonly resolve: () => void } | undefined
  /** The last attempt failed: not again before the next check. */
  #hasFailed = false
  /** A folder's sync failed: nobody knows which names the disk holds, so no further one is taken until the next start. */
  #isStuck = false

  constructor(state: PartitionState, options: SegmentDeletionOptions) {
    this.#state = state
    this.#options = options
  }

  /** By the clock: all that is due, the segment that is written too, once it is rolled. Never rejects. */
  async check(): Promise<void> {
    this.#hasFailed = false
    await this.#deleteClosed({ isTold: false })
    if (!this.#isLastDue()) return
    try {
      await this.#options.roll()
    } catch (error) {
      this.#fail(error)
      return
    }
    await this.#deleteClosed({ isTold: false })
  }

  /** A segment was closed, and a snapshot of producers may have been written. */
  rolled(): void {
    this.checkClosed()
    void this.#work.run(() => this.#dropSnapshots())
  }

  /** At a roll, or a raised log start: what is due by now, while the log goes on being written. */
  checkClosed(): void {
    this.#hasFailed = false
    void this.#deleteClosed()
  }

  /** Before bytes are written that would take the log beyond retention.bytes and one segment. Never rejects. */
  async makeRoom(bytes: number): Promise<void> {
    if (this.#hasFailed) return
    const room = new Promise<void>((resolve) => {
      this.#wanted = { bytes, resolve }
    })
    await Promise.race([room, this.#deleteFor(bytes)])
    this.#wanted = undefined
  }

  async #deleteFor(bytes: number): Promise<void> {
    if (this.#dueClosed(bytes).length > 0) {
      // else the log would grow for as long as a pass of compaction takes
      this.#options.stopPass()
      await this.#state.maintained()
    }
    await this.#deleteClosed({ bytesToCome: bytes })
  }

  /** What is under way has come to its end. */
  async idle(): Promise<void> {
    await this.#work.idle()
    await this.#clearing
  }

  /** Not while something else maintains the log: the next check comes. What a check takes of all partitions is told as one. */
  #deleteClosed({ bytesToCome = 0, isTold = true } = {}): Promise<void> {
    return this.#work.run(async () => {
      let due: readonly Segment[] = []
      try {
        await this.#state.maintain(() => {
          due = this.#dueClosed(bytesToCome)
          return this.#deleteSegments(due)
        })
      } catch (error) {
        this.#fail(error)
      }
      if (isTold) this.#tell(due.filter((segment) => !this.#state.segments.includes(segment)))
    })
  }

  #tell(gone: readonly Segment[]): void {
    if (gone.length === 0) return
    const { name, logStartOffset: startOffset } = this.#state
    const bytes = gone.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const what = `${gone.length} ${gone.length === 1 ? 'segment' : 'segments'} (${bytes} bytes)`
    const facts = { partition: name, segments: gone.length, bytes, startOffset }
    this.#options.logger.info(facts, `${what} deleted from the front of ${name}, which begins at offset ${startOffset}`)
  }

  #fail(error: unknown): void {
    this.#hasFailed = true
    if (!this.#state.isClosed) this.#warn(error, this.#isStuck ? 'and stay until the next start' : 'it is tried again')
  }

  #warn(error: unknown, outlook: string): void {
    const { name } = this.#state
    const facts = { err: error, partition: name }
    this.#options.logger.warn(facts, `segments of ${name} could not be deleted, ${outlook}`)
  }

  #due(bytesToCome = 0): readonly Segment[] {
    const { retentionMs, retentionBytes } = this.#options.settings()
    const { segments, logStartOffset, highWatermark, offline, isClosed } = this.#state
    if (this.#isStuck || offline !== undefined || isClosed) return []
    return segmentsToDelete(segments, {
      retentionMs,
      retentionBytes: Math.max(0, retentionBytes - bytesToCome),
      nowMs: this.#options.clock.now(),
      logStartOffset,
      highWatermark,
    })
  }

  /** Not the last one: it is still written, and may hold what is not due by the time that it is closed. */
  #dueClosed(bytesToCome: number): readonly Segment[] {
    const last = this.#state.segments.at(-1)
    return this.#due(bytesToCome).filter((segment) => segment !== last)
  }

  #isLastDue(): boolean {
    const last = this.#state.segments.at(-1)
    return last !== undefined && this.#due().at(-1) === last
  }

  async #deleteSegments(due: readonly Segment[]): Promise<void> {
    if (due.length > 0) await this.#options.settle()
    for (const segment of due) {
      const { isClosed, offline } = this.#state
      if (isClosed || offline !== undefined) return
      await this.#delete(segment)
      this.#tellRoom()
    }
  }

  #tellRoom(): void {
    const { retentionBytes, segmentBytes } = this.#options.settings()
    const bytes = this.#wanted?.bytes ?? Infinity
    if (this.#state.sizeBytes + bytes <= retentionBytes + segmentBytes) this.#wanted?.resolve()
  }

  async #delete(segment: Segment): Promise<void> {
    const { directory, disk, files, deletedFiles } = this.#options
    const path = segmentPath(directory, segment.baseOffset)
    const aside = path + DELETED_SUFFIX
    // held open, so that a reader who comes between the renaming and the raised log start reads the file that it means
    const renaming = files.use(path, false, async () => {
      await disk.rename(path, aside)
      await disk.syncDirectory(directory).catch((error) => this.#undo(path, aside, error))
      this.#takeOut(segment)
      await files.drop(path)
    })
    await renaming.catch((error) => {
      if (error.code !== 'ENOENT') throw error
      // somebody else has removed it
      this.#takeOut(segment)
    })
    await deletedFiles.remove(aside, this.#options.settings().fileDeleteDelayMs)
  }

  /** Either name may be on the disk now. Both are right: what is due may be gone, and nobody was told that it is. */
  async #undo(path: string, aside: string, cause: unknown): Promise<never> {
    this.#isStuck = !isPassing(cause)
    try {
      await this.#options.disk.rename(aside, path)
    } catch (error) {
      throw this.#state.goOffline('the renaming of a segment could not be undone', error)
    }
    throw cause
  }

  /** In one turn: readers see the log with the segment or without it. */
  #takeOut(segment: Segment): void {
    const { index, telemetry, flushSoon } = this.#options
    const state = this.#state
    // a new list: somebody may be going through the old one
    state.segments = state.segments.slice(1)
    state.sizeBytes -= segment.sizeBytes
    const [first] = state.segments as [Segment, ...Segment[]]
    state.logStartOffset = Math.max(state.logStartOffset, first.baseOffset)
    telemetry.segmentsDeleted++
    telemetry.segmentBytesDeleted += segment.sizeBytes
    if (first.sizeBytes === 0) {
      // else nothing in index.db would say where offsets go on
      const { baseOffset: offset } = first
      index.noteSegment(state.logId, first, { segmentBase: offset, position: 0, offset })
    }
    index.dropSegments(state.logId, first.baseOffset)
    flushSoon()
    this.#clearing ??= this.#clearUp().finally(() => {
      this.#clearing = undefined
    })
  }

  /** All but the newest that a scan may begin with: the first that can be read, at or below the last segment's base. Never rejects. */
  async #dropSnapshots(): Promise<void> {
    const { directory, disk, logger } = this.#options
    const { name, segments, isClosed } = this.#state
    if (isClosed) return
    const base = segments.at(-1)?.baseOffset ?? 0
    try {
      const offsets = (await disk.list(directory)).flatMap((file) => {
        const parsed = parseNumberedName(file)
        return parsed?.kind === 'snapshot' && parsed.offset <= base ? [parsed.offset] : []
      })
      offsets.sort((a, b) => a - b)
      for (const offset of offsets.slice(0, -SNAPSHOTS_KEPT)) await disk.remove(snapshotPath(directory, offset))
    } catch (error) {
      logger.warn({ err: error, partition: name }, `old snapshots of ${name} are left: they go after the next roll`)
    }
  }

  /** Entries of index.db that lead into deleted segments. */
  async #clearUp(): Promise<void> {
    const { name } = this.#state
    try {
      for (let done = -1; done < this.#firstOffset; ) {
        done = this.#firstOffset
        while (!this.#state.isClosed && this.#options.index.sweepEntries(this.#state.logId, done)) await nextTurn()
      }
    } catch (error) {
      const message = `entries of deleted segments of ${name} are left in index.db: they go with the next ones`
      this.#options.logger.warn({ err: error, partition: name }, message)
    }
  }

  get #firstOffset(): number {
    return this.#state.segments[0]?.baseOffset ?? 0
  }
}
