// A coordinator with a clock that is moved and a store that can fail, and one topic `t` of four partitions.

import type { GroupOptions } from '../../src/coordinator/group-coordinator.ts'
import { GroupCoordinator } from '../../src/coordinator/group-coordinator.ts'
import type { Topic } from '../../src/engine/engine.ts'
import { parseTopicConfig, topicConfigDefaults } from '../../src/engine/topic-config.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { GROUP_OPTIONS } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { MemoryGroupStore } from '../support/memory-group-store.ts'
import type { RawMemberOptions } from '../support/raw-member.ts'
import { RawMember } from '../support/raw-member.ts'

export class CoordinatorFixture {
  readonly clock = new FakeClock()
  readonly telemetry = new Telemetry()
  readonly topics = new Map<string, Topic>()
  readonly options: GroupOptions
  store = new MemoryGroupStore()
  groups: GroupCoordinator
  #ids = 0

  constructor(options: Partial<GroupOptions> = {}) {
    this.options = { ...GROUP_OPTIONS, ...options }
    this.makeTopic('t')
    this.makeTopic('u')
    this.groups = this.#open()
  }

  #open(): GroupCoordinator {
    const { clock, telemetry, store, options } = this
    return new GroupCoordinator({
      clock,
      telemetry,
      store,
      saved: store.saved,
      options,
      newId: () => String(++this.#ids),
      findTopic: (name) => this.topics.get(name),
      findTopicById: (topicId) => [...this.topics.values()].find(({ id }) => id === topicId),
    })
  }

  /** As after a crash: with what is durable, and nothing else. */
  restart(): void {
    this.store = new MemoryGroupStore(this.store.saved)
    this.groups = this.#open()
  }

  makeTopic(name: string): void {
    const config = parseTopicConfig({}, topicConfigDefaults({}))
    const id = `${name}-${++this.#ids}`
    this.topics.set(name, { id, name, partitionCount: 4, internal: false, config, configOverrides: {}, growths: [] })
  }

  deleteTopic(name: string): void {
    const id = this.topics.get(name)?.id ?? ''
    this.topics.delete(name)
    this.store.dropTopic(id)
    this.groups.topicDeleted(id)
  }

  member(options: RawMemberOptions = {}): RawMember {
    return new RawMember(this.groups, options)
  }

  /** Time goes by in small steps, so that what is due in it happens in its order. */
  async pass(ms: number): Promise<void> {
    const STEPS = 20
    for (let step = 0; step < STEPS; step++) {
      this.clock.advance(ms / STEPS)
      await turns()
    }
  }
}

/** Whatever goes on by itself has gone on. */
export async function turns(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
