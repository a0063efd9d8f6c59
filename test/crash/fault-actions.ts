// What clients do in a history, several at once: each draws what it does, does it, and notes in the promises how it was
// answered.

import assert from 'node:assert/strict'
import type { Acks, BatchAppended, Topic } from '../../src/engine/engine.ts'
import type { TailraceError } from '../../src/kernel/errors.ts'
import type { SealedBatch } from '../../src/record/record-batch.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import type { Random } from '../support/random.ts'
import { partsOf } from '../support/record-parts.ts'
import { FaultCommits } from './fault-commits.ts'
import type { FaultWorld, Life } from './fault-world.ts'
import { isStorageFailure } from './fault-world.ts'
import type { SentBatch, SentRecord } from './partition-promises.ts'
import type { Configs, TopicPromises } from './topic-promises.ts'

const NAMES = ['a', 'b', 'c']
const KEYS = ['k0', 'k1', 'k2', 'k3', 'k4', 'k5']

/** After these nothing of the append is stored. */
const STORED_NOTHING = new Set([
  'disk_full',
  'invalid_record',
  'overloaded',
  'request_cancelled',
  'shutting_down',
  'unknown_topic_or_partition',
  'topic_recreated',
])

/** A producer of one partition that names itself, and repeats a request until it is answered. */
interface NamedProducer {
  readonly topic: TopicPromises
  readonly partition: number
  /** undefined: it brings its own id. */
  readonly name: string | undefined
  id: bigint
  /** Numbers count requests, else records. */
  readonly countsRequests: boolean
  epoch: number
  nextSequence: number
  pending: { readonly batch: SentBatch; readonly sequence: number } | undefined
  acknowledged: { readonly epoch: number; readonly sequence: number } | undefined
  isBusy: boolean
}

const NO_ID = -1n

interface Reader {
  readonly topic: TopicPromises
  readonly partition: number
  offset: number
}

export class FaultActions {
  readonly #world: FaultWorld
  readonly #commits: FaultCommits
  #ids = 0
  #producers: NamedProducer[] = []
  #readers: Reader[] = []

  constructor(world: FaultWorld) {
    this.#world = world
    this.#commits = new FaultCommits(world)
  }

  /** One client's doing. */
  async act(random: Random, mayChangeTopics: boolean): Promise<void> {
    const topic = this.#anyTopic(random)
    const kind = random.next()
    if (mayChangeTopics && (topic === undefined || kind < 0.2)) return this.#changeTopics(random, topic)
    if (topic === undefined) return
    if (kind < 0.25) return this.#produceToMany(random)
    if (kind < 0.6) return this.#produce(topic, this.#anyPartition(topic, random), random)
    if (kind < 0.75) return this.#produceNamed(topic, random)
    if (kind < 0.9) return this.#read(topic, random)
    if (kind < 0.95) return this.#commits.commit(topic, random)
    return this.#deleteRecords(topic, random)
  }

