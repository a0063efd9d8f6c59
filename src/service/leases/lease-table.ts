// The open leases of one group: who holds what until when. One timer for all of them. What must hold: a lease ends once, by
// its holder, by its time, or by being fenced; its time begins when it is given, not when it is opened, and while one of its
// holder's requests is under way that does not end it, and the next request waits for that one. An ended lease answers fenced_lease, whoever asks, and why,
// while that is remembered; of those that ended with an ack, the latest are remembered with the answer: its holder may not
// have heard it, and asks again.

import { hash, randomBytes } from 'node:crypto'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { LEASES_OPEN_MAX, LEASES_REMEMBERED_MAX, LEASES_REMEMBERED_PARTITIONS_MAX } from '../../kernel/limits.ts'
import type { AckRequest, LeaseAnswer, OpenLease } from '../groups/group-poll.ts'

export class Lease<Held> {
  /** Says nothing, and cannot be guessed. */
  readonly id = randomBytes(16).toString('base64url')
  readonly held: Held
  /** Monotonic; Infinity: its holder has not heard of it. */
  deadlineMs = Number.POSITIVE_INFINITY
  /** Wall clock, for people. */
  expiresMs = 0
  isOpen = true
  /** A request of its holder that is under way. */
  use: Promise<unknown> | undefined = undefined

  constructor(held: Held) {
    this.held = held
  }

  get isGiven(): boolean {
    return this.deadlineMs < Number.POSITIVE_INFINITY
  }
}

/** For the service itself: by its id it can be ended. */
export interface ListedLease extends OpenLease {
  readonly id: string
}

export interface LeaseTableOptions<Held> {
  readonly clock: Clock
  /** Its time is over: what it held is free again. */
  readonly onExpired: (lease: Lease<Held>) => void
}

/** Why a lease is over that no ack has ended: a rebalance took all that it held. */
export type EndReason = 'expired' | 'released' | 'rebalanced'

/** Of a lease that ended with an ack: what that said, as its hash, and what was answered. */
interface Acked {
  readonly said: string
  readonly answer: LeaseAnswer
}

export class LeaseTable<Held> {
  readonly #clock: Clock
  readonly #onExpired: (lease: Lease<Held>) => void
  readonly #open = new Map<string, Lease<Held>>()
  /** The latest last. */
  readonly #acked = new Map<string, Acked>()
  /** Those that no ack has ended, the latest last. */
  readonly #ended = new Map<string, EndReason>()
  /** That the answers to acks name. */
  #ackedPartitions = 0
  #timer: Timer | undefined
  #timerMs = Number.POSITIVE_INFINITY

  constructor({ clock, onExpired }: LeaseTableOptions<Held>) {
    this.#clock = clock
    this.#onExpired = onExpired
  }

  get size(): number {
    return this.#open.size
  }

