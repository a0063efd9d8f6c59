// Walks the records that one fetch brought for one partition. Path F5. Shows what a reader may see and nothing else: no
// control batch, nothing of an aborted transaction, nothing before the offset asked for. A batch that does not check out
// is an error that names topic, partition and offset; it is never skipped. Allocates nothing for a record. A batch that
// inflates to much holds the walk up until that is done in a thread:
//
//   do while (walk.next()) … while (await walk.inflate())
//
// What it has inflated takes of the room that all walks share, until it comes to the next such batch or end() is called.

import type { FetchedPartition, Topic } from '../../engine/engine.ts'
import type { HeldBytes } from '../../kernel/byte-room.ts'
import { ByteRoom } from '../../kernel/byte-room.ts'
import type { Clock } from '../../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import {
  BATCH_INFLATED_BYTES_MAX,
  INFLATED_BYTES_HELD_MAX,
  INFLATED_ON_LOOP_BYTES_MAX,
  INFLATION_WAIT_MS_MAX,
  INFLATIONS_WAITING_MAX,
} from '../../kernel/limits.ts'
import { releaseMemoryOf } from '../../kernel/release-bytes.ts'
import { inflateInThread, RecordReader } from '../../record/batch-reader.ts'
import {
  BATCH_HEADER_BYTES,
  batchLastOffsetAt,
  batchSizeAt,
  isTransactional,
  parseBatchHeader,
} from '../../record/record-batch.ts'
import type { PartitionOffset } from './partition-offset.ts'

interface InflatedBatch {
  readonly fetched: FetchedPartition
  readonly position: number
  readonly records: Buffer
  readonly held: HeldBytes
}

/** The room that walks of one kind share. */
export function roomForInflated(clock: Clock): ByteRoom {
  return new ByteRoom({
    clock,
    name: 'inflated batches',
    bytesMax: INFLATED_BYTES_HELD_MAX,
    waitMsMax: INFLATION_WAIT_MS_MAX,
    waitingMax: INFLATIONS_WAITING_MAX,
  })
}

export class RecordWalk {
  /** Stands on the present record. The engine has verified the checksums of what it fetched. */
  readonly record = new RecordReader({ checkCrc: false, inflatedBytesMax: INFLATED_ON_LOOP_BYTES_MAX })
  /** Where reading goes on when the walk is left here: after the present record, or after the last batch. */
  nextOffset = 0
  /** The present batch's last offset. */
  batchLastOffset = -1
  /** Batches opened since begin(), and what they hold: what a fetch for a number of records should bring. */
  batchCount = 0
  batchBytes = 0
  batchRecordCount = 0

  #fetched: FetchedPartition | undefined
  #position = 0
  #fromOffset = 0
  #highWatermark = 0
  #isOpen = false
  readonly #room: ByteRoom
  #isHeldUp = false
  #inflated: InflatedBatch | undefined
  #aborted: AbortedTransactions | undefined

  constructor(room: ByteRoom) {
    this.#room = room
  }

