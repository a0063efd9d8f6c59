// Where one consumer stands in each of its partitions, and what follows from that: what to read next, what to commit. No I/O.
//
// Of each partition three offsets are known: `next` is where the next read begins, `processed` where the last one began:
// whoever asks for more has done with what it had. `committed` is what this consumer knows to be committed. So a partition
// that leaves between two reads leaves with `processed`, and what the last read gave is given again by its next owner.

import type { Topic } from '../../engine/engine.ts'
import type { GroupPartition, OffsetToCommit } from '../../engine/group-protocol.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import type { OwnedPartition } from '../groups/group-member.ts'
import type { PartitionBounds } from '../read/page.ts'
import type { TopicOffset } from '../read/partition-offset.ts'

export interface ConsumerPosition {
  readonly topic: Topic
  readonly partition: number
  /** undefined: not found out yet. */
  next: number | undefined
  processed: number | undefined
  committed: number | undefined
  /** Its client has been told since it came: what it commits may be of this time of owning. */
  isKnown: boolean
  /** Records were given that are not committed. */
  isUncommitted: boolean
}

/** A record that cannot be shown in the consumer's format. */
export interface RefusedRecord extends GroupPartition {
  readonly topicId: string
  readonly offset: number
  readonly error: TailraceError
  /** It may be shown in a moment: the consumer stays in front of it. */
  readonly isForNow: boolean
}

export type Moves = readonly Move[]

interface Move {
  readonly position: ConsumerPosition
  readonly from: number
  readonly to: number
}

export class ConsumerPositions {
  /** By topic name and partition: of tens of thousands of consumers most have a few, for which a map would be large. */
  #sorted: ConsumerPosition[] = []

  get size(): number {
    return this.#sorted.length
  }

  find(topic: string, partition: number): ConsumerPosition | undefined {
    const position = this.#sorted[this.#placeOf(topic, partition)]
    return position?.partition === partition && position.topic.name === topic ? position : undefined
  }

  /** Where it stands, or would. */
  #placeOf(topic: string, partition: number): number {
    let from = 0
    for (let to = this.#sorted.length; from < to; ) {
      const middle = (from + to) >>> 1
      const { topic: other, partition: otherPartition } = this.#sorted[middle] as ConsumerPosition
      if (other.name < topic || (other.name === topic && otherPartition < partition)) from = middle + 1
      else to = middle
    }
    return from
  }

  /** One that is there already keeps its place, unless it is of a topic that was there before under this name. */
  add(topic: Topic, partition: number): void {
    const before = this.find(topic.name, partition)
    if (before?.topic.id === topic.id) return
    const nowhere = { next: undefined, processed: undefined, committed: undefined }
    const position: ConsumerPosition = { topic, partition, ...nowhere, isKnown: false, isUncommitted: false }
    this.#sorted.splice(this.#placeOf(topic.name, partition), before === undefined ? 0 : 1, position)
  }

  remove(topic: string, partition: number): void {
    if (this.find(topic, partition) !== undefined) this.#sorted.splice(this.#placeOf(topic, partition), 1)
  }

  /** The client is told that these are its own. */
  markKnown(): void {
    for (const position of this.#sorted) position.isKnown = true
  }

  clear(): void {
    this.#sorted = []
  }

  all(): readonly ConsumerPosition[] {
    return [...this.#sorted]
  }

  /** Those whose place is not found out yet. */
  unstarted(): readonly ConsumerPosition[] {
    return this.#sorted.filter(({ next }) => next === undefined)
  }

  get hasUnstarted(): boolean {
    return this.#sorted.some(({ next }) => next === undefined)
  }

  /** False when it is not this consumer's any more, or has its place already. */
  start(position: ConsumerPosition, offset: number, committed: number | undefined): boolean {
    if (position.next !== undefined || this.find(position.topic.name, position.partition) !== position) return false
    position.next = offset
    position.processed = offset
    position.committed = committed
    return true
  }

  toRead(): TopicOffset[] {
    const found: TopicOffset[] = []
    for (const { topic, partition, next } of this.#sorted) {
      if (next !== undefined) found.push({ topic, partition, offset: next })
    }
    return found
  }

  /** The client asks for more: what it was given so far is done with. */
  markProcessed(): void {
    for (const position of this.#sorted) position.processed = position.next
  }

  /** Takes what a read of `asked` has brought; what was sought or has gone meanwhile stays as it is. */
  advance(asked: readonly TopicOffset[], read: readonly PartitionBounds[], refused: readonly RefusedRecord[]): Moves {
    const moves: Move[] = []
    for (const [at, { topic, partition, nextOffset }] of read.entries()) {
      const from = asked[at]?.offset as number
      const held = refused.find((record) => record.topic === topic.name && record.partition === partition)
      const move = this.#move(topic, partition, from, held?.offset ?? nextOffset)
      if (move !== undefined) moves.push(move)
    }
    return moves
  }

  /** Steps over a record that the client is told of. */
  pass({ topic, topicId, partition, offset }: RefusedRecord): Moves {
    const move = this.#move({ name: topic, id: topicId }, partition, offset, offset + 1)
    return move === undefined ? [] : [move]
  }

  #move(topic: Pick<Topic, 'name' | 'id'>, partition: number, from: number, to: number): Move | undefined {
    const position = this.find(topic.name, partition)
    if (position === undefined || position.topic.id !== topic.id || position.next !== from || from === to)
      return undefined
    position.next = to
    return { position, from, to }
  }

  /** The client has gone elsewhere: what it was given before is no matter any more, nor is a page that is on its way. */
  seek({ topic, partition }: ConsumerPosition, offset: number): void {
    const before = this.find(topic.name, partition)
    if (before?.topic.id !== topic.id) return
    const sought = { next: offset, processed: offset, isKnown: true, isUncommitted: false }
    this.#sorted[this.#placeOf(topic.name, partition)] = { ...before, ...sought }
  }

  /** Up to where the client was given records, or has done with them, everywhere. */
  standing(upTo: 'next' | 'processed'): OffsetToCommit[] {
    return this.#sorted.flatMap(({ topic, partition, [upTo]: offset }) => {
      return offset === undefined ? [] : [{ topic: topic.name, topicId: topic.id, partition, offset }]
    })
  }

  /** What is not committed yet: up to where the client was given records, or up to where it has done with them. */
  toCommit(upTo: 'next' | 'processed', among: readonly OwnedPartition[] = this.all()): OffsetToCommit[] {
    return among.flatMap(({ topic, partition }) => {
      const position = this.find(topic.name, partition)
      const offset = position?.[upTo]
      if (position === undefined || offset === undefined || offset === position.committed) return []
      return [{ topic: topic.name, topicId: position.topic.id, partition, offset }]
    })
  }

  noteCommitted({ topic, topicId, partition, offset }: OffsetToCommit): void {
    const position = this.find(topic, partition)
    if (position === undefined || position.topic.id !== (topicId ?? position.topic.id)) return
    position.committed = offset
    if (position.next !== undefined && offset >= position.next) position.isUncommitted = false
  }
}

/** The client never had what these moves stand for; who went elsewhere since stays there. */
export function undo(moves: Moves): void {
  for (const { position, from, to } of moves) if (position.next === to) position.next = from
}
