import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { TailraceError } from '../../src/kernel/errors.ts'
import { CURSOR_BYTES_MAX } from '../../src/kernel/limits.ts'
import { RecordFilter } from '../../src/service/filter/record-filter.ts'
import type { TestTail } from '../support/group-tail-bench.ts'
import { openGroupTailBench } from '../support/group-tail-bench.ts'

async function openGroupBench(t: TestContext, options: Parameters<typeof openGroupTailBench>[1] = {}) {
  const { polls: bench, open, values } = await openGroupTailBench(t, options)
  const got = ({ given }: TestTail, count: number) => bench.until(() => given.records.length >= count)
  const told = ({ given }: TestTail, event: string) => bench.until(() => given.events.includes(event))
  return { bench, open, values, got, told }
}

const last = ({ given }: TestTail) => given.events.at(-1)

test('a member alone reads all partitions from where the group begins, and a commit is where the next one begins', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t)
  await values(0, 0, 3)
  await values(1, 0, 2)
  const first = await open()
  assert.deepEqual(first.given.events, [], 'nothing is told before whoever opened it has it')
  await got(first, 5)
  assert.equal(first.given.events[0], 'assigned jobs-0@0 jobs-1@0')
  const results = await first.tail.commitCursor(first.given.cursor)
  assert.deepEqual(
    results.map(({ topic, partition, error }) => [topic, partition, error]),
    [
      ['jobs', 0, undefined],
      ['jobs', 1, undefined],
    ],
  )
  assert.deepEqual(await bench.committed(), ['jobs-0=3', 'jobs-1=2'])
  await first.tail.leave()
  await values(0, 3, 4)
  const second = await open({ from: { kind: 'latest' } })
  await got(second, 1)
  assert.deepEqual(second.given.records, ['jobs-0:3=v3'])
  assert.equal(second.given.events[0], 'assigned jobs-0@3 jobs-1@2')
})

test('where the group begins is committed, so that who comes next misses nothing', async (t) => {
  const { bench, open, values, got, told } = await openGroupBench(t)
  await values(0, 0, 3)
  const first = await open({ from: { kind: 'latest' } })
  await told(first, 'assigned jobs-0@3 jobs-1@0')
  assert.deepEqual(await bench.committed(), ['jobs-0=3', 'jobs-1=0'])
  await first.tail.leave()
  await values(0, 3, 5)
  const second = await open({ from: { kind: 'latest' } })
  await got(second, 2)
  assert.deepEqual(second.given.records, ['jobs-0:3=v3', 'jobs-0:4=v4'])
})

for (const assignors of [['cooperative-sticky'], ['range']] as const) {
  test(`two share, and what was committed in time is not given to the other (${assignors})`, async (t) => {
    const { bench, open, values, got, told } = await openGroupBench(t, { assignors })
    await values(0, 0, 3)
    await values(1, 0, 3)
    const first = await open()
    await got(first, 6)
    const second = await open()
    await bench.until(() => first.given.events.some((event) => event.startsWith('revoked')))
    const revoked = first.given.events.find((event) => event.startsWith('revoked')) as string
    assert.match(revoked, / 5000$/)
    await bench.settle()
    assert.deepEqual(second.given.events, [], 'it waits for the first to commit')
    const { cursor } = first.given
    assert.ok((await first.tail.commitCursor(cursor)).every(({ error }) => error === undefined))
    await bench.until(() => second.tail.partitions.length === 1)
    const [moved] = second.tail.partitions
    await told(second, `assigned jobs-${moved?.partition}@3`)
    await bench.until(() => first.tail.partitions.length === 1)
    await values(0, 3, 4)
    await values(1, 3, 4)
    await got(first, 7)
    await got(second, 1)
    assert.equal(first.given.records.length + second.given.records.length, 8)
    // the other's
    const refused = await first.tail.commit([{ topic: 'jobs', partition: moved?.partition ?? 0, offset: 4 }])
    assert.deepEqual(
      refused.map(({ error }) => error?.code),
      ['illegal_generation'],
    )
    const mixed = await first.tail.commitCursor(cursor)
    assert.deepEqual(mixed.map(({ error }) => error?.code).sort(), ['illegal_generation', undefined])
  })
}

