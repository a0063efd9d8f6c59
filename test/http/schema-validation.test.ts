// Topics that take only what is framed with a schema of their subject: whichever way a record comes, and only there.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { postBinary, storedIn } from '../support/rest-proxy-v2.ts'
import { register } from '../support/schema-registry.ts'
import { openSocket } from '../support/ws-client.ts'

const RECORD = (name: string) => JSON.stringify({ type: 'record', name, namespace: 'shop', fields: [] })

async function makeTopic(server: TestServer, name: string, configs: Readonly<Record<string, string>>): Promise<void> {
  assert.equal((await server.post('/v1/topics', { name, partitions: 1, configs })).status, 201)
}

/** base64 of a frame. */
function framed(id: number, payload = 'x'): string {
  const head = Buffer.alloc(5)
  head.writeInt32BE(id, 1)
  return Buffer.concat([head, Buffer.from(payload)]).toString('base64')
}

const VALUES = { 'confluent.value.schema.validation': 'true' }

const produce = (server: TestServer, topic: string, records: readonly object[]) =>
  server.post(`/v1/topics/${topic}/records`, { records, key_encoding: 'base64', value_encoding: 'base64' })

async function endOf(server: TestServer, topic: string): Promise<number> {
  return (await server.get(`/v1/topics/${topic}`)).json().partitions[0].end_offset
}

test('a value must be framed with a live schema of TOPIC-value: v1 refuses the request, naming index, subject and id', async (t) => {
  const server = await startServer(t)
  const own = await register(server, 't-value', '"string"')
  const other = await register(server, 'u-value', '"int"')
  await makeTopic(server, 't', VALUES)
  assert.equal((await produce(server, 't', [{ value: framed(own) }, { value: null, key: 'aw==' }])).status, 200)
  const refused = async (value: string, detail: RegExp, schemaId?: number, index = 1) => {
    const reply = await produce(server, 't', index === 0 ? [{ value }] : [{ value: framed(own) }, { value }])
    assert.equal(reply.status, 422, reply.text())
    const { code, detail: found, details } = reply.json()
    assert.equal(code, 'invalid_record')
    assert.match(found, detail)
    assert.equal(details.index, index)
    assert.equal(details.subject, 't-value')
    assert.equal(details.schema_id, schemaId)
  }
  await refused('YQ==', /the value of record 1 is not framed with the id of a schema: .*subject 't-value'/)
  await refused('YQ==', /; value_encoding avro, jsonschema or protobuf has a JSON value framed here/)
  await refused('', /is not framed/)
  await refused('AAAAAA==', /is not framed/)
  await refused('AQAAAAE=', /is not framed/)
  await refused(framed(77), /names schema 77, which nobody has registered/, 77)
  await refused(framed(-1), /names schema -1, which nobody/, -1)
  await refused(framed(other), new RegExp(`names schema ${other}, which is none of subject 't-value'`), other)
  assert.equal(await endOf(server, 't'), 2)
  // a version that is deleted is none, whatever still can be read by it
  await server.request('DELETE', '/subjects/t-value')
  await refused(framed(own), /is none of subject 't-value'/, own, 0)
  assert.equal((await produce(server, 'u', [{ value: 'YQ==' }])).status, 200)
})

test('what v1 and v2 make by schemas passes; a schema of elsewhere does not, though it could be read', async (t) => {
  const server = await startServer(t)
  await makeTopic(server, 't', VALUES)
  const avro = { 'content-type': 'application/vnd.kafka.avro.v2+json' }
  const made = await server.post('/topics/t', { value_schema: '"int"', records: [{ value: 1 }] }, avro)
  assert.equal(made.json().offsets[0].offset, 0, made.text())
  const v1 = await server.post('/v1/topics/t/records', { value_encoding: 'avro', records: [{ value: 2 }] })
  assert.equal(v1.status, 200)
  const other = await register(server, 'other', '"string"')
  const elsewhere = { value_encoding: 'avro', schema_id: other, records: [{ value: 'x' }] }
  assert.equal((await server.post('/v1/topics/t/records', elsewhere)).status, 422)
  assert.equal((await server.post('/v1/topics/t/records', { records: [{ value: 3 }] })).status, 422)
})

