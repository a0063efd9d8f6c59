// RecordValues records as JSON: which form their bytes are shown in, and that what is shown gives the very bytes back.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ENCODINGS } from '../../src/codec/encoding.ts'
import { parseProduceBody, parseRecordLine } from '../../src/codec/produce-body.ts'
import type { ProduceRecord } from '../../src/codec/produce-record.ts'
import type { RecordJsonOptions } from '../../src/codec/record-json.ts'
import { RECORD_FIELDS, RecordJsonWriter } from '../../src/codec/record-json.ts'
import { ByteWriter } from '../../src/kernel/byte-writer.ts'
import { JSON_DEPTH_MAX } from '../../src/kernel/limits.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import type { RecordParts } from '../../src/record/record.ts'
import type { TimestampType } from '../../src/record/record-batch.ts'
import { sealBatch, stampBatch, stampLogAppendTime } from '../../src/record/record-batch.ts'
import type { RecordValues } from '../support/record-parts.ts'
import { partsOf } from '../support/record-parts.ts'

const AUTO: RecordJsonOptions = { keyFormat: 'auto', valueFormat: 'auto', lineBreaks: 'keep' }
const EXPORT: RecordJsonOptions = { ...AUTO, lineBreaks: 'base64' }
const TIME = Date.UTC(2026, 10, 21, 2, 0, 0, 123)

function toParts(record: RecordValues): RecordParts {
  return partsOf({ timestamp: TIME, ...record })
}

interface BatchOptions {
  readonly baseOffset?: number
  readonly logAppendTime?: number
}

/** Through a real batch: sealed, stamped, walked and written, a line for each record. */
function linesOf(
  records: readonly RecordParts[],
  options: RecordJsonOptions,
  batchOptions: BatchOptions = {},
): Buffer[] {
  const batch = sealBatch(records, { compression: 'none' })
  stampBatch(batch, batchOptions.baseOffset ?? 0, 0)
  if (batchOptions.logAppendTime !== undefined) stampLogAppendTime(batch, batchOptions.logAppendTime)
  const output = new ByteWriter(16)
  const writer = new RecordJsonWriter(output, options)
  const reader = new RecordReader()
  reader.open(batch.bytes, 0)
  writer.begin('orders', 3, reader.timestampType)
  const lines: Buffer[] = []
  while (reader.next()) {
    const start = output.position
    writer.write(reader)
    lines.push(Buffer.from(output.bytes.subarray(start, output.position)))
  }
  return lines
}

function lineOf(stored: RecordValues, options: RecordJsonOptions = AUTO, batchOptions: BatchOptions = {}): string {
  return linesOf([toParts(stored)], options, batchOptions)[0]!.toString()
}

// biome-ignore lint/suspicious/noExplicitAny: a record's shape is what these tests are about
const shown = (stored: RecordValues, options: RecordJsonOptions = AUTO): any => JSON.parse(lineOf(stored, options))

test('a record has one shape', () => {
  const headers = [
    { name: 'a', value: Buffer.from('x') },
    { name: 'a"', value: null },
    { name: 'é', value: Buffer.of(0xff) },
    { name: '', value: Buffer.alloc(0) },
  ]
  assert.equal(
    lineOf({ key: 'c-17', value: '{"total":5}', headers }, AUTO, { baseOffset: 42 }),
    '{"topic":"orders","partition":3,"offset":42,"timestamp":"2026-11-21T02:00:00.123Z","timestamp_type":"CreateTime",' +
      '"key":"c-17","value":{"total":5},"key_encoding":"string","value_encoding":"json","headers":[' +
      '{"name":"a","value":"x"},{"name":"a\\"","value":null},{"name":"é","value":"/w==","value_encoding":"base64"},{"name":"","value":""}]}',
  )
  assert.equal(
    lineOf({ value: 'text' }, AUTO, { baseOffset: Number.MAX_SAFE_INTEGER - 1, logAppendTime: 0 }),
    '{"topic":"orders","partition":3,"offset":9007199254740990,"timestamp":"1970-01-01T00:00:00.000Z",' +
      '"timestamp_type":"LogAppendTime","key":null,"value":"text","value_encoding":"string","headers":[]}',
  )
})

