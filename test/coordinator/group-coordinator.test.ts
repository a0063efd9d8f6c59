// Committed offsets, their expiry, and the groups as a whole: what is taken, from whom, when it is seen, and what is left of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GroupOffsets } from '../../src/coordinator/group-offsets.ts'
import type { Topic } from '../../src/engine/engine.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import {
  COMMITTED_OFFSETS_MAX,
  GROUPS_MAX,
  OFFSETS_A_COMMIT_MAX,
  OFFSETS_WAITING_MAX,
} from '../../src/kernel/limits.ts'
import { MemoryGroupStore } from '../support/memory-group-store.ts'
import { settle } from '../support/raw-member.ts'
import { CoordinatorFixture, turns } from './coordinator-fixture.ts'

const DAY_MS = 86_400_000
const NEVER = new AbortController().signal

function offsetsOf(committed: readonly { topic: string; partition: number; offset: number }[]) {
  return committed.map(({ topic, partition, offset }) => `${topic}/${partition}=${offset}`).sort()
}

test('from outside a group commits while it is empty only, also one that nobody knew', async () => {
  const fixture = new CoordinatorFixture()
  const offsets = [{ topic: 't', partition: 0, offset: 4, leaderEpoch: 2, metadata: 'm' }]
  assert.deepEqual(await fixture.groups.commit({ groupId: 'g', offsets }), [
    { topic: 't', partition: 0, error: undefined },
  ])
  assert.deepEqual(await fixture.groups.list(), [{ groupId: 'g', state: 'Empty', protocolType: '' }])
  const committedMs = fixture.clock.now()
  assert.deepEqual(await fixture.groups.committed('g'), [{ ...offsets[0], committedMs }])
  const member = fixture.member()
  await settle([member])
  await assert.rejects(fixture.groups.commit({ groupId: 'g', offsets }), { code: 'unknown_member_id' })
  await member.leave()
  await fixture.groups.commit({ groupId: 'g', offsets })
  const nobody = { groupId: 'h', member: { memberId: 'm', generationId: 1 }, offsets }
  await assert.rejects(fixture.groups.commit(nobody), { code: 'unknown_member_id' })
  assert.equal(await fixture.groups.describe('h'), undefined)
})

test('each partition has its own answer, and what cannot be meant is refused as a whole', async () => {
  const fixture = new CoordinatorFixture({ offsetMetadataBytesMax: 4 })
  const commit = (...offsets: { topic: string; partition: number; offset: number; metadata?: string }[]) =>
    fixture.groups.commit({ groupId: 'g', offsets })
  const results = await commit(
    { topic: 't', partition: 0, offset: 1 },
    { topic: 't', partition: 4, offset: 1 },
    { topic: 't', partition: -1, offset: 1 },
    { topic: 't', partition: 0.5, offset: 1 },
    { topic: 'x', partition: 0, offset: 1 },
    { topic: 't', partition: 1, offset: 1, metadata: 'éé!' },
    { topic: 't', partition: 2, offset: 1, metadata: 'éé' },
  )
  const unknown = 'unknown_topic_or_partition'
  assert.deepEqual(
    results.map(({ error }) => error?.code),
    [undefined, unknown, unknown, unknown, unknown, 'offset_metadata_too_large', undefined],
  )
  assert.deepEqual(offsetsOf(await fixture.groups.committed('g')), ['t/0=1', 't/2=1'])
  for (const offset of [-1, 0.5, 2 ** 53]) {
    const bad = commit({ topic: 't', partition: 0, offset: 9 }, { topic: 't', partition: 0, offset })
    await assert.rejects(bad, { code: 'invalid_request' })
  }
  const many = Array.from({ length: 100_001 }, () => ({ topic: 't', partition: 0, offset: 9 }))
  await assert.rejects(commit(...many), { code: 'request_too_large' })
  assert.deepEqual(offsetsOf(await fixture.groups.committed('g')), ['t/0=1', 't/2=1'])
})

test('an offset is seen when it is durable, and whoever asks meanwhile waits for it', async () => {
  const fixture = new CoordinatorFixture()
  const saving = Promise.withResolvers<void>()
  fixture.store.before = () => saving.promise
  const commits = [1, 2, 3].map((offset) =>
    fixture.groups.commit({ groupId: 'g', offsets: [{ topic: 't', partition: 0, offset }] }),
  )
  const asked = fixture.groups.committed('g')
  let isAnswered = false
  void asked.then(() => {
    isAnswered = true
  })
  await turns()
  assert.equal(isAnswered, false)
  saving.resolve()
  assert.deepEqual(offsetsOf(await asked), ['t/0=3'])
  await Promise.all(commits)
})

