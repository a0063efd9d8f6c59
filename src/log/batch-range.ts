// F2: reads of batches out of one segment file: whole batches from an offset on, and the first record at or after a
// time. Only bytes below `end` (what is synced) are looked at. Every batch that is given out has had its checksum
// verified here, where file and position are known; a bad one is reported, with where good ones go on, and never skipped
// on the way to its own records.

import { TailraceError } from '../kernel/errors.ts'
import { CORRUPT_SEARCH_BYTES_MAX } from '../kernel/limits.ts'
import { releaseBytes } from '../kernel/release-bytes.ts'
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
  LOG_OVERHEAD_BYTES,
  MAGIC,
} from '../record/record-batch.ts'
import { findGoodBatch, readAt } from './good-batch.ts'
import type { ReadLandmarks } from './read-landmarks.ts'
import { LANDMARK_BYTES } from './read-landmarks.ts'
import type { SegmentFile } from './segment-file.ts'

export interface BatchRange {
  readonly path: string
  /** Where a batch begins. */
  readonly position: number
  /** The offset that is due there: the batch's base offset if that is known for certain, else it may be a later one. */
  readonly due: number
  readonly isDueExact: boolean
  /** Bytes of the segment that may be read, and the offset where they end. */
  readonly end: number
  readonly endOffset: number
}

/** Which batches of a range are wanted. */
interface Wanted extends BatchRange {
  /** The first batch given is the one that holds this offset, or the next one. */
  readonly offset: number
  readonly maxBytes: number
  /** The first batch comes even if it is larger than maxBytes. */
  readonly atLeastOne: boolean
}

