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

import { TailraceError } from '../kernel/errors.ts'
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
  /** Last offset of the last batch of each producer that the partition remembers: that batch stays, emptied if need be. */
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
 * segments before it resolves. corrupt_message names file, position and offset of a batch that cannot be read.
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
    this.#cleanedTo = await this.#mapNewestOffsets()
    const { segments, cleanableEnd, segmentBytes } = this.#request
    const end = Math.min(this.#cleanedTo, cleanableEnd)
    const cleanable = segments.filter((segment) => segment.baseOffset < end)
    for (const group of groupSegments(cleanable, segmentBytes)) await this.#cleanGroup(group)
    return { cleanedTo: this.#cleanedTo, ...this.#counts }
  }

  /** Answers where the pass ends: the first record whose key has no room in the map, or the end of what is cleanable. */
  async #mapNewestOffsets(): Promise<number> {
    const { segments, cleanableEnd } = this.#request
    const reader = new RecordReader()
    let cleanedTo = Math.max(cleanableEnd, this.#firstDirtyOffset)
    for (const segment of segments) {
      if (segment.endOffset <= this.#firstDirtyOffset) continue
      if (segment.baseOffset >= cleanedTo) break
      await this.#eachBatch(segment, (bytes, at) => {
        if (batchBaseOffsetAt(bytes, at) >= cleanedTo) return
        cleanedTo = Math.min(cleanedTo, this.#mapBatch(reader, bytes, at))
      })
    }
    return cleanedTo
  }

  /** Answers the offset of the first record whose key has no room. */
  #mapBatch(reader: RecordReader, bytes: Buffer, at: number): number {
    const firstDirtyOffset = this.#firstDirtyOffset
    if (batchLastOffsetAt(bytes, at) < firstDirtyOffset) return Number.POSITIVE_INFINITY
    reader.open(bytes, at)
    if (reader.isControl) return Number.POSITIVE_INFINITY
    while (reader.next()) {
      const { offset, keyStart } = reader
      if (keyStart < 0 || offset < firstDirtyOffset) continue
      if (!this.#map.put(reader.bytes, keyStart, reader.keyEnd, offset)) return offset
    }
    return Number.POSITIVE_INFINITY
  }

  async #cleanGroup(group: readonly Segment[]): Promise<void> {
    const { baseOffset } = group[0] as Segment
    const { directory, indexIntervalBytes } = this.#request
    const path = cleanedPath(directory, baseOffset)
    const cleaned = await CleanedSegment.create(this.#disk, path, { baseOffset, indexIntervalBytes })
    try {
      for (const segment of group) {
        await this.#eachBatch(segment, (bytes, at) => this.#cleanBatch(cleaned, bytes, at))
        this.#counts.bytesRead += segment.sizeBytes
      }
      await cleaned.finish()
      this.#counts.bytesWritten += cleaned.segment.sizeBytes
      const replaced = group.map((segment) => segment.baseOffset)
      await this.#onGroup({ replaced, segment: cleaned.segment, entries: cleaned.entries, cleanedPath: path })
    } catch (error) {
      // a start takes away what cannot be taken away now; what went wrong first is what is told
      await cleaned.discard().catch(() => undefined)
      throw error
    }
  }

  /** Visits the batches of a segment; a visit that has to wait answers a promise. */
  async #eachBatch(
    segment: Segment,
    visit: (bytes: Buffer, at: number) => Promise<void> | undefined | void,
  ): Promise<void> {
    if (segment.sizeBytes === 0) return
    const path = segmentPath(this.#request.directory, segment.baseOffset)
    const file = await this.#disk.open(path, false)
    const chunks = this.#chunks
    try {
      chunks.open(file, path, segment.sizeBytes, segment.baseOffset)
      while (await chunks.next()) {
        for (let at = 0; at < chunks.end; at += batchSizeAt(chunks.bytes, at)) {
          const wait = this.#visited(visit, at)
          if (wait !== undefined) await wait
        }
      }
    } finally {
      await file.close()
    }
  }

  #visited(
    visit: (bytes: Buffer, at: number) => Promise<void> | undefined | void,
    at: number,
  ): Promise<void> | undefined {
    try {
      return visit(this.#chunks.bytes, at) ?? undefined
    } catch (error) {
      throw isUnreadable(error)
        ? this.#chunks.corrupt(at, String(error.details['reason'] ?? error.message), error)
        : error
    }
  }

  #cleanBatch(cleaned: CleanedSegment, bytes: Buffer, at: number): Promise<void> | undefined {
    const end = at + batchSizeAt(bytes, at)
    const recordCount = batchRecordCountAt(bytes, at)
    const attributes = batchAttributesAt(bytes, at)
    this.#counts.recordsRead += recordCount
    if (isControl(attributes) || batchBaseOffsetAt(bytes, at) >= this.#cleanedTo) {
      this.#chunks.checkCrc(at)
      this.#counts.recordsKept += recordCount
      return cleaned.append(bytes, at, end)
    }
    const isWhollyMapped = batchLastOffsetAt(bytes, at) < this.#cleanedTo
    this.#horizonHasPassed = hasDeleteHorizon(attributes) && batchBaseTimestampAt(bytes, at) <= this.#request.nowMs
    const filter = this.#filter
    const outcome = filter.apply(bytes, at, this.#keeps, isWhollyMapped ? this.#deleteHorizonMs : undefined)
    this.#counts.recordsKept += filter.recordsKept
    this.#counts.tombstonesKept += filter.tombstonesKept
    if (outcome === 'unchanged') return cleaned.append(bytes, at, end)
    if (outcome === 'rewritten') return cleaned.append(filter.rewritten, 0, filter.rewritten.length)
    if (!this.#producerLastOffsets.has(batchLastOffsetAt(bytes, at))) return undefined
    if (recordCount === 0) return cleaned.append(bytes, at, end)
    const empty = emptyBatch(parseBatchHeader(bytes, at))
    return cleaned.append(empty, 0, empty.length)
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
}

/** Whether a batch itself is at fault, not this process (a codec that is not installed). */
function isUnreadable(error: unknown): error is TailraceError {
  if (!(error instanceof TailraceError)) return false
  return (
    error.code === 'corrupt_message' ||
    error.code === 'unsupported_compression_type' ||
    error.code === 'message_too_large'
  )
}
