// What a page somewhere in the web may do to a server that its reader's browser can reach: nothing but ask, without being
// told. The requests are those that browsers send without asking first.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'

const EVIL = 'https://evil.example'

const WRITES = [
  ['POST', '/v1/topics', { name: 'made' }],
  ['POST', '/v1/topics/t/records', { records: [{ value: 1 }] }],
  ['POST', '/v1/topics/t/import', '{"value":1}\n'],
  ['POST', '/v1/hooks/t', 'anything'],
  ['PUT', '/v1/hooks/t', 'anything'],
  ['DELETE', '/v1/topics/t', undefined],
  ['POST', '/v1/groups/g/poll', { topics: ['t'] }],
  ['POST', '/topics/t', { records: [{ value: 1 }] }],
  ['POST', '/consumers/g', {}],
] as const

test('a page of another origin writes nothing, by whatever way, and is told why', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  for (const origin of [EVIL, 'null']) {
    for (const [method, path, body] of WRITES) {
      const sent =
        body === undefined ? {} : { body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)) }
      const reply = await server.request(method, path, { headers: { origin }, ...sent })
      assert.equal(reply.status, 403, `${method} ${path}: ${reply.text()}`)
      assert.match(reply.text(), /access\.control\.allow\.origin/)
    }
  }
  assert.ok(!(await server.get('/v1/topics', { origin: EVIL })).text().includes('made'))
  assert.deepEqual((await server.get('/v1/topics/t/records?from=earliest')).json().records, [])
})

test('own pages write, those that are allowed, and who is no page', async (t) => {
  const server = await startServer(t, { set: { 'access.control.allow.origin': 'https://app.example' } })
  for (const headers of [{}, { origin: server.url }, { origin: 'https://app.example', host: 'proxy.example' }]) {
    const reply = await server.request('POST', '/v1/hooks/t', { headers, body: 'x' })
    assert.equal(reply.status, 200, reply.text())
  }
})

test('a page that came by a name which is none of this machine gets nothing from a server that listens there alone', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const rebound = { host: 'evil.example:8082', origin: 'http://evil.example:8082' }
  assert.equal((await server.request('POST', '/v1/hooks/t', { headers: rebound, body: 'x' })).status, 403)
  assert.equal((await server.get('/v1/topics', rebound)).status, 403)
  const fetched = { host: 'evil.example', 'sec-fetch-site': 'same-origin' }
  const refused = await server.get('/v1/topics', fetched)
  assert.equal(refused.status, 403)
  assert.match(refused.text(), /evil\.example.*advertised\.listeners/)
  for (const host of ['localhost:8082', 'LOCALHOST', 'app.localhost', '127.0.0.1', '[::1]:8082', '10.0.0.7:80']) {
    assert.equal((await server.get('/v1/topics', { host, 'sec-fetch-site': 'same-origin' })).status, 200, host)
  }
  // by plain HTTP a browser tells nothing of what a page asks of its own origin
  for (const path of ['/v1/topics', '/v1/topics/t/events?from=-1', '/metrics', '/topics', '/subjects']) {
    assert.equal((await server.get(path, { host: 'evil.example' })).status, 403, path)
  }

  const outside = await startServer(t, { set: { 'advertised.listeners': 'http://events.example:80' } })
  assert.equal((await outside.get('/v1/topics', { ...fetched, host: 'events.example' })).status, 200)
  const named = await startServer(t, { set: { 'access.control.allow.origin': 'http://events.example:8000' } })
  assert.equal((await named.get('/v1/topics', { host: 'events.example:8000' })).status, 200, 'a proxy passes it on')
  assert.equal((await named.get('/v1/topics', { host: 'events.example' })).status, 403)
})
