// Tails of the real server through the client: exactly once, whatever becomes of sockets and servers. Every frame in both
// directions is held against its schema.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { TailraceClient } from '../../src/client/client.ts'
import { Tail } from '../../src/client/tail.ts'
import type { TailOptions, TailSource } from '../../src/client/tail-request.ts'
import { foregroundClock } from '../../src/kernel/clock.ts'
import { CuttingWire } from '../support/cutting-wire.ts'
import { checkFrame } from '../support/frames.ts'
import { startServer } from '../support/http.ts'
import { Random } from '../support/random.ts'
import { ServerProcess } from '../support/server-process.ts'

class CheckedWebSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols)
    this.addEventListener('message', ({ data }) => checkFrame('server', JSON.parse(data)))
  }

  override send(text: string): void {
    checkFrame('client', JSON.parse(text))
    super.send(text)
  }
}

function clientOf(url: string): TailraceClient {
  return new TailraceClient({ url, webSocket: CheckedWebSocket })
}

async function start(t: TestContext): Promise<TailraceClient> {
  return clientOf((await startServer(t)).url)
}

/** Values of the records up to the end that the options set. */
async function valuesOf(client: TailraceClient, source: TailSource, options: TailOptions): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const { records } of client.tail(source, options)) values.push(...records.map((one) => one.parse().value))
  return values
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => ({ value: from + at }))

test('a tail goes from what is stored on to what comes, and ends where it is told', { timeout: 20_000 }, async (t) => {
  const client = await start(t)
  await client.produce('t', numbers(0, 5))
  assert.deepEqual(await valuesOf(client, 't', { from: 'earliest', until: 'latest' }), [0, 1, 2, 3, 4])
  assert.deepEqual(await valuesOf(client, ['t'], { from: '-2', until: 'latest' }), [3, 4])
  assert.deepEqual(await valuesOf(client, 't', { from: '1', partitions: [0], until: { count: 2 } }), [1, 2])
  assert.deepEqual(await valuesOf(client, 't', { from: 'latest', until: 'latest' }), [])
  assert.deepEqual(
    await valuesOf(client, { pattern: 't.*' }, { from: 'earliest', filter: 'value >= 3', until: 'latest' }),
    [3, 4],
  )

  const live: unknown[] = []
  for await (const { records, progress } of client.tail('t', { from: '-1' })) {
    live.push(...records.map((record) => record.member('value')))
    if (live.length === 3) break
    if (progress?.caughtUp) await client.produceJson('t', '{"records":[{"value":1.0},{"value":12345678901234567890}]}')
  }
  assert.deepEqual(live, ['4', '1.0', '12345678901234567890'])
})

test('what is wrong with a tail is thrown, with its code', { timeout: 20_000 }, async (t) => {
  const client = await start(t)
  await client.createTopic({ name: 't', partitions: 2 })
  const fails = (source: TailSource, options: TailOptions, error: object) =>
    assert.rejects(client.tail(source, options)[Symbol.asyncIterator]().next(), {
      name: 'TailraceClientError',
      ...error,
    })
  await fails('nope', {}, { code: 'unknown_topic_or_partition' })
  await fails('t', { from: 'yesterday' }, { code: 'invalid_position' })
  await fails('t', { from: '1' }, { code: 'invalid_position' })
  await fails('t', { from: '7', partitions: [0] }, { code: 'offset_out_of_range' })
  await fails('t', { filter: '1 +' }, { code: 'invalid_filter' })
  await fails({ pattern: '(' }, {}, { code: 'invalid_request' })

  const pages = client.tail('t')[Symbol.asyncIterator]()
  await pages.next()
  const gone = assert.rejects(
    async () => {
      while (!(await pages.next()).done);
    },
    { code: 'unknown_topic_or_partition' },
  )
  await client.deleteTopic('t')
  await gone
  const nobody = clientOf('http://127.0.0.1:2').tail('t')
  await assert.rejects(nobody[Symbol.asyncIterator]().next(), { code: 'unreachable', message: /ECONNREFUSED/ })
})

