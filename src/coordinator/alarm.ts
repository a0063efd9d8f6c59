// One timer for many deadlines, of which most move on before they are reached: it is set for the nearest, and whoever is
// woken looks which have passed. So a sign of life of one of ten thousand members costs no timer.

import type { Clock, Timer } from '../kernel/clock.ts'

/** A longer delay would be taken for none by the timers of Node. */
const DELAY_MS_MAX = 2 ** 31 - 1

export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #timer: Timer | undefined
  #atMs = Number.POSITIVE_INFINITY

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** Rings at that time of the monotonic clock, or before. */
  setBy(atMs: number): void {
    if (atMs >= this.#atMs) return
    this.#timer?.cancel()
    this.#atMs = atMs
    const delayMs = Math.min(Math.max(0, Math.ceil(atMs - this.#clock.monotonic())), DELAY_MS_MAX)
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined
      this.#atMs = Number.POSITIVE_INFINITY
      this.#ring()
    })
  }

  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#atMs = Number.POSITIVE_INFINITY
  }
}
