// Segment files that were renamed to `.deleted` and are unlinked after file.delete.delay.ms, over all partitions of a data
// directory: one timer. What a crash leaves of them the next opening of the partition removes (log-recovery.ts); what a
// stop leaves is noted.

import { dirname } from 'node:path'
import type { Clock, Timer } from '../kernel/clock.ts'
import { DELETED_FILES_CLOSE_MS_MAX, DELETED_FILES_WAITING_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import type { SegmentDisk } from './segment-file.ts'

export const DELETED_SUFFIX = '.deleted'

export interface DeletedFilesOptions {
  readonly disk: SegmentDisk
  readonly clock: Clock
  readonly logger: Logger
}

interface WaitingFile {
  readonly path: string
  /** Monotonic ms. */
  readonly dueMs: number
}

/** After a failure. */
const RETRY_MS = 60_000

export class DeletedFiles {
  readonly #options: DeletedFilesOptions
  #waiting: WaitingFile[] = []
  #timer: Timer | undefined
  #timerDueMs = Infinity
  #removing: Promise<void> | undefined
  #closeByMs = Infinity

  constructor(options: DeletedFilesOptions) {
    this.#options = options
  }

  /** Without a delay the file is gone when this resolves, if the disk lets it go; never rejects. */
  async remove(path: string, delayMs: number): Promise<void> {
    if (delayMs <= 0) return this.#unlink(path)
    this.#wait(path, delayMs)
    const early = this.#waiting.length > DELETED_FILES_WAITING_MAX ? this.#waiting.shift() : undefined
    if (early !== undefined) await this.#unlink(early.path)
  }

  /** The folder goes as a whole, and another may take its name. */
  forgetFolder(directory: string): void {
    this.#waiting = this.#waiting.filter(({ path }) => dirname(path) !== directory)
  }

  /** Nobody reads any more: what waits goes now. Answers what is left, which the next start has to remove. */
  async close(): Promise<readonly string[]> {
    this.#closeByMs = this.#options.clock.monotonic() + DELETED_FILES_CLOSE_MS_MAX
    await this.#removing
    await this.#removeWhere(() => true)
    this.#timer?.cancel()
    return this.#waiting.map(({ path }) => path)
  }

  #wait(path: string, delayMs: number): void {
    const dueMs = this.#options.clock.monotonic() + delayMs
    this.#waiting.push({ path, dueMs })
    this.#wakeAt(dueMs)
  }

  #wakeAt(dueMs: number): void {
    if (dueMs >= this.#timerDueMs) return
    this.#timer?.cancel()
    this.#timerDueMs = dueMs
    // a longer one fires when it can, and is set anew
    const delayMs = Math.min(dueMs - this.#options.clock.monotonic(), TIMER_MS_MAX)
    this.#timer = this.#options.clock.after(Math.max(0, delayMs), () => this.#fire())
  }

  #fire(): void {
    this.#timerDueMs = Infinity
    const now = this.#options.clock.monotonic()
    this.#removing ??= this.#removeWhere(({ dueMs }) => dueMs <= now).finally(() => {
      this.#removing = undefined
      this.#wakeAt(this.#waiting.reduce((earliest, { dueMs }) => Math.min(earliest, dueMs), Infinity))
    })
  }

  /** One after the other: unlinking a large file keeps a disk busy. */
  async #removeWhere(isDue: (file: WaitingFile) => boolean): Promise<void> {
    const due = this.#waiting.filter(isDue)
    this.#waiting = this.#waiting.filter((file) => !isDue(file))
    for (const [at, { path }] of due.entries()) {
      if (this.#options.clock.monotonic() > this.#closeByMs) {
        this.#waiting.push(...due.slice(at))
        return
      }
      await this.#unlink(path)
    }
  }

  async #unlink(path: string): Promise<void> {
    try {
      await this.#options.disk.remove(path)
    } catch (error) {
      this.#options.logger.warn(
        { err: error, file: path },
        'a deleted segment file cannot be removed; it is tried again',
      )
      this.#wait(path, RETRY_MS)
    }
  }
}

/** Node's timers take an int32. */
const TIMER_MS_MAX = 2 ** 31 - 1
