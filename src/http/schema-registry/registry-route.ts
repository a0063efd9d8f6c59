// How a route of the Schema Registry API is added: at its path, and below that of a context.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { StoredSchema } from '../../registry/schema-entity.ts'
import type { SchemaRegistry } from '../../registry/schema-registry.ts'
import type { HttpFloor } from '../http-floor.ts'
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
  /** At its path alone. */
  addOnce(method: Method, path: string, handler: Handler): void
  /** A schema's text in the form that the request asks for. */
  formatted(request: FastifyRequest, stored: StoredSchema): string
}

export function registryRoutes(app: FastifyInstance, floor: HttpFloor): RegistryRoutes {
  const { registry } = floor.services
  const checked =
    (handler: Handler): Handler =>
    async (request, reply) => {
      checkRequestType(request.headers['content-type'])
      replyTypeFor(request.headers.accept)
      if (registry.failure !== undefined) throw registry.failure
      return await handler(request, reply)
    }
  const addOnce: RegistryRoutes['add'] = (method, url, handler) => {
    app.route({ method, url, handler: checked(handler) })
  }
  return {
    registry,
    replies: schemaReplies(floor.options.schemaRegistryProfile),
    add(method, path, handler) {
      for (const url of [path, `/contexts/:context${path}`]) addOnce(method, url, handler)
    },
    addOnce,
    formatted(request, stored) {
      const format = textOf(request, 'format')
      return format === undefined || format === '' ? stored.schema : registry.parsed(stored).formatted(format)
    },
  }
}
