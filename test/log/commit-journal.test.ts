// Several partitions' commits in one journal: what goes into it, what a start makes of it, and what becomes of it when the
// disk fails. The crash histories (test/crash) show that nothing is lost; here each rule stands alone.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import type { Logger } from '../../src/kernel/logger.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { createIndexSchema } from '../../src/log/index-schema.ts'
import { findEntries, JOURNAL_HEADER_BYTES, parseJournalId } from '../../src/log/journal-entry.ts'
import { readJournal, replayJournal } from '../../src/log/journal-replay.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { toParts, valuesIn } from '../record/records.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { logSettings, TAIL_MARK_KEY } from '../support/log-settings.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

const TOPIC_ID = '0191d5a0-0000-7000-8000-000000000001'
const PARTITIONS = 4
const FIRST_SEGMENT = '00000000000000000000.log'
const JOURNAL = '/data/journal/0'

class Bench {
  disk: PowerCutDisk
  /** Syncs of the first partition's file are not heard of until then. */
  syncsHeard = Promise.resolve()
  readonly messages: string[] = []
  readonly telemetry = new Telemetry()
  readonly #fileBytes: number
  #starts = 0
  topicId = TOPIC_ID
  manager!: LogManager

  constructor({ fileBytes = 65_536, seed = 1 } = {}) {
    this.#fileBytes = fileBytes
    this.disk = new PowerCutDisk(new Random(seed))
    const open = this.disk.open.bind(this.disk)
    this.disk.open = async (path, create) => {
      const file = await open(path, create)
      const sync = file.sync.bind(file)
      if (path === this.path(0)) file.sync = () => sync().then(() => this.syncsHeard)
      return file
    }
  }

  identity(partition: number) {
    return { topicId: this.topicId, topicName: 'orders', partition }
  }

  log(partition: number) {
    return this.manager.log(this.identity(partition))
  }

  get offline(): number[] {
    return this.partitions.filter((partition) => this.log(partition).offline !== undefined)
  }

  get partitions(): number[] {
    return Array.from({ length: PARTITIONS }, (_, partition) => partition)
  }

