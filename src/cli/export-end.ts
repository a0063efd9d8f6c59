// Watches the bytes of an export for its last line, which says that it is whole: {"$end":{"records":N,…}}.

import type { RecordGap } from '../client/api.ts'
import { CommandFailure } from './command-failure.ts'

const LINE_FEED = 0x0a

export class ExportEnd {
  /** What stands after the last line end but one: the last line, or what there is of it. */
  #lastLine = Buffer.alloc(0)
  #pieces: Buffer[] = []

  push(chunk: Buffer): void {
    const isLineEnd = chunk.at(-1) === LINE_FEED
    const before = chunk.subarray(0, isLineEnd ? -1 : chunk.length)
    const lineStart = before.lastIndexOf(LINE_FEED) + 1
    if (lineStart > 0) this.#pieces = []
    this.#pieces.push(before.subarray(lineStart))
    if (!isLineEnd) return
    this.#lastLine = Buffer.concat(this.#pieces)
    this.#pieces = []
  }

  /** What the last line says; a failure when it is another, or none. */
  summary(): { readonly records: number; readonly gaps: readonly RecordGap[] } {
    const line = parse(this.#pieces.length === 0 ? this.#lastLine : Buffer.alloc(0))
    const end = line?.['$end'] as { records?: number; gaps?: RecordGap[] } | undefined
    if (end !== undefined) return { records: end.records ?? 0, gaps: end.gaps ?? [] }
    const error = line?.['$error'] as { message?: string; code?: string } | undefined
    const reason = error === undefined ? 'its last line is missing' : `${error.message} (${error.code})`
    throw new CommandFailure(`the export is not whole: ${reason}`)
  }
}

function parse(line: Buffer): Record<string, unknown> | undefined {
  // Only the two lines that are no records are small and begin so.
  if (!line.subarray(0, 3).equals(MARK)) return undefined
  return JSON.parse(line.toString()) as Record<string, unknown>
}

const MARK = Buffer.from('{"$')