test('v2 tells it record by record and stores the others, an import by line', async (t) => {
  const server = await startServer(t)
  const own = await register(server, 't-value', '"string"')
  await makeTopic(server, 't', VALUES)
  const v2 = await postBinary(server, '/topics/t', { records: [{ value: 'YQ==' }, { value: framed(own) }] })
  assert.equal(v2.status, 200)
  const [bad, good] = v2.json().offsets
  assert.partialDeepStrictEqual(bad, { partition: null, offset: null, error_code: 50002 })
  assert.match(bad.error, /record 0 is not framed .*'t-value'/)
  assert.equal(good.offset, 0)
  const lines = [
    { value: 1 },
    { value: framed(own), value_encoding: 'base64' },
    { key: 'k', value: null },
    { value: 'x' },
  ]
  const body = lines.map((line) => JSON.stringify(line)).join('\n')
  const report = await server.post('/v1/topics/t/import', body, { 'content-type': 'application/x-ndjson' })
  assert.partialDeepStrictEqual(report.json(), { imported: 2, rejected: 2 }, report.text())
  assert.deepEqual(
    report.json().errors.map(({ line, code }: { line: number; code: string }) => [line, code]),
    [
      [1, 'invalid_record'],
      [4, 'invalid_record'],
    ],
  )
  assert.equal((await storedIn(server, 't')).length, 3)
})

test('hooks, sockets, and producers that name themselves, are held to it; a repeat of what is stored is not', async (t) => {
  const server = await startServer(t)
  const own = await register(server, 't-value', '"string"')
  await makeTopic(server, 't', VALUES)
  assert.equal((await server.post('/v1/hooks/t', { a: 1 })).status, 422)
  const socket = await openSocket(t, server)
  const answer = await socket.ask({ type: 'produce', topic: 't', records: [{ value: null }, { value: 1 }] })
  assert.deepEqual([answer.code, answer.details?.['index']], ['invalid_record', 1], JSON.stringify(answer))
  const named = { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': '0' }
  const path = '/v1/topics/t/records'
  const bad = { value_encoding: 'base64', records: [{ value: 'YQ==' }] }
  assert.equal((await server.post(path, bad, named)).status, 422)
  const good = { value_encoding: 'base64', records: [{ value: framed(own) }] }
  assert.equal((await server.post(path, good, named)).status, 200)
  await server.request('DELETE', '/subjects/t-value')
  const again = await server.post(path, good, named)
  assert.equal(again.status, 200, again.text())
  assert.equal((await server.post(path, good, { ...named, 'producer-seq': '1' })).status, 422)
  assert.equal(await endOf(server, 't'), 1)
})

test('keys apart from values; subjects by the record, and by topic and record', async (t) => {
  const server = await startServer(t)
  const order = await register(server, 'shop.Order', RECORD('Order'))
  const inTopic = await register(server, 't-shop.Item', RECORD('Item'))
  const nameless = await register(server, 'x', '"string"')
  const proto = await register(server, 'p.M', 'syntax = "proto3"; package p; message M {}', 'PROTOBUF')
  const json = await register(server, 'Title', '{"title":"Title"}', 'JSON')
  await makeTopic(server, 'r', {
    ...VALUES,
    'confluent.value.subject.name.strategy': 'io.confluent.kafka.serializers.subject.RecordNameStrategy',
  })
  await makeTopic(server, 't', {
    'confluent.key.schema.validation': 'true',
    'confluent.key.subject.name.strategy': 'TopicRecordNameStrategy',
  })
  for (const id of [order, proto, json]) assert.equal((await produce(server, 'r', [{ value: framed(id) }])).status, 200)
  const noName = await produce(server, 'r', [{ value: framed(nameless) }])
  assert.match(noName.json().detail, new RegExp(`names schema ${nameless}, which has no record name`))
  assert.equal(noName.json().details.subject, undefined)
  const item = await produce(server, 'r', [{ value: framed(inTopic) }])
  assert.equal(item.json().details.subject, 'shop.Item')
  assert.equal((await produce(server, 't', [{ key: framed(inTopic), value: 'YQ==' }, { value: 'YQ==' }])).status, 200)
  const key = await produce(server, 't', [{ key: framed(order), value: 'YQ==' }])
  assert.partialDeepStrictEqual(key.json().details, { index: 0, member: 'key', subject: 't-shop.Order' })
})

test('it can be asked for later, and given up again', async (t) => {
  const server = await startServer(t)
  await makeTopic(server, 't', {})
  const plain = () => produce(server, 't', [{ value: 'YQ==' }])
  const set = async (value: string | null) => {
    const headers = { 'content-type': 'application/json' }
    const body = { configs: { 'confluent.value.schema.validation': value } }
    assert.equal((await server.request('PATCH', '/v1/topics/t', { headers, body })).status, 200)
  }
  assert.equal((await plain()).status, 200)
  await set('true')
  assert.equal((await plain()).status, 422)
  await set(null)
  assert.equal((await plain()).status, 200)
})
