// F1: fetches that wait for more bytes or for their time to run out. A synced group wakes those that wait for its
// partition, once, however many batches it held; a fetch that waits costs one entry per partition it asks for and one
// timer. Main thread only.

import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { WAITING_FETCHES_MAX, WAITING_PARTITIONS_MAX } from '../kernel/limits.ts'
import type { Telemetry } from '../kernel/telemetry.ts'

interface Waiter {
  readonly keys: readonly string[]
  bytesMissing: number
  wake(): void
}

export interface DelayedFetchesOptions {
  readonly clock: Clock
  readonly telemetry: Telemetry
}

export class DelayedFetches {
  readonly #options: DelayedFetchesOptions
  readonly #waiters = new Map<string, Set<Waiter>>()
  /** Over all waiters. */
  #keyCount = 0

  constructor(options: DelayedFetchesOptions) {
    this.#options = options
  }

  /** Resolves when enough bytes were appended to any of the partitions, the time is over, or the caller has gone. */
  wait(keys: readonly string[], bytesMissing: number, waitMs: number, signal?: AbortSignal): Promise<void> {
    const { telemetry, clock } = this.#options
    if (telemetry.waitingFetches >= WAITING_FETCHES_MAX) {
      return Promise.reject(new TailraceError('overloaded', `${WAITING_FETCHES_MAX} reads wait already`))
    }
    if (this.#keyCount + keys.length > WAITING_PARTITIONS_MAX) {
      const message = `reads wait for ${this.#keyCount} partitions already, ${WAITING_PARTITIONS_MAX} in all are allowed`
      return Promise.reject(new TailraceError('overloaded', `${message}: ask for fewer than ${keys.length}`))
    }
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel()
        signal?.removeEventListener('abort', wake)
        telemetry.waitingFetches--
        this.#remove(waiter)
        resolve()
      }
      const waiter: Waiter = { keys, bytesMissing, wake }
      const timer = clock.after(waitMs, wake)
      telemetry.waitingFetches++
      this.#add(waiter)
      signal?.addEventListener('abort', wake)
      if (signal?.aborted) wake()
    })
  }

  appended(key: string, bytes: number): void {
    const waiters = this.#waiters.get(key)
    if (waiters === undefined) return
    for (const waiter of waiters) {
      waiter.bytesMissing -= bytes
      if (waiter.bytesMissing <= 0) waiter.wake()
    }
  }

  /** Wakes all that wait for a partition, whatever they wait for: it is gone or given up. */
  wakeAll(key: string): void {
    for (const waiter of this.#waiters.get(key) ?? []) waiter.wake()
  }

  close(): void {
    for (const key of [...this.#waiters.keys()]) this.wakeAll(key)
  }

  #add(waiter: Waiter): void {
    this.#keyCount += waiter.keys.length
    for (const key of waiter.keys) {
      const waiters = this.#waiters.get(key)
      if (waiters === undefined) this.#waiters.set(key, new Set([waiter]))
      else waiters.add(waiter)
    }
  }

  #remove(waiter: Waiter): void {
    this.#keyCount -= waiter.keys.length
    for (const key of waiter.keys) {
      const waiters = this.#waiters.get(key)
      waiters?.delete(waiter)
      if (waiters?.size === 0) this.#waiters.delete(key)
    }
  }
}
