import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { TailraceError } from '../../src/kernel/errors.ts'
import {
  SHARED_HAND_BACK_MS_MAX,
  SHARED_STATE_CHECK_MS,
  SHARED_STATE_IDLE_MS,
  SHARED_WINDOW_RECORDS_MAX,
} from '../../src/kernel/limits.ts'
import { createGroupService } from '../../src/service/groups/groups.ts'
import { createStateTopic } from '../../src/service/groups/state-topic.ts'
import type { PollBench, Polled } from '../support/poll-bench.ts'
import { caller, openPollBench } from '../support/poll-bench.ts'

const FENCED = { code: 'fenced_lease' }
const REFUSED = { code: 'invalid_request' }

/** `offset=value xATTEMPTS` */
const shown = ({ given }: Polled) => given.map(({ offset, value, attempts }) => `${offset}=${value} x${attempts}`)

test('records of one partition go to several workers, each counted, and the group stands behind what is done', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c', 'd')
  const first = await bench.take({ limit: 2 })
  const second = await bench.take({ limit: 2 })
  assert.deepEqual(shown(first), ['0=a x1', '1=b x1'])
  assert.deepEqual(shown(second), ['2=c x1', '3=d x1'])
  assert.deepEqual(second.polled.given?.positions, [{ topic: 'jobs', partition: 0, from: 2, through: 3 }])
  const answer = await bench.polls.ack(caller, 'g', second.lease, { accept: 'all' })
  assert.deepEqual(answer, {
    lease: undefined,
    expiresMs: undefined,
    committed: [],
    accepted: 2,
    released: 0,
    rejected: 0,
    deadLettered: 0,
  })
  assert.deepEqual(await bench.committed(), ['jobs-0=0'])
  await bench.polls.ack(caller, 'g', first.lease, { accept: 'all' })
  assert.deepEqual(await bench.committed(), ['jobs-0=4'])
  assert.deepEqual(shown(await bench.take()), [])
})

test('what is released is given out again at once, what is not named when the lease ends', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c')
  const first = await bench.take()
  const kept = await bench.judge(first.lease, { released: [1] }, { keep: true })
  assert.equal(kept.lease, first.lease)
  const second = await bench.take()
  assert.deepEqual(shown(second), ['1=b x2'])
  const ended = await bench.judge(first.lease, { accepted: [0] })
  assert.deepEqual([ended.lease, ended.accepted, ended.released], [undefined, 1, 1])
  assert.deepEqual(shown(await bench.take()), ['2=c x1'])
  await bench.judge(second.lease, { accepted: [1] })
  await bench.until(async () => (await bench.committed())[0] === 'jobs-0=2')
})

test('what an ack does not name was not tried: the delivery does not count, however often, after a restart too', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c', 'd')
  for (const offset of [0, 1, 2]) {
    const { lease } = await bench.take({ maxAttempts: 1 })
    const { released, rejected, deadLettered } = await bench.judge(lease, { accepted: [offset] })
    assert.deepEqual([released, rejected, deadLettered], [3 - offset, 0, 0])
  }
  await bench.close()
  const next = await openPollBench(t, { dataDir: bench.dataDir, clock: bench.clock })
  const last = await next.take({ maxAttempts: 1 })
  assert.deepEqual(shown(last), ['3=d x1'])
  const answer = await next.judge(last.lease, { released: [3] })
  assert.deepEqual([answer.released, answer.rejected, answer.deadLettered], [0, 0, 1])
  assert.deepEqual(await next.deadLetters(), ['g/jobs/0/3=d max_attempts 1'])
})

test('a lease whose time is over gives its records back, one that is released does not count the delivery', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  const first = await bench.take({ leaseMs: 1_000 })
  await bench.advance(1_000)
  await assert.rejects(bench.judge(first.lease, { accepted: [0] }), FENCED)
  const second = await bench.take()
  assert.deepEqual(shown(second), ['0=a x2'])
  await bench.polls.release(caller, 'g', second.lease)
  assert.deepEqual(shown(await bench.take()), ['0=a x2'])
})

test('what is rejected, or was delivered as often as may be, goes to the dead-letter topic', async (t) => {
  const bench = await openPollBench(t)
  const headers = [{ name: 'trace', value: Buffer.from('7') }]
  await bench.append('jobs', 0, [{ key: 'k', value: 'a', headers }, { value: 'b' }, { value: 'c' }])
  const first = await bench.take({ maxAttempts: 2 })
  const answer = await bench.judge(first.lease, { rejected: [0], accepted: [2] })
  assert.deepEqual([answer.accepted, answer.released, answer.rejected], [1, 1, 1])
  assert.equal(answer.deadLettered, 1)
  assert.deepEqual(await bench.deadLetters(), ['g/jobs/0/0=a rejected 1'])
  await bench.judge((await bench.take({ maxAttempts: 2 })).lease, { released: [1] })
  const second = await bench.take({ maxAttempts: 2 })
  assert.deepEqual(shown(second), ['1=b x2'])
  assert.equal((await bench.judge(second.lease, { released: [1] })).deadLettered, 1)
  assert.deepEqual(await bench.deadLetters(), ['g/jobs/0/0=a rejected 1', 'g/jobs/0/1=b max_attempts 2'])
  assert.deepEqual(shown(await bench.take()), [])
  await bench.until(async () => (await bench.committed())[0] === 'jobs-0=3')
})

