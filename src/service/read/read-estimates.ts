// How many bytes of a log a number of records takes, topic by topic, as seen in earlier reads: so that a page of few small
// records does not read a mebibyte from disk. A guess only: a read that got too little fetches again.

import { READ_ESTIMATES_MAX } from '../../kernel/limits.ts'

export interface ReadEstimate {
  bytesPerRecord: number
  batchBytes: number
  /** What readers that bound that have made of a record; 0: none has. */
  writtenPerRecord: number
}

/** Before anything was read. Too much costs some reading, too little costs a second fetch. */
const UNKNOWN: ReadEstimate = { bytesPerRecord: 512, batchBytes: 16 * 1024, writtenPerRecord: 0 }

export class ReadEstimates {
  // In the order of use: the first is the longest unused.
  readonly #byTopicId = new Map<string, ReadEstimate>()

  of(topicId: string): ReadEstimate {
    return this.#byTopicId.get(topicId) ?? UNKNOWN
  }

  /** The latest fetch counts half, so that a change in the records is followed within a few pages. */
  observe(topicId: string, seen: { batchBytes: number; batchCount: number; recordCount: number }): void {
    if (seen.recordCount === 0) return
    const bytesPerRecord = seen.batchBytes / seen.recordCount
    const batchBytes = seen.batchBytes / seen.batchCount
    const known = this.#byTopicId.get(topicId)
    this.#byTopicId.delete(topicId)
    if (this.#byTopicId.size >= READ_ESTIMATES_MAX) this.#forgetLongestUnused()
    this.#byTopicId.set(topicId, {
      bytesPerRecord: known === undefined ? bytesPerRecord : (known.bytesPerRecord + bytesPerRecord) / 2,
      batchBytes: known === undefined ? batchBytes : (known.batchBytes + batchBytes) / 2,
      writtenPerRecord: known?.writtenPerRecord ?? 0,
    })
  }

  observeWritten(topicId: string, bytes: number, recordCount: number): void {
    const known = this.#byTopicId.get(topicId)
    if (known === undefined || recordCount === 0) return
    const { writtenPerRecord: before } = known
    const perRecord = bytes / recordCount
    known.writtenPerRecord = before === 0 ? perRecord : (before + perRecord) / 2
  }

  #forgetLongestUnused(): void {
    for (const topicId of this.#byTopicId.keys()) {
      this.#byTopicId.delete(topicId)
      return
    }
  }
}
