import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describePartitionsOf } from '../../src/http/described-partitions.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { MemoryEngine } from '../support/memory-engine.ts'

test('leaves out a topic that is deleted while the others are described, and nothing else that fails', async () => {
  const engine = new MemoryEngine()
  const topics = [await engine.createTopic({ name: 'a' }), await engine.createTopic({ name: 'b', partitionCount: 2 })]
  const describe = engine.describePartitions.bind(engine)
  let code: 'unknown_topic_or_partition' | 'kafka_storage_error' = 'unknown_topic_or_partition'
  engine.describePartitions = (topic) =>
    topic.name === 'a' ? Promise.reject(new TailraceError(code, 'not to be had')) : describe(topic)
  const described = await describePartitionsOf(engine, topics)
  assert.deepEqual(
    described.map(({ topic, partition }) => `${topic}-${partition.partition}`),
    ['b-0', 'b-1'],
  )
  code = 'kafka_storage_error'
  await assert.rejects(describePartitionsOf(engine, topics), { code })
})
