// A growable run of bytes that JSON pages, lines and frames are written into. One writer, one owner; what take() gives
// belongs to the caller. Hot path: callers reserve once and then store into `bytes` themselves.

export class ByteWriter {
  /** Where the next byte goes; everything before it is written. */
  position = 0
  bytes: Buffer

  constructor(capacity = 4096) {
    this.bytes = Buffer.allocUnsafeSlow(capacity)
  }

  /** Makes room for `count` more bytes: `bytes` may be another buffer afterwards. */
  reserve(count: number): void {
    if (this.position + count > this.bytes.length) this.#grow(count)
  }

  #grow(count: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.position + count))
    this.bytes.copy(larger, 0, 0, this.position)
    this.bytes = larger
  }

  writeByte(byte: number): void {
    this.reserve(1)
    this.bytes[this.position++] = byte
  }

  /** Text, as UTF-8. */
  writeText(text: string): void {
    this.reserve(text.length * 3)
    this.position += this.bytes.write(text, this.position)
  }

  writeBytes(source: Uint8Array, start = 0, end = source.length): void {
    this.reserve(end - start)
    this.bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), this.position)
    this.position += end - start
  }

  /** What is written so far; shares memory with the writer. */
  written(): Buffer {
    return this.bytes.subarray(0, this.position)
  }

  /** What is written so far, given away: the writer starts anew with other memory. */
  take(): Buffer {
    const taken = this.written()
    this.bytes = Buffer.allocUnsafeSlow(this.bytes.length)
    this.position = 0
    return taken
  }

  /** Forgets what is written and keeps the memory. */
  reset(): void {
    this.position = 0
  }
}
