// Shared groups, for work queues (Kafka's share groups in meaning): a poll gets single records of any partition, each leased
// to it and given with its attempts. What must hold: a record is with one worker at a time; what is accepted is durable
// before that is answered, and never given out again, over kill -9 too; a delivery is counted durably before it is answered,
// and what a clean stop takes from a worker is not; what was rejected, or delivered as often as may be, ends in the
// dead-letter topic, once. How far a partition is done is the group's committed offset; what lies above it
// (shared-window.ts) is in the state topic.
//
// The two belong together by an epoch, in the commit's metadata: offsets that were set from outside have none, and what was
// remembered counts no more.

import { isFencing } from '../../../engine/fencing.ts'
import type { Clock } from '../../../kernel/clock.ts'
import type { TailraceError } from '../../../kernel/errors.ts'
import { asTailraceError } from '../../../kernel/errors.ts'
import { SHARED_HAND_BACK_MS_MAX, SHARED_POLL_RECORDS_MAX } from '../../../kernel/limits.ts'
import type { Logger } from '../../../kernel/logger.ts'
import type { OwnedPartition } from '../../groups/group-member.ts'
import type {
  AckRequest,
  Delivery,
  GivenLease,
  GroupPollRequest,
  LeaseAnswer,
  LeasedRange,
  PollSink,
  QueueProgress,
} from '../../groups/group-poll.ts'
import type { StateTopic } from '../../groups/state-topic.ts'
import type { GroupStartParts } from '../../read/group-start.ts'
import type { Position } from '../../read/positions.ts'
import type { EndReason, Lease, ListedLease } from '../lease-table.ts'
import { ENDED, fenced, LeaseTable } from '../lease-table.ts'
import type { PollQueue, QueueHost } from '../poll-queue.ts'
import { findStarts } from '../poll-start.ts'
import type { DeadLetters } from './dead-letters.ts'
import { checkWorkQueue } from './dead-letters.ts'
import type { AskedRecord } from './shared-ack.ts'
import { askedOf, countsOf } from './shared-ack.ts'
import { SharedBurials } from './shared-burials.ts'
import type { SharedReader } from './shared-reader.ts'
import type { HeldRecord, HeldRecords, Verdict } from './shared-slot.ts'
import { commitOf, keyOf, loadSlot, prefixOf, SharedSlot } from './shared-slot.ts'
import { SharedStore } from './shared-store.ts'
import type { Outcome } from './shared-window.ts'

export interface SharedQueueOptions {
  readonly host: QueueHost<SharedSlot>
  readonly starts: GroupStartParts
  readonly state: StateTopic
  readonly deadLetters: DeadLetters
  readonly reader: SharedReader
  readonly clock: Clock
  readonly logger: Logger
}

export class SharedQueue implements PollQueue<SharedSlot> {
  readonly #options: SharedQueueOptions
  readonly #host: QueueHost<SharedSlot>
  readonly #leases: LeaseTable<HeldRecords>
  readonly #store: SharedStore
  readonly #burials: SharedBurials
  /** Of partitions that are lost: what still has to end before somebody may begin with them anew. */
  readonly #leaving = new Set<Promise<unknown>>()
  readonly #reads = new Set<Promise<unknown>>()
  #isOver = false

  constructor(options: SharedQueueOptions) {
    this.#options = options
    this.#host = options.host
    this.#store = new SharedStore(options)
    this.#burials = new SharedBurials({ ...options, store: this.#store, onBuried: (slot) => this.#advance(slot) })
    this.#leases = new LeaseTable({ clock: options.clock, onExpired: (lease) => this.#giveBack(lease, 'counted') })
  }

  get openLeases(): number {
    return this.#leases.size
  }

