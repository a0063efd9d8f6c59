// Opens a partition's files, into which the commit journal was replayed. After a clean stop index.db is believed; after a
// crash the files from the recovery point on are scanned batch by batch, index.db is made to follow them, and a torn batch
// at the very end is cut off and kept aside. What must hold: nothing that was ever synced is cut. A bad batch with good
// ones after it is no torn end, unless the power went while one stretch was being written: then sectors of that stretch are
// missing, and read as zeros.

import { basename, join } from 'node:path'
import { TailraceError } from '../kernel/errors.ts'
import { APPEND_QUEUE_BYTES_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import { releaseBytes } from '../kernel/release-bytes.ts'
import type { BatchScan } from '../record/batch-reader.ts'
import { scanBatches } from '../record/batch-reader.ts'
import type { BatchHeader } from '../record/record-batch.ts'
import { BATCH_HEADER_BYTES, batchSizeAt } from '../record/record-batch.ts'
import { repairAdvice } from './bad-batches.ts'
import { readAt } from './good-batch.ts'
import { believedProducers, knowsEveryFile } from './index-belief.ts'
import type { IndexedLog, LogIndex } from './log-index.ts'
import { NO_LOG } from './log-index.ts'
import type { Segment } from './log-segment.ts'
import { emptySegment, parseNumberedName, segmentPath, snapshotPath } from './log-segment.ts'
import type { OpenFiles } from './open-files.ts'
import { readTopicId } from './partition-metadata.ts'
import type { ProducerEntry } from './producer-state.ts'
import { parseSnapshot, withBatch } from './producer-state.ts'
import type { TailMark, TailMarks } from './rewritten-tail.ts'
import { endAt } from './rewritten-tail.ts'
import type { SegmentDisk, SegmentFile } from './segment-file.ts'
import { SegmentGrowth } from './segment-growth.ts'
import { tidyFolder } from './segment-swap.ts'
import { faultOfTornEnd } from './torn-end.ts'

export interface OpenedLog {
  readonly logId: number
  readonly segments: Segment[]
  readonly producers: Map<bigint, ProducerEntry>
  readonly firstDirtyOffset: number
}

export interface RecoveryOptions {
  readonly name: string
  readonly directory: string
  readonly topicId: string
  readonly partition: number
  readonly disk: SegmentDisk
  readonly files: OpenFiles
  readonly index: LogIndex
  readonly logger: Logger
  readonly settings: { readonly indexIntervalBytes: number; readonly maxMessageBytes: number }
  readonly nowMs: number
  /** The last stop was clean and index.db has seen it. */
  readonly cleanStop: boolean
  /** How often segments were replaced, as meta.db has it: what index.db says of fewer is not believed. */
  readonly cleaningGeneration: number
  readonly tailMarks: TailMarks
}

const SCAN_BYTES = 1024 * 1024

export async function openLogFiles(options: RecoveryOptions): Promise<OpenedLog> {
  const said = options.index.findLog(options.topicId, options.partition)
  const isCurrent = said.cleaningGeneration === options.cleaningGeneration
  const found = await options.disk.list(options.directory)
  const isAsked = isCurrent && said.recoveryPoint !== undefined
  const isClean = isAsked && options.cleanStop && knowsEveryFile(said, found)
  const believed = isClean ? await believedProducers(options, said, found) : undefined
  if (believed !== undefined && (await endsAtRow(options, said))) return trustIndex(said, believed)
  if (said.logId === NO_LOG && found.length > 0) await checkOwner(options)
  const names = await tidyFolder(options.disk, options.directory, found)
  // asked once: what was wrong before the folder was tidied is told already
  const producers = isAsked && !isClean ? await believedProducers(options, said, names) : believed
  const bases = names.flatMap((name) => {
    const parsed = parseNumberedName(name)
    return parsed?.kind === 'log' ? [parsed.offset] : []
  })
  bases.sort((a, b) => a - b)
  if (bases.length === 0 && said.logId === NO_LOG) {
    return { logId: NO_LOG, segments: [], producers: new Map(), firstDirtyOffset: 0 }
  }
  const known = producers && consistentPart(said, bases, producers)
  const logId = known === undefined ? options.index.resetLog(options.topicId, options.partition) : said.logId
  if (known !== undefined) options.index.truncateLog(logId, known.point.segmentBase, known.point.offset)
  // rows of segments that retention took would be believed after the next clean stop
  if (known !== undefined) options.index.dropSegments(logId, bases[0] as number)
  const opened = await new Recovery(options, logId, names, bases, known).run()
  if (known === undefined) options.index.noteScanned(logId, options.cleaningGeneration)
  return { ...opened, firstDirtyOffset: known === undefined ? 0 : said.firstDirtyOffset }
}

/**
 * What somebody has put behind the end since a clean stop would be in the way of the next append. A file that is gone is
 * told to who asks for it.
 */
async function endsAtRow({ directory, files }: RecoveryOptions, { segments }: IndexedLog): Promise<boolean> {
  const last = segments.at(-1)
  if (last === undefined) return true
  try {
    const path = segmentPath(directory, last.baseOffset)
    return (await files.use(path, false, (file) => file.size())) === last.sizeBytes
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
    throw error
  }
}

/** A folder that a deleted topic of the same name has left behind is nobody's to read, to mend or to write. */
async function checkOwner({ name, directory, disk, topicId }: RecoveryOptions): Promise<void> {
  const owner = await readTopicId(disk, directory)
  if (owner === undefined || owner === topicId) return
  throw new TailraceError(
    'kafka_storage_error',
    `${name} holds the files of another topic (${owner}), which was deleted: move ${directory} away`,
    { topic_id: owner },
  )
}

function trustIndex({ logId, segments, firstDirtyOffset }: IndexedLog, producers: readonly ProducerEntry[]): OpenedLog {
  const byId = new Map(producers.map((entry) => [entry.producerId, entry]))
  return { logId, segments, producers: byId, firstDirtyOffset }
}

interface KnownPart {
  readonly segments: Segment[]
  readonly point: { readonly segmentBase: number; readonly position: number; readonly offset: number }
  readonly producers: readonly ProducerEntry[]
}

/** What of index.db may be believed beside these files; undefined: nothing, scan from the first byte. */
function consistentPart(
  indexed: IndexedLog,
  bases: readonly number[],
  producers: readonly ProducerEntry[],
): KnownPart | undefined {
  const point = indexed.recoveryPoint
  if (point === undefined || !bases.includes(point.segmentBase)) return undefined
  const segments = indexed.segments.filter((segment) => segment.baseOffset <= point.segmentBase)
  const rows = new Set(segments.map((segment) => segment.baseOffset))
  const files = bases.filter((base) => base <= point.segmentBase)
  if (!files.every((base) => rows.has(base))) return undefined
  // a segment whose file is gone left by retention: its row had not followed yet
  return { segments: segments.filter((segment) => files.includes(segment.baseOffset)), point, producers }
}

interface ScannedFile {
  readonly file: SegmentFile
  readonly path: string
  readonly segment: Segment
  /** Without a mark behind them. */
  readonly fileBytes: number
  /** Of the next segment that holds anything; undefined: this is the last one. */
  readonly nextBase: number | undefined
  /** An earlier start had begun to write the tail anew. */
  readonly mark: TailMark | undefined
}

class Recovery {
  readonly #options: RecoveryOptions
  readonly #logId: number
  readonly #names: readonly string[]
  readonly #bases: readonly number[]
  readonly #known: KnownPart | undefined
  readonly #segments: Segment[] = []
  readonly #scanned: Segment[] = []
  readonly #producers = new Map<bigint, ProducerEntry>()
  readonly #touchedProducers = new Set<bigint>()
  readonly #growth = new SegmentGrowth()
  /** Batches in front of this offset are in the snapshot. */
  #producersUntil = 0

  constructor(
    options: RecoveryOptions,
    logId: number,
    names: readonly string[],
    bases: readonly number[],
    known: KnownPart | undefined,
  ) {
    this.#options = options
    this.#logId = logId
    this.#names = names
    this.#bases = bases
    this.#known = known
  }

  async run(): Promise<Omit<OpenedLog, 'firstDirtyOffset'>> {
    await this.#loadProducers()
    const point = this.#known?.point
    for (const base of this.#bases) {
      const known = this.#known?.segments.find((segment) => segment.baseOffset === base)
      if (known !== undefined && point !== undefined && base < point.segmentBase) this.#segments.push(known)
      else await this.#scanSegment(base, known)
    }
    // together and last: a recovery point in front of its producers would have them forgotten, should this come to no end
    this.#noteSegments()
    this.#noteProducers()
    this.#options.index.flush()
    return { logId: this.#logId, segments: this.#segments, producers: this.#producers }
  }

  /** From index.db as of the recovery point; without it from the newest snapshot that is not newer than the last segment. */
  async #loadProducers(): Promise<void> {
    const entries = this.#known?.producers ?? (await this.#snapshot())
    for (const entry of entries) this.#producers.set(entry.producerId, entry)
  }

  /** Batches in front of it may be missing: retention and compaction have been there. */
  async #snapshot(): Promise<ProducerEntry[]> {
    const last = this.#bases.at(-1) ?? 0
    const offsets = this.#names.flatMap((name) => {
      const parsed = parseNumberedName(name)
      return parsed?.kind === 'snapshot' && parsed.offset <= last ? [parsed.offset] : []
    })
    for (const offset of offsets.sort((a, b) => b - a)) {
      const bytes = await this.#options.disk.readFile(snapshotPath(this.#options.directory, offset))
      const entries = bytes && parseSnapshot(bytes)
      if (entries === undefined) continue
      this.#producersUntil = offset
      return entries
    }
    return []
  }

  async #scanSegment(base: number, known: Segment | undefined): Promise<void> {
    const path = segmentPath(this.#options.directory, base)
    const previousEnd = this.#segments.at(-1)?.endOffset ?? 0
    if (base < previousEnd) return this.#dropStray(path, base, previousEnd)
    await this.#options.files.use(path, false, async (file) => {
      const segment = known ?? emptySegment(base)
      const fileBytes = await file.size()
      if (fileBytes < segment.sizeBytes) {
        throw new TailraceError(
          'corrupt_message',
          `${path} has ${fileBytes} bytes, but ${segment.sizeBytes} were synced: the file was cut from outside: put it back, or delete index.db to go on with what is there`,
        )
      }
      const nextBase = await this.#nextBaseWithBytes(base)
      if (nextBase === undefined) await this.#scanLast(file, path, segment, fileBytes)
      else if (fileBytes > segment.sizeBytes) await this.#scanClosed({ file, path, segment, fileBytes, nextBase })
      this.#segments.push(segment)
      this.#scanned.push(segment)
    })
  }

  async #scanClosed(scanned: Omit<ScannedFile, 'mark'>): Promise<void> {
    await this.#scanFile({ ...scanned, mark: undefined })
    await endAt(scanned.file, scanned.segment.sizeBytes)
  }

  /** What was written but not synced before the crash becomes visible now: so it must be durable first. */
  async #scanLast(file: SegmentFile, path: string, segment: Segment, fileBytes: number): Promise<void> {
    const from = segment.sizeBytes
    const mark = fileBytes > from ? await this.#options.tailMarks.find(file, fileBytes) : undefined
    const scanned = { file, path, segment, fileBytes: mark?.to ?? fileBytes, nextBase: undefined, mark }
    await this.#scanFile(scanned)
    const to = segment.sizeBytes
    await this.#options.tailMarks.settle(file, path, { from, to }, to === mark?.to ? mark : undefined)
  }

  /** A roll that failed half way leaves an empty file behind, and the segment in front of it goes on. */
  async #dropStray(path: string, base: number, previousEnd: number): Promise<void> {
    if ((await this.#options.files.use(path, false, (file) => file.size())) > 0) {
      throw new TailraceError(
        'corrupt_message',
        `segment ${base} begins before the one in front of it ends (${previousEnd})`,
        { file: path },
      )
    }
    await this.#options.files.drop(path)
    await this.#options.disk.remove(path)
    // else it may come back, and the segment that goes on would not be the last one when the journal is replayed
    await this.#options.disk.syncDirectory(this.#options.directory)
  }

  async #scanFile(scanned: ScannedFile): Promise<void> {
    const { file, segment, fileBytes } = scanned
    this.#growth.begin()
    let wanted = SCAN_BYTES
    while (segment.sizeBytes < fileBytes) {
      const bytes = await readAt(file, segment.sizeBytes, Math.min(wanted, fileBytes - segment.sizeBytes))
      const scan = scanBatches(bytes)
      const before = segment.sizeBytes
      let bad = this.#takeBatches(scan, scanned, before + bytes.length === fileBytes)
      wanted = SCAN_BYTES
      if (bad === undefined && segment.sizeBytes === before) {
        const needed = bytes.length >= BATCH_HEADER_BYTES ? batchSizeAt(bytes, 0) : BATCH_HEADER_BYTES
        if (scan.batches.length > 0) wanted = bytes.length + SCAN_BYTES
        else if (needed <= fileBytes - segment.sizeBytes && needed > bytes.length) wanted = needed
        else bad = scan.reason
      }
      releaseBytes(bytes)
      if (bad !== undefined) return this.#keepEnd(scanned, bad)
    }
  }

  /** Takes the good batches of a piece of the file; answers what is wrong with the one behind them, if anything is. */
  #takeBatches({ batches, stop, reason }: BatchScan, scanned: ScannedFile, isLastPiece: boolean): string | undefined {
    const { segment, nextBase } = scanned
    for (const [at, { header }] of batches.entries()) {
      const next = batches[at + 1]?.header.baseOffset
      // what follows tells whether a hole in front of a batch is one: not before it is read
      const isOpen = next === undefined && stop !== 'corrupt' && !isLastPiece
      if (isOpen && header.baseOffset > segment.endOffset) return undefined
      if (nextBase !== undefined && header.baseOffset >= nextBase) {
        return `base offset ${header.baseOffset}, but the next segment begins at ${nextBase}`
      }
      const fault = this.#faultOfOffsets(segment, header, next)
      if (fault !== undefined) return fault
      this.#grow(segment, header)
    }
    return stop === 'corrupt' ? reason : undefined
  }

  /** A base offset lies outside the checksum: it is held against what stands before and behind its batch. */
  #faultOfOffsets(segment: Segment, header: BatchHeader, next: number | undefined): string | undefined {
    const { baseOffset, lastOffsetDelta } = header
    if (baseOffset === segment.endOffset) return undefined
    const behind = next ?? this.#bases.find((base) => base > segment.baseOffset)
    // nothing is ever compacted out of the last segment
    if (baseOffset > segment.endOffset && behind !== undefined && baseOffset + lastOffsetDelta < behind)
      return undefined
    return `base offset ${baseOffset} where ${segment.endOffset} was due`
  }

  #grow(segment: Segment, header: BatchHeader): void {
    const { index, settings } = this.#options
    const entry = this.#growth.add(segment, header, settings.indexIntervalBytes)
    if (entry !== undefined) index.addEntry(this.#logId, segment, entry)
    if (header.producerId < 0n || header.baseOffset < this.#producersUntil) return
    const before = this.#producers.get(header.producerId)
    this.#producers.set(header.producerId, withBatch(before, header, this.#options.nowMs))
    this.#touchedProducers.add(header.producerId)
  }

  /** The bytes from the segment's end on are no batch: a torn end, which is to be cut, is kept aside, anything else is corruption. */
  async #keepEnd(scanned: ScannedFile, reason: string): Promise<void> {
    const { path, segment, fileBytes } = scanned
    const position = segment.sizeBytes
    const rest = await this.#judgeEnd(scanned, reason)
    const aside = join(this.#options.directory, `${basename(path)}.torn-${position}-${this.#options.nowMs}`)
    if (rest.some((byte) => byte !== 0)) await this.#options.disk.writeFileDurably(aside, rest)
    this.#options.logger.warn(
      {
        partition: this.#options.name,
        file: path,
        position,
        bytes: fileBytes - position,
        offset: segment.endOffset,
        aside,
      },
      `cut a torn batch (${reason}) off the end of ${this.#options.name}: its next offset is ${segment.endOffset}`,
    )
  }

  /** Gives the bytes to cut off, or throws corrupt_message. */
  async #judgeEnd({ file, path, segment, fileBytes, nextBase, mark }: ScannedFile, reason: string): Promise<Buffer> {
    const position = segment.sizeBytes
    const corrupt = (what: string) =>
      new TailraceError(
        'corrupt_message',
        `bad batch in ${path} at position ${position}, offset ${segment.endOffset} (${reason}), and ${what}: ` +
          'it is no torn end of the log and is not cut; ' +
          repairAdvice(this.#options.directory),
        { file: path, position, offset: segment.endOffset },
      )
    // up to the next segment all is there: what follows is of a write that was undone, and its undoing not synced
    const isWhole = segment.endOffset === nextBase
    if (nextBase !== undefined && !isWhole) throw corrupt('later segments follow')
    // one append alone may be larger than a stretch of several: all that waited for a partition, or one large batch
    const tornBytesMax = Math.max(APPEND_QUEUE_BYTES_MAX, this.#options.settings.maxMessageBytes)
    if (fileBytes - position > tornBytesMax) throw corrupt(`${fileBytes - position} bytes follow`)
    const rest = await readAt(file, position, fileBytes - position)
    // where the mark begins all was synced before, and behind it all was whole when the mark was made
    const isRewritten = mark !== undefined && position >= mark.from
    const fault = isWhole || isRewritten ? undefined : faultOfTornEnd(rest, position, segment.endOffset)
    if (fault !== undefined) throw corrupt(fault)
    return rest
  }

  async #nextBaseWithBytes(base: number): Promise<number | undefined> {
    for (const later of this.#bases.filter((one) => one > base)) {
      const path = segmentPath(this.#options.directory, later)
      if ((await this.#options.files.use(path, false, (file) => file.size())) > 0) return later
    }
    return undefined
  }

  #noteSegments(): void {
    for (const segment of this.#scanned) {
      const { baseOffset: segmentBase, sizeBytes: position, endOffset: offset } = segment
      this.#options.index.noteSegment(this.#logId, segment, { segmentBase, position, offset })
    }
  }

  #noteProducers(): void {
    for (const producerId of this.#touchedProducers) {
      this.#options.index.noteProducer(this.#logId, this.#producers.get(producerId) as ProducerEntry)
    }
    if (this.#known !== undefined) return
    for (const entry of this.#producers.values()) this.#options.index.noteProducer(this.#logId, entry)
  }
}
