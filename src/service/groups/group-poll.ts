// Consuming as a group without any state in the client, in words: a poll gives records and a lease on them, an ack commits,
// and what is not acknowledged in time is given out again. A group is exclusive (a lease is on whole partitions, in order:
// exclusive-queue.ts) or shared (on single records: shared-queue.ts) for its life. Types only; group-polls.ts does it.

import type { TailraceError } from '../../kernel/errors.ts'
import type { Caller } from '../caller.ts'
import type { Gap, RecordSink } from '../read/page.ts'
import type { Position } from '../read/positions.ts'
import type { Subscription } from './group-member.ts'

export type PollMode = 'exclusive' | 'shared'

export interface GroupPollRequest {
  readonly caller: Caller
  readonly groupId: string
  readonly mode: PollMode
  /** The worker's name for itself; '' where it gives none. */
  readonly member: string
  readonly subscription: Subscription
  readonly limit: number
  /** Stored bytes of records at most; the first record always comes. */
  readonly maxBytes: number
  /** For a first record. The poll comes sooner, without any, when `signal` says so. */
  readonly waitMs: number
  readonly leaseMs: number
  /** Where partitions begin that the group has no offset of yet. */
  readonly from: Position
  /** Shared: a record that was delivered so often goes to the dead-letter topic. */
  readonly maxAttempts: number
  readonly signal?: AbortSignal | undefined
}

/** Takes the records; in a shared group with how often each was delivered, this time included. */
export interface PollSink extends RecordSink {
  /** Before the write of a record. */
  attempt?(attempts: number): void
}

/** `from` to `through`, both included. */
export interface LeasedRange {
  readonly topic: string
  readonly partition: number
  readonly from: number
  readonly through: number
}

export interface GivenLease {
  readonly id: string
  /** Wall clock, ms. */
  readonly expiresMs: number
  readonly positions: readonly LeasedRange[]
}

/** As it is shown to whoever looks: without its id, which is its holder's alone. */
export interface OpenLease {
  readonly member: string
  readonly expiresMs: number
  /** What is not acknowledged yet. */
  readonly positions: readonly LeasedRange[]
}

/** How far a shared group is with a partition, beside its committed offset. */
export interface QueueProgress {
  readonly topic: string
  readonly partition: number
  /** Records that are with workers. */
  readonly leased: number
  /** Offsets above the committed one that are done: accepted, dead letters, or without a record by now. */
  readonly acknowledged: number
}

/** A partition of the group that could not be read. */
export interface PartitionFault {
  readonly topic: string
  readonly partition: number
  readonly fault: TailraceError
}

export interface GroupPolled<Sink extends PollSink = PollSink> {
  /** The one that has the records. */
  readonly sink: Sink
  /** undefined: there was nothing. */
  readonly given: GivenLease | undefined
  readonly generation: number
  /** Of its topics: what was removed before the group got it, and nobody was told of yet. */
  readonly gaps: readonly Gap[]
  readonly faults: readonly PartitionFault[]
  /** To be told when the reply is over: what did not go out is another worker's, at once. */
  settle(isDelivered: boolean): void
}

export interface TopicPartitionOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** What a worker says of what it was leased. */
export interface AckRequest {
  /** Exclusive: everything, or up to and with an offset of each partition that is named. */
  readonly through?: 'all' | readonly TopicPartitionOffset[] | undefined
  /** Shared: everything, */
  readonly accept?: 'all' | undefined
  /** or these: done, */
  readonly accepted?: readonly TopicPartitionOffset[] | undefined
  /** to be given out again, */
  readonly released?: readonly TopicPartitionOffset[] | undefined
  /** never again: to the dead-letter topic. */
  readonly rejected?: readonly TopicPartitionOffset[] | undefined
  /** The lease goes on for what is not named; else it ends, and that is given out again. */
  readonly keep?: boolean | undefined
}

/** Of what a lease gives back: whether it was tried. */
export type Delivery = 'counted' | 'uncounted'

export interface LeaseAnswer {
  /** undefined: the lease has ended. */
  readonly lease: string | undefined
  readonly expiresMs: number | undefined
  /** Exclusive: what was committed, each the offset to be read next. */
  readonly committed: readonly TopicPartitionOffset[]
  /** Exclusive, of an ack: what of the lease went to others of the group in a rebalance, and is not committed; absent: nothing did. */
  readonly fenced?: readonly LeasedRange[]
  /** Shared, of an ack: numbers of records. */
  readonly accepted?: number
  readonly released?: number
  readonly rejected?: number
  /** Of the rejected, and of those that were released for the last time that they may be: those in the dead-letter topic, */
  readonly deadLettered?: number
  /** and those that it does not take yet, if any. */
  readonly deadLettersWaiting?: number
}

export interface GroupPollService {
  /**
   * Partitions or records that nobody else has, leased until they are acknowledged or the lease's time is over.
   * inconsistent_group_protocol: the group is of another kind; unknown_topic_or_partition: a topic that is named is not there;
   * overloaded; what keeps the group's member from joining, or all of its partitions from being read.
   */
  poll<Sink extends PollSink>(request: GroupPollRequest, newSink: () => Sink): Promise<GroupPolled<Sink>>
  /**
   * Durable when it resolves; one that ended its lease, sent again after a reply that was lost, is answered while it is
   * remembered (LEASES_REMEMBERED_MAX, LEASES_REMEMBERED_PARTITIONS_MAX) and the group's member is here. fenced_lease;
   * invalid_request: it names what is not leased, and nothing was done. disk_full, and what else keeps one partition from
   * storing it: that is not done, of other partitions it may be; the lease is open still, and the same ack does the rest.
   * Exclusive, where a rebalance took partitions of the lease: the others are acknowledged, and the answer names the lost;
   * fenced_lease if the ack is about those alone, and then nothing is done and the lease is open for the others.
   * unknown_topic_or_partition, topic_recreated: the topic was deleted meanwhile, and nothing is done with its successor.
   */
  ack(caller: Caller, groupId: string, leaseId: string, request: AckRequest): Promise<LeaseAnswer>
  /** From now on. fenced_lease. */
  extend(caller: Caller, groupId: string, leaseId: string, leaseMs: number): Promise<LeaseAnswer>
  /** What it held is given out again, at once; in a shared group its delivery counts only if that is said. fenced_lease. */
  release(caller: Caller, groupId: string, leaseId: string, delivery?: Delivery): Promise<LeaseAnswer>
  /** Of a shared group that is polled on this server. */
  progress(groupId: string): readonly QueueProgress[]
  /** It is polled on this server, but no poll is under way and no lease is open. */
  isUnused(groupId: string): boolean
  /** Its member leaves now, not after a while, if that is so. */
  leaveUnused(groupId: string): Promise<void>
  /** The same if leases are open: they are fenced. */
  leaveUnpolled(groupId: string): Promise<void>
  /** What is remembered of a group that was deleted. */
  forget(groupId: string): Promise<void>
  /** Those that are open on this server, the oldest first. group_id_not_found. */
  leases(caller: Caller, groupId: string): Promise<readonly OpenLease[]>
  /**
   * All leases that were given to this name of a worker ('': to those that gave none), as each holder's release: no delivery
   * counts. How many it were. group_id_not_found.
   */
  releaseMember(caller: Caller, groupId: string, member: string): Promise<number>
  /** Every lease is fenced and every member leaves; answers waiting polls first. */
  close(): Promise<void>
}
