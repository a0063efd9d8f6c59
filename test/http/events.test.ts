// Server-Sent Events over the whole server: what a stream says, where it begins and goes on, how it ends, what it refuses.
// What a tail gives in every corner is tested at the service.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { EventClient } from '../support/event-client.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { Random } from '../support/random.ts'

const TIMEOUT = { timeout: 30_000 }

async function produce(server: TestServer, topic: string, ...values: unknown[]): Promise<void> {
  const records = values.map((value) => ({ value }))
  const reply = await server.post(`/v1/topics/${topic}/records`, { records })
  assert.equal(reply.status, 200, reply.text())
}

async function create(server: TestServer, name: string, partitions = 1): Promise<void> {
  assert.equal((await server.post('/v1/topics', { name, partitions })).status, 201)
}

const listen = (server: TestServer, path: string, headers = {}) => EventClient.open(server, path, headers)
const errorsOf = (server: TestServer) => server.log.filter(({ level }) => level === 'error')
const valuesOf = (events: readonly { readonly data: { readonly value: unknown } }[]) =>
  events.map(({ data }) => data.value)

test('a stream begins with what comes from now on, and its head is one that nobody buffers', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', 'old')
  const stream = await listen(server, '/v1/topics/orders/events', { 'x-request-id': 'mine', accept: '*/*' })
  assert.equal(stream.status, 200)
  const { date: _date, connection: _connection, ...headers } = stream.headers
  assert.deepEqual(headers, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    'x-request-id': 'mine',
    'transfer-encoding': 'chunked',
  })
  const { data: progress } = await stream.nextNamed('progress')
  assert.deepEqual(progress, { caught_up: true, lag: 0, scanned: 0, matched: 0, filter_errors: 0 })
  assert.ok(stream.retryMs >= 1_500 && stream.retryMs <= 2_500)
  assert.equal(stream.comments[0], 'connected')
  const idAtStart = stream.lastEventId
  assert.match(idAtStart, /^[A-Za-z0-9_-]+$/)
  await produce(server, 'orders', { total: 5 })
  const { data } = await stream.nextNamed('message')
  const page = (await server.get('/v1/topics/orders/records?from=1&partition=0')).json()
  assert.deepEqual(data, page.records[0])
  stream.close()
  const again = await listen(server, '/v1/topics/orders/events', { 'last-event-id': idAtStart })
  assert.deepEqual(valuesOf(await again.records(1)), [{ total: 5 }], 'who saw nothing yet misses nothing')
  again.close()
})

test('the id of each event goes on behind it, over all partitions and topics', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await create(server, 'a', 3)
  await create(server, 'b', 2)
  const placed = Array.from({ length: 60 }, (_, value) => ({ value, partition: value % 2 }))
  for (const topic of ['a', 'b']) {
    assert.equal((await server.post(`/v1/topics/${topic}/records`, { records: placed })).status, 200)
  }
  const path = '/v1/events?topic=a&topic=b&from=earliest'
  const placeOf = ({ data }: { data: { topic: string; partition: number; offset: number } }) =>
    `${data.topic} ${data.partition} ${data.offset}`
  const stream = await listen(server, path)
  const all = await stream.records(120)
  stream.close()
  assert.equal(new Set(all.map(placeOf)).size, 120)
  for (const at of [0, 1, 17, 58, 118]) {
    const again = await listen(server, path, { 'last-event-id': all[at]!.id })
    const rest = await again.records(119 - at)
    assert.deepEqual(
      rest.map(placeOf).sort(),
      all
        .slice(at + 1)
        .map(placeOf)
        .sort(),
      `behind event ${at}`,
    )
    again.close()
  }
})

test('all topics that fit a pattern go through one stream, those that are made later too', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await produce(server, 'order-a', 1)
  await produce(server, 'other', 2)
  const stream = await listen(server, '/v1/events?pattern=order-.*&from=earliest')
  await stream.records(1)
  await produce(server, 'order-b', 3)
  const [event] = await stream.records(1)
  assert.deepEqual([event!.data.topic, event!.data.value], ['order-b', 3])
  stream.close()
})

