// Producing through the REST Proxy v2 API: what is stored, what is answered, what is refused.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { Partitioners } from 'kafkajs'
import { topicConfigDefaults } from '../../src/engine/topic-config.ts'
import { buildServer } from '../../src/http/server.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { createProduceService } from '../../src/service/produce/produce.ts'
import { createConsumeService } from '../../src/service/read/consume.ts'
import { createTopicService } from '../../src/service/topics.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startServer } from '../support/http.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import {
  checkFailure,
  postBinary,
  postJson,
  storedIn,
  taken,
  V2,
  V2_BINARY,
  V2_JSON,
} from '../support/rest-proxy-v2.ts'

const ONE = '{"records":[{"value":1}]}'

test('a first record makes its topic, and the answer has explicit nulls', async (t) => {
  const server = await startServer(t)
  const reply = await postJson(server, '/topics/t', '{"records":[{"key":"k","value":{"foo":"bar"}}]}')
  assert.equal(reply.status, 200)
  assert.equal(reply.headers['content-type'], V2)
  assert.equal(
    reply.text(),
    '{"offsets":[{"partition":0,"offset":0,"error_code":null,"error":null}],"key_schema_id":null,"value_schema_id":null}\n',
  )
  assert.deepEqual((await server.get('/topics')).json(), ['t'])
  assert.equal((await server.get('/topics/t')).json().partitions.length, 1)
  assert.deepEqual(await storedIn(server, 't'), [{ key: '"k"', value: '{"foo":"bar"}' }])
})

test('binary: keys, partitions, both, nulls, to the topic and to a partition', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '3' } })
  const values =
    '{"records":[{"value":"AP8="},{"value":""},{"value":null,"key":"aw=="},{"key":null,"value":"YQ==","partition":null}]}'
  const some = await postBinary(server, '/topics/t/partitions/1', values)
  assert.deepEqual(some.json().offsets, [taken(1, 0), taken(1, 1), taken(1, 2), taken(1, 3)])
  assert.deepEqual(await storedIn(server, 't', 1), [
    { key: null, value: '\0\xff' },
    { key: null, value: '' },
    { key: 'k', value: null },
    { key: null, value: 'a' },
  ])
  const own = await postBinary(
    server,
    '/topics/t',
    '{"records":[{"key":"aw==","value":"YQ==","partition":2},{"value":"YQ==","partition":0}]}',
  )
  assert.deepEqual(own.json().offsets, [taken(2, 0), taken(0, 0)])
  const both = await postBinary(
    server,
    '/topics/t/partitions/1',
    '{"records":[{"value":"YQ==","partition":"2"},{"value":"YQ=="}]}',
  )
  assert.deepEqual(both.json().offsets, [taken(2, 1), taken(1, 4)], "a record's own partition wins")
  const forms = await postBinary(
    server,
    '/topics/b',
    '{"records":[{"value":"\\/\\/8="},{"value":"\\u0061GVsbG8="},{"value":"aGk"},{"value":"aA"}]}',
  )
  assert.equal(forms.status, 200)
  const found = (await Promise.all([0, 1, 2].map((partition) => storedIn(server, 'b', partition)))).flat()
  assert.deepEqual(
    found.map(({ value }) => value),
    ['\xff\xff', 'hello', 'hi', 'h'],
  )
})

test('JSON is stored as it was sent, but for white space that means nothing', async (t) => {
  const server = await startServer(t)
  const pairs = [
    ['{"value":12345678901234567890}', '{"value":12345678901234567890}'],
    ['1.0', '1.0'],
    ['-0', '-0'],
    ['1E400', '1E400'],
    ['{"b":1,"a":2,"b":3}', '{"b":1,"a":2,"b":3}'],
    ['{"__proto__":{"x":1}}', '{"__proto__":{"x":1}}'],
    ['"\\ud800 \\u0041\\/"', '"\\ud800 \\u0041\\/"'],
    ['{\n\t"a" : [ 1 , 2 ] ,\r\n "b c" : "d  e"\n}', '{"a":[1,2],"b c":"d  e"}'],
    ['[ ]', '[]'],
    ['""', '""'],
    ['"null"', '"null"'],
    ['true', 'true'],
    ['"ä€😀"', Buffer.from('"ä€😀"').toString('latin1')],
    [`"${'x'.repeat(1 << 20)}"`, `"${'x'.repeat(1 << 20)}"`],
    ['null', null],
  ] as const
  const body = `{ "records" : [ ${pairs.map(([sent]) => `{ "value" : ${sent} , "key" : ${sent} }`).join(' , ')} ] }`
  assert.equal((await postJson(server, '/topics/t', body)).status, 200)
  assert.deepEqual(
    await storedIn(server, 't'),
    pairs.map(([, stored]) => ({ key: stored, value: stored })),
  )
})

