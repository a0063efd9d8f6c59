import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import type { TestReply } from '../support/http-send.ts'

async function produce(server: TestServer, records: readonly object[]): Promise<void> {
  const reply = await server.post('/v1/topics/orders/records', { records })
  assert.equal(reply.status, 200, reply.text())
}

function linesOf(reply: TestReply) {
  assert.equal(reply.status, 200, reply.text())
  const lines = reply.text().split('\n')
  assert.equal(lines.pop(), '', 'the last line is ended')
  return lines.map((line) => JSON.parse(line))
}

test('an export is one record a line, each partition in order, and ends with a cursor and the count', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '8' } })
  const records = Array.from({ length: 20_000 }, (_, value) => ({ key: `k${value % 100}`, value }))
  for (let at = 0; at < records.length; at += 1_000) await produce(server, records.slice(at, at + 1_000))
  const reply = await server.get('/v1/topics/orders/export')
  assert.equal(reply.headers['content-type'], 'application/x-ndjson')
  const lines = linesOf(reply)
  const { $end } = lines.pop()
  assert.equal($end.records, 20_000)
  const next = new Map<number, number>()
  const values = new Set<number>()
  for (const { topic, partition, offset, value } of lines) {
    assert.equal(topic, 'orders')
    assert.equal(offset, next.get(partition) ?? 0)
    next.set(partition, offset + 1)
    values.add(value)
  }
  assert.equal(values.size, 20_000)
  await produce(server, [{ value: 'later' }])
  const rest = (await server.get(`/v1/topics/orders/records?cursor=${$end.cursor}`)).json()
  assert.deepEqual(
    rest.records.map(({ value }: { value: unknown }) => value),
    ['later'],
  )
  const more = linesOf(await server.get(`/v1/topics/orders/export?cursor=${$end.cursor}`))
  assert.deepEqual(
    more.map(({ value }) => value),
    ['later', undefined],
  )
})

test('an export is bounded by positions and partitions', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', {
    name: 'orders',
    partitions: 2,
    configs: { 'message.timestamp.before.max.ms': '9223372036854775807' },
  })
  const records = Array.from({ length: 20 }, (_, at) => {
    return { partition: at % 2, value: at, timestamp: new Date(Date.UTC(2026, 0, 1, 0, 0, at)).toISOString() }
  })
  await produce(server, records)
  const values = async (query: string) =>
    linesOf(await server.get(`/v1/topics/orders/export?${query}`)).flatMap(({ value }) => value ?? [])
  assert.deepEqual(await values('partition=1&from=3&until=6'), [7, 9, 11])
  assert.deepEqual(await values('from=2026-01-01T00:00:04Z&until=2026-01-01T00:00:08Z'), [4, 6, 5, 7])
  assert.deepEqual(await values('until=earliest'), [])
  assert.deepEqual(await values('from=latest'), [])
  assert.deepEqual(await values('from=-2'), [18, 19])
})

test('what is wrong with an export is said before its first line', async (t) => {
  const server = await startServer(t)
  await produce(server, [{ value: 1 }])
  await server.request('DELETE', '/v1/topics/orders/partitions/0/records?before=1')
  for (const [path, status] of [
    ['nothing/export', 404],
    ['orders/export?from=nowhere', 400],
    ['orders/export?until=nowhere', 400],
    ['orders/export?limit=5', 400],
    ['orders/export?from=0&partition=0', 416],
    ['orders/export?from=2&partition=0', 416],
    ['orders/export?cursor=AQAB', 400],
  ] as const) {
    const reply = await server.get(`/v1/topics/${path}`)
    assert.equal(reply.status, status, `${path}: ${reply.text()}`)
    assert.match(String(reply.headers['content-type']), /problem/)
  }
})

test('damage in the midst of an export cuts it, with the reason and without an end', async (t) => {
  const first = await startServer(t)
  for (let at = 0; at < 30; at++) await produce(first, [{ value: `${at}-${'x'.repeat(100_000)}` }])
  const folder = join(first.dataDir, 'topics', 'orders-0')
  const file = join(folder, readdirSync(folder).find((name) => name.endsWith('.log')) ?? '')
  const server = first
  const bytes = readFileSync(file)
  const at = Math.floor(bytes.length * 0.7)
  bytes[at] = (bytes[at] as number) ^ 1
  writeFileSync(file, bytes)
  const { text, wasCut } = await exchange(server, 'GET /v1/topics/orders/export HTTP/1.1\r\nhost: localhost\r\n\r\n')
  assert.ok(wasCut)
  assert.ok(text.includes('"value":"0-xxx'))
  assert.ok(text.includes('{"$error":{"code":"corrupt_message"'))
  assert.ok(!text.includes('$end'))
})

