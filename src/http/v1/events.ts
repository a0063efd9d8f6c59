// GET /v1/topics/{topic}/events and /v1/events: live tails as Server-Sent Events. The id of an event is the cursor behind
// it, so that a browser's EventSource goes on exactly where it was, over restarts of the server too. Path F7.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RecordField } from '../../codec/record-json.ts'
import { RECORD_FIELDS } from '../../codec/record-json.ts'
import { checkTopicName } from '../../engine/topic-name.ts'
import { crc32c } from '../../kernel/crc32c.ts'
import { TailraceError } from '../../kernel/errors.ts'
import {
  EVENT_STREAM_MS,
  EVENT_STREAM_MS_MAX,
  LIVE_HEARTBEAT_MS_DEFAULT,
  LIVE_HEARTBEAT_MS_MAX,
  LIVE_HEARTBEAT_MS_MIN,
  TAIL_BATCH_WAIT_MS_MAX,
  TAIL_CHUNK_RECORDS_MAX,
  TAIL_TOPICS_MAX,
} from '../../kernel/limits.ts'
import { RecordFilter } from '../../service/filter/record-filter.ts'
import { bareCursor } from '../../service/read/positions.ts'
import type { Tail, TailSources } from '../../service/tail/tail.ts'
import type { HttpFloor } from '../http-floor.ts'
import { countReply } from '../http-traffic.ts'
import { checkAccept } from '../media-type.ts'
import { clientOf } from '../request-caller.ts'
import type { RequestQuery } from '../request-query.ts'
import { whileConnected } from '../while-connected.ts'
import { EventForm } from './event-form.ts'
import type { EventStreamOptions } from './event-stream.ts'
import { ENDED_ID_PREFIX, EventStream } from './event-stream.ts'
import { FILTER_PARAMETERS, queryWithFilters, readFilters } from './read-filters.ts'
import {
  checkGroupMeant,
  checkSingle,
  FORMAT_PARAMETERS,
  readFormats,
  readPartitions,
  readPosition,
} from './read-query.ts'
import { pathTopic } from './topics.ts'

const MEDIA_TYPE = 'text/event-stream'

/** Where a browser's EventSource cannot set a header, and its replacements have names of their own for it. */
const LAST_EVENT_ID_PARAMETERS = ['last_event_id', 'lastEventId', 'Last-Event-ID'] as const

/** An EventSource comes again after about so long. */
const RETRY_MS = 2_000

const PARAMETERS = [
  'from',
  'cursor',
  ...LAST_EVENT_ID_PARAMETERS,
  'until',
  'group',
  'partition',
  ...FILTER_PARAMETERS,
  ...FORMAT_PARAMETERS,
  'fields',
  'batch',
  'batch_wait_ms',
  'on_gap',
  'max_ms',
  'heartbeat_ms',
]

export function eventRoutes(app: FastifyInstance, floor: HttpFloor): void {
  app.get('/topics/:topic/events', (request, reply) => {
    const query = queryWithFilters(request, PARAMETERS)
    const topic = { topic: pathTopic(request), partitions: readPartitions(query) }
    return answer(floor, request, reply, query, { kind: 'topics', topics: [topic] })
  })
  app.get('/events', (request, reply) => {
    const query = queryWithFilters(request, ['topic', 'pattern', ...PARAMETERS])
    return answer(floor, request, reply, query, readSources(query))
  })
}

async function answer(
  floor: HttpFloor,
  request: FastifyRequest,
  reply: FastifyReply,
  query: RequestQuery,
  sources: TailSources,
): Promise<FastifyReply> {
  checkAccept(request.headers.accept, MEDIA_TYPE)
  const lastId = readLastEventId(request, query)
  const wanted = readTail(floor, query, lastId)
  const options = readOptions(request, query)
  // a stream that came to its end has nothing to come again for
  if (lastId?.startsWith(ENDED_ID_PREFIX)) return reply.code(204).send()
  const stream = new EventStream(reply.raw, floor.live, floor.clock, options)
  const begin = (tail: Tail | undefined, id: string | undefined): FastifyReply => {
    reply.hijack()
    countReply(floor.traffic.of(request.method, request.routeOptions.url ?? 'none'), 200)
    stream.begin({ ...HEAD, 'x-request-id': request.id }, tail, id)
    return reply
  }
  try {
    const caller = { ...clientOf(request.raw), requestId: request.id }
    const tail = await whileConnected(reply, floor.closing, (signal) =>
      floor.services.tails.open({ ...wanted, sources, caller, reader: stream, signal }),
    )
    const { cursor } = tail
    if (wanted.until !== undefined && (await stream.isOverAtOnce(tail))) {
      stream.close()
      return reply.code(204).send()
    }
    if (request.method !== 'HEAD') return begin(tail, cursor)
    tail.close()
    stream.close()
    return reply.headers(HEAD).send()
  } catch (error) {
    // A refusal would stop an EventSource for good: it is to come again, to the server that starts next.
    if (floor.closing.hasBegun) {
      stream.drain()
      return begin(undefined, lastId)
    }
    stream.close()
    // whose client has gone has nobody to answer
    if (reply.raw.destroyed) return reply.hijack()
    throw error
  }
}

