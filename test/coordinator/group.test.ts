// A group's rules one by one: who leads, who is fenced, what is waited for and until when. In random histories:
// group-histories.test.ts.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Group } from '../../src/coordinator/group.ts'
import { MEMBERS_MAX } from '../../src/kernel/limits.ts'
import { RawMember, settle } from '../support/raw-member.ts'
import { CoordinatorFixture, turns } from './coordinator-fixture.ts'

const ALL = ['t/0', 't/1', 't/2', 't/3']

test('the first member leads and assigns; a second one joins in the next generation', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member(), fixture.member()]
  const alone = await a.join()
  assert.deepEqual([alone.generationId, alone.leaderId, alone.members.length], [1, a.memberId, 1])
  assert.deepEqual(await a.sync({ [a.memberId]: ALL }), ALL)

  const joining = b.join()
  await assert.rejects(a.heartbeat(), { code: 'rebalance_in_progress' })
  const led = await a.join()
  const followed = await joining
  assert.deepEqual(
    [led.generationId, led.leaderId, led.members.map(({ memberId }) => memberId)],
    [2, a.memberId, [a.memberId, b.memberId].sort()],
  )
  assert.deepEqual([followed.generationId, followed.leaderId, followed.members], [2, a.memberId, []])
  const syncing = b.sync()
  await a.sync({ [a.memberId]: ['t/0', 't/1'], [b.memberId]: ['t/2', 't/3'] })
  assert.deepEqual(await syncing, ['t/2', 't/3'])
  const described = await fixture.groups.describe('g')
  assert.deepEqual([described?.state, described?.protocolName, described?.members.length], ['Stable', 'range', 2])
})

test('members that join in one turn share a generation', async () => {
  const fixture = new CoordinatorFixture()
  const members = Array.from({ length: 50 }, () => fixture.member())
  const joined = await Promise.all(members.map((member) => member.join()))
  assert.deepEqual(new Set(joined.map(({ generationId }) => generationId)), new Set([1]))
  assert.equal(joined.filter(({ members: listed }) => listed.length === 50).length, 1)
})

test('the protocol that most want of those that all have is chosen', async () => {
  const fixture = new CoordinatorFixture()
  const wanting = (...names: string[]) =>
    fixture.member({ protocols: names.map((name) => ({ name, metadata: Buffer.from(name) })) })
  const members = [wanting('x', 'a', 'b'), wanting('b', 'a'), wanting('b', 'y', 'a')]
  const joined = await Promise.all(members.map((member) => member.join()))
  assert.equal(joined[0]?.protocolName, 'b')
  assert.equal(Buffer.from(joined[0]?.members[0]?.metadata ?? []).toString(), 'b')
  await assert.rejects(wanting('x', 'y').join(), { code: 'inconsistent_group_protocol' })
  // one of them may want others, though alone it would have none in common with what it said before
  const [first] = members
  assert.ok(first)
  Object.assign(first, { options: { protocols: [{ name: 'a', metadata: Buffer.from('2') }] } })
  const again = Promise.all(members.map((member) => member.join()))
  assert.equal((await again)[0]?.protocolName, 'a')
})

test('a group is of one protocol type for life', async () => {
  const fixture = new CoordinatorFixture()
  const member = fixture.member()
  await settle([member])
  await member.leave()
  await assert.rejects(fixture.member({ protocolType: 'shared' }).join(), { code: 'inconsistent_group_protocol' })
  await turns()
  fixture.restart()
  await assert.rejects(fixture.member({ protocolType: 'shared' }).join(), { code: 'inconsistent_group_protocol' })
  await fixture.groups.delete('g')
  assert.equal((await fixture.member({ protocolType: 'shared' }).join()).generationId, 1)
})

test('what an earlier generation says is refused, and so is whoever is no member', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member(), fixture.member()]
  await settle([a])
  const joining = b.join()
  await turns()
  await a.commit(5)
  const late = Object.assign(fixture.member(), { memberId: a.memberId, generationId: a.generationId })
  await a.join()
  await joining
  await assert.rejects(a.commit(6), { code: 'rebalance_in_progress' })
  for (const call of [() => late.commit(6), () => late.heartbeat(), () => late.sync()]) {
    await assert.rejects(call(), {
      code: 'illegal_generation',
      details: { group: 'g', generation_id: 1, current_generation_id: 2 },
    })
  }
  const stranger = Object.assign(fixture.member(), { memberId: 'nobody', generationId: 2 })
  for (const call of [
    () => stranger.commit(6),
    () => stranger.heartbeat(),
    () => stranger.sync(),
    () => stranger.join(),
  ]) {
    await assert.rejects(call(), { code: 'unknown_member_id' })
  }
  assert.deepEqual(
    (await fixture.groups.committed('g')).map(({ offset }) => offset),
    [5],
  )
})

