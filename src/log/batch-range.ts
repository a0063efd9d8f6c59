// F2: reads of batches out of one segment file: whole batches from an offset on, and the first record at or after a
// time. Only bytes below `end` (what is synced) are looked at. Every batch that is given out has had its checksum
// verified here, where file and position are known; a bad one is reported, never skipped.

import { TailraceError } from '../kernel/errors.ts'
import { RecordReader } from '../record/batch-reader.ts'
import {
  BATCH_HEADER_BYTES,
  batchBaseOffsetAt,
  batchCrcAt,
  batchLastOffsetAt,
  batchMagicAt,
  batchMaxTimestampAt,
  batchSizeAt,
  computeBatchCrcOfView,
  MAGIC,
} from '../record/record-batch.ts'
import type { ReadLandmarks } from './read-landmarks.ts'
import { LANDMARK_BYTES } from './read-landmarks.ts'
import type { SegmentFile } from './segment-file.ts'

export interface BatchRange {
  readonly path: string
  /** Where a batch begins. */
  readonly position: number
  /** Bytes of the segment that may be read. */
  readonly end: number
}

export interface CutOptions extends BatchRange {
  /** The first batch given is the one that holds this offset, or the next one. */
  readonly offset: number
  readonly maxBytes: number
  /** The first batch comes even if it is larger than maxBytes. */
  readonly atLeastOne: boolean
  /** How many bytes may lie between `position` and that batch. */
  readonly skippedBytes: number
  readonly segmentBase: number
  /** Told where batches were found. */
  readonly landmarks: ReadLandmarks
}

export interface TimestampedOffset {
  readonly offset: number
  readonly timestamp: number
}

const SCAN_BYTES = 256 * 1024

export async function cutBatches(file: SegmentFile, options: CutOptions): Promise<Buffer> {
  let { position } = options
  let wanted = options.maxBytes + options.skippedBytes
  for (;;) {
    const bytes = await readRange(file, position, Math.min(wanted, options.end - position))
    const cut = cutWhole(bytes, position, options)
    if (cut.end > cut.start) {
      const given = bytes.subarray(cut.start, cut.end)
      noteLandmarks(given, position + cut.start, options)
      return given
    }
    // either everything read lies before the offset, or one batch is larger than what was read
    position += cut.start
    const tooLarge = !options.atLeastOne && cut.nextBatchBytes > options.maxBytes
    if (position >= options.end || tooLarge) return bytes.subarray(0, 0)
    wanted = Math.max(options.maxBytes, cut.nextBatchBytes)
  }
}

/** Where reading may go on: about every LANDMARK_BYTES, and behind the last batch. */
function noteLandmarks(bytes: Buffer, position: number, { segmentBase, landmarks }: CutOptions): void {
  landmarks.begin()
  let next = 0
  let last = 0
  for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) {
    last = at
    if (at < next) continue
    landmarks.add(segmentBase, batchBaseOffsetAt(bytes, at), position + at)
    next = at + LANDMARK_BYTES
  }
  landmarks.add(segmentBase, batchLastOffsetAt(bytes, last) + 1, position + bytes.length)
}

/** The good whole batches in some bytes: [start, end), and how long the first batch after them is (0: not known). */
function cutWhole(bytes: Buffer, position: number, options: CutOptions) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let start = 0
  let at = 0
  let nextBatchBytes = BATCH_HEADER_BYTES
  while (at + BATCH_HEADER_BYTES <= bytes.length && at - start < options.maxBytes) {
    const sizeBytes = checkedSize(bytes, at, position, options)
    if (at + sizeBytes > bytes.length) {
      nextBatchBytes = sizeBytes
      break
    }
    const skipped = batchLastOffsetAt(bytes, at) < options.offset
    if (skipped) {
      start = at + sizeBytes
    } else {
      // what was read beyond the limit is not given, except the first batch
      if ((at > start || !options.atLeastOne) && at + sizeBytes - start > options.maxBytes) {
        nextBatchBytes = sizeBytes
        break
      }
      if (batchCrcAt(bytes, at) !== computeBatchCrcOfView(view, at, sizeBytes)) {
        if (at > start) break
        throw corrupt(options, position + at, batchBaseOffsetAt(bytes, at), 'its checksum does not fit')
      }
    }
    at += sizeBytes
  }
  return { start, end: Math.max(at, start), nextBatchBytes }
}