test('a tombstone has no encoding, the JSON text null and the empty value have one', () => {
  assert.deepEqual([shown({}).value, shown({}).value_encoding], [null, undefined])
  assert.deepEqual([shown({ value: 'null' }).value, shown({ value: 'null' }).value_encoding], [null, 'json'])
  assert.deepEqual([shown({ value: '' }).value, shown({ value: '' }).value_encoding], ['', 'string'])
  assert.deepEqual([shown({ key: '' }).key, shown({ key: '' }).key_encoding], ['', 'string'])
})

test('a value is shown as JSON if it is that, else as text, else as base64', () => {
  const deep = `${'['.repeat(JSON_DEPTH_MAX + 1)}${']'.repeat(JSON_DEPTH_MAX + 1)}`
  const cases: [Uint8Array | string, unknown, string][] = [
    ['12', 12, 'json'],
    ['"é"', 'é', 'json'],
    [' [1]\n', [1], 'json'],
    ['{"a":1,}', '{"a":1,}', 'string'],
    ['1 2', '1 2', 'string'],
    ['\u0000\n"\\é😀\u007f', '\u0000\n"\\é😀\u007f', 'string'],
    [deep, deep, 'string'],
    [Buffer.of(0xff, 0), '/wA=', 'base64'],
    [Buffer.of(0x22, 0xff, 0x22), 'Iv8i', 'base64'],
    [
      Buffer.from(`"${'x'.repeat(2000)}\xff"`, 'latin1'),
      Buffer.from(`"${'x'.repeat(2000)}\xff"`, 'latin1').toString('base64'),
      'base64',
    ],
  ]
  for (const [value, expected, encoding] of cases) {
    const record = shown({ value })
    assert.deepEqual([record.value, record.value_encoding], [expected, encoding])
  }
})

test('a key is shown as text, else as base64, and as JSON only when that is asked for', () => {
  assert.deepEqual([shown({ key: '{"a":1}' }).key, shown({ key: '{"a":1}' }).key_encoding], ['{"a":1}', 'string'])
  assert.deepEqual(
    [shown({ key: Buffer.of(0x80) }).key, shown({ key: Buffer.of(0x80) }).key_encoding],
    ['gA==', 'base64'],
  )
  const json = shown({ key: '{"a":1}' }, { ...AUTO, keyFormat: 'json' })
  assert.deepEqual([json.key, json.key_encoding], [{ a: 1 }, 'json'])
})

test('a format that is asked for is kept to where the bytes have it', () => {
  const cases: [string, Uint8Array | string, string, string][] = [
    ['string', '{"a":1}', '"{\\"a\\":1}"', 'string'],
    ['string', Buffer.of(0xff), '"/w=="', 'base64'],
    ['base64', 'a', '"YQ=="', 'base64'],
    ['json', 'a', '"a"', 'string'],
    ['json', Buffer.of(0xff), '"/w=="', 'base64'],
    ['int16', Buffer.of(0xff, 0xfe), '-2', 'int16'],
    ['int32', Buffer.of(0, 0, 1, 0), '256', 'int32'],
    ['int32', Buffer.of(0, 0, 1), '"AAAB"', 'base64'],
    ['int64', Buffer.from('001fffffffffffff', 'hex'), '9007199254740991', 'int64'],
    ['int64', Buffer.from('0020000000000000', 'hex'), '"9007199254740992"', 'int64'],
    ['float32', Buffer.from('3dcccccd', 'hex'), '0.1', 'float32'],
    ['float32', Buffer.from('7fc00000', 'hex'), '"NaN"', 'float32'],
    ['float32', Buffer.from('7fc00001', 'hex'), '"f8AAAQ=="', 'base64'],
    ['float64', Buffer.from('8000000000000000', 'hex'), '-0', 'float64'],
    ['float64', Buffer.from('fff0000000000000', 'hex'), '"-Infinity"', 'float64'],
    ['uuid', '7f1a1bd0-5c1e-4d1b-9d5e-0c5f4f0a9b11', '"7f1a1bd0-5c1e-4d1b-9d5e-0c5f4f0a9b11"', 'uuid'],
    ['uuid', '7F1A1BD0-5c1e-4d1b-9d5e-0c5f4f0a9b11', '"7F1A1BD0-5c1e-4d1b-9d5e-0c5f4f0a9b11"', 'string'],
  ]
  for (const [format, value, text, encoding] of cases) {
    const line = lineOf({ value }, { ...AUTO, valueFormat: format as RecordJsonOptions['valueFormat'] })
    assert.ok(line.includes(`"value":${text},"value_encoding":"${encoding}"`), `${format}: ${line}`)
  }
})

