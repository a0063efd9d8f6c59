// The frames of one subscription on their way out. They carry its name and its generation, which rises whenever it begins
// to read something else: a client may drop frames of an earlier one. Until the subscribe is answered they are kept back.

import { LIVE_PIECE_BYTES } from '../../kernel/limits.ts'
import type { Caller } from '../../service/caller.ts'
import type { TailChunk } from '../../service/tail/tail.ts'
import { bytesOfJson } from '../problem.ts'
import type { Outbox } from './outbox.ts'
import type { RecordFrames } from './record-frames.ts'

export interface SubscriptionOwner {
  readonly caller: Caller
  readonly outbox: Outbox
  readonly frames: RecordFrames
  /** It has ended by itself. */
  ended(name: string): void
  /** Another socket has taken the place of this one. */
  supersede(reason: string): void
}

export class SubscriptionOutput {
  readonly name: string
  readonly #owner: SubscriptionOwner
  /** In place of all others, until the subscribe is answered. */
  #kept: Buffer[] | undefined = []
  #generation = 1
  #recordsHead: Buffer | undefined
  #hasSpoken = true
  #spokeAt = 0

  constructor(name: string, owner: SubscriptionOwner) {
    this.name = name
    this.#owner = owner
  }

  get caller(): Caller {
    return this.#owner.caller
  }

  /** The same for all subscriptions of a socket. */
  get connection(): object {
    return this.#owner
  }

  get generation(): number {
    return this.#generation
  }

  get hasBegun(): boolean {
    return this.#kept === undefined
  }

  /** What it reads is another thing from now on. */
  raise(): void {
    this.#generation++
    this.#recordsHead = undefined
  }

  /** Whether records may be sent; the subscription is woken when it was not so and is. */
  hasRoom(): boolean {
    return this.#kept === undefined && this.#owner.outbox.hasRoom()
  }

  /** `members` stand behind type, name and generation. */
  send(type: 'progress' | 'gap' | 'error' | 'end' | 'assigned' | 'revoked', members: object): void {
    this.#send(bytesOfJson({ type, sub: this.name, gen: this.#generation, ...members }))
  }

  /** `body`: what stands behind the generation, the comma in front of it included. Many subscriptions may share it. */
  sendRecords(chunk: Pick<TailChunk, 'body' | 'taken'>): void {
    const { body } = chunk
    this.#recordsHead ??= recordsHead(this.name, this.#generation)
    if (body.length < LIVE_PIECE_BYTES || this.#kept !== undefined) {
      this.#send(this.#owner.frames.join(this.#recordsHead, body))
      chunk.taken()
      return
    }
    this.#hasSpoken = true
    this.#owner.outbox.send(this.#recordsHead, body, () => chunk.taken())
  }

  /** The subscribe was answered: what was kept back goes out, the rest follows at once. */
  begin(): void {
    const kept = this.#kept ?? []
    this.#kept = undefined
    for (const frame of kept) this.#owner.outbox.send(frame)
  }

  /** Its last frame was sent, and nobody asked for that. */
  ended(): void {
    this.#owner.ended(this.name)
  }

  supersede(reason: string): void {
    this.#owner.supersede(reason)
  }

  /** Looked at about once in LIVE_SWEEP_MS: whether nothing was sent for so long. */
  isSilent(now: number, sinceMs: number, sweepMs: number): boolean {
    if (this.#hasSpoken) {
      this.#hasSpoken = false
      this.#spokeAt = now - sweepMs
    }
    return this.#kept === undefined && now - this.#spokeAt >= sinceMs
  }

  #send(frame: Buffer): void {
    this.#hasSpoken = true
    if (this.#kept === undefined) this.#owner.outbox.send(frame)
    else this.#kept.push(frame)
  }
}

function recordsHead(name: string, generation: number): Buffer {
  return Buffer.from(`{"type":"records","sub":${JSON.stringify(name)},"gen":${generation}`)
}
