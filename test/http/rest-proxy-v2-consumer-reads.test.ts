// What consumers of the REST Proxy v2 API are given: when a read answers, what counts as given, how several share a group,
// and what is left of them after silence, a stop and a crash.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import type { TestConsumer, TestRecord } from '../support/rest-proxy-v2.ts'
import { checkFailure, checkStatus, openConsumer, postJson, V2_JSON } from '../support/rest-proxy-v2.ts'
import { ServerProcess } from '../support/server-process.ts'

const json = { format: 'json' }
const earliest = { ...json, 'auto.offset.reset': 'earliest' }
const byHand = { ...earliest, 'auto.commit.enable': 'false' }

const put = async (server: Pick<TestServer, 'request'>, topic: string, values: readonly unknown[], partition = 0) => {
  const body = { records: values.map((value) => ({ value, partition })) }
  checkStatus(await server.request('POST', `/topics/${topic}`, { headers: { 'content-type': V2_JSON }, body }), 200)
}
const valuesOf = (records: readonly TestRecord[]) => records.map(({ value }) => value)

async function subscribed(
  server: TestServer,
  group: string,
  config: { name: string },
  topic = 't',
): Promise<TestConsumer> {
  const consumer = await openConsumer(server, group, config)
  await consumer.subscribe(topic)
  return consumer
}

test('a read answers as soon as there is something, else when its time is over', async (t) => {
  const server = await startServer(t)
  await put(server, 't', [0])
  const consumer = await subscribed(server, 'g', { name: 'c', ...json, 'consumer.request.timeout.ms': 20_000 } as never)
  const waiting = consumer.records()
  await put(server, 't', [1])
  assert.deepEqual(valuesOf(await waiting), [1], 'latest begins where it subscribed')
  const began = performance.now()
  assert.deepEqual(await consumer.records('?timeout=200'), [])
  const tookMs = performance.now() - began
  assert.ok(tookMs >= 190 && tookMs < 10_000, `${tookMs} ms`)
  const short = await subscribed(server, 'g2', { name: 'c', ...json, requestWaitMs: 50 } as never)
  assert.deepEqual(await short.records('?timeout=60000'), [], 'the query asks for less, never for more')
  assert.deepEqual(await short.records('?timeout=0'), [])
})

test('fetch.min.bytes waits for more, as long as the read waits', async (t) => {
  const server = await startServer(t)
  const config = { name: 'c', ...earliest, 'fetch.min.bytes': 1_000, 'consumer.request.timeout.ms': 20_000 }
  const consumer = await subscribed(server, 'g', config as never)
  await put(server, 't', ['small'])
  const waiting = consumer.records()
  await put(server, 't', ['small'])
  await put(server, 't', ['x'.repeat(1_000)])
  assert.equal((await waiting).length, 3)
  await put(server, 't', ['last'])
  assert.deepEqual(valuesOf(await consumer.records('?timeout=50')), ['last'])
})

test('max_bytes bounds what comes, and at least one record comes', async (t) => {
  const server = await startServer(t, { set: { 'consumer.request.max.bytes': '3500' } })
  await put(
    server,
    't',
    Array.from({ length: 10 }, () => 'x'.repeat(1_000)),
  )
  const consumer = await subscribed(server, 'g', { name: 'c', ...earliest } as never)
  assert.equal((await consumer.records('?max_bytes=1')).length, 1)
  assert.equal((await consumer.records('?max_bytes=2500')).length, 2)
  for (const none of ['', '?max_bytes=0', '?max_bytes=-1', '?max_bytes=99999999']) {
    assert.ok((await consumer.records(none)).length <= 3, none)
  }
})

