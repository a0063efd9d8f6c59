// Compaction of one partition's closed segments, over the disk port alone: first the newest offset of every key in the
// dirty part is found, then each group of segments is written anew without the records that a newer one of their key has
// overtaken. Runs in a worker thread; holds the key map, a chunk of a file and one inflated batch.
//
// What must hold: offsets stay; of every key the newest record stays; a group's new file is durable before it is handed
// out, and groups are handed out in ascending order, so that a tombstone is never gone while what it deletes is still
// there. A batch that cannot be read ends the pass before its group is handed out: nothing is lost by cleaning.
//
// A tombstone stays until its batch's delete horizon, which the first pass that has seen all of the batch sets
// delete.retention.ms ahead: who reads the partition from its beginning to its end within that time misses no deletion.

import type { ErrorCode } from '../kernel/errors.ts'
import { TailraceError } from '../kernel/errors.ts'
import type { FilterOutcome } from '../record/batch-filter.ts'
import { BatchFilter } from '../record/batch-filter.ts'
import { RecordReader } from '../record/batch-reader.ts'
import {
  batchAttributesAt,
  batchBaseOffsetAt,
  batchBaseTimestampAt,
  batchLastOffsetAt,
  batchRecordCountAt,
  batchSizeAt,
  emptyBatch,
  hasDeleteHorizon,
  isControl,
  parseBatchHeader,
} from '../record/record-batch.ts'
import { BatchChunks } from './batch-chunks.ts'
import { CleanedSegment } from './cleaned-segment.ts'
import { groupSegments } from './log-compaction.ts'
import type { IndexEntry } from './log-index.ts'
import type { Segment } from './log-segment.ts'
import { cleanedPath, segmentPath } from './log-segment.ts'
import { OffsetMap } from './offset-map.ts'
import type { SegmentDisk } from './segment-file.ts'

export interface CleanRequest {
  readonly directory: string
  /** Closed segments in ascending order, from the log's first one; `sizeBytes` of each are durable whole batches. */
  readonly segments: readonly Segment[]
  /** Records below it are dropped. */
  readonly logStartOffset: number
  /** All in front of it was cleaned by an earlier pass. */
  readonly firstDirtyOffset: number
  /** Records at or behind it are neither looked at nor cleaned: a segment's base, or the end of the last one. */
  readonly cleanableEnd: number
  readonly segmentBytes: number
  readonly indexIntervalBytes: number
  readonly deleteRetentionMs: number
  readonly nowMs: number
  /** Last offsets of the batches by which producers' repeats are known again: those batches stay, emptied if need be. */
  readonly producerLastOffsets: readonly number[]
  /** Memory of the key map: what comes behind the first key that does not fit waits for the next pass. */
  readonly mapBytesMax: number
}

/** A file that is to take the place of some segments. */
export interface CleanedGroup {
  /** Base offsets, ascending. */
  readonly replaced: readonly number[]
  /** The new segment; its base is the first replaced one's. */
  readonly segment: Segment
  readonly entries: readonly IndexEntry[]
  readonly cleanedPath: string
}

export interface CleanResult {
  /** The next pass's first dirty offset. */
  readonly cleanedTo: number
  /** Of the segments that were written anew. */
  readonly recordsRead: number
  readonly recordsKept: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly tombstonesKept: number
}

/**
 * Writes `<base>.log.cleaned` per group, synced with its folder, and hands each to onGroup, which replaces the old
 * segments before it resolves; a segment alone in its group of which nothing goes is left as it is. corrupt_message names file, position and offset of a batch that cannot be read.
 */
export function cleanSegments(
  disk: SegmentDisk,
  request: CleanRequest,
  onGroup: (group: CleanedGroup) => Promise<void>,
): Promise<CleanResult> {
  return new CleaningPass(disk, request, onGroup).run()
}

class CleaningPass {
  readonly #disk: SegmentDisk
  readonly #request: CleanRequest
  readonly #onGroup: (group: CleanedGroup) => Promise<void>
  readonly #firstDirtyOffset: number
  readonly #map: OffsetMap
  readonly #chunks = new BatchChunks()
  readonly #filter = new BatchFilter()
  readonly #producerLastOffsets: ReadonlySet<number>
  readonly #deleteHorizonMs: number
  readonly #counts = { recordsRead: 0, recordsKept: 0, bytesRead: 0, bytesWritten: 0, tombstonesKept: 0 }
  #cleanedTo = 0
  /** Of the group that is being cleaned: its bytes will not be the same. */
  #hasChanged = false
  /** Of the batch that is being filtered. */
  #horizonHasPassed = false

