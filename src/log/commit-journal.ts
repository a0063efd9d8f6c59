// A7: the commit journal: in a round in which several partitions write a little, one sync of this file stands in for
// those of their segment files. It is read after a crash only (journal-replay.ts). What must hold: an entry is whole and
// synced before anything in it is acknowledged; a file of the journal is written anew only when all segment files with
// bytes in it have been synced and a synced entry of the other file says so; once a sync of any of them has failed, its
// entries stay for the next start. One append at a time.

import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { JournalGroup } from './journal-entry.ts'
import {
  ENTRY_HEAD_BYTES,
  entryBytes,
  GROUP_HEAD_BYTES,
  JOURNAL_HEADER_BYTES,
  JOURNAL_ID_BYTES,
  renderEntry,
  renderJournalFile,
} from './journal-entry.ts'
import { JOURNAL_FILES, journalDirectory, replayJournal, retireJournal } from './journal-replay.ts'
import type { OpenFiles } from './open-files.ts'
import type { SegmentDisk, SegmentFile } from './segment-file.ts'

/** What a partition has written into its segment file and wants to be durable. */
export interface CommitGroup extends JournalGroup {
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

/** Segment files synced at once after a switch: the rounds' own syncs find a thread. */
const SYNCS_AT_ONCE = 2

export class CommitJournal {
  readonly #options: CommitJournalOptions
  readonly #id = randomBytes(JOURNAL_ID_BYTES)
  readonly #head: Buffer
  /** Syncs of segment files under way: of two at a time on a file, the kernel tells only one of a failure. */
  readonly #syncing = new Map<SegmentFile, Promise<void>>()
  /** Files of which a sync has failed: the next one would succeed, and bring nothing of it to the disk. */
  readonly #failed = new WeakMap<SegmentFile, unknown>()
  #roundsLeft: number
  #making: Promise<void> | undefined
  /** The one that is written to, then the other. */
  #files: [JournalFile, JournalFile] | undefined
  /** An earlier start's may lie there. */
  #isLeft = true
  #isOff = true
  #number = 0
  /** What the last synced entry says. */
  #syncedNeededFrom = 1
  #cleaning: Promise<void> | undefined

  constructor(options: CommitJournalOptions) {
    this.#options = options
    this.#head = Buffer.alloc(ENTRY_HEAD_BYTES + options.heldFilesMax * GROUP_HEAD_BYTES)
    this.#roundsLeft = options.roundsBeforeMade
  }

  /** Replays what an earlier start has left; no partition is open yet. Answers those that stay in doubt (journalKey), and why. */
  async open(deletedTopics: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
    const { isRetired, inDoubt } = await replayJournal({ ...this.#options, deletedTopics })
    this.#isLeft = !isRetired
    this.#isOff = this.#isLeft
    return inDoubt
  }

  /** Makes groups durable that stand in their files already. False: nothing was done, the caller syncs the files. */
  async append(groups: readonly CommitGroup[]): Promise<boolean> {
    if (this.#isOff || groups.length > this.#options.heldFilesMax) return false
    if (this.#files === undefined) {
      if (this.#roundsLeft-- <= 0) this.#making ??= this.#make()
      return false
    }
    if (!this.#hasRoom(groups) && !((await this.#switch()) && this.#hasRoom(groups))) return false
    await this.#write(groups)
    return true
  }

  async #make(): Promise<void> {
    const { disk, dataDir, fileBytes, logger } = this.#options
    const directory = journalDirectory(dataDir)
    try {
      await disk.makeDirectory(directory)
      const made: JournalFile[] = []
      for (const name of JOURNAL_FILES) {
        const path = join(directory, name)
        // every byte is written once, so that a sync later has no blocks to allot, and a full disk nothing to refuse
        await disk.writeFileDurably(path, renderJournalFile(this.#id, fileBytes))
        const file = await disk.open(path, false)
        made.push({ file, position: JOURNAL_HEADER_BYTES, firstNumber: 1, held: new Map() })
      }
      this.#files = made as [JournalFile, JournalFile]
    } catch (error) {
      this.#isOff = true
      logger.warn({ err: error }, 'the commit journal could not be made: every partition syncs its own file')
      await retireJournal(disk, dataDir).catch(() => undefined)
    }
  }

  #hasRoom(groups: readonly CommitGroup[]): boolean {
    const [current] = this.#files as [JournalFile, JournalFile]
    const { fileBytes, heldFilesMax } = this.#options
    // room for the entry of a switch is always left
    const end = current.position + entryBytes(groups) + ENTRY_HEAD_BYTES
    if (end > fileBytes) return false
    if (current.held.size + groups.length <= heldFilesMax) return true
    const added = groups.filter((group) => !current.held.has(group.file)).length
    return current.held.size + added <= heldFilesMax
  }

  /** Goes on in the other file, if nothing in it is needed any more. */
  async #switch(): Promise<boolean> {
    const [current, other] = this.#files as [JournalFile, JournalFile]
    if (other.held.size > 0) return false
    // else a crash that tears the other file's first entry would leave one that asks for what it was written over
    if (this.#syncedNeededFrom < current.firstNumber) await this.#write([])
    other.position = JOURNAL_HEADER_BYTES
    other.firstNumber = this.#number + 1
    this.#files = [other, current]
    this.#cleaning = this.#clean(current)
    return true
  }

  async #write(groups: readonly CommitGroup[]): Promise<void> {
    const [current, other] = this.#files as [JournalFile, JournalFile]
    const number = ++this.#number
    const neededFrom = other.held.size > 0 ? other.firstNumber : current.firstNumber
    for (const group of groups) this.#hold(current, group)
    try {
      await current.file.write(renderEntry(this.#head, this.#id, { number, neededFrom, groups }), current.position)
      await current.file.sync()
    } catch (error) {
      this.#stop(error)
      throw error
    }
    current.position += entryBytes(groups)
    this.#syncedNeededFrom = neededFrom
    if (groups.length > 0) this.#options.telemetry.journalEntries++
  }

  #hold(current: JournalFile, { path, file, lost }: CommitGroup): void {
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
    await Promise.all(Array.from({ length: SYNCS_AT_ONCE }, cleanSome))
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
    this.#options.logger.error({ err: cause }, 'the commit journal is not used until the next start: a sync failed')
  }

  /** After the last group: leaves nothing to replay, or answers false. */
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
