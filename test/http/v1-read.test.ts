// Reading over v1, through the real server, engine and disk. What positions, pages and cursors mean in every corner is
// tested at the service (test/service/consume.test.ts); here is what only the whole can show.

import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { Random } from '../support/random.ts'

interface Shown {
  readonly partition: number
  readonly offset: number
  readonly value: unknown
}

async function produce(server: TestServer, topic: string, records: readonly object[]): Promise<void> {
  const reply = await server.post(`/v1/topics/${topic}/records`, { records })
  assert.equal(reply.status, 200, reply.text())
}

async function create(server: TestServer, name: string, partitions: number, configs = {}): Promise<void> {
  assert.equal((await server.post('/v1/topics', { name, partitions, configs })).status, 201)
}

const offsetsOf = (records: readonly Shown[]) => records.map(({ partition, offset }) => `${partition}:${offset}`)

test('an empty page is a page: 200, caught up, with a cursor to go on from', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', 2)
  const reply = await server.get('/v1/topics/orders/records')
  assert.equal(reply.status, 200)
  const { cursor, next, ...rest } = reply.json()
  assert.match(cursor, /^[A-Za-z0-9_-]+$/)
  assert.equal(next, `/v1/topics/orders/records?cursor=${cursor}`)
  assert.deepEqual(rest, {
    records: [],
    caught_up: true,
    partitions: [
      { partition: 0, start_offset: 0, end_offset: 0, next_offset: 0 },
      { partition: 1, start_offset: 0, end_offset: 0, next_offset: 0 },
    ],
  })
})

test('a record is shown in the one shape', async (t) => {
  const server = await startServer(t)
  const timestamp = new Date(Date.now() - 5_000).toISOString()
  const headers = [{ name: 'type', value: 'paid' }]
  await produce(server, 'orders', [
    { key: 'c-17', value: { total: 5 }, headers, timestamp },
    { key: 'c-17', value: null },
  ])
  const { records } = (await server.get('/v1/topics/orders/records')).json()
  assert.deepEqual(records[0], {
    topic: 'orders',
    partition: 0,
    offset: 0,
    timestamp,
    timestamp_type: 'CreateTime',
    key: 'c-17',
    value: { total: 5 },
    key_encoding: 'string',
    value_encoding: 'json',
    headers,
  })
  assert.equal(records[1].value, null)
  assert.equal('value_encoding' in records[1], false)
})

test('the next links lead through all records, whatever options the first page had', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', 4)
  for (const partition of [0, 1, 2, 3]) {
    await produce(
      server,
      'orders',
      Array.from({ length: 25 }, (_, at) => ({ partition, key: `k${at % 2}`, value: at })),
    )
  }
  const query = 'partition=1&partition=3&limit=7&key=k1&from=earliest&value_format=string&max_bytes=5000'
  let next = `/v1/topics/orders/records?${query}`
  const seen: Shown[] = []
  for (let pages = 0; ; pages++) {
    assert.ok(pages < 20)
    const page = (await server.get(next)).json()
    seen.push(...page.records)
    next = page.next
    assert.match(next, /partition=1&partition=3&limit=7&key=k1&value_format=string&max_bytes=5000$/)
    if (page.caught_up) break
  }
  for (const partition of [1, 3]) {
    const values = seen.filter((record) => record.partition === partition).map(({ value }) => value)
    assert.deepEqual(
      values,
      Array.from({ length: 12 }, (_, at) => String(at * 2 + 1)),
    )
  }
  assert.equal(seen.length, 24)
})

