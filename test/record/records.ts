// Records for tests of the record floor: plain values, their parts as ranges of one larger body (as the produce path has
// them), what a reader finds, and generators. Timestamps, nulls, empty ranges, headers and big values all occur.

import fc from 'fast-check'
import { RecordReader } from '../../src/record/batch-reader.ts'
import type { RecordParts } from '../../src/record/record.ts'

export interface PlainRecord {
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, string | null])[]
}

/** Bytes stand as latin1 text here: any byte, short failures. */
const bytesOf = (text: string | null) => (text === null ? null : Buffer.from(text, 'latin1'))
const textOf = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('latin1'))

export function toParts(records: readonly PlainRecord[]): RecordParts[] {
  const padding = 'padding'
  const body = Buffer.from(records.map(({ key, value }) => padding + (key ?? '') + (value ?? '')).join(''), 'latin1')
  let at = 0
  return records.map(({ timestamp, key, value, headers }) => {
    const keyStart = at + padding.length
    const keyEnd = keyStart + (key?.length ?? 0)
    at = keyEnd + (value?.length ?? 0)
    return {
      key: body,
      value: body,
      keyStart: key === null ? -1 : keyStart,
      keyEnd: key === null ? -1 : keyEnd,
      valueStart: value === null ? -1 : keyEnd,
      valueEnd: value === null ? -1 : at,
      headers: headers.map(([name, text]) => ({ name, value: bytesOf(text) })),
      timestamp,
    }
  })
}

/** What stands in the reader's present record. */
export function toPlain(reader: RecordReader): PlainRecord {
  const range = (start: number, end: number) => (start < 0 ? null : textOf(reader.bytes.subarray(start, end)))
  return {
    timestamp: reader.timestamp,
    key: range(reader.keyStart, reader.keyEnd),
    value: range(reader.valueStart, reader.valueEnd),
    headers: reader.headers().map(({ name, value }) => [name, textOf(value)]),
  }
}

export function readAll(bytes: Buffer, position = 0, reader = new RecordReader()): PlainRecord[] {
  const records: PlainRecord[] = []
  reader.open(bytes, position)
  while (reader.next()) records.push(toPlain(reader))
  return records
}

/** The values of several batches, one behind the other. */
export function valuesIn(batches: Buffer): (string | null)[] {
  const values: (string | null)[] = []
  for (let at = 0; at < batches.length; at += batches.readInt32BE(at + 8) + 12) {
    values.push(...readAll(batches, at).map(({ value }) => value))
  }
  return values
}

const latin1 = (maxLength: number) =>
  fc.string({ unit: fc.nat(255).map((code) => String.fromCharCode(code)), maxLength })

const anyTimestamp = fc.oneof(
  fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_100 }),
  fc.integer({ min: 0, max: 8_640_000_000_000_000 }),
)

const anyHeader: fc.Arbitrary<[string, string | null]> = fc.tuple(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.option(latin1(50)),
)
const anyValue = fc.oneof(
  latin1(200),
  fc.nat(300_000).map((length) => 'abcdefg'.repeat(length / 7)),
)

export const anyRecord: fc.Arbitrary<PlainRecord> = fc.record(
  {
    timestamp: anyTimestamp,
    key: fc.option(latin1(40)),
    value: fc.option(anyValue),
    headers: fc.array(anyHeader, { maxLength: 4 }),
  },
  { noNullPrototype: true },
)

export const anyRecords = fc.array(anyRecord, { minLength: 1, maxLength: 20 })

export const PLAIN: readonly PlainRecord[] = [
  { timestamp: 1_700_000_000_000, key: 'a', value: 'one', headers: [] },
  {
    timestamp: 1_700_000_000_500,
    key: null,
    value: null,
    headers: [
      ['h', 'x'],
      ['h', null],
      ['', ''],
    ],
  },
  { timestamp: 1_699_999_999_999, key: '', value: 'v'.repeat(70), headers: [] },
]
