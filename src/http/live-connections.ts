// Connections that stay: event streams, WebSockets. None has a timer of its own; one sweep looks at all of them, for heart
// beats, clients that take nothing, and connections that have lasted long enough. It goes a few at a time, so that ten
// thousand heartbeats are not one moment's work. What waits to be sent is counted here, over all of them.

import type { Clock, Timer } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import {
  LIVE_CONNECTIONS_MAX,
  LIVE_PENDING_BYTES_MAX,
  LIVE_SWEEP_MS,
  LIVE_SWEEP_STEP,
  LIVE_SWEEP_STEPS_MAX,
} from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'

export interface LiveConnection {
  /** About once in LIVE_SWEEP_MS. `now` is monotonic. */
  sweep(now: number): void
  /** The server is closing: say so, and end. */
  drain(): void
}

export class LiveConnections {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #connections = new Set<LiveConnection>()
  #sweepTimer: Timer | undefined
  /** Where the sweep has come to; those that are added meanwhile come last. */
  #round: Iterator<LiveConnection> = this.#connections.values()
  #pendingBytes = 0

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  get count(): number {
    return this.#connections.size
  }

  /** Given to sockets and not yet taken by the other side's kernel, over all connections. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** A connection that has something waiting shall wait with more. */
  get isFull(): boolean {
    return this.#pendingBytes >= LIVE_PENDING_BYTES_MAX
  }

  /** Bytes that wait from now on, or no longer do when negative. */
  pending(bytes: number): void {
    this.#pendingBytes += bytes
  }

  /** Returns the function that ends it. overloaded: as many as there may be. */
  add(connection: LiveConnection): () => void {
    if (this.#connections.size >= LIVE_CONNECTIONS_MAX) {
      throw new TailraceError(
        'overloaded',
        `${LIVE_CONNECTIONS_MAX} live connections are open, which is as many as there may be`,
      )
    }
    this.#connections.add(connection)
    this.#sweepTimer ??= this.#nextSweep()
    return () => {
      this.#connections.delete(connection)
    }
  }

  drain(): void {
    for (const connection of this.#connections) this.#guard(() => connection.drain())
  }

  get #steps(): number {
    return Math.min(LIVE_SWEEP_STEPS_MAX, Math.max(1, Math.ceil(this.#connections.size / LIVE_SWEEP_STEP)))
  }

  #nextSweep(): Timer {
    return this.#clock.after(LIVE_SWEEP_MS / this.#steps, () => this.#sweep())
  }

  #sweep(): void {
    const now = this.#clock.monotonic()
    for (let count = Math.ceil(this.#connections.size / this.#steps); count > 0; count--) {
      const connection = this.#next()
      this.#guard(() => connection?.sweep(now))
    }
    this.#sweepTimer = this.#connections.size === 0 ? undefined : this.#nextSweep()
  }

  /** What fails in one connection is no other's failure. */
  #guard(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#logger.error({ error }, 'a live connection failed')
    }
  }

  #next(): LiveConnection | undefined {
    const next = this.#round.next()
    if (!next.done) return next.value
    this.#round = this.#connections.values()
    return this.#round.next().value
  }
}
