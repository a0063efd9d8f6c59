import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TailraceError } from '../../src/kernel/errors.ts'
import { PRODUCE_WAITING_BYTES_MAX, PRODUCER_WAITING_REQUESTS_MAX } from '../../src/kernel/limits.ts'
import type { ProduceOptions } from '../../src/service/produce/produce.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import type { Spec } from './produce-fixture.ts'
import { barrier, caller, NOW, offsets, openService, refusal, rows, settle } from './produce-fixture.ts'

async function open(partitionCount = 1, configs: Record<string, string> = {}) {
  const engine = new MemoryEngine()
  await engine.createTopic({ name: 't', partitionCount, configs })
  const start = () => {
    const opened = openService(engine)
    const send = (sequence: number, specs: readonly Spec[] = [{ value: `${sequence}` }], more: Named = {}) => {
      const { name = 'p', epoch = 0, ...options } = more
      return opened.produce('t', specs, { ...options, producer: { name, epoch, sequence } })
    }
    return { ...opened, send }
  }
  return { engine, start, ...start() }
}

type Named = Partial<ProduceOptions> & { readonly name?: string; readonly epoch?: number }

const values = (engine: MemoryEngine, partition = 0) => engine.records('t', partition).map(({ value }) => value)
const offline = () => {
  throw new TailraceError('kafka_storage_error', 'offline')
}

test('tells of a batch that the engine refused by itself', async () => {
  const { send, engine } = await open()
  const append = engine.append.bind(engine)
  const error = new TailraceError('invalid_producer_epoch', 'another has its place')
  engine.append = async (...request) => (await append(...request)).map((one) => ({ ...one, baseOffset: -1, error }))
  assert.deepEqual(rows(await send(0)), [{ partition: 0, offset: -1, error: 'invalid_producer_epoch' }])
})

test('stores a repeated request once and answers its first offsets', async () => {
  const { send, engine, telemetry } = await open()
  assert.deepEqual(offsets(await send(0, [{ value: 'a' }, { value: 'b' }])), [0, 1])
  await send(1)
  const again = await send(0, [{ value: 'a' }, { value: 'b' }])
  assert.deepEqual([offsets(again), again.duplicate], [[0, 1], true])
  assert.deepEqual(values(engine), ['a', 'b', '1'])
  assert.equal(telemetry.duplicates, 1)
})

test('knows a repeat after a restart', async () => {
  const { send, start, engine } = await open(3)
  const specs = [{ key: 'x' }, { key: 'y' }, {}, { partition: 2 }]
  const first = await send(0, specs)
  const again = await start().send(0, specs)
  assert.equal(again.duplicate, true)
  assert.deepEqual(rows(again), rows(first))
  assert.equal((await start().send(1, specs)).duplicate, false)
  assert.equal(engine.appends.length, engine.appends.filter(({ acks }) => acks === 'all').length)
})

test('carries id, epoch and number in batches that no other request joins', async () => {
  const { send, produce, engine } = await open()
  await Promise.all([produce('t', [{}]), send(0), produce('t', [{}]), send(0, [{}], { name: 'q', epoch: 7 })])
  const stamped = engine.batches('t', 0).filter(({ header }) => header.producerId >= 0n)
  assert.deepEqual(
    stamped.map(({ header }) => [
      header.producerId >> 62n,
      header.producerEpoch,
      header.baseSequence,
      header.recordCount,
    ]),
    [
      [1n, 0, 0, 1],
      [1n, 7, 0, 1],
    ],
  )
})

test('answers the time of the first attempt to a repeat', async () => {
  const { send, start } = await open()
  await send(0, [{ value: 'a' }])
  const later = start()
  later.clock.advance(60_000)
  const again = await later.send(0, [{ value: 'a' }])
  assert.equal(again.timestamp(0), NOW)
  const stamped = await open(1, { 'message.timestamp.type': 'LogAppendTime' })
  stamped.engine.appendTimeMs = NOW + 1
  await stamped.send(0)
  stamped.engine.appendTimeMs = NOW + 2
  assert.equal((await stamped.send(0)).timestamp(0), NOW + 1)
})

test('takes a repeat whose content would be refused by now', async () => {
  const { send, clock } = await open(1, { 'message.timestamp.before.max.ms': '1000' })
  const spec = { timestamp: NOW - 900 }
  await send(0, [spec])
  clock.advance(1000)
  assert.equal((await send(0, [spec])).duplicate, true)
  await assert.rejects(send(1, [spec]), refusal('invalid_timestamp'))
  assert.deepEqual(offsets(await send(1)), [1])
})

