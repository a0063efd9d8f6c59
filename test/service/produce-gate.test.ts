import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TailraceError } from '../../src/kernel/errors.ts'
import { GATE_WAITING_BYTES_MAX, GATHERED_BATCH_BYTES_MAX, PRODUCE_WAITING_BYTES_MAX } from '../../src/kernel/limits.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { ProduceGates } from '../../src/service/produce/produce-gate.ts'
import { ProducePart } from '../../src/service/produce/produce-part.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { barrier, offsets, openService, record, refusal, settle } from './produce-fixture.ts'

async function open(configs: Record<string, string> = {}, partitionCount = 1) {
  const engine = new MemoryEngine()
  await engine.createTopic({ name: 't', partitionCount, configs })
  return { engine, ...openService(engine) }
}

const counts = (engine: MemoryEngine) =>
  engine.appends.map(({ acks, batches }) => [acks, ...batches.map(({ header }) => header.recordCount)])

test('sends a request at once, and what came meanwhile as one batch after it', async () => {
  const { produce, engine } = await open()
  const results = await Promise.all(
    [1, 2, 1, 3].map((size) => produce('t', new Array(size).fill({ value: `${size}` }))),
  )
  assert.deepEqual(counts(engine), [
    ['all', 1],
    ['all', 6],
  ])
  assert.deepEqual(results.map(offsets), [[0], [1, 2], [3], [4, 5, 6]])
  assert.deepEqual(
    engine.records('t', 0).map(({ offset, value }) => `${offset}:${value}`),
    ['0:1', '1:2', '2:2', '3:1', '4:3', '5:3', '6:3'],
  )
})

test('does not gather over partitions, nor let one wait for another', async () => {
  const { produce, engine } = await open({}, 2)
  const gate = barrier()
  engine.beforeWrite = ({ partition }) => (partition === 0 ? gate.passed : undefined)
  const slow = produce('t', [{ partition: 0 }])
  assert.deepEqual(offsets(await produce('t', [{ partition: 1 }])), [0])
  assert.deepEqual(offsets(await produce('t', [{ partition: 1 }])), [1])
  gate.open()
  await slow
})

test("starts a further batch in the same append where the topic's limit is reached", async () => {
  const { produce, engine } = await open({ 'max.message.bytes': '400' })
  const value = 'x'.repeat(60)
  const results = await Promise.all(Array.from({ length: 8 }, () => produce('t', [{ value }])))
  assert.deepEqual(counts(engine), [
    ['all', 1],
    ['all', 3, 3, 1],
  ])
  assert.deepEqual(results.flatMap(offsets), [0, 1, 2, 3, 4, 5, 6, 7])
  for (const { bytes } of engine.batches('t', 0)) assert.ok(bytes.length <= 400)
})

test("begins a further append where the topic's segment.bytes is reached", async () => {
  const { produce, engine } = await open({ 'segment.bytes': '65536' })
  const value = 'x'.repeat(30_000)
  const results = await Promise.all(
    [1, 1, 1, 3, 1].map((size) => produce('t', new Array(size).fill({ value })).then(offsets)),
  )
  assert.deepEqual(counts(engine), [
    ['all', 1],
    ['all', 2],
    ['all', 3],
    ['all', 1],
  ])
  assert.deepEqual(results, [[0], [1], [2], [3, 4, 5], [6]])
})

test('never splits the records that one request has for a partition', async () => {
  const { produce, engine } = await open({ 'max.message.bytes': '400' })
  const value = 'x'.repeat(60)
  const results = await Promise.all([1, 2, 2, 3, 1].map((size) => produce('t', new Array(size).fill({ value }))))
  assert.deepEqual(counts(engine), [
    ['all', 1],
    ['all', 2, 2, 3, 1],
  ])
  assert.deepEqual(results.map(offsets), [[0], [1, 2], [3, 4], [5, 6, 7], [8]])
})

test('gathers no more than a reader should have to read for one record', async () => {
  const { produce, engine } = await open()
  const value = 'x'.repeat(GATHERED_BATCH_BYTES_MAX / 4)
  await Promise.all(Array.from({ length: 8 }, () => produce('t', [{ value }])))
  assert.deepEqual(counts(engine), [
    ['all', 1],
    ['all', 3, 3, 1],
  ])
})

test('answers acks leader while an acks all group waits for its sync', async () => {
  const { produce, engine } = await open()
  const syncs = [barrier(), barrier(), barrier()]
  let sync = 0
  engine.beforeSync = () => syncs[sync++]?.passed
  const all = produce('t', [{ value: 'all' }])
  const leader = produce('t', [{ value: 'leader' }], { acks: 'leader' })
  await settle()
  assert.deepEqual(counts(engine), [
    ['all', 1],
    ['leader', 1],
  ])
  syncs[0]?.open()
  assert.deepEqual(offsets(await all), [0])
  assert.deepEqual(offsets(await leader), [1])
  syncs[1]?.open()
  syncs[2]?.open()
})

