// Walks the batches of a buffer and the records of a batch. Path F3. The bytes may come from disk after a crash or from
// a hostile client: every length is checked against what is there, so that bad bytes give corrupt_message and nothing
// else. A RecordReader is used again and again and allocates nothing for a record (a compressed batch is inflated whole).

import { crc32cOfView } from '../kernel/crc32c.ts'
import { TailraceError } from '../kernel/errors.ts'
import { BATCH_INFLATED_BYTES_MAX } from '../kernel/limits.ts'
import { decompress, decompressInThread } from './compression.ts'
import type { RecordHeader } from './record.ts'
import { NO_HEADERS } from './record.ts'
import type { BatchHeader, TimestampType } from './record-batch.ts'
import {
  BATCH_HEADER_BYTES,
  batchBaseOffsetAt,
  batchBaseTimestampAt,
  batchCrcAt,
  batchLastOffsetAt,
  batchLastOffsetDeltaAt,
  batchMagicAt,
  batchMaxTimestampAt,
  batchRecordCountAt,
  batchSizeAt,
  computeBatchCrc,
  isControl,
  knownCompressionTypeOf,
  LOG_OVERHEAD_BYTES,
  MAGIC,
  parseBatchHeader,
  timestampTypeOf,
} from './record-batch.ts'

const TWO_TO_32 = 0x1_0000_0000
/** length, attributes, timestamp delta, offset delta, key length, value length, header count: a byte each. */
const RECORD_BYTES_MIN = 7

export interface ScannedBatch {
  readonly position: number
  readonly header: BatchHeader
}

export interface BatchScan {
  readonly batches: readonly ScannedBatch[]
  /** end: the last batch ends where the bytes do. cut: a batch may begin at `position`, its end is missing. */
  readonly stop: 'end' | 'cut' | 'corrupt'
  /** Where the scan stopped: the first byte that is in no whole and good batch. */
  readonly position: number
  /** What is wrong there, for people; empty at the end. */
  readonly reason: string
}

/** Walks the batches in bytes [start, end) from header to header; with `checkCrc` (the default) every byte is checked. */
export function scanBatches(
  bytes: Buffer,
  start = 0,
  end = bytes.length,
  options: { readonly checkCrc?: boolean } = {},
): BatchScan {
  const { checkCrc = true } = options
  const batches: ScannedBatch[] = []
  let position = start
  while (position < end) {
    const reason = findBatchFault(bytes, position, end, checkCrc)
    if (reason === CUT) return { batches, stop: 'cut', position, reason }
    if (reason !== undefined) return { batches, stop: 'corrupt', position, reason }
    const header = parseBatchHeader(bytes, position)
    batches.push({ position, header })
    position += header.sizeBytes
  }
  return { batches, stop: 'end', position, reason: '' }
}

const CUT = 'the batch is cut'

/** What is wrong with the batch at a position, as far as its header and checksum show; undefined when nothing is. */
function findBatchFault(bytes: Buffer, position: number, end: number, checkCrc: boolean): string | undefined {
  const available = end - position
  if (available >= 12) {
    const sizeBytes = batchSizeAt(bytes, position)
    if (sizeBytes < BATCH_HEADER_BYTES) return `a batch of ${sizeBytes} bytes is shorter than its header`
  }
  if (available >= 17 && batchMagicAt(bytes, position) !== MAGIC) {
    return `magic ${batchMagicAt(bytes, position)} is not ${MAGIC}`
  }
  if (available < BATCH_HEADER_BYTES) return CUT
  const sizeBytes = batchSizeAt(bytes, position)
  if (available < sizeBytes) return CUT
  if (checkCrc) {
    const expected = batchCrcAt(bytes, position)
    const actual = computeBatchCrc(bytes, position, sizeBytes)
    if (actual !== expected) return `the checksum is ${actual}, the header says ${expected}`
  }
  if (!Number.isSafeInteger(batchBaseOffsetAt(bytes, position)) || batchBaseOffsetAt(bytes, position) < 0) {
    return 'the base offset is out of range'
  }
  if (batchLastOffsetDeltaAt(bytes, position) < 0) return 'the last offset delta is negative'
  if (!Number.isSafeInteger(batchLastOffsetAt(bytes, position))) return 'the last offset is out of range'
  if (!Number.isSafeInteger(batchBaseTimestampAt(bytes, position))) return 'the base timestamp is out of range'
  if (!Number.isSafeInteger(batchMaxTimestampAt(bytes, position))) return 'the max timestamp is out of range'
  if (batchRecordCountAt(bytes, position) < 0) return 'the record count is negative'
  return undefined
}

