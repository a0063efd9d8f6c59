// Topics created, grown, altered and deleted, and records deleted from a partition's beginning: one change after the other,
// whatever topic it is of. A change is checked, recorded (topic-catalog.ts, durable then), and told in the server's
// log lines. Deleting is done when it is recorded; the files go afterwards.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { GroupCoordinator } from '../coordinator/group-coordinator.ts'
import type { Topic, TopicSpec } from '../engine/engine.ts'
import type { TopicConfigDefaults } from '../engine/topic-config.ts'
import { parseTopicConfig } from '../engine/topic-config.ts'
import { checkTopicName } from '../engine/topic-name.ts'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { PARTITIONS_MAX, TOPIC_PARTITIONS_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import { SerialQueue } from '../kernel/serial-queue.ts'
import type { LogManager } from '../log/log-manager.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import type { SegmentDisk } from '../log/segment-file.ts'
import type { DelayedFetches } from './delayed-fetch.ts'
import type { DiskReserve } from './disk-reserve.ts'
import type { InFlightProducers } from './in-flight-producers.ts'
import type { LastSequences, TopicCatalog } from './topic-catalog.ts'
import type { TopicLogs } from './topic-logs.ts'
import { identify, PARTITIONS_PER_TURN } from './topic-logs.ts'

export interface TopicChangesOptions {
  readonly catalog: TopicCatalog
  readonly logs: LogManager
  readonly topicLogs: TopicLogs
  readonly waiting: DelayedFetches<PartitionLog>
  readonly inFlight: InFlightProducers
  readonly groups: Pick<GroupCoordinator, 'topicDeleted'>
  readonly reserve: DiskReserve
  readonly disk: SegmentDisk
  readonly clock: Clock
  readonly logger: Logger
  readonly topicDefaults: TopicConfigDefaults
  /** Of a topic that names no number. */
  readonly numPartitions: number
}

export class TopicChanges {
  readonly #options: TopicChangesOptions
  readonly #catalog: TopicCatalog
  readonly #queue = new SerialQueue()
  readonly #sweeping = new Set<Promise<void>>()
  readonly #listeners = new Set<() => void>()

  constructor(options: TopicChangesOptions) {
    this.#options = options
    this.#catalog = options.catalog
  }

  /** After topics were created, grown or deleted. Returns the function that ends it. */
  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }

  create(spec: TopicSpec): Promise<Topic> {
    return this.#queue.run(async () => {
      checkTopicName(spec.name)
      const partitionCount = spec.partitionCount ?? this.#options.numPartitions
      this.#checkPartitionCount(partitionCount, partitionCount)
      const factor = spec.replicationFactor ?? -1
      if (factor !== 1 && factor !== -1) throw badReplicationFactor(factor)
      parseTopicConfig(spec.configs ?? {}, this.#options.topicDefaults)
      if (this.#catalog.find(spec.name) !== undefined) {
        throw new TailraceError('topic_already_exists', `Topic '${spec.name}' already exists.`, { topic: spec.name })
      }
      const { name, configs = {} } = spec
      const topic = await this.#catalog.create(name, partitionCount, configs, this.#options.clock.now())
      const partitions = partitionCount === 1 ? '1 partition' : `${partitionCount} partitions`
      this.#changed()
      this.#tell(topic, `was created: ${[partitions, ...settingsOf(configs)].join(', ')}`)
      return topic
    })
  }

  grow(name: string, partitionCount: number): Promise<Topic> {
    return this.#queue.run(async () => {
      const topic = this.#get(name)
      this.#checkPartitionCount(partitionCount, partitionCount - topic.partitionCount)
      if (partitionCount <= topic.partitionCount) throw badGrowth(topic, partitionCount)
      const { inFlight, topicLogs } = this.#options
      // where named producers' requests were placed depends on the count: they finish first, new ones are sent back
      return inFlight.whileNone(topic.id, async () => {
        const last = lastSequences(await topicLogs.openAll(topic))
        const grown = await this.#catalog.grow(topic, partitionCount, last)
        this.#changed()
        this.#tell(topic, `was altered: ${partitionCount} partitions, ${topic.partitionCount} before`)
        return grown
      })
    })
  }

  /** With null a setting goes back to its default. */
  alter(name: string, changes: Readonly<Record<string, string | null>>): Promise<Topic> {
    return this.#queue.run(async () => {
      const topic = await this.#options.reserve.withRoom(() => this.#catalog.alter(this.#get(name), changes))
      this.#tell(topic, `was altered: ${settingsOf(changes).join(', ')}`)
      return topic
    })
  }

  delete(name: string): Promise<void> {
    return this.#queue.run(async () => {
      const topic = this.#get(name)
      await this.#options.reserve.withRoom(() => this.#catalog.delete(topic))
      this.#options.groups.topicDeleted(topic.id)
      this.#changed()
      this.#tell(topic, 'was deleted')
      const folders = await this.#retire(topic)
      if (folders === undefined) return
      const sweep: Promise<void> = this.#sweep(topic.id, folders).finally(() => this.#sweeping.delete(sweep))
      this.#sweeping.add(sweep)
    })
  }

  deleteRecords(topic: Topic, partition: number, beforeOffset: number): Promise<{ readonly logStartOffset: number }> {
    return this.#queue.run(async () => {
      const log = this.#options.topicLogs.get(topic, partition)
      checkDeletable(this.#catalog.findById(topic.id) ?? topic)
      await log.open()
      if (log.offline !== undefined) throw log.offline
      const { logStartOffset, highWatermark } = log.bounds
      const target = beforeOffset === -1 ? highWatermark : beforeOffset
      if (!Number.isSafeInteger(target) || target < 0 || target > highWatermark) {
        throw new TailraceError(
          'offset_out_of_range',
          `records before ${beforeOffset} cannot be deleted: partition ${partition} holds ${logStartOffset} to ${highWatermark}`,
          { offset: beforeOffset, start_offset: logStartOffset, end_offset: highWatermark },
        )
      }
      if (target > logStartOffset) {
        await this.#options.reserve.withRoom(() => this.#catalog.setLogStartOffset(topic, partition, target))
        log.raiseLogStartOffset(target)
      }
      return { logStartOffset: log.bounds.logStartOffset }
    })
  }

  /** Resolves when every change that was asked for so far is done. */
  idle(): Promise<void> {
    return this.#queue.idle()
  }

  /** Resolves when the files of every topic that was deleted so far are gone, or left to the next start. */
  async swept(): Promise<void> {
    await Promise.all(this.#sweeping)
  }

  #get(name: string): Topic {
    const topic = this.#catalog.find(name)
    if (topic === undefined) {
      throw new TailraceError('unknown_topic_or_partition', `there is no topic ${name}`, { topic: name })
    }
    return topic
  }

  #checkPartitionCount(partitionCount: number, added: number): void {
    if (!Number.isInteger(partitionCount) || partitionCount < 1 || partitionCount > TOPIC_PARTITIONS_MAX) {
      throw new TailraceError(
        'invalid_partitions',
        `Number of partitions was set to ${partitionCount}: it must be a whole number from 1 to ${TOPIC_PARTITIONS_MAX}.`,
        { partitions: partitionCount, min: 1, max: TOPIC_PARTITIONS_MAX },
      )
    }
    const total = this.#catalog.partitionCount() + added
    if (total > PARTITIONS_MAX) {
      throw new TailraceError(
        'invalid_partitions',
        `${total} partitions in all would be more than ${PARTITIONS_MAX}.`,
        {
          max: PARTITIONS_MAX,
        },
      )
    }
  }

  #tell({ name, id }: Topic, what: string): void {
    this.#options.logger.info({ topic: name, id }, `topic ${name} ${what}`)
  }

  /**
   * Moves the folders of a topic that is deleted already out of the way. What keeps one there undoes no deletion: undefined
   * then, and the next start clears up.
   */
  async #retire(topic: Topic): Promise<readonly string[] | undefined> {
    const { disk, logs, waiting } = this.#options
    const folders: string[] = []
    const failures: unknown[] = []
    const fail = (error: unknown) => {
      failures.push(error)
    }
    for (let partition = 0; partition < topic.partitionCount; partition++) {
      const identity = identify(topic, partition)
      const log = logs.find(identity)
      const folder = await logs.retire(identity).catch(fail)
      if (folder !== undefined) folders.push(folder)
      if (log !== undefined) waiting.wakeAll(log)
      if (partition % PARTITIONS_PER_TURN === PARTITIONS_PER_TURN - 1) await nextTurn()
    }
    await disk.syncDirectory(logs.topicsDirectory).catch(fail)
    if (failures.length === 0) return folders
    this.#warnOfRest(failures[0])
    return undefined
  }

  /** Unlinks what a deleted topic has left; what fails is tried again at the next start. */
  async #sweep(topicId: string, folders: readonly string[]): Promise<void> {
    const { disk, reserve } = this.#options
    try {
      for (const folder of folders) await disk.remove(folder)
      await this.#catalog.forgetDeleted(topicId)
      void reserve.take()
    } catch (error) {
      this.#warnOfRest(error)
    }
  }

  #warnOfRest(error: unknown): void {
    this.#options.logger.warn({ err: error }, 'files of a deleted topic are left until the next start')
  }
}

