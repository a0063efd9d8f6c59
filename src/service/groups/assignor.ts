// What an assignor is: a pure function from the members of a group and the partitions that there are to who owns which,
// run by the member that leads. The same members and topics always give the same assignment.

import type { GroupPartition } from '../../engine/group-protocol.ts'

export interface AssignedMember {
  readonly memberId: string
  readonly groupInstanceId?: string | undefined
  readonly topics: readonly string[]
  /** What it says to own (cooperative), or to have owned before it gave up all (eager). */
  readonly owned: readonly GroupPartition[]
  /** In which that was given; -1: not known. Of two that claim the same partition the later generation's has it. */
  readonly ownedGeneration: number
}

export interface Assignments {
  /** Of every member, also where it is nothing. */
  readonly partitions: ReadonlyMap<string, readonly GroupPartition[]>
  /** Members that are to get what another one has to give up first: once it has, there is another rebalance. */
  readonly waiting: ReadonlySet<string>
}

/** A topic that is not in the counts has no partitions. */
export type Assignor = (members: readonly AssignedMember[], partitionCounts: ReadonlyMap<string, number>) => Assignments

/** Static members first, by their instance ids: they keep their place when they come back under another member id. */
export function inOrder(members: readonly AssignedMember[]): readonly AssignedMember[] {
  return [...members].sort((left, right) => {
    const [leftId, rightId] = [left.groupInstanceId, right.groupInstanceId]
    if (leftId !== undefined && rightId !== undefined) return compareText(leftId, rightId)
    if (leftId !== undefined) return -1
    if (rightId !== undefined) return 1
    return compareText(left.memberId, right.memberId)
  })
}

export function compareText(left: string, right: string): number {
  if (left === right) return 0
  return left < right ? -1 : 1
}
