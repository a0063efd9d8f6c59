// A data directory on a real disk: who may use it, and what a start makes of what it finds there.

import assert from 'node:assert/strict'
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import type { Engine, Topic } from '../../src/engine/engine.ts'
import { INDEX_PENDING_ENTRIES_MAX } from '../../src/kernel/limits.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import type { SegmentDisk } from '../../src/log/segment-file.ts'
import { realDisk } from '../../src/log/segment-file.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { toParts } from '../record/records.ts'
import { engineOptions, producerId, temporaryDirectory } from '../support/engine-options.ts'

const BASE = Date.UTC(2026, 0, 1)

async function fill(engine: Engine, topic: Topic, partition: number, count: number): Promise<void> {
  const appends = Array.from({ length: count }, (_, at) => {
    const records = toParts([{ timestamp: BASE + at, key: null, value: `${at}-${'x'.repeat(300)}`, headers: [] }])
    return engine.append(topic, partition, [sealBatch(records, { compression: 'none' })], 'all')
  })
  await Promise.all(appends)
}

/** Offsets, sizes and a few answers by time: equal before and after a start. */
async function answers(engine: Engine, name: string) {
  const topic = engine.findTopic(name)
  assert.ok(topic !== undefined)
  const partitions = (await engine.describePartitions(topic)).map(({ startOffset, endOffset, sizeBytes }) => [
    startOffset,
    endOffset,
    sizeBytes,
  ])
  const times = [BASE, BASE + 7, BASE + 150, BASE + 100_000].map((timestamp) => ({ timestamp }))
  const queries = [...times, 'max_timestamp' as const].map((at) => ({ topic, partition: 0, at }))
  const offsets = (await engine.listOffsets(queries)).map(({ offset, timestamp }) => [offset, timestamp])
  return { partitions, offsets }
}

test('a second process is refused while the first has the directory, and let in after', async (t) => {
  const dataDir = temporaryDirectory(t)
  const engine = await openLocalEngine(engineOptions(dataDir))
  await assert.rejects(openLocalEngine(engineOptions(dataDir)), /in use by another process/)
  await engine.close()
  await (await openLocalEngine(engineOptions(dataDir))).close()
})

test('everything is there again after a clean stop', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  const configs = { 'segment.bytes': '65536', 'index.interval.bytes': '1000' }
  const topic = await first.createTopic({ name: 'orders', partitionCount: 3, configs })
  await fill(first, topic, 0, 700)
  await fill(first, topic, 2, 10)
  await first.deleteRecords(topic, 2, 4)
  const id = await producerId(first, 'meter-7')
  const before = await answers(first, 'orders')
  const cluster = first.cluster().clusterId
  await first.close()

  const second = await openLocalEngine(engineOptions(dataDir))
  t.after(() => second.close())
  assert.deepEqual(await answers(second, 'orders'), before)
  assert.deepEqual(second.findTopic('orders')?.configOverrides, configs)
  assert.equal(second.findTopic('orders')?.id, topic.id)
  assert.equal(await producerId(second, 'meter-7'), id)
  assert.equal(second.cluster().clusterId, cluster)
})

test('index.db that is missing, damaged or older is made again from the files', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  const configs = { 'segment.bytes': '65536', 'index.interval.bytes': '1000' }
  const topic = await first.createTopic({ name: 'orders', partitionCount: 2, configs })
  await fill(first, topic, 0, 100)
  await first.close()
  copyFileSync(join(dataDir, 'index.db'), join(dataDir, 'index.older'))
  const second = await openLocalEngine(engineOptions(dataDir))
  await fill(second, second.findTopic('orders') as Topic, 0, 600)
  const before = await answers(second, 'orders')
  await second.close()

  const spoil: Record<string, () => void> = {
    missing: () => rmSync(join(dataDir, 'index.db')),
    damaged: () => writeFileSync(join(dataDir, 'index.db'), 'this is no database, and long enough to be looked at'),
    older: () => renameSync(join(dataDir, 'index.older'), join(dataDir, 'index.db')),
    'of the first version': () => {
      const db = new Database(join(dataDir, 'index.db'))
      db.exec('DROP TABLE entries; CREATE TABLE entries (log_id INTEGER NOT NULL); PRAGMA user_version = 1')
      db.close()
    },
  }
  for (const [what, change] of Object.entries(spoil)) {
    for (const suffix of ['-wal', '-shm']) rmSync(join(dataDir, `index.db${suffix}`), { force: true })
    change()
    const again = await openLocalEngine(engineOptions(dataDir))
    assert.deepEqual(await answers(again, 'orders'), before, what)
    await again.close()
  }
})

