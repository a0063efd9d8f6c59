// The cursor: where a reader stands, whole in one short text, so that any node can go on from it. Pages, exports, SSE ids
// and WebSocket frames carry the same form. A text that was mangled on its way is refused, it never reads elsewhere.
// Pure functions.
//
//   Cursor => version turn [topic] checksum, as base64url
//     version   int8      1
//     turn      uvarint
//     topics    uvarint   how many topics follow
//     topic => topicId [partition]
//       topicId     16 bytes
//       partitions  uvarint   twice their number, plus 1 where they are the whole topic
//       partition => skipped nextOffset
//         skipped     uvarint   partitions left out since the one before; not written for a whole topic
//         nextOffset  svarint   less the nextOffset of the partition before
//     checksum  uint32    CRC-32C of all before it
//
// A uvarint has seven bits a byte, the least significant first, the top bit says that another byte follows; an svarint
// is one whose lowest bit is the sign. Neighbours stand at like offsets, so most partitions take one to three bytes.

import { crc32c } from '../../kernel/crc32c.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { CURSOR_BYTES_MAX, OFFSET_MAX, TOPIC_PARTITIONS_MAX } from '../../kernel/limits.ts'

export interface CursorTopic {
  /** UUID of the topic's incarnation, lower-case hex with dashes. */
  readonly topicId: string
  /** All partitions of the topic: those born later are read from their start. Else only those listed. */
  readonly whole: boolean
  /** Rising by partition; with `whole` they are 0, 1, 2 ... without a hole. */
  readonly partitions: readonly CursorPartition[]
}

export interface CursorPartition {
  readonly partition: number
  readonly nextOffset: number
}

export interface Cursor {
  readonly topics: readonly CursorTopic[]
  /** Which of all listed partitions, counted through, has the first turn in the next page. */
  readonly turn: number
}

const VERSION = 1
const TOPIC_ID_BYTES = 16
const CHECKSUM_BYTES = 4
/** Version, turn, count of topics and checksum: no cursor is shorter. */
const BYTES_MIN = 1 + 1 + 1 + CHECKSUM_BYTES

/** invalid_request when it would be longer than CURSOR_BYTES_MAX: the reader has to name partitions. */
export function encodeCursor({ topics, turn }: Cursor): string {
  const listed = topics.map(({ partitions, ...topic }) => {
    return { ...topic, partitions: partitions.map(({ partition }) => partition) }
  })
  const offsets = topics.flatMap(({ partitions }) => partitions.map(({ nextOffset }) => nextOffset))
  return new CursorEncoder(listed).encode(offsets, turn)
}

export interface ListedTopic extends Pick<CursorTopic, 'topicId' | 'whole'> {
  readonly partitions: readonly number[]
}

/** Cursors over the same partitions, one after the other: an event stream has one for each record. */
export class CursorEncoder {
  readonly #topics: readonly (ListedTopic & { readonly idBytes: Buffer })[]
  readonly #writer = new VarintWriter()

  constructor(topics: readonly ListedTopic[]) {
    this.#topics = topics.map((topic) => ({ ...topic, idBytes: Buffer.from(topic.topicId.replaceAll('-', ''), 'hex') }))
  }

  /** `nextOffsets`: of all partitions, topic by topic. invalid_request when it would be longer than CURSOR_BYTES_MAX. */
  encode(nextOffsets: ArrayLike<number>, turn: number): string {
    const writer = this.#writer
    writer.begin()
    writer.byte(VERSION)
    writer.unsigned(turn)
    writer.unsigned(this.#topics.length)
    let at = 0
    for (const { idBytes, whole, partitions } of this.#topics) {
      writer.raw(idBytes)
      writer.unsigned(partitions.length * 2 + (whole ? 1 : 0))
      let partitionBefore = -1
      let offsetBefore = 0
      for (const partition of partitions) {
        const nextOffset = nextOffsets[at++] as number
        if (!whole) writer.unsigned(partition - partitionBefore - 1)
        writer.signed(nextOffset - offsetBefore)
        partitionBefore = partition
        offsetBefore = nextOffset
      }
    }
    const text = writer.finish()
    if (text.length > CURSOR_BYTES_MAX) throw tooManyPartitions(at)
    return text
  }
}

/** invalid_cursor for whatever encodeCursor did not give. */
export function decodeCursor(text: string): Cursor {
  if (text.length > CURSOR_BYTES_MAX) throw mangled(`it is longer than ${CURSOR_BYTES_MAX} characters`)
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length < BYTES_MIN || bytes.toString('base64url') !== text) throw mangled('it is cut or not base64url')
  const end = bytes.length - CHECKSUM_BYTES
  if (crc32c(bytes, 0, end) !== bytes.readUInt32BE(end)) throw mangled('its checksum does not fit')
  if (bytes[0] !== VERSION) throw mangled(`its version ${bytes[0]} is not known here`)
  const reader = new VarintReader(bytes, 1, end)
  const turn = reader.unsigned()
  const topicCount = reader.unsigned()
  const topics: CursorTopic[] = []
  while (topics.length < topicCount) topics.push(readTopic(reader))
  if (!reader.ended) throw mangled('more follows than it announces')
  return { topics, turn }
}