test('what a read gave is committed by the next one, and by deleting the consumer', async (t) => {
  const server = await startServer(t)
  await put(server, 't', [0, 1, 2, 3])
  const consumer = await subscribed(server, 'g', { name: 'c', ...earliest } as never)
  const committed = async () => ((await consumer.committed(['t', 0])) as { offset: number }[])[0]?.offset
  assert.deepEqual(valuesOf(await consumer.records('?max_bytes=17')), [0, 1])
  assert.equal(await committed(), 0, 'where it began')
  assert.deepEqual(valuesOf(await consumer.records('?max_bytes=1')), [2])
  assert.equal(await committed(), 2)
  await consumer.delete()
  const next = await subscribed(server, 'g', { name: 'c', ...earliest } as never)
  assert.deepEqual(valuesOf(await next.records()), [3])
  const manual = await subscribed(server, 'by-hand', { name: 'c', ...byHand } as never)
  await manual.readAll(4)
  await manual.records('?timeout=1')
  assert.deepEqual(await manual.committed(['t', 0]), [])
})

test('what nobody got is given again: a client that went while it waited, and one that took half of a reply', async (t) => {
  const server = await startServer(t)
  const consumer = await subscribed(server, 'g', { name: 'c', ...byHand, requestWaitMs: 20_000 } as never, 'large')
  const hangUp = (path: string, afterMs: number) =>
    new Promise<void>((resolve) => {
      const sent = httpRequest({ port: server.port, path, headers: { accept: V2_JSON } }, (reply) => {
        reply.once('readable', () => sent.destroy())
      })
      sent.on('close', resolve)
      sent.on('error', () => undefined)
      sent.end()
      setTimeout(() => sent.destroy(), afterMs)
    })
  await hangUp(`${consumer.path}/records`, 50)
  const value = 'x'.repeat(1_000_000)
  for (let at = 0; at < 3; at++)
    await put(
      server,
      'large',
      Array.from({ length: 10 }, () => value),
    )
  await hangUp(`${consumer.path}/records?max_bytes=64000000`, 5_000)
  const read = await consumer.records('?max_bytes=64000000')
  assert.equal(read[0]?.offset, 0)
  assert.equal(read.length, 30)

  const auto = await subscribed(server, 'auto', { name: 'c', ...earliest } as never, 'large')
  const path = `${auto.path}/records?max_bytes=64000000`
  const sent = httpRequest({ port: server.port, path, headers: { accept: V2_JSON } }, (reply) => reply.pause())
  sent.on('error', () => undefined)
  sent.end()
  await once(sent, 'response')
  await auto.delete()
  sent.destroy()
  const next = await subscribed(server, 'auto', { name: 'c', ...earliest } as never, 'large')
  assert.equal((await next.records())[0]?.offset, 0, 'what is on its way is not committed')
})

/** Sends a read of 30 MB and takes its head; nothing more is read of it until `resume`. */
async function startRead(server: TestServer, path: string) {
  const sent = httpRequest({
    port: server.port,
    path: `${path}/records?max_bytes=64000000`,
    headers: { accept: V2_JSON },
  })
  sent.on('error', () => undefined)
  sent.end()
  const [reply] = (await once(sent, 'response')) as [IncomingMessage]
  reply.on('error', () => undefined).pause()
  return { sent, reply }
}

async function putLarge(server: TestServer): Promise<void> {
  const value = 'x'.repeat(1_000_000)
  for (let at = 0; at < 30; at += 10)
    await put(
      server,
      'large',
      Array.from({ length: 10 }, () => value),
    )
}

test('a commit of what was given leaves out what is on its way', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '1' } })
  await put(server, 'large', [0, 1])
  const consumer = await subscribed(server, 'g', { name: 'c', ...byHand } as never, 'large')
  await consumer.readAll(2)
  await putLarge(server)
  const { sent } = await startRead(server, consumer.path)
  await consumer.commit()
  const committed = await consumer.committed(['large', 0])
  assert.deepEqual(committed, [{ topic: 'large', partition: 0, offset: 2, metadata: '' }])
  sent.destroy()
})

