// The engine contract in memory, as far as the read side needs it, with what a log comes to have in time: holes that
// compaction left, deleted beginnings, transactions, damage. Answers fetches as strictly as the contract allows: whole
// batches, the byte limits in the order of the positions, the first batch whatever its size.

import { randomUUID } from 'node:crypto'
import type {
  AppendListener,
  Engine,
  FetchedPartition,
  FetchOptions,
  FetchPosition,
  OffsetFound,
  OffsetQuery,
  Topic,
} from '../../src/engine/engine.ts'
import { parseTopicConfig, topicConfigDefaults } from '../../src/engine/topic-config.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import type { CompressionType } from '../../src/record/compression.ts'
import type { RecordHeader } from '../../src/record/record.ts'
import { batchCrcAt, computeBatchCrc, parseBatchHeader, sealBatch, stampBatch } from '../../src/record/record-batch.ts'
import { partsOf } from './record-parts.ts'

export interface PlainRecord {
  readonly key?: string | null | undefined
  readonly value?: string | null | undefined
  readonly timestamp?: number | undefined
  readonly headers?: readonly RecordHeader[] | undefined
}

export interface AppendOptions {
  readonly compression?: CompressionType
  /** Offset deltas that the records keep; the offsets between them are holes. */
  readonly deltas?: readonly number[]
  readonly lastOffsetDelta?: number
  readonly producerId?: bigint
  readonly isTransactional?: boolean
  readonly isControl?: boolean
}

interface StoredBatch {
  readonly bytes: Buffer
  readonly lastOffset: number
}

interface StoredPartition {
  batches: StoredBatch[]
  startOffset: number
  endOffset: number
  stableOffset: number | undefined
  aborted: { producerId: bigint; firstOffset: number }[]
  error: TailraceError | undefined
}

export class ReadableEngine {
  readonly clock: Clock
  readonly topics = new Map<string, Topic>()
  readonly fetches: { readonly positions: readonly FetchPosition[]; readonly options: FetchOptions; bytes: number }[] =
    []
  /** Called before each fetch is answered: what happens meanwhile. */
  beforeFetch: () => void = () => {}
  readonly #partitions = new Map<string, StoredPartition[]>()
  readonly #listeners = new Set<AppendListener>()
  readonly #topicListeners = new Set<() => void>()

  constructor(clock: Clock = systemClock) {
    this.clock = clock
  }

  /** As the services take it. */
  get engine(): Engine {
    return this as unknown as Engine
  }

  findTopic(name: string): Topic | undefined {
    return this.topics.get(name)
  }

  listTopics(): readonly Topic[] {
    return [...this.topics.values()]
  }

  create(name: string, partitionCount = 1): Topic {
    const config = parseTopicConfig({}, topicConfigDefaults({}))
    const topic = { id: randomUUID(), name, partitionCount, internal: false, config, configOverrides: {}, growths: [] }
    this.#keep(topic)
    return topic
  }

  grow(name: string, partitionCount: number): Topic {
    const topic = { ...(this.topics.get(name) as Topic), partitionCount }
    this.#keep(topic)
    return topic
  }

