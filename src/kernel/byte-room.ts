// Room for bytes that many want to hold at once: whoever finds none waits in line, in the order of coming and for a
// bounded time. What is asked for at first may be more than is needed then: the rest is given back as soon as that is
// known.

import type { Clock } from './clock.ts'
import { TailraceError } from './errors.ts'

export interface ByteRoomOptions {
  readonly clock: Clock
  /** Names it in messages: `inflated batches`. */
  readonly name: string
  readonly bytesMax: number
  readonly waitMsMax: number
  readonly waitingMax: number
}

interface Waiting {
  readonly bytes: number
  begin(): void
}

/** A part of the room; held until leave() is called. */
export class HeldBytes {
  readonly #giveBack: (bytes: number) => void
  #bytes: number

  constructor(bytes: number, giveBack: (bytes: number) => void) {
    this.#bytes = bytes
    this.#giveBack = giveBack
  }

  /** Goes on with fewer. */
  shrink(bytes: number): void {
    const rest = this.#bytes - bytes
    if (rest <= 0) return
    this.#bytes = bytes
    this.#giveBack(rest)
  }

  /** May be called twice. */
  leave(): void {
    this.shrink(0)
  }
}

export class ByteRoom {
  readonly #options: ByteRoomOptions
  readonly #waiting = new Set<Waiting>()
  #heldBytes = 0

  constructor(options: ByteRoomOptions) {
    this.#options = options
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** overloaded: no room came free in time. More than the whole room is given to one alone. */
  async enter(bytes: number): Promise<HeldBytes> {
    if (this.#waiting.size > 0 || !this.#fits(bytes)) await this.#wait(bytes)
    else this.#heldBytes += bytes
    return new HeldBytes(bytes, (rest) => {
      this.#heldBytes -= rest
      this.#letIn()
    })
  }

  #fits(bytes: number): boolean {
    return this.#heldBytes === 0 || this.#heldBytes + bytes <= this.#options.bytesMax
  }

  #wait(bytes: number): Promise<void> {
    const { clock, waitMsMax, waitingMax } = this.#options
    if (this.#waiting.size >= waitingMax) return Promise.reject(this.#full(`${waitingMax} wait for it already`))
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        bytes,
        begin: () => {
          timer.cancel()
          resolve()
        },
      }
      const timer = clock.after(waitMsMax, () => {
        this.#waiting.delete(waiting)
        reject(this.#full(`none came free in ${waitMsMax} ms`))
        // it may have stood before others that fit
        this.#letIn()
      })
      this.#waiting.add(waiting)
    })
  }

  #letIn(): void {
    for (const waiting of this.#waiting) {
      if (!this.#fits(waiting.bytes)) return
      this.#waiting.delete(waiting)
      this.#heldBytes += waiting.bytes
      waiting.begin()
    }
  }

  #full(why: string): TailraceError {
    const { name, bytesMax } = this.#options
    return new TailraceError('overloaded', `there is no room for ${name}: ${why}`, { limit_bytes: bytesMax })
  }
}
