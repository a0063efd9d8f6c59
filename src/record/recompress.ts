// A sealed batch with its records in another codec: all but length, codec bits and checksum stays as it was. Path A5, for
// topics that name the codec they are stored with. Producer numbers, timestamps and offsets are not touched, the records
// are not looked at, and the batch given is left as it is.

import { TailraceError } from '../kernel/errors.ts'
import { BATCH_INFLATED_BYTES_MAX } from '../kernel/limits.ts'
import type { BatchCodec } from './compression.ts'
import { compress, compressInThread, decompressInThread } from './compression.ts'
import type { SealedBatch } from './record-batch.ts'
import { BATCH_HEADER_BYTES, compressionTypeOf, knownCompressionTypeOf, withRecords } from './record-batch.ts'

/** Whether its records are in this codec. At which level cannot be seen, and is not asked for, as in Kafka. */
export function isInCodec({ header }: SealedBatch, codec: BatchCodec): boolean {
  return compressionTypeOf(header.attributes) === codec.type
}

/** Where it stands; of a batch that is not compressed. */
export function compressBatch(batch: SealedBatch, { type, level }: BatchCodec): SealedBatch {
  return withRecords(batch, type, compress(type, batch.bytes.subarray(BATCH_HEADER_BYTES), level))
}

/** message_too_large: no reader would inflate it. corrupt_message, unsupported_compression_type. */
export async function recompressInThread(batch: SealedBatch, { type, level }: BatchCodec): Promise<SealedBatch> {
  const records = batch.bytes.subarray(BATCH_HEADER_BYTES)
  const present = knownCompressionTypeOf(batch.header.attributes)
  const plain = await decompressInThread(present, records, BATCH_INFLATED_BYTES_MAX)
  if (plain.length > BATCH_INFLATED_BYTES_MAX) throw tooLarge(plain.length)
  return withRecords(batch, type, await compressInThread(type, plain, level))
}

function tooLarge(sizeBytes: number): TailraceError {
  return new TailraceError(
    'message_too_large',
    `records of ${sizeBytes} bytes are too many for one compressed batch: ${BATCH_INFLATED_BYTES_MAX} are allowed`,
    { size_bytes: sizeBytes, limit_bytes: BATCH_INFLATED_BYTES_MAX },
  )
}