test('what was removed before it was read is told as a gap', { timeout: 20_000 }, async (t) => {
  const client = await start(t)
  await client.produce('t', numbers(0, 10))
  await client.deleteRecords('t', 0, 4)
  const gaps: object[] = []
  const offsets: number[] = []
  for await (const page of client.tail('t', { from: '2', partitions: [0], until: 'latest' })) {
    gaps.push(...page.gaps)
    offsets.push(...page.records.map(({ offset }) => offset))
  }
  assert.deepEqual(gaps, [{ topic: 't', partition: 0, from: 2, to: 4, reason: 'removed' }])
  assert.deepEqual(offsets, [4, 5, 6, 7, 8, 9])
  const strict = client.tail('t', { from: '2', partitions: [0], onGap: 'error' })
  await assert.rejects(strict[Symbol.asyncIterator]().next(), { code: 'offset_out_of_range' })
})

test('a reader that takes nothing has its credit ahead of it and no more', { timeout: 20_000 }, async (t) => {
  const client = await start(t)
  await client.produce('t', numbers(0, 5_000))
  const aheadMax = { records: 200, bytes: 1_000_000 }
  let receivedCount = 0
  class CountingWebSocket extends CheckedWebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols)
      this.addEventListener('message', ({ data }) => {
        receivedCount += (JSON.parse(data) as { records?: unknown[] }).records?.length ?? 0
      })
    }
  }
  const counting = new TailraceClient({ url: client.url, webSocket: CountingWebSocket })
  let takenCount = 0
  for await (const { records } of counting.tail('t', { from: 'earliest', until: 'latest', aheadMax })) {
    // its turn for whatever it may still send
    await client.listTopics()
    assert.ok(receivedCount - takenCount <= aheadMax.records, `${receivedCount} received, ${takenCount} taken`)
    takenCount += records.length
  }
  assert.equal(takenCount, 5_000)
})

test('servers are killed and stopped while a tail reads: every record comes once', { timeout: 60_000 }, async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-tail-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  let server = await ServerProcess.start({ dataDir })
  t.after(() => server.kill())
  const { url, port } = server
  const client = clientOf(url)
  await client.createTopic({ name: 't', partitions: 3 })

  const stop = new AbortController()
  const retries: string[] = []
  const onRetry = ({ code }: { readonly code: string }) => retries.push(code)
  const seen: string[] = []
  const arrived = new Map<number, () => void>()
  const reading = (async () => {
    for await (const { records, gaps } of client.tail('t', { from: 'earliest', onRetry, signal: stop.signal })) {
      assert.deepEqual(gaps, [])
      seen.push(
        ...records.map(({ partition, offset }: { partition: number; offset: number }) => `${partition}:${offset}`),
      )
      for (const [count, tell] of arrived) if (seen.length >= count) tell()
    }
  })()
  const stored: string[] = []
  const produce = async (count: number) => {
    const answer = await client.produce(
      't',
      Array.from({ length: count }, (_, at) => ({ key: `${at}`, value: at })),
    )
    stored.push(...answer.records.map(({ partition, offset }) => `${partition}:${offset}`))
  }
  const arrival = (count: number) =>
    Promise.race([new Promise<void>((tell) => arrived.set(count, tell)), reading as Promise<never>])

  for (const end of ['kill', 'stop', 'kill'] as const) {
    for (let round = 0; round < 20; round++) await produce(25)
    // some of them may be on their way to the reader
    if (end === 'kill') await server.kill()
    else await server.stop()
    server = await ServerProcess.start({ dataDir, set: { port: String(port) } })
    await produce(25)
  }
  await arrival(stored.length)
  stop.abort()
  await assert.rejects(reading, { name: 'AbortError' })
  assert.deepEqual(seen.toSorted(), stored.toSorted())
  assert.ok(retries.length >= 3)
  for (const code of retries) assert.ok(['broken_off', 'draining', 'internal', 'no_websocket'].includes(code), code)
})

test('members of a group share its partitions, and commit what they have read', { timeout: 20_000 }, async (t) => {
  const client = await start(t)
  await client.createTopic({ name: 't', partitions: 2 })
  const produce = (value: number) =>
    client.produce(
      't',
      [0, 1].map((partition) => ({ value, partition })),
    )
  const seen: string[] = []
  let changed = Promise.withResolvers<void>()
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await changed.promise
  }
  const stop = new AbortController()
  const join = (member: string) => {
    const owned = new Set<number>()
    const tail = client.tail('t', { group: { name: 'g', member }, from: 'earliest', signal: stop.signal })
    const ended = assert.rejects(
      async () => {
        for await (const { records, cursor, assigned = [], revoked = [] } of tail) {
          for (const { partition } of assigned) owned.add(partition)
          for (const { partition } of revoked) owned.delete(partition)
          if (records.length > 0) await tail.commit(cursor)
          seen.push(...records.map(({ partition, offset }) => `${partition}:${offset}`))
          changed.resolve()
          changed = Promise.withResolvers()
        }
      },
      { name: 'AbortError' },
    )
    return { owned, ended }
  }

  await produce(0)
  const first = join('a')
  await until(() => seen.length === 2)
  const second = join('b')
  await until(() => first.owned.size === 1 && second.owned.size === 1)
  await produce(1)
  await until(() => seen.length === 4)
  assert.deepEqual(seen.toSorted(), ['0:0', '0:1', '1:0', '1:1'])
  assert.notDeepEqual([...first.owned], [...second.owned])
  const { offsets } = await client.getGroup('g')
  assert.deepEqual(
    offsets.map(({ committed_offset }) => committed_offset),
    [2, 2],
  )
  stop.abort()
  await Promise.all([first.ended, second.ended])
})

