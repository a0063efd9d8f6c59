// What a repair of segment files does to index.db, offline: the partition's recovery point goes, so that the next start
// believes nothing of it and scans its files. An index.db that is damaged is put aside whole; it is made anew.

import fs from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { TailraceError } from '../kernel/errors.ts'
import { isDamage } from './storage-failure.ts'

/** Answers the end offset that was known; undefined: none. The caller holds the directory's lock. */
export function forgetIndexedLog(dataDir: string, topicId: string, partition: number): number | undefined {
  const path = join(dataDir, 'index.db')
  if (!fs.existsSync(path)) return undefined
  try {
    return forgetRows(path, topicId, partition)
  } catch (error) {
    // without these tables it is no index.db
    const isDifferent = (error as { code?: unknown }).code === 'SQLITE_ERROR'
    if (!isDamage(error) && !isDifferent) throw unusable(path, error)
    putIndexAside(path)
    return undefined
  }
}

/** It says where the log ended, so that it is not put aside for want of a permission, or of room. */
function unusable(path: string, cause: unknown): TailraceError {
  const message = `${path} cannot be opened or written (${(cause as Error).message}): nothing was changed`
  return new TailraceError('kafka_storage_error', message, {}, { cause })
}

function forgetRows(path: string, topicId: string, partition: number): number | undefined {
  const db = new Database(path)
  try {
    db.pragma('synchronous = FULL')
    const endOffset = db
      .prepare(
        'SELECT max(end_offset) FROM segments WHERE log_id = (SELECT log_id FROM logs WHERE topic_id = ? AND partition = ?)',
      )
      .pluck()
      .get(topicId, partition) as number | null
    db.prepare(
      'UPDATE logs SET recovery_segment = NULL, recovery_position = NULL, recovery_offset = NULL WHERE topic_id = ? AND partition = ?',
    ).run(topicId, partition)
    return endOffset ?? undefined
  } finally {
    db.close()
  }
}

/** Moves index.db with all that belongs to it out of the way; answers where to. */
export function putIndexAside(path: string): string {
  const aside = `${path}.damaged`
  for (const suffix of ['', '-wal', '-shm']) {
    if (fs.existsSync(path + suffix)) fs.renameSync(path + suffix, aside + suffix)
  }
  return aside
}
