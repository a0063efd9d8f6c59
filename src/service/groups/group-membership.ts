// How a member that lives in this server is in its group: joined or not, in which generation, owning what. What happens is
// noted in flags, and one run at a time works through them (#work): lose what is lost, leave, follow the topics, join. So
// the listener is told one thing after the other, and a membership that nothing happens to is a few fields, no timer and no
// promise.
//
// A join, by KIP-429: give up everything, but nothing under the cooperative assignor; join, assign if it leads, sync; give up
// what went to others, or is not wanted any more, and join again so that they get it; where that is nothing, take what is new.

import { decodeAssignment } from '../../engine/consumer-protocol.ts'
import type { Engine } from '../../engine/engine.ts'
import { isFencing } from '../../engine/fencing.ts'
import type { JoinedGroup, MemberIdentity } from '../../engine/group-protocol.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import { asTailraceError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { TopicsSeen } from './group-leader.ts'
import { assignGroup, encodeWishes, haveTopicsChanged, isAllAssigned, isMoreToCome } from './group-leader.ts'
import type { GroupMemberSpec, OwnedPartition } from './group-member.ts'
import { JoinFailures } from './join-failures.ts'
import { namePartition, Ownership } from './ownership.ts'
import type { TopicMatcher, TopicWishes } from './topic-pattern.ts'

export interface GroupMembershipParts {
  readonly engine: Engine
  readonly clock: Clock
  readonly logger: Logger
  readonly matcher: TopicMatcher
}

interface MembershipOwner {
  readonly spec: GroupMemberSpec
  /** Its client has shown itself within the session timeout: who is not alive leaves where it would join. */
  readonly isAlive: boolean
  onJoined(): void
}

export class GroupMembership {
  readonly owned: Ownership
  readonly failures: JoinFailures
  #memberId = ''
  #generationId = -1
  #wishes: TopicWishes | undefined
  readonly #owner: MembershipOwner
  readonly #parts: GroupMembershipParts
  #protocolName = ''
  /** Where the run is. From joining to syncing nobody knows what is owned. */
  #phase: 'idle' | 'working' | 'joining' | 'syncing' = 'idle'
  /** What there is to do, in this order. */
  #isLost = false
  #leaves = false
  #followsTopics = false
  #joins = false
  #awaitsMore = false
  #isClosed = false
  /** While it leads. */
  #topicsSeen: TopicsSeen | undefined
  /** What it was last given: under an eager assignor it owns nothing when it joins. */
  #previous: readonly OwnedPartition[] = []
  /** Of the join that is under way: it is to leave instead. */
  #joining: AbortController | undefined
  #waiting: Set<() => void> | undefined

