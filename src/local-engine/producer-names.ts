// The names of producers and the ids behind them, in memory; meta.db is their journal. What must hold: of one name one id is
// in use at a time; an id that was given once is never given again, so that what partitions remember of a forgotten
// producer is never taken for another's; a name is remembered for producer.id.expiration.ms after its last use, over a
// crash too. So its row is dated ahead: a use that the date does not cover waits until a later one is durable, and all
// others cost nothing. A crash lets a name live longer, by that advance, and never shorter. Any number of callers at once.

import type Database from 'better-sqlite3'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { PRODUCER_NAMES_MAX, PRODUCERS_FORGOTTEN_AT_ONCE_MAX } from '../kernel/limits.ts'
import type { MetaChange } from './meta-schema.ts'
import type { MetaWriter } from './meta-writer.ts'

/** Bit 62: the batches of this id carry request numbers. */
const FIRST_PRODUCER_ID = 1n << 62n

/** Rows are dated ahead by this part of the expiration: a name in steady use is written a few dozen times in it. */
const ADVANCE_PARTS = 24

/** However short the expiration: names in steady use shall not be written all the time. */
const ADVANCE_MS_MIN = 60_000

interface NamedProducer {
  readonly name: string
  readonly id: bigint
  /** Wall clock, ms: no use was later than this. NEVER: its first row is not durable yet. */
  usedUntilMs: number
  users: number
  /** A commit of its row is under way. */
  writing: Promise<void> | undefined
  /** The commit that forgets it is under way: who comes now waits, and then the name is a new one. */
  leaving: Promise<void> | undefined
}

export interface ProducerNamesOptions {
  readonly clock: Clock
  readonly expirationMs: number
  readonly writer: Pick<MetaWriter, 'commit'>
  /** Durably forgotten. */
  readonly onForgotten: (producerIds: ReadonlySet<bigint>) => void
}

export class ProducerNames {
  readonly #options: ProducerNamesOptions
  readonly #advanceMs: number
  readonly #byName = new Map<string, NamedProducer>()
  readonly #ids = new Set<bigint>()
  #lastId = FIRST_PRODUCER_ID - 1n

  /** Reads the names out of meta.db, before the writer has anything to do. */
  constructor(db: Database.Database, options: ProducerNamesOptions) {
    this.#options = options
    this.#advanceMs = Math.max(ADVANCE_MS_MIN, Math.ceil(options.expirationMs / ADVANCE_PARTS))
    const lastId = db.prepare("SELECT value FROM cluster WHERE name = 'last_producer_id'").pluck().get()
    if (lastId !== undefined) this.#lastId = BigInt(lastId as string)
    // written by a version that knew no such date
    db.prepare('UPDATE producers SET used_until_ms = ? WHERE used_until_ms = 0').run(options.clock.now())
    for (const row of db.prepare('SELECT * FROM producers').safeIntegers(true).all() as ProducerRow[]) {
      this.#put({ ...IDLE, name: row.name, id: row.producer_id, usedUntilMs: Number(row.used_until_ms) })
    }
  }

  #put(producer: NamedProducer): NamedProducer {
    this.#byName.set(producer.name, producer)
    this.#ids.add(producer.id)
    if (producer.id > this.#lastId) this.#lastId = producer.id
    return producer
  }

