// Before anything is stored: where each record of a request goes, and whether its content may be stored there. Path A2.
// Pure but for two things it leaves in what it is given: the parts in the result, and the time in records that came
// without one. Nothing is made for a record; a request for one partition uses the records' own array. Only a batch of
// which its records' lengths do not show that it fits is made, and compressed, to see.

import type { ProduceRecord } from '../../codec/produce-record.ts'
import type { Topic } from '../../engine/engine.ts'
import { storedCodec } from '../../engine/stored-codec.ts'
import { invariant, TailraceError } from '../../kernel/errors.ts'
import { recompressInThread } from '../../record/recompress.ts'
import type { RecordParts } from '../../record/record.ts'
import type { SealedBatch } from '../../record/record-batch.ts'
import { BATCH_HEADER_BYTES, recordSizeUpperBound, sealBatch } from '../../record/record-batch.ts'
import { partitionForKey } from './partitioner.ts'
import { ProducePart } from './produce-part.ts'
import type { ProduceResult } from './produce-result.ts'
import type { RecordCheck } from './schema-validation.ts'

export type BadRecords = 'refuse' | 'report'

export interface Placement {
  /** The topic's, or what it had when the request was first placed. */
  readonly partitionCount: number
  /** Where records without key and partition go. */
  readonly keyless: number
}

export interface ContentRules {
  /** ms since the epoch. */
  readonly now: number
  /** Of the topic's own, by schemas. */
  readonly check: RecordCheck | undefined
}

/**
 * Places the records and checks all but their batches' sizes: 'refuse' throws for the first bad one, 'report' notes each
 * bad one in the result and goes on with the rest. What is left stands in result.parts; fitParts is to follow.
 */
export function planParts(
  result: ProduceResult,
  placement: Placement,
  rules: ContentRules,
  badRecords: BadRecords,
): void {
  const { records, topic } = result
  for (let index = 0; index < records.length; index++) {
    const record = records[index] as ProduceRecord
    const fault = findFault(topic, record, index, placement.partitionCount, rules)
    if (fault === undefined) {
      stampTimestamp(topic, record, rules.now)
    } else if (badRecords === 'refuse') throw fault
    else refuse(result, index, fault)
  }
  placeParts(result, placement)
}

/** False: fitParts must be asked, and has batches to make. */
export function isFitting(result: ProduceResult): boolean {
  return result.parts.every((part) => part.sizeBytes <= result.topic.config.maxMessageBytes)
}

/** Checks the sizes of what planParts has placed, in the same two ways. */
export async function fitParts(result: ProduceResult, placement: Placement, badRecords: BadRecords): Promise<void> {
  if (await checkSizes(result, badRecords)) return
  placeParts(result, placement)
  // What was left together may still be too much for one batch, though each record is not.
  if (!(await checkSizes(result, badRecords))) placeParts(result, placement)
}

/** Placing alone, for a repeat: what is stored already needs no check. Still the partition must be one of the topic's. */
export function planRepeat(result: ProduceResult, placement: Placement): void {
  for (let index = 0; index < result.records.length; index++) {
    const fault = findMisplacement(
      result.topic,
      result.records[index] as ProduceRecord,
      index,
      placement.partitionCount,
    )
    if (fault !== undefined) throw fault
  }
  placeParts(result, placement)
}

/** The checks that planRepeat left out, for those of a repeat's parts that are not stored yet. Throws for the first fault. */
export async function checkParts(
  result: ProduceResult,
  parts: readonly ProducePart[],
  rules: ContentRules,
): Promise<void> {
  const { topic, records, partOf } = result
  for (let index = 0; index < records.length; index++) {
    const part = result.parts[partOf === undefined ? 0 : (partOf[index] as number)]
    if (part === undefined || !parts.includes(part)) continue
    const record = records[index] as ProduceRecord
    const fault = findFault(topic, record, index, Number.POSITIVE_INFINITY, rules)
    if (fault !== undefined) throw fault
    stampTimestamp(topic, record, rules.now)
  }
  for (const part of parts) await checkPartSize(result, part, 'refuse')
}

