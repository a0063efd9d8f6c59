// F5: reading, free of any transport. A page is fetched as whole batches over many partitions in one call and handed
// record by record, as the bytes that were stored, to a sink. State between two pages is in their cursor alone.

import type { Engine, FetchedPartition, Topic } from '../../engine/engine.ts'
import { TailraceError } from '../../kernel/errors.ts'
import type { Caller } from '../caller.ts'
import type { RecordFilter } from '../filter/record-filter.ts'
import type { ExportRequest } from './export.ts'
import { exportRecords } from './export.ts'
import type { PartitionToStart, ResetPolicy, StartedPartition } from './group-start.ts'
import { startPartitions } from './group-start.ts'
import type { Gap, PartitionBounds, RecordSink } from './page.ts'
import { outOfRange, Page } from './page.ts'
import type { PartitionOffset, ResolvedOffset } from './partition-offset.ts'
import type { PartitionsRead, PartitionsRequest } from './partition-page.ts'
import { fillPage, readPartitions } from './partition-page.ts'
import type { Position } from './positions.ts'
import { isByOffset, listOffsets } from './positions.ts'
import { ReadEstimates } from './read-estimates.ts'
import type { ConsumeDependencies, ConsumeParts } from './read-start.ts'
import { allPartitions, checkPartitions, getTopic, renderCursor, resolveStart } from './read-start.ts'
import { RecordWalk, roomForInflated, unreadable } from './record-walk.ts'

export interface ReadRequest {
  readonly topic: string
  /** undefined: all, also those that are added later; with a cursor: those that the cursor is about. */
  readonly partitions?: readonly number[] | undefined
  readonly position: Position
  /** Records at most; 1 to PAGE_RECORDS_MAX. */
  readonly limit: number
  /** Stored bytes of records at most; the first record always comes. */
  readonly maxBytes: number
  /** How long to wait for minRecords; the page comes sooner, without them, when `signal` says so or the engine closes. */
  readonly waitMs: number
  readonly minRecords?: number | undefined
  /** undefined: all records are wanted. */
  readonly filter?: RecordFilter | undefined
  /** Where records were removed before they were read: 'error' (offset_out_of_range), or go on at the log start and tell. */
  readonly onGap?: 'error' | 'earliest' | undefined
  readonly signal?: AbortSignal | undefined
}

export interface PageRead {
  readonly topic: Topic
  readonly recordCount: number
  /** Goes on after this page. */
  readonly cursor: string
  /** Nothing was left below the end offsets when the page was made. */
  readonly caughtUp: boolean
  readonly partitions: readonly PartitionBounds[]
  readonly gaps: readonly Gap[]
  /** Of a page with a filter: records it looked at, and those for which its expression had no result, with the last one's reason. */
  readonly scan?:
    | { readonly scanned: number; readonly errors: number; readonly lastError: string | undefined }
    | undefined
}

export interface OffsetsRequest {
  readonly topic: string
  /** undefined: all. */
  readonly partitions?: readonly number[] | undefined
  readonly at: Position | { readonly kind: 'max_timestamp' }
  readonly signal?: AbortSignal | undefined
}

export interface ConsumeService {
  /**
   * One page. invalid_position, invalid_cursor, topic_recreated, unknown_topic_or_partition; offset_out_of_range with the
   * bounds; corrupt_message or kafka_storage_error when that is all there is to give (else the page is of the other
   * partitions, and says so of the one that it stands before).
   */
  read(caller: Caller, request: ReadRequest, sink: RecordSink): Promise<PageRead>
  /** One page of partitions of any topics, each from its own offset: partition-page.ts says how. */
  readPartitions(caller: Caller, request: PartitionsRequest, sink: RecordSink): Promise<PartitionsRead>
  /** Where a group's member begins to read them: group-start.ts says how. */
  startPartitions<Partition extends PartitionToStart>(
    caller: Caller,
    groupId: string,
    partitions: readonly Partition[],
    policy: ResetPolicy,
    signal?: AbortSignal,
  ): Promise<readonly StartedPartition<Partition>[]>
  /** One record. record_not_found where none has the offset; offset_out_of_range, with the bounds, outside them. */
  readOne(caller: Caller, topic: string, at: PartitionOffset, sink: RecordSink): Promise<void>
  offsetsAt(caller: Caller, request: OffsetsRequest): Promise<readonly ResolvedOffset[]>
  /** The records as lines of JSON in chunks: export.ts says in which form. */
  export(caller: Caller, request: ExportRequest): Promise<AsyncGenerator<Buffer>>
  /** Removes the records before an offset, or all when it is -1; gives the new start. */
  deleteRecords(caller: Caller, topic: string, before: PartitionOffset): Promise<number>
}

export function createConsumeService(dependencies: ConsumeDependencies): ConsumeService {
  const { engine, clock } = dependencies
  const parts: ConsumeParts = { ...dependencies, inflations: roomForInflated(clock) }
  // An export holds what it inflates for as long as its client takes: pages shall not wait for that.
  const exportParts: ConsumeParts = { ...dependencies, inflations: roomForInflated(clock) }
  const estimates = new ReadEstimates()
  return {
    read: (_caller, request, sink) => readPage(parts, estimates, request, sink),
    startPartitions: (_caller, groupId, partitions, policy, signal) =>
      startPartitions(parts, groupId, partitions, policy, signal),
    readPartitions: (_caller, request, sink) => readPartitions(parts, estimates, request, sink),
    readOne: (_caller, topic, at, sink) => readOne(parts, getTopic(engine, topic), at, sink),
    offsetsAt: (_caller, request) => findOffsets(parts, request),
    export: (_caller, request) => exportRecords(exportParts, request),
    async deleteRecords(_caller, name, { partition, offset }) {
      const topic = getTopic(engine, name)
      checkPartitions(topic, [partition])
      const { logStartOffset } = await engine.deleteRecords(topic, partition, offset)
      return logStartOffset
    },
  }
}

