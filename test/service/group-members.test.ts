import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TailraceError } from '../../src/kernel/errors.ts'
import { JOIN_RETRY_MS_MAX } from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { compilePattern } from '../../src/service/filter/client-pattern.ts'
import type { OwnedPartition } from '../../src/service/groups/group-member.ts'
import { openGroupMembers } from '../../src/service/groups/group-members.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  openMember,
  openMembers,
  ownedNames,
  quiet,
  REBALANCE_MS,
  SESSION_MS,
  settled,
  stateOf,
} from './group-fixture.ts'
import { refusal } from './produce-fixture.ts'

const orders = { topics: ['orders'] }

async function openOrders(partitionCount: number) {
  const opened = openMembers()
  await opened.engine.createTopic({ name: 'orders', partitionCount })
  return opened
}

test('a member alone owns all partitions once it has settled', async () => {
  const { engine, members } = await openOrders(3)
  const a = openMember(members)
  assert.deepEqual([a.member.memberId, a.member.generationId, ownedNames(a)], ['', -1, ''])
  a.member.subscribe(orders)
  await settled(a)
  assert.equal(ownedNames(a), 'orders-0 orders-1 orders-2')
  assert.equal(a.member.generationId, 1)
  assert.deepEqual(a.member.topics, ['orders'])
  assert.equal(await stateOf(engine), 'Stable 1')
})

test('a second member gets its share, and the first keeps what it keeps', async () => {
  const { members } = await openOrders(4)
  const a = openMember(members)
  const b = openMember(members)
  a.member.subscribe(orders)
  await settled(a)
  b.member.subscribe(orders)
  await settled(b)
  await settled(a)
  assert.deepEqual([ownedNames(a), ownedNames(b)], ['orders-0 orders-1', 'orders-2 orders-3'])
  assert.deepEqual(a.told.events, ['assigned orders-0 orders-1 orders-2 orders-3', 'revoked orders-2 orders-3'])
  assert.deepEqual(b.told.events, ['assigned orders-2 orders-3'])
})

test('what moves is given to nobody until its owner has given it up, and can be committed until then', async () => {
  const { engine, members } = await openOrders(2)
  const a = openMember(members)
  const b = openMember(members)
  const { promise: mayGo, resolve: go } = Promise.withResolvers<void>()
  a.told.beforeRevoked = async () => {
    await mayGo
    const results = await a.member.commit([{ topic: 'orders', partition: 1, offset: 7 }])
    assert.equal(results[0]?.error, undefined)
  }
  a.member.subscribe(orders)
  await settled(a)
  b.member.subscribe(orders)
  await quiet()
  assert.deepEqual([ownedNames(a), ownedNames(b)], ['orders-0 orders-1', ''])
  assert.deepEqual(a.told.events.at(-1), 'revoked orders-1')
  go()
  await settled(b)
  assert.deepEqual([ownedNames(a), ownedNames(b)], ['orders-0', 'orders-1'])
  const committed = await engine.groups.committed('readers')
  assert.deepEqual(
    committed.map(({ partition, offset }) => [partition, offset]),
    [[1, 7]],
  )
})

test('who takes too long to give up is not waited for', async () => {
  const { clock, members } = await openOrders(2)
  const a = openMember(members)
  const b = openMember(members)
  a.told.beforeRevoked = () => new Promise(() => {})
  a.member.subscribe(orders)
  await settled(a)
  const release = [a.member.hold(), b.member.hold()]
  b.member.subscribe(orders)
  await quiet()
  for (let ms = 0; ms <= REBALANCE_MS; ms += 1_000) {
    clock.advance(1_000)
    await quiet()
  }
  assert.deepEqual([ownedNames(a), ownedNames(b)], ['orders-0', 'orders-1'])
  for (const end of release) end()
})

test('a static member that a generation was made without loses what it had before it is in the next one', async () => {
  const { clock, members } = await openOrders(3)
  const long = { sessionTimeoutMs: 10 * REBALANCE_MS }
  const a = openMember(members, { ...long, groupInstanceId: 'one' })
  const b = openMember(members, long)
  const c = openMember(members, long)
  a.told.beforeRevoked = () => new Promise(() => {})
  a.member.subscribe(orders)
  await settled(a)
  b.member.subscribe(orders)
  await quiet()
  clock.advance(1_000)
  c.member.subscribe(orders)
  await quiet()
  // At once: it has no time to join again before the others go on without it.
  clock.advance(REBALANCE_MS)
  for (const one of [a, b, c]) await settled(one)
  assert.deepEqual(a.told.events.slice(1), ['revoked orders-2', 'lost orders-0 orders-1', 'assigned orders-0'])
  assert.deepEqual([ownedNames(b), ownedNames(c)].sort(), ['orders-1', 'orders-2'])
})

