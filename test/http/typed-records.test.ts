// Keys and values of schema formats over v1: framed by a schema of the registry, shown as its JSON, whoever wrote them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'

const ORDER = {
  type: 'record',
  name: 'Order',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'note', type: ['null', 'string'], default: null },
  ],
}

async function register(server: TestServer, subject: string, schema: unknown, schemaType = 'AVRO'): Promise<number> {
  const text = typeof schema === 'string' ? schema : JSON.stringify(schema)
  const reply = await server.post(`/subjects/${subject}/versions`, { schema: text, schemaType })
  assert.equal(reply.status, 200, reply.text())
  return (reply.json() as { id: number }).id
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

test('frames of others are shown; what cannot be read says why, and frames of nobody are bytes', async (t) => {
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
  assert.equal(unknown?.['value_error'], undefined)
  assert.equal(empty?.['value_encoding'], 'base64')
  const asked = await read(server, '&value_format=avro')
  assert.equal(asked[0]?.['value'], 'hi')
  assert.match(String(asked[2]?.['value_error']), /not framed/)
  assert.equal((await read(server, '&value_format=base64'))[0]?.['value'], values[0])
  const events = await server.get('/v1/topics/orders/events?from=earliest&until=latest')
  assert.match(events.text(), /"value":"hi","key_encoding"|"value":"hi","value_encoding":"avro","schema_id":1/)
  const one = await server.get('/v1/topics/orders/partitions/0/records/0')
  assert.partialDeepStrictEqual(one.json(), { value: 'hi', schema_id: id })
  // what an export gives is stored again byte for byte
  const exported = (await server.get('/v1/topics/orders/export')).text().split('\n')[0] ?? ''
  assert.partialDeepStrictEqual(JSON.parse(exported), { value: '\0\0\0\0\x01\x04hi', value_encoding: 'string' })
})

test('fields that are asked for have what says how they are written', async (t) => {
  const server = await startServer(t)
  const id = await register(server, 'orders-value', '"string"')
  await produce(server, { value_encoding: 'avro', records: [{ value: 'hi' }] })
  const events = (await server.get('/v1/topics/orders/events?from=earliest&until=latest&fields=value')).text()
  assert.match(events, new RegExp(`"value":"hi","value_encoding":"avro","schema_id":${id}}`))
})
