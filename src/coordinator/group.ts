// One consumer group, as Kafka's classic protocol has it (KIP-62, 345, 429): what members say, and who may say it. What must
// hold: of all who speak for a member or an instance only the last is heard, and of what was said in an earlier generation nothing.
// The rounds are in rebalances.ts; metadata and assignments are opaque bytes.

import { subscribedTopics } from '../engine/consumer-protocol.ts'
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
import type { TailraceError } from '../kernel/errors.ts'
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
import type { RebalanceHost } from './rebalances.ts'
import { Rebalances } from './rebalances.ts'

export interface GroupHost extends RebalanceHost {
  readonly membersMax: number
  readonly totals: MemberTotals
  newMemberId(prefix: string): string
}

type Speaker = Pick<MemberIdentity, 'memberId' | 'groupInstanceId'>

export class Group {
  readonly id: string
  readonly #host: GroupHost
  readonly #members: Members
  readonly #rounds: Rebalances

  constructor(host: GroupHost, saved: SavedGroup) {
    this.id = saved.groupId
    this.#host = host
    this.#members = new Members(saved.groupId, host.membersMax, host.totals)
    this.#rounds = new Rebalances(host, this.#members, saved)
  }

  get state(): GroupState {
    return this.#rounds.state
  }

  get emptySinceMs(): number {
    return this.#rounds.emptySinceMs
  }

  get isUntouched(): boolean {
    return this.#rounds.isUntouched
  }

  get isCalling(): boolean {
    return this.#rounds.isCalling
  }

