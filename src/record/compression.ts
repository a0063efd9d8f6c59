// The four codecs of Kafka's batches, in framings that every Kafka client reads: gzip, snappy, lz4 as LZ4 frames, zstd.
// Every inflation is bounded before it happens: a few bytes must not become gigabytes. Snappy and lz4 are native
// packages, loaded on first use, so that a server that never meets them starts without them. Each way there is a call
// that works where it stands and one that works in a thread of the pool.

import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import type { ZlibOptions, ZstdOptions } from 'node:zlib'
import {
  constants,
  gunzip,
  gunzipSync,
  gzip,
  gzipSync,
  zstdCompress,
  zstdCompressSync,
  zstdDecompress,
  zstdDecompressSync,
} from 'node:zlib'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import { lz4FrameContentBytes } from './lz4-frame.ts'

/** In the order of the attribute bits. */
export const COMPRESSION_TYPES = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type CompressionType = (typeof COMPRESSION_TYPES)[number]

export interface BatchCodec {
  readonly type: CompressionType
  /** As gzip and zstd count; undefined: the codec's default. The lz4 library has one level only, snappy has none. */
  readonly level?: number | undefined
}

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
      return gzipSync(bytes, gzipOptions(level))
    case 'snappy':
      return snappy().compressSync(bytes, COPIED)
    case 'lz4':
      return lz4().compressFrameSync(bytes)
    case 'zstd':
      return zstdCompressSync(bytes, zstdOptions(level))
  }
}

/** The same in a thread. The bytes must not change meanwhile. */
export async function compressInThread(type: CompressionType, bytes: Buffer, level?: number): Promise<Uint8Array> {
  const chunkSize = chunkSizeFor(bytes.length)
  switch (type) {
    case 'none':
      return bytes
    case 'gzip':
      return gzipInThread(bytes, { ...gzipOptions(level), chunkSize })
    case 'snappy':
      return snappy().compress(bytes, COPIED)
    case 'lz4':
      return lz4().compressFrame(bytes)
    case 'zstd':
      return zstdCompressInThread(bytes, { ...zstdOptions(level), chunkSize, pledgedSrcSize: bytes.length })
  }
}

const gzipInThread = promisify<Buffer, ZlibOptions, Buffer>(gzip)
const gunzipInThread = promisify<Buffer, ZlibOptions, Buffer>(gunzip)
const zstdCompressInThread = promisify<Buffer, ZstdOptions, Buffer>(zstdCompress)
const zstdDecompressInThread = promisify<Buffer, ZstdOptions, Buffer>(zstdDecompress)

/** Node goes back to the event loop for each chunk of output, 16 KiB unless told otherwise: most come out in one. */
function chunkSizeFor(outputBytes: number): number {
  return Math.min(CHUNK_BYTES_MAX, outputBytes + (outputBytes >> 8) + 1024)
}

const CHUNK_BYTES_MAX = 4 * 1024 * 1024
/** What text inflates to, about. */
const INFLATION = 6

function gzipOptions(level: number | undefined): ZlibOptions {
  return level === undefined ? {} : { level }
}

function zstdOptions(level: number | undefined): ZstdOptions {
  return level === undefined ? {} : { params: { [constants.ZSTD_c_compressionLevel]: level } }
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

/** The same in a thread. The bytes must not change meanwhile. */
export async function decompressInThread(type: CompressionType, bytes: Buffer, bytesMax: number): Promise<Buffer> {
  const options = { maxOutputLength: bytesMax, chunkSize: chunkSizeFor(bytes.length * INFLATION) }
  try {
    switch (type) {
      case 'none':
        return bytes
      case 'gzip':
        return await gunzipInThread(bytes, options)
      case 'snappy': {
        const { uncompress } = snappy()
        const inflated: Buffer[] = []
        for (const block of snappyBlocks(bytes, bytesMax)) inflated.push((await uncompress(block, COPIED)) as Buffer)
        return joined(inflated)
      }
      case 'lz4':
        checkInflated(lz4FrameContentBytes(bytes), bytesMax)
        return await lz4().decompressFrame(bytes)
      case 'zstd':
        return await zstdDecompressInThread(bytes, options)
    }
  } catch (error) {
    throw asDecompressionError(error, type, bytesMax)
  }
}

function decompressSnappy(bytes: Buffer, bytesMax: number): Buffer {
  const { uncompressSync } = snappy()
  return joined(snappyBlocks(bytes, bytesMax).map((block) => uncompressSync(block, COPIED) as Buffer))
}

/** Which together inflate to no more than the bound. */
function snappyBlocks(bytes: Buffer, bytesMax: number): Buffer[] {
  const blocks = isXerial(bytes) ? xerialBlocks(bytes) : [bytes]
  let inflatedBytes = 0
  for (const block of blocks) {
    inflatedBytes += snappyBlockContentBytes(block)
    checkInflated(inflatedBytes, bytesMax)
  }
  return blocks
}

function joined(parts: readonly Buffer[]): Buffer {
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
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
