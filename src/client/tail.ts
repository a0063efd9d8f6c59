// A tail: the records of topics from a position on, through what is stored and on to what is appended, page after page, over a
// WebSocket that is opened anew whenever it is lost. A new one goes on at the cursor of the last frame that came, so that
// nothing is missed and nothing comes twice. The server sends no more than the reader has room for: what is received and
// not yet taken is bounded, and credit goes back as pages are taken. Only the platform's WebSocket is used, so browsers run it.

import type { Clock } from '../kernel/clock.ts'
import {
  CLIENT_RETRY_MS_MAX,
  CLIENT_RETRY_MS_MIN,
  CLIENT_TAIL_BYTES_MAX,
  CLIENT_TAIL_RECORDS_MAX,
} from '../kernel/limits.ts'
import type { GroupPartition, PartitionFault, PartitionTarget, RecordGap } from './api.ts'
import { TailraceClientError } from './client-error.ts'
import type {
  AckedRecords,
  AssignedPartition,
  EndFrame,
  ErrorFrame,
  GapFrame,
  HelloFrame,
  OkFrame,
  ProgressFrame,
  RecordOutcome,
  TailCredit,
} from './frames.ts'
import type { RecordsFrame, ServerFrame, WebSocketClass } from './live-socket.ts'
import { errorOfFrame, LiveSocket } from './live-socket.ts'
import type { RawRecord } from './record-page.ts'
import type { TailOptions, TailSource } from './tail-request.ts'
import { checkTailOptions, subscribeFrame } from './tail-request.ts'

export interface TailPage {
  readonly records: readonly RawRecord[]
  /** Goes on after this page: `cursor:…` is a position. Of a work queue there is none. */
  readonly cursor: string
  /** Records that were removed, or dropped, before they were read. */
  readonly gaps: readonly RecordGap[]
  /** Partitions that cannot be read at present; each is told once, and the others go on. */
  readonly faults: readonly PartitionFault[]
  /** How things stand; the server says so at the end of what is there, and with each sign of life. */
  readonly progress?: TailProgress | undefined
  /** Of a group: read from now on, each from its position. */
  readonly assigned?: readonly AssignedPartition[] | undefined
  /** Of a group: read no more. Commit now what is done; they go to others when the reader comes back from this page. */
  readonly revoked?: readonly GroupPartition[] | undefined
}

export interface TailProgress {
  /** Everything that there was has been read. */
  readonly caughtUp: boolean
  /** Offsets that are still to be read. */
  readonly lag: number
  /** Since the connection was opened, like the counts below. */
  readonly scanned: number
  readonly matched: number
  readonly dropped: number
  readonly filterErrors: number
}

/** What a tail works with; client.tail() has it. */
export interface TailDependencies {
  readonly url: string
  readonly webSocket: WebSocketClass
  readonly clock: Clock
  /** From 0 to below 1. */
  readonly random: () => number
  /** Asks the server anything: whether it is there, and what is wrong if not. */
  readonly probe: (signal: AbortSignal | undefined) => Promise<unknown>
}

const SUB = 'tail'

/**
 * The first connection has to succeed; those after it are tried for as long as that makes sense. Iterating throws a
 * TailraceClientError for what no repeat would mend, and the signal's reason once that is aborted. Iterate it once.
 */
export class Tail implements AsyncIterable<TailPage> {
  readonly #dependencies: TailDependencies
  readonly #source: TailSource
  readonly #options: TailOptions
  /** Of a group: where it goes on is the server's to say. */
  readonly #isMember: boolean
  readonly #memberName: string | undefined
  #aheadMax: TailCredit
  /** Received, and not yet taken. */
  #pages: Received[] = []
  #gaps: RecordGap[] = []
  #faults: PartitionFault[] = []
  /** Goes on behind what was received. */
  #cursor: string | undefined
  #recordCount = 0
  /** Received, and the reader is not done with it. */
  #held = { records: 0, bytes: 0 }
  /** What the server may still send. */
  #credit = { records: 0, bytes: 0 }
  #over: { readonly failure?: unknown } | undefined
  #changed = Promise.withResolvers<void>()

