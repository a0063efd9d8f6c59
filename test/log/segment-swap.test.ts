// Segments are replaced while readers read, and while the power goes, the process dies, or the disk fails. The cleaned
// segments are made here by leaving out batches, so that what must be found before and after is plain.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { Logger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import type { Cleaner } from '../../src/log/cleaner.ts'
import { createIndexSchema } from '../../src/log/index-schema.ts'
import type { LogIdentity } from '../../src/log/log-identity.ts'
import type { IndexEntry } from '../../src/log/log-index.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { Segment } from '../../src/log/log-segment.ts'
import { cleanedPath, emptySegment, segmentPath } from '../../src/log/log-segment.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import type { CleanedGroup } from '../../src/log/segment-cleaner.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import {
  batchBaseOffsetAt,
  batchLastOffsetAt,
  batchMaxTimestampAt,
  batchSizeAt,
  sealBatch,
} from '../../src/record/record-batch.ts'
import { toParts } from '../record/records.ts'
import { DiskFaults } from '../support/disk-faults.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { logSettings, TAIL_MARK_KEY } from '../support/log-settings.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

const SETTINGS = logSettings({
  segmentBytes: 1_000,
  segmentMs: 1_000_000,
  indexIntervalBytes: 200,
  fileDeleteDelayMs: 0,
  compaction: {
    minCleanableDirtyRatio: 0,
    minCompactionLagMs: 0,
    maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
    deleteRetentionMs: 0,
  },
})

const IDENTITY = { topicId: '0191d5a0-0000-7000-8000-000000000001', topicName: 'orders', partition: 0 }
const DIRECTORY = '/data/topics/orders-0'
const BASE_MS = Date.UTC(2026, 0, 1)

/** Starts of one data directory, one after the other. The generation is meta.db's: durable when it was set. */
class Bench {
  readonly random: Random
  readonly clock = new FakeClock()
  readonly warnings: string[] = []
  disk: PowerCutDisk
  index: Database.Database
  manager: LogManager
  generation = 0
  #starts = 0

  constructor(random: Random, isSlow = false) {
    this.random = random
    this.disk = new PowerCutDisk(random, { isSlow })
    this.index = newIndex()
    this.manager = this.#open()
  }

  get log(): PartitionLog {
    return this.manager.log(IDENTITY)
  }