/** The record is the service's from the call on: one without a time of its own gets it here, in place. */
export function stampTimestamp(topic: Topic, record: RecordParts, timestamp: number): void {
  if (record.timestamp !== -1 && topic.config.messageTimestampType === 'CreateTime') return
  const stamped: { timestamp: number } = record
  stamped.timestamp = timestamp
}

function placeParts(result: ProduceResult, placement: Placement): void {
  const { records, refused } = result
  result.partOf = undefined
  result.rankOf = undefined
  result.parts = []
  if (refused !== undefined) {
    spreadParts(result, placement)
    return
  }
  const partition = partitionOf(records[0] as ProduceRecord, placement)
  let bytes = BATCH_HEADER_BYTES
  for (let index = 0; index < records.length; index++) {
    const record = records[index] as ProduceRecord
    if (index > 0 && partitionOf(record, placement) !== partition) {
      spreadParts(result, placement)
      return
    }
    bytes += recordSizeUpperBound(record)
  }
  result.parts = [new ProducePart(result, partition, records, bytes)]
}

/** Several partitions, or some records left out. */
function spreadParts(result: ProduceResult, placement: Placement): void {
  const { records, refused } = result
  const partOf = new Int32Array(records.length)
  const rankOf = new Int32Array(records.length)
  const parts: ProducePart[] = []
  const partRecords: ProduceRecord[][] = []
  const partIndexes = new Map<number, number>()
  for (let index = 0; index < records.length; index++) {
    if (refused?.has(index)) {
      partOf[index] = -1
      continue
    }
    const record = records[index] as ProduceRecord
    const partition = partitionOf(record, placement)
    let at = partIndexes.get(partition)
    if (at === undefined) {
      at = parts.length
      partIndexes.set(partition, at)
      const own: ProduceRecord[] = []
      partRecords.push(own)
      parts.push(new ProducePart(result, partition, own, BATCH_HEADER_BYTES))
    }
    const own = partRecords[at] as ProduceRecord[]
    partOf[index] = at
    rankOf[index] = own.length
    own.push(record)
    const part = parts[at] as ProducePart
    part.sizeBytes += recordSizeUpperBound(record)
  }
  result.partOf = partOf
  result.rankOf = rankOf
  result.parts = parts
}

function partitionOf(record: ProduceRecord, placement: Placement): number {
  if (record.partition >= 0) return record.partition
  if (record.keyStart < 0) return placement.keyless
  if (placement.partitionCount === 1) return 0
  return partitionForKey(record.key, record.keyStart, record.keyEnd, placement.partitionCount)
}

function findFault(
  topic: Topic,
  record: ProduceRecord,
  index: number,
  partitionCount: number,
  { now, check }: ContentRules,
): TailraceError | undefined {
  return (
    findMisplacement(topic, record, index, partitionCount) ??
    (topic.config.cleanupPolicy.compact && record.keyStart < 0 ? keyMissing(topic, index) : undefined) ??
    (record.timestamp === -1 || topic.config.messageTimestampType === 'LogAppendTime'
      ? undefined
      : findWrongTime(topic, record.timestamp, index, now)) ??
    check?.(record, index)
  )
}

function findMisplacement(
  topic: Topic,
  record: ProduceRecord,
  index: number,
  partitionCount: number,
): TailraceError | undefined {
  const { partition } = record
  if (partition === -1) return undefined
  if (partition >= 0 && partition < partitionCount && Number.isInteger(partition)) return undefined
  const max = partitionCount - 1
  return new TailraceError(
    'unknown_topic_or_partition',
    `topic '${topic.name}' has no partition ${partition}: it has 0 to ${max}`,
    { topic: topic.name, partition, partition_min: 0, partition_max: max, index },
  )
}

function keyMissing(topic: Topic, index: number): TailraceError {
  return new TailraceError(
    'invalid_record',
    `Compacted topic cannot accept message without key: record ${index} for topic '${topic.name}' has none`,
    { topic: topic.name, index },
  )
}

