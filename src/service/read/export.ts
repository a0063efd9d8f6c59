// A topic as newline-delimited JSON, from a position to the end offsets taken at the start. Each line is a record as every
// read shows it, with values that a line break runs through as base64: what an import of the text stores is equal byte
// for byte. Each partition's records are in their order; partitions take turns. Memory is one chunk, whatever the topic's
// size: the next is fetched when the last was taken.
//
// The last line is {"$end":{"cursor":…,"records":N}}: a text without it is not whole. It has "gaps" where records were
// removed while the export ran. What goes wrong on the way is told by {"$error":{"code":…,"message":…}} in its place.

import { RecordJsonWriter } from '../../codec/record-json.ts'
import type { FetchedPartition, Topic } from '../../engine/engine.ts'
import { ByteWriter } from '../../kernel/byte-writer.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import { EXPORT_FETCH_BYTES } from '../../kernel/limits.ts'
import type { Gap } from './page.ts'
import { outOfRange } from './page.ts'
import type { Position } from './positions.ts'
import { isByOffset, listOffsets } from './positions.ts'
import type { ConsumeParts, ReadStart } from './read-start.ts'
import { getTopic, renderCursor, resolveStart } from './read-start.ts'
import { RecordWalk, releaseFetched, unreadable } from './record-walk.ts'

export interface ExportRequest {
  readonly topic: string
  /** undefined: all. */
  readonly partitions?: readonly number[] | undefined
  readonly from: Position
  /** undefined: the end offsets at the start. */
  readonly until?: Position | undefined
  readonly signal?: AbortSignal | undefined
}

/** Little chunks would each hold a whole buffer: what many partitions give goes together. */
const CHUNK_BYTES_MIN = EXPORT_FETCH_BYTES / 4

interface PartitionExport {
  readonly partition: number
  nextOffset: number
  readonly endOffset: number
}

/** Chunks of whole lines. What is refused is refused before the first chunk; later failures end the chunks by throwing. */
export async function exportRecords(parts: ConsumeParts, request: ExportRequest): Promise<AsyncGenerator<Buffer>> {
  const topic = getTopic(parts.engine, request.topic)
  const start = await resolveStart(parts, topic, { ...request, position: request.from })
  const partitions = await planPartitions(parts, topic, start, request)
  return new Export(parts, topic, partitions, start.whole, request.signal).chunks()
}

async function planPartitions(
  parts: ConsumeParts,
  topic: Topic,
  { offsets }: ReadStart,
  { from, until, signal }: ExportRequest,
): Promise<PartitionExport[]> {
  const numbers = offsets.map(({ partition }) => partition)
  const ends = await listOffsets(parts.engine, topic, numbers, 'latest')
  const starts = await listOffsets(parts.engine, topic, numbers, 'earliest')
  const last =
    until === undefined
      ? ends
      : (await resolveStart(parts, topic, { partitions: numbers, position: until, signal })).offsets
  return offsets.map(({ partition, offset }, at) => {
    const startOffset = starts[at]?.offset ?? 0
    const endOffset = ends[at]?.offset ?? 0
    const isGone = isByOffset(from) && offset < startOffset
    if (isGone || offset > endOffset)
      throw outOfRange(topic, [{ partition, nextOffset: offset, startOffset, endOffset }])
    return {
      partition,
      nextOffset: Math.max(offset, startOffset),
      endOffset: Math.min(last[at]?.offset ?? endOffset, endOffset),
    }
  })
}

class Export {
  readonly #parts: ConsumeParts
  readonly #topic: Topic
  readonly #partitions: PartitionExport[]
  readonly #whole: boolean
  readonly #signal: AbortSignal | undefined
  readonly #output = new ByteWriter(EXPORT_FETCH_BYTES)
  readonly #lines = new RecordJsonWriter(this.#output, { keyFormat: 'auto', valueFormat: 'auto', lineBreaks: 'base64' })
  readonly #walk: RecordWalk
  readonly #gaps: Gap[] = []
  #recordCount = 0
  #wholeLinesEnd = 0

  constructor(
    parts: ConsumeParts,
    topic: Topic,
    partitions: PartitionExport[],
    whole: boolean,
    signal: AbortSignal | undefined,
  ) {
    this.#parts = parts
    this.#walk = new RecordWalk(parts.inflations)
    this.#topic = topic
    this.#partitions = partitions
    this.#whole = whole
    this.#signal = signal
  }

