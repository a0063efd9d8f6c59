// Exclusive leases: a poll gets whole partitions, in the order of their offsets, from where the group stands. What must
// hold: a partition has one open lease at most; what is acknowledged is committed before that is answered, and never given
// out again; what a lease held and is not acknowledged is given out again, in order, when it ends; a partition that the
// group's member loses is no lease's any more: whoever had it learns at its ack that somebody else has it, while the rest of
// the lease goes on, and is acknowledged by the same ack.

import { isFencing } from '../../engine/fencing.ts'
import type { OffsetToCommit, PartitionResult } from '../../engine/group-protocol.ts'
import { partitionKey } from '../../engine/partition-key.ts'
import type { Clock } from '../../kernel/clock.ts'
import { TailraceError } from '../../kernel/errors.ts'
import type { OwnedPartition } from '../groups/group-member.ts'
import type {
  AckRequest,
  GivenLease,
  GroupPollRequest,
  LeaseAnswer,
  LeasedRange,
  PollSink,
  TopicPartitionOffset,
} from '../groups/group-poll.ts'
import { notOwned } from '../groups/hosted-member.ts'
import type { ConsumeService } from '../read/consume.ts'
import type { GroupStartParts } from '../read/group-start.ts'
import type { Gap } from '../read/page.ts'
import type { Position } from '../read/positions.ts'
import type { EndReason, Lease, ListedLease } from './lease-table.ts'
import { ENDED, LeaseTable } from './lease-table.ts'
import type { PollQueue, QueueHost } from './poll-queue.ts'
import { PartitionSlot } from './poll-queue.ts'
import { findStarts } from './poll-start.ts'

export class ExclusiveSlot extends PartitionSlot {
  /** The next offset to be given; up to it everything is acknowledged, or was no record. */
  position = 0
  lease: Lease<HeldPartitions> | undefined = undefined
}

/** What a lease has of one partition. */
interface HeldPart {
  readonly slot: ExclusiveSlot
  /** As it was given: [began, end). */
  readonly began: number
  readonly end: number
  /** Up to here it is acknowledged. */
  next: number
}

interface HeldPartitions {
  /** The worker's name for itself. */
  readonly member: string
  readonly parts: readonly HeldPart[]
}

export interface ExclusiveQueueOptions {
  readonly host: QueueHost<ExclusiveSlot>
  readonly consume: ConsumeService
  readonly starts: GroupStartParts
  readonly clock: Clock
}

export class ExclusiveQueue implements PollQueue<ExclusiveSlot> {
  readonly #host: QueueHost<ExclusiveSlot>
  readonly #consume: ConsumeService
  readonly #starts: GroupStartParts
  readonly #leases: LeaseTable<HeldPartitions>

  constructor({ host, consume, starts, clock }: ExclusiveQueueOptions) {
    this.#host = host
    this.#consume = consume
    this.#starts = starts
    this.#leases = new LeaseTable({ clock, onExpired: (lease) => this.#free(lease) })
  }

  get openLeases(): number {
    return this.#leases.size
  }

