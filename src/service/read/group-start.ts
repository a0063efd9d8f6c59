// Where a member begins to read the partitions that it was given: where the group has committed, else, as Kafka's consumers
// do, where its reset policy says. A committed offset that lies outside of its partition by now counts as none.

import type { Topic } from '../../engine/engine.ts'
import { partitionKey } from '../../engine/partition-key.ts'
import type { Clock } from '../../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import type { RecordSource } from './last-records.ts'
import type { Position } from './positions.ts'
import { listOffsets, resolvePosition } from './positions.ts'

/** auto.offset.reset, or any position that all partitions of a topic can have. */
export type ResetPolicy = Position | { readonly kind: 'none' }

export interface GroupStartParts extends RecordSource {
  readonly clock: Clock
}

/** One that a member owns, or was given by hand. */
export interface PartitionToStart {
  readonly topic: Topic
  readonly partition: number
}

export interface StartedPartition<Partition extends PartitionToStart = PartitionToStart> {
  readonly owned: Partition
  readonly how: 'resumed' | 'reset' | 'refused'
  /** -1 where it is refused. */
  readonly offset: number
  /** undefined: nothing was. Of one that was reset: an offset that is outside of the partition. */
  readonly committed?: number | undefined
  /** offset_out_of_range: there is no place to begin at, and the policy is 'none'; what else kept the partition from being asked. */
  readonly error?: TailraceError | undefined
}

/**
 * In the order of the partitions. What keeps one from being read is its own error; invalid_position, and what the
 * coordinator refuses, is thrown.
 */
export async function startPartitions<Partition extends PartitionToStart>(
  parts: GroupStartParts,
  groupId: string,
  partitions: readonly Partition[],
  policy: ResetPolicy,
  signal?: AbortSignal,
): Promise<readonly StartedPartition<Partition>[]> {
  const named = partitions.map(({ topic, partition }) => ({ topic: topic.name, partition }))
  const committed = new Map<string, number>()
  for (const { topic, partition, offset } of await parts.engine.groups.committed(groupId, named)) {
    committed.set(partitionKey(topic, partition), offset)
  }
  const started = new Map<Partition, StartedPartition<Partition>>()
  for (const ofTopic of Map.groupBy(partitions, ({ topic }) => topic.id).values()) {
    const checked = await Promise.all(
      ofTopic.map((owned) => resume(parts, owned, committed.get(partitionKey(owned.topic.name, owned.partition)))),
    )
    for (const one of checked) started.set(one.owned, one)
    const lost = checked.filter(({ how }) => how === 'reset')
    for (const one of await reset(parts, lost, policy, signal)) started.set(one.owned, one)
  }
  return partitions.map((owned) => started.get(owned) as StartedPartition<Partition>)
}

async function resume<Partition extends PartitionToStart>(
  { engine }: GroupStartParts,
  owned: Partition,
  committed: number | undefined,
): Promise<StartedPartition<Partition>> {
  if (committed === undefined) return { owned, how: 'reset', offset: -1 }
  const { topic, partition } = owned
  try {
    const [start] = await listOffsets(engine, topic, [partition], 'earliest')
    const [end] = await listOffsets(engine, topic, [partition], 'latest')
    const isThere = start !== undefined && end !== undefined && committed >= start.offset && committed <= end.offset
    return isThere
      ? { owned, how: 'resumed', offset: committed, committed }
      : { owned, how: 'reset', offset: -1, committed }
  } catch (error) {
    return { owned, how: 'refused', offset: -1, committed, error: asTailraceError(error) }
  }
}

/** Where a position is in each of them; what keeps one from being asked is its own error. invalid_position. */
export async function findInPartitions<Partition extends PartitionToStart>(
  parts: GroupStartParts,
  partitions: readonly Partition[],
  position: Position,
): Promise<readonly StartedPartition<Partition>[]> {
  const byTopic = [...Map.groupBy(partitions, ({ topic }) => topic.id).values()]
  const found = byTopic.map((ofTopic) => {
    const unknown = ofTopic.map((owned) => ({ owned, how: 'reset', offset: -1 }) as const)
    return reset(parts, unknown, position, undefined)
  })
  return (await Promise.all(found)).flat()
}

/** Of one topic. */
async function reset<Partition extends PartitionToStart>(
  parts: GroupStartParts,
  lost: readonly StartedPartition<Partition>[],
  policy: ResetPolicy,
  signal: AbortSignal | undefined,
): Promise<readonly StartedPartition<Partition>[]> {
  const topic = lost[0]?.owned.topic
  if (topic === undefined) return []
  const refuse = (error: (one: StartedPartition<Partition>) => TailraceError) =>
    lost.map((one) => ({ ...one, how: 'refused', error: error(one) }) as const)
  if (policy.kind === 'none') return refuse(nowhereToBegin)
  const numbers = lost.map(({ owned }) => owned.partition)
  try {
    const found = await resolvePosition(parts, topic, numbers, policy, parts.clock.now(), signal)
    return lost.map((one, at) => ({ ...one, offset: found[at]?.offset ?? 0 }))
  } catch (error) {
    const reason = asTailraceError(error)
    if (reason.code === 'invalid_position') throw reason
    if (lost.length === 1) return refuse(() => reason)
    // One that is offline keeps no other from being read.
    return (await Promise.all(lost.map((one) => reset(parts, [one], policy, signal)))).flat()
  }
}

function nowhereToBegin({ owned: { topic, partition }, committed }: StartedPartition): TailraceError {
  const details = { topic: topic.name, partition }
  const place = `partition ${partition} of topic ${topic.name}`
  if (committed === undefined) {
    return new TailraceError(
      'offset_out_of_range',
      `the group has committed no offset of ${place}, and auto.offset.reset is none`,
      details,
    )
  }
  return new TailraceError(
    'offset_out_of_range',
    `the group's committed offset ${committed} of ${place} is not there any more, and auto.offset.reset is none`,
    { ...details, offset: committed },
  )
}
