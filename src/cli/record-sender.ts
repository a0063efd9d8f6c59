// Gathers records into produce requests: while one is under way the next is gathered, so that a fast input makes full
// requests and a slow one waits for nothing. One request at a time, which keeps the order of the records. The first
// failure ends it: what comes after might need what came before.

import type { ProduceResponse } from '../client/api.ts'
import { TailraceClientError } from '../client/client-error.ts'
import { CommandFailure, exitCodeOf } from './command-failure.ts'

export interface SenderOptions {
  /** Sends a produce body. */
  readonly send: (body: string) => Promise<ProduceResponse>
  readonly recordsMax: number
  readonly onProduced?: (response: ProduceResponse) => Promise<void>
}

/** A request is sent when it has this much text, even if it could have more records. */
const REQUEST_CHARS_MAX = 1024 * 1024

interface Gathered {
  readonly records: string[]
  /** Where each came from, for people. */
  readonly places: string[]
  chars: number
}

export class RecordSender {
  readonly #options: SenderOptions
  readonly #failed: Promise<never>
  #fail!: (error: unknown) => void
  #failure: unknown
  #gathered = emptyGathered()
  #underWay: Promise<void> | undefined
  #inputPauses = false
  #producedCount = 0

  constructor(options: SenderOptions) {
    this.#options = options
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    // Whoever waits for input sees it; it must not count as unhandled when nobody does.
    this.#failed.catch(() => {})
  }

  /** Rejects when a request has failed; never resolves. */
  get failed(): Promise<never> {
    return this.#failed
  }

  get producedCount(): number {
    return this.#producedCount
  }

  /** undefined: more can be added at once. */
  add(record: string, place: string): Promise<void> | undefined {
    const gathered = this.#gathered
    gathered.records.push(record)
    gathered.places.push(place)
    gathered.chars += record.length
    this.#inputPauses = false
    if (gathered.records.length < this.#options.recordsMax && gathered.chars < REQUEST_CHARS_MAX) return undefined
    return this.#sendWhenFree()
  }

  /** What is gathered goes as soon as nothing is under way. */
  flushSoon(): void {
    this.#inputPauses = true
    if (this.#underWay === undefined) this.#start()
  }

  /** Resolves when all is produced. */
  async finish(): Promise<void> {
    await this.#sendWhenFree()
    await this.#underWay
    if (this.#failure !== undefined) throw this.#failure
  }

  /** A line could not be taken: those before it go in, and the failure tells how many did. */
  async finishBefore(failure: unknown): Promise<unknown> {
    await this.finish()
    if (!(failure instanceof CommandFailure)) return failure
    const message = `${failure.message} (${countText(this.#producedCount)})`
    return new CommandFailure(message, { exitCode: failure.exitCode, cause: failure })
  }

  async #sendWhenFree(): Promise<void> {
    await this.#underWay
    if (this.#failure !== undefined) throw this.#failure
    this.#start()
  }

  #start(): void {
    const gathered = this.#gathered
    if (gathered.records.length === 0 || this.#failure !== undefined) return
    this.#gathered = emptyGathered()
    this.#underWay = this.#send(gathered).then(
      () => this.#sent(),
      (error) => {
        this.#failure = error
        this.#fail(error)
      },
    )
  }

  #sent(): void {
    this.#underWay = undefined
    if (this.#inputPauses) this.#start()
  }

  async #send({ records, places }: Gathered): Promise<void> {
    let response: ProduceResponse
    try {
      response = await this.#options.send(`{"records":[${records.join(',')}]}`)
    } catch (error) {
      throw this.#placed(error, places)
    }
    this.#producedCount += records.length
    await this.#options.onProduced?.(response)
  }

  /** The failure, told with the line that it names and with what went in before. */
  #placed(error: unknown, places: readonly string[]): unknown {
    if (!(error instanceof TailraceClientError)) return error
    const { index } = error.details
    const place = typeof index === 'number' ? places[index] : undefined
    const where = place === undefined ? '' : `${place}: `
    const range = places.length > 1 ? `${places[0]} to ${places.at(-1)}` : places[0]
    const stored = `${countText(this.#producedCount)}, none of ${range}`
    const message = `${where}${error.message} (${error.code}; ${stored})`
    return new CommandFailure(message, { exitCode: exitCodeOf(error), cause: error })
  }
}

function countText(count: number): string {
  return count === 1 ? '1 record was produced' : `${count} records were produced`
}

function emptyGathered(): Gathered {
  return { records: [], places: [], chars: 0 }
}
