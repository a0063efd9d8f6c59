// The start's look at the commit journal (commit-journal.ts), before any partition is opened: what was acknowledged with
// it is written into the segment files, they are synced, and the journal goes. What must hold: the newest entry says from
// which number on entries are needed, and all of those are replayed, each only into the segment that it was written to;
// doing it again changes nothing. A needed entry that is missing, or has no place, is damage: it is said, the journal
// stays where it is, and the partitions that it leaves in doubt are named.

import { join } from 'node:path'
import { TailraceError } from '../kernel/errors.ts'
import { OPENING_PARTITIONS_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import { releaseBytes } from '../kernel/release-bytes.ts'
import type { JournalEntry, JournalStretch } from './journal-entry.ts'
import { findEntries, parseJournalId } from './journal-entry.ts'
import { logKey } from './log-identity.ts'
import { parseNumberedName, segmentPath } from './log-segment.ts'
import { readTopicId } from './partition-metadata.ts'
import type { SegmentDisk } from './segment-file.ts'
import { isDiskFull } from './storage-failure.ts'

export const JOURNAL_FILES = ['0', '1'] as const

export function journalDirectory(dataDir: string): string {
  return join(dataDir, 'journal')
}

export interface NeededEntries {
  /** In the order of their numbers. */
  readonly entries: readonly JournalEntry[]
  /** Numbers that are needed too and not there. */
  readonly missing: readonly number[]
  /** The entries' bytes are gone then. */
  release(): void
}

/** What a start has to replay, as a data directory's journal has it. */
export async function readJournal(disk: Pick<SegmentDisk, 'readFile'>, dataDir: string): Promise<NeededEntries> {
  const paths = JOURNAL_FILES.map((name) => join(journalDirectory(dataDir), name))
  const [first, second] = await Promise.all(paths.map((path) => disk.readFile(path)))
  const files = [first, second].filter((bytes) => bytes !== undefined)
  const id = files.map(parseJournalId).find((found) => found !== undefined)
  if (id === undefined && files.length > 0) throw unreadable(dataDir)
  // both have their full length before there is an entry; while they are made, only the second one may lack something
  const isWhole = first !== undefined && first.length === second?.length
  const mayLack = (first?.length ?? 0) >= (second?.length ?? 0)
  if (!isWhole && !(mayLack && files.every((bytes) => !hasEntry(bytes, id)))) throw unreadable(dataDir)
  const found = new Map<number, JournalEntry>()
  let newest: JournalEntry | undefined
  for (const entry of files.flatMap((bytes) => findEntries(bytes, id as Buffer))) {
    found.set(entry.number, entry)
    if (newest === undefined || entry.number > newest.number) newest = entry
  }
  const entries: JournalEntry[] = []
  const missing: number[] = []
  for (let number = newest?.neededFrom ?? 1; number <= (newest?.number ?? 0); number++) {
    const entry = found.get(number)
    if (entry === undefined) missing.push(number)
    else entries.push(entry)
  }
  return { entries, missing, release: () => files.forEach(releaseBytes) }
}

function hasEntry(bytes: Buffer, id: Buffer | undefined): boolean {
  return id !== undefined && findEntries(bytes, id).length > 0
}

function unreadable(dataDir: string): TailraceError {
  const directory = journalDirectory(dataDir)
  return new TailraceError(
    'kafka_storage_error',
    `the commit journal in ${directory} is damaged or of a newer version: it may hold records that the segment files ` +
      'lack. To start with what those have, move it away',
    { directory },
  )
}

export interface ReplayOptions {
  readonly dataDir: string
  readonly topicsDirectory: string
  /** Topics (their UUIDs) that are deleted, and whose folders may still be there. */
  readonly deletedTopics: ReadonlySet<string>
  readonly disk: SegmentDisk
  readonly logger: Logger
}

interface Replayed {
  /** Nothing is left of the journal. */
  readonly isRetired: boolean
  /** Partitions (logKey) that may lack what was acknowledged, and why. */
  readonly inDoubt: ReadonlyMap<string, string>
}

export async function replayJournal(options: ReplayOptions): Promise<Replayed> {
  const { disk, dataDir, deletedTopics, logger } = options
  if ((await disk.list(retiredDirectory(dataDir))).length > 0) await removeRetired(disk, dataDir)
  const directory = journalDirectory(dataDir)
  if ((await disk.list(directory)).length === 0) return { isRetired: true, inDoubt: new Map() }
  const { entries, missing, release } = await readJournal(disk, dataDir)
  const inDoubt = new Map<string, string>()
  const hole = missing[0]
  const byPartition = new Map<string, JournalStretch[]>()
  for (const entry of entries) {
    for (const stretch of entry.stretches) {
      // of those nothing was synced any more
      if (deletedTopics.has(stretch.topicId)) continue
      const key = logKey(stretch)
      if (hole !== undefined && entry.number > hole) inDoubt.set(key, `entry ${hole} of the commit journal is damaged`)
      const stretches = byPartition.get(key)
      if (stretches === undefined) byPartition.set(key, [stretch])
      else stretches.push(stretch)
    }
  }
  try {
    await new Replay(options, inDoubt).run(byPartition)
  } finally {
    release()
  }
  if (missing.length === 0 && inDoubt.size === 0) {
    await retireJournal(disk, dataDir)
    if (entries.length > 0) logger.info({ entries: entries.length }, 'replayed the commit journal')
    return { isRetired: true, inDoubt }
  }
  logger.error(
    { directory, missingEntries: missing.slice(0, 100), partitions: [...inDoubt.keys()].slice(0, 100) },
    `the commit journal in ${directory} could not be replayed as a whole: records that were acknowledged may be missing. ` +
      'Partitions in doubt stay offline; move the folder away to go on with what the segment files hold',
  )
  return { isRetired: false, inDoubt }
}

/** In one step, so that a start finds all of it or nothing. */
export async function retireJournal(disk: SegmentDisk, dataDir: string): Promise<void> {
  await disk.rename(journalDirectory(dataDir), retiredDirectory(dataDir))
  await removeRetired(disk, dataDir)
}

async function removeRetired(disk: SegmentDisk, dataDir: string): Promise<void> {
  // else a power cut could bring the old name back, and a part of the files with it
  await disk.syncDirectory(dataDir)
  await disk.remove(retiredDirectory(dataDir))
}

function retiredDirectory(dataDir: string): string {
  return `${journalDirectory(dataDir)}.retired`
}

const PARTITION_FOLDER = /-(\d+)$/

class Replay {
  readonly #options: ReplayOptions
  readonly #inDoubt: Map<string, string>

  constructor(options: ReplayOptions, inDoubt: Map<string, string>) {
    this.#options = options
    this.#inDoubt = inDoubt
  }

  async run(byPartition: ReadonlyMap<string, readonly JournalStretch[]>): Promise<void> {
    const { disk, topicsDirectory } = this.#options
    if (byPartition.size === 0) return
    const folders = await disk.list(topicsDirectory)
    await inChunks(folders, async (folder) => {
      const partition = PARTITION_FOLDER.exec(folder)?.[1]
      if (partition === undefined) return
      const directory = join(topicsDirectory, folder)
      // a folder of a topic that was deleted, or made again, has none of these stretches
      const topicId = await readTopicId(disk, directory)
      const stretches = topicId && byPartition.get(logKey({ topicId, partition: Number(partition) }))
      if (stretches) await this.#replayInto(directory, stretches)
    })
  }

  async #replayInto(directory: string, stretches: readonly JournalStretch[]): Promise<void> {
    const { disk } = this.#options
    const names = await disk.list(directory)
    const bases = names.flatMap((name) => {
      const parsed = parseNumberedName(name)
      return parsed?.kind === 'log' ? [parsed.offset] : []
    })
    const last = Math.max(-1, ...bases)
    // a segment with another behind it was synced before that one was made, and may have been compacted since
    const wanted = stretches.filter((stretch) => stretch.segmentBase >= last)
    const lost = wanted.find((stretch) => stretch.segmentBase > last)
    if (lost !== undefined) return this.#doubt(lost, `${segmentPath(directory, lost.segmentBase)} is missing`)
    if (wanted.length === 0) return
    const path = segmentPath(directory, last)
    const file = await disk.open(path, false)
    try {
      let sizeBytes = await file.size()
      for (const stretch of wanted) {
        if (stretch.position > sizeBytes) {
          return this.#doubt(stretch, `${path} has ${sizeBytes} bytes, but ${stretch.position} were synced`)
        }
        await file.write(stretch.buffers, stretch.position)
        sizeBytes = Math.max(sizeBytes, stretch.position + stretch.sizeBytes)
      }
      await file.sync()
    } catch (error) {
      throw isDiskFull(error) ? this.#noRoom(path, error) : error
    } finally {
      await file.close()
    }
  }

  #noRoom(path: string, cause: unknown): TailraceError {
    const directory = journalDirectory(this.#options.dataDir)
    return new TailraceError(
      'disk_full',
      `no room on the disk to bring the commit journal in ${directory} into ${path}: nothing is lost, make room and start again`,
      { directory },
      { cause },
    )
  }

  #doubt(stretch: JournalStretch, why: string): void {
    this.#inDoubt.set(logKey(stretch), why)
  }
}

async function inChunks<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += OPENING_PARTITIONS_MAX) {
    await Promise.all(items.slice(at, at + OPENING_PARTITIONS_MAX).map(work))
  }
}
