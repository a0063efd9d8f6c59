// One consumer group as a state machine: Kafka's classic protocol (KIP-62, 345, 429). What must hold: a generation is
// durable before any member hears of it and is never used again; of all who speak for a member or an instance only the
// last is heard; whatever is not done in time ends by a deadline, so that no group is ever stuck. Calls act at once, one
// after the other; what waits are their replies. No I/O of its own: the host saves.
//
//   Empty -> PreparingRebalance (all members join) -> CompletingRebalance (the leader assigns) -> Stable
//   and back to PreparingRebalance whenever a member comes, goes, or says something else of itself.

import type {
  GroupDescription,
  GroupListing,
  GroupState,
  JoinedGroup,
  JoinGroup,
  MemberIdentity,
  SyncedGroup,
  SyncGroup,
} from '../engine/group-protocol.ts'
import type { Clock } from '../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { Alarm } from './alarm.ts'
import {
  fencedInstance,
  illegalGeneration,
  inconsistentProtocol,
  membersOnly,
  rebalanceInProgress,
  unknownMember,
} from './group-errors.ts'
import type { SavedGroup } from './group-store.ts'
import { Member } from './member.ts'
import type { MemberTotals } from './members.ts'
import { Members } from './members.ts'
import { givenUp, PendingReply } from './pending-reply.ts'

export interface GroupHost {
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly initialRebalanceDelayMs: number
  readonly membersMax: number
  readonly totals: MemberTotals
  newMemberId(prefix: string): string
  /** Durable when it resolves. */
  save(group: SavedGroup): Promise<void>
  /** Members have to join again. */
  onRebalance(group: Group): void
  /** The topics that a member's metadata name; undefined where that cannot be told. */
  topicsOf(protocolType: string, metadata: Uint8Array): ReadonlySet<string> | undefined
}

const NEVER = Number.POSITIVE_INFINITY
const NOTHING = new Uint8Array(0)

export class Group {
  readonly id: string
  readonly #host: GroupHost
  readonly #members: Members
  readonly #alarm: Alarm
  #state: GroupState = 'Empty'
  #protocolType: string
  #protocolName = ''
  #leaderId = ''
  /** The last that members heard of, and the last that was tried. */
  #generation: number
  #lastGeneration: number
  #emptySinceMs: number
  /** The next generation is being made durable: who joins meanwhile is in it. */
  #isSaving = false
  #lastSave: Promise<unknown> = Promise.resolve()
  /** Who has not joined by then is left out, and no generation begins before. */
  #joinDeadlineMs = NEVER
  #holdUntilMs = 0
  /** Who has not asked for its assignment by then is left out. */
  #syncDeadlineMs = NEVER

  constructor(host: GroupHost, saved: SavedGroup) {
    this.id = saved.groupId
    this.#host = host
    this.#members = new Members(saved.groupId, host.membersMax, host.totals)
    this.#protocolType = saved.protocolType
    this.#generation = saved.generation
    this.#lastGeneration = saved.generation
    this.#emptySinceMs = saved.emptySinceMs ?? host.clock.now()
    this.#alarm = new Alarm(host.clock, () => this.#wake())
  }

  get state(): GroupState {
    return this.#state
  }

  /** It has no members, and never tried to have any. */
  get isUntouched(): boolean {
    return this.#state === 'Empty' && this.#lastGeneration === 0
  }

  /** Wall clock, ms. Of one that has members: when it got the first. */
  get emptySinceMs(): number {
    return this.#emptySinceMs
  }

  /** A rebalance waits for members. */
  get isCalling(): boolean {
    return this.#state === 'PreparingRebalance' && !this.#members.haveAllJoined()
  }

