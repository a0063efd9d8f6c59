// Frames that a client should not send: each is answered by an error, or closes its socket, and others notice nothing.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WS_FRAME_BYTES_MAX, WS_SUBSCRIPTIONS_MAX } from '../../src/kernel/limits.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { openSocket } from '../support/ws-client.ts'

test('a frame that is not understood is answered by an error that says why, and the socket stays', async (t) => {
  const server = await startServer(t)
  const cases: readonly (readonly [text: string, code: string, message: RegExp])[] = [
    ['', 'invalid_request', /JSON/],
    ['{', 'invalid_request', /malformed JSON at line 1, column 2/],
    ['{"type":"ping"} x', 'invalid_request', /the end of the text/],
    ['[]', 'invalid_request', /one JSON object/],
    ['null', 'invalid_request', /one JSON object/],
    ['{}', 'invalid_request', /has a type: subscribe, credit/],
    ['{"type":7}', 'invalid_request', /has a type/],
    ['{"type":"ping","type":"ping"}', 'invalid_request', /type stands twice/],
    ['{"type":"subscrbe"}', 'unknown_type', /did you mean subscribe\?/],
    ['{"type":"constructor"}', 'unknown_type', /no frame of type "constructor"/],
    ['{"type":"auth","token":"x"}', 'unknown_type', /known are/],
    ['{"type":"ping","id":1.5}', 'invalid_request', /\/id must be integer/],
    [`{"type":"ping","id":"${'x'.repeat(65)}"}`, 'invalid_request', /\/id/],
    ['{"type":"subscribe","topics":["t"]}', 'invalid_request', /must have required property 'sub'/],
    ['{"type":"subscribe","sub":"","topics":["t"]}', 'invalid_request', /\/sub/],
    [
      '{"type":"subscribe","sub":"a","topics":"orders"}',
      'invalid_request',
      /\/topics must be array: write \["orders"\]/,
    ],
    [
      '{"type":"subscribe","sub":"a","topics":["t"],"filter":"value.total > 4"}',
      'invalid_request',
      /\/filter must be object, such as \{.*"expr":"value\.total > 100"\}/,
    ],
    [
      '{"type":"subscribe","sub":"a","topics":["t"],"credit":5}',
      'invalid_request',
      /\/credit must be object, such as \{"records":100\}/,
    ],
    ['{"type":"subscribe","sub":"a","topics":["t"],"until":5}', 'invalid_request', /\/until must be object with count/],
    ['{"type":"credit","sub":"a","records":-2}', 'invalid_request', /\/records must be >= -1/],
    ['{"type":"produce","topic":"t"}', 'invalid_request', /required property 'records'/],
    [
      '{"type":"produce","topic":"t","records":[{}],"acks":"2"}',
      'invalid_request',
      /\/acks must be "all" or "1" or "0"/,
    ],
    ['{"type":"ping","__proto__":{"id":1}}', 'invalid_request', /__proto__/],
    [`{"type":"ping","x":${'['.repeat(5_000)}${']'.repeat(5_000)}}`, 'invalid_request', /nesting/],
  ]
  for (const [text, code, message] of cases) {
    const socket = await openSocket(t, server)
    socket.sendRaw(text)
    const error = await socket.take('error')
    assert.equal(error.code, code, text)
    assert.match(error.message ?? '', message, text.slice(0, 100))
    assert.equal((await socket.ask({ type: 'ping' })).type, 'pong')
    await socket.close()
  }
})

test('an error names the id and the subscription of its frame where they can be made out', async (t) => {
  const socket = await openSocket(t, await startServer(t))
  socket.sendRaw('{"type":"nonsense","id":"x1","sub":"a"}')
  const error = await socket.take('error')
  assert.deepEqual([error.id, error.sub, error['retryable']], ['x1', 'a', false])
})

test('members that are not known are ignored', async (t) => {
  const socket = await openSocket(t, await startServer(t))
  socket.sendRaw('{"type":"ping","id":1,"later":{"a":[1]}}')
  assert.equal((await socket.take('pong')).id, 1)
})

test('who subscribes is told which members are not known', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const socket = await openSocket(t, server)
  const warnings = async (members: object) => {
    return (await socket.command({ type: 'subscribe', sub: 'a', topics: ['t'], ...members }))['warnings']
  }
  assert.deepEqual(await warnings({ form: 'latest', credit: { record: 5 }, filter: { headers: { any: 'x' } } }), [
    'the frame has the unknown member "form" (did you mean from?)',
    '/credit has the unknown member "record" (did you mean records?)',
  ])
  await socket.command({ type: 'unsubscribe', sub: 'a' })
  assert.equal(await warnings({ until: { count: 5 }, batch: { wait_ms: 1 } }), undefined)
  await socket.command({ type: 'unsubscribe', sub: 'a' })
  const many = await warnings(Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`member${at}`, at])))
  assert.equal((many as readonly string[]).length, 10)
})

