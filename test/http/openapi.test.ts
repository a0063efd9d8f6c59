import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { STATUS_OF_CODE } from '../../src/http/problem.ts'
import { buildServer } from '../../src/http/server.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { ERROR_KINDS } from '../../src/kernel/errors.ts'
import {
  LEASE_MS_DEFAULT,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
  MAX_ATTEMPTS_DEFAULT,
  MAX_ATTEMPTS_MAX,
  PAGE_BYTES_DEFAULT,
  PAGE_BYTES_MAX,
  PAGE_RECORDS_DEFAULT,
  PAGE_RECORDS_MAX,
  PAGE_WAIT_MS_MAX,
  SHARED_POLL_RECORDS_MAX,
} from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { checkAgainst, openApi, operations, restProxy, schemaRegistry } from '../support/openapi.ts'

const schemas = JSON.parse(readFileSync(join(import.meta.dirname, '../../schemas/v1.json'), 'utf8'))

test('openapi.yaml repeats the schemas of schemas/v1.json, which bodies are checked by', () => {
  for (const name of new Set([
    ...Object.keys(schemas.components.schemas),
    ...Object.keys(openApi.components.schemas),
  ])) {
    assert.deepEqual(openApi.components.schemas[name], schemas.components.schemas[name], name)
  }
})

test('every operation of openapi.yaml is routed, and every route is in it', async () => {
  // /v1/metadata is the schema registry's
  const routes = (await routesOfServer()).filter((route) =>
    / \/(v1\/(?!metadata)|livez|readyz|metrics|\w+(-compat)?\.yaml)/.test(route),
  )
  assert.ok(routes.length > 10)
  assert.deepEqual(routes.sort(), operations.map(routeOf).sort())
})

test('every operation of the REST Proxy in openapi-compat.yaml is routed, and every route is in it', async () => {
  const routes = (await routesOfServer()).filter((route) => / \/(brokers|topics|consumers|$)/.test(route))
  const ofRestProxy = routes.filter((route) => !/^OPTIONS /.test(route))
  assert.ok(ofRestProxy.length > 20)
  assert.deepEqual(ofRestProxy.sort(), restProxy.operations.map(routeOf).sort())
})

test('every operation of the Schema Registry in openapi-compat.yaml is routed, below a context too, and every route is in it', async () => {
  const isOfRegistry = (route: string) =>
    / \/(subjects|schemas|compatibility|config|mode|contexts|v1\/metadata)/.test(route)
  const routes = (await routesOfServer()).filter(isOfRegistry)
  const described = schemaRegistry.operations.map(routeOf)
  const below = described.filter((route) => !/ \/(contexts|v1)\b/.test(route))
  const inContext = below.map((route) => route.replace(' ', ' /contexts/:context'))
  assert.ok(described.length > 30)
  assert.deepEqual(routes.sort(), [...described, ...inContext].sort())
})

test('operations are named by verb and noun, and no schema is written where it is used', () => {
  for (const file of [operations, schemaRegistry.operations]) {
    const ids = file.map(({ operation }) => operation.operationId)
    assert.equal(new Set(ids).size, ids.length)
    for (const id of ids) assert.match(id, /^[a-z]+([A-Z][a-z]+)+$/)
  }
  assert.deepEqual(inlineObjects(openApi.paths), [])
})

test('the examples of request bodies fit their schemas', () => {
  for (const { operation } of operations) {
    for (const { schema, example, examples = {} } of Object.values(operation.requestBody?.content ?? {})) {
      if (example !== undefined) checkAgainst(schema.$ref, example, operation.operationId)
      for (const [name, { value }] of Object.entries(examples)) {
        checkAgainst(schema.$ref, value, `${operation.operationId} ${name}`)
      }
    }
  }
})

test('what a poll and a lease may ask for is bounded as limits.ts says', () => {
  const bounds = ({ minimum, maximum, default: otherwise }: Record<string, unknown>) => [minimum, maximum, otherwise]
  const poll = schemas.components.schemas.PollGroupRequest.properties
  assert.deepEqual(bounds(poll.limit), [1, PAGE_RECORDS_MAX, PAGE_RECORDS_DEFAULT])
  assert.match(poll.limit.description, new RegExp(`up to ${SHARED_POLL_RECORDS_MAX}\\b`))
  assert.deepEqual(bounds(poll.max_bytes), [1, PAGE_BYTES_MAX, PAGE_BYTES_DEFAULT])
  assert.deepEqual(bounds(poll.wait_ms), [0, PAGE_WAIT_MS_MAX, 0])
  assert.deepEqual(bounds(poll.lease_ms), [LEASE_MS_MIN, LEASE_MS_MAX, LEASE_MS_DEFAULT])
  assert.deepEqual(bounds(poll.max_attempts), [1, MAX_ATTEMPTS_MAX, MAX_ATTEMPTS_DEFAULT])
  const extend = schemas.components.schemas.ExtendLeaseRequest.properties
  assert.deepEqual(bounds(extend.lease_ms), [LEASE_MS_MIN, LEASE_MS_MAX, LEASE_MS_DEFAULT])
})

test('every error code has a status, and a code that is worth repeating never has the status of a bug', () => {
  assert.deepEqual(Object.keys(STATUS_OF_CODE).sort(), Object.keys(ERROR_KINDS).sort())
  for (const [code, { retriable }] of Object.entries(ERROR_KINDS)) {
    const status = STATUS_OF_CODE[code as keyof typeof STATUS_OF_CODE]
    // what is damaged or missing here is no fault of the request's, and stays so
    const isForGood = code === 'corrupt_message' || code === 'not_enough_replicas'
    assert.equal(retriable, (status === 503 || status === 408 || status === 429) && !isForGood, code)
  }
})

function routeOf({ method, path }: { readonly method: string; readonly path: string }): string {
  return `${method} ${path.replace(/\{([^}]+)\}/g, ':$1')}`
}

/** As Fastify prints them: a tree of which each line adds to the path of the line that it hangs from. */
async function routesOfServer(): Promise<string[]> {
  const app = buildServer({
    services: {},
    options: { allowedOrigins: [] },
    clock: systemClock,
    logger: silentLogger,
  } as never)
  await app.ready()
  const paths: string[] = []
  return app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', part = '', methods = ''] = /^([│ ]*)[├└]── (\S+)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? []
      const depth = indent.length / 4
      paths[depth] = (depth === 0 ? '' : (paths[depth - 1] ?? '')) + part
      return methods.split(', ').flatMap((method) => (/^(HEAD)?$/.test(method) ? [] : [`${method} ${paths[depth]}`]))
    })
}

function inlineObjects(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return []
  const own = 'schema' in value && typeof value.schema === 'object' && value.schema && 'properties' in value.schema
  return [
    ...(own ? [path] : []),
    ...Object.entries(value).flatMap(([name, member]) => inlineObjects(member, `${path}/${name}`)),
  ]
}
