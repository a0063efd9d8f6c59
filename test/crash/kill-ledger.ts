// What the checker knows: every request that was sent, what was answered, and every record that anybody ever saw. A record
// has one place for ever and a place one record: whoever sees a record, a reader, an answer or the check after a start,
// says so here, and the first contradiction throws.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const murmur2 = createRequire(import.meta.url)('kafkajs/src/producer/partitioners/default/murmur2.js') as (
  key: Buffer,
) => number

export interface Place {
  readonly partition: number
  readonly offset: number
}

/** As a reader sees it, with value_format=string. */
export interface SeenRecord extends Place {
  readonly key: string | null
  readonly value: string
  readonly timestamp: string
}

export interface SentRecord {
  readonly key: string | null
  /** -1: left to the server. */
  readonly partition: number
  readonly value: string
}

export interface ProducerNumber {
  readonly name: string
  readonly epoch: number
  readonly sequence: number
}

/** One topic from its creation to its deletion: a topic made again under its name is another one. */
export class TopicLife {
  readonly name: string
  id = ''
  /** Numbers of partitions that it had or may have had: the last is in doubt while a growth is not answered. */
  readonly partitionCounts: number[]
  /** 'creating' and 'deleting': it was asked for and not answered. */
  state: 'creating' | 'alive' | 'deleting' | 'deleted' = 'creating'
  /** By partition and offset, who lies there. */
  readonly places: (SentRequest | undefined)[][] = []
  /** By partition, each end that somebody was told. */
  readonly ends: Set<number>[] = []
  /** A growth was asked for and not answered. */
  growthInDoubt = false
  /** By partition, the start that was asked for last by deleting records, and the one that was answered last. */
  readonly startsAsked: number[] = []
  readonly startsAnswered: number[] = []
  readonly open = new Set<SentRequest>()

  constructor(name: string, partitionCount: number) {
    this.name = name
    this.partitionCounts = [partitionCount]
  }

  get partitionCountMax(): number {
    return this.partitionCounts.at(-1) as number
  }

  seeEnd(partition: number, end: number): void {
    this.ends[partition] ??= new Set()
    this.ends[partition].add(end)
  }
}

export type Outcome = 'unknown' | 'refused' | 'taken' | 'acknowledged'

export class SentRequest {
  readonly number: number
  readonly topic: TopicLife
  readonly records: readonly SentRecord[]
  readonly producer: ProducerNumber | undefined
  /** Indexes into the topic's partitionCounts: those that it may have been placed by. */
  readonly countsFrom: number
  countsTo: number
  /** 'taken': answered with acks 0, which promises nothing. */
  outcome: Outcome = 'unknown'
  readonly places: (Place | undefined)[]

  constructor(number: number, topic: TopicLife, records: readonly SentRecord[], producer?: ProducerNumber) {
    this.number = number
    this.topic = topic
    this.records = records
    this.producer = producer
    this.places = records.map(() => undefined)
    this.countsTo = topic.partitionCounts.length - 1
    this.countsFrom = this.countsTo - (topic.growthInDoubt ? 1 : 0)
  }

  /** What is known of its fate; the topic may have grown meanwhile. */
  settle(outcome: Outcome): void {
    this.outcome = outcome
    this.countsTo = this.topic.partitionCounts.length - 1
  }

  get about(): string {
    const { producer, topic } = this
    const by = producer === undefined ? '' : ` of ${producer.name} (epoch ${producer.epoch}, ${producer.sequence})`
    return `request ${this.number}${by} to ${topic.name}, ${this.outcome}`
  }

  /** Somebody learned where a record lies. */
  place(index: number, { partition, offset }: Place): void {
    const known = this.places[index]
    if (known === undefined) {
      const there = this.topic.places[partition]?.[offset]
      assert.equal(there?.about, undefined, `${this.about}: another one lies at ${partition}:${offset}`)
      this.places[index] = { partition, offset }
      this.topic.places[partition] ??= []
      this.topic.places[partition][offset] = this
      return
    }
    const was = `${known.partition}:${known.offset}`
    assert.equal(`${partition}:${offset}`, was, `${this.about}: record ${index} is stored twice or has moved`)
  }
}

export class Ledger {
  readonly #requests = new Map<number, SentRequest>()
  acknowledged = 0
  seen = 0

  send(topic: TopicLife, records: (number: number) => readonly SentRecord[], producer?: ProducerNumber): SentRequest {
    const number = this.#requests.size
    const request = new SentRequest(number, topic, records(number), producer)
    this.#requests.set(number, request)
    topic.open.add(request)
    return request
  }

