// F1: fetches that wait for more bytes or for their time to run out. What is synced wakes those that wait for its
// partition, once, however many batches it held; a fetch that waits costs one entry per partition it asks for and one
// timer. What a woken fetch does next is work on the event loop, for each of its partitions and for the reply: so of many
// that are due only some go on in a turn of it, and the others in the turns that follow, the longest due first.
// Main thread only.

import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import {
  FETCHES_WOKEN_PER_TURN_MAX,
  PARTITIONS_WOKEN_PER_TURN_MAX,
  WAITING_FETCHES_MAX,
  WAITING_PARTITIONS_MAX,
} from '../kernel/limits.ts'
import type { Telemetry } from '../kernel/telemetry.ts'

interface Waiter<Key> {
  readonly keys: readonly Key[]
  bytesMissing: number
  isDue: boolean
  isOver: boolean
  wake(): void
}

export interface DelayedFetchesOptions {
  readonly clock: Clock
  readonly telemetry: Telemetry
}

/** `Key`: what stands for a partition. */
export class DelayedFetches<Key> {
  readonly #options: DelayedFetchesOptions
  readonly #waiters = new Map<Key, Set<Waiter<Key>>>()
  /** Over all waiters. */
  #keyCount = 0
  #due: Waiter<Key>[] = []
  /** In this turn of the event loop; the next one is scheduled when it is not 0. */
  #fetchesWoken = 0
  #partitionsWoken = 0

  constructor(options: DelayedFetchesOptions) {
    this.#options = options
  }

  /** Resolves when enough bytes were appended to any of the partitions, the time is over, or the caller has gone. */
  wait(keys: readonly Key[], bytesMissing: number, waitMs: number, signal?: AbortSignal): Promise<void> {
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
        if (waiter.isOver) return
        waiter.isOver = true
        timer.cancel()
        signal?.removeEventListener('abort', wake)
        telemetry.waitingFetches--
        this.#remove(waiter)
        resolve()
      }
      const waiter: Waiter<Key> = { keys, bytesMissing, isDue: false, isOver: false, wake }
      const timer = clock.after(waitMs, wake)
      telemetry.waitingFetches++
      this.#add(waiter)
      signal?.addEventListener('abort', wake)
      if (signal?.aborted) wake()
    })
  }

  appended(key: Key, bytes: number): void {
    const waiters = this.#waiters.get(key)
    if (waiters === undefined) return
    for (const waiter of waiters) {
      waiter.bytesMissing -= bytes
      if (waiter.bytesMissing <= 0) this.#wakeSoon(waiter)
    }
    this.#wakeSome()
  }

  /** Wakes all that wait for a partition, whatever they wait for: it is gone or given up. */
  wakeAll(key: Key): void {
    for (const waiter of this.#waiters.get(key) ?? []) this.#wakeSoon(waiter)
    this.#wakeSome()
  }

  close(): void {
    for (const waiters of [...this.#waiters.values()]) for (const waiter of waiters) waiter.wake()
  }

  #wakeSoon(waiter: Waiter<Key>): void {
    if (waiter.isDue) return
    waiter.isDue = true
    this.#due.push(waiter)
  }

  #wakeSome(): void {
    let at = 0
    while (at < this.#due.length && this.#hasRoom()) {
      const waiter = this.#due[at++] as Waiter<Key>
      if (waiter.isOver) continue
      if (this.#fetchesWoken === 0) setImmediate(() => this.#nextTurn())
      this.#fetchesWoken++
      this.#partitionsWoken += waiter.keys.length
      waiter.wake()
    }
    this.#due = this.#due.slice(at)
  }

  #hasRoom(): boolean {
    return this.#fetchesWoken < FETCHES_WOKEN_PER_TURN_MAX && this.#partitionsWoken < PARTITIONS_WOKEN_PER_TURN_MAX
  }

  #nextTurn(): void {
    this.#fetchesWoken = 0
    this.#partitionsWoken = 0
    this.#wakeSome()
  }

  #add(waiter: Waiter<Key>): void {
    this.#keyCount += waiter.keys.length
    for (const key of waiter.keys) {
      const waiters = this.#waiters.get(key)
      if (waiters === undefined) this.#waiters.set(key, new Set([waiter]))
      else waiters.add(waiter)
    }
  }

  #remove(waiter: Waiter<Key>): void {
    this.#keyCount -= waiter.keys.length
    for (const key of waiter.keys) {
      const waiters = this.#waiters.get(key)
      waiters?.delete(waiter)
      if (waiters?.size === 0) this.#waiters.delete(key)
    }
  }
}
