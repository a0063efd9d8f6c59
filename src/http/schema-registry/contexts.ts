// /contexts, and what clients ask of a registry as such.

import type { FastifyInstance } from 'fastify'
import type { HttpFloor } from '../http-floor.ts'
import { contextOf, sliceOf, textOf } from './registry-query.ts'
import { send } from './registry-replies.ts'
import { registryRoutes } from './registry-route.ts'

/** Of Confluent's Schema Registry, whose answers these are: clients choose by it what they may ask for. */
const VERSION_OF = { 7: '7.9.0', 8: '8.0.0' } as const

export function contextRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { registry, addOnce, addWriteOnce } = registryRoutes(app, floor)

  addOnce('GET', '/contexts', (request, reply) => {
    const prefix = textOf(request, 'contextPrefix') ?? ''
    const found = registry.state.contexts.filter((name) => name.startsWith(prefix))
    return send(request, reply, sliceOf(request, found))
  })
  addWriteOnce('DELETE', '/contexts/:context', async (request, reply) => {
    await registry.deleteContext(contextOf(request) ?? '.')
    return reply.code(204).send()
  })
  addOnce('GET', '/v1/metadata/id', (request, reply) => {
    const clusters = {
      'kafka-cluster': floor.services.engine.cluster().clusterId,
      'schema-registry-cluster': 'schema-registry',
    }
    return send(request, reply, { scope: { path: [], clusters } })
  })
  addOnce('GET', '/v1/metadata/version', (request, reply) =>
    send(request, reply, { version: VERSION_OF[floor.options.schemaRegistryProfile], commitId: '0'.repeat(40) }),
  )
  addOnce('GET', '/v1/metadata/deployment', (request, reply) => send(request, reply, { attributes: [] }))
}
