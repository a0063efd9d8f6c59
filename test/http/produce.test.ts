import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'

test('a first record makes its topic, and is read back as it was sent', async (t) => {
  const server = await startServer(t)
  const produced = await server.post('/v1/topics/orders/records', { records: [{ key: 'c-17', value: { total: 5 } }] })
  assert.equal(produced.status, 200)
  const [{ partition, offset, timestamp }] = produced.json().records
  assert.deepEqual({ partition, offset }, { partition: 0, offset: 0 })
  assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 60_000)
  const [record] = (await server.get('/v1/topics/orders/records')).json().records
  assert.equal(record.key, 'c-17')
  assert.deepEqual(record.value, { total: 5 })
  assert.equal(record.timestamp, timestamp)
})

test('a value comes back byte for byte', async (t) => {
  const server = await startServer(t)
  const values = [
    '12345678901234567890',
    '1.0',
    '{"b":1,"a":2,"b":3}',
    '"\\ud800 lone"',
    '{\n  "pretty": [ 1,\n 2 ]\r\n}',
    `"${'x'.repeat(1024 * 1024)}"`,
  ]
  for (const value of values) {
    assert.equal((await server.post('/v1/topics/t/records', `{"records":[{"value":${value}}]}`)).status, 200)
  }
  const page = (await server.get('/v1/topics/t/records?max_bytes=10000000')).text()
  for (const value of values) assert.ok(page.includes(`"value":${value},`), value.slice(0, 50))
})

test('acks decide when the reply leaves, and with 0 there is no offset in it', async (t) => {
  const server = await startServer(t)
  const body = { records: [{ value: 1 }, { value: 2 }] }
  for (const acks of ['all', '1']) {
    const reply = await server.post(`/v1/topics/t/records?acks=${acks}`, body)
    assert.equal(reply.json().records.length, 2)
    assert.equal(typeof reply.json().records[1].offset, 'number')
  }
  const unwaited = await server.post('/v1/topics/t/records?acks=0', body)
  assert.equal(unwaited.status, 200)
  for (const { offset } of unwaited.json().records) assert.equal(offset, null)
  for (const query of ['acks=2', 'acks=', 'acks=all&acks=1', 'ack=1']) {
    assert.equal((await server.post(`/v1/topics/t/records?${query}`, body)).status, 400, query)
  }
})

test('a named producer may repeat its request, and names itself wholly or not', async (t) => {
  const server = await startServer(t)
  const produce = (headers: Record<string, string>) =>
    server.post('/v1/topics/t/records', { records: [{ value: 1 }] }, headers)
  const name = { 'producer-id': 'meter', 'producer-epoch': '0', 'producer-seq': '0' }
  const first = (await produce(name)).json()
  assert.equal(first.duplicate, undefined)
  assert.deepEqual((await produce(name)).json(), { ...first, duplicate: true })
  assert.equal((await produce({ ...name, 'producer-seq': '2' })).status, 409)
  assert.equal((await produce({ ...name, 'producer-epoch': '1' })).status, 200)
  assert.equal((await produce({ ...name, 'producer-seq': '1' })).status, 403)
  const partial = [
    { 'producer-id': 'meter' },
    { 'producer-epoch': '0', 'producer-seq': '0' },
    { ...name, 'producer-epoch': '32768' },
    { ...name, 'producer-epoch': '-1' },
    { ...name, 'producer-seq': '1.5' },
    { ...name, 'producer-seq': '2147483648' },
    { ...name, 'producer-id': 'x'.repeat(250) },
  ]
  for (const headers of partial) {
    assert.equal((await produce(headers)).status, 400, JSON.stringify(headers).slice(0, 100))
  }
})

test('what cannot be stored is refused whole, with the record that is at fault, and no topic is made for it', async (t) => {
  const server = await startServer(t)
  const refused: [body: string, status: number][] = [
    ['{"records":[]}', 422],
    ['{}', 422],
    ['[]', 422],
    ['', 400],
    ['{"records":[{"value":1}', 400],
    ['{"records":[{"value":1}]} x', 400],
    [`{"records":[{"value":${'['.repeat(50_000)}`, 400],
    ['{"records":[{"value":1},{"value":2,"partition":7}]}', 422],
    ['{"records":[{"value":1},{"value":2,"partition":-1}]}', 422],
    ['{"records":[{"value":1},{"value":2,"partition":0.5}]}', 422],
    ['{"records":[{"value":1},{"value":"!","value_encoding":"base64"}]}', 422],
    ['{"records":[{"value":1},{"key":5,"value":2}]}', 422],
    ['{"records":[{"value":1},{"valeu":2}]}', 422],
    ['{"records":[{"value":1},{"value":2,"__proto__":{}}]}', 422],
    ['{"records":[{"value":1},{"value":2,"timestamp":"9999999-01-01T00:00:00Z"}]}', 422],
    ['{"records":[{"value":1}],"acks":"all"}', 422],
  ]
  for (const [body, status] of refused) {
    const reply = await server.post('/v1/topics/new/records', body)
    assert.ok([400, 404, 422].includes(reply.status), `${body.slice(0, 80)} -> ${reply.status} ${reply.text()}`)
    if (status === 400) assert.equal(reply.status, 400, `${body.slice(0, 80)} -> ${reply.text()}`)
  }
  const fault = await server.post('/v1/topics/new/records', '{"records":[{"value":1},{"value":2,"partition":7}]}')
  assert.equal(fault.json().details.index ?? fault.json().details.record, 1)
  assert.deepEqual((await server.get('/v1/topics')).json().items, [])
})

test('a batch over max.message.bytes is 413 with its partition, size and limit', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'small', configs: { 'max.message.bytes': '1000' } })
  const reply = await server.post('/v1/topics/small/records', { records: [{ value: 'x'.repeat(2_000) }] })
  assert.equal(reply.status, 413)
  assert.equal(reply.json().code, 'message_too_large')
  assert.equal(reply.json().details.limit, 1_000)
})

test('a record without a key is refused where the topic is compacted, from the moment that it is', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'kept' })
  const mixed = {
    records: [
      { key: '', value: 1 },
      { key: 'k', value: 2 },
      { key: null, value: 3 },
    ],
  }
  assert.equal((await server.post('/v1/topics/kept/records', mixed)).status, 200)
  for (const policy of ['compact', 'compact,delete']) {
    await server.request('PATCH', '/v1/topics/kept', { body: { configs: { 'cleanup.policy': policy } } })
    const reply = await server.post('/v1/topics/kept/records', mixed)
    assert.equal(reply.status, 422)
    const { code, detail, details, retryable } = reply.json()
    assert.deepEqual([code, details.index, retryable], ['invalid_record', 2, false])
    assert.match(detail, /^Compacted topic cannot accept message without key/)
  }
  const keyed = { records: mixed.records.slice(0, 2) }
  assert.equal((await server.post('/v1/topics/kept/records', keyed)).json().records[1].offset, 4)
  await server.request('PATCH', '/v1/topics/kept', { body: { configs: { 'cleanup.policy': null } } })
  assert.equal((await server.post('/v1/topics/kept/records', mixed)).status, 200)
})

test('without auto.create.topics.enable an unknown topic is 404', async (t) => {
  const server = await startServer(t, { set: { 'auto.create.topics.enable': 'false' } })
  const reply = await server.post('/v1/topics/none/records', { records: [{ value: 1 }] })
  assert.equal(reply.status, 404)
  assert.equal(reply.json().code, 'unknown_topic_or_partition')
})
