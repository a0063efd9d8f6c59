// No input may give a 500 on the REST Proxy v2 API, and every failure has its form. Requests are made up, and made of good
// ones with something wrong in them; fast-check prints the seed of what fails.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { startServer } from '../support/http.ts'
import { checkForm, storedIn, V2_BINARY, V2_JSON } from '../support/rest-proxy-v2.ts'

const RUNS = 400
/** What is left of the runs then is left out. */
const TIME_MS_MAX = 6_000
const limits = { numRuns: RUNS, interruptAfterTimeLimit: TIME_MS_MAX, markInterruptAsFailure: false }

const types = fc.constantFrom(
  V2_JSON,
  V2_BINARY,
  'application/vnd.kafka.v1+json',
  'application/vnd.kafka.avro.v2+json',
  'application/vnd.kafka.jsonschema.v2+json',
  'application/vnd.kafka.protobuf.v2+json',
  'application/json',
  'text/plain',
)
const accepts = fc.constantFrom(
  '*/*',
  V2_JSON,
  'application/vnd.kafka.v2+json',
  'application/vnd.kafka.avro.v2+json',
  'text/html',
  '*/*;q=0',
  ';;,,q=',
  'a/b;q=x',
)
const methods = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH')
const texts = fc.oneof(fc.string(), fc.constantFrom('t', '0', '-1', '..', '.', '__x', '%', 'records', 'x'.repeat(300)))
const paths = fc.oneof(
  fc.constantFrom('/', '/brokers', '/topics', '/topics/t', '/topics/t/partitions/0', '/topics/t/partitions/0/records'),
  fc.array(texts, { maxLength: 5 }).map((parts) => `/topics/${parts.map(encodeURIComponent).join('/')}`),
)

const consumerNames = fc.oneof(fc.constantFrom('c', 'd'), texts)
const consumerPaths = fc.oneof(
  consumerNames.map((group) => `/consumers/${encodeURIComponent(group)}`),
  fc
    .tuple(
      consumerNames,
      consumerNames,
      fc.constantFrom(
        '',
        '/subscription',
        '/assignments',
        '/positions',
        '/positions/beginning',
        '/positions/end',
        '/offsets',
        '/records',
      ),
    )
    .map(([group, name, rest]) => {
      return `/consumers/${encodeURIComponent(group)}/instances/${encodeURIComponent(name)}${rest}`
    }),
)
const queries = fc.oneof(
  fc.constantFrom('', '?offset=0&timeout=0&max_bytes=1', '?offset=9&timeout=0&max_bytes=x', '?offset'),
  fc.tuple(texts, texts).map(([name, value]) => `?${encodeURIComponent(name)}=${encodeURIComponent(value)}`),
)

const members = fc.constantFrom(
  'key',
  'value',
  'partition',
  'timestamp',
  'headers',
  'records',
  '__proto__',
  'value_schema',
)
const records = fc.dictionary(members, fc.oneof(fc.jsonValue(), fc.base64String(), fc.integer(), fc.constant(null)))
const schemas = fc.oneof(
  fc.constantFrom(
    '"int"',
    '["null","string"]',
    '{"type":"object"}',
    'syntax = "proto3"; message M { int32 a = 1; }',
    '{',
  ),
  fc.string(),
  fc.json(),
)
const ids = fc.oneof(fc.constantFrom(1, '1', 2, '2', null), fc.integer(), fc.jsonValue())
const typedBodies = fc
  .record(
    {
      value_schema: schemas,
      value_schema_id: ids,
      key_schema: schemas,
      key_schema_id: ids,
      records: fc.array(records),
    },
    { requiredKeys: ['records'] },
  )
  .map((body) => JSON.stringify(body))
const bodies = fc.oneof(
  typedBodies,
  fc.string(),
  fc.json(),
  fc.array(records, { maxLength: 4 }).map((each) => JSON.stringify({ records: each })),
  fc.array(records, { maxLength: 4 }).map((each) => JSON.stringify({ records: each }, null, 2)),
)
const places = fc.record(
  {
    topic: fc.oneof(fc.constantFrom('t', 'u'), fc.jsonValue()),
    partition: fc.oneof(fc.integer({ min: -1, max: 3 }), fc.jsonValue()),
    offset: fc.oneof(fc.integer({ min: -1, max: 9 }), fc.maxSafeInteger(), fc.jsonValue()),
    timestamp: fc.oneof(fc.date({ noInvalidDate: true }), fc.double(), fc.jsonValue()),
    metadata: fc.jsonValue(),
    other: fc.jsonValue(),
  },
  { requiredKeys: [] },
)
const lists = fc.oneof(
  fc.array(places, { maxLength: 3 }),
  fc.array(fc.constant({ topic: 't', partition: 0 }), { maxLength: 2 }),
)
const consumerBodies = fc.oneof(
  fc.string(),
  fc.json(),
  fc
    .record(
      {
        name: consumerNames,
        format: fc.oneof(fc.constantFrom('json', 'BINARY', 'avro'), fc.jsonValue()),
        'auto.offset.reset': fc.oneof(fc.constantFrom('earliest', 'none'), fc.jsonValue()),
        'session.timeout.ms': fc.oneof(fc.integer(), fc.jsonValue()),
        'fetch.min.bytes': fc.oneof(fc.integer(), fc.jsonValue()),
      },
      { requiredKeys: [] },
    )
    .map((config) => JSON.stringify(config)),
  fc
    .record(
      {
        topics: fc.array(fc.oneof(fc.constant('t'), texts)),
        topic_pattern: fc.oneof(fc.constantFrom('t|u', '(', '.*', 'a{1000}'), fc.string()),
        partitions: lists,
        offsets: lists,
        timestamps: lists,
      },
      { requiredKeys: [] },
    )
    .map((body) => JSON.stringify(body)),
)

