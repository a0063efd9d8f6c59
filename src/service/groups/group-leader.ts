// What a member of a group says to the others when it joins, and what it works out for them when it leads: from the
// metadata of all to an assignment for each. Pure but for looking up topics.

import type { ConsumerSubscription } from '../../engine/consumer-protocol.ts'
import {
  decodeAssignment,
  decodeStickyUserData,
  decodeSubscription,
  encodeAssignment,
  encodeStickyUserData,
  encodeSubscription,
} from '../../engine/consumer-protocol.ts'
import type { Engine } from '../../engine/engine.ts'
import type { GroupPartition, GroupProtocol, JoinedGroup } from '../../engine/group-protocol.ts'
import type { AssignedMember } from './assignor.ts'
import { ASSIGNORS, isAssignorName } from './assignors.ts'
import type { AssignorName } from './group-member.ts'

export interface MemberWishes {
  readonly topics: readonly string[]
  /** What it keeps through the rebalance; nothing under an eager assignor. */
  readonly owned: readonly GroupPartition[]
  /** What it had last, kept or given up, and in which generation. */
  readonly previous: readonly GroupPartition[]
  readonly generationId: number
}

/** The same bytes for all assignors but the eager sticky one, which knows only from them what was given up. */
export function encodeWishes(assignors: readonly AssignorName[], wishes: MemberWishes): readonly GroupProtocol[] {
  const { topics, owned, previous, generationId } = wishes
  const subscription = { topics, userData: null, ownedPartitions: owned, generationId, rackId: null }
  let plain: Buffer | undefined
  return assignors.map((name) => {
    if (name === 'sticky') {
      const userData = encodeStickyUserData({ previousPartitions: previous, generationId })
      return { name, metadata: encodeSubscription({ ...subscription, userData }) }
    }
    plain ??= encodeSubscription(subscription)
    return { name, metadata: plain }
  })
}

/** In the assignment's user data, which Kafka's own members leave alone: what it is to get has to be given up by others first. */
const MORE_TO_COME = Buffer.from([1])

export function isMoreToCome(userData: Uint8Array | null): boolean {
  return userData !== null && MORE_TO_COME.equals(userData)
}

/** The topics that an assignment is about, and how they were then: the group is assigned anew when one has changed. */
export type TopicsSeen = ReadonlyMap<string, string>

export interface LedGroup {
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[]
  readonly topicsSeen: TopicsSeen
}

export function assignGroup(engine: Engine, { protocolName, members }: JoinedGroup): LedGroup {
  const wishing = members.map(({ memberId, groupInstanceId, metadata }): AssignedMember => {
    const subscription = decodeSubscription(metadata)
    // Whose metadata nobody understands wants nothing that anybody could give.
    const topics = subscription?.topics ?? []
    return { memberId, groupInstanceId, topics, ...ownedOf(subscription) }
  })
  const topics = new Set(wishing.flatMap((member) => member.topics))
  const partitionCounts = new Map<string, number>()
  for (const name of topics) {
    const topic = engine.findTopic(name)
    if (topic !== undefined) partitionCounts.set(name, topic.partitionCount)
  }
  const assign = ASSIGNORS[isAssignorName(protocolName) ? protocolName : 'range']
  const { partitions, waiting } = assign(wishing, partitionCounts)
  const assignments = wishing.map(({ memberId }) => {
    const userData = waiting.has(memberId) ? MORE_TO_COME : null
    return { memberId, assignment: encodeAssignment({ partitions: partitions.get(memberId) ?? [], userData }) }
  })
  return { assignments, topicsSeen: seeTopics(engine, topics) }
}

/**
 * Whether every partition that somebody wants is somebody's, by name. Who comes back in the place of a static member begins no
 * rebalance: it may have led, and nobody watched the topics meanwhile; or have been about to join again, having given up
 * what others still wait for.
 */
export async function isAllAssigned(engine: Engine, groupId: string): Promise<boolean> {
  const missing = new Map<string, Set<number>>()
  const members = (await engine.groups.describe(groupId))?.members ?? []
  for (const { metadata } of members) {
    for (const name of decodeSubscription(metadata)?.topics ?? []) {
      const count = engine.findTopic(name)?.partitionCount ?? 0
      if (!missing.has(name)) missing.set(name, new Set(Array.from({ length: count }, (_, partition) => partition)))
    }
  }
  for (const { assignment } of members) {
    for (const { topic, partition } of decodeAssignment(assignment)?.partitions ?? [])
      missing.get(topic)?.delete(partition)
  }
  return [...missing.values()].every(({ size }) => size === 0)
}

function ownedOf(subscription: ConsumerSubscription | undefined): Pick<AssignedMember, 'owned' | 'ownedGeneration'> {
  const sticky = subscription?.userData ? decodeStickyUserData(subscription.userData) : undefined
  if (subscription === undefined || subscription.ownedPartitions.length > 0 || sticky === undefined) {
    return { owned: subscription?.ownedPartitions ?? [], ownedGeneration: subscription?.generationId ?? -1 }
  }
  return { owned: sticky.previousPartitions, ownedGeneration: sticky.generationId }
}

function seeTopics(engine: Engine, topics: Iterable<string>): TopicsSeen {
  return new Map([...topics].map((name) => [name, seeTopic(engine, name)]))
}

function seeTopic(engine: Engine, name: string): string {
  const topic = engine.findTopic(name)
  return topic === undefined ? '' : `${topic.id} ${topic.partitionCount}`
}

export function haveTopicsChanged(engine: Engine, seen: TopicsSeen): boolean {
  for (const [name, then] of seen) if (seeTopic(engine, name) !== then) return true
  return false
}
