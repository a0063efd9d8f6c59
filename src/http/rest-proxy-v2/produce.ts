// A1: POST /topics/{topic} and /topics/{topic}/partitions/{partition}. As v1's produce route they answer from their onRequest
// hook: Fastify routes and nothing more. Records stand for themselves here: what can be stored is, each of the others has
// its error in its place, and the status is 200 all the same. Only where every record failed, for reasons that will pass,
// it is 503: shippers take any 200 for stored. What a schema cannot make of JSON refuses the whole request.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ProduceRecord } from '../../codec/produce-record.ts'
import type { SchemaEncoding } from '../../codec/schema-codec.ts'
import { asTailraceError, invariant } from '../../kernel/errors.ts'
import type { HttpFloor } from '../http-floor.ts'
import { sendRaw } from '../raw-reply.ts'
import { callerOf } from '../request-caller.ts'
import { pathText } from '../request-query.ts'
import { readNamedSchemas } from './named-schemas.ts'
import { checkAcceptsEnvelope, isSchemaFormat, REST_PROXY_JSON, requestFormat } from './negotiation.ts'
import { parseProduceRequest } from './produce-request.ts'
import type { ProduceReply } from './produced.ts'
import { replyOfRejection, replyOfResult } from './produced.ts'
import type { RecordSchemas, SchemasWanted } from './record-schemas.ts'
import { RecordSchemaFinder } from './record-schemas.ts'
import { pathPartition } from './topics.ts'

const TO_TOPIC = '/topics/:topic'
const TO_PARTITION = '/topics/:topic/partitions/:partition'

export function produceRoutes(app: FastifyInstance, floor: HttpFloor): void {
  for (const url of [TO_TOPIC, TO_PARTITION]) addProduceRoute(app, floor, url)
}

function addProduceRoute(app: FastifyInstance, floor: HttpFloor, url: string): void {
  const { produce, registry, engine } = floor.services
  const finder = new RecordSchemaFinder({ registry, codec: floor.schemas, engine, forwarder: floor.schemaForwarder })
  const lenient = floor.options.compatLenient
  const traffic = floor.traffic.of('POST', url)

  const answer = ({ status, body }: ProduceReply, request: FastifyRequest, reply: FastifyReply): void => {
    sendRaw(floor, traffic, request, reply, { status, mediaType: REST_PROXY_JSON, body, encoding: 'utf8' })
  }

  const store = (
    records: readonly ProduceRecord[],
    request: FastifyRequest,
    reply: FastifyReply,
    schemas?: RecordSchemas,
  ): void => {
    const options = { acks: 'all', badRecords: 'report' } as const
    const refuse = (error: unknown) => replyOfRejection(asTailraceError(error), records.length, schemas)
    produce.produce(callerOf(request), pathText(request, 'topic'), records, options).then(
      (result) => finish(reply, () => answer(replyOfResult(result, schemas), request, reply)),
      (error) => finish(reply, () => answer(refuse(error), request, reply)),
    )
  }

  const storeTyped = (
    encoding: SchemaEncoding,
    partition: number,
    body: Buffer,
    request: FastifyRequest,
    reply: FastifyReply,
  ): void => {
    const wanted = { topic: pathText(request, 'topic'), encoding, named: readNamedSchemas(body) }
    const storeBy = (schemas: RecordSchemas) => {
      const format = { codec: floor.schemas, schemas }
      store(parseProduceRequest(body, { format, lenient, partition }), request, reply, schemas)
    }
    const found = finder.find(wanted)
    if (found !== 'unregistered') {
      storeBy(found)
      return
    }
    // for a request that comes to nothing no schema is registered
    const { length } = parseProduceRequest(body, { format: 'json', lenient, partition })
    try {
      checkTopic(floor, wanted, request)
    } catch (error) {
      answer(replyOfRejection(asTailraceError(error), length, undefined), request, reply)
      return
    }
    finder.register(wanted, request.id).then(
      (schemas) => finish(reply, () => storeBy(schemas)),
      (error) => reply.send(error),
    )
  }

  const take = (request: FastifyRequest, reply: FastifyReply): void => {
    const { headers } = request
    const format = requestFormat(headers['content-type'], { lenient })
    checkAcceptsEnvelope(headers.accept)
    const partition = url === TO_PARTITION ? pathPartition(request) : -1
    floor.bodies.collect(request.raw, (failure, body) => {
      finish(reply, () => {
        if (failure !== undefined) throw failure
        if (isSchemaFormat(format)) storeTyped(format, partition, body, request, reply)
        else store(parseProduceRequest(body, { format, lenient, partition }), request, reply)
      })
    })
  }

  app.route({
    method: 'POST',
    url,
    onRequest: (request, reply, _done) => finish(reply, () => take(request, reply)),
    handler() {
      invariant(false, 'a produce request is answered by its onRequest hook')
    },
  })
}

/** What is thrown becomes the answer. */
function finish(reply: FastifyReply, step: () => void): void {
  try {
    step()
  } catch (error) {
    reply.send(error)
  }
}

/** Throws unless it can be written to, or made. */
function checkTopic(
  { services: { engine, topics } }: HttpFloor,
  { topic }: SchemasWanted,
  request: FastifyRequest,
): void {
  const caller = callerOf(request)
  topics.checkWritable(caller, topic)
  if (engine.findTopic(topic) === undefined) topics.plan(caller, topic)
}
