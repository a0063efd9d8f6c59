// Where one member of a group stands in each partition that it owns: begun where, committed up to where, and what of the
// chunks that it gave its client is done with. No I/O.
//
// Chunks are known by their cursors, each of which says where all partitions stood behind it. A cursor is taken apart only
// when a partition leaves, or something is to be committed; it says nothing of a partition that was begun after it was
// given, though the partition may have been owned before: others may have read on meanwhile.

import type { OffsetToCommit } from '../../engine/group-protocol.ts'
import { partitionKey } from '../../engine/partition-key.ts'
import { GROUP_TAIL_CHUNKS_UNDONE_MAX } from '../../kernel/limits.ts'
import type { OwnedPartition } from '../groups/group-member.ts'
import { decodeCursor } from '../read/cursor.ts'
import type { AssignedOffset } from '../tail/tail.ts'

interface Place extends AssignedOffset {
  readonly owned: OwnedPartition
  /** Where it was begun; a cursor that stands before that is of an earlier time. After a seek: 0. */
  begunAt: number
  /** Chunks that were given before. */
  begunAfter: number
  committed: number
  /** The last that was asked to be committed, which may be under way. */
  asked: number
}

interface LeavingPlace extends Place {
  /** How far it was given, by which chunk at the latest. */
  readonly given: OffsetToCommit
  readonly givenBy: number
}

interface GivenChunk {
  readonly cursor: string
  /** How many chunks were given with it, and records. */
  readonly chunks: number
  readonly records: number
}

interface CursorPlace {
  readonly topicId: string
  readonly partition: number
}

export class GroupTailPlaces {
  readonly #places = new Map<string, Place>()
  /** Nothing more is given of them, and what was given can be committed still. Later cursors say nothing of them. */
  readonly #leaving = new Map<string, LeavingPlace>()
  /** Given and not done with, the oldest first, the latest always; kept where what is done with is committed by itself. */
  #undone: GivenChunk[] = []
  readonly #countsDone: boolean
  #chunks = 0
  #records = 0
  #recordsDone = 0
  #last: GivenChunk | undefined
  #lastDone: GivenChunk | undefined

  constructor({ countsDone }: { readonly countsDone: boolean }) {
    this.#countsDone = countsDone
  }

