// What a browser is shown at /, where clients of the REST Proxy find an empty object: what this is, and where to look.

import type { FastifyReply } from 'fastify'

/** Every browser names HTML first and then XHTML; no client of an API does, though it may take text/html. */
export function wantsPage(accept: string | undefined): boolean {
  return accept !== undefined && /^\s*text\/html\s*,\s*application\/xhtml\+xml\b/i.test(accept)
}

export function sendWelcomePage(reply: FastifyReply): FastifyReply {
  return reply.header('content-type', 'text/html; charset=utf-8').header('vary', 'Accept').send(PAGE)
}

const LINKS = [
  ['/v1/topics', 'the topics'],
  ['/v1/cluster', 'the cluster'],
  ['/readyz', 'is it well?'],
  ['/metrics', 'metrics for Prometheus'],
  ['/openapi.yaml', 'all of /v1, in OpenAPI'],
  ['/asyncapi.yaml', 'its WebSocket and event streams, in AsyncAPI'],
  ['/openapi-compat.yaml', 'what is here for clients of the REST Proxy'],
]

const PAGE = Buffer.from(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Tailrace</title>
<h1>Tailrace</h1>
<p>An event-streaming server over plain HTTP: topics, partitions, offsets and keys. Its API begins at /v1 and is described in
the files below. Clients of Confluent's REST Proxy (v2) find theirs at this very address.</p>
<ul>
${LINKS.map(([path, what]) => `<li><a href="${path}">${path}</a>: ${what}</li>`).join('\n')}
</ul>
</html>
`)