  #anyTopic(random: Random): TopicPromises | undefined {
    const { topics } = this.#world.catalog
    return topics.length === 0 ? undefined : random.pick(topics)
  }

  #handle(topic: TopicPromises): Topic | undefined {
    const handle = this.#world.life.engine.findTopic(topic.name)
    return handle?.id === topic.id ? handle : undefined
  }

  // --- produce ---

  #makeRecords(random: Random, mayLackKeys = true): SentRecord[] {
    return Array.from({ length: 1 + random.below(4) }, () => {
      const key = mayLackKeys && random.chance(0.1) ? null : random.pick(KEYS)
      const value = key !== null && random.chance(0.15) ? null : 'x'.repeat(random.below(500))
      const timestamp = this.#world.clock.now() + random.below(2_000) - 1_000
      return { id: String(this.#ids++), key, value, timestamp }
    })
  }

  #anyPartition(topic: TopicPromises, random: Random): number {
    return random.below(this.#handle(topic)?.partitionCount ?? 1)
  }

  /** To all partitions that there are, at once and again: they share rounds, and so the commit journal. */
  async #produceToMany(random: Random): Promise<void> {
    const { catalog, life } = this.#world
    for (let waves = 2 + random.below(4); waves > 0 && !life.isOver; waves--) {
      const sent: Promise<void>[] = []
      for (const topic of catalog.topics) {
        for (const partition of topic.partitions.keys()) sent.push(this.#produce(topic, partition, random))
      }
      await Promise.all(sent)
    }
  }

  async #produce(topic: TopicPromises, partition: number, random: Random): Promise<void> {
    const handle = this.#handle(topic)
    if (handle === undefined) return
    const promises = topic.partitions[partition]
    assert.ok(promises !== undefined)
    const compression = random.chance(0.2) ? 'gzip' : 'none'
    const sealed: SealedBatch[] = []
    const sent: SentBatch[] = []
    for (let left = random.chance(0.2) ? 2 : 1; left > 0; left--) {
      const records = this.#makeRecords(random)
      const batch = seal(records, { compression })
      sealed.push(batch)
      sent.push(promises.sent(records, batch.bytes.length, this.#world.clock.now()))
    }
    const acks = random.pick(['all', 'all', 'leader', 'none'] as const)
    const results = await this.#append(handle, topic, partition, sealed, acks, sent)
    if (results === undefined || acks === 'none') return
    for (const [at, batch] of sent.entries()) {
      const result = results[at]
      assert.ok(result !== undefined && result.error === undefined && !result.duplicate, 'a batch is stored')
      promises.answered(batch, result.baseOffset, acks)
    }
    this.#world.count(`acks ${acks}`)
  }

  async #append(
    handle: Topic,
    topic: TopicPromises,
    partition: number,
    batches: readonly SealedBatch[],
    acks: Acks,
    sent: readonly SentBatch[],
  ): Promise<readonly BatchAppended[] | undefined> {
    const { life } = this.#world
    try {
      const results = await life.engine.append(handle, partition, batches, acks)
      return life.isOver ? undefined : results
    } catch (error) {
      if (life.isOver) return undefined
      const { code } = error as TailraceError
      this.#checkFailure(life, topic, error as TailraceError)
      const nothing = STORED_NOTHING.has(code) || (await this.#isOnline(life, handle, partition))
      if (nothing && !life.isOver) for (const batch of sent) topic.partitions[partition]?.refused(batch)
      return undefined
    }
  }

  /** A failed append took the partition offline, or else nothing of it is stored. */
  async #isOnline(life: Life, topic: Topic, partition: number): Promise<boolean> {
    const described = await life.engine.describePartitions(topic).catch(() => [])
    const one = described[partition]
    return one !== undefined && one.offline === undefined
  }

  /** Every failure has its cause, and a code that a client may see. */
  #checkFailure(life: Life, topic: TopicPromises | undefined, error: TailraceError): void {
    const { code } = error
    if (isStorageFailure(code)) {
      assert.ok(life.hadFaults, `storage fails only where the disk does: ${error.stack}`)
    } else if (code === 'unknown_topic_or_partition' || code === 'topic_recreated') {
      assert.ok(topic === undefined || topic.isDying, error.message)
    } else if (code === 'invalid_record') {
      // one that is not answered yet may be in force
      const configs = topic === undefined ? [] : [...topic.configs, this.#handle(topic)?.config]
      assert.ok(
        configs.some((config) => config?.cleanupPolicy.compact),
        error.message,
      )
    } else {
      assert.equal(code, 'request_cancelled', error.stack)
    }
  }

  async #produceNamed(topic: TopicPromises, random: Random): Promise<void> {
    const { life } = this.#world
    this.#producers = this.#producers.filter((one) => this.#world.catalog.topics.includes(one.topic))
    const mine = this.#producers.filter((one) => one.topic === topic && !one.isBusy)
    let producer = mine.length === 0 ? undefined : random.pick(mine)
    if (producer === undefined || (mine.length < 3 && random.chance(0.3))) producer = this.#newProducer(topic, random)
    producer.isBusy = true
    try {
      if (producer.name === undefined) await this.#sendNamed(producer, random)
      else await life.engine.withProducerId(producer.name, (id) => this.#sendAs(producer, id, random))
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      if (!life.isOver) this.#checkFailure(life, topic, error as TailraceError)
    } finally {
      producer.isBusy = false
    }
  }

  #newProducer(topic: TopicPromises, random: Random): NamedProducer {
    const countsRequests = random.chance(0.7)
    const partition = random.below(topic.partitions.length)
    const number = this.#ids++
    const name = countsRequests ? `producer ${number}` : undefined
    const id = countsRequests ? NO_ID : BigInt(number)
    const begin = { epoch: 0, nextSequence: 0, pending: undefined, acknowledged: undefined, isBusy: false }
    const producer: NamedProducer = { topic, partition, name, id, countsRequests, ...begin }
    this.#producers.push(producer)
    return producer
  }

  #sendAs(producer: NamedProducer, id: bigint, random: Random): Promise<void> {
    assert.ok(producer.id === NO_ID || producer.id === id, `${producer.name} has id ${id}, and had ${producer.id}`)
    producer.id = id
    return this.#sendNamed(producer, random)
  }

  async #sendNamed(producer: NamedProducer, random: Random): Promise<void> {
    const { topic, partition, id } = producer
    const handle = this.#handle(topic)
    const promises = topic.partitions[partition]
    if (handle === undefined || promises === undefined || partition >= handle.partitionCount) return
    if (producer.pending === undefined && random.chance(0.1)) {
      producer.epoch++
      producer.nextSequence = 0
    }
    const known = producer.pending
    const sequence = known?.sequence ?? producer.nextSequence
    const records = known?.batch.records ?? this.#makeRecords(random, false)
    const sealed = seal(records, {
      compression: 'none',
      producerId: id,
      producerEpoch: producer.epoch,
      baseSequence: sequence,
    })
    // of an attempt nobody knows whether it is stored: another that is refused says nothing of it
    const isUnknown = known !== undefined && known.batch.fate !== 'refused'
    if (known !== undefined) promises.repeated(known.batch)
    const batch = known?.batch ?? promises.sent(records, sealed.bytes.length, this.#world.clock.now())
    producer.pending = { batch, sequence }
    const wasVisible = batch.fate === 'visible'
    const results = await this.#append(handle, topic, partition, [sealed], 'all', isUnknown ? [] : [batch])
    const result = results?.[0]
    if (result === undefined) return
    assert.equal(result.error, undefined, `producer ${id} at ${producer.epoch}, ${sequence}`)
    if (wasVisible) assert.ok(result.duplicate, 'a repeat of what is stored is a duplicate')
    this.#world.count(result.duplicate ? 'repeats known again' : 'named requests')
    assert.ok(result.baseOffset >= 0, 'the last request of a producer is remembered')
    promises.answered(batch, result.baseOffset, 'all')
    producer.nextSequence = sequence + (producer.countsRequests ? 1 : records.length)
    producer.acknowledged = { epoch: producer.epoch, sequence }
    producer.pending = undefined
  }

  /** After a start: what only clients know. */
  async check(): Promise<void> {
    await this.#checkProducers()
    await this.#commits.check()
  }

  /** The last request of each producer that was answered is remembered. */
  async #checkProducers(): Promise<void> {
    const { life, catalog } = this.#world
    for (const { topic, partition, id, acknowledged } of this.#producers) {
      const handle = this.#handle(topic)
      if (acknowledged === undefined || handle === undefined || !catalog.topics.includes(topic)) continue
      const states = await life.engine.producerState(handle, id)
      if (life.hadFaults) continue
      const state = states.find((one) => one.partition === partition)
      const last = state?.batches.at(-1)?.baseSequence ?? -1
      const isKnown =
        state !== undefined &&
        (state.epoch > acknowledged.epoch || (state.epoch === acknowledged.epoch && last >= acknowledged.sequence))
      assert.ok(isKnown, `${topic.name}-${partition} forgot request ${acknowledged.sequence} of producer ${id}`)
    }
  }

  // --- read ---

  async #read(topic: TopicPromises, random: Random): Promise<void> {
    const { life, catalog } = this.#world
    const handle = this.#handle(topic)
    if (handle === undefined) return
    this.#readers = this.#readers.filter((one) => catalog.topics.includes(one.topic))
    let reader = this.#readers.find((one) => one.topic === topic)
    if (reader === undefined || random.chance(0.3)) {
      const partition = random.below(handle.partitionCount)
      const { endSeen = 0 } = topic.partitions[partition] ?? {}
      reader = { topic, partition, offset: random.below(endSeen + 1) }
      this.#readers.push(reader)
    }
    // a reader goes on where it was, over restarts too
    const read = await this.#world.read(topic, handle, reader.partition, reader.offset, 1 + random.below(2_000))
    if (read !== undefined && !life.isOver) reader.offset = read.next
    if (this.#readers.length > 10) this.#readers.splice(random.below(10), 1)
  }

  async #deleteRecords(topic: TopicPromises, random: Random): Promise<void> {
    const { life } = this.#world
    const handle = this.#handle(topic)
    if (handle === undefined) return
    const { cleanupPolicy } = handle.config
    if (cleanupPolicy.compact && !cleanupPolicy.delete) return
    const partition = random.below(handle.partitionCount)
    const promises = topic.partitions[partition]
    assert.ok(promises !== undefined)
    const before = random.below(promises.endSeen + 1)
    promises.askedToDelete(before)
    try {
      const { logStartOffset } = await life.engine.deleteRecords(handle, partition, before)
      if (life.isOver) return
      assert.ok(logStartOffset >= before)
      promises.deleted(before)
      this.#world.count('records deleted')
    } catch (error) {
      // an alter whose end nobody was told may have come to pass
      if ((error as TailraceError).code === 'policy_violation') return
      if (!life.isOver) this.#checkFailure(life, topic, error as TailraceError)
    }
  }

  // --- topics ---

  async #changeTopics(random: Random, topic: TopicPromises | undefined): Promise<void> {
    const { life, catalog } = this.#world
    const free = NAMES.filter((name) => !catalog.topics.some((one) => one.name === name))
    const kind = random.next()
    try {
      if (topic === undefined || (kind < 0.4 && free.length > 0)) await this.#create(life, random.pick(free), random)
      else if (kind < 0.6) await this.#delete(life, topic)
      else if (kind < 0.75) await this.#grow(life, topic, random)
      else await this.#alter(life, topic, random)
    } catch (error) {
      if (!life.isOver) this.#checkFailure(life, topic, error as TailraceError)
    }
  }

  async #create(life: Life, name: string, random: Random): Promise<void> {
    const { catalog } = this.#world
    const asked = { name, partitionCount: 1 + random.below(3), configs: anyConfigs(random) }
    catalog.ask(asked)
    this.#world.note(`to be created: ${JSON.stringify(asked)}`)
    try {
      const topic = await life.engine.createTopic(asked)
      if (life.isOver) return
      catalog.created(asked, topic)
      this.#world.count('topics created')
    } catch (error) {
      if (!life.isOver && (error as TailraceError).code === 'disk_full') catalog.refused(asked)
      throw error
    }
  }

  async #delete(life: Life, topic: TopicPromises): Promise<void> {
    const handle = this.#handle(topic)
    topic.isDying = true
    try {
      await life.engine.deleteTopic(topic.name)
    } catch (error) {
      // not stored; and what came in between was answered as if it were being deleted
      if (!life.isOver && (error as TailraceError).code === 'disk_full') topic.isDying = false
      throw error
    }
    if (life.isOver || handle === undefined) return
    this.#world.catalog.deleted(topic)
    this.#world.count('topics deleted')
    const options = { minBytes: 1, maxBytes: 100, maxWaitMs: 0, isolation: 'read_committed' } as const
    const [fetched] = await life.engine.fetch([{ topic: handle, partition: 0, offset: 0 }], options)
    if (!life.isOver) assert.match(String(fetched?.error?.code), /^(unknown_topic_or_partition|topic_recreated)$/)
  }

  async #grow(life: Life, topic: TopicPromises, random: Random): Promise<void> {
    const partitionCount = topic.partitions.length + 1 + random.below(2)
    if (partitionCount > 5 || topic.isDying) return
    topic.partitionCountMaybe = partitionCount
    const grown = await life.engine.growTopic(topic.name, partitionCount)
    if (life.isOver) return
    topic.grow(grown.partitionCount)
    topic.configs.push(grown.config)
    this.#world.count('topics grown')
  }

  async #alter(life: Life, topic: TopicPromises, random: Random): Promise<void> {
    if (topic.isDying) return
    const changes: Record<string, string | null> = random.chance(0.2)
      ? { 'retention.ms': null }
      : { ...anyConfigs(random) }
    const overrides: Record<string, string> = { ...topic.overrides }
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) delete overrides[name]
      else overrides[name] = value
    }
    topic.overridesMaybe.push(overrides)
    this.#world.note(`${topic.name} is to have ${JSON.stringify(overrides)}`)
    const altered = await life.engine.alterTopicConfigs(topic.name, changes)
    if (life.isOver) return
    topic.altered(altered)
    this.#world.count('topics altered')
  }
}

function anyConfigs(random: Random): Configs {
  const configs: Record<string, string> = {}
  const maybe = (name: string, ...values: string[]) => {
    if (random.chance(0.5)) configs[name] = random.pick(values)
  }
  maybe('cleanup.policy', 'delete', 'compact', 'compact', 'compact,delete')
  maybe('retention.ms', '-1', '600000', '3600000')
  maybe('retention.bytes', '-1', '4000', '10000')
  maybe('segment.ms', '5000', '300000')
  maybe('file.delete.delay.ms', '0', '60000')
  maybe('delete.retention.ms', '0', '600000')
  maybe('min.cleanable.dirty.ratio', '0', '0.3')
  maybe('min.compaction.lag.ms', '0', '300000')
  return configs
}

type SealOptions = Parameters<typeof sealBatch>[1]

function seal(records: readonly SentRecord[], options: SealOptions): SealedBatch {
  const parts = records.map(({ id, ...record }) =>
    partsOf({ ...record, headers: [{ name: 'id', value: Buffer.from(id) }] }),
  )
  return sealBatch(parts, options)
}
