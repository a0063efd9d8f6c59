// What is asked of a tail, and the frame that asks it of the server.

import type { AvroUnions } from './api.ts'
import type { TailraceClientError } from './client-error.ts'
import type { SubscribeFrame, TailCredit, TailFilter, TailOverflow, TailUntil } from './frames.ts'

export type TailSource = string | readonly string[] | { readonly pattern: string }

export interface TailOptions {
  /** Where to begin, in the server's position grammar; latest by default. Of a group: where it has committed nothing; earliest by default. */
  readonly from?: string | undefined
  readonly until?: TailUntil | undefined
  /** As a member of this group: the partitions that it is given, from where the group has committed. */
  readonly group?: string | TailGroup | undefined
  /** Of each topic. */
  readonly partitions?: readonly number[] | undefined
  readonly key?: string | undefined
  /** Each as name:value; a record must have them all. */
  readonly headers?: readonly string[] | undefined
  /** An expression in CEL. */
  readonly filter?: string | undefined
  readonly keyFormat?: string | undefined
  readonly valueFormat?: string | undefined
  /** tagged by default. */
  readonly unions?: AvroUnions | undefined
  /** Where records were removed before they were read: tell it in the page's gaps (the default), or fail. */
  readonly onGap?: 'error' | 'earliest' | undefined
  /** What becomes of records that the reader is too slow for; they wait unless told otherwise. */
  readonly overflow?: TailOverflow | undefined
  /** Received and not yet taken, at most; a single record may be larger. */
  readonly aheadMax?: TailCredit | undefined
  /** Told before a lost connection is opened anew. */
  readonly onRetry?: ((failure: TailraceClientError, delayMs: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface TailGroup {
  readonly name: string
  /** shared: a work queue; single records, each of which is acked. */
  readonly mode?: 'group' | 'shared' | undefined
  /** The member's name for itself, under which it has its place again when its connection was lost. One is made up if left out. */
  readonly member?: string | undefined
  /** group.instance.id, of a static member. */
  readonly instance?: string | undefined
  /** How often what the reader is done with is committed: pages that it came back from. Left out: it commits. */
  readonly autoCommitMs?: number | undefined
  /** How long the member's place is kept while it has no connection. */
  readonly sessionTimeoutMs?: number | undefined
  /** How long others wait for a revoked partition, until what was given of it is committed. */
  readonly releaseMs?: number | undefined
  /** Of a work queue: how long a record is this reader's. */
  readonly leaseMs?: number | undefined
  /** Of a work queue: a record that was given out so often, and not accepted, is put away. */
  readonly maxAttempts?: number | undefined
}

const OPTION_NAMES = Object.keys({
  from: true,
  until: true,
  group: true,
  partitions: true,
  key: true,
  headers: true,
  filter: true,
  keyFormat: true,
  valueFormat: true,
  unions: true,
  onGap: true,
  overflow: true,
  aheadMax: true,
  onRetry: true,
  signal: true,
} satisfies Record<keyof TailOptions, true>)

const GROUP_OPTION_NAMES = Object.keys({
  name: true,
  mode: true,
  member: true,
  instance: true,
  autoCommitMs: true,
  sessionTimeoutMs: true,
  releaseMs: true,
  leaseMs: true,
  maxAttempts: true,
} satisfies Record<keyof TailGroup, true>)

/**
 * A TypeError for options that cannot be meant: `mode` beside a group's name would make an ordinary group of a work queue,
 * and a header that nobody has would match nothing, both without a word.
 */
export function checkTailOptions(options: TailOptions): void {
  const { group, headers = [] } = options
  for (const name of Object.keys(options)) {
    if (OPTION_NAMES.includes(name)) continue
    const remedy = GROUP_OPTION_NAMES.includes(name)
      ? `: it is the group's: group: { name, ${name} }`
      : `; ${OPTION_NAMES.join(', ')} are known`
    throw new TypeError(`a tail has no option '${name}'${remedy}`)
  }
  for (const name of typeof group === 'object' ? Object.keys(group) : []) {
    if (GROUP_OPTION_NAMES.includes(name)) continue
    throw new TypeError(`a group has no option '${name}'; ${GROUP_OPTION_NAMES.join(', ')} are known`)
  }
  const header = headers.find((one) => !one.includes(':'))
  if (header !== undefined) throw new TypeError(`'${header}' in headers is not of the form name:value`)
}

/** Subscribes to what the options say, from there on and with so much credit. */
export function subscribeFrame(
  sub: string,
  source: TailSource,
  options: TailOptions,
  now: Pick<SubscribeFrame, 'from' | 'until' | 'member' | 'credit'>,
): SubscribeFrame {
  const { partitions, keyFormat, valueFormat, unions, group } = options
  const topics = typeof source === 'string' ? [source] : 'pattern' in source ? undefined : source
  const isShared = typeof group === 'object' && group.mode === 'shared'
  return {
    type: 'subscribe',
    sub,
    topics,
    pattern: typeof source === 'object' && 'pattern' in source ? source.pattern : undefined,
    partitions: partitions && topics?.flatMap((topic) => partitions.map((partition) => ({ topic, partition }))),
    ...(typeof group === 'string' ? { group } : group && groupMembers(group)),
    filter: filterOf(options),
    key_format: keyFormat,
    value_format: valueFormat,
    unions,
    // a work queue passes what was removed
    on_gap: isShared ? undefined : (options.onGap ?? 'earliest'),
    overflow: options.overflow,
    ...now,
  }
}

function groupMembers(group: TailGroup) {
  return {
    group: group.name,
    mode: group.mode,
    instance: group.instance,
    auto_commit_ms: group.autoCommitMs,
    session_timeout_ms: group.sessionTimeoutMs,
    release_ms: group.releaseMs,
    lease_ms: group.leaseMs,
    max_attempts: group.maxAttempts,
  }
}

function filterOf({ key, headers, filter }: TailOptions): TailFilter | undefined {
  if (key === undefined && headers === undefined && filter === undefined) return undefined
  const named = headers?.map((header) => {
    const colon = header.indexOf(':')
    return [header.slice(0, colon), header.slice(colon + 1)] as const
  })
  return { key, headers: named && Object.fromEntries(named), expr: filter }
}
