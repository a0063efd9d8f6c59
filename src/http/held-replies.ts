// Replies that clients have not taken yet: each lies in memory until its socket has taken it, so all together have a
// bound. Small ones are not counted: what fits into a socket's own buffers is soon gone, and must pass while large ones wait.

import type { ServerResponse } from 'node:http'
import { TailraceError } from '../kernel/errors.ts'
import { REPLIES_HELD_BYTES_MAX } from '../kernel/limits.ts'

const COUNTED_BYTES_MIN = 64 * 1024

export class HeldReplies {
  #bytes = 0

  /** Counts a reply until it is gone; overloaded, when others hold too much for it: nothing of it may be sent then. */
  hold(response: ServerResponse, bytes: number): TailraceError | undefined {
    if (bytes < COUNTED_BYTES_MIN) return undefined
    if (this.#bytes > 0 && this.#bytes + bytes > REPLIES_HELD_BYTES_MAX) return overloaded(this.#bytes)
    this.#bytes += bytes
    response.once('close', () => {
      this.#bytes -= bytes
    })
    return undefined
  }
}

function overloaded(held: number): TailraceError {
  const detail = `${held} bytes of replies wait for clients to take them, ${REPLIES_HELD_BYTES_MAX} are allowed`
  return new TailraceError('overloaded', detail, { waiting_bytes: held, limit_bytes: REPLIES_HELD_BYTES_MAX })
}
