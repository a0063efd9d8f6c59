// A7: the port through which everything in a data directory's `topics` folder reaches a disk, and its implementation on
// a real one. The second implementation (test/support/power-cut-disk.ts) forgets what was not synced. What must hold:
// bytes are durable only after sync(); a new name, a rename or a removal only after syncDirectory() of its folder.

import fs from 'node:fs'
import { dirname } from 'node:path'
import { FOLDER_CALLS_AT_ONCE_MAX } from '../kernel/limits.ts'
import { Slots } from '../kernel/slots.ts'

export interface SegmentFile {
  /** Writes all bytes at a position, or fails; a failed write may have written a part. */
  write(buffers: readonly Buffer[], position: number): Promise<void>
  /** fdatasync: bytes and length. */
  sync(): Promise<void>
  /** Fills the buffer from a position as far as the file goes; answers the bytes read. */
  read(buffer: Buffer, position: number): Promise<number>
  truncate(sizeBytes: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

export interface SegmentDisk {
  /** Opens for reading and writing; a missing file is made when create is set, else it is an error. */
  open(path: string, create: boolean): Promise<SegmentFile>
  /** Names in a folder; an absent folder has none. */
  list(directory: string): Promise<string[]>
  /** Its bytes are the caller's own; undefined when there is no such file. */
  readFile(path: string): Promise<Buffer | undefined>
  /** A small file, whole or not at all: written aside, synced, renamed, its folder synced. */
  writeFileDurably(path: string, bytes: Buffer): Promise<void>
  /** Makes a folder durable, together with its name in the parent. */
  makeDirectory(path: string): Promise<void>
  syncDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** A file, or a folder with all that is in it; absent is fine. */
  remove(path: string): Promise<void>
  /** What the process may still allot on the disk that a folder is on. */
  freeBytes(directory: string): Promise<number>
}

/** At most this many buffers go into one writev (IOV_MAX is 1,024 on Linux). */
const BUFFERS_PER_WRITE_MAX = 1_000

/**
 * Up to this many bytes are written and read on the event loop: between here and the page cache they go in some
 * microseconds, a trip to a thread and back costs several times that. The sync that follows each write keeps what the
 * cache holds dirty small, so that such a write does not wait; readers are mostly where others have just read or written.
 * Calls that did wait for the disk send the file's next ones to a thread: two soon after each other, for one alone may have
 * waited for a core, which a busy machine does often and a thread makes no better.
 */
const DIRECT_WRITE_BYTES_MAX = 64 * 1024
const DIRECT_READ_BYTES_MAX = 256 * 1024
const SLOW_MS = 2
const SLOW_AGAIN_CALLS_MAX = 50
const THREAD_CALLS_AFTER_SLOW = 1_000

class DiskFile implements SegmentFile {
  readonly #descriptor: number
  #closed = false
  #threadCallsLeft = 0
  #callsSinceSlow = Number.POSITIVE_INFINITY

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  async write(buffers: readonly Buffer[], position: number): Promise<void> {
    let total = 0
    for (const buffer of buffers) total += buffer.length
    const direct = total <= DIRECT_WRITE_BYTES_MAX && this.#mayWait()
    if (direct && this.#writeDirectly(buffers, position) === total) return
    let at = position
    for (let first = 0; first < buffers.length; first += BUFFERS_PER_WRITE_MAX) {
      at += await this.#writeAll(buffers.slice(first, first + BUFFERS_PER_WRITE_MAX), at)
    }
  }

  /** Answers the bytes written; fewer than all are written again by the caller, which then learns why. */
  #writeDirectly(buffers: readonly Buffer[], position: number): number {
    const started = performance.now()
    const only = buffers[0]
    const written =
      buffers.length === 1 && only !== undefined
        ? fs.writeSync(this.#descriptor, only, 0, only.length, position)
        : fs.writevSync(this.#descriptor, buffers.slice(0, BUFFERS_PER_WRITE_MAX), position)
    this.#noteDuration(started)
    return written
  }

  /** Whether the event loop may do the next call itself. */
  #mayWait(): boolean {
    if (this.#threadCallsLeft === 0) return true
    this.#threadCallsLeft--
    return false
  }

  #noteDuration(started: number): void {
    this.#callsSinceSlow++
    if (performance.now() - started <= SLOW_MS) return
    if (this.#callsSinceSlow <= SLOW_AGAIN_CALLS_MAX) this.#threadCallsLeft = THREAD_CALLS_AFTER_SLOW
    this.#callsSinceSlow = 0
  }

  async #writeAll(buffers: Buffer[], position: number): Promise<number> {
    let total = 0
    for (const buffer of buffers) total += buffer.length
    let written = await this.#writev(buffers, position)
    if (written < total) {
      const rest = Buffer.concat(buffers)
      while (written < total) written += await this.#writev([rest.subarray(written)], position + written)
    }
    return total
  }

  #writev(buffers: Buffer[], position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const done = (error: Error | null, bytes: number) => {
        if (error) reject(error)
        else if (bytes === 0) reject(new Error('the disk took no bytes'))
        else resolve(bytes)
      }
      const only = buffers[0]
      if (buffers.length === 1 && only !== undefined) fs.write(this.#descriptor, only, 0, only.length, position, done)
      else fs.writev(this.#descriptor, buffers, position, done)
    })
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#descriptor, (error) => (error ? reject(error) : resolve()))
    })
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    let filled = 0
    if (buffer.length <= DIRECT_READ_BYTES_MAX && this.#mayWait()) {
      const started = performance.now()
      filled = fs.readSync(this.#descriptor, buffer, 0, buffer.length, position)
      this.#noteDuration(started)
      if (filled === buffer.length) return filled
    }
    while (filled < buffer.length) {
      const bytes = await this.#readOnce(buffer, filled, position + filled)
      if (bytes === 0) break
      filled += bytes
    }
    return filled
  }

