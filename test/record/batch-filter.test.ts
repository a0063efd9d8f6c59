import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BatchFilter } from '../../src/record/batch-filter.ts'
import { scanBatches } from '../../src/record/batch-reader.ts'
import { COMPRESSION_TYPES } from '../../src/record/compression.ts'
import {
  emptyBatch,
  hasDeleteHorizon,
  parseBatchHeader,
  sealBatch,
  stampBatch,
  stampLogAppendTime,
} from '../../src/record/record-batch.ts'
import type { PlainRecord } from './records.ts'
import { anyRecords, PLAIN, readAll, toParts } from './records.ts'

const BASE = 2 ** 33 + 5
const HORIZON = 1_800_000_000_000

function batchOf(records: readonly PlainRecord[], compression: (typeof COMPRESSION_TYPES)[number] = 'none'): Buffer {
  const batch = sealBatch(toParts(records), { compression, producerId: 5n, producerEpoch: 2, baseSequence: 77 })
  stampBatch(batch, BASE, 9)
  return batch.bytes
}

const keepOnly = (kept: ReadonlySet<number>) => (record: { offset: number }) => kept.has(record.offset - BASE)

test('what stays keeps offsets, timestamps and all its bytes, in every codec, with and without a delete horizon', () => {
  const filter = new BatchFilter()
  fc.assert(
    fc.property(
      anyRecords,
      fc.infiniteStream(fc.boolean()),
      fc.constantFrom(...COMPRESSION_TYPES),
      fc.option(fc.constant(HORIZON), { nil: undefined }),
      (records, choices, compression, horizon) => {
        const kept = new Set([...records.keys()].filter(() => choices.next().value))
        const bytes = Buffer.concat([Buffer.alloc(3), batchOf(records, compression), Buffer.alloc(3)])
        const before = parseBatchHeader(bytes, 3)
        const outcome = filter.apply(bytes, 3, keepOnly(kept), horizon)
        const left = records.filter((_, at) => kept.has(at))
        const tombstones = left.filter(({ value }) => value === null).length
        assert.deepEqual([filter.recordsKept, filter.tombstonesKept], [left.length, tombstones])
        const getsHorizon = horizon !== undefined && tombstones > 0
        const isSame = left.length === records.length && !getsHorizon
        assert.equal(outcome, left.length === 0 ? 'empty' : isSame ? 'unchanged' : 'rewritten')
        if (outcome !== 'rewritten') return
        const { rewritten } = filter
        assert.equal(scanBatches(rewritten).stop, 'end')
        assert.deepEqual(readAll(rewritten), left)
        const { crc: _crc, sizeBytes, ...header } = parseBatchHeader(rewritten, 0)
        assert.equal(sizeBytes, rewritten.length)
        const { crc: _was, sizeBytes: _wasBytes, ...expected } = before
        assert.deepEqual(header, {
          ...expected,
          recordCount: left.length,
          maxTimestamp: Math.max(...left.map(({ timestamp }) => timestamp)),
          ...(getsHorizon && { attributes: expected.attributes | 0x40, baseTimestamp: HORIZON }),
        })
      },
    ),
  )
})

test('a horizon that is set stays as it is', () => {
  const filter = new BatchFilter()
  assert.equal(
    filter.apply(batchOf(PLAIN), 0, () => true, HORIZON),
    'rewritten',
  )
  const withHorizon = Buffer.from(filter.rewritten)
  assert.equal(
    filter.apply(withHorizon, 0, () => true, HORIZON + 1),
    'unchanged',
  )
  assert.equal(filter.apply(withHorizon, 0, keepOnly(new Set([1])), HORIZON + 1), 'rewritten')
  assert.equal(parseBatchHeader(filter.rewritten, 0).baseTimestamp, HORIZON)
  assert.deepEqual(readAll(filter.rewritten), [PLAIN[1]])
})

test('a batch with the append time keeps it', () => {
  const filter = new BatchFilter()
  const batch = sealBatch(toParts(PLAIN), { compression: 'none' })
  stampBatch(batch, BASE, 0)
  stampLogAppendTime(batch, 123)
  for (const horizon of [undefined, HORIZON]) {
    assert.equal(filter.apply(batch.bytes, 0, keepOnly(new Set([1, 2])), horizon), 'rewritten')
    const left = PLAIN.slice(1).map((record) => ({ ...record, timestamp: 123 }))
    assert.deepEqual(readAll(filter.rewritten), left)
  }
})

test('no horizon is set where a timestamp could not be written against it', () => {
  const filter = new BatchFilter()
  const records = [1, 2].map((at) => ({ ...(PLAIN[1] as PlainRecord), timestamp: at - Number.MAX_SAFE_INTEGER }))
  const bytes = batchOf(records)
  assert.deepEqual(readAll(bytes), records)
  assert.equal(
    filter.apply(bytes, 0, () => true, HORIZON),
    'unchanged',
  )
  assert.equal(filter.apply(bytes, 0, keepOnly(new Set([1])), HORIZON), 'rewritten')
  assert.equal(hasDeleteHorizon(parseBatchHeader(filter.rewritten, 0).attributes), false)
  assert.deepEqual(readAll(filter.rewritten), [records[1]])
})

test('an empty batch has its place, producer and largest timestamp, and no records', () => {
  for (const compression of COMPRESSION_TYPES) {
    const before = parseBatchHeader(batchOf(PLAIN, compression), 0)
    const empty = emptyBatch(before)
    assert.equal(scanBatches(empty).stop, 'end')
    assert.deepEqual(readAll(empty), [])
    const { crc: _crc, ...header } = parseBatchHeader(empty, 0)
    const { crc: _was, ...expected } = before
    assert.deepEqual(header, { ...expected, sizeBytes: 61, attributes: 0, baseTimestamp: -1, recordCount: 0 })
    assert.equal(
      new BatchFilter().apply(empty, 0, () => true, HORIZON),
      'empty',
    )
  }
})
