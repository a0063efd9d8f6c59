// Readers that take nothing, over real sockets, with a clock that moves only when told: others are not held up, what waits
// for the stalled is bounded, and they are closed in time. So is who has gone without a word.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { maskedFrame, OPCODE } from '../../bench/web-socket-frames.ts'
import {
  LIVE_CONNECTION_PENDING_BYTES_MAX,
  LIVE_HEARTBEAT_MS_DEFAULT,
  LIVE_STALL_MS_MAX,
  LIVE_SWEEP_MS,
  WS_CLOSE_MS_MAX,
} from '../../src/kernel/limits.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startServer } from '../support/http.ts'

const TOPIC = 'big'
/** Ended before the server is, whose clock stands still while it waits for them. */
const opened: { destroy(): void }[] = []
const STALLED = 10
const RECORD_BYTES = 900_000
/** Beyond what a socket holds in the kernel and in the server. */
const RECORDS = 32
const WAIT_MS_MAX = 20_000

test('readers that take nothing hold up nobody, have little waiting for them, and are closed in time', async (t) => {
  const clock = new FakeClock()
  t.after(() => {
    for (const one of opened) one.destroy()
  })
  const server = await startServer(t, { clock })
  await server.post('/v1/topics', { name: TOPIC, partitions: 1 })
  const stalled = await Promise.all(
    Array.from({ length: STALLED }, (_, index) => stalledReader(server.port, index % 2 === 0)),
  )
  const healthy = await Promise.all([healthyReader(server.port), healthyReader(server.port)])
  const before = process.memoryUsage()
  const records = [{ value: 'x'.repeat(RECORD_BYTES) }]
  for (let sent = 0; sent < RECORDS; sent++) {
    const { status } = await server.post(`/v1/topics/${TOPIC}/records`, { records })
    assert.equal(status, 200)
  }
  await until('healthy readers have all', () => healthy.every(({ offsets }) => offsets.length === RECORDS))
  const after = process.memoryUsage()
  const waiting = STALLED * (LIVE_CONNECTION_PENDING_BYTES_MAX + 2 * RECORD_BYTES)
  const grown = after.arrayBuffers - before.arrayBuffers
  assert.ok(grown < waiting + 64 * 1024 * 1024, `${grown} bytes wait`)

  await passTime(clock, LIVE_STALL_MS_MAX + WS_CLOSE_MS_MAX + 3 * LIVE_SWEEP_MS)
  await until('stalled ones are closed', () => {
    for (const { socket, sign } of stalled) socket.write(sign)
    return stalled.every(({ isClosed }) => isClosed())
  })

  for (const { socket } of healthy) assert.equal(socket.readyState, WebSocket.OPEN)
  await server.post(`/v1/topics/${TOPIC}/records`, { records: [{ value: 'last' }] })
  await until('healthy readers go on', () => healthy.every(({ offsets }) => offsets.length === RECORDS + 1))
  for (const { offsets } of healthy) assert.deepEqual(offsets, [...offsets.keys()])
})

test('a socket whose other side has gone without a word is closed', async (t) => {
  const clock = new FakeClock()
  t.after(() => {
    for (const one of opened) one.destroy()
  })
  const server = await startServer(t, { clock })
  await server.post('/v1/topics', { name: TOPIC, partitions: 1 })
  // its kernel takes all that comes, and nobody answers
  const silent = await rawReader(server.port, true)
  const healthy = await healthyReader(server.port)
  let isClosed = false
  silent.on('close', () => {
    isClosed = true
  })
  silent.resume()
  await passTime(clock, 4 * LIVE_HEARTBEAT_MS_DEFAULT)
  await until('the silent one is closed', () => isClosed)
  assert.equal(healthy.socket.readyState, WebSocket.OPEN)
})

/** Second by second, with time for an answer to each ping. */
async function passTime(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += LIVE_SWEEP_MS) {
    clock.advance(LIVE_SWEEP_MS)
    await delay(10)
  }
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const start = performance.now(); !isSo(); ) {
    assert.ok(performance.now() - start < WAIT_MS_MAX, `${what}: not within ${WAIT_MS_MAX} ms`)
    await delay(10)
  }
}

interface Stalled {
  readonly socket: Socket
  /** What it can say without a meaning: once the server has closed, saying it fails. */
  readonly sign: Buffer | string
  isClosed(): boolean
}

async function stalledReader(port: number, isWebSocket: boolean): Promise<Stalled> {
  const socket = await rawReader(port, isWebSocket)
  let isClosed = false
  socket.on('close', () => {
    isClosed = true
  })
  const sign = isWebSocket ? maskedFrame(OPCODE.pong, Buffer.alloc(0)) : '\r\n'
  return { socket, sign, isClosed: () => isClosed }
}

/** Subscribed, and paused from the first byte on. */
function rawReader(port: number, isWebSocket: boolean): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => {
      socket.write(isWebSocket ? upgradeText() : eventsText())
    })
    opened.push(socket)
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.pause()
      const frame = { type: 'subscribe', sub: 'a', topics: [TOPIC], from: 'earliest', credit: { records: -1 } }
      if (isWebSocket) socket.write(maskedFrame(OPCODE.text, Buffer.from(JSON.stringify(frame))))
      resolve(socket)
    })
  })
}

function upgradeText(): string {
  return [
    'GET /v1/ws HTTP/1.1',
    'Host: 127.0.0.1',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol: events.v1.json',
    '\r\n',
  ].join('\r\n')
}

function eventsText(): string {
  return `GET /v1/topics/${TOPIC}/events?from=earliest HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n`
}

interface Healthy {
  readonly socket: WebSocket
  readonly offsets: number[]
}

function healthyReader(port: number): Promise<Healthy> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, 'events.v1.json')
    const offsets: number[] = []
    opened.push({ destroy: () => socket.terminate() })
    socket.on('error', reject)
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as { type: string; records?: { offset: number }[] }
      if (frame.type === 'hello') {
        const subscribe = {
          type: 'subscribe',
          id: 1,
          sub: 'a',
          topics: [TOPIC],
          from: 'latest',
          credit: { records: -1 },
        }
        socket.send(JSON.stringify(subscribe))
      }
      if (frame.type === 'ok') resolve({ socket, offsets })
      for (const { offset } of frame.records ?? []) offsets.push(offset)
    })
  })
}
