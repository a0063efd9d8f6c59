// Every bit of a segment file flipped, one after the other, under a partition that is open: no read gives a wrong record,
// none is skipped in silence, and what lies in front of the bad batch and behind it is still read.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { createIndexSchema } from '../../src/log/index-schema.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { parseSnapshot, renderSnapshot } from '../../src/log/producer-state.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import { BATCH_HEADER_BYTES, sealBatch } from '../../src/record/record-batch.ts'
import { toParts } from '../record/records.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { logSettings, TAIL_MARK_KEY } from '../support/log-settings.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

const SEGMENT = '/data/topics/orders-0/00000000000000000000.log'
const BATCH_RECORDS = [1, 3, 1, 2, 1]
const RECORDS = BATCH_RECORDS.reduce((sum, count) => sum + count, 0)
const PRODUCER = (1n << 62n) + 1n
const START_MS = Date.UTC(2026, 0, 1)

const IDENTITY = { topicId: '0191d5a0-0000-7000-8000-000000000001', topicName: 'orders', partition: 0 }

interface Parts {
  readonly disk: PowerCutDisk
  readonly index: Database.Database
  readonly indexIntervalBytes: number
  readonly segmentBytes?: number
  readonly startNumber?: number
  readonly warnings?: string[]
}

function openManager({
  disk,
  index,
  indexIntervalBytes,
  segmentBytes = 1_000_000,
  startNumber = 1,
  warnings = [],
}: Parts) {
  const warn = (_facts: object, message: string) => {
    warnings.push(message)
  }
  return new LogManager({
    dataDir: '/data',
    disk,
    clock: new FakeClock(),
    logger: { info() {}, warn, error: warn },
    telemetry: new Telemetry(),
    isForgotten: () => false,
    leaderEpoch: startNumber,
    tailMarkKey: TAIL_MARK_KEY,
    settings: () => logSettings({ segmentBytes, segmentMs: 1_000_000, indexIntervalBytes }),
    logStartOffset: () => 0,
    cleaningGeneration: () => 0,
    setCleaningGeneration: () => Promise.resolve(),
    onSynced: () => undefined,
    openIndex: () => index,
  })
}

function newIndex(): Database.Database {
  const index = new Database(':memory:')
  createIndexSchema(index)
  return index
}

/** Appends the batches, each by a named producer: answers where they start. */
async function fill(log: PartitionLog): Promise<number[]> {
  const starts: number[] = []
  let next = 0
  for (const [baseSequence, count] of BATCH_RECORDS.entries()) {
    starts.push(next)
    const records = Array.from({ length: count }, () => {
      const timestamp = START_MS + next
      return { timestamp, key: null, value: `value ${next++}`, headers: [] }
    })
    const named = { producerId: PRODUCER, producerEpoch: 0, baseSequence }
    await log.append([sealBatch(toParts(records), { compression: 'none', ...named })], 'all')
  }
  return starts
}

