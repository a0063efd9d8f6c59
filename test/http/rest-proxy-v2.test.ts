// The REST Proxy v2 API beside produce and records: root, metadata, media types, and how it fails.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { checkFailure, checkForm, postJson, V2, V2_BINARY, V2_JSON } from '../support/rest-proxy-v2.ts'

const ROUTED = ['/', '/brokers', '/topics', '/topics/t', '/topics/t/partitions', '/topics/t/partitions/0']
const OFFSETS = '/topics/t/partitions/0/offsets'

async function startWithTopic(t: Parameters<typeof startServer>[0]): Promise<TestServer> {
  const server = await startServer(t, { set: { 'num.partitions': '2' } })
  const made = await server.post('/v1/topics', { name: 't', configs: { 'retention.ms': '604800000' } })
  assert.equal(made.status, 201)
  return server
}

test('the root answers GET and POST with an empty object', async (t) => {
  const server = await startServer(t)
  const got = await server.get('/')
  assert.equal(got.status, 200)
  assert.equal(got.text(), '{}\n')
  assert.equal(got.headers['content-type'], V2)
  for (const body of ['{}', '{"any":{"thing":[1]}}', '']) {
    assert.equal((await server.post('/', body, { 'content-type': V2 })).text(), '{}\n')
  }
  assert.equal((await server.get('/', { accept: 'text/plain' })).status, 406)
  checkFailure(
    await server.post('/', '{}', { 'content-type': 'text/plain' }),
    415,
    /^HTTP 415 Unsupported Media Type: .*; allowed are application\/vnd\.kafka\./,
  )
  for (const body of ['{"a":', '[1]', 'nonsense', '1']) checkFailure(await server.post('/', body), 400)
})

test('a browser is shown a page at /; every client of the API gets the API', async (t) => {
  const server = await startServer(t)
  const firefox = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
  const browsers = [firefox, `${firefox},image/avif,image/webp`]
  for (const accept of browsers) {
    const page = await server.get('/', { accept })
    assert.deepEqual([page.status, page.headers['content-type']], [200, 'text/html; charset=utf-8'])
    assert.equal(page.headers['vary'], 'Accept')
    for (const [, path] of page.text().matchAll(/href="([^"]+)"/g)) {
      assert.equal((await server.get(path as string, { accept: '*/*' })).status, 200, path)
    }
  }
  for (const accept of ['*/*', V2, 'application/json', `${V2}, text/html`, 'text/html, */*', 'text/*']) {
    assert.notEqual((await server.get('/', { accept })).headers['content-type'], 'text/html; charset=utf-8', accept)
  }
})

test('brokers are a list of numbers, topics a list of names without the internal ones', async (t) => {
  const server = await startWithTopic(t)
  assert.equal((await server.get('/brokers')).text(), '{"brokers":[1]}\n')
  assert.equal((await server.get('/topics')).text(), '["t"]\n')
  await server.post('/v1/topics', { name: 'a.b_c-D' })
  assert.deepEqual((await server.get('/topics/')).json(), ['a.b_c-D', 't'])
})

test('a topic has its configs as strings and its partitions with their replicas', async (t) => {
  const server = await startWithTopic(t)
  const replicas = [{ broker: 1, leader: true, in_sync: true }]
  const partitions = [
    { partition: 0, leader: 1, replicas },
    { partition: 1, leader: 1, replicas },
  ]
  const topic = (await server.get('/topics/t')).json()
  assert.deepEqual(Object.keys(topic), ['name', 'configs', 'partitions'])
  assert.equal(topic.name, 't')
  assert.deepEqual(topic.partitions, partitions)
  assert.equal(topic.configs['cleanup.policy'], 'delete')
  assert.equal(topic.configs['retention.ms'], '604800000')
  assert.equal(topic.configs['max.message.bytes'], '16777216')
  const described = (await server.get('/v1/topics/t')).json().configs as { name: string }[]
  assert.deepEqual(Object.keys(topic.configs).sort(), described.map(({ name }) => name).sort())
  assert.ok(Object.values(topic.configs).every((value) => typeof value === 'string'))
  assert.deepEqual((await server.get('/topics/t/partitions')).json(), partitions)
  assert.deepEqual((await server.get('/topics/t/partitions/1')).json(), partitions[1])
})

test('offsets are the beginning and the next to be written', async (t) => {
  const server = await startWithTopic(t)
  assert.equal((await server.get(OFFSETS)).text(), '{"beginning_offset":0,"end_offset":0}\n')
  await postJson(server, '/topics/t/partitions/0', '{"records":[{"value":1},{"value":2},{"value":3}]}')
  await server.request('DELETE', '/v1/topics/t/partitions/0/records?before=1')
  assert.equal((await server.get(`${OFFSETS}/`)).text(), '{"beginning_offset":1,"end_offset":3}\n')
})

