// What index.db needs beside its rows (log-index.ts): it is opened, written by the clock, swept of rows that are nobody's,
// and put aside where it is damaged. What must hold: nothing that was appended waits for it or is lost with it; a failure
// is told, and costs a longer scan.

import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { Clock, Timer } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import { putIndexAside } from './index-forget.ts'
import { createIndexSchema, dropIndexSchema, INDEX_VERSION } from './index-schema.ts'
import type { LogIdentity } from './log-identity.ts'
import type { IndexedLog } from './log-index.ts'
import { LogIndex } from './log-index.ts'
import { isDamage, isDiskFull } from './storage-failure.ts'

export interface IndexKeeperOptions {
  readonly dataDir: string
  readonly clock: Clock
  readonly logger: Logger
  /** Brings index.db's write-ahead log into the database, in another thread: a sync that readers must not wait for. */
  readonly checkpointIndex?: (path: string) => void
  /** index.db, when it is not the file in the data directory. */
  readonly openIndex?: () => Database.Database
}

/** How long an index entry may be held back: what a crash has to scan again. */
const FLUSH_MS = 500

/** About a megabyte of write-ahead log. */
const ENTRIES_PER_CHECKPOINT = 20_000

/** Pages of write-ahead log at which this thread brings them in after all, should the other one not keep up. */
const CHECKPOINT_PAGES_MAX = 20_000

export class IndexKeeper {
  readonly index: LogIndex
  readonly #options: IndexKeeperOptions
  readonly #path: string
  #flushTimer: Timer | undefined
  #entriesSinceCheckpoint = 0
  #sweeping: Promise<void> | undefined
  #isClosing = false
  #isAside = false

  constructor(options: IndexKeeperOptions) {
    const { dataDir, logger, openIndex } = options
    this.#options = options
    this.#path = join(dataDir, 'index.db')
    const onFailedRead = (error: unknown) => this.noteFailure(error)
    this.index =
      openIndex === undefined
        ? openOrMakeAnew(this.#path, logger, onFailedRead)
        : new LogIndex(openIndex(), onFailedRead)
  }

  /** undefined: it cannot be read there. */
  find({ topicId, partition }: LogIdentity): IndexedLog | undefined {
    try {
      return this.index.findLog(topicId, partition)
    } catch (error) {
      this.noteFailure(error)
      return undefined
    }
  }

  flushSoon(): void {
    this.#flushTimer ??= this.#options.clock.after(FLUSH_MS, () => this.flush())
  }

  /** Writes held-back entries; a failure costs a longer scan after a crash, nothing else. False: it failed. */
  flush(): boolean {
    this.#flushTimer?.cancel()
    this.#flushTimer = undefined
    try {
      this.#entriesSinceCheckpoint += this.index.flush()
      if (this.#entriesSinceCheckpoint >= ENTRIES_PER_CHECKPOINT) {
        this.#entriesSinceCheckpoint = 0
        this.#options.checkpointIndex?.(this.#path)
      }
      return true
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'index.db could not be written; it is tried again')
      this.noteFailure(error)
      this.#flushTimer = this.#options.clock.after(FLUSH_MS * 4, () => this.flush())
      return false
    }
  }

  /** The partition's topic is deleted. */
  forget({ topicId, partition }: LogIdentity): void {
    try {
      this.index.dropLog(topicId, partition)
      this.sweep()
    } catch (error) {
      // rows of an id that never comes again: they take room, nothing else
      this.#options.logger.warn({ err: error, topicId, partition }, 'rows of a deleted topic are left in index.db')
    }
  }

  /** Removes rows of logs that are gone, by this start or an earlier one, in turns. */
  sweep(): void {
    this.#sweeping ??= this.#sweepInTurns().finally(() => {
      this.#sweeping = undefined
    })
  }

  async #sweepInTurns(): Promise<void> {
    try {
      while (!this.#isClosing && this.index.sweepDropped()) {
        this.flushSoon()
        await nextTurn()
      }
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'rows of deleted topics are left in index.db until later')
      this.noteFailure(error)
    }
  }

  async endSweep(): Promise<void> {
    this.#isClosing = true
    await this.#sweeping
  }

  /**
   * Damage in the midst of index.db is met when that place is read or written. The next start makes it anew; this one goes
   * on with the file that is open, as far as it can be read.
   */
  noteFailure(error: unknown): void {
    if (this.#isAside || this.#options.openIndex !== undefined || !isDamage(error)) return
    this.#isAside = true
    const aside = putIndexAside(this.#path)
    this.#options.logger.error({ err: error, aside }, 'index.db is damaged: the next start makes it anew')
  }

  markCleanStop(startNumber: number, leftFiles: readonly string[]): void {
    try {
      this.index.markCleanStop(startNumber, leftFiles)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'index.db could not be written: the next start looks at all files')
    }
  }

  close(): void {
    this.#flushTimer?.cancel()
    this.index.close()
  }
}

/** Opens index.db; one that is damaged is put aside and made anew, one of a newer version is refused. */
function openOrMakeAnew(path: string, logger: Logger, onFailedRead: (error: unknown) => void): LogIndex {
  try {
    return openIndexFile(path, onFailedRead)
  } catch (error) {
    if (error instanceof TailraceError || isDiskFull(error)) throw error
    const aside = putIndexAside(path)
    logger.warn({ err: error, aside }, 'index.db is damaged: it was put aside and is made anew from the segment files')
    return openIndexFile(path, onFailedRead)
  }
}

function openIndexFile(path: string, onFailedRead: (error: unknown) => void): LogIndex {
  const db = new Database(path)
  try {
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = NORMAL')
    db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES_MAX}`)
    const version = db.pragma('user_version', { simple: true }) as number
    if (version > INDEX_VERSION) throw newerVersion(path, version)
    if (version > 0 && version < INDEX_VERSION) dropIndexSchema(db)
    if (version < INDEX_VERSION) createIndexSchema(db)
    const index = new LogIndex(db, onFailedRead)
    // whether it can be read at all
    index.cleanStop()
    return index
  } catch (error) {
    db.close()
    throw error
  }
}

function newerVersion(path: string, version: number): TailraceError {
  return new TailraceError(
    'kafka_storage_error',
    `${path} was written by a newer Tailrace (version ${version}, this one knows ${INDEX_VERSION}): ` +
      'start that one, or delete index.db, which is then rebuilt from the segment files',
  )
}
