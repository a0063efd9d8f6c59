// What a fetch over many partitions looks at, counted by how often its positions are read: never by the time it takes.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { Engine, FetchOptions, FetchPosition, Topic } from '../../src/engine/engine.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { toParts } from '../record/records.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'

const WAITING: FetchOptions = { minBytes: 1, maxBytes: 1_000_000, maxWaitMs: 60_000, isolation: 'read_committed' }

async function open(t: TestContext, partitionCount: number) {
  const telemetry = new Telemetry()
  const engine = await openLocalEngine(engineOptions(temporaryDirectory(t), { telemetry }))
  t.after(() => engine.close())
  const topic = await engine.createTopic({ name: 't', partitionCount })
  const untilWaiting = async (count: number) => {
    while (telemetry.waitingFetches < count) await new Promise((resolve) => setImmediate(resolve))
  }
  return { engine, topic, untilWaiting }
}

function batchOf(value: string) {
  return sealBatch(toParts([{ timestamp: 1, key: null, value, headers: [] }]), { compression: 'none' })
}

function append(engine: Engine, topic: Topic, partition: number, value = 'v') {
  return engine.append(topic, partition, [batchOf(value)], 'all')
}

/** All partitions from their first offset, and how often one of them was looked at. */
function countedPositions(topic: Topic) {
  const looks = { count: 0 }
  const positions = Array.from({ length: topic.partitionCount }, (_, partition): FetchPosition => {
    return {
      topic,
      partition,
      get offset() {
        looks.count++
        return 0
      },
    }
  })
  return { positions, looks }
}

test('a woken fetch looks only at the partition that got something', async (t) => {
  const { engine, topic, untilWaiting } = await open(t, 500)
  const { positions, looks } = countedPositions(topic)
  const fetching = engine.fetch(positions, WAITING)
  await untilWaiting(1)
  const before = looks.count
  await append(engine, topic, 321)
  const fetched = await fetching
  assert.ok(looks.count - before <= 3, `${looks.count - before} looks`)
  assert.equal(fetched.length, 500)
  assert.deepEqual(
    fetched.filter(({ bytes }) => bytes.length > 0).map(({ partition, highWatermark }) => [partition, highWatermark]),
    [[321, 1]],
  )
})

test('one that waits for more bytes keeps what it has, and reads again only where more came', async (t) => {
  const { engine, topic, untilWaiting } = await open(t, 300)
  await append(engine, topic, 5)
  const { positions, looks } = countedPositions(topic)
  const size = batchOf('v').bytes.length
  const fetching = engine.fetch(positions, { ...WAITING, minBytes: size * 4 })
  await untilWaiting(1)
  const before = looks.count
  for (const partition of [5, 9, 200]) await append(engine, topic, partition)
  const fetched = await fetching
  assert.ok(looks.count - before <= 12, `${looks.count - before} looks`)
  assert.deepEqual(
    fetched.filter(({ bytes }) => bytes.length > 0).map(({ partition, bytes }) => [partition, bytes.length / size]),
    [
      [5, 2],
      [9, 1],
      [200, 1],
    ],
  )
})

test('a wait that is over has the bounds of that moment', async (t) => {
  const { engine, topic, untilWaiting } = await open(t, 3)
  await append(engine, topic, 1)
  const positions = [0, 1, 2].map((partition) => ({ topic, partition, offset: partition === 1 ? 1 : 0 }))
  const over = new AbortController()
  const fetching = engine.fetch(positions, { ...WAITING, signal: over.signal })
  await untilWaiting(1)
  await engine.deleteRecords(topic, 1, 1)
  over.abort()
  const fetched = await fetching
  assert.deepEqual(
    fetched.map(({ logStartOffset, highWatermark }) => [logStartOffset, highWatermark]),
    [
      [0, 0],
      [1, 1],
      [0, 0],
    ],
  )
})

test('reads of a topic that is deleted while they wait all end and say so', async (t) => {
  const { engine, topic, untilWaiting } = await open(t, 20)
  const reads = Array.from({ length: 30 }, () => engine.fetch(countedPositions(topic).positions, WAITING))
  await untilWaiting(30)
  await engine.deleteTopic('t')
  for (const fetched of await Promise.all(reads)) {
    assert.deepEqual([...new Set(fetched.map(({ error }) => error?.code))], ['unknown_topic_or_partition'])
  }
})
