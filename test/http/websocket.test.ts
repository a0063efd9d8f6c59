// GET /v1/ws: the WebSocket API, over real sockets. Every frame in both directions is held against its schema.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import type { FrameRecord } from '../support/ws-client.ts'
import { openSocket } from '../support/ws-client.ts'

async function produce(
  server: TestServer,
  topic: string,
  values: readonly unknown[],
  partition?: number,
): Promise<void> {
  const records = values.map((value) => ({ value, ...(partition === undefined ? {} : { partition }) }))
  const reply = await server.post(`/v1/topics/${topic}/records`, { records })
  assert.equal(reply.status, 200, String(reply.body))
}

const valuesOf = (records: readonly FrameRecord[]) => records.map(({ value }) => value)

test('a socket is greeted with what holds on it', async (t) => {
  const server = await startServer(t)
  const socket = await openSocket(t, server, { path: '/v1/ws?heartbeat_ms=2000' })
  const [hello] = socket.received
  assert.equal(hello?.['heartbeat_ms'], 2000)
  assert.equal(hello?.['protocol'], 'events.v1')
})

test('a tail from the earliest record gives what is stored, then what comes', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders' })
  await produce(server, 'orders', [1, 2, 3])
  const socket = await openSocket(t, server)
  const { assignment, gen, sub } = await socket.command({
    type: 'subscribe',
    sub: 'a',
    topics: ['orders'],
    from: 'earliest',
  })
  assert.deepEqual([gen, sub], [1, 'a'])
  assert.deepEqual(
    assignment?.map(({ topic, partition, position }) => [topic, partition, position]),
    [['orders', 0, 0]],
  )
  assert.deepEqual(valuesOf(await socket.records('a', 3)), [1, 2, 3])
  assert.equal((await socket.take('progress'))['caught_up'], true)
  await produce(server, 'orders', [4])
  assert.deepEqual(valuesOf(await socket.records('a', 1)), [4])
})

test('a tail begins at the end where it does not say otherwise', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders' })
  await produce(server, 'orders', ['old'])
  const socket = await openSocket(t, server)
  await socket.command({ type: 'subscribe', sub: 'a', topics: ['orders'] })
  await produce(server, 'orders', ['new'])
  assert.deepEqual(valuesOf(await socket.records('a', 1)), ['new'])
})

test('no more records are sent than there is credit for', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders' })
  await produce(server, 'orders', [1, 2, 3, 4, 5])
  const socket = await openSocket(t, server)
  await socket.command({ type: 'subscribe', sub: 'a', topics: ['orders'], from: 'earliest', credit: { records: 2 } })
  assert.deepEqual(valuesOf(await socket.records('a', 2)), [1, 2])
  await socket.command({ type: 'credit', sub: 'a', records: 1 })
  assert.deepEqual(valuesOf(await socket.records('a', 1)), [3])
  await socket.command({ type: 'credit', sub: 'a', records: -1 })
  assert.deepEqual(valuesOf(await socket.records('a', 2)), [4, 5])
})

test('a ping is answered', async (t) => {
  const socket = await openSocket(t, await startServer(t))
  socket.send({ type: 'ping', id: 'x' })
  assert.equal((await socket.take('pong')).id, 'x')
})

test('what is produced over a socket is stored and answered', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders' })
  const socket = await openSocket(t, server)
  const answer = await socket.command({ type: 'produce', topic: 'orders', records: [{ key: 'k', value: { a: 1 } }] })
  assert.deepEqual(
    answer.records?.map(({ partition, offset }) => [partition, offset]),
    [[0, 0]],
  )
})
