// One process at a time in a data directory. Node has no flock, SQLite has: an exclusive transaction on the file `lock`
// is an operating system's lock, which ends with the process, however that ends.

import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { TailraceError } from '../kernel/errors.ts'

/**
 * Makes the directory if need be and takes it; returns the function that gives it free. Throws kafka_storage_error while
 * another process has it, and where it cannot be written.
 */
export function lockDirectory(dataDir: string): () => void {
  makeWritable(dataDir)
  const db = new Database(join(dataDir, 'lock'), { timeout: 0 })
  try {
    db.pragma('locking_mode = EXCLUSIVE')
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    throw (error as { code?: unknown }).code === 'SQLITE_NOTADB' ? damagedLock(dataDir, error) : inUse(dataDir, error)
  }
  return () => {
    if (db.open) db.close()
  }
}

/** Files that a start opens: they may be another user's, of a run before. */
const FILES_OPENED = ['lock', 'meta.db', 'index.db']

/** Found here, because SQLite says neither what cannot be opened nor why, and takes no lock on a file it can only read. */
function makeWritable(dataDir: string): void {
  const { R_OK, W_OK, X_OK } = constants
  try {
    makeFolders(dataDir)
    accessSync(dataDir, R_OK | W_OK | X_OK)
    const paths = FILES_OPENED.map((name) => join(dataDir, name))
    for (const path of paths.filter((each) => existsSync(each))) accessSync(path, R_OK | W_OK)
  } catch (error) {
    throw notUsable(dataDir, error as Error)
  }
}

/** Level by level: Node's own recursion never ends where a folder that is there takes none (/proc). */
function makeFolders(path: string): void {
  if (existsSync(path) && statSync(path).isDirectory()) return
  if (!existsSync(dirname(path))) makeFolders(dirname(path))
  mkdirSync(path, { mode: 0o750 })
}

function notUsable(dataDir: string, cause: Error): TailraceError {
  return new TailraceError(
    'kafka_storage_error',
    `the data directory ${dataDir} cannot be used (${cause.message}): name another one, or give this one and all in it to the user that runs the server`,
    { data_dir: dataDir },
    { cause },
  )
}

function inUse(dataDir: string, cause: unknown): TailraceError {
  return new TailraceError(
    'kafka_storage_error',
    `the data directory ${dataDir} is in use by another process: stop that one, or name another directory`,
    { data_dir: dataDir },
    { cause },
  )
}

/** An empty file when all is well. */
function damagedLock(dataDir: string, cause: unknown): TailraceError {
  const message = `${join(dataDir, 'lock')} is damaged: delete it, when no server runs in ${dataDir}`
  return new TailraceError('kafka_storage_error', message, { data_dir: dataDir }, { cause })
}