test('who subscribes without a group is told which members mean nothing there', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const socket = await openSocket(t, server)
  const subscribe = async (members: object) => {
    const { warnings } = await socket.command({ type: 'subscribe', sub: 'a', topics: ['t'], ...members })
    await socket.command({ type: 'unsubscribe', sub: 'a' })
    return warnings
  }
  assert.deepEqual(await subscribe({ member: 'w-1', release_ms: 100, form: 'latest' }), [
    'the frame has the unknown member "form" (did you mean from?)',
    'the frame has "member", which means nothing without a group',
    'the frame has "release_ms", which means nothing without a group',
  ])
  assert.deepEqual(await subscribe({ mode: 'tail', lease_ms: 5_000 }), [
    'the frame has "lease_ms", which means nothing in mode tail',
  ])
  assert.equal(await subscribe({ group: 'g', member: 'w-1' }), undefined)
})

test('more than ten frames that are not understood close the socket', async (t) => {
  const socket = await openSocket(t, await startServer(t))
  for (let count = 0; count < 11; count++) socket.sendRaw('nonsense')
  for (let count = 0; count < 11; count++) assert.equal((await socket.take('error')).code, 'invalid_request')
  assert.equal((await socket.closed).code, 4400)
})

test('what is no text, no UTF-8 or too large closes the socket', async (t) => {
  const server = await startServer(t)
  const codeAfter = async (send: (socket: Awaited<ReturnType<typeof openSocket>>) => void) => {
    const socket = await openSocket(t, server)
    send(socket)
    return (await socket.closed).code
  }
  assert.equal(await codeAfter(({ socket }) => socket.send(Buffer.from('{"type":"ping"}'), { binary: true })), 1003)
  assert.equal(await codeAfter(({ socket }) => socket.send(Buffer.from([0x22, 0xff, 0x22]), { binary: false })), 1007)
  assert.equal(await codeAfter(({ socket }) => socket.send('x'.repeat(WS_FRAME_BYTES_MAX + 1))), 1009)
  const fragments = async () => {
    const socket = await openSocket(t, server)
    const half = 'x'.repeat(WS_FRAME_BYTES_MAX / 2 + 1)
    socket.socket.send(half, { fin: false })
    socket.socket.send(half, { fin: true })
    return (await socket.closed).code
  }
  assert.equal(await fragments(), 1009)
})

test('a command about a subscription that is not there is refused', async (t) => {
  const socket = await openSocket(t, await startServer(t))
  const frames = [
    { type: 'credit', sub: 'a', records: 1 },
    { type: 'seek', sub: 'a', to: 'latest' },
    { type: 'pause', sub: 'a' },
    { type: 'resume', sub: 'a' },
    { type: 'commit', sub: 'a', cursor: 'x' },
    { type: 'ack', sub: 'a', outcome: 'accept', records: [{ topic: 't', partition: 0, offset: 0 }] },
    { type: 'unsubscribe', sub: 'a' },
  ]
  for (const frame of frames) {
    const answer = await socket.ask(frame)
    assert.deepEqual([answer.type, answer.code, answer.sub], ['error', 'subscription_not_found', 'a'], frame.type)
  }
  assert.equal((await socket.ask({ type: 'ping' })).type, 'pong')
})

test('a socket has so many subscriptions at most, and each name once', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const socket = await openSocket(t, server)
  const subscribe = (sub: string) => socket.ask({ type: 'subscribe', sub, topics: ['t'] })
  const answers = await Promise.all(Array.from({ length: WS_SUBSCRIPTIONS_MAX }, (_, at) => subscribe(`s${at}`)))
  assert.ok(answers.every(({ type }) => type === 'ok'))
  const more = await subscribe('more')
  assert.deepEqual([more.type, more.code, more.details?.['max']], ['error', 'policy_violation', WS_SUBSCRIPTIONS_MAX])
  assert.equal((await subscribe('s0')).code, 'subscription_exists')
  await socket.command({ type: 'unsubscribe', sub: 's0' })
  assert.equal((await subscribe('more')).type, 'ok')
  assert.ok((await subscribe('again')).type === 'error')
})

test('thousands of subscriptions that are refused, and none that is not, close the socket', async (t) => {
  const socket = await openSocket(t, await startServer(t))
  for (let count = 0; count < 2_000; count++) {
    socket.sendRaw(JSON.stringify({ type: 'subscribe', sub: `s${count}`, topics: ['nowhere'] }))
  }
  const { code } = await socket.closed
  assert.equal(code, 4413)
})

