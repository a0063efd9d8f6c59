// GET /topics and what is below it: names, configs, partitions with their replicas, offsets.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { PartitionDescription, Topic } from '../../engine/engine.ts'
import { checkTopicName } from '../../engine/topic-name.ts'
import type { HttpFloor } from '../http-floor.ts'
import { callerOf } from '../request-caller.ts'
import { pathText } from '../request-query.ts'
import { noSuchPath, partitionNotFound } from './failure.ts'
import { checkAcceptsEnvelope } from './negotiation.ts'
import { answerOptions, sendJson } from './reply.ts'

export function metadataRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { topics, consume, engine } = floor.services

  app.get('/topics', (request, reply) => {
    checkAcceptsEnvelope(request.headers.accept)
    const all = { includeInternal: false, after: '', limit: Number.MAX_SAFE_INTEGER }
    const page = topics.list(callerOf(request), all)
    sendJson(
      reply,
      page.topics.map(({ name }) => name),
    )
  })
  answerOptions(app, '/topics', 'GET, HEAD, OPTIONS')

  app.get('/topics/:topic', async (request, reply) => {
    checkAcceptsEnvelope(request.headers.accept)
    const { topic, configs, partitions } = await topics.describe(callerOf(request), pathTopic(request))
    return sendJson(reply, {
      name: topic.name,
      configs: Object.fromEntries(configs.map(({ name, value }) => [name, value])),
      partitions: partitions.map(renderPartition),
    })
  })
  answerOptions(app, '/topics/:topic', 'GET, HEAD, OPTIONS, POST')

  app.get('/topics/:topic/partitions', async (request, reply) => {
    checkAcceptsEnvelope(request.headers.accept)
    const topic = topics.get(callerOf(request), pathTopic(request))
    return sendJson(reply, (await engine.describePartitions(topic)).map(renderPartition))
  })
  answerOptions(app, '/topics/:topic/partitions', 'GET, HEAD, OPTIONS')

  app.get('/topics/:topic/partitions/:partition', async (request, reply) => {
    checkAcceptsEnvelope(request.headers.accept)
    const topic = topics.get(callerOf(request), pathTopic(request))
    const partition = existingPartition(topic, request)
    const described = (await engine.describePartitions(topic)).find((each) => each.partition === partition)
    if (described === undefined) throw partitionNotFound()
    return sendJson(reply, renderPartition(described))
  })
  answerOptions(app, '/topics/:topic/partitions/:partition', 'GET, HEAD, OPTIONS, POST')

  app.get('/topics/:topic/partitions/:partition/offsets', async (request, reply) => {
    checkAcceptsEnvelope(request.headers.accept)
    const caller = callerOf(request)
    const topic = topics.get(caller, pathTopic(request))
    const asked = { topic: topic.name, partitions: [existingPartition(topic, request)] }
    const [beginning] = await consume.offsetsAt(caller, { ...asked, at: { kind: 'earliest' } })
    const [end] = await consume.offsetsAt(caller, { ...asked, at: { kind: 'latest' } })
    return sendJson(reply, { beginning_offset: beginning?.offset, end_offset: end?.offset })
  })
  answerOptions(app, '/topics/:topic/partitions/:partition/offsets', 'GET, HEAD, OPTIONS')
}

/** A topic's name from the path: checked before anything is looked up with it. */
export function pathTopic(request: FastifyRequest): string {
  const name = pathText(request, 'topic')
  checkTopicName(name)
  return name
}

/** The partition's number from the path; where that is no int32 there is no such path. */
export function pathPartition(request: FastifyRequest): number {
  const text = pathText(request, 'partition')
  const partition = /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(partition) || (partition | 0) !== partition) throw noSuchPath()
  if (partition < 0) throw partitionNotFound()
  return partition
}

function existingPartition(topic: Topic, request: FastifyRequest): number {
  const partition = pathPartition(request)
  if (partition >= topic.partitionCount) throw partitionNotFound()
  return partition
}

function renderPartition({ partition, leader, replicas, isr }: PartitionDescription) {
  return {
    partition,
    leader,
    replicas: replicas.map((broker) => ({ broker, leader: broker === leader, in_sync: isr.includes(broker) })),
  }
}
