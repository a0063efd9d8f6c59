// Random histories of groups that are polled, exclusive and shared: records, polls, acks of all kinds, leases that run out,
// steps of the wall clock, calls of the engine that take long while time passes, the topic is made anew or the group is reset;
// stops, kills and power cuts in the middle of calls; members of another face that come to exclusive groups and go. What a
// call has answered has to hold from then on.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { TailraceError } from '../../src/kernel/errors.ts'
import { POLL_GIVE_UP_MS_MAX } from '../../src/kernel/limits.ts'
import type { AssignorName, GroupMember, OwnedPartition } from '../../src/service/groups/group-member.ts'
import { createGroupService } from '../../src/service/groups/groups.ts'
import { temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { holdCall } from '../support/held-call.ts'
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
  protected readonly assignors: readonly AssignorName[]
  protected clock: FakeClock
  /** Of what nobody waits for. */
  protected fault: unknown
  /** Counts the lives of the server: what is answered after its life is not heard. */
  protected life = 0
  /** Counts what takes all leases from their workers, when it begins and when it is over. */
  protected era = 0
  #topicsMade = 1
  readonly #machines: Bench
  #machine: Machine
  readonly #dataDir: string

  constructor(machines: Bench, machine: Machine, random: Random, clock: FakeClock, dataDir: string) {
    this.#machines = machines
    this.#machine = machine
    this.#dataDir = dataDir
    this.random = random
    this.clock = clock
    this.assignors = random.chance(0.7) ? ['cooperative-sticky', 'range'] : ['range']
    this.bench = new PollBench(dataDir, clock, machine.engine, this.assignors)
  }

  abstract poll(): Promise<void>
  abstract ack(lease: Lease): Promise<void>
  abstract ended(lease: Lease, how: 'expired' | 'released' | 'stopped' | 'crashed'): void
  /** One of another face comes to the group, or goes; or much time passes while it is there. */
  abstract changeOther(): Promise<void>
  /** Whether a rebalance has waited so long that it may have taken partitions from their leases. */
  abstract get mayBeLost(): boolean
  /** Nothing is heard of any more that was under way; at a stop nothing was. */
  abstract over(how: 'stopped' | 'crashed'): void
  /** Nothing of what was said of any record holds, and all leases are over. */
  abstract begunAnew(why: 'remade' | 'reset'): void

  async run(): Promise<void> {
    await this.bench.engine.createTopic({ name: 'jobs', partitionCount: PARTITIONS })
    for (let step = 0; step < STEPS; step++) {
      await this.#step()
      if (this.fault !== undefined) throw this.fault
    }
  }

  /** Whether it could still be said of this lease what the model says. */
  protected isOpen(lease: Lease): boolean {
    return this.leases.has(lease)
  }

  protected valueOf(partition: number, offset: number): string {
    return `${this.#topicsMade}-${partition}:${offset}`
  }

  /** Whether a lease that was given while things were begun anew is one of the time after that. */
  protected async isOfThisEra(id: string, leaseMs: number, era: number): Promise<boolean> {
    for (let known = era; known !== this.era; ) {
      known = this.era
      await this.bench.settle()
      try {
        await this.bench.polls.extend(caller, 'g', id, leaseMs)
      } catch (error) {
        assert.equal((error as TailraceError).code, 'fenced_lease')
        return false
      }
    }
    return true
  }

  /** What a call may fail with while things are begun anew. */
  protected passOver(error: unknown, era: number): void {
    if (era === this.era || !(error instanceof TailraceError)) throw error
    assert.ok(['fenced_lease', 'unknown_topic_or_partition', 'topic_recreated'].includes(error.code), String(error))
  }

  protected anyLease(): Lease | undefined {
    const all = [...this.leases]
    return all.length === 0 ? undefined : this.random.pick(all)
  }

  async #step(): Promise<void> {
    const { random } = this
    const dice = random.next()
    if (dice < 0.08) await this.changeOther()
    else if (dice < 0.23) await this.#produce()
    else if (dice < 0.5) await this.poll()
    else if (dice < 0.75) await this.#ackAny()
    else if (dice < 0.8) await this.#releaseAny()
    else if (dice < 0.86) await this.pass(random.below(1_500))
    else if (dice < 0.88) this.clock.step(random.below(7_200_000) - 3_600_000)
    else if (dice < 0.95) await this.#holdCall()
    else await this.#end()
  }

  async #produce(): Promise<void> {
    const partition = this.random.below(PARTITIONS)
    const count = 1 + this.random.below(6)
    const first = this.ends[partition] as number
    const values = Array.from({ length: count }, (_, at) => this.valueOf(partition, first + at))
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
    await this.bench.polls.release(caller, 'g', lease.id).catch((error: TailraceError) => {
      assert.ok(this.mayBeLost && error.code === 'fenced_lease', String(error))
    })
    this.leases.delete(lease)
    this.ended(lease, 'released')
  }

  protected async pass(ms: number): Promise<void> {
    this.clock.advance(ms)
    for (const lease of this.leases) {
      if (lease.deadlineMs > this.clock.monotonic()) continue
      this.leases.delete(lease)
      this.ended(lease, 'expired')
      await assert.rejects(this.bench.polls.ack(caller, 'g', lease.id, { through: 'all' }), { code: 'fenced_lease' })
    }
    await this.bench.settle(2)
  }

  /** One call of the engine takes long, with some calls under way, and meanwhile something happens. */
  async #holdCall(): Promise<void> {
    const { random } = this
    const name = random.pick(['append', 'fetch', 'listOffsets'] as const)
    const call = holdCall(this.bench.engine, name, random.pick(['before', 'after'] as const))
    const underWay: Promise<void>[] = []
    for (let count = 1 + random.below(3); count > 0; count--) {
      const one = random.chance(0.6) ? this.poll() : this.#ackAny()
      one.catch(() => undefined)
      underWay.push(one)
      // an ack that has come is done, though its lease ends meanwhile
      for (let turns = 1 + random.below(6); turns > 0; turns--) await turnOfTheLoop()
    }
    const meanwhile = random.pick(['time', 'remade', 'reset', 'reset'] as const)
    if (meanwhile === 'time') await this.pass(random.below(4_000))
    else underWay.push(this.#beginAnew(meanwhile))
    await this.bench.settle(random.below(40))
    call.letGo()
    await this.#over(underWay)
    await this.pass(0)
    // whatever was under way, its partitions can be read now
    await this.#over([this.poll()])
  }

  async #beginAnew(how: 'remade' | 'reset'): Promise<void> {
    const { bench } = this
    this.era++
    if (how === 'remade') {
      await bench.engine.deleteTopic('jobs')
      await bench.settle(this.random.below(20))
      await bench.engine.createTopic({ name: 'jobs', partitionCount: PARTITIONS })
      this.#topicsMade++
      this.ends.fill(0)
    } else {
      const groups = createGroupService({ engine: bench.engine, clock: bench.clock, polls: bench.polls })
      const target = { kind: 'position', position: { kind: 'earliest' } } as const
      const isKnown = (await bench.engine.groups.describe('g')) !== undefined
      if (isKnown) await groups.resetOffsets(caller, 'g', { target, dryRun: false, force: true })
      else return
    }
    this.era++
    this.leases.clear()
    this.begunAnew(how)
  }

  /** Some of it may need time. */
  async #over(calls: readonly Promise<void>[]): Promise<void> {
    let isOver = false
    const all = Promise.all(calls).finally(() => {
      isOver = true
    })
    all.catch(() => undefined)
    for (let turn = 0; !isOver; turn++) {
      assert.ok(turn < 100, 'what was under way comes to its end')
      await this.bench.settle()
      if (!isOver && turn > 5) await this.pass(200)
    }
    await all
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
    const ended = how === 'stop' ? 'stopped' : 'crashed'
    for (const lease of this.leases) this.ended(lease, ended)
    this.leases.clear()
    this.over(ended)
    // timers of the life that is over never come
    this.clock = new FakeClock(this.clock.now())
    this.bench = new PollBench(this.#dataDir, this.clock, this.#machine.engine, this.assignors)
  }

  async close(): Promise<void> {
    await this.bench.close()
  }
}

