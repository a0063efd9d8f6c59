import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'

/** A server with a topic of two partitions that have three records each. */
async function start(t: TestContext) {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions: 2 })
  const records = [0, 1, 0, 1, 0, 1].map((partition) => ({ value: 'x', partition }))
  await server.post('/v1/topics/orders/records', { records })
  const reset = (group: string, body: object) =>
    server.request('PATCH', `/v1/groups/${encodeURIComponent(group)}/offsets`, { body })
  return { server, reset }
}

test("a group's offsets are set, shown, read from, deleted, and the group with them", async (t) => {
  const { server, reset } = await start(t)
  const made = await reset('billing', { to: '2', topics: ['orders'] })
  assert.equal(made.status, 200)
  assert.deepEqual(made.json(), {
    group: 'billing',
    dry_run: false,
    offsets: [
      { topic: 'orders', partition: 0, previous_offset: null, offset: 2 },
      { topic: 'orders', partition: 1, previous_offset: null, offset: 2 },
    ],
  })
  assert.deepEqual((await server.get('/v1/groups')).json(), {
    items: [{ group: 'billing', state: 'Empty', protocol_type: '' }],
    next_cursor: null,
  })
  const { offsets, ...group } = (await server.get('/v1/groups/billing')).json()
  assert.deepEqual(
    { ...group, generation: 0 },
    { group: 'billing', state: 'Empty', protocol_type: '', protocol: '', generation: 0, members: [] },
  )
  const { committed_at, ...first } = offsets[0]
  assert.ok(Date.now() - Date.parse(committed_at) < 60_000)
  assert.deepEqual(first, {
    topic: 'orders',
    partition: 0,
    committed_offset: 2,
    metadata: '',
    start_offset: 0,
    end_offset: 3,
    lag: 1,
    member_id: null,
  })
  const read = (await server.get('/v1/topics/orders/records?from=committed&group=billing')).json()
  assert.deepEqual(
    read.records.map(({ offset }: { offset: number }) => offset),
    [2, 2],
  )
  const found = (await server.get('/v1/topics/orders/offsets?at=committed&group=billing&partition=1')).json()
  assert.deepEqual(found.items, [{ partition: 1, offset: 2, timestamp: null }])
  const exported = await server.get('/v1/topics/orders/export?until=committed&group=billing')
  assert.match(exported.text(), /"records":4/)

  assert.equal((await server.request('DELETE', '/v1/groups/billing/offsets?topic=orders&partition=0')).status, 204)
  assert.equal((await server.get('/v1/groups/billing')).json().offsets.length, 1)
  const rest = (await server.get('/v1/topics/orders/records?from=committed&group=billing')).json()
  assert.equal(rest.records.length, 4, 'a partition without a committed offset is read from its start')
  assert.equal((await server.request('DELETE', '/v1/groups/billing')).status, 204)
  assert.equal((await server.get('/v1/groups/billing')).status, 404)
  assert.equal((await server.request('DELETE', '/v1/groups/billing')).json().code, 'group_id_not_found')
})

test('a dry run, offsets one by one, a shift, and what is moved to a bound', async (t) => {
  const { server, reset } = await start(t)
  const dry = await reset('g', { to: 'latest', topics: ['orders'], dry_run: true })
  assert.equal(dry.json().dry_run, true)
  assert.deepEqual((await server.get('/v1/groups')).json().items, [])

  await reset('g', { offsets: [{ topic: 'orders', partition: 1, offset: 1 }] })
  const shifted = await reset('g', { shift_by: 1 })
  assert.deepEqual(shifted.json().offsets, [{ topic: 'orders', partition: 1, previous_offset: 1, offset: 2 }])
  const far = await reset('g', { to: '77', partitions: [{ topic: 'orders', partition: 0 }] })
  assert.deepEqual(far.json().offsets, [
    { topic: 'orders', partition: 0, previous_offset: null, offset: 3, adjusted: 'end', requested_offset: 77 },
  ])
  const late = await reset('g', { to: '2999-01-01', topics: ['orders'] })
  assert.deepEqual(
    late.json().offsets.map(({ offset, adjusted }: { offset: number; adjusted: string }) => [offset, adjusted]),
    [
      [3, 'end'],
      [3, 'end'],
    ],
  )
})

test('what a reset of all that a group has committed leaves out of its topics is told', async (t) => {
  const { reset } = await start(t)
  await reset('g', { to: '1', partitions: [{ topic: 'orders', partition: 1 }] })
  for (const more of [{ dry_run: true }, {}]) {
    const some = (await reset('g', { to: 'latest', ...more })).json()
    assert.deepEqual(some.offsets, [{ topic: 'orders', partition: 1, previous_offset: 1, offset: 3 }])
    assert.deepEqual(some.left_out, [{ topic: 'orders', partition: 0 }])
  }
  const named = (await reset('g', { to: 'latest', partitions: [{ topic: 'orders', partition: 1 }] })).json()
  assert.equal(named.left_out, undefined)
  const all = (await reset('g', { to: 'latest', topics: ['orders'] })).json()
  assert.deepEqual([all.offsets.length, all.left_out], [2, undefined])
  assert.equal((await reset('g', { to: 'latest' })).json().left_out, undefined)
})

