import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { openConsumer } from '../support/rest-proxy-v2.ts'
import { openSocket } from '../support/ws-client.ts'

async function start(t: TestContext, partitions = 1): Promise<TestServer> {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions })
  return server
}

test('a group is polled and acknowledged with no state in the client', async (t) => {
  const server = await start(t)
  const value = '{"total": 1.0, "big": 12345678901234567890}'
  await server.post(
    '/v1/topics/orders/records',
    `{"records":[{"key":"c-17","value":${value}},{"key":"c-18","value":2}]}`,
  )
  const polled = await server.post('/v1/groups/billing%2Feu/poll', { topics: ['orders'], limit: 1, member: 'w-1' })
  assert.equal(polled.status, 200)
  assert.ok(polled.text().includes(`"value":${value}`), polled.text())
  const { lease, expires_at, records, ...rest } = polled.json()
  assert.equal(records.length, 1)
  assert.ok(Date.parse(expires_at) > Date.now() + 20_000)
  assert.deepEqual(rest, {
    positions: [{ topic: 'orders', partition: 0, from: 0, through: 0 }],
    generation: rest.generation,
    next: '/v1/groups/billing%2Feu/poll',
  })
  assert.deepEqual((await server.get('/v1/groups/billing%2Feu/leases')).json(), {
    items: [{ member: 'w-1', expires_at, positions: rest.positions }],
    next_cursor: null,
  })
  const empty = (await server.post(rest.next, { topics: ['orders'] })).json()
  assert.deepEqual(
    { ...empty, generation: 0 },
    { records: [], lease: null, expires_at: null, positions: [], generation: 0, next: rest.next },
  )
  const lasting = await server.post(`/v1/groups/billing%2Feu/leases/${lease}/extend`, { lease_ms: 60_000 })
  assert.ok(Date.parse(lasting.json().expires_at) > Date.parse(expires_at))
  const shorter = await server.request('POST', `/v1/groups/billing%2Feu/leases/${lease}/extend`)
  assert.equal(shorter.status, 200, 'no body is an empty one')
  assert.ok(Date.parse(shorter.json().expires_at) < Date.parse(lasting.json().expires_at))
  const acked = await server.post(`/v1/groups/billing%2Feu/leases/${lease}/ack`, { through: 'all' })
  assert.equal(acked.status, 200)
  assert.deepEqual(acked.json(), {
    lease: null,
    expires_at: null,
    committed: [{ topic: 'orders', partition: 0, offset: 1 }],
  })
  const done = await server.post(`/v1/groups/billing%2Feu/leases/${lease}/extend`, {})
  assert.deepEqual([done.status, done.json().code], [409, 'fenced_lease'])
  assert.match(done.json().detail, /has ended with an ack: what that said is done/)
  const next = (await server.post(rest.next, { topics: ['orders'], wait_ms: 5_000 })).json()
  assert.equal(next.records[0].offset, 1)
  const released = await server.request('POST', `/v1/groups/billing%2Feu/leases/${next.lease}/release`)
  assert.deepEqual(released.json(), { lease: null, expires_at: null, committed: [] })
  const late = await server.post(`/v1/groups/billing%2Feu/leases/${next.lease}/ack`, { through: 'all' })
  assert.equal(late.status, 409)
  assert.equal(late.json().code, 'fenced_lease')
  assert.deepEqual(late.json().details, { lease: next.lease, reason: 'released' })
  const { offsets } = (await server.get('/v1/groups/billing%2Feu')).json()
  assert.equal(offsets[0].committed_offset, 1)
})