interface Held extends ModelLease {
  readonly ranges: Map<number, { readonly from: number; readonly through: number }>
  /** Partitions that a rebalance took from it, as far as is known. */
  readonly lost: Set<number>
}

/** A member that reads by itself: from where the group has committed, and commits how far it came. */
interface Other {
  readonly member: GroupMember
  readonly owned: Set<number>
}

class ExclusiveHistory extends History<Held> {
  /** By partition: where the next records have to begin, one of these. */
  readonly positions: Set<number>[] = Array.from({ length: PARTITIONS }, () => new Set([0]))
  #other: Other | undefined
  #mayBeLostMs = Number.POSITIVE_INFINITY

  get mayBeLost(): boolean {
    return this.clock.monotonic() >= this.#mayBeLostMs
  }

  async changeOther(): Promise<void> {
    const other = this.#other
    if (other === undefined) this.#openOther()
    else if (this.random.chance(0.5)) await this.pass(POLL_GIVE_UP_MS_MAX)
    else {
      this.#other = undefined
      other.owned.clear()
      await other.member.close()
    }
    await this.bench.settle(this.random.below(60))
  }

  #openOther(): void {
    const owned = new Set<number>()
    const lose = (partitions: readonly OwnedPartition[]) => {
      for (const { partition } of partitions) owned.delete(partition)
    }
    const member = this.bench.members.open({
      groupId: 'g',
      clientId: 'other',
      host: '',
      protocolType: 'consumer',
      assignors: this.assignors,
      sessionTimeoutMs: 1_800_000,
      rebalanceTimeoutMs: 60_000,
      listener: {
        onAssigned: (partitions) => {
          for (const { partition } of partitions) {
            owned.add(partition)
            this.#takenFromLeases(partition)
            void this.#readByOther(other, partition).catch((error: unknown) => {
              this.fault ??= error
            })
          }
        },
        onRevoked: lose,
        onLost: lose,
      },
    })
    const other = { member, owned }
    this.#other = other
    this.#mayBeLostMs = this.clock.monotonic() + POLL_GIVE_UP_MS_MAX
    member.subscribe({ topics: ['jobs'] })
  }

  /** Somebody else has it now: no lease may be on it, unless the rebalance could not wait any longer. */
  #takenFromLeases(partition: number): void {
    for (const lease of this.leases) {
      if (!lease.ranges.has(partition) || lease.deadlineMs <= this.clock.monotonic()) continue
      if (!this.mayBeLost && this.era % 2 === 0) {
        this.fault ??= new assert.AssertionError({ message: `partition ${partition} is leased, and given to another` })
      }
      this.#lose(lease, partition)
    }
  }

  #lose(lease: Held, partition: number): void {
    lease.lost.add(partition)
    lease.ranges.delete(partition)
    if (lease.ranges.size === 0) this.leases.delete(lease)
  }

  async #readByOther({ member, owned }: Other, partition: number): Promise<void> {
    const { life, era } = this
    const isSame = () => life === this.life && era === this.era && owned.has(partition)
    const committed = await this.bench.engine.groups.committed('g').catch(() => [])
    const offset = committed.find((one) => one.topic === 'jobs' && one.partition === partition)?.offset
    const positions = this.positions[partition] as Set<number>
    if (!isSame() || era % 2 === 1) return
    assert.ok(positions.has(offset ?? 0), `another reads partition ${partition} from ${offset}, not ${[...positions]}`)
    const next = Math.min((offset ?? 0) + 1, this.ends[partition] as number)
    positions.add(next)
    const [result] = await member.commit([{ topic: 'jobs', partition, offset: next }]).catch(() => [])
    if (isSame() && result !== undefined && result.error === undefined) this.positions[partition] = new Set([next])
  }

  async poll(): Promise<void> {
    const { life, era } = this
    const leaseMs = this.random.chance(0.25) ? 3 * POLL_GIVE_UP_MS_MAX : 1_000 + this.random.below(2_000)
    const answer = await this.bench.poll({ limit: 1 + this.random.below(8), leaseMs }).catch((error: unknown) => {
      if (life === this.life) this.passOver(error, era)
    })
    if (life !== this.life || answer?.polled.given === undefined) return
    const { lease: id, given, polled } = answer
    if (polled.given === undefined || !(await this.isOfThisEra(id, leaseMs, era))) return
    // a reset has put it out, and it does not know yet: it can commit nothing of this
    const other = this.#other
    if (other !== undefined && polled.generation < other.member.generationId) return
    const held: Held = { id, deadlineMs: this.clock.monotonic() + leaseMs, ranges: new Map(), lost: new Set() }
    for (const { partition, from, through } of polled.given.positions) {
      const positions = this.positions[partition] as Set<number>
      assert.ok(positions.has(from), `partition ${partition} begins at ${from}, not at one of ${[...positions]}`)
      if (this.mayBeLost) for (const lease of this.leases) if (lease.ranges.has(partition)) this.#lose(lease, partition)
      const holder = [...this.leases].find((lease) => lease.ranges.has(partition))
      const isOthers = other?.owned.has(partition) && other.member.generationId === polled.generation
      assert.ok(!isOthers || this.mayBeLost, `partition ${partition} is another's`)
      assert.equal(holder, undefined, `partition ${partition} is leased already`)
      this.positions[partition] = new Set([from])
      held.ranges.set(partition, { from, through })
      const offsets = given.filter((record) => record.partition === partition).map(({ offset }) => offset)
      assert.deepEqual(offsets, range(from, through + 1))
    }
    for (const { partition, offset, value } of given) assert.equal(value, this.valueOf(partition, offset))
    this.leases.add(held)
  }

  async ack(lease: Held): Promise<void> {
    const { life, era, random } = this
    this.leases.delete(lease)
    const keep = random.chance(0.3)
    const isAll = random.chance(0.5)
    const named = [...lease.ranges].filter(() => isAll || random.chance(0.7))
    const through = named.map(([partition, held]) => {
      const offset = isAll ? held.through : held.from + random.below(held.through - held.from + 1)
      return { topic: 'jobs', partition, offset }
    })
    const wanted = through.map(({ partition, offset }) => ({ partition, next: offset + 1 }))
    // it may hold before it is answered
    for (const { partition, next } of wanted) this.positions[partition]?.add(next)
    const said = { through: isAll ? ('all' as const) : through, keep }
    const answer = await this.bench.polls.ack(caller, 'g', lease.id, said).catch((error: unknown) => {
      if (life !== this.life || (this.mayBeLost && (error as TailraceError).code === 'fenced_lease')) return
      this.passOver(error, era)
    })
    if (life !== this.life || era !== this.era || answer === undefined) return
    const fenced = new Set(answer.fenced?.map(({ partition }) => partition))
    for (const partition of lease.lost) assert.ok(fenced.has(partition), `partition ${partition} is lost`)
    for (const partition of fenced) {
      assert.ok(lease.lost.has(partition) || this.mayBeLost, `partition ${partition} was lost`)
      lease.ranges.delete(partition)
      lease.lost.add(partition)
    }
    const asked = wanted.filter(({ partition }) => !fenced.has(partition))
    const committed = new Map(answer.committed.map(({ partition, offset }) => [partition, offset]))
    for (const { partition, next } of asked) assert.equal(committed.get(partition), next)
    assert.equal(committed.size, asked.length, 'what is said to be committed is what was asked')
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

  over(): void {
    this.#other?.owned.clear()
    this.#other = undefined
    this.#mayBeLostMs = Number.POSITIVE_INFINITY
  }

  begunAnew(): void {
    for (const partition of this.positions.keys()) this.positions[partition] = new Set([0])
  }

  async drain(): Promise<void> {
    await this.#other?.member.close()
    this.#other = undefined
    this.clock.advance(4 * POLL_GIVE_UP_MS_MAX)
    this.leases.clear()
    const expected = this.ends.map((end, partition) => `jobs-${partition}=${end}`)
    for (let turn = 0; turn < 1_000; turn++) {
      const { lease, polled } = await this.bench.poll({ limit: 1_000 })
      if (polled.given === undefined) {
        if (`${await this.bench.committed()}` === `${expected}`) break
        await this.bench.settle()
        continue
      }
      for (const { partition, from, through } of polled.given.positions) {
        assert.ok(this.positions[partition]?.has(from), `partition ${partition} begins at ${from}`)
        this.positions[partition] = new Set([through + 1])
      }
      await this.bench.ackAll(lease)
    }
    assert.deepEqual(await this.bench.committed(), expected)
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
  /** Whatever it was before, it may have been a dead letter then. */
  wasReset: boolean
}

interface Taken extends ModelLease {
  readonly records: Set<ModelRecord>
}

class SharedHistory extends History<Taken> {
  readonly records = new Map<string, ModelRecord>()
  readonly mayBeLost = false
  readonly #asked = new Set<() => void>()
  #pollsUnderWay = 0
  /** Of polls that were never answered: each may have counted a delivery of anything. */
  #unheard = false
  /** Deliveries that do not count, which nothing had to make durable yet. */
  #hasReleased = false

  /** All of its members are workers that poll. */
  async changeOther(): Promise<void> {}

  async poll(): Promise<void> {
    const { life, era } = this
    const leaseMs = 1_000 + this.random.below(2_000)
    const asked = { limit: 1 + this.random.below(8), leaseMs, maxAttempts: ATTEMPTS_MAX }
    this.#pollsUnderWay++
    const answer = await this.bench.take(asked).catch((error: unknown) => {
      if (life === this.life) this.passOver(error, era)
    })
    if (life !== this.life) return
    this.#pollsUnderWay--
    const { lease: id = '', given = [] } = answer ?? {}
    if (given.length === 0 || !(await this.isOfThisEra(id, leaseMs, era))) return
    const taken: Taken = { id, deadlineMs: this.clock.monotonic() + leaseMs, records: new Set() }
    for (const { partition, offset, attempts, value } of given) {
      const record = this.#record(partition, offset)
      assert.equal(value, this.valueOf(partition, offset))
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
    const { life, era, random } = this
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
    const { accepted, released, rejected } = said
    const request = { accepted: places(accepted), released: places(released), rejected: places(rejected), keep }
    const answer = await this.bench.polls.ack(caller, 'g', lease.id, request).catch((error: unknown) => {
      if (life === this.life) this.passOver(error, era)
    })
    if (life !== this.life) return
    this.#asked.delete(unheard)
    if (era !== this.era || answer === undefined) return
    for (const record of said.accepted) record.accepted = 'surely'
    for (const record of said.rejected) record.dead = 'surely'
    for (const record of exhausted) record.dead = 'surely'
    assert.equal(answer.accepted, said.accepted.length)
    assert.equal(answer.lease !== undefined, lease.records.size > 0)
    if (answer.lease !== undefined) this.leases.add(lease)
  }

  ended(lease: Taken, how: 'expired' | 'released' | 'stopped' | 'crashed'): void {
    for (const record of lease.records) {
      record.lease = undefined
      if (how === 'released' || how === 'stopped') record.attempts--
      else if (record.attempts >= ATTEMPTS_MAX) record.dead = 'maybe'
    }
    if (how === 'released') this.#hasReleased = true
  }

  over(how: 'stopped' | 'crashed'): void {
    if (how === 'crashed' && this.#hasReleased) this.#unheard = true
    this.#hasReleased = false
    for (const unheard of this.#asked) unheard()
    this.#asked.clear()
    for (const record of this.records.values()) record.lease = undefined
    if (this.#pollsUnderWay > 0) this.#unheard = true
    this.#pollsUnderWay = 0
  }

  begunAnew(why: 'remade' | 'reset'): void {
    this.#asked.clear()
    if (why === 'remade') this.records.clear()
    for (const record of this.records.values()) {
      Object.assign(record, { lease: undefined, attempts: 0, accepted: 'no', dead: 'no', wasReset: true })
    }
  }

  #record(partition: number, offset: number): ModelRecord {
    const key = `${partition}:${offset}`
    let record = this.records.get(key)
    if (record === undefined) {
      record = { partition, offset, lease: undefined, attempts: 0, accepted: 'no', dead: 'no', wasReset: false }
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
        const { accepted, dead, wasReset } = this.#record(partition, offset)
        const count = found.get(this.valueOf(partition, offset)) ?? 0
        const about = `${partition}:${offset} is accepted: ${accepted}, dead: ${dead}, and ${count} times a dead letter`
        if (wasReset) {
          assert.ok(count > 0 || accepted !== 'no', about)
          continue
        }
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