test('damage anywhere in index.db loses nothing: what it hides for one start is there at the next', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  const configs = { 'segment.bytes': '65536', 'index.interval.bytes': '0' }
  await fill(first, await first.createTopic({ name: 'orders', partitionCount: 2, configs }), 0, 400)
  const before = await answers(first, 'orders')
  await first.close()
  const path = join(dataDir, 'index.db')
  const whole = readFileSync(path)
  for (let page = 0; page < whole.length; page += 4096) {
    writeFileSync(path, Buffer.from(whole).fill(0xab, page, page + 4096))
    const damaged = await openLocalEngine(engineOptions(dataDir))
    await answers(damaged, 'orders').then(
      (given) => assert.deepEqual(given, before, `page at ${page}`),
      ({ code, message }) => assert.equal(code, 'kafka_storage_error', message),
    )
    await damaged.close()
    const mended = await openLocalEngine(engineOptions(dataDir))
    assert.deepEqual(await answers(mended, 'orders'), before, `page at ${page}, a start later`)
    await mended.close()
  }
})

test('databases of a newer version are refused with what to do', async (t) => {
  for (const name of ['index.db', 'meta.db']) {
    const dataDir = temporaryDirectory(t)
    await (await openLocalEngine(engineOptions(dataDir))).close()
    const db = new Database(join(dataDir, name))
    db.pragma('user_version = 99')
    db.close()
    await assert.rejects(openLocalEngine(engineOptions(dataDir)), /written by a newer Tailrace \(version 99/)
  }
})

test('topics without meta.db are refused, not lost', async (t) => {
  const dataDir = temporaryDirectory(t)
  const engine = await openLocalEngine(engineOptions(dataDir))
  await fill(engine, await engine.createTopic({ name: 'orders' }), 0, 1)
  await engine.close()
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(dataDir, `meta.db${suffix}`), { force: true })
  await assert.rejects(
    openLocalEngine(engineOptions(dataDir)),
    /meta\.db is missing or empty, but .*topics holds 1 folders \(orders-0/,
  )
})

test('what an interrupted deletion left goes at the next start; a topic made again finds nothing of it', async (t) => {
  const dataDir = temporaryDirectory(t)
  const engine = await openLocalEngine(engineOptions(dataDir))
  const topic = await engine.createTopic({ name: 'orders', partitionCount: 2 })
  await fill(engine, topic, 0, 3)
  await fill(engine, topic, 1, 3)
  await engine.close()
  // as if the process had died between the commit and the renaming of the second folder
  const meta = new Database(join(dataDir, 'meta.db'))
  meta.exec(`DELETE FROM topics; INSERT INTO deleted_topics VALUES ('${topic.id}', 'orders')`)
  meta.close()
  renameSync(join(dataDir, 'topics/orders-0'), join(dataDir, `topics/${topic.id}-0.deleted`))
  const index = new Database(join(dataDir, 'index.db'))
  index.exec("DELETE FROM state WHERE name = 'clean_stop'")
  index.close()

  const again = await openLocalEngine(engineOptions(dataDir))
  t.after(() => again.close())
  assert.deepEqual(readdirSync(join(dataDir, 'topics')), [])
  const fresh = await again.createTopic({ name: 'orders', partitionCount: 2 })
  const latest = await again.listOffsets([{ topic: fresh, partition: 1, at: 'latest' }])
  assert.equal(latest[0]?.offset, 0)
})

test('a folder of a topic that meta.db does not know is set aside, never deleted', async (t) => {
  const dataDir = temporaryDirectory(t)
  const id = '0191d5a0-0000-7000-8000-00000000dead'
  mkdirSync(join(dataDir, 'topics/orders-0'), { recursive: true })
  await assert.rejects(openLocalEngine(engineOptions(dataDir)), /meta\.db is missing or empty/)
  rmSync(join(dataDir, 'topics'), { recursive: true })
  await (await openLocalEngine(engineOptions(dataDir))).close()
  mkdirSync(join(dataDir, 'topics/orders-0'))
  writeFileSync(join(dataDir, 'topics/orders-0/partition.metadata'), `version: 0\ntopic_id: ${id}\n`)
  rmSync(join(dataDir, 'index.db'))
  const engine = await openLocalEngine(engineOptions(dataDir))
  t.after(() => engine.close())
  assert.deepEqual(readdirSync(join(dataDir, 'topics')), [`orders-0.${id}.orphan`])
  await fill(engine, await engine.createTopic({ name: 'orders' }), 0, 1)
})

test('deleting a topic removes its files', async (t) => {
  const dataDir = temporaryDirectory(t)
  const engine = await openLocalEngine(engineOptions(dataDir))
  const topic = await engine.createTopic({ name: 'orders', partitionCount: 4 })
  for (let partition = 0; partition < 4; partition++) await fill(engine, topic, partition, 5)
  assert.equal(readdirSync(join(dataDir, 'topics')).length, 4)
  await engine.deleteTopic('orders')
  await engine.close()
  assert.deepEqual(readdirSync(join(dataDir, 'topics')), [])
})

test('what index.db has of a deleted topic goes in turns, at the next start too', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  const configs = { 'index.interval.bytes': '0' }
  const topic = await first.createTopic({ name: 'orders', partitionCount: 2, configs })
  for (let partition = 0; partition < 2; partition++) await fill(first, topic, partition, 50)
  await first.close()
  const db = new Database(join(dataDir, 'index.db'))
  t.after(() => db.close())
  const rows = () => db.prepare('SELECT (SELECT count(*) FROM entries) + (SELECT count(*) FROM segments)').pluck().get()
  const settle = async () => {
    for (let turn = 0; turn < 1_000 && rows() !== 0; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  assert.notEqual(rows(), 0)
  const second = await openLocalEngine(engineOptions(dataDir))
  await second.deleteTopic('orders')
  await settle()
  assert.equal(rows(), 0)
  await second.close()
  // as a stop, or a crash, in the midst of it leaves them
  db.exec("INSERT INTO entries VALUES (77, 0, 0, 1, 100, 1); INSERT INTO state VALUES ('dropped_log_77', '77')")
  const third = await openLocalEngine(engineOptions(dataDir))
  await settle()
  await third.close()
  assert.equal(rows(), 0)
})

test('a partition that could not be opened for want of descriptors is opened when there are some, and lost nothing', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  await fill(first, await first.createTopic({ name: 'orders' }), 0, 3)
  await first.close()
  let isShort = true
  const shortOfFiles: SegmentDisk = {
    ...realDisk,
    list: (directory) =>
      isShort && directory.endsWith('orders-0')
        ? Promise.reject(Object.assign(new Error('too many open files'), { code: 'EMFILE' }))
        : realDisk.list(directory),
  }
  renameSync(join(dataDir, 'index.db'), join(dataDir, 'index.behind'))
  const second = await openLocalEngine(engineOptions(dataDir, { disk: shortOfFiles }))
  const topic = second.findTopic('orders') as Topic
  await assert.rejects(fill(second, topic, 0, 1), { code: 'kafka_storage_error', message: /too many files/ })
  await assert.rejects(second.describePartitions(topic), { code: 'kafka_storage_error' })
  isShort = false
  await fill(second, topic, 0, 1)
  assert.equal((await second.describePartitions(topic))[0]?.endOffset, 4)
  await second.close()

  // an index that is behind its files, as after a crash: a stop without having looked at them is no clean one
  renameSync(join(dataDir, 'index.behind'), join(dataDir, 'index.db'))
  isShort = true
  const third = await openLocalEngine(engineOptions(dataDir, { disk: shortOfFiles }))
  await third.close()
  const fourth = await openLocalEngine(engineOptions(dataDir))
  t.after(() => fourth.close())
  const [found] = await fourth.describePartitions(fourth.findTopic('orders') as Topic)
  assert.deepEqual([found?.offline, found?.endOffset], [undefined, 4])
})

test('bytes behind the end after a clean stop are cut and kept aside; a log that got shorter is offline', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  await fill(first, await first.createTopic({ name: 'orders' }), 0, 3)
  await first.close()
  const folder = join(dataDir, 'topics/orders-0')
  const segment = join(folder, '00000000000000000000.log')
  const whole = readFileSync(segment)
  writeFileSync(segment, Buffer.concat([whole, Buffer.from('somebody was here, with more than an append overwrites')]))
  const second = await openLocalEngine(engineOptions(dataDir))
  await fill(second, second.findTopic('orders') as Topic, 0, 1)
  const [found] = await second.describePartitions(second.findTopic('orders') as Topic)
  assert.deepEqual([found?.offline, found?.endOffset, readFileSync(segment).length], [undefined, 4, found?.sizeBytes])
  const aside = readdirSync(folder).filter((name) => name.includes('.torn-'))
  assert.deepEqual(
    aside.map((name) => readFileSync(join(folder, name), 'utf8').slice(0, 8)),
    ['somebody'],
  )
  await second.close()
  writeFileSync(segment, whole)
  const third = await openLocalEngine(engineOptions(dataDir))
  t.after(() => third.close())
  const [shorter] = await third.describePartitions(third.findTopic('orders') as Topic)
  assert.match(shorter?.offline?.message ?? '', /cut from outside/)
})

