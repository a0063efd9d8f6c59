// How fast the record floor seals, walks and checks, on one core: node bench/micro/record.ts
// Records are 130 bytes in the batch (a key of 12, a value of 100); each line is the best of five rounds after a warm-up.
// What a page read or a produce request costs above this floor is measured by bench/run.ts.

import { crc32c } from '../../src/kernel/crc32c.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import type { CompressionType } from '../../src/record/compression.ts'
import type { RecordParts } from '../../src/record/record.ts'
import { sealBatch } from '../../src/record/record-batch.ts'

const ROUND_MS = 400
const ROUNDS = 5

/** Units a second: `work` does `units` of them at each call. */
function measure(units: number, work: () => void): number {
  let best = 0
  for (let round = 0; round <= ROUNDS; round++) {
    const begin = performance.now()
    let calls = 0
    let elapsed = 0
    while (elapsed < ROUND_MS) {
      for (let call = 0; call < 10; call++) work()
      calls += 10
      elapsed = performance.now() - begin
    }
    if (round > 0) best = Math.max(best, (calls * units * 1000) / elapsed)
  }
  return best
}

function print(what: string, perSecond: number, unit: string): void {
  process.stdout.write(`${what.padEnd(44)}${(perSecond / 1e6).toFixed(2).padStart(10)} M ${unit}/s\n`)
}

/** Records as the produce path has them: ranges of one request body. */
function makeRecords(count: number, keyBytes = 12, valueBytes = 100): RecordParts[] {
  const body = Buffer.alloc(count * (keyBytes + valueBytes + 20), 'the body of a request, ')
  return Array.from({ length: count }, (_, index) => {
    const keyStart = index * (keyBytes + valueBytes + 20)
    const valueStart = keyStart + keyBytes + 10
    const ranges = { keyStart, keyEnd: keyStart + keyBytes, valueStart, valueEnd: valueStart + valueBytes }
    return { key: body, value: body, ...ranges, headers: [], timestamp: 1_700_000_000_000 + (index >> 4) }
  })
}

function benchSeal(count: number, compression: CompressionType = 'none'): void {
  const records = makeRecords(count)
  const calls = Math.max(1, Math.floor(1000 / count))
  const perSecond = measure(count * calls, () => {
    for (let call = 0; call < calls; call++) sealBatch(records, { compression })
  })
  print(`seal, ${count} records a batch, ${compression}`, perSecond, 'records')
}

function benchWalk(count: number, compression: CompressionType = 'none', checkCrc = true): void {
  const batchCount = Math.ceil(10_000 / count)
  const { bytes } = sealBatch(makeRecords(count), { compression })
  const page = Buffer.concat(Array.from({ length: batchCount }, () => bytes))
  const reader = new RecordReader({ checkCrc })
  let sum = 0
  const perSecond = measure(count * batchCount, () => {
    for (let position = 0; position < page.length; position = reader.batchEnd) {
      reader.open(page, position)
      while (reader.next()) sum += reader.valueEnd - reader.keyStart + reader.offset + (reader.timestamp & 1)
    }
  })
  if (!(sum > 0)) throw new Error('nothing was walked')
  print(`walk, ${count} records a batch, ${compression}${checkCrc ? '' : ', no crc'}`, perSecond, 'records')
}

function benchCrc(bytesPerCall: number): void {
  const bytes = Buffer.alloc(bytesPerCall + 64, 'some bytes')
  let sum = 0
  const perSecond = measure(bytesPerCall * 64, () => {
    for (let start = 0; start < 64; start++) sum ^= crc32c(bytes, start, start + bytesPerCall)
  })
  if (sum === 1) throw new Error('no checksum')
  print(`crc32c, ${bytesPerCall} bytes a call`, perSecond, 'bytes')
}

for (const count of [1, 10, 100, 10_000]) benchSeal(count)
for (const count of [1, 10, 100]) benchWalk(count)
for (const count of [1, 100]) benchWalk(count, 'none', false)
for (const bytes of [20, 170, 1_000, 13_000]) benchCrc(bytes)
for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
  benchSeal(100, compression)
  benchWalk(100, compression)
}
