// GET /v1/ws: subscriptions, over real sockets. Every frame in both directions is held against asyncapi.yaml.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { after, test } from 'node:test'
import { WS_CREDIT_RECORDS_DEFAULT, WS_CREDIT_RECORDS_MAX } from '../../src/kernel/limits.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import type { Frame, FrameRecord, SentFrame, TestSocket } from '../support/ws-client.ts'
import { openSocket } from '../support/ws-client.ts'

async function produce(
  server: TestServer,
  topic: string,
  values: readonly unknown[],
  more: object = {},
): Promise<void> {
  const reply = await server.post(`/v1/topics/${topic}/records`, {
    records: values.map((value) => ({ value, ...more })),
  })
  assert.equal(reply.status, 200, String(reply.body))
}

/** One server for all tests; each has a topic of its own. */
let shared: Promise<TestServer> | undefined
let cleanUp: () => Promise<void> | void = () => undefined
let topics = 0
after(() => cleanUp())

function theServer(): Promise<TestServer> {
  shared ??= startServer({
    after: (close) => {
      cleanUp = close
    },
  })
  return shared
}

async function openTopic(t: TestContext, values: readonly unknown[] = [], partitions = 1) {
  const server = await theServer()
  const topic = `orders${++topics}`
  assert.equal((await server.post('/v1/topics', { name: topic, partitions })).status, 201)
  if (values.length > 0) await produce(server, topic, values)
  const subscribe = { type: 'subscribe', sub: 'a', topics: [topic], from: 'earliest' } as const
  return { server, socket: await openSocket(t, server), topic, subscribe }
}

const valuesOf = (records: readonly FrameRecord[]) => records.map(({ value }) => value)

async function refusal(socket: TestSocket, frame: SentFrame): Promise<Frame> {
  const answer = await socket.ask(frame)
  assert.equal(answer.type, 'error', JSON.stringify(answer))
  return answer
}

test('a socket is greeted with what holds on it', async (t) => {
  const socket = await openSocket(t, await theServer(), { path: '/v1/ws?heartbeat_ms=2000' })
  const [hello] = socket.received
  assert.deepEqual([hello?.type, hello?.['protocol'], hello?.['heartbeat_ms']], ['hello', 'events.v1', 2000])
})

test('a tail from the earliest record gives what is stored, then what comes, each frame with a cursor to go on from', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t, [1, 2, 3])
  const { assignment, gen, sub } = await socket.command(subscribe)
  assert.deepEqual([gen, sub, assignment], [1, 'a', [{ topic: topic, partition: 0, position: 0 }]])
  const first = await socket.take('records')
  assert.deepEqual(valuesOf(first.records ?? []), [1, 2, 3])
  const progress = await socket.take('progress')
  assert.deepEqual([progress['caught_up'], progress['lag'], progress['matched']], [true, 0, 3])
  await produce(server, topic, [4])
  const second = await socket.take('records')
  assert.deepEqual(valuesOf(second.records ?? []), [4])

  const again = await openSocket(t, server)
  await again.command({ ...subscribe, from: `cursor:${first.cursor}` })
  assert.deepEqual(valuesOf(await again.records('a', 1)), [4])
})

test('a tail begins at the end where it does not say otherwise', async (t) => {
  const { server, socket, topic } = await openTopic(t, ['old'])
  await socket.command({ type: 'subscribe', sub: 'a', topics: [topic] })
  await produce(server, topic, ['new'])
  assert.deepEqual(valuesOf(await socket.records('a', 1)), ['new'])
})

test('several topics, some of their partitions, and patterns are tailed', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t, [], 3)
  await server.post('/v1/topics', { name: `${topic}.eu` })
  await produce(server, topic, ['p0'], { partition: 0 })
  await produce(server, topic, ['p2'], { partition: 2 })
  await produce(server, `${topic}.eu`, ['eu'])
  const places = ({ assignment = [] }: Frame) => assignment.map(({ topic, partition }) => `${topic}-${partition}`)

  const narrowed = await socket.command({
    ...subscribe,
    topics: [topic, `${topic}.eu`],
    partitions: [{ topic: topic, partition: 2 }],
  })
  assert.deepEqual(places(narrowed), [`${topic}-2`, `${topic}.eu-0`])
  assert.deepEqual(valuesOf(await socket.records('a', 2)).sort(), ['eu', 'p2'])

  const matched = await socket.command({ type: 'subscribe', sub: 'p', pattern: `${topic}\\..*`, from: 'earliest' })
  assert.deepEqual(places(matched), [`${topic}.eu-0`])
  await server.post('/v1/topics', { name: `${topic}.us` })
  await produce(server, `${topic}.us`, ['us'])
  assert.deepEqual(valuesOf(await socket.records('p', 2)), ['eu', 'us'])
})