test('whose leases are open can be seen, and those of one worker be ended by whoever knows its name', async (t) => {
  const server = await start(t, 4)
  const records = Array.from({ length: 8 }, (_, at) => ({ value: at, partition: at % 4 }))
  await server.post('/v1/topics/orders/records', { records })
  const leasesOf = async (group: string) => (await server.get(`/v1/groups/${group}/leases`)).json().items
  for (const mode of ['exclusive', 'shared']) {
    const poll = async (member: string | undefined, limit: number) => {
      const body = { topics: ['orders'], mode, member, limit, lease_ms: 43_200_000, wait_ms: 5_000 }
      return (await server.post(`/v1/groups/${mode}/poll`, body)).json()
    }
    const release = async (query: string) => await server.request('DELETE', `/v1/groups/${mode}/leases?${query}`)
    const dead = [await poll('dead', 1), await poll('dead', 1)]
    const alive = await poll('alive', 1)
    await poll(undefined, 1)
    const members = (await leasesOf(mode)).map(({ member }: { member: string }) => member)
    assert.deepEqual(members, ['dead', 'dead', 'alive', ''])

    assert.deepEqual((await release('member=nobody')).json(), { released: 0 })
    const released = await release('member=dead')
    assert.deepEqual([released.status, released.json()], [200, { released: 2 }])
    assert.deepEqual((await release('member=dead')).json(), { released: 0 })
    const late = await server.post(`/v1/groups/${mode}/leases/${dead[0].lease}/extend`, {})
    assert.deepEqual([late.status, late.json().code], [409, 'fenced_lease'])
    const said = mode === 'shared' ? { accept: 'all' } : { through: 'all' }
    const kept = await server.post(`/v1/groups/${mode}/leases/${alive.lease}/ack`, said)
    assert.equal(kept.status, 200, 'of another worker it ends nothing')
    assert.deepEqual((await release('member=')).json(), { released: 1 }, 'workers that gave no name')

    const again = await poll('alive', 1)
    assert.deepEqual(again.records[0].offset, dead[0].records[0].offset)
    if (mode === 'shared') assert.equal(again.records[0].attempts, 1, 'the delivery does not count')

    const nameless = await release('')
    assert.deepEqual([nameless.status, nameless.json().code], [400, 'invalid_request'])
    assert.match(nameless.json().detail, /member is missing.*empty/)
    assert.equal((await release('member=a&member=b')).status, 400)
  }
  for (const method of ['GET', 'DELETE'] as const) {
    const unknown = await server.request(method, `/v1/groups/nobody/leases${method === 'GET' ? '' : '?member=w'}`)
    assert.deepEqual([unknown.status, unknown.json().code], [404, 'group_id_not_found'])
  }
})

test('the same ack is answered however often it comes, also while the first is under way', async (t) => {
  const server = await start(t)
  const records = Array.from({ length: 5 }, (_, at) => ({ value: at }))
  for (const mode of ['exclusive', 'shared']) {
    await server.post('/v1/topics/orders/records', { records })
    const { lease } = (await server.post(`/v1/groups/${mode}/poll`, { topics: ['orders'], mode })).json()
    const said = mode === 'shared' ? { accept: 'all' } : { through: 'all' }
    const ack = () => server.post(`/v1/groups/${mode}/leases/${lease}/ack`, said)
    const answers = await Promise.all(Array.from({ length: 4 }, ack))
    answers.push(await ack())
    const [first] = answers
    assert.equal(first?.status, 200, first?.text())
    for (const answer of answers) assert.equal(answer.text(), first?.text())
  }
})

test('what a poll has leased is given to no consumer or subscriber that joins the group, until it is acknowledged', async (t) => {
  const server = await start(t, 4)
  const values = Array.from({ length: 40 }, (_, at) => ({ value: at, partition: at % 4 }))
  await server.post('/v1/topics/orders/records', { records: values })
  const polled = (await server.post('/v1/groups/mix/poll', { topics: ['orders'], lease_ms: 60_000 })).json()
  assert.equal(polled.records.length, 40)
  const consumer = await openConsumer(server, 'mix', { name: 'c', format: 'json', 'auto.offset.reset': 'earliest' })
  await consumer.subscribe('orders')
  const socket = await openSocket(t, server)
  const joining = socket.command({ type: 'subscribe', sub: 'a', topics: ['orders'], group: 'mix' })
  for (let read = 0; read < 5; read++) assert.deepEqual(await consumer.records('?timeout=100'), [])
  const acked = await server.post(`/v1/groups/mix/leases/${polled.lease}/ack`, { through: 'all' })
  assert.equal(acked.status, 200, acked.text())
  assert.deepEqual(
    acked.json().committed.map(({ offset }: { offset: number }) => offset),
    [10, 10, 10, 10],
  )
  await joining
  while ((await consumer.call('GET', '/assignments')).json().partitions.length === 0);
  await server.post('/v1/topics/orders/records', {
    records: [0, 1, 2, 3].map((partition) => ({ partition, value: 'new' })),
  })
  const records = await consumer.readAll(1)
  assert.deepEqual([...new Set(records.map(({ value }) => value))], ['new'])
})

