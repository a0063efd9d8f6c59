// The segment files' port on a disk that can lose its power: what was not synced is forgotten, kept or torn sector by
// sector, a name that was not synced with its folder may be gone, a rename or removal may not have happened. Everything
// is in memory. A kill of the process alone (cut() with 'process') loses nothing that was written.

import { basename, dirname } from 'node:path'
import type { SegmentDisk, SegmentFile } from '../../src/log/segment-file.ts'
import type { Random } from './random.ts'

const SECTOR_BYTES = 512

type Operation = { readonly position: number; readonly bytes: Buffer } | { readonly size: number }

/** One file's bytes: what is synced, what is there now, and the steps between the two. */
interface FileBody {
  synced: Buffer
  present: Buffer
  steps: Operation[]
}

interface Folder {
  /** Names as a process sees them. */
  readonly present: Map<string, FileBody>
  /** Names as they are after a power cut. */
  synced: Map<string, FileBody>
}

export type Fault = 'write' | 'write-partly' | 'sync' | 'truncate'

export class PowerCutDisk implements SegmentDisk {
  readonly #folders = new Map<string, Folder>()
  readonly #random: Random
  #faults: { fault: Fault; code: string }[] = []
  #unplugged = false

  constructor(random: Random) {
    this.#random = random
  }

  /** The next such operation fails with an error of this code. */
  failNext(fault: Fault, code: string): void {
    this.#faults.push({ fault, code })
  }

  /** The disk as the next start finds it. This one takes and gives nothing from now on. */
  cut(what: 'power' | 'process'): PowerCutDisk {
    this.#unplugged = true
    const next = new PowerCutDisk(this.#random)
    for (const [path, folder] of this.#folders) {
      const names = what === 'process' ? folder.present : this.#survivingNames(folder)
      const files = new Map<string, FileBody>()
      for (const [name, body] of names) {
        const bytes = what === 'process' ? body.present : this.#survivingBytes(body)
        files.set(name, { synced: Buffer.from(bytes), present: Buffer.from(bytes), steps: [] })
      }
      next.#folders.set(path, { present: files, synced: new Map(files) })
    }
    return next
  }

  /** Each name that is not synced, and each loss of a name that is not, has happened or not. */
  #survivingNames(folder: Folder): Map<string, FileBody> {
    const names = new Map<string, FileBody>()
    for (const [name, body] of folder.synced) {
      const present = folder.present.get(name)
      if (present === body || this.#random.chance(0.5)) names.set(name, body)
      else if (present !== undefined) names.set(name, present)
    }
    for (const [name, body] of folder.present) {
      if (!folder.synced.has(name) && this.#random.chance(0.5)) names.set(name, body)
    }
    return names
  }

  #survivingBytes(body: FileBody): Buffer {
    let bytes: Buffer = Buffer.from(body.synced)
    for (const step of body.steps) {
      const fate = this.#random.below(4)
      if (fate === 0) continue
      if ('size' in step) bytes = resized(bytes, step.size)
      else if (fate === 1) bytes = written(bytes, step.position, step.bytes)
      else if (fate === 2) bytes = this.#tornSectors(bytes, step.position, step.bytes)
      else bytes = written(bytes, step.position, step.bytes.subarray(0, this.#random.below(step.bytes.length + 1)))
    }
    return bytes
  }

  #tornSectors(before: Buffer, position: number, bytes: Buffer): Buffer {
    let after = resized(before, Math.max(before.length, position + bytes.length))
    let at = 0
    while (at < bytes.length) {
      const next = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES))
      if (this.#random.chance(0.5)) after = written(after, position + at, bytes.subarray(at, next))
      at = next
    }
    return after
  }

  #check(): void {
    if (this.#unplugged) throw Object.assign(new Error('the disk has no power'), { code: 'EIO' })
  }

  #takeFault(fault: Fault): string | undefined {
    const at = this.#faults.findIndex((one) => one.fault === fault)
    return at < 0 ? undefined : this.#faults.splice(at, 1)[0]?.code
  }