test('a commit that fails changes nothing', async () => {
  const fixture = new CoordinatorFixture()
  const commit = (offset: number, groupId = 'g') =>
    fixture.groups.commit({ groupId, offsets: [{ topic: 't', partition: 0, offset }] })
  await commit(1)
  fixture.store.before = () => {
    throw new TailraceError('disk_full', 'no room')
  }
  await assert.rejects(commit(2), { code: 'disk_full' })
  await assert.rejects(commit(2, 'new'), { code: 'disk_full' })
  assert.deepEqual(offsetsOf(await fixture.groups.committed('g')), ['t/0=1'])
  assert.equal(await fixture.groups.describe('new'), undefined)
})

test('committed offsets outlive a restart', async () => {
  const fixture = new CoordinatorFixture()
  const member = fixture.member()
  await settle([member])
  await member.commit(17, 2)
  fixture.restart()
  assert.deepEqual(offsetsOf(await fixture.groups.committed('g', [{ topic: 't', partition: 2 }])), ['t/2=17'])
  assert.deepEqual(await fixture.groups.committed('g', [{ topic: 't', partition: 1 }]), [])
  assert.deepEqual(await fixture.groups.committed('nobody'), [])
})

test('what was committed of a topic goes with it, and one that is made again inherits nothing', async () => {
  const fixture = new CoordinatorFixture()
  const offsets = ['t', 'u'].map((topic) => ({ topic, partition: 0, offset: 5 }))
  await fixture.groups.commit({ groupId: 'g', offsets })
  const saving = Promise.withResolvers<void>()
  fixture.store.before = () => saving.promise
  const late = fixture.groups.commit({ groupId: 'g', offsets })
  await turns()
  fixture.deleteTopic('t')
  fixture.makeTopic('t')
  saving.resolve()
  const [ofDeleted, ofOther] = await late
  assert.equal(ofDeleted?.error?.code, 'unknown_topic_or_partition')
  assert.equal(ofOther?.error, undefined)
  assert.deepEqual(offsetsOf(await fixture.groups.committed('g')), ['u/0=5'])
})

test('a group is deleted with its offsets while it is empty, and whoever comes meanwhile waits', async () => {
  const fixture = new CoordinatorFixture()
  await assert.rejects(fixture.groups.delete('g'), { code: 'group_id_not_found' })
  const member = fixture.member()
  await settle([member])
  await member.commit(5)
  await assert.rejects(fixture.groups.delete('g'), { code: 'non_empty_group' })
  await member.leave()
  const saving = Promise.withResolvers<void>()
  fixture.store.before = () => saving.promise
  const deleting = fixture.groups.delete('g')
  const joining = fixture.member().join()
  const asked = fixture.groups.committed('g')
  await turns()
  saving.resolve()
  await deleting
  assert.deepEqual(await asked, [])
  assert.equal((await joining).generationId, 1)
  fixture.restart()
  assert.deepEqual(await fixture.groups.committed('g'), [])
  const twice = [fixture.groups.delete('g'), fixture.groups.delete('g')]
  const [first, second] = await Promise.allSettled(twice)
  assert.deepEqual([first?.status, second?.status], ['fulfilled', 'rejected'])
})

test('a group that could not be deleted is as it was', async () => {
  const fixture = new CoordinatorFixture()
  await fixture.groups.commit({ groupId: 'g', offsets: [{ topic: 't', partition: 0, offset: 5 }] })
  fixture.store.before = () => {
    throw new TailraceError('disk_full', 'no room')
  }
  const deleting = assert.rejects(fixture.groups.delete('g'), { code: 'disk_full' })
  const asked = fixture.groups.committed('g')
  await deleting
  assert.deepEqual(offsetsOf(await asked), ['t/0=5'])
})

