// What a stop leaves, when something fails while it comes, or the start before it has failed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { createIndexSchema } from '../../src/log/index-schema.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { toParts } from '../record/records.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { logSettings, TAIL_MARK_KEY } from '../support/log-settings.ts'
import { PowerCutDatabases } from '../support/power-cut-databases.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

const IDENTITY = { topicId: '0191d5a0-0000-7000-8000-000000000001', topicName: 'orders', partition: 0 }
const FOLDER = '/data/topics/orders-0'

function newIndex(): Database.Database {
  const db = new Database(':memory:')
  createIndexSchema(db)
  return db
}

function openManager(disk: PowerCutDisk, leaderEpoch: number, index = newIndex()): LogManager {
  return new LogManager({
    dataDir: '/data',
    disk,
    clock: new FakeClock(),
    logger: silentLogger,
    telemetry: new Telemetry(),
    isForgotten: () => false,
    leaderEpoch,
    tailMarkKey: TAIL_MARK_KEY,
    settings: () => logSettings(),
    logStartOffset: () => 0,
    cleaningGeneration: () => 0,
    setCleaningGeneration: () => Promise.resolve(),
    onSynced: () => undefined,
    openIndex: () => index,
  })
}

/** One batch, and the process is killed. */
async function killedDisk(): Promise<PowerCutDisk> {
  const disk = new PowerCutDisk(new Random(1))
  const records = toParts([{ timestamp: 1, key: null, value: 'a', headers: [] }])
  await openManager(disk, 1)
    .log(IDENTITY)
    .append([sealBatch(records, { compression: 'none' })], 'all')
  return disk.cut('process')
}

/** What is in index.db when it is closed; undefined: it never was. */
function atClose(index: Database.Database): { bytes: Buffer | undefined } {
  const seen: { bytes: Buffer | undefined } = { bytes: undefined }
  const close = index.close.bind(index)
  index.close = () => {
    seen.bytes ??= index.serialize()
    return close()
  }
  return seen
}

for (const code of ['EMFILE', 'ENOSPC']) {
  test(`a partition whose opening fails meanwhile (${code}) holds up no stop, and is looked at by the next start`, async () => {
    const disk = await killedDisk()
    const index = newIndex()
    const closed = atClose(index)
    const manager = openManager(disk, 2, index)
    disk.faults.failNext('list', code)
    const opening = assert.rejects(manager.log(IDENTITY).open())
    await manager.close()
    await opening
    assert.ok(closed.bytes !== undefined, 'index.db is closed')
    assert.equal(openManager(disk, 3, new Database(closed.bytes)).cleanStop, false)
  })
}

test('a partition whose opening fails meanwhile gives its folder to the deletion of its topic', async () => {
  const disk = await killedDisk()
  const manager = openManager(disk, 2)
  disk.faults.failNext('list', 'EMFILE')
  const opening = assert.rejects(manager.log(IDENTITY).open())
  assert.equal(await manager.retire(IDENTITY), `/data/topics/${IDENTITY.topicId}-0.deleted`)
  await opening
  assert.deepEqual(disk.namesIn(FOLDER), [])
})

test('a stop before a start has looked at what a crash left is no clean one', async () => {
  const index = newIndex()
  const closed = atClose(index)
  await openManager(await killedDisk(), 2, index).close()
  assert.equal(openManager(new PowerCutDisk(new Random(1)), 3, new Database(closed.bytes)).cleanStop, false)
})

test('a start that fails leaves no database open', async (t) => {
  const random = new Random(1)
  const disk = new PowerCutDisk(random)
  const databases = new PowerCutDatabases(random, disk)
  const index = databases.openIndex()
  const closed = atClose(index)
  disk.faults.failNext('make-folder', 'EIO')
  const { openMeta, metaCommits } = databases
  const parts = { openMeta, metaCommits, openIndex: () => index }
  const options = engineOptions(temporaryDirectory(t), { disk, databases: parts })
  await assert.rejects(openLocalEngine(options), { code: 'EIO' })
  assert.ok(closed.bytes !== undefined)
})