  async start(index = new Database(':memory:'), deletedTopics = new Set<string>()): Promise<this> {
    createIndexSchema(index)
    const note = (_facts: object, message: string) => this.messages.push(message)
    const logger: Logger = { info: note, warn: note, error: note }
    this.manager = new LogManager({
      dataDir: '/data',
      disk: this.disk,
      clock: new FakeClock(),
      logger,
      telemetry: this.telemetry,
      leaderEpoch: ++this.#starts,
      tailMarkKey: TAIL_MARK_KEY,
      isForgotten: () => false,
      settings: () => logSettings({ segmentBytes: 20_000, indexIntervalBytes: 300 }),
      logStartOffset: () => 0,
      cleaningGeneration: () => 0,
      setCleaningGeneration: async () => undefined,
      onSynced: () => undefined,
      openIndex: () => index,
      journal: { fileBytes: this.#fileBytes, roundsBeforeMade: 0, roundsBeforeNextTry: 3 },
    })
    await this.manager.replayJournal(deletedTopics)
    await this.manager.recover(this.partitions.map((partition) => this.identity(partition)))
    return this
  }

  /** The power goes; index.db with it. */
  async restart(what: 'power' | 'process' = 'power'): Promise<this> {
    this.disk = this.disk.cut(what)
    return this.start()
  }

  async append(partition: number, value: string): Promise<void> {
    const parts = toParts([{ timestamp: Date.UTC(2026, 0, 1), key: null, value, headers: [] }])
    await this.log(partition).append([sealBatch(parts, { compression: 'none' })], 'all')
  }

  /** To all partitions at once; a round of one comes first, which is why partition 0 is asked twice. */
  async round(value: string, partitions = [0, ...this.partitions]): Promise<PromiseSettledResult<void>[]> {
    const results = await Promise.allSettled(partitions.map((partition) => this.append(partition, value)))
    await turn()
    return results
  }

  /** A round in which nobody fails. */
  async roundOn(value: string): Promise<void> {
    for (const { status } of await this.round(value)) assert.equal(status, 'fulfilled')
    assert.deepEqual(this.offline, [])
  }

  /** Rounds until the journal is made, or has more entries than that. */
  async warmUp(entries = 0): Promise<this> {
    for (let left = 100; this.telemetry.journalEntries === entries; left--) {
      assert.ok(left > 0, 'the journal is not used')
      await this.round('warm')
    }
    return this
  }

  async values(partition: number): Promise<(string | null)[]> {
    const values: (string | null)[] = []
    const { highWatermark } = this.log(partition).bounds
    while (values.length < highWatermark) {
      values.push(...valuesIn(await this.log(partition).read(values.length, 100_000)))
    }
    return values
  }

  path(partition: number): string {
    return `/data/topics/orders-${partition}/${FIRST_SEGMENT}`
  }

  entries(path = JOURNAL) {
    const bytes = this.disk.bytesOf(path)
    return findEntries(bytes, parseJournalId(bytes) as Buffer)
  }

  /** Rounds until the other file of the journal was begun so many times. */
  async fill(begun: number, partitions: readonly number[]): Promise<void> {
    for (let left = begun; left > 0; left--) {
      const firstNumbers = () =>
        JSON.stringify(['0', '1'].map((name) => this.entries(`/data/journal/${name}`)[0]?.number))
      const before = firstNumbers()
      while (firstNumbers() === before) await this.round('fill', [...partitions])
    }
  }
}

/** Whoever was answered has not left its round yet. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

async function warmBench(options?: { fileBytes?: number; seed?: number }): Promise<Bench> {
  return (await new Bench(options).start()).warmUp()
}

test('what only the journal has durably is in the segment files after a power cut, and the journal is gone', async () => {
  const bench = await warmBench()
  for (const value of ['a', 'b', 'c']) await bench.round(value)
  const before = await Promise.all(bench.partitions.map((partition) => bench.values(partition)))
  await bench.restart()
  const after = await Promise.all(bench.partitions.map((partition) => bench.values(partition)))
  assert.deepEqual(after, before)
  assert.ok(bench.messages.includes('replayed the commit journal'))
  assert.deepEqual(bench.disk.namesIn('/data').sort(), ['topics'])
})

test('what a start has replayed is durable before the journal goes', async () => {
  for (let seed = 0; seed < 5; seed++) {
    const bench = await warmBench({ seed })
    await bench.round('kept')
    bench.disk = bench.disk.cut('power')
    const places = { dataDir: '/data', topicsDirectory: '/data/topics', deletedTopics: new Set<string>() }
    await replayJournal({ ...places, disk: bench.disk, logger: silentLogger })
    await bench.restart()
    for (const partition of bench.partitions)
      assert.equal((await bench.values(partition)).at(-1), 'kept', `seed ${seed}`)
  }
})

test('a start that finds no room to replay in says so, and the next one does it', async () => {
  const bench = await warmBench()
  await bench.round('kept')
  bench.disk = bench.disk.cut('power')
  bench.disk.failNext('write', 'ENOSPC')
  await assert.rejects(bench.start(), { code: 'disk_full', message: /no room .* commit journal .* start again/ })
  await bench.restart()
  for (const partition of bench.partitions) assert.equal((await bench.values(partition)).at(-1), 'kept')
})

test('one partition alone, and stretches too large to be written twice, are synced in their own files', async () => {
  const bench = await warmBench()
  const before = bench.telemetry.journalEntries
  await bench.append(1, 'alone')
  await bench.round('x'.repeat(70_000))
  assert.equal(bench.telemetry.journalEntries, before)
})

test('a clean stop leaves no journal, and nothing that needs one', async () => {
  const bench = await warmBench()
  await bench.round('last')
  await bench.manager.close()
  assert.deepEqual(bench.disk.namesIn('/data'), ['topics'])
  await bench.restart()
  for (const partition of bench.partitions) assert.equal((await bench.values(partition)).at(-1), 'last')
})

test('many times its size goes through it', async () => {
  const bench = await warmBench({ fileBytes: JOURNAL_HEADER_BYTES + 3_000 })
  const before = bench.telemetry.journalEntries
  for (let at = 0; at < 200; at++) await bench.round(`v${at}`)
  assert.ok(bench.telemetry.journalEntries > before + 150, `${bench.telemetry.journalEntries - before} of 200 rounds`)
  await bench.restart()
  for (const partition of bench.partitions) assert.equal((await bench.values(partition)).at(-1), 'v199')
})

test('where the journal cannot be made every partition syncs its own file', async () => {
  const bench = await new Bench().start()
  await bench.round('first')
  bench.disk.failNext('make-folder', 'EIO')
  for (let at = 0; at < 5; at++) await bench.roundOn(`v${at}`)
  assert.equal(bench.telemetry.journalEntries, 0)
  assert.match(bench.messages.join('\n'), /the commit journal is not used until the next start/)
  await bench.restart()
  for (const partition of bench.partitions) assert.equal((await bench.values(partition)).at(-1), 'v4')
})

test('the journal is made when there is room to spare, and when it has found some to be there', async () => {
  const bench = await new Bench().start()
  bench.disk.free = 8 * 65_536 - 1
  for (let at = 0; at < 10; at++) await bench.roundOn('meanwhile')
  assert.deepEqual(bench.disk.namesIn('/data'), ['topics'])
  bench.disk.free++
  bench.disk.failNext('create', 'ENOSPC')
  for (let at = 0; at < 5; at++) await bench.roundOn('meanwhile')
  assert.deepEqual(bench.disk.namesIn('/data'), ['topics'])
  await bench.warmUp()
  assert.deepEqual(
    bench.messages.filter((message) => message.includes('journal')),
    ['no room for the commit journal: every partition syncs its own file meanwhile'],
  )
})

test('an entry for which there is no room after all is synced in the segment files, and its number is given again', async () => {
  for (const [seed, fault] of (['write', 'write-partly'] as const).entries()) {
    const bench = await warmBench({ seed })
    await bench.round('kept')
    const before = bench.telemetry.journalEntries
    // one alone in its round, then three, then the entry
    bench.disk.failNext(fault, 'ENOSPC', 4)
    await bench.roundOn('in the files')
    assert.match(bench.messages.join(), /no room for the commit journal/)
    assert.equal(bench.telemetry.journalEntries, before)
    await bench.warmUp(before)
    await bench.roundOn('on')
    await bench.restart()
    assert.deepEqual(bench.offline, [])
    for (const partition of bench.partitions) {
      const values = await bench.values(partition)
      assert.ok(values.includes('in the files'))
      assert.equal(values.at(-1), 'on')
    }
  }
})

test('after a failed write or sync of the journal its round is synced in the segment files, and it is not used again', async () => {
  for (const [operation, after] of [
    ['write', 4],
    ['sync', 1],
  ] as const) {
    for (let seed = 0; seed < 10; seed++) {
      const bench = await warmBench({ seed })
      await bench.round('kept')
      const before = bench.telemetry.journalEntries
      bench.disk.failNext(operation, 'EIO', after)
      await bench.roundOn('in the files')
      assert.match(bench.messages.join('\n'), /the commit journal is not used until the next start/)
      await bench.roundOn('on')
      assert.equal(bench.telemetry.journalEntries, before)
      await bench.restart()
      assert.deepEqual(bench.offline, [])
      for (const partition of bench.partitions) {
        const values = await bench.values(partition)
        assert.ok(values.includes('in the files'))
        assert.equal(values.at(-1), 'on')
      }
    }
  }
})

test('a segment file that cannot be synced later takes its partition offline; the journal keeps what it has of it', async () => {
  const bench = await warmBench()
  await bench.round('kept')
  bench.disk.failNext('sync', 'EIO')
  await assert.rejects(bench.append(1, 'unknown'), { code: 'kafka_storage_error' })
  // a later sync of the file would succeed, and mean nothing
  await bench.manager.close()
  assert.ok(bench.disk.namesIn('/data').includes('journal'))
  await bench.restart()
  assert.ok((await bench.values(1)).includes('kept'))
})

test('entries of a deleted topic are not written into one that was made again under its name', async () => {
  const bench = await warmBench()
  await bench.round('old')
  for (const partition of bench.partitions) await bench.manager.retire(bench.identity(partition))
  bench.topicId = '0191d5a0-0000-7000-8000-000000000002'
  await bench.append(0, 'new')
  await bench.disk.syncDirectory('/data/topics')
  await bench.restart()
  assert.deepEqual(bench.offline, [])
  assert.deepEqual(await bench.values(0), ['new'])
})

test('what a deleted topic lacks is no damage, though a power cut has brought its folder back', async () => {
  const bench = await warmBench()
  await bench.round('old')
  const last = bench.entries().at(-1)?.stretches[0]
  await (await bench.disk.open(bench.path(last?.partition ?? 0), false)).truncate(0)
  bench.disk = bench.disk.cut('process')
  await bench.start(undefined, new Set([TOPIC_ID]))
  assert.deepEqual(bench.disk.namesIn('/data').sort(), ['topics'])
  assert.doesNotMatch(bench.messages.join(), /could not be replayed/)
})

test('entries of a segment that is no longer the last one are not written into it: it may have been compacted', async () => {
  const bench = await warmBench()
  await bench.round('old')
  for (const partition of bench.partitions) await bench.append(partition, 'x'.repeat(19_990))
  assert.equal(bench.log(1).segments.length, 2)
  bench.disk.bytesOf(bench.path(1)).fill(0xee)
  await bench.restart('process')
  assert.ok(bench.disk.bytesOf(bench.path(1)).every((byte) => byte === 0xee))
})

test('a damaged entry with later ones behind it: those of which later ones speak are offline, until it is moved away', async () => {
  const bench = await warmBench()
  for (const value of ['a', 'b']) await bench.round(value)
  await Promise.all([0, 1, 2].map((partition) => bench.append(partition, 'c')))
  const entries = bench.entries()
  const damaged = entries.at(-2)
  const bytes = bench.disk.bytesOf(JOURNAL)
  const place = bytes.indexOf(damaged?.stretches[0]?.buffers[0] as Buffer)
  bench.disk.flipBit(JOURNAL, place + 20, 3)
  const inDoubt = entries.at(-1)?.stretches.map(({ partition }) => partition)
  for (let starts = 0; starts < 2; starts++) {
    await bench.restart('process')
    assert.deepEqual(bench.offline, inDoubt?.sort())
    assert.match(
      bench.log(bench.offline[0] ?? 0).offline?.message ?? '',
      /may be missing: entry \d+ of the commit journal/,
    )
    assert.match(bench.messages.join('\n'), /the commit journal in \/data\/journal could not be replayed as a whole/)
  }
  await bench.disk.rename('/data/journal', '/data/journal.aside')
  await bench.restart('process')
  assert.deepEqual(bench.offline, [])
})

test('a segment file that ends in front of what the journal has is not filled up with zeros', async () => {
  const bench = await warmBench()
  await bench.round('a')
  const last = bench.entries().at(-1)
  const partition = last?.stretches[0]?.partition ?? -1
  await (await bench.disk.open(bench.path(partition), false)).truncate(10)
  await bench.restart('process')
  assert.deepEqual(bench.offline, [partition])
  assert.match(bench.log(partition).offline?.message ?? '', /has 10 bytes, but \d+ were synced/)
  assert.equal(bench.disk.bytesOf(bench.path(partition)).length, 10)
})

test('a journal without a header refuses the start and says what to do', async () => {
  const bench = await warmBench()
  await bench.round('a')
  for (const name of ['0', '1']) bench.disk.flipBit(`/data/journal/${name}`, 9, 1)
  await assert.rejects(bench.restart('process'), /the commit journal in \/data\/journal is damaged .* move it away/)
})

test('a journal of which a file is missing, or shorter than the other, refuses the start', async () => {
  for (const name of ['0', '1']) {
    for (const length of [undefined, 0, JOURNAL_HEADER_BYTES, 8_000]) {
      const bench = await warmBench()
      bench.disk = bench.disk.cut('power')
      const path = `/data/journal/${name}`
      if (length === undefined) await bench.disk.remove(path)
      else await (await bench.disk.open(path, false)).truncate(length)
      await assert.rejects(bench.start(), { code: 'kafka_storage_error', message: /move it away/ })
    }
  }
})

test('a journal that was being made is none', async () => {
  const bench = await warmBench()
  // no entry has come into it yet
  const first = Buffer.from(bench.disk.bytesOf('/data/journal/1'))
  for (const length of [undefined, 0, 8_000]) {
    const disk = new PowerCutDisk(new Random(1))
    await disk.makeDirectory('/data/journal')
    await disk.writeFileDurably('/data/journal/0', first)
    if (length !== undefined) await disk.writeFileDurably('/data/journal/1', first.subarray(0, length))
    const { entries, missing } = await readJournal(disk, '/data')
    assert.deepEqual({ entries, missing }, { entries: [], missing: [] })
  }
})

test('what comes into one file of the journal while those of the other are synced is synced again', async () => {
  const bench = await warmBench({ fileBytes: JOURNAL_HEADER_BYTES + 3_000 })
  const others = bench.partitions.slice(1)
  let hear = () => {}
  bench.syncsHeard = new Promise((resolve) => {
    hear = resolve
  })
  // partition 1 is alone in its round first, so that 0 is in none of one
  await bench.fill(1, [1, ...bench.partitions])
  await bench.round('between', [1, ...bench.partitions])
  hear()
  await turn()
  await bench.fill(2, [1, ...others])
  await bench.restart()
  assert.equal((await bench.values(0)).at(-1), 'between')
})

test('behind a roll that failed half way nothing is lost, whichever file is the last', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const bench = await warmBench({ seed })
    bench.disk.failNext('sync-folder', 'ENOSPC')
    await assert.rejects(bench.append(1, 'x'.repeat(19_990)), { code: 'disk_full' })
    await bench.round('on')
    await bench.restart()
    assert.equal((await bench.values(1)).at(-1), 'on', `seed ${seed}`)
  }
})

test('a stray file that a start has removed does not come back to stand behind the last segment', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const bench = await warmBench({ seed })
    await bench.round('first')
    await bench.disk.open(bench.path(1).replace('00.log', '01.log'), true)
    await bench.disk.syncDirectory('/data/topics/orders-1')
    await bench.restart('process')
    const before = bench.telemetry.journalEntries
    while (bench.telemetry.journalEntries === before) await bench.round('again')
    await bench.round('on')
    await bench.restart()
    assert.equal((await bench.values(1)).at(-1), 'on', `seed ${seed}`)
  }
})
