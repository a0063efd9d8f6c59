// Watches the bytes of an export for its last line, which says that it is whole: {"$end":{"records":N,…}}.

import type { RecordGap } from '../client/api.ts'
import { CommandFailure } from './command-failure.ts'

const LINE_FEED = 0x0a

export class ExportEnd {
  /** What stands after the last line end but one: the last line, or what there is of it. */
  #lastLine = Buffer.alloc(0)
  #pieces: Uint8Array[] = []

  push(chunk: Uint8Array): void {
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
    this.checkReason()
    const end = this.#line()?.['$end'] as { records?: number; gaps?: RecordGap[] } | undefined
    if (end !== undefined) return { records: end.records ?? 0, gaps: end.gaps ?? [] }
    throw new CommandFailure('the export is not whole: its last line is missing')
  }

  /** Throws what the server says of why it could not go on, if that is the last line: the answer is cut behind it. */
  checkReason(): void {
    const error = this.#line()?.['$error'] as { message?: string; code?: string } | undefined
    if (error === undefined) return
    throw new CommandFailure(`the export is not whole: ${error.message} (${error.code})`)
  }

  #line(): Record<string, unknown> | undefined {
    return parse(this.#pieces.length === 0 ? this.#lastLine : Buffer.alloc(0))
  }
}

function parse(line: Buffer): Record<string, unknown> | undefined {
  // Only the two lines that are no records are small and begin so.
  if (!line.subarray(0, 3).equals(MARK)) return undefined
  return JSON.parse(line.toString()) as Record<string, unknown>
}

const MARK = Buffer.from('{"$')
