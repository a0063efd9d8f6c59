// What was promised of the topics: which there are, with which partitions and configs. What was asked for and not
// answered, or failed with kafka_storage_error, may have happened: the next start shows it.

import assert from 'node:assert/strict'
import type { Engine, Topic } from '../../src/engine/engine.ts'
import type { TopicConfig } from '../../src/engine/topic-config.ts'
import { PartitionPromises } from './partition-promises.ts'

export type Configs = Readonly<Record<string, string>>

export class TopicPromises {
  readonly id: string
  readonly name: string
  readonly partitions: PartitionPromises[] = []
  overrides: Configs
  /** In force since the partitions were last looked at as a whole. */
  configs: TopicConfig[]
  /** Its deletion was asked for: it may be gone. */
  isDying = false
  partitionCountMaybe: number | undefined
  overridesMaybe: Configs[] = []

  constructor(topic: Topic) {
    this.id = topic.id
    this.name = topic.name
    this.overrides = topic.configOverrides
    this.configs = [topic.config]
    this.grow(topic.partitionCount)
  }

  grow(partitionCount: number): void {
    while (this.partitions.length < partitionCount) this.partitions.push(new PartitionPromises())
    this.partitionCountMaybe = undefined
  }

  altered(topic: Topic): void {
    this.overrides = topic.configOverrides
    this.overridesMaybe = []
    this.configs.push(topic.config)
  }

  /** As a start shows it. */
  resolve(topic: Topic): void {
    assert.equal(topic.name, this.name)
    const counts = [this.partitions.length, this.partitionCountMaybe]
    assert.ok(
      counts.includes(topic.partitionCount),
      `${this.name} has ${topic.partitionCount} partitions, not ${counts}`,
    )
    this.grow(topic.partitionCount)
    const possible = [this.overrides, ...this.overridesMaybe].map(inOrder)
    assert.ok(
      possible.includes(inOrder(topic.configOverrides)),
      `${this.name} is configured ${inOrder(topic.configOverrides)}`,
    )
    this.altered(topic)
    this.isDying = false
  }
}

function inOrder(configs: Configs): string {
  return JSON.stringify(Object.entries(configs).sort())
}

interface AskedTopic {
  readonly name: string
  readonly partitionCount: number
  readonly configs: Configs
}

export class CatalogPromises {
  readonly #topics = new Map<string, TopicPromises>()
  /** Ids that are gone for ever. */
  readonly #gone = new Set<string>()
  #asked: AskedTopic[] = []

  get topics(): TopicPromises[] {
    return [...this.#topics.values()]
  }

  ask(asked: AskedTopic): void {
    this.#asked.push(asked)
  }

  /** It was answered that it is not there. */
  refused(asked: AskedTopic): void {
    this.#asked = this.#asked.filter((one) => one !== asked)
  }

  created(asked: AskedTopic, topic: Topic): void {
    this.refused(asked)
    assert.ok(!this.#gone.has(topic.id) && this.#topics.get(topic.name) === undefined, 'a topic is new')
    assert.deepEqual(
      [topic.name, topic.partitionCount, topic.configOverrides],
      [asked.name, asked.partitionCount, asked.configs],
    )
    this.#topics.set(topic.name, new TopicPromises(topic))
  }

  deleted(topic: TopicPromises): void {
    this.#gone.add(topic.id)
    if (this.#topics.get(topic.name) === topic) this.#topics.delete(topic.name)
  }

  /** After a start: there is what must be, and nothing that must not. */
  resolve(engine: Engine): void {
    for (const known of this.topics) {
      const topic = engine.findTopic(known.name)
      if (topic?.id === known.id) {
        known.resolve(topic)
        continue
      }
      assert.ok(known.isDying, `topic ${known.name} is gone`)
      this.deleted(known)
    }
    for (const topic of engine.listTopics()) {
      assert.ok(!this.#gone.has(topic.id), `topic ${topic.name} was deleted and is there again`)
      if (this.#topics.get(topic.name)?.id === topic.id) continue
      const asked = this.#asked.find(({ name }) => name === topic.name)
      assert.ok(asked !== undefined, `nobody asked for topic ${topic.name}`)
      this.created(asked, topic)
    }
    this.#asked = []
  }
}
