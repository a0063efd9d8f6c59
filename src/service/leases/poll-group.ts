// The workers of one group that poll with leases, whatever they lease: all of them are one member of the group, whose
// partitions this keeps, with what is to be told of them. What must hold: workers come and go without a rebalance; of a
// partition that the member has lost nothing is heard any more. Which poll gets which partitions is said in poll-turns.ts;
// what of a partition is given, and what a lease means, by its queue: exclusive-queue.ts and shared-queue.ts.

import type { Topic } from '../../engine/engine.ts'
import { partitionKey } from '../../engine/partition-key.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import {
  GROUP_POLLS_WAITING_MAX,
  PARTITION_FAULT_PAUSE_MS,
  POLL_IDLE_MS_MAX,
  POLL_SETTLE_MS_MIN,
} from '../../kernel/limits.ts'
import { SerialQueue } from '../../kernel/serial-queue.ts'
import { aborted } from '../../kernel/turns.ts'
import type { AssignorName, GroupMember, GroupMembers, OwnedPartition } from '../groups/group-member.ts'
import type { GivenLease, GroupPolled, GroupPollRequest, PartitionFault, PollSink } from '../groups/group-poll.ts'
import type { AppendTarget, AppendTargets } from '../read/append-targets.ts'
import type { Gap } from '../read/page.ts'
import type { Position } from '../read/positions.ts'
import { UntoldGaps } from '../read/untold-gaps.ts'
import type { Interest } from './poll-interest.ts'
import { Interests } from './poll-interest.ts'
import { LeavingSlots } from './poll-leaving.ts'
import type { PartitionSlot, PollQueue, QueueHost } from './poll-queue.ts'
import { PollTurns, WaitingPoll } from './poll-turns.ts'

export interface PollGroupOptions<Slot extends PartitionSlot, Queue extends PollQueue<Slot>> {
  readonly groupId: string
  readonly protocolType: 'consumer' | 'shared'
  readonly clock: Clock
  readonly members: GroupMembers
  readonly appends: AppendTargets
  readonly assignors: readonly AssignorName[]
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly clientId: string
  readonly host: string
  readonly createQueue: (host: QueueHost<Slot>) => Queue
}

export class PollGroup<Slot extends PartitionSlot, Queue extends PollQueue<Slot>> implements AppendTarget {
  readonly queue: Queue
  readonly #clock: Clock
  readonly #appends: AppendTargets
  readonly #member: GroupMember
  readonly #letGoOfMember: () => void
  readonly #slots = new Map<string, Slot>()
  readonly #byTopic = new Map<string, Set<Slot>>()
  readonly #fresh = new Set<Slot>()
  readonly #faulted = new Set<Slot>()
  readonly #leaving: LeavingSlots<Slot>
  readonly #untold = new UntoldGaps<Slot>()
  /** Those that can be read, and why polls are told of them all the same. */
  readonly #troubled = new Map<Slot, TailraceError>()
  readonly #interests = new Interests()
  readonly #turns: PollTurns<Slot>
  readonly #starts = new SerialQueue()
  #pauseTimer: Timer | undefined

