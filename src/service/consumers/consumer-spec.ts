// What a client says of a consumer that the server keeps for it (REST Proxy v2), and what of it is remembered over restarts.

import type { SchemaEncoding } from '../../codec/schema-codec.ts'
import type { GroupPartition } from '../../engine/group-protocol.ts'
import type { Subscription } from '../groups/group-member.ts'

export type ConsumerFormat = 'binary' | 'json' | SchemaEncoding

export type OffsetReset = 'earliest' | 'latest' | 'none'

export interface ConsumerSpec {
  readonly format: ConsumerFormat
  /** Where a partition begins that has no committed offset, or whose position is gone. */
  readonly offsetReset: OffsetReset
  /** What one read gave is committed by the next. */
  readonly autoCommit: boolean
  /** A read waits for so many bytes of records; up to 1: for any. */
  readonly fetchMinBytes: number
  /** The longest wait of a read; undefined: the server's. */
  readonly requestTimeoutMs?: number | undefined
  /** Silence after which others get its partitions; undefined: the time after which the consumer itself goes. */
  readonly sessionTimeoutMs?: number | undefined
}

/** Where a consumer's records come from. */
export type ConsumerSource =
  | { readonly kind: 'none' }
  | { readonly kind: 'subscribed'; readonly subscription: Subscription }
  | { readonly kind: 'assigned'; readonly partitions: readonly GroupPartition[] }

export const NO_SOURCE: ConsumerSource = { kind: 'none' }
