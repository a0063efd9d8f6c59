// All consumers that the server keeps for clients of the REST Proxy v2 API. Clients hold their URLs, so each is kept in the
// state topic, before its making or its subscription is answered, and is there again after a restart; it takes its place in
// its group when its client comes back. After a clean stop it goes on from where it stood, else from its group's offsets.
// One that nobody calls for consumer.instance.timeout.ms goes: one timer, and a map in the order of use, for all.

import { checkGroupId } from '../../engine/group-id.ts'
import type { CommittedOffset, GroupPartition } from '../../engine/group-protocol.ts'
import type { Timer } from '../../kernel/clock.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { CONSUMER_INSTANCES_MAX, CONSUMER_INSTANCES_PER_GROUP_MAX } from '../../kernel/limits.ts'
import type { Caller } from '../caller.ts'
import { compilePattern } from '../filter/client-pattern.ts'
import type { Subscription } from '../groups/group-member.ts'
import type { StateTopic } from '../groups/state-topic.ts'
import { ConsumerInstance, illegalState } from './consumer-instance.ts'
import { instanceNotFound } from './consumer-read.ts'
import type { ConsumerSource, ConsumerSpec } from './consumer-spec.ts'
import { NO_SOURCE } from './consumer-spec.ts'
import type { InstanceParts } from './consumer-start.ts'
import { instanceOf, placeOf, recordOf, savedPositionsOf } from './kept-instance.ts'

export interface ConsumerInstancesParts extends InstanceParts {
  readonly state: StateTopic
}

const EXPIRY_CHECK_MS = 1_000

export class ConsumerInstances {
  readonly #parts: ConsumerInstancesParts
  /** One object for all of them. */
  readonly #ofInstances: ConstructorParameters<typeof ConsumerInstance>[1]
  /** Longest unused first. */
  readonly #instances = new Map<string, ConsumerInstance>()
  readonly #countByGroup = new Map<string, number>()
  /** Names that are being made, or are going: neither free nor there. */
  readonly #reserved = new Set<string>()
  /** Of these a place is in the state topic. */
  readonly #withSavedPlace = new Set<string>()
  #loading: Promise<void> | undefined
  #expiry: Timer | undefined
  #isClosed = false

  constructor(parts: ConsumerInstancesParts) {
    this.#parts = parts
    this.#ofInstances = { parts, onUsed: (instance) => this.#used(instance) }
  }

  /** invalid_group_id, invalid_consumer_config, consumer_instance_exists, overloaded; disk_full and kafka_storage_error: it is not there. */
  async create(group: string, name: string, spec: ConsumerSpec): Promise<void> {
    checkGroupId(group)
    this.#checkSessionTimeout(spec)
    await this.#load()
    const key = keyOf(group, name)
    if (this.#instances.has(key) || this.#reserved.has(key)) throw instanceExists()
    this.#checkRoom(group)
    this.#reserved.add(key)
    this.#count(group, 1)
    try {
      await this.#parts.state.put(INSTANCE + key, recordOf(spec, NO_SOURCE))
      this.#add(key, new ConsumerInstance({ group, name, spec }, this.#ofInstances))
    } catch (error) {
      this.#count(group, -1)
      throw error
    } finally {
      this.#reserved.delete(key)
    }
  }

  #checkSessionTimeout({ sessionTimeoutMs }: ConsumerSpec): void {
    const { sessionTimeoutMsMin: min, sessionTimeoutMsMax: max } = this.#parts
    if (sessionTimeoutMs === undefined || (sessionTimeoutMs >= min && sessionTimeoutMs <= max)) return
    throw new TailraceError(
      'invalid_consumer_config',
      `Invalid consumer configuration: session.timeout.ms is ${sessionTimeoutMs}, ${min} to ${max} is allowed`,
      { min, max },
    )
  }