test('times are shown to the millisecond, whichever follows which', () => {
  const times = fc.array(
    fc.integer({ min: Date.parse('0000-01-01T00:00:00Z'), max: Date.parse('9999-12-31T23:59:59.999Z') }),
    {
      minLength: 1,
      maxLength: 20,
    },
  )
  const steps = fc.array(fc.constantFrom(0, 1, 9, 999, 1000, 60_000, 3_600_000, 86_400_000, -1, -1000, -86_400_000), {
    maxLength: 40,
  })
  fc.assert(
    fc.property(times, steps, (starts, moves) => {
      const all = [...starts]
      for (const move of moves) all.push(all.at(-1)! + move)
      const lines = linesOf(
        all.map((timestamp) => toParts({ timestamp })),
        AUTO,
      )
      for (const [index, line] of lines.entries()) {
        const expected = all[index] === -1 ? null : new Date(all[index]!).toISOString()
        assert.equal(JSON.parse(line.toString()).timestamp, expected)
      }
    }),
  )
})

test('a time that no calendar holds is shown as well as can be', () => {
  const times: [number, string | null][] = [
    [-1, null],
    [-2, '1969-12-31T23:59:59.998Z'],
    [Date.UTC(12026, 0), '+012026-01-01T00:00:00.000Z'],
    [8.64e15, '+275760-09-13T00:00:00.000Z'],
    [8.64e15 + 1, '8640000000000001'],
    [-8.64e15, '-271821-04-20T00:00:00.000Z'],
  ]
  for (const [timestamp, expected] of times) assert.equal(shown({ timestamp }).timestamp, expected)
})

test('for server-sent events a line break between tokens becomes a blank', () => {
  for (const filler of ['', 'x'.repeat(2000)]) {
    const value = `{\r\n\t"a": [1,\n2],"b":"\\n${filler}"}\n`
    const line = lineOf({ value }, { ...AUTO, lineBreaks: 'blank' })
    assert.ok(!/[\r\n]/.test(line))
    assert.ok(line.includes(`{  \t"a": [1, 2],"b":"\\n${filler}"} ,"value_encoding":"json"`))
  }
})

test('of a record that is shown in part, what is asked for stands as in the whole one', () => {
  const records: RecordValues[] = [
    { key: 'k', value: '{"a":1}', timestamp: 5, headers: [{ name: 'n', value: Buffer.from([0xff]) }] },
    { key: null, value: null, timestamp: -1 },
    { key: 'k', value: Buffer.from([0xff]), timestamp: 8.64e15 + 1 },
  ]
  const membersOf = {
    timestamp: ['timestamp', 'timestamp_type'],
    key: ['key', 'key_encoding'],
    value: ['value', 'value_encoding'],
    headers: ['headers'],
  }
  for (const stored of records) {
    for (let bits = 0; bits < 2 ** RECORD_FIELDS.length; bits++) {
      const fields = new Set(RECORD_FIELDS.filter((_, place) => (bits >> place) & 1))
      const wanted = new Set(['topic', 'partition', 'offset', ...[...fields].flatMap((field) => membersOf[field])])
      const whole = Object.entries(JSON.parse(lineOf(stored)))
      const expected = Object.fromEntries(whole.filter(([name]) => wanted.has(name)))
      assert.deepEqual(JSON.parse(lineOf(stored, { ...AUTO, fields })), expected, [...fields].join())
    }
  }
})

test('an export shows JSON that is not one line as base64, and says what it is', () => {
  for (const value of ['[1,\n2]', '[1,\r2]', '[1]\n', ' [1]', '[1] ', `["${'x'.repeat(2000)}",\n1]`]) {
    const line = lineOf({ value }, EXPORT)
    const base64 = Buffer.from(value).toString('base64')
    assert.ok(line.includes(`"value":"${base64}","value_encoding":"base64","value_was":"json"`), line)
  }
  const spaced = lineOf({ value: '{ "a" :\t1 }' }, EXPORT)
  assert.ok(spaced.includes('"value":{ "a" :\t1 },"value_encoding":"json"'))
})

