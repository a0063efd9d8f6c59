// A group as it is shown: its members with what they have said of themselves, and each partition that is committed or owned,
// with what it holds by now.

import { decodeAssignment, decodeSubscription } from '../../engine/consumer-protocol.ts'
import type { Engine } from '../../engine/engine.ts'
import type {
  CommittedOffset,
  GroupDescription,
  GroupMemberDescription,
  GroupPartition,
} from '../../engine/group-protocol.ts'
import { comparePartitions, partitionKey } from '../../engine/partition-key.ts'
import type { QueueProgress } from './group-poll.ts'

export interface MemberView {
  readonly memberId: string
  readonly groupInstanceId?: string | undefined
  readonly clientId: string
  readonly host: string
  /** What it has subscribed to, and what it owns; empty where its protocol is not known here. */
  readonly topics: readonly string[]
  readonly partitions: readonly GroupPartition[]
}

/** A partition that the group has committed or that a member owns. */
export interface OffsetView extends GroupPartition {
  readonly committed: CommittedOffset | undefined
  /** undefined: there is no such partition any more. */
  readonly bounds: { readonly startOffset: number; readonly endOffset: number } | undefined
  readonly memberId: string | undefined
  /** Of a shared group. */
  readonly progress?: QueueProgress
}

export interface GroupView {
  readonly group: GroupDescription
  readonly members: readonly MemberView[]
  /** By topic and partition. */
  readonly offsets: readonly OffsetView[]
}

export async function viewOf(
  engine: Engine,
  group: GroupDescription,
  committed: readonly CommittedOffset[],
  progress: readonly QueueProgress[],
): Promise<GroupView> {
  const members = group.members.map((member) => memberView(group, member))
  const rows = new Map<string, OffsetView>()
  const row = (place: GroupPartition, more: Partial<OffsetView>) => {
    const key = partitionKey(place.topic, place.partition)
    rows.set(key, { ...(rows.get(key) ?? { ...place, ...NOTHING }), ...more })
  }
  for (const each of committed) row({ topic: each.topic, partition: each.partition }, { committed: each })
  for (const { memberId, partitions } of members) for (const each of partitions) row(each, { memberId })
  for (const each of progress) row({ topic: each.topic, partition: each.partition }, { progress: each })
  for (const name of new Set([...rows.values()].map(({ topic }) => topic))) {
    for (const { partition, startOffset, endOffset } of await describeIfThere(engine, name)) {
      if (rows.has(partitionKey(name, partition))) {
        row({ topic: name, partition }, { bounds: { startOffset, endOffset } })
      }
    }
  }
  return { group, members, offsets: [...rows.values()].sort(comparePartitions) }
}

const NOTHING = { committed: undefined, bounds: undefined, memberId: undefined }

async function describeIfThere(engine: Engine, name: string) {
  const topic = engine.findTopic(name)
  return topic === undefined ? [] : await engine.describePartitions(topic)
}

/** The protocol types whose bytes are Kafka's ConsumerProtocol. Members write them: what cannot be read is shown as nothing. */
const READABLE: ReadonlySet<string> = new Set(['consumer', 'shared'])

function memberView({ protocolType }: GroupDescription, member: GroupMemberDescription): MemberView {
  const { memberId, groupInstanceId, clientId, clientHost: host, metadata, assignment } = member
  const isReadable = READABLE.has(protocolType)
  const topics = isReadable ? decodeSubscription(metadata)?.topics : undefined
  const partitions = isReadable ? decodeAssignment(assignment)?.partitions : undefined
  return {
    memberId,
    groupInstanceId,
    clientId,
    host,
    topics: topics ?? [],
    partitions: [...(partitions ?? [])].sort(comparePartitions),
  }
}