  constructor(disk: SegmentDisk, request: CleanRequest, onGroup: (group: CleanedGroup) => Promise<void>) {
    this.#disk = disk
    this.#request = request
    this.#onGroup = onGroup
    this.#firstDirtyOffset = Math.max(request.firstDirtyOffset, request.logStartOffset)
    this.#map = new OffsetMap(request.mapBytesMax, Math.max(0, request.cleanableEnd - this.#firstDirtyOffset))
    this.#producerLastOffsets = new Set(request.producerLastOffsets)
    // a retention without end must still be a time that every reader takes
    this.#deleteHorizonMs = Math.min(request.nowMs + request.deleteRetentionMs, Number.MAX_SAFE_INTEGER)
  }

  async run(): Promise<CleanResult> {
    const { segments, cleanableEnd, segmentBytes } = this.#request
    this.#cleanedTo = Math.max(cleanableEnd, this.#firstDirtyOffset)
    await this.#mapNewestOffsets()
    const end = Math.min(this.#cleanedTo, cleanableEnd)
    const cleanable = segments.filter((segment) => segment.baseOffset < end)
    for (const group of groupSegments(cleanable, segmentBytes)) await this.#cleanGroup(group)
    return { cleanedTo: this.#cleanedTo, ...this.#counts }
  }

  /** Fills the map from the dirty part, and ends the pass at the first record whose key has no room in it. */
  async #mapNewestOffsets(): Promise<void> {
    const { segments, cleanableEnd } = this.#request
    const reader = new RecordReader()
    for (const segment of segments) {
      if (segment.endOffset <= this.#firstDirtyOffset) continue
      // what is dirty may have come to be uncleanable since the last pass ended in it
      if (segment.baseOffset >= cleanableEnd) return
      for await (const { bytes, end } of this.#chunksOf(segment)) {
        for (let at = 0; at < end; at += batchSizeAt(bytes, at)) {
          if (batchBaseOffsetAt(bytes, at) >= this.#cleanedTo) return
          this.#mapBatch(reader, bytes, at)
        }
      }
    }
  }

  #mapBatch(reader: RecordReader, bytes: Buffer, at: number): void {
    const firstDirtyOffset = this.#firstDirtyOffset
    if (batchLastOffsetAt(bytes, at) < firstDirtyOffset || isControl(batchAttributesAt(bytes, at))) return
    try {
      reader.open(bytes, at)
      while (reader.next()) {
        const { offset, keyStart } = reader
        if (keyStart < 0 || offset < firstDirtyOffset) continue
        if (!this.#map.put(reader.bytes, keyStart, reader.keyEnd, offset)) {
          this.#cleanedTo = offset
          return
        }
      }
    } catch (error) {
      throw this.#asBadBatch(error, at)
    }
  }

  async #cleanGroup(group: readonly Segment[]): Promise<void> {
    const { baseOffset } = group[0] as Segment
    const { directory, indexIntervalBytes } = this.#request
    const path = cleanedPath(directory, baseOffset)
    const sourceBytes = group.reduce((sum, segment) => sum + segment.sizeBytes, 0)
    const cleaned = await CleanedSegment.create(this.#disk, path, { baseOffset, indexIntervalBytes, sourceBytes })
    try {
      this.#hasChanged = group.length > 1
      for (const segment of group) await this.#cleanInto(cleaned, segment)
      // what would be the same bytes again is not worth a swap
      if (!this.#hasChanged) return await cleaned.discard()
      await cleaned.finish()
      const replaced = group.map((segment) => segment.baseOffset)
      await this.#onGroup({ replaced, segment: cleaned.segment, entries: cleaned.entries, cleanedPath: path })
    } catch (error) {
      // a start takes away what cannot be taken away now; what went wrong first is what is told
      await cleaned.discard().catch(() => undefined)
      throw error
    }
  }

  async #cleanInto(cleaned: CleanedSegment, segment: Segment): Promise<void> {
    for await (const { bytes, end } of this.#chunksOf(segment)) {
      for (let at = 0; at < end; at += batchSizeAt(bytes, at)) {
        const writing = this.#cleanBatch(cleaned, bytes, at)
        if (writing !== undefined) await writing
      }
    }
    this.#counts.bytesRead += segment.sizeBytes
  }

  /** A segment's batches in chunks; the file is closed when the loop over them ends, however it ends. */
  async *#chunksOf(segment: Segment): AsyncGenerator<BatchChunks> {
    if (segment.sizeBytes === 0) return
    const path = segmentPath(this.#request.directory, segment.baseOffset)
    const file = await this.#disk.open(path, false)
    try {
      this.#chunks.open(file, path, segment)
      while (await this.#chunks.next()) yield this.#chunks
    } finally {
      await file.close()
    }
  }

  /** Puts what stays of one batch into the new file; a promise where that has to wait. */
  #cleanBatch(cleaned: CleanedSegment, bytes: Buffer, at: number): Promise<void> | undefined {
    const recordCount = batchRecordCountAt(bytes, at)
    this.#counts.recordsRead += recordCount
    const isLookedAt = batchBaseOffsetAt(bytes, at) < this.#cleanedTo && !isControl(batchAttributesAt(bytes, at))
    if (!isLookedAt) {
      this.#chunks.checkCrc(at)
      this.#counts.recordsKept += recordCount
      return this.#append(cleaned, bytes, at)
    }
    const outcome = this.#filtered(bytes, at)
    this.#counts.recordsKept += this.#filter.recordsKept
    this.#counts.tombstonesKept += this.#filter.tombstonesKept
    const mustStay = outcome === 'empty' && this.#mustStayEmpty(batchLastOffsetAt(bytes, at))
    if (outcome === 'unchanged' || (mustStay && recordCount === 0)) return this.#append(cleaned, bytes, at)
    this.#hasChanged = true
    if (outcome === 'rewritten') return this.#append(cleaned, this.#filter.rewritten, 0)
    return mustStay ? this.#append(cleaned, emptyBatch(parseBatchHeader(bytes, at)), 0) : undefined
  }

  #append(cleaned: CleanedSegment, bytes: Buffer, at: number): Promise<void> | undefined {
    const sizeBytes = batchSizeAt(bytes, at)
    this.#counts.bytesWritten += sizeBytes
    return cleaned.append(bytes, at, at + sizeBytes)
  }

  #filtered(bytes: Buffer, at: number): FilterOutcome {
    const isWhollyMapped = batchLastOffsetAt(bytes, at) < this.#cleanedTo
    this.#horizonHasPassed =
      hasDeleteHorizon(batchAttributesAt(bytes, at)) && batchBaseTimestampAt(bytes, at) <= this.#request.nowMs
    try {
      return this.#filter.apply(bytes, at, this.#keeps, isWhollyMapped ? this.#deleteHorizonMs : undefined)
    } catch (error) {
      throw this.#asBadBatch(error, at)
    }
  }

