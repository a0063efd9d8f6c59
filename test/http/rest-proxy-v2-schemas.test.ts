// Avro, JSON Schema and Protobuf through the REST Proxy v2 API: records made by a schema, and shown by the one they name.

import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/engine-options.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import type { TestReply } from '../support/http-send.ts'
import {
  checkFailure,
  checkStatus,
  openConsumer,
  postBinary,
  postJson,
  storedIn,
  taken,
  V2,
  V2_BINARY,
  V2_JSON,
} from '../support/rest-proxy-v2.ts'
import { register } from '../support/schema-registry.ts'

type Format = 'avro' | 'jsonschema' | 'protobuf'

const typeOf = (format: Format) => `application/vnd.kafka.${format}.v2+json`

const ORDER = JSON.stringify({
  type: 'record',
  name: 'Order',
  namespace: 'shop',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'note', type: ['null', 'string'], default: null },
    { name: 'item', type: ['null', { type: 'record', name: 'Item', fields: [{ name: 'n', type: 'int' }] }] },
  ],
})

function post(server: TestServer, format: Format, body: string | object, path = '/topics/t'): Promise<TestReply> {
  return server.post(path, body, { 'content-type': typeOf(format) })
}

/** In a frame, as text of one character a byte. */
function framed(id: number, payload: string): string {
  const head = Buffer.alloc(5)
  head.writeInt32BE(id, 1)
  return head.toString('latin1') + payload
}

const earliest = { 'auto.offset.reset': 'earliest' } as const

test('a schema in the request is registered under its topic, and known the next time', async (t) => {
  const server = await startServer(t)
  const records = [
    { key: 5, value: { id: 12345, note: { string: 'x' }, item: { 'shop.Item': { n: 1 } } } },
    { key: 6, value: { id: -1, note: null, item: null } },
  ]
  const body = { key_schema: '"int"', value_schema: ORDER, records }
  const reply = await post(server, 'avro', body)
  checkStatus(reply, 200)
  assert.equal(reply.headers['content-type'], V2)
  const ids = { key_schema_id: 1, value_schema_id: 2 }
  assert.deepEqual(reply.json(), { offsets: [taken(0, 0), taken(0, 1)], ...ids })
  assert.deepEqual((await server.get('/subjects')).json(), ['t-key', 't-value'])
  assert.deepEqual(await storedIn(server, 't'), [
    { key: framed(1, '\x0a'), value: framed(2, '\xf2\xc0\x01\x02\x02x\x02\x02') },
    { key: framed(1, '\x0c'), value: framed(2, '\x01\0\0') },
  ])
  // what is behind the records counts as what is in front of them, and white space in a schema means nothing
  const again = await post(
    server,
    'avro',
    `{"records":[{"value":${JSON.stringify(records[0]?.value)}}],"value_schema":${JSON.stringify(` ${ORDER} `)}}`,
    '/topics/t/partitions/0',
  )
  assert.deepEqual(again.json(), { offsets: [taken(0, 2)], key_schema_id: null, value_schema_id: 2 })
  assert.deepEqual((await server.get('/subjects/t-value/versions')).json(), [1])
})

test('ids name schemas, as numbers or digits; a text goes before an id; of a member twice the last counts', async (t) => {
  const server = await startServer(t)
  const text = await register(server, 'elsewhere', '"string"')
  const number = await register(server, 'others', '"int"')
  const ids = async (body: object | string) => {
    const reply = await post(server, 'avro', body)
    checkStatus(reply, 200)
    const { key_schema_id: key, value_schema_id: value } = reply.json()
    return [key, value]
  }
  const records = [{ key: 1, value: 'x' }]
  assert.deepEqual(await ids({ key_schema_id: number, value_schema_id: String(text), records }), [number, text])
  assert.deepEqual(await ids({ key_schema_id: number, value_schema_id: number, value_schema: '"string"', records }), [
    number,
    text,
  ])
  assert.deepEqual(
    await ids(`{"key_schema_id":99,"key_schema_id":${number},"value_schema_id":${text},"records":[{"key":2,"value":"a"}],
      "records":${JSON.stringify(records)},"key_schema":null,"value_schema":null}`),
    [number, text],
  )
  const values = (await storedIn(server, 't')).map(({ value }) => value)
  assert.deepEqual(values, Array(3).fill(framed(text, '\x02x')))
})