  drop(name: string): void {
    this.#partitions.delete((this.topics.get(name) as Topic).id)
    this.topics.delete(name)
    for (const listener of this.#topicListeners) listener()
  }

  /** One batch; gives its first offset. */
  append(name: string, partition: number, records: readonly PlainRecord[], options: AppendOptions = {}): number {
    const topic = this.topics.get(name) as Topic
    const place = this.partition(name, partition)
    const { compression = 'none', producerId = -1n } = options
    const sealed = sealBatch(records.map(partsOf), { compression, producerId, producerEpoch: 0, baseSequence: 0 })
    stampBatch(sealed, place.endOffset, 0)
    const { bytes } = sealed
    bytes[22] = (bytes[22] as number) | (options.isTransactional ? 0x10 : 0) | (options.isControl ? 0x20 : 0)
    if (options.deltas !== undefined) spreadOffsets(bytes, options.deltas)
    const lastDelta = options.lastOffsetDelta ?? options.deltas?.at(-1) ?? records.length - 1
    bytes.writeInt32BE(lastDelta, 23)
    bytes.writeUInt32BE(computeBatchCrc(bytes, 0, bytes.length), 17)
    const baseOffset = place.endOffset
    place.endOffset = baseOffset + lastDelta + 1
    place.batches.push({ bytes, lastOffset: baseOffset + lastDelta })
    for (const listener of this.#listeners) listener(topic, partition, place.endOffset)
    return baseOffset
  }

  /** As deleteRecords and retention do: whole batches go, the start may lie within one that stays. */
  cut(name: string, partition: number, before: number): void {
    const place = this.partition(name, partition)
    place.startOffset = before
    place.batches = place.batches.filter(({ lastOffset }) => lastOffset >= before)
  }

  partition(name: string, partition: number): StoredPartition {
    return this.#of(this.topics.get(name) as Topic, partition) as StoredPartition
  }

  async fetch(positions: readonly FetchPosition[], options: FetchOptions): Promise<readonly FetchedPartition[]> {
    await Promise.resolve()
    this.beforeFetch()
    const found = this.#read(positions, options)
    const hasAnswer = found.some(({ bytes, error }) => bytes.length > 0 || error !== undefined)
    const answered =
      hasAnswer || options.maxWaitMs === 0 || options.minBytes === 0 ? found : await this.#wait(positions, options)
    const bytes = answered.reduce((sum, part) => sum + part.bytes.length, 0)
    this.fetches.push({ positions, options, bytes })
    return answered
  }

  async listOffsets(queries: readonly OffsetQuery[]): Promise<readonly OffsetFound[]> {
    await Promise.resolve()
    return queries.map(({ topic, partition, at }) => {
      const place = this.#of(topic, partition)
      if (place === undefined) throw new TailraceError('unknown_topic_or_partition', 'no such partition')
      const none = { partition, timestamp: -1, leaderEpoch: 0 }
      if (at === 'earliest') return { ...none, offset: place.startOffset }
      if (at === 'latest') return { ...none, offset: place.endOffset }
      const records = recordsOf(place)
      const latest = Math.max(...records.map(({ timestamp }) => timestamp))
      const wanted = (timestamp: number) => (at === 'max_timestamp' ? timestamp === latest : timestamp >= at.timestamp)
      const found = records.find(({ timestamp }) => wanted(timestamp))
      return { ...none, offset: found?.offset ?? -1, timestamp: found?.timestamp ?? -1 }
    })
  }

  async deleteRecords(topic: Topic, partition: number, before: number): Promise<{ logStartOffset: number }> {
    const place = this.#of(topic, partition) as StoredPartition
    if (before > place.endOffset) throw new TailraceError('offset_out_of_range', 'beyond the end')
    this.cut(topic.name, partition, before < 0 ? place.endOffset : before)
    return { logStartOffset: place.startOffset }
  }

  onTopicsChanged(listener: () => void): () => void {
    this.#topicListeners.add(listener)
    return () => this.#topicListeners.delete(listener)
  }

  onAppend(listener: AppendListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  get waiting(): number {
    return this.#listeners.size
  }

  #read(positions: readonly FetchPosition[], options: FetchOptions): FetchedPartition[] {
    let left = options.maxBytes
    return positions.map(({ topic, partition, offset }) => {
      const place = this.#of(topic, partition)
      if (place === undefined) return failed(topic, partition, 'unknown_topic_or_partition')
      const { startOffset, endOffset, stableOffset = endOffset, error, aborted } = place
      const isOutside = offset < startOffset || offset > endOffset
      const bounds = { topic, partition, leaderEpoch: 0, abortedTransactions: aborted }
      const offsets = { logStartOffset: startOffset, highWatermark: endOffset, lastStableOffset: stableOffset }
      const fault = isOutside ? new TailraceError('offset_out_of_range', 'outside') : error
      if (fault !== undefined) return { ...bounds, ...offsets, error: fault, bytes: Buffer.alloc(0) }
      const taken: Buffer[] = []
      let partitionLeft = Math.min(left, options.partitionMaxBytes ?? left)
      for (const { bytes, lastOffset } of place.batches) {
        if (lastOffset < offset || lastOffset >= stableOffset) continue
        if (batchCrcAt(bytes, 0) !== computeBatchCrc(bytes, 0, bytes.length)) {
          if (taken.length > 0) break
          const fault = new TailraceError('corrupt_message', 'its checksum does not fit')
          return { ...bounds, ...offsets, error: fault, bytes: Buffer.alloc(0) }
        }
        const isFirst = left === options.maxBytes && taken.length === 0
        if (bytes.length > partitionLeft && !isFirst) break
        taken.push(bytes)
        partitionLeft -= bytes.length
        left -= bytes.length
      }
      return { ...bounds, ...offsets, error: undefined, bytes: ownBytes(taken) }
    })
  }

  #wait(positions: readonly FetchPosition[], options: FetchOptions): Promise<FetchedPartition[]> {
    const { promise, resolve } = Promise.withResolvers<FetchedPartition[]>()
    const end = this.onAppend((topic, partition) => {
      if (positions.some((one) => one.topic.id === topic.id && one.partition === partition)) finish()
    })
    const timer = this.clock.after(options.maxWaitMs, () => finish())
    const finish = () => {
      end()
      timer.cancel()
      options.signal?.removeEventListener('abort', finish)
      resolve(this.#read(positions, options))
    }
    options.signal?.addEventListener('abort', finish)
    if (options.signal?.aborted) finish()
    return promise
  }

  #keep(topic: Topic): void {
    this.topics.set(topic.name, topic)
    const partitions = this.#partitions.get(topic.id) ?? []
    while (partitions.length < topic.partitionCount) {
      partitions.push({
        batches: [],
        startOffset: 0,
        endOffset: 0,
        stableOffset: undefined,
        aborted: [],
        error: undefined,
      })
    }
    this.#partitions.set(topic.id, partitions)
    for (const listener of this.#topicListeners) listener()
  }

  #of(topic: Topic, partition: number): StoredPartition | undefined {
    return this.#partitions.get(topic.id)?.[partition]
  }
}

function failed(topic: Topic, partition: number, code: 'unknown_topic_or_partition'): FetchedPartition {
  return {
    topic,
    partition,
    error: new TailraceError(code, 'gone'),
    bytes: Buffer.alloc(0),
    logStartOffset: -1,
    highWatermark: -1,
    lastStableOffset: -1,
    leaderEpoch: 0,
    abortedTransactions: [],
  }
}

function recordsOf(place: StoredPartition): { offset: number; timestamp: number }[] {
  const reader = new RecordReader()
  const records: { offset: number; timestamp: number }[] = []
  for (const { bytes } of place.batches) {
    reader.open(bytes, 0)
    while (reader.next()) {
      if (reader.offset >= place.startOffset) records.push({ offset: reader.offset, timestamp: reader.timestamp })
    }
  }
  return records
}

/** In memory that nobody else has, as engines give it. */
export function ownBytes(parts: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(parts)
  const own = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(own)
  return own
}

/** Deltas below 64 take one byte, as the dense ones of few records did. */
function spreadOffsets(bytes: Buffer, deltas: readonly number[]): void {
  const { recordCount } = parseBatchHeader(bytes, 0)
  const reader = new RecordReader()
  reader.open(bytes, 0)
  const places: number[] = []
  while (reader.next()) {
    let at = reader.recordStart
    while ((bytes[at] as number) >= 0x80) at++
    at += 2
    while ((bytes[at] as number) >= 0x80) at++
    places.push(at + 1)
  }
  if (deltas.length !== recordCount || deltas.some((delta) => delta > 63)) throw new Error('deltas do not fit')
  for (const [at, delta] of deltas.entries()) bytes[places[at] as number] = delta * 2
}
