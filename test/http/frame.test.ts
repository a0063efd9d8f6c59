// What holds for every request, whatever its route: ids, methods, media types, the parser's refusals, the drain.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { UnansweredRequests } from '../../src/http/unanswered-requests.ts'
import { CONNECTION_REQUESTS_MAX, REQUESTS_WAITING_MAX } from '../../src/kernel/limits.ts'
import { startServer } from '../support/http.ts'

test('a safe X-Request-Id is echoed, another is replaced by one of our own', async (t) => {
  const server = await startServer(t)
  const ids = [
    ['abc-123', 'abc-123'],
    ['x'.repeat(128), 'x'.repeat(128)],
    ['x'.repeat(129), undefined],
    ['a b', undefined],
    ['<script>', undefined],
  ] as const
  for (const path of ['/v1/cluster', '/v1/topics/nothing', '/nothing', '/livez']) {
    for (const [given, expected] of ids) {
      const reply = await server.get(path, { 'x-request-id': given })
      if (expected !== undefined) assert.equal(reply.headers['x-request-id'], expected)
      else
        assert.match(
          String(reply.headers['x-request-id']),
          /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        )
    }
  }
  const produced = await server.post('/v1/topics/t/records', { records: [{ value: 1 }] }, { 'x-request-id': 'mine' })
  assert.equal(produced.headers['x-request-id'], 'mine')
  const replies = await Promise.all(Array.from({ length: 100 }, () => server.get('/v1/cluster')))
  assert.equal(new Set(replies.map(({ headers }) => headers['x-request-id'])).size, 100)
})

test('an unknown path is 404, a wrong method 405 with those that are right, OPTIONS tells them too', async (t) => {
  const server = await startServer(t)
  for (const path of ['/v1/nothing', '/nothing', '/v1', '/v1/topics/a/b/c']) {
    const reply = await server.request('POST', path, { body: 'not json' })
    assert.equal(reply.status, 404, path)
    assert.equal(reply.json().code, 'route_not_found')
  }
  for (const path of ['/v1/subjects', '/v1/schemas', '/v1/schemas/ids/1']) {
    const { detail } = (await server.get(path)).json()
    assert.equal(
      detail,
      `there is nothing at GET ${path}; the schema registry is at /subjects and /schemas, without /v1`,
    )
  }
  const wrong = await server.request('PUT', '/v1/topics/orders', { body: '{}' })
  assert.equal(wrong.status, 405)
  assert.equal(wrong.json().code, 'method_not_allowed')
  assert.equal(wrong.headers['allow'], 'DELETE, GET, HEAD, OPTIONS, PATCH')
  assert.equal((await server.request('PROPFIND', '/v1/topics')).status, 405)
  const options = await server.request('OPTIONS', '/v1/topics')
  assert.equal(options.status, 204)
  assert.equal(options.headers['allow'], 'GET, HEAD, OPTIONS, POST')
})

test('HEAD answers as GET does, without the body', async (t) => {
  const server = await startServer(t)
  const got = await server.get('/v1/topics')
  const head = await server.request('HEAD', '/v1/topics')
  assert.equal(head.status, 200)
  assert.equal(head.headers['content-length'], String(got.body.length))
  assert.equal((await server.request('HEAD', '/v1/topics/none')).status, 404)
})

test('media types: what is sent must be JSON, what is wanted must include it', async (t) => {
  const server = await startServer(t)
  const create = (headers: Record<string, string>) => server.post('/v1/topics', '{"name":"a"}', headers)
  const produce = (headers: Record<string, string>) =>
    server.post('/v1/topics/b/records', '{"records":[{"value":1}]}', headers)
  for (const post of [create, produce]) {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/json; charset=latin1',
      'nonsense',
    ]) {
      const reply = await post({ 'content-type': type })
      assert.equal(reply.status, 415, type)
      assert.equal(reply.json().code, 'unsupported_media_type')
    }
    for (const accept of ['text/html', 'application/json;q=0', 'text/*, application/json;q=0, */*']) {
      assert.equal((await post({ accept })).status, 406, accept)
    }
  }
  assert.deepEqual((await server.get('/v1/topics')).json().items, [])
  for (const accept of ['*/*', 'application/*', 'text/html, application/json;q=0.1', '']) {
    assert.equal((await produce({ accept, 'content-type': 'Application/JSON; charset="UTF-8"' })).status, 200, accept)
  }
})