  #open(): LogManager {
    const logger: Logger = {
      info() {},
      warn: (_facts, message) => this.warnings.push(message),
      error: (_facts, message) => this.warnings.push(message),
    }
    return new LogManager({
      dataDir: '/data',
      disk: this.disk,
      clock: this.clock,
      logger,
      telemetry: new Telemetry(),
      isForgotten: () => false,
      leaderEpoch: ++this.#starts,
      tailMarkKey: TAIL_MARK_KEY,
      settings: () => SETTINGS,
      logStartOffset: () => 0,
      cleaningGeneration: () => this.generation,
      setCleaningGeneration: async (_identity, generation) => {
        assert.ok(generation > this.generation, 'a generation is never used again')
        this.generation = generation
      },
      onSynced: () => undefined,
      openIndex: () => this.index,
    })
  }

  async restart(what: 'power' | 'process', index = newIndex()): Promise<void> {
    this.disk = this.disk.cut(what, this.random, { faults: new DiskFaults() })
    this.index = index
    this.manager = this.#open()
    await this.log.open()
    assert.equal(this.log.offline, undefined, 'the partition opens')
  }

  /** Answers index.db as the stop leaves it. */
  async stop(): Promise<Database.Database> {
    let copy: Buffer | undefined
    const close = this.index.close.bind(this.index)
    this.index.close = () => {
      copy = this.index.serialize()
      return close()
    }
    await this.manager.close()
    return new Database(copy as Buffer | undefined)
  }

  /** One record a batch: about five of them fill a segment. */
  async fill(count: number, producer?: { readonly producerId: bigint }): Promise<void> {
    for (let at = 0; at < count; at++) {
      const value = `${this.log.bounds.highWatermark}-${'x'.repeat(100)}`
      const timestamp = BASE_MS + this.log.bounds.highWatermark * 10 + (at % 3 === 0 ? 25 : 0)
      const records = toParts([{ timestamp, key: 'k', value, headers: [] }])
      const numbered = producer && { ...producer, producerEpoch: 0, baseSequence: this.log.bounds.highWatermark }
      await this.log.append([sealBatch(records, { compression: 'none', ...numbered })], 'all')
    }
  }

  /** What a cleaner hands over that keeps some batches of closed segments. */
  async clean(segments: readonly Segment[], keeps: (offset: number) => boolean): Promise<CleanedGroup> {
    const base = (segments[0] as Segment).baseOffset
    const kept: Buffer[] = []
    const entries: IndexEntry[] = []
    const segment = emptySegment(base)
    for (const { baseOffset, sizeBytes } of segments) {
      const bytes = this.disk.bytesOf(segmentPath(DIRECTORY, baseOffset)).subarray(0, sizeBytes)
      for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) {
        const offset = batchBaseOffsetAt(bytes, at)
        if (!keeps(offset)) continue
        kept.push(Buffer.from(bytes.subarray(at, at + batchSizeAt(bytes, at))))
        if (kept.length > 1) {
          entries.push({ offset, position: segment.sizeBytes, priorMaxTimestamp: segment.maxTimestamp })
        }
        segment.sizeBytes += batchSizeAt(bytes, at)
        segment.endOffset = batchLastOffsetAt(bytes, at) + 1
        segment.maxTimestamp = Math.max(segment.maxTimestamp, batchMaxTimestampAt(bytes, at))
        if (segment.firstTimestamp < 0) segment.firstTimestamp = segment.maxTimestamp
      }
    }
    const path = cleanedPath(DIRECTORY, base)
    const file = await this.disk.open(path, true)
    await file.truncate(0)
    await file.write(kept, 0)
    await file.sync()
    await file.close()
    await this.disk.syncDirectory(DIRECTORY)
    return { replaced: segments.map(({ baseOffset }) => baseOffset), segment, entries, cleanedPath: path }
  }

  /** A pass of compaction whose cleaner hands over this group. */
  async replace(group: CleanedGroup): Promise<void> {
    const counts = { recordsRead: 0, recordsKept: 0, bytesRead: 0, bytesWritten: 0, tombstonesKept: 0 }
    const cleaner: Cleaner = {
      async clean(_request, onGroup) {
        await onGroup(group)
        return { cleanedTo: 0, ...counts }
      },
      close: async () => undefined,
    }
    await this.log.compact({ cleaner, mapBytesMax: 1_000, signal: new AbortController().signal })
  }

  async offsets(maxBytes = 700): Promise<number[]> {
    const found: number[] = []
    let offset = this.log.bounds.logStartOffset
    while (offset < this.log.bounds.highWatermark) {
      const records = recordsOf(await this.log.read(offset, maxBytes))
      if (records.length === 0) break
      for (const record of records) {
        assert.equal(record.value, `${record.offset}-${'x'.repeat(100)}`)
        found.push(record.offset)
      }
      offset = (found.at(-1) as number) + 1
    }
    return found
  }

  leftOvers(): string[] {
    return this.disk.namesIn(DIRECTORY).filter((name) => /\.(cleaned|swap|deleted)$/.test(name))
  }
}

function newIndex(): Database.Database {
  const db = new Database(':memory:')
  createIndexSchema(db)
  return db
}

function recordsOf(bytes: Buffer): { offset: number; timestamp: number; value: string }[] {
  const found: { offset: number; timestamp: number; value: string }[] = []
  const reader = new RecordReader()
  for (let position = 0; position < bytes.length; position = reader.batchEnd) {
    reader.open(bytes, position)
    while (reader.next()) {
      const value = reader.bytes.toString('utf8', reader.valueStart, reader.valueEnd)
      found.push({ offset: reader.offset, timestamp: reader.timestamp, value })
    }
  }
  return found
}

const LOG_END = 120

const range = (count: number) => Array.from({ length: count }, (_, at) => at)

test('a cleaned segment takes the place of several, and stays there over every kind of start', async () => {
  const bench = new Bench(new Random(1))
  await bench.fill(40)
  const closed = bench.log.segments.slice(0, -1)
  assert.ok(closed.length >= 6, `${closed.length} closed segments`)
  bench.manager.flushIndex()
  const older = bench.index.serialize()
  const first = await bench.clean(closed.slice(0, 3), (offset) => offset % 2 === 1)
  await bench.replace(first)
  const second = await bench.clean(closed.slice(4, 6), (offset) => offset % 7 === 0)
  await bench.replace(second)
  const replaced = closed[3] as Segment
  const expected = range(40).filter((offset) => {
    if (offset < replaced.baseOffset) return offset % 2 === 1
    const isSecond = offset >= (closed[4] as Segment).baseOffset && offset < (closed[5] as Segment).endOffset
    return !isSecond || offset % 7 === 0
  })
  assert.deepEqual(await bench.offsets(), expected)
  assert.equal(bench.log.segments.length, closed.length + 1 - 3)
  const sizes = bench.log.segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  assert.equal(bench.log.sizeBytes, sizes)
  assert.equal(bench.generation, 2)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(bench.leftOvers(), [])
  bench.manager.flushIndex()
  const newer = bench.index.serialize()
  for (const [what, index] of [
    ['process', new Database(newer)],
    ['power', new Database(older)],
    ['power', newIndex()],
  ] as const) {
    await bench.restart(what, index)
    assert.deepEqual(await bench.offsets(), expected)
    await bench.fill(1)
    expected.push(bench.log.bounds.highWatermark - 1)
    assert.deepEqual(await bench.offsets(1), expected)
  }
})