test('under an eager assignor everything is given up first', async () => {
  const { members } = await openOrders(4)
  const assignors = ['range'] as const
  const a = openMember(members, { assignors })
  const b = openMember(members, { assignors })
  a.member.subscribe(orders)
  await settled(a)
  b.member.subscribe(orders)
  await settled(b)
  await settled(a)
  const all = 'orders-0 orders-1 orders-2 orders-3'
  const lists = [ownedNames(a), ownedNames(b)].sort()
  assert.deepEqual(lists, ['orders-0 orders-1', 'orders-2 orders-3'])
  assert.deepEqual(a.told.events, [`assigned ${all}`, `revoked ${all}`, `assigned ${ownedNames(a)}`])
})

test('the eager sticky assignor gives back what was there before', async () => {
  const { members } = await openOrders(6)
  const open = () => openMember(members, { assignors: ['sticky'] })
  const all = [open(), open(), open()]
  for (const one of all) {
    one.member.subscribe(orders)
    await settled(one)
  }
  for (const one of all) await settled(one)
  const before = all.map(ownedNames)
  const last = open()
  last.member.subscribe(orders)
  await settled(last)
  for (const [at, one] of all.entries()) {
    await settled(one)
    for (const owned of ownedNames(one).split(' ')) assert.match(before[at] ?? '', new RegExp(`\\b${owned}\\b`))
  }
  await last.member.close()
  for (const [at, one] of all.entries()) {
    await quiet()
    await settled(one)
    assert.equal(one.member.owned.length, 2, before[at])
  }
})

test('when a member comes that knows eager assignors only, what is owned is lost before it is given to others', async () => {
  const { engine, members } = await openOrders(2)
  const a = openMember(members)
  const b = openMember(members, { assignors: ['range'] })
  a.member.subscribe(orders)
  await settled(a)
  b.member.subscribe(orders)
  await settled(b)
  await settled(a)
  assert.equal((await engine.groups.describe('readers'))?.protocolName, 'range')
  assert.deepEqual(a.told.events.slice(1), ['lost orders-0 orders-1', `assigned ${ownedNames(a)}`])
  assert.deepEqual([ownedNames(a), ownedNames(b)].sort(), ['orders-0', 'orders-1'])
})

test('a member that closes is replaced at once, and is told nothing', async () => {
  const { engine, members } = await openOrders(2)
  const a = openMember(members)
  const b = openMember(members)
  a.member.subscribe(orders)
  b.member.subscribe(orders)
  await settled(a)
  await settled(b)
  const eventCount = a.told.events.length
  await a.member.close()
  await quiet()
  assert.equal(ownedNames(b), 'orders-0 orders-1')
  assert.equal(await stateOf(engine), 'Stable 1')
  assert.equal(a.told.events.length, eventCount)
  assert.equal(ownedNames(a), '')
  await assert.rejects(settled(a), refusal('unknown_member_id'))
  await a.member.close()
})

test('closing while it joins leaves nobody behind', async () => {
  const { engine, members } = await openOrders(2)
  const a = openMember(members)
  const b = openMember(members)
  a.told.beforeRevoked = () => new Promise(() => {})
  a.member.subscribe(orders)
  await settled(a)
  // The second waits for the first, which does not answer.
  b.member.subscribe({ topics: ['orders', 'other'] })
  await quiet()
  await b.member.close()
  await quiet()
  assert.equal(await stateOf(engine), 'PreparingRebalance 1')
  for (let turn = 0; turn < 40; turn++) {
    const c = openMember(members, { groupId: `g${turn}` })
    c.member.subscribe(orders)
    for (let step = 0; step < turn; step++) await Promise.resolve()
    await c.member.close()
    await quiet()
    assert.match(await stateOf(engine, `g${turn}`), /^none|Empty 0$/, `closed after ${turn} steps`)
    assert.equal(ownedNames(c), '', `closed after ${turn} steps`)
  }
})

