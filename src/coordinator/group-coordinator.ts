// The consumer groups of an engine: each by itself (group.ts), and what they have committed (group-offsets.ts). What must
// hold: a group that is being deleted is not used until that has happened or failed; of one that nothing came of nothing is
// kept. Deterministic: a clock and calls; what must be durable goes through GroupStore, what was is handed in at the start.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { checkGroupId } from '../engine/group-id.ts'
import type {
  CommitOffsets,
  CommittedOffset,
  GroupDescription,
  GroupListing,
  GroupPartition,
  Groups,
  JoinedGroup,
  JoinGroup,
  MemberIdentity,
  PartitionResult,
  SyncedGroup,
  SyncGroup,
} from '../engine/group-protocol.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import { GROUP_MEMBERS_MAX, GROUPS_EXPIRED_AT_ONCE_MAX, GROUPS_MAX } from '../kernel/limits.ts'
import type { GroupHost } from './group.ts'
import { Group } from './group.ts'
import { groupNotFound, nonEmptyGroup, unknownMember } from './group-errors.ts'
import type { GroupOffsetsOptions } from './group-offsets.ts'
import { GroupOffsets } from './group-offsets.ts'
import type { SavedGroups } from './group-store.ts'
import { checkJoinRequest } from './join-request.ts'

/** Kafka's broker options for groups. */
export interface GroupOptions {
  /** group.min.session.timeout.ms, group.max.session.timeout.ms. */
  readonly sessionTimeoutMsMin: number
  readonly sessionTimeoutMsMax: number
  /** group.initial.rebalance.delay.ms, group.max.size. */
  readonly initialRebalanceDelayMs: number
  readonly membersMax: number
  /** offsets.retention.minutes, in ms. */
  readonly offsetsRetentionMs: number
  /** offset.metadata.max.bytes. */
  readonly offsetMetadataBytesMax: number
}

export interface GroupCoordinatorOptions extends GroupOffsetsOptions {
  readonly options: GroupOptions
  readonly saved: SavedGroups
  /** For member ids: never the same again. */
  readonly newId: () => string
}

export class GroupCoordinator implements Groups {
  readonly #parts: GroupCoordinatorOptions
  readonly #host: GroupHost
  readonly #offsets: GroupOffsets
  readonly #groups = new Map<string, Group>()
  /** Groups that are being deleted. */
  readonly #deleting = new Map<string, Promise<void>>()
  readonly #listeners = new Set<(groupId: string) => void>()
  #closed: TailraceError | undefined

  constructor(parts: GroupCoordinatorOptions) {
    this.#parts = parts
    this.#host = this.#makeHost()
    this.#offsets = new GroupOffsets(parts)
    for (const saved of parts.saved.groups) this.#groups.set(saved.groupId, new Group(this.#host, saved))
    for (const { groupId, ...offset } of parts.saved.offsets) {
      this.#offsets.load(groupId, offset)
      if (!this.#groups.has(groupId)) this.#groups.set(groupId, this.#newGroup(groupId))
    }
  }

  #makeHost(): GroupHost {
    const { clock, telemetry, store, options, newId } = this.#parts
    return {
      clock,
      telemetry,
      initialRebalanceDelayMs: options.initialRebalanceDelayMs,
      membersMax: Math.min(options.membersMax, GROUP_MEMBERS_MAX),
      totals: { members: 0, bytes: 0 },
      newMemberId: (prefix) => `${prefix}-${newId()}`,
      save: (group) => store.saveGroup(group),
      onRebalance: (groupId) => this.#tellRebalance(groupId),
    }
  }

  #newGroup(groupId: string): Group {
    // nobody was ever in it: each of its offsets expires by its own commit
    return new Group(this.#host, { groupId, protocolType: '', generation: 0, emptySinceMs: 0 })
  }

  // --- members ---

  async join(request: JoinGroup, signal?: AbortSignal): Promise<JoinedGroup> {
    const { groupId, memberId } = request
    this.#check(groupId)
    checkJoinRequest(request, this.#parts.options)
    while (this.#deleting.has(groupId)) await this.#deleted(groupId)
    const group = this.#groups.get(groupId)
    if (group === undefined && memberId !== '') throw unknownMember(groupId, memberId)
    return await this.#use(groupId, group, (used) => used.join(request, signal))
  }

  /** With a group that may be a new one. */
  async #use<Result>(
    groupId: string,
    known: Group | undefined,
    work: (group: Group) => Promise<Result>,
  ): Promise<Result> {
    const group = known ?? this.#addGroup(groupId)
    try {
      return await work(group)
    } finally {
      if (group.isUntouched && !this.#offsets.has(groupId)) this.#groups.delete(groupId)
    }
  }

  #addGroup(groupId: string): Group {
    if (this.#groups.size >= GROUPS_MAX) {
      const message = `${GROUPS_MAX} groups are known already: delete those that are not needed any more`
      throw new TailraceError('overloaded', message, { limit: GROUPS_MAX })
    }
    const group = this.#newGroup(groupId)
    this.#groups.set(groupId, group)
    return group
  }

  async sync(request: SyncGroup, signal?: AbortSignal): Promise<SyncedGroup> {
    return await this.#groupOf(request).sync(request, signal)
  }

  async heartbeat(member: MemberIdentity): Promise<void> {
    this.#groupOf(member).heartbeat(member)
  }

  #groupOf({ groupId, memberId }: Pick<MemberIdentity, 'groupId' | 'memberId'>): Group {
    this.#check(groupId)
    const group = this.#groups.get(groupId)
    if (group === undefined) throw unknownMember(groupId, memberId)
    return group
  }

