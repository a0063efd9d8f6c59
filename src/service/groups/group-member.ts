// A member of a consumer group that lives in this server, for a client that speaks HTTP or WebSocket: it joins through the
// engine's verbs, takes part in rebalances by itself as long as its client shows signs of life, and assigns if it leads.

import type { Topic } from '../../engine/engine.ts'
import type { OffsetToCommit, PartitionResult } from '../../engine/group-protocol.ts'

export interface OwnedPartition {
  readonly topic: Topic
  readonly partition: number
}

export type AssignorName = 'range' | 'roundrobin' | 'sticky' | 'cooperative-sticky'

export type Subscription = { readonly topics: readonly string[] } | PatternSubscription

export interface PatternSubscription {
  /** A regular expression (RE2) that the whole name of a topic must match; topics that are made later are followed. */
  readonly pattern: string
  /** Not those whose names end so. */
  readonly passesOver?: string | undefined
}

/** Told one at a time, in order. What it does may take until the rebalance timeout. */
export interface OwnershipListener {
  /** They go to others when this resolves: what was read of them can still be committed, until `lost` says that it cannot. */
  onRevoked(partitions: readonly OwnedPartition[], lost: AbortSignal): Promise<void> | void
  /** They belong to others already: the member was fenced or its session has ended. */
  onLost(partitions: readonly OwnedPartition[]): void
  onAssigned(partitions: readonly OwnedPartition[]): Promise<void> | void
}

export interface GroupMemberSpec {
  readonly groupId: string
  readonly groupInstanceId?: string | undefined
  readonly clientId: string
  readonly host: string
  /** 'shared': of a group whose records are leased one by one. */
  readonly protocolType: 'consumer' | 'shared'
  /** In the order of preference. */
  readonly assignors: readonly AssignorName[]
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly listener: OwnershipListener
}

export interface GroupMember {
  /** '' and -1 until it has joined. */
  readonly memberId: string
  readonly generationId: number
  readonly owned: readonly OwnedPartition[]
  /** The topics that the subscription means at present. */
  readonly topics: readonly string[]
  /** To all of these, instead of what there was; joins in the background. invalid_request: a pattern that is none. */
  subscribe(...subscriptions: readonly Subscription[]): void
  /** Leaves the group; the member can subscribe again. */
  unsubscribe(): Promise<void>
  /** A sign of life of its client: the session timeout begins anew; a member whose session has ended joins again. */
  touch(): void
  /** Its client is there, until the function that is returned is called. */
  hold(): () => void
  /** Whether `settled` has nothing to wait for, or to throw. */
  readonly isSettled: boolean
  /** Resolves when the group is stable and this member knows what it owns, by its present subscription. What keeps it from joining is thrown. */
  settled(signal: AbortSignal): Promise<void>
  /**
   * For partitions that it owns: durable when it resolves; in the order of the offsets. During a rebalance it waits, and
   * commits what is still owned then. illegal_generation as the error of those that are not.
   */
  commit(offsets: readonly OffsetToCommit[]): Promise<readonly PartitionResult[]>
  /** Leaves the group at once (a static one keeps its place until the session timeout), without onRevoked. */
  close(): Promise<void>
}

export interface GroupMembers {
  open(spec: GroupMemberSpec): GroupMember
  /** All members leave. */
  close(): Promise<void>
}