test('what a client sends comes back byte for byte', () => {
  const values = [
    '12345678901234567890',
    '1.0',
    '{"b":1,"a":2,"b":3}',
    '"\\ud800 \\uDC00"',
    '{\n  "pretty" : [\r\n\t1.50,\n 2\n ]\n}',
    `"${'x'.repeat(1024 * 1024)}"`,
    `{"é":"${'ü'.repeat(512 * 1024)}","escaped":"\\u00fc\\/"}`,
    '-0.0e-0',
    'null',
  ]
  const body = `{"records":[${values.map((value) => `{"key":"k","value": ${value} }`).join()}],"value_encoding":"json"}`
  const records = parseProduceBody(Buffer.from(body)).map((record) => ({ ...record, timestamp: TIME }))
  for (const [index, line] of linesOf(records, AUTO).entries()) {
    assert.ok(line.includes(`"value":${values[index]},"key_encoding":"string","value_encoding":"json"`))
  }
})

const bytes = fc.uint8Array({ maxLength: 60 }).map((each) => Buffer.from(each))
const text = fc.string({ unit: 'binary', maxLength: 40 }).map((each) => Buffer.from(each))
const odd = fc
  .constantFrom('null', '', '"', '[1,\n2]', ' 1', '\ufeff{}', '"\\ud800"', '{"a":1,"a":2}', '1.0', '\u2028')
  .map((each) => Buffer.from(each))
const json = fc.tuple(fc.json(), fc.constantFrom('', ' ', '\n')).map(([each, end]) => Buffer.from(each + end))
const pretty = fc.json().map((each) => Buffer.from(JSON.stringify(JSON.parse(each), undefined, 2)))
const part = fc.option(fc.oneof(bytes, text, odd, json, pretty))
const header = fc.record({
  name: fc.string({ unit: 'grapheme', maxLength: 8 }),
  value: fc.option(fc.oneof(bytes, text)),
})
const stored = fc.record({
  key: part,
  value: part,
  headers: fc.array(header, { maxLength: 4 }),
  timestamp: fc.oneof(
    fc.constant(-1),
    fc.integer({ min: 0, max: 253402300799999 }),
    fc.integer({ min: 0, max: 8.64e15 }),
  ),
})

function plain(record: RecordParts): object {
  const range = (all: Uint8Array, start: number, end: number) =>
    start < 0 ? null : Buffer.from(all.subarray(start, end))
  return {
    key: range(record.key, record.keyStart, record.keyEnd),
    value: range(record.value, record.valueStart, record.valueEnd),
    headers: record.headers.map(({ name, value }) => ({ name, value: value === null ? null : Buffer.from(value) })),
    timestamp: record.timestamp,
  }
}

test('export and import give back the same records, whatever their bytes are', () => {
  const format = fc.constantFrom('auto', ...ENCODINGS) as fc.Arbitrary<RecordJsonOptions['keyFormat']>
  fc.assert(
    fc.property(fc.array(stored, { minLength: 1, maxLength: 8 }), format, format, (all, keyFormat, valueFormat) => {
      const records = all.map(toParts)
      for (const [index, line] of linesOf(records, { keyFormat, valueFormat, lineBreaks: 'base64' }).entries()) {
        assert.ok(!line.includes(0x0a) && !line.includes(0x0d), 'a line is one line')
        JSON.parse(line.toString())
        const back: ProduceRecord = parseRecordLine(line, 0, line.length, { keepPartition: true })
        assert.deepEqual(plain(back), plain(records[index]!))
        assert.equal(back.partition, 3)
      }
    }),
    { numRuns: 500 },
  )
})

test('one writer goes through partitions, kinds of timestamps and batches as they come', () => {
  const output = new ByteWriter(16)
  const writer = new RecordJsonWriter(output, AUTO)
  const reader = new RecordReader()
  const places: [string, number, TimestampType][] = [
    ['a', 0, 'CreateTime'],
    ['a', 1, 'CreateTime'],
    ['b', 1, 'LogAppendTime'],
    ['a', 0, 'LogAppendTime'],
    ['a', 0, 'CreateTime'],
  ]
  for (const [topic, partition, timestampType] of places) {
    reader.open(sealBatch([toParts({ value: `{"of":"${topic}"}` })], { compression: 'none' }).bytes, 0)
    reader.next()
    output.reset()
    writer.begin(topic, partition, timestampType)
    writer.write(reader)
    const record = JSON.parse(output.written().toString())
    assert.deepEqual(
      [record.topic, record.partition, record.timestamp_type, record.timestamp, record.value],
      [topic, partition, timestampType, '2026-11-21T02:00:00.123Z', { of: topic }],
    )
  }
})