const damage = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }), cut: fc.boolean() })

for (const lenient of ['false', 'true']) {
  test(`a made-up request is answered in the form of the API, compat.lenient=${lenient}`, async (t) => {
    const server = await startServer(t, { set: { 'compat.lenient': lenient, 'num.partitions': '2' } })
    const property = fc.asyncProperty(
      fc.record({ method: methods, path: paths, query: queries, type: types, accept: accepts, body: bodies }),
      fc.option(damage, { freq: 3 }),
      async ({ method, path, query, type, accept, body }, harm) => {
        const bytes = Buffer.from(body)
        if (harm !== null && bytes.length > 0) bytes[harm.at % bytes.length] = harm.byte
        const sent = harm?.cut ? bytes.subarray(0, harm.at % (bytes.length + 1)) : bytes
        const headers = { 'content-type': type, accept }
        const hasBody = method !== 'GET' && method !== 'HEAD'
        const request = hasBody ? { headers, body: sent } : { headers }
        const reply = await server.request(method, path + query, request)
        checkForm(reply)
        if (reply.status === 200 && method === 'POST' && path !== '/') {
          for (const row of reply.json().offsets) {
            assert.deepEqual(Object.keys(row), ['partition', 'offset', 'error_code', 'error'])
            assert.equal(row.offset === null, row.error !== null)
          }
        }
      },
    )
    await fc.assert(property, limits)
    assert.deepEqual(
      server.log.filter(({ level }) => level === 'error'),
      [],
    )
  })
}

test('a made-up request about consumers is answered in the form of the API', async (t) => {
  const server = await startServer(t, { set: { 'consumer.request.timeout.ms': '1', 'num.partitions': '2' } })
  await server.post('/topics/t', '{"records":[{"value":1},{"value":2}]}', { 'content-type': V2_JSON })
  const property = fc.asyncProperty(
    fc.record({
      method: methods,
      path: consumerPaths,
      query: queries,
      type: types,
      accept: accepts,
      body: consumerBodies,
    }),
    async ({ method, path, query, type, accept, body }) => {
      const request = { headers: { 'content-type': type, accept }, ...(method === 'HEAD' ? {} : { body }) }
      checkForm(await server.request(method, path + query, request))
    },
  )
  await fc.assert(property, limits)
  assert.deepEqual(
    server.log.filter(({ level }) => level === 'error'),
    [],
  )
})

const calls = fc.constantFrom(
  ...(['GET', 'POST', 'DELETE'] as const).map((method) => [method, '/subscription'] as const),
  ...(['GET', 'POST'] as const).flatMap((method) => [[method, '/assignments'] as const, [method, '/offsets'] as const]),
  ...['', '/beginning', '/end'].map((rest) => ['POST', `/positions${rest}`] as const),
  ['GET', '/records'] as const,
  ['DELETE', ''] as const,
)
const goodBodies = fc.constantFrom(
  { topics: ['t'] },
  { topic_pattern: 't|u' },
  { partitions: [{ topic: 't', partition: 0 }] },
  { partitions: [{ topic: 'u', partition: 1, offset: 1 }] },
  { offsets: [{ topic: 't', partition: 1, offset: 1 }] },
)

test('a consumer that is called in any order, with anything, answers in the form of the API', async (t) => {
  const server = await startServer(t, { set: { 'consumer.request.timeout.ms': '1', 'num.partitions': '2' } })
  await server.post('/topics/t', '{"records":[{"value":1},{"value":2}]}', { 'content-type': V2_JSON })
  const good = goodBodies.map((body) => JSON.stringify(body))
  const steps = fc.array(fc.tuple(calls, fc.oneof(good, good, consumerBodies)), { minLength: 1, maxLength: 8 })
  const statuses = new Set<number>()
  const property = fc.asyncProperty(steps, async (each) => {
    const headers = { 'content-type': 'application/vnd.kafka.v2+json', accept: 'application/json, */*' }
    const config = { name: 'c', format: 'json', 'auto.offset.reset': 'earliest' }
    await server.request('POST', '/consumers/g', { headers, body: config })
    for (const [[method, rest], body] of each) {
      const reply = await server.request(method, `/consumers/g/instances/c${rest}`, { headers, body })
      checkForm(reply)
      statuses.add(reply.status)
    }
  })
  await fc.assert(property, { ...limits, numRuns: RUNS / 4 })
  for (const status of [200, 204, 409]) assert.ok(statuses.has(status), `${status} is reached`)
  assert.deepEqual(
    server.log.filter(({ level }) => level === 'error'),
    [],
  )
})

test('any JSON value and any bytes come back as they were', async (t) => {
  const server = await startServer(t)
  let count = 0
  const property = fc.asyncProperty(
    fc.array(fc.tuple(fc.json(), fc.uint8Array()), { minLength: 1, maxLength: 5 }),
    async (values) => {
      const topic = `t${count++}`
      const json = values.map(([value]) => `{"value":${value}}`).join()
      await server.post(`/topics/${topic}`, `{"records":[${json}]}`, { 'content-type': V2_JSON })
      const binary = values.map(([, bytes]) => ({ value: Buffer.from(bytes).toString('base64') }))
      await server.post(`/topics/${topic}`, { records: binary }, { 'content-type': V2_BINARY })
      const expected = [
        ...values.map(([value]) => (JSON.parse(value) === null ? null : Buffer.from(value).toString('latin1'))),
        ...values.map(([, bytes]) => Buffer.from(bytes).toString('latin1')),
      ]
      assert.deepEqual(
        (await storedIn(server, topic)).map(({ value }) => value),
        expected,
      )
    },
  )
  await fc.assert(property, { ...limits, numRuns: 60 })
})
