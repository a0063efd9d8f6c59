// Which partition a record goes to, as Kafka's default partitioner decides it. Path A3. Keys (the empty key too) by
// murmur2 over their bytes where they lie, nothing is copied; without a key all of a request goes to one partition, and
// the partition changes each time 16 KiB have gone there (Kafka's sticky partitioner, in turn instead of at random).
// A named producer's keyless records go by what never changes when the request is repeated: its id and number.

import type { Topic } from '../../engine/engine.ts'

/** Kafka's batch.size: what goes to one partition before the next one's turn. */
export const STICKY_BYTES = 16_384

const SEED = 0x9747b28c
const M = 0x5bd1e995

/** Kafka's murmur2 of bytes[start, end), as a signed int32. */
export function murmur2(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  let hash = SEED ^ length
  let at = start
  for (const last = end - 3; at < last; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    hash = mixWord(hash, word)
  }
  // Java's switch falls through: the last one to three bytes, little-endian, then one multiplication.
  const rest = length & 3
  if (rest > 2) hash ^= (bytes[at + 2] as number) << 16
  if (rest > 1) hash ^= (bytes[at + 1] as number) << 8
  if (rest > 0) hash = Math.imul(hash ^ (bytes[at] as number), M)
  return finish(hash)
}

export function partitionForKey(bytes: Uint8Array, start: number, end: number, partitionCount: number): number {
  return toPartition(murmur2(bytes, start, end), partitionCount)
}

/** murmur2 of the id and the request number as 12 little-endian bytes. */
export function partitionForRequest(producerId: bigint, sequence: number, partitionCount: number): number {
  let hash = SEED ^ 12
  hash = mixWord(hash, Number(BigInt.asIntN(32, producerId)))
  hash = mixWord(hash, Number(BigInt.asIntN(32, producerId >> 32n)))
  hash = mixWord(hash, sequence)
  return toPartition(finish(hash), partitionCount)
}

interface Stay {
  partition: number
  bytes: number
}

/** Where keyless requests go at present, topic by topic; what it knows of a topic goes when the topic does. */
export class StickyPartitioner {
  readonly #stays = new WeakMap<Topic, Stay>()

  /** For a whole request. Changes nothing: a refused request does not count. */
  partition(topic: Topic): number {
    const stay = this.#stays.get(topic)
    return stay === undefined ? 0 : stay.partition
  }

  /** A request was accepted for that partition. */
  add(topic: Topic, bytes: number): void {
    if (topic.partitionCount === 1) return
    let stay = this.#stays.get(topic)
    if (stay === undefined) {
      stay = { partition: 0, bytes: 0 }
      this.#stays.set(topic, stay)
    }
    stay.bytes += bytes
    if (stay.bytes >= STICKY_BYTES) move(stay, topic)
  }

  /** That partition takes nothing at present: the next request tries another. */
  leave(topic: Topic, partition: number): void {
    const stay = this.#stays.get(topic)
    if (stay !== undefined && stay.partition === partition) move(stay, topic)
  }
}

function move(stay: Stay, topic: Topic): void {
  stay.partition = (stay.partition + 1) % topic.partitionCount
  stay.bytes = 0
}

function mixWord(hash: number, word: number): number {
  let k = Math.imul(word, M)
  k = Math.imul(k ^ (k >>> 24), M)
  return Math.imul(hash, M) ^ k
}

function finish(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 13), M)
  return mixed ^ (mixed >>> 15)
}

/** Kafka's toPositive clears the sign bit; it is not the absolute value. */
function toPartition(hash: number, partitionCount: number): number {
  return (hash & 0x7fffffff) % partitionCount
}
