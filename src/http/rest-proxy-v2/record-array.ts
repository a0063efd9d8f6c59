// Records as the REST Proxy v2 API shows them, one run of bytes:
//
//   [{"topic":…,"key":…,"value":…,"partition":…,"offset":…}, …]
//
// A value is base64 or, where the client asked for JSON, the stored bytes themselves, checked and spliced; or, for a format
// of schemas, the JSON of the schema that it is framed with. A record that cannot be shown ends its partition's part of the
// array: it and what follows there is left out, and who asked is told.

import type { KnownJson } from '../../codec/known-json.ts'
import { JsonWalk } from '../../codec/known-json.ts'
import type { SchemaCodec } from '../../codec/schema-codec.ts'
import { isUndecoded } from '../../codec/schema-codec.ts'
import type { ByteWriter, Piece } from '../../kernel/byte-writer.ts'
import { makePiece, viewOf } from '../../kernel/byte-writer.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import { isJson } from '../../kernel/json-text.ts'
import { PAGE_WRITTEN_BYTES_MAX } from '../../kernel/limits.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type { RefusedRecord } from '../../service/consumers/consumer-positions.ts'
import type { ConsumerSink } from '../../service/consumers/consumer-read.ts'
import { restProxyFailure } from './failure.ts'
import type { RecordFormat } from './negotiation.ts'
import { isSchemaFormat } from './negotiation.ts'

const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const CLOSE_BRACE = 0x7d
const COMMA = 0x2c
const LINE_FEED = 0x0a
const NULL = makePiece(Buffer.from('null'))
const VALUE = makePiece(Buffer.from(',"value":'))

const NOT_JSON = 'it is not JSON'
const NOT_FRAMED = 'it is not framed with the id of a schema'

/** Up to here writeView copies faster than the engine. */
const SHORT_BYTES_MAX = 512

interface RecordArrayOptions {
  readonly output: ByteWriter
  /** What readers have found to be JSON. */
  readonly known: KnownJson
  /** What frames are read by. */
  readonly schemas: SchemaCodec
  /** Timestamp and headers too. */
  readonly withMetadata: boolean
  /** What a client can do about a record that cannot be shown: a sentence. */
  readonly onUnreadable: string
}

export class RecordArray implements ConsumerSink {
  shownCount = 0
  readonly refused: RefusedRecord[] = []
  readonly #output: ByteWriter
  readonly #known: KnownJson
  readonly #walk = new JsonWalk()
  readonly #isJson: boolean
  /** Undefined: frames are bytes. */
  readonly #schemas: SchemaCodec | undefined
  readonly #withMetadata: boolean
  readonly #onUnreadable: string
  /** Why the last key or value could not be shown; a failure: for now. */
  #fault: string | TailraceError = NOT_JSON
  #topic = ''
  #topicId = ''
  #partition = 0
  #start: Piece = NULL
  #end: Piece = NULL
  #source: Buffer | undefined
  #sourceView: DataView = NULL.view
  /** Bytes of values that could not be shown. */
  #takenBack = 0
  /** What comes of this partition stands behind a record that could not be shown. */
  #isEnded = false

  constructor(format: RecordFormat, { output, known, schemas, withMetadata, onUnreadable }: RecordArrayOptions) {
    this.#output = output
    this.#known = known
    this.#isJson = format === 'json'
    this.#schemas = isSchemaFormat(format) ? schemas : undefined
    this.#withMetadata = withMetadata
    this.#onUnreadable = onUnreadable
    output.writeByte(OPEN_BRACKET)
  }

  get isFull(): boolean {
    return this.#output.position + this.#takenBack > PAGE_WRITTEN_BYTES_MAX
  }

