// Watches the wall clock against the monotonic one. A step (somebody sets the clock, the machine slept) is counted and told;
// nothing else follows from it: what goes by the wall clock (retention, the bounds of CreateTime) obeys it as it is, and
// what must not be moved by it (what is remembered of producers) goes by steadyClock.

import type { Clock } from './clock.ts'
import type { Logger } from './logger.ts'
import type { Telemetry } from './telemetry.ts'

/** Less is the usual trimming of a clock, which an interval of minutes adds up. */
const STEP_MS_MIN = 5_000

export class ClockWatch {
  readonly #options: { readonly clock: Clock; readonly logger: Logger; readonly telemetry: Telemetry }
  #aheadMs: number

  constructor(options: { readonly clock: Clock; readonly logger: Logger; readonly telemetry: Telemetry }) {
    this.#options = options
    this.#aheadMs = wallAheadMs(options.clock)
  }

  /** To be called every now and then. */
  look(): void {
    const { clock, logger, telemetry } = this.#options
    const aheadMs = wallAheadMs(clock)
    const stepMs = Math.round(aheadMs - this.#aheadMs)
    this.#aheadMs = aheadMs
    if (Math.abs(stepMs) < STEP_MS_MIN) return
    telemetry.clockSteps++
    const direction = stepMs > 0 ? 'forwards' : 'backwards'
    logger.warn({ stepMs }, `the clock has stepped ${direction} by ${Math.abs(stepMs) / 1000} s: retention goes by it`)
  }
}

function wallAheadMs(clock: Clock): number {
  return clock.now() - clock.monotonic()
}