test('a rebalance goes on without members that do not join in time', async () => {
  const fixture = new CoordinatorFixture()
  const [slow, b] = [fixture.member({ rebalanceTimeoutMs: 3_000 }), fixture.member({ rebalanceTimeoutMs: 2_000 })]
  await settle([slow])
  const joining = b.join()
  await fixture.pass(2_900)
  // its session goes on while it works off what it has
  await assert.rejects(slow.heartbeat(), { code: 'rebalance_in_progress' })
  await fixture.pass(200)
  assert.deepEqual([(await joining).generationId, (await joining).leaderId], [2, b.memberId])
  await assert.rejects(slow.heartbeat(), { code: 'unknown_member_id' })
  assert.equal(fixture.telemetry.groups.expiredMembers, 1)
})

test('who has joined and never asks for its assignment is left out after the rebalance timeout', async () => {
  const fixture = new CoordinatorFixture()
  const members = [fixture.member(), fixture.member(), fixture.member()]
  await Promise.all(members.map((member) => member.join()))
  const [leader, mute, third] = members
  assert.ok(leader && mute && third)
  const syncing = third.sync()
  await leader.sync({ [third.memberId]: ALL })
  await syncing
  for (let minute = 0; minute < 61; minute += 5) {
    await fixture.pass(5_000)
    for (const member of [leader, mute, third]) await member.heartbeat().catch(() => {})
  }
  await assert.rejects(mute.heartbeat(), { code: 'unknown_member_id' })
  await assert.rejects(leader.heartbeat(), { code: 'rebalance_in_progress' })
})

test('a leader that dies before it has assigned is replaced', async () => {
  const fixture = new CoordinatorFixture()
  const [leader, b] = [fixture.member({ sessionTimeoutMs: 1_000 }), fixture.member()]
  await Promise.all([leader.join(), b.join()])
  const syncing = assert.rejects(b.sync(), { code: 'rebalance_in_progress' })
  await fixture.pass(1_100)
  await syncing
  assert.equal((await b.join()).leaderId, b.memberId)
  assert.deepEqual(await b.sync({ [b.memberId]: ALL }), ALL)
})

test('a silent member goes with its session, and signs of life of all kinds prolong it', async () => {
  const fixture = new CoordinatorFixture()
  const member = fixture.member({ sessionTimeoutMs: 1_000 })
  await settle([member])
  for (const sign of [() => member.heartbeat(), () => member.commit(1), () => member.sync()]) {
    await fixture.pass(900)
    await sign()
  }
  await fixture.pass(1_100)
  await assert.rejects(member.heartbeat(), { code: 'unknown_member_id' })
  assert.equal((await fixture.groups.describe('g'))?.state, 'Empty')
  assert.equal((await fixture.member().join()).generationId, 2)
})

test('who waits for a reply is alive; who gives up waiting has its session left, and nothing if nobody knows its id', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member({ sessionTimeoutMs: 5_000 }), fixture.member({ sessionTimeoutMs: 1_000 })]
  await settle([a])
  const waiting = new AbortController()
  const joining = b.join(waiting.signal)
  for (let second = 0; second < 4; second++) {
    await fixture.pass(1_000)
    await a.heartbeat().catch(() => {})
  }
  assert.equal((await fixture.groups.describe('g'))?.members.length, 2)
  waiting.abort()
  await assert.rejects(joining, { code: 'request_cancelled' })
  assert.equal((await fixture.groups.describe('g'))?.members.length, 1, 'it was never told its id')
  await a.join()

  const another = new AbortController()
  const c = fixture.member({ sessionTimeoutMs: 1_000 })
  await Promise.all([c.join(), a.join()])
  const syncing = c.sync({}, another.signal)
  another.abort()
  await assert.rejects(syncing, { code: 'request_cancelled' })
  assert.equal((await fixture.groups.describe('g'))?.members.length, 2)
  await fixture.pass(1_100)
  assert.equal((await fixture.groups.describe('g'))?.members.length, 1)
  const tooLate = AbortSignal.abort()
  await assert.rejects(fixture.member({ groupId: 'h' }).join(tooLate), { code: 'request_cancelled' })
  assert.equal(await fixture.groups.describe('h'), undefined)
})

