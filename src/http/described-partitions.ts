// The partitions of many topics as they are now, for health and metrics: topic by topic, and a topic that is deleted
// meanwhile is left out, so that deleting one fails no probe.

import type { Engine, PartitionDescription, Topic } from '../engine/engine.ts'
import { TailraceError } from '../kernel/errors.ts'

export interface DescribedPartition {
  readonly topic: string
  readonly partition: PartitionDescription
}

export async function describePartitionsOf(
  engine: Pick<Engine, 'describePartitions'>,
  topics: readonly Topic[],
): Promise<DescribedPartition[]> {
  const described: DescribedPartition[] = []
  for (const topic of topics) {
    for (const partition of await describe(engine, topic)) described.push({ topic: topic.name, partition })
  }
  return described
}

async function describe(
  engine: Pick<Engine, 'describePartitions'>,
  topic: Topic,
): Promise<readonly PartitionDescription[]> {
  try {
    return await engine.describePartitions(topic)
  } catch (error) {
    if (error instanceof TailraceError && GONE.has(error.code)) return []
    throw error
  }
}

const GONE: ReadonlySet<string> = new Set(['unknown_topic_or_partition', 'topic_recreated', 'shutting_down'])
