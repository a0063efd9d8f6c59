// GET /consumers/{group}/instances/{instance}/records?timeout=&max_bytes=: what comes next for a consumer. Path F6. It
// answers as soon as there is a record, with at least one even if that is larger than max_bytes; an empty array when
// `timeout` ms brought none. Only what went out counts as given: the connection tells.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { TailraceError } from '../../kernel/errors.ts'
import { CONSUMER_READ_BYTES_DEFAULT } from '../../kernel/limits.ts'
import type { ConsumerInstance } from '../../service/consumers/consumer-instance.ts'
import type { HttpFloor } from '../http-floor.ts'
import { callerOf } from '../request-caller.ts'
import { settleWithReply } from '../settle-with-reply.ts'
import { whileConnected } from '../while-connected.ts'
import { INSTANCE, instanceOf } from './consumers.ts'
import { restProxyFailure } from './failure.ts'
import { consumerFormatFor, isSchemaFormat, RECORDS_MEDIA_TYPE } from './negotiation.ts'
import { RecordArray } from './record-array.ts'
import { answerOptions } from './reply.ts'

const URL = `${INSTANCE}/records`

const ON_UNREADABLE = 'The next read goes on behind it. Its bytes can be read by a consumer of the format binary.'

export function consumerRecordRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { replyBuffers: buffers, knownJson: known, schemas } = floor
  // HEAD would take records that nobody gets
  app.get(URL, { exposeHeadRoute: false }, async (request, reply) => {
    const wanted = consumerFormatFor(request.headers.accept)
    const limits = { timeoutMs: parameter(request, 'timeout'), maxBytes: maxBytesOf(floor, request) }
    const instance = await instanceOf(floor, request)
    const { format } = instance.spec
    const shown = wanted === 'own' ? format : wanted
    // those of schemas have one reader: each record is shown as its own schema has it
    if (shown !== format && !(isSchemaFormat(shown) && isSchemaFormat(format))) throw formatMismatch(instance)
    const withMetadata = floor.options.compatLenient
    const output = buffers.take()
    const records = new RecordArray(format, {
      output,
      known,
      schemas,
      withMetadata,
      onUnreadable: ON_UNREADABLE,
    })
    const read = await whileConnected(reply, floor.closing, (signal) =>
      instance.read(callerOf(request), { ...limits, signal }, records),
    ).catch((error) => {
      buffers.giveBack(output)
      throw error
    })
    buffers.giveBackAfter(reply.raw, output)
    settleWithReply(reply, read.refusal === undefined ? 200 : 408, read.settle)
    if (read.refusal !== undefined) throw read.refusal
    return reply.header('content-type', RECORDS_MEDIA_TYPE[shown]).send(records.finish())
  })
  answerOptions(app, URL, 'GET, OPTIONS')
}

function maxBytesOf(floor: HttpFloor, request: FastifyRequest): number {
  const { consumerRequestBytesMax } = floor.options
  return Math.min(parameter(request, 'max_bytes') ?? CONSUMER_READ_BYTES_DEFAULT, consumerRequestBytesMax)
}

/** A whole number; one that is not above 0 is as good as none. Names that are not known are let by, as the proxies do. */
function parameter(request: FastifyRequest, name: string): number | undefined {
  const value = (request.query as Record<string, string | string[] | undefined>)[name]
  if (value === undefined || value === '') return undefined
  const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : Number.NaN
  if (!Number.isNaN(number)) return number > 0 ? number : undefined
  const shown = JSON.stringify(String(value).slice(0, 60))
  throw restProxyFailure(40002, `Invalid parameter '${name}' got ${shown}; a whole number is allowed`)
}

function formatMismatch({ spec: { format } }: ConsumerInstance): TailraceError {
  return new TailraceError(
    'consumer_format_mismatch',
    `The requested embedded data format does not match the deserializer for this consumer instance: it gives ${RECORDS_MEDIA_TYPE[format]}`,
  )
}
