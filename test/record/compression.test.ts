// Framings that other clients write, built here by hand from the codecs' own blocks, and what is wrong with bad ones.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compressFrameSync, compressSync as compressLz4 } from 'lz4-napi'
import { compressSync as compressSnappy } from 'snappy'
import { TailraceError } from '../../src/kernel/errors.ts'
import {
  COMPRESSION_TYPES,
  compress,
  compressInThread,
  decompress,
  decompressInThread,
} from '../../src/record/compression.ts'
import { lz4FrameContentBytes } from '../../src/record/lz4-frame.ts'

const BYTES_MAX = 10_000_000
const TEXT = Buffer.from(Array.from({ length: 30_000 }, (_, n) => `line ${(n * 7_919) % 1_009}\n`).join(''))

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** As snappy-java's output stream writes it. */
function xerial(blocks: readonly Buffer[]): Buffer {
  const header = Buffer.concat([Buffer.from([0x82]), Buffer.from('SNAPPY\0'), int32(1), int32(1)])
  return Buffer.concat([header, ...blocks.flatMap((block) => [int32(block.length), block])])
}

function blocksOf(bytes: Buffer, blockBytes: number): Buffer[] {
  const blocks: Buffer[] = []
  for (let start = 0; start < bytes.length; start += blockBytes) blocks.push(bytes.subarray(start, start + blockBytes))
  return blocks
}

test('gives back what it compressed, of any size, here and in a thread', async () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ minLength: 2, maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
    fc.integer({ min: 2, max: TEXT.length }).map((length) => TEXT.subarray(0, length)),
  )
  for (const type of COMPRESSION_TYPES) {
    const property = fc.asyncProperty(anyBytes, async (bytes) => {
      const compressed = Buffer.from(compress(type, bytes))
      assert.deepEqual(Buffer.from(await compressInThread(type, bytes)), compressed)
      assert.ok(decompress(type, compressed, bytes.length).equals(bytes))
      assert.ok((await decompressInThread(type, compressed, bytes.length)).equals(bytes))
      if (type === 'none') return
      const tooLarge = { code: 'message_too_large' }
      assert.throws(() => decompress(type, compressed, bytes.length - 1), tooLarge)
      await assert.rejects(decompressInThread(type, compressed, bytes.length - 1), tooLarge)
    })
    await fc.assert(property, { numRuns: 50 })
  }
})

test("reads snappy in xerial's blocks, as the Java client writes it", async () => {
  for (const blockBytes of [TEXT.length, 32 * 1024, 1_000]) {
    const stream = xerial(blocksOf(TEXT, blockBytes).map((block) => compressSnappy(block)))
    assert.ok(decompress('snappy', stream, TEXT.length).equals(TEXT))
    assert.ok((await decompressInThread('snappy', stream, TEXT.length)).equals(TEXT))
    assert.throws(() => decompress('snappy', stream, TEXT.length - 1), { code: 'message_too_large' })
    for (const cut of [17, 20, 21, stream.length - 1]) {
      assert.throws(() => decompress('snappy', stream.subarray(0, cut), BYTES_MAX), { code: 'corrupt_message' })
    }
  }
  assert.throws(() => decompress('snappy', xerial([Buffer.alloc(0)]), BYTES_MAX), { code: 'corrupt_message' })
})

test('does not believe a snappy block that promises gigabytes', () => {
  const promise = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0x00])
  assert.throws(() => decompress('snappy', promise, BYTES_MAX), { code: 'message_too_large' })
  assert.throws(() => decompress('snappy', Buffer.alloc(9, 0xff), BYTES_MAX), { code: 'corrupt_message' })
})

test('measures LZ4 frames with and without checksums, stored and packed blocks', () => {
  const noise = Buffer.from(Array.from({ length: 70_000 }, (_, n) => (Math.imul(n, 2_654_435_761) >>> 13) & 0xff))
  for (const bytes of [TEXT, noise, Buffer.alloc(5_000_000, 'a'), Buffer.from('x')]) {
    for (const options of [{}, { contentChecksum: true }, { blockChecksums: true, contentChecksum: true }]) {
      const frame = compressFrameSync(bytes, options)
      assert.equal(lz4FrameContentBytes(frame), bytes.length)
      assert.ok(decompress('lz4', frame, bytes.length).equals(bytes))
    }
  }
})

test('reads an LZ4 frame with a content size and linked blocks', () => {
  // FLG 0x48: version 1, linked blocks, content size. The second block copies eight bytes from the first.
  const first = Buffer.from([0x80, ...Buffer.from('abcdefgh')])
  const second = Buffer.from([0x04, 0x08, 0x00, 0x50, ...Buffer.from('12345')])
  const size = (block: Buffer) => Buffer.from([block.length, 0, 0, 0])
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x48, 0x40, 21, 0, 0, 0, 0, 0, 0, 0, 0])
  header[14] = headerChecksum(header.subarray(4, 14))
  const frame = Buffer.concat([header, size(first), first, size(second), second, Buffer.alloc(4)])
  assert.equal(lz4FrameContentBytes(frame), 21)
  assert.equal(decompress('lz4', frame, 100).toString(), 'abcdefghabcdefgh12345')
})

/** The second byte of xxHash32 with seed 0, for inputs under 16 bytes. */
function headerChecksum(bytes: Buffer): number {
  const rotate = (value: number, by: number) => (value << by) | (value >>> (32 - by))
  let hash = (0x165667b1 + bytes.length) | 0
  let at = 0
  for (; at + 4 <= bytes.length; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(bytes.readUInt32LE(at), 0xc2b2ae3d)) | 0, 17), 0x27d4eb2f)
  }
  for (; at < bytes.length; at++)
    hash = Math.imul(rotate((hash + Math.imul(bytes[at]!, 0x165667b1)) | 0, 11), 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca77)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae3d)
  return ((hash ^ (hash >>> 16)) >>> 8) & 0xff
}

test('refuses LZ4 that is no single whole frame', () => {
  const frame = compressFrameSync(TEXT)
  const bad: Record<string, Buffer> = {
    empty: Buffer.alloc(0),
    'a raw block': compressLz4(TEXT),
    'two frames': Buffer.concat([frame, frame]),
    'no end mark': frame.subarray(0, -4),
    'a cut block': frame.subarray(0, 500),
    'a cut header': frame.subarray(0, 7),
  }
  for (const [what, bytes] of Object.entries(bad)) {
    assert.throws(() => decompress('lz4', bytes, BYTES_MAX), { code: 'corrupt_message' }, what)
  }
})

test('fails with nothing but a refusal on cut, changed and random bytes', () => {
  const property = fc.property(
    fc.constantFrom(...COMPRESSION_TYPES),
    fc.nat(400),
    fc.nat(255),
    fc.option(fc.uint8Array({ maxLength: 60 })),
    (type, position, value, random) => {
      const good = Buffer.from(compress(type, TEXT.subarray(0, 1_000)))
      const changed = Buffer.from(good)
      if (position < changed.length) changed[position] = value
      for (const bytes of [changed, good.subarray(0, position), Buffer.from(random ?? [])]) {
        try {
          assert.ok(decompress(type, bytes, BYTES_MAX).length <= BYTES_MAX)
        } catch (error) {
          assert.ok(error instanceof TailraceError, String(error))
          assert.ok(['corrupt_message', 'message_too_large'].includes(error.code), error.code)
        }
      }
    },
  )
  fc.assert(property, { numRuns: 2_000 })
})