  #folder(path: string): Folder {
    let folder = this.#folders.get(path)
    if (folder === undefined) {
      folder = { present: new Map(), synced: new Map() }
      this.#folders.set(path, folder)
    }
    return folder
  }

  async open(path: string, create: boolean): Promise<SegmentFile> {
    this.#check()
    const folder = this.#folder(dirname(path))
    let body = folder.present.get(basename(path))
    if (body === undefined) {
      if (!create) throw Object.assign(new Error(`no file ${path}`), { code: 'ENOENT' })
      body = { synced: Buffer.alloc(0), present: Buffer.alloc(0), steps: [] }
      folder.present.set(basename(path), body)
    }
    return this.#file(body)
  }

  #file(body: FileBody): SegmentFile {
    const step = (operation: Operation) => {
      body.steps.push(operation)
      body.present =
        'size' in operation
          ? resized(body.present, operation.size)
          : written(body.present, operation.position, operation.bytes)
    }
    return {
      write: async (buffers, position) => {
        this.#check()
        const bytes = Buffer.concat(buffers)
        const failure = this.#takeFault('write')
        if (failure !== undefined) throw Object.assign(new Error('write failed'), { code: failure })
        const partly = this.#takeFault('write-partly')
        if (partly === undefined) return step({ position, bytes })
        step({ position, bytes: bytes.subarray(0, this.#random.below(bytes.length)) })
        throw Object.assign(new Error('write failed half way'), { code: partly })
      },
      sync: async () => {
        this.#check()
        const failure = this.#takeFault('sync')
        if (failure !== undefined) throw Object.assign(new Error('sync failed'), { code: failure })
        body.synced = Buffer.from(body.present)
        body.steps = []
      },
      read: async (buffer, position) => {
        this.#check()
        return body.present.copy(buffer, 0, position, position + buffer.length)
      },
      truncate: async (size) => {
        this.#check()
        const failure = this.#takeFault('truncate')
        if (failure !== undefined) throw Object.assign(new Error('truncate failed'), { code: failure })
        step({ size })
      },
      size: async () => body.present.length,
      close: async () => undefined,
    }
  }

  async list(directory: string): Promise<string[]> {
    this.#check()
    const below = [...this.#folders.keys()].filter((path) => dirname(path) === directory).map((path) => basename(path))
    return [...new Set([...(this.#folders.get(directory)?.present.keys() ?? []), ...below])]
  }

  async readFile(path: string): Promise<Buffer | undefined> {
    this.#check()
    const body = this.#folders.get(dirname(path))?.present.get(basename(path))
    return body && Buffer.from(body.present)
  }

  async writeFileDurably(path: string, bytes: Buffer): Promise<void> {
    this.#check()
    const folder = this.#folder(dirname(path))
    const body = { synced: Buffer.from(bytes), present: Buffer.from(bytes), steps: [] }
    folder.present.set(basename(path), body)
    folder.synced = new Map(folder.present)
  }

  async makeDirectory(path: string): Promise<void> {
    this.#check()
    this.#folder(path)
  }

  async syncDirectory(path: string): Promise<void> {
    this.#check()
    const folder = this.#folder(path)
    folder.synced = new Map(folder.present)
  }

  async rename(from: string, to: string): Promise<void> {
    this.#check()
    const folder = this.#folders.get(from)
    if (folder !== undefined) {
      this.#folders.delete(from)
      this.#folders.set(to, folder)
      return
    }
    const body = this.#folder(dirname(from)).present.get(basename(from))
    if (body === undefined) throw Object.assign(new Error(`no file ${from}`), { code: 'ENOENT' })
    this.#folder(dirname(from)).present.delete(basename(from))
    this.#folder(dirname(to)).present.set(basename(to), body)
  }

  async remove(path: string): Promise<void> {
    this.#check()
    this.#folders.delete(path)
    this.#folders.get(dirname(path))?.present.delete(basename(path))
  }

  /** For tests of corruption: the file's bytes, to be changed in place. */
  bytesOf(path: string): Buffer {
    const body = this.#folders.get(dirname(path))?.present.get(basename(path))
    if (body === undefined) throw new Error(`no file ${path}`)
    return body.present
  }
}

function resized(bytes: Buffer, size: number): Buffer {
  if (size <= bytes.length) return Buffer.from(bytes.subarray(0, size))
  return Buffer.concat([bytes, Buffer.alloc(size - bytes.length)])
}

function written(before: Buffer, position: number, bytes: Buffer): Buffer {
  const after = resized(before, Math.max(before.length, position + bytes.length))
  bytes.copy(after, position)
  return after
}