  /** Those that were given. */
  list(): readonly Lease<Held>[] {
    return [...this.#open.values()].filter(({ isGiven }) => isGiven)
  }

  checkRoom(): void {
    if (this.#open.size < LEASES_OPEN_MAX) return
    throw new TailraceError(
      'overloaded',
      `the group has ${LEASES_OPEN_MAX} leases open, which is as many as it may have: acknowledge or release some`,
    )
  }

  open(held: Held): Lease<Held> {
    const lease = new Lease(held)
    this.#open.set(lease.id, lease)
    return lease
  }

  /**
   * Runs `work` with the lease, alone; it may end it. fenced_lease. `answered`: what there is in place of that, when its turn
   * has come.
   */
  async use<Result>(
    id: string,
    work: (lease: Lease<Held>) => Promise<Result>,
    answered: () => Result | undefined = () => undefined,
  ): Promise<Result> {
    for (;;) {
      const answer = answered()
      if (answer !== undefined) return answer
      const lease = this.#get(id)
      if (lease.use === undefined) return await this.#run(lease, work)
      await lease.use.catch(() => undefined)
    }
  }

  async #run<Result>(lease: Lease<Held>, work: (lease: Lease<Held>) => Promise<Result>): Promise<Result> {
    const result = work(lease)
    lease.use = result
    try {
      return await result
    } finally {
      lease.use = undefined
      if (lease.isOpen) this.#wakeAt(lease.deadlineMs)
    }
  }

  /** To its holder, from now on: for the first time, or once more. */
  give(lease: Lease<Held>, leaseMs: number): void {
    lease.deadlineMs = this.#clock.monotonic() + leaseMs
    lease.expiresMs = this.#clock.now() + leaseMs
    this.#wakeAt(lease.deadlineMs)
  }

  /** As its holder asks. fenced_lease. */
  async prolong(id: string, leaseMs: number): Promise<LeaseAnswer> {
    return await this.use(id, async (lease) => {
      this.give(lease, leaseMs)
      return { lease: id, expiresMs: lease.expiresMs, committed: [] }
    })
  }

  /** False when it has ended already. Its holder is told the reason, if there is one. */
  end(lease: Lease<Held>, reason?: EndReason): boolean {
    if (!lease.isOpen) return false
    lease.isOpen = false
    this.#open.delete(lease.id)
    if (reason !== undefined && lease.isGiven) this.#noteEnded(lease.id, reason)
    return true
  }

  #noteEnded(id: string, reason: EndReason): void {
    this.#ended.set(id, reason)
    if (this.#ended.size <= LEASES_REMEMBERED_MAX) return
    for (const oldest of this.#ended.keys()) {
      this.#ended.delete(oldest)
      return
    }
  }

  /** The answer to the ack that ended the lease, where this is that ack again; undefined: none has, as far as is known. fenced_lease. */
  repeated(id: string, request: AckRequest): LeaseAnswer | undefined {
    const acked = this.#acked.get(id)
    if (acked === undefined || acked.said === hashOf(request)) return acked?.answer
    throw endedByAck(id)
  }

  /** It has ended with an ack. */
  remember(id: string, request: AckRequest, answer: LeaseAnswer): void {
    this.#acked.set(id, { said: hashOf(request), answer })
    this.#ackedPartitions += namedIn(answer)
    for (const [oldest, acked] of this.#acked) {
      const isRoom = this.#acked.size <= LEASES_REMEMBERED_MAX
      if (isRoom && this.#ackedPartitions <= LEASES_REMEMBERED_PARTITIONS_MAX) return
      this.#acked.delete(oldest)
      this.#ackedPartitions -= namedIn(acked.answer)
    }
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const lease of this.#open.values()) lease.isOpen = false
    this.#open.clear()
  }

  #get(id: string): Lease<Held> {
    const lease = this.#open.get(id)
    if (lease === undefined) throw this.#acked.has(id) ? endedByAck(id) : fenced(id, this.#ended.get(id))
    if (lease.use === undefined && lease.deadlineMs <= this.#clock.monotonic()) {
      this.#expire(lease)
      throw fenced(id, 'expired')
    }
    return lease
  }

  /** Later deadlines are seen when the timer comes: extending a lease, or ending one, sets none. */
  #wakeAt(deadlineMs: number): void {
    if (deadlineMs >= this.#timerMs) return
    this.#timer?.cancel()
    this.#timerMs = deadlineMs
    this.#timer = this.#clock.after(Math.max(0, deadlineMs - this.#clock.monotonic()), () => this.#expireDue())
  }

  #expireDue(): void {
    this.#timer = undefined
    this.#timerMs = Number.POSITIVE_INFINITY
    const now = this.#clock.monotonic()
    let next = Number.POSITIVE_INFINITY
    for (const lease of this.#open.values()) {
      // one in use is looked at when that is over
      if (lease.use !== undefined) continue
      if (lease.deadlineMs <= now) this.#expire(lease)
      else if (lease.deadlineMs < next) next = lease.deadlineMs
    }
    if (next < Number.POSITIVE_INFINITY) this.#wakeAt(next)
  }

  #expire(lease: Lease<Held>): void {
    if (this.end(lease, 'expired')) this.#onExpired(lease)
  }
}

/** To whoever ended it. */
export const ENDED: LeaseAnswer = { lease: undefined, expiresMs: undefined, committed: [] }

const WHY: Readonly<Record<EndReason, string>> = {
  expired: 'the lease has expired',
  released: 'the lease was released',
  rebalanced: 'the lease is over: a rebalance of its group took all that it held',
}

/** No reason: it is not remembered, here or at all. */
export function fenced(id: string, reason?: EndReason, cause?: unknown): TailraceError {
  const why =
    reason === undefined
      ? 'the lease is not known: it ended long ago, the server restarted, or the group was left, deleted or set back meanwhile'
      : WHY[reason]
  return new TailraceError(
    'fenced_lease',
    `${why}; what it held and was not acknowledged is given out again`,
    { lease: id.slice(0, 60), ...(reason !== undefined && { reason }) },
    { cause },
  )
}

function namedIn({ committed, fenced: lost = [] }: LeaseAnswer): number {
  return committed.length + lost.length
}

/** Of what may have half a megabyte. */
function hashOf(request: AckRequest): string {
  return hash('sha256', JSON.stringify(request), 'base64')
}

function endedByAck(id: string): TailraceError {
  return new TailraceError(
    'fenced_lease',
    'the lease has ended with an ack: what that said is done; the same ack may come again, and nothing else',
    { lease: id.slice(0, 60) },
  )
}
