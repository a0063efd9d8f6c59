// A client of GET /v1/ws for tests. Every frame in both directions is held against its schema; frames that come wait until
// a test takes them, by what they are, so that a test says what it expects and nothing of when.

import assert from 'node:assert/strict'
import { WebSocket } from 'ws'
import { checkFrame } from './frames.ts'

export interface FrameRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp?: string | null
  readonly key?: unknown
  readonly value?: unknown
  readonly headers?: readonly { readonly name: string; readonly value: string | null }[]
  readonly attempts?: number
}

export interface FramePartition {
  readonly topic: string
  readonly partition: number
  readonly position: number
}

/** A frame to send: its schema says what it may have. */
export interface SentFrame {
  readonly type: string
  readonly [member: string]: unknown
}

/** A frame that came: its schema says what it has. */
export interface Frame extends SentFrame {
  readonly type: string
  readonly id?: number | string
  readonly sub?: string
  readonly gen?: number
  readonly cursor?: string
  readonly records?: readonly FrameRecord[]
  readonly assignment?: readonly FramePartition[]
  readonly code?: string
  readonly message?: string
  readonly details?: Readonly<Record<string, unknown>>
  readonly reason?: string
}

interface TestContext {
  after(cleanUp: () => Promise<void> | void): void
}

export interface SocketOptions {
  readonly path?: string
  readonly protocols?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
  /** Answers the server's pings; true if not said. */
  readonly autoPong?: boolean
}

export interface ClosedSocket {
  readonly code: number
  readonly reason: string
}

const WAIT_MS = 10_000

export class TestSocket {
  readonly socket: WebSocket
  /** All that came, in order. */
  readonly received: Frame[] = []
  readonly closed: Promise<ClosedSocket>
  /** Not taken by a test yet. */
  #waiting: Frame[] = []
  #takers: (() => void)[] = []
  #isClosed = false
  #fault: unknown
  #id = 0

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data, isBinary) => {
      try {
        assert.ok(!isBinary, 'frames are text')
        const frame = JSON.parse(String(data)) as Frame
        checkFrame('server', frame)
        this.received.push(frame)
        this.#waiting.push(frame)
      } catch (error) {
        this.#fault = error
      }
      this.#wake()
    })
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.#isClosed = true
        this.#wake()
        resolve({ code, reason: reason.toString() })
      })
    })
    socket.on('error', () => undefined)
  }

  /** Sends what the schema allows. */
  send(frame: SentFrame): void {
    checkFrame('client', frame)
    this.socket.send(JSON.stringify(frame))
  }

  /** Sends anything. */
  sendRaw(text: string | Buffer): void {
    this.socket.send(text)
  }

  /** Sends a command under an id of its own, and gives the ok or error that answers it. */
  async ask(frame: SentFrame): Promise<Frame> {
    const id = ++this.#id
    this.send({ ...frame, id })
    return await this.take(
      (answer) => (answer.type === 'ok' || answer.type === 'error' || answer.type === 'pong') && answer.id === id,
    )
  }

  /** As ask, and it must be an ok. */
  async command(frame: SentFrame): Promise<Frame> {
    const answer = await this.ask(frame)
    assert.notEqual(answer.type, 'error', `${JSON.stringify(frame).slice(0, 300)} -> ${JSON.stringify(answer)}`)
    return answer
  }

  /** The first frame that came, or will come, that is so and was not taken yet. Those in front of it stay. */
  async take(wanted: string | ((frame: Frame) => boolean)): Promise<Frame> {
    const isWanted = typeof wanted === 'string' ? (frame: Frame) => frame.type === wanted : wanted
    const deadline = Date.now() + WAIT_MS
    for (;;) {
      if (this.#fault !== undefined) throw this.#fault
      const at = this.#waiting.findIndex(isWanted)
      if (at >= 0) return this.#waiting.splice(at, 1)[0] as Frame
      const shown = () => JSON.stringify(this.#waiting.slice(-5)).slice(0, 1_000)
      assert.ok(!this.#isClosed, `the socket closed before ${wanted} came; there were ${shown()}`)
      assert.ok(Date.now() < deadline, `${wanted} did not come; there were ${shown()}`)
      await this.#change(deadline - Date.now())
    }
  }

  /** Records of a subscription until there are so many; more than that is an error. */
  async records(sub: string, count: number): Promise<readonly FrameRecord[]> {
    const records: FrameRecord[] = []
    while (records.length < count) {
      const frame = await this.take((frame) => frame.type === 'records' && frame.sub === sub)
      records.push(...(frame.records ?? []))
    }
    assert.equal(records.length, count, 'no more than were asked for')
    return records
  }

  async close(code = 1000): Promise<ClosedSocket> {
    this.socket.close(code)
    return await this.closed
  }

  #wake(): void {
    const takers = this.#takers
    this.#takers = []
    for (const taker of takers) taker()
  }

  #change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(1, ms))
      this.#takers.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}

/** An open socket whose hello was taken; closed with the test. */
export async function openSocket(
  t: TestContext,
  { port }: { readonly port: number },
  { path = '/v1/ws', protocols = ['events.v1.json'], headers = {}, autoPong = true }: SocketOptions = {},
): Promise<TestSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, [...protocols], { headers, autoPong })
  t.after(() => socket.terminate())
  const client = new TestSocket(socket)
  await client.take('hello')
  return client
}
