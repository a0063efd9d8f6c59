// Random histories of groups that are polled, exclusive and shared: records, polls, acks of all kinds, leases that run out,
// stops, kills and power cuts in the middle of calls. What a call has answered has to hold from then on.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { caller, PollBench } from '../support/poll-bench.ts'
import type { Machine } from '../support/power-cut-machine.ts'
import { Bench } from '../support/power-cut-machine.ts'
import { Random } from '../support/random.ts'

const SEEDS = 6
const STEPS = 60
const PARTITIONS = 3
const ATTEMPTS_MAX = 3

interface ModelLease {
  readonly id: string
  deadlineMs: number
}

/** A server that may end at any time. */
abstract class History<Lease extends ModelLease> {
  readonly random: Random
  readonly leases = new Set<Lease>()
  /** By partition. */
  readonly ends: number[] = new Array(PARTITIONS).fill(0)
  bench: PollBench
  protected clock: FakeClock
  /** Counts the lives of the server: what is answered after its life is not heard. */
  protected life = 0
  readonly #machines: Bench
  #machine: Machine
  readonly #dataDir: string

  constructor(machines: Bench, machine: Machine, random: Random, clock: FakeClock, dataDir: string) {
    this.#machines = machines
    this.#machine = machine
    this.#dataDir = dataDir
    this.random = random
    this.clock = clock
    this.bench = new PollBench(dataDir, clock, machine.engine)
  }

  abstract poll(): Promise<void>
  abstract ack(lease: Lease): Promise<void>
  abstract ended(lease: Lease, how: 'expired' | 'released' | 'crashed'): void
  /** Nothing is heard of any more that was under way. */
  abstract crashed(): void

  async run(): Promise<void> {
    await this.bench.engine.createTopic({ name: 'jobs', partitionCount: PARTITIONS })
    for (let step = 0; step < STEPS; step++) await this.#step()
  }

  /** Whether it could still be said of this lease what the model says. */
  protected isOpen(lease: Lease): boolean {
    return this.leases.has(lease)
  }

  protected anyLease(): Lease | undefined {
    const all = [...this.leases]
    return all.length === 0 ? undefined : this.random.pick(all)
  }

