// A stretch that was written and not synced, and what crashes one after the other make of it: the process is killed, the next
// start writes the stretch anew and the power goes, the start after that meets the same. What must hold: what was synced
// stays, the stretch is there as far as it is whole, and no state that such a chain leaves is taken for corruption.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { createIndexSchema } from '../../src/log/index-schema.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import { TailMarks } from '../../src/log/rewritten-tail.ts'
import { sealBatch, stampBatch } from '../../src/record/record-batch.ts'
import { toParts, valuesIn } from '../record/records.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { logSettings, TAIL_MARK_KEY } from '../support/log-settings.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'
import { partsOf } from '../support/record-parts.ts'

const IDENTITY = { topicId: '0191d5a0-0000-7000-8000-000000000001', topicName: 'orders', partition: 0 }
const SEGMENT = '/data/topics/orders-0/00000000000000000000.log'
const CHAINS = 150
const SYNCED = ['synced 0', 'synced 1']
const STRETCH = Array.from({ length: 12 }, (_, at) => `${at} `.padEnd(60 + 30 * at, 'x'))

const EMPTY_INDEX = (() => {
  const index = new Database(':memory:')
  createIndexSchema(index)
  return index.serialize()
})()

const batchOf = (value: string) =>
  sealBatch(toParts([{ timestamp: Date.UTC(2026, 0, 1), key: null, value, headers: [] }]), { compression: 'none' })

/** Of a stretch behind what was synced. */
function bytesOf(values: readonly string[]): Buffer {
  const batches = values.map(batchOf)
  for (const [at, batch] of batches.entries()) stampBatch(batch, SYNCED.length + at, 1)
  return Buffer.concat(batches.map(({ bytes }) => bytes))
}

/** The disk's, which does all that it is asked for, or forgets all, while it is told to. */
class FatefulRandom extends Random {
  #fate: number | undefined

  async fated(fate: number, work: () => Promise<void>): Promise<void> {
    this.#fate = fate
    await work()
    this.#fate = undefined
  }

  override below(bound: number): number {
    return this.#fate ?? super.below(bound)
  }
}

class Bench {
  disk: PowerCutDisk
  manager: LogManager
  /** index.db as it comes through all of it; undefined: it does not. */
  #index: Database.Database | undefined
  #starts = 0

  constructor(random: Random, hasIndex: boolean) {
    this.disk = new PowerCutDisk(random)
    if (hasIndex) this.#index = new Database(EMPTY_INDEX)
    this.manager = this.#open()
  }

  #open(): LogManager {
    const index = this.#index ?? new Database(EMPTY_INDEX)
    return new LogManager({
      dataDir: '/data',
      disk: this.disk,
      clock: new FakeClock(),
      logger: silentLogger,
      telemetry: new Telemetry(),
      isForgotten: () => false,
      leaderEpoch: ++this.#starts,
      tailMarkKey: TAIL_MARK_KEY,
      settings: () => logSettings({ segmentBytes: 1_000_000 }),
      logStartOffset: () => 0,
      cleaningGeneration: () => 0,
      setCleaningGeneration: async () => undefined,
      onSynced: () => undefined,
      openIndex: () => index,
    })
  }

  get log() {
    return this.manager.log(IDENTITY)
  }

  /** Where the next batch goes. */
  get position(): number {
    return this.log.segments[0]?.sizeBytes ?? 0
  }

  async append(value: string): Promise<void> {
    await this.log.append([batchOf(value)], 'all')
  }

  /** As an appender does that is killed before its sync, or has seen it fail: then a front part may be on the disk, and the kernel forgets the rest. */
  async writeStretch(random: FatefulRandom): Promise<void> {
    const { position } = this
    const bytes = bytesOf(STRETCH)
    const file = await this.disk.open(SEGMENT, false)
    if (random.chance(0.3)) return file.write([bytes], position)
    const front = random.below(bytes.length)
    await file.write([bytes.subarray(0, front)], position)
    await file.sync()
    await file.write([bytes.subarray(front)], position + front)
    this.disk.failNext('sync', 'EIO')
    await random.fated(0, () => assert.rejects(file.sync()))
  }

  /** The next start, which ends in the midst of things if it is told. */
  async start(cutAt?: RegExp, after = 0): Promise<void> {
    const { disk } = this
    disk.faults.trace = (operation) => {
      if (!cutAt?.test(operation)) return
      disk.faults.trace = undefined
      disk.faults.cutAfter(after, () => disk.unplug())
    }
    this.manager = this.#open()
    await this.manager.recover([IDENTITY]).catch((error) => {
      if (!disk.isUnplugged) throw error
    })
  }

  async values(): Promise<(string | null)[]> {
    return valuesIn(await this.log.read(0, 100_000))
  }
}

/** Kills, power cuts and failed syncs, at random operations of a few starts, and then a start that is left alone. */
async function runChain(seed: number): Promise<{ readonly bench: Bench; readonly story: string }> {
  const random = new FatefulRandom(seed)
  const bench = new Bench(random, random.chance(0.5))
  const story = [`seed ${seed}`]
  for (const value of SYNCED) await bench.append(value)
  bench.manager.flushIndex()
  await bench.writeStretch(random)
  for (let crashes = 1 + random.below(3); crashes > 0; crashes--) {
    // only what was killed in between is torn twice
    const what = story.length === 1 || random.chance(0.7) ? 'process' : 'power'
    bench.disk = bench.disk.cut(what)
    if (random.chance(0.2)) bench.disk.failNext('sync', 'EIO', random.below(3))
    const cutAt = random.pick([/^size/, /^truncate .*log/, /^write .*log/, /^write .*log/])
    const after = random.below(8)
    story.push(`${what}, a start that ends ${after} behind ${cutAt}`)
    await bench.start(cutAt, after)
  }
  bench.disk = bench.disk.cut('power')
  await bench.start()
  return { bench, story: story.join('; ') }
}

