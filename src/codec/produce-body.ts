// A3: the v1 produce body, and a line of an import, cut into records. Keys and values are ranges of the body itself: what
// is stored are the very bytes that were sent. Nothing of the content is believed: what is not known is refused, by name.
//
//   {"records":[{"key":…,"value":…,"headers":[{"name":…,"value":…,"value_encoding":…}],"partition":…,"timestamp":…,
//                "key_encoding":…,"value_encoding":…}, …],
//    "key_encoding":…,"value_encoding":…}
//
// With an encoding of a schema format (avro, jsonschema, protobuf), of a record or the request, stands which schema it is:
// "schema_id", or "subject" and "schema_version" for values, "key_schema_id", "key_subject" and "key_schema_version" for
// keys; else the latest of the subject that the topic's strategy names, TOPIC-value or TOPIC-key unless it has another. A
// schema that is named brings its own encoding, and goes with no other.
//
// A request is taken whole or not at all. Malformed JSON anywhere in it goes before wrong content, so that the answer
// does not depend on which comes first. An optional member that is null counts as absent.

import { isUtf8 } from 'node:buffer'
import { ByteWriter } from '../kernel/byte-writer.ts'
import type { ErrorDetails } from '../kernel/errors.ts'
import { TailraceError } from '../kernel/errors.ts'
import { PRODUCE_RECORDS_MAX, RECORD_HEADERS_MAX } from '../kernel/limits.ts'
import type { RecordHeader } from '../record/record.ts'
import { NO_HEADERS } from '../record/record.ts'
import type { RecordPart } from '../registry/subject-name.ts'
import type { Encoding } from './encoding.ts'
import { ENCODINGS, encodeValue, excerpt } from './encoding.ts'
import { CALENDAR_MS_MAX, parseIsoTimeAt } from './iso-time.ts'
import { JsonCursor, MemberNames, MemberRanges, OBJECT_END, parseWhole, wrongMember } from './json-cursor.ts'
import { decodeJsonText, isPlainText } from './json-string.ts'
import type { ProduceRecord } from './produce-record.ts'
import type { AnyEncoding, TypedRecords } from './produce-schema.ts'
import { checkSchemaEncoding, FOREIGN_MEMBERS, isSchemaEncoding, ProduceSchemas } from './produce-schema.ts'
import type { SchemaChoice, SchemaEncoding } from './schema-codec.ts'
import { SCHEMA_ENCODINGS } from './schema-codec.ts'
import { SchemaDataError } from './schema-data-error.ts'

const QUOTE = 0x22
const LETTER_N = 0x6e
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d

/** Which schema, of values and of keys. */
const CHOICE_MEMBERS = [
  'schema_id',
  'subject',
  'schema_version',
  'key_schema_id',
  'key_subject',
  'key_schema_version',
] as const

const REQUEST_NAMES = new MemberNames(
  ['records', 'key_encoding', 'value_encoding', ...CHOICE_MEMBERS],
  'refuse',
  new Map([...FOREIGN_MEMBERS, ['acks', 'it is a query parameter: acks=all, acks=1 or acks=0']]),
)
const RECORDS = 0
const REQUEST_KEY_ENCODING = 1
const REQUEST_VALUE_ENCODING = 2

const RECORD_MEMBERS = [
  'key',
  'value',
  'headers',
  'partition',
  'timestamp',
  'key_encoding',
  'value_encoding',
  ...CHOICE_MEMBERS,
]
const KEY = 0
const VALUE = 1
const HEADERS = 2
const PARTITION = 3
const TIMESTAMP = 4
const KEY_ENCODING = 5
const VALUE_ENCODING = 6
const VALUE_CHOICE = 7
const KEY_CHOICE = 10
const RECORD_NAMES = new MemberNames(RECORD_MEMBERS, 'refuse', FOREIGN_MEMBERS)

