// How long the content of an LZ4 frame is, found by walking its blocks without writing a byte of it: the frame need not
// say, and the native decoder knows no bound. Linked and independent blocks, checksums and content size are allowed.
// One frame must take all bytes.
//
// Frame   => magic:uint32le FLG:byte BD:byte [contentSize:uint64le] [dictionaryId:uint32le] headerChecksum:byte
//            (blockSize:uint32le block [blockChecksum:uint32le])* endMark:uint32le [contentChecksum:uint32le]
// block   => (token:byte [literalLength:byte*] literals matchOffset:uint16le [matchLength:byte*])*   (the last: literals only)

import { TailraceError } from '../kernel/errors.ts'

const MAGIC = 0x184d2204
const BLOCK_CHECKSUM_FLAG = 0x10
const CONTENT_SIZE_FLAG = 0x08
const CONTENT_CHECKSUM_FLAG = 0x04
const DICTIONARY_FLAG = 0x01
const STORED_BLOCK = 0x8000_0000
const MATCH_LENGTH_MIN = 4

export function lz4FrameContentBytes(bytes: Buffer): number {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== MAGIC) throw notLz4('no frame begins here')
  const flags = bytes[4] as number
  if (flags >>> 6 !== 1) throw notLz4('its version is not 1')
  if (flags & DICTIONARY_FLAG) throw notLz4('it needs a dictionary')
  let at = 7 + (flags & CONTENT_SIZE_FLAG ? 8 : 0)
  const checksumBytes = flags & BLOCK_CHECKSUM_FLAG ? 4 : 0
  let contentBytes = 0
  for (;;) {
    if (at + 4 > bytes.length) throw notLz4('it is cut')
    const blockSize = bytes.readUInt32LE(at)
    at += 4
    if (blockSize === 0) break
    const storedBytes = blockSize >= STORED_BLOCK ? blockSize - STORED_BLOCK : 0
    const blockEnd = at + (storedBytes || blockSize)
    if (blockEnd + checksumBytes > bytes.length) throw notLz4('a block is cut')
    contentBytes += storedBytes || blockContentBytes(bytes, at, blockEnd)
    at = blockEnd + checksumBytes
  }
  if (at + (flags & CONTENT_CHECKSUM_FLAG ? 4 : 0) !== bytes.length) throw notLz4('something follows its end')
  return contentBytes
}

function blockContentBytes(bytes: Buffer, start: number, end: number): number {
  let contentBytes = 0
  let at = start
  while (at < end) {
    const token = bytes[at++] as number
    let literals = token >>> 4
    if (literals === 15) {
      const runStart = at
      while (bytes[at] === 0xff && at < end) at++
      literals += (at - runStart) * 255 + (bytes[at++] as number)
    }
    at += literals
    contentBytes += literals
    if (at >= end) break
    at += 2
    let match = token & 15
    if (match === 15) {
      const runStart = at
      while (bytes[at] === 0xff && at < end) at++
      match += (at - runStart) * 255 + (bytes[at++] as number)
    }
    contentBytes += match + MATCH_LENGTH_MIN
  }
  if (at !== end || !Number.isSafeInteger(contentBytes)) throw notLz4('a block ends inside a sequence')
  return contentBytes
}

function notLz4(why: string): TailraceError {
  return new TailraceError('corrupt_message', `the records are no LZ4 frame: ${why}`, { compression: 'lz4' })
}