  /** Gives the life of the topic that the record was sent to. */
  see(record: SeenRecord): TopicLife {
    const { partition, offset, key, value } = record
    const at = `${partition}:${offset}`
    const [, number, index] = /^\{"q":(\d+),"i":(\d+)/.exec(value) ?? []
    const request = this.#requests.get(Number(number))
    const sent = request?.records[Number(index)]
    assert.ok(request !== undefined && sent !== undefined, `nobody sent what lies at ${at}: ${value.slice(0, 80)}`)
    assert.equal(value, sent.value, `${request.about}: another value lies at ${at}`)
    assert.equal(key, sent.key, `${request.about}: another key lies at ${at}`)
    assert.notEqual(request.outcome, 'refused', `${request.about}: what was refused lies at ${at}`)
    request.place(Number(index), record)
    this.seen++
    return request.topic
  }
}

/** Of a topic's log, by partition. */
export interface Bounds {
  readonly starts: readonly number[]
  readonly ends: readonly number[]
}

/** Held against a topic's whole log as it was read after a start, when nothing is under way. */
export function checkTopic(ledger: Ledger, topic: TopicLife, records: readonly SeenRecord[], bounds: Bounds): void {
  const { starts, ends } = bounds
  for (const [partition, start] of starts.entries()) {
    const [answered = 0, asked = 0] = [topic.startsAnswered[partition], topic.startsAsked[partition]]
    assert.ok(
      start >= answered && start <= asked,
      `${topic.name}-${partition} starts at ${start}: deleted to ${answered}`,
    )
    topic.startsAnswered[partition] = start
  }
  const nextOffsets = [...starts]
  for (const record of records) {
    const { partition, offset } = record
    assert.equal(offset, nextOffsets[partition], `${topic.name}-${partition}: offsets have no gaps`)
    nextOffsets[partition] = offset + 1
    assert.equal(ledger.see(record), topic, `${topic.name}-${partition}: a record of the same topic at ${offset}`)
  }
  assert.deepEqual(nextOffsets, ends, `${topic.name}: all was read`)
  for (const [partition, places] of topic.places.entries()) {
    const end = ends[partition] ?? 0
    assert.ok((places?.length ?? 0) <= end, `${topic.name}-${partition} ends at ${end}: a record is gone`)
  }
  for (const [partition, seenEnds] of topic.ends.entries()) checkEnds(topic, partition, seenEnds ?? new Set(), ends)
  for (const request of topic.open) {
    checkRequest(request)
    // A named producer goes on until it is answered. Of all others this was the last word: what is not there never comes.
    if (request.outcome === 'unknown' && request.producer !== undefined) continue
    if (request.places.every((place) => place === undefined)) request.outcome = 'refused'
    topic.open.delete(request)
  }
  checkProducersOrder(topic)
}

/** Nobody was ever shown a part of a request's records of one partition. */
function checkEnds(topic: TopicLife, partition: number, seenEnds: ReadonlySet<number>, ends: readonly number[]): void {
  for (const end of seenEnds) {
    assert.ok(end <= (ends[partition] ?? 0), `${topic.name}-${partition}: somebody was told the end ${end}`)
    const [before, after] = [topic.places[partition]?.[end - 1], topic.places[partition]?.[end]]
    assert.ok(before === undefined || before !== after, `${before?.about}: its records became visible one by one`)
  }
  topic.ends[partition]?.clear()
}

function checkRequest(request: SentRequest): void {
  const { about, outcome, places } = request
  if (outcome === 'unknown') request.settle('unknown')
  const stored = places.filter((place) => place !== undefined)
  if (outcome === 'refused') assert.equal(stored.length, 0, `${about}: it is stored`)
  if (outcome === 'acknowledged') assert.equal(stored.length, places.length, `${about}: some of it is lost`)
  if (stored.length === 0) return
  const { partitionCounts } = request.topic
  const counts = partitionCounts.slice(request.countsFrom, request.countsTo + 1)
  const placed = counts.some((count) => isPlacedOver(request, count))
  assert.ok(placed, `${about}: records of a partition are together, all or none, as keys say: ${placesText(request)}`)
}

function placesText({ records, places }: SentRequest): string {
  return records.map(({ key }, at) => `${key}=${places[at]?.partition}:${places[at]?.offset}`).join(' ')
}

function isPlacedOver(request: SentRequest, partitionCount: number): boolean {
  const keyless = request.places.find((place, at) => place && isKeyless(request.records[at]))?.partition ?? -1
  const nextOffsets = new Map<number, number>()
  const absent = new Set<number>()
  return request.records.every((record, at) => {
    const partition = isKeyless(record) ? keyless : partitionOf(record, partitionCount)
    const place = request.places[at]
    if (place === undefined) {
      absent.add(partition)
      return !nextOffsets.has(partition)
    }
    const next = nextOffsets.get(partition) ?? place.offset
    nextOffsets.set(partition, next + 1)
    // Those before the first that is left may have been deleted before anybody saw them.
    const start = request.topic.startsAnswered[partition] ?? 0
    if (start > 0 && place.offset <= start) absent.delete(partition)
    return place.partition === partition && place.offset === next && !absent.has(partition)
  })
}

function isKeyless(record: SentRecord | undefined): boolean {
  return record?.key === null && record.partition === -1
}

function partitionOf({ key, partition }: SentRecord, partitionCount: number): number {
  return partition >= 0 ? partition : (murmur2(Buffer.from(key ?? '')) & 0x7fff_ffff) % partitionCount
}

/** A named producer's requests lie in each partition in the order of their numbers. */
function checkProducersOrder(topic: TopicLife): void {
  for (const [partition, places] of topic.places.entries()) {
    const last = new Map<string, SentRequest>()
    for (const request of places ?? []) {
      if (request?.producer === undefined) continue
      const { name, epoch, sequence } = request.producer
      const before = last.get(name)
      last.set(name, request)
      if (before?.producer === undefined) continue
      const ahead = before.producer.epoch - epoch || before.producer.sequence - sequence
      assert.ok(ahead <= 0, `${topic.name}-${partition}: ${request.about} lies behind ${before.about}`)
    }
  }
}
