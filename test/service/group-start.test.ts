import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { Engine, Topic } from '../../src/engine/engine.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { NO_HEADERS } from '../../src/record/record.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import type { ResetPolicy } from '../../src/service/read/group-start.ts'
import { startPartitions } from '../../src/service/read/group-start.ts'
import { roomForInflated } from '../support/byte-room.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { refusal } from './produce-fixture.ts'

const EARLIEST = { kind: 'earliest' } as const
const LATEST = { kind: 'latest' } as const

/** Two partitions of ten records each, of which the first three are deleted; record n is of second n. */
async function openTopic(t: TestContext): Promise<{ engine: Engine; topic: Topic }> {
  const engine = await openLocalEngine(engineOptions(temporaryDirectory(t)))
  t.after(() => engine.close())
  const topic = await engine.createTopic({ name: 'orders', partitionCount: 2 })
  const value = Buffer.from('x')
  const bytes = {
    key: value,
    keyStart: -1,
    keyEnd: -1,
    value,
    valueStart: 0,
    valueEnd: value.length,
    headers: NO_HEADERS,
  }
  const records = Array.from({ length: 10 }, (_, at) => ({ ...bytes, timestamp: at * 1_000 }))
  for (const partition of [0, 1]) {
    await engine.append(topic, partition, [sealBatch(records, { compression: 'none' })], 'all')
    await engine.deleteRecords(topic, partition, 3)
  }
  return { engine, topic }
}

async function start(engine: Engine, topic: Topic, policy: ResetPolicy, partitions = [0, 1]) {
  const parts = { engine, clock: systemClock, inflations: roomForInflated() }
  const owned = partitions.map((partition) => ({ topic, partition }))
  const started = await startPartitions(parts, 'readers', owned, policy)
  assert.deepEqual(
    started.map((one) => one.owned),
    owned,
  )
  return started.map(({ how, offset, error }) => `${how} ${offset}${error === undefined ? '' : ` ${error.code}`}`)
}

function commit(engine: Engine, partition: number, offset: number) {
  return engine.groups.commit({ groupId: 'readers', offsets: [{ topic: 'orders', partition, offset }] })
}

test('begins where the group has committed, else where the policy says', async (t) => {
  const { engine, topic } = await openTopic(t)
  await commit(engine, 1, 7)
  assert.deepEqual(await start(engine, topic, EARLIEST), ['reset 3', 'resumed 7'])
  assert.deepEqual(await start(engine, topic, LATEST, [1, 0]), ['resumed 7', 'reset 10'])
  assert.deepEqual(await start(engine, topic, { kind: 'none' }), ['refused -1 offset_out_of_range', 'resumed 7'])
  assert.deepEqual(await start(engine, topic, { kind: 'time', timestamp: 5_000 }), ['reset 5', 'resumed 7'])
  assert.deepEqual(await start(engine, topic, { kind: 'last', recordCount: 2 }), ['reset 8', 'resumed 7'])
  assert.deepEqual(await start(engine, topic, EARLIEST, []), [])
})

test('a committed offset that is not there any more counts as none; the end itself is there', async (t) => {
  const { engine, topic } = await openTopic(t)
  await commit(engine, 0, 2)
  await commit(engine, 1, 11)
  assert.deepEqual(await start(engine, topic, EARLIEST), ['reset 3', 'reset 3'])
  assert.deepEqual(await start(engine, topic, LATEST), ['reset 10', 'reset 10'])
  const parts = { engine, clock: systemClock, inflations: roomForInflated() }
  const [lost] = await startPartitions(parts, 'readers', [{ topic, partition: 0 }], { kind: 'none' })
  assert.deepEqual([lost?.committed, lost?.error?.details], [2, { topic: 'orders', partition: 0, offset: 2 }])
  await commit(engine, 0, 3)
  await commit(engine, 1, 10)
  assert.deepEqual(await start(engine, topic, { kind: 'none' }), ['resumed 3', 'resumed 10'])
})

test('one partition that cannot be asked keeps no other from being read', async (t) => {
  const { engine, topic } = await openTopic(t)
  const offline = new TailraceError('kafka_storage_error', 'offline')
  const broken: Engine = Object.create(engine, {
    listOffsets: {
      value: (queries: Parameters<Engine['listOffsets']>[0]) =>
        queries.some(({ partition }) => partition === 0) ? Promise.reject(offline) : engine.listOffsets(queries),
    },
    groups: { value: engine.groups },
  })
  assert.deepEqual(await start(broken, topic, EARLIEST), ['refused -1 kafka_storage_error', 'reset 3'])
  await commit(engine, 0, 5)
  assert.deepEqual(await start(broken, topic, EARLIEST), ['refused -1 kafka_storage_error', 'reset 3'])
})

test('refuses a policy that is no place in each of the partitions', async (t) => {
  const { engine, topic } = await openTopic(t)
  await assert.rejects(start(engine, topic, { kind: 'offset', offset: 5 }), refusal('invalid_position'))
  await assert.rejects(start(engine, topic, { kind: 'cursor', cursor: '' }), refusal('invalid_position'))
})
