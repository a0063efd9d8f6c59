// `tailrace dump-log FILE…`: segment files read offline, as Kafka's dump-log shows them. Opens them for reading only and
// needs no server; a running one is not disturbed, but its last batch may be seen half written. With --repair it mends a
// data directory that no server has: dump-log-repair.ts.

import { glob, open, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { journalDirectory, readJournal } from '../log/journal-replay.ts'
import { parseNumberedName } from '../log/log-segment.ts'
import { realDisk } from '../log/segment-file.ts'
import { RecordReader } from '../record/batch-reader.ts'
import { BATCH_HEADER_BYTES, batchMagicAt, MAGIC } from '../record/record-batch.ts'
import { CommandFailure, EXIT } from './command-failure.ts'
import type { BatchView } from './dump-log-render.ts'
import { counted, offsetsText, renderBatch, renderRecord } from './dump-log-render.ts'
import { repairSegments } from './dump-log-repair.ts'
import type { SegmentFault } from './dump-log-segment.ts'
import { faultLine, SegmentBatches } from './dump-log-segment.ts'
import type { Output } from './table.ts'
import { chosenOutput } from './table.ts'
import type { Terminal } from './terminal.ts'

export interface DumpLogOptions {
  readonly records?: boolean
  readonly verify?: boolean
  readonly repair?: boolean
  readonly yes?: boolean
  readonly output?: Output
}

/** Every file is looked at; exits with 1 when any is corrupt. */
export async function dumpLog(terminal: Terminal, paths: readonly string[], options: DumpLogOptions): Promise<void> {
  if (options.yes && !options.repair) {
    throw new CommandFailure('--yes says that --repair shall be done: it means nothing alone', { exitCode: EXIT.usage })
  }
  const signal = terminal.interruptSignal()
  for (const swap of await swapFiles(paths)) {
    terminal.note(
      `tailrace: ${swap} is about to take the place of older segments: the next start of the server does it`,
    )
  }
  const files = await segmentFiles(paths)
  for (const file of files) await checkSegmentFile(file)
  const waiting = await waitingJournals(terminal, files)
  if (options.repair && waiting !== undefined) throw repairRefused(waiting)
  if (options.repair) return repairSegments(terminal, files, options.yes === true)
  let corruptCount = 0
  for (const file of files) {
    if (signal.aborted) return
    const faults = await dumpFile(terminal, file, options, signal)
    if (faults.length === 0) continue
    corruptCount++
    for (const fault of faults) terminal.note(`tailrace: ${faultLine(fault)}`)
  }
  if (corruptCount > 0)
    throw new CommandFailure(
      `${corruptCount} of ${counted(files.length, 'file')} ${corruptCount === 1 ? 'is' : 'are'} corrupt`,
    )
}

/** Files as they are named; of a folder all segments below it. */
async function segmentFiles(paths: readonly string[]): Promise<string[]> {
  const files: string[] = []
  for (const path of paths) {
    if (!(await stat(path)).isDirectory()) {
      files.push(path)
      continue
    }
    const found: string[] = []
    for await (const name of glob('**/*.log', { cwd: path })) {
      if (parseNumberedName(basename(name))?.kind === 'log') found.push(join(path, name))
    }
    if (found.length === 0)
      throw new CommandFailure(`there is no segment file below ${path}`, { exitCode: EXIT.notFound })
    files.push(...found.sort())
  }
  return files
}

/** By its name, as also what was set aside has it, or by its first bytes. */
async function checkSegmentFile(file: string): Promise<void> {
  if (/^\d{20}\.log/.test(basename(file))) return
  const handle = await open(file, 'r')
  try {
    const head = Buffer.alloc(BATCH_HEADER_BYTES)
    const { bytesRead } = await handle.read(head, 0, head.length, 0)
    if (bytesRead === head.length && batchMagicAt(head, 0) === MAGIC) return
  } finally {
    await handle.close()
  }
  throw new CommandFailure(`${file} is no segment file: dump-log takes NNN.log files, or a folder that has some`, {
    exitCode: EXIT.usage,
  })
}

/** Cleaned segments that compaction was putting in their place when the server ended. */
async function swapFiles(paths: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const path of paths) {
    if (!(await stat(path)).isDirectory()) continue
    for await (const name of glob('**/*.log.swap', { cwd: path })) found.push(join(path, name))
  }
  return found.sort()
}

