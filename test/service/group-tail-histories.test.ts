// Random histories of members that come, go, are cut off, come back and put each other out while records flow. What must
// hold, whatever happens: a member is given what it was told to own, from where that begins and without a hole; what a
// commit has answered nobody begins in front of again; and nothing is lost.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { TailraceError } from '../../src/kernel/errors.ts'
import type { GroupTail } from '../../src/service/group-tails/group-tail.ts'
import type { AssignorName, OwnedPartition } from '../../src/service/groups/group-member.ts'
import type { TopicOffset } from '../../src/service/read/partition-offset.ts'
import type { TailChunk } from '../../src/service/tail/tail.ts'
import type { GroupTailBench } from '../support/group-tail-bench.ts'
import { openGroupTailBench } from '../support/group-tail-bench.ts'
import { Random } from '../support/random.ts'
import { TailGiven } from '../support/tail-given.ts'

const SEEDS = Array.from({ length: 6 }, (_, at) => 1_000 * at + Math.floor(Math.random() * 1_000))
const STEPS = 60
const PARTITIONS = 4
const NAMES = ['', 'w-1', 'w-2']

class World {
  /** By partition: where each ends, what was committed for good, and which records somebody was given. */
  readonly ends: number[] = new Array(PARTITIONS).fill(0)
  readonly committed: number[] = new Array(PARTITIONS).fill(0)
  readonly given: Set<number>[] = Array.from({ length: PARTITIONS }, () => new Set<number>())
  /** What must not be: nobody hears of what is thrown where a member is told something. */
  readonly wrongs: string[] = []

  check(isSo: boolean, wrong: string): void {
    if (!isSo) this.wrongs.push(wrong)
  }
}

/** Checks what it is told. */
class CheckedGiven extends TailGiven {
  readonly #world: World
  /** What is its own, and comes next of it. */
  readonly #next = new Map<number, number>()
  isOver = false

  override fail(error: TailraceError): void {
    super.fail(error)
    this.#world.check(error.code === 'fenced_instance_id', `it failed: ${error.message}`)
    this.isOver = true
  }

  override fault(fault: { readonly error: TailraceError }): void {
    this.#world.check(false, `it could not read: ${fault.error.message}`)
  }

  constructor(world: World) {
    super()
    this.#world = world
  }

  override assigned(partitions: readonly TopicOffset[]): void {
    super.assigned(partitions)
    this.#world.check(!this.isOver, 'nothing is told to who is out')
    for (const { partition, offset } of partitions) {
      this.#world.check(!this.#next.has(partition), `${partition} is assigned twice`)
      this.#world.check(offset >= (this.#world.committed[partition] as number), `${partition} begins at ${offset}`)
      this.#next.set(partition, offset)
    }
  }

  override revoked(partitions: readonly OwnedPartition[], deadlineMs: number): void {
    super.revoked(partitions, deadlineMs)
    for (const { partition } of partitions) this.#world.check(this.#next.delete(partition), `${partition} was its own`)
  }

  override take(chunk: TailChunk): void {
    super.take(chunk)
    this.#world.check(!this.isOver, 'nothing is given to who is out')
    for (const word of chunk.body.toString().split(' ')) {
      const [, place = '', at = ''] = /^jobs-(\d+):(\d+)=/.exec(word) ?? []
      const [partition, offset] = [Number(place), Number(at)]
      this.#world.check(offset === this.#next.get(partition), `${word} is what comes next, of ${[...this.#next]}`)
      this.#next.set(partition, offset + 1)
      this.#world.given[partition]?.add(offset)
    }
  }
}

interface Client {
  /** Of its commits, which are made one after the other. */
  last: Promise<void>
  readonly tail: GroupTail
  readonly given: CheckedGiven
  readonly name: string
}

class History {
  readonly #bench: GroupTailBench
  readonly #random: Random
  readonly #world = new World()
  readonly #clients = new Set<Client>()

