// Groups and work queues over WebSocket, with real sockets. Every frame in both directions is held against its schema.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import type { Frame, FramePartition, FrameRecord, SentFrame, TestSocket } from '../support/ws-client.ts'
import { openSocket } from '../support/ws-client.ts'

interface TestContext {
  after(cleanUp: () => Promise<void> | void): void
}

async function startWithTopic(t: TestContext, partitions = 2): Promise<TestServer> {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions })
  return server
}

async function produce(server: TestServer, partition: number, ...values: readonly unknown[]): Promise<void> {
  const reply = await server.post('/v1/topics/orders/records', {
    records: values.map((value) => ({ value, partition })),
  })
  assert.equal(reply.status, 200, String(reply.body))
}

async function join(socket: TestSocket, asked: Partial<SentFrame> = {}) {
  return await socket.command({ type: 'subscribe', sub: 'a', topics: ['orders'], group: 'g', ...asked })
}

/** What is assigned until there are so many. */
async function assigned(socket: TestSocket, count: number): Promise<readonly FramePartition[]> {
  const partitions: FramePartition[] = []
  while (partitions.length < count) {
    partitions.push(...((await socket.take('assigned'))['partitions'] as readonly FramePartition[]))
  }
  return partitions
}

const places = (records: readonly FrameRecord[]) => records.map(({ partition, offset }) => `${partition}:${offset}`)

/** What the group says of its members and offsets. */
async function describe(server: TestServer): Promise<{
  readonly members: readonly { readonly client_id: string; readonly host: string }[]
  readonly offsets: Record<string, number | null>
}> {
  const { body } = await server.get('/v1/groups/g')
  const group = JSON.parse(String(body))
  const offsets = group.offsets.map((one: { topic: string; partition: number; committed_offset: number | null }) => [
    `${one.topic}-${one.partition}`,
    one.committed_offset,
  ])
  return { members: group.members, offsets: Object.fromEntries(offsets) }
}

test('two members share a topic; when one is cut off its partitions go to the other, from where it has committed', async (t) => {
  const server = await startWithTopic(t)
  for (const partition of [0, 1]) await produce(server, partition, 1, 2)
  const first = await openSocket(t, server)
  assert.deepEqual((await join(first)).assignment, [])
  assert.deepEqual(
    (await assigned(first, 2)).map(({ partition, position }) => [partition, position]),
    [
      [0, 0],
      [1, 0],
    ],
  )
  const given = await first.records('a', 4)
  assert.equal(new Set(places(given)).size, 4)
  const { cursor } = first.received.filter(({ type }) => type === 'records').at(-1) ?? {}
  assert.deepEqual((await first.command({ type: 'commit', sub: 'a', cursor }))['committed'], [
    { topic: 'orders', partition: 0 },
    { topic: 'orders', partition: 1 },
  ])
  const second = await openSocket(t, server)
  await join(second)
  const [moved] = (await first.take('revoked'))['partitions'] as readonly FramePartition[]
  assert.deepEqual(await assigned(second, 1), [{ topic: 'orders', partition: moved?.partition, position: 2 }])
  for (const partition of [0, 1]) await produce(server, partition, 3)
  const [own] = await first.records('a', 1)
  const [other] = await second.records('a', 1)
  assert.deepEqual([own?.offset, other?.offset], [2, 2])
  assert.equal(other?.partition, moved?.partition)
  const refused = await first.ask({
    type: 'commit',
    sub: 'a',
    positions: [0, 1].map((partition) => ({ topic: 'orders', partition, offset: 3 })),
  })
  assert.equal(refused.code, 'illegal_generation')
  assert.deepEqual(refused.details?.['refused'], [{ topic: 'orders', partition: moved?.partition }])
  assert.deepEqual(refused.details?.['committed'], [{ topic: 'orders', partition: own?.partition }])
  first.socket.terminate()
  assert.deepEqual(await assigned(second, 1), [{ topic: 'orders', partition: own?.partition, position: 3 }])
  await produce(server, own?.partition ?? 0, 4)
  assert.deepEqual(places(await second.records('a', 1)), [`${own?.partition}:3`])
})

