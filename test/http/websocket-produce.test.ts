// Producing over a WebSocket: as over HTTP, in the order of the frames, with a window of them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Outbox } from '../../src/http/websocket/outbox.ts'
import { SocketProducer } from '../../src/http/websocket/socket-producer.ts'
import {
  LIVE_CONNECTION_PENDING_BYTES_MAX,
  WS_FRAME_BYTES_MAX,
  WS_PRODUCED_RECORD_BYTES,
  WS_PRODUCES_IN_FLIGHT_MAX,
} from '../../src/kernel/limits.ts'
import { startServer } from '../support/http.ts'
import { openSocket } from '../support/ws-client.ts'

async function open(t: Parameters<typeof startServer>[0], partitions = 1) {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions })
  const stored = async () => {
    const reply = await server.get('/v1/topics/orders/records?from=earliest&limit=1000')
    return (JSON.parse(String(reply.body)) as { records: { value: unknown; key: unknown }[] }).records
  }
  return { server, socket: await openSocket(t, server), stored }
}

const produce = (...values: readonly unknown[]) => ({
  type: 'produce',
  topic: 'orders',
  records: values.map((value) => ({ value })),
})

test('what is produced is stored, and its places are answered', async (t) => {
  const { socket, stored } = await open(t)
  const records = [{ key: 'k', value: { a: 1 }, headers: [{ name: 'h', value: 'v' }] }, { value: null }]
  const { records: places } = await socket.command({ type: 'produce', topic: 'orders', records })
  assert.deepEqual(
    places?.map(({ partition, offset }) => [partition, offset]),
    [
      [0, 0],
      [0, 1],
    ],
  )
  assert.ok(places?.every(({ timestamp }) => typeof timestamp === 'string'))
  assert.deepEqual(
    (await stored()).map(({ key, value }) => [key, value]),
    [
      ['k', { a: 1 }],
      [null, null],
    ],
  )
})

test('values are stored as they were sent, to the byte, wherever the members of the frame stand', async (t) => {
  const { server, socket } = await open(t)
  const value = '{"big":12345678901234567890,"n":1.0,"n":2}'
  socket.sendRaw(`{"records":[{"value": ${value} }],"id":1,"topic":"orders","type":"produce"}`)
  socket.sendRaw(`{"type":"produce","value_encoding":"base64","topic":"orders","id":2,"records":[{"value":"AP8="}]}`)
  assert.equal((await socket.take(({ id }) => id === 1)).type, 'ok')
  assert.equal((await socket.take(({ id }) => id === 2)).type, 'ok')
  socket.sendRaw('{"type":"\\u0070rod\\u0075ce","topic":"orders","id":3,"records":[{"value":3}]}')
  assert.equal((await socket.take(({ id }) => id === 3)).type, 'ok')
  const text = String((await server.get('/v1/topics/orders/records?from=earliest')).body)
  assert.ok(text.includes(`"value":${value}`), text)
  assert.ok(text.includes('"value":"AP8="'), text)
})

test('acks 0 is answered without offsets, acks 1 with them; a frame without an id is stored and not answered', async (t) => {
  const { socket, stored } = await open(t)
  const none = await socket.command({ ...produce(1), acks: '0' })
  assert.deepEqual(
    none.records?.map(({ offset }) => offset),
    [null],
  )
  const leader = await socket.command({ ...produce(2), acks: '1' })
  assert.deepEqual(
    leader.records?.map(({ offset }) => offset),
    [1],
  )
  socket.send(produce(3))
  await socket.command(produce(4))
  assert.deepEqual(
    (await stored()).map(({ value }) => value),
    [1, 2, 3, 4],
  )
  assert.equal(socket.received.filter(({ type }) => type === 'ok').length, 3)
})

test('frames that are sent at once are stored in their order, large ones and new topics among them', async (t) => {
  const { server, socket } = await open(t)
  await server.request('DELETE', '/v1/topics/orders')
  const auto = await startServer(t, { set: { 'auto.create.topics.enable': 'true' } })
  for (const [place, client] of [
    [server, socket],
    [auto, await openSocket(t, auto)],
  ] as const) {
    if (place === server) await place.post('/v1/topics', { name: 'orders', configs: { 'max.message.bytes': '2000' } })
    const sizes = [10, 1_500, 10, 900, 10, 1_500, 10]
    sizes.forEach((size, id) => {
      client.send({ ...produce(`${id}${'x'.repeat(size)}`), id })
    })
    await client.take(({ id }) => id === sizes.length - 1)
    const reply = await place.get('/v1/topics/orders/records?from=earliest')
    assert.equal(reply.status, 200)
    const { records } = JSON.parse(String(reply.body)) as { records: { value: string }[] }
    assert.deepEqual(
      records.map(({ value }) => value[0]),
      sizes.map((_, id) => String(id)),
    )
  }
})

