// The end of what the tails of the same partitions read, and those that wait there. What is appended is not shown to them
// at once: a tick takes all that has come, and gives everybody the same end, so that all who have read up to it stand at the
// very same place, and what follows is read once for all of them.

import type { Topic } from '../../engine/engine.ts'
import type { Clock } from '../../kernel/clock.ts'
import { PARTITION_FAULT_PAUSE_MS, TAIL_START_SHARED_MS } from '../../kernel/limits.ts'
import type { AppendTarget } from '../read/append-targets.ts'
import type { TailLayout } from './tail-layout.ts'
import type { StuckSlot } from './tail-place.ts'
import { TailPlace } from './tail-place.ts'
import type { TailTurns, TurnTaker } from './tail-turns.ts'

/** A tail, as its head knows it. */
export interface HeadTail extends TurnTaker {
  /** The head has another layout: reads that are under way are of no use. */
  relaid(ends: Float64Array): void
  topicDeleted(): void
}

export interface TailHeadParts {
  readonly clock: Clock
  readonly turns: TailTurns
  /** Some partition cannot be read: retryFaults() shall be called when the pause is over. */
  readonly faulted: (head: TailHead) => void
}

/** The end of a partition that could not be asked: it is read without one, until that tells what keeps it. */
export const UNKNOWN_END = Number.MAX_SAFE_INTEGER

export class TailHead implements AppendTarget, TurnTaker {
  readonly key: string
  readonly batchWaitMs: number
  readonly tails = new Set<HeadTail>()
  isDue = false
  /** Of each partition its end was asked once. */
  areEndsKnown = false
  /** What tails read up to; another object after each tick. */
  ends: Float64Array
  readonly #parts: TailHeadParts
  readonly #waiting = new Set<HeadTail>()
  readonly #straying = new Set<HeadTail>()
  #layout: TailLayout
  #newEnds: Float64Array | undefined
  /** Where the last one came to the end. */
  #endPlace: TailPlace | undefined
  /** Where the last one began, and when. */
  #startPlace: TailPlace | undefined
  #startedAt = 0

  constructor(key: string, layout: TailLayout, batchWaitMs: number, parts: TailHeadParts) {
    this.key = key
    this.batchWaitMs = batchWaitMs
    this.#parts = parts
    this.#layout = layout
    this.ends = new Float64Array(layout.slots.length)
  }

  get layout(): TailLayout {
    return this.#layout
  }

  /** All of its tails stand at the end, but for those that stray. */
  get isIdle(): boolean {
    return this.#waiting.size + this.#straying.size === this.tails.size
  }

  /** Another layout; the ends of what is new in it are still to be learned. */
  relay(layout: TailLayout): void {
    const known = this.#newEnds ?? this.ends
    const ends = new Float64Array(layout.slots.length)
    for (const [at, { topic, partition }] of layout.slots.entries()) {
      const before = this.#layout.find(topic.id, partition)
      if (before >= 0) ends[at] = known[before] as number
    }
    this.#layout = layout
    this.ends = ends
    this.#newEnds = undefined
    this.#endPlace = undefined
    this.#startPlace = undefined
    this.#waiting.clear()
    for (const tail of this.tails) tail.relaid(known)
  }

