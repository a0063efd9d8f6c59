// GET /topics/{topic}/partitions/{partition}/records?offset=&timeout=&max_bytes=: records from an offset on, without any
// consumer. Redpanda's proxy has it, and its clients send all three parameters. Path F6. It answers as soon as there is
// a record, with at least one even if that is larger than max_bytes; an empty array when `timeout` ms brought none.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { TailraceError } from '../../kernel/errors.ts'
import { OFFSET_MAX, PAGE_BYTES_MAX, PAGE_RECORDS_MAX, PAGE_WAIT_MS_MAX } from '../../kernel/limits.ts'
import type { ReadRequest } from '../../service/read/consume.ts'
import type { HttpFloor } from '../http-floor.ts'
import { callerOf } from '../request-caller.ts'
import { whileConnected } from '../while-connected.ts'
import { partitionNotFound, restProxyFailure } from './failure.ts'
import { RECORDS_MEDIA_TYPE, recordFormatFor } from './negotiation.ts'
import { RecordArray } from './record-array.ts'
import { answerOptions } from './reply.ts'
import { pathPartition, pathTopic } from './topics.ts'

const URL = '/topics/:topic/partitions/:partition/records'

const ON_UNREADABLE = 'If needed, seek past the record to continue consumption, or ask for it as binary.'

export function recordRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { consume } = floor.services
  const { replyBuffers: buffers, knownJson: known, schemas } = floor
  app.get(URL, async (request, reply) => {
    const format = recordFormatFor(request.headers.accept)
    const read = parseRead(request)
    const output = buffers.take()
    const withMetadata = floor.options.compatLenient
    const records = new RecordArray(format, {
      output,
      known,
      schemas,
      withMetadata,
      onUnreadable: ON_UNREADABLE,
    })
    try {
      await whileConnected(reply, floor.closing, (signal) =>
        consume.read(callerOf(request), { ...read, signal }, records),
      )
    } catch (error) {
      buffers.giveBack(output)
      throw failureOf(error)
    }
    const [refused] = records.refused
    buffers.giveBackAfter(reply.raw, output)
    if (refused !== undefined) throw refused.error
    return reply.header('content-type', RECORDS_MEDIA_TYPE[format]).send(records.finish())
  })
  answerOptions(app, URL, 'GET, HEAD, OPTIONS')
}

function parseRead(request: FastifyRequest): ReadRequest {
  return {
    topic: pathTopic(request),
    partitions: [pathPartition(request)],
    position: { kind: 'offset', offset: parameter(request, 'offset') },
    limit: PAGE_RECORDS_MAX,
    waitMs: Math.min(parameter(request, 'timeout'), PAGE_WAIT_MS_MAX),
    maxBytes: Math.min(Math.max(1, parameter(request, 'max_bytes')), PAGE_BYTES_MAX),
  }
}

/** A whole number from 0 on. Names that are not known are let by, as the proxies do. */
function parameter(request: FastifyRequest, name: string): number {
  const value = (request.query as Record<string, string | string[] | undefined>)[name]
  if (value === undefined || value === '') throw restProxyFailure(40002, `Missing mandatory parameter '${name}'`)
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN
  if (number <= OFFSET_MAX) return number
  const shown = JSON.stringify(String(value).slice(0, 60))
  throw restProxyFailure(40002, `Invalid parameter '${name}' got ${shown}; a whole number from 0 on is allowed`)
}

/** The proxy has one word for a topic and a partition that are missing. */
function failureOf(error: unknown): unknown {
  return error instanceof TailraceError && error.code === 'unknown_topic_or_partition' ? partitionNotFound() : error
}