test('groups may have any name, percent-encoded in the path', async (t) => {
  const { server, reset } = await start(t)
  for (const name of ['a/b', 'with space', '...', 'Größe', '%2F', 'x?y#z', 'x'.repeat(249)]) {
    assert.equal((await reset(name, { to: 'earliest', topics: ['orders'] })).status, 200, name)
    assert.equal((await server.get(`/v1/groups/${encodeURIComponent(name)}`)).json().group, name)
    assert.equal((await server.request('DELETE', `/v1/groups/${encodeURIComponent(name)}`)).status, 204, name)
  }
  for (const name of ['x'.repeat(250), 'a%0Ab', '%2e']) {
    const reply = await server.get(`/v1/groups/${name}`)
    assert.equal(reply.json().code, 'invalid_group_id', name)
  }
})

test('a long list of groups comes in pages', async (t) => {
  const { server, reset } = await start(t)
  for (const name of ['c', 'a', 'b']) await reset(name, { to: 'earliest', topics: ['orders'] })
  const names: string[] = []
  for (let cursor = ''; ; ) {
    const page = (await server.get(`/v1/groups?limit=2${cursor}`)).json()
    names.push(...page.items.map(({ group }: { group: string }) => group))
    if (page.next_cursor === null) break
    cursor = `&cursor=${page.next_cursor}`
  }
  assert.deepEqual(names, ['a', 'b', 'c'])
  assert.equal((await server.get('/v1/groups?cursor=%21')).json().code, 'invalid_cursor')
})

test('what is wrong is said, and nothing is changed', async (t) => {
  const { server, reset } = await start(t)
  await reset('g', { to: '1', topics: ['orders'] })
  const refused: [body: object, status: number, code: string, detail: RegExp][] = [
    [{}, 400, 'invalid_request', /one of to, shift_by and offsets/],
    [{ to: 'latest', shift_by: 1 }, 400, 'invalid_request', /one of to, shift_by and offsets/],
    [{ to: 'newest' }, 400, 'invalid_position', /earliest, latest/],
    [{ to: '-5' }, 400, 'invalid_position', /shift_by/],
    [{ to: 'latest', topic: 'orders' }, 400, 'invalid_request', /did you mean topics\?/],
    [{ to: 5 }, 400, 'invalid_request', /write "5"/],
    [{ shift_by: 1.5 }, 400, 'invalid_request', /must be integer/],
    [
      { offsets: [{ topic: 'orders', partition: 0, offset: -1 }] },
      400,
      'invalid_request',
      /offset is -1; an integer from 0 to/,
    ],
    [{ offsets: [], topics: ['orders'] }, 400, 'invalid_request', /offsets names its partitions/],
    [{ to: 'latest', topics: ['nowhere'] }, 404, 'unknown_topic_or_partition', /nowhere/],
    [{ to: 'latest', partitions: [{ topic: 'orders', partition: 9 }] }, 404, 'unknown_topic_or_partition', /0 to 1/],
  ]
  for (const [body, status, code, detail] of refused) {
    const reply = await reset('g', body)
    assert.deepEqual([reply.status, reply.json().code], [status, code], JSON.stringify(body))
    assert.match(reply.json().detail, detail)
  }
  const offsets = (await server.get('/v1/groups/g')).json().offsets
  assert.deepEqual(
    offsets.map(({ committed_offset }: { committed_offset: number }) => committed_offset),
    [1, 1],
  )
  assert.equal((await reset('nobody', { to: 'latest' })).json().code, 'group_id_not_found')
  assert.match((await server.request('DELETE', '/v1/groups/g/offsets')).json().detail, /topic is missing/)
  const unknown = await server.request('DELETE', '/v1/groups/nobody/offsets?topic=orders')
  assert.equal(unknown.json().code, 'group_id_not_found')
})

test('offsets go with their topic, and a group that stands where records are gone is told so', async (t) => {
  const { server, reset } = await start(t)
  await reset('g', { to: 'earliest', topics: ['orders'] })
  await server.request('DELETE', '/v1/topics/orders/partitions/0/records?before=2')
  const gone = await server.get('/v1/topics/orders/records?from=committed&group=g')
  assert.equal(gone.json().code, 'offset_out_of_range')
  const passed = (await server.get('/v1/topics/orders/records?from=committed&group=g&on_gap=earliest')).json()
  assert.deepEqual(passed.gaps, [{ topic: 'orders', partition: 0, from: 0, to: 2, reason: 'removed' }])
  await server.request('DELETE', '/v1/topics/orders')
  await server.post('/v1/topics', { name: 'orders', partitions: 2 })
  assert.deepEqual((await server.get('/v1/groups/g')).json().offsets, [])
})

