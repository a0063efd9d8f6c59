// One at a time, in the order of the calls; who waits for its turn may give up.

export class Turns {
  #last: Promise<void> = Promise.resolve()
  /** Who has a turn, or waits for one. */
  count = 0

  /** The function that ends the turn; undefined when `signal` was aborted before it came. */
  async take(signal: AbortSignal): Promise<(() => void) | undefined> {
    const before = this.#last
    const ended = Promise.withResolvers<void>()
    this.#last = ended.promise
    this.count++
    const end = () => {
      this.count--
      ended.resolve()
    }
    await untilAborted(before, signal)
    if (!signal.aborted) return end
    this.count--
    void before.then(ended.resolve)
    return undefined
  }
}

/** Resolves with what was waited for, or with undefined as soon as `signal` is aborted. */
export function untilAborted<Result>(awaited: Promise<Result>, signal: AbortSignal): Promise<Result | undefined> {
  if (signal.aborted) {
    awaited.catch(() => undefined)
    return Promise.resolve(undefined)
  }
  return new Promise((resolve, reject) => {
    const stop = () => resolve(undefined)
    signal.addEventListener('abort', stop)
    awaited.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
