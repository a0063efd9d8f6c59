// Retention at work on a partition: what goes, what stays, what readers and later starts see, and what a disk that fails or
// loses its power in the midst of it leaves.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import type { Logger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import type { Cleaner } from '../../src/log/cleaner.ts'
import { stopped } from '../../src/log/cleaner.ts'
import { createIndexSchema } from '../../src/log/index-schema.ts'
import type { LogSettings } from '../../src/log/log-appender.ts'
import type { LogIdentity } from '../../src/log/log-identity.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { readAll, toParts } from '../record/records.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { logSettings, TAIL_MARK_KEY } from '../support/log-settings.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

const DIRECTORY = '/data/topics/orders-0'
const ORDERS = { topicId: '0191d5a0-0000-7000-8000-000000000001', topicName: 'orders', partition: 0 }
const PRODUCER = (1n << 62n) + 1n
const RUNNING = new AbortController().signal

class Bench {
  readonly clock = new FakeClock()
  readonly warnings: string[] = []
  telemetry = new Telemetry()
  disk: PowerCutDisk
  settings: LogSettings
  index = newIndex()
  manager: LogManager
  #starts = 0

  /** Some 250 bytes a record, eight or so a segment. */
  constructor(settings: Partial<LogSettings> = {}, disk = new PowerCutDisk(new Random(1))) {
    this.settings = logSettings({ segmentMs: 1_000_000, ...settings })
    this.disk = disk
    this.manager = this.#open()
  }

  #open(): LogManager {
    const { disk, clock, telemetry, index } = this
    const warn: Logger['warn'] = (_facts, message) => this.warnings.push(message)
    return new LogManager({
      dataDir: '/data',
      disk,
      clock,
      logger: { info() {}, warn, error: warn },
      telemetry,
      isForgotten: () => false,
      leaderEpoch: ++this.#starts,
      tailMarkKey: TAIL_MARK_KEY,
      settings: () => this.settings,
      logStartOffset: () => 0,
      cleaningGeneration: () => 0,
      setCleaningGeneration: () => Promise.resolve(),
      onSynced: () => undefined,
      openIndex: () => index,
    })
  }

  get log(): PartitionLog {
    return this.manager.log(ORDERS)
  }

  get names(): string[] {
    return this.disk.namesIn(DIRECTORY).toSorted()
  }

  get bases(): number[] {
    return this.names.filter((name) => name.endsWith('.log')).map((name) => Number.parseInt(name, 10))
  }

  async append(value: string, sequence = -1, log = this.log): Promise<{ baseOffset: number; duplicate: boolean }> {
    const records = toParts([{ timestamp: this.clock.now(), key: null, value, headers: [] }])
    const named = { producerId: PRODUCER, producerEpoch: 0, baseSequence: sequence }
    const batch = sealBatch(records, { compression: 'none', ...(sequence < 0 ? {} : named) })
    const [appended] = await log.append([batch], 'all')
    assert.ok(appended !== undefined && appended.error === undefined)
    return appended
  }

  async fill(count: number, log = this.log): Promise<void> {
    for (let at = 0; at < count; at++) await this.append(`${at}-${'x'.repeat(180)}`, -1, log)
  }

  /** All records by offset. */
  async read(): Promise<Map<number, string | null>> {
    const { logStartOffset, highWatermark } = this.log.bounds
    const found = new Map<number, string | null>()
    for (let offset = logStartOffset; offset < highWatermark; ) {
      const bytes = await this.log.read(offset, 1_000)
      assert.ok(bytes.length > 0, `nothing at ${offset} of ${logStartOffset} to ${highWatermark}`)
      for (let at = 0; at < bytes.length; at += bytes.readInt32BE(at + 8) + 12) {
        offset = Number(bytes.readBigInt64BE(at))
        for (const { value } of readAll(bytes, at)) found.set(offset++, value)
      }
    }
    return found
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  }

  /** The next start, after a crash: with index.db as it is, an older one, or none. */
  async restart(disk: PowerCutDisk, index: Buffer | undefined): Promise<void> {
    this.disk = disk
    this.index = index === undefined ? newIndex() : new Database(index)
    this.telemetry = new Telemetry()
    this.manager = this.#open()
    await this.manager.recover([ORDERS])
    await this.log.open()
    assert.equal(this.log.offline, undefined, this.log.offline?.message)
  }

  async restartCleanly(): Promise<void> {
    const close = this.index.close.bind(this.index)
    let copy: Buffer | undefined
    this.index.close = () => {
      copy = this.index.serialize()
      return close()
    }
    // only a start that has looked at the files may say that they are whole
    await this.manager.recover([ORDERS])
    await this.manager.close()
    await this.restart(this.disk, copy)
    assert.equal(this.manager.cleanStop, true)
  }
}