  list(): GroupListing {
    return { groupId: this.id, state: this.#state, protocolType: this.#protocolType }
  }

  describe(): GroupDescription {
    const members = [...this.#members].map((member) => ({
      memberId: member.id,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata: member.metadata(this.#protocolName),
      assignment: member.assignment,
    }))
    return { ...this.list(), generationId: this.#generation, protocolName: this.#protocolName, members }
  }

  /** Whether a member reads the topic, or may do so as far as can be told. */
  isSubscribedTo(topic: string): boolean {
    return [...this.#members].some((member) => this.#topicsOf(member)?.has(topic) ?? true)
  }

  #topicsOf(member: Member): ReadonlySet<string> | undefined {
    const name = this.#protocolName === '' ? (member.protocols[0]?.name ?? '') : this.#protocolName
    return this.#host.topicsOf(this.#protocolType, member.metadata(name))
  }

  // --- join ---

  join(request: JoinGroup, signal?: AbortSignal): Promise<JoinedGroup> {
    if (signal?.aborted) throw givenUp()
    const { memberId, groupInstanceId: instance, protocolType } = request
    const replaced = memberId === '' && instance !== undefined ? this.#members.ofInstance(instance) : undefined
    const member = memberId === '' ? replaced : this.#member(request)
    const isOpen = this.#generation === 0 && this.#members.size === 0
    if (!isOpen && protocolType !== this.#protocolType) {
      throw inconsistentProtocol(this.id, `is of the type '${this.#protocolType}', not '${protocolType}'`)
    }
    this.#members.checkJoin(request.protocols, member)
    if (member === undefined) return this.#joinNew(request, signal)
    return replaced === undefined ? this.#joinAgain(member, request, signal) : this.#joinAs(replaced, request, signal)
  }

  #joinNew(request: JoinGroup, signal: AbortSignal | undefined): Promise<JoinedGroup> {
    const { initialRebalanceDelayMs } = this.#host
    const now = this.#now()
    this.#protocolType = request.protocolType
    const member = this.#newMember(request)
    const joined = this.#awaitJoin(member, signal)
    // others may follow as quickly
    if (this.#holdUntilMs > now) this.#holdUntilMs = Math.min(now + initialRebalanceDelayMs, this.#joinDeadlineMs)
    this.#rebalance()
    return joined
  }

  #newMember(request: JoinGroup): Member {
    const member = new Member(this.#host.newMemberId(request.groupInstanceId ?? request.clientId), request)
    this.#members.add(member)
    return member
  }

  #joinAgain(member: Member, request: JoinGroup, signal: AbortSignal | undefined): Promise<JoinedGroup> {
    const isSettled = this.#state === 'CompletingRebalance' || (this.#state === 'Stable' && !this.#isLeader(member))
    // it lost its reply, or knows of a rebalance that is over: what it was told holds
    const holds = isSettled && member.hasProtocols(request.protocols)
    this.#members.update(member, request)
    if (holds) return Promise.resolve(this.#tell(member))
    const joined = this.#awaitJoin(member, signal)
    this.#rebalance()
    return joined
  }

  /** A static member is back: who had its place is fenced. Where nothing else changes it takes over what there is. */
  #joinAs(old: Member, request: JoinGroup, signal: AbortSignal | undefined): Promise<JoinedGroup> {
    const topicsBefore = this.#topicsOf(old)
    const wasLeader = this.#isLeader(old)
    this.#members.drop(old, fencedInstance(this.id, old.groupInstanceId ?? ''))
    const member = this.#newMember(request)
    this.#members.assign(member, old.assignment)
    if (wasLeader) this.#leaderId = member.id
    if (this.#state === 'Stable' && this.#isSettledFor(member, topicsBefore)) {
      return Promise.resolve({ ...this.#tell(member), skipAssignment: wasLeader })
    }
    const joined = this.#awaitJoin(member, signal)
    this.#rebalance()
    return joined
  }

  #isSettledFor(member: Member, topicsBefore: ReadonlySet<string> | undefined): boolean {
    if (this.#members.chooseProtocol() !== this.#protocolName) return false
    const topics = this.#topicsOf(member)
    if (topics === undefined || topicsBefore === undefined) return true
    return topics.size === topicsBefore.size && [...topics].every((topic) => topicsBefore.has(topic))
  }

  #awaitJoin(member: Member, signal: AbortSignal | undefined): Promise<JoinedGroup> {
    member.joining?.reject(rebalanceInProgress(this.id))
    const reply = new PendingReply<JoinedGroup>(signal, () => {
      if (member.joining === reply) this.#joinGivenUp(member)
    })
    member.joining = reply
    return reply.promise
  }

  #joinGivenUp(member: Member): void {
    member.joining = undefined
    if (this.#canComeBack(member)) {
      this.#beginSession(member)
    } else {
      this.#members.drop(member, givenUp())
      this.#rebalance()
    }
  }

