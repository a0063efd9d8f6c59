// A page of records as it came over the wire. Records are handed out as their JSON text: parse() makes objects of them,
// which costs numbers their last digits; who prints or passes on takes the text.

import type { LeasedRange, PagePartition, PartitionFault, RecordGap, TopicRecord } from './api.ts'
import { TailraceClientError } from './client-error.ts'
import { splitArray, splitObject, textOf } from './raw-json.ts'

export interface RecordPage {
  readonly records: readonly RawRecord[]
  /** Continues after this page. */
  readonly cursor: string
  readonly caughtUp: boolean
  readonly partitions: readonly PagePartition[]
  /** Records that were removed before they were read. */
  readonly gaps: readonly RecordGap[]
}

export class RawRecord {
  /** The record's JSON as it was received. */
  readonly json: Uint8Array
  #members: Map<string, Uint8Array> | undefined

  constructor(json: Uint8Array) {
    this.json = json
  }

  /** The JSON text of one member; undefined when it is absent. */
  member(name: string): string | undefined {
    this.#members ??= splitObject(this.json) ?? new Map<string, Uint8Array>()
    const json = this.#members.get(name)
    return json && textOf(json)
  }

  /** A member that is a string; undefined for anything else. */
  text(name: string): string | undefined {
    const json = this.member(name)
    return json?.startsWith('"') ? (JSON.parse(json) as string) : undefined
  }

  get topic(): string {
    return this.text('topic') ?? ''
  }

  get partition(): number {
    return Number(this.member('partition'))
  }

  get offset(): number {
    return Number(this.member('offset'))
  }

  /** Of a work queue: how often it was given out. */
  get attempts(): number | undefined {
    const json = this.member('attempts')
    return json === undefined ? undefined : Number(json)
  }

  parse(): TopicRecord {
    return JSON.parse(textOf(this.json)) as TopicRecord
  }
}

/** What a poll of a group gave, the same way. */
export interface GroupPoll {
  readonly records: readonly RawRecord[]
  /** undefined: there was nothing. */
  readonly lease: string | undefined
  readonly expiresAt: string | undefined
  readonly positions: readonly LeasedRange[]
  readonly generation: number
  readonly gaps: readonly RecordGap[]
  /** Partitions of the group that cannot be read at present. */
  readonly faults: readonly PartitionFault[]
}

/** unexpected_reply for bytes that are no such reply. */
export function parseGroupPoll(bytes: Uint8Array): GroupPoll {
  const members = splitObject(bytes)
  const records = splitArray(members?.get('records') ?? NOTHING)
  if (records === undefined || members?.has('lease') !== true) throw notAPage()
  return {
    records: records.map((json) => new RawRecord(json)),
    lease: (parseMember(members, 'lease') ?? undefined) as string | undefined,
    expiresAt: (parseMember(members, 'expires_at') ?? undefined) as string | undefined,
    positions: (parseMember(members, 'positions') ?? []) as LeasedRange[],
    generation: Number(parseMember(members, 'generation')),
    gaps: (parseMember(members, 'gaps') ?? []) as RecordGap[],
    faults: (parseMember(members, 'faults') ?? []) as PartitionFault[],
  }
}

/** unexpected_reply for bytes that are no page. */
export function parseRecordPage(bytes: Uint8Array): RecordPage {
  const members = splitObject(bytes)
  const records = splitArray(members?.get('records') ?? NOTHING)
  const cursor = parseMember(members, 'cursor')
  if (records === undefined || typeof cursor !== 'string') throw notAPage()
  return {
    records: records.map((json) => new RawRecord(json)),
    cursor,
    caughtUp: parseMember(members, 'caught_up') === true,
    partitions: (parseMember(members, 'partitions') ?? []) as PagePartition[],
    gaps: (parseMember(members, 'gaps') ?? []) as RecordGap[],
  }
}

const NOTHING = new Uint8Array(0)

function parseMember(members: Map<string, Uint8Array> | undefined, name: string): unknown {
  const json = members?.get(name)
  return json === undefined ? undefined : JSON.parse(textOf(json))
}

function notAPage(): TailraceClientError {
  return new TailraceClientError({
    status: 200,
    code: 'unexpected_reply',
    message: 'the answer is no page of records: is this the address of a Tailrace server?',
    retryable: false,
  })
}
