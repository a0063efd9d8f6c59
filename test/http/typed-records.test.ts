// Keys and values of schema formats over v1: framed by a schema of the registry, shown as its JSON, whoever wrote them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { register } from '../support/schema-registry.ts'
import { openSocket } from '../support/ws-client.ts'

const ORDER = {
  type: 'record',
  name: 'Order',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'note', type: ['null', 'string'], default: null },
  ],
}

async function produce(server: TestServer, body: object) {
  const reply = await server.post('/v1/topics/orders/records', body)
  assert.equal(reply.status, 200, reply.text())
}

async function read(server: TestServer, query = ''): Promise<Record<string, unknown>[]> {
  const reply = await server.get(`/v1/topics/orders/records?from=earliest${query}`)
  assert.equal(reply.status, 200, reply.text())
  return (reply.json() as { records: Record<string, unknown>[] }).records
}

test('values are made by the latest schema of TOPIC-value, by a subject, by an id; and shown with it', async (t) => {
  const server = await startServer(t)
  const order = await register(server, 'orders-value', ORDER)
  const text = await register(server, 'texts', '"string"')
  await produce(server, { value_encoding: 'avro', records: [{ value: { id: 1 } }, { value: { id: 2, note: 'x' } }] })
  await produce(server, { value_encoding: 'avro', subject: 'texts', records: [{ value: 'hi' }] })
  await produce(server, {
    records: [{ value_encoding: 'avro', schema_id: order, value: { note: null, id: 3 } }],
  })
  await produce(server, { records: [{ value: { plain: true } }], value_encoding: null })
  const shown = (await read(server)).map(({ value, value_encoding, schema_id }) => ({
    value,
    value_encoding,
    schema_id,
  }))
  assert.deepEqual(shown.slice(0, 3), [
    { value: { id: 1, note: null }, value_encoding: 'avro', schema_id: order },
    { value: { id: 2, note: { string: 'x' } }, value_encoding: 'avro', schema_id: order },
    { value: 'hi', value_encoding: 'avro', schema_id: text },
  ])
  assert.deepEqual(shown[4], { value: { plain: true }, value_encoding: 'json', schema_id: undefined })
  const plain = await read(server, '&unions=plain')
  assert.deepEqual(plain[1]?.['value'], { id: 2, note: 'x' })
})

test('keys have schemas of their own, and a tombstone has none', async (t) => {
  const server = await startServer(t)
  const key = await register(server, 'orders-key', '"int"')
  const value = await register(server, 'orders-value', ORDER)
  await produce(server, {
    key_encoding: 'avro',
    value_encoding: 'avro',
    records: [
      { key: 5, value: { id: 1 } },
      { key: 5, value: null },
    ],
  })
  const [first, second] = await read(server)
  assert.partialDeepStrictEqual(first, { key: 5, key_encoding: 'avro', key_schema_id: key, schema_id: value })
  assert.partialDeepStrictEqual(second, { key: 5, key_encoding: 'avro', key_schema_id: key, value: null })
  assert.equal(second?.['schema_id'], undefined)
})

test('JSON Schema and Protobuf, with headers beside them', async (t) => {
  const server = await startServer(t)
  const json = await register(server, 'j', { type: 'object', required: ['a'] }, 'JSON')
  const proto = await register(server, 'p', 'syntax = "proto3"; message M { int64 a = 1; }', 'PROTOBUF')
  const headers = [{ name: 'h', value: 'v' }]
  await produce(server, { records: [{ value_encoding: 'jsonschema', subject: 'j', value: { a: 1.5 }, headers }] })
  await produce(server, { records: [{ value_encoding: 'protobuf', schema_id: proto, value: { a: '7' } }] })
  const [first, second] = await read(server)
  assert.partialDeepStrictEqual(first, { value: { a: 1.5 }, value_encoding: 'jsonschema', schema_id: json, headers })
  assert.partialDeepStrictEqual(second, {
    value: { a: '7' },
    value_encoding: 'protobuf',
    schema_id: proto,
    headers: [],
  })
})

