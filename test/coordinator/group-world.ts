// A group and its clients in a random history: clients that come, go, die, sleep and come back under their old name, a store that is
// slow or fails, a server that crashes. What is promised is looked at after every step.

import assert from 'node:assert/strict'
import type { GroupDescription, JoinedGroup } from '../../src/engine/group-protocol.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import type { RawMember } from '../support/raw-member.ts'
import { CoordinatorFixture } from './coordinator-fixture.ts'

const SESSION_MS = 1_000
const REBALANCE_MS = 2_000
const HEARTBEAT_MS = 300
const STEP_MS = 50
const PLACES = ['t/0', 't/1', 't/2', 't/3']

/** Nothing in memory takes more of them. */
const MICROTASKS = 40

/** As whom somebody spoke, and of what it believed to be its own. */
interface Claim {
  readonly raw: RawMember
  readonly owned: readonly string[]
}

/** One process of a client: joins, assigns if it leads, syncs, and beats its heart. Eager: it gives up all before it joins. */
class Client {
  readonly world: GroupWorld
  readonly groupInstanceId: string | undefined
  raw: RawMember
  isAlive = true
  isAsleep = false
  /** It is busy with what it has: beats its heart, and neither joins nor syncs. */
  isLazy = false
  needsJoin = true
  owned: readonly string[] = []
  /** Requests that are on their way still may speak so. */
  readonly past: Claim[] = []
  topics: readonly string[]
  #round = 0
  #isBusy = false
  #waiting = new AbortController()
  #beatMs = 0

  constructor(world: GroupWorld, groupInstanceId: string | undefined, topics: readonly string[] = ['t']) {
    this.world = world
    this.topics = topics
    this.groupInstanceId = groupInstanceId
    this.raw = this.#makeRaw()
  }

