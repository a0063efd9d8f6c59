// Walks a segment file from its first byte in chunks of whole batches, in one piece of memory that is used again: for the
// cleaner, which reads whole partitions and must hold little. Each batch's length and place are checked here, and its
// checksum when it is asked for; what is wrong is corrupt_message with file, position and offset.

import { TailraceError } from '../kernel/errors.ts'
import {
  BATCH_HEADER_BYTES,
  batchBaseOffsetAt,
  batchCrcAt,
  batchLastOffsetAt,
  batchMagicAt,
  batchSizeAt,
  computeBatchCrcOfView,
  MAGIC,
} from '../record/record-batch.ts'
import type { Segment } from './log-segment.ts'
import type { SegmentFile } from './segment-file.ts'

const CHUNK_BYTES = 1024 * 1024

export class BatchChunks {
  /** The present chunk: whole batches from 0 to `end`. Its memory is read into again by the next one. */
  bytes: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  end = 0
  /** Of the present chunk's first byte in the file. */
  position = 0

  #view = viewOf(this.bytes)
  #file: SegmentFile | undefined
  #path = ''
  #fileEnd = 0
  /** The offset that the next batch must not be below. */
  #nextOffset = 0

  /** Begins with a segment's file. */
  open(file: SegmentFile, path: string, { sizeBytes, baseOffset }: Segment): void {
    this.#file = file
    this.#path = path
    this.#fileEnd = sizeBytes
    this.#nextOffset = baseOffset
    this.position = 0
    this.end = 0
  }

  /** Reads the next chunk; false at the end. */
  async next(): Promise<boolean> {
    this.position += this.end
    this.end = 0
    if (this.position >= this.#fileEnd) return false
    let wanted = CHUNK_BYTES
    while (this.end === 0) {
      const length = Math.min(wanted, this.#fileEnd - this.position)
      this.#resize(Math.max(CHUNK_BYTES, length))
      await this.#fill(length)
      wanted = this.#takeWhole(length)
    }
    return true
  }

  /** Throws corrupt_message unless the batch at a place of the chunk has the checksum that its header says. */
  checkCrc(at: number): void {
    const actual = computeBatchCrcOfView(this.#view, at, batchSizeAt(this.bytes, at))
    if (actual !== batchCrcAt(this.bytes, at)) throw this.corrupt(at, 'its checksum does not fit')
  }

  /** What is wrong with the batch at a place of the chunk, as corrupt_message. */
  corrupt(at: number, what: string, cause?: unknown): TailraceError {
    const position = this.position + at
    const offset = at + 8 <= this.bytes.length ? batchBaseOffsetAt(this.bytes, at) : -1
    return new TailraceError(
      'corrupt_message',
      `bad batch in ${this.#path} at position ${position}, offset ${offset}: ${what}`,
      { file: this.#path, position, offset },
      { cause },
    )
  }

  #resize(length: number): void {
    if (this.bytes.length === length) return
    this.bytes = Buffer.allocUnsafeSlow(length)
    this.#view = viewOf(this.bytes)
  }

  async #fill(length: number): Promise<void> {
    const target = length === this.bytes.length ? this.bytes : this.bytes.subarray(0, length)
    const filled = (await this.#file?.read(target, this.position)) ?? 0
    if (filled === length) return
    const end = this.position + filled
    throw new TailraceError(
      'corrupt_message',
      `${this.#path} ends at ${end}, before ${this.#fileEnd}: the file was cut from outside`,
      { file: this.#path, position: end, offset: this.#nextOffset },
    )
  }

  /** Takes the whole batches of what was read; answers how much to read if the first one is longer than that. */
  #takeWhole(length: number): number {
    const { bytes } = this
    let at = 0
    while (at + BATCH_HEADER_BYTES <= length) {
      const sizeBytes = this.#checkedSize(at)
      if (at + sizeBytes > length) {
        this.end = at
        return sizeBytes
      }
      this.#nextOffset = batchLastOffsetAt(bytes, at) + 1
      at += sizeBytes
    }
    if (at === 0) throw this.corrupt(0, 'it is cut')
    this.end = at
    return CHUNK_BYTES
  }

  #checkedSize(at: number): number {
    const { bytes } = this
    const sizeBytes = batchSizeAt(bytes, at)
    if (sizeBytes < BATCH_HEADER_BYTES || this.position + at + sizeBytes > this.#fileEnd) {
      throw this.corrupt(at, `its length says ${sizeBytes} bytes`)
    }
    if (batchMagicAt(bytes, at) !== MAGIC) throw this.corrupt(at, `its magic is ${batchMagicAt(bytes, at)}`)
    const baseOffset = batchBaseOffsetAt(bytes, at)
    if (!(baseOffset >= this.#nextOffset) || batchLastOffsetAt(bytes, at) < baseOffset) {
      throw this.corrupt(at, `offset ${this.#nextOffset} or more was due`)
    }
    return sizeBytes
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