test('pages through 8 partitions give every record once and in order while producers go on', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', 8)
  const random = new Random(20_261_121)
  let stored = 0
  const producer = async () => {
    for (let round = 0; round < 40; round++) {
      const records = Array.from({ length: 1 + random.below(60) }, () => {
        return { partition: random.below(8), value: stored++ }
      })
      await produce(server, 'orders', records)
      if (round === 20) await server.request('PATCH', '/v1/topics/orders', { body: { partitions: 10 } })
    }
  }
  let isProducing = true
  const producing = Promise.all([producer(), producer()]).finally(() => {
    isProducing = false
  })
  const last = new Map<number, number>()
  const seen = new Set<unknown>()
  let next = '/v1/topics/orders/records?limit=37&wait_ms=20'
  for (;;) {
    const wasProducing = isProducing
    const page = (await server.get(next)).json()
    for (const { partition, offset, value } of page.records as Shown[]) {
      assert.equal(offset, (last.get(partition) ?? -1) + 1)
      last.set(partition, offset)
      assert.ok(!seen.has(value))
      seen.add(value)
    }
    next = page.next
    if (!wasProducing && page.caught_up) break
  }
  await producing
  assert.equal(seen.size, stored)
})

test('every form of position is understood', async (t) => {
  const server = await startServer(t)
  const at = Date.UTC(2026, 0, 1)
  const records = Array.from({ length: 10 }, (_, number) => {
    return { value: number, timestamp: new Date(at + number * 1_000).toISOString() }
  })
  await create(server, 'orders', 1, { 'retention.ms': '-1' })
  await produce(server, 'orders', records)
  await produce(server, 'orders', [{ value: 'now' }])
  const from = async (position: string) => {
    const reply = await server.get(`/v1/topics/orders/records?from=${encodeURIComponent(position)}`)
    assert.equal(reply.status, 200, reply.text())
    return offsetsOf(reply.json().records).map((place) => Number(place.slice(2)))
  }
  assert.equal((await from('earliest')).length, 11)
  assert.deepEqual(await from('latest'), [])
  assert.deepEqual(await from('-3'), [8, 9, 10])
  assert.deepEqual(await from('7'), [7, 8, 9, 10])
  assert.deepEqual(await from('11'), [])
  assert.deepEqual(await from('2026-01-01T00:00:07.500Z'), [8, 9, 10])
  assert.deepEqual(await from('2026-01-01T01:00:08+01:00'), [8, 9, 10])
  assert.deepEqual(await from('1h'), [10])
  const { cursor } = (await server.get('/v1/topics/orders/records?limit=4')).json()
  assert.deepEqual(await from(`cursor:${cursor}`), [4, 5, 6, 7, 8, 9, 10])
  const plain = (await server.get('/v1/topics/orders/records?from=2026-01-01T01:00:08+01:00')).json()
  assert.equal(plain.records.length, 3, 'a plus that nobody escaped')
})