test('what does not fit is refused with its index, its place and why; nothing is stored', async (t) => {
  const server = await startServer(t)
  const id = await register(server, 'orders-value', ORDER)
  const refused = async (body: object, status: number, detail: RegExp, details?: object) => {
    const reply = await server.post('/v1/topics/orders/records', body)
    assert.equal(reply.status, status, reply.text())
    assert.match(reply.json().detail, detail)
    if (details !== undefined) assert.partialDeepStrictEqual(reply.json().details, details)
  }
  const two = [{ value: { id: 1 } }, { value: { id: 'x' } }]
  await refused(
    { value_encoding: 'avro', records: two },
    422,
    /records\[1\]\.value is not of schema 1: Order\.id must be a long, not "x"/,
    { index: 1, member: 'value' },
  )
  await refused({ value_encoding: 'avro', subject: 'nobody', records: two }, 404, /Subject 'nobody' not found/)
  await refused({ value_encoding: 'avro', schema_id: 99, records: two }, 404, /no schema with the id 99/)
  await refused(
    { value_encoding: 'protobuf', schema_id: id, records: two },
    422,
    /^records\[0\]\.value: schema 1 is avro, not protobuf/,
    {
      index: 0,
      member: 'value',
      schema_id: id,
    },
  )
  await refused(
    { value_encoding: 'avro', schema_id: 0, records: two },
    422,
    /schema_id must be a whole number from 1 to 2147483647, not 0/,
  )
  await refused(
    { records: [{ value: { id: 1 }, schema_id: 99999999999 }] },
    422,
    /^records\[0\]\.schema_id must be a whole number from 1 to 2147483647, not 99999999999/,
  )
  await refused({ value_encoding: 'avro', subject: 5, records: two }, 422, /subject must be a string/)
  await refused(
    { records: [{ value: 1, headers: [{ name: 'a', value: 'b', value_encoding: 'avro' }] }] },
    422,
    /value_encoding must be one of/,
  )
  await refused({ key_encoding: 'avro', records: [{ key: 1, value: 1 }] }, 404, /orders-key/)
  assert.equal((await server.get('/v1/topics/orders')).status, 404)
})

test('a value that does not fit is told where, and what is allowed there, in all three formats', async (t) => {
  const server = await startServer(t)
  const line = { type: 'record', name: 'Line', fields: [{ name: 'q', type: 'int' }] }
  const avro = { type: 'record', name: 'Big', fields: [{ name: 'rs', type: { type: 'array', items: line } }] }
  const union = { properties: { n: { oneOf: [{ type: 'string' }, { type: 'integer' }] } } }
  const proto = 'syntax = "proto3"; package shop; message Order { State state = 1; } enum State { NEW = 0; PAID = 1; }'
  await register(server, 'avro', avro)
  await register(server, 'jsonschema', union, 'JSON')
  await register(server, 'protobuf', proto, 'PROTOBUF')
  for (const [encoding, value, detail] of [
    ['avro', { rs: [{ q: 1 }, { q: null }] }, 'Big.rs[1].q must be an int, not null'],
    ['avro', { rs: [{ q: 2 ** 31 }] }, 'Big.rs[0].q must be an int from -2147483648 to 2147483647, not 2147483648'],
    ['jsonschema', { n: 1.5 }, '#/n: must be string or integer'],
    ['protobuf', { state: 'PAYD' }, 'shop.Order.state must be one of NEW, PAID, not "PAYD"'],
    ['protobuf', { stat: 'PAID' }, 'shop.Order has no field "stat"; it has state'],
  ] as const) {
    const body = { value_encoding: encoding, subject: encoding, records: [{ value }] }
    const reply = await server.post('/v1/topics/orders/records', body)
    assert.equal(reply.status, 422)
    assert.ok(reply.json().detail.endsWith(`: ${detail}`), reply.text())
  }
})

test('the schema may stand behind the records', async (t) => {
  const server = await startServer(t)
  const id = await register(server, 's', ORDER)
  await produce(server, { records: [{ value: { id: 3 } }], value_encoding: 'avro', schema_id: id })
  assert.equal((await read(server))[0]?.['schema_id'], id)
})

