// `tailrace kafka-consumer-groups`: the lines of Kafka's tool, and its answers to the letter.

import type { GroupDescription, GroupSummary } from '../client/api.ts'
import type { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import { CommandFailure, messageOf } from './command-failure.ts'
import type { KafkaConnectOptions } from './kafka-connect.ts'
import { connectAsKafka, noteUnread } from './kafka-connect.ts'
import {
  renderDeletedOffsets,
  renderListing,
  renderMembers,
  renderOffsets,
  renderState,
} from './kafka-groups-render.ts'
import type { ResetOptions } from './kafka-groups-reset.ts'
import { resetOffsets } from './kafka-groups-reset.ts'
import { inOptionWords } from './option-words.ts'
import type { Terminal } from './terminal.ts'

const ACTIONS = ['list', 'describe', 'delete', 'resetOffsets', 'deleteOffsets'] as const

export interface KafkaConsumerGroupsOptions extends KafkaConnectOptions, ResetOptions {
  readonly list?: boolean
  readonly describe?: boolean
  readonly delete?: boolean
  readonly resetOffsets?: boolean
  readonly deleteOffsets?: boolean
  readonly group?: readonly string[]
  readonly allGroups?: boolean
  readonly members?: boolean
  readonly offsets?: boolean
  /** Names of states where it has a value. */
  readonly state?: string | true
  readonly type?: string | true
  readonly verbose?: boolean
  readonly commandConfig?: string
}

export async function kafkaConsumerGroups(terminal: Terminal, options: KafkaConsumerGroupsOptions): Promise<void> {
  const actions = ACTIONS.filter((action) => options[action])
  if (actions.length !== 1) {
    throw new CommandFailure(
      'Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets',
    )
  }
  checkOptions(options)
  const client = await connectAsKafka(terminal, options)
  noteUnread(terminal, { '--command-config': options.commandConfig })
  try {
    if (options.list) await list(terminal, client, options)
    else if (options.describe) await describe(terminal, client, options)
    else if (options.delete) await remove(terminal, client, options)
    else if (options.resetOffsets) await resetOffsets(terminal, client, await groupsOf(client, options), options)
    else await deleteOffsets(terminal, client, options)
  } catch (error) {
    if (!(error instanceof TailraceClientError)) throw error
    const message = `Error: Executing consumer group command failed due to ${messageOf(error)}`
    throw new CommandFailure(message, { cause: error })
  }
}

function checkOptions(options: KafkaConsumerGroupsOptions): void {
  const { group, allGroups, topic, members, offsets, state } = options
  const action = ACTIONS.find((each) => options[each]) ?? ''
  const flag = `[${action.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}]`
  if (group !== undefined && allGroups) throw wrong('Option "[group]" can\'t be used with option "[all-groups]"')
  if (group !== undefined && options.list) throw wrong('Option "[group]" can\'t be used with option "[list]"')
  if (options.deleteOffsets && (group === undefined || topic === undefined)) {
    throw wrong(`Option ${flag} takes the following options: [group], [topic]`)
  }
  if (!options.list && group === undefined && !allGroups) {
    throw wrong(`Option ${flag} takes one of these options: [group], [all-groups]`)
  }
  if (options.describe) {
    if ([members, offsets, state].filter(Boolean).length > 1) {
      throw wrong(`Option ${flag} takes at most one of these options: [members], [offsets], [state]`)
    }
    if (typeof state === 'string') throw wrong(`Option ${flag} does not take a value for [state]`)
  }
  if (options.delete && topic !== undefined) {
    throw wrong('The consumer does not support topic-specific offset deletion from a consumer group.')
  }
}

function wrong(message: string): CommandFailure {
  return new CommandFailure(message)
}

async function groupsOf(client: TailraceClient, options: KafkaConsumerGroupsOptions): Promise<readonly string[]> {
  return options.group ?? (await client.listGroups()).map(({ group }) => group)
}

async function list(terminal: Terminal, client: TailraceClient, options: KafkaConsumerGroupsOptions): Promise<void> {
  const { state, type } = options
  const groups = await client.listGroups({ signal: terminal.interruptSignal() })
  if (state === undefined && type === undefined) {
    await terminal.write(groups.map(({ group }) => `${group}\n`).join(''))
    return
  }
  const wanted = groups.filter(
    (group) => isNamed(state, group.state, STATES) && isNamed(type, typeOf(group), ['Classic', 'Consumer', 'Share']),
  )
  const rows = wanted.map((group) => ({ group: group.group, type: typeOf(group), state: group.state }))
  await terminal.write(renderListing(rows, { type: type !== undefined, state: state !== undefined }))
}

const STATES = ['PreparingRebalance', 'CompletingRebalance', 'Stable', 'Dead', 'Empty']

/** As Kafka sorts them: all of the classic protocol, but those whose records are leased one by one. */
function typeOf({ protocol_type }: GroupSummary): string {
  return protocol_type === 'shared' ? 'Share' : 'Classic'
}

/** Whether a list with commas, in any case, has the value; without one everything fits. */
function isNamed(list: string | true | undefined, value: string, allowed: readonly string[]): boolean {
  if (typeof list !== 'string') return true
  return list.split(',').some((text) => {
    const name = allowed.find((each) => each.toLowerCase() === text.trim().toLowerCase())
    if (name !== undefined) return name === value
    throw wrong(`'${text.trim()}' is none of ${allowed.join(', ')}`)
  })
}

async function describe(
  terminal: Terminal,
  client: TailraceClient,
  options: KafkaConsumerGroupsOptions,
): Promise<void> {
  const cluster = options.state ? await client.getCluster() : undefined
  const [broker] = cluster?.brokers ?? []
  const verbose = options.verbose === true
  for (const id of [...(await groupsOf(client, options))].sort()) {
    const group = await getGroup(client, id)
    tellState(terminal, group)
    if (options.members) {
      if (group.members.length > 0) await terminal.write(renderMembers(group, verbose))
    } else if (options.state) await terminal.write(renderState(group, broker, verbose))
    else if (group.offsets.length > 0) await terminal.write(renderOffsets(group, verbose))
  }
}

async function getGroup(client: TailraceClient, id: string): Promise<GroupDescription> {
  try {
    return await client.getGroup(id)
  } catch (error) {
    const isUnknown = error instanceof TailraceClientError && error.code === 'group_id_not_found'
    throw isUnknown ? new CommandFailure(`Error: Consumer group '${id}' does not exist.`) : error
  }
}

function tellState(terminal: Terminal, { group, state }: GroupDescription): void {
  if (state === 'Empty') terminal.note(`\nConsumer group '${group}' has no active members.`)
  else if (state !== 'Stable') terminal.note(`\nWarning: Consumer group '${group}' is rebalancing.`)
}

async function remove(terminal: Terminal, client: TailraceClient, options: KafkaConsumerGroupsOptions): Promise<void> {
  const done: string[] = []
  const failed: string[] = []
  for (const group of await groupsOf(client, options)) {
    try {
      await client.deleteGroup(group)
      done.push(`'${group}'`)
    } catch (error) {
      if (!(error instanceof TailraceClientError)) throw error
      const reason = inOptionWords(messageOf(error), terminal.optionNames)
      failed.push(`* Group '${group}' could not be deleted due to: ${reason}`)
    }
  }
  if (failed.length === 0) {
    await terminal.write(`Deletion of requested consumer groups (${done.join(', ')}) was successful.\n`)
    return
  }
  if (done.length > 0) {
    await terminal.write(`These consumer groups were deleted successfully: ${done.join(', ')}\n`)
  }
  throw new CommandFailure(['Error: Deletion of some consumer groups failed:', ...failed].join('\n'))
}

async function deleteOffsets(
  terminal: Terminal,
  client: TailraceClient,
  { group: [group = ''] = [], topic = [] }: KafkaConsumerGroupsOptions,
): Promise<void> {
  const rows: { topic: string; partition: string; status: string }[] = []
  let isWhole = true
  for (const { topic: name, partitions } of topic) {
    const status = await deleteOffsetsOf(client, group, name, partitions)
    isWhole &&= status === 'Successful'
    const numbers = partitions ?? (await partitionsOf(client, name))
    if (numbers.length === 0) rows.push({ topic: name, partition: '-', status })
    rows.push(...numbers.map((partition) => ({ topic: name, partition: String(partition), status })))
  }
  if (isWhole) await terminal.write(`Request succeeded for deleting offsets from group ${group}.\n`)
  await terminal.write(renderDeletedOffsets(rows))
  if (!isWhole) {
    throw new CommandFailure('Error: Encountered some partition-level error, see the follow-up details.')
  }
}

/** What is said of a topic is said of each of its partitions. */
async function deleteOffsetsOf(
  client: TailraceClient,
  group: string,
  topic: string,
  partitions: readonly number[] | undefined,
): Promise<string> {
  try {
    await client.deleteOffsets(group, topic, { partitions })
    return 'Successful'
  } catch (error) {
    const isOfTopic = error instanceof TailraceClientError && OF_TOPIC.has(error.code)
    if (isOfTopic) return `Error: ${messageOf(error)}`
    throw error
  }
}

const OF_TOPIC: ReadonlySet<string> = new Set(['group_subscribed_to_topic', 'unknown_topic_or_partition'])

async function partitionsOf(client: TailraceClient, topic: string): Promise<readonly number[]> {
  try {
    return (await client.getTopic(topic)).partitions.map(({ partition }) => partition)
  } catch (error) {
    if (error instanceof TailraceClientError && error.status === 404) return []
    throw error
  }
}
