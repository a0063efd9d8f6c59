// DELETE /v1/topics/{topic}/partitions/{partition}/records?before=N: raises the partition's start and
// answers with it.

import type { FastifyInstance } from 'fastify'
import { TailraceError } from '../../kernel/errors.ts'
import { OFFSET_MAX, TOPIC_PARTITIONS_MAX } from '../../kernel/limits.ts'
import type { HttpFloor } from '../http-floor.ts'
import { callerOf } from '../request-caller.ts'
import { pathInteger, RequestQuery } from '../request-query.ts'
import { pathTopic } from './topics.ts'

export function deleteRecordsRoutes(app: FastifyInstance, { services: { consume, topics } }: HttpFloor): void {
  app.delete('/topics/:topic/partitions/:partition/records', async (request) => {
    const caller = callerOf(request)
    const topic = pathTopic(request)
    const partition = pathInteger(request, 'partition', { min: 0, max: TOPIC_PARTITIONS_MAX - 1 })
    const offset = readBefore(new RequestQuery(request, ['before']))
    topics.checkWritable(caller, topic)
    return { partition, start_offset: await consume.deleteRecords(caller, topic, { partition, offset }) }
  })
}

/** -1, and its word latest: up to the end. */
function readBefore(query: RequestQuery): number {
  if (query.text('before') === 'latest') return -1
  const before = query.integer('before', { min: -1, max: OFFSET_MAX })
  if (before !== undefined) return before
  throw new TailraceError(
    'invalid_request',
    'before is missing: the records before that offset are deleted, all with latest',
    {
      parameter: 'before',
    },
  )
}
