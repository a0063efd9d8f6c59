// A tail: the records of topics from a position on, through what is stored and on to what is appended, page after page, over a
// WebSocket that is opened anew whenever it is lost. A new one goes on at the cursor of the last frame that came, so that
// nothing is missed and nothing comes twice. The server sends no more than the reader has room for: what is received and
// not yet taken is bounded, and credit goes back as pages are taken. Only the platform's WebSocket is used, so browsers run it.

import type { Clock } from '../kernel/clock.ts'
import { CLIENT_TAIL_BYTES_MAX, CLIENT_TAIL_RECORDS_MAX } from '../kernel/limits.ts'
import type {
  EndFrame,
  ErrorFrame,
  GapFrame,
  HelloFrame,
  OkFrame,
  PartitionFault,
  ProgressFrame,
  RecordGap,
  SubscribeFrame,
  TailCredit,
  TailFilter,
  TailOverflow,
  TailUntil,
} from './api.ts'
import { TailraceClientError } from './client-error.ts'
import type { RecordsFrame, ServerFrame, WebSocketClass } from './live-socket.ts'
import { errorOfFrame, LiveSocket } from './live-socket.ts'
import type { RawRecord } from './record-page.ts'

export type TailSource = string | readonly string[] | { readonly pattern: string }

export interface TailOptions {
  /** Where to begin, in the server's position grammar; latest by default. */
  readonly from?: string | undefined
  readonly until?: TailUntil | undefined
  /** Of each topic. */
  readonly partitions?: readonly number[] | undefined
  readonly key?: string | undefined
  /** Each as name:value; a record must have them all. */
  readonly headers?: readonly string[] | undefined
  /** An expression in CEL. */
  readonly filter?: string | undefined
  readonly keyFormat?: string | undefined
  readonly valueFormat?: string | undefined
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

export interface TailPage {
  readonly records: readonly RawRecord[]
  /** Goes on after this page: `cursor:…` is a position. */
  readonly cursor: string
  /** Records that were removed, or dropped, before they were read. */
  readonly gaps: readonly RecordGap[]
  /** Partitions that cannot be read at present; each is told once, and the others go on. */
  readonly faults: readonly PartitionFault[]
  /** How things stand; the server says so at the end of what is there, and with each sign of life. */
  readonly progress?: TailProgress | undefined
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

const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 30_000
const SUB = 'tail'

/**
 * The first connection has to succeed; those after it are tried for as long as that makes sense. Iterating throws a
 * TailraceClientError for what no repeat would mend, and the signal's reason once that is aborted. Iterate it once.
 */
export class Tail implements AsyncIterable<TailPage> {
  readonly #dependencies: TailDependencies
  readonly #source: TailSource
  readonly #options: TailOptions
  #aheadMax: TailCredit
  /** Received, and not yet taken. */
  readonly #pages: Received[] = []
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
  #wasAnswered = false
  /** Ends the present connection, or the pause before the next one. */
  #giveUp: (failure: TailraceClientError) => void = () => {}
  /** Connections since the last one that gave anything. */
  #attempt = 0
  #reconnectAfterMs = 0
  #lastError: TailraceClientError | undefined

  constructor(dependencies: TailDependencies, source: TailSource, options: TailOptions = {}) {
    this.#dependencies = dependencies
    this.#source = source
    this.#options = options
    this.#aheadMax = options.aheadMax ?? { records: CLIENT_TAIL_RECORDS_MAX, bytes: CLIENT_TAIL_BYTES_MAX }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TailPage, void, undefined> {
    const { signal } = this.#options
    const abort = () => this.#finish({ failure: signal?.reason })
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
      await connected
    }
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
    const backoffMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(this.#attempt++, 10))
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
    this.#socket?.call(this.#subscription(hello)).then(onOk, (failure) => this.#giveUp(failure))
  }

  #subscription({ limits }: HelloFrame): SubscribeFrame {
    const { from = 'latest', until, keyFormat, valueFormat, onGap = 'earliest', overflow } = this.#options
    const source = this.#source
    const topics = typeof source === 'string' ? [source] : 'pattern' in source ? undefined : source
    const { partitions } = this.#options
    return {
      type: 'subscribe',
      sub: SUB,
      topics,
      pattern: typeof source === 'object' && 'pattern' in source ? source.pattern : undefined,
      partitions: partitions && topics?.flatMap((topic) => partitions.map((partition) => ({ topic, partition }))),
      from: this.#cursor === undefined ? from : `cursor:${this.#cursor}`,
      until: typeof until === 'object' ? { count: until.count - this.#recordCount } : until,
      filter: filterOf(this.#options),
      key_format: keyFormat,
      value_format: valueFormat,
      on_gap: onGap,
      overflow,
      credit: this.#firstCredit(limits),
    }
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
    const { caught_up: caughtUp, filter_errors: filterErrors, lag, scanned, matched, dropped } = frame
    // Of those that nobody has taken yet the last one says it all.
    const last = this.#pages.at(-1)?.page
    if (last?.progress !== undefined && last.gaps.length + last.faults.length === 0) this.#pages.pop()
    this.#receive([], frame.cursor, 0, { caughtUp, lag, scanned, matched, dropped, filterErrors })
  }

  /** Gaps and faults come with what follows them: its cursor lies behind them. */
  #receive(records: readonly RawRecord[], cursor: string, byteCount: number, progress?: TailProgress): void {
    this.#attempt = 0
    this.#cursor = cursor
    this.#held.records += records.length
    this.#held.bytes += byteCount
    this.#pages.push({ page: { records, cursor, gaps: this.#gaps, faults: this.#faults, progress }, byteCount })
    this.#gaps = []
    this.#faults = []
    this.#tell()
  }

  /** The server is told in large pieces: a reader that keeps up leaves it half of the credit at any time. */
  #free({ page, byteCount }: Received): void {
    this.#held.records -= page.records.length
    this.#held.bytes -= byteCount
    const { records, bytes } = this.#room()
    if (records * 2 < this.#aheadMax.records && bytes * 2 < this.#aheadMax.bytes) return
    this.#credit.records += Math.max(0, records)
    this.#credit.bytes += Math.max(0, bytes)
    this.#socket?.send({ type: 'credit', sub: SUB, records: Math.max(0, records), bytes: Math.max(0, bytes) })
  }

  #finish(over: { readonly failure?: unknown }): void {
    if (this.#over !== undefined) return
    this.#over = over
    this.#giveUp(
      new TailraceClientError({ status: 0, code: 'closed', message: 'the tail is closed', retryable: false }),
    )
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
}

function filterOf({ key, headers, filter }: TailOptions): TailFilter | undefined {
  if (key === undefined && headers === undefined && filter === undefined) return undefined
  const named = headers?.map((header) => {
    const colon = header.indexOf(':')
    return [header.slice(0, colon), header.slice(colon + 1)] as const
  })
  return { key, headers: named && Object.fromEntries(named), expr: filter }
}

function endedBy(reason: string): TailraceClientError {
  return new TailraceClientError({
    status: reason === 'topic_deleted' ? 404 : 0,
    code: reason === 'topic_deleted' ? 'unknown_topic_or_partition' : reason,
    message: reason === 'topic_deleted' ? 'the topic was deleted' : `the server ended the tail: ${reason}`,
    retryable: false,
  })
}