  list(): readonly ListedLease[] {
    return this.#leases.list().map(({ id, held, expiresMs }) => {
      return { id, member: held.member, expiresMs, positions: positionsOf(held) }
    })
  }

  progress(slots: Iterable<SharedSlot>): readonly QueueProgress[] {
    const known = [...slots].filter(({ isStarted }) => isStarted)
    return known.map(({ topic, partition, window, committed }) => {
      const acknowledged = window.start - committed + window.doneCount
      return { topic: topic.name, partition, leased: window.leasedCount, acknowledged }
    })
  }

  createSlot(owned: OwnedPartition): SharedSlot {
    return new SharedSlot(owned)
  }

  async start(slots: readonly SharedSlot[], from: Position): Promise<void> {
    await Promise.all(this.#leaving)
    const { groupId, member } = this.#host
    const { starts, state } = this.#options
    const saved = new Map((await state.entries(prefixOf(groupId))).map(({ key, value }) => [key, value]))
    const asked = await findStarts(starts, groupId, this.#workQueues(slots), from)
    for (const { slot, error } of asked) if (error !== undefined) this.#host.failed(slot, error)
    const found = asked.filter(({ error }) => error === undefined)
    for (const { slot, offset, committed } of found) loadSlot(slot, offset, committed, saved.get(keyOf(groupId, slot)))
    // without it, what is remembered from now on would be taken for another's
    const fresh = found.filter(({ slot, committed }) => committed?.metadata !== slot.epoch)
    const results =
      fresh.length === 0 ? [] : await member.commit(fresh.map(({ slot, offset }) => commitOf(slot, offset)))
    const failure = results.find(({ error }) => error !== undefined)?.error
    if (failure !== undefined) throw failure
    for (const { slot } of found) {
      slot.isStarted = true
      this.#advance(slot)
      this.#burials.start(slot)
    }
  }

  /** Those whose records can have a dead-letter topic. */
  #workQueues(slots: readonly SharedSlot[]): readonly SharedSlot[] {
    return slots.filter((slot) => {
      try {
        checkWorkQueue(slot.topic.name)
        return true
      } catch (error) {
        this.#host.failed(slot, asTailraceError(error))
        return false
      }
    })
  }

  available({ window, endOffset, exhaustedAt }: SharedSlot): number {
    const unread = endOffset === exhaustedAt ? 0 : Math.min(window.room, endOffset - window.end)
    return window.freeCount + Math.max(0, unread)
  }

  isLeased({ window }: SharedSlot): boolean {
    return window.leasedCount > 0
  }

  async read(slots: readonly SharedSlot[], request: GroupPollRequest, sink: PollSink): Promise<GivenLease | undefined> {
    if (this.#isOver) return undefined
    const reading = this.#read(slots, request, sink)
    this.#reads.add(reading)
    try {
      return await reading
    } finally {
      this.#reads.delete(reading)
    }
  }

  async #read(
    slots: readonly SharedSlot[],
    request: GroupPollRequest,
    sink: PollSink,
  ): Promise<GivenLease | undefined> {
    this.#leases.checkRoom()
    const { member, maxAttempts, leaseMs } = request
    const lease = this.#leases.open({ member, maxAttempts, slots: new Map() })
    const isStale = () => this.#isOver || slots.some(({ isLost }) => isLost)
    try {
      await this.#take(slots, request, sink, lease)
      // a delivery counts, whatever becomes of this server
      await Promise.all([...lease.held.slots.keys()].map((slot) => this.#store.write(slot)))
    } catch (error) {
      this.#takeBack(lease)
      if (isStale()) return undefined
      throw error
    }
    const positions = positionsOf(lease.held)
    // somebody else may have given out the same
    if (isStale() || positions.length === 0) {
      this.#takeBack(lease)
      return undefined
    }
    this.#leases.give(lease, leaseMs)
    return { id: lease.id, expiresMs: lease.expiresMs, positions }
  }

  async ack(id: string, request: AckRequest): Promise<LeaseAnswer> {
    // it may come again while it is under way
    const answered = () => this.#leases.repeated(id, request)
    return await this.#leases.use(id, (lease) => this.#ack(lease, request), answered)
  }

  async extend(id: string, leaseMs: number): Promise<LeaseAnswer> {
    return await this.#leases.prolong(id, leaseMs)
  }

  async release(id: string, delivery: Delivery = 'uncounted'): Promise<LeaseAnswer> {
    return await this.#leases.use(id, async (lease) => {
      this.#end(lease, delivery, 'released')
      return ENDED
    })
  }

  lose(slot: SharedSlot): void {
    for (const lease of this.#holders(slot)) this.#end(lease, 'counted', 'rebalanced')
    slot.retry?.cancel()
    const busy = [slot.writing, slot.nextWrite, slot.burying].filter((one) => one !== undefined)
    if (busy.length === 0 && !slot.isForgettable) return
    const over: Promise<unknown> = Promise.allSettled(busy)
      .then(() => this.#store.leave(slot))
      .then(() => this.#leaving.delete(over))
    this.#leaving.add(over)
  }

  async handBack(slots: readonly SharedSlot[]): Promise<void> {
    this.#isOver = true
    for (const lease of this.#leases.list()) this.#end(lease, 'uncounted')
    const handedBack = Promise.allSettled(this.#reads).then(() => {
      const changed = slots.filter(({ isChanged, isLost }) => isChanged && !isLost)
      return Promise.allSettled(changed.map((slot) => this.#store.write(slot)))
    })
    const late = Promise.withResolvers<void>()
    const timer = this.#options.clock.after(SHARED_HAND_BACK_MS_MAX, late.resolve)
    // what cannot be written counts, as if the server had been killed
    await Promise.race([handedBack, late.promise])
    timer.cancel()
  }

  async close(): Promise<void> {
    this.#leases.close()
    this.#store.close()
    await Promise.all(this.#leaving)
  }

  async #take(
    slots: readonly SharedSlot[],
    request: GroupPollRequest,
    sink: PollSink,
    lease: Lease<HeldRecords>,
  ): Promise<void> {
    const budget = { records: Math.min(request.limit, SHARED_POLL_RECORDS_MAX), bytes: request.maxBytes, isFirst: true }
    for (const slot of slots) {
      if (budget.records <= 0 || budget.bytes <= 0 || !lease.isOpen) return
      const open = new Map<number, HeldRecord>()
      lease.held.slots.set(slot, { open, settled: new Map() })
      const walked = await this.#options.reader.read(slot, budget, sink, {
        take: (record) => {
          if (record.attempts >= request.maxAttempts) {
            slot.settle(record, 'exhausted')
            return undefined
          }
          slot.window.lease(record, lease)
          slot.changed(record)
          open.set(record.offset, record)
          return record.attempts
        },
        gone: (record) => slot.settle(record, 'done'),
      })
      // nobody is to hear of it, and what was taken counts for nothing
      if (slot.isLost) return
      if (open.size === 0) lease.held.slots.delete(slot)
      for (const gap of walked.gaps) this.#host.passed(slot, gap)
      if (walked.endOffset !== undefined) slot.sawEnd(walked.endOffset)
      slot.exhaustedAt = walked.isExhausted && walked.fault === undefined ? (walked.endOffset ?? -1) : -1
      if (walked.fault !== undefined) this.#host.failed(slot, walked.fault)
      this.#advance(slot)
      this.#burials.start(slot)
    }
  }

  async #ack(lease: Lease<HeldRecords>, request: AckRequest): Promise<LeaseAnswer> {
    const asked = askedOf(lease.held, request)
    const bySlot = Map.groupBy(asked, ({ slot }) => slot)
    const failures: TailraceError[] = []
    await Promise.all(
      [...bySlot].map(([slot, records]) =>
        this.#judge(lease, slot, records).catch((error: unknown) => failures.push(asTailraceError(error))),
      ),
    )
    const [failure] = failures
    if (failure !== undefined) throw this.#refused(lease, failure)
    // if that fails it is tried again: they are remembered
    await Promise.all([...bySlot.keys()].map((slot) => this.#burials.bury(slot)))
    const hasMore = [...lease.held.slots.values()].some(({ open }) => open.size > 0)
    const isKept = hasMore && lease.isOpen
    const left = isKept ? { ...ENDED, lease: lease.id, expiresMs: lease.expiresMs } : ENDED
    const answer = { ...left, ...countsOf(asked) }
    if (!isKept) {
      this.#end(lease, 'counted')
      this.#leases.remember(lease.id, request, answer)
    }
    return answer
  }

  /** What a worker says of one partition's records: durable, all of it or nothing, when it resolves. */
  async #judge(lease: Lease<HeldRecords>, slot: SharedSlot, asked: readonly AskedRecord[]): Promise<void> {
    for (const { record, outcome, verdict } of asked) {
      record.proposed = outcome
      if (verdict === 'unnamed') record.attempts--
      if (isChange(verdict, outcome)) slot.changed(record)
    }
    const held = lease.held.slots.get(slot)
    try {
      if (asked.some(({ verdict, outcome }) => isChange(verdict, outcome))) await this.#store.write(slot)
    } catch (error) {
      for (const { record, verdict } of asked) {
        record.proposed = undefined
        if (verdict === 'unnamed') record.attempts++
      }
      // it was left alone while this was under way
      if (!lease.isOpen) this.#giveBack(lease, 'counted')
      throw error
    }
    for (const { record, outcome, verdict } of asked) {
      held?.open.delete(record.offset)
      held?.settled.set(record.offset, verdict)
      if (!slot.isLost) slot.window.settle(record, outcome)
    }
    this.#advance(slot)
  }

  #refused(lease: Lease<HeldRecords>, error: TailraceError): TailraceError {
    if (!isFencing(error)) return error
    this.#end(lease, 'counted', 'rebalanced')
    return fenced(lease.id, 'rebalanced', error)
  }

  /** What is done in front is left behind: there is room for more. */
  #advance(slot: SharedSlot): void {
    if (slot.isLost) return
    const { start } = slot.window
    slot.window.advance()
    if (slot.window.start > start) slot.exhaustedAt = -1
    // not waited for: it is remembered as done
    if (slot.window.start > slot.committed) this.#store.write(slot).catch(() => undefined)
    else this.#store.writeLater(slot)
    this.#host.changed(slot)
  }

  #end(lease: Lease<HeldRecords>, delivery: Delivery, reason?: EndReason): void {
    if (this.#leases.end(lease, reason)) this.#giveBack(lease, delivery)
  }

  /** Nobody was given it. */
  #takeBack(lease: Lease<HeldRecords>): void {
    this.#leases.end(lease)
    // it may have ended before, and taken records since
    this.#giveBack(lease, 'uncounted')
  }

  #giveBack({ held, isGiven }: Lease<HeldRecords>, delivery: Delivery): void {
    const isCounted = isGiven && delivery === 'counted'
    for (const [slot, { open }] of held.slots) {
      if (slot.isLost) continue
      for (const record of open.values()) {
        // an ack of it is under way
        if (record.proposed !== undefined) continue
        open.delete(record.offset)
        if (!isCounted) {
          record.attempts--
          slot.changed(record)
        }
        if (isCounted && record.attempts >= held.maxAttempts) slot.settle(record, 'exhausted')
        else slot.window.settle(record, 'free')
      }
      this.#store.writeLater(slot)
      this.#burials.start(slot)
      this.#host.changed(slot)
    }
  }

  #holders({ window }: SharedSlot): ReadonlySet<Lease<HeldRecords>> {
    const holders = new Set<Lease<HeldRecords>>()
    for (const { holder } of window.records()) if (holder !== undefined) holders.add(holder)
    return holders
  }
}

/** What is free, with its delivery counted, is remembered so already. */
function isChange(verdict: Verdict, outcome: Outcome): boolean {
  return outcome !== 'free' || verdict === 'unnamed'
}

function positionsOf({ slots }: HeldRecords): readonly LeasedRange[] {
  const held = [...slots].filter(([, { open }]) => open.size > 0)
  return held.map(([{ topic, partition }, { open }]) => {
    const offsets = [...open.keys()]
    return { topic: topic.name, partition, from: Math.min(...offsets), through: Math.max(...offsets) }
  })
}
