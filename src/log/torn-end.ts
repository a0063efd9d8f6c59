// Whether bytes behind the good batches of a last segment are what a crash leaves of a write that was never synced, which
// is cut off, or damage, which is not. Decides from the bytes alone; what is known besides is the caller's.

import {
  BATCH_HEADER_BYTES,
  batchCrcAt,
  batchSizeAt,
  computeBatchCrc,
  LOG_OVERHEAD_BYTES,
} from '../record/record-batch.ts'
import { findGoodBatchIn } from './good-batch.ts'

const SECTOR_BYTES = 512
const OFFSET_BYTES = 8

/** Why the bytes from a position of a file on, where an offset was due, are no torn end; undefined: they are one. */
export function faultOfTornEnd(rest: Buffer, position: number, due: number): string | undefined {
  const isTorn = isTornOffset(rest, position, due)
  const next = findGoodBatchIn(rest, due)
  if (next !== undefined && !isTorn && !hasZeroSector(rest, position, next)) {
    return `a good batch follows at position ${position + next}`
  }
  return hasChecksum(rest) && !isTorn ? 'its checksum fits' : undefined
}

/**
 * Whether a sector of the file was never written: all zeros from a bad batch's first byte on. Of the first sector only the
 * part that belongs to the batch counts, and only if it is long enough to show that: a batch begins with an offset, which
 * may be zeros, and a length, which may not. So too the last one may hold the first zeros of the next good batch.
 */
function hasZeroSector(rest: Buffer, position: number, end: number): boolean {
  let start = 0
  while (start < end) {
    const next = start + SECTOR_BYTES - ((position + start) % SECTOR_BYTES)
    const sector = rest.subarray(start, next)
    if (sector.length >= LOG_OVERHEAD_BYTES && sector.every((byte) => byte === 0)) return true
    start = next
  }
  return false
}

/** Whether the first batch is whole, but for what the checksum does not cover. */
function hasChecksum(rest: Buffer): boolean {
  if (rest.length < BATCH_HEADER_BYTES) return false
  const sizeBytes = batchSizeAt(rest, 0)
  if (sizeBytes < BATCH_HEADER_BYTES || sizeBytes > rest.length) return false
  return batchCrcAt(rest, 0) === computeBatchCrc(rest, 0, sizeBytes)
}

/**
 * Whether the base offset is what it should be but for a front part that lies in another sector and was never written, and
 * with it the first zeros of the length at most. A batch that is whole otherwise was synced.
 */
function isTornOffset(rest: Buffer, position: number, due: number): boolean {
  const lost = SECTOR_BYTES - (position % SECTOR_BYTES)
  if (lost >= LOG_OVERHEAD_BYTES || rest.length < OFFSET_BYTES) return false
  const offset = Buffer.alloc(OFFSET_BYTES)
  offset.writeBigInt64BE(BigInt(due))
  const present = rest.subarray(0, OFFSET_BYTES)
  return !offset.equals(present) && offset.fill(0, 0, Math.min(lost, OFFSET_BYTES)).equals(present)
}
