// Group tails and queue tails, all of them: who is in which group under which name, and one timer for what is committed by
// itself.

import type { Engine } from '../../engine/engine.ts'
import { checkGroupId } from '../../engine/group-id.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { AUTO_COMMIT_MS_MIN, CONSUMER_REBALANCE_MS_MAX, GROUP_TAIL_SESSION_MS_DEFAULT } from '../../kernel/limits.ts'
import type { AssignorName, GroupMemberSpec, GroupMembers } from '../groups/group-member.ts'
import type { GroupPollService } from '../groups/group-poll.ts'
import { TopicPattern } from '../groups/topic-pattern.ts'
import { roomForInflated } from '../read/record-walk.ts'
import type { TailService } from '../tail/tail.ts'
import { unknownTopic } from '../topics.ts'
import { GroupSeat } from './group-seat.ts'
import type { GroupTail, GroupTailRequest, GroupTailService, QueueTail, QueueTailRequest } from './group-tail.ts'
import { MemberTail } from './member-tail.ts'
import { WorkerTail } from './worker-tail.ts'

export interface GroupTailDependencies {
  readonly engine: Engine
  readonly members: GroupMembers
  readonly tails: TailService
  readonly groupPolls: GroupPollService
  /** partition.assignment.strategy */
  readonly assignors: readonly AssignorName[]
  /** group.min.session.timeout.ms, group.max.session.timeout.ms */
  readonly sessionTimeoutMsMin: number
  readonly sessionTimeoutMsMax: number
  readonly clock: Clock
}

export function createGroupTailService(dependencies: GroupTailDependencies): GroupTailService {
  return new GroupTails(dependencies)
}

/** A member's, as groups are described, where its client has no name. */
const CLIENT_ID = 'tailrace-ws'

class GroupTails implements GroupTailService {
  readonly #dependencies: GroupTailDependencies
  readonly #parts: ConstructorParameters<typeof MemberTail>[0]
  readonly #seats = new Set<GroupSeat>()
  /** Those that somebody can come back to. */
  readonly #named = new Map<string, GroupSeat>()
  readonly #committing = new Set<MemberTail>()
  #commitTimer: Timer | undefined
  #isClosed = false

  constructor(dependencies: GroupTailDependencies) {
    this.#dependencies = dependencies
    const { tails, clock } = dependencies
    this.#parts = { tails, clock, starts: { ...dependencies, inflations: roomForInflated(clock) } }
  }

  async open(request: GroupTailRequest): Promise<GroupTail> {
    checkGroupId(request.groupId)
    if ('topics' in request.subscription) {
      for (const name of request.subscription.topics) {
        if (this.#dependencies.engine.findTopic(name) === undefined) throw unknownTopic(name)
      }
      // refused before somebody is put out for it
    } else new TopicPattern(request.subscription)
    const member = new MemberTail(this.#parts, request)
    await member.open()
    try {
      if (this.#isClosed) throw new TailraceError('shutting_down', 'the server is shutting down')
      // nobody is put out for who has gone
      if (request.signal?.aborted) throw new TailraceError('request_cancelled', 'the caller has given up waiting')
      await member.sit(this.#seat(request))
    } catch (error) {
      await member.leave()
      throw error
    }
    this.#commitBySelf(member, request)
    return member
  }

  async openQueue(request: QueueTailRequest): Promise<QueueTail> {
    const { groupPolls, clock } = this.#dependencies
    const worker = new WorkerTail({ groupPolls, clock }, request)
    await worker.open()
    return worker
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#commitTimer?.cancel()
    await Promise.all([...this.#seats].map((seat) => seat.close()))
  }

  #seat(request: GroupTailRequest): GroupSeat {
    const { groupId, member, instance, connection } = request
    const name = instance ?? member
    // no group's id has a line break
    const key = name === '' ? '' : `${groupId}\n${instance === undefined ? 'member' : 'instance'}\n${name}`
    const known = this.#named.get(key)
    if (known !== undefined) {
      if (known.holder?.connection !== connection) return known
      throw new TailraceError(
        'invalid_request',
        `this connection is member '${name}' of group '${groupId}' already: it needs another name, or none`,
        { group: groupId, member: name },
      )
    }
    const { members, clock } = this.#dependencies
    const seat = new GroupSeat({ members, clock, onClosed: (closed) => this.#forget(closed) }, key, this.#spec(request))
    this.#seats.add(seat)
    if (key !== '') this.#named.set(key, seat)
    return seat
  }

  #forget(seat: GroupSeat): void {
    this.#seats.delete(seat)
    if (this.#named.get(seat.key) === seat) this.#named.delete(seat.key)
  }

  #spec({ caller, groupId, member, instance, sessionTimeoutMs }: GroupTailRequest): Omit<GroupMemberSpec, 'listener'> {
    const { clientId, host } = caller
    const { assignors, sessionTimeoutMsMin, sessionTimeoutMsMax } = this.#dependencies
    const byDefault = Math.min(Math.max(GROUP_TAIL_SESSION_MS_DEFAULT, sessionTimeoutMsMin), sessionTimeoutMsMax)
    return {
      groupId,
      groupInstanceId: instance,
      clientId: [clientId, member, instance ?? ''].find((name) => name !== '') ?? CLIENT_ID,
      host,
      protocolType: 'consumer',
      assignors,
      sessionTimeoutMs: sessionTimeoutMs ?? byDefault,
      rebalanceTimeoutMs: CONSUMER_REBALANCE_MS_MAX,
    }
  }

  #commitBySelf(member: MemberTail, { autoCommitMs }: GroupTailRequest): void {
    if (autoCommitMs === undefined || this.#isClosed) return
    this.#committing.add(member)
    this.#commitTimer ??= this.#dependencies.clock.after(AUTO_COMMIT_MS_MIN, () => this.#commitDue())
  }

  #commitDue(): void {
    const { clock } = this.#dependencies
    const now = clock.monotonic()
    for (const member of this.#committing) {
      if (member.isOver) this.#committing.delete(member)
      else member.commitDue(now)
    }
    this.#commitTimer =
      this.#committing.size === 0 ? undefined : clock.after(AUTO_COMMIT_MS_MIN, () => this.#commitDue())
  }
}
