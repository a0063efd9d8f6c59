// Forgets producers by the clock, as Kafka's producer.id.expiration.check.interval.ms says: first the names that were silent
// for long enough, then what open partitions remember of producers that have no name any more (or never had one). The
// order does not matter for what is promised: an id without a name is never used again.

import type { Clock, Timer } from '../kernel/clock.ts'
import type { Logger } from '../kernel/logger.ts'
import type { LogManager } from '../log/log-manager.ts'
import type { ProducerNames } from './producer-names.ts'

export interface ProducerExpiryOptions {
  readonly names: ProducerNames
  readonly logs: LogManager
  readonly intervalMs: number
  readonly clock: Clock
  readonly logger: Logger
}

export class ProducerExpiry {
  readonly #options: ProducerExpiryOptions
  #timer: Timer | undefined
  #checking: Promise<void> | undefined
  #isClosed = false

  constructor(options: ProducerExpiryOptions) {
    this.#options = options
    this.#wait()
  }

  #wait(): void {
    this.#timer = this.#options.clock.after(this.#options.intervalMs, () => {
      this.#checking = this.#check()
    })
  }

  async #check(): Promise<void> {
    const { names, logs, logger } = this.#options
    const isStopped = () => this.#isClosed
    try {
      await names.forgetSilent(isStopped)
      await logs.forgetProducers(isStopped)
    } catch (error) {
      logger.warn({ err: error }, 'silent producers could not be forgotten; the next check tries again')
    }
    if (!this.#isClosed) this.#wait()
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#checking
  }
}