test('JSON Schema keeps the text without white space, Protobuf takes the first message', async (t) => {
  const server = await startServer(t)
  const schema = '{"type":"object","properties":{"a":{"type":"number"}},"required":["a"]}'
  const json = `{"value_schema":${JSON.stringify(schema)},"records":[{"value":{ "a" : 1.0, "b": 12345678901234567890 }}]}`
  assert.equal((await post(server, 'jsonschema', json)).json().value_schema_id, 1)
  const proto = 'syntax = "proto3"; message M { int64 a = 1; string b = 2; } message N {}'
  const body = { value_schema: proto, records: [{ value: { a: '7' } }] }
  assert.equal((await post(server, 'protobuf', body, '/topics/p')).json().value_schema_id, 2)
  assert.deepEqual(await storedIn(server, 't'), [{ key: null, value: framed(1, '{"a":1.0,"b":12345678901234567890}') }])
  assert.deepEqual(await storedIn(server, 'p'), [{ key: null, value: framed(2, '\0\x08\x07') }])
})

test('null is a value of a schema, and no value without one', async (t) => {
  const server = await startServer(t)
  const nullable = '["null","string"]'
  const records = [{ value: null }, {}, { value: { string: 'a' } }]
  checkStatus(await post(server, 'avro', { value_schema: nullable, records }), 200)
  checkStatus(await post(server, 'avro', { key_schema: '"int"', records: [{ key: 1, value: null }, { key: 2 }] }), 200)
  assert.deepEqual(await storedIn(server, 't'), [
    { key: null, value: framed(1, '\0') },
    { key: null, value: framed(1, '\0') },
    { key: null, value: framed(1, '\x02\x02a') },
    { key: framed(2, '\x02'), value: null },
    { key: framed(2, '\x04'), value: null },
  ])
  const refused = { value_schema: '"string"', records: [{ value: 'a' }, { value: null }] }
  checkFailure(
    await post(server, 'avro', refused, '/topics/u'),
    42203,
    /^Conversion of JSON to Object failed: records\[1\]\.value/,
  )
})

test('what is wrong has its number, and nothing of the request is stored', async (t) => {
  const server = await startServer(t)
  const text = await register(server, 'texts', '"string"')
  const json = await register(server, 'j', '{"type":"object"}', 'JSON')
  const value = [{ value: 'x' }]
  const refused = async (format: Format, body: object | string, code: number, message: RegExp) =>
    checkFailure(await post(server, format, body), code, message)
  await refused('avro', { value_schema_id: text, records: [{ key: 1, value: 'x' }] }, 42201, /keys .*records\[0\]/)
  await refused(
    'avro',
    { key_schema_id: text, records: [{ key: 'k' }, { key: 'k', value: 1 }] },
    42202,
    /values .*records\[1\]/,
  )
  await refused('avro', { records: value }, 42202, /does not include value schema/)
  await refused(
    'avro',
    { value_schema_id: text, records: [{ value: 'x' }, { value: 1 }] },
    42203,
    /records\[1\]\.value/,
  )
  await refused('avro', { value_schema_id: json, records: value }, 42205, /Invalid schema: .*2 is jsonschema, not avro/)
  await refused('avro', { value_schema: 'x', records: value }, 42205, /^Invalid schema: /)
  await refused('avro', { value_schema: '{"type":"foo"}', records: value }, 42205, /^Invalid schema: .*foo/)
  await refused('protobuf', { value_schema: 'message', records: value }, 42205, /^Invalid schema: /)
  await refused('avro', { value_schema_id: 99, records: value }, 42207, /^Error serializing message\. .*99/)
  for (const id of [0, -1, 2 ** 31]) {
    await refused('avro', { value_schema_id: id, records: value }, 42207, /^Error serializing message\. /)
  }
  for (const id of [1.5, 'x', true, [1], ''] as const) {
    await refused('avro', { key_schema_id: id, records: value }, 400, /^key_schema_id must be a whole number/)
  }
  for (const schema of [{ type: 'string' }, 5]) {
    await refused('avro', { value_schema: schema, records: value }, 400, /^value_schema must be a string/)
  }
  await register(server, 't-value', '"int"')
  await refused('avro', { value_schema: '"boolean"', records: [{ value: true }] }, 42207, /incompatible/)
  // before anything is registered
  for (const body of ['{"value_schema":"\\"int\\""}', '{"value_schema":"\\"int\\"","records":[]}']) {
    checkFailure(await post(server, 'avro', body, '/topics/new'), 422, /records must not be empty/)
  }
  const unknown = { value_schema: '"int"', records: [{ value: 1, x: 1 }] }
  checkFailure(
    await post(server, 'avro', unknown, '/topics/new'),
    422,
    /^Unrecognized field: x; allowed are key, value, partition$/,
  )
  checkFailure(
    await post(server, 'avro', { schema_id: text, records: [{ value: 'x' }] }, '/topics/new'),
    422,
    'Unrecognized field: schema_id; allowed are records, key_schema, key_schema_id, value_schema, value_schema_id',
  )
  checkFailure(await post(server, 'avro', '{"value_schema":"\\"int\\"","records":[{"value":1}', '/topics/new'), 400)
  assert.deepEqual((await server.get('/topics')).json(), [])
  assert.deepEqual((await server.get('/subjects')).json(), ['j', 't-value', 'texts'])
})

