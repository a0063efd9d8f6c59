// A7: the commit journal: in a round in which several partitions write a little, one sync of this file stands in for
// those of their segment files. It is read after a crash only (journal-replay.ts). What must hold: an entry is whole and
// synced before anything in it is acknowledged; a file of the journal is written anew only when all segment files with
// bytes in it have been synced and a synced entry of the other file says so; once a sync of any of them has failed, its
// entries stay for the next start. What it cannot take is synced in the segment files. One append at a time.

import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { JOURNAL_FREE_FILES_MIN, JOURNAL_SYNCS_AT_ONCE } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { JournalStretch } from './journal-entry.ts'
import {
  ENTRY_HEAD_BYTES,
  entryBytes,
  JOURNAL_HEADER_BYTES,
  JOURNAL_ID_BYTES,
  renderEntry,
  renderJournalFile,
  STRETCH_HEAD_BYTES,
} from './journal-entry.ts'
import { JOURNAL_FILES, journalDirectory, replayJournal, retireJournal } from './journal-replay.ts'
import type { OpenFiles } from './open-files.ts'
import type { SegmentDisk, SegmentFile } from './segment-file.ts'
import { isDiskFull } from './storage-failure.ts'

/** What a partition has written into its segment file and wants to be durable. */
export interface CommitStretch extends JournalStretch {
  readonly path: string
  readonly file: SegmentFile
  /** A later sync of the segment file failed: what was committed is in the journal and perhaps nowhere else. */
  lost(cause: unknown): void
}

export interface CommitJournalOptions {
  readonly dataDir: string
  readonly topicsDirectory: string
  readonly disk: SegmentDisk
  readonly files: OpenFiles
  readonly logger: Logger
  readonly telemetry: Telemetry
  /** Of each of its two files. */
  readonly fileBytes: number
  /** Segment files that it may keep open, for each of its two. */
  readonly heldFilesMax: number
  /** Rounds that could have used it before it is made: who writes little does without. */
  readonly roundsBeforeMade: number
  /** After it found no room. */
  readonly roundsBeforeNextTry: number
}

/** A segment file with bytes that are durable in the journal only. It stays open: the kernel tells of a failed write to whoever had it open. */
interface Held {
  readonly path: string
  readonly release: () => void
  readonly lost: (cause: unknown) => void
}

interface JournalFile {
  readonly file: SegmentFile
  position: number
  /** Of its first entry. */
  firstNumber: number
  readonly held: Map<SegmentFile, Held>
}

export class CommitJournal {
  readonly #options: CommitJournalOptions
  readonly #id = randomBytes(JOURNAL_ID_BYTES)
  readonly #head: Buffer
  /** Syncs of segment files under way: of two at a time on a file, the kernel tells only one of a failure. */
  readonly #syncing = new Map<SegmentFile, Promise<void>>()
  /** Files of which a sync has failed: the next one would succeed, and bring nothing of it to the disk. */
  readonly #failed = new WeakMap<SegmentFile, unknown>()
  /** That go by before it is made, or tried again after it found no room. */
  #roundsLeft: number
  #making: Promise<void> | undefined
  /** The one that is written to, then the other. */
  #files: [JournalFile, JournalFile] | undefined
  /** An earlier start's may lie there. */
  #isLeft = true
  #isOff = true
  /** It was said that there is no room. */
  #hasPaused = false
  #number = 0
  /** What the last synced entry says. */
  #syncedNeededFrom = 1
  #cleaning: Promise<void> | undefined

  constructor(options: CommitJournalOptions) {
    this.#options = options
    this.#head = Buffer.alloc(ENTRY_HEAD_BYTES + options.heldFilesMax * STRETCH_HEAD_BYTES)
    this.#roundsLeft = options.roundsBeforeMade
  }

