// What is known of one partition while the server runs, shared by the side that writes it (log-appender.ts) and the side
// that reads it (partition-log.ts). Plain state: whoever changes it says why it may.

import { TailraceError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { NO_LOG } from './log-index.ts'
import type { Segment } from './log-segment.ts'
import type { ProducerEntry } from './producer-state.ts'

export interface PartitionStateOptions {
  /** Names the partition in messages: `orders-3`. */
  readonly name: string
  readonly logger: Logger
  readonly telemetry: Telemetry
  readonly logStartOffset: number
}

export class PartitionState {
  readonly name: string
  readonly #logger: Logger
  readonly #telemetry: Telemetry

  isOpen = false
  isClosed = false
  /** Set once, until the server is started again. */
  offline: TailraceError | undefined

  logId = NO_LOG
  /** Ascending; the last one is written. */
  segments: Segment[] = []
  logStartOffset: number
  highWatermark = 0
  sizeBytes = 0
  /** The next offset to give out; ahead of the high watermark while a stretch is under way. */
  nextOffset = 0
  producers = new Map<bigint, ProducerEntry>()
  /** All in front of it was compacted once; 0: not known. */
  firstDirtyOffset = 0
  #maintaining: Promise<unknown> | undefined

  constructor({ name, logger, telemetry, logStartOffset }: PartitionStateOptions) {
    this.name = name
    this.#logger = logger
    this.#telemetry = telemetry
    this.logStartOffset = logStartOffset
  }

  /** Retention and compaction both change the list of closed segments: one of them at a time. undefined: the other is at it. */
  maintain<Result>(work: () => Promise<Result>): Promise<Result> | undefined {
    if (this.#maintaining !== undefined) return undefined
    const done = work().finally(() => {
      this.#maintaining = undefined
    })
    this.#maintaining = done.catch(() => undefined)
    return done
  }

  /** What maintains the log has come to its end. */
  async maintained(): Promise<void> {
    await this.#maintaining
  }

  closedError(): TailraceError {
    return new TailraceError('shutting_down', `the log of ${this.name} is closed`)
  }

  goOffline(what: string, cause: unknown): TailraceError {
    const reason = cause instanceof TailraceError ? cause.message : `${what}: ${(cause as Error).message}`
    const error = new TailraceError(
      'kafka_storage_error',
      `partition ${this.name} is offline until the server is started again: ${reason}`,
      { partition: this.name },
      { cause },
    )
    this.offline = error
    this.#telemetry.partitionsFailed++
    this.#logger.error({ err: cause, partition: this.name }, error.message)
    return error
  }
}
