import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { decodeAssignment, encodeSubscription } from '../../src/engine/consumer-protocol.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { POLL_GIVE_UP_MS_MAX } from '../../src/kernel/limits.ts'
import type { AssignorName, OwnedPartition } from '../../src/service/groups/group-member.ts'
import type { PollBench } from '../support/poll-bench.ts'
import { caller, openPollBench } from '../support/poll-bench.ts'
import { RawMember } from '../support/raw-member.ts'

const metadata = encodeSubscription({
  topics: ['jobs'],
  userData: null,
  ownedPartitions: [],
  generationId: -1,
  rackId: null,
})

const FENCED = { code: 'fenced_lease' }

test('a poll gives records and a lease, an ack commits, the next poll goes on behind it', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c')
  const first = await bench.poll({ limit: 2 })
  assert.deepEqual(first.records, ['0:0=a', '0:1=b'])
  assert.deepEqual(first.polled.given?.positions, [{ topic: 'jobs', partition: 0, from: 0, through: 1 }])
  assert.deepEqual(await bench.committed(), ['jobs-0=0'])
  assert.deepEqual(await bench.ackAll(first.lease), {
    lease: undefined,
    expiresMs: undefined,
    committed: [{ topic: 'jobs', partition: 0, offset: 2 }],
  })
  assert.deepEqual(await bench.committed(), ['jobs-0=2'])
  const second = await bench.poll()
  assert.deepEqual(second.records, ['0:2=c'])
})

test('while a lease is open nobody else gets its partition; when its time is over it is given again, in order', async (t) => {
  const bench = await openPollBench(t, { partitions: 2 })
  await bench.produce('jobs', 0, 'a', 'b')
  const first = await bench.poll({ leaseMs: 1_000 })
  assert.deepEqual(first.records, ['0:0=a', '0:1=b'])
  assert.deepEqual((await bench.poll()).records, [])
  await bench.produce('jobs', 1, 'x')
  assert.deepEqual((await bench.poll()).records, ['1:0=x'])
  await bench.advance(1_000)
  await assert.rejects(bench.ackAll(first.lease), FENCED)
  assert.deepEqual((await bench.poll()).records, ['0:0=a', '0:1=b'])
  assert.deepEqual(await bench.committed(), ['jobs-0=0', 'jobs-1=0'])
})

test('a lease that is extended lasts; one that is released is over', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  const { lease } = await bench.poll({ leaseMs: 1_000 })
  await bench.advance(900)
  const extended = await bench.polls.extend(caller, 'g', lease, 5_000)
  assert.deepEqual(extended, { lease, expiresMs: bench.clock.now() + 5_000, committed: [] })
  await bench.advance(4_900)
  assert.deepEqual((await bench.poll()).records, [])
  assert.equal((await bench.polls.release(caller, 'g', lease)).lease, undefined)
  await assert.rejects(bench.polls.release(caller, 'g', lease), FENCED)
  await assert.rejects(bench.polls.extend(caller, 'g', lease, 5_000), FENCED)
  await assert.rejects(bench.polls.ack(caller, 'other', lease, { through: 'all' }), { code: 'group_id_not_found' })
  assert.deepEqual((await bench.poll()).records, ['0:0=a'])
})

test('a part of a lease is acknowledged: the rest is given again, or stays with it if it is kept', async (t) => {
  const bench = await openPollBench(t, { partitions: 2 })
  await bench.produce('jobs', 0, 'a', 'b', 'c')
  await bench.produce('jobs', 1, 'x', 'y')
  const { lease } = await bench.poll()
  const at = (partition: number, offset: number) => ({ topic: 'jobs', partition, offset })
  const kept = await bench.polls.ack(caller, 'g', lease, { through: [at(0, 0), at(1, 1)], keep: true })
  assert.deepEqual(kept.committed, [at(0, 1), at(1, 2)])
  assert.equal(kept.lease, lease)
  assert.deepEqual((await bench.poll()).records, [])
  await bench.produce('jobs', 1, 'z')
  const other = await bench.poll()
  assert.deepEqual(other.records, ['1:2=z'])
  const ended = await bench.polls.ack(caller, 'g', lease, { through: [at(0, 1)] })
  assert.equal(ended.lease, undefined)
  assert.deepEqual((await bench.poll()).records, ['0:2=c'])
  assert.deepEqual(await bench.committed(), ['jobs-0=2', 'jobs-1=2'])
})