test('what is not there is 404 with the number that says what', async (t) => {
  const server = await startWithTopic(t)
  for (const path of [
    '/topics/no',
    '/topics/no/partitions',
    '/topics/no/partitions/0',
    '/topics/no/partitions/0/offsets',
  ]) {
    checkFailure(await server.get(path), 40403, 'This server does not host this topic-partition.')
  }
  for (const partition of ['2', '-1', '2147483647']) {
    for (const path of [`/topics/t/partitions/${partition}`, `/topics/t/partitions/${partition}/offsets`]) {
      const reply = await server.get(path)
      checkFailure(reply, 40402, 'Partition not found.')
      assert.equal(reply.headers['content-type'], V2)
    }
  }
  for (const partition of ['x', '1.5', '0x1', '1e0', '2147483648', '99999999999999999999', '%00']) {
    checkFailure(await server.get(`/topics/t/partitions/${partition}`), 404, 'HTTP 404 Not Found')
  }
  for (const name of ['%2e%2e', '%2F', 'a%00b', '%C3%A4', 'x'.repeat(250)]) {
    checkFailure(await server.get(`/topics/${name}`), 40002, /topic name/)
  }
})

test('media types: q-values, wildcards, none, and the names of older days', async (t) => {
  const server = await startWithTopic(t)
  const accepted = [
    undefined,
    '',
    '*/*',
    'application/*',
    V2,
    `${V2}; q=0.5`,
    'application/json',
    'text/html, application/json;q=0.1',
    'application/vnd.kafka.v1+json, application/vnd.kafka+json; q=0.9, application/json; q=0.8',
    'Application/VND.kafka.V2+JSON',
  ]
  const refused = ['text/html', `${V2};q=0`, '*/*;q=0', 'text/*', V2_BINARY, 'application/*;q=0, text/html', 'nonsense']
  for (const path of [...ROUTED, OFFSETS]) {
    for (const accept of accepted) {
      const reply = await server.get(path, accept === undefined ? {} : { accept })
      assert.equal(reply.status, 200, `${path} ${accept}`)
      assert.equal(reply.headers['content-type'], V2)
    }
    for (const accept of refused) {
      const reply = await server.get(path, { accept })
      assert.equal(reply.status, 406, `${path} ${accept}`)
      checkForm(reply)
    }
  }
})

test('a wrong Content-Type is 415, in the type that the client likes best', async (t) => {
  const server = await startWithTopic(t)
  const body = '{"records":[{"value":1}]}'
  const unsupported = [
    'application/json',
    V2,
    'text/plain',
    `${V2_JSON}; charset=latin1`,
    'nonsense',
    '',
    'application/vnd.kafka.xml.v2+json',
  ]
  for (const type of unsupported) {
    const reply = await server.post('/topics/t', body, { 'content-type': type })
    checkFailure(reply, 415, /^HTTP 415 Unsupported Media Type: .*; allowed are application\/vnd\.kafka\./)
    assert.equal(reply.headers['content-type'], 'application/json')
  }
  const other = await server.post('/topics/t', body, { 'content-type': 'text/plain', accept: `${V2}, */*;q=0.1` })
  assert.equal(other.headers['content-type'], V2)
  const charsets = [`${V2_JSON}; charset=utf-8`, `${V2_JSON};charset="UTF-8"`, 'Application/vnd.Kafka.JSON.v2+json']
  for (const type of charsets) {
    assert.equal((await server.post('/topics/t', body, { 'content-type': type })).status, 200, type)
  }
})

test('HEAD answers as GET without the body, OPTIONS with 200 and the methods', async (t) => {
  const server = await startWithTopic(t)
  for (const path of [...ROUTED, OFFSETS, '/topics/t/partitions/0/records']) {
    const options = await server.request('OPTIONS', path)
    assert.equal(options.status, 200, path)
    assert.match(String(options.headers['allow']), /GET, HEAD, OPTIONS/)
    const wrong = await server.request('DELETE', path)
    checkFailure(wrong, 405, 'HTTP 405 Method Not Allowed')
    assert.equal(wrong.headers['allow'], options.headers['allow'])
    if (path.endsWith('records')) continue
    const head = await server.request('HEAD', path)
    assert.equal(head.status, 200, path)
    assert.equal(head.headers['content-length'], (await server.get(path)).headers['content-length'])
  }
  assert.equal((await server.request('OPTIONS', '/topics/t')).headers['allow'], 'GET, HEAD, OPTIONS, POST')
})

test('what the frame refuses has the form of the API below its paths, and not elsewhere', async (t) => {
  const server = await startServer(t, { set: { 'socket.request.max.bytes': '100000' } })
  for (const path of [
    '/topics/t/nothing',
    '/topics/t/partitions/0/messages',
    '/brokers/1',
    '/consumers',
    '/consumers/g/no',
  ]) {
    checkFailure(await server.get(path), 404, 'HTTP 404 Not Found')
  }
  checkFailure(await server.get('/topics/%'), 400)
  checkFailure(await server.get('/topics/%zz/partitions'), 400)
  const large = `{"records":[{"value":"${'x'.repeat(200_000)}"}]}`
  checkFailure(await postJson(server, '/topics/t', large), 413)
  const encoded = { 'content-type': V2_JSON, 'content-encoding': 'br' }
  checkFailure(await server.post('/topics/t', '{}', encoded), 415)
  checkFailure(await server.post('/topics/t', 'no gzip', { ...encoded, 'content-encoding': 'gzip' }), 400)
  for (const path of ['/v1/nothing', '/nothing', '/v1', '/v1/topics/t/nothing']) {
    assert.equal((await server.get(path)).headers['content-type'], 'application/problem+json', path)
  }
})
