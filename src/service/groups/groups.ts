// Consumer groups as an operator sees them: which there are, who is in them, how far they lag; and what is done to one that
// nobody is in: its offsets are put elsewhere or taken away, or all of it goes.

import { decodeAssignment, decodeSubscription } from '../../engine/consumer-protocol.ts'
import type { Engine, Topic } from '../../engine/engine.ts'
import { checkGroupId } from '../../engine/group-id.ts'
import type {
  CommittedOffset,
  GroupDescription,
  GroupListing,
  GroupMemberDescription,
  GroupPartition,
} from '../../engine/group-protocol.ts'
import type { Clock } from '../../kernel/clock.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { GROUP_EVICTIONS_MAX, GROUP_OFFSETS_RESET_MAX } from '../../kernel/limits.ts'
import type { Caller } from '../caller.ts'
import type { Position } from '../read/positions.ts'
import { unknownGroup } from '../read/positions.ts'
import { allPartitions, checkPartitions, getTopic } from '../read/read-start.ts'
import type { GroupPollService } from './group-poll.ts'
import type { OffsetsToCommit } from './offset-commit.ts'
import { commitFromOutside, offsetsToCommit } from './offset-commit.ts'
import type { OffsetReset, PartitionStanding, ResetTarget } from './offset-reset.ts'
import { keyOf, planReset } from './offset-reset.ts'

export interface GroupsRequest {
  /** Only groups that sort after this one; '' begins. */
  readonly after: string
  readonly limit: number
}

export interface GroupsPage {
  readonly groups: readonly GroupListing[]
  /** The `after` of the next page; undefined when this is the last. */
  readonly nextAfter: string | undefined
}

export interface MemberView {
  readonly memberId: string
  readonly groupInstanceId?: string | undefined
  readonly clientId: string
  readonly host: string
  /** What it has subscribed to, and what it owns; empty where its protocol is not known here. */
  readonly topics: readonly string[]
  readonly partitions: readonly GroupPartition[]
}

/** A partition that the group has committed or that a member owns. */
export interface OffsetView extends GroupPartition {
  readonly committed: CommittedOffset | undefined
  /** undefined: there is no such partition any more. */
  readonly bounds: { readonly startOffset: number; readonly endOffset: number } | undefined
  readonly memberId: string | undefined
}

export interface GroupView {
  readonly group: GroupDescription
  readonly members: readonly MemberView[]
  /** By topic and partition. */
  readonly offsets: readonly OffsetView[]
}

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

export interface ResetPlan {
  readonly offsets: readonly OffsetReset[]
  /** Of a dry run: why it would not be done now. */
  readonly refusal: TailraceError | undefined
}

export interface GroupService {
  list(caller: Caller, request: GroupsRequest): Promise<GroupsPage>
  /** group_id_not_found */
  describe(caller: Caller, groupId: string): Promise<GroupView>
  /** With its offsets; `force`: its leases are fenced and its members made to leave. group_id_not_found, non_empty_group. */
  delete(caller: Caller, groupId: string, force?: boolean): Promise<void>
  /**
   * A group that nobody knows is made by it, if topics or partitions are named. All offsets are durable when it resolves.
   * non_empty_group, unknown_topic_or_partition, group_id_not_found, invalid_position, invalid_request: nothing is changed.
   */
  resetOffsets(caller: Caller, groupId: string, request: ResetRequest): Promise<ResetPlan>
  /**
   * By who is in no group, while nobody is in this one. Durable when it resolves. invalid_cursor, topic_recreated,
   * unknown_topic_or_partition, invalid_request, offset_metadata_too_large, non_empty_group.
   */
  commitOffsets(caller: Caller, groupId: string, request: OffsetsToCommit): Promise<void>
  /** Of a topic, or of some of its partitions. group_id_not_found, group_subscribed_to_topic, unknown_topic_or_partition. */
  deleteOffsets(caller: Caller, groupId: string, topic: string, partitions?: readonly number[]): Promise<void>
}

export interface GroupServiceParts {
  readonly engine: Engine
  readonly clock: Clock
  readonly polls: Pick<GroupPollService, 'isUnused' | 'leaveUnused' | 'leaveUnpolled' | 'forget'>
}

