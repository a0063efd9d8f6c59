import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { Reader, readRecordsBatch } from '@platformatic/kafka'
import { segmentPath } from '../../src/log/log-segment.ts'
import type { CompressionType } from '../../src/record/compression.ts'
import { COMPRESSION_TYPES } from '../../src/record/compression.ts'
import { batchSizeAt, computeBatchCrc, hasDeleteHorizon } from '../../src/record/record-batch.ts'
import type { PlainRecord } from '../record/records.ts'
import { DiskFaults } from '../support/disk-faults.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'
import type { FoundRecord } from './cleaner-log.ts'
import { CleanerLog, DIRECTORY } from './cleaner-log.ts'

const T0 = 1_700_000_000_000

const record = (key: string | null, value: string | null, timestamp = T0): PlainRecord => ({
  key,
  value,
  timestamp,
  headers: [],
})

const newLog = () => {
  const disk = new PowerCutDisk(new Random(1))
  return { disk, log: new CleanerLog(disk) }
}

const shown = async (log: CleanerLog) =>
  (await log.records()).map(({ offset, key, value }) => `${offset} ${key}=${value}`)

test('keeps the newest record of each key, with its offset, timestamp and headers', async () => {
  for (const compression of COMPRESSION_TYPES) {
    const { log } = newLog()
    const headers = [
      ['h', 'x'],
      ['h', null],
    ] as const
    await log.addSegment([
      { compression, records: [record('a', '1'), { ...record('b', '1', T0 + 7), headers }, record('a', '2')] },
      { compression, records: [record('a', '3'), record('c', '1')] },
    ])
    await log.addSegment([{ compression, records: [record('c', '2', T0 + 9), record('a', '4')] }])
    const result = await log.clean({})
    assert.deepEqual(await log.records(), [
      {
        offset: 1,
        ...record('b', '1', T0 + 7),
        headers: [
          ['h', 'x'],
          ['h', null],
        ],
      },
      { offset: 5, ...record('c', '2', T0 + 9) },
      { offset: 6, ...record('a', '4') },
    ])
    assert.deepEqual([result.cleanedTo, result.recordsRead, result.recordsKept], [7, 7, 3])
    const [first] = await log.batches()
    assert.equal(first?.header.attributes, COMPRESSION_TYPES.indexOf(compression))
    assert.deepEqual(
      [first?.header.baseOffset, first?.header.lastOffsetDelta, first?.header.maxTimestamp],
      [0, 2, T0 + 7],
    )
    assert.equal(first?.header.partitionLeaderEpoch, 5)
  }
})

test('a tombstone stays for delete.retention.ms after the pass that first saw it, then goes', async () => {
  const { log } = newLog()
  await log.addSegment([{ records: [record('a', '1'), record('a', null, T0 + 5), record('b', '1', T0 + 6)] }])
  await log.clean({ nowMs: T0 + 100, deleteRetentionMs: 50 })
  assert.deepEqual(await log.records(), [
    { offset: 1, ...record('a', null, T0 + 5) },
    { offset: 2, ...record('b', '1', T0 + 6) },
  ])
  const [batch] = await log.batches()
  assert.equal(hasDeleteHorizon(batch?.header.attributes ?? 0), true)
  assert.equal(batch?.header.baseTimestamp, T0 + 150)
  const again = await log.clean({ nowMs: T0 + 149, deleteRetentionMs: 50, firstDirtyOffset: 3 })
  assert.equal(again.tombstonesKept, 1)
  assert.equal((await log.batches())[0]?.header.baseTimestamp, T0 + 150)
  await log.clean({ nowMs: T0 + 150, deleteRetentionMs: 50, firstDirtyOffset: 3 })
  assert.deepEqual(await shown(log), ['2 b=1'])
})

test('records without a key and records below the log start go', async () => {
  const { log } = newLog()
  await log.addSegment([{ records: [record('a', '1'), record(null, '1'), record('b', '1'), record('c', '1')] }])
  await log.clean({ logStartOffset: 1 })
  assert.deepEqual(await shown(log), ['2 b=1', '3 c=1'])
})

test('what lies behind cleanableEnd stays as it is', async () => {
  const { log } = newLog()
  await log.addSegment([{ records: [record('a', '1')] }])
  const end = log.nextOffset
  const open = await log.addSegment([{ records: [record('a', '2'), record('a', '3'), record(null, '4')] }])
  const before = await log.bytesOf(open.baseOffset)
  const result = await log.clean({ cleanableEnd: end })
  assert.equal(result.cleanedTo, end)
  assert.deepEqual(await shown(log), ['0 a=1', '1 a=2', '2 a=3', '3 null=4'])
  assert.deepEqual(await log.bytesOf(open.baseOffset), before)
})

