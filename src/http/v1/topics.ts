// /v1/topics: list, create, describe, grow and configure, delete.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { PartitionDescription, Topic } from '../../engine/engine.ts'
import type { TopicConfigDescription } from '../../engine/topic-config.ts'
import { checkTopicName } from '../../engine/topic-name.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { TOPIC_LIST_DEFAULT, TOPIC_LIST_MAX } from '../../kernel/limits.ts'
import type { TopicDescription } from '../../service/topics.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, JSON_MEDIA_TYPE } from '../media-type.ts'
import { callerOf } from '../request-caller.ts'
import { pathText, RequestQuery } from '../request-query.ts'
import { readJson } from './json-request.ts'
import { cursorOfName, nameOfCursor } from './name-cursor.ts'

interface CreateTopicRequest {
  readonly name: string
  readonly partitions?: number
  readonly replication_factor?: number
  readonly configs?: Readonly<Record<string, string>>
}

interface UpdateTopicRequest {
  readonly partitions?: number
  readonly configs?: Readonly<Record<string, string | null>>
}

export function topicRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { topics } = floor.services

  app.get('/topics', async (request) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    const query = new RequestQuery(request, ['limit', 'cursor', 'internal'])
    const page = topics.list(callerOf(request), {
      includeInternal: query.flag('internal'),
      after: nameOfCursor(query.text('cursor'), 'topics'),
      limit: query.integer('limit', { min: 1, max: TOPIC_LIST_MAX }) ?? TOPIC_LIST_DEFAULT,
    })
    return { items: page.topics.map(renderSummary), next_cursor: cursorOfName(page.nextAfter) }
  })

  app.post('/topics', async (request, reply) => {
    const body = await readJson<CreateTopicRequest>(floor, request, 'CreateTopicRequest')
    const description = await topics.create(callerOf(request), {
      name: body.name,
      partitionCount: body.partitions,
      replicationFactor: body.replication_factor,
      configs: body.configs,
    })
    reply.code(201).header('location', `/v1/topics/${description.topic.name}`)
    return renderTopic(description)
  })

  app.get('/topics/:topic', async (request) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    new RequestQuery(request, [])
    return renderTopic(await topics.describe(callerOf(request), pathTopic(request)))
  })

  app.patch('/topics/:topic', async (request) => {
    const name = pathTopic(request)
    const { partitions, configs } = await readJson<UpdateTopicRequest>(floor, request, 'UpdateTopicRequest')
    if (partitions === undefined && configs === undefined) {
      throw new TailraceError('invalid_request', 'nothing to change: the body names neither partitions nor configs')
    }
    return renderTopic(await topics.alter(callerOf(request), name, { partitionCount: partitions, configs }))
  })

  app.delete('/topics/:topic', async (request, reply) => {
    new RequestQuery(request, [])
    await topics.delete(callerOf(request), pathTopic(request))
    return reply.code(204).send()
  })
}

/** A topic's name from the path: checked before anything is looked up or built with it. */
export function pathTopic(request: FastifyRequest): string {
  const name = pathText(request, 'topic')
  checkTopicName(name)
  return name
}

function renderSummary({ name, id, partitionCount, internal }: Topic) {
  return { name, id, partition_count: partitionCount, internal }
}

function renderTopic({ topic, partitions, configs }: TopicDescription) {
  return {
    name: topic.name,
    id: topic.id,
    internal: topic.internal,
    partitions: partitions.map(renderPartition),
    configs: configs.map(renderConfig),
  }
}

function renderPartition(partition: PartitionDescription) {
  return {
    partition: partition.partition,
    start_offset: partition.startOffset,
    end_offset: partition.endOffset,
    size_bytes: partition.sizeBytes,
    expired_bytes: partition.expiredBytes,
    leader: partition.leader,
    replicas: partition.replicas,
    isr: partition.isr,
    ...(partition.offline === undefined ? {} : { offline: partition.offline.message }),
    ...(partition.corrupt === undefined ? {} : { corrupt: partition.corrupt.message }),
  }
}

function renderConfig({ name, value, source, default: byDefault }: TopicConfigDescription) {
  return { name, value, source, default: byDefault }
}
