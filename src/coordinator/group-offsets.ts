// What the groups of an engine have committed. What must hold: an offset is durable before anybody is told or shown it; whoever
// asks sees every commit that was taken before; of two commits for one partition the later stays. The last rests on the store,
// whose promises settle in the order of the calls. Whether somebody may commit is decided by the group (group.ts).

import type { Topic } from '../engine/engine.ts'
import type {
  CommittedOffset,
  GroupPartition,
  GroupState,
  OffsetToCommit,
  PartitionResult,
} from '../engine/group-protocol.ts'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { COMMITTED_OFFSETS_MAX, OFFSETS_A_COMMIT_MAX, OFFSETS_WAITING_MAX } from '../kernel/limits.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { CommittedOffsets } from './committed-offsets.ts'
import type { GroupStore, OffsetPlace, SavedOffset } from './group-store.ts'
import { expiredOffsets } from './offset-expiry.ts'

export interface GroupOffsetsOptions {
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly store: GroupStore
  readonly options: {
    /** offsets.retention.minutes, in ms. */
    readonly offsetsRetentionMs: number
    /** offset.metadata.max.bytes. */
    readonly offsetMetadataBytesMax: number
  }
  readonly findTopic: (name: string) => Topic | undefined
  readonly findTopicById: (topicId: string) => Topic | undefined
}

/** What has to be known of a group to say which of its offsets have expired. */
export interface OffsetsInUse {
  readonly state: GroupState
  /** Wall clock, ms. */
  readonly emptySinceMs: number
  /** The topics that its members read; undefined where that cannot be told. */
  topics(): ReadonlySet<string> | undefined
}

type Planned = PartitionResult & { readonly saved?: SavedOffset }

export class GroupOffsets {
  readonly #parts: GroupOffsetsOptions
  readonly #offsets = new CommittedOffsets()
  /** The last commit of each group that is under way. */
  readonly #committing = new Map<string, Promise<void>>()
  #waiting = 0
  /** Those of them that nothing was committed for before. */
  #waitingNew = 0

  constructor(parts: GroupOffsetsOptions) {
    this.#parts = parts
  }

  /** What a start has found. */
  load(groupId: string, offset: SavedOffset): void {
    this.#offsets.put(groupId, offset)
  }

  /** Whether the group has committed anything, or is about to have. */
  has(groupId: string): boolean {
    return this.#offsets.has(groupId) || this.#committing.has(groupId)
  }

  /** Resolves when the commits that are under way are stored, or have failed. */
  async settled(groupId: string): Promise<void> {
    await this.#committing.get(groupId)
  }

  /** request_too_large, overloaded, invalid_request: nothing is stored. */
  plan(groupId: string, offsets: readonly OffsetToCommit[]): readonly Planned[] {
    this.#checkCount(offsets.length)
    const plan = offsets.map((offset) => this.#plan(offset))
    this.#checkRoom(this.#countNew(groupId, savedOf(plan)))
    return plan
  }

  #checkCount(count: number): void {
    if (count > OFFSETS_A_COMMIT_MAX) {
      const message = `${count} offsets in one commit: ${OFFSETS_A_COMMIT_MAX} are allowed`
      throw new TailraceError('request_too_large', message, { limit: OFFSETS_A_COMMIT_MAX })
    }
    if (this.#waiting > 0 && this.#waiting + count > OFFSETS_WAITING_MAX) {
      throw new TailraceError('overloaded', `${this.#waiting} offsets wait already to be committed`)
    }
  }

