// POST and PUT /v1/hooks/{topic}: whatever is sent becomes a record, as it was sent: the body's bytes are the value, and
// the headers that say what it is are the record's. A signature that was made over the body can so be checked by whoever
// reads it; for the same reason a Content-Encoding stays, body and header. CloudEvents are known by their headers or
// their media type (cloud-event.ts) and are checked to be some. A sender that asks first whether it may send, by HEAD or
// as the CloudEvents webhook specification has it by OPTIONS, is told what a delivery would be told.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { StructuredEvent } from '../../codec/cloud-event.ts'
import { BinaryAttributes, isCloudEvent, parseCloudEvent, parseCloudEventBatch } from '../../codec/cloud-event.ts'
import type { ProduceRecord } from '../../codec/produce-record.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { HOOK_KEPT_HEADERS_MAX, RECORD_HEADERS_MAX, TOPIC_PARTITIONS_MAX } from '../../kernel/limits.ts'
import type { RecordHeader } from '../../record/record.ts'
import type { HttpFloor } from '../http-floor.ts'
import { JSON_MEDIA_TYPE } from '../media-type.ts'
import { renderProduced, TimestampText, withResults } from '../produced-json.ts'
import { callerOf } from '../request-caller.ts'
import { pathText, RequestQuery } from '../request-query.ts'
import { KEPT_HEADERS, SECRET_HEADERS } from './kept-headers.ts'
import { ACKS_OF_TEXT, producerOf } from './produce.ts'

const PARAMETERS = ['key', 'key_header', 'partition', 'keep_header', 'acks']

const EVENT_JSON = 'application/cloudevents+json'
const EVENT_BATCH_JSON = 'application/cloudevents-batch+json'

export function hookRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { produce, topics, engine } = floor.services
  const timestamps = new TimestampText()

  /** Throws what a delivery would be refused with, whatever it holds. */
  const checkTaken = (request: FastifyRequest): void => {
    const caller = callerOf(request)
    const name = pathText(request, 'topic')
    topics.checkWritable(caller, name)
    if (engine.findTopic(name) === undefined) topics.plan(caller, name)
  }

  app.route({
    method: ['POST', 'PUT'],
    url: '/hooks/:topic',
    async handler(request, reply) {
      const hook = readHook(request)
      const records = await readRecords(floor, request, hook)
      reply.type(JSON_MEDIA_TYPE)
      if (records.length === 0) {
        // a batch may be empty
        checkTaken(request)
        return '{"records":[]}\n'
      }
      const options = { acks: hook.acks, producer: producerOf(request.headers), badRecords: 'refuse' } as const
      const result = await produce.produce(callerOf(request), pathText(request, 'topic'), records, options)
      if (result.failure !== undefined) throw withResults(result.failure, result, timestamps)
      return renderProduced(result, timestamps)
    },
  })

  app.route({
    method: 'OPTIONS',
    url: '/hooks/:topic',
    handler(request, reply) {
      checkTaken(request)
      reply.header('allow', 'HEAD, OPTIONS, POST, PUT')
      if (request.headers['webhook-request-origin'] !== undefined) {
        reply.header('webhook-allowed-origin', '*').header('webhook-allowed-rate', '*')
      }
      // 200, not 204: some senders ask for it
      reply.code(200).send()
    },
  })

  app.route({
    method: 'HEAD',
    url: '/hooks/:topic',
    handler(request, reply) {
      checkTaken(request)
      reply.code(200).send()
    },
  })
}

interface Hook {
  readonly key: Buffer | undefined
  /** -1: by its key, or spread. */
  readonly partition: number
  readonly keptHeaders: ReadonlySet<string>
  readonly acks: (typeof ACKS_OF_TEXT)[keyof typeof ACKS_OF_TEXT]
}

/** What the query says of the record. */
function readHook(request: FastifyRequest): Hook {
  const query = new RequestQuery(request, PARAMETERS)
  return {
    key: readKey(query, request),
    partition: query.integer('partition', { min: 0, max: TOPIC_PARTITIONS_MAX - 1 }) ?? -1,
    keptHeaders: readKeptHeaders(query),
    acks: ACKS_OF_TEXT[query.oneOf('acks', ['all', '1', '0']) ?? 'all'],
  }
}

function readKey(query: RequestQuery, { headers }: FastifyRequest): Buffer | undefined {
  const key = query.text('key')
  const name = query.text('key_header')
  if (name === undefined) return key === undefined ? undefined : Buffer.from(key)
  if (key !== undefined) throw invalid('key', 'give key or key_header, not both')
  checkNotSecret('key_header', name.toLowerCase())
  const value = headers[name.toLowerCase()]
  if (typeof value === 'string') return Buffer.from(value, 'latin1')
  // without its key it would be stored apart from what it belongs to
  const header = name.slice(0, 100)
  throw new TailraceError('invalid_record', `the request has no header ${header}, which is to be the key`, { header })
}

