// A reader of a tail that keeps what it is told, as texts, and a form in which records are lines.

import type { TailraceError } from '../../src/kernel/errors.ts'
import type { RecordReader } from '../../src/record/batch-reader.ts'
import type {
  Tail,
  TailChunk,
  TailEncoder,
  TailEnd,
  TailForm,
  TailGap,
  TailProgress,
  TailReader,
} from '../../src/service/tail/tail.ts'
import { ownBytes } from '../support/readable-engine.ts'

/** Lines of `topic/partition@offset=value`. */
export function textForm(key = 'text'): TailForm & { encoders: number } {
  return {
    key,
    encoders: 0,
    newEncoder() {
      this.encoders++
      return new TextEncoder()
    },
  }
}

class TextEncoder implements TailEncoder {
  size = 0
  readonly #lines: string[] = []
  #place = ''

  begin(topic: string, partition: number): void {
    this.#place = `${topic}/${partition}`
  }

  write(record: RecordReader): void {
    const value = record.valueStart < 0 ? 'null' : record.bytes.toString('utf8', record.valueStart, record.valueEnd)
    const line = `${this.#place}@${record.offset}=${value}`
    this.#lines.push(line)
    this.size += line.length + 1
  }

  finish(): Buffer {
    return ownBytes([Buffer.from(this.#lines.join('\n'))])
  }
}

export class TailLog implements TailReader {
  tail: Tail | undefined
  readonly events: string[] = []
  readonly records: string[] = []
  readonly bodies: Buffer[] = []
  readonly chunks: TailChunk[] = []
  readonly gaps: TailGap[] = []
  readonly errors: TailraceError[] = []
  /** What is left of its credit. */
  credit = { records: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER }
  lastProgress: TailProgress | undefined
  /** Of a form whose chunks are lines. */
  countsLines = true
  #isInside = false

  room() {
    return this.credit
  }

  take(chunk: TailChunk): void {
    const { body, recordCount } = chunk
    this.#inside(() => {
      this.chunks.push(chunk)
      const lines = this.countsLines ? body.toString().split('\n') : []
      if (this.countsLines && lines.length !== recordCount) throw new Error('a chunk that counts its records wrongly')
      this.bodies.push(body)
      this.records.push(...lines)
      this.events.push(...lines)
      this.credit = { records: this.credit.records - recordCount, bytes: this.credit.bytes - body.length }
    })
  }

  gap(gap: TailGap): void {
    this.#inside(() => {
      this.gaps.push(gap)
      this.events.push(`gap ${gap.topic}/${gap.partition}@${gap.from}-${gap.to} ${gap.reason}`)
    })
  }

  progress(progress: TailProgress): void {
    this.#inside(() => {
      this.lastProgress = progress
      this.events.push(progress.caughtUp ? 'progress caught up' : `progress lag ${progress.lag}`)
    })
  }

  fault({ topic, partition, error }: Parameters<TailReader['fault']>[0]): void {
    this.#inside(() => this.events.push(`fault ${topic}/${partition} ${error.code}`))
  }

  end(reason: TailEnd): void {
    this.#inside(() => this.events.push(`end ${reason}`))
  }

  fail(error: TailraceError): void {
    this.#inside(() => {
      this.errors.push(error)
      this.events.push(`fail ${error.code}`)
    })
  }

  #inside(what: () => void): void {
    if (this.#isInside) throw new Error('two calls at a time')
    this.#isInside = true
    what()
    this.#isInside = false
  }
}