test('nothing of a partition comes after it was revoked, and nobody waits where all was committed', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t)
  await values(0, 0, 3)
  await values(1, 0, 3)
  const first = await open()
  await got(first, 6)
  await first.tail.commitCursor(first.given.cursor)
  await open()
  await bench.until(() => first.given.events.some((event) => event.startsWith('revoked')))
  const at = first.given.events.findIndex((event) => event.startsWith('revoked'))
  const revoked = /revoked jobs-(\d) 0$/.exec(first.given.events[at] as string)
  assert.ok(revoked, first.given.events.join())
  const before = first.given.records.length
  for (const partition of [0, 1]) await values(partition, 3, 6)
  await got(first, before + 3)
  await bench.settle()
  const after = first.given.records.slice(before)
  assert.deepEqual(
    after.filter((record) => record.startsWith(`jobs-${revoked[1]}`)),
    [],
  )
})

test('who says that it has nothing to commit, or nothing in time, loses what was revoked; it comes again', async (t) => {
  for (const isQuick of [true, false]) {
    await t.test(isQuick ? 'release' : 'deadline', async (t) => {
      const { bench, open, values, got } = await openGroupBench(t)
      await values(0, 0, 3)
      await values(1, 0, 3)
      const first = await open()
      await got(first, 6)
      const second = await open()
      await bench.until(() => first.given.events.some((event) => event.startsWith('revoked')))
      await bench.settle()
      if (isQuick) first.tail.release()
      else await bench.advance(5_000)
      await got(second, 3)
      const place = second.given.records[0]?.slice(0, 6)
      assert.deepEqual(
        second.given.records,
        [0, 1, 2].map((offset) => `${place}:${offset}=v${offset}`),
      )
    })
  }
})

test('a member whose connection is lost keeps its place under its name, and comes back without a rebalance', async (t) => {
  const { bench, open, values, got, told } = await openGroupBench(t)
  await values(0, 0, 2)
  const first = await open({ member: 'w-1' })
  await got(first, 2)
  const { memberId, generationId } = first.tail
  await first.tail.commit([{ topic: 'jobs', partition: 0, offset: 1 }])
  first.tail.lost()
  await values(0, 2, 3)
  await bench.advance(9_000)
  const again = await open({ member: 'w-1' })
  await got(again, 2)
  assert.equal(again.tail.memberId, memberId)
  assert.equal(again.tail.generationId, generationId)
  assert.deepEqual(again.given.records, ['jobs-0:1=v1', 'jobs-0:2=v2'])
  again.tail.lost()
  const other = await open()
  await bench.settle()
  await told(other, 'assigned jobs-1@0')
  await bench.advance(10_100)
  await bench.until(() => other.tail.partitions.length === 2)
  assert.deepEqual((await bench.engine.groups.describe('g'))?.members.length, 1)
})

test('one without a name leaves with its connection', async (t) => {
  const { bench, open, values, got, told } = await openGroupBench(t)
  const first = await open()
  await told(first, 'assigned jobs-0@0 jobs-1@0')
  const second = await open()
  await bench.until(() => second.tail.partitions.length === 1)
  first.tail.lost()
  await bench.until(() => second.tail.partitions.length === 2)
  await values(0, 0, 1)
  await values(1, 0, 1)
  await got(second, 2)
})

test('a second one of the same name puts the first out, which can commit no more', async (t) => {
  const { open, values, got, told } = await openGroupBench(t)
  await values(0, 0, 2)
  const connection = {}
  const first = await open({ member: 'w-1' }, connection)
  await got(first, 2)
  await assert.rejects(open({ member: 'w-1' }, connection), { code: 'invalid_request' })
  await assert.rejects(open({ member: 'w-1', subscription: { pattern: '(' } }), { code: 'invalid_request' })
  const second = await open({ member: 'w-1' })
  await told(first, 'fail fenced_instance_id')
  const refused = await first.tail.commitCursor(first.given.cursor)
  assert.ok(refused.every(({ error }) => error?.code === 'illegal_generation'))
  await got(second, 2)
  await values(0, 2, 3)
  await got(second, 3)
  assert.equal(first.given.records.length, 2)
  assert.equal(last(first), 'fail fenced_instance_id')
})

