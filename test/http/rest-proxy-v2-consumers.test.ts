// Consumers that the server keeps for clients of the REST Proxy v2 API: their life, what they are told to read, their codes.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { startServer } from '../support/http.ts'
import {
  checkFailure,
  checkStatus,
  openConsumer,
  postBinary,
  postJson,
  V2,
  V2_BINARY,
  V2_JSON,
} from '../support/rest-proxy-v2.ts'

const earliest = { format: 'json', 'auto.offset.reset': 'earliest' }

test('the session of the documentation works with curl as it is written', async (t) => {
  const server = await startServer(t)
  const curl = async (...args: string[]) => {
    const { stdout } = await promisify(execFile)('curl', ['-s', '-w', '%{http_code} %{content_type}', ...args])
    return stdout
  }
  const produced = await curl(
    ...['-X', 'POST', '-H', 'Content-Type: application/vnd.kafka.json.v2+json'],
    ...['--data', '{"records":[{"value":{"foo":"bar"}}]}', `${server.url}/topics/jsontest`],
  )
  assert.equal(
    produced,
    '{"offsets":[{"partition":0,"offset":0,"error_code":null,"error":null}],"key_schema_id":null,"value_schema_id":null}\n200 application/vnd.kafka.v2+json',
  )
  const url = `${server.url}/consumers/my_group/instances/c1`
  const json = ['-X', 'POST', '-H', 'Content-Type: application/vnd.kafka.v2+json', '--data']
  assert.equal(
    await curl(
      ...json,
      '{"name":"c1","format":"json","auto.offset.reset":"earliest"}',
      `${server.url}/consumers/my_group`,
    ),
    `{"instance_id":"c1","base_uri":"${url}"}\n200 application/vnd.kafka.v2+json`,
  )
  assert.equal(await curl(...json, '{"topics":["jsontest"]}', `${url}/subscription`), '204 ')
  assert.equal(
    await curl('-X', 'GET', '-H', 'Accept: application/vnd.kafka.json.v2+json', `${url}/records`),
    '[{"topic":"jsontest","key":null,"value":{"foo":"bar"},"partition":0,"offset":0}]\n200 application/vnd.kafka.json.v2+json',
  )
  assert.equal(
    await curl('-X', 'POST', '-H', 'Content-Type: application/vnd.kafka.v2+json', `${url}/offsets`),
    '[]\n200 application/vnd.kafka.v2+json',
  )
  assert.equal(
    await curl(
      ...['-X', 'GET', ...json.slice(2)],
      '{"partitions":[{"topic":"jsontest","partition":0}]}',
      `${url}/offsets`,
    ),
    '{"offsets":[{"topic":"jsontest","partition":0,"offset":1,"metadata":""}]}\n200 application/vnd.kafka.v2+json',
  )
  assert.equal(await curl('-X', 'DELETE', url), '204 ')
  assert.match(await curl('-X', 'DELETE', url), /"error_code":40403,"message":"Consumer instance not found\."}\n404/)
})

