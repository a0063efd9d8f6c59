// A5: the way from an append to its partition's log where batches are stored in another codec than they came in. They are
// compressed in threads, several at once; still the appends of one partition reach its log in the order of the calls,
// those too that need no compression. What waits here counts as waiting to be written. A partition with nothing under way
// has no line.

import type { Acks, BatchAppended } from '../engine/engine.ts'
import { TailraceError } from '../kernel/errors.ts'
import { APPEND_QUEUE_BYTES_MAX, COMPRESSED_ON_LOOP_BYTES_MAX, COMPRESSIONS_AT_ONCE_MAX } from '../kernel/limits.ts'
import { Slots } from '../kernel/slots.ts'
import type { BatchCodec } from '../record/compression.ts'
import { compressBatch, isInCodec, recompressInThread } from '../record/recompress.ts'
import type { SealedBatch } from '../record/record-batch.ts'
import { compressionTypeOf } from '../record/record-batch.ts'

type Appended = Promise<readonly BatchAppended[]>

/** A partition's log, as far as its line knows it. */
interface LinedLog {
  readonly queueBytes: number
}

export interface LinedAppend {
  readonly batches: readonly SealedBatch[]
  /** undefined: as they came. */
  readonly codec: BatchCodec | undefined
  /** An uncompressed batch that only its compression makes larger than this goes on as it came. */
  readonly maxMessageBytes: number
  readonly acks: Acks
  /** Called once all earlier appends of the line were handed on, and not at all if a batch cannot be compressed. */
  handOn(batches: readonly SealedBatch[]): Appended
}

interface Line {
  /** Fulfilled when the latest append was handed on or has failed. */
  last: Promise<unknown>
  waitingBytes: number
  waitingCount: number
}

export class AppendLines {
  /** By the partition's log. */
  readonly #lines = new Map<LinedLog, Line>()
  readonly #threads = new Slots(COMPRESSIONS_AT_ONCE_MAX)

  /** Whether an append that needs no compression must wait here too. */
  has(log: LinedLog): boolean {
    return this.#lines.has(log)
  }

  /** What the log answers. overloaded and what recompressInThread refuses: nothing of the append is stored. */
  async append(log: LinedLog, append: LinedAppend): Appended {
    const line = this.#lines.get(log)
    const sizeBytes = append.batches.reduce((sum, { bytes }) => sum + bytes.length, 0)
    const waitingBytes = (line?.waitingBytes ?? 0) + log.queueBytes
    if (waitingBytes > 0 && waitingBytes + sizeBytes > APPEND_QUEUE_BYTES_MAX) throw overloaded(waitingBytes)
    const isQuick = append.batches.every((batch) => isSmallStep(batch, append.codec))
    if (line === undefined && isQuick) return append.handOn(append.batches.map((batch) => inCodec(batch, append)))
    const stored = Promise.all(append.batches.map((batch) => this.#inCodec(batch, append)))
    const answered = this.#wait(log, sizeBytes, stored, append)
    if (append.acks !== 'none') return answered
    answered.catch(() => {})
    return []
  }

  async #wait(log: LinedLog, sizeBytes: number, stored: Promise<SealedBatch[]>, { handOn }: LinedAppend): Appended {
    const line = this.#enter(log, sizeBytes)
    // in an object, for the next in line waits until this append is handed on, not until it is stored
    const handedOn = Promise.allSettled([line.last, stored])
      .then(() => stored)
      .then((batches) => ({ answer: handOn(batches) }))
    line.last = handedOn.catch(() => {})
    try {
      await handedOn
    } finally {
      this.#leave(log, line, sizeBytes)
    }
    return (await handedOn).answer
  }

  #enter(log: LinedLog, sizeBytes: number): Line {
    const line = this.#lines.get(log) ?? { last: Promise.resolve(), waitingBytes: 0, waitingCount: 0 }
    this.#lines.set(log, line)
    line.waitingBytes += sizeBytes
    line.waitingCount++
    return line
  }

  #leave(log: LinedLog, line: Line, sizeBytes: number): void {
    line.waitingBytes -= sizeBytes
    line.waitingCount--
    if (line.waitingCount === 0) this.#lines.delete(log)
  }

  async #inCodec(batch: SealedBatch, append: LinedAppend): Promise<SealedBatch> {
    const { codec } = append
    if (codec === undefined || isSmallStep(batch, codec)) return inCodec(batch, append)
    return fitting(await this.#threads.run(() => recompressInThread(batch, codec)), batch, append)
  }

  /** Resolves when all that waits now was handed on. */
  async idle(): Promise<void> {
    await Promise.all([...this.#lines.values()].map(({ last }) => last))
  }
}

/** Whether it is done sooner here than in a thread: nothing is to be done, or little. */
function isSmallStep(batch: SealedBatch, codec: BatchCodec | undefined): boolean {
  if (codec === undefined || isInCodec(batch, codec)) return true
  return batch.bytes.length <= COMPRESSED_ON_LOOP_BYTES_MAX && isPlain(batch)
}

function inCodec(batch: SealedBatch, append: LinedAppend): SealedBatch {
  const { codec } = append
  return codec === undefined || isInCodec(batch, codec) ? batch : fitting(compressBatch(batch, codec), batch, append)
}

/** Bytes that do not compress grow a little: what fits as it came is not refused for that. */
function fitting(stored: SealedBatch, batch: SealedBatch, { maxMessageBytes }: LinedAppend): SealedBatch {
  const hasOutgrown = stored.bytes.length > maxMessageBytes && batch.bytes.length <= maxMessageBytes
  return hasOutgrown && isPlain(batch) ? batch : stored
}

function isPlain({ header }: SealedBatch): boolean {
  return compressionTypeOf(header.attributes) === 'none'
}

function overloaded(waitingBytes: number): TailraceError {
  return new TailraceError('overloaded', `${waitingBytes} bytes already wait to be compressed or written`, {
    limit_bytes: APPEND_QUEUE_BYTES_MAX,
  })
}