test('a body over the limit is 413, also when gzip or zstd hides it, and the connection stays usable', async (t) => {
  const server = await startServer(t, { set: { 'socket.request.max.bytes': '50000' } })
  const large = Buffer.alloc(10_000_000, 0x20)
  for (const path of ['/v1/topics', '/v1/topics/a/records']) {
    assert.equal((await server.post(path, large)).status, 413)
    const bomb = await server.post(path, gzipSync(large), { 'content-encoding': 'gzip' })
    assert.equal(bomb.status, 413)
    assert.equal((await server.post(path, zstdCompressSync(large), { 'content-encoding': 'zstd' })).status, 413)
    assert.deepEqual(bomb.json().details, { limit: 50_000 })
    assert.equal((await server.post(path, large.subarray(0, 100), { 'content-encoding': 'gzip' })).status, 400)
    assert.equal((await server.post(path, '{}', { 'content-encoding': 'br' })).status, 415)
  }
  const body = gzipSync('{"name":"squeezed"}')
  assert.equal((await server.post('/v1/topics', body, { 'content-encoding': 'gzip' })).status, 201)
  const zstd = zstdCompressSync('{"records":[{"value":1}]}')
  assert.equal((await server.post('/v1/topics/squeezed/records', zstd, { 'content-encoding': 'zstd' })).status, 200)
})

