// A1: POST /v1/topics/{topic}/records, the hot path. The route answers from its onRequest hook and never comes to a
// handler, so that Fastify routes and nothing more: no body parser, no serializer, no hooks. The body is parsed where its
// bytes lie (codec), the reply is one string written with its head in one go. Failures take the ordinary way.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { parseProduceBody } from '../../codec/produce-body.ts'
import type { Acks } from '../../engine/engine.ts'
import { invariant, TailraceError } from '../../kernel/errors.ts'
import type { ProducerRequest } from '../../service/produce/named-producer.ts'
import type { ProduceResult } from '../../service/produce/produce-result.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, checkContentType, JSON_MEDIA_TYPE } from '../media-type.ts'
import { renderProduced, TimestampText, withResults } from '../produced-json.ts'
import { sendRaw } from '../raw-reply.ts'
import { callerOf } from '../request-caller.ts'
import { pathText, RequestQuery } from '../request-query.ts'

export const ACKS_OF_TEXT = { all: 'all', '1': 'leader', '0': 'none' } as const satisfies Record<string, Acks>

export function produceRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { produce, engine } = floor.services
  const traffic = floor.traffic.of('POST', `${app.prefix}/topics/:topic/records`)
  const timestamps = new TimestampText()

  const answer = (result: ProduceResult, request: FastifyRequest, reply: FastifyReply): void => {
    const { failure } = result
    if (failure !== undefined) {
      reply.send(withResults(failure, result, timestamps))
      return
    }
    const body = renderProduced(result, timestamps)
    sendRaw(floor, traffic, request, reply, { status: 200, mediaType: JSON_MEDIA_TYPE, body, encoding: 'latin1' })
  }

  const take = (request: FastifyRequest, reply: FastifyReply): void => {
    const { headers } = request
    checkContentType(headers['content-type'], JSON_MEDIA_TYPE)
    checkAccept(headers.accept, JSON_MEDIA_TYPE)
    const options = { acks: acksOf(request), producer: producerOf(headers), badRecords: 'refuse' } as const
    floor.bodies.collect(request.raw, (failure, body) => {
      if (failure !== undefined) {
        reply.send(failure)
        return
      }
      try {
        const topic = pathText(request, 'topic')
        const records = parseProduceBody(body, { schemas: floor.schemas, topic, engine })
        produce.produce(callerOf(request), topic, records, options).then(
          (result) => answer(result, request, reply),
          (error) => reply.send(error),
        )
      } catch (error) {
        reply.send(error)
      }
    })
  }

  app.route({
    method: 'POST',
    url: '/topics/:topic/records',
    onRequest(request, reply, _done) {
      try {
        take(request, reply)
      } catch (error) {
        reply.send(error)
      }
    },
    handler() {
      invariant(false, 'a produce request is answered by its onRequest hook')
    },
  })
}

function acksOf(request: FastifyRequest): Acks {
  if (!request.raw.url?.includes('?')) return 'all'
  const query = new RequestQuery(request, ['acks'])
  return ACKS_OF_TEXT[query.oneOf('acks', ['all', '1', '0']) ?? 'all']
}

const PRODUCER_HEADERS = ['producer-id', 'producer-epoch', 'producer-seq'] as const

/** Who repeats requests names itself, wholly: a name without a number could not be told from another's first attempt. */
export function producerOf(headers: FastifyRequest['headers']): ProducerRequest | undefined {
  const [name, epoch, sequence] = PRODUCER_HEADERS.map((header) => headers[header])
  if (name === undefined && epoch === undefined && sequence === undefined) return undefined
  if (typeof name !== 'string' || epoch === undefined || sequence === undefined) {
    const detail = 'Producer-Id, Producer-Epoch and Producer-Seq go together: a request has all three or none'
    throw new TailraceError('invalid_request', detail)
  }
  return {
    name,
    epoch: headerInteger('Producer-Epoch', String(epoch), 0x7fff),
    sequence: headerInteger('Producer-Seq', String(sequence), 0x7fff_ffff),
  }
}

function headerInteger(name: string, text: string, max: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (value <= max) return value
  throw new TailraceError(
    'invalid_request',
    `${name} is ${JSON.stringify(text.slice(0, 60))}; 0 to ${max} is allowed`,
    {
      header: name,
      min: 0,
      max,
    },
  )
}