test('a topic is deleted though a folder cannot be moved; the next start clears up', async (t) => {
  const dataDir = temporaryDirectory(t)
  const stuck: SegmentDisk = {
    ...realDisk,
    rename: (from, to) => (from.endsWith('orders-0') ? Promise.reject(new Error('EBUSY')) : realDisk.rename(from, to)),
  }
  const first = await openLocalEngine(engineOptions(dataDir, { disk: stuck }))
  const topic = await first.createTopic({ name: 'orders', partitionCount: 2 })
  for (const partition of [0, 1]) await fill(first, topic, partition, 3)
  await first.deleteTopic('orders')
  assert.equal(first.findTopic('orders'), undefined)
  const again = await first.createTopic({ name: 'orders', partitionCount: 2 })
  await fill(first, again, 1, 1)
  assert.deepEqual(
    (await first.describePartitions(again)).map(({ offline, endOffset }) => [offline === undefined, endOffset]),
    [
      [false, 0],
      [true, 1],
    ],
  )
  await first.close()
  const second = await openLocalEngine(engineOptions(dataDir))
  t.after(() => second.close())
  await fill(second, second.findTopic('orders') as Topic, 0, 1)
  const found = await second.describePartitions(second.findTopic('orders') as Topic)
  assert.deepEqual(
    found.map(({ endOffset }) => endOffset),
    [1, 1],
  )
  assert.deepEqual(readdirSync(join(dataDir, 'topics')).sort(), ['orders-0', 'orders-1'])
})