test('the last event goes before a cursor, that before from; the header before the query', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', 0, 1, 2, 3, 4)
  const stream = await listen(server, '/v1/topics/orders/events?from=earliest')
  const ids = (await stream.records(5)).map(({ id }) => id)
  stream.close()
  const firstOf = async (query: string, headers = {}) => {
    const again = await listen(server, `/v1/topics/orders/events?${query}`, headers)
    const [first] = valuesOf(await again.records(1))
    again.close()
    return first
  }
  assert.equal(await firstOf(`from=earliest&cursor=${ids[3]}`), 4)
  assert.equal(await firstOf(`from=cursor:${ids[3]}`), 4)
  for (const name of ['last_event_id', 'lastEventId', 'Last-Event-ID']) {
    assert.equal(await firstOf(`from=earliest&cursor=${ids[3]}&${name}=${ids[2]}`), 3, name)
  }
  assert.equal(await firstOf(`cursor=${ids[3]}&last_event_id=${ids[2]}`, { 'last-event-id': ids[0] }), 1)
  assert.equal(await firstOf('from=-2', { 'last-event-id': '' }), 3)
})

test('records come in the form that is asked for, each event on one line', TIMEOUT, async (t) => {
  const server = await startServer(t)
  const body =
    '{"records":[{"key":"k","value":{\r\n"a" :\n1},"headers":[{"name":"h","value":"x"}]},{"value":"two"},{"value":3}]}'
  assert.equal((await server.post('/v1/topics/orders/records', body)).status, 200)
  const read = async (query: string, count: number) => {
    const stream = await listen(server, `/v1/topics/orders/events?from=earliest&${query}`)
    const events = await stream.records(count)
    stream.close()
    return { data: events.map(({ data }) => data), text: stream.text }
  }
  const plain = await read('', 3)
  assert.ok(plain.text.includes('"value":{  "a" : 1},'), plain.text)
  const { data } = await read('fields=key,value&key_format=base64', 3)
  assert.deepEqual(data[0], {
    topic: 'orders',
    partition: 0,
    offset: 0,
    key: 'aw==',
    value: { a: 1 },
    key_encoding: 'base64',
    value_encoding: 'json',
  })
  const batches = await read('batch=2&fields=value&value_format=string', 2)
  assert.deepEqual(
    batches.data.map((batch) => batch.map(({ value }: { value: string }) => value)),
    [['{\r\n"a" :\n1}', '"two"'], ['3']],
  )
})

test('what comes may wait for more, and goes out together', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await create(server, 'orders')
  const stream = await listen(server, '/v1/topics/orders/events?batch=10&batch_wait_ms=1500')
  await stream.nextNamed('progress')
  await Promise.all([1, 2, 3].map((value) => produce(server, 'orders', value)))
  const { data } = await stream.nextNamed('message')
  assert.equal(data.length, 3)
  stream.close()
})

test('a filter lets records through by key and header, and the stream moves on where none fits', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics/orders/records', {
    records: [
      { key: 'a', value: 1 },
      { key: 'b', value: 2, headers: [{ name: 'type', value: 'paid' }] },
      { key: 'a', value: 3, headers: [{ name: 'type', value: 'paid' }] },
    ],
  })
  const values = async (query: string) => {
    const stream = await listen(server, `/v1/topics/orders/events?from=earliest&until=latest&${query}`)
    const events = await stream.rest()
    return valuesOf(events.filter(({ name }) => name === 'message'))
  }
  assert.deepEqual(await values('key=a'), [1, 3])
  assert.deepEqual(await values('header.type=paid'), [2, 3])
  assert.deepEqual(await values('header=type:paid&key_base64=YQ=='), [3])
  const stream = await listen(server, '/v1/topics/orders/events?from=earliest&key=none')
  const { data, id } = await stream.nextNamed('progress')
  assert.deepEqual(data, { caught_up: true, lag: 0, scanned: 3, matched: 0, filter_errors: 0 })
  stream.close()
  await produce(server, 'orders', 'behind')
  const again = await listen(server, '/v1/topics/orders/events', { 'last-event-id': id })
  assert.deepEqual(valuesOf(await again.records(1)), ['behind'])
  again.close()
})

test('what was removed before it was read is told, or refused', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', 0, 1, 2, 3)
  const stream = await listen(server, '/v1/topics/orders/events?from=earliest')
  const [first] = await stream.records(1)
  stream.close()
  await server.request('DELETE', '/v1/topics/orders/partitions/0/records?before=3')
  const headers = { 'last-event-id': first!.id }
  const again = await listen(server, '/v1/topics/orders/events', headers)
  const gap = await again.nextNamed('gap')
  assert.deepEqual(gap.data, { topic: 'orders', partition: 0, from: 1, to: 3, reason: 'removed' })
  assert.deepEqual(valuesOf(await again.records(1)), [3])
  again.close()
  const refused = await server.get('/v1/topics/orders/events?on_gap=error', headers)
  assert.equal(refused.status, 416)
  assert.equal(refused.json().code, 'offset_out_of_range')
})

