// Every operation of the client against the real server.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { TailraceClient } from '../../src/client/client.ts'
import { startServer } from '../support/http.ts'

async function start(t: { after(cleanUp: () => Promise<void> | void): void }): Promise<TailraceClient> {
  const { url } = await startServer(t)
  return new TailraceClient({ url: `${url}/` })
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all).toString()
}

test('topics are created, listed, described, updated and deleted', async (t) => {
  const client = await start(t)
  const created = await client.createTopic({ name: 'orders', partitions: 2, configs: { 'retention.ms': '1000' } })
  assert.equal(created.partitions.length, 2)
  await client.createTopic({ name: 'a.b' })
  assert.deepEqual(
    (await client.listTopics()).map(({ name, partition_count }) => [name, partition_count]),
    [
      ['a.b', 1],
      ['orders', 2],
    ],
  )
  const updated = await client.updateTopic('orders', { partitions: 3, configs: { 'retention.ms': null } })
  assert.equal(updated.partitions.length, 3)
  assert.deepEqual(await client.getTopic('orders'), updated)
  await client.deleteTopic('orders')
  await assert.rejects(client.getTopic('orders'), {
    name: 'TailraceClientError',
    status: 404,
    code: 'unknown_topic_or_partition',
    retryable: false,
  })
})

test('a listing of several pages is gathered, each asked for with the cursor of the one before', async () => {
  const asked: string[] = []
  const pages = [
    { items: [{ name: 'a' }, { name: 'b' }], next_cursor: 'after b' },
    { items: [{ name: 'c' }], next_cursor: null },
  ]
  const client = new TailraceClient({
    url: 'http://server',
    fetch: async (url) => {
      asked.push(String(url))
      return Response.json(pages.shift())
    },
  })
  const topics = await client.listTopics({ internal: true })
  assert.deepEqual(
    topics.map(({ name }) => name),
    ['a', 'b', 'c'],
  )
  assert.deepEqual(asked, [
    'http://server/v1/topics?limit=1000&internal=true',
    'http://server/v1/topics?limit=1000&internal=true&cursor=after+b',
  ])
})

test('records are produced, read by page and by offset, and found by position', async (t) => {
  const client = await start(t)
  await client.createTopic({ name: 't', partitions: 2 })
  const timestamp = '2026-01-02T03:04:05.678Z'
  const { records } = await client.produce(
    't',
    [
      { key: 'a', value: { n: 1 }, partition: 1, timestamp },
      { key: 'b', value: null, partition: 1, headers: [{ name: 'h', value: 'v' }] },
    ],
    { acks: 'all' },
  )
  assert.deepEqual(
    records.map(({ partition, offset }) => [partition, offset]),
    [
      [1, 0],
      [1, 1],
    ],
  )
  const none = await client.produce('t', [{ value: 3, partition: 1 }], { acks: '0' })
  assert.equal(none.records[0]?.offset, null)

  const page = await client.read('t', { from: 'earliest', partitions: [1], limit: 1 })
  assert.equal(page.caughtUp, false)
  assert.deepEqual(page.records[0]?.parse(), {
    topic: 't',
    partition: 1,
    offset: 0,
    timestamp,
    timestamp_type: 'CreateTime',
    key: 'a',
    value: { n: 1 },
    key_encoding: 'string',
    value_encoding: 'json',
    headers: [],
  })
  const next = await client.read('t', { cursor: page.cursor, limit: 1 })
  assert.equal(next.records[0]?.offset, 1)
  assert.equal((await client.read('t', { key: 'b' })).records.length, 1)
  assert.equal((await client.read('t', { headers: ['h:v'] })).records.length, 1)
  assert.equal((await client.read('t', { headers: ['h:w'] })).records.length, 0)

  const record = await client.getRecord('t', 1, 0, { valueFormat: 'base64' })
  assert.equal(record.text('value'), Buffer.from('{"n":1}').toString('base64'))
  const offsets = await client.listOffsets('t', { at: timestamp, partitions: [1] })
  assert.deepEqual(offsets, [{ partition: 1, offset: 0, timestamp }])
  assert.deepEqual(await client.deleteRecords('t', 1, 1), { partition: 1, start_offset: 1 })
})