/** What an export's line holds beside a record to produce: where the record was, which says nothing of where it goes. */
const LINE_NAMES = new MemberNames(
  [...RECORD_MEMBERS, 'topic', 'offset', 'timestamp_type', 'key_was', 'value_was', 'key_error', 'value_error'],
  'refuse',
  FOREIGN_MEMBERS,
)
const KEY_ERROR = 18
const VALUE_ERROR = 19

const HEADER_NAMES = new MemberNames(['name', 'value', 'value_encoding'])
const HEADER_NAME = 0
const HEADER_VALUE = 1
const HEADER_VALUE_ENCODING = 2

const PARTITION_NUMBER_MAX = 2 ** 31 - 1

/** Throws invalid_request where the JSON is malformed, invalid_record with the record's index where its content is wrong. */
export function parseProduceBody(body: Buffer, typed?: TypedRecords): ProduceRecord[] {
  if (!isUtf8(body)) throw new TailraceError('invalid_request', 'the body is not UTF-8 text')
  try {
    return new ProduceRequest(new JsonCursor(body), NOTHING_SAID, typed).read()
  } catch (error) {
    throw syntaxFirst(error, body, 0, body.length, 'the body')
  }
}

/** What records are encoded by that do not say it themselves. */
export interface RecordEncodings {
  readonly key: AnyEncoding | undefined
  readonly value: AnyEncoding | undefined
  readonly keySchema?: SchemaChoice | undefined
  readonly valueSchema?: SchemaChoice | undefined
}

const NOTHING_SAID: RecordEncodings = { key: undefined, value: undefined }

/**
 * The array of records that stands in [start, end) of a larger text, which is well-formed JSON. As parseProduceBody, whose
 * records these are.
 */
export function parseProduceRecords(
  bytes: Buffer,
  start: number,
  end: number,
  encodings: RecordEncodings,
  typed?: TypedRecords,
): ProduceRecord[] {
  return new ProduceRequest(new JsonCursor(bytes, start, end), encodings, typed).readRecords()
}

export interface RecordLineOptions {
  /** The record goes to the partition that the line names; else by its key. */
  readonly keepPartition: boolean
}

/** One record as a line of NDJSON in [start, end), as an export writes it or a person. */
export function parseRecordLine(
  bytes: Buffer,
  start: number,
  end: number,
  options: RecordLineOptions,
  typed?: TypedRecords,
): ProduceRecord {
  if (!isUtf8(bytes.subarray(start, end))) throw new TailraceError('invalid_request', 'the line is not UTF-8 text')
  try {
    const cursor = new JsonCursor(bytes, start, end)
    const record = new RecordParser(cursor, LINE_NAMES, options.keepPartition, typed).read(NOTHING_SAID)
    cursor.finish()
    return record
  } catch (error) {
    throw syntaxFirst(error, bytes, start, end, 'the line')
  }
}

/** What is wrong with a text: malformed JSON anywhere in it goes before wrong content. */
function syntaxFirst(error: unknown, bytes: Buffer, start: number, end: number, text: string): unknown {
  if (!isContentError(error)) return error
  const cursor = new JsonCursor(bytes, start, end)
  cursor.skipEnvelope()
  cursor.finish()
  const isWhole = error.details['member'] === undefined && error.details['index'] === undefined
  return isWhole ? inside(error, text, () => ({})) : error
}

function isContentError(error: unknown): error is TailraceError {
  return error instanceof TailraceError && error.code === 'invalid_record'
}

class ProduceRequest {
  readonly #cursor: JsonCursor
  readonly #parser: RecordParser
  #encodings: RecordEncodings

  constructor(cursor: JsonCursor, encodings: RecordEncodings, typed: TypedRecords | undefined) {
    this.#cursor = cursor
    this.#parser = new RecordParser(cursor, RECORD_NAMES, true, typed)
    this.#encodings = encodings
  }

