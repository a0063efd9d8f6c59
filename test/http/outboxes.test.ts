// What sends chunks says when the operating system has them: then their memory is given back, here as the tails do it. A
// word that comes too early would send something else; one that never comes would leave the memory to the collector.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket, WebSocketServer } from 'ws'
import { LiveConnections } from '../../src/http/live-connections.ts'
import { LiveOutbox } from '../../src/http/live-outbox.ts'
import { Outbox } from '../../src/http/websocket/outbox.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { releaseBytes } from '../../src/kernel/release-bytes.ts'
import { FakeClock } from '../support/fake-clock.ts'

/** Together more than sockets hold in the kernel, in sizes that are cut into pieces and that are put together. */
const SIZES = Array.from({ length: 64 }, (_, at) => [256 * 1024 + at, 700 + at, 64 * 1024][at % 3] as number)
const ROUNDS = 3
const WAIT_MS_MAX = 20_000

interface Sent {
  readonly bodies: Buffer[]
  readonly digests: string[]
  takenCount: number
}

/** Gives back each body when it is taken; what comes out of nowhere has another digest. */
function sendAll(send: (body: Buffer, onTaken: () => void) => void): Sent {
  const sent: Sent = { bodies: [], digests: [], takenCount: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, size] of SIZES.entries()) {
      const body = Buffer.allocUnsafeSlow(size).fill(1 + ((round * SIZES.length + at) % 120))
      sent.bodies.push(body)
      sent.digests.push(digestOf(body))
      send(body, () => {
        sent.takenCount++
        releaseBytes(body)
      })
    }
  }
  return sent
}

function digestOf(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex')
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const start = performance.now(); !isSo(); await delay(5)) {
    if (performance.now() - start > WAIT_MS_MAX) assert.fail(`never: ${what}`)
  }
}

test('a WebSocket that takes its time gets what was sent; each part is told as taken, and not before', async (t) => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  t.after(() => server.close())
  await once(server, 'listening')
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(client, 'open')])) as [[WebSocket], unknown]
  client.pause()
  const live = new LiveConnections(new FakeClock(), silentLogger)
  const outbox = new Outbox(socket, live, () => {})
  const head = Buffer.from('head')
  const sent = sendAll((body, onTaken) => outbox.send(head, body, onTaken))
  await delay(50)
  assert.ok(sent.takenCount < sent.bodies.length, 'more is with the system than it takes')
  const got: string[] = []
  client.on('message', (data: Buffer) => got.push(digestOf(data.subarray(head.length))))
  client.resume()
  await until('all has come', () => got.length === sent.bodies.length)
  assert.deepEqual(got, sent.digests)
  await until('all was taken', () => sent.takenCount === sent.bodies.length)
  assert.ok(sent.bodies.every(({ length }) => length === 0))
  assert.equal(live.pendingBytes, 0)

  client.pause()
  const lost = sendAll((body, onTaken) => outbox.send(head, body, onTaken))
  client.terminate()
  await once(socket, 'close')
  outbox.close()
  await delay(20)
  assert.ok(lost.takenCount < lost.bodies.length, 'what was not sent is not told as taken')
})

test('a long reply that takes its time carries what was pushed; each part is told as taken, and not before', async (t) => {
  const live = new LiveConnections(new FakeClock(), silentLogger)
  const begun = Promise.withResolvers<LiveOutbox>()
  const server = createServer((_request, response) => {
    const outbox = new LiveOutbox(live, response, () => {})
    outbox.release()
    begun.resolve(outbox)
  })
  server.listen(0, '127.0.0.1')
  t.after(() => server.closeAllConnections())
  t.after(() => server.close())
  await once(server, 'listening')
  const request = get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, agent: false })
  const outbox = await begun.promise
  const sent = sendAll((body, onTaken) => outbox.push(body, onTaken))
  outbox.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  await delay(50)
  assert.ok(sent.takenCount < sent.bodies.length, 'more is with the system than it takes')
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part as Buffer)
  const got = Buffer.concat(parts)
  let at = 0
  const digests = Array.from({ length: ROUNDS }, () => SIZES)
    .flat()
    .map((size) => {
      at += size
      return digestOf(got.subarray(at - size, at))
    })
  assert.equal(got.length, at)
  assert.deepEqual(digests, sent.digests)
  await until('all was taken', () => sent.takenCount === sent.bodies.length)
  assert.ok(sent.bodies.every(({ length }) => length === 0))
  assert.equal(live.pendingBytes, 0)
})
