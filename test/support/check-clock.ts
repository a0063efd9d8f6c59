// A clock for what is checked again and again: it knows when a check has ended, as the next one is waited for then.

import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import type { Timer } from '../../src/kernel/clock.ts'
import { FakeClock } from './fake-clock.ts'

export class CheckClock extends FakeClock {
  readonly #checkMs: number
  #waits = 0

  constructor(checkMs: number) {
    super()
    this.#checkMs = checkMs
  }

  override after(delayMs: number, callback: () => void): Timer {
    if (delayMs === this.#checkMs) this.#waits++
    return super.after(delayMs, callback)
  }

  /** Lets time pass, up to the next check at least, and the check that is due then come to its end. */
  async pass(ms: number): Promise<void> {
    const waits = this.#waits
    this.advance(Math.max(ms, this.#checkMs))
    while (this.#waits === waits) await turnOfTheLoop()
  }
}
