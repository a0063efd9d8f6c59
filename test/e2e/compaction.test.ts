// Compaction as a client sees it, over the real server: of every key the newest record stays where it is, whatever starts
// and stops come, and whoever reads meanwhile misses nothing that is still there.

import assert from 'node:assert/strict'
import { closeSync, openSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryDirectory } from '../support/engine-options.ts'
import { startServer } from '../support/http.ts'
import type { TestReply, TestRequest } from '../support/http-send.ts'
import { ServerProcess } from '../support/server-process.ts'

interface Server {
  request(method: string, path: string, request?: TestRequest): Promise<TestReply>
}

interface Stored {
  readonly offset: number
  readonly key: string
  readonly value: unknown
}

const NDJSON = { 'content-type': 'application/x-ndjson' }
const QUICK = { 'log.cleaner.backoff.ms': '100' }
const WAIT_MS_MAX = 30_000

/** What was sent, in the order of its offsets. */
class Sent {
  readonly records: Stored[] = []

  /** Sends so many records over so many keys; a value of null is a tombstone. */
  async send(server: Server, topic: string, count: number, keyOf: (at: number) => string, isTombstone = false) {
    const lines: string[] = []
    for (let at = 0; at < count; at++) {
      const offset = this.records.length
      const value = isTombstone ? null : { offset, text: 'x'.repeat(offset % 50) }
      this.records.push({ offset, key: keyOf(at), value })
      lines.push(JSON.stringify({ key: keyOf(at), value }))
    }
    const reply = await server.request('POST', `/v1/topics/${topic}/import`, {
      headers: NDJSON,
      body: lines.join('\n'),
    })
    assert.equal(reply.json().imported, count, reply.text().slice(0, 500))
  }

  /** What is left when all in front of the active segment is clean. */
  compacted(activeBase: number): Stored[] {
    const newest = new Map<string, Stored>()
    for (const record of this.records.slice(0, activeBase)) newest.set(record.key, record)
    const kept = [...newest.values()].sort((a, b) => a.offset - b.offset)
    return [...kept, ...this.records.slice(activeBase)]
  }
}

async function createTopic(server: Server, name: string, configs: Record<string, string> = {}): Promise<void> {
  const compacted = { 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0', 'segment.bytes': '65536' }
  const body = { name, partitions: 1, configs: { ...compacted, ...configs } }
  assert.equal((await server.request('POST', '/v1/topics', { body })).status, 201)
}

/** Every record, page by page as a client goes on with its cursor. */
async function readAll(server: Server, topic: string, from = 'from=earliest', limit = 10_000): Promise<Stored[]> {
  const found: Stored[] = []
  let position = from
  for (;;) {
    const reply = await server.request(
      'GET',
      `/v1/topics/${topic}/records?${position}&limit=${limit}&max_bytes=16777216`,
    )
    assert.equal(reply.status, 200, reply.text().slice(0, 500))
    const page = reply.json()
    for (const { offset, key, value } of page.records) found.push({ offset, key, value })
    position = `cursor=${page.cursor}`
    if (page.caught_up) return found
  }
}

function activeBase(dataDir: string, topic: string): number {
  const names = readdirSync(join(dataDir, 'topics', `${topic}-0`)).filter((name) => /^\d{20}\.log$/.test(name))
  return Number(names.sort().at(-1)?.slice(0, 20))
}

async function metric(server: Server, name: string): Promise<number> {
  const text = (await server.request('GET', '/metrics')).text()
  return Number(new RegExp(`^tailrace_compaction_${name} (\\S+)`, 'm').exec(text)?.[1])
}

/** Waits until the topic is what it must come to. */
async function settled(
  server: Server,
  topic: string,
  expected: () => readonly Stored[] | Promise<readonly Stored[]>,
): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX
  for (;;) {
    const passes = await metric(server, 'passes_total')
    const found = await readAll(server, topic)
    const wanted = await expected()
    if (found.length === wanted.length || performance.now() > deadline) {
      assert.deepEqual(found, wanted)
      return
    }
    // all of it is read again when there can be less of it, and not meanwhile: that would be most of the work
    for (let left = 10; left > 0 && (await metric(server, 'passes_total')) === passes; left--) await sleep(50)
  }
}

