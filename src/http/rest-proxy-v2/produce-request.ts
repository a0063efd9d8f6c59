// A3: a v2 produce body cut into records. Values are ranges of the body itself, or bytes of their own where white space is
// taken out of JSON or base64 is undone; nothing is parsed that is not asked for.
//
//   {"records":[{"key":…,"value":…,"partition":…}, …],
//    "key_schema":…,"key_schema_id":…,"value_schema":…,"value_schema_id":…}
//
// JSON keys and values are stored as they were sent, without the white space that means nothing: a string with its quotes.
// Those of the schema formats are framed; null is a value of a schema too, where one is named.
// Malformed JSON anywhere goes before wrong content. Of a member that stands twice the last counts, as with the proxy.

import { isUtf8 } from 'node:buffer'
import { decodeBase64 } from '../../codec/base64.ts'
import { excerpt } from '../../codec/encoding.ts'
import { JsonCursor, MemberNames, MemberRanges, OBJECT_END, parseWhole } from '../../codec/json-cursor.ts'
import { decodeJsonString, decodeJsonText, isPlainText } from '../../codec/json-string.ts'
import type { ProduceRecord } from '../../codec/produce-record.ts'
import type { FramedSchema, SchemaCodec } from '../../codec/schema-codec.ts'
import { SchemaDataError } from '../../codec/schema-data-error.ts'
import { ByteWriter } from '../../kernel/byte-writer.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { compactJson, skipMeaningful } from '../../kernel/json-text.ts'
import { PRODUCE_RECORDS_MAX, RECORD_HEADERS_MAX } from '../../kernel/limits.ts'
import type { RecordHeader } from '../../record/record.ts'
import { NO_HEADERS } from '../../record/record.ts'
import { restProxyFailure } from './failure.ts'
import type { RecordSchemas } from './record-schemas.ts'

export interface ProduceRequestOptions {
  /** by_value: a record whose value is a string is base64, any other is JSON. Or what keys and values are framed with. */
  readonly format: 'binary' | 'json' | 'by_value' | TypedFormat
  /** Records may have `timestamp` and `headers`. */
  readonly lenient: boolean
  /** For records that name none; -1: by key, or spread. */
  readonly partition: number
}

export interface TypedFormat {
  readonly codec: SchemaCodec
  readonly schemas: RecordSchemas
}

const QUOTE = 0x22
const MINUS = 0x2d
const LETTER_N = 0x6e

const REQUEST_NAMES = new MemberNames(['records', 'key_schema', 'key_schema_id', 'value_schema', 'value_schema_id'])
const RECORDS = 0

const RECORD_NAMES = new MemberNames(['key', 'value', 'partition'])
const LENIENT_RECORD_NAMES = new MemberNames(['key', 'value', 'partition', 'timestamp', 'headers'])
const KEY = 0
const VALUE = 1
const PARTITION = 2
const TIMESTAMP = 3
const HEADERS = 4

const HEADER_NAMES = new MemberNames(['key', 'value'])
const HEADER_KEY = 0
const HEADER_VALUE = 1

const INT32_MAX = 2 ** 31 - 1

const NULL_TEXT = Buffer.from('null')
const NO_FRAMES = new ByteWriter(0)

/** Throws invalid_request where the JSON is malformed, else what restProxyFailure makes of the wrong content. */
export function parseProduceRequest(body: Buffer, options: ProduceRequestOptions): ProduceRecord[] {
  if (!isUtf8(body)) throw new TailraceError('invalid_request', 'the request body is not UTF-8 text')
  const cursor = new JsonCursor(body)
  if (cursor.position === body.length) throw wrongContent('the request body must not be empty')
  try {
    const records = new ProduceRequest(cursor, options).read()
    cursor.finish()
    return records
  } catch (error) {
    if (!(error instanceof TailraceError) || error.code !== 'invalid_record') throw error
    const whole = new JsonCursor(body)
    whole.skipEnvelope()
    whole.finish()
    // A cursor itself refuses nothing in well-formed JSON but names that it was not told of.
    if (error.details['error_code'] !== undefined) throw error
    const hint = error.message.slice(error.message.lastIndexOf('; '))
    throw wrongContent(`Unrecognized field: ${error.details['member']}${hint}`)
  }
}

