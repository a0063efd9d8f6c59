// POST /v1/topics/{topic}/import: newline-delimited JSON of any length into a topic. Lines are found as bytes arrive and
// handed to the produce service in chunks, of which two are under way at once; while both are, no more of the body is
// read, so memory is flat. Chunks are handed over in order: the records of a partition keep the order of their lines.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { parseRecordLine } from '../../codec/produce-body.ts'
import type { ProduceRecord } from '../../codec/produce-record.ts'
import { keyMember, parseValueLine } from '../../codec/value-line.ts'
import type { Acks } from '../../engine/engine.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import {
  IMPORT_CHUNK_BYTES_MAX,
  IMPORT_CHUNK_RECORDS_MAX,
  IMPORT_CHUNKS_UNDER_WAY_MAX,
  IMPORT_ERRORS_SHOWN_MAX,
  IMPORT_LINE_BYTES_MAX,
  IMPORT_PARTITIONS_WARNED_MAX,
} from '../../kernel/limits.ts'
import type { Caller } from '../../service/caller.ts'
import type { ProduceResult } from '../../service/produce/produce-result.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, checkContentType, JSON_MEDIA_TYPE } from '../media-type.ts'
import type { LineSink } from '../ndjson-lines.ts'
import { NdjsonLines } from '../ndjson-lines.ts'
import { callerOf } from '../request-caller.ts'
import { RequestQuery } from '../request-query.ts'
import { NDJSON_MEDIA_TYPE } from './export.ts'
import { ACKS_OF_TEXT } from './produce.ts'
import { pathTopic } from './topics.ts'

/** Looked through for lines at once. Lines may be a byte and its end: so no chunk comes near PRODUCE_RECORDS_MAX. */
const PIECE_BYTES_MAX = 64 * 1024

/** Lines of an export that are no records: what was gone, and the last. */
const EXPORT_MARKS = ['{"$end":', '{"$gap":'].map((text) => Buffer.from(text))
const DOLLAR = 0x24

interface ImportOptions {
  readonly topic: string
  readonly acks: Acks
  readonly parse: (bytes: Buffer, start: number, end: number) => ProduceRecord
  /** How a line begins that says something of the lines and is none of them. */
  readonly marks: readonly Buffer[]
}

export function importRoutes(app: FastifyInstance, floor: HttpFloor): void {
  app.post('/topics/:topic/import', async (request) => {
    checkContentType(request.headers['content-type'], NDJSON_MEDIA_TYPE)
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    const run = new ImportRun(floor, callerOf(request), optionsOf(request, floor))
    return run.take(floor.bodies.stream(request.raw))
  })
}

function optionsOf(request: FastifyRequest, { schemas, services: { engine } }: HttpFloor): ImportOptions {
  const topic = pathTopic(request)
  const typed = { schemas, topic, engine }
  const query = new RequestQuery(request, ['acks', 'format', 'key', 'keep_partitions'])
  const format = query.oneOf('format', ['record', 'value']) ?? 'record'
  const keyName = query.text('key')
  if (keyName !== undefined && format !== 'value') {
    throw new TailraceError('invalid_request', 'parameter key goes with format=value: a record line has its own key', {
      parameter: 'key',
    })
  }
  const key = keyName === undefined ? undefined : keyMember(keyName)
  const keepPartition = query.oneOf('keep_partitions', ['true', 'false']) !== 'false'
  return {
    topic,
    acks: ACKS_OF_TEXT[query.oneOf('acks', ['all', '1', '0']) ?? 'all'],
    parse:
      format === 'value'
        ? (bytes, start, end) => parseValueLine(bytes, start, end, key)
        : (bytes, start, end) => parseRecordLine(bytes, start, end, { keepPartition }, typed),
    marks: format === 'record' ? EXPORT_MARKS : [],
  }
}

interface Chunk {
  readonly records: ProduceRecord[]
  /** Line numbers, record by record. */
  readonly lines: number[]
}

/** One import from its first byte to its report. */
class ImportRun implements LineSink {
  readonly #floor: HttpFloor
  readonly #caller: Caller
  readonly #options: ImportOptions
  #chunk: Chunk = { records: [], lines: [] }
  #chunkBytes = 0
  #underWay: Promise<void>[] = []
  #lineCount = 0
  #importedCount = 0
  #rejectedCount = 0
  /** What went in and is older than its topic keeps records: how many, by partition. */
  readonly #expired = new Map<number, number>()
  #retentionMs = 0
  readonly #errors: { line: number; code: string; detail: string }[] = []

  constructor(floor: HttpFloor, caller: Caller, options: ImportOptions) {
    this.#floor = floor
    this.#caller = caller
    this.#options = options
  }

