// What went wrong with a request, as a TailraceError whichever layer found it: our own errors as they are, Fastify's by
// their codes, everything else a bug that is logged once and shown to nobody.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { TailraceError as Failure } from '../kernel/errors.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { RenderFailure } from './http-floor.ts'

/** The error handler of a dialect's Fastify instance. */
export function failureHandler(render: RenderFailure, logger: Logger) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const failure = failureOf(error)
    if (isBug(failure)) logBug(failure, request, logger)
    render(failure, request, reply)
  }
}

export function failureOf(error: unknown): TailraceError {
  if (error instanceof TailraceError) return error
  const { code, statusCode, message } = (typeof error === 'object' && error !== null ? error : {}) as {
    code?: unknown
    statusCode?: unknown
    message?: unknown
  }
  if (typeof code !== 'string' || !code.startsWith('FST_') || typeof statusCode !== 'number' || statusCode >= 500) {
    return asTailraceError(error)
  }
  switch (code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new TailraceError('unsupported_media_type', 'the Content-Type header is no media type')
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new TailraceError('request_too_large', 'the request body is too large')
    case 'FST_ERR_BAD_URL':
      return new TailraceError('invalid_request', 'the path holds percent-encoding that stands for no character')
    default:
      return new TailraceError('invalid_request', String(message))
  }
}

function isBug(failure: Failure): boolean {
  return failure.code === 'unknown_server_error'
}

function logBug(failure: Failure, request: FastifyRequest, logger: Logger): void {
  const facts = { err: failure.cause ?? failure, requestId: request.id, method: request.method, url: request.url }
  logger.error(facts, 'a request failed for a reason that is not its own')
}
