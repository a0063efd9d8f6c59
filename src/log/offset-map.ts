// The cleaner's map from keys to their newest offsets, as Kafka's SkimpyOffsetMap: of a key only a hash of 128 bits is
// kept, so that every key takes the same 24 bytes and two keys meet never in practice. The hash is keyed with random
// bytes, so that nobody can make a key that meets another's and takes its records away. Open addressing, no deletion.

import { randomBytes } from 'node:crypto'
import { SIPHASH_KEY_BYTES, SipHash } from '../kernel/siphash.ts'

/** Four words of hash and one offset. */
const SLOT_BYTES = 24

/** Beyond it searches for a free slot get long (Kafka's log.cleaner.io.buffer.load.factor). */
const LOAD_FACTOR = 0.9

export class OffsetMap {
  readonly #hasher = new SipHash(randomBytes(SIPHASH_KEY_BYTES))
  readonly #slots: number
  readonly #sizeMax: number
  readonly #hashes: Int32Array
  /** The offset plus one; 0: the slot is free. */
  readonly #offsets: Float64Array
  #size = 0

  /** As large as bytesMax allows and keyCountMax keys need, and never too small for one. */
  constructor(bytesMax: number, keyCountMax: number) {
    const needed = Math.ceil(keyCountMax / LOAD_FACTOR)
    this.#slots = Math.max(2, Math.min(Math.floor(bytesMax / SLOT_BYTES), needed))
    this.#sizeMax = Math.max(1, Math.floor(this.#slots * LOAD_FACTOR))
    this.#hashes = new Int32Array(this.#slots * 4)
    this.#offsets = new Float64Array(this.#slots)
  }

  get size(): number {
    return this.#size
  }

  /** Keeps the offset for the key in bytes [start, end); false: the map is full and the key is not in it. */
  put(bytes: Uint8Array, start: number, end: number, offset: number): boolean {
    const slot = this.#slotOf(bytes, start, end)
    if (this.#offsets[slot] === 0) {
      if (this.#size >= this.#sizeMax) return false
      this.#hashes.set(this.#hasher.words, slot * 4)
      this.#size++
    }
    this.#offsets[slot] = offset + 1
    return true
  }

  /** -1: the key is not in the map. */
  find(bytes: Uint8Array, start: number, end: number): number {
    return (this.#offsets[this.#slotOf(bytes, start, end)] as number) - 1
  }

  /** Where the key is, or the free slot where it would go: there is always one. */
  #slotOf(bytes: Uint8Array, start: number, end: number): number {
    this.#hasher.hash(bytes, start, end)
    const { words } = this.#hasher
    const first = words[0] as number
    const second = words[1] as number
    const third = words[2] as number
    const fourth = words[3] as number
    const hashes = this.#hashes
    let slot = (first & 0x7fff_ffff) % this.#slots
    while (this.#offsets[slot] !== 0) {
      const at = slot * 4
      const isSame =
        hashes[at] === first && hashes[at + 1] === second && hashes[at + 2] === third && hashes[at + 3] === fourth
      if (isSame) break
      slot = slot + 1 === this.#slots ? 0 : slot + 1
    }
    return slot
  }
}