test('no more records are sent than there is credit for, and credits sum up', async (t) => {
  const { socket, subscribe } = await openTopic(t, [1, 2, 3, 4, 5])
  await socket.command({ ...subscribe, credit: { records: 2 } })
  assert.deepEqual(valuesOf(await socket.records('a', 2)), [1, 2])
  socket.send({ type: 'pause', sub: 'a' })
  socket.send({ type: 'credit', sub: 'a', records: 1 })
  await socket.command({ type: 'credit', sub: 'a', records: 1 })
  socket.send({ type: 'resume', sub: 'a' })
  assert.deepEqual(valuesOf(await socket.records('a', 2)), [3, 4])
  await socket.command({ type: 'credit', sub: 'a', records: -1 })
  assert.deepEqual(valuesOf(await socket.records('a', 1)), [5])
})

test('credit by bytes ends a frame before it is spent by more than a record', async (t) => {
  const { socket, subscribe } = await openTopic(t, ['x'.repeat(1_000), 'y'.repeat(1_000), 'z'.repeat(1_000)])
  await socket.command({ ...subscribe, credit: { bytes: 10 } })
  assert.equal((await socket.records('a', 1)).length, 1)
  await socket.command({ type: 'credit', sub: 'a', records: 5 })
  assert.equal((await socket.ask({ type: 'ping' })).type, 'pong')
  await socket.command({ type: 'credit', sub: 'a', bytes: 100_000 })
  assert.equal((await socket.records('a', 2)).length, 2)
})

test('credit that is not named is of the usual size, and what is granted beyond the cap is refused and changes nothing', async (t) => {
  const { socket, subscribe } = await openTopic(
    t,
    Array.from({ length: WS_CREDIT_RECORDS_DEFAULT + 1 }, (_, at) => at),
  )
  await socket.command(subscribe)
  await socket.records('a', WS_CREDIT_RECORDS_DEFAULT)
  const over = await refusal(socket, { type: 'credit', sub: 'a', records: WS_CREDIT_RECORDS_MAX + 1 })
  assert.deepEqual([over.code, over.details?.['max']], ['invalid_request', WS_CREDIT_RECORDS_MAX])
  await socket.command({ type: 'credit', sub: 'a', records: WS_CREDIT_RECORDS_MAX })
  await socket.records('a', 1)
  const summed = await refusal(socket, { type: 'credit', sub: 'a', records: 2 })
  assert.equal(summed.code, 'invalid_request')
  const first = await refusal(socket, { ...subscribe, sub: 'b', credit: { records: WS_CREDIT_RECORDS_MAX + 1 } })
  assert.equal(first.code, 'invalid_request')
})

test('a seek goes on elsewhere under a new generation', async (t) => {
  const { socket, subscribe } = await openTopic(t, [1, 2, 3])
  await socket.command(subscribe)
  await socket.records('a', 3)
  const sought = await socket.command({ type: 'seek', sub: 'a', to: '1' })
  assert.deepEqual([sought.gen, sought.assignment?.[0]?.position], [2, 1])
  const frame = await socket.take('records')
  assert.deepEqual([frame.gen, valuesOf(frame.records ?? [])], [2, [2, 3]])
  const lost = await refusal(socket, { type: 'seek', sub: 'a', to: 'nowhere' })
  assert.equal(lost.code, 'invalid_position')
  await socket.command({ type: 'seek', sub: 'a', to: '-1' })
  assert.deepEqual(valuesOf(await socket.records('a', 1)), [3])
})

test('a paused subscription is sent nothing until it is resumed', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t)
  await socket.command(subscribe)
  await socket.command({ type: 'pause', sub: 'a' })
  await produce(server, topic, [1])
  await socket.command({ type: 'subscribe', sub: 'b', topics: [topic], from: 'earliest' })
  await socket.records('b', 1)
  assert.ok(!socket.received.some(({ type, sub }) => type === 'records' && sub === 'a'))
  await socket.command({ type: 'resume', sub: 'a' })
  assert.deepEqual(valuesOf(await socket.records('a', 1)), [1])
})

