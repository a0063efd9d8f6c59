import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { TailraceError } from '../../src/kernel/errors.ts'
import { QUEUE_TAIL_RECORDS_OPEN_MAX } from '../../src/kernel/limits.ts'
import type { RecordReader } from '../../src/record/batch-reader.ts'
import type { QueueTailRequest } from '../../src/service/group-tails/group-tail.ts'
import { WorkerTail } from '../../src/service/group-tails/worker-tail.ts'
import type { GroupPollRequest, GroupPollService, PollSink } from '../../src/service/groups/group-poll.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { holdStateWrite } from '../support/held-call.ts'
import { caller, openPollBench } from '../support/poll-bench.ts'
import { TailGiven, WORDS } from '../support/tail-given.ts'

const ASKED: Omit<QueueTailRequest, 'reader'> = {
  caller,
  groupId: 'g',
  member: '',
  subscription: { topics: ['jobs'] },
  from: { kind: 'earliest' },
  leaseMs: 30_000,
  maxAttempts: 3,
  batchRecords: 100,
  form: WORDS,
}

async function openQueueBench(t: TestContext, partitions = 1) {
  const bench = await openPollBench(t, { partitions })
  const open = async (asked: Partial<QueueTailRequest> = {}, credit = Number.POSITIVE_INFINITY) => {
    const given = new TailGiven()
    given.credit = credit
    const tail = new WorkerTail({ groupPolls: bench.polls, clock: bench.clock }, { ...ASKED, reader: given, ...asked })
    t.after(() => tail.close(false))
    await tail.open()
    return { tail, given }
  }
  return { bench, open }
}

const jobs = (...offsets: number[]) => offsets.map((offset) => ({ topic: 'jobs', partition: 0, offset }))

test('gives records as they come, with their attempts, and what is accepted never again', async (t) => {
  const { bench, open } = await openQueueBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  const { tail, given } = await open()
  assert.deepEqual(given.records, [], 'nothing is given before whoever opened it has it')
  await bench.until(() => given.records.length === 2)
  await bench.produce('jobs', 0, 'c')
  await bench.until(() => given.records.length === 3)
  assert.deepEqual(given.records, ['jobs-0:0=a*1', 'jobs-0:1=b*1', 'jobs-0:2=c*1'])
  assert.equal(tail.openRecords, 3)
  assert.deepEqual(await tail.ack('accept', jobs(0, 2)), {
    accepted: 2,
    released: 0,
    rejected: 0,
    extended: 0,
    deadLettered: 0,
    deadLettersWaiting: 0,
  })
  await tail.close(false)
  const next = await open()
  await bench.until(() => next.given.records.length === 1)
  assert.deepEqual(next.given.records, ['jobs-0:1=b*1'], 'a clean end takes the delivery back')
})

test('gives no more than there is credit for, and nothing while there is none', async (t) => {
  const { bench, open } = await openQueueBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c', 'd')
  const { tail, given } = await open({}, 0)
  await bench.settle()
  assert.deepEqual(given.records, [])
  given.credit = 3
  tail.wake()
  await bench.until(() => given.records.length === 3)
  await bench.settle()
  assert.deepEqual(given.events, ['3 records'])
  given.credit = 1
  tail.wake()
  await bench.until(() => given.records.length === 4)
})

test('who is told to wait while it waits for records leaves them to others', async (t) => {
  const { bench, open } = await openQueueBench(t)
  const first = await open()
  const second = await open()
  await bench.settle()
  first.given.credit = 0
  first.tail.wake()
  await bench.settle()
  await bench.produce('jobs', 0, 'a')
  await bench.until(() => second.given.records.length === 1)
  assert.deepEqual(first.given.records, [])
})

test('what was not acknowledged when its time was over is given again, and may not be acknowledged by the first', async (t) => {
  const { bench, open } = await openQueueBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  const first = await open({ leaseMs: 5_000 }, 2)
  await bench.until(() => first.given.records.length === 2)
  assert.equal((await first.tail.ack('extend', jobs(1))).extended, 1)
  await bench.advance(4_000)
  assert.equal((await first.tail.ack('extend', jobs(0))).extended, 1)
  await bench.advance(4_000)
  assert.equal((await first.tail.ack('accept', jobs(0))).accepted, 1)
  await bench.advance(5_001)
  const second = await open()
  await bench.until(() => second.given.records.length === 1)
  assert.deepEqual(second.given.records, ['jobs-0:1=b*2'])
  await assert.rejects(first.tail.ack('accept', jobs(1)), { code: 'fenced_lease' })
  assert.equal(first.tail.openRecords, 0)
})

