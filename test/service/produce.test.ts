import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { TailraceError } from '../../src/kernel/errors.ts'
import { PRODUCE_RECORDS_MAX } from '../../src/kernel/limits.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { barrier, caller, NOW, offsets, openService, record, refusal, rows, settle } from './produce-fixture.ts'

async function open(partitionCount = 1, configs: Record<string, string> = {}) {
  const engine = new MemoryEngine()
  await engine.createTopic({ name: 't', partitionCount, configs })
  return { engine, ...openService(engine) }
}

test('answers each record in the order of the request with its partition and offset', async () => {
  const { produce, engine } = await open(3)
  const result = await produce('t', [
    { partition: 2, value: 'a' },
    { partition: 0, value: 'b' },
    { partition: 2, value: 'c' },
    { partition: 1, value: 'd' },
    { partition: 2, value: 'e' },
  ])
  assert.deepEqual(rows(result), [
    { partition: 2, offset: 0 },
    { partition: 0, offset: 0 },
    { partition: 2, offset: 1 },
    { partition: 1, offset: 0 },
    { partition: 2, offset: 2 },
  ])
  const again = await produce('t', [{ partition: 2, value: 'f' }])
  assert.deepEqual(rows(again), [{ partition: 2, offset: 3 }])
  assert.deepEqual(
    engine.records('t', 2).map(({ value }) => value),
    ['a', 'c', 'e', 'f'],
  )
  assert.equal(result.failure, undefined)
  assert.equal(result.duplicate, false)
})

test('makes one batch for each request and partition', async () => {
  const { produce, engine } = await open(2)
  await produce('t', [{ partition: 0 }, { partition: 1 }, { partition: 0 }])
  assert.deepEqual(
    engine.appends.map(({ partition, batches }) => [partition, batches.map(({ header }) => header.recordCount)]),
    [
      [0, [2]],
      [1, [1]],
    ],
  )
})

test('places records by their keys, the empty key too', async () => {
  const { produce } = await open(8)
  const result = await produce('t', [{ key: '' }, { key: 'a' }, { key: 'abc' }, { key: 'abc' }])
  assert.deepEqual(
    rows(result).map(({ partition }) => partition),
    [1, 4, 3, 3],
  )
})

test('keeps the keyless records of a request together and spreads requests by bytes', async () => {
  const { produce } = await open(4)
  const value = 'x'.repeat(4096)
  const places = new Set<number>()
  for (let request = 0; request < 8; request++) {
    const result = await produce('t', [{ value }, { value }, { value }, { value }])
    assert.equal(new Set(rows(result).map(({ partition }) => partition)).size, 1)
    places.add(result.partition(0))
  }
  assert.equal(places.size, 4)
})

test('keeps the time a record came with and gives the others the time of the request', async () => {
  const { produce, engine } = await open()
  const result = await produce('t', [{ timestamp: NOW - 5000 }, {}])
  assert.deepEqual([result.timestamp(0), result.timestamp(1)], [NOW - 5000, NOW])
  assert.deepEqual(
    engine.records('t', 0).map(({ timestamp }) => timestamp),
    [NOW - 5000, NOW],
  )
})

test('answers the append time where the topic keeps that, whatever time a record came with', async () => {
  const { produce, engine } = await open(1, { 'message.timestamp.type': 'LogAppendTime' })
  engine.appendTimeMs = NOW + 7
  const result = await produce('t', [{ timestamp: 5 }, { timestamp: 2 ** 53 + 2 }, {}])
  assert.deepEqual([result.timestamp(0), result.timestamp(1), result.timestamp(2)], [NOW + 7, NOW + 7, NOW + 7])
  const early = await produce('t', [{}], { acks: 'none' })
  assert.equal(early.timestamp(0), -1)
})

test('answers acks none before anything is stored, without offsets', async () => {
  const { produce, engine } = await open()
  const gate = barrier()
  engine.beforeWrite = () => gate.passed
  const result = await produce('t', [{}, {}], { acks: 'none' })
  assert.deepEqual(rows(result), [
    { partition: 0, offset: -1 },
    { partition: 0, offset: -1 },
  ])
  gate.open()
  await settle()
  assert.equal(engine.records('t', 0).length, 2)
  assert.deepEqual(offsets(result), [-1, -1])
})

