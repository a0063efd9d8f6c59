// Several servers on one engine: whichever is asked, one writes the schema registry, and its answer is the answer.

import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../src/kernel/clock.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { SchemaWriter } from '../../src/registry/schema-writer.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import type { TestReply } from '../support/http-send.ts'
import { checkRefused, okay, RegistryCalls, recordOf } from '../support/schema-registry.ts'
import { rowsOf } from '../support/schema-rows.ts'
import type { NodeView } from '../support/shared-engine.ts'
import { viewOf } from '../support/shared-engine.ts'

interface TestNode {
  readonly server: TestServer
  readonly calls: RegistryCalls
  readonly view: NodeView
}

async function startNodes(
  t: TestContext,
  count: number,
  clock: Clock = systemClock,
  before?: (engine: NodeView['engine']) => Promise<void>,
) {
  const engine = await openLocalEngine(engineOptions(temporaryDirectory(t), { clock }))
  await before?.(viewOf(engine).engine)
  const nodes: TestNode[] = []
  for (let at = 0; at < count; at++) {
    const view = viewOf(engine)
    const server = await startServer(t, { clock, openEngine: async () => view.engine })
    nodes.push({ server, calls: new RegistryCalls(server), view })
  }
  t.after(() => engine.close())
  return { engine, nodes: before === undefined ? await settled(nodes) : nodes }
}

async function isWriter({ server }: TestNode): Promise<boolean> {
  const metrics = (await server.get('/metrics')).text()
  return /^tailrace_schema_registry_writer 1$/m.test(metrics)
}

/** When one of them writes: that one first. */
async function settled(nodes: readonly TestNode[]): Promise<TestNode[]> {
  for (let tries = 0; tries < 500; tries++) {
    const writing = await Promise.all(nodes.map(isWriter))
    assert.ok(writing.filter(Boolean).length <= 1)
    const at = writing.indexOf(true)
    if (at >= 0) return [nodes[at] as TestNode, ...nodes.filter((_, other) => other !== at)]
    await delay(2)
  }
  return [...nodes]
}

/** What may work later. */
function checkLater(reply: TestReply, errorCode: number): void {
  assert.deepEqual([reply.status, reply.json().error_code, reply.headers['retry-after']], [503, errorCode, '1'])
}

const text = (at: number) => recordOf(`S${at}`, { a: 'int' })

test('200 registrations of 20 schemas over three nodes at once are 20 ids, and each node knows what it answered', async (t) => {
  const { engine, nodes } = await startNodes(t, 3)
  const ids = await Promise.all(
    Array.from({ length: 200 }, async (_, at) => {
      const { calls } = nodes[at % 3] as TestNode
      const { id } = await calls.register(`s${at % 7}-${at % 20}`, text(at % 20))
      assert.equal((await calls.read(`/schemas/ids/${id}`)).schema, text(at % 20))
      return id as number
    }),
  )
  assert.deepEqual(
    [...new Set(ids)].sort((left, right) => left - right),
    Array.from({ length: 20 }, (_, at) => at + 1),
  )
  const rows = await rowsOf(engine)
  assert.deepEqual(new Set(rows.map(({ author }) => author?.claim)), new Set([1]), 'one has written all of them')
  assert.equal(new Set(rows.map(({ key }) => key)).size, rows.length)
})

