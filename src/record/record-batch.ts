// Kafka's RecordBatch v2 as bytes: its header, building a batch from record parts (sealing), and the stamps that the log
// puts into a sealed batch without encoding it again. Path A4. No I/O; no byte of a key or value is copied but once,
// into the batch. What walks a batch's records is batch-reader.ts, what checks a client's batch is batch-check.ts.
//
//   position  field                 type    what
//          0  baseOffset            int64   stamped by the log; outside the checksum
//          8  batchLength           int32   bytes after this field
//         12  partitionLeaderEpoch  int32   stamped by the log; outside the checksum
//         16  magic                 int8    2
//         17  crc                   uint32  CRC-32C of everything from attributes on
//         21  attributes            int16   0-2 compression, 3 LogAppendTime, 4 transactional, 5 control, 6 delete horizon
//         23  lastOffsetDelta       int32
//         27  baseTimestamp         int64   the first record's (with bit 6: the delete horizon)
//         35  maxTimestamp          int64
//         43  producerId            int64   -1: none
//         51  producerEpoch         int16
//         53  baseSequence          int32
//         57  recordCount           int32
//         61  records, compressed as attributes say

import { crc32c, crc32cOfView } from '../kernel/crc32c.ts'
import { invariant, TailraceError } from '../kernel/errors.ts'
import { BATCH_BYTES_MAX } from '../kernel/limits.ts'
import type { CompressionType } from './compression.ts'
import { COMPRESSION_TYPES, compress } from './compression.ts'
import type { RecordParts } from './record.ts'
import { measureRecords, writeRecords } from './record-encoder.ts'

export const BATCH_HEADER_BYTES = 61
/** baseOffset and batchLength: what stands before the bytes that batchLength counts. */
export const LOG_OVERHEAD_BYTES = 12
export const MAGIC = 2

const CRC_AT = 17
const ATTRIBUTES_AT = 21
const COMPRESSION_MASK = 0x07
const LOG_APPEND_TIME_FLAG = 0x08
const TRANSACTIONAL_FLAG = 0x10
const CONTROL_FLAG = 0x20
const DELETE_HORIZON_FLAG = 0x40
/** Kafka's NO_TIMESTAMP. */
const NO_TIMESTAMP = -1
const TWO_TO_32 = 0x1_0000_0000
/** Kept, because `-1n` in a function makes a new bigint at every call. */
const NO_PRODUCER_ID = -1n

export type TimestampType = 'CreateTime' | 'LogAppendTime'

export interface BatchHeader {
  baseOffset: number
  /** The whole batch: 12 + batchLength. */
  sizeBytes: number
  partitionLeaderEpoch: number
  magic: number
  crc: number
  attributes: number
  lastOffsetDelta: number
  baseTimestamp: number
  maxTimestamp: number
  producerId: bigint
  producerEpoch: number
  baseSequence: number
  recordCount: number
}

/** One whole batch. `bytes` begins and ends with it; what the log stamps is kept equal in both. */
export interface SealedBatch {
  readonly bytes: Buffer
  readonly header: BatchHeader
}

/** Undefined where the bits name no compression that Kafka knows. */
export function compressionTypeOf(attributes: number): CompressionType | undefined {
  return COMPRESSION_TYPES[attributes & COMPRESSION_MASK]
}

export function knownCompressionTypeOf(attributes: number): CompressionType {
  const type = compressionTypeOf(attributes)
  if (type !== undefined) return type
  throw new TailraceError(
    'unsupported_compression_type',
    `no compression has the number ${attributes & COMPRESSION_MASK}`,
  )
}

export function timestampTypeOf(attributes: number): TimestampType {
  return attributes & LOG_APPEND_TIME_FLAG ? 'LogAppendTime' : 'CreateTime'
}

export function isTransactional(attributes: number): boolean {
  return (attributes & TRANSACTIONAL_FLAG) !== 0
}

/** Control batches mark the ends of transactions; they are never shown as records. */
export function isControl(attributes: number): boolean {
  return (attributes & CONTROL_FLAG) !== 0
}

/** baseTimestamp then holds the time from which compaction may drop the batch's tombstones. */
export function hasDeleteHorizon(attributes: number): boolean {
  return (attributes & DELETE_HORIZON_FLAG) !== 0
}

