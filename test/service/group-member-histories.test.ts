// Random histories of members in one group: they come, leave, fall silent, come back and commit, topics come, grow and go,
// the store fails. After every step nobody owns what another one owns who is in the group too; when all has come to rest
// every partition that somebody wants has one owner. SEED=… tries one again.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Topic } from '../../src/engine/engine.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { POLL_GIVE_UP_MS_MAX } from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import type { AssignorName, GroupMembers, OwnedPartition, Subscription } from '../../src/service/groups/group-member.ts'
import { openGroupMembers } from '../../src/service/groups/group-members.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { Random } from '../support/random.ts'
import type { TestMember } from './group-fixture.ts'
import { openMember, quiet, REBALANCE_MS, SESSION_MS } from './group-fixture.ts'

const GROUP = 'readers'
const TOPICS = ['t0', 't1', 't2']
const MEMBERS_MAX = 8
const ASSIGNORS: readonly (readonly AssignorName[])[] = [
  ['cooperative-sticky', 'range'],
  ['range'],
  ['sticky', 'range'],
  ['roundrobin', 'range'],
]

interface Client extends TestMember {
  readonly groupInstanceId: string | undefined
  /** It keeps what is revoked as those do that stand for workers: for the longest time, but no longer once it is lost. */
  readonly leases: boolean
  wanted: Subscription | undefined
  isAlive: boolean
}

interface HistoryOptions {
  /** All rests between two steps, and nothing fails: what moves then has to move. */
  readonly isCalm: boolean
  readonly assignors: readonly (readonly AssignorName[])[]
}

class History {
  readonly #clock = new FakeClock()
  readonly #random: Random
  readonly #options: HistoryOptions
  readonly #engine: MemoryEngine
  readonly #members: GroupMembers
  readonly #clients: Client[] = []
  #isStoreBroken = false
  #instances = 0
  /** What listeners wait for before they give up a partition. */
  readonly #held: (() => void)[] = []

