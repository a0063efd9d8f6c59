// The turns of one named producer's requests to one topic: one at a time, in the order of their numbers, whatever order
// they arrived in. A number whose predecessor is under way (or waits itself) waits; with a gap before it, it is refused;
// a lower epoch is refused, a new one starts at 0. Holds no bytes and does no I/O but the loading it is given.

import type { ProducerPartitionState } from '../../engine/engine.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import { PRODUCER_BATCHES_REMEMBERED } from '../../kernel/limits.ts'

export interface TurnOutcome {
  /** At least one partition holds the request now. */
  readonly stored: boolean
  /** At least one partition did not take it, or it is not known: the engine is asked before the next turn. */
  readonly failed: boolean
  /** At least one partition may not hold it: one that holds it, and only could not say that it is durable, lacks nothing. */
  readonly lacking: boolean
}

interface Turn {
  readonly epoch: number
  readonly sequence: number
}

interface WaitingTurn extends Turn {
  readonly begin: () => void
  readonly refuse: (error: TailraceError) => void
}

export class ProducerSession {
  readonly #load: () => Promise<readonly ProducerPartitionState[]>
  readonly #waitingMax: number
  #epoch = -1
  #expected = 0
  /** Numbers that some partition lacks, as far as this process saw them fail. */
  readonly #incomplete = new Set<number>()
  #known = false
  #loading: Promise<void> | undefined = undefined
  #current: Turn | undefined = undefined
  #waiting: WaitingTurn[] = []
  #users = 0

  constructor(options: {
    readonly load: () => Promise<readonly ProducerPartitionState[]>
    readonly waitingMax: number
  }) {
    this.#load = options.load
    this.#waitingMax = options.waitingMax
  }

  /** -1: the topic knows nothing of this producer. */
  get epoch(): number {
    return this.#epoch
  }

  /** The number after the highest that is stored anywhere in the topic in this epoch. */
  get expected(): number {
    return this.#expected
  }

  get idle(): boolean {
    return this.#users === 0
  }

