// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein): a keyed hash, so that whoever chooses the hashed bytes
// cannot make two of them meet without knowing the key. In plain 32-bit arithmetic it is several times faster on short
// keys than a call into the crypto library (bench/micro/compaction.ts). One hasher allocates nothing for a hash.
//
//   a round, on four 64-bit words:
//   v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32;   v2 += v3; v3 <<<= 16; v3 ^= v2
//   v0 += v3; v3 <<<= 21; v3 ^= v0;               v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32

export const SIPHASH_KEY_BYTES = 16

const ROUNDS_OF_A_BLOCK = 2
const ROUNDS_AT_THE_END = 4

export class SipHash {
  /** The last hash, as four little-endian words. */
  readonly words = new Int32Array(4)

  readonly #key: Int32Array

  constructor(key: Buffer) {
    this.#key = Int32Array.from({ length: 4 }, (_, at) => key.readInt32LE(at * 4))
  }

  /** Hashes bytes [start, end) into `words`. Each pass through the loop is one round; blocks go in between rounds. */
  // biome-ignore lint/complexity/noExcessiveCognitiveComplexity: a round is written out once, with its state in locals
  hash(bytes: Uint8Array, start: number, end: number): void {
    const key = this.#key
    const k0l = key[0] as number
    const k0h = key[1] as number
    const k1l = key[2] as number
    const k1h = key[3] as number
    let v0l = k0l ^ 0x70736575
    let v0h = k0h ^ 0x736f6d65
    let v1l = k1l ^ 0x6e646f6d ^ 0xee
    let v1h = k1h ^ 0x646f7261
    let v2l = k0l ^ 0x6e657261
    let v2h = k0h ^ 0x6c796765
    let v3l = k1l ^ 0x79746573
    let v3h = k1h ^ 0x74656462
    const wholeEnd = start + ((end - start) & ~7)
    const blockRounds = (((end - start) >>> 3) + 1) * ROUNDS_OF_A_BLOCK
    const firstHalfRounds = blockRounds + ROUNDS_AT_THE_END
    const rounds = firstHalfRounds + ROUNDS_AT_THE_END
    let at = start
    let ml = 0
    let mh = 0
    for (let round = 0; round < rounds; round++) {
      if (round < blockRounds) {
        if ((round & 1) === 0) {
          if (at < wholeEnd) {
            ml =
              (bytes[at] as number) |
              ((bytes[at + 1] as number) << 8) |
              ((bytes[at + 2] as number) << 16) |
              ((bytes[at + 3] as number) << 24)
            mh =
              (bytes[at + 4] as number) |
              ((bytes[at + 5] as number) << 8) |
              ((bytes[at + 6] as number) << 16) |
              ((bytes[at + 7] as number) << 24)
            at += 8
          } else {
            // the last block: what is left, and the length in its highest byte
            ml = 0
            mh = (end - start) << 24
            for (let shift = 0; at < end; at++, shift += 8) {
              if (shift < 32) ml |= (bytes[at] as number) << shift
              else mh |= (bytes[at] as number) << (shift - 32)
            }
          }
          v3l ^= ml
          v3h ^= mh
        }
      } else if (round === blockRounds) {
        v2l ^= 0xee
      } else if (round === firstHalfRounds) {
        this.words[0] = v0l ^ v1l ^ v2l ^ v3l
        this.words[1] = v0h ^ v1h ^ v2h ^ v3h
        v1l ^= 0xdd
      }

      let low = (v0l + v1l) | 0
      v0h = (v0h + v1h + (((v0l & v1l) | ((v0l | v1l) & ~low)) >>> 31)) | 0
      v0l = low
      low = (v1l << 13) | (v1h >>> 19)
      v1h = ((v1h << 13) | (v1l >>> 19)) ^ v0h
      v1l = low ^ v0l
      low = v0l
      v0l = v0h
      v0h = low

      low = (v2l + v3l) | 0
      v2h = (v2h + v3h + (((v2l & v3l) | ((v2l | v3l) & ~low)) >>> 31)) | 0
      v2l = low
      low = (v3l << 16) | (v3h >>> 16)
      v3h = ((v3h << 16) | (v3l >>> 16)) ^ v2h
      v3l = low ^ v2l

      low = (v0l + v3l) | 0
      v0h = (v0h + v3h + (((v0l & v3l) | ((v0l | v3l) & ~low)) >>> 31)) | 0
      v0l = low
      low = (v3l << 21) | (v3h >>> 11)
      v3h = ((v3h << 21) | (v3l >>> 11)) ^ v0h
      v3l = low ^ v0l

      low = (v2l + v1l) | 0
      v2h = (v2h + v1h + (((v2l & v1l) | ((v2l | v1l) & ~low)) >>> 31)) | 0
      v2l = low
      low = (v1l << 17) | (v1h >>> 15)
      v1h = ((v1h << 17) | (v1l >>> 15)) ^ v2h
      v1l = low ^ v2l
      low = v2l
      v2l = v2h
      v2h = low

      if (round < blockRounds && (round & 1) === 1) {
        v0l ^= ml
        v0h ^= mh
      }
    }
    this.words[2] = v0l ^ v1l ^ v2l ^ v3l
    this.words[3] = v0h ^ v1h ^ v2h ^ v3h
  }
}
