// One member of a group that lives in this server, as its client's face: signs of life, what it owns, commits. How it is in
// its group is group-membership.ts. What is committed is committed for the time of owning in which it was asked for: given
// up and got back meanwhile, the partition may have been read further by another.

import type { OffsetToCommit, PartitionResult } from '../../engine/group-protocol.ts'
import type { Timer } from '../../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import type { GroupMember, GroupMemberSpec, OwnedPartition, Subscription } from './group-member.ts'
import type { GroupMembershipParts } from './group-membership.ts'
import { GroupMembership } from './group-membership.ts'
import { TopicWishes } from './topic-pattern.ts'

export interface HostedMemberParts extends GroupMembershipParts {
  readonly onJoined: (member: HostedMember) => void
  readonly onClosed: (member: HostedMember) => void
}

export class HostedMember implements GroupMember {
  readonly spec: GroupMemberSpec
  readonly #parts: HostedMemberParts
  readonly #membership: GroupMembership
  #touchedMs: number
  /** When its session began anew at the coordinator without its client. */
  #joinedMs = 0
  #holds = 0
  #heartbeats: Timer | undefined
  #isBeating = false

  constructor(spec: GroupMemberSpec, parts: HostedMemberParts) {
    this.spec = spec
    this.#parts = parts
    this.#touchedMs = parts.clock.monotonic()
    this.#membership = new GroupMembership(this, parts)
  }

  get memberId(): string {
    return this.#membership.memberId
  }

  get generationId(): number {
    return this.#membership.generationId
  }

  get owned(): readonly OwnedPartition[] {
    return this.#membership.owned.list
  }

  get topics(): readonly string[] {
    return this.#membership.wishes?.topics ?? []
  }

  get isAlive(): boolean {
    return this.#holds > 0 || this.#sessionLeftMs > 0
  }

  subscribe(...subscriptions: readonly Subscription[]): void {
    const wishes = new TopicWishes(subscriptions, this.#parts.matcher)
    this.#touchedMs = this.#parts.clock.monotonic()
    this.#membership.join(wishes)
  }

  async unsubscribe(): Promise<void> {
    await this.#membership.leave()
  }

  touch(): void {
    const wasAlive = this.isAlive
    this.#touchedMs = this.#parts.clock.monotonic()
    const { wishes, generationId, isIdle, isClosed, failures } = this.#membership
    if (wishes === undefined || isClosed) return
    if (generationId >= 0 && wasAlive) this.#heartbeat()
    // Its session is over, though nobody may have told: until that is known for sure, it has not settled.
    else if (generationId >= 0) this.#membership.rejoin()
    else if (isIdle && failures.mayTryAgain) this.#membership.rejoin()
  }

  hold(): () => void {
    if (this.#holds++ === 0) this.#keepAlive()
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      if (--this.#holds > 0) return
      this.#heartbeats?.cancel()
      this.touch()
    }
  }

  get isSettled(): boolean {
    const { isClosed, isIdle, failures, wishes, generationId, awaitsMore } = this.#membership
    if (isClosed || !isIdle || failures.last !== undefined) return false
    return wishes === undefined || (generationId >= 0 && !awaitsMore)
  }

  async settled(signal: AbortSignal): Promise<void> {
    const membership = this.#membership
    for (;;) {
      signal.throwIfAborted()
      if (this.isSettled) return
      if (membership.isClosed) throw closed()
      if (membership.isIdle) {
        if (membership.failures.last !== undefined) throw membership.failures.last
        if (membership.generationId < 0) this.#comeBack()
      }
      await membership.change(signal)
    }
  }

  async commit(offsets: readonly OffsetToCommit[]): Promise<readonly PartitionResult[]> {
    const membership = this.#membership
    const owning = offsets.map((offset) => membership.owned.find(offset))
    for (;;) {
      while (membership.isJoining && !membership.isClosed) await membership.change()
      const isOwn = owning.map((owned) => owned !== undefined && membership.isOwned(owned))
      const own = offsets.flatMap((offset, at) => {
        return isOwn[at] ? [{ ...offset, topicId: offset.topicId ?? owning[at]?.topic.id }] : []
      })
      if (own.length === 0) return offsets.map(notOwned)
      const { groupId, ...member } = membership.identity
      const { isIdle } = membership
      try {
        const results = await this.#parts.engine.groups.commit({ groupId, member, offsets: own })
        const next = results.values()
        return offsets.map((offset, at) => (isOwn[at] ? next.next().value : undefined) ?? notOwned(offset))
      } catch (error) {
        const waits = this.#waitsToCommit(asTailraceError(error), member.generationId, isIdle)
        // as above, with no turn in between: what a rebalance keeps waiting goes on in the order in which it came
        if (waits && !membership.isIdle) await membership.change()
      }
    }
  }

  async close(): Promise<void> {
    if (this.#membership.isClosed) return
    this.#heartbeats?.cancel()
    this.#parts.onClosed(this)
    await this.#membership.close()
  }

  rebalanceBegan(): void {
    this.#membership.rebalanceBegan()
  }

  topicsChanged(): void {
    this.#membership.topicsChanged()
  }

  onJoined(): void {
    this.#joinedMs = this.#parts.clock.monotonic()
    this.#parts.onJoined(this)
  }

  /**
   * Ends its membership if its client has been silent for a session, also where the coordinator counts from a rebalance since.
   * Otherwise ms until that may be; undefined where the coordinator is right.
   */
  endIfSilent(): number | undefined {
    if (this.#membership.isOut || this.#holds > 0 || this.#touchedMs > this.#joinedMs) return undefined
    if (this.isAlive) return this.#sessionLeftMs
    this.#membership.rejoin()
    return undefined
  }

  /** Who waits for its assignment is there. */
  #comeBack(): void {
    this.#touchedMs = this.#parts.clock.monotonic()
    this.#membership.rejoin()
  }

  get #sessionLeftMs(): number {
    return this.#touchedMs + this.spec.sessionTimeoutMs - this.#parts.clock.monotonic()
  }

  #keepAlive(): void {
    this.touch()
    this.#heartbeats = this.#parts.clock.after(this.spec.sessionTimeoutMs / 3, () => this.#keepAlive())
  }

  #heartbeat(): void {
    if (this.#isBeating || this.#membership.isJoining) return
    this.#isBeating = true
    const { identity } = this.#membership
    this.#parts.engine.groups.heartbeat(identity).then(
      () => {
        this.#isBeating = false
      },
      (error: unknown) => {
        this.#isBeating = false
        // What is no news of its membership is left to the next sign of life.
        this.#membership.heard(asTailraceError(error), identity.generationId)
      },
    )
  }

  /** Whether it is worth another try when the rebalance is over; where it is none, what is still owned tells. */
  #waitsToCommit(error: TailraceError, generationId: number, wasIdle: boolean): boolean {
    if (!this.#membership.heard(error, generationId)) throw error
    if (error.code !== 'rebalance_in_progress') return false
    // Its own listener may be what commits, and the rebalance waits for that.
    if (!wasIdle) throw error
    return true
  }
}

export function notOwned({ topic, partition }: OffsetToCommit): PartitionResult {
  const error = new TailraceError(
    'illegal_generation',
    `partition ${partition} of topic ${topic} is not the member's (any more): another one may read it`,
    { topic, partition },
  )
  return { topic, partition, error }
}

function closed(): TailraceError {
  return new TailraceError('unknown_member_id', 'the member has left its group for good')
}