function newIndex(): Database.Database {
  const db = new Database(':memory:')
  createIndexSchema(db)
  return db
}

function suffixFrom(all: ReadonlyMap<number, string | null>, start: number): [number, string | null][] {
  return [...all].filter(([offset]) => offset >= start)
}

test('what is older than retention.ms goes, whole segments only, and readers are told where it begins', async () => {
  const bench = new Bench()
  await bench.fill(20)
  bench.clock.advance(60_000)
  await bench.fill(20)
  const all = await bench.read()
  const sizeBytes = bench.log.sizeBytes
  // the segment in which the young ones begin stays
  const first = bench.log.segments.findLast((segment) => segment.baseOffset <= 20)?.baseOffset ?? 0
  bench.settings = { ...bench.settings, retentionMs: 30_000 }
  await bench.log.retain()
  assert.ok(first > 0)
  assert.deepEqual(bench.log.bounds, { logStartOffset: first, highWatermark: 40 })
  assert.deepEqual([...(await bench.read())], suffixFrom(all, first))
  await assert.rejects(bench.log.read(first - 1, 100), {
    code: 'offset_out_of_range',
    details: { offset: first - 1, start_offset: first, end_offset: 40 },
  })
  assert.deepEqual(await bench.log.findByTimestamp(0), { offset: first, timestamp: bench.clock.now() - 60_000 })
  const { segmentsDeleted, segmentBytesDeleted } = bench.telemetry
  assert.equal(bench.log.sizeBytes, sizeBytes - segmentBytesDeleted)
  assert.equal(bench.names.filter((name) => name.endsWith('.log.deleted')).length, segmentsDeleted)
})

test('a deleted file stays for file.delete.delay.ms; a clean stop does not leave it', async () => {
  const bench = new Bench({ retentionBytes: 0, fileDeleteDelayMs: 5_000 })
  await bench.fill(30)
  await bench.settle()
  const deleted = () => bench.names.filter((name) => name.endsWith('.deleted')).length
  assert.ok(deleted() > 2)
  bench.clock.advance(4_999)
  await bench.settle()
  assert.ok(deleted() > 2)
  bench.clock.advance(1)
  await bench.settle()
  assert.equal(deleted(), 0)
  await bench.fill(10)
  await bench.settle()
  assert.ok(deleted() > 0)
  await bench.restartCleanly()
  assert.equal(deleted(), 0)
})

test('a deleted file that a stop cannot remove undoes no clean stop: it goes while the next start goes on', async () => {
  const bench = new Bench({ retentionBytes: 0, fileDeleteDelayMs: 5_000 })
  await bench.append('a')
  await bench.log.retain()
  bench.disk.failNext('remove', 'EIO')
  const isLeft = () => bench.names.some((name) => name.endsWith('.deleted'))
  await bench.restartCleanly()
  assert.ok(isLeft())
  bench.clock.advance(1_000)
  await bench.settle()
  assert.ok(!isLeft())
  await bench.restartCleanly()
})

test('an expired segment that is being written is rolled and goes; offsets never start again', async () => {
  for (const how of ['clean', 'kill', 'power', 'no index'] as const) {
    const bench = new Bench({ retentionMs: 30_000 })
    await bench.fill(12)
    bench.clock.advance(30_001)
    await bench.log.retain()
    assert.deepEqual(bench.log.bounds, { logStartOffset: 12, highWatermark: 12 })
    assert.deepEqual(bench.bases, [12])
    assert.equal(bench.log.sizeBytes, 0)
    assert.equal(await bench.log.findByTimestamp(0), undefined)
    // and once more: there is nothing to roll
    await bench.log.retain()
    assert.deepEqual(bench.bases, [12])
    if (how === 'clean') await bench.restartCleanly()
    else {
      const index = how === 'no index' ? undefined : bench.index.serialize()
      await bench.restart(bench.disk.cut(how === 'power' ? 'power' : 'process'), index)
    }
    assert.deepEqual(bench.log.bounds, { logStartOffset: 12, highWatermark: 12 }, how)
    assert.equal((await bench.append('next')).baseOffset, 12, how)
  }
})

