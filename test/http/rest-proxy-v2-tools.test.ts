// The requests of real tools as they put them on the wire, byte for byte.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { storedIn, V2 } from '../support/rest-proxy-v2.ts'

interface Answer {
  readonly status: number
  readonly head: string
  // biome-ignore lint/suspicious/noExplicitAny: what a tool gets is looked into freely
  readonly body: any
}

async function send(server: TestServer, head: readonly string[], body: string | Buffer): Promise<Answer> {
  const [first = '', ...rest] = head
  const length = `Content-Length: ${Buffer.byteLength(body)}`
  const lines = [first, `Host: 127.0.0.1:${server.port}`, 'Connection: close', ...rest]
  const isChunked = rest.some((line) => line.toLowerCase() === 'transfer-encoding: chunked')
  const text = `${[...lines, ...(isChunked ? [] : [length])].join('\r\n')}\r\n\r\n`
  const bytes = isChunked ? [`${Buffer.byteLength(body).toString(16)}\r\n`, body, '\r\n0\r\n\r\n'] : [body]
  const reply = await server.raw(Buffer.concat([text, ...bytes].map((part) => Buffer.from(part))))
  const end = reply.indexOf('\r\n\r\n')
  return {
    status: Number(reply.slice(9, 12)),
    head: reply.slice(0, end),
    body: JSON.parse(reply.slice(end + 4)),
  }
}

test("fluent-bit's kafka-rest output gets exactly 200 and a body", async (t) => {
  const server = await startServer(t)
  const value = '{"@timestamp":"2026-11-21T02:00:00.000000000Z","_flb-key":"cpu.0","cpu_p":1.5,"user_p":0.0}'
  const reply = await send(
    server,
    [
      'POST /topics/fluent-bit HTTP/1.1',
      'User-Agent: Fluent-Bit',
      'Content-Type: application/vnd.kafka.json.v2+json',
      'Authorization: Basic dXNlcjpwYXNz',
    ],
    `{"records":[{"partition":0,"key":"host-1","value":${value}},{"key":"host-1","value":${value}}]}`,
  )
  assert.equal(reply.status, 200)
  assert.equal(reply.body.offsets.length, 2)
  assert.deepEqual(await storedIn(server, 'fluent-bit'), [
    { key: '"host-1"', value },
    { key: '"host-1"', value },
  ])
})

test("rsyslog's omhttp sends the v1 type, batches in gzip, and objects as values", async (t) => {
  const server = await startServer(t)
  const records = ['{"msg":"one","severity":6}', '{"msg":"t\\u00e4st","n":1.0}']
  const body = `{"records":[${records.map((record) => `{"value":${record}}`).join(',')}]}`
  const head = ['POST /topics/rsyslog HTTP/1.1', 'Accept: */*', 'Content-Type: application/vnd.kafka.v1+json']
  assert.equal((await send(server, head, body)).status, 200)
  assert.equal((await send(server, [...head, 'Content-Encoding: gzip'], gzipSync(body))).status, 200)
  assert.deepEqual(
    await storedIn(server, 'rsyslog'),
    [...records, ...records].map((value) => ({ key: null, value })),
  )
})

test('syslog-ng batches lines between a prefix and a suffix', async (t) => {
  const server = await startServer(t)
  const lines = [1, 2, 3].map((line) => `{"value":{"prog":"demo","msg":"line ${line} \\"q\\""},"key":"vm"}`)
  const reply = await send(
    server,
    [
      'POST /topics/syslog HTTP/1.1',
      'User-Agent: syslog-ng 4.8.1/libcurl 8.5.0',
      'Accept: application/vnd.kafka.v2+json',
      'Content-Type: application/vnd.kafka.json.v2+json',
    ],
    `{"records":[${lines.join(',')}]}`,
  )
  assert.equal(reply.status, 200)
  assert.match(reply.head, new RegExp(`content-type: ${V2.replace(/[.+]/g, '\\$&')}\r`))
  assert.equal((await storedIn(server, 'syslog'))[2]?.value, '{"prog":"demo","msg":"line 3 \\"q\\""}')
})

test("npm's kafka-rest sends v1 types, base64, explicit nulls and chunked bodies", async (t) => {
  const server = await startServer(t)
  const accept = 'Accept: application/vnd.kafka.v1+json, application/vnd.kafka+json; q=0.9, application/json; q=0.8'
  const type = 'Content-Type: application/vnd.kafka.v1+json'
  const chunked = 'Transfer-Encoding: chunked'
  const first = await send(
    server,
    ['POST /topics/t1 HTTP/1.1', accept, type, chunked],
    '{"records":[{"value":"bXNnMQ==","key":null,"partition":null}]}',
  )
  assert.equal(first.status, 200)
  assert.deepEqual(first.body.offsets, [{ partition: 0, offset: 0, error_code: null, error: null }])
  const second = await send(
    server,
    ['POST /topics/t1/partitions/0 HTTP/1.1', accept, type, chunked],
    '{"records":[{"value":"dg==","key":"aw=="}]}',
  )
  assert.equal(second.body.offsets[0].offset, 1)
  assert.deepEqual(await storedIn(server, 't1'), [
    { key: null, value: 'msg1' },
    { key: 'k', value: 'v' },
  ])
  for (const path of ['/brokers', '/topics', '/topics/t1', '/topics/t1/partitions']) {
    assert.equal((await send(server, [`GET ${path} HTTP/1.1`, accept], '')).status, 200, path)
  }
  const avro = ['POST /topics/t1 HTTP/1.1', accept, 'Content-Type: application/vnd.kafka.avro.v1+json', chunked]
  const typed = await send(server, avro, '{"records":[{"value":1}],"value_schema":"\\"int\\""}')
  assert.deepEqual([typed.status, typed.body.value_schema_id], [200, 1])
})

test('falcosidekick sends base64 of JSON', async (t) => {
  const server = await startServer(t)
  const event = '{"rule":"Terminal shell in container","priority":"Notice"}'
  const reply = await send(
    server,
    ['POST /topics/falco HTTP/1.1', 'Content-Type: application/vnd.kafka.binary.v2+json; charset=utf-8'],
    `{"records":[{"value":"${Buffer.from(event).toString('base64')}"}]}`,
  )
  assert.equal(reply.status, 200)
  assert.deepEqual(await storedIn(server, 'falco'), [{ key: null, value: event }])
})