export interface CutOptions extends Wanted {
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
const NOTHING = Buffer.alloc(0)

export async function cutBatches(file: SegmentFile, options: CutOptions): Promise<Buffer> {
  let { position, due, isDueExact } = options
  let wanted = options.maxBytes + options.skippedBytes
  for (;;) {
    const bytes = await readRange(file, position, Math.min(wanted, options.end - position), options.path)
    const cut = new BatchCut(bytes, { ...options, position, due, isDueExact }).run()
    if (cut.end > cut.start) {
      const given = bytes.subarray(cut.start, cut.end)
      noteLandmarks(given, position + cut.start, options)
      return given
    }
    releaseBytes(bytes)
    position += cut.start
    due = cut.due
    isDueExact = cut.start > 0 ? false : isDueExact
    if (cut.fault !== undefined) {
      const next = await goOnBehind(file, options, position, due, cut.fault)
      position = next.position
      due = next.baseOffset
      isDueExact = true
    }
    // either everything read lies before the offset, or one batch is larger than what was read
    const tooLarge = !options.atLeastOne && cut.nextBatchBytes > options.maxBytes
    if (tooLarge) return NOTHING
    if (position >= options.end) {
      throw corrupt(
        options.path,
        position,
        due,
        `the file ends there, before offset ${options.offset}`,
        options.endOffset,
      )
    }
    wanted = Math.max(options.maxBytes, cut.nextBatchBytes)
  }
}

/** The good batch behind a bad one, where the offset asked for lies there; else the bad one is the reader's. */
async function goOnBehind(file: SegmentFile, options: CutOptions, position: number, due: number, fault: string) {
  const { end, endOffset } = options
  const bytesMax = CORRUPT_SEARCH_BYTES_MAX
  const next = await findGoodBatch(file, { position, end, minOffset: due, endOffset, bytesMax })
  if (next !== undefined && options.offset >= next.baseOffset) return next
  const isSearched = end - position <= bytesMax
  const nextOffset = next?.baseOffset ?? (isSearched ? endOffset : undefined)
  throw corrupt(options.path, position, due, fault, nextOffset)
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

interface Cut {
  /** The good whole batches of the bytes that are given: [start, end). */
  readonly start: number
  readonly end: number
  /** The offset that is due at `start`. */
  readonly due: number
  /** How long the first batch behind them is; as far as that is known. */
  readonly nextBatchBytes: number
  /** What is wrong with the batch at `start`, when none is given. */
  readonly fault: string | undefined
}

/**
 * Finds the batches to give in some bytes. A batch's base offset and length lie outside its checksum: they are held
 * against its neighbours. Batches follow on each other; where offsets are missing (compaction took them) both batches
 * beside the hole are verified, so that no flipped bit makes a hole.
 */
class BatchCut {
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #options: Wanted
  #start = 0
  #at = 0
  #due: number
  #dueAtStart: number
  /** The batch before the present one, when these bytes have it; it was skipped without a look at its checksum. */
  #skippedAt = -1
  #skippedDue = 0
  #nextBatchBytes = BATCH_HEADER_BYTES

  constructor(bytes: Buffer, options: Wanted) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#options = options
    this.#due = options.due
    this.#dueAtStart = options.due
  }

  run(): Cut {
    let fault: string | undefined
    while (fault === undefined && this.#at + BATCH_HEADER_BYTES <= this.#bytes.length) {
      if (this.#at - this.#start >= this.#options.maxBytes) break
      const step = this.#step()
      if (step === STOP) break
      fault = step
    }
    fault ??= this.#faultOfRest()
    if (this.#at > this.#start) fault = undefined
    else if (this.#skippedAt >= 0) fault = this.#blame(fault)
    return {
      start: this.#start,
      end: this.#at,
      due: this.#dueAtStart,
      nextBatchBytes: this.#nextBatchBytes,
      fault,
    }
  }

  /** Of bytes at the range's end that are too few for a batch. */
  #faultOfRest(): string | undefined {
    const isLast = this.#options.position + this.#bytes.length >= this.#options.end
    const left = this.#bytes.length - this.#at
    return isLast && left > 0 && left < BATCH_HEADER_BYTES ? 'it is cut' : undefined
  }

  /** Passes one batch; STOP where no more is to be given, or what is wrong with it. */
  #step(): string | undefined {
    const bytes = this.#bytes
    const at = this.#at
    const { offset, maxBytes, atLeastOne } = this.#options
    const fault = faultOfHeader(bytes, at, this.#options)
    if (fault !== undefined) return fault
    const sizeBytes = batchSizeAt(bytes, at)
    const baseOffset = batchBaseOffsetAt(bytes, at)
    const lastOffset = batchLastOffsetAt(bytes, at)
    if (lastOffset < baseOffset || lastOffset >= this.#options.endOffset) return offsetsFault(baseOffset, lastOffset)
    if (baseOffset !== this.#due) {
      const odd = this.#judgeHole(at, sizeBytes, baseOffset, lastOffset)
      if (odd !== undefined) return odd
    }
    if (at + sizeBytes > bytes.length) {
      this.#nextBatchBytes = sizeBytes
      return STOP
    }
    if (lastOffset < offset) {
      this.#skippedAt = at
      this.#skippedDue = this.#due
      this.#start = at + sizeBytes
      this.#dueAtStart = lastOffset + 1
    } else {
      // what was read beyond the limit is not given, except the first batch
      if ((at > this.#start || !atLeastOne) && at + sizeBytes - this.#start > maxBytes) {
        this.#nextBatchBytes = sizeBytes
        return STOP
      }
      if (!this.#isWhole(at, sizeBytes)) return CHECKSUM_FAULT
    }
    this.#at = at + sizeBytes
    this.#due = lastOffset + 1
    return undefined
  }

  /** A batch that does not begin where the one before it ends. */
  #judgeHole(at: number, sizeBytes: number, baseOffset: number, lastOffset: number): string | undefined {
    const isFirst = at === 0
    if (baseOffset < this.#due || (isFirst && this.#options.isDueExact)) return offsetsFault(baseOffset, lastOffset)
    if (this.#skippedAt >= 0 && this.#blame(undefined) !== undefined) return offsetsFault(baseOffset, lastOffset)
    const nextAt = at + sizeBytes
    if (this.#options.position + nextAt + LOG_OVERHEAD_BYTES > this.#options.end) return undefined
    if (nextAt + LOG_OVERHEAD_BYTES > this.#bytes.length) {
      this.#nextBatchBytes = sizeBytes + BATCH_HEADER_BYTES
      return STOP
    }
    const nextOffset = batchBaseOffsetAt(this.#bytes, nextAt)
    return nextOffset > lastOffset ? undefined : offsetsFault(baseOffset, lastOffset)
  }

  /** The batch that was skipped last, if it is the bad one, else what is wrong with the present one. */
  #blame(fault: string | undefined): string | undefined {
    const at = this.#skippedAt
    if (this.#isWhole(at, batchSizeAt(this.#bytes, at))) return fault
    this.#start = at
    this.#at = at
    this.#dueAtStart = this.#skippedDue
    return CHECKSUM_FAULT
  }

  #isWhole(at: number, sizeBytes: number): boolean {
    return batchCrcAt(this.#bytes, at) === computeBatchCrcOfView(this.#view, at, sizeBytes)
  }
}

const STOP = ''
const CHECKSUM_FAULT = 'its checksum does not fit'

function offsetsFault(baseOffset: number, lastOffset: number): string {
  return `it says that it holds the offsets ${baseOffset} to ${lastOffset}`
}

/** What keeps the bytes at a place from being a batch's header. */
function faultOfHeader(bytes: Buffer, at: number, range: BatchRange): string | undefined {
  const sizeBytes = batchSizeAt(bytes, at)
  if (sizeBytes < BATCH_HEADER_BYTES || range.position + at + sizeBytes > range.end) {
    return `its length says ${sizeBytes} bytes`
  }
  const magic = batchMagicAt(bytes, at)
  return magic === MAGIC ? undefined : `its magic is ${magic}`
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

/** The offset behind a range's last batch. */
export async function findEndOffset(file: SegmentFile, range: BatchRange): Promise<number> {
  let endOffset = range.due
  for await (const { bytes, at } of walk(file, range)) endOffset = batchLastOffsetAt(bytes, at) + 1
  return endOffset
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

/** Every whole batch of a range, chunk by chunk, each verified. */
async function* walk(file: SegmentFile, range: BatchRange): AsyncGenerator<{ bytes: Buffer; at: number }> {
  let { position, due } = range
  let wanted = SCAN_BYTES
  while (position < range.end) {
    const bytes = await readRange(file, position, Math.min(wanted, range.end - position), range.path)
    const isDueExact = range.isDueExact && position === range.position
    const chunk = { ...range, position, due, isDueExact, offset: due, maxBytes: bytes.length, atLeastOne: true }
    const { end, nextBatchBytes, fault } = new BatchCut(bytes, chunk).run()
    for (let at = 0; at < end; at += batchSizeAt(bytes, at)) {
      due = batchLastOffsetAt(bytes, at) + 1
      yield { bytes, at }
    }
    if (fault !== undefined) throw corrupt(range.path, position, due, fault)
    position += end
    wanted = Math.max(SCAN_BYTES, nextBatchBytes)
  }
}

async function readRange(file: SegmentFile, position: number, length: number, path: string): Promise<Buffer> {
  if (position < 0 || length <= 0) throw corrupt(path, position, -1, 'it is not within the segment')
  const bytes = await readAt(file, position, length)
  if (bytes.length === length) return bytes
  throw new TailraceError(
    'corrupt_message',
    `${path} ends at ${position + bytes.length}, before ${position + length}, up to where it was written`,
    { file: path, position: position + bytes.length },
  )
}

function corrupt(path: string, position: number, due: number, what: string, nextOffset?: number): TailraceError {
  const goOn = nextOffset === undefined ? '' : `; good batches go on at offset ${nextOffset}`
  return new TailraceError(
    'corrupt_message',
    `bad batch in ${path} at position ${position}, where offset ${due} is due: ${what}${goOn}`,
    { file: path, position, offset: due, ...(nextOffset === undefined ? {} : { next_offset: nextOffset }) },
  )
}
