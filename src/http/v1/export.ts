// GET /v1/topics/{topic}/export: a topic as newline-delimited JSON, as fast as the client takes it and no faster.

import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept } from '../media-type.ts'
import { callerOf } from '../request-caller.ts'
import { RequestQuery } from '../request-query.ts'
import { readFrom, readPartitions, readPosition } from './read-query.ts'
import { pathTopic } from './topics.ts'

export const NDJSON_MEDIA_TYPE = 'application/x-ndjson'

export function exportRoutes(app: FastifyInstance, { services }: HttpFloor): void {
  // A HEAD would read it all to throw it away.
  app.get('/topics/:topic/export', { exposeHeadRoute: false }, async (request, reply) => {
    checkAccept(request.headers.accept, NDJSON_MEDIA_TYPE)
    const query = new RequestQuery(request, ['from', 'cursor', 'until', 'partition', 'group'])
    const chunks = await services.consume.export(callerOf(request), {
      topic: pathTopic(request),
      partitions: readPartitions(query),
      from: readFrom(query),
      until: readPosition(query, 'until'),
    })
    return reply.type(NDJSON_MEDIA_TYPE).send(Readable.from(untilFlushed(chunks, reply.raw), { highWaterMark: 1 }))
  })
}

/** The last line says why an export is cut: it leaves before the connection is closed on what was not yet sent. */
async function* untilFlushed(chunks: AsyncGenerator<Buffer>, response: ServerResponse): AsyncGenerator<Buffer> {
  try {
    yield* chunks
  } catch (error) {
    if (!response.destroyed) await new Promise((resolve) => response.write('', resolve))
    throw error
  }
}