test('values keep every character', async (t) => {
  const client = await start(t)
  const values = ['12345678901234567890', '1.0', '{"b":1,"a":2,"b":3}', '"\\ud800"', '{\n "pretty" : [ 1.50 ]\n}']
  await client.produceJson('t', `{"records":[${values.map((value) => `{"value":${value}}`)}]}`)
  const { records } = await client.read('t')
  assert.deepEqual(
    records.map((record) => record.member('value')?.toString()),
    values,
  )
})

test('pages run from a position to the end', async (t) => {
  const client = await start(t)
  await client.produce(
    't',
    Array.from({ length: 25 }, (_, value) => ({ value })),
  )
  const sizes: number[] = []
  for await (const page of client.pages('t', { limit: 10 })) sizes.push(page.records.length)
  assert.deepEqual(sizes, [10, 10, 5])
})

test('a read waits for records, and an abort ends it', async (t) => {
  const client = await start(t)
  await client.createTopic({ name: 't' })
  const waiting = client.read('t', { from: 'latest', waitMs: 30_000 })
  await client.produce('t', [{ value: 1 }])
  const { records } = await waiting
  // Either it was there first or it found the record at its position: never one that it missed.
  if (records.length > 0) assert.equal(records[0]?.offset, 0)

  const stop = new AbortController()
  const aborted = client.read('t', { from: 'latest', waitMs: 30_000, signal: stop.signal })
  stop.abort()
  await assert.rejects(aborted, { name: 'AbortError' })
  await assert.rejects(client.read('t', { signal: stop.signal }), { name: 'AbortError' })
})

test('a topic is exported and imported as a stream, compressed or not', async (t) => {
  const client = await start(t)
  await client.produceJson('from', '{"records":[{"key":"k","value":1.00},{"value":"AP8=","value_encoding":"base64"}]}')
  const text = await collect(client.export('from'))
  assert.match(text, /"value":1\.00,.*\n.*\n\{"\$end":/)
  const body = async function* (bytes: Buffer) {
    yield bytes.subarray(0, 10)
    yield bytes.subarray(10)
  }
  const plain = await client.import('to', body(Buffer.from(text)))
  assert.deepEqual([plain.imported, plain.rejected], [2, 0])
  const packed = await client.import('to', body(gzipSync(text)), { contentEncoding: 'gzip', acks: '1' })
  assert.equal(packed.imported, 2)
  const bad = await client.import('to', body(Buffer.from('{"value":1}\nnot json\n')))
  assert.deepEqual([bad.imported, bad.rejected, bad.errors[0]?.line], [1, 1, 2])
  const values = await client.import('values', body(Buffer.from('{"id":"x"}\n')), { format: 'value', key: 'id' })
  assert.equal(values.imported, 1)
  await assert.rejects(collect(client.export('nope')), { code: 'unknown_topic_or_partition' })
})

test('the cluster says who it is', async (t) => {
  const client = await start(t)
  const { engine, brokers } = await client.getCluster()
  assert.deepEqual([engine, brokers.length], ['local', 1])
})

test('a refusal carries code, details and what to do', async (t) => {
  const client = await start(t)
  await assert.rejects(client.produce('t', [{ value: 1 }, { key: 5 }]), {
    status: 422,
    code: 'invalid_record',
    retryable: false,
    details: { index: 1, member: 'key' },
  })
})

test('what is no Tailrace, and no answer, are told apart', async (t) => {
  const answers = [
    (body: string) => ({ status: 502, type: 'text/html', body: `<h1>\n Bad  gateway</h1>${body}` }),
    () => ({ status: 200, type: 'application/json', body: '{"hello":"world"}' }),
    () => ({ status: 429, type: 'application/problem+json', body: 'not json', retryAfter: '7' }),
  ]
  const server = createServer((_request, response) => {
    const { status, type, body, retryAfter } = (answers.shift() as (typeof answers)[0])('') as {
      status: number
      type: string
      body: string
      retryAfter?: string
    }
    response.writeHead(status, { 'content-type': type, ...(retryAfter && { 'retry-after': retryAfter }) }).end(body)
  }).listen(0, '127.0.0.1')
  t.after(() => void server.close())
  await new Promise((listening) => server.once('listening', listening))
  const { port } = server.address() as { port: number }
  const client = new TailraceClient({ url: `http://127.0.0.1:${port}` })
  await assert.rejects(client.listTopics(), {
    status: 502,
    code: 'unexpected_reply',
    retryable: true,
    message: 'the server answered 502: <h1> Bad gateway</h1>',
  })
  await assert.rejects(client.read('t'), { code: 'unexpected_reply', retryable: false })
  await assert.rejects(client.getTopic('t'), { status: 429, retryable: true, retryAfterMs: 7_000 })
  const nobody = new TailraceClient({ url: 'http://127.0.0.1:2' })
  await assert.rejects(nobody.listTopics(), {
    status: 0,
    code: 'unreachable',
    retryable: true,
    message: /ECONNREFUSED/,
  })
})

test('an answer that breaks off is a failure, not a shorter answer', async (t) => {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.write('{"value":1}\n', () => response.destroy())
  }).listen(0, '127.0.0.1')
  t.after(() => void server.close())
  await new Promise((listening) => server.once('listening', listening))
  const { port } = server.address() as { port: number }
  const client = new TailraceClient({ url: `http://127.0.0.1:${port}` })
  await assert.rejects(collect(client.export('t')), { code: 'broken_off', retryable: true })
})

