import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { scanBatches } from '../../src/record/batch-reader.ts'
import { COMPRESSION_TYPES } from '../../src/record/compression.ts'
import {
  BATCH_HEADER_BYTES,
  batchBaseOffsetAt,
  batchLastOffsetAt,
  batchMaxTimestampAt,
  batchRecordCountAt,
  batchSizeAt,
  compressionTypeOf,
  estimateBatchBytes,
  hasDeleteHorizon,
  isControl,
  isTransactional,
  parseBatchHeader,
  recordSizeUpperBound,
  sealBatch,
  stampBatch,
  stampLogAppendTime,
  timestampTypeOf,
} from '../../src/record/record-batch.ts'
import { anyRecords, PLAIN, readAll, toParts } from './records.ts'

for (const compression of COMPRESSION_TYPES) {
  test(`gives back the records that were sealed with ${compression}`, () => {
    const property = fc.property(anyRecords, (records) => {
      const batch = sealBatch(toParts(records), { compression })
      assert.deepEqual(readAll(batch.bytes), records)
      assert.deepEqual(parseBatchHeader(batch.bytes, 0), batch.header)
      assert.equal(compressionTypeOf(batch.header.attributes), compression)
      assert.equal(batch.header.maxTimestamp, Math.max(...records.map(({ timestamp }) => timestamp)))
    })
    fc.assert(property, { numRuns: 60 })
  })
}

test('measures an uncompressed batch exactly, and a record from above', () => {
  const property = fc.property(anyRecords, (records) => {
    const parts = toParts(records)
    const { bytes } = sealBatch(parts, { compression: 'none' })
    assert.equal(estimateBatchBytes(parts), bytes.length)
    let bound = BATCH_HEADER_BYTES
    for (const record of parts) bound += recordSizeUpperBound(record)
    assert.ok(bytes.length <= bound)
  })
  fc.assert(property, { numRuns: 60 })
  assert.equal(estimateBatchBytes([]), BATCH_HEADER_BYTES)
})

test('keeps every producer id, epoch and sequence', () => {
  const property = fc.property(
    fc.bigInt({ min: -1n, max: 2n ** 63n - 1n }),
    fc.integer({ min: -1, max: 32_767 }),
    fc.integer({ min: -1, max: 2 ** 31 - 1 }),
    (producerId, producerEpoch, baseSequence) => {
      const options = { compression: 'none', producerId, producerEpoch, baseSequence } as const
      const header = parseBatchHeader(sealBatch(toParts(PLAIN), options).bytes, 0)
      assert.deepEqual(
        [header.producerId, header.producerEpoch, header.baseSequence],
        [producerId, producerEpoch, baseSequence],
      )
    },
  )
  fc.assert(property)
})

test('names no producer unless it is told one, as the Java client does', () => {
  const { header } = sealBatch(toParts(PLAIN), { compression: 'none' })
  assert.deepEqual([header.producerId, header.producerEpoch, header.baseSequence], [-1n, -1, -1])
  assert.deepEqual([header.baseOffset, header.partitionLeaderEpoch], [0, -1])
})

test('compresses harder when asked to', () => {
  const record = {
    timestamp: 0,
    key: null,
    headers: [],
    value: Array.from({ length: 9_000 }, (_, n) => `user ${n % 97} bought item ${(n * 7) % 1_009} at ${n * n}`).join(),
  }
  for (const [compression, hardest] of [
    ['gzip', 9],
    ['zstd', 19],
  ] as const) {
    const sizeAt = (compressionLevel: number) =>
      sealBatch(toParts([record]), { compression, compressionLevel }).bytes.length
    assert.ok(sizeAt(hardest) < 0.95 * sizeAt(1), compression)
  }
})

test('refuses timestamps that are no whole milliseconds', () => {
  for (const timestamp of [Number.NaN, 1.5, Number.POSITIVE_INFINITY]) {
    const records = toParts([...PLAIN, { ...PLAIN[0]!, timestamp }])
    assert.throws(() => sealBatch(records, { compression: 'none' }), { code: 'invalid_timestamp' })
  }
})

test('stamps offset and leader epoch without touching the checksum', () => {
  const batch = sealBatch(toParts(PLAIN), { compression: 'none' })
  for (const baseOffset of [0, 1, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER - 10]) {
    stampBatch(batch, baseOffset, 7)
    assert.deepEqual(parseBatchHeader(batch.bytes, 0), batch.header)
    assert.equal(batchBaseOffsetAt(batch.bytes, 0), baseOffset)
    assert.equal(batchLastOffsetAt(batch.bytes, 0), baseOffset + 2)
    assert.equal(scanBatches(batch.bytes).stop, 'end')
  }
  assert.equal(batch.header.partitionLeaderEpoch, 7)
  assert.equal(batchSizeAt(batch.bytes, 0), batch.bytes.length)
  assert.equal(batchRecordCountAt(batch.bytes, 0), 3)
})

test('stamps the append time on all records of any compression, and leaves the base timestamp alone', () => {
  for (const compression of COMPRESSION_TYPES) {
    const batch = sealBatch(toParts(PLAIN), { compression })
    stampLogAppendTime(batch, 1_800_000_000_123)
    assert.deepEqual(parseBatchHeader(batch.bytes, 0), batch.header)
    assert.equal(timestampTypeOf(batch.header.attributes), 'LogAppendTime')
    assert.equal(compressionTypeOf(batch.header.attributes), compression)
    assert.equal(batchMaxTimestampAt(batch.bytes, 0), 1_800_000_000_123)
    assert.equal(batch.header.baseTimestamp, PLAIN[0]!.timestamp)
    const expected = PLAIN.map((record) => ({ ...record, timestamp: 1_800_000_000_123 }))
    assert.deepEqual(readAll(batch.bytes), expected)
    const before = Buffer.from(batch.bytes)
    stampLogAppendTime(batch, 1_800_000_000_123)
    assert.deepEqual(batch.bytes, before)
  }
})

test('reads the attribute bits', () => {
  assert.equal(timestampTypeOf(0), 'CreateTime')
  assert.deepEqual([0x10, 0x20, 0x40].map(isTransactional), [true, false, false])
  assert.deepEqual([0x10, 0x20, 0x40].map(isControl), [false, true, false])
  assert.deepEqual([0x10, 0x20, 0x40].map(hasDeleteHorizon), [false, false, true])
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 7].map(compressionTypeOf), [
    ...COMPRESSION_TYPES,
    undefined,
    undefined,
    undefined,
  ])
})
