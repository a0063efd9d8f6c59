// `tailrace consume TOPIC`.

import type { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import { CommandFailure, EXIT } from './command-failure.ts'
import { connect } from './connect.ts'
import { follow } from './follow.ts'
import type { GroupFollowOptions } from './group-follow.ts'
import { followAsGroup } from './group-follow.ts'
import type { ReadVerbOptions } from './read-options.ts'
import { readOptions } from './read-options.ts'
import { openRecordPrinter } from './record-printer.ts'
import type { Terminal } from './terminal.ts'

export interface ConsumeVerbOptions extends ReadVerbOptions {
  readonly offset?: string
  readonly fromBeginning?: boolean
  readonly exit?: boolean
  readonly onGap?: 'error' | 'earliest'
  readonly maxMessages?: number
  readonly timeoutMs?: number
  readonly group?: string
  readonly shared?: boolean
}

export async function consume(terminal: Terminal, topic: string, options: ConsumeVerbOptions): Promise<void> {
  if (options.fromBeginning && options.offset !== undefined) {
    throw new CommandFailure('--from-beginning and --offset both say where to begin: one of them', {
      exitCode: EXIT.usage,
    })
  }
  const from = options.fromBeginning ? 'earliest' : positionOf(options.offset ?? 'latest')
  if (from === 'committed' && options.group === undefined) {
    throw new CommandFailure('--offset committed is where a consumer group stands: --group names it', {
      exitCode: EXIT.usage,
    })
  }
  if (options.shared) checkShared(options.group, from)
  const { group, onGap, maxMessages: recordsMax, timeoutMs: quietMsMax } = options
  if (group === undefined || from === 'committed') {
    const until = options.exit ? 'latest' : undefined
    const following = { source: topic, ...readOptions(options), from, until, group, onGap, recordsMax, quietMsMax }
    const printer = openRecordPrinter(terminal, options.output)
    for await (const records of follow(terminal, connect(terminal, options), following)) {
      if (records.length > 0) await printer.print(records)
    }
    await printer.finish()
  } else {
    const ends = { isShared: options.shared, stopAtEnd: options.exit === true, recordsMax, quietMsMax }
    await consumeAsGroup(terminal, topic, options, { group, from, ...ends })
  }
}

function checkShared(group: string | undefined, from: string): void {
  if (group === undefined) {
    throw new CommandFailure('--shared works at the queue of a shared group: --group names it', {
      exitCode: EXIT.usage,
    })
  }
  if (from !== 'committed') return
  throw new CommandFailure(
    '--offset committed reads where a group stands without being in it: --shared does not go with it',
    {
      exitCode: EXIT.usage,
    },
  )
}

async function consumeAsGroup(
  terminal: Terminal,
  topic: string,
  options: ConsumeVerbOptions,
  following: Omit<GroupFollowOptions, 'topic'>,
): Promise<void> {
  const { partition, key, header, filter, onGap, keyFormat, valueFormat, unions } = options
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
  const printer = openRecordPrinter(terminal, options.output)
  const client = connect(terminal, options)
  await tellWhereItBegins(terminal, client, topic, following, options)
  const whole = { topic, keyFormat, valueFormat, unions, ...following }
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

/** kcat's words are understood too. */
function positionOf(text: string): string {
  if (text === 'beginning' || text === 'start') return 'earliest'
  return text === 'end' ? 'latest' : text
}
