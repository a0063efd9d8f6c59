// What a partition does when its disk fails it, and when its files are not as they were left: on a disk double for what
// a real one cannot be made to do.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { STRETCH_BYTES_MAX } from '../../src/kernel/limits.ts'
import type { Logger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { createIndexSchema } from '../../src/log/index-schema.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { SealedBatch } from '../../src/record/record-batch.ts'
import { sealBatch, stampBatch } from '../../src/record/record-batch.ts'
import { toParts, valuesIn } from '../record/records.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { logSettings, TAIL_MARK_KEY } from '../support/log-settings.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

const IDENTITY = { topicId: '0191d5a0-0000-7000-8000-000000000001', topicName: 'orders', partition: 0 }
/** Of the topic here: more than a stretch of several appends ever has. */
const MAX_MESSAGE_BYTES = 3 * STRETCH_BYTES_MAX
const SEGMENT = '/data/topics/orders-0/00000000000000000000.log'

interface Bench {
  disk: PowerCutDisk
  readonly clock: FakeClock
  readonly telemetry: Telemetry
  readonly warnings: string[]
  starts: number
  manager: LogManager
}

function openManager(bench: Omit<Bench, 'manager'>, index = newIndex()): LogManager {
  const logger: Logger = {
    info() {},
    warn: (_facts, message) => bench.warnings.push(message),
    error: (_facts, message) => bench.warnings.push(message),
  }
  return new LogManager({
    dataDir: '/data',
    disk: bench.disk,
    clock: bench.clock,
    logger,
    telemetry: bench.telemetry,
    isForgotten: () => false,
    leaderEpoch: ++bench.starts,
    tailMarkKey: TAIL_MARK_KEY,
    settings: () => logSettings({ maxMessageBytes: MAX_MESSAGE_BYTES }),
    logStartOffset: () => 0,
    cleaningGeneration: () => 0,
    setCleaningGeneration: () => Promise.resolve(),
    onSynced: () => undefined,
    openIndex: () => index,
  })
}

function newIndex(): Database.Database {
  const db = new Database(':memory:')
  createIndexSchema(db)
  return db
}

function openBench(): Bench {
  const parts = {
    disk: new PowerCutDisk(new Random(1)),
    clock: new FakeClock(),
    telemetry: new Telemetry(),
    warnings: [],
    starts: 0,
  }
  return Object.assign(parts, { manager: openManager(parts) })
}

/** The process dies and is started again, without index.db. */
async function restart(bench: Bench): Promise<void> {
  bench.disk = bench.disk.cut('process')
  bench.manager = openManager(bench)
  await bench.manager.recover([IDENTITY])
}

function batchOf(value: string, timestamp = Date.UTC(2026, 0, 1)): SealedBatch {
  return sealBatch(toParts([{ timestamp, key: null, value, headers: [] }]), { compression: 'none' })
}

async function append(bench: Bench, value: string): Promise<number> {
  const [appended] = await bench.manager.log(IDENTITY).append([batchOf(value)], 'all')
  return appended?.baseOffset ?? -1
}

async function valuesFrom(bench: Bench, offset: number): Promise<(string | null)[]> {
  return valuesIn(await bench.manager.log(IDENTITY).read(offset, 100_000))
}

test('a full disk refuses the append, stores nothing of it and goes on when there is room', async () => {
  const bench = openBench()
  await append(bench, 'a')
  for (const fault of ['write', 'write-partly'] as const) {
    bench.disk.failNext(fault, 'ENOSPC')
    await assert.rejects(append(bench, 'lost'), { code: 'disk_full' })
  }
  assert.equal(await append(bench, 'b'), 1)
  assert.deepEqual(await valuesFrom(bench, 0), ['a', 'b'])
  await restart(bench)
  assert.deepEqual(await valuesFrom(bench, 0), ['a', 'b'])
})

test('a failed fdatasync takes the partition offline for writes and reads until the next start', async () => {
  const bench = openBench()
  await append(bench, 'a')
  bench.disk.failNext('sync', 'EIO')
  await assert.rejects(append(bench, 'b'), { code: 'kafka_storage_error' })
  await assert.rejects(append(bench, 'c'), { code: 'kafka_storage_error' })
  await assert.rejects(bench.manager.log(IDENTITY).read(0, 100), { code: 'kafka_storage_error' })
  assert.equal(bench.telemetry.partitionsFailed, 1)
  assert.match(bench.warnings.join('\n'), /orders-0 is offline until the server is started again: fdatasync failed/)
  await restart(bench)
  assert.equal((await valuesFrom(bench, 0))[0], 'a')
  await append(bench, 'd')
})

test('a write that fails for another reason, or cannot be undone, takes the partition offline', async () => {
  for (const faults of [['write'], ['write-partly', 'truncate']] as const) {
    const bench = openBench()
    await append(bench, 'a')
    const code = faults.length === 1 ? 'EIO' : 'ENOSPC'
    for (const fault of faults) bench.disk.failNext(fault, code)
    await assert.rejects(append(bench, 'b'), { code: 'kafka_storage_error' })
    await assert.rejects(append(bench, 'c'), { code: 'kafka_storage_error' })
  }
})

test('acks leader is answered before the sync, and readers see the record only after it', async () => {
  const bench = openBench()
  const log = bench.manager.log(IDENTITY)
  await log.append([batchOf('a')], 'leader')
  assert.equal(log.bounds.highWatermark, 0)
  await append(bench, 'b')
  assert.equal(log.bounds.highWatermark, 2)
})

test('a torn batch at the end is cut off and kept aside', async () => {
  const bench = openBench()
  await append(bench, 'a')
  const torn = batchOf('torn').bytes
  const file = await bench.disk.open(SEGMENT, false)
  await file.write([torn.subarray(0, torn.length - 3)], batchOf('a').bytes.length)
  await restart(bench)
  assert.deepEqual(await valuesFrom(bench, 0), ['a'])
  assert.match(bench.warnings.join('\n'), /cut a torn batch .* off the end of orders-0: its next offset is 1/)
  const aside = (await bench.disk.list('/data/topics/orders-0')).find((name) => name.includes('.torn-'))
  assert.ok(aside !== undefined)
  const kept = await bench.disk.readFile(`/data/topics/orders-0/${aside}`)
  assert.deepEqual(kept, torn.subarray(0, torn.length - 3))
  assert.equal(await append(bench, 'b'), 1)
})

test('a stretch of which one sector is missing is cut off, also where the next batch begins in that sector', async () => {
  const bench = openBench()
  await append(bench, 'a')
  const position = batchOf('a').bytes.length
  for (let zeros = 0; zeros < 7; zeros++) {
    // the second batch begins so many bytes in front of a sector's end: all of them are zeros anyway
    const first = batchOf('x'.repeat(1024 - zeros - position - batchOf('x'.repeat(500)).bytes.length + 500))
    const second = batchOf('b')
    assert.equal(position + first.bytes.length, 1024 - zeros)
    stampBatch(first, 1, 1)
    stampBatch(second, 2, 1)
    const stretch = Buffer.concat([first.bytes, second.bytes])
    stretch.fill(0, 512 - position, 1024 - position)
    await (await bench.disk.open(SEGMENT, false)).write([stretch], position)
    await restart(bench)
    assert.deepEqual(await valuesFrom(bench, 0), ['a'], `${zeros} bytes`)
  }
})

test('a stretch of which the sector with its first few bytes is missing is cut off', async () => {
  for (const lost of [8, 9, 11]) {
    for (const followers of [0, 1]) {
      const bench = openBench()
      const empty = batchOf('x'.repeat(200)).bytes.length
      await append(bench, 'x'.repeat(200 + 512 - lost - empty))
      const stretch = Array.from({ length: 1 + followers }, () => batchOf('b'))
      for (const [at, batch] of stretch.entries()) stampBatch(batch, 1 + at, 1)
      const bytes = Buffer.concat(stretch.map((batch) => batch.bytes)).fill(0, 0, lost)
      await (await bench.disk.open(SEGMENT, false)).write([bytes], 512 - lost)
      await restart(bench)
      assert.equal(bench.manager.log(IDENTITY).offline, undefined, `${lost} bytes`)
      assert.equal(bench.manager.log(IDENTITY).bounds.highWatermark, 1)
    }
  }
})

test('a torn batch of the largest size that a topic takes is cut off like any other', async () => {
  const bench = openBench()
  await append(bench, 'a')
  const torn = batchOf('x'.repeat(MAX_MESSAGE_BYTES - 1_000)).bytes
  const file = await bench.disk.open(SEGMENT, false)
  await file.write([torn.subarray(0, torn.length - 3)], batchOf('a').bytes.length)
  await restart(bench)
  assert.deepEqual(await valuesFrom(bench, 0), ['a'])
  assert.match(bench.warnings.join('\n'), /cut a torn batch/)
})

test('a flipped bit in front of good batches is no torn end: the partition stays offline and says where', async () => {
  const bench = openBench()
  for (const value of ['a', 'b', 'c']) await append(bench, value)
  const size = batchOf('a').bytes.length
  const bytes = bench.disk.bytesOf(SEGMENT)
  bytes[size + 65] = (bytes[size + 65] as number) ^ 4
  await restart(bench)
  await assert.rejects(valuesFrom(bench, 0), (error: Error) => {
    assert.match(
      error.message,
      new RegExp(`0\\.log at position ${size}, offset 1 .*a good batch follows at position ${2 * size}`),
    )
    return true
  })
  assert.equal(bench.disk.bytesOf(SEGMENT).length, 3 * size, 'nothing is cut')
})

test('a bit that flips under a running server is reported with file, position and offset, never skipped', async () => {
  const bench = openBench()
  for (const value of ['a', 'b', 'c']) await append(bench, value)
  const size = batchOf('a').bytes.length
  const bytes = bench.disk.bytesOf(SEGMENT)
  bytes[size + 65] = (bytes[size + 65] as number) ^ 4
  assert.deepEqual(await valuesFrom(bench, 0), ['a'], 'what lies before it is given')
  await assert.rejects(valuesFrom(bench, 1), {
    code: 'corrupt_message',
    details: { file: SEGMENT, position: size, offset: 1, next_offset: 2 },
  })
  assert.deepEqual(await valuesFrom(bench, 2), ['c'], 'what lies behind it can be asked for')
})

test('a segment file that was cut from outside is not taken for a torn one', async () => {
  const bench = openBench()
  const index = newIndex()
  bench.manager = openManager(bench, index)
  for (const value of ['a', 'b', 'c']) await append(bench, value)
  bench.manager.flushIndex()
  const copy = new Database(index.serialize())
  await (await bench.disk.open(SEGMENT, false)).truncate(100)
  bench.disk = bench.disk.cut('process')
  bench.manager = openManager(bench, copy)
  await bench.manager.recover([IDENTITY])
  assert.match(bench.manager.log(IDENTITY).offline?.message ?? '', /cut from outside/)
})

test('rolls by size and by the records own time, and reads across segments', async () => {
  const bench = openBench()
  const log = bench.manager.log(IDENTITY)
  for (let at = 0; at < 40; at++) await append(bench, `${at}-${'x'.repeat(200)}`)
  assert.ok(log.segments.length > 3)
  assert.ok(log.segments.every((segment) => segment.sizeBytes <= 2_000))
  const bySize = log.segments.length
  await log.append([batchOf('later', Date.UTC(2026, 0, 1) + 60_001)], 'all')
  assert.equal(log.segments.length, bySize + 1)
  let offset = 0
  while (offset < 41) offset += (await valuesFrom(bench, offset)).length
  assert.equal(offset, 41)
})

test('remembers producers beyond index.db and the segments that held them, by the snapshot of a roll', async () => {
  const bench = openBench()
  const log = bench.manager.log(IDENTITY)
  const named = (baseSequence: number) =>
    sealBatch(toParts([{ timestamp: 1, key: null, value: 'n', headers: [] }]), {
      compression: 'none',
      producerId: (1n << 62n) + 1n,
      producerEpoch: 2,
      baseSequence,
    })
  await log.append([named(0)], 'all')
  for (let at = 0; at < 12; at++) await append(bench, `${at}-${'x'.repeat(200)}`)
  const first = log.segments[1]?.baseOffset ?? 0
  assert.ok(first > 0)
  await bench.disk.remove(SEGMENT)
  await restart(bench)
  const reopened = bench.manager.log(IDENTITY)
  assert.equal(reopened.bounds.logStartOffset, first)
  const [repeat] = await reopened.append([named(0)], 'all')
  assert.deepEqual([repeat?.duplicate, repeat?.baseOffset], [true, 0])
})

test('a clean stop leaves nothing to scan', async () => {
  const bench = openBench()
  const index = newIndex()
  bench.manager = openManager(bench, index)
  await bench.manager.recover([IDENTITY])
  for (let at = 0; at < 20; at++) await append(bench, `${at}-${'x'.repeat(200)}`)
  const close = index.close.bind(index)
  let copy: Buffer = Buffer.alloc(0)
  index.close = () => {
    copy = index.serialize()
    return close()
  }
  await bench.manager.close()
  // a scan would find this and say so
  const bytes = bench.disk.bytesOf(SEGMENT)
  bytes[70] = (bytes[70] as number) ^ 1
  bench.manager = openManager(bench, new Database(copy))
  assert.equal(bench.manager.cleanStop, true)
  await bench.manager.recover([IDENTITY])
  const log = bench.manager.log(IDENTITY)
  await log.open()
  assert.equal(log.offline, undefined)
  assert.equal(log.bounds.highWatermark, 20)
  // and the mark of that start says nothing about a later one
  bench.manager = openManager({ ...bench, starts: bench.starts + 1 }, new Database(copy))
  assert.equal(bench.manager.cleanStop, false)
})

test('an index.db that is wrong after a clean stop is told once, and what a repair left half written goes', async () => {
  const bench = openBench()
  const index = newIndex()
  bench.manager = openManager(bench, index)
  await bench.manager.recover([IDENTITY])
  await append(bench, 'a')
  let copy: Buffer = Buffer.alloc(0)
  index.close = () => {
    copy = index.serialize()
    return index
  }
  await bench.manager.close()
  await bench.disk.writeFileDurably(`${SEGMENT}.repair`, Buffer.from('half'))
  const wrong = new Database(copy)
  wrong.exec('UPDATE segments SET end_offset = end_offset + 1')
  bench.warnings.length = 0
  bench.manager = openManager(bench, wrong)
  assert.equal(bench.manager.cleanStop, true)
  assert.deepEqual(await valuesFrom(bench, 0), ['a'])
  const told = bench.warnings.filter((warning) => warning.includes('is wrong about'))
  assert.equal(told.length, 1, bench.warnings.join('; '))
  assert.ok(!bench.disk.namesIn('/data/topics/orders-0').some((name) => name.endsWith('.repair')))
})

test('refuses what would wait beyond its bound', async () => {
  const bench = openBench()
  const log = bench.manager.log(IDENTITY)
  const big = 'x'.repeat(15 * 1024 * 1024)
  const appends = Array.from({ length: 6 }, () => log.append([batchOf(big)], 'all'))
  const outcomes = await Promise.allSettled(appends)
  const refused = outcomes.filter((one) => one.status === 'rejected')
  assert.ok(refused.length >= 1)
  for (const one of refused) assert.equal(one.reason.code, 'overloaded')
})
