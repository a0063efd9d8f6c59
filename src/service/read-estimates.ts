// How many bytes of a log a number of records takes, topic by topic, as seen in earlier reads: so that a page of few small
// records does not read a mebibyte from disk. A guess only: a read that got too little fetches again.

import { READ_ESTIMATES_MAX } from '../kernel/limits.ts'

export interface ReadEstimate {
  bytesPerRecord: number
  batchBytes: number
}

/** Before anything was read. Too much costs some reading, too little costs a second fetch. */
const UNKNOWN: ReadEstimate = { bytesPerRecord: 512, batchBytes: 16 * 1024 }

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
    })
  }

  #forgetLongestUnused(): void {
    for (const topicId of this.#byTopicId.keys()) {
      this.#byTopicId.delete(topicId)
      return
    }
  }
}