  /** What is read: each with where it was begun. */
  list(): readonly AssignedOffset[] {
    return [...this.#places.values()]
  }

  /** The group has committed this, so that whoever reads it next begins there. */
  begin(owned: OwnedPartition, offset: number, until: number | undefined): void {
    const { topic, partition } = owned
    const key = partitionKey(topic.id, partition)
    const begun = { begunAt: offset, begunAfter: this.#chunks, committed: offset, asked: offset }
    this.#leaving.delete(key)
    this.#places.set(key, { owned, topic, partition, offset, until, ...begun })
  }

  /** Gives those that were begun. */
  leave(partitions: readonly OwnedPartition[]): readonly OwnedPartition[] {
    const given = new Map(this.#givenOffsets().map((one) => [partitionKey(one.topicId ?? '', one.partition), one]))
    const left: OwnedPartition[] = []
    for (const owned of partitions) {
      const { topic, partition } = owned
      const key = partitionKey(topic.id, partition)
      const place = this.#places.get(key)
      if (place?.owned !== owned) continue
      this.#places.delete(key)
      const nothing = { topic: topic.name, topicId: topic.id, partition, offset: place.committed }
      this.#leaving.set(key, { ...place, given: given.get(key) ?? nothing, givenBy: this.#chunks })
      left.push(owned)
    }
    return left
  }

  /** They are others' now. Gives those that were begun. */
  lose(partitions: readonly OwnedPartition[]): readonly OwnedPartition[] {
    return partitions.filter((owned) => {
      const key = partitionKey(owned.topic.id, owned.partition)
      const holder = [this.#places, this.#leaving].find((places) => places.get(key)?.owned === owned)
      holder?.delete(key)
      return holder === this.#places
    })
  }

  gave(cursor: string, recordCount: number): void {
    this.#chunks++
    this.#records += recordCount
    this.#last = { cursor, chunks: this.#chunks, records: this.#records }
    if (!this.#countsDone) return
    this.#undone.push(this.#last)
    if (this.#undone.length > GROUP_TAIL_CHUNKS_UNDONE_MAX) this.#thinOut()
    this.#settleDone()
  }

  /** Up to there nothing was found to give since: who is done with what was given is done with that too. */
  passed(cursor: string): void {
    if (!this.#countsDone || cursor === this.#last?.cursor) return
    // in place of the one before, where that stands behind the same records
    if (this.#undone.at(-1)?.records === this.#records) this.#undone.pop()
    this.gave(cursor, 0)
  }

  /** In the order in which they were given; more than were given are those that will be. */
  done(recordCount: number): void {
    this.#recordsDone += recordCount
    this.#settleDone()
  }

  /** Who has so many is committed in longer steps; but what is leaving is not kept longer for that. */
  #thinOut(): void {
    const last = this.#undone.length - 1
    const leftBehind = new Set([...this.#leaving.values()].map(({ givenBy }) => givenBy))
    this.#undone = this.#undone.filter(({ chunks }, at) => at % 2 === 1 || at === last || leftBehind.has(chunks))
  }

  #settleDone(): void {
    let settled = 0
    for (const chunk of this.#undone) {
      if (chunk.records > this.#recordsDone) break
      this.#lastDone = chunk
      settled++
    }
    this.#undone.splice(0, settled)
  }

  /** What is done with, and neither committed nor behind what is being committed: the later of two commits is what stays. */
  doneOffsets(): readonly OffsetToCommit[] {
    if (this.#lastDone === undefined) return []
    const { chunks } = this.#lastDone
    const left = [...this.#leaving.values()].filter(({ givenBy }) => givenBy < chunks).map(({ given }) => given)
    const done = [...this.#offsetsAt(this.#lastDone).own, ...left]
    return done.filter((one) => one.offset > (this.#placeOf(one)?.asked ?? -1))
  }

  #isDone({ givenBy }: LeavingPlace): boolean {
    return this.#lastDone !== undefined && givenBy <= this.#lastDone.chunks
  }

  #givenOffsets(): readonly OffsetToCommit[] {
    return this.#last === undefined ? [] : this.#offsetsAt(this.#last).own
  }

  /** What a cursor of its client's says: of partitions that are its own still, and of others. invalid_cursor. */
  offsetsAt(cursor: string): { readonly own: readonly OffsetToCommit[]; readonly foreign: readonly CursorPlace[] } {
    return this.#offsetsAt({ cursor, chunks: Number.POSITIVE_INFINITY })
  }

  #offsetsAt({ cursor, chunks }: Pick<GivenChunk, 'cursor' | 'chunks'>) {
    const own: OffsetToCommit[] = []
    const foreign: CursorPlace[] = []
    for (const { topicId, partitions } of decodeCursor(cursor).topics) {
      for (const { partition, nextOffset: offset } of partitions) {
        const place = this.#find(topicId, partition)
        if (place === undefined) foreign.push({ topicId, partition })
        else if (place.begunAfter < chunks && offset >= place.begunAt) {
          own.push({ topic: place.topic.name, topicId, partition, offset })
        }
      }
    }
    return { own, foreign }
  }

  /** Of those that are leaving, something was given that is not committed, or not done with. */
  get hasUnsettled(): boolean {
    return [...this.#leaving.values()].some((place) => place.given.offset > place.committed && !this.#isDone(place))
  }

  /** It has gone elsewhere, and may commit what lies before. */
  sought(): void {
    for (const place of this.#places.values()) {
      place.begunAt = 0
      place.begunAfter = this.#chunks
      place.committed = -1
      place.asked = -1
    }
  }

  /** Which topics are meant by names. */
  identified(offsets: readonly OffsetToCommit[]): readonly OffsetToCommit[] {
    if (offsets.every(({ topicId }) => topicId !== undefined)) return offsets
    const all = [...this.#leaving.values(), ...this.#places.values()]
    const ids = new Map(all.map(({ topic }) => [topic.name, topic.id]))
    return offsets.map((one) => ({ ...one, topicId: one.topicId ?? ids.get(one.topic) }))
  }

  asked(one: OffsetToCommit): void {
    const place = this.#placeOf(one)
    if (place !== undefined) place.asked = one.offset
  }

  committed(one: OffsetToCommit): void {
    const place = this.#placeOf(one)
    if (place !== undefined) place.committed = one.offset
  }

  /** It could not be. */
  refused(one: OffsetToCommit): void {
    const place = this.#placeOf(one)
    if (place?.asked === one.offset) place.asked = place.committed
  }

  isCommitted(one: OffsetToCommit): boolean {
    return this.#committedOf(one) === one.offset
  }

  #committedOf(one: OffsetToCommit): number {
    return this.#placeOf(one)?.committed ?? -1
  }

  #placeOf({ topicId = '', partition }: OffsetToCommit): Place | undefined {
    return this.#find(topicId, partition)
  }

  #find(topicId: string, partition: number): Place | undefined {
    const key = partitionKey(topicId, partition)
    return this.#places.get(key) ?? this.#leaving.get(key)
  }
}
