// Where good batches begin again behind a bad one: what a reader is told to go on with, what recovery judges a torn end
// by, and what a repair keeps. A batch counts as good when its checksum fits and its offsets have a place between those
// that are known. Bounded memory: piece by piece, or one batch where that is larger.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { scanBatches } from '../record/batch-reader.ts'
import {
  BATCH_HEADER_BYTES,
  batchBaseOffsetAt,
  batchLastOffsetAt,
  batchMagicAt,
  batchSizeAt,
  MAGIC,
} from '../record/record-batch.ts'
import { RELATIVE_OFFSET_MAX } from './log-segment.ts'

export interface Search {
  /** Of the bad batch. */
  readonly position: number
  /** Bytes of the file that count. */
  readonly end: number
  /** Offsets that a good batch may have: from the one that was due where the bad batch stands, to below the segment's end. */
  readonly minOffset: number
  readonly endOffset: number
  /** How far to look, and how large a batch may be. */
  readonly bytesMax: number
}

/** Reads as SegmentFile does. */
export interface ByteSource {
  read(buffer: Buffer, position: number): Promise<number>
}

const PIECE_BYTES = 256 * 1024
const MAGIC_AT = 16

export interface FoundBatch {
  readonly position: number
  readonly baseOffset: number
}

/** Its base offset, if one stands at the position. */
type BatchAt = (file: ByteSource, position: number, search: Search) => Promise<number | undefined>

/** undefined: none within the bounds. */
export function findGoodBatch(file: ByteSource, search: Search): Promise<FoundBatch | undefined> {
  return findBatch(file, search, goodBatchAt)
}

/** The same of a batch that may be bad itself, but whose header could stand there. */
export function findHeader(file: ByteSource, search: Search): Promise<FoundBatch | undefined> {
  return findBatch(file, search, headerAt)
}

async function findBatch(file: ByteSource, search: Search, batchAt: BatchAt): Promise<FoundBatch | undefined> {
  // Its length may be right: then nothing inside it is taken for a batch, such as a batch that somebody stored as a value.
  const head = await readAt(file, search.position, Math.min(BATCH_HEADER_BYTES, search.end - search.position))
  if (head.length === BATCH_HEADER_BYTES) {
    const position = search.position + batchSizeAt(head, 0)
    const found = position > search.position ? await batchAt(file, position, search) : undefined
    if (found !== undefined) return { position, baseOffset: found }
  }
  const end = Math.min(search.end, search.position + search.bytesMax)
  for (let start = search.position + 1; start + BATCH_HEADER_BYTES <= end; ) {
    const bytes = await readAt(file, start, Math.min(PIECE_BYTES, end - start))
    for (let at = nextMagic(bytes, 0); at >= 0; at = nextMagic(bytes, at + 1)) {
      if (!isPlausible(bytes, at, start + at, search)) continue
      const found = await batchAt(file, start + at, search)
      if (found !== undefined) return { position: start + at, baseOffset: found }
    }
    if (bytes.length < BATCH_HEADER_BYTES) return undefined
    start += bytes.length - BATCH_HEADER_BYTES + 1
    await nextTurn()
  }
  return undefined
}

async function headerAt(file: ByteSource, position: number, search: Search): Promise<number | undefined> {
  if (position + BATCH_HEADER_BYTES > search.end) return undefined
  const head = await readAt(file, position, BATCH_HEADER_BYTES)
  return isPlausible(head, 0, position, search) ? batchBaseOffsetAt(head, 0) : undefined
}

async function goodBatchAt(file: ByteSource, position: number, search: Search): Promise<number | undefined> {
  if ((await headerAt(file, position, search)) === undefined) return undefined
  const head = await readAt(file, position, BATCH_HEADER_BYTES)
  const bytes = await readAt(file, position, batchSizeAt(head, 0))
  return scanBatches(bytes).stop === 'end' ? batchBaseOffsetAt(bytes, 0) : undefined
}

/** Where in some bytes the first good batch with a fitting offset begins, past the first byte. */
export function findGoodBatchIn(bytes: Buffer, minOffset: number): number | undefined {
  const search = { end: bytes.length, minOffset, endOffset: minOffset + RELATIVE_OFFSET_MAX, bytesMax: bytes.length }
  for (let at = nextMagic(bytes, 1); at >= 0; at = nextMagic(bytes, at + 1)) {
    if (!isPlausible(bytes, at, at, search)) continue
    if (scanBatches(bytes, at, at + batchSizeAt(bytes, at)).stop === 'end') return at
  }
  return undefined
}

/** The next place from which on a magic byte stands where a batch has it, its header whole; -1: none. */
function nextMagic(bytes: Buffer, from: number): number {
  const magic = bytes.indexOf(MAGIC, from + MAGIC_AT)
  return magic < 0 || magic - MAGIC_AT + BATCH_HEADER_BYTES > bytes.length ? -1 : magic - MAGIC_AT
}

function isPlausible(bytes: Buffer, at: number, position: number, search: Omit<Search, 'position'>): boolean {
  if (at + BATCH_HEADER_BYTES > bytes.length || batchMagicAt(bytes, at) !== MAGIC) return false
  const sizeBytes = batchSizeAt(bytes, at)
  if (sizeBytes < BATCH_HEADER_BYTES || sizeBytes > search.bytesMax || position + sizeBytes > search.end) return false
  const baseOffset = batchBaseOffsetAt(bytes, at)
  const lastOffset = batchLastOffsetAt(bytes, at)
  return baseOffset >= search.minOffset && lastOffset >= baseOffset && lastOffset < search.endOffset
}

/** Fewer bytes than asked for where the file ends. */
export async function readAt(file: ByteSource, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length)
  const bytes = await file.read(buffer, position)
  return bytes === length ? buffer : buffer.subarray(0, bytes)
}
