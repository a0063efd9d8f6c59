// Failures in the form of the Schema Registry: a number and a text, both always there. The number's first three digits are
// the status; of a store or a node that does not answer it is one that says when to come again.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ErrorCode } from '../../kernel/errors.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { registryCodeOf } from '../../registry/registry-failure.ts'
import { bytesOfJson, STATUS_OF_CODE, setFailureHeaders } from '../problem.ts'
import { FALLBACK_TYPE, replyTypeFor } from './negotiation.ts'

/** What is told in the registry's words, whatever went wrong in ours; ours stand behind where they name what is allowed. */
const TEXT_OF: Readonly<Partial<Record<ErrorCode, string>>> = {
  route_not_found: 'HTTP 404 Not Found',
  method_not_allowed: 'HTTP 405 Method Not Allowed',
  unsupported_media_type: 'HTTP 415 Unsupported Media Type',
  not_acceptable: 'HTTP 406 Not Acceptable',
  unknown_server_error: 'Internal Server Error',
}

/** Confluent's numbers for a store that does not answer. */
const STORE_CODE_OF: Readonly<Partial<Record<ErrorCode, number>>> = {
  kafka_storage_error: 50001,
  disk_full: 50001,
  corrupt_message: 50001,
  overloaded: 50002,
  request_cancelled: 50002,
  shutting_down: 50002,
}

export function renderRegistryFailure(failure: TailraceError, request: FastifyRequest, reply: FastifyReply): void {
  const own = registryCodeOf(failure)
  const status = own === undefined ? STATUS_OF_CODE[failure.code] : statusOf(own)
  const errorCode = own ?? STORE_CODE_OF[failure.code] ?? status
  const message = messageOf(failure)
  setFailureHeaders(failure, status, reply)
  reply
    .code(status)
    .header('content-type', typeFor(request))
    .send(bytesOfJson({ error_code: errorCode, message }, '\n'))
}

function messageOf({ code, message }: TailraceError): string {
  const text = TEXT_OF[code]
  if (text === undefined) return message
  return NAMES_ALLOWED.has(code) ? `${text}: ${message}` : text
}

const NAMES_ALLOWED: ReadonlySet<ErrorCode> = new Set(['unsupported_media_type', 'not_acceptable'])

function statusOf(errorCode: number): number {
  if (errorCode > 50_000) return STATUS_OF_CODE.overloaded
  return errorCode < 1000 ? errorCode : Math.trunc(errorCode / 100)
}

function typeFor(request: FastifyRequest): string {
  try {
    return replyTypeFor(request.headers.accept)
  } catch {
    return FALLBACK_TYPE
  }
}

/** A number in the path or the query is none. */
export function noSuchPath(): TailraceError {
  return new TailraceError('route_not_found', 'HTTP 404 Not Found')
}