test('a poll waits for a record, and comes as soon as there is one', async (t) => {
  const server = await start(t, 4)
  const waiting = server.post('/v1/groups/g/poll', { topic_pattern: 'ord.*', wait_ms: 30_000 })
  await new Promise((resolve) => setTimeout(resolve, 50))
  await server.post('/v1/topics/orders/records', { records: [{ value: 'x' }] })
  assert.equal((await waiting).json().records.length, 1)
})

test('a stop answers polls that wait', async (t) => {
  const server = await start(t)
  const waiting = server.post('/v1/groups/g/poll', { topics: ['orders'], wait_ms: 30_000 })
  await new Promise((resolve) => setTimeout(resolve, 50))
  await server.close()
  assert.deepEqual((await waiting).json().records, [])
})

test('what is wrong with a poll or an ack is named, and nothing is done', async (t) => {
  const server = await start(t)
  const refused = async (path: string, body: object, status: number, code: string, text: RegExp) => {
    const reply = await server.post(path, body)
    assert.equal(reply.status, status, reply.text())
    assert.equal(reply.json().code, code)
    assert.match(reply.json().detail, text)
  }
  const poll = '/v1/groups/g/poll'
  const topics = ['orders']
  await refused(poll, {}, 400, 'invalid_request', /topics/)
  await refused(poll, { topics: [] }, 400, 'invalid_request', /1 to 1000/)
  await refused(poll, { topics, topic_pattern: 'o.*' }, 400, 'invalid_request', /not both/)
  await refused(poll, { topic_pattern: '(' }, 400, 'invalid_request', /regular expression/)
  await refused(poll, { topics: ['nope'] }, 404, 'unknown_topic_or_partition', /nope/)
  await refused(poll, { topics, lease_ms: 10 }, 400, 'invalid_request', /lease_ms.*1000 to 43200000/)
  await refused(poll, { topics, wait_ms: 100_000 }, 400, 'invalid_request', /wait_ms is 100000.*0 to 60000/)
  await refused(poll, { topics, limit: 0 }, 400, 'invalid_request', /limit/)
  await refused(poll, { topics, limit: 1.5 }, 400, 'invalid_request', /limit/)
  await refused(poll, { topics, lmit: 5 }, 400, 'invalid_request', /did you mean limit/)
  await refused(poll, { topics, from: '5' }, 400, 'invalid_position', /earliest, latest/)
  await refused(poll, { topics, from: 'yesterday' }, 400, 'invalid_position', /yesterday/)
  await refused(poll, { topics, max_attempts: 3 }, 400, 'invalid_request', /shared/)
  await refused(poll, { topics, member: 'x'.repeat(250) }, 400, 'invalid_request', /249/)
  await refused('/v1/groups/%01/poll', { topics }, 400, 'invalid_group_id', /control character/)
  await refused('/v1/groups/nobody/leases/nope/ack', { through: 'all' }, 404, 'group_id_not_found', /'nobody'/)
  const given = (await server.post(poll, { topics })).json()
  assert.equal(given.lease, null)
  await refused('/v1/groups/g/leases//ack', { through: 'all' }, 400, 'invalid_request', /no lease.*null/)
  const lease = '/v1/groups/g/leases/nope'
  await refused(
    `${lease}/ack`,
    { accepted: 'all' },
    400,
    'invalid_request',
    /accepted must be array.*\{"accept":"all"\}/,
  )
  await refused(
    `${lease}/ack`,
    { positions: 'all' },
    400,
    'invalid_request',
    /positions must be array.*\{"through":"all"\}/,
  )
  await refused(`${lease}/ack`, { rejected: 'all' }, 400, 'invalid_request', /rejected must be array$/)
  await refused(`${lease}/ack`, { through: 'all' }, 409, 'fenced_lease', /given out again/)
  await refused(`${lease}/ack`, { through: 'some' }, 400, 'invalid_request', /: \/through must be "all"$/)
  await refused(`${lease}/ack`, { through: 2 }, 400, 'invalid_request', /: \/through must be "all"$/)
  await refused(poll, { topics, mode: 'x' }, 400, 'invalid_request', /mode must be "exclusive" or "shared"/)
  await refused(`${lease}/ack`, { through: 'all', positions: [] }, 400, 'invalid_request', /not both/)
  await refused(`${lease}/extend`, { lease_ms: 0 }, 400, 'invalid_request', /lease_ms/)
  await refused(`${lease}/release`, {}, 409, 'fenced_lease', /lease/)
})

