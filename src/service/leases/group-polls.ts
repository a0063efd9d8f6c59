// All groups that are polled here: each has one member that stands for all of its workers, and leaves when none of them has
// been here for a while.

import type { Engine } from '../../engine/engine.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import {
  CONSUMER_REBALANCE_MS_MAX,
  POLL_IDLE_MS_MAX,
  POLLED_GROUPS_MAX,
  SHARED_STATE_CHECK_MS,
} from '../../kernel/limits.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { Telemetry } from '../../kernel/telemetry.ts'
import type { Caller } from '../caller.ts'
import type { AssignorName, GroupMembers, Subscription } from '../groups/group-member.ts'
import type {
  AckRequest,
  Delivery,
  GroupPolled,
  GroupPollRequest,
  GroupPollService,
  LeaseAnswer,
  OpenLease,
  PollMode,
  PollSink,
  QueueProgress,
} from '../groups/group-poll.ts'
import type { StateTopic } from '../groups/state-topic.ts'
import { AppendTargets } from '../read/append-targets.ts'
import type { ConsumeService } from '../read/consume.ts'
import type { GroupStartParts } from '../read/group-start.ts'
import { unknownGroup } from '../read/positions.ts'
import { roomForInflated } from '../read/record-walk.ts'
import { unknownTopic } from '../topics.ts'
import type { ExclusiveSlot } from './exclusive-queue.ts'
import { ExclusiveQueue } from './exclusive-queue.ts'
import { fenced } from './lease-table.ts'
import { PollGroup } from './poll-group.ts'
import { checkWorkQueue, DEAD_LETTER_SUFFIX, DeadLetters } from './shared/dead-letters.ts'
import type { SharedQueueOptions } from './shared/shared-queue.ts'
import { SharedQueue } from './shared/shared-queue.ts'
import { SharedReader } from './shared/shared-reader.ts'
import type { SharedSlot } from './shared/shared-slot.ts'
import { forgetGone, forgetGroup } from './shared/shared-slot.ts'

export interface GroupPollDependencies {
  readonly engine: Engine
  readonly members: GroupMembers
  readonly consume: ConsumeService
  readonly state: StateTopic
  readonly telemetry: Telemetry
  /** partition.assignment.strategy */
  readonly assignors: readonly AssignorName[]
  /** What groups allow. */
  readonly sessionTimeoutMsMin: number
  readonly sessionTimeoutMsMax: number
  readonly clock: Clock
  readonly logger: Logger
}

/** Of the members that stand for workers: they are alive as long as this server is. */
const SESSION_MS = 45_000

/** The member's, as groups are described. */
const CLIENT_ID = 'tailrace-poll'

/** What both kinds of groups are to the service. */
interface AnyGroup {
  readonly mode: PollMode
  readonly polls: Pick<PollGroup<ExclusiveSlot, ExclusiveQueue>, 'poll' | 'isPolled' | 'isUnused' | 'sweep' | 'close'>
  readonly progress: () => readonly QueueProgress[]
  readonly leases: Pick<SharedQueue, 'ack' | 'extend' | 'release' | 'list'>
}

export function createGroupPollService(dependencies: GroupPollDependencies): GroupPollService {
  return new GroupPolls(dependencies)
}