/** Well-formed, and of the right types, but not what may stand there. */
function wrongContent(message: string): TailraceError {
  return restProxyFailure(422, message)
}

function wrongType(place: string, wanted: string, bytes: Buffer, start: number, end: number): TailraceError {
  return restProxyFailure(400, `${place} must be ${wanted}, not ${excerpt(bytes, start, end)}`)
}

class ProduceRequest {
  readonly #cursor: JsonCursor
  readonly #bytes: Buffer
  readonly #options: ProduceRequestOptions
  readonly #ranges: MemberRanges
  /** Of all its keys and values: what has outgrown its bytes leaves them to those that are in them. */
  readonly #frames: ByteWriter
  // Where what was encoded last lies; a start of -1: it is null.
  #encoded: Uint8Array
  #start = -1
  #end = -1

  constructor(cursor: JsonCursor, options: ProduceRequestOptions) {
    this.#cursor = cursor
    this.#bytes = cursor.bytes
    this.#encoded = cursor.bytes
    this.#options = options
    this.#frames = typeof options.format === 'object' ? new ByteWriter(cursor.bytes.length) : NO_FRAMES
    this.#ranges = new MemberRanges(options.lenient ? LENIENT_RECORD_NAMES : RECORD_NAMES)
  }

  read(): ProduceRecord[] {
    const cursor = this.#cursor
    let records: ProduceRecord[] | undefined
    if (this.#isNull()) throw wrongContent('the request body must not be null')
    this.#enter('an object', 'the request body')
    for (;;) {
      const member = cursor.nextMember(REQUEST_NAMES)
      if (member === OBJECT_END) break
      if (member === RECORDS) records = this.#readRecords()
      else cursor.skipValue()
    }
    if (records === undefined) throw wrongContent('records must not be empty (was null)')
    return records
  }

  #readRecords(): ProduceRecord[] | undefined {
    const cursor = this.#cursor
    if (this.#isNull()) {
      cursor.skipValue()
      return undefined
    }
    const records: ProduceRecord[] = []
    this.#enter('an array', 'records')
    while (cursor.nextElement()) {
      if (records.length === PRODUCE_RECORDS_MAX) {
        throw wrongContent(`records must not be more than ${PRODUCE_RECORDS_MAX}`)
      }
      records.push(this.#readRecord(records.length))
    }
    if (records.length === 0) throw wrongContent('records must not be empty (was [])')
    return records
  }

  #readRecord(index: number): ProduceRecord {
    const { format, partition } = this.#options
    const ranges = this.#ranges
    if (this.#isNull()) throw wrongContent(`records[${index}] must not be null`)
    this.#enter('an object', `records[${index}]`)
    readLastMembers(this.#cursor, ranges)
    const form = format === 'by_value' ? (this.#looksBinary() ? 'binary' : 'json') : format
    this.#encode(KEY, form, index)
    const key = this.#encoded
    const keyStart = this.#start
    const keyEnd = this.#end
    this.#encode(VALUE, form, index)
    return {
      key,
      keyStart,
      keyEnd,
      value: this.#encoded,
      valueStart: this.#start,
      valueEnd: this.#end,
      headers: ranges.has(HEADERS) ? this.#readHeaders(index) : NO_HEADERS,
      timestamp: ranges.has(TIMESTAMP) ? this.#readTimestamp(index) : -1,
      partition: ranges.has(PARTITION) ? this.#readPartition(index) : partition,
    }
  }

  /** v1's own type does not say. Where there is no value, the key shows it. */
  #looksBinary(): boolean {
    const ranges = this.#ranges
    const member = this.#has(VALUE) ? VALUE : KEY
    return !this.#has(member) || this.#bytes[ranges.starts[member] as number] === QUOTE
  }

  /** Something stands there, and not null. */
  #has(member: number): boolean {
    const ranges = this.#ranges
    return ranges.has(member) && this.#bytes[ranges.starts[member] as number] !== LETTER_N
  }

  #encode(member: number, form: 'binary' | 'json' | TypedFormat, index: number): void {
    const bytes = this.#bytes
    this.#encoded = bytes
    this.#start = -1
    this.#end = -1
    if (typeof form === 'object') {
      this.#frame(member, form, index)
      return
    }
    if (!this.#has(member)) return
    const start = this.#ranges.starts[member] as number
    const end = this.#ranges.ends[member] as number
    if (form === 'json' && skipMeaningful(bytes, start, end) === end) {
      this.#start = start
      this.#end = end
      return
    }
    this.#encoded = form === 'binary' ? decodeBase64Member(bytes, start, end) : compactJson(bytes, start, end)
    this.#start = 0
    this.#end = this.#encoded.length
  }

  #frame(member: number, { codec, schemas }: TypedFormat, index: number): void {
    const part = member === KEY ? 'key' : 'value'
    const schema = schemas[part]
    if (schema !== undefined) {
      const { position } = this.#frames
      this.#writeFrame(member, schema, codec, () => `records[${index}].${part}`)
      this.#encoded = this.#frames.bytes
      this.#start = position
      this.#end = this.#frames.position
    } else if (this.#has(member)) {
      throw restProxyFailure(
        part === 'key' ? 42201 : 42202,
        `Request includes ${part}s but does not include ${part} schema: records[${index}] has a ${part}; name ${part}_schema or ${part}_schema_id`,
      )
    }
  }

