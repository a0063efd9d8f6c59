// The bodies of the v1 API as types, named as openapi.yaml names them. What a server adds later passes through unseen.

export type Acks = 'all' | '1' | '0'

/** How a key or a value stands in JSON; what it may be is the server's to say. */
export type RecordEncoding =
  | 'string'
  | 'json'
  | 'base64'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'float32'
  | 'float64'
  | 'uuid'
  | 'avro'
  | 'jsonschema'
  | 'protobuf'

export interface CreateTopicRequest {
  readonly name: string
  readonly partitions?: number | undefined
  readonly replication_factor?: number | undefined
  readonly configs?: Readonly<Record<string, string>> | undefined
}

export interface UpdateTopicRequest {
  readonly partitions?: number | undefined
  /** null: back to the default. */
  readonly configs?: Readonly<Record<string, string | null>> | undefined
}

export interface TopicSummary {
  readonly name: string
  readonly id: string
  readonly partition_count: number
  readonly internal: boolean
}

export interface TopicDescription {
  readonly name: string
  readonly id: string
  readonly internal: boolean
  readonly partitions: readonly TopicPartition[]
  readonly configs: readonly TopicConfigEntry[]
}

export interface TopicPartition {
  readonly partition: number
  readonly start_offset: number
  readonly end_offset: number
  readonly size_bytes: number
  /** Of these, what is older than retention.ms. */
  readonly expired_bytes: number
  readonly leader: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** Why the partition takes nothing at present. */
  readonly offline?: string
  /** A bad batch that was met, and what to do. */
  readonly corrupt?: string
}

export interface TopicConfigEntry {
  readonly name: string
  readonly value: string
  readonly source: string
  readonly default: string
}

export interface RecordHeader {
  readonly name: string
  readonly value: string | null
  readonly value_encoding?: string
}

export interface ProduceRecord {
  readonly key?: unknown
  readonly value?: unknown
  readonly headers?: readonly RecordHeader[] | null
  readonly partition?: number | null
  readonly timestamp?: string | null
  readonly key_encoding?: RecordEncoding
  readonly value_encoding?: RecordEncoding
  /**
   * The schema that the value, or key, is made by; its encoding may be left out then. If none is named where the encoding is of
   * schemas: the latest of the subject that the topic's strategy names, TOPIC-value or TOPIC-key.
   */
  readonly schema_id?: number
  readonly subject?: string
  readonly schema_version?: number
  readonly key_schema_id?: number
  readonly key_subject?: string
  readonly key_schema_version?: number
}

export interface ProduceResponse {
  readonly records: readonly ProducedRecord[]
  readonly duplicate?: boolean
}

/** All null with acks=0. */
export interface ProducedRecord {
  readonly partition: number | null
  readonly offset: number | null
  readonly timestamp: string | null
}

export interface TopicRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: string | null
  readonly timestamp_type: 'CreateTime' | 'LogAppendTime'
  readonly key: unknown
  readonly value: unknown
  readonly key_encoding?: string
  /** Absent for a tombstone. */
  readonly value_encoding?: string
  readonly headers: readonly RecordHeader[]
  /** Of what is framed with it. */
  readonly schema_id?: number
  readonly key_schema_id?: number
  /** Why a value that looks so could not be shown by a schema; it is base64. */
  readonly value_error?: string
  readonly key_error?: string
  /** Of a work queue: how often it was given out. */
  readonly attempts?: number
}

export interface PagePartition {
  readonly partition: number
  readonly start_offset: number
  readonly end_offset: number
  readonly next_offset: number
  /** Why the page has nothing more of it. */
  readonly error?: PartitionError
}

export interface PartitionError {
  readonly code: string
  readonly detail: string
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>
}

export interface RecordGap {
  readonly topic: string
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly reason: string
}

export interface PartitionOffset {
  readonly partition: number
  readonly offset: number | null
  readonly timestamp: string | null
}

export interface DeletedRecords {
  readonly partition: number
  readonly start_offset: number
}

export interface ImportReport {
  readonly lines: number
  readonly imported: number
  readonly rejected: number
  readonly errors: readonly ImportError[]
  readonly errors_left_out: number
  readonly warnings: readonly string[]
}

export interface ImportError {
  readonly line: number
  readonly code: string
  readonly detail: string
}

export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

export interface GroupSummary {
  readonly group: string
  readonly state: GroupState
  /** consumer, shared; '' while offsets were set from outside only. */
  readonly protocol_type: string
}

export interface GroupDescription extends GroupSummary {
  /** The assignor that was picked; '' until one is. */
  readonly protocol: string
  readonly generation: number
  readonly members: readonly GroupMember[]
  /** Of each partition that is committed or owned. */
  readonly offsets: readonly GroupOffset[]
}

