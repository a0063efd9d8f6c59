// GET /v1/topics/{topic}/records: one page of records from a position, without any state between two pages. Path F6. The
// reply is one run of bytes: records are written into it as they stand in the batches, no object is made for one.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import {
  PAGE_BYTES_DEFAULT,
  PAGE_BYTES_MAX,
  PAGE_RECORDS_DEFAULT,
  PAGE_RECORDS_MAX,
  PAGE_WAIT_MS_MAX,
} from '../../kernel/limits.ts'
import type { RecordExpressions } from '../../service/filter/record-expressions.ts'
import { RecordFilter } from '../../service/filter/record-filter.ts'
import type { PageRead, ReadRequest } from '../../service/read/consume.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, JSON_MEDIA_TYPE } from '../media-type.ts'
import { callerOf } from '../request-caller.ts'
import type { RequestQuery } from '../request-query.ts'
import { whileConnected } from '../while-connected.ts'
import { faultJson, JsonPage } from './json-page.ts'
import { FILTER_PARAMETERS, queryWithFilters, readFilters } from './read-filters.ts'
import { FORMAT_PARAMETERS, readFormats, readFrom, readPartitions } from './read-query.ts'
import { pathTopic } from './topics.ts'

const PARAMETERS = [
  'from',
  'cursor',
  'partition',
  'limit',
  'max_bytes',
  'wait_ms',
  'min_records',
  ...FILTER_PARAMETERS,
  ...FORMAT_PARAMETERS,
  'on_gap',
  'group',
]

export function readRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { consume } = floor.services
  const { replyBuffers: buffers, knownJson: known } = floor
  app.get('/topics/:topic/records', async (request, reply) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    const topic = pathTopic(request)
    const query = queryWithFilters(request, PARAMETERS)
    const read = parseRead(topic, query, floor.expressions)
    const formats = readFormats(query, floor.schemas)
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

function parseRead(topic: string, query: RequestQuery, expressions: RecordExpressions): ReadRequest {
  return {
    topic,
    partitions: readPartitions(query),
    position: readFrom(query),
    limit: query.integer('limit', { min: 1, max: PAGE_RECORDS_MAX }) ?? PAGE_RECORDS_DEFAULT,
    maxBytes: query.integer('max_bytes', { min: 1, max: PAGE_BYTES_MAX }) ?? PAGE_BYTES_DEFAULT,
    waitMs: query.integer('wait_ms', { min: 0, max: PAGE_WAIT_MS_MAX }) ?? 0,
    minRecords: query.integer('min_records', { min: 1, max: PAGE_RECORDS_MAX }) ?? 1,
    filter: RecordFilter.of(readFilters(query), expressions),
    onGap: query.oneOf('on_gap', ['error', 'earliest']) ?? 'error',
  }
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
    ...(page.scan && renderScan(page.scan)),
  }
}

function renderScan({ scanned, errors, lastError }: NonNullable<PageRead['scan']>): object {
  return { scanned, filter_errors: errors, ...(lastError === undefined ? {} : { last_filter_error: lastError }) }
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