test('a member that joins once more has only its last call answered', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member(), fixture.member()]
  await settle([a, b])
  const first = fixture.groups.join({ ...a.request, protocols: [{ name: 'range', metadata: Buffer.from('1') }] })
  const second = fixture.groups.join({ ...a.request, protocols: [{ name: 'range', metadata: Buffer.from('2') }] })
  await assert.rejects(first, { code: 'rebalance_in_progress' })
  await b.join()
  assert.equal(
    Buffer.from((await second).members.find((one) => one.memberId === a.memberId)?.metadata ?? []).toString(),
    '2',
  )
})

test('a member that joins again unchanged is told what holds, and begins no rebalance unless it leads', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member(), fixture.member()]
  await settle([a, b], [ALL.slice(0, 2), ALL.slice(2)])
  assert.equal((await b.join()).generationId, 1)
  assert.deepEqual(await b.sync(), ['t/2', 't/3'])
  const led = a.join()
  await assert.rejects(b.heartbeat(), { code: 'rebalance_in_progress' })
  await b.join()
  assert.equal((await led).generationId, 2)
})

test('who leaves is out at once, and what it waits for is refused', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member(), fixture.member()]
  await settle([a, b])
  const joining = assert.rejects(a.join(), { code: 'unknown_member_id' })
  const [left] = await a.leave()
  assert.equal(left?.error, undefined)
  await joining
  assert.equal((await b.join()).generationId, 2)
  const results = await fixture.groups.leave('g', [{ memberId: a.memberId }, { memberId: b.memberId }])
  assert.deepEqual(
    results.map(({ error }) => error?.code),
    ['unknown_member_id', undefined],
  )
  assert.equal((await fixture.groups.describe('g'))?.state, 'Empty')
})

test('a static member that comes back takes over its assignment without a rebalance, and its old id is fenced', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member({ groupInstanceId: 'i' }), fixture.member()]
  await settle([b, a], [['t/0'], ['t/1']])
  const back = fixture.member({ groupInstanceId: 'i' })
  const joined = await back.join()
  assert.deepEqual([joined.generationId, joined.skipAssignment, joined.members], [1, false, []])
  assert.notEqual(back.memberId, a.memberId)
  assert.deepEqual(await back.sync(), ['t/1'])
  await b.heartbeat()
  for (const call of [() => a.heartbeat(), () => a.commit(1), () => a.join(), () => a.sync()]) {
    await assert.rejects(call(), { code: 'fenced_instance_id' })
  }
  await back.commit(7, 1)
})

test('a static leader that comes back is told to leave the assignments as they are', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member({ groupInstanceId: 'i' }), fixture.member()]
  await settle([a, b], [['t/0'], ['t/1']])
  const back = fixture.member({ groupInstanceId: 'i' })
  const joined = await back.join()
  assert.deepEqual([joined.skipAssignment, joined.leaderId, joined.members.length], [true, back.memberId, 2])
  assert.deepEqual(await back.sync(), ['t/0'])
})

test('a static member that comes back with other topics, or in the middle of a rebalance, is rebalanced', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member({ groupInstanceId: 'i' }), fixture.member()]
  await settle([a, b])
  const other = fixture.member({ groupInstanceId: 'i', topics: ['t', 'u'] })
  const joining = other.join()
  await b.join()
  assert.equal((await joining).generationId, 2)
  // the leader is told, and may have assigned already what is given to the old id
  const back = fixture.member({ groupInstanceId: 'i', topics: ['t', 'u'] })
  const again = back.join()
  await assert.rejects(b.sync(), { code: 'rebalance_in_progress' })
  await b.join()
  assert.equal((await again).generationId, 3)
})

