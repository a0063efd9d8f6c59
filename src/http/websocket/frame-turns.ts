// How much of what clients send is done in one go: of all WebSockets together some frames, and some milliseconds, then
// everybody else has a turn of the event loop. Sockets that wait are taken from in a ring, one frame each: who sends a great
// many small ones waits behind itself and not in front of others.

import type { Clock } from '../../kernel/clock.ts'
import { WS_FRAMES_PER_TURN_MAX, WS_TURN_MS_MAX } from '../../kernel/limits.ts'

export interface FrameTaker {
  /** Does one frame, if it may; whether there is another that may be done. Never throws. */
  takeFrame(): boolean
}

export class FrameTurns {
  readonly #clock: Clock
  /** In the order in which they are taken from. */
  readonly #waiting = new Set<FrameTaker>()
  #hasTurn = false
  #isRunning = false
  #framesLeft = 0
  #endsAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** It has a frame, which is done before this returns if the turn has room for it, and else in a later one. */
  add(taker: FrameTaker): void {
    this.#waiting.add(taker)
    if (!this.#hasTurn) this.#begin()
    if (!this.#isRunning) this.#run()
  }

  /** A turn lasts until the event loop has been round: also what its frames have set going counts as its time. */
  #begin(): void {
    this.#hasTurn = true
    this.#framesLeft = WS_FRAMES_PER_TURN_MAX
    this.#endsAt = this.#clock.monotonic() + WS_TURN_MS_MAX
    setImmediate(this.#next)
  }

  readonly #next = (): void => {
    this.#hasTurn = false
    if (this.#waiting.size === 0) return
    this.#begin()
    this.#run()
  }

  #run(): void {
    this.#isRunning = true
    for (const taker of this.#waiting) {
      if (!this.#hasRoom()) break
      this.#framesLeft--
      this.#waiting.delete(taker)
      if (taker.takeFrame()) this.#waiting.add(taker)
    }
    this.#isRunning = false
  }

  /** For one frame in any case. */
  #hasRoom(): boolean {
    const left = this.#framesLeft
    return left === WS_FRAMES_PER_TURN_MAX || (left > 0 && this.#clock.monotonic() < this.#endsAt)
  }
}