test('what is given when a consumer is made: two names for some, text or not, and nothing is known beside', async (t) => {
  const server = await startServer(t)
  const create = (body?: string | object, headers = {}) =>
    server.post('/consumers/g', body, { 'content-type': V2, ...headers })

  for (const body of [undefined, '', '{}', 'null']) {
    const { instance_id: id, base_uri: uri } = (await create(body)).json()
    assert.match(id, /^rest-consumer-[0-9a-f-]{36}$/)
    assert.equal(uri, `${server.url}/consumers/g/instances/${id}`)
  }
  assert.equal((await create({ id: 'by-id', name: 'by-name' })).json().instance_id, 'by-id')
  const all = {
    name: 5,
    format: 'JSON',
    'auto.offset.reset': 'earliest',
    'auto.commit.enable': false,
    'fetch.min.bytes': '7',
    'consumer.request.timeout.ms': 10,
    'session.timeout.ms': '6000',
    'isolation.level': 'read_committed',
  }
  assert.equal((await create(all)).json().instance_id, '5')
  const aliases = { name: 'a', 'enable.auto.commit': 'true', responseMinBytes: -1, requestWaitMs: 5, format: null }
  checkStatus(await create(aliases), 200)

  checkFailure(await create({ name: 'a' }), 40902, /^Consumer with specified consumer ID already exists/)
  checkFailure(await create({ 'max.poll.records': 1 }), 422, /^Unrecognized field: max\.poll\.records; allowed are /)
  checkFailure(await create({ format: 'xml' }), 422, /^Invalid format type\./)
  for (const format of ['avro', 'JsonSchema', 'protobuf']) checkStatus(await create({ format }), 200)
  for (const wrong of [
    { 'auto.offset.reset': 'smallest' },
    { 'auto.commit.enable': 'yes' },
    { 'isolation.level': 'dirty' },
    { 'fetch.min.bytes': 'x' },
    { 'consumer.request.timeout.ms': 1.5 },
    { 'session.timeout.ms': 1 },
    { name: '' },
    { name: '..' },
    { name: 'a\u0000b' },
    { name: 'x'.repeat(250) },
  ]) {
    checkFailure(await create(wrong), 42204, /^Invalid consumer configuration: /)
  }
  for (const wrong of [{ 'fetch.min.bytes': -2 }, { responseMinBytes: 10_000_001 }, { requestWaitMs: -1 }]) {
    const constraint = /^Invalid consumer configuration\. It does not abide by the constraints:/
    checkFailure(await create(wrong), 40001, constraint)
  }
  for (const wrong of ['{', '[]', '7']) checkFailure(await create(wrong), 400)
  checkFailure(await create({ name: {} }), 422)
  checkFailure(
    await create({}, { 'content-type': 'text/plain' }),
    415,
    /^HTTP 415 Unsupported Media Type: .*; allowed are application\/vnd\.kafka\.v2\+json/,
  )
  assert.equal((await create({}, { accept: 'text/html' })).status, 406)
  const named = await create({ name: 'json' }, { accept: V2_JSON, 'content-type': V2_BINARY })
  assert.equal(named.headers['content-type'], V2_JSON)
  checkFailure(await server.post('/consumers/%00', {}, { 'content-type': V2 }), 40002)
})

test('names hold what they like, percent-encoded, and the URL in the reply leads there', async (t) => {
  const server = await startServer(t)
  for (const [group, name] of [
    ['a/b c', 'x/y?z'],
    ['ä%', '100%&ü'],
  ] as const) {
    const consumer = await openConsumer(server, group, { name })
    checkStatus(await server.get(`${consumer.path}/subscription`), 200)
    checkStatus(await server.get(`${consumer.path}/subscription/`), 200)
    await consumer.delete()
  }
})

test('the URL of a consumer is as the proxies in front of it say, and as it is advertised', async (t) => {
  const server = await startServer(t, { set: { 'access.control.allow.origin': 'http://proxy.example' } })
  const uriOf = async (headers: Record<string, string>, from = server) => {
    const reply = await from.post('/consumers/g', {}, { 'content-type': V2, ...headers })
    return new URL(reply.json().base_uri).href.replace(/\/consumers.*/, '')
  }
  assert.equal(await uriOf({ host: 'proxy.example:80' }), 'http://proxy.example')
  assert.equal(await uriOf({ 'x-forwarded-proto': 'https', 'x-forwarded-host': 'a.example, b' }), 'https://a.example')
  assert.equal(
    await uriOf({ 'x-forwarded-host': 'a.example:81', 'x-forwarded-prefix': '/kafka' }),
    'http://a.example:81/kafka',
  )
  assert.equal(
    await uriOf({ forwarded: 'for=1.2.3.4;proto=https;host="h.example:8443", for=x' }),
    'https://h.example:8443',
  )
  assert.equal(await uriOf({ 'x-forwarded-host': 'evil@host/"', 'x-forwarded-prefix': '//x' }), server.url)
  const known = await startServer(t, { set: { 'advertised.listeners': 'https://kafka.example:443' } })
  assert.equal(await uriOf({ host: 'x' }, known), 'https://kafka.example')
})

test('every call to a consumer that is not there is 404 / 40403', async (t) => {
  const server = await startServer(t)
  const gone = await openConsumer(server, 'g', { name: 'gone' })
  await gone.delete()
  const partitions = { partitions: [{ topic: 't', partition: 0 }] }
  for (const path of [gone.path, '/consumers/g/instances/never', '/consumers/never/instances/c']) {
    for (const [method, rest, body] of [
      ['DELETE', '', undefined],
      ['POST', '/subscription', { topics: ['t'] }],
      ['GET', '/subscription', undefined],
      ['DELETE', '/subscription', undefined],
      ['POST', '/assignments', partitions],
      ['GET', '/assignments', undefined],
      ['POST', '/positions', {}],
      ['POST', '/positions/beginning', partitions],
      ['POST', '/positions/end', partitions],
      ['POST', '/offsets', undefined],
      ['GET', '/offsets', partitions],
      ['GET', '/records', undefined],
    ] as const) {
      const request = { headers: { 'content-type': V2 }, ...(body === undefined ? {} : { body }) }
      checkFailure(await server.request(method, path + rest, request), 40403, 'Consumer instance not found.')
    }
  }
})

