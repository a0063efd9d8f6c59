// `tailrace export TOPIC [FILE]` and `tailrace import TOPIC [FILE…]`: whole topics as newline-delimited JSON, at the pace of
// the slower side. A name that ends in .gz or .zst is compressed.

import { createReadStream, createWriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip, createZstdCompress } from 'node:zlib'
import type { Acks, ImportReport } from '../client/api.ts'
import { CommandFailure, EXIT } from './command-failure.ts'
import type { ConnectOptions, ListOptions } from './connect.ts'
import { connect } from './connect.ts'
import { ExportEnd } from './export-end.ts'
import { foregroundClock } from './foreground-clock.ts'
import { chosenOutput } from './table.ts'
import type { Terminal } from './terminal.ts'

export interface ExportVerbOptions extends ConnectOptions {
  readonly from?: string
  readonly until?: string
  readonly partition?: readonly number[]
}

/** To a file: under its name only when it is whole. */
export async function exportTopic(
  terminal: Terminal,
  topic: string,
  file: string | undefined,
  options: ExportVerbOptions,
): Promise<void> {
  const signal = terminal.interruptSignal()
  const { from, until, partition: partitions } = options
  const end = new ExportEnd()
  const progress = new Progress(terminal)
  const chunks = connect(terminal, options).export(topic, { from, until, partitions, signal })
  const source = Readable.from(watched(chunks, end, progress), { objectMode: false })
  if (file === undefined || file === '-') await toOutput(terminal, source)
  else await toFile(file, source, end)
  terminal.endProgress()
  const { records, gaps } = end.summary()
  if (terminal.progressIsShown) terminal.note(`${records} records of ${topic} exported`)
  for (const { partition, from, to } of gaps) {
    terminal.note(
      `tailrace: offsets ${from} to ${to - 1} of partition ${partition} were removed before they were exported`,
    )
  }
}

async function* watched(chunks: AsyncIterable<Buffer>, end: ExportEnd, progress: Progress): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    end.push(chunk)
    progress.add(chunk.length)
    yield chunk
  }
}

async function toOutput(terminal: Terminal, source: Readable): Promise<void> {
  await pipeline(
    source,
    new Writable({
      write(chunk, _encoding, done) {
        terminal.write(chunk).then(() => done(), done)
      },
    }),
  )
}

async function toFile(file: string, source: Readable, end: ExportEnd): Promise<void> {
  const aside = `${file}.part`
  try {
    const target = createWriteStream(aside)
    if (file.endsWith('.gz')) await pipeline(source, createGzip(), target)
    else if (file.endsWith('.zst')) await pipeline(source, createZstdCompress(), target)
    else await pipeline(source, target)
    end.summary()
  } catch (error) {
    await rm(aside, { force: true })
    throw error
  }
  await rename(aside, file)
}

export interface ImportVerbOptions extends ListOptions {
  readonly format: 'record' | 'value'
  readonly key?: string
  readonly acks: Acks
  /** false: by key. */
  readonly keepPartitions: boolean
}

/** Exits with 1 when lines were rejected; the others are in. */
export async function importTopic(
  terminal: Terminal,
  topic: string,
  files: readonly string[],
  options: ImportVerbOptions,
): Promise<void> {
  if (options.key !== undefined && options.format !== 'value') {
    throw new CommandFailure('--key names a member of plain values: it goes with --format value', {
      exitCode: EXIT.usage,
    })
  }
  let rejected = 0
  for (const file of files.length === 0 ? ['-'] : files) {
    const report = await importFile(terminal, topic, file, options)
    rejected += report.rejected
    await printReport(terminal, file, report, options)
  }
  if (rejected > 0) throw new CommandFailure(`${rejected} lines were not imported`)
}

async function importFile(
  terminal: Terminal,
  topic: string,
  file: string,
  options: ImportVerbOptions,
): Promise<ImportReport> {
  const isInput = file === '-'
  const progress = new Progress(terminal, isInput ? undefined : (await stat(file)).size)
  const source = isInput ? terminal.input : createReadStream(file, { highWaterMark: 256 * 1024 })
  try {
    return await connect(terminal, options).import(topic, counted(source, progress), {
      acks: options.acks,
      format: options.format,
      key: options.key,
      keepPartitions: options.format === 'value' ? undefined : options.keepPartitions,
      contentEncoding: file.endsWith('.gz') ? 'gzip' : file.endsWith('.zst') ? 'zstd' : undefined,
      signal: terminal.interruptSignal(),
    })
  } finally {
    terminal.endProgress()
  }
}

async function* counted(source: AsyncIterable<Buffer>, progress: Progress): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    progress.add(chunk.length)
    yield chunk
  }
}

async function printReport(
  terminal: Terminal,
  file: string,
  report: ImportReport,
  options: ImportVerbOptions,
): Promise<void> {
  const name = file === '-' ? '' : `${file} `
  for (const { line, code, detail } of report.errors) terminal.note(`${name}line ${line}: ${detail} (${code})`)
  if (report.errors_left_out > 0) terminal.note(`and ${report.errors_left_out} more`)
  for (const warning of report.warnings) terminal.note(`tailrace: ${warning}`)
  const { lines, imported, rejected } = report
  const output = chosenOutput(options.output, terminal)
  if (output === 'table') await terminal.write(`${name}${lines} lines: ${imported} imported, ${rejected} rejected\n`)
  else await terminal.write(`${JSON.stringify(report, null, output === 'json' ? 2 : undefined)}\n`)
}

const PROGRESS_MS = 200

/** Bytes that went through, a few times a second. */
class Progress {
  readonly #terminal: Terminal
  readonly #totalBytes: number | undefined
  readonly #startedAt = foregroundClock.monotonic()
  #shownAt = 0
  #bytes = 0

  constructor(terminal: Terminal, totalBytes?: number) {
    this.#terminal = terminal
    this.#totalBytes = totalBytes
  }

  add(bytes: number): void {
    this.#bytes += bytes
    const now = foregroundClock.monotonic()
    if (!this.#terminal.progressIsShown || now - this.#shownAt < PROGRESS_MS) return
    this.#shownAt = now
    const megabytes = this.#bytes / 1e6
    const rate = (megabytes * 1000) / Math.max(1, now - this.#startedAt)
    const share = this.#totalBytes ? ` (${Math.floor((100 * this.#bytes) / this.#totalBytes)} %)` : ''
    this.#terminal.progress(`${megabytes.toFixed(1)} MB${share}, ${rate.toFixed(1)} MB/s`)
  }
}