test('a topic made again under the name of one with a damaged partition keeps its records over a restart', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  await fill(first, await first.createTopic({ name: 'orders' }), 0, 3)
  await first.close()
  rmSync(join(dataDir, 'index.db'))
  const segment = join(dataDir, 'topics/orders-0/00000000000000000000.log')
  const bytes = readFileSync(segment)
  bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
  writeFileSync(segment, bytes)

  const second = await openLocalEngine(engineOptions(dataDir))
  const damaged = second.findTopic('orders') as Topic
  assert.match((await second.describePartitions(damaged))[0]?.offline?.message ?? '', /bad batch/)
  await second.deleteTopic('orders')
  await fill(second, await second.createTopic({ name: 'orders' }), 0, 5)
  await second.close()

  const third = await openLocalEngine(engineOptions(dataDir))
  t.after(() => third.close())
  const [found] = await third.describePartitions(third.findTopic('orders') as Topic)
  assert.deepEqual([found?.offline, found?.endOffset], [undefined, 5])
  assert.equal(readFileSync(segment).length, found?.sizeBytes)
})

test('files of another topic in the folder of a new one are neither shown nor touched', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  await fill(first, await first.createTopic({ name: 'orders' }), 0, 3)
  await first.deleteRecords(first.findTopic('orders') as Topic, 0, 1)
  cpSync(join(dataDir, 'topics/orders-0'), join(dataDir, 'kept'), { recursive: true })
  await first.deleteTopic('orders')
  // as if the folder could not be moved out of the way
  cpSync(join(dataDir, 'kept'), join(dataDir, 'topics/orders-0'), { recursive: true })
  t.after(() => first.close())
  const again = await first.createTopic({ name: 'orders' })
  const [found] = await first.describePartitions(again)
  assert.match(found?.offline?.message ?? '', /orders-0 holds the files of another topic/)
  await assert.rejects(fill(first, again, 0, 1), { code: 'kafka_storage_error' })
  const segment = '00000000000000000000.log'
  assert.deepEqual(
    readFileSync(join(dataDir, 'topics/orders-0', segment)),
    readFileSync(join(dataDir, 'kept', segment)),
  )
})

