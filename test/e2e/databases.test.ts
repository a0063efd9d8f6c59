// index.db and meta.db that are missing, damaged, of another time or another place: a start makes anew what it can, refuses
// what it cannot with what to do, and loses no record either way.

import assert from 'node:assert/strict'
import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { runCli } from '../cli/cli-process.ts'
import { temporaryDirectory } from '../support/engine-options.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { Random } from '../support/random.ts'

interface Kept {
  /** Stopped cleanly, with topics `orders` (6 records) and `later` (1). */
  readonly whole: string
  /** Its databases when there were 3 records in `orders` and nothing else. */
  readonly older: string
  /** A data directory of other topics. */
  readonly other: string
  /** A copy that was taken while the server ran, as after kill -9: with write-ahead logs. */
  readonly killed: string
}

async function produce(server: TestServer, topic: string, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    const reply = await server.post(`/v1/topics/${topic}/records`, { records: [{ value: number }] })
    assert.equal(reply.status, 200, reply.text())
  }
}

async function keep(t: TestContext): Promise<Kept> {
  const base = temporaryDirectory(t)
  const kept = { whole: `${base}/whole`, older: `${base}/older`, other: `${base}/other`, killed: `${base}/killed` }
  const first = await startServer(t, { dataDir: kept.whole })
  await produce(first, 'orders', 3)
  await first.close()
  cpSync(kept.whole, kept.older, { recursive: true })
  const second = await startServer(t, { dataDir: kept.whole })
  await produce(second, 'orders', 3)
  await produce(second, 'later', 1)
  cpSync(kept.whole, kept.killed, { recursive: true })
  await second.close()
  const other = await startServer(t, { dataDir: kept.other })
  await produce(other, 'elsewhere', 2)
  await other.close()
  const again = await startServer(t, { dataDir: kept.other })
  await again.close()
  return kept
}

function database(dataDir: string, name: string) {
  const path = join(dataDir, name)
  const remove = () => {
    for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  }
  return { path, remove }
}

/** What becomes of a database, by name. */
function spoiled({ older, other }: Kept): Record<string, (dataDir: string, name: string) => void> {
  const from = (source: string) => (dataDir: string, name: string) => {
    const { path, remove } = database(dataDir, name)
    remove()
    cpSync(join(source, name), path)
  }
  return {
    missing: (dataDir, name) => database(dataDir, name).remove(),
    empty: (dataDir, name) => truncateSync(join(dataDir, name), 0),
    truncated: (dataDir, name) => truncateSync(join(dataDir, name), statSync(join(dataDir, name)).size / 2 + 100),
    garbage: (dataDir, name) =>
      writeFileSync(join(dataDir, name), 'no database, and long enough to be looked at '.repeat(300)),
    newer: (dataDir, name) => {
      const db = new Database(join(dataDir, name))
      db.pragma('user_version = 99')
      db.close()
    },
    older: from(older),
    other: from(other),
  }
}

async function endOffsets(server: TestServer): Promise<Record<string, number>> {
  const { items } = (await server.get('/v1/topics')).json()
  const found: Record<string, number> = {}
  for (const { name } of items) {
    const { partitions } = (await server.get(`/v1/topics/${name}`)).json()
    found[name] = partitions[0].end_offset
    const page = await server.get(`/v1/topics/${name}/records?from=earliest`)
    assert.equal(page.json().records.length, partitions[0].end_offset)
  }
  return found
}

const ALL = { later: 1, orders: 6 }

