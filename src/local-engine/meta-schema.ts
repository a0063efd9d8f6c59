// meta.db as SQL: its tables and every statement that changes it, by name. It is the truth of what topics there are and
// how they are configured, of log start offsets, of producers' names, and of what consumer groups have committed. Opened
// at start by the main thread, which reads it into memory; from then on one worker thread writes it and nobody reads it.

import Database from 'better-sqlite3'
import { TailraceError } from '../kernel/errors.ts'

/**
 * How meta.db came to be as it is: its version is how many of these were applied, and one from before is brought up when it
 * is opened. Only ever added to: what stands here has run over somebody's data.
 */
const MIGRATIONS = [
  `
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
`,
  // names are forgotten after a silence: when one was used last (0: not known), and the highest id, that none is given again
  `
ALTER TABLE producers ADD COLUMN used_until_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX growths_of_producer ON growths (producer_id);
INSERT INTO cluster SELECT 'last_producer_id', max(producer_id) FROM producers HAVING count(*) > 0;
`,
  // how often segments of a partition were replaced by cleaned ones: index.db holds while it says the same
  `
CREATE TABLE cleaning_generations (
  topic_id TEXT NOT NULL,
  partition INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  PRIMARY KEY (topic_id, partition)
) WITHOUT ROWID;
`,
  // consumer groups: what of them outlives the server; empty_since_ms is null while there are members
  `
CREATE TABLE groups (
  group_id TEXT PRIMARY KEY,
  protocol_type TEXT NOT NULL,
  generation INTEGER NOT NULL,
  empty_since_ms INTEGER
) WITHOUT ROWID;
CREATE TABLE committed_offsets (
  group_id TEXT NOT NULL,
  topic_id TEXT NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  leader_epoch INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  committed_ms INTEGER NOT NULL,
  PRIMARY KEY (group_id, topic_id, partition)
) WITHOUT ROWID;
CREATE INDEX committed_offsets_of_topic ON committed_offsets (topic_id);
`,
] as const

export const META_STATEMENTS = {
  addTopic: 'INSERT INTO topics (topic_id, name, partition_count, created_ms) VALUES (?, ?, ?, ?)',
  setPartitionCount: 'UPDATE topics SET partition_count = ? WHERE topic_id = ?',
  setConfig: 'INSERT OR REPLACE INTO topic_configs (topic_id, name, value) VALUES (?, ?, ?)',
  dropConfig: 'DELETE FROM topic_configs WHERE topic_id = ? AND name = ?',
  setLogStartOffset: 'INSERT OR REPLACE INTO log_start_offsets (topic_id, partition, offset) VALUES (?, ?, ?)',
  addGrowth:
    'INSERT OR REPLACE INTO growths (topic_id, partition_count_before, producer_id, epoch, sequence) VALUES (?, ?, ?, ?, ?)',
  dropTopic: 'DELETE FROM topics WHERE topic_id = ?',
  dropTopicConfigs: 'DELETE FROM topic_configs WHERE topic_id = ?',
  dropLogStartOffsets: 'DELETE FROM log_start_offsets WHERE topic_id = ?',
  // a topic may be deleted meanwhile
  setCleaningGeneration:
    'INSERT OR REPLACE INTO cleaning_generations SELECT topic_id, ?, ? FROM topics WHERE topic_id = ?',
  dropCleaningGenerations: 'DELETE FROM cleaning_generations WHERE topic_id = ?',
  dropGrowths: 'DELETE FROM growths WHERE topic_id = ?',
  addDeletedTopic: 'INSERT OR REPLACE INTO deleted_topics (topic_id, name) VALUES (?, ?)',
  dropDeletedTopic: 'DELETE FROM deleted_topics WHERE topic_id = ?',
  dropGrowthsOfProducer: 'DELETE FROM growths WHERE producer_id = ?',
  putProducer: 'INSERT OR REPLACE INTO producers (name, producer_id, used_until_ms) VALUES (?, ?, ?)',
  putGroup: 'INSERT OR REPLACE INTO groups (group_id, protocol_type, generation, empty_since_ms) VALUES (?, ?, ?, ?)',
  dropGroup: 'DELETE FROM groups WHERE group_id = ?',
  // a topic may be deleted meanwhile
  putCommittedOffset:
    'INSERT INTO committed_offsets (group_id, topic_id, partition, offset, leader_epoch, metadata, committed_ms)' +
    ' SELECT ?, topic_id, ?, ?, ?, ?, ? FROM topics WHERE topic_id = ?' +
    // not replaced: the index would be written with each
    ' ON CONFLICT DO UPDATE SET offset = excluded.offset, leader_epoch = excluded.leader_epoch,' +
    ' metadata = excluded.metadata, committed_ms = excluded.committed_ms',
  dropCommittedOffset: 'DELETE FROM committed_offsets WHERE group_id = ? AND topic_id = ? AND partition = ?',
  dropCommittedOffsetsOfGroup: 'DELETE FROM committed_offsets WHERE group_id = ?',
  dropCommittedOffsetsOfTopic: 'DELETE FROM committed_offsets WHERE topic_id = ?',
  dropProducer: 'DELETE FROM producers WHERE name = ?',
  raiseLastProducerId:
    "INSERT INTO cluster (name, value) VALUES ('last_producer_id', ?)" +
    ' ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE CAST(excluded.value AS INTEGER) > CAST(value AS INTEGER)',
} as const

/** One change of meta.db: a statement by name, and its values in order. */
export interface MetaChange {
  readonly statement: keyof typeof META_STATEMENTS
  readonly values: readonly (string | number | bigint | null)[]
}

/**
 * Opens meta.db as its writer must: a commit is on the disk when it returns. Brings an older version up, refuses a newer one.
 * onNew is asked before tables are laid into an empty one.
 */
export function openMetaDatabase(path: string | Buffer, onNew = () => {}): Database.Database {
  const db = new Database(path)
  try {
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    const version = db.pragma('user_version', { simple: true }) as number
    if (version > MIGRATIONS.length) {
      throw new TailraceError(
        'kafka_storage_error',
        `${path} was written by a newer Tailrace (version ${version}, this one knows ${MIGRATIONS.length}): start that one`,
      )
    }
    if (version === 0) onNew()
    if (version < MIGRATIONS.length) {
      db.transaction(() => {
        for (const migration of MIGRATIONS.slice(version)) db.exec(migration)
        db.pragma(`user_version = ${MIGRATIONS.length}`)
      })()
    }
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** Throws where SQLite finds pages or rows of it damaged. */
export function checkMetaDatabase(db: Database.Database): void {
  const found = db.pragma('quick_check(1)', { simple: true }) as string
  if (found !== 'ok') throw new Error(found)
}