test('200,000 records over 2,000 keys come to the newest of each key, and stay so', async (t) => {
  const dataDir = temporaryDirectory(t)
  const options = { dataDir, set: QUICK }
  let server = await ServerProcess.start(options)
  t.after(() => server.kill())
  await createTopic(server, 'prices', { 'segment.bytes': '1048576' })
  const sent = new Sent()
  await sent.send(server, 'prices', 1_500, (at) => `k${at}`)
  const early = (await server.request('GET', '/v1/topics/prices/records?from=earliest&limit=1000')).json()
  for (let left = 4; left > 0; left--) {
    await sent.send(server, 'prices', 49_625, (at) => `k${(at * 7_919 + left) % 2_000}`)
  }
  assert.equal(sent.records.length, 200_000)
  const expected = () => sent.compacted(activeBase(dataDir, 'prices'))
  await settled(server, 'prices', expected)
  const kept = expected()
  assert.equal(new Set(kept.map(({ key }) => key)).size, 2_000)
  assert.ok(kept.length < 25_000, `${kept.length} records are left`)
  assert.ok((await metric(server, 'passes_total')) > 0)

  // who was in the midst of it goes on behind the gap, with nothing missing
  const rest = await readAll(server, 'prices', `cursor=${early.cursor}`, 777)
  assert.deepEqual(
    rest,
    kept.filter(({ offset }) => offset >= 1_000),
  )

  await server.stop()
  server = await ServerProcess.start(options)
  assert.deepEqual(await readAll(server, 'prices'), kept, 'after a clean stop')
  await server.kill()
  server = await ServerProcess.start(options)
  assert.deepEqual(await readAll(server, 'prices'), kept, 'after kill -9')
  await server.kill()
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(dataDir, `index.db${suffix}`), { force: true })
  server = await ServerProcess.start(options)
  assert.deepEqual(await readAll(server, 'prices'), kept, 'without index.db')
  await server.stop()
})

test('killed again and again while it compacts, the server loses nothing', async (t) => {
  const dataDir = temporaryDirectory(t)
  const options = { dataDir, set: { ...QUICK, 'log.cleaner.backoff.ms': '1' } }
  let server = await ServerProcess.start(options)
  t.after(() => server.kill())
  await createTopic(server, 'prices')
  const sent = new Sent()
  for (let round = 0; round < 5; round++) {
    await sent.send(server, 'prices', 8_000, (at) => `k${(at * 31 + round) % 500}`)
    await sleep(20 * round)
    await server.kill()
    server = await ServerProcess.start(options)
    const found = await readAll(server, 'prices')
    const atOffset = new Map(found.map((one) => [one.offset, one]))
    for (const one of found) assert.deepEqual(one, sent.records[one.offset])
    for (const one of sent.compacted(sent.records.length)) assert.deepEqual(atOffset.get(one.offset), one)
  }
  await settled(server, 'prices', () => sent.compacted(activeBase(dataDir, 'prices')))
})

test('a tombstone takes its key away, and goes itself after delete.retention.ms', async (t) => {
  const server = await startServer(t, { set: QUICK })
  await createTopic(server, 'users', { 'delete.retention.ms': '300' })
  const sent = new Sent()
  const rest = async () => (await readAll(server, 'users')).filter(({ key }) => key.startsWith('k'))
  await sent.send(server, 'users', 500, (at) => `k${at}`)
  await sent.send(server, 'users', 500, (at) => `k${at}`, true)
  // the segment that is written is not cleaned: others are sent until those are closed
  await sent.send(server, 'users', 2_000, (at) => `other${at % 10}`)
  let left = await rest()
  assert.ok(left.length >= 500)
  const deadline = performance.now() + WAIT_MS_MAX
  while (left.length > 0 && performance.now() < deadline) {
    await sent.send(server, 'users', 1_000, (at) => `other${at % 10}`)
    await sleep(100)
    left = await rest()
    assert.ok(
      left.every(({ value }) => value === null) || left.length > 500,
      'a key is never there without its deletion',
    )
  }
  assert.deepEqual(left, [])
})

