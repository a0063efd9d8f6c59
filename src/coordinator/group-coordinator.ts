// The consumer groups of an engine: who is in them (group.ts) and what they have committed. What must hold: a generation and
// an offset are durable before anybody hears of them; who reads what a group has committed sees every commit that was taken
// before. Deterministic: a clock and calls; what must be durable goes through GroupStore, what was is handed in at the start.

import type { Topic } from '../engine/engine.ts'
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
  OffsetToCommit,
  PartitionResult,
  SyncedGroup,
  SyncGroup,
} from '../engine/group-protocol.ts'
import type { Clock } from '../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import {
  COMMITTED_OFFSETS_MAX,
  GROUP_MEMBERS_MAX,
  GROUPS_MAX,
  OFFSETS_A_COMMIT_MAX,
  OFFSETS_WAITING_MAX,
} from '../kernel/limits.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { CommittedOffsets } from './committed-offsets.ts'
import type { GroupHost } from './group.ts'
import { Group } from './group.ts'
import { groupNotFound, nonEmptyGroup, unknownMember } from './group-errors.ts'
import type { GroupStore, OffsetPlace, SavedGroups, SavedOffset } from './group-store.ts'
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

export interface GroupCoordinatorOptions {
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly store: GroupStore
  readonly saved: SavedGroups
  readonly options: GroupOptions
  /** For member ids: never the same again. */
  readonly newId: () => string
  readonly findTopic: (name: string) => Topic | undefined
  readonly findTopicById: (topicId: string) => Topic | undefined
  /** The topics that a member's metadata name; undefined where that cannot be told. */
  readonly topicsOf: (protocolType: string, metadata: Uint8Array) => ReadonlySet<string> | undefined
}

export class GroupCoordinator implements Groups {
  readonly #parts: GroupCoordinatorOptions
  readonly #host: GroupHost
  readonly #groups = new Map<string, Group>()
  readonly #offsets = new CommittedOffsets()
  /** The last commit of each group that is under way. */
  readonly #committing = new Map<string, Promise<void>>()
  /** Groups that are being deleted. */
  readonly #deleting = new Map<string, Promise<void>>()
  readonly #listeners = new Set<(groupId: string) => void>()
  #waitingOffsets = 0
  #closed: TailraceError | undefined

  constructor(parts: GroupCoordinatorOptions) {
    this.#parts = parts
    const { clock, telemetry, store, options, topicsOf } = parts
    this.#host = {
      clock,
      telemetry,
      topicsOf,
      initialRebalanceDelayMs: options.initialRebalanceDelayMs,
      membersMax: Math.min(options.membersMax, GROUP_MEMBERS_MAX),
      totals: { members: 0, bytes: 0 },
      newMemberId: (prefix) => `${prefix}-${parts.newId()}`,
      save: (group) => store.saveGroup(group),
      onRebalance: (group) => this.#tellRebalance(group),
    }
    for (const saved of parts.saved.groups) this.#groups.set(saved.groupId, new Group(this.#host, saved))
    for (const { groupId, ...offset } of parts.saved.offsets) {
      this.#offsets.put(groupId, offset)
      if (!this.#groups.has(groupId)) this.#groups.set(groupId, this.#newGroup(groupId))
    }
  }

  #newGroup(groupId: string): Group {
    const emptySinceMs = this.#parts.clock.now()
    return new Group(this.#host, { groupId, protocolType: '', generation: 0, emptySinceMs })
  }

  // --- members ---

