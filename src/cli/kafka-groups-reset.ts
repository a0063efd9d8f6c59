// `kafka-consumer-groups --reset-offsets`: to where, for which partitions, with a plan from a file or into one.

import { readFile } from 'node:fs/promises'
import type { OffsetReset, OffsetsReset, PartitionTarget, ResetOffsetsRequest } from '../client/api.ts'
import type { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import { CommandFailure } from './command-failure.ts'
import { scopeOf } from './groups.ts'
import { renderReset } from './kafka-groups-render.ts'
import type { TopicPartitions } from './option-value.ts'
import type { Terminal } from './terminal.ts'

export interface ResetOptions {
  readonly topic?: readonly TopicPartitions[]
  readonly allTopics?: boolean
  readonly toEarliest?: boolean
  readonly toLatest?: boolean
  readonly toCurrent?: boolean
  readonly toOffset?: number
  readonly toDatetime?: string
  readonly byDuration?: string
  readonly shiftBy?: number
  readonly fromFile?: string
  readonly dryRun?: boolean
  readonly execute?: boolean
  readonly export?: boolean
}

export async function resetOffsets(
  terminal: Terminal,
  client: TailraceClient,
  groups: readonly string[],
  options: ResetOptions,
): Promise<void> {
  const { dryRun, execute = false } = options
  if (dryRun && execute) throw new CommandFailure('Option [reset-offsets] only accepts one of [execute] and [dry-run]')
  const requestOf = await requestsFor(groups, options)
  if (!dryRun && !execute) terminal.note('WARN: No action will be performed as the --execute option is missing.')
  const done: OffsetsReset[] = []
  const failed: string[] = []
  for (const group of groups) {
    const reset = await resetGroup(client, group, { ...requestOf(group), dry_run: !execute })
    if (typeof reset === 'string') failed.push(reset)
    else done.push(reset)
  }
  for (const { offsets } of done) for (const offset of offsets) tellAdjusted(terminal, offset)
  await terminal.write(options.export ? renderPlan(done, groups.length === 1) : renderReset(done))
  if (failed.length > 0) throw new CommandFailure(failed.join('\n'))
}

/** A text: why it was not done. */
async function resetGroup(
  client: TailraceClient,
  group: string,
  request: ResetOffsetsRequest,
): Promise<OffsetsReset | string> {
  if (request.offsets?.length === 0) return `Error: No reset plan for group ${group} found.`
  try {
    const offsets: OffsetReset[] = []
    for (const part of inParts(request)) {
      const reset = await client.resetOffsets(group, part)
      if (reset.refusal !== undefined) return stillActive(group, reset.refusal.details)
      offsets.push(...reset.offsets)
    }
    return { group, dry_run: request.dry_run === true, offsets }
  } catch (error) {
    if (!(error instanceof TailraceClientError) || error.code !== 'non_empty_group') throw error
    return stillActive(group, error.details)
  }
}

/** A dry run is told so too, as by Kafka's tool. */
function stillActive(group: string, details: Readonly<Record<string, unknown>>): string {
  return `Error: Assignments can only be reset if the group '${group}' is inactive, but the current state is ${details['state']}.`
}

/** A plan may be longer than a request. */
function inParts(request: ResetOffsetsRequest): readonly ResetOffsetsRequest[] {
  const { offsets } = request
  if (offsets === undefined) return [request]
  const parts: ResetOffsetsRequest[] = []
  for (let at = 0; at < offsets.length; at += PLAN_LINES_AT_ONCE) {
    parts.push({ ...request, offsets: offsets.slice(at, at + PLAN_LINES_AT_ONCE) })
  }
  return parts
}

/** With the longest of topics' names they fit into a small JSON body. */
const PLAN_LINES_AT_ONCE = 200

/** What to ask for each group. */
async function requestsFor(
  groups: readonly string[],
  options: ResetOptions,
): Promise<(group: string) => ResetOffsetsRequest> {
  const targets = TARGETS.filter(([name]) => options[name] !== undefined)
  const [target] = targets
  const [, second] = targets
  if (target !== undefined && second !== undefined) {
    const [one, other] = [target, second].map(([, flag]) => `"[${flag.slice(2)}]"`)
    throw new CommandFailure(`Option ${one} can't be used with option ${other}: only one scenario is possible`)
  }
  if (target === undefined) {
    const flags = TARGETS.map(([, flag]) => flag).join(', ')
    throw new CommandFailure(`Option '[reset-offsets]' requires one of the following scenarios: ${flags}`)
  }
  if (options.fromFile !== undefined) {
    const plan = parsePlan(await readFile(options.fromFile, 'utf8'), groups)
    return (group) => ({ offsets: plan.get(group) ?? [] })
  }
  if (options.topic === undefined && !options.allTopics) {
    throw new CommandFailure('One of the reset scopes should be defined: --all-topics, --topic.')
  }
  const scope = options.allTopics ? {} : scopeOf(options.topic)
  return () => ({ ...targetOf(options), ...scope })
}

const TARGETS = [
  ['toEarliest', '--to-earliest'],
  ['toLatest', '--to-latest'],
  ['toCurrent', '--to-current'],
  ['toOffset', '--to-offset'],
  ['toDatetime', '--to-datetime'],
  ['byDuration', '--by-duration'],
  ['shiftBy', '--shift-by'],
  ['fromFile', '--from-file'],
] as const

function targetOf(options: ResetOptions): ResetOffsetsRequest {
  const { toOffset, toDatetime, byDuration, shiftBy } = options
  if (shiftBy !== undefined) return { shift_by: shiftBy }
  if (toDatetime !== undefined) return { to: withZone(toDatetime) }
  if (byDuration !== undefined) return { to: durationOf(byDuration) }
  // Below zero is before every start.
  if (toOffset !== undefined) return toOffset < 0 ? { to: 'earliest' } : { to: String(toOffset) }
  if (options.toEarliest) return { to: 'earliest' }
  return { to: options.toLatest ? 'latest' : 'committed' }
}

/** A time without a zone is in UTC, as in Kafka's tool. */
function withZone(text: string): string {
  if (!/^\d{4}-\d\d-\d\dT\d\d:/i.test(text)) {
    throw new CommandFailure(`'${text}' is no time; its form is YYYY-MM-DDTHH:mm:SS.sss, in UTC unless a zone follows`)
  }
  return /(Z|[+-]\d\d:?\d\d)$/i.test(text) ? text : `${text}Z`
}

const DURATION = /^P(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,7})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:\.(\d{1,3})\d*)?S)?)?$/i

