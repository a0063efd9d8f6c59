// The records of a batch as bytes, in two passes over record parts: the first measures, so that the second writes into
// memory of just that size. Path A4, under record-batch.ts; every byte of a key or value is copied once, here.
//
// Record => length:varint attributes:int8 timestampDelta:varlong offsetDelta:varint
//           keyLength:varint key valueLength:varint value [headers]     (a length of -1 is null)
// headers => count:varint (nameLength:varint name valueLength:varint value)*

import { TailraceError } from '../kernel/errors.ts'
import type { RecordHeader, RecordParts } from './record.ts'
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from './varint.ts'

/** Bytes that the records take, uncompressed, exactly. */
export function measureRecords(records: readonly RecordParts[], baseTimestamp: number): number {
  let bytes = 0
  for (let delta = 0; delta < records.length; delta++) {
    const body = recordBodyBytes(records[delta] as RecordParts, delta, baseTimestamp)
    bytes += varintBytes(body) + body
  }
  return bytes
}

/** What stands after a record's length field. */
function recordBodyBytes(record: RecordParts, offsetDelta: number, baseTimestamp: number): number {
  const timestampDelta = record.timestamp - baseTimestamp
  if (!Number.isSafeInteger(timestampDelta)) throw badTimestamp(record.timestamp)
  return (
    1 +
    varlongBytes(timestampDelta) +
    varintBytes(offsetDelta) +
    rangeBytes(record.keyStart, record.keyEnd) +
    rangeBytes(record.valueStart, record.valueEnd) +
    (record.headers.length === 0 ? 1 : headersBytes(record.headers))
  )
}

function rangeBytes(start: number, end: number): number {
  return start < 0 ? 1 : varintBytes(end - start) + end - start
}

function headersBytes(headers: readonly RecordHeader[]): number {
  let bytes = varintBytes(headers.length)
  for (const { name, value } of headers) {
    const nameBytes = Buffer.byteLength(name)
    bytes += varintBytes(nameBytes) + nameBytes + (value === null ? 1 : varintBytes(value.length) + value.length)
  }
  return bytes
}

/** Writes the records from a position on and returns the position after them; the bytes must have been measured. */
export function writeRecords(
  bytes: Buffer,
  start: number,
  records: readonly RecordParts[],
  baseTimestamp: number,
): number {
  let at = start
  for (let delta = 0; delta < records.length; delta++) {
    const record = records[delta] as RecordParts
    at = writeVarint(bytes, at, recordBodyBytes(record, delta, baseTimestamp))
    bytes[at++] = 0
    at = writeVarlong(bytes, at, record.timestamp - baseTimestamp)
    at = writeVarint(bytes, at, delta)
    at = writeRange(bytes, at, record.key, record.keyStart, record.keyEnd)
    at = writeRange(bytes, at, record.value, record.valueStart, record.valueEnd)
    if (record.headers.length === 0) bytes[at++] = 0
    else at = writeHeaders(bytes, at, record.headers)
  }
  return at
}

function writeRange(bytes: Buffer, position: number, source: Uint8Array, start: number, end: number): number {
  if (start < 0) {
    bytes[position] = 1
    return position + 1
  }
  const at = writeVarint(bytes, position, end - start)
  copyRange(source, start, end, bytes, at)
  return at + end - start
}

/** From this length on, one native copy is faster than a loop over bytes (bench/micro/record.ts). */
const NATIVE_COPY_BYTES_MIN = 32

function copyRange(source: Uint8Array, start: number, end: number, target: Buffer, position: number): void {
  if (end - start >= NATIVE_COPY_BYTES_MIN) {
    target.set(new Uint8Array(source.buffer, source.byteOffset + start, end - start), position)
    return
  }
  for (let from = start, to = position; from < end; from++, to++) target[to] = source[from] as number
}

function writeHeaders(bytes: Buffer, position: number, headers: readonly RecordHeader[]): number {
  let at = writeVarint(bytes, position, headers.length)
  for (const { name, value } of headers) {
    const nameBytes = Buffer.byteLength(name)
    at = writeVarint(bytes, at, nameBytes)
    at += bytes.write(name, at, nameBytes, 'utf8')
    at = value === null ? writeVarint(bytes, at, -1) : writeRange(bytes, at, value, 0, value.length)
  }
  return at
}

function badTimestamp(timestamp: number): TailraceError {
  return new TailraceError('invalid_timestamp', `${timestamp} is no time in whole milliseconds`, { timestamp })
}
