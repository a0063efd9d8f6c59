// What happens to polls while their calls are under way: partitions go, leases could run out, groups are reset.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGroupService } from '../../src/service/groups/groups.ts'
import { holdCall, holdStateWrite } from '../support/held-call.ts'
import { caller, openPollBench } from '../support/poll-bench.ts'

test('a delivery that takes longer to be counted than its lease lasts is given all the same, and is no dead letter', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  const write = holdStateWrite(bench.engine)
  const polling = bench.take({ leaseMs: 1_000, maxAttempts: 1 })
  await bench.until(() => write.isHeld)
  await bench.advance(1_500)
  assert.deepEqual(await bench.polls.leases(caller, 'g'), [], 'nobody has it yet')
  write.letGo()
  assert.deepEqual((await polling).records, ['0:0=a'])
  assert.equal((await bench.polls.leases(caller, 'g')).length, 1)
  assert.deepEqual(await bench.deadLetters(), [])
  await bench.advance(1_000)
  await bench.until(async () => (await bench.deadLetters()).length === 1)
})

test('a record that nobody was given, because another partition was lost meanwhile, is not tried', async (t) => {
  const bench = await openPollBench(t)
  await bench.engine.createTopic({ name: 'other', partitionCount: 1 })
  const topics = ['jobs', 'other']
  await bench.take({ topics })
  await bench.produce('jobs', 0, 'a')
  await bench.produce('other', 0, 'b')
  const write = holdStateWrite(bench.engine)
  const polling = bench.take({ topics, maxAttempts: 1 })
  await bench.until(() => write.isHeld)
  await bench.engine.deleteTopic('other')
  await bench.settle()
  write.letGo()
  const { given } = await polling
  assert.deepEqual(
    given.map(({ value, attempts }) => [value, attempts]),
    [['a', 1]],
  )
  assert.deepEqual(await bench.deadLetters(), [])
})

test('a poll under way when its group is reset is answered when that has its partitions again', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c', 'd')
  const first = await bench.take({ limit: 3 })
  const write = holdStateWrite(bench.engine)
  const acking = bench.judge(first.lease, { accepted: [1] }, { keep: true })
  await bench.until(() => write.isHeld)
  const polling = bench.take({ limit: 1, waitMs: 5_000 })
  await bench.settle()
  const groups = createGroupService({ engine: bench.engine, clock: bench.clock, polls: bench.polls })
  const target = { kind: 'position', position: { kind: 'earliest' } } as const
  await groups.resetOffsets(caller, 'g', { target, dryRun: false, force: true })
  await bench.settle()
  write.letGo()
  assert.deepEqual((await polling).records, ['0:0=a'])
  await acking
})

for (const mode of ['exclusive', 'shared'] as const) {
  test(`${mode}: a poll of two topics goes on when one is deleted while it is read`, async (t) => {
    const bench = await openPollBench(t)
    await bench.engine.createTopic({ name: 'other', partitionCount: 1 })
    const topics = ['jobs', 'other']
    await bench.poll({ mode, topics })
    await bench.produce('jobs', 0, 'a')
    await bench.produce('other', 0, 'b')
    const read = holdCall(bench.engine, 'fetch', 'after', (places) =>
      places.some(({ topic }) => topic.name === 'other'),
    )
    const polling = bench.poll({ mode, topics, waitMs: 2_000 })
    await bench.until(() => read.isHeld)
    await bench.engine.deleteTopic('other')
    await bench.settle()
    read.letGo()
    assert.deepEqual((await polling).records, ['0:0=a'])
  })

  for (const [doing, name] of [
    ['read', 'fetch'],
    ['begun', 'listOffsets'],
  ] as const) {
    test(`${mode}: a topic that is deleted while it is ${doing}, and made again, is read as if it had been the first`, async (t) => {
      const bench = await openPollBench(t)
      await bench.produce('jobs', 0, 'a')
      await bench.engine.groups.commit({ groupId: 'g', offsets: [{ topic: 'jobs', partition: 0, offset: 0 }] })
      const call = holdCall(bench.engine, name, 'before')
      const polling = bench.poll({ mode, waitMs: 2_000 }).catch(({ code }) => code)
      await bench.until(() => call.isHeld)
      await bench.engine.deleteTopic('jobs')
      await bench.settle()
      call.letGo()
      await bench.settle()
      await bench.advance(2_000)
      await polling
      await bench.engine.createTopic({ name: 'jobs', partitionCount: 1 })
      await bench.settle()
      for (let poll = 0; poll < 2; poll++) {
        const { records, polled } = await bench.poll({ mode })
        assert.deepEqual([records, polled.faults], [[], []])
        await bench.advance(5_000)
      }
      await bench.produce('jobs', 0, 'b')
      assert.deepEqual((await bench.poll({ mode, waitMs: 1_000 })).records, ['0:0=b'])
    })
  }
}

for (const mode of ['exclusive', 'shared'] as const) {
  test(`${mode}: a gap that did not go out is told of no topic that was made since`, async (t) => {
    const bench = await openPollBench(t)
    await bench.produce('jobs', 0, 'a', 'b', 'c')
    await bench.polls.release(caller, 'g', (await bench.poll({ mode, limit: 1 })).lease)
    const topic = bench.engine.findTopic('jobs')
    assert.ok(topic)
    await bench.engine.deleteRecords(topic, 0, 2)
    const { records, polled } = await bench.poll({ mode })
    assert.deepEqual([records, polled.gaps.length], [['0:2=c'], 1])
    await bench.engine.deleteTopic('jobs')
    await bench.engine.createTopic({ name: 'jobs', partitionCount: 1 })
    await bench.settle()
    polled.settle(false)
    await bench.settle()
    await bench.produce('jobs', 0, 'x')
    const next = await bench.poll({ mode, waitMs: 1_000 })
    assert.deepEqual([next.records, next.polled.gaps], [['0:0=x'], []])
  })
}

test('a gap of a topic that is gone is told of none that is made after it', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c')
  const first = await bench.take({ limit: 1 })
  await bench.polls.release(caller, 'g', first.lease)
  const topic = bench.engine.findTopic('jobs')
  assert.ok(topic)
  await bench.engine.deleteRecords(topic, 0, 3)
  const read = holdCall(bench.engine, 'fetch', 'after')
  const polling = bench.take({ waitMs: 2_000 })
  await bench.until(() => read.isHeld)
  await bench.engine.deleteTopic('jobs')
  await bench.engine.createTopic({ name: 'jobs', partitionCount: 1 })
  await bench.settle()
  read.letGo()
  await bench.settle()
  await bench.produce('jobs', 0, 'x')
  const { records, polled } = await polling
  assert.deepEqual([records, polled.gaps], [['0:0=x'], []])
})
