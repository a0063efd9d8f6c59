import assert from 'node:assert/strict'
import { setMaxListeners } from 'node:events'
import { test } from 'node:test'
import { TailraceError } from '../../src/kernel/errors.ts'
import {
  GROUP_POLLS_WAITING_MAX,
  POLL_SETTLE_MS_MIN,
  POLL_SUBSCRIPTIONS_MAX,
  POLLED_GROUPS_MAX,
} from '../../src/kernel/limits.ts'
import type { PollBench } from '../support/poll-bench.ts'
import { caller, openPollBench } from '../support/poll-bench.ts'

/** From now on appends to the dead-letter topic wait until they are let through. */
function holdDeadLetters(bench: PollBench) {
  const { engine } = bench
  const append = engine.append.bind(engine)
  const held: (() => void)[] = []
  let isOver = false
  engine.append = async (topic, ...rest) => {
    if (topic.name === 'jobs.dlq' && !isOver) await new Promise<void>((resolve) => held.push(resolve))
    return await append(topic, ...rest)
  }
  return {
    held,
    letThrough: () => {
      isOver = true
      for (const go of held) go()
    },
  }
}

test('a poll that comes while its group is made to leave waits for that: dead letters are put there once', async (t) => {
  const bench = await openPollBench(t, { partitions: 2 })
  await bench.produce('jobs', 0, 'a')
  await bench.produce('jobs', 1, 'b')
  await bench.take({ maxAttempts: 1, leaseMs: 1_000 })
  const { held, letThrough } = holdDeadLetters(bench)
  await bench.advance(1_000)
  await bench.until(() => held.length === 2)
  let hasLeft = false
  const leaving = Promise.all([bench.polls.leaveUnused('g'), bench.polls.leaveUnused('g')]).then(() => {
    hasLeft = true
  })
  const next = bench.take()
  await bench.settle(100)
  assert.equal(hasLeft, false)
  letThrough()
  await leaving
  assert.deepEqual((await next).records, [])
  const letters = [...(await bench.deadLetters(0)), ...(await bench.deadLetters(1))]
  assert.deepEqual(letters, ['g/jobs/0/0=a max_attempts 1', 'g/jobs/1/0=b max_attempts 1'])
})

test('a poll that waits is answered when the server is closing, before its group is left', async (t) => {
  const bench = await openPollBench(t)
  await bench.poll()
  const waiting = bench.poll({ waitMs: 60_000 })
  await bench.settle()
  await bench.polls.close()
  assert.deepEqual((await waiting).records, [])
})

test('a poll that waits for its group to leave opens none when the server is closing', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  await bench.take({ maxAttempts: 1, leaseMs: 1_000 })
  const { held, letThrough } = holdDeadLetters(bench)
  await bench.advance(1_000)
  await bench.until(() => held.length === 1)
  const leaving = bench.polls.leaveUnused('g')
  const refused = assert.rejects(bench.take(), { code: 'shutting_down' })
  await bench.settle()
  const closing = bench.polls.close()
  letThrough()
  await Promise.all([leaving, closing, refused])
  assert.equal((await bench.engine.groups.describe('g'))?.members.length, 0)
})

test('what no poll asks for any more is forgotten, though none is under way just then', async (t) => {
  const bench = await openPollBench(t)
  for (let poll = 0; poll <= POLL_SUBSCRIPTIONS_MAX; poll++) {
    await bench.poll({ subscription: { pattern: `t${poll}` } })
    await bench.advance(15_000)
  }
  await bench.until(async () => (await bench.engine.groups.describe('g'))?.state === 'Stable')
})

