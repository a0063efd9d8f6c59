// What a server logs of what was done with its topics, for who runs it: one line each, and none a record.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'

test('a topic’s creation, change and deletion, and the segments that go at a roll, are one line each', async (t) => {
  const server = await startServer(t)
  const before = server.log.length
  const configs = { 'segment.bytes': '65536', 'retention.bytes': '100000' }
  await server.post('/v1/topics', { name: 'orders', partitions: 2, configs })
  await server.request('PATCH', '/v1/topics/orders', {
    body: { partitions: 3, configs: { 'retention.bytes': '70000', 'segment.bytes': null } },
  })
  await server.request('PATCH', '/v1/topics/orders', { body: { configs: { 'segment.bytes': '65536' } } })
  for (let number = 0; number < 20; number++) {
    await server.post('/v1/topics/orders/records', { records: [{ partition: 0, value: 'x'.repeat(20_000) }] })
  }
  await server.request('DELETE', '/v1/topics/orders')
  const lines = server.log.slice(before)
  const others = lines.filter(({ message }) => !message.includes('deleted from'))
  assert.deepEqual(
    others.map(({ level, message }) => [level, message]),
    [
      ['info', 'topic orders was created: 2 partitions, segment.bytes=65536, retention.bytes=100000'],
      ['info', 'topic orders was altered: retention.bytes=70000, segment.bytes back to its default'],
      ['info', 'topic orders was altered: 3 partitions, 2 before'],
      ['info', 'topic orders was altered: segment.bytes=65536'],
      ['info', 'topic orders was deleted'],
    ],
  )
  const deleted = lines.filter(({ message }) => message.includes('deleted from'))
  assert.ok(deleted.length > 0 && deleted.length <= 7, String(deleted.length))
  for (const { level, message } of deleted) {
    assert.equal(level, 'info')
    assert.match(
      message,
      /^[1-9]\d* segments? \([1-9]\d* bytes\) deleted from the front of orders-0, which begins at offset [1-9]\d*$/,
    )
  }
})