test('a producer’s last batch stays without its records, any other empty batch goes', async () => {
  const { log } = newLog()
  await log.addSegment([
    { producerId: 7n, records: [record('a', '1')] },
    { producerId: 7n, records: [record('a', '2', T0 + 3)], compression: 'gzip' },
    { records: [record('a', '3')] },
  ])
  await log.clean({ producerLastOffsets: [1] })
  const check = async () => {
    const [empty, last] = await log.batches()
    assert.equal(empty?.records.length, 0)
    assert.deepEqual(
      { ...empty?.header, crc: 0 },
      {
        baseOffset: 1,
        sizeBytes: 61,
        partitionLeaderEpoch: 5,
        magic: 2,
        crc: 0,
        attributes: 0,
        lastOffsetDelta: 0,
        baseTimestamp: -1,
        maxTimestamp: T0 + 3,
        producerId: 7n,
        producerEpoch: 3,
        baseSequence: 1,
        recordCount: 0,
      },
    )
    assert.deepEqual(last?.records, [{ offset: 2, ...record('a', '3') }])
  }
  await check()
  await log.clean({ producerLastOffsets: [1], firstDirtyOffset: 3 })
  await check()
  await log.clean({ firstDirtyOffset: 3 })
  assert.equal((await log.batches()).length, 1)
})

test('several passes clean what is larger than the map', async () => {
  const { log } = newLog()
  const keys = ['a', 'b', 'c', 'd', 'e', 'a', 'b', 'c', 'd', 'e']
  await log.addSegment([{ records: keys.map((key, at) => record(key, String(at))) }])
  // four slots hold three keys
  let firstDirtyOffset = 0
  const ends: number[] = []
  while (firstDirtyOffset < log.nextOffset) {
    firstDirtyOffset = (await log.clean({ mapBytesMax: 96, firstDirtyOffset })).cleanedTo
    ends.push(firstDirtyOffset)
  }
  assert.deepEqual(ends, [3, 6, 9, 10])
  assert.deepEqual(await shown(log), ['5 a=5', '6 b=6', '7 c=7', '8 d=8', '9 e=9'])
})

test('a group whose records all go leaves an empty segment with the first base', async () => {
  const { log } = newLog()
  await log.addSegment([{ records: [record('a', '1')] }])
  await log.addSegment([{ records: [record('a', '2')] }])
  await log.addSegment([{ records: [record('a', '3')] }])
  const sizeBytes = log.segments[0]?.sizeBytes ?? 0
  await log.clean({ segmentBytes: sizeBytes * 2 })
  assert.deepEqual(log.segments[0], {
    baseOffset: 0,
    generation: 0,
    sizeBytes: 0,
    endOffset: 0,
    maxTimestamp: -1,
    firstTimestamp: -1,
  })
  assert.deepEqual(await shown(log), ['2 a=3'])
})

test('a bad batch ends the pass: file, position and offset are named, its group is not handed out', async () => {
  const { disk, log } = newLog()
  await log.addSegment([{ records: [record('a', '1')] }, { records: [record('a', '2')] }])
  const path = segmentPath(DIRECTORY, 0)
  const bytes = disk.bytesOf(path)
  const position = bytes.length / 2
  bytes[bytes.length - 1] = 99
  const handedOut: number[] = []
  const pass = log.clean({}, async ({ segment }) => void handedOut.push(segment.baseOffset))
  await assert.rejects(pass, (error: Error & { code: string; details: unknown }) => {
    assert.equal(error.code, 'corrupt_message')
    assert.deepEqual(error.details, { file: path, position, offset: 1 })
    return true
  })
  assert.deepEqual(handedOut, [])
  assert.deepEqual(await disk.list(DIRECTORY), ['00000000000000000000.log'])
})