  #checkRoom(group: string): void {
    const inGroup = this.#countByGroup.get(group) ?? 0
    const where = inGroup >= CONSUMER_INSTANCES_PER_GROUP_MAX ? 'the group has' : 'there are'
    const count = inGroup >= CONSUMER_INSTANCES_PER_GROUP_MAX ? inGroup : this.#instances.size + this.#reserved.size
    if (inGroup < CONSUMER_INSTANCES_PER_GROUP_MAX && count < CONSUMER_INSTANCES_MAX) return
    const advice = 'delete those that are not needed, or wait until they expire'
    throw new TailraceError('overloaded', `${where} ${count} consumer instances, which is the most: ${advice}`)
  }

  /** For a call of its client, which keeps it. consumer_instance_not_found. */
  async get(caller: Caller, group: string, name: string): Promise<ConsumerInstance> {
    const key = keyOf(group, name)
    const instance = await this.#find(key)
    this.#used(instance)
    instance.touch(caller)
    if (this.#withSavedPlace.delete(key)) await this.#forgetPlace(key)
    return instance
  }

  /** From the first call on its place is its group's to keep; what is remembered of the last stop would be too old for the next crash. */
  async #forgetPlace(key: string): Promise<void> {
    try {
      await this.#parts.state.put(PLACE + key, null)
    } catch (error) {
      this.#withSavedPlace.add(key)
      throw error
    }
  }

  async #find(key: string): Promise<ConsumerInstance> {
    await this.#load()
    const instance = this.#instances.get(key)
    if (instance === undefined || this.#reserved.has(key)) throw instanceNotFound()
    return instance
  }

  /** consumer_illegal_state: it has partitions, or subscribes in another way; invalid_request: a pattern that is none. */
  subscribe(caller: Caller, instance: ConsumerInstance, subscription: Subscription): Promise<void> {
    return instance.change(async () => {
      const { source } = instance
      const isOther =
        source.kind === 'assigned' ||
        (source.kind === 'subscribed' && 'topics' in source.subscription !== 'topics' in subscription)
      if (isOther) throw mutuallyExclusive()
      if ('pattern' in subscription) compilePattern(subscription.pattern)
      await this.#keep(instance, { kind: 'subscribed', subscription })
      await instance.subscribe(caller, subscription)
    })
  }

  unsubscribe(instance: ConsumerInstance): Promise<void> {
    return instance.change(async () => {
      if (instance.source.kind === 'none') return
      await this.#keep(instance, NO_SOURCE)
      await instance.unsubscribe()
    })
  }

  /** consumer_illegal_state: it has a subscription. */
  assign(instance: ConsumerInstance, partitions: readonly GroupPartition[]): Promise<void> {
    return instance.change(async () => {
      if (instance.source.kind === 'subscribed') throw mutuallyExclusive()
      await this.#keep(instance, { kind: 'assigned', partitions })
      await instance.assign(partitions)
    })
  }

  async #keep(instance: ConsumerInstance, source: ConsumerSource): Promise<void> {
    const key = keyOf(instance.group, instance.name)
    // what is put after it was deleted would bring it back
    if (instance.isClosed || this.#reserved.has(key)) throw instanceNotFound()
    await this.#parts.state.put(INSTANCE + key, recordOf(instance.spec, source))
    if (instance.isClosed) throw instanceNotFound()
  }

  /** Those that have been committed. */
  committed({ group }: ConsumerInstance, partitions: readonly GroupPartition[]): Promise<readonly CommittedOffset[]> {
    return this.#parts.engine.groups.committed(group, partitions)
  }

  async delete(group: string, name: string): Promise<void> {
    const key = keyOf(group, name)
    const instance = await this.#find(key)
    this.#reserved.add(key)
    try {
      await this.#forget(key)
      this.#remove(key, instance)
      await instance.close('deleted')
    } finally {
      this.#reserved.delete(key)
    }
  }

  async #forget(key: string): Promise<void> {
    const { state } = this.#parts
    const places = this.#withSavedPlace.delete(key) ? [state.put(PLACE + key, null)] : []
    await Promise.all([state.put(INSTANCE + key, null), ...places])
  }

  #add(key: string, instance: ConsumerInstance): void {
    instance.usedMs = this.#parts.clock.monotonic()
    this.#instances.set(key, instance)
    this.#expireLater()
  }

  #remove(key: string, { group }: ConsumerInstance): void {
    this.#instances.delete(key)
    this.#count(group, -1)
  }

  /** Those that are being made are counted too. */
  #count(group: string, change: 1 | -1): void {
    const count = (this.#countByGroup.get(group) ?? 0) + change
    if (count === 0) this.#countByGroup.delete(group)
    else this.#countByGroup.set(group, count)
  }

  #expireLater(): void {
    if (this.#isClosed || this.#instances.size === 0) return
    this.#expiry ??= this.#parts.clock.after(EXPIRY_CHECK_MS, () => {
      this.#expiry = undefined
      this.#expire()
      this.#expireLater()
    })
  }

  #expire(): void {
    const now = this.#parts.clock.monotonic()
    for (const [key, instance] of this.#instances) {
      if (now - instance.usedMs < this.#parts.instanceTimeoutMs) return
      if (this.#reserved.has(key)) continue
      if (instance.isReading) this.#used(instance)
      else this.#end(key, instance)
    }
  }

  #used(instance: ConsumerInstance): void {
    if (instance.isClosed) return
    const key = keyOf(instance.group, instance.name)
    instance.usedMs = this.#parts.clock.monotonic()
    this.#instances.delete(key)
    this.#instances.set(key, instance)
  }

  /** Its client is gone, whether with the last records or without: they are not committed. */
  #end(key: string, instance: ConsumerInstance): void {
    this.#remove(key, instance)
    // one that cannot be forgotten expires again after the next start
    void this.#forget(key).catch(() => undefined)
    void instance.close('expired').catch(() => undefined)
  }

  #load(): Promise<void> {
    this.#loading ??= this.#restore().catch((error) => {
      this.#loading = undefined
      throw error
    })
    return this.#loading
  }

  async #restore(): Promise<void> {
    const { state } = this.#parts
    const places = new Map((await state.entries(PLACE)).map(({ key, value }) => [key.slice(PLACE.length), value]))
    for (const { key: stateKey, value } of await state.entries(INSTANCE)) {
      const key = stateKey.slice(INSTANCE.length)
      const [group, name] = namesOf(key)
      const { spec, source } = instanceOf(value)
      const place = places.get(key)
      const saved = place === undefined ? [] : savedPositionsOf(place)
      if (place !== undefined) this.#withSavedPlace.add(key)
      this.#count(group, 1)
      this.#add(key, new ConsumerInstance({ group, name, spec }, this.#ofInstances, { source, saved }))
    }
  }

  /** They are there again after the next start. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#expiry?.cancel()
    const { state } = this.#parts
    // before the first one leaves: its partitions would be those of the others
    const places = [...this.#instances].map(([key, instance]) => ({ key, places: instance.save() }))
    await Promise.all([
      ...[...this.#instances.values()].map((instance) => instance.close('stopped')),
      // one without its place goes on from the committed offsets
      ...places.map(({ key, places }) =>
        places.length === 0 ? undefined : state.put(PLACE + key, placeOf(places)).catch(ignore),
      ),
    ])
  }
}

const ignore = () => undefined

const INSTANCE = 'instance/'
const PLACE = 'instance-place/'

function keyOf(group: string, name: string): string {
  return `${encodeURIComponent(group)}/${encodeURIComponent(name)}`
}

function namesOf(key: string): [group: string, name: string] {
  const [group = '', name = ''] = key.split('/').map(decodeURIComponent)
  return [group, name]
}

function instanceExists(): TailraceError {
  const message = 'Consumer with specified consumer ID already exists in the specified consumer group.'
  return new TailraceError('consumer_instance_exists', message)
}

function mutuallyExclusive(): TailraceError {
  return illegalState('Subscription to topics, partitions and pattern are mutually exclusive')
}
