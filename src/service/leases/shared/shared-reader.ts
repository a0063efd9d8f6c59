// Reads for a shared group what its window of a partition says is free, and what comes behind it, and hands the records to
// a poll one by one. Offsets at which nothing is any more are told too. Whoever calls has the partition to itself.

import type { Engine, FetchedPartition, Topic } from '../../../engine/engine.ts'
import type { ByteRoom } from '../../../kernel/byte-room.ts'
import type { TailraceError } from '../../../kernel/errors.ts'
import { PAGE_BYTES_MAX, SHARED_POLL_FETCHES_MAX } from '../../../kernel/limits.ts'
import type { Telemetry } from '../../../kernel/telemetry.ts'
import type { PollSink } from '../../groups/group-poll.ts'
import type { Gap } from '../../read/page.ts'
import { ReadEstimates } from '../../read/read-estimates.ts'
import { RecordWalk, unreadable } from '../../read/record-walk.ts'
import type { SharedWindow, WindowRecord } from './shared-window.ts'

export interface SharedPartition<Holder> {
  readonly topic: Topic
  readonly partition: number
  readonly window: SharedWindow<Holder>
}

/** What a poll still wants. */
export interface ReadBudget {
  records: number
  bytes: number
  /** Nothing was given yet: the first record comes, whatever its size. */
  isFirst: boolean
}

export interface RecordTaker<Holder> {
  /** The poll would give a record that is free; gives its attempts, or undefined when it is not to be given. */
  take(record: WindowRecord<Holder>): number | undefined
  /** There is no record at its offset any more. */
  gone(record: WindowRecord<Holder>): void
}

export interface SharedRead {
  readonly gaps: readonly Gap[]
  /** undefined: the partition was not asked. */
  readonly endOffset: number | undefined
  /** There is nothing more to be had now, whatever the end offset is. */
  readonly isExhausted: boolean
  readonly fault: TailraceError | undefined
}

interface Reading {
  readonly gaps: Gap[]
  endOffset: number | undefined
  isExhausted: boolean
  fault: TailraceError | undefined
}

export interface SharedReaderDependencies {
  readonly engine: Engine
  readonly inflations: ByteRoom
  readonly telemetry: Telemetry
}

export class SharedReader {
  readonly #engine: Engine
  readonly #inflations: ByteRoom
  readonly #telemetry: Telemetry
  readonly #estimates = new ReadEstimates()

  constructor({ engine, inflations, telemetry }: SharedReaderDependencies) {
    this.#engine = engine
    this.#inflations = inflations
    this.#telemetry = telemetry
  }

  async read<Holder>(
    from: SharedPartition<Holder>,
    budget: ReadBudget,
    sink: PollSink,
    taker: RecordTaker<Holder>,
  ): Promise<SharedRead> {
    const reading: Reading = { gaps: [], endOffset: undefined, isExhausted: false, fault: undefined }
    const walk = new RecordWalk(this.#inflations)
    const giver = new Giver(from, budget, sink, taker)
    const { window } = from
    try {
      let next = window.start
      for (let fetches = 0; fetches < SHARED_POLL_FETCHES_MAX && !giver.isFull; fetches++) {
        const run = window.freeRun(next)
        if (run === undefined && window.room < 1) break
        const at = run?.from ?? window.end
        const reached = await this.#readRun(from, at, run?.to, giver, walk, reading)
        if (reached === undefined) break
        next = reached
      }
    } finally {
      walk.end()
    }
    this.#telemetry.fetchRequests++
    this.#telemetry.recordsOut += giver.recordCount
    this.#telemetry.bytesOut += giver.recordBytes
    return reading
  }

  /** Gives what lies from `at` on to `to`, or as far as there is; and where it came to, undefined if nowhere. */
  async #readRun<Holder>(
    { topic, partition, window }: SharedPartition<Holder>,
    at: number,
    to: number | undefined,
    giver: Giver<Holder>,
    walk: RecordWalk,
    reading: Reading,
  ): Promise<number | undefined> {
    const part = await this.#fetch(topic, partition, at, giver.wanted(to === undefined ? window.room : to - at))
    const { error, logStartOffset } = part
    if (error === undefined || error.code === 'offset_out_of_range') reading.endOffset = part.highWatermark
    if (error?.code === 'offset_out_of_range' && logStartOffset > at) {
      const end = Math.min(to ?? logStartOffset, logStartOffset)
      reading.gaps.push({ topic: topic.name, partition, from: at, to: end, reason: 'removed' })
      if (giver.pass(at, end, to !== undefined)) return end
    } else if (error !== undefined) reading.fault = unreadable(topic, { partition, offset: at }, error)
    else {
      walk.begin(part, at)
      const reached = await giver.giveAll(walk, at, to)
      this.#estimates.observe(topic.id, {
        batchBytes: walk.batchBytes,
        batchCount: walk.batchCount,
        recordCount: walk.batchRecordCount,
      })
      if (reached > at) return reached
    }
    reading.isExhausted = true
    return undefined
  }

  async #fetch(
    topic: Topic,
    partition: number,
    offset: number,
    wanted: { readonly records: number; readonly bytes: number },
  ): Promise<FetchedPartition> {
    const { bytesPerRecord, batchBytes } = this.#estimates.of(topic.id)
    const bytesMax = Math.min(PAGE_BYTES_MAX, wanted.bytes + batchBytes)
    const maxBytes = Math.ceil(Math.min(bytesMax, wanted.records * bytesPerRecord * 1.02 + batchBytes))
    const [part] = await this.#engine.fetch([{ topic, partition, offset }], {
      minBytes: 0,
      maxBytes,
      maxWaitMs: 0,
      isolation: 'read_committed',
    })
    return part as FetchedPartition
  }
}

