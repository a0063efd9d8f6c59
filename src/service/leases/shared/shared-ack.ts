// What a worker says of the records that a shared lease is on, and what they are to become.

import { TailraceError } from '../../../kernel/errors.ts'
import type { AckRequest, TopicPartitionOffset } from '../../groups/group-poll.ts'
import type { HeldRecord, HeldRecords, SharedSlot, Verdict } from './shared-slot.ts'
import type { Outcome } from './shared-window.ts'

export interface AskedRecord {
  readonly slot: SharedSlot
  readonly record: HeldRecord
  readonly verdict: Verdict
  readonly outcome: Outcome
}

/** What an ack says of the lease's records; invalid_request for what it does not hold, and nothing is done. */
export function askedOf(held: HeldRecords, request: AckRequest): readonly AskedRecord[] {
  const { accept, accepted, released, rejected, keep } = request
  if (request.through !== undefined) {
    throw invalid(
      'through and positions are of exclusive groups; here accept, accepted, released or rejected is needed',
    )
  }
  if (accept === undefined && accepted === undefined && released === undefined && rejected === undefined) {
    throw invalid('an ack says {"accept":"all"}, or which records are accepted, released and rejected')
  }
  if (accept !== undefined && accepted !== undefined) {
    throw invalid('accept is for all that released and rejected do not name, accepted names records: one of them')
  }
  const asked = new AskedRecords(held)
  for (const place of accepted ?? []) asked.name(place, 'accepted')
  for (const place of released ?? []) asked.name(place, 'released')
  for (const place of rejected ?? []) asked.name(place, 'rejected')
  if (accept === 'all') asked.addRest('accepted')
  else if (keep !== true) asked.addRest('unnamed')
  return asked.list
}

class AskedRecords {
  readonly #held: HeldRecords
  readonly #slots: ReadonlyMap<string, SharedSlot>
  readonly #asked = new Map<HeldRecord, AskedRecord>()

  constructor(held: HeldRecords) {
    this.#held = held
    this.#slots = new Map([...held.slots.keys()].map((slot) => [placeOf(slot.topic.name, slot.partition), slot]))
  }

  get list(): readonly AskedRecord[] {
    return [...this.#asked.values()]
  }

  name({ topic, partition, offset }: TopicPartitionOffset, verdict: Verdict): void {
    const slot = this.#slots.get(placeOf(topic, partition))
    const records = slot === undefined ? undefined : this.#held.slots.get(slot)
    const record = records?.open.get(offset)
    // in an ack before this one
    if (record === undefined && records?.settled.get(offset) === verdict) return
    if (slot === undefined || record === undefined) {
      throw invalid(`the lease does not hold offset ${offset} of partition ${partition} of topic ${topic}`)
    }
    if (this.#asked.has(record)) {
      throw invalid(`offset ${offset} of partition ${partition} of topic ${topic} is named twice`)
    }
    this.#add(slot, record, verdict)
  }

  addRest(verdict: Verdict): void {
    for (const [slot, { open }] of this.#held.slots) {
      for (const record of open.values()) if (!this.#asked.has(record)) this.#add(slot, record, verdict)
    }
  }

  #add(slot: SharedSlot, record: HeldRecord, verdict: Verdict): void {
    const isLast = record.attempts >= this.#held.maxAttempts
    const released = isLast ? 'exhausted' : 'free'
    const outcomes = { accepted: 'done', rejected: 'rejected', released, unnamed: 'free' } as const
    this.#asked.set(record, { slot, record, verdict, outcome: outcomes[verdict] })
  }
}

/** When all of it is durable, and what could be buried is. */
export function countsOf(asked: readonly AskedRecord[]) {
  const count = (wanted: Outcome) => asked.filter(({ outcome }) => outcome === wanted).length
  const dead = asked.filter(({ outcome }) => outcome === 'rejected' || outcome === 'exhausted')
  const deadLettered = dead.filter(({ record }) => record.state === 'done').length
  const waiting = dead.length - deadLettered
  return {
    accepted: count('done'),
    released: count('free'),
    rejected: count('rejected'),
    deadLettered,
    ...(waiting === 0 ? {} : { deadLettersWaiting: waiting }),
  }
}

function placeOf(topic: string, partition: number): string {
  return `${partition}/${topic}`
}

function invalid(message: string): TailraceError {
  return new TailraceError('invalid_request', message)
}
