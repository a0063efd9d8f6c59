// One connection that tails a topic of one partition, read as cheaply as can be, because hundreds of them share the load
// generator's core: of a WebSocket the frames' headers are walked, of a frame or an event stream only the offsets are looked
// at. A sample of them can be asked to parse all that comes. A gap or a repeat fails the job, whoever sees it.
// Hot path: all connections of the process read into one buffer, and a frame that arrives whole is looked at in place.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { FrameWalker, maskedFrame, OPCODE } from './web-socket-frames.ts'

export interface TailReaderOptions {
  readonly port: number
  readonly topic: string
  readonly transport: 'websocket' | 'events'
  readonly from: 'latest' | 'earliest'
  /** Every record is parsed. */
  readonly isSample: boolean
  /** It reads nothing from the moment on when the server has begun. */
  readonly isStalled?: boolean
  /** `start` to `end` of the bytes are records; `count` of them have come. */
  onRecords(reader: TailReader, count: number, bytes: Buffer, start: number, end: number): void
  onReady(reader: TailReader): void
  /** `code` of a close frame; undefined: the connection ended without one. */
  onClosed(reader: TailReader, code: number | undefined): void
  onFailure(error: Error): void
}

const READ_BUFFER = Buffer.allocUnsafeSlow(512 * 1024)
const HEAD_BYTES_MAX = 16 * 1024
const OFFSET = Buffer.from('"offset":')
const HEAD_END = Buffer.from('\r\n\r\n')
/** An offset and what stands before and behind it. */
const SEAM_BYTES = 32
const LF = 0x0a
const SOCKET_KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

export class TailReader {
  readonly #options: TailReaderOptions
  readonly #socket: Socket
  readonly #frames: FrameWalker | undefined
  #head: Buffer | undefined = Buffer.alloc(0)
  /** Of an event stream: the end of the last read, before the next. */
  #seam: Buffer<ArrayBufferLike> = Buffer.alloc(0)
  #isChunked = false
  /** Of a chunk: what is still to come of its bytes, and the size line so far, in front of it. */
  #chunkLeft = 0
  #sizeLine = ''
  #isReady = false
  #closeCode: number | undefined
  #isOver = false
  /** undefined until the first record. */
  nextOffset: number | undefined
  recordCount = 0

