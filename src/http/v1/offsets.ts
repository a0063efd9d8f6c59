// GET /v1/topics/{topic}/offsets: what a position means now, partition by partition.

import type { FastifyInstance } from 'fastify'
import { timeText } from '../../codec/iso-time.ts'
import type { ResolvedOffset } from '../../service/partition-offset.ts'
import { parsePosition } from '../../service/positions.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, JSON_MEDIA_TYPE } from '../media-type.ts'
import { callerOf } from '../request-caller.ts'
import { RequestQuery } from '../request-query.ts'
import { readPartitions } from './read-query.ts'
import { pathTopic } from './topics.ts'

export function offsetRoutes(app: FastifyInstance, { services: { consume } }: HttpFloor): void {
  app.get('/topics/:topic/offsets', async (request) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    const query = new RequestQuery(request, ['at', 'partition'])
    const at = query.text('at') ?? 'latest'
    const offsets = await consume.offsetsAt(callerOf(request), {
      topic: pathTopic(request),
      partitions: readPartitions(query),
      at: at === 'max_timestamp' ? { kind: at } : parsePosition(at),
    })
    return { items: offsets.map(renderOffset), next_cursor: null }
  })
}

function renderOffset({ partition, offset, timestamp }: ResolvedOffset) {
  return { partition, offset, timestamp: timestamp < 0 ? null : timeText(timestamp) }
}