test('others wait for what was sent to be committed, or released; nothing is given twice', async (t) => {
  const server = await startWithTopic(t)
  for (const partition of [0, 1]) await produce(server, partition, 1, 2)
  const first = await openSocket(t, server)
  await join(first)
  await first.records('a', 4)
  const second = await openSocket(t, server)
  const joining = join(second)
  const revoked = await first.take('revoked')
  assert.equal(revoked['deadline_ms'], 5000)
  const [moved] = revoked['partitions'] as readonly FramePartition[]
  await first.command({ type: 'commit', sub: 'a', positions: [{ ...moved, offset: 2 }] })
  await joining
  assert.deepEqual(await assigned(second, 1), [{ topic: 'orders', partition: moved?.partition, position: 2 }])
  const third = await openSocket(t, server)
  await first.command({ type: 'unsubscribe', sub: 'a' })
  await assigned(second, 1)
  await second.records('a', 2)
  const thirdJoins = join(third)
  await second.take('revoked')
  await second.command({ type: 'release', sub: 'a' })
  await thirdJoins
  const [last] = await assigned(third, 1)
  // the group's, where it was committed: what second did not commit comes again
  assert.equal(last?.position, last?.partition === moved?.partition ? 2 : 0)
})

test('a client that comes back under its name has its place; one that takes it puts the other out', async (t) => {
  const server = await startWithTopic(t)
  await produce(server, 0, 1, 2)
  const first = await openSocket(t, server, { headers: { 'x-client-id': 'billing-1' } })
  await join(first, { member: 'w-1' })
  await first.records('a', 2)
  await first.command({ type: 'commit', sub: 'a', positions: [{ topic: 'orders', partition: 0, offset: 1 }] })
  const { members } = await describe(server)
  assert.deepEqual(
    members.map(({ client_id, host }) => [client_id, host.includes('127.0.0.1')]),
    [['billing-1', true]],
  )
  first.socket.terminate()
  await first.closed
  const again = await openSocket(t, server)
  const { generation, member_id } = await join(again, { member: 'w-1' })
  assert.deepEqual(places(await again.records('a', 1)), ['0:1'])
  const taker = await openSocket(t, server)
  const taken = await join(taker, { member: 'w-1' })
  assert.deepEqual([taken['generation'], taken['member_id']], [generation, member_id])
  assert.equal((await again.closed).code, 4409)
  const told = again.received.filter(({ type }) => type === 'error' || type === 'end')
  assert.deepEqual(
    told.map(({ code, reason }) => code ?? reason),
    ['fenced_instance_id', 'error'],
  )
  assert.deepEqual(places(await taker.records('a', 1)), ['0:1'])
  const twice = await taker.ask({ type: 'subscribe', sub: 'b', topics: ['orders'], group: 'g', member: 'w-1' })
  assert.equal(twice.code, 'invalid_request')
  await taker.close(1000)
  for (let tries = 0; (await describe(server)).members.length > 0; tries++) assert.ok(tries < 100, 'it leaves')
})

test('commits by itself what new credit was granted for', async (t) => {
  const server = await startWithTopic(t, 1)
  await produce(server, 0, 1, 2, 3, 4)
  const socket = await openSocket(t, server)
  await join(socket, { auto_commit_ms: 1000, credit: { records: 2 }, batch: { records: 1 } })
  await socket.records('a', 2)
  await socket.command({ type: 'credit', sub: 'a', records: 1 })
  await socket.records('a', 1)
  await socket.command({ type: 'unsubscribe', sub: 'a' })
  assert.deepEqual((await describe(server)).offsets, { 'orders-0': 1 })
})

test('a seek is heeded, and a tail that has come to its end can commit still', async (t) => {
  const server = await startWithTopic(t, 1)
  await produce(server, 0, 1, 2, 3)
  const socket = await openSocket(t, server)
  await join(socket, { until: { count: 4 } })
  await socket.records('a', 3)
  const { gen } = await socket.command({ type: 'seek', sub: 'a', to: 'earliest' })
  const again = await socket.take((frame) => frame.type === 'records' && frame.gen === gen)
  assert.equal(again.records?.[0]?.offset, 0)
  await socket.take('end')
  await socket.command({ type: 'commit', sub: 'a', cursor: again.cursor })
  assert.deepEqual((await describe(server)).offsets, { 'orders-0': 1 })
})

