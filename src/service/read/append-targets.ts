// Who is told what is appended to a partition: polled groups that own it, heads of tails that read it. An append costs the
// same however many others there are.

import type { Topic } from '../../engine/engine.ts'

interface PartitionOfTopic {
  readonly topic: Topic
  readonly partition: number
}

export interface AppendTarget {
  /** The partition's high watermark has moved. */
  appended(topic: Topic, partition: number, highWatermark: number): void
}

export class AppendTargets implements AppendTarget {
  /** By the topic's id and partition. */
  readonly #targets = new Map<string, Map<number, Set<AppendTarget>>>()

  add({ topic, partition }: PartitionOfTopic, target: AppendTarget): void {
    const ofTopic = this.#targets.get(topic.id) ?? new Map<number, Set<AppendTarget>>()
    this.#targets.set(topic.id, ofTopic)
    const targets = ofTopic.get(partition) ?? new Set()
    ofTopic.set(partition, targets.add(target))
  }

  delete({ topic, partition }: PartitionOfTopic, target: AppendTarget): void {
    const ofTopic = this.#targets.get(topic.id)
    const targets = ofTopic?.get(partition)
    if (!targets?.delete(target) || targets.size > 0) return
    ofTopic?.delete(partition)
    if (ofTopic?.size === 0) this.#targets.delete(topic.id)
  }

  appended(topic: Topic, partition: number, highWatermark: number): void {
    const targets = this.#targets.get(topic.id)?.get(partition)
    if (targets === undefined) return
    for (const target of targets) target.appended(topic, partition, highWatermark)
  }
}
