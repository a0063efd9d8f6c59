// What one WebSocket is to be sent. The socket is handed pieces of a bounded size, the next when it has taken the last: so
// the progress of a slow client is seen, and memory that many sockets share (chunks) is handed on without a copy. What waits
// is counted, here and over all live connections; who gives much asks `hasRoom` first and is told when there is some again.

import type { WebSocket } from 'ws'
import { LIVE_CONNECTION_PENDING_BYTES_MAX, LIVE_PIECE_BYTES } from '../../kernel/limits.ts'
import type { LiveConnections } from '../live-connections.ts'
import { UntakenBytes } from '../untaken-bytes.ts'

const PIECE = { binary: false, compress: false, fin: false }
const LAST_PIECE = { binary: false, compress: false, fin: true }

/** A message, or the first part of one. */
interface Part {
  readonly bytes: Buffer
  readonly isLast: boolean
}

export class Outbox {
  /** There is room for answers only. */
  isClosing = false
  readonly #socket: WebSocket
  readonly #live: LiveConnections
  readonly #onRoom: () => void
  /** The first of them in part, from #sent on. */
  #waiting: Part[] = []
  #sent = 0
  /** Of the pieces that the socket has and has not taken, in their order. */
  readonly #pieces: number[] = []
  readonly #untaken: UntakenBytes
  #handedBytes = 0
  #isShort = false
  #isClosed = false

  constructor(socket: WebSocket, live: LiveConnections, onRoom: () => void) {
    this.#socket = socket
    this.#live = live
    this.#untaken = new UntakenBytes(live)
    this.#onRoom = onRoom
  }

  /** Bytes that the operating system has not taken yet. */
  get pendingBytes(): number {
    return this.#untaken.waiting
  }

  /** Bytes that it has taken, since the socket was opened. */
  get takenBytes(): number {
    return this.#untaken.taken
  }

  /** Asked by who would give much. onRoom is called after it was false. */
  hasRoom(): boolean {
    return !this.isClosing && !this.isFull() && !(this.pendingBytes > 0 && this.#isShortOf(this.#live.isFull))
  }

  /** Not even more answers should come, with those to come that are promised. onRoom is called after it was true. */
  isFull(promisedBytes = 0): boolean {
    return this.#isShortOf(this.pendingBytes + promisedBytes >= LIVE_CONNECTION_PENDING_BYTES_MAX)
  }

  #isShortOf(isFull: boolean): boolean {
    this.#isShort ||= isFull
    return isFull
  }

  /**
   * One text message, in two parts if it is large; the bytes belong to the outbox, which never changes them. `onTaken`: the
   * operating system has them all; not called when the socket has gone before.
   */
  send(message: Buffer, rest?: Buffer, onTaken?: () => void): void {
    if (this.#isClosed) return
    this.#waiting.push({ bytes: message, isLast: rest === undefined })
    if (rest !== undefined) this.#waiting.push({ bytes: rest, isLast: true })
    this.#untaken.add(message.length + (rest?.length ?? 0), onTaken)
    this.#hand()
  }

  /** Forgets what waits: nothing more is sent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#untaken.drop()
    this.#waiting = []
  }

  #hand(): void {
    while (this.#handedBytes < LIVE_PIECE_BYTES) {
      const part = this.#waiting[0]
      if (part === undefined) return
      const { bytes } = part
      const end = Math.min(bytes.length, this.#sent + LIVE_PIECE_BYTES)
      const isDone = end === bytes.length
      const piece = isDone && this.#sent === 0 ? bytes : bytes.subarray(this.#sent, end)
      if (isDone) this.#waiting.shift()
      this.#sent = isDone ? 0 : end
      this.#handedBytes += piece.length
      this.#pieces.push(piece.length)
      this.#socket.send(piece, isDone && part.isLast ? LAST_PIECE : PIECE, this.#onTaken)
    }
  }

  /** Called for each piece, in their order; with an error when the socket has gone, whose close tells that. */
  readonly #onTaken = (error?: Error | null): void => {
    const bytes = this.#pieces.shift() ?? 0
    this.#handedBytes -= bytes
    if (this.#isClosed || error) return
    this.#untaken.take(bytes)
    this.#hand()
    const isWide = this.pendingBytes <= LIVE_CONNECTION_PENDING_BYTES_MAX / 2 && !this.#live.isFull
    if (!this.#isShort || !(isWide || this.pendingBytes === 0)) return
    this.#isShort = false
    this.#onRoom()
  }
}