/** Says which data directories have a commit journal with entries that no start has brought into the files so far; answers one. */
async function waitingJournals(terminal: Terminal, files: readonly string[]): Promise<string | undefined> {
  let waiting: string | undefined
  for (const dataDir of new Set(files.map((file) => dirname(dirname(dirname(resolve(file))))))) {
    const { entries, missing } = await readJournal(realDisk, dataDir)
    const count = entries.length + missing.length
    if (count === 0) continue
    waiting = journalDirectory(dataDir)
    terminal.note(
      `tailrace: ${waiting} has ${count} entries for the next start: after a power cut, files may lack them`,
    )
  }
  return waiting
}

function repairRefused(journal: string): CommandFailure {
  return new CommandFailure(`start the server once before a repair: it brings ${journal} into the segment files`)
}

/** Answers what is wrong with the file. */
async function dumpFile(
  terminal: Terminal,
  file: string,
  options: DumpLogOptions,
  signal: AbortSignal,
): Promise<readonly SegmentFault[]> {
  const output = chosenOutput(options.output, terminal)
  const handle = await open(file, 'r')
  try {
    const printer = new DumpPrinter(terminal, file, output, options)
    await printer.begin()
    const batches = await SegmentBatches.open(handle, file)
    for await (const chunk of batches.chunks()) {
      for (const batch of chunk) await printer.print(batch)
      if (signal.aborted) return []
    }
    await printer.finish(batches.faults)
    return batches.faults
  } finally {
    await handle.close()
  }
}

class DumpPrinter {
  readonly #terminal: Terminal
  readonly #file: string
  readonly #isText: boolean
  readonly #options: DumpLogOptions
  readonly #reader = new RecordReader({ checkCrc: false })
  #batchCount = 0
  #recordCount = 0
  #firstOffset: number | undefined
  #endOffset: number

  constructor(terminal: Terminal, file: string, output: Output, options: DumpLogOptions) {
    this.#terminal = terminal
    this.#file = file
    this.#isText = output === 'table'
    this.#options = options
    this.#endOffset = parseNumberedName(basename(file))?.offset ?? 0
  }

  async begin(): Promise<void> {
    if (this.#options.verify || !this.#isText) return
    const base = parseNumberedName(basename(this.#file))?.offset
    await this.#terminal.write(`Dumping ${this.#file}\n${base === undefined ? '' : `Log starting offset: ${base}\n`}`)
  }

  async print(batch: BatchView): Promise<void> {
    const { header } = batch
    this.#batchCount++
    this.#recordCount += header.recordCount
    this.#firstOffset ??= header.baseOffset
    this.#endOffset = header.baseOffset + header.lastOffsetDelta + 1
    if (this.#options.verify) return
    const parts = [renderBatch(this.#file, batch, this.#isText)]
    if (this.#options.records) {
      this.#reader.open(batch.bytes, batch.start)
      while (this.#reader.next()) parts.push(renderRecord(this.#reader, header, this.#isText))
    }
    await this.#terminal.write(parts.join(''))
  }

  async finish(faults: readonly SegmentFault[]): Promise<void> {
    if (!this.#options.verify) return
    const counts = { batches: this.#batchCount, records: this.#recordCount }
    const offsets = { first_offset: this.#firstOffset ?? null, end_offset: this.#endOffset }
    if (!this.#isText) {
      const bad = faults.length === 0 ? {} : { faults: faults.map(faultJson) }
      const line = { file: this.#file, ok: faults.length === 0, ...counts, ...offsets, ...bad }
      await this.#terminal.write(`${JSON.stringify(line)}\n`)
      return
    }
    const range = this.#firstOffset === undefined ? 'empty' : offsetsText(this.#firstOffset, this.#endOffset - 1)
    const verdict = faults.length === 0 ? 'ok' : 'CORRUPT'
    await this.#terminal.write(
      `${this.#file}: ${verdict}, ${counted(counts.batches, 'batch', 'batches')}, ${counted(counts.records, 'record')}, ${range}\n`,
    )
  }
}

function faultJson({ position, end, offset, nextOffset, reason }: SegmentFault) {
  return { position, end_position: end, offset, next_offset: nextOffset ?? null, reason }
}