  /** Replays what an earlier start has left; no partition is open yet. Answers those that stay in doubt (logKey), and why. */
  async open(deletedTopics: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
    const { isRetired, inDoubt } = await replayJournal({ ...this.#options, deletedTopics })
    this.#isLeft = !isRetired
    this.#isOff = this.#isLeft
    return inDoubt
  }

  /** Makes stretches durable that stand in their files already. False: nothing was done, the caller syncs the files. */
  async append(stretches: readonly CommitStretch[]): Promise<boolean> {
    if (this.#isOff || stretches.length > this.#options.heldFilesMax) return false
    if (this.#roundsLeft > 0) {
      this.#roundsLeft--
      return false
    }
    if (this.#files === undefined) {
      this.#making ??= this.#make()
      return false
    }
    if (!this.#hasRoom(stretches) && !((await this.#switch()) && this.#hasRoom(stretches))) return false
    return this.#write(stretches)
  }

  async #make(): Promise<void> {
    const { disk, dataDir, fileBytes } = this.#options
    try {
      // others need the room more: every partition can do without
      if ((await disk.freeBytes(dataDir)) >= JOURNAL_FREE_FILES_MIN * fileBytes) this.#files = await this.#makeFiles()
      else this.#pause()
    } catch (error) {
      if (isDiskFull(error)) this.#pause(error)
      else this.#stop(error)
      await retireJournal(disk, dataDir).catch(() => undefined)
    }
    this.#making = undefined
  }

  async #makeFiles(): Promise<[JournalFile, JournalFile]> {
    const { disk, dataDir, fileBytes } = this.#options
    const directory = journalDirectory(dataDir)
    await disk.makeDirectory(directory)
    const made: JournalFile[] = []
    for (const name of JOURNAL_FILES) {
      const path = join(directory, name)
      // every byte is written once, so that where blocks are written in place a sync later has none to allot
      await disk.writeFileDurably(path, renderJournalFile(this.#id, fileBytes))
      const file = await disk.open(path, false)
      made.push({ file, position: JOURNAL_HEADER_BYTES, firstNumber: 1, held: new Map() })
    }
    return made as [JournalFile, JournalFile]
  }

  /** For want of room: it is tried again later. */
  #pause(cause?: unknown): void {
    const { roundsBeforeNextTry, logger } = this.#options
    this.#roundsLeft = roundsBeforeNextTry
    if (this.#hasPaused) return
    this.#hasPaused = true
    logger.warn({ err: cause }, 'no room for the commit journal: every partition syncs its own file meanwhile')
  }

  #hasRoom(stretches: readonly CommitStretch[]): boolean {
    const [current] = this.#files as [JournalFile, JournalFile]
    const { fileBytes, heldFilesMax } = this.#options
    // room for the entry of a switch is always left
    const end = current.position + entryBytes(stretches) + ENTRY_HEAD_BYTES
    if (end > fileBytes) return false
    if (current.held.size + stretches.length <= heldFilesMax) return true
    const added = stretches.filter((stretch) => !current.held.has(stretch.file)).length
    return current.held.size + added <= heldFilesMax
  }

  /** Goes on in the other file, if nothing in it is needed any more. */
  async #switch(): Promise<boolean> {
    const [current, other] = this.#files as [JournalFile, JournalFile]
    if (other.held.size > 0) return false
    // else a crash that tears the other file's first entry would leave one that asks for what it was written over
    if (this.#syncedNeededFrom < current.firstNumber && !(await this.#write([]))) return false
    other.position = JOURNAL_HEADER_BYTES
    other.firstNumber = this.#number + 1
    this.#files = [other, current]
    this.#cleaning = this.#clean(current)
    return true
  }

  /** False: the entry does not count, or nobody knows whether it is on the disk; then there will be none behind it. */
  async #write(stretches: readonly CommitStretch[]): Promise<boolean> {
    const [current, other] = this.#files as [JournalFile, JournalFile]
    const number = this.#number + 1
    const neededFrom = other.held.size > 0 ? other.firstNumber : current.firstNumber
    const rendered = renderEntry(this.#head, this.#id, { number, neededFrom, stretches })
    try {
      await current.file.write(rendered, current.position)
    } catch (error) {
      // as where a file system copies what is overwritten: the next entry takes the number and the place of the part
      if (isDiskFull(error)) this.#pause(error)
      else this.#stop(error)
      return false
    }
    this.#number = number
    for (const stretch of stretches) this.#hold(current, stretch)
    try {
      await current.file.sync()
    } catch (error) {
      this.#stop(error)
      return false
    }
    current.position += entryBytes(stretches)
    this.#syncedNeededFrom = neededFrom
    if (stretches.length > 0) this.#options.telemetry.journalEntries++
    return true
  }

  #hold(current: JournalFile, { path, file, lost }: CommitStretch): void {
    if (current.held.has(file)) return
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    // the caller has the file open: this is the same one, and opens nothing that could fail
    void this.#options.files.use(path, false, () => released)
    current.held.set(file, { path, release, lost })
  }

  #letGo(journalFile: JournalFile, file: SegmentFile, held: Held): void {
    journalFile.held.delete(file)
    const underWay = this.#syncing.get(file) ?? Promise.resolve()
    void underWay.catch(() => undefined).then(held.release)
  }

  /** Syncs a segment file itself: nothing that the journal has of it is needed afterwards. Nothing is committed of it meanwhile. */
  async sync(file: SegmentFile): Promise<void> {
    if (this.#files === undefined) return file.sync()
    await this.#syncing.get(file)
    await this.#syncAlone(file, this.#files)
  }

  /** The same for the file at a path, if the journal has anything of it. */
  async syncPath(path: string): Promise<void> {
    for (const one of this.#files ?? []) {
      for (const [file, held] of one.held) if (held.path === path) await this.sync(file)
    }
  }

  async #syncAlone(file: SegmentFile, letGoOf: readonly JournalFile[]): Promise<void> {
    if (this.#failed.has(file)) throw this.#failed.get(file)
    const sync = file.sync()
    this.#syncing.set(file, sync)
    try {
      await sync
      for (const one of letGoOf) {
        const held = one.held.get(file)
        if (held !== undefined) this.#letGo(one, file, held)
      }
    } catch (error) {
      this.#failed.set(file, error)
      if (this.#files?.some(({ held }) => held.has(file))) this.#stop(error)
      throw error
    } finally {
      this.#syncing.delete(file)
    }
  }

  /** Of a folder whose topic is deleted nothing is needed. */
  forget(directory: string): void {
    for (const one of this.#files ?? []) {
      for (const [file, held] of one.held) if (dirname(held.path) === directory) this.#letGo(one, file, held)
    }
  }

  /** Syncs all segment files with bytes in a file of the journal, which can be used again then. */
  async #clean(journalFile: JournalFile): Promise<void> {
    const left = [...journalFile.held]
    const cleanSome = async () => {
      for (let next = left.pop(); next !== undefined && !this.#isOff; next = left.pop()) {
        await this.#cleanOne(journalFile, ...next)
      }
    }
    await Promise.all(Array.from({ length: JOURNAL_SYNCS_AT_ONCE }, cleanSome))
  }

  async #cleanOne(journalFile: JournalFile, file: SegmentFile, held: Held): Promise<void> {
    await this.#syncing.get(file)?.catch(() => undefined)
    if (journalFile.held.get(file) !== held) return
    try {
      // the other file of the journal may get more of it meanwhile
      await this.#syncAlone(file, [journalFile])
    } catch (error) {
      if (journalFile.held.get(file) === held) held.lost(error)
    }
  }

  /** What it has stays for the next start. */
  #stop(cause: unknown): void {
    if (this.#isOff) return
    this.#isOff = true
    this.#options.logger.error(
      { err: cause },
      'the commit journal is not used until the next start: every partition syncs its own file',
    )
  }

  /** After the last stretch: leaves nothing to replay, or answers false. */
  async close(): Promise<boolean> {
    const { disk, dataDir, logger } = this.#options
    await this.#making
    await this.#cleaning
    const files = this.#files
    if (files === undefined) return !this.#isLeft
    for (const one of files) await this.#clean(one)
    const isClean = !this.#isOff
    this.#isOff = true
    for (const one of files) {
      for (const [file, held] of one.held) this.#letGo(one, file, held)
      await one.file.close()
    }
    if (!isClean) return false
    try {
      await retireJournal(disk, dataDir)
    } catch (error) {
      logger.warn({ err: error }, 'the commit journal could not be put away: the next start replays it')
      return false
    }
    return true
  }
}
