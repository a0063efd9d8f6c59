// What can be asked of partitions without reading records: how far they go, what they take, which offset a time has, what
// they remember of a producer.

import type { OffsetFound, OffsetQuery, PartitionDescription, ProducerPartitionState, Topic } from '../engine/engine.ts'
import type { Clock } from '../kernel/clock.ts'
import { bytesOlderThan } from '../log/log-segment.ts'
import type { TopicLogs } from './topic-logs.ts'

export interface PartitionQueriesOptions {
  readonly logs: TopicLogs
  readonly clock: Clock
  /** This server, the only one that has them. */
  readonly nodeId: number
  readonly leaderEpoch: number
}

export class PartitionQueries {
  readonly #options: PartitionQueriesOptions

  constructor(options: PartitionQueriesOptions) {
    this.#options = options
  }

  async describe(topic: Topic): Promise<readonly PartitionDescription[]> {
    const { clock, nodeId } = this.#options
    const logs = await this.#options.logs.openAll(topic)
    const nodes = [nodeId]
    const { cleanupPolicy, retentionMs } = topic.config
    const keptFromMs = cleanupPolicy.delete ? clock.now() - retentionMs : Number.NEGATIVE_INFINITY
    return logs.map((log, partition) => {
      const { logStartOffset, highWatermark } = log.bounds
      return {
        partition,
        startOffset: logStartOffset,
        endOffset: highWatermark,
        sizeBytes: log.sizeBytes,
        expiredBytes: bytesOlderThan(log.segments, keptFromMs),
        leader: log.offline === undefined ? nodeId : -1,
        replicas: nodes,
        isr: log.offline === undefined ? nodes : [],
        offline: log.offline,
        corrupt: log.corrupt,
      }
    })
  }

  async listOffsets(queries: readonly OffsetQuery[]): Promise<readonly OffsetFound[]> {
    const found: OffsetFound[] = []
    for (const query of queries) found.push(await this.#listOffset(query))
    return found
  }

  async #listOffset({ topic, partition, at }: OffsetQuery): Promise<OffsetFound> {
    const { logs, leaderEpoch } = this.#options
    const log = logs.get(topic, partition)
    if (!log.isOpen) await log.open()
    if (log.offline !== undefined) throw log.offline
    if (at === 'earliest') return { partition, offset: log.bounds.logStartOffset, timestamp: -1, leaderEpoch }
    if (at === 'latest') return { partition, offset: log.bounds.highWatermark, timestamp: -1, leaderEpoch }
    const record = await (at === 'max_timestamp' ? log.findMaxTimestamp() : log.findByTimestamp(at.timestamp))
    return { partition, offset: record?.offset ?? -1, timestamp: record?.timestamp ?? -1, leaderEpoch }
  }

  async producerState(topic: Topic, producerId: bigint): Promise<readonly ProducerPartitionState[]> {
    const states: ProducerPartitionState[] = []
    for (const [partition, log] of (await this.#options.logs.openAll(topic)).entries()) {
      const entry = log.producer(producerId)
      if (entry !== undefined) states.push({ partition, epoch: entry.epoch, batches: entry.batches })
    }
    return states
  }
}