test('an unsubscribe is followed by the end, and the name is free again', async (t) => {
  const { socket, subscribe } = await openTopic(t, [1])
  await socket.command(subscribe)
  await socket.records('a', 1)
  await socket.command({ type: 'unsubscribe', sub: 'a' })
  const end = await socket.take('end')
  assert.equal(end.reason, 'unsubscribed')
  const [before, after] = socket.received.slice(-2)
  assert.deepEqual([before?.type, after?.type], ['end', 'ok'])
  const { assignment } = await socket.command({ ...subscribe, from: `cursor:${end.cursor}` })
  assert.equal(assignment?.[0]?.position, 1)
})

test('commands that are sent at once are done in their order', async (t) => {
  const { socket, subscribe } = await openTopic(t, [1, 2, 3])
  socket.send({ ...subscribe, id: 's', credit: { records: 1 } })
  socket.send({ type: 'credit', id: 'c', sub: 'a', records: 1 })
  socket.send({ type: 'unsubscribe', id: 'u', sub: 'a' })
  socket.send({ ...subscribe, id: 't', from: '2' })
  await socket.take(({ id }) => id === 't')
  const answers = socket.received.filter(({ id }) => id !== undefined)
  assert.deepEqual(
    answers.map(({ type, id }) => `${type} ${id}`),
    ['ok s', 'ok c', 'ok u', 'ok t'],
  )
  await socket.take(({ type, records }) => type === 'records' && records?.[0]?.offset === 2)
})

test('a subscription ends where it was asked to', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t, [1, 2, 3])
  await socket.command({ ...subscribe, until: { count: 2 } })
  assert.deepEqual(valuesOf(await socket.records('a', 2)), [1, 2])
  const counted = await socket.take('end')
  assert.equal(counted.reason, 'until')
  await socket.command({ ...subscribe, until: 'latest' })
  assert.deepEqual(valuesOf(await socket.records('a', 3)), [1, 2, 3])
  assert.equal((await socket.take('end')).reason, 'until')
  await socket.command({ ...subscribe, from: 'latest', until: 'latest' })
  const none = await socket.take('end')
  await produce(server, topic, [4])
  await socket.command({ ...subscribe, from: `cursor:${none.cursor}` })
  assert.deepEqual(valuesOf(await socket.records('a', 1)), [4])
})

test('records are filtered by key, by headers and by an expression', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t)
  const paid = { headers: [{ name: 'type', value: 'paid' }] }
  await produce(server, topic, [{ total: 1 }], { key: 'k' })
  await produce(server, topic, [{ total: 2 }], paid)
  await produce(server, topic, [{ total: 3 }], { key: 'k', ...paid })
  const totals = async (filter: object, count: number) => {
    await socket.command({ ...subscribe, filter })
    const records = await socket.records('a', count)
    await socket.command({ type: 'unsubscribe', sub: 'a' })
    return records.map(({ value }) => (value as { total: number }).total)
  }
  assert.deepEqual(await totals({ key: 'k' }, 2), [1, 3])
  assert.deepEqual(await totals({ headers: { type: 'paid' } }, 2), [2, 3])
  assert.deepEqual(await totals({ key: 'k', headers: { type: 'paid' } }, 1), [3])
  assert.deepEqual(await totals({ expr: 'value.total > 1' }, 2), [2, 3])
  const wrong = await refusal(socket, { ...subscribe, filter: { expr: 'value.total >' } })
  assert.equal(wrong.code, 'invalid_filter')
})

test('a filter that lets nothing through still moves on', async (t) => {
  const { socket, subscribe } = await openTopic(t, [1, 2, 3])
  await socket.command({ ...subscribe, filter: { key: 'none' } })
  const progress = await socket.take('progress')
  assert.deepEqual([progress['caught_up'], progress['scanned'], progress['matched']], [true, 3, 0])
})