test('every write works through every node, and its failures come through as they are', async (t) => {
  const { nodes } = await startNodes(t, 2)
  const [writer, other] = nodes as [TestNode, TestNode]
  const { calls, server } = other
  await calls.register('a', text(0))
  const incompatible = await calls.post('/subjects/a/versions', { schema: text(1) })
  checkRefused(incompatible, 40901)
  assert.equal(incompatible.text(), (await writer.calls.post('/subjects/a/versions', { schema: text(1) })).text())
  checkRefused(await calls.post('/subjects/a/versions', { schema: 'nonsense' }), 42201)
  checkRefused(await calls.put('/config/a', { compatibility: 'SIDEWAYS' }), 42203)
  checkRefused(await calls.delete('/subjects/none'), 40401)
  checkRefused(await calls.delete('/subjects/a/versions/7'), 40402)
  checkRefused(await calls.delete('/subjects/a?permanent=true'), 40405)
  checkRefused(await calls.put('/mode/a', {}), 42204)
  checkRefused(
    await server.request('POST', '/subjects/a/versions', { headers: { 'content-type': 'text/plain' }, body: 'x' }),
    415,
  )

  assert.deepEqual(okay(await calls.put('/config/a', { compatibility: 'NONE' })), { compatibility: 'NONE' })
  assert.equal((await calls.read('/config/a')).compatibilityLevel, 'NONE')
  assert.deepEqual(okay(await calls.delete('/config/a')).compatibilityLevel, 'NONE')
  okay(await calls.put('/mode/a', { mode: 'READONLY' }))
  checkRefused(await calls.post('/subjects/a/versions', { schema: text(2) }), 42205)
  okay(await calls.delete('/mode/a'))
  await calls.register(':.c:x', text(3))
  assert.deepEqual(okay(await calls.delete(`/subjects/${encodeURIComponent(':.c:x')}`)), [1])
  assert.deepEqual(okay(await calls.delete(`/subjects/${encodeURIComponent(':.c:x')}?permanent=true`)), [1])
  assert.equal((await calls.delete('/contexts/.c')).status, 204)
  assert.deepEqual(await calls.read('/contexts'), ['.'])
  okay(await calls.post('/subjects/a/versions/1/tags', { metadata: { properties: { owner: 'me' } } }))
  assert.equal((await calls.read('/subjects/a/versions/latest')).version, 2)

  const headers = { accept: 'application/json', 'x-request-id': 'mine' }
  const reply = await server.request('POST', '/subjects/b%2Fc%3F/versions?normalize=true', {
    headers,
    body: { schema: text(4) },
  })
  okay(reply)
  assert.deepEqual([reply.headers['content-type'], reply.headers['x-request-id']], ['application/json', 'mine'])
  assert.deepEqual(await writer.calls.read('/subjects/b%2Fc%3F/versions'), [1])
})

test('a v2 request’s schema is registered through a node that does not write', async (t) => {
  const { nodes } = await startNodes(t, 2)
  const [writer, { server }] = nodes as [TestNode, TestNode]
  const produce = (schema: string) =>
    server.request('POST', '/topics/orders', {
      headers: { 'content-type': 'application/vnd.kafka.avro.v2+json' },
      body: JSON.stringify({ value_schema: schema, records: [{ value: { a: 1 } }] }),
    })
  const { value_schema_id: id } = okay(await produce(text(0)))
  assert.equal((await writer.calls.read(`/schemas/ids/${id}`)).schema, text(0))
  checkRefused(await produce('nonsense'), 42205)
  checkRefused(await produce(text(1)), 42207, /incompatible/)
})

test('what was sent on is not sent on again', async (t) => {
  const { nodes } = await startNodes(t, 2)
  const [writer, other] = nodes as [TestNode, TestNode]
  const forwarded = { headers: { 'x-forward': 'true' }, body: { schema: text(0) } }
  checkLater(await other.server.request('POST', '/subjects/a/versions', forwarded), 50004)
  okay(await writer.server.request('POST', '/subjects/a/versions', forwarded))
  okay(await other.server.request('POST', '/subjects/a', forwarded))
  const { items } = (await other.server.get('/v1/groups')).json()
  assert.deepEqual(
    items.map(({ group }: { group: string }) => group),
    ['schema-registry'],
  )
  assert.equal((await other.server.get('/v1/groups/schema-registry')).status, 200)
  assert.equal((await other.server.get('/v1/groups/schema-registry/lag')).status < 500, true)
})

/** A node of the group that is not ours, and that writes: what it is asked, and what it answers. */
async function givenForeignWriter(
  t: TestContext,
  answer: (request: IncomingMessage, reply: ServerResponse, body: string) => void,
) {
  const clock = new FakeClock()
  const asked: {
    method: string | undefined
    url: string | undefined
    headers: IncomingMessage['headers']
    body: string
  }[] = []
  const foreign = createServer(async (request, reply) => {
    const body = Buffer.concat(await request.toArray()).toString()
    const { method, url, headers } = request
    asked.push({ method, url, headers, body })
    answer(request, reply, body)
  })
  await new Promise<void>((resolve) => foreign.listen(0, '127.0.0.1', resolve))
  const { port } = foreign.address() as AddressInfo
  let seat: SchemaWriter | undefined
  const { nodes } = await startNodes(t, 1, clock, async (engine) => {
    seat = new SchemaWriter({ engine, clock, logger: silentLogger, sessionTimeoutMs: 10_000 })
    seat.open({ protocol: 'http', host: '127.0.0.1', port })
    await seat.own()
  })
  t.after(async () => {
    foreign.closeAllConnections()
    foreign.close()
    await seat?.close()
  })
  const [node] = nodes as [TestNode]
  return { clock, node, asked, foreign }
}

