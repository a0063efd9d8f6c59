// Producers that name themselves may send a request again, and it is stored once: over lost replies, failed partitions,
// restarts and added partitions. A producer numbers its requests to one topic 0, 1, 2 …; each partition's batch carries
// that number, so the log itself is the memory: what is expected next is 1 + the highest number in the topic's
// partitions, and a repeat is stored only where it is missing. Path A3, in place of the gate.
//
// Always: of one producer and topic one request is under way at a time, in the order of their numbers. Numbers move only
// when something was stored; after any failure the truth is read from the engine again. A repeat is placed as its first
// attempt was: over the partitions of that time, keyless records by (id, number).

import type { ProduceRecord } from '../../codec/produce-record.ts'
import type { Acks, Engine, ProducerPartitionState, Topic } from '../../engine/engine.ts'
import type { Clock } from '../../kernel/clock.ts'
import { TailraceError } from '../../kernel/errors.ts'
import {
  PRODUCER_BATCHES_REMEMBERED,
  PRODUCER_NAME_CHARS_MAX,
  PRODUCER_WAITING_REQUESTS_MAX,
  PRODUCERS_CACHED_MAX,
} from '../../kernel/limits.ts'
import type { Telemetry } from '../../kernel/telemetry.ts'
import { recordSizeUpperBound } from '../../record/record-batch.ts'
import type { PlacementLock } from '../topics.ts'
import { unknownTopic } from '../topics.ts'
import { partitionForRequest } from './partitioner.ts'
import type { ProduceGates } from './produce-gate.ts'
import type { ProducePart } from './produce-part.ts'
import type { BadRecords, ContentRules, Placement } from './produce-plan.ts'
import { checkParts, fitParts, planParts, planRepeat, stampTimestamp } from './produce-plan.ts'
import { ProduceResult } from './produce-result.ts'
import type { TurnOutcome } from './producer-session.ts'
import { ProducerSession } from './producer-session.ts'
import type { RegisteredSchemas } from './schema-validation.ts'
import { schemaCheckOf } from './schema-validation.ts'

export interface ProducerRequest {
  /** Producer-Id. */
  readonly name: string
  /** Producer-Epoch, int16 from 0. */
  readonly epoch: number
  /** Producer-Seq, int32 from 0: the number of this request to this topic. */
  readonly sequence: number
}

const EPOCH_MAX = 2 ** 15 - 1
const SEQUENCE_MAX = 2 ** 31 - 1

interface NamedRequest {
  readonly topic: Topic
  readonly records: readonly ProduceRecord[]
  readonly acks: Acks
  readonly producerId: bigint
  readonly epoch: number
  readonly sequence: number
}

export interface NamedProducersDependencies {
  readonly engine: Engine
  readonly schemas: RegisteredSchemas
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly gates: ProduceGates
  readonly placement: PlacementLock
}

export class NamedProducers {
  readonly #engine: Engine
  readonly #schemas: RegisteredSchemas
  readonly #clock: Clock
  readonly #telemetry: Telemetry
  readonly #gates: ProduceGates
  readonly #placement: PlacementLock
  readonly #sessions = new Map<string, ProducerSession>()

  constructor({ engine, schemas, clock, telemetry, gates, placement }: NamedProducersDependencies) {
    this.#engine = engine
    this.#schemas = schemas
    this.#clock = clock
    this.#telemetry = telemetry
    this.#gates = gates
    this.#placement = placement
  }

  /** invalid_request: what a named request may not be, whatever its records. */
  check({ name, epoch, sequence }: ProducerRequest, acks: Acks, badRecords: BadRecords): void {
    if (!this.#engine.capabilities.namedProducers) throw invalid('this engine knows no named producers', {})
    if (name.length < 1 || name.length > PRODUCER_NAME_CHARS_MAX) {
      throw invalid(`a producer's name has 1 to ${PRODUCER_NAME_CHARS_MAX} characters`, {
        producer_id: name.slice(0, 60),
      })
    }
    checkRange('producer_epoch', epoch, EPOCH_MAX)
    checkRange('producer_seq', sequence, SEQUENCE_MAX)
    // With acks 'none' nothing would ever tell the producer which request to repeat.
    if (acks === 'none') throw invalid('a named producer needs acks 1 or all', { acks: '0' })
    // What is left out once must be left out of every repeat: that cannot be promised for what depends on the time.
    if (badRecords === 'report') throw invalid('a named request is taken whole or not at all', {})
  }

  produce(
    topic: Topic,
    records: readonly ProduceRecord[],
    acks: Acks,
    producer: ProducerRequest,
  ): Promise<ProduceResult> {
    return this.#engine.withProducerId(producer.name, (producerId) =>
      this.#produce(topic, records, acks, { ...producer, producerId }),
    )
  }

