// Some room on the data directory's disk that is kept for the way out of a full one: a file of real bytes, which goes when
// a change that frees room, or the start itself, finds none. Without it a topic could not be deleted on a full disk,
// because that has to be written down first. Taken again when there is room.

import { rmSync, statSync } from 'node:fs'
import { rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Timer } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { DISK_RESERVE_RETRY_MS } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import { isDiskFull } from '../log/storage-failure.ts'

export interface DiskReserveOptions {
  readonly dataDir: string
  /** 0: none is kept. */
  readonly bytes: number
  readonly clock: Clock
  readonly logger: Logger
}

export class DiskReserve {
  readonly #options: DiskReserveOptions
  readonly #path: string
  #isHeld = false
  #isClosed = false
  #taking: Promise<void> | undefined
  #timer: Timer | undefined

  constructor(options: DiskReserveOptions) {
    this.#options = options
    this.#path = join(options.dataDir, 'reserve')
    this.#isHeld = options.bytes > 0 && allocatedBytes(this.#path) >= options.bytes
  }

  /** Makes the file if there is room for several of it; else tries again by the clock. */
  take(): Promise<void> {
    this.#taking ??= this.#take().finally(() => {
      this.#taking = undefined
    })
    return this.#taking
  }

  async #take(): Promise<void> {
    const { bytes, dataDir, clock } = this.#options
    if (bytes === 0 || this.#isHeld || this.#isClosed) return
    try {
      const { bavail, bsize } = await statfs(dataDir)
      if (bavail * bsize >= 4 * bytes) {
        await writeFile(this.#path, Buffer.alloc(bytes, 'reserve '), { mode: 0o640 })
        this.#isHeld = true
      }
    } catch {
      await rm(this.#path, { force: true }).catch(() => {})
    }
    if (this.#isHeld || this.#isClosed) return
    this.#timer?.cancel()
    this.#timer = clock.after(DISK_RESERVE_RETRY_MS, () => void this.take())
  }

  /** Does a piece of work; where there is no room for it, once more with the reserve's. */
  async withRoom<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work()
    } catch (error) {
      if (!isFull(error) || !this.#giveUp()) throw error
      return await work()
    }
  }

  /** False: there is none to give. */
  #giveUp(): boolean {
    if (!this.#isHeld) return false
    const { bytes, logger } = this.#options
    rmSync(this.#path, { force: true })
    this.#isHeld = false
    logger.warn({ bytes }, 'the disk is full: the room that was kept in reserve is used; delete topics or records')
    void this.take()
    return true
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#taking
  }
}

function isFull(error: unknown): boolean {
  return isDiskFull(error) || (error instanceof TailraceError && error.code === 'disk_full')
}

/** Bytes that are on the disk; a file that was cut by a crash or has holes is not worth its size. */
function allocatedBytes(path: string): number {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats === undefined ? 0 : Math.min(stats.size, stats.blocks * 512)
}
