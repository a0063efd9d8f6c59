// The file that the cleaner makes of a group of segments: batches go to its end in large writes, and what is known of the
// segment and the index entries come about as when the log itself writes. Nothing reads it before it has taken the place
// of the segments that it was made of; it is durable when finish() has resolved.

import { dirname } from 'node:path'
import { CLEANED_INDEX_ENTRIES_MAX } from '../kernel/limits.ts'
import { batchBaseOffsetAt, batchLastOffsetDeltaAt, batchMaxTimestampAt } from '../record/record-batch.ts'
import type { IndexEntry } from './log-index.ts'
import type { Segment } from './log-segment.ts'
import { emptySegment } from './log-segment.ts'
import type { SegmentDisk, SegmentFile } from './segment-file.ts'
import type { AddedBatch } from './segment-growth.ts'
import { SegmentGrowth } from './segment-growth.ts'

const WRITE_BYTES = 1024 * 1024

export class CleanedSegment {
  readonly path: string
  readonly segment: Segment
  readonly entries: IndexEntry[] = []

  readonly #disk: SegmentDisk
  readonly #file: SegmentFile
  readonly #indexIntervalBytes: number
  readonly #held = Buffer.allocUnsafeSlow(WRITE_BYTES)
  #heldBytes = 0
  readonly #growth = new SegmentGrowth()

  private constructor(disk: SegmentDisk, path: string, file: SegmentFile, options: CleanedSegmentOptions) {
    this.path = path
    this.segment = emptySegment(options.baseOffset)
    this.#disk = disk
    this.#file = file
    this.#indexIntervalBytes = Math.max(options.indexIntervalBytes, options.sourceBytes / CLEANED_INDEX_ENTRIES_MAX)
  }

  /** What an interrupted pass has left under the name is overwritten. */
  static async create(disk: SegmentDisk, path: string, options: CleanedSegmentOptions): Promise<CleanedSegment> {
    const file = await disk.open(path, true)
    try {
      await file.truncate(0)
    } catch (error) {
      await file.close()
      throw error
    }
    return new CleanedSegment(disk, path, file, options)
  }

  /** Takes one batch, bytes [start, end), copied or written when this resolves; undefined: it was only copied. */
  append(bytes: Buffer, start: number, end: number): Promise<void> | undefined {
    const entry = this.#growth.add(this.segment, addedBatch(bytes, start, end - start), this.#indexIntervalBytes)
    if (entry !== undefined) this.entries.push(entry)
    if (this.#heldBytes + end - start > WRITE_BYTES) return this.#writeThrough(bytes, start, end)
    this.#heldBytes += bytes.copy(this.#held, this.#heldBytes, start, end)
    return undefined
  }

  async #writeThrough(bytes: Buffer, start: number, end: number): Promise<void> {
    const position = this.segment.sizeBytes - (end - start)
    const held = this.#takeHeld()
    if (end - start <= WRITE_BYTES / 2) {
      await this.#write(held, position - held.length)
      this.#heldBytes = bytes.copy(this.#held, 0, start, end)
    } else {
      await this.#file.write([held, bytes.subarray(start, end)], position - held.length)
    }
  }

  #takeHeld(): Buffer {
    const held = this.#held.subarray(0, this.#heldBytes)
    this.#heldBytes = 0
    return held
  }

  async #write(held: Buffer, position: number): Promise<void> {
    if (held.length > 0) await this.#file.write([held], position)
  }

  async finish(): Promise<void> {
    const held = this.#takeHeld()
    await this.#write(held, this.segment.sizeBytes - held.length)
    await this.#file.sync()
    await this.#file.close()
    await this.#disk.syncDirectory(dirname(this.path))
  }

  /** Takes the file away again. Called instead of finish(), or when it failed. */
  async discard(): Promise<void> {
    await this.#file.close()
    await this.#disk.remove(this.path)
  }
}

interface CleanedSegmentOptions {
  readonly baseOffset: number
  readonly indexIntervalBytes: number
  /** Of the segments that it is made of. */
  readonly sourceBytes: number
}

function addedBatch(bytes: Buffer, at: number, sizeBytes: number): AddedBatch {
  return {
    baseOffset: batchBaseOffsetAt(bytes, at),
    lastOffsetDelta: batchLastOffsetDeltaAt(bytes, at),
    maxTimestamp: batchMaxTimestampAt(bytes, at),
    sizeBytes,
  }
}
