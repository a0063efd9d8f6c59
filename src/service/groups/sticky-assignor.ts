// The sticky assignor, eager and cooperative: as balanced as the subscriptions allow, and of all such assignments one that
// moves few partitions; the fewest where all members want the same topics, and then within one of each other.
//
// Topics with the same subscribers make one class, and a class is balanced as water fills a vessel: each subscriber stands
// at what it has of other classes, and the class's partitions fill them up to one level. Who has more than its share lets
// the rest go, who has less takes it. With A owning 0 1 2 3, B 4 5 and C new, the level is 2: A lets go 2 and 3, C takes them.
// One class is right at once. With several each moves the ground of the others, so they are gone through again until
// nothing moves, or until that has taken long enough: then some balance is missing, never a partition.

import type { GroupPartition } from '../../engine/group-protocol.ts'
import { ASSIGNOR_STEPS_MAX } from '../../kernel/limits.ts'
import type { AssignedMember, Assignments } from './assignor.ts'
import { compareText } from './assignor.ts'

/** Members in their order (inOrder). */
export function assignSticky(
  members: readonly AssignedMember[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, readonly GroupPartition[]> {
  const classes = classesOf(members, partitionCounts)
  const loads = new Int32Array(members.length)
  for (const { members: subscribers, counts } of classes) {
    for (const [place, member] of subscribers.entries()) add(loads, member, counts[place] as number)
  }
  for (const topicClass of classes) fill(topicClass, loads)
  let steps = 0
  for (let isMoving = true; isMoving; ) {
    isMoving = false
    for (const topicClass of classes) {
      steps += topicClass.members.length
      if (steps > ASSIGNOR_STEPS_MAX) return collect(members, classes)
      if (balance(topicClass, loads) > 0) isMoving = classes.length > 1
    }
  }
  return collect(members, classes)
}

/** Topics with the same subscribers, and how their partitions are shared out. */
interface TopicClass {
  /** Numbers of members, rising. Where one stands in it is its place. */
  readonly members: Int32Array
  /** By topic and number. */
  readonly partitions: readonly GroupPartition[]
  /** By partition the place of its owner, or NOBODY; by place how many it has. */
  readonly owners: Int32Array
  readonly counts: Int32Array
}

function classesOf(
  members: readonly AssignedMember[],
  partitionCounts: ReadonlyMap<string, number>,
): readonly TopicClass[] {
  const kinds = kindsOf(members)
  const owners = ownersOf(members, kinds, partitionCounts)
  const classes: TopicClass[] = []
  const places = new Int32Array(members.length)
  for (const { topics, kindsWanting } of alikeTopics(kinds)) {
    const subscribers = Int32Array.from(kindsWanting.flatMap((kind) => kinds[kind]?.members ?? [])).sort()
    for (const [place, member] of subscribers.entries()) places[member] = place
    const partitions: GroupPartition[] = []
    const ownerPlaces: number[] = []
    const counts = new Int32Array(subscribers.length)
    for (const topic of topics.sort(compareText)) {
      const ofTopic = owners.get(topic)
      for (let partition = 0; partition < (partitionCounts.get(topic) ?? 0); partition++) {
        const owner = ofTopic?.[partition] ?? NOBODY
        const place = owner === NOBODY ? NOBODY : (places[owner] as number)
        partitions.push({ topic, partition })
        ownerPlaces.push(place)
        if (place !== NOBODY) add(counts, place, 1)
      }
    }
    classes.push({ members: subscribers, partitions, owners: Int32Array.from(ownerPlaces), counts })
  }
  // Where there is the least choice first.
  return classes.sort((left, right) => left.members.length - right.members.length)
}

/** Members with the same topics are looked at as one: mostly all of them have the same. */
interface Kind {
  readonly topics: ReadonlySet<string>
  readonly members: readonly number[]
}

function kindsOf(members: readonly AssignedMember[]): readonly Kind[] {
  const alike = Map.groupBy(members.keys(), (at) => members[at]?.topics.join(' '))
  return [...alike.values()].map((numbers) => ({ members: numbers, topics: new Set(members[numbers[0] ?? 0]?.topics) }))
}

/** Topics with the same subscribers. */
function alikeTopics(kinds: readonly Kind[]): Iterable<{ topics: string[]; kindsWanting: readonly number[] }> {
  const wanting = new Map<string, number[]>()
  for (const [kind, { topics }] of kinds.entries()) {
    for (const topic of topics) {
      const list = wanting.get(topic)
      if (list === undefined) wanting.set(topic, [kind])
      else list.push(kind)
    }
  }
  const alike = new Map<string, { topics: string[]; kindsWanting: readonly number[] }>()
  for (const [topic, kindsWanting] of wanting) {
    const key = kindsWanting.join()
    const found = alike.get(key)
    if (found === undefined) alike.set(key, { topics: [topic], kindsWanting })
    else found.topics.push(topic)
  }
  return alike.values()
}

const NOBODY = -1
/** Below any generation, also below the -1 of who does not know its own. */
const UNCLAIMED = -2

/** By topic and partition the member that may keep it. Of two with the same generation neither: one of them is wrong. */
function ownersOf(
  members: readonly AssignedMember[],
  kinds: readonly Kind[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, Int32Array> {
  const owners = new Map<string, Int32Array>()
  const generations = new Map<string, Int32Array>()
  for (const { members: alike, topics } of kinds) {
    for (const at of alike) {
      const { owned, ownedGeneration } = members[at] as AssignedMember
      for (const { topic, partition } of owned) {
        const count = partitionCounts.get(topic) ?? 0
        if (partition >= count || !topics.has(topic)) continue
        const owner = owners.get(topic) ?? new Int32Array(count).fill(NOBODY)
        const generation = generations.get(topic) ?? new Int32Array(count).fill(UNCLAIMED)
        owners.set(topic, owner)
        generations.set(topic, generation)
        const present = generation[partition] as number
        if (ownedGeneration < present) continue
        owner[partition] = ownedGeneration > present ? at : NOBODY
        generation[partition] = ownedGeneration
      }
    }
  }
  return owners
}

/** Gives what nobody has to those that have least; takes from nobody. */
function fill(topicClass: TopicClass, loads: Int32Array): void {
  const { members, owners, counts } = topicClass
  const free = owners.reduce((sum, owner) => (owner === NOBODY ? sum + 1 : sum), 0)
  if (free === 0) return
  const shares = shareOut(
    members.map((member) => loads[member] as number),
    free,
    () => false,
  )
  handOut(
    topicClass,
    counts.map((count, place) => count + (shares[place] as number)),
    loads,
  )
}

/** Returns how many partitions went to another member. */
function balance(topicClass: TopicClass, loads: Int32Array): number {
  const { members, owners, counts } = topicClass
  const bases = members.map((member, place) => (loads[member] as number) - (counts[place] as number))
  const shares = shareOut(bases, owners.length, (place, share) => (counts[place] as number) > share)
  const kept = new Int32Array(members.length)
  let moved = 0
  for (const [at, place] of owners.entries()) {
    if ((kept[place] as number) < (shares[place] as number)) {
      add(kept, place, 1)
    } else {
      owners[at] = NOBODY
      add(counts, place, -1)
      add(loads, members[place] as number, -1)
      moved++
    }
  }
  if (moved > 0) handOut(topicClass, shares, loads)
  return moved
}

/**
 * How many of `count` each gets, so that what each has with its base is as even as can be. What cannot be divided goes to
 * those who prefer one more, then to the first ones.
 */
function shareOut(
  bases: Int32Array,
  count: number,
  prefersMore: (place: number, share: number) => boolean,
): Int32Array {
  const sorted = bases.toSorted()
  let sum = count
  let filled = 0
  while (filled < sorted.length && (filled === 0 || sum > filled * (sorted[filled] as number))) {
    sum += sorted[filled++] as number
  }
  const level = Math.floor(sum / filled)
  let rest = sum - level * filled
  const shares = bases.map((base) => Math.max(0, level - base))
  for (const isPreferring of [true, false]) {
    for (let place = 0; rest > 0 && place < shares.length; place++) {
      const share = shares[place] as number
      // Who has one more already stands above the level.
      if ((bases[place] as number) + share > level || prefersMore(place, share) !== isPreferring) continue
      add(shares, place, 1)
      rest--
    }
  }
  return shares
}

/** Around the circle of those that have less than their share, so that a topic's partitions spread. */
function handOut({ members, owners, counts }: TopicClass, shares: Int32Array, loads: Int32Array): void {
  const isShort = (place: number) => (counts[place] as number) < (shares[place] as number)
  let short = [...members.keys()].filter(isShort)
  let turn = 0
  for (const [at, owner] of owners.entries()) {
    if (owner !== NOBODY) continue
    if (turn === short.length) {
      short = short.filter(isShort)
      turn = 0
    }
    const place = short[turn++] as number
    owners[at] = place
    add(counts, place, 1)
    add(loads, members[place] as number, 1)
  }
}

function add(numbers: Int32Array, at: number, more: number): void {
  numbers[at] = (numbers[at] as number) + more
}

function collect(
  members: readonly AssignedMember[],
  classes: readonly TopicClass[],
): Map<string, readonly GroupPartition[]> {
  const lists = members.map((): GroupPartition[] => [])
  for (const { members: subscribers, partitions, owners } of classes) {
    for (const [at, partition] of partitions.entries()) {
      lists[subscribers[owners[at] as number] as number]?.push(partition)
    }
  }
  return new Map(members.map(({ memberId }, at) => [memberId, (lists[at] ?? []).sort(byTopicAndPartition)]))
}

function byTopicAndPartition(left: GroupPartition, right: GroupPartition): number {
  return compareText(left.topic, right.topic) || left.partition - right.partition
}

/**
 * The cooperative half (KIP-429): what one member has and another is to get is given to nobody. Its owner sees that it is
 * gone, gives it up and joins again, and then nothing stands in the way.
 */
export function withholdMoved(
  members: readonly AssignedMember[],
  assigned: ReadonlyMap<string, readonly GroupPartition[]>,
): Assignments {
  const claimants = new Map<string, Map<number, string[]>>()
  for (const { memberId, owned } of members) {
    for (const { topic, partition } of owned) {
      const ofTopic = claimants.get(topic) ?? new Map<number, string[]>()
      claimants.set(topic, ofTopic)
      const claiming = ofTopic.get(partition) ?? []
      ofTopic.set(partition, claiming)
      claiming.push(memberId)
    }
  }
  const partitions = new Map<string, readonly GroupPartition[]>()
  const waiting = new Set<string>()
  for (const [memberId, given] of assigned) {
    const now = given.filter(({ topic, partition }) => {
      const claiming = claimants.get(topic)?.get(partition)
      return claiming === undefined || claiming.includes(memberId)
    })
    partitions.set(memberId, now)
    if (now.length < given.length) waiting.add(memberId)
  }
  return { partitions, waiting }
}
