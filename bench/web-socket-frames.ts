// The messages of a WebSocket as a client sees them (RFC 6455 section 5), for readers that look at headers and little else.
// The server's frames are neither masked nor compressed; one that is cut in two by the end of a read is joined, and so are
// the fragments of a message.

export const OPCODE = { continuation: 0, text: 1, close: 8, ping: 9, pong: 10 } as const

type OnMessage = (opcode: number, bytes: Buffer, start: number, end: number) => void

export class FrameWalker {
  readonly #onMessage: OnMessage
  /** A frame whose end has not come: its bytes so far, in a buffer that is used again. */
  readonly #cut = new GrowingBytes()
  readonly #fragments = new GrowingBytes()
  #fragmentsOpcode = 0

  constructor(onMessage: OnMessage) {
    this.#onMessage = onMessage
  }

  read(bytes: Buffer, start: number, end: number): void {
    const cut = this.#cut
    let position = start
    while (cut.length > 0 && position < end) {
      const step = Math.min(frameBytes(cut.bytes, 0, cut.length) - cut.length, end - position)
      cut.add(bytes, position, position + step)
      position += step
      const { length } = cut
      if (frameBytes(cut.bytes, 0, length) > length) continue
      cut.length = 0
      this.#give(cut.bytes, 0, length)
    }
    while (position < end) {
      const length = frameBytes(bytes, position, end)
      if (length > end - position) break
      this.#give(bytes, position, position + length)
      position += length
    }
    if (position < end) cut.add(bytes, position, end)
  }

  #give(bytes: Buffer, start: number, end: number): void {
    const first = bytes[start]!
    if ((first & 0x70) !== 0) throw new Error('a frame has reserved bits')
    const opcode = first & 0x0f
    const isLast = (first & 0x80) !== 0
    const payload = start + headerBytes(bytes[start + 1]!)
    if (isLast && opcode !== OPCODE.continuation) {
      this.#onMessage(opcode, bytes, payload, end)
      return
    }
    const fragments = this.#fragments
    if ((opcode === OPCODE.continuation) !== fragments.length > 0) throw new Error('fragments are out of order')
    if (opcode !== OPCODE.continuation) this.#fragmentsOpcode = opcode
    fragments.add(bytes, payload, end)
    if (!isLast) return
    const { length } = fragments
    fragments.length = 0
    this.#onMessage(this.#fragmentsOpcode, fragments.bytes, 0, length)
  }
}

/** Memory that is used again. */
class GrowingBytes {
  bytes: Buffer = Buffer.alloc(0)
  length = 0

  add(from: Buffer, start: number, end: number): void {
    const length = this.length + end - start
    if (length > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.bytes.length))
      this.bytes.copy(larger, 0, 0, this.length)
      this.bytes = larger
    }
    from.copy(this.bytes, this.length, start, end)
    this.length = length
  }
}

function headerBytes(second: number): number {
  if ((second & 0x80) !== 0) throw new Error('the server masks a frame')
  return second === 127 ? 10 : second === 126 ? 4 : 2
}

/** Of the frame that begins there, header and all; more than there is where its length cannot be told yet. */
function frameBytes(bytes: Buffer, start: number, end: number): number {
  const known = end - start
  if (known < 2) return known + 1
  const second = bytes[start + 1]!
  const header = headerBytes(second)
  if (known < header) return header
  if (header === 2) return 2 + second
  return header + (header === 4 ? bytes.readUInt16BE(start + 2) : bytes.readUInt32BE(start + 6))
}

/** A client's frame; its mask is zero, so the payload stands as it is. */
export function maskedFrame(opcode: number, payload: Uint8Array): Buffer {
  const length = payload.length
  const short = length < 126
  const frame = Buffer.alloc((short ? 6 : 8) + length)
  frame[0] = 0x80 | opcode
  frame[1] = 0x80 | (short ? length : 126)
  if (!short) frame.writeUInt16BE(length, 2)
  frame.set(payload, frame.length - length)
  return frame
}