/** The connection ends with the stream: a stop of the server waits for nobody who has been told. */
const HEAD = {
  'content-type': `${MEDIA_TYPE}; charset=utf-8`,
  'cache-control': 'no-cache, no-transform',
  // nginx passes it on as it comes
  'x-accel-buffering': 'no',
  connection: 'close',
}

function readSources(query: RequestQuery): TailSources {
  const topics = [...new Set(query.texts('topic'))]
  const pattern = query.text('pattern')
  const partitions = readPartitions(query)
  if (topics.length > 0 && pattern !== undefined) throw invalid('topic', 'give topic or pattern, not both')
  if (topics.length === 0 && pattern === undefined) {
    throw invalid('topic', 'name topics with topic=NAME (repeat), or a pattern that their names fit with pattern=')
  }
  if (topics.length > TAIL_TOPICS_MAX) {
    throw invalid('topic', `${topics.length} topics are named; ${TAIL_TOPICS_MAX} are allowed`)
  }
  if (partitions !== undefined && topics.length !== 1) throw invalid('partition', 'partitions go with one topic')
  if (pattern !== undefined) return { kind: 'pattern', subscription: { pattern } }
  for (const topic of topics) {
    checkSingle('topic', topic)
    checkTopicName(topic)
  }
  return { kind: 'topics', topics: topics.map((topic) => ({ topic, partitions })) }
}

/** What the client says that it saw last: an EventSource that comes again says it in a header. */
function readLastEventId(request: FastifyRequest, query: RequestQuery): string | undefined {
  const given = LAST_EVENT_ID_PARAMETERS.map((name) => query.text(name))
  const header = request.headers['last-event-id']
  return [typeof header === 'string' ? header : undefined, ...given].find((id) => id !== undefined && id !== '')
}

function readTail(floor: HttpFloor, query: RequestQuery, lastId: string | undefined) {
  checkGroupMeant(query, ['from', 'until'])
  const form = {
    ...readFormats(query, floor.schemas),
    fields: readFields(query),
    batch: query.integer('batch', { min: 1, max: TAIL_CHUNK_RECORDS_MAX }) ?? 1,
  }
  const from = readPosition(query, 'from') ?? { kind: 'latest' }
  const cursor = lastId ?? query.text('cursor')
  return {
    from: cursor === undefined ? from : ({ kind: 'cursor', cursor: bareCursor(cursor) } as const),
    until: readPosition(query, 'until'),
    filter: RecordFilter.of(readFilters(query), floor.expressions),
    onGap: query.oneOf('on_gap', ['error', 'earliest']) ?? 'earliest',
    overflow: 'pause',
    batchRecords: TAIL_CHUNK_RECORDS_MAX,
    batchWaitMs: query.integer('batch_wait_ms', { min: 0, max: TAIL_BATCH_WAIT_MS_MAX }) ?? 0,
    form: new EventForm(form, floor.replyBuffers),
  } as const
}

function readOptions(request: FastifyRequest, query: RequestQuery): EventStreamOptions {
  const maxMs = query.integer('max_ms', { min: 0, max: EVENT_STREAM_MS_MAX }) ?? 0
  const heartbeat = { min: LIVE_HEARTBEAT_MS_MIN, max: LIVE_HEARTBEAT_MS_MAX }
  // spread over the clients, so that they do not all come again at once
  const id = Buffer.from(request.id)
  const spread = crc32c(id, 0, id.length) / 2 ** 32
  return {
    heartbeatMs: query.integer('heartbeat_ms', heartbeat) ?? LIVE_HEARTBEAT_MS_DEFAULT,
    lastsMs: maxMs > 0 ? maxMs : EVENT_STREAM_MS * (0.9 + 0.2 * spread),
    lastsBecause: maxMs > 0 ? 'max_ms' : 'rotation',
    retryMs: Math.round(RETRY_MS * (0.75 + 0.5 * spread)),
  }
}

/** Names with commas between them. */
function readFields(query: RequestQuery): ReadonlySet<RecordField> | undefined {
  const text = query.text('fields')
  if (text === undefined) return undefined
  return new Set(
    text.split(',').map((name) => {
      const field = RECORD_FIELDS.find((known) => known === name)
      if (field === undefined)
        throw invalid(
          'fields',
          `'${name.slice(0, 60)}' is none of ${RECORD_FIELDS.join(', ')}; what says how a key or value is written, as schema_id, comes with it`,
        )
      return field
    }),
  )
}

function invalid(parameter: string, fault: string): TailraceError {
  return new TailraceError('invalid_request', `parameter ${parameter}: ${fault}`, { parameter })
}
