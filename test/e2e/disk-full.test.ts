// A disk that fills up, for real: a small tmpfs. Writes are refused honestly, nothing that was acknowledged is lost, nothing
// that was refused is stored, reads go on, and all is well again as soon as there is room, without a restart.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import type { TestReply } from '../support/http-send.ts'
import { ServerProcess } from '../support/server-process.ts'

const MIB = 1024 * 1024
const ROUNDS = 3

/** Of the system. */
const COMMANDS = { mount: 'mount', unmount: 'umount' }

interface Room {
  readonly path: string
  unmount(): void
}

/** Or why there is none. */
function mountRoom(): Room | string {
  if (process.getuid?.() !== 0) return 'only root may mount a tmpfs'
  const path = mkdtempSync(join(tmpdir(), 'tailrace-full-'))
  const mounted = spawnSync(COMMANDS.mount, ['-t', 'tmpfs', '-o', 'size=36m', 'tmpfs', path], { encoding: 'utf8' })
  const unmount = () => {
    spawnSync(COMMANDS.unmount, [path])
    rmdirSync(path)
  }
  if (mounted.status === 0) return { path, unmount }
  rmdirSync(path)
  return `no tmpfs can be mounted here: ${mounted.error?.message ?? mounted.stderr.trim()}`
}

const room = mountRoom()
const skip = typeof room === 'string' ? room : false

