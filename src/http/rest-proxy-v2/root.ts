// GET and POST / (is anybody there?), and GET /brokers.

import { isUtf8 } from 'node:buffer'
import type { FastifyInstance } from 'fastify'
import { JsonCursor } from '../../codec/json-cursor.ts'
import { TailraceError } from '../../kernel/errors.ts'
import type { HttpFloor } from '../http-floor.ts'
import { sendWelcomePage, wantsPage } from '../welcome-page.ts'
import { restProxyFailure } from './failure.ts'
import { checkAcceptsEnvelope, checkEnvelopeType } from './negotiation.ts'
import { answerOptions, sendJson } from './reply.ts'

export function rootRoutes(app: FastifyInstance, floor: HttpFloor): void {
  app.get('/', (request, reply) => {
    if (wantsPage(request.headers.accept)) return sendWelcomePage(reply)
    checkAcceptsEnvelope(request.headers.accept)
    return sendJson(reply, {})
  })

  app.post('/', async (request, reply) => {
    checkEnvelopeType(request.headers['content-type'])
    checkAcceptsEnvelope(request.headers.accept)
    checkIsObject(await floor.bodies.read(request.raw))
    return sendJson(reply, {})
  })
  answerOptions(app, '/', 'GET, HEAD, OPTIONS, POST')

  app.get('/brokers', (request, reply) => {
    checkAcceptsEnvelope(request.headers.accept)
    sendJson(reply, { brokers: floor.services.engine.cluster().brokers.map(({ id }) => id) })
  })
  answerOptions(app, '/brokers', 'GET, HEAD, OPTIONS')
}

/** Nothing is made of it. No body at all will do too. */
function checkIsObject(body: Buffer): void {
  if (body.length === 0) return
  if (!isUtf8(body)) throw new TailraceError('invalid_request', 'the request body is not UTF-8 text')
  const cursor = new JsonCursor(body)
  const kind = cursor.kind()
  cursor.skipEnvelope()
  cursor.finish()
  if (kind !== 'an object') throw restProxyFailure(400, `the request body must be a JSON object, not ${kind}`)
}
