// The partitions of one disk write and sync in rounds: all that have something take part in a round at the same time,
// and while it lasts all others gather. What several of them have written is made durable by one sync of the commit
// journal, where that costs less than a sync of each file; and a partition that waits for the round to end comes with a
// larger stretch, so that many partitions cost little more than one.

import { JOURNAL_BYTES_PER_SAVED_SYNC } from '../kernel/limits.ts'
import type { CommitJournal, CommitStretch } from './commit-journal.ts'

interface Waiting {
  readonly stretch: CommitStretch
  resolve(): void
  reject(error: unknown): void
}

export class CommitRounds {
  readonly #journal: CommitJournal
  readonly #round: Round
  #taking = 0
  /** Of those, the ones that may still come to sync(). */
  #awaited = 0
  #syncing: Waiting[] = []
  #waiting: ((turn: Turn) => void)[] = []

  constructor(journal: CommitJournal) {
    this.#journal = journal
    this.#round = {
      sync: (stretch) => this.#sync(stretch),
      syncAlone: (stretch) => journal.sync(stretch.file),
      arrived: () => this.#arrived(),
      leave: () => this.#leave(),
    }
  }

  /** The caller's turn: at once, or with the next round. It must leave() it. */
  enter(): Promise<Turn> | Turn {
    if (this.#taking === 0 && this.#waiting.length === 0) {
      this.#taking = 1
      this.#awaited = 1
      return new Turn(this.#round)
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #sync(stretch: CommitStretch): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#syncing.push({ stretch, resolve, reject })
      this.#arrived()
    })
  }

  #arrived(): void {
    this.#awaited--
    if (this.#awaited > 0 || this.#syncing.length === 0) return
    const syncing = this.#syncing
    this.#syncing = []
    void this.#syncAll(syncing)
  }

  async #syncAll(syncing: readonly Waiting[]): Promise<void> {
    try {
      if (isWorthOneEntry(syncing) && (await this.#journal.append(syncing.map(({ stretch }) => stretch)))) {
        for (const { resolve } of syncing) resolve()
        return
      }
    } catch (error) {
      for (const { reject } of syncing) reject(error)
      return
    }
    for (const { stretch, resolve, reject } of syncing) this.#journal.sync(stretch.file).then(resolve, reject)
  }

  #leave(): void {
    this.#taking--
    if (this.#taking > 0 || this.#waiting.length === 0) return
    // what this turn of the event loop still brings may take part
    this.#taking = 1
    setImmediate(() => this.#begin())
  }

  #begin(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#taking = waiting.length
    this.#awaited = waiting.length
    for (const enter of waiting) enter(new Turn(this.#round))
  }
}

interface Round {
  sync(stretch: CommitStretch): Promise<void>
  syncAlone(stretch: CommitStretch): Promise<void>
  arrived(): void
  leave(): void
}

/** One partition's part in a round. */
export class Turn {
  readonly #round: Round
  #isAwaited = true

  constructor(round: Round) {
    this.#round = round
  }

  /** The others need not wait for what comes: it takes long, and syncs its own file. */
  standAside(): void {
    if (!this.#isAwaited) return
    this.#isAwaited = false
    this.#round.arrived()
  }

  /** Resolves when what was written is durable. */
  sync(stretch: CommitStretch): Promise<void> {
    if (!this.#isAwaited) return this.#round.syncAlone(stretch)
    this.#isAwaited = false
    return this.#round.sync(stretch)
  }

  leave(): void {
    this.standAside()
    this.#round.leave()
  }
}

function isWorthOneEntry(syncing: readonly Waiting[]): boolean {
  let bytes = 0
  for (const { stretch } of syncing) bytes += stretch.sizeBytes
  return bytes <= (syncing.length - 1) * JOURNAL_BYTES_PER_SAVED_SYNC
}
