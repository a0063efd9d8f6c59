// F4: stored records as JSON, the one shape in which the API shows a record everywhere:
//
//   {"topic":…,"partition":…,"offset":…,"timestamp":…,"timestamp_type":…,"key":…,"value":…,
//    "key_encoding":…,"value_encoding":…,"headers":[{"name":…,"value":…,"value_encoding":…}]}
//
// What is framed with the id of a schema has "schema_id" (of a key "key_schema_id") in front of the headers, and
// "value_error" ("key_error") where it cannot be read by it. What begins as a frame does and has the id of no schema is
// base64 with such an error, too: it is no text, though its bytes be UTF-8.
//
// A value that is JSON is checked and spliced as it is stored, never parsed; what does not change between records is
// encoded once. The hot path makes no object and no string for a record. What an encoding names always gives the stored
// bytes back: when they are not of the format that was asked for they are shown otherwise, and it is said how. Of a
// schema's encodings it is the value that comes back: its bytes may have been written in another way, or be of a message
// that is not the schema's first. Null has no encoding. A timestamp that is unknown (-1 in Kafka) is null.

import { isUtf8 } from 'node:buffer'
import type { ByteWriter, Piece } from '../kernel/byte-writer.ts'
import { HAS_CONTROL, HAS_HIGH_BYTE, makePiece, viewOf } from '../kernel/byte-writer.ts'
import { skipJsonValue, skipWhitespace } from '../kernel/json-scanner.ts'
import type { RecordHeader } from '../record/record.ts'
import type { TimestampType } from '../record/record-batch.ts'
import type { AvroUnions } from './avro-decoder.ts'
import type { Encoding } from './encoding.ts'
import { decodeToJson, ENCODINGS } from './encoding.ts'
import { ISO_TIME_BYTES, IsoTimeWriter, oddTimeJson } from './iso-time.ts'
import { writeJsonString } from './json-string.ts'
import type { JsonRanges } from './known-json.ts'
import { JsonWalk } from './known-json.ts'
import type { SchemaCodec, SchemaEncoding } from './schema-codec.ts'
import { isUndecoded, SCHEMA_ENCODINGS } from './schema-codec.ts'

/** What is read of a record here: batch-reader.ts's RecordReader has it. */
export interface RecordView {
  readonly offset: number
  readonly timestamp: number
  readonly bytes: Buffer
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
  readonly headerCount: number
  headers(): readonly RecordHeader[]
}

export interface RecordJsonOptions {
  /** auto: text where the bytes are UTF-8, else base64. */
  readonly keyFormat: RecordFormat
  /** auto: JSON where the bytes are JSON, else text where they are UTF-8, else base64. */
  readonly valueFormat: RecordFormat
  /**
   * Where auto, and the formats of schemas, find the schemas of framed bytes: these are shown as the JSON of their schema,
   * with its format as the encoding and its id. What cannot be is base64, with the reason. undefined: frames are bytes like
   * others.
   */
  readonly schemas?: SchemaCodec | undefined
  /** Of Avro: tagged if left out. */
  readonly unions?: AvroUnions | undefined
  /**
   * What becomes of a line break between the tokens of JSON that is spliced. keep: it stays. blank: it becomes a blank, the
   * same JSON on one line (SSE). base64: so that a line of an export is one line and gives the very bytes back, such
   * JSON, and JSON with white space around it, is written as base64 with `"value_was":"json"` behind its encoding.
   */
  readonly lineBreaks: 'keep' | 'blank' | 'base64'
  /** What is shown of a record beside its topic, partition and offset; with each what says how it is written. undefined: all. */
  readonly fields?: ReadonlySet<RecordField> | undefined
}

export type RecordFormat = 'auto' | Encoding | SchemaEncoding

export const RECORD_FIELDS = ['timestamp', 'key', 'value', 'headers'] as const

export type RecordField = (typeof RECORD_FIELDS)[number]

export class RecordJsonWriter {
  /** Bytes of values that could not be shown, written and taken back: work as any other. */
  takenBack = 0
  readonly #output: ByteWriter
  readonly #lineBreaks: 'keep' | 'blank' | 'base64'
  readonly #keyForms: readonly number[]
  readonly #valueForms: readonly number[]
  #topic = ''
  #partition = -1
  #timestampType: TimestampType = 'CreateTime'
  #start: Piece = piece('')
  #time: TimePiece = timePiece('CreateTime')
  readonly #ends: (Piece | undefined)[] = []
  readonly #fields: ReadonlySet<RecordField> | undefined
  readonly #known = new JsonWalk()
  /** Values are spliced as they stand, so that what is known of them helps. */
  readonly #isSpliced: boolean
  readonly #schemas: SchemaCodec | undefined
  readonly #unions: AvroUnions
  readonly #keyFormat: RecordFormat
  readonly #valueFormat: RecordFormat
  /** What goes behind the encodings of the present record: ids of schemas, reasons. */
  #typedMembers = ''
  #source: Buffer = EMPTY
  #sourceView: DataView = viewOf(EMPTY)

