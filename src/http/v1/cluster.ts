// GET /v1/cluster: who serves here, and what it can do.

import type { FastifyInstance } from 'fastify'
import type { HttpFloor } from '../http-floor.ts'
import { RequestQuery } from '../request-query.ts'

export function clusterRoutes(app: FastifyInstance, { services: { engine } }: HttpFloor): void {
  app.get('/cluster', async (request) => {
    new RequestQuery(request, [])
    const { clusterId, controllerId, brokers } = engine.cluster()
    const { name, replicationFactorMax, namedProducers } = engine.capabilities
    return {
      cluster_id: clusterId,
      controller_id: controllerId,
      brokers,
      engine: name,
      capabilities: { replication_factor_max: replicationFactorMax, named_producers: namedProducers },
    }
  })
}