test('a segment of which nothing is left is empty and in nobody’s way', async () => {
  const bench = new Bench(new Random(2))
  await bench.fill(30)
  const closed = bench.log.segments.slice(0, -1)
  await bench.replace(await bench.clean(closed.slice(0, 2), () => false))
  await bench.replace(await bench.clean(closed.slice(2, 3), () => false))
  const expected = range(30).filter((offset) => offset >= (closed[3] as Segment).baseOffset)
  assert.deepEqual(await bench.offsets(), expected)
  assert.equal((await bench.log.findByTimestamp(0))?.offset, expected[0])
  await bench.restart('power')
  assert.deepEqual(await bench.offsets(), expected)
  assert.deepEqual(bench.log.bounds, { logStartOffset: 0, highWatermark: 30 })
})

test('what a producer sent is known again after its batches have gone, also without index.db', async () => {
  const bench = new Bench(new Random(9))
  const producerId = (1n << 62n) + 5n
  await bench.fill(30, { producerId })
  const remembered = bench.log.producer(producerId)?.batches
  for (const segment of bench.log.segments.slice(0, -1)) {
    await bench.replace(await bench.clean([segment], () => false))
  }
  await bench.restart('power')
  assert.deepEqual(bench.log.producer(producerId)?.batches, remembered)
  assert.equal(remembered?.length, 5)
})

test('the newest snapshots of producers stay, and the first of them that can be read is enough', async () => {
  const bench = new Bench(new Random(6))
  const producerId = (1n << 62n) + 5n
  const snapshots = () => bench.disk.namesIn(DIRECTORY).filter((name) => name.endsWith('.snapshot'))
  for (let round = 0; round < 5; round++) {
    await bench.fill(20, { producerId })
    if (round === 2) bench.disk.failNext('remove', 'EIO')
    await bench.replace(await bench.clean(bench.log.segments.slice(0, -1), (offset) => offset % 97 === 0))
  }
  await bench.fill(20, { producerId })
  while (snapshots().length > 3) await nextTurn()
  const remembered = bench.log.producer(producerId)?.batches
  for (let bad = 0; bad < 3; bad++) {
    const last = snapshots().sort().at(-bad)
    if (bad > 0) bench.disk.flipBit(`${DIRECTORY}/${last}`, 30, 1)
    await bench.restart('process')
    assert.deepEqual(bench.log.producer(producerId)?.batches, remembered, `${bad} are bad`)
  }
})

test('the active segment, a gap and a stranger are not replaced', async () => {
  const bench = new Bench(new Random(3))
  await bench.fill(30)
  const { segments } = bench.log
  const all = await bench.clean(segments.slice(0, 1), () => true)
  const bases = segments.map(({ baseOffset }) => baseOffset)
  for (const replaced of [bases, [bases[0], bases[2]], [bases[1]], [7_777]]) {
    await assert.rejects(bench.replace({ ...all, replaced: replaced as number[] }), /no closed segments/)
  }
  assert.deepEqual(await bench.offsets(), range(30))
})