test('a poll that allows fewer attempts than a record has had sends it to the dead-letter topic instead', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  for (const _ of [1, 2]) await bench.judge((await bench.take({ limit: 1 })).lease, { released: [0] })
  assert.deepEqual(shown(await bench.take({ maxAttempts: 2 })), ['1=b x1'])
  await bench.until(async () => (await bench.deadLetters()).length > 0)
  assert.deepEqual(await bench.deadLetters(), ['g/jobs/0/0=a max_attempts 2'])
})

test('after a restart leases are gone, and their deliveries not counted, what was done stays done', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c', 'd')
  const first = await bench.take({ limit: 3 })
  await bench.judge(first.lease, { accepted: [1] }, { keep: true })
  await bench.close()
  const next = await openPollBench(t, { dataDir: bench.dataDir, clock: bench.clock })
  await assert.rejects(next.judge(first.lease, { accepted: [0] }), FENCED)
  const again = await next.take()
  assert.deepEqual(shown(again), ['0=a x1', '2=c x1', '3=d x1'])
  await next.polls.ack(caller, 'g', again.lease, { accept: 'all' })
  await next.until(async () => (await next.committed())[0] === 'jobs-0=4')
})

test('a stop that cannot remember that what was leased was not tried ends all the same: it is counted', async (t) => {
  for (const isHeld of [false, true]) {
    const bench = await openPollBench(t)
    const { append } = bench.engine
    await bench.produce('jobs', 0, 'a')
    await bench.take()
    let letThrough = () => {}
    const held = new Promise<void>((resolve) => {
      letThrough = resolve
    })
    bench.engine.append = async function (topic, ...rest) {
      if (!topic.name.startsWith('__')) return await append.call(this, topic, ...rest)
      if (isHeld) await held
      throw new TailraceError('disk_full', 'it is full')
    }
    const closing = bench.polls.close()
    if (isHeld) {
      await bench.settle()
      await bench.advance(SHARED_HAND_BACK_MS_MAX)
      letThrough()
    }
    await closing
    await bench.close()
    const next = await openPollBench(t, { dataDir: bench.dataDir, clock: bench.clock })
    assert.deepEqual(shown(await next.take()), ['0=a x2'])
  }
})

test('a poll that reads when its group is left gives nothing, and what it had was not tried', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  assert.deepEqual(shown(await bench.take({ topics: ['jobs'], limit: 1, maxAttempts: 1, leaseMs: 1_000 })), ['0=a x1'])
  await bench.polls.leaveUnpolled('g')
  const { fetch } = bench.engine
  let letThrough = () => {}
  const held = new Promise<void>((resolve) => {
    letThrough = resolve
  })
  let isReading = false
  bench.engine.fetch = async function (...asked) {
    isReading = true
    await held
    return await fetch.apply(this, asked)
  }
  const polled = bench.take({ maxAttempts: 1 })
  await bench.until(() => isReading)
  const closing = bench.polls.close()
  await bench.settle()
  letThrough()
  await closing
  assert.deepEqual(shown(await polled), [])
  await bench.close()
  const next = await openPollBench(t, { dataDir: bench.dataDir, clock: bench.clock })
  assert.deepEqual(shown(await next.take({ maxAttempts: 1 })), ['0=a x1'])
})

test('a delivery that does not count is remembered so soon after, though nobody asks again', async (t) => {
  for (const [waitMs, attempts] of [
    [0, 2],
    [SHARED_STATE_IDLE_MS, 1],
  ] as const) {
    const bench = await openPollBench(t)
    await bench.produce('jobs', 0, 'a')
    const { lease } = await bench.take()
    await bench.advance(SHARED_STATE_IDLE_MS)
    await bench.polls.release(caller, 'g', lease)
    await bench.advance(waitMs)
    await bench.settle(100)
    await bench.engine.close()
    const next = await openPollBench(t, { dataDir: bench.dataDir, clock: bench.clock })
    assert.deepEqual(shown(await next.take()), [`0=a x${attempts}`])
  }
})

