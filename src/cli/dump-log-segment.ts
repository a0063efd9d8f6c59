// Reads a segment file piece by piece and finds its batches, each checked to its last record: checksum, structure, and
// that offsets rise. Memory is one piece, or one batch where that is larger.

import type { FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'
import { parseNumberedName } from '../log/log-segment.ts'
import { RecordReader, scanBatches } from '../record/batch-reader.ts'
import type { BatchHeader } from '../record/record-batch.ts'
import { BATCH_HEADER_BYTES, batchSizeAt } from '../record/record-batch.ts'
import { messageOf } from './command-failure.ts'
import type { BatchView } from './dump-log-render.ts'

const PIECE_BYTES = 4 * 1024 * 1024

export class SegmentBatches {
  readonly #handle: FileHandle
  readonly #file: string
  readonly #reader = new RecordReader({ checkCrc: false })
  #position = 0
  #nextOffset: number
  #fault: string | undefined

  constructor(handle: FileHandle, file: string) {
    this.#handle = handle
    this.#file = file
    this.#nextOffset = parseNumberedName(basename(file))?.offset ?? 0
  }

  /** What ended the batches before the file did: the file, the position, the offset that was due, and why. */
  get fault(): string | undefined {
    return this.#fault
  }

  async *chunks(): AsyncGenerator<readonly BatchView[]> {
    const fileBytes = (await this.#handle.stat()).size
    let wanted = PIECE_BYTES
    while (this.#position < fileBytes) {
      const bytes = await this.#readAt(Math.min(wanted, fileBytes - this.#position))
      const scan = scanBatches(bytes)
      const start = this.#position
      const good = this.#checked(bytes, scan.batches, start)
      if (good.length > 0) yield good
      if (this.#fault !== undefined) return
      wanted = PIECE_BYTES
      if (scan.stop === 'end') continue
      const rest = bytes.subarray(scan.position)
      const needed = rest.length < BATCH_HEADER_BYTES ? BATCH_HEADER_BYTES : batchSizeAt(rest, 0)
      const isCutByPiece = scan.stop === 'cut' && needed <= fileBytes - this.#position
      if (isCutByPiece) wanted = Math.max(PIECE_BYTES, needed)
      else this.#setFault(scan.reason)
      if (this.#fault !== undefined) return
    }
  }

  async #readAt(length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length)
    const { bytesRead } = await this.#handle.read(buffer, 0, length, this.#position)
    return buffer.subarray(0, bytesRead)
  }

  #checked(
    bytes: Buffer,
    batches: readonly { readonly position: number; readonly header: BatchHeader }[],
    pieceStart: number,
  ): BatchView[] {
    const good: BatchView[] = []
    for (const { position, header } of batches) {
      const reason = this.#faultOf(bytes, position, header)
      if (reason !== undefined) {
        this.#setFault(reason)
        break
      }
      good.push({ bytes, start: position, position: pieceStart + position, header })
      this.#position = pieceStart + position + header.sizeBytes
      this.#nextOffset = header.baseOffset + header.lastOffsetDelta + 1
    }
    return good
  }

  #faultOf(bytes: Buffer, position: number, header: BatchHeader): string | undefined {
    if (header.baseOffset < this.#nextOffset) {
      return `its base offset is ${header.baseOffset}, and ${this.#nextOffset} or more was due`
    }
    try {
      this.#reader.open(bytes, position)
      while (this.#reader.next()) this.#reader.headers()
      return undefined
    } catch (error) {
      return messageOf(error)
    }
  }

  #setFault(reason: string): void {
    this.#fault = `${this.#file}: bad batch at position ${this.#position}, where offset ${this.#nextOffset} was due: ${reason}`
  }
}