test('cleanup.policy and its settings take hold while the server runs', async (t) => {
  const server = await startServer(t, { set: QUICK })
  await createTopic(server, 'late', { 'cleanup.policy': 'delete' })
  const sent = new Sent()
  await sent.send(server, 'late', 6_000, (at) => `k${at % 50}`)
  await sleep(400)
  assert.equal((await readAll(server, 'late')).length, 6_000)
  const patch = (configs: Record<string, string>) => server.request('PATCH', '/v1/topics/late', { body: { configs } })
  assert.equal((await patch({ 'cleanup.policy': 'compact' })).status, 200)
  const expected = () => sent.compacted(activeBase(server.dataDir, 'late'))
  await settled(server, 'late', expected)
  assert.ok(expected().length < 6_000)

  // a record in the active segment too leaves it within max.compaction.lag.ms, though nobody sends any more
  const before = activeBase(server.dataDir, 'late')
  assert.equal((await patch({ 'max.compaction.lag.ms': '200' })).status, 200)
  await settled(server, 'late', () => sent.compacted(6_000))
  assert.ok(activeBase(server.dataDir, 'late') > before)
})

test('a log that cannot be read is left alone and said once, others are compacted', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await startServer(t, { dataDir, set: { 'log.cleaner.enable': 'false' } })
  const sent = { bad: new Sent(), good: new Sent() }
  for (const topic of ['bad', 'good'] as const) {
    await createTopic(first, topic)
    await sent[topic].send(first, topic, 6_000, (at) => `k${at % 50}`)
  }
  await sleep(300)
  assert.equal((await readAll(first, 'good')).length, 6_000, 'nothing is compacted with log.cleaner.enable=false')
  await first.close()
  flipByte(join(dataDir, 'topics', 'bad-0', `${'0'.repeat(20)}.log`), 5_000)
  const server = await startServer(t, { dataDir, set: QUICK })
  await settled(server, 'good', () => sent.good.compacted(activeBase(dataDir, 'good')))
  await sleep(500)
  assert.equal(await metric(server, 'uncleanable_partitions'), 1)
  const said = server.log.filter(({ level, message }) => level === 'error' && /bad-0 is not compacted/.test(message))
  assert.equal(said.length, 1, JSON.stringify(server.log))
  assert.match(said[0]?.message ?? '', /position \d+/)
})

test('with cleanup.policy=compact,delete both rules hold, and neither gets in the way of the other', async (t) => {
  const server = await startServer(t, {
    set: { ...QUICK, 'log.cleaner.backoff.ms': '1', 'log.retention.check.interval.ms': '5' },
  })
  await createTopic(server, 'both', {
    'cleanup.policy': 'compact,delete',
    'retention.bytes': '400000',
    'file.delete.delay.ms': '0',
  })
  const sent = new Sent()
  const described = async () => (await server.request('GET', '/v1/topics/both')).json().partitions[0]
  for (let left = 25; left > 0; left--) {
    // most keys come once, so that compaction alone would leave more than may stay
    await sent.send(server, 'both', 1_000, (at) => (at % 3 === 0 ? `k${at % 100}` : `once-${left}-${at}`))
    if (left % 5 > 0) continue
    for (const one of await readAll(server, 'both')) assert.deepEqual(one, sent.records[one.offset])
  }
  // a segment goes when as much as may stay is left without it
  const isBounded = async () => (await described()).size_bytes < 500_000
  for (let left = 100; left > 0 && !(await isBounded()); left--) await sleep(50)
  assert.ok(await isBounded(), `${(await described()).size_bytes} bytes`)
  await settled(server, 'both', async () => {
    // asked for each time: what is bounded may still lose a segment or two
    const { start_offset } = await described()
    assert.ok(start_offset > 0)
    return sent.compacted(activeBase(server.dataDir, 'both')).filter(({ offset }) => offset >= start_offset)
  })
  assert.deepEqual(
    server.log.filter(({ level }) => level !== 'info'),
    [],
  )
})