  #writeFrame(member: number, schema: FramedSchema, codec: SchemaCodec, place: () => string): void {
    const { starts, ends } = this.#ranges
    const isGiven = this.#ranges.has(member)
    let bytes = isGiven ? this.#bytes : NULL_TEXT
    let start = isGiven ? (starts[member] as number) : 0
    let end = isGiven ? (ends[member] as number) : NULL_TEXT.length
    if (schema.encoding === 'jsonschema' && skipMeaningful(bytes, start, end) < end) {
      bytes = Buffer.from(compactJson(bytes, start, end))
      start = 0
      end = bytes.length
    }
    try {
      codec.encode(schema, bytes, start, end, this.#frames)
    } catch (error) {
      if (!(error instanceof SchemaDataError)) throw error
      const message = `${place()} is not of schema ${schema.id}: ${error.message}`
      throw restProxyFailure(42203, `Conversion of JSON to Object failed: ${message}`)
    }
  }

  #readPartition(index: number): number {
    const bytes = this.#bytes
    const start = this.#ranges.starts[PARTITION] as number
    const end = this.#ranges.ends[PARTITION] as number
    if (bytes[start] === LETTER_N) return this.#options.partition
    const quotes = bytes[start] === QUOTE ? 1 : 0
    const isNegative = bytes[start + quotes] === MINUS
    const partition = parseWhole(bytes, start + quotes + (isNegative ? 1 : 0), end - quotes)
    const place = `records[${index}].partition`
    if (partition < 0 || partition > INT32_MAX) throw wrongType(place, 'a whole number', bytes, start, end)
    if (isNegative && partition > 0)
      throw wrongContent(`${place} must be greater than or equal to 0 (was -${partition})`)
    return partition
  }

  #readTimestamp(index: number): number {
    const bytes = this.#bytes
    const start = this.#ranges.starts[TIMESTAMP] as number
    const end = this.#ranges.ends[TIMESTAMP] as number
    if (bytes[start] === LETTER_N) return -1
    const ms = parseWhole(bytes, start, end)
    if (ms >= 0 && ms <= Number.MAX_SAFE_INTEGER) return ms
    throw wrongType(`records[${index}].timestamp`, 'whole milliseconds since 1970', bytes, start, end)
  }

  #readHeaders(index: number): readonly RecordHeader[] {
    const bytes = this.#bytes
    const start = this.#ranges.starts[HEADERS] as number
    const end = this.#ranges.ends[HEADERS] as number
    const place = `records[${index}].headers`
    if (bytes[start] === LETTER_N) return NO_HEADERS
    const cursor = new JsonCursor(bytes, start, end)
    if (cursor.kind() !== 'an array') throw wrongType(place, 'an array', bytes, start, end)
    const ranges = new MemberRanges(HEADER_NAMES)
    const headers: RecordHeader[] = []
    cursor.enterArray(place)
    while (cursor.nextElement()) {
      if (headers.length === RECORD_HEADERS_MAX)
        throw wrongContent(`${place} must not be more than ${RECORD_HEADERS_MAX}`)
      headers.push(readHeader(cursor, ranges, `${place}[${headers.length}]`))
    }
    return headers
  }

  #isNull(): boolean {
    return this.#bytes[this.#cursor.position] === LETTER_N
  }

  #enter(kind: 'an object' | 'an array', place: string): void {
    const cursor = this.#cursor
    const start = cursor.position
    if (cursor.kind() !== kind) throw wrongType(place, kind, this.#bytes, start, cursor.skipValue())
    if (kind === 'an object') cursor.enterObject(place)
    else cursor.enterArray(place)
  }
}

