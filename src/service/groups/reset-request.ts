// What a request to put a group's offsets elsewhere means: in which partitions, where each of them stands, and so
// (offset-reset.ts) where each is to be.

import type { Engine, Topic } from '../../engine/engine.ts'
import type { CommittedOffset, GroupDescription, GroupPartition, OffsetToCommit } from '../../engine/group-protocol.ts'
import { comparePartitions, partitionKey } from '../../engine/partition-key.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { GROUP_OFFSETS_RESET_MAX } from '../../kernel/limits.ts'
import type { Position } from '../read/positions.ts'
import { unknownGroup } from '../read/positions.ts'
import { allPartitions, checkPartitions, getTopic } from '../read/read-start.ts'
import type { OffsetReset, PartitionStanding, ResetTarget } from './offset-reset.ts'
import { planReset } from './offset-reset.ts'

export interface ResetRequest {
  /** A duration ago, a time and an offset are taken as they are; committed is where the group stands. */
  readonly target:
    | Extract<ResetTarget, { kind: 'shift' | 'listed' }>
    | { readonly kind: 'position'; readonly position: Position }
  /** Whole topics, and single partitions; with neither all that the group has committed. */
  readonly topics?: readonly string[] | undefined
  readonly partitions?: readonly GroupPartition[] | undefined
  /** Nothing is changed. */
  readonly dryRun: boolean
  /** The members are made to leave. */
  readonly force: boolean
}

/** Of which group, as it was found. */
export interface GroupStanding {
  readonly groupId: string
  readonly group: GroupDescription | undefined
  readonly committed: readonly CommittedOffset[]
}

export interface RequestedReset {
  readonly resets: readonly OffsetReset[]
  /** What does them. */
  readonly commits: readonly OffsetToCommit[]
  /** Where none are named: partitions of the group's topics that it has committed nothing of. */
  readonly leftOut: readonly GroupPartition[]
}

/** invalid_position: what is no place for offsets to be put. */
export function resetTarget({ target }: ResetRequest, now: number): ResetTarget {
  if (target.kind !== 'position') return target
  const { position } = target
  switch (position.kind) {
    case 'earliest':
    case 'latest':
    case 'time':
    case 'offset':
      return position
    case 'ago':
      return { kind: 'time', timestamp: Math.max(0, now - position.durationMs) }
    case 'committed':
      return { kind: 'current' }
    case 'last':
    case 'cursor':
      throw new TailraceError(
        'invalid_position',
        'offsets are reset to earliest, latest, committed (where the group stands), an offset, a time or a duration ago; shift_by moves them by a number of records',
      )
  }
}

/** By topic and partition. unknown_topic_or_partition, group_id_not_found, invalid_position, invalid_request. */
export async function planRequest(
  engine: Engine,
  standing: GroupStanding,
  request: ResetRequest,
  target: ResetTarget,
): Promise<RequestedReset> {
  const { groupId, group, committed } = standing
  const partitions = chosenPartitions(engine, standing, request)
  const movesNothing = target.kind === 'current' || (target.kind === 'shift' && target.by === 0)
  if (movesNothing && group?.protocolType === 'shared') throw forgetsAccepted(groupId)
  const ids = new Map(partitions.map(({ topic }) => [topic, getTopic(engine, topic).id]))
  const resets = planReset(target, await standingsOf(engine, partitions, committed, target))
  const commits = resets.map(({ topic, partition, offset }) => ({ topic, topicId: ids.get(topic), partition, offset }))
  const namesNone = request.topics === undefined && request.partitions === undefined && target.kind !== 'listed'
  return { resets, commits, leftOut: namesNone ? othersOf(engine, partitions) : [] }
}

/** The other partitions of their topics. */
function othersOf(engine: Engine, partitions: readonly GroupPartition[]): readonly GroupPartition[] {
  const chosen = Map.groupBy(partitions, ({ topic }) => topic)
  return [...chosen].flatMap(([topic, own]) => {
    const numbers = new Set(own.map(({ partition }) => partition))
    const others = allPartitions(getTopic(engine, topic)).filter((partition) => !numbers.has(partition))
    return others.map((partition) => ({ topic, partition }))
  })
}

function forgetsAccepted(groupId: string): TailraceError {
  return new TailraceError(
    'invalid_position',
    `group '${groupId}' is shared: put where it stands, it would only forget what it has accepted above that, and be given it again; earliest, latest, an offset, a time or a duration ago are allowed, and other shifts than 0`,
    { group: groupId },
  )
}

function chosenPartitions(
  engine: Engine,
  { groupId, group, committed }: GroupStanding,
  { target, topics, partitions }: ResetRequest,
): readonly GroupPartition[] {
  const chosen = new Map<string, GroupPartition>()
  const choose = (topic: Topic, numbers: readonly number[]) => {
    for (const partition of numbers) chosen.set(partitionKey(topic.name, partition), { topic: topic.name, partition })
    if (chosen.size > GROUP_OFFSETS_RESET_MAX) throw tooMany()
  }
  const named = target.kind === 'listed' ? target.offsets : partitions
  for (const name of topics ?? []) {
    const topic = getTopic(engine, name)
    choose(topic, allPartitions(topic))
  }
  for (const { topic: name, partition } of named ?? []) {
    const topic = getTopic(engine, name)
    choose(topic, checkPartitions(topic, [partition]))
  }
  if (topics === undefined && named === undefined) {
    if (group === undefined && committed.length === 0) throw unknownGroup(groupId)
    for (const { topic: name, partition } of committed) {
      const topic = engine.findTopic(name)
      if (topic !== undefined) choose(topic, [partition])
    }
  }
  return [...chosen.values()].sort(comparePartitions)
}

function tooMany(): TailraceError {
  return new TailraceError(
    'invalid_request',
    `the offsets of more than ${GROUP_OFFSETS_RESET_MAX} partitions are not reset in one go: name fewer topics or partitions`,
    { max: GROUP_OFFSETS_RESET_MAX },
  )
}

async function standingsOf(
  engine: Engine,
  partitions: readonly GroupPartition[],
  committed: readonly CommittedOffset[],
  target: ResetTarget,
): Promise<readonly PartitionStanding[]> {
  const places = partitions.map(({ topic, partition }) => ({ topic: getTopic(engine, topic), partition }))
  const starts = await engine.listOffsets(places.map((place) => ({ ...place, at: 'earliest' })))
  const ends = await engine.listOffsets(places.map((place) => ({ ...place, at: 'latest' })))
  const { timestamp } = target.kind === 'time' ? target : { timestamp: undefined }
  const found =
    timestamp === undefined ? [] : await engine.listOffsets(places.map((place) => ({ ...place, at: { timestamp } })))
  const committedOf = new Map(committed.map((each) => [partitionKey(each.topic, each.partition), each.offset]))
  return partitions.map((place, at) => ({
    ...place,
    startOffset: starts[at]?.offset ?? 0,
    endOffset: ends[at]?.offset ?? 0,
    committedOffset: committedOf.get(partitionKey(place.topic, place.partition)),
    offsetAtTime: offsetFound(found[at]?.offset),
  }))
}

function offsetFound(offset: number | undefined): number | undefined {
  return offset === undefined || offset < 0 ? undefined : offset
}