test('records keep their order, and keys go where a Kafka client puts the stored bytes', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '8' } })
  const place = Partitioners.DefaultPartitioner()
  const partitionMetadata = Array.from({ length: 8 }, (_, partitionId) => ({ partitionId, leader: 1 }) as never)
  const expected = (key: string) =>
    place({ topic: 't', partitionMetadata, message: { key: Buffer.from(key), value: null } })
  const keys = Array.from({ length: 200 }, (_, number) => `key ${number}`)
  const records = keys.map((key, number) => ({ key, value: number }))
  const json = (await postJson(server, '/topics/t', { records })).json().offsets as {
    partition: number
    offset: number
  }[]
  assert.deepEqual(
    json.map(({ partition }) => partition),
    keys.map((key) => expected(JSON.stringify(key))),
  )
  const next = new Map<number, number>()
  for (const { partition, offset } of json) {
    assert.equal(offset, next.get(partition) ?? 0)
    next.set(partition, offset + 1)
  }
  const encoded = keys.map((key) => ({ key: Buffer.from(key).toString('base64'), value: null }))
  const binary = (await postBinary(server, '/topics/t', { records: encoded })).json().offsets as { partition: number }[]
  assert.deepEqual(
    binary.map(({ partition }) => partition),
    keys.map(expected),
  )
})

test('what is malformed is 400, what is missing or unknown 422, and nothing is stored or made', async (t) => {
  const server = await startServer(t)
  const deep = `${'['.repeat(100_000)}`
  const json = [
    ['', 422, 'the request body must not be empty'],
    [' \n', 422, 'the request body must not be empty'],
    ['null', 422, 'the request body must not be null'],
    ['{}', 422, 'records must not be empty (was null)'],
    ['{"records":null}', 422, 'records must not be empty (was null)'],
    ['{"records":[]}', 422, 'records must not be empty (was [])'],
    ['{"records":[null]}', 422, 'records[0] must not be null'],
    ['{"records":[{"value":1}],"recrods":1}', 422, /^Unrecognized field: recrods; /],
    ['{"records":[{"value":1,"vlaue":1}]}', 422, /^Unrecognized field: vlaue; /],
    ['{"records":[{"value":1,"__proto__":1}]}', 422, /^Unrecognized field: __proto__; /],
    ['{"records":[{"value":1,"timestamp":1}]}', 422, /^Unrecognized field: timestamp; /],
    ['{"records":[{"value":1,"headers":[]}]}', 422, /^Unrecognized field: headers; /],
    [
      '{"records":[{"value":1,"partition":-1}]}',
      422,
      'records[0].partition must be greater than or equal to 0 (was -1)',
    ],
    ['{"records":[{"value":1,"partition":1.5}]}', 400, 'records[0].partition must be a whole number, not 1.5'],
    ['{"records":[{"value":1,"partition":"x"}]}', 400, /partition must be a whole number, not "x"/],
    ['{"records":[{"value":1,"partition":""}]}', 400, /partition/],
    ['{"records":[{"value":1,"partition":2147483648}]}', 400, /partition/],
    ['{"records":[{"value":1,"partition":{}}]}', 400, /partition/],
    ['{"records":{}}', 400, 'records must be an array, not {}'],
    ['{"records":["x"]}', 400, 'records[0] must be an object, not "x"'],
    ['[]', 400, 'the request body must be an object, not []'],
    ['"x"', 400, /must be an object/],
    ['nonsense', 400, /malformed JSON/],
    ['nul', 400, /malformed JSON/],
    ['{"records":[{"value":}]}', 400, /malformed JSON at line 1/],
    ['{"records":[{"value":1}]', 400, /malformed JSON/],
    ['{"records":[{"value":1}]}]', 400, /malformed JSON/],
    ['{"records":[{"vlaue":1}', 400, /malformed JSON/],
    ['{"records":[{"value":01}]}', 400, /malformed JSON/],
    [`{"records":[{"value":${deep}`, 400, /nesting/],
    [deep, 400, /./],
  ] as const
  for (const [body, errorCode, message] of json) {
    for (const path of ['/topics/t', '/topics/t/partitions/0']) {
      const reply = await postJson(server, path, body)
      checkFailure(reply, errorCode, message)
      assert.equal(reply.headers['content-type'], V2)
    }
  }
  checkFailure(
    await server.post('/topics/t', Buffer.from('{"records":[{"value":"\xff"}]}', 'latin1'), {
      'content-type': V2_JSON,
    }),
    400,
    /UTF-8/,
  )
  const binary = [
    ['"?"', 'Bad Request: data="?" is not a valid base64 string.'],
    ['"YQ="', 'Bad Request: data="YQ=" is not a valid base64 string.'],
    ['"YQ-_"', 'Bad Request: data="YQ-_" is not a valid base64 string.'],
    ['"Y Q="', 'Bad Request: data="Y Q=" is not a valid base64 string.'],
    ['1', 'Bad Request: data=1 is not a base64 string.'],
    ['{"a":1}', 'Bad Request: data={"a":1} is not a base64 string.'],
  ] as const
  for (const [value, message] of binary) {
    checkFailure(
      await postBinary(server, '/topics/t', `{"records":[{"value":"YQ=="},{"value":${value}}]}`),
      400,
      message,
    )
    checkFailure(await postBinary(server, '/topics/t', `{"records":[{"key":${value}}]}`), 400, message)
  }
  for (const partition of ['x', '1.5', '4294967296']) {
    checkFailure(await postJson(server, `/topics/t/partitions/${partition}`, ONE), 404, 'HTTP 404 Not Found')
  }
  checkFailure(await postJson(server, '/topics/t/partitions/-1', ONE), 40402)
  assert.deepEqual((await server.get('/topics')).json(), [])
})

