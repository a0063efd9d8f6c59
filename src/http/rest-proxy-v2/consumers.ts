// POST /consumers/{group} and what is below it but the records: a consumer that the server keeps for its client is made,
// told what to read and where, commits, and is deleted.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { invariant } from '../../kernel/errors.ts'
import { CONSUMER_BODY_BYTES_MAX } from '../../kernel/limits.ts'
import type { ConsumerInstance } from '../../service/consumers/consumer-instance.ts'
import type { SeekTarget } from '../../service/consumers/consumer-start.ts'
import type { HttpFloor } from '../http-floor.ts'
import { ownUrl } from '../own-url.ts'
import { bytesOfJson } from '../problem.ts'
import { sendRaw } from '../raw-reply.ts'
import { callerOf } from '../request-caller.ts'
import { pathText } from '../request-query.ts'
import { parseCommit, parsePartitions, parseSeek, parseSubscription } from './consumer-bodies.ts'
import { parseConsumerConfig } from './consumer-config.ts'
import { restProxyFailure } from './failure.ts'
import { jsonOf } from './json-fields.ts'
import { checkConsumerType, consumerTypeFor } from './negotiation.ts'
import { answerOptions } from './reply.ts'

export const INSTANCE = '/consumers/:group/instances/:instance'

const NO_PARTITIONS =
  'Partition not found. Name partitions in the body, {"partitions":[{"topic":"t","partition":0}]}, or in the query, ?topic=t&partition=0'

export function consumerRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { consumers } = floor.services

  app.post('/consumers/:group', async (request, reply) => {
    const type = checkTypes(request)
    const group = pathText(request, 'group')
    const { name, spec } = parseConsumerConfig(await bodyOf(floor, request))
    await consumers.create(group, name, spec)
    const path = `/consumers/${encodeURIComponent(group)}/instances/${encodeURIComponent(name)}`
    return send(reply, type, { instance_id: name, base_uri: ownUrl(request, floor.options.advertised) + path })
  })
  answerOptions(app, '/consumers/:group', 'OPTIONS, POST')

  app.delete(INSTANCE, async (request, reply) => {
    checkTypes(request)
    await consumers.delete(pathText(request, 'group'), pathText(request, 'instance'))
    return reply.code(204).send()
  })
  answerOptions(app, INSTANCE, 'DELETE, OPTIONS')

  /** A call that is answered with what `work` gives, or with 204. */
  const call = (method: 'GET' | 'POST' | 'DELETE', path: string, work: Call): void => {
    app.route({
      method,
      url: `${INSTANCE}${path}`,
      handler: async (request, reply) => {
        const type = checkTypes(request)
        const body = await bodyOf(floor, request)
        const instance = await instanceOf(floor, request)
        const result = await work(instance, body, request)
        return result === undefined ? reply.code(204).send() : send(reply, type, result as object)
      },
    })
  }

  call('GET', '/subscription', async (instance) => ({ topics: await instance.topics() }))
  call('POST', '/subscription', async (instance, body, request) => {
    const subscription = parseSubscription(body)
    if (subscription === undefined) await consumers.unsubscribe(instance)
    else await consumers.subscribe(callerOf(request), instance, subscription)
  })
  call('DELETE', '/subscription', (instance) => consumers.unsubscribe(instance))
  answerOptions(app, `${INSTANCE}/subscription`, 'DELETE, GET, HEAD, OPTIONS, POST')

  call('GET', '/assignments', async (instance) => ({ partitions: await instance.assignments() }))
  call('POST', '/assignments', (instance, body) => consumers.assign(instance, parsePartitions(body)))
  answerOptions(app, `${INSTANCE}/assignments`, 'GET, HEAD, OPTIONS, POST')

  const seekAll = (body: unknown, to: SeekTarget['to']) => parsePartitions(body).map((each) => ({ ...each, to }))
  call('POST', '/positions', (instance, body) => instance.seek(parseSeek(body)))
  call('POST', '/positions/beginning', (instance, body) => instance.seek(seekAll(body, 'earliest')))
  call('POST', '/positions/end', (instance, body) => instance.seek(seekAll(body, 'latest')))
  for (const path of ['', '/beginning', '/end']) answerOptions(app, `${INSTANCE}/positions${path}`, 'OPTIONS, POST')

  commitRoute(app, floor)
  call('GET', '/offsets', async (instance, body, request) => {
    const asked = parsePartitions(body ?? partitionsOfQuery(request))
    const committed = await consumers.committed(instance, asked)
    return {
      offsets: committed.map(({ topic, partition, offset, metadata }) => ({ topic, partition, offset, metadata })),
    }
  })
  answerOptions(app, `${INSTANCE}/offsets`, 'GET, HEAD, OPTIONS, POST')
}

