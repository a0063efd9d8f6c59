// Groups that read one topic at a time, over both HTTP faces: each has all of it, and none waits for another.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { checkStatus, openConsumer } from '../support/rest-proxy-v2.ts'

const PARTITIONS = 8
const RECORDS = 8_000
const MEMBERS = [0, 1, 2]

interface Seen {
  readonly partition: number
  readonly offset: number
  readonly value: number
}

/** One array a member, in the order in which the records came. */
type Reads = readonly (readonly Seen[])[]

async function startWithRecords(t: TestContext): Promise<TestServer> {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions: PARTITIONS })
  for (let first = 0; first < RECORDS; first += 500) {
    const records = Array.from({ length: 500 }, (_, at) => ({
      value: first + at,
      partition: (first + at) % PARTITIONS,
    }))
    checkStatus(await server.post('/v1/topics/orders/records', { records }), 200)
  }
  return server
}

/** Polls and acks until the group has nothing more to read. */
async function pollAll(server: TestServer, group: string, beforeAck = async () => {}): Promise<Reads> {
  let left = RECORDS
  return await Promise.all(
    MEMBERS.map(async (member) => {
      const seen: Seen[] = []
      while (left > 0) {
        const body = { topics: ['orders'], limit: 150, wait_ms: 200, member: `w-${member}` }
        const polled = await server.post(`/v1/groups/${group}/poll`, body)
        checkStatus(polled, 200)
        const { records, lease } = polled.json()
        left -= records.length
        seen.push(...records)
        await beforeAck()
        if (lease === null) continue
        checkStatus(await server.post(`/v1/groups/${group}/leases/${lease}/ack`, { through: 'all' }), 200)
      }
      return seen
    }),
  )
}

/** Reads with consumer instances, and commits what it has read, until the group has nothing more to read. */
async function consumeAll(server: TestServer, group: string): Promise<Reads> {
  let left = RECORDS
  const consumers = await Promise.all(
    MEMBERS.map(async (member) => {
      const config = { name: `c-${member}`, format: 'json', 'auto.offset.reset': 'earliest' }
      const consumer = await openConsumer(server, group, { ...config, 'auto.commit.enable': 'false' })
      await consumer.subscribe('orders')
      return consumer
    }),
  )
  // as members come, partitions move: nothing is read before each has its own
  const owned = async (consumer: (typeof consumers)[number]) =>
    (await consumer.call('GET', '/assignments')).json().partitions.length > 0
  while (!(await Promise.all(consumers.map(owned))).every(Boolean));
  return await Promise.all(
    consumers.map(async (consumer) => {
      const seen: Seen[] = []
      while (left > 0) {
        const records = await consumer.records('?timeout=200&max_bytes=8000')
        left -= records.length
        seen.push(...records)
        if (records.length > 0) await consumer.commit()
      }
      return seen
    }),
  )
}

/** Every record once, each partition in order and by one member at a time. */
function checkAll(reads: Reads, group: string): void {
  const values = reads.flat().map(({ value }) => value)
  assert.equal(values.length, RECORDS, group)
  assert.equal(new Set(values).size, RECORDS, group)
  for (const [member, seen] of reads.entries()) {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const offsets = seen.filter((one) => one.partition === partition).map(({ offset }) => offset)
      assert.deepEqual(
        offsets,
        offsets.toSorted((a, b) => a - b),
        `${group}, member ${member}, partition ${partition}`,
      )
    }
  }
}

async function lagOf(server: TestServer, group: string): Promise<number> {
  const { offsets } = (await server.get(`/v1/groups/${group}`)).json()
  return offsets.reduce((sum: number, { lag }: { lag: number }) => sum + lag, 0)
}

test('groups read one topic at once, each all of it from its own offsets', async (t) => {
  const server = await startWithRecords(t)
  const groups = ['billing', 'search', 'audit']
  const [billing, search, audit] = await Promise.all([
    pollAll(server, 'billing'),
    pollAll(server, 'search'),
    consumeAll(server, 'audit'),
  ])
  for (const [at, reads] of [billing, search, audit].entries()) checkAll(reads, groups[at]!)
  for (const group of groups) assert.equal(await lagOf(server, group), 0, group)

  const reset = { to: 'earliest', topics: ['orders'], force: true }
  checkStatus(await server.request('PATCH', '/v1/groups/billing/offsets', { body: reset }), 200)
  assert.equal(await lagOf(server, 'billing'), RECORDS)
  for (const group of ['search', 'audit']) assert.equal(await lagOf(server, group), 0, group)
})

test('a group that acknowledges nothing keeps no other group waiting', async (t) => {
  const server = await startWithRecords(t)
  let goOn = () => {}
  const others = new Promise<void>((resolve) => {
    goOn = resolve
  })
  const stuck = pollAll(server, 'stuck', () => others)
  checkAll(await pollAll(server, 'billing'), 'billing')
  checkAll(await consumeAll(server, 'audit'), 'audit')
  assert.equal(await lagOf(server, 'billing'), 0)
  const { items } = (await server.get('/v1/groups/stuck/leases')).json()
  assert.ok(items.length > 0, 'it holds leases still')
  goOn()
  checkAll(await stuck, 'stuck')
  assert.equal(await lagOf(server, 'stuck'), 0)
})
