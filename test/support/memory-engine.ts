// The engine contract in memory, as far as the service's produce side needs it: keeps batches, can hold or refuse an
// append before it is written and before it is synced. Knows repeats as the log does, by the log's own rules.

import { randomUUID } from 'node:crypto'
import type { GroupOptions } from '../../src/coordinator/group-coordinator.ts'
import { GroupCoordinator } from '../../src/coordinator/group-coordinator.ts'
import type {
  Acks,
  BatchAppended,
  Engine,
  FetchedPartition,
  FetchPosition,
  OffsetFound,
  OffsetQuery,
  PartitionGrowth,
  ProducerPartitionState,
  Topic,
  TopicSpec,
} from '../../src/engine/engine.ts'
import type { TopicConfigDefaults } from '../../src/engine/topic-config.ts'
import { parseTopicConfig, topicConfigDefaults } from '../../src/engine/topic-config.ts'
import { isInternalTopic } from '../../src/engine/topic-name.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import type { ProducerEntry } from '../../src/log/producer-state.ts'
import { judgeBatch, withBatch } from '../../src/log/producer-state.ts'
import { findKeylessRecord } from '../../src/record/batch-check.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import type { SealedBatch } from '../../src/record/record-batch.ts'
import { stampBatch, stampLogAppendTime } from '../../src/record/record-batch.ts'
import { GROUP_OPTIONS } from './engine-options.ts'
import { MemoryGroupStore } from './memory-group-store.ts'
import { ownBytes } from './readable-engine.ts'

export interface StoredRecord {
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
}

export interface AppendSeen {
  readonly topic: Topic
  readonly partition: number
  readonly batches: readonly SealedBatch[]
  readonly acks: Acks
}

interface Partition {
  readonly batches: SealedBatch[]
  readonly producers: Map<bigint, ProducerEntry>
  endOffset: number
  syncedOffset: number
  tail: Promise<void>
}

/** A moment to wait, or to fail: throw there. */
export type Hook = (append: AppendSeen) => Promise<void> | void

export interface MemoryEngineOptions {
  readonly partitionCountDefault?: number
  /** Of groups. */
  readonly clock?: Clock
  readonly groups?: Partial<GroupOptions>
  readonly telemetry?: Telemetry
}

export class MemoryEngine implements Engine {
  readonly capabilities = { name: 'local', replicationFactorMax: 1, namedProducers: true, isShared: false } as const
  readonly defaults: TopicConfigDefaults = topicConfigDefaults({})
  readonly partitionCountDefault: number
  groups: GroupCoordinator
  groupStore = new MemoryGroupStore()
  readonly appends: AppendSeen[] = []
  /** Before anything of an append is stored. */
  beforeWrite: Hook = () => {}
  /** Between the write and the sync. */
  beforeSync: Hook = () => {}
  appendTimeMs = 0
  created = 0
  readonly #options: MemoryEngineOptions
  readonly #topics = new Map<string, Topic>()
  readonly #partitions = new Map<string, Partition[]>()
  readonly #ids = new Map<string, bigint>()
  readonly #topicListeners = new Set<() => void>()

  constructor(options: MemoryEngineOptions = {}) {
    this.#options = options
    this.partitionCountDefault = options.partitionCountDefault ?? 1
    this.groups = this.#openGroups()
  }

