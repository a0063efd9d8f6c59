// When an operation of the simulated disk fails, how, and when its power goes: told one by one (failNext) or by chance
// (failByChance), each from the numbers of one Random. Counts what has really happened, so that a test which meets no
// fault is seen.

import type { Random } from './random.ts'

/** A fault at 'write-partly' strikes a write that has begun; at all others nothing has happened yet, but see 'sync'. */
export type DiskOperation =
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'write-partly'
  | 'sync'
  | 'truncate'
  | 'size'
  | 'list'
  | 'make-folder'
  | 'sync-folder'
  | 'rename'
  | 'remove'

/** What Linux answers where a disk is broken or full, or the process has all the descriptors it may have. */
const CODES: Readonly<Record<DiskOperation, readonly string[]>> = {
  open: ['EMFILE', 'EIO'],
  create: ['ENOSPC', 'EMFILE', 'EIO'],
  read: ['EIO'],
  write: ['ENOSPC', 'EIO'],
  'write-partly': ['ENOSPC', 'EIO'],
  sync: ['EIO', 'ENOSPC'],
  truncate: ['EIO'],
  size: ['EIO'],
  list: ['EMFILE', 'EIO'],
  'make-folder': ['ENOSPC', 'EIO'],
  'sync-folder': ['EIO', 'EMFILE'],
  rename: ['EIO', 'ENOSPC'],
  remove: ['EIO'],
}

export class DiskFaults {
  /** Operations begun so far. */
  operations = 0
  /** Faults that struck, as `operation code`. */
  readonly struck = new Map<string, number>()
  /** What power cuts and failed syncs took. */
  readonly losses = new Map<string, number>()
  /** Told of every operation, for who looks into a failure. */
  trace: ((line: string) => void) | undefined
  #next: { operation: DiskOperation; code: string; after: number }[] = []
  #chance = 0
  #random: Random | undefined
  #only: RegExp | undefined
  #cut: { at: number; cut: () => void } | undefined

  /** The next such operation, or the one after so many more, fails with an error of this code. */
  failNext(operation: DiskOperation, code: string, after = 0): void {
    this.#next.push({ operation, code, after })
  }

  /** From now on each operation fails with this probability; `only` those whose name matches. 0 ends it. */
  failByChance(chance: number, random?: Random, only?: RegExp): void {
    this.#chance = chance
    this.#random = random
    this.#only = only
  }

  /** Faults that were asked for and have not struck will not. */
  end(): void {
    this.#next = []
    this.#chance = 0
  }

  /** Calls cut when so many more operations have begun: the last of them does not happen, or happens unheard. */
  cutAfter(operations: number, cut: () => void): void {
    this.#cut = { at: this.operations + operations, cut }
  }

  cancelCut(): void {
    this.#cut = undefined
  }

  /** An operation begins. */
  count(operation: DiskOperation, path: string): void {
    this.operations++
    this.trace?.(`${operation} ${path}`)
    if (this.#cut === undefined || this.operations < this.#cut.at) return
    const { cut } = this.#cut
    this.#cut = undefined
    cut()
  }

  countLoss(what: string): void {
    this.losses.set(what, (this.losses.get(what) ?? 0) + 1)
  }

  /** The error that an operation fails with; undefined: it does not fail. */
  take(operation: DiskOperation): (Error & { code: string }) | undefined {
    const code = this.#told(operation) ?? this.#byChance(operation)
    if (code === undefined) return undefined
    const name = `${operation} ${code}`
    this.trace?.(`  fails: ${name}`)
    this.struck.set(name, (this.struck.get(name) ?? 0) + 1)
    return Object.assign(new Error(`${code}: ${operation} failed`), { code, syscall: operation })
  }

  #told(operation: DiskOperation): string | undefined {
    const at = this.#next.findIndex((one) => one.operation === operation)
    const told = this.#next[at]
    if (told === undefined || told.after-- > 0) return undefined
    this.#next.splice(at, 1)
    return told.code
  }

  #byChance(operation: DiskOperation): string | undefined {
    if (this.#chance === 0 || this.#random === undefined) return undefined
    if (this.#only !== undefined && !this.#only.test(operation)) return undefined
    return this.#random.chance(this.#chance) ? this.#random.pick(CODES[operation]) : undefined
  }
}