for (const what of ['power', 'process'] as const) {
  test(`cut by the end of the ${what} after any operation, a swap has happened or not`, async () => {
    let [before, after] = [0, 0]
    for (let seed = 0; seed < 8; seed++) {
      for (let operations = 1; ; operations++) {
        const bench = new Bench(new Random(seed * 1_000 + operations))
        const older: Buffer[] = []
        await bench.fill(22)
        bench.manager.flushIndex()
        older.push(bench.index.serialize())
        // an earlier swap, so that an index of the last generation but one can be met too
        const closed = bench.log.segments.slice(0, -1)
        await bench.replace(await bench.clean(closed.slice(0, 2), (offset) => offset % 3 > 0))
        await bench.fill(3)
        bench.manager.flushIndex()
        older.push(bench.index.serialize())
        const old = await bench.offsets()
        const rest = bench.log.segments.slice(0, seed % 2 === 0 ? 1 : 3)
        const end = (rest.at(-1) as Segment).endOffset
        const group = await bench.clean(rest, (offset) => offset % 2 === 0)
        const expected = old.filter((offset) => offset % 2 === 0 || offset >= end)
        const { disk } = bench
        disk.faults.cutAfter(operations, () => disk.unplug())
        let wasDone = true
        try {
          await bench.replace(group)
        } catch {
          wasDone = false
        }
        const newest = bench.index.serialize()
        const index = what === 'process' ? newest : bench.random.pick([...older, newest, newest, undefined])
        await bench.restart(what, index === undefined ? newIndex() : new Database(index))
        const found = await bench.offsets()
        if (found.length === old.length) before++
        else after++
        assert.deepEqual(found, found.length === old.length ? old : expected, `seed ${seed}, operation ${operations}`)
        if (wasDone) assert.deepEqual(found, expected, 'what was done is done')
        assert.deepEqual(bench.leftOvers(), [])
        await bench.fill(8)
        await bench.replace(await bench.clean(bench.log.segments.slice(0, -1), (offset) => offset % 4 === 0))
        await bench.restart(what)
        const last = found.filter((offset) => offset % 4 === 0 || offset >= 25).slice(0, 4)
        assert.deepEqual((await bench.offsets()).slice(0, 4), last)
        if (wasDone) break
      }
    }
    assert.ok(before > 2 && after > 20, `${before} before, ${after} after`)
  })
}

test('a lack of descriptors or of room at any operation is made good later; readers do not notice', async () => {
  const lacks = [
    ['rename', 'ENOSPC'],
    ['sync-folder', 'EMFILE'],
    ['open', 'EMFILE'],
    ['list', 'EMFILE'],
  ] as const
  let failed = 0
  for (const [operation, code] of lacks) {
    for (let skipped = 0; skipped < 6; skipped++) {
      const bench = new Bench(new Random(skipped))
      await bench.fill(30)
      const closed = bench.log.segments.slice(0, -1)
      const end = (closed[2] as Segment).endOffset
      const expected = range(30).filter((offset) => offset % 2 === 0 || offset >= end)
      const group = await bench.clean(closed.slice(0, 3), (offset) => offset % 2 === 0)
      bench.disk.failNext(operation, code, skipped)
      const failure = await bench.replace(group).catch((error) => error as Error)
      bench.disk.faults.end()
      if (failure !== undefined) failed++
      const found = await bench.offsets()
      if (found.length === 30) {
        assert.ok(failure !== undefined)
        await bench.replace(await bench.clean(closed.slice(0, 3), (offset) => offset % 2 === 0))
      } else {
        assert.deepEqual(found, expected)
        const next = await bench.clean(closed.slice(3, 4), () => true)
        await bench.replace(next)
      }
      assert.deepEqual(await bench.offsets(), expected)
      assert.deepEqual(bench.leftOvers(), [], `${operation} ${skipped}`)
      await bench.restart('power')
      assert.deepEqual(await bench.offsets(), expected)
    }
  }
  // five renamings, three syncs of the folder, one list; an opening is tried again at once
  assert.equal(failed, 9)
})

test('a folder whose changes failed to reach the disk is not changed further, and serves on', async () => {
  for (let skipped = -1; skipped < 3; skipped++) {
    const bench = new Bench(new Random(1 + skipped))
    await bench.fill(30)
    const closed = bench.log.segments.slice(0, -1)
    const group = await bench.clean(closed.slice(0, 3), (offset) => offset % 2 === 0)
    // the decision itself; its sync, then that of its undoing; or one behind it
    if (skipped < 0) bench.disk.failNext('rename', 'EIO')
    else bench.disk.failNext('sync-folder', 'EIO', skipped)
    if (skipped === 0) bench.disk.failNext('sync-folder', 'EIO')
    await assert.rejects(bench.replace(group))
    assert.equal(bench.log.compactionPlan(), undefined, 'it is not tried again')
    const before = await bench.offsets()
    await bench.fill(5)
    assert.deepEqual(await bench.offsets(), [...before, ...range(35).slice(30)])
    await bench.restart('power')
    const after = await bench.offsets()
    const end = (closed[2] as Segment).endOffset
    const cleaned = range(35).filter((offset) => offset % 2 === 0 || offset >= end)
    assert.deepEqual(after, after.length === 35 ? range(35) : cleaned)
  }
})

