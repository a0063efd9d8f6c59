import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AssignedMember, Assignments } from '../../src/service/groups/assignor.ts'
import { ASSIGNORS } from '../../src/service/groups/assignors.ts'
import type { AssignorName } from '../../src/service/groups/group-member.ts'
import { Random } from '../support/random.ts'

type Owned = Readonly<Record<string, readonly string[]>>

/** A member that wants the topics and owns the partitions, 't0-1'. */
function member(memberId: string, topics: string, owned: readonly string[] = [], ownedGeneration = 1): AssignedMember {
  return { memberId, topics: topics.split(' '), owned: owned.map(parse), ownedGeneration }
}

function parse(text: string) {
  const at = text.lastIndexOf('-')
  return { topic: text.slice(0, at), partition: Number(text.slice(at + 1)) }
}

function show({ partitions }: Assignments): Owned {
  const lists = [...partitions].map(([id, list]) => [id, list.map(({ topic, partition }) => `${topic}-${partition}`)])
  return Object.fromEntries(lists)
}

function assign(
  name: AssignorName,
  members: readonly AssignedMember[],
  counts: Readonly<Record<string, number>>,
): Owned {
  return show(ASSIGNORS[name](members, new Map(Object.entries(counts))))
}

test('range gives neighbouring partitions of each topic, the first members one more', () => {
  const members = [member('c1', 't0 t1'), member('c0', 't0 t1')]
  assert.deepEqual(assign('range', members, { t0: 3, t1: 3 }), {
    c0: ['t0-0', 't0-1', 't1-0', 't1-1'],
    c1: ['t0-2', 't1-2'],
  })
  assert.deepEqual(assign('range', members, { t0: 1 }), { c0: ['t0-0'], c1: [] })
  const some = [member('c0', 't0'), member('c1', 't0 t1'), member('c2', 't0')]
  assert.deepEqual(assign('range', some, { t0: 3, t1: 2 }), {
    c0: ['t0-0'],
    c1: ['t0-1', 't1-0', 't1-1'],
    c2: ['t0-2'],
  })
})

test('roundrobin goes around the members with all partitions, past those that do not want the topic', () => {
  const members = [member('c0', 't0 t1'), member('c1', 't0 t1')]
  assert.deepEqual(assign('roundrobin', members, { t0: 3, t1: 3 }), {
    c0: ['t0-0', 't0-2', 't1-1'],
    c1: ['t0-1', 't1-0', 't1-2'],
  })
  const some = [member('c0', 't0'), member('c1', 't0 t1'), member('c2', 't0 t1 t2')]
  assert.deepEqual(assign('roundrobin', some, { t0: 1, t1: 2, t2: 3 }), {
    c0: ['t0-0'],
    c1: ['t1-0'],
    c2: ['t1-1', 't2-0', 't2-1', 't2-2'],
  })
})

test('static members come first, in the order of their instances, whatever their member ids are', () => {
  for (const name of ['range', 'roundrobin', 'sticky'] as const) {
    const members = [
      { ...member('a', 't') },
      { ...member('z', 't'), groupInstanceId: '1' },
      { ...member('b', 't'), groupInstanceId: '2' },
    ]
    assert.deepEqual(assign(name, members, { t: 3 }), { z: ['t-0'], b: ['t-1'], a: ['t-2'] }, name)
  }
})

test('sticky moves no more than it must when a member comes and when one goes', () => {
  const before = [member('a', 't', ['t-0', 't-1', 't-2', 't-3']), member('b', 't', ['t-4', 't-5'])]
  assert.deepEqual(assign('sticky', [...before, member('c', 't')], { t: 6 }), {
    a: ['t-0', 't-1'],
    b: ['t-4', 't-5'],
    c: ['t-2', 't-3'],
  })
  assert.deepEqual(assign('sticky', before.slice(1), { t: 6 }), { b: ['t-0', 't-1', 't-2', 't-3', 't-4', 't-5'] })
})

test('of two that claim a partition the later generation has it; of the same generation neither', () => {
  const counts = { t: 4 }
  const late = [member('a', 't', ['t-0', 't-1'], 1), member('b', 't', ['t-1', 't-3'], 2)]
  assert.deepEqual(assign('sticky', late, counts), { a: ['t-0', 't-2'], b: ['t-1', 't-3'] })
  const unknown = [member('a', 't', ['t-1', 't-3'], -1), member('b', 't', ['t-0', 't-1'], 0)]
  assert.deepEqual(assign('sticky', unknown, counts), { a: ['t-2', 't-3'], b: ['t-0', 't-1'] })
  const same = [member('a', 't', ['t-0', 't-1'], 2), member('b', 't', ['t-0', 't-3'], 2)]
  assert.deepEqual(assign('sticky', same, counts), { a: ['t-0', 't-1'], b: ['t-2', 't-3'] })
  assert.deepEqual(assign('sticky', same.toReversed(), counts), { a: ['t-0', 't-1'], b: ['t-2', 't-3'] })
})