  read(): ProduceRecord[] {
    const cursor = this.#cursor
    let seen = 0
    let records: ProduceRecord[] = []
    let recordsStart = -1
    let problem: unknown
    let isLateEncoding = false
    cursor.enterObject('')
    for (;;) {
      const member = cursor.nextMember(REQUEST_NAMES)
      if (member === OBJECT_END) break
      if ((seen & (1 << member)) !== 0) throw twice(REQUEST_NAMES.names[member] as string)
      seen |= 1 << member
      if (member !== RECORDS) {
        this.#readOther(member)
        isLateEncoding = recordsStart >= 0
        continue
      }
      recordsStart = cursor.position
      try {
        records = this.readRecords()
      } catch (error) {
        // An encoding or a schema that stands behind them may make them right.
        if (!isContentError(error) && !isUnknownSchema(error)) throw error
        problem = error
        cursor.position = recordsStart
        cursor.skipEnvelope()
      }
    }
    cursor.finish()
    if (recordsStart < 0) throw wrongMember('records', 'is missing: it is the array of the records to store')
    if (isLateEncoding) {
      cursor.position = recordsStart
      return this.readRecords()
    }
    if (problem !== undefined) throw problem
    return records
  }

  /** The array that begins where the cursor stands. */
  readRecords(): ProduceRecord[] {
    const cursor = this.#cursor
    const records: ProduceRecord[] = []
    this.#checkEncodings()
    cursor.enterArray('records')
    while (cursor.nextElement()) {
      if (records.length === PRODUCE_RECORDS_MAX) {
        throw wrongMember('records', `holds more than ${PRODUCE_RECORDS_MAX} records`)
      }
      records.push(this.#readRecord(records.length))
    }
    if (records.length === 0) throw wrongMember('records', 'is empty: at least one record is needed')
    return records
  }

  #checkEncodings(): void {
    const { key, value, keySchema, valueSchema } = this.#encodings
    if (keySchema !== undefined && key !== undefined) checkSchemaEncoding('key', key)
    if (valueSchema !== undefined && value !== undefined) checkSchemaEncoding('value', value)
  }

  #readRecord(index: number): ProduceRecord {
    try {
      return this.#parser.read(this.#encodings)
    } catch (error) {
      throw inside(error, `records[${index}]`, (member) => (member === undefined ? { index } : { index, member }))
    }
  }

  #readOther(member: number): void {
    const cursor = this.#cursor
    const start = cursor.position
    const end = cursor.skipValue()
    const name = REQUEST_NAMES.names[member] as string
    if (member <= REQUEST_VALUE_ENCODING) {
      const encoding = parseEncoding(cursor.bytes, start, end, name)
      const part = member === REQUEST_KEY_ENCODING ? 'key' : 'value'
      this.#encodings = { ...this.#encodings, [part]: encoding }
      return
    }
    const choice = member - REQUEST_VALUE_ENCODING - 1
    const part = choice < CHOICES_OF_PART ? 'valueSchema' : 'keySchema'
    const chosen = parseChoice(cursor.bytes, start, end, choice % CHOICES_OF_PART, name)
    if (chosen !== undefined) {
      this.#encodings = { ...this.#encodings, [part]: { ...this.#encodings[part], ...chosen } }
    }
  }
}

/** To begin with: few requests are so small that less would do. */
const FRAMES_BYTES = 1024

/** Reads one record object after the other. */
class RecordParser {
  readonly #cursor: JsonCursor
  readonly #ranges: MemberRanges
  readonly #keepPartition: boolean
  readonly #typed: TypedRecords | undefined
  #schemas: ProduceSchemas | undefined
  #frames: ByteWriter | undefined
  // Where the text that was encoded last lies; a start of -1: it is null.
  #bytes: Buffer
  #start = -1
  #end = -1

  constructor(cursor: JsonCursor, names: MemberNames, keepPartition: boolean, typed: TypedRecords | undefined) {
    this.#typed = typed
    this.#cursor = cursor
    this.#bytes = cursor.bytes
    this.#ranges = new MemberRanges(names)
    this.#keepPartition = keepPartition
  }