test('a topic is deleted, and made again, while it is compacted', async (t) => {
  const server = await startServer(t, { set: { ...QUICK, 'log.cleaner.backoff.ms': '1' } })
  for (let round = 0; round < 3; round++) {
    await createTopic(server, 'brief')
    const sent = new Sent()
    await sent.send(server, 'brief', 20_000, (at) => `k${at % 10_000}`)
    await sleep(round * 20)
    assert.equal((await server.request('DELETE', '/v1/topics/brief')).status, 204)
    await createTopic(server, 'brief')
    const again = new Sent()
    for (let left = 3; left > 0; left--) await again.send(server, 'brief', 1_500, (at) => `k${at % 100}`)
    await settled(server, 'brief', () => again.compacted(activeBase(server.dataDir, 'brief')))
    assert.equal((await server.request('DELETE', '/v1/topics/brief')).status, 204)
  }
  assert.ok((await metric(server, 'passes_total')) > 0)
  assert.deepEqual(
    server.log.filter(({ level }) => level !== 'info'),
    [],
  )
})

function flipByte(path: string, position: number): void {
  const file = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(file, byte, 0, 1, position)
  byte[0] = (byte[0] as number) ^ 0xff
  writeSync(file, byte, 0, 1, position)
  closeSync(file)
}

test('a named producer that repeats an older request is known again after a pass, from the log alone', async (t) => {
  const dataDir = temporaryDirectory(t)
  const options = { dataDir, set: QUICK }
  let server = await ServerProcess.start(options)
  t.after(() => server.kill())
  await createTopic(server, 'carts')
  const produce = async (seq: number) => {
    const headers = { 'producer-id': 'till-4', 'producer-epoch': '0', 'producer-seq': String(seq) }
    const body = { records: [{ key: 'cart', value: { seq } }] }
    const reply = await server.request('POST', '/v1/topics/carts/records', { headers, body })
    assert.equal(reply.status, 200, reply.text())
    return reply.json()
  }
  for (let seq = 0; seq < 4; seq++) assert.equal((await produce(seq)).duplicate, undefined)
  // others fill the segment, so that all four are cleaned but the last of their key
  const filling = JSON.stringify({ records: [{ key: 'other', value: 'x'.repeat(40_000) }] })
  const headers = { 'content-type': 'application/json' }
  for (let count = 0; count < 4; count++) {
    assert.equal((await server.request('POST', '/v1/topics/carts/records', { headers, body: filling })).status, 200)
  }
  const offsets = async () => (await readAll(server, 'carts')).map(({ offset }) => offset)
  const deadline = performance.now() + WAIT_MS_MAX
  while ((await offsets())[0] !== 3 && performance.now() < deadline) await sleep(50)
  const cleaned = await offsets()
  assert.equal(cleaned[0], 3, 'the first three are overtaken')
  await server.kill()
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(dataDir, `index.db${suffix}`), { force: true })
  const folder = join(dataDir, 'topics', 'carts-0')
  for (const name of readdirSync(folder)) if (name.endsWith('.snapshot')) rmSync(join(folder, name))
  server = await ServerProcess.start(options)
  for (let seq = 0; seq < 4; seq++) {
    const repeated = await produce(seq)
    assert.equal(repeated.duplicate, true, `request ${seq}`)
    assert.equal(repeated.records[0].offset, seq)
  }
  assert.equal((await offsets()).at(-1), cleaned.at(-1), 'nothing was stored again')
  await server.stop()
})