test('answers an older repeat without offsets, and stores nothing', async () => {
  const { send, engine } = await open()
  for (let sequence = 0; sequence < 6; sequence++) await send(sequence)
  assert.deepEqual(offsets(await send(1)), [1])
  const old = await send(0)
  assert.deepEqual([offsets(old), old.duplicate, old.failure], [[-1], true, undefined])
  assert.equal(engine.records('t', 0).length, 6)
})

test('refuses a gap and says which number is expected', async () => {
  const { send } = await open()
  await assert.rejects(send(1), refusal('out_of_order_sequence_number', { expected: 0, received: 1 }))
  await send(0)
  await assert.rejects(send(2), refusal('out_of_order_sequence_number', { expected: 1, received: 2 }))
  await send(1)
})

test('refuses an old epoch with the current one, and starts a new epoch at 0', async () => {
  const { send, start } = await open()
  await send(0, [{}], { epoch: 3 })
  await assert.rejects(send(1, [{}], { epoch: 2 }), refusal('invalid_producer_epoch', { current_epoch: 3 }))
  await assert.rejects(send(1, [{}], { epoch: 4 }), refusal('out_of_order_sequence_number', { expected: 0 }))
  await send(1, [{}], { epoch: 3 })
  const fresh = await send(0, [{}], { epoch: 4 })
  assert.deepEqual([fresh.duplicate, offsets(fresh)], [false, [2]])
  await assert.rejects(start().send(2, [{}], { epoch: 3 }), refusal('invalid_producer_epoch', { current_epoch: 4 }))
})

test('waits with a number whose predecessor is under way, and orders what waits', async () => {
  const { send, engine } = await open()
  const gate = barrier()
  engine.beforeWrite = () => gate.passed
  const first = send(0)
  const rest = [send(1), send(2), send(1), send(3)]
  await settle()
  assert.equal(engine.appends.length, 1)
  await assert.rejects(send(5), refusal('out_of_order_sequence_number', { expected: 4 }))
  gate.open()
  assert.deepEqual(offsets(await first), [0])
  const results = await Promise.all(rest)
  assert.deepEqual(results.map(offsets), [[1], [2], [1], [3]])
  assert.deepEqual(
    results.map(({ duplicate }) => duplicate),
    [false, false, true, false],
  )
  assert.deepEqual(values(engine), ['0', '1', '2', '3'])
})

test('bounds what waits for a predecessor', async () => {
  const { send, engine } = await open()
  const gate = barrier()
  engine.beforeWrite = () => gate.passed
  const sent = Array.from({ length: PRODUCER_WAITING_REQUESTS_MAX + 1 }, (_, sequence) => send(sequence))
  await settle()
  await assert.rejects(send(PRODUCER_WAITING_REQUESTS_MAX + 1), refusal('overloaded'))
  gate.open()
  assert.deepEqual((await Promise.all(sent)).flatMap(offsets).at(-1), PRODUCER_WAITING_REQUESTS_MAX)
})

test('holds no more bytes for producers that wait than for partitions', async () => {
  const { send, engine, service } = await open()
  const gate = barrier()
  engine.beforeWrite = () => gate.passed
  const value = 'x'.repeat(PRODUCE_WAITING_BYTES_MAX / 8)
  const configs = { 'max.message.bytes': String(2 ** 30) }
  await engine.alterTopicConfigs('t', configs)
  const sent = Array.from({ length: 7 }, (_, sequence) => send(sequence, [{ value }]))
  await settle()
  await assert.rejects(send(7, [{ value }, { value }]), refusal('overloaded'))
  let closed = false
  const closing = service.close().then(() => {
    closed = true
  })
  await settle()
  assert.equal(closed, false)
  gate.open()
  assert.deepEqual((await Promise.all(sent)).flatMap(offsets), [0, 1, 2, 3, 4, 5, 6])
  await closing
})

test('stores a number once that is sent twice at the same time', async () => {
  const { send, engine } = await open(4)
  const specs = [{ key: 'a' }, { key: 'b' }, { key: 'c' }, {}]
  const results = await Promise.all([send(0, specs), send(0, specs), send(0, specs)])
  assert.deepEqual(
    results.map(({ duplicate }) => duplicate),
    [false, true, true],
  )
  assert.deepEqual(rows(results[1]!), rows(results[0]!))
  assert.equal([0, 1, 2, 3].flatMap((partition) => engine.records('t', partition)).length, 4)
})

