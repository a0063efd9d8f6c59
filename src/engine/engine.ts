// The contract that every engine keeps: our own log (local-engine), later a real Kafka cluster. It moves sealed
// RecordBatch v2 bytes, not JSON records and not Kafka request types. Types only. Each verb says which of its errors can
// leave something stored; every failure is a TailraceError.

import type { TailraceError } from '../kernel/errors.ts'
import type { SealedBatch } from '../record/record-batch.ts'
import type { Groups } from './group-protocol.ts'
import type { TopicConfig } from './topic-config.ts'

/** What an engine can do, as data: nothing asks which engine it is. */
export interface EngineCapabilities {
  readonly name: 'local' | 'kafka'
  readonly replicationFactorMax: number
  /** Producers may name themselves (Producer-Id) and repeat a request safely. */
  readonly namedProducers: boolean
  /** Other nodes may be on the same engine: what only one of them may do, one must be chosen for. */
  readonly isShared: boolean
}

/** 'all': after the fdatasync. 'leader' (acks=1): after the write reached the operating system. 'none': at once. */
export type Acks = 'all' | 'leader' | 'none'

export interface Topic {
  /** UUID of this incarnation: a topic made again under the same name has another. Lower-case hex with dashes. */
  readonly id: string
  readonly name: string
  readonly partitionCount: number
  /** `_schemas` and `__*`: hidden from lists, closed to writes from outside. */
  readonly internal: boolean
  readonly config: TopicConfig
  /** Only what was set for this topic, as text. */
  readonly configOverrides: Readonly<Record<string, string>>
  /** Grown from fewer partitions, oldest growth first: where a named producer's earlier requests were placed. */
  readonly growths: readonly PartitionGrowth[]
}

/** Recorded when a topic grows: until which request number each producer's requests were placed over fewer partitions. */
export interface PartitionGrowth {
  readonly partitionCountBefore: number
  readonly lastSequences: ReadonlyMap<bigint, { readonly epoch: number; readonly sequence: number }>
}

export interface TopicSpec {
  readonly name: string
  /** undefined: the broker's num.partitions. */
  readonly partitionCount?: number | undefined
  /** undefined or -1: the engine's default. */
  readonly replicationFactor?: number | undefined
  readonly configs?: Readonly<Record<string, string>> | undefined
}

export interface PartitionDescription {
  readonly partition: number
  readonly startOffset: number
  /** The high watermark: the end of what is durable and visible. */
  readonly endOffset: number
  readonly sizeBytes: number
  /** Of these, what is older than retention.ms and goes with the next check of retention. */
  readonly expiredBytes: number
  readonly leader: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** Why the partition takes nothing at present; undefined when it is well. */
  readonly offline?: TailraceError | undefined
  /** A bad batch that was met in it, of those whose records are not deleted; undefined when none was. */
  readonly corrupt?: TailraceError | undefined
}

export interface BatchAppended {
  /** -1 with acks 'none'. */
  readonly baseOffset: number
  /** ms; -1 where the records keep their own timestamps (CreateTime). */
  readonly logAppendTimeMs: number
  /** The batch was there already (idempotent producers): baseOffset is the first attempt's; -1 when that is not remembered. */
  readonly duplicate: boolean
  /** This batch alone was refused (out_of_order_sequence_number, invalid_producer_epoch) and nothing of it is stored. */
  readonly error?: TailraceError | undefined
}

export interface FetchPosition {
  readonly topic: Topic
  readonly partition: number
  readonly offset: number
}

export interface FetchOptions {
  /** The reply waits until this many bytes are there, or maxWaitMs has passed. 0 or 1: at once when there is anything. */
  readonly minBytes: number
  /** Over all partitions; the first batch always comes, even if larger. */
  readonly maxBytes: number
  readonly partitionMaxBytes?: number
  readonly maxWaitMs: number
  readonly isolation: 'read_committed' | 'read_uncommitted'
  readonly signal?: AbortSignal | undefined
}

export interface FetchedPartition {
  readonly topic: Topic
  readonly partition: number
  /** offset_out_of_range, unknown_topic_or_partition, kafka_storage_error, corrupt_message: this partition's alone. */
  readonly error: TailraceError | undefined
  /**
   * Whole batches one after the other, all below the high watermark; the first may begin before the offset asked for. The
   * engine has verified their checksums: a bad batch ends the bytes before it, and is the error where it would be first.
   * They lie in memory that nobody else has, and that whoever fetched them may release.
   */
  readonly bytes: Buffer
  readonly logStartOffset: number
  readonly highWatermark: number
  readonly lastStableOffset: number
  readonly leaderEpoch: number
  readonly abortedTransactions: readonly { readonly producerId: bigint; readonly firstOffset: number }[]
}