test('in a group `until` is where it is when partitions are assigned', async (t) => {
  const server = await startWithTopic(t)
  for (const partition of [0, 1]) await produce(server, partition, 1, 2)
  const socket = await openSocket(t, server)
  await join(socket, { until: 'latest' })
  await socket.take('end')
  const told = socket.received.map(({ type, caught_up }) => (type === 'progress' ? `caught_up ${caught_up}` : type))
  const [first, ...others] = told.filter((type) => !['hello', 'ok', 'caught_up true'].includes(type))
  assert.deepEqual([first, others.at(-1)], ['assigned', 'end'])
  assert.equal((await socket.records('a', 4)).length, 4)
  const refused = await socket.ask({ type: 'subscribe', sub: 'b', topics: ['orders'], group: 'h', until: '7' })
  assert.equal(refused.code, 'invalid_position')
  assert.match(refused.message ?? '', /in a group, until is latest, a time/)
})

test('what is asked of a group that it cannot have is refused, and the name is free again', async (t) => {
  const server = await startWithTopic(t)
  const socket = await openSocket(t, server)
  const codeOf = async (frame: SentFrame) => (await socket.ask(frame)).code
  const subscribe = { type: 'subscribe', sub: 'a', topics: ['orders'], group: 'g' }
  assert.equal(await codeOf({ ...subscribe, mode: 'shared', auto_commit_ms: 1000 }), 'invalid_request')
  assert.equal(await codeOf({ ...subscribe, lease_ms: 1000 }), 'invalid_request')
  assert.equal(await codeOf({ ...subscribe, from: '7' }), 'invalid_position')
  assert.equal(await codeOf({ ...subscribe, topics: ['nothing'] }), 'unknown_topic_or_partition')
  assert.equal(await codeOf({ ...subscribe, group: 'a/b\n' }), 'invalid_group_id')
  assert.equal(await codeOf({ ...subscribe, session_timeout_ms: 1 }), 'invalid_session_timeout')
  assert.equal(await codeOf({ ...subscribe, partitions: [{ topic: 'orders', partition: 0 }] }), 'invalid_request')
  await socket.command({ ...subscribe, mode: 'shared' })
  assert.equal(await codeOf({ ...subscribe, sub: 'b' }), 'inconsistent_group_protocol')
  assert.equal(await codeOf({ type: 'commit', sub: 'a', cursor: 'x' }), 'invalid_request')
  assert.equal(await codeOf({ type: 'release', sub: 'a' }), 'invalid_request')
  await socket.command({ ...subscribe, sub: 'c', group: 'h' })
  assert.equal(await codeOf({ ...subscribe, sub: 'd', group: 'h', mode: 'shared' }), 'inconsistent_group_protocol')
  const records = [{ topic: 'orders', partition: 0, offset: 0 }]
  assert.equal(await codeOf({ type: 'ack', sub: 'c', outcome: 'accept', records }), 'invalid_request')
  assert.equal(await codeOf({ type: 'commit', sub: 'c', group: 'other', cursor: 'x' }), 'invalid_request')
  assert.equal(await codeOf({ type: 'commit', sub: 'c', cursor: 'x' }), 'invalid_cursor')
})

test('a subscribe that names no session timeout is given one that the server takes', async (t) => {
  for (const set of [{ 'group.min.session.timeout.ms': '15000' }, { 'group.max.session.timeout.ms': '5000' }]) {
    const server = await startServer(t, { set })
    await server.post('/v1/topics', { name: 'orders', partitions: 2 })
    const socket = await openSocket(t, server)
    assert.notEqual((await join(socket))['member_id'], undefined)
    const named = { type: 'subscribe', sub: 'b', topics: ['orders'], group: 'h', session_timeout_ms: 10_000 }
    assert.equal((await socket.ask(named)).code, 'invalid_session_timeout')
  }
})

