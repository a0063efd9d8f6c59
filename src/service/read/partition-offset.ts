// A place in one partition, as positions, pages and gaps name it.

import type { Topic } from '../../engine/engine.ts'

export interface PartitionOffset {
  readonly partition: number
  readonly offset: number
}

export interface TopicOffset extends PartitionOffset {
  readonly topic: Topic
}

export interface ResolvedOffset extends PartitionOffset {
  /** Of the record there, ms; -1 where there is none, or where it was not looked for by time. */
  readonly timestamp: number
}