test('what is no HTTP gets a problem and the end of its connection', async (t) => {
  const server = await startServer(t)
  const garbage = await server.raw('NOT HTTP AT ALL\r\n\r\n')
  assert.match(garbage, /^HTTP\/1\.1 400 /)
  assert.match(garbage, /content-type: application\/problem\+json/)
  assert.match(garbage, /"code":"invalid_request"/)
  const long = await server.raw(`GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: ${'y'.repeat(20_000)}\r\n\r\n`)
  assert.match(long, /^HTTP\/1\.1 431 /)
  const smuggled = await server.raw(
    'POST /v1/topics HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  )
  assert.match(smuggled, /^HTTP\/1\.1 400 /)
})

test('what is no HTTP is refused behind the replies of what came before it', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'before' })
  const produce = (value: number) => {
    const body = `{"records":[{"value":${value}}]}`
    return `POST /v1/topics/before/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  }
  const statusesOf = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
  assert.deepEqual(statusesOf(await server.raw(`${produce(1)}garbage\r\n\r\n`)), ['200', '400'])
  const large = `GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: ${'y'.repeat(20_000)}\r\n\r\n`
  assert.deepEqual(statusesOf(await server.raw(produce(2) + produce(3) + large)), ['200', '200', '431'])
  // a body that cannot be read belongs to a request that has asked for nothing yet
  const unreadable =
    'POST /v1/topics/before/records HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'
  assert.deepEqual(statusesOf(await server.raw(unreadable)), ['400'])
  assert.deepEqual(statusesOf(await server.raw(produce(4) + unreadable)), ['200', '400'])
  const stored = (await server.get('/v1/topics/before/records?from=earliest')).json().records
  assert.deepEqual(
    stored.map(({ value }: { value: number }) => value),
    [1, 2, 3, 4],
  )
})

test('a client that sends many requests at once has some worked on, and all answered', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'queue' })
  await server.post('/v1/topics/queue/records', { records: [{ value: 'x'.repeat(50_000) }] })
  const polls = Array.from({ length: 300 }, (_, at) => {
    const wait = at === 0 ? 'from=latest&wait_ms=20000' : 'from=earliest'
    return `GET /v1/topics/queue/records?${wait} HTTP/1.1\r\nhost: localhost\r\n\r\n`
  })
  const replies = server.raw(polls.join(''), { endAfterReplies: 300 })
  const metric = async () => {
    const text = (await server.get('/metrics')).text()
    return Number(/^tailrace_fetch_requests_total (\S+)/m.exec(text)?.[1])
  }
  let before = -1
  for (let now = await metric(); now !== before || now === 0; now = await metric()) {
    before = now
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.ok(before <= CONNECTION_REQUESTS_MAX, `${before} reads`)
  await server.post('/v1/topics/queue/records', { records: [{ value: 'y' }] })
  assert.equal([...(await replies).matchAll(/HTTP\/1\.1 200/g)].length, 300)
})

test('behind what waits on a connection nothing more is read, whatever bodies are', async (t) => {
  const unanswered = new UnansweredRequests()
  let seen = 0
  const first = Promise.withResolvers<void>()
  const server = createServer((request, response) => {
    const at = seen++
    unanswered.takeTurn(request, () => {
      request.resume().on('end', () => {
        if (at > 0) response.end('x')
        else first.promise.then(() => response.end('x'), assert.ifError)
      })
    })
  })
  unanswered.watch(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.after(() => {
    socket.destroy()
    server.close()
  })
  let replies = 0
  socket.setEncoding('latin1').on('data', (text: string) => {
    replies += text.split('HTTP/1.1 200').length - 1
  })
  const count = 5_000
  socket.write(`POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n${'x'.repeat(50)}`.repeat(count))
  for (let before = -1; seen === 0 || before !== seen; ) {
    before = seen
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.ok(seen < 1_500, `${seen} requests`)
  first.resolve()
  while (replies < count) await once(socket, 'data')
  assert.equal(seen, count)
})

test('a connection that brings more requests than may wait over all is ended, and when the others are gone there is room', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'queue' })
  const poll = 'GET /v1/topics/queue/records?from=latest&wait_ms=3000&key=k HTTP/1.1\r\nhost: localhost\r\n\r\n'
  const sockets = Array.from({ length: Math.ceil(REQUESTS_WAITING_MAX / 500) + 1 }, () => {
    const socket = connect(server.port, '127.0.0.1').on('error', () => {})
    t.after(() => socket.destroy())
    socket.write(poll.repeat(600))
    return socket
  })
  await Promise.race(sockets.map((socket) => once(socket, 'close')))
  assert.equal((await server.get('/livez')).status, 200, 'who does not wait for others of its connection is answered')
  for (const socket of sockets) socket.destroy()

  const count = CONNECTION_REQUESTS_MAX * 20
  const pipelined = 'GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(count)
  const areServed = async () => (await server.raw(pipelined, { endAfterReplies: count })).split('200 OK').length > count
  // a server that reads nothing more of a connection does not see at once that it is gone
  while (!(await areServed().catch(() => false))) await delay(100)
})

test('malformed percent-encoding in a path is 400', async (t) => {
  const server = await startServer(t)
  for (const path of ['/v1/topics/%', '/v1/topics/%zz/records', '/v1/topics/%C0%AF', '/%']) {
    const reply = await server.get(path)
    assert.equal(reply.status, 400, path)
    assert.equal(reply.json().code, 'invalid_request')
  }
})

test('an unknown or repeated query parameter is refused, never overlooked', async (t) => {
  const server = await startServer(t)
  const unknown = await server.get('/v1/topics?limt=3')
  assert.equal(unknown.status, 400)
  assert.match(unknown.json().detail, /did you mean limit\?/)
  for (const query of ['limit=1&limit=2', 'limit=0', 'limit=1.5', 'limit=1e3', 'limit=', 'internal=yes']) {
    assert.equal((await server.get(`/v1/topics?${query}`)).status, 400, query)
  }
})

test('a body that does not come in time is 408, and one that is cut leaves nothing behind', async (t) => {
  const server = await startServer(t, { set: { 'http.request.timeout.ms': '300' } })
  const head = (path: string) =>
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n`
  for (const path of ['/v1/topics', '/v1/topics/slow/records']) {
    const reply = await server.raw(`${head(path)}{"records":[{"value":1}`)
    assert.match(reply, /^HTTP\/1\.1 408 /)
    assert.match(reply, /"code":"request_timed_out"/)
    assert.equal(await server.raw(`${head(path)}{"records":[{"value":1}`, { hangUpAfterMs: 50 }), '')
  }
  assert.deepEqual((await server.get('/v1/topics')).json().items, [])
  assert.deepEqual(
    server.log.filter(({ level }) => level === 'error'),
    [],
  )
})

