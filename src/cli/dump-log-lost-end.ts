// Where a log ended whose last batches are bad, by what is left of them: their headers are walked, each beginning where
// the one before ends, by offset and by position. Where that breaks off the next header is looked for, and the end is a
// guess, of which the higher one is taken: offsets that are passed over cost nothing, one given twice names two records.

import type { ByteSource } from '../log/good-batch.ts'
import { findHeader, readAt } from '../log/good-batch.ts'
import { RELATIVE_OFFSET_MAX } from '../log/log-segment.ts'
import {
  BATCH_HEADER_BYTES,
  batchBaseOffsetAt,
  batchLastOffsetDeltaAt,
  batchMagicAt,
  batchRecordCountAt,
  batchSizeAt,
  MAGIC,
} from '../record/record-batch.ts'

/** Bytes [position, end) in which no batch is good; the offset was due at their beginning. */
export interface LostTail {
  readonly position: number
  readonly end: number
  readonly offset: number
}

export interface LostEnd {
  readonly endOffset: number
  /** Records may have been there whose offsets are at or behind it. */
  readonly isGuess: boolean
}

/** How far a bad header is believed: no batch holds, and no gap of compaction is likely to be, so many offsets. */
const CLAIMED_OFFSETS_MAX = 1_000_000

/** `indexedEndOffset` is as far as index.db knew the log, which may be behind it. */
export async function findLostEnd(
  source: ByteSource,
  tail: LostTail,
  indexedEndOffset = tail.offset,
): Promise<LostEnd> {
  const walked = await walkHeaders(source, tail)
  const isMore = indexedEndOffset > walked.endOffset && indexedEndOffset - tail.offset <= RELATIVE_OFFSET_MAX
  return isMore ? { endOffset: indexedEndOffset, isGuess: true } : walked
}

async function walkHeaders(source: ByteSource, { position, end, offset }: LostTail): Promise<LostEnd> {
  let due = offset
  let isGuess = false
  for (let at = position; at < end; ) {
    const head = await readAt(source, at, Math.min(BATCH_HEADER_BYTES, end - at))
    const claimed = claimedEnd(head, due)
    const next = at + (claimed === undefined ? 0 : batchSizeAt(head, 0))
    const isChained = claimed !== undefined && batchBaseOffsetAt(head, 0) === due && next <= end
    due = claimed ?? due
    if (isChained && next - at >= BATCH_HEADER_BYTES) {
      at = next
      continue
    }
    isGuess = true
    const search = { position: at, end, minOffset: due, endOffset: due + CLAIMED_OFFSETS_MAX, bytesMax: end - at }
    const found = await findHeader(source, search)
    if (found === undefined) break
    due = found.baseOffset
    at = found.position
  }
  return { endOffset: due, isGuess }
}

/** Behind the last offset that a header names; undefined where it is none, or of no batch that could stand there. */
function claimedEnd(head: Buffer, due: number): number | undefined {
  if (head.length < BATCH_HEADER_BYTES || batchMagicAt(head, 0) !== MAGIC) return undefined
  const baseOffset = batchBaseOffsetAt(head, 0)
  if (baseOffset < due || baseOffset - due >= CLAIMED_OFFSETS_MAX) return undefined
  // compaction leaves the one and lowers the other; a flipped bit may lower either
  const counts = [batchLastOffsetDeltaAt(head, 0) + 1, batchRecordCountAt(head, 0)]
  const believed = counts.filter((count) => count > 0 && count <= CLAIMED_OFFSETS_MAX)
  return believed.length === 0 ? undefined : baseOffset + Math.max(...believed)
}
