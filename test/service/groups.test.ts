// Group administration on a local engine, with members that join and sync by Kafka's verbs.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { encodeAssignment, encodeSubscription } from '../../src/engine/consumer-protocol.ts'
import type { Engine } from '../../src/engine/engine.ts'
import type { GroupPartition } from '../../src/engine/group-protocol.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { ANONYMOUS } from '../../src/service/caller.ts'
import { openGroupMembers } from '../../src/service/groups/group-members.ts'
import { createGroupService } from '../../src/service/groups/groups.ts'
import type { ResetRequest } from '../../src/service/groups/reset-request.ts'
import { parsePosition } from '../../src/service/read/positions.ts'
import { toParts } from '../record/records.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { openPollBench } from '../support/poll-bench.ts'

const CALLER = { principal: ANONYMOUS, clientId: '', host: '', requestId: '' }
const T0 = Date.UTC(2026, 10, 21)
const MINUTE = 60_000

/** A topic of two partitions with five records each, one a minute. */
async function open(t: TestContext) {
  const engine = await openLocalEngine(engineOptions(temporaryDirectory(t)))
  t.after(() => engine.close())
  const topic = await engine.createTopic({ name: 'orders', partitionCount: 2 })
  for (const partition of [0, 1]) {
    const records = [0, 1, 2, 3, 4].map((minute) => ({
      timestamp: T0 + minute * MINUTE,
      key: null,
      value: `${minute}`,
      headers: [],
    }))
    await engine.append(topic, partition, [sealBatch(toParts(records), { compression: 'none' })], 'all')
  }
  const groups = createGroupService({
    engine,
    clock: systemClock,
    polls: {
      progress: () => [],
      isUnused: () => false,
      leaveUnused: async () => {},
      leaveUnpolled: async () => {},
      forget: async () => {},
    },
  })
  const request = (groupId: string, to: string, more: Partial<ResetRequest> = {}) =>
    groups.resetOffsets(CALLER, groupId, {
      target: { kind: 'position', position: parsePosition(to, groupId) },
      dryRun: false,
      force: false,
      ...more,
    })
  const reset = async (...args: Parameters<typeof request>) => (await request(...args)).offsets
  const offsets = async (groupId: string) => {
    const committed = await engine.groups.committed(groupId)
    return committed.map(({ partition, offset }) => [partition, offset]).sort()
  }
  return { engine, topic, groups, request, reset, offsets }
}

/** Joins alone, gives itself the partitions, and stays. */
async function join(engine: Engine, groupId: string, partitions: readonly GroupPartition[]) {
  const topics = [...new Set(partitions.map(({ topic }) => topic))]
  const metadata = encodeSubscription({ topics, userData: null, ownedPartitions: [], generationId: -1, rackId: null })
  const joined = await engine.groups.join({
    groupId,
    memberId: '',
    clientId: 'worker',
    clientHost: '10.0.0.7',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata }],
  })
  const member = { groupId, memberId: joined.memberId, generationId: joined.generationId }
  const assignment = encodeAssignment({ partitions, userData: null })
  await engine.groups.sync({ ...member, assignments: [{ memberId: member.memberId, assignment }] })
  return member
}

test('a group is described with its members, and with partitions that are owned, committed, or both', async (t) => {
  const { engine, groups } = await open(t)
  await engine.groups.commit({ groupId: 'g', offsets: [{ topic: 'orders', partition: 0, offset: 2, metadata: 'm' }] })
  const member = await join(engine, 'g', [{ topic: 'orders', partition: 1 }])
  const { group, members, offsets } = await groups.describe(CALLER, 'g')
  assert.equal(group.state, 'Stable')
  assert.deepEqual(members, [
    {
      memberId: member.memberId,
      groupInstanceId: undefined,
      clientId: 'worker',
      host: '10.0.0.7',
      topics: ['orders'],
      partitions: [{ topic: 'orders', partition: 1 }],
    },
  ])
  const bounds = { startOffset: 0, endOffset: 5 }
  const [committed, owned] = offsets
  assert.deepEqual(
    { ...committed, committed: committed?.committed?.offset },
    { topic: 'orders', partition: 0, committed: 2, bounds, memberId: undefined },
  )
  assert.deepEqual(owned, {
    topic: 'orders',
    partition: 1,
    committed: undefined,
    bounds,
    memberId: member.memberId,
  })
})

