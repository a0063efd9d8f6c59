// Reads a topic from a position on, page after page, waiting at the end for more. Used by consume, tail and Kafka's
// console consumer. Once it reads, a lost server is waited for: the cursor says where to go on.

import type { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import type { RawRecord, RecordPage } from '../client/record-page.ts'
import { foregroundClock } from '../kernel/clock.ts'
import { pause } from './pause.ts'
import type { Terminal } from './terminal.ts'

export interface FollowOptions {
  readonly topic: string
  readonly from: string
  /** With a `from` of committed: whose committed offsets are meant. */
  readonly group?: string | undefined
  readonly partitions?: readonly number[] | undefined
  readonly key?: string | undefined
  readonly headers?: readonly string[] | undefined
  readonly filter?: string | undefined
  readonly keyFormat?: string | undefined
  readonly valueFormat?: string | undefined
  /** Ends where the topic ends when that is reached. */
  readonly stopAtEnd: boolean
  /** What becomes of a start whose records are gone; error unless told otherwise. */
  readonly onGap?: 'error' | 'earliest' | undefined
  readonly recordsMax?: number | undefined
  /** Ends when nothing came for this long. */
  readonly quietMsMax?: number | undefined
}

const PAGE_RECORDS = 5_000
const PAGE_BYTES = 4 * 1024 * 1024
const WAIT_MS = 30_000
const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 5_000

/** The records of each page, until the end that the options set or a signal comes. */
export async function* follow(
  terminal: Terminal,
  client: TailraceClient,
  options: FollowOptions,
): AsyncGenerator<readonly RawRecord[]> {
  const signal = terminal.interruptSignal()
  const { quietMsMax = Number.POSITIVE_INFINITY } = options
  let left = options.recordsMax ?? Number.POSITIVE_INFINITY
  let quietSince = foregroundClock.monotonic()
  let cursor: string | undefined
  while (left > 0) {
    const quietMsLeft = quietSince + quietMsMax - foregroundClock.monotonic()
    if (quietMsLeft <= 0) return
    // The first page waits for nothing: it fixes where reading begins.
    const waitMs = cursor === undefined || options.stopAtEnd ? 0 : Math.ceil(Math.min(WAIT_MS, quietMsLeft))
    const part = { cursor, waitMs, limit: Math.min(left, PAGE_RECORDS), signal }
    const page = await readPatiently(terminal, client, options, part)
    if (page === undefined) return
    cursor = page.cursor
    for (const { partition, from, to } of page.gaps) {
      terminal.note(
        `tailrace: offsets ${from} to ${to - 1} of partition ${partition} were removed before they were read`,
      )
    }
    if (page.records.length > 0) {
      quietSince = foregroundClock.monotonic()
      left -= page.records.length
      yield page.records
    }
    if (options.stopAtEnd && page.caughtUp) return
  }
}

/** What of the topic one page is to hold. */
interface PagePart {
  readonly cursor: string | undefined
  readonly waitMs: number
  readonly limit: number
  readonly signal: AbortSignal
}

/** undefined: a signal came. Only a first page fails when the server is not there. */
async function readPatiently(
  terminal: Terminal,
  client: TailraceClient,
  options: FollowOptions,
  part: PagePart,
): Promise<RecordPage | undefined> {
  for (let retryMs = RETRY_MS_MIN; !part.signal.aborted; retryMs = Math.min(retryMs * 2, RETRY_MS_MAX)) {
    try {
      return await readPage(client, options, part)
    } catch (error) {
      if (part.signal.aborted) return undefined
      if (part.cursor === undefined || !(error instanceof TailraceClientError) || !error.retryable) throw error
      if (retryMs === RETRY_MS_MIN) terminal.note(`tailrace: ${error.message}: waiting for the server`)
      await pause(retryMs, part.signal)
    }
  }
  return undefined
}

function readPage(client: TailraceClient, options: FollowOptions, part: PagePart): Promise<RecordPage> {
  return client.read(options.topic, {
    ...part,
    from: options.from,
    group: options.group,
    partitions: options.partitions,
    key: options.key,
    headers: options.headers,
    filter: options.filter,
    keyFormat: options.keyFormat,
    valueFormat: options.valueFormat,
    maxBytes: PAGE_BYTES,
    // A place that was asked for must be there; what is removed while reading is told and passed.
    onGap: part.cursor === undefined ? (options.onGap ?? 'error') : 'earliest',
  })
}