test('a decision that could not be taken back is the last word on its segments until the next start', async () => {
  for (const folderCode of ['EMFILE', 'EIO']) {
    for (const code of ['ENOSPC', 'EMFILE', 'EIO']) {
      const bench = new Bench(new Random(5))
      await bench.fill(30)
      const closed = bench.log.segments.slice(0, -1)
      const group = await bench.clean(closed.slice(0, 2), (offset) => offset % 2 === 0)
      bench.disk.failNext('sync-folder', folderCode)
      bench.disk.failNext('rename', code, 1)
      await assert.rejects(bench.replace(group))
      assert.deepEqual(await bench.offsets(), range(30))
      // the next start would put the older file in the place of this one, and what only this one holds would be gone
      const more = await bench.clean(closed.slice(0, 4), (offset) => offset % 2 === 0)
      await assert.rejects(bench.replace(more), `${folderCode}, then ${code}`)
      assert.equal(bench.log.compactionPlan(), undefined)
      await bench.fill(1)
      await bench.restart('process')
      const end = (closed[1] as Segment).endOffset
      assert.deepEqual(
        await bench.offsets(),
        range(31).filter((offset) => offset % 2 === 0 || offset >= end),
      )
    }
  }
})

test('a replacement that was given up costs the next start no scan', async () => {
  for (const [operation, code] of [
    ['rename', 'ENOSPC'],
    ['sync-folder', 'EMFILE'],
  ] as const) {
    const bench = new Bench(new Random(5))
    await bench.fill(30)
    const group = await bench.clean(bench.log.segments.slice(0, 3), (offset) => offset % 2 === 0)
    bench.disk.failNext(operation, code)
    await assert.rejects(bench.replace(group))
    assert.equal(bench.generation, 1)
    const entries = bench.index.prepare('SELECT count(*) FROM entries WHERE generation > 0').pluck()
    assert.equal(entries.get(), 0)
    await bench.restart('process', await bench.stop())
    // two looks for a commit journal among them, and the end of the last segment is made durable
    assert.ok(bench.disk.faults.operations < 9, `${bench.disk.faults.operations} operations to open it`)
    assert.deepEqual(await bench.offsets(), range(30))
  }
})

test('it does, should its undoing not be on the disk yet, and where index.db had missed an earlier one', async () => {
  for (const hasMissedOne of [false, true]) {
    for (let seed = 0; seed < 8; seed++) {
      const bench = new Bench(new Random(seed))
      await bench.fill(30)
      if (hasMissedOne) {
        bench.index.pragma('query_only = 1')
        await bench.replace(await bench.clean(bench.log.segments.slice(1, 3), (offset) => offset % 3 === 0))
        bench.index.pragma('query_only = 0')
      }
      const before = await bench.offsets()
      const [first] = bench.log.segments as [Segment]
      const group = await bench.clean([first], (offset) => offset % 2 === 0)
      bench.disk.failNext('sync-folder', hasMissedOne ? 'EMFILE' : 'EIO')
      if (!hasMissedOne) bench.disk.failNext('sync-folder', 'EMFILE')
      await assert.rejects(bench.replace(group))
      await bench.restart('power', await bench.stop())
      assert.ok(bench.disk.faults.operations > 10, 'it is scanned')
      const found = await bench.offsets()
      const after = before.filter((offset) => offset % 2 === 0 || offset >= first.endOffset)
      assert.deepEqual(found, hasMissedOne || found.length === before.length ? before : after)
    }
  }
})

test('a topic that is deleted while the cleaner looks around is not opened again', async () => {
  for (let turns = 0; turns < 4; turns++) {
    const bench = new Bench(new Random(5))
    await bench.fill(30)
    const { manager } = bench
    let isThere = true
    const others = { ...IDENTITY, topicId: '0191d5a0-0000-7000-8000-000000000002', topicName: 'others' }
    const partitions = {
      // so many that it pauses
      list: () => [IDENTITY, ...range(400).map((partition) => ({ ...others, partition }))],
      isCompacted: ({ topicId }: LogIdentity) => isThere || topicId !== IDENTITY.topicId,
    }
    const cleaning = manager.compact(partitions, 10_000, new AbortController().signal)
    for (let turn = 0; turn < turns; turn++) await nextTurn()
    isThere = false
    await manager.retire(IDENTITY)
    await cleaning
    assert.equal(manager.find(IDENTITY), undefined, `${turns} turns`)
    assert.deepEqual(bench.warnings, [])
  }
})

