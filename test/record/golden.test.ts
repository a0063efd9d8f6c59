// Our bytes against those of two client libraries that share no code with us (test/golden/record.ts made the files).

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { Reader, readRecordsBatch } from '@platformatic/kafka'
import { checkBatch } from '../../src/record/batch-check.ts'
import { RecordReader, scanBatches } from '../../src/record/batch-reader.ts'
import { COMPRESSION_TYPES } from '../../src/record/compression.ts'
import type { RecordParts } from '../../src/record/record.ts'
import { compressionTypeOf, sealBatch, stampBatch } from '../../src/record/record-batch.ts'
import type { GoldenBatch, GoldenCase, GoldenRecord } from '../golden/record.ts'
import { partsOf } from '../support/record-parts.ts'

const require = createRequire(import.meta.url)
const golden = (file: string) => readFileSync(new URL(`../golden/${file}`, import.meta.url))
const CASES: readonly GoldenCase[] = JSON.parse(golden('record.json').toString())

const base64 = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('base64'))

function readRecords(bytes: Buffer, position: number): GoldenRecord[] {
  const reader = new RecordReader()
  const records: GoldenRecord[] = []
  reader.open(bytes, position)
  while (reader.next()) {
    assert.equal(reader.offset, records.length)
    records.push({
      timestamp: reader.timestamp,
      key: reader.keyStart < 0 ? null : base64(reader.bytes.subarray(reader.keyStart, reader.keyEnd)),
      value: reader.valueStart < 0 ? null : base64(reader.bytes.subarray(reader.valueStart, reader.valueEnd)),
      headers: reader.headers().map(({ name, value }) => [name, base64(value)]),
    })
  }
  return records
}

function partsOfGolden({ timestamp, key, value, headers }: GoldenRecord): RecordParts {
  return partsOf({
    timestamp,
    key: bytesOf(key),
    value: bytesOf(value),
    headers: headers.map(([name, text]) => ({ name, value: bytesOf(text) })),
  })
}

const bytesOf = (text: string | null) => (text === null ? null : Buffer.from(text, 'base64'))

function sealGolden(batch: GoldenBatch, compression = batch.compression) {
  const { producerEpoch, baseSequence } = batch
  const sealed = sealBatch(batch.records.map(partsOfGolden), {
    compression,
    producerId: BigInt(batch.producerId),
    producerEpoch,
    baseSequence,
  })
  // What both libraries write where a broker will stamp.
  stampBatch(sealed, 0, 0)
  return sealed
}

for (const { file, encoder, batches } of CASES) {
  test(`reads ${file}, which ${encoder} encoded`, () => {
    const bytes = golden(file)
    const scan = scanBatches(bytes)
    assert.deepEqual([scan.stop, scan.position, scan.batches.length], ['end', bytes.length, batches.length])
    for (const [index, { position, header }] of scan.batches.entries()) {
      const expected = batches[index]!
      assert.equal(compressionTypeOf(header.attributes), expected.compression)
      assert.equal(String(header.producerId), expected.producerId)
      assert.equal(header.producerEpoch, expected.producerEpoch)
      assert.equal(header.baseSequence, expected.baseSequence)
      assert.equal(header.maxTimestamp, Math.max(...expected.records.map(({ timestamp }) => timestamp)))
      assert.deepEqual(readRecords(bytes, position), expected.records)
      const checked = checkBatch(bytes, position)
      assert.deepEqual(checked.header, header)
      assert.ok(checked.bytes.equals(bytes.subarray(position, position + header.sizeBytes)))
    }
  })

  if (batches.some(({ compression }) => compression === 'none')) {
    test(`encodes the uncompressed batches of ${file} byte for byte as ${encoder} does`, () => {
      const bytes = golden(file)
      for (const [index, { position, header }] of scanBatches(bytes).batches.entries()) {
        const batch = batches[index]!
        if (batch.compression !== 'none') continue
        const sealed = sealGolden(batch)
        assert.equal(sealed.bytes.toString('hex'), bytes.toString('hex', position, position + header.sizeBytes))
        assert.deepEqual(sealed.header, header)
      }
    })
  }
}

for (const compression of COMPRESSION_TYPES) {
  test(`platformatic reads what we write with ${compression}`, () => {
    for (const { batches } of CASES) {
      for (const batch of batches) {
        const sealed = sealGolden(batch, compression)
        const read = readRecordsBatch(Reader.from(sealed.bytes))
        assert.equal(read.records.length, batch.records.length)
        assert.equal(String(read.producerId), batch.producerId)
        for (const [index, record] of read.records.entries()) {
          const expected = batch.records[index]!
          assert.equal(Number(read.firstTimestamp + record.timestampDelta), expected.timestamp)
          assert.equal(base64(record.key), expected.key)
          assert.equal(base64(record.value), expected.value)
          const headers = record.headers.map(([name, value]) => [String(name), base64(value)])
          assert.deepEqual(headers, expected.headers)
        }
      }
    }
  })
}

for (const compression of ['none', 'gzip'] as const) {
  test(`kafkajs reads what we write with ${compression}`, async () => {
    const Decoder = require('kafkajs/src/protocol/decoder')
    const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder')
    for (const { batches } of CASES) {
      for (const batch of batches) {
        const read = await decodeBatch(new Decoder(sealGolden(batch, compression).bytes))
        assert.equal(read.records.length, batch.records.length)
        for (const [index, record] of read.records.entries()) {
          const expected = batch.records[index]!
          assert.equal(Number(record.timestamp), expected.timestamp)
          assert.equal(base64(record.key), expected.key)
          assert.equal(base64(record.value), expected.value)
        }
      }
    }
  })
}