export function createGroupService({ engine, clock, polls }: GroupServiceParts): GroupService {
  const { groups } = engine

  // Who stands for workers that have gone is in nobody's way.
  const isUnused = (group: GroupDescription | undefined) => group?.members.length === 1 && polls.isUnused(group.groupId)
  const leaveUnused = async (groupId: string): Promise<void> => {
    if (isUnused(await groups.describe(groupId))) await polls.leaveUnused(groupId)
  }

  return {
    list: async (_caller, request) => pageOf(await groups.list(), request),
    async describe(_caller, groupId) {
      checkGroupId(groupId)
      const group = await groups.describe(groupId)
      if (group === undefined) throw unknownGroup(groupId)
      return await viewOf(engine, group, await groups.committed(groupId))
    },
    async delete(_caller, groupId, force = false) {
      checkGroupId(groupId)
      if (force) await polls.leaveUnpolled(groupId)
      else await leaveUnused(groupId)
      await withNobodyIn(engine, groupId, force, () => groups.delete(groupId))
      await polls.forget(groupId)
    },
    async commitOffsets(_caller, groupId, request) {
      checkGroupId(groupId)
      const offsets = offsetsToCommit(engine, request)
      await leaveUnused(groupId)
      await commitFromOutside(engine, groupId, offsets)
    },
    async resetOffsets(_caller, groupId, request) {
      checkGroupId(groupId)
      const target = targetOf(request.target, clock.now())
      const group = await groups.describe(groupId)
      const refusal = request.force || isUnused(group) ? undefined : refusalOf(group)
      if (refusal !== undefined && !request.dryRun) throw refusal
      const committed = await groups.committed(groupId)
      const partitions = chosenPartitions(engine, groupId, group, committed, request)
      if (target.kind === 'current' && group?.protocolType === 'shared') throw forgetsAccepted(groupId)
      const ids = new Map(partitions.map(({ topic }) => [topic, getTopic(engine, topic).id]))
      const plan = planReset(target, await standingsOf(engine, partitions, committed, target))
      if (request.dryRun) return { offsets: plan, refusal }
      const offsets = plan.map(({ topic, partition, offset }) => ({
        topic,
        topicId: ids.get(topic),
        partition,
        offset,
      }))
      await leaveUnused(groupId)
      // What was deleted meanwhile has no offset any more: such a partition's own error is none of ours.
      const commit = () => groups.commit({ groupId, offsets })
      if (offsets.length > 0) await withNobodyIn(engine, groupId, request.force, commit)
      return { offsets: plan, refusal }
    },
    async deleteOffsets(_caller, groupId, name, partitions) {
      checkGroupId(groupId)
      const topic = getTopic(engine, name)
      const chosen = partitions === undefined ? allPartitions(topic) : checkPartitions(topic, partitions)
      await leaveUnused(groupId)
      const results = await groups.deleteOffsets(
        groupId,
        chosen.map((partition) => ({ topic: name, partition })),
      )
      // One topic: what is said of one partition is true of all.
      const refused = results.find(({ error }) => error !== undefined)
      if (refused?.error !== undefined) throw refused.error
    },
  }
}

function pageOf(all: readonly GroupListing[], { after, limit }: GroupsRequest): GroupsPage {
  const groups = all.filter(({ groupId }) => groupId > after).sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
  const page = groups.slice(0, limit)
  return { groups: page, nextAfter: groups.length > limit ? page.at(-1)?.groupId : undefined }
}

async function viewOf(
  engine: Engine,
  group: GroupDescription,
  committed: readonly CommittedOffset[],
): Promise<GroupView> {
  const members = group.members.map((member) => memberView(group, member))
  const rows = new Map<string, OffsetView>()
  const row = (place: GroupPartition, more: Partial<OffsetView>) => {
    const key = keyOf(place)
    const known = rows.get(key) ?? { ...place, committed: undefined, bounds: undefined, memberId: undefined }
    rows.set(key, { ...known, ...more })
  }
  for (const each of committed) row({ topic: each.topic, partition: each.partition }, { committed: each })
  for (const { memberId, partitions } of members) for (const each of partitions) row(each, { memberId })
  for (const name of new Set([...rows.values()].map(({ topic }) => topic))) {
    for (const { partition, startOffset, endOffset } of await describeIfThere(engine, name)) {
      if (rows.has(keyOf({ topic: name, partition }))) {
        row({ topic: name, partition }, { bounds: { startOffset, endOffset } })
      }
    }
  }
  return { group, members, offsets: [...rows.values()].sort(byPlace) }
}

async function describeIfThere(engine: Engine, name: string) {
  const topic = engine.findTopic(name)
  return topic === undefined ? [] : await engine.describePartitions(topic)
}

