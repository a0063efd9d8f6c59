// The four codecs of Kafka's batches, in framings that every Kafka client reads: gzip, snappy, lz4 as LZ4 frames, zstd.
// Every inflation is bounded before it happens: a few bytes must not become gigabytes. Snappy and lz4 are native
// packages, loaded on first use, so that a server that never meets them starts without them.

import { createRequire } from 'node:module'
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import { lz4FrameContentBytes } from './lz4-frame.ts'

/** In the order of the attribute bits. */
export const COMPRESSION_TYPES = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type CompressionType = (typeof COMPRESSION_TYPES)[number]

const require = createRequire(import.meta.url)
const snappy = (): typeof import('snappy') => require('snappy')
const lz4 = (): typeof import('lz4-napi') => require('lz4-napi')

// Snappy is written as one plain block, as librdkafka does: snappy-java reads that too, and some clients nothing else.
// What Java's client writes is xerial's stream of blocks:
// Xerial => magic:8 bytes version:int32 compatibleVersion:int32 (blockBytes:int32 block)*
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_HEADER_BYTES = 16

/** Memory that the package hands over instead needs a finalizer each: five to fifteen times slower on batches of 13 kB. */
const COPIED = { asBuffer: true, copyOutputData: true }

export function compress(type: CompressionType, bytes: Buffer, level?: number): Uint8Array {
  switch (type) {
    case 'none':
      return bytes
    case 'gzip':
      return gzipSync(bytes, level === undefined ? {} : { level })
    case 'snappy':
      return snappy().compressSync(bytes, COPIED)
    case 'lz4':
      return lz4().compressFrameSync(bytes)
    case 'zstd':
      return zstdCompressSync(
        bytes,
        level === undefined ? {} : { params: { [constants.ZSTD_c_compressionLevel]: level } },
      )
  }
}

/** Throws corrupt_message for bytes that are not of this type, message_too_large beyond `bytesMax`. */
export function decompress(type: CompressionType, bytes: Buffer, bytesMax: number): Buffer {
  try {
    switch (type) {
      case 'none':
        return bytes
      case 'gzip':
        return gunzipSync(bytes, { maxOutputLength: bytesMax })
      case 'snappy':
        return decompressSnappy(bytes, bytesMax)
      case 'lz4':
        checkInflated(lz4FrameContentBytes(bytes), bytesMax)
        return lz4().decompressFrameSync(bytes)
      case 'zstd':
        return zstdDecompressSync(bytes, { maxOutputLength: bytesMax })
    }
  } catch (error) {
    throw asDecompressionError(error, type, bytesMax)
  }
}

function decompressSnappy(bytes: Buffer, bytesMax: number): Buffer {
  const { uncompressSync } = snappy()
  const blocks = isXerial(bytes) ? xerialBlocks(bytes) : [bytes]
  let inflatedBytes = 0
  for (const block of blocks) {
    inflatedBytes += snappyBlockContentBytes(block)
    checkInflated(inflatedBytes, bytesMax)
  }
  const inflated = blocks.map((block) => uncompressSync(block, COPIED) as Buffer)
  return inflated.length === 1 ? (inflated[0] as Buffer) : Buffer.concat(inflated, inflatedBytes)
}

function isXerial(bytes: Buffer): boolean {
  return bytes.length >= XERIAL_HEADER_BYTES && bytes.compare(XERIAL_MAGIC, 0, 8, 0, 8) === 0
}

function xerialBlocks(bytes: Buffer): Buffer[] {
  const blocks: Buffer[] = []
  let at = XERIAL_HEADER_BYTES
  while (at < bytes.length) {
    const blockBytes = at + 4 <= bytes.length ? bytes.readInt32BE(at) : -1
    if (blockBytes <= 0 || at + 4 + blockBytes > bytes.length) {
      throw new TailraceError('corrupt_message', 'a snappy chunk is longer than its stream')
    }
    blocks.push(bytes.subarray(at + 4, at + 4 + blockBytes))
    at += 4 + blockBytes
  }
  return blocks
}

/** A snappy block begins with the length of its content: an unsigned varint of 32 bits. */
function snappyBlockContentBytes(block: Buffer): number {
  let value = 0
  for (let at = 0; at < 5; at++) {
    const byte = block[at]
    if (byte === undefined) break
    value += (byte & 0x7f) * 2 ** (7 * at)
    if (byte < 0x80) return value
  }
  throw new TailraceError('corrupt_message', 'a snappy block does not say how long its content is')
}

function checkInflated(inflatedBytes: number, bytesMax: number): void {
  if (inflatedBytes > bytesMax) throw inflatesTooFar(bytesMax)
}

function inflatesTooFar(bytesMax: number): TailraceError {
  return new TailraceError('message_too_large', `a compressed batch inflates to more than ${bytesMax} bytes`, {
    limit_bytes: bytesMax,
  })
}

function asDecompressionError(error: unknown, type: CompressionType, bytesMax: number): TailraceError {
  if (error instanceof TailraceError) return error
  if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return inflatesTooFar(bytesMax)
  if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return asTailraceError(error)
  return new TailraceError('corrupt_message', `the records are not ${type}`, { compression: type }, { cause: error })
}
