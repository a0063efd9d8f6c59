// One WebSocket: its commands in, its subscriptions, its end. Commands of one subscription are done one after the other, in
// their order; those of different ones do not wait for each other. No timer of its own: the sweep of all live connections
// tells whether the other side takes what it is sent, whether it is still there, and what was silent for a heartbeat.

import type { RawData, WebSocket } from 'ws'
import { TailraceError } from '../../kernel/errors.ts'
import {
  WS_CLOSE_MS_MAX,
  WS_COMMANDS_IN_FLIGHT_MAX,
  WS_CREDIT_BYTES_MAX,
  WS_CREDIT_RECORDS_MAX,
  WS_DRAIN_MS,
  WS_FAULTS_MAX,
  WS_FRAME_BYTES_MAX,
  WS_PRODUCES_IN_FLIGHT_MAX,
  WS_REFUSALS_MAX,
  WS_SUBSCRIPTIONS_MAX,
} from '../../kernel/limits.ts'
import type { Caller } from '../../service/caller.ts'
import type { HttpFloor } from '../http-floor.ts'
import type { LiveConnection } from '../live-connections.ts'
import { bytesOfJson } from '../problem.ts'
import { CLOSE } from './close-codes.ts'
import type { FrameTaker, FrameTurns } from './frame-turns.ts'
import type { FrameId, FrameReader, ProduceFrame, ReadFrame, SubscribeFrame, SubscriptionFrame } from './frames-in.ts'
import { BadFrame } from './frames-in.ts'
import { Outbox } from './outbox.ts'
import type { RecordFrames } from './record-frames.ts'
import type { SocketHealthParts } from './socket-health.ts'
import { SocketHealth } from './socket-health.ts'
import { SocketProducer } from './socket-producer.ts'
import type { SubscriptionEnd } from './subscription.ts'
import type { SlotOwner } from './subscription-slot.ts'
import { SubscriptionSlot } from './subscription-slot.ts'

const BINARY = 1003

/** As much as the operating system is asked for at once: of what filled that there is more, which would be read at once too. */
const READ_BYTES = 64 * 1024

/** How soon a client may come back to a server that has drained. */
const RECONNECT_AFTER_MS = 250

export interface SessionParts extends SocketHealthParts {
  readonly floor: HttpFloor
  readonly caller: Caller
  readonly frames: RecordFrames
  readonly reader: FrameReader
  readonly turns: FrameTurns
}

export class Session implements LiveConnection, SlotOwner, FrameTaker {
  readonly caller: Caller
  readonly outbox: Outbox
  readonly frames: RecordFrames
  readonly #socket: WebSocket
  readonly #floor: HttpFloor
  readonly #reader: FrameReader
  readonly #turns: FrameTurns
  readonly #heartbeatMs: number
  readonly #health: SocketHealth
  readonly #leave: () => void
  readonly #slots = new Map<string, SubscriptionSlot>()
  #producer: SocketProducer | undefined
  /** Frames that were read from the socket and must wait: for their turn, or until fewer are under way. */
  #inbox: Buffer[] = []
  #inFlight = 0
  #faults = 0
  /** In a row. */
  #refusals = 0
  #isReading = true
  /** So much came at once that others are to have their turn before more is read. */
  #isSated = false
  #isOver = false
  #isDraining = false
  #spokeAt: number
  #closeBy = Number.POSITIVE_INFINITY