test('a segment that was due while it was written, got young records and was rolled before its turn stays', async () => {
  for (let seed = 0; seed < 10; seed++) {
    const bench = new Bench({ retentionMs: 60_000 }, new PowerCutDisk(new Random(seed), { isSlow: true }))
    await bench.fill(20)
    bench.clock.advance(60_001)
    const deleting = bench.log.retain()
    await bench.fill(20)
    await deleting
    const young = [...(await bench.read()).keys()].filter((offset) => offset >= 20)
    assert.equal(young.length, 20, `seed ${seed}: ${young}`)
  }
})

test('a partition that takes no records is not rolled by segment.ms, and one of a young record keeps its segment', async () => {
  const bench = new Bench({ segmentMs: 1_000, retentionMs: 30_000 })
  await bench.fill(3)
  bench.clock.advance(20_000)
  await bench.log.retain()
  assert.deepEqual(bench.bases, [0])
  await bench.append('young')
  assert.deepEqual(bench.bases, [0, 3])
  bench.clock.advance(20_000)
  await bench.log.retain()
  assert.deepEqual(bench.bases, [3])
})

test('below the log start offset whole segments go in every policy, at once', async () => {
  const bench = new Bench()
  await bench.fill(40)
  const bases = bench.bases
  bench.log.raiseLogStartOffset((bases[2] as number) + 1)
  await bench.settle()
  assert.deepEqual(bench.bases, bases.slice(2))
  assert.equal(bench.log.bounds.logStartOffset, (bases[2] as number) + 1)
  bench.log.raiseLogStartOffset(40)
  await bench.settle()
  assert.deepEqual(bench.bases, bases.slice(-1), 'the last one stays')
  assert.equal((await bench.append('next')).baseOffset, 40)
})

test('a log that is written without a pause never grows beyond retention.bytes and one segment', async () => {
  const bench = new Bench(
    { retentionBytes: 8_000, fileDeleteDelayMs: 0 },
    new PowerCutDisk(new Random(5), { isSlow: true }),
  )
  let largest = 0
  const writer = async (count: number) => {
    for (let at = 0; at < count; at++) {
      await bench.append(`${at}-${'x'.repeat(at % 300)}`)
      const bytes = bench.names.reduce((sum, name) => sum + bench.disk.bytesOf(`${DIRECTORY}/${name}`).length, 0)
      largest = Math.max(largest, bytes - bench.disk.bytesOf(`${DIRECTORY}/partition.metadata`).length)
    }
  }
  await Promise.all([writer(150), writer(150), writer(150)])
  assert.ok(bench.telemetry.segmentsDeleted > 20)
  assert.ok(largest <= 8_000 + bench.settings.segmentBytes, `${largest} bytes`)
  assert.ok(bench.log.sizeBytes >= 8_000 - 600, 'no more goes than has to')
})

test('an append waits for the room that it needs, not for all that has aged meanwhile', async () => {
  const bench = new Bench({ fileDeleteDelayMs: 0 }, new PowerCutDisk(new Random(5), { isSlow: true }))
  await bench.fill(240)
  const { sizeBytes, segments } = bench.log
  bench.clock.advance(100_000)
  // one segment too many, and all closed ones expired
  bench.settings = {
    ...bench.settings,
    retentionMs: 50_000,
    retentionBytes: sizeBytes - bench.settings.segmentBytes + 1,
  }
  await bench.append('next')
  const left = bench.log.segments.length
  assert.ok(left > segments.length / 2, `${left} of ${segments.length} segments are there yet`)
  await bench.log.retain()
  assert.equal(bench.log.segments.length, 1, 'they go all the same')
})

test('a retention.bytes that was lowered does not keep appends waiting, and holds from the next check', async () => {
  const bench = new Bench()
  await bench.fill(80)
  const segments = bench.log.segments.length
  bench.settings = { ...bench.settings, retentionBytes: 2_000 }
  await bench.append('at once')
  assert.equal(bench.log.segments.length, segments)
  await bench.log.retain()
  assert.ok(bench.log.sizeBytes < 4_000)
})

