// The segment files' port on a disk that can lose its power, in memory. What must hold, as on Linux:
// - Bytes are on the disk after a sync of their file. At a power cut each write and each truncation since then has
//   happened, or not, or in part: up to some byte, or some of its sectors in any order.
// - Names are on the disk after a sync of their folder. At a power cut the changes since then have happened up to some
//   point, in their order; each one (a rename too) whole or not at all.
// - After a failed sync of a file nobody writes those bytes again: readers see them, a later sync succeeds, and a power cut
//   may take them all the same. Only writing them anew brings them to the disk.
// - Names are journalled: after a failed sync of their folder some may be on the disk, and a later one brings the rest.
// - When a process is killed nothing is lost that was written, and nothing of it is more durable than before.
// disk-faults.ts says when an operation fails.

import { basename, dirname } from 'node:path'
import type { SegmentDisk, SegmentFile } from '../../src/log/segment-file.ts'
import type { DiskOperation } from './disk-faults.ts'
import { DiskFaults } from './disk-faults.ts'
import type { Random } from './random.ts'

const SECTOR_BYTES = 512

type Write = { readonly position: number; readonly bytes: Buffer } | { readonly size: number }

interface NameChange {
  readonly gone?: string
  readonly put?: readonly [string, Entry]
}

type Entry = FileBody | Folder

/** What a power cut, or a failed sync, does to each step that was still to be made. */
interface Fates {
  readonly random: Random
  count(what: string): void
}

/** What there is now, what is on the disk, and the steps between the two that are still to be made. */
class FileBody {
  present = new Content()
  synced = new Content()
  steps: Write[] = []

  apply(step: Write): void {
    this.steps.push(step)
    this.present.apply(step)
  }

  sync(): void {
    for (const step of this.steps) this.synced.apply(step)
    this.steps = []
  }

  failSync(fates: Fates): void {
    for (const step of this.steps) applyByChance(this.synced, step, fates)
    this.steps = []
  }

  afterPowerCut(fates: Fates): FileBody {
    this.failSync(fates)
    const after = new FileBody()
    after.synced = this.synced
    after.present = this.synced.copy()
    return after
  }
}

class Folder {
  readonly present = new Map<string, Entry>()
  readonly synced = new Map<string, Entry>()
  #steps: NameChange[] = []

  change(step: NameChange): void {
    this.#steps.push(step)
    applyChange(this.present, step)
  }

  sync(): void {
    for (const step of this.#steps) applyChange(this.synced, step)
    this.#steps = []
  }

  failSync({ random }: Fates): void {
    const done = random.below(this.#steps.length + 1)
    for (const step of this.#steps.splice(0, done)) applyChange(this.synced, step)
  }

  afterPowerCut(fates: Fates): Folder {
    this.failSync(fates)
    if (this.#steps.length > 0) fates.count('names forgotten')
    const after = new Folder()
    for (const [name, entry] of this.synced) {
      const left = entry.afterPowerCut(fates)
      after.present.set(name, left)
      after.synced.set(name, left)
    }
    return after
  }
}

function applyChange(names: Map<string, Entry>, { gone, put }: NameChange): void {
  if (gone !== undefined) names.delete(gone)
  if (put !== undefined) names.set(...put)
}

/** Bytes that grow without being copied each time. */
class Content {
  #buffer = Buffer.alloc(0)
  length = 0

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.length)
  }

  apply(step: Write): void {
    if ('size' in step) {
      this.#resize(step.size)
      return
    }
    const end = step.position + step.bytes.length
    if (end > this.length) this.#resize(end)
    step.bytes.copy(this.#buffer, step.position)
  }

  #resize(length: number): void {
    if (length < this.length) this.#buffer.fill(0, length, this.length)
    if (length > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(length, 2 * this.#buffer.length))
      this.#buffer.copy(larger)
      this.#buffer = larger
    }
    this.length = length
  }

  copy(): Content {
    const copy = new Content()
    copy.#buffer = Buffer.from(this.bytes)
    copy.length = this.length
    return copy
  }
}

function applyByChance(content: Content, step: Write, { random, count }: Fates): void {
  const fate = random.below(4)
  if (fate === 0) {
    count('writes forgotten')
  } else if ('size' in step || fate === 1) {
    content.apply(step)
  } else if (fate === 2) {
    count('writes torn by sectors')
    applySomeSectors(content, step.position, step.bytes, random)
  } else {
    count('writes torn')
    content.apply({ ...step, bytes: step.bytes.subarray(0, random.below(step.bytes.length + 1)) })
  }
}

/** The file is as long as the write makes it: sectors that were not written are zeros, or what was there before. */
function applySomeSectors(content: Content, position: number, bytes: Buffer, random: Random): void {
  content.apply({ size: Math.max(content.length, position + bytes.length) })
  let at = 0
  while (at < bytes.length) {
    const next = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES))
    if (random.chance(0.5)) content.apply({ position: position + at, bytes: bytes.subarray(at, next) })
    at = next
  }
}

export interface PowerCutDiskOptions {
  readonly faults?: DiskFaults
  /** Operations take random numbers of turns of the event loop, and so overtake each other. */
  readonly isSlow?: boolean
}

export class PowerCutDisk implements SegmentDisk {
  readonly faults: DiskFaults
  /** What it says that it has left, in bytes; what is written takes none of it. */
  free = Number.MAX_SAFE_INTEGER
  readonly #random: Random
  readonly #isSlow: boolean
  #root = new Folder()
  #isUnplugged = false