  /** Else nobody knows its id. */
  #canComeBack({ isKnown, groupInstanceId }: Member): boolean {
    return isKnown || groupInstanceId !== undefined
  }

  #tell(member: Member): JoinedGroup {
    member.isKnown = true
    this.#beginSession(member)
    return {
      generationId: this.#generation,
      protocolType: this.#protocolType,
      protocolName: this.#protocolName,
      leaderId: this.#leaderId,
      memberId: member.id,
      skipAssignment: false,
      members: this.#isLeader(member) ? this.#listForLeader() : [],
    }
  }

  #isLeader(member: Member): boolean {
    return member.id === this.#leaderId
  }

  #listForLeader(): JoinedGroup['members'] {
    const members = [...this.#members].sort((a, b) => (a.id < b.id ? -1 : 1))
    return members.map((member) => ({
      memberId: member.id,
      groupInstanceId: member.groupInstanceId,
      metadata: member.metadata(this.#protocolName),
    }))
  }

  // --- rebalance ---

  /** Something has changed: begins a rebalance, or sees whether the one that there is has everybody. */
  #rebalance(): void {
    if (this.#members.size === 0) {
      this.#becomeEmpty()
      return
    }
    if (this.#state !== 'PreparingRebalance') this.#prepare()
    if (this.#isSaving) return
    if (this.#holdUntilMs > this.#now()) this.#alarm.setBy(this.#holdUntilMs)
    else if (this.#members.haveAllJoined()) void this.#beginGeneration()
    else this.#alarm.setBy(this.#joinDeadlineMs)
  }

  #prepare(): void {
    const { telemetry, initialRebalanceDelayMs } = this.#host
    const now = this.#now()
    if (this.#state === 'Empty') this.#holdUntilMs = now + initialRebalanceDelayMs
    if (this.#state === 'CompletingRebalance') this.#takeAssignmentsBack()
    this.#state = 'PreparingRebalance'
    this.#syncDeadlineMs = NEVER
    this.#joinDeadlineMs = now + this.#members.rebalanceTimeoutMs()
    telemetry.groups.rebalances++
    this.#host.onRebalance(this)
  }

  #takeAssignmentsBack(): void {
    for (const member of this.#members) {
      this.#members.assign(member, NOTHING)
      this.#answerSync(member, rebalanceInProgress(this.id))
    }
  }

  async #beginGeneration(): Promise<void> {
    this.#isSaving = true
    const generation = ++this.#lastGeneration
    const failure = await this.#save(undefined).then(() => undefined, asTailraceError)
    this.#isSaving = false
    if (this.#state === 'Empty') return this.#saveEmpty()
    if (this.#state !== 'PreparingRebalance') return
    if (failure !== undefined) this.#failJoins(failure)
    else if (this.#members.joined().length > 0) this.#tellAll(generation)
    else this.#waitAnew()
  }

  #save(emptySinceMs: number | undefined): Promise<void> {
    const generation = this.#lastGeneration
    const saved = this.#host.save({ groupId: this.id, protocolType: this.#protocolType, generation, emptySinceMs })
    this.#lastSave = saved.catch(() => {})
    return saved
  }

  #tellAll(generation: number): void {
    const joined = this.#members.joined()
    this.#generation = generation
    this.#protocolName = this.#members.chooseProtocol()
    if (this.#members.get(this.#leaderId)?.joining === undefined) this.#leaderId = joined[0]?.id ?? ''
    this.#state = 'CompletingRebalance'
    this.#joinDeadlineMs = NEVER
    this.#syncDeadlineMs = this.#now() + this.#members.rebalanceTimeoutMs()
    this.#alarm.setBy(this.#syncDeadlineMs)
    for (const member of this.#members) member.owesSync = member.joining !== undefined
    for (const member of joined) {
      const reply = member.joining
      member.joining = undefined
      reply?.resolve(this.#tell(member))
    }
  }

  #failJoins(failure: TailraceError): void {
    for (const member of this.#members.joined()) {
      member.joining?.reject(failure)
      member.joining = undefined
      if (this.#canComeBack(member)) this.#beginSession(member)
      else this.#members.drop(member, failure)
    }
    this.#waitAnew()
  }

  #waitAnew(): void {
    this.#joinDeadlineMs = this.#now() + this.#members.rebalanceTimeoutMs()
    this.#rebalance()
  }

  #becomeEmpty(): void {
    this.#alarm.cancel()
    this.#state = 'Empty'
    this.#protocolName = ''
    this.#leaderId = ''
    this.#joinDeadlineMs = NEVER
    this.#syncDeadlineMs = NEVER
    this.#emptySinceMs = this.#host.clock.now()
    if (!this.#isSaving && this.#generation > 0) this.#saveEmpty()
  }

  #saveEmpty(): void {
    // one that is not saved makes the offsets live longer, as if the group had been empty from the next start on
    this.#save(this.#emptySinceMs).catch(() => {})
  }

  // --- sync ---

  sync(request: SyncGroup, signal?: AbortSignal): Promise<SyncedGroup> {
    if (signal?.aborted) throw givenUp()
    const member = this.#memberOfGeneration(request)
    const { protocolType = this.#protocolType, protocolName = this.#protocolName } = request
    if (protocolType !== this.#protocolType || protocolName !== this.#protocolName) {
      const own = `'${this.#protocolName}' of the type '${this.#protocolType}'`
      throw inconsistentProtocol(this.id, `has chosen ${own}, not '${protocolName}' of the type '${protocolType}'`)
    }
    if (this.#state === 'PreparingRebalance') throw rebalanceInProgress(this.id)
    if (this.#state === 'CompletingRebalance' && this.#isLeader(member)) this.#settle(request)
    member.owesSync = false
    if (this.#state !== 'Stable') return this.#awaitSync(member, signal)
    this.#beginSession(member)
    return Promise.resolve(this.#tellAssignment(member))
  }

  #settle({ assignments }: SyncGroup): void {
    const assigned = new Map(assignments.map(({ memberId, assignment }) => [memberId, assignment]))
    const sizes = [...assigned.values()].map(({ byteLength }) => byteLength)
    this.#members.checkRoom(sizes, 'the assignment of a member')
    this.#state = 'Stable'
    for (const member of this.#members) {
      this.#members.assign(member, assigned.get(member.id) ?? NOTHING)
      this.#answerSync(member, this.#tellAssignment(member))
    }
  }

  #awaitSync(member: Member, signal: AbortSignal | undefined): Promise<SyncedGroup> {
    member.syncing?.reject(rebalanceInProgress(this.id))
    const reply = new PendingReply<SyncedGroup>(signal, () => {
      if (member.syncing !== reply) return
      member.syncing = undefined
      this.#beginSession(member)
    })
    member.syncing = reply
    return reply.promise
  }

  #answerSync(member: Member, answer: SyncedGroup | TailraceError): void {
    const reply = member.syncing
    if (reply === undefined) return
    member.syncing = undefined
    this.#beginSession(member)
    if (answer instanceof TailraceError) reply.reject(answer)
    else reply.resolve(answer)
  }

  #tellAssignment({ assignment }: Member): SyncedGroup {
    return { protocolType: this.#protocolType, protocolName: this.#protocolName, assignment }
  }

  // --- signs of life, and their end ---

  heartbeat(identity: MemberIdentity): void {
    this.#beginSession(this.#memberOfGeneration(identity))
    if (this.#state === 'PreparingRebalance') throw rebalanceInProgress(this.id)
  }

  leave(leaving: { readonly memberId: string; readonly groupInstanceId?: string | undefined }): void {
    const { memberId, groupInstanceId: instance } = leaving
    const ofInstance = memberId === '' && instance !== undefined ? this.#members.ofInstance(instance) : undefined
    const member = ofInstance ?? this.#member(leaving)
    this.#members.drop(member, unknownMember(this.id, member.id))
    this.#rebalance()
  }

  /** Throws unless offsets may be committed: by a member of this generation, or by anybody while there are no members. */
  checkCommit(member: Omit<MemberIdentity, 'groupId'> | undefined): void {
    if (member === undefined) {
      if (this.#state !== 'Empty') throw membersOnly(this.id)
      return
    }
    const found = this.#memberOfGeneration({ ...member, groupId: this.id })
    if (this.#state === 'CompletingRebalance') throw rebalanceInProgress(this.id)
    this.#beginSession(found)
  }

  #memberOfGeneration(identity: MemberIdentity): Member {
    const member = this.#member(identity)
    if (identity.generationId !== this.#generation) throw illegalGeneration(identity, this.#generation)
    return member
  }

  #member({ memberId, groupInstanceId: instance }: Pick<MemberIdentity, 'memberId' | 'groupInstanceId'>): Member {
    const current = instance === undefined ? undefined : this.#members.ofInstance(instance)
    if (instance !== undefined && current !== undefined && current.id !== memberId) {
      throw fencedInstance(this.id, instance)
    }
    const member = this.#members.get(memberId)
    if (member === undefined || (instance !== undefined && member !== current)) throw unknownMember(this.id, memberId)
    return member
  }

  #now(): number {
    return this.#host.clock.monotonic()
  }

  #beginSession(member: Member): void {
    member.deadlineMs = this.#now() + member.sessionTimeoutMs
    if (!member.isWaiting) this.#alarm.setBy(member.deadlineMs)
  }

  /** A deadline may have passed. */
  #wake(): void {
    const now = this.#now()
    const isJoinOver = !this.#isSaving && this.#joinDeadlineMs <= now
    const isSyncOver = this.#syncDeadlineMs <= now
    if (isSyncOver) this.#syncDeadlineMs = NEVER
    const gone = [...this.#members].filter((member) => {
      if (isSyncOver && member.owesSync) return true
      if (member.isWaiting) return false
      return member.deadlineMs <= now || (isJoinOver && member.groupInstanceId === undefined)
    })
    for (const member of gone) this.#members.drop(member, unknownMember(this.id, member.id))
    this.#host.telemetry.groups.expiredMembers += gone.length
    if (isJoinOver) this.#endJoining()
    else if (gone.length > 0 || this.#state === 'PreparingRebalance') this.#rebalance()
    this.#setAlarm()
  }

  /** Goes on with who has joined. Static members that are away keep their places, but one that is there must lead. */
  #endJoining(): void {
    if (this.#members.joined().length > 0) void this.#beginGeneration()
    else this.#waitAnew()
  }

  #setAlarm(): void {
    const joinMs = this.#isSaving ? NEVER : this.#joinDeadlineMs
    const holdMs = this.#holdUntilMs > this.#now() ? this.#holdUntilMs : NEVER
    let nextMs = Math.min(joinMs, holdMs, this.#syncDeadlineMs)
    for (const { isWaiting, deadlineMs } of this.#members) if (!isWaiting && deadlineMs < nextMs) nextMs = deadlineMs
    this.#alarm.setBy(nextMs)
  }

  // --- the end ---

  /** Resolves when what it wanted saved is saved, or failed. */
  async saved(): Promise<void> {
    let last: Promise<unknown> | undefined
    while (last !== this.#lastSave) {
      last = this.#lastSave
      await last
    }
  }

  /** It is deleted, or the server stops: everybody who waits is told. */
  close(why: TailraceError): void {
    this.#state = 'Dead'
    this.#alarm.cancel()
    for (const member of [...this.#members]) this.#members.drop(member, why)
  }
}
