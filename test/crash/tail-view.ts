// What one tail has seen, over all its connections: record by record where it stands, what it was told is gone, and the
// cursor that goes with it. What came behind the last cursor counts as not seen, because the next connection gives it again.

import assert from 'node:assert/strict'
import type { Ledger, SeenRecord, TopicLife } from './kill-ledger.ts'

interface SeenGap {
  readonly partition: number
  readonly from: number
  readonly to: number
}

export class TailView {
  readonly name: string
  readonly #ledger: Ledger
  readonly #topic: TopicLife
  /** Only records of this key come. */
  readonly #key: string | undefined
  #cursor: string | undefined
  /** By partition, where it stood at the cursor and where it stands. */
  #standing: number[] = []
  #next: number[] = []
  #gaps: SeenGap[] = []
  #newGaps: SeenGap[] = []
  /** By partition, of a filtered one, what came; those behind the cursor too. */
  readonly #seen: Set<number>[] = []

  constructor(name: string, parts: { readonly ledger: Ledger; readonly topic: TopicLife; readonly key?: string }) {
    this.name = name
    this.#ledger = parts.ledger
    this.#topic = parts.topic
    this.#key = parts.key
  }

  get key(): string | undefined {
    return this.#key
  }

  get cursor(): string | undefined {
    return this.#cursor
  }

  get gapCount(): number {
    return this.#gaps.length
  }

  /** A connection begins where the cursor stands; without one, at the earliest record, which then is the first of all. */
  begin(): void {
    this.#next = [...this.#standing]
    this.#newGaps = []
  }

  take(record: SeenRecord): void {
    const { partition, offset } = record
    const about = `${this.name}: ${partition}:${offset}`
    assert.equal(this.#ledger.see(record), this.#topic, `${about} is a record of another topic`)
    const next = this.#next[partition] ?? 0
    if (this.#key === undefined) assert.equal(offset, next, `${about} came where ${next} was next`)
    else {
      assert.equal(record.key, this.#key, about)
      assert.ok(offset >= next, `${about} came where ${next} was next`)
      this.#seen[partition] ??= new Set()
      this.#seen[partition].add(offset)
    }
    this.#next[partition] = offset + 1
  }

  gap(gap: SeenGap): void {
    const { partition, from, to } = gap
    const about = `${this.name}: gap ${partition}:${from}..${to}`
    const next = this.#next[partition] ?? 0
    if (this.#key === undefined) assert.equal(from, next, `${about} where ${next} was next`)
    else assert.ok(from >= next, `${about} where ${next} was next`)
    assert.ok(to > from, about)
    this.#newGaps.push(gap)
    this.#next[partition] = to
  }

  /** This cursor goes on after all that came. */
  stand(cursor: string): void {
    this.#cursor = cursor
    this.#standing = [...this.#next]
    this.#gaps.push(...this.#newGaps)
    this.#newGaps = []
  }

  /** When nothing is written any more: has it seen, or been told of, all that there ever was? */
  isComplete(ends: readonly number[]): boolean {
    if (this.#cursor === undefined) return false
    if (this.#key === undefined) return ends.every((end, partition) => end === 0 || this.#standing[partition] === end)
    return ends.every((_, partition) => this.#missing(partition) === undefined)
  }

  /** What was told to be gone is gone; all else was seen. */
  check(starts: readonly number[], ends: readonly number[]): void {
    for (const { partition, from, to } of this.#gaps) {
      const start = starts[partition] ?? 0
      assert.ok(to <= start, `${this.name} was told that ${partition}:${from}..${to} is gone; it starts at ${start}`)
    }
    for (const partition of ends.keys()) {
      const missing = this.#key === undefined ? undefined : this.#missing(partition)
      assert.equal(missing, undefined, `${this.name} has not seen ${partition}:${missing}`)
    }
    assert.ok(this.isComplete(ends), `${this.name} stands at ${this.#standing}, the ends are ${ends}`)
  }

  get about(): string {
    return `${this.name} stands at ${this.#standing.join(' ')}, ${this.#gaps.length} gaps`
  }

  /** The first offset of a filtered one that was neither seen nor told to be gone. */
  #missing(partition: number): number | undefined {
    const places = this.#topic.places[partition] ?? []
    const gaps = this.#gaps.filter((gap) => gap.partition === partition)
    for (let offset = 0; offset < places.length; offset++) {
      const request = places[offset]
      const index = request?.places.findIndex((place) => place?.partition === partition && place.offset === offset)
      if (request?.records[index ?? -1]?.key !== this.#key || this.#seen[partition]?.has(offset)) continue
      if (!gaps.some(({ from, to }) => offset >= from && offset < to)) return offset
    }
    return undefined
  }
}
