// What a reader makes of bytes that are cut, flipped, hostile or random: corrupt_message, and nothing else.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TailraceError } from '../../src/kernel/errors.ts'
import { checkBatch } from '../../src/record/batch-check.ts'
import { RecordReader, scanBatches } from '../../src/record/batch-reader.ts'
import { COMPRESSION_TYPES } from '../../src/record/compression.ts'
import { BATCH_HEADER_BYTES, computeBatchCrc, sealBatch, stampBatch } from '../../src/record/record-batch.ts'
import { PLAIN, readAll, toParts, toPlain } from './records.ts'

const REFUSALS = ['corrupt_message', 'invalid_record', 'unsupported_compression_type', 'message_too_large']

/** Reads as far as it goes; anything but a refusal of the closed table is a failure. Returns its code. */
function refusalOf(read: () => unknown): string | undefined {
  try {
    read()
    return undefined
  } catch (error) {
    if (error instanceof TailraceError && REFUSALS.includes(error.code)) return error.code
    throw error
  }
}

const sealed = (compression: (typeof COMPRESSION_TYPES)[number]) => sealBatch(toParts(PLAIN), { compression }).bytes

function withRightCrc(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(computeBatchCrc(bytes, 0, bytes.length), 17)
  return bytes
}

/** A batch whose records are these very bytes. */
function batchOf(records: readonly number[], recordCount = 1, lastOffsetDelta = recordCount - 1): Buffer {
  const bytes = Buffer.alloc(BATCH_HEADER_BYTES + records.length)
  bytes.writeInt32BE(bytes.length - 12, 8)
  bytes[16] = 2
  bytes.writeInt32BE(lastOffsetDelta, 23)
  bytes.writeInt32BE(recordCount, 57)
  bytes.set(records, BATCH_HEADER_BYTES)
  return withRightCrc(bytes)
}

test('walks several batches in one buffer with one reader', () => {
  const first = sealBatch(toParts(PLAIN), { compression: 'none' })
  const second = sealBatch(toParts(PLAIN.slice(1)), { compression: 'zstd' })
  const third = sealBatch(toParts(PLAIN.slice(0, 1)), { compression: 'none' })
  stampBatch(first, 100, 0)
  stampBatch(second, 103, 0)
  stampBatch(third, 2 ** 40, 0)
  const bytes = Buffer.concat([Buffer.alloc(5), first.bytes, second.bytes, third.bytes])
  const reader = new RecordReader()
  const offsets: number[] = []
  const records: unknown[] = []
  for (let position = 5; position < bytes.length; position = reader.batchEnd) {
    reader.open(bytes, position)
    while (reader.next()) {
      offsets.push(reader.offset)
      records.push(toPlain(reader))
    }
    assert.equal(reader.header.baseOffset, offsets.at(-reader.recordCount))
  }
  assert.deepEqual(offsets, [100, 101, 102, 103, 104, 2 ** 40])
  assert.deepEqual(records, [...PLAIN, ...PLAIN.slice(1), PLAIN[0]])
  const scan = scanBatches(bytes, 5)
  assert.deepEqual(
    scan.batches.map(({ position }) => position),
    [5, 5 + first.bytes.length, 5 + first.bytes.length + second.bytes.length],
  )
  assert.deepEqual(
    scan.batches.map(({ header }) => header),
    [first.header, second.header, third.header],
  )
})

test('says that the batch is cut, at every length of its prefix', () => {
  for (const compression of COMPRESSION_TYPES) {
    const whole = sealed(compression)
    const two = Buffer.concat([whole, whole])
    for (let cut = 1; cut < whole.length; cut++) {
      const scan = scanBatches(two, 0, whole.length + cut)
      assert.deepEqual([scan.stop, scan.position, scan.batches.length], ['cut', whole.length, 1], `cut at ${cut}`)
      assert.equal(
        refusalOf(() => readAll(Buffer.from(whole.subarray(0, cut)))),
        'corrupt_message',
      )
    }
    assert.equal(scanBatches(two, 0, whole.length).stop, 'end')
    assert.equal(scanBatches(two, 0, 0).stop, 'end')
  }
})

