// Hooks over the real server: any request becomes a record, and CloudEvents become what their Kafka binding says.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'

interface Shown {
  readonly partition: number
  readonly offset: number
  readonly key: string | null
  readonly value: unknown
  readonly value_encoding?: string
  readonly headers: readonly { readonly name: string; readonly value: string | null }[]
}

async function recordsOf(server: TestServer, topic: string, query = ''): Promise<readonly Shown[]> {
  const reply = await server.get(`/v1/topics/${topic}/records?${query}`)
  assert.equal(reply.status, 200, reply.text())
  return reply.json().records
}

const headersOf = ({ headers }: Shown) => Object.fromEntries(headers.map(({ name, value }) => [name, value]))

test('a body of any type is a record, byte for byte, and what it is goes with it', async (t) => {
  const server = await startServer(t)
  const bytes = Buffer.from([0, 0xff, 0x22, 0x0a, 0xc3])
  const sent = [
    { type: 'application/json', body: Buffer.from('{ "a" : 1.0 }\n') },
    { type: 'application/x-www-form-urlencoded', body: Buffer.from('payload=%7B%7D') },
    { type: 'application/octet-stream', body: bytes },
    { type: 'text/plain; charset=iso-8859-1', body: Buffer.from([0xe4]) },
  ]
  for (const [at, { type, body }] of sent.entries()) {
    const method = at % 2 === 0 ? 'POST' : 'PUT'
    const reply = await server.request(method, '/v1/hooks/incoming', { headers: { 'content-type': type }, body })
    assert.equal(reply.status, 200, reply.text())
    const { records } = reply.json()
    assert.equal(records.length, 1)
    assert.equal(records[0].offset, at)
    assert.match(records[0].timestamp, /^20/)
  }
  const records = await recordsOf(server, 'incoming', 'value_format=base64')
  assert.deepEqual(
    records.map((record) => ({
      type: headersOf(record)['content-type'],
      body: Buffer.from(String(record.value), 'base64'),
    })),
    sent,
  )
  assert.deepEqual(
    records.map(({ key }) => key),
    [null, null, null, null],
  )
})

test('an empty body is an empty value, not a tombstone', async (t) => {
  const server = await startServer(t)
  assert.equal((await server.request('POST', '/v1/hooks/incoming')).status, 200)
  const [record] = await recordsOf(server, 'incoming')
  assert.equal(record?.value, '')
  assert.equal(record?.value_encoding, 'string')
})

test('a signature holds over the stored value, compressed bodies too, and secrets are not kept', async (t) => {
  const server = await startServer(t)
  const body = gzipSync('{"action":"opened"}')
  const signature = `sha256=${createHmac('sha256', 'secret').update(body).digest('hex')}`
  const reply = await server.request('POST', '/v1/hooks/incoming?keep_header=X-Own&keep_header=x-other', {
    headers: {
      'content-type': 'application/json',
      'content-encoding': 'gzip',
      'x-github-event': 'issues',
      'x-hub-signature-256': signature,
      authorization: 'Bearer secret',
      cookie: 'session=1',
      'x-gitlab-token': 'secret',
      'x-own': 'gr\u00fc\u00df',
    },
    body,
  })
  assert.equal(reply.status, 200, reply.text())
  const [record] = await recordsOf(server, 'incoming', 'value_format=base64')
  assert.ok(record)
  const headers = headersOf(record)
  const stored = Buffer.from(String(record.value), 'base64')
  assert.deepEqual(stored, body)
  assert.equal(headers['x-hub-signature-256'], `sha256=${createHmac('sha256', 'secret').update(stored).digest('hex')}`)
  assert.equal(headers['content-encoding'], 'gzip')
  assert.equal(headers['x-github-event'], 'issues')
  const own = record.headers.find(({ name }) => name === 'x-own')
  assert.deepEqual(own, {
    name: 'x-own',
    value: Buffer.from('gr\u00fc\u00df', 'latin1').toString('base64'),
    value_encoding: 'base64',
  })
  for (const name of ['authorization', 'cookie', 'x-gitlab-token', 'host']) assert.equal(headers[name], undefined, name)
})

test('key, key_header and partition say where a record goes', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'incoming', partitions: 8 })
  const put = async (query: string, headers = {}) => {
    const reply = await server.post(`/v1/hooks/incoming?${query}`, Buffer.from('x'), headers)
    return { status: reply.status, ...reply.json() }
  }
  const byKey = await put('key=c-17')
  const byHeader = await put('key_header=X-Customer', { 'x-customer': 'c-17' })
  assert.equal(byKey.records[0].partition, byHeader.records[0].partition)
  assert.equal((await put('partition=5&key=')).records[0].partition, 5)
  const keys = (await recordsOf(server, 'incoming')).map(({ key }) => key)
  assert.deepEqual(keys.toSorted(), ['', 'c-17', 'c-17'])
  const cases: readonly (readonly [string, number, string])[] = [
    ['key_header=X-Customer', 422, 'invalid_record'],
    ['key=a&key_header=b', 400, 'invalid_request'],
    ['partition=8', 404, 'unknown_topic_or_partition'],
    ['partition=x', 400, 'invalid_request'],
    ['acks=2', 400, 'invalid_request'],
    ['kee=a', 400, 'invalid_request'],
    [Array(33).fill('keep_header=a').join('&'), 400, 'invalid_request'],
  ]
  for (const [query, status, code] of cases) {
    const reply = await put(query)
    assert.deepEqual([reply.status, reply.code], [status, code], query)
  }
  assert.equal((await recordsOf(server, 'incoming')).length, 3)
})