test('cooperative-sticky withholds what has to be given up first, and says who waits for it', () => {
  const counts = new Map([['t', 3]])
  const first = ASSIGNORS['cooperative-sticky']([member('a', 't', ['t-0', 't-1', 't-2']), member('b', 't')], counts)
  assert.deepEqual([show(first), [...first.waiting]], [{ a: ['t-0', 't-1'], b: [] }, ['b']])
  const second = ASSIGNORS['cooperative-sticky']([member('a', 't', ['t-0', 't-1']), member('b', 't')], counts)
  assert.deepEqual([show(second), [...second.waiting]], [{ a: ['t-0', 't-1'], b: ['t-2'] }, []])
})

test('what a member still has of a topic that it does not want any more is withheld too', () => {
  const members = [member('a', 'u', ['t-0']), member('b', 't')]
  assert.deepEqual(assign('cooperative-sticky', members, { t: 1, u: 1 }), { a: ['u-0'], b: [] })
})

test('assigns nothing where there is nothing: no members, no topics, claims of what is not there', () => {
  for (const name of Object.keys(ASSIGNORS) as AssignorName[]) {
    assert.deepEqual(assign(name, [], { t: 3 }), {}, name)
    assert.deepEqual(assign(name, [member('a', 'gone', ['gone-1', 't-9'])], { t: 3 }), { a: [] }, name)
    assert.deepEqual(assign(name, [{ ...member('a', 't'), topics: [] }], { t: 3 }), { a: [] }, name)
  }
})

// --- properties ---

const TOPICS = ['t0', 't1', 't2', 't3']

const counts = fc.record(Object.fromEntries(TOPICS.map((topic) => [topic, fc.nat(9)])))
const someTopics = fc.subarray(TOPICS)
/** Claims of all sorts, some of them twice, of too few topics or of what is not there. */
const claims = fc.array(fc.record({ topic: fc.constantFrom(...TOPICS), partition: fc.nat(10) }), { maxLength: 12 })