  #openGroups(): GroupCoordinator {
    const { clock = systemClock, groups = {}, telemetry = new Telemetry() } = this.#options
    return new GroupCoordinator({
      clock,
      telemetry,
      store: this.groupStore,
      saved: this.groupStore.saved,
      options: { ...GROUP_OPTIONS, ...groups },
      newId: randomUUID,
      findTopic: (name) => this.findTopic(name),
      findTopicById: (topicId) => this.listTopics().find(({ id }) => id === topicId),
    })
  }

  /** As after a restart: of groups with what is durable, and nothing else. */
  async restart(): Promise<void> {
    await this.close()
    this.groupStore = new MemoryGroupStore(this.groupStore.saved)
    this.groups = this.#openGroups()
  }

  cluster() {
    return { clusterId: 'memory', controllerId: 0, brokers: [] }
  }

  findTopic(name: string): Topic | undefined {
    return this.#topics.get(name)
  }

  listTopics(): readonly Topic[] {
    return [...this.#topics.values()]
  }

  onTopicsChanged(listener: () => void): () => void {
    this.#topicListeners.add(listener)
    return () => this.#topicListeners.delete(listener)
  }

  async createTopic(spec: TopicSpec): Promise<Topic> {
    await Promise.resolve()
    if (this.#topics.has(spec.name)) throw new TailraceError('topic_already_exists', 'exists')
    const { name, partitionCount = this.partitionCountDefault, configs = {} } = spec
    this.created++
    return this.#change({
      id: randomUUID(),
      name,
      partitionCount,
      internal: isInternalTopic(name),
      config: parseTopicConfig(configs, this.defaults),
      configOverrides: configs,
      growths: [],
    })
  }

  async growTopic(name: string, partitionCount: number): Promise<Topic> {
    const topic = this.#get(name)
    const partitions = this.#partitionsOf(topic)
    await Promise.all(partitions.map(({ tail }) => tail))
    const lastSequences = new Map<bigint, { epoch: number; sequence: number }>()
    for (const { producers } of partitions) {
      for (const [id, { epoch, batches }] of producers) {
        const known = lastSequences.get(id)
        const sequence = batches.at(-1)?.baseSequence ?? -1
        if (known === undefined || epoch > known.epoch || (epoch === known.epoch && sequence > known.sequence)) {
          lastSequences.set(id, { epoch, sequence })
        }
      }
    }
    const growth: PartitionGrowth = { partitionCountBefore: topic.partitionCount, lastSequences }
    return this.#change({ ...topic, partitionCount, growths: [...topic.growths, growth] })
  }

  async alterTopicConfigs(name: string, changes: Readonly<Record<string, string | null>>): Promise<Topic> {
    const topic = this.#get(name)
    const merged = Object.entries({ ...topic.configOverrides, ...changes })
    const configOverrides = Object.fromEntries(merged.filter((entry): entry is [string, string] => entry[1] !== null))
    return this.#keep({ ...topic, configOverrides, config: parseTopicConfig(configOverrides, this.defaults) })
  }

  async deleteTopic(name: string): Promise<void> {
    const { id } = this.#get(name)
    this.#partitions.delete(id)
    this.#topics.delete(name)
    this.groupStore.dropTopic(id)
    this.groups.topicDeleted(id)
    for (const listener of this.#topicListeners) listener()
  }

  async describePartitions(topic: Topic) {
    return this.#partitionsOf(topic).map(({ syncedOffset }, partition) => {
      const sizes = { sizeBytes: 0, expiredBytes: 0 }
      return { partition, startOffset: 0, endOffset: syncedOffset, ...sizes, leader: 0, replicas: [0], isr: [0] }
    })
  }

  append(topic: Topic, partition: number, batches: readonly SealedBatch[], acks: Acks): Promise<BatchAppended[]> {
    const seen = { topic, partition, batches, acks }
    this.appends.push(seen)
    const place = this.#partitionsOf(topic)[partition]
    if (place === undefined) return Promise.reject(new TailraceError('unknown_topic_or_partition', 'no partition'))
    const written = Promise.withResolvers<BatchAppended[]>()
    const synced = place.tail.then(async () => {
      try {
        await this.beforeWrite(seen)
        this.#checkKeys(seen)
        const appended = batches.map((batch) => this.#store(topic, place, batch))
        written.resolve(appended)
        const endOffset = place.endOffset
        await this.beforeSync(seen)
        place.syncedOffset = endOffset
        return appended
      } catch (error) {
        written.reject(error)
        throw error
      }
    })
    place.tail = synced.then(
      () => {},
      () => {},
    )
    written.promise.catch(() => {})
    if (acks === 'all') return synced
    synced.catch(() => {})
    return written.promise
  }

  /** Whole partitions, whatever the limits. */
  async fetch(positions: readonly FetchPosition[]): Promise<readonly FetchedPartition[]> {
    return positions.map(({ topic, partition }) => {
      const { batches, syncedOffset } = this.#partitionsOf(topic)[partition] as Partition
      return {
        topic,
        partition,
        error: undefined,
        bytes: ownBytes(batches.map(({ bytes }) => bytes)),
        logStartOffset: 0,
        highWatermark: syncedOffset,
        lastStableOffset: syncedOffset,
        leaderEpoch: 0,
        abortedTransactions: [],
      }
    })
  }

  onAppend(): () => void {
    return () => {}
  }

  async listOffsets(queries: readonly OffsetQuery[]): Promise<readonly OffsetFound[]> {
    return queries.map(({ topic, partition, at }) => {
      const offset = at === 'earliest' ? 0 : (this.#partitionsOf(topic)[partition]?.syncedOffset ?? -1)
      return { partition, offset, timestamp: -1, leaderEpoch: 0 }
    })
  }

  deleteRecords(): Promise<never> {
    throw new Error('this engine keeps all records')
  }

  async withProducerId<Result>(name: string, work: (producerId: bigint) => Promise<Result>): Promise<Result> {
    const id = this.#ids.get(name) ?? (1n << 62n) + BigInt(this.#ids.size)
    this.#ids.set(name, id)
    return work(id)
  }

  async producerState(topic: Topic, producerId: bigint): Promise<readonly ProducerPartitionState[]> {
    const partitions = this.#partitionsOf(topic).slice(0, topic.partitionCount)
    return partitions.flatMap(({ producers }, partition) => {
      const entry = producers.get(producerId)
      return entry === undefined ? [] : [{ partition, epoch: entry.epoch, batches: entry.batches }]
    })
  }

  close(): Promise<void> {
    return this.groups.close()
  }

  batches(name: string, partition: number): readonly SealedBatch[] {
    return this.#partitionsOf(this.#get(name))[partition]?.batches ?? []
  }

  records(name: string, partition: number): StoredRecord[] {
    return this.batches(name, partition).flatMap(({ bytes }) => readRecords(bytes))
  }

  #checkKeys({ topic, batches }: AppendSeen): void {
    if (!this.#get(topic.name).config.cleanupPolicy.compact) return
    if (batches.every((batch) => findKeylessRecord(batch) < 0)) return
    throw new TailraceError('invalid_record', 'a record without a key')
  }

  #store(topic: Topic, place: Partition, batch: SealedBatch): BatchAppended {
    const { header } = batch
    const appendTime = topic.config.messageTimestampType === 'LogAppendTime' ? this.appendTimeMs : -1
    if (header.producerId >= 0n) {
      const verdict = judgeBatch(place.producers.get(header.producerId), header)
      if (verdict === 'forgotten') return { baseOffset: -1, logAppendTimeMs: -1, duplicate: true }
      if (verdict !== 'append') {
        const logAppendTimeMs = appendTime < 0 ? -1 : verdict.timestamp
        return { baseOffset: verdict.baseOffset, logAppendTimeMs, duplicate: true }
      }
    }
    stampBatch(batch, place.endOffset, 0)
    if (appendTime >= 0) stampLogAppendTime(batch, appendTime)
    if (header.producerId >= 0n) {
      place.producers.set(header.producerId, withBatch(place.producers.get(header.producerId), header, 0))
    }
    place.endOffset += header.recordCount
    place.batches.push(batch)
    return { baseOffset: header.baseOffset, logAppendTimeMs: appendTime, duplicate: false }
  }

  #change(topic: Topic): Topic {
    this.#keep(topic)
    for (const listener of this.#topicListeners) listener()
    return topic
  }

  #keep(topic: Topic): Topic {
    this.#topics.set(topic.name, topic)
    const partitions = this.#partitions.get(topic.id) ?? []
    while (partitions.length < topic.partitionCount) {
      const tail = Promise.resolve()
      partitions.push({ batches: [], producers: new Map(), endOffset: 0, syncedOffset: 0, tail })
    }
    this.#partitions.set(topic.id, partitions)
    return topic
  }

  #get(name: string): Topic {
    const topic = this.#topics.get(name)
    if (topic === undefined) throw new TailraceError('unknown_topic_or_partition', name)
    return topic
  }

  #partitionsOf(topic: Topic): readonly Partition[] {
    const partitions = this.#partitions.get(topic.id)
    if (partitions !== undefined) return partitions
    const code = this.#topics.has(topic.name) ? 'topic_recreated' : 'unknown_topic_or_partition'
    throw new TailraceError(code, `topic '${topic.name}' is gone`)
  }
}

/** Of one batch after the other. */
export function readRecords(bytes: Buffer): StoredRecord[] {
  const records: StoredRecord[] = []
  const reader = new RecordReader()
  for (let position = 0; position < bytes.length; position = reader.batchEnd) {
    reader.open(bytes, position)
    while (reader.next()) {
      const { offset, timestamp } = reader
      records.push({
        offset,
        key: text(reader.bytes, reader.keyStart, reader.keyEnd),
        value: text(reader.bytes, reader.valueStart, reader.valueEnd),
        timestamp,
      })
    }
  }
  return records
}

function text(bytes: Uint8Array, start: number, end: number): string | null {
  return start < 0 ? null : Buffer.from(bytes.subarray(start, end)).toString()
}