test('a silent client is replaced when its session is over, and comes back with its next sign of life', async () => {
  const { clock, members } = await openOrders(2)
  const a = openMember(members)
  const b = openMember(members)
  a.member.subscribe(orders)
  await settled(a)
  b.member.subscribe(orders)
  await settled(b)
  clock.advance(SESSION_MS - 1)
  b.member.touch()
  await quiet()
  assert.deepEqual([ownedNames(a), ownedNames(b)], ['orders-0', 'orders-1'])
  clock.advance(1)
  await quiet()
  assert.deepEqual([ownedNames(a), ownedNames(b)], ['', 'orders-0 orders-1'])
  assert.equal(a.told.events.at(-1), 'lost orders-0')
  a.member.touch()
  await settled(a)
  await settled(b)
  assert.deepEqual([a.member.owned.length, b.member.owned.length], [1, 1])
})

test('who comes back to a group that has forgotten it has settled only when it is in it again', async () => {
  const { clock, engine, members } = await openOrders(2)
  const a = openMember(members)
  a.member.subscribe(orders)
  await settled(a)
  clock.advance(1)
  a.member.touch()
  await quiet()
  clock.advance(SESSION_MS)
  await quiet()
  assert.equal(await stateOf(engine), 'Empty 0')
  const { memberId } = a.member
  const heartbeat = engine.groups.heartbeat.bind(engine.groups)
  engine.groups.heartbeat = async (member) => {
    await quiet()
    await heartbeat(member)
  }
  a.member.touch()
  await settled(a)
  assert.notEqual(a.member.memberId, memberId)
  assert.equal(await stateOf(engine), 'Stable 1')
  assert.deepEqual(a.told.events.slice(1), ['lost orders-0 orders-1', 'assigned orders-0 orders-1'])
})

test('a rebalance does not prolong the session of a silent client', async () => {
  const { clock, engine, members } = await openOrders(2)
  const a = openMember(members)
  a.member.subscribe(orders)
  await settled(a)
  clock.advance(SESSION_MS - 1_000)
  const b = openMember(members)
  b.member.subscribe(orders)
  const release = b.member.hold()
  await settled(b)
  assert.deepEqual([ownedNames(a), ownedNames(b)], ['orders-0', 'orders-1'])
  clock.advance(1_000)
  await quiet()
  assert.deepEqual([ownedNames(a), ownedNames(b)], ['', 'orders-0 orders-1'])
  assert.equal(await stateOf(engine), 'Stable 1')
  release()
})

test('who is held lives on without a call', async () => {
  const { clock, members } = await openOrders(1)
  const a = openMember(members)
  a.member.subscribe(orders)
  await settled(a)
  const release = a.member.hold()
  const releaseAlso = a.member.hold()
  for (let ms = 0; ms < 5 * SESSION_MS; ms += 1_000) {
    if (ms === SESSION_MS) releaseAlso()
    clock.advance(1_000)
    await quiet()
  }
  assert.equal(ownedNames(a), 'orders-0')
  release()
  release()
  clock.advance(SESSION_MS)
  await quiet()
  a.member.touch()
  await quiet()
  assert.deepEqual(a.told.events, ['assigned orders-0', 'lost orders-0', 'assigned orders-0'])
})

test('follows topics that are made later, grow, are deleted and made again', async () => {
  const { engine, members } = await openOrders(1)
  const a = openMember(members)
  const b = openMember(members)
  a.member.subscribe({ topics: ['orders', 'later'] })
  b.member.subscribe({ topics: ['orders', 'later'] })
  await settled(a)
  await settled(b)
  const all = () => [ownedNames(a), ownedNames(b)].filter((some) => some !== '').sort()
  assert.deepEqual(all(), ['orders-0'])
  await engine.createTopic({ name: 'later', partitionCount: 1 })
  await quiet()
  assert.deepEqual(all(), ['later-0', 'orders-0'])
  await engine.growTopic('orders', 3)
  await quiet()
  assert.deepEqual(all().join(' ').split(' ').sort(), ['later-0', 'orders-0', 'orders-1', 'orders-2'])
  await engine.deleteTopic('later')
  await quiet()
  assert.deepEqual(all().join(' ').split(' ').sort(), ['orders-0', 'orders-1', 'orders-2'])
  const before = [...a.told.events, ...b.told.events]
  assert.ok(before.includes('lost later-0'))
  await engine.deleteTopic('orders')
  await engine.createTopic({ name: 'orders', partitionCount: 2 })
  await quiet()
  assert.deepEqual(all().join(' ').split(' ').sort(), ['orders-0', 'orders-1'])
  const topic = engine.findTopic('orders')
  for (const { topic: owned } of [...a.member.owned, ...b.member.owned]) assert.equal(owned.id, topic?.id)
})