test('a flood of commands is answered one by one while others are served', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  const [flooding, other] = [await openSocket(t, server), await openSocket(t, server)]
  const count = 5_000
  for (let id = 0; id < count; id++) flooding.send({ type: 'ping', id })
  assert.equal((await other.ask({ type: 'ping' })).type, 'pong')
  await flooding.take(({ id }) => id === count - 1)
  const ids = flooding.received.filter(({ type }) => type === 'pong').map(({ id }) => id)
  assert.deepEqual(
    ids,
    Array.from({ length: count }, (_, id) => id),
  )
})

test('whatever is sent, the socket answers or closes as it should, and the server goes on', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't', partitions: 2 })
  await fc.assert(
    fc.asyncProperty(fc.array(frameText, { minLength: 1, maxLength: 12 }), (texts) => survives(t, server, texts)),
    { numRuns: 60 },
  )
  assert.deepEqual(
    server.log.filter(({ level }) => level === 'error'),
    [],
  )
})

const CLOSES = [1003, 1007, 1009, 4400, 4413]

async function survives(t: { after(cleanUp: () => void): void }, server: TestServer, texts: readonly string[]) {
  const socket = await openSocket(t, server)
  for (const text of texts) socket.sendRaw(text)
  socket.sendRaw('{"type":"ping","id":"last"}')
  const outcome = await Promise.race([socket.take(({ id }) => id === 'last'), socket.closed])
  if ('reason' in outcome) assert.ok(CLOSES.includes((outcome as { code: number }).code), JSON.stringify(outcome))
  const failures = socket.received.filter(({ code }) => code === 'unknown_server_error')
  assert.deepEqual(failures, [], JSON.stringify(texts))
  socket.socket.terminate()
}

const text = fc.constantFrom(
  't',
  'a',
  '',
  'earliest',
  'latest',
  '-1',
  '0',
  '1h',
  'cursor:AQAB',
  '99999999999999999999',
  '*',
  '(',
)
const value = fc.oneof(
  text,
  fc.integer(),
  fc.constantFrom(-1, 0, 1, 2 ** 53, null, true),
  fc.constant([]),
  fc.constant({}),
)
const place = fc.record({ topic: text, partition: value, offset: value }, { requiredKeys: [] })
const frameText = fc.oneof(
  { weight: 1, arbitrary: fc.string({ maxLength: 30 }) },
  { weight: 1, arbitrary: fc.jsonValue().map((json) => JSON.stringify(json)) },
  {
    weight: 10,
    arbitrary: fc
      .record(
        {
          type: fc.constantFrom(
            'subscribe',
            'subscribe',
            'credit',
            'seek',
            'pause',
            'resume',
            'commit',
            'ack',
            'unsubscribe',
            'produce',
            'ping',
            'records',
          ),
          sub: fc.constantFrom('a', 'b'),
          id: fc.oneof(value, fc.nat()),
          topics: fc.oneof(fc.constant(['t']), fc.array(text, { maxLength: 3 }), value),
          topic: fc.oneof(fc.constant('t'), value),
          pattern: text,
          partitions: fc.array(place, { maxLength: 2 }),
          from: fc.oneof(text, value),
          to: fc.oneof(text, value),
          until: fc.oneof(text, value, fc.record({ count: value })),
          mode: fc.constantFrom('tail', 'tail', 'other'),
          credit: fc.oneof(value, fc.record({ records: value, bytes: value }, { requiredKeys: [] })),
          records: fc.oneof(
            fc.nat(3),
            fc.array(fc.record({ key: value, value, partition: value }, { requiredKeys: [] }), { maxLength: 3 }),
            value,
          ),
          bytes: value,
          positions: fc.array(place, { maxLength: 2 }),
          cursor: text,
          group: fc.constantFrom('g', ''),
          filter: fc.oneof(value, fc.record({ key: value, headers: value, expr: text }, { requiredKeys: [] })),
          fields: fc.oneof(value, fc.constant(['key', 'key'])),
          batch: fc.oneof(value, fc.record({ records: value, wait_ms: value })),
          overflow: fc.constantFrom('pause', 'drop_oldest', 'latest_per_key', ''),
          on_gap: fc.constantFrom('error', 'earliest', ''),
          outcome: text,
          acks: fc.constantFrom('all', '1', '0', 1),
          producer: fc.oneof(value, fc.record({ id: text, epoch: value, seq: value })),
        },
        { requiredKeys: ['type', 'sub'] },
      )
      .map((frame) => JSON.stringify(frame)),
  },
)