test('the ack of a lease that was kept commits nothing of a partition that it was done with', async (t) => {
  const bench = await openPollBench(t, { partitions: 2 })
  await bench.produce('jobs', 0, 'a')
  await bench.produce('jobs', 1, 'x')
  const { lease } = await bench.poll()
  await bench.polls.ack(caller, 'g', lease, { through: [{ topic: 'jobs', partition: 0, offset: 0 }], keep: true })
  await bench.produce('jobs', 0, 'b')
  await bench.ackAll((await bench.poll()).lease)
  const { committed } = await bench.ackAll(lease)
  assert.deepEqual(committed, [{ topic: 'jobs', partition: 1, offset: 1 }])
  assert.deepEqual(await bench.committed(), ['jobs-0=2', 'jobs-1=1'])
})

test('an ack of what the lease does not hold is refused, and nothing is done', async (t) => {
  const bench = await openPollBench(t, { partitions: 2 })
  await bench.produce('jobs', 0, 'a', 'b')
  const { lease } = await bench.poll()
  const ack = (topic: string, partition: number, offset: number, more = {}) =>
    bench.polls.ack(caller, 'g', lease, { through: [{ topic, partition, offset }], ...more })
  const refused = { code: 'invalid_request' }
  await assert.rejects(ack('jobs', 0, 2), refused)
  await assert.rejects(ack('jobs', 1, 0), refused)
  await assert.rejects(ack('other', 0, 0), refused)
  await assert.rejects(bench.polls.ack(caller, 'g', lease, {}), refused)
  await assert.rejects(ack('jobs', 0, 0, { rejected: [{ topic: 'jobs', partition: 0, offset: 0 }] }), refused)
  const place = { topic: 'jobs', partition: 0, offset: 0 }
  await assert.rejects(bench.polls.ack(caller, 'g', lease, { through: [place, place] }), refused)
  assert.deepEqual(await bench.committed(), ['jobs-0=0', 'jobs-1=0'])
  await bench.ackAll(lease)
  assert.deepEqual(await bench.committed(), ['jobs-0=2', 'jobs-1=0'])
})

test('an ack whose reply was lost may be sent again; one for more than was acknowledged may not', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  const { lease } = await bench.poll()
  const through = [{ topic: 'jobs', partition: 0, offset: 0 }]
  const answer = await bench.polls.ack(caller, 'g', lease, { through })
  assert.deepEqual(await bench.polls.ack(caller, 'g', lease, { through }), answer)
  await assert.rejects(bench.ackAll(lease), FENCED)
  assert.deepEqual(await bench.committed(), ['jobs-0=1'])
})

test('the poll that waits longest is served first; a poll that waits comes as soon as there is a record', async (t) => {
  const bench = await openPollBench(t)
  await bench.poll()
  const waiting = [1, 2].map(() => bench.poll({ waitMs: 20_000 }))
  await bench.settle()
  await bench.produce('jobs', 0, 'a')
  const [first, second] = waiting
  const served = (await first) as Awaited<typeof first>
  assert.deepEqual(served?.records, ['0:0=a'])
  await bench.produce('jobs', 0, 'b')
  await bench.ackAll(served?.lease ?? '')
  assert.deepEqual((await second)?.records, ['0:1=b'])
})

test('a poll whose time is over, or whose client is gone, is answered with nothing and holds nothing', async (t) => {
  const bench = await openPollBench(t)
  const empty = bench.poll({ waitMs: 1_000 })
  await bench.settle()
  await bench.advance(1_000)
  assert.deepEqual((await empty).records, [])
  assert.equal((await empty).polled.given, undefined)
  const gone = new AbortController()
  const left = bench.poll({ waitMs: 20_000, signal: gone.signal })
  await bench.settle()
  gone.abort()
  assert.deepEqual((await left).records, [])
  await bench.produce('jobs', 0, 'a')
  assert.deepEqual((await bench.poll()).records, ['0:0=a'])
})