test('offsets that are set from outside make what was remembered above them void', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c')
  const { lease } = await bench.take()
  await bench.judge(lease, { accepted: [0, 2], released: [1] })
  await bench.leave()
  const offsets = [{ topic: 'jobs', partition: 0, offset: 0 }]
  const [reset] = await bench.engine.groups.commit({ groupId: 'g', offsets })
  assert.equal(reset?.error, undefined)
  assert.deepEqual(shown(await bench.take()), ['0=a x1', '1=b x1', '2=c x1'])
})

test('an ack of what is not leased is refused whole; the same ack again is answered as the first time', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  const { lease } = await bench.take()
  await assert.rejects(bench.judge(lease, { accepted: [0, 2] }), REFUSED)
  await assert.rejects(bench.judge(lease, { accepted: [0], rejected: [0] }), REFUSED)
  await assert.rejects(bench.polls.ack(caller, 'g', lease, { through: 'all' }), REFUSED)
  await assert.rejects(bench.polls.ack(caller, 'g', lease, {}), REFUSED)
  await assert.rejects(bench.polls.ack(caller, 'g', lease, { accept: 'all', accepted: [] }), REFUSED)
  await assert.rejects(bench.judge(lease, { accepted: [0] }, { partition: 1 }), REFUSED)
  await bench.judge(lease, { accepted: [0] }, { keep: true })
  await bench.judge(lease, { accepted: [0] }, { keep: true })
  await assert.rejects(bench.judge(lease, { released: [0] }, { keep: true }), REFUSED)
  const answer = await bench.judge(lease, { accepted: [1] })
  assert.deepEqual(await bench.judge(lease, { accepted: [1] }), answer)
  await assert.rejects(bench.judge(lease, { rejected: [1] }), FENCED)
  assert.deepEqual(await bench.deadLetters(), [])
})

test('an ack that one partition cannot store is done in the others, and the same ack again does the rest', async (t) => {
  const bench = await openPollBench(t, { partitions: 2 })
  for (const partition of [0, 1]) await bench.produce('jobs', partition, 'a', 'b', 'c')
  const { lease } = await bench.take()
  const { engine } = bench
  const append = engine.append.bind(engine)
  let isFull = true
  engine.append = async (topic, ...rest) => {
    if (topic.name === '__consumer_state' && isFull) throw new TailraceError('disk_full', 'it is full')
    return await append(topic, ...rest)
  }
  const place = (partition: number, offset: number) => ({ topic: 'jobs', partition, offset })
  // the first is remembered, the second moves the group's offset
  const accepted = [place(0, 1), place(1, 0), place(1, 1)]
  const ack = () => bench.polls.ack(caller, 'g', lease, { accepted, keep: true })
  await assert.rejects(ack(), { code: 'disk_full' })
  assert.deepEqual(await bench.committed(), ['jobs-0=0', 'jobs-1=2'])
  isFull = false
  assert.equal((await ack()).accepted, 1)
  await bench.polls.release(caller, 'g', lease)
  const next = await bench.take()
  assert.deepEqual(next.records.toSorted(), ['0:0=a', '0:2=c', '1:2=c'])
})

test('a group is exclusive or shared, and that for its life', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  await bench.judge((await bench.take()).lease, { accepted: [0] })
  const other = { code: 'inconsistent_group_protocol' }
  await assert.rejects(bench.poll(), other)
  await bench.leave()
  await assert.rejects(bench.poll(), other)
  assert.deepEqual(shown(await bench.take()), [])
})

test('a partition gives no more than its window holds, and goes on as the front of it is done', async (t) => {
  const bench = await openPollBench(t)
  const values = Array.from({ length: SHARED_WINDOW_RECORDS_MAX + 10 }, (_, at) => String(at))
  await bench.produce('jobs', 0, ...values)
  const first = await bench.take({ limit: 10 })
  const rest = await bench.take({ limit: 10_000 })
  assert.equal(rest.records.length, SHARED_WINDOW_RECORDS_MAX - 10)
  assert.deepEqual((await bench.take({ limit: 100 })).records, [])
  await bench.polls.ack(caller, 'g', rest.lease, { accept: 'all' })
  assert.deepEqual((await bench.take({ limit: 100 })).records, [])
  await bench.polls.ack(caller, 'g', first.lease, { accept: 'all' })
  assert.equal((await bench.take({ limit: 100 })).records.length, 10)
})

test('records that were removed, by retention or by compaction, are passed', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c', 'd')
  const first = await bench.take({ limit: 3 })
  await bench.judge(first.lease, { released: [0, 2], accepted: [1] })
  const topic = bench.engine.findTopic('jobs')
  assert.ok(topic)
  await bench.engine.deleteRecords(topic, 0, 3)
  const next = await bench.take()
  assert.deepEqual(shown(next), ['3=d x1'])
  assert.deepEqual(
    next.polled.gaps.map(({ from, to }) => [from, to]),
    [
      [0, 1],
      [2, 3],
    ],
  )
  await bench.judge(next.lease, { accepted: [3] })
  await bench.until(async () => (await bench.committed())[0] === 'jobs-0=4')
})