  constructor(random: Random, { faults = new DiskFaults(), isSlow = false }: PowerCutDiskOptions = {}) {
    this.#random = random
    this.faults = faults
    this.#isSlow = isSlow
  }

  failNext(operation: DiskOperation, code: string, after = 0): void {
    this.faults.failNext(operation, code, after)
  }

  get isUnplugged(): boolean {
    return this.#isUnplugged
  }

  /** This disk takes and gives nothing from now on. */
  unplug(): void {
    this.#isUnplugged = true
  }

  /** The disk as the next start finds it. */
  cut(what: 'power' | 'process', random = this.#random, options: PowerCutDiskOptions = {}): PowerCutDisk {
    this.unplug()
    const next = new PowerCutDisk(random, { isSlow: this.#isSlow, ...options })
    next.#root = what === 'process' ? this.#root : this.#root.afterPowerCut(this.#fates(random))
    return next
  }

  #fates(random: Random): Fates {
    return { random, count: (what) => this.faults.countLoss(what) }
  }

  /** What an operation does: it may take its time, it may fail, and the power may go before or after it. */
  async #operate<Result>(operation: DiskOperation, path: string, work: () => Result): Promise<Result> {
    await this.#wait(operation)
    this.#check()
    this.faults.count(operation, path)
    // cut by this very operation: it may have happened, and nobody hears of it
    if (this.#isUnplugged && this.#random.chance(0.5)) work()
    this.#check()
    const failure = this.faults.take(operation)
    if (failure !== undefined) throw failure
    const result = work()
    await this.#wait(operation)
    this.#check()
    return result
  }

  #check(): void {
    if (this.#isUnplugged) throw Object.assign(new Error('the disk has no power'), { code: 'EIO', syscall: 'any' })
  }

  async #wait(operation: DiskOperation): Promise<void> {
    if (!this.#isSlow) return
    const kind = this.#random.next()
    if (kind < (operation === 'sync' ? 0.3 : 0.05)) await new Promise((resolve) => setImmediate(resolve))
    else if (kind > 0.6) for (let left = this.#random.below(10); left > 0; left--) await Promise.resolve()
  }

  #find(path: string): Entry | undefined {
    let entry: Entry | undefined = this.#root
    for (const name of path.split('/')) {
      if (name === '') continue
      if (!(entry instanceof Folder)) return undefined
      entry = entry.present.get(name)
    }
    return entry
  }

  /** Parents that were never made are there, durably: not what is tested here. */
  #folder(path: string): Folder {
    const found = this.#find(path)
    if (found instanceof Folder) return found
    if (found !== undefined) throw Object.assign(new Error(`${path} is a file`), { code: 'ENOTDIR' })
    const folder = new Folder()
    const parent = this.#folder(dirname(path))
    parent.present.set(basename(path), folder)
    parent.synced.set(basename(path), folder)
    return folder
  }

  #body(path: string): FileBody | undefined {
    const found = this.#find(path)
    return found instanceof FileBody ? found : undefined
  }