test('a seek to the end of a page that is on its way holds, whether that page arrives or not', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '1' } })
  await putLarge(server)
  const consumer = await subscribed(server, 'g', { name: 'c', ...byHand } as never, 'large')
  const { sent } = await startRead(server, consumer.path)
  checkStatus(
    await consumer.call('POST', '/positions', { offsets: [{ topic: 'large', partition: 0, offset: 30 }] }),
    204,
  )
  sent.destroy()
  await put(server, 'large', ['next'])
  assert.deepEqual(valuesOf(await consumer.readAll(1)), ['next'])
})

test('after a stop in the middle of a page a consumer is given that page again', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-v2-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const set = { 'num.partitions': '1', 'shutdown.grace.ms': '300' }
  for (const config of [byHand, earliest]) {
    const group = `g-${config === byHand}`
    const before = await startServer(t, { dataDir, set })
    if (config === byHand) await putLarge(before)
    const consumer = await subscribed(before, group, { name: 'c', ...config } as never, 'large')
    const { sent } = await startRead(before, consumer.path)
    await before.close()
    sent.destroy()
    const after = await startServer(t, { dataDir, set })
    const again = await openConsumer(after, group, { name: 'c', ...config }, { isThere: true })
    assert.equal((await again.records())[0]?.offset, 0)
    await again.delete()
    await after.close()
  }
})

test('a commit from before its partition was with another is refused', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '2', 'group.min.session.timeout.ms': '100' } })
  const values = Array.from({ length: 10 }, (_, at) => at)
  for (const partition of [0, 1]) await put(server, 't', values, partition)
  const owned = async (consumer: TestConsumer) => {
    const { partitions } = (await consumer.call('GET', '/assignments')).json() as {
      partitions: { partition: number }[]
    }
    return partitions.map(({ partition }) => partition)
  }
  const committed = async (consumer: TestConsumer, partition: number) => {
    return ((await consumer.committed(['t', partition])) as { offset: number }[])[0]?.offset
  }
  const commitTo = (consumer: TestConsumer, partition: number, offset: number) =>
    consumer.call('POST', '/offsets', { offsets: [{ topic: 't', partition, offset }] })

  // nobody was silent: another came, committed and went
  const first = await subscribed(server, 'g', { name: 'first', ...byHand } as never)
  await first.readAll(20)
  const passing = await subscribed(server, 'g', { name: 'passing', ...byHand } as never)
  const [moved = -1] = await owned(passing)
  await passing.readAll(10)
  await passing.commit()
  await passing.delete()
  checkFailure(await commitTo(first, moved, 2), 40903, /not committed.*read/)
  assert.equal(await committed(first, moved), 10)
  checkStatus(await commitTo(first, 1 - moved, 2), 200)
  // it has read since, and knows
  assert.deepEqual(await first.records('?timeout=0'), [])
  checkStatus(await commitTo(first, moved, 2), 200)
  await first.delete()

  const session = { 'session.timeout.ms': 600 }
  const silent = await subscribed(server, 'h', { name: 'silent', ...byHand, ...session } as never)
  const other = await subscribed(server, 'h', { name: 'other', ...byHand, ...session } as never)
  const [lost = -1] = await owned(silent)
  await silent.readAll(10)
  for (let left = 20; left > 0; ) left -= (await other.records('?timeout=50')).length
  await other.commit()
  checkFailure(await commitTo(silent, lost, 2), 40903)
  assert.equal(await committed(other, lost), 10)
  // whoever is told what it owns may set it
  const [back = -1] = await owned(silent)
  checkStatus(await commitTo(silent, back, 3), 200)
})

