// What a member owns. An OwnedPartition stands for one time of owning: given up and got back, the same partition is another.

import type { Engine } from '../engine/engine.ts'
import type { GroupPartition } from '../engine/group-protocol.ts'
import type { OwnedPartition } from './group-member.ts'

const NONE: readonly OwnedPartition[] = []

export class OwnedPartitions {
  #list = NONE
  /** Made when something is looked for. */
  #byTopic: Map<string, Map<number, OwnedPartition>> | undefined

  get list(): readonly OwnedPartition[] {
    return this.#list
  }

  replace(list: readonly OwnedPartition[]): void {
    this.#list = list.length === 0 ? NONE : list
    this.#byTopic = undefined
  }

  remove(gone: readonly OwnedPartition[]): void {
    const all = new Set(gone)
    this.replace(this.#list.filter((owned) => !all.has(owned)))
  }

  find({ topic, partition }: GroupPartition): OwnedPartition | undefined {
    this.#byTopic ??= index(this.#list)
    return this.#byTopic.get(topic)?.get(partition)
  }

  isOwned(owned: OwnedPartition): boolean {
    return this.find(namePartition(owned)) === owned
  }

  /** Those that are kept stay what they are. A topic that is gone by now, or another by the same name, is left out or new. */
  resolve(engine: Engine, assigned: readonly GroupPartition[]): readonly OwnedPartition[] {
    const resolved: OwnedPartition[] = []
    for (const named of assigned) {
      const topic = engine.findTopic(named.topic)
      if (topic === undefined || named.partition >= topic.partitionCount) continue
      const kept = this.find(named)
      resolved.push(kept?.topic.id === topic.id ? kept : { topic, partition: named.partition })
    }
    return resolved
  }
}

function index(list: readonly OwnedPartition[]): Map<string, Map<number, OwnedPartition>> {
  const byTopic = new Map<string, Map<number, OwnedPartition>>()
  for (const owned of list) {
    const ofTopic = byTopic.get(owned.topic.name) ?? new Map<number, OwnedPartition>()
    byTopic.set(owned.topic.name, ofTopic)
    ofTopic.set(owned.partition, owned)
  }
  return byTopic
}

export function namePartition({ topic, partition }: OwnedPartition): GroupPartition {
  return { topic: topic.name, partition }
}

/** Its topic is still there, and no other one under its name. */
export function isThere(engine: Engine, { topic }: OwnedPartition): boolean {
  return engine.findTopic(topic.name)?.id === topic.id
}