function readTopic(reader: VarintReader): CursorTopic {
  const topicId = uuidOf(reader.raw(TOPIC_ID_BYTES))
  const announced = reader.unsigned()
  const whole = announced % 2 === 1
  const partitionCount = (announced - (announced % 2)) / 2
  const partitions: CursorPartition[] = []
  let partition = -1
  let nextOffset = 0
  while (partitions.length < partitionCount) {
    partition += whole ? 1 : 1 + reader.unsigned()
    nextOffset += reader.signed()
    const sound = partition < TOPIC_PARTITIONS_MAX && nextOffset >= 0 && nextOffset <= OFFSET_MAX
    if (!sound) throw mangled('it names what cannot be')
    partitions.push({ partition, nextOffset })
  }
  return { topicId, whole, partitions }
}

function uuidOf(bytes: Buffer): string {
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function mangled(reason: string): TailraceError {
  return new TailraceError('invalid_cursor', `this is not a cursor that was given here: ${reason}`)
}

function tooManyPartitions(partitionCount: number): TailraceError {
  return new TailraceError(
    'invalid_request',
    `a cursor over ${partitionCount} partitions does not fit into ${CURSOR_BYTES_MAX} characters: name fewer partitions and read them apart`,
    { partition_count: partitionCount, cursor_bytes_max: CURSOR_BYTES_MAX },
  )
}

class VarintWriter {
  #bytes = Buffer.allocUnsafe(256)
  #length = 0

  begin(): void {
    this.#length = 0
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes, this.#bytes])
    this.#bytes[this.#length++] = value
  }

  raw(bytes: Uint8Array): void {
    for (const value of bytes) this.byte(value)
  }

  unsigned(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.byte(rest)
  }

  // Twice an offset may be beyond 2^53: the sign goes into the first byte apart from the number.
  signed(value: number): void {
    const size = Math.abs(value)
    const first = ((size % 0x40) << 1) | (value < 0 ? 1 : 0)
    const rest = Math.floor(size / 0x40)
    this.byte(rest === 0 ? first : first | 0x80)
    if (rest !== 0) this.unsigned(rest)
  }

  finish(): string {
    const checksum = crc32c(this.#bytes, 0, this.#length)
    for (const shift of [24, 16, 8, 0]) this.byte((checksum >>> shift) & 0xff)
    return this.#bytes.toString('base64url', 0, this.#length)
  }
}

class VarintReader {
  readonly #bytes: Buffer
  readonly #end: number
  #at: number

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get ended(): boolean {
    return this.#at === this.#end
  }

  raw(length: number): Buffer {
    if (this.#at + length > this.#end) throw mangled('it is cut')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  unsigned(): number {
    return this.#rest(0, 1)
  }

  signed(): number {
    const first = this.#byte()
    const low = (first & 0x7f) >> 1
    const size = first & 0x80 ? this.#rest(low, 0x40) : low
    return first & 1 ? -size : size
  }

  #rest(low: number, scaleOfNext: number): number {
    let value = low
    let scale = scaleOfNext
    for (;;) {
      const byte = this.#byte()
      value += (byte & 0x7f) * scale
      if (value > OFFSET_MAX) throw mangled('it names what cannot be')
      if (byte < 0x80) return value
      scale *= 0x80
    }
  }

  #byte(): number {
    if (this.#at === this.#end) throw mangled('it is cut')
    return this.#bytes[this.#at++] as number
  }
}
