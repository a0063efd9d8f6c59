// Batches in another codec than they were sealed with.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { COMPRESSION_TYPES } from '../../src/record/compression.ts'
import { compressBatch, isInCodec, recompressInThread } from '../../src/record/recompress.ts'
import type { SealedBatch } from '../../src/record/record-batch.ts'
import {
  BATCH_HEADER_BYTES,
  parseBatchHeader,
  sealBatch,
  stampLogAppendTime,
  withRecords,
} from '../../src/record/record-batch.ts'
import { anyRecords, PLAIN, readAll, toParts } from './records.ts'

const SEALED = { producerId: 5n, producerEpoch: 2, baseSequence: 77 }

function checkSame(given: SealedBatch, got: SealedBatch): void {
  assert.deepEqual(parseBatchHeader(got.bytes, 0), got.header)
  const { sizeBytes, attributes, crc, ...rest } = got.header
  assert.deepEqual({ ...given.header, ...rest }, given.header)
  assert.equal(sizeBytes, got.bytes.length)
  assert.equal(attributes & ~7, given.header.attributes & ~7)
  assert.deepEqual(readAll(got.bytes), readAll(given.bytes), 'its checksum too is right')
}

test('changes the codec of any batch and nothing else, and leaves the given one as it was', async () => {
  const anyCodec = fc.constantFrom(...COMPRESSION_TYPES)
  const property = fc.asyncProperty(
    anyRecords,
    anyCodec,
    anyCodec,
    fc.boolean(),
    async (records, from, to, isLogTime) => {
      const given = sealBatch(toParts(records), { ...SEALED, compression: from })
      if (isLogTime) stampLogAppendTime(given, 1_800_000_000_000)
      const before = Buffer.from(given.bytes)
      const got = await recompressInThread(given, { type: to })
      assert.ok(isInCodec(got, { type: to }))
      checkSame(given, got)
      if (from === 'none') checkSame(given, compressBatch(given, { type: to }))
      assert.deepEqual(given.bytes, before)
    },
  )
  await fc.assert(property, { numRuns: 40 })
})

test('obeys the levels of gzip and zstd', async () => {
  const value = Array.from({ length: 9_000 }, (_, n) => `user ${n % 97} bought ${(n * 7) % 1_009} at ${n * n}`).join()
  const batch = sealBatch(toParts([{ timestamp: 0, key: null, headers: [], value }]), { compression: 'none' })
  for (const [type, levels] of [
    ['gzip', [1, 9]],
    ['zstd', [-131_072, 1, 22]],
  ] as const) {
    const batches = await Promise.all(levels.map((level) => recompressInThread(batch, { type, level })))
    const sizes = batches.map(({ bytes }) => bytes.length)
    for (const [at, size] of sizes.entries())
      if (at > 0) assert.ok(size < (sizes[at - 1] as number), `${type} ${sizes}`)
    for (const one of batches) assert.equal(readAll(one.bytes)[0]?.value, value)
    assert.deepEqual(
      (await recompressInThread(batch, { type, level: type === 'gzip' ? -1 : 3 })).bytes,
      (await recompressInThread(batch, { type })).bytes,
      "Kafka's default level is the library's",
    )
  }
})

test('refuses what no reader would inflate, what is no codec, and bytes that are not of theirs', async () => {
  const plain = sealBatch(toParts(PLAIN), { compression: 'none' })
  // a snappy block begins with its content's length: 1 GiB here
  const bomb = withRecords(plain, 'snappy', Buffer.from([0x80, 0x80, 0x80, 0x80, 0x04, 0, 0]))
  await assert.rejects(recompressInThread(bomb, { type: 'zstd' }), { code: 'message_too_large' })
  for (const from of COMPRESSION_TYPES.slice(1)) {
    const bad = withRecords(plain, from, plain.bytes.subarray(BATCH_HEADER_BYTES))
    await assert.rejects(recompressInThread(bad, { type: 'none' }), { code: 'corrupt_message' }, from)
  }
  const unknown = { bytes: plain.bytes, header: { ...plain.header, attributes: 7 } }
  await assert.rejects(recompressInThread(unknown, { type: 'gzip' }), { code: 'unsupported_compression_type' })
})