export interface GroupPartition {
  readonly topic: string
  readonly partition: number
}

export interface GroupMember {
  readonly member_id: string
  readonly group_instance_id?: string
  readonly client_id: string
  readonly host: string
  readonly topics: readonly string[]
  readonly partitions: readonly GroupPartition[]
}

export interface GroupOffset extends GroupPartition {
  readonly committed_offset: number | null
  readonly committed_at: string | null
  readonly metadata: string
  readonly start_offset: number | null
  readonly end_offset: number | null
  readonly lag: number | null
  readonly member_id: string | null
  /** Both of a shared group that is polled. */
  readonly leased?: number
  readonly acknowledged?: number
}

export interface PartitionTarget extends GroupPartition {
  readonly offset: number
}

/** One of to, shift_by and offsets is needed. */
export interface ResetOffsetsRequest {
  readonly to?: string | undefined
  readonly shift_by?: number | undefined
  readonly offsets?: readonly PartitionTarget[] | undefined
  readonly topics?: readonly string[] | undefined
  readonly partitions?: readonly GroupPartition[] | undefined
  readonly dry_run?: boolean | undefined
  readonly force?: boolean | undefined
}

export interface OffsetsReset {
  readonly group: string
  readonly dry_run: boolean
  readonly offsets: readonly OffsetReset[]
  /** Where none were named: partitions of the group's topics that it has committed nothing of. */
  readonly left_out?: readonly GroupPartition[]
  /** Of a dry run: why it would not be done now. */
  readonly refusal?: {
    readonly code: string
    readonly detail: string
    readonly details: Readonly<Record<string, unknown>>
  }
}

export interface OffsetReset extends GroupPartition {
  readonly previous_offset: number | null
  readonly offset: number
  /** Which of its bounds the partition has in place of what was asked for. */
  readonly adjusted?: 'start' | 'end'
  readonly requested_offset?: number
}

/** topics or topic_pattern is needed. */
export interface PollGroupRequest {
  readonly topics?: readonly string[] | undefined
  readonly topic_pattern?: string | undefined
  readonly mode?: 'exclusive' | 'shared' | undefined
  /** The worker's name for itself. */
  readonly member?: string | undefined
  /** Where the group begins in partitions that it has no offset of; earliest by default. */
  readonly from?: string | undefined
  readonly limit?: number | undefined
  readonly max_bytes?: number | undefined
  readonly wait_ms?: number | undefined
  readonly lease_ms?: number | undefined
  readonly max_attempts?: number | undefined
  readonly key_format?: string | undefined
  readonly value_format?: string | undefined
  readonly unions?: AvroUnions | undefined
}

/** How unions of Avro are shown: each value with the name of its branch, or alone. */
export type AvroUnions = 'tagged' | 'plain'

/** Both offsets included. */
export interface LeasedRange extends GroupPartition {
  readonly from: number
  readonly through: number
}

export interface PartitionFault extends GroupPartition {
  readonly error: PartitionError
}

export interface AckedPosition extends GroupPartition {
  /** The last offset that is done. */
  readonly through: number
}

/** Of an exclusive group through or positions, of a shared one the others. */
export interface AckLeaseRequest {
  readonly through?: 'all' | undefined
  readonly positions?: readonly AckedPosition[] | undefined
  readonly accept?: 'all' | undefined
  readonly accepted?: readonly PartitionTarget[] | undefined
  readonly released?: readonly PartitionTarget[] | undefined
  readonly rejected?: readonly PartitionTarget[] | undefined
  /** The lease goes on for the rest. */
  readonly keep?: boolean | undefined
}

export interface OpenLease {
  /** As the worker named itself; empty if it did not. */
  readonly member: string
  readonly expires_at: string
  readonly positions: readonly LeasedRange[]
}

export interface LeaseStatus {
  /** Null when it has ended. */
  readonly lease: string | null
  readonly expires_at: string | null
  /** Each the offset that is next. */
  readonly committed: readonly PartitionTarget[]
  /** What of the lease went to other members before this ack: it is not committed. */
  readonly fenced?: readonly LeasedRange[]
  readonly accepted?: number
  readonly released?: number
  readonly rejected?: number
  readonly dead_lettered?: number
  /** There where the dead-letter topic does not take them now. */
  readonly dead_letters_waiting?: number
}

export interface ClusterDescription {
  readonly cluster_id: string
  readonly controller_id: number
  readonly brokers: readonly { readonly id: number; readonly host: string; readonly port: number }[]
  readonly engine: string
  readonly capabilities: { readonly replication_factor_max: number; readonly named_producers: boolean }
}