test('a stream with an end ends there, and who comes again is told to stay away', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', 0, 1, 2)
  const path = '/v1/topics/orders/events?from=earliest&until=latest'
  const stream = await listen(server, path)
  const events = await stream.rest()
  assert.deepEqual(valuesOf(events.filter(({ name }) => name === 'message')), [0, 1, 2])
  const { name, data, id } = events.at(-1)!
  assert.deepEqual([name, data.reason], ['end', 'until'])
  assert.ok(await stream.ended)
  await produce(server, 'orders', 3)
  assert.equal((await server.get(path, { 'last-event-id': id })).status, 204, 'although latest is elsewhere now')
  const { records } = (await server.get(`/v1/topics/orders/records?cursor=${data.cursor}`)).json()
  assert.deepEqual(
    records.map(({ value }: { value: number }) => value),
    [3],
    'its cursor goes on',
  )
  const atEnd = await server.get('/v1/topics/orders/events?from=latest&until=latest')
  assert.equal(atEnd.status, 204, 'nothing to tell at all')
})

test('a stream ends after the time that was asked for, and goes on where it was', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', 0)
  const stream = await listen(server, '/v1/topics/orders/events?max_ms=1')
  const end = (await stream.rest()).at(-1)!
  assert.deepEqual([end.name, end.data.reason, end.data.cursor], ['end', 'max_ms', end.id])
  assert.ok(await stream.ended)
  await produce(server, 'orders', 1)
  const again = await listen(server, '/v1/topics/orders/events', { 'last-event-id': end.id })
  assert.deepEqual(valuesOf(await again.records(1)), [1])
  again.close()
})

test(
  'a topic that is deleted ends the stream; who comes again learns that it is gone, or another',
  TIMEOUT,
  async (t) => {
    const server = await startServer(t)
    await create(server, 'orders')
    const stream = await listen(server, '/v1/topics/orders/events')
    const { id } = await stream.nextNamed('progress')
    assert.equal((await server.request('DELETE', '/v1/topics/orders')).status, 204)
    const end = await stream.nextNamed('end')
    assert.equal(end.data.reason, 'topic_deleted')
    assert.ok(await stream.ended)
    assert.equal((await server.get('/v1/topics/orders/events', { 'last-event-id': id })).status, 404)
    await create(server, 'orders')
    assert.equal((await server.get('/v1/topics/orders/events', { 'last-event-id': id })).status, 410)
  },
)

test('a server that closes says so, with where to go on, and waits for nobody', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', 0)
  const streams = await Promise.all([1, 2, 3].map(() => listen(server, '/v1/topics/orders/events?from=earliest')))
  for (const stream of streams) await stream.records(1)
  await server.close()
  for (const stream of streams) {
    const end = await stream.nextNamed('end')
    assert.deepEqual([end.data.reason, end.data.cursor], ['draining', end.id])
    assert.ok(await stream.ended)
  }
})

test('who asks a server that is closing is sent to the next one, which an EventSource finds', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await create(server, 'orders')
  const socket = connect(server.port, '127.0.0.1')
  await once(socket, 'connect')
  let reply = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    reply += text
  })
  // it is under way already, so that the close waits for it
  socket.write('GET /v1/topics/orders/events HTTP/1.1\r\n')
  await server.get('/livez')
  const closed = server.close()
  socket.write('host: localhost\r\nlast-event-id: AQID\r\n\r\n')
  await once(socket, 'close')
  await closed
  assert.match(reply, /^HTTP\/1\.1 200 OK\r\n/)
  assert.match(reply, /\nid: AQID\n: connected\n\n/)
  assert.match(reply, /\nevent: end\ndata: \{"reason":"draining"\}\n\n/)
})

test('a page can be resumed as a stream, and a stream as a page', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', 0, 1, 2)
  const { cursor } = (await server.get('/v1/topics/orders/records?limit=1')).json()
  const stream = await listen(server, `/v1/topics/orders/events?cursor=${cursor}`)
  const [one] = await stream.records(1)
  stream.close()
  const page = (await server.get(`/v1/topics/orders/records?cursor=${one!.id}`)).json()
  assert.deepEqual([one!.data.value, page.records[0].value], [1, 2])
})