test('a subscription is to topics or to a pattern; what does not fit is refused and changes nothing', async (t) => {
  const server = await startServer(t)
  for (const topic of ['logs-a', 'logs-b', 'other'])
    await postJson(server, `/topics/${topic}`, '{"records":[{"value":1}]}')
  const consumer = await openConsumer(server, 'g', { name: 'c', ...earliest })
  const topicsOf = async () => (await consumer.call('GET', '/subscription')).json().topics
  const subscribe = (body?: string | object) => consumer.call('POST', '/subscription', body)
  assert.deepEqual(await topicsOf(), [])

  for (const wrong of [undefined, {}, { topics: 'x' }, { topics: [1] }, { topic: ['x'] }, { topic_pattern: '' }])
    checkFailure(await subscribe(wrong), 422)
  checkFailure(await subscribe({ topic_pattern: '(' }), 400)
  checkFailure(await subscribe({ topics: ['a b'] }), 40002)
  assert.deepEqual(await topicsOf(), [])

  await consumer.subscribe('not-there-yet')
  assert.deepEqual(await topicsOf(), ['not-there-yet'])
  checkStatus(await subscribe({ topics: ['other'], topic_pattern: 'logs-.*' }), 204)
  assert.deepEqual(await topicsOf(), ['other'])
  checkFailure(await subscribe({ topic_pattern: 'logs-.*' }), 40903, /mutually exclusive/)
  const assign = () => consumer.call('POST', '/assignments', { partitions: [{ topic: 'other', partition: 0 }] })
  checkFailure(
    await assign(),
    40903,
    'Illegal state: Subscription to topics, partitions and pattern are mutually exclusive',
  )
  assert.deepEqual(
    (await consumer.readAll(1)).map(({ topic }) => topic),
    ['other'],
  )

  checkStatus(await consumer.call('DELETE', '/subscription'), 204)
  assert.deepEqual(await topicsOf(), [])
  checkFailure(await consumer.read(), 40903, /^Illegal state: .*not subscribed/)
  checkStatus(await subscribe({ topic_pattern: 'logs-.*' }), 204)
  const read = await consumer.readAll(2)
  assert.deepEqual(read.map(({ topic }) => topic).sort(), ['logs-a', 'logs-b'])
  assert.deepEqual(await topicsOf(), ['logs-a', 'logs-b'])
  await postJson(server, '/topics/logs-c', '{"records":[{"value":1}]}')
  assert.deepEqual(
    (await consumer.readAll(1)).map(({ topic }) => topic),
    ['logs-c'],
  )
  checkStatus(await subscribe({ topics: [] }), 204)
  checkStatus(await assign(), 204)
  checkFailure(await subscribe({ topics: ['other'] }), 40903)
  assert.deepEqual((await consumer.call('GET', '/assignments')).json(), {
    partitions: [{ topic: 'other', partition: 0 }],
  })
})

test('assigned partitions are read without the group, from its committed offsets', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '2' } })
  const put = (topic: string, partition: number, ...values: number[]) =>
    postJson(server, `/topics/${topic}`, { records: values.map((value) => ({ value, partition })) })
  await put('t', 0, 1, 2, 3)
  await put('t', 1, 11)
  const one = await openConsumer(server, 'g', { name: 'one', ...earliest })
  const two = await openConsumer(server, 'g', { name: 'two', ...earliest, 'auto.commit.enable': 'false' })
  await one.assign(['t', 0])
  await two.assign(['t', 0], ['t', 1], ['none', 0], ['t', 9])
  assert.deepEqual(
    (await one.readAll(3)).map(({ value }) => value),
    [1, 2, 3],
  )
  assert.deepEqual((await two.readAll(4)).map(({ value }) => value).sort(), [1, 11, 2, 3])
  await put('none', 0, 7)
  assert.deepEqual(
    (await two.readAll(1)).map(({ topic }) => topic),
    ['none'],
  )
  await one.commit({ offsets: [{ topic: 't', partition: 0, offset: 0 }] })
  const three = await openConsumer(server, 'g', { name: 'three', ...earliest })
  await three.assign(['t', 0])
  assert.deepEqual(
    (await three.readAll(2)).map(({ value }) => value),
    [2, 3],
  )
  await three.assign(['t', 0], ['t', 1])
  assert.deepEqual(
    (await three.readAll(1)).map(({ value }) => value),
    [11],
  )
  checkStatus(await three.call('POST', '/assignments', { partitions: [] }), 204)
})

