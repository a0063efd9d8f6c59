// What a named producer repeats, and under which number. The server is a function here: it answers as it is told.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TailraceClient } from '../../src/client/client.ts'
import type { TailraceClientError } from '../../src/client/client-error.ts'
import { NamedProducer } from '../../src/client/named-producer.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startServer } from '../support/http.ts'

type Answer = () => Response

const taken: Answer = () => Response.json({ records: [{ partition: 0, offset: 0, timestamp: null }] })
const lost: Answer = () => {
  throw new TypeError('fetch failed', { cause: new Error('socket hang up') })
}

const forgotten: Answer = () => {
  const problem = { code: 'out_of_order_sequence_number', retryable: false, details: { expected: 0 } }
  return new Response(JSON.stringify(problem), { status: 409, headers: { 'content-type': 'application/problem+json' } })
}

function problem(status: number, code: string, retryable: boolean, retryAfter?: number): Answer {
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' }
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter)
  return () => new Response(JSON.stringify({ code, retryable, detail: code }), { status, headers })
}

interface Sent {
  readonly topic: string
  readonly epoch: string | null
  readonly sequence: string | null
  readonly body: unknown
}

function setUp(answers: Answer[]) {
  const clock = new FakeClock()
  const sent: Sent[] = []
  const client = new TailraceClient({
    url: 'http://server',
    fetch: async (url, init) => {
      const headers = new Headers(init?.headers)
      const [, topic = ''] = /topics\/([^/]+)/.exec(String(url)) ?? []
      const number = { epoch: headers.get('producer-epoch'), sequence: headers.get('producer-seq') }
      sent.push({ topic, ...number, body: init?.body })
      const answer = answers.shift()
      assert.ok(answer, 'no more requests are expected')
      return answer()
    },
  })
  const retries: [code: string, delayMs: number][] = []
  const producer = new NamedProducer({
    client,
    clock,
    id: 'p',
    epoch: 3,
    onRetry: ({ code }: TailraceClientError, delayMs: number) => {
      retries.push([code, delayMs])
      setImmediate(() => clock.advance(delayMs))
    },
  })
  return { producer, sent, retries, clock }
}

const numbers = (sent: readonly Sent[]) => sent.map(({ topic, sequence }) => `${topic} ${sequence}`)

test('each topic has its own count, and requests go one after the other', async () => {
  const { producer, sent } = setUp([taken, taken, taken])
  await Promise.all([producer.produceJson('a', '1'), producer.produceJson('a', '2'), producer.produceJson('b', '3')])
  assert.deepEqual(numbers(sent).sort(), ['a 0', 'a 1', 'b 0'])
  assert.deepEqual(new Set(sent.map(({ epoch }) => epoch)), new Set(['3']))
})

test('what may succeed later is repeated as it was, after the time the server asks for', async () => {
  const { producer, sent, retries } = setUp([problem(503, 'overloaded', true, 2), lost, taken, taken])
  await producer.produceJson('t', 'body')
  await producer.produceJson('t', 'next')
  assert.deepEqual(numbers(sent), ['t 0', 't 0', 't 0', 't 1'])
  assert.deepEqual(
    sent.map(({ body }) => body),
    ['body', 'body', 'body', 'next'],
  )
  assert.deepEqual(retries, [
    ['overloaded', 2_000],
    ['unreachable', 200],
  ])
})

test('a refused request uses up no number', async () => {
  const { producer, sent } = setUp([problem(422, 'invalid_record', false), taken])
  await assert.rejects(producer.produceJson('t', 'bad'), { code: 'invalid_record' })
  await producer.produceJson('t', 'good')
  assert.deepEqual(numbers(sent), ['t 0', 't 0'])
})

test('a server that has forgotten the producer is sent the request as the first of a new count', async () => {
  const { producer, sent } = setUp([taken, taken, forgotten, taken, taken])
  for (const body of ['a', 'b', 'c', 'd']) await producer.produceJson('t', body)
  assert.deepEqual(
    sent.map(({ sequence, body }) => `${sequence} ${body}`),
    ['0 a', '1 b', '2 c', '0 c', '1 d'],
  )
})

test('a repeat that finds itself forgotten is not sent under a new number: it may be stored', async () => {
  const { producer, sent } = setUp([taken, lost, forgotten])
  await producer.produceJson('t', 'a')
  await assert.rejects(producer.produceJson('t', 'b'), { code: 'out_of_order_sequence_number' })
  assert.deepEqual(numbers(sent), ['t 0', 't 1', 't 1'])
})

test('after a request without a clear end the topic is given up, the others are not', async () => {
  const { producer, sent, retries } = setUp([...Array.from({ length: 100 }, () => lost)])
  await assert.rejects(producer.produceJson('t', 'body'), { code: 'unreachable' })
  const waitedMs = retries.reduce((sum, [, delayMs]) => sum + delayMs, 0)
  assert.ok(waitedMs > 110_000 && waitedMs <= 120_000, `${waitedMs} ms`)
  const attempts = sent.length
  await assert.rejects(producer.produceJson('t', 'next'), { code: 'producer_lost' })
  assert.equal(sent.length, attempts)
  await assert.rejects(producer.produceJson('other', 'body'), { code: 'unreachable' })
})

test('an abort ends the wait between two attempts', async () => {
  const { producer, clock } = setUp([lost])
  const stop = new AbortController()
  const produced = producer.produceJson('t', 'body', { signal: stop.signal })
  setImmediate(() => stop.abort(new Error('enough')))
  await assert.rejects(produced, { message: 'enough' })
  clock.advance(1_000_000)
})

test('the real server stores a repeated request once', async (t) => {
  const { url } = await startServer(t)
  const client = new TailraceClient({ url })
  let losses = 2
  const lossy = new TailraceClient({
    url,
    fetch: async (input, init) => {
      const response = await fetch(input, init)
      await response.clone().arrayBuffer()
      if (losses-- > 0) throw new TypeError('fetch failed', { cause: new Error('the answer was lost') })
      return response
    },
  })
  const clock = new FakeClock()
  const onRetry = (_: unknown, delayMs: number) => setImmediate(() => clock.advance(delayMs))
  const producer = new NamedProducer({ client: lossy, clock, id: 'p', epoch: 0, onRetry })
  const first = await producer.produceJson('t', '{"records":[{"value":1},{"value":2}]}')
  assert.equal(first.duplicate, true)
  await producer.produceJson('t', '{"records":[{"value":3}]}')
  const { records } = await client.read('t')
  assert.deepEqual(
    records.map((record) => record.parse().value),
    [1, 2, 3],
  )
})