test('crash after crash in the starts that write a tail anew, nothing is lost and nothing is called corrupt', async () => {
  let whole = 0
  for (let seed = 0; seed < CHAINS; seed++) {
    const { bench, story } = await runChain(seed)
    assert.equal(bench.log.offline, undefined, story)
    const values = await bench.values()
    const expected = [...SYNCED, ...STRETCH]
    assert.deepEqual(values, expected.slice(0, Math.max(SYNCED.length, values.length)), story)
    if (values.length === expected.length) whole++
    // and what is appended from now on is behind it, durably
    await bench.append('more')
    bench.disk = bench.disk.cut('power')
    await bench.start()
    assert.deepEqual(await bench.values(), [...values, 'more'], story)
  }
  assert.ok(whole > CHAINS / 10, `in ${whole} of them the whole stretch has come through`)
})

test('an undone write whose undoing was not synced does not come back under what is written in its place', async () => {
  const others = STRETCH.map((value) => `other ${value}`).reverse()
  for (let seed = 0; seed < 40; seed++) {
    const bench = new Bench(new Random(seed), true)
    for (const value of SYNCED) await bench.append(value)
    bench.manager.flushIndex()
    const { position } = bench
    const undone = await bench.disk.open(SEGMENT, false)
    await undone.write([bytesOf(STRETCH)], position)
    await undone.truncate(position)
    bench.disk = bench.disk.cut('process')
    await bench.start()
    const file = await bench.disk.open(SEGMENT, false)
    await file.write([bytesOf(others)], position)
    bench.disk = bench.disk.cut('power')
    await bench.start()
    assert.equal(bench.log.offline, undefined, `seed ${seed}`)
    const values = await bench.values()
    assert.deepEqual(values, [...SYNCED, ...others].slice(0, values.length), `seed ${seed}`)
  }
})

test('that a tail was being written anew excuses nothing in front of it', async () => {
  const bench = new Bench(new Random(1), false)
  for (const value of SYNCED) await bench.append(value)
  const { position } = bench
  const file = await bench.disk.open(SEGMENT, false)
  await file.write([bytesOf(STRETCH)], position)
  const tail = { from: position, to: position + bytesOf(STRETCH).length }
  bench.disk.failNext('write', 'EIO', 1)
  await assert.rejects(new TailMarks(TAIL_MARK_KEY).settle(file, SEGMENT, tail), { code: 'EIO' })
  const marked = Buffer.from(bench.disk.bytesOf(SEGMENT))
  assert.ok(marked.length > tail.to)
  // a tear in the tail, which leaves no sector empty
  bench.disk.bytesOf(SEGMENT).fill(0, position + 200, position + 210)
  bench.disk = bench.disk.cut('process')
  await bench.start()
  assert.equal(bench.log.offline, undefined)
  assert.deepEqual(await bench.values(), [...SYNCED, ...STRETCH.slice(0, 1)])
  // the same in what was synced
  await (await bench.disk.open(SEGMENT, false)).write([marked], 0)
  bench.disk.flipBit(SEGMENT, position - 5, 1)
  bench.disk = bench.disk.cut('process')
  await bench.start()
  assert.match(bench.manager.log(IDENTITY).offline?.message ?? '', /a good batch follows/)
  assert.equal(bench.disk.bytesOf(SEGMENT).length, marked.length)
})

/** What a start under a key would write behind a tail that begins at 0 and ends at `to`. */
async function markUnder(key: Buffer, to: number): Promise<Buffer> {
  const disk = new PowerCutDisk(new Random(1))
  await disk.makeDirectory('/data')
  const file = await disk.open('/data/any', true)
  await file.write([Buffer.alloc(to)], 0)
  // the tail is no batch: it ends there, with the mark in its place
  await assert.rejects(new TailMarks(key).settle(file, '/data/any', { from: 0, to }), { code: 'corrupt_message' })
  return Buffer.from(disk.bytesOf('/data/any').subarray(to))
}

for (const knowsKey of [false, true]) {
  const what = knowsKey ? 'who knew the key could cut records off with it' : 'cuts nothing off without the key'
  test(`a mark that a client puts at the end of its last header: ${what}`, async () => {
    const bench = new Bench(new Random(1), true)
    await bench.start()
    await bench.append('of another client')
    const ending = (mark: Buffer) =>
      sealBatch([partsOf({ value: 'a' }), partsOf({ value: 'b', headers: [{ name: 'h', value: mark }] })], {
        compression: 'none',
      })
    const any = await markUnder(TAIL_MARK_KEY, 100)
    const to = bench.position + ending(any).bytes.length - any.length
    const mark = await markUnder(knowsKey ? TAIL_MARK_KEY : Buffer.alloc(16, 8), to)
    await bench.log.append([ending(mark)], 'all')
    bench.disk = bench.disk.cut('process')
    await bench.start()
    assert.equal(bench.log.offline, undefined)
    assert.equal((await bench.values()).length, knowsKey ? 1 : 3)
  })
}
