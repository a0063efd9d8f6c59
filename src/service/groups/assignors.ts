// Kafka's assignors by their names, and the two simple ones, which know nothing of what was before.

import type { GroupPartition } from '../../engine/group-protocol.ts'
import type { AssignedMember, Assignor } from './assignor.ts'
import { compareText, inOrder } from './assignor.ts'
import type { AssignorName } from './group-member.ts'
import { assignSticky, withholdMoved } from './sticky-assignor.ts'

const NOBODY: ReadonlySet<string> = new Set()

export const ASSIGNORS = {
  range: (members, counts) => ({ partitions: assignRange(inOrder(members), counts), waiting: NOBODY }),
  roundrobin: (members, counts) => ({ partitions: assignRoundRobin(inOrder(members), counts), waiting: NOBODY }),
  sticky: (members, counts) => ({ partitions: assignSticky(inOrder(members), counts), waiting: NOBODY }),
  'cooperative-sticky': (members, counts) => withholdMoved(members, assignSticky(inOrder(members), counts)),
} as const satisfies Record<AssignorName, Assignor>

export function isAssignorName(name: string): name is AssignorName {
  return Object.hasOwn(ASSIGNORS, name)
}

/** Topic by topic a run of neighbouring partitions each, the first ones with one more. */
function assignRange(
  members: readonly AssignedMember[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, GroupPartition[]> {
  const assigned = nothingYet(members)
  const subscribers = new Map<string, GroupPartition[][]>()
  for (const { memberId, topics } of members) {
    for (const topic of new Set(topics)) {
      const lists = subscribers.get(topic) ?? []
      lists.push(assigned.get(memberId) as GroupPartition[])
      subscribers.set(topic, lists)
    }
  }
  for (const [topic, lists] of [...subscribers].sort(([left], [right]) => compareText(left, right))) {
    const count = partitionCounts.get(topic) ?? 0
    const each = Math.floor(count / lists.length)
    let partition = 0
    for (const [at, list] of lists.entries()) {
      const end = partition + each + (at < count % lists.length ? 1 : 0)
      for (; partition < end; partition++) list.push({ topic, partition })
    }
  }
  return assigned
}

/** All partitions, topic by topic, around the circle of members, past those that do not want the topic. */
function assignRoundRobin(
  members: readonly AssignedMember[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, GroupPartition[]> {
  const assigned = nothingYet(members)
  const circle = members.map(({ memberId, topics }) => ({
    topics: new Set(topics),
    list: assigned.get(memberId) as GroupPartition[],
  }))
  const topics = [...new Set(members.flatMap((member) => member.topics))].sort(compareText)
  let turn = 0
  for (const topic of topics) {
    const count = partitionCounts.get(topic) ?? 0
    for (let partition = 0; partition < count; partition++) {
      while (!circle[turn % circle.length]?.topics.has(topic)) turn++
      circle[turn++ % circle.length]?.list.push({ topic, partition })
    }
  }
  return assigned
}

function nothingYet(members: readonly AssignedMember[]): Map<string, GroupPartition[]> {
  return new Map(members.map(({ memberId }) => [memberId, []]))
}
