// Reads a topic as a worker of a consumer group, or at a work queue: what a poll gives is leased to it, handed on, and acknowledged when that
// is done. Used by consume and Kafka's console consumer. A signal gives back what was not handed on. Once it has been
// answered, a lost server is waited for.

import type { AvroUnions } from '../client/api.ts'
import type { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import type { GroupPoll, RawRecord } from '../client/record-page.ts'
import { foregroundClock } from '../kernel/clock.ts'
import { CommandFailure } from './command-failure.ts'
import { inOptionWords } from './option-words.ts'
import { pause } from './pause.ts'
import type { Terminal } from './terminal.ts'

export interface GroupFollowOptions {
  readonly group: string
  readonly topic: string
  /** At a work queue: records are leased one by one. */
  readonly isShared?: boolean | undefined
  /** Where partitions begin that the group has not committed. */
  readonly from: string
  readonly keyFormat?: string | undefined
  readonly valueFormat?: string | undefined
  readonly unions?: AvroUnions | undefined
  /** Ends when there is nothing to be had. */
  readonly stopAtEnd: boolean
  readonly recordsMax?: number | undefined
  /** Ends when nothing came for this long. */
  readonly quietMsMax?: number | undefined
}

const POLL_RECORDS = 1_000
const POLL_BYTES = 4 * 1024 * 1024
const WAIT_MS = 20_000
/** For the assignment, where the end is the end. */
const FIRST_WAIT_MS = 1_000
const LEASE_MS = 30_000
const EXTEND_MS = LEASE_MS / 3
const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 5_000

/** Hands records on until the end that the options set or a signal comes; those that `take` has taken are acknowledged. */
export async function followAsGroup(
  terminal: Terminal,
  client: TailraceClient,
  options: GroupFollowOptions,
  take: (records: readonly RawRecord[]) => Promise<void>,
): Promise<void> {
  const worker = new GroupWorker(terminal, client, options)
  const { quietMsMax = Number.POSITIVE_INFINITY, stopAtEnd } = options
  let left = options.recordsMax ?? Number.POSITIVE_INFINITY
  let quietSince = foregroundClock.monotonic()
  let longestWaitMs = stopAtEnd ? FIRST_WAIT_MS : WAIT_MS
  while (left > 0) {
    const quietMsLeft = quietSince + quietMsMax - foregroundClock.monotonic()
    if (quietMsLeft <= 0) return worker.checkWhole()
    const waitMs = Math.ceil(Math.min(longestWaitMs, quietMsLeft))
    const page = await worker.poll(Math.min(left, POLL_RECORDS), waitMs)
    if (page === undefined) return
    if (page.lease === undefined) {
      if (!stopAtEnd) continue
      worker.checkWhole()
      if (longestWaitMs > 0) await worker.tellWhatIsLeft()
      return
    }
    await worker.work(page.lease, () => take(page.records))
    if (worker.isInterrupted) return
    left -= page.records.length
    quietSince = foregroundClock.monotonic()
    if (stopAtEnd) longestWaitMs = 0
  }
}

class GroupWorker {
  readonly #terminal: Terminal
  readonly #client: TailraceClient
  readonly #options: GroupFollowOptions
  readonly #signal: AbortSignal
  #wasAnswered = false
  /** Partitions that could not be read, as was told. */
  #faulty: ReadonlySet<number> = new Set()

  constructor(terminal: Terminal, client: TailraceClient, options: GroupFollowOptions) {
    this.#terminal = terminal
    this.#client = client
    this.#options = options
    this.#signal = terminal.interruptSignal()
  }

  get isInterrupted(): boolean {
    return this.#signal.aborted
  }

  /** undefined: a signal came, and nothing is held. */
  async poll(limit: number, waitMs: number): Promise<GroupPoll | undefined> {
    const { group, topic, isShared, from, keyFormat, valueFormat, unions } = this.#options
    const signal = this.#signal
    const request = {
      topics: [topic],
      mode: isShared ? ('shared' as const) : undefined,
      from,
      limit,
      max_bytes: POLL_BYTES,
      wait_ms: waitMs,
      lease_ms: LEASE_MS,
      key_format: keyFormat,
      value_format: valueFormat,
      unions,
    }
    const page = await this.#patiently(() => this.#client.pollGroup(group, request, { signal }))
    if (page !== undefined) this.#tell(page)
    if (page?.lease === undefined || !signal.aborted) return page
    await this.#client.releaseLease(group, page.lease)
    return undefined
  }

  /** An end that was reached without some partition is none. */
  checkWhole(): void {
    const { group, topic } = this.#options
    const numbers = [...this.#faulty.keys()]
    if (numbers.length === 0) return
    const what = numbers.length === 1 ? `partition ${numbers[0]}` : `partitions ${numbers.join(', ')}`
    throw new CommandFailure(`${what} of topic ${topic} could not be read by group '${group}'`)
  }

  /** Where an end is met at once: nothing may be left to this worker while others hold something. */
  async tellWhatIsLeft(): Promise<void> {
    const { group, topic } = this.#options
    const described = await this.#client.getGroup(group, { signal: this.#signal }).catch(() => undefined)
    const left = (described?.offsets ?? []).reduce(
      (sum, { topic: name, lag }) => sum + (name === topic ? (lag ?? 0) : 0),
      0,
    )
    if (left === 0) return
    const records = left === 1 ? '1 record' : `${left} records`
    this.#terminal.note(
      `tailrace: ${records} of topic ${topic} are left to group '${group}': other workers have leased them, or own their partitions`,
    )
  }

  #tell({ gaps, faults }: GroupPoll): void {
    for (const { partition, from, to } of gaps) {
      this.#terminal.note(
        `tailrace: offsets ${from} to ${to - 1} of partition ${partition} were removed before they were read`,
      )
    }
    for (const { partition, error } of faults) {
      if (this.#faulty.has(partition)) continue
      const reason = inOptionWords(error.detail, this.#terminal.optionNames)
      this.#terminal.note(`tailrace: partition ${partition}: ${reason}${this.#remedyOf(error.code)}`)
    }
    this.#faulty = new Set(faults.map(({ partition }) => partition))
  }

  /** Does the work, keeping the lease for as long as that takes, and acknowledges it, signal or not; gives back what failed. */
  async work(lease: string, work: () => Promise<void>): Promise<void> {
    const { group, isShared } = this.#options
    const done = new AbortController()
    const kept = this.#keep(lease, done.signal)
    try {
      await work()
    } catch (error) {
      // whoever comes next need not wait for its end; what went wrong is told
      await this.#client.releaseLease(group, lease).catch(() => {})
      throw error
    } finally {
      done.abort()
      await kept
    }
    try {
      const { fenced = [] } = await this.#client.ackLease(
        group,
        lease,
        isShared ? { accept: 'all' } : { through: 'all' },
      )
      for (const { topic, partition, from, through } of fenced) {
        this.#terminal.note(
          `tailrace: partition ${partition} of topic ${topic} went to another member of group '${group}': offsets ${from} to ${through} will come again`,
        )
      }
    } catch (error) {
      if (!(error instanceof TailraceClientError) || !LEASE_IS_LOST.has(error.code)) throw error
      this.#terminal.note(`tailrace: ${error.message}: these records will come again`)
    }
  }

  async #keep(lease: string, done: AbortSignal): Promise<void> {
    for (;;) {
      await pause(EXTEND_MS, done)
      if (done.aborted) return
      // Whether it is lost the ack will say.
      await this.#client.extendLease(this.#options.group, lease, LEASE_MS).catch(() => {})
    }
  }

  #remedyOf(code: string): string {
    const { group, topic } = this.#options
    if (code !== 'offset_out_of_range') return ''
    return `; 'tailrace groups reset ${group} -t ${topic} --to latest --execute' puts the group at the end, --to earliest at the start`
  }

  #otherKind(error: TailraceClientError): Error {
    const { group, topic } = this.#options
    const command = `tailrace consume ${topic} -g ${group}`
    const { mode } = error.details
    const ways: Readonly<Record<string, string>> = {
      shared: `'${command} --shared' works at it`,
      exclusive: `'${command}' works in it`,
    }
    const way = ways[String(mode)]
    if (way === undefined) return error
    const message = `group '${group}' is ${mode}, and that for its life: ${way}; or use another group`
    return new CommandFailure(message, { cause: error })
  }

  /** undefined: a signal came. Only a first call fails when the server is not there. */
  async #patiently<Result>(call: () => Promise<Result>): Promise<Result | undefined> {
    for (let retryMs = RETRY_MS_MIN; !this.#signal.aborted; retryMs = Math.min(retryMs * 2, RETRY_MS_MAX)) {
      try {
        const result = await call()
        this.#wasAnswered = true
        return result
      } catch (error) {
        if (this.#signal.aborted) return undefined
        if (!(error instanceof TailraceClientError)) throw error
        if (error.code === 'inconsistent_group_protocol') throw this.#otherKind(error)
        const remedy = this.#remedyOf(error.code)
        if (remedy !== '') throw new CommandFailure(`${error.message}${remedy}`, { cause: error })
        if (!this.#wasAnswered || !error.retryable) throw error
        if (retryMs === RETRY_MS_MIN) this.#terminal.note(`tailrace: ${error.message}: waiting for the server`)
        await pause(retryMs, this.#signal)
      }
    }
    return undefined
  }
}

/** Somebody else has the records, or the server that knew of the lease has ended. */
const LEASE_IS_LOST: ReadonlySet<string> = new Set(['fenced_lease', 'unreachable', 'broken_off'])
