// The frames of `GET /v1/ws` as types, one JSON object each: as far as tails use them. asyncapi.yaml describes all. What a
// server adds later passes through unseen.

import type { AvroUnions, GroupPartition, RecordGap } from './api.ts'

export interface SubscribeFrame {
  readonly type: 'subscribe'
  readonly sub: string
  /** topics or pattern is needed. */
  readonly topics?: readonly string[] | undefined
  readonly pattern?: string | undefined
  /** Only these of the topics'. */
  readonly partitions?: readonly GroupPartition[] | undefined
  readonly from?: string | undefined
  readonly until?: TailUntil | undefined
  readonly filter?: TailFilter | undefined
  readonly key_format?: string | undefined
  readonly value_format?: string | undefined
  readonly unions?: AvroUnions | undefined
  readonly on_gap?: 'error' | 'earliest' | undefined
  readonly overflow?: TailOverflow | undefined
  readonly credit?: TailCredit | undefined
  /** As a member of a group, or in shared mode as a worker of a queue. */
  readonly group?: string | undefined
  readonly mode?: 'tail' | 'group' | 'shared' | undefined
  readonly member?: string | undefined
  readonly instance?: string | undefined
  readonly auto_commit_ms?: number | undefined
  readonly session_timeout_ms?: number | undefined
  readonly release_ms?: number | undefined
  readonly lease_ms?: number | undefined
  readonly max_attempts?: number | undefined
}

/** After so many records, or at a position as it is when the tail begins. */
export type TailUntil = { readonly count: number } | string

export type TailOverflow = 'pause' | 'drop_oldest' | 'latest_per_key'

/** What a record must have to be given: all of it. */
export interface TailFilter {
  readonly key?: string | undefined
  /** Each with its value. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** An expression over the record. */
  readonly expr?: string | undefined
}

export interface TailCredit {
  readonly records: number
  readonly bytes: number
}

export interface HelloFrame {
  readonly type: 'hello'
  readonly heartbeat_ms: number
  readonly limits: { readonly credit_records: number; readonly credit_bytes: number }
}

export interface OkFrame extends AckedRecords {
  readonly type: 'ok'
  readonly id: number
  readonly sub?: string
  readonly cursor?: string
}

/** What an ack has done; how many it left as they were is the difference. */
export interface AckedRecords {
  readonly accepted?: number
  readonly released?: number
  readonly rejected?: number
  readonly extended?: number
  readonly dead_lettered?: number
  readonly dead_letters_waiting?: number
}

export type RecordOutcome = 'accept' | 'release' | 'reject' | 'extend'

export interface AssignedPartition extends GroupPartition {
  /** The next offset to be read. */
  readonly position: number
}

export interface AssignedFrame {
  readonly type: 'assigned'
  readonly partitions: readonly AssignedPartition[]
}

export interface RevokedFrame {
  readonly type: 'revoked'
  readonly partitions: readonly GroupPartition[]
  /** How long others wait for what was sent of them to be committed. */
  readonly deadline_ms?: number
}

export interface ErrorFrame {
  readonly type: 'error'
  readonly id?: number
  readonly sub?: string
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly details?: Readonly<Record<string, unknown>>
}

export interface ProgressFrame {
  readonly type: 'progress'
  /** Of a work queue there is neither cursor nor lag. */
  readonly cursor?: string
  readonly caught_up: boolean
  /** Offsets that are still to be read, over all partitions. */
  readonly lag: number
  /** Since the subscription began. */
  readonly scanned: number
  readonly matched: number
  readonly dropped: number
  readonly filter_errors: number
}

export interface GapFrame extends RecordGap {
  readonly type: 'gap'
  readonly sub: string
}

export interface EndFrame {
  readonly type: 'end'
  readonly sub: string
  readonly reason: string
  readonly cursor?: string
}

export interface DrainingFrame {
  readonly type: 'draining'
  readonly close_in_ms: number
  readonly reconnect_after_ms: number
}
