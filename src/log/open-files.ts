// Segment files that are open at once, over all partitions of a data directory: a bounded cache, so that ten thousand
// partitions cost no descriptors while they rest, and a bound on those in use, so that a burst over all of them leaves
// descriptors to sockets. Who finds none waits, a bounded time. A file in use is never closed; the longest unused one goes
// first.

import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { TailraceError } from '../kernel/errors.ts'
import { OPEN_FILE_WAIT_MS_MAX, OPEN_FILE_WAITERS_MAX } from '../kernel/limits.ts'
import type { SegmentDisk, SegmentFile } from './segment-file.ts'
import { isShortOfFiles } from './storage-failure.ts'

interface Entry {
  readonly file: Promise<SegmentFile>
  isOpen: boolean
  users: number
  /** Out of the cache: its last user closes it. */
  dropped: boolean
}

/** Who waits for another file to be closed. */
interface Waiter {
  go(): void
}

/** Entries looked at when a use ends: ten thousand files in use at once must not be gone through ten thousand times. */
const LOOKS_PER_USE = 32

/** How often an open is tried again when the process is short of descriptors though the bound is kept. */
const TRIES_MAX = 3
const SHORT_PAUSE_MS = 20

export interface OpenFilesOptions {
  readonly disk: SegmentDisk
  /** That stay open while nobody uses them. */
  readonly filesMax: number
  /** Open at all; at least filesMax. */
  readonly filesInUseMax: number
  /** Told once when descriptors run out all the same: something else holds them. */
  readonly onShort?: (error: unknown) => void
}

export class OpenFiles {
  readonly #options: OpenFilesOptions
  // insertion order is the order of last use: a used entry is taken out and put in again
  readonly #entries = new Map<string, Entry>()
  /** Files that are open, being opened or being closed. */
  #openCount = 0
  readonly #waiters = new Set<Waiter>()
  #isShort = false

  constructor(options: OpenFilesOptions) {
    this.#options = options
  }

  /**
   * Runs a piece of work with the file open; it stays open afterwards while there is room. overloaded: too many others are
   * in use, and the work was not begun.
   */
  async use<Result>(path: string, create: boolean, work: (file: SegmentFile) => Promise<Result>): Promise<Result> {
    const entry = this.#take(path, create)
    try {
      return await work(await entry.file)
    } catch (error) {
      if (this.#entries.get(path) === entry) await entry.file.catch(() => this.#entries.delete(path))
      throw error
    } finally {
      entry.users--
      if (entry.dropped && entry.users === 0) await this.#close(entry)
      if (this.#entries.size > this.#options.filesMax || this.#waiters.size > 0) this.#closeUnused(path)
    }
  }

  #take(path: string, create: boolean): Entry {
    const known = this.#entries.get(path)
    const entry = known ?? this.#openEntry(path, create)
    entry.users++
    this.#putLast(path, entry)
    return entry
  }

  /** As used just now. One that is in use for long would hide those behind it from who looks for one to close. */
  #putLast(path: string, entry: Entry): void {
    this.#entries.delete(path)
    this.#entries.set(path, entry)
  }

  #openEntry(path: string, create: boolean): Entry {
    const file = this.#open(path, create).then((opened) => {
      entry.isOpen = true
      return opened
    })
    const entry: Entry = { file, isOpen: false, users: 0, dropped: false }
    return entry
  }

  /** Whether its next use needs to wait for nothing. */
  isOpen(path: string): boolean {
    return this.#entries.get(path)?.isOpen === true
  }

  async #open(path: string, create: boolean): Promise<SegmentFile> {
    for (let triesLeft = TRIES_MAX; ; triesLeft--) {
      await this.#acquire()
      try {
        return await this.#options.disk.open(path, create)
      } catch (error) {
        this.#release()
        if (!isShortOfFiles(error)) throw error
        this.#tellShort(error)
        if (triesLeft === 0) throw tooManyFiles(error)
        await (this.#closeOneUnused() ?? pause(SHORT_PAUSE_MS))
      }
    }
  }

  /** Leave to open one more file. */
  #acquire(): Promise<void> | undefined {
    if (this.#openCount < this.#options.filesInUseMax) {
      this.#openCount++
      return undefined
    }
    void this.#closeOneUnused()
    return this.#wait()
  }

  /** A file is closed: who waits longest may open one in its place. */
  #release(): void {
    const [waiter] = this.#waiters
    if (waiter === undefined) {
      this.#openCount--
      return
    }
    this.#waiters.delete(waiter)
    waiter.go()
  }

  /** Closing one that nobody uses: undefined when all of those looked at are in use. */
  #closeOneUnused(): Promise<void> | undefined {
    let looks = LOOKS_PER_USE
    for (const [path, entry] of this.#entries) {
      if (looks-- === 0) return undefined
      if (entry.users > 0) {
        this.#putLast(path, entry)
        continue
      }
      this.#entries.delete(path)
      return this.#close(entry)
    }
    return undefined
  }

  #wait(): Promise<void> {
    if (this.#waiters.size >= OPEN_FILE_WAITERS_MAX) return Promise.reject(tooManyFiles())
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter)
        reject(tooManyFiles())
      }, OPEN_FILE_WAIT_MS_MAX)
      const waiter: Waiter = {
        go() {
          clearTimeout(timer)
          resolve()
        },
      }
      this.#waiters.add(waiter)
    })
  }

  #tellShort(error: unknown): void {
    if (this.#isShort) return
    this.#isShort = true
    this.#options.onShort?.(error)
  }

  /** The longest unused of those that are looked at; with all of them in use the one whose use has just ended. */
  #closeUnused(justUsed: string): void {
    const { filesMax } = this.#options
    // whoever waits needs one, though there be few
    let wanted = Math.max(this.#entries.size - filesMax, this.#waiters.size > 0 ? 1 : 0)
    let looks = LOOKS_PER_USE
    for (const [path, entry] of this.#entries) {
      if (wanted <= 0) return
      if (looks-- === 0) break
      if (entry.users > 0) {
        this.#putLast(path, entry)
        continue
      }
      this.#evict(path, entry)
      wanted--
    }
    const entry = this.#entries.get(justUsed)
    if (entry?.users === 0 && wanted > 0) this.#evict(justUsed, entry)
  }

  #evict(path: string, entry: Entry): void {
    this.#entries.delete(path)
    void this.#close(entry)
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
    if (entry.users === 0) await this.#close(entry)
    else await entry.file.catch(() => undefined)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#entries.keys()].map((path) => this.drop(path)))
  }

  /** Nothing un-synced is ever left in a file that nobody uses, so a failed close loses nothing. */
  async #close(entry: Entry): Promise<void> {
    const file = await entry.file.catch(() => undefined)
    if (file === undefined) return
    await file.close().catch(() => undefined)
    this.#release()
  }
}

function tooManyFiles(cause?: unknown): TailraceError {
  return new TailraceError('overloaded', 'too many segment files are in use at once', {}, { cause })
}