test('frees the number of a request that failed or was refused', async () => {
  const { send, engine } = await open()
  await assert.rejects(send(0, [{ partition: 9 }]), refusal('unknown_topic_or_partition'))
  engine.beforeWrite = offline
  const failed = send(0)
  const after = send(1)
  assert.equal((await failed).failure?.code, 'kafka_storage_error')
  await assert.rejects(after, refusal('out_of_order_sequence_number', { expected: 0 }))
  engine.beforeWrite = () => {}
  const result = await send(0)
  assert.deepEqual([offsets(result), result.duplicate], [[0], false])
})

test('stores a repeat only in the partitions that lack it', async () => {
  const { send, engine, start } = await open(3)
  const specs = [0, 1, 2].map((partition) => ({ partition, value: `a${partition}` }))
  engine.beforeWrite = ({ partition }) => (partition === 1 ? offline() : undefined)
  assert.deepEqual(rows(await send(0, specs)), [
    { partition: 0, offset: 0 },
    { partition: 1, offset: -1, error: 'kafka_storage_error' },
    { partition: 2, offset: 0 },
  ])
  const partial = await start().send(0, specs)
  assert.deepEqual([partial.failure?.code, partial.duplicate], ['kafka_storage_error', true])
  engine.beforeWrite = () => {}
  const before = engine.appends.length
  const whole = await send(0, specs)
  assert.deepEqual([offsets(whole), whole.failure, whole.duplicate], [[0, 0, 0], undefined, true])
  assert.deepEqual(
    engine.appends.slice(before).map(({ partition }) => partition),
    [1],
  )
  assert.deepEqual(
    [0, 1, 2].map((partition) => values(engine, partition)),
    [['a0'], ['a1'], ['a2']],
  )
})

test('lets no number be forgotten that a partition still lacks', async () => {
  const { send, engine } = await open(2)
  const both = [{ partition: 0 }, { partition: 1 }]
  engine.beforeWrite = ({ partition }) => (partition === 1 ? offline() : undefined)
  assert.equal((await send(0, both)).failure?.code, 'kafka_storage_error')
  for (let sequence = 1; sequence < 5; sequence++) await send(sequence, [{ partition: 0 }])
  await assert.rejects(send(5, [{ partition: 0 }]), refusal('out_of_order_sequence_number', { expected: 0 }))
  engine.beforeWrite = () => {}
  assert.deepEqual(offsets(await send(0, both)), [0, 0])
  assert.deepEqual(offsets(await send(5, [{ partition: 0 }])), [5])
})

test('believes the engine when a failed write was stored all the same', async () => {
  const { send, engine } = await open()
  engine.beforeSync = offline
  assert.equal((await send(0)).failure?.code, 'kafka_storage_error')
  engine.beforeSync = () => {}
  const again = await send(0)
  assert.deepEqual([offsets(again), again.duplicate], [[0], true])
  assert.deepEqual(values(engine), ['0'])
})

test('asks for no repeat of a number that every partition holds, though one could not say it is durable', async () => {
  const { send, engine } = await open()
  const sync = barrier()
  engine.beforeSync = () => sync.passed
  await send(0, [{}], { acks: 'leader' })
  engine.beforeWrite = offline
  const durable = send(0)
  await settle()
  sync.open()
  assert.equal((await durable).failure?.code, 'kafka_storage_error')
  engine.beforeWrite = () => {}
  for (let sequence = 1; sequence < 8; sequence++) assert.deepEqual(offsets(await send(sequence)), [sequence])
})

test('answers a repeat with acks all only when what acks leader stored is durable', async () => {
  const { send, engine } = await open()
  const sync = barrier()
  engine.beforeSync = () => sync.passed
  await send(0, [{}], { acks: 'leader' })
  assert.equal((await send(0, [{}], { acks: 'leader' })).duplicate, true)
  let answered = false
  const durable = send(0).then((result) => {
    answered = true
    return result
  })
  await settle()
  assert.equal(answered, false)
  sync.open()
  assert.deepEqual([offsets(await durable), values(engine).length], [[0], 1])
})