  #readOnce(buffer: Buffer, offset: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.#descriptor, buffer, offset, buffer.length - offset, position, (error, bytes) =>
        error ? reject(error) : resolve(bytes),
      )
    })
  }

  truncate(sizeBytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.ftruncate(this.#descriptor, sizeBytes, (error) => (error ? reject(error) : resolve()))
    })
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#descriptor, (error, stats) => (error ? reject(error) : resolve(stats.size)))
    })
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    return new Promise((resolve, reject) => {
      fs.close(this.#descriptor, (error) => (error ? reject(error) : resolve()))
    })
  }
}

function open(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, 0o640, (error, descriptor) => (error ? reject(error) : resolve(descriptor)))
  })
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writeFileDurably(path: string, bytes: Buffer): Promise<void> {
  const aside = `${path}.new`
  const handle = await fs.promises.open(aside, 'w', 0o640)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await fs.promises.rename(aside, path)
  await syncDirectory(dirname(path))
}

/**
 * Calls that open a descriptor of their own for a moment. More at once than Node has threads for them bring nothing, and
 * ten thousand partitions that are made at once would leave none to others. The threads are the process's, and so is this.
 */
const folderCalls = new Slots(FOLDER_CALLS_AT_ONCE_MAX)

export const realDisk: SegmentDisk = {
  async open(path, create) {
    return new DiskFile(await open(path, fs.constants.O_RDWR | (create ? fs.constants.O_CREAT : 0)))
  },

  list: (directory) =>
    folderCalls.run(async () => {
      try {
        return await fs.promises.readdir(directory)
      } catch (error) {
        if (isAbsent(error)) return []
        throw error
      }
    }),

  readFile: (path) =>
    folderCalls.run(async () => {
      try {
        return await fs.promises.readFile(path)
      } catch (error) {
        if (isAbsent(error)) return undefined
        throw error
      }
    }),

  writeFileDurably: (path, bytes) => folderCalls.run(() => writeFileDurably(path, bytes)),

  makeDirectory: (path) =>
    folderCalls.run(async () => {
      await fs.promises.mkdir(path, { recursive: true, mode: 0o750 })
      await syncDirectory(dirname(path))
    }),

  syncDirectory: (path) => folderCalls.run(() => syncDirectory(path)),

  rename: (from, to) => fs.promises.rename(from, to),

  remove: (path) => folderCalls.run(() => fs.promises.rm(path, { recursive: true, force: true })),

  async freeBytes(directory) {
    const { bavail, bsize } = await fs.promises.statfs(directory)
    return bavail * bsize
  },
}