test('positions: offsets, times and both ends, of assigned partitions only', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '2', 'compat.lenient': 'true' } })
  const records = [1, 2, 3].map((value) => ({ value, partition: 0, timestamp: value * 1000 }))
  await postJson(server, '/topics/t', { records })
  const consumer = await openConsumer(server, 'g', { name: 'c', ...earliest })
  await consumer.subscribe('t')
  const seek = (path: string, body?: object) => consumer.call('POST', `/positions${path}`, body)
  const values = async () => (await consumer.records('?timeout=100')).map(({ value }) => value)
  const p0 = { topic: 't', partition: 0 }

  assert.deepEqual(await values(), [1, 2, 3])
  checkStatus(await seek('', { offsets: [{ ...p0, offset: 1, metadata: '' }] }), 204)
  assert.deepEqual(await values(), [2, 3])
  checkStatus(await seek('/beginning', { partitions: [p0, { topic: 't', partition: 1 }] }), 204)
  assert.deepEqual(await values(), [1, 2, 3])
  for (const [timestamp, expected] of [
    ['1970-01-01T00:00:02Z', [2, 3]],
    [2.5, [3]],
    ['1.0', [1, 2, 3]],
    [9, []],
  ] as const) {
    checkStatus(await seek('', { timestamps: [{ ...p0, timestamp }] }), 204)
    assert.deepEqual(await values(), expected)
  }
  checkStatus(await seek('/beginning', { partitions: [p0] }), 204)
  checkStatus(await seek('/end', { partitions: [p0] }), 204)
  assert.deepEqual(await values(), [])
  // beyond the end: its policy says where it goes on
  checkStatus(await seek('', { offsets: [{ ...p0, offset: 99 }] }), 204)
  assert.deepEqual(await values(), [1, 2, 3])

  const other = { topic: 't', partition: 7 }
  for (const [path, body] of [
    [
      '',
      {
        offsets: [
          { ...p0, offset: 0 },
          { ...other, offset: 0 },
        ],
      },
    ],
    ['', { offsets: [{ ...p0, offset: 0 }], timestamps: [{ ...other, timestamp: 1 }] }],
    ['/beginning', { partitions: [p0, other] }],
    ['/end', { partitions: [other] }],
  ] as const) {
    checkFailure(await seek(path, body), 40903, 'Illegal state: No current assignment for partition t-7')
  }
  assert.deepEqual(await values(), [], 'none of them was sought')
  for (const wrong of [
    undefined,
    { offsets: [{ ...p0 }] },
    { offsets: [{ ...p0, offset: -1 }] },
    { offsets: [{ topic: 't', offset: 1 }] },
    { offsets: {} },
    { timestamps: [{ ...p0, timestamp: 'yesterday' }] },
    { timestamps: [{ ...p0, timestamp: true }] },
    { partitions: [p0] },
  ]) {
    checkFailure(await seek('', wrong), 422)
  }
})

test('offsets are committed: all that was consumed, or as the client says, and read back', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '3' } })
  await postJson(server, '/topics/t', { records: [0, 0, 1].map((partition) => ({ value: 1, partition })) })
  const consumer = await openConsumer(server, 'g', { name: 'c', ...earliest, 'auto.commit.enable': 'false' })
  const at = (partition: number, offset: number, metadata = '') => ({ topic: 't', partition, offset, metadata })
  const all = [
    ['t', 0],
    ['t', 1],
    ['t', 2],
  ] as const
  await consumer.subscribe('t')
  await consumer.commit()
  await consumer.readAll(3)
  await consumer.records('?timeout=1')
  assert.deepEqual(
    (await consumer.committed(...all)).filter((one) => JSON.stringify(one).includes('"offset":2')),
    [],
  )
  await consumer.commit()
  assert.deepEqual(await consumer.committed(...all), [at(0, 2), at(1, 1), at(2, 0)])
  await consumer.commit({})
  await consumer.commit({ offsets: [] })
  // the last record that was dealt with, as Confluent's proxy has it
  await consumer.commit({ offsets: [at(0, 20, 'note')] })
  // the next one, as Redpanda's has it
  await consumer.commit({ partitions: [{ topic: 't', partition: 1, offset: 20 }] })
  assert.deepEqual(await consumer.committed(...all), [at(0, 21, 'note'), at(1, 20), at(2, 0)])
  const byQuery = await consumer.call('GET', '/offsets?topic=t&partition=0&topic=t&partition=1')
  assert.deepEqual(byQuery.json().offsets, [at(0, 21, 'note'), at(1, 20)])
  const unknown = await consumer.committed(['t', 9], ['none', 0])
  assert.deepEqual(unknown, [])

  checkFailure(await consumer.call('GET', '/offsets'), 40402, /Name partitions in the body/)
  checkFailure(await consumer.call('GET', '/offsets?topic=t'), 422)
  checkFailure(await consumer.call('GET', '/offsets?topic=t&partition=x'), 422)
  const commit = (body: object) => consumer.call('POST', '/offsets', body)
  checkFailure(await commit({ offsets: [at(0, 1), at(9, 1)] }), 40903, /t-9/)
  checkFailure(await commit({ offsets: [at(0, -1)] }), 422)
  checkFailure(await commit({ offsets: [at(0, 2 ** 53)] }), 422)
  checkFailure(await commit({ offsets: [{ topic: 't', partition: 0 }] }), 422)
  checkFailure(await commit({ offsets: [at(0, 1)], partitions: [at(0, 1)] }), 422)
  checkFailure(await commit({ offset: [] }), 422, /^Unrecognized field: offset; did you mean offsets\?$/)
  checkFailure(await commit({ offsets: [at(0, 1, 'm'.repeat(10_000))] }), 40002)
  assert.deepEqual(await consumer.committed(['t', 0]), [at(0, 21, 'note')])
  await consumer.delete()
  // without a subscription: from outside, as tools set a group's offsets
  const tool = await openConsumer(server, 'g', { name: 'tool' })
  await tool.commit({ offsets: [at(2, 4)] })
  assert.deepEqual(await tool.committed(['t', 2]), [at(2, 5)])
})