test('a step of the wall clock takes nothing from a worker, and what it has is given back when it goes', async (t) => {
  const { bench, open } = await openQueueBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c')
  const { tail, given } = await open()
  await bench.until(() => given.records.length === 3)
  bench.clock.step(60_000)
  assert.equal(tail.openRecords, 3)
  assert.equal((await tail.ack('accept', jobs(0))).accepted, 1)
  assert.equal((await tail.ack('extend', jobs(1))).extended, 1)
  bench.clock.step(60_000)
  assert.equal(tail.openRecords, 2)
  await tail.close(false)
  assert.deepEqual((await bench.take()).records, ['0:1=b', '0:2=c'])
})

test('an ack of what is its own is done although it names what is not', async (t) => {
  const { bench, open } = await openQueueBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  const { tail, given } = await open()
  await bench.until(() => given.records.length === 2)
  const refused = tail.ack('accept', jobs(0, 7))
  await assert.rejects(refused, { code: 'fenced_lease', details: { records: jobs(7) } })
  await bench.until(async () => (await bench.committed()).includes('jobs-0=1'))
})

test('a record that ends its workers goes to the dead letters; one whose worker went by itself does not', async (t) => {
  const { bench, open } = await openQueueBench(t)
  await bench.produce('jobs', 0, 'poison')
  for (const isDead of [false, true, false, true, true]) {
    const { tail, given } = await open()
    await bench.until(() => given.records.length === 1)
    await tail.close(isDead)
  }
  await bench.until(async () => (await bench.deadLetters()).length === 1)
  assert.deepEqual(await bench.deadLetters(), ['g/jobs/0/0=poison max_attempts 3'])
})

for (const isDead of [false, true]) {
  const how = isDead ? 'is gone' : 'goes by itself'
  test(`what a worker had that ${how} while an ack of it is stored is given out at once: the ack is done`, async (t) => {
    const { bench, open } = await openQueueBench(t)
    await bench.produce('jobs', 0, 'a', 'b', 'c')
    const { tail, given } = await open()
    await bench.until(() => given.records.length === 3)
    const write = holdStateWrite(bench.engine)
    const acking = tail.ack('accept', jobs(1))
    await bench.until(() => write.isHeld)
    const closing = tail.close(isDead)
    write.letGo()
    await closing
    assert.equal((await acking).accepted, 1)
    const attempts = isDead ? 2 : 1
    const next = await bench.take()
    assert.deepEqual(
      next.given.map((record) => [record.value, record.attempts]),
      [
        ['a', attempts],
        ['c', attempts],
      ],
    )
  })
}

test('records that cannot be written for its client now are given out again at once', async (t) => {
  const { bench, open } = await openQueueBench(t)
  await bench.produce('jobs', 0, 'a')
  let isFull = false
  const { given } = await open({
    form: {
      ...WORDS,
      newEncoder: () => ({
        ...WORDS.newEncoder(),
        finish: () => {
          isFull = true
          throw new TailraceError('overloaded', 'there is no room')
        },
      }),
    },
  })
  await bench.until(() => isFull)
  assert.deepEqual(given.events, [])
  assert.deepEqual(await bench.polls.leases(caller, 'g'), [])
  assert.deepEqual(
    (await bench.take()).given.map(({ value, attempts }) => [value, attempts]),
    [['a', 1]],
  )
})

test('what is released comes again at once, and what is rejected goes to the dead letters', async (t) => {
  const { bench, open } = await openQueueBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  const { tail, given } = await open()
  await bench.until(() => given.records.length === 2)
  assert.deepEqual(await tail.ack('reject', jobs(0)), {
    accepted: 0,
    released: 0,
    rejected: 1,
    extended: 0,
    deadLettered: 1,
    deadLettersWaiting: 0,
  })
  assert.equal((await tail.ack('release', jobs(1))).released, 1)
  await bench.until(() => given.records.length === 3)
  assert.equal(given.records[2], 'jobs-0:1=b*2')
  assert.deepEqual(await bench.deadLetters(), ['g/jobs/0/0=a rejected 1'])
})

