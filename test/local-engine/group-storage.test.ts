// What of consumer groups outlives the server: what was answered is in meta.db, in the files of a process that is killed too,
// and what failed is not.

import assert from 'node:assert/strict'
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { TailraceError } from '../../src/kernel/errors.ts'
import { GroupStorage } from '../../src/local-engine/group-storage.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import type { MetaChange } from '../../src/local-engine/meta-schema.ts'
import { openMetaDatabase } from '../../src/local-engine/meta-schema.ts'
import { MetaTransactions } from '../../src/local-engine/meta-transactions.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { RawMember } from '../support/raw-member.ts'

const TOPIC = '0d3ab1a4-2d1c-4f3e-9a55-0c1f1f2b8c11'

function openStorage() {
  const db = openMetaDatabase(':memory:')
  db.prepare("INSERT INTO topics VALUES (?, 't', 4, 0)").run(TOPIC)
  const transactions = new MetaTransactions(db)
  const disk = { isFull: false, gate: Promise.resolve(), commits: [] as number[] }
  const commit = async (changes: readonly MetaChange[]) => {
    disk.commits.push(changes.length)
    await disk.gate
    if (disk.isFull) throw new TailraceError('disk_full', 'no room on the disk for meta.db')
    transactions.commit([{ id: 0, changes }])
  }
  const writer = { commit, checkpoint() {}, close: () => Promise.resolve() }
  const clock = new FakeClock()
  const open = () => new GroupStorage(db, { clock, writer })
  return { db, disk, clock, storage: open(), reopen: () => open().saved }
}

function offset(partition: number, value: number, topicId = TOPIC) {
  return { topicId, partition, offset: value, leaderEpoch: -1, metadata: '', committedMs: 5 }
}

test('all that comes while a commit is under way goes into the next one, in its order', async () => {
  const { disk, storage, reopen } = openStorage()
  const gate = Promise.withResolvers<void>()
  disk.gate = gate.promise
  const first = storage.saveOffsets('g', [offset(0, 1)])
  await Promise.resolve().then(() => {})
  const rest = Array.from({ length: 1_000 }, (_, at) => storage.saveOffsets('g', [offset(at % 2, at)]))
  rest.push(storage.deleteOffsets('g', [{ topicId: TOPIC, partition: 1 }]))
  gate.resolve()
  await Promise.all([first, ...rest])
  assert.deepEqual(disk.commits, [1, 1_001])
  assert.deepEqual([...reopen().offsets], [{ groupId: 'g', ...offset(0, 998) }])
})

test('what fails is told to all who shared the commit, and the next one is tried', async () => {
  const { disk, storage, reopen } = openStorage()
  disk.isFull = true
  const failed = [storage.saveOffsets('g', [offset(0, 1)]), storage.deleteGroup('g')]
  for (const one of failed) await assert.rejects(one, { code: 'disk_full' })
  disk.isFull = false
  await storage.saveOffsets('g', [offset(0, 2)])
  assert.deepEqual([...reopen().offsets], [{ groupId: 'g', ...offset(0, 2) }])
})

test('groups are read as they were saved, and gone when they were deleted', async () => {
  const { clock, storage, reopen } = openStorage()
  const lively = { groupId: 'g', protocolType: 'consumer', generation: 7, emptySinceMs: undefined }
  const empty = { groupId: 'ü', protocolType: '', generation: 0, emptySinceMs: 12 }
  await Promise.all([storage.saveGroup(lively), storage.saveGroup({ ...empty, emptySinceMs: 3 })])
  await Promise.all([storage.saveGroup(empty), storage.saveOffsets('g', [offset(3, 9)])])
  const since = clock.now()
  assert.deepEqual([...reopen().groups], [{ ...lively, emptySinceMs: since }, empty])
  clock.advance(1_000)
  assert.deepEqual([...reopen().groups], [{ ...lively, emptySinceMs: since }, empty], 'the first start after counts')
  await storage.deleteGroup('g')
  assert.deepEqual([...reopen().groups], [empty])
  assert.deepEqual([...reopen().offsets], [])
})

test('nothing is stored for a topic that is not there any more', async () => {
  const { storage, reopen } = openStorage()
  await storage.saveOffsets('g', [offset(0, 1), offset(0, 1, 'f2c1b0aa-9d52-4c3f-8d26-9be2a1f00e01')])
  assert.deepEqual([...reopen().offsets], [{ groupId: 'g', ...offset(0, 1) }])
})

test('rows that cannot be are damage', () => {
  for (const damage of [
    "INSERT INTO groups VALUES ('g', 'consumer', -1, NULL)",
    "INSERT INTO groups VALUES ('g', 'consumer', 'x', NULL)",
    `INSERT INTO committed_offsets VALUES ('g', '${TOPIC}', 0, -3, -1, '', 5)`,
    `INSERT INTO committed_offsets VALUES ('g', '${TOPIC}', 'x', 3, -1, '', 5)`,
  ]) {
    const { db, reopen } = openStorage()
    db.exec(damage)
    assert.throws(reopen, /group g/)
  }
})

test('what was answered is in the files, as a process that is killed leaves them', async (t) => {
  const [dataDir, left] = [temporaryDirectory(t), temporaryDirectory(t)]
  const engine = await openLocalEngine(engineOptions(dataDir))
  t.after(() => engine.close())
  await engine.createTopic({ name: 't', partitionCount: 4 })
  const member = new RawMember(engine.groups)
  await member.join()
  await member.sync()
  await Promise.all(Array.from({ length: 200 }, (_, at) => member.commit(at, at % 4)))
  const copy = join(left, 'killed')
  mkdirSync(copy)
  for (const file of ['meta.db', 'meta.db-wal']) cpSync(join(dataDir, file), join(copy, file))
  const again = await openLocalEngine(engineOptions(copy))
  t.after(() => again.close())
  const offsets = (await again.groups.committed('g')).map((committed) => committed.offset)
  assert.deepEqual(offsets.sort(), [196, 197, 198, 199])
  assert.deepEqual(await again.groups.list(), [{ groupId: 'g', state: 'Empty', protocolType: 'consumer' }])
  const late = Object.assign(new RawMember(again.groups), { memberId: member.memberId, generationId: 1 })
  await assert.rejects(late.commit(300), { code: 'unknown_member_id' })
  assert.equal((await new RawMember(again.groups).join()).generationId, 2)
})

test('a topic and what was committed of it go in one transaction', async (t) => {
  const dataDir = temporaryDirectory(t)
  const engine = await openLocalEngine(engineOptions(dataDir))
  await engine.createTopic({ name: 't', partitionCount: 1 })
  await engine.groups.commit({ groupId: 'g', offsets: [{ topic: 't', partition: 0, offset: 3 }] })
  await engine.deleteTopic('t')
  await engine.close()
  const db = new Database(join(dataDir, 'meta.db'))
  t.after(() => db.close())
  assert.deepEqual(db.prepare('SELECT * FROM committed_offsets').all(), [])
})