test('partitions are spread over the polls that are there', async (t) => {
  const bench = await openPollBench(t, { partitions: 8 })
  const waiting = [1, 2, 3, 4].map(() => bench.poll({ waitMs: 20_000 }))
  await bench.settle()
  for (let partition = 0; partition < 8; partition++) await bench.produce('jobs', partition, 'a')
  const more = async () => {
    const polled = await Promise.all(waiting)
    return polled.map(({ records }) => records.length)
  }
  assert.deepEqual(Math.max(...(await more())) <= 2, true)
  let rest = await bench.poll()
  let total = (await more()).reduce((sum, count) => sum + count, 0)
  for (; rest.records.length > 0; rest = await bench.poll()) total += rest.records.length
  assert.equal(total, 8)
})

test('the first poll commits where it begins: latest means the latest of then', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'old')
  assert.deepEqual((await bench.poll({ from: 'latest' })).records, [])
  assert.deepEqual(await bench.committed(), ['jobs-0=1'])
  await bench.produce('jobs', 0, 'new')
  assert.deepEqual((await bench.poll({ from: 'latest' })).records, ['0:1=new'])
})

test('a partition that is added is read from its first record, whatever from says', async (t) => {
  const bench = await openPollBench(t)
  await bench.poll({ from: 'latest' })
  await bench.engine.growTopic('jobs', 2)
  await bench.produce('jobs', 1, 'a')
  assert.deepEqual((await bench.poll({ from: 'latest', waitMs: 20_000 })).records, ['1:0=a'])
})

test('each poll gets its own topics only, and the group reads all that are asked for', async (t) => {
  const bench = await openPollBench(t)
  await bench.engine.createTopic({ name: 'mail', partitionCount: 1 })
  await bench.engine.createTopic({ name: 'jobs.slow', partitionCount: 1 })
  for (const topic of ['jobs', 'mail', 'jobs.slow']) await bench.produce(topic, 0, topic)
  const topicsOf = async (asked: Parameters<typeof bench.poll>[0]) =>
    (await bench.poll(asked)).given.map(({ topic }) => topic)
  assert.deepEqual(await topicsOf({ topics: ['mail'] }), ['mail'])
  assert.deepEqual(await topicsOf({ subscription: { pattern: 'jobs\\..*' } }), ['jobs.slow'])
  assert.deepEqual(await topicsOf({ topics: ['jobs'] }), ['jobs'])
  await assert.rejects(bench.poll({ topics: ['nope'] }), { code: 'unknown_topic_or_partition' })
  await assert.rejects(bench.poll({ subscription: { pattern: '(' } }), { code: 'invalid_request' })
})

test('a committed offset beyond the end counts as none, in both kinds of groups', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  for (const mode of ['exclusive', 'shared'] as const) {
    const offsets = [{ topic: 'jobs', partition: 0, offset: 3 }]
    await bench.engine.groups.commit({ groupId: mode, offsets })
    assert.deepEqual((await bench.poll({ group: mode, mode })).records, ['0:0=a', '0:1=b'])
    assert.deepEqual(await bench.committed(mode), ['jobs-0=0'])
  }
})

test('records that were removed are told as a gap', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b', 'c')
  await bench.poll({ from: 'earliest', limit: 1, leaseMs: 1_000 })
  await bench.advance(1_000)
  const topic = bench.engine.findTopic('jobs')
  assert.ok(topic)
  await bench.engine.deleteRecords(topic, 0, 2)
  const { records, lease, polled } = await bench.poll()
  assert.deepEqual(records, ['0:2=c'])
  assert.deepEqual(polled.gaps, [{ topic: 'jobs', partition: 0, from: 0, to: 2, reason: 'removed' }])
  await bench.ackAll(lease)
  assert.deepEqual(await bench.committed(), ['jobs-0=3'])
})