  constructor(parts: SessionParts) {
    const { socket, connection, floor, caller, frames, reader, turns, heartbeatMs } = parts
    this.#socket = socket
    this.#floor = floor
    this.caller = caller
    this.frames = frames
    this.#reader = reader
    this.#turns = turns
    this.#heartbeatMs = heartbeatMs
    const now = floor.clock.monotonic()
    this.#spokeAt = now
    this.outbox = new Outbox(socket, floor.live, () => this.#onRoom())
    this.#health = new SocketHealth(parts, this.outbox, now)
    this.#leave = floor.live.add(this)
    connection.on('data', (bytes) => this.#onBytes(bytes.length))
    socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary))
    socket.on('close', (code) => this.#onClose(code))
    // What is wrong with its frames ws answers itself, by its close codes (1007, 1009, 1002).
    socket.on('error', () => this.#abandon('lost'))
    this.send({
      type: 'hello',
      protocol: 'events.v1',
      session: caller.requestId,
      heartbeat_ms: heartbeatMs,
      limits: {
        frame_bytes: WS_FRAME_BYTES_MAX,
        subscriptions: WS_SUBSCRIPTIONS_MAX,
        credit_records: WS_CREDIT_RECORDS_MAX,
        credit_bytes: WS_CREDIT_BYTES_MAX,
        produces_in_flight: WS_PRODUCES_IN_FLIGHT_MAX,
      },
    })
  }

  send(frame: object): void {
    this.outbox.send(bytesOfJson(frame))
  }

  /** Answers a command that has an id. */
  answer(id: FrameId | undefined, members: object): void {
    this.#refusals = 0
    if (id !== undefined) this.send({ type: 'ok', id, ...members })
  }

  answerText(id: FrameId, members: string): void {
    this.#refusals = 0
    this.outbox.send(Buffer.from(`{"type":"ok","id":${JSON.stringify(id)},${members.trimEnd().slice(1)}`))
  }

  onProduced(): void {
    this.#work()
  }

  refuse(id: FrameId | undefined, sub: string | undefined, failure: TailraceError): void {
    const { results, ...details } = failure.details
    this.send({
      type: 'error',
      ...(id === undefined ? {} : { id }),
      ...(sub === undefined ? {} : { sub }),
      code: failure.code,
      message: failure.message,
      retryable: failure.retriable,
      details,
      ...(results === undefined ? {} : { results }),
    })
    if (!failure.retriable && ++this.#refusals > WS_REFUSALS_MAX) this.#close(CLOSE.limit, 'too many refused commands')
  }

  warningsOf(frame: SubscribeFrame | ProduceFrame): readonly string[] {
    return this.#reader.warningsOf(frame)
  }

  ended(name: string): void {
    this.#slots.get(name)?.ended()
  }

  supersede(reason: string): void {
    // what it is told of that goes out first
    setImmediate(() => this.#close(CLOSE.superseded, closeReason(reason)))
  }

  sweep(now: number): void {
    if (now >= this.#closeBy) {
      this.#socket.terminate()
      return
    }
    if (this.#closeBy !== Number.POSITIVE_INFINITY) return
    const fault = this.#health.check(now, this.#isReading)
    if (fault !== undefined) this.#close(fault.code, fault.reason)
    else this.#heartbeat(now)
  }

  /** No more records, and time to commit those that were sent. Commands are done until the end. */
  drain(): void {
    if (this.#isDraining || this.#isOver) return
    this.#isDraining = true
    const { clock, options } = this.#floor
    this.outbox.isClosing = true
    this.send({ type: 'draining', close_in_ms: WS_DRAIN_MS, reconnect_after_ms: RECONNECT_AFTER_MS })
    const deadline = clock.monotonic() + options.shutdownGraceMs / 2
    clock.after(WS_DRAIN_MS, () => this.#finish(deadline))
    clock.after(options.shutdownGraceMs, () => this.#socket.terminate())
  }

  /** Whoever was promised an answer has it. */
  #finish(deadline: number): void {
    const { clock } = this.#floor
    const isBusy = this.#inFlight > 0 || (this.#producer?.unanswered ?? 0) > 0 || this.outbox.pendingBytes > 0
    if (isBusy && clock.monotonic() < deadline) clock.after(WS_DRAIN_MS, () => this.#finish(deadline))
    else this.#close(CLOSE.draining, 'the server is closing')
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    this.#health.onFrame()
    if (this.#isOver) return
    if (isBinary) {
      this.#close(BINARY, 'frames are text')
      return
    }
    this.#inbox.push(data as Buffer)
    this.#work()
  }

  /** Called behind the frames that the bytes held: small ones are many, and some are nobody's but the library's. */
  #onBytes(count: number): void {
    if (count < READ_BYTES || this.#isSated) return
    this.#isSated = true
    this.#pace()
    setImmediate(() => {
      this.#isSated = false
      this.#pace()
    })
  }

  /** Something has come, or there is room again. */
  #work(): void {
    if (this.#inbox.length > 0 && this.#takesMore()) this.#turns.add(this)
    this.#pace()
  }

  takeFrame(): boolean {
    if (!this.#takesMore()) return false
    try {
      const bytes = this.#inbox.shift()
      if (bytes !== undefined) this.#take(bytes)
    } catch (error) {
      this.#floor.logger.error({ error, requestId: this.caller.requestId }, 'a WebSocket failed')
      this.#close(CLOSE.internal, 'an unexpected failure inside the server')
    }
    this.#pace()
    return this.#inbox.length > 0 && this.#takesMore()
  }

  /** Reads on when all that was read is done. */
  #pace(): void {
    const shallRead = this.#inbox.length === 0 && !this.#isSated && this.#takesMore()
    if (shallRead === this.#isReading || this.#isOver) return
    this.#isReading = shallRead
    if (shallRead) this.#socket.resume()
    else this.#socket.pause()
  }

  /** Who does not take the answers is not asked for more, nor who has asked for much that is still to be answered. */
  #takesMore(): boolean {
    const promisedBytes = this.#producer?.heldBytes ?? 0
    return this.#inFlight < WS_COMMANDS_IN_FLIGHT_MAX && !this.outbox.isFull(promisedBytes) && !this.#isOver
  }

  #take(bytes: Buffer): void {
    const read = this.#reader.read(bytes)
    if (read instanceof BadFrame) {
      this.refuse(read.id, read.sub, read.error)
      this.#fault(CLOSE.badRequest, 'too many frames that are not as they should be')
      return
    }
    const { frame } = read
    switch (frame.type) {
      case 'ping':
        this.#pong(frame.id)
        return
      case 'produce':
        this.#produce(read, bytes)
        return
      default:
        this.#forward(frame)
    }
  }

  /** A client may err, but not without end. */
  #fault(code: number, reason: string): void {
    this.#faults++
    if (this.#faults > WS_FAULTS_MAX) this.#close(code, reason)
  }

  #pong(id?: FrameId): void {
    const time = new Date(this.#floor.clock.now()).toISOString()
    this.send({ type: 'pong', ...(id === undefined ? {} : { id }), time })
  }

  #produce(read: ReadFrame, bytes: Buffer): void {
    this.#producer ??= new SocketProducer(this.#floor, this)
    this.#producer.produce(read, bytes)
  }

  #forward(frame: SubscriptionFrame): void {
    let slot = this.#slots.get(frame.sub)
    if (slot === undefined) {
      if (frame.type !== 'subscribe') {
        this.refuse(frame.id, frame.sub, noSubscription(frame.sub))
        return
      }
      if (this.#slots.size >= WS_SUBSCRIPTIONS_MAX) {
        this.refuse(frame.id, frame.sub, tooManySubscriptions())
        this.#fault(CLOSE.limit, 'too many subscriptions')
        return
      }
      slot = new SubscriptionSlot(frame.sub, this.#floor, this, () => this.#slots.delete(frame.sub))
      this.#slots.set(frame.sub, slot)
    }
    const done = slot.take(frame)
    if (done === undefined) return
    this.#inFlight++
    void done.then(() => {
      this.#inFlight--
      this.#work()
    })
  }

  #onRoom(): void {
    for (const slot of this.#slots.values()) slot.wake()
    this.#work()
  }

  #heartbeat(now: number): void {
    for (const slot of this.#slots.values()) slot.heartbeat(now, this.#heartbeatMs)
    if (this.#slots.size > 0) this.#spokeAt = now
    if (now - this.#spokeAt < this.#heartbeatMs) return
    this.#spokeAt = now
    this.#pong()
  }

  #close(code: number, reason: string): void {
    if (this.#isOver) return
    this.#abandon(code === CLOSE.draining ? 'away' : 'lost')
    this.#socket.close(code, reason)
    this.#socket.resume()
  }

  /** It ends, with the other side's consent or without. */
  #abandon(why: SubscriptionEnd): void {
    if (this.#isOver) return
    this.#closeBy = this.#floor.clock.monotonic() + WS_CLOSE_MS_MAX
    this.#end(why)
  }

  /** Nothing more is taken from the client or sent to it. */
  #end(why: SubscriptionEnd): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#inbox = []
    this.#health.end()
    this.outbox.close()
    for (const slot of this.#slots.values()) slot.lose(why)
  }

  #onClose(code: number): void {
    this.#leave()
    this.#end(ENDS.get(code) ?? 'lost')
  }
}

/** What a client says with the code that it closes with: done, going away, nothing in particular. */
const ENDS: ReadonlyMap<number, SubscriptionEnd> = new Map([
  [1000, 'left'],
  [1001, 'away'],
  [1005, 'away'],
])

function noSubscription(sub: string): TailraceError {
  return new TailraceError('subscription_not_found', `there is no subscription '${sub}' on this socket`, { sub })
}

function tooManySubscriptions(): TailraceError {
  const detail = `this socket has ${WS_SUBSCRIPTIONS_MAX} subscriptions, which is as many as it may have`
  return new TailraceError('policy_violation', detail, { max: WS_SUBSCRIPTIONS_MAX })
}

/** The protocol has room for 123 bytes. */
function closeReason(text: string): string {
  return text.length <= 100 && /^[ -~]*$/.test(text) ? text : 'another connection has taken its place'
}
