// Keys and values of schema formats over v1: framed by a schema of the registry, shown as its JSON, whoever wrote them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
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
  await refused({ value_encoding: 'protobuf', schema_id: id, records: two }, 422, /schema 1 is avro, not protobuf/)
  await refused(
    { value_encoding: 'avro', schema_id: 0, records: two },
    422,
    /schema_id must be a whole number from 1 on/,
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
  assert.partialDeepStrictEqual(other, { key_error: 'no schema has the id 0', value: '/wAAAAU=' })
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