test('what cannot be streamed is refused with a problem before it begins', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', 2)
  const cases: [path: string, status: number, code: string, headers?: Record<string, string>][] = [
    ['/v1/topics/none/events', 404, 'unknown_topic_or_partition'],
    ['/v1/topics/orders/events?partition=9', 404, 'unknown_topic_or_partition'],
    ['/v1/topics/or%20ders/events', 400, 'invalid_topic_exception'],
    ['/v1/topics/orders/events?from=yesterday', 400, 'invalid_position'],
    ['/v1/topics/orders/events?from=3', 400, 'invalid_position'],
    ['/v1/topics/orders/events?from=99&partition=0', 416, 'offset_out_of_range'],
    ['/v1/topics/orders/events?cursor=x', 400, 'invalid_cursor'],
    ['/v1/topics/orders/events', 400, 'invalid_cursor', { 'last-event-id': 'of another server' }],
    ['/v1/topics/orders/events?form=latest', 400, 'invalid_request'],
    ['/v1/topics/orders/events?batch=0', 400, 'invalid_request'],
    ['/v1/topics/orders/events?fields=value,offsets', 400, 'invalid_request'],
    ['/v1/topics/orders/events?fields=', 400, 'invalid_request'],
    ['/v1/topics/orders/events?batch_wait_ms=10001', 400, 'invalid_request'],
    ['/v1/topics/orders/events?heartbeat_ms=1', 400, 'invalid_request'],
    ['/v1/topics/orders/events?max_ms=86400001', 400, 'invalid_request'],
    ['/v1/topics/orders/events?group=g', 400, 'invalid_request'],
    ['/v1/topics/orders/events?from=committed&group=none', 404, 'group_id_not_found'],
    ['/v1/topics/orders/events?filter=value.total%20%3E', 400, 'invalid_filter'],
    ['/v1/topics/orders/events?until=nowhere', 400, 'invalid_position'],
    ['/v1/topics/orders/events', 406, 'not_acceptable', { accept: 'application/json' }],
    ['/v1/events', 400, 'invalid_request'],
    ['/v1/events?topic=orders&topic=none', 404, 'unknown_topic_or_partition'],
    ['/v1/events?topic=orders&pattern=o.*', 400, 'invalid_request'],
    ['/v1/events?topic=orders&topic=other&partition=0', 400, 'invalid_request'],
    [`/v1/events?${Array.from({ length: 101 }, (_, at) => `topic=t${at}`).join('&')}`, 400, 'invalid_request'],
  ]
  const detail = async (path: string) => (await server.get(path)).json().detail
  assert.match(await detail('/v1/events?topic=orders&pattern=o.*'), /not both/)
  assert.match(await detail('/v1/events?topic=orders,bills'), /repeated for more: topic=orders&topic=bills$/)
  for (const [path, status, code, headers = {}] of cases) {
    const reply = await server.get(path, headers)
    assert.deepEqual([reply.status, reply.json().code], [status, code], path)
  }
  assert.equal((await server.post('/v1/topics/orders/events', {})).status, 405)
})

test('HEAD tells the head; HTTP/1.0 gets the stream without chunks', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', 'a')
  const head = await server.request('HEAD', '/v1/topics/orders/events')
  assert.deepEqual([head.status, head.headers['content-type']], [200, 'text/event-stream; charset=utf-8'])
  assert.equal((await server.request('HEAD', '/v1/topics/none/events')).status, 404)
  const old = await server.raw('GET /v1/topics/orders/events?from=earliest&until=latest HTTP/1.0\r\n\r\n')
  assert.match(old, /^HTTP\/1\.[01] 200 OK\r\n/)
  assert.doesNotMatch(old, /transfer-encoding/i)
  assert.match(old, /\r\n\r\nretry: \d+\nid: [\w-]+\n: connected\n\nid: [\w-]+\ndata: \{"topic":"orders"/)
  assert.match(old, /event: end\n.*\n.*\n\n$/)
})

test('streams are counted, and nothing is left of those that are over', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await create(server, 'orders')
  for (let round = 0; round < 3; round++) {
    const stream = await listen(server, '/v1/topics/orders/events')
    await stream.nextNamed('progress')
    stream.close()
  }
  // gone before they are answered
  const gone = Array.from({ length: 20 }, () =>
    server.raw('GET /v1/topics/orders/events?from=-10 HTTP/1.1\r\nhost: localhost\r\n\r\n', { hangUpAfterMs: 0 }),
  )
  await Promise.all(gone)
  let metrics = ''
  do metrics = (await server.get('/metrics')).text()
  while (!/^tailrace_live_connections 0$/m.test(metrics))
  assert.match(metrics, /\{method="GET",route="\/v1\/topics\/:topic\/events",status="2xx"\} \d+\n/)
  assert.match(metrics, /^tailrace_live_pending_bytes 0$/m)
  assert.match(metrics, /^tailrace_tail_open 0$/m)
  assert.deepEqual(errorsOf(server), [])
})