  #makeRaw(): RawMember {
    return this.world.fixture.member({
      groupInstanceId: this.groupInstanceId,
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: REBALANCE_MS,
      topics: this.topics,
    })
  }

  /** The server is another: what it was waiting for never comes. */
  reconnect(): void {
    const { memberId, generationId } = this.raw
    this.raw = Object.assign(this.#makeRaw(), { memberId, generationId })
    this.#round++
    this.#isBusy = false
    this.needsJoin = true
  }

  subscribe(topics: readonly string[]): void {
    this.topics = topics
    const { memberId, generationId } = this.raw
    this.raw = Object.assign(this.#makeRaw(), { memberId, generationId })
    this.needsJoin = true
  }

  hangUp(): void {
    this.#waiting.abort()
  }

  tick(now: number): void {
    if (!this.isAlive || this.isAsleep || this.#isBusy) return
    if (this.needsJoin && !this.isLazy) void this.#takePart()
    else if (now >= this.#beatMs) {
      this.#beatMs = now + HEARTBEAT_MS
      const round = this.#round
      this.raw.heartbeat().catch((error: unknown) => this.#refused(error, round))
    }
  }

  async #takePart(): Promise<void> {
    const round = ++this.#round
    const { raw, world, owned: before } = this
    this.#remember(before)
    this.#isBusy = true
    this.#waiting = new AbortController()
    this.owned = []
    try {
      const placeTaken = world.placeTakenBy(raw)
      const joined = await raw.join(this.#waiting.signal)
      world.hasReturned(placeTaken, joined)
      if (round !== this.#round) return
      world.heard(joined)
      this.#remember(before)
      if (this.isLazy) return
      const leads = joined.leaderId === raw.memberId && !joined.skipAssignment
      const owned = await raw.sync(leads ? assign(joined) : {}, this.#waiting.signal)
      world.hasAssignment(placeTaken, owned)
      if (round !== this.#round) return
      this.owned = owned
      this.needsJoin = false
    } catch (error) {
      this.#refused(error, round)
    } finally {
      if (round === this.#round) this.#isBusy = false
    }
  }

  #remember(owned: readonly string[]): void {
    const { memberId, generationId } = this.raw
    if (owned.length > 0) this.past.push({ raw: Object.assign(this.#makeRaw(), { memberId, generationId }), owned })
  }

  #refused(error: unknown, round: number): void {
    if (round !== this.#round) return
    this.needsJoin = true
    if (!(error instanceof TailraceError)) this.world.failures.push(error)
    else if (error.code === 'unknown_member_id') this.raw.memberId = ''
    else if (error.code === 'fenced_instance_id') this.isAlive = false
    else if (!EXPECTED.has(error.code)) this.world.failures.push(error)
  }
}

/** Of a static member of a stable group, by one that comes back under its name with the same subscription. */
interface PlaceTaken {
  readonly old: RawMember
  readonly generationId: number
  readonly assignment: Uint8Array
}

const EXPECTED = new Set(['rebalance_in_progress', 'illegal_generation', 'request_cancelled', 'disk_full'])

function assign({ members }: JoinedGroup): Record<string, string[]> {
  const assigned = members.map((): string[] => [])
  for (const [at, place] of PLACES.entries()) assigned[at % assigned.length]?.push(place)
  return Object.fromEntries(members.map(({ memberId }, at) => [memberId, assigned[at] ?? []]))
}

export class GroupWorld {
  readonly fixture = new CoordinatorFixture()
  /** Static members that came back to a stable group, and those of them that have asked for their assignment. */
  readonly returned = { joined: 0, synced: 0 }
  /** Of what goes on in the background. */
  readonly failures: unknown[] = []
  #clients: Client[] = []
  /** What each place was last acknowledged at. */
  readonly #committed = new Map<string, number>()
  /** Commits that were under way when the server crashed: there or not. */
  readonly #perhaps = new Map<string, Set<number>>()
  #underWay = 0
  #offset = 0
  #life = 0
  /** The highest that was heard of in this life of the server, and in those before. */
  #heard = 0
  #heardBefore = 0
  #isFull = false
  #gate: PromiseWithResolvers<void> | undefined

  constructor() {
    this.#watchStore()
  }

  #watchStore(): void {
    this.fixture.store.before = async () => {
      await this.#gate?.promise
      if (this.#isFull) throw new TailraceError('disk_full', 'no room')
    }
  }

  async act(action: number, pick: number): Promise<void> {
    const client = this.#clients[pick % Math.max(1, this.#clients.length)]
    const live = this.#clients.filter(({ isAlive }) => isAlive)
    const acts: (() => Promise<void> | void)[] = [
      () => this.pass([50, 500, 1_500, 4_000][pick % 4] ?? 0),
      () => this.pass(50),
      () => this.#start(live.length, undefined),
      () => this.#start(live.length, `i${pick % 2}`),
      () => this.#leave(client),
      () => this.#die(client, pick),
      () => {
        if (client !== undefined) client.isAsleep = !client.isAsleep
      },
      () => {
        if (client !== undefined) client.isLazy = !client.isLazy
      },
      () => this.#commit(client, pick),
      () => this.#commit(client?.past.at(-1 - (pick % 3)), pick),
      () => {
        this.#isFull = pick % 2 === 0
      },
      () => {
        this.#gate ??= Promise.withResolvers()
      },
      () => this.#release(),
      () => this.#crash(),
      () => client?.subscribe(pick % 2 === 0 ? ['t'] : ['t', 'u']),
      () => this.#expire(),
      () => this.#comeBack(live, `i${pick % 2}`),
    ]
    await acts[action % acts.length]?.()
    await this.#settle()
    await this.#check()
  }

  #start(liveCount: number, groupInstanceId: string | undefined): void {
    if (liveCount >= 5) return
    for (const old of this.#clients) {
      // another process takes over; the old one does not know yet
      if (groupInstanceId !== undefined && old.groupInstanceId === groupInstanceId) old.isAsleep = true
    }
    this.#clients.push(new Client(this, groupInstanceId))
  }

  /** As a process that is started again, with what it read before, in a group that has had time to come to rest. */
  async #comeBack(live: readonly Client[], groupInstanceId: string): Promise<void> {
    const old = live.findLast((client) => client.groupInstanceId === groupInstanceId)
    if (old === undefined) this.#start(live.length, groupInstanceId)
    await this.pass(500)
    if (old === undefined) return
    old.isAsleep = true
    this.#clients.push(new Client(this, groupInstanceId, old.topics))
    await this.pass(STEP_MS)
  }

  async #leave(client: Client | undefined): Promise<void> {
    if (client === undefined || !client.isAlive) return
    client.isAlive = false
    client.owned = []
    if (client.raw.memberId !== '') await client.raw.leave()
  }

  #die(client: Client | undefined, pick: number): void {
    if (client === undefined) return
    client.isAlive = false
    if (pick % 3 > 0) client.hangUp()
  }

  #release(): void {
    this.#gate?.resolve()
    this.#gate = undefined
  }

  /** By whoever believes that it owns the place, the dead and the sleeping too. */
  async #commit(claim: Claim | undefined, pick: number): Promise<void> {
    const place = claim?.owned[pick % Math.max(1, claim.owned.length)]
    if (claim === undefined || place === undefined) return
    const offset = ++this.#offset
    const life = this.#life
    const mayCommit = isUnfenced(await this.#describe(), claim)
    this.#underWay++
    const perhaps = this.#perhaps.get(place) ?? new Set()
    this.#perhaps.set(place, perhaps.add(offset))
    const committing = claim.raw.commit(offset, Number(place.at(-1))).then(
      () => {
        assert.ok(mayCommit, `a fenced owner has committed ${place}`)
        if (life === this.#life) this.#committed.set(place, offset)
      },
      (error: TailraceError) => assert.ok(!mayCommit || error.code === 'disk_full', error.message),
    )
    void committing
      .catch((failure: unknown) => this.failures.push(failure))
      .then(() => {
        if (life !== this.#life) return
        this.#underWay--
        perhaps.delete(offset)
      })
  }

  #crash(): void {
    this.#release()
    this.#gate = undefined
    this.fixture.restart()
    this.#watchStore()
    this.#life++
    this.#underWay = 0
    this.#heardBefore = Math.max(this.#heardBefore, this.#heard)
    this.#heard = 0
    for (const client of this.#clients) {
      client.reconnect()
      client.past.length = 0
    }
  }

  async #expire(): Promise<void> {
    this.#release()
    const expiring = this.fixture.groups.expire(new AbortController().signal)
    await expiring.catch((error: unknown) => assert.ok(this.#isFull, String(error)))
    if ((await this.#describe()) !== undefined) return
    this.#heardBefore = 0
    this.#heard = 0
  }

  heard({ generationId }: JoinedGroup): void {
    assert.ok(generationId > this.#heardBefore, 'a generation of an earlier life is not used again')
    assert.ok(generationId >= this.#heard, 'generations rise')
    const [saved] = this.fixture.store.saved.groups
    assert.ok((saved?.generation ?? 0) >= generationId, 'a generation is durable before it is heard of')
    this.#heard = generationId
  }

  /** Asked just before it joins: both are answered by what there is at this moment. */
  async placeTakenBy({ memberId, options, request }: RawMember): Promise<PlaceTaken | undefined> {
    const { groupInstanceId } = options
    if (memberId !== '' || groupInstanceId === undefined) return undefined
    const group = await this.#describe()
    const place = group?.members.find((member) => member.groupInstanceId === groupInstanceId)
    if (group?.state !== 'Stable' || place === undefined) return undefined
    const metadata = request.protocols[0]?.metadata ?? []
    if (Buffer.compare(place.metadata, Buffer.from(metadata)) !== 0) return undefined
    const { generationId } = group
    const old = Object.assign(this.fixture.member({ groupInstanceId }), { memberId: place.memberId, generationId })
    return { old, generationId, assignment: place.assignment }
  }

  hasReturned(taking: Promise<PlaceTaken | undefined>, joined: JoinedGroup): void {
    this.#checkReturn(taking, async ({ old, generationId }) => {
      this.returned.joined++
      assert.equal(joined.generationId, generationId, 'a static member that comes back begins no generation')
      assert.notEqual(joined.memberId, old.memberId)
      const calls = [old.heartbeat(), old.sync(), old.commit(1)]
      await Promise.all(calls.map((call) => assert.rejects(call, { code: 'fenced_instance_id' })))
    })
  }

  hasAssignment(taking: Promise<PlaceTaken | undefined>, owned: readonly string[]): void {
    this.#checkReturn(taking, ({ assignment }) => {
      this.returned.synced++
      assert.deepEqual(owned, JSON.parse(Buffer.from(assignment).toString()), 'it has again what it had')
    })
  }

  /** Beside what goes on: whoever waited for it would hear late of what comes next. */
  #checkReturn(taking: Promise<PlaceTaken | undefined>, check: (taken: PlaceTaken) => Promise<void> | void): void {
    const checking = taking.then((taken) => taken && check(taken))
    checking.catch((failure: unknown) => this.failures.push(failure))
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      this.fixture.clock.advance(STEP_MS)
      for (const client of this.#clients) client.tick(this.fixture.clock.monotonic())
      await this.#settle()
      await this.#check()
    }
  }

  async #settle(): Promise<void> {
    for (let left = MICROTASKS; left > 0; left--) await undefined
  }

  #describe(): Promise<GroupDescription | undefined> {
    return this.fixture.groups.describe('g')
  }

  async #check(): Promise<void> {
    if (this.failures.length > 0) throw this.failures[0]
    const group = await this.#describe()
    for (const place of PLACES) {
      const owners = this.#clients.filter((client) => client.owned.includes(place) && isUnfenced(group, client))
      assert.ok(owners.length <= 1, `${place} has ${owners.length} unfenced owners`)
    }
    if (this.#underWay > 0) return
    const committed = await this.fixture.groups.committed('g')
    for (const { topic, partition, offset } of committed) {
      const place = `${topic}/${partition}`
      const acknowledged = this.#committed.get(place)
      assert.ok(offset === acknowledged || this.#perhaps.get(place)?.has(offset), `${place} is at ${offset}`)
      assert.ok(acknowledged === undefined || offset >= acknowledged)
      this.#committed.set(place, offset)
    }
    assert.equal(committed.length, this.#committed.size, 'no acknowledged offset is lost')
  }

  /** With a store that works and clients that are awake it comes to rest with everything owned once, whoever is lazy. */
  async end(): Promise<void> {
    this.#isFull = false
    this.#release()
    for (const client of this.#clients) client.isAsleep = false
    await this.pass(4 * (SESSION_MS + REBALANCE_MS))
    const group = await this.#describe()
    const ids = group?.members.map(({ memberId }) => memberId) ?? []
    const isCalling = ids.length > 0 && group?.state === 'PreparingRebalance' && ids.every((id) => this.#keepsPlace(id))
    if (!isCalling) assert.equal(group?.state ?? 'Empty', ids.length === 0 ? 'Empty' : 'Stable', 'the group is stuck')
    for (const { isAlive, isLazy, raw } of this.#clients) {
      assert.ok(!isAlive || isLazy || ids.includes(raw.memberId), 'who takes part is in')
      assert.ok(isAlive || !ids.includes(raw.memberId), 'who is dead is out')
    }
    if (isCalling) return
    const owned = this.#clients.flatMap((client) => (isUnfenced(group, client) ? client.owned : []))
    assert.deepEqual(owned.sort(), ids.length === 0 ? [] : PLACES, 'everything is owned once')
  }

  /** A static member that is there but does not join: with none but such ones a rebalance goes on, as in Kafka. */
  #keepsPlace(memberId: string): boolean {
    return this.#clients.some(({ raw, isAlive, isLazy, groupInstanceId }) => {
      return raw.memberId === memberId && isAlive && isLazy && groupInstanceId !== undefined
    })
  }
}

/** Whether what the client says of its partitions would be taken. */
function isUnfenced(group: GroupDescription | undefined, { raw }: Claim): boolean {
  if (group === undefined || group.generationId !== raw.generationId) return false
  const isMember = group.members.some(({ memberId }) => memberId === raw.memberId)
  return isMember && (group.state === 'Stable' || group.state === 'PreparingRebalance')
}
