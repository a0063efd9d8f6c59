// How what is known of a segment follows from the batches that come to its end, one by one, whoever brings them: the
// appender, a start that scans, the cleaner. No I/O.

import type { IndexEntry } from './log-index.ts'
import type { Segment } from './log-segment.ts'

/** Of a batch, what matters here; a BatchHeader has it. */
export interface AddedBatch {
  readonly baseOffset: number
  readonly lastOffsetDelta: number
  readonly maxTimestamp: number
  readonly sizeBytes: number
}

export class SegmentGrowth {
  #bytesSinceEntry = 0

  /** Another segment is the one that grows. */
  begin(): void {
    this.#bytesSinceEntry = 0
  }

  /** Grows the segment by a batch; answers the index entry for it, where one is due every so many bytes. */
  add(segment: Segment, batch: AddedBatch, indexIntervalBytes: number): IndexEntry | undefined {
    const { baseOffset, lastOffsetDelta, maxTimestamp, sizeBytes } = batch
    let entry: IndexEntry | undefined
    if (this.#bytesSinceEntry >= indexIntervalBytes) {
      entry = { offset: baseOffset, position: segment.sizeBytes, priorMaxTimestamp: segment.maxTimestamp }
      this.#bytesSinceEntry = 0
    }
    if (segment.sizeBytes === 0) segment.firstTimestamp = maxTimestamp
    segment.sizeBytes += sizeBytes
    segment.maxTimestamp = Math.max(segment.maxTimestamp, maxTimestamp)
    segment.endOffset = baseOffset + lastOffsetDelta + 1
    this.#bytesSinceEntry += sizeBytes
    return entry
  }
}
