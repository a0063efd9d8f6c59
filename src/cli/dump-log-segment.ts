// Reads a segment file piece by piece and finds its batches, each checked to its last record: checksum, structure, and
// that offsets rise. What is bad is named, and what is good behind it is found again. Memory is one piece, or one batch
// where that is larger.

import type { FileHandle } from 'node:fs/promises'
import { readdir } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { findGoodBatch, readAt } from '../log/good-batch.ts'
import { parseNumberedName } from '../log/log-segment.ts'
import { RecordReader, scanBatches } from '../record/batch-reader.ts'
import type { BatchHeader } from '../record/record-batch.ts'
import { BATCH_HEADER_BYTES, batchBaseOffsetAt, batchSizeAt } from '../record/record-batch.ts'
import { messageOf } from './command-failure.ts'
import type { BatchView } from './dump-log-render.ts'

const PIECE_BYTES = 4 * 1024 * 1024

/** Bytes [position, end) of a file that are no good batch. */
export interface SegmentFault {
  readonly file: string
  readonly position: number
  readonly end: number
  /** That was due there, and that of the good batch behind; undefined: none follows in the file. */
  readonly offset: number
  readonly nextOffset: number | undefined
  readonly reason: string
  /** The batch is whole but for its base offset, and only this one leaves no hole and no overlap. */
  readonly trueOffset?: number | undefined
}

export function faultLine({ file, position, offset, reason, end, nextOffset, trueOffset }: SegmentFault): string {
  const rest = nextOffset === undefined ? 'no good batch follows' : `good batches go on at ${end}, offset ${nextOffset}`
  const mend = trueOffset === undefined ? '' : `; all else in it is whole, its base offset was ${trueOffset}`
  return `${file}: bad batch at position ${position}, where offset ${offset} was due: ${reason}; ${rest}${mend}`
}

interface Held extends BatchView {
  /** The offset that was due in its place. */
  readonly due: number
}

export class SegmentBatches {
  readonly faults: SegmentFault[] = []
  readonly #handle: FileHandle
  readonly #file: string
  readonly #reader = new RecordReader({ checkCrc: false })
  #position = 0
  #due: number
  /** All offsets of the file are below it. */
  #endOffset: number
  /** Begins behind a hole: only what follows tells whether its offset is right. */
  #held: Held | undefined

  private constructor(handle: FileHandle, file: string, endOffset: number) {
    this.#handle = handle
    this.#file = file
    this.#due = parseNumberedName(basename(file))?.offset ?? 0
    this.#endOffset = endOffset
  }

  static async open(handle: FileHandle, file: string): Promise<SegmentBatches> {
    return new SegmentBatches(handle, file, await offsetBehind(file))
  }

  /** The offset behind the last good batch. */
  get nextOffset(): number {
    return this.#due
  }

  /** Where the next segment begins; infinite for the last one. */
  get endOffset(): number {
    return this.#endOffset
  }

