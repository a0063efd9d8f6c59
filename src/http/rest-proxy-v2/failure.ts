// Failures in the form of the REST Proxy v2 API: {"error_code", "message"}. The one table from our codes to its numbers
// stands here: a code that has no number does not compile. A number is the status, or the status and two digits more.
// Clients compare numbers and some of the texts: those that the proxy has are given in its words.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ErrorCode } from '../../kernel/errors.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { bytesOfJson, setFailureHeaders } from '../problem.ts'
import { acceptedConsumerType, acceptedErrorType, acceptedRecordsType, REST_PROXY_JSON } from './negotiation.ts'

const ERROR_CODE_OF = {
  invalid_request: 400,
  unsupported_media_type: 415,
  not_acceptable: 406,
  route_not_found: 404,
  method_not_allowed: 405,
  request_too_large: 413,
  request_timed_out: 408,
  invalid_position: 40002,
  invalid_cursor: 40002,
  invalid_topic_exception: 40002,
  topic_already_exists: 40002,
  unknown_topic_or_partition: 40403,
  topic_recreated: 40403,
  topic_authorization_failed: 40301,
  topic_deletion_disabled: 40002,
  policy_violation: 40002,
  invalid_partitions: 40002,
  invalid_replication_factor: 40002,
  invalid_config: 40002,
  invalid_record: 422,
  invalid_timestamp: 40002,
  message_too_large: 413,
  unsupported_compression_type: 40002,
  corrupt_message: 50002,
  offset_out_of_range: 40002,
  record_not_found: 40402,
  not_enough_replicas: 50302,
  out_of_order_sequence_number: 50002,
  invalid_producer_epoch: 50002,
  invalid_group_id: 40002,
  group_id_not_found: 40405,
  non_empty_group: 40002,
  group_subscribed_to_topic: 40002,
  group_max_size_reached: 50302,
  inconsistent_group_protocol: 40903,
  invalid_session_timeout: 42204,
  unknown_member_id: 40903,
  fenced_instance_id: 40903,
  illegal_generation: 40903,
  rebalance_in_progress: 50302,
  offset_metadata_too_large: 40002,
  fenced_lease: 40903,
  upgrade_required: 426,
  origin_not_allowed: 403,
  invalid_filter: 400,
  invalid_schema: 42205,
  incompatible_schema: 42207,
  schema_not_found: 42207,
  unknown_type: 400,
  subscription_not_found: 404,
  subscription_exists: 409,
  too_many_in_flight: 429,
  consumer_instance_not_found: 40403,
  consumer_instance_exists: 40902,
  consumer_illegal_state: 40903,
  consumer_format_mismatch: 40601,
  invalid_consumer_config: 42204,
  kafka_storage_error: 50302,
  disk_full: 50302,
  overloaded: 50302,
  shutting_down: 50302,
  request_cancelled: 50302,
  unknown_server_error: 500,
} as const satisfies Record<ErrorCode, number>

/** What is told in the proxy's words, whatever went wrong in ours; where a type is wrong, ours stand behind. */
const TEXT_OF: Readonly<Partial<Record<ErrorCode, string>>> = {
  route_not_found: 'HTTP 404 Not Found',
  method_not_allowed: 'HTTP 405 Method Not Allowed',
  unsupported_media_type: 'HTTP 415 Unsupported Media Type',
  unknown_topic_or_partition: 'This server does not host this topic-partition.',
  unknown_server_error: 'Internal Server Error',
}

/** Numbers that say more than our code does; they go in a failure's details. */
type OwnErrorCode = 400 | 422 | 40001 | 40002 | 40402 | 40801 | 42201 | 42202 | 42203 | 42204 | 42205 | 42207

/** A failure with a number and a text of its own. */
export function restProxyFailure(errorCode: OwnErrorCode, message: string): TailraceError {
  return new TailraceError(CODE_OF_OWN[errorCode], message, { error_code: errorCode })
}

const CODE_OF_OWN: Readonly<Record<OwnErrorCode, ErrorCode>> = {
  400: 'invalid_record',
  422: 'invalid_record',
  40001: 'invalid_consumer_config',
  40002: 'invalid_request',
  40402: 'unknown_topic_or_partition',
  40801: 'invalid_record',
  42201: 'invalid_record',
  42202: 'invalid_record',
  42203: 'invalid_record',
  42204: 'invalid_consumer_config',
  42205: 'invalid_schema',
  42207: 'invalid_schema',
}

export function partitionNotFound(): TailraceError {
  return restProxyFailure(40402, 'Partition not found.')
}

/** Such a path leads nowhere: the partition in it is no number. */
export function noSuchPath(): TailraceError {
  return new TailraceError('route_not_found', 'the partition in the path is no number')
}

/** A consumer's property that is out of its range: of all numbers the one that does not begin with its status. */
const OUT_OF_RANGE = 40001

/** What the answer's status is, and the number in its body. */
function statusOf(errorCode: number): number {
  if (errorCode === OUT_OF_RANGE) return 422
  return errorCode < 1000 ? errorCode : Math.trunc(errorCode / 100)
}

export function renderRestProxyFailure(failure: TailraceError, request: FastifyRequest, reply: FastifyReply): void {
  const own = failure.details['error_code']
  const errorCode = typeof own === 'number' ? own : ERROR_CODE_OF[failure.code]
  const message = typeof own === 'number' ? failure.message : messageOf(failure)
  const status = statusOf(errorCode)
  setFailureHeaders(failure, status, reply)
  reply.code(status)
  // Nothing that could be sent would be acceptable.
  if (failure.code === 'not_acceptable') reply.send()
  else
    reply.header('content-type', typeOf(failure, request)).send(bytesOfJson({ error_code: errorCode, message }, '\n'))
}

function messageOf({ code, message }: TailraceError): string {
  const text = TEXT_OF[code]
  if (text === undefined) return message
  return code === 'unsupported_media_type' ? `${text}: ${message}` : text
}

/** The type that the route would have answered with; where none was reached, what suits the client best. */
function typeOf(failure: TailraceError, request: FastifyRequest): string {
  const { accept } = request.headers
  if (UNROUTED.has(failure.code) || request.routeOptions?.url === undefined) return acceptedErrorType(accept)
  const { url } = request.routeOptions
  if (url.endsWith('/records')) return acceptedRecordsType(accept)
  return url.startsWith('/consumers') ? (acceptedConsumerType(accept) ?? REST_PROXY_JSON) : REST_PROXY_JSON
}

const UNROUTED: ReadonlySet<ErrorCode> = new Set(['route_not_found', 'method_not_allowed', 'unsupported_media_type'])
