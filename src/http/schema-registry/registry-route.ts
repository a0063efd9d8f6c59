// How a route of the Schema Registry API is added: at its path, and below that of a context.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { SchemaRegistry } from '../../registry/schema-registry.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkRequestType, replyTypeFor } from './negotiation.ts'

type Handler = (request: FastifyRequest, reply: FastifyReply) => FastifyReply | Promise<FastifyReply>

export interface RegistryRoutes {
  readonly registry: SchemaRegistry
  add(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, handler: Handler): void
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
  return {
    registry,
    add(method, path, handler) {
      for (const url of [path, `/contexts/:context${path}`]) app.route({ method, url, handler: checked(handler) })
    },
  }
}
