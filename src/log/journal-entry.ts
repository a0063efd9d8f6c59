// The bytes of the commit journal (commit-journal.ts writes them, journal-replay.ts reads them after a crash). No I/O.
//
//   file =>   marker 8 bytes, id 16 bytes, crc uint32 (of both), zeros up to 4096, then entries and what is left of older ones
//   entry =>  id            16 bytes  the journal's own, at random: bytes that a client sent never look like an entry
//             crc           uint32    CRC-32C of all that follows
//             length        int32     of the whole entry
//             number        int64     one more than that of the entry written before it, over both files
//             needed_from   int64     entries with lower numbers are in the segment files, durably
//             stretch_count   int32
//             stretch =>      topic_id 36 characters, partition int32, segment_base int64, position int64, length int32
//             bytes of each stretch

import { crc32c } from '../kernel/crc32c.ts'

/** What one partition wrote into its segment file. */
export interface JournalStretch {
  readonly topicId: string
  readonly partition: number
  /** Base offset of the segment, and the byte in its file. */
  readonly segmentBase: number
  readonly position: number
  readonly sizeBytes: number
  readonly buffers: readonly Buffer[]
}

export interface JournalEntry {
  readonly number: number
  readonly neededFrom: number
  readonly stretches: readonly JournalStretch[]
}

export const JOURNAL_ID_BYTES = 16
/** Where the first entry begins: the page in front of it is never written again. */
export const JOURNAL_HEADER_BYTES = 4096

const MARKER = Buffer.from('TRJRNL\x00\x01', 'latin1')
const CRC_AT = JOURNAL_ID_BYTES
const LENGTH_AT = CRC_AT + 4
const NUMBER_AT = LENGTH_AT + 4
const NEEDED_FROM_AT = NUMBER_AT + 8
const COUNT_AT = NEEDED_FROM_AT + 8
export const ENTRY_HEAD_BYTES = COUNT_AT + 4
const TOPIC_ID_CHARS = 36
export const STRETCH_HEAD_BYTES = TOPIC_ID_CHARS + 4 + 8 + 8 + 4
const TWO_TO_32 = 0x1_0000_0000

/** A whole file without entries. */
export function renderJournalFile(id: Buffer, fileBytes: number): Buffer {
  const bytes = Buffer.alloc(fileBytes)
  MARKER.copy(bytes)
  id.copy(bytes, MARKER.length)
  const crcAt = MARKER.length + JOURNAL_ID_BYTES
  bytes.writeUInt32BE(crc32c(bytes, 0, crcAt), crcAt)
  return bytes
}

/** The id in a file's header; undefined where there is no whole header. */
export function parseJournalId(bytes: Buffer): Buffer | undefined {
  const crcAt = MARKER.length + JOURNAL_ID_BYTES
  if (bytes.length < JOURNAL_HEADER_BYTES || !bytes.subarray(0, MARKER.length).equals(MARKER)) return undefined
  if (bytes.readUInt32BE(crcAt) !== crc32c(bytes, 0, crcAt)) return undefined
  return bytes.subarray(MARKER.length, crcAt)
}

export function entryBytes(stretches: readonly JournalStretch[]): number {
  let bytes = ENTRY_HEAD_BYTES + stretches.length * STRETCH_HEAD_BYTES
  for (const stretch of stretches) bytes += stretch.sizeBytes
  return bytes
}

/** Renders the head into a buffer that is large enough; answers it and the stretches' own buffers, which are not copied. */
export function renderEntry(
  into: Buffer,
  id: Buffer,
  entry: { readonly number: number; readonly neededFrom: number; readonly stretches: readonly JournalStretch[] },
): Buffer[] {
  const { stretches } = entry
  const head = into.subarray(0, ENTRY_HEAD_BYTES + stretches.length * STRETCH_HEAD_BYTES)
  id.copy(head)
  head.writeInt32BE(entryBytes(stretches), LENGTH_AT)
  writeInt64(head, NUMBER_AT, entry.number)
  writeInt64(head, NEEDED_FROM_AT, entry.neededFrom)
  head.writeInt32BE(stretches.length, COUNT_AT)
  let at = ENTRY_HEAD_BYTES
  for (const stretch of stretches) {
    head.write(stretch.topicId, at, 'latin1')
    head.writeInt32BE(stretch.partition, at + 36)
    writeInt64(head, at + 40, stretch.segmentBase)
    writeInt64(head, at + 48, stretch.position)
    head.writeInt32BE(stretch.sizeBytes, at + 56)
    at += STRETCH_HEAD_BYTES
  }
  const rendered = [head]
  let crc = crc32c(head, LENGTH_AT, head.length)
  for (const stretch of stretches) {
    for (const buffer of stretch.buffers) {
      crc = crc32c(buffer, 0, buffer.length, crc)
      rendered.push(buffer)
    }
  }
  head.writeUInt32BE(crc, CRC_AT)
  return rendered
}

/** All whole entries of a file, wherever they lie, of its present and of earlier uses. */
export function findEntries(bytes: Buffer, id: Buffer): JournalEntry[] {
  const entries: JournalEntry[] = []
  let at = bytes.indexOf(id, JOURNAL_HEADER_BYTES)
  while (at >= 0) {
    const entry = parseEntry(bytes, at)
    if (entry !== undefined) entries.push(entry)
    at = bytes.indexOf(id, at + (entry === undefined ? 1 : entryBytes(entry.stretches)))
  }
  return entries
}

function parseEntry(bytes: Buffer, start: number): JournalEntry | undefined {
  if (start + ENTRY_HEAD_BYTES > bytes.length) return undefined
  const end = start + bytes.readInt32BE(start + LENGTH_AT)
  const count = bytes.readInt32BE(start + COUNT_AT)
  let dataAt = start + ENTRY_HEAD_BYTES + count * STRETCH_HEAD_BYTES
  if (count < 0 || end > bytes.length || dataAt > end) return undefined
  if (bytes.readUInt32BE(start + CRC_AT) !== crc32c(bytes, start + LENGTH_AT, end)) return undefined
  const stretches: JournalStretch[] = []
  for (let at = start + ENTRY_HEAD_BYTES; stretches.length < count; at += STRETCH_HEAD_BYTES) {
    const sizeBytes = bytes.readInt32BE(at + 56)
    stretches.push({
      topicId: bytes.toString('latin1', at, at + TOPIC_ID_CHARS),
      partition: bytes.readInt32BE(at + 36),
      segmentBase: readInt64(bytes, at + 40),
      position: readInt64(bytes, at + 48),
      sizeBytes,
      buffers: [bytes.subarray(dataAt, dataAt + sizeBytes)],
    })
    dataAt += sizeBytes
  }
  if (dataAt !== end) return undefined
  return {
    number: readInt64(bytes, start + NUMBER_AT),
    neededFrom: readInt64(bytes, start + NEEDED_FROM_AT),
    stretches,
  }
}

function writeInt64(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32BE(Math.floor(value / TWO_TO_32), at)
  bytes.writeUInt32BE(value >>> 0, at + 4)
}

function readInt64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * TWO_TO_32 + bytes.readUInt32BE(at + 4)
}
