// Where a group begins in partitions that it polls: where it has committed (what was removed behind that is told as a gap,
// not passed in silence), else at a position. An offset beyond the partition's end counts as none, as in group-start.ts. Partitions that a topic grew by when the group knew it begin at
// their first record, whatever the position: what came before the group saw them is not to be missed.

import type { CommittedOffset } from '../../engine/group-protocol.ts'
import { partitionKey } from '../../engine/partition-key.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import type { GroupStartParts } from '../read/group-start.ts'
import { startPartitions } from '../read/group-start.ts'
import type { Position } from '../read/positions.ts'
import { listOffsets } from '../read/positions.ts'
import type { PartitionSlot } from './poll-queue.ts'

/** What is to be known of a partition that is begun; more of it is its holder's. */
export type SlotToStart = Pick<PartitionSlot, 'topic' | 'partition' | 'isAdded'>

export interface PollStart<Slot> {
  readonly slot: Slot
  readonly offset: number
  /** undefined: the group had none. */
  readonly committed: CommittedOffset | undefined
  /** It could not be asked. */
  readonly error: TailraceError | undefined
}

export async function findStarts<Slot extends SlotToStart>(
  parts: GroupStartParts,
  groupId: string,
  slots: readonly Slot[],
  from: Position,
): Promise<readonly PollStart<Slot>[]> {
  const all = await parts.engine.groups.committed(groupId)
  const topics = new Set(all.map(({ topic }) => topic))
  const committed = new Map(all.map((one) => [partitionKey(one.topic, one.partition), one]))
  const found: PollStart<Slot>[] = []
  const fresh: Slot[] = []
  const ends = await Promise.all(
    slots.map((slot) => {
      return committed.has(partitionKey(slot.topic.name, slot.partition)) ? endOf(parts, slot) : undefined
    }),
  )
  for (const [at, slot] of slots.entries()) {
    const known = committed.get(partitionKey(slot.topic.name, slot.partition))
    const end = ends[at]
    if (end instanceof TailraceError) found.push({ slot, offset: -1, committed: known, error: end })
    else if (known !== undefined && end !== undefined && known.offset <= end) {
      found.push({ slot, offset: known.offset, committed: known, error: undefined })
    } else {
      fresh.push(slot)
      // one that cannot be asked now is what it is when it can
      slot.isAdded ??= topics.has(slot.topic.name) && isOfGrowth(slot)
    }
  }
  const [added, first] = [true, false].map((isAdded) => fresh.filter((slot) => slot.isAdded === isAdded))
  for (const [own = [], policy] of [[added, EARLIEST] as const, [first, from] as const]) {
    for (const { owned: slot, offset, error } of await startPartitions(parts, groupId, own, policy)) {
      found.push({ slot, offset, committed: undefined, error })
    }
  }
  return found
}

async function endOf({ engine }: GroupStartParts, { topic, partition }: SlotToStart): Promise<number | TailraceError> {
  try {
    const [end] = await listOffsets(engine, topic, [partition], 'latest')
    return end?.offset ?? 0
  } catch (error) {
    return asTailraceError(error)
  }
}

function isOfGrowth({ topic, partition }: SlotToStart): boolean {
  return partition >= (topic.growths[0]?.partitionCountBefore ?? topic.partitionCount)
}

const EARLIEST: Position = { kind: 'earliest' }
