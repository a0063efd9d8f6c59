import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'

const NDJSON = { 'content-type': 'application/x-ndjson' }

const importLines = (server: TestServer, query: string, body: string | Buffer, headers: Record<string, string> = {}) =>
  server.post(`/v1/topics/t/import${query}`, body, { ...NDJSON, ...headers })

test('lines go in by their number, good ones stored, bad ones reported', async (t) => {
  const server = await startServer(t)
  const lines = ['{"value":1}', '', '{"value":', '{"key":"k","value":{"a":1}}\r', '{"valeu":1}', '{"value":3}']
  const reply = await importLines(server, '', lines.join('\n'))
  assert.equal(reply.status, 200)
  const { errors, ...counts } = reply.json()
  assert.deepEqual(counts, { lines: 5, imported: 3, rejected: 2, errors_left_out: 0, warnings: [] })
  assert.deepEqual(
    errors.map(({ line }: { line: number }) => line),
    [3, 5],
  )
  const { records } = (await server.get('/v1/topics/t/records')).json()
  assert.deepEqual(
    records.map(({ value }: { value: unknown }) => value),
    [1, { a: 1 }, 3],
  )
})

test('an export goes back in byte for byte, its last line is no record', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '3' } })
  const records = Array.from({ length: 300 }, (_, at) => ({
    key: `k${at % 7}`,
    value: at,
    headers: [{ name: 'h', value: `v${at}` }],
  }))
  await server.post('/v1/topics/from/records', { records })
  const exported = await server.get('/v1/topics/from/export')
  assert.equal(exported.status, 200)
  const reply = await importLines(server, '', exported.body)
  assert.equal(reply.json().imported, 300, reply.text())
  const body = (text: string) => text.replaceAll('"topic":"t"', '"topic":"from"').split('\n').slice(0, -2).sort()
  assert.deepEqual(body((await server.get('/v1/topics/t/export')).text()), body(exported.text()))
})

test('plain objects go in keyed by a member, their bytes as they are', async (t) => {
  const server = await startServer(t)
  const lines = [
    '{"origin":"SFO","delay": 1.0}',
    '{"delay":2,"origin":"JFK"}',
    '{"origin":12345678901234567890,"nested":{"origin":5}}',
    '{"delay":3}',
    '{"origin":null}',
    '{"origin":["x"]}',
    '7',
    '{"origin":true}',
    '{"origin":"\\ud83d\\ude00","origin":"\\u0061b"}',
    '{"or\\u0069gin":""}',
    '{"origin":"\\ud83d"}',
    `{"origin":${'['.repeat(501)}${']'.repeat(501)}}`,
    `{"nested":${'['.repeat(499)}${']'.repeat(499)},"origin":-1.50}`,
    '{"origin":1}}',
  ]
  const reply = await importLines(server, '?format=value&key=origin', lines.join('\n'))
  assert.equal(reply.json().imported, 9)
  assert.deepEqual(
    reply.json().errors.map(({ line }: { line: number }) => line),
    [6, 7, 11, 12, 14],
  )
  const page = await server.get('/v1/topics/t/records')
  const keys = page.json().records.map(({ key }: { key: unknown }) => key)
  assert.deepEqual(keys, ['SFO', 'JFK', '12345678901234567890', null, null, 'true', 'ab', '', '-1.50'])
  assert.ok(page.text().includes('"value":{"origin":"SFO","delay": 1.0}'))
  assert.equal((await importLines(server, '?key=origin', '{}')).status, 400)
})

test('gzip and zstd are inflated as they come; a broken one tells what went in', async (t) => {
  const server = await startServer(t)
  const text = Array.from({ length: 20_000 }, (_, at) => `{"value":{"at":${at},"pad":"${'x'.repeat(50)}"}}`).join('\n')
  for (const [encoding, bytes] of [
    ['gzip', gzipSync(text)],
    ['zstd', zstdCompressSync(text)],
  ] as const) {
    const reply = await importLines(server, '', bytes, { 'content-encoding': encoding })
    assert.equal(reply.json().imported, 20_000, encoding)
    const cut = await importLines(server, '', bytes.subarray(0, bytes.length / 2), { 'content-encoding': encoding })
    assert.equal(cut.status, 400, cut.text())
    assert.ok(cut.json().details.imported <= 20_000)
  }
  assert.equal((await importLines(server, '', 'x', { 'content-encoding': 'br' })).status, 415)
  assert.equal((await importLines(server, '', '{}', { 'content-type': 'application/json' })).status, 415)
})

test('the shortest of lines go in, however many come at once', async (t) => {
  const server = await startServer(t)
  const values = await importLines(server, '?format=value', '1\n'.repeat(500_000))
  assert.equal(values.json().imported, 500_000, values.text())
  const records = await importLines(server, '', gzipSync('{}\n'.repeat(500_000)), { 'content-encoding': 'gzip' })
  assert.equal(records.json().imported, 500_000, records.text())
})

test('a line of many chunks is one record, a too long one is passed over', async (t) => {
  const server = await startServer(t)
  const long = `{"value":"${'y'.repeat(3_000_000)}"}`
  const tooLong = `{"value":"${'z'.repeat(33 * 1024 * 1024)}"}`
  const reply = await importLines(server, '', ['{"value":1}', long, tooLong, '{"value":2}'].join('\n'))
  assert.equal(reply.json().imported, 3)
  assert.deepEqual(
    reply.json().errors.map(({ line, code }: { line: number; code: string }) => [line, code]),
    [[3, 'message_too_large']],
  )
})

