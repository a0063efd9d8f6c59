// Consumers that the server keeps for clients: what of them a stop keeps, how many there may be, and what they read of a topic
// that is made again meanwhile.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CONSUMER_INSTANCES_PER_GROUP_MAX, CONSUMER_PARTITIONS_MAX } from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { ConsumerInstances } from '../../src/service/consumers/consumer-instances.ts'
import type { ConsumerSink } from '../../src/service/consumers/consumer-read.ts'
import type { ConsumerSpec } from '../../src/service/consumers/consumer-spec.ts'
import { openGroupMembers } from '../../src/service/groups/group-members.ts'
import { createStateTopic } from '../../src/service/groups/state-topic.ts'
import { createConsumeService } from '../../src/service/read/consume.ts'
import type { PollBench } from '../support/poll-bench.ts'
import { caller, openPollBench } from '../support/poll-bench.ts'

class CountingSink implements ConsumerSink {
  shownCount = 0
  readonly refused = []

  begin(): void {}

  write(): void {
    this.shownCount++
  }
}

const SPEC: ConsumerSpec = { format: 'json', offsetReset: 'earliest', autoCommit: false, fetchMinBytes: -1 }

/** They end with `work`, before the engine does. */
async function withConsumers(
  { engine, clock }: Pick<PollBench, 'engine' | 'clock'>,
  work: (consumers: ConsumerInstances) => Promise<void>,
): Promise<void> {
  const members = openGroupMembers({ engine, clock, logger: silentLogger })
  const consumers = new ConsumerInstances({
    engine,
    members,
    clock,
    consume: createConsumeService({ engine, clock, telemetry: new Telemetry() }),
    state: createStateTopic({ engine, clock }),
    assignors: ['cooperative-sticky', 'range'],
    instanceTimeoutMs: 300_000,
    requestTimeoutMs: 1_000,
    sessionTimeoutMsMin: 1,
    sessionTimeoutMsMax: 1_000_000,
  })
  try {
    await work(consumers)
  } finally {
    await consumers.close()
    await members.close()
  }
}

test('a stop keeps the places of as many partitions as a consumer may have', async (t) => {
  const bench = await openPollBench(t)
  const partitionCount = CONSUMER_PARTITIONS_MAX
  await bench.engine.createTopic({ name: 'measurements', partitionCount })
  const partitions = Array.from({ length: partitionCount }, (_, partition) => ({ topic: 'measurements', partition }))
  let places: readonly object[] = []
  await withConsumers(bench, async (consumers) => {
    await consumers.create('g', 'c', SPEC)
    const instance = await consumers.get(caller, 'g', 'c')
    await consumers.assign(instance, partitions)
    await instance.seek(partitions.map((each) => ({ ...each, to: 2 ** 40 + each.partition })))
    places = instance.save()
    assert.equal(places.length, partitionCount)
  })
  await withConsumers(bench, async (consumers) => {
    const instance = await consumers.get(caller, 'g', 'c')
    // as text: the difference of ten thousand objects takes minutes to tell
    assert.ok(JSON.stringify(await instance.assignments()) === JSON.stringify(partitions))
    assert.ok(JSON.stringify(instance.save()) === JSON.stringify(places))
  })
})

test('a group has no more consumers than it may have, also when they are made at once', async (t) => {
  await withConsumers(await openPollBench(t), async (consumers) => {
    const count = CONSUMER_INSTANCES_PER_GROUP_MAX
    const made = await Promise.allSettled(
      Array.from({ length: count + 100 }, (_, at) => consumers.create('g', `c-${at}`, SPEC)),
    )
    assert.equal(made.filter(({ status }) => status === 'fulfilled').length, count)
    await consumers.delete('g', 'c-0')
    await consumers.create('g', 'another', SPEC)
    await assert.rejects(consumers.create('g', 'one-more', SPEC), { code: 'overloaded' })
  })
})

test('a consumer reads a topic that was made again while it read the one before', async (t) => {
  const bench = await openPollBench(t)
  const { engine } = bench
  const gate = Promise.withResolvers<void>()
  let isHeld = false
  const fetch = engine.fetch.bind(engine)
  engine.fetch = async (...args) => {
    if (!isHeld) {
      isHeld = true
      await gate.promise
    }
    return await fetch(...args)
  }
  await withConsumers(bench, async (consumers) => {
    await consumers.create('g', 'c', SPEC)
    const instance = await consumers.get(caller, 'g', 'c')
    await consumers.subscribe(caller, instance, { topics: ['jobs'] })
    const read = async () => {
      const sink = new CountingSink()
      const request = { timeoutMs: 1_000, maxBytes: 1_000_000, signal: new AbortController().signal }
      const reading = instance.read(caller, request, sink)
      // its time goes by when nothing else happens
      for (let isOver = false; !isOver; ) {
        await bench.settle(50)
        isOver = await Promise.race([reading.then(() => true), bench.advance(300).then(() => false)])
      }
      ;(await reading).settle(true)
      return sink.shownCount
    }
    const first = read()
    await bench.until(() => isHeld)
    const [old] = instance.positions.all()
    await engine.deleteTopic('jobs')
    await engine.createTopic({ name: 'jobs', partitionCount: 1 })
    await bench.until(() => instance.positions.all().some(({ topic, next }) => topic !== old?.topic && next === 0))
    gate.resolve()
    assert.equal(await first, 0)
    await bench.produce('jobs', 0, '1', '2')
    assert.equal(await read(), 2)
  })
})
