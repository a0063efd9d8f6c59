// What a tail makes of its connections, where the server has to misbehave on command: a WebSocket server that says just what
// the test tells it to. Tails of the real server are in tail.test.ts.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { WebSocket as ServerSocket } from 'ws'
import { WebSocketServer } from 'ws'
import type { SubscribeFrame } from '../../src/client/frames.ts'
import { CLOSE_CODES } from '../../src/client/live-socket.ts'
import type { TailPage } from '../../src/client/tail.ts'
import { Tail } from '../../src/client/tail.ts'
import type { TailOptions, TailSource } from '../../src/client/tail-request.ts'
import { CLOSE } from '../../src/http/websocket/close-codes.ts'
import { FakeClock } from '../support/fake-clock.ts'

interface Peer {
  readonly socket: ServerSocket
  readonly subscribe: SubscribeFrame & { readonly id: number }
  say(frame: object): void
  /** The next frame of the client's. */
  heard(): Promise<{ readonly type: string; readonly records: number; readonly bytes: number }>
}

const HELLO = { type: 'hello', heartbeat_ms: 5_000, limits: { credit_records: 100, credit_bytes: 100_000 } }

class ScriptedServer {
  readonly #server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  readonly #peers: Peer[] = []
  #arrived = Promise.withResolvers<void>()

  constructor(t: TestContext) {
    this.#server.on('connection', (socket) => this.#onConnection(socket))
    t.after(() => this.stop())
  }

