// One tail: where it stands, and what it does when it is its turn. It is given one chunk at a time: the one that all at its
// place share, where it has room for that, else one that is read for it alone. What was read for a place that it has left
// (by seek, assign, another layout) is thrown away: each read remembers which stand it was for.

import type { TailraceError } from '../../kernel/errors.ts'
import { asTailraceError } from '../../kernel/errors.ts'
import { TAIL_CHUNK_BYTES_MAX, TAIL_OVERFLOW_RECORDS_MAX } from '../../kernel/limits.ts'
import type { Telemetry } from '../../kernel/telemetry.ts'
import type { TopicOffset } from '../read/partition-offset.ts'
import type { Position } from '../read/positions.ts'
import { isByOffset } from '../read/positions.ts'
import type {
  AssignedOffset,
  Tail,
  TailEnd,
  TailGap,
  TailProgress,
  TailReader,
  TailRequest,
  TailSources,
} from './tail.ts'
import type { TailChunks } from './tail-chunks.ts'
import type { HeadTail, TailHead } from './tail-head.ts'
import { dropOldest } from './tail-overflow.ts'
import type { ChunkKind, ChunkWaiter, SharedChunk, TailPlace, TailRead } from './tail-place.ts'
import type { TailReadBounds } from './tail-read.ts'
import { TailTeller } from './tail-teller.ts'
import type { TailTurns } from './tail-turns.ts'
import type { TailUntil } from './tail-until.ts'

type TailRoom = ReturnType<TailReader['room']>

export interface LiveTailParts {
  readonly chunks: TailChunks
  readonly turns: TailTurns
  readonly telemetry: Telemetry
  /** Calls back where a position is, at once when that is known. */
  find(
    sources: TailSources,
    to: Position,
    signal: AbortSignal | undefined,
    move: (stand: TailStand) => void,
  ): Promise<void>
  /** Of sources 'assigned'. */
  standAt(offsets: readonly TopicOffset[]): TailStand
  /** It has left a head, for another or for good. */
  left(head: TailHead): void
  closed(tail: LiveTail): void
}

export interface TailStand {
  readonly head: TailHead
  readonly place: TailPlace
}

export class LiveTail implements Tail, HeadTail, ChunkWaiter {
  isDue = false
  readonly #parts: LiveTailParts
  readonly #request: TailRequest
  readonly #reader: TailReader
  readonly #teller: TailTeller
  readonly #kind: ChunkKind
  readonly #until: TailUntil
  #head: TailHead
  #place: TailPlace
  /** Rises with each seek, assign and layout: what was read for an earlier one is not given. */
  #stand = 0
  #isReading = false
  #isClosed = false
  #seeking: Promise<void> = Promise.resolve()
  /** Nothing was given since it began where it is. */
  #isFresh: boolean
  /** It had no room, and has not come to the end since. */
  #wasBlocked = false
  #awaited: SharedChunk | undefined
  /** It has another layout, or place, since its last turn. */
  #isRelaid = false

  constructor(request: TailRequest, kind: ChunkKind, stand: TailStand, until: TailUntil, parts: LiveTailParts) {
    this.#parts = parts
    this.#request = request
    this.#reader = request.reader
    this.#teller = new TailTeller(request.reader, request.onGap, parts.telemetry)
    this.#kind = kind
    this.#until = until
    this.#head = stand.head
    this.#place = stand.place
    this.#isFresh = !isByOffset(request.from)
    stand.head.tails.add(this)
    parts.turns.enqueue(this)
  }

  get cursor(): string | undefined {
    return this.#place.findCursor()
  }

  get positions(): readonly TopicOffset[] {
    return this.#place.positions
  }

  progress(): TailProgress {
    return this.#teller.progress(this.#head.look(this.#place), this.#knowsEnds)
  }