test('who asks for a group of the other kind is told how to ask, as it has asked', async (t) => {
  const server = await startWithTopic(t)
  const socket = await openSocket(t, server)
  await join(socket, { group: 'queue', mode: 'shared' })
  await join(socket, { sub: 'b', group: 'members' })
  await server.post('/v1/groups/polled/poll', { topics: ['orders'] })
  const subscribed = async (group: string, mode: string) => {
    const { code, message } = await socket.ask({ type: 'subscribe', sub: 'c', topics: ['orders'], group, mode })
    assert.equal(code, 'inconsistent_group_protocol')
    return message ?? ''
  }
  const polled = async (group: string, mode: string) => {
    return String((await server.post(`/v1/groups/${group}/poll`, { topics: ['orders'], mode })).body)
  }
  assert.match(await subscribed('queue', 'group'), /is shared, .*; subscribe with mode shared, or use another group/)
  for (const group of ['members', 'polled']) {
    assert.match(await subscribed(group, 'shared'), /is exclusive, .*; subscribe with mode group, or use another group/)
    assert.match(await polled(group, 'shared'), /is exclusive, .*; poll it with mode exclusive, or use another group/)
  }
  assert.match(await polled('queue', 'exclusive'), /is shared, .*; poll it with mode shared, or use another group/)
})

test('a queue: each record is with one worker, and a poison record comes to the dead letters', async (t) => {
  const server = await startWithTopic(t, 1)
  await produce(server, 0, 'a', 'poison', 'c')
  const shared = { mode: 'shared', max_attempts: 2, credit: { records: 10 } }
  const first = await openSocket(t, server)
  await join(first, shared)
  const given = await first.records('a', 3)
  assert.deepEqual(
    given.map(({ offset, attempts }) => [offset, attempts]),
    [
      [0, 1],
      [1, 1],
      [2, 1],
    ],
  )
  const ack = (socket: TestSocket, outcome: string, ...offsets: readonly number[]) =>
    socket.ask({
      type: 'ack',
      sub: 'a',
      outcome,
      records: offsets.map((offset) => ({ topic: 'orders', partition: 0, offset })),
    })
  assert.equal((await ack(first, 'accept', 0))['accepted'], 1)
  assert.equal((await ack(first, 'extend', 1, 2))['extended'], 2)
  assert.equal((await ack(first, 'accept', 0)).code, 'fenced_lease')
  const second = await openSocket(t, server)
  await join(second, shared)
  // it dies of the poison
  first.socket.terminate()
  const again = await second.records('a', 2)
  assert.deepEqual(
    again.map(({ offset, attempts }) => [offset, attempts]),
    [
      [1, 2],
      [2, 2],
    ],
  )
  assert.deepEqual((await ack(second, 'release', 1))['dead_lettered'], 1)
  assert.equal((await ack(second, 'accept', 2))['accepted'], 1)
  const dead = await server.get('/v1/topics/orders.dlq/records')
  const letters = JSON.parse(String(dead.body)) as { records: readonly FrameRecord[] }
  assert.deepEqual(
    letters.records.map(({ value }) => value),
    ['poison'],
  )
  assert.deepEqual((await describe(server)).offsets, { 'orders-0': 3 })
})

test('a worker that closes its socket gives back what it has, and that does not count', async (t) => {
  const server = await startWithTopic(t, 1)
  await produce(server, 0, 'a')
  for (let turn = 0; turn < 3; turn++) {
    const socket = await openSocket(t, server)
    await join(socket, { mode: 'shared', max_attempts: 2 })
    assert.equal((await socket.records('a', 1))[0]?.attempts, 1)
    await socket.close(1000)
  }
})

test('what a worker has when the server is stopped was not tried', async (t) => {
  const first = await startWithTopic(t, 1)
  await produce(first, 0, 'a')
  await first.close()
  for (let turn = 0; turn < 3; turn++) {
    const server = await startServer(t, { dataDir: first.dataDir })
    const socket = await openSocket(t, server)
    await join(socket, { mode: 'shared', max_attempts: 2 })
    assert.equal((await socket.records('a', 1))[0]?.attempts, 1)
    await server.close()
  }
})

