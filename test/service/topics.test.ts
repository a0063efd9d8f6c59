import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PARTITIONS_MAX, TOPIC_PARTITIONS_MAX } from '../../src/kernel/limits.ts'
import type { TopicServiceOptions } from '../../src/service/topics.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { barrier, caller, openService, refusal, settle } from './produce-fixture.ts'

function open(options: Partial<TopicServiceOptions> = {}) {
  const engine = new MemoryEngine()
  return { engine, topics: openService(engine, options).topics }
}

test('creates a topic and describes it', async () => {
  const { topics } = open()
  const configs = { 'retention.ms': '1000' }
  const made = await topics.create(caller, { name: 'orders', partitionCount: 3, replicationFactor: 1, configs })
  assert.deepEqual(
    made.partitions.map(({ partition, endOffset }) => [partition, endOffset]),
    [
      [0, 0],
      [1, 0],
      [2, 0],
    ],
  )
  const set = made.configs.filter(({ source }) => source === 'DYNAMIC_TOPIC_CONFIG')
  assert.deepEqual(
    set.map(({ name, value }) => [name, value]),
    [['retention.ms', '1000']],
  )
  assert.equal(topics.get(caller, 'orders').id, made.topic.id)
  assert.deepEqual(await topics.describe(caller, 'orders'), made)
})

test('refuses a topic for each thing that may be wrong with it, and makes none', async () => {
  const { engine, topics } = open()
  const create = (spec: object) => topics.create(caller, { name: 'a', ...spec })
  for (const name of ['', '.', '..', 'a/b', 'a b', 'a\0', '%2e%2e', 'x'.repeat(250)]) {
    await assert.rejects(create({ name }), refusal('invalid_topic_exception'))
  }
  for (const partitionCount of [0, -1, 1.5, Number.NaN, TOPIC_PARTITIONS_MAX + 1]) {
    await assert.rejects(create({ partitionCount }), refusal('invalid_partitions', { max: TOPIC_PARTITIONS_MAX }))
  }
  for (const replicationFactor of [0, -2, 1.5]) {
    await assert.rejects(create({ replicationFactor }), refusal('invalid_replication_factor'))
  }
  await assert.rejects(create({ replicationFactor: 3 }), {
    code: 'invalid_replication_factor',
    message: 'Replication factor: 3 larger than available brokers: 1.',
  })
  await assert.rejects(create({ configs: { 'retention.ms': 'soon' } }), refusal('invalid_config'))
  await assert.rejects(create({ configs: { 'no.such.config': '1' } }), refusal('invalid_config'))
  await assert.rejects(create({ name: '__mine' }), refusal('topic_authorization_failed'))
  assert.equal(engine.created, 0)
  await create({ replicationFactor: -1 })
  await assert.rejects(create({}), refusal('topic_already_exists', { topic: 'a' }))
})

test('holds all topics together to a bound', async () => {
  const { topics } = open()
  for (let at = 0; at < PARTITIONS_MAX / TOPIC_PARTITIONS_MAX; at++) {
    await topics.create(caller, { name: `t${at}`, partitionCount: TOPIC_PARTITIONS_MAX })
  }
  await assert.rejects(topics.create(caller, { name: 'more' }), refusal('invalid_partitions', { max: PARTITIONS_MAX }))
})

test('lists topics by name in pages, internal ones when asked', async () => {
  const { topics } = open({ allowInternalTopics: true })
  for (const name of ['b', 'a', '_schemas', 'c', '__x', 'B']) await topics.create(caller, { name })
  const names = (after: string, limit: number, includeInternal = false) => {
    const page = topics.list(caller, { after, limit, includeInternal })
    return [page.topics.map(({ name }) => name), page.nextAfter]
  }
  assert.deepEqual(names('', 10), [['B', 'a', 'b', 'c'], undefined])
  assert.deepEqual(names('', 2), [['B', 'a'], 'a'])
  assert.deepEqual(names('a', 2), [['b', 'c'], undefined])
  assert.deepEqual(names('aa', 1), [['b'], 'b'])
  assert.deepEqual(names('z', 1), [[], undefined])
  assert.deepEqual(names('', 10, true), [['B', '__x', '_schemas', 'a', 'b', 'c'], undefined])
})