test('a topic that cannot be written to is told record by record, and gets no subject', async (t) => {
  const server = await startServer(t, { set: { 'auto.create.topics.enable': 'false' } })
  const body = { value_schema: '"int"', records: [{ value: 1 }] }
  assert.equal((await post(server, 'avro', body, '/topics/__internal')).status, 403)
  assert.deepEqual((await server.get('/subjects')).json(), [])
})

test('of two schemas in a request of which one is refused neither is registered', async (t) => {
  const server = await startServer(t)
  await register(server, 't-value', '"int"')
  const value = { key_schema: '"int"', value_schema: '"string"', records: [{ key: 5, value: 'x' }] }
  checkFailure(await post(server, 'avro', value), 42207)
  const key = { key_schema: '"string"', value_schema: ORDER, records: [{ key: 'x', value: null }] }
  await register(server, 'u-key', '"int"')
  checkFailure(await post(server, 'avro', key, '/topics/u'), 42207)
  assert.deepEqual((await server.get('/subjects')).json(), ['t-value', 'u-key'])
})

test('a consumer of a schema format gets what others have framed, in whichever of the three it is', async (t) => {
  const server = await startServer(t)
  const value = { id: 1, note: { string: 'x' }, item: { 'shop.Item': { n: 2 } } }
  checkStatus(
    await post(server, 'avro', { key_schema: '"int"', value_schema: ORDER, records: [{ key: 1, value }] }),
    200,
  )
  const json = { value_schema_id: await register(server, 'j', '{"type":"object"}', 'JSON') }
  checkStatus(await post(server, 'jsonschema', { ...json, records: [{ value: { a: [1] } }] }), 200)
  const proto = await register(server, 'p', 'syntax = "proto3"; message M { int64 a = 1; string b = 2; }', 'PROTOBUF')
  checkStatus(await post(server, 'protobuf', { value_schema_id: proto, records: [{ value: { a: 7 } }] }), 200)
  checkStatus(await postBinary(server, '/topics/t', { records: [{ value: null }] }), 200)
  for (const format of ['avro', 'JsonSchema', 'protobuf']) {
    const consumer = await openConsumer(server, `g-${format}`, { name: 'c', format, ...earliest })
    await consumer.subscribe('t')
    const own = format.toLowerCase() as Format
    for (const accept of ['*/*', V2, V2_BINARY, V2_JSON]) {
      const mismatch = await consumer.read('', accept)
      assert.equal(mismatch.status, 406, accept)
      assert.equal(mismatch.json().error_code, 40601)
    }
    const reply = await consumer.read('', typeOf(own))
    checkStatus(reply, 200)
    assert.equal(reply.headers['content-type'], typeOf(own))
    const place = { topic: 't', partition: 0 }
    assert.deepEqual(reply.json(), [
      { ...place, key: 1, value, offset: 0 },
      { ...place, key: null, value: { a: [1] }, offset: 1 },
      { ...place, key: null, value: { a: '7', b: '' }, offset: 2 },
      { ...place, key: null, value: null, offset: 3 },
    ])
    const other: Format = own === 'avro' ? 'protobuf' : 'avro'
    const empty = await consumer.read('?timeout=1', typeOf(other))
    checkStatus(empty, 200)
    assert.equal(empty.headers['content-type'], typeOf(other))
    assert.equal((await consumer.read('?timeout=1', 'application/json')).headers['content-type'], typeOf(own))
    const committed = await server.request('GET', `${consumer.path}/subscription`, { headers: { accept: typeOf(own) } })
    assert.equal(committed.headers['content-type'], typeOf(own))
    await consumer.delete()
  }
})

