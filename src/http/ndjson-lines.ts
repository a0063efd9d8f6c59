// Lines of a body that streams: found in the chunks as they come, without copying those that lie in one chunk. Memory is
// one chunk and at most one line that began in an earlier one.

const NEWLINE = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Bytes [start, end) of `bytes`, without the line's end. */
export interface LineSink {
  /** `number` counts from 1, blank lines too. */
  line(bytes: Buffer, start: number, end: number, number: number): void
  /** A line of more than lineBytesMax: passed over. */
  tooLong(number: number): void
}

export class NdjsonLines {
  readonly #sink: LineSink
  readonly #lineBytesMax: number
  #begun: Buffer[] = []
  #begunBytes = 0
  #skipping = false
  #number = 0

  constructor(sink: LineSink, lineBytesMax: number) {
    this.#sink = sink
    this.#lineBytesMax = lineBytesMax
  }

  /** The sink may keep ranges of the chunk. */
  push(chunk: Buffer): void {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#finish(chunk, start, end)
      start = end + 1
    }
    if (start < chunk.length) this.#keep(start === 0 ? chunk : chunk.subarray(start))
  }

  /** The last line may lack its end. */
  end(): void {
    if (this.#begunBytes > 0 || this.#skipping) this.#finish(NO_BYTES, 0, 0)
  }

  #finish(chunk: Buffer, start: number, end: number): void {
    this.#number++
    if (this.#skipping) {
      this.#skipping = false
      this.#sink.tooLong(this.#number)
    } else if (this.#begunBytes === 0) {
      this.#give(chunk, start, end)
    } else {
      this.#begun.push(chunk.subarray(start, end))
      const line = Buffer.concat(this.#begun)
      this.#begun = []
      this.#begunBytes = 0
      this.#give(line, 0, line.length)
    }
  }

  #give(bytes: Buffer, start: number, end: number): void {
    if (end - start > this.#lineBytesMax) this.#sink.tooLong(this.#number)
    else this.#sink.line(bytes, start, bytes[end - 1] === CARRIAGE_RETURN && end > start ? end - 1 : end, this.#number)
  }

  #keep(rest: Buffer): void {
    if (this.#skipping) return
    this.#begun.push(rest)
    this.#begunBytes += rest.length
    if (this.#begunBytes <= this.#lineBytesMax) return
    this.#begun = []
    this.#begunBytes = 0
    this.#skipping = true
  }
}

const NO_BYTES = Buffer.alloc(0)
