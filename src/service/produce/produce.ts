// Produce: checks a request completely, places its records, and hands each partition's to its gate. Path A2. Until all of
// it is checked nothing is stored and no topic is made; from then on each partition's outcome stands for itself.
// Records belong to the service from the call on: one that came without a time is given one in place.

import type { ProduceRecord } from '../../codec/produce-record.ts'
import type { Acks, Engine, Topic } from '../../engine/engine.ts'
import type { Clock } from '../../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import { PRODUCE_RECORDS_MAX } from '../../kernel/limits.ts'
import type { Telemetry } from '../../kernel/telemetry.ts'
import type { Caller } from '../caller.ts'
import type { TopicService } from '../topics.ts'
import type { ProducerRequest } from './named-producer.ts'
import { NamedProducers } from './named-producer.ts'
import { StickyPartitioner } from './partitioner.ts'
import { ProduceGates } from './produce-gate.ts'
import type { BadRecords } from './produce-plan.ts'
import { fitParts, isFitting, planParts } from './produce-plan.ts'
import { ProduceResult } from './produce-result.ts'
import type { RegisteredSchemas } from './schema-validation.ts'
import { schemaCheckOf } from './schema-validation.ts'

export interface ProduceOptions {
  readonly acks: Acks
  /** A producer that names itself: the request is stored once, however often it is sent. Not with acks 'none' or 'report'. */
  readonly producer?: ProducerRequest | undefined
  /** 'refuse': one bad record refuses all (details.index). 'report': the others are stored, result.error says what was bad. */
  readonly badRecords: BadRecords
  /**
   * Called when its place among the requests to its partitions is settled: what is produced from then on comes after it.
   * Not called where it fails before. A producer that names itself has its place by its number.
   */
  readonly onPlaced?: (() => void) | undefined
}

export interface ProduceService {
  /**
   * Rejects when nothing was stored: the request, its content, or no room. Else resolves when every partition has settled,
   * also when some failed: result.failure and result.error(index) tell.
   */
  produce(
    caller: Caller,
    topicName: string,
    records: readonly ProduceRecord[],
    options: ProduceOptions,
  ): Promise<ProduceResult>
  /** Takes no more, and resolves when all that was taken has settled. */
  close(): Promise<void>
}

export interface ProduceDependencies {
  readonly engine: Engine
  readonly topics: TopicService
  /** Which schemas there are, for topics that hold their records to some. */
  readonly schemas: RegisteredSchemas
  readonly clock: Clock
  readonly telemetry: Telemetry
}

export function createProduceService(dependencies: ProduceDependencies): ProduceService {
  return new Producing(dependencies)
}

class Producing implements ProduceService {
  readonly #engine: Engine
  readonly #topics: TopicService
  readonly #schemas: RegisteredSchemas
  readonly #clock: Clock
  readonly #telemetry: Telemetry
  readonly #gates: ProduceGates
  readonly #named: NamedProducers
  readonly #sticky = new StickyPartitioner()
  /** What does not go straight to a gate: waits for a topic to be made, or for its turn. */
  readonly #underWay = new Set<Promise<ProduceResult>>()
  #closed = false

  constructor({ engine, topics, schemas, clock, telemetry }: ProduceDependencies) {
    this.#engine = engine
    this.#topics = topics
    this.#schemas = schemas
    this.#clock = clock
    this.#telemetry = telemetry
    const onOffline = (topic: Topic, partition: number) => this.#sticky.leave(topic, partition)
    this.#gates = new ProduceGates({ engine, telemetry, onOffline })
    const { placement } = topics
    this.#named = new NamedProducers({ engine, schemas, clock, telemetry, gates: this.#gates, placement })
  }