  #socket: LiveSocket | undefined
  /** Of a group: what was given over an earlier one is no business of this one's. */
  #connectionCount = 0
  #wasAnswered = false
  /** Ends the present connection, or the pause before the next one. */
  #giveUp: (failure: TailraceClientError) => void = () => {}
  /** Connections since the last one that gave anything. */
  #attempt = 0
  #reconnectAfterMs = 0
  #lastError: TailraceClientError | undefined

  /** A TypeError for options that it does not know. */
  constructor(dependencies: TailDependencies, source: TailSource, options: TailOptions = {}) {
    checkTailOptions(options)
    this.#dependencies = dependencies
    this.#source = source
    this.#options = options
    const { group } = options
    this.#isMember = group !== undefined
    const named = typeof group === 'object' ? group.member : undefined
    this.#memberName = this.#isMember ? (named ?? `tail-${dependencies.random().toString(36).slice(2)}`) : undefined
    this.#aheadMax = options.aheadMax ?? { records: CLIENT_TAIL_RECORDS_MAX, bytes: CLIENT_TAIL_BYTES_MAX }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TailPage, void, undefined> {
    const { signal } = this.#options
    const abort = () => {
      this.#finish({ failure: signal?.reason })
      this.#giveUp(closed())
    }
    if (signal?.aborted) abort()
    else signal?.addEventListener('abort', abort, { once: true })
    const connected = this.#stayConnected().catch((failure: unknown) => this.#finish({ failure }))
    try {
      for (;;) {
        const received = this.#pages.shift()
        if (received !== undefined && !signal?.aborted) {
          yield received.page
          this.#free(received)
        } else if (this.#over === undefined) await this.#changed.promise
        else if ('failure' in this.#over) throw this.#over.failure
        else return
      }
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#finish({})
      this.#giveUp(closed())
      await connected
    }
  }

  /**
   * Of a group: makes durable that everything up to a page's cursor is done. illegal_generation where some of it is no
   * longer its own (the rest is committed); a lost connection is retryable, and what was not committed is given again.
   */
  async commit(cursor: string): Promise<void> {
    await this.#call({ type: 'commit', cursor })
  }

  /** Of a work queue: says what became of records, as GroupPartitions with an offset, or as they came. */
  async ack(outcome: RecordOutcome, records: readonly PartitionTarget[]): Promise<AckedRecords> {
    const named = records.map(({ topic, partition, offset }) => ({ topic, partition, offset }))
    const { type: _type, id: _id, sub: _sub, ...acked } = await this.#call({ type: 'ack', outcome, records: named })
    return acked
  }

  async #call(command: object): Promise<OkFrame> {
    if (this.#socket === undefined) throw closed()
    return await this.#socket.call({ ...command, sub: SUB })
  }

  async #stayConnected(): Promise<void> {
    while (this.#over === undefined) {
      const failure = await this.#connection()
      if (this.#over !== undefined) return
      if (!this.#wasAnswered) throw await this.#reasonOf(failure)
      if (!failure.retryable) throw failure
      const delayMs = this.#delayMs(failure)
      this.#options.onRetry?.(failure, delayMs)
      await this.#pause(delayMs)
    }
  }

  /** Resolves when it is lost, or of no use. */
  async #connection(): Promise<TailraceClientError> {
    const { url, webSocket, clock } = this.#dependencies
    const { promise, resolve } = Promise.withResolvers<TailraceClientError>()
    this.#giveUp = resolve
    const onFrame = (frame: ServerFrame) => this.#onFrame(frame)
    const socket = new LiveSocket({ url, webSocket, clock, onFrame, onLost: resolve })
    this.#socket = socket
    const failure = await promise
    this.#socket = undefined
    socket.close()
    return failure
  }

  /** A WebSocket does not say why it could not be opened: a call does. */
  async #reasonOf(failure: TailraceClientError): Promise<unknown> {
    if (failure.code !== 'broken_off') return failure
    try {
      await this.#dependencies.probe(this.#options.signal)
    } catch (reason) {
      return reason
    }
    const message = `${this.#dependencies.url} answers calls, but opens no WebSocket: is there something in between that does not let it through?`
    return new TailraceClientError({ status: 0, code: 'no_websocket', message, retryable: false, cause: failure })
  }

  /** Full jitter: clients that were cut off together do not come back together. */
  #delayMs({ retryAfterMs = 0 }: TailraceClientError): number {
    const askedMs = Math.max(retryAfterMs, this.#reconnectAfterMs)
    this.#reconnectAfterMs = 0
    const backoffMs = Math.min(CLIENT_RETRY_MS_MAX, CLIENT_RETRY_MS_MIN * 2 ** Math.min(this.#attempt++, 10))
    return askedMs + Math.floor(this.#dependencies.random() * backoffMs)
  }

  async #pause(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#giveUp = () => resolve()
    const timer = this.#dependencies.clock.after(delayMs, resolve)
    await promise
    timer.cancel()
  }

  #onFrame(frame: ServerFrame): void {
    switch (frame.type) {
      case 'hello':
        this.#subscribe(frame)
        break
      case 'records':
        this.#onRecords(frame)
        break
      case 'progress':
        this.#onProgress(frame)
        break
      case 'gap':
        this.#onGap(frame)
        break
      case 'draining':
        this.#reconnectAfterMs = frame.reconnect_after_ms
        break
      case 'error':
        this.#onError(frame)
        break
      case 'end':
        this.#onEnd(frame)
        break
      case 'assigned':
        this.#receive([], this.#cursor ?? '', 0, { assigned: frame.partitions })
        break
      case 'revoked':
        this.#receive([], this.#cursor ?? '', 0, { revoked: frame.partitions })
        break
      case 'ok':
      case 'pong':
    }
  }

  /** Of a partition alone; or of the tail, which ends with it. */
  #onError(frame: ErrorFrame): void {
    const { code, message, retryable, details = {} } = frame
    const { topic, partition } = details
    this.#lastError = errorOfFrame(frame)
    if (typeof topic === 'string' && typeof partition === 'number') {
      this.#faults.push({ topic, partition, error: { code, detail: message, retryable, details } })
    } else this.#giveUp(this.#lastError)
  }

  #onEnd({ reason, cursor = this.#cursor }: EndFrame): void {
    // it was a partition's, and is the tail's
    if (reason === 'error') this.#faults.pop()
    if (this.#gaps.length + this.#faults.length > 0) this.#receive([], cursor ?? '', 0)
    if (reason === 'until') this.#finish({})
    else if (reason === 'error' && this.#lastError !== undefined) this.#giveUp(this.#lastError)
    else this.#finish({ failure: endedBy(reason) })
  }

  #subscribe(hello: HelloFrame): void {
    const onOk = ({ cursor }: OkFrame) => {
      this.#wasAnswered = true
      this.#cursor ??= cursor
    }
    // what was held back for the next page comes again
    this.#gaps = []
    this.#faults = []
    if (this.#isMember) this.#forget()
    const { from, until } = this.#options
    const frame = subscribeFrame(SUB, this.#source, this.#options, {
      from: this.#isMember ? from : this.#cursor === undefined ? (from ?? 'latest') : `cursor:${this.#cursor}`,
      until: typeof until === 'object' ? { count: until.count - this.#recordCount } : until,
      member: this.#memberName,
      credit: this.#firstCredit(hello.limits),
    })
    this.#socket?.call(frame).then(onOk, (failure) => this.#giveUp(failure))
  }

  /** What nobody took comes again, from where the group has committed. */
  #forget(): void {
    for (const { page } of this.#pages) this.#recordCount -= page.records.length
    this.#pages = []
    this.#held = { records: 0, bytes: 0 }
    this.#connectionCount++
  }

  /** The reader's room, as far as the server goes. */
  #firstCredit({ credit_records, credit_bytes }: HelloFrame['limits']): TailCredit {
    const { records, bytes } = this.#aheadMax
    this.#aheadMax = { records: Math.min(records, credit_records), bytes: Math.min(bytes, credit_bytes) }
    this.#credit = { records: 0, bytes: 0 }
    const room = this.#room()
    this.#credit = { records: Math.max(1, room.records), bytes: Math.max(1, room.bytes) }
    return this.#credit
  }

  /** What the server could be allowed beyond what it is. */
  #room(): TailCredit {
    return {
      records: this.#aheadMax.records - this.#held.records - this.#credit.records,
      bytes: this.#aheadMax.bytes - this.#held.bytes - this.#credit.bytes,
    }
  }

