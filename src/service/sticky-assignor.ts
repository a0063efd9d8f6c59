// The sticky assignor, eager and cooperative: as balanced as the subscriptions allow, and of all such assignments one that
// moves few partitions; the fewest where all members want the same topics, and then within one of each other.
//
// Topics with the same subscribers make one class, and a class is balanced as water fills a vessel: each subscriber stands
// at what it has of other classes, and the class's partitions fill them up to one level. Who has more than its share lets
// the rest go, who has less takes it. With A owning 0 1 2 3, B 4 5 and C new, the level is 2: A lets go 2 and 3, C takes them.
// One class is right at once. With several each moves the ground of the others, so they are gone through again until
// nothing moves; what is left in the air after so many rounds is balance, never a partition.

import type { GroupPartition } from '../engine/group-protocol.ts'
import type { AssignedMember, Assignments } from './assignor.ts'
import { compareText } from './assignor.ts'

const ROUNDS_MAX = 20

/** Members in their order (inOrder). */
export function assignSticky(
  members: readonly AssignedMember[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, readonly GroupPartition[]> {
  const classes = classesOf(members, partitionCounts)
  const loads = new Array<number>(members.length).fill(0)
  for (const topicClass of classes) {
    for (const [at, member] of topicClass.members.entries()) add(loads, member, topicClass.held[at]?.length ?? 0)
  }
  for (const topicClass of classes) fill(topicClass, loads)
  for (let round = 0; round < ROUNDS_MAX; round++) {
    let moved = 0
    for (const topicClass of classes) moved += balance(topicClass, loads)
    if (moved === 0 || classes.length === 1) break
  }
  return collect(members, classes)
}

/** Topics with the same subscribers, and how their partitions are shared out. */
interface TopicClass {
  /** Numbers of members, rising. */
  readonly members: readonly number[]
  /** What each of these members has, and what nobody has: by topic and partition. */
  readonly held: GroupPartition[][]
  free: GroupPartition[]
}

function classesOf(
  members: readonly AssignedMember[],
  partitionCounts: ReadonlyMap<string, number>,
): readonly TopicClass[] {
  const owners = ownersOf(members, partitionCounts)
  const topics = [...subscribersOf(members)].filter(([topic]) => (partitionCounts.get(topic) ?? 0) > 0)
  const bySubscribers = Map.groupBy(topics, ([, kinds]) => kinds.key)
  const classes: TopicClass[] = []
  for (const ofClass of bySubscribers.values()) {
    const subscribers = ofClass[0]?.[1].members ?? []
    const placeOf = new Map(subscribers.map((member, place) => [member, place]))
    const topicClass: TopicClass = { members: subscribers, held: subscribers.map(() => []), free: [] }
    for (const topic of ofClass.map(([name]) => name).sort(compareText)) {
      const owner = owners.get(topic)
      for (let partition = 0; partition < (partitionCounts.get(topic) ?? 0); partition++) {
        const place = placeOf.get(owner?.[partition] ?? NOBODY)
        const list = place === undefined ? topicClass.free : topicClass.held[place]
        list?.push({ topic, partition })
      }
    }
    classes.push(topicClass)
  }
  // Where there is the least choice first.
  return classes.sort((left, right) => left.members.length - right.members.length)
}

interface Subscribers {
  readonly members: readonly number[]
  /** The same for topics with the same subscribers. */
  readonly key: string
}

/** Members with the same topics are looked at as one: mostly all of them have the same. */
function subscribersOf(members: readonly AssignedMember[]): Map<string, Subscribers> {
  const kinds = Map.groupBy(members.keys(), (at) => [...new Set(members[at]?.topics)].sort(compareText).join(' '))
  const kindsOf = new Map<string, number[]>()
  const membersOfKinds = [...kinds.values()]
  for (const [kind, ofKind] of membersOfKinds.entries()) {
    for (const topic of new Set(members[ofKind[0] as number]?.topics)) {
      const wanting = kindsOf.get(topic) ?? []
      wanting.push(kind)
      kindsOf.set(topic, wanting)
    }
  }
  const known = new Map<string, Subscribers>()
  const subscribers = new Map<string, Subscribers>()
  for (const [topic, wanting] of kindsOf) {
    const key = wanting.join()
    const found = known.get(key) ?? {
      key,
      members: wanting.flatMap((kind) => membersOfKinds[kind] as number[]).sort((left, right) => left - right),
    }
    known.set(key, found)
    subscribers.set(topic, found)
  }
  return subscribers
}

const NOBODY = -1
/** Below any generation, also below the -1 of who does not know its own. */
const UNCLAIMED = -2

/** By topic and partition the member that may keep it. Of two with the same generation neither: one of them is wrong. */
function ownersOf(
  members: readonly AssignedMember[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, Int32Array> {
  const owners = new Map<string, Int32Array>()
  const generations = new Map<string, Int32Array>()
  for (const [at, { owned, ownedGeneration, topics }] of members.entries()) {
    const wanted = new Set(topics)
    for (const { topic, partition } of owned) {
      const count = partitionCounts.get(topic) ?? 0
      if (partition >= count || !wanted.has(topic)) continue
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
  return owners
}

/** Gives what nobody has to those that have least; takes from nobody. */
function fill(topicClass: TopicClass, loads: number[]): void {
  const { members, held, free } = topicClass
  const bases = members.map((member) => loads[member] as number)
  const shares = shareOut(bases, free.length, () => false)
  handOut(
    topicClass,
    held.map((list, place) => list.length + (shares[place] as number)),
    loads,
  )
}

/** Returns how many partitions went to another member. */
function balance(topicClass: TopicClass, loads: number[]): number {
  const { members, held } = topicClass
  const bases = members.map((member, place) => (loads[member] as number) - (held[place]?.length ?? 0))
  const count = held.reduce((sum, list) => sum + list.length, 0)
  const shares = shareOut(bases, count, (place, share) => (held[place]?.length ?? 0) > share)
  for (const [place, list] of held.entries()) {
    const released = list.splice(shares[place] as number)
    topicClass.free.push(...released)
    add(loads, members[place] as number, -released.length)
  }
  const moved = topicClass.free.length
  topicClass.free.sort(byTopicAndPartition)
  handOut(topicClass, shares, loads)
  return moved
}

/**
 * How many of `count` each gets, so that what each has with its base is as even as can be. What cannot be divided goes to
 * those who prefer one more, then to the first ones.
 */
function shareOut(
  bases: readonly number[],
  count: number,
  prefersMore: (place: number, share: number) => boolean,
): readonly number[] {
  const sorted = [...bases].sort((left, right) => left - right)
  let sum = count
  let filled = 0
  while (filled < sorted.length && (filled === 0 || sum > filled * (sorted[filled] as number))) {
    sum += sorted[filled++] as number
  }
  const level = Math.floor(sum / filled)
  let rest = sum - level * filled
  const shares = bases.map((base) => Math.max(0, level - base))
  const candidates = [...bases.keys()].filter((place) => (bases[place] as number) <= level)
  const preferring = candidates.filter((place) => prefersMore(place, shares[place] as number))
  for (const place of new Set([...preferring, ...candidates])) {
    if (rest-- <= 0) break
    add(shares, place, 1)
  }
  return shares
}

/** Around the circle of those that have less than their share, so that a topic's partitions spread. */
function handOut(topicClass: TopicClass, shares: readonly number[], loads: number[]): void {
  const { members, held, free } = topicClass
  let short = [...held.keys()].filter((place) => (held[place]?.length ?? 0) < (shares[place] as number))
  let next = 0
  while (next < free.length && short.length > 0) {
    for (const place of short) {
      if (next === free.length) break
      held[place]?.push(free[next++] as GroupPartition)
      add(loads, members[place] as number, 1)
    }
    short = short.filter((place) => (held[place]?.length ?? 0) < (shares[place] as number))
  }
  topicClass.free = []
}

function add(numbers: number[], at: number, more: number): void {
  numbers[at] = (numbers[at] as number) + more
}

function collect(
  members: readonly AssignedMember[],
  classes: readonly TopicClass[],
): Map<string, readonly GroupPartition[]> {
  const lists = members.map((): GroupPartition[] => [])
  for (const { members: subscribers, held } of classes) {
    for (const [place, member] of subscribers.entries()) {
      for (const partition of held[place] ?? []) lists[member]?.push(partition)
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
