// F1: one fetch over many partitions. Whoever finds nothing waits (delayed-fetch.ts), and when it is woken reads those
// partitions again that have changed since: a fetch may be for thousands, and an append is to one. What must hold: between
// the last look at a partition and the wait for it nothing else runs, so that no append is missed.

import type { FetchedPartition, FetchOptions, FetchPosition } from '../engine/engine.ts'
import type { Clock } from '../kernel/clock.ts'
import { asTailraceError } from '../kernel/errors.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import type { DelayedFetches } from './delayed-fetch.ts'
import type { TopicLogs } from './topic-logs.ts'

export interface PartitionFetcherOptions {
  readonly clock: Clock
  readonly waiting: DelayedFetches<PartitionLog>
  readonly leaderEpoch: number
  readonly logs: TopicLogs
  readonly isClosing: () => boolean
}

export class PartitionFetcher {
  readonly #options: PartitionFetcherOptions

  constructor(options: PartitionFetcherOptions) {
    this.#options = options
  }

  async fetch(positions: readonly FetchPosition[], options: FetchOptions): Promise<FetchedPartition[]> {
    const { clock, waiting, logs, isClosing } = this.#options
    const deadline = clock.monotonic() + options.maxWaitMs
    const minBytes = Math.max(1, options.minBytes)
    const fetched: FetchedPartition[] = []
    await this.#read(fetched, positions, positions.keys(), options)
    for (;;) {
      let bytes = 0
      let hasFailed = false
      for (const one of fetched) {
        bytes += one.bytes.length
        hasFailed ||= one.error !== undefined
      }
      const leftMs = deadline - clock.monotonic()
      if (bytes >= minBytes || hasFailed || leftMs <= 0 || options.signal?.aborted || isClosing()) return fetched
      if (!fetched.some((one) => this.#hasChanged(one))) {
        const wanted = fetched.map(({ topic, partition }) => logs.get(topic, partition))
        await waiting.wait(wanted, minBytes - bytes, leftMs, options.signal)
      }
      const changed = [...fetched.keys()].filter((at) => this.#hasChanged(fetched[at] as FetchedPartition))
      await this.#read(fetched, positions, changed, options)
    }
  }

  #hasChanged({ topic, partition, highWatermark, logStartOffset }: FetchedPartition): boolean {
    const { logs } = this.#options
    if (logs.whyGone(topic) !== undefined) return true
    const log = logs.get(topic, partition)
    const { bounds } = log
    if (bounds.highWatermark !== highWatermark || bounds.logStartOffset !== logStartOffset) return true
    return log.offline !== undefined
  }

  /** Reads some of the positions, in order; what was fetched of the others counts for the bytes that may be had. */
  async #read(
    fetched: FetchedPartition[],
    positions: readonly FetchPosition[],
    places: Iterable<number>,
    options: FetchOptions,
  ): Promise<void> {
    let left = options.maxBytes
    for (const one of fetched) left -= one.bytes.length
    for (const at of places) {
      left += fetched[at]?.bytes.length ?? 0
      const maxBytes = Math.min(left, options.partitionMaxBytes ?? left)
      const one = this.#readOne(positions[at] as FetchPosition, maxBytes, left === options.maxBytes)
      fetched[at] = one instanceof Promise ? await one : one
      left -= fetched[at].bytes.length
    }
  }

  /** At once where nothing has to be read: of a wide fetch that is nearly everywhere so. */
  #readOne(
    position: FetchPosition,
    maxBytes: number,
    atLeastOne: boolean,
  ): FetchedPartition | Promise<FetchedPartition> {
    const { topic, partition, offset } = position
    let log: PartitionLog
    try {
      log = this.#options.logs.get(topic, partition)
    } catch (error) {
      return this.#answer(position, NO_BOUNDS, NOTHING, error)
    }
    if (!log.isOpen) return this.#readBytes(position, log, maxBytes, atLeastOne)
    if (log.offline !== undefined) return this.#answer(position, log.bounds, NOTHING, log.offline)
    const isWanted = offset !== log.bounds.highWatermark && (maxBytes > 0 || atLeastOne)
    return isWanted ? this.#readBytes(position, log, maxBytes, atLeastOne) : this.#answer(position, log.bounds, NOTHING)
  }

  async #readBytes(
    position: FetchPosition,
    log: PartitionLog,
    maxBytes: number,
    atLeastOne: boolean,
  ): Promise<FetchedPartition> {
    const { offset } = position
    let bounds = NO_BOUNDS
    try {
      if (!log.isOpen) await log.open()
      bounds = log.bounds
      if (log.offline !== undefined) throw log.offline
      const isWanted = offset !== bounds.highWatermark && (maxBytes > 0 || atLeastOne)
      const bytes = isWanted ? await log.read(offset, Math.max(1, maxBytes), atLeastOne) : NOTHING
      return this.#answer(position, bounds, bytes)
    } catch (error) {
      return this.#answer(position, bounds, NOTHING, error)
    }
  }

  #answer(
    { topic, partition }: FetchPosition,
    { logStartOffset, highWatermark }: PartitionLog['bounds'],
    bytes: Buffer,
    cause?: unknown,
  ): FetchedPartition {
    // whatever a deletion did to the read: it is gone
    const error = cause === undefined ? undefined : (this.#options.logs.whyGone(topic) ?? asTailraceError(cause))
    return {
      topic,
      partition,
      error,
      bytes,
      logStartOffset,
      highWatermark,
      lastStableOffset: highWatermark,
      leaderEpoch: this.#options.leaderEpoch,
      abortedTransactions: NO_TRANSACTIONS,
    }
  }
}

const NOTHING = Buffer.alloc(0)
const NO_BOUNDS: PartitionLog['bounds'] = { logStartOffset: -1, highWatermark: -1 }
const NO_TRANSACTIONS: readonly never[] = []
