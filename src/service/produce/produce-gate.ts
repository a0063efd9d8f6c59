// The gate of each partition: while an append is in flight, what arrives waits and goes together as one batch with the
// next (Kafka's accumulator with linger.ms 0); with none in flight a request goes at once. Path A3, between the checks of
// produce.ts and engine.append.
//
// A partition has two lanes, each with at most one append in flight: 'all' requests wait for its sync,
// 'leader' and 'none' requests only for its write, so neither holds up the other and both gather. Before an 'all' append
// leaves, what waits in the fast lane leaves: whoever was answered early is stored before what it sent next.
//
// Always: the records of one request and partition stay together in one batch; no batch of several requests is over
// GATHERED_BATCH_BYTES_MAX or the topic's max.message.bytes, and no append of several over its segment.bytes; a request
// never fails for what its neighbour sent; what waits is bounded; a partition with nothing under way has no gate.
// Everything runs on the event loop's one thread; batches leave uncompressed, the engine stores them as the topic wants
// them.
// A request costs one promise and one part for each partition: nothing is made for a record.

import type { Acks, Engine, Topic } from '../../engine/engine.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import { GATE_WAITING_BYTES_MAX, PRODUCE_WAITING_BYTES_MAX } from '../../kernel/limits.ts'
import type { Telemetry } from '../../kernel/telemetry.ts'
import type { SealedBatch } from '../../record/record-batch.ts'
import { sealBatch } from '../../record/record-batch.ts'
import { endOfAppend, sealAppend, settleAppend, settleBatch } from './gathered-append.ts'
import type { ProducePart } from './produce-part.ts'
import { failPart, unheard } from './produce-part.ts'

/** What a named producer's batch carries. */
export interface ProducerStamp {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly baseSequence: number
}

interface Lane {
  readonly acks: Acks
  waiting: ProducePart[]
  waitingBytes: number
  inFlight: number
}

interface Gate {
  /** As the latest request saw it: batches are sealed by its config. */
  topic: Topic
  readonly partition: number
  readonly fast: Lane
  readonly synced: Lane
}

export class ProduceGates {
  readonly #engine: Engine
  readonly #telemetry: Telemetry
  readonly #onOffline: (topic: Topic, partition: number) => void
  readonly #gates = new Map<string, Map<number, Gate>>()
  #pendingBytes = 0
  #idle: (() => void) | undefined = undefined

  constructor(dependencies: {
    readonly engine: Engine
    readonly telemetry: Telemetry
    /** A partition took nothing because of its storage. */
    readonly onOffline: (topic: Topic, partition: number) => void
  }) {
    this.#engine = dependencies.engine
    this.#telemetry = dependencies.telemetry
    this.#onOffline = dependencies.onOffline
  }