/** Reads a header without judging it. BATCH_HEADER_BYTES must be there. */
export function parseBatchHeader(bytes: Buffer, position: number): BatchHeader {
  return {
    baseOffset: batchBaseOffsetAt(bytes, position),
    sizeBytes: batchSizeAt(bytes, position),
    partitionLeaderEpoch: readInt32(bytes, position + 12),
    magic: batchMagicAt(bytes, position),
    crc: batchCrcAt(bytes, position),
    attributes: batchAttributesAt(bytes, position),
    lastOffsetDelta: batchLastOffsetDeltaAt(bytes, position),
    baseTimestamp: batchBaseTimestampAt(bytes, position),
    maxTimestamp: batchMaxTimestampAt(bytes, position),
    producerId: readProducerId(bytes, position + 43),
    producerEpoch: (readInt32(bytes, position + 49) << 16) >> 16,
    baseSequence: readInt32(bytes, position + 53),
    recordCount: batchRecordCountAt(bytes, position),
  }
}

// One field of the batch at a position, for loops that need no more than that.

export function batchBaseOffsetAt(bytes: Buffer, position: number): number {
  return readInt64(bytes, position)
}

export function batchSizeAt(bytes: Buffer, position: number): number {
  return LOG_OVERHEAD_BYTES + readInt32(bytes, position + 8)
}

export function batchMagicAt(bytes: Buffer, position: number): number {
  return ((bytes[position + 16] as number) << 24) >> 24
}

export function batchCrcAt(bytes: Buffer, position: number): number {
  return readInt32(bytes, position + CRC_AT) >>> 0
}

export function batchAttributesAt(bytes: Buffer, position: number): number {
  return ((((bytes[position + ATTRIBUTES_AT] as number) << 8) | (bytes[position + 22] as number)) << 16) >> 16
}

export function batchLastOffsetDeltaAt(bytes: Buffer, position: number): number {
  return readInt32(bytes, position + 23)
}

/** The offset of the batch's last record, also where compaction has removed that record. */
export function batchLastOffsetAt(bytes: Buffer, position: number): number {
  return batchBaseOffsetAt(bytes, position) + batchLastOffsetDeltaAt(bytes, position)
}

export function batchBaseTimestampAt(bytes: Buffer, position: number): number {
  return readInt64(bytes, position + 27)
}

export function batchMaxTimestampAt(bytes: Buffer, position: number): number {
  return readInt64(bytes, position + 35)
}

export function batchRecordCountAt(bytes: Buffer, position: number): number {
  return readInt32(bytes, position + 57)
}

/** The checksum that a batch of this size at a position should carry. */
export function computeBatchCrc(bytes: Buffer, position: number, sizeBytes: number): number {
  return crc32c(bytes, position + ATTRIBUTES_AT, position + sizeBytes)
}

/** The same for who has a view of the bytes already: faster for many small batches. */
export function computeBatchCrcOfView(view: DataView, position: number, sizeBytes: number): number {
  return crc32cOfView(view, position + ATTRIBUTES_AT, position + sizeBytes)
}

export interface SealOptions {
  readonly compression: CompressionType
  /** As its codec counts; undefined: the codec's default. */
  readonly compressionLevel?: number | undefined
  readonly producerId?: bigint
  readonly producerEpoch?: number
  readonly baseSequence?: number
}

/** Builds one batch, with base offset 0 and leader epoch -1 until the log stamps it. At least one record. */
export function sealBatch(records: readonly RecordParts[], options: SealOptions): SealedBatch {
  const first = records[0]
  invariant(first !== undefined, 'a batch holds at least one record')
  const baseTimestamp = first.timestamp
  const recordsBytes = measureRecords(records, baseTimestamp)
  if (BATCH_HEADER_BYTES + recordsBytes > BATCH_BYTES_MAX) throw tooLarge(BATCH_HEADER_BYTES + recordsBytes)
  const plain = Buffer.allocUnsafe(BATCH_HEADER_BYTES + recordsBytes)
  const end = writeRecords(plain, BATCH_HEADER_BYTES, records, baseTimestamp)
  invariant(end === plain.length, 'a batch is as long as it was measured')
  const bytes = options.compression === 'none' ? plain : withCompressedRecords(plain, options)
  const header: BatchHeader = {
    baseOffset: 0,
    sizeBytes: bytes.length,
    partitionLeaderEpoch: -1,
    magic: MAGIC,
    crc: 0,
    attributes: COMPRESSION_TYPES.indexOf(options.compression),
    lastOffsetDelta: records.length - 1,
    baseTimestamp,
    maxTimestamp: maxTimestampOf(records),
    producerId: options.producerId ?? NO_PRODUCER_ID,
    producerEpoch: options.producerEpoch ?? -1,
    baseSequence: options.baseSequence ?? -1,
    recordCount: records.length,
  }
  writeBatchHeader(bytes, header)
  return { bytes, header }
}