  async #produce(
    topic: Topic,
    records: readonly ProduceRecord[],
    acks: Acks,
    producer: ProducerRequest & { readonly producerId: bigint },
  ): Promise<ProduceResult> {
    const { producerId, epoch, sequence } = producer
    const session = this.#session(topic, producerId)
    await this.#takeTurn(session, producer, records)
    let result: ProduceResult | undefined
    try {
      const current = await this.#enterPlacement(topic)
      try {
        result = await this.#attempt(session, { topic: current, records, acks, producerId, epoch, sequence })
      } finally {
        this.#placement.leave(topic.id)
      }
    } finally {
      session.leave(outcomeOf(result))
    }
    if (result.duplicate) this.#telemetry.duplicates++
    return result
  }

  async #takeTurn(
    session: ProducerSession,
    { epoch, sequence }: ProducerRequest,
    records: readonly ProduceRecord[],
  ): Promise<void> {
    let bytes = 0
    for (const record of records) bytes += recordSizeUpperBound(record)
    this.#gates.hold(bytes)
    try {
      await session.enter(epoch, sequence)
    } finally {
      this.#gates.letGo(bytes)
    }
  }

  #attempt(session: ProducerSession, request: NamedRequest): Promise<ProduceResult> {
    const { epoch, sequence } = request
    if (epoch !== session.epoch || sequence >= session.expected) return this.#store(request)
    const remembered = sequence >= session.expected - PRODUCER_BATCHES_REMEMBERED
    return remembered ? this.#repeat(request) : Promise.resolve(answerOld(request))
  }

  /** The first attempt, or one after attempts of which nothing was stored. */
  async #store(request: NamedRequest): Promise<ProduceResult> {
    const result = new ProduceResult(request.topic, request.records)
    const placement = placementOf(request)
    planParts(result, placement, this.#rulesOf(request.topic), 'refuse')
    await this.#gates.holding(result.parts, () => fitParts(result, placement, 'refuse'))
    this.#gates.checkRoom(request.topic, result.parts)
    return this.#put(request, result, result.parts)
  }

  async #repeat(request: NamedRequest): Promise<ProduceResult> {
    const { topic, records, acks, producerId } = request
    const states = await this.#engine.producerState(topic, producerId)
    const result = new ProduceResult(topic, records)
    planRepeat(result, placementOf(request))
    const found = result.parts.filter((part) => recall(request, part, states))
    const lacking = result.parts.filter((part) => !found.includes(part))
    await this.#gates.holding(lacking, () => checkParts(result, lacking, this.#rulesOf(topic)))
    // Stored at first with acks 1 perhaps: the log answers a batch that it has when it is as durable as is asked now.
    const undurable = acks === 'all' ? await this.#findUndurable(topic, found) : []
    this.#gates.checkRoom(topic, lacking)
    return this.#put(request, result, [...lacking, ...undurable])
  }

  #rulesOf(topic: Topic): ContentRules {
    return { now: this.#clock.now(), check: schemaCheckOf(topic, this.#schemas) }
  }

  async #findUndurable(topic: Topic, parts: readonly ProducePart[]): Promise<readonly ProducePart[]> {
    const undurable: ProducePart[] = []
    for (const part of parts) {
      const { partition, baseOffset, records } = part
      try {
        const [end] = await this.#engine.listOffsets([{ topic, partition, at: 'latest' }])
        if (end === undefined || end.offset < baseOffset + records.length) undurable.push(part)
      } catch {
        // An offline partition cannot say what it holds for certain: to append there gives the reason as the part's error.
        undurable.push(part)
      }
    }
    return undurable
  }

  #put(request: NamedRequest, result: ProduceResult, parts: readonly ProducePart[]): Promise<ProduceResult> {
    const { topic, acks, producerId, epoch, sequence } = request
    const stamp = { producerId, producerEpoch: epoch, baseSequence: sequence }
    const settled = result.whenSettled(parts.length)
    for (const part of parts) this.#gates.putAlone(topic, part, acks, stamp)
    return settled
  }

  async #enterPlacement(topic: Topic): Promise<Topic> {
    for (let wait = this.#placement.enter(topic.id); wait !== undefined; wait = this.#placement.enter(topic.id)) {
      await wait
    }
    const current = this.#engine.findTopic(topic.name)
    if (current?.id === topic.id) return current
    this.#placement.leave(topic.id)
    if (current === undefined) throw unknownTopic(topic.name)
    throw new TailraceError('topic_recreated', `topic '${topic.name}' was deleted and made again meanwhile`, {
      topic: topic.name,
    })
  }

  #session(topic: Topic, producerId: bigint): ProducerSession {
    const key = `${topic.id}/${producerId}`
    let session = this.#sessions.get(key)
    if (session !== undefined) this.#sessions.delete(key)
    else {
      session = new ProducerSession({
        load: () => this.#engine.producerState(this.#latest(topic), producerId),
        waitingMax: PRODUCER_WAITING_REQUESTS_MAX,
      })
    }
    this.#sessions.set(key, session)
    this.#forgetSilent()
    return session
  }

  /** With all the partitions that it has by now; one that was made again under the name is another topic. */
  #latest(topic: Topic): Topic {
    const latest = this.#engine.findTopic(topic.name)
    return latest?.id === topic.id ? latest : topic
  }

  /** The longest silent first; one with a request under way stays. */
  #forgetSilent(): void {
    if (this.#sessions.size <= PRODUCERS_CACHED_MAX) return
    for (const [key, session] of this.#sessions) {
      if (!session.idle) continue
      this.#sessions.delete(key)
      return
    }
  }
}

