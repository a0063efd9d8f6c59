// Failures as RFC 9457 problems, the form of everything under /v1. The one table from code to status stands here: a code
// that has no status does not compile.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ErrorCode, TailraceError } from '../kernel/errors.ts'
import { ERROR_KINDS } from '../kernel/errors.ts'
import { goOnBehindUpgrade } from './refused-upgrade.ts'

export const STATUS_OF_CODE = {
  invalid_request: 400,
  unsupported_media_type: 415,
  not_acceptable: 406,
  route_not_found: 404,
  method_not_allowed: 405,
  request_too_large: 413,
  request_timed_out: 408,
  invalid_position: 400,
  invalid_cursor: 400,
  invalid_topic_exception: 400,
  topic_already_exists: 409,
  unknown_topic_or_partition: 404,
  topic_recreated: 410,
  topic_authorization_failed: 403,
  topic_deletion_disabled: 403,
  policy_violation: 403,
  invalid_partitions: 400,
  invalid_replication_factor: 400,
  invalid_config: 400,
  invalid_record: 422,
  invalid_timestamp: 422,
  message_too_large: 413,
  unsupported_compression_type: 422,
  // what is damaged is here, not in the request; no use in trying again: retryable says so
  corrupt_message: 503,
  offset_out_of_range: 416,
  record_not_found: 404,
  not_enough_replicas: 503,
  out_of_order_sequence_number: 409,
  invalid_producer_epoch: 403,
  invalid_group_id: 400,
  group_id_not_found: 404,
  non_empty_group: 409,
  group_subscribed_to_topic: 409,
  group_max_size_reached: 503,
  inconsistent_group_protocol: 409,
  invalid_session_timeout: 400,
  unknown_member_id: 409,
  fenced_instance_id: 409,
  illegal_generation: 409,
  rebalance_in_progress: 503,
  offset_metadata_too_large: 400,
  fenced_lease: 409,
  upgrade_required: 426,
  origin_not_allowed: 403,
  invalid_filter: 400,
  invalid_schema: 422,
  incompatible_schema: 409,
  schema_not_found: 404,
  unknown_type: 400,
  subscription_not_found: 404,
  subscription_exists: 409,
  too_many_in_flight: 429,
  consumer_instance_not_found: 404,
  consumer_instance_exists: 409,
  consumer_illegal_state: 409,
  consumer_format_mismatch: 406,
  invalid_consumer_config: 422,
  kafka_storage_error: 503,
  disk_full: 503,
  overloaded: 503,
  shutting_down: 503,
  request_cancelled: 503,
  unknown_server_error: 500,
} as const satisfies Record<ErrorCode, number>

/** What a client is told to wait where the same request may succeed later. */
const RETRY_AFTER_SECONDS = 1

const PROBLEM_MEDIA_TYPE = 'application/problem+json'

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly instance: string
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly request_id: string
  /** Record by record, what a produce request that failed in some partition has stored. */
  readonly results?: unknown
  /** Facts about this failure that a program may act on. */
  readonly details?: Readonly<Record<string, unknown>>
}

function problemOf(
  failure: TailraceError,
  place: { readonly instance: string; readonly requestId: string; readonly status?: number },
): Problem {
  const { results, ...details } = failure.details
  return {
    type: `urn:tailrace:problem:${failure.code}`,
    title: titleOf(failure.code),
    status: place.status ?? STATUS_OF_CODE[failure.code],
    detail: failure.message,
    instance: place.instance,
    code: failure.code,
    retryable: ERROR_KINDS[failure.code].retriable,
    request_id: place.requestId,
    ...(results === undefined ? {} : { results }),
    ...(Object.keys(details).length === 0 ? {} : { details }),
  }
}

/** The v1 dialect's form of a failure. */
export function renderProblem(failure: TailraceError, request: FastifyRequest, reply: FastifyReply): void {
  const problem = problemOf(failure, { instance: request.url, requestId: request.id })
  setFailureHeaders(failure, STATUS_OF_CODE[failure.code], reply)
  reply.code(problem.status).header('content-type', PROBLEM_MEDIA_TYPE).send(bytesOfJson(problem, '\n'))
}

/** Headers that go with a failure in every dialect: when to come back, which methods there are. */
export function setFailureHeaders(failure: TailraceError, status: number, reply: FastifyReply): void {
  if (failure.retriable && (status === 503 || status === 429)) reply.header('retry-after', RETRY_AFTER_SECONDS)
  const { allow } = failure.details
  if (failure.code === 'method_not_allowed' && Array.isArray(allow)) reply.header('allow', allow.join(', '))
  if (failure.code === 'upgrade_required') {
    goOnBehindUpgrade(reply.request.raw, reply.raw)
    const connection = reply.raw.shouldKeepAlive ? 'upgrade' : 'upgrade, close'
    reply.headers({ connection, upgrade: 'websocket', 'sec-websocket-version': '13' })
  }
  // What is left of the body may never come.
  if (failure.code === 'request_timed_out') reply.header('connection', 'close')
  if (failure.code === 'unsupported_media_type') reply.header('accept-encoding', 'gzip, zstd')
}

/** As bytes: a Buffer goes out with the media type as it was set, a string would have a charset put behind it. */
export function bytesOfJson(value: unknown, end: '' | '\n' = ''): Buffer {
  return Buffer.from(JSON.stringify(value, jsonSafe) + end)
}

/** int64s may be in details as bigint. */
function jsonSafe(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

/**
 * The statuses of requests that the parser could not read. Not node:http's own table: importing a value from there loads
 * its fetch and WebSocket too: 13 MB and 50 ms for what nothing here uses.
 */
const UNREADABLE_REASONS = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
} as const

export type UnreadableStatus = keyof typeof UNREADABLE_REASONS

/** A whole HTTP reply for a request that the parser could not read: there is no request object to answer. */
export function rawProblemReply(failure: TailraceError, status: UnreadableStatus, requestId: string): string {
  const body = JSON.stringify(problemOf(failure, { instance: '/', requestId, status }))
  const head = [
    `HTTP/1.1 ${status} ${UNREADABLE_REASONS[status]}`,
    `content-type: ${PROBLEM_MEDIA_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

function titleOf(code: ErrorCode): string {
  const words = code.replaceAll('_', ' ')
  return `${words[0]?.toUpperCase()}${words.slice(1)}`
}