/** Hands the records of walks to a poll, until that has enough. */
class Giver<Holder> {
  readonly #from: SharedPartition<Holder>
  readonly #budget: ReadBudget
  readonly #sink: PollSink
  readonly #taker: RecordTaker<Holder>
  #timestampType: string | undefined
  recordCount = 0
  recordBytes = 0
  isFull = false

  constructor(from: SharedPartition<Holder>, budget: ReadBudget, sink: PollSink, taker: RecordTaker<Holder>) {
    this.#from = from
    this.#budget = budget
    this.#sink = sink
    this.#taker = taker
  }

  wanted(records: number): { readonly records: number; readonly bytes: number } {
    return { records: Math.min(records, this.#budget.records), bytes: this.#budget.bytes }
  }

  /** Of free records up to `to`, or of those behind the window. Gives where it came to. */
  async giveAll(walk: RecordWalk, at: number, to: number | undefined): Promise<number> {
    const { window } = this.#from
    let next = at
    do {
      while (walk.next()) {
        const { offset } = walk.record
        if (to !== undefined && offset >= to) {
          this.pass(next, to, true)
          return to
        }
        if (!this.pass(next, offset, to !== undefined)) return next
        next = offset
        const record = to === undefined ? window.append(offset) : window.find(offset)
        if (record === undefined) return next
        if (record.state === 'free' && !this.#give(walk, record)) return next
        next = offset + 1
        if (this.isFull) return next
      }
    } while (await walk.inflate())
    const end = Math.min(walk.nextOffset, to ?? walk.nextOffset)
    return this.pass(next, end, to !== undefined) ? end : next
  }

  /** There is nothing from one offset up to another. False when that cannot be noted: the window is full. */
  pass(from: number, to: number, isKnown: boolean): boolean {
    const { window } = this.#from
    if (!isKnown) return window.passTo(to)
    for (let offset = from; offset < to; offset++) {
      const record = window.find(offset)
      if (record?.state === 'free') this.#taker.gone(record)
    }
    return true
  }

  /** False when it has to wait for another poll: this one has too many bytes with it. */
  #give(walk: RecordWalk, record: WindowRecord<Holder>): boolean {
    const budget = this.#budget
    const bytes = walk.record.recordEnd - walk.record.recordStart
    if (bytes > budget.bytes && !budget.isFirst) {
      this.isFull = true
      return false
    }
    const attempts = this.#taker.take(record)
    if (attempts === undefined) return true
    const { topic, partition } = this.#from
    if (walk.record.timestampType !== this.#timestampType) {
      this.#timestampType = walk.record.timestampType
      this.#sink.begin(topic.name, partition, walk.record.timestampType, topic.id)
    }
    this.#sink.attempt?.(attempts)
    this.#sink.write(walk.record)
    budget.isFirst = false
    budget.records--
    budget.bytes -= bytes
    this.recordCount++
    this.recordBytes += bytes
    if (this.#sink.isFull === true) budget.bytes = 0
    this.isFull = budget.records <= 0 || budget.bytes <= 0
    return true
  }
}
