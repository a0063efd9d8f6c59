// What became of a produce request, record by record in the request's order, without an object for a record: one part a
// partition holds its first record's offset, a record's own offset is counted from there. HTTP asks for what it writes:
// `for (i < recordCount) partition(i), offset(i), timestamp(i), error(i)`.

import type { ProduceRecord } from '../../codec/produce-record.ts'
import type { Topic } from '../../engine/engine.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import type { PartOwner, ProducePart } from './produce-part.ts'

export class ProduceResult implements PartOwner {
  readonly topic: Topic
  readonly records: readonly ProduceRecord[]
  /** One for each partition that is written, in order of their first records. */
  parts: readonly ProducePart[] = []
  /** For each record its part, -1 for a refused one; undefined where all records are in the one part. */
  partOf: Int32Array | undefined = undefined
  /** For each record its place in its part. */
  rankOf: Int32Array | undefined = undefined
  /** Records that were refused for what they are, where the rest is taken. */
  refused: Map<number, TailraceError> | undefined = undefined
  #pending = 0
  #resolve: ((result: ProduceResult) => void) | undefined = undefined

  constructor(topic: Topic, records: readonly ProduceRecord[]) {
    this.topic = topic
    this.records = records
  }

  get recordCount(): number {
    return this.records.length
  }

  /** -1: refused before it had one. */
  partition(index: number): number {
    return this.#part(index)?.partition ?? -1
  }

  /** -1: not stored, not known any more (an old repeat), or not waited for (acks 'none'). */
  offset(index: number): number {
    const part = this.#part(index)
    if (part === undefined || part.baseOffset < 0) return -1
    return part.baseOffset + (this.rankOf === undefined ? index : (this.rankOf[index] as number))
  }

  /** ms since the epoch, as stored; -1: not known. */
  timestamp(index: number): number {
    const appendTimeMs = this.#part(index)?.logAppendTimeMs ?? -1
    if (appendTimeMs >= 0) return appendTimeMs
    if (this.topic.config.messageTimestampType === 'LogAppendTime') return -1
    return this.records[index]?.timestamp ?? -1
  }

  /** Why this record is not stored (after kafka_storage_error: perhaps not stored). */
  error(index: number): TailraceError | undefined {
    return this.refused?.get(index) ?? this.#part(index)?.error
  }

  /** Something of this named producer's request was there already. */
  get duplicate(): boolean {
    for (const part of this.parts) if (part.duplicate) return true
    return false
  }

  /** The first error of a partition: the request was accepted, and this is what went wrong afterwards. */
  get failure(): TailraceError | undefined {
    for (const part of this.parts) if (part.error !== undefined) return part.error
    return undefined
  }

  /** For the service: resolves with this result when as many parts have settled. */
  whenSettled(partCount: number): Promise<ProduceResult> {
    this.#pending = partCount
    if (partCount === 0) return Promise.resolve(this)
    return new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  partSettled(): void {
    this.#pending--
    if (this.#pending === 0) this.#resolve?.(this)
  }

  #part(index: number): ProducePart | undefined {
    return this.parts[this.partOf === undefined ? 0 : (this.partOf[index] as number)]
  }
}
