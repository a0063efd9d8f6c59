// Rows of index.db that belong to no log any more: they go in turns, are found by nobody meanwhile, and after a crash too.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { INDEX_ROWS_PER_TURN_MAX } from '../../src/kernel/limits.ts'
import { createIndexSchema } from '../../src/log/index-schema.ts'
import { LogIndex } from '../../src/log/log-index.ts'
import { emptySegment } from '../../src/log/log-segment.ts'

const TOPIC = '0191d5a0-0000-7000-8000-000000000001'
const SEGMENT = { baseOffset: 0, generation: 0 }
const ENTRIES = 5 * INDEX_ROWS_PER_TURN_MAX

function newIndex(): { db: Database.Database; index: LogIndex } {
  const db = new Database(':memory:')
  createIndexSchema(db)
  return { db, index: new LogIndex(db) }
}

/** A log of one segment with many entries. */
function fill(index: LogIndex, partition: number): number {
  const logId = index.addLog(TOPIC, partition)
  const entries = Array.from({ length: ENTRIES }, (_, at) => ({
    offset: at,
    position: at * 100,
    priorMaxTimestamp: at,
  }))
  index.putEntries(logId, SEGMENT, entries)
  index.noteSegment(logId, emptySegment(0), { segmentBase: 0, position: 0, offset: 0 })
  index.flush()
  return logId
}

function rowsOf(db: Database.Database): number {
  const count = (table: string) => db.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number
  return count('entries') + count('segments') + count('producers')
}

/** How many turns it took until nothing was left. */
function sweep({ db, index }: { db: Database.Database; index: LogIndex }): number {
  for (let turns = 1; ; turns++) {
    const before = rowsOf(db)
    const isMore = index.sweepDropped()
    assert.ok(before - rowsOf(db) <= INDEX_ROWS_PER_TURN_MAX, 'a bounded number of rows in a turn')
    if (!isMore) return turns
  }
}

test('a log that is dropped is unknown at once, and its rows go in turns', () => {
  const { db, index } = newIndex()
  const dropped = fill(index, 0)
  const kept = fill(index, 1)
  const before = rowsOf(db)
  index.dropLog(TOPIC, 0)
  assert.equal(index.findLog(TOPIC, 0).logId, -1)
  assert.equal(rowsOf(db), before)
  assert.ok(sweep({ db, index }) >= 5)
  assert.equal(rowsOf(db), before / 2)
  assert.equal(index.floorOfOffset(dropped, SEGMENT, 17), undefined)
  assert.equal(index.floorOfOffset(kept, SEGMENT, 17)?.position, 1_700)
  assert.equal(index.sweepDropped(), false)
})

test('a log that is forgotten to be scanned anew has none of its old rows, from the first moment on', () => {
  const { db, index } = newIndex()
  const before = fill(index, 0)
  const anew = index.resetLog(TOPIC, 0)
  assert.notEqual(anew, before)
  const { logId, segments, recoveryPoint, cleaningGeneration } = index.findLog(TOPIC, 0)
  assert.deepEqual([logId, segments, recoveryPoint, cleaningGeneration], [anew, [], undefined, -1])
  assert.equal(index.floorOfOffset(anew, SEGMENT, 17), undefined)
  sweep({ db, index })
  assert.equal(rowsOf(db), 0)
})

test('no log gets the id of one whose rows are left, in a later start neither; that start removes them', () => {
  const { db, index } = newIndex()
  fill(index, 0)
  index.dropLog(TOPIC, 0)
  index.sweepDropped()
  // a crash: what is held in memory is gone
  const next = new LogIndex(db)
  const made = next.addLog(TOPIC, 0)
  assert.equal(next.floorOfOffset(made, SEGMENT, 17), undefined)
  next.putEntries(made, SEGMENT, [{ offset: 3, position: 300, priorMaxTimestamp: 3 }])
  sweep({ db, index: next })
  assert.equal(rowsOf(db), 1)
  assert.equal(next.floorOfOffset(made, SEGMENT, 17)?.position, 300)
})