test('a segment of which nothing goes stays as it is and is not handed out', async () => {
  const { disk, log } = newLog()
  await log.addSegment([{ records: [record('a', '1')] }])
  await log.addSegment([{ records: [record('b', '1')] }, { records: [record('b', '2')] }])
  const handedOut: number[] = []
  const result = await log.clean({ segmentBytes: 1 }, async ({ segment }) => void handedOut.push(segment.baseOffset))
  assert.deepEqual(handedOut, [1])
  assert.deepEqual(await shown(log), ['0 a=1', '2 b=2'])
  assert.equal(result.recordsKept, 2)
  assert.deepEqual((await disk.list(DIRECTORY)).toSorted(), ['00000000000000000000.log', '00000000000000000001.log'])
})

test('the last batch of what is cleaned stays without its records, so that readers come past it', async () => {
  const { log } = newLog()
  await log.addSegment([{ records: [record('a', '1'), record('a', null), record(null, 'x')] }])
  await log.clean({ deleteRetentionMs: 0 })
  await log.clean({ firstDirtyOffset: 3 })
  const [only, ...others] = await log.batches()
  assert.deepEqual([only?.header.baseOffset, only?.header.lastOffsetDelta, only?.records.length], [0, 2, 0])
  assert.equal(others.length, 0)
  await log.addSegment([{ records: [record('b', '1')] }])
  await log.clean({ firstDirtyOffset: 3 })
  assert.equal((await log.batches()).length, 1)
})

test('batches larger than a chunk, and chunks that end inside a batch, are cleaned like any other', async () => {
  const { log } = newLog()
  const value = 'v'.repeat(400_000)
  await log.addSegment([
    { records: [record('a', value), record('b', value), record('c', value), record('d', value)] },
    { records: [record('a', `${value}2`), record('e', value)] },
    { records: [record('a', `${value}3`)] },
    { records: [record('f', value)], compression: 'zstd' },
    { records: Array.from({ length: 9 }, (_, at) => record(`g${at}`, value)) },
    { records: [record('b', 'last')] },
  ])
  await log.clean({})
  const left = (await log.records()).map(({ key, value }) => `${key} ${value?.length}`)
  const many = Array.from({ length: 9 }, (_, at) => `g${at} 400000`)
  assert.deepEqual(left, ['c 400000', 'd 400000', 'e 400000', 'a 400001', 'f 400000', ...many, 'b 4'])
})

test('control batches stay as they are', async () => {
  const { disk, log } = newLog()
  await log.addSegment([
    { records: [record('a', '1')] },
    { records: [record('a', '2')] },
    { records: [record('a', '3')] },
  ])
  const bytes = disk.bytesOf(segmentPath(DIRECTORY, 0))
  const second = bytes.subarray(bytes.length / 3, (bytes.length / 3) * 2)
  second[22] = 0x30
  second.writeUInt32BE(computeBatchCrc(second, 0, second.length), 17)
  const marker = Buffer.from(second)
  await log.clean({})
  assert.deepEqual(await log.bytesOf(0), Buffer.concat([marker, bytes.subarray(marker.length * 2)]))
})

test('a retention without end is a horizon that every reader takes', async () => {
  const { log } = newLog()
  await log.addSegment([{ records: [record('a', null), record('b', '1', 0), record('b', '2', 0)] }])
  await log.clean({ nowMs: T0, deleteRetentionMs: Number.MAX_SAFE_INTEGER })
  assert.deepEqual(await log.records(), [
    { offset: 0, ...record('a', null) },
    { offset: 2, ...record('b', '2', 0) },
  ])
})

test('a group is whole on the disk when it is handed out, and its old segments still are', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const disk = new PowerCutDisk(new Random(seed))
    const log = new CleanerLog(disk)
    await log.addSegment([{ records: [record('a', '1'), record('b', '1')] }])
    await log.addSegment([{ records: [record('a', '2')] }])
    await disk.syncDirectory(DIRECTORY)
    let after: PowerCutDisk | undefined
    const pass = log.clean({}, async ({ cleanedPath }) => {
      const whole = await disk.readFile(cleanedPath)
      after = disk.cut('power')
      assert.deepEqual(await after.readFile(cleanedPath), whole, `seed ${seed}`)
    })
    await assert.rejects(pass, { code: 'EIO' })
    const names = (await after?.list(DIRECTORY)) ?? []
    assert.ok(names.includes('00000000000000000000.log') && names.includes('00000000000000000002.log'), `seed ${seed}`)
  }
})