  read(requested: RecordEncodings): ProduceRecord {
    const ranges = this.#ranges
    this.#cursor.readMembers(ranges, '')
    this.#locate(KEY, KEY_ENCODING, requested, 'string')
    const key = this.#bytes
    const keyStart = this.#start
    const keyEnd = this.#end
    this.#locate(VALUE, VALUE_ENCODING, requested, 'json')
    return {
      key,
      keyStart,
      keyEnd,
      value: this.#bytes,
      valueStart: this.#start,
      valueEnd: this.#end,
      headers: ranges.has(HEADERS) ? this.#readHeaders() : NO_HEADERS,
      timestamp: ranges.has(TIMESTAMP) ? this.#readTimestamp() : -1,
      partition: ranges.has(PARTITION) && this.#keepPartition ? this.#readPartition() : -1,
    }
  }

  /** A key or value: by its own encoding or schema, else by those of the request, else by the usual encoding. */
  #locate(member: number, encodingMember: number, requested: RecordEncodings, usual: 'string' | 'json'): void {
    const { bytes } = this.#cursor
    const { starts, ends } = this.#ranges
    const own = this.#ranges.has(encodingMember) ? this.#readEncoding(encodingMember) : undefined
    const named = own ?? (member === KEY ? requested.key : requested.value)
    const choice = this.#choiceOf(member, own, requested)
    const start = starts[member] as number
    const end = ends[member] as number
    this.#bytes = bytes
    if (!this.#ranges.has(member) || (bytes[start] === LETTER_N && named !== 'json')) {
      this.#start = -1
      this.#end = -1
      return
    }
    if (choice !== undefined) {
      const part = member === KEY ? 'key' : 'value'
      if (named !== undefined) checkSchemaEncoding(part, named)
      this.#frame(part, named, choice, start, end)
      return
    }
    const encoding = named ?? usual
    if (encoding === 'json') {
      this.#start = start
      this.#end = end
    } else if (encoding === 'string' && bytes[start] === QUOTE && isPlainText(bytes, start + 1, end - 1)) {
      this.#start = start + 1
      this.#end = end - 1
    } else {
      if (named === undefined && bytes[start] !== QUOTE) {
        throw wrongMember(
          'key',
          `must be a string, not ${excerpt(bytes, start, end)}; key_encoding says how another is stored`,
        )
      }
      if (isSchemaEncoding(encoding)) {
        this.#frame(member === KEY ? 'key' : 'value', encoding, NOTHING_CHOSEN, start, end)
        return
      }
      this.#bytes = encodeValue(encoding, bytes, start, end, RECORD_MEMBERS[member] as string)
      this.#start = 0
      this.#end = this.#bytes.length
    }
  }

  /** A key or value in a frame of its schema. */
  #frame(
    part: RecordPart,
    encoding: SchemaEncoding | undefined,
    choice: SchemaChoice,
    start: number,
    end: number,
  ): void {
    const typed = this.#typed
    if (typed === undefined) throw wrongMember(part, 'cannot be made by a schema here')
    this.#schemas ??= new ProduceSchemas(typed)
    const framed = this.#schemas.find(part, encoding, choice)
    // all of a request: what has outgrown its bytes leaves them to those that are in them
    this.#frames ??= new ByteWriter(FRAMES_BYTES)
    const frames = this.#frames
    const from = frames.position
    try {
      typed.schemas.encode(framed, this.#cursor.bytes, start, end, frames)
    } catch (error) {
      if (error instanceof SchemaDataError) throw wrongMember(part, `is not of schema ${framed.id}: ${error.message}`)
      throw error
    }
    this.#bytes = frames.bytes
    this.#start = from
    this.#end = frames.position
  }

  /** What a key or value is made with: as its record says, else the request. undefined: nobody says. */
  #choiceOf(member: number, own: AnyEncoding | undefined, requested: RecordEncodings): SchemaChoice | undefined {
    const isPlain = own !== undefined && !isSchemaEncoding(own)
    // who names another encoding does not want the request's schema
    const ofRequest = isPlain ? undefined : member === KEY ? requested.keySchema : requested.valueSchema
    if ((this.#ranges.seen & (member === KEY ? KEY_CHOICE_BITS : VALUE_CHOICE_BITS)) === 0) return ofRequest
    // bytes that were shown with the schema that they cannot be read by
    if (isPlain && this.#ranges.has(member === KEY ? KEY_ERROR : VALUE_ERROR)) return undefined
    const choice = this.#readChoice(member === KEY ? KEY_CHOICE : VALUE_CHOICE)
    if (choice === undefined) return ofRequest
    return choice.id === undefined && choice.subject === undefined ? { ...ofRequest, ...choice } : choice
  }

  /** What the record itself says of its schema. */
  #readChoice(first: number): SchemaChoice | undefined {
    const ranges = this.#ranges
    let choice: SchemaChoice | undefined
    for (let at = 0; at < CHOICES_OF_PART; at++) {
      const member = first + at
      if (!ranges.has(member)) continue
      const name = RECORD_MEMBERS[member] as string
      const start = ranges.starts[member] as number
      const chosen = parseChoice(this.#cursor.bytes, start, ranges.ends[member] as number, at, name)
      if (chosen !== undefined) choice = { ...choice, ...chosen }
    }
    return choice
  }

  #readEncoding(member: number): AnyEncoding | undefined {
    const { starts, ends } = this.#ranges
    return parseEncoding(
      this.#cursor.bytes,
      starts[member] as number,
      ends[member] as number,
      RECORD_MEMBERS[member] as string,
    )
  }

  #readPartition(): number {
    const { bytes } = this.#cursor
    const start = this.#ranges.starts[PARTITION] as number
    const end = this.#ranges.ends[PARTITION] as number
    if (bytes[start] === LETTER_N) return -1
    const partition = parseWhole(bytes, start, end)
    if (partition >= 0 && partition <= PARTITION_NUMBER_MAX) return partition
    throw wrongMember('partition', `must be a whole number from 0 on, not ${excerpt(bytes, start, end)}`)
  }

  #readTimestamp(): number {
    const { bytes } = this.#cursor
    const start = this.#ranges.starts[TIMESTAMP] as number
    const end = this.#ranges.ends[TIMESTAMP] as number
    if (bytes[start] === LETTER_N) return -1
    const ms = bytes[start] === QUOTE ? parseIsoTimeAt(bytes, start + 1, end - 1) : parseWhole(bytes, start, end)
    if (ms !== undefined && ms >= 0 && ms <= CALENDAR_MS_MAX) return ms
    throw wrongMember(
      'timestamp',
      `must be a time with its zone, such as "2026-11-21T02:00:00.123Z", or whole milliseconds since 1970, not ${excerpt(bytes, start, end)}`,
    )
  }

  #readHeaders(): readonly RecordHeader[] {
    const { bytes } = this.#cursor
    const start = this.#ranges.starts[HEADERS] as number
    const end = this.#ranges.ends[HEADERS] as number
    if (bytes[start] === LETTER_N) return NO_HEADERS
    if (bytes[start] === OPEN_BRACKET && bytes[start + 1] === CLOSE_BRACKET) return NO_HEADERS
    const cursor = new JsonCursor(bytes, start, end)
    const ranges = new MemberRanges(HEADER_NAMES)
    const headers: RecordHeader[] = []
    cursor.enterArray('headers', 'an array such as [{"name":"n","value":"v"}]')
    while (cursor.nextElement()) {
      if (headers.length === RECORD_HEADERS_MAX) {
        throw wrongMember('headers', `are more than ${RECORD_HEADERS_MAX}`)
      }
      try {
        headers.push(readHeader(cursor, ranges))
      } catch (error) {
        const header = `headers[${headers.length}]`
        throw inside(error, header, (member) => ({ member: member === undefined ? header : `${header}.${member}` }))
      }
    }
    return headers
  }
}

