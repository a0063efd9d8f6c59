// Retention as clients see it: what is gone is said with the offsets that are there, configs take hold while the server runs.

import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'

const SEGMENT_BYTES = 65_536
const SMALL = { 'segment.bytes': String(SEGMENT_BYTES), 'file.delete.delay.ms': '0' }
const RECORDS = '/v1/topics/orders/records'

async function create(server: TestServer, name: string, configs: Record<string, string>): Promise<void> {
  const reply = await server.post('/v1/topics', { name, configs: { ...SMALL, ...configs } })
  assert.equal(reply.status, 201, reply.text())
}

/** Records of 20,000 bytes: three fill a segment. */
async function produce(server: TestServer, topic: string, count: number, member: object = {}): Promise<void> {
  for (let at = 0; at < count; at++) {
    const record = { key: 'k', value: 'x'.repeat(20_000), ...member }
    const reply = await server.post(`/v1/topics/${topic}/records`, { records: [record] })
    assert.equal(reply.status, 200, reply.text())
  }
}

async function partitionOf(server: TestServer, topic: string) {
  return (await server.get(`/v1/topics/${topic}`)).json().partitions[0] as {
    start_offset: number
    end_offset: number
    size_bytes: number
  }
}

/** Until a condition holds; the test's own limit of time ends it otherwise. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(10)
}

function folderBytes(server: TestServer, topic: string): number {
  const folder = join(server.dataDir, 'topics', `${topic}-0`)
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}

test('a reader whose records retention has taken is told the bounds, or goes on with the gap told', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', { 'retention.bytes': '100000' })
  await produce(server, 'orders', 1)
  const { cursor } = (await server.get(RECORDS)).json()
  await produce(server, 'orders', 20)
  await until(async () => (await partitionOf(server, 'orders')).size_bytes <= 100_000 + SEGMENT_BYTES)
  const { start_offset: start, end_offset: end } = await partitionOf(server, 'orders')
  assert.ok(start > 10 && end === 21)
  const bounds = [{ partition: 0, offset: 1, start_offset: start, end_offset: 21 }]
  for (const query of [`cursor=${cursor}`, 'from=1&partition=0', 'from=1&partition=0&wait_ms=1000']) {
    const refused = await server.get(`${RECORDS}?${query}`)
    assert.deepEqual([refused.status, refused.json().code], [416, 'offset_out_of_range'], query)
    assert.deepEqual(refused.json().details.partitions, bounds, query)
  }
  assert.equal((await server.get('/v1/topics/orders/partitions/0/records/1')).status, 416)
  const told = (await server.get(`${RECORDS}?cursor=${cursor}&on_gap=earliest`)).json()
  assert.deepEqual(told.gaps, [{ topic: 'orders', partition: 0, from: 1, to: start, reason: 'removed' }])
  assert.equal(told.records[0].offset, start)
  for (const from of ['earliest', '-100', '1h', '2026-01-01T00:00:00Z']) {
    const page = (await server.get(`${RECORDS}?from=${from}`)).json()
    assert.deepEqual([page.records[0].offset, page.records.length, page.gaps], [start, 21 - start, undefined], from)
  }
  const lines = (await server.get('/v1/topics/orders/export')).text().trim().split('\n')
  assert.equal(lines.length, 21 - start + 1)
  const earliest = (await server.get('/v1/topics/orders/offsets?at=earliest')).json()
  assert.equal(earliest.items[0].offset, start)

  const metrics = (await server.get('/metrics')).text()
  const value = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics)?.[1])
  assert.equal(value('tailrace_retention_segments_total'), start / 3)
  assert.ok(value('tailrace_retention_bytes_total') > start * 20_000)
  assert.equal(value('tailrace_clock_steps_total'), 0)

  await server.close()
  const again = await startServer(t, { dataDir: server.dataDir })
  assert.deepEqual(await partitionOf(again, 'orders').then((one) => [one.start_offset, one.end_offset]), [start, 21])
})

test('retention.ms is taken up while the server runs, and only by topics whose policy deletes', async (t) => {
  const server = await startServer(t, { set: { 'log.retention.check.interval.ms': '20', 'log.retention.ms': '-1' } })
  await create(server, 'compacted', { 'cleanup.policy': 'compact', 'retention.ms': '1', 'retention.bytes': '1' })
  await create(server, 'kept', { 'cleanup.policy': '', 'retention.ms': '1', 'retention.bytes': '1' })
  await create(server, 'orders', {})
  const hourAgo = { timestamp: new Date(Date.now() - 3_600_000).toISOString() }
  for (const topic of ['compacted', 'kept', 'orders']) await produce(server, topic, 5, hourAgo)
  const patch = (configs: object) => server.request('PATCH', '/v1/topics/orders', { body: { configs } })
  assert.equal((await patch({ 'retention.ms': '7200000' })).status, 200)
  await delay(50)
  assert.equal((await partitionOf(server, 'orders')).start_offset, 0)
  assert.equal((await patch({ 'retention.ms': '60000' })).status, 200)
  await until(async () => (await partitionOf(server, 'orders')).start_offset === 5)
  assert.deepEqual((await server.get(RECORDS)).json().records, [])
  assert.equal((await patch({ 'retention.ms': null })).status, 200)
  const again = await server.post(RECORDS, { records: [{ value: 1, ...hourAgo }] })
  assert.equal(again.json().records[0].offset, 5, 'offsets go on')
  await delay(50)
  assert.equal((await partitionOf(server, 'orders')).start_offset, 5)
  for (const topic of ['compacted', 'kept']) assert.equal((await partitionOf(server, topic)).start_offset, 0, topic)
})

test('segment.bytes is taken up while the server runs', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', { 'segment.bytes': '1000000' })
  await produce(server, 'orders', 6)
  const segments = () => readdirSync(join(server.dataDir, 'topics/orders-0')).filter((name) => name.endsWith('.log'))
  assert.equal(segments().length, 1)
  const body = { configs: { 'segment.bytes': String(SEGMENT_BYTES) } }
  assert.equal((await server.request('PATCH', '/v1/topics/orders', { body })).status, 200)
  await produce(server, 'orders', 6)
  assert.equal(segments().length, 3)
})

test('whole segments below what was deleted by hand go in every policy that lets records be deleted, and stay away', async (t) => {
  const server = await startServer(t)
  for (const [topic, policy] of [
    ['deleted', 'delete'],
    ['compacted', 'compact,delete'],
    ['kept', ''],
  ] as const) {
    await create(server, topic, { 'cleanup.policy': policy })
    await produce(server, topic, 12)
    const before = folderBytes(server, topic)
    const reply = await server.request('DELETE', `/v1/topics/${topic}/partitions/0/records?before=7`)
    assert.equal(reply.json().start_offset, 7)
    await until(async () => folderBytes(server, topic) < before - 100_000)
  }
  await server.close()
  const again = await startServer(t, { dataDir: server.dataDir })
  for (const topic of ['deleted', 'compacted', 'kept']) {
    const { start_offset, end_offset } = await partitionOf(again, topic)
    assert.deepEqual([start_offset, end_offset], [7, 12], topic)
    assert.equal((await again.get(`/v1/topics/${topic}/records`)).json().records[0].offset, 7)
  }
})

test('no topic is deleted where delete.topic.enable is false', async (t) => {
  const server = await startServer(t, { set: { 'delete.topic.enable': 'false' } })
  await create(server, 'orders', {})
  const refused = await server.request('DELETE', '/v1/topics/orders')
  assert.deepEqual([refused.status, refused.json().code], [403, 'topic_deletion_disabled'])
  assert.equal(refused.json().retryable, false)
  assert.equal((await server.get('/v1/topics/orders')).status, 200)
  assert.equal((await server.request('DELETE', '/v1/topics/none')).status, 404)
})