  constructor(output: ByteWriter, options: RecordJsonOptions) {
    this.#output = output
    this.#lineBreaks = options.lineBreaks
    this.#fields = RECORD_FIELDS.every((field) => options.fields?.has(field) ?? true) ? undefined : options.fields
    this.#keyForms = formsOf(options.keyFormat, [STRING_FORM])
    this.#valueForms = formsOf(options.valueFormat, [JSON_FORM, STRING_FORM])
    this.#schemas = options.schemas
    this.#unions = options.unions ?? 'tagged'
    this.#keyFormat = options.keyFormat
    this.#valueFormat = options.valueFormat
    this.#isSpliced = this.#valueForms[0] === JSON_FORM && this.#lineBreaks === 'keep'
  }

  /**
   * The records that follow are of this partition and have this kind of timestamp. `known`: what its earlier readers
   * found to be JSON; it learns what is found now, at the next begin() or at end().
   */
  begin(topic: string, partition: number, timestampType: TimestampType, known?: JsonRanges): void {
    this.#known.begin(known)
    if (timestampType !== this.#timestampType) {
      this.#timestampType = timestampType
      this.#time = timePiece(timestampType)
    }
    if (partition === this.#partition && topic === this.#topic) return
    this.#topic = topic
    this.#partition = partition
    this.#start = piece(`{"topic":${JSON.stringify(topic)},"partition":${partition},"offset":`)
  }

  /** Nothing follows: what was found is passed on to other readers. */
  end(): void {
    this.#known.end()
  }

  /** Writes one record as a JSON object; commas and line ends between records are the caller's. */
  write(record: RecordView): void {
    const output = this.#output
    if (record.bytes !== this.#source) {
      this.#source = record.bytes
      this.#sourceView = viewOf(record.bytes)
    }
    output.writePiece(this.#start)
    output.writeWhole(record.offset)
    if (this.#fields !== undefined) {
      this.#writeFields(record, this.#fields)
      return
    }
    this.#writeTime(record.timestamp)
    const { keyStart } = record
    const keyForm = keyStart < 0 ? this.#writeNull() : this.#writeKey(keyStart, record.keyEnd)
    output.writePiece(VALUE)
    const valueForm = this.#isSpliced ? this.#writeKnown(record) : this.#writeValue(record)
    const end = this.#end(keyForm, valueForm)
    output.writePiece(end)
    if (this.#typedMembers !== '') this.#writeTyped()
    if (record.headerCount === 0) return
    output.position -= CLOSING.length
    this.#writeHeaders(record.headers())
    output.writePiece(CLOSING)
  }

  #writeFields(record: RecordView, fields: ReadonlySet<RecordField>): void {
    const output = this.#output
    const { keyStart, keyEnd } = record
    if (fields.has('timestamp')) {
      this.#writeTime(record.timestamp)
      // with what stands in front of the key
      output.position -= KEY.length
    }
    let encodings = ''
    if (fields.has('key')) {
      output.writePiece(KEY)
      const form = keyStart < 0 ? this.#writeNull() : this.#writeKey(keyStart, keyEnd)
      encodings += encodingMembers('key', form)
    }
    if (fields.has('value')) {
      output.writePiece(VALUE)
      encodings += encodingMembers('value', this.#writeValue(record))
    }
    output.writeText(encodings + this.#typedMembers)
    this.#typedMembers = ''
    if (fields.has('headers')) {
      output.writeText(',"headers":[')
      this.#writeHeaders(record.headers())
      output.writeText(']')
    }
    output.writeText('}')
  }

  #writeKey(start: number, end: number): number {
    if (this.#source[start] !== FRAME_MAGIC || end === start) return this.#writeBytes(start, end, this.#keyForms)
    return this.#writeFramed('key', start, end, this.#keyFormat, this.#keyForms)
  }

  #writeValue({ valueStart, valueEnd }: RecordView): number {
    if (valueStart < 0) return this.#writeNull()
    const isFramed = this.#source[valueStart] === FRAME_MAGIC && valueEnd > valueStart
    if (!isFramed && !isSchemaFormat(this.#valueFormat)) return this.#writeBytes(valueStart, valueEnd, this.#valueForms)
    return this.#writeFramed('value', valueStart, valueEnd, this.#valueFormat, this.#valueForms)
  }

  /** As the JSON of its schema; where it cannot be, in other forms. */
  #writeFramed(
    part: 'key' | 'value',
    start: number,
    end: number,
    format: RecordFormat,
    forms: readonly number[],
  ): number {
    const output = this.#output
    const before = output.position
    const isWanted = format === 'auto' || isSchemaFormat(format)
    const found = isWanted ? this.#schemas?.decode(this.#source, start, end, output, this.#unions) : undefined
    if (found === undefined) {
      if (isSchemaFormat(format)) this.#addMember(`${part}_error`, 'it is not framed with the id of a schema')
      return this.#writeBytes(start, end, forms)
    }
    if (found.id !== undefined) this.#typedMembers += `,"${part === 'key' ? 'key_schema_id' : 'schema_id'}":${found.id}`
    if (isUndecoded(found)) {
      this.takenBack += found.takenBack
      this.#addMember(`${part}_error`, found.error)
      this.#writeBase64(start, end)
      return BASE64_FORM
    }
    if (this.#lineBreaks === 'blank') blankLineBreaks(output.bytes, before, output.position)
    return FORMS.indexOf(found.encoding)
  }

  #addMember(name: string, text: string): void {
    this.#typedMembers += `,"${name}":${JSON.stringify(text)}`
  }

  /** In front of the headers, which are none yet. */
  #writeTyped(): void {
    this.#output.position -= HEADERS_END.length
    this.#output.writeText(`${this.#typedMembers}${HEADERS_END}`)
    this.#typedMembers = ''
  }

  /** As #writeValue, but what is known to be JSON is spliced unchecked, and what is found to be is noted. */
  #writeKnown(record: RecordView): number {
    const { offset, valueStart, valueEnd } = record
    const known = this.#known
    if (valueStart >= 0 && known.isKnown(offset)) {
      if (valueEnd - valueStart <= SHORT_BYTES_MAX) this.#output.writeView(this.#sourceView, valueStart, valueEnd)
      else this.#output.writeBytes(this.#source, valueStart, valueEnd)
      return JSON_FORM
    }
    const form = this.#writeValue(record)
    if (form === JSON_FORM || form === NULL_FORM) known.found(offset)
    return form
  }

  #writeTime(timestamp: number): void {
    const time = this.#time
    if (timestamp !== -1 && time.digits.write(timestamp)) {
      this.#output.writePiece(time.piece)
    } else {
      const json = timestamp === -1 ? 'null' : oddTimeJson(timestamp)
      this.#output.writeText(`,"timestamp":${json},"timestamp_type":"${this.#timestampType}","key":`)
    }
  }

  #writeNull(): number {
    this.#output.writePiece(NULL)
    return NULL_FORM
  }