  // Not async: that would be a second promise for each of many thousand requests a second.
  produce(
    caller: Caller,
    topicName: string,
    records: readonly ProduceRecord[],
    options: ProduceOptions,
  ): Promise<ProduceResult> {
    this.#telemetry.produceRequests++
    try {
      if (this.#closed) throw new TailraceError('shutting_down', 'the server is shutting down')
      this.#topics.checkWritable(caller, topicName)
      checkRecordCount(records.length)
      if (options.producer !== undefined) this.#named.check(options.producer, options.acks, options.badRecords)
      const topic = this.#engine.findTopic(topicName)
      if (topic === undefined) return this.#follow(this.#produceToNew(caller, topicName, records, options))
      return this.#produceTo(topic, records, options)
    } catch (error) {
      return Promise.reject(asTailraceError(error))
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#underWay)
    await this.#gates.drained()
  }

  #follow(request: Promise<ProduceResult>): Promise<ProduceResult> {
    const over = () => this.#underWay.delete(request)
    this.#underWay.add(request)
    request.then(over, over)
    return request
  }

  /** The content is checked against what the topic would be; only then is it made. */
  async #produceToNew(
    caller: Caller,
    topicName: string,
    records: readonly ProduceRecord[],
    options: ProduceOptions,
  ): Promise<ProduceResult> {
    const planned = this.#topics.plan(caller, topicName)
    this.#checkReplicas(planned, options.acks)
    const attempt = await this.#plan(planned, records, options)
    if (attempt.parts.length === 0) return attempt
    return this.#produceTo(await this.#topics.autoCreate(caller, topicName), records, options)
  }

  #produceTo(topic: Topic, records: readonly ProduceRecord[], options: ProduceOptions): Promise<ProduceResult> {
    const { acks, producer } = options
    this.#checkReplicas(topic, acks)
    if (producer !== undefined) {
      options.onPlaced?.()
      return this.#follow(this.#named.produce(topic, records, acks, producer))
    }
    const planned = this.#plan(topic, records, options)
    if (planned instanceof ProduceResult) return this.#put(planned, options)
    return this.#follow(planned.then((result) => this.#put(result, options)))
  }

  #put(result: ProduceResult, { acks, onPlaced }: ProduceOptions): Promise<ProduceResult> {
    const { topic, parts } = result
    this.#gates.checkRoom(topic, parts)
    const settled = result.whenSettled(parts.length)
    for (let at = 0; at < parts.length; at++) {
      const part = parts[at]
      if (part !== undefined) this.#gates.put(topic, part, acks)
    }
    this.#stick(result)
    onPlaced?.()
    return settled
  }

  /** A promise, where batches must be made to see whether they fit. */
  #plan(
    topic: Topic,
    records: readonly ProduceRecord[],
    { badRecords }: ProduceOptions,
  ): ProduceResult | Promise<ProduceResult> {
    const result = new ProduceResult(topic, records)
    const placement = { partitionCount: topic.partitionCount, keyless: this.#sticky.partition(topic) }
    const check = schemaCheckOf(topic, this.#schemas)
    planParts(result, placement, { now: this.#clock.now(), check }, badRecords)
    if (isFitting(result)) return result
    return this.#gates.holding(result.parts, () => fitParts(result, placement, badRecords)).then(() => result)
  }

  /** Counts what keyless records brought to their partition. */
  #stick(result: ProduceResult): void {
    const { topic, records, parts } = result
    if (topic.partitionCount === 1) return
    const keyless = this.#sticky.partition(topic)
    for (let index = 0; index < records.length; index++) {
      const record = records[index] as ProduceRecord
      if (record.partition >= 0 || record.keyStart >= 0) continue
      const part = parts.find(({ partition }) => partition === keyless)
      if (part !== undefined) this.#sticky.add(topic, part.sizeBytes)
      return
    }
  }

  #checkReplicas(topic: Topic, acks: Acks): void {
    const { minInsyncReplicas } = topic.config
    const { replicationFactorMax } = this.#engine.capabilities
    if (acks !== 'all' || minInsyncReplicas <= replicationFactorMax) return
    throw new TailraceError(
      'not_enough_replicas',
      `topic '${topic.name}' has min.insync.replicas ${minInsyncReplicas} and at most ${replicationFactorMax} in sync: acks=all (the default) can never be kept; produce with acks=1, or set min.insync.replicas to ${replicationFactorMax}`,
      { topic: topic.name, min_insync_replicas: minInsyncReplicas, in_sync_replicas: replicationFactorMax },
    )
  }
}

function checkRecordCount(count: number): void {
  if (count > 0 && count <= PRODUCE_RECORDS_MAX) return
  throw new TailraceError(
    'invalid_request',
    `a request carries 1 to ${PRODUCE_RECORDS_MAX} records, this one has ${count}`,
    { records: count, min: 1, max: PRODUCE_RECORDS_MAX },
  )
}
