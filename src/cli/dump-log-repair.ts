// `tailrace dump-log --repair`: takes what is bad out of segment files, offline, and nothing else. The bytes of a bad
// region are kept beside the file; in their place comes a batch without records over the offsets that are lost, so that
// no later record gets one of them and readers pass on. Only the base offset of a batch that is whole otherwise is put
// right. A file is written anew and renamed: it is the old one or the mended one. index.db forgets the partition first,
// so that the next start scans it.

import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { lockDirectory } from '../log/directory-lock.ts'
import { readAt } from '../log/good-batch.ts'
import { forgetIndexedLog } from '../log/index-forget.ts'
import { RELATIVE_OFFSET_MAX } from '../log/log-segment.ts'
import { readTopicId } from '../log/partition-metadata.ts'
import { realDisk } from '../log/segment-file.ts'
import {
  BATCH_HEADER_BYTES,
  batchBaseOffsetAt,
  batchLastOffsetDeltaAt,
  emptyBatch,
  MAGIC,
} from '../record/record-batch.ts'
import { CommandFailure } from './command-failure.ts'
import { findLostEnd } from './dump-log-lost-end.ts'
import { counted, offsetsText } from './dump-log-render.ts'
import type { SegmentFault } from './dump-log-segment.ts'
import { faultLine, SegmentBatches } from './dump-log-segment.ts'
import type { Terminal } from './terminal.ts'

/** What is wrong with one file, and the offset where its log goes on behind its last batch. */
interface Finding {
  readonly file: string
  readonly faults: readonly SegmentFault[]
  /** Infinite for the last segment. */
  readonly endOffset: number
}

/** What comes in the place of the bytes [position, end): the same bytes with another base offset, or a batch or nothing. */
interface Mend {
  readonly fault: SegmentFault
  readonly bytes: Buffer
  /** The bad bytes are kept beside the file; not where only the base offset is put right. */
  readonly isCut: boolean
  /** Where the log ended is not certain. */
  readonly isGuess: boolean
}

/** Exits with 1 where there is something to be mended and `isMeant` is not set. */
export async function repairSegments(terminal: Terminal, files: readonly string[], isMeant: boolean): Promise<void> {
  const unlocks = [...new Set(files.map(dataDirectoryOf))].map(lockDirectory)
  try {
    let faultCount = 0
    for (const file of files) {
      const finding = await examine(file)
      if (finding.faults.length === 0) continue
      faultCount += finding.faults.length
      await mendFile(terminal, finding, isMeant)
    }
    await terminal.write(`${counted(files.length, 'file')} looked at, ${counted(faultCount, 'bad place')}\n`)
    if (faultCount > 0 && !isMeant) throw new CommandFailure('nothing was changed: say --repair --yes to do it')
  } finally {
    for (const unlock of unlocks) unlock()
  }
}

/** DATA_DIR of DATA_DIR/topics/<topic>-<partition>/NNN.log: its lock keeps a server away. */
function dataDirectoryOf(file: string): string {
  const topics = dirname(dirname(resolve(file)))
  const dataDir = dirname(topics)
  if (basename(topics) === 'topics' && existsSync(join(dataDir, 'lock'))) return dataDir
  throw new CommandFailure(`${file} is not in a data directory: repair takes DATA_DIR, or what is in DATA_DIR/topics`)
}

async function examine(file: string): Promise<Finding> {
  const handle = await open(file, 'r')
  try {
    const batches = await SegmentBatches.open(handle, file)
    for await (const _chunk of batches.chunks());
    return { file, faults: batches.faults, endOffset: batches.endOffset }
  } finally {
    await handle.close()
  }
}

async function mendFile(terminal: Terminal, finding: Finding, isMeant: boolean): Promise<void> {
  const { file, faults } = finding
  const indexed = isMeant ? await forgetIndex(file) : undefined
  const handle = await open(file, 'r')
  try {
    const mends: Mend[] = []
    for (const fault of faults) mends.push(await planMend(handle, fault, finding.endOffset, indexed))
    for (const mend of mends) {
      const { position, end } = mend.fault
      const aside = `${file}.cut-${position}-${end}`
      await terminal.write(`${faultLine(mend.fault)}\n  ${whatIsDone(mend, aside, isMeant)}\n${guessLine(mend)}`)
      if (isMeant && mend.isCut) await copyOut(file, position, end, aside)
    }
    if (isMeant) await rewrite(file, mends)
  } finally {
    await handle.close()
  }
}

