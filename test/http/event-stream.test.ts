// One event stream on a real connection, its clock and its tail in the test's hands: signs of life, its end, and a client
// that takes nothing.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { LiveConnections } from '../../src/http/live-connections.ts'
import type { EventStreamOptions } from '../../src/http/v1/event-stream.ts'
import { EventStream } from '../../src/http/v1/event-stream.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import {
  EVENT_PROGRESS_MS,
  LIVE_CONNECTION_PENDING_BYTES_MAX,
  LIVE_PENDING_BYTES_MAX,
  LIVE_STALL_MS_MAX,
  LIVE_SWEEP_MS,
} from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import type { Tail, TailChunk, TailProgress } from '../../src/service/tail/tail.ts'
import { EventClient } from '../support/event-client.ts'
import { FakeClock } from '../support/fake-clock.ts'

const TIMEOUT = { timeout: 20_000 }
const OPTIONS: EventStreamOptions = { heartbeatMs: 5_000, lastsMs: 900_000, lastsBecause: 'rotation', retryMs: 2_000 }
const PROGRESS: TailProgress = {
  cursor: 'c2',
  caughtUp: true,
  lag: 0,
  scanned: 7,
  matched: 0,
  dropped: 0,
  filterErrors: 0,
}

const EVENT = 'id: c1\ndata: {"topic":"a","partition":0,"offset":1}\n\n'
const LARGE_EVENT = `data: {"topic":"a","partition":0,"offset":1,"value":"${'x'.repeat(256 * 1024)}"}\n\n`

class ScriptedTail {
  cursor: string | undefined = 'c1'
  readonly positions = []
  isClosed = false
  #wake = Promise.withResolvers<void>()

  progress(): TailProgress {
    return { ...PROGRESS, cursor: this.cursor }
  }

  wake(): void {
    this.#wake.resolve()
  }

  get woken(): Promise<void> {
    return this.#wake.promise
  }

  async seek(): Promise<void> {}

  assign(): void {}

  close(): void {
    this.isClosed = true
  }
}

function chunkOf(body: string | Buffer): TailChunk {
  return { body: Buffer.from(body), recordCount: 1, cursor: 'c1', taken: () => {} }
}

