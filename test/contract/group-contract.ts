// What every engine does for consumer groups, as a client of the raw protocol sees it: engine-contract.ts for
// src/engine/group-protocol.ts. Rules that only a moved clock can show are in test/coordinator/.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Engine } from '../../src/engine/engine.ts'
import type { TailraceError } from '../../src/kernel/errors.ts'
import { RawMember } from '../support/raw-member.ts'
import type { EngineUnderTest } from './engine-contract.ts'

function places(committed: readonly { topic: string; partition: number; offset: number }[]): string[] {
  return committed.map(({ topic, partition, offset }) => `${topic}/${partition}=${offset}`).sort()
}

/** Shows that it lives until it is told to join again. */
async function untilRebalance(member: RawMember): Promise<void> {
  const deadline = performance.now() + 10_000
  for (let isCalled = false; !isCalled; await sleep(1)) {
    assert.ok(performance.now() < deadline, 'no rebalance begins')
    isCalled = await member.heartbeat().then(
      () => false,
      (error: TailraceError) => {
        assert.equal(error.code, 'rebalance_in_progress')
        return true
      },
    )
  }
}

/** Joins a group that has one member already, both in the next generation. */
async function joinBeside(first: RawMember, second: RawMember): Promise<void> {
  const joining = second.join()
  await untilRebalance(first)
  await first.join()
  await joining
}

export interface RestartedEngine extends EngineUnderTest {
  /** Stopped, and opened again with what it has kept; closed with the test. */
  restart(engine: Engine, t: TestContext): Promise<Engine>
}