/** Fills in what the partition remembers of this number; false where it has none. */
function recall(request: NamedRequest, part: ProducePart, states: readonly ProducerPartitionState[]): boolean {
  const { topic, epoch, sequence } = request
  const state = states.find(({ partition }) => partition === part.partition)
  if (state?.epoch !== epoch) return false
  const batch = state.batches.find(({ baseSequence }) => baseSequence === sequence)
  if (batch === undefined) return false
  if (batch.recordCount !== part.records.length) {
    throw invalid(
      `request ${sequence} was stored with ${batch.recordCount} records in partition ${part.partition}, its repeat has ${part.records.length}`,
      { producer_seq: sequence, partition: part.partition, records: part.records.length, stored: batch.recordCount },
    )
  }
  part.baseOffset = batch.baseOffset
  part.duplicate = true
  part.held = true
  if (topic.config.messageTimestampType === 'LogAppendTime') part.logAppendTimeMs = batch.timestamp
  else for (const record of part.records) stampTimestamp(topic, record, batch.timestamp)
  return true
}

/** Too long ago for its offsets to be remembered; that it was taken is certain. */
function answerOld(request: NamedRequest): ProduceResult {
  const result = new ProduceResult(request.topic, request.records)
  planRepeat(result, placementOf(request))
  for (const part of result.parts) part.duplicate = true
  return result
}

function placementOf({ topic, producerId, epoch, sequence }: NamedRequest): Placement {
  const partitionCount = partitionCountThen(topic, producerId, epoch, sequence)
  return { partitionCount, keyless: partitionForRequest(producerId, sequence, partitionCount) }
}

/** How many partitions the topic had when this request was placed first. */
function partitionCountThen(topic: Topic, producerId: bigint, epoch: number, sequence: number): number {
  for (const { partitionCountBefore, lastSequences } of topic.growths) {
    const last = lastSequences.get(producerId)
    if (last === undefined) continue
    if (epoch < last.epoch || (epoch === last.epoch && sequence <= last.sequence)) return partitionCountBefore
  }
  return topic.partitionCount
}

function outcomeOf(result: ProduceResult | undefined): TurnOutcome {
  if (result === undefined) return { stored: false, failed: false, lacking: false }
  return {
    stored: result.parts.some(({ error }) => error === undefined),
    failed: result.parts.some(({ error }) => error !== undefined),
    lacking: result.parts.some(({ error, held }) => error !== undefined && !held),
  }
}

function checkRange(name: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= max) return
  throw invalid(`${name} is a whole number from 0 to ${max}, not ${value}`, { [name]: value, min: 0, max })
}

function invalid(message: string, details: Record<string, unknown>): TailraceError {
  return new TailraceError('invalid_request', message, details)
}