  /** In the first of the forms that the bytes have, else as base64. Answers which. */
  #writeBytes(start: number, end: number, forms: readonly number[]): number {
    for (let place = 0; place < forms.length; place++) {
      const wanted = forms[place] as number
      const written = wanted === JSON_FORM ? this.#splice(start, end) : this.#convert(wanted, start, end)
      if (written !== NO_FORM) return written
    }
    this.#writeBase64(start, end)
    return BASE64_FORM
  }

  #splice(start: number, end: number): number {
    const source = this.#source
    const valueEnd = skipJsonValue(source, start, end)
    if (valueEnd < 0 || skipWhitespace(source, valueEnd, end) !== end) return NO_FORM
    const output = this.#output
    const before = output.position
    let found = HAS_HIGH_BYTE | HAS_CONTROL
    if (end - start <= SHORT_BYTES_MAX) found = output.writeView(this.#sourceView, start, end)
    else output.writeBytes(source, start, end)
    if ((found & HAS_HIGH_BYTE) !== 0 && !isUtf8(source.subarray(start, end))) {
      output.position = before
      return NO_FORM
    }
    return this.#lineBreaks === 'keep'
      ? JSON_FORM
      : this.#keepToOneLine(before, start, end, (found & HAS_CONTROL) !== 0)
  }

  /** JSON was written from `before` on that may hold line breaks: as they are always between tokens, they can be changed. */
  #keepToOneLine(before: number, start: number, end: number, mayBreak: boolean): number {
    const output = this.#output
    if (this.#lineBreaks === 'blank') {
      if (mayBreak) blankLineBreaks(output.bytes, before, output.position)
      return JSON_FORM
    }
    const source = this.#source
    const isPadded = (source[start] as number) <= SPACE || (source[end - 1] as number) <= SPACE
    if (!isPadded && !(mayBreak && holdsLineBreak(source, start, end))) return JSON_FORM
    output.position = before
    this.#writeBase64(start, end)
    return WAS_JSON_FORM
  }

  #convert(form: number, start: number, end: number): number {
    const output = this.#output
    const source = this.#source
    if (form === STRING_FORM) {
      const before = output.position
      const bits = writeJsonString(output, source, start, end)
      if (bits < 0x80 || isUtf8(source.subarray(start, end))) return form
      output.position = before
      return NO_FORM
    }
    const json = decodeToJson(ENCODINGS[form] as Encoding, source, start, end)
    if (json === undefined) return NO_FORM
    output.writeText(json)
    return form
  }

  #writeBase64(start: number, end: number): void {
    this.#output.writeText(`"${this.#source.toString('base64', start, end)}"`)
  }

  #writeHeaders(headers: readonly RecordHeader[]): void {
    const output = this.#output
    let separator = ''
    for (const { name, value } of headers) {
      output.writeText(`${separator}{"name":${JSON.stringify(name)},"value":`)
      separator = ','
      if (value === null) output.writeText('null}')
      else if (isUtf8(value)) {
        writeJsonString(output, value, 0, value.length)
        output.writeText('}')
      } else output.writeText(`"${Buffer.from(value).toString('base64')}","value_encoding":"base64"}`)
    }
  }

  /** What follows the value: the encodings, and a record's end without headers. */
  #end(keyForm: number, valueForm: number): Piece {
    const place = keyForm * FORMS.length + valueForm
    const known = this.#ends[place]
    if (known !== undefined) return known
    const end = piece(`${encodingMembers('key', keyForm)}${encodingMembers('value', valueForm)},"headers":[]}`)
    this.#ends[place] = end
    return end
  }
}