test('commits what its client is done with by itself, and nothing else', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t, { partitions: 1 })
  await values(0, 0, 6)
  const first = await open({ autoCommitMs: 2_000, batchRecords: 2 })
  await got(first, 6)
  first.tail.done(3)
  await bench.advance(1_000)
  assert.deepEqual(await bench.committed(), ['jobs-0=0'])
  await bench.advance(1_100)
  await bench.until(async () => (await bench.committed())[0] === 'jobs-0=2')
  first.tail.done(1)
  await first.tail.leave()
  assert.deepEqual(await bench.committed(), ['jobs-0=4'])
  const second = await open({ autoCommitMs: 2_000 })
  await got(second, 2)
  second.tail.done(2)
  const third = await open({ autoCommitMs: 2_000 })
  await bench.settle()
  await second.tail.leave()
  await bench.until(() => third.tail.partitions.length === 1)
  assert.deepEqual(third.given.records, [])
  assert.deepEqual(await bench.committed(), ['jobs-0=6'])
})

test('what a filter leaves out is committed too, when what was given before it is done with', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t, { partitions: 1 })
  const filter = RecordFilter.of({ key: Buffer.from('nobody'), headers: [] })
  const first = await open({ autoCommitMs: 1_000, filter })
  await values(0, 0, 5)
  await bench.until(() => first.tail.tail.positions[0]?.offset === 5)
  await bench.advance(1_100)
  await bench.until(async () => (await bench.committed())[0] === 'jobs-0=5')
  await first.tail.leave()
  const second = await open({ autoCommitMs: 1_000 })
  await values(0, 5, 6)
  await got(second, 1)
  await bench.advance(1_100)
  assert.deepEqual(await bench.committed(), ['jobs-0=5'], 'given, and not done with')
})

test('who lets go of what was revoked is not done with what it still has', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t)
  await values(0, 0, 2)
  await values(1, 0, 2)
  const first = await open({ autoCommitMs: 1_000 })
  await got(first, 4)
  const second = await open({ autoCommitMs: 1_000 })
  await bench.until(() => first.given.events.some((event) => event.startsWith('revoked')))
  first.tail.release()
  await bench.until(() => second.tail.partitions.length === 1)
  await bench.advance(2_000)
  assert.deepEqual(await bench.committed(), ['jobs-0=0', 'jobs-1=0'])
  await got(second, 2)
})

test('a commit that is under way keeps what was revoked, so that the next one begins behind it', async (t) => {
  for (const how of ['revoked', 'lost'] as const) {
    await t.test(how, async (t) => {
      const { bench, open, values, got } = await openGroupBench(t, { partitions: 1, assignors: ['range'] })
      await values(0, 0, 3)
      const first = await open({ member: 'w-1', releaseMs: 0 })
      await got(first, 3)
      const { groups } = bench.engine
      const commit = groups.commit.bind(groups)
      const held = Promise.withResolvers<void>()
      groups.commit = async (request) => {
        await held.promise
        return await commit(request)
      }
      const committing = first.tail.commitCursor(first.given.cursor)
      if (how === 'lost') first.tail.lost()
      const second = await open({ member: how === 'lost' ? 'w-1' : '' })
      await bench.settle()
      assert.deepEqual(second.given.events, [])
      held.resolve()
      assert.deepEqual(
        (await committing).map(({ error }) => error),
        [undefined],
      )
      if (how === 'revoked') await first.tail.leave()
      await bench.until(() => second.given.events[0] === 'assigned jobs-0@3')
    })
  }
})

test('what is committed by itself does not lead back a commit of its client that is under way', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t, { partitions: 1 })
  await values(0, 0, 6)
  const first = await open({ autoCommitMs: 1_000, batchRecords: 2 })
  await got(first, 6)
  first.tail.done(4)
  const held = Promise.withResolvers<void>()
  const { groups } = bench.engine
  const commit = groups.commit.bind(groups)
  groups.commit = async (request) => {
    await held.promise
    return await commit(request)
  }
  const committing = first.tail.commitCursor(first.given.cursor)
  const leaving = first.tail.leave()
  held.resolve()
  assert.deepEqual(
    (await committing).map(({ error }) => error),
    [undefined],
  )
  await leaving
  assert.deepEqual(await bench.committed(), ['jobs-0=6'])
})

test('others wait for what was given before, though its owner reads and commits on in what it keeps', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t)
  for (const partition of [0, 1]) await values(partition, 0, 2)
  const first = await open()
  await got(first, 4)
  const { cursor } = first.given
  const second = await open()
  await bench.until(() => first.tail.partitions.length === 1)
  const kept = first.tail.partitions[0]?.partition ?? 0
  await values(kept, 2, 4)
  await got(first, 6)
  await first.tail.commitCursor(first.given.cursor)
  await bench.settle()
  assert.deepEqual(second.given.events, [])
  await first.tail.commitCursor(cursor)
  await bench.until(() => second.given.events[0] === `assigned jobs-${1 - kept}@2`)
})