test('acks and named producers are as in produce, and so are topics that are none', async (t) => {
  const server = await startServer(t)
  const body = Buffer.from('x')
  const later = (await server.post('/v1/hooks/incoming?acks=0', body)).json()
  assert.deepEqual(later.records[0].offset, null)
  const producer = { 'producer-id': 'till-3', 'producer-epoch': '0', 'producer-seq': '0' }
  const first = (await server.post('/v1/hooks/named', body, producer)).json()
  const again = (await server.post('/v1/hooks/named', body, producer)).json()
  assert.deepEqual(again, { ...first, duplicate: true })
  assert.equal((await server.post('/v1/hooks/__consumer_offsets', body)).status, 403)
  assert.equal((await server.post('/v1/hooks/..', body)).status, 400)
  assert.equal((await server.post('/v1/hooks/b%20d', body)).status, 400)
  const strict = await startServer(t, { set: { 'auto.create.topics.enable': 'false' } })
  assert.equal((await strict.post('/v1/hooks/incoming', body)).status, 404)
})

const EVENT = { 'ce-specversion': '1.0', 'ce-type': 'order.paid', 'ce-source': '/shop', 'ce-id': '1' }

test('a CloudEvent in binary mode has its attributes as headers and its data as the value', async (t) => {
  const server = await startServer(t)
  const reply = await server.post('/v1/hooks/events', Buffer.from('{"total":5}'), {
    ...EVENT,
    'ce-time': '2026-11-21T02:00:00Z',
    'ce-partitionkey': 'c-17',
    'ce-subject': 'Euro%20%E2%82%AC%20%f0%9f%98%80 100%',
    'ce-quoted': '"a \\"b\\" c"',
    'content-type': 'application/json',
  })
  assert.equal(reply.status, 200, reply.text())
  const [record] = await recordsOf(server, 'events')
  assert.ok(record)
  assert.equal(record.key, 'c-17')
  assert.deepEqual(record.value, { total: 5 })
  assert.deepEqual(headersOf(record), {
    ce_specversion: '1.0',
    ce_type: 'order.paid',
    ce_source: '/shop',
    ce_id: '1',
    ce_time: '2026-11-21T02:00:00Z',
    ce_partitionkey: 'c-17',
    ce_subject: 'Euro € 😀 100%',
    ce_quoted: 'a "b" c',
    'content-type': 'application/json',
  })
  assert.equal((await server.post('/v1/hooks/events?key=own', Buffer.from('x'), EVENT)).status, 200)
  assert.equal((await server.request('POST', '/v1/hooks/events', { headers: EVENT })).status, 200)
  const [, own, empty] = await recordsOf(server, 'events')
  assert.equal(own?.key, 'own')
  assert.equal(empty?.value, null)
  assert.equal(empty?.value_encoding, undefined)
})

test('a structured CloudEvent is the value as it was sent, of a batch each', async (t) => {
  const server = await startServer(t)
  const event = (id: string, more = '') => `{ "specversion":"1.0", "type":"t", "source":"/s", "id":"${id}"${more} }`
  const type = 'application/cloudevents+json; charset=UTF-8'
  const one = event('1', ', "partitionkey":"c-17", "data":{"total":1.50}')
  assert.equal((await server.post('/v1/hooks/events', Buffer.from(one), { 'content-type': type })).status, 200)
  const batch = `[ ${event('2', ', "partitionkey":"c-18"')} ,\n${event('3')}]`
  const reply = await server.post('/v1/hooks/events', gzipSync(batch), {
    'content-type': 'application/cloudevents-batch+json',
    'content-encoding': 'gzip',
  })
  assert.equal(reply.status, 200, reply.text())
  assert.equal(reply.json().records.length, 2)
  const records = await recordsOf(server, 'events', 'value_format=string')
  assert.deepEqual(
    records.map(({ value }) => value),
    [one, event('2', ', "partitionkey":"c-18"'), event('3')],
  )
  assert.deepEqual(
    records.map(({ key }) => key),
    ['c-17', 'c-18', null],
  )
  assert.deepEqual(records.map(headersOf), Array(3).fill({ 'content-type': type }))
  const empty = await server.post('/v1/hooks/events', Buffer.from('[]'), {
    'content-type': 'application/cloudevents-batch+json',
  })
  assert.deepEqual(empty.json(), { records: [] })
  // a format that is not known is a body like any other
  const avro = { 'content-type': 'application/cloudevents+avro' }
  assert.equal((await server.post('/v1/hooks/events', Buffer.from([1, 2]), avro)).status, 200)
})

