// GET /v1/topics/{topic}/offsets: what a position means now, partition by partition.

import type { FastifyInstance } from 'fastify'
import { timeText } from '../../codec/iso-time.ts'
import type { OffsetsRequest } from '../../service/read/consume.ts'
import type { ResolvedOffset } from '../../service/read/partition-offset.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, JSON_MEDIA_TYPE } from '../media-type.ts'
import { callerOf } from '../request-caller.ts'
import { RequestQuery } from '../request-query.ts'
import { checkGroupMeant, readPartitions, readPosition } from './read-query.ts'
import { pathTopic } from './topics.ts'

export function offsetRoutes(app: FastifyInstance, { services: { consume } }: HttpFloor): void {
  app.get('/topics/:topic/offsets', async (request) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    const query = new RequestQuery(request, ['at', 'partition', 'group'])
    const offsets = await consume.offsetsAt(callerOf(request), {
      topic: pathTopic(request),
      partitions: readPartitions(query),
      at: readAt(query),
    })
    return { items: offsets.map(renderOffset), next_cursor: null }
  })
}

function readAt(query: RequestQuery): OffsetsRequest['at'] {
  checkGroupMeant(query, ['at'])
  if (query.text('at') === 'max_timestamp') return { kind: 'max_timestamp' }
  return readPosition(query, 'at') ?? { kind: 'latest' }
}

function renderOffset({ partition, offset, timestamp }: ResolvedOffset) {
  return { partition, offset, timestamp: timestamp < 0 ? null : timeText(timestamp) }
}