  constructor(options: TailReaderOptions) {
    this.#options = options
    const { port, transport } = options
    if (transport === 'websocket') {
      this.#frames = new FrameWalker((opcode, bytes, start, end) => this.#takeFrame(opcode, bytes, start, end))
    }
    const take = (byteCount: number, bytes: Uint8Array) => {
      try {
        this.#read(bytes as Buffer, byteCount)
      } catch (error) {
        this.#fail(error as Error)
      }
      return true
    }
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: READ_BUFFER, callback: take },
    })
    this.#socket.on('connect', () => this.#socket.write(transport === 'websocket' ? this.#upgrade() : this.#get()))
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') this.#fail(error)
    })
    this.#socket.on('close', () => {
      if (!this.#isOver) options.onClosed(this, this.#closeCode)
    })
  }

  /** Of a stalled one: a sign of life, which fails once the server has closed. */
  prod(): void {
    this.#socket.write(maskedFrame(OPCODE.pong, Buffer.alloc(0)))
  }

  close(): void {
    this.#isOver = true
    this.#socket.destroy()
  }

  #upgrade(): string {
    return `GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${SOCKET_KEY}\r\nSec-WebSocket-Protocol: events.v1.json\r\n\r\n`
  }

  #get(): string {
    const { topic, from } = this.#options
    return `GET /v1/topics/${topic}/events?from=${from} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n`
  }

  #subscribe(): Buffer {
    const { topic, from } = this.#options
    const credit = { records: -1 }
    return maskedFrame(
      OPCODE.text,
      Buffer.from(JSON.stringify({ type: 'subscribe', id: 1, sub: 'a', topics: [topic], from, credit })),
    )
  }

  #read(bytes: Buffer, byteCount: number): void {
    let start = 0
    if (this.#head !== undefined) {
      this.#head = Buffer.concat([this.#head, bytes.subarray(0, byteCount)])
      const headEnd = this.#head.indexOf(HEAD_END)
      assert.ok(headEnd >= 0 || this.#head.length < HEAD_BYTES_MAX, 'the reply has no end of its headers')
      if (headEnd < 0) return
      this.#begin(this.#head.toString('latin1', 0, headEnd))
      start = byteCount - (this.#head.length - headEnd - HEAD_END.length)
      this.#head = undefined
    }
    if (start === byteCount) return
    if (this.#frames) this.#frames.read(bytes, start, byteCount)
    else if (this.#isChunked) this.#takeChunks(bytes, start, byteCount)
    else this.#takeEvents(bytes, start, byteCount)
  }

  #begin(head: string): void {
    const isSocket = this.#frames !== undefined
    assert.match(head, isSocket ? /^HTTP\/1.1 101 / : /^HTTP\/1.1 200 /, head)
    this.#isChunked = /^transfer-encoding: *chunked/im.test(head)
    if (isSocket) this.#socket.write(this.#subscribe())
    else this.#ready()
  }

  #ready(): void {
    this.#isReady = true
    if (this.#options.isStalled) this.#socket.pause()
    this.#options.onReady(this)
  }

  #takeFrame(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode === OPCODE.text) this.#takeText(bytes, start, end)
    else if (opcode === OPCODE.ping) this.#socket.write(maskedFrame(OPCODE.pong, bytes.subarray(start, end)))
    else if (opcode === OPCODE.close) this.#closeCode = end - start < 2 ? 1005 : bytes.readUInt16BE(start)
    else assert.fail(`a frame of opcode ${opcode} came`)
  }

  /** `{"type":"records"…`: the frames that come by the hundred thousand are told by the bytes where their type stands. */
  #takeText(bytes: Buffer, start: number, end: number): void {
    if (bytes[start + 9] === 0x72 && bytes[start + 11] === 0x63) {
      this.#takeRecords(bytes, start, end)
      return
    }
    const frame = JSON.parse(bytes.toString('utf8', start, end)) as { type: string }
    if (frame.type === 'ok' && !this.#isReady) this.#ready()
    else if (frame.type !== 'hello' && frame.type !== 'progress') assert.fail(JSON.stringify(frame))
  }

  #takeRecords(bytes: Buffer, start: number, end: number): void {
    const frame = bytes.subarray(start, end)
    const first = offsetAt(frame, frame.indexOf(OFFSET), frame.length)
    const last = offsetAt(frame, frame.lastIndexOf(OFFSET), frame.length)
    if (first < 0 || last < first) throw new Error(`a frame has no offsets: ${frame.toString('utf8', 0, 200)}`)
    if (this.#options.isSample) this.#parse(frame, first, last)
    this.#took(first, last, bytes, start, end)
  }

  /** `size CRLF bytes CRLF …` */
  #takeChunks(bytes: Buffer, start: number, end: number): void {
    let position = start
    while (position < end) {
      const step = Math.min(this.#chunkLeft, end - position)
      if (step > 0) this.#takeEvents(bytes, position, position + step)
      this.#chunkLeft -= step
      position += step
      while (this.#chunkLeft === 0 && position < end) {
        const byte = bytes[position]!
        position += 1
        if (byte !== LF) this.#sizeLine += String.fromCharCode(byte)
        else {
          // the line break behind a chunk's bytes is an empty one
          this.#chunkLeft = Number.parseInt(this.#sizeLine, 16) || 0
          this.#sizeLine = ''
        }
      }
    }
  }

  /** Reads end anywhere: an offset that is cut is found when the next read is there. */
  #takeEvents(bytes: Buffer, start: number, end: number): void {
    const seam = this.#seam.length
    const joined =
      seam === 0 ? undefined : Buffer.concat([this.#seam, bytes.subarray(start, Math.min(end, start + SEAM_BYTES))])
    const read = bytes.subarray(start, end)
    let last = lastOffset(read)
    let first = firstOffset(read)
    if (joined !== undefined) {
      const cut = lastOffset(joined)
      if (cut >= 0) {
        first = cut
        if (last < 0) last = cut
      }
    }
    this.#seam = Buffer.from(read.subarray(Math.max(0, read.length - SEAM_BYTES)))
    if (last < 0 || last === (this.nextOffset ?? 0) - 1) return
    this.#took(Math.max(first, this.nextOffset ?? first), last, bytes, start, end)
  }

  #took(first: number, last: number, bytes: Buffer, start: number, end: number): void {
    const expected = this.nextOffset ?? first
    if (first !== expected) throw new Error(`offset ${first} came in place of ${expected}`)
    this.nextOffset = last + 1
    this.recordCount += last + 1 - first
    this.#options.onRecords(this, last + 1 - first, bytes, start, end)
  }

  #parse(frame: Buffer, first: number, last: number): void {
    const { records } = JSON.parse(frame.toString()) as { records: { topic: string; offset: number; value: object }[] }
    assert.equal(records.length, last + 1 - first, 'a frame has other records than its offsets say')
    for (const [index, { topic, offset, value }] of records.entries()) {
      assert.equal(topic, this.#options.topic)
      assert.equal(offset, first + index)
      assert.equal(typeof value, 'object')
    }
  }

  #fail(error: Error): void {
    this.close()
    this.#options.onFailure(error)
  }
}

function firstOffset(bytes: Buffer): number {
  return offsetAt(bytes, bytes.indexOf(OFFSET), bytes.length)
}

/** The last one whose end is there; -1: none. */
function lastOffset(bytes: Buffer): number {
  let at = bytes.lastIndexOf(OFFSET)
  let offset = offsetAt(bytes, at, bytes.length)
  if (offset < 0 && at > 0) {
    at = bytes.lastIndexOf(OFFSET, at - 1)
    offset = offsetAt(bytes, at, bytes.length)
  }
  return offset
}

/** -1: none is there, or its end is not. */
function offsetAt(bytes: Buffer, at: number, end: number): number {
  if (at < 0) return -1
  let value = 0
  for (let position = at + OFFSET.length; position < end; position += 1) {
    const digit = bytes[position]! - 48
    if (digit < 0 || digit > 9) return value
    value = value * 10 + digit
  }
  return -1
}