test('an index.db that could not follow is not believed by the next start', async () => {
  const bench = new Bench(new Random(8))
  await bench.fill(40)
  bench.manager.flushIndex()
  const closed = bench.log.segments.slice(0, -1)
  bench.index.pragma('query_only = 1')
  await bench.replace(await bench.clean(closed.slice(0, 3), (offset) => offset % 2 === 0))
  bench.index.pragma('query_only = 0')
  // the next one finds it working again, and must not make it trusted
  await bench.replace(await bench.clean(closed.slice(4, 6), (offset) => offset % 2 === 0))
  const expected = await bench.offsets()
  assert.ok(expected.length < 40)
  await bench.restart('process', await bench.stop())
  assert.deepEqual(await bench.offsets(), expected)
})

test('readers of every kind find what is there while segments are replaced under them', async (t) => {
  const seed = Number(process.env['TAILRACE_TEST_SEED'] ?? Date.now() % 0x7fff_ffff)
  t.diagnostic(`seed ${seed}`)
  const bench = new Bench(new Random(seed), true)
  await bench.fill(LOG_END)
  const always = new Set(range(LOG_END).filter((offset) => offset % 5 === 0 || offset >= LOG_END - 10))
  let swaps = 0
  let reads = 0
  let isOver = false
  const check = (records: { offset: number; value: string }[], from: number) => {
    for (const { offset, value } of records) assert.equal(value, `${offset}-${'x'.repeat(100)}`)
    const first = records.find(({ offset }) => offset >= from)?.offset
    const due = range(LOG_END).find((offset) => offset >= from && always.has(offset)) ?? LOG_END
    assert.ok(first === undefined || first <= due, `read from ${from} found ${first}, ${due} is there`)
    for (const offset of always) {
      if (first === undefined || offset < first || offset > (records.at(-1)?.offset ?? -1)) continue
      assert.ok(
        records.some((one) => one.offset === offset),
        `${offset} is missing between ${first} and the end`,
      )
    }
    reads++
  }
  const sequential = async () => {
    while (!isOver) {
      for (let offset = 0; offset < LOG_END; ) {
        const records = recordsOf(await bench.log.read(offset, 1 + bench.random.below(2_000)))
        check(records, offset)
        offset = (records.at(-1)?.offset ?? LOG_END - 1) + 1
      }
    }
  }
  const random = async () => {
    while (!isOver) {
      const offset = bench.random.below(LOG_END)
      check(recordsOf(await bench.log.read(offset, 1 + bench.random.below(500))), offset)
    }
  }
  const byTime = async () => {
    while (!isOver) {
      const timestamp = BASE_MS + bench.random.below(LOG_END * 10 - 50)
      const found = await bench.log.findByTimestamp(timestamp)
      assert.ok(found !== undefined && found.timestamp >= timestamp)
      const due = [...always].find((offset) => BASE_MS + offset * 10 >= timestamp)
      assert.ok(due === undefined || found.offset <= due, `time ${timestamp} found ${found.offset}, ${due} is there`)
      const max = await bench.log.findMaxTimestamp()
      assert.ok(max !== undefined && max.offset >= LOG_END - 10)
      reads++
    }
  }
  const readers = [sequential(), sequential(), random(), random(), byTime(), byTime()]
  const swapping = (async () => {
    for (const divisor of [2, 3, 5]) {
      const dropped = (offset: number) => !always.has(offset) && offset % divisor === 1
      for (let at = 0; at < bench.log.segments.length - 1; at++) {
        const { segments } = bench.log
        const group = segments.slice(at, at + 1 + bench.random.below(Math.min(4, segments.length - 1 - at)))
        await bench.replace(await bench.clean(group, (offset) => !dropped(offset)))
        swaps++
      }
    }
  })().finally(() => {
    isOver = true
  })
  await Promise.all([swapping, ...readers])
  t.diagnostic(`${swaps} swaps, ${reads} reads`)
  assert.ok(swaps > 10 && reads > 500)
  const kept = await bench.offsets()
  assert.deepEqual(
    kept,
    range(LOG_END).filter(
      (offset) =>
        always.has(offset) ||
        (offset % 2 !== 1 && offset % 3 !== 1 && offset % 5 !== 1) ||
        offset >= (bench.log.segments.at(-1) as Segment).baseOffset,
    ),
  )
})