test('finds a flipped bit in every byte, but those that the log stamps', () => {
  for (const compression of COMPRESSION_TYPES) {
    const whole = sealed(compression)
    for (let at = 8; at < whole.length; at++) {
      if (at >= 12 && at < 16) continue
      for (let bit = 1; bit < 256; bit <<= 1) {
        const flipped = Buffer.from(whole)
        flipped[at]! ^= bit
        const { stop, position } = scanBatches(flipped)
        assert.ok(stop !== 'end' && position === 0, `byte ${at}, bit ${bit}`)
        assert.equal(
          refusalOf(() => readAll(flipped)),
          'corrupt_message',
        )
      }
    }
  }
})

test('never throws anything but a refusal when a hostile client makes the checksum right', () => {
  for (const compression of COMPRESSION_TYPES) {
    const whole = sealed(compression)
    for (let at = 0; at < whole.length; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff, whole[at]! ^ 1]) {
        const hostile = Buffer.from(whole)
        hostile[at] = value
        withRightCrc(hostile)
        refusalOf(() => readAll(hostile))
        refusalOf(() => checkBatch(hostile))
      }
    }
  }
})

test('never throws anything but a refusal on random records behind a good header', () => {
  const property = fc.property(
    fc.uint8Array({ minLength: 1, maxLength: 60 }),
    fc.integer({ min: -1, max: 9 }),
    fc.nat(7),
    fc.nat(10),
    (records, recordCount, attributes, lastOffsetDelta) => {
      const bytes = batchOf([...records], recordCount, lastOffsetDelta)
      bytes[22] = attributes
      withRightCrc(bytes)
      refusalOf(() => readAll(bytes))
      refusalOf(() => checkBatch(bytes))
    },
  )
  fc.assert(property, { numRuns: 3_000 })
})

test('never throws anything but a refusal on random bytes', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (random, checkCrc) => {
    const bytes = Buffer.from(random)
    if (bytes.length > 16) bytes[16] = 2
    const scan = scanBatches(bytes, 0, bytes.length, { checkCrc })
    assert.ok(scan.position >= 0 && scan.position <= bytes.length)
    refusalOf(() => readAll(bytes, 0, new RecordReader({ checkCrc })))
  })
  fc.assert(property, { numRuns: 3_000 })
})

test('refuses records that do not fit their batch', () => {
  const good = [14, 0, 0, 0, 1, 2, 65, 0]
  assert.deepEqual(readAll(batchOf(good)), [{ timestamp: 0, key: null, value: 'A', headers: [] }])
  const bad: Record<string, number[]> = {
    'longer than the batch': [16, 0, 0, 0, 1, 2, 65, 0],
    'shorter than it says': [14, 0, 0, 0, 1, 0, 0, 0],
    'negative length': [13, 0, 0, 0, 1, 2, 65, 0],
    'offset delta beyond the last': [14, 0, 0, 2, 1, 2, 65, 0],
    'negative offset delta': [14, 0, 0, 1, 1, 2, 65, 0],
    'key length -2': [14, 0, 0, 0, 3, 2, 65, 0],
    'key over the end': [14, 0, 0, 0, 20, 2, 65, 0],
    'value length -2': [14, 0, 0, 0, 1, 3, 65, 0],
    'value over the end': [14, 0, 0, 0, 1, 8, 65, 0],
    'headers over the end': [14, 0, 0, 0, 1, 2, 65, 2],
    'negative header count': [14, 0, 0, 0, 1, 2, 65, 1],
    'varint without an end': [14, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80],
    'varlong without an end': [26, 0, ...Array.from({ length: 11 }, () => 0xff), 0],
    'bytes after the last record': [...good, 0],
    'truncated in a varint': [0x80],
  }
  for (const [what, records] of Object.entries(bad)) {
    assert.equal(
      refusalOf(() => readAll(batchOf(records))),
      'corrupt_message',
      what,
    )
  }
  assert.equal(
    refusalOf(() => readAll(batchOf([...good, ...good], 2))),
    'corrupt_message',
    'the same offset twice',
  )
  assert.equal(
    refusalOf(() => readAll(batchOf(good, 0x7fff_ffff))),
    'corrupt_message',
    'two billion records',
  )
  assert.equal(
    refusalOf(() => readAll(batchOf(good, -1, 0))),
    'corrupt_message',
    'a negative record count',
  )
})