/** PnDTnHnMnS as the server knows durations. */
function durationOf(text: string): string {
  const parts = DURATION.exec(text)
  if (parts === null || text.length < 3) {
    throw new CommandFailure(
      `Text cannot be parsed to a Duration: '${text}'; its form is PnDTnHnMnS, such as P7D or PT1H30M`,
    )
  }
  const [, days = '0', hours = '0', minutes = '0', seconds = '0', fraction = ''] = parts
  return `${days}d${hours}h${minutes}m${seconds}s${fraction.padEnd(3, '0')}ms`
}

function tellAdjusted(terminal: Terminal, { topic, partition, offset, adjusted, requested_offset }: OffsetReset): void {
  const place = `${topic}-${partition}`
  if (adjusted === undefined) return
  if (requested_offset === undefined) {
    terminal.note(`Warn: Partition ${partition} from topic ${topic} is empty. Falling back to latest known offset.`)
    return
  }
  const bound = adjusted === 'end' ? 'higher than latest' : 'lower than earliest'
  terminal.note(
    `WARN New offset (${requested_offset}) is ${bound} offset for topic partition ${place}. Value will be set to ${offset}.`,
  )
}

/** CSV: topic,partition,offset; of several groups with the group in front. */
function renderPlan(resets: readonly OffsetsReset[], isOfOne: boolean): string {
  const rows = resets.flatMap(({ group, offsets }) =>
    offsets.map(({ topic, partition, offset }) => [...(isOfOne ? [] : [quoted(group)]), topic, partition, offset]),
  )
  return `${rows.map((row) => `${row.join(',')}\n`).join('')}\n`
}

function quoted(text: string): string {
  return /[",\s]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const PLAN_LINE = /^(?:("(?:[^"]|"")*"|[^",]*),)?"?([^",]+)"?,\s*(\d{1,9})\s*,\s*(\d{1,16})\s*$/

function parsePlan(text: string, groups: readonly string[]): ReadonlyMap<string, PartitionTarget[]> {
  const plan = new Map<string, PartitionTarget[]>()
  const [only] = groups
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const [, name, topic = '', partition, offset] = PLAN_LINE.exec(line.replace(/\r$/, '')) ?? []
    const group = name === undefined ? only : unquoted(name)
    if (partition === undefined || group === undefined || (name === undefined && groups.length > 1)) {
      throw new CommandFailure(`'${line}' is no line of a plan: [group,]topic,partition,offset`)
    }
    const target = { topic, partition: Number(partition), offset: Number(offset) }
    plan.set(group, [...(plan.get(group) ?? []), target])
  }
  return plan
}

function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text
}
