// The closed table of everything that can be refused or can fail, and the one error class that carries it.
// Codes are Kafka's names in lower snake_case wherever Kafka has one. They are compared; messages are for people:
// what was asked, what was found, what is allowed. Each edge (HTTP v1, REST Proxy v2, later the wire) maps codes to its
// own statuses in one file with `satisfies Record<ErrorCode, …>`, so that a new code does not compile until it has one.

interface ErrorKind {
  /** The same request may succeed later without being changed. */
  readonly retriable: boolean
}

const FINAL: ErrorKind = { retriable: false }
const RETRIABLE: ErrorKind = { retriable: true }

export const ERROR_KINDS = {
  // what the request asked for
  invalid_request: FINAL,
  unsupported_media_type: FINAL,
  not_acceptable: FINAL,
  route_not_found: FINAL,
  method_not_allowed: FINAL,
  request_too_large: FINAL,
  request_timed_out: RETRIABLE,
  invalid_position: FINAL,
  invalid_cursor: FINAL,
  // topics and partitions
  invalid_topic_exception: FINAL,
  topic_already_exists: FINAL,
  unknown_topic_or_partition: FINAL,
  topic_recreated: FINAL,
  topic_authorization_failed: FINAL,
  topic_deletion_disabled: FINAL,
  policy_violation: FINAL,
  invalid_partitions: FINAL,
  invalid_replication_factor: FINAL,
  invalid_config: FINAL,
  // records
  invalid_record: FINAL,
  invalid_timestamp: FINAL,
  message_too_large: FINAL,
  unsupported_compression_type: FINAL,
  corrupt_message: FINAL,
  offset_out_of_range: FINAL,
  record_not_found: FINAL,
  // here it says what a topic asks for, not who is away: only acks or the config can change it
  not_enough_replicas: FINAL,
  // producers that name themselves
  out_of_order_sequence_number: FINAL,
  invalid_producer_epoch: FINAL,
  // consumer groups
  invalid_group_id: FINAL,
  group_id_not_found: FINAL,
  non_empty_group: FINAL,
  group_subscribed_to_topic: FINAL,
  group_max_size_reached: RETRIABLE,
  inconsistent_group_protocol: FINAL,
  invalid_session_timeout: FINAL,
  unknown_member_id: FINAL,
  fenced_instance_id: FINAL,
  illegal_generation: FINAL,
  rebalance_in_progress: RETRIABLE,
  offset_metadata_too_large: FINAL,
  fenced_lease: FINAL,
  // consumers that the server keeps for their clients (REST Proxy v2)
  consumer_instance_not_found: FINAL,
  consumer_instance_exists: FINAL,
  consumer_illegal_state: FINAL,
  consumer_format_mismatch: FINAL,
  invalid_consumer_config: FINAL,
  // live connections
  upgrade_required: FINAL,
  origin_not_allowed: FINAL,
  invalid_filter: FINAL,
  unknown_type: FINAL,
  subscription_not_found: FINAL,
  subscription_exists: FINAL,
  too_many_in_flight: RETRIABLE,
  // schemas
  invalid_schema: FINAL,
  incompatible_schema: FINAL,
  schema_not_found: FINAL,
  // this machine
  kafka_storage_error: RETRIABLE,
  disk_full: RETRIABLE,
  overloaded: RETRIABLE,
  shutting_down: RETRIABLE,
  request_cancelled: RETRIABLE,
  unknown_server_error: FINAL,
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERROR_KINDS

/** Facts about one failure that a client may act on: names in snake_case, values that JSON can carry. */
export type ErrorDetails = Readonly<Record<string, unknown>>

export class TailraceError extends Error {
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'TailraceError'
    this.code = code
    this.details = details
  }

  get retriable(): boolean {
    return ERROR_KINDS[this.code].retriable
  }
}

/** Anything that was thrown, as a TailraceError: a foreign error becomes unknown_server_error with its cause kept. */
export function asTailraceError(error: unknown): TailraceError {
  if (error instanceof TailraceError) return error
  return new TailraceError('unknown_server_error', 'an unexpected failure inside the server', {}, { cause: error })
}

/** Marks what cannot be. A broken invariant is a bug: it fails the partition or the process, it never becomes a 4xx. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`)
}