test('what stands for workers that have gone is in the way of nothing, and for one that holds a lease it is', async (t) => {
  const { server, reset } = await start(t)
  const poll = async () => (await server.post('/v1/groups/g/poll', { topics: ['orders'], wait_ms: 5_000 })).json()
  const { lease } = await poll()
  const described = (await server.get('/v1/groups/g')).json()
  assert.equal(described.state, 'Stable')
  assert.deepEqual(described.members[0].topics, ['orders'])
  assert.equal(described.offsets[0].member_id, described.members[0].member_id)
  const refused = await reset('g', { to: 'latest' })
  assert.deepEqual([refused.status, refused.json().code], [409, 'non_empty_group'])
  assert.equal((await server.request('DELETE', '/v1/groups/g')).json().code, 'non_empty_group')
  const forgetting = await server.request('DELETE', '/v1/groups/g/offsets?topic=orders')
  assert.equal(forgetting.json().code, 'group_subscribed_to_topic')

  const forced = await reset('g', { to: 'latest', force: true })
  assert.equal(forced.status, 200, forced.text())
  const late = await server.post(`/v1/groups/g/leases/${lease}/ack`, { through: 'all' })
  assert.equal(late.json().code, 'fenced_lease', 'what was leased before cannot be acknowledged after')
  const offsets = (await server.get('/v1/groups/g')).json().offsets
  assert.deepEqual(
    offsets.map(({ lag }: { lag: number }) => lag),
    [0, 0],
  )

  assert.equal((await reset('g', { to: 'earliest' })).status, 200, 'no lease is open')
  const again = await poll()
  assert.ok(again.records.length > 0)
  await server.post(`/v1/groups/g/leases/${again.lease}/ack`, { through: 'all' })
  assert.equal((await server.request('DELETE', '/v1/groups/g')).status, 204)
})

test('what a work queue has done above its offset is forgotten with a reset', async (t) => {
  const { server, reset } = await start(t)
  const body = { topics: ['orders'], mode: 'shared', wait_ms: 5_000 }
  const given = async () => {
    const records: Record<string, number>[] = []
    while (records.length < 6) {
      const polled = (await server.post('/v1/groups/q/poll', body)).json()
      assert.ok(polled.lease, 'there is more')
      await server.post(`/v1/groups/q/leases/${polled.lease}/ack`, { accept: 'all' })
      records.push(...polled.records)
    }
    return records.map(({ partition, offset, attempts }) => [partition, offset, attempts]).sort()
  }
  const all = [0, 1].flatMap((partition) => [0, 1, 2].map((offset) => [partition, offset, 1]))
  assert.deepEqual(await given(), all)
  assert.equal((await server.get('/v1/groups/q')).json().protocol_type, 'shared')
  assert.equal((await reset('q', { to: 'earliest' })).status, 200)
  assert.deepEqual(await given(), all)
  assert.equal((await server.request('DELETE', '/v1/groups/q')).status, 204)
  assert.deepEqual(await given(), all)
})

test('a record is a dead letter once in each pass of its queue: a reset to before it begins the next', async (t) => {
  const { server, reset } = await start(t)
  const rejectAll = async () => {
    for (let left = 6; left > 0; ) {
      const body = { topics: ['orders'], mode: 'shared', wait_ms: 5_000 }
      const { records, lease } = (await server.post('/v1/groups/q/poll', body)).json()
      assert.ok(records.length > 0, 'there is more')
      const rejected = (records as { topic: string; partition: number; offset: number }[]).map(
        ({ topic, partition, offset }) => ({ topic, partition, offset }),
      )
      const ack = await server.post(`/v1/groups/q/leases/${lease}/ack`, { rejected })
      assert.equal(ack.status, 200, ack.text())
      left -= records.length
    }
  }
  const deadLetters = async () => {
    const { records } = (await server.get('/v1/topics/orders.dlq/records?from=earliest')).json()
    return (records as { headers: { name: string; value: string }[] }[])
      .map(({ headers }) => {
        const of = new Map(headers.map(({ name, value }) => [name, value]))
        return `${of.get('dlq.origin.partition')}:${of.get('dlq.origin.offset')} ${of.get('dlq.reason')}`
      })
      .sort()
  }
  const all = ['0:0', '0:1', '0:2', '1:0', '1:1', '1:2'].map((place) => `${place} rejected`)
  await rejectAll()
  assert.deepEqual(await deadLetters(), all)
  assert.equal((await reset('q', { to: 'latest' })).status, 200)
  assert.deepEqual((await server.post('/v1/groups/q/poll', { topics: ['orders'], mode: 'shared' })).json().records, [])
  assert.equal((await reset('q', { to: '1', force: true })).status, 200)
  await server.post('/v1/topics/orders/records', { records: [0, 1].map((partition) => ({ value: 'y', partition })) })
  await rejectAll()
  const again = all.filter((place) => !place.includes(':0 ')).concat('0:3 rejected', '1:3 rejected')
  assert.deepEqual(await deadLetters(), [...all, ...again].sort())
})