test('places a repeat as its first attempt was after the topic has grown', async () => {
  const { send, topics, start, engine } = await open(2)
  const specs = [{ key: 'a' }, { key: 'b' }, { key: 'c' }, {}]
  const before = [await send(0, specs), await send(1, specs)]
  await topics.alter(caller, 't', { partitionCount: 5 })
  const between = await send(2, specs)
  await topics.alter(caller, 't', { partitionCount: 9 })
  const all = [...before, between, await send(3, specs)]
  const restarted = start()
  for (const [sequence, first] of all.entries()) {
    const again = await restarted.send(sequence, specs)
    assert.deepEqual([rows(again), again.duplicate], [rows(first), true])
  }
  const count = Array.from({ length: 9 }, (_, partition) => engine.records('t', partition).length)
  assert.equal(
    count.reduce((sum, each) => sum + each, 0),
    16,
  )
})

test('reads back what is expected from the partitions that came with growth as well', async () => {
  const { send, topics, engine } = await open(1)
  await send(0)
  await topics.alter(caller, 't', { partitionCount: 3 })
  engine.beforeSync = offline
  assert.equal((await send(1, [{ partition: 2 }])).failure?.code, 'kafka_storage_error')
  engine.beforeSync = () => {}
  assert.equal((await send(2, [{ partition: 0 }])).failure, undefined)
  assert.equal((await send(1, [{ partition: 2 }])).duplicate, true)
})

test('does not grow a topic between the placing of a request and its storing', async () => {
  const { send, topics, engine } = await open(2)
  const gate = barrier()
  engine.beforeWrite = () => gate.passed
  const first = send(0, [{ key: 'a' }])
  await settle()
  const growing = topics.alter(caller, 't', { partitionCount: 7 })
  const second = send(1, [{ key: 'a' }])
  await settle()
  assert.equal(engine.findTopic('t')?.partitionCount, 2)
  gate.open()
  await growing
  const place = (await first).partition(0)
  assert.ok(place < 2)
  assert.equal((await send(0, [{ key: 'a' }])).partition(0), place)
  assert.equal((await second).failure, undefined)
})

test('refuses a repeat that is another request', async () => {
  const { send } = await open()
  await send(0, [{}, {}])
  await assert.rejects(send(0, [{}]), refusal('invalid_request', { producer_seq: 0 }))
})

test('refuses what a named request cannot be', async () => {
  const { send } = await open()
  await assert.rejects(send(0, [{}], { acks: 'none' }), refusal('invalid_request'))
  await assert.rejects(send(0, [{}], { badRecords: 'report' }), refusal('invalid_request'))
  for (const epoch of [-1, 2 ** 15, 0.5]) await assert.rejects(send(0, [{}], { epoch }), refusal('invalid_request'))
  for (const sequence of [-1, 2 ** 31, 0.5]) await assert.rejects(send(sequence), refusal('invalid_request'))
  for (const name of ['', 'x'.repeat(250)]) await assert.rejects(send(0, [{}], { name }), refusal('invalid_request'))
})

test('numbers requests for each topic and each producer by themselves', async () => {
  const { produce } = await open()
  for (const topic of ['t', 'other']) {
    for (const name of ['p', 'q']) {
      const result = await produce(topic, [{}], { producer: { name, epoch: 0, sequence: 0 } })
      assert.equal(result.duplicate, false)
    }
  }
})

test('says so when the topic was made again while a request waited', async () => {
  const { send, engine } = await open()
  const gate = barrier()
  engine.beforeWrite = () => gate.passed
  const first = send(0)
  const second = send(1)
  await settle()
  await engine.deleteTopic('t')
  await engine.createTopic({ name: 't' })
  gate.open()
  await assert.rejects(second, refusal('topic_recreated'))
  await first.catch(() => {})
  assert.deepEqual(offsets(await send(0)), [0])
})

test('lets waiting requests fail when the engine cannot tell what it has', async () => {
  const { send, engine } = await open()
  const gate = barrier()
  engine.beforeWrite = () => gate.passed.then(offline)
  const state = engine.producerState.bind(engine)
  const first = send(0)
  const second = send(1)
  await settle()
  engine.producerState = () => Promise.reject(new TailraceError('kafka_storage_error', 'cannot tell'))
  const refused = assert.rejects(second, refusal('kafka_storage_error'))
  gate.open()
  assert.equal((await first).failure?.code, 'kafka_storage_error')
  await refused
  await assert.rejects(send(0), refusal('kafka_storage_error'))
  engine.producerState = state
  engine.beforeWrite = () => {}
  assert.deepEqual(offsets(await send(0)), [0])
})