test('a group that is not shared is refused, and a topic that is not there', async (t) => {
  const { bench, open } = await openQueueBench(t)
  await bench.poll({ group: 'g' })
  await assert.rejects(open(), { code: 'inconsistent_group_protocol' })
  await assert.rejects(open({ groupId: 'h', subscription: { topics: ['nothing'] } }), {
    code: 'unknown_topic_or_partition',
  })
})

test('what keeps a partition from being read is told once, until it is over', async (t) => {
  const { bench, open } = await openQueueBench(t)
  const poll: typeof bench.polls.poll = bench.polls.poll.bind(bench.polls)
  const failure = { topic: 'jobs', partition: 7, fault: new TailraceError('corrupt_message', 'it is bad') }
  let isBad = true
  bench.polls.poll = async (request, newSink) => {
    const polled = await poll(request, newSink)
    return { ...polled, faults: isBad ? [failure] : [] }
  }
  const { given } = await open()
  for (const [bad, told] of [
    [true, 1],
    [true, 1],
    [false, 1],
    [true, 2],
  ] as const) {
    isBad = bad
    const before = given.records.length
    await bench.produce('jobs', 0, 'a')
    await bench.until(() => given.records.length > before)
    await bench.settle()
    assert.equal(given.faults.length, told)
  }
})

test('a lease poll and a subscription share a queue: no record is with both', async (t) => {
  const { bench, open } = await openQueueBench(t, 2)
  for (const partition of [0, 1])
    await bench.produce('jobs', partition, ...Array.from({ length: 50 }, (_, n) => `${n}`))
  const { tail, given } = await open({ batchRecords: 7 }, 30)
  const polled = await bench.take({ limit: 30 })
  await bench.until(() => given.records.length === 30)
  const all = [...given.records.map((word) => word.slice(5, -2)), ...polled.records]
  assert.equal(new Set(all).size, 60)
  await bench.polls.ack(caller, 'g', polled.lease, { accept: 'all' })
  const mine = given.records.map((word) => {
    const [, partition, offset] = /jobs-(\d):(\d+)=/.exec(word) ?? []
    return { topic: 'jobs', partition: Number(partition), offset: Number(offset) }
  })
  assert.equal((await tail.ack('accept', mine)).accepted, 30)
  assert.equal(tail.openRecords, 0)
})

test('a worker with as many open records as there may be goes on when their leases are over', async (t) => {
  const clock = new FakeClock()
  let polls = 0
  let offset = 0
  const record = { offset: 0, bytes: Buffer.from('v'), valueStart: 0, valueEnd: 1 } as RecordReader
  const groupPolls = {
    async poll({ limit }: GroupPollRequest, newSink: () => PollSink) {
      const sink = newSink()
      sink.begin('q', 0, 'CreateTime', 'id')
      for (let at = 0; at < limit; at++) sink.write({ ...record, offset: offset++ } as RecordReader)
      return { given: { id: `l${polls++}` }, sink, gaps: [], faults: [], settle() {} }
    },
    release: async () => undefined,
  } as unknown as GroupPollService
  const reader = new TailGiven()
  const tail = new WorkerTail({ groupPolls, clock }, { ...ASKED, batchRecords: 10_000, reader })
  t.after(() => tail.close(false))
  await tail.open()
  for (let turn = 0; turn < 50; turn++) await turnOfTheLoop()
  assert.equal(reader.records.length, QUEUE_TAIL_RECORDS_OPEN_MAX)
  clock.step(-3_600_000)
  clock.advance(29_000)
  await turnOfTheLoop()
  assert.equal(reader.records.length, QUEUE_TAIL_RECORDS_OPEN_MAX)
  clock.advance(2_000)
  for (let turn = 0; turn < 50; turn++) await turnOfTheLoop()
  assert.equal(reader.records.length, 2 * QUEUE_TAIL_RECORDS_OPEN_MAX)
})

test('a worker whose client has gone while it was opened waits for nothing', async (t) => {
  const { open } = await openQueueBench(t)
  const gone = new AbortController()
  const opening = open({ signal: gone.signal })
  gone.abort()
  const { given } = await opening
  assert.deepEqual(given.records, [])
})