test('a member whose bytes cannot be read is shown without topics and partitions', async (t) => {
  const { engine, groups } = await open(t)
  const hostile = Buffer.from([0, 1, 0x7f, 0xff, 0xff, 0xff])
  const joined = await engine.groups.join({
    groupId: 'g',
    memberId: '',
    clientId: 'x',
    clientHost: 'h',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: hostile }],
  })
  const member = { groupId: 'g', memberId: joined.memberId, generationId: joined.generationId }
  await engine.groups.sync({ ...member, assignments: [{ memberId: joined.memberId, assignment: hostile }] })
  const { members, offsets } = await groups.describe(CALLER, 'g')
  assert.deepEqual([members[0]?.topics, members[0]?.partitions, offsets], [[], [], []])
})

test('groups come by name, in pages', async (t) => {
  const { groups, reset } = await open(t)
  for (const name of ['c', 'a', 'b']) await reset(name, 'earliest', { topics: ['orders'] })
  const first = await groups.list(CALLER, { after: '', limit: 2 })
  assert.deepEqual(
    first.groups.map(({ groupId, state }) => [groupId, state]),
    [
      ['a', 'Empty'],
      ['b', 'Empty'],
    ],
  )
  const last = await groups.list(CALLER, { after: first.nextAfter ?? '', limit: 2 })
  assert.deepEqual([last.groups.map(({ groupId }) => groupId), last.nextAfter], [['c'], undefined])
})

test('offsets are reset to earliest, latest, a time, an offset, where they are, and on', async (t) => {
  const { groups, reset, offsets } = await open(t)
  const cases: [to: string, expected: number][] = [
    ['latest', 5],
    ['earliest', 0],
    ['2026-11-21T00:02:30Z', 3],
    ['2', 2],
    ['committed', 2],
    ['1000000h', 0],
    ['99', 5],
  ]
  for (const [to, expected] of cases) {
    await reset('g', to, { topics: ['orders'] })
    assert.deepEqual(
      await offsets('g'),
      [
        [0, expected],
        [1, expected],
      ],
      to,
    )
  }
  const shifted = await reset('g', 'earliest', { target: { kind: 'shift', by: -2 } })
  assert.deepEqual(
    shifted.map(({ previousOffset, offset, adjusted }) => [previousOffset, offset, adjusted]),
    [
      [5, 3, undefined],
      [5, 3, undefined],
    ],
  )
  const one = { topic: 'orders', partition: 1 }
  await reset('g', 'earliest', { target: { kind: 'listed', offsets: [{ ...one, offset: 4 }] } })
  await reset('g', 'earliest', { partitions: [{ topic: 'orders', partition: 0 }] })
  assert.deepEqual(await offsets('g'), [
    [0, 0],
    [1, 4],
  ])
  await groups.deleteOffsets(CALLER, 'g', 'orders', [0])
  assert.deepEqual(await offsets('g'), [[1, 4]])
})

test('a dry run tells what would be done and does nothing', async (t) => {
  const { reset, offsets, groups } = await open(t)
  const plan = await reset('g', '3', { partitions: [{ topic: 'orders', partition: 1 }], dryRun: true })
  assert.deepEqual(plan, [{ topic: 'orders', partition: 1, previousOffset: undefined, offset: 3 }])
  assert.deepEqual(await offsets('g'), [])
  await assert.rejects(groups.describe(CALLER, 'g'), { code: 'group_id_not_found' })
})

test('a dry run lets a group that is polled be: its acks may be repeated', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  const { lease } = await bench.poll()
  const answer = await bench.ackAll(lease)
  const groups = createGroupService(bench)
  const reset = (dryRun: boolean) =>
    groups.resetOffsets(CALLER, 'g', { target: { kind: 'shift', by: -1 }, dryRun, force: false })
  const planned = await reset(true)
  assert.equal(planned.refusal, undefined)
  assert.deepEqual(await bench.ackAll(lease), answer)
  const { lease: another } = await bench.poll({ waitMs: 0 })
  assert.equal(another, '')
  assert.deepEqual(await reset(false), planned)
  assert.deepEqual((await bench.poll()).records, ['0:1=b'])
  assert.equal((await reset(true)).refusal?.code, 'non_empty_group')
  await assert.rejects(reset(false), { code: 'non_empty_group' })
})

test('who stands for workers that have gone is in the way of no commit from outside, and an open lease is', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a', 'b')
  const { lease } = await bench.poll()
  const groups = createGroupService(bench)
  const commit = () =>
    groups.commitOffsets(CALLER, 'g', { kind: 'listed', offsets: [{ topic: 'jobs', partition: 0, offset: 1 }] })
  await assert.rejects(commit(), { code: 'non_empty_group' })
  await bench.ackAll(lease)
  await commit()
  assert.deepEqual((await bench.poll()).records, ['0:1=b'])
})