test('errors beyond the first hundred are counted', async (t) => {
  const server = await startServer(t)
  const report = (await importLines(server, '', 'bad\n'.repeat(150))).json()
  assert.equal(report.errors.length, 100)
  assert.equal(report.errors_left_out, 50)
})

test('records that retention will take soon are warned of, by partition, and shown by the topic', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't', partitions: 30, configs: { 'retention.ms': '3600000' } })
  const at = (partition: number, timestamp: string) => `{"value":1,"partition":${partition},"timestamp":"${timestamp}"}`
  const now = new Date().toISOString()
  const old = '2001-01-01T00:00:00Z'
  const lines = [at(3, old), at(3, now), at(1, old), at(3, old), at(99, old), 'bad', '{"value":1,"partition":2}']
  const report = (await importLines(server, '', lines.join('\n'))).json()
  assert.equal(report.imported, 5)
  assert.deepEqual(report.warnings, [
    "3 records are older than the topic's retention.ms, 3600000: they are due for deletion when retention is next checked (1 in partition 1, 2 in partition 3)",
  ])
  const { partitions } = (await server.get('/v1/topics/t')).json()
  assert.ok(partitions[1].size_bytes > 0)
  assert.equal(partitions[1].expired_bytes, partitions[1].size_bytes)
  assert.deepEqual(
    [2, 3].map((partition) => partitions[partition].expired_bytes),
    [0, 0],
    'a newer record keeps them',
  )

  const everywhere = Array.from({ length: 30 }, (_, partition) => at(partition, old)).join('\n')
  assert.match(
    (await importLines(server, '?acks=0', everywhere)).json().warnings[0],
    /1 in partition 19, the rest in 10 more\)$/,
  )
})

test('nothing is said of old records that are kept, or refused, or stamped anew', async (t) => {
  const old = '{"key":"k","value":1,"timestamp":"2001-01-01T00:00:00Z"}\n'
  for (const [configs, imported] of [
    [{ 'retention.ms': '-1' }, 1],
    [{ 'cleanup.policy': 'compact', 'retention.ms': '1000' }, 1],
    [{ 'message.timestamp.type': 'LogAppendTime', 'retention.ms': '3600000' }, 1],
    // the bound of timestamps comes first: the line is rejected
    [{ 'message.timestamp.before.max.ms': '1000', 'retention.ms': '1000' }, 0],
  ] as const) {
    const server = await startServer(t)
    await server.post('/v1/topics', { name: 't', configs })
    const report = (await importLines(server, '', old)).json()
    assert.deepEqual([report.imported, report.warnings], [imported, []])
    assert.deepEqual(
      report.errors.map(({ code }: { code: string }) => code),
      imported === 1 ? [] : ['invalid_timestamp'],
    )
    const [partition] = (await server.get('/v1/topics/t')).json().partitions
    assert.equal(partition.expired_bytes, 0)
  }
})

test('lines without a key are rejected one by one where the topic is compacted', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't', configs: { 'cleanup.policy': 'compact' } })
  const lines = ['{"key":"","value":1}', '{"value":2}', '{"key":"k"}', '{"key":null,"value":4}']
  const { imported, errors } = (await importLines(server, '', lines.join('\n'))).json()
  assert.equal(imported, 2)
  assert.deepEqual(
    errors.map(({ line, code }: { line: number; code: string }) => [line, code]),
    [
      [2, 'invalid_record'],
      [4, 'invalid_record'],
    ],
  )
})

test('keys keep their order over partitions, however many chunks there are', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '8' } })
  const text = Array.from({ length: 30_000 }, (_, at) => `{"key":"k${at % 100}","value":${at}}`).join('\n')
  assert.equal((await importLines(server, '', text)).json().imported, 30_000)
  const last = new Map<string, number>()
  for (const line of (await server.get('/v1/topics/t/export')).text().trimEnd().split('\n').slice(0, -1)) {
    const { key, value } = JSON.parse(line)
    assert.ok(value > (last.get(key) ?? -1), `${key}: ${value} after ${last.get(key)}`)
    last.set(key, value)
  }
  assert.equal(last.size, 100)
})

test('a client that is cut in the middle leaves a server that goes on, and nothing is logged as an error', async (t) => {
  const server = await startServer(t)
  const head =
    'POST /v1/topics/t/import HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: 9999999\r\n\r\n'
  assert.equal(await server.raw(head + '{"value":1}\n'.repeat(10), { hangUpAfterMs: 100 }), '')
  assert.equal((await importLines(server, '', '{"value":2}')).json().imported, 1)
  assert.deepEqual(
    server.log.filter(({ level }) => level !== 'info'),
    [],
  )
})

test('an import that pauses for too long is 408', async (t) => {
  const server = await startServer(t, { set: { 'http.request.timeout.ms': '300' } })
  const head =
    'POST /v1/topics/t/import HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: 9999\r\n\r\n'
  assert.match(await server.raw(`${head}{"value":1}\n`), /^HTTP\/1\.1 408 /)
})
