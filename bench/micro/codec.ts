// Records a second through the codec, on one core: produce bodies cut into records beside JSON.parse, records written as
// JSON beside parse and stringify. CPU time is counted, so that a busy machine disturbs less.
// node bench/micro/codec.ts

import { parseProduceBody, parseRecordLine } from '../../src/codec/produce-body.ts'
import type { RecordJsonOptions } from '../../src/codec/record-json.ts'
import { RecordJsonWriter } from '../../src/codec/record-json.ts'
import { ByteWriter } from '../../src/kernel/byte-writer.ts'
import { skipJsonValue } from '../../src/kernel/json-scanner.ts'
import { isJson } from '../../src/kernel/json-text.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import { sealBatch } from '../../src/record/record-batch.ts'

const ROUNDS = 12
const ROUND_RECORDS = 200_000

/** The best round: what the code can do when nothing else disturbs it. */
function recordsPerSecond(recordsPerCall: number, call: () => void): number {
  const calls = Math.ceil(ROUND_RECORDS / recordsPerCall)
  let best = 0
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage()
    for (let done = 0; done < calls; done++) call()
    const { user, system } = process.cpuUsage(before)
    best = Math.max(best, (calls * recordsPerCall * 1e6) / (user + system))
  }
  return best
}

function show(name: string, rate: number, baseline?: number): void {
  const ratio = baseline === undefined ? '' : `${(rate / baseline).toFixed(2)} x`
  console.log(`${name.padEnd(56)} ${(rate / 1e6).toFixed(2).padStart(7)} M records/s  ${ratio}`)
}

/** 130 bytes each. */
const value = (index: number) =>
  `{"id":${1000000 + index},"user":"user-${10000 + (index % 977)}","action":"page_view","path":"/products/${100 + (index % 89)}","ms":12.5,"ok":true,"tags":["a","bc"],"by":null}`

/** Some bodies of the same shape, so that no single one is learnt by heart. */
function bodies(recordCount: number): Buffer[] {
  return Array.from({ length: 32 }, (_, body) => {
    const records = Array.from({ length: recordCount }, (_, index) => {
      const number = body * recordCount + index
      return `{"key":"c-${number}","value":${value(number)}}`
    })
    return Buffer.from(`{"records":[${records.join(',')}]}`)
  })
}

let sink = 0

function benchScan(): void {
  const texts = Array.from({ length: 1000 }, (_, index) => Buffer.from(value(index)))
  const all = Buffer.concat(texts)
  const bytes = all.length / texts.length
  const strings = texts.map(String)
  const each = (use: (start: number, end: number) => number) => () => {
    let start = 0
    for (const text of texts) {
      sink += use(start, start + text.length)
      start += text.length
    }
  }
  const baseline = recordsPerSecond(1000, () => {
    for (const text of strings) sink += JSON.parse(text).id
  })
  show(`JSON.parse of a value (${megabytes(baseline, bytes)})`, baseline)
  const skip = recordsPerSecond(
    1000,
    each((start, end) => skipJsonValue(all, start, end)),
  )
  show(`skipJsonValue (${megabytes(skip, bytes)})`, skip, baseline)
  const check = recordsPerSecond(
    1000,
    each((start, end) => (isJson(all, start, end) ? 1 : 0)),
  )
  show(`isJson (${megabytes(check, bytes)})`, check, baseline)
}

function megabytes(rate: number, bytes: number): string {
  return `${((rate * bytes) / 1e6).toFixed(0)} MB/s`
}

function benchParse(recordCount: number): void {
  const some = bodies(recordCount)
  let next = 0
  const baseline = recordsPerSecond(recordCount, () => {
    sink += JSON.parse(some[next++ & 31]!.toString()).records.length
  })
  show(`JSON.parse of a body of ${recordCount}`, baseline)
  const rate = recordsPerSecond(recordCount, () => {
    sink += parseProduceBody(some[next++ & 31]!).length
  })
  show(`parseProduceBody of ${recordCount}`, rate, baseline)
}

const BASE_MS = Date.UTC(2026, 10, 21)

function sealed(values: (index: number) => string): Buffer {
  const records = Array.from({ length: 1000 }, (_, index) => {
    const text = Buffer.from(values(index))
    const key = Buffer.from(`c-${index}`)
    return {
      key,
      keyStart: 0,
      keyEnd: key.length,
      value: text,
      valueStart: 0,
      valueEnd: text.length,
      headers: [],
      timestamp: BASE_MS + index * 7,
    }
  })
  return sealBatch(records, { compression: 'none' }).bytes
}

const READ: RecordJsonOptions = { keyFormat: 'auto', valueFormat: 'auto', lineBreaks: 'keep' }

function benchWrite(name: string, batch: Buffer, options: RecordJsonOptions, baseline?: number): Buffer {
  const output = new ByteWriter(1024 * 1024)
  const reader = new RecordReader({ checkCrc: false })
  const writer = new RecordJsonWriter(output, options)
  const rate = recordsPerSecond(1000, () => {
    output.reset()
    reader.open(batch, 0)
    writer.begin('orders', 3, reader.timestampType)
    while (reader.next()) {
      writer.write(reader)
      output.writeByte(0x0a)
    }
  })
  show(`walk a batch and write ${name}`, rate, baseline)
  return Buffer.from(output.written())
}

function benchParseAndStringify(batch: Buffer): number {
  const reader = new RecordReader({ checkCrc: false })
  const rate = recordsPerSecond(1000, () => {
    reader.open(batch, 0)
    const records = []
    while (reader.next()) {
      records.push({
        topic: 'orders',
        partition: 3,
        offset: reader.offset,
        timestamp: new Date(reader.timestamp).toISOString(),
        timestamp_type: reader.timestampType,
        key: reader.bytes.toString('utf8', reader.keyStart, reader.keyEnd),
        value: JSON.parse(reader.bytes.toString('utf8', reader.valueStart, reader.valueEnd)),
        key_encoding: 'string',
        value_encoding: 'json',
        headers: [],
      })
    }
    sink += Buffer.from(JSON.stringify(records)).length
  })
  show('walk a batch, JSON.parse and JSON.stringify', rate)
  return rate
}

function benchLines(lines: Buffer): void {
  const ends: number[] = []
  for (let at = lines.indexOf(0x0a); at >= 0; at = lines.indexOf(0x0a, at + 1)) ends.push(at)
  const strings = lines.toString().trimEnd().split('\n')
  const baseline = recordsPerSecond(1000, () => {
    for (const line of strings) sink += JSON.parse(line).offset
  })
  show('JSON.parse of an exported line', baseline)
  const rate = recordsPerSecond(1000, () => {
    let start = 0
    for (const end of ends) {
      sink += parseRecordLine(lines, start, end, { keepPartition: true }).valueEnd
      start = end + 1
    }
  })
  show('parseRecordLine of an exported line', rate, baseline)
}

console.log(`values of ${value(1).length} bytes; node ${process.version}`)
benchScan()
benchParse(1)
benchParse(100)
const json = sealed(value)
const baseline = benchParseAndStringify(json)
const lines = benchWrite('its JSON', json, READ, baseline)
benchWrite('its JSON as an export', json, { ...READ, lineBreaks: 'base64' }, baseline)
benchWrite('its values as text', json, { ...READ, valueFormat: 'string' }, baseline)
const chinese = sealed((index) => value(index).replace('page_view', '浏览页面'))
benchWrite('JSON beyond ASCII', chinese, READ, baseline)
benchLines(lines)
if (sink === 0) console.log('nothing was done')