test('what has no frame that can be read is told once, with its place, and passed', async (t) => {
  const server = await startServer(t)
  const text = await register(server, 't-value', '"string"')
  const good = { value_schema_id: text, records: [{ value: 'a' }] }
  const base64 = (bytes: string) => Buffer.from(bytes, 'latin1').toString('base64')
  const bad = [
    { value: base64('{"plain":"json"}') },
    { value: base64(framed(99, '\x02a')) },
    { value: base64(framed(text, '\x0aa')) },
    { value: base64(framed(text, '\x02a')), key: base64('plain') },
    { value: '' },
  ]
  for (const one of bad) {
    checkStatus(await post(server, 'avro', good), 200)
    checkStatus(await postBinary(server, '/topics/t', { records: [one] }), 200)
  }
  const consumer = await openConsumer(server, 'g', { name: 'c', format: 'avro', ...earliest })
  await consumer.subscribe('t')
  const read = () => consumer.read('?timeout=1', typeOf('avro'))
  for (let at = 0; at < bad.length; at++) {
    const shown = await read()
    checkStatus(shown, 200)
    assert.deepEqual(shown.json(), [{ topic: 't', key: null, value: 'a', partition: 0, offset: 2 * at }])
    const told = await read()
    const part = at === 3 ? 'key' : 'value'
    checkFailure(told, 40801, new RegExp(`^Error deserializing ${part} for partition t-0 at offset ${2 * at + 1}: `))
    assert.equal(told.headers['content-type'], typeOf('avro'))
  }
  assert.deepEqual((await read()).json(), [])
  const binary = await openConsumer(server, 'g2', { name: 'c', ...earliest })
  await binary.subscribe('t')
  assert.equal((await binary.readAll(10))[1]?.value, bad[0]?.value)
})

test('what v1 makes v2 shows, and the other way round; JSON goes its own way', async (t) => {
  const server = await startServer(t)
  await register(server, 't-value', ORDER)
  const made = { id: 1, note: 'x', item: null }
  const v1 = await server.post('/v1/topics/t/records', { value_encoding: 'avro', records: [{ value: made }] })
  checkStatus(v1, 200)
  const value = { id: 2, note: { string: 'y' }, item: null }
  checkStatus(await post(server, 'avro', { value_schema_id: 1, records: [{ value }] }), 200)
  checkStatus(await postJson(server, '/topics/t', { value_schema_id: 77, records: [{ value: 1 }] }), 200)
  const page = (await server.get('/v1/topics/t/records?from=earliest')).json() as {
    records: { value: unknown; value_encoding: string }[]
  }
  assert.deepEqual(
    page.records.map(({ value_encoding }) => value_encoding),
    ['avro', 'avro', 'json'],
  )
  assert.deepEqual(page.records[1]?.value, value)
  const consumer = await openConsumer(server, 'g', { name: 'c', format: 'avro', ...earliest })
  await consumer.subscribe('t')
  const [first] = (await consumer.read('', typeOf('avro'))).json() as { value: unknown }[]
  assert.deepEqual(first?.value, { ...made, note: { string: 'x' } })
})

test('v1 media types, and records with timestamp and headers where the server is lenient', async (t) => {
  const server = await startServer(t, { set: { 'compat.lenient': 'true' } })
  const body = {
    value_schema: '"int"',
    records: [{ value: 1, timestamp: 1767225600000, headers: [{ key: 'h', value: 'dg==' }] }],
  }
  checkStatus(await server.post('/topics/t', body, { 'content-type': 'application/vnd.kafka.avro.v1+json' }), 200)
  const consumer = await openConsumer(server, 'g', { name: 'c', format: 'avro', ...earliest })
  await consumer.subscribe('t')
  const [record] = (await consumer.read('', typeOf('avro'))).json() as object[]
  assert.partialDeepStrictEqual(record, {
    value: 1,
    timestamp: 1767225600000,
    headers: [{ key: 'h', value: 'dg==' }],
  })
})

