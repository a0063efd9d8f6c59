// Workers of one group on a real data set: they poll, work, acknowledge, and die at any moment, and so does the server. What
// is held against the promises: every record is worked on; one whose ack was answered is never given again; an exclusive
// group's partitions are gone through in their order; of a shared group what cannot be worked on, and nothing else, ends in
// the dead-letter topic, once.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { TailraceClient } from '../../src/client/client.ts'
import { TailraceClientError } from '../../src/client/client-error.ts'
import type { GroupPoll } from '../../src/client/record-page.ts'
import { Random } from '../support/random.ts'
import { ServerProcess } from '../support/server-process.ts'

const PARTITIONS = 8
const TOPIC = 'flights'
const GROUP = 'workers'
const LEASE_MS = 1_500
const ATTEMPTS_MAX = 3
/** Of a hundred records of a shared group one is poison: half of them are rejected, the others released until they may not be any more. */
const POISON_EVERY = 100
const STUCK_MS_MAX = 60_000

export interface WorkersOptions {
  readonly dataDir: string
  readonly mode: 'exclusive' | 'shared'
  readonly seed: number
  readonly records: number
  readonly workers: number
  /** Of the server. */
  readonly kills: number
  /** Records of one poll. */
  readonly limit: number
}

export interface WorkersReport {
  readonly delivered: number
  readonly acknowledged: number
  readonly fenced: number
  readonly workersKilled: number
  readonly kills: number
  readonly deadLetters: number
}

export async function runWorkers(options: WorkersOptions): Promise<WorkersReport> {
  const history = new WorkersHistory(options)
  try {
    await history.run()
    return history.report
  } finally {
    await history.close()
  }
}

function flightLines(count: number): string[] {
  const text = readFileSync(new URL('../data/flights-200k.json', import.meta.resolve('vega-datasets')), 'latin1')
  const lines = text.match(/\{[^{}]*\}/g) ?? []
  return Array.from({ length: count }, (_, at) => lines[at % lines.length] as string)
}

class WorkersHistory {
  readonly report = { delivered: 0, acknowledged: 0, fenced: 0, workersKilled: 0, kills: 0, deadLetters: 0 }
  readonly #options: WorkersOptions
  readonly #random: Random
  /** By partition and offset: 0 not seen, 1 delivered, 2 acknowledged for certain, 3 rejected for certain. */
  readonly #states: Uint8Array[] = []
  /** By partition: where an exclusive group surely stands, and where it may. */
  readonly #positions = Array.from({ length: PARTITIONS }, () => 0)
  readonly #mayStand = Array.from({ length: PARTITIONS }, () => new Set<number>())
  #server: ServerProcess | undefined
  #client = new TailraceClient({ url: 'http://127.0.0.1:1' })
  #isOver = false
  #fault: unknown
  /** That the group stands behind. */
  #doneCount = 0
  /** Records that nobody is to get again. */
  #settledCount = 0

  constructor(options: WorkersOptions) {
    this.#options = options
    this.#random = new Random(options.seed)
  }