/** Puts a header in front of the records of a whole batch, with their checksum and length. */
function writeBatchHeader(bytes: Buffer, header: BatchHeader): void {
  header.sizeBytes = bytes.length
  writeHeader(bytes, header)
  header.crc = writeCrc(bytes)
}

/** What compaction changes in a batch whose records it has thinned out. */
export interface CompactedBatchChanges {
  readonly recordCount: number
  /** Of the records that are left. */
  readonly maxTimestamp: number
  /** When its tombstones may go; undefined: as it was. */
  readonly deleteHorizonMs: number | undefined
}

/** Makes a batch of what is left of another: `plain` has room for a header, then the records, not compressed yet. */
export function resealBatch(plain: Buffer, source: BatchHeader, changes: CompactedBatchChanges): Buffer {
  const compression = compressionTypeOf(source.attributes) ?? 'none'
  const bytes = compression === 'none' ? plain : withCompressedRecords(plain, { compression })
  const { deleteHorizonMs, ...counts } = changes
  const horizon =
    deleteHorizonMs === undefined
      ? {}
      : { attributes: source.attributes | DELETE_HORIZON_FLAG, baseTimestamp: deleteHorizonMs }
  writeBatchHeader(bytes, { ...source, ...counts, ...horizon })
  return bytes
}

/** What Kafka leaves of a batch without records: its place, its producer's sequence and its largest timestamp. */
export function emptyBatch(source: BatchHeader): Buffer {
  const bytes = Buffer.alloc(BATCH_HEADER_BYTES)
  const attributes = source.attributes & (LOG_APPEND_TIME_FLAG | TRANSACTIONAL_FLAG | CONTROL_FLAG)
  writeBatchHeader(bytes, { ...source, attributes, baseTimestamp: NO_TIMESTAMP, recordCount: 0 })
  return bytes
}

/** What these records take as one uncompressed batch, exactly. */
export function estimateBatchBytes(records: readonly RecordParts[]): number {
  const first = records[0]
  return first === undefined ? BATCH_HEADER_BYTES : BATCH_HEADER_BYTES + measureRecords(records, first.timestamp)
}

/** What one record takes at most in any batch, cheaply: its lengths, and every varint at its longest. */
export function recordSizeUpperBound(record: RecordParts): number {
  let bound = 36 + record.keyEnd - record.keyStart + record.valueEnd - record.valueStart
  for (const header of record.headers) bound += 10 + 3 * header.name.length + (header.value?.length ?? 0)
  return bound
}

/** Puts the batch's place in the log into its bytes; both fields lie outside the checksum. */
export function stampBatch(batch: SealedBatch, baseOffset: number, partitionLeaderEpoch: number): void {
  const { bytes, header } = batch
  header.baseOffset = baseOffset
  header.partitionLeaderEpoch = partitionLeaderEpoch
  writeInt64(bytes, 0, baseOffset)
  writeInt32(bytes, 12, partitionLeaderEpoch)
}

/** LogAppendTime as Kafka sets it: attribute bit and max timestamp; the base timestamp and the deltas stay. */
export function stampLogAppendTime(batch: SealedBatch, timestamp: number): void {
  const { bytes, header } = batch
  if (header.attributes & LOG_APPEND_TIME_FLAG && header.maxTimestamp === timestamp) return
  header.attributes |= LOG_APPEND_TIME_FLAG
  bytes[ATTRIBUTES_AT + 1] = header.attributes
  stampMaxTimestamp(batch, timestamp)
}

/** Puts another max timestamp into the batch and makes the checksum right again. */
export function stampMaxTimestamp(batch: SealedBatch, timestamp: number): void {
  batch.header.maxTimestamp = timestamp
  writeInt64(batch.bytes, 35, timestamp)
  batch.header.crc = writeCrc(batch.bytes)
}