test('while the registry cannot answer nothing is made, passed or let in by its schemas, and nothing is lost', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await startServer(t, { dataDir })
  const configs = { 'confluent.value.schema.validation': 'true' }
  checkStatus(await first.post('/v1/topics', { name: 't', partitions: 1, configs }), 201)
  const body = { value_schema: '"int"', records: [{ value: 1 }] }
  checkStatus(await post(first, 'avro', body), 200)
  const config = { name: 'c', format: 'avro', ...earliest }
  await (await openConsumer(first, 'g', config)).subscribe('t')
  await first.close()
  // what lies in the place of its log can be opened by nobody
  const segment = join(dataDir, 'topics', '_schemas-0', '00000000000000000000.log')
  renameSync(segment, `${segment}.aside`)
  mkdirSync(segment)
  const second = await startServer(t, { dataDir })
  checkFailure(await post(second, 'avro', body), 50302)
  checkFailure(await post(second, 'avro', { value_schema_id: 1, records: [{ value: 1 }] }), 50302)
  const plain = await second.post('/v1/topics/t/records', { records: [{ value: null }] })
  assert.equal(plain.status, 503, plain.text())
  const waiting = await openConsumer(second, 'g', config, { isThere: true })
  for (let read = 0; read < 2; read++) checkFailure(await waiting.read('', typeOf('avro')), 50302)
  await second.close()
  rmdirSync(segment)
  renameSync(`${segment}.aside`, segment)
  const third = await startServer(t, { dataDir })
  const again = await openConsumer(third, 'g', config, { isThere: true })
  const shown = await again.read('', typeOf('avro'))
  assert.deepEqual(shown.json(), [{ topic: 't', key: null, value: 1, partition: 0, offset: 0 }])
})

const strategyOf = (name: string) => ({
  'confluent.value.schema.validation': 'true',
  'confluent.value.subject.name.strategy': name,
})

test('texts are registered under the subjects that the strategy of the topic names', async (t) => {
  const server = await startServer(t)
  const named = (name: string) => JSON.stringify({ type: 'record', name, namespace: 'a.b', fields: [] })
  for (const [topic, strategy] of [
    ['rn', 'RecordNameStrategy'],
    ['trn', 'TopicRecordNameStrategy'],
  ] as const) {
    checkStatus(await server.post('/v1/topics', { name: topic, configs: strategyOf(strategy) }), 201)
    for (const name of ['Rn', 'Other', 'Rn']) {
      const body = { value_schema: named(name), key_schema: '"int"', records: [{ key: 1, value: {} }] }
      const reply = await post(server, 'avro', body, `/topics/${topic}`)
      checkStatus(reply, 200)
      assert.equal(reply.json().offsets[0].error_code, null, reply.text())
    }
    const nameless = await post(server, 'avro', { value_schema: '"int"', records: [{ value: 1 }] }, `/topics/${topic}`)
    checkFailure(
      nameless,
      42205,
      new RegExp(`^Invalid schema: it has no record name, .* ${strategy} of topic '${topic}'`),
    )
  }
  const subjects = ['a.b.Other', 'a.b.Rn', 'rn-key', 'trn-a.b.Other', 'trn-a.b.Rn', 'trn-key']
  assert.deepEqual((await server.get('/subjects')).json(), subjects)
})

test('nothing is registered in another context, whose ids readers would take for their own', async (t) => {
  const server = await startServer(t)
  const headers = { 'content-type': 'application/json' }
  const alias = await server.request('PUT', '/config/t-value', { headers, body: { alias: ':.two:t' } })
  checkStatus(alias, 200)
  const body = { value_schema: '"int"', records: [{ value: 1 }] }
  checkFailure(await post(server, 'avro', body), 42205, /^Invalid schema: .* in the context \.two, as ':\.two:t'/)
  assert.deepEqual((await server.get('/subjects')).json(), [])
  await register(server, 'first', '"string"')
  await register(server, ':.two:t', '"int"')
  checkFailure(await post(server, 'avro', body), 42205, /^Invalid schema: schema 1 of subject ':\.two:t'/)
  assert.deepEqual((await server.get('/topics')).json(), [])
})
