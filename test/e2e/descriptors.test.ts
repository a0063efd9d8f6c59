// The real server with few file descriptors, and more partitions and clients than it has: what it cannot do now it says,
// nothing that it acknowledged is lost, and it recovers by itself.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/engine-options.ts'
import { ServerProcess } from '../support/server-process.ts'

const PARTITIONS = 300
const DESCRIPTORS = 128

test('a burst over more partitions and clients than there are descriptors', async (t) => {
  const dataDir = temporaryDirectory(t)
  let server = await ServerProcess.start({ dataDir, descriptorsMax: DESCRIPTORS })
  t.after(() => server.kill())
  const made = await server.request('POST', '/v1/topics', { body: { name: 't', partitions: PARTITIONS } })
  assert.equal(made.status, 201, made.text())
  const acknowledged = new Map<number, number>()
  let refused = 0
  const send = async (first: number, count: number) => {
    const records = Array.from({ length: count }, (_, at) => ({ partition: (first + at) % PARTITIONS, value: 'v' }))
    const reply = await server.request('POST', '/v1/topics/t/records', { body: { records } }).catch(() => undefined)
    if (reply === undefined) {
      refused++
      return
    }
    assert.ok(reply.status === 200 || reply.status === 503, reply.text())
    const results = reply.status === 200 ? reply.json().records : reply.json().results
    for (const { partition, offset } of results ?? []) {
      if (typeof offset === 'number') acknowledged.set(partition, Math.max(offset, acknowledged.get(partition) ?? -1))
    }
  }
  // more connections than there are descriptors, and every request is for all partitions
  for (let round = 0; round < 2; round++) {
    await Promise.all(Array.from({ length: 150 }, (_, at) => send(at * 7, at < 20 ? PARTITIONS : 1)))
  }
  t.diagnostic(`${acknowledged.size} partitions were written, ${refused} connections refused`)
  assert.ok(acknowledged.size > 0, 'some of the burst is served')
  assert.ok(refused > 0, 'more connections come than there are descriptors')

  // by itself
  const before = new Map(acknowledged)
  await send(0, PARTITIONS)
  for (let partition = 0; partition < PARTITIONS; partition++) {
    assert.ok((acknowledged.get(partition) ?? -1) > (before.get(partition) ?? -1), `partition ${partition}`)
  }
  const check = async () => {
    const { partitions } = (await server.request('GET', '/v1/topics/t')).json()
    for (const { partition, leader, end_offset } of partitions) {
      assert.equal(leader, 1, `partition ${partition} is offline`)
      assert.ok(end_offset > (acknowledged.get(partition) ?? -1))
    }
    const offsets = partitions.map(({ end_offset }: { end_offset: number }) => end_offset)
    const total = offsets.reduce((sum: number, offset: number) => sum + offset, 0)
    let read = 0
    for (let path = '/v1/topics/t/records?from=earliest&limit=5000'; ; ) {
      const page = (await server.request('GET', path)).json()
      read += page.records.length
      if (page.caught_up) break
      path = page.next
    }
    assert.equal(read, total)
  }
  await check()
  await server.kill()
  server = await ServerProcess.start({ dataDir, descriptorsMax: DESCRIPTORS })
  await check()
  await server.stop()
})
