// What members of a group tell each other through the coordinator, byte for byte as Kafka's consumers do (ConsumerProtocol,
// versions 0 to 3): which topics one wants and what it owns, and what it is given. Bytes of a newer version are read as
// version 3, whatever follows is left alone. Bytes that are no such thing give undefined, since they come from outside, and
// one bad member must not hold up its group.

import { ByteWriter } from '../kernel/byte-writer.ts'
import type { GroupPartition } from './group-protocol.ts'

/*
 * Subscription => version topics user_data [owned_partitions] [generation_id] [rack_id]
 *   version           INT16
 *   topics            ARRAY of STRING
 *   user_data         NULLABLE_BYTES
 *   owned_partitions  PARTITIONS                from version 1
 *   generation_id     INT32, -1: none           from version 2
 *   rack_id           NULLABLE_STRING           from version 3
 *
 * Assignment => version assigned_partitions user_data, the same in all versions
 *
 * The sticky assignor's user_data => previous_assignment [generation], none in its first version
 *
 * PARTITIONS is an ARRAY of { topic STRING, partitions ARRAY of INT32 }. STRING and NULLABLE_STRING begin with an INT16
 * length, ARRAY and NULLABLE_BYTES with an INT32 one; -1 is null. Big-endian.
 */

const VERSION_MAX = 3

export interface ConsumerSubscription {
  readonly topics: readonly string[]
  readonly userData: Uint8Array | null
  readonly ownedPartitions: readonly GroupPartition[]
  /** In which the owned partitions were given; -1: it does not say. */
  readonly generationId: number
  readonly rackId: string | null
}

export interface ConsumerAssignment {
  readonly partitions: readonly GroupPartition[]
  readonly userData: Uint8Array | null
}

/** What one had when it last was assigned something, for assignors under which all is given up before a rebalance. */
export interface StickyUserData {
  readonly previousPartitions: readonly GroupPartition[]
  readonly generationId: number
}

/** Always of the newest version: older readers leave alone what they do not know. */
export function encodeSubscription(subscription: ConsumerSubscription): Buffer {
  const writer = new FieldWriter()
  writer.int16(VERSION_MAX)
  writer.int32(subscription.topics.length)
  for (const topic of subscription.topics) writer.string(topic)
  writer.nullableBytes(subscription.userData)
  writer.partitions(subscription.ownedPartitions)
  writer.int32(subscription.generationId)
  writer.nullableString(subscription.rackId)
  return writer.take()
}

export function decodeSubscription(bytes: Uint8Array): ConsumerSubscription | undefined {
  return decode(bytes, (reader) => {
    const version = reader.version()
    return {
      topics: [...new Set(reader.array(STRING_BYTES_MIN, () => reader.string()))],
      userData: reader.nullableBytes(),
      ownedPartitions: version >= 1 ? reader.partitions() : [],
      generationId: version >= 2 ? reader.int32() : -1,
      rackId: version >= 3 ? reader.nullableString() : null,
    }
  })
}

/** The topics that a member reads, by its metadata; undefined where that cannot be told. */
export function subscribedTopics(protocolType: string, metadata: Uint8Array): ReadonlySet<string> | undefined {
  if (protocolType !== 'consumer' && protocolType !== 'shared') return undefined
  const subscription = decodeSubscription(metadata)
  return subscription && new Set(subscription.topics)
}

export function encodeAssignment({ partitions, userData }: ConsumerAssignment): Buffer {
  const writer = new FieldWriter()
  writer.int16(VERSION_MAX)
  writer.partitions(partitions)
  writer.nullableBytes(userData)
  return writer.take()
}

/** No bytes at all are an empty assignment, as in Kafka: whom its leader forgot. */
export function decodeAssignment(bytes: Uint8Array): ConsumerAssignment | undefined {
  if (bytes.length === 0) return { partitions: [], userData: null }
  return decode(bytes, (reader) => {
    reader.version()
    return { partitions: reader.partitions(), userData: reader.nullableBytes() }
  })
}

