// No input may give a 500, end the server, or be logged as a failure of its own. Requests are made up, and made of good
// ones with something wrong in them; every reply is held against openapi.yaml (which knows no 500) as all others are.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'

const RUNS = 300
/** The whole file is to take seconds: what is left of the runs then is left out. */
const TIME_MS_MAX = 8_000

interface Shot {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

const JSON_TYPE = { 'content-type': 'application/json' }
const NDJSON_TYPE = { 'content-type': 'application/x-ndjson' }
const PRODUCER = { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': '0' }

const EVENT = { 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't', 'ce-specversion': '1.0', 'ce-partitionkey': '%C3%A4' }
const event = (id: string) =>
  `{"id":"${id}","source":"/s","type":"t","specversion":"1.0","partitionkey":"k","data":{"a":[1]}}`

const good: readonly Shot[] = [
  shot('GET', '/v1/topics?limit=10&internal=true'),
  shot(
    'POST',
    '/v1/topics',
    JSON_TYPE,
    '{"name":"made","partitions":3,"replication_factor":1,"configs":{"retention.ms":"1"}}',
  ),
  shot('GET', '/v1/topics/t'),
  shot(
    'PATCH',
    '/v1/topics/t',
    JSON_TYPE,
    '{"partitions":2,"configs":{"cleanup.policy":"delete","segment.bytes":null}}',
  ),
  shot('DELETE', '/v1/topics/made'),
  shot('POST', '/v1/topics/t/records?acks=1', JSON_TYPE, recordBody('"k"', '{"a":[1,2.0,null,"x\\u0041"]}')),
  shot(
    'POST',
    '/v1/topics/t/records',
    { ...JSON_TYPE, ...PRODUCER },
    recordBody('null', '"AAEC"', '"value_encoding":"base64"'),
  ),
  shot(
    'POST',
    '/v1/topics/t/records',
    JSON_TYPE,
    recordBody('"1"', '7', '"value_encoding":"int64","timestamp":"2026-01-01T00:00:00Z"'),
  ),
  shot(
    'POST',
    '/v1/topics/t/import',
    NDJSON_TYPE,
    '{"key":"a","value":1}\n{"value":"x","headers":[{"name":"h","value":null}]}\n',
  ),
  shot('POST', '/v1/topics/t/import?format=value&key=a', NDJSON_TYPE, '{"a":1}\n{"a":"b"}'),
  shot('POST', '/v1/topics/t/records', { ...JSON_TYPE, 'content-encoding': 'gzip' }, gzipSync(recordBody('"k"', '1'))),
  shot('GET', '/v1/topics/t/records?from=-10&limit=5&partition=0&wait_ms=1&value_format=base64&key=k'),
  shot('GET', '/v1/topics/t/records?from=2026-01-01T00:00:00Z&max_bytes=100&on_gap=earliest'),
  shot('GET', `/v1/topics/t/records?filter=${encodeURIComponent('value.a[0] == 1 && key.matches("k+") || size > 3')}`),
  shot('POST', '/v1/hooks/t?key=k&partition=0&keep_header=accept&acks=1', { 'content-type': 'text/plain' }, 'x'),
  shot('POST', '/v1/hooks/t?key_header=user-agent', { ...EVENT, ...PRODUCER, 'user-agent': 'a' }, 'x'),
  shot('PUT', '/v1/hooks/t', { 'content-type': 'application/cloudevents+json' }, event('1')),
  shot(
    'POST',
    '/v1/hooks/t',
    { 'content-type': 'application/cloudevents-batch+json' },
    `[${event('1')},${event('2')}]`,
  ),
  shot('OPTIONS', '/v1/hooks/t', { 'webhook-request-origin': 'example.com' }),
  shot('GET', '/v1/topics/t/partitions/0/records/0?key_format=string'),
  shot('GET', '/v1/topics/t/offsets?at=latest'),
  shot('DELETE', '/v1/topics/t/partitions/0/records?before=1'),
  shot('GET', '/v1/topics/t/export?from=earliest'),
  shot('PATCH', '/v1/groups/g/offsets', JSON_TYPE, '{"to":"earliest","topics":["t"],"force":true}'),
  shot('PATCH', '/v1/groups/g/offsets', JSON_TYPE, '{"shift_by":-1,"partitions":[{"topic":"t","partition":0}]}'),
  shot(
    'PATCH',
    '/v1/groups/g/offsets',
    JSON_TYPE,
    '{"offsets":[{"topic":"t","partition":0,"offset":1}],"dry_run":true}',
  ),
  shot('GET', '/v1/groups?limit=1'),
  shot('GET', '/v1/groups/g'),
  shot('GET', '/v1/topics/t/records?from=committed&group=g'),
  shot('DELETE', '/v1/groups/g/offsets?topic=t&partition=0'),
  shot('DELETE', '/v1/groups/g'),
  shot('GET', '/v1/cluster'),
  shot('GET', '/readyz'),
  shot('GET', '/metrics'),
]

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'PROPFIND', 'TRACE']
const NASTY = [
  '',
  '..',
  '%2e%2e',
  '%2F',
  '%00',
  '%',
  '%zz',
  '-1',
  '1.5',
  '9007199254740993',
  '1e9',
  'null',
  'NaN',
  '*',
  '__proto__',
  'constructor',
  'x'.repeat(300),
  '%F0%9F%92%A9',
  ';',
  'a=b&a=c',
  'cursor:',
  'cursor:AAAA',
  'latest',
  '1h',
  '9'.repeat(40),
  '0001-01-01T00:00:00Z',
  '+275760-09-13T00:00:00Z',
]

const nasty = fc.oneof(fc.constantFrom(...NASTY), fc.string({ maxLength: 20 }).map(percentEncoded))
const path = fc
  .tuple(
    fc.array(
      fc.oneof(
        nasty,
        fc.constantFrom('v1', 'topics', 't', 'records', 'partitions', '0', 'offsets', 'import', 'export', 'hooks'),
      ),
      { maxLength: 7 },
    ),
    fc.array(nasty, { maxLength: 3 }),
  )
  .map(([segments, query]) => `/${segments.join('/')}${query.length > 0 ? `?${query.join('&')}` : ''}`)
const header = fc.tuple(
  fc.constantFrom(
    'content-type',
    'accept',
    'content-encoding',
    'x-request-id',
    'producer-id',
    'producer-epoch',
    'producer-seq',
    'x-client-id',
    'range',
    'if-match',
    'ce-id',
    'ce-subject',
  ),
  fc.oneof(
    fc.constantFrom(
      'application/json',
      'application/x-ndjson',
      'application/cloudevents+json',
      '%E4%',
      'text/plain',
      '*/*',
      'gzip',
      'zstd',
      'br',
      ';;',
      'q=0',
      '-1',
      '0',
      'a, b;q=x',
    ),
    fc.string({ maxLength: 30 }).map((text) => text.replace(/[^\x20-\x7e]/g, '?')),
  ),
)
const body = fc.oneof(
  fc.json({ maxDepth: 4 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.nat(20_000).map((depth) => Buffer.from(`{"records":[{"value":${'['.repeat(depth)}`)),
)

test('a made-up request is answered, and not with a 500', { timeout: 60_000 }, async (t) => {
  const shots = fc
    .record({ method: fc.constantFrom(...METHODS), path, headers: fc.array(header, { maxLength: 4 }), body })
    .map((made): Shot => ({ ...made, headers: Object.fromEntries(made.headers) }))
  await fire(t, shots)
})

test('a good request with something wrong in it is answered, and not with a 500', { timeout: 60_000 }, async (t) => {
  const spoil = fc.constantFrom('body', 'path', 'query', 'header', 'method')
  const shots = fc
    .record({
      base: fc.constantFrom(...good),
      spoil,
      nasty,
      header,
      method: fc.constantFrom(...METHODS),
      at: fc.nat(),
      byte: fc.nat(255),
      cut: fc.boolean(),
    })
    .map((made): Shot => {
      const { base } = made
      switch (made.spoil) {
        case 'body':
          return { ...base, body: spoilBytes(base.body, made.at, made.byte, made.cut) }
        case 'path':
          return { ...base, path: spoilPath(base.path, made.at, made.nasty) }
        case 'query':
          return { ...base, path: spoilQuery(base.path, made.at, made.nasty) }
        case 'header':
          return { ...base, headers: { ...base.headers, [made.header[0]]: made.header[1] } }
        default:
          return { ...base, method: made.method }
      }
    })
  await fire(t, shots)
})

async function fire(t: TestContext, shots: fc.Arbitrary<Shot>): Promise<void> {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't', partitions: 2 })
  await server.post('/v1/topics/t/records', { records: [{ value: 1 }, { key: 'k', value: { a: 1 } }] })
  const property = fc.asyncProperty(shots, (made) => survives(server, made))
  await fc.assert(property, { numRuns: RUNS, interruptAfterTimeLimit: TIME_MS_MAX, markInterruptAsFailure: false })
  assert.equal((await server.get('/livez')).status, 200)
}

async function survives(server: TestServer, { method, path, headers, body }: Shot): Promise<void> {
  const bodiless = method === 'GET' || method === 'HEAD' || method === 'TRACE'
  await server.request(method, path, { headers, ...(bodiless ? {} : { body }) })
  assert.deepEqual(
    server.log.filter(({ level }) => level === 'error').map(({ facts, message }) => ({ message, facts })),
    [],
  )
}

function shot(method: string, path: string, headers: Record<string, string> = {}, body: string | Buffer = ''): Shot {
  return { method, path, headers, body: Buffer.from(body) }
}

function recordBody(key: string, value: string, more = '"headers":[{"name":"h","value":"v"}]'): string {
  return `{"records":[{"key":${key},"value":${value},${more}},{"value":2,"partition":1}]}`
}

function spoilBytes(bytes: Buffer, at: number, byte: number, cut: boolean): Buffer {
  if (bytes.length === 0) return Buffer.from([byte])
  const spoiled = Buffer.from(bytes)
  spoiled[at % bytes.length] = byte
  return cut ? spoiled.subarray(0, at % bytes.length) : spoiled
}

function spoilPath(path: string, at: number, nasty: string): string {
  const [way = '', query] = path.split('?', 2)
  const segments = way.split('/')
  segments[1 + (at % (segments.length - 1))] = nasty
  return query === undefined ? segments.join('/') : `${segments.join('/')}?${query}`
}

function spoilQuery(path: string, at: number, nasty: string): string {
  const [way, query = 'limit=1'] = path.split('?', 2)
  const pairs = query.split('&')
  const [name] = (pairs[at % pairs.length] ?? '').split('=')
  pairs[at % pairs.length] = at % 3 === 0 ? `${nasty}=1` : `${name}=${nasty}`
  return `${way}?${pairs.join('&')}`
}

/** Lone surrogates have no percent-encoding. */
function percentEncoded(text: string): string {
  return encodeURIComponent(text.toWellFormed())
}
