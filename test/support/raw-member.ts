// A member of a consumer group that speaks the protocol itself, as a Kafka client would: it says what it says when it is told to,
// and knows what it was answered. Its metadata are a subscription; its assignments a list of `topic/partition`.

import { encodeSubscription } from '../../src/engine/consumer-protocol.ts'
import type { Groups, JoinedGroup, JoinGroup, MemberIdentity } from '../../src/engine/group-protocol.ts'

export type RawMemberOptions = Partial<Omit<JoinGroup, 'memberId'>> & { readonly topics?: readonly string[] }

export class RawMember {
  readonly groups: Groups
  readonly options: RawMemberOptions
  memberId = ''
  generationId = -1
  owned: readonly string[] = []

  constructor(groups: Groups, options: RawMemberOptions = {}) {
    this.groups = groups
    this.options = options
  }

  get request(): JoinGroup {
    const { topics = ['t'], ...options } = this.options
    return {
      groupId: 'g',
      memberId: this.memberId,
      clientId: 'raw',
      clientHost: '/127.0.0.1',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription(topics) }],
      ...options,
    }
  }

  get identity(): MemberIdentity {
    const { groupId, groupInstanceId } = this.request
    return { groupId, memberId: this.memberId, groupInstanceId, generationId: this.generationId }
  }

  async join(signal?: AbortSignal): Promise<JoinedGroup> {
    const joined = await this.groups.join(this.request, signal)
    this.memberId = joined.memberId
    this.generationId = joined.generationId
    return joined
  }

  /** With nothing assigned, unless it leads. */
  async sync(
    assigned: Readonly<Record<string, readonly string[]>> = {},
    signal?: AbortSignal,
  ): Promise<readonly string[]> {
    const assignments = Object.entries(assigned).map(([memberId, places]) => {
      return { memberId, assignment: Buffer.from(JSON.stringify(places)) }
    })
    const { assignment } = await this.groups.sync({ ...this.identity, assignments }, signal)
    this.owned = placesIn(assignment)
    return this.owned
  }

  heartbeat(): Promise<void> {
    return this.groups.heartbeat(this.identity)
  }

  commit(offset: number, partition = 0, topic = 't') {
    const { groupId, ...member } = this.identity
    return this.groups.commit({ groupId, member, offsets: [{ topic, partition, offset }] })
  }

  leave() {
    const { groupId, memberId } = this.identity
    return this.groups.leave(groupId, [{ memberId }])
  }
}

/** Joins all, in one generation, and syncs them: the first that there is leads, and each gets what `places` has for it. */
export async function settle(
  members: readonly RawMember[],
  places: readonly (readonly string[])[] = [],
): Promise<void> {
  const joined = await Promise.all(members.map((member) => member.join()))
  const leader = members.find(({ memberId }) => memberId === joined[0]?.leaderId)
  const assigned = Object.fromEntries(members.map(({ memberId }, at) => [memberId, places[at] ?? []]))
  await Promise.all(members.map((member) => member.sync(member === leader ? assigned : {})))
}

function placesIn(assignment: Uint8Array): string[] {
  return assignment.byteLength === 0 ? [] : (JSON.parse(Buffer.from(assignment).toString()) as string[])
}

function subscription(topics: readonly string[]): Buffer {
  return encodeSubscription({ topics, userData: null, ownedPartitions: [], generationId: -1, rackId: null })
}
