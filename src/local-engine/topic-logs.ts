// From a topic and a partition's number to its log. What must hold: a Topic object of an earlier incarnation never reaches
// another's files; whoever holds one is told what became of its topic.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Topic } from '../engine/engine.ts'
import { TailraceError } from '../kernel/errors.ts'
import type { LogIdentity } from '../log/log-identity.ts'
import type { LogManager } from '../log/log-manager.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import type { TopicCatalog } from './topic-catalog.ts'

/** Partitions opened, or closed, in one turn of the event loop. */
export const PARTITIONS_PER_TURN = 128

export class TopicLogs {
  readonly #catalog: TopicCatalog
  readonly #logs: LogManager
  /** Found without a look-up by name: a fetch may be for thousands of a topic's partitions. */
  readonly #logsOf = new WeakMap<Topic, PartitionLog[]>()

  constructor({ catalog, logs }: { readonly catalog: TopicCatalog; readonly logs: LogManager }) {
    this.#catalog = catalog
    this.#logs = logs
  }

  /** The topic as it is now. unknown_topic_or_partition, topic_recreated. */
  current(topic: Topic): Topic {
    const current = this.#catalog.findById(topic.id)
    if (current === undefined) throw this.#gone(topic)
    return current
  }

  /** Open or not. unknown_topic_or_partition, topic_recreated. */
  get(topic: Topic, partition: number): PartitionLog {
    const current = this.current(topic)
    if (!hasPartition(current, partition)) throw unknownPartition(current, partition)
    return this.#log(topic, partition)
  }

  /** The logs of a topic's partitions, open. It may be deleted meanwhile, and another may have its folders then. */
  async openAll(topic: Topic): Promise<PartitionLog[]> {
    const logs: PartitionLog[] = []
    for (let partition = 0; partition < topic.partitionCount; partition++) {
      this.current(topic)
      const log = this.#log(topic, partition)
      logs.push(log)
      if (log.isOpen) continue
      await log.open()
      if (partition % PARTITIONS_PER_TURN === PARTITIONS_PER_TURN - 1) await nextTurn()
    }
    return logs
  }

  /** Of all topics. Whoever takes them one by one, with pauses, gets none of a topic that was deleted meanwhile. */
  *identities(): Generator<LogIdentity> {
    for (const topic of this.#catalog.list()) {
      for (let partition = 0; partition < topic.partitionCount; partition++) {
        if (this.#catalog.findById(topic.id) !== undefined) yield identify(topic, partition)
      }
    }
  }

  /** Why a topic is not there any more; undefined while it is. */
  whyGone(topic: Topic): TailraceError | undefined {
    return this.#catalog.findById(topic.id) === undefined ? this.#gone(topic) : undefined
  }

  #log(topic: Topic, partition: number): PartitionLog {
    let logs = this.#logsOf.get(topic)
    if (logs === undefined) {
      logs = []
      this.#logsOf.set(topic, logs)
    }
    logs[partition] ??= this.#logs.log(identify(topic, partition))
    return logs[partition]
  }

  #gone(topic: Topic): TailraceError {
    const again = this.#catalog.find(topic.name) !== undefined
    if (again) {
      return new TailraceError('topic_recreated', `topic ${topic.name} was deleted and made again`, {
        topic: topic.name,
      })
    }
    return new TailraceError('unknown_topic_or_partition', `there is no topic ${topic.name} any more`, {
      topic: topic.name,
    })
  }
}

export function identify(topic: Topic, partition: number): LogIdentity {
  return { topicId: topic.id, topicName: topic.name, partition }
}

function hasPartition(topic: Topic, partition: number): boolean {
  return Number.isInteger(partition) && partition >= 0 && partition < topic.partitionCount
}

function unknownPartition(topic: Topic, partition: number): TailraceError {
  return new TailraceError(
    'unknown_topic_or_partition',
    `topic ${topic.name} has no partition ${partition}: it has 0 to ${topic.partitionCount - 1}`,
    { topic: topic.name, partition, partition_count: topic.partitionCount },
  )
}