test('whoever has waited for a deletion that failed waits for the next one too', async () => {
  const fixture = new CoordinatorFixture()
  await fixture.groups.commit({ groupId: 'g', offsets: [{ topic: 't', partition: 0, offset: 5 }] })
  const failing = Promise.withResolvers<void>()
  const saving = Promise.withResolvers<void>()
  const deletions = [failing.promise, saving.promise]
  fixture.store.before = (what) => (what === 'deletion' ? deletions.shift() : undefined)
  const failed = assert.rejects(fixture.groups.delete('g'), { code: 'disk_full' })
  const deleted = fixture.groups.delete('g')
  const joined = fixture.member().join()
  const committed = fixture.groups.committed('g')
  failing.reject(new TailraceError('disk_full', 'no room'))
  await failed
  await turns()
  saving.resolve()
  await deleted
  await joined
  assert.equal((await fixture.groups.describe('g'))?.members.length, 1)
  assert.deepEqual(await committed, [])
})

test('offsets of topics that nobody reads can be deleted', async () => {
  const fixture = new CoordinatorFixture()
  const offsets = ['t', 'u'].map((topic) => ({ topic, partition: 0, offset: 5 }))
  await assert.rejects(fixture.groups.deleteOffsets('g', offsets), { code: 'group_id_not_found' })
  await fixture.groups.commit({ groupId: 'g', offsets })
  const member = fixture.member({ topics: ['t'] })
  await settle([member])
  const results = await fixture.groups.deleteOffsets('g', [...offsets, { topic: 'x', partition: 0 }])
  assert.deepEqual(
    results.map(({ error }) => error?.code),
    ['group_subscribed_to_topic', undefined, 'unknown_topic_or_partition'],
  )
  assert.deepEqual(offsetsOf(await fixture.groups.committed('g')), ['t/0=5'])
})

test('offsets expire offsets.retention.minutes after their group became empty, and then the group goes', async () => {
  const fixture = new CoordinatorFixture({ offsetsRetentionMs: DAY_MS })
  const member = fixture.member()
  await settle([member])
  await member.commit(5)
  fixture.clock.step(3 * DAY_MS)
  await fixture.groups.expire(NEVER)
  assert.deepEqual(offsetsOf(await fixture.groups.committed('g')), ['t/0=5'], 'its topic is read')
  await member.leave()
  fixture.clock.step(DAY_MS - 1)
  await fixture.groups.expire(NEVER)
  await fixture.groups.commit({ groupId: 'g', offsets: [{ topic: 't', partition: 1, offset: 6 }] })
  fixture.restart()
  fixture.clock.step(1)
  await fixture.groups.expire(NEVER)
  assert.deepEqual(offsetsOf(await fixture.groups.committed('g')), ['t/1=6'], 'one that was set later stays')
  assert.equal(fixture.telemetry.groups.expiredOffsets, 1)
  fixture.clock.step(DAY_MS)
  await fixture.groups.expire(NEVER)
  assert.deepEqual(await fixture.groups.list(), [])
  fixture.restart()
  assert.deepEqual(await fixture.groups.list(), [])
})

test('where nobody ever was in the group each of its offsets expires by its own commit, restart or not', async () => {
  const fixture = new CoordinatorFixture({ offsetsRetentionMs: DAY_MS })
  const commit = (partition: number) =>
    fixture.groups.commit({ groupId: 'g', offsets: [{ topic: 't', partition, offset: 5 }] })
  await commit(0)
  fixture.clock.step(DAY_MS / 2)
  await commit(1)
  for (const left of [['t/1=5'], []]) {
    fixture.clock.step(DAY_MS / 2 - 1)
    fixture.restart()
    await fixture.groups.expire(NEVER)
    assert.equal((await fixture.groups.committed('g')).length, left.length + 1)
    fixture.clock.step(1)
    await fixture.groups.expire(NEVER)
    assert.deepEqual(offsetsOf(await fixture.groups.committed('g')), left)
  }
  assert.deepEqual(await fixture.groups.list(), [])
})

test('while a group is stable what it has committed of topics that it does not read any more expires', async () => {
  const fixture = new CoordinatorFixture({ offsetsRetentionMs: DAY_MS })
  const offsets = ['t', 'u'].map((topic) => ({ topic, partition: 0, offset: 5 }))
  await fixture.groups.commit({ groupId: 'g', offsets })
  await fixture.groups.commit({ groupId: 'opaque', offsets })
  await settle([fixture.member({ topics: ['t'] })])
  await settle([fixture.member({ groupId: 'opaque', protocols: [{ name: 'x', metadata: Buffer.from('?') }] })])
  fixture.clock.step(DAY_MS)
  await fixture.groups.expire(NEVER)
  assert.deepEqual(offsetsOf(await fixture.groups.committed('g')), ['t/0=5'])
  assert.equal((await fixture.groups.committed('opaque')).length, 2, 'where that cannot be told nothing goes')
})

