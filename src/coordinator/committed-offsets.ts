// The committed offsets of all groups, in memory: what is durable, and nothing else. Plain state; whoever changes it has
// stored the change before.

import type { OffsetPlace, SavedOffset } from './group-store.ts'

type OfTopic = Map<number, SavedOffset>

export class CommittedOffsets {
  /** By group, topic id and partition. */
  readonly #groups = new Map<string, Map<string, OfTopic>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  put(groupId: string, offset: SavedOffset): void {
    const topics = this.#groups.get(groupId) ?? new Map<string, OfTopic>()
    const partitions = topics.get(offset.topicId) ?? new Map<number, SavedOffset>()
    this.#groups.set(groupId, topics)
    topics.set(offset.topicId, partitions)
    this.#size -= partitions.size
    partitions.set(offset.partition, offset)
    this.#size += partitions.size
  }

  find(groupId: string, { topicId, partition }: OffsetPlace): SavedOffset | undefined {
    return this.#groups.get(groupId)?.get(topicId)?.get(partition)
  }

  has(groupId: string): boolean {
    return this.#groups.has(groupId)
  }

  *of(groupId: string): Generator<SavedOffset> {
    for (const partitions of this.#groups.get(groupId)?.values() ?? []) yield* partitions.values()
  }

  remove(groupId: string, { topicId, partition }: OffsetPlace): void {
    const topics = this.#groups.get(groupId)
    const partitions = topics?.get(topicId)
    if (topics === undefined || partitions === undefined) return
    if (partitions.delete(partition)) this.#size--
    if (partitions.size === 0) this.#removeTopic(groupId, topics, topicId)
  }

  removeGroup(groupId: string): void {
    for (const partitions of this.#groups.get(groupId)?.values() ?? []) this.#size -= partitions.size
    this.#groups.delete(groupId)
  }

  /** Of every group. */
  removeTopic(topicId: string): void {
    for (const [groupId, topics] of this.#groups) this.#removeTopic(groupId, topics, topicId)
  }

  #removeTopic(groupId: string, topics: Map<string, OfTopic>, topicId: string): void {
    this.#size -= topics.get(topicId)?.size ?? 0
    topics.delete(topicId)
    if (topics.size === 0) this.#groups.delete(groupId)
  }
}