const group = fc
  .array(fc.record({ topics: someTopics, owned: claims, ownedGeneration: fc.integer({ min: -1, max: 3 }) }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((members) => members.map((one, at): AssignedMember => ({ ...one, memberId: `m${at}` })))

/** Who wants what, each partition at one member that wants it; the others at nobody. */
function checkOwners(members: readonly AssignedMember[], partitionCounts: Record<string, number>, assigned: Owned) {
  const owners = new Map<string, string>()
  for (const { memberId, topics } of members) {
    for (const partition of assigned[memberId] ?? assert.fail(`nothing is said of ${memberId}`)) {
      assert.ok(!owners.has(partition), `${partition} has two owners`)
      assert.ok(topics.includes(parse(partition).topic), `${memberId} does not want ${partition}`)
      owners.set(partition, memberId)
    }
  }
  for (const [topic, count] of Object.entries(partitionCounts)) {
    const isWanted = members.some(({ topics }) => topics.includes(topic))
    for (let partition = 0; partition < count; partition++) {
      assert.equal(owners.delete(`${topic}-${partition}`), isWanted, `${topic}-${partition}`)
    }
  }
  assert.equal(owners.size, 0, 'of what is not there nothing is assigned')
}

const spread = (loads: readonly number[]) => Math.max(...loads) - Math.min(...loads)

test('whatever members say, each partition has one owner that wants it, and the order of the members is all the same', () => {
  for (const name of ['range', 'roundrobin', 'sticky'] as const) {
    fc.assert(
      fc.property(group, counts, (members, partitionCounts) => {
        const assigned = assign(name, members, partitionCounts)
        checkOwners(members, partitionCounts, assigned)
        assert.deepEqual(assign(name, [...members].reverse(), partitionCounts), assigned)
      }),
    )
  }
})

test('with the same subscriptions loads are within one; for range within one for each topic', () => {
  const alike = fc.tuple(group, someTopics).map(([members, topics]) => members.map((one) => ({ ...one, topics })))
  fc.assert(
    fc.property(alike, counts, (members, partitionCounts) => {
      for (const name of ['roundrobin', 'sticky'] as const) {
        const loads = Object.values(assign(name, members, partitionCounts)).map(({ length }) => length)
        assert.ok(spread(loads) <= 1, `${name} ${loads}`)
      }
      const ranges = Object.values(assign('range', members, partitionCounts))
      for (const topic of TOPICS) {
        const loads = ranges.map((list) => list.filter((partition) => parse(partition).topic === topic).length)
        assert.ok(spread(loads) <= 1, `range ${loads}`)
      }
    }),
  )
})

/** The most that can stay where it is: all up to the lower share, and one more each for so many as there are left over. */
function keepableMax(loads: readonly number[], count: number): number {
  const share = Math.floor(count / loads.length)
  const above = loads.filter((load) => load > share).length
  return loads.reduce((sum, load) => sum + Math.min(load, share), 0) + Math.min(above, count % loads.length)
}

test('with the same subscriptions sticky keeps as much as a balanced assignment can', () => {
  const change = fc.record({
    before: fc.integer({ min: 1, max: 8 }),
    gone: fc.nat(4),
    come: fc.nat(4),
    count: fc.nat(40),
  })
  fc.assert(
    fc.property(change, ({ before, gone, come, count }) => {
      const ids = Array.from({ length: before }, (_, at) => `m${at}`)
      const first = assign(
        'sticky',
        ids.map((id) => member(id, 't')),
        { t: count },
      )
      const staying = ids.slice(Math.min(gone, before - 1))
      const members = [
        ...staying.map((id) => member(id, 't', first[id])),
        ...Array.from({ length: come }, (_, at) => member(`${at % 2 === 0 ? 'a' : 'n'}${at}`, 't')),
      ]
      const second = assign('sticky', members, { t: count })
      const kept = staying.flatMap((id) => (first[id] ?? []).filter((partition) => second[id]?.includes(partition)))
      assert.equal(
        kept.length,
        keepableMax(
          members.map(({ owned }) => owned.length),
          count,
        ),
      )
    }),
  )
})

test('with different subscriptions no partition could go to a member that has two fewer, and nothing moves the next time', () => {
  fc.assert(
    fc.property(group, counts, (members, partitionCounts) => {
      const assigned = assign('sticky', members, partitionCounts)
      const load = (id: string) => assigned[id]?.length ?? 0
      for (const { memberId } of members) {
        for (const { topic } of (assigned[memberId] ?? []).map(parse)) {
          for (const other of members.filter(({ topics }) => topics.includes(topic))) {
            assert.ok(load(memberId) - load(other.memberId) <= 1, `${topic} of ${memberId} for ${other.memberId}`)
          }
        }
      }
      const settled = members.map(({ memberId, topics }) => member(memberId, topics.join(' '), assigned[memberId]))
      assert.deepEqual(assign('sticky', settled, partitionCounts), assigned)
    }),
  )
})

test('cooperative members come to rest after one more rebalance, and nothing is ever given to two', () => {
  fc.assert(
    fc.property(group, counts, fc.nat(3), (members, partitionCounts, gone) => {
      const start = members.map((one) => ({ ...one, owned: [] }))
      let owned = assign('cooperative-sticky', start, partitionCounts)
      const others = [...members.slice(Math.min(gone, members.length - 1)), member('new', TOPICS.join(' '))]
      let rounds = 0
      for (let isMoving = true; isMoving; rounds++) {
        assert.ok(rounds < 4, 'it goes on and on')
        const joined = others.map(({ memberId, topics }) => ({ ...member(memberId, 'x', owned[memberId]), topics }))
        const given = assign('cooperative-sticky', joined, partitionCounts)
        for (const { memberId } of others) {
          for (const partition of given[memberId] ?? []) {
            const had = others.find((one) => owned[one.memberId]?.includes(partition))?.memberId ?? memberId
            assert.equal(had, memberId, `${partition} is given while another has it`)
          }
        }
        isMoving = others.some(({ memberId }) => owned[memberId]?.some((one) => !given[memberId]?.includes(one)))
        owned = given
      }
      checkOwners(others, partitionCounts, owned)
      assert.ok(rounds <= 2, `${rounds} rounds`)
    }),
  )
})

test('many members with many partitions are no work to speak of', (t) => {
  const random = new Random(5)
  for (const kinds of [1, 10, 1_000]) {
    const topics = Array.from({ length: 1_000 }, (_, at) => `t${at}`)
    const wanted = Array.from({ length: kinds }, () => topics.filter(() => kinds === 1 || random.chance(0.7)))
    const members = Array.from({ length: 1_000 }, (_, at) => {
      return { ...member(`m${at}`, 'x'), topics: wanted[at % kinds] ?? [] }
    })
    const partitionCounts = Object.fromEntries(topics.map((topic) => [topic, 10]))
    const begin = performance.now()
    const assigned = assign('cooperative-sticky', members, partitionCounts)
    t.diagnostic(`1,000 members of ${kinds} kinds, 10,000 partitions: ${(performance.now() - begin).toFixed(1)} ms`)
    checkOwners(members, partitionCounts, assigned)
  }
})
