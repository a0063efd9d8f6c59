// The full check of one batch that a client made: everything that the log, its index and every later reader rely on.
// Path A4, for batches that were not sealed here. What passes may be stored as it is, byte for byte.

import { TailraceError } from '../kernel/errors.ts'
import { RECORD_HEADERS_MAX } from '../kernel/limits.ts'
import { RecordReader } from './batch-reader.ts'
import type { SealedBatch } from './record-batch.ts'
import { isControl, isTransactional, parseBatchHeader, stampMaxTimestamp } from './record-batch.ts'

export interface CheckOptions {
  /** A producer's batch has no gaps: offset deltas 0..n-1. False where compaction may have made some. Default true. */
  readonly dense?: boolean
  /** Default false. */
  readonly allowTransactional?: boolean
  /** Default false. */
  readonly allowControl?: boolean
}

/**
 * Takes the batch at a position apart to its last record. corrupt_message, invalid_record, unsupported_compression_type,
 * message_too_large (it inflates too far). The result's bytes are the same memory. A max timestamp that is not the
 * records' maximum is put right in place, as Kafka does: some clients write the last record's.
 */
export function checkBatch(bytes: Buffer, position = 0, options: CheckOptions = {}): SealedBatch {
  const { dense = true, allowTransactional = false, allowControl = false } = options
  const reader = new RecordReader()
  reader.open(bytes, position)
  const header = parseBatchHeader(bytes, position)
  const batch: SealedBatch = { bytes: bytes.subarray(position, reader.batchEnd), header }
  if (header.recordCount === 0 && dense) throw invalid('a batch without records', position)
  if (isControl(header.attributes) && !allowControl) throw invalid('a control batch', position)
  if (isTransactional(header.attributes) && !allowTransactional) throw invalid('a batch of a transaction', position)
  if (dense && header.lastOffsetDelta !== header.recordCount - 1) {
    throw invalid(`${header.recordCount} records with last offset delta ${header.lastOffsetDelta}`, position)
  }
  const maxTimestamp = walkRecords(reader)
  if (reader.timestampType === 'CreateTime' && header.recordCount > 0 && header.maxTimestamp !== maxTimestamp) {
    stampMaxTimestamp(batch, maxTimestamp)
  }
  return batch
}

/** Which record of a batch that was checked has no key, counted from 0; -1 when all have one. An empty key is one. */
export function findKeylessRecord({ bytes }: SealedBatch): number {
  const reader = new RecordReader({ checkCrc: false })
  reader.open(bytes, 0)
  for (let index = 0; reader.next(); index++) if (reader.keyStart < 0) return index
  return -1
}

/** The reader itself demands that offsets rise up to the last offset delta: a dense batch's can only be 0..n-1. */
function walkRecords(reader: RecordReader): number {
  let maxTimestamp = Number.NEGATIVE_INFINITY
  while (reader.next()) {
    if (reader.headerCount > RECORD_HEADERS_MAX) {
      throw new TailraceError(
        'invalid_record',
        `a record has ${reader.headerCount} headers, ${RECORD_HEADERS_MAX} are allowed`,
      )
    }
    reader.headers()
    if (reader.timestamp > maxTimestamp) maxTimestamp = reader.timestamp
  }
  return maxTimestamp
}

function invalid(what: string, position: number): TailraceError {
  return new TailraceError('invalid_record', `${what} is not taken here`, { position })
}
