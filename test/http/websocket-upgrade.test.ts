// The way to a WebSocket: which requests become one, and how the others are refused. What is refused stays ordinary HTTP.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { isAllowedOrigin } from '../../src/http/origin.ts'
import { startServer } from '../support/http.ts'
import { openSocket } from '../support/ws-client.ts'

const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  'sec-websocket-protocol': 'events.v1.json',
}

function head(version: string, more = ''): string {
  const headers = Object.entries(UPGRADE).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET /v1/ws HTTP/${version}\r\nhost: localhost\r\n${headers.join('')}${more}\r\n`
}

test('a request that may not become a WebSocket is refused by a problem that says why', async (t) => {
  const server = await startServer(t)
  const refused = async (headers: Record<string, string>, path = '/v1/ws') => {
    const reply = await server.get(path, headers)
    const problem = JSON.parse(String(reply.body)) as { code: string; detail: string; details?: { allowed?: unknown } }
    return { status: reply.status, ...problem, headers: reply.headers }
  }
  const without = (name: keyof typeof UPGRADE) => {
    const { [name]: _left, ...rest } = UPGRADE
    return rest
  }

  const plain = await refused({})
  assert.deepEqual([plain.status, plain.code], [426, 'upgrade_required'])
  assert.equal(plain.headers['upgrade'], 'websocket')
  assert.equal(plain.headers['connection'], 'upgrade, close', 'the client said that it comes no more')

  const wrong = await refused({ ...UPGRADE, 'sec-websocket-protocol': 'events.v2.json, mqtt' })
  assert.deepEqual([wrong.status, wrong.code], [400, 'invalid_request'])
  assert.match(wrong.detail, /events\.v2\.json, mqtt.*events\.v1\.json is allowed, or none/)
  assert.deepEqual(wrong.details?.allowed, ['events.v1.json'])

  const old = await refused({ ...UPGRADE, 'sec-websocket-version': '8' })
  assert.deepEqual([old.status, old.code, old.headers['sec-websocket-version']], [426, 'upgrade_required', '13'])

  const keyless = await refused(without('sec-websocket-key'))
  assert.deepEqual([keyless.status, keyless.code], [400, 'invalid_request'])

  for (const query of [
    'heartbeat_ms=999',
    'heartbeat_ms=60001',
    'heartbeat_ms=x',
    'heartbeat=5000',
    '__proto__=x',
    'constructor=x',
    'heartbeat_ms=5000&heartbeat_ms=5000',
  ]) {
    const { status, code } = await refused(UPGRADE, `/v1/ws?${query}`)
    assert.deepEqual([status, code], [400, 'invalid_request'], query)
  }

  const posted = await server.request('POST', '/v1/ws', { headers: UPGRADE })
  assert.equal(posted.status, 405)
})

test('what asks to be upgraded elsewhere, or to something else, is answered as if it had not', async (t) => {
  const server = await startServer(t)
  assert.equal((await server.get('/v1/topics', UPGRADE)).status, 200)
  const h2c = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAARAAAAAAAIAAAAA' }
  assert.equal((await server.post('/v1/topics', { name: 'orders' }, h2c)).status, 201)
  assert.equal((await server.get('/v1/ws', h2c)).status, 426)
})

test('a page of another origin opens no WebSocket unless that is allowed', async (t) => {
  const server = await startServer(t)
  const foreign = await server.get('/v1/ws', { ...UPGRADE, origin: 'https://evil.example' })
  assert.equal(foreign.status, 403)
  assert.match(String(foreign.body), /"code":"origin_not_allowed"/)
  assert.equal((await server.get('/v1/ws', { ...UPGRADE, origin: 'null' })).status, 403)
  await openSocket(t, server, { headers: { origin: server.url } })

  const open = await startServer(t, { set: { 'access.control.allow.origin': 'https://app.example, null' } })
  await openSocket(t, open, { headers: { origin: 'https://App.example' } })
  await openSocket(t, open, { headers: { origin: 'null' } })
  assert.equal((await open.get('/v1/ws', { ...UPGRADE, origin: 'https://evil.example' })).status, 403)
})

test('an origin is compared with how the request names this server', () => {
  const isAllowed = (origin: string, host: string, allowed: readonly string[] = [], forwarded?: string) =>
    isAllowedOrigin({ origin, host, 'x-forwarded-host': forwarded }, allowed)
  assert.ok(isAllowed('http://localhost:8082', 'localhost:8082'))
  assert.ok(isAllowed('https://events.example', 'events.example'))
  assert.ok(isAllowed('https://events.example', 'EVENTS.example:443'))
  assert.ok(isAllowed('https://events.example', '10.0.0.7:8082', [], 'events.example'))
  assert.ok(isAllowed('http://[::1]:8082', '[::1]:8082'))
  assert.ok(!isAllowed('http://localhost:3000', 'localhost:8082'))
  assert.ok(!isAllowed('https://events.example', 'events.example:8082'))
  assert.ok(!isAllowed('https://events.example.evil.example', 'events.example'))
  for (const origin of ['', 'null', 'x', 'file://', 'http://', 'javascript:1'])
    assert.ok(!isAllowed(origin, 'localhost'), origin)
  assert.ok(!isAllowed('http://a', ''))
  assert.ok(isAllowed('null', 'a', ['*']))
  assert.ok(isAllowedOrigin({ host: 'a' }, []))
})

test('a socket is opened with a slash behind the path, and beside other sub-protocols', async (t) => {
  const server = await startServer(t)
  const socket = await openSocket(t, server, { path: '/v1/ws/', protocols: ['events.v9.json', 'events.v1.json'] })
  assert.equal(socket.socket.protocol, 'events.v1.json')
  assert.equal(socket.socket.extensions, '')
})

test('a socket that offers no sub-protocol is opened, and is told of none', async (t) => {
  const server = await startServer(t)
  const socket = await openSocket(t, server, { protocols: [] })
  assert.equal(socket.socket.protocol, '')
  assert.equal((await socket.ask({ type: 'ping' })).type, 'pong')
})

test('what is HTTP/1.0, has a body, or stands behind a request that is being answered becomes no WebSocket', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const slow = 'GET /v1/topics/t/records?from=latest&wait_ms=50 HTTP/1.1\r\nhost: localhost\r\n\r\n'
  const sent: [bytes: string, ...statuses: string[]][] = [
    [head('1.0'), '426'],
    [`${head('1.1', 'content-length: 5\r\n')}hello`, '400'],
    [slow + head('1.1'), '200', '426'],
  ]
  const exchanges = sent.map(async ([bytes, ...statuses]) => {
    // what comes in one piece with it is dropped by the parser: the connection ends, and who sent more knows
    const text = await server.raw(`${bytes}GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n`)
    const seen = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
    assert.deepEqual(seen, statuses)
  })
  await Promise.all(exchanges)
})

test('behind an upgrade that is refused a connection goes on where nothing can be lost, and ends elsewhere', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const upgrade = 'host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n'
  const get = `GET /livez HTTP/1.1\r\n${upgrade}\r\n`
  const body = '{"records":[{"value":1}]}'
  const post = (more: string) =>
    `POST /v1/topics/t/records HTTP/1.1\r\n${more}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
  const plain = post('host: localhost\r\n')
  const next = 'GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n'
  // each piece when the one before is answered, or has come
  const statusesOf = async (...pieces: [sent: string, replies: number][]) => {
    const connection = connect(server.port, '127.0.0.1')
    t.after(() => connection.destroy())
    let text = ''
    connection.on('data', (chunk) => {
      text += chunk
    })
    const heard = () => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
    await once(connection, 'connect')
    for (const [sent, replies] of pieces) {
      connection.write(sent)
      if (replies === 0) await new Promise((resolve) => setTimeout(resolve, 50))
      while (heard().length < replies && !connection.closed)
        await Promise.race([once(connection, 'data'), once(connection, 'close')])
    }
    if (/connection: (?:upgrade, )?close/i.test(text)) {
      if (!connection.closed) await once(connection, 'close')
      return [...heard(), 'closed']
    }
    return heard()
  }
  assert.deepEqual(await statusesOf([get, 1], [next, 2]), ['200', '200'])
  assert.deepEqual(await statusesOf([post(upgrade), 0], [body, 1], [plain + body, 2]), ['200', '200'])
  assert.deepEqual(await statusesOf([post(upgrade) + body, 1], [next, 2]), ['200', '200'])
  assert.deepEqual(await statusesOf([get + next, 2]), ['200', 'closed'])
  assert.deepEqual(await statusesOf([next, 1], [get, 2]), ['200', '200', 'closed'], 'it might be another one’s')
  assert.deepEqual(await statusesOf([post(upgrade), 0], [body + plain, 1]), ['200', 'closed'])
  // the next one's body is no request
  const hidden = post('host: localhost\r\n').replace(/content-length: \d+/, `content-length: ${next.length}`)
  assert.deepEqual(await statusesOf([get + hidden, 1], [next, 2]), ['200', 'closed'])
  assert.deepEqual(await statusesOf([`${head('1.1').replace('websocket', 'other')}${next}`, 1]), ['426', 'closed'])
})

test('a connection becomes a WebSocket when all that it asked for before is answered, and no sooner', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`
  const waiting = get('/v1/topics/t/records?from=latest&wait_ms=20000')
  const connected = () => {
    const connection = connect(Number(new URL(server.url).port), '127.0.0.1')
    t.after(() => connection.destroy())
    const heard: string[] = []
    connection.on('data', (chunk) => {
      for (const [, status = ''] of String(chunk).matchAll(/HTTP\/1\.1 (\d+)/g)) heard.push(status)
    })
    const hears = async (...statuses: string[]) => {
      while (heard.length < statuses.length) await once(connection, 'data')
      assert.deepEqual(heard.splice(0), statuses)
    }
    return { connection, hears }
  }
  const early = connected()
  early.connection.write(get('/v1/topics/t') + waiting)
  await early.hears('200')
  // the first reply has gone out, the second has not
  early.connection.write(head('1.1'))
  await server.post('/v1/topics/t/records', { records: [{ value: 'x' }] })
  await early.hears('200', '426')
  await once(early.connection, 'close')
  const later = connected()
  later.connection.write(get('/v1/topics/t'))
  await later.hears('200')
  later.connection.write(head('1.1'))
  await later.hears('101')
  later.connection.destroy()
})