test('a static member that is away keeps its place in a rebalance, until its session ends', async () => {
  const fixture = new CoordinatorFixture()
  const away = fixture.member({ groupInstanceId: 'i', rebalanceTimeoutMs: 1_000, sessionTimeoutMs: 30_000 })
  const b = fixture.member({ rebalanceTimeoutMs: 1_000 })
  await settle([away, b])
  const c = fixture.member({ rebalanceTimeoutMs: 1_000 })
  const joining = Promise.all([c.join(), b.join()])
  await fixture.pass(1_100)
  const [, led] = await joining
  assert.equal(led?.leaderId, b.memberId, 'one that is there must lead')
  assert.equal(led?.members.length, 3)
  await Promise.all([b.sync({ [away.memberId]: ['t/3'] }), c.sync()])
  const back = fixture.member({ groupInstanceId: 'i', rebalanceTimeoutMs: 1_000 })
  assert.equal((await back.join()).generationId, 2)
  assert.deepEqual(await back.sync(), ['t/3'])
})

test('a static member leaves by its instance id', async () => {
  const fixture = new CoordinatorFixture()
  const a = fixture.member({ groupInstanceId: 'i' })
  await settle([a])
  const leave = async (memberId: string, groupInstanceId: string) => {
    const [left] = await fixture.groups.leave('g', [{ memberId, groupInstanceId }])
    return left?.error?.code
  }
  assert.equal(await leave('another', 'i'), 'fenced_instance_id')
  assert.equal(await leave('', 'j'), 'unknown_member_id')
  assert.equal(await leave('', 'i'), undefined)
  assert.equal((await fixture.groups.describe('g'))?.state, 'Empty')
})

test('a generation that cannot be saved is not told: all that join are, and the group goes on when there is room', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member(), fixture.member()]
  await settle([a])
  const full = Object.assign(new Error('no room'), { code: 'disk_full' })
  fixture.store.before = () => {
    throw full
  }
  const joining = assert.rejects(b.join())
  await turns()
  await assert.rejects(a.join())
  await joining
  await assert.rejects(fixture.member({ groupId: 'new' }).join())
  fixture.store.before = () => {}
  assert.equal((await fixture.groups.describe('g'))?.members.length, 1, 'who was never told its id is gone')
  await assert.rejects(a.heartbeat(), { code: 'rebalance_in_progress' })
  await a.commit(3)
  const led = await a.join()
  assert.equal(led.generationId, 3, 'the number that failed is not tried again')
  assert.deepEqual(await a.sync({ [a.memberId]: ALL }), ALL)
})

test('who comes while a generation is being saved is in it', async () => {
  const fixture = new CoordinatorFixture()
  const saving = Promise.withResolvers<void>()
  fixture.store.before = () => saving.promise
  const [a, b] = [fixture.member(), fixture.member()]
  const first = a.join()
  await turns()
  const second = b.join()
  await turns()
  saving.resolve()
  assert.deepEqual([(await first).members.length, (await second).generationId], [2, 1])
})

test('generations go on after a restart, and nobody is a member any more', async () => {
  const fixture = new CoordinatorFixture()
  const a = fixture.member()
  await settle([a])
  fixture.restart()
  assert.deepEqual(await fixture.groups.list(), [{ groupId: 'g', state: 'Empty', protocolType: 'consumer' }])
  const late = Object.assign(fixture.member(), { memberId: a.memberId, generationId: 1 })
  for (const call of [() => late.heartbeat(), () => late.commit(1), () => late.join(), () => late.sync()]) {
    await assert.rejects(call(), { code: 'unknown_member_id' })
  }
  assert.equal((await fixture.member().join()).generationId, 2)
})

test('members on this server are called when a rebalance begins, those that wait already are not', async () => {
  const fixture = new CoordinatorFixture()
  const called: string[] = []
  const end = fixture.groups.onRebalance((groupId) => called.push(groupId))
  const [a, b] = [fixture.member(), fixture.member()]
  await settle([a])
  assert.deepEqual(called, [])
  const joining = b.join()
  await turns()
  assert.deepEqual(called, ['g'])
  await a.join()
  await joining
  end()
  await b.leave()
  await turns()
  assert.deepEqual(called, ['g'])
})

test('the first rebalance of a group waits for more members if it is told to', async () => {
  const fixture = new CoordinatorFixture({ initialRebalanceDelayMs: 1_000 })
  const [a, b] = [fixture.member(), fixture.member()]
  const first = a.join()
  await fixture.pass(900)
  const second = b.join()
  await fixture.pass(900)
  assert.equal((await fixture.groups.describe('g'))?.state, 'PreparingRebalance')
  await fixture.pass(200)
  assert.deepEqual([(await first).generationId, (await second).generationId], [1, 1])
})

