// Consumer groups as an operator sees them: which there are, who is in them, how far they lag; and what is done to one that
// nobody is in: its offsets are put elsewhere or taken away, or all of it goes.

import type { Engine } from '../../engine/engine.ts'
import { checkGroupId } from '../../engine/group-id.ts'
import type { GroupDescription, GroupListing, GroupPartition } from '../../engine/group-protocol.ts'
import type { Clock } from '../../kernel/clock.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { GROUP_EVICTIONS_MAX } from '../../kernel/limits.ts'
import type { Caller } from '../caller.ts'
import { unknownGroup } from '../read/positions.ts'
import { allPartitions, checkPartitions, getTopic } from '../read/read-start.ts'
import type { GroupPollService } from './group-poll.ts'
import type { GroupView } from './group-view.ts'
import { viewOf } from './group-view.ts'
import type { OffsetsToCommit } from './offset-commit.ts'
import { commitFromOutside, offsetsToCommit } from './offset-commit.ts'
import type { OffsetReset } from './offset-reset.ts'
import type { ResetRequest } from './reset-request.ts'
import { planRequest, resetTarget } from './reset-request.ts'

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

export interface ResetPlan {
  readonly offsets: readonly OffsetReset[]
  /** Where neither topics nor partitions are named: those of the group's topics that it has committed nothing of. */
  readonly leftOut: readonly GroupPartition[]
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
  readonly polls: Pick<GroupPollService, 'progress' | 'isUnused' | 'leaveUnused' | 'leaveUnpolled' | 'forget'>
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
      return await viewOf(engine, group, await groups.committed(groupId), polls.progress(groupId))
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
      const target = resetTarget(request, clock.now())
      const group = await groups.describe(groupId)
      const refusal = request.force || isUnused(group) ? undefined : refusalOf(group)
      if (refusal !== undefined && !request.dryRun) throw refusal
      const committed = await groups.committed(groupId)
      const { resets, commits, leftOut } = await planRequest(engine, { groupId, group, committed }, request, target)
      if (request.dryRun) return { offsets: resets, leftOut, refusal }
      await leaveUnused(groupId)
      // What was deleted meanwhile has no offset any more: such a partition's own error is none of ours.
      const commit = () => groups.commit({ groupId, offsets: commits })
      if (commits.length > 0) await withNobodyIn(engine, groupId, request.force, commit)
      return { offsets: resets, leftOut, refusal }
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