test('a pattern means the topics whose whole name it matches, also those that come and go', async () => {
  const { engine, members } = openMembers()
  for (const name of ['logs.a', 'logs.b', 'catalogs', '__logs.x']) await engine.createTopic({ name })
  const a = openMember(members)
  const b = openMember(members)
  a.member.subscribe({ pattern: '.*logs\\..' })
  b.member.subscribe({ pattern: 'logs\\..|catalogs' })
  await settled(a)
  await settled(b)
  assert.deepEqual(a.member.topics, ['logs.a', 'logs.b'])
  assert.deepEqual(b.member.topics, ['catalogs', 'logs.a', 'logs.b'])
  await engine.createTopic({ name: 'logs.c' })
  await quiet()
  assert.deepEqual(a.member.topics, ['logs.a', 'logs.b', 'logs.c'])
  await engine.deleteTopic('logs.a')
  await quiet()
  assert.deepEqual(b.member.topics, ['catalogs', 'logs.b', 'logs.c'])
  const owned = [...a.member.owned, ...b.member.owned].map(({ topic }) => topic.name)
  assert.deepEqual(owned.sort(), ['catalogs', 'logs.b', 'logs.c'])
})

test('refuses a pattern that is none, or costs too much, and keeps the subscription that there was', async () => {
  const { members } = await openOrders(1)
  const a = openMember(members)
  a.member.subscribe(orders)
  await settled(a)
  const costly = ['(.?){480}', '(?:(?:a?){30}){33}', '(?i)\\p{L}', '(?i)[\\x{80}-\\x{ffff}]', '(?i)[\u0100-\uffff]']
  const long = [
    `(?:${'a'.repeat(490)}){1000}`,
    '((a{10}){10,20}b){10}',
    `a{${'9'.repeat(400)}}`,
    `${'('.repeat(120)}a${'{999})'.repeat(120)}{1}`,
    'a'.repeat(1_001),
  ]
  for (const pattern of ['(', ')', '(?=a)', '(a)\\1', `(${'a?'.repeat(40)}){60}`, ...costly, ...long]) {
    assert.throws(() => a.member.subscribe({ pattern }), refusal('invalid_request'), pattern.slice(0, 20))
  }
  for (const pattern of ['(?i)(?:eu|us)-[a-z{9}]{2,20}\\.v\\d+', '[]a{1000}]{30}', '(?:a{3}|[^{9}]{2}){9}'])
    compilePattern(pattern)
  assert.deepEqual([a.member.topics, ownedNames(a)], [['orders'], 'orders-0'])
})

test('a new subscription replaces the old one: what is wanted no more is given up', async () => {
  const { engine, members } = await openOrders(1)
  await engine.createTopic({ name: 'bills' })
  const a = openMember(members)
  a.member.subscribe(orders)
  a.member.subscribe({ topics: ['orders', 'bills'] })
  await settled(a)
  assert.equal(ownedNames(a), 'bills-0 orders-0')
  a.member.subscribe({ topics: ['bills'] })
  await settled(a)
  assert.deepEqual([ownedNames(a), a.told.events.at(-1)], ['bills-0', 'revoked orders-0'])
})

test('unsubscribing leaves the group, and the member can subscribe again', async () => {
  const { engine, members } = await openOrders(1)
  const a = openMember(members)
  a.member.subscribe(orders)
  await settled(a)
  await a.member.unsubscribe()
  assert.deepEqual([ownedNames(a), a.told.events.at(-1)], ['', 'revoked orders-0'])
  assert.equal(await stateOf(engine), 'Empty 0')
  assert.deepEqual(a.member.topics, [])
  await settled(a)
  a.member.touch()
  await quiet()
  assert.equal(await stateOf(engine), 'Empty 0')
  a.member.subscribe(orders)
  await settled(a)
  assert.equal(ownedNames(a), 'orders-0')
  const leaving = a.member.unsubscribe()
  a.member.subscribe(orders)
  await leaving
  await settled(a)
  assert.equal(ownedNames(a), 'orders-0')
})