test('whatever a stream is asked for, it is answered, and not with a 500', TIMEOUT, async (t) => {
  const server = await startServer(t)
  await produce(server, 't', 1, 'two', { three: 3 })
  const { cursor } = (await server.get('/v1/topics/t/records')).json()
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  t.diagnostic(`SEED=${seed}`)
  const random = new Random(seed)
  const values = [
    '',
    '0',
    '1',
    '-1',
    '3',
    '9'.repeat(30),
    'earliest',
    'latest',
    '1h',
    'value',
    'key,value',
    'auto',
    'json',
  ]
  values.push(
    'error',
    't',
    't.*',
    '(',
    'end:',
    'end:x',
    cursor,
    `cursor:${cursor}`,
    `${cursor}x`,
    '2026-01-01',
    '%00',
    '%F0%9F%92%A9',
    'a:b',
  )
  const names = [
    'topic',
    'pattern',
    'from',
    'cursor',
    'last_event_id',
    'lastEventId',
    'until',
    'group',
    'partition',
    'key',
  ]
  names.push(
    'key_base64',
    'header',
    'header.h',
    'filter',
    'key_format',
    'value_format',
    'fields',
    'batch',
    'batch_wait_ms',
    'on_gap',
    'max_ms',
  )
  names.push('heartbeat_ms', 'nothing')
  const shoot = async () => {
    const query = Array.from({ length: random.below(5) }, () => `${random.pick(names)}=${random.pick(values)}`)
    const path = random.pick(['/v1/topics/t/events', '/v1/events', '/v1/events?topic=t'])
    const url = `${path}${path.includes('?') ? '&' : '?'}${query.join('&')}`
    const stream = await listen(server, url, random.pick([{}, { 'last-event-id': random.pick(values) }]))
    assert.ok(stream.status < 500, `${stream.status} ${url}`)
    assert.ok(stream.headers['x-request-id'])
    stream.close()
  }
  for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 20 }, shoot))
  assert.deepEqual(errorsOf(server), [])
  assert.equal((await server.get('/livez')).status, 200)
})

test('pages of other origins may listen where the configuration says so', TIMEOUT, async (t) => {
  const allowed = 'https://app.example'
  const server = await startServer(t, { set: { 'access.control.allow.origin': allowed } })
  await create(server, 'orders')
  const stream = await listen(server, '/v1/topics/orders/events', { origin: allowed })
  assert.equal(stream.headers['access-control-allow-origin'], allowed)
  assert.equal(stream.headers['vary'], 'origin')
  assert.equal(stream.headers['access-control-expose-headers'], 'x-request-id, retry-after, location, allow')
  stream.close()
  const page = await server.get('/v1/topics/orders/records', { origin: allowed })
  assert.equal(page.headers['access-control-allow-origin'], allowed)
  const produced = await server.post('/v1/topics/orders/records', { records: [{ value: 1 }] }, { origin: allowed })
  assert.equal(produced.headers['access-control-allow-origin'], allowed)
  const problem = await server.get('/v1/topics/none/events', { origin: allowed })
  assert.deepEqual([problem.status, problem.headers['access-control-allow-origin']], [404, allowed])
  const preflight = await server.request('OPTIONS', '/v1/topics/orders/records', {
    headers: {
      origin: allowed,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,producer-id',
    },
  })
  assert.equal(preflight.status, 204)
  assert.match(String(preflight.headers['access-control-allow-methods']), /POST/)
  assert.equal(preflight.headers['access-control-allow-headers'], 'content-type,producer-id')
  const other = await server.get('/v1/topics/orders/records', { origin: 'https://other.example' })
  assert.equal(other.headers['access-control-allow-origin'], undefined)
  assert.equal(other.headers['vary'], 'origin')
})

test('without the option no page of another origin reads anything; with * each does', TIMEOUT, async (t) => {
  for (const [set, expected] of [
    [{}, undefined],
    [{ 'access.control.allow.origin': '*' }, '*'],
  ] as const) {
    const server = await startServer(t, { set })
    await create(server, 'orders')
    const page = await server.get('/v1/topics/orders/records', { origin: 'null' })
    assert.equal(page.headers['access-control-allow-origin'], expected)
    assert.equal(page.headers['vary'], undefined)
  }
})