  constructor(bench: GroupTailBench, random: Random) {
    this.#bench = bench
    this.#random = random
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      await this.#step()
      await this.#bench.polls.settle(this.#random.below(4))
      assert.deepEqual(this.#world.wrongs, [])
    }
    for (const client of [...this.#clients]) {
      await client.last
      this.#over(client)
      await client.tail.leave()
    }
    // the places of those that were cut off
    for (let second = 0; second < 12; second++) await this.#bench.polls.advance(1_000)
    await this.#open('')
    const { ends, given } = this.#world
    const isThere = (partition: number, offset: number) => given[partition]?.has(offset) === true
    await this.#bench.polls.until(() => {
      return ends.every((end, partition) => Array.from({ length: end }).every((_, at) => isThere(partition, at)))
    })
    assert.deepEqual(this.#world.wrongs, [])
  }

  async #step(): Promise<void> {
    const dice = this.#random.next()
    if (dice < 0.35) await this.#produce()
    else if (dice < 0.65) await this.#commit()
    else if (dice < 0.8) await this.#come()
    else if (dice < 0.93) await this.#go()
    else await this.#bench.polls.advance(this.#random.pick([500, 3_000, 11_000]))
  }

  async #produce(): Promise<void> {
    const partition = this.#random.below(PARTITIONS)
    const count = 1 + this.#random.below(5)
    const end = this.#world.ends[partition] as number
    this.#world.ends[partition] = end + count
    await this.#bench.values(partition, end, end + count)
  }

  /** Most are waited for; what comes of others is known when it is known. */
  async #commit(): Promise<void> {
    const client = this.#anyone()
    if (client === undefined || client.given.cursor === '') return
    client.last = client.last.then(() => this.#commitOf(client))
    if (this.#random.chance(0.7)) await Promise.race([client.last, this.#bench.polls.settle(30)])
  }

  async #commitOf({ tail, given }: Client): Promise<void> {
    const results = await tail.commitCursor(given.cursor)
    // every one of them stands at least where the world knows it to be committed
    for (const { topic, partition, offset } of await this.#bench.committed()) {
      if (results.some((one) => one.error === undefined && one.partition === partition && one.topic === topic)) {
        const known = this.#world.committed[partition] as number
        assert.ok(offset >= known, `${partition} was committed at ${known}, is at ${offset}`)
        this.#world.committed[partition] = offset
      }
    }
  }

  async #come(): Promise<void> {
    if (this.#clients.size >= 4) return
    const name = this.#random.pick(NAMES)
    await this.#open(name)
  }

  async #open(name: string): Promise<Client> {
    const given = new CheckedGiven(this.#world)
    const batchRecords = 1 + this.#random.below(4)
    const { tail } = await this.#bench.open(
      { member: name, batchRecords, releaseMs: this.#random.pick([0, 2_000]) },
      {},
      given,
    )
    const client = { last: Promise.resolve(), tail, given, name }
    for (const other of this.#clients) if (name !== '' && other.name === name) this.#over(other)
    this.#clients.add(client)
    return client
  }

  async #go(): Promise<void> {
    const client = this.#anyone()
    if (client === undefined) return
    this.#over(client)
    if (this.#random.chance(0.5)) client.tail.lost()
    else await client.tail.leave()
  }

  #over(client: Client): void {
    client.given.isOver = true
    this.#clients.delete(client)
  }

  #anyone(): Client | undefined {
    const all = [...this.#clients]
    return all.length === 0 ? undefined : this.#random.pick(all)
  }
}

for (const [at, seed] of SEEDS.entries()) {
  const assignors: readonly AssignorName[] = at % 3 === 2 ? ['range'] : ['cooperative-sticky']
  test(`a history of members of a group (${assignors}, seed ${seed})`, async (t: TestContext) => {
    const bench = await openGroupTailBench(t, { partitions: PARTITIONS, assignors })
    await new History(bench, new Random(seed)).run()
  })
}