test('a shared group gives records one by one, with their attempts, and puts aside what fails', async (t) => {
  const server = await start(t)
  await server.post('/v1/topics/orders/records', { records: [{ key: 'a', value: 1 }, { value: 2 }, { value: 3 }] })
  const poll = (body: object = {}) => server.post('/v1/groups/q/poll', { topics: ['orders'], mode: 'shared', ...body })
  const first = (await poll({ limit: 2, max_attempts: 2 })).json()
  assert.deepEqual(
    first.records.map(({ offset, attempts }: { offset: number; attempts: number }) => [offset, attempts]),
    [
      [0, 1],
      [1, 1],
    ],
  )
  const other = (await poll()).json()
  assert.deepEqual(other.positions, [{ topic: 'orders', partition: 0, from: 2, through: 2 }])
  const place = (offset: number) => ({ topic: 'orders', partition: 0, offset })
  const said = { rejected: [place(0)], released: [place(1)] }
  const answer = await server.post(`/v1/groups/q/leases/${first.lease}/ack`, said)
  assert.deepEqual(answer.json(), {
    lease: null,
    expires_at: null,
    committed: [],
    accepted: 0,
    released: 1,
    rejected: 1,
    dead_lettered: 1,
  })
  const dead = (await server.get('/v1/topics/orders.dlq/records')).json().records[0]
  assert.equal(dead.key, 'a')
  assert.equal(dead.value, 1)
  const headers = Object.fromEntries(
    dead.headers.map(({ name, value }: { name: string; value: string }) => [name, value]),
  )
  assert.deepEqual(
    { ...headers, 'dlq.origin.timestamp': /^20.*T.*\.\d{3}Z$/.exec(headers['dlq.origin.timestamp']) && 'ISO' },
    {
      'dlq.reason': 'rejected',
      'dlq.attempts': '1',
      'dlq.group': 'q',
      'dlq.origin.topic': 'orders',
      'dlq.origin.partition': '0',
      'dlq.origin.offset': '0',
      'dlq.origin.timestamp': 'ISO',
    },
  )
  const again = (await poll()).json()
  assert.deepEqual([again.records[0].value, again.records[0].attempts], [2, 2])
  for (const { lease } of [again, other]) {
    assert.equal((await server.post(`/v1/groups/q/leases/${lease}/ack`, { accept: 'all' })).json().accepted, 1)
  }
  assert.equal((await server.get('/v1/groups/q')).json().offsets[0].committed_offset, 3)
  const exclusive = await server.post('/v1/groups/q/poll', { topics: ['orders'] })
  assert.equal(exclusive.status, 409)
  assert.equal(exclusive.json().code, 'inconsistent_group_protocol')
})

test('what is leased when the server is stopped was not tried: the same record comes as often as it is stopped', async (t) => {
  const first = await start(t)
  const { dataDir } = first
  await first.post('/v1/topics/orders/records', { records: [{ value: 1 }, { value: 2 }] })
  const asked = { topics: ['orders'], mode: 'shared', max_attempts: 2, lease_ms: 600_000, wait_ms: 5_000, limit: 1 }
  await first.close()
  for (let turn = 0; turn < 3; turn++) {
    const server = await startServer(t, { dataDir })
    const [given, released] = await Promise.all([1, 2].map(() => server.post('/v1/groups/q/poll', asked)))
    for (const reply of [given, released]) assert.equal(reply?.json().records[0]?.attempts, 1, `start ${turn}`)
    await server.post(`/v1/groups/q/leases/${released?.json().lease}/release`, {})
    await server.close()
  }
})

test('what its dead-letter topic does not take is no dead letter yet: it waits, and is told as what waits', async (t) => {
  const server = await start(t)
  await server.post('/v1/topics', { name: 'orders.dlq', partitions: 1, configs: { 'cleanup.policy': 'compact' } })
  await server.post('/v1/topics/orders/records', { records: [{ value: 1 }, { key: 'k', value: 2 }, { value: 3 }] })
  const poll = async () => (await server.post('/v1/groups/q/poll', { topics: ['orders'], mode: 'shared' })).json()
  const { lease } = await poll()
  const ack = async (said: object) => (await server.post(`/v1/groups/q/leases/${lease}/ack`, said)).json()
  const place = (offset: number) => ({ topic: 'orders', partition: 0, offset })
  const answer = await ack({ rejected: [place(0)], keep: true })
  assert.deepEqual([answer.rejected, answer.dead_lettered, answer.dead_letters_waiting], [1, 0, 1])
  const last = await ack({ accept: 'all' })
  assert.deepEqual([last.accepted, last.dead_lettered, last.dead_letters_waiting], [2, 0, undefined])
  const [{ error }] = (await poll()).faults
  assert.deepEqual([error.code, error.retryable], ['invalid_record', false])
  assert.match(error.detail, /orders\.dlq \(they wait until that is mended\)/)
})

