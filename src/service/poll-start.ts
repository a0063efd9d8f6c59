// Where a group begins in partitions that it polls: where it has committed, wherever that lies by now (what is gone is told
// as a gap, not passed in silence), else at a position. Partitions that were added to a topic which the group knows begin
// at their first record, whatever the position: what came before the group saw them is not to be missed.

import type { CommittedOffset } from '../engine/group-protocol.ts'
import type { TailraceError } from '../kernel/errors.ts'
import type { OwnedPartition } from './group-member.ts'
import type { GroupStartParts } from './group-start.ts'
import { startPartitions } from './group-start.ts'
import type { Position } from './positions.ts'

export interface PollStart<Slot> {
  readonly slot: Slot
  readonly offset: number
  /** undefined: the group had none. */
  readonly committed: CommittedOffset | undefined
  /** It could not be asked. */
  readonly error: TailraceError | undefined
}

export async function findStarts<Slot extends OwnedPartition>(
  parts: GroupStartParts,
  groupId: string,
  slots: readonly Slot[],
  from: Position,
): Promise<readonly PollStart<Slot>[]> {
  const all = await parts.engine.groups.committed(groupId)
  const topics = new Set(all.map(({ topic }) => topic))
  const committed = new Map(all.map((one) => [placeKey(one.topic, one.partition), one]))
  const found: PollStart<Slot>[] = []
  const fresh: Slot[] = []
  for (const slot of slots) {
    const known = committed.get(placeKey(slot.topic.name, slot.partition))
    if (known === undefined) fresh.push(slot)
    else found.push({ slot, offset: known.offset, committed: known, error: undefined })
  }
  const [added, first] = [true, false].map((isKnown) => fresh.filter(({ topic }) => topics.has(topic.name) === isKnown))
  for (const [own = [], policy] of [[added, EARLIEST] as const, [first, from] as const]) {
    for (const { owned: slot, offset, error } of await startPartitions(parts, groupId, own, policy)) {
      found.push({ slot, offset, committed: undefined, error })
    }
  }
  return found
}

const EARLIEST: Position = { kind: 'earliest' }

function placeKey(topic: string, partition: number): string {
  return `${partition}/${topic}`
}
