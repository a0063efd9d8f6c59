// Makes the golden batches: node test/golden/record.ts writes record-*.bin and record.json beside itself. Two client
// libraries that share no code with src/ encode the cases below; the inputs and the expected records are in record.json.
// Run it again only to add cases: the bytes are the proof that what we read and write is what Kafka's clients do.

import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createRecordsBatch } from '@platformatic/kafka'

export interface GoldenRecord {
  readonly timestamp: number
  /** Base64; null is null. */
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [name: string, value: string | null])[]
}

export interface GoldenBatch {
  readonly compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  readonly producerId: string
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly records: readonly GoldenRecord[]
}

export interface GoldenCase {
  readonly file: string
  readonly encoder: 'kafkajs' | 'platformatic'
  readonly batches: readonly GoldenBatch[]
}

const require = createRequire(import.meta.url)
const START = 1_753_000_000_000

function record(key: string | null, value: string | null, more: Partial<GoldenRecord> = {}): GoldenRecord {
  const base64 = (text: string | null) => (text === null ? null : Buffer.from(text).toString('base64'))
  return { timestamp: START, key: base64(key), value: base64(value), headers: [], ...more }
}

const NO_PRODUCER = { producerId: '-1', producerEpoch: 0, baseSequence: 0 }

function batch(records: readonly GoldenRecord[], more: Partial<GoldenBatch> = {}): GoldenBatch {
  return { compression: 'none', ...NO_PRODUCER, records, ...more }
}

const text = (value: string) => Buffer.from(value).toString('base64')
const plain = [record('c-17', '{"total":5}'), record('c-18', '{"total":12345678901234567890}', { timestamp: START + 7 })]
const nulls = [record(null, 'no key'), record('tombstone', null), record('', 'empty key'), record('empty value', ''), record(null, null)]
const headers = [
  record('k', 'v', { headers: [['content-type', text('text/plain')], ['größe', text('7 €')], ['empty', '']] }),
  record('k', 'w', { headers: [['trace', text('a')], ['trace', text('b')]] }),
]
const nullHeader = record('k', 'x', { headers: [['null', null]] })
const wide = [
  record('long', 'x'.repeat(200)),
  record('longer', 'y'.repeat(9_000), { timestamp: START + 100 }),
  record('month later', 'z', { timestamp: START + 31 * 86_400_000 }),
]
const backwards = [record('late', '1'), record('early', '2', { timestamp: START - 5_000 }), record('mid', '3', { timestamp: START + 9 })]
const many = Array.from({ length: 60 }, (_, index) =>
  record(`key-${index % 7}`, JSON.stringify({ index, square: index * index }), { timestamp: START + index }),
)
const idempotent = { producerId: '4611686018427387911', producerEpoch: 3, baseSequence: 40 }

const CASES: readonly GoldenCase[] = [
  { file: 'record-plain.bin', encoder: 'kafkajs', batches: [batch(plain)] },
  { file: 'record-nulls.bin', encoder: 'kafkajs', batches: [batch(nulls)] },
  { file: 'record-headers.bin', encoder: 'kafkajs', batches: [batch(headers)] },
  { file: 'record-wide.bin', encoder: 'kafkajs', batches: [batch(wide)] },
  { file: 'record-many.bin', encoder: 'kafkajs', batches: [batch(many)] },
  { file: 'record-idempotent.bin', encoder: 'kafkajs', batches: [batch(plain, { producerId: '4001', producerEpoch: 2, baseSequence: 17 })] },
  { file: 'record-gzip.bin', encoder: 'kafkajs', batches: [batch(many, { compression: 'gzip' })] },
  { file: 'record-several.bin', encoder: 'kafkajs', batches: [batch(plain), batch(nulls), batch(many, { compression: 'gzip' }), batch(headers)] },
  { file: 'record-plain-2.bin', encoder: 'platformatic', batches: [batch(plain)] },
  { file: 'record-nulls-2.bin', encoder: 'platformatic', batches: [batch(nulls)] },
  { file: 'record-headers-2.bin', encoder: 'platformatic', batches: [batch([...headers.slice(0, 1), nullHeader])] },
  { file: 'record-backwards-2.bin', encoder: 'platformatic', batches: [batch(backwards)] },
  { file: 'record-idempotent-2.bin', encoder: 'platformatic', batches: [batch(many, idempotent)] },
  { file: 'record-gzip-2.bin', encoder: 'platformatic', batches: [batch(many, { compression: 'gzip' })] },
  { file: 'record-snappy-2.bin', encoder: 'platformatic', batches: [batch(many, { compression: 'snappy' })] },
  { file: 'record-lz4-2.bin', encoder: 'platformatic', batches: [batch(many, { compression: 'lz4' })] },
  { file: 'record-zstd-2.bin', encoder: 'platformatic', batches: [batch(many, { compression: 'zstd', ...idempotent })] },
]

const bytesOf = (value: string | null) => (value === null ? null : Buffer.from(value, 'base64'))

async function encodeWithKafkajs(golden: GoldenBatch): Promise<Buffer> {
  const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0')
  const Record = require('kafkajs/src/protocol/recordBatch/record/v0')
  const timestamps = golden.records.map(({ timestamp }) => timestamp)
  const firstTimestamp = timestamps[0]!
  const records = golden.records.map(({ timestamp, key, value, headers }, offsetDelta) => {
    const grouped: Record<string, (Buffer | null)[]> = {}
    for (const [name, headerValue] of headers) (grouped[name] ??= []).push(bytesOf(headerValue))
    return Record({ offsetDelta, timestampDelta: timestamp - firstTimestamp, key: bytesOf(key), value: bytesOf(value), headers: grouped })
  })
  const encoder = await RecordBatch({
    compression: ['none', 'gzip'].indexOf(golden.compression),
    firstTimestamp,
    maxTimestamp: Math.max(...timestamps),
    lastOffsetDelta: records.length - 1,
    producerId: golden.producerId,
    producerEpoch: golden.producerEpoch,
    firstSequence: golden.baseSequence,
    records,
  })
  return encoder.buffer
}

function encodeWithPlatformatic(golden: GoldenBatch): Buffer {
  const messages = golden.records.map(({ timestamp, key, value, headers }) => ({
    topic: 't',
    partition: 0,
    timestamp: BigInt(timestamp),
    key: bytesOf(key) as Buffer,
    value: bytesOf(value) as Buffer,
    headers: new Map(headers.map(([name, headerValue]) => [Buffer.from(name), bytesOf(headerValue) as Buffer])),
  }))
  const sequences = { getWithDefault: () => golden.baseSequence }
  return createRecordsBatch(messages, {
    compression: golden.compression,
    producerId: BigInt(golden.producerId),
    producerEpoch: golden.producerEpoch,
    sequences: sequences as never,
  }).buffer
}

for (const { file, encoder, batches } of CASES) {
  const encoded: Buffer[] = []
  for (const golden of batches) {
    encoded.push(encoder === 'kafkajs' ? await encodeWithKafkajs(golden) : encodeWithPlatformatic(golden))
  }
  writeFileSync(new URL(file, import.meta.url), Buffer.concat(encoded))
}
writeFileSync(new URL('record.json', import.meta.url), `[\n${CASES.map((golden) => JSON.stringify(golden)).join(',\n')}\n]\n`)