test('what is wrong with a read is said, with what is allowed', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', 2)
  await produce(server, 'orders', [{ partition: 0, value: 1 }])
  const cases: [query: string, status: number, code: string, detail: RegExp][] = [
    ['form=earliest', 400, 'invalid_request', /did you mean from\?/],
    ['from=first', 400, 'invalid_position', /earliest, latest, committed \(with a group\), -N /],
    ['from=0', 400, 'invalid_position', /name one partition/],
    ['from=1.5', 400, 'invalid_position', /offset/],
    ['from=9007199254740992', 400, 'invalid_position', /9007199254740991/],
    ['from=committed', 400, 'invalid_position', /name the group/],
    ['from=committed&group=', 400, 'invalid_group_id', /empty/],
    ['from=committed&group=nobody', 404, 'group_id_not_found', /no group 'nobody'/],
    ['from=earliest&group=g', 400, 'invalid_request', /from=committed/],
    ['from=-0', 400, 'invalid_position', /1 or more/],
    ['from=7&partition=0', 416, 'offset_out_of_range', /0 to 0, 7 was asked for/],
    ['cursor=AQAB', 400, 'invalid_cursor', /not a cursor/],
    ['from=cursor:', 400, 'invalid_cursor', /not a cursor/],
    ['partition=2', 404, 'unknown_topic_or_partition', /0 to 1/],
    ['partition=-1', 400, 'invalid_request', /0 to 9999/],
    ['partition=0.5', 400, 'invalid_request', /integer/],
    ['partition=0,1', 400, 'invalid_request', /repeated for more: partition=0&partition=1$/],
    ['columns=key', 400, 'invalid_request', /known here: .*header, header\.NAME, filter/],
    ['limit=0', 400, 'invalid_request', /1 to 10000/],
    ['limit=10001', 400, 'invalid_request', /1 to 10000/],
    ['limit=5&limit=6', 400, 'invalid_request', /more than once/],
    ['wait_ms=60001', 400, 'invalid_request', /60000/],
    ['max_bytes=x', 400, 'invalid_request', /integer/],
    ['value_format=xml', 400, 'invalid_request', /auto/],
    ['on_gap=skip', 400, 'invalid_request', /earliest/],
    ['key=a&key_base64=YQ', 400, 'invalid_request', /not both/],
    ['key_base64=%21', 400, 'invalid_request', /base64/],
    ['header=plain', 400, 'invalid_request', /name:value/],
    ['filter=', 400, 'invalid_filter', /character 1/],
    ['filter=total%20%3E%205', 400, 'invalid_filter', /'total' is not known; a record has topic/],
    ['filter=true&filter=false', 400, 'invalid_request', /more than once/],
  ]
  for (const [query, status, code, detail] of cases) {
    const reply = await server.get(`/v1/topics/orders/records?${query}`)
    assert.equal(reply.status, status, `${query}: ${reply.text()}`)
    assert.equal(reply.json().code, code, query)
    assert.match(reply.json().detail, detail, query)
  }
  for (const topic of ['nothing', '..%2f..', '%00', 'x'.repeat(250)]) {
    const { status } = await server.get(`/v1/topics/${topic}/records`)
    assert.ok(status === 404 || status === 400, `${topic}: ${status}`)
  }
})

test('a reader that fell behind is told the bounds, or goes on with the gap told', async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', [{ value: 0 }])
  const { cursor } = (await server.get('/v1/topics/orders/records')).json()
  for (const value of [1, 2, 3, 4]) await produce(server, 'orders', [{ value }])
  const deleted = await server.request('DELETE', '/v1/topics/orders/partitions/0/records?before=3')
  assert.deepEqual([deleted.status, deleted.json()], [200, { partition: 0, start_offset: 3 }])
  const refused = await server.get(`/v1/topics/orders/records?cursor=${cursor}`)
  assert.equal(refused.status, 416)
  assert.deepEqual(refused.json().details.partitions, [{ partition: 0, offset: 1, start_offset: 3, end_offset: 5 }])
  const told = (await server.get(`/v1/topics/orders/records?cursor=${cursor}&on_gap=earliest`)).json()
  assert.deepEqual(told.gaps, [{ topic: 'orders', partition: 0, from: 1, to: 3, reason: 'removed' }])
  assert.deepEqual(offsetsOf(told.records), ['0:3', '0:4'])
  const rest = (await server.get('/v1/topics/orders/records')).json()
  assert.deepEqual(offsetsOf(rest.records), ['0:3', '0:4'])
})

test('records are deleted up to the end, and no further', async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', [{ value: 0 }, { value: 1 }])
  const path = '/v1/topics/orders/partitions/0/records'
  assert.equal((await server.request('DELETE', `${path}?before=3`)).status, 416)
  assert.equal((await server.request('DELETE', path)).status, 400)
  assert.equal((await server.request('DELETE', `${path}?before=-2`)).status, 400)
  assert.equal((await server.request('DELETE', '/v1/topics/orders/partitions/7/records?before=0')).status, 404)
  assert.equal((await server.request('DELETE', '/v1/topics/none/partitions/0/records?before=0')).status, 404)
  assert.equal((await server.request('DELETE', `${path}?before=latest`)).json().start_offset, 2)
  const { detail } = (await server.get('/v1/topics/orders/records?partition=0&from=1')).json()
  assert.match(detail, /partition 0 is empty, its next offset is 2, 1 was asked for/)
  await produce(server, 'orders', [{ value: 2 }])
  assert.equal((await server.request('DELETE', `${path}?before=-1`)).json().start_offset, 3)
  assert.deepEqual((await server.get('/v1/topics/orders/records')).json().records, [])
})

