// The last records of topics, gathered before they are shown in the order of their times, as far as each partition's own order
// lets them.

import type { RawRecord } from '../client/record-page.ts'
import { CLI_BACKLOG_BYTES_MAX } from '../kernel/limits.ts'

interface PartitionQueue {
  readonly times: number[]
  readonly records: RawRecord[]
  next: number
}

export class Backlog {
  readonly #partitions = new Map<string, PartitionQueue>()
  #recordCount = 0
  #byteCount = 0

  add(records: readonly RawRecord[]): void {
    for (const record of records) {
      const queue = this.#queueOf(`${record.topic}/${record.partition}`)
      queue.records.push(record)
      queue.times.push(Date.parse(record.text('timestamp') ?? '') || 0)
      this.#recordCount++
      this.#byteCount += record.json.length
    }
  }

  get isFull(): boolean {
    return this.#byteCount >= CLI_BACKLOG_BYTES_MAX
  }

  /** Partitions merged by the times of their next records. */
  take(): RawRecord[] {
    const merged: RawRecord[] = []
    while (merged.length < this.#recordCount) {
      let first: PartitionQueue | undefined
      for (const queue of this.#partitions.values()) {
        if (queue.next === queue.records.length) continue
        if (first === undefined || (queue.times[queue.next] ?? 0) < (first.times[first.next] ?? 0)) first = queue
      }
      if (first === undefined) break
      merged.push(first.records[first.next++] as RawRecord)
    }
    return merged
  }

  #queueOf(partition: string): PartitionQueue {
    const queue = this.#partitions.get(partition) ?? { times: [], records: [], next: 0 }
    this.#partitions.set(partition, queue)
    return queue
  }
}
