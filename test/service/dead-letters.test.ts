import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { TailraceError } from '../../src/kernel/errors.ts'
import { DEAD_LETTERS_BYTES_MAX, SHARED_WINDOW_RECORDS_MAX } from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { SharedBurials } from '../../src/service/leases/shared/shared-burials.ts'
import { SharedSlot } from '../../src/service/leases/shared/shared-slot.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import type { Polled } from '../support/poll-bench.ts'
import { caller, openPollBench } from '../support/poll-bench.ts'

const faultsOf = ({ polled }: Polled) =>
  polled.faults.map(({ topic, partition, fault }) => [topic, partition, fault.code])

async function openWithCompactedGrave(t: TestContext) {
  const bench = await openPollBench(t)
  await bench.engine.createTopic({ name: 'jobs.dlq', partitionCount: 1, configs: { 'cleanup.policy': 'compact' } })
  return bench
}

test('a topic whose dead-letter topic could have no name is refused, by name and by a pattern', async (t) => {
  const bench = await openPollBench(t)
  const name = 'n'.repeat(246)
  await bench.engine.createTopic({ name, partitionCount: 1 })
  await bench.append(name, 0, [{ value: 'a' }])
  await assert.rejects(bench.take({ topics: [name] }), { code: 'invalid_request', details: { topic: name } })
  await assert.rejects(bench.take({ group: 'other', subscription: { pattern: 'n.*' } }), { code: 'invalid_request' })
  assert.equal((await bench.poll({ group: 'ordered', topics: [name] })).records.length, 1)
  await bench.produce('jobs', 0, 'b')
  const both = await bench.take({ group: 'both', subscription: { pattern: 'n.*|jobs' } })
  assert.deepEqual([both.records, faultsOf(both)], [['0:0=b'], [[name, 0, 'invalid_request']]])
})

test('what cannot be buried is told with every poll, and no more when it is buried', async (t) => {
  const bench = await openWithCompactedGrave(t)
  const values = Array.from({ length: SHARED_WINDOW_RECORDS_MAX + 1 }, (_, at) => String(at))
  await bench.produce('jobs', 0, ...values)
  await bench.judge((await bench.take({ limit: 1 })).lease, { rejected: [0] })
  const rest = await bench.take({ limit: 10_000 })
  assert.deepEqual(
    [rest.given.length, faultsOf(rest)],
    [SHARED_WINDOW_RECORDS_MAX - 1, [['jobs', 0, 'invalid_record']]],
  )
  assert.match(String(rest.polled.faults[0]?.fault.message), /cannot be put into topic jobs\.dlq/)
  await bench.polls.ack(caller, 'g', rest.lease, { accept: 'all' })
  const none = await bench.take()
  assert.deepEqual([none.given, faultsOf(none)], [[], [['jobs', 0, 'invalid_record']]])
  await bench.engine.alterTopicConfigs('jobs.dlq', { 'cleanup.policy': 'delete' })
  await bench.advance(1_000)
  await bench.until(async () => (await bench.committed())[0] === `jobs-0=${SHARED_WINDOW_RECORDS_MAX}`)
  await bench.settle()
  const last = await bench.take()
  assert.deepEqual([last.given.length, faultsOf(last)], [1, []])
})

test('what cannot be buried is tried again ever later, and acks do not try it sooner', async (t) => {
  const bench = await openWithCompactedGrave(t)
  const { append } = bench.engine
  let tries = 0
  bench.engine.append = function (topic, ...rest) {
    if (topic.name === 'jobs.dlq') tries++
    return append.call(this, topic, ...rest)
  }
  await bench.produce('jobs', 0, 'a', 'b')
  const { lease } = await bench.take()
  await bench.judge(lease, { rejected: [0] }, { keep: true })
  assert.equal(tries, 1)
  await bench.judge(lease, { rejected: [1] })
  assert.equal(tries, 1)
  // later its member would have left
  for (const [at, seconds] of [1, 2, 4, 8].entries()) {
    await bench.advance(seconds * 1_000 - 1)
    assert.equal(tries, at + 1)
    await bench.advance(1)
    await bench.until(() => tries === at + 2)
    await bench.settle()
  }
})