test('a cursor of a topic that was made again is gone', async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', [{ value: 0 }])
  const { cursor } = (await server.get('/v1/topics/orders/records')).json()
  assert.equal((await server.request('DELETE', '/v1/topics/orders')).status, 204)
  await produce(server, 'orders', [{ value: 1 }])
  const reply = await server.get(`/v1/topics/orders/records?cursor=${cursor}`)
  assert.deepEqual([reply.status, reply.json().code], [410, 'topic_recreated'])
})

test('a cursor is good after a restart', async (t) => {
  const first = await startServer(t)
  await produce(first, 'orders', [{ value: 0 }, { value: 1 }])
  const { next } = (await first.get('/v1/topics/orders/records?limit=1')).json()
  await first.close()
  const second = await startServer(t, { dataDir: first.dataDir })
  assert.deepEqual(offsetsOf((await second.get(next)).json().records), ['0:1'])
})

test('filters by key and header', async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', [
    { key: 'a', value: 0, headers: [{ name: 'type', value: 'paid' }] },
    { key: '//8=', key_encoding: 'base64', value: 1, headers: [{ name: 'a:b', value: 'x=y' }] },
    {
      key: 'ä',
      value: 2,
      headers: [
        { name: 'type', value: 'paid' },
        { name: 'late', value: '' },
      ],
    },
  ])
  const found = async (query: string) => {
    const reply = await server.get(`/v1/topics/orders/records?${query}`)
    assert.equal(reply.status, 200, reply.text())
    return reply.json().records.map(({ offset }: Shown) => offset)
  }
  assert.deepEqual(await found('key=a'), [0])
  assert.deepEqual(await found('key=%C3%A4'), [2])
  assert.deepEqual(await found('key_base64=YQ'), [0])
  assert.deepEqual(await found('key_base64=//8='), [1])
  assert.deepEqual(await found('key_base64=__8'), [1])
  assert.deepEqual(await found('header.type=paid'), [0, 2])
  assert.deepEqual(await found('header=type:paid&header=late:'), [2])
  assert.deepEqual(await found('header.a%3Ab=x%3Dy'), [1])
  assert.deepEqual(await found('key=nobody'), [])
})

test('an expression lets records through, and the page tells how many it looked at and which it could not judge', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', 1)
  const records = [{ value: { total: 5 } }, { value: { total: 500 } }, { value: 'text' }, { value: null }]
  await produce(server, 'orders', records)
  const reply = await server.get(`/v1/topics/orders/records?filter=${encodeURIComponent('value.total > 100')}`)
  assert.equal(reply.status, 200, reply.text())
  const { records: found, scanned, filter_errors, last_filter_error, caught_up } = reply.json()
  assert.deepEqual(offsetsOf(found), ['0:1'])
  assert.deepEqual({ scanned, filter_errors, caught_up }, { scanned: 4, filter_errors: 2, caught_up: true })
  assert.match(last_filter_error, /type/)
})

