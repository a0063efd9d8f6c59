// The members of one group: by id and by instance, with the protocols that they have in common and the room that they take.

import type { GroupProtocol, JoinedGroup, JoinGroup } from '../engine/group-protocol.ts'
import { TailraceError } from '../kernel/errors.ts'
import { MEMBER_METADATA_BYTES_MAX, MEMBERS_BYTES_MAX, MEMBERS_MAX } from '../kernel/limits.ts'
import { inconsistentProtocol } from './group-errors.ts'
import type { Member } from './member.ts'
import { bytesOf } from './member.ts'
import type { PendingReply } from './pending-reply.ts'

/** Of all groups together. */
export interface MemberTotals {
  members: number
  bytes: number
}

export class Members {
  readonly #groupId: string
  readonly #sizeMax: number
  readonly #totals: MemberTotals
  readonly #byId = new Map<string, Member>()
  readonly #byInstance = new Map<string, Member>()
  /** How many have each protocol: whether one more can join is answered without asking them all. */
  readonly #counts = new Map<string, number>()
  #joiningCount = 0

  constructor(groupId: string, sizeMax: number, totals: MemberTotals) {
    this.#groupId = groupId
    this.#sizeMax = sizeMax
    this.#totals = totals
  }

  get size(): number {
    return this.#byId.size
  }

  /** In the order in which they came. */
  [Symbol.iterator](): Iterator<Member> {
    return this.#byId.values()
  }

  get(memberId: string): Member | undefined {
    return this.#byId.get(memberId)
  }

  ofInstance(groupInstanceId: string): Member | undefined {
    return this.#byInstance.get(groupInstanceId)
  }

  add(member: Member): void {
    this.#byId.set(member.id, member)
    if (member.groupInstanceId !== undefined) this.#byInstance.set(member.groupInstanceId, member)
    this.#totals.members++
    this.#count(member, 1)
  }

  /** Whoever waits for a reply to it is told why. */
  drop(member: Member, why: TailraceError): void {
    const { groupInstanceId: instance } = member
    this.#byId.delete(member.id)
    if (instance !== undefined && this.#byInstance.get(instance) === member) this.#byInstance.delete(instance)
    this.#totals.members--
    this.#count(member, -1)
    this.endJoin(member)?.reject(why)
    member.syncing?.reject(why)
  }

  update(member: Member, request: JoinGroup): void {
    this.#count(member, -1)
    member.update(request)
    this.#count(member, 1)
  }

  assign(member: Member, assignment: Uint8Array): void {
    this.#totals.bytes += assignment.byteLength - member.assignment.byteLength
    member.assignment = assignment
  }

  #count(member: Member, by: 1 | -1): void {
    this.#totals.bytes += by * member.bytes
    for (const { name } of member.protocols) {
      const count = (this.#counts.get(name) ?? 0) + by
      if (count > 0) this.#counts.set(name, count)
      else this.#counts.delete(name)
    }
  }

  /** For the leader: in the order of their ids. */
  list(protocolName: string): JoinedGroup['members'] {
    const members = [...this].sort((a, b) => (a.id < b.id ? -1 : 1))
    return members.map((member) => {
      const { id: memberId, groupInstanceId } = member
      return { memberId, groupInstanceId, metadata: member.metadata(protocolName) }
    })
  }

  beginJoin(member: Member, reply: PendingReply<JoinedGroup>): void {
    if (member.joining === undefined) this.#joiningCount++
    member.joining = reply
  }

  /** Gives what it waited for. */
  endJoin(member: Member): PendingReply<JoinedGroup> | undefined {
    const { joining } = member
    if (joining !== undefined) this.#joiningCount--
    member.joining = undefined
    return joining
  }

  haveAllJoined(): boolean {
    return this.#joiningCount === this.size
  }

  joined(): Member[] {
    return [...this].filter(({ joining }) => joining !== undefined)
  }

  /** How long a rebalance waits for all of them. */
  rebalanceTimeoutMs(): number {
    let longestMs = 0
    for (const { rebalanceTimeoutMs } of this) longestMs = Math.max(longestMs, rebalanceTimeoutMs)
    return longestMs
  }

  /** Each votes for the first of its protocols that all have; of equal ones the first that was voted for. */
  chooseProtocol(): string {
    const votes = new Map<string, number>()
    for (const { protocols } of this) {
      const vote = protocols.find(({ name }) => this.#counts.get(name) === this.size)
      if (vote !== undefined) votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1)
    }
    let chosen = ''
    for (const [name, count] of votes) if (count > (votes.get(chosen) ?? 0)) chosen = name
    return chosen
  }

  /** Throws unless one more may come, or `member` may come again, with these protocols. */
  checkJoin(protocols: readonly GroupProtocol[], member: Member | undefined): void {
    if (!this.#haveOneOf(protocols, member)) {
      const names = protocols.map(({ name }) => name).join(', ')
      throw inconsistentProtocol(this.#groupId, `has members that know none of ${names}: all must share a protocol`)
    }
    if (member === undefined && this.size >= this.#sizeMax) {
      const message = `group '${this.#groupId}' has ${this.size} members already`
      throw new TailraceError('group_max_size_reached', message, { group: this.#groupId, limit: this.#sizeMax })
    }
    if (member === undefined && this.#totals.members >= MEMBERS_MAX) {
      throw new TailraceError('overloaded', `all groups together have ${MEMBERS_MAX} members already`)
    }
    this.checkRoom([bytesOf(protocols)], 'what a member says of itself')
  }

  #haveOneOf(protocols: readonly GroupProtocol[], member: Member | undefined): boolean {
    const others = this.size - (member === undefined ? 0 : 1)
    return protocols.some(({ name }) => {
      const isOwn = member?.protocols.some((own) => own.name === name) ?? false
      return (this.#counts.get(name) ?? 0) - (isOwn ? 1 : 0) === others
    })
  }

  /** Throws unless there is room for so many bytes of each of some members. */
  checkRoom(byteCounts: readonly number[], what: string): void {
    let sum = 0
    for (const bytes of byteCounts) {
      sum += bytes
      if (bytes <= MEMBER_METADATA_BYTES_MAX) continue
      const message = `${what} is ${bytes} bytes long: ${MEMBER_METADATA_BYTES_MAX} are allowed`
      throw new TailraceError('request_too_large', message, { limit_bytes: MEMBER_METADATA_BYTES_MAX })
    }
    if (this.#totals.bytes + sum <= MEMBERS_BYTES_MAX) return
    throw new TailraceError('overloaded', `the members of all groups take ${MEMBERS_BYTES_MAX} bytes already`)
  }
}
