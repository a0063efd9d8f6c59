// A reply that goes past Fastify, its head and body in one write: the hot path of produce and of v2's commits. It must say
// what the onSend hook says for all others (server.ts).

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { HttpFloor } from './http-floor.ts'
import type { RouteTraffic } from './http-traffic.ts'
import { countReply } from './http-traffic.ts'
import { goOnBehindUpgrade } from './refused-upgrade.ts'

export interface RawReply {
  readonly status: number
  readonly mediaType: string
  readonly body: string
  /** latin1 where the body is ASCII: it is written as it is. */
  readonly encoding: 'latin1' | 'utf8'
}

export function sendRaw(
  floor: HttpFloor,
  traffic: RouteTraffic,
  request: FastifyRequest,
  reply: FastifyReply,
  { status, mediaType, body, encoding }: RawReply,
): void {
  const length = String(Buffer.byteLength(body, encoding))
  const head = ['content-type', mediaType, 'content-length', length, 'x-request-id', request.id]
  goOnBehindUpgrade(request.raw, reply.raw)
  // a stop waits for connections, and would wait for one that has nothing more to say
  if (floor.closing.hasBegun) head.push('connection', 'close')
  reply.raw.writeHead(status, head)
  reply.raw.end(body, encoding)
  countReply(traffic, status)
}