/** The length of the batch at a place, when it can be one. */
function checkedSize(bytes: Buffer, at: number, position: number, range: BatchRange): number {
  const sizeBytes = batchSizeAt(bytes, at)
  if (sizeBytes < BATCH_HEADER_BYTES || position + at + sizeBytes > range.end) {
    throw corrupt(range, position + at, batchBaseOffsetAt(bytes, at), `its length says ${sizeBytes} bytes`)
  }
  if (batchMagicAt(bytes, at) !== MAGIC) {
    throw corrupt(range, position + at, batchBaseOffsetAt(bytes, at), `its magic is ${batchMagicAt(bytes, at)}`)
  }
  return sizeBytes
}

export interface ScanOptions extends BatchRange {
  /** Records below it are not there any more. */
  readonly minOffset: number
}

/** The first record whose timestamp is at or after a time. */
export async function findByTimestamp(
  file: SegmentFile,
  options: ScanOptions & { readonly timestamp: number },
): Promise<TimestampedOffset | undefined> {
  for await (const { bytes, at } of walk(file, options)) {
    if (batchMaxTimestampAt(bytes, at) < options.timestamp) continue
    const found = findInBatch(bytes, at, options.minOffset, (timestamp) => timestamp >= options.timestamp)
    if (found !== undefined) return found
  }
  return undefined
}

/** The first record that has the largest timestamp. */
export async function findMaxTimestamp(
  file: SegmentFile,
  options: ScanOptions,
): Promise<TimestampedOffset | undefined> {
  let best: TimestampedOffset | undefined
  for await (const { bytes, at } of walk(file, options)) {
    const above = best?.timestamp ?? -1
    if (batchMaxTimestampAt(bytes, at) <= above) continue
    let max = above
    findInBatch(bytes, at, options.minOffset, (timestamp) => {
      max = Math.max(max, timestamp)
      return false
    })
    best = findInBatch(bytes, at, options.minOffset, (timestamp) => timestamp === max && max > above) ?? best
  }
  return best
}

function findInBatch(bytes: Buffer, at: number, minOffset: number, fits: (timestamp: number) => boolean) {
  const reader = new RecordReader()
  reader.open(bytes, at)
  while (reader.next()) {
    if (reader.offset >= minOffset && fits(reader.timestamp))
      return { offset: reader.offset, timestamp: reader.timestamp }
  }
  return undefined
}

/** Every whole batch of a range, chunk by chunk. */
async function* walk(file: SegmentFile, range: BatchRange): AsyncGenerator<{ bytes: Buffer; at: number }> {
  let { position } = range
  let wanted = SCAN_BYTES
  while (position < range.end) {
    const bytes = await readRange(file, position, Math.min(wanted, range.end - position))
    let at = 0
    wanted = SCAN_BYTES
    while (at + BATCH_HEADER_BYTES <= bytes.length) {
      const sizeBytes = checkedSize(bytes, at, position, range)
      if (at + sizeBytes > bytes.length) {
        wanted = Math.max(SCAN_BYTES, sizeBytes)
        break
      }
      yield { bytes, at }
      at += sizeBytes
    }
    if (at === 0 && wanted <= bytes.length) throw corrupt(range, position, -1, 'it is cut')
    position += at
  }
}

async function readRange(file: SegmentFile, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(Math.max(0, length))
  const bytes = await file.read(buffer, position)
  if (bytes === length) return buffer
  throw new TailraceError('corrupt_message', `a segment file ends at ${position + bytes}, before ${position + length}`)
}

function corrupt(range: BatchRange, position: number, offset: number, what: string): TailraceError {
  return new TailraceError('corrupt_message', `bad batch in ${range.path} at position ${position}: ${what}`, {
    file: range.path,
    position,
    offset,
  })
}