test('a dead letter that is given another try and fails again says where it is from once: the latest', async (t) => {
  const server = await start(t)
  await server.post('/v1/topics/orders/records', { records: [{ value: 1, headers: [{ name: 'trace', value: '7' }] }] })
  const asked = { topics: ['orders'], mode: 'shared', wait_ms: 5_000 }
  const rejectNext = async () => {
    const { lease, records } = (await server.post('/v1/groups/q/poll', asked)).json()
    const rejected = [{ topic: 'orders', partition: 0, offset: records[0].offset }]
    assert.equal((await server.post(`/v1/groups/q/leases/${lease}/ack`, { rejected })).json().dead_lettered, 1)
  }
  await rejectNext()
  const exported = await server.get('/v1/topics/orders.dlq/export')
  const imported = await server.post('/v1/topics/orders/import', exported.body, {
    'content-type': 'application/x-ndjson',
  })
  assert.equal(imported.status, 200, imported.text())
  await rejectNext()
  const [, again] = (await server.get('/v1/topics/orders.dlq/records')).json().records
  const headers = (again.headers as { name: string; value: string }[]).map(({ name, value }) => `${name}=${value}`)
  assert.deepEqual(headers.slice(0, -1), [
    'trace=7',
    'dlq.reason=rejected',
    'dlq.attempts=1',
    'dlq.group=q',
    'dlq.origin.topic=orders',
    'dlq.origin.partition=0',
    'dlq.origin.offset=1',
  ])
  assert.match(headers.at(-1) ?? '', /^dlq\.origin\.timestamp=/)
})

test('a shared group is described with what is leased, and what is acknowledged above where it stands', async (t) => {
  const server = await start(t)
  const records = Array.from({ length: 8 }, (_, value) => ({ value }))
  await server.post('/v1/topics/orders/records', { records })
  const poll = async (limit: number) =>
    (await server.post('/v1/groups/q/poll', { topics: ['orders'], mode: 'shared', limit })).json()
  const ack = (lease: string, said: object) => server.post(`/v1/groups/q/leases/${lease}/ack`, said)
  const place = (offset: number) => ({ topic: 'orders', partition: 0, offset })
  const described = async () => {
    const [{ committed_offset, lag, leased, acknowledged }] = (await server.get('/v1/groups/q')).json().offsets
    return { committed_offset, lag, leased, acknowledged }
  }
  const [first, second] = [await poll(2), await poll(4)]
  assert.deepEqual(await described(), { committed_offset: 0, lag: 8, leased: 6, acknowledged: 0 })
  await ack(second.lease, { accepted: [place(2), place(3)], rejected: [place(4)] })
  assert.deepEqual(await described(), { committed_offset: 0, lag: 8, leased: 2, acknowledged: 3 })
  await ack(first.lease, { accept: 'all' })
  assert.deepEqual(await described(), { committed_offset: 5, lag: 3, leased: 0, acknowledged: 0 })
  const { lease } = await poll(1)
  await ack(lease, { released: [place(5)] })
  assert.equal((await described()).leased, 0)
  const exclusive = await server.post('/v1/groups/e/poll', { topics: ['orders'] })
  assert.ok(exclusive.json().lease)
  assert.equal((await server.get('/v1/groups/e')).json().offsets[0].leased, undefined)
})