  list(): GroupListing {
    return { groupId: this.id, state: this.state, protocolType: this.#rounds.protocolType }
  }

  describe(): GroupDescription {
    const { generation: generationId, protocolName } = this.#rounds
    const members = [...this.#members].map((member) => ({
      memberId: member.id,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata: member.metadata(protocolName),
      assignment: member.assignment,
    }))
    return { ...this.list(), generationId, protocolName, members }
  }

  /** The topics that its members read; undefined where that cannot be told. */
  topics(): ReadonlySet<string> | undefined {
    const topics = new Set<string>()
    for (const member of this.#members) {
      const own = this.#topicsOf(member)
      if (own === undefined) return undefined
      for (const topic of own) topics.add(topic)
    }
    return topics
  }

  #topicsOf(member: Member): ReadonlySet<string> | undefined {
    const name = this.#rounds.protocolName || (member.protocols[0]?.name ?? '')
    return subscribedTopics(this.#rounds.protocolType, member.metadata(name))
  }

  // --- join ---

  join(request: JoinGroup, signal?: AbortSignal): Promise<JoinedGroup> {
    if (signal?.aborted) throw givenUp()
    const { memberId, groupInstanceId: instance } = request
    const replaced = memberId === '' && instance !== undefined ? this.#members.ofInstance(instance) : undefined
    const member = memberId === '' ? replaced : this.#member(request)
    this.#checkType(request)
    this.#members.checkJoin(request.protocols, member)
    if (member === undefined) return this.#joinNew(request, signal)
    return replaced === undefined ? this.#joinAgain(member, request, signal) : this.#joinAs(replaced, request, signal)
  }

  #checkType({ protocolType }: JoinGroup): void {
    const { protocolType: own, generation } = this.#rounds
    const isOpen = generation === 0 && this.#members.size === 0
    if (isOpen || protocolType === own) return
    throw inconsistentProtocol(this.id, `is of the type '${own}', not '${protocolType}'`, { protocol_type: own })
  }

  #joinNew(request: JoinGroup, signal: AbortSignal | undefined): Promise<JoinedGroup> {
    this.#rounds.protocolType = request.protocolType
    const member = this.#newMember(request)
    this.#rounds.holdForMore()
    return this.#awaitJoin(member, signal)
  }

  #newMember(request: JoinGroup): Member {
    const member = new Member(this.#host.newMemberId(request.groupInstanceId ?? request.clientId), request)
    this.#members.add(member)
    return member
  }

  #joinAgain(member: Member, request: JoinGroup, signal: AbortSignal | undefined): Promise<JoinedGroup> {
    const isSettled =
      this.state === 'CompletingRebalance' || (this.state === 'Stable' && !this.#rounds.isLeader(member))
    // it has lost its reply, or heard late of a rebalance that is over: what it was told holds
    const holds = isSettled && member.hasProtocols(request.protocols)
    this.#members.update(member, request)
    return holds ? Promise.resolve(this.#rounds.tell(member)) : this.#awaitJoin(member, signal)
  }

  /** A static member is back: who had its place is fenced. Where nothing else changes it takes over what there is. */
  #joinAs(old: Member, request: JoinGroup, signal: AbortSignal | undefined): Promise<JoinedGroup> {
    const topicsBefore = this.#topicsOf(old)
    this.#members.drop(old, fencedInstance(this.id, old.groupInstanceId ?? ''))
    const member = this.#newMember(request)
    this.#members.assign(member, old.assignment)
    this.#rounds.replaceLeader(old, member)
    if (this.state !== 'Stable' || !this.#isSettledFor(member, topicsBefore)) return this.#awaitJoin(member, signal)
    return Promise.resolve({ ...this.#rounds.tell(member), skipAssignment: this.#rounds.isLeader(member) })
  }

  /** Kafka looks at the protocol alone, and does not see that a member came back with other topics. */
  #isSettledFor(member: Member, topicsBefore: ReadonlySet<string> | undefined): boolean {
    if (this.#members.chooseProtocol() !== this.#rounds.protocolName) return false
    const topics = this.#topicsOf(member)
    if (topics === undefined || topicsBefore === undefined) return true
    return topics.size === topicsBefore.size && [...topics].every((topic) => topicsBefore.has(topic))
  }

  #awaitJoin(member: Member, signal: AbortSignal | undefined): Promise<JoinedGroup> {
    member.joining?.reject(rebalanceInProgress(this.id))
    const reply = new PendingReply<JoinedGroup>(signal, () => {
      if (member.joining === reply) this.#joinGivenUp(member)
    })
    this.#members.beginJoin(member, reply)
    this.#rounds.membersChanged()
    return reply.promise
  }

  #joinGivenUp(member: Member): void {
    this.#members.endJoin(member)
    if (member.canComeBack) {
      this.#rounds.beginSession(member)
    } else {
      this.#members.drop(member, givenUp())
      this.#rounds.membersChanged()
    }
  }

  // --- sync ---

  sync(request: SyncGroup, signal?: AbortSignal): Promise<SyncedGroup> {
    if (signal?.aborted) throw givenUp()
    const member = this.#memberOfGeneration(request)
    this.#checkProtocol(request)
    if (this.state === 'PreparingRebalance') throw rebalanceInProgress(this.id)
    if (this.state === 'CompletingRebalance' && this.#rounds.isLeader(member)) this.#rounds.settle(request)
    member.owesSync = false
    if (this.state !== 'Stable') return this.#awaitSync(member, signal)
    this.#rounds.beginSession(member)
    return Promise.resolve(this.#rounds.tellAssignment(member))
  }

  #checkProtocol({ protocolType, protocolName }: SyncGroup): void {
    const { protocolType: ownType, protocolName: ownName } = this.#rounds
    if ((protocolType ?? ownType) === ownType && (protocolName ?? ownName) === ownName) return
    const own = `'${ownName}' of the type '${ownType}'`
    throw inconsistentProtocol(this.id, `has chosen ${own}, not '${protocolName}' of the type '${protocolType}'`)
  }

  #awaitSync(member: Member, signal: AbortSignal | undefined): Promise<SyncedGroup> {
    member.syncing?.reject(rebalanceInProgress(this.id))
    const reply = new PendingReply<SyncedGroup>(signal, () => {
      if (member.syncing !== reply) return
      member.syncing = undefined
      this.#rounds.beginSession(member)
    })
    member.syncing = reply
    return reply.promise
  }

  // --- who speaks ---

  heartbeat(identity: MemberIdentity): void {
    this.#rounds.beginSession(this.#memberOfGeneration(identity))
    if (this.state === 'PreparingRebalance') throw rebalanceInProgress(this.id)
  }

  leave(leaving: Speaker): void {
    const { memberId, groupInstanceId: instance } = leaving
    const ofInstance = memberId === '' && instance !== undefined ? this.#members.ofInstance(instance) : undefined
    const member = ofInstance ?? this.#member(leaving)
    this.#members.drop(member, unknownMember(this.id, member.id))
    this.#rounds.membersChanged()
  }

  /** Throws unless offsets may be committed: by a member of this generation, or by anybody while there are no members. */
  checkCommit(member: Omit<MemberIdentity, 'groupId'> | undefined): void {
    if (member === undefined) {
      if (this.state !== 'Empty') throw membersOnly(this.id)
      return
    }
    const found = this.#memberOfGeneration({ ...member, groupId: this.id })
    // what it read was of the generation before; until it has its assignment it owns nothing of this one
    if (this.state === 'CompletingRebalance') throw rebalanceInProgress(this.id)
    this.#rounds.beginSession(found)
  }

  #memberOfGeneration(identity: MemberIdentity): Member {
    const member = this.#member(identity)
    if (identity.generationId === this.#rounds.generation) return member
    throw illegalGeneration(identity, this.#rounds.generation)
  }

  #member({ memberId, groupInstanceId: instance }: Speaker): Member {
    const current = instance === undefined ? undefined : this.#members.ofInstance(instance)
    if (instance !== undefined && current !== undefined && current.id !== memberId) {
      throw fencedInstance(this.id, instance)
    }
    const member = this.#members.get(memberId)
    if (member === undefined || (instance !== undefined && member !== current)) throw unknownMember(this.id, memberId)
    return member
  }

  // --- the end ---

  /** Resolves when what it wanted saved is saved, or failed. */
  saved(): Promise<void> {
    return this.#rounds.saved()
  }

  /** It is deleted, or the server stops: everybody who waits is told. */
  close(why: TailraceError): void {
    this.#rounds.close()
    for (const member of [...this.#members]) this.#members.drop(member, why)
  }
}