function readHeader(cursor: JsonCursor, ranges: MemberRanges): RecordHeader {
  const { bytes } = cursor
  const { starts, ends } = ranges
  cursor.readMembers(ranges, '')
  if (!ranges.has(HEADER_NAME)) throw wrongMember('name', 'is missing')
  const nameStart = starts[HEADER_NAME] as number
  const nameEnd = ends[HEADER_NAME] as number
  const name = bytes[nameStart] === QUOTE ? decodeJsonText(bytes, nameStart + 1, nameEnd - 1) : undefined
  if (name === undefined)
    throw wrongMember('name', `must be a string of text, not ${excerpt(bytes, nameStart, nameEnd)}`)
  const valueStart = starts[HEADER_VALUE] as number
  const valueEnd = ends[HEADER_VALUE] as number
  const named = ranges.has(HEADER_VALUE_ENCODING)
    ? parsePlainEncoding(bytes, starts[HEADER_VALUE_ENCODING] as number, ends[HEADER_VALUE_ENCODING] as number)
    : undefined
  const isNull = !ranges.has(HEADER_VALUE) || (bytes[valueStart] === LETTER_N && named !== 'json')
  return { name, value: isNull ? null : encodeValue(named ?? 'string', bytes, valueStart, valueEnd, 'value') }
}

