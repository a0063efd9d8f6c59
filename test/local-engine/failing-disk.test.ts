import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { Topic } from '../../src/engine/engine.ts'
import type { SealedBatch, SealOptions } from '../../src/record/record-batch.ts'
import { sealBatch, stampBatch } from '../../src/record/record-batch.ts'
import { readAll, toParts } from '../record/records.ts'
import { temporaryDirectory } from '../support/engine-options.ts'
import type { Machine } from '../support/power-cut-machine.ts'
import { Bench } from '../support/power-cut-machine.ts'

const SEEDS = 12

function sealed(value: string, options: Partial<SealOptions> = {}, timestamp = 1): SealedBatch {
  return sealBatch(toParts([{ timestamp, key: null, value, headers: [] }]), { compression: 'none', ...options })
}

async function append(
  { engine }: Machine,
  value: string,
  options: Partial<SealOptions> = {},
  timestamp = 1,
): Promise<number> {
  const batch = sealed(value, options, timestamp)
  const [appended] = await engine.append(engine.findTopic('orders') as Topic, 0, [batch], 'all')
  return appended?.baseOffset ?? -1
}

async function endOf({ engine }: Machine): Promise<number | undefined> {
  const [described] = await engine.describePartitions(engine.findTopic('orders') as Topic)
  return described?.offline === undefined ? described?.endOffset : undefined
}

async function overSeeds(t: TestContext, work: (bench: Bench) => Promise<void>): Promise<void> {
  const dataDir = temporaryDirectory(t)
  for (let seed = 0; seed < SEEDS; seed++) await work(new Bench(dataDir, seed))
}

test('what a start shows of a group whose fdatasync failed is on the disk by then', (t) =>
  overSeeds(t, async (bench) => {
    let machine = await bench.start()
    await machine.engine.createTopic({ name: 'orders' })
    await append(machine, 'a')
    machine.disk.failNext('sync', 'EIO')
    await assert.rejects(append(machine, 'b'), { code: 'kafka_storage_error' })
    machine = await bench.cut(machine, 'process')
    const seen = await endOf(machine)
    assert.equal(seen, 2)
    machine = await bench.cut(machine, 'power')
    assert.equal(await endOf(machine), seen)
    await machine.engine.close()
  }))

for (const [which, skipped] of [
  ['a folder', 0],
  ['its metadata', 1],
  ['a segment', 2],
] as const) {
  test(`nothing is acknowledged before the name of ${which} is on the disk`, (t) =>
    overSeeds(t, async (bench) => {
      let machine = await bench.start()
      await machine.engine.createTopic({ name: 'orders' })
      machine.disk.failNext('sync-folder', 'EIO', skipped)
      await assert.rejects(append(machine, 'a'), { code: 'kafka_storage_error' })
      machine = await bench.cut(machine, 'process')
      assert.equal(await append(machine, 'b'), 0)
      machine = await bench.cut(machine, 'power')
      assert.equal(await endOf(machine), 1)
      await machine.engine.close()
    }))
}

test('what a power cut brings back of an undone write is cut off where the next segment begins', async (t) => {
  for (const kept of [10, 75, 1_000]) {
    const dataDir = temporaryDirectory(t)
    const bench = new Bench(dataDir, 1)
    let machine = await bench.start()
    await machine.engine.createTopic({ name: 'orders', configs: { 'segment.ms': '10' } })
    await append(machine, 'a')
    await append(machine, 'b', {}, 1_000)
    const undone = sealed('undone')
    stampBatch(undone, 1, 1)
    const file = await machine.disk.open(`${dataDir}/topics/orders-0/00000000000000000000.log`, false)
    const size = await file.size()
    await file.write([undone.bytes.subarray(0, kept)], size)
    await file.sync()
    machine = await bench.cut(machine, 'no index')
    assert.equal(await endOf(machine), 2)
    const [fetched] = await machine.engine.fetch(
      [{ topic: machine.engine.findTopic('orders') as Topic, partition: 0, offset: 1 }],
      { minBytes: 1, maxBytes: 1_000, maxWaitMs: 0, isolation: 'read_committed' },
    )
    assert.deepEqual(
      readAll(fetched?.bytes ?? Buffer.alloc(0)).map(({ value }) => value),
      ['b'],
    )
    await machine.engine.close()
  }
})

test('a start that could not read all of a partition has not forgotten its producers at the next', (t) =>
  overSeeds(t, async (bench) => {
    const named = { producerId: (1n << 62n) + 1n, producerEpoch: 0, baseSequence: 0 }
    let machine = await bench.start()
    await machine.engine.createTopic({ name: 'orders', configs: { 'segment.ms': '10' } })
    await append(machine, 'a', named)
    await append(machine, 'b', {}, 1_000)
    machine = await bench.cut(machine, 'power', (disk) => disk.failNext('write', 'EIO'))
    assert.equal(await endOf(machine), undefined)
    machine = await bench.cut(machine, 'stop')
    assert.equal(await append(machine, 'a', named), 0, 'known to be a repeat')
    await machine.engine.close()
  }))

test('a batch of whose front a sector was never written is cut off, wherever the sector ends', async (t) => {
  for (const lost of [8, 9, 10, 11]) {
    const dataDir = temporaryDirectory(t)
    const bench = new Bench(dataDir, 1)
    let machine = await bench.start()
    await machine.engine.createTopic({ name: 'orders' })
    const around = sealed('x'.repeat(400)).bytes.length - 400
    await append(machine, 'x'.repeat(512 - lost - around))
    const torn = sealed('torn')
    stampBatch(torn, 1, 1)
    const file = await machine.disk.open(`${dataDir}/topics/orders-0/00000000000000000000.log`, false)
    assert.equal(await file.size(), 512 - lost)
    await file.write([Buffer.alloc(lost), torn.bytes.subarray(lost)], 512 - lost)
    await file.sync()
    machine = await bench.cut(machine, 'power')
    assert.equal(await endOf(machine), 1, `${lost} bytes`)
    await machine.engine.close()
  }
})

test('a roll that failed half way is brought to its end by the next append, whatever that one is', async (t) => {
  const dataDir = temporaryDirectory(t)
  const machine = await new Bench(dataDir, 1).start()
  await machine.engine.createTopic({ name: 'orders', configs: { 'segment.ms': '10' } })
  await append(machine, 'a')
  machine.disk.failNext('sync-folder', 'EMFILE')
  await assert.rejects(append(machine, 'b', {}, 1_000), { code: 'overloaded' })
  assert.equal(await append(machine, 'c'), 1)
  const rolled = machine.disk.bytesOf(`${dataDir}/topics/orders-0/00000000000000000001.log`)
  assert.equal(rolled.length, sealed('c').bytes.length)
  await machine.engine.close()
})
