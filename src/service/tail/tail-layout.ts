// Which partitions a tail reads, in which order: what the offsets of its places are about. A topic that grows, comes or
// goes makes another layout; a partition that is in both keeps its slot.

import type { Topic } from '../../engine/engine.ts'
import { CursorEncoder } from '../read/cursor.ts'

export interface LayoutTopic {
  readonly topic: Topic
  /** All of its partitions, also those that are added later. */
  readonly whole: boolean
  /** Rising; with `whole` they are 0, 1, 2 ... */
  readonly partitions: readonly number[]
}

export interface TailSlot {
  /** As it is now: topics grow. */
  topic: Topic
  readonly partition: number
}

export class TailLayout {
  readonly topics: readonly LayoutTopic[]
  readonly slots: readonly TailSlot[]
  /** The same for layouts of the same partitions. */
  readonly key: string
  #cursors: CursorEncoder | undefined
  readonly #places = new Map<string, Map<number, number>>()

  /** In the order of the topics' names. */
  constructor(topics: readonly LayoutTopic[], before?: TailLayout) {
    this.topics = topics.toSorted((left, right) => (left.topic.name < right.topic.name ? -1 : 1))
    const slots: TailSlot[] = []
    for (const { topic, partitions } of this.topics) {
      const places = new Map<number, number>()
      this.#places.set(topic.id, places)
      for (const partition of partitions) {
        places.set(partition, slots.length)
        slots.push(before?.slot(topic, partition) ?? { topic, partition })
      }
    }
    this.slots = slots
    this.key = this.topics
      .map(({ topic, whole, partitions }) => `${topic.id}:${whole ? '*' : partitions.join()}`)
      .join(';')
  }

  /** Where among the slots a partition is; -1 where it is not. */
  find(topicId: string, partition: number): number {
    return this.#places.get(topicId)?.get(partition) ?? -1
  }

  /** invalid_request: more partitions than a cursor can name. */
  cursor(offsets: Float64Array, turn: number): string {
    this.#cursors ??= new CursorEncoder(
      this.topics.map(({ topic, whole, partitions }) => ({ topicId: topic.id, whole, partitions })),
    )
    return this.#cursors.encode(offsets, turn)
  }

  slot(topic: Topic, partition: number): TailSlot | undefined {
    const slot = this.slots[this.find(topic.id, partition)]
    if (slot !== undefined) slot.topic = topic
    return slot
  }
}