  async take(body: AsyncIterable<Buffer>) {
    const lines = new NdjsonLines(this, IMPORT_LINE_BYTES_MAX)
    try {
      for await (const bytes of body) {
        for (let start = 0; start < bytes.length; start += PIECE_BYTES_MAX) {
          lines.push(bytes.subarray(start, start + PIECE_BYTES_MAX))
          if (this.#chunkIsFull()) await this.#send()
        }
      }
      lines.end()
      await this.#send()
      await Promise.all(this.#underWay)
    } catch (error) {
      // What is under way is waited for: the counts of a failed import are final too.
      await Promise.allSettled(this.#underWay)
      throw this.#withCounts(asTailraceError(error))
    }
    return this.#report()
  }

  line(bytes: Buffer, start: number, end: number, number: number): void {
    if (isBlank(bytes, start, end) || this.#isMark(bytes, start, end)) return
    this.#lineCount++
    try {
      this.#chunk.records.push(this.#options.parse(bytes, start, end))
      this.#chunk.lines.push(number)
      this.#chunkBytes += end - start
    } catch (error) {
      this.#reject(number, asTailraceError(error))
    }
  }

  tooLong(number: number): void {
    this.#lineCount++
    this.#reject(
      number,
      new TailraceError('message_too_large', `the line is longer than ${IMPORT_LINE_BYTES_MAX} bytes`),
    )
  }

  #isMark(bytes: Buffer, start: number, end: number): boolean {
    if (end - start < 2 || bytes[start + 2] !== DOLLAR) return false
    return this.#options.marks.some((mark) => {
      return end - start >= mark.length && mark.compare(bytes, start, start + mark.length) === 0
    })
  }

  #chunkIsFull(): boolean {
    return this.#chunk.records.length >= IMPORT_CHUNK_RECORDS_MAX || this.#chunkBytes >= IMPORT_CHUNK_BYTES_MAX
  }

  /** Hands the chunk over; waits when too many are under way. */
  async #send(): Promise<void> {
    const chunk = this.#chunk
    if (chunk.records.length === 0) return
    this.#chunk = { records: [], lines: [] }
    this.#chunkBytes = 0
    const stored = this.#store(chunk)
    // Its rejection is met where it is awaited; until then it is nobody's.
    stored.catch(() => {})
    this.#underWay.push(stored)
    // The first chunk may have to make the topic: the second could overtake it then.
    const most = this.#importedCount === 0 ? 1 : IMPORT_CHUNKS_UNDER_WAY_MAX
    if (this.#underWay.length >= most) await this.#underWay.shift()
  }

  async #store(chunk: Chunk): Promise<void> {
    const { topic, acks } = this.#options
    const { produce } = this.#floor.services
    this.#count(chunk, await produce.produce(this.#caller, topic, chunk.records, { acks, badRecords: 'report' }))
  }

  #count(chunk: Chunk, result: ProduceResult): void {
    const { failure } = result
    const keptFromMs = keptFrom(result, this.#floor.clock.now())
    for (let index = 0; index < result.recordCount; index++) {
      const error = result.error(index)
      if (error === undefined) {
        this.#importedCount++
        const timestamp = result.timestamp(index)
        if (timestamp >= 0 && timestamp < keptFromMs) this.#noteExpired(result, index)
      } else if (failure === undefined || error.code === 'invalid_record') this.#reject(chunk.lines[index] ?? 0, error)
    }
    if (failure !== undefined) throw failure
  }

  #reject(line: number, { code, message }: TailraceError): void {
    this.#rejectedCount++
    if (this.#errors.length < IMPORT_ERRORS_SHOWN_MAX) this.#errors.push({ line, code, detail: message })
  }

  #report() {
    return {
      lines: this.#lineCount,
      imported: this.#importedCount,
      rejected: this.#rejectedCount,
      errors: this.#errors.sort((a, b) => a.line - b.line),
      errors_left_out: this.#rejectedCount - this.#errors.length,
      warnings: this.#warnings(),
    }
  }

  #noteExpired(result: ProduceResult, index: number): void {
    const partition = result.partition(index)
    this.#expired.set(partition, (this.#expired.get(partition) ?? 0) + 1)
    this.#retentionMs = result.topic.config.retentionMs
  }

  #warnings(): string[] {
    if (this.#expired.size === 0) return []
    const counts = [...this.#expired].sort(([left], [right]) => left - right)
    const total = counts.reduce((sum, [, count]) => sum + count, 0)
    const shown = counts
      .slice(0, IMPORT_PARTITIONS_WARNED_MAX)
      .map(([partition, count]) => `${count} in partition ${partition}`)
    if (counts.length > shown.length) shown.push(`the rest in ${counts.length - shown.length} more`)
    return [
      `${total} records are older than the topic's retention.ms, ${this.#retentionMs}: they are due for deletion when retention is next checked (${shown.join(', ')})`,
    ]
  }

  #withCounts(failure: TailraceError): TailraceError {
    const counts = { lines: this.#lineCount, imported: this.#importedCount, rejected: this.#rejectedCount }
    return new TailraceError(failure.code, failure.message, { ...failure.details, ...counts }, { cause: failure })
  }
}

/** What is older goes with the next check of retention. */
function keptFrom({ topic }: ProduceResult, now: number): number {
  const { cleanupPolicy, retentionMs } = topic.config
  return cleanupPolicy.delete ? now - retentionMs : Number.NEGATIVE_INFINITY
}

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false
  }
  return true
}
