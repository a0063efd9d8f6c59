// `tailrace export TOPIC [FILE]`: a topic as newline-delimited JSON, at the pace of the slower side. A name that ends in .gz or
// .zst is compressed.

import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip, createZstdCompress } from 'node:zlib'
import { CommandFailure, EXIT } from './command-failure.ts'
import type { ConnectOptions } from './connect.ts'
import { connect } from './connect.ts'
import { ExportEnd } from './export-end.ts'
import type { Terminal } from './terminal.ts'
import { TransferProgress } from './transfer-progress.ts'

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
  const progress = new TransferProgress(terminal)
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

async function* watched(
  chunks: AsyncIterable<Uint8Array>,
  end: ExportEnd,
  progress: TransferProgress,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of chunks) {
      end.push(chunk)
      progress.add(chunk.length)
      yield chunk
    }
  } catch (error) {
    end.checkReason()
    throw error
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
    const { code, path } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' || path !== aside) throw error
    throw new CommandFailure(`there is no folder ${dirname(file)}`, { exitCode: EXIT.notFound, cause: error })
  }
  await rename(aside, file)
}