test('groups are listed, described, reset, and deleted with or without their offsets', async (t) => {
  const client = await start(t)
  await client.createTopic({ name: 'orders', partitions: 2 })
  const reset = await client.resetOffsets('a/b', { to: 'latest', topics: ['orders'] })
  assert.equal(reset.offsets.length, 2)
  assert.deepEqual(
    (await client.listGroups()).map(({ group }) => group),
    ['a/b'],
  )
  await client.deleteOffsets('a/b', 'orders', { partitions: [1] })
  assert.deepEqual(
    (await client.getGroup('a/b')).offsets.map(({ partition, lag }) => [partition, lag]),
    [[0, 0]],
  )
  await client.deleteGroup('a/b')
  await assert.rejects(client.getGroup('a/b'), { status: 404, code: 'group_id_not_found' })
  // Sent, these would be other paths.
  for (const group of ['.', '..', '']) await assert.rejects(client.deleteGroup(group), { code: 'invalid_group_id' })
})

test('a group is polled, its leases are acknowledged, extended and released', async (t) => {
  const client = await start(t)
  await client.createTopic({ name: 'orders' })
  await client.produceJson('orders', '{"records":[{"value":1.0},{"value":2}]}')
  const first = await client.pollGroup('a/b', { topics: ['orders'], limit: 1 })
  assert.equal(first.records[0]?.member('value')?.toString(), '1.0')
  assert.deepEqual(first.positions, [{ topic: 'orders', partition: 0, from: 0, through: 0 }])
  const lease = first.lease ?? ''
  const [open] = await client.listLeases('a/b')
  assert.deepEqual(open?.positions, first.positions)
  const extended = await client.extendLease('a/b', lease, 60_000)
  assert.ok(String(extended.expires_at) > String(first.expiresAt))
  const acked = await client.ackLease('a/b', lease, { through: 'all' })
  assert.deepEqual(acked.committed, [{ topic: 'orders', partition: 0, offset: 1 }])
  const second = await client.pollGroup('a/b', { topics: ['orders'] })
  assert.equal((await client.releaseLease('a/b', second.lease ?? '')).lease, null)
  await assert.rejects(client.ackLease('a/b', second.lease ?? '', { through: 'all' }), { code: 'fenced_lease' })
  const third = await client.pollGroup('a/b', { topics: ['orders'] })
  assert.equal(third.records[0]?.offset, 1)
  const none = await client.pollGroup('a/b', { topics: ['orders'] })
  assert.deepEqual([none.lease, none.records, none.faults], [undefined, [], []])
})

test('host:port is an address, and what is none is refused at once', () => {
  assert.equal(new TailraceClient({ url: 'localhost:9000/' }).url, 'http://localhost:9000')
  assert.equal(new TailraceClient({ url: 'localhost' }).url, 'http://localhost:8082')
  assert.throws(() => new TailraceClient({ url: 'ftp://host' }), { name: 'TypeError', message: /'ftp:\/\/host' is no/ })
})
