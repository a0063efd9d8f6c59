// GET /topics/{topic}/partitions/{partition}/records, as Redpanda's clients ask for it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'
import { checkFailure, postBinary, postJson, V2, V2_BINARY, V2_JSON } from '../support/rest-proxy-v2.ts'

const records = (query: string, topic = 't', partition: number | string = 0) =>
  `/topics/${topic}/partitions/${partition}/records?${query}`
const FROM_START = 'offset=0&timeout=0&max_bytes=100000'

test('records come in JSON or base64, as Accept has it', async (t) => {
  const server = await startServer(t)
  await postJson(
    server,
    '/topics/t',
    '{"records":[{"key":"k","value":{"b":1.0,"b":[12345678901234567890]}},{"value":null}]}',
  )
  const json =
    '[{"topic":"t","key":"k","value":{"b":1.0,"b":[12345678901234567890]},"partition":0,"offset":0},{"topic":"t","key":null,"value":null,"partition":0,"offset":1}]'
  const value = Buffer.from('{"b":1.0,"b":[12345678901234567890]}').toString('base64')
  const binary = `[{"topic":"t","key":"Imsi","value":"${value}","partition":0,"offset":0},{"topic":"t","key":null,"value":null,"partition":0,"offset":1}]`
  for (const accept of [V2_JSON, 'application/json', `${V2_BINARY};q=0.5, ${V2_JSON}`, `${V2_JSON}, */*`]) {
    const reply = await server.get(records(FROM_START), { accept })
    assert.equal(reply.text(), `${json}\n`, accept)
    assert.equal(reply.headers['content-type'], V2_JSON)
  }
  for (const accept of [undefined, '*/*', V2, V2_BINARY, 'application/vnd.kafka.v1+json', `${V2_JSON};q=0.1, */*`]) {
    const reply = await server.get(records(FROM_START), accept === undefined ? {} : { accept })
    assert.equal(reply.text(), `${binary}\n`, accept)
    assert.equal(reply.headers['content-type'], V2_BINARY)
  }
  for (const accept of ['text/plain', 'application/vnd.kafka.avro.v2+json', `${V2_JSON};q=0`]) {
    const reply = await server.get(records(FROM_START), { accept })
    assert.equal(reply.status, 406, accept)
    assert.equal(reply.body.length, 0)
  }
})

test('offset, timeout and max_bytes are needed, as whole numbers', async (t) => {
  const server = await startServer(t)
  await postJson(server, '/topics/t', '{"records":[{"value":1}]}')
  const wrong = [
    '',
    'timeout=0&max_bytes=1',
    'offset=0&max_bytes=1',
    'offset=0&timeout=0',
    'offset=&timeout=0&max_bytes=1',
    'offset=-1&timeout=0&max_bytes=1',
    'offset=0&timeout=x&max_bytes=1',
    'offset=0&timeout=0&max_bytes=1.5',
    'offset=9007199254740993&timeout=0&max_bytes=1',
    'offset=0&offset=1&timeout=0&max_bytes=1',
  ]
  for (const query of wrong) {
    const reply = await server.get(records(query))
    checkFailure(reply, 40002, /parameter/)
    assert.equal(reply.headers['content-type'], V2_BINARY)
  }
  assert.equal((await server.get(records(`${FROM_START}&other=1`))).status, 200)
})

test('an unknown topic or partition is 404 / 40402, an offset outside of the partition 400 / 40002', async (t) => {
  const server = await startServer(t)
  await postJson(server, '/topics/t', '{"records":[{"value":1},{"value":2}]}')
  checkFailure(await server.get(records(FROM_START, 'no')), 40402, 'Partition not found.')
  checkFailure(await server.get(records(FROM_START, 't', 1)), 40402, 'Partition not found.')
  checkFailure(await server.get(records(FROM_START, 't', 'x')), 404, 'HTTP 404 Not Found')
  checkFailure(await server.get(records(FROM_START, 'a%20b')), 40002)
  checkFailure(await server.get(records('offset=3&timeout=0&max_bytes=1')), 40002, /0 to 1/)
  await server.request('DELETE', '/v1/topics/t/partitions/0/records?before=1')
  checkFailure(await server.get(records(FROM_START)), 40002, /1 to 1/)
})

test('max_bytes bounds the array, and at least one record comes', async (t) => {
  const server = await startServer(t)
  const value = 'x'.repeat(1000)
  await postJson(server, '/topics/t', { records: [{ value }, { value }, { value }] })
  for (const maxBytes of [0, 1, 999, 1500]) {
    assert.equal((await server.get(records(`offset=1&timeout=0&max_bytes=${maxBytes}`))).json().length, 1)
  }
  assert.equal((await server.get(records('offset=0&timeout=0&max_bytes=2500'))).json().length, 2)
  assert.equal((await server.get(records('offset=0&timeout=0&max_bytes=9007199254740991'))).json().length, 3)
})

test('at the end it waits for a record, and answers with none when the time is over', async (t) => {
  const server = await startServer(t)
  await postJson(server, '/topics/t', '{"records":[{"value":1}]}')
  assert.equal((await server.get(records('offset=1&timeout=0&max_bytes=100'))).text(), '[]\n')
  assert.equal((await server.get(records('offset=1&timeout=50&max_bytes=100'))).text(), '[]\n')
  const waiting = server.get(records('offset=1&timeout=30000&max_bytes=100'), { accept: V2_JSON })
  await postJson(server, '/topics/t', '{"records":[{"value":2}]}')
  assert.deepEqual((await waiting).json(), [{ topic: 't', key: null, value: 2, partition: 0, offset: 1 }])
})

test('a record that is not JSON fails the whole array in JSON, and says where it stands', async (t) => {
  const server = await startServer(t)
  await postJson(server, '/topics/t', '{"records":[{"value":1}]}')
  await postBinary(
    server,
    '/topics/t',
    '{"records":[{"value":"aGVsbG8="},{"value":""},{"key":"/w==","value":"MQ=="},{"value":"IjEi"}]}',
  )
  const json = { accept: V2_JSON }
  const reply = await server.get(records(FROM_START), json)
  checkFailure(reply, 40801, /value for partition t-0 at offset 1/)
  assert.equal(reply.headers['content-type'], V2_JSON)
  checkFailure(await server.get(records('offset=2&timeout=0&max_bytes=1000'), json), 40801, /offset 2/)
  checkFailure(await server.get(records('offset=3&timeout=0&max_bytes=1000'), json), 40801, /key .* offset 3/)
  assert.equal((await server.get(records('offset=4&timeout=0&max_bytes=1000'), json)).json()[0].value, '1')
  assert.equal((await server.get(records(FROM_START))).json().length, 5)
})

test('compat.lenient shows timestamp and headers too', async (t) => {
  const server = await startServer(t, { set: { 'compat.lenient': 'true' } })
  const timestamp = Date.now()
  const headers = [
    { key: 'h', value: 'AP8=' },
    { key: 'h', value: null },
  ]
  await postJson(server, '/topics/t', { records: [{ value: 1, timestamp, headers }] })
  const [record] = (await server.get(records(FROM_START), { accept: V2_JSON })).json()
  assert.deepEqual(record, { topic: 't', key: null, value: 1, partition: 0, offset: 0, timestamp, headers })
})