export function encodeStickyUserData({ previousPartitions, generationId }: StickyUserData): Buffer {
  const writer = new FieldWriter()
  writer.partitions(previousPartitions)
  writer.int32(generationId)
  return writer.take()
}

export function decodeStickyUserData(bytes: Uint8Array): StickyUserData | undefined {
  return decode(bytes, (reader) => ({
    previousPartitions: reader.partitions(),
    generationId: reader.bytesLeft >= 4 ? reader.int32() : -1,
  }))
}

const STRING_BYTES_MIN = 2
const INT32_BYTES = 4
const TOPIC_BYTES_MIN = STRING_BYTES_MIN + INT32_BYTES

class Malformed extends Error {}

function decode<Value>(bytes: Uint8Array, read: (reader: FieldReader) => Value): Value | undefined {
  try {
    return read(new FieldReader(bytes))
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

class FieldReader {
  readonly #bytes: Buffer
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get bytesLeft(): number {
    return this.#bytes.length - this.#position
  }

  version(): number {
    const version = this.#int16()
    if (version < 0) throw new Malformed()
    return version
  }

  #int16(): number {
    return this.#bytes.readInt16BE(this.#take(2))
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(INT32_BYTES))
  }

  string(): string {
    const text = this.nullableString()
    if (text === null) throw new Malformed()
    return text
  }

  nullableString(): string | null {
    const length = this.#int16()
    if (length === -1) return null
    const start = this.#take(length)
    return this.#bytes.toString('utf8', start, start + length)
  }

  nullableBytes(): Uint8Array | null {
    const length = this.int32()
    if (length === -1) return null
    const start = this.#take(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** As many items as the bytes that are left can hold: a count alone costs no memory. */
  array<Item>(itemBytesMin: number, read: () => Item): Item[] {
    const count = this.int32()
    if (count < 0 || count * itemBytesMin > this.bytesLeft) throw new Malformed()
    return Array.from({ length: count }, read)
  }

  /** Each once, in the order in which they stand there. */
  partitions(): GroupPartition[] {
    const seen = new Map<string, Set<number>>()
    const partitions: GroupPartition[] = []
    this.array(TOPIC_BYTES_MIN, () => {
      const topic = this.string()
      const ofTopic = seen.get(topic) ?? new Set()
      seen.set(topic, ofTopic)
      for (const partition of this.array(INT32_BYTES, () => this.int32())) {
        if (partition < 0) throw new Malformed()
        if (!ofTopic.has(partition)) partitions.push({ topic, partition })
        ofTopic.add(partition)
      }
    })
    return partitions
  }

  #take(count: number): number {
    if (count < 0 || count > this.bytesLeft) throw new Malformed()
    const start = this.#position
    this.#position += count
    return start
  }
}

class FieldWriter {
  readonly #writer = new ByteWriter(256)

  int16(value: number): void {
    this.#writer.reserve(2)
    this.#writer.position = this.#writer.bytes.writeInt16BE(value, this.#writer.position)
  }

  int32(value: number): void {
    this.#writer.reserve(INT32_BYTES)
    this.#writer.position = this.#writer.bytes.writeInt32BE(value, this.#writer.position)
  }

  string(text: string): void {
    this.int16(Buffer.byteLength(text))
    this.#writer.writeText(text)
  }

  nullableString(text: string | null): void {
    if (text === null) this.int16(-1)
    else this.string(text)
  }

  nullableBytes(bytes: Uint8Array | null): void {
    this.int32(bytes === null ? -1 : bytes.length)
    if (bytes !== null) this.#writer.writeBytes(bytes)
  }

  partitions(partitions: readonly GroupPartition[]): void {
    const byTopic = Map.groupBy(partitions, ({ topic }) => topic)
    this.int32(byTopic.size)
    for (const [topic, ofTopic] of byTopic) {
      this.string(topic)
      this.int32(ofTopic.length)
      for (const { partition } of ofTopic) this.int32(partition)
    }
  }

  /** As long as it has to be: it is kept for as long as the member is. */
  take(): Buffer {
    return Buffer.from(this.#writer.written())
  }
}
