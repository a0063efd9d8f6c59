// What Kafka's tool prints of consumer groups: its columns, as wide as there. An empty line goes before a table.

import type { ClusterDescription, GroupDescription, GroupMember, GroupOffset, OffsetReset } from '../client/api.ts'
import { partitionsText } from './groups.ts'

type Row = readonly string[]

/** Each column at least as wide as said, and as its widest cell; the last one ends where it ends. */
function lines(rows: readonly Row[], widths: readonly number[]): string {
  const wide = widths.map((width, at) => rows.reduce((most, row) => Math.max(most, row[at]?.length ?? 0), width))
  return rows.map((row) => `${row.map((cell, at) => cell.padEnd(wide[at] ?? 0)).join(' ')}\n`).join('')
}

export function renderListing(
  groups: readonly { readonly group: string; readonly type: string; readonly state: string }[],
  shown: { readonly type: boolean; readonly state: boolean },
): string {
  const row = (group: string, type: string, state: string) => [
    group,
    ...(shown.type ? [type] : []),
    ...(shown.state ? [state] : []),
  ]
  const width = groups.reduce((most, { group }) => Math.max(most, group.length), 15) + 10
  const rows = [row('GROUP', 'TYPE', 'STATE'), ...groups.map(({ group, type, state }) => row(group, type, state))]
  return lines(rows, [width, 20, 20])
}

export function renderOffsets({ group, members, offsets }: GroupDescription, verbose: boolean): string {
  const epoch = (text: string) => (verbose ? [text] : [])
  const header = [
    ...['GROUP', 'TOPIC', 'PARTITION'],
    ...epoch('LEADER-EPOCH'),
    ...['CURRENT-OFFSET', 'LOG-END-OFFSET', 'LAG', 'CONSUMER-ID', 'HOST', 'CLIENT-ID'],
  ]
  const owners = new Map(members.map((member) => [member.member_id, member]))
  const rows = byOwner(offsets, members).map((each) => {
    const owner = each.member_id === null ? undefined : owners.get(each.member_id)
    return [
      ...[group, each.topic, String(each.partition)],
      ...epoch('-'),
      ...[numberOrNone(each.committed_offset), numberOrNone(each.end_offset), numberOrNone(each.lag)],
      ...(owner === undefined ? ['-', '-', '-'] : [owner.member_id, hostOf(owner), owner.client_id]),
    ]
  })
  const widths = [15, 15, 10, ...(verbose ? [15] : []), 15, 15, 15, 15, 15]
  return `\n${lines([header, ...rows], widths)}`
}

/** Whoever owns most comes first; what nobody owns last. */
function byOwner(offsets: readonly GroupOffset[], members: readonly GroupMember[]): readonly GroupOffset[] {
  const ranked = [...members].sort((a, b) => b.partitions.length - a.partitions.length)
  const rank = new Map(ranked.map(({ member_id }, at) => [member_id, at]))
  const rankOf = ({ member_id }: GroupOffset) => rank.get(member_id ?? '') ?? ranked.length
  return [...offsets].sort((a, b) => rankOf(a) - rankOf(b))
}

export function renderMembers({ group, members }: GroupDescription, verbose: boolean): string {
  const isStatic = members.some(({ group_instance_id }) => group_instance_id !== undefined)
  const instance = (text: string) => (isStatic ? [text] : [])
  const more = (cells: Row) => (verbose ? cells : [])
  const header = [
    ...['GROUP', 'CONSUMER-ID'],
    ...instance('GROUP-INSTANCE-ID'),
    ...['HOST', 'CLIENT-ID', '#PARTITIONS'],
    ...more(['CURRENT-EPOCH', 'CURRENT-ASSIGNMENT', 'TARGET-EPOCH', 'TARGET-ASSIGNMENT']),
  ]
  const rows = members.map((member) => [
    ...[group, member.member_id],
    ...instance(member.group_instance_id ?? ''),
    ...[hostOf(member), member.client_id, String(member.partitions.length)],
    ...more(['-', partitionsText(member.partitions) || '-', '-', '-']),
  ])
  const widths = [15, 15, ...(isStatic ? [17] : []), 15, 15, 15, ...(verbose ? [15, 20, 15, 20] : [])]
  return `\n${lines([header, ...rows], widths)}`
}

export function renderState(
  { group, state, protocol, generation, members }: GroupDescription,
  broker: ClusterDescription['brokers'][number] | undefined,
  verbose: boolean,
): string {
  const coordinator = broker === undefined ? '-' : `${broker.host}:${broker.port}  (${broker.id})`
  const epochs = (cells: Row) => (verbose ? cells : [])
  const header = [
    ...['GROUP', 'COORDINATOR (ID)', 'ASSIGNMENT-STRATEGY', 'STATE'],
    ...epochs(['GROUP-EPOCH', 'TARGET-ASSIGNMENT-EPOCH']),
    '#MEMBERS',
  ]
  const row = [
    ...[group, coordinator, protocol || '-', state],
    ...epochs([String(generation), String(generation)]),
    String(members.length),
  ]
  return `\n${lines([header, row], [15, 25, 20, 20, ...(verbose ? [15, 25] : [])])}`
}

export function renderReset(
  groups: readonly { readonly group: string; readonly offsets: readonly OffsetReset[] }[],
): string {
  const rows = groups.flatMap(({ group, offsets }) =>
    offsets.map(({ topic, partition, offset }) => [group, topic, String(partition), String(offset)]),
  )
  return `\n${lines([['GROUP', 'TOPIC', 'PARTITION', 'NEW-OFFSET'], ...rows], [15, 15, 10])}`
}

export function renderDeletedOffsets(
  rows: readonly { readonly topic: string; readonly partition: string; readonly status: string }[],
): string {
  const cells = rows.map(({ topic, partition, status }) => [topic, partition, status])
  return `\n${lines([['TOPIC', 'PARTITION', 'STATUS'], ...cells], [15, 10, 15])}`
}

/** Kafka shows Java's form of an address. Who stands for workers that poll has none. */
function hostOf({ host }: GroupMember): string {
  return host === '' ? '-' : `/${host}`
}

function numberOrNone(value: number | null): string {
  return value === null ? '-' : String(value)
}