  async *chunks(): AsyncGenerator<Buffer> {
    try {
      let wanted = this.#partitions.filter(isUnfinished)
      while (wanted.length > 0) {
        const fetched = await this.#fetch(wanted)
        let hasMoved = false
        for (const [at, part] of fetched.entries()) {
          const state = wanted[at] as PartitionExport
          const before = state.nextOffset
          yield* this.#write(state, part)
          hasMoved ||= state.nextOffset > before
        }
        releaseFetched(fetched)
        if (this.#output.position > 0) yield this.#takeLines()
        // Below the ends, yet not to be had: an open transaction hides it, so it is not yet there.
        if (!hasMoved) break
        wanted = rotated(wanted).filter(isUnfinished)
      }
    } catch (error) {
      const { code, message, details } = asTailraceError(error)
      if (this.#wholeLinesEnd > 0) yield this.#takeLines()
      if (code !== 'request_cancelled') yield line({ $error: { code, message, details } })
      throw error
    } finally {
      this.#walk.end()
    }
    yield line({ $end: this.#end() })
  }

  /** Without the beginning of a line that could not be finished. */
  #takeLines(): Buffer {
    this.#output.position = this.#wholeLinesEnd
    this.#wholeLinesEnd = 0
    return this.#output.take()
  }

  #fetch(wanted: readonly PartitionExport[]): Promise<readonly FetchedPartition[]> {
    const topic = this.#topic
    this.#parts.telemetry.fetchRequests++
    return this.#parts.engine.fetch(
      wanted.map(({ partition, nextOffset: offset }) => ({ topic, partition, offset })),
      {
        minBytes: 0,
        maxBytes: EXPORT_FETCH_BYTES,
        partitionMaxBytes: Math.max(64 * 1024, Math.ceil(EXPORT_FETCH_BYTES / wanted.length)),
        maxWaitMs: 0,
        isolation: 'read_committed',
        signal: this.#signal,
      },
    )
  }

  /** A chunk whenever one is full; the rest stays for the next. */
  async *#write(state: PartitionExport, part: FetchedPartition): AsyncGenerator<Buffer> {
    const { error, logStartOffset } = part
    if (error?.code === 'offset_out_of_range' && logStartOffset > state.nextOffset) {
      this.#passGap(state, Math.min(logStartOffset, state.endOffset))
      return
    }
    if (error !== undefined) {
      throw unreadable(this.#topic, { partition: state.partition, offset: state.nextOffset }, error)
    }
    this.#walk.begin(part, state.nextOffset)
    do {
      while (this.#writeLines(state)) yield this.#takeLines()
    } while (await this.#walk.inflate())
  }

  /** As far as the walk goes, or until a chunk is full: true then. */
  #writeLines(state: PartitionExport): boolean {
    const walk = this.#walk
    const { record } = walk
    let batchLastOffset = -1
    let recordBytes = 0
    let recordCount = 0
    let isFull = false
    while (!isFull && state.nextOffset < state.endOffset && walk.next()) {
      if (record.offset >= state.endOffset) break
      if (walk.batchLastOffset !== batchLastOffset) {
        batchLastOffset = walk.batchLastOffset
        this.#lines.begin(this.#topic.name, state.partition, record.timestampType)
      }
      this.#lines.write(record)
      this.#output.writeByte(LINE_FEED)
      this.#wholeLinesEnd = this.#output.position
      state.nextOffset = walk.nextOffset
      recordBytes += record.recordEnd - record.recordStart
      recordCount++
      isFull = this.#output.position >= CHUNK_BYTES_MIN
    }
    state.nextOffset = Math.min(walk.nextOffset, state.endOffset)
    this.#recordCount += recordCount
    this.#parts.telemetry.recordsOut += recordCount
    this.#parts.telemetry.bytesOut += recordBytes
    return isFull
  }

  #passGap(state: PartitionExport, to: number): void {
    const { partition, nextOffset: from } = state
    this.#gaps.push({ topic: this.#topic.name, partition, from, to, reason: 'removed' })
    state.nextOffset = to
  }

  #end() {
    const gaps = this.#gaps.length === 0 ? {} : { gaps: this.#gaps }
    return { cursor: this.#cursor(), records: this.#recordCount, ...gaps }
  }

  /** null over more partitions than a cursor can name: an export needs none to be whole. */
  #cursor(): string | null {
    const offsets = this.#partitions.map(({ partition, nextOffset: offset }) => ({ partition, offset }))
    try {
      return renderCursor(this.#topic, { offsets, whole: this.#whole }, 0)
    } catch (error) {
      if (error instanceof TailraceError && error.code === 'invalid_request') return null
      throw error
    }
  }
}

const LINE_FEED = 0x0a

function isUnfinished({ nextOffset, endOffset }: PartitionExport): boolean {
  return nextOffset < endOffset
}

function rotated<Item>(items: readonly Item[]): Item[] {
  return [...items.slice(1), ...items.slice(0, 1)]
}

function line(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}