  list(): readonly ListedLease[] {
    return this.#leases.list().map(({ id, held, expiresMs }) => {
      return { id, member: held.member, expiresMs, positions: held.parts.filter(isLeft).map(rangeOf) }
    })
  }

  createSlot(owned: OwnedPartition): ExclusiveSlot {
    return new ExclusiveSlot(owned)
  }

  async start(slots: readonly ExclusiveSlot[], from: Position): Promise<void> {
    const { groupId, member } = this.#host
    const asked = await findStarts(this.#starts, groupId, slots, from)
    for (const { slot, error } of asked) if (error !== undefined) this.#host.failed(slot, error)
    const found = asked.filter(({ error }) => error === undefined)
    const fresh = found.filter(({ committed }) => committed === undefined)
    // what a later poll is to begin with must not hang on what `latest` means by then
    if (fresh.length > 0) {
      const results = await member.commit(fresh.map(({ slot, offset }) => toCommit(slot, offset)))
      const failure = results.find(({ error }) => error !== undefined)?.error
      if (failure !== undefined) throw failure
    }
    for (const { slot, offset } of found) {
      slot.position = offset
      slot.isStarted = true
    }
  }

  available({ lease, endOffset, position }: ExclusiveSlot): number {
    return lease === undefined ? Math.max(0, endOffset - position) : 0
  }

  isLeased({ lease }: ExclusiveSlot): boolean {
    return lease !== undefined
  }

  async read(
    slots: readonly ExclusiveSlot[],
    request: GroupPollRequest,
    sink: PollSink,
  ): Promise<GivenLease | undefined> {
    this.#leases.checkRoom()
    const { limit, maxBytes, leaseMs } = request
    const offsets = slots.map(({ topic, partition, position: offset }) => ({ topic, partition, offset }))
    const estimateKey = offsets[0]?.topic.id ?? ''
    const page = await this.#consume.readPartitions(
      request.caller,
      { offsets, limit, maxBytes, waitMs: 0, estimateKey },
      sink,
    )
    // somebody else may have given out the same
    if (slots.some(({ isLost }) => isLost)) return undefined
    this.#passed(slots, page.gaps)
    const parts: HeldPart[] = []
    for (const [at, slot] of slots.entries()) {
      const bounds = page.partitions[at]
      if (bounds === undefined) continue
      const { nextOffset: end, endOffset, fault } = bounds
      if (fault !== undefined) this.#host.failed(slot, fault)
      // one that gave nothing waits for more, whatever is said to be there
      else slot.sawEnd(endOffset, end > slot.position || page.recordCount > 0 ? endOffset : slot.position)
      if (end > slot.position) parts.push({ slot, began: slot.position, end, next: slot.position })
    }
    if (page.recordCount === 0) {
      for (const { slot, end } of parts) slot.position = end
      return undefined
    }
    const lease = this.#leases.open({ member: request.member, parts })
    this.#leases.give(lease, leaseMs)
    for (const { slot } of parts) slot.lease = lease
    const positions = parts.map(({ slot, began, end }) => {
      return { topic: slot.topic.name, partition: slot.partition, from: began, through: end - 1 }
    })
    return { id: lease.id, expiresMs: lease.expiresMs, positions }
  }

  #passed(slots: readonly ExclusiveSlot[], gaps: readonly Gap[]): void {
    if (gaps.length === 0) return
    const byPlace = Map.groupBy(gaps, ({ topic, partition }) => partitionKey(topic, partition))
    for (const slot of slots) {
      const own = byPlace.get(partitionKey(slot.topic.name, slot.partition)) ?? []
      for (const gap of own) this.#host.passed(slot, gap)
    }
  }

  async ack(id: string, request: AckRequest): Promise<LeaseAnswer> {
    // it may come again while it is under way
    const answered = () => this.#leases.repeated(id, request)
    return await this.#leases.use(id, (lease) => this.#ack(lease, request), answered)
  }

  async extend(id: string, leaseMs: number): Promise<LeaseAnswer> {
    return await this.#leases.prolong(id, leaseMs)
  }

  async release(id: string): Promise<LeaseAnswer> {
    return await this.#leases.use(id, async (lease) => {
      this.#end(lease, 'released')
      return ENDED
    })
  }

  lose(slot: ExclusiveSlot): void {
    const { lease } = slot
    slot.lease = undefined
    if (lease?.held.parts.every((part) => part.slot.lease !== lease)) this.#leases.end(lease, 'rebalanced')
  }

  async close(): Promise<void> {
    this.#leases.close()
  }

  async #ack(lease: Lease<HeldPartitions>, request: AckRequest): Promise<LeaseAnswer> {
    // a part that is done may be another lease's by now
    const asked = askedOf(lease.held, request).filter(({ part, next }) => next > part.next)
    const results = await this.#commit(asked)
    const failed = results.find(({ error }) => error !== undefined && !isFencing(error))?.error
    const done = asked.filter((_, at) => results[at]?.error === undefined)
    for (const { part, next } of done) {
      part.next = next
      part.slot.position = Math.max(part.slot.position, next)
    }
    if (failed !== undefined) throw failed
    const refused = new Set(asked.flatMap(({ part }, at) => (results[at]?.error === undefined ? [] : part)))
    const lost = lease.held.parts.filter((part) => refused.has(part) || (part.slot.isLost && part.next < part.end))
    if (refused.size > 0 && done.length === 0) throw lostToOthers(lease.id, lost)
    const keeps = request.keep === true && lease.isOpen && lease.held.parts.some(isLeft)
    const left = keeps ? { lease: lease.id, expiresMs: lease.expiresMs } : ENDED
    const committed = done.map(({ part, next }) => placeOf(part.slot, next))
    const answer = { ...left, committed, ...(lost.length > 0 && { fenced: lost.map(rangeOf) }) }
    if (keeps) {
      for (const { slot, next, end } of lease.held.parts) if (next === end) this.#letGo(slot, lease)
    } else {
      this.#end(lease)
      this.#leases.remember(lease.id, request, answer)
    }
    return answer
  }

  /** What was lost may be the member's again, and another lease's. */
  async #commit(asked: readonly AskedPart[]): Promise<readonly PartitionResult[]> {
    const own = asked.filter(({ part }) => !part.slot.isLost)
    const results = await this.#host.member.commit(own.map(({ part, next }) => toCommit(part.slot, next)))
    const byPart = new Map(own.map(({ part }, at) => [part, results[at]]))
    return asked.map(({ part, next }) => byPart.get(part) ?? notOwned(toCommit(part.slot, next)))
  }

  #end(lease: Lease<HeldPartitions>, reason?: EndReason): void {
    if (this.#leases.end(lease, reason)) this.#free(lease)
  }

  #free(lease: Lease<HeldPartitions>): void {
    for (const { slot } of lease.held.parts) this.#letGo(slot, lease)
  }

  #letGo(slot: ExclusiveSlot, lease: Lease<HeldPartitions>): void {
    if (slot.lease !== lease) return
    slot.lease = undefined
    this.#host.changed(slot)
  }
}

