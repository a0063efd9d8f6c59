// Memory of replies that is used again: when it comes back, and that nobody has it twice.

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { HeldReplies } from '../../src/http/held-replies.ts'
import { ReplyBuffers } from '../../src/http/reply-buffers.ts'
import type { ByteWriter } from '../../src/kernel/byte-writer.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { startServer } from '../support/http.ts'

function openResponse() {
  return Object.assign(new EventEmitter(), { writableFinished: false }) as unknown as ServerResponse & EventEmitter
}

test('a writer comes back when its reply has gone out, not when the client has gone before', () => {
  const buffers = new ReplyBuffers()
  for (const writableFinished of [true, false]) {
    const writer = buffers.take()
    const response = openResponse()
    buffers.giveBackAfter(response, writer)
    assert.ok(buffers.take() !== writer)
    Object.assign(response, { writableFinished }).emit('close')
    assert.equal(buffers.take() === writer, writableFinished)
  }
})

test('a writer that came back early does not come back again with the end of the reply', () => {
  const buffers = new ReplyBuffers()
  const writer = buffers.take()
  const response = openResponse()
  buffers.giveBackAfter(response, writer)
  buffers.giveBackOf(response)
  assert.ok(buffers.take() === writer)
  Object.assign(response, { writableFinished: true }).emit('close')
  assert.ok(buffers.take() !== writer)
  buffers.giveBackOf(openResponse())
  assert.ok(buffers.take() !== writer)
})

test('a reply that is refused keeps no memory, however long its refusal waits behind another reply', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions: 1 })
  let isRefused = false
  const hold = HeldReplies.prototype.hold
  t.mock.method(HeldReplies.prototype, 'hold', function (this: HeldReplies, response: ServerResponse, bytes: number) {
    if (response.req.url?.includes('limit=7') !== true || isRefused) return hold.call(this, response, bytes)
    isRefused = true
    return new TailraceError('overloaded', 'no room')
  })
  const taken: ByteWriter[] = []
  const take = ReplyBuffers.prototype.take
  t.mock.method(ReplyBuffers.prototype, 'take', function (this: ReplyBuffers) {
    const writer = take.call(this)
    taken.push(writer)
    return writer
  })
  const socket = connect(server.port, '127.0.0.1')
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  const read = (query: string) => `GET /v1/topics/orders/records?${query} HTTP/1.1\r\nHost: localhost\r\n\r\n`
  // the first is not answered yet, so the second cannot go out
  socket.write(read('from=latest&wait_ms=60000') + read('limit=7'))
  while (!isRefused) await new Promise((resolve) => setImmediate(resolve))
  const [, refused] = taken
  await server.get('/v1/topics/orders/records')
  assert.ok(taken[2] === refused)
})