test('a gap that is met with nothing to give is told by the next answer, and again if that did not go out', async (t) => {
  for (const mode of ['exclusive', 'shared'] as const) {
    const bench = await openPollBench(t)
    await bench.produce('jobs', 0, 'a', 'b', 'c')
    const first = await bench.poll({ mode, limit: 1 })
    await bench.polls.ack(caller, 'g', first.lease, mode === 'shared' ? { accept: 'all' } : { through: 'all' })
    const topic = bench.engine.findTopic('jobs')
    assert.ok(topic)
    await bench.engine.deleteRecords(topic, 0, 3)
    const gap = { topic: 'jobs', partition: 0, from: 1, to: 3, reason: 'removed' }
    const waiting = bench.poll({ mode, waitMs: 1_000 })
    await bench.settle()
    await bench.produce('jobs', 0, 'd')
    const { records, polled } = await waiting
    assert.deepEqual([records, polled.gaps], [['0:3=d'], [gap]])
    polled.settle(false)
    const again = await bench.poll({ mode })
    assert.deepEqual([again.records, again.polled.gaps], [['0:3=d'], [gap]])
    again.polled.settle(true)
    assert.deepEqual((await bench.poll({ mode })).polled.gaps, [])
  }
})

test('workers come and go without a rebalance; the member leaves when nobody has been there for a while', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  const { lease, polled } = await bench.poll({ leaseMs: 50_000 })
  for (let poll = 0; poll < 3; poll++) assert.equal((await bench.poll()).polled.generation, polled.generation)
  await bench.advance(40_000)
  assert.equal((await bench.engine.groups.describe('g'))?.state, 'Stable')
  await bench.ackAll(lease)
  await bench.leave()
  await bench.produce('jobs', 0, 'b')
  const again = await bench.poll()
  assert.deepEqual(again.records, ['0:1=b'])
  assert.ok(again.polled.generation > polled.generation)
})

/** One of another face comes to the group. */
function openOther(bench: PollBench, { assignors = COOPERATIVE }: { assignors?: readonly AssignorName[] } = {}) {
  const owned = new Set<number>()
  const lose = (partitions: readonly OwnedPartition[]) => {
    for (const { partition } of partitions) owned.delete(partition)
  }
  const member = bench.members.open({
    groupId: 'g',
    clientId: 'other',
    host: '',
    protocolType: 'consumer',
    assignors,
    sessionTimeoutMs: 1_000_000,
    rebalanceTimeoutMs: 60_000,
    listener: {
      onAssigned: (partitions) => partitions.forEach(({ partition }) => void owned.add(partition)),
      onRevoked: lose,
      onLost: lose,
    },
  })
  member.subscribe({ topics: ['jobs'] })
  return { member, owned }
}

const COOPERATIVE: readonly AssignorName[] = ['cooperative-sticky', 'range']
const at = (partition: number, offset: number) => ({ topic: 'jobs', partition, offset })

async function makeAllLeave({ engine }: PollBench): Promise<void> {
  const members = (await engine.groups.describe('g'))?.members ?? []
  const named = members.map(({ memberId, groupInstanceId }) => ({ memberId, groupInstanceId }))
  await engine.groups.leave('g', named)
}

/** A lease on all partitions, two records each, that another member is to have two of. */
async function leaseOfFour(t: TestContext) {
  const bench = await openPollBench(t, { partitions: 4 })
  for (const partition of [0, 1, 2, 3]) await bench.produce('jobs', partition, 'a', 'b')
  const { lease } = await bench.poll({ leaseMs: 600_000 })
  const other = openOther(bench)
  await keptByPolls(bench)
  return { bench, lease, other }
}

/** What the member that stands for the polls keeps, once it is known what others are to have. */
async function keptByPolls(bench: PollBench): Promise<readonly number[]> {
  let kept: readonly number[] = []
  await bench.until(async () => {
    const { state, members = [] } = (await bench.engine.groups.describe('g')) ?? {}
    const own = members.find(({ clientId }) => clientId === 'tailrace-poll')
    kept = (own && decodeAssignment(own.assignment)?.partitions.map(({ partition }) => partition)) ?? []
    return state === 'Stable' && members.length === 2
  })
  await bench.settle()
  return kept
}