  #drop({ name, id }: NamedProducer): void {
    this.#byName.delete(name)
    this.#ids.delete(id)
  }

  /** Whether an id has a name still. */
  has(producerId: bigint): boolean {
    return this.#ids.has(producerId)
  }

  /** Runs work with the id behind a name, which is neither forgotten nor changed while it runs. */
  async use<Result>(name: string, work: (producerId: bigint) => Promise<Result>): Promise<Result> {
    const producer = await this.#enter(name)
    try {
      await this.#cover(producer)
      return await work(producer.id)
    } finally {
      this.#leave(producer)
    }
  }

  /** From the look-up on the producer counts as in use: nothing may come in between. */
  async #enter(name: string): Promise<NamedProducer> {
    let producer = this.#byName.get(name)
    while (producer?.leaving !== undefined) {
      await producer.leaving
      producer = this.#byName.get(name)
    }
    if (producer === undefined && this.#byName.size >= PRODUCER_NAMES_MAX) throw tooManyNames()
    producer ??= this.#put({ ...IDLE, name, id: this.#lastId + 1n, usedUntilMs: NEVER })
    producer.users++
    return producer
  }

  #leave(producer: NamedProducer): void {
    producer.users--
    // work may outlast the advance
    if (producer.usedUntilMs !== NEVER) {
      producer.usedUntilMs = Math.max(producer.usedUntilMs, this.#options.clock.now())
    } else if (producer.users === 0) {
      // its first row failed: nothing of it is kept
      this.#drop(producer)
    }
  }

  /** Waits until the row's date is not behind. */
  #cover(producer: NamedProducer): Promise<void> | undefined {
    const now = this.#options.clock.now()
    // half of the advance at least is left for the work to be done in
    if (producer.usedUntilMs >= now + this.#advanceMs / 2) return undefined
    producer.writing ??= this.#write(producer, now + this.#advanceMs).finally(() => {
      producer.writing = undefined
    })
    return producer.writing
  }

  async #write(producer: NamedProducer, usedUntilMs: number): Promise<void> {
    const { name, id } = producer
    const changes: MetaChange[] = [{ statement: 'putProducer', values: [name, id, usedUntilMs] }]
    if (producer.usedUntilMs === NEVER) changes.push({ statement: 'raiseLastProducerId', values: [id] })
    await this.#options.writer.commit(changes)
    producer.usedUntilMs = Math.max(producer.usedUntilMs, usedUntilMs)
  }

  /** Forgets the names that were silent for long enough, a bounded number in a commit. */
  async forgetSilent(signal: AbortSignal): Promise<void> {
    const silent = [...this.#byName.values()].filter((producer) => this.#isSilent(producer))
    for (let at = 0; at < silent.length && !signal.aborted; at += PRODUCERS_FORGOTTEN_AT_ONCE_MAX) {
      // one may have been used while others were forgotten
      const some = silent.slice(at, at + PRODUCERS_FORGOTTEN_AT_ONCE_MAX).filter((one) => this.#isSilent(one))
      if (some.length > 0) await this.#forget(some)
    }
  }

  #isSilent({ users, usedUntilMs, leaving }: NamedProducer): boolean {
    if (users > 0 || leaving !== undefined) return false
    return usedUntilMs < this.#options.clock.now() - this.#options.expirationMs
  }

  async #forget(producers: readonly NamedProducer[]): Promise<void> {
    const changes = producers.flatMap(({ name, id }): MetaChange[] => [
      { statement: 'dropProducer', values: [name] },
      { statement: 'dropGrowthsOfProducer', values: [id] },
    ])
    const committing = this.#options.writer.commit(changes)
    const done = committing.then(
      () => {
        for (const producer of producers) this.#drop(producer)
      },
      () => {
        // they stay; the next check tries again
        for (const producer of producers) producer.leaving = undefined
      },
    )
    for (const producer of producers) producer.leaving = done
    await committing
    this.#options.onForgotten(new Set(producers.map(({ id }) => id)))
  }
}

const NEVER = Number.NEGATIVE_INFINITY
const IDLE = { users: 0, writing: undefined, leaving: undefined }

interface ProducerRow {
  readonly name: string
  readonly producer_id: bigint
  readonly used_until_ms: bigint
}

function tooManyNames(): TailraceError {
  return new TailraceError(
    'overloaded',
    `${PRODUCER_NAMES_MAX} producers have named themselves: use known names; a silent one is forgotten after producer.id.expiration.ms`,
    { limit: PRODUCER_NAMES_MAX },
  )
}
