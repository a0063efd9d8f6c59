// Every bit of a segment file flipped, one after the other, under a partition that is open: no read gives a wrong record,
// none is skipped in silence, and what lies in front of the bad batch and behind it is still read.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { createIndexSchema } from '../../src/log/log-index.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import { BATCH_HEADER_BYTES, sealBatch } from '../../src/record/record-batch.ts'
import { toParts } from '../record/records.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

const SEGMENT = '/data/topics/orders-0/00000000000000000000.log'
const BATCH_RECORDS = [1, 3, 1, 2, 1]
const RECORDS = BATCH_RECORDS.reduce((sum, count) => sum + count, 0)
const START_MS = Date.UTC(2026, 0, 1)

async function openLog(indexIntervalBytes: number): Promise<{ log: PartitionLog; bytes: Buffer; starts: number[] }> {
  const index = new Database(':memory:')
  createIndexSchema(index)
  const disk = new PowerCutDisk(new Random(1))
  const manager = new LogManager({
    dataDir: '/data',
    disk,
    clock: new FakeClock(),
    logger: silentLogger,
    telemetry: new Telemetry(),
    isForgotten: () => false,
    leaderEpoch: 1,
    settings: () => ({
      segmentBytes: 1_000_000,
      segmentMs: 1_000_000,
      indexIntervalBytes,
      maxMessageBytes: 1_000_000,
      logAppendTime: false,
    }),
    logStartOffset: () => 0,
    cleaningGeneration: () => 0,
    setCleaningGeneration: () => Promise.resolve(),
    onSynced: () => undefined,
    openIndex: () => index,
  })
  const log = manager.log({ topicId: '0191d5a0-0000-7000-8000-000000000001', topicName: 'orders', partition: 0 })
  const starts: number[] = []
  let next = 0
  for (const count of BATCH_RECORDS) {
    starts.push(next)
    const records = Array.from({ length: count }, () => {
      const timestamp = START_MS + next
      return { timestamp, key: null, value: `value ${next++}`, headers: [] }
    })
    await log.append([sealBatch(toParts(records), { compression: 'none' })], 'all')
  }
  return { log, bytes: disk.bytesOf(SEGMENT) as Buffer, starts }
}

/** What a reader gets that asks for an offset: its records from there on, or the error's details. */
async function ask(log: PartitionLog, offset: number) {
  try {
    const bytes = await log.read(offset, 1_000_000)
    const records: { offset: number; value: string }[] = []
    const reader = new RecordReader()
    for (let at = 0; at < bytes.length; at = reader.batchEnd) {
      reader.open(bytes, at)
      while (reader.next()) {
        records.push({ offset: reader.offset, value: bytes.toString('utf8', reader.valueStart, reader.valueEnd) })
      }
    }
    return { records: records.filter((record) => record.offset >= offset) }
  } catch (error) {
    const { code, details, message } = error as Error & {
      code: string
      details: { offset: number; next_offset: number }
    }
    assert.equal(code, 'corrupt_message', message)
    return { details }
  }
}

for (const indexIntervalBytes of [0, 150, 1_000_000]) {
  test(`a flipped bit anywhere is told and nothing is passed over, with an index entry every ${indexIntervalBytes} bytes`, async () => {
    const { log, bytes, starts } = await openLog(indexIntervalBytes)
    const positions: number[] = []
    for (let at = 0; at < bytes.length; at += bytes.readInt32BE(at + 8) + 12) positions.push(at)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const at = bit >> 3
      const batch = positions.findLastIndex((position) => position <= at)
      const inBatch = at - (positions[batch] as number)
      if (isLikeOthers(inBatch, bit)) continue
      bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7))
      const from = starts[batch] as number
      const to = starts[batch + 1] ?? RECORDS
      const isHarmless = inBatch >= 12 && inBatch < 16
      for (let offset = 0; offset < RECORDS; offset++) {
        const where = `bit ${bit & 7} of byte ${inBatch} of batch ${batch}, read at ${offset}`
        const { records, details } = await ask(log, offset)
        if (records === undefined) {
          assert.ok(!isHarmless && offset >= from && offset < to, where)
          assert.deepEqual([details?.offset, details?.next_offset], [from, to], where)
          continue
        }
        assert.ok(isHarmless || offset < from || offset >= to, where)
        const end = isHarmless || offset >= to ? RECORDS : from
        const due = Array.from({ length: end - offset }, (_, one) => `value ${offset + one}`)
        const given = records.map(({ value }) => value)
        assert.deepEqual(given, due.slice(0, given.length), where)
        assert.equal(records[0]?.offset, offset, where)
      }
      bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7))
    }
  })
}

/** The checksum covers all behind the header alike: some bits stand for all. */
function isLikeOthers(inBatch: number, bit: number): boolean {
  return inBatch >= BATCH_HEADER_BYTES && bit % 13 !== 0
}

test('a flipped bit makes no look-up by time name a wrong offset', async () => {
  const { log, bytes } = await openLog(150)
  let told = 0
  for (let bit = 0; bit < bytes.length * 8; bit += 3) {
    const at = bit >> 3
    bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7))
    for (const offset of [0, 2, 5, RECORDS - 1]) {
      try {
        const found = await log.findByTimestamp(START_MS + offset)
        assert.deepEqual(found, { offset, timestamp: START_MS + offset }, `bit ${bit & 7} of byte ${at}`)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'corrupt_message', `bit ${bit & 7} of byte ${at}: ${error}`)
        told++
      }
    }
    bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7))
  }
  assert.ok(told > 0)
})
