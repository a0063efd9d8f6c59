// Segment files that are open at once, over all partitions of a data directory: a bounded cache, so that ten thousand
// partitions cost no descriptors while they rest. A file in use is never closed; the longest unused one goes first.

import { dirname } from 'node:path'
import type { SegmentDisk, SegmentFile } from './segment-file.ts'

interface Entry {
  readonly file: Promise<SegmentFile>
  users: number
  /** Out of the cache: its last user closes it. */
  dropped: boolean
}

/** Entries looked at when a use ends: ten thousand files in use at once must not be gone through ten thousand times. */
const LOOKS_PER_USE = 32

export interface OpenFilesOptions {
  readonly disk: SegmentDisk
  readonly filesMax: number
}

export class OpenFiles {
  readonly #disk: SegmentDisk
  readonly #filesMax: number
  // insertion order is the order of last use: a used entry is taken out and put in again
  readonly #entries = new Map<string, Entry>()

  constructor(options: OpenFilesOptions) {
    this.#disk = options.disk
    this.#filesMax = options.filesMax
  }

  /** Runs a piece of work with the file open; it stays open afterwards while there is room. */
  async use<Result>(path: string, create: boolean, work: (file: SegmentFile) => Promise<Result>): Promise<Result> {
    const entry = this.#take(path, create)
    try {
      return await work(await entry.file)
    } catch (error) {
      if (this.#entries.get(path) === entry) await entry.file.catch(() => this.#entries.delete(path))
      throw error
    } finally {
      entry.users--
      if (entry.dropped && entry.users === 0) await close(entry)
      if (this.#entries.size > this.#filesMax) this.#closeUnused(path)
    }
  }

  #take(path: string, create: boolean): Entry {
    const known = this.#entries.get(path)
    const entry = known ?? { file: this.#disk.open(path, create), users: 0, dropped: false }
    entry.users++
    if (known !== undefined) this.#entries.delete(path)
    this.#entries.set(path, entry)
    return entry
  }

  /** The longest unused of those that are looked at; with all of them in use the one whose use has just ended. */
  #closeUnused(justUsed: string): void {
    let looks = LOOKS_PER_USE
    for (const [path, entry] of this.#entries) {
      if (this.#entries.size <= this.#filesMax) return
      if (looks-- === 0) break
      if (entry.users === 0) this.#evict(path, entry)
    }
    const entry = this.#entries.get(justUsed)
    if (entry?.users === 0 && this.#entries.size > this.#filesMax) this.#evict(justUsed, entry)
  }

  #evict(path: string, entry: Entry): void {
    this.#entries.delete(path)
    void close(entry)
  }

  /** As drop(), of every file in a folder. */
  async dropFolder(directory: string): Promise<void> {
    const paths = [...this.#entries.keys()].filter((path) => dirname(path) === directory)
    await Promise.all(paths.map((path) => this.drop(path)))
  }

  /**
   * Forgets a file that is about to be renamed or removed; reads under way on it finish undisturbed. Resolves when none of
   * them is still opening it by its name.
   */
  async drop(path: string): Promise<void> {
    const entry = this.#entries.get(path)
    if (entry === undefined) return
    this.#entries.delete(path)
    entry.dropped = true
    if (entry.users === 0) await close(entry)
    else await entry.file.catch(() => undefined)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#entries.keys()].map((path) => this.drop(path)))
  }
}

/** Nothing un-synced is ever left in a file that nobody uses, so a failed close loses nothing. */
async function close(entry: Entry): Promise<void> {
  await entry.file.then((file) => file.close()).catch(() => undefined)
}