test('a member commits by itself what its reader came back from', { timeout: 20_000 }, async (t) => {
  const client = await start(t)
  await client.produce('t', numbers(0, 3))
  const options: TailOptions = { group: { name: 'g', autoCommitMs: 60_000 }, from: 'earliest' }
  let count = 0
  for await (const { records } of client.tail('t', { ...options, until: { count: 3 } })) count += records.length
  assert.equal(count, 3)
  await client.produce('t', numbers(3, 5))
  const again: unknown[] = []
  for await (const { records } of client.tail('t', { ...options, until: { count: 2 } })) {
    again.push(...records.map((record) => record.parse().value))
  }
  assert.deepEqual(again, [3, 4])
})

test('a worker of a queue acks single records', { timeout: 20_000 }, async (t) => {
  const client = await start(t)
  await client.produce('jobs', numbers(0, 4))
  const queue = client.tail('jobs', { group: { name: 'q', mode: 'shared' }, from: 'earliest' })
  const done = new Map<unknown, number | undefined>()
  for await (const { records } of queue) {
    for (const record of records) {
      const { value, attempts } = record.parse()
      if (value === 2 && attempts === 1) assert.equal((await queue.ack('release', [record])).released, 1)
      else {
        done.set(value, attempts)
        assert.equal((await queue.ack('accept', [record])).accepted, 1)
      }
    }
    if (done.size === 4) break
  }
  assert.deepEqual(Object.fromEntries(done), { 0: 1, 1: 1, 2: 2, 3: 1 })
})

const CUTS = 30

test('connections are cut in the middle of anything: every record comes once', { timeout: 60_000 }, async (t) => {
  const seed = Date.now() % 1_000_000
  t.diagnostic(`seed ${seed}`)
  const random = new Random(seed)
  const server = await startServer(t)
  let cutCount = 0
  const bytesOf = () => (cutCount < CUTS ? 400 + random.below(10_000) : undefined)
  const wire = await CuttingWire.open(bytesOf, () => cutCount++)
  wire.targetPort = server.port
  t.after(() => wire.close())
  const client = clientOf(server.url)
  await client.createTopic({ name: 't', partitions: 3 })

  const places = (records: readonly { readonly partition: number | null; readonly offset: number | null }[]) =>
    records.map(({ partition, offset }) => `${partition}:${offset}`)
  const stored: string[] = []
  let isOver = false
  const producing = (async () => {
    for (let round = 0; !isOver; round++) {
      const records = Array.from({ length: 1 + (round % 7) }, (_, at) => ({
        key: `${at}`,
        value: 'x'.repeat(round % 300),
      }))
      stored.push(...places((await client.produce('t', records)).records))
    }
  })()
  const dependencies = {
    url: `http://127.0.0.1:${wire.port}`,
    webSocket: CheckedWebSocket,
    clock: foregroundClock,
    // a tenth of the delays
    random: () => 0.1,
    probe: async () => {},
  }
  const options: TailOptions = { from: 'earliest', aheadMax: { records: 50, bytes: 3_000 } }
  const seen: string[] = []
  let isFirst = true
  while (!isOver || seen.length < stored.length) {
    try {
      for await (const { records, gaps, cursor } of new Tail(dependencies, 't', options)) {
        isFirst = false
        assert.deepEqual(gaps, [])
        seen.push(...places(records))
        assert.notEqual(cursor, '')
        if (cutCount < CUTS) continue
        isOver = true
        await producing
        if (seen.length >= stored.length) break
      }
    } catch (error) {
      // only a first connection gives up, if it is cut before it was one
      if (!isFirst) throw error
    }
  }
  assert.deepEqual(seen.toSorted(), stored.toSorted())
})