test('commits only what it owns, and by a partition got back nothing from before', async () => {
  const { engine, members } = await openOrders(2)
  const a = openMember(members)
  const b = openMember(members)
  a.member.subscribe(orders)
  await settled(a)
  const commitBoth = () =>
    a.member.commit([
      { topic: 'orders', partition: 0, offset: 5 },
      { topic: 'orders', partition: 1, offset: 6 },
      { topic: 'nothing', partition: 0, offset: 1 },
    ])
  const codes = (results: Awaited<ReturnType<typeof commitBoth>>) => results.map(({ error }) => error?.code)
  assert.deepEqual(codes(await commitBoth()), [undefined, undefined, 'illegal_generation'])
  b.member.subscribe(orders)
  await settled(b)
  assert.deepEqual(codes(await commitBoth()), [undefined, 'illegal_generation', 'illegal_generation'])
  assert.deepEqual((await engine.groups.committed('readers')).length, 2)
})

test('a commit in the middle of a rebalance waits for it, and then is of what is still owned', async () => {
  const { members } = await openOrders(3)
  const { promise: mayGo, resolve: go } = Promise.withResolvers<void>()
  const open = () => {
    const one = openMember(members)
    one.told.beforeRevoked = () => mayGo
    one.member.subscribe(orders)
    return one
  }
  const a = open()
  await settled(a)
  const b = open()
  await quiet()
  // It is giving up what the second is to get, and so the second waits for it in the rebalance that the third begins.
  assert.equal(a.told.events.at(-1), 'revoked orders-2')
  b.member.subscribe(orders)
  await quiet()
  let isDone = false
  const commit = b.member.commit([{ topic: 'orders', partition: 2, offset: 5 }]).finally(() => {
    isDone = true
  })
  await quiet()
  assert.ok(!isDone)
  go()
  await settled(b)
  assert.equal(ownedNames(b), 'orders-2')
  // What it owns now it did not own then.
  assert.equal((await commit)[0]?.error?.code, 'illegal_generation')
})

test('a commit of what is kept through a rebalance is taken when that is over', async () => {
  const { engine, members } = await openOrders(6)
  const { promise: mayGo, resolve: go } = Promise.withResolvers<void>()
  const open = () => {
    const one = openMember(members)
    one.member.subscribe(orders)
    return one
  }
  const all = [open(), open(), open()]
  for (const one of all) await settled(one)
  for (const one of all) one.told.beforeRevoked = () => mayGo
  open()
  await quiet()
  const [kept] = all.filter(({ told }) => told.events.length === 1)
  open()
  await quiet()
  const [owned] = kept?.member.owned ?? []
  const partition = owned?.partition ?? -1
  let isDone = false
  const commit = kept?.member.commit([{ topic: 'orders', partition, offset: 5 }]).finally(() => {
    isDone = true
  })
  await quiet()
  assert.equal(await stateOf(engine), 'PreparingRebalance 5')
  assert.ok(!isDone)
  go()
  const [result] = (await commit) ?? []
  assert.equal(
    result?.error?.code,
    kept?.member.owned.includes(owned as OwnedPartition) ? undefined : 'illegal_generation',
  )
  assert.equal((await engine.groups.committed('readers')).length, result?.error === undefined ? 1 : 0)
})

test('a commit that was refused for a rebalance is not overtaken by one that is asked for later', async () => {
  const { engine, members } = await openOrders(1)
  const a = openMember(members)
  a.member.subscribe(orders)
  await settled(a)
  const { groups } = engine
  const [commit, join] = [groups.commit.bind(groups), groups.join.bind(groups)]
  const taken: number[] = []
  const refuses = [true]
  groups.commit = async (request) => {
    if (refuses.pop()) throw new TailraceError('rebalance_in_progress', 'the group is in a rebalance')
    taken.push(...request.offsets.map(({ offset }) => offset))
    return await commit(request)
  }
  const { promise: mayJoin, resolve: goes } = Promise.withResolvers<void>()
  groups.join = async (...asked) => {
    await mayJoin
    return await join(...asked)
  }
  const committing = [5, 6].map(async (offset) => {
    if (offset === 6) await quiet()
    return await a.member.commit([{ topic: 'orders', partition: 0, offset }])
  })
  await quiet()
  await quiet()
  goes()
  for (const [result] of await Promise.all(committing)) assert.equal(result?.error, undefined)
  assert.deepEqual(taken, [5, 6])
  assert.equal((await groups.committed('readers'))[0]?.offset, 6)
})