  /** Who commits again what is remembered already needs none. */
  #checkRoom(newCount: number): void {
    if (newCount > 0 && this.#offsets.size + this.#waitingNew + newCount > COMMITTED_OFFSETS_MAX) {
      const message = `${this.#offsets.size} offsets are remembered already: delete groups that are not needed any more`
      throw new TailraceError('overloaded', message, { limit: COMMITTED_OFFSETS_MAX })
    }
  }

  #countNew(groupId: string, offsets: readonly SavedOffset[]): number {
    return offsets.reduce((count, place) => count + (this.#offsets.find(groupId, place) === undefined ? 1 : 0), 0)
  }

  #plan({ topic: name, topicId, partition, offset, leaderEpoch = -1, metadata = '' }: OffsetToCommit): Planned {
    if (!Number.isSafeInteger(offset) || offset < 0) {
      const message = `an offset to commit is a whole number from 0 on, not ${offset}`
      throw new TailraceError('invalid_request', message, { topic: name, partition })
    }
    const { clock, findTopic, options } = this.#parts
    const topic = findTopic(name)
    const isThere = topic !== undefined && Number.isInteger(partition) && partition >= 0
    if (!isThere || partition >= topic.partitionCount) {
      return { topic: name, partition, error: unknownPartition(name, partition) }
    }
    if (topicId !== undefined && topicId !== topic.id) {
      return { topic: name, partition, error: recreated(name, partition) }
    }
    const bytes = Buffer.byteLength(metadata)
    if (bytes > options.offsetMetadataBytesMax) {
      return { topic: name, partition, error: metadataTooLarge(bytes, options.offsetMetadataBytesMax) }
    }
    const saved = { topicId: topic.id, partition, offset, leaderEpoch, metadata, committedMs: clock.now() }
    return { topic: name, partition, saved }
  }

  async commit(groupId: string, plan: readonly Planned[]): Promise<readonly PartitionResult[]> {
    const offsets = savedOf(plan)
    if (offsets.length > 0) await this.#save(groupId, offsets)
    return plan.map(({ topic, partition, error, saved }) => {
      // the topic may have been deleted meanwhile
      const isGone = saved !== undefined && this.#parts.findTopicById(saved.topicId) === undefined
      return { topic, partition, error: isGone ? unknownPartition(topic, partition) : error }
    })
  }

  async #save(groupId: string, offsets: readonly SavedOffset[]): Promise<void> {
    const { store, telemetry } = this.#parts
    const newCount = this.#countNew(groupId, offsets)
    this.#waiting += offsets.length
    this.#waitingNew += newCount
    const saving = store.saveOffsets(groupId, offsets).then(() => {
      for (const offset of offsets) this.#put(groupId, offset)
      telemetry.groups.committedOffsets += offsets.length
    })
    const settled = saving.catch(() => {})
    this.#committing.set(groupId, settled)
    try {
      await saving
    } finally {
      this.#waiting -= offsets.length
      this.#waitingNew -= newCount
      if (this.#committing.get(groupId) === settled) this.#committing.delete(groupId)
    }
  }

  #put(groupId: string, offset: SavedOffset): void {
    if (this.#parts.findTopicById(offset.topicId) !== undefined) this.#offsets.put(groupId, offset)
  }

  async committed(groupId: string, partitions?: readonly GroupPartition[]): Promise<readonly CommittedOffset[]> {
    await this.#committing.get(groupId)
    if (partitions === undefined) return [...this.#offsets.of(groupId)].flatMap((offset) => this.#show(offset))
    return partitions.flatMap(({ topic: name, partition }) => {
      const topic = this.#parts.findTopic(name)
      const offset = topic && this.#offsets.find(groupId, { topicId: topic.id, partition })
      return offset === undefined ? [] : this.#show(offset)
    })
  }

  #show({ topicId, ...offset }: SavedOffset): CommittedOffset[] {
    const topic = this.#parts.findTopicById(topicId)
    return topic === undefined ? [] : [{ topic: topic.name, ...offset }]
  }

  /** Of those topics that the group does not read. */
  async delete(
    groupId: string,
    partitions: readonly GroupPartition[],
    read: ReadonlySet<string> | undefined,
  ): Promise<readonly PartitionResult[]> {
    const places: OffsetPlace[] = []
    const results = partitions.map(({ topic: name, partition }): PartitionResult => {
      const topic = this.#parts.findTopic(name)
      if (topic === undefined) return { topic: name, partition, error: unknownPartition(name, partition) }
      if (read?.has(name) ?? true) return { topic: name, partition, error: subscribed(groupId, name) }
      places.push({ topicId: topic.id, partition })
      return { topic: name, partition }
    })
    if (places.length > 0) await this.#remove(groupId, places)
    return results
  }

  async #remove(groupId: string, places: readonly OffsetPlace[]): Promise<void> {
    await this.#parts.store.deleteOffsets(groupId, places)
    for (const place of places) this.#offsets.remove(groupId, place)
  }

  async expire(groupId: string, group: OffsetsInUse): Promise<void> {
    // what is being committed has not expired: the next check looks again
    if (this.#committing.has(groupId)) return
    const { clock, options, findTopicById, telemetry } = this.#parts
    const topics = once(() => group.topics())
    const isRead = (topicId: string) => topics()?.has(findTopicById(topicId)?.name ?? '') ?? true
    const { state, emptySinceMs } = group
    const expireBeforeMs = clock.now() - options.offsetsRetentionMs
    const expired = expiredOffsets(this.#offsets.of(groupId), { state, emptySinceMs, isRead }, expireBeforeMs)
    if (expired.length === 0) return
    await this.#remove(groupId, expired)
    telemetry.groups.expiredOffsets += expired.length
  }

  /** The group was deleted, and its offsets with it. */
  removeGroup(groupId: string): void {
    this.#offsets.removeGroup(groupId)
  }

  /** The topic was deleted, and its offsets with it. */
  removeTopic(topicId: string): void {
    this.#offsets.removeTopic(topicId)
  }

  async close(): Promise<void> {
    await Promise.all(this.#committing.values())
  }
}

function savedOf(plan: readonly Planned[]): SavedOffset[] {
  const offsets: SavedOffset[] = []
  for (const { saved } of plan) if (saved !== undefined) offsets.push(saved)
  return offsets
}

function once<Result>(ask: () => Result): () => Result {
  let asked: { readonly result: Result } | undefined
  return () => {
    asked ??= { result: ask() }
    return asked.result
  }
}

function unknownPartition(topic: string, partition: number): TailraceError {
  const message = `there is no partition ${partition} of a topic ${topic}`
  return new TailraceError('unknown_topic_or_partition', message, { topic, partition })
}

function recreated(topic: string, partition: number): TailraceError {
  const message = `topic ${topic} was deleted and made again: partition ${partition} is another one by now`
  return new TailraceError('topic_recreated', message, { topic, partition })
}

function metadataTooLarge(bytes: number, limit: number): TailraceError {
  const message = `the metadata of an offset is ${bytes} bytes long: offset.metadata.max.bytes is ${limit}`
  return new TailraceError('offset_metadata_too_large', message, { size_bytes: bytes, limit_bytes: limit })
}

function subscribed(groupId: string, topic: string): TailraceError {
  const message = `group '${groupId}' is reading topic ${topic}: stop its members first`
  return new TailraceError('group_subscribed_to_topic', message, { group: groupId, topic })
}