  constructor(owner: MembershipOwner, parts: GroupMembershipParts) {
    this.#owner = owner
    this.#parts = parts
    this.owned = new Ownership(owner.spec, parts)
    this.failures = new JoinFailures(parts.clock, this.#tryAgain)
  }

  get identity(): MemberIdentity {
    const { groupId, groupInstanceId } = this.#owner.spec
    return { groupId, memberId: this.#memberId, groupInstanceId, generationId: this.#generationId }
  }

  get memberId(): string {
    return this.#memberId
  }

  get generationId(): number {
    return this.#generationId
  }

  get wishes(): TopicWishes | undefined {
    return this.#wishes
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get isIdle(): boolean {
    return this.#phase === 'idle'
  }

  /** Until it is over the coordinator waits for this member, however long it is silent. */
  get isJoining(): boolean {
    return this.#phase === 'joining' || this.#phase === 'syncing'
  }

  /** Neither a member nor about to be one. */
  get isOut(): boolean {
    return this.#isClosed || this.#wishes === undefined || (this.#generationId < 0 && this.isIdle)
  }

  /** It is to get what others give up first: there will be another rebalance. */
  get awaitsMore(): boolean {
    return this.#awaitsMore
  }

  isOwned(owned: OwnedPartition): boolean {
    return !this.#isLost && this.owned.isOwned(owned)
  }

  join(wishes: TopicWishes): void {
    this.#wishes = wishes
    this.failures.forget()
    this.rejoin()
  }

  rejoin(): void {
    this.#joins = true
    this.#start()
  }

  async leave(): Promise<void> {
    if (this.#wishes === undefined) return
    this.#wishes = undefined
    this.#joins = false
    this.#leaves = true
    this.failures.forget()
    this.#joining?.abort()
    this.#start()
    while (this.#leaves && !this.#isClosed) await this.change()
  }

  /** The listener is told nothing any more. A static member keeps its place. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.failures.forget()
    this.#joining?.abort()
    this.owned.drop()
    this.#tell()
    await this.#leaveUnlessStatic()
  }

  /** Called from inside the coordinator: what there is to do begins when that is done. */
  rebalanceBegan(): void {
    // While it joins, it is the very one that it is joining; if it is not, its sync will say so. Without a generation it is
    // on its way in, or has left after a failure, which may be what the others are called for.
    if (this.isOut || this.#phase === 'joining' || this.#generationId < 0) return
    this.rejoin()
  }

  topicsChanged(): void {
    if (this.isOut) return
    if (!this.#isStale && !this.#wishes?.isPattern && this.owned.gone().length === 0) return
    this.#followsTopics = true
    this.#start()
  }

  /** What the coordinator answered to this member as it was in a generation. Returns whether that is about its membership. */
  heard(error: TailraceError, generationId: number): boolean {
    if (!isFencing(error) && error.code !== 'rebalance_in_progress') return false
    // Nothing new while it joins, and of an earlier generation.
    if (this.#isClosed || this.isJoining || generationId !== this.#generationId) return true
    if (isFencing(error)) this.#fence(error)
    else this.#joins = this.#wishes !== undefined
    this.#start()
    return true
  }

  /** Resolves when something may have changed; rejects when the signal says so. */
  change(signal?: AbortSignal): Promise<void> {
    const waiting = this.#waiting ?? new Set()
    this.#waiting = waiting
    return new Promise((resolve, reject) => {
      const told = () => {
        signal?.removeEventListener('abort', stop)
        resolve()
      }
      const stop = () => {
        waiting.delete(told)
        reject(signal?.reason)
      }
      waiting.add(told)
      signal?.addEventListener('abort', stop, { once: true })
    })
  }

  #tell(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    for (const told of waiting ?? []) told()
  }

  #start(): void {
    if (this.#phase !== 'idle' || this.#isClosed) return
    this.#phase = 'working'
    void this.#work()
  }

  async #work(): Promise<void> {
    // Whoever called goes on first: it may be the coordinator, in the middle of something.
    await undefined
    while (!this.#isClosed && this.#hasWork) {
      try {
        await this.#step()
      } catch (error) {
        this.#fail(asTailraceError(error))
      }
    }
    this.#phase = 'idle'
    this.#tell()
  }

  get #hasWork(): boolean {
    return this.#isLost || this.#leaves || this.#followsTopics || this.#joins
  }

  async #step(): Promise<void> {
    if (this.#isLost) this.#lose()
    else if (this.#leaves) await this.#unsubscribe()
    else if (this.#followsTopics) await this.#followTopics()
    else if (this.#owner.isAlive) await this.#join()
    else await this.#endSession()
  }

  #lose(): void {
    this.#isLost = false
    this.owned.lose(this.owned.list)
  }

  async #unsubscribe(): Promise<void> {
    await this.owned.revoke(this.owned.list)
    if (this.#isClosed || this.#isLost) return
    this.#leaves = false
    await this.#leaveUnlessStatic()
    this.#tell()
  }

  /** Its client has been silent for a session: as if the coordinator had found out. */
  async #endSession(): Promise<void> {
    this.#joins = false
    const memberId = this.#forgetIdentity()
    this.#lose()
    await this.#leaveGroup(memberId)
  }

  async #followTopics(): Promise<void> {
    this.#followsTopics = false
    const { engine, matcher } = this.#parts
    const gone = this.owned.gone()
    this.owned.lose(gone)
    const hasOthers = await this.#wishes?.follow(matcher)
    // One that was made again under its name is assigned already, as far as names go.
    const isMadeAgain = gone.some(({ topic }) => engine.findTopic(topic.name) !== undefined)
    if (this.#wishes !== undefined && (this.#isStale || hasOthers || isMadeAgain)) this.#joins = true
  }

  get #isStale(): boolean {
    return this.#topicsSeen !== undefined && haveTopicsChanged(this.#parts.engine, this.#topicsSeen)
  }

  async #join(): Promise<void> {
    const wishes = this.#wishes
    if (wishes === undefined) throw new Error('a member joins for its topics')
    await wishes.follow(this.#parts.matcher)
    if (!this.#isCooperative) await this.#giveUpOwned()
    if (this.#isClosed || this.#isLost || this.#wishes !== wishes) return
    this.#joins = false
    this.failures.cancel()
    const joining = new AbortController()
    this.#joining = joining
    this.#phase = 'joining'
    let assignment: Uint8Array
    try {
      assignment = await this.#joinGroup(wishes.topics, joining.signal)
    } catch (error) {
      if (!joining.signal.aborted) throw error
      return
    } finally {
      this.#joining = undefined
      this.#phase = 'working'
      this.#tell()
    }
    if (joining.signal.aborted) return
    this.failures.forget()
    this.#owner.onJoined()
    await this.#take(assignment)
  }

  /** Who was put out of the group meanwhile has nothing to give up, and its listener nothing to wait for. */
  async #giveUpOwned(): Promise<void> {
    if (this.owned.list.length === 0) return
    try {
      await this.#parts.engine.groups.heartbeat(this.identity)
    } catch (error) {
      if (isFencing(asTailraceError(error))) throw error
    }
    await this.owned.revoke(this.owned.list)
  }

  get #isCooperative(): boolean {
    return this.#protocolName === 'cooperative-sticky'
  }

  /** Join and sync: what it is assigned. */
  async #joinGroup(topics: readonly string[], signal: AbortSignal): Promise<Uint8Array> {
    const { groups } = this.#parts.engine
    const { groupId, groupInstanceId } = this.#owner.spec
    const mayBeBack = groupInstanceId !== undefined && this.#memberId === ''
    const joined = await groups.join(this.#request(topics), signal)
    this.#memberId = joined.memberId
    if (this.#isClosed) await this.#leaveUnlessStatic()
    signal.throwIfAborted()
    const hasMissedOne = this.#generationId >= 0 && joined.generationId > this.#generationId + 1
    this.#generationId = joined.generationId
    this.#protocolName = joined.protocolName
    this.#phase = 'syncing'
    // Under an eager assignor its leader gives away what it knows nobody to have; so did the leader of a generation that
    // this member was left out of. What it said to have when it joined is withheld from others until it joins again.
    if (hasMissedOne) this.#joins = true
    if (hasMissedOne || !this.#isCooperative) this.#lose()
    const { protocolType, protocolName } = joined
    const assignments = this.#lead(joined)
    const synced = await groups.sync({ ...this.identity, protocolType, protocolName, assignments }, signal)
    if (mayBeBack && !(await isAllAssigned(this.#parts.engine, groupId))) this.#joins = true
    return synced.assignment
  }

  #request(topics: readonly string[]) {
    const { groupId, groupInstanceId, clientId, host, sessionTimeoutMs, rebalanceTimeoutMs, protocolType, assignors } =
      this.#owner.spec
    const owned = this.owned.list.map(namePartition)
    const previous = assignors.includes('sticky') ? this.#previous.map(namePartition) : []
    const protocols = encodeWishes(assignors, { topics, owned, previous, generationId: this.#generationId })
    const member = { groupId, memberId: this.#memberId, groupInstanceId, clientId, clientHost: host }
    return { ...member, sessionTimeoutMs, rebalanceTimeoutMs, protocolType, protocols }
  }

  #lead(joined: JoinedGroup) {
    this.#topicsSeen = undefined
    if (joined.leaderId !== joined.memberId) return []
    const { assignments, topicsSeen } = assignGroup(this.#parts.engine, joined)
    this.#topicsSeen = topicsSeen
    return joined.skipAssignment ? [] : assignments
  }

  async #take(assignment: Uint8Array): Promise<void> {
    const { partitions, userData } = decodeAssignment(assignment) ?? { partitions: [], userData: null }
    const given = this.owned.resolve(partitions)
    const kept = new Set(given)
    const moved = this.owned.list.filter((owned) => !kept.has(owned))
    this.#awaitsMore = isMoreToCome(userData)
    if (moved.length === 0) {
      this.#previous = given
      await this.owned.own(given)
      return
    }
    // What is new comes with the next generation: until this one is done giving up, others may have begun that without it.
    this.#joins = true
    await this.owned.revoke(moved)
  }

  #fence(error: TailraceError): void {
    this.#isLost = true
    this.owned.hurry()
    if (error.code === 'illegal_generation') this.#generationId = -1
    else this.#forgetIdentity()
    const isReplaced = error.code === 'fenced_instance_id'
    if (isReplaced) this.failures.noteReplaced(error)
    this.#joins = !isReplaced && this.#wishes !== undefined && this.#owner.isAlive
  }

  #fail(error: TailraceError): void {
    if (this.#isClosed || this.#wishes === undefined) return
    if (error.code === 'rebalance_in_progress') {
      this.#joins = true
      return
    }
    if (isFencing(error)) this.#fence(error)
    else if (!error.retriable) this.#giveUpMembership()
    if (error.code !== 'fenced_instance_id' && !this.failures.note(error)) this.#joins = false
  }

  #giveUpMembership(): void {
    this.#isLost = true
    void this.#leaveGroup(this.#forgetIdentity())
  }

  /** If its client is gone, it waits for the next sign of life. */
  readonly #tryAgain = () => {
    if (this.#wishes !== undefined && this.#owner.isAlive) this.rejoin()
  }

  #forgetIdentity(): string {
    const memberId = this.#memberId
    this.#memberId = ''
    this.#generationId = -1
    this.#topicsSeen = undefined
    this.#awaitsMore = false
    return memberId
  }

  /** A static member keeps its place, and finds it again if it is back in time. */
  async #leaveUnlessStatic(): Promise<void> {
    if (this.#owner.spec.groupInstanceId === undefined) await this.#leaveGroup(this.#forgetIdentity())
    else this.#generationId = -1
  }

  async #leaveGroup(memberId: string): Promise<void> {
    if (memberId === '') return
    const { groupId, groupInstanceId } = this.#owner.spec
    try {
      await this.#parts.engine.groups.leave(groupId, [{ memberId, groupInstanceId }])
    } catch (error) {
      // Its session timeout ends what could not be ended now.
      this.#parts.logger.warn({ err: error, group: groupId, member: memberId }, 'a member could not leave its group')
    }
  }
}