  async leave(groupId: string, members: Parameters<Groups['leave']>[1]): ReturnType<Groups['leave']> {
    this.#check(groupId)
    const left = members.map((leaving) => {
      const { memberId } = leaving
      try {
        this.#groupOf({ groupId, memberId }).leave(leaving)
        return { memberId }
      } catch (error) {
        return { memberId, error: asTailraceError(error) }
      }
    })
    this.#tellRebalance(groupId)
    return left
  }

  onRebalance(listener: (groupId: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Not in the middle of the call that has caused it: who joins by it is in one generation with that. */
  #tellRebalance(groupId: string): void {
    queueMicrotask(() => {
      const group = this.#groups.get(groupId)
      if (group?.isCalling || group?.state === 'Empty') for (const listener of this.#listeners) listener(groupId)
    })
  }

  // --- offsets ---

  async commit({ groupId, member, offsets }: CommitOffsets): Promise<readonly PartitionResult[]> {
    this.#check(groupId)
    while (this.#deleting.has(groupId)) await this.#deleted(groupId)
    const group = this.#groups.get(groupId)
    if (group === undefined && member !== undefined) throw unknownMember(groupId, member.memberId)
    group?.checkCommit(member)
    const plan = this.#offsets.plan(groupId, offsets)
    return await this.#use(groupId, group, () => this.#offsets.commit(groupId, plan))
  }

  async committed(groupId: string, partitions?: readonly GroupPartition[]): Promise<readonly CommittedOffset[]> {
    this.#check(groupId)
    while (this.#deleting.has(groupId)) await this.#deleted(groupId)
    return await this.#offsets.committed(groupId, partitions)
  }

  async deleteOffsets(groupId: string, partitions: readonly GroupPartition[]): Promise<readonly PartitionResult[]> {
    this.#check(groupId)
    while (this.#deleting.has(groupId)) await this.#deleted(groupId)
    return await this.#offsets.delete(groupId, partitions, this.#get(groupId).topics())
  }

  /** A topic was deleted, and what groups have committed of it. */
  topicDeleted(topicId: string): void {
    this.#offsets.removeTopic(topicId)
  }

  // --- administration ---

  async list(): Promise<readonly GroupListing[]> {
    return [...this.#groups.values()].map((group) => group.list())
  }

  async describe(groupId: string): Promise<GroupDescription | undefined> {
    checkGroupId(groupId)
    return this.#groups.get(groupId)?.describe()
  }

  async delete(groupId: string): Promise<void> {
    this.#check(groupId)
    while (this.#deleting.has(groupId)) await this.#deleted(groupId)
    const group = this.#get(groupId)
    if (group.state !== 'Empty') throw nonEmptyGroup(groupId)
    await this.#delete(group)
  }

  #get(groupId: string): Group {
    const group = this.#groups.get(groupId)
    if (group === undefined) throw groupNotFound(groupId)
    return group
  }

  async #delete(group: Group): Promise<void> {
    const { id } = group
    const deleting = this.#deleteWhole(group)
    this.#deleting.set(
      id,
      deleting.catch(() => {}).finally(() => this.#deleting.delete(id)),
    )
    await deleting
  }

  async #deleteWhole(group: Group): Promise<void> {
    // what is under way for it lands first
    await group.saved()
    await this.#offsets.settled(group.id)
    await this.#parts.store.deleteGroup(group.id)
    group.close(groupNotFound(group.id))
    this.#offsets.removeGroup(group.id)
    this.#groups.delete(group.id)
  }

  /**
   * Whoever comes while a group is being deleted finds it gone, or as it was. To be asked for again: another who has waited
   * may be deleting it by now.
   */
  async #deleted(groupId: string): Promise<void> {
    await this.#deleting.get(groupId)
    this.#checkOpen()
  }

  /** Forgets offsets that have expired, and then the groups of which nothing is left. */
  async expire(signal: AbortSignal): Promise<void> {
    const groups = [...this.#groups.values()]
    for (let at = 0; at < groups.length && !signal.aborted; at += GROUPS_EXPIRED_AT_ONCE_MAX) {
      const some = groups.slice(at, at + GROUPS_EXPIRED_AT_ONCE_MAX)
      await Promise.all(some.map((group) => this.#expire(group)))
      await nextTurn()
    }
  }

  async #expire(group: Group): Promise<void> {
    const { id } = group
    if (this.#deleting.has(id)) return
    await this.#offsets.expire(id, group)
    const isThere = this.#groups.get(id) === group && !this.#deleting.has(id)
    if (isThere && group.state === 'Empty' && !this.#offsets.has(id)) await this.#delete(group)
  }

  // --- the whole ---

  #check(groupId: string): void {
    this.#checkOpen()
    checkGroupId(groupId)
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw this.#closed
  }

  /** Everybody who waits is told; what is being stored is. */
  async close(): Promise<void> {
    this.#closed ??= new TailraceError('shutting_down', 'the server is stopping')
    for (const group of this.#groups.values()) group.close(this.#closed)
    await Promise.all([...this.#groups.values()].map((group) => group.saved()))
    await this.#offsets.close()
    await Promise.all(this.#deleting.values())
  }
}