/** It is not acknowledged yet, and nobody else's. */
function isLeft({ slot, next, end }: HeldPart): boolean {
  return next < end && !slot.isLost
}

interface AskedPart {
  readonly part: HeldPart
  readonly next: number
}

/** What an ack is about; invalid_request for what the lease does not hold. */
function askedOf(
  { parts }: HeldPartitions,
  { through, accept, accepted, released, rejected }: AckRequest,
): AskedPart[] {
  if (accept !== undefined || accepted !== undefined || released !== undefined || rejected !== undefined) {
    throw invalid(
      'accept, accepted, released and rejected are for a shared group; this lease takes through or positions',
      {},
    )
  }
  if (through === undefined) throw invalid('an ack says {"through":"all"} or which positions', {})
  if (through === 'all') return parts.map((part) => ({ part, next: part.end }))
  const held = new Map(parts.map((part) => [partitionKey(part.slot.topic.name, part.slot.partition), part]))
  const asked = new Map<HeldPart, AskedPart>()
  for (const { topic, partition, offset } of through) {
    const part = held.get(partitionKey(topic, partition))
    if (part === undefined) {
      throw invalid(`the lease has nothing of partition ${partition} of topic ${topic}`, { topic, partition })
    }
    if (asked.has(part)) throw invalid(`partition ${partition} of topic ${topic} is named twice`, { topic, partition })
    if (offset < part.began || offset >= part.end) {
      throw invalid(
        `the lease has the offsets ${part.began} to ${part.end - 1} of partition ${partition} of topic ${topic}, not ${offset}`,
        { topic, partition, from: part.began, through: part.end - 1 },
      )
    }
    asked.set(part, { part, next: Math.max(part.next, offset + 1) })
  }
  return [...asked.values()]
}

function toCommit({ topic, partition }: PartitionSlot, offset: number): OffsetToCommit {
  return { topic: topic.name, topicId: topic.id, partition, offset }
}

/** Of what is not acknowledged. */
function rangeOf({ slot: { topic, partition }, next, end }: HeldPart): LeasedRange {
  return { topic: topic.name, partition, from: next, through: end - 1 }
}

function placeOf({ topic, partition }: PartitionSlot, offset: number): TopicPartitionOffset {
  return { topic: topic.name, partition, offset }
}

function lostToOthers(lease: string, lost: readonly HeldPart[]): TailraceError {
  const places = lost.map(({ slot: { topic, partition } }) => `${topic.name}-${partition}`).join(', ')
  return new TailraceError(
    'fenced_lease',
    `nothing of the ack is done: in a rebalance the group gave others the partitions that it is about (lost of this lease: ${places})`,
    { lease, reason: 'rebalanced', fenced: lost.map(rangeOf) },
  )
}

function invalid(message: string, details: Record<string, unknown>): TailraceError {
  return new TailraceError('invalid_request', message, details)
}
