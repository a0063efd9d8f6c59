// The rounds of one group: who has to join, which generation comes of it, when the leader has to have assigned, and until when all
// this has to be done. What must hold: a generation is durable before any member hears of it, and is never used again until the
// group is deleted or has expired; every wait ends by a deadline, so that no group is ever stuck. Calls act at once, one after the
// other. No I/O of its own: the host saves.
//
//   Empty -> PreparingRebalance (all members join) -> CompletingRebalance (the leader assigns) -> Stable
//   and back to PreparingRebalance whenever a member comes, goes, or says something else of itself

import type { GroupState, JoinedGroup, SyncedGroup, SyncGroup } from '../engine/group-protocol.ts'
import type { Clock } from '../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { Alarm } from './alarm.ts'
import { rebalanceInProgress, unknownMember } from './group-errors.ts'
import type { SavedGroup } from './group-store.ts'
import type { Member } from './member.ts'
import type { Members } from './members.ts'

export interface RebalanceHost {
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly initialRebalanceDelayMs: number
  /** Durable when it resolves. */
  save(group: SavedGroup): Promise<void>
  /** Members have to join again. */
  onRebalance(groupId: string): void
}

const NEVER = Number.POSITIVE_INFINITY
const NOTHING = new Uint8Array(0)

export class Rebalances {
  readonly #groupId: string
  readonly #host: RebalanceHost
  readonly #members: Members
  readonly #alarm: Alarm
  /** Of the first that ever joined, for the group's whole life. */
  protocolType: string
  #state: GroupState = 'Empty'
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

  constructor(host: RebalanceHost, members: Members, saved: SavedGroup) {
    this.#groupId = saved.groupId
    this.#host = host
    this.#members = members
    this.protocolType = saved.protocolType
    this.#generation = saved.generation
    this.#lastGeneration = saved.generation
    this.#emptySinceMs = saved.emptySinceMs ?? host.clock.now()
    this.#alarm = new Alarm(host.clock, () => this.#wake())
  }

  get state(): GroupState {
    return this.#state
  }

  get generation(): number {
    return this.#generation
  }

  /** '' until one was chosen, and while there are no members. */
  get protocolName(): string {
    return this.#protocolName
  }

  /** Wall clock, ms. While there are members: since when it was when the first came. */
  get emptySinceMs(): number {
    return this.#emptySinceMs
  }

  /** It has no members, and never tried to have any. */
  get isUntouched(): boolean {
    return this.#state === 'Empty' && this.#lastGeneration === 0
  }

  /** A rebalance waits for members. */
  get isCalling(): boolean {
    return this.#state === 'PreparingRebalance' && !this.#members.haveAllJoined()
  }

  isLeader(member: Member): boolean {
    return member.id === this.#leaderId
  }

  /** Another has come in its place. */
  replaceLeader(old: Member, member: Member): void {
    if (this.isLeader(old)) this.#leaderId = member.id
  }

  /** A member has come or gone, or says something else: begins a rebalance, or sees whether the one that there is has everybody. */
  membersChanged(): void {
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
    const now = this.#now()
    if (this.#state === 'Empty') this.#holdUntilMs = now + this.#host.initialRebalanceDelayMs
    if (this.#state === 'CompletingRebalance') this.#takeAssignmentsBack()
    this.#state = 'PreparingRebalance'
    this.#syncDeadlineMs = NEVER
    this.#joinDeadlineMs = now + this.#members.rebalanceTimeoutMs()
    this.#host.telemetry.groups.rebalances++
    this.#host.onRebalance(this.#groupId)
  }

  /** While the first round of an empty group is held, each that comes holds it for as long again. */
  holdForMore(): void {
    const now = this.#now()
    if (this.#state !== 'PreparingRebalance' || this.#holdUntilMs <= now) return
    this.#holdUntilMs = Math.min(now + this.#host.initialRebalanceDelayMs, this.#joinDeadlineMs)
  }

  #takeAssignmentsBack(): void {
    for (const member of this.#members) {
      this.#members.assign(member, NOTHING)
      this.#answerSync(member, rebalanceInProgress(this.#groupId))
    }
  }

  async #beginGeneration(): Promise<void> {
    this.#isSaving = true
    const generation = ++this.#lastGeneration
    const failure = await this.#save(undefined).then(() => undefined, asTailraceError)
    this.#isSaving = false
    if (this.#state === 'Empty') this.#saveEmpty()
    if (this.#state !== 'PreparingRebalance') return
    if (failure !== undefined) this.#failJoins(failure)
    else if (this.#members.joined().length > 0) this.#tellAll(generation)
    else this.#waitAnew()
  }

  #save(emptySinceMs: number | undefined): Promise<void> {
    const { protocolType } = this
    const generation = this.#lastGeneration
    const saved = this.#host.save({ groupId: this.#groupId, protocolType, generation, emptySinceMs })
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
      this.#members.endJoin(member)?.resolve(this.tell(member))
    }
  }

  /** What a member that has joined is told of this generation. */
  tell(member: Member): JoinedGroup {
    member.isKnown = true
    this.beginSession(member)
    return {
      generationId: this.#generation,
      protocolType: this.protocolType,
      protocolName: this.#protocolName,
      leaderId: this.#leaderId,
      memberId: member.id,
      skipAssignment: false,
      members: this.isLeader(member) ? this.#members.list(this.#protocolName) : [],
    }
  }

  #failJoins(failure: TailraceError): void {
    for (const member of this.#members.joined()) {
      this.#members.endJoin(member)?.reject(failure)
      if (member.canComeBack) this.beginSession(member)
      else this.#members.drop(member, failure)
    }
    this.#waitAnew()
  }

  #waitAnew(): void {
    this.#joinDeadlineMs = this.#now() + this.#members.rebalanceTimeoutMs()
    this.membersChanged()
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
    // where this fails its offsets live longer, as if it had become empty with the next start
    this.#save(this.#emptySinceMs).catch(() => {})
  }

  /** The leader has assigned. */
  settle({ assignments }: SyncGroup): void {
    const assigned = new Map(assignments.map(({ memberId, assignment }) => [memberId, assignment]))
    const sizes = [...assigned.values()].map(({ byteLength }) => byteLength)
    this.#members.checkRoom(sizes, 'the assignment of a member')
    this.#state = 'Stable'
    for (const member of this.#members) {
      this.#members.assign(member, assigned.get(member.id) ?? NOTHING)
      this.#answerSync(member, this.tellAssignment(member))
    }
  }

  #answerSync(member: Member, answer: SyncedGroup | TailraceError): void {
    const reply = member.syncing
    if (reply === undefined) return
    member.syncing = undefined
    this.beginSession(member)
    if (answer instanceof TailraceError) reply.reject(answer)
    else reply.resolve(answer)
  }

  tellAssignment({ assignment }: Member): SyncedGroup {
    return { protocolType: this.protocolType, protocolName: this.#protocolName, assignment }
  }

  // --- deadlines ---

  /** A sign of life, or the end of a wait. */
  beginSession(member: Member): void {
    member.deadlineMs = this.#now() + member.sessionTimeoutMs
    if (!member.isWaiting) this.#alarm.setBy(member.deadlineMs)
  }

  #now(): number {
    return this.#host.clock.monotonic()
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
    for (const member of gone) this.#members.drop(member, unknownMember(this.#groupId, member.id))
    this.#host.telemetry.groups.expiredMembers += gone.length
    if (isJoinOver) this.#endJoining()
    else if (gone.length > 0 || this.#state === 'PreparingRebalance') this.membersChanged()
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

  close(): void {
    this.#state = 'Dead'
    this.#alarm.cancel()
  }
}
