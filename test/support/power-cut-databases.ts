// meta.db and index.db of an engine on the simulated disk, in memory. What must hold: after a power cut meta.db is at its
// last commit (it is synced), of which nobody may have heard yet; index.db, which is not, is at any earlier commit or gone;
// after a kill of the process both are at their last commit. Real SQLite: a full one answers SQLITE_FULL by itself.

import Database from 'better-sqlite3'
import type { EngineDatabases } from '../../src/local-engine/local-engine.ts'
import type { MetaChange } from '../../src/local-engine/meta-schema.ts'
import { openMetaDatabase } from '../../src/local-engine/meta-schema.ts'
import { MetaTransactions } from '../../src/local-engine/meta-transactions.ts'
import type { MetaCommits, MetaRequest } from '../../src/local-engine/meta-writer.ts'
import { metaFailure } from '../../src/local-engine/meta-writer.ts'
import { createIndexSchema } from '../../src/log/index-schema.ts'
import type { PowerCutDisk } from './power-cut-disk.ts'
import type { Random } from './random.ts'

/** Of index.db, over a history: the oldest is as good as any. */
const INDEX_COPIES_MAX = 8

export interface DatabaseFiles {
  readonly meta: Buffer | undefined
  readonly index: Buffer | undefined
  readonly indexCopies: readonly Buffer[]
}

/** SQLite's own. */
const PAGES_MAX = 0x3fff_fffe

const NO_FILES: DatabaseFiles = { meta: undefined, index: undefined, indexCopies: [] }

export class PowerCutDatabases implements EngineDatabases, MetaCommits {
  readonly #random: Random
  /** Whose power is theirs too. */
  readonly #disk: PowerCutDisk
  readonly #meta: Database.Database
  readonly #index: Database.Database
  readonly #indexCopies: Buffer[]
  readonly #transactions: MetaTransactions
  #metaFails: 'gone' | 'left behind' | undefined
  /** meta.db with a commit whose sync failed: it is rolled back, but a start finds it if no later one was written over it. */
  #metaLeftBehind: Buffer | undefined
  #left: { readonly meta: Buffer; readonly index: Buffer } | undefined

  constructor(random: Random, disk: PowerCutDisk, { meta, index, indexCopies } = NO_FILES) {
    this.#random = random
    this.#disk = disk
    this.#meta = kept(openMetaDatabase(meta ?? ':memory:'))
    this.#index = kept(index === undefined ? newIndex() : new Database(index))
    this.#indexCopies = [...indexCopies]
    this.#transactions = new MetaTransactions(this.#meta)
  }

  readonly openMeta = (): Database.Database => this.#meta
  readonly openIndex = (): Database.Database => this.#index

  get metaCommits(): MetaCommits {
    return this
  }

  async commit(changes: readonly MetaChange[]): Promise<void> {
    await this.#turns()
    const request = { id: 0, changes }
    if (this.#disk.isUnplugged || this.#metaFails !== undefined) {
      if (!this.#disk.isUnplugged && this.#metaFails === 'left behind') this.#metaLeftBehind = this.#metaWith(request)
      this.#metaFails = undefined
      throw metaFailure({ code: 'SQLITE_IOERR_FSYNC', message: 'disk I/O error' })
    }
    const [reply] = this.#transactions.commit([request])
    if (reply?.failure === undefined) this.#metaLeftBehind = undefined
    await this.#turns()
    if (reply?.failure !== undefined) throw metaFailure(reply.failure)
  }

  #metaWith(request: MetaRequest): Buffer {
    const db = new Database(this.#meta.serialize())
    new MetaTransactions(db).commit([request])
    const bytes = db.serialize()
    db.close()
    return bytes
  }

  async #turns(): Promise<void> {
    for (let left = this.#random.below(4); left > 0; left--) await Promise.resolve()
  }

  checkpoint(): void {}

  async close(): Promise<void> {}

  /** The next commit of meta.db fails; a start may find it all the same. */
  failMeta(random: Random): void {
    this.#metaFails = random.pick(['gone', 'left behind'] as const)
  }

  /** As on a disk that has no room. */
  fill(which: 'meta' | 'index'): void {
    const db = which === 'meta' ? this.#meta : this.#index
    db.pragma(`max_page_count = ${db.pragma('page_count', { simple: true }) as number}`)
  }

  /** No more faults. */
  heal(): void {
    this.#metaFails = undefined
    if (this.#left === undefined) for (const db of [this.#meta, this.#index]) db.pragma(`max_page_count = ${PAGES_MAX}`)
  }

  keepIndexCopy(): void {
    if (this.#left !== undefined) return
    this.#indexCopies.push(this.#index.serialize())
    if (this.#indexCopies.length > INDEX_COPIES_MAX) this.#indexCopies.splice(this.#random.below(INDEX_COPIES_MAX), 1)
  }

  /** In the moment in which the power goes or the process is killed: what comes later is not in the files. */
  freeze(): void {
    if (this.#left !== undefined) return
    const meta = this.#metaLeftBehind !== undefined && this.#random.chance(0.5) ? this.#metaLeftBehind : undefined
    this.#left = { meta: meta ?? this.#meta.serialize(), index: this.#index.serialize() }
  }

  /** The files that the next start finds. */
  cut(what: 'power' | 'process' | 'stop', random: Random): DatabaseFiles {
    // a stop brings what was committed, and nothing else, into the file
    if (what === 'stop') this.#metaLeftBehind = undefined
    this.freeze()
    const { meta, index } = this.#left as { meta: Buffer; index: Buffer }
    const copies = [...this.#indexCopies, index]
    const kept = what !== 'power' ? index : random.chance(0.2) ? undefined : random.pick(copies)
    for (const db of [this.#meta, this.#index]) Object.getPrototypeOf(db).close.call(db)
    return { meta, index: kept, indexCopies: copies.slice(-INDEX_COPIES_MAX) }
  }
}

/** The engine closes what it has opened; what stands in it is to be looked at afterwards. */
function kept(db: Database.Database): Database.Database {
  db.close = () => db
  return db
}

function newIndex(): Database.Database {
  const db = new Database(':memory:')
  createIndexSchema(db)
  return db
}
