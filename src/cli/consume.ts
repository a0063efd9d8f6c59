// `tailrace consume TOPIC` and `tailrace tail TOPIC`.

import type { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import type { RawRecord } from '../client/record-page.ts'
import { CommandFailure, EXIT } from './command-failure.ts'
import type { ListOptions } from './connect.ts'
import { connect } from './connect.ts'
import type { FollowOptions } from './follow.ts'
import { follow } from './follow.ts'
import type { GroupFollowOptions } from './group-follow.ts'
import { followAsGroup } from './group-follow.ts'
import { openRecordPrinter } from './record-printer.ts'
import { chosenOutput } from './table.ts'
import type { Terminal } from './terminal.ts'

interface ReadVerbOptions extends ListOptions {
  readonly partition?: readonly number[]
  readonly key?: string
  readonly header?: readonly (readonly [name: string, value: string])[]
  readonly filter?: string
  readonly keyFormat?: string
  readonly valueFormat?: string
}

export interface ConsumeVerbOptions extends ReadVerbOptions {
  readonly offset?: string
  readonly fromBeginning?: boolean
  readonly exit?: boolean
  readonly onGap?: 'error' | 'earliest'
  readonly maxMessages?: number
  readonly timeoutMs?: number
  readonly group?: string
}

export async function consume(terminal: Terminal, topic: string, options: ConsumeVerbOptions): Promise<void> {
  if (options.fromBeginning && options.offset !== undefined) {
    throw new CommandFailure('--from-beginning and --offset both say where to begin: one of them', {
      exitCode: EXIT.usage,
    })
  }
  const from = options.fromBeginning ? 'earliest' : positionOf(options.offset ?? 'latest')
  const ends = { stopAtEnd: options.exit === true, recordsMax: options.maxMessages, quietMsMax: options.timeoutMs }
  const { group } = options
  if (group === undefined || from === 'committed') {
    await print(terminal, options, { ...readOptions(topic, options), from, group, onGap: options.onGap, ...ends })
  } else {
    await consumeAsGroup(terminal, topic, options, { group, from, ...ends })
  }
}

async function consumeAsGroup(
  terminal: Terminal,
  topic: string,
  options: ConsumeVerbOptions,
  following: Omit<GroupFollowOptions, 'topic'>,
): Promise<void> {
  const { partition, key, header, filter, onGap, keyFormat, valueFormat } = options
  if ([partition, key, header, filter, onGap].some((option) => option !== undefined)) {
    throw new CommandFailure(
      '--partition, --key, --header, --filter and --on-gap do not go with --group: a group shares all records of a topic',
      { exitCode: EXIT.usage },
    )
  }
  if (PLACE_IN_ONE.test(following.from)) {
    throw new CommandFailure(
      `--offset ${following.from} does not go with --group: earliest, latest, -N, a time or a duration ago says where a new group begins, committed reads where it stands without being in it; 'tailrace groups reset' puts it elsewhere`,
      { exitCode: EXIT.usage },
    )
  }
  const printer = openRecordPrinter(terminal, chosenOutput(options.output, terminal))
  const client = connect(terminal, options)
  await tellWhereItBegins(terminal, client, topic, following, options)
  const whole = { topic, keyFormat, valueFormat, ...following }
  await followAsGroup(terminal, client, whole, (records) => printer.print(records))
  await printer.finish()
}

/** An offset, or a cursor. */
const PLACE_IN_ONE = /^\d+$|^cursor:/

/** What is asked for holds only where the group has committed nothing: what it then passes, or does not, is no surprise. */
async function tellWhereItBegins(
  terminal: Terminal,
  client: TailraceClient,
  topic: string,
  { group, from }: Pick<GroupFollowOptions, 'group' | 'from'>,
  { fromBeginning, offset }: ConsumeVerbOptions,
): Promise<void> {
  const asked = fromBeginning ? '--from-beginning' : offset === undefined ? undefined : `--offset ${offset}`
  if (await hasOffsets(client, group, topic, terminal.interruptSignal())) {
    if (asked === undefined) return
    terminal.note(`tailrace: group '${group}' goes on where it stands in topic ${topic}: ${asked} is ignored`)
  } else if (asked === undefined) {
    terminal.note(
      `tailrace: group '${group}' is new to topic ${topic}: it begins at ${from}; --from-beginning begins at the earliest record`,
    )
  }
}

async function hasOffsets(client: TailraceClient, group: string, name: string, signal: AbortSignal): Promise<boolean> {
  try {
    const { offsets } = await client.getGroup(group, { signal })
    return offsets.some(({ topic, committed_offset }) => topic === name && committed_offset !== null)
  } catch (error) {
    if (error instanceof TailraceClientError && error.code === 'group_id_not_found') return false
    throw error
  }
}

export interface TailVerbOptions extends ReadVerbOptions {
  readonly lines: number
  readonly follow?: boolean
}

export async function tail(terminal: Terminal, topic: string, options: TailVerbOptions): Promise<void> {
  const from = options.lines === 0 ? 'latest' : `-${options.lines}`
  await print(terminal, options, { ...readOptions(topic, options), from, stopAtEnd: options.follow !== true })
}

/** kcat's words are understood too. */
function positionOf(text: string): string {
  if (text === 'beginning' || text === 'start') return 'earliest'
  return text === 'end' ? 'latest' : text
}

function readOptions(topic: string, options: ReadVerbOptions) {
  return {
    topic,
    partitions: options.partition,
    key: options.key,
    headers: options.header?.map(([name, value]) => `${name}:${value}`),
    filter: options.filter,
    keyFormat: options.keyFormat,
    valueFormat: options.valueFormat,
  }
}

async function print(terminal: Terminal, options: ListOptions, following: FollowOptions): Promise<void> {
  const printer = openRecordPrinter(terminal, chosenOutput(options.output, terminal))
  const client = connect(terminal, options)
  // The last N records are shown in the order of their times, as far as each partition's own order lets them.
  let isFirstPage = following.from.startsWith('-')
  for await (const records of follow(terminal, client, following)) {
    await printer.print(isFirstPage ? byTime(records) : records)
    isFirstPage = false
  }
  await printer.finish()
}

/** Partitions merged by the times of their next records; within a partition the order stays. */
function byTime(records: readonly RawRecord[]): RawRecord[] {
  const partitions = new Map<number, { times: number[]; records: RawRecord[]; next: number }>()
  for (const record of records) {
    const queue = partitions.get(record.partition) ?? { times: [], records: [], next: 0 }
    partitions.set(record.partition, queue)
    queue.records.push(record)
    queue.times.push(Date.parse(record.text('timestamp') ?? '') || 0)
  }
  const merged: RawRecord[] = []
  while (merged.length < records.length) {
    let first: { times: number[]; records: RawRecord[]; next: number } | undefined
    for (const queue of partitions.values()) {
      if (queue.next === queue.records.length) continue
      if (first === undefined || (queue.times[queue.next] ?? 0) < (first.times[first.next] ?? 0)) first = queue
    }
    if (first === undefined) break
    merged.push(first.records[first.next++] as RawRecord)
  }
  return merged
}