test('a partition that another member is to have stays until its lease has ended; nothing more of it is given, and others are', async (t) => {
  for (const end of ['acknowledged', 'released', 'expired'] as const) {
    const bench = await openPollBench(t, { partitions: 4 })
    for (const partition of [0, 1, 2, 3]) await bench.produce('jobs', partition, 'a', 'b')
    const leases = new Map<number, string>()
    while (leases.size < 4) {
      const { lease, given } = await bench.poll({ limit: 1, leaseMs: 40_000 })
      leases.set(given[0]?.partition ?? -1, lease)
    }
    const leaseOn = (partition: number | undefined) => leases.get(partition ?? -1) ?? ''
    const { member, owned } = openOther(bench)
    const kept = await keptByPolls(bench)
    const leaving = [0, 1, 2, 3].filter((partition) => !kept.includes(partition))
    assert.equal(leaving.length, 2)
    await bench.polls.release(caller, 'g', leaseOn(kept[0]))
    assert.deepEqual((await bench.poll({ limit: 1 })).given[0]?.partition, kept[0])
    await bench.polls.release(caller, 'g', leaseOn(leaving[0]))
    assert.deepEqual((await bench.poll({ limit: 1 })).given, [])
    assert.equal(owned.size, 0, 'those that go, go together')
    if (end === 'acknowledged') await bench.ackAll(leaseOn(leaving[1]))
    else if (end === 'released') await bench.polls.release(caller, 'g', leaseOn(leaving[1]))
    else await bench.advance(40_000)
    await bench.until(() => owned.size === 2)
    assert.deepEqual([...owned].sort(), leaving)
    const acknowledged = end === 'acknowledged' ? leaving[1] : undefined
    assert.deepEqual(
      await bench.committed(),
      [0, 1, 2, 3].map((partition) => `jobs-${partition}=${partition === acknowledged ? 1 : 0}`),
    )
    await member.close()
  }
})

test('a rebalance takes leased partitions in the end: the ack does the rest of the lease, and says what is lost', async (t) => {
  const { bench, lease, other } = await leaseOfFour(t)
  const memberIds = async () => (await bench.engine.groups.describe('g'))?.members.map(({ memberId }) => memberId)
  const before = await memberIds()
  await bench.advance(POLL_GIVE_UP_MS_MAX - 1)
  assert.equal(other.owned.size, 0)
  await bench.advance(1)
  await bench.until(() => other.owned.size === 2)
  const lost = [...other.owned].sort()
  const kept = [0, 1, 2, 3].filter((partition) => !lost.includes(partition))
  const positions = (await bench.polls.leases(caller, 'g')).map((one) =>
    one.positions.map(({ partition }) => partition),
  )
  assert.deepEqual(positions, [kept])
  const fenced = lost.map((partition) => ({ topic: 'jobs', partition, from: 0, through: 1 }))
  const ackOfLost = bench.polls.ack(caller, 'g', lease, { through: lost.map((partition) => at(partition, 1)) })
  await assert.rejects(ackOfLost, { ...FENCED, details: { lease, reason: 'rebalanced', fenced } })
  const answer = await bench.ackAll(lease)
  assert.deepEqual(answer, {
    lease: undefined,
    expiresMs: undefined,
    committed: kept.map((partition) => at(partition, 2)),
    fenced,
  })
  assert.deepEqual(await bench.ackAll(lease), answer, 'the same ack is answered alike')
  assert.deepEqual(
    await bench.committed(),
    [0, 1, 2, 3].map((partition) => `jobs-${partition}=${kept.includes(partition) ? 2 : 0}`),
  )
  assert.deepEqual(await memberIds(), before, 'nobody was thrown out')
})