test('reading with an expression gives what a reader of everything would pick, page after page', async (t) => {
  const server = await startServer(t)
  const seed = Number(process.env['TAILRACE_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
  t.diagnostic(`seed ${seed}`)
  const random = new Random(seed)
  await create(server, 'orders', 3)
  const records = Array.from({ length: 400 }, (_, at) => ({
    key: `c-${random.below(20)}`,
    value:
      random.below(10) === 0
        ? { at }
        : { at, total: random.below(1_000), tags: ['a', 'b', 'c'].slice(random.below(3)) },
    headers: [{ name: 'type', value: random.below(2) === 0 ? 'paid' : 'free' }],
  }))
  await produce(server, 'orders', records)
  type Judged = (record: (typeof records)[number]) => boolean
  const cases: readonly (readonly [string, Judged])[] = [
    ['value.total > 900', ({ value: { total = 0 } }) => total > 900],
    ['!has(value.total) || value.total % 7 == 0', ({ value: { total = 0 } }) => total % 7 === 0],
    [
      '"a" in value.tags && headers.type == "paid"',
      ({ value, headers }) => value.tags?.[0] === 'a' && headers[0]?.value === 'paid',
    ],
    ['key.endsWith("7") || value.at < 5', ({ key, value }) => key.endsWith('7') || value.at < 5],
    ['value.tags.exists(tag, tag == "b")', ({ value }) => value.tags?.includes('b') === true],
    ['value.at < 0', () => false],
  ]
  for (const [filter, isWanted] of cases) {
    const found: number[] = []
    let scanned = 0
    let next = `/v1/topics/orders/records?limit=${1 + random.below(30)}&filter=${encodeURIComponent(filter)}`
    for (;;) {
      const page = (await server.get(next)).json()
      found.push(...page.records.map(({ value }: { value: { at: number } }) => value.at))
      scanned += page.scanned
      if (page.caught_up) break
      next = page.next
    }
    const wanted = records.filter(isWanted).map(({ value }) => value.at)
    assert.deepEqual(
      found.toSorted((a, b) => a - b),
      wanted,
      filter,
    )
    assert.equal(scanned, records.length, filter)
  }
})

test('a page whose expression takes much ends early, without records, and its cursor goes on', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', 1)
  const value = Array(1_000).fill(0)
  await produce(server, 'orders', [...Array(60).fill({ value }), { value: [1] }])
  let next = `/v1/topics/orders/records?filter=${encodeURIComponent('!value.all(a, value.all(b, a == 0 && b == 0))')}`
  const pages = []
  for (let page: { caught_up: boolean; next: string } | undefined; page?.caught_up !== true; ) {
    const reply = (await server.get(next)).json()
    page = reply
    next = reply.next
    pages.push(reply)
  }
  assert.deepEqual(
    pages.flatMap(({ records }) => offsetsOf(records)),
    ['0:60'],
  )
  assert.ok(pages.length > 2 && pages[0].records.length === 0 && pages[0].scanned > 0, `${pages.length} pages`)
  assert.equal(
    pages.reduce((sum, { scanned }) => sum + scanned, 0),
    61,
  )
  assert.equal(
    pages.reduce((sum, { filter_errors }) => sum + filter_errors, 0),
    60,
  )
})

test('a long poll answers when a record comes, long before its deadline', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', 3)
  const waiting = server.get('/v1/topics/orders/records?from=latest&wait_ms=30000')
  while (!(await isWaiting(server))) await server.get('/livez')
  const before = performance.now()
  await produce(server, 'orders', [{ partition: 2, value: 'now' }])
  assert.deepEqual(offsetsOf((await waiting).json().records), ['2:0'])
  assert.ok(performance.now() - before < 10_000)
})

test('a long poll ends when its client goes, and when the server is closed', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', 1)
  const path = '/v1/topics/orders/records?from=latest&wait_ms=60000'
  const gone = httpRequest({ host: '127.0.0.1', port: server.port, path, agent: false })
  gone.on('error', () => {})
  gone.end()
  while (!(await isWaiting(server))) await server.get('/livez')
  gone.destroy()
  while (await isWaiting(server)) await server.get('/livez')
  const waiting = server.get(path)
  while (!(await isWaiting(server))) await server.get('/livez')
  await server.close()
  assert.deepEqual((await waiting).json().records, [])
})