  #onRecords({ records, cursor, byteCount }: RecordsFrame): void {
    const { until } = this.#options
    this.#recordCount += records.length
    this.#credit.records -= records.length
    this.#credit.bytes -= byteCount
    this.#receive(records, cursor, byteCount)
    if (typeof until === 'object' && this.#recordCount >= until.count) this.#finish({})
  }

  #onGap({ topic, partition, from, to, reason }: GapFrame): void {
    this.#gaps.push({ topic, partition, from, to, reason })
  }

  #onProgress(frame: ProgressFrame): void {
    // a work queue has no place
    if (frame.cursor === undefined) return
    const { caught_up: caughtUp, filter_errors: filterErrors, lag, scanned, matched, dropped } = frame
    // Of those that nobody has taken yet the last one says it all.
    const last = this.#pages.at(-1)?.page
    if (last?.progress !== undefined && last.gaps.length + last.faults.length === 0) this.#pages.pop()
    const progress = { caughtUp, lag, scanned, matched, dropped, filterErrors }
    this.#receive([], frame.cursor, 0, { progress })
  }

  /** Gaps and faults come with what follows them: its cursor lies behind them. */
  #receive(records: readonly RawRecord[], cursor: string, byteCount: number, more: Partial<TailPage> = {}): void {
    this.#attempt = 0
    this.#cursor = cursor
    this.#held.records += records.length
    this.#held.bytes += byteCount
    const page = { records, cursor, gaps: this.#gaps, faults: this.#faults, ...more }
    this.#pages.push({ page, byteCount, connection: this.#connectionCount })
    this.#gaps = []
    this.#faults = []
    this.#tell()
  }

  /**
   * A free tail's server is told in large pieces: a reader that keeps up leaves it half of the credit at any time. A member's
   * is told at once, for what there is new credit for is done.
   */
  #free({ page, byteCount, connection }: Received): void {
    if (connection !== this.#connectionCount) return
    this.#held.records -= page.records.length
    this.#held.bytes -= byteCount
    const { records, bytes } = this.#room()
    const least = (max: number) => (this.#isMember ? 1 : max / 2)
    if (records >= least(this.#aheadMax.records) || bytes >= least(this.#aheadMax.bytes)) {
      const more = { records: Math.max(0, records), bytes: Math.max(0, bytes) }
      this.#credit.records += more.records
      this.#credit.bytes += more.bytes
      if (this.#over === undefined || this.#isMember) this.#socket?.send({ type: 'credit', sub: SUB, ...more })
    }
    if (page.revoked !== undefined) this.#socket?.send({ type: 'release', sub: SUB })
  }

  #finish(over: { readonly failure?: unknown }): void {
    if (this.#over !== undefined) return
    this.#over = over
    this.#tell()
  }

  #tell(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}

interface Received {
  readonly page: TailPage
  readonly byteCount: number
  readonly connection: number
}

function closed(): TailraceClientError {
  return new TailraceClientError({ status: 0, code: 'closed', message: 'the tail is closed', retryable: false })
}

function endedBy(reason: string): TailraceClientError {
  return new TailraceClientError({
    status: reason === 'topic_deleted' ? 404 : 0,
    code: reason === 'topic_deleted' ? 'unknown_topic_or_partition' : reason,
    message: reason === 'topic_deleted' ? 'the topic was deleted' : `the server ended the tail: ${reason}`,
    retryable: false,
  })
}