  async *chunks(): AsyncGenerator<readonly BatchView[]> {
    const fileBytes = (await this.#handle.stat()).size
    let wanted = PIECE_BYTES
    while (this.#position < fileBytes) {
      const start = this.#position
      const bytes = await readAt(this.#source, start, Math.min(wanted, fileBytes - start))
      const scan = scanBatches(bytes)
      const { good, fault } = this.#checked(bytes, scan.batches, start)
      if (good.length > 0) yield good
      wanted = PIECE_BYTES
      if (fault !== undefined) await this.#passFault(fault, fileBytes)
      else if (scan.stop !== 'end') {
        const rest = bytes.subarray(scan.position)
        const needed = rest.length < BATCH_HEADER_BYTES ? BATCH_HEADER_BYTES : batchSizeAt(rest, 0)
        const isCutByPiece = scan.stop === 'cut' && start + scan.position + needed <= fileBytes
        if (isCutByPiece) wanted = Math.max(PIECE_BYTES, needed)
        else await this.#passFault(scan.reason, fileBytes)
      }
    }
    const last = this.#release()
    if (last !== undefined) yield [last]
  }

  readonly #source = {
    read: async (buffer: Buffer, position: number) =>
      (await this.#handle.read(buffer, 0, buffer.length, position)).bytesRead,
  }

  #checked(
    bytes: Buffer,
    batches: readonly { readonly position: number; readonly header: BatchHeader }[],
    pieceStart: number,
  ): { readonly good: BatchView[]; readonly fault: string | undefined } {
    const good: BatchView[] = []
    for (const { position, header } of batches) {
      const view = { bytes, start: position, position: pieceStart + position, header }
      const held = this.#release(header.baseOffset)
      if (held !== undefined) good.push(held)
      const fault = this.#faultOf(view)
      if (fault !== undefined) return { good, fault }
      if (header.baseOffset > this.#due) this.#held = { ...view, due: this.#due }
      else good.push(view)
      this.#position = view.position + header.sizeBytes
      this.#due = header.baseOffset + header.lastOffsetDelta + 1
    }
    return { good, fault: undefined }
  }

  /** The batch behind a hole, once it is known what follows it; a fault where that overlaps. */
  #release(nextOffset = this.#endOffset): BatchView | undefined {
    const held = this.#held
    if (held === undefined) return undefined
    this.#held = undefined
    const { baseOffset, lastOffsetDelta, sizeBytes } = held.header
    const isLast = nextOffset === Number.POSITIVE_INFINITY
    if (!isLast && baseOffset + lastOffsetDelta < nextOffset) return held
    this.#due = held.due
    const isDense = isLast || held.due + lastOffsetDelta + 1 === nextOffset
    if (isDense) this.#due = held.due + lastOffsetDelta + 1
    this.#addFault({
      position: held.position,
      end: held.position + sizeBytes,
      offset: held.due,
      nextOffset: isLast ? undefined : nextOffset,
      reason: offsetReason(held.header, held.due),
      trueOffset: isDense ? held.due : undefined,
    })
    return undefined
  }

  #faultOf({ bytes, start, header }: BatchView): string | undefined {
    if (header.baseOffset < this.#due || header.baseOffset + header.lastOffsetDelta >= this.#endOffset) {
      return offsetReason(header, this.#due)
    }
    try {
      this.#reader.open(bytes, start)
      while (this.#reader.next()) this.#reader.headers()
      return undefined
    } catch (error) {
      return messageOf(error)
    }
  }

  /** Notes the bad batch at the present position and goes to the next good one. */
  async #passFault(reason: string, fileBytes: number): Promise<void> {
    const position = this.#position
    const offset = this.#due
    const search = { position, end: fileBytes, minOffset: offset, endOffset: this.#endOffset, bytesMax: fileBytes }
    const next = await findGoodBatch(this.#source, search)
    const end = next?.position ?? fileBytes
    const trueOffset = await this.#trueOffset(position, end, next?.baseOffset ?? this.#endOffset)
    this.#addFault({ position, end, offset, nextOffset: next?.baseOffset, reason, trueOffset })
    this.#position = end
    if (next !== undefined) this.#due = next.baseOffset
  }

  /** The offset that is due, if the bad bytes are one batch whose checksum fits and whose records have room there only. */
  async #trueOffset(position: number, end: number, nextOffset: number): Promise<number | undefined> {
    const head = await readAt(this.#source, position, Math.min(BATCH_HEADER_BYTES, end - position))
    if (head.length < BATCH_HEADER_BYTES || batchSizeAt(head, 0) !== end - position) return undefined
    if (batchBaseOffsetAt(head, 0) === this.#due) return undefined
    const bytes = await readAt(this.#source, position, end - position)
    bytes.writeBigInt64BE(BigInt(this.#due), 0)
    const [batch] = scanBatches(bytes).batches
    if (batch === undefined) return undefined
    const endOffset = this.#due + batch.header.lastOffsetDelta + 1
    return endOffset === nextOffset || nextOffset === Number.POSITIVE_INFINITY ? this.#due : undefined
  }

  #addFault(fault: Omit<SegmentFault, 'file'>): void {
    this.faults.push({ file: this.#file, ...fault })
  }
}

function offsetReason({ baseOffset }: BatchHeader, due: number): string {
  return `its base offset is ${baseOffset}, and ${due} or more was due`
}

/** The base offset of the segment behind, which all offsets of the file are below; infinite for the last one. */
async function offsetBehind(file: string): Promise<number> {
  const base = parseNumberedName(basename(file))?.offset
  if (base === undefined) return Number.POSITIVE_INFINITY
  const bases = (await readdir(dirname(file))).flatMap((name) => {
    const parsed = parseNumberedName(name)
    return parsed?.kind === 'log' && parsed.offset > base ? [parsed.offset] : []
  })
  return Math.min(...bases)
}
