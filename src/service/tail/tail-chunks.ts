// What lies between a place and the end, read for one form through one filter. Tails that stand at the same place share
// it: the first that asks has it made, the others wait for the same bytes. Kept for those that are a little behind, as
// long as there are some and there is room; what had to go is read again. How many reads run at once is bounded: those
// that many wait for come first.

import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import { TAIL_CHUNK_BYTES_MAX, TAIL_CHUNKS_BYTES_MAX, TAIL_READS_MAX } from '../../kernel/limits.ts'
import type { CatchUpPace } from './catch-up-pace.ts'
import type { TailHead } from './tail-head.ts'
import type { ChunkKind, TailPlace, TailRead } from './tail-place.ts'
import { SharedChunk } from './tail-place.ts'
import type { TailReadBounds, TailReads } from './tail-read.ts'
import type { TailTurns } from './tail-turns.ts'

export interface TailChunksParts {
  readonly pace: CatchUpPace
  readonly reads: TailReads
  readonly turns: TailTurns
}

export class TailChunks {
  readonly #parts: TailChunksParts
  /** In the order of their making. */
  readonly #kept = new Map<SharedChunk, TailHead>()
  readonly #keptOf = new Map<TailHead, Set<SharedChunk>>()
  #keptBytes = 0
  #reading = 0
  readonly #lines: readonly [shared: (() => void)[], alone: (() => void)[]] = [[], []]

  constructor(parts: TailChunksParts) {
    this.#parts = parts
  }

  get keptBytes(): number {
    return this.#keptBytes
  }

  /** What begins at a place; being made when neither its read nor its error is there. */
  at(head: TailHead, place: TailPlace, kind: ChunkKind): SharedChunk {
    const { turns } = this.#parts
    const known = place.chunks?.get(kind.key)
    if (known !== undefined) return known
    const chunk = new SharedChunk(place, kind.key)
    place.chunks ??= new Map()
    place.chunks.set(kind.key, chunk)
    const bounds = { records: kind.batchRecords, bytes: TAIL_CHUNK_BYTES_MAX, ends: head.ends }
    this.read(head, place, kind, bounds, () => chunk.isAwaited).then(
      (read) => {
        chunk.read = read
        if (place.isShared && read.next !== place && !head.isIdle) this.#keep(chunk, head)
        else this.#drop(chunk)
        for (const waiter of chunk.waiters) {
          read.chunk?.hold()
          turns.enqueue(waiter)
        }
        chunk.waiters = []
      },
      (error: unknown) => {
        chunk.error = asTailraceError(error)
        this.#drop(chunk)
        for (const waiter of chunk.waiters) turns.enqueue(waiter)
        chunk.waiters = []
      },
    )
    return chunk
  }

  /** For one tail, or one kind of them. `isWanted`: asked when it is its turn; request_cancelled where it is not. */
  async read(
    head: TailHead,
    place: TailPlace,
    kind: ChunkKind,
    bounds: TailReadBounds,
    isWanted: () => boolean,
  ): Promise<TailRead> {
    const { reads, pace } = this.#parts
    const read = async () => {
      if (!isWanted()) throw new TailraceError('request_cancelled', 'nobody waits for this read any more')
      if (bounds.isLatestOnly) return await reads.readLatest(head, place, kind, bounds)
      return await reads.read(head, place, kind, bounds)
    }
    // who waits for its pace is in nobody's way
    return place.isFarBehind ? await pace.run(read) : await this.#inLine(place, read)
  }

  async #inLine(place: TailPlace, read: () => Promise<TailRead>): Promise<TailRead> {
    if (this.#reading >= TAIL_READS_MAX) {
      await new Promise<void>((resolve) => this.#lines[place.isShared ? 0 : 1].push(resolve))
    } else this.#reading++
    try {
      return await read()
    } finally {
      const next = this.#lines[0].shift() ?? this.#lines[1].shift()
      if (next === undefined) this.#reading--
      else next()
    }
  }

  /** Nobody of these tails is behind any more, or all of them are gone. */
  forget(head: TailHead): void {
    const kept = this.#keptOf.get(head)
    if (kept === undefined) return
    for (const chunk of kept) this.#letGo(chunk)
    this.#keptOf.delete(head)
  }

  #keep(chunk: SharedChunk, head: TailHead): void {
    const { next, chunk: held } = chunk.read as TailRead
    next.isShared = true
    held?.hold()
    this.#kept.set(chunk, head)
    const ofHead = this.#keptOf.get(head) ?? new Set()
    this.#keptOf.set(head, ofHead.add(chunk))
    this.#keptBytes += chunk.bytes
    for (const oldest of this.#kept.keys()) {
      if (this.#keptBytes <= TAIL_CHUNKS_BYTES_MAX || oldest === chunk) break
      this.#keptOf.get(this.#kept.get(oldest) as TailHead)?.delete(oldest)
      this.#letGo(oldest)
    }
  }

  #letGo(chunk: SharedChunk): void {
    if (this.#kept.delete(chunk)) {
      this.#keptBytes -= chunk.bytes
      chunk.read?.chunk?.taken()
    }
    this.#drop(chunk)
  }

  /** Those that wait for it have it all the same. */
  #drop({ place, key }: SharedChunk): void {
    place.chunks?.delete(key)
  }
}
