// One worker of a group: polls, works, acknowledges, over and over until it is ended, at whatever moment. It tells what it was
// given, what it is about to ask, and what it was answered, each before it goes on: what it asked is known when it dies then.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TailraceClient } from '../../src/client/client.ts'
import { TailraceClientError } from '../../src/client/client-error.ts'
import type { GroupPoll } from '../../src/client/record-page.ts'
import type { Random } from '../support/random.ts'

export const PARTITIONS = 8
export const TOPIC = 'flights'
export const GROUP = 'workers'
export const LEASE_MS = 1_500
export const ATTEMPTS_MAX = 3
/** Of a hundred records of a shared group one is poison: half of them are rejected, the others released until they may not be any more. */
const POISON_EVERY = 100

export function isPoison(offset: number): boolean {
  return offset % POISON_EVERY === 37
}

export function isRejected(offset: number): boolean {
  return offset % (2 * POISON_EVERY) === 37
}

export type Place = readonly [partition: number, offset: number]

/** Times are of `machineMs`. */
export type WorkerEvent = Given | Asking | Answered | { readonly kind: 'fenced' }

export interface Given {
  readonly kind: 'given'
  readonly records: readonly Place[]
  readonly positions: readonly { readonly partition: number; readonly from: number; readonly through: number }[]
  /** Of the server that gave it. */
  readonly life: number
  readonly askedMs: number
  readonly atMs: number
}

export interface Asking {
  readonly kind: 'asking'
  /** Of an exclusive group: the offset behind what it acknowledges. */
  readonly positions: readonly Place[]
  readonly rejected: readonly Place[]
}

export interface Answered {
  readonly kind: 'answered'
  readonly positions: readonly Place[]
  readonly accepted: readonly Place[]
  readonly rejected: readonly Place[]
  /** Released for the last time. */
  readonly exhausted: readonly Place[]
  readonly atMs: number
}

export interface WorkerPlace {
  readonly mode: 'exclusive' | 'shared'
  /** Records of one poll. */
  readonly limit: number
  readonly random: Random
  server(): { readonly client: TailraceClient; readonly life: number }
  tell(event: WorkerEvent): Promise<void>
}

/** The same clock in every process of this machine. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Until it is ended; rejects where it is told that something is wrong. */
export async function work(place: WorkerPlace, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await workOnce(place, signal)
    } catch (error) {
      // the server is not there, or the lease is not
      if (!(error instanceof TailraceClientError) && !signal.aborted) throw error
      if (error instanceof TailraceClientError && error.code === 'fenced_lease') await place.tell({ kind: 'fenced' })
      else await sleep(20)
    }
  }
}

async function workOnce(place: WorkerPlace, signal: AbortSignal): Promise<void> {
  const { mode, limit, random } = place
  const { client, life } = place.server()
  const askedMs = machineMs()
  const attempts = mode === 'shared' ? { max_attempts: ATTEMPTS_MAX } : {}
  const asked = { topics: [TOPIC], mode, limit, wait_ms: 200, lease_ms: LEASE_MS, ...attempts }
  const polled = await client.pollGroup(GROUP, asked, { signal })
  if (polled.lease === undefined) return
  const records = polled.records.map(({ partition, offset }): Place => [partition, offset])
  await place.tell({ kind: 'given', records, positions: polled.positions, life, askedMs, atMs: machineMs() })
  // it works, and may be killed over it
  if (random.chance(0.1)) await sleep(random.below(30))
  if (signal.aborted) return
  const acking = { client, lease: polled.lease, polled, signal }
  if (mode === 'exclusive') await ackThrough(place, acking)
  else await ackRecords(place, acking)
}

interface Acking {
  readonly client: TailraceClient
  readonly lease: string
  readonly polled: GroupPoll
  readonly signal: AbortSignal
}

const NONE = { positions: [], accepted: [], rejected: [], exhausted: [] }

async function ackThrough({ random, tell }: WorkerPlace, { client, lease, polled, signal }: Acking): Promise<void> {
  const isAll = random.chance(0.7)
  const acked = polled.positions.map(({ topic, partition, from, through }) => {
    return { topic, partition, through: isAll ? through : from + random.below(through - from + 1) }
  })
  const positions = acked.map(({ partition, through }): Place => [partition, through + 1])
  await tell({ kind: 'asking', positions, rejected: [] })
  const said = isAll ? ({ through: 'all' } as const) : { positions: acked }
  const { committed } = await client.ackLease(GROUP, lease, said, { signal })
  assert.equal(committed.length, acked.length)
  await tell({ ...NONE, kind: 'answered', positions, atMs: machineMs() })
}

async function ackRecords({ tell }: WorkerPlace, { client, lease, polled, signal }: Acking): Promise<void> {
  const said = { accepted: [] as Place[], released: [] as Place[], rejected: [] as Place[] }
  const exhausted: Place[] = []
  for (const record of polled.records) {
    const { partition, offset } = record
    const verdict = isPoison(offset) ? (isRejected(offset) ? 'rejected' : 'released') : 'accepted'
    said[verdict].push([partition, offset])
    if (verdict === 'released' && record.attempts === ATTEMPTS_MAX) exhausted.push([partition, offset])
  }
  const { accepted, released, rejected } = said
  await tell({ kind: 'asking', positions: [], rejected })
  const inWords = (places: readonly Place[]) =>
    places.map(([partition, offset]) => ({ topic: TOPIC, partition, offset }))
  const verdicts = { accepted: inWords(accepted), released: inWords(released), rejected: inWords(rejected) }
  await client.ackLease(GROUP, lease, verdicts, { signal })
  await tell({ kind: 'answered', positions: [], accepted, rejected, exhausted, atMs: machineMs() })
}