async function readPage(
  parts: ConsumeParts,
  estimates: ReadEstimates,
  request: ReadRequest,
  sink: RecordSink,
): Promise<PageRead> {
  const topic = getTopic(parts.engine, request.topic)
  const start = await resolveStart(parts, topic, request)
  // Refused now rather than after a page was read: a cursor over so many partitions would not fit.
  renderCursor(topic, start, start.turn)
  const { position, limit, maxBytes, filter, onGap = 'error' } = request
  const gapRule = onGap === 'error' ? 'error' : 'tell'
  const page = new Page({
    offsets: start.offsets.map((at) => ({ topic, ...at })),
    turn: start.turn,
    limit,
    maxBytes,
    filter,
    onGap: isByOffset(position) ? gapRule : 'pass',
    sink,
    inflations: parts.inflations,
  })
  await fillPage(parts, estimates, page, { ...request, estimateKey: topic.id })
  page.checkProgress()
  const offsets = page.partitions.map(({ partition, nextOffset: offset }) => ({ partition, offset }))
  return {
    topic,
    recordCount: page.recordCount,
    cursor: renderCursor(topic, { ...start, offsets }, page.turn),
    caughtUp: page.isCaughtUp,
    partitions: page.partitions,
    gaps: page.gaps,
    scan: filter && { scanned: page.scannedCount, errors: page.filterErrors, lastError: filter.lastError },
  }
}

async function readOne(
  { engine, telemetry, inflations }: ConsumeParts,
  topic: Topic,
  at: PartitionOffset,
  sink: RecordSink,
): Promise<void> {
  const { partition, offset } = at
  checkPartitions(topic, [partition])
  const [part] = await engine.fetch([{ topic, partition, offset }], {
    minBytes: 0,
    maxBytes: 1,
    maxWaitMs: 0,
    isolation: 'read_committed',
  })
  telemetry.fetchRequests++
  checkWithin(topic, at, part as FetchedPartition)
  const walk = new RecordWalk(inflations)
  try {
    walk.begin(part as FetchedPartition, offset)
    const isThere = walk.next() || ((await walk.inflate()) && walk.next())
    if (!isThere || walk.record.offset !== offset) throw notFound(topic, at)
    sink.begin(topic.name, partition, walk.record.timestampType, topic.id)
    sink.write(walk.record)
    telemetry.recordsOut++
    telemetry.bytesOut += walk.record.recordEnd - walk.record.recordStart
  } finally {
    walk.end()
  }
}

function notFound(topic: Topic, { partition, offset }: PartitionOffset): TailraceError {
  return new TailraceError(
    'record_not_found',
    `no record has the offset ${offset} in partition ${partition} of topic ${topic.name}: it was removed by compaction or never was one`,
    { topic: topic.name, partition, offset },
  )
}

function checkWithin(topic: Topic, { partition, offset }: PartitionOffset, part: FetchedPartition): void {
  const { error, logStartOffset: startOffset, highWatermark: endOffset } = part
  if (error === undefined && offset < endOffset) return
  if (error !== undefined && error.code !== 'offset_out_of_range') throw unreadable(topic, { partition, offset }, error)
  throw outOfRange(topic, [{ partition, nextOffset: offset, startOffset, endOffset }])
}

async function findOffsets(
  parts: ConsumeParts,
  { topic: name, partitions, at, signal }: OffsetsRequest,
): Promise<readonly ResolvedOffset[]> {
  const { engine } = parts
  const topic = getTopic(engine, name)
  if (at.kind === 'max_timestamp') return await findLatestTimestamps(engine, topic, partitions)
  const { offsets } = await resolveStart(parts, topic, { partitions, position: at, signal })
  if (at.kind === 'offset' || at.kind === 'cursor') await checkBounds(engine, topic, offsets)
  return offsets.map((found) => ({ timestamp: -1, ...found }))
}

async function checkBounds(engine: Engine, topic: Topic, offsets: readonly PartitionOffset[]): Promise<void> {
  const partitions = offsets.map(({ partition }) => partition)
  const starts = await listOffsets(engine, topic, partitions, 'earliest')
  const ends = await listOffsets(engine, topic, partitions, 'latest')
  const bounds = offsets.map(({ partition, offset: nextOffset }, at) => {
    return { partition, nextOffset, startOffset: starts[at]?.offset ?? 0, endOffset: ends[at]?.offset ?? 0 }
  })
  const outside = bounds.filter(
    ({ nextOffset, startOffset, endOffset }) => nextOffset < startOffset || nextOffset > endOffset,
  )
  if (outside.length > 0) throw outOfRange(topic, outside)
}

/** An empty partition has no record of that kind: its end stands for it. */
async function findLatestTimestamps(
  engine: Engine,
  topic: Topic,
  partitions: readonly number[] | undefined,
): Promise<readonly ResolvedOffset[]> {
  const asked = partitions === undefined ? allPartitions(topic) : checkPartitions(topic, partitions)
  const ends = await listOffsets(engine, topic, asked, 'latest')
  const found = await listOffsets(engine, topic, asked, 'max_timestamp')
  return found.map((one, at) => (one.offset >= 0 ? one : { ...one, offset: ends[at]?.offset ?? 0, timestamp: -1 }))
}
