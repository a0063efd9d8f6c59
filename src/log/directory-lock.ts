// One process at a time in a data directory. Node has no flock, SQLite has: an exclusive transaction on the file `lock`
// is an operating system's lock, which ends with the process, however that ends.

import { join } from 'node:path'
import Database from 'better-sqlite3'
import { TailraceError } from '../kernel/errors.ts'

/** Returns the function that gives the directory free. Throws kafka_storage_error while another process has it. */
export function lockDirectory(dataDir: string): () => void {
  const db = new Database(join(dataDir, 'lock'), { timeout: 0 })
  try {
    db.pragma('locking_mode = EXCLUSIVE')
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    throw inUse(dataDir, error)
  }
  return () => {
    if (db.open) db.close()
  }
}

function inUse(dataDir: string, cause: unknown): TailraceError {
  return new TailraceError(
    'kafka_storage_error',
    `the data directory ${dataDir} is in use by another process: stop that one, or name another directory`,
    { data_dir: dataDir },
    { cause },
  )
}