  begin(topic: string, partition: number, _timestampType: TimestampType, topicId: string): void {
    this.#topic = topic
    this.#topicId = topicId
    this.#partition = partition
    this.#start = makePiece(Buffer.from(`{"topic":${JSON.stringify(topic)},"key":`))
    this.#end = makePiece(Buffer.from(`,"partition":${partition},"offset":`))
    this.#isEnded = this.refused.some((record) => record.topic === topic && record.partition === partition)
    if (this.#isJson) this.#walk.begin(this.#known.of(topicId, partition))
  }

  write(record: RecordReader): void {
    if (this.#isEnded) return
    const output = this.#output
    const before = output.position
    if (record.bytes !== this.#source) {
      this.#source = record.bytes
      this.#sourceView = viewOf(record.bytes)
    }
    if (this.shownCount > 0) output.writeByte(COMMA)
    output.writePiece(this.#start)
    const isKeyShown = this.#writeBytes(record.bytes, record.keyStart, record.keyEnd, false)
    output.writePiece(VALUE)
    if (!isKeyShown || !this.#writeValue(record)) {
      output.position = before
      this.#refuse(isKeyShown ? 'value' : 'key', record.offset)
      return
    }
    output.writePiece(this.#end)
    output.writeWhole(record.offset)
    if (this.#withMetadata) output.writeText(metadataOf(record))
    output.writeByte(CLOSE_BRACE)
    this.shownCount++
  }

  /** The array, and the line's end. */
  finish(): Buffer {
    this.#walk.end()
    this.#output.writeByte(CLOSE_BRACKET)
    this.#output.writeByte(LINE_FEED)
    return this.#output.written()
  }

  #writeValue({ bytes, offset, valueStart, valueEnd }: RecordReader): boolean {
    if (!this.#isJson) return this.#writeBytes(bytes, valueStart, valueEnd, false)
    const isKnown = this.#walk.isKnown(offset)
    if (!this.#writeBytes(bytes, valueStart, valueEnd, isKnown)) return false
    if (!isKnown) this.#walk.found(offset)
    return true
  }

  /** False when they cannot be shown: #fault says why. */
  #writeBytes(bytes: Buffer, start: number, end: number, isKnown: boolean): boolean {
    const output = this.#output
    if (start < 0) output.writePiece(NULL)
    else if (this.#schemas !== undefined) return this.#writeFramed(this.#schemas, bytes, start, end)
    else if (!this.#isJson) output.writeText(`"${bytes.toString('base64', start, end)}"`)
    else if (!isKnown && !isJson(bytes, start, end)) return false
    else if (end - start <= SHORT_BYTES_MAX) output.writeView(this.#sourceView, start, end)
    else output.writeBytes(bytes, start, end)
    return true
  }

  #writeFramed(schemas: SchemaCodec, bytes: Buffer, start: number, end: number): boolean {
    const found = schemas.decode(bytes, start, end, this.#output, 'tagged')
    if (found !== undefined && !isUndecoded(found)) return true
    this.#takenBack += found?.takenBack ?? 0
    if (found?.id !== undefined) this.#fault = `it is not of its schema ${found.id}: ${found.error}`
    // while the registry cannot answer, nobody knows what it is framed with
    else this.#fault = schemas.failure ?? found?.error ?? NOT_FRAMED
    return false
  }

  #refuse(part: 'key' | 'value', offset: number): void {
    this.#isEnded = true
    const place = `partition ${this.#topic}-${this.#partition} at offset ${offset}`
    const fault = this.#fault
    const error =
      typeof fault === 'string'
        ? restProxyFailure(40801, `Error deserializing ${part} for ${place}: ${fault}. ${this.#onUnreadable}`)
        : fault
    this.refused.push({
      topic: this.#topic,
      topicId: this.#topicId,
      partition: this.#partition,
      offset,
      error,
      isForNow: typeof fault !== 'string',
    })
  }
}

function metadataOf(record: RecordReader): string {
  const headers = record.headers().map(({ name, value }) => {
    return { key: name, value: value === null ? null : Buffer.from(value).toString('base64') }
  })
  return `,"timestamp":${record.timestamp},"headers":${JSON.stringify(headers)}`
}