  async run(): Promise<void> {
    await this.#start()
    await this.#fill()
    const workers = new Map<AbortController, Promise<void>>()
    const hire = () => {
      const end = new AbortController()
      workers.set(
        end,
        this.#work(end.signal).finally(() => workers.delete(end)),
      )
    }
    let progressMs = performance.now()
    let progress = -1
    while (!(await this.#isDone())) {
      while (workers.size < this.#options.workers) hire()
      // a kill comes while what the others have asked for is still on its way
      for (let ms = 20 + this.#random.below(60); ms > 0 && !this.#isKillDue; ms -= 2) await sleep(2)
      if (this.#fault !== undefined) throw this.#fault
      for (let deaths = this.#random.below(4); deaths > 0; deaths--) this.#killOne([...workers.keys()])
      if (this.#isKillDue) {
        await this.#server?.kill()
        await this.#start()
        this.report.kills++
      }
      if (this.#doneCount !== progress) progressMs = performance.now()
      progress = this.#doneCount
      assert.ok(
        performance.now() - progressMs < STUCK_MS_MAX,
        `the group is stuck at ${progress} of ${this.#options.records} records`,
      )
    }
    this.#isOver = true
    await Promise.all(workers.values())
    if (this.#fault !== undefined) throw this.#fault
    await this.#checkEnd()
  }

  async close(): Promise<void> {
    this.#isOver = true
    await this.#server?.kill()
  }

  async #start(): Promise<void> {
    const { dataDir } = this.#options
    this.#server = await ServerProcess.start({ dataDir })
    this.#client = new TailraceClient({ url: this.#server.url })
  }

  async #fill(): Promise<void> {
    await this.#client.createTopic({ name: TOPIC, partitions: PARTITIONS })
    const lines = flightLines(this.#options.records)
    async function* body() {
      for (let at = 0; at < lines.length; at += 5_000) yield Buffer.from(`${lines.slice(at, at + 5_000).join('\n')}\n`)
    }
    const report = await this.#client.import(TOPIC, body(), { format: 'value', key: 'distance' })
    assert.equal(report.imported, lines.length)
    for (const { end_offset } of (await this.#client.getTopic(TOPIC)).partitions) {
      this.#states.push(new Uint8Array(end_offset))
    }
  }

  /** What is left to do then waits for it: else a quick group would be through before. */
  get #isKillDue(): boolean {
    const { kills, records } = this.#options
    const killed = this.report.kills
    return killed < kills && this.#settledCount > ((killed + 1) * records) / (kills + 1)
  }

  #killOne(workers: readonly AbortController[]): void {
    if (workers.length === 0) return
    this.report.workersKilled++
    this.#random.pick(workers).abort()
  }

  async #work(signal: AbortSignal): Promise<void> {
    while (!this.#isOver && !signal.aborted) {
      try {
        if (this.#isKillDue) await sleep(5)
        else await this.#workOnce(signal)
      } catch (error) {
        if (error instanceof TailraceClientError || signal.aborted) {
          // the server is not there, or the lease is not
          if (error instanceof TailraceClientError && error.code === 'fenced_lease') this.report.fenced++
          else await sleep(20)
        } else {
          this.#fault ??= error
          return
        }
      }
    }
  }

  async #workOnce(signal: AbortSignal): Promise<void> {
    const { mode, limit } = this.#options
    const client = this.#client
    const polled = await client.pollGroup(
      GROUP,
      {
        topics: [TOPIC],
        mode,
        limit,
        wait_ms: 200,
        lease_ms: LEASE_MS,
        ...(mode === 'shared' ? { max_attempts: ATTEMPTS_MAX } : {}),
      },
      { signal },
    )
    if (polled.lease === undefined) return
    this.#see(polled)
    // it works, and may be killed over it
    if (this.#random.chance(0.1)) await sleep(this.#random.below(30))
    if (signal.aborted) return
    if (mode === 'exclusive') await this.#ackThrough(client, polled, polled.lease, signal)
    else await this.#ackRecords(client, polled, polled.lease, signal)
  }

  #see({ records, positions }: GroupPoll): void {
    this.report.delivered += records.length
    if (this.#options.mode === 'exclusive') {
      const next = new Map(positions.map(({ partition, from }) => [partition, from]))
      for (const { partition, offset } of records) {
        assert.equal(offset, next.get(partition), `partition ${partition} is not given in its order`)
        next.set(partition, offset + 1)
      }
      for (const { partition, from, through } of positions) {
        const stands = this.#positions[partition] as number
        const isRight = from === stands || this.#mayStand[partition]?.has(from)
        assert.ok(isRight, `partition ${partition} is given from ${from} on, and stands at ${stands}`)
        assert.equal(next.get(partition), through + 1)
        this.#standAt(partition, from)
      }
    }
    for (const { partition, offset } of records) {
      const states = this.#states[partition] as Uint8Array
      assert.ok((states[offset] as number) < 2, `${partition}:${offset} is done, and is given again`)
      states[offset] = 1
    }
  }

  #standAt(partition: number, offset: number): void {
    const stood = this.#positions[partition] as number
    // acknowledged by somebody who was never answered
    for (let at = stood; at < offset; at++) this.#settle(partition, at, 2)
    this.#positions[partition] = Math.max(stood, offset)
    const mayStand = this.#mayStand[partition] as Set<number>
    for (const one of mayStand) if (one <= offset) mayStand.delete(one)
  }

  #settle(partition: number, offset: number, state: 2 | 3): void {
    const states = this.#states[partition] as Uint8Array
    if ((states[offset] as number) < 2) this.#settledCount++
    states[offset] = state
  }

  async #ackThrough(
    client: TailraceClient,
    { positions }: GroupPoll,
    lease: string,
    signal: AbortSignal,
  ): Promise<void> {
    const isAll = this.#random.chance(0.7)
    const acked = positions.map(({ topic, partition, from, through }) => {
      return { topic, partition, through: isAll ? through : from + this.#random.below(through - from + 1) }
    })
    for (const { partition, through } of acked) this.#mayStand[partition]?.add(through + 1)
    const { committed } = await client.ackLease(GROUP, lease, isAll ? { through: 'all' } : { positions: acked }, {
      signal,
    })
    assert.equal(committed.length, acked.length)
    for (const { partition, through } of acked) {
      this.report.acknowledged++
      this.#standAt(partition, through + 1)
    }
  }

  async #ackRecords(client: TailraceClient, { records }: GroupPoll, lease: string, signal: AbortSignal): Promise<void> {
    const places = { accepted: [], released: [], rejected: [] } as Record<
      string,
      { topic: string; partition: number; offset: number }[]
    >
    const last: boolean[] = []
    for (const record of records) {
      const { partition, offset } = record
      const verdict = isPoison(offset) ? (isRejected(offset) ? 'rejected' : 'released') : 'accepted'
      places[verdict]?.push({ topic: TOPIC, partition, offset })
      if (verdict === 'released') last.push(Number(record.member('attempts')) === ATTEMPTS_MAX)
    }
    await client.ackLease(GROUP, lease, places, { signal })
    this.report.acknowledged += records.length
    for (const { partition, offset } of places['accepted'] ?? []) this.#settle(partition, offset, 2)
    for (const { partition, offset } of places['rejected'] ?? []) this.#settle(partition, offset, 3)
    for (const [at, { partition, offset }] of (places['released'] ?? []).entries()) {
      if (last[at]) this.#settle(partition, offset, 3)
    }
  }

  async #isDone(): Promise<boolean> {
    const { offsets } = await this.#client.getGroup(GROUP).catch(() => ({ offsets: [] }))
    const committed = offsets.reduce((sum, { committed_offset: offset }) => sum + (offset ?? 0), 0)
    this.#doneCount = Math.max(this.#doneCount, committed)
    return offsets.length === PARTITIONS && offsets.every(({ lag }) => lag === 0)
  }

