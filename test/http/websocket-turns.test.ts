// What one socket sends holds nobody up: frames are done some at a time, then everybody else has a turn of the event loop.
// Counted in turns of it, not in milliseconds.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FrameTaker } from '../../src/http/websocket/frame-turns.ts'
import { FrameTurns } from '../../src/http/websocket/frame-turns.ts'
import { WS_FRAMES_PER_TURN_MAX, WS_TURN_MS_MAX } from '../../src/kernel/limits.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startServer } from '../support/http.ts'
import { openSocket } from '../support/ws-client.ts'

/** Has so many frames; `done` gets its name for each. */
function taker(name: string, count: number, done: string[], onFrame = () => {}): FrameTaker {
  let left = count
  return {
    takeFrame() {
      done.push(name)
      onFrame()
      return --left > 0
    },
  }
}

/** Counts turns of the event loop until it is stopped. */
function countTurns(): () => number {
  let turns = 0
  let isOver = false
  const count = () => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  return () => {
    isOver = true
    return turns
  }
}

test('a turn has so many frames of all sockets, of each in its turn', async () => {
  const turns = new FrameTurns(new FakeClock())
  const done: string[] = []
  const perTurn = WS_FRAMES_PER_TURN_MAX
  turns.add(taker('many', 10 * perTurn, done))
  assert.equal(done.length, perTurn, 'at once, as long as there is room')
  turns.add(taker('few', 2, done))
  assert.equal(done.length, perTurn)
  await nextTurn()
  assert.equal(done.length, 2 * perTurn)
  assert.deepEqual(done.slice(perTurn, perTurn + 5), ['many', 'few', 'many', 'few', 'many'])
  for (let turn = 3; turn <= 10; turn++) {
    await nextTurn()
    assert.equal(done.length, turn * perTurn)
  }
  await nextTurn()
  await nextTurn()
  assert.equal(done.length, 10 * perTurn + 2)
  turns.add(taker('again', 1, done))
  assert.equal(done.at(-1), 'again')
})

test('a turn ends when its time is over, and has one frame at least', async () => {
  const clock = new FakeClock()
  const turns = new FrameTurns(clock)
  const done: string[] = []
  turns.add(taker('slow', 4, done, () => clock.advance(WS_TURN_MS_MAX)))
  for (let turn = 1; turn <= 4; turn++) {
    assert.equal(done.length, turn)
    await nextTurn()
  }
})

test('a storm of small frames leaves turns to others, and all of them are answered in order', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const socket = await openSocket(t, server)
  await socket.command({ type: 'subscribe', sub: 's', topics: ['t'] })
  const count = 2_000
  const stop = countTurns()
  for (let id = 0; id < count; id++) {
    socket.sendRaw(JSON.stringify(id % 2 === 0 ? { type: 'ping', id } : { type: 'seek', id, sub: 's', to: 'latest' }))
  }
  await socket.take(({ id }) => id === count - 1)
  const turns = stop()
  assert.ok(turns >= count / WS_FRAMES_PER_TURN_MAX, `${turns} turns`)
  const pongs = socket.received.filter(({ type }) => type === 'pong').map(({ id }) => Number(id))
  assert.deepEqual(
    pongs,
    Array.from({ length: count / 2 }, (_, at) => 2 * at),
  )
})

test('pings of the protocol that come at once are answered by one pong; what fills a read lets others have their turn', async (t) => {
  const server = await startServer(t)
  const { socket, ...client } = await openSocket(t, server)
  assert.ok(client)
  const data = Buffer.alloc(119)
  const count = 40 * 512
  let pongs = 0
  let last = -1
  const over = new Promise<void>((resolve) => {
    socket.on('pong', (bytes) => {
      pongs++
      last = bytes.readUInt32BE(0)
      if (last === count - 1) resolve()
    })
  })
  const stop = countTurns()
  for (let at = 0; at < count; at++) {
    data.writeUInt32BE(at, 0)
    socket.ping(Buffer.from(data))
  }
  await over
  const turns = stop()
  assert.equal(last, count - 1)
  assert.ok(pongs <= count / 10, `${pongs} pongs`)
  assert.ok(turns >= 38, `${turns} turns`)
})