test('what nobody got is given again at once: a client that went before its reply, and one that took half of it', async (t) => {
  const server = await startServer(t)
  const hangUp = (path: string, body: object, whenSent: (socket: Socket) => void) =>
    new Promise<void>((resolve) => {
      const text = JSON.stringify(body)
      const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${text.length}`
      const socket = connect(server.port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.on('close', () => resolve())
      socket.write(`${head}\r\n\r\n${text}`, () => whenSent(socket))
    })
  const value = 'x'.repeat(400_000)
  for (const mode of ['exclusive', 'shared']) {
    const poll = { topics: [mode], mode, limit: 100, max_bytes: 64_000_000 }
    await server.post('/v1/topics', { name: mode, partitions: 1 })
    for (let at = 0; at < 20; at++) await server.post(`/v1/topics/${mode}/records`, { records: [{ value }] })
    await hangUp(`/v1/groups/${mode}/poll`, poll, (socket) => socket.resetAndDestroy())
    await hangUp(`/v1/groups/${mode}/poll`, poll, (socket) => socket.once('data', () => socket.resetAndDestroy()))
    const next = (await server.post(`/v1/groups/${mode}/poll`, { ...poll, wait_ms: 10_000 })).json()
    assert.equal(next.records.length, 20)
    assert.equal(next.records[0].attempts ?? 1, 1)
  }
})

test('all that a shared poll gives can be acknowledged one by one, whatever its topic is called', async (t) => {
  const server = await startServer(t)
  const topic = 'n'.repeat(245)
  await server.post('/v1/topics', { name: topic, partitions: 1 })
  const records = Array.from({ length: 2_000 }, (_, value) => ({ value }))
  await server.post(`/v1/topics/${topic}/records`, { records })
  const poll = { topics: [topic], mode: 'shared', limit: 2_000 }
  const given = (await server.post('/v1/groups/g/poll', poll)).json()
  assert.equal(given.records.length, 2_000)
  const accepted = given.records.map(({ partition, offset }: { partition: number; offset: number }) => {
    return { topic, partition, offset }
  })
  const acked = await server.post(`/v1/groups/g/leases/${given.lease}/ack`, JSON.stringify({ accepted }, undefined, 1))
  assert.equal(acked.status, 200, acked.text())
  assert.equal(acked.json().accepted, 2_000)
})

test('a shared group is not put where it stands: it would forget what it has accepted above that', async (t) => {
  const server = await start(t)
  await server.post('/v1/topics/orders/records', { records: [{ value: 0 }, { value: 1 }] })
  const poll = { topics: ['orders'], mode: 'shared' }
  const { lease } = (await server.post('/v1/groups/g/poll', poll)).json()
  const accepted = [{ topic: 'orders', partition: 0, offset: 1 }]
  await server.post(`/v1/groups/g/leases/${lease}/ack`, { accepted })
  for (const where of [{ to: 'committed' }, { shift_by: 0 }]) {
    for (const more of [{}, { dry_run: true }, { force: true }]) {
      const refused = await server.request('PATCH', '/v1/groups/g/offsets', { body: { ...where, ...more } })
      assert.deepEqual([refused.status, refused.json().code], [400, 'invalid_position'], refused.text())
    }
  }
  const { records } = (await server.post('/v1/groups/g/poll', poll)).json()
  assert.deepEqual(
    records.map(({ offset }: { offset: number }) => offset),
    [0],
  )
})

test('a group with a lease that is open is deleted by force alone, and the lease is over', async (t) => {
  const server = await start(t)
  await server.post('/v1/topics/orders/records', { records: [{ value: 0 }] })
  for (const mode of ['exclusive', 'shared']) {
    const poll = { topics: ['orders'], mode }
    const { lease } = (await server.post(`/v1/groups/${mode}/poll`, poll)).json()
    const refused = await server.request('DELETE', `/v1/groups/${mode}`)
    assert.deepEqual([refused.status, refused.json().code], [409, 'non_empty_group'])
    assert.match(refused.json().detail, /no lease is open, or with force=true/)
    assert.equal((await server.request('DELETE', `/v1/groups/${mode}?force=true`)).status, 204)
    assert.equal((await server.get(`/v1/groups/${mode}`)).status, 404)
    const said = mode === 'shared' ? { accept: 'all' } : { through: 'all' }
    assert.notEqual((await server.post(`/v1/groups/${mode}/leases/${lease}/ack`, said)).status, 200)
    assert.equal((await server.post(`/v1/groups/${mode}/poll`, poll)).json().records.length, 1)
  }
})

test('a poll that waits while its group is deleted by force goes on in one that is made anew', async (t) => {
  const server = await start(t)
  const waiting = server.post('/v1/groups/w/poll', { topics: ['orders'], wait_ms: 20_000 })
  while ((await server.get('/v1/groups/w')).json().state !== 'Stable')
    await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal((await server.request('DELETE', '/v1/groups/w')).status, 409)
  assert.equal((await server.request('DELETE', '/v1/groups/w?force=true')).status, 204)
  await server.post('/v1/topics/orders/records', { records: [{ value: 1 }] })
  assert.equal((await waiting).json().records.length, 1)
})