  async #checkEnd(): Promise<void> {
    for (const [partition, states] of this.#states.entries()) {
      const missing = states.indexOf(0)
      assert.equal(missing, -1, `${partition}:${missing} was never given to anybody`)
    }
    if (this.#options.mode === 'shared') await this.#checkDeadLetters()
  }

  async #checkDeadLetters(): Promise<void> {
    const found = new Map<string, string>()
    for await (const page of this.#client.pages(`${TOPIC}.dlq`, { limit: 1_000 })) {
      for (const record of page.records) {
        const headers = new Map(record.parse().headers.map(({ name, value }) => [name, String(value)]))
        const place = `${headers.get('dlq.origin.partition')}:${headers.get('dlq.origin.offset')}`
        assert.ok(!found.has(place), `${place} is a dead letter twice`)
        found.set(place, headers.get('dlq.reason') ?? '')
        this.report.deadLetters++
      }
    }
    for (const [partition, states] of this.#states.entries()) {
      for (let offset = 0; offset < states.length; offset++) {
        const reason = found.get(`${partition}:${offset}`)
        // one that works may have had bad luck with its workers
        if (!isPoison(offset))
          assert.ok(reason === undefined || reason === 'max_attempts', `${partition}:${offset} ${reason}`)
        else if (isRejected(offset)) assert.ok(reason !== undefined, `${partition}:${offset} is no dead letter`)
        else assert.equal(reason, 'max_attempts', `${partition}:${offset}`)
        if (states[offset] === 2) assert.equal(reason, undefined, `${partition}:${offset} was accepted: ${reason}`)
      }
    }
  }
}

function isPoison(offset: number): boolean {
  return offset % POISON_EVERY === 37
}

function isRejected(offset: number): boolean {
  return offset % (2 * POISON_EVERY) === 37
}