test('gathers acks leader and acks none while one of their groups is written', async () => {
  const { produce, engine } = await open()
  const acks = ['leader', 'none', 'leader', 'none', 'leader'] as const
  const results = await Promise.all(acks.map((each) => produce('t', [{ value: each }], { acks: each })))
  assert.deepEqual(counts(engine), [
    ['leader', 1],
    ['leader', 4],
  ])
  assert.deepEqual(results.flatMap(offsets), [0, -1, 2, -1, 4])
})

test('stores what was answered early before what its sender sends next', async () => {
  const { produce, engine } = await open()
  const gate = barrier()
  engine.beforeWrite = () => gate.passed
  const first = produce('t', [{ value: 'a' }], { acks: 'leader' })
  await produce('t', [{ value: 'b' }], { acks: 'none' })
  const last = produce('t', [{ value: 'c' }])
  gate.open()
  await Promise.all([first, last])
  assert.deepEqual(
    engine.records('t', 0).map(({ value }) => value),
    ['a', 'b', 'c'],
  )
})

test('refuses none of its neighbours for what one request sent', async () => {
  const { produce, engine } = await open()
  engine.beforeWrite = ({ batches }) => {
    const bad = batches.some(({ bytes }) => bytes.includes('bad'))
    if (bad) throw new TailraceError('invalid_timestamp', 'too old by now')
  }
  const values = ['a', 'b', 'bad', 'c', 'd']
  const results = await Promise.all(values.map((value) => produce('t', [{ value }])))
  assert.deepEqual(
    results.map(({ failure }) => failure?.code),
    [undefined, undefined, 'invalid_timestamp', undefined, undefined],
  )
  assert.deepEqual(results.flatMap(offsets), [0, 1, -1, 2, 3])
})

test('where the topic is compacted from now on, only what waits without a key is refused', async () => {
  const { produce, engine } = await open()
  const gate = barrier()
  engine.beforeWrite = ({ batches }) => (batches[0]?.bytes.includes('first') ? gate.passed : undefined)
  const values = [{ key: 'k', value: 'first' }, { key: '' }, {}, { key: 'k' }]
  const results = values.map((spec) => produce('t', [spec]))
  await settle()
  await engine.alterTopicConfigs('t', { 'cleanup.policy': 'compact' })
  gate.open()
  assert.deepEqual(
    (await Promise.all(results)).map(({ failure }) => failure?.code),
    [undefined, undefined, 'invalid_record', undefined],
  )
})

test('fails all of a group whose write failed, and goes on with the next', async () => {
  const { produce, engine } = await open()
  let writes = 0
  engine.beforeWrite = () => {
    writes++
    if (writes === 2) throw new TailraceError('disk_full', 'no room')
  }
  const results = await Promise.all([produce('t', [{}]), produce('t', [{}]), produce('t', [{}])])
  assert.deepEqual(
    results.map(({ failure }) => failure?.code),
    [undefined, 'disk_full', 'disk_full'],
  )
  assert.deepEqual(offsets(await produce('t', [{}])), [1])
})

test('has no gates when nothing is under way', async () => {
  const engine = new MemoryEngine()
  const topic = await engine.createTopic({ name: 't', partitionCount: 2 })
  const gates = new ProduceGates({ engine, telemetry: new Telemetry(), onOffline() {} })
  const owner = { partSettled() {} }
  for (const acks of ['all', 'leader', 'none', 'all'] as const) {
    for (const partition of [0, 1, 0]) gates.put(topic, new ProducePart(owner, partition, [record({})], 100), acks)
  }
  assert.equal(gates.size, 2)
  await gates.drained()
  assert.deepEqual([gates.size, gates.pendingBytes], [0, 0])
})

test('says overloaded before it holds more than its bounds, and takes again when there is room', async () => {
  const engine = new MemoryEngine()
  const topic = await engine.createTopic({ name: 't', partitionCount: 8 })
  const gates = new ProduceGates({ engine, telemetry: new Telemetry(), onOffline() {} })
  const part = (partition: number, bytes: number) =>
    new ProducePart({ partSettled() {} }, partition, [record({})], bytes)
  const put = (one: ProducePart) => {
    gates.checkRoom(topic, [one])
    gates.put(topic, one, 'all')
  }
  const gate = barrier()
  engine.beforeWrite = () => gate.passed
  put(part(0, 1000))
  put(part(0, GATE_WAITING_BYTES_MAX - 10))
  put(part(0, 10))
  assert.throws(() => put(part(0, 1)), refusal('overloaded'))
  for (const partition of [1, 2]) put(part(partition, GATE_WAITING_BYTES_MAX))
  assert.throws(
    () => put(part(3, GATE_WAITING_BYTES_MAX)),
    refusal('overloaded', { limit_bytes: PRODUCE_WAITING_BYTES_MAX }),
  )
  gate.open()
  await gates.drained()
  put(part(0, 1))
  await gates.drained()
})