test('what is no CloudEvent though it says so is refused, and nothing of its batch is stored', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'events', partitions: 4 })
  const structured = { 'content-type': 'application/cloudevents+json' }
  const batched = { 'content-type': 'application/cloudevents-batch+json' }
  const good = '{"specversion":"1.0","type":"t","source":"/s","id":"1"}'
  const cases: readonly (readonly [Record<string, string>, string, number, RegExp])[] = [
    [{ 'ce-id': '1' }, 'x', 422, /no source, no specversion, no type/],
    [{ ...EVENT, 'ce-id': '' }, 'x', 422, /no id/],
    [{ ...EVENT, 'ce-specversion': '0.3' }, 'x', 422, /1\.0 is understood/],
    [{ ...EVENT, 'ce-subject': '%C0%A0' }, 'x', 422, /ce-subject is not UTF-8/],
    [{ ...EVENT, 'ce-my-own': 'x' }, 'x', 422, /letters and digits/],
    [{ ...EVENT, 'ce-datacontenttype': 'a/b' }, 'x', 422, /Content-Type/],
    [structured, '{"specversion":"1.0","type":"t"}', 422, /no id, no source/],
    [structured, '{"specversion":"1.0","type":5,"source":"/s","id":"1"}', 422, /type must be a string/],
    [structured, '{"id":"1","id":"2"}', 422, /twice/],
    [structured, '[]', 422, /an object, not an array/],
    [structured, '{', 400, /line 1/],
    [structured, '', 400, /./],
    [structured, `${good} x`, 400, /end of the text/],
    [structured, '\ufffe'.repeat(3), 400, /./],
    [batched, good, 422, /an array/],
    [batched, `[${good},{}]`, 422, /event 1 of the batch: .*no id/],
    [batched, `[${good},5]`, 422, /event 1 of the batch/],
    [batched, `[${good},`, 400, /./],
    [batched, `${'['.repeat(5_000)}`, 422, /event 0/],
  ]
  for (const [headers, body, status, detail] of cases) {
    const reply = await server.post('/v1/hooks/events', Buffer.from(body), headers)
    assert.equal(reply.status, status, `${body}: ${reply.text()}`)
    assert.match(reply.json().detail, detail)
  }
  const twice =
    'POST /v1/hooks/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nce-id: 1\r\nce-id: 2\r\ncontent-length: 0\r\n\r\n'
  assert.match(await server.raw(twice), /^HTTP\/1\.1 422 /)
  const gzip = await server.post('/v1/hooks/events', Buffer.from('no gzip'), {
    ...structured,
    'content-encoding': 'gzip',
  })
  assert.equal(gzip.status, 400)
  assert.deepEqual(await recordsOf(server, 'events'), [])
})

test('a sender that asks first is told whether it may send', async (t) => {
  const server = await startServer(t)
  const asking = { 'webhook-request-origin': 'eventemitter.example.com', 'webhook-request-rate': '120' }
  const granted = await server.request('OPTIONS', '/v1/hooks/incoming', { headers: asking })
  assert.equal(granted.status, 200)
  assert.equal(granted.headers['webhook-allowed-origin'], '*')
  assert.equal(granted.headers['webhook-allowed-rate'], '*')
  assert.match(String(granted.headers['allow']), /POST/)
  const plain = await server.request('OPTIONS', '/v1/hooks/incoming')
  assert.equal(plain.headers['webhook-allowed-origin'], undefined)
  const refused = await server.request('OPTIONS', '/v1/hooks/__consumer_offsets', { headers: asking })
  assert.equal(refused.status, 403)
  assert.equal(refused.headers['webhook-allowed-origin'], undefined)
  assert.match(
    await server.raw('HEAD /v1/hooks/incoming HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n'),
    /^HTTP\/1\.1 200 /,
  )
  assert.equal((await server.get('/v1/hooks/incoming')).status, 405)
  // asking makes no topic
  assert.equal((await server.get('/v1/topics/incoming')).status, 404)
})

test('what lets somebody in becomes no part of a record, whoever asks for it', async (t) => {
  const server = await startServer(t)
  for (const parameter of ['keep_header', 'key_header']) {
    for (const name of ['authorization', 'Cookie', 'Proxy-Authorization', 'set-cookie']) {
      const headers = { [name]: 'secret' }
      const reply = await server.request('POST', `/v1/hooks/t?${parameter}=${name}`, { headers, body: 'x' })
      assert.equal(reply.status, 400, reply.text())
      assert.match(reply.text(), new RegExp(`${parameter} is ${name.toLowerCase()}`))
    }
  }
})