test('while something else maintains the log its segments stay', async () => {
  const disk = new PowerCutDisk(new Random(1), { isSlow: true })
  const bench = new Bench({ retentionBytes: 0 }, disk)
  await bench.append('a')
  const first = bench.log.retain()
  const second = bench.log.retain()
  await Promise.all([first, second])
  assert.equal(bench.telemetry.segmentsDeleted, 1)
})

test('readers of all kinds see the records that are there, or are told that they are gone', async () => {
  const random = new Random(Number(process.env['TAILRACE_TEST_SEED'] ?? 7))
  const bench = new Bench({ retentionBytes: 4_000, fileDeleteDelayMs: 0 }, new PowerCutDisk(random, { isSlow: true }))
  let isWriting = true
  let reads = 0
  const reader = async () => {
    while (isWriting) {
      const { logStartOffset, highWatermark } = bench.log.bounds
      const offset = logStartOffset - 5 + random.below(highWatermark - logStartOffset + 5)
      if (random.chance(0.2)) {
        const found = await bench.log.findByTimestamp(bench.clock.now())
        assert.ok(found === undefined || found.offset < bench.log.bounds.highWatermark)
        await bench.log.findMaxTimestamp()
      } else if (offset >= 0) {
        const bytes = await bench.log.read(offset, 100).catch((error) => {
          assert.equal(error.code, 'offset_out_of_range', error.message)
          assert.ok(offset < error.details.start_offset)
        })
        if (bytes !== undefined && bytes.length > 0) {
          assert.equal(bytes.readBigInt64BE(0), BigInt(offset))
          assert.match(String(readAll(bytes)[0]?.value), new RegExp(`^v${offset}-`))
          reads++
        }
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const readers = Array.from({ length: 8 }, reader)
  for (let at = 0; at < 400; at++) await bench.append(`v${at}-${'x'.repeat(150)}`)
  isWriting = false
  await Promise.all(readers)
  assert.ok(reads > 100 && bench.telemetry.segmentsDeleted > 20, `${reads} reads, ${bench.telemetry.segmentsDeleted}`)
})

test('producers outlive their segments: by index.db, by the snapshots of the last rolls; older ones go', async () => {
  for (const withIndex of [true, false]) {
    const bench = new Bench({ retentionBytes: 4_000, fileDeleteDelayMs: 0 })
    await bench.append('named', 0)
    await bench.fill(60)
    await bench.log.retain()
    await bench.settle()
    const start = bench.log.bounds.logStartOffset
    assert.ok(start > 20)
    assert.deepEqual([await bench.append('named', 0)].map(pickDuplicate), [[true, 0]])
    const snapshots = bench.names.filter((name) => name.endsWith('.snapshot')).map((name) => Number.parseInt(name, 10))
    assert.deepEqual(snapshots, bench.bases.slice(-3))
    bench.manager.flushIndex()
    const index = withIndex ? bench.index.serialize() : undefined
    await bench.restart(bench.disk.cut('process'), index)
    assert.equal(bench.log.bounds.logStartOffset, start)
    assert.deepEqual([await bench.append('named', 0)].map(pickDuplicate), [[true, 0]])
  }
})

function pickDuplicate({ duplicate, baseOffset }: { duplicate: boolean; baseOffset: number }): [boolean, number] {
  return [duplicate, baseOffset]
}

test('a pass of compaction gives way to what is written beyond the bound, and begins again at a later check', async () => {
  const compaction = {
    minCleanableDirtyRatio: 0,
    minCompactionLagMs: 0,
    maxCompactionLagMs: 1_000,
    deleteRetentionMs: 0,
  }
  const bench = new Bench({ retentionBytes: 4_000, fileDeleteDelayMs: 0, compaction })
  let passes = 0
  // as long as a large log would take it
  const cleaner: Cleaner = {
    clean: (_request, _onGroup, signal) =>
      new Promise((_, reject) => {
        passes++
        if (signal.aborted) reject(stopped())
        signal.addEventListener('abort', () => reject(stopped()), { once: true })
      }),
    close: async () => undefined,
  }
  await bench.fill(10)
  const recordBytes = bench.log.sizeBytes / 10
  for (let round = 1; round <= 3; round++) {
    const pass = bench.log.compact({ cleaner, mapBytesMax: 1_000, signal: RUNNING })
    const givenUp = assert.rejects(pass, { code: 'shutting_down' })
    for (let at = 0; at < 40; at++) {
      await bench.fill(1)
      assert.ok(bench.log.sizeBytes <= 6_000, `${bench.log.sizeBytes} bytes`)
    }
    await givenUp
    assert.equal(passes, round)
  }
  // one that has come to where it closes the segment that is written does not wait for who waits for it
  while (bench.log.sizeBytes + recordBytes <= 6_000) await bench.fill(1)
  await bench.settle()
  bench.clock.advance(5_000)
  const pass = bench.log.compact({ cleaner, mapBytesMax: 1_000, signal: RUNNING })
  await Promise.all([assert.rejects(pass, { code: 'shutting_down' }), bench.fill(1)])
})

test('index.db forgets what is gone: its rows at the next flush, its entries soon', async () => {
  const bench = new Bench({ indexIntervalBytes: 0 })
  await bench.fill(60)
  bench.manager.flushIndex()
  const [before] = bench.index.prepare('SELECT count(*) FROM entries').raw().get() as [number]
  bench.settings = { ...bench.settings, retentionBytes: 4_000 }
  await bench.log.retain()
  bench.manager.flushIndex()
  await bench.settle()
  const rows = bench.index.prepare('SELECT base_offset FROM segments ORDER BY base_offset').pluck().all()
  assert.deepEqual(rows, bench.bases)
  const bases = bench.index.prepare('SELECT DISTINCT segment_base FROM entries').pluck().all() as number[]
  assert.ok(bases.every((base) => bench.bases.includes(base)))
  assert.ok(before > 50)
})

test('an index.db that has not followed is not believed after the next clean stop either', async () => {
  const bench = new Bench()
  await bench.fill(60)
  bench.manager.flushIndex()
  const stale = bench.index.serialize()
  bench.settings = { ...bench.settings, retentionBytes: 4_000 }
  await bench.log.retain()
  const all = await bench.read()
  const { bounds } = bench.log
  await bench.restart(bench.disk.cut('process'), stale)
  assert.deepEqual(bench.log.bounds, bounds)
  await bench.restartCleanly()
  assert.deepEqual(bench.log.bounds, bounds)
  assert.deepEqual(await bench.read(), all)
})

test('a partition that nobody has asked for since a clean stop is judged by its rows, and opened only if it is due', async () => {
  const bench = new Bench()
  const identities: LogIdentity[] = Array.from({ length: 300 }, (_, partition) => ({ ...ORDERS, partition }))
  for (const identity of identities) await bench.append('a', -1, bench.manager.log(identity))
  bench.clock.advance(60_000)
  for (const identity of identities.slice(0, -2)) await bench.append('b', -1, bench.manager.log(identity))
  await bench.restartCleanly()
  const opened = bench.disk.faults.operations
  bench.settings = { ...bench.settings, retentionMs: 30_000 }
  await bench.manager.retain(identities, RUNNING)
  assert.equal(bench.telemetry.segmentsDeleted, 2)
  assert.ok(bench.disk.faults.operations - opened < 60, 'the others’ files are not touched')
  assert.deepEqual(bench.manager.log(identities[299] as LogIdentity).bounds, { logStartOffset: 1, highWatermark: 1 })
})

test('a walk stops where it is told to', async () => {
  const bench = new Bench({ retentionBytes: 0 })
  await bench.append('a')
  await bench.manager.retain([ORDERS], AbortSignal.abort())
  assert.equal(bench.telemetry.segmentsDeleted, 0)
})

// --- a disk that fails ---

test('a renaming that fails loses nothing, is told, and is tried again at the next check', async () => {
  for (const code of ['EIO', 'ENOSPC']) {
    const bench = new Bench()
    await bench.fill(40)
    const all = await bench.read()
    bench.settings = { ...bench.settings, retentionBytes: 4_000 }
    bench.disk.failNext('rename', code)
    await bench.log.retain()
    assert.deepEqual(await bench.read(), all)
    assert.match(bench.warnings.join('\n'), /segments of orders-0 could not be deleted, it is tried again/)
    await bench.log.retain()
    assert.ok(bench.log.bounds.logStartOffset > 0)
    assert.deepEqual([...(await bench.read())], suffixFrom(all, bench.log.bounds.logStartOffset))
  }
})

test('after a failed sync of the folder nobody is told of a new start, and nothing more goes until the next one', async () => {
  const bench = new Bench()
  await bench.fill(40)
  const all = await bench.read()
  bench.settings = { ...bench.settings, retentionBytes: 4_000 }
  bench.disk.failNext('sync-folder', 'EIO')
  await bench.log.retain()
  await bench.log.retain()
  assert.deepEqual(await bench.read(), all)
  assert.match(bench.warnings.join('\n'), /could not be deleted, and stay until the next start/)
  await bench.restart(bench.disk.cut('power'), undefined)
  await bench.log.retain()
  assert.ok(bench.log.sizeBytes < 6_000)
})

test('a segment whose going was not durable when the process ended does not come back behind the next start', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const bench = new Bench({}, new PowerCutDisk(new Random(seed)))
    await bench.fill(40)
    const [oldest = 0, second] = bench.bases
    const path = `${DIRECTORY}/${String(oldest).padStart(20, '0')}.log`
    await bench.disk.rename(path, `${path}.deleted`)
    await bench.disk.remove(`${path}.deleted`)
    await bench.restart(bench.disk.cut('process'), undefined)
    assert.equal(bench.log.bounds.logStartOffset, second)
    await bench.restart(bench.disk.cut('power'), undefined)
    assert.equal(bench.log.bounds.logStartOffset, second, `seed ${seed}`)
  }
})

test('a file that cannot be unlinked is tried again later', async () => {
  const bench = new Bench({ fileDeleteDelayMs: 0 })
  await bench.fill(40)
  bench.settings = { ...bench.settings, retentionBytes: 4_000 }
  bench.disk.failNext('remove', 'EIO')
  await bench.log.retain()
  const deleted = () => bench.names.filter((name) => name.endsWith('.deleted')).length
  assert.equal(deleted(), 1)
  bench.clock.advance(60_000)
  await bench.settle()
  assert.equal(deleted(), 0)
})

test('cut at any file operation, the log is a suffix of what it was, and begins nowhere below what was told', async () => {
  for (const what of ['power', 'process'] as const) {
    for (const index of ['newest', 'older', 'none'] as const) {
      for (let operations = 1; ; operations++) {
        if (await cutAt(operations, what, index)) break
      }
    }
  }
})

/** True: the deletion was over before so many operations. */
async function cutAt(operations: number, what: 'power' | 'process', index: 'newest' | 'older' | 'none') {
  const bench = new Bench({ fileDeleteDelayMs: 0, segmentBytes: 800 }, new PowerCutDisk(new Random(operations)))
  await bench.append('named', 0)
  await bench.fill(9)
  bench.manager.flushIndex()
  const older = bench.index.serialize()
  await bench.fill(2)
  bench.manager.flushIndex()
  const all = await bench.read()
  // both kinds at once: closed ones for their size, then all for their age
  bench.settings = { ...bench.settings, retentionMs: 30_000, retentionBytes: 1_200 }
  bench.clock.advance(30_001)
  let isCut = false
  bench.disk.faults.cutAfter(operations, () => {
    isCut = true
    bench.disk.unplug()
  })
  await bench.log.retain()
  await bench.settle()
  bench.disk.faults.cancelCut()
  const told = bench.log.bounds.logStartOffset
  bench.manager.flushIndex()
  const bytes = { newest: bench.index.serialize(), older, none: undefined }[index]
  await bench.restart(bench.disk.cut(what), bytes)
  const { logStartOffset, highWatermark } = bench.log.bounds
  const place = `cut (${what}) at operation ${operations}, index ${index}`
  assert.ok(logStartOffset >= told, `${place}: begins at ${logStartOffset}, told ${told}`)
  assert.equal(highWatermark, 12, place)
  assert.deepEqual([...(await bench.read())], suffixFrom(all, logStartOffset), place)
  assert.ok(!bench.names.some((name) => name.endsWith('.deleted')), place)
  assert.deepEqual(pickDuplicate(await bench.append('named', 0)), [true, 0], place)
  assert.equal((await bench.append('next')).baseOffset, 12, place)
  return !isCut
}