/** As JsonCursor.readMembers, inside of the object; of a name that stands twice the last is noted. */
function readLastMembers(cursor: JsonCursor, ranges: MemberRanges): void {
  const { names, starts, ends } = ranges
  ranges.seen = 0
  for (;;) {
    const member = cursor.nextMember(names)
    if (member === OBJECT_END) return
    ranges.seen |= 1 << member
    starts[member] = cursor.position
    ends[member] = cursor.skipValue()
  }
}

/** `{"key":"text","value":"base64"}`; the value may be null. */
function readHeader(cursor: JsonCursor, ranges: MemberRanges, place: string): RecordHeader {
  const { bytes } = cursor
  const { starts, ends } = ranges
  const position = cursor.position
  if (cursor.kind() !== 'an object') throw wrongType(place, 'an object', bytes, position, cursor.skipValue())
  cursor.enterObject(place)
  readLastMembers(cursor, ranges)
  if (!ranges.has(HEADER_KEY)) throw wrongContent(`${place}.key must not be null`)
  const start = starts[HEADER_KEY] as number
  const end = ends[HEADER_KEY] as number
  const name = bytes[start] === QUOTE ? decodeJsonText(bytes, start + 1, end - 1) : undefined
  if (name === undefined) throw wrongType(`${place}.key`, 'a string of text', bytes, start, end)
  const valueStart = starts[HEADER_VALUE] as number
  const isNull = !ranges.has(HEADER_VALUE) || bytes[valueStart] === LETTER_N
  return { name, value: isNull ? null : decodeBase64Member(bytes, valueStart, ends[HEADER_VALUE] as number) }
}

/** The bytes that a JSON string of base64 stands for. */
function decodeBase64Member(bytes: Buffer, start: number, end: number): Buffer {
  if (bytes[start] !== QUOTE) throw badBase64(bytes, start, end, 'a base64 string')
  const decoded = decodeBase64(bytes, start + 1, end - 1) ?? decodeOddBase64(bytes, start + 1, end - 1)
  if (decoded === undefined) throw badBase64(bytes, start, end, 'a valid base64 string')
  return decoded
}

/** Some serializers write `/` as `\/`, and the proxy does not insist on the padding. */
function decodeOddBase64(bytes: Buffer, start: number, end: number): Buffer | undefined {
  const text = isPlainText(bytes, start, end) ? bytes.subarray(start, end) : decodeJsonString(bytes, start, end)
  if (text === undefined || text.at(-1) === PAD) return text && decodeBase64(text, 0, text.length)
  const rest = text.length % 4
  const padded = rest < 2 ? text : Buffer.concat([text, PADDING], text.length + 4 - rest)
  return decodeBase64(padded, 0, padded.length)
}

const PAD = 0x3d
const PADDING = Buffer.from('==')

function badBase64(bytes: Buffer, start: number, end: number, wanted: string): TailraceError {
  return restProxyFailure(400, `Bad Request: data=${excerpt(bytes, start, end)} is not ${wanted}.`)
}