test('members of schemas say nothing in binary and JSON, of a member twice the last counts', async (t) => {
  const server = await startServer(t)
  const schemas = '"key_schema":null,"key_schema_id":null,"value_schema":"\\"string\\"","value_schema_id":7'
  assert.equal((await postJson(server, '/topics/t', `{${schemas},"records":[{"value":1}]}`)).status, 200)
  assert.equal(
    (await postJson(server, '/topics/t', '{"records":[{"value":2}],"records":[{"value":3,"value":4}]}')).status,
    200,
  )
  assert.deepEqual(await storedIn(server, 't'), [
    { key: null, value: '1' },
    { key: null, value: '4' },
  ])
  assert.equal((await postJson(server, '/topics/t', '{"\\u0072ecords":[{"val\\u0075e":5},{}]}')).status, 200)
  assert.deepEqual((await storedIn(server, 't')).slice(2), [
    { key: null, value: '5' },
    { key: null, value: null },
  ])
})

test('each bad record has its error in its place, the others are stored', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '2' } })
  await server.post('/v1/topics', { name: 'small', partitions: 2, configs: { 'max.message.bytes': '1000' } })
  await server.post('/v1/topics', { name: 'kept', partitions: 2, configs: { 'cleanup.policy': 'compact' } })
  const large = 'x'.repeat(2000)
  const sized = await postJson(server, '/topics/small/partitions/0', {
    records: [{ value: 1 }, { value: large }, { value: 2, partition: 7 }, { value: 3 }],
  })
  assert.equal(sized.status, 200)
  const { offsets } = sized.json()
  assert.deepEqual([offsets[0], offsets[3]], [taken(0, 0), taken(0, 1)])
  assert.deepEqual({ ...offsets[1], error: '' }, { partition: null, offset: null, error_code: 50002, error: '' })
  assert.match(offsets[1].error, /max\.message\.bytes/)
  assert.deepEqual({ ...offsets[2], error: '' }, { partition: null, offset: null, error_code: 50003, error: '' })
  assert.match(offsets[2].error, /no partition 7/)
  assert.equal((await storedIn(server, 'small')).length, 2)
  const keyless = await postJson(server, '/topics/kept', { records: [{ value: 1 }, { key: 'k', value: 2 }] })
  assert.equal(keyless.status, 200)
  assert.equal(keyless.json().offsets[0].error_code, 50002)
  assert.match(keyless.json().offsets[0].error, /^Compacted topic cannot accept message without key/)
  assert.equal(keyless.json().offsets[1].error_code, null)
  const all = await postJson(server, '/topics/small', { records: [{ value: large }] })
  assert.equal(all.status, 200, 'also when every one is bad')
  const beyond = await postJson(server, '/topics/small/partitions/7', {
    records: [{ value: 1 }, { value: 1, partition: 1 }],
  })
  assert.equal(beyond.json().offsets[0].error_code, 50003)
  assert.deepEqual(beyond.json().offsets[1], taken(1, 0))
})