test('a slow client holds an export back, and one that goes ends it', async (t) => {
  const server = await startServer(t)
  const value = 'x'.repeat(1_000_000)
  for (let at = 0; at < 6; at++) {
    await produce(
      server,
      Array.from({ length: 8 }, () => ({ value })),
    )
  }
  const recordsOut = async () => {
    const text = (await server.get('/metrics')).text()
    return Number(text.match(/^tailrace_fetch_records_total (\d+)/m)?.[1])
  }
  const socket = connect(server.port, '127.0.0.1')
  socket.write('GET /v1/topics/orders/export HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await new Promise((resolve) => socket.once('readable', resolve))
  let before = -1
  for (let same = 0; same < 20; ) {
    const now = await recordsOut()
    same = now === before ? same + 1 : 0
    before = now
  }
  assert.ok(before > 0 && before < 40, `${before} records were read for a client that takes none`)
  socket.destroy()
  assert.equal((await server.get('/livez')).status, 200)
})

/** All that comes until the connection is closed; cut when the last chunk is missing. */
function exchange(server: TestServer, request: string): Promise<{ text: string; wasCut: boolean }> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect(server.port, '127.0.0.1', () => socket.write(request))
    socket.on('data', (chunk) => {
      text += chunk
      if (text.endsWith('\r\n0\r\n\r\n')) socket.end()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve({ text, wasCut: !text.endsWith('\r\n0\r\n\r\n') }))
  })
}

test('an export that follows goes on with what is appended, until the server stops; an import takes its text', async (t) => {
  const server = await startServer(t)
  await produce(server, [{ key: 'a', value: 1 }])
  const following = await fetch(`${server.url}/v1/topics/orders/export?follow=true`)
  assert.equal(following.status, 200)
  assert.equal(following.headers.get('content-type'), 'application/x-ndjson')
  let text = ''
  const read = (async () => {
    for await (const bytes of following.body ?? []) text += Buffer.from(bytes).toString()
  })()
  await until(() => text.split('\n').length === 2)
  await produce(server, [{ key: 'b', value: { total: 5 } }])
  await until(() => text.split('\n').length === 3)
  const target = await startServer(t)
  const closed = server.close()
  await read
  await closed
  const lines = text.trim().split('\n')
  const { $end } = JSON.parse(lines.pop() ?? '')
  assert.deepEqual([$end.records, $end.reason, typeof $end.cursor], [2, 'draining', 'string'])
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).value),
    [1, { total: 5 }],
  )
  const gap = JSON.stringify({ $gap: { topic: 'orders', partition: 0, from: 0, to: 1, reason: 'removed' } })
  const imported = await target.post('/v1/topics/orders/import', Buffer.from(`\n${gap}\n${text}`), {
    'content-type': 'application/x-ndjson',
  })
  assert.deepEqual([imported.json().imported, imported.json().rejected], [2, 0], imported.text())
})

test('an export that follows ends at until, and tells what was removed behind its cursor', async (t) => {
  const server = await startServer(t)
  await produce(server, [{ value: 1 }, { value: 2 }, { value: 3 }])
  const cursor = (await server.get('/v1/topics/orders/records?limit=1')).json().cursor
  await server.request('DELETE', '/v1/topics/orders/partitions/0/records?before=2')
  const lines = linesOf(await server.get(`/v1/topics/orders/export?follow=true&cursor=${cursor}&until=latest`))
  assert.deepEqual(lines[0], { $gap: { topic: 'orders', partition: 0, from: 1, to: 2, reason: 'removed' } })
  assert.equal(lines[1].value, 3)
  const { records, reason } = lines[2].$end
  assert.deepEqual([records, reason], [1, 'until'])
  const gone = await server.get('/v1/topics/none/export?follow=true')
  assert.equal(gone.status, 404)
  const metrics = (await server.get('/metrics')).text()
  assert.match(metrics, /^tailrace_tail_open 0$/m)
  assert.match(metrics, /^tailrace_tail_records_total 1$/m)
})

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2))
}
