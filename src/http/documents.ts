// GET /openapi.yaml and its like: the descriptions of the APIs, as they came with this server.

import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'

/** Beside package.json. */
const DOCUMENTS = ['openapi.yaml', 'openapi-compat.yaml', 'asyncapi.yaml'] as const

export function documentRoutes(app: FastifyInstance): void {
  for (const name of DOCUMENTS) {
    const file = new URL(`../../${name}`, import.meta.url)
    app.get(`/${name}`, async (_request, reply) =>
      reply.header('content-type', 'text/yaml; charset=utf-8').send(await readFile(file)),
    )
  }
}