export interface RecordReaderOptions {
  /** Default true. Pass false only for bytes that were checked before. */
  readonly checkCrc?: boolean
  readonly inflatedBytesMax?: number
}

/**
 * Cursor over the records of one batch after the other: open() a batch, next() until false. The fields describe the
 * present record; its key and value are ranges of `bytes`, where a start of -1 means null.
 */
export class RecordReader {
  offset = 0
  timestamp = 0
  /** Holds the present batch's records: the bytes that were opened, or the inflated ones. */
  bytes: Buffer = EMPTY
  /** The present record with its length field. */
  recordStart = 0
  recordEnd = 0
  /** Where its timestamp delta ends and its offset delta begins. */
  offsetDeltaStart = 0
  keyStart = 0
  keyEnd = 0
  valueStart = 0
  valueEnd = 0
  headerCount = 0
  /** Of the present batch. */
  isControl = false
  timestampType: TimestampType = 'CreateTime'
  recordCount = 0
  /** Where the present batch ends in the bytes that were opened: the next one's position. */
  batchEnd = 0

  readonly #checkCrc: boolean
  readonly #inflatedBytesMax: number
  #batchBytes: Buffer = EMPTY
  #view: DataView = new DataView(EMPTY.buffer, 0, 0)
  #batchPosition = 0
  #position = 0
  #end = 0
  #recordsLeft = 0
  #baseOffset = 0
  #lastOffsetDelta = 0
  #offsetDelta = -1
  #baseTimestamp = 0
  #headersStart = 0

  constructor(options: RecordReaderOptions = {}) {
    this.#checkCrc = options.checkCrc ?? true
    this.#inflatedBytesMax = options.inflatedBytesMax ?? BATCH_INFLATED_BYTES_MAX
  }

  /** Of the present batch; its last offset may be one that compaction has removed. */
  get baseOffset(): number {
    return this.#baseOffset
  }

  get lastOffset(): number {
    return this.#baseOffset + this.#lastOffsetDelta
  }