  async url(): Promise<string> {
    if (this.#server.address() === null) await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The next client, which has subscribed and is answered. */
  async peer(cursor: string | undefined = 'start'): Promise<Peer> {
    while (this.#peers.length === 0) await this.#arrived.promise
    const peer = this.#peers.shift() as Peer
    if (cursor !== undefined) peer.say({ type: 'ok', id: peer.subscribe.id, sub: peer.subscribe.sub, cursor })
    return peer
  }

  stop(): void {
    for (const client of this.#server.clients) client.terminate()
    this.#server.close()
  }

  #onConnection(socket: ServerSocket): void {
    const frames: string[] = []
    let changed = Promise.withResolvers<void>()
    socket.on('message', (data) => {
      frames.push(String(data))
      changed.resolve()
      changed = Promise.withResolvers()
    })
    const heard = async () => {
      while (frames.length === 0) await changed.promise
      return JSON.parse(frames.shift() as string)
    }
    const say = (frame: object) => socket.send(JSON.stringify(frame))
    say(HELLO)
    void heard().then((subscribe) => {
      this.#peers.push({ socket, subscribe, say, heard })
      this.#arrived.resolve()
      this.#arrived = Promise.withResolvers()
    })
  }
}

function openTail(clock: FakeClock, url: string, options: TailOptions = {}, source: TailSource = 'orders'): Tail {
  return new Tail({ url, webSocket: WebSocket, clock, random: () => 0.5, probe: async () => {} }, source, options)
}

/** Retries, as they are told of; each is done when the test says so. */
class Retries {
  readonly codes: string[] = []
  #told = Promise.withResolvers<number>()

  readonly onRetry = ({ code }: { readonly code: string }, delayMs: number) => {
    this.codes.push(code)
    this.#told.resolve(delayMs)
  }

  async next(clock: FakeClock): Promise<number> {
    const delayMs = await this.#told.promise
    this.#told = Promise.withResolvers()
    clock.advance(delayMs)
    return delayMs
  }
}

async function take(pages: AsyncIterator<TailPage>): Promise<TailPage> {
  const { value, done } = await pages.next()
  assert.ok(!done)
  return value
}

const record = (offset: number) => `{"topic":"orders","partition":0,"offset":${offset},"value":1.0}`
const records = (cursor: string, ...offsets: number[]) =>
  `{"type":"records","sub":"tail","gen":1,"records":[${offsets.map(record)}],"cursor":"${cursor}"}`

test('a subscription says what is asked for, and records keep every character', async (t) => {
  const server = new ScriptedServer(t)
  const options = {
    from: '-5',
    until: { count: 3 },
    partitions: [1],
    key: 'k',
    headers: ['type:paid:late'],
    filter: 'value.total > 1',
    valueFormat: 'json',
    overflow: 'latest_per_key',
  } as const
  const pages = openTail(new FakeClock(), await server.url(), options, ['orders', 'bills'])[Symbol.asyncIterator]()
  const first = take(pages)
  const peer = await server.peer()
  const { type, id, ...asked } = peer.subscribe
  assert.deepEqual(asked, {
    sub: 'tail',
    topics: ['orders', 'bills'],
    partitions: [
      { topic: 'orders', partition: 1 },
      { topic: 'bills', partition: 1 },
    ],
    from: '-5',
    until: { count: 3 },
    filter: { key: 'k', headers: { type: 'paid:late' }, expr: 'value.total > 1' },
    value_format: 'json',
    on_gap: 'earliest',
    overflow: 'latest_per_key',
    credit: { records: 100, bytes: 100_000 },
  })
  peer.say({ type: 'gap', sub: 'tail', gen: 1, topic: 'orders', partition: 1, from: 0, to: 4, reason: 'removed' })
  const bad = { code: 'kafka_storage_error', message: 'offline', retryable: true }
  peer.say({ type: 'error', sub: 'tail', gen: 1, ...bad, details: { topic: 'bills', partition: 1 } })
  peer.socket.send(records('c1', 4, 5))
  const page = await first
  assert.equal(page.records[0]?.member('value'), '1.0')
  assert.deepEqual(page.gaps, [{ topic: 'orders', partition: 1, from: 0, to: 4, reason: 'removed' }])
  assert.equal(page.faults[0]?.partition, 1)
  assert.equal(page.faults[0]?.error.detail, 'offline')
  const closed = once(peer.socket, 'close')
  await pages.return?.()
  assert.equal((await closed)[0], 1000)
})

test('a lost connection is opened anew with full jitter, and goes on at the last cursor', async (t) => {
  const server = new ScriptedServer(t)
  const clock = new FakeClock()
  const retries = new Retries()
  const pages = openTail(clock, await server.url(), { onRetry: retries.onRetry, until: { count: 5 } })[
    Symbol.asyncIterator
  ]()
  const first = take(pages)
  const peer = await server.peer('c0')
  peer.socket.send(records('c2', 0, 1))
  await first
  const second = take(pages)
  peer.socket.terminate()
  assert.equal(await retries.next(clock), 125)

  for (const delayMs of [250, 500, 1_000]) {
    const refused = await server.peer(undefined)
    assert.equal(refused.subscribe.from, 'cursor:c2')
    assert.deepEqual(refused.subscribe.until, { count: 3 })
    refused.socket.close(4500, 'not now')
    assert.equal(await retries.next(clock), delayMs)
  }
  const draining = await server.peer('c2')
  draining.say({ type: 'draining', close_in_ms: 10, reconnect_after_ms: 700 })
  draining.socket.close(4501)
  assert.equal(await retries.next(clock), 700 + 2_000)

  const last = await server.peer('c2')
  last.socket.send(records('c4', 2, 3))
  assert.deepEqual(
    (await second).records.map(({ offset }) => offset),
    [2, 3],
  )
  const third = take(pages)
  last.socket.send(records('c5', 4))
  assert.deepEqual(
    (await third).records.map(({ offset }) => offset),
    [4],
  )
  assert.equal((await pages.next()).done, true)
  assert.deepEqual(retries.codes, ['broken_off', 'internal', 'internal', 'internal', 'draining'])
})

test('a server that has given up for good is not called again', async (t) => {
  const server = new ScriptedServer(t)
  const url = await server.url()
  const end = async (error: object, sayBye: (peer: Peer) => void) => {
    const ended = assert.rejects(openTail(new FakeClock(), url)[Symbol.asyncIterator]().next(), error)
    sayBye(await server.peer())
    await ended
  }
  const details = { close_code: 4409, reason: 'elsewhere' }
  await end({ code: 'superseded', retryable: false, details }, ({ socket }) => socket.close(4409, 'elsewhere'))
  const deleted = { type: 'end', sub: 'tail', reason: 'topic_deleted', cursor: 'c' }
  const failed = { type: 'error', sub: 'tail', code: 'invalid_filter', message: 'no', retryable: false }
  await end({ code: 'invalid_filter', message: 'no' }, ({ say }) => say(failed))
  await end({ code: 'unexpected_reply' }, ({ socket }) => socket.send('{"half":'))
  await end({ code: 'unexpected_reply' }, ({ socket }) => socket.send(Buffer.from('{}')))

  await end({ code: 'unknown_topic_or_partition', status: 404 }, ({ say }) => say(deleted))
  const where = { topic: 'orders', partition: 3, start_offset: 5 }
  const outOfRange = { type: 'error', sub: 'tail', code: 'offset_out_of_range', message: 'gone', retryable: false }
  await end({ code: 'offset_out_of_range' }, ({ say }) => {
    say({ ...outOfRange, details: where })
    say({ type: 'end', sub: 'tail', reason: 'error' })
  })
})

test('a connection without a frame for two heartbeats is dead, one with frames is not', async (t) => {
  const server = new ScriptedServer(t)
  const clock = new FakeClock()
  const retries = new Retries()
  const pages = openTail(clock, await server.url(), { onRetry: retries.onRetry })[Symbol.asyncIterator]()
  const progress = {
    type: 'progress',
    sub: 'tail',
    gen: 1,
    caught_up: true,
    lag: 0,
    scanned: 3,
    matched: 2,
    dropped: 0,
  }
  let next = take(pages)
  const peer = await server.peer()
  for (let beat = 0; beat < 5; beat++) {
    peer.say({ ...progress, cursor: `c${beat}`, filter_errors: 1 })
    assert.deepEqual((await next).progress, {
      caughtUp: true,
      lag: 0,
      scanned: 3,
      matched: 2,
      dropped: 0,
      filterErrors: 1,
    })
    next = take(pages)
    clock.advance(9_000)
  }
  clock.advance(1_000)
  assert.deepEqual(retries.codes, [])
  // the last chance of one that was busy itself
  clock.advance(1_000)
  await retries.next(clock)
  assert.deepEqual(retries.codes, ['broken_off'])
  const again = await server.peer()
  assert.equal(again.subscribe.from, 'cursor:c4')
  again.socket.send(records('c9', 1))
  assert.equal((await next).cursor, 'c9')
  await pages.return?.()
})

test('what a slow reader has ahead of it is bounded by its credit, over connections too', async (t) => {
  const server = new ScriptedServer(t)
  const clock = new FakeClock()
  const retries = new Retries()
  const options = { aheadMax: { records: 10, bytes: 5_000 }, onRetry: retries.onRetry }
  const pages = openTail(clock, await server.url(), options)[Symbol.asyncIterator]()
  const first = take(pages)
  const peer = await server.peer()
  assert.deepEqual(peer.subscribe.credit, { records: 10, bytes: 5_000 })
  for (let at = 0; at < 10; at++) peer.socket.send(records(`c${at}`, at))
  await first
  const frameBytes = records('c0', 0).length - '{"type":"records","sub":"tail","gen":1'.length
  // 9 are waiting and one is with the reader
  peer.socket.close(1011)
  await retries.next(clock)
  const again = await server.peer()
  assert.deepEqual(again.subscribe.credit, { records: 1, bytes: 5_000 - 10 * frameBytes })
  assert.equal(again.subscribe.from, 'cursor:c9')
  for (let at = 1; at < 7; at++) await take(pages)
  assert.deepEqual(await again.heard(), { type: 'credit', sub: 'tail', records: 5, bytes: 6 * frameBytes })
  await pages.return?.()
})

test('an abort ends a tail while it waits, and while it waits to come back', async (t) => {
  const server = new ScriptedServer(t)
  const clock = new FakeClock()
  const url = await server.url()
  const stop = new AbortController()
  const next = openTail(clock, url, { signal: stop.signal })[Symbol.asyncIterator]().next()
  const peer = await server.peer()
  const closed = once(peer.socket, 'close')
  stop.abort()
  await assert.rejects(next, { name: 'AbortError' })
  await closed

  const stopLater = new AbortController()
  const retrying = Promise.withResolvers<void>()
  const options = { signal: stopLater.signal, onRetry: () => retrying.resolve() }
  const waiting = openTail(clock, url, options)[Symbol.asyncIterator]().next()
  const lost = await server.peer()
  lost.socket.terminate()
  await retrying.promise
  stopLater.abort()
  await assert.rejects(waiting, { name: 'AbortError' })
})

test('where a new group begins is the server’s to say, unless the reader says it', async (t) => {
  const server = new ScriptedServer(t)
  const url = await server.url()
  for (const from of [undefined, 'latest']) {
    const pages = openTail(new FakeClock(), url, { group: 'billing', from })[Symbol.asyncIterator]()
    const next = pages.next()
    next.catch(() => {})
    const peer = await server.peer()
    assert.deepEqual([peer.subscribe.group, peer.subscribe.from], ['billing', from])
    const refused = { code: 'unknown_member_id', message: 'out', retryable: false }
    peer.say({ type: 'error', sub: 'tail', ...refused })
    await assert.rejects(next, { code: 'unknown_member_id' })
  }
})

test('an ack tells what it has done, and nothing of the frame that said it', async (t) => {
  const server = new ScriptedServer(t)
  const tail = openTail(new FakeClock(), await server.url(), { group: { name: 'mailers', mode: 'shared' } }, 'jobs')
  const pages = tail[Symbol.asyncIterator]()
  const first = take(pages)
  const peer = await server.peer()
  peer.socket.send(records('', 0))
  const page = await first
  const acked = tail.ack('accept', page.records)
  const { id, ...said } = (await peer.heard()) as object as { id: number }
  assert.deepEqual(said, {
    type: 'ack',
    sub: 'tail',
    outcome: 'accept',
    records: [{ topic: 'orders', partition: 0, offset: 0 }],
  })
  peer.say({ type: 'ok', id, sub: 'tail', accepted: 1, dead_lettered: 0 })
  assert.deepEqual(await acked, { accepted: 1, dead_lettered: 0 })
  await pages.return?.()
})

test('what cannot be meant is refused before anything is sent', () => {
  const wrong = (options: object, message: RegExp) =>
    assert.throws(() => openTail(new FakeClock(), 'http://127.0.0.1:2', options), { name: 'TypeError', message })
  wrong({ form: 'earliest' }, /^a tail has no option 'form'; from, until, .*, signal are known$/)
  wrong({ group: 'x', mode: 'shared' }, /^a tail has no option 'mode': it is the group's: group: \{ name, mode \}$/)
  wrong({ group: { name: 'x', lease_ms: 1 } }, /^a group has no option 'lease_ms'; name, mode, .* are known$/)
  wrong({ headers: ['type=paid'] }, /^'type=paid' in headers is not of the form name:value$/)
  assert.ok(openTail(new FakeClock(), 'http://127.0.0.1:2', { from: undefined, headers: ['type:'] }))
})

test('what the server closes with has the same name on both sides', () => {
  const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const ofServer = Object.entries(CLOSE).map(([name, code]) => [String(code), snake(name)])
  assert.deepEqual(CLOSE_CODES, Object.fromEntries(ofServer))
})
