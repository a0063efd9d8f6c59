// Whether one WebSocket shall stay: does the other side take what it is sent, is it there at all, does it hold too much of a
// frame that lacks its end. Looked at by the sweep, by whose times it goes; in between it is only noted what came.

import type { WebSocket } from 'ws'
import {
  LIVE_PIECE_BYTES,
  LIVE_STALL_MS_MAX,
  LIVE_SWEEP_MS,
  WS_SILENT_BYTES_PER_MS,
  WS_UNFINISHED_BYTES_MAX,
} from '../../kernel/limits.ts'
import { CLOSE } from './close-codes.ts'
import type { Outbox } from './outbox.ts'

/** Over all sockets: bytes of frames that have come in part, as the sweep has seen it. */
export interface Unfinished {
  bytes: number
}

/** What a socket reads from. */
export interface ReadBytes {
  readonly bytesRead: number
  on(event: 'data', onData: (bytes: Buffer) => void): unknown
}

export interface SocketFault {
  readonly code: number
  readonly reason: string
}

const STALLED: SocketFault = { code: CLOSE.slowConsumer, reason: `nothing was taken for ${LIVE_STALL_MS_MAX} ms` }
const GONE: SocketFault = { code: CLOSE.heartbeatTimeout, reason: 'nothing was heard for two heartbeats' }
const TOO_MUCH: SocketFault = { code: CLOSE.overloaded, reason: 'too many frames are coming in at once' }

/** Of a ping or pong from a client: opcode, length, mask. */
const CONTROL_HEAD_BYTES = 6

export class SocketHealth {
  readonly #socket: WebSocket
  readonly #connection: ReadBytes
  readonly #outbox: Outbox
  readonly #unfinished: Unfinished
  readonly #heartbeatMs: number
  #takenSeen = 0
  #tookAt: number
  #hasHeard = false
  #heardAt: number
  #takenWhenHeard = 0
  #isPinged = false
  /** By the client, and not answered yet. */
  #pinged: Buffer | undefined
  /** What had been read when the last whole frame came. */
  #readWhenWhole: number
  #unfinishedBytes = 0

  constructor(
    { socket, connection, unfinished, heartbeatMs }: SocketHealthParts,
    outbox: Outbox,
    /** Monotonic. */
    now: number,
  ) {
    this.#socket = socket
    this.#connection = connection
    this.#outbox = outbox
    this.#unfinished = unfinished
    this.#heartbeatMs = heartbeatMs
    this.#tookAt = now
    this.#heardAt = now
    this.#readWhenWhole = connection.bytesRead
    socket.on('pong', (data) => this.#onControl(data))
    // Not by ws itself: who sends pings and does not read would fill memory with the answers.
    socket.on('ping', (data) => {
      this.#onControl(data)
      this.#pong(data)
    })
  }

  /** A whole frame has come. */
  onFrame(): void {
    this.#hasHeard = true
    this.#readWhenWhole = this.#connection.bytesRead
  }

  /** Why it is to be closed. `isReading`: nothing that came is left unread on purpose. */
  check(now: number, isReading: boolean): SocketFault | undefined {
    if (this.#isStalled(now)) return STALLED
    if (this.#isGone(now, isReading)) return GONE
    return this.#isTooMuch() ? TOO_MUCH : undefined
  }

  /** It is over. */
  end(): void {
    this.#countUnfinished(0)
  }

  /** Of pings that come at once the last is answered (RFC 6455, 5.5.3). */
  #pong(data: Buffer): void {
    const isPromised = this.#pinged !== undefined
    this.#pinged = data
    if (isPromised) return
    queueMicrotask(() => {
      const socket = this.#socket
      if (socket.readyState === socket.OPEN && socket.bufferedAmount <= 2 * LIVE_PIECE_BYTES) socket.pong(this.#pinged)
      this.#pinged = undefined
    })
  }

  /** May stand in the middle of a frame, whose part it is not. */
  #onControl(data: Buffer): void {
    this.#hasHeard = true
    this.#readWhenWhole += CONTROL_HEAD_BYTES + data.length
  }

  /** Bytes wait, and the operating system took none of them for too long. */
  #isStalled(now: number): boolean {
    const { pendingBytes, takenBytes } = this.#outbox
    if (pendingBytes === 0 || takenBytes !== this.#takenSeen) {
      this.#takenSeen = takenBytes
      this.#tookAt = now
    }
    return now - this.#tookAt >= LIVE_STALL_MS_MAX
  }

  /**
   * Nothing was heard of the other side that was listened for, not even the answer to a ping. It may only be slow: what it
   * was sent since it was heard of last lies in front of the ping.
   */
  #isGone(now: number, isReading: boolean): boolean {
    const { pendingBytes, takenBytes } = this.#outbox
    if (this.#hasHeard || pendingBytes > 0 || !isReading) {
      this.#hasHeard = false
      this.#isPinged = false
      this.#heardAt = now
      this.#takenWhenHeard = takenBytes
      return false
    }
    const silentMs = now - this.#heardAt
    if (silentMs >= this.#heartbeatMs && !this.#isPinged) {
      this.#isPinged = true
      this.#socket.ping()
    }
    const onTheWayMs = (takenBytes - this.#takenWhenHeard) / WS_SILENT_BYTES_PER_MS
    return silentMs >= 2 * this.#heartbeatMs + LIVE_SWEEP_MS + onTheWayMs
  }

  /** It holds much of a frame that lacks its end, and so do too many others. */
  #isTooMuch(): boolean {
    this.#countUnfinished(Math.max(0, this.#connection.bytesRead - this.#readWhenWhole))
    return this.#unfinished.bytes > WS_UNFINISHED_BYTES_MAX && this.#unfinishedBytes > LIVE_PIECE_BYTES
  }

  #countUnfinished(bytes: number): void {
    this.#unfinished.bytes += bytes - this.#unfinishedBytes
    this.#unfinishedBytes = bytes
  }
}

export interface SocketHealthParts {
  readonly socket: WebSocket
  readonly connection: ReadBytes
  readonly unfinished: Unfinished
  readonly heartbeatMs: number
}
