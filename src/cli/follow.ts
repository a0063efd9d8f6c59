// The records of topics from a position on, page after page, waiting at the end for more: a tail, as consume, tail and
// Kafka's console consumer need it. Once it reads, a lost server is waited for: the cursor says where to go on.

import type { AvroUnions, RecordGap } from '../client/api.ts'
import type { TailraceClient } from '../client/client.ts'
import type { TailUntil } from '../client/frames.ts'
import type { RawRecord } from '../client/record-page.ts'
import type { TailPage } from '../client/tail.ts'
import type { TailSource } from '../client/tail-request.ts'
import { foregroundClock } from '../kernel/clock.ts'
import { Backlog } from './backlog.ts'
import { CommandFailure } from './command-failure.ts'
import { inOptionWords } from './option-words.ts'
import type { Terminal } from './terminal.ts'

export interface FollowOptions {
  readonly source: TailSource
  readonly from: string
  /** A position, as it is now. */
  readonly until?: string | undefined
  /** With a `from` of committed: whose committed offsets are meant. */
  readonly group?: string | undefined
  readonly partitions?: readonly number[] | undefined
  readonly key?: string | undefined
  readonly headers?: readonly string[] | undefined
  readonly filter?: string | undefined
  readonly keyFormat?: string | undefined
  readonly valueFormat?: string | undefined
  readonly unions?: AvroUnions | undefined
  /** What becomes of a start whose records are gone; error unless told otherwise. */
  readonly onGap?: 'error' | 'earliest' | undefined
  readonly recordsMax?: number | undefined
  /** Ends when nothing came for this long. */
  readonly quietMsMax?: number | undefined
  /** Shared by those that read side by side: that the server is waited for is told once. */
  readonly waiting?: { isTold: boolean } | undefined
}

const PAGE_RECORDS = 5_000
const PAGE_BYTES = 4 * 1024 * 1024

/** The records of each page, until the end that the options set or a signal comes. The last N come first, together, also if there are none. */
export async function* follow(
  terminal: Terminal,
  client: TailraceClient,
  options: FollowOptions,
): AsyncGenerator<readonly RawRecord[]> {
  let left = options.recordsMax ?? Number.POSITIVE_INFINITY
  if (left <= 0) return
  for await (const records of allOf(terminal, client, options)) {
    yield records.length > left ? records.slice(0, left) : records
    left -= records.length
    if (left <= 0) return
  }
}

async function* allOf(
  terminal: Terminal,
  client: TailraceClient,
  options: FollowOptions,
): AsyncGenerator<readonly RawRecord[]> {
  const isPattern = typeof options.source === 'object' && 'pattern' in options.source
  if (isPattern || !NAMES_OFFSETS.test(options.from)) return yield* tailed(terminal, client, options)
  const page = await firstPage(client, options, terminal.interruptSignal())
  tellGaps(terminal, page.gaps, options.source)
  if (page.records.length > 0) yield page.records
  const { recordsMax } = options
  const left = recordsMax && Math.max(1, recordsMax - page.records.length)
  yield* tailed(terminal, client, { ...options, from: `cursor:${page.cursor}`, recordsMax: left })
}

/** A place that somebody was given, which must be there; what is removed later, while reading, is told and passed. */
const NAMES_OFFSETS = /^(\d{1,16}|committed|cursor:.*)$/

/** A page is refused where the place is gone, and knows where a group stands. */
function firstPage(client: TailraceClient, options: FollowOptions, signal: AbortSignal) {
  const { source, recordsMax = PAGE_RECORDS, onGap = 'error' } = options
  const limit = Math.min(recordsMax, PAGE_RECORDS)
  return client.read(String(source), { ...options, limit, maxBytes: PAGE_BYTES, onGap, signal })
}

async function* tailed(
  terminal: Terminal,
  client: TailraceClient,
  options: FollowOptions,
): AsyncGenerator<readonly RawRecord[]> {
  const { source, from, group: _, recordsMax, quietMsMax, waiting = { isTold: false }, ...rest } = options
  const interrupt = terminal.interruptSignal()
  const quiet = new Silence(quietMsMax)
  // The last N records of all partitions are wanted in the order of their times.
  let backlog = from.startsWith('-') ? new Backlog() : undefined
  const faults = new FaultWatch(terminal)
  const pages = client.tail(source, {
    ...rest,
    from,
    until: options.until ?? untilCount(recordsMax),
    onGap: 'earliest',
    signal: AbortSignal.any([interrupt, quiet.signal]),
    onRetry: ({ message }) => {
      if (!waiting.isTold) terminal.note(`tailrace: ${message}: waiting for the server`)
      waiting.isTold = true
    },
  })
  try {
    for await (const page of pages) {
      const { records, gaps, progress } = page
      waiting.isTold = false
      // it is counted from when there was a word of the server
      quiet.begin()
      tellGaps(terminal, gaps, source)
      faults.look(page)
      if (options.until !== undefined) faults.checkReachable()
      if (records.length > 0) quiet.end()
      if (backlog === undefined) {
        if (records.length > 0) yield records
      } else {
        backlog.add(records)
        if (progress?.caughtUp || backlog.isFull) {
          yield backlog.take()
          backlog = undefined
        }
      }
      if (records.length > 0) quiet.begin()
    }
  } catch (error) {
    if (!interrupt.aborted && !quiet.signal.aborted) throw error
  } finally {
    quiet.end()
  }
  if (backlog !== undefined && !interrupt.aborted) yield backlog.take()
}

function untilCount(recordsMax: number | undefined): TailUntil | undefined {
  return recordsMax === undefined ? undefined : { count: recordsMax }
}

function tellGaps(terminal: Terminal, gaps: readonly RecordGap[], source: TailSource): void {
  for (const { topic, partition, from, to } of gaps) {
    const where = typeof source === 'string' ? `partition ${partition}` : `partition ${partition} of ${topic}`
    terminal.note(`tailrace: offsets ${from} to ${to - 1} of ${where} were removed before they were read`)
  }
}

/** Partitions that cannot be read are told. Where only they are left an end is never reached. */
class FaultWatch {
  readonly #terminal: Terminal
  #hasFaults = false
  #scanned = -1
  #isStuck = false

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  /** Two signs of life, and nothing was read between them: that is all that can be. */
  look({ records, faults, progress }: TailPage): void {
    for (const { error } of faults) {
      this.#hasFaults = true
      this.#terminal.note(`tailrace: ${inOptionWords(error.detail, this.#terminal.optionNames)}`)
    }
    this.#isStuck = records.length === 0 && progress?.caughtUp === false && progress.scanned === this.#scanned
    this.#scanned = progress?.scanned ?? -1
  }

  checkReachable(): void {
    if (this.#isStuck && this.#hasFaults) throw new CommandFailure('this is not all: a partition could not be read')
  }
}

/** Aborts when it has lasted for so long. */
class Silence {
  readonly #controller = new AbortController()
  readonly #msMax: number | undefined
  #timer: { cancel(): void } | undefined

  constructor(msMax: number | undefined) {
    this.#msMax = msMax
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Unless it has begun. */
  begin(): void {
    if (this.#msMax === undefined || this.#timer !== undefined) return
    this.#timer = foregroundClock.after(this.#msMax, () => this.#controller.abort())
  }

  end(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