test('what its client was done with before it was revoked is committed by itself, though it is done with more since', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t)
  for (const partition of [0, 1]) await values(partition, 0, 2)
  const first = await open({ autoCommitMs: 1_000 })
  await got(first, 4)
  const second = await open({ autoCommitMs: 1_000 })
  await bench.until(() => first.tail.partitions.length === 1)
  const kept = first.tail.partitions[0]?.partition ?? 0
  await values(kept, 2, 4)
  await got(first, 6)
  await bench.settle()
  assert.deepEqual(second.given.events, [])
  first.tail.done(6)
  await bench.until(() => second.given.events[0] === `assigned jobs-${1 - kept}@2`)
})

test('an old cursor does not lead back what others have committed since', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t)
  await values(0, 0, 2)
  await values(1, 0, 2)
  const first = await open({ releaseMs: 0 })
  await got(first, 4)
  const { cursor } = first.given
  const second = await open()
  await got(second, 2)
  await second.tail.commitCursor(second.given.cursor)
  const [moved] = second.tail.partitions
  await values(moved?.partition ?? 0, 2, 4)
  await got(second, 4)
  await second.tail.commitCursor(second.given.cursor)
  await second.tail.leave()
  await bench.until(() => first.tail.partitions.length === 2)
  await first.tail.commitCursor(cursor)
  assert.deepEqual(
    await bench.committed(),
    [0, 1].map((p) => `jobs-${p}=${p === moved?.partition ? 4 : 2}`),
  )
})

test('what was removed behind a committed offset is told as a gap', async (t) => {
  const { bench, open, values, got, told } = await openGroupBench(t, { partitions: 1 })
  await values(0, 0, 6)
  const first = await open()
  await got(first, 6)
  await first.tail.commit([{ topic: 'jobs', partition: 0, offset: 1 }])
  await first.tail.leave()
  const jobs = bench.engine.findTopic('jobs')
  assert.ok(jobs)
  await bench.engine.deleteRecords(jobs, 0, 4)
  const second = await open({ from: { kind: 'latest' } })
  await got(second, 2)
  await told(second, 'gap jobs-0 1 to 4 removed')
  assert.deepEqual(second.given.records, ['jobs-0:4=v4', 'jobs-0:5=v5'])
})

test('a partition whose beginning cannot be found out is told once, and begun when it can be', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t)
  const { groups } = bench.engine
  const committed = groups.committed.bind(groups)
  let tries = 0
  groups.committed = async () => {
    tries++
    throw new TailraceError('kafka_storage_error', 'the disk is away')
  }
  const first = await open()
  await bench.until(() => first.given.faults.length === 2)
  for (const more of [2, 3]) {
    await bench.advance(1_000)
    await bench.until(() => tries >= more)
  }
  groups.committed = committed
  await values(0, 0, 2)
  await bench.settle()
  await bench.advance(1_000)
  await got(first, 2)
  assert.equal(first.given.faults.length, 2)
})

test('a static member has its partitions again after its tail was closed, and nobody else meanwhile', async (t) => {
  const { bench, open, told } = await openGroupBench(t)
  const first = await open({ instance: 'i-1' })
  await told(first, 'assigned jobs-0@0 jobs-1@0')
  const { generationId } = first.tail
  await first.tail.leave()
  const second = await open()
  await bench.settle()
  assert.deepEqual(second.tail.partitions, [])
  const again = await open({ instance: 'i-1' })
  await bench.until(() => again.tail.partitions.length === 1 && second.tail.partitions.length === 1)
  assert.ok(again.tail.generationId >= generationId)
})

test('what a topic grows by is read from its first record; of one that is deleted nothing is', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t, { partitions: 1 })
  const first = await open({ from: { kind: 'latest' }, subscription: { pattern: 'jobs|more' } })
  await bench.until(() => first.tail.partitions.length === 1)
  const jobs = bench.engine.findTopic('jobs')
  assert.ok(jobs)
  await bench.engine.growTopic('jobs', 2)
  await values(1, 0, 2)
  await got(first, 2)
  await bench.produce('more', 0, 'x')
  await bench.until(() => first.tail.partitions.length === 3)
  await bench.engine.deleteTopic('jobs')
  await bench.until(() => first.tail.partitions.length === 1)
  await bench.produce('more', 0, 'y')
  await bench.until(() => first.given.records.includes('more-0:1=y'))
  assert.deepEqual(first.given.failures, [])
})