/** Of each producer, how far it came in any of the partitions. */
function lastSequences(logs: readonly PartitionLog[]): LastSequences {
  const last: LastSequences = new Map()
  for (const log of logs) {
    for (const { producerId, epoch, batches } of log.producers()) {
      const sequence = batches.at(-1)?.baseSequence ?? -1
      const known = last.get(producerId)
      const newer = known === undefined || epoch > known.epoch
      if (newer || (epoch === known.epoch && sequence > known.sequence)) last.set(producerId, { epoch, sequence })
    }
  }
  return last
}

function settingsOf(changes: Readonly<Record<string, string | null>>): string[] {
  return Object.entries(changes).map(([name, value]) =>
    value === null ? `${name} back to its default` : `${name}=${value}`,
  )
}

function badReplicationFactor(factor: number): TailraceError {
  const message =
    factor < 1
      ? 'Replication factor must be larger than 0, or -1 to use the default.'
      : `Unable to replicate the partition ${factor} time(s): The target replication factor of ${factor} cannot be reached because only 1 broker(s) are registered.`
  return new TailraceError('invalid_replication_factor', message, { replication_factor: factor, allowed: [1, -1] })
}

function badGrowth(topic: Topic, partitionCount: number): TailraceError {
  return new TailraceError(
    'invalid_partitions',
    partitionCount === topic.partitionCount
      ? `Topic already has ${partitionCount} partition(s).`
      : `The topic ${topic.name} currently has ${topic.partitionCount} partition(s); ${partitionCount} would not be an increase.`,
    { partitions: partitionCount, current: topic.partitionCount },
  )
}

/** As Kafka does: of a topic that is only compacted every key keeps its newest record. */
function checkDeletable({ name, config: { cleanupPolicy } }: Topic): void {
  if (cleanupPolicy.delete || !cleanupPolicy.compact) return
  throw new TailraceError(
    'policy_violation',
    `records of topic ${name} cannot be deleted: its cleanup.policy is compact (compact,delete allows it; a record without a value deletes its key)`,
    { topic: name, cleanup_policy: 'compact' },
  )
}