  async #step(): Promise<void> {
    const { random } = this
    const dice = random.next()
    if (dice < 0.2) await this.#produce()
    else if (dice < 0.5) await this.poll()
    else if (dice < 0.75) await this.#ackAny()
    else if (dice < 0.82) await this.#releaseAny()
    else if (dice < 0.93) await this.#pass(random.below(1_500))
    else await this.#end()
  }

  async #produce(): Promise<void> {
    const partition = this.random.below(PARTITIONS)
    const count = 1 + this.random.below(6)
    const first = this.ends[partition] as number
    const values = Array.from({ length: count }, (_, at) => `${partition}:${first + at}`)
    await this.bench.produce('jobs', partition, ...values)
    this.ends[partition] = first + count
  }

  async #ackAny(): Promise<void> {
    const lease = this.anyLease()
    if (lease !== undefined) await this.ack(lease)
  }

  async #releaseAny(): Promise<void> {
    const lease = this.anyLease()
    if (lease === undefined) return
    await this.bench.polls.release(caller, 'g', lease.id)
    this.leases.delete(lease)
    this.ended(lease, 'released')
  }

  async #pass(ms: number): Promise<void> {
    this.clock.advance(ms)
    for (const lease of this.leases) {
      if (lease.deadlineMs > this.clock.monotonic()) continue
      this.leases.delete(lease)
      this.ended(lease, 'expired')
      await assert.rejects(this.bench.polls.ack(caller, 'g', lease.id, { through: 'all' }), { code: 'fenced_lease' })
    }
    await this.bench.settle(2)
  }

  /** With some calls under way. */
  async #end(): Promise<void> {
    const { random } = this
    const underWay: Promise<void>[] = []
    let fault: unknown
    const note = (error: unknown) => {
      if (error instanceof assert.AssertionError) fault ??= error
    }
    for (let count = random.below(4); count > 0; count--) {
      underWay.push((random.chance(0.5) ? this.poll() : this.#ackAny()).catch(note))
      for (let turns = random.below(6); turns > 0; turns--) await turnOfTheLoop()
    }
    const how = random.pick(['process', 'power', 'stop'] as const)
    if (how === 'stop') {
      await Promise.all(underWay)
      await this.bench.polls.close()
      await this.bench.members.close()
    }
    this.life++
    this.#machine = await this.#machines.cut(this.#machine, how)
    await Promise.race([Promise.all(underWay), turnOfTheLoop()])
    if (fault !== undefined) throw fault
    for (const lease of this.leases) this.ended(lease, 'crashed')
    this.leases.clear()
    this.crashed()
    // timers of the life that is over never come
    this.clock = new FakeClock(this.clock.now())
    this.bench = new PollBench(this.#dataDir, this.clock, this.#machine.engine)
  }

  async close(): Promise<void> {
    await this.bench.close()
  }
}

interface Held extends ModelLease {
  readonly ranges: Map<number, { readonly from: number; readonly through: number }>
}

class ExclusiveHistory extends History<Held> {
  /** By partition: where the next records have to begin, one of these. */
  readonly positions: Set<number>[] = Array.from({ length: PARTITIONS }, () => new Set([0]))

  async poll(): Promise<void> {
    const { life } = this
    const leaseMs = 1_000 + this.random.below(2_000)
    const { lease: id, given, polled } = await this.bench.poll({ limit: 1 + this.random.below(8), leaseMs })
    if (life !== this.life || polled.given === undefined) return
    const held: Held = { id, deadlineMs: this.clock.monotonic() + leaseMs, ranges: new Map() }
    for (const { partition, from, through } of polled.given.positions) {
      const positions = this.positions[partition] as Set<number>
      assert.ok(positions.has(from), `partition ${partition} begins at ${from}, not at one of ${[...positions]}`)
      const holder = [...this.leases].find((lease) => lease.ranges.has(partition))
      assert.equal(holder, undefined, `partition ${partition} is leased already`)
      this.positions[partition] = new Set([from])
      held.ranges.set(partition, { from, through })
      const offsets = given.filter((record) => record.partition === partition).map(({ offset }) => offset)
      assert.deepEqual(offsets, range(from, through + 1))
    }
    for (const { partition, offset, value } of given) assert.equal(value, `${partition}:${offset}`)
    this.leases.add(held)
  }

  async ack(lease: Held): Promise<void> {
    const { life, random } = this
    this.leases.delete(lease)
    const keep = random.chance(0.3)
    const isAll = random.chance(0.5)
    const named = [...lease.ranges].filter(() => isAll || random.chance(0.7))
    const through = named.map(([partition, held]) => {
      const offset = isAll ? held.through : held.from + random.below(held.through - held.from + 1)
      return { topic: 'jobs', partition, offset }
    })
    const asked = through.map(({ partition, offset }) => ({ partition, next: offset + 1 }))
    // it may hold before it is answered
    for (const { partition, next } of asked) this.positions[partition]?.add(next)
    const answer = await this.bench.polls.ack(caller, 'g', lease.id, { through: isAll ? 'all' : through, keep })
    if (life !== this.life) return
    for (const one of asked) {
      this.positions[one.partition] = new Set([one.next])
      const held = lease.ranges.get(one.partition)
      if (held === undefined) continue
      if (one.next > held.through) lease.ranges.delete(one.partition)
      else lease.ranges.set(one.partition, { from: one.next, through: held.through })
    }
    assert.equal(answer.lease !== undefined, keep && lease.ranges.size > 0)
    if (answer.lease !== undefined) this.leases.add(lease)
  }

  ended(): void {}

  crashed(): void {}

  async drain(): Promise<void> {
    this.clock.advance(10_000)
    this.leases.clear()
    for (;;) {
      const { lease, polled } = await this.bench.poll({ limit: 1_000 })
      if (polled.given === undefined) break
      for (const { partition, from, through } of polled.given.positions) {
        assert.ok(this.positions[partition]?.has(from), `partition ${partition} begins at ${from}`)
        this.positions[partition] = new Set([through + 1])
      }
      await this.bench.ackAll(lease)
    }
    assert.deepEqual(
      await this.bench.committed(),
      this.ends.map((end, partition) => `jobs-${partition}=${end}`),
    )
  }
}

interface ModelRecord {
  readonly partition: number
  readonly offset: number
  lease: Taken | undefined
  attempts: number
  /** Whether it is accepted, or on its way to the dead-letter topic. */
  accepted: 'no' | 'maybe' | 'surely'
  dead: 'no' | 'maybe' | 'surely'
}

interface Taken extends ModelLease {
  readonly records: Set<ModelRecord>
}

class SharedHistory extends History<Taken> {
  readonly records = new Map<string, ModelRecord>()
  readonly #asked = new Set<() => void>()
  #pollsUnderWay = 0
  /** Of polls that were never answered: each may have counted a delivery of anything. */
  #unheard = false

  async poll(): Promise<void> {
    const { life } = this
    const leaseMs = 1_000 + this.random.below(2_000)
    this.#pollsUnderWay++
    const { lease: id, given } = await this.bench.take({
      limit: 1 + this.random.below(8),
      leaseMs,
      maxAttempts: ATTEMPTS_MAX,
    })
    if (life !== this.life) return
    this.#pollsUnderWay--
    if (given.length === 0) return
    const taken: Taken = { id, deadlineMs: this.clock.monotonic() + leaseMs, records: new Set() }
    for (const { partition, offset, attempts, value } of given) {
      const record = this.#record(partition, offset)
      assert.equal(value, `${partition}:${offset}`)
      assert.notEqual(record.accepted, 'surely', `${value} was accepted, and is given again`)
      assert.notEqual(record.dead, 'surely', `${value} was given up, and is given again`)
      assert.equal(record.lease, undefined, `${value} is leased already`)
      assert.ok(attempts <= ATTEMPTS_MAX, `${value} is given ${attempts} times`)
      if (this.#unheard) assert.ok(attempts > record.attempts, `${value}: ${attempts} after ${record.attempts}`)
      else assert.equal(attempts, record.attempts + 1, `${value} was given ${record.attempts} times`)
      // had one of these been heard, it would not be here
      record.accepted = 'no'
      record.dead = 'no'
      record.attempts = attempts
      record.lease = taken
      taken.records.add(record)
    }
    this.leases.add(taken)
  }

  async ack(lease: Taken): Promise<void> {
    const { life, random } = this
    this.leases.delete(lease)
    const keep = random.chance(0.3)
    const said = { accepted: [], released: [], rejected: [] } as Record<
      'accepted' | 'released' | 'rejected',
      ModelRecord[]
    >
    for (const record of lease.records) {
      const dice = random.next()
      if (dice < 0.5) said.accepted.push(record)
      else if (dice < 0.65) said.released.push(record)
      else if (dice < 0.8) said.rejected.push(record)
    }
    const rest = keep ? [] : [...lease.records].filter((record) => !Object.values(said).flat().includes(record))
    const unheard = () => {
      for (const record of said.accepted) record.accepted = 'maybe'
      for (const record of said.rejected) record.dead = 'maybe'
      if (rest.length > 0) this.#unheard = true
    }
    this.#asked.add(unheard)
    const exhausted = said.released.filter(({ attempts }) => attempts >= ATTEMPTS_MAX)
    for (const record of rest) record.attempts--
    // others may get it before this is answered
    for (const record of [...Object.values(said).flat(), ...rest]) {
      record.lease = undefined
      lease.records.delete(record)
    }
    const places = (records: readonly ModelRecord[]) =>
      records.map(({ partition, offset }) => ({ topic: 'jobs', partition, offset }))
    const answer = await this.bench.polls.ack(caller, 'g', lease.id, {
      accepted: places(said.accepted),
      released: places(said.released),
      rejected: places(said.rejected),
      keep,
    })
    if (life !== this.life) return
    this.#asked.delete(unheard)
    for (const record of said.accepted) record.accepted = 'surely'
    for (const record of said.rejected) record.dead = 'surely'
    for (const record of exhausted) record.dead = 'surely'
    assert.equal(answer.accepted, said.accepted.length)
    assert.equal(answer.lease !== undefined, lease.records.size > 0)
    if (answer.lease !== undefined) this.leases.add(lease)
  }

  ended(lease: Taken, how: 'expired' | 'released' | 'crashed'): void {
    for (const record of lease.records) {
      record.lease = undefined
      if (how === 'released') record.attempts--
      else if (record.attempts >= ATTEMPTS_MAX) record.dead = 'maybe'
    }
    // a delivery that was taken back is not always counted as such after a crash
    if (how === 'released') this.#unheard = true
  }

  crashed(): void {
    for (const unheard of this.#asked) unheard()
    this.#asked.clear()
    for (const record of this.records.values()) record.lease = undefined
    if (this.#pollsUnderWay > 0) this.#unheard = true
    this.#pollsUnderWay = 0
  }

  #record(partition: number, offset: number): ModelRecord {
    const key = `${partition}:${offset}`
    let record = this.records.get(key)
    if (record === undefined) {
      record = { partition, offset, lease: undefined, attempts: 0, accepted: 'no', dead: 'no' }
      this.records.set(key, record)
    }
    return record
  }

  async drain(): Promise<void> {
    const isDone = async () => {
      const committed = await this.bench.committed()
      return this.ends.every((end, partition) => committed.includes(`jobs-${partition}=${end}`))
    }
    await this.bench.take()
    for (let turn = 0; !(await isDone()); turn++) {
      assert.ok(turn < 1_000, `the group comes to ${await this.bench.committed()} of ${this.ends}`)
      this.clock.advance(3_000)
      await this.bench.settle(2)
      const { lease, given } = await this.bench.take({ limit: 1_000, maxAttempts: 100 })
      if (given.length === 0) continue
      for (const { partition, offset, value } of given) {
        const record = this.#record(partition, offset)
        assert.ok(record.accepted !== 'surely' && record.dead !== 'surely', `${value} is given again`)
        record.accepted = 'surely'
        record.dead = 'no'
      }
      await this.bench.polls.ack(caller, 'g', lease, { accept: 'all' })
    }
    await this.#checkDeadLetters()
  }

  async #checkDeadLetters(): Promise<void> {
    const found = new Map<string, number>()
    for (const partition of range(0, PARTITIONS)) {
      for (const letter of await this.bench.deadLetters(partition)) {
        const [, value = ''] = /=(\S+) /.exec(letter) ?? []
        found.set(value, (found.get(value) ?? 0) + 1)
      }
    }
    for (const [partition, end] of this.ends.entries()) {
      for (const offset of range(0, end)) {
        const { accepted, dead } = this.#record(partition, offset)
        const count = found.get(`${partition}:${offset}`) ?? 0
        const about = `${partition}:${offset} is accepted: ${accepted}, dead: ${dead}, and ${count} times a dead letter`
        if (dead === 'surely') assert.equal(count, 1, about)
        else if (accepted === 'surely') assert.equal(count, 0, about)
        else assert.ok(count === 1 || accepted === 'maybe', about)
        assert.ok(count <= 1, about)
      }
    }
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at)
}

async function runHistory(
  t: TestContext,
  seed: number,
  Kind: typeof ExclusiveHistory | typeof SharedHistory,
): Promise<void> {
  const clock = new FakeClock()
  const dataDir = temporaryDirectory(t)
  const machines = new Bench(dataDir, seed, { clock })
  const history = new Kind(machines, await machines.start(), new Random(seed), clock, dataDir)
  try {
    await history.run()
    await history.drain()
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error })
  } finally {
    await history.close()
  }
}

for (const [name, Kind] of [
  ['exclusive', ExclusiveHistory],
  ['shared', SharedHistory],
] as const) {
  test(`random histories of ${name} groups keep what was answered`, async (t) => {
    const first = Number(process.env['SEED'] ?? 1)
    for (let seed = first; seed < first + SEEDS; seed++) await runHistory(t, seed, Kind)
  })
}