test('a shared group takes no member, and an unknown topic and a wrong pattern are refused', async (t) => {
  const { bench, open } = await openGroupBench(t)
  await bench.take({})
  await assert.rejects(open(), { code: 'inconsistent_group_protocol' })
  await assert.rejects(open({ groupId: 'h', subscription: { topics: ['nothing'] } }), {
    code: 'unknown_topic_or_partition',
  })
  await assert.rejects(open({ groupId: 'h', subscription: { pattern: '(' } }), { code: 'invalid_request' })
  assert.equal((await bench.engine.groups.describe('h'))?.members.length ?? 0, 0)
})

test('a lease poll and a member of the same group share its partitions', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t)
  const first = await open()
  await bench.until(() => first.tail.partitions.length === 2)
  await bench.poll()
  await bench.until(() => first.tail.partitions.length === 1)
  await values(0, 0, 2)
  await values(1, 0, 2)
  await got(first, 2)
  const polled = await bench.poll({ waitMs: 1_000 })
  assert.equal(polled.records.length, 2)
  assert.equal(new Set([...polled.records, ...first.given.records.map((word) => word.slice(5))]).size, 4)
})

test('a member is described with its host and its name', async (t) => {
  const { bench, open } = await openGroupBench(t)
  const first = await open({ member: 'w-1' })
  await bench.until(() => first.tail.partitions.length === 2)
  const [member] = (await bench.engine.groups.describe('g'))?.members ?? []
  assert.deepEqual([member?.clientId, member?.clientHost], ['w-1', '127.0.0.1'])
})

test('reads up to where `until` was when its partitions were assigned, and stays a member', async (t) => {
  const { bench, open, values, told } = await openGroupBench(t)
  await values(0, 0, 3)
  await values(1, 0, 2)
  const first = await open({ until: { kind: 'latest' }, batchRecords: 2 })
  first.given.onTake = () => void values(0, 3, 4)
  await told(first, 'end until')
  assert.equal(first.given.events[0], 'assigned jobs-0@0 jobs-1@0')
  assert.deepEqual([...first.given.records].sort(), [
    'jobs-0:0=v0',
    'jobs-0:1=v1',
    'jobs-0:2=v2',
    'jobs-1:0=v0',
    'jobs-1:1=v1',
  ])
  await first.tail.commitCursor(first.given.cursor)
  assert.deepEqual(await bench.committed(), ['jobs-0=3', 'jobs-1=2'])
})

test('of nothing to read `until` is reached at once, after it was assigned', async (t) => {
  const { open, told } = await openGroupBench(t)
  const first = await open({ until: { kind: 'latest' } })
  await told(first, 'end until')
  assert.deepEqual(first.given.events, ['assigned jobs-0@0 jobs-1@0', 'end until'])
  await told(await open({ until: { kind: 'latest' } }), 'end until')
  const idle = await open({ until: { kind: 'latest' } })
  await told(idle, 'end until')
  assert.deepEqual(idle.given.events, ['end until'], 'there are fewer partitions than members')
})

test('has caught up when it knows what is its own and has read that, and not before', async (t) => {
  const { bench, open, values, got } = await openGroupBench(t, { partitions: 1 })
  await values(0, 0, 3)
  const first = await open()
  assert.equal(first.tail.tail.progress().caughtUp, false, 'nothing is assigned yet')
  await got(first, 3)
  await bench.until(() => first.given.caughtUp.length > 0)
  assert.deepEqual(first.given.caughtUp, [true], 'it is told once')
  assert.equal(first.given.caughtUpAfter, 3)
  assert.equal(first.tail.tail.progress().caughtUp, true)
  const idle = await open()
  await bench.until(() => idle.given.caughtUp.length > 0)
  assert.deepEqual(
    [idle.given.caughtUp, idle.given.events],
    [[true], []],
    'of what is not its own it has read everything',
  )
})

test('a member that is given more partitions than a cursor can name is told so at once, and leaves', async (t) => {
  const { bench, open } = await openGroupBench(t, { partitions: CURSOR_BYTES_MAX / 2 })
  const { given, tail } = await open()
  await bench.until(() => given.failures.length > 0)
  assert.equal(given.failures[0]?.code, 'invalid_request')
  assert.match(given.failures[0]?.message ?? '', /name fewer partitions/)
  assert.equal(tail.tail.cursor, undefined)
})
