// /contexts, and what clients ask of a registry as such.

import type { FastifyInstance } from 'fastify'
import type { HttpFloor } from '../http-floor.ts'
import { contextOf, sliceOf, textOf } from './registry-query.ts'
import { send } from './registry-replies.ts'
import { registryRoutes } from './registry-route.ts'

/** Of Confluent's Schema Registry, whose answers these are: clients choose by it what they may ask for. */
const ANSWERS_AS = { version: '8.0.0', commitId: '0000000000000000000000000000000000000000' }

export function contextRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { registry, add } = registryRoutes(app, floor)

  app.get('/contexts', (request, reply) => {
    if (registry.failure !== undefined) throw registry.failure
    const prefix = textOf(request, 'contextPrefix') ?? ''
    return send(
      request,
      reply,
      sliceOf(
        request,
        registry.state.contexts.filter((name) => name.startsWith(prefix)),
      ),
    )
  })
  app.delete('/contexts/:context', async (request, reply) => {
    await registry.deleteContext(contextOf(request) ?? '.')
    return reply.code(204).send()
  })
  add('GET', '/v1/metadata/id', (request, reply) => {
    const clusters = {
      'kafka-cluster': floor.services.engine.cluster().clusterId,
      'schema-registry-cluster': 'schema-registry',
    }
    return send(request, reply, { scope: { path: [], clusters } })
  })
  add('GET', '/v1/metadata/version', (request, reply) => send(request, reply, ANSWERS_AS))
  add('GET', '/v1/metadata/deployment', (request, reply) => send(request, reply, { attributes: [] }))
}