  /** The records of `fetched` at and after an offset come next. */
  begin(fetched: FetchedPartition, fromOffset: number): void {
    this.#fetched = fetched
    this.#position = 0
    this.#fromOffset = fromOffset
    this.#highWatermark = fetched.highWatermark
    this.#isOpen = false
    this.#isHeldUp = false
    if (this.#inflated?.fetched !== fetched) this.#letGo()
    this.#aborted =
      fetched.abortedTransactions.length === 0 ? undefined : new AbortedTransactions(fetched.abortedTransactions)
    this.nextOffset = fromOffset
    this.batchLastOffset = -1
    this.batchCount = 0
    this.batchBytes = 0
    this.batchRecordCount = 0
  }

  /** Goes to the next record; false when the fetched bytes have no more, or a batch holds the walk up. Throws corrupt_message. */
  next(): boolean {
    const { record } = this
    try {
      for (;;) {
        if (!this.#isOpen && !this.#openBatch()) return false
        while (record.next()) {
          const { offset } = record
          if (offset < this.#fromOffset) continue
          this.nextOffset = offset + 1
          return true
        }
        this.#closeBatch()
      }
    } catch (error) {
      throw this.#corrupt(error)
    }
  }

  /**
   * Inflates the batch that holds the walk up, so that it can go on; false when none does. Throws corrupt_message, and
   * overloaded when there was no room for it in time.
   */
  async inflate(): Promise<boolean> {
    if (!this.#isHeldUp) return false
    const fetched = this.#fetched as FetchedPartition
    const position = this.#position
    // before it waits for more: else walks could wait for each other
    this.#letGo()
    const held = await this.#room.enter(BATCH_INFLATED_BYTES_MAX)
    try {
      const records = await inflateInThread(fetched.bytes, position)
      held.shrink(records.length)
      this.#inflated = { fetched, position, records, held }
      this.#isHeldUp = false
      return true
    } catch (error) {
      held.leave()
      throw this.#corrupt(error)
    }
  }

  #letGo(): void {
    this.#inflated?.held.leave()
    this.#inflated = undefined
  }

  /** Lets go of all bytes; begin() may come again. Not to be called while it inflates. */
  end(): void {
    this.#letGo()
    this.#fetched = undefined
    this.#isHeldUp = false
    this.record.close()
  }

  #openBatch(): boolean {
    const { bytes } = this.#fetched as FetchedPartition
    const { record } = this
    if (this.batchCount === 0) this.#skipBatches(bytes)
    while (this.#position < bytes.length) {
      const position = this.#position
      if (!this.#openRecords(bytes, position)) return false
      this.batchLastOffset = record.lastOffset
      this.#checkOffsets()
      this.#position = record.batchEnd
      this.batchCount++
      this.batchBytes += record.batchEnd - position
      this.batchRecordCount += record.recordCount
      if (!this.#isHidden(bytes, position)) {
        this.#isOpen = true
        return true
      }
      this.#closeBatch()
    }
    return false
  }

  /** False, when the batch inflates to more than may be inflated here. */
  #openRecords(bytes: Buffer, position: number): boolean {
    const known = this.#inflated?.position === position ? this.#inflated.records : undefined
    try {
      this.record.open(bytes, position, known)
      return true
    } catch (error) {
      if (asTailraceError(error).code !== 'message_too_large') throw error
      this.#isHeldUp = true
      return false
    }
  }

  /** A fetch may begin with batches that end before the offset asked for. */
  #skipBatches(bytes: Buffer): void {
    while (this.#position + BATCH_HEADER_BYTES <= bytes.length) {
      const end = this.#position + batchSizeAt(bytes, this.#position)
      const isWhole = end >= this.#position + BATCH_HEADER_BYTES && end <= bytes.length
      if (!isWhole || batchLastOffsetAt(bytes, this.#position) >= this.#fromOffset) return
      this.#position = end
    }
  }

  #closeBatch(): void {
    this.#isOpen = false
    // Compaction may have removed a batch's last records; their offsets are passed with it.
    this.nextOffset = this.batchLastOffset + 1
    this.#fromOffset = this.nextOffset
  }

  // The base offset is outside the checksum.
  #checkOffsets(): void {
    const { baseOffset } = this.record
    const isBehind = this.batchCount > 0 && baseOffset < this.#fromOffset
    if (!isBehind && this.batchLastOffset < this.#highWatermark) return
    const range = `${baseOffset} to ${this.batchLastOffset}`
    throw new TailraceError('corrupt_message', `a batch says that it holds the offsets ${range}, which cannot be here`)
  }

  #isHidden(bytes: Buffer, position: number): boolean {
    if (this.#aborted !== undefined) return this.#aborted.hides(bytes, position, this.record)
    return this.record.isControl
  }

  #corrupt(error: unknown): TailraceError {
    const { topic, partition } = this.#fetched as FetchedPartition
    const known = asTailraceError(error)
    // Bad compression and the like are no fault of the reader's request.
    const isBug = known.code === 'unknown_server_error'
    const fault = isBug ? known : new TailraceError('corrupt_message', known.message, {}, { cause: known })
    return unreadable(topic, { partition, offset: this.nextOffset }, fault)
  }
}

/** Gives the memory back at once: no walk, and nobody else, reads what was fetched any more. */
export function releaseFetched(fetched: readonly FetchedPartition[]): void {
  for (const { bytes } of fetched) releaseMemoryOf(bytes)
}

/** What keeps a partition from being read, with the place: an engine's or a batch's own error. */
export function unreadable(topic: Topic, { partition, offset }: PartitionOffset, error: TailraceError): TailraceError {
  return new TailraceError(
    error.code,
    `partition ${partition} of topic ${topic.name} cannot be read at offset ${offset}: ${error.message}`,
    // where the bad batch begins, its file and what comes behind it are the engine's to say
    { offset, ...error.details, topic: topic.name, partition },
    { cause: error },
  )
}

// A transaction's batches lie between its first offset and its marker, a control batch; one producer has one open
// transaction at a time. The engine says which producers' transactions, beginning where, came to nothing.
class AbortedTransactions {
  readonly #upcoming: { readonly producerId: bigint; readonly firstOffset: number }[]
  readonly #open = new Set<bigint>()

  constructor(transactions: FetchedPartition['abortedTransactions']) {
    this.#upcoming = transactions.toSorted((left, right) => right.firstOffset - left.firstOffset)
  }

  /** Called once for each batch in the order of offsets, with the reader before the batch's first record. */
  hides(bytes: Buffer, position: number, reader: RecordReader): boolean {
    const { producerId, attributes, baseOffset, lastOffsetDelta } = parseBatchHeader(bytes, position)
    for (let next = this.#upcoming.at(-1); next !== undefined; next = this.#upcoming.at(-1)) {
      if (next.firstOffset > baseOffset + lastOffsetDelta) break
      this.#open.add(next.producerId)
      this.#upcoming.pop()
    }
    if (reader.isControl) {
      if (isAbortMarker(reader)) this.#open.delete(producerId)
      return true
    }
    return isTransactional(attributes) && this.#open.has(producerId)
  }
}

/** ControlRecordKey => version:int16 type:int16, where type 0 is ABORT and 1 COMMIT. */
function isAbortMarker(reader: RecordReader): boolean {
  return reader.next() && reader.keyEnd - reader.keyStart >= 4 && reader.bytes.readInt16BE(reader.keyStart + 2) === 0
}