test('records are shown in the formats and with the fields that are asked for', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t)
  await produce(server, topic, [{ a: 1 }], { key: 'k' })
  await socket.command({ ...subscribe, key_format: 'base64', value_format: 'string', fields: ['key', 'value'] })
  const [record] = await socket.records('a', 1)
  assert.deepEqual(record, {
    topic: topic,
    partition: 0,
    offset: 0,
    key: 'aw==',
    value: '{"a":1}',
    key_encoding: 'base64',
    value_encoding: 'string',
  })
})

test('frames hold as many records as are asked for', async (t) => {
  const { socket, subscribe } = await openTopic(t, [1, 2, 3, 4, 5])
  await socket.command({ ...subscribe, batch: { records: 2 } })
  await socket.records('a', 5)
  const sizes = socket.received.flatMap(({ type, records }) => (type === 'records' ? [records?.length] : []))
  assert.ok(
    sizes.every((size) => size !== undefined && size <= 2),
    String(sizes),
  )
})

test('values come as they were sent, to the byte', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t)
  const value = '{"big":12345678901234567890,"n":1.0,"n":2,"é":"\\u00e9"}'
  await server.post(`/v1/topics/${topic}/records`, `{"records":[{"value":${value}}]}`)
  const texts: string[] = []
  socket.socket.on('message', (data) => texts.push(String(data)))
  await socket.command(subscribe)
  await socket.records('a', 1)
  assert.ok(
    texts.some((text) => text.includes(`"value":${value}`)),
    texts.join('\n'),
  )
})

test('what is wrong with a subscribe answers it', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t, [1, 2, 3])
  await server.post('/v1/topics', { name: 'other' })
  const other = await openSocket(t, server)
  const { cursor } = await other.command({ type: 'subscribe', sub: 'a', topics: ['other'] })
  const cases: readonly (readonly [frame: object, code: string])[] = [
    [{ topics: ['nowhere'] }, 'unknown_topic_or_partition'],
    [{ topics: ['no way'] }, 'unknown_topic_or_partition'],
    [{ topics: undefined }, 'invalid_request'],
    [{ pattern: topic }, 'invalid_request'],
    [{ topics: undefined, pattern: '(' }, 'invalid_request'],
    [{ partitions: [{ topic: topic, partition: 7 }] }, 'unknown_topic_or_partition'],
    [{ partitions: [{ topic: 'other', partition: 0 }] }, 'invalid_request'],
    [{ from: 'sometime' }, 'invalid_position'],
    [{ from: 'committed' }, 'invalid_position'],
    [{ from: 'committed', group: 'nobody', mode: 'tail' }, 'group_id_not_found'],
    [{ from: 'cursor:nonsense' }, 'invalid_cursor'],
    [{ from: `cursor:${cursor}` }, 'invalid_cursor'],
    [{ from: '99', on_gap: 'error' }, 'offset_out_of_range'],
    [{ until: 'sometime' }, 'invalid_position'],
    [{ filter: { expr: '1 +' } }, 'invalid_filter'],
  ]
  for (const [change, code] of cases) {
    const answer = await refusal(socket, JSON.parse(JSON.stringify({ ...subscribe, ...change })))
    assert.equal(answer.code, code, JSON.stringify(change))
  }
  await socket.command(subscribe)
  assert.deepEqual(valuesOf(await socket.records('a', 3)), [1, 2, 3])
})

test('records that were removed before they were read are told as a gap, or end the subscription', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t, [1, 2, 3, 4])
  const { cursor } = await socket.command({ ...subscribe, credit: { records: 1 } })
  await socket.records('a', 1)
  await server.request('DELETE', `/v1/topics/${topic}/partitions/0/records?before=3`)
  await socket.command({ type: 'credit', sub: 'a', records: -1 })
  const gap = await socket.take('gap')
  assert.deepEqual([gap['from'], gap['to'], gap.reason, gap['topic']], [1, 3, 'removed', topic])
  assert.deepEqual(valuesOf(await socket.records('a', 1)), [4])

  const strict = await refusal(socket, { ...subscribe, sub: 'b', from: `cursor:${cursor}`, on_gap: 'error' }).catch(
    () => undefined,
  )
  const error = strict ?? (await socket.take(({ type, sub }) => type === 'error' && sub === 'b'))
  assert.equal(error.code, 'offset_out_of_range')
  assert.deepEqual(error.details?.['partitions'], [{ partition: 0, offset: 0, start_offset: 3, end_offset: 4 }])
})

