// What the workers of a group were given and what they were answered, held against the promises. They may be processes of their
// own, whose word comes late and in any order between them: what was done before what is told by its time, not by its turn.

import assert from 'node:assert/strict'
import type { Answered, Asking, Given, Place, WorkerEvent } from './group-worker.ts'
import { isPoison, isRejected, LEASE_MS, PARTITIONS } from './group-worker.ts'

const NOT_SEEN = 0
const DELIVERED = 1
/** These for certain: it was answered. */
const ACCEPTED = 2
const REJECTED = 3
const EXHAUSTED = 4

interface PartitionLedger {
  readonly states: Uint8Array
  /** Asked of some server, answered or not. */
  readonly rejectAsked: Uint8Array
  readonly givenMs: Float64Array
  readonly doneMs: Float64Array
  /** Where an exclusive group surely stands, since when, and where it may stand. */
  position: number
  sinceMs: number
  readonly mayStand: Set<number>
}

export class GroupLedger {
  readonly report = { delivered: 0, acknowledged: 0, fenced: 0, deadLetters: 0 }
  /** Records that somebody was given. */
  seenCount = 0
  readonly #isExclusive: boolean
  readonly #partitions: readonly PartitionLedger[]
  #life = 0

  constructor(mode: 'exclusive' | 'shared', endOffsets: readonly number[]) {
    assert.equal(endOffsets.length, PARTITIONS)
    this.#isExclusive = mode === 'exclusive'
    this.#partitions = endOffsets.map((count) => ({
      states: new Uint8Array(count),
      rejectAsked: new Uint8Array(count),
      givenMs: new Float64Array(count),
      doneMs: new Float64Array(count),
      position: 0,
      sinceMs: 0,
      mayStand: new Set(),
    }))
  }

  /** Of the server: how many were killed before it. */
  get life(): number {
    return this.#life
  }

  /** Before the server is killed. */
  serverDies(): void {
    this.#life++
  }

  note(event: WorkerEvent): void {
    if (event.kind === 'given') this.#given(event)
    else if (event.kind === 'asking') this.#asking(event)
    else if (event.kind === 'answered') this.#answered(event)
    else this.report.fenced++
  }

  /**
   * A poll's records are given at some moment between its question and its answer. Whoever got the answer within the time of
   * the lease, from a server that lives, had the lease then; of anybody else the question's time alone is sure.
   */
  #given(event: Given): void {
    const { records, positions, life, askedMs, atMs } = event
    this.report.delivered += records.length
    const givenMs = life === this.#life && atMs - askedMs < LEASE_MS ? atMs : askedMs
    if (this.#isExclusive) this.#checkOrder(event, givenMs)
    for (const { partition, from } of positions) if (this.#isExclusive) this.#standAt(partition, from, atMs)
    for (const [partition, offset] of records) {
      const { states, givenMs: last, doneMs } = this.#of(partition)
      const isDone = (states[offset] as number) > DELIVERED && (doneMs[offset] as number) < givenMs
      assert.ok(!isDone, `${partition}:${offset} is done, and is given again`)
      if (states[offset] === NOT_SEEN) {
        states[offset] = DELIVERED
        this.seenCount++
      }
      last[offset] = Math.max(last[offset] as number, givenMs)
    }
  }

  #checkOrder({ records, positions }: Given, givenMs: number): void {
    const next = new Map(positions.map(({ partition, from }) => [partition, from]))
    for (const [partition, offset] of records) {
      assert.equal(offset, next.get(partition), `partition ${partition} is not given in its order`)
      next.set(partition, offset + 1)
    }
    for (const { partition, from, through } of positions) {
      assert.equal(next.get(partition), through + 1)
      const { position, sinceMs, mayStand } = this.#of(partition)
      const isOld = from < position && givenMs <= sinceMs
      const isRight = from === position || mayStand.has(from) || isOld
      assert.ok(isRight, `partition ${partition} is given from ${from} on, and stands at ${position}`)
    }
  }

  #asking({ positions, rejected }: Asking): void {
    for (const [partition, offset] of positions) this.#of(partition).mayStand.add(offset)
    for (const [partition, offset] of rejected) this.#of(partition).rejectAsked[offset] = 1
  }

  #answered({ positions, accepted, rejected, exhausted, atMs }: Answered): void {
    for (const [partition, offset] of positions) this.#standAt(partition, offset, atMs)
    for (const place of accepted) this.#settle(place, ACCEPTED, atMs)
    for (const place of rejected) this.#settle(place, REJECTED, atMs)
    for (const place of exhausted) this.#settle(place, EXHAUSTED, atMs)
    this.report.acknowledged += positions.length + accepted.length + rejected.length + exhausted.length
  }

  #standAt(partition: number, offset: number, atMs: number): void {
    const ledger = this.#of(partition)
    // acknowledged by somebody who was never answered, or whose word is still to come
    for (let at = ledger.position; at < offset; at++) this.#settle([partition, at], ACCEPTED, atMs)
    if (offset > ledger.position) ledger.sinceMs = atMs
    ledger.position = Math.max(ledger.position, offset)
    for (const one of ledger.mayStand) if (one <= offset) ledger.mayStand.delete(one)
  }

  #settle([partition, offset]: Place, state: number, atMs: number): void {
    const { states, givenMs, doneMs } = this.#of(partition)
    assert.ok(states[offset] !== NOT_SEEN, `${partition}:${offset} was done, and given to nobody`)
    assert.ok((givenMs[offset] as number) <= atMs, `${partition}:${offset} was done, and was given again`)
    states[offset] = state
    doneMs[offset] = atMs
  }

  #of(partition: number): PartitionLedger {
    return this.#partitions[partition] as PartitionLedger
  }

  /** When everything is done. `reasons` of the dead letters: by `partition:offset`. */
  checkEnd(reasons: ReadonlyMap<string, string>): void {
    this.report.deadLetters = reasons.size
    for (const [partition, { states, rejectAsked }] of this.#partitions.entries()) {
      for (const [offset, state] of states.entries()) {
        const place = `${partition}:${offset}`
        const reason = reasons.get(place)
        // of whoever died as soon as it was given something nobody heard
        assert.ok(state !== NOT_SEEN || reason !== undefined, `${place} was never given to anybody`)
        if (this.#isExclusive) assert.equal(reason, undefined, place)
        else checkReason({ place, offset, state, isRejectAsked: rejectAsked[offset] === 1, reason })
      }
    }
  }
}

interface Ended {
  readonly place: string
  readonly offset: number
  readonly state: number
  readonly isRejectAsked: boolean
  readonly reason: string | undefined
}

function checkReason({ place, offset, state, isRejectAsked, reason }: Ended): void {
  if (state === ACCEPTED) assert.equal(reason, undefined, `${place} was accepted`)
  else if (state === REJECTED) assert.equal(reason, 'rejected', `${place} was rejected`)
  else if (state === EXHAUSTED) assert.equal(reason, 'max_attempts', `${place} was released for the last time`)
  // done or not: the answer did not come
  else if (isRejectAsked && reason === 'rejected') assert.ok(isRejected(offset), place)
  // one that works may have had bad luck with its workers
  else if (isPoison(offset) || reason !== undefined) assert.equal(reason, 'max_attempts', place)
}