test('a record that no JSON consumer can show is told of once, with where it is, and does not stop it', async (t) => {
  const server = await startServer(t)
  const bytes = Buffer.from('not json').toString('base64')
  await postJson(server, '/topics/t', '{"records":[{"value":1},{"value":2}]}')
  await postBinary(server, '/topics/t', { records: [{ value: bytes }, { key: bytes, value: null }] })
  await postJson(server, '/topics/t', '{"records":[{"value":5}]}')
  const consumer = await openConsumer(server, 'g', { name: 'c', ...earliest })
  await consumer.subscribe('t')
  assert.deepEqual(
    (await consumer.records()).map(({ value }) => value),
    [1, 2],
  )
  checkFailure(await consumer.read(), 40801, /^Error deserializing value for partition t-0 at offset 2\b/)
  checkFailure(await consumer.read(), 40801, /^Error deserializing key for partition t-0 at offset 3\b/)
  assert.deepEqual(
    (await consumer.records()).map(({ value }) => value),
    [5],
  )
  await consumer.commit()
  assert.deepEqual(await consumer.committed(['t', 0]), [{ topic: 't', partition: 0, offset: 5, metadata: '' }])
  const binary = await openConsumer(server, 'g2', { name: 'c', 'auto.offset.reset': 'earliest' })
  await binary.subscribe('t')
  assert.equal((await binary.readAll(5))[2]?.value, bytes)
})

test('Accept on records: the format of the consumer, or application/json', async (t) => {
  const server = await startServer(t)
  await postJson(server, '/topics/t', '{"records":[{"value":1}]}')
  const consumer = await openConsumer(server, 'g', { name: 'c', ...earliest })
  await consumer.subscribe('t')
  for (const accept of ['*/*', V2, V2_BINARY, 'application/vnd.kafka.avro.v2+json']) {
    const reply = await consumer.read('', accept)
    assert.equal(reply.status, 406)
    assert.equal(reply.json().error_code, 40601, accept)
  }
  const none = await server.get(`${consumer.path}/records`)
  assert.equal(none.json().error_code, 40601)
  assert.equal(none.headers['content-type'], V2_BINARY)
  const unknown = await consumer.read('', 'text/html')
  assert.equal(unknown.status, 406)
  assert.equal(unknown.body.length, 0)
  const head = await server.request('HEAD', `${consumer.path}/records`, { headers: { accept: V2_JSON } })
  assert.equal(head.status, 405)
  const plain = await consumer.read('', 'application/json')
  assert.equal(plain.headers['content-type'], V2_JSON)
  assert.equal(plain.json().length, 1)
  checkFailure(await consumer.read('?timeout=x'), 40002)
  checkFailure(await consumer.read('?max_bytes=1.5'), 40002)
  const binary = await openConsumer(server, 'g2', { name: 'c', 'auto.offset.reset': 'earliest' })
  await binary.subscribe('t')
  for (const accept of ['*/*', V2_BINARY]) checkStatus(await binary.read('?timeout=1', accept), 200)
})
