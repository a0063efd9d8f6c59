// What waits for the socket of one long reply, handed over in pieces, the next when the system has taken the last: so it is
// known how much waits, and whether the other side takes anything at all. The bytes are not copied (many connections may
// have the same ones), but for small ones behind which others wait.

import type { ServerResponse } from 'node:http'
import { LIVE_PIECE_BYTES, LIVE_STALL_MS_MAX } from '../kernel/limits.ts'
import type { LiveConnections } from './live-connections.ts'
import { UntakenBytes } from './untaken-bytes.ts'

export class LiveOutbox {
  readonly #response: ServerResponse
  readonly #onTaken: () => void
  readonly #queue: Buffer[] = []
  readonly #untaken: UntakenBytes
  #isHeld = true
  /** Bytes of the piece that is with the socket; 0: none. */
  #inHand = 0
  #isEnded = false
  #hasMoved = false
  #movedAt = 0

  /** Holds back what is pushed until release(). `onTaken`: after each piece. */
  constructor(live: LiveConnections, response: ServerResponse, onTaken: () => void) {
    this.#untaken = new UntakenBytes(live)
    this.#response = response
    this.#onTaken = onTaken
  }

  /** Bytes that were pushed and are not yet with the system. */
  get waiting(): number {
    return this.#untaken.waiting
  }

  release(): void {
    this.#isHeld = false
    this.#handOver()
  }

  /** `onTaken`: the system has all of these bytes; not called when the connection has gone before. */
  push(bytes: Buffer, onTaken?: () => void): void {
    if (this.#isEnded) return
    // the time of a stall begins with the first that waits
    if (this.waiting === 0) this.#hasMoved = true
    this.#queue.push(bytes)
    this.#untaken.add(bytes.length, onTaken)
    this.#handOver()
  }

  /** The reply ends behind what waits. */
  end(): void {
    this.#isEnded = true
    this.#handOver()
  }

  /** Nothing waits any more: the connection is gone. */
  close(): void {
    this.#isEnded = true
    this.#isHeld = true
    this.#queue.length = 0
    this.#untaken.drop()
  }

  /** Looked at by every sweep: something waits, and nothing of it was taken for LIVE_STALL_MS_MAX. */
  isStalled(now: number): boolean {
    if (this.#hasMoved || this.waiting === 0) this.#movedAt = now
    this.#hasMoved = false
    return now - this.#movedAt >= LIVE_STALL_MS_MAX
  }

  #handOver(): void {
    if (this.#isHeld || this.#inHand > 0) return
    const piece = this.#nextPiece()
    if (piece !== undefined) {
      this.#inHand = piece.length
      this.#response.write(piece, this.#taken)
    } else if (this.#isEnded) {
      this.#isHeld = true
      this.#response.end()
    }
  }

  readonly #taken = (error?: Error | null): void => {
    const taken = Math.min(this.#inHand, this.waiting)
    this.#inHand = 0
    if (error) return
    this.#untaken.take(taken)
    this.#hasMoved = true
    this.#handOver()
    this.#onTaken()
  }

  #nextPiece(): Buffer | undefined {
    const first = this.#queue[0]
    if (first === undefined) return undefined
    if (first.length > LIVE_PIECE_BYTES) {
      this.#queue[0] = first.subarray(LIVE_PIECE_BYTES)
      return first.subarray(0, LIVE_PIECE_BYTES)
    }
    let bytes = first.length
    let count = 1
    for (; count < this.#queue.length; count++) {
      const next = this.#queue[count] as Buffer
      if (bytes + next.length > LIVE_PIECE_BYTES) break
      bytes += next.length
    }
    const taken = this.#queue.splice(0, count)
    return count === 1 ? first : Buffer.concat(taken, bytes)
  }
}
