// What an engine does for consumer groups, in Kafka's verbs (the classic protocol, KIP-62, KIP-345, KIP-429). Whoever keeps
// a group knows its members' metadata and assignments as opaque bytes: the first member leads, and the leader assigns. Types
// only. Every failure is a TailraceError; none of them leaves anything stored unless it says so.

import type { TailraceError } from '../kernel/errors.ts'

export interface GroupProtocol {
  /** An assignor's name: 'range', 'cooperative-sticky' … */
  readonly name: string
  readonly metadata: Uint8Array
}

export interface JoinGroup {
  readonly groupId: string
  /** '' the first time: the reply has the one that was given. */
  readonly memberId: string
  /** Static membership: who comes back under it within the session timeout has the assignment that it had. */
  readonly groupInstanceId?: string | undefined
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  /** How long a rebalance waits for this member to join again. */
  readonly rebalanceTimeoutMs: number
  /** 'consumer', 'connect', 'shared' …: one for a group's whole life. */
  readonly protocolType: string
  /** In the order of preference; one that all members have is picked. */
  readonly protocols: readonly GroupProtocol[]
}

export interface JoinedGroup {
  readonly generationId: number
  readonly protocolType: string
  readonly protocolName: string
  readonly leaderId: string
  readonly memberId: string
  /** A static leader that is back keeps the assignments that there are: it syncs without making new ones. */
  readonly skipAssignment: boolean
  /** All of them, in the order of their ids, for the leader; nobody for the others. */
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId?: string | undefined
    readonly metadata: Uint8Array
  }[]
}

/** Who speaks, and of which generation: what an earlier one says is refused. */
export interface MemberIdentity {
  readonly groupId: string
  readonly memberId: string
  readonly groupInstanceId?: string | undefined
  readonly generationId: number
}

export interface SyncGroup extends MemberIdentity {
  readonly protocolType?: string | undefined
  readonly protocolName?: string | undefined
  /** From the leader, of every member; from the others nothing. */
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[]
}

export interface SyncedGroup {
  readonly protocolType: string
  readonly protocolName: string
  readonly assignment: Uint8Array
}

export interface GroupPartition {
  readonly topic: string
  readonly partition: number
}

export interface OffsetToCommit extends GroupPartition {
  /** Where it is known, topic_recreated is the error when another topic has the name by now. */
  readonly topicId?: string | undefined
  /** The next one to be read. */
  readonly offset: number
  /** -1: not known. */
  readonly leaderEpoch?: number | undefined
  readonly metadata?: string | undefined
}

export interface CommitOffsets {
  readonly groupId: string
  /** undefined: from outside, which is taken only while the group has no members. */
  readonly member?: Omit<MemberIdentity, 'groupId'> | undefined
  readonly offsets: readonly OffsetToCommit[]
}

export interface CommittedOffset extends GroupPartition {
  readonly offset: number
  readonly leaderEpoch: number
  /** '' where none was given. */
  readonly metadata: string
  /** Wall clock, ms. */
  readonly committedMs: number
}

export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

export interface GroupListing {
  readonly groupId: string
  readonly state: GroupState
  /** '' while offsets were committed from outside only. */
  readonly protocolType: string
}

export interface GroupMemberDescription {
  readonly memberId: string
  readonly groupInstanceId?: string | undefined
  readonly clientId: string
  readonly clientHost: string
  /** Of the protocol that was picked; empty until one is. */
  readonly metadata: Uint8Array
  readonly assignment: Uint8Array
}

export interface GroupDescription extends GroupListing {
  readonly generationId: number
  /** '' until one was picked. */
  readonly protocolName: string
  readonly members: readonly GroupMemberDescription[]
}

export interface PartitionResult extends GroupPartition {
  /** Why this partition's part was refused; undefined when it was done. */
  readonly error?: TailraceError | undefined
}

export interface Groups {
  /**
   * Resolves when the rebalance that it begins or takes part in has everybody, with a generation that is durable and was
   * not used since the group was made: of one that was deleted, or has expired, they begin at 1. A join that is given up
   * (`signal`) leaves a member that its session timeout ends; one that was not told its id yet goes at once, here as where
   * the join fails. invalid_group_id, invalid_session_timeout, invalid_request, request_too_large,
   * inconsistent_group_protocol, unknown_member_id, fenced_instance_id, group_max_size_reached, request_cancelled (given
   * up), overloaded, disk_full, kafka_storage_error; rebalance_in_progress: it has joined again since.
   */
  join(request: JoinGroup, signal?: AbortSignal): Promise<JoinedGroup>
  /**
   * Resolves when the leader has given its assignments. unknown_member_id, illegal_generation, fenced_instance_id,
   * rebalance_in_progress (join again), inconsistent_group_protocol, request_too_large, request_cancelled (given up), overloaded.
   */
  sync(request: SyncGroup, signal?: AbortSignal): Promise<SyncedGroup>
  /** A member's sign of life. unknown_member_id, illegal_generation, fenced_instance_id; rebalance_in_progress: join again. */
  heartbeat(member: MemberIdentity): Promise<void>
  /** By member id, or by groupInstanceId alone. The members that were not found have their error. */
  leave(
    groupId: string,
    members: readonly { readonly memberId: string; readonly groupInstanceId?: string | undefined }[],
  ): Promise<readonly { readonly memberId: string; readonly error?: TailraceError | undefined }[]>

  /**
   * All of them durable when it resolves, or those with an error not stored. A partition's own: unknown_topic_or_partition,
   * offset_metadata_too_large. For all: unknown_member_id (also: members are there, and this comes from outside),
   * illegal_generation, fenced_instance_id, rebalance_in_progress, invalid_request (an offset that is none),
   * request_too_large, overloaded, disk_full: nothing is stored;
   * kafka_storage_error: may be stored.
   */
  commit(request: CommitOffsets): Promise<readonly PartitionResult[]>
  /** Those that have been committed, of the partitions asked for, or of all; a group that nobody knows has none. */
  committed(groupId: string, partitions?: readonly GroupPartition[]): Promise<readonly CommittedOffset[]>

  list(): Promise<readonly GroupListing[]>
  /** undefined: nobody knows such a group. */
  describe(groupId: string): Promise<GroupDescription | undefined>
  /** With its offsets. group_id_not_found, non_empty_group. */
  delete(groupId: string): Promise<void>
  /**
   * group_id_not_found; a partition's own: unknown_topic_or_partition; group_subscribed_to_topic, while a member of the group
   * reads that topic.
   */
  deleteOffsets(groupId: string, partitions: readonly GroupPartition[]): Promise<readonly PartitionResult[]>

  /**
   * A rebalance has begun, or all were made to leave: its members on this server join again at once, not at their next
   * heartbeat. Returns the function that ends it.
   */
  onRebalance(listener: (groupId: string) => void): () => void
}
