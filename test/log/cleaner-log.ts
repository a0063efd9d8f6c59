// A partition's files for tests of the cleaner: histories of batches written onto a disk, read back record by record, and
// cleaned files put in the place of the old ones in the simplest way that is right while nobody else looks.

import type { Segment } from '../../src/log/log-segment.ts'
import { emptySegment, segmentPath } from '../../src/log/log-segment.ts'
import type { CleanedGroup, CleanRequest, CleanResult } from '../../src/log/segment-cleaner.ts'
import { cleanSegments } from '../../src/log/segment-cleaner.ts'
import type { SegmentDisk } from '../../src/log/segment-file.ts'
import { RecordReader, scanBatches } from '../../src/record/batch-reader.ts'
import type { CompressionType } from '../../src/record/compression.ts'
import type { BatchHeader } from '../../src/record/record-batch.ts'
import { sealBatch, stampBatch, stampLogAppendTime } from '../../src/record/record-batch.ts'
import type { PlainRecord } from '../record/records.ts'
import { toParts, toPlain } from '../record/records.ts'

export const DIRECTORY = '/topics/clean-0'

export interface BatchPlan {
  readonly records: readonly PlainRecord[]
  readonly compression?: CompressionType
  readonly producerId?: bigint
  readonly logAppendTime?: number
  /** Offsets that nothing has, in front of the batch. */
  readonly gap?: number
}

export interface FoundRecord extends PlainRecord {
  readonly offset: number
}

export interface FoundBatch {
  readonly header: BatchHeader
  readonly records: readonly FoundRecord[]
}

export class CleanerLog {
  readonly disk: SegmentDisk
  segments: Segment[] = []
  nextOffset: number

  constructor(disk: SegmentDisk, firstOffset = 0) {
    this.disk = disk
    this.nextOffset = firstOffset
  }

  /** Writes one closed segment. */
  async addSegment(batches: readonly BatchPlan[]): Promise<Segment> {
    const segment = emptySegment(this.nextOffset)
    const pieces = batches.map((plan) => {
      const bytes = this.#seal(plan)
      noteBatches(segment, bytes)
      return bytes
    })
    const file = await this.disk.open(segmentPath(DIRECTORY, segment.baseOffset), true)
    await file.write(pieces, 0)
    await file.close()
    this.segments.push(segment)
    return segment
  }

  #seal({ records, compression = 'none', producerId, logAppendTime, gap = 0 }: BatchPlan): Buffer {
    const producer = producerId === undefined ? {} : { producerId, producerEpoch: 3, baseSequence: this.nextOffset }
    const batch = sealBatch(toParts(records), { compression, ...producer })
    stampBatch(batch, this.nextOffset + gap, 5)
    if (logAppendTime !== undefined) stampLogAppendTime(batch, logAppendTime)
    this.nextOffset += gap + records.length
    return batch.bytes
  }

  clean(request: Partial<CleanRequest>, onGroup?: (group: CleanedGroup) => Promise<void>): Promise<CleanResult> {
    const replace = async (group: CleanedGroup) => {
      await onGroup?.(group)
      await this.#replace(group)
    }
    const full = {
      directory: DIRECTORY,
      segments: this.segments,
      logStartOffset: 0,
      firstDirtyOffset: 0,
      cleanableEnd: this.nextOffset,
      segmentBytes: 2 ** 30,
      indexIntervalBytes: 4_096,
      deleteRetentionMs: 1_000,
      nowMs: 0,
      producerLastOffsets: [],
      mapBytesMax: 1024 * 1024,
      ...request,
    }
    return cleanSegments(this.disk, full, replace)
  }

  async #replace({ replaced, segment, cleanedPath }: CleanedGroup): Promise<void> {
    for (const base of replaced) await this.disk.remove(segmentPath(DIRECTORY, base))
    await this.disk.rename(cleanedPath, segmentPath(DIRECTORY, segment.baseOffset))
    const first = this.segments.findIndex(({ baseOffset }) => baseOffset === replaced[0])
    this.segments = this.segments.toSpliced(first, replaced.length, segment)
  }

  async batches(): Promise<FoundBatch[]> {
    const found: FoundBatch[] = []
    for (const { baseOffset } of this.segments) found.push(...readBatches(await this.bytesOf(baseOffset)))
    return found
  }

  async records(): Promise<FoundRecord[]> {
    return (await this.batches()).flatMap(({ records }) => records)
  }

  async bytesOf(baseOffset: number): Promise<Buffer> {
    const bytes = await this.disk.readFile(segmentPath(DIRECTORY, baseOffset))
    if (bytes === undefined) throw new Error(`no segment ${baseOffset}`)
    return bytes
  }
}

/** What a log notes of batches that are appended to a segment. */
export function noteBatches(segment: Segment, bytes: Buffer): void {
  const scan = scanBatches(bytes)
  if (scan.stop !== 'end') throw new Error(scan.reason)
  for (const { header } of scan.batches) {
    if (segment.sizeBytes === 0) segment.firstTimestamp = header.maxTimestamp
    segment.sizeBytes += header.sizeBytes
    segment.maxTimestamp = Math.max(segment.maxTimestamp, header.maxTimestamp)
    segment.endOffset = header.baseOffset + header.lastOffsetDelta + 1
  }
}

export function readBatches(bytes: Buffer): FoundBatch[] {
  const scan = scanBatches(bytes)
  if (scan.stop !== 'end') throw new Error(scan.reason)
  return scan.batches.map(({ header, position }) => {
    const reader = new RecordReader()
    const records: FoundRecord[] = []
    reader.open(bytes, position)
    while (reader.next()) records.push({ offset: reader.offset, ...toPlain(reader) })
    return { header, records }
  })
}

/** What a reader of these records knows at the end: the value of each key that is not deleted. */
export function stateOf(records: readonly FoundRecord[]): Map<string, string> {
  const state = new Map<string, string>()
  for (const { key, value } of records) {
    if (key === null) continue
    if (value === null) state.delete(key)
    else state.set(key, value)
  }
  return state
}