test('a commit of what was given is refused where a part of it is with others by now', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '2' } })
  for (const partition of [0, 1]) await put(server, 't', [0, 1, 2], partition)
  const first = await subscribed(server, 'g', { name: 'first', ...byHand } as never)
  await first.readAll(6)
  const second = await subscribed(server, 'g', { name: 'second', ...byHand } as never)
  const [{ partition: moved }] = (await second.call('GET', '/assignments')).json().partitions
  await second.readAll(3)
  for (let time = 0; time < 2; time++) {
    checkFailure(
      await first.call('POST', '/offsets'),
      40903,
      new RegExp(`t-${moved} is not committed, nor is anything`),
    )
  }
  assert.deepEqual(await second.committed(['t', 0], ['t', 1]), [])
  // by name, or after a read, what it has still is committed
  const kept = { topic: 't', partition: 1 - moved }
  await first.commit({ offsets: [{ ...kept, offset: 1 }] })
  assert.deepEqual(await first.records('?timeout=0'), [])
  await first.commit()
  assert.deepEqual(await first.committed(['t', 0], ['t', 1]), [{ ...kept, offset: 3, metadata: '' }])
})

test('of a topic that is made again under its name everything comes, whatever was read of the one before', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '1' } })
  await put(server, 't', [0, 1, 2])
  const consumer = await openConsumer(server, 'g', { name: 'c', ...earliest })
  await consumer.assign(['t', 0])
  assert.deepEqual(valuesOf(await consumer.records()), [0, 1, 2])
  checkStatus(await server.request('DELETE', '/v1/topics/t'), 204)
  await put(server, 't', [10, 11, 12, 13])
  assert.deepEqual(valuesOf(await consumer.readAll(4)), [10, 11, 12, 13])
})

test('one read at a time: the next ones wait, and too many are refused', async (t) => {
  const server = await startServer(t)
  const consumer = await subscribed(server, 'g', { name: 'c', ...earliest, requestWaitMs: 20_000 } as never)
  const reads = Array.from({ length: 7 }, () => consumer.read('?max_bytes=1'))
  const refused = (await Promise.all(reads.slice(5))).map(({ status }) => status)
  assert.deepEqual(refused, [503, 503])
  checkFailure(await (reads[6] as (typeof reads)[0]), 50302, /once at a time|one at a time/)
  await put(server, 't', [0, 1, 2, 3, 4])
  const given = (await Promise.all(reads.slice(0, 5))).flatMap((reply) => reply.json())
  assert.deepEqual(valuesOf(given).sort(), [0, 1, 2, 3, 4])
})

test('a read that waits ends with its subscription, and with its consumer', async (t) => {
  const server = await startServer(t)
  await postJson(server, '/topics/t', '{"records":[{"value":1}]}')
  const consumer = await subscribed(server, 'g', { name: 'c', ...json, requestWaitMs: 20_000 } as never)
  const first = consumer.read()
  checkStatus(await consumer.call('DELETE', '/subscription'), 204)
  assert.deepEqual((await first).json(), [])
  await consumer.subscribe('t')
  const second = consumer.read()
  await consumer.delete()
  checkFailure(await second, 40403)
})

test('where the position is gone the policy of the consumer applies', async (t) => {
  const server = await startServer(t)
  await put(server, 't', [0, 1, 2, 3, 4])
  const consumers = await Promise.all(
    ['earliest', 'latest', 'none'].map(async (reset) => {
      const consumer = await openConsumer(server, reset, { name: 'c', ...json, 'auto.offset.reset': reset })
      await consumer.commit({ partitions: [{ topic: 't', partition: 0, offset: 1 }] })
      await consumer.subscribe('t')
      assert.deepEqual(valuesOf(await consumer.records('?max_bytes=1')), [1])
      return consumer
    }),
  )
  await server.request('DELETE', '/v1/topics/t/partitions/0/records?before=4')
  const [first, last, none] = consumers as [TestConsumer, TestConsumer, TestConsumer]
  assert.deepEqual(valuesOf(await first.records()), [4])
  assert.deepEqual(valuesOf(await last.records('?timeout=50')), [])
  for (let time = 0; time < 2; time++) checkFailure(await none.read(), 40002, /the offsets 4 to 4/)
  checkStatus(await none.call('POST', '/positions/beginning', { partitions: [{ topic: 't', partition: 0 }] }), 204)
  assert.deepEqual(valuesOf(await none.records()), [4])
  const fresh = await subscribed(server, 'fresh', { name: 'c', ...json, 'auto.offset.reset': 'none' } as never)
  checkFailure(await fresh.read(), 40002, /committed no offset/)
  assert.deepEqual((await fresh.call('GET', '/assignments')).json().partitions.length, 1)
})