test('frames of others are shown; what cannot be read says why, that nobody has the schema too', async (t) => {
  const server = await startServer(t)
  const id = await register(server, 'orders-value', '"string"')
  const frame = (schemaId: number, hex: string) => {
    const head = Buffer.alloc(5)
    head.writeInt32BE(schemaId, 1)
    return Buffer.concat([head, Buffer.from(hex, 'hex')]).toString('base64')
  }
  const values = [frame(id, '046869'), frame(id, '0a61'), frame(77, '046869'), frame(id, '')]
  await produce(server, { value_encoding: 'base64', records: values.map((value) => ({ value })) })
  const [good, cut, unknown, empty] = await read(server)
  assert.partialDeepStrictEqual(good, { value: 'hi', value_encoding: 'avro', schema_id: id })
  assert.partialDeepStrictEqual(cut, {
    value: values[1],
    value_encoding: 'base64',
    schema_id: id,
    value_error: 'the value ends before its end',
  })
  assert.partialDeepStrictEqual(unknown, {
    value: values[2],
    value_encoding: 'base64',
    value_error: 'no schema has the id 77',
  })
  assert.equal(unknown?.['schema_id'], undefined)
  assert.equal(empty?.['value_encoding'], 'base64')
  const asked = await read(server, '&value_format=avro')
  assert.equal(asked[0]?.['value'], 'hi')
  assert.equal(asked[2]?.['value_error'], 'no schema has the id 77')
  assert.equal((await read(server, '&value_format=base64'))[0]?.['value'], values[0])
  const events = await server.get('/v1/topics/orders/events?from=earliest&until=latest')
  assert.match(events.text(), /"value":"hi","key_encoding"|"value":"hi","value_encoding":"avro","schema_id":1/)
  const one = await server.get('/v1/topics/orders/partitions/0/records/0')
  assert.partialDeepStrictEqual(one.json(), { value: 'hi', schema_id: id })
  // what an export gives is stored again byte for byte
  const exported = (await server.get('/v1/topics/orders/export')).text().split('\n')[0] ?? ''
  assert.partialDeepStrictEqual(JSON.parse(exported), { value: '\0\0\0\0\x01\x04hi', value_encoding: 'string' })
})

test('what begins as a frame does is no text, wherever it is shown; an export and text without a schema stay exact', async (t) => {
  const server = await startServer(t)
  const records = [
    { key: 'AAAAAAVrZXk=', value: 'AAAAAAUGVWxt' },
    { key: 'AAE=', value: 'AAAAAA==' },
    { key: 'AAAAAAA=', value: '/wAAAAU=' },
  ]
  await produce(server, { key_encoding: 'base64', value_encoding: 'base64', records })
  const error = 'no schema has the id 5'
  const [framed, short, other] = await read(server)
  assert.partialDeepStrictEqual(framed, { ...records[0], key_encoding: 'base64', value_encoding: 'base64' })
  assert.partialDeepStrictEqual(framed, { key_error: error, value_error: error })
  assert.partialDeepStrictEqual(short, { key: '\0\x01', key_encoding: 'string', value: '\0\0\0\0' })
  // ids begin at 1: a small whole number of eight bytes begins with a zero byte and 0, too
  assert.partialDeepStrictEqual(other, { key: '\0\0\0\0\0', key_encoding: 'string', value: '/wAAAAU=' })
  assert.equal(other?.['value_error'], undefined)
  const asText = await read(server, '&value_format=string&key_format=string')
  assert.partialDeepStrictEqual(asText[0], { key: '\0\0\0\0\x05key', value_encoding: 'string' })
  const [asAvro] = await read(server, '&value_format=avro&limit=1')
  assert.equal(asAvro?.['value_error'], error)
  const events = (await server.get('/v1/topics/orders/events?from=earliest&until=latest')).text()
  assert.match(events, /"value":"AAAAAAUGVWxt",.*"value_error":"no schema has the id 5"/)
  const socket = await openSocket(t, server)
  await socket.command({ type: 'subscribe', sub: 'a', topics: ['orders'], from: 'earliest' })
  const [frame] = await socket.records('a', 3)
  assert.partialDeepStrictEqual(frame, { value: 'AAAAAAUGVWxt', value_error: error })
  const poll = await server.post('/v1/groups/g/poll', { topics: ['orders'], wait_ms: 5_000, limit: 1 })
  assert.partialDeepStrictEqual(poll.json(), { records: [{ value: 'AAAAAAUGVWxt', value_error: error }] })
  const exported = (await server.get('/v1/topics/orders/export')).text()
  await server.post('/v1/topics', { name: 'copy', partitions: 1 })
  await server.post('/v1/topics/copy/import', exported, { 'content-type': 'application/x-ndjson' })
  const stored = (await server.get('/v1/topics/copy/records?key_format=base64&value_format=base64')).json()
  assert.partialDeepStrictEqual(stored, { records })
})

