// Reads for tails that are far behind. There is always more to read for them, and they would take all that they can get. So
// they are done one after the other; and as long as records come in, whose producers and readers wait, each is followed by
// a rest: three times as long as it took, what others did meanwhile included, so that of a busy loop it is what they leave.

import type { Clock } from '../../kernel/clock.ts'
import { CATCH_UP_QUIET_MS, CATCH_UP_REST_MS_MAX } from '../../kernel/limits.ts'

const REST_RATIO = 3

export class CatchUpPace {
  readonly #clock: Clock
  readonly #line: (() => void)[] = []
  #isBusy = false
  #appendedAt = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  appended(): void {
    this.#appendedAt = this.#clock.monotonic()
  }

  async run<Result>(read: () => Promise<Result>): Promise<Result> {
    if (this.#isBusy) await new Promise<void>((resolve) => this.#line.push(resolve))
    this.#isBusy = true
    const start = this.#clock.monotonic()
    try {
      return await read()
    } finally {
      this.#rest(start)
    }
  }

  #rest(start: number): void {
    const now = this.#clock.monotonic()
    const restMs = now - this.#appendedAt > CATCH_UP_QUIET_MS ? 0 : REST_RATIO * (now - start)
    const goOn = () => this.#next()
    if (restMs === 0) setImmediate(goOn)
    else this.#clock.after(Math.min(restMs, CATCH_UP_REST_MS_MAX), goOn)
  }

  #next(): void {
    const next = this.#line.shift()
    if (next === undefined) this.#isBusy = false
    else next()
  }
}