const SESSION_MS = 600
/** From the end of a session until the others have its partitions: soon, on a slow machine too, and before any session but that was over. */
const MOVING_MS_MAX = 5_000

test('the consumers of a group share its partitions, and those of one that falls silent go to the others', async (t) => {
  const server = await startServer(t, { set: { 'num.partitions': '6', 'group.min.session.timeout.ms': '100' } })
  for (let partition = 0; partition < 6; partition++) await put(server, 't', [`${partition}-0`], partition)
  const open = (name: string) =>
    subscribed(server, 'g', { name, ...earliest, 'session.timeout.ms': SESSION_MS } as never)
  const consumers = [await open('a'), await open('b'), await open('c')]
  const owned = await Promise.all(
    consumers.map(async (consumer) => (await consumer.call('GET', '/assignments')).json().partitions as object[]),
  )
  assert.deepEqual(
    owned.map(({ length }) => length),
    [2, 2, 2],
  )
  const seen = new Set<string>()
  const take = (records: readonly TestRecord[]) => {
    for (const { value } of records) seen.add(value)
    return records.length
  }
  for (const consumer of consumers) take(await consumer.readAll(2))
  assert.equal(seen.size, 6)

  const [silent, ...alive] = consumers as [TestConsumer, TestConsumer, TestConsumer]
  const lastCalledMs = performance.now()
  assert.deepEqual(await silent.records('?timeout=1'), [])
  const silentMs = performance.now()
  const kept = new Set(owned[0]?.map((one) => (one as { partition: number }).partition))
  for (let partition = 0; partition < 6; partition++) await put(server, 't', [`${partition}-1`], partition)
  let firstMs: number | undefined
  while (seen.size < 12 && performance.now() < silentMs + SESSION_MS + MOVING_MS_MAX) {
    for (const consumer of alive) {
      const records = await consumer.records('?timeout=50')
      take(records)
      if (records.some(({ partition }) => kept.has(partition))) firstMs ??= performance.now()
    }
  }
  assert.equal(seen.size, 12, 'what the silent one had came to the others')
  // timers may be a millisecond early
  assert.ok((firstMs ?? 0) >= lastCalledMs + SESSION_MS - 1, 'not before its session was over')
  // it is still there, and takes its part again when it comes back
  await silent.commit()
  const back = (await silent.call('GET', '/assignments')).json().partitions
  assert.equal(back.length, 2)
  await Promise.all(consumers.map((consumer) => consumer.delete()))
  const group = await server.get('/v1/groups/g')
  assert.equal(group.json().state, 'Empty')
})

test('without a session.timeout.ms a session is consumer.instance.timeout.ms long, within the bounds that groups have', async (t) => {
  for (const [instance, min, max, expected] of [
    [20_000, 1_000, 1_800_000, 20_000],
    [500, 1_000, 1_800_000, 1_000],
    [300_000, 1_000, 30_000, 30_000],
  ]) {
    const sessions: number[] = []
    const openEngine = async () => {
      const engine = await openLocalEngine(engineOptions(temporaryDirectory(t)))
      const { join } = engine.groups
      engine.groups.join = function (request, signal) {
        if (request.groupId === 'g') sessions.push(request.sessionTimeoutMs)
        return join.call(this, request, signal)
      }
      return engine
    }
    const set = {
      'consumer.instance.timeout.ms': String(instance),
      'group.min.session.timeout.ms': String(min),
      'group.max.session.timeout.ms': String(max),
    }
    const server = await startServer(t, { set, openEngine })
    await put(server, 't', [0])
    const byDefault = await subscribed(server, 'g', { name: 'c', ...earliest } as never)
    assert.deepEqual(valuesOf(await byDefault.records()), [0])
    await byDefault.delete()
    const own = await subscribed(server, 'g', { name: 'c', ...earliest, 'session.timeout.ms': 2_000 } as never)
    assert.equal((await own.call('GET', '/assignments')).json().partitions.length, 1)
    assert.deepEqual(sessions, [expected, 2_000])
  }
})