test('a commit of who was fenced is refused', async () => {
  const { clock, members } = await openOrders(1)
  const a = openMember(members)
  a.member.subscribe(orders)
  await settled(a)
  clock.advance(SESSION_MS)
  const [result] = await a.member.commit([{ topic: 'orders', partition: 0, offset: 5 }])
  assert.equal(result?.error?.code, 'illegal_generation')
})

test('a static member that is back has what it had, and who had its place is fenced for good', async () => {
  const { clock, engine, members } = await openOrders(4)
  const open = (groupInstanceId: string) => openMember(members, { groupInstanceId })
  const a = open('one')
  const b = open('two')
  a.member.subscribe(orders)
  b.member.subscribe(orders)
  await settled(a)
  await settled(b)
  const { generationId } = b.member
  const had = ownedNames(a)
  await a.member.close()
  const again = open('one')
  again.member.subscribe(orders)
  await settled(again)
  assert.deepEqual([ownedNames(again), again.member.generationId], [had, generationId])
  const thief = open('one')
  thief.member.subscribe(orders)
  await settled(thief)
  assert.equal(ownedNames(thief), had)
  again.member.touch()
  await quiet()
  assert.equal(again.told.events.at(-1), `lost ${had}`)
  await assert.rejects(settled(again), refusal('fenced_instance_id'))
  for (let turn = 0; turn < 3; turn++) {
    clock.advance(JOIN_RETRY_MS_MAX / 3)
    for (const one of [again, thief, b]) one.member.touch()
    await quiet()
  }
  assert.equal(ownedNames(thief), had)
  assert.equal((await engine.groups.describe('readers'))?.members.length, 2)
})

test('a static leader that is back sees what has changed while nobody watched', async () => {
  const { engine, members } = await openOrders(2)
  const open = (groupInstanceId: string) => openMember(members, { groupInstanceId })
  const a = open('one')
  const b = open('two')
  a.member.subscribe(orders)
  await settled(a)
  b.member.subscribe(orders)
  await settled(b)
  await a.member.close()
  await engine.growTopic('orders', 4)
  await quiet()
  assert.equal(ownedNames(b), 'orders-1')
  const again = open('one')
  again.member.subscribe(orders)
  await settled(again)
  await settled(b)
  assert.deepEqual([ownedNames(again), ownedNames(b)], ['orders-0 orders-2', 'orders-1 orders-3'])
})

test('what keeps a member from joining is told to who waits, and joining goes on', async () => {
  const { clock, engine, members } = await openOrders(1)
  const shared = openMember(members, { protocolType: 'shared' })
  shared.member.subscribe(orders)
  await settled(shared)
  const a = openMember(members)
  a.member.subscribe(orders)
  await assert.rejects(settled(a), refusal('inconsistent_group_protocol'))
  await shared.member.close()
  await engine.groups.delete('readers')
  clock.advance(JOIN_RETRY_MS_MAX)
  a.member.touch()
  await settled(a)
  assert.equal(ownedNames(a), 'orders-0')
})

test('a store that fails is tried again after a while, without haste', async () => {
  const { clock, engine, members } = await openOrders(1)
  let tries = 0
  let isBroken = true
  engine.groupStore.before = () => {
    tries++
    if (isBroken) throw new TailraceError('disk_full', 'no room')
  }
  const a = openMember(members)
  const release = a.member.hold()
  a.member.subscribe(orders)
  await assert.rejects(settled(a), refusal('disk_full'))
  for (let ms = 0; ms < 60_000; ms += 50) {
    clock.advance(50)
    await Promise.resolve()
  }
  await quiet()
  assert.ok(tries < 20, `${tries} tries`)
  isBroken = false
  clock.advance(JOIN_RETRY_MS_MAX)
  await settled(a)
  assert.equal(ownedNames(a), 'orders-0')
  release()
})

