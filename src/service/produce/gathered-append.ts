// How the parts that wait for a partition become batches, and how what the engine answered becomes their results. Path A3
// and back; pure but for the parts themselves. Nothing is made for a record, and a request that goes alone goes by its own
// array.

import type { BatchAppended, Topic } from '../../engine/engine.ts'
import { GATHERED_BATCH_BYTES_MAX } from '../../kernel/limits.ts'
import type { RecordParts } from '../../record/record.ts'
import type { SealedBatch, SealOptions } from '../../record/record-batch.ts'
import { BATCH_HEADER_BYTES, sealBatch } from '../../record/record-batch.ts'
import type { ProducePart } from './produce-part.ts'

interface SealedAppend {
  readonly batches: SealedBatch[]
  /** For each batch, the end of its parts among those of the append. */
  readonly ends: number[]
}

export function sealAppend(topic: Topic, parts: readonly ProducePart[]): SealedAppend {
  const limit = Math.min(GATHERED_BATCH_BYTES_MAX, topic.config.maxMessageBytes)
  const sealed: SealedAppend = { batches: [], ends: [] }
  for (let start = 0; start < parts.length; ) {
    const end = endOfBatch(parts, start, limit)
    sealed.batches.push(sealParts(parts, start, end))
    sealed.ends.push(end)
    start = end
  }
  return sealed
}

/** The first part always fits: it was checked by itself. */
function endOfBatch(parts: readonly ProducePart[], start: number, limit: number): number {
  const first = parts[start] as ProducePart
  let end = start + 1
  if (first.sealed !== undefined) return end
  let bytes = first.sizeBytes
  for (; end < parts.length; end++) {
    const part = parts[end] as ProducePart
    bytes += part.sizeBytes - BATCH_HEADER_BYTES
    if (part.sealed !== undefined || bytes > limit) return end
  }
  return end
}

function sealParts(parts: readonly ProducePart[], start: number, end: number): SealedBatch {
  const first = parts[start] as ProducePart
  if (first.sealed === undefined) {
    return sealBatch(end - start === 1 ? first.records : joinRecords(parts, start, end), PLAIN)
  }
  // A batch belongs to the engine once it was given away: should it be needed again, it is made again.
  const { sealed } = first
  first.sealed = undefined
  return sealed
}

function joinRecords(parts: readonly ProducePart[], start: number, end: number): RecordParts[] {
  const joined: RecordParts[] = []
  for (let at = start; at < end; at++) {
    const { records } = parts[at] as ProducePart
    for (let index = 0; index < records.length; index++) joined.push(records[index] as RecordParts)
  }
  return joined
}

const PLAIN: SealOptions = { compression: 'none' }

/** Where an append of at most bytesMax that begins with the part at start ends; it has at least that one. */
export function endOfAppend(parts: readonly ProducePart[], start: number, bytesMax: number): number {
  let end = start
  for (let bytes = 0; end < parts.length; end++) {
    bytes += (parts[end] as ProducePart).sizeBytes
    if (bytes > bytesMax && end > start) return end
  }
  return end
}

export function settleAppend(
  parts: readonly ProducePart[],
  ends: readonly number[],
  appended: readonly BatchAppended[],
): void {
  let start = 0
  for (let at = 0; at < ends.length; at++) {
    const end = ends[at] as number
    settleBatch(parts, start, end, appended[at])
    start = end
  }
}

/** All from start to end have come to be one batch. */
export function settleBatch(
  parts: readonly ProducePart[],
  start: number,
  end: number,
  appended: BatchAppended | undefined,
): void {
  let offset = appended?.baseOffset ?? -1
  for (let at = start; at < end; at++) {
    const part = parts[at] as ProducePart
    part.baseOffset = offset
    part.logAppendTimeMs = appended?.logAppendTimeMs ?? -1
    part.duplicate = appended?.duplicate ?? false
    part.error = appended?.error
    if (offset >= 0) offset += part.records.length
    part.owner.partSettled(part)
  }
}