test('what was lost and came back is given anew, and no ack of the old lease is for it', async (t) => {
  const { bench, lease, other } = await leaseOfFour(t)
  await bench.advance(POLL_GIVE_UP_MS_MAX)
  await bench.until(() => other.owned.size === 2)
  const lost = [...other.owned].sort()
  await other.member.close()
  const again = await bench.poll({ waitMs: 20_000 })
  assert.deepEqual([...new Set(again.given.map(({ partition }) => partition))].sort(), lost)
  const { committed } = await bench.ackAll(lease)
  assert.deepEqual(
    committed.map(({ partition }) => partition).filter((partition) => lost.includes(partition)),
    [],
  )
  assert.equal((await bench.ackAll(again.lease)).committed.length, 2)
})

test('under an eager assignor too a rebalance waits for leases, and ends in time with everybody in the group', async (t) => {
  for (const acks of [true, false]) {
    const bench = await openPollBench(t, { partitions: 3 })
    for (const partition of [0, 1, 2]) await bench.produce('jobs', partition, 'a')
    const assignors = ['range'] as const
    const others = [openOther(bench, { assignors })]
    await bench.until(() => others[0]?.owned.size === 3)
    const { lease, given } = await bench.poll({ leaseMs: 600_000, waitMs: 1_000 })
    assert.equal(given.length, others[0]?.owned.size === 1 ? 2 : 1)
    const memberIds = async () => (await bench.engine.groups.describe('g'))?.members.map(({ memberId }) => memberId)
    const before = await memberIds()
    others.push(openOther(bench, { assignors }))
    await bench.until(() => others.every(({ owned }) => owned.size === 0))
    await bench.settle(100)
    assert.equal((await bench.engine.groups.describe('g'))?.state, 'PreparingRebalance')
    if (acks) assert.equal((await bench.ackAll(lease)).committed.length, given.length)
    else await bench.advance(POLL_GIVE_UP_MS_MAX)
    await bench.until(() => others.every(({ owned }) => owned.size === 1))
    assert.deepEqual((await memberIds())?.slice(0, 2), before, 'nobody was thrown out')
    if (!acks) await assert.rejects(bench.ackAll(lease), FENCED)
  }
})

test('under an eager assignor a member that was made to leave does not wait for leases when others come back', async (t) => {
  const bench = await openPollBench(t, { partitions: 2 })
  await bench.produce('jobs', 0, 'a')
  await bench.produce('jobs', 1, 'x')
  const { member, owned } = openOther(bench, { assignors: ['range'] })
  await bench.until(() => owned.size === 2)
  const { lease } = await bench.poll({ leaseMs: 600_000, waitMs: 1_000 })
  await makeAllLeave(bench)
  member.touch()
  const isOver = async () => {
    const error = await bench.polls.extend(caller, 'g', lease, 600_000).catch((failure: TailraceError) => failure)
    return error instanceof TailraceError && error.code === 'fenced_lease'
  }
  await bench.until(isOver)
  await bench.until(() => owned.size === 1)
})

test('a member that is made to leave while partitions of it are leaving does not wait for their leases', async (t) => {
  const { bench, lease, other } = await leaseOfFour(t)
  await makeAllLeave(bench)
  for (let step = 0; step < 4; step++) await bench.advance(5_000)
  await assert.rejects(bench.ackAll(lease), FENCED)
  await bench.until(async () => (await bench.poll({ limit: 1, waitMs: 0 })).given.length > 0)
  await other.member.close()
})

test('an ack that waits for a rebalance commits nothing of the topic that is made meanwhile under the same name', async (t) => {
  const bench = await openPollBench(t, { partitions: 2 })
  await bench.produce('jobs', 0, 'a', 'b')
  const { lease } = await bench.poll()
  const member = () => new RawMember(bench.engine.groups, { protocols: [{ name: 'cooperative-sticky', metadata }] })
  const a = member()
  const sync = (who: RawMember) => bench.engine.groups.sync({ ...who.identity, assignments: [] })
  await a.join()
  await sync(a)
  await bench.until(async () => (await bench.engine.groups.describe('g'))?.state === 'Stable')
  const b = member()
  const joining = b.join()
  await bench.settle()
  const ack = bench.ackAll(lease)
  await bench.settle()
  await bench.engine.deleteTopic('jobs')
  await bench.engine.createTopic({ name: 'jobs', partitionCount: 2 })
  await Promise.all([a.join(), joining])
  await Promise.all([sync(a), sync(b), assert.rejects(ack)])
  assert.deepEqual(
    (await bench.committed()).filter((place) => !place.endsWith('=0')),
    [],
  )
})