export type OffsetSpec = 'earliest' | 'latest' | 'max_timestamp' | { readonly timestamp: number }

export interface OffsetQuery {
  readonly topic: Topic
  readonly partition: number
  readonly at: OffsetSpec
}

export interface OffsetFound {
  readonly partition: number
  /** By time: the first offset whose timestamp is at or after it; -1 when there is none. */
  readonly offset: number
  /** Of that record, ms; -1 for earliest, latest and where there is none. */
  readonly timestamp: number
  readonly leaderEpoch: number
}

/** What one partition remembers of a producer: its epoch and its last batches, oldest first. */
export interface ProducerPartitionState {
  readonly partition: number
  readonly epoch: number
  readonly batches: readonly {
    readonly baseSequence: number
    readonly baseOffset: number
    readonly recordCount: number
    readonly timestamp: number
  }[]
}

export interface ClusterDescription {
  readonly clusterId: string
  readonly controllerId: number
  readonly brokers: readonly { readonly id: number; readonly host: string; readonly port: number }[]
}

/** Partitions whose high watermark moved: one call per sync, however many readers wait. */
export type AppendListener = (topic: Topic, partition: number, highWatermark: number) => void

export interface Engine {
  readonly capabilities: EngineCapabilities
  readonly groups: Groups

  cluster(): ClusterDescription

  /** As last known, from memory. */
  findTopic(name: string): Topic | undefined
  listTopics(): readonly Topic[]

  /** After topics were created, grown or deleted, findTopic says so already. Returns the function that ends it. */
  onTopicsChanged(listener: () => void): () => void

  /**
   * topic_already_exists, invalid_topic_exception, invalid_partitions, invalid_replication_factor, invalid_config,
   * disk_full: nothing is stored. After kafka_storage_error the topic may exist.
   */
  createTopic(spec: TopicSpec): Promise<Topic>
  /** Grows only. invalid_partitions: nothing is changed. Waits for named producers' requests in flight. */
  growTopic(name: string, partitionCount: number): Promise<Topic>
  /** A null goes back to the default. invalid_config: nothing is changed. */
  alterTopicConfigs(name: string, changes: Readonly<Record<string, string | null>>): Promise<Topic>
  /** Gone for every reader when it resolves; its files go later. */
  deleteTopic(name: string): Promise<void>
  describePartitions(topic: Topic): Promise<readonly PartitionDescription[]>

  /**
   * Stores sealed batches, in order, in one partition, all in one write and one sync; appends to one partition in the order of the calls. Base offset and leader epoch are stamped into the batches' own
   * bytes: they belong to the engine from the call on. Where the topic names a codec (compression.type) they are stored with it; max.message.bytes limits a batch as it is stored.
   * Before anything is stored: unknown_topic_or_partition, topic_recreated, message_too_large, corrupt_message and unsupported_compression_type (a batch that must be compressed anew), invalid_record (one without a key, to a compacted topic), overloaded, disk_full, request_cancelled (a named producer's batch was placed
   * over fewer partitions than the topic has by now: place it again), kafka_storage_error when already offline.
   * After kafka_storage_error of a write or sync the batches may or may not be stored; the partition is offline then.
   */
  append(
    topic: Topic,
    partition: number,
    batches: readonly SealedBatch[],
    acks: Acks,
  ): Promise<readonly BatchAppended[]>

  fetch(positions: readonly FetchPosition[], options: FetchOptions): Promise<readonly FetchedPartition[]>
  /** Whoever appended: where the engine is shared, also what other nodes did. Returns the function that ends it. */
  onAppend(listener: AppendListener): () => void
  listOffsets(queries: readonly OffsetQuery[]): Promise<readonly OffsetFound[]>
  /** Raises the log start offset, durably. beforeOffset -1: up to the high watermark. offset_out_of_range, policy_violation (a topic that is only compacted): nothing is changed. */
  deleteRecords(topic: Topic, partition: number, beforeOffset: number): Promise<{ readonly logStartOffset: number }>

  /**
   * Runs work with the int64 behind a producer's name: made on first use, durable before work begins, bit 62 set
   * (request-numbered). Name and id belong together, and partitions remember the producer, while work runs and for
   * producer.id.expiration.ms of silence at least; then all of it is forgotten, and the name gets an id that never was in
   * use. overloaded, disk_full, kafka_storage_error: work has not begun.
   */
  withProducerId<Result>(name: string, work: (producerId: bigint) => Promise<Result>): Promise<Result>
  /** What each partition of the topic remembers of a producer; partitions that know nothing of it are left out. */
  producerState(topic: Topic, producerId: bigint): Promise<readonly ProducerPartitionState[]>

  close(): Promise<void>
}