export function groupContract({ name, open, restart }: RestartedEngine): void {
  const describe = (what: string, body: (engine: Engine, t: TestContext) => Promise<void>) =>
    test(`${name}: ${what}`, async (t) => {
      const engine = await open(t)
      await engine.createTopic({ name: 't', partitionCount: 4 })
      await body(engine, t)
    })

  describe('members join, the first leads and assigns, and each syncs what is its own', async ({ groups }) => {
    const [a, b] = [new RawMember(groups, { clientId: 'a' }), new RawMember(groups, { clientId: 'b' })]
    const alone = await a.join()
    assert.deepEqual([alone.leaderId, alone.protocolName, alone.members.length], [a.memberId, 'range', 1])
    await a.sync({ [a.memberId]: ['t/0', 't/1'] })
    await joinBeside(a, b)
    assert.ok(b.generationId > alone.generationId)
    assert.equal(a.generationId, b.generationId)
    const syncing = b.sync()
    assert.deepEqual(await a.sync({ [a.memberId]: ['t/0'], [b.memberId]: ['t/1'] }), ['t/0'])
    assert.deepEqual(await syncing, ['t/1'])
    await Promise.all([a.heartbeat(), b.heartbeat()])

    assert.deepEqual(await groups.list(), [{ groupId: 'g', state: 'Stable', protocolType: 'consumer' }])
    const described = await groups.describe('g')
    assert.equal(described?.generationId, a.generationId)
    const members = described?.members ?? []
    assert.deepEqual(
      members.map(({ clientId, clientHost, assignment }) => [clientId, clientHost, Buffer.from(assignment).toString()]),
      [
        ['a', '/127.0.0.1', '["t/0"]'],
        ['b', '/127.0.0.1', '["t/1"]'],
      ],
    )
    assert.deepEqual(Buffer.from(members[0]?.metadata ?? []), a.request.protocols[0]?.metadata)
    assert.equal(await groups.describe('h'), undefined)
  })

  describe('of an earlier generation, and of no member, nothing is taken', async ({ groups }) => {
    const [a, b] = [new RawMember(groups), new RawMember(groups)]
    await a.join()
    await a.sync()
    const late = Object.assign(new RawMember(groups), { memberId: a.memberId, generationId: a.generationId })
    await joinBeside(a, b)
    await assert.rejects(a.commit(1), { code: 'rebalance_in_progress' })
    await Promise.all([a.sync(), b.sync()])
    for (const call of [() => late.commit(1), () => late.heartbeat(), () => late.sync()]) {
      await assert.rejects(call(), { code: 'illegal_generation' })
    }
    const stranger = Object.assign(new RawMember(groups), { memberId: 'nobody', generationId: a.generationId })
    for (const call of [
      () => stranger.commit(1),
      () => stranger.heartbeat(),
      () => stranger.sync(),
      () => stranger.join(),
    ]) {
      await assert.rejects(call(), { code: 'unknown_member_id' })
    }
    assert.deepEqual(await groups.committed('g'), [])
  })

  describe('who leaves makes room for the others; the last one leaves the group empty', async ({ groups }) => {
    const [a, b] = [new RawMember(groups), new RawMember(groups)]
    await a.join()
    await a.sync()
    await joinBeside(a, b)
    await Promise.all([a.sync(), b.sync()])
    assert.deepEqual(
      (await a.leave()).map(({ error }) => error?.code),
      [undefined],
    )
    await assert.rejects(b.heartbeat(), { code: 'rebalance_in_progress' })
    assert.equal((await b.join()).leaderId, b.memberId)
    await b.leave()
    assert.deepEqual(
      (await b.leave()).map(({ error }) => error?.code),
      ['unknown_member_id'],
    )
    const { state, members } = (await groups.describe('g')) ?? {}
    assert.deepEqual([state, members], ['Empty', []])
  })

  describe('who is silent for its session is out: the others share what it had, and one of them leads', async ({
    groups,
  }) => {
    const [a, b] = [new RawMember(groups, { sessionTimeoutMs: 200 }), new RawMember(groups)]
    await a.join()
    await a.sync()
    await joinBeside(a, b)
    await Promise.all([a.sync({ [a.memberId]: ['t/0'], [b.memberId]: ['t/1'] }), b.sync()])
    await b.commit(3, 1)
    await untilRebalance(b)
    const joined = await b.join()
    assert.ok(joined.generationId > a.generationId)
    assert.deepEqual([joined.leaderId, joined.members.length], [b.memberId, 1])
    assert.deepEqual(await b.sync({ [b.memberId]: ['t/0', 't/1'] }), ['t/0', 't/1'])
    await b.commit(5, 0)
    for (const call of [() => a.commit(1), () => a.heartbeat(), () => a.sync(), () => a.join()]) {
      await assert.rejects(call(), { code: 'unknown_member_id' })
    }
    assert.deepEqual(places(await groups.committed('g')), ['t/0=5', 't/1=3'])
    const { state, members } = (await groups.describe('g')) ?? {}
    assert.deepEqual([state, members?.map(({ memberId }) => memberId)], ['Stable', [b.memberId]])
  })

  describe('after a restart nobody is in, offsets are where they were, and generations go on above the last', async (engine, t) => {
    const [a, b] = [new RawMember(engine.groups), new RawMember(engine.groups, { groupInstanceId: 'i' })]
    await a.join()
    await a.sync()
    await joinBeside(a, b)
    await Promise.all([a.sync({ [a.memberId]: ['t/0'], [b.memberId]: ['t/1'] }), b.sync()])
    await Promise.all([a.commit(4, 0), b.commit(7, 1)])
    const { groups } = await restart(engine, t)
    assert.deepEqual(places(await groups.committed('g')), ['t/0=4', 't/1=7'])
    assert.deepEqual(await groups.list(), [{ groupId: 'g', state: 'Empty', protocolType: 'consumer' }])
    assert.deepEqual((await groups.describe('g'))?.members, [])
    for (const { options, memberId, generationId } of [a, b]) {
      const late = Object.assign(new RawMember(groups, options), { memberId, generationId })
      for (const call of [() => late.commit(9), () => late.heartbeat(), () => late.sync(), () => late.join()]) {
        await assert.rejects(call(), { code: 'unknown_member_id' })
      }
    }
    const back = new RawMember(groups, { groupInstanceId: 'i' })
    const joined = await back.join()
    assert.ok(joined.generationId > b.generationId, `${joined.generationId} after ${b.generationId}`)
    assert.equal(joined.leaderId, back.memberId)
    assert.deepEqual(await back.sync({ [back.memberId]: ['t/1'] }), ['t/1'])
    await back.commit(8, 1)
    assert.deepEqual(places(await groups.committed('g')), ['t/0=4', 't/1=8'])
  })

  describe('a static member comes back to what it had, and fences who had its name', async ({ groups }) => {
    const a = new RawMember(groups, { groupInstanceId: 'i' })
    await a.join()
    await a.sync({ [a.memberId]: ['t/3'] })
    const back = new RawMember(groups, { groupInstanceId: 'i' })
    const joined = await back.join()
    assert.deepEqual([joined.generationId, joined.skipAssignment], [a.generationId, true])
    assert.deepEqual(await back.sync(), ['t/3'])
    await assert.rejects(a.heartbeat(), { code: 'fenced_instance_id' })
    await assert.rejects(a.commit(1), { code: 'fenced_instance_id' })
    await back.commit(1)
  })

  describe('a group is of one protocol type, and its members share a protocol', async ({ groups }) => {
    const a = new RawMember(groups)
    await a.join()
    const of = (options: object) => new RawMember(groups, options).join()
    await assert.rejects(of({ protocolType: 'shared' }), { code: 'inconsistent_group_protocol' })
    const protocols = [{ name: 'other', metadata: Buffer.alloc(0) }]
    await assert.rejects(of({ protocols }), { code: 'inconsistent_group_protocol' })
    await assert.rejects(of({ groupId: '' }), { code: 'invalid_group_id' })
    await assert.rejects(of({ sessionTimeoutMs: 2_000_000_000 }), { code: 'invalid_session_timeout' })
  })

  describe('a rebalance that begins is told to those who listen', async ({ groups }, t) => {
    const [a, b] = [new RawMember(groups), new RawMember(groups)]
    await a.join()
    await a.sync()
    const told = Promise.withResolvers<string>()
    t.after(groups.onRebalance(told.resolve))
    const joining = b.join()
    assert.equal(await told.promise, 'g')
    await a.join()
    await joining
  })

  describe('members commit, and others only while there are none', async ({ groups }) => {
    const offsets = [
      { topic: 't', partition: 0, offset: 3, metadata: 'why' },
      { topic: 't', partition: 9, offset: 3 },
      { topic: 'x', partition: 0, offset: 3 },
    ]
    const results = await groups.commit({ groupId: 'g', offsets })
    const unknown = 'unknown_topic_or_partition'
    assert.deepEqual(
      results.map(({ topic, partition, error }) => [topic, partition, error?.code]),
      [
        ['t', 0, undefined],
        ['t', 9, unknown],
        ['x', 0, unknown],
      ],
    )
    const [first] = await groups.committed('g')
    assert.deepEqual([first?.offset, first?.leaderEpoch, first?.metadata], [3, -1, 'why'])
    assert.ok(Math.abs((first?.committedMs ?? 0) - Date.now()) < 60_000)
    const a = new RawMember(groups)
    await a.join()
    await a.sync()
    await assert.rejects(groups.commit({ groupId: 'g', offsets }), { code: 'unknown_member_id' })
    await a.commit(8)
    await a.commit(2, 1)
    assert.deepEqual(places(await groups.committed('g')), ['t/0=8', 't/1=2'])
    const asked = await groups.committed('g', [
      { topic: 't', partition: 1 },
      { topic: 't', partition: 2 },
    ])
    assert.deepEqual(places(asked), ['t/1=2'])
    await assert.rejects(groups.deleteOffsets('g', [{ topic: 't', partition: 0 }]).then(throwFirst), {
      code: 'group_subscribed_to_topic',
    })
    await a.leave()
    await groups.deleteOffsets('g', [{ topic: 't', partition: 0 }]).then(throwFirst)
    assert.deepEqual(places(await groups.committed('g')), ['t/1=2'])
  })

  describe('a group is deleted while it has no members, with all that it has committed', async ({ groups }) => {
    await assert.rejects(groups.delete('g'), { code: 'group_id_not_found' })
    const a = new RawMember(groups)
    await a.join()
    await a.sync()
    await a.commit(4)
    await assert.rejects(groups.delete('g'), { code: 'non_empty_group' })
    await a.leave()
    await groups.delete('g')
    assert.deepEqual(await groups.committed('g'), [])
    assert.deepEqual(await groups.list(), [])
  })

  describe('a topic takes with it what was committed of it', async (engine) => {
    const { groups } = engine
    await groups.commit({ groupId: 'g', offsets: [{ topic: 't', partition: 0, offset: 3 }] })
    await engine.deleteTopic('t')
    assert.deepEqual(await groups.committed('g'), [])
    await engine.createTopic({ name: 't', partitionCount: 4 })
    assert.deepEqual(await groups.committed('g'), [])
  })

  describe('a commit for a topic that another one has taken the name of is refused', async (engine) => {
    const { groups } = engine
    const old = { topic: 't', topicId: engine.findTopic('t')?.id }
    await groups.commit({ groupId: 'g', offsets: [{ ...old, partition: 0, offset: 3 }] }).then(throwFirst)
    await engine.deleteTopic('t')
    const commit = () =>
      groups.commit({ groupId: 'g', offsets: [{ ...old, partition: 0, offset: 4 }] }).then(throwFirst)
    await assert.rejects(commit(), { code: 'unknown_topic_or_partition' })
    const { id: topicId } = await engine.createTopic({ name: 't', partitionCount: 4 })
    await assert.rejects(commit(), { code: 'topic_recreated' })
    await groups.commit({ groupId: 'g', offsets: [{ ...old, topicId, partition: 1, offset: 5 }] }).then(throwFirst)
    assert.deepEqual(places(await groups.committed('g')), ['t/1=5'])
  })

  describe('who listens is told that topics have changed, when they have', async (engine) => {
    const seen: (number | undefined)[] = []
    const end = engine.onTopicsChanged(() => seen.push(engine.findTopic('u')?.partitionCount))
    await engine.createTopic({ name: 'u', partitionCount: 1 })
    await engine.growTopic('u', 3)
    await engine.deleteTopic('u')
    end()
    await engine.createTopic({ name: 'u', partitionCount: 1 })
    assert.deepEqual(seen, [1, 3, undefined])
  })

  describe('many commits at once are each answered, and the last of each partition stays', async ({ groups }) => {
    const commits = Array.from({ length: 500 }, (_, at) =>
      groups.commit({ groupId: `g${at % 5}`, offsets: [{ topic: 't', partition: at % 4, offset: at }] }),
    )
    for (const [result] of await Promise.all(commits)) assert.equal(result?.error, undefined)
    for (let group = 0; group < 5; group++) {
      const last = [0, 1, 2, 3].map((partition) => {
        const offset = Array.from({ length: 500 }, (_, at) => at).findLast(
          (at) => at % 5 === group && at % 4 === partition,
        )
        return `t/${partition}=${offset}`
      })
      assert.deepEqual(places(await groups.committed(`g${group}`)), last)
    }
  })
}

function throwFirst(results: readonly { readonly error?: Error | undefined }[]): void {
  for (const { error } of results) if (error !== undefined) throw error
}
