// How long a WebSocket lives: heartbeats, clients that have gone or take nothing, the end of the server. Time is the
// test's own.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import {
  LIVE_HEARTBEAT_MS_DEFAULT,
  LIVE_STALL_MS_MAX,
  LIVE_SWEEP_MS,
  WS_FRAME_BYTES_MAX,
  WS_UNFINISHED_BYTES_MAX,
} from '../../src/kernel/limits.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startServer } from '../support/http.ts'
import type { TestSocket } from '../support/ws-client.ts'
import { openSocket } from '../support/ws-client.ts'

/** Steps of the sweep, with time in between for what comes over sockets. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += LIVE_SWEEP_MS) {
    clock.advance(LIVE_SWEEP_MS)
    await delay(5)
  }
}

async function passUntil(clock: FakeClock, isDone: () => boolean): Promise<void> {
  for (let step = 0; step < 200 && !isDone(); step++) await pass(clock, LIVE_SWEEP_MS)
}

const count = ({ received }: TestSocket, wanted: string) => received.filter(({ type }) => type === wanted).length

test('a subscription that is silent is told where it stands, once a heartbeat; one with another pace, at that', async (t) => {
  const clock = new FakeClock()
  const server = await startServer(t, { clock })
  await server.post('/v1/topics', { name: 't' })
  const socket = await openSocket(t, server)
  const { cursor } = await socket.command({ type: 'subscribe', sub: 'a', topics: ['t'] })
  await socket.command({ type: 'subscribe', sub: 'slow', topics: ['t'], heartbeat_ms: 20_000 })
  await pass(clock, LIVE_HEARTBEAT_MS_DEFAULT)
  const before = socket.received.length
  await pass(clock, 4 * LIVE_HEARTBEAT_MS_DEFAULT)
  const told = socket.received.slice(before).filter(({ type }) => type === 'progress')
  const of = (name: string) => told.filter(({ sub }) => sub === name)
  assert.ok(of('a').length >= 4 && of('a').length <= 5, String(of('a').length))
  assert.equal(of('slow').length, 1)
  assert.ok(of('a').every((frame) => frame.cursor === cursor && frame['caught_up'] === true))
})

test('a socket without subscriptions is sent a pong once a heartbeat', async (t) => {
  const clock = new FakeClock()
  const server = await startServer(t, { clock })
  const socket = await openSocket(t, server, { path: '/v1/ws?heartbeat_ms=1000' })
  await pass(clock, 5_000)
  await socket.take('pong')
  assert.ok(count(socket, 'pong') >= 4)
})

test('a client that answers pings stays, whatever it keeps silent about; one that answers nothing is cut', async (t) => {
  const clock = new FakeClock()
  const server = await startServer(t, { clock })
  const there = await openSocket(t, server)
  const gone = await openSocket(t, server, { autoPong: false })
  let isGone = false
  void gone.closed.then(() => {
    isGone = true
  })
  await pass(clock, 2 * LIVE_HEARTBEAT_MS_DEFAULT)
  assert.equal(isGone, false)
  await passUntil(clock, () => isGone)
  assert.equal((await gone.closed).code, 4503)
  await pass(clock, 4 * LIVE_HEARTBEAT_MS_DEFAULT)
  assert.equal((await there.ask({ type: 'ping' })).type, 'pong')
})

test('a client that takes nothing of what waits for it is closed, and others are not held up', async (t) => {
  const clock = new FakeClock()
  const server = await startServer(t, { clock })
  await server.post('/v1/topics', { name: 't' })
  for (let batch = 0; batch < 12; batch++) {
    await server.post('/v1/topics/t/records', { records: [{ value: 'x'.repeat(2_000_000) }] })
  }
  const [stalled, other] = [await openSocket(t, server), await openSocket(t, server)]
  const all = { type: 'subscribe', sub: 'a', topics: ['t'], from: 'earliest', credit: { records: -1 } }
  await stalled.command({ ...all, until: { count: 1 } })
  await stalled.take('end')
  stalled.socket.pause()
  stalled.send(all)
  await other.command(all)
  await other.records('a', 12)
  let isClosed = false
  stalled.socket.on('close', () => {
    isClosed = true
  })
  await pass(clock, LIVE_STALL_MS_MAX + 2 * LIVE_SWEEP_MS)
  await other.take('progress')
  stalled.socket.resume()
  await passUntil(clock, () => isClosed)
  const { code } = await stalled.closed
  assert.ok(code === 4502 || code === 1006, String(code))
  assert.equal((await other.ask({ type: 'ping' })).type, 'pong')
})

test('a socket that takes what it is sent, however slowly, is not closed', async (t) => {
  const clock = new FakeClock()
  const server = await startServer(t, { clock })
  await server.post('/v1/topics', { name: 't' })
  for (let batch = 0; batch < 12; batch++) {
    await server.post('/v1/topics/t/records', { records: [{ value: 'x'.repeat(2_000_000) }] })
  }
  const socket = await openSocket(t, server)
  socket.socket.pause()
  socket.send({ type: 'subscribe', sub: 'a', topics: ['t'], from: 'earliest', credit: { records: -1 } })
  await nextTurn()
  let isDone = false
  const records = socket.records('a', 12).then((all) => {
    isDone = true
    return all
  })
  for (let step = 0; step < 500 && !isDone; step++) {
    socket.socket.resume()
    await delay(1)
    socket.socket.pause()
    clock.advance(LIVE_SWEEP_MS)
    await delay(1)
  }
  socket.socket.resume()
  assert.equal((await records).length, 12)
})

test('when the server closes, sockets are told, may commit what they have, and are closed with 4501', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  await server.post('/v1/topics/t/records', { records: [{ value: 1 }] })
  const socket = await openSocket(t, server)
  await socket.command({ type: 'subscribe', sub: 'a', topics: ['t'], from: 'earliest' })
  const { cursor } = await socket.take('records')
  const closed = server.close()
  const draining = await socket.take('draining')
  assert.ok(Number(draining['close_in_ms']) > 0 && Number(draining['reconnect_after_ms']) > 0)
  await socket.command({ type: 'commit', sub: 'a', group: 'g', cursor })
  assert.equal((await socket.closed).code, 4501)
  await closed
})

test('a client that does not answer the close does not keep the server from closing', async (t) => {
  const server = await startServer(t, { set: { 'shutdown.grace.ms': '1000' } })
  const socket = await openSocket(t, server)
  socket.socket.pause()
  await server.close()
})

test('what was asked before the server closes is answered', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const socket = await openSocket(t, server)
  for (let id = 0; id < 50; id++) socket.send({ type: 'produce', id, topic: 't', records: [{ value: id }] })
  const first = await socket.take('ok')
  assert.equal(first.id, 0)
  const closed = server.close()
  await socket.closed
  assert.equal(count(socket, 'ok'), 50)
  await closed
})

test('frames that come in part are bounded over all sockets: who holds much is closed, who holds little is not', async (t) => {
  const clock = new FakeClock()
  const server = await startServer(t, { clock })
  const little = await openSocket(t, server)
  little.socket.send('{"type":"ping",', { fin: false })
  const count = WS_UNFINISHED_BYTES_MAX / WS_FRAME_BYTES_MAX + 8
  const greedy = await Promise.all(Array.from({ length: count }, () => openSocket(t, server)))
  const part = Buffer.alloc(WS_FRAME_BYTES_MAX - 100, ' ')
  const closes: number[] = []
  for (const { socket } of greedy) {
    socket.on('close', (code) => closes.push(code))
    socket.send(part, { binary: false, fin: false })
  }
  await passUntil(clock, () => closes.length > 0)
  await pass(clock, 2 * LIVE_SWEEP_MS)
  assert.ok(closes.length > 0 && closes.length < count, String(closes.length))
  assert.ok(
    closes.every((code) => code === 4504 || code === 1006),
    String(closes),
  )
  little.socket.send('"id":1}', { fin: true })
  assert.equal((await little.take(({ id }) => id === 1)).type, 'pong')
})