test('a read that waits keeps its partitions, however long; who is silent for the session that it has by default does not', async (t) => {
  const clock = new FakeClock()
  const set = { 'num.partitions': '2', 'group.max.session.timeout.ms': '10000' }
  const server = await startServer(t, { clock, set })
  await put(server, 't', [0])
  const reading = await subscribed(server, 'g', { name: 'reading', ...json, requestWaitMs: 60_000 } as never)
  const beside = await subscribed(server, 'g', { name: 'beside', ...json } as never)
  const generation = async () => (await server.get('/v1/groups/g')).json().generation as number
  const partitionsOf = async (consumer: TestConsumer) => {
    const { partitions } = (await consumer.call('GET', '/assignments')).json()
    return (partitions as { partition: number }[]).map(({ partition }) => partition)
  }
  const [own] = await partitionsOf(reading)
  assert.equal((await partitionsOf(beside)).length, 1)
  const before = await generation()
  let isAnswered = false
  const waiting = reading.records().finally(() => {
    isAnswered = true
  })
  for (let isWaiting = false; !isWaiting; ) {
    isWaiting = /^tailrace_fetch_waiting 1$/m.test((await server.get('/metrics')).text())
  }
  for (let passedMs = 0; passedMs < 45_000; passedMs += 1_000) {
    clock.advance(1_000)
    await turnOfTheLoop()
    if (passedMs % 5_000 === 0) assert.equal((await partitionsOf(beside)).length, 1)
  }
  assert.ok(!isAnswered)
  assert.equal(await generation(), before, 'nobody was put out')
  await put(server, 't', [1], own)
  assert.deepEqual(valuesOf(await waiting), [1])

  // from now on it is silent
  for (let passedMs = 0; passedMs < 9_000; passedMs += 1_000) {
    clock.advance(1_000)
    assert.equal((await partitionsOf(beside)).length, 1)
  }
  clock.advance(1_500)
  await turnOfTheLoop()
  assert.equal((await partitionsOf(beside)).length, 2)
  assert.ok((await generation()) > before)
})

test('a consumer that nobody calls is deleted, one that reads is not', async (t) => {
  const server = await startServer(t, { set: { 'consumer.instance.timeout.ms': '300' } })
  await put(server, 't', [0])
  const idle = await openConsumer(server, 'g', { name: 'idle' })
  const busy = await subscribed(server, 'g', { name: 'busy', ...json, requestWaitMs: 1_300 } as never)
  assert.deepEqual(await busy.records(), [])
  checkStatus(await busy.call('GET', '/subscription'), 200)
  checkFailure(await idle.call('GET', '/subscription'), 40403)
  await openConsumer(server, 'g', { name: 'idle' })
})

