// What a client is told when the engine fails, and what it is not told when we do. The engine is one that fails on command.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildServer } from '../../src/http/server.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { createProduceService } from '../../src/service/produce/produce.ts'
import { createTopicService } from '../../src/service/topics.ts'
import { startServer } from '../support/http.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { checkReply } from '../support/openapi.ts'

const OPTIONS = {
  bodyBytesMax: 1_000_000,
  requestTimeoutMs: 1_000,
  connectionIdleMs: 1_000,
  connectionsMax: 100,
  compatLenient: false,
  allowedOrigins: [],
  advertised: undefined,
  consumerRequestBytesMax: 1,
  schemaRegistryProfile: 8 as const,
  shutdownGraceMs: 1_000,
}

test('where one partition of several fails, the problem says record by record what was stored', async () => {
  const { engine, produce } = openServer()
  engine.beforeWrite = ({ partition }) => {
    if (partition === 1) throw new TailraceError('disk_full', 'no room in partition 1', { partition })
  }
  const records = [
    { value: 'a', partition: 0 },
    { value: 'b', partition: 1 },
    { value: 'c', partition: 0 },
  ]
  const reply = await produce(JSON.stringify({ records }))
  assert.equal(reply.statusCode, 503)
  assert.equal(reply.headers['retry-after'], '1')
  const { code, retryable, results } = reply.json()
  assert.deepEqual({ code, retryable }, { code: 'disk_full', retryable: true })
  assert.deepEqual(
    results.map(({ partition, offset, code }: Record<string, unknown>) => ({ partition, offset, code })),
    [
      { partition: 0, offset: 0, code: undefined },
      { partition: 1, offset: null, code: 'disk_full' },
      { partition: 0, offset: 1, code: undefined },
    ],
  )
})

test('what people write by mistake is answered with what they may write instead', async (t) => {
  const { post, request } = await startServer(t)
  await post('/v1/topics', { name: 'orders' })
  const records = '/v1/topics/orders/records'
  for (const [reply, status, says] of [
    [
      await post(records, { records: [{ value: 1, headers: { trace: 'a' } }] }),
      422,
      'records[0].headers must be an array such as [{"name":"n","value":"v"}], not an object',
    ],
    [
      await post(records, { acks: '1', records: [{ value: 1 }] }),
      422,
      'acks is not known here; it is a query parameter: acks=all, acks=1 or acks=0',
    ],
    [
      await post('/v1/topics/_schemas/records', { records: [{ key: 'k', value: 1 }] }),
      403,
      "topic '_schemas' is internal: it is written and changed by the service only, while the server's option allow.internal.topics is false",
    ],
    [
      await request('GET', `${records}?filter=1%2B1`),
      400,
      "the filter is not taken at character 1: its result is int, and a filter's is bool: write a condition, such as value.total > 100",
    ],
    [
      await request('GET', `${records}?from=2026-11-21T02:00:00`),
      400,
      "'2026-11-21T02:00:00' is no position: a time names its zone: 2026-11-21T02:00:00Z is one, of UTC",
    ],
  ] as const) {
    assert.deepEqual([reply.status, reply.json().detail], [status, says])
  }
})

test('a bug is a 500 that shows nothing of it, and one log line that shows all', async () => {
  const { engine, log, app } = openServer()
  engine.listTopics = () => {
    throw new Error('secret: the password is 1234')
  }
  const reply = await app.inject({ method: 'GET', url: '/v1/topics', headers: { 'x-request-id': 'abc' } })
  assert.equal(reply.statusCode, 500)
  assert.equal(reply.json().code, 'unknown_server_error')
  assert.equal(reply.json().request_id, 'abc')
  assert.ok(!reply.body.includes('secret'))
  assert.equal(log.length, 1)
  const { err, requestId } = log[0]!.facts as { err: Error; requestId: string }
  assert.match(err.message, /secret/)
  assert.equal(requestId, 'abc')
})

function openServer() {
  const engine = new MemoryEngine({ partitionCountDefault: 2 })
  const telemetry = new Telemetry()
  const topics = createTopicService({
    engine,
    options: {
      autoCreateTopics: true,
      deleteTopics: true,
      allowInternalTopics: false,
      defaultPartitionCount: 2,
      topicConfigDefaults: engine.defaults,
    },
  })
  const produceService = createProduceService({ engine, topics, schemas: {} as never, clock: systemClock, telemetry })
  const log: { facts: object; message: string }[] = []
  const note = (facts: object, message: string) => {
    log.push({ facts, message })
  }
  const app = buildServer({
    services: {
      engine,
      topics,
      produce: produceService,
      consume: {} as never,
      groups: {} as never,
      consumers: {} as never,
      groupPolls: {} as never,
      tails: {} as never,
      groupTails: {} as never,
      registry: {} as never,
    },
    options: OPTIONS,
    clock: systemClock,
    logger: { info: note, warn: note, error: note },
    telemetry,
  })
  const produce = async (payload: string) => {
    const headers = { 'content-type': 'application/json' }
    const url = '/v1/topics/t/records'
    const reply = await app.inject({ method: 'POST', url, headers, payload })
    checkReply({ method: 'POST', url, status: reply.statusCode, headers: reply.headers, body: reply.rawPayload })
    return reply
  }
  return { engine, app, log, produce }
}
