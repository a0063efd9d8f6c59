// One keep-alive HTTP/1.1 connection of the load generator: writes prebuilt request bytes, and of a reply looks only at
// the status, Content-Length or the chunk sizes. One request at a time; bodies are counted and thrown away.
// Hot path: reads land in one buffer that is used again and again, and a reply that arrives whole is parsed in place.

import type { Socket } from 'node:net'
import { connect } from 'node:net'

export interface LoadConnectionOptions {
  readonly port: number
  onReply(status: number, bodyBytes: number): void
  onFailure(error: Error): void
}

const READ_BUFFER_BYTES = 256 * 1024
const HEAD_BYTES_MAX = 16 * 1024
const LF = 0x0a
const CR = 0x0d

export class LoadConnection {
  readonly #socket: Socket
  readonly #options: LoadConnectionOptions
  /** The beginning of a head that was cut by the end of a read. */
  #headStart: Buffer | undefined
  #status = 0
  #bodyBytes = 0
  /** Of a body with a known length: what is still to come. */
  #bodyLeft = 0
  #chunks: ChunkCounter | undefined
  #inBody = false

  constructor(options: LoadConnectionOptions) {
    this.#options = options
    const fail = (error: Error) => options.onFailure(error)
    this.#socket = connect({
      port: options.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
        callback: (byteCount, buffer) => {
          this.#read(buffer as Buffer, byteCount)
          return true
        },
      },
    })
    this.#socket.on('error', fail)
    this.#socket.on('close', () => fail(new Error('the server closed a connection')))
  }

  send(request: Uint8Array): void {
    this.#socket.write(request)
  }

  close(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }

  #read(buffer: Buffer, byteCount: number): void {
    if (this.#inBody) {
      this.#readBody(buffer, 0, byteCount)
      return
    }
    if (this.#headStart) {
      const joined = Buffer.concat([this.#headStart, buffer.subarray(0, byteCount)])
      this.#headStart = undefined
      this.#readHead(joined, joined.length)
      return
    }
    this.#readHead(buffer, byteCount)
  }

  #readHead(buffer: Buffer, end: number): void {
    const bodyStart = this.#parseHead(buffer, end)
    if (bodyStart === -1) {
      if (end > HEAD_BYTES_MAX) this.#options.onFailure(new Error('a reply has no end of its headers'))
      else this.#headStart = Buffer.from(buffer.subarray(0, end))
      return
    }
    if (this.#bodyLeft === 0 && !this.#chunks) {
      this.#replied(end - bodyStart)
      return
    }
    this.#inBody = true
    if (bodyStart < end) this.#readBody(buffer, bodyStart, end)
  }

  /** Where the body begins; -1 when the head is not complete. */
  #parseHead(buffer: Buffer, end: number): number {
    this.#bodyLeft = 0
    this.#chunks = undefined
    let lineStart = buffer.indexOf(LF) + 1
    if (lineStart === 0) return -1
    this.#status = (buffer[9]! - 48) * 100 + (buffer[10]! - 48) * 10 + (buffer[11]! - 48)
    while (lineStart < end) {
      if (buffer[lineStart] === CR && lineStart + 1 < end) return lineStart + 2
      const first = buffer[lineStart]! | 0x20
      if (first === 0x63 && isContentLength(buffer, lineStart)) this.#bodyLeft = parseDecimal(buffer, lineStart + 15)
      else if (first === 0x74 && isTransferEncoding(buffer, lineStart)) this.#chunks = new ChunkCounter()
      let position = lineStart
      while (position < end && buffer[position] !== LF) position += 1
      lineStart = position + 1
    }
    return -1
  }

  #readBody(buffer: Buffer, start: number, end: number): void {
    if (this.#chunks) {
      const rest = this.#chunks.read(buffer, start, end)
      this.#bodyBytes = this.#chunks.bodyBytes
      if (rest >= 0) this.#replied(rest)
      return
    }
    const byteCount = end - start
    this.#bodyBytes += Math.min(byteCount, this.#bodyLeft)
    this.#bodyLeft -= byteCount
    if (this.#bodyLeft <= 0) this.#replied(-this.#bodyLeft)
  }

  #replied(bytesBehind: number): void {
    if (bytesBehind > 0) {
      this.#options.onFailure(new Error(`${bytesBehind} bytes came behind a reply that no request asked for`))
      return
    }
    const bodyBytes = this.#bodyBytes
    this.#inBody = false
    this.#bodyBytes = 0
    this.#options.onReply(this.#status, bodyBytes)
  }
}

/** Walks `size CRLF bytes CRLF … 0 CRLF CRLF` and counts the bytes; trailers are not expected. */
class ChunkCounter {
  bodyBytes = 0
  #left = 0
  #part: 'size' | 'bytes' | 'crlf' | 'last' = 'size'

  /** How many bytes lie behind the body's end; -1 while it goes on. */
  read(buffer: Buffer, start: number, end: number): number {
    let position = start
    while (position < end) {
      if (this.#part === 'bytes') {
        const step = Math.min(this.#left, end - position)
        this.#left -= step
        this.bodyBytes += step
        position += step
        if (this.#left === 0) this.#part = 'crlf'
        continue
      }
      const byte = buffer[position]!
      position += 1
      if (this.#part === 'size') this.#readSizeByte(byte)
      else if (byte === LF && this.#part === 'crlf') this.#part = 'size'
      else if (byte === LF) return end - position
    }
    return -1
  }

  #readSizeByte(byte: number): void {
    if (byte === LF) this.#part = this.#left === 0 ? 'last' : 'bytes'
    else if (byte !== CR) this.#left = this.#left * 16 + Number.parseInt(String.fromCharCode(byte), 16)
  }
}

function isContentLength(buffer: Buffer, at: number): boolean {
  return buffer[at + 7] === 0x2d && (buffer[at + 8]! | 0x20) === 0x6c && buffer[at + 14] === 0x3a
}

function isTransferEncoding(buffer: Buffer, at: number): boolean {
  return buffer[at + 8] === 0x2d && (buffer[at + 9]! | 0x20) === 0x65 && buffer[at + 17] === 0x3a
}

function parseDecimal(buffer: Buffer, at: number): number {
  let position = at
  while (buffer[position] === 0x20) position += 1
  let value = 0
  for (let digit = buffer[position]! - 48; digit >= 0 && digit <= 9; digit = buffer[position]! - 48) {
    value = value * 10 + digit
    position += 1
  }
  return value
}