test('ten thousand members that show signs of life set no timers', async () => {
  const fixture = new CoordinatorFixture()
  const members = Array.from({ length: 10_000 }, () => fixture.member())
  await settle(members)
  let timers = 0
  const after = fixture.clock.after.bind(fixture.clock)
  fixture.clock.after = (delayMs, callback) => {
    timers++
    return after(delayMs, callback)
  }
  for (let beat = 0; beat < 3; beat++) {
    fixture.clock.advance(3_000)
    await Promise.all(members.map((member) => member.heartbeat()))
  }
  fixture.clock.advance(3_000)
  assert.equal(timers, 1)
  assert.equal((await fixture.groups.describe('g'))?.members.length, 10_000)
  await assert.rejects(fixture.member().join(), { code: 'group_max_size_reached' })
})

test('where all groups together have no room for more members, those that are there go on', async () => {
  const { clock, telemetry, groups } = new CoordinatorFixture()
  const host = {
    clock,
    telemetry,
    initialRebalanceDelayMs: 0,
    membersMax: 10,
    totals: { members: MEMBERS_MAX - 1, bytes: 0 },
    newMemberId: (prefix: string) => `${prefix}-1`,
    save: async () => {},
    onRebalance() {},
  }
  const saved = { protocolType: '', generation: 0, emptySinceMs: 0 }
  const [full, other] = ['g', 'h'].map((groupId) => new Group(host, { ...saved, groupId })) as [Group, Group]
  const { request } = new RawMember(groups)
  const { memberId } = await full.join(request)
  for (const group of [full, other]) assert.throws(() => group.join(request), { code: 'overloaded' })
  assert.equal((await full.join({ ...request, memberId })).memberId, memberId)
  full.leave({ memberId })
  await other.join(request)
})

test('what a request to join must say', async () => {
  const fixture = new CoordinatorFixture({ sessionTimeoutMsMin: 100, membersMax: 1 })
  const codes: (string | undefined)[] = []
  for (const options of [
    { groupId: '' },
    { sessionTimeoutMs: 99 },
    { sessionTimeoutMs: Number.NaN },
    { sessionTimeoutMs: 1_800_001 },
    { rebalanceTimeoutMs: -1 },
    { rebalanceTimeoutMs: 2 ** 31 },
    { protocolType: '' },
    { protocols: [] },
    { protocols: Array.from({ length: 17 }, (_, at) => ({ name: `p${at}`, metadata: Buffer.alloc(0) })) },
    { clientId: 'c'.repeat(250) },
    { protocols: [{ name: 'range', metadata: Buffer.alloc(4 * 1024 * 1024 + 1) }] },
  ]) {
    codes.push(
      await fixture
        .member(options)
        .join()
        .then(
          () => undefined,
          ({ code }) => code,
        ),
    )
  }
  assert.deepEqual(codes, [
    'invalid_group_id',
    'invalid_session_timeout',
    'invalid_session_timeout',
    'invalid_session_timeout',
    'invalid_request',
    'invalid_request',
    'inconsistent_group_protocol',
    'inconsistent_group_protocol',
    'invalid_request',
    'invalid_request',
    'request_too_large',
  ])
  assert.deepEqual(await fixture.groups.list(), [], 'nothing is kept of what was refused')
})

test('assignments that are too large are refused, and the leader may try again', async () => {
  const fixture = new CoordinatorFixture()
  const a = fixture.member()
  await a.join()
  const large = {
    ...a.identity,
    assignments: [{ memberId: a.memberId, assignment: Buffer.alloc(4 * 1024 * 1024 + 1) }],
  }
  await assert.rejects(fixture.groups.sync(large), { code: 'request_too_large' })
  await assert.rejects(fixture.groups.sync({ ...a.identity, protocolName: 'sticky', assignments: [] }), {
    code: 'inconsistent_group_protocol',
  })
  assert.deepEqual(await a.sync({ [a.memberId]: ALL }), ALL)
})

test('a server that stops tells everybody who waits', async () => {
  const fixture = new CoordinatorFixture()
  const [a, b] = [fixture.member(), fixture.member()]
  await settle([a])
  const joining = assert.rejects(b.join(), { code: 'shutting_down' })
  await turns()
  await fixture.groups.close()
  await joining
  await assert.rejects(a.heartbeat(), { code: 'shutting_down' })
})
