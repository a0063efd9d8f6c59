// Live streams with an expression: what comes through is what a reader of everything would pick, over connections that are
// cut anywhere, and the cursor moves on where nothing comes through.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventClient } from '../support/event-client.ts'
import { startServer } from '../support/http.ts'
import { Random } from '../support/random.ts'

const TIMEOUT = { timeout: 30_000 }

test('an expression picks for a stream what it picks for a page, cut anywhere and resumed', TIMEOUT, async (t) => {
  const seed = Number(process.env['TAILRACE_TEST_SEED'] ?? Date.now() % 1_000_000)
  t.diagnostic(`seed ${seed}`)
  const random = new Random(seed)
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions: 3 })
  const wanted: number[] = []
  let made = 0
  const produce = async () => {
    const records = Array.from({ length: 1 + random.below(40) }, () => {
      const value = random.below(8) === 0 ? { at: made } : { at: made, total: random.below(100) }
      if ('total' in value && value.total > 80) wanted.push(made)
      made++
      return { key: `k-${random.below(9)}`, value }
    })
    assert.equal((await server.post('/v1/topics/orders/records', { records })).status, 200)
  }
  const path = `/v1/topics/orders/events?from=earliest&filter=${encodeURIComponent('value.total > 80')}`
  const seen: number[] = []
  let lastEventId: string | undefined
  for (let round = 0; round < 15; round++) {
    await produce()
    const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
    const stream = await EventClient.open(server, path, headers)
    const count = random.below(wanted.length - seen.length + 1)
    if (random.below(2) === 0) await produce()
    for (const { data, id } of await stream.records(count)) {
      seen.push((data.value as { at: number }).at)
      lastEventId = id
    }
    stream.close()
  }
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  const stream = await EventClient.open(server, path, headers)
  for (const { data } of await stream.records(wanted.length - seen.length)) seen.push((data.value as { at: number }).at)
  stream.close()
  assert.deepEqual(
    seen.toSorted((a, b) => a - b),
    wanted,
  )
})

test('where nothing comes through the cursor moves on all the same', TIMEOUT, async (t) => {
  const server = await startServer(t)
  const records = Array.from({ length: 500 }, (_, at) => ({ value: at % 5 === 0 ? 'text' : { total: at } }))
  assert.equal((await server.post('/v1/topics/orders/records', { records })).status, 200)
  const path = `/v1/topics/orders/events?from=earliest&filter=${encodeURIComponent('value.total < 0')}`
  const stream = await EventClient.open(server, path)
  const caughtUp = await stream.nextNamed('progress')
  assert.deepEqual(caughtUp.data, { caught_up: true, lag: 0, scanned: 500, matched: 0, filter_errors: 100 })
  stream.close()
  const again = await EventClient.open(server, path, { 'last-event-id': stream.lastEventId })
  assert.deepEqual((await again.nextNamed('progress')).data, {
    caught_up: true,
    lag: 0,
    scanned: 0,
    matched: 0,
    filter_errors: 0,
  })
  again.close()
})