test('an empty group without offsets goes with the next check, not one that is about to have some', async () => {
  const fixture = new CoordinatorFixture()
  const member = fixture.member()
  await settle([member])
  await member.leave()
  const saving = Promise.withResolvers<void>()
  fixture.store.before = () => saving.promise
  const offsets = [{ topic: 't', partition: 0, offset: 5 }]
  const commits = ['g', 'new'].map((groupId) => fixture.groups.commit({ groupId, offsets }))
  const expiring = fixture.groups.expire(NEVER)
  await turns()
  saving.resolve()
  await Promise.all([...commits, expiring])
  assert.deepEqual(
    (await fixture.groups.list()).map(({ groupId }) => groupId),
    ['g', 'new'],
  )
  fixture.restart()
  assert.equal((await fixture.groups.committed('g')).length, 1)
})

test('where no more offsets can be remembered, those that are go on being committed', async () => {
  const { clock, telemetry, store, options, topics } = new CoordinatorFixture()
  const topic = { ...(topics.get('t') as Topic), partitionCount: COMMITTED_OFFSETS_MAX }
  const findTopic = () => topic
  const offsets = new GroupOffsets({ clock, telemetry, store, options, findTopic, findTopicById: findTopic })
  const saved = { topicId: topic.id, offset: 1, leaderEpoch: -1, metadata: '', committedMs: 0 }
  for (let partition = 1; partition < COMMITTED_OFFSETS_MAX; partition++) offsets.load('g', { ...saved, partition })
  const commit = (groupId: string, ...partitions: readonly number[]) => {
    const plan = partitions.map((partition) => ({ topic: 't', partition, offset: 2 }))
    return offsets.commit(groupId, offsets.plan(groupId, plan))
  }
  await Promise.all([commit('g', 1, 2, 3), commit('g', 0, 1, 2), commit('g', 3, 4)])
  assert.throws(() => commit('h', 0), { code: 'overloaded', details: { limit: COMMITTED_OFFSETS_MAX } })
  await commit('g', 0, 1)
})

test('only so many offsets wait to be durable: a commit beyond them is refused, and those that wait are stored', async () => {
  const fixture = new CoordinatorFixture()
  const saving = Promise.withResolvers<void>()
  fixture.store.before = () => saving.promise
  const commit = (count: number) => {
    const offsets = Array.from({ length: count }, (_, at) => ({ topic: 't', partition: at % 4, offset: at }))
    return fixture.groups.commit({ groupId: 'g', offsets })
  }
  const waiting = Array.from({ length: OFFSETS_WAITING_MAX / OFFSETS_A_COMMIT_MAX }, () => commit(OFFSETS_A_COMMIT_MAX))
  await assert.rejects(commit(1), { code: 'overloaded' })
  saving.resolve()
  for (const results of await Promise.all(waiting)) assert.ok(results.every(({ error }) => error === undefined))
  await commit(1)
  assert.equal((await fixture.groups.committed('g', [{ topic: 't', partition: 0 }]))[0]?.offset, 0)
})

test('where no more groups can be known, those that are go on, and a new one comes in the place of one that went', async () => {
  const fixture = new CoordinatorFixture()
  const offsets = [{ topic: 't', partition: 0, offset: 1 }]
  const saved = { protocolType: 'consumer', generation: 1, emptySinceMs: 0 }
  const groups = Array.from({ length: GROUPS_MAX }, (_, at) => ({ ...saved, groupId: `g${at}` }))
  fixture.store = new MemoryGroupStore({ groups, offsets: [] })
  fixture.restart()
  const overloaded = { code: 'overloaded', details: { limit: GROUPS_MAX } }
  await assert.rejects(fixture.groups.commit({ groupId: 'new', offsets }), overloaded)
  const member = fixture.member({ groupId: 'new' })
  await assert.rejects(member.join(), overloaded)
  await fixture.groups.commit({ groupId: 'g0', offsets })
  await fixture.groups.delete('g1')
  await settle([member])
  await assert.rejects(fixture.groups.commit({ groupId: 'newer', offsets }), overloaded)
})
