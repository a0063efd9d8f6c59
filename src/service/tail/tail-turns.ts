// Whose turn it is: heads that have something new, tails that can go on. One after the other and for some milliseconds at
// a time; after that all others on the event loop have as long as these took. What comes meanwhile is then given in one
// piece, so that under load chunks grow and the way to the readers takes no more than half of the loop.

import type { Clock, Timer } from '../../kernel/clock.ts'
import { TAIL_TURN_MS_MAX } from '../../kernel/limits.ts'
import type { Logger } from '../../kernel/logger.ts'

export interface TurnTaker {
  /** It stands in line. */
  isDue: boolean
  takeTurn(): void
}

/** Shorter rests are no more than the next turn of the event loop. */
const REST_MS_MIN = 1

/** To look at the clock costs about as much as a turn. */
const TAKERS_PER_LOOK = 8

export class TailTurns {
  readonly #clock: Clock
  readonly #logger: Logger
  #line: TurnTaker[] = []
  #next = 0
  #isScheduled = false
  #isClosed = false
  #timer: Timer | undefined
  #restUntil = 0

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  enqueue(taker: TurnTaker): void {
    if (taker.isDue || this.#isClosed) return
    taker.isDue = true
    this.#line.push(taker)
    if (!this.#isScheduled) this.#schedule(this.#clock.monotonic())
  }

  /** Work for readers that was done outside of a turn. */
  charge(sinceMs: number): void {
    const now = this.#clock.monotonic()
    this.#restUntil = Math.max(this.#restUntil, now) + now - sinceMs
  }

  close(): void {
    this.#isClosed = true
    this.#line = []
    this.#timer?.cancel()
  }

  #schedule(now: number): void {
    this.#isScheduled = true
    const restMs = Math.min(this.#restUntil - now, TAIL_TURN_MS_MAX)
    if (restMs < REST_MS_MIN) setImmediate(() => this.#run())
    else this.#timer = this.#clock.after(restMs, () => this.#run())
  }

  #run(): void {
    const start = this.#clock.monotonic()
    let now = start
    while (this.#next < this.#line.length && now - start < TAIL_TURN_MS_MAX) {
      const end = Math.min(this.#line.length, this.#next + TAKERS_PER_LOOK)
      while (this.#next < end) {
        this.#give(this.#line[this.#next++] as TurnTaker)
      }
      now = this.#clock.monotonic()
    }
    this.#restUntil = now + now - start
    this.#isScheduled = false
    if (this.#next < this.#line.length) {
      this.#line = this.#line.slice(this.#next)
      this.#next = 0
      this.#schedule(now)
    } else {
      this.#line.length = 0
      this.#next = 0
    }
  }
  /** What fails in one turn is nobody else's failure. */
  #give(taker: TurnTaker): void {
    taker.isDue = false
    try {
      taker.takeTurn()
    } catch (error) {
      this.#logger.error({ error }, 'a tail failed')
    }
  }
}