async function openLog(indexIntervalBytes: number): Promise<{ log: PartitionLog; bytes: Buffer; starts: number[] }> {
  const disk = new PowerCutDisk(new Random(1))
  const log = openManager({ disk, index: newIndex(), indexIntervalBytes }).log(IDENTITY)
  const starts = await fill(log)
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

for (const indexIntervalBytes of [0, 150]) {
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
  return inBatch >= BATCH_HEADER_BYTES && bit % 61 !== 0
}

test('a flipped bit makes no look-up by time name a wrong offset', async () => {
  const { log, bytes } = await openLog(150)
  let told = 0
  for (let bit = 0; bit < bytes.length * 8; bit += 7) {
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

test('a base offset or length that flipped is no torn end for the next start: nothing good is cut off', async () => {
  const disk = new PowerCutDisk(new Random(1))
  const starts = await fill(openManager({ disk, index: newIndex(), indexIntervalBytes: 150 }).log(IDENTITY))
  const bytes = disk.bytesOf(SEGMENT) as Buffer
  const whole = Buffer.from(bytes)
  let at = 0
  for (const [batch, start] of starts.entries()) {
    for (let bit = 0; bit < 12 * 8; bit++) {
      const place = at + (bit >> 3)
      bytes[place] = (bytes[place] as number) ^ (1 << (bit & 7))
      const log = openManager({ disk, index: newIndex(), indexIntervalBytes: 150 }).log(IDENTITY)
      await log.open()
      const where = `bit ${bit & 7} of byte ${bit >> 3} of batch ${batch}`
      const isTorn = batch === starts.length - 1 && bit >= 64
      if (isTorn) {
        // a batch at the very end without its length could be one that was never synced
        assert.deepEqual([log.offline, log.bounds.highWatermark], [undefined, start], where)
      } else {
        assert.match(log.offline?.message ?? '', new RegExp(`at position ${at}, offset ${start} .*--repair`), where)
        assert.equal((disk.bytesOf(SEGMENT) as Buffer).length, whole.length, where)
      }
      const now = disk.bytesOf(SEGMENT) as Buffer
      if (now.length < whole.length) {
        const file = await disk.open(SEGMENT, false)
        await file.write([whole], 0)
        await file.sync()
      } else {
        whole.copy(now)
      }
    }
    at += whole.readInt32BE(at + 8) + 12
  }
})

/** Every number and text of index.db, as places to flip bits in. */
function indexValues(index: Database.Database) {
  return ['logs', 'segments', 'entries', 'producers'].flatMap((table) => {
    const columns = index.pragma(`table_info(${table})`) as { name: string; pk: number }[]
    const rows = index.prepare(`SELECT * FROM ${table}`).safeIntegers(true).all() as Record<string, unknown>[]
    return rows.flatMap((row) => columns.map(({ name }) => ({ table, name, row })))
  })
}

for (const isCleanStop of [true, false]) {
  test(`a bit that flipped in a row of index.db is seen or does no harm, after a ${isCleanStop ? 'clean stop' : 'kill'}`, async () => {
    const random = new Random(7)
    const disk = new PowerCutDisk(random)
    const index = newIndex()
    const parts = { disk, indexIntervalBytes: 0, segmentBytes: 200 }
    const manager = openManager({ ...parts, index })
    await fill(manager.log(IDENTITY))
    assert.ok(manager.log(IDENTITY).segments.length > 2)
    manager.flushIndex()
    if (isCleanStop) index.exec("INSERT INTO state (name, value) VALUES ('clean_stop', '1')")
    const kept = index.serialize()
    for (const { table, name, row } of indexValues(index)) {
      // not known twice: by what time look-ups go, and whom a producer's row is about
      if (name.endsWith('_timestamp') || (table === 'producers' && name !== 'state')) continue
      for (let time = 0; time < 4; time++) {
        const spoilt = new Database(kept)
        const old = row[name]
        const flipped =
          typeof old === 'bigint' ? old ^ (1n << BigInt(random.below(time < 2 ? 4 : 40))) : flip(String(old), random)
        const where = Object.entries(row).filter(([, value]) => value !== null)
        const sql = `UPDATE OR REPLACE ${table} SET ${name} = ? WHERE ${where.map(([column]) => `${column} = ?`).join(' AND ')}`
        const changed = spoilt.prepare(sql).run(flipped, ...where.map(([, value]) => value))
        assert.equal(changed.changes, 1)
        const log = openManager({ ...parts, index: spoilt, startNumber: 2 }).log(IDENTITY)
        await log.open()
        const what = `${table}.${name} ${old} became ${flipped}`
        assert.equal(log.offline, undefined, what)
        assert.deepEqual(log.bounds, { logStartOffset: 0, highWatermark: RECORDS }, what)
        for (let offset = 0; offset < RECORDS; offset++) {
          const { records, details } = await ask(log, offset)
          // a closed segment's length is met when it is read: that is told, never passed over
          if (records === undefined)
            assert.deepEqual([table, name], ['segments', 'size_bytes'], `${what} ${JSON.stringify(details)}`)
          else assert.deepEqual(records[0], { offset, value: `value ${offset}` }, what)
        }
        const batches = log.producer(PRODUCER)?.batches.map(({ baseSequence }) => baseSequence)
        assert.deepEqual(batches, [0, 1, 2, 3, 4], what)
      }
    }
  })
}

function flip(text: string, random: Random): string {
  const bytes = Buffer.from(text)
  const at = random.below(bytes.length)
  bytes[at] = (bytes[at] as number) ^ (1 << random.below(7))
  return bytes.toString()
}

test('a bit that flipped in a snapshot of producers makes it no snapshot', () => {
  const batches = [{ baseSequence: 3, baseOffset: 17, recordCount: 2, timestamp: START_MS }]
  const entry = { producerId: PRODUCER, epoch: 1, batches, lastSeenMs: START_MS }
  const bytes = renderSnapshot([entry])
  assert.deepEqual(parseSnapshot(bytes), [entry])
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const spoilt = Buffer.from(bytes)
    spoilt[bit >> 3] = (spoilt[bit >> 3] as number) ^ (1 << (bit & 7))
    assert.equal(parseSnapshot(spoilt), undefined, `bit ${bit & 7} of byte ${bit >> 3}`)
  }
})
