// Time for commands: as the system clock, but its timers keep the process alive, because a command that waits before it
// tries again has nothing else to live for.

import type { Clock } from '../kernel/clock.ts'
import { systemClock } from '../kernel/clock.ts'

export const foregroundClock: Clock = {
  now: systemClock.now,
  monotonic: systemClock.monotonic,
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(handle) }
  },
}

/** Resolves after the delay, or at once when the signal aborts. */
export function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel()
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = foregroundClock.after(delayMs, end)
    if (signal.aborted) end()
    else signal.addEventListener('abort', end)
  })
}
