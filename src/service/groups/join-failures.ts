// What keeps a member from joining its group, and when it tries again: a fenced one at once, unless that has come to nothing
// several times; after other failures later and later; by itself only where that may help.

import { isFencing } from '../../engine/fencing.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import { JOIN_RETRY_MS_MAX, JOIN_RETRY_MS_MIN, JOINS_FENCED_IN_A_ROW_MAX } from '../../kernel/limits.ts'

export class JoinFailures {
  readonly #clock: Clock
  readonly #tryAgain: () => void
  #last: TailraceError | undefined
  #inARow = 0
  #retryAtMs = 0
  #retry: Timer | undefined

  constructor(clock: Clock, tryAgain: () => void) {
    this.#clock = clock
    this.#tryAgain = tryAgain
  }

  /** undefined once it has joined. */
  get last(): TailraceError | undefined {
    return this.#last
  }

  get mayTryAgain(): boolean {
    return this.#clock.monotonic() >= this.#retryAtMs
  }

  /** Returns whether it is tried again at once. */
  note(error: TailraceError): boolean {
    this.cancel()
    this.#last = error
    this.#inARow++
    if (isFencing(error) && this.#inARow <= JOINS_FENCED_IN_A_ROW_MAX) return true
    const delayMs = Math.min(JOIN_RETRY_MS_MIN * 2 ** (this.#inARow - 1), JOIN_RETRY_MS_MAX)
    this.#retryAtMs = this.#clock.monotonic() + delayMs
    if (error.retriable || isFencing(error)) this.#retry = this.#clock.after(delayMs, this.#tryAgain)
    return false
  }

  /** There is another one in its place: the two would put each other out for ever. */
  noteReplaced(error: TailraceError): void {
    this.cancel()
    this.#last = error
    this.#retryAtMs = Number.POSITIVE_INFINITY
  }

  /** It is being tried. */
  cancel(): void {
    this.#retry?.cancel()
    this.#retry = undefined
  }

  forget(): void {
    this.cancel()
    this.#last = undefined
    this.#inARow = 0
    this.#retryAtMs = 0
  }
}