test('a topic that is deleted ends the subscriptions that read it alone', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t, [1])
  const { cursor } = await socket.command(subscribe)
  await socket.records('a', 1)
  await server.request('DELETE', `/v1/topics/${topic}`)
  assert.equal((await socket.take('end')).reason, 'topic_deleted')
  await server.post('/v1/topics', { name: topic })
  const again = await refusal(socket, { ...subscribe, from: `cursor:${cursor}` })
  assert.equal(again.code, 'topic_recreated')
})

test('records that there is no credit for are dropped where that was asked for, and told', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t)
  await socket.command({ ...subscribe, credit: { records: 1 }, overflow: 'drop_oldest' })
  for (const value of [1, 2, 3]) await produce(server, topic, [value])
  assert.deepEqual(valuesOf(await socket.records('a', 1)), [1])
  await socket.command({ type: 'credit', sub: 'a', records: 1 })
  const last = await socket.take(({ type, records }) => type === 'records' && records?.[0]?.offset !== 0)
  assert.equal(last.records?.length, 1)
  assert.ok([1, 2].includes(last.records?.[0]?.offset ?? -1))
})

test('a tail commits by cursor or by positions into a group that nobody is in, and goes on from there', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t, [1, 2, 3])
  const committed = async () => {
    const group = JSON.parse(String((await server.get('/v1/groups/billing')).body)) as {
      offsets: { committed_offset: number; metadata?: string }[]
    }
    return group.offsets
  }
  await socket.command({ ...subscribe, credit: { records: 2 } })
  const { cursor = '' } = await socket.take('records')
  await socket.command({ type: 'commit', sub: 'a', group: 'billing', cursor })
  assert.equal((await committed())[0]?.committed_offset, 2)
  const positions = [{ topic: topic, partition: 0, offset: 1, metadata: 'half' }]
  await socket.command({ type: 'commit', sub: 'a', group: 'billing', positions })
  assert.equal((await committed())[0]?.committed_offset, 1)

  await socket.command({ ...subscribe, sub: 'b', mode: 'tail', group: 'billing', from: 'committed' })
  assert.deepEqual(valuesOf(await socket.records('b', 2)), [2, 3])
  await socket.command({ type: 'commit', sub: 'b', cursor: `cursor:${cursor}` })
  assert.equal((await committed())[0]?.committed_offset, 2)
})

test('a commit that cannot be is refused', async (t) => {
  const { server, socket, topic, subscribe } = await openTopic(t, [1])
  const { cursor } = await socket.command(subscribe)
  const positions = (place: object) => [{ topic: topic, partition: 0, offset: 1, ...place }]
  const cases: readonly (readonly [frame: object, code: string])[] = [
    [{ cursor }, 'invalid_request'],
    [{ group: 'g' }, 'invalid_request'],
    [{ group: 'g', cursor, positions: positions({}) }, 'invalid_request'],
    [{ group: '', cursor }, 'invalid_group_id'],
    [{ group: 'g', cursor: 'nonsense' }, 'invalid_cursor'],
    [{ group: 'g', positions: positions({ topic: 'nowhere' }) }, 'unknown_topic_or_partition'],
    [{ group: 'g', positions: positions({ partition: 7 }) }, 'unknown_topic_or_partition'],
    [{ group: 'g', positions: positions({ metadata: 'x'.repeat(5_000) }) }, 'offset_metadata_too_large'],
  ]
  for (const [change, code] of cases) {
    const answer = await refusal(socket, { type: 'commit', sub: 'a', ...change })
    assert.equal(answer.code, code, JSON.stringify(change).slice(0, 200))
  }
  assert.equal((await server.get('/v1/groups/g')).status, 404)
  await server.post('/v1/groups/g/poll', { topics: [topic], limit: 1 })
  const busy = await refusal(socket, { type: 'commit', sub: 'a', group: 'g', cursor })
  assert.equal(busy.code, 'non_empty_group')
})

test('a record that is larger than a chunk comes in a frame of its own', async (t) => {
  const { socket, subscribe } = await openTopic(t, ['x'.repeat(3_000_000)])
  await socket.command({ ...subscribe, credit: { records: -1 } })
  const [record] = await socket.records('a', 1)
  assert.equal(String(record?.value).length, 3_000_000)
})
