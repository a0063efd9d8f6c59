// GET /v1/topics/{topic}/export: a topic as newline-delimited JSON, as fast as the client takes it and no faster; with
// follow=true it goes on with what is appended.

import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { TailraceError } from '../../kernel/errors.ts'
import { TAIL_CHUNK_RECORDS_MAX } from '../../kernel/limits.ts'
import type { ExportRequest } from '../../service/read/export.ts'
import type { HttpFloor } from '../http-floor.ts'
import { countReply } from '../http-traffic.ts'
import { checkAccept } from '../media-type.ts'
import { callerOf } from '../request-caller.ts'
import { RequestQuery } from '../request-query.ts'
import { whileConnected } from '../while-connected.ts'
import { ExportForm, FollowedExport } from './followed-export.ts'
import { readFrom, readPartitions, readPosition } from './read-query.ts'
import { pathTopic } from './topics.ts'

export const NDJSON_MEDIA_TYPE = 'application/x-ndjson'

export function exportRoutes(app: FastifyInstance, floor: HttpFloor): void {
  // A HEAD would read it all to throw it away.
  app.get('/topics/:topic/export', { exposeHeadRoute: false }, async (request, reply) => {
    checkAccept(request.headers.accept, NDJSON_MEDIA_TYPE)
    const query = new RequestQuery(request, ['from', 'cursor', 'until', 'partition', 'group', 'follow'])
    const wanted = {
      topic: pathTopic(request),
      partitions: readPartitions(query),
      from: readFrom(query),
      until: readPosition(query, 'until'),
    }
    if (query.oneOf('follow', ['true', 'false']) === 'true') return await follow(floor, request, reply, wanted)
    const chunks = await floor.services.consume.export(callerOf(request), wanted)
    return reply.type(NDJSON_MEDIA_TYPE).send(Readable.from(untilFlushed(chunks, reply.raw), { highWaterMark: 1 }))
  })
}

async function follow(
  { services, live, clock, closing, replyBuffers, traffic }: HttpFloor,
  request: FastifyRequest,
  reply: FastifyReply,
  { topic, partitions, from, until }: ExportRequest,
): Promise<FastifyReply> {
  const followed = new FollowedExport(reply.raw, live, clock)
  try {
    const tail = await whileConnected(reply, closing, (signal) =>
      services.tails.open({
        caller: callerOf(request),
        sources: { kind: 'topics', topics: [{ topic, partitions }] },
        from,
        until,
        onGap: 'earliest',
        overflow: 'pause',
        batchRecords: TAIL_CHUNK_RECORDS_MAX,
        batchWaitMs: 0,
        form: new ExportForm(replyBuffers),
        reader: followed,
        signal,
      }),
    )
    reply.hijack()
    countReply(traffic.of(request.method, request.routeOptions.url ?? 'none'), 200)
    followed.begin({ ...FOLLOWED_HEAD, 'x-request-id': request.id }, tail)
    return reply
  } catch (error) {
    followed.close()
    throw closing.hasBegun ? new TailraceError('shutting_down', 'the server is stopping') : error
  }
}

/** A reply of its own length: the connection ends with it. */
const FOLLOWED_HEAD = {
  'content-type': NDJSON_MEDIA_TYPE,
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
  connection: 'close',
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
