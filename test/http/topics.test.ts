import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { startServer } from '../support/http.ts'

test('a topic is created, described, listed, grown, configured and deleted', async (t) => {
  const server = await startServer(t)
  const configs = { 'retention.ms': '604800000' }
  const created = await server.post('/v1/topics', { name: 'orders', partitions: 2, configs })
  assert.equal(created.status, 201)
  assert.equal(created.headers['location'], '/v1/topics/orders')
  assert.equal(created.json().partitions.length, 2)
  const retention = created.json().configs.find(({ name }: { name: string }) => name === 'retention.ms')
  assert.deepEqual(retention, {
    name: 'retention.ms',
    value: '604800000',
    source: 'DYNAMIC_TOPIC_CONFIG',
    default: '604800000',
  })
  assert.deepEqual((await server.get('/v1/topics/orders')).json(), created.json())
  assert.deepEqual((await server.get('/v1/topics/orders/')).json(), created.json(), 'a trailing slash changes nothing')

  const listed = await server.get('/v1/topics')
  assert.deepEqual(listed.json(), {
    items: [{ name: 'orders', id: created.json().id, partition_count: 2, internal: false }],
    next_cursor: null,
  })

  const changes = { partitions: 3, configs: { 'retention.ms': null, 'cleanup.policy': 'compact' } }
  const changed = await server.request('PATCH', '/v1/topics/orders', { body: changes })
  assert.equal(changed.status, 200)
  assert.equal(changed.json().partitions.length, 3)
  const policy = changed.json().configs.find(({ name }: { name: string }) => name === 'cleanup.policy')
  assert.equal(policy.value, 'compact')
  assert.equal((await server.request('PATCH', '/v1/topics/orders', { body: { partitions: 2 } })).status, 400)

  assert.equal((await server.request('DELETE', '/v1/topics/orders')).status, 204)
  assert.equal((await server.get('/v1/topics/orders')).json().code, 'unknown_topic_or_partition')
  assert.equal((await server.request('DELETE', '/v1/topics/orders')).status, 404)
})

test('a long list of topics comes in pages, and a foreign cursor is refused', async (t) => {
  const server = await startServer(t)
  for (const name of ['c', 'a', 'b']) await server.post('/v1/topics', { name })
  const first = (await server.get('/v1/topics?limit=2')).json()
  assert.deepEqual(
    first.items.map(({ name }: { name: string }) => name),
    ['a', 'b'],
  )
  const second = (await server.get(`/v1/topics?limit=2&cursor=${first.next_cursor}`)).json()
  assert.deepEqual(
    second.items.map(({ name }: { name: string }) => name),
    ['c'],
  )
  assert.equal(second.next_cursor, null)
  assert.equal((await server.get('/v1/topics?cursor=%21')).json().code, 'invalid_cursor')
})

test('what a topic cannot be is refused, and nothing is made', async (t) => {
  const server = await startServer(t)
  const refused: [body: unknown, code: string][] = [
    [{ name: 'a/b' }, 'invalid_topic_exception'],
    [{ name: '..' }, 'invalid_topic_exception'],
    [{ name: 'x'.repeat(250) }, 'invalid_topic_exception'],
    [{ name: 'nul\u0000' }, 'invalid_topic_exception'],
    [{ name: 'a', partitions: 0 }, 'invalid_partitions'],
    [{ name: 'a', partitions: 1.5 }, 'invalid_request'],
    [{ name: 'a', partitions: 1e9 }, 'invalid_partitions'],
    [{ name: 'a', replication_factor: 3 }, 'invalid_replication_factor'],
    [{ name: 'a', configs: { 'retention.msx': '1' } }, 'invalid_config'],
    [{ name: 'a', configs: { 'retention.ms': 1 } }, 'invalid_request'],
    [{ name: '__internal' }, 'topic_authorization_failed'],
    [{ name: 'a', partition: 3 }, 'invalid_request'],
    [[], 'invalid_request'],
    ['{"name":"a","__proto__":{"partitions":3}}', 'invalid_request'],
    ['{"name":"a","\\u005f_proto__":{"partitions":3}}', 'invalid_request'],
    ['{"name":"a"', 'invalid_request'],
    [`{"name":${'['.repeat(50_000)}`, 'invalid_request'],
    ['', 'invalid_request'],
    [Buffer.from([0x22, 0xff, 0x22]), 'invalid_request'],
  ]
  for (const [body, code] of refused) {
    const reply = await server.post('/v1/topics', body as string)
    assert.equal(reply.json().code, code, JSON.stringify(body).slice(0, 100))
  }
  assert.deepEqual((await server.get('/v1/topics?internal=true')).json().items, [])
})

test('an unknown member is refused with the one that was meant', async (t) => {
  const server = await startServer(t)
  const reply = await server.post('/v1/topics', { name: 'a', partitons: 3 })
  assert.equal(reply.status, 400)
  assert.match(reply.json().detail, /partitons.*did you mean partitions\?/)
})

test('a name that no topic can have is refused wherever it stands in a path', async (t) => {
  const server = await startServer(t)
  const names = ['..', '.', '%2e%2e', 'a%2Fb', 'a%00b', '%20', 'x'.repeat(250), '%F0%9F%98%80']
  for (const name of names) {
    for (const [method, rest] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/records'],
      ['POST', '/import'],
    ] as const) {
      const type = rest === '/import' ? 'application/x-ndjson' : 'application/json'
      const body = method === 'POST' ? { body: '{"records":[{"value":1}]}', headers: { 'content-type': type } } : {}
      const reply = await server.request(method, `/v1/topics/${name}${rest}`, body)
      assert.equal(reply.status, 400, `${method} ${name}${rest} ${reply.text()}`)
      assert.equal(reply.json().code, 'invalid_topic_exception')
    }
  }
})

test('a body that no topic needs is refused before it is parsed', async (t) => {
  const server = await startServer(t)
  const numbers = `{"name":"t","configs":[${'0,'.repeat(40_000)}0]}`
  const reply = await server.post('/v1/topics', numbers)
  assert.equal(reply.status, 413, reply.text())
  assert.deepEqual(reply.json().details, { limit: 65_536 })
  const changes = await server.request('PATCH', '/v1/topics/t', {
    body: gzipSync(numbers),
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  })
  assert.equal(changes.status, 413, changes.text())
})

test('a change that changes nothing is refused', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const reply = await server.request('PATCH', '/v1/topics/t', { body: {} })
  assert.equal(reply.status, 400)
  assert.match(reply.json().detail, /nothing to change/)
})

test('a setting that is no string is told how it would be one', async (t) => {
  const server = await startServer(t)
  const reply = await server.post('/v1/topics', { name: 't', configs: { 'retention.ms': 5 } })
  assert.equal(reply.status, 400)
  assert.match(reply.json().detail, /\/configs\/retention\.ms must be string: write "5"/)
})