function readKeptHeaders(query: RequestQuery): ReadonlySet<string> {
  const more = query.texts('keep_header').map((name) => name.toLowerCase())
  if (more.length > HOOK_KEPT_HEADERS_MAX) {
    throw invalid('keep_header', `keep_header is given ${more.length} times, ${HOOK_KEPT_HEADERS_MAX} are allowed`)
  }
  for (const name of more) checkNotSecret('keep_header', name)
  return more.length === 0 ? KEPT_HEADERS : new Set([...KEPT_HEADERS, ...more])
}

function checkNotSecret(parameter: string, name: string): void {
  if (SECRET_HEADERS.has(name))
    throw invalid(parameter, `${parameter} is ${name}, which lets somebody in: no record has it`)
}

function invalid(parameter: string, message: string): TailraceError {
  return new TailraceError('invalid_request', message, { parameter })
}

async function readRecords(floor: HttpFloor, request: FastifyRequest, hook: Hook): Promise<ProduceRecord[]> {
  const { raw, headers } = request
  const mediaType = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (mediaType === EVENT_BATCH_JSON) {
    const body = await floor.bodies.read(raw)
    const kept = keptHeaders(request, hook, `${EVENT_JSON}; charset=UTF-8`)
    return parseCloudEventBatch(body).map((event) => eventRecord(body, event, kept, hook))
  }
  if (mediaType === EVENT_JSON) {
    const body = await floor.bodies.read(raw)
    return [eventRecord(body, parseCloudEvent(body), keptHeaders(request, hook, headers['content-type']), hook)]
  }
  const body = await floor.bodies.readAsSent(raw)
  if (!isCloudEvent(headers)) return [recordOf(body, 0, body.length, keptHeaders(request, hook), hook.key, hook)]
  const attributes = new BinaryAttributes()
  const kept = keptHeaders(request, hook, undefined, attributes)
  const key = hook.key ?? keyOf(attributes.finish())
  const start = body.length === 0 ? -1 : 0
  return [recordOf(body, start, body.length || -1, [...attributes.headers, ...kept], key, hook)]
}

/** A structured event: its own bytes, inflated if they came so. */
function eventRecord(
  body: Buffer,
  { start, end, partitionKey }: StructuredEvent,
  headers: readonly RecordHeader[],
  hook: Hook,
): ProduceRecord {
  return recordOf(body, start, end, headers, hook.key ?? keyOf(partitionKey), hook)
}

function keyOf(partitionKey: string | undefined): Buffer | undefined {
  return partitionKey === undefined ? undefined : Buffer.from(partitionKey)
}

function recordOf(
  value: Buffer,
  valueStart: number,
  valueEnd: number,
  headers: readonly RecordHeader[],
  key: Buffer | undefined,
  { partition }: Hook,
): ProduceRecord {
  return {
    key: key ?? NO_BYTES,
    keyStart: key === undefined ? -1 : 0,
    keyEnd: key?.length ?? -1,
    value,
    valueStart,
    valueEnd,
    headers,
    partition,
    timestamp: -1,
  }
}

const NO_BYTES = Buffer.alloc(0)

/**
 * The request's headers that the record keeps, in their order, the bytes as they came. With `eventType`, what the value of
 * a structured event is; with `attributes`, those of a binary one go there.
 */
function keptHeaders(
  { raw }: FastifyRequest,
  hook: Hook,
  eventType?: string,
  attributes?: BinaryAttributes,
): readonly RecordHeader[] {
  const kept: RecordHeader[] = eventType === undefined ? [] : [{ name: 'content-type', value: latin1(eventType) }]
  for (let at = 0; at + 1 < raw.rawHeaders.length; at += 2) {
    const name = (raw.rawHeaders[at] as string).toLowerCase()
    const value = latin1(raw.rawHeaders[at + 1] as string)
    if (attributes?.take(name, value) || !hook.keptHeaders.has(name)) continue
    if (eventType !== undefined && (name === 'content-type' || name === 'content-encoding')) continue
    kept.push({ name, value })
  }
  const count = kept.length + (attributes?.headers.length ?? 0)
  if (count <= RECORD_HEADERS_MAX) return kept
  throw new TailraceError('invalid_record', `the record would have ${count} headers, ${RECORD_HEADERS_MAX} are allowed`)
}

/** Node reads headers as Latin-1, whatever they are. */
function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}