/** What a frame begins with; no JSON does. */
const FRAME_MAGIC = 0
const HEADERS_END = ',"headers":[]}'

const SPACE = 0x20
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Up to here writeView copies faster than the engine. */
const SHORT_BYTES_MAX = 512

/** How a key or value was written, as a number: an encoding's place in ENCODINGS, or one of those after them. */
const FORMS = [...ENCODINGS, ...SCHEMA_ENCODINGS, 'null', 'was_json']
const STRING_FORM = FORMS.indexOf('string')
const JSON_FORM = FORMS.indexOf('json')
const BASE64_FORM = FORMS.indexOf('base64')
const UUID_FORM = FORMS.indexOf('uuid')
const NULL_FORM = FORMS.indexOf('null')
const WAS_JSON_FORM = FORMS.indexOf('was_json')
const NO_FORM = -1

/** The forms to try for a format, before base64, which can hold everything. */
function formsOf(format: RecordFormat, auto: readonly number[]): readonly number[] {
  if (format === 'auto') return auto
  if (isSchemaFormat(format)) return []
  const form = FORMS.indexOf(format)
  if (form === JSON_FORM || form === UUID_FORM) return [form, STRING_FORM]
  return form === BASE64_FORM ? [] : [form]
}

function isSchemaFormat(format: RecordFormat): format is SchemaEncoding {
  return (SCHEMA_ENCODINGS as readonly RecordFormat[]).includes(format)
}

function encodingMembers(part: 'key' | 'value', form: number): string {
  if (form === NULL_FORM) return ''
  if (form === WAS_JSON_FORM) return `,"${part}_encoding":"base64","${part}_was":"json"`
  return `,"${part}_encoding":"${FORMS[form]}"`
}

function piece(text: string): Piece {
  return makePiece(Buffer.from(text))
}

const KEY = piece(',"key":')
const VALUE = piece(',"value":')
const NULL = piece('null')
/** Of the headers and of the record. */
const CLOSING = piece(']}')

interface TimePiece {
  readonly piece: Piece
  readonly digits: IsoTimeWriter
}

/** What stands between the offset and the key: only the digits of the time change. */
function timePiece(timestampType: TimestampType): TimePiece {
  const before = ',"timestamp":"'
  const filled = piece(`${before}${' '.repeat(ISO_TIME_BYTES)}","timestamp_type":"${timestampType}","key":`)
  return { piece: filled, digits: new IsoTimeWriter(Buffer.from(filled.view.buffer), before.length) }
}

function holdsLineBreak(bytes: Buffer, start: number, end: number): boolean {
  for (let position = start; position < end; position++) {
    if (bytes[position] === LINE_FEED || bytes[position] === CARRIAGE_RETURN) return true
  }
  return false
}

function blankLineBreaks(bytes: Buffer, start: number, end: number): void {
  for (let position = start; position < end; position++) {
    if (bytes[position] === LINE_FEED || bytes[position] === CARRIAGE_RETURN) bytes[position] = SPACE
  }
}

const EMPTY = Buffer.alloc(0)