test('what a worker rejects and the dead-letter topic does not take is counted as waiting', async (t) => {
  const server = await startWithTopic(t, 1)
  await server.post('/v1/topics', { name: 'orders.dlq', partitions: 1, configs: { 'cleanup.policy': 'compact' } })
  await produce(server, 0, 'a')
  const socket = await openSocket(t, server)
  await join(socket, { mode: 'shared' })
  await socket.records('a', 1)
  const records = [{ topic: 'orders', partition: 0, offset: 0 }]
  const answer = await socket.ask({ type: 'ack', sub: 'a', outcome: 'reject', records })
  assert.deepEqual([answer['rejected'], answer['dead_lettered'], answer['dead_letters_waiting']], [1, 0, 1])
})

test('a worker that is paused is given nothing', async (t) => {
  const server = await startWithTopic(t, 1)
  const [idle, busy] = [await openSocket(t, server), await openSocket(t, server)]
  for (const socket of [idle, busy]) await join(socket, { mode: 'shared' })
  await idle.command({ type: 'pause', sub: 'a' })
  await produce(server, 0, 'a', 'b')
  await busy.records('a', 2)
  await busy.command({ type: 'unsubscribe', sub: 'a' })
  await idle.command({ type: 'resume', sub: 'a' })
  await idle.records('a', 2)
})

test('a lease poll, a consumer of v2 and a member over WebSocket share one group', async (t) => {
  const server = await startWithTopic(t, 3)
  const socket = await openSocket(t, server)
  await join(socket)
  await assigned(socket, 3)
  const polling = server.post('/v1/groups/g/poll', { topics: ['orders'], wait_ms: 5000 })
  await socket.take('revoked')
  const v2 = { 'content-type': 'application/vnd.kafka.v2+json' }
  await server.request('POST', '/consumers/g', {
    headers: v2,
    body: '{"name":"c","format":"json","auto.offset.reset":"earliest"}',
  })
  await server.request('POST', '/consumers/g/instances/c/subscription', { headers: v2, body: '{"topics":["orders"]}' })
  await socket.take('revoked')
  for (const partition of [0, 1, 2]) await produce(server, partition, 1)
  const [own] = await socket.records('a', 1)
  const polled = JSON.parse(String((await polling).body)) as { records: readonly FrameRecord[] }
  const read: FrameRecord[] = []
  for (let tries = 0; read.length === 0; tries++) {
    assert.ok(tries < 20, 'the consumer of v2 is given its share')
    const { body } = await server.request('GET', '/consumers/g/instances/c/records?timeout=500', {
      headers: { accept: 'application/vnd.kafka.json.v2+json' },
    })
    read.push(...(JSON.parse(String(body)) as FrameRecord[]))
  }
  const all = [own, ...polled.records, ...read].map((record) => record?.partition)
  assert.deepEqual(all.toSorted(), [0, 1, 2])
})

/** What members were told, as it came: what a socket has had no time to look at yet was given nevertheless. */
class Ledger {
  /** Places of records. */
  readonly given = new Set<string>()
  readonly wrongs: string[] = []
  /** By partition: what was answered to be committed; what was given before it was revoked, which its owner commits in time. */
  readonly committed = new Map<number, number>()
  readonly left = new Map<number, number>()
  /** Who was the last to begin it, and where. */
  readonly begun = new Map<number, { readonly by: Member; readonly at: number }>()

  check(isSo: boolean, wrong: string): void {
    if (!isSo) this.wrongs.push(wrong)
  }
}

class Member {
  readonly socket: TestSocket
  givenCount = 0
  readonly #ledger: Ledger
  /** What comes next of each partition that is its own. */
  readonly #next = new Map<number, number>()
  /** Where all of them stood behind each cursor. */
  readonly #cursors = new Map<string, ReadonlyMap<number, number>>()
  /** The cursor that it commits. */
  #asked = ''

