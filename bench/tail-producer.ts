// Records for tails: JSON values of 100 bytes that begin with the moment at which they were sent, in microseconds, so that
// whoever reads one in the same process knows how long it took. At a pace, or as fast as those who read keep up with.

import { LoadConnection } from './load-connection.ts'
import { postRequest, VALUE_BYTES } from './records.ts'

export interface TailProducerOptions {
  readonly port: number
  readonly topic: string
  readonly connections: number
  readonly recordsPerRequest: number
  /** A connection has become idle. */
  onIdle(): void
  onFailure(error: Error): void
}

const TIME_DIGITS = 14
const TIME = Buffer.from('"t":"')

export class TailProducer {
  readonly #options: TailProducerOptions
  readonly #idle: Sender[] = []
  readonly #all: Sender[] = []
  readonly #due: number[] = []
  /** Sent, and sent and answered. */
  sentCount = 0
  acceptedCount = 0

  constructor(options: TailProducerOptions) {
    this.#options = options
    for (let index = 0; index < options.connections; index += 1) {
      const sender = new Sender(options, () => this.#answered(sender))
      this.#all.push(sender)
      this.#idle.push(sender)
    }
  }

  get hasIdle(): boolean {
    return this.#idle.length > 0
  }

  /** Waits for a connection if need be; dated now. */
  send(): void {
    this.sentCount += this.#options.recordsPerRequest
    const now = performance.now()
    const sender = this.#idle.pop()
    if (sender) sender.send(now)
    else this.#due.push(now)
  }

  close(): void {
    for (const sender of this.#all) sender.close()
  }

  #answered(sender: Sender): void {
    this.acceptedCount += this.#options.recordsPerRequest
    const due = this.#due.shift()
    if (due !== undefined) sender.send(due)
    else {
      this.#idle.push(sender)
      this.#options.onIdle()
    }
  }
}

class Sender {
  readonly #connection: LoadConnection
  readonly #request: Buffer
  readonly #times: number[] = []

  constructor({ port, topic, recordsPerRequest, onFailure }: TailProducerOptions, onAnswer: () => void) {
    const known = `{"t":"${'0'.repeat(TIME_DIGITS)}","note":"`
    const value = `${known}${'x'.repeat(VALUE_BYTES - known.length - 2)}"}`
    const records = Array.from({ length: recordsPerRequest }, () => `{"value":${value}}`)
    this.#request = postRequest(`/v1/topics/${topic}/records`, `{"records":[${records.join(',')}]}`)
    for (let at = this.#request.indexOf(TIME); at >= 0; at = this.#request.indexOf(TIME, at + 1)) {
      this.#times.push(at + TIME.length)
    }
    const onReply = (status: number) => {
      if (status === 200) onAnswer()
      else onFailure(new Error(`a produce got status ${status}`))
    }
    this.#connection = new LoadConnection({ port, onReply, onFailure })
  }

  /** The request's bytes are written over only after its answer, so the socket has sent them. */
  send(nowMs: number): void {
    const digits = String(Math.round(nowMs * 1_000)).padStart(TIME_DIGITS, '0')
    for (const at of this.#times) this.#request.write(digits, at, 'latin1')
    this.#connection.send(this.#request)
  }

  close(): void {
    this.#connection.close()
  }
}

/** Calls with the moment that each of the records between was sent at. */
export function eachSendTime(bytes: Buffer, start: number, end: number, call: (sentMs: number) => void): void {
  for (
    let at = bytes.indexOf(TIME, start);
    at >= 0 && at + TIME.length + TIME_DIGITS < end;
    at = bytes.indexOf(TIME, at)
  ) {
    at += TIME.length
    let micros = 0
    for (const last = at + TIME_DIGITS; at < last; at += 1) micros = micros * 10 + bytes[at]! - 48
    call(micros / 1_000)
  }
}