function findWrongTime(topic: Topic, timestamp: number, index: number, now: number): TailraceError | undefined {
  const { messageTimestampBeforeMaxMs, messageTimestampAfterMaxMs } = topic.config
  const min = Math.max(0, now - messageTimestampBeforeMaxMs)
  const max = Math.min(Number.MAX_SAFE_INTEGER, now + messageTimestampAfterMaxMs)
  if (timestamp >= min && timestamp <= max && Number.isInteger(timestamp)) return undefined
  return new TailraceError(
    'invalid_timestamp',
    `the timestamp ${timestamp} of record ${index} is out of range: topic '${topic.name}' takes ${min} to ${max} (ms) now`,
    { topic: topic.name, timestamp, timestamp_min: min, timestamp_max: max, index },
  )
}

/** False: records were noted as refused, the rest is to be placed again. */
async function checkSizes(result: ProduceResult, badRecords: BadRecords): Promise<boolean> {
  let fits = true
  for (const part of result.parts) fits = (await checkPartSize(result, part, badRecords)) && fits
  return fits
}

/** The bound shows it for nearly all; where it does not, the batch is made to see. */
async function checkPartSize(result: ProduceResult, part: ProducePart, badRecords: BadRecords): Promise<boolean> {
  const { topic } = result
  const limit = topic.config.maxMessageBytes
  if (part.sizeBytes <= limit) return true
  const batch = await sealAsStored(topic, part.records)
  if (batch.bytes.length <= limit) {
    part.sealed = batch
    part.sizeBytes = batch.bytes.length
    return true
  }
  const tooLargeAlone = new Map<number, number>()
  const indexes = indexesOf(result, part)
  for (const index of indexes) {
    const size = await sizeAlone(result, index)
    if (size > limit) tooLargeAlone.set(index, size)
  }
  if (badRecords === 'refuse') {
    const [first] = tooLargeAlone.keys()
    throw tooLarge(topic, part.partition, batch.bytes.length, limit, first)
  }
  for (const [index, size] of tooLargeAlone) refuse(result, index, tooLarge(topic, part.partition, size, limit, index))
  if (tooLargeAlone.size > 0) return false
  for (const index of indexes) refuse(result, index, tooLarge(topic, part.partition, batch.bytes.length, limit, index))
  return false
}

async function sizeAlone(result: ProduceResult, index: number): Promise<number> {
  const record = result.records[index]
  invariant(record !== undefined, 'an index of the request')
  const bound = BATCH_HEADER_BYTES + recordSizeUpperBound(record)
  if (bound <= result.topic.config.maxMessageBytes) return bound
  return (await sealAsStored(result.topic, [record])).bytes.length
}

/** One batch of these records; compressed, where it fits only so. */
async function sealAsStored(topic: Topic, records: readonly RecordParts[]): Promise<SealedBatch> {
  const plain = sealBatch(records, { compression: 'none' })
  const codec = storedCodec(topic.config)
  if (codec === undefined || plain.bytes.length <= topic.config.maxMessageBytes) return plain
  return recompressInThread(plain, codec)
}

function indexesOf(result: ProduceResult, part: ProducePart): number[] {
  const indexes: number[] = []
  for (let index = 0; index < result.records.length; index++) {
    if (result.partOf === undefined || result.parts[result.partOf[index] as number] === part) indexes.push(index)
  }
  return indexes
}

function refuse(result: ProduceResult, index: number, fault: TailraceError): void {
  result.refused ??= new Map()
  result.refused.set(index, fault)
}

function tooLarge(
  topic: Topic,
  partition: number,
  size: number,
  limit: number,
  index: number | undefined,
): TailraceError {
  return new TailraceError(
    'message_too_large',
    `the request makes a batch of ${size} bytes for partition ${partition} of topic '${topic.name}', max.message.bytes is ${limit}`,
    { topic: topic.name, partition, size, limit, ...(index === undefined ? {} : { index }) },
  )
}
