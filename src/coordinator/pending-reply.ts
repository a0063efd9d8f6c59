// A reply that somebody waits for, and may give up waiting for. Settled once; what comes later is passed over.

import { TailraceError } from '../kernel/errors.ts'

export class PendingReply<Reply> {
  readonly promise: Promise<Reply>
  readonly #resolve: (reply: Reply) => void
  readonly #reject: (error: TailraceError) => void
  readonly #signal: AbortSignal | undefined
  readonly #giveUp: () => void

  /** `onGivenUp` is called when the signal aborts before there is a reply. */
  constructor(signal: AbortSignal | undefined, onGivenUp: () => void) {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    this.promise = promise
    this.#resolve = resolve
    this.#reject = reject
    this.#signal = signal
    this.#giveUp = () => {
      reject(givenUp())
      onGivenUp()
    }
    signal?.addEventListener('abort', this.#giveUp, { once: true })
  }

  resolve(reply: Reply): void {
    this.#signal?.removeEventListener('abort', this.#giveUp)
    this.#resolve(reply)
  }

  reject(error: TailraceError): void {
    this.#signal?.removeEventListener('abort', this.#giveUp)
    this.#reject(error)
  }
}

export function givenUp(): TailraceError {
  return new TailraceError('request_cancelled', 'the caller has given up waiting')
}