function byPlace(a: GroupPartition, b: GroupPartition): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  return a.partition - b.partition
}

/** The protocol types whose bytes are Kafka's ConsumerProtocol. Members write them: what cannot be read is shown as nothing. */
const READABLE: ReadonlySet<string> = new Set(['consumer', 'shared'])

function memberView({ protocolType }: GroupDescription, member: GroupMemberDescription): MemberView {
  const { memberId, groupInstanceId, clientId, clientHost: host, metadata, assignment } = member
  const isReadable = READABLE.has(protocolType)
  const topics = isReadable ? decodeSubscription(metadata)?.topics : undefined
  const partitions = isReadable ? decodeAssignment(assignment)?.partitions : undefined
  return {
    memberId,
    groupInstanceId,
    clientId,
    host,
    topics: topics ?? [],
    partitions: [...(partitions ?? [])].sort(byPlace),
  }
}

function refusalOf(group: GroupDescription | undefined): TailraceError | undefined {
  const isInactive = group === undefined || group.state === 'Empty' || group.state === 'Dead'
  return isInactive ? undefined : stillActive(group)
}

function stillActive({ groupId, state, members }: GroupDescription): TailraceError {
  const count = members.length === 1 ? '1 member' : `${members.length} members`
  return new TailraceError(
    'non_empty_group',
    `group '${groupId}' is ${state} with ${count}: it is deleted, and its offsets are reset, while nobody is in it, no poll waits and no lease is open, or with force=true, which makes its members leave and ends its leases`,
    { group: groupId, state, members: members.length },
  )
}

function forgetsAccepted(groupId: string): TailraceError {
  return new TailraceError(
    'invalid_position',
    `group '${groupId}' is shared: put where it stands, it would only forget what it has accepted above that, and be given it again; earliest, latest, an offset, a time or a duration ago are allowed`,
    { group: groupId },
  )
}

function chosenPartitions(
  engine: Engine,
  groupId: string,
  group: GroupDescription | undefined,
  committed: readonly CommittedOffset[],
  { target, topics, partitions }: ResetRequest,
): readonly GroupPartition[] {
  const chosen = new Map<string, GroupPartition>()
  const choose = (topic: Topic, numbers: readonly number[]) => {
    for (const partition of numbers)
      chosen.set(keyOf({ topic: topic.name, partition }), { topic: topic.name, partition })
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
  return [...chosen.values()].sort(byPlace)
}

function tooMany(): TailraceError {
  return new TailraceError(
    'invalid_request',
    `the offsets of more than ${GROUP_OFFSETS_RESET_MAX} partitions are not reset in one go: name fewer topics or partitions`,
    { max: GROUP_OFFSETS_RESET_MAX },
  )
}

function targetOf(target: ResetRequest['target'], now: number): ResetTarget {
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
  const committedOf = new Map(committed.map((each) => [keyOf(each), each.offset]))
  return partitions.map((place, at) => ({
    ...place,
    startOffset: starts[at]?.offset ?? 0,
    endOffset: ends[at]?.offset ?? 0,
    committedOffset: committedOf.get(keyOf(place)),
    offsetAtTime: offsetFound(found[at]?.offset),
  }))
}

function offsetFound(offset: number | undefined): number | undefined {
  return offset === undefined || offset < 0 ? undefined : offset
}

async function withNobodyIn(
  { groups }: Engine,
  groupId: string,
  force: boolean,
  work: () => Promise<unknown>,
): Promise<void> {
  for (let evictions = 0; ; evictions++) {
    const group = await groups.describe(groupId)
    const members = (group?.members ?? []).map(({ memberId, groupInstanceId }) => ({ memberId, groupInstanceId }))
    const isLast = evictions === GROUP_EVICTIONS_MAX
    if (group !== undefined && members.length > 0 && (!force || isLast)) throw stillActive(group)
    const left = members.length === 0 ? undefined : groups.leave(groupId, members)
    // At once: members of this server, which join again by themselves, find it done.
    const [done] = await Promise.allSettled([work(), left])
    if (done.status === 'fulfilled') return
    const isTaken = done.reason instanceof TailraceError && HAS_MEMBERS.has(done.reason.code)
    if (!isTaken || isLast) throw done.reason
  }
}

/** What a commit from outside, or a deletion, is told while members are there. */
const HAS_MEMBERS: ReadonlySet<string> = new Set([
  'unknown_member_id',
  'rebalance_in_progress',
  'illegal_generation',
  'non_empty_group',
])
