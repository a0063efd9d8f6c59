// index.db as SQL: its tables, every statement on its hot paths, and what its rows say. What holds of them says log-index.ts.

import type Database from 'better-sqlite3'
import type { Segment } from './log-segment.ts'

/** Up to here a partition's files are known to be whole, durable and indexed, once the commit journal is replayed. */
export interface RecoveryPoint {
  readonly segmentBase: number
  readonly position: number
  /** What producer snapshots and rows have seen. */
  readonly offset: number
}

export const INDEX_VERSION = 2

const SCHEMA = `
CREATE TABLE logs (
  log_id INTEGER PRIMARY KEY,
  topic_id TEXT NOT NULL,
  partition INTEGER NOT NULL,
  recovery_segment INTEGER,
  recovery_position INTEGER,
  recovery_offset INTEGER,
  cleaning_generation INTEGER NOT NULL DEFAULT 0,
  first_dirty_offset INTEGER NOT NULL DEFAULT 0,
  UNIQUE (topic_id, partition)
);
CREATE TABLE segments (
  log_id INTEGER NOT NULL,
  base_offset INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  end_offset INTEGER NOT NULL,
  max_timestamp INTEGER NOT NULL,
  first_timestamp INTEGER NOT NULL,
  PRIMARY KEY (log_id, base_offset)
) WITHOUT ROWID;
CREATE TABLE entries (
  log_id INTEGER NOT NULL,
  segment_base INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  position INTEGER NOT NULL,
  prior_max_timestamp INTEGER NOT NULL,
  PRIMARY KEY (log_id, segment_base, generation, offset)
) WITHOUT ROWID;
CREATE TABLE producers (
  log_id INTEGER NOT NULL,
  producer_id INTEGER NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (log_id, producer_id)
) WITHOUT ROWID;
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
`

/** What names a row among those of its log. */
const ROW_KEYS = { entries: 'segment_base, generation, offset', segments: 'base_offset', producers: 'producer_id' }
const TABLES = ['logs', ...Object.keys(ROW_KEYS)]

/** Lays the tables into an empty database. */
export function createIndexSchema(db: Database.Database): void {
  db.exec(SCHEMA)
  db.pragma(`user_version = ${INDEX_VERSION}`)
}

/** Empties a database of an older version: what it knew is in the segment files. */
export function dropIndexSchema(db: Database.Database): void {
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all() as string[]
  db.transaction(() => {
    for (const table of tables) db.exec(`DROP TABLE "${table}"`)
  })()
}

export interface LogRow {
  log_id: number
  topic_id: string
  partition: number
  recovery_segment: number | null
  recovery_position: number | null
  recovery_offset: number | null
  cleaning_generation: number
  first_dirty_offset: number
}

export interface SegmentRow {
  base_offset: number
  generation: number
  size_bytes: number
  end_offset: number
  max_timestamp: number
  first_timestamp: number
}

/** offset, position, prior_max_timestamp: a look-up per read, and a row without names is a quarter cheaper. */
export type EntryRow = readonly [number, number, number]

export type IndexStatements = ReturnType<typeof prepareIndex>

export function prepareIndex(db: Database.Database) {
  const transaction = db.transaction((work: () => void) => work())
  return {
    writeAll: (work: () => void) => transaction(work),
    findLog: db.prepare('SELECT * FROM logs WHERE topic_id = ? AND partition = ?'),
    addLog: db.prepare('INSERT INTO logs (log_id, topic_id, partition) VALUES (?, ?, ?)'),
    dropLog: db.prepare('DELETE FROM logs WHERE log_id = ?'),
    // the first column of each table's key: four look-ups
    lastLogId: db
      .prepare(`SELECT max(${TABLES.map((table) => `ifnull((SELECT max(log_id) FROM ${table}), 0)`).join(', ')})`)
      .pluck(),
    noteDropped: db.prepare('INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)'),
    findDropped: db.prepare('SELECT name, value FROM state WHERE name GLOB ? LIMIT 1'),
    forgetDropped: db.prepare('DELETE FROM state WHERE name = ?'),
    sweepLog: Object.entries(ROW_KEYS).map(([table, key]) =>
      db.prepare(
        `DELETE FROM ${table} WHERE log_id = $logId AND (${key}) IN` +
          ` (SELECT ${key} FROM ${table} WHERE log_id = $logId LIMIT $left)`,
      ),
    ),
    setRecoveryPoint: db.prepare(
      'UPDATE logs SET recovery_segment = ?, recovery_position = ?, recovery_offset = ? WHERE log_id = ?',
    ),
    setGeneration: db.prepare('UPDATE logs SET cleaning_generation = ? WHERE log_id = ?'),
    passOver: db.prepare('UPDATE logs SET cleaning_generation = ? WHERE log_id = ? AND cleaning_generation = ?'),
    setFirstDirty: db.prepare('UPDATE logs SET first_dirty_offset = ? WHERE log_id = ?'),
    segments: db.prepare('SELECT * FROM segments WHERE log_id = ? ORDER BY base_offset'),
    putSegment: db.prepare('INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)'),
    dropSegment: db.prepare('DELETE FROM segments WHERE log_id = ? AND base_offset = ?'),
    addEntry: db.prepare('INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)'),
    dropEntries: db.prepare(
      'DELETE FROM entries WHERE log_id = ? AND segment_base = ? AND generation = ? AND offset IN' +
        ' (SELECT offset FROM entries WHERE log_id = ? AND segment_base = ? AND generation = ? LIMIT ?)',
    ),
    dropSegments: db.prepare('DELETE FROM segments WHERE log_id = ? AND base_offset < ?'),
    sweepEnd: db
      .prepare(
        'SELECT segment_base, generation, offset FROM entries WHERE log_id = ? AND segment_base < ?' +
          ' ORDER BY segment_base, generation, offset LIMIT 1 OFFSET ?',
      )
      .raw(true),
    sweepEntries: db.prepare('DELETE FROM entries WHERE log_id = ? AND (segment_base, generation, offset) < (?, ?, ?)'),
    floor: db
      .prepare(
        'SELECT offset, position, prior_max_timestamp FROM entries' +
          ' WHERE log_id = ? AND segment_base = ? AND generation = ? AND offset <= ? ORDER BY offset DESC LIMIT 1',
      )
      .raw(true),
    putProducer: db.prepare('INSERT OR REPLACE INTO producers VALUES (?, ?, ?)'),
    dropProducer: db.prepare('DELETE FROM producers WHERE log_id = ? AND producer_id = ?'),
    producers: db.prepare('SELECT producer_id, state FROM producers WHERE log_id = ?').safeIntegers(true),
  }
}

export function segmentOfRow(row: SegmentRow): Segment {
  return {
    baseOffset: row.base_offset,
    generation: row.generation,
    sizeBytes: row.size_bytes,
    endOffset: row.end_offset,
    maxTimestamp: row.max_timestamp,
    firstTimestamp: row.first_timestamp,
  }
}

export function recoveryPointOfRow(row: LogRow): RecoveryPoint | undefined {
  if (row.recovery_segment === null || row.recovery_position === null || row.recovery_offset === null) return undefined
  return { segmentBase: row.recovery_segment, position: row.recovery_position, offset: row.recovery_offset }
}
