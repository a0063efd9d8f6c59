// A clock that moves only when told. Timers that fall due are called in the order of their times.

import type { Clock, Timer } from '../../src/kernel/clock.ts'

export class FakeClock implements Clock {
  #now: number
  #monotonic = 0
  readonly #timers = new Set<{ readonly dueMs: number; readonly callback: () => void }>()

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#monotonic
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#monotonic + delayMs, callback }
    this.#timers.add(timer)
    return { cancel: () => void this.#timers.delete(timer) }
  }

  advance(ms: number): void {
    this.#now += ms
    this.#monotonic += ms
    const due = [...this.#timers].filter((timer) => timer.dueMs <= this.#monotonic).sort((a, b) => a.dueMs - b.dueMs)
    for (const timer of due) this.#timers.delete(timer)
    for (const timer of due) timer.callback()
  }

  /** A step of the wall clock alone, backwards too. */
  step(ms: number): void {
    this.#now += ms
  }
}