function parseEncoding(bytes: Buffer, start: number, end: number, member: string): AnyEncoding | undefined {
  if (bytes[start] === LETTER_N) return undefined
  if (bytes[start] === QUOTE) {
    const place = ENCODING_NAMES.find(bytes, start + 1, end - 1)
    if (place >= 0) return ANY_ENCODINGS[place]
  }
  throw wrongMember(member, `must be one of ${ANY_ENCODINGS.join(', ')}, not ${excerpt(bytes, start, end)}`)
}

/** Of a header: no schema is named with it. */
function parsePlainEncoding(bytes: Buffer, start: number, end: number): Encoding | undefined {
  const encoding = parseEncoding(bytes, start, end, 'value_encoding')
  if (encoding === undefined || !isSchemaEncoding(encoding)) return encoding
  throw wrongMember('value_encoding', `must be one of ${ENCODINGS.join(', ')}, not "${encoding}"`)
}

const ANY_ENCODINGS: readonly AnyEncoding[] = [...ENCODINGS, ...SCHEMA_ENCODINGS]
const ENCODING_NAMES = new MemberNames(ANY_ENCODINGS)

/** Of a key and of a value: id, subject, version. */
const CHOICES_OF_PART = 3
const VALUE_CHOICE_BITS = 0b111 << VALUE_CHOICE
const KEY_CHOICE_BITS = 0b111 << KEY_CHOICE
const SCHEMA_NUMBER_MAX = 2 ** 31 - 1

const NOTHING_CHOSEN: SchemaChoice = {}

/** The `which`-th member of a choice; undefined: it says nothing. */
function parseChoice(
  bytes: Buffer,
  start: number,
  end: number,
  which: number,
  member: string,
): SchemaChoice | undefined {
  if (bytes[start] === LETTER_N) return undefined
  if (which === 1) {
    const subject = bytes[start] === QUOTE ? decodeJsonText(bytes, start + 1, end - 1) : undefined
    if (subject === undefined) throw wrongMember(member, `must be a string of text, not ${excerpt(bytes, start, end)}`)
    return { subject }
  }
  const number = parseWhole(bytes, start, end)
  if (number < 1 || number > SCHEMA_NUMBER_MAX) {
    const found = excerpt(bytes, start, end)
    throw wrongMember(member, `must be a whole number from 1 to ${SCHEMA_NUMBER_MAX}, not ${found}`)
  }
  return which === 0 ? { id: number } : { version: number }
}

function isUnknownSchema(error: unknown): boolean {
  return error instanceof TailraceError && error.code === 'schema_not_found'
}

function twice(member: string): TailraceError {
  return wrongMember(member, 'stands twice in one object')
}

/** The same refusal, told from outside of the object that it is about; `details` say what of it is a client's to act on. */
function inside(error: unknown, place: string, details: (member: unknown) => ErrorDetails): unknown {
  if (!isContentError(error)) return error
  const { member } = error.details
  const message = `${place}${member === undefined ? ' ' : '.'}${error.message}`
  return new TailraceError('invalid_record', message, { ...error.details, ...details(member) })
}