/** Commits come as often as pages: as produce, the route answers from its onRequest hook. Fastify routes and nothing more. */
function commitRoute(app: FastifyInstance, floor: HttpFloor): void {
  const url = `${INSTANCE}/offsets`
  const traffic = floor.traffic.of('POST', url)

  const commit = async (request: FastifyRequest, bytes: Buffer): Promise<void> => {
    const body = jsonOf(bytes)
    const instance = await instanceOf(floor, request)
    await instance.commit(parseCommit(body))
  }

  const take = (request: FastifyRequest, reply: FastifyReply): void => {
    const mediaType = checkTypes(request)
    const answer = () =>
      sendRaw(floor, traffic, request, reply, { status: 200, mediaType, body: '[]\n', encoding: 'latin1' })
    const refuse = (error: Error) => {
      reply.send(error)
    }
    const store = (failure: Error | undefined, body: Buffer) => {
      if (failure === undefined) commit(request, body).then(answer, refuse)
      else refuse(failure)
    }
    floor.bodies.collect(request.raw, store, CONSUMER_BODY_BYTES_MAX)
  }

  app.route({
    method: 'POST',
    url,
    onRequest(request, reply, _done) {
      try {
        take(request, reply)
      } catch (error) {
        reply.send(error)
      }
    },
    handler() {
      invariant(false, 'a commit is answered by its onRequest hook')
    },
  })
}

type Call = (instance: ConsumerInstance, body: unknown, request: FastifyRequest) => unknown

/** Gives the reply's media type. */
function checkTypes(request: FastifyRequest): string {
  checkConsumerType(request.headers['content-type'])
  return consumerTypeFor(request.headers.accept)
}

/** GET has one too: many clients cannot send it, so that the query says the same. */
async function bodyOf(floor: HttpFloor, request: FastifyRequest): Promise<unknown> {
  return jsonOf(await floor.bodies.read(request.raw, CONSUMER_BODY_BYTES_MAX))
}

export function instanceOf(floor: HttpFloor, request: FastifyRequest): Promise<ConsumerInstance> {
  const group = pathText(request, 'group')
  return floor.services.consumers.get(callerOf(request), group, pathText(request, 'instance'))
}

/** `?topic=t&partition=0`, the pair as often as wanted. */
function partitionsOfQuery(request: FastifyRequest): unknown {
  const query = request.query as Record<string, string | string[] | undefined>
  const topics = [query['topic'] ?? []].flat()
  const partitions = [query['partition'] ?? []].flat()
  if (topics.length === 0 && partitions.length === 0) throw restProxyFailure(40402, NO_PARTITIONS)
  if (topics.length !== partitions.length) {
    throw restProxyFailure(422, 'topic and partition must be given as often as each other')
  }
  return { partitions: topics.map((topic, at) => ({ topic, partition: partitions[at] })) }
}

/** As bytes: with a string, a charset would be put behind the media type. */
function send(reply: FastifyReply, type: string, value: object): FastifyReply {
  return reply.header('content-type', type).send(bytesOfJson(value, '\n'))
}