  constructor(random: Random, options: HistoryOptions) {
    this.#random = random
    this.#options = options
    const clock = this.#clock
    this.#engine = new MemoryEngine({ clock })
    this.#engine.groupStore.before = async () => {
      if (!this.#options.isCalm) await this.#someTurns(2)
      if (this.#isStoreBroken) throw new TailraceError('disk_full', 'no room')
    }
    this.#members = openGroupMembers({ engine: this.#engine, clock, logger: silentLogger })
  }

  async run(): Promise<void> {
    for (const name of TOPICS.slice(0, 2)) await this.#createTopic(name)
    for (let step = 0; step < 30; step++) {
      const before = this.#options.isCalm ? await this.#rest() : undefined
      await this.#pickStep()()
      await this.#someTurns(4)
      await this.#checkOwners()
      if (before !== undefined) await this.#checkMoves(before)
      else if (this.#random.chance(0.1)) await this.#rest()
    }
    await this.#rest()
    await this.#members.close()
    assert.equal((await this.#engine.groups.describe(GROUP))?.members.length ?? 0, this.#staticCount())
  }

  /** Static members keep their places for a while. */
  #staticCount(): number {
    const instances = this.#clients
      .filter(({ wanted, isAlive }) => isAlive && wanted !== undefined)
      .map((one) => one.groupInstanceId)
    return new Set(instances.filter((instance) => instance !== undefined)).size
  }

  #pickStep(): () => Promise<void> {
    const steps: (readonly [number, () => Promise<void>])[] = [
      [4, () => this.#open()],
      [2, () => this.#close()],
      [2, () => this.#changeTopics()],
      [1, () => this.#resubscribe()],
    ]
    if (!this.#options.isCalm) {
      steps.push([2, () => this.#fallSilent()], [2, () => this.#comeBack()], [4, () => this.#advance()])
      steps.push([2, () => this.#commit()], [1, () => this.#unsubscribe()], [1, () => this.#breakStore()])
      steps.push([2, async () => this.#letGo()])
    }
    let at = this.#random.below(steps.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, step] of steps) {
      at -= weight
      if (at < 0) return step
    }
    throw new Error('no step')
  }

  async #open(): Promise<void> {
    if (this.#clients.length >= MEMBERS_MAX) return
    const groupInstanceId = this.#random.chance(0.2) ? `i${this.#instances++}` : undefined
    const assignors = this.#random.pick(this.#options.assignors)
    const one = openMember(this.#members, { groupId: GROUP, groupInstanceId, assignors })
    const leases = this.#random.chance(0.3)
    const client = { ...one, groupInstanceId, leases, wanted: this.#pickTopics(), isAlive: true }
    one.told.beforeRevoked = (_, lost) => this.#beforeRevoked(client, lost)
    this.#clients.push(client)
    one.member.subscribe(client.wanted)
  }

  #pickTopics(): Subscription {
    if (this.#options.isCalm || this.#random.chance(0.5)) return { topics: TOPICS }
    if (this.#random.chance(0.5)) return { pattern: this.#random.pick(['t.', 't[01]', 't2']) }
    return { topics: TOPICS.filter(() => this.#random.chance(0.6)) }
  }

  async #beforeRevoked({ member, leases }: Client, lost: AbortSignal): Promise<void> {
    if (this.#options.isCalm) return
    if (leases) await this.#keepLeased(lost)
    else if (this.#random.chance(0.2)) await new Promise<void>((go) => this.#held.push(go))
    else await this.#someTurns(3)
    const [owned] = member.owned
    if (owned !== undefined) await member.commit([toCommit(owned)]).catch(ignoreRefused)
  }

  async #keepLeased(lost: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#held.push(resolve)
    const timer = this.#clock.after(POLL_GIVE_UP_MS_MAX, resolve)
    lost.addEventListener('abort', () => resolve(), { once: true })
    await promise
    timer.cancel()
  }

  #letGo(): void {
    for (const go of this.#held.splice(0)) go()
  }

  async #close(): Promise<void> {
    const client = this.#pickClient(() => true)
    if (client === undefined) return
    this.#clients.splice(this.#clients.indexOf(client), 1)
    const owned = client.member.owned.length
    await client.member.close()
    assert.equal(client.member.owned.length, 0, `${owned} were owned`)
    if (client.groupInstanceId !== undefined) await this.#takePlace(client)
  }

  /** Its process is started again, as a rule. */
  async #takePlace({ groupInstanceId, wanted }: Client): Promise<void> {
    if (groupInstanceId === undefined || wanted === undefined) return
    if (!this.#options.isCalm && this.#random.chance(0.3)) {
      await this.#elapse(SESSION_MS)
      return
    }
    const one = openMember(this.#members, {
      groupId: GROUP,
      groupInstanceId,
      assignors: ['cooperative-sticky', 'range'],
    })
    this.#clients.push({ ...one, groupInstanceId, leases: false, wanted, isAlive: true })
    one.member.subscribe(wanted)
  }

  async #resubscribe(): Promise<void> {
    const client = this.#pickClient(({ isAlive }) => isAlive)
    if (client === undefined || this.#options.isCalm) return
    client.wanted = this.#pickTopics()
    client.member.subscribe(client.wanted)
  }

  async #unsubscribe(): Promise<void> {
    const client = this.#pickClient(({ isAlive, groupInstanceId }) => isAlive && groupInstanceId === undefined)
    if (client === undefined) return
    client.wanted = undefined
    void client.member.unsubscribe()
  }

  async #fallSilent(): Promise<void> {
    const client = this.#pickClient(() => true)
    if (client !== undefined) client.isAlive = false
  }

  async #comeBack(): Promise<void> {
    const client = this.#pickClient(({ isAlive }) => !isAlive)
    if (client === undefined) return
    client.isAlive = true
    client.member.touch()
  }

  async #commit(): Promise<void> {
    const client = this.#pickClient(({ member }) => member.owned.length > 0)
    const [owned] = client?.member.owned ?? []
    if (owned !== undefined) client?.member.commit([toCommit(owned)]).catch(ignoreRefused)
  }

  async #breakStore(): Promise<void> {
    this.#isStoreBroken = !this.#isStoreBroken
  }

  async #changeTopics(): Promise<void> {
    const name = this.#random.pick(TOPICS)
    const topic = this.#engine.findTopic(name)
    if (topic === undefined) return await this.#createTopic(name)
    if (this.#random.chance(0.6)) {
      await this.#engine.growTopic(name, topic.partitionCount + 1 + this.#random.below(3))
      return
    }
    await this.#engine.deleteTopic(name)
    if (this.#random.chance(0.5)) await this.#createTopic(name)
  }

  async #createTopic(name: string): Promise<void> {
    await this.#engine.createTopic({ name, partitionCount: 1 + this.#random.below(5) })
  }

  async #advance(): Promise<void> {
    await this.#elapse(this.#random.pick([100, 1_000, SESSION_MS / 2, SESSION_MS, REBALANCE_MS]))
  }

  async #elapse(ms: number): Promise<void> {
    const part = SESSION_MS / 4
    for (let left = ms; left > 0; left -= part) {
      this.#clock.advance(Math.min(left, part))
      for (const { member, isAlive } of this.#clients) if (isAlive) member.touch()
      await this.#someTurns(4)
      await this.#checkOwners()
    }
  }

  #pickClient(isFit: (client: Client) => boolean): Client | undefined {
    const fit = this.#clients.filter(isFit)
    return fit.length === 0 ? undefined : this.#random.pick(fit)
  }

  async #someTurns(most: number): Promise<void> {
    for (let turn = this.#random.below(most); turn > 0; turn--) await nextTurn()
    for (let step = this.#random.below(5); step > 0; step--) await Promise.resolve()
  }

  /** Nobody owns what is owned by another that is in the group. Who is not may not know it yet, but can commit nothing. */
  async #checkOwners(): Promise<void> {
    const group = await this.#engine.groups.describe(GROUP)
    const inGroup = new Set(group?.members.map(({ memberId }) => memberId))
    const owners = new Map<string, string>()
    for (const { member, wanted } of this.#clients) {
      if (!inGroup.has(member.memberId)) continue
      // It was on its way into the next generation, and now is on its way out.
      if (wanted === undefined && member.generationId !== group?.generationId) continue
      for (const owned of member.owned) {
        const owner = owners.get(keyOf(owned))
        assert.equal(owner, undefined, `${keyOf(owned)} is owned by ${owner} and ${member.memberId}`)
        owners.set(keyOf(owned), member.memberId)
      }
    }
  }

  /** All goes well from now on, until nothing happens any more. */
  async #rest(): Promise<ReadonlyMap<Client, readonly OwnedPartition[]>> {
    this.#isStoreBroken = false
    for (let turn = 0; turn < (this.#options.isCalm ? 1 : 12); turn++) {
      this.#letGo()
      await quiet()
      if (!this.#options.isCalm) await this.#elapse(REBALANCE_MS / 6)
    }
    await quiet()
    for (const { member, isAlive } of this.#clients) if (isAlive) await member.settled(AbortSignal.timeout(2_000))
    await this.#checkAllOwned()
    return new Map(this.#clients.map((client) => [client, client.member.owned]))
  }

  async #checkAllOwned(): Promise<void> {
    const wanting = this.#clients.filter(({ isAlive, wanted }) => isAlive && wanted !== undefined)
    const topics = new Set(wanting.flatMap(({ wanted }) => this.#meant(wanted)))
    const expected = [...topics].flatMap((topic) =>
      Array.from({ length: topic.partitionCount }, (_, partition) => keyOf({ topic, partition })),
    )
    const owned = wanting.flatMap(({ member }) => member.owned)
    assert.deepEqual(owned.map(keyOf).sort(), expected.sort())
    const group = await this.#engine.groups.describe(GROUP)
    const inGroup = new Set(group?.members.map(({ memberId }) => memberId))
    for (const { member, told, wanted, isAlive } of this.#clients) {
      assert.equal(inGroup.has(member.memberId), isAlive && wanted !== undefined)
      assert.deepEqual(
        [...told.owned].map(keyOf).sort(),
        member.owned.map(keyOf).sort(),
        'what it was told is what it owns',
      )
    }
    if (this.#options.isCalm) this.#checkShares(wanting)
  }

  #checkShares(clients: readonly Client[]): void {
    const loads = clients.map(({ member }) => member.owned.length)
    assert.ok(Math.max(0, ...loads) - Math.min(...loads) <= 1 || clients.length === 0, `loads ${loads}`)
  }

  #meant(wanted: Subscription | undefined): readonly Topic[] {
    if (wanted === undefined) return []
    const isMeant = (name: string) =>
      'topics' in wanted ? wanted.topics.includes(name) : new RegExp(`^(${wanted.pattern})$`).test(name)
    return this.#engine.listTopics().filter(({ name }) => isMeant(name))
  }

  /** Nobody gave up or lost anything to get it back. */
  async #checkMoves(before: ReadonlyMap<Client, readonly OwnedPartition[]>): Promise<void> {
    await this.#rest()
    for (const [{ member }, had] of before) {
      const has = new Map(member.owned.map((owned) => [keyOf(owned), owned]))
      for (const owned of had) {
        assert.ok(
          has.get(keyOf(owned)) === undefined || has.get(keyOf(owned)) === owned,
          `${keyOf(owned)} went and came back`,
        )
      }
    }
  }
}

function keyOf({ topic, partition }: { readonly topic: Topic; readonly partition: number }): string {
  return `${topic.name}-${partition} ${topic.id}`
}

function toCommit({ topic, partition }: OwnedPartition) {
  return { topic: topic.name, partition, offset: 1 }
}

function ignoreRefused(error: unknown): void {
  const refusals: readonly string[] = ['disk_full', 'rebalance_in_progress', 'shutting_down']
  assert.ok(error instanceof TailraceError && refusals.includes(error.code), String(error))
}

async function tryHistories(count: number, options: HistoryOptions): Promise<void> {
  const chosen = process.env['SEED']
  const first = chosen === undefined ? Date.now() % 1_000_000_000 : Number(chosen)
  for (let seed = first; seed < first + (chosen === undefined ? count : 1); seed++) {
    try {
      await new History(new Random(seed), options).run()
    } catch (cause) {
      throw new Error(`history with SEED=${seed}`, { cause })
    }
  }
}

test('cooperative members own everything once, through silence, failures and changes of topics', async () => {
  await tryHistories(20, { isCalm: false, assignors: ASSIGNORS.slice(0, 1) })
})

test('so do members that know other assignors, and members that know different ones', async () => {
  for (const assignors of ASSIGNORS) await tryHistories(5, { isCalm: false, assignors: [assignors] })
  await tryHistories(15, { isCalm: false, assignors: ASSIGNORS })
})

test('one change at a time moves only what has to move, and loads stay within one', async () => {
  await tryHistories(10, { isCalm: true, assignors: ASSIGNORS.slice(0, 1) })
})