test('a filter looks at what is shown: what the schema says of key and value, unions plain', async (t) => {
  const server = await startServer(t)
  await register(server, 'orders-key', '"int"')
  await register(server, 'orders-value', ORDER)
  const proto = await register(server, 'p', 'syntax = "proto3"; message M { int64 id = 1; }', 'PROTOBUF')
  const json = await register(server, 'j', { type: 'object' }, 'JSON')
  await produce(server, {
    key_encoding: 'avro',
    value_encoding: 'avro',
    records: [
      { key: 1, value: { id: 1 } },
      { key: 2, value: { id: 2, note: 'x' } },
      { key: 3, value: null },
      { key: 4, value: { id: '7' }, value_encoding: 'protobuf', schema_id: proto },
      { key: 5, value: { id: 9 }, value_encoding: 'jsonschema', schema_id: json },
    ],
  })
  const filtered = async (filter: string) =>
    (await read(server, `&filter=${encodeURIComponent(filter)}`)).map(({ key }) => key)
  assert.deepEqual(await filtered('value.id == 2'), [2])
  assert.deepEqual(await filtered('value.note == "x"'), [2])
  assert.deepEqual(await filtered('key > 2'), [3, 4, 5])
  assert.deepEqual(await filtered('value == null'), [3])
  assert.deepEqual(await filtered('value.id == "7"'), [4])
  assert.deepEqual(await filtered('value.id == 9'), [5])
  const filter = encodeURIComponent('key == 2')
  const events = (await server.get(`/v1/topics/orders/events?from=earliest&until=latest&filter=${filter}`)).text()
  assert.equal(events.match(/^data: {"topic".*$/gm)?.length, 1)
  assert.match(events, /"key":2,"value":{"id":2,"note":{"string":"x"}}/)
  const socket = await openSocket(t, server)
  const subscribe = { type: 'subscribe', topics: ['orders'], from: 'earliest', filter: { expr: 'value.id == 2' } }
  await socket.command({ ...subscribe, sub: 'a' })
  assert.equal((await socket.records('a', 1))[0]?.key, 2)
  await socket.command({ ...subscribe, sub: 'g', group: 'g' })
  assert.equal((await socket.records('g', 1))[0]?.key, 2)
})

test('a record that cannot be decoded has no result, with the reason; one that is not looked into is not decoded', async (t) => {
  const server = await startServer(t)
  await register(server, 'orders-value', '"string"')
  const frames = [
    ['AAAAAAEEaGk=', undefined],
    ['AAAAAAEKYQ==', 'the value ends before its end'],
    ['AAAAAE0EaGk=', 'no schema has the id 77'],
  ] as const
  for (const [value, reason] of frames) {
    await produce(server, { value_encoding: 'base64', records: [{ value }] })
    const path = '/v1/topics/orders/records?from=-1&filter='
    const looked = (await server.get(`${path}${encodeURIComponent('value != "x"')}`)).json()
    assert.equal(looked.last_filter_error, reason)
    assert.equal(looked.records.length, reason === undefined ? 1 : 0)
    const unlooked = (await server.get(`${path}${encodeURIComponent('size > 0 || value == "x"')}`)).json()
    assert.partialDeepStrictEqual(unlooked, {
      filter_errors: 0,
      records: [{ offset: looked.partitions[0].next_offset - 1 }],
    })
  }
})

test('numbers of 64 bits in Protobuf keep their digits, however they are written', async (t) => {
  const server = await startServer(t)
  await register(server, 'orders-value', 'syntax = "proto3"; message M { int64 a = 1; double b = 2; }', 'PROTOBUF')
  const body = '{"value_encoding":"protobuf","records":[{"value":{"a":9007199254740993,"b":9007199254740993}}]}'
  const reply = await server.request('POST', '/v1/topics/orders/records', {
    body: Buffer.from(body),
    headers: { 'content-type': 'application/json' },
  })
  assert.equal(reply.status, 200, reply.text())
  assert.deepEqual((await read(server))[0]?.['value'], { a: '9007199254740993', b: 9007199254740992 })
})

test('where a schema is Avro’s bytes they stand as they are, without their length', async (t) => {
  const server = await startServer(t)
  const id = await register(server, 'orders-value', '"bytes"')
  const frame = Buffer.from([0, 0, 0, 0, id, 0x61, 0x62, 0xff]).toString('base64')
  await produce(server, { value_encoding: 'base64', records: [{ value: frame }] })
  await produce(server, { value_encoding: 'avro', records: [{ value: 'ab\u00ff' }, { value: '' }] })
  const shown = await read(server)
  assert.deepEqual(
    shown.map(({ value }) => value),
    ['ab\u00ff', 'ab\u00ff', ''],
  )
  const stored = await read(server, '&value_format=base64')
  assert.equal(stored[1]?.['value'], frame)
})

test('a message of a binary descriptor is found where clients count what maps are made of', async (t) => {
  const server = await startServer(t)
  const text = { type: 9, label: 1 } as const
  const map = { name: 'm', number: 1, type: 11, label: 3, typeName: '.M.MEntry' } as const
  const entry = {
    name: 'MEntry',
    field: [
      { ...text, name: 'key', number: 1 },
      { ...text, name: 'value', number: 2 },
    ],
  }
  const inner = { name: 'Inner', field: [{ ...text, name: 'a', number: 1 }] }
  const nestedType = [{ ...entry, options: { mapEntry: true } }, inner]
  const messageType = [{ name: 'M', field: [map], nestedType }]
  const file = create(FileDescriptorProtoSchema, { name: 'm.proto', syntax: 'proto3', messageType })
  const schema = Buffer.from(toBinary(FileDescriptorProtoSchema, file)).toString('base64')
  const id = await register(server, 'orders-value', schema, 'PROTOBUF')
  const frame = (index: number) => Buffer.from([0, 0, 0, 0, id, 4, 0, index * 2, 0x0a, 1, 0x78]).toString('base64')
  await produce(server, {
    value_encoding: 'base64',
    records: [{ value: frame(0) }, { value: frame(1) }, { value: frame(2) }],
  })
  const [first, second, third] = await read(server)
  assert.deepEqual([first?.['value'], second?.['value']], [{ a: 'x' }, { a: 'x' }])
  assert.match(String(third?.['value_error']), /no message at \[0, 2\]/)
})

test('a pattern that no engine here knows refuses no value, and is told of once', async (t) => {
  const server = await startServer(t)
  await register(server, 'orders-value', { type: 'string', pattern: '^\\h*a++$' }, 'JSON')
  for (const value of ['aaa', 'b']) await produce(server, { value_encoding: 'jsonschema', records: [{ value }] })
  const told = server.log.filter(({ message }) => message.includes('no engine here knows'))
  assert.deepEqual(
    told.map(({ level, facts }) => ({ level, facts })),
    [{ level: 'warn', facts: { subject: 'orders-value', version: 1, patterns: ['^\\h*a++$'] } }],
  )
})

test('fields that are asked for have what says how they are written', async (t) => {
  const server = await startServer(t)
  const id = await register(server, 'orders-value', '"string"')
  await produce(server, { value_encoding: 'avro', records: [{ value: 'hi' }] })
  const events = (await server.get('/v1/topics/orders/events?from=earliest&until=latest&fields=value')).text()
  assert.match(events, new RegExp(`"value":"hi","value_encoding":"avro","schema_id":${id}}`))
  const refused = await server.get('/v1/topics/orders/events?fields=value,schema_id')
  assert.equal(refused.status, 400)
  assert.match(refused.json().detail, /'schema_id' is none of .*, value, .*schema_id, comes with it/)
})

const SHIPMENT = { type: 'record', name: 'Shipment', fields: [{ name: 'to', type: 'string' }] }

async function refusal(server: TestServer, body: object, topic = 'orders') {
  const reply = await server.post(`/v1/topics/${topic}/records`, body)
  const { status, code, detail, details } = reply.json()
  return { status, code, detail: detail as string, details }
}

test('a schema that is named brings its encoding: of values and keys, of a request, a record, a line, a frame', async (t) => {
  const server = await startServer(t)
  const order = await register(server, 'orders-value', ORDER)
  const shipment = await register(server, 'shipments', SHIPMENT)
  const key = await register(server, 'k', 'syntax = "proto3"; message K { int32 a = 1; }', 'PROTOBUF')
  const record = { key: { a: 1 }, value: { id: 1 } }
  await produce(server, { schema_id: order, key_schema_id: key, records: [record] })
  await produce(server, { records: [{ ...record, schema_version: 1, key_subject: 'k' }] })
  await produce(server, { records: [record], schema_version: 1, key_subject: 'k' })
  // a record's own encoding goes before the schema of its request
  await produce(server, { schema_id: order, records: [{ value: 5, value_encoding: 'json' }, { value: { id: 2 } }] })
  // and its own version is one of the request's subject
  await produce(server, { subject: 'shipments', records: [{ value: { to: 'Ulm' }, schema_version: 1 }] })
  const line = JSON.stringify({ ...record, schema_id: order, key_schema_id: key, key_encoding: null })
  const imported = await server.post('/v1/topics/orders/import', line, { 'content-type': 'application/x-ndjson' })
  assert.partialDeepStrictEqual(imported.json(), { imported: 1 }, imported.text())
  const socket = await openSocket(t, server)
  const frame = { type: 'produce', topic: 'orders' }
  await socket.command({ ...frame, schema_id: order, key_subject: 'k', records: [record] })
  await socket.command({ ...frame, records: [{ ...record, subject: 'orders-value', key_schema_id: key }] })
  const shown = (await read(server)).map((one) => [one['key_schema_id'], one['schema_id'], one['value_encoding']])
  const typed = [key, order, 'avro']
  const plain = [undefined, undefined, 'json']
  const only = (id: number) => [undefined, id, 'avro']
  assert.deepEqual(shown, [typed, typed, typed, plain, only(order), only(shipment), typed, typed, typed])
})

test('another encoding beside a schema is refused, as is a schema that is not there', async (t) => {
  const server = await startServer(t)
  const id = await register(server, 'orders-value', ORDER)
  const records = [{ key: 'k', value: { id: 1 } }]
  const encodings = /_encoding must be one of avro, jsonschema, protobuf, or be left out, where a schema is named/
  for (const body of [
    { value_encoding: 'json', schema_id: id, records },
    { records, schema_id: id, value_encoding: 'json' },
    { key_encoding: 'string', key_subject: 'orders-value', records },
    { records: [{ ...records[0], value_encoding: 'string', subject: 'orders-value' }] },
    { value_encoding: 'json', records: [{ ...records[0], schema_version: 1 }] },
  ]) {
    const { status, code, detail } = await refusal(server, body)
    assert.deepEqual([status, code], [422, 'invalid_record'])
    assert.match(detail, encodings)
  }
  assert.partialDeepStrictEqual(await refusal(server, { schema_id: 999, records }), { status: 404 })
  assert.partialDeepStrictEqual(await refusal(server, { records: [{ ...records[0], key_schema_id: 999 }] }), {
    status: 404,
    code: 'schema_not_found',
  })
  const socket = await openSocket(t, server)
  const answer = await socket.ask({ type: 'produce', topic: 'orders', value_encoding: 'json', schema_id: id, records })
  assert.equal(answer.code, 'invalid_record')
  assert.match(String(answer.message), encodings)
  assert.equal((await server.get('/v1/topics/orders')).status, 404)
})

test('an id and a subject go together if they mean the same', async (t) => {
  const server = await startServer(t)
  const first = await register(server, 'orders-value', SHIPMENT)
  const second = await register(server, 'orders-value', {
    ...SHIPMENT,
    fields: [...SHIPMENT.fields, { name: 'n', type: 'int', default: 0 }],
  })
  const records = [{ value: { to: 'Ulm' } }]
  await produce(server, { schema_id: first, subject: 'orders-value', records })
  await produce(server, { schema_id: second, subject: 'orders-value', schema_version: 2, records })
  await produce(server, { schema_id: first, schema_version: 1, records })
  const other = await register(server, 'others', '"string"')
  const refused = async (choice: object, detail: RegExp) => {
    const found = await refusal(server, { value_encoding: 'avro', ...choice, records })
    assert.partialDeepStrictEqual(found, { status: 422, code: 'invalid_record' })
    assert.match(found.detail, detail)
  }
  await refused(
    { schema_id: first, subject: 'orders-value', schema_version: 2 },
    /^records\[0\]\.value: version 2 of subject 'orders-value' is schema 2, not 1: name the id alone, or the subject$/,
  )
  await refused({ schema_id: first, schema_version: 2 }, /version 2 of subject 'orders-value' is schema 2, not 1/)
  await refused({ schema_id: other, subject: 'orders-value' }, /no version of subject 'orders-value' is schema 3/)
})

test('a subject that is not there: what to do about it, and the one that may be meant', async (t) => {
  const server = await startServer(t)
  await register(server, 'nope-value', ORDER)
  const value = { value_encoding: 'avro', records: [{ value: 1 }] }
  assert.deepEqual(await refusal(server, value, 'nope1'), {
    status: 404,
    code: 'schema_not_found',
    detail:
      "Subject 'nope1-value' not found. Register it first, or name subject or schema_id (did you mean 'nope-value'?)",
    details: { error_code: 40401, subject: 'nope1-value' },
  })
  const key = await refusal(server, { key_encoding: 'avro', records: [{ key: 1 }] }, 'quite-another')
  assert.equal(
    key.detail,
    "Subject 'quite-another-key' not found. Register it first, or name key_subject or key_schema_id",
  )
})

test('members as others call them are answered with what they are called here', async (t) => {
  const server = await startServer(t)
  const hints = {
    value_schema_id: /value_schema_id is not known here; did you mean schema_id\?/,
    value_subject: /did you mean subject\?/,
    value_schema:
      /a schema is registered first \(POST \/subjects\/SUBJECT\/versions\), and named by its schema_id or subject/,
    schema: /registered first/,
  }
  const socket = await openSocket(t, server)
  for (const [name, hint] of Object.entries(hints)) {
    assert.match((await refusal(server, { [name]: 1, records: [{ value: 1 }] })).detail, hint)
    assert.match((await refusal(server, { records: [{ value: 1, [name]: 1 }] })).detail, hint)
    const records = [{ value: 1 }]
    const { warnings } = await socket.command({ type: 'produce', topic: 'warned', [name]: 1, records })
    assert.match(
      String(warnings),
      name.endsWith('schema') ? /registered first/ : hint.source.startsWith('did') ? hint : /did you mean schema_id/,
    )
  }
})

test('an alias stands for its subject', async (t) => {
  const server = await startServer(t)
  const id = await register(server, 'target', ORDER)
  const text = await register(server, 'texts', '"string"')
  for (const [alias, to] of [
    ['al', 'target'],
    ['orders-value', 'texts'],
  ]) {
    assert.equal(
      (await server.request('PUT', `/config/${alias}`, { headers: JSON_TYPE, body: { alias: to } })).status,
      200,
    )
  }
  await produce(server, { value_encoding: 'avro', subject: 'al', records: [{ value: { id: 1 } }] })
  await produce(server, { subject: 'al', schema_id: id, records: [{ value: { id: 1 } }] })
  await produce(server, { value_encoding: 'avro', records: [{ value: 'hi' }] })
  const avro = { 'content-type': 'application/vnd.kafka.avro.v2+json' }
  const v2 = await server.post('/topics/orders', { value_schema: '"string"', records: [{ value: 'ho' }] }, avro)
  assert.equal(v2.json().value_schema_id, text, v2.text())
  assert.deepEqual(
    (await read(server)).map((one) => one['schema_id']),
    [id, id, text, text],
  )
  assert.deepEqual((await server.get('/subjects')).json(), ['target', 'texts'])
  const configs = { 'confluent.value.schema.validation': 'true' }
  assert.equal(
    (await server.request('PATCH', '/v1/topics/orders', { headers: JSON_TYPE, body: { configs } })).status,
    200,
  )
  await produce(server, { value_encoding: 'avro', records: [{ value: 'hi' }] })
})

const JSON_TYPE = { 'content-type': 'application/json' }

test('nothing is made with a schema that its id does not mean to readers', async (t) => {
  const server = await startServer(t)
  const id = await register(server, 'shipments-value', SHIPMENT)
  assert.equal(await register(server, ':.two:thing', ORDER), id)
  const records = [{ value: { id: 5, to: 'Ulm', note: null } }]
  const refused = async (body: object, detail: RegExp, topic?: string) => {
    const found = await refusal(server, { records, ...body }, topic)
    assert.partialDeepStrictEqual(found, { status: 422, code: 'invalid_record' }, found.detail)
    assert.match(found.detail, detail)
  }
  const inTwo =
    /^records\[0\]\.value: schema 1 of subject ':\.two:thing' is one of the context \.two; .* id 1 means version 1 of subject 'shipments-value': register the schema in the default context$/
  await refused({ value_encoding: 'avro', subject: ':.two:thing' }, inTwo)
  await refused({ subject: ':.two:thing', schema_version: 1 }, inTwo)
  await refused({ subject: ':.two:thing', schema_id: id }, inTwo)
  // a name without a context is looked for in all
  assert.equal(await register(server, ':.two:ctx4-value', ORDER), id)
  await refused({ value_encoding: 'avro' }, /':\.two:ctx4-value' is one of the context \.two/, 'ctx4')
  assert.equal(await register(server, ':.two:text', '"string"'), 2)
  await refused({ value_encoding: 'avro', subject: ':.two:text' }, /to its readers id 2 means nothing/)
  // the same schema by the same id
  assert.equal(await register(server, 'same', '"string"'), 2)
  await produce(server, { subject: ':.two:text', records: [{ value: 'x' }] })
  // whose parts are not the same, though their names are
  const item = (type: string) => JSON.stringify({ type: 'record', name: 'Item', fields: [{ name: 'n', type }] })
  const ids = await Promise.all([register(server, 'item', item('int')), register(server, ':.two:item', item('long'))])
  assert.deepEqual(ids, [3, 3])
  const references = [{ name: 'Item', subject: 'item', version: 1 }]
  for (const subject of ['list', ':.two:list']) {
    const schema = JSON.stringify({ type: 'array', items: 'Item' })
    const reply = await server.post(`/subjects/${subject}/versions`, { schema, references })
    assert.equal(reply.json().id, 4, reply.text())
  }
  await refused({ subject: ':.two:list', records: [{ value: [{ n: 1 }] }] }, /id 4 means version 1 of subject 'list'/)
  await produce(server, { subject: 'list', records: [{ value: [{ n: 1 }] }] })
  assert.deepEqual(
    (await read(server)).map(({ value }) => value),
    ['x', [{ n: 1 }]],
  )
})

test('the usual subject is what the strategy of the topic names', async (t) => {
  const server = await startServer(t)
  await register(server, 'shop.Order', { ...ORDER, namespace: 'shop' })
  const make = async (name: string, strategy: string) => {
    const configs = {
      'confluent.value.subject.name.strategy': strategy,
      'confluent.key.subject.name.strategy': strategy,
    }
    assert.equal((await server.post('/v1/topics', { name, configs })).status, 201)
  }
  await make('orders', 'TopicRecordNameStrategy')
  const records = [{ key: 'k', value: { id: 1 } }]
  const value = await refusal(server, { value_encoding: 'avro', records })
  assert.partialDeepStrictEqual(value, { status: 422, code: 'invalid_record' })
  assert.match(
    value.detail,
    /^records\[0\]\.value needs a schema that is named: topic 'orders' has the TopicRecordNameStrategy .*; name subject or schema_id$/,
  )
  const key = await refusal(server, { key_encoding: 'avro', records })
  assert.match(key.detail, /records\[0\]\.key needs .*; name key_subject or key_schema_id$/)
  await produce(server, { subject: 'shop.Order', records })
})

test('what consume shows of a value that cannot be read is taken as the bytes that it was', async (t) => {
  const server = await startServer(t)
  const id = await register(server, 'orders-value', '"string"')
  const bytes = Buffer.from([0, 0, 0, 0, id, 10, 97]).toString('base64')
  await produce(server, { value_encoding: 'base64', records: [{ value: bytes }] })
  const [shown] = await read(server)
  assert.partialDeepStrictEqual(shown, { schema_id: id, value_encoding: 'base64' })
  const line = JSON.stringify(shown)
  const imported = await server.post('/v1/topics/orders/import', line, { 'content-type': 'application/x-ndjson' })
  assert.partialDeepStrictEqual(imported.json(), { imported: 1 }, imported.text())
  assert.equal((await read(server))[1]?.['value'], bytes)
})

/** Values of some hundred bytes, each of which is `mebibytes` as JSON. */
async function produceNames(server: TestServer, mebibytes: number, count: number) {
  const schema = { type: 'array', items: { type: 'enum', name: 'E', symbols: ['S'.repeat(2 ** 18)] } }
  const id = await register(server, 'orders-value', schema)
  const items = mebibytes * 4
  const zigzag = [((items * 2) & 0x7f) | 0x80, (items * 2) >> 7]
  const value = Buffer.concat([Buffer.from([0, 0, 0, 0, id, ...zigzag]), Buffer.alloc(items), Buffer.from([0])])
  const record = { value: value.toString('base64'), value_encoding: 'base64' }
  await produce(server, { records: Array.from({ length: count }, () => record) })
}

const POLL = { topics: ['orders'], limit: 100 }

/** Of a long reply: how many records it has. */
async function countRecords(url: string, init: RequestInit = {}): Promise<number> {
  const reply = await fetch(url, init)
  let count = 0
  for await (const chunk of reply.body ?? [])
    count += Buffer.from(chunk).toString('latin1').split('"offset":').length - 1
  assert.equal(reply.status, 200)
  return count
}

test('a page ends where its JSON is long enough, whoever reads', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '1' } })
  await produceNames(server, 15, 6)
  assert.equal(await countRecords(`${server.url}/v1/topics/orders/records?from=earliest`), 5)
  const consumer = { name: 'c', format: 'avro', 'auto.offset.reset': 'earliest' }
  const headers = { 'content-type': 'application/vnd.kafka.v2+json' }
  await server.post('/consumers/g', consumer, headers)
  const partitions = [{ topic: 'orders', partition: 0 }]
  await server.post('/consumers/g/instances/c/assignments', { partitions }, headers)
  const url = `${server.url}/consumers/g/instances/c/records`
  const accept = { headers: { accept: 'application/vnd.kafka.avro.v2+json' } }
  assert.deepEqual([await countRecords(url, accept), await countRecords(url, accept)], [5, 1])
})

test('what could not be shown is work as well: a page of it ends as early', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '1' } })
  await produceNames(server, 17, 6)
  const [first, ...others] = await read(server)
  assert.match(String(first?.['value_error']), /as JSON it has more than 16777216 bytes/)
  assert.equal(others.length, 3)
  for (const mode of ['exclusive', 'shared']) {
    const reply = await server.post(`/v1/groups/${mode}/poll`, { ...POLL, mode })
    assert.equal((reply.json() as { records: unknown[] }).records.length, 4, reply.text().slice(0, 300))
  }
})