  /** Bytes taken in and not yet stored or failed. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** Partitions with something under way. */
  get size(): number {
    let size = 0
    for (const partitions of this.#gates.values()) size += partitions.size
    return size
  }

  /** overloaded, if not all of these can be taken in now. To be asked right before they are put. */
  checkRoom(topic: Topic, parts: readonly ProducePart[]): void {
    let bytes = 0
    for (const part of parts) {
      bytes += part.sizeBytes
      const gate = this.#gates.get(topic.id)?.get(part.partition)
      const waiting = gate === undefined ? 0 : gate.fast.waitingBytes + gate.synced.waitingBytes
      if (waiting > 0 && waiting + part.sizeBytes > GATE_WAITING_BYTES_MAX) {
        throw overloaded(`partition ${part.partition} of topic '${topic.name}'`, waiting, GATE_WAITING_BYTES_MAX)
      }
    }
    this.#checkTotal(bytes)
  }

  /** Counts what waits elsewhere before it is put: a named producer's request for its turn. overloaded. */
  hold(bytes: number): void {
    this.#checkTotal(bytes)
    this.#pendingBytes += bytes
  }

  letGo(bytes: number): void {
    this.#pendingBytes -= bytes
    this.#tellIdle()
  }

  /** The same for parts while work on them is under way. */
  async holding(parts: readonly ProducePart[], work: () => Promise<void>): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0)
    this.hold(bytes)
    try {
      await work()
    } finally {
      this.letGo(bytes)
    }
  }

  #checkTotal(bytes: number): void {
    if (this.#pendingBytes === 0 || this.#pendingBytes + bytes <= PRODUCE_WAITING_BYTES_MAX) return
    throw overloaded('this server', this.#pendingBytes, PRODUCE_WAITING_BYTES_MAX)
  }

  /** Takes a part in. With acks 'none' its owner is told before this returns, else when the part is stored or failed. */
  put(topic: Topic, part: ProducePart, acks: Acks): void {
    const gate = this.#gate(topic, part.partition)
    gate.topic = topic
    const lane = acks === 'all' ? gate.synced : gate.fast
    this.#pendingBytes += part.sizeBytes
    lane.waiting.push(acks === 'none' ? unheard(part) : part)
    lane.waitingBytes += part.sizeBytes
    if (lane.inFlight === 0) this.#release(gate, lane)
    if (acks === 'none') part.owner.partSettled(part)
  }

  /** Stores a part as a batch of its own, at once: a named producer's carries its number and joins no other. */
  putAlone(topic: Topic, part: ProducePart, acks: Acks, stamp: ProducerStamp): void {
    const { sizeBytes } = part
    this.#pendingBytes += sizeBytes
    const over = () => this.letGo(sizeBytes)
    try {
      const batch = sealBatch(part.records, { ...stamp, compression: 'none' })
      this.#count(batch, 1)
      this.#engine.append(topic, part.partition, [batch], acks).then(
        (appended) => {
          over()
          settleBatch([part], 0, 1, appended[0])
        },
        (error) => {
          over()
          failPart(part, error)
        },
      )
    } catch (error) {
      over()
      failPart(part, error)
    }
  }

  /** Resolves when nothing is under way any more. */
  drained(): Promise<void> {
    if (this.#pendingBytes === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const before = this.#idle
      this.#idle = () => {
        before?.()
        resolve()
      }
    })
  }

  #gate(topic: Topic, partition: number): Gate {
    let partitions = this.#gates.get(topic.id)
    if (partitions === undefined) {
      partitions = new Map()
      this.#gates.set(topic.id, partitions)
    }
    let gate = partitions.get(partition)
    if (gate === undefined) {
      gate = { topic, partition, fast: openLane('leader'), synced: openLane('all') }
      partitions.set(partition, gate)
    }
    return gate
  }

  #release(gate: Gate, lane: Lane): void {
    if (lane === gate.synced && gate.fast.waiting.length > 0) this.#send(gate, gate.fast)
    this.#send(gate, lane)
  }

  #send(gate: Gate, lane: Lane): void {
    const parts = lane.waiting
    const bytes = lane.waitingBytes
    lane.waiting = []
    lane.waitingBytes = 0
    // an append lies in one segment, which is to be no larger for what was gathered
    const bytesMax = gate.topic.config.segmentBytes
    if (bytes <= bytesMax) {
      this.#append(gate, lane, parts, bytes)
      return
    }
    for (let start = 0; start < parts.length; ) {
      const some = parts.slice(start, endOfAppend(parts, start, bytesMax))
      const someBytes = some.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      this.#append(gate, lane, some, someBytes)
      start += some.length
    }
  }

  #append(gate: Gate, lane: Lane, parts: readonly ProducePart[], bytes: number): void {
    lane.inFlight++
    try {
      const sealed = sealAppend(gate.topic, parts)
      for (let at = 0; at < sealed.ends.length; at++) {
        this.#count(sealed.batches[at] as SealedBatch, (sealed.ends[at] as number) - (sealed.ends[at - 1] ?? 0))
      }
      this.#engine.append(gate.topic, gate.partition, sealed.batches, lane.acks).then(
        (appended) => {
          this.#sent(gate, lane, bytes)
          settleAppend(parts, sealed.ends, appended)
        },
        (error) => this.#refused(gate, lane, parts, bytes, error),
      )
    } catch (error) {
      this.#refused(gate, lane, parts, bytes, error)
    }
  }

  /** One lane's append is through: the next may go, before anybody is told. */
  #sent(gate: Gate, lane: Lane, bytes: number): void {
    lane.inFlight--
    this.#pendingBytes -= bytes
    if (lane.inFlight === 0 && lane.waiting.length > 0) this.#release(gate, lane)
    const { fast, synced } = gate
    if (fast.inFlight + synced.inFlight + fast.waiting.length + synced.waiting.length === 0) this.#drop(gate)
    this.#tellIdle()
  }

  #drop(gate: Gate): void {
    const partitions = this.#gates.get(gate.topic.id)
    partitions?.delete(gate.partition)
    if (partitions?.size === 0) this.#gates.delete(gate.topic.id)
  }

  /** Nothing of the append is stored if its content was refused: then each request stands for itself. */
  #refused(gate: Gate, lane: Lane, parts: readonly ProducePart[], bytes: number, error: unknown): void {
    if (parts.length > 1 && error instanceof TailraceError && BLAMES_CONTENT.has(error.code)) {
      for (const part of parts) this.#append(gate, lane, [part], part.sizeBytes)
      this.#sent(gate, lane, 0)
      return
    }
    this.#sent(gate, lane, bytes)
    if (asTailraceError(error).code === 'kafka_storage_error') this.#onOffline(gate.topic, gate.partition)
    for (const part of parts) failPart(part, error)
  }

  #count(batch: SealedBatch, requestCount: number): void {
    this.#telemetry.gatheredRequests.observe(requestCount)
    this.#telemetry.recordsIn += batch.header.recordCount
    this.#telemetry.bytesIn += batch.bytes.length
  }

  #tellIdle(): void {
    if (this.#pendingBytes > 0 || this.#idle === undefined) return
    const tell = this.#idle
    this.#idle = undefined
    tell()
  }
}

const BLAMES_CONTENT: ReadonlySet<string> = new Set([
  'message_too_large',
  'corrupt_message',
  'invalid_record',
  'invalid_timestamp',
])

function openLane(acks: Acks): Lane {
  return { acks, waiting: [], waitingBytes: 0, inFlight: 0 }
}

function overloaded(where: string, waiting: number, limit: number): TailraceError {
  return new TailraceError('overloaded', `${waiting} bytes wait to be stored by ${where}, ${limit} are allowed`, {
    waiting_bytes: waiting,
    limit_bytes: limit,
  })
}
