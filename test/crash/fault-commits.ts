// What a group commits while the disk fails and the power goes, and what it finds committed after a start: what was answered, or what
// was asked for later and may have been stored. Offsets only rise, and a group's commits are stored in the order of the calls.

import assert from 'node:assert/strict'
import type { TailraceError } from '../../src/kernel/errors.ts'
import type { Random } from '../support/random.ts'
import type { FaultWorld } from './fault-world.ts'
import { isStorageFailure } from './fault-world.ts'
import type { TopicPromises } from './topic-promises.ts'

interface CommitPromises {
  readonly topic: TopicPromises
  readonly partition: number
  /** Answered as committed; undefined: none was yet. */
  acknowledged: number | undefined
  /** May be stored. */
  readonly asked: Set<number>
}

const GROUP = 'g'

export class FaultCommits {
  readonly #world: FaultWorld
  readonly #promises = new Map<string, CommitPromises>()
  #offset = 0

  constructor(world: FaultWorld) {
    this.#world = world
  }

  async commit(topic: TopicPromises, random: Random): Promise<void> {
    const { life } = this.#world
    const partition = random.below(topic.partitions.length)
    const promises = this.#of(topic, partition)
    const offset = ++this.#offset
    promises.asked.add(offset)
    try {
      const offsets = [{ topic: topic.name, partition, offset }]
      const [result] = await life.engine.groups.commit({ groupId: GROUP, offsets })
      if (life.isOver) return
      if (result?.error !== undefined) throw result.error
      promises.acknowledged = Math.max(offset, promises.acknowledged ?? 0)
      this.#world.count('offsets committed')
      await this.#look(promises)
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      if (!life.isOver) this.#refused(promises, offset, error as TailraceError)
    }
  }

  #of(topic: TopicPromises, partition: number): CommitPromises {
    const place = `${topic.id}/${partition}`
    const promises = this.#promises.get(place) ?? { topic, partition, acknowledged: undefined, asked: new Set() }
    this.#promises.set(place, promises)
    return promises
  }

  #refused({ topic, asked }: CommitPromises, offset: number, error: TailraceError): void {
    if (isStorageFailure(error.code)) assert.ok(this.#world.life.hadFaults, error.stack)
    else assert.ok(error.code === 'unknown_topic_or_partition' && topic.isDying, error.stack)
    if (error.code !== 'kafka_storage_error') asked.delete(offset)
  }

  /** After a start: nothing that was answered is lost. */
  async check(): Promise<void> {
    for (const promises of this.#promises.values()) await this.#look(promises)
  }

  async #look({ topic, partition, acknowledged, asked }: CommitPromises): Promise<void> {
    const { life, catalog } = this.#world
    const committed = await life.engine.groups.committed(GROUP, [{ topic: topic.name, partition }])
    if (life.isOver || topic.isDying || !catalog.topics.includes(topic)) return
    const found = committed[0]?.offset
    if (found === undefined)
      return assert.equal(acknowledged, undefined, `${topic.name}-${partition} forgot its offset`)
    assert.ok(found >= (acknowledged ?? 0) && asked.has(found), `${topic.name}-${partition} is committed at ${found}`)
  }
}