  open(path: string, create: boolean): Promise<SegmentFile> {
    const known = this.#body(path) !== undefined
    return this.#operate(known || !create ? 'open' : 'create', path, () => {
      let body = this.#body(path)
      if (body === undefined) {
        if (!create) throw absent(path)
        body = new FileBody()
        this.#folder(dirname(path)).change({ put: [basename(path), body] })
      }
      return this.#file(path, body)
    })
  }

  #file(path: string, body: FileBody): SegmentFile {
    return {
      write: async (buffers, position) => {
        const bytes = Buffer.concat(buffers)
        const failure = await this.#operate('write', `${path} at ${position}, ${bytes.length} bytes`, () => {
          const partly = this.faults.take('write-partly')
          const end = partly === undefined ? bytes.length : this.#random.below(bytes.length)
          body.apply({ position, bytes: bytes.subarray(0, end) })
          return partly
        })
        if (failure !== undefined) throw failure
      },
      sync: () => this.#sync('sync', path, body),
      read: (buffer, position) =>
        this.#operate('read', path, () => body.present.bytes.copy(buffer, 0, position, position + buffer.length)),
      truncate: (size) => this.#operate('truncate', `${path} to ${size}`, () => body.apply({ size })),
      size: () => this.#operate('size', path, () => body.present.length),
      close: async () => undefined,
    }
  }

  async #sync(operation: 'sync' | 'sync-folder', path: string, entry: Entry): Promise<void> {
    try {
      await this.#operate(operation, path, () => entry.sync())
    } catch (error) {
      // a folder that could not be opened is as it was
      if (!this.#isUnplugged && (error as { code: string }).code !== 'EMFILE') entry.failSync(this.#fates(this.#random))
      throw error
    }
  }

  list(directory: string): Promise<string[]> {
    return this.#operate('list', directory, () => {
      const folder = this.#find(directory)
      return folder instanceof Folder ? [...folder.present.keys()] : []
    })
  }

  readFile(path: string): Promise<Buffer | undefined> {
    return this.#operate('read', path, () => {
      const body = this.#body(path)
      return body && Buffer.from(body.present.bytes)
    })
  }

  async writeFileDurably(path: string, bytes: Buffer): Promise<void> {
    const aside = `${path}.new`
    const file = await this.open(aside, true)
    await file.truncate(0)
    await file.write([bytes], 0)
    await file.sync()
    await this.rename(aside, path)
    await this.syncDirectory(dirname(path))
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#operate('make-folder', path, () => {
      if (this.#find(path) !== undefined) return
      this.#folder(dirname(path)).change({ put: [basename(path), new Folder()] })
    })
    await this.syncDirectory(dirname(path))
  }

  syncDirectory(path: string): Promise<void> {
    return this.#sync('sync-folder', path, this.#folder(path))
  }

  rename(from: string, to: string): Promise<void> {
    return this.#operate('rename', `${from} to ${basename(to)}`, () => {
      const entry = this.#find(from)
      if (entry === undefined) throw absent(from)
      const put = [basename(to), entry] as const
      if (dirname(from) === dirname(to)) {
        this.#folder(dirname(from)).change({ gone: basename(from), put })
      } else {
        this.#folder(dirname(to)).change({ put })
        this.#folder(dirname(from)).change({ gone: basename(from) })
      }
    })
  }

  remove(path: string): Promise<void> {
    return this.#operate('remove', path, () => {
      const entry = this.#find(path)
      if (entry === undefined) return
      if (entry instanceof Folder) for (const name of [...entry.present.keys()]) entry.change({ gone: name })
      this.#folder(dirname(path)).change({ gone: basename(path) })
    })
  }

  async freeBytes(): Promise<number> {
    return this.free
  }

  // --- what tests look at and do, without an operation ---

  namesIn(directory: string): string[] {
    const folder = this.#find(directory)
    return folder instanceof Folder ? [...folder.present.keys()] : []
  }

  /** The file's bytes as they are now, to be changed in place. */
  bytesOf(path: string): Buffer {
    const body = this.#body(path)
    if (body === undefined) throw absent(path)
    return body.present.bytes
  }

  /** The disk itself goes bad: this bit is wrong from now on, for readers and after a power cut. */
  flipBit(path: string, position: number, bit: number): void {
    const body = this.#body(path)
    for (const bytes of [body?.present.bytes, body?.synced.bytes]) {
      if (bytes !== undefined && position < bytes.length) bytes[position] = (bytes[position] as number) ^ (1 << bit)
    }
  }
}

function absent(path: string): Error {
  return Object.assign(new Error(`no file ${path}`), { code: 'ENOENT', syscall: 'open' })
}