test('large dead letters are put away a few at a time, each once', async (t) => {
  const bench = await openPollBench(t)
  const count = 6
  const sizeBytes = DEAD_LETTERS_BYTES_MAX / 2 - 1
  for (let at = 0; at < count; at++) await bench.produce('jobs', 0, String(at).repeat(sizeBytes))
  const { append } = bench.engine
  const appended: number[] = []
  bench.engine.append = async function (topic, partition, batches, ...rest) {
    if (topic.name !== 'jobs.dlq') return await append.call(this, topic, partition, batches, ...rest)
    appended.push(batches.reduce((bytes, batch) => bytes + batch.bytes.length, 0))
    if (appended.length === 2) throw new TailraceError('disk_full', 'it is full')
    return await append.call(this, topic, partition, batches, ...rest)
  }
  const { lease, given } = await bench.take({ maxBytes: 2 * count * sizeBytes })
  await bench.judge(lease, { rejected: given.map(({ offset }) => offset) })
  await bench.advance(1_000)
  await bench.until(async () => (await bench.committed())[0] === `jobs-0=${count}`)
  assert.ok(appended.length > count / 3 && Math.max(...appended) < 2 * DEAD_LETTERS_BYTES_MAX, `${appended}`)
  const letters = (await bench.deadLetters()).map((letter) => letter.replace(/=(.)\1*/, '=$1'))
  assert.deepEqual(
    letters,
    Array.from({ length: count }, (_, at) => `g/jobs/0/${at}=${at} rejected 1`),
  )
})

test('who looks again for what may have been buried goes on where it looked last', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  const { append, fetch } = bench.engine
  let isFull = true
  const lookedAt: number[] = []
  bench.engine.append = async function (topic, partition, batches, ...rest) {
    const [batch] = batches
    if (topic.name === 'jobs.dlq' && isFull) throw new TailraceError('disk_full', `no room for ${batch?.bytes.length}`)
    return await append.call(this, topic, partition, batches, ...rest)
  }
  bench.engine.fetch = async function (positions, ...rest) {
    for (const { topic, offset } of positions) if (topic.name === 'jobs.dlq') lookedAt.push(offset)
    return await fetch.call(this, positions, ...rest)
  }
  await bench.judge((await bench.take()).lease, { rejected: [0] })
  for (const seconds of [1, 2, 4]) {
    isFull = false
    await bench.produce('jobs.dlq', 0, 'of', 'others')
    isFull = true
    await bench.advance(seconds * 1_000)
    await bench.until(() => lookedAt.length === (seconds === 4 ? 3 : seconds))
    await bench.settle()
  }
  assert.deepEqual(lookedAt, [0, 2, 4])
  isFull = false
  await bench.advance(8_000)
  await bench.until(async () => (await bench.committed())[0] === 'jobs-0=1')
  assert.deepEqual((await bench.deadLetters()).slice(6), ['g/jobs/0/0=a rejected 1'])
})

test('a record that is condemned just as the burial of others ends is buried too', async () => {
  const topic = await new MemoryEngine().createTopic({ name: 'jobs', partitionCount: 1 })
  const slot = new SharedSlot({ topic, partition: 0 })
  const buried: number[] = []
  const condemn = (offset: number) => {
    const record = slot.window.append(offset)
    assert.ok(record)
    slot.settle(record, 'rejected')
    burials.start(slot)
  }
  const burials = new SharedBurials({
    host: { groupId: 'g', troubled: () => assert.fail('nothing fails here') },
    store: { write: async () => {} },
    deadLetters: {
      openGrave: async () => ({ topicId: 'dlq', partition: 0, from: 0 }),
      bury: async (_groupId, _partition, letters) => void buried.push(...letters.map(({ offset }) => offset)),
    },
    onBuried: () => {
      const next = slot.window.end
      if (next < 8) afterMicrotasks(next - 1, () => condemn(next))
    },
    clock: new FakeClock(),
    logger: silentLogger,
  })
  condemn(0)
  await turnOfTheLoop()
  assert.deepEqual(buried, [0, 1, 2, 3, 4, 5, 6, 7])
})

function afterMicrotasks(count: number, then: () => void): void {
  if (count === 0) then()
  else queueMicrotask(() => afterMicrotasks(count - 1, then))
}