class GroupPolls implements GroupPollService {
  readonly #dependencies: GroupPollDependencies
  readonly #groups = new Map<string, AnyGroup>()
  readonly #leaving = new Map<string, Promise<void>>()
  readonly #appends = new AppendTargets()
  readonly #starts: GroupStartParts
  readonly #ofShared: Omit<SharedQueueOptions, 'host'>
  readonly #endAppends: () => void
  #sweepTimer: Timer | undefined
  /** Monotonic: when what is gone is to be forgotten again. */
  #forgetDueMs = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(dependencies: GroupPollDependencies) {
    this.#dependencies = dependencies
    const parts = { ...dependencies, inflations: roomForInflated(dependencies.clock) }
    this.#starts = parts
    this.#ofShared = {
      ...dependencies,
      starts: parts,
      reader: new SharedReader(parts),
      deadLetters: new DeadLetters(parts),
    }
    this.#endAppends = dependencies.engine.onAppend((topic, partition, highWatermark) => {
      this.#appends.appended(topic, partition, highWatermark)
    })
  }

  async poll<Sink extends PollSink>(request: GroupPollRequest, newSink: () => Sink): Promise<GroupPolled<Sink>> {
    if ('topics' in request.subscription) {
      for (const name of request.subscription.topics) {
        if (this.#dependencies.engine.findTopic(name) === undefined) throw unknownTopic(name)
        if (request.mode === 'shared') checkWorkQueue(name)
      }
    }
    if (request.mode === 'shared') this.#forgetGone()
    // one that is leaving has something under way
    while (this.#leaving.has(request.groupId)) await this.#leaving.get(request.groupId)
    if (this.#isClosed) throw new TailraceError('shutting_down', 'the server is shutting down')
    const group = this.#group(request)
    try {
      return (await group.polls.poll({ ...request, subscription: meantBy(request) }, newSink)) as GroupPolled<Sink>
    } catch (error) {
      // its member could never join: the next poll may be of the right kind
      if (asTailraceError(error).code === 'inconsistent_group_protocol') this.#leave(request.groupId, group)
      throw error
    }
  }

  async ack(_caller: Caller, groupId: string, leaseId: string, request: AckRequest): Promise<LeaseAnswer> {
    return await (await this.#holder(groupId, leaseId)).ack(leaseId, request)
  }

  async extend(_caller: Caller, groupId: string, leaseId: string, leaseMs: number): Promise<LeaseAnswer> {
    return await (await this.#holder(groupId, leaseId)).extend(leaseId, leaseMs)
  }

  async release(_caller: Caller, groupId: string, leaseId: string, delivery?: Delivery): Promise<LeaseAnswer> {
    return await (await this.#holder(groupId, leaseId)).release(leaseId, delivery)
  }

  progress(groupId: string): readonly QueueProgress[] {
    return this.#groups.get(groupId)?.progress() ?? []
  }

  isUnused(groupId: string): boolean {
    return this.#groups.get(groupId)?.polls.isUnused === true
  }

  async leaveUnused(groupId: string): Promise<void> {
    const group = this.#groups.get(groupId)
    if (group !== undefined && this.isUnused(groupId)) this.#leave(groupId, group)
    await this.#leaving.get(groupId)
  }

  async leaveUnpolled(groupId: string): Promise<void> {
    const group = this.#groups.get(groupId)
    if (group !== undefined && !group.polls.isPolled) this.#leave(groupId, group)
    await this.#leaving.get(groupId)
  }

  async forget(groupId: string): Promise<void> {
    // what stays goes with that of others that are gone
    await forgetGroup(this.#dependencies.state, groupId).catch(() => undefined)
  }

  async leases(_caller: Caller, groupId: string): Promise<readonly OpenLease[]> {
    const listed = (await this.#find(groupId))?.list() ?? []
    return listed.map(({ member, expiresMs, positions }) => ({ member, expiresMs, positions }))
  }

  async releaseMember(_caller: Caller, groupId: string, name: string): Promise<number> {
    const leases = await this.#find(groupId)
    const own = leases?.list().filter(({ member }) => member === name) ?? []
    const released = await Promise.allSettled(own.map(({ id }) => leases?.release(id)))
    // what is not open any more has ended by itself meanwhile
    return released.filter(({ status }) => status === 'fulfilled').length
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#endAppends()
    this.#sweepTimer?.cancel()
    const groups = [...this.#groups.values()]
    this.#groups.clear()
    await Promise.all([...groups.map(({ polls }) => polls.close()), ...this.#leaving.values()])
  }

  /** Now and then: what is remembered of shared groups and topics that are deleted, or have expired. */
  #forgetGone(): void {
    const { engine, state, clock, logger } = this.#dependencies
    const now = clock.monotonic()
    if (now < this.#forgetDueMs) return
    this.#forgetDueMs = now + SHARED_STATE_CHECK_MS
    forgetGone(engine, state).catch((error: unknown) => {
      logger.warn({ error: String(error) }, 'what is remembered of groups that are gone could not be removed')
    })
  }

  async #holder(groupId: string, leaseId: string): Promise<AnyGroup['leases']> {
    const leases = await this.#find(groupId)
    if (leases === undefined) throw fenced(leaseId)
    return leases
  }

  /** undefined: nobody polls it here. group_id_not_found. */
  async #find(groupId: string): Promise<AnyGroup['leases'] | undefined> {
    const group = this.#groups.get(groupId)
    if (group !== undefined) return group.leases
    if ((await this.#dependencies.engine.groups.describe(groupId)) === undefined) throw unknownGroup(groupId)
    return undefined
  }

  #group({ groupId, mode }: GroupPollRequest): AnyGroup {
    const known = this.#groups.get(groupId)
    if (known !== undefined) {
      if (known.mode === mode) return known
      throw new TailraceError(
        'inconsistent_group_protocol',
        `group '${groupId}' is ${known.mode}, and that for its life`,
        { group: groupId, mode: known.mode },
      )
    }
    if (this.#groups.size >= POLLED_GROUPS_MAX) {
      throw new TailraceError(
        'overloaded',
        `${POLLED_GROUPS_MAX} groups are polled, which is as many as there may be at once`,
      )
    }
    const group = this.#open(groupId, mode)
    this.#groups.set(groupId, group)
    this.#sweepTimer ??= this.#dependencies.clock.after(POLL_IDLE_MS_MAX / 2, () => this.#sweep())
    return group
  }

  #open(groupId: string, mode: PollMode): AnyGroup {
    const { clock, members, consume, assignors, sessionTimeoutMsMin, sessionTimeoutMsMax } = this.#dependencies
    const options = {
      groupId,
      clock,
      members,
      appends: this.#appends,
      assignors,
      clientId: CLIENT_ID,
      host: '',
      sessionTimeoutMs: Math.min(Math.max(SESSION_MS, sessionTimeoutMsMin), sessionTimeoutMsMax),
      rebalanceTimeoutMs: CONSUMER_REBALANCE_MS_MAX,
    }
    if (mode === 'exclusive') {
      const polls = new PollGroup<ExclusiveSlot, ExclusiveQueue>({
        ...options,
        protocolType: 'consumer',
        createQueue: (host) => new ExclusiveQueue({ host, consume, starts: this.#starts, clock }),
      })
      return { mode, polls, leases: polls.queue, progress: () => [] }
    }
    const polls = new PollGroup<SharedSlot, SharedQueue>({
      ...options,
      protocolType: 'shared',
      createQueue: (host) => new SharedQueue({ ...this.#ofShared, host }),
    })
    return { mode, polls, leases: polls.queue, progress: () => polls.queue.progress(polls.slots) }
  }

  #leave(groupId: string, group: AnyGroup): void {
    if (this.#groups.get(groupId) !== group) return
    this.#groups.delete(groupId)
    const left = group.polls
      .close()
      .catch((error: unknown) => {
        this.#dependencies.logger.warn({ group: groupId, error: String(error) }, 'a member could not leave its group')
      })
      .finally(() => this.#leaving.delete(groupId))
    this.#leaving.set(groupId, left)
  }

  #sweep(): void {
    for (const [groupId, group] of this.#groups) if (group.polls.sweep().isIdle) this.#leave(groupId, group)
    this.#sweepTimer =
      this.#groups.size === 0 ? undefined : this.#dependencies.clock.after(POLL_IDLE_MS_MAX / 2, () => this.#sweep())
  }
}

/** A work queue by a pattern does not do its own dead letters. */
function meantBy({ mode, subscription }: GroupPollRequest): Subscription {
  if (mode === 'exclusive' || 'topics' in subscription) return subscription
  return { ...subscription, passesOver: DEAD_LETTER_SUFFIX }
}
