// The query parameters that say which records of a read are wanted: by key, and by headers, which name themselves
// (`header.NAME=VALUE`), so that a route's list of parameters depends on the request; and by an expression.

import type { FastifyRequest } from 'fastify'
import { TailraceError } from '../../kernel/errors.ts'
import type { RecordFilters } from '../../service/filter/record-filter.ts'
import { RequestQuery } from '../request-query.ts'

export const FILTER_PARAMETERS = ['key', 'key_base64', 'header', 'header.NAME', 'filter'] as const

const HEADER_PREFIX = 'header.'

/** `known` has FILTER_PARAMETERS in it. */
export function queryWithFilters(request: FastifyRequest, known: readonly string[]): RequestQuery {
  const headerNames = Object.keys(request.query as object).filter((name) => name.startsWith(HEADER_PREFIX))
  return new RequestQuery(request, known, headerNames)
}

/** undefined: everything is wanted. */
export function readFilters(query: RequestQuery): RecordFilters | undefined {
  const key = readKey(query)
  const headers = query.names().flatMap((parameter) => {
    if (!parameter.startsWith(HEADER_PREFIX)) return []
    const name = parameter.slice(HEADER_PREFIX.length)
    return query.texts(parameter).map((value) => ({ name, value: Buffer.from(value) }))
  })
  headers.push(...query.texts('header').map(parseHeader))
  const expression = query.text('filter')
  return key === undefined && headers.length === 0 && expression === undefined
    ? undefined
    : { key, headers, expression }
}

/** `header=name:value` says the same as `header.name=value`, in a form that OpenAPI can describe. */
function parseHeader(text: string) {
  const colon = text.indexOf(':')
  if (colon < 0) throw invalid('header', 'header is not of the form name:value')
  return { name: text.slice(0, colon), value: Buffer.from(text.slice(colon + 1)) }
}

/** Text as `key`, any bytes as `key_base64`. */
function readKey(query: RequestQuery): Uint8Array | undefined {
  const text = query.text('key')
  const base64 = query.text('key_base64')
  if (base64 === undefined) return text === undefined ? undefined : Buffer.from(text)
  if (text !== undefined) throw invalid('key', 'give key or key_base64, not both')
  // A query string turns + into a blank.
  const bytes = Buffer.from(base64.replaceAll(' ', '+'), 'base64')
  const plain = base64.replaceAll(' ', '+').replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '')
  if (bytes.toString('base64').replace(/=+$/, '') !== plain) throw invalid('key_base64', 'key_base64 is not base64')
  return bytes
}

function invalid(parameter: string, message: string): TailraceError {
  return new TailraceError('invalid_request', message, { parameter })
}