function whatIsDone({ fault, isCut, bytes }: Mend, aside: string, isMeant: boolean): string {
  if (!isCut) return `its base offset ${isMeant ? 'is' : 'would be'} put right; nothing is lost`
  const moved = `bytes ${fault.position} to ${fault.end} ${isMeant ? 'are' : 'would be'} taken out to ${aside}`
  if (bytes.length === 0) return moved
  const last = lastOffsetOf(bytes)
  return `${moved}; ${offsetsText(fault.offset, last)} ${last === fault.offset ? 'stays' : 'stay'} empty`
}

function guessLine({ fault, isGuess, bytes }: Mend): string {
  if (!isGuess) return ''
  const endOffset = bytes.length === 0 ? fault.offset : lastOffsetOf(bytes) + 1
  return `  warning: that offsets ended there is a guess: if there were records from ${endOffset} on, others will get their offsets\n`
}

function lastOffsetOf(batch: Buffer): number {
  return batchBaseOffsetAt(batch, 0) + batchLastOffsetDeltaAt(batch, 0)
}

async function planMend(
  handle: FileHandle,
  fault: SegmentFault,
  fileEndOffset: number,
  indexedEndOffset: number | undefined,
): Promise<Mend> {
  const { position, end, offset, nextOffset, trueOffset } = fault
  const source = {
    read: async (buffer: Buffer, at: number) => (await handle.read(buffer, 0, buffer.length, at)).bytesRead,
  }
  if (trueOffset !== undefined) {
    const bytes = await readAt(source, position, end - position)
    bytes.writeBigInt64BE(BigInt(trueOffset), 0)
    return { fault, bytes, isCut: false, isGuess: false }
  }
  const knownEnd = nextOffset ?? (Number.isFinite(fileEndOffset) ? fileEndOffset : undefined)
  const { endOffset, isGuess } =
    knownEnd === undefined
      ? await findLostEnd(source, { position, end, offset }, indexedEndOffset)
      : { endOffset: knownEnd, isGuess: false }
  return { fault, bytes: stopgap(offset, endOffset), isCut: true, isGuess }
}

/** A batch without records over offsets [from, to); nothing where there are none, or more than a batch can have. */
function stopgap(from: number, to: number): Buffer {
  const lastOffsetDelta = to - from - 1
  if (lastOffsetDelta < 0 || lastOffsetDelta > RELATIVE_OFFSET_MAX) return Buffer.alloc(0)
  const none = { partitionLeaderEpoch: -1, baseTimestamp: -1, maxTimestamp: -1, producerId: -1n, producerEpoch: -1 }
  const place = { baseOffset: from, lastOffsetDelta, sizeBytes: BATCH_HEADER_BYTES, magic: MAGIC }
  return emptyBatch({ ...place, ...none, baseSequence: -1, recordCount: 0, attributes: 0, crc: 0 })
}

async function copyOut(file: string, position: number, end: number, aside: string): Promise<void> {
  await pipeline(createReadStream(file, { start: position, end: end - 1 }), createWriteStream(aside, { mode: 0o640 }))
  await syncFile(aside)
}

async function rewrite(file: string, mends: readonly Mend[]): Promise<void> {
  const anew = `${file}.repair`
  await unlink(anew).catch(() => {})
  const output = await open(anew, 'wx', 0o640)
  try {
    let position = 0
    for (const { fault, bytes } of mends) {
      await copyRange(file, output, position, fault.position)
      await output.write(bytes)
      position = fault.end
    }
    await copyRange(file, output, position, Number.POSITIVE_INFINITY)
    await output.sync()
  } finally {
    await output.close()
  }
  await rename(anew, file)
  await realDisk.syncDirectory(dirname(file))
}

async function copyRange(file: string, output: FileHandle, from: number, to: number): Promise<void> {
  if (from >= to) return
  for await (const chunk of createReadStream(file, { start: from, end: to - 1 })) await output.write(chunk as Buffer)
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  await handle.sync()
  await handle.close()
}

const PARTITION_FOLDER = /-(\d+)$/

/** Answers the end offset that index.db knew, if any. */
async function forgetIndex(file: string): Promise<number | undefined> {
  const folder = dirname(resolve(file))
  const topicId = await readTopicId(realDisk, folder)
  const partition = PARTITION_FOLDER.exec(basename(folder))?.[1]
  if (topicId === undefined || partition === undefined) {
    throw new CommandFailure(`${folder} does not say whose it is: its partition.metadata is missing or damaged`)
  }
  return forgetIndexedLog(dataDirectoryOf(file), topicId, Number(partition))
}
