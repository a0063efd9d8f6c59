import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RECORD_HEADERS_MAX } from '../../src/kernel/limits.ts'
import { checkBatch } from '../../src/record/batch-check.ts'
import { scanBatches } from '../../src/record/batch-reader.ts'
import { computeBatchCrc, sealBatch, stampLogAppendTime } from '../../src/record/record-batch.ts'
import { PLAIN, readAll, toParts } from './records.ts'

function changed(change: (bytes: Buffer) => void): Buffer {
  const { bytes } = sealBatch(toParts(PLAIN), { compression: 'none' })
  change(bytes)
  bytes.writeUInt32BE(computeBatchCrc(bytes, 0, bytes.length), 17)
  return bytes
}

test('takes a good batch out of a larger buffer without copying it', () => {
  const batch = sealBatch(toParts(PLAIN), { compression: 'lz4', producerId: 9n, producerEpoch: 1, baseSequence: 4 })
  const bytes = Buffer.concat([Buffer.alloc(11), batch.bytes, Buffer.alloc(40)])
  const checked = checkBatch(bytes, 11)
  assert.deepEqual(checked, batch)
  assert.equal(checked.bytes.buffer, bytes.buffer)
})

test('refuses what only a broker may write, unless it is allowed', () => {
  const transactional = () => changed((bytes) => bytes.writeInt16BE(0x10, 21))
  const control = () => changed((bytes) => bytes.writeInt16BE(0x30, 21))
  assert.throws(() => checkBatch(transactional()), { code: 'invalid_record' })
  assert.throws(() => checkBatch(control(), 0, { allowTransactional: true }), { code: 'invalid_record' })
  checkBatch(transactional(), 0, { allowTransactional: true })
  checkBatch(control(), 0, { allowTransactional: true, allowControl: true })
})

test("refuses gaps in a producer's offsets", () => {
  const gap = () => changed((bytes) => bytes.writeInt32BE(5, 23))
  assert.throws(() => checkBatch(gap()), { code: 'invalid_record' })
  assert.equal(checkBatch(gap(), 0, { dense: false }).header.lastOffsetDelta, 5)
})

test('refuses a batch that holds nothing or more than it says', () => {
  const count = (recordCount: number) =>
    changed((bytes) => {
      bytes.writeInt32BE(recordCount - 1, 23)
      bytes.writeInt32BE(recordCount, 57)
    })
  assert.throws(() => checkBatch(count(0)), { code: 'corrupt_message' })
  assert.throws(() => checkBatch(count(2)), { code: 'corrupt_message' })
  assert.throws(() => checkBatch(count(4)), { code: 'corrupt_message' })
  const empty = changed(() => {}).subarray(0, 61)
  empty.writeInt32BE(61 - 12, 8)
  empty.writeInt32BE(0, 57)
  empty.writeUInt32BE(computeBatchCrc(empty, 0, 61), 17)
  assert.throws(() => checkBatch(empty), { code: 'invalid_record' })
})

test('refuses another magic, a wrong checksum and a missing end', () => {
  const { bytes } = sealBatch(toParts(PLAIN), { compression: 'none' })
  assert.throws(() => checkBatch(bytes.subarray(0, -1)), { code: 'corrupt_message' })
  assert.throws(() => checkBatch(changed((magic) => void magic.writeInt8(1, 16))), { code: 'corrupt_message' })
  bytes[70]! ^= 1
  assert.throws(() => checkBatch(bytes), { code: 'corrupt_message' })
})

test('puts a wrong max timestamp right, as Kafka does', () => {
  const bytes = changed((wrong) => void wrong.writeBigInt64BE(1n, 35))
  const { header } = checkBatch(bytes)
  assert.equal(header.maxTimestamp, 1_700_000_000_500)
  const scan = scanBatches(bytes)
  assert.equal(scan.stop, 'end')
  assert.deepEqual(scan.batches[0]?.header, header)
  assert.deepEqual(readAll(bytes), PLAIN)
})

test('leaves the append time of a batch that carries one', () => {
  const batch = sealBatch(toParts(PLAIN), { compression: 'none' })
  stampLogAppendTime(batch, 1_800_000_000_000)
  assert.equal(checkBatch(batch.bytes).header.maxTimestamp, 1_800_000_000_000)
})

test('refuses more headers than a record may have', () => {
  const withHeaders = (count: number) => {
    const headers = Array.from({ length: count }, (_, index) => [`h${index}`, null] as const)
    return sealBatch(toParts([{ ...PLAIN[0]!, headers }]), { compression: 'none' }).bytes
  }
  checkBatch(withHeaders(RECORD_HEADERS_MAX))
  assert.throws(() => checkBatch(withHeaders(RECORD_HEADERS_MAX + 1)), { code: 'invalid_record' })
})
