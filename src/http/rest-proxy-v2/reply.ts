// What every route of the REST Proxy v2 API does with its reply.

import type { FastifyInstance, FastifyReply } from 'fastify'
import { bytesOfJson } from '../problem.ts'
import { REST_PROXY_JSON } from './negotiation.ts'

/** As bytes: with a string, a charset would be put behind the media type. */
export function sendJson(reply: FastifyReply, value: unknown): FastifyReply {
  return reply.header('content-type', REST_PROXY_JSON).send(bytesOfJson(value, '\n'))
}

/** OPTIONS is answered with 200 here, whatever else a path takes. */
export function answerOptions(app: FastifyInstance, url: string, allow: string): void {
  app.options(url, (_request, reply) => reply.code(200).header('allow', allow).send())
}