test('a full disk refuses writes, keeps what it acknowledged, and recovers by itself', { skip }, async (t) => {
  assert.ok(typeof room !== 'string')
  const dataDir = join(room.path, 'data')
  const ballast = (round: number) => join(room.path, `ballast-${round}`)
  mkdirSync(dataDir)
  for (let round = 0; round < ROUNDS; round++) writeFileSync(ballast(round), Buffer.alloc(2 * MIB))
  writeFileSync(ballast(ROUNDS), Buffer.alloc(10 * MIB))
  let server = new ServerProcess({ dataDir })
  t.after(async () => {
    await server.kill()
    room.unmount()
  })
  await server.ready()
  const acknowledged = new Map<number, string>()
  const refused: string[] = []
  let number = 0

  const send = async (topic: string, bytes: number): Promise<TestReply> => {
    const value = `{"n":${number++},"x":"${'x'.repeat(bytes)}"}`
    const reply = await server.request('POST', `/v1/topics/${topic}/records`, {
      body: `{"records":[{"value":${value}}]}`,
    })
    if (reply.status === 200) acknowledged.set(reply.json().records[0].offset, value)
    else refused.push(value)
    return reply
  }
  const checkAll = async () => {
    const found: string[] = []
    for (let path = '/v1/topics/t/records?from=earliest&limit=500'; ; ) {
      const page = await server.request('GET', `${path}&value_format=string`)
      assert.equal(page.status, 200, page.text().slice(0, 500))
      for (const { offset, value } of page.json().records) found[offset] = value
      if (page.json().caught_up) break
      path = `/v1/topics/t/records?cursor=${page.json().cursor}`
    }
    for (const [offset, value] of acknowledged) assert.ok(found[offset] === value, `acknowledged at ${offset}`)
    for (const value of refused) assert.ok(!found.includes(value), `refused: ${value.slice(0, 20)}`)
    assert.equal(found.length, acknowledged.size)
  }
  /** Larger records first, then ever smaller ones, until not even the smallest fits. */
  const fill = async () => {
    for (const bytes of [512 * 1024, 16 * 1024, 512, 1]) {
      let reply = await send('t', bytes)
      for (let left = 20_000; reply.status === 200 && left > 0; left--) reply = await send('t', bytes)
      assert.equal(reply.status, 503, reply.text())
      assert.equal(reply.json().code, 'disk_full')
      assert.equal(reply.json().retryable, true)
      assert.ok(Number(reply.headers['retry-after']) >= 1)
    }
  }

  /** To the last page. */
  const takeAllRoom = () => {
    const rest = openSync(join(room.path, 'rest'), 'a')
    try {
      for (let left = 50_000; left > 0; left--) writeSync(rest, Buffer.alloc(512))
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
    } finally {
      closeSync(rest)
    }
  }

  /** Until there is no more room for its larger records. */
  const fillTopic = async (name: string) => {
    const configs = { 'segment.bytes': '1048576', 'file.delete.delay.ms': '0' }
    await server.request('POST', '/v1/topics', { body: { name, partitions: 1, configs } })
    const body = `{"records":[{"value":"${'x'.repeat(100_000)}"}]}`
    for (let left = 400; left > 0; left--) {
      if ((await server.request('POST', `/v1/topics/${name}/records`, { body })).status !== 200) return
    }
  }
  const becomesFree = async () => {
    const isFree = async () => (await send('t', 1_000)).status === 200
    for (let left = 200; left > 0 && !(await isFree()); left--) await setTimeout(20)
    assert.ok(await isFree())
    await checkAll()
  }

  for (let round = 0; round < ROUNDS; round++) {
    await t.test(`full for time ${round + 1}`, async () => {
      await fill()
      await checkAll()
    })
    await t.test('a topic cannot be made, or it is there for good', async (t) => {
      let made = 0
      for (let at = 0; at < 40; at++) {
        const name = `made-${round}-${at}`
        const created = await server.request('POST', '/v1/topics', { body: { name, partitions: 3 } })
        const found = await server.request('GET', `/v1/topics/${name}`)
        if (created.status === 201) {
          assert.equal(found.json().id, created.json().id)
          made++
        } else {
          assert.deepEqual([created.status, created.json().code], [503, 'disk_full'], created.text())
          assert.ok(Number(created.headers['retry-after']) >= 1)
          assert.equal(found.status, 404)
        }
      }
      t.diagnostic(`${made} of 40 topics were made`)
    })
    if (round === 1)
      await t.test('a kill -9 while it is full loses nothing', async (t) => {
        await server.kill()
        takeAllRoom()
        const free = statfsSync(dataDir)
        server = await ServerProcess.start({ dataDir })
        t.diagnostic(`started with ${free.bavail * free.bsize} bytes free`)
        assert.match(server.log, /kept in reserve is used/)
        await checkAll()
      })
    await t.test('and it recovers when there is room', async () => {
      rmSync(ballast(round), { force: true })
      const reply = await send('t', 1)
      assert.equal(reply.status, 200, reply.text())
      const created = await server.request('POST', '/v1/topics', { body: { name: `after-${round}`, partitions: 3 } })
      assert.equal(created.status, 201, created.text())
      const ready = await server.request('GET', '/readyz')
      assert.equal(ready.status, 200)
      assert.ok(!ready.text().includes('offline'), ready.text())
      await checkAll()
    })
  }

  await t.test('a topic is deleted though nothing can be written, and its room is free for others', async () => {
    await server.stop()
    for (const name of ['rest', `ballast-${ROUNDS}`]) rmSync(join(room.path, name))
    server = await ServerProcess.start({ dataDir })
    await fillTopic('big')
    takeAllRoom()
    const refused = await server.request('POST', '/v1/topics', { body: { name: 'never', partitions: 1 } })
    assert.deepEqual([refused.status, refused.json().code], [503, 'disk_full'], refused.text())
    assert.ok(existsSync(join(dataDir, 'reserve')))
    const deleted = await server.request('DELETE', '/v1/topics/big')
    assert.equal(deleted.status, 204, deleted.text())
    await becomesFree()
  })

  await t.test('the reserve is taken again, and serves for a topic that is to keep less', async () => {
    for (let left = 100; left > 0 && !existsSync(join(dataDir, 'reserve')); left--) await setTimeout(20)
    assert.ok(existsSync(join(dataDir, 'reserve')))
    await fillTopic('kept')
    takeAllRoom()
    const body = { configs: { 'retention.bytes': '100000' } }
    const altered = await server.request('PATCH', '/v1/topics/kept', { body })
    assert.equal(altered.status, 200, altered.text())
    await becomesFree()
  })

  await t.test('all of it is there after a clean stop and a start', async () => {
    await server.stop()
    server = await ServerProcess.start({ dataDir })
    await checkAll()
    const { items } = (await server.request('GET', '/v1/topics')).json()
    for (let round = 0; round < ROUNDS; round++) {
      assert.ok(items.some(({ name }: { name: string }) => name === `after-${round}`))
    }
  })
})