test('refuses headers that do not fit their record', () => {
  const withHeaders = (headers: number[]) => batchOf([2 * (5 + headers.length), 0, 0, 0, 1, 1, ...headers])
  assert.deepEqual(readAll(withHeaders([2, 2, 65, 1]))[0]?.headers, [['A', null]])
  for (const headers of [
    [2, 1, 65, 1],
    [2, 2, 65, 3],
    [2, 2, 65, 2],
    [2, 8, 65, 1],
    [2, 2, 65, 1, 0],
    [4, 2, 65, 1, 0],
  ]) {
    assert.equal(
      refusalOf(() => readAll(withHeaders(headers))),
      'corrupt_message',
      String(headers),
    )
  }
})

test('reads offsets and timestamps where compaction left gaps', () => {
  const bytes = batchOf([14, 0, 6, 4, 1, 2, 65, 0, 14, 0, 9, 10, 1, 2, 66, 0], 2, 7)
  const reader = new RecordReader()
  reader.open(bytes, 0)
  const seen: unknown[] = []
  while (reader.next()) seen.push([reader.offset, reader.timestamp, reader.recordEnd - reader.recordStart])
  assert.deepEqual(seen, [
    [2, 3, 8],
    [5, -5, 8],
  ])
})

test('reads a varlong of every length', () => {
  for (let bits = 0; bits < 53; bits++) {
    for (const delta of [2 ** bits, -(2 ** bits), 2 ** bits - 1, 1 - 2 ** bits]) {
      const records = [
        { ...PLAIN[0]!, timestamp: 0 },
        { ...PLAIN[0]!, timestamp: delta },
      ]
      assert.equal(readAll(sealBatch(toParts(records), { compression: 'none' }).bytes)[1]?.timestamp, delta)
    }
  }
})

test('refuses timestamps that JavaScript cannot tell apart', () => {
  const varlongMax = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
  assert.equal(
    refusalOf(() => readAll(batchOf([32, 0, ...varlongMax, 0, 1, 2, 65, 0]))),
    'corrupt_message',
  )
  const farBase = batchOf([14, 0, 0, 0, 1, 2, 65, 0])
  farBase.writeBigInt64BE(2n ** 60n, 27)
  assert.equal(
    refusalOf(() => readAll(withRightCrc(farBase))),
    'corrupt_message',
  )
})

test('is closed after a failed open', () => {
  const reader = new RecordReader()
  reader.open(sealed('none'), 0)
  assert.throws(() => reader.open(Buffer.alloc(100), 0), { code: 'corrupt_message' })
  assert.equal(reader.next(), false)
})

test('keeps to its bound when a batch inflates', () => {
  const bomb = toParts([{ timestamp: 0, key: null, value: 'a'.repeat(1_000_000), headers: [] }])
  for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const { bytes } = sealBatch(bomb, { compression })
    const bounded = new RecordReader({ inflatedBytesMax: 999_999 })
    assert.throws(() => bounded.open(bytes, 0), { code: 'message_too_large' })
    const wide = new RecordReader({ inflatedBytesMax: 1_000_100 })
    wide.open(bytes, 0)
    assert.equal(wide.next(), true)
  }
})

test('says which compression it does not know', () => {
  const bytes = batchOf([14, 0, 0, 0, 1, 2, 65, 0])
  bytes[22] = 5
  withRightCrc(bytes)
  assert.throws(() => readAll(bytes), { code: 'unsupported_compression_type' })
})
