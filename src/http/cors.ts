// CORS for every path, where the configuration allows foreign origins: their pages may send what a client may, and read the
// replies. Set on Node's response, so that what goes past Fastify carries it too. Without such origins nothing is added.

import type { FastifyInstance } from 'fastify'
import { isAllowedOrigin } from './origin.ts'

/** What a page may read of a reply beside its body. */
const EXPOSED = 'x-request-id, retry-after, location, allow'

/** Browsers keep the answer to a preflight no longer than that. */
const PREFLIGHT_SECONDS = '7200'

export function addCors(app: FastifyInstance, allowed: readonly string[]): void {
  if (allowed.length === 0) return
  const isForAll = allowed.includes('*')
  app.addHook('onRequest', ({ headers, method }, { raw }, done) => {
    if (!isForAll) raw.setHeader('vary', 'origin')
    if (headers.origin !== undefined && isAllowedOrigin(headers, allowed)) {
      raw.setHeader('access-control-allow-origin', isForAll ? '*' : headers.origin)
      raw.setHeader('access-control-expose-headers', EXPOSED)
      if (method === 'OPTIONS' && headers['access-control-request-method'] !== undefined) {
        raw.setHeader('access-control-allow-methods', 'GET, HEAD, POST, PUT, PATCH, DELETE')
        raw.setHeader('access-control-allow-headers', headers['access-control-request-headers'] ?? '*')
        raw.setHeader('access-control-max-age', PREFLIGHT_SECONDS)
      }
    }
    done()
  })
}