async function isWaiting(server: TestServer): Promise<boolean> {
  const line = (await server.get('/metrics')).text().match(/^tailrace_fetch_waiting(?:\{[^}]*\})? (\d+)/m)
  assert.ok(line !== null, 'the metric is there')
  return line[1] !== '0'
}

test('one record has an address of its own', async (t) => {
  const server = await startServer(t)
  await produce(server, 'orders', [{ value: 0 }, { key: 'k', value: 'text' }, { value: 2 }])
  await server.request('DELETE', '/v1/topics/orders/partitions/0/records?before=1')
  const one = async (rest: string) => {
    const reply = await server.get(`/v1/topics/orders/partitions/${rest}`)
    return [reply.status, reply.json().code ?? reply.json().value]
  }
  assert.deepEqual(await one('0/records/1'), [200, 'text'])
  assert.deepEqual(await one('0/records/1?value_format=string'), [200, '"text"'])
  assert.deepEqual(await one('0/records/0'), [416, 'offset_out_of_range'])
  assert.deepEqual(await one('0/records/3'), [416, 'offset_out_of_range'])
  assert.deepEqual(await one('1/records/0'), [404, 'unknown_topic_or_partition'])
  assert.deepEqual(await one('0/records/-1'), [400, 'invalid_request'])
  assert.deepEqual(await one('0/records/9007199254740992'), [400, 'invalid_request'])
})

test('the offsets of a position are listed by partition', async (t) => {
  const server = await startServer(t)
  await create(server, 'orders', 2, { 'message.timestamp.before.max.ms': '9223372036854775807' })
  const times = ['2026-01-01T00:00:01.000Z', '2026-01-01T00:00:03.000Z', '2026-01-01T00:00:02.000Z']
  await produce(
    server,
    'orders',
    times.map((timestamp, value) => ({ partition: 1, value, timestamp })),
  )
  const at = async (query: string) => {
    const reply = await server.get(`/v1/topics/orders/offsets${query}`)
    assert.equal(reply.status, 200, reply.text())
    assert.equal(reply.json().next_cursor, null)
    return reply.json().items.map((item: { offset: number; timestamp: string | null }) => [item.offset, item.timestamp])
  }
  const none = (offset: number) => [offset, null]
  assert.deepEqual(await at(''), [none(0), none(3)])
  assert.deepEqual(await at('?at=earliest'), [none(0), none(0)])
  assert.deepEqual(await at('?at=latest&partition=1'), [none(3)])
  assert.deepEqual(await at('?at=2026-01-01T00:00:02Z'), [none(0), [1, times[1]]])
  assert.deepEqual(await at('?at=max_timestamp'), [none(0), [1, times[1]]])
  assert.deepEqual(await at('?at=-2'), [none(0), [1, times[1]]])
  assert.equal((await server.get('/v1/topics/orders/offsets?at=4&partition=1')).status, 416)
  assert.equal((await server.get('/v1/topics/orders/offsets?at=soon')).status, 400)
})

test('a time beyond the calendar is listed as it is shown in its record', async (t) => {
  const server = await startServer(t, { set: { 'compat.lenient': 'true' } })
  await create(server, 'orders', 1, { 'message.timestamp.after.max.ms': '9223372036854775807' })
  const type = { 'content-type': 'application/vnd.kafka.json.v2+json' }
  const body = { records: [{ value: 1, timestamp: Number.MAX_SAFE_INTEGER }] }
  assert.equal((await server.post('/topics/orders', body, type)).status, 200)
  const [record] = (await server.get('/v1/topics/orders/records')).json().records
  for (const at of ['max_timestamp', '-1', '1h']) {
    const reply = await server.get(`/v1/topics/orders/offsets?at=${at}`)
    assert.deepEqual(reply.json().items, [{ partition: 0, offset: 0, timestamp: record.timestamp }], reply.text())
  }
})
