// When a data directory's logs are maintained: each job by a timer of its own, whatever the number of partitions, which it
// looks through itself. A job never overlaps itself: its next run is due a while after the last one's end. Jobs of
// different names do overlap; what must not happen to one log at once is kept apart there (PartitionState.maintain).

import type { Clock, Timer } from '../kernel/clock.ts'
import type { Logger } from '../kernel/logger.ts'

export interface MaintenanceJob {
  readonly name: string
  /** Until the first run, and from each run's end to the next. */
  readonly firstMs: number
  readonly everyMs: number
  /** Looks at the signal between two pieces of work. */
  run(signal: AbortSignal): Promise<void> | void
}

export interface MaintenanceSchedulerOptions {
  readonly clock: Clock
  readonly logger: Logger
}

export class MaintenanceScheduler {
  readonly #options: MaintenanceSchedulerOptions
  readonly #stop = new AbortController()
  readonly #timers = new Map<MaintenanceJob, Timer>()
  readonly #running = new Set<Promise<void>>()

  constructor(options: MaintenanceSchedulerOptions) {
    this.#options = options
  }

  add(job: MaintenanceJob): void {
    this.#schedule(job, job.firstMs)
  }

  #schedule(job: MaintenanceJob, delayMs: number): void {
    if (this.#stop.signal.aborted) return
    const timer = this.#options.clock.after(delayMs, () => {
      const running = this.#run(job).finally(() => {
        this.#running.delete(running)
        this.#schedule(job, job.everyMs)
      })
      this.#running.add(running)
    })
    this.#timers.set(job, timer)
  }

  async #run(job: MaintenanceJob): Promise<void> {
    try {
      await job.run(this.#stop.signal)
    } catch (error) {
      this.#options.logger.error({ err: error, job: job.name }, `maintenance (${job.name}) failed; it is tried again`)
    }
  }

  /** No run begins any more; resolves when those under way have come to a place to stop at. */
  async close(): Promise<void> {
    this.#stop.abort()
    for (const timer of this.#timers.values()) timer.cancel()
    await Promise.all(this.#running)
  }
}