  /** Of the present batch, parsed anew at each call. */
  get header(): BatchHeader {
    return parseBatchHeader(this.#batchBytes, this.#batchPosition)
  }

  /**
   * Goes to the batch at a position, before its first record. Throws corrupt_message, and message_too_large for a batch
   * that inflates too far, unless its inflated records are given; nothing is open then.
   */
  open(bytes: Buffer, position: number, inflated?: Buffer): void {
    this.#recordsLeft = 0
    this.#position = 0
    this.#end = 0
    if (bytes !== this.#batchBytes) {
      this.#batchBytes = bytes
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    }
    const view = this.#view
    if (!this.#isPlain(position)) {
      const fault = findBatchFault(bytes, position, bytes.length, this.#checkCrc)
      if (fault !== undefined) throw corruptBatch(position, fault)
    }
    const attributes = view.getInt16(position + 21)
    const compression = knownCompressionTypeOf(attributes)
    const batchEnd = position + LOG_OVERHEAD_BYTES + view.getInt32(position + 8)
    let start = position + BATCH_HEADER_BYTES
    let end = batchEnd
    this.bytes = bytes
    if (compression !== 'none') {
      this.bytes = inflated ?? decompress(compression, bytes.subarray(start, end), this.#inflatedBytesMax)
      start = 0
      end = this.bytes.length
    }
    const recordCount = view.getInt32(position + 57)
    if (recordCount * RECORD_BYTES_MIN > end - start)
      throw corruptBatch(position, 'it holds fewer records than it says')
    this.#batchPosition = position
    this.#position = start
    this.#end = end
    this.#recordsLeft = recordCount
    this.#baseOffset = view.getInt32(position) * TWO_TO_32 + view.getUint32(position + 4)
    this.#lastOffsetDelta = view.getInt32(position + 23)
    this.#offsetDelta = -1
    this.timestampType = timestampTypeOf(attributes)
    this.#baseTimestamp = view.getInt32(position + 27) * TWO_TO_32 + view.getUint32(position + 31)
    if (this.timestampType === 'LogAppendTime') this.timestamp = batchMaxTimestampAt(bytes, position)
    this.isControl = isControl(attributes)
    this.recordCount = recordCount
    this.batchEnd = batchEnd
  }

  // Whether nothing at all is odd about a batch's header and checksum. What is odd is judged by findBatchFault, which knows
  // the words for it; the same in one pass, because a batch may hold no more than one small record.
  #isPlain(position: number): boolean {
    const view = this.#view
    const available = view.byteLength - position
    if (available < BATCH_HEADER_BYTES) return false
    const sizeBytes = LOG_OVERHEAD_BYTES + view.getInt32(position + 8)
    if (sizeBytes < BATCH_HEADER_BYTES || sizeBytes > available || view.getInt8(position + 16) !== MAGIC) return false
    if (!isHighWordOfSafe(view.getInt32(position)) || !isHighWordOfSafe(view.getInt32(position + 27))) return false
    if (!isHighWordOfSafe(view.getInt32(position + 35))) return false
    if (view.getInt32(position + 23) < 0 || view.getInt32(position + 57) < 0) return false
    return !this.#checkCrc || crc32cOfView(view, position + 21, position + sizeBytes) === view.getUint32(position + 17)
  }

  /** Goes to the next record; false after the last. Throws corrupt_message. */
  next(): boolean {
    if (this.#recordsLeft === 0) {
      if (this.#position !== this.#end) throw this.#corrupt('bytes follow its last record')
      return false
    }
    this.recordStart = this.#position
    const bodyBytes = this.#readVarint()
    const recordEnd = this.#position + bodyBytes
    if (bodyBytes < RECORD_BYTES_MIN - 1 || recordEnd > this.#end)
      throw this.#corrupt('a record is longer than its batch')
    this.#position++ // attributes: none are defined for a record
    const timestampDelta = this.#readVarlong()
    this.offsetDeltaStart = this.#position
    const offsetDelta = this.#readVarint()
    if (offsetDelta <= this.#offsetDelta || offsetDelta > this.#lastOffsetDelta)
      throw this.#corrupt('offsets do not rise')
    const keyBytes = this.#readVarint()
    const keyStart = this.#position
    this.keyStart = keyBytes < 0 ? -1 : keyStart
    this.keyEnd = keyBytes < 0 ? -1 : keyStart + keyBytes
    if (keyBytes > 0) this.#position = keyStart + keyBytes
    if (keyBytes < -1 || this.#position >= recordEnd) throw this.#corrupt('a key is longer than its record')
    const valueBytes = this.#readVarint()
    const valueStart = this.#position
    this.valueStart = valueBytes < 0 ? -1 : valueStart
    this.valueEnd = valueBytes < 0 ? -1 : valueStart + valueBytes
    if (valueBytes > 0) this.#position = valueStart + valueBytes
    if (valueBytes < -1 || this.#position >= recordEnd) throw this.#corrupt('a value is longer than its record')
    const headerCount = this.#readVarint()
    // A header takes two bytes at least; without headers the record must end here.
    const headersBytes = recordEnd - this.#position
    if (headerCount < 0 || headerCount * 2 > headersBytes || (headerCount === 0 && headersBytes !== 0)) {
      throw this.#corrupt('a record does not end where it says')
    }
    this.headerCount = headerCount
    this.#headersStart = this.#position
    this.recordEnd = recordEnd
    this.#position = recordEnd
    this.#offsetDelta = offsetDelta
    this.offset = this.#baseOffset + offsetDelta
    if (this.timestampType === 'CreateTime') {
      this.timestamp = this.#baseTimestamp + timestampDelta
      if (!Number.isSafeInteger(this.timestamp)) throw this.#corrupt('a timestamp is out of range')
    }
    this.#recordsLeft--
    return true
  }

  /** The present record's, in order, duplicates too. Values are ranges of the batch's bytes, not copies. */
  headers(): readonly RecordHeader[] {
    if (this.headerCount === 0) return NO_HEADERS
    const headers: RecordHeader[] = []
    const { bytes } = this
    const after = this.#position
    this.#position = this.#headersStart
    for (let left = this.headerCount; left > 0; left--) {
      const nameBytes = this.#readVarint()
      const nameStart = this.#position
      if (nameBytes < 0 || nameStart + nameBytes >= this.recordEnd)
        throw this.#corrupt('a header is longer than its record')
      this.#position = nameStart + nameBytes
      const name = bytes.toString('utf8', nameStart, this.#position)
      const valueBytes = this.#readVarint()
      const valueStart = this.#position
      if (valueBytes < -1 || valueStart + valueBytes > this.recordEnd)
        throw this.#corrupt('a header is longer than its record')
      if (valueBytes > 0) this.#position = valueStart + valueBytes
      headers.push({ name, value: valueBytes < 0 ? null : bytes.subarray(valueStart, this.#position) })
    }
    if (this.#position !== this.recordEnd) throw this.#corrupt('a record does not end where it says')
    this.#position = after
    return headers
  }

  // Bytes past the end read as undefined, which counts as 0 here: the length checks above find that they were passed.

  #readVarint(): number {
    const { bytes } = this
    let at = this.#position
    let byte = bytes[at++] as number
    let bits = byte & 0x7f
    for (let shift = 7; byte >= 0x80; shift += 7) {
      if (shift > 28) throw this.#corrupt('a varint is longer than five bytes')
      byte = bytes[at++] as number
      bits |= (byte & 0x7f) << shift
    }
    this.#position = at
    return (bits >>> 1) ^ -(bits & 1)
  }

  #readVarlong(): number {
    const { bytes } = this
    let at = this.#position
    const first = bytes[at] as number
    if (first < 0x80) {
      this.#position = at + 1
      return (first >>> 1) ^ -(first & 1)
    }
    let low = 0
    let high = 0
    for (let shift = 0; ; shift += 7) {
      if (shift > 63) throw this.#corrupt('a varlong is longer than ten bytes')
      const byte = bytes[at++] as number
      const group = byte & 0x7f
      if (shift < 28) low |= group << shift
      else if (shift === 28) {
        low |= group << 28
        high = group >>> 4
      } else high |= group << (shift - 32)
      if (!(byte >= 0x80)) break
    }
    this.#position = at
    const sign = -(low & 1)
    return ((high >>> 1) ^ sign) * TWO_TO_32 + ((((low >>> 1) | (high << 31)) ^ sign) >>> 0)
  }

  /** Lets go of all bytes: nothing is open then. */
  close(): void {
    this.bytes = EMPTY
    this.#batchBytes = EMPTY
    this.#view = EMPTY_VIEW
    this.#recordsLeft = 0
    this.#position = 0
    this.#end = 0
  }

  #corrupt(reason: string): TailraceError {
    return corruptBatch(this.#batchPosition, reason)
  }
}

/** The records of the whole batch at a position, inflated in a thread. corrupt_message, message_too_large. */
export function inflateInThread(bytes: Buffer, position: number): Promise<Buffer> {
  const { attributes, sizeBytes } = parseBatchHeader(bytes, position)
  const records = bytes.subarray(position + BATCH_HEADER_BYTES, position + sizeBytes)
  return decompressInThread(knownCompressionTypeOf(attributes), records, BATCH_INFLATED_BYTES_MAX)
}

const EMPTY = Buffer.alloc(0)
const EMPTY_VIEW = new DataView(EMPTY.buffer, 0, 0)

/** Of an int64 from 0 to 2^53 - 1; others may be safe integers too. */
function isHighWordOfSafe(high: number): boolean {
  return high >= 0 && high < 0x20_0000
}

function corruptBatch(position: number, reason: string): TailraceError {
  return new TailraceError('corrupt_message', `the batch at position ${position} is corrupt: ${reason}`, {
    position,
    reason,
  })
}