  appended(topic: Topic, partition: number, highWatermark: number): void {
    this.raise(this.#layout.find(topic.id, partition), highWatermark)
  }

  /** A partition has come so far. */
  raise(at: number, end: number): void {
    const known = (this.#newEnds ?? this.ends)[at]
    if (known === undefined || (known >= end && known !== UNKNOWN_END)) return
    const isFirst = this.#newEnds === undefined
    this.#newEnds ??= this.ends.slice()
    this.#newEnds[at] = end
    if (!isFirst) return
    if (this.batchWaitMs === 0) this.#parts.turns.enqueue(this)
    else this.#parts.clock.after(this.batchWaitMs, () => this.#parts.turns.enqueue(this))
  }

  /** How far it went could not be asked. */
  endUnknown(at: number): void {
    if ((this.#newEnds ?? this.ends)[at] !== 0) return
    this.#setEnd(at, UNKNOWN_END)
    this.#wakeAll()
  }

  /** Those that wait may have come to the end. */
  endsKnown(): void {
    this.areEndsKnown = true
    if (this.#newEnds === undefined) this.#wakeAll()
    else this.takeTurn()
  }

  /** What a read of a partition without a known end found. */
  learnEnd(layout: TailLayout, at: number, end: number): void {
    if (layout !== this.#layout || this.ends[at] !== UNKNOWN_END) return
    // an append may have told more meanwhile
    const told = this.#newEnds?.[at] ?? UNKNOWN_END
    this.#setEnd(at, told === UNKNOWN_END ? end : Math.max(told, end))
  }

  #setEnd(at: number, end: number): void {
    this.ends = this.ends.slice()
    this.ends[at] = end
    if (this.#newEnds !== undefined) this.#newEnds[at] = end
  }

  /** The tick. */
  takeTurn(): void {
    if (this.#newEnds === undefined) return
    this.ends = this.#newEnds
    this.#newEnds = undefined
    this.#wakeAll()
  }

  retryFaults(): void {
    this.ends = this.ends.slice()
    this.#wakeAll()
  }

  #wakeAll(): void {
    const { turns } = this.#parts
    for (const tail of this.#waiting) turns.enqueue(tail)
    this.#waiting.clear()
  }

  wait(tail: HeadTail): void {
    this.#waiting.add(tail)
    this.#straying.delete(tail)
  }

  unwait(tail: HeadTail): void {
    this.#waiting.delete(tail)
  }

  /** Where nobody else comes by it strays: nothing is kept for it. */
  stands(tail: HeadTail, { isShared }: TailPlace): void {
    if (isShared) this.#straying.delete(tail)
    else this.#straying.add(tail)
  }

  leave(tail: HeadTail): void {
    this.#waiting.delete(tail)
    this.#straying.delete(tail)
    this.tails.delete(tail)
  }

  /** For a tail that comes from elsewhere: the place where others stand, or began, if it is that. */
  placeAt(offsets: Float64Array, turn: number): TailPlace {
    // the ends of a head are learned before its first tail is there
    if (this.tails.size === 0) this.takeTurn()
    const now = this.#parts.clock.monotonic()
    for (const known of [this.#endPlace, this.#knownStart(now)]) {
      if (known === undefined || !isSame(known.offsets, offsets)) continue
      known.isShared = true
      if (known === this.#startPlace) this.#startedAt = now
      return known
    }
    const place = new TailPlace(this.#layout, offsets, turn)
    if (this.look(place).isAtEnd) this.#setEndPlace(place)
    else {
      this.#startPlace = place
      this.#startedAt = now
    }
    return place
  }

  /** Others come by there soon, or what they have read is still kept. */
  #knownStart(now: number): TailPlace | undefined {
    const place = this.#startPlace
    const isKept = place?.chunks !== undefined && place.chunks.size > 0
    return isKept || now - this.#startedAt < TAIL_START_SHARED_MS ? place : undefined
  }

  #setEndPlace(place: TailPlace): void {
    place.isShared = true
    this.#endPlace = place
  }

  /** Whether a place has come to the end, and how far it is from it. */
  look(place: TailPlace): TailPlace {
    const { ends } = this
    if (place.lookedAt === ends) return place
    const { offsets } = place
    let lag = 0
    let isAtEnd = true
    for (let at = 0; at < offsets.length; at++) {
      const behind = (ends[at] as number) - (offsets[at] as number)
      if (behind <= 0) continue
      if (ends[at] !== UNKNOWN_END) lag += behind
      if (isAtEnd && !this.#isHeld(place, at)) isAtEnd = false
    }
    place.lookedAt = ends
    place.isAtEnd = isAtEnd
    place.lag = lag
    return place
  }

  /** The slots that have something to be read in front of their `ends`, the one whose turn it is first. */
  readable(place: TailPlace, ends: Float64Array): number[] {
    const { offsets, turn } = place
    const count = offsets.length
    const slots: number[] = []
    for (let step = 0; step < count; step++) {
      const at = turn + step < count ? turn + step : turn + step - count
      if ((offsets[at] as number) < (ends[at] as number) && !this.#isHeld(place, at)) slots.push(at)
    }
    return slots
  }

  /** The place that a read has come to: one object for all that have come to the end. */
  reach(from: TailPlace, offsets: Float64Array, turn: number, stuck: readonly StuckSlot[]): TailPlace {
    const isSameStuck = stuck.length === from.stuck.length && stuck.every((one, at) => one === from.stuck[at])
    if (isSameStuck && isSame(offsets, from.offsets)) return from
    const place = new TailPlace(from.layout, offsets, turn)
    place.stuck = stuck
    if (stuck.length > 0) this.#parts.faulted(this)
    if (from.layout !== this.#layout || !this.look(place).isAtEnd) return place
    const known = this.#endPlace
    if (known !== undefined && isSame(known.offsets, offsets)) {
      known.stuck = stuck
      known.lookedAt = undefined
      return known
    }
    this.#setEndPlace(place)
    return place
  }

  #isHeld({ stuck }: TailPlace, slot: number): boolean {
    if (stuck.length === 0) return false
    const held = stuck.find(({ at }) => at === slot)
    return held !== undefined && held.retryAt > this.#parts.clock.monotonic()
  }
}

export function retryTime(clock: Clock): number {
  return clock.monotonic() + PARTITION_FAULT_PAUSE_MS
}

function isSame(left: Float64Array, right: Float64Array): boolean {
  if (left.length !== right.length) return false
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false
  return true
}
