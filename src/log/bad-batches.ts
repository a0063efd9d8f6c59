// The bad batches that were met in one open partition, by readers or by compaction: each is told once, in a log line that
// says what to do, and stands in the partition's description while its offsets can be asked for. Nobody looks for them:
// what no one reads shows when it is read, or by `dump-log --verify`.

import { dirname } from 'node:path'
import { TailraceError } from '../kernel/errors.ts'
import { BAD_BATCHES_TOLD_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'

interface Place {
  /** The partition's folder. */
  readonly name: string
  readonly directory: string
  readonly logger: Logger
  readonly telemetry: Telemetry
}

export class BadBatches {
  readonly #place: Place
  /** By file and position. */
  readonly #met = new Map<string, TailraceError>()

  constructor(place: Place) {
    this.#place = place
  }

  /** Answers the error for who asked: with what to do about it. */
  note(error: TailraceError): TailraceError {
    const key = `${error.details['file']} ${error.details['position']}`
    const known = this.#met.get(key)
    if (known !== undefined) return known.details['next_offset'] === undefined ? this.#keep(key, error) : known
    const told = this.#keep(key, error)
    if (!this.#met.has(key)) return told
    const { name, logger, telemetry } = this.#place
    telemetry.badBatches++
    logger.error({ partition: name, ...error.details }, told.message)
    return told
  }

  #keep(key: string, error: TailraceError): TailraceError {
    const { message, details } = error
    const told = new TailraceError('corrupt_message', `${message}; ${repairAdvice(this.#place.directory)}`, details, {
      cause: error,
    })
    if (this.#met.has(key) || this.#met.size < BAD_BATCHES_TOLD_MAX) this.#met.set(key, told)
    return told
  }

  /** The first that was met of those whose offsets are not all deleted. */
  firstFrom(logStartOffset: number): TailraceError | undefined {
    for (const error of this.#met.values()) if (behindOf(error) > logStartOffset) return error
    return undefined
  }
}

/** The offset behind a bad batch, as far as that is known. */
function behindOf({ details }: TailraceError): number {
  const { offset, next_offset: next } = details
  if (typeof next === 'number') return next
  return typeof offset === 'number' && offset >= 0 ? offset + 1 : Infinity
}

/** `directory` is a partition's folder: repair takes the whole data directory. */
export function repairAdvice(directory: string): string {
  return `stop the server, then mend with 'tailrace dump-log ${dirname(dirname(directory))} --repair --yes'`
}
