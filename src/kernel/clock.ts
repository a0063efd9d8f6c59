// Time as a dependency: nothing below app reads Date.now or sets timers by itself, so that tests own time.

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall clock, ms since the epoch; may step backwards. */
  now(): number
  /** Monotonic ms, for durations and deadlines. */
  monotonic(): number
  /** Calls back once after delayMs; does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs)
    handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}

/** Its timers keep the process alive: of those who wait before they try again, and have nothing else to live for. In browsers too. */
export const foregroundClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(handle) }
  },
}

/** A clock whose wall time is that of now and goes on without steps: for what a step of the wall clock must not move. */
export function steadyClock(clock: Clock): Clock {
  const aheadMs = clock.now() - clock.monotonic()
  return {
    now: () => Math.floor(aheadMs + clock.monotonic()),
    monotonic: () => clock.monotonic(),
    after: (delayMs, callback) => clock.after(delayMs, callback),
  }
}