  /** Resolves at this request's turn; leave() must follow. out_of_order_sequence_number, invalid_producer_epoch, overloaded. */
  async enter(epoch: number, sequence: number): Promise<void> {
    this.#users++
    try {
      while (!this.#known) await this.#refresh()
      this.#checkTurn({ epoch, sequence }, this.#nextInLine(epoch))
      if (this.#current === undefined) this.#current = { epoch, sequence }
      else await this.#wait(epoch, sequence)
    } catch (error) {
      this.#users--
      throw error
    }
  }

  leave({ stored, failed, lacking }: TurnOutcome): void {
    const turn = this.#current
    this.#current = undefined
    this.#users--
    if (turn !== undefined && stored) this.#advance(turn)
    if (turn?.epoch === this.#epoch) this.#note(turn.sequence, stored || failed, lacking)
    if (failed) this.#known = false
    if (this.#waiting.length === 0) return
    if (this.#known) this.#beginNext()
    else {
      this.#refresh().then(
        () => this.#beginNext(),
        (error) => this.#refuseAll(asTailraceError(error)),
      )
    }
  }

  #advance({ epoch, sequence }: Turn): void {
    if (epoch > this.#epoch) {
      this.#epoch = epoch
      this.#expected = 0
      this.#incomplete.clear()
    }
    this.#expected = Math.max(this.#expected, sequence + 1)
  }

  #note(sequence: number, tried: boolean, lacking: boolean): void {
    if (lacking) this.#incomplete.add(sequence)
    else if (tried) this.#incomplete.delete(sequence)
  }

  #refresh(): Promise<void> {
    this.#loading ??= this.#load()
      .then((states) => this.#learn(states))
      .finally(() => {
        this.#loading = undefined
      })
    return this.#loading
  }

  #learn(states: readonly ProducerPartitionState[]): void {
    const epochBefore = this.#epoch
    this.#epoch = -1
    this.#expected = 0
    for (const { epoch, batches } of states) {
      if (epoch > this.#epoch) {
        this.#epoch = epoch
        this.#expected = 0
      }
      if (epoch < this.#epoch) continue
      for (const { baseSequence } of batches) this.#expected = Math.max(this.#expected, baseSequence + 1)
    }
    if (this.#epoch !== epochBefore) this.#incomplete.clear()
    this.#known = true
  }

  #wait(epoch: number, sequence: number): Promise<void> {
    if (this.#waiting.length >= this.#waitingMax) {
      throw new TailraceError(
        'overloaded',
        `${this.#waitingMax} requests of this producer wait for their predecessors already`,
        { waiting_requests: this.#waiting.length, limit_requests: this.#waitingMax },
      )
    }
    return new Promise((begin, refuse) => {
      this.#waiting.push({ epoch, sequence, begin, refuse })
    })
  }

  /** What would be expected if all that is under way and waiting is stored. */
  #nextInLine(epoch: number): number {
    let next = epoch === this.#epoch ? this.#expected : 0
    if (this.#current?.epoch === epoch) next = Math.max(next, this.#current.sequence + 1)
    for (const turn of this.#waiting) if (turn.epoch === epoch) next = Math.max(next, turn.sequence + 1)
    return next
  }

  #checkTurn({ epoch, sequence }: Turn, expected: number): void {
    if (epoch < this.#epoch) {
      throw new TailraceError(
        'invalid_producer_epoch',
        `the producer's epoch is ${this.#epoch} by now, a request came with ${epoch}`,
        { current_epoch: this.#epoch, epoch },
      )
    }
    const due = this.#dueBefore(epoch, sequence)
    if (due !== undefined) {
      throw new TailraceError(
        'out_of_order_sequence_number',
        `request ${due} of this producer is not stored in every partition: it must be repeated before ${sequence} comes`,
        { expected: due, received: sequence, epoch },
      )
    }
    if (sequence <= expected) return
    throw new TailraceError('out_of_order_sequence_number', this.#gap({ epoch, sequence }, expected), {
      expected,
      received: sequence,
      epoch,
    })
  }

  #gap({ epoch, sequence }: Turn, expected: number): string {
    const isNew = epoch > this.#epoch && expected === 0
    if (isNew && this.#epoch < 0) {
      return `this producer is not known to the topic (a silent one is forgotten after a while): request 0 is expected, ${sequence} came`
    }
    if (isNew) return `a new epoch starts with request 0, epoch ${epoch} came with ${sequence}`
    return `request ${expected} of this producer is expected next, ${sequence} came`
  }

  /** A number with gaps that would no longer be remembered once this one is stored: it would pass for stored then. */
  #dueBefore(epoch: number, sequence: number): number | undefined {
    if (epoch !== this.#epoch) return undefined
    for (const due of this.#incomplete) if (due <= sequence - PRODUCER_BATCHES_REMEMBERED) return due
    return undefined
  }

  /** The highest epoch's lowest number first: a repeat before what follows it. Those that cannot follow are refused. */
  #beginNext(): void {
    while (this.#current === undefined) {
      const turn = this.#takeFirst()
      if (turn === undefined) return
      const { epoch, sequence } = turn
      try {
        this.#checkTurn(turn, epoch === this.#epoch ? this.#expected : 0)
        this.#current = { epoch, sequence }
        turn.begin()
      } catch (error) {
        turn.refuse(asTailraceError(error))
      }
    }
  }

  #takeFirst(): WaitingTurn | undefined {
    let first: WaitingTurn | undefined
    for (const turn of this.#waiting) {
      if (first === undefined || turn.epoch > first.epoch) first = turn
      else if (turn.epoch === first.epoch && turn.sequence < first.sequence) first = turn
    }
    this.#waiting = this.#waiting.filter((turn) => turn !== first)
    return first
  }

  #refuseAll(error: TailraceError): void {
    const refused = this.#waiting
    this.#waiting = []
    for (const turn of refused) turn.refuse(error)
  }
}