  /**
   * A batch without records still says something: a producer's last sequence; and the last one where the log goes on, for
   * readers who stand in front of it while nothing follows.
   */
  #mustStayEmpty(lastOffset: number): boolean {
    return this.#producerLastOffsets.has(lastOffset) || lastOffset + 1 === this.#request.cleanableEnd
  }

  readonly #keeps = (record: RecordReader): boolean => {
    const { offset, keyStart } = record
    if (offset < this.#request.logStartOffset) return false
    if (offset >= this.#cleanedTo) return true
    // from before the topic was compacted: no key, no newest record of it
    if (keyStart < 0) return false
    if (record.valueStart < 0 && this.#horizonHasPassed) return false
    return this.#map.find(record.bytes, keyStart, record.keyEnd) <= offset
  }

  /** What the batch itself is at fault for, with its place; not what this process lacks (a codec that is not installed). */
  #asBadBatch(error: unknown, at: number): unknown {
    if (!(error instanceof TailraceError) || !FAULTS_OF_BATCHES.has(error.code)) return error
    return this.#chunks.corrupt(at, String(error.details['reason'] ?? error.message), error)
  }
}

const FAULTS_OF_BATCHES: ReadonlySet<ErrorCode> = new Set([
  'corrupt_message',
  'unsupported_compression_type',
  'message_too_large',
])
