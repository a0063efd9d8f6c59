// How a route of the Schema Registry API is added: at its path, and below that of a context.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { invariant } from '../../kernel/errors.ts'
import { REGISTRY_RAW_REPLY_CHARS_MAX } from '../../kernel/limits.ts'
import type { StoredSchema } from '../../registry/schema-entity.ts'
import type { SchemaRegistry } from '../../registry/schema-registry.ts'
import type { HttpFloor } from '../http-floor.ts'
import { sendRaw } from '../raw-reply.ts'
import { checkRequestType, replyTypeFor } from './negotiation.ts'
import { textOf } from './registry-query.ts'
import type { SchemaReplies } from './registry-replies.ts'
import { schemaReplies } from './registry-replies.ts'

type Handler = (request: FastifyRequest, reply: FastifyReply) => FastifyReply | Promise<FastifyReply>

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

export interface RegistryRoutes {
  readonly registry: SchemaRegistry
  readonly replies: SchemaReplies
  add(method: Method, path: string, handler: Handler): void
  /** What changes something: where another node writes, that one answers. */
  addWrite(method: Method, path: string, handler: Handler): void
  /** At its path alone. */
  addOnce(method: Method, path: string, handler: Handler): void
  addWriteOnce(method: Method, path: string, handler: Handler): void
  /** What every client asks for again and again: what is given is the reply. */
  addLookup(path: string, find: (request: FastifyRequest) => object): void
  /** A schema's text in the form that the request asks for. */
  formatted(request: FastifyRequest, stored: StoredSchema): string
}

export function registryRoutes(app: FastifyInstance, floor: HttpFloor): RegistryRoutes {
  const { registry } = floor.services
  /** Gives the reply's media type. */
  const check = (request: FastifyRequest): string => {
    checkRequestType(request.headers['content-type'])
    const mediaType = replyTypeFor(request.headers.accept)
    if (registry.failure !== undefined) throw registry.failure
    return mediaType
  }
  const checked =
    (handler: Handler): Handler =>
    async (request, reply) => {
      check(request)
      return await handler(request, reply)
    }
  const addOnce: RegistryRoutes['add'] = (method, url, handler) => {
    app.route({ method, url, handler: checked(handler) })
  }
  const { schemaForwarder } = floor
  const add: RegistryRoutes['add'] = (method, path, handler) => {
    for (const url of bothPaths(path)) addOnce(method, url, handler)
  }
  return {
    registry,
    replies: schemaReplies(floor.options.schemaRegistryProfile),
    add,
    addWrite: (method, path, handler) => add(method, path, schemaForwarder.forwarding(handler)),
    addOnce,
    addWriteOnce: (method, path, handler) => addOnce(method, path, schemaForwarder.forwarding(handler)),
    // answered from the onRequest hook, as produce is: Fastify routes and nothing more
    addLookup(path, find) {
      for (const url of bothPaths(path)) {
        const traffic = floor.traffic.of('GET', url)
        const answer = (request: FastifyRequest, reply: FastifyReply): void => {
          const mediaType = check(request)
          const body = `${JSON.stringify(find(request))}\n`
          if (body.length > REGISTRY_RAW_REPLY_CHARS_MAX)
            reply.header('content-type', mediaType).send(Buffer.from(body))
          else sendRaw(floor, traffic, request, reply, { status: 200, mediaType, body, encoding: 'utf8' })
        }
        app.route({
          method: 'GET',
          url,
          onRequest(request, reply, _done) {
            try {
              answer(request, reply)
            } catch (error) {
              reply.send(error)
            }
          },
          handler() {
            invariant(false, 'a lookup is answered by its onRequest hook')
          },
        })
      }
    },
    formatted(request, stored) {
      const format = textOf(request, 'format')
      return format === undefined ? stored.schema : registry.formatted(stored, format)
    },
  }
}

function bothPaths(path: string): readonly string[] {
  return [path, `/contexts/:context${path}`]
}