test('what is sent on says so, and is what was asked', async (t) => {
  const { node, asked } = await givenForeignWriter(t, (_request, reply) => {
    reply.writeHead(422, { 'content-type': 'application/vnd.schemaregistry.v1+json' })
    reply.end('{"error_code":42298,"message":"of its own"}')
  })
  const headers = { 'content-type': 'application/json; charset=utf-8', 'x-request-id': 'r-1', 'x-forward': 'false' }
  const body = JSON.stringify({ schema: '"int"', unknown: 1 })
  const reply = await node.server.request('POST', '/subjects/a%20b/versions?normalize=true&x=%2F', { headers, body })
  checkRefused(reply, 42298, 'of its own')
  const [first] = asked
  assert.deepEqual(
    [first?.method, first?.url, first?.body],
    ['POST', '/subjects/a%20b/versions?normalize=true&x=%2F', body],
  )
  assert.deepEqual(
    ['content-type', 'x-request-id', 'x-forward'].map((name) => first?.headers[name]),
    [headers['content-type'], 'r-1', 'true'],
  )
  checkRefused(await node.calls.delete('/subjects/a'), 42298)
  assert.deepEqual([asked[1]?.method, asked[1]?.url, asked[1]?.body], ['DELETE', '/subjects/a', ''])
  checkRefused(await node.calls.delete('/subjects/%2e%2e'), 400)
  assert.equal(asked.length, 2)
})

test('a writer that does not answer is 50002', async (t) => {
  const { node, clock, asked } = await givenForeignWriter(t, () => {})
  const waiting = node.calls.post('/subjects/a/versions', { schema: '"int"' })
  while (asked.length === 0) await delay(1)
  clock.advance(30_000)
  checkLater(await waiting, 50002)
})

test('a writer that cannot be reached is 50003, one that nobody knows 50004', async (t) => {
  const { node, clock, foreign } = await givenForeignWriter(t, () => {})
  foreign.close()
  checkLater(await node.calls.post('/subjects/a/versions', { schema: '"int"' }), 50003)
  node.view.isCut = true
  clock.advance(10_000)
  const waiting = node.calls.put('/config', { compatibility: 'NONE' })
  await delay(20)
  clock.advance(5_000)
  checkLater(await waiting, 50004)
})

for (const [how, end] of [
  ['is closed', (node: TestNode) => node.server.close()],
  [
    'is not heard any more',
    (node: TestNode) => {
      node.view.isCut = true
    },
  ],
] as const) {
  test(`another takes over when the one that writes ${how}`, async (t) => {
    const clock = new FakeClock()
    const { engine, nodes } = await startNodes(t, 3, clock)
    const [first, ...others] = nodes as [TestNode, TestNode, TestNode]
    await others[0]?.calls.register('a', text(0))
    const ended = end(first)
    for (let passedMs = 0; passedMs < 10_000; passedMs += 500) {
      clock.advance(500)
      await delay(2)
    }
    await ended
    const [next] = await settled(others)
    assert.ok(next !== undefined && (await isWriter(next)), 'within a session')
    for (const [at, { calls }] of others.entries()) {
      assert.equal((await calls.register(`b${at}`, text(at + 1))).id, at + 2)
    }
    const claims = (await rowsOf(engine)).filter(({ key }) => JSON.parse(key).keytype === 'NOOP')
    assert.deepEqual(
      claims.map(({ author }) => author?.claim),
      [1, 2],
    )
  })
}

test('alone on its engine a node chooses nobody: there is no group, and it writes', async (t) => {
  const server = await startServer(t)
  await new RegistryCalls(server).register('a', text(0))
  assert.deepEqual((await server.get('/v1/groups')).json().items, [])
  assert.match((await server.get('/metrics')).text(), /^tailrace_schema_registry_writer 1$/m)
})
