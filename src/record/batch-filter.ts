// Compaction's side of a batch: its bytes without the records that go. What stays keeps its offset, its timestamp and its
// bytes; the batch keeps its place (base offset, last offset), producer, sequence, codec and leader epoch. A batch that
// keeps a tombstone may be given a delete horizon (KIP-534), a time that stands where the base timestamp was, so that all
// timestamp deltas are written anew against it. No I/O. A filter is used again and again, for one batch after the other,
// and allocates nothing for a record.

import { RecordReader } from './batch-reader.ts'
import { BATCH_HEADER_BYTES, hasDeleteHorizon, resealBatch } from './record-batch.ts'
import { varlongBytes, writeVarint, writeVarlong } from './varint.ts'

/** A record written anew is longer by this at most: its timestamp delta by nine bytes, its length field by four. */
const RECORD_GROWTH_BYTES_MAX = 13

/** unchanged: its bytes are good as they are. rewritten: `rewritten` has the new ones. empty: no record is left. */
export type FilterOutcome = 'unchanged' | 'rewritten' | 'empty'

export class BatchFilter {
  /** The new batch, after 'rewritten'. */
  rewritten: Buffer = Buffer.alloc(0)
  /** Of the last batch. */
  recordsKept = 0
  tombstonesKept = 0

  readonly #reader = new RecordReader()
  /** Where stretches of kept records begin and end in the reader's bytes: start, end, start, end. */
  readonly #stretches: number[] = []
  #keptBytes = 0
  #maxTimestamp = 0

  /**
   * Asks for each record of the batch at a position whether it stays. deleteHorizonMs is set in the batch if a tombstone
   * stays and it has no horizon yet; undefined: not now. Throws what RecordReader throws.
   */
  apply(
    bytes: Buffer,
    position: number,
    keeps: (record: RecordReader) => boolean,
    deleteHorizonMs: number | undefined,
  ): FilterOutcome {
    const reader = this.#reader
    reader.open(bytes, position)
    this.#walk(keeps)
    if (this.recordsKept === 0) return 'empty'
    const mayNeedHorizon = deleteHorizonMs !== undefined && this.tombstonesKept > 0
    if (mayNeedHorizon && !hasDeleteHorizon(reader.header.attributes)) {
      const withHorizon = this.#writeAgainst(deleteHorizonMs, bytes, position)
      if (withHorizon !== undefined) {
        this.rewritten = withHorizon
        return 'rewritten'
      }
    }
    if (this.recordsKept === reader.recordCount) return 'unchanged'
    this.rewritten = this.#copyStretches()
    return 'rewritten'
  }

  #walk(keeps: (record: RecordReader) => boolean): void {
    const reader = this.#reader
    const stretches = this.#stretches
    stretches.length = 0
    this.recordsKept = 0
    this.tombstonesKept = 0
    this.#keptBytes = 0
    this.#maxTimestamp = Number.NEGATIVE_INFINITY
    let end = -1
    while (reader.next()) {
      if (!keeps(reader)) continue
      this.recordsKept++
      if (reader.valueStart < 0) this.tombstonesKept++
      if (reader.timestamp > this.#maxTimestamp) this.#maxTimestamp = reader.timestamp
      if (reader.recordStart === end) stretches[stretches.length - 1] = reader.recordEnd
      else stretches.push(reader.recordStart, reader.recordEnd)
      end = reader.recordEnd
      this.#keptBytes += end - reader.recordStart
    }
  }

  #copyStretches(): Buffer {
    const source = this.#reader.bytes
    const plain = Buffer.allocUnsafe(BATCH_HEADER_BYTES + this.#keptBytes)
    let at = BATCH_HEADER_BYTES
    for (let one = 0; one < this.#stretches.length; one += 2) {
      at += source.copy(plain, at, this.#stretches[one] as number, this.#stretches[one + 1] as number)
    }
    return this.#reseal(plain, undefined)
  }

  /** undefined: a timestamp is too far from the horizon for the difference to be exact. */
  #writeAgainst(deleteHorizonMs: number, bytes: Buffer, position: number): Buffer | undefined {
    const reader = this.#reader
    const plain = Buffer.allocUnsafe(BATCH_HEADER_BYTES + this.#keptBytes + this.recordsKept * RECORD_GROWTH_BYTES_MAX)
    reader.open(bytes, position)
    let at = BATCH_HEADER_BYTES
    let stretch = 0
    while (reader.next()) {
      if (reader.recordStart >= (this.#stretches[stretch + 1] ?? 0)) stretch += 2
      if (reader.recordStart < (this.#stretches[stretch] ?? Number.POSITIVE_INFINITY)) continue
      const timestampDelta = reader.timestamp - deleteHorizonMs
      if (!Number.isSafeInteger(timestampDelta)) return undefined
      at = writeRecordAgainst(plain, at, reader, timestampDelta)
    }
    return this.#reseal(plain.subarray(0, at), deleteHorizonMs)
  }

  #reseal(plain: Buffer, deleteHorizonMs: number | undefined): Buffer {
    const changes = { recordCount: this.recordsKept, maxTimestamp: this.#maxTimestamp, deleteHorizonMs }
    return resealBatch(plain, this.#reader.header, changes)
  }
}

/** The reader's present record with another timestamp delta; all that follows the delta is copied. */
function writeRecordAgainst(target: Buffer, position: number, reader: RecordReader, timestampDelta: number): number {
  const restBytes = reader.recordEnd - reader.offsetDeltaStart
  const bodyBytes = 1 + varlongBytes(timestampDelta) + restBytes
  let at = writeVarint(target, position, bodyBytes)
  target[at++] = 0
  at = writeVarlong(target, at, timestampDelta)
  return at + reader.bytes.copy(target, at, reader.offsetDeltaStart, reader.recordEnd)
}
