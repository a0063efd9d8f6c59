// What was given to one live connection and is not yet with the operating system: counted here, and over all connections;
// who gave it is told when the system has it, as the memory of chunks is given back then.

import type { LiveConnections } from './live-connections.ts'

export class UntakenBytes {
  /** Not yet with the system. */
  waiting = 0
  /** With the system, since the connection was opened. */
  taken = 0
  readonly #live: LiveConnections
  /** Who wants to know when so many bytes are taken, in their order. */
  readonly #told: { readonly at: number; readonly onTaken: () => void }[] = []

  constructor(live: LiveConnections) {
    this.#live = live
  }

  /** `onTaken`: the system has all of these bytes; not called when the connection has gone before. */
  add(bytes: number, onTaken: (() => void) | undefined): void {
    this.waiting += bytes
    this.#live.pending(bytes)
    if (onTaken !== undefined) this.#told.push({ at: this.taken + this.waiting, onTaken })
  }

  /** In the order in which they were added. */
  take(bytes: number): void {
    this.waiting -= bytes
    this.taken += bytes
    this.#live.pending(-bytes)
    while ((this.#told[0]?.at ?? Number.POSITIVE_INFINITY) <= this.taken) this.#told.shift()?.onTaken()
  }

  /** The connection is gone: nothing waits any more. */
  drop(): void {
    this.#live.pending(-this.waiting)
    this.waiting = 0
    this.#told.length = 0
  }
}
