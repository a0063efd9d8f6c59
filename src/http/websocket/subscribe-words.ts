// What subscribe frames of several modes have in common.

import { TailraceError } from '../../kernel/errors.ts'
import type { RecordFilters } from '../../service/filter/record-filter.ts'
import type { Subscription } from '../../service/groups/group-member.ts'
import type { Position } from '../../service/read/positions.ts'
import { parsePosition } from '../../service/read/positions.ts'
import type { TailRequest } from '../../service/tail/tail.ts'
import type { HttpFloor } from '../http-floor.ts'
import type { SubscribeFrame } from './frames-in.ts'
import type { FrameFormats } from './record-frames.ts'
import { RecordsForm } from './record-frames.ts'

export function modeOf({ mode, group }: SubscribeFrame): NonNullable<SubscribeFrame['mode']> {
  return mode ?? (group === undefined ? 'tail' : 'group')
}

/** Of a free tail: what only members of groups have, in words. */
export function strayWarnings(frame: SubscribeFrame): readonly string[] {
  if (modeOf(frame) !== 'tail') return []
  const where = frame.mode === undefined ? 'without a group' : 'in mode tail'
  const stray = OF_GROUPS.filter((member) => frame[member] !== undefined)
  return stray.map((member) => `the frame has "${member}", which means nothing ${where}`)
}

const OF_GROUPS = [
  'member',
  'instance',
  'session_timeout_ms',
  'release_ms',
  'auto_commit_ms',
  'lease_ms',
  'max_attempts',
] as const

export function groupOf({ group, mode }: SubscribeFrame): string {
  if (group !== undefined) return group
  throw new TailraceError('invalid_request', `a subscription of mode ${mode} names its group`)
}

/** Of groups of the other kind; for http/group-kind.ts. */
export const SUBSCRIBE_OTHERWISE = { exclusive: 'subscribe with mode group', shared: 'subscribe with mode shared' }

/** invalid_request: what belongs to another mode would be passed over in silence. */
export function refuseMembers(frame: SubscribeFrame, members: readonly (keyof SubscribeFrame)[], modes: string): void {
  const stray = members.find((member) => frame[member] !== undefined)
  if (stray === undefined) return
  throw new TailraceError(
    'invalid_request',
    `${stray} is of mode ${modes}, this subscription is of mode ${frame.mode ?? 'group'}`,
    {
      member: stray,
    },
  )
}

export function topicsOf({ topics, pattern, partitions }: SubscribeFrame): Subscription {
  if (partitions !== undefined) {
    throw new TailraceError('invalid_request', 'a group shares its partitions out by itself: none can be asked for')
  }
  if (topics !== undefined && pattern === undefined) return { topics: [...new Set(topics)].sort() }
  if (pattern !== undefined && topics === undefined) return { pattern }
  throw new TailraceError('invalid_request', 'a subscription names its topics, or a pattern of theirs')
}

const STARTS_ALLOWED =
  'earliest, latest, committed, -N (the last N records), a time such as 2026-11-21T02:00:00Z, or a duration ago such as 30m, 1h or 7d'

const NO_START: ReadonlySet<Position['kind']> = new Set(['offset', 'cursor'])

/** Where partitions begin that the group has committed nothing of. As the polls of a group: at their first record. */
export function startOf({ from = 'earliest' }: SubscribeFrame): Position {
  if (from === 'committed') return { kind: 'earliest' }
  const position = parsePosition(from, undefined, STARTS_ALLOWED)
  if (!NO_START.has(position.kind)) return position
  throw new TailraceError(
    'invalid_position',
    `from says where a group begins that has committed nothing yet: ${STARTS_ALLOWED}, not '${from.slice(0, 60)}'`,
    { position: from.slice(0, 60) },
  )
}

const ENDS_ALLOWED = 'latest, a time such as 2026-11-21T02:00:00Z, a duration ago such as 30m, 1h or 7d, or {"count":N}'

const NO_END: ReadonlySet<Position['kind']> = new Set(['offset', 'cursor', 'last', 'committed'])

/** Where a member ends: what it names must be somewhere in whatever partitions are assigned to it. */
export function groupUntilOf(frame: SubscribeFrame): TailRequest['until'] {
  const until = untilOf(frame)
  if (until === undefined || until.kind === 'count' || !NO_END.has(until.kind)) return until
  const shown = String(frame.until).slice(0, 60)
  throw new TailraceError('invalid_position', `in a group, until is ${ENDS_ALLOWED}, not '${shown}'`, {
    position: shown,
  })
}

export function untilOf({ until, group }: SubscribeFrame): TailRequest['until'] {
  if (until === undefined) return undefined
  if (typeof until === 'object') return { kind: 'count', recordCount: until.count }
  const position: Position = parsePosition(until, group)
  return position
}

export function filtersOf({ filter }: SubscribeFrame): RecordFilters | undefined {
  if (filter === undefined) return undefined
  return {
    key: filter.key === undefined ? undefined : Buffer.from(filter.key),
    headers: Object.entries(filter.headers ?? {}).map(([name, value]) => ({ name, value: Buffer.from(value) })),
    expression: filter.expr,
  }
}

/** What a subscription shows of records. */
export function recordsForm(floor: HttpFloor, frame: SubscribeFrame): RecordsForm {
  return new RecordsForm(recordFormats(floor, frame), floor)
}

export function recordFormats(
  { schemas }: Pick<HttpFloor, 'schemas'>,
  { key_format, value_format, unions, fields }: SubscribeFrame,
): FrameFormats {
  return {
    schemas,
    unions: unions ?? 'tagged',
    keyFormat: key_format ?? 'auto',
    valueFormat: value_format ?? 'auto',
    fields: fields === undefined ? undefined : new Set(fields),
  }
}