test('after a clean stop consumers are there and go on from where they stood', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-v2-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const before = await startServer(t, { dataDir, set: { 'num.partitions': '2' } })
  await put(before, 't', [0, 1, 2])
  await put(before, 't', [10, 11], 1)
  const manual = await subscribed(before, 'manual', { name: 'ä b', ...byHand } as never)
  await manual.readAll(5)
  const auto = await openConsumer(before, 'auto', { name: 'c', ...earliest })
  checkStatus(await auto.call('POST', '/subscription', { topic_pattern: 't' }), 204)
  await auto.readAll(5)
  const assigned = await openConsumer(before, 'assigned', { name: 'c', ...byHand })
  await assigned.assign(['t', 1])
  assert.deepEqual(valuesOf(await assigned.records()), [10, 11])
  const deleted = await openConsumer(before, 'manual', { name: 'deleted' })
  await deleted.delete()
  await before.close()

  const after = await startServer(t, { dataDir })
  const again = (group: string, config: { name: string }) => openConsumer(after, group, config, { isThere: true })
  const [manual2, auto2] = [
    await again('manual', { name: 'ä b', ...byHand }),
    await again('auto', { name: 'c', ...earliest }),
  ]
  const assigned2 = await again('assigned', { name: 'c', ...byHand })
  await put(after, 't', [3])
  await put(after, 't', [12], 1)
  assert.deepEqual(valuesOf(await manual2.readAll(2)).sort(), [12, 3])
  assert.deepEqual(valuesOf(await auto2.readAll(2)).sort(), [12, 3])
  assert.deepEqual(valuesOf(await assigned2.readAll(1)), [12])
  assert.deepEqual((await manual2.call('GET', '/subscription')).json(), { topics: ['t'] })
  checkFailure(await after.get('/consumers/manual/instances/deleted/subscription'), 40403)
  const headers = { 'content-type': 'application/vnd.kafka.v2+json' }
  checkFailure(await after.request('POST', '/consumers/auto', { headers, body: { name: 'c' } }), 40902)
})

test('where a consumer stood at a stop is taken once: a later reset to what was committed then is obeyed', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-v2-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const before = await startServer(t, { dataDir, set: { 'num.partitions': '1' } })
  await put(before, 't', [0, 1, 2, 3])
  const stopped = await subscribed(before, 'g', { name: 'c', ...byHand } as never)
  await stopped.readAll(4)
  await stopped.commit({ offsets: [{ topic: 't', partition: 0, offset: 2 }] })
  await before.close()
  const after = await startServer(t, { dataDir })
  const consumer = await openConsumer(after, 'g', { name: 'c', ...byHand }, { isThere: true })
  await put(after, 't', [4])
  assert.deepEqual(valuesOf(await consumer.readAll(1)), [4])
  await consumer.commit()
  const headers = { 'content-type': 'application/json' }
  const body = { to: '3', topics: ['t'], force: true }
  checkStatus(await after.request('PATCH', '/v1/groups/g/offsets', { headers, body }), 200)
  assert.deepEqual(valuesOf(await consumer.records()), [3, 4])
})

test('after kill -9 consumers are there and go on from the committed offsets', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-v2-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const set = { 'num.partitions': '1' }
  const first = await ServerProcess.start({ dataDir, set })
  t.after(() => first.kill())
  await put(first, 't', [0, 1, 2, 3])
  const config = { name: 'c', ...byHand }
  const consumer = await openConsumer(first, 'g', config)
  await consumer.subscribe('t')
  assert.deepEqual(valuesOf(await consumer.records('?max_bytes=17')), [0, 1])
  await consumer.commit()
  assert.deepEqual(valuesOf(await consumer.records('?max_bytes=1')), [2])
  await first.stop()
  // clean: from where it stood
  const second = await ServerProcess.start({ dataDir, set })
  t.after(() => second.kill())
  const there = { isThere: true }
  assert.deepEqual(valuesOf(await (await openConsumer(second, 'g', config, there)).records()), [3])
  await put(second, 't', [4])
  await second.kill()
  const third = await ServerProcess.start({ dataDir, set })
  t.after(() => third.kill())
  const again = await openConsumer(third, 'g', config, there)
  const refused = await again.call('POST', '/offsets')
  checkFailure(refused, 40903, /the server was restarted/)
  assert.deepEqual(valuesOf(await again.records()), [2, 3, 4])
  await again.commit()
})
