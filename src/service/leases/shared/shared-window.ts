// What a shared group knows of one partition's records between its committed offset and what it has read: which are free,
// with a worker, done, or on their way to the dead-letter topic, and how often each was delivered. Pure; shared-queue.ts does
// the I/O. Offsets without a record (compaction, retention) count as done.
//
// It is remembered as runs of equal records from `start` on: [length, attempts * 4 + state, length, …]. What is with a worker
// is remembered as free: leases do not outlive the server, attempts do.

import { invariant } from '../../../kernel/errors.ts'
import { SHARED_WINDOW_RECORDS_MAX } from '../../../kernel/limits.ts'

/** rejected: by a worker; exhausted: delivered as often as may be. Both go to the dead-letter topic. */
export type Outcome = 'free' | 'done' | 'rejected' | 'exhausted'

const OUTCOMES: readonly Outcome[] = ['free', 'done', 'rejected', 'exhausted']

export interface WindowRecord<Holder> {
  readonly offset: number
  state: Outcome | 'leased'
  /** Deliveries, the present one included. */
  attempts: number
  /** Who has it, while it is leased. */
  holder: Holder | undefined
  /** What it becomes when that is durable. */
  proposed: Outcome | undefined
}

export class SharedWindow<Holder> {
  /** Everything before is done. */
  #start: number
  #records: WindowRecord<Holder>[] = []
  readonly #counts = { free: 0, leased: 0, done: 0, rejected: 0, exhausted: 0 }

  constructor(start: number) {
    this.#start = start
  }

  get start(): number {
    return this.#start
  }

  /** What is to be read next. */
  get end(): number {
    return this.#start + this.#records.length
  }

  /** Records that may still be read. */
  get room(): number {
    return SHARED_WINDOW_RECORDS_MAX - this.#records.length
  }

  get freeCount(): number {
    return this.#counts.free
  }

  get leasedCount(): number {
    return this.#counts.leased
  }

  get doneCount(): number {
    return this.#counts.done
  }

  find(offset: number): WindowRecord<Holder> | undefined {
    return this.#records[offset - this.#start]
  }

  records(): Iterable<WindowRecord<Holder>> {
    return this.#records
  }

  /** The first free ones that stand together, [from, to), at or after an offset. */
  freeRun(after: number): { readonly from: number; readonly to: number } | undefined {
    if (this.#counts.free === 0) return undefined
    let at = Math.max(0, after - this.#start)
    while (at < this.#records.length && this.#records[at]?.state !== 'free') at++
    if (at >= this.#records.length) return undefined
    const from = at
    while (this.#records[at]?.state === 'free') at++
    return { from: this.#start + from, to: this.#start + at }
  }

  /** The record at `offset`, which is the end or behind it; undefined where the window has no room for it and what lies between. */
  append(offset: number): WindowRecord<Holder> | undefined {
    if (!this.passTo(offset) || this.room < 1) return undefined
    return this.#push(offset, 'free', 0)
  }

  /** There are no records from the end to an offset. False when there is no room to note that. */
  passTo(offset: number): boolean {
    if (this.#records.length === 0) {
      this.#start = Math.max(this.#start, offset)
      return true
    }
    if (offset - this.end > this.room) return false
    while (this.end < offset) this.#push(this.end, 'done', 0)
    return true
  }

  lease(record: WindowRecord<Holder>, holder: Holder): void {
    this.#move(record, 'leased')
    record.holder = holder
    record.attempts++
  }

  /** What was proposed, or is said, holds. */
  settle(record: WindowRecord<Holder>, outcome: Outcome): void {
    record.proposed = undefined
    record.holder = undefined
    this.#move(record, outcome)
  }

  /** Drops what is done from the front. */
  advance(): void {
    let done = 0
    while (this.#records[done]?.state === 'done') done++
    if (done === 0) return
    this.#records.splice(0, done)
    this.#start += done
    this.#counts.done -= done
  }

  /** Where it would start if all that is proposed held. */
  proposedStart(): number {
    let done = 0
    while (done < this.#records.length && outcomeOf(this.#records[done] as WindowRecord<Holder>) === 'done') done++
    return this.#start + done
  }

  /** Of those that are to go to the dead-letter topic, the first. */
  condemned(max: number): WindowRecord<Holder>[] {
    const found: WindowRecord<Holder>[] = []
    for (const record of this.#records) {
      if (record.state !== 'rejected' && record.state !== 'exhausted') continue
      found.push(record)
      if (found.length === max) break
    }
    return found
  }

  /** With what is proposed. */
  encode(): readonly number[] {
    const runs: number[] = []
    let length = 0
    let last = -1
    for (const record of this.#records) {
      const code = record.attempts * OUTCOMES.length + OUTCOMES.indexOf(outcomeOf(record))
      if (code !== last && length > 0) {
        runs.push(length, last)
        length = 0
      }
      last = code
      length++
    }
    if (length > 0) runs.push(length, last)
    return runs
  }

  /** Undefined: this is no window. What lies before `start`, by now, is left out. */
  static decode<Holder>(runsFrom: number, runs: readonly number[], start: number): SharedWindow<Holder> | undefined {
    const window = new SharedWindow<Holder>(start)
    let offset = runsFrom
    for (let at = 0; at < runs.length; at += 2) {
      const length = runs[at] as number
      const code = runs[at + 1] ?? -1
      const state = OUTCOMES[code % OUTCOMES.length]
      const isWhole = Number.isSafeInteger(length) && length > 0 && Number.isSafeInteger(code) && state !== undefined
      if (!isWhole || length > SHARED_WINDOW_RECORDS_MAX) return undefined
      for (const end = offset + length; offset < end; offset++) {
        if (offset < start) continue
        if (offset !== window.end || window.room < 1) return undefined
        window.#push(offset, state, Math.floor(code / OUTCOMES.length))
      }
    }
    window.advance()
    return window
  }

  #push(offset: number, state: Outcome, attempts: number): WindowRecord<Holder> {
    const record: WindowRecord<Holder> = { offset, state, attempts, holder: undefined, proposed: undefined }
    this.#records.push(record)
    this.#counts[state]++
    return record
  }

  #move(record: WindowRecord<Holder>, state: Outcome | 'leased'): void {
    invariant(this.find(record.offset) === record, 'a record that changes is in the window')
    this.#counts[record.state]--
    this.#counts[state]++
    record.state = state
  }
}

function outcomeOf({ state, proposed }: WindowRecord<unknown>): Outcome {
  if (proposed !== undefined) return proposed
  return state === 'leased' ? 'free' : state
}