test('what fails every time is left alone, also where leaving the group would call its members', async () => {
  const { clock, engine, members } = await openOrders(1)
  let tries = 0
  engine.groups.sync = () => {
    tries++
    return Promise.reject(new TailraceError('request_too_large', 'too much for one member'))
  }
  const a = openMember(members)
  a.member.subscribe(orders)
  await assert.rejects(settled(a), refusal('request_too_large'))
  await quiet()
  assert.deepEqual([tries, await stateOf(engine)], [1, 'Empty 0'])
  a.member.touch()
  await quiet()
  assert.equal(tries, 1)
  clock.advance(JOIN_RETRY_MS_MAX)
  a.member.touch()
  await assert.rejects(settled(a), refusal('request_too_large'))
  assert.equal(tries, 2)
})

test('a listener that fails holds up nobody', async () => {
  const { members } = await openOrders(2)
  const a = openMember(members)
  const b = openMember(members)
  a.told.beforeRevoked = () => Promise.reject(new Error('broken'))
  a.member.subscribe(orders)
  await settled(a)
  b.member.subscribe(orders)
  await settled(b)
  assert.deepEqual([ownedNames(a), ownedNames(b)], ['orders-0', 'orders-1'])
})

test('waiting to settle can be given up', async () => {
  const { members } = await openOrders(2)
  const a = openMember(members)
  const b = openMember(members)
  a.told.beforeRevoked = () => new Promise(() => {})
  a.member.subscribe(orders)
  await settled(a)
  b.member.subscribe(orders)
  const reason = new Error('no more')
  const waiting = new AbortController()
  const settling = b.member.settled(waiting.signal)
  await quiet()
  waiting.abort(reason)
  await assert.rejects(settling, reason)
  await assert.rejects(b.member.settled(waiting.signal), reason)
})

test('after a restart members are new, generations go on, and what was committed is there', async (t) => {
  const dataDir = temporaryDirectory(t)
  const start = async () => {
    const clock = new FakeClock()
    const engine = await openLocalEngine(engineOptions(dataDir, { clock }))
    return { engine, members: openGroupMembers({ engine, clock, logger: silentLogger }) }
  }
  const first = await start()
  await first.engine.createTopic({ name: 'orders', partitionCount: 2 })
  const a = openMember(first.members)
  const b = openMember(first.members)
  for (const one of [a, b]) {
    one.member.subscribe(orders)
    await settled(one)
  }
  const [owned] = a.member.owned
  const offset = { topic: 'orders', partition: owned?.partition ?? -1, offset: 7 }
  assert.equal((await a.member.commit([offset]))[0]?.error, undefined)
  const { memberId, generationId } = a.member
  await first.engine.close()
  a.member.touch()
  await first.members.close()
  const second = await start()
  assert.equal(await stateOf(second.engine), 'Empty 0')
  const old = { groupId: 'readers', memberId, generationId }
  await assert.rejects(second.engine.groups.heartbeat(old), refusal('unknown_member_id'))
  const c = openMember(second.members)
  c.member.subscribe(orders)
  await settled(c)
  assert.equal(ownedNames(c), 'orders-0 orders-1')
  assert.ok(c.member.generationId > generationId)
  const [committed] = await second.engine.groups.committed('readers')
  assert.deepEqual([committed?.partition, committed?.offset], [offset.partition, 7])
  await second.members.close()
  await second.engine.close()
})

test('a hundred members share a thousand partitions', async (t) => {
  const { engine, members } = await openOrders(1_000)
  const all = Array.from({ length: 100 }, () => openMember(members))
  const begin = performance.now()
  for (const one of all) one.member.subscribe(orders)
  for (const one of all) await settled(one)
  const together = performance.now() - begin
  for (const one of all) assert.equal(one.member.owned.length, 10)
  const late = openMember(members)
  const beginLate = performance.now()
  late.member.subscribe(orders)
  await settled(late)
  for (const one of all) await settled(one)
  t.diagnostic(`all at once: ${together.toFixed()} ms; one more: ${(performance.now() - beginLate).toFixed()} ms`)
  const owned = new Set<string>()
  for (const { member } of [...all, late]) for (const { partition } of member.owned) owned.add(`${partition}`)
  assert.equal(owned.size, 1_000)
  const moved = all.flatMap(({ told }) => told.events.filter((event) => event.startsWith('revoked')))
  assert.equal(moved.join(' ').match(/orders-/g)?.length, late.member.owned.length)
  await members.close()
  assert.equal(await stateOf(engine), 'Empty 0')
})