test('a topic that cannot be made is told record by record, at once', async (t) => {
  const server = await startServer(t, { set: { 'auto.create.topics.enable': 'false' } })
  const unknown = await postJson(server, '/topics/none', '{"records":[{"value":1},{"value":2}]}')
  assert.equal(unknown.status, 200)
  const error = "there is no topic 'none'"
  const row = { partition: null, offset: null, error_code: 50003, error }
  assert.deepEqual(unknown.json(), { offsets: [row, row], key_schema_id: null, value_schema_id: null })
  for (const name of ['a%20b', '%C3%A4%F0%9F%98%80', '..%2f..', 'x'.repeat(250), '%00']) {
    const invalid = await postJson(server, `/topics/${name}`, ONE)
    assert.equal(invalid.status, 200, name)
    assert.equal(invalid.json().offsets[0].error_code, 50002)
    assert.match(invalid.json().offsets[0].error, /topic name/)
    assert.equal((await postBinary(server, `/topics/${name}/partitions/0`, '{"records":[{}]}')).status, 200)
  }
  const internal = await postJson(server, '/topics/__internal', ONE)
  assert.equal(internal.status, 403)
  assert.equal(internal.json().offsets[0].error_code, 40301)
  assert.deepEqual((await server.get('/topics')).json(), [])
})

test('when nothing can be stored it is 503, not 200; without Retry-After where waiting does not help', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'two', configs: { 'min.insync.replicas': '2' } })
  const reply = await postJson(server, '/topics/two', ONE)
  checkFailure(reply, 50302, /min\.insync\.replicas/)
  assert.equal(reply.headers['retry-after'], undefined)
})

test('a partition that fails has its errors in place; 503 only when all do', async (t) => {
  const engine = new MemoryEngine({ partitionCountDefault: 2 })
  const clock = new FakeClock(1_800_000_000_000)
  const telemetry = new Telemetry()
  const options = {
    autoCreateTopics: true,
    deleteTopics: true,
    allowInternalTopics: false,
    defaultPartitionCount: 2,
    topicConfigDefaults: topicConfigDefaults({}),
  }
  const topics = createTopicService({ engine, options })
  const produce = createProduceService({ engine, topics, schemas: {} as never, clock, telemetry })
  const consume = createConsumeService({ engine, clock, telemetry })
  const app = buildServer({
    services: {
      engine,
      topics,
      produce,
      consume,
      groups: {} as never,
      consumers: {} as never,
      groupPolls: {} as never,
      tails: {} as never,
      groupTails: {} as never,
      registry: {} as never,
    },
    options: {
      bodyBytesMax: 1_000_000,
      requestTimeoutMs: 0,
      connectionIdleMs: 0,
      connectionsMax: 10,
      shutdownGraceMs: 0,
      compatLenient: false,
      allowedOrigins: [],
      advertised: undefined,
      consumerRequestBytesMax: 1,
      schemaRegistryProfile: 8,
    },
    clock,
    logger: silentLogger,
    telemetry,
  })
  t.after(() => app.close())
  engine.beforeWrite = ({ partition }) => {
    if (partition === 1) throw new TailraceError('disk_full', 'the disk is full')
  }
  const post = (...partitions: number[]) =>
    app.inject({
      method: 'POST',
      url: '/topics/t',
      headers: { 'content-type': V2_JSON },
      payload: { records: partitions.map((partition) => ({ value: 1, partition })) },
    })
  const mixed = await post(0, 1, 0)
  const failed = { partition: null, offset: null, error_code: 50003, error: 'the disk is full' }
  assert.equal(mixed.statusCode, 200)
  assert.deepEqual(mixed.json().offsets, [taken(0, 0), failed, taken(0, 1)])
  const none = await post(1, 1)
  assert.equal(none.statusCode, 503)
  assert.deepEqual(none.json(), { error_code: 50302, message: 'the disk is full' })
  assert.equal(none.headers['retry-after'], '1')
  const other = await post(1, 9)
  assert.equal(other.statusCode, 200, 'one of them will never be taken')
  engine.beforeWrite = () => {
    throw new Error('a bug in src/engine')
  }
  const bug = await post(0)
  assert.equal(bug.statusCode, 500)
  assert.deepEqual(bug.json(), { error_code: 500, message: 'Internal Server Error' })
})