test('a request is taken whole or not at all', async (t) => {
  const { socket, stored } = await open(t)
  const answers = [
    [{ type: 'produce', topic: 'orders', records: [{ value: 1 }, { valeu: 2 }] }, 'invalid_record', 1],
    [{ type: 'produce', topic: 'orders', records: [{ value: 1, partition: 9 }] }, 'unknown_topic_or_partition', 0],
    [{ type: 'produce', topic: 'orders', records: [] }, 'invalid_record', undefined],
    [{ type: 'produce', topic: 'no way', records: [{ value: 1 }] }, 'invalid_topic_exception', undefined],
    [{ type: 'produce', topic: '__internal', records: [{ value: 1 }] }, 'topic_authorization_failed', undefined],
  ] as const
  for (const [frame, code, index] of answers) {
    const answer = await socket.ask(frame)
    assert.deepEqual([answer.type, answer.code], ['error', code], JSON.stringify(answer))
    if (index !== undefined) assert.equal(answer.details?.['index'], index)
  }
  assert.deepEqual(await stored(), [])
  assert.equal((await socket.ask({ type: 'ping' })).type, 'pong')
})

test('a producer that names itself is stored once, however often it sends', async (t) => {
  const { socket, stored } = await open(t)
  const send = (seq: number, value: unknown) =>
    socket.ask({ ...produce(value), producer: { id: 'web-1', epoch: 0, seq } })
  const [first, second] = await Promise.all([send(0, 'a'), send(1, 'b')])
  assert.deepEqual([first.type, second.type], ['ok', 'ok'])
  const again = await send(1, 'b')
  assert.deepEqual([again['duplicate'], again.records?.[0]?.offset], [true, 1])
  assert.equal((await send(5, 'z')).code, 'out_of_order_sequence_number')
  assert.deepEqual(
    (await stored()).map(({ value }) => value),
    ['a', 'b'],
  )
})

test('a window of frames may be unanswered, the next is refused and may be sent again', async (t) => {
  const { socket, stored } = await open(t)
  const count = WS_PRODUCES_IN_FLIGHT_MAX * 4
  for (let id = 0; id < count; id++) socket.send({ ...produce(id), id })
  for (let id = 0; id < count; id++) await socket.take((frame) => frame.id === id)
  const answers = socket.received.filter(({ id }) => id !== undefined)
  const done = answers.filter(({ type }) => type === 'ok').map(({ id }) => id)
  const refused = answers.filter(({ type }) => type === 'error')
  assert.ok(done.length >= WS_PRODUCES_IN_FLIGHT_MAX)
  assert.ok(refused.length > 0)
  assert.ok(refused.every(({ code, retryable }) => code === 'too_many_in_flight' && retryable === true))
  assert.deepEqual(
    (await stored()).map(({ value }) => value),
    done,
  )
  assert.equal((await socket.ask(produce('more'))).type, 'ok')
})

test('many tiny records are not all taken in at once: what is held, and what waits to be taken, is bounded', async (t) => {
  const held: number[] = []
  const pending: number[] = []
  const produceOf = SocketProducer.prototype.produce
  const sendOf = Outbox.prototype.send
  t.mock.method(SocketProducer.prototype, 'produce', function (this: SocketProducer, ...args: never) {
    Reflect.apply(produceOf, this, args)
    held.push(this.heldBytes)
  })
  t.mock.method(Outbox.prototype, 'send', function (this: Outbox, ...args: never) {
    Reflect.apply(sendOf, this, args)
    pending.push(this.pendingBytes)
  })
  const { socket } = await open(t)
  const perFrame = 10_000
  const values = Array.from({ length: perFrame }, () => 1)
  const count = 40
  socket.socket.pause()
  for (let id = 0; id < count; id++) socket.send({ ...produce(...values), id })
  for (let turn = 0; turn < 500 && held.length < count; turn++) await nextTurn()
  assert.ok(held.length < count, 'nobody takes the answers: no more is read')
  socket.socket.resume()
  for (let id = 0; id < count; id++) {
    assert.equal((await socket.take((frame) => frame.id === id)).records?.length, perFrame)
  }
  const oneMore = WS_FRAME_BYTES_MAX + perFrame * WS_PRODUCED_RECORD_BYTES
  assert.ok(Math.max(...held) <= LIVE_CONNECTION_PENDING_BYTES_MAX + oneMore, `${Math.max(...held)} held`)
  assert.ok(Math.max(...pending) <= LIVE_CONNECTION_PENDING_BYTES_MAX + oneMore, `${Math.max(...pending)} pending`)
})

test('members that are not known are named in the answer, and passed over', async (t) => {
  const { socket, stored } = await open(t)
  const frame = { ...produce({ a: 1 }), value_encodin: 'string', producer: { id: 'p', epoch: 0, seq: 0, name: 'x' } }
  const { warnings, records } = await socket.command(frame)
  assert.equal(records?.length, 1)
  assert.deepEqual([...(warnings as string[])].sort(), [
    '/producer has the unknown member "name" (known: id, epoch, seq)',
    'the frame has the unknown member "value_encodin" (did you mean value_encoding?)',
  ])
  assert.equal((await socket.command(produce(2)))['warnings'], undefined)
  assert.deepEqual(
    (await stored()).map(({ value }) => value),
    [{ a: 1 }, 2],
  )
})
