// What a member owns, and telling its listener of it: one thing after the other, for no longer than others wait for the
// member, and whatever the listener does. An OwnedPartition stands for one time of owning: given up and got back, the same
// partition is another.

import type { Engine } from '../../engine/engine.ts'
import type { GroupPartition } from '../../engine/group-protocol.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { GroupMemberSpec, OwnedPartition } from './group-member.ts'

interface OwnershipParts {
  readonly engine: Engine
  readonly clock: Clock
  readonly logger: Logger
}

const NONE: readonly OwnedPartition[] = []

export class Ownership {
  readonly #spec: GroupMemberSpec
  readonly #parts: OwnershipParts
  #list = NONE
  /** Its listener is about to give some up. */
  #revoking: AbortController | undefined
  /** Made when something is looked for. */
  #byTopic: Map<string, Map<number, OwnedPartition>> | undefined

  constructor(spec: GroupMemberSpec, parts: OwnershipParts) {
    this.#spec = spec
    this.#parts = parts
  }

  get list(): readonly OwnedPartition[] {
    return this.#list
  }

  find({ topic, partition }: GroupPartition): OwnedPartition | undefined {
    this.#byTopic ??= index(this.#list)
    return this.#byTopic.get(topic)?.get(partition)
  }

  isOwned(owned: OwnedPartition): boolean {
    return this.find(namePartition(owned)) === owned
  }

  /** Those that are kept stay what they are; of a topic that is gone by now there is none. */
  resolve(assigned: readonly GroupPartition[]): readonly OwnedPartition[] {
    const resolved: OwnedPartition[] = []
    for (const named of assigned) {
      const topic = this.#parts.engine.findTopic(named.topic)
      if (topic === undefined || named.partition >= topic.partitionCount) continue
      resolved.push(this.find(named) ?? { topic, partition: named.partition })
    }
    return resolved
  }

  /** Those whose topic is deleted, even if there is another under its name. */
  gone(): readonly OwnedPartition[] {
    const { engine } = this.#parts
    return this.#list.filter(({ topic }) => engine.findTopic(topic.name)?.id !== topic.id)
  }

  /** All that is owned from now on; what is new of it is told. */
  async own(owned: readonly OwnedPartition[]): Promise<void> {
    const added = owned.filter((one) => !this.isOwned(one))
    this.#replace(owned)
    if (added.length > 0) await this.#tell(() => this.#spec.listener.onAssigned(added))
  }

  /** Owned until the listener is done. */
  async revoke(revoked: readonly OwnedPartition[]): Promise<void> {
    if (revoked.length === 0) return
    const revoking = new AbortController()
    this.#revoking = revoking
    await this.#tell(() => this.#spec.listener.onRevoked(revoked, revoking.signal))
    this.#revoking = undefined
    this.#remove(revoked)
  }

  /** They may be others' by now, which their listener is told when it is done: nothing is left to wait for. */
  hurry(): void {
    this.#revoking?.abort()
  }

  lose(lost: readonly OwnedPartition[]): void {
    if (lost.length === 0) return
    this.#remove(lost)
    try {
      this.#spec.listener.onLost(lost)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Without a word. */
  drop(): void {
    this.#replace(NONE)
  }

  #replace(list: readonly OwnedPartition[]): void {
    this.#list = list.length === 0 ? NONE : list
    this.#byTopic = undefined
  }

  #remove(gone: readonly OwnedPartition[]): void {
    const all = new Set(gone)
    this.#replace(this.#list.filter((owned) => !all.has(owned)))
  }

  async #tell(call: () => Promise<void> | void): Promise<void> {
    let timer: Timer | undefined
    try {
      const done = call()
      if (done === undefined) return
      const timeout = new Promise<void>((resolve) => {
        timer = this.#parts.clock.after(this.#spec.rebalanceTimeoutMs, resolve)
      })
      await Promise.race([done, timeout])
    } catch (error) {
      this.#failed(error)
    } finally {
      timer?.cancel()
    }
  }

  #failed(error: unknown): void {
    const { groupId, clientId } = this.#spec
    const facts = { err: error, group: groupId, client: clientId }
    this.#parts.logger.error(facts, 'a member of a group failed to follow a rebalance')
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