test('what cannot be reset is refused and changes nothing', async (t) => {
  const { reset, offsets } = await open(t)
  await reset('g', '1', { topics: ['orders'] })
  const refused: [Partial<ResetRequest> & { to?: string; group?: string }, string][] = [
    [{ topics: ['nowhere'] }, 'unknown_topic_or_partition'],
    [{ topics: ['orders', 'nowhere'] }, 'unknown_topic_or_partition'],
    [{ partitions: [{ topic: 'orders', partition: 2 }] }, 'unknown_topic_or_partition'],
    [{ to: '-5' }, 'invalid_position'],
    [{ to: 'cursor:x' }, 'invalid_position'],
    [{ group: 'nobody' }, 'group_id_not_found'],
    [{ group: '' }, 'invalid_group_id'],
    [{ group: 'new', topics: ['orders'], target: { kind: 'shift', by: 1 } }, 'invalid_request'],
  ]
  for (const [{ to = 'latest', group = 'g', ...more }, code] of refused) {
    await assert.rejects(async () => reset(group, to, more), { code }, JSON.stringify(more))
  }
  assert.deepEqual(await offsets('g'), [
    [0, 1],
    [1, 1],
  ])
})

test('while members are there nothing is reset or deleted; with force they are made to leave first', async (t) => {
  const { engine, groups, request, reset, offsets } = await open(t)
  await reset('g', '1', { topics: ['orders'] })
  const member = await join(engine, 'g', [
    { topic: 'orders', partition: 0 },
    { topic: 'orders', partition: 1 },
  ])
  await assert.rejects(reset('g', 'latest'), { code: 'non_empty_group', message: /Stable with 1 member:/ })
  const dry = await request('g', 'latest', { dryRun: true })
  assert.deepEqual([dry.offsets.length, dry.refusal?.code], [2, 'non_empty_group'])
  await assert.rejects(groups.delete(CALLER, 'g'), { code: 'non_empty_group' })
  await assert.rejects(groups.deleteOffsets(CALLER, 'g', 'orders'), { code: 'group_subscribed_to_topic' })
  const forced = await request('g', 'latest', { dryRun: true, force: true })
  assert.deepEqual([forced.offsets.length, forced.refusal], [2, undefined])
  await engine.groups.heartbeat(member)

  await reset('g', 'latest', { force: true })
  assert.deepEqual(await offsets('g'), [
    [0, 5],
    [1, 5],
  ])
  await assert.rejects(engine.groups.heartbeat(member), { code: 'unknown_member_id' })
  const late = { memberId: member.memberId, generationId: member.generationId }
  await assert.rejects(
    engine.groups.commit({ groupId: 'g', member: late, offsets: [{ topic: 'orders', partition: 0, offset: 2 }] }),
    { code: 'unknown_member_id' },
  )
  await groups.delete(CALLER, 'g')
  await assert.rejects(groups.delete(CALLER, 'g'), { code: 'group_id_not_found' })
  assert.deepEqual(await offsets('g'), [])
})

test('with force offsets are reset although leaving takes a while, and a member comes back at once', async (t) => {
  const { engine, reset, offsets } = await open(t)
  const mine = [{ topic: 'orders', partition: 0 }]
  await join(engine, 'g', mine)
  let joins = 0
  const leave = engine.groups.leave.bind(engine.groups)
  engine.groups.leave = async (groupId, members) => {
    await Promise.resolve()
    const left = await leave(groupId, members)
    if (++joins <= 3) await join(engine, 'g', mine)
    return left
  }
  await reset('g', '4', { topics: ['orders'], force: true })
  assert.equal(joins, 4)
  assert.deepEqual(await offsets('g'), [
    [0, 4],
    [1, 4],
  ])
})

test('a member of this server that is made to leave joins again, and goes on from the new offsets', async (t) => {
  const { engine, groups, reset, offsets } = await open(t)
  await reset('g', '1', { topics: ['orders'] })
  const members = openGroupMembers({ engine, clock: systemClock, logger: silentLogger })
  t.after(() => members.close())
  let given = 0
  const member = members.open({
    groupId: 'g',
    clientId: 'c',
    host: 'h',
    protocolType: 'consumer',
    assignors: ['range'],
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    listener: {
      onAssigned(partitions) {
        given += partitions.length
      },
      onRevoked() {},
      onLost() {},
    },
  })
  const end = member.hold()
  member.subscribe({ topics: ['orders'] })
  await member.settled(AbortSignal.timeout(5_000))
  const [before] = (await groups.describe(CALLER, 'g')).members
  assert.deepEqual([before?.topics, before?.partitions.length], [['orders'], 2])

  await reset('g', '3', { force: true })
  while (given < 4) await new Promise((resolve) => setTimeout(resolve, 1))
  assert.notEqual(member.memberId, before?.memberId)
  assert.equal(member.owned.length, 2)
  assert.deepEqual(await offsets('g'), [
    [0, 3],
    [1, 3],
  ])
  end()
})