  constructor(socket: TestSocket, ledger: Ledger) {
    this.socket = socket
    this.#ledger = ledger
    socket.socket.on('message', (data) => this.#came(JSON.parse(String(data)) as Frame))
  }

  /** Commits the cursors of all that it is given, one after the other. */
  async work(): Promise<void> {
    for (;;) {
      const { cursor = '' } = await this.socket.take('records')
      this.#asked = cursor
      const answer = await this.socket.ask({ type: 'commit', sub: 'a', cursor })
      // it has left meanwhile
      if (answer.code === 'subscription_not_found') return
      this.#ledger.check(answer.type === 'ok' || answer.code === 'illegal_generation', JSON.stringify(answer))
    }
  }

  #came(frame: Frame): void {
    const { deadline_ms: deadlineMs } = frame
    const partitions = (frame['partitions'] ?? []) as readonly FramePartition[]
    const committed = (frame['committed'] ?? frame.details?.['committed'] ?? []) as readonly FramePartition[]
    if (frame.type === 'records') this.#take(frame)
    if (frame.type === 'assigned') for (const { partition, position } of partitions) this.#begin(partition, position)
    if (frame.type === 'revoked') for (const { partition } of partitions) this.#leave(partition, Number(deadlineMs))
    for (const { partition } of committed) this.#committed(partition)
  }

  #begin(partition: number, at: number): void {
    const { committed, left, begun } = this.#ledger
    const known = Math.max(committed.get(partition) ?? 0, left.get(partition) ?? 0)
    this.#ledger.check(at >= known, `${partition} begins at ${at}, ${known} was committed, or given to be so`)
    this.#next.set(partition, at)
    begun.set(partition, { by: this, at })
  }

  #leave(partition: number, deadlineMs: number): void {
    if (deadlineMs > 0) this.#ledger.left.set(partition, this.#next.get(partition) ?? 0)
    this.#next.delete(partition)
  }

  #take({ records = [], cursor = '' }: Frame): void {
    for (const { partition, offset } of records) {
      const next = this.#next.get(partition)
      this.#ledger.check(offset === next, `${partition}:${offset} is given, ${next ?? 'nothing'} comes next`)
      this.#next.set(partition, offset + 1)
      this.#ledger.given.add(`${partition}:${offset}`)
    }
    this.givenCount += records.length
    this.#cursors.set(cursor, new Map(this.#next))
  }

  #committed(partition: number): void {
    const { committed, begun } = this.#ledger
    const offset = this.#cursors.get(this.#asked)?.get(partition) ?? Number.NaN
    const last = begun.get(partition)
    const isBehind = last?.by === this || offset <= (last?.at ?? -1)
    this.#ledger.check(isBehind, `${partition} begins at ${last?.at} with its next owner, ${offset} is committed`)
    committed.set(partition, Math.max(offset, committed.get(partition) ?? 0))
  }
}

test('while records flow members come and go: nothing is lost, and what was committed, or revoked in time to be so, is given to nobody again', async (t) => {
  const server = await startServer(t, { set: { 'partition.assignment.strategy': 'cooperative-sticky' } })
  await server.post('/v1/topics', { name: 'orders', partitions: 4 })
  let isOver = false
  let sent = 0
  const producing = (async () => {
    for (; !isOver; sent++) await produce(server, sent % 4, sent)
  })()
  const ledger = new Ledger()
  const comes = async () => {
    const socket = await openSocket(t, server)
    const member = new Member(socket, ledger)
    await join(socket, { batch: { records: 5 }, release_ms: 30_000 })
    // ends with its socket
    member.work().catch(() => undefined)
    return member
  }
  const grown = async (member: Member, more = 20) => {
    const enough = member.givenCount + more
    for (let tries = 0; member.givenCount < enough; tries++) {
      assert.ok(tries < 1_000, 'it is given more')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const first = await comes()
  await grown(first)
  const second = await comes()
  await grown(second)
  const third = await comes()
  await grown(third)
  await grown(first)
  // one says that it goes, one does not
  await second.socket.command({ type: 'unsubscribe', sub: 'a' })
  third.socket.socket.terminate()
  await third.socket.closed
  await grown(first)
  isOver = true
  await producing
  for (let tries = 0; ledger.given.size < sent; tries++) {
    assert.ok(tries < 500, `${ledger.given.size} of ${sent} were given`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.deepEqual(ledger.wrongs, [])
  const revoked = first.socket.received.filter(({ type }) => type === 'revoked')
  assert.ok(
    revoked.length > 0 && revoked.every((frame) => (frame['partitions'] as unknown[]).length < 4),
    'it keeps some',
  )
})