/** Another connection to index.db, through which it is made to refuse rows and to take them again. */
function indexFault(dataDir: string) {
  const db = new Database(join(dataDir, 'index.db'))
  return {
    begin() {
      for (const table of ['segments', 'entries']) {
        db.exec(`CREATE TRIGGER ${table}_fault BEFORE INSERT ON ${table} BEGIN SELECT RAISE(ABORT, 'no room'); END`)
      }
    },
    end() {
      for (const table of ['segments', 'entries']) db.exec(`DROP TRIGGER ${table}_fault`)
      db.close()
    },
  }
}

test('a stop that could not write index.db is not taken for a clean one', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  const topic = await first.createTopic({ name: 'orders' })
  await fill(first, topic, 0, 3)
  await first.close()
  const second = await openLocalEngine(engineOptions(dataDir))
  const fault = indexFault(dataDir)
  fault.begin()
  await fill(second, second.findTopic('orders') as Topic, 0, 4)
  await second.close()
  fault.end()

  const third = await openLocalEngine(engineOptions(dataDir))
  t.after(() => third.close())
  const [found] = await third.describePartitions(third.findTopic('orders') as Topic)
  assert.equal(found?.endOffset, 7)
})

test('appends go on while index.db cannot be written, and nothing of them is lost', async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  t.after(() => first.close())
  const topic = await first.createTopic({ name: 'orders', configs: { 'index.interval.bytes': '0' } })
  const fault = indexFault(dataDir)
  fault.begin()
  const append = async (count: number) => {
    const records = toParts([{ timestamp: BASE, key: null, value: 'v', headers: [] }])
    const batches = Array.from({ length: count }, () => sealBatch(records, { compression: 'none' }))
    const appended = await first.append(topic, 0, batches, 'all')
    return appended[0]?.baseOffset
  }
  assert.equal(await append(INDEX_PENDING_ENTRIES_MAX + 10), 0)
  assert.equal(await append(1), INDEX_PENDING_ENTRIES_MAX + 10)
  assert.equal(await append(1), INDEX_PENDING_ENTRIES_MAX + 11)
  await first.close()
  fault.end()

  const second = await openLocalEngine(engineOptions(dataDir))
  t.after(() => second.close())
  const [found] = await second.describePartitions(second.findTopic('orders') as Topic)
  assert.deepEqual([found?.offline, found?.endOffset], [undefined, INDEX_PENDING_ENTRIES_MAX + 12])
})

test('reads and writes over more partitions than files may be open', async (t) => {
  const engine = await openLocalEngine(engineOptions(temporaryDirectory(t), { telemetry: new Telemetry() }))
  t.after(() => engine.close())
  const topic = await engine.createTopic({ name: 'wide', partitionCount: 1_200 })
  const partitions = Array.from({ length: 1_200 }, (_, partition) => partition)
  await Promise.all(partitions.map((partition) => fill(engine, topic, partition, 1)))
  const positions = partitions.map((partition) => ({ topic, partition, offset: 0 }))
  const fetched = await engine.fetch(positions, {
    minBytes: 1,
    maxBytes: 10_000_000,
    maxWaitMs: 0,
    isolation: 'read_committed',
  })
  assert.ok(fetched.every((one) => one.error === undefined && one.bytes.length > 0))
})
