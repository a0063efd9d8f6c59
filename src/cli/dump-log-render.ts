// Batches and records of a segment as text: in the form of Kafka's dump-log tool, or a JSON object a line.

import { isUtf8 } from 'node:buffer'
import type { RecordReader } from '../record/batch-reader.ts'
import type { BatchHeader } from '../record/record-batch.ts'
import {
  compressionTypeOf,
  hasDeleteHorizon,
  isControl,
  isTransactional,
  timestampTypeOf,
} from '../record/record-batch.ts'

export interface BatchView {
  /** Holds the batch from `start` on. */
  readonly bytes: Buffer
  readonly start: number
  /** In the file. */
  readonly position: number
  readonly header: BatchHeader
}

export function renderBatch(file: string, { position, header }: BatchView, asText: boolean): string {
  const { attributes } = header
  const facts = {
    baseOffset: header.baseOffset,
    lastOffset: header.baseOffset + header.lastOffsetDelta,
    count: header.recordCount,
    baseSequence: header.baseSequence,
    lastSequence: lastSequenceOf(header),
    producerId: header.producerId,
    producerEpoch: header.producerEpoch,
    partitionLeaderEpoch: header.partitionLeaderEpoch,
    isTransactional: isTransactional(attributes),
    isControl: isControl(attributes),
    deleteHorizonMs: hasDeleteHorizon(attributes) ? `OptionalLong[${header.baseTimestamp}]` : 'OptionalLong.empty',
    position,
    [timestampTypeOf(attributes)]: header.maxTimestamp,
    size: header.sizeBytes,
    magic: header.magic,
    compresscodec: compressionTypeOf(attributes) ?? attributes & 7,
    crc: header.crc,
    isvalid: true,
  }
  if (asText) return `${factsText(facts)}\n`
  const { deleteHorizonMs: _, producerId, ...plain } = facts
  const horizon = hasDeleteHorizon(attributes) ? { deleteHorizonMs: header.baseTimestamp } : {}
  return `${JSON.stringify({ file, ...plain, producerId: String(producerId), ...horizon })}\n`
}

/** Of a batch without a sequence it has none; sequences start again at 2^31. */
function lastSequenceOf({ baseSequence, lastOffsetDelta }: BatchHeader): number {
  return baseSequence < 0 ? -1 : (baseSequence + lastOffsetDelta) % 2 ** 31
}

/** The reader's present record. */
export function renderRecord(reader: RecordReader, { baseSequence, baseOffset }: BatchHeader, asText: boolean): string {
  const key = partOf(reader, reader.keyStart, reader.keyEnd)
  const value = partOf(reader, reader.valueStart, reader.valueEnd)
  const headers = reader.headers()
  if (!asText) {
    const line = {
      offset: reader.offset,
      [reader.timestampType]: reader.timestamp,
      ...member('key', key),
      ...member('value', value),
      headers: headers.map(({ name, value }) => ({ name, ...member('value', value && Buffer.from(value)) })),
    }
    return `${JSON.stringify(line)}\n`
  }
  const facts = {
    offset: reader.offset,
    [reader.timestampType]: reader.timestamp,
    keySize: key?.length ?? -1,
    valueSize: value?.length ?? -1,
    sequence: baseSequence < 0 ? -1 : baseSequence + (reader.offset - baseOffset),
    headerKeys: `[${headers.map(({ name }) => name).join(',')}]`,
    ...(key && { key: shown(key) }),
    ...(value && { payload: shown(value) }),
  }
  return `| ${factsText(facts)}\n`
}

function factsText(facts: Readonly<Record<string, unknown>>): string {
  return Object.entries(facts)
    .map(([name, value]) => `${name}: ${value}`)
    .join(' ')
}

function partOf({ bytes }: RecordReader, start: number, end: number): Buffer | null {
  return start < 0 ? null : bytes.subarray(start, end)
}

function shown(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString() : `base64 ${bytes.toString('base64')}`
}

function member(name: 'key' | 'value', bytes: Buffer | null): Record<string, string | null> {
  if (bytes === null) return { [name]: null }
  return isUtf8(bytes) ? { [name]: bytes.toString() } : { [`${name}_base64`]: bytes.toString('base64') }
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

/** Both belong to it. */
export function offsetsText(first: number, last: number): string {
  return first === last ? `offset ${first}` : `offsets ${first} to ${last}`
}