test('whose lease is over is told why, in both kinds of groups, as far as that is known', async (t) => {
  for (const mode of ['exclusive', 'shared'] as const) {
    const bench = await openPollBench(t)
    await bench.produce('jobs', 0, 'a')
    const said = mode === 'shared' ? ({ accept: 'all' } as const) : ({ through: 'all' } as const)
    const toldWhy = async (lease: string, reason: string | undefined, message: RegExp) => {
      const details = reason === undefined ? { lease } : { lease, reason }
      await assert.rejects(bench.polls.ack(caller, 'g', lease, said), { ...FENCED, details, message })
    }
    const expired = await bench.poll({ mode, leaseMs: 1_000 })
    await bench.advance(1_000)
    await toldWhy(expired.lease, 'expired', /^the lease has expired;/)
    const released = await bench.poll({ mode })
    await bench.polls.release(caller, 'g', released.lease)
    await toldWhy(released.lease, 'released', /^the lease was released;/)
    await toldWhy('anything', undefined, /^the lease is not known: .* the server restarted/)
    const held = await bench.poll({ mode })
    await makeAllLeave(bench)
    await bench.advance(15_000)
    await toldWhy(held.lease, 'rebalanced', /rebalance of its group took all/)
    await toldWhy(released.lease, 'released', /^the lease was released;/)
  }
})

test('after a restart old leases are fenced and what was not acknowledged is given again', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  const first = await bench.poll({ limit: 1 })
  await bench.ackAll(first.lease)
  const { lease, polled } = await bench.poll()
  await bench.close()
  const next = await openPollBench(t, { dataDir: bench.dataDir, clock: bench.clock })
  await assert.rejects(next.ackAll(lease), FENCED)
  const again = await next.poll()
  assert.deepEqual(again.records, ['0:1=b'])
  assert.ok(again.polled.generation > polled.generation)
  await assert.rejects(next.ackAll(lease), FENCED)
})

test('a partition that could not be asked at first begins where from says, unless it was added', async (t) => {
  for (const grows of [false, true]) {
    const bench = await openPollBench(t, { partitions: grows ? 1 : 2 })
    if (grows) await bench.engine.growTopic('jobs', 2)
    await bench.produce('jobs', 1, 'old')
    const { engine } = bench
    const listOffsets = engine.listOffsets.bind(engine)
    engine.listOffsets = async (queries) => {
      if (queries.some(({ partition }) => partition === 1)) throw new TailraceError('overloaded', 'no file is free')
      return await listOffsets(queries)
    }
    const first = await bench.poll({ from: 'latest' })
    assert.deepEqual(
      first.polled.faults.map(({ partition }) => partition),
      [1],
    )
    engine.listOffsets = listOffsets
    if (grows) await bench.advance(2_000)
    else await bench.leave()
    assert.deepEqual((await bench.poll({ from: 'latest' })).records, [])
    await bench.produce('jobs', 1, 'new')
    assert.deepEqual((await bench.poll({ from: 'latest' })).records, ['1:1=new'])
  }
})

test('a record that comes while a poll looks, and finds nothing, is not missed, in both kinds of groups', async (t) => {
  for (const mode of ['exclusive', 'shared'] as const) {
    const bench = await openPollBench(t)
    const { engine } = bench
    const fetch = engine.fetch
    engine.fetch = async (...asked) => {
      engine.fetch = fetch
      const found = await fetch.apply(engine, asked)
      await bench.produce('jobs', 0, 'a')
      return found
    }
    assert.deepEqual((await bench.poll({ mode, waitMs: 20_000 })).records, ['0:0=a'])
  }
})