  get #knowsEnds(): boolean {
    return this.#areAllKnown && this.#head.areEndsKnown
  }

  get #areAllKnown(): boolean {
    const { sources } = this.#request
    return sources.kind !== 'assigned' || sources.areAllKnown()
  }

  wake(): void {
    if (!this.#isClosed && !this.#isReading) this.#parts.turns.enqueue(this)
  }

  async seek(to: Position, signal?: AbortSignal): Promise<void> {
    const before = this.#seeking
    const turn = Promise.withResolvers<void>()
    this.#seeking = turn.promise
    try {
      await before
      await this.#parts.find(this.#sources, to, signal, (stand) => {
        if (this.#isClosed) return
        this.#moveTo(this.#isAssigned ? this.#standOfAssigned(stand.place) : stand)
        this.#isFresh = !isByOffset(to)
      })
    } finally {
      turn.resolve()
    }
  }

  get #isAssigned(): boolean {
    return this.#request.sources.kind === 'assigned'
  }

  get #sources(): TailSources {
    if (!this.#isAssigned) return this.#request.sources
    const topics = this.#place.layout.topics.map(({ topic, partitions }) => ({ topic: topic.name, partitions }))
    return { kind: 'topics', topics }
  }

  /** What was found for those that it had; it may have others by now. */
  #standOfAssigned({ layout, offsets }: TailPlace): TailStand {
    return this.#parts.standAt(
      this.#place.positions.map((one) => {
        const at = layout.find(one.topic.id, one.partition)
        return at < 0 ? one : { ...one, offset: offsets[at] as number }
      }),
    )
  }

  assign(offsets: readonly AssignedOffset[]): void {
    if (this.#isClosed) return
    this.#until.assign(offsets)
    const { layout } = this.#place
    const wanted = offsets.map((one) => {
      const at = layout.find(one.topic.id, one.partition)
      return at < 0 ? one : { ...one, offset: this.#place.offsets[at] as number }
    })
    this.#moveTo(this.#parts.standAt(wanted))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#leaveHead()
    this.#parts.closed(this)
  }

  /** `ends`: of the layout before, as far as they were known. */
  relaid(ends: Float64Array): void {
    const { layout: before, offsets } = this.#place
    const { layout } = this.#head
    this.#stand++
    this.#place = this.#place.in(layout)
    this.#awaited = undefined
    this.#teller.moved()
    this.#isRelaid = true
    this.#parts.turns.enqueue(this)
    // what was not read of a topic that fitted its pattern and is gone
    for (const [at, { topic, partition }] of before.slots.entries()) {
      const from = offsets[at] as number
      const to = ends[at] as number
      if (layout.find(topic.id, partition) >= 0 || from >= to) continue
      this.#reader.gap({ topic: topic.name, partition, from, to, reason: 'removed' })
    }
  }

  topicDeleted(): void {
    // who assigns partitions takes them back
    if (!this.#isAssigned) this.#end('topic_deleted')
  }

  takeTurn(): void {
    if (this.#isClosed || this.#isReading) return
    try {
      this.#step()
    } catch (error) {
      this.#fail(asTailraceError(error))
    }
  }

  #step(): void {
    // more than a cursor can name is told now rather than with the next chunk
    if (this.#isRelaid) this.#place.getCursor()
    this.#isRelaid = false
    if (this.#until.isReached(this.#place, this.#teller.matched, this.#areAllKnown)) {
      this.#end('until')
      return
    }
    const head = this.#head
    const place = head.look(this.#place)
    const room = this.#roomLeft()
    if (room === undefined) return
    while (this.#teller.tellFault(place)) if (this.#isClosed || place !== this.#place) return
    const ends = this.#until.bound(head.ends, place.layout)
    const isAtEnd = place.isAtEnd || (ends !== head.ends && head.readable(place, ends).length === 0)
    if (isAtEnd) this.#atEnd()
    else if (this.#wasBlocked && this.#request.overflow !== 'pause') this.#catchUp(place, room, ends)
    else this.#goOn(place, room, ends)
  }

  #roomLeft(): TailRoom | undefined {
    const room = this.#reader.room()
    if (room.records >= 1 && room.bytes >= 1) return room
    this.#wasBlocked = true
    return undefined
  }

  /** It had no room for a while, and is not to be given all that it missed. */
  #catchUp(place: TailPlace, room: TailRoom, ends: Float64Array): void {
    if (place.lag > TAIL_OVERFLOW_RECORDS_MAX && this.#drop(place, ends)) return
    if (this.#request.overflow === 'drop_oldest') this.#goOn(place, room, ends)
    else this.#readAlone({ ...this.#boundsOf(room, ends), isLatestOnly: true })
  }

  /** False where it is too far behind the end, but not behind its `until`: nothing is left out. */
  #drop(place: TailPlace, ends: Float64Array): boolean {
    const { offsets, gaps, count } = dropOldest(place, ends, TAIL_OVERFLOW_RECORDS_MAX)
    if (count === 0) return false
    this.#teller.dropped(count)
    this.#awaited = undefined
    this.#place = this.#head.placeAt(offsets, place.turn)
    this.#head.stands(this, this.#place)
    this.#teller.moved()
    this.#parts.turns.enqueue(this)
    this.#tellGaps(gaps)
    return true
  }

  /** False when the tail is elsewhere after that. */
  #tellGaps(gaps: readonly TailGap[]): boolean {
    const stand = this.#stand
    for (const gap of gaps) {
      this.#teller.gap(gap, this.#place, this.#head, this.#isFresh)
      if (this.#isClosed || stand !== this.#stand) return false
    }
    return true
  }

  #boundsOf(room: TailRoom, ends: Float64Array): TailReadBounds {
    const records = Math.min(room.records, this.#until.recordsLeft(this.#teller.matched), this.#kind.batchRecords)
    return { records, bytes: Math.min(room.bytes, TAIL_CHUNK_BYTES_MAX), ends }
  }

  #atEnd(): void {
    const head = this.#head
    this.#wasBlocked = false
    head.wait(this)
    if (head.isIdle) this.#parts.chunks.forget(head)
    if (this.#knowsEnds) this.#teller.tellProgress(this.#place, true)
  }

  #goOn(place: TailPlace, room: TailRoom, ends: Float64Array): void {
    const { batchRecords } = this.#kind
    const records = Math.min(room.records, this.#until.recordsLeft(this.#teller.matched))
    if (ends === this.#head.ends && records >= Math.min(batchRecords, place.lag || batchRecords)) {
      // what it has waited for may be kept for nobody else
      const awaited = this.#awaited
      const shared = awaited ?? this.#parts.chunks.at(this.#head, place, this.#kind)
      if (shared.error !== undefined) throw shared.error
      if (shared.read === undefined) {
        this.#waitFor(shared)
        return
      }
      if (fits(shared.read, records, room.bytes)) {
        // for those that wait for it that was done when it was there
        if (awaited === undefined) shared.read.chunk?.hold()
        this.#give(shared.read)
        return
      }
    }
    this.#readAlone(this.#boundsOf(room, ends))
  }

  awaits(chunk: SharedChunk): boolean {
    return !this.#isClosed && this.#awaited === chunk
  }

  /** It is its turn when it is there. */
  #waitFor(shared: SharedChunk): void {
    if (this.#awaited === shared) return
    this.#awaited = shared
    shared.waiters.push(this)
  }

  #readAlone(bounds: TailReadBounds): void {
    this.#awaited = undefined
    const { chunks, turns } = this.#parts
    const stand = this.#stand
    this.#isReading = true
    const settle = (settled: () => void) => {
      this.#isReading = false
      if (this.#isClosed) return
      if (stand !== this.#stand) turns.enqueue(this)
      else settled()
    }
    const isWanted = () => !this.#isClosed && stand === this.#stand
    chunks.read(this.#head, this.#place, this.#kind, bounds, isWanted).then(
      (read) => settle(() => this.#giveAlone(read)),
      (error: unknown) => settle(() => this.#fail(asTailraceError(error))),
    )
  }

  /** Where there is no room any more it is read again later. */
  #giveAlone(read: TailRead): void {
    try {
      if (this.#roomLeft() === undefined) return
      read.chunk?.hold()
      this.#give(read)
    } catch (error) {
      this.#fail(asTailraceError(error))
    }
  }

  #give(read: TailRead): void {
    this.#awaited = undefined
    if (!this.#tellGaps(read.gaps)) return
    const { chunk, next } = read
    const hasMoved = next !== this.#place
    this.#place = next
    this.#head.stands(this, next)
    this.#isFresh = false
    this.#teller.looked(read)
    if (hasMoved) this.#teller.moved()
    // what is below the ends and cannot be had is not yet there
    if (hasMoved || this.#head.look(next).isAtEnd) this.#parts.turns.enqueue(this)
    else this.#head.wait(this)
    if (chunk === undefined) this.#teller.foundNothing(this.#head.look(next), this.#knowsEnds)
    else this.#teller.give(chunk)
  }

  #moveTo(stand: TailStand): void {
    this.#stand++
    if (stand.head !== this.#head) {
      this.#leaveHead()
      this.#head = stand.head
      stand.head.tails.add(this)
    } else stand.head.unwait(this)
    this.#place = stand.place.in(stand.head.layout)
    stand.head.stands(this, this.#place)
    this.#isRelaid = true
    this.#teller.moved()
    this.#wasBlocked = false
    this.#awaited = undefined
    this.#parts.turns.enqueue(this)
  }

  #leaveHead(): void {
    const head = this.#head
    head.leave(this)
    this.#parts.left(head)
  }

  #end(reason: TailEnd): void {
    this.close()
    this.#reader.end(reason)
  }

  #fail(error: TailraceError): void {
    if (this.#isClosed) return
    this.close()
    this.#reader.fail(error)
  }
}

function fits({ chunk }: TailRead, records: number, bytes: number): boolean {
  if (chunk === undefined) return true
  return chunk.recordCount <= records && (chunk.body.length <= bytes || chunk.recordCount === 1)
}