async function openStream(t: TestContext, options: Partial<EventStreamOptions> = {}) {
  const clock = new FakeClock()
  const live = new LiveConnections(clock, silentLogger)
  const tail = new ScriptedTail()
  const opened = Promise.withResolvers<EventStream>()
  const server = createServer((_request, response) => {
    const stream = new EventStream(response, live, clock, { ...OPTIONS, ...options })
    stream.begin({ 'content-type': 'text/event-stream', connection: 'close' }, tail satisfies Tail, tail.cursor)
    opened.resolve(stream)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = await EventClient.open({ port }, '/')
  t.after(() => {
    client.close()
    server.close()
  })
  const advance = async (ms: number) => {
    for (let rest = ms; rest > 0; rest -= LIVE_SWEEP_MS) {
      clock.advance(LIVE_SWEEP_MS)
      // for the loop to write and to read
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { clock, live, tail, stream: await opened.promise, client, advance, port }
}

/** As much as the stream has room for, in chunks. */
function fill(stream: EventStream): number {
  const chunk = chunkOf(LARGE_EVENT)
  let count = 0
  for (; stream.room().bytes > 0; count++) stream.take(chunk)
  return count * chunk.body.length
}

test('silence is broken by a comment, and by how far it is where that has changed', TIMEOUT, async (t) => {
  const { stream, client, advance } = await openStream(t)
  await advance(4_000)
  stream.take(chunkOf(EVENT))
  await client.nextNamed('message')
  await advance(4_000)
  assert.deepEqual(client.comments, ['connected'])
  await advance(2_000)
  stream.take(chunkOf(EVENT))
  await client.nextNamed('message')
  assert.deepEqual(client.comments, ['connected', 'hb'])
  stream.progress(PROGRESS)
  assert.equal((await client.next()).name, 'progress', 'that it has caught up is told at once')
  stream.progress(PROGRESS)
  await advance(6_000)
  assert.equal((await client.next()).name, 'progress', 'in place of a comment')
})

test('how far it is is told every half a minute, also to who gets records all the time', TIMEOUT, async (t) => {
  const { stream, client, advance } = await openStream(t)
  for (let second = 0; second <= EVENT_PROGRESS_MS / 1_000; second++) {
    stream.take(chunkOf(EVENT))
    await advance(1_000)
  }
  assert.equal((await client.nextNamed('progress')).data.scanned, 7)
  assert.deepEqual(client.comments, ['connected'])
})

test('it ends in time, cleanly, and lets go of everything', TIMEOUT, async (t) => {
  const { stream, client, advance, live, tail } = await openStream(t, { lastsMs: 20_000 })
  await advance(21_000)
  const end = await client.nextNamed('end')
  assert.deepEqual(end, { name: 'end', id: 'c1', data: { reason: 'rotation', cursor: 'c1' } })
  assert.ok(await client.ended)
  assert.ok(tail.isClosed)
  assert.equal(live.count, 0)
  stream.take(chunkOf(EVENT))
  assert.equal(live.pendingBytes, 0)
})

test('a failure is told before the end', TIMEOUT, async (t) => {
  const { stream, client } = await openStream(t)
  stream.fault({ topic: 'a', partition: 1, error: new TailraceError('corrupt_message', 'damaged', { offset: 3 }) })
  const { data } = await client.nextNamed('problem')
  assert.deepEqual(data, {
    code: 'corrupt_message',
    message: 'damaged',
    retryable: false,
    details: { topic: 'a', partition: 1, offset: 3 },
  })
  stream.fail(new TailraceError('offset_out_of_range', 'gone'))
  assert.equal((await client.next()).data.code, 'offset_out_of_range')
  assert.equal((await client.next()).data.reason, 'error')
})

test('where nobody can say any more where it stands, it says the rest', TIMEOUT, async (t) => {
  const { stream, client, advance, tail, live } = await openStream(t)
  tail.cursor = undefined
  stream.progress(PROGRESS)
  stream.progress(PROGRESS)
  await advance(7_000)
  assert.equal((await client.nextNamed('progress')).id, 'c2')
  const { id, data } = await client.nextNamed('progress')
  // without an id of its own: who comes again begins behind the one before
  assert.deepEqual([id, data.scanned], ['c2', 7])
  live.drain()
  assert.deepEqual((await client.next()).data, { reason: 'draining' })
  assert.ok(await client.ended)
  assert.ok(tail.isClosed)
  assert.equal(live.count, 0)
})

test('a client that takes nothing is given no more than there is room for, and is cut off', TIMEOUT, async (t) => {
  const { stream, client, advance, live, tail } = await openStream(t)
  client.pause()
  let given = 0
  for (let round = 0; round < 20; round++) {
    given += fill(stream)
    await advance(0)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  assert.ok(given > LIVE_CONNECTION_PENDING_BYTES_MAX / 2)
  assert.ok(live.pendingBytes > 0 && live.pendingBytes <= LIVE_CONNECTION_PENDING_BYTES_MAX, `${live.pendingBytes}`)
  await advance(LIVE_STALL_MS_MAX + 2 * LIVE_SWEEP_MS)
  client.resume()
  assert.equal(await client.ended, false, 'torn')
  assert.ok(tail.isClosed)
  assert.deepEqual([live.count, live.pendingBytes], [0, 0])
})

test('streams that wait behind another one on their connection go with it when they stall', TIMEOUT, async (t) => {
  const { live, advance, port } = await openStream(t)
  const socket = connect(port, '127.0.0.1')
  const request = 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'
  socket.resume().write(request + request)
  while (live.count < 3) await new Promise((resolve) => setImmediate(resolve))
  t.after(() => socket.destroy())
  const closed = once(socket, 'close')
  // a heartbeat is what does not go out
  await advance(OPTIONS.heartbeatMs + LIVE_STALL_MS_MAX + 3 * LIVE_SWEEP_MS)
  await closed
  assert.equal(live.count, 1)
})

test('a slow client stays, and gets more when it has taken some', TIMEOUT, async (t) => {
  const { stream, client, advance, live, tail } = await openStream(t)
  client.pause()
  const given = fill(stream)
  await advance(LIVE_STALL_MS_MAX / 2)
  client.resume()
  await tail.woken
  assert.ok(stream.room().bytes >= LIVE_CONNECTION_PENDING_BYTES_MAX / 2)
  stream.end('topic_deleted')
  const events = await client.rest()
  assert.equal(events.length - 1, given / LARGE_EVENT.length)
  assert.deepEqual([live.count, live.pendingBytes], [0, 0])
})

test('where all that wait have filled the room for all, one that has something waiting waits', TIMEOUT, async (t) => {
  const { stream, client, live, tail } = await openStream(t)
  client.pause()
  live.pending(LIVE_PENDING_BYTES_MAX)
  assert.ok(stream.room().bytes > 0, 'nothing of its own waits')
  stream.take(chunkOf(EVENT))
  assert.equal(stream.room().bytes, 0)
  client.resume()
  await tail.woken
  assert.ok(stream.room().bytes > 0)
})