test('grows a topic and changes its configs, or nothing at all', async () => {
  const { topics } = open()
  await topics.create(caller, { name: 't', partitionCount: 2, configs: { 'retention.ms': '1000' } })
  const alter = (changes: object) => topics.alter(caller, 't', changes)
  await assert.rejects(alter({ partitionCount: 4, configs: { 'segment.bytes': 'x' } }), refusal('invalid_config'))
  await assert.rejects(
    alter({ partitionCount: 1, configs: { 'segment.bytes': '70000' } }),
    refusal('invalid_partitions', { min: 2 }),
  )
  await assert.rejects(alter({ configs: { 'no.such.config': null } }), refusal('invalid_config'))
  await assert.rejects(alter({ partitionCount: TOPIC_PARTITIONS_MAX + 1 }), refusal('invalid_partitions'))
  const { topic } = await topics.describe(caller, 't')
  assert.deepEqual([topic.partitionCount, topic.configOverrides], [2, { 'retention.ms': '1000' }])

  const grown = await alter({ partitionCount: 4, configs: { 'retention.ms': null, 'segment.bytes': '70000' } })
  assert.deepEqual([grown.partitions.length, grown.topic.configOverrides], [4, { 'segment.bytes': '70000' }])
  assert.equal((await alter({ partitionCount: 4 })).topic.partitionCount, 4)
  await assert.rejects(topics.alter(caller, 'none', {}), refusal('unknown_topic_or_partition', { topic: 'none' }))
})

test('deletes a topic, unless deletion is off', async () => {
  const { topics, engine } = open()
  await topics.create(caller, { name: 't' })
  await topics.delete(caller, 't')
  assert.equal(engine.findTopic('t'), undefined)
  await assert.rejects(topics.delete(caller, 't'), refusal('unknown_topic_or_partition'))
  await assert.rejects(topics.describe(caller, 't'), refusal('unknown_topic_or_partition'))
  await assert.rejects(topics.delete(caller, '_schemas'), refusal('topic_authorization_failed'))
  const kept = open({ deleteTopics: false })
  await kept.topics.create(caller, { name: 't' })
  await assert.rejects(kept.topics.delete(caller, 't'), refusal('topic_deletion_disabled'))
})

test('grows one at a time, after the named requests that were placed before and before those that come later', async () => {
  const { topics } = open()
  const { placement } = topics
  const log: string[] = []
  const [first, second] = [barrier(), barrier()]
  assert.equal(placement.enter('t'), undefined)
  assert.equal(placement.enter('t'), undefined)
  const growths = [first, second].map((gate, at) =>
    placement.alone('t', async () => {
      log.push(`grow ${at}`)
      await gate.passed
      log.push(`grown ${at}`)
    }),
  )
  await settle()
  const later = placement.enter('t')
  assert.notEqual(later, undefined)
  assert.equal(placement.enter('other'), undefined)
  placement.leave('t')
  await settle()
  assert.deepEqual(log, [])
  placement.leave('t')
  await settle()
  assert.deepEqual(log, ['grow 0'])
  first.open()
  second.open()
  await Promise.all([...growths, later])
  assert.deepEqual(log, ['grow 0', 'grown 0', 'grow 1', 'grown 1'])
  assert.equal(placement.enter('t'), undefined)
})

test('lets topics grow again after a growth failed', async () => {
  const { placement } = open().topics
  await assert.rejects(
    placement.alone('t', () => Promise.reject(new Error('no'))),
    /no/,
  )
  assert.equal(await placement.alone('t', async () => 7), 7)
})