test('a failing disk ends the pass, changes nothing that is not handed out, and a later pass does it all', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
  const random = new Random(seed)
  let failures = 0
  for (let run = 0; run < 60; run++) {
    const faults = new DiskFaults()
    const disk = new PowerCutDisk(random, { faults })
    const log = new CleanerLog(disk)
    await log.addSegment([{ records: [record('a', '1'), record('b', '1')] }])
    await log.addSegment([{ records: [record('a', '2'), record('c', '1')] }])
    await log.addSegment([{ records: [record('c', '2')] }])
    faults.failByChance(0.1, random)
    const segmentBytes = random.pick([1, 1_000])
    const atTheStart = await log.clean({ segmentBytes }, async () => faults.end()).catch((error) => error)
    faults.end()
    const isFailed = atTheStart instanceof Error
    if (isFailed) failures++
    const expected = isFailed ? ['0 a=1', '1 b=1', '2 a=2', '3 c=1', '4 c=2'] : ['1 b=1', '2 a=2', '4 c=2']
    assert.deepEqual(await shown(log), expected, `seed ${seed}, run ${run}`)
    await log.clean({ segmentBytes })
    assert.deepEqual(await shown(log), ['1 b=1', '2 a=2', '4 c=2'], `seed ${seed}, run ${run}`)
    assert.deepEqual(
      (await disk.list(DIRECTORY)).filter((name) => !name.endsWith('.log')),
      [],
      `seed ${seed}, run ${run}`,
    )
  }
  assert.ok(failures > 5, `seed ${seed}: only ${failures} passes failed`)
})

/** Each codec's batch keeps a value and a tombstone of four records; a small one behind it is left empty. */
async function cleanedInEveryCodec(compressions: readonly CompressionType[]): Promise<CleanerLog> {
  const { log } = newLog()
  const producerLastOffsets: number[] = []
  for (const compression of compressions) {
    const keys = ['all', compression, 'all', `${compression} gone`]
    const records = keys.map((key, at) => record(key, key.endsWith('gone') ? null : `${compression} ${at}`, T0 + at))
    await log.addSegment([
      { compression, records, producerId: 9n },
      { compression, records: [record('all', compression)] },
    ])
    producerLastOffsets.push(log.nextOffset - 1)
  }
  await log.clean({ nowMs: T0 + 1_000, producerLastOffsets, segmentBytes: 1 })
  const batches = await log.batches()
  assert.equal(batches.filter(({ header }) => header.recordCount === 0).length, compressions.length - 1)
  assert.equal(batches.filter(({ header }) => hasDeleteHorizon(header.attributes)).length, compressions.length)
  return log
}

test('independent libraries read what a pass leaves', async (t) => {
  const plain = (found: readonly FoundRecord[]) =>
    found.map(({ offset, key, value, timestamp }) => [offset, key, value, timestamp])

  await t.test('kafkajs', async () => {
    const log = await cleanedInEveryCodec(['none', 'gzip'])
    const decoded: unknown[] = []
    for (const { baseOffset } of log.segments) {
      for (const one of await decodeWithKafkajs(await log.bytesOf(baseOffset))) {
        decoded.push([Number(one.offset), one.key.toString(), one.value?.toString() ?? null, Number(one.timestamp)])
      }
    }
    assert.deepEqual(decoded, plain(await log.records()))
  })

  await t.test('platformatic', async () => {
    const log = await cleanedInEveryCodec(COMPRESSION_TYPES)
    const decoded: unknown[] = []
    for (const { baseOffset } of log.segments) {
      const bytes = await log.bytesOf(baseOffset)
      for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) {
        const batch = readRecordsBatch(Reader.from(bytes.subarray(at, at + batchSizeAt(bytes, at))))
        for (const { offsetDelta, key, value, timestampDelta } of batch.records) {
          const offset = Number(batch.firstOffset) + Number(offsetDelta)
          const timestamp = Number(batch.firstTimestamp + timestampDelta)
          decoded.push([offset, key?.toString(), value?.toString() ?? null, timestamp])
        }
      }
    }
    assert.deepEqual(decoded, plain(await log.records()))
  })
})

interface DecodedRecord {
  readonly offset: string
  readonly key: Buffer
  readonly value: Buffer | null
  readonly timestamp: string
}

async function decodeWithKafkajs(bytes: Buffer): Promise<DecodedRecord[]> {
  const require = createRequire(import.meta.url)
  const Decoder = require('kafkajs/src/protocol/decoder')
  const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder')
  const decoder = new Decoder(bytes)
  const records: DecodedRecord[] = []
  while (decoder.canReadInt64()) records.push(...(await decodeBatch(decoder)).records)
  return records
}
