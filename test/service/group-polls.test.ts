import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PollBench } from '../support/poll-bench.ts'
import { openPollBench } from '../support/poll-bench.ts'

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