test('a dead-letter topic that cannot take anything holds nobody up, and gets its records when it can', async (t) => {
  const bench = await openPollBench(t)
  await bench.engine.createTopic({ name: 'jobs.dlq', partitionCount: 1, configs: { 'cleanup.policy': 'compact' } })
  await bench.produce('jobs', 0, 'a', 'b')
  const { lease } = await bench.take()
  const answer = await bench.judge(lease, { rejected: [0], accepted: [1] })
  assert.deepEqual([answer.accepted, answer.rejected], [1, 1])
  assert.deepEqual(await bench.committed(), ['jobs-0=0'])
  await bench.engine.alterTopicConfigs('jobs.dlq', { 'cleanup.policy': 'delete' })
  await bench.advance(1_000)
  await bench.until(async () => (await bench.committed())[0] === 'jobs-0=2')
  assert.deepEqual(await bench.deadLetters(), ['g/jobs/0/0=a rejected 1'])
})

const remembered = async ({ engine, clock }: PollBench) => {
  const entries = await createStateTopic({ engine, clock }).entries('shared/')
  return entries.map(({ key }) => key.split('/')[1]).sort()
}

test('what is remembered goes when the committed offset says it all: soon, and when the group has left', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  const [first, second] = [await bench.take({ limit: 1 }), await bench.take({ limit: 1 })]
  await bench.judge(second.lease, { accepted: [1] })
  await bench.advance(SHARED_STATE_IDLE_MS)
  assert.deepEqual(await remembered(bench), ['g'])
  await bench.judge(first.lease, { accepted: [0] })
  assert.deepEqual(await remembered(bench), ['g'])
  await bench.advance(SHARED_STATE_IDLE_MS)
  await bench.until(async () => (await remembered(bench)).length === 0)
  await bench.produce('jobs', 0, 'c', 'd')
  await bench.judge((await bench.take()).lease, { accepted: [2, 3] })
  assert.deepEqual(await remembered(bench), ['g'])
  await bench.leave()
  assert.deepEqual(await remembered(bench), [])
  assert.deepEqual(shown(await bench.take()), [])
})

test('what is remembered of a group or a topic that was deleted goes', async (t) => {
  const bench = await openPollBench(t)
  const groups = createGroupService({ engine: bench.engine, clock: bench.clock, polls: bench.polls })
  await bench.produce('jobs', 0, 'a', 'b')
  await bench.produce('other', 0, 'c', 'd')
  await bench.judge((await bench.take()).lease, { accepted: [1] })
  const other = await bench.take({ group: 'h', topics: ['other'], limit: 1 })
  await bench.polls.release(caller, 'h', other.lease)
  assert.deepEqual(await remembered(bench), ['g', 'h'])
  await groups.delete(caller, 'g')
  assert.deepEqual(await remembered(bench), ['h'])
  await bench.engine.deleteTopic('other')
  await bench.advance(SHARED_STATE_CHECK_MS)
  await bench.take({ group: 'i' })
  await bench.until(async () => (await remembered(bench)).join() === 'i')
})

test('what is remembered of a group that was deleted goes after the next start', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  await bench.judge((await bench.take()).lease, { accepted: [1] })
  await bench.leave()
  await bench.engine.groups.delete('g')
  assert.deepEqual(shown(await bench.take()), ['0=a x1', '1=b x1'])
  await bench.leave()
  await bench.engine.groups.delete('g')
  await bench.close()
  const next = await openPollBench(t, { dataDir: bench.dataDir, clock: bench.clock })
  await next.take({ group: 'other' })
  await next.until(async () => (await remembered(next)).join() === 'other')
})

test('an ack is remembered in a few bytes, however much it said', async (t) => {
  const bench = await openPollBench(t)
  const count = 25
  await bench.produce('jobs', 0, ...Array.from({ length: 2 * count }, () => 'x'))
  const before = heapUsedBytes()
  for (let n = 0; n < count; n++) {
    const { lease, given } = await bench.take({ limit: 2 })
    const [first = -1, second = -1] = given.map(({ offset }) => offset)
    await bench.judge(lease, { accepted: [first] }, { keep: true })
    await bench.judge(lease, { accepted: [...new Array<number>(9_000).fill(first), second] })
  }
  const grownBytes = heapUsedBytes() - before
  assert.ok(grownBytes < count * 100_000, `grew by ${grownBytes} bytes`)
})

function heapUsedBytes(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}