test('answers acks leader after the write and acks all after the sync', async () => {
  const { produce, engine } = await open()
  const sync = barrier()
  engine.beforeSync = () => sync.passed
  const leader = await produce('t', [{}], { acks: 'leader' })
  assert.deepEqual(offsets(leader), [0])
  let answered = false
  const all = produce('t', [{}]).then((result) => {
    answered = true
    return result
  })
  await settle()
  assert.equal(answered, false)
  sync.open()
  assert.deepEqual(offsets(await all), [1])
})

test('refuses all for one bad record, names its index, and stores nothing', async () => {
  const { produce, engine } = await open(2)
  const good = { partition: 0 }
  await assert.rejects(
    produce('t', [good, { partition: 2 }]),
    refusal('unknown_topic_or_partition', { index: 1, partition: 2, partition_min: 0, partition_max: 1 }),
  )
  await assert.rejects(
    produce('t', [good, good, { timestamp: NOW + 3_600_001 }]),
    refusal('invalid_timestamp', { index: 2, timestamp_max: NOW + 3_600_000 }),
  )
  for (const timestamp of [-2, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    await assert.rejects(produce('t', [good, { timestamp }]), refusal('invalid_timestamp', { index: 1 }))
  }
  for (const partition of [-2, 1.5, Number.NaN]) {
    await assert.rejects(produce('t', [good, { partition }]), TailraceError)
  }
  assert.equal(engine.appends.length, 0)
})

test("refuses times before the topic's bound", async () => {
  const { produce } = await open(1, { 'message.timestamp.before.max.ms': '1000' })
  await produce('t', [{ timestamp: NOW - 1000 }])
  await assert.rejects(produce('t', [{ timestamp: NOW - 1001 }]), refusal('invalid_timestamp'))
})

test('refuses records without a key where the topic is compacted', async () => {
  const { produce, engine } = await open(1, { 'cleanup.policy': 'compact,delete' })
  await produce('t', [{ key: '' }])
  await assert.rejects(produce('t', [{ key: 'k' }, {}]), refusal('invalid_record', { index: 1 }))
  assert.equal(engine.appends.length, 1)
})

test('reports bad records in place and stores the rest', async () => {
  const { produce, engine } = await open(2)
  const specs = [
    { partition: 9 },
    { partition: 1, value: 'a' },
    { timestamp: 2 ** 50 },
    { partition: 0, value: 'b' },
    { partition: 1, value: 'c' },
  ]
  const result = await produce('t', specs, { badRecords: 'report' })
  assert.deepEqual(rows(result), [
    { partition: -1, offset: -1, error: 'unknown_topic_or_partition' },
    { partition: 1, offset: 0 },
    { partition: -1, offset: -1, error: 'invalid_timestamp' },
    { partition: 0, offset: 0 },
    { partition: 1, offset: 1 },
  ])
  assert.equal(result.failure, undefined)
  assert.equal(engine.records('t', 1).length, 2)
  const none = await produce('t', [{ partition: 9 }], { badRecords: 'report' })
  assert.deepEqual(rows(none), [{ partition: -1, offset: -1, error: 'unknown_topic_or_partition' }])
})

// A batch's header takes 61 bytes. An empty record takes 7; this value takes two bytes for each of its two lengths.
const HUNDRED = 'x'.repeat(92)
const recordBytes = 7 + 1 + 92 + 1

test("refuses what makes a batch over the topic's max.message.bytes, to the byte", async () => {
  const limit = 61 + 2 * recordBytes
  const { produce, engine } = await open(2, { 'max.message.bytes': String(limit) })
  const two = [
    { value: HUNDRED, partition: 1 },
    { value: HUNDRED, partition: 1 },
  ]
  await produce('t', two)
  assert.equal(engine.batches('t', 1)[0]?.bytes.length, limit)
  await assert.rejects(
    produce('t', [{ value: HUNDRED, partition: 0 }, ...two, { value: '', partition: 1 }]),
    refusal('message_too_large', { partition: 1, size: limit + 7, limit }),
  )
  await assert.rejects(
    produce('t', [{ value: 'y' }, { value: HUNDRED.repeat(4), partition: 1 }]),
    refusal('message_too_large', { partition: 1, index: 1 }),
  )
  assert.equal(engine.appends.length, 1)
})

test('reports a record that is too large alone, and those that are too large together', async () => {
  const { produce } = await open(2, { 'max.message.bytes': String(61 + 2 * recordBytes) })
  const small = { value: HUNDRED, partition: 0 }
  const large = { value: HUNDRED.repeat(3), partition: 0 }
  const alone = await produce('t', [small, large, small], { badRecords: 'report' })
  assert.deepEqual(rows(alone), [
    { partition: 0, offset: 0 },
    { partition: -1, offset: -1, error: 'message_too_large' },
    { partition: 0, offset: 1 },
  ])
  const together = await produce('t', [small, large, small, small, { partition: 1 }], { badRecords: 'report' })
  assert.deepEqual(
    rows(together).map(({ error }) => error),
    ['message_too_large', 'message_too_large', 'message_too_large', 'message_too_large', undefined],
  )
  assert.equal(together.offset(4), 0)
})

test('measures a batch as the topic compresses it', async () => {
  const { produce, engine } = await open(1, { 'max.message.bytes': '200', 'compression.type': 'gzip' })
  await produce('t', [{ value: 'x'.repeat(5000) }])
  assert.equal((engine.batches('t', 0)[0]?.header.attributes ?? 0) & 7, 1)
  assert.deepEqual(
    engine.records('t', 0).map(({ value }) => value?.length),
    [5000],
  )
  const noise = [1, 2, 3, 4].map((seed) => createHash('sha512').update(`${seed}`).digest('base64')).join('')
  await assert.rejects(produce('t', [{ value: noise }]), refusal('message_too_large'))
})

test('weighs compressed records before it stores any, in all partitions or each by itself', async () => {
  const { produce, engine } = await open(2, { 'max.message.bytes': '200', 'compression.type': 'gzip' })
  const noise = [1, 2, 3, 4].map((seed) => createHash('sha512').update(`${seed}`).digest('base64')).join('')
  const specs = [{ value: 'x'.repeat(5000) }, { value: noise, partition: 1 }, { value: 'y'.repeat(5000), partition: 1 }]
  const placed = specs.map((spec) => ({ partition: 0, ...spec }))
  await assert.rejects(produce('t', placed), refusal('message_too_large', { partition: 1, index: 1, limit: 200 }))
  assert.equal(engine.appends.length, 0)
  const reported = await produce('t', placed, { badRecords: 'report' })
  assert.deepEqual(rows(reported), [
    { partition: 0, offset: 0 },
    { partition: -1, offset: -1, error: 'message_too_large' },
    { partition: 1, offset: 0 },
  ])
})

test('refuses a request without records, and one with too many', async () => {
  const { produce, service } = await open()
  await assert.rejects(produce('t', []), refusal('invalid_request'))
  const many = new Array(PRODUCE_RECORDS_MAX + 1).fill(record({}))
  const options = { acks: 'all', badRecords: 'report' } as const
  await assert.rejects(service.produce(caller, 't', many, options), refusal('invalid_request'))
})

test('keeps internal topics closed unless the operator opened them', async () => {
  const engine = new MemoryEngine()
  const closed = openService(engine)
  await assert.rejects(closed.produce('_schemas', [{ key: 'k' }]), refusal('topic_authorization_failed'))
  await assert.rejects(closed.produce('__x', [{}]), refusal('topic_authorization_failed'))
  assert.equal(engine.created, 0)
  const opened = openService(engine, { allowInternalTopics: true })
  assert.deepEqual(offsets(await opened.produce('__x', [{}])), [0])
})

test('takes acks leader but not all where more replicas must be in sync than there can be', async () => {
  const { produce } = await open(1, { 'min.insync.replicas': '2' })
  await assert.rejects(produce('t', [{}]), refusal('not_enough_replicas', { min_insync_replicas: 2 }))
  await assert.rejects(produce('t', [{}]), { retriable: false, message: /acks=1, or set min\.insync\.replicas to 1$/ })
  await produce('t', [{}], { acks: 'leader' })
  await produce('t', [{}], { acks: 'none' })
})

test('makes a topic at its first accepted record, once for all that ask', async () => {
  const engine = new MemoryEngine({ partitionCountDefault: 3 })
  const { produce } = openService(engine, { defaultPartitionCount: 3 })
  const results = await Promise.all([0, 1, 2, 2].map((partition) => produce('new', [{ partition }])))
  assert.equal(engine.created, 1)
  assert.deepEqual(results.flatMap(offsets), [0, 0, 0, 1])
})

test('makes no topic for a request that is refused', async () => {
  const engine = new MemoryEngine()
  const { produce } = openService(engine)
  await assert.rejects(produce('new', [{ partition: 1 }]), refusal('unknown_topic_or_partition', { index: 0 }))
  await assert.rejects(produce('new', [{ timestamp: 2 ** 50 }]), refusal('invalid_timestamp'))
  await assert.rejects(produce('new', []), refusal('invalid_request'))
  await assert.rejects(produce('a/b', [{}]), refusal('invalid_topic_exception'))
  const producer = { name: '', epoch: 0, sequence: 0 }
  await assert.rejects(produce('new', [{}], { producer }), refusal('invalid_request'))
  const result = await produce('new', [{ partition: 1 }], { badRecords: 'report' })
  assert.equal(result.error(0)?.code, 'unknown_topic_or_partition')
  assert.equal(engine.created, 0)
})

test('does not know a topic that it may not make', async () => {
  const engine = new MemoryEngine()
  const { produce } = openService(engine, { autoCreateTopics: false })
  await assert.rejects(produce('new', [{}]), refusal('unknown_topic_or_partition', { topic: 'new' }))
})

test('lets the other partitions stand when one fails', async () => {
  const { produce, engine } = await open(3)
  engine.beforeWrite = ({ partition }) => {
    if (partition === 1) throw new TailraceError('kafka_storage_error', 'offline')
  }
  const result = await produce('t', [{ partition: 0 }, { partition: 1 }, { partition: 2 }, { partition: 1 }])
  assert.deepEqual(rows(result), [
    { partition: 0, offset: 0 },
    { partition: 1, offset: -1, error: 'kafka_storage_error' },
    { partition: 2, offset: 0 },
    { partition: 1, offset: -1, error: 'kafka_storage_error' },
  ])
  assert.equal(result.failure?.code, 'kafka_storage_error')
})

test('sends keyless requests elsewhere after a partition failed', async () => {
  const { produce, engine } = await open(2)
  engine.beforeWrite = ({ partition }) => {
    if (partition === 0) throw new TailraceError('kafka_storage_error', 'offline')
  }
  const first = await produce('t', [{}])
  assert.equal(first.failure?.code, 'kafka_storage_error')
  const second = await produce('t', [{}])
  assert.deepEqual(rows(second), [{ partition: 1, offset: 0 }])
})

test('says so when the topic was deleted, or made again, between check and append', async () => {
  const { produce, engine } = await open()
  const gate = barrier()
  engine.beforeWrite = () => gate.passed
  const inFlight = produce('t', [{}])
  const waiting = produce('t', [{}])
  await engine.deleteTopic('t')
  await engine.createTopic({ name: 't' })
  gate.open()
  await inFlight
  assert.equal((await waiting).failure?.code, 'topic_recreated')
  assert.deepEqual(offsets(await produce('t', [{}])), [0])
})

test('takes no more when it closes, and waits for what it took', async () => {
  const { produce, engine, service } = await open()
  const gate = barrier()
  engine.beforeWrite = () => gate.passed
  const first = produce('t', [{}])
  const second = produce('t', [{}])
  let closed = false
  const closing = Promise.all([service.close(), service.close()]).then(() => {
    closed = true
  })
  await assert.rejects(produce('t', [{}]), refusal('shutting_down'))
  await settle()
  assert.equal(closed, false)
  gate.open()
  await closing
  assert.deepEqual([offsets(await first), offsets(await second)], [[0], [1]])
})

test('counts requests, records, bytes and how many requests shared a batch', async () => {
  const { produce, telemetry } = await open()
  await Promise.all([produce('t', [{}, {}]), produce('t', [{}]), produce('t', [{}])])
  assert.deepEqual([telemetry.produceRequests, telemetry.recordsIn], [3, 4])
  assert.deepEqual([telemetry.gatheredRequests.count, telemetry.gatheredRequests.sum], [2, 3])
  assert.ok(telemetry.bytesIn > 2 * 61)
})
