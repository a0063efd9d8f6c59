// `tailrace import TOPIC [FILE…]`: newline-delimited JSON into a topic, at the pace of the slower side. A file whose name ends
// in .gz or .zst goes over the wire as it is.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Acks, ImportReport } from '../client/api.ts'
import { CommandFailure, EXIT } from './command-failure.ts'
import type { ListOptions } from './connect.ts'
import { connect } from './connect.ts'
import { chosenOutput } from './table.ts'
import type { Terminal } from './terminal.ts'
import { TransferProgress } from './transfer-progress.ts'

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
  const codes = new Set<string>()
  for (const file of files.length === 0 ? ['-'] : files) {
    const report = await importFile(terminal, topic, file, options)
    rejected += report.rejected
    for (const { code } of report.errors) codes.add(code)
    await printReport(terminal, file, report, options)
  }
  if (rejected === 0) return
  const lines = rejected === 1 ? '1 line was' : `${rejected} lines were`
  throw new CommandFailure(`${lines} not imported${options.format === 'record' ? adviceFor(codes) : ''}`)
}

/** What most likely makes lines fit that are no records as they stand, or that name partitions which are not there. */
function adviceFor(codes: ReadonlySet<string>): string {
  if (codes.has('unknown_topic_or_partition')) {
    return '; topics alter --partitions adds partitions, --no-keep-partitions places records by their keys: what was imported already would be imported again, so begin with an empty topic'
  }
  return codes.has('invalid_record') ? '; --format value takes each line as a value' : ''
}

async function importFile(
  terminal: Terminal,
  topic: string,
  file: string,
  options: ImportVerbOptions,
): Promise<ImportReport> {
  const isInput = file === '-'
  const progress = new TransferProgress(terminal, isInput ? undefined : (await stat(file)).size)
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

async function* counted(source: AsyncIterable<Buffer>, progress: TransferProgress): AsyncGenerator<Buffer> {
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
