// meta.db over its versions: what an earlier one has written is brought up with nothing lost.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { openMetaDatabase } from '../../src/local-engine/meta-schema.ts'
import { engineOptions, producerId, temporaryDirectory } from '../support/engine-options.ts'

/** The tables of version 1, as it made them. */
const VERSION_1 = `
CREATE TABLE cluster (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE topics (
  topic_id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  partition_count INTEGER NOT NULL,
  created_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE topic_configs (
  topic_id TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (topic_id, name)
) WITHOUT ROWID;
CREATE TABLE log_start_offsets (
  topic_id TEXT NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  PRIMARY KEY (topic_id, partition)
) WITHOUT ROWID;
CREATE TABLE growths (
  topic_id TEXT NOT NULL,
  partition_count_before INTEGER NOT NULL,
  producer_id INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (topic_id, partition_count_before, producer_id)
) WITHOUT ROWID;
CREATE TABLE deleted_topics (topic_id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE producers (name TEXT PRIMARY KEY, producer_id INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
`

const TOPIC = '0d3ab1a4-2d1c-4f3e-9a55-0c1f1f2b8c11'
const ID = (1n << 62n) + 41n

const ROWS = `
INSERT INTO cluster VALUES ('cluster_id', '5f9f3c1e-7a0b-4f61-8c77-0d7f0e3c6a10'), ('start_number', '7');
INSERT INTO topics VALUES ('${TOPIC}', 'orders', 4, 1767225600000);
INSERT INTO topic_configs VALUES ('${TOPIC}', 'retention.ms', '1000');
INSERT INTO log_start_offsets VALUES ('${TOPIC}', 2, 17);
INSERT INTO growths VALUES ('${TOPIC}', 2, ${ID}, 3, 57);
INSERT INTO deleted_topics VALUES ('f2c1b0aa-9d52-4c3f-8d26-9be2a1f00e01', 'gone');
INSERT INTO producers VALUES ('meter-7', ${ID}), ('meter-8', ${ID - 20n});
`

const COLUMNS = {
  cluster: 'name, value',
  topics: 'topic_id, name, partition_count, created_ms',
  topic_configs: 'topic_id, name, value',
  log_start_offsets: 'topic_id, partition, offset',
  growths: 'topic_id, partition_count_before, producer_id, epoch, sequence',
  deleted_topics: 'topic_id, name',
  producers: 'name, producer_id',
}

function firstVersion(t: TestContext): string {
  const dataDir = temporaryDirectory(t)
  const db = new Database(join(dataDir, 'meta.db'))
  db.pragma('journal_mode = WAL')
  db.exec(VERSION_1)
  db.exec(ROWS)
  db.close()
  return dataDir
}

/** Every row of the first version's columns, as text. */
function rowsOf(db: Database.Database): Record<string, string[]> {
  const rows = Object.entries(COLUMNS).map(([table, columns]) => {
    const found = db.prepare(`SELECT ${columns} FROM ${table}`).safeIntegers(true).raw(true).all() as unknown[][]
    return [table, found.map((row) => row.join('|')).filter((row) => !row.startsWith('last_producer_id'))]
  })
  return Object.fromEntries(rows)
}

function schemaOf(db: Database.Database): unknown[] {
  return db.prepare("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name").pluck().all()
}

test('a meta.db of the first version is brought up with every row kept, once', (t) => {
  const path = join(firstVersion(t), 'meta.db')
  const before = new Database(path)
  const rows = rowsOf(before)
  before.close()
  assert.ok(Object.values(rows).every((table) => table.length > 0))
  const fresh = openMetaDatabase(join(temporaryDirectory(t), 'meta.db'))
  for (const opening of ['first', 'second']) {
    const db = openMetaDatabase(path)
    assert.deepEqual(rowsOf(db), rows, opening)
    assert.deepEqual(schemaOf(db), schemaOf(fresh), opening)
    assert.equal(db.pragma('user_version', { simple: true }), fresh.pragma('user_version', { simple: true }))
    db.close()
  }
  fresh.close()
})

test('a step that fails leaves the older version as it was', (t) => {
  const path = join(firstVersion(t), 'meta.db')
  const spoilt = new Database(path)
  spoilt.exec('DROP TABLE growths')
  const tables = schemaOf(spoilt)
  assert.throws(() => openMetaDatabase(path), /growths/)
  assert.deepEqual(schemaOf(spoilt), tables)
  assert.equal(spoilt.pragma('user_version', { simple: true }), 1)
  assert.deepEqual(
    (spoilt.pragma('table_info(producers)') as { name: string }[]).map(({ name }) => name),
    ['name', 'producer_id'],
  )
  spoilt.close()
})

test('an engine goes on from a meta.db of the first version', async (t) => {
  const engine = await openLocalEngine(engineOptions(firstVersion(t)))
  t.after(() => engine.close())
  const topic = engine.findTopic('orders')
  assert.equal(topic?.partitionCount, 4)
  assert.deepEqual(topic?.configOverrides, { 'retention.ms': '1000' })
  assert.deepEqual(topic?.growths[0]?.lastSequences.get(ID), { epoch: 3, sequence: 57 })
  assert.equal(await producerId(engine, 'meter-7'), ID)
  assert.equal(await producerId(engine, 'meter-9'), ID + 1n)
})