test('a poll by pattern and one with many topics keep no other out of their group, and internal topics stay named', async (t) => {
  const bench = await openPollBench(t)
  const topics = Array.from({ length: 40 }, (_, at) => `some-topic-of-the-company-${at}`)
  for (const name of [...topics, '__own']) await bench.engine.createTopic({ name, partitionCount: 1 })
  for (const topic of ['jobs', '__own', 'some-topic-of-the-company-39']) await bench.produce(topic, 0, topic)
  const given = async (asked: Parameters<typeof bench.poll>[0]) => {
    const polled = await bench.poll(asked)
    return polled.given.map(({ value }) => value)
  }
  assert.deepEqual(await given({ subscription: { pattern: 'j.*' } }), ['jobs'])
  assert.deepEqual(await given({ topics }), ['some-topic-of-the-company-39'])
  const own = await bench.poll({ topics: ['__own'] })
  await bench.polls.release(caller, 'g', own.lease)
  await bench.produce('some-topic-of-the-company-0', 0, 'more')
  assert.deepEqual(await given({ subscription: { pattern: '.*' } }), ['more'])
  assert.deepEqual(await given({ subscription: { pattern: '.*' } }), [])
  assert.deepEqual(await given({ topics: ['__own'] }), ['__own'])
})

test('a work queue by a pattern gets no dead letters; one by their name does', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  const all = { subscription: { pattern: 'jobs.*' }, waitMs: 0 }
  const { lease } = await bench.take(all)
  await bench.judge(lease, { rejected: [0] })
  await bench.settle()
  assert.deepEqual((await bench.take(all)).records, [])
  assert.deepEqual((await bench.take({ topics: ['jobs.dlq'] })).records, ['0:0=a'])
  assert.deepEqual((await bench.poll({ ...all, group: 'reader' })).records, ['0:0=a', '0:0=a'])
})

test('a poll does not wait longer than it may for its group to be able to commit where it begins', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  const { groups } = bench.engine
  const commit = groups.commit.bind(groups)
  const rebalance = Promise.withResolvers<void>()
  let waiting = 0
  groups.commit = async (request) => {
    waiting++
    await rebalance.promise
    return await commit(request)
  }
  const given: (readonly string[])[] = []
  const poll = async (asked: Parameters<typeof bench.poll>[0]) => given.push((await bench.poll(asked)).records)
  const client = new AbortController()
  const polls = [poll({}), poll({ waitMs: 20_000, signal: client.signal })]
  await bench.until(() => waiting === 1)
  client.abort()
  await polls[1]
  await bench.advance(POLL_SETTLE_MS_MIN)
  await polls[0]
  assert.deepEqual(given, [[], []])
  rebalance.resolve()
  assert.deepEqual((await bench.poll()).records, ['0:0=a'])
})

test('no more polls of a group wait at once than there may be', async (t) => {
  const bench = await openPollBench(t)
  await bench.poll()
  const gone = new AbortController()
  setMaxListeners(0, gone.signal)
  const wait = () => bench.poll({ waitMs: 60_000, signal: gone.signal })
  const waiting = Array.from({ length: GROUP_POLLS_WAITING_MAX }, wait)
  await assert.rejects(bench.poll(), { code: 'overloaded' })
  assert.deepEqual((await bench.poll({ group: 'other' })).records, [])
  gone.abort()
  assert.equal((await Promise.all(waiting)).length, GROUP_POLLS_WAITING_MAX)
  await bench.produce('jobs', 0, 'a')
  assert.deepEqual((await bench.poll()).records, ['0:0=a'])
})

test('no more groups are polled at once than there may be', async (t) => {
  const bench = await openPollBench(t)
  bench.engine.groups.join = async () => {
    throw new TailraceError('invalid_request', 'nobody may join')
  }
  const codes = new Map<unknown, number>()
  const polls = Array.from({ length: POLLED_GROUPS_MAX + 2 }, (_, group) =>
    bench.poll({ group: `g${group}` }).catch(({ code }) => codes.set(code, (codes.get(code) ?? 0) + 1)),
  )
  await Promise.all(polls)
  assert.deepEqual(Object.fromEntries(codes), { invalid_request: POLLED_GROUPS_MAX, overloaded: 2 })
  await bench.advance(30_000)
  await assert.rejects(bench.poll({ group: 'later' }), { code: 'invalid_request' })
})