  constructor(options: PollGroupOptions<Slot, Queue>) {
    const { groupId, protocolType, members, clock, createQueue } = options
    this.#clock = clock
    this.#appends = options.appends
    this.#member = members.open({
      groupId,
      clientId: options.clientId,
      host: options.host,
      protocolType,
      assignors: options.assignors,
      sessionTimeoutMs: options.sessionTimeoutMs,
      rebalanceTimeoutMs: options.rebalanceTimeoutMs,
      listener: {
        onAssigned: (partitions) => this.#assigned(partitions),
        onRevoked: (partitions, lost) => this.#revoked(partitions, lost),
        onLost: (partitions) => this.#lost(partitions),
      },
    })
    this.#letGoOfMember = this.#member.hold()
    this.queue = createQueue({
      groupId,
      member: this.#member,
      changed: (slot) => {
        this.#turns.changed(slot)
        this.#leaving.changed(slot)
      },
      failed: (slot, fault) => this.#failed(slot, fault),
      passed: (slot, gap) => this.#passed(slot, gap),
      troubled: (slot, trouble) => {
        if (trouble === undefined) this.#troubled.delete(slot)
        else if (!slot.isLost) this.#troubled.set(slot, trouble)
      },
    })
    this.#leaving = new LeavingSlots(clock, this.queue)
    this.#turns = new PollTurns({ clock, queue: this.queue, slots: this.#slots })
  }

  async poll(request: GroupPollRequest, newSink: () => PollSink): Promise<GroupPolled> {
    if (this.#turns.polls.size >= GROUP_POLLS_WAITING_MAX) {
      throw new TailraceError(
        'overloaded',
        `${GROUP_POLLS_WAITING_MAX} polls of this group are under way, which is as many as there may be`,
      )
    }
    const deadlineMs = this.#clock.monotonic() + request.waitMs
    const interest = this.#interests.enter(request.subscription, (all) => this.#member.subscribe(...all))
    const poll = new WaitingPoll<Slot>(request, interest)
    this.#turns.enter(poll)
    try {
      await this.#getReady(poll)
      return await this.#serve(poll, deadlineMs, newSink)
    } finally {
      this.#turns.leave(poll)
      interest.polls--
      interest.lastUsedMs = this.#clock.monotonic()
    }
  }

  appended(topic: Topic, partition: number, highWatermark: number): void {
    const slot = this.#slots.get(partitionKey(topic.id, partition))
    if (slot === undefined) return
    slot.appendedTo = highWatermark
    if (slot.endOffset === Number.POSITIVE_INFINITY) return
    slot.endOffset = Math.max(slot.endOffset, highWatermark)
    this.#turns.changed(slot)
  }

  get slots(): Iterable<Slot> {
    return this.#slots.values()
  }

  get isPolled(): boolean {
    return this.#turns.polls.size > 0
  }

  /** No poll is under way and no lease is open. */
  get isUnused(): boolean {
    return !this.isPolled && this.queue.openLeases === 0
  }

  /** Nobody has polled or held a lease for a while. Lets go of topics that nobody asks for any more. */
  sweep(): { readonly isIdle: boolean } {
    const now = this.#clock.monotonic()
    for (const interest of this.#interests) if (this.#isLeased(interest)) interest.lastUsedMs = now
    const hasDropped = this.#interests.drop(now - POLL_IDLE_MS_MAX)
    if (this.#interests.isEmpty && this.isUnused) return { isIdle: true }
    if (hasDropped) this.#member.subscribe(...this.#interests.subscriptions)
    return { isIdle: false }
  }

  async close(): Promise<void> {
    this.#turns.end()
    this.#pauseTimer?.cancel()
    await this.queue.handBack?.([...this.#slots.values()])
    this.#lost([...this.#slots.values()])
    await this.queue.close()
    this.#letGoOfMember()
    await this.#member.close()
  }

  /** Until its partitions are known, and where they begin; no longer than it may last, or its client is there. */
  async #getReady({ interest, request }: WaitingPoll<Slot>): Promise<void> {
    const over = new AbortController()
    const abort = () => over.abort()
    const timer = this.#clock.after(Math.max(request.waitMs, POLL_SETTLE_MS_MIN), abort)
    request.signal?.addEventListener('abort', abort)
    if (request.signal?.aborted) abort()
    try {
      // who finds partitions of its topics here need not wait for others to be settled
      if (this.#countOwned(interest) === 0) await this.#member.settled(over.signal)
      if (this.#fresh.size > 0) await Promise.race([this.#startSlots(), aborted(over.signal)])
    } catch (error) {
      // it has waited long enough: there is nothing for it
      if (!over.signal.aborted) throw error
    } finally {
      timer.cancel()
      request.signal?.removeEventListener('abort', abort)
    }
  }

  async #serve(poll: WaitingPoll<Slot>, deadlineMs: number, newSink: () => PollSink): Promise<GroupPolled> {
    const { request } = poll
    for (;;) {
      const slots = await this.#turns.wait(poll, deadlineMs)
      const sink = newSink()
      if (slots.length === 0) return this.#answer(poll, sink, undefined)
      let given: GivenLease | undefined
      try {
        given = await this.queue.read(slots, request, sink)
      } finally {
        for (const slot of slots) {
          slot.isTaken = false
          this.#putLast(slot)
        }
      }
      if (given === undefined) continue
      if (slots.some(({ isLeaving }) => isLeaving)) {
        await this.#takeBack(given)
        continue
      }
      if (!request.signal?.aborted) return this.#answer(poll, sink, given)
      await this.#takeBack(given)
      return this.#answer(poll, newSink(), undefined)
    }
  }

  #answer({ interest }: WaitingPoll<Slot>, sink: PollSink, given: GivenLease | undefined): GroupPolled {
    const faults: PartitionFault[] = []
    for (const { topic, partition, fault } of this.#faulted) {
      if (fault !== undefined && interest.matches(topic.name)) faults.push({ topic: topic.name, partition, fault })
    }
    const [first] = faults
    // nothing of it can be read
    if (first !== undefined && given === undefined && faults.length === this.#countOwned(interest)) throw first.fault
    for (const [{ topic, partition, fault }, trouble] of this.#troubled) {
      if (fault !== undefined || !interest.matches(topic.name)) continue
      faults.push({ topic: topic.name, partition, fault: trouble })
    }
    const untold = this.#untold.take(({ topic }) => interest.matches(topic.name))
    const settle = (isDelivered: boolean) => {
      if (isDelivered) return
      for (const [slot, gaps] of untold) for (const gap of gaps) this.#passed(slot, gap)
      if (given !== undefined) void this.#takeBack(given)
    }
    const gaps = [...untold.values()].flat()
    return { sink, given, generation: this.#member.generationId, gaps, faults, settle }
  }

  /** Nobody heard of it. */
  async #takeBack({ id }: GivenLease): Promise<void> {
    await this.queue.release(id).catch(() => undefined)
  }

  /** After a poll had it: others come before it. */
  #putLast(slot: Slot): void {
    if (slot.isLost) return
    if (slot.fault !== undefined && !slot.isPaused) {
      slot.fault = undefined
      this.#faulted.delete(slot)
    }
    this.#turns.withdraw(slot)
    this.#turns.changed(slot)
  }

  #passed(slot: Slot, gap: Gap): void {
    if (!slot.isLost) this.#untold.add(slot, gap)
  }

  #failed(slot: Slot, fault: TailraceError): void {
    if (slot.isLost) return
    slot.fault = fault
    slot.isPaused = true
    this.#faulted.add(slot)
    this.#turns.changed(slot)
    this.#pauseTimer ??= this.#clock.after(PARTITION_FAULT_PAUSE_MS, () => {
      this.#pauseTimer = undefined
      for (const one of this.#faulted) {
        one.isPaused = false
        this.#turns.changed(one)
      }
      void this.#startSlots()
    })
  }

  #assigned(partitions: readonly OwnedPartition[]): void {
    for (const owned of partitions) {
      const key = partitionKey(owned.topic.id, owned.partition)
      if (!this.#slots.has(key)) this.#add(key, this.queue.createSlot(owned))
    }
    // it commits where it begins, which has to wait for the rebalance that is just ending
    void this.#startSlots()
  }

  #add(key: string, slot: Slot): void {
    const { name } = slot.topic
    this.#slots.set(key, slot)
    this.#appends.add(slot, this)
    this.#fresh.add(slot)
    const others = this.#byTopic.get(name)
    if (others === undefined) this.#byTopic.set(name, new Set([slot]))
    else others.add(slot)
  }

  /** Whoever has something of them may be done with it first; what others are for goes on meanwhile. */
  async #revoked(partitions: readonly OwnedPartition[], lost: AbortSignal): Promise<void> {
    const slots = this.#slotsOf(partitions)
    for (const slot of slots) {
      slot.isLeaving = true
      this.#fresh.delete(slot)
      this.#turns.withdraw(slot)
    }
    await this.#leaving.released(slots, lost)
    this.#lost(partitions)
  }

  #slotsOf(partitions: readonly OwnedPartition[]): readonly Slot[] {
    return partitions.flatMap(({ topic, partition }) => this.#slots.get(partitionKey(topic.id, partition)) ?? [])
  }

  #lost(partitions: readonly OwnedPartition[]): void {
    for (const slot of this.#slotsOf(partitions)) {
      const { topic, partition } = slot
      slot.isLost = true
      this.#slots.delete(partitionKey(topic.id, partition))
      this.#untold.forget(slot)
      this.#appends.delete(slot, this)
      this.#fresh.delete(slot)
      this.#faulted.delete(slot)
      this.#troubled.delete(slot)
      this.#turns.withdraw(slot)
      const others = this.#byTopic.get(topic.name)
      if (others?.delete(slot) && others.size === 0) this.#byTopic.delete(topic.name)
      this.queue.lose(slot)
      this.#leaving.changed(slot)
    }
  }

  /** Those that nobody has begun to read begin where the first poll wants that is here for them. */
  #startSlots(): Promise<void> {
    if (this.#fresh.size === 0) return Promise.resolve()
    return this.#starts.run(async () => {
      for (const { interest, request } of [...this.#turns.polls]) {
        const own = [...this.#fresh].filter((slot) => !slot.isPaused && interest.matches(slot.topic.name))
        if (own.length > 0) await this.#start(own, request.from)
      }
    })
  }

  async #start(slots: readonly Slot[], from: Position): Promise<void> {
    try {
      await this.queue.start(slots, from)
    } catch (error) {
      for (const slot of slots) if (!slot.isStarted) this.#failed(slot, asTailraceError(error))
    }
    for (const slot of slots) {
      if (!slot.isStarted) continue
      this.#fresh.delete(slot)
      this.#putLast(slot)
    }
  }

  #countOwned(interest: Interest): number {
    let count = 0
    for (const [topic, slots] of this.#byTopic) if (interest.matches(topic)) count += slots.size
    return count
  }

  #isLeased(interest: Interest): boolean {
    for (const [topic, slots] of this.#byTopic) {
      if (!interest.matches(topic)) continue
      for (const slot of slots) if (this.queue.isLeased(slot)) return true
    }
    return false
  }
}