  async join(request: JoinGroup, signal?: AbortSignal): Promise<JoinedGroup> {
    const { groupId, memberId } = request
    this.#check(groupId)
    checkJoinRequest(request, this.#parts.options)
    if (this.#deleting.has(groupId)) await this.#deleted(groupId)
    const known = this.#groups.get(groupId)
    if (known === undefined && memberId !== '') throw unknownMember(groupId, memberId)
    const group = known ?? this.#addGroup(groupId)
    try {
      return await group.join(request, signal)
    } finally {
      this.#dropIfNothing(group)
    }
  }

  #addGroup(groupId: string): Group {
    if (this.#groups.size >= GROUPS_MAX) {
      const message = `${GROUPS_MAX} groups are known already: delete some, or let them expire (offsets.retention.minutes)`
      throw new TailraceError('overloaded', message, { limit: GROUPS_MAX })
    }
    const group = this.#newGroup(groupId)
    this.#groups.set(groupId, group)
    return group
  }

  /** Of one that nothing came of nothing is kept. */
  #dropIfNothing(group: Group): void {
    const { id } = group
    if (!group.isUntouched || this.#offsets.has(id) || this.#committing.has(id)) return
    if (this.#groups.get(id) === group) this.#groups.delete(id)
  }

  async sync(request: SyncGroup, signal?: AbortSignal): Promise<SyncedGroup> {
    return await this.#groupOf(request).sync(request, signal)
  }

  async heartbeat(member: MemberIdentity): Promise<void> {
    this.#groupOf(member).heartbeat(member)
  }

  #groupOf({ groupId, memberId }: MemberIdentity): Group {
    this.#check(groupId)
    const group = this.#groups.get(groupId)
    if (group === undefined) throw unknownMember(groupId, memberId)
    return group
  }

  async leave(groupId: string, members: Parameters<Groups['leave']>[1]): ReturnType<Groups['leave']> {
    this.#check(groupId)
    return members.map((leaving) => {
      const { memberId } = leaving
      try {
        this.#groupOf({ groupId, memberId, generationId: -1 }).leave(leaving)
        return { memberId }
      } catch (error) {
        return { memberId, error: asTailraceError(error) }
      }
    })
  }

  onRebalance(listener: (groupId: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Not in the middle of the call that has caused it: whoever joins by it is in one generation with that. */
  #tellRebalance(group: Group): void {
    queueMicrotask(() => {
      if (group.isCalling) for (const listener of this.#listeners) listener(group.id)
    })
  }

  // --- offsets ---

  async commit({ groupId, member, offsets }: CommitOffsets): Promise<readonly PartitionResult[]> {
    this.#check(groupId)
    this.#checkCommitSize(offsets)
    if (this.#deleting.has(groupId)) await this.#deleted(groupId)
    const known = this.#groups.get(groupId)
    if (known === undefined && member !== undefined) throw unknownMember(groupId, member.memberId)
    known?.checkCommit(member)
    const results = offsets.map((offset) => this.#planCommit(offset))
    const saved = results.flatMap(({ saved }) => saved ?? [])
    if (saved.length > 0) await this.#save(known ?? this.#addGroup(groupId), saved)
    return results.map(({ saved, ...result }) => (saved === undefined ? result : this.#judgeSaved(result, saved)))
  }

  #checkCommitSize(offsets: readonly OffsetToCommit[]): void {
    if (offsets.length > OFFSETS_A_COMMIT_MAX) {
      const message = `${offsets.length} offsets in one commit: ${OFFSETS_A_COMMIT_MAX} are allowed`
      throw new TailraceError('request_too_large', message, { limit: OFFSETS_A_COMMIT_MAX })
    }
    if (this.#waitingOffsets > 0 && this.#waitingOffsets + offsets.length > OFFSETS_WAITING_MAX) {
      throw new TailraceError('overloaded', `${this.#waitingOffsets} offsets wait already to be committed`)
    }
    if (this.#offsets.size + this.#waitingOffsets + offsets.length > COMMITTED_OFFSETS_MAX) {
      throw new TailraceError('overloaded', `${this.#offsets.size} offsets are remembered already: delete some groups`)
    }
  }

  #planCommit(offset: OffsetToCommit): PartitionResult & { readonly saved?: SavedOffset } {
    const { topic: name, partition, leaderEpoch = -1, metadata = '' } = offset
    const { clock, findTopic, options } = this.#parts
    const topic = findTopic(name)
    if (topic === undefined || !(partition >= 0 && partition < topic.partitionCount)) {
      return { topic: name, partition, error: unknownPartition(name, partition) }
    }
    if (!Number.isSafeInteger(offset.offset) || offset.offset < 0) {
      const message = `an offset is a whole number from 0, not ${offset.offset}`
      throw new TailraceError('invalid_request', message, { topic: name, partition })
    }
    const bytes = Buffer.byteLength(metadata)
    if (bytes > options.offsetMetadataBytesMax) {
      return { topic: name, partition, error: metadataTooLarge(bytes, options.offsetMetadataBytesMax) }
    }
    const committedMs = clock.now()
    const saved = { topicId: topic.id, partition, offset: offset.offset, leaderEpoch, metadata, committedMs }
    return { topic: name, partition, saved }
  }

  /** The topic may have been deleted meanwhile. */
  #judgeSaved(result: PartitionResult, { topicId }: SavedOffset): PartitionResult {
    if (this.#parts.findTopicById(topicId) !== undefined) return result
    return { ...result, error: unknownPartition(result.topic, result.partition) }
  }

  async #save(group: Group, offsets: readonly SavedOffset[]): Promise<void> {
    const { store, findTopicById, telemetry } = this.#parts
    const { id: groupId } = group
    this.#waitingOffsets += offsets.length
    const saving = store.saveOffsets(groupId, offsets).then(() => {
      for (const offset of offsets) {
        if (findTopicById(offset.topicId) !== undefined) this.#offsets.put(groupId, offset)
      }
      telemetry.groups.committedOffsets += offsets.length
    })
    const settled = saving.catch(() => {})
    this.#committing.set(groupId, settled)
    try {
      await saving
    } finally {
      this.#waitingOffsets -= offsets.length
      if (this.#committing.get(groupId) === settled) this.#committing.delete(groupId)
      this.#dropIfNothing(group)
    }
  }

  async committed(groupId: string, partitions?: readonly GroupPartition[]): Promise<readonly CommittedOffset[]> {
    this.#check(groupId)
    if (this.#deleting.has(groupId)) await this.#deleted(groupId)
    await this.#committing.get(groupId)
    if (partitions === undefined) return [...this.#offsets.of(groupId)].flatMap((offset) => this.#show(offset))
    return partitions.flatMap(({ topic: name, partition }) => {
      const topic = this.#parts.findTopic(name)
      const offset = topic && this.#offsets.find(groupId, { topicId: topic.id, partition })
      return offset === undefined ? [] : this.#show(offset)
    })
  }

  #show({ topicId, ...offset }: SavedOffset): CommittedOffset[] {
    const topic = this.#parts.findTopicById(topicId)
    return topic === undefined ? [] : [{ topic: topic.name, ...offset }]
  }

  /** Its offsets went with it. */
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
    if (this.#deleting.has(groupId)) await this.#deleted(groupId)
    const group = this.#groups.get(groupId)
    if (group === undefined) throw groupNotFound(groupId)
    if (group.state !== 'Empty') throw nonEmptyGroup(groupId)
    const deleting = this.#delete(group)
    this.#deleting.set(
      groupId,
      deleting.catch(() => {}).finally(() => this.#deleting.delete(groupId)),
    )
    await deleting
  }

  async #delete(group: Group): Promise<void> {
    const { id: groupId } = group
    // what is under way for it lands first
    await group.saved()
    await this.#committing.get(groupId)
    await this.#parts.store.deleteGroup(groupId)
    group.close(groupNotFound(groupId))
    this.#offsets.removeGroup(groupId)
    this.#groups.delete(groupId)
  }

  async deleteOffsets(groupId: string, partitions: readonly GroupPartition[]): Promise<readonly PartitionResult[]> {
    this.#check(groupId)
    if (this.#deleting.has(groupId)) await this.#deleted(groupId)
    const group = this.#groups.get(groupId)
    if (group === undefined) throw groupNotFound(groupId)
    const places: OffsetPlace[] = []
    const results = partitions.map(({ topic: name, partition }): PartitionResult => {
      const topic = this.#parts.findTopic(name)
      if (topic === undefined) return { topic: name, partition, error: unknownPartition(name, partition) }
      if (group.isSubscribedTo(name)) return { topic: name, partition, error: subscribed(groupId, name) }
      places.push({ topicId: topic.id, partition })
      return { topic: name, partition }
    })
    if (places.length > 0) await this.#parts.store.deleteOffsets(groupId, places)
    for (const place of places) this.#offsets.remove(groupId, place)
    return results
  }

  // --- the whole ---

  /** Whoever comes while a group is being deleted finds it gone, or as it was. */
  async #deleted(groupId: string): Promise<void> {
    while (this.#deleting.has(groupId)) await this.#deleting.get(groupId)
    this.#checkOpen()
  }

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
    await Promise.all(this.#committing.values())
    await Promise.all(this.#deleting.values())
  }
}

function unknownPartition(topic: string, partition: number): TailraceError {
  const message = `there is no partition ${partition} of a topic ${topic}`
  return new TailraceError('unknown_topic_or_partition', message, { topic, partition })
}

function metadataTooLarge(bytes: number, limit: number): TailraceError {
  const message = `the metadata of an offset is ${bytes} bytes long: offset.metadata.max.bytes is ${limit}`
  return new TailraceError('offset_metadata_too_large', message, { size_bytes: bytes, limit_bytes: limit })
}

function subscribed(groupId: string, topic: string): TailraceError {
  const message = `group ${groupId} is reading topic ${topic}: stop its members first`
  return new TailraceError('group_subscribed_to_topic', message, { group: groupId, topic })
}
