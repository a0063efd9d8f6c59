// Whose turn it is among the polls of one group: partitions that have something to give, and polls that wait for some. What
// must hold: a partition is with one poll at a time; the poll that has waited longest is served first, and gets its share
// of what there is; of the partitions of a topic the one that gave last is last.

import type { Clock, Timer } from '../../kernel/clock.ts'
import { FETCHES_WOKEN_PER_TURN_MAX } from '../../kernel/limits.ts'
import type { GroupPollRequest } from '../groups/group-poll.ts'
import type { Interest } from './poll-interest.ts'
import type { PartitionSlot, PollQueue } from './poll-queue.ts'

export class WaitingPoll<Slot> {
  readonly request: GroupPollRequest
  readonly interest: Interest
  /** Waits to be told which partitions are its own; undefined: it reads some, or is not that far yet. */
  wake: ((slots: readonly Slot[]) => void) | undefined = undefined

  constructor(request: GroupPollRequest, interest: Interest) {
    this.request = request
    this.interest = interest
  }
}

export interface PollTurnsParts<Slot extends PartitionSlot> {
  readonly clock: Clock
  readonly queue: Pick<PollQueue<Slot>, 'available' | 'openLeases'>
  /** All that the group has. */
  readonly slots: { readonly size: number }
}

export class PollTurns<Slot extends PartitionSlot> {
  readonly #parts: PollTurnsParts<Slot>
  /** In the order of coming. */
  readonly #polls = new Set<WaitingPoll<Slot>>()
  /** Those that have something to give, by topic; the one that gave last is last. */
  readonly #ready = new Map<string, Set<Slot>>()
  /** Those with a poll that waits. */
  #interestsWaiting = 0
  #isDispatchDue = false
  #isOver = false

  constructor(parts: PollTurnsParts<Slot>) {
    this.#parts = parts
  }

  /** That are under way. */
  get polls(): ReadonlySet<WaitingPoll<Slot>> {
    return this.#polls
  }

  enter(poll: WaitingPoll<Slot>): void {
    this.#polls.add(poll)
  }

  leave(poll: WaitingPoll<Slot>): void {
    this.#polls.delete(poll)
  }

  /** Nobody gets anything any more: who waits is told so. */
  end(): void {
    this.#isOver = true
    for (const poll of this.#polls) poll.wake?.([])
  }

  /** The partitions that are its own now; none when its time is over, its client gone, or there are no more turns. */
  wait(poll: WaitingPoll<Slot>, deadlineMs: number): Promise<readonly Slot[]> {
    const { clock } = this.#parts
    const { promise, resolve } = Promise.withResolvers<readonly Slot[]>()
    const { signal } = poll.request
    const giveUp = () => poll.wake?.([])
    let timer: Timer | undefined
    if (poll.interest.waiting++ === 0) this.#interestsWaiting++
    poll.wake = (slots) => {
      poll.wake = undefined
      if (--poll.interest.waiting === 0) this.#interestsWaiting--
      timer?.cancel()
      signal?.removeEventListener('abort', giveUp)
      resolve(slots)
    }
    this.#dispatch()
    if (poll.wake === undefined) return promise
    const waitMs = deadlineMs - clock.monotonic()
    if (waitMs <= 0 || signal?.aborted || this.#isOver) giveUp()
    else {
      timer = clock.after(waitMs, giveUp)
      signal?.addEventListener('abort', giveUp)
    }
    return promise
  }

  /** It may have something to give now, or no more. */
  changed(slot: Slot): void {
    const isFree = slot.isStarted && !slot.isTaken && !slot.isLeaving && !slot.isLost && !slot.isPaused
    if (!isFree || this.#parts.queue.available(slot) === 0) {
      this.withdraw(slot)
      return
    }
    const { name } = slot.topic
    const ready = this.#ready.get(name)
    if (ready === undefined) this.#ready.set(name, new Set([slot]))
    else if (ready.has(slot)) return
    else ready.add(slot)
    this.#dispatchSoon()
  }

  withdraw(slot: Slot): void {
    const { name } = slot.topic
    const ready = this.#ready.get(name)
    if (ready?.delete(slot) && ready.size === 0) this.#ready.delete(name)
  }

  /** After this turn, when all appends that came together are known. */
  #dispatchSoon(): void {
    if (this.#isDispatchDue || this.#polls.size === 0) return
    this.#isDispatchDue = true
    setImmediate(() => {
      this.#isDispatchDue = false
      this.#dispatch()
    })
  }

  /** Gives what is ready to those that wait, the longest waiting first. */
  #dispatch(): void {
    if (this.#isOver) return
    const without = new Set<Interest>()
    let woken = 0
    for (const poll of this.#polls) {
      if (this.#ready.size === 0 || without.size === this.#interestsWaiting) return
      if (poll.wake === undefined || without.has(poll.interest)) continue
      const slots = this.#pick(poll)
      if (slots.length === 0) without.add(poll.interest)
      else {
        poll.wake(slots)
        if (++woken < FETCHES_WOKEN_PER_TURN_MAX) continue
        this.#dispatchSoon()
        return
      }
    }
  }

  /** Its share of the group's partitions at most, and no more than have what it wants. */
  #pick({ interest, request }: WaitingPoll<Slot>): readonly Slot[] {
    const { queue, slots: all } = this.#parts
    const workers = Math.max(1, this.#polls.size + queue.openLeases)
    const share = Math.max(1, Math.ceil(all.size / workers))
    const picked: Slot[] = []
    let recordCount = 0
    for (const [topic, slots] of this.#ready) {
      if (!interest.matches(topic)) continue
      for (const slot of slots) {
        if (picked.length >= share || recordCount >= request.limit) break
        picked.push(slot)
        // one that has enough gives all: one read, one commit. Of one that nobody has read yet nothing is known
        const isKnown = Number.isFinite(slot.endOffset)
        recordCount += isKnown ? queue.available(slot) : Math.ceil(request.limit / 4)
      }
    }
    for (const slot of picked) {
      slot.isTaken = true
      this.withdraw(slot)
    }
    return picked
  }
}
