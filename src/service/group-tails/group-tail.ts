// Live consumption in a group, in words. A group tail is a tail that is a member of a group: it reads the partitions that
// the group gives it, each from where the group has committed. A queue tail is given single records of a shared group, each
// leased until it is acknowledged. Types only; group-tails.ts and worker-tail.ts do it.

import type { OffsetToCommit, PartitionResult } from '../../engine/group-protocol.ts'
import type { Caller } from '../caller.ts'
import type { OwnedPartition, Subscription } from '../groups/group-member.ts'
import type { PollSink, TopicPartitionOffset } from '../groups/group-poll.ts'
import type { TopicOffset } from '../read/partition-offset.ts'
import type { Position } from '../read/positions.ts'
import type { Tail, TailEncoder, TailForm, TailReader, TailRequest } from '../tail/tail.ts'

export interface GroupTailReader extends TailReader {
  /** Records of these come from now on, each from its offset. */
  assigned(partitions: readonly TopicOffset[]): void
  /**
   * Nothing of these comes any more. What was given of them can be committed for `deadlineMs`, then others read them; 0:
   * they are others' already, or nothing that was given is left to be committed.
   */
  revoked(partitions: readonly OwnedPartition[], deadlineMs: number): void
}

export interface GroupTailRequest
  extends Pick<TailRequest, 'until' | 'filter' | 'onGap' | 'overflow' | 'batchRecords' | 'batchWaitMs' | 'form'> {
  readonly caller: Caller
  readonly groupId: string
  /**
   * The member's name for itself: who comes back under it within the session timeout takes its place, with what it owns,
   * and one that is here is put out (fenced_instance_id). '': none; who goes leaves the group.
   */
  readonly member: string
  /** group.instance.id: a static member, which keeps its place over a restart of this server too. */
  readonly instance: string | undefined
  readonly subscription: Subscription
  /** Where partitions begin that the group has no offset of yet. */
  readonly from: Position
  /** undefined: 10 s, or what the server takes that is nearest. */
  readonly sessionTimeoutMs: number | undefined
  /** How long others wait, when they are to get a partition, until what was given of it is committed. */
  readonly releaseMs: number
  /** How often what its client is done with is committed; undefined: the client commits. */
  readonly autoCommitMs: number | undefined
  /** Two tails of one connection cannot be one member. */
  readonly connection: object
  readonly reader: GroupTailReader
  readonly signal?: AbortSignal | undefined
}

export interface GroupTail {
  /** What it reads. Its sources are this group tail's alone. */
  readonly tail: Tail
  readonly memberId: string
  readonly generationId: number
  /** Owned now, each with where it was begun. */
  readonly partitions: readonly TopicOffset[]
  /**
   * Durable when it resolves; in the order of the offsets. illegal_generation as the error of those that are not its own
   * (any more).
   */
  commit(offsets: readonly OffsetToCommit[]): Promise<readonly PartitionResult[]>
  /** Up to where a cursor stands. Of a partition that was given to it behind that, the cursor says nothing. invalid_cursor. */
  commitCursor(cursor: string): Promise<readonly PartitionResult[]>
  /** Its client is done with so many records more, in the order in which they were, or will be, given: what is committed by itself. */
  done(recordCount: number): void
  /** Its client has nothing more to commit of what was revoked. */
  release(): void
  /** As Tail.seek, among what it owns. */
  seek(to: Position, signal?: AbortSignal): Promise<void>
  /** Leaves the group (a static member keeps its place for the session timeout). Nothing is told any more. */
  leave(): Promise<void>
  /** Its connection is gone. Under a name it is still a member for the session timeout, and its place is kept. */
  lost(): void
}

/** Of a work queue: writes with every record how often it was delivered. */
export interface QueueForm extends TailForm {
  newEncoder(): TailEncoder & PollSink
}

export interface QueueTailRequest {
  readonly caller: Caller
  readonly groupId: string
  readonly member: string
  readonly subscription: Subscription
  readonly from: Position
  /** How long a record that was given stays its client's, unless that is extended. */
  readonly leaseMs: number
  readonly maxAttempts: number
  readonly batchRecords: number
  readonly form: QueueForm
  /** Its chunks have the cursor ''. */
  readonly reader: Pick<TailReader, 'room' | 'take' | 'gap' | 'fault' | 'fail'>
  /** Of opening it. */
  readonly signal?: AbortSignal | undefined
}

export type AckOutcome = 'accept' | 'release' | 'reject' | 'extend'

export interface QueueAcked {
  readonly accepted: number
  readonly released: number
  readonly rejected: number
  readonly extended: number
  /** Of the rejected, and of those that were released for the last time that they may be: those in the dead-letter topic, */
  readonly deadLettered: number
  /** and those that it does not take yet. */
  readonly deadLettersWaiting: number
}

export interface QueueTail {
  /** Records that were given and of which nothing was said yet. */
  readonly openRecords: number
  /** There is room again. */
  wake(): void
  /**
   * Durable when it resolves. extend: all records that came in one chunk with these are extended. fenced_lease: some of
   * them are not its own any more, which the details name; what was said of the others is done.
   */
  ack(outcome: AckOutcome, records: readonly TopicPartitionOffset[]): Promise<QueueAcked>
  /**
   * What was given and not acknowledged is given out again at once. `isDead`: its client did not say that it would go, so
   * that a record which ends its workers counts as tried.
   */
  close(isDead: boolean): Promise<void>
}

export interface GroupTailService {
  /**
   * A member of the group that knows what it owns, or will soon. inconsistent_group_protocol: the group is of another
   * kind; unknown_topic_or_partition: a topic that is named is not there; what else keeps it from joining.
   * Told later by TailReader.fail: fenced_instance_id, another one has taken its place.
   */
  open(request: GroupTailRequest): Promise<GroupTail>
  /** As GroupPollService.poll refuses. */
  openQueue(request: QueueTailRequest): Promise<QueueTail>
  /** Every member leaves. */
  close(): Promise<void>
}
