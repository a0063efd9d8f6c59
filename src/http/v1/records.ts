// GET /v1/topics/{topic}/records: one page of records from a position, without any state between two pages. Path F6. The
// reply is one run of bytes: records are written into it as they stand in the batches, no object is made for one.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { TailraceError } from '../../kernel/errors.ts'
import {
  PAGE_BYTES_DEFAULT,
  PAGE_BYTES_MAX,
  PAGE_RECORDS_DEFAULT,
  PAGE_RECORDS_MAX,
  PAGE_WAIT_MS_MAX,
} from '../../kernel/limits.ts'
import type { PageRead, ReadRequest } from '../../service/consume.ts'
import type { RecordFilters } from '../../service/record-filter.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, JSON_MEDIA_TYPE } from '../media-type.ts'
import { callerOf } from '../request-caller.ts'
import { RequestQuery } from '../request-query.ts'
import { whileConnected } from '../while-connected.ts'
import { faultJson, JsonPage } from './json-page.ts'
import { readFormats, readFrom, readPartitions } from './read-query.ts'
import { pathTopic } from './topics.ts'

const PARAMETERS = [
  'from',
  'cursor',
  'partition',
  'limit',
  'max_bytes',
  'wait_ms',
  'min_records',
  'key',
  'key_base64',
  'header',
  'key_format',
  'value_format',
  'on_gap',
  'group',
]

const HEADER_PREFIX = 'header.'

export function readRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { consume } = floor.services
  const { replyBuffers: buffers, knownJson: known } = floor
  app.get('/topics/:topic/records', async (request, reply) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    const topic = pathTopic(request)
    const headerNames = headerParameters(request)
    const query = new RequestQuery(request, headerNames.length === 0 ? PARAMETERS : [...PARAMETERS, ...headerNames])
    const read = parseRead(topic, query, headerNames)
    const formats = readFormats(query)
    const caller = callerOf(request)
    const output = buffers.take()
    try {
      const sink = new JsonPage(output, formats, known)
      const page =
        read.waitMs === 0
          ? await consume.read(caller, read, sink)
          : await whileConnected(reply, floor.closing, (signal) => consume.read(caller, { ...read, signal }, sink))
      const body = sink.finish(renderPage(page, nextLink(request, page)))
      buffers.giveBackAfter(reply.raw, output)
      return reply.type(JSON_MEDIA_TYPE).send(body)
    } catch (error) {
      buffers.giveBack(output)
      throw error
    }
  })
}

function parseRead(topic: string, query: RequestQuery, headerNames: readonly string[]): ReadRequest {
  return {
    topic,
    partitions: readPartitions(query),
    position: readFrom(query),
    limit: query.integer('limit', { min: 1, max: PAGE_RECORDS_MAX }) ?? PAGE_RECORDS_DEFAULT,
    maxBytes: query.integer('max_bytes', { min: 1, max: PAGE_BYTES_MAX }) ?? PAGE_BYTES_DEFAULT,
    waitMs: query.integer('wait_ms', { min: 0, max: PAGE_WAIT_MS_MAX }) ?? 0,
    minRecords: query.integer('min_records', { min: 1, max: PAGE_RECORDS_MAX }) ?? 1,
    filters: parseFilters(query, headerNames),
    onGap: query.oneOf('on_gap', ['error', 'earliest']) ?? 'error',
  }
}

function headerParameters(request: FastifyRequest): readonly string[] {
  return Object.keys(request.query as object).filter((name) => name.startsWith(HEADER_PREFIX))
}

function parseFilters(query: RequestQuery, headerNames: readonly string[]): RecordFilters | undefined {
  const key = parseKey(query)
  const headers = headerNames.flatMap((parameter) => {
    const name = parameter.slice(HEADER_PREFIX.length)
    return query.texts(parameter).map((value) => ({ name, value: Buffer.from(value) }))
  })
  headers.push(...query.texts('header').map(parseHeader))
  return key === undefined && headers.length === 0 ? undefined : { key, headers }
}

/** `header=name:value` says the same as `header.name=value`, in a form that OpenAPI can describe. */
function parseHeader(text: string) {
  const colon = text.indexOf(':')
  if (colon < 0) throw invalid('header', 'header is not of the form name:value')
  return { name: text.slice(0, colon), value: Buffer.from(text.slice(colon + 1)) }
}

/** Text as `key`, any bytes as `key_base64`. */
function parseKey(query: RequestQuery): Uint8Array | undefined {
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

function renderPage(page: PageRead, next: string): object {
  return {
    cursor: page.cursor,
    next,
    caught_up: page.caughtUp,
    partitions: page.partitions.map(({ partition, startOffset, endOffset, nextOffset, fault }) => {
      const bounds = { partition, start_offset: startOffset, end_offset: endOffset, next_offset: nextOffset }
      return fault === undefined ? bounds : { ...bounds, error: faultJson(fault) }
    }),
    ...(page.gaps.length === 0 ? {} : { gaps: page.gaps }),
  }
}

/** The same read from where this page ends, as a link relative to the server. */
function nextLink(request: FastifyRequest, { topic, cursor }: PageRead): string {
  const options = new URLSearchParams({ cursor })
  for (const [name, value] of Object.entries(request.query as Record<string, string | string[]>)) {
    if (name === 'from' || name === 'cursor') continue
    for (const one of [value].flat()) options.append(name, one)
  }
  return `/v1/topics/${topic.name}/records?${options}`
}
