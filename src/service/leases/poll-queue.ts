// What poll-group.ts and the queues of both kinds of groups know of each other. A queue says what of a partition is given
// to a poll, and what a lease on it means.

import type { Topic } from '../../engine/engine.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import type { GroupMember, OwnedPartition } from '../groups/group-member.ts'
import type { GivenLease, GroupPollRequest, LeaseAnswer, PollSink } from '../groups/group-poll.ts'
import type { Gap } from '../read/page.ts'
import type { Position } from '../read/positions.ts'

/** A partition that the member owns. Queues keep what they know of it in slots of their own kind. */
export class PartitionSlot {
  readonly topic: Topic
  readonly partition: number
  /** As last seen; Infinity: not known yet. */
  endOffset = Number.POSITIVE_INFINITY
  /** The group knew its topic before the topic had it; undefined: not asked yet, or committed. */
  isAdded: boolean | undefined = undefined
  /** By the last append that was told of. */
  appendedTo = -1
  /** It is known where reading begins. */
  isStarted = false
  /** A poll reads it. */
  isTaken = false
  /** It goes to another member as soon as nothing of it is with a worker: nothing more of it is given. */
  isLeaving = false
  /** The member owns it no more. */
  isLost = false
  /** Why it could not be read the last time. */
  fault: TailraceError | undefined = undefined
  /** Because of its fault. */
  isPaused = false

  constructor({ topic, partition }: OwnedPartition) {
    this.topic = topic
    this.partition = partition
  }

  /** A read has found the end there, and can do nothing with what lies behind `readable`; what was appended since is news. */
  sawEnd(endOffset: number, readable = endOffset): void {
    this.endOffset = this.appendedTo > endOffset ? this.appendedTo : readable
  }
}

/** What a queue may ask of its group, which hears nothing of slots that are lost. */
export interface QueueHost<Slot extends PartitionSlot> {
  readonly groupId: string
  readonly member: GroupMember
  /** It may have something to give now, or no more. */
  changed(slot: Slot): void
  failed(slot: Slot, fault: TailraceError): void
  /** Records that were removed before they could be given: to be told. */
  passed(slot: Slot, gap: Gap): void
  /** It can be read, and still polls are to know of it; undefined: no more. */
  troubled(slot: Slot, trouble: TailraceError | undefined): void
}

export interface PollQueue<Slot extends PartitionSlot> {
  readonly openLeases: number
  createSlot(owned: OwnedPartition): Slot
  /** Finds out where reading begins in each, from the committed offset, else from a position. Marks those started. */
  start(slots: readonly Slot[], from: Position): Promise<void>
  /** Records that it could give now, as far as is known. */
  available(slot: Slot): number
  /** Something of it is with a worker. */
  isLeased(slot: Slot): boolean
  /** Gives what the slots have, which are this poll's meanwhile; undefined: nothing was there. */
  read(slots: readonly Slot[], request: GroupPollRequest, sink: PollSink): Promise<GivenLease | undefined>
  /** Fences what leases have of it. */
  lose(slot: Slot): void
  /** Gives back what a lease holds. */
  release(leaseId: string): Promise<LeaseAnswer>
  /**
   * The member leaves with these, its own still: nothing is given any more, and what is leased goes back as if it had not
   * been. Resolves when that is remembered, as far as it can be, in some seconds; never rejects.
   */
  handBack?(slots: readonly Slot[]): Promise<void>
  /** All slots are lost by then: waits for what is under way for them. */
  close(): Promise<void>
}
