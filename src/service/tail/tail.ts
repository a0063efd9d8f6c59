// Live tailing, in words: a tail reads any topics and partitions from a position on, through what is stored and on to what is
// appended, without a seam, a gap or a repeat, for as long as its reader takes what it gives. Server-Sent Events, WebSocket
// subscriptions and exports that follow are tails. Types only; tails.ts does it.
//
// A tail stands at a place: one offset for each of its partitions. What lies between a place and the end, in one form and
// through one filter, is a chunk, and is the same for every tail that stands there: it is fetched, decoded and encoded
// once, and all of them are given the same bytes. A tail that has less room than the chunk needs reads for itself.

import type { TailraceError } from '../../kernel/errors.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { Caller } from '../caller.ts'
import type { RecordFilter } from '../filter/record-filter.ts'
import type { Subscription } from '../groups/group-member.ts'
import type { RecordSink } from '../read/page.ts'
import type { TopicOffset } from '../read/partition-offset.ts'
import type { Position } from '../read/positions.ts'

export interface TailSource {
  readonly topic: string
  /** undefined: all, also those that are added later. */
  readonly partitions?: readonly number[] | undefined
}

export type TailSources =
  /** Each topic once, all of them there. */
  | { readonly kind: 'topics'; readonly topics: readonly TailSource[] }
  /** Every topic that fits, also those that are made later. */
  | { readonly kind: 'pattern'; readonly subscription: Subscription }
  /**
   * None at first: those that Tail.assign gives. While more of them are to come (Tail.wake() when that is over), it has
   * neither caught up nor come to its end.
   */
  | { readonly kind: 'assigned'; areAllKnown(): boolean }

export interface AssignedOffset extends TopicOffset {
  /** Where a tail that ends at a position ends in it; the first that was said of a partition. undefined: it does not count. */
  readonly until?: number | undefined
}

/** What becomes of records that the reader has no room for. */
export type TailOverflow = 'pause' | 'drop_oldest' | 'latest_per_key'

/** Writes the records of one chunk. */
export interface TailEncoder extends RecordSink {
  /** `cursor`: goes on after this record; worked out when it is called. */
  write(record: RecordReader, cursor?: () => string): void
  /** Bytes written so far, those that it took back included. */
  readonly size: number
  /** The chunk; `cursor` goes on after it. Called once, with one record at least. */
  finish(cursor: string): Buffer
}

export interface TailForm {
  /** Tails whose forms have the same key are given the same bytes. */
  readonly key: string
  newEncoder(): TailEncoder
}

export interface TailChunk {
  readonly body: Buffer
  readonly recordCount: number
  /** Goes on after the chunk. Worked out once, when it is first asked for. */
  readonly cursor: string
  /** A reader looks at the bytes that it was given no more: when all have said so, their memory is given back. Once at most; may be left out. */
  taken(): void
}

/**
 * Records that the reader will never be given: removed before they were read, or dropped because it had no room. With
 * latest_per_key its records within a dropped range that are a key's last still come.
 */
export interface TailGap {
  readonly topic: string
  readonly partition: number
  readonly from: number
  /** Not included. */
  readonly to: number
  readonly reason: 'removed' | 'overflow'
}

export interface TailProgress {
  /** Goes on where the tail stands. undefined: more partitions than a cursor can name. */
  readonly cursor: string | undefined
  /** Nothing was left below the end when it looked last. False until the ends are known. */
  readonly caughtUp: boolean
  /** Offsets from where it stands to the ends, over all partitions. */
  readonly lag: number
  /** Since it began: records looked at, records given, records dropped for want of room, records for which the filter failed. */
  readonly scanned: number
  readonly matched: number
  readonly dropped: number
  readonly filterErrors: number
}

export type TailEnd = 'until' | 'topic_deleted'

/** Whom a tail gives to. Called one at a time, never from within a call of the tail's own. */
export interface TailReader {
  /** What it takes now. Nothing comes while either is below 1; call Tail.wake() when there is room again. A first record may be larger; and what makes a record longer (base64, escapes) shows when it is written: the last one may go beyond `bytes` by that. */
  room(): { readonly records: number; readonly bytes: number }
  take(chunk: TailChunk): void
  gap(gap: TailGap): void
  /** It has come to the end of what is there, or has looked at much without finding anything to give. */
  progress(progress: TailProgress): void
  /** A partition cannot be read; told once until it can be again. The others go on. */
  fault(fault: { readonly topic: string; readonly partition: number; readonly error: TailraceError }): void
  /** Nothing comes any more. */
  end(reason: TailEnd): void
  /** Nothing comes any more: offset_out_of_range with on_gap 'error', invalid_request where no cursor can name all partitions any more, what nobody foresaw. */
  fail(error: TailraceError): void
}

export interface TailRequest {
  readonly caller: Caller
  readonly sources: TailSources
  readonly from: Position
  /**
   * Ends there: a position, as it is now; or after so many records. undefined: never. Of sources 'assigned' a position is
   * what is assigned with them.
   */
  readonly until?: Position | { readonly kind: 'count'; readonly recordCount: number } | undefined
  readonly filter?: RecordFilter | undefined
  /** Where records were removed before they were read: fail, or tell and go on at the first that is there. */
  readonly onGap: 'error' | 'earliest'
  readonly overflow: TailOverflow
  /** Records of one chunk at most. */
  readonly batchRecords: number
  /** How long what was appended waits for more. */
  readonly batchWaitMs: number
  readonly form: TailForm
  readonly reader: TailReader
  /** Of opening it. */
  readonly signal?: AbortSignal | undefined
}

export interface Tail {
  /** Goes on where it stands. undefined: its topics have grown to more partitions than a cursor can name. */
  readonly cursor: string | undefined
  /** Where it stands, for each partition. */
  readonly positions: readonly TopicOffset[]
  progress(): TailProgress
  /** There is room again. */
  wake(): void
  /** Goes on there. What was given before stays given; nothing of before comes after it resolves. As opening: what it throws. */
  seek(to: Position, signal?: AbortSignal): Promise<void>
  /** Of sources 'assigned': reads these and no others; those that it reads already go on where they stand. */
  assign(offsets: readonly AssignedOffset[]): void
  /** Nothing comes any more, not even end. */
  close(): void
}

export interface TailService {
  /**
   * A tail that stands at its start; nothing is given before the caller has the tail (the first call comes in a later turn of the event loop). unknown_topic_or_partition;
   * invalid_position, invalid_cursor, topic_recreated; offset_out_of_range with the bounds; invalid_request: a pattern that is
   * none, more partitions than a cursor can name; overloaded: as many tails as there may be.
   */
  open(request: TailRequest): Promise<Tail>
  /** Every tail is closed. */
  close(): Promise<void>
}
