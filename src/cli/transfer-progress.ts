// How far an export or import is, on a terminal: bytes so far, and how fast they go.

import { foregroundClock } from '../kernel/clock.ts'
import type { Terminal } from './terminal.ts'

const PROGRESS_MS = 200

/** Bytes that went through, a few times a second. */
export class TransferProgress {
  readonly #terminal: Terminal
  readonly #totalBytes: number | undefined
  readonly #startedAt = foregroundClock.monotonic()
  #shownAt = 0
  #bytes = 0

  constructor(terminal: Terminal, totalBytes?: number) {
    this.#terminal = terminal
    this.#totalBytes = totalBytes
  }

  add(bytes: number): void {
    this.#bytes += bytes
    const now = foregroundClock.monotonic()
    if (!this.#terminal.progressIsShown || now - this.#shownAt < PROGRESS_MS) return
    this.#shownAt = now
    const megabytes = this.#bytes / 1e6
    const rate = (megabytes * 1000) / Math.max(1, now - this.#startedAt)
    const share = this.#totalBytes ? ` (${Math.floor((100 * this.#bytes) / this.#totalBytes)} %)` : ''
    this.#terminal.progress(`${megabytes.toFixed(1)} MB${share}, ${rate.toFixed(1)} MB/s`)
  }
}
