// The time that reading or comparing the schemas of one request may take, all of them together: on one event loop it is
// everybody's.

import { SCHEMA_WORK_MS_MAX } from '../kernel/limits.ts'
import { OutOfTime, withinTime } from '../kernel/within-time.ts'
import { registryFailure } from './registry-failure.ts'

export class WorkClock {
  readonly #what: string
  #leftMs = SCHEMA_WORK_MS_MAX

  /** `what` is too expensive, says the failure. */
  constructor(what: string) {
    this.#what = what
  }

  /** What `work` gives: withinTime's rules. 42201: nothing is left of the time. */
  run<T>(work: () => T): T {
    const began = performance.now()
    try {
      return withinTime(Math.max(1, Math.ceil(this.#leftMs)), work)
    } catch (error) {
      if (!(error instanceof OutOfTime)) throw error
      throw registryFailure(42201, `${this.#what} too expensive: it takes longer than ${SCHEMA_WORK_MS_MAX} ms`)
    } finally {
      this.#leftMs -= performance.now() - began
    }
  }
}
