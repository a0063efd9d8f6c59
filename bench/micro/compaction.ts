// How fast the cleaner is, in this process: node bench/micro/compaction.ts [records] [keys]
// Writes segments of 64 MiB with a value of 100 bytes a record into a temporary folder, cleans them once, and prints
// records and megabytes a second of processor time; first what a hash of a key costs, beside MD5 of the crypto library. A pass reads
// everything twice: once for the newest offsets, once to write what stays.

import { hash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SipHash } from '../../src/kernel/siphash.ts'
import type { Segment } from '../../src/log/log-segment.ts'
import { emptySegment, segmentPath } from '../../src/log/log-segment.ts'
import { cleanSegments } from '../../src/log/segment-cleaner.ts'
import { realDisk } from '../../src/log/segment-file.ts'
import type { CompressionType } from '../../src/record/compression.ts'
import type { RecordParts } from '../../src/record/record.ts'
import { sealBatch, stampBatch } from '../../src/record/record-batch.ts'

const SEGMENT_BYTES = 64 * 1024 * 1024
const VALUE = Buffer.alloc(100, 'a value of a hundred bytes, ')
const TIMESTAMP = 1_700_000_000_000

function benchHash(): void {
  const keys = randomBytes(16 * 4_096)
  const hasher = new SipHash(randomBytes(16))
  const calls = 500_000
  const nanoseconds = (work: (start: number) => void) => {
    let best = Number.POSITIVE_INFINITY
    for (let round = 0; round < 3; round++) {
      const begin = performance.now()
      for (let call = 0; call < calls; call++) work((call & 4_095) * 16)
      best = Math.min(best, ((performance.now() - begin) * 1e6) / calls)
    }
    return best.toFixed(0)
  }
  const sip = nanoseconds((start) => hasher.hash(keys, start, start + 12))
  const md5 = nanoseconds((start) => hash('md5', keys.subarray(start, start + 12), 'buffer'))
  process.stdout.write(`hash of a key of 12 bytes: SipHash ${sip} ns, MD5 ${md5} ns\n`)
}

/** Keys come in an order that looks random, each about equally often. */
async function writeSegments(
  directory: string,
  recordCount: number,
  keyCount: number,
  batchRecords: number,
  compression: CompressionType,
): Promise<Segment[]> {
  const segments: Segment[] = []
  let offset = 0
  let number = 1
  while (offset < recordCount) {
    const segment = emptySegment(offset)
    const file = await realDisk.open(segmentPath(directory, offset), true)
    while (offset < recordCount && segment.sizeBytes < SEGMENT_BYTES) {
      const batches: Buffer[] = []
      for (let one = 0; one < Math.ceil(10_000 / batchRecords) && offset < recordCount; one++) {
        const records: RecordParts[] = Array.from({ length: Math.min(batchRecords, recordCount - offset) }, () => {
          number = (Math.imul(number, 1_664_525) + 1_013_904_223) >>> 0
          const key = Buffer.from(`key-${String(number % keyCount).padStart(8, '0')}`)
          const ranges = { keyStart: 0, keyEnd: key.length, valueStart: 0, valueEnd: VALUE.length }
          return { key, value: VALUE, ...ranges, headers: [], timestamp: TIMESTAMP }
        })
        const batch = sealBatch(records, { compression })
        stampBatch(batch, offset, 0)
        offset += records.length
        batches.push(batch.bytes)
      }
      await file.write(batches, segment.sizeBytes)
      for (const { length } of batches) segment.sizeBytes += length
    }
    await file.close()
    segment.endOffset = offset
    segments.push(segment)
  }
  return segments
}

async function benchClean(
  recordCount: number,
  keyCount: number,
  batchRecords: number,
  compression: CompressionType = 'none',
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-compaction-'))
  try {
    const segments = await writeSegments(directory, recordCount, keyCount, batchRecords, compression)
    let bytes = 0
    for (const { sizeBytes } of segments) bytes += sizeBytes
    const request = {
      directory,
      segments,
      logStartOffset: 0,
      firstDirtyOffset: 0,
      cleanableEnd: recordCount,
      segmentBytes: SEGMENT_BYTES,
      indexIntervalBytes: 4_096,
      deleteRetentionMs: 86_400_000,
      nowMs: TIMESTAMP,
      producerLastOffsets: [],
      mapBytesMax: 128 * 1024 * 1024,
    }
    const begin = process.cpuUsage()
    const result = await cleanSegments(realDisk, request, async () => undefined)
    const { user, system } = process.cpuUsage(begin)
    const seconds = (user + system) / 1e6
    let leftBytes = 0
    for (const name of readdirSync(directory)) {
      if (name.endsWith('.cleaned')) leftBytes += statSync(join(directory, name)).size
    }
    const what = `${recordCount} records, ${keyCount} keys, ${batchRecords} a batch, ${compression}`
    const speed = `${(recordCount / seconds / 1e6).toFixed(2)} M records/s, ${(bytes / seconds / 1e6).toFixed(0)} MB/s`
    const left = `${result.recordsKept} records and ${(leftBytes / 1e6).toFixed(1)} MB left of ${(bytes / 1e6).toFixed(0)}`
    process.stdout.write(`${what.padEnd(56)}${speed}; ${left}\n`)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const recordCount = Number(process.argv[2] ?? 1_000_000)
const keyCount = Number(process.argv[3] ?? 10_000)

benchHash()
for (const batchRecords of [1, 100, 5_000]) await benchClean(recordCount, keyCount, batchRecords)
for (const compression of ['lz4', 'zstd'] as const) await benchClean(recordCount, keyCount, 1_000, compression)
await benchClean(recordCount, recordCount, 100)