test('requests on one connection are answered in their order, pipelined too', async (t) => {
  const server = await startServer(t)
  const body = '{"records":[{"value":1}]}'
  const one = `POST /v1/topics/piped/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  const last = 'GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n'
  const replies = await server.raw(`${one.repeat(5)}${last}`)
  const offsets = [...replies.matchAll(/"offset":(\d+)/g)].map(([, offset]) => Number(offset))
  assert.deepEqual(offsets, [0, 1, 2, 3, 4])
})

test('close finishes what is under way, then lets go of the data directory', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'a' })
  const waiting = server.get('/v1/topics/a/records?from=latest&wait_ms=30000')
  const posts = Array.from({ length: 50 }, (_, at) => server.post('/v1/topics/a/records', { records: [{ value: at }] }))
  await Promise.all(posts.slice(0, 1))
  const start = performance.now()
  const closed = server.close()
  assert.equal((await waiting).status, 200)
  const answered = (await Promise.allSettled(posts)).flatMap((result) =>
    result.status === 'fulfilled' ? [result.value] : [],
  )
  await closed
  assert.ok(performance.now() - start < 10_000, 'a long poll is not waited for')
  for (const reply of answered) assert.equal(reply.status, 200, reply.text())
  const again = await startServer(t, { dataDir: server.dataDir })
  const kept = (await again.get('/v1/topics/a/records?limit=100')).json().records.length
  assert.ok(kept >= answered.length)
})

test('a stop waits until the replies that were sent have arrived, also where their clients are slow', async (t) => {
  const server = await startServer(t)
  const records = Array.from({ length: 10 }, () => ({ value: 'x'.repeat(1_000_000) }))
  await server.post('/v1/topics', { name: 'large' })
  for (let at = 0; at < 3; at++) assert.equal((await server.post('/v1/topics/large/records', { records })).status, 200)
  const socket = connect(server.port, '127.0.0.1').on('error', () => {})
  t.after(() => socket.destroy())
  socket.write('GET /v1/topics/large/records?limit=30&max_bytes=64000000 HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await once(socket, 'readable')
  const closed = server.close()
  await delay(300)
  let text = ''
  for await (const bytes of socket.setEncoding('latin1')) text += bytes
  assert.equal(text.split('"offset":').length - 1, 30)
  await closed
})

test('a produce that is under way when the server stops lets its connection go', async (t) => {
  for (const [path, type] of [
    ['/v1/topics/a/records', 'application/json'],
    ['/topics/a', 'application/vnd.kafka.json.v2+json'],
  ] as const) {
    const server = await startServer(t)
    await server.post('/v1/topics', { name: 'a' })
    const body = '{"records":[{"value":1}]}'
    const socket = connect(server.port, '127.0.0.1')
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n`,
    )
    await server.get('/livez')
    const closed = server.close()
    socket.write(body)
    let reply = ''
    for await (const chunk of socket) reply += chunk
    assert.match(reply, /^HTTP\/1.1 200 /, path)
    assert.match(reply, /\r\nconnection: close\r\n/i, path)
    await closed
  }
})