/** A new batch like this one, its records as they are in another codec. */
export function withRecords(batch: SealedBatch, type: CompressionType, records: Uint8Array): SealedBatch {
  const sizeBytes = BATCH_HEADER_BYTES + records.length
  if (sizeBytes > BATCH_BYTES_MAX) throw tooLarge(sizeBytes)
  const bytes = Buffer.allocUnsafe(sizeBytes)
  bytes.set(records, BATCH_HEADER_BYTES)
  const attributes = (batch.header.attributes & ~COMPRESSION_MASK) | COMPRESSION_TYPES.indexOf(type)
  const header: BatchHeader = { ...batch.header, sizeBytes, attributes }
  writeHeader(bytes, header)
  header.crc = writeCrc(bytes)
  return { bytes, header }
}

function withCompressedRecords(plain: Buffer, options: SealOptions): Buffer {
  const compressed = compress(options.compression, plain.subarray(BATCH_HEADER_BYTES), options.compressionLevel)
  const sizeBytes = BATCH_HEADER_BYTES + compressed.length
  if (sizeBytes > BATCH_BYTES_MAX) throw tooLarge(sizeBytes)
  const bytes = Buffer.allocUnsafe(sizeBytes)
  bytes.set(compressed, BATCH_HEADER_BYTES)
  return bytes
}

function maxTimestampOf(records: readonly RecordParts[]): number {
  let max = Number.NEGATIVE_INFINITY
  for (let at = 0; at < records.length; at++) {
    const { timestamp } = records[at] as RecordParts
    if (timestamp > max) max = timestamp
  }
  return max
}

function writeHeader(bytes: Buffer, header: BatchHeader): void {
  writeInt64(bytes, 0, header.baseOffset)
  writeInt32(bytes, 8, header.sizeBytes - LOG_OVERHEAD_BYTES)
  writeInt32(bytes, 12, header.partitionLeaderEpoch)
  bytes[16] = header.magic
  bytes[21] = header.attributes >> 8
  bytes[22] = header.attributes
  writeInt32(bytes, 23, header.lastOffsetDelta)
  writeInt64(bytes, 27, header.baseTimestamp)
  writeInt64(bytes, 35, header.maxTimestamp)
  writeProducerId(bytes, 43, header.producerId)
  bytes[51] = header.producerEpoch >> 8
  bytes[52] = header.producerEpoch
  writeInt32(bytes, 53, header.baseSequence)
  writeInt32(bytes, 57, header.recordCount)
}

function writeCrc(bytes: Buffer): number {
  const crc = crc32c(bytes, ATTRIBUTES_AT, bytes.length)
  writeInt32(bytes, CRC_AT, crc)
  return crc
}

function readInt32(bytes: Buffer, position: number): number {
  return (
    ((bytes[position] as number) << 24) |
    ((bytes[position + 1] as number) << 16) |
    ((bytes[position + 2] as number) << 8) |
    (bytes[position + 3] as number)
  )
}

/** Beyond 2^53 the last digits are lost; every reader refuses such offsets and timestamps. */
function readInt64(bytes: Buffer, position: number): number {
  return readInt32(bytes, position) * TWO_TO_32 + (readInt32(bytes, position + 4) >>> 0)
}

function readProducerId(bytes: Buffer, position: number): bigint {
  const high = readInt32(bytes, position)
  const low = readInt32(bytes, position + 4)
  // Nearly every batch has none, and making a bigint costs more than the rest of the header.
  if (high === -1 && low === -1) return NO_PRODUCER_ID
  return (BigInt(high) << 32n) | BigInt(low >>> 0)
}

function writeProducerId(bytes: Buffer, position: number, producerId: bigint): void {
  if (producerId === NO_PRODUCER_ID) {
    writeInt32(bytes, position, -1)
    writeInt32(bytes, position + 4, -1)
  } else bytes.writeBigInt64BE(producerId, position)
}

function writeInt32(bytes: Buffer, position: number, value: number): void {
  bytes[position] = value >>> 24
  bytes[position + 1] = value >>> 16
  bytes[position + 2] = value >>> 8
  bytes[position + 3] = value
}

function writeInt64(bytes: Buffer, position: number, value: number): void {
  const high = Math.floor(value / TWO_TO_32)
  writeInt32(bytes, position, high)
  writeInt32(bytes, position + 4, value - high * TWO_TO_32)
}

function tooLarge(sizeBytes: number): TailraceError {
  return new TailraceError('message_too_large', `a batch of ${sizeBytes} bytes is over ${BATCH_BYTES_MAX}`, {
    size_bytes: sizeBytes,
    limit_bytes: BATCH_BYTES_MAX,
  })
}