test('a start with another index.db or meta.db', async (t) => {
  const kept = await keep(t)
  const base = temporaryDirectory(t)
  let copies = 0
  const spoil = (name: string, how: string) => {
    const dataDir = join(base, String(copies++))
    cpSync(kept.whole, dataDir, { recursive: true })
    spoiled(kept)[how]?.(dataDir, name)
    return dataDir
  }

  for (const how of ['missing', 'empty', 'truncated', 'garbage', 'older', 'other']) {
    await t.test(`index.db ${how}: made anew, nothing is lost`, async (t) => {
      const dataDir = spoil('index.db', how)
      for (let start = 0; start < 2; start++) {
        const server = await startServer(t, { dataDir })
        assert.deepEqual(await endOffsets(server), ALL)
        await server.close()
      }
    })
  }

  for (const [how, says] of [
    [
      'missing',
      /meta\.db is missing or empty, but .*topics holds 2 folders .*put meta\.db back from a backup, or move/,
    ],
    ['empty', /meta\.db is missing or empty, but .*topics holds 2 folders/],
    ['truncated', /meta\.db is damaged \(.*\): put meta\.db back from a backup; the segment files are as they were/],
    ['garbage', /meta\.db is damaged \(file is not a database\): put meta\.db back from a backup/],
    ['newer', /meta\.db was written by a newer Tailrace \(version 99.*start that one/],
  ] as const) {
    await t.test(`meta.db ${how}: refused with what to do, and well when it is back`, async (t) => {
      const dataDir = spoil('meta.db', how)
      for (let start = 0; start < 2; start++) await assert.rejects(startServer(t, { dataDir }), says)
      if (how === 'garbage') {
        const { code, stderr } = await runCli(['serve', '--port', '0', '--data-dir', dataDir])
        assert.equal(code, 1)
        assert.match(stderr, says)
        assert.doesNotMatch(stderr, /\n\s+at /, 'no stack trace')
      }
      database(dataDir, 'meta.db').remove()
      cpSync(join(kept.whole, 'meta.db'), join(dataDir, 'meta.db'))
      assert.deepEqual(await endOffsets(await startServer(t, { dataDir })), ALL)
    })
  }

  for (const [how, known] of [
    ['older', { orders: 6 }],
    ['other', { elsewhere: 0 }],
  ] as const) {
    await t.test(
      `meta.db ${how}: what it does not know is set aside, loudly, and comes back with the right one`,
      async (t) => {
        const dataDir = spoil('meta.db', how)
        const server = await startServer(t, { dataDir })
        assert.deepEqual(await endOffsets(server), known)
        const told = server.log.find(
          ({ level, message }) => level === 'error' && message.includes('meta.db does not know'),
        )
        assert.match(
          told?.message ?? '',
          /later-0.*set aside as \.orphan .*put the right one back and take the ending off/,
        )
        await server.close()
        const topics = join(dataDir, 'topics')
        for (const name of readdirSync(topics)) {
          const [, before] = /^(.*-0)\..*\.orphan$/.exec(name) ?? []
          if (before !== undefined) cpSync(join(topics, name), join(topics, before), { recursive: true })
        }
        database(dataDir, 'meta.db').remove()
        cpSync(join(kept.whole, 'meta.db'), join(dataDir, 'meta.db'))
        assert.deepEqual(await endOffsets(await startServer(t, { dataDir })), ALL)
      },
    )
  }

  await t.test('index.db newer: refused with what to do', async (t) => {
    const dataDir = spoil('index.db', 'newer')
    await assert.rejects(startServer(t, { dataDir }), /index\.db was written by a newer Tailrace .*delete index\.db/)
    database(dataDir, 'index.db').remove()
    assert.deepEqual(await endOffsets(await startServer(t, { dataDir })), ALL)
  })

  await t.test('a damaged lock: refused with what to do', async (t) => {
    const dataDir = spoil('index.db', 'none')
    appendFileSync(join(dataDir, 'lock'), 'no database, and long enough to be looked at '.repeat(300))
    await assert.rejects(startServer(t, { dataDir }), /lock is damaged: delete it, when no server runs/)
    rmSync(join(dataDir, 'lock'))
    assert.deepEqual(await endOffsets(await startServer(t, { dataDir })), ALL)
  })

  await t.test(
    'a bit that flipped in a write-ahead log or in partition.metadata: no record is wrong, none gone untold',
    async (t) => {
      const random = new Random(5)
      for (const file of ['index.db-wal', 'meta.db-wal', 'topics/orders-0/partition.metadata']) {
        for (let time = 0; time < 4; time++) {
          const dataDir = join(base, String(copies++))
          cpSync(kept.killed, dataDir, { recursive: true })
          const path = join(dataDir, file)
          assert.ok(existsSync(path), path)
          const bytes = readFileSync(path)
          const at = random.below(bytes.length)
          bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
          writeFileSync(path, bytes)
          const server = await startServer(t, { dataDir }).catch((error: Error) => error)
          const what = `${file} at ${at}`
          if (server instanceof Error) {
            assert.match(server.message, /meta\.db is (damaged|missing or empty).*put meta\.db back/, what)
            continue
          }
          const found = await server.get('/v1/topics/orders')
          // a topic whose making was not in a log that can be read any more is set aside, and that is told
          const isTold = server.log.some(({ message }) =>
            /set aside as \.orphan|holds the files of another topic/.test(message),
          )
          const { end_offset, leader } = found.status === 200 ? found.json().partitions[0] : {}
          assert.ok((end_offset === 6 && leader === 1) || isTold, `${what}: ${found.text()}`)
          await server.close()
        }
      }
    },
  )
})
