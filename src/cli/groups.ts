// `tailrace groups list | describe | leases | release | reset | delete`.

import type {
  GroupDescription,
  GroupMember,
  GroupOffset,
  GroupPartition,
  GroupSummary,
  LeasedRange,
  OffsetReset,
} from '../client/api.ts'
import { CommandFailure, EXIT, exitCodeOf, messageOf } from './command-failure.ts'
import type { ConnectOptions, ListOptions } from './connect.ts'
import { connect } from './connect.ts'
import type { TopicPartitions } from './option-value.ts'
import { inOptionWords } from './option-words.ts'
import type { Column } from './table.ts'
import { chosenOutput, printList, renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'

export async function listGroups(terminal: Terminal, options: ListOptions): Promise<void> {
  const groups = await connect(terminal, options).listGroups({ signal: terminal.interruptSignal() })
  await printList(terminal, chosenOutput(options.output, terminal), groups, SUMMARY_COLUMNS)
}

const SUMMARY_COLUMNS: readonly Column<GroupSummary>[] = [
  { name: 'GROUP', text: ({ group }) => group },
  { name: 'STATE', text: ({ state }) => state },
  { name: 'TYPE', text: ({ protocol_type }) => protocol_type || '-' },
]

export async function describeGroups(
  terminal: Terminal,
  names: readonly string[],
  options: ListOptions,
): Promise<void> {
  const client = connect(terminal, options)
  const signal = terminal.interruptSignal()
  const groups: GroupDescription[] = []
  const failure = await eachGroup(terminal, names, async (name) => {
    groups.push(await client.getGroup(name, { signal }))
  })
  const output = chosenOutput(options.output, terminal)
  if (output === 'table') await terminal.write(groups.map(renderGroup).join('\n'))
  else await printList(terminal, output, groups, [])
  if (failure !== undefined) throw failure
}

export async function listLeases(terminal: Terminal, group: string, options: ListOptions): Promise<void> {
  const leases = await connect(terminal, options).listLeases(group, { signal: terminal.interruptSignal() })
  const output = chosenOutput(options.output, terminal)
  if (output !== 'table') return await printList(terminal, output, leases, [])
  const rows = leases.flatMap(({ member, expires_at, positions }) =>
    positions.map((range) => ({ member, expires_at, ...range })),
  )
  await terminal.write(rows.length === 0 ? 'No lease is open.\n' : renderTable(rows, LEASE_COLUMNS))
}

const LEASE_COLUMNS: readonly Column<LeasedRange & { readonly member: string; readonly expires_at: string }>[] = [
  { name: 'MEMBER', text: ({ member }) => member || '-' },
  { name: 'TOPIC', text: ({ topic }) => topic },
  { name: 'PARTITION', text: ({ partition }) => String(partition) },
  { name: 'FROM', text: ({ from }) => String(from) },
  { name: 'THROUGH', text: ({ through }) => String(through) },
  { name: 'UNTIL', text: ({ expires_at }) => expires_at },
]

export async function releaseMember(
  terminal: Terminal,
  group: string,
  options: ConnectOptions & { readonly member: string },
): Promise<void> {
  const { member } = options
  const released = await connect(terminal, options).releaseMember(group, member, { signal: terminal.interruptSignal() })
  const whose = member === '' ? 'a worker without a name' : `member ${member}`
  if (released === 0) terminal.note(`nothing is released: no lease of ${whose} is open`)
  else terminal.note(released === 1 ? '1 lease is released' : `${released} leases are released`)
}

/** One that fails keeps the others from nothing. Gives what the command ends with. */
async function eachGroup(
  terminal: Terminal,
  names: readonly string[],
  work: (name: string) => Promise<void>,
): Promise<unknown> {
  const failures: unknown[] = []
  for (const name of names) {
    try {
      await work(name)
    } catch (error) {
      if (terminal.interruptSignal().aborted || names.length === 1) throw error
      terminal.note(`tailrace: ${inOptionWords(messageOf(error), terminal.optionNames)}`)
      failures.push(error)
    }
  }
  if (failures.length === 0) return undefined
  const areUnknown = failures.every((error) => exitCodeOf(error) === EXIT.notFound)
  return new CommandFailure(`${failures.length} of ${names.length} groups failed`, {
    exitCode: areUnknown ? EXIT.notFound : EXIT.failed,
  })
}

export interface ResetVerbOptions extends ListOptions {
  readonly to?: string
  readonly shiftBy?: number
  readonly topic?: readonly TopicPartitions[]
  readonly execute?: boolean
  readonly force?: boolean
}

export async function resetGroup(terminal: Terminal, group: string, options: ResetVerbOptions): Promise<void> {
  const { to, shiftBy, topic, execute = false, force } = options
  if ((to === undefined) === (shiftBy === undefined)) {
    throw new CommandFailure('--to or --shift-by says where the offsets are to be put: one of them', {
      exitCode: EXIT.usage,
    })
  }
  const {
    offsets,
    left_out: leftOut = [],
    refusal,
  } = await connect(terminal, options).resetOffsets(
    group,
    { to, shift_by: shiftBy, ...scopeOf(topic), dry_run: !execute, force },
    { signal: terminal.interruptSignal() },
  )
  await printList(terminal, chosenOutput(options.output, terminal), offsets, RESET_COLUMNS)
  if (leftOut.length > 0) terminal.note(leftOutText(leftOut))
  if (execute) terminal.note(offsets.length === 1 ? '1 offset is set' : `${offsets.length} offsets are set`)
  else if (refusal === undefined) terminal.note('nothing is changed: --execute does it')
  else {
    const reason = inOptionWords(refusal.detail, terminal.optionNames)
    terminal.note(`nothing is changed, and now --execute would be refused: ${reason}`)
  }
}

function leftOutText(partitions: readonly GroupPartition[]): string {
  const [count, them] = partitions.length === 1 ? ['1 partition', 'it'] : [`${partitions.length} partitions`, 'them']
  const topics = [...new Set(partitions.map(({ topic }) => topic))]
  const named = topics.slice(0, TOPICS_NAMED_MAX).map((topic) => `--topic ${topic}`)
  const more = topics.length > TOPICS_NAMED_MAX ? ' and so on' : ''
  return `left out: ${count} that the group has committed nothing of; ${named.join(' ')}${more} names ${them} too`
}

const TOPICS_NAMED_MAX = 5

/** All that the group has committed, where no topic is named. */
export function scopeOf(topics: readonly TopicPartitions[] | undefined) {
  if (topics === undefined) return {}
  return {
    topics: topics.flatMap(({ topic, partitions }) => (partitions === undefined ? [topic] : [])),
    partitions: topics.flatMap(({ topic, partitions = [] }) => partitions.map((partition) => ({ topic, partition }))),
  }
}

const RESET_COLUMNS: readonly Column<OffsetReset>[] = [
  { name: 'TOPIC', text: ({ topic }) => topic },
  { name: 'PARTITION', text: ({ partition }) => String(partition) },
  { name: 'BEFORE', text: ({ previous_offset }) => numberOrNone(previous_offset) },
  { name: 'AFTER', text: ({ offset }) => String(offset) },
  { name: 'NOTE', text: noteOf },
]

function noteOf({ adjusted, requested_offset }: OffsetReset): string {
  if (adjusted === undefined) return ''
  if (requested_offset === undefined) return 'there is nothing since then: the end'
  return adjusted === 'start'
    ? `${requested_offset} is before the start: the start`
    : `${requested_offset} is beyond the end: the end`
}

export async function deleteGroups(
  terminal: Terminal,
  names: readonly string[],
  options: ListOptions & { readonly topic?: readonly TopicPartitions[]; readonly force?: boolean },
): Promise<void> {
  const client = connect(terminal, options)
  const signal = terminal.interruptSignal()
  const failure = await eachGroup(terminal, names, async (name) => {
    if (options.topic === undefined) await client.deleteGroup(name, { force: options.force, signal })
    for (const { topic, partitions } of options.topic ?? []) {
      await client.deleteOffsets(name, topic, { partitions, signal })
    }
  })
  if (failure !== undefined) throw failure
}

/** For people: what it is, who is in it, and how far it has come. */
function renderGroup(group: GroupDescription): string {
  const { members, offsets, protocol, generation } = group
  const how = [group.protocol_type, group.state, protocol, `generation ${generation}`].filter((part) => part !== '')
  const parts = [
    `Group ${group.group} (${how.join(', ')})\n`,
    members.length === 0 ? 'Nobody is in it.\n' : renderTable(members, MEMBER_COLUMNS),
    offsets.length === 0 ? 'It has no offsets.\n' : renderTable(offsets, offsetColumns(offsets)),
    ...(members.some(({ client_id, host }) => client_id === POLLS_CLIENT_ID && host === '')
      ? [`Who of those that poll it has what: tailrace groups leases ${group.group}\n`]
      : []),
  ]
  return parts.join('\n')
}

/** Of the member that stands for all workers that poll. */
const POLLS_CLIENT_ID = 'tailrace-poll'

const MEMBER_COLUMNS: readonly Column<GroupMember>[] = [
  { name: 'MEMBER', text: ({ member_id, group_instance_id }) => group_instance_id ?? member_id },
  { name: 'CLIENT', text: ({ client_id }) => client_id || '-' },
  { name: 'HOST', text: ({ host }) => host || '-' },
  { name: 'OWNS', text: ({ partitions }) => partitionsText(partitions) || '-' },
]

/** Of a shared group what lies above its offsets, too. */
function offsetColumns(offsets: readonly GroupOffset[]): readonly Column<GroupOffset>[] {
  const isQueue = offsets.some(({ leased }) => leased !== undefined)
  return [...OFFSET_COLUMNS, ...(isQueue ? QUEUE_COLUMNS : []), OWNER_COLUMN]
}

const OFFSET_COLUMNS: readonly Column<GroupOffset>[] = [
  { name: 'TOPIC', text: ({ topic }) => topic },
  { name: 'PARTITION', text: ({ partition }) => String(partition) },
  { name: 'COMMITTED', text: ({ committed_offset }) => numberOrNone(committed_offset) },
  { name: 'END', text: ({ end_offset }) => numberOrNone(end_offset) },
  { name: 'LAG', text: ({ lag }) => numberOrNone(lag) },
]

const QUEUE_COLUMNS: readonly Column<GroupOffset>[] = [
  { name: 'LEASED', text: ({ leased = null }) => numberOrNone(leased) },
  { name: 'ACKNOWLEDGED', text: ({ acknowledged = null }) => numberOrNone(acknowledged) },
]

const OWNER_COLUMN: Column<GroupOffset> = { name: 'MEMBER', text: ({ member_id }) => member_id ?? '-' }

function numberOrNone(value: number | null): string {
  return value === null ? '-' : String(value)
}

/** As Kafka's tool writes it: orders:0,1;payments:2 */
export function partitionsText(partitions: GroupMember['partitions']): string {
  const byTopic = new Map<string, number[]>()
  for (const { topic, partition } of partitions) byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition])
  return [...byTopic].map(([topic, numbers]) => `${topic}:${numbers.sort((a, b) => a - b).join(',')}`).join(';')
}