test('compat.lenient takes application/json, timestamps and headers', async (t) => {
  const server = await startServer(t, { set: { 'compat.lenient': 'true' } })
  const timestamp = Date.now() - 1000
  const headers = [
    { key: 'a', value: 'AP8=' },
    { key: 'a', value: null },
    { key: '', value: '' },
  ]
  const reply = await server.post('/topics/t', {
    records: [
      { value: 1, timestamp, headers },
      { value: 2, timestamp: null, headers: null },
    ],
  })
  assert.deepEqual(reply.json().offsets, [taken(0, 0), taken(0, 1)])
  const [first, second] = (await server.get('/v1/topics/t/records?from=earliest')).json().records
  assert.equal(Date.parse(first.timestamp), timestamp)
  assert.equal(first.headers.length, 3)
  assert.deepEqual(second.headers, [])
  const wrong = [
    ['"timestamp":1.5', 400],
    ['"timestamp":"now"', 400],
    ['"timestamp":-1', 400],
    ['"timestamp":99999999999999999999', 400],
    ['"headers":{}', 400],
    ['"headers":[1]', 400],
    ['"headers":[{"key":1}]', 400],
    ['"headers":[{"key":"\\ud800"}]', 400],
    ['"headers":[{"key":"a","value":"?"}]', 400],
    ['"headers":[{"value":"YQ=="}]', 422],
    ['"headers":[{"key":"a","val":"YQ=="}]', 422],
  ] as const
  for (const [member, errorCode] of wrong) {
    checkFailure(await postJson(server, '/topics/t', `{"records":[{"value":1,${member}}]}`), errorCode)
  }
  const late = await postJson(server, '/topics/t', '{"records":[{"value":1,"timestamp":1}]}')
  assert.equal(late.json().offsets[0].error_code, null, 'old times are as the topic has it')
  const early = await postJson(server, '/topics/t', `{"records":[{"value":1,"timestamp":${Date.now() + 86_400_000}}]}`)
  assert.equal(early.json().offsets[0].error_code, 50002)
})

test('gzip, zstd, chunked and unsized bodies, many at a time on one topic', async (t) => {
  const server = await startServer(t)
  const encodings = [
    ['gzip', gzipSync(ONE)],
    ['zstd', zstdCompressSync(ONE)],
    ['identity', Buffer.from(ONE)],
  ] as const
  for (const [encoding, body] of encodings) {
    const headers = { 'content-type': V2_JSON, 'content-encoding': encoding }
    assert.equal((await server.post('/topics/t', body, headers)).status, 200, encoding)
  }
  const head = `POST /topics/t HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: ${V2_BINARY}\r\n`
  const chunked = await server.raw(
    `${head}transfer-encoding: chunked\r\n\r\n9\r\n{"records\r\nb\r\n":[{"value"\r\n4\r\n:"YQ\r\n6\r\n=="}]}\r\n0\r\n\r\n`,
  )
  assert.match(chunked, /^HTTP\/1\.1 200 .*"offset":3/s)
  assert.match(await server.raw(`${head}content-length: 0\r\n\r\n`), /^HTTP\/1\.1 422 .*"error_code":422/s)
  assert.match(await server.raw(`${head}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`), /^HTTP\/1\.1 422 /)
  const replies = await Promise.all(Array.from({ length: 50 }, () => postJson(server, '/topics/t', ONE)))
  const offsets = replies.map((reply) => reply.json().offsets[0].offset as number)
  assert.deepEqual(
    offsets.sort((a, b) => a - b),
    Array.from({ length: 50 }, (_, number) => number + 4),
  )
})
