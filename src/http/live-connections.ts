// Connections that stay: event streams, WebSockets. None has a timer of its own; one sweep looks at all of them, for heart
// beats, clients that take nothing, and connections that have lasted long enough. What waits to be sent is counted here,
// over all of them.

import type { Clock, Timer } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { LIVE_CONNECTIONS_MAX, LIVE_PENDING_BYTES_MAX, LIVE_SWEEP_MS } from '../kernel/limits.ts'

export interface LiveConnection {
  /** About once in LIVE_SWEEP_MS. `now` is monotonic. */
  sweep(now: number): void
  /** The server is closing: say so, and end. */
  drain(): void
}

export class LiveConnections {
  readonly #clock: Clock
  readonly #connections = new Set<LiveConnection>()
  #sweepTimer: Timer | undefined
  #pendingBytes = 0

  constructor(clock: Clock) {
    this.#clock = clock
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
    this.#sweepTimer ??= this.#clock.after(LIVE_SWEEP_MS, () => this.#sweep())
    return () => {
      this.#connections.delete(connection)
    }
  }

  drain(): void {
    for (const connection of this.#connections) connection.drain()
  }

  #sweep(): void {
    this.#sweepTimer = undefined
    const now = this.#clock.monotonic()
    for (const connection of this.#connections) connection.sweep(now)
    if (this.#connections.size > 0) this.#sweepTimer = this.#clock.after(LIVE_SWEEP_MS, () => this.#sweep())
  }
}
