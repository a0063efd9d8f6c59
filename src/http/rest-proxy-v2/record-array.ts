// Records as the REST Proxy v2 API shows them, one run of bytes:
//
//   [{"topic":…,"key":…,"value":…,"partition":…,"offset":…}, …]
//
// A value is base64 or, where the client asked for JSON, the stored bytes themselves, checked and spliced. A record that is
// not JSON ends its partition's part of the array: it and what follows there is left out, and who asked is told.

import { ByteWriter } from '../../kernel/byte-writer.ts'
import { isJson } from '../../kernel/json-scanner.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type { RefusedRecord } from '../../service/consumer-positions.ts'
import type { ConsumerSink } from '../../service/consumer-read.ts'
import { restProxyFailure } from './failure.ts'
import type { RecordFormat } from './negotiation.ts'

const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COMMA = 0x2c

interface RecordArrayOptions {
  /** Timestamp and headers too. */
  readonly withMetadata: boolean
  /** What a client can do about a record that is not JSON: a sentence. */
  readonly onNotJson: string
}

export class RecordArray implements ConsumerSink {
  shownCount = 0
  readonly refused: RefusedRecord[] = []
  readonly #output = new ByteWriter()
  readonly #isJson: boolean
  readonly #withMetadata: boolean
  readonly #onNotJson: string
  #topic = ''
  #topicId = ''
  #partition = 0
  #start = ''
  /** What comes of this partition stands behind a record that could not be shown. */
  #isEnded = false

  constructor(format: RecordFormat, { withMetadata, onNotJson }: RecordArrayOptions) {
    this.#isJson = format === 'json'
    this.#withMetadata = withMetadata
    this.#onNotJson = onNotJson
    this.#output.writeByte(OPEN_BRACKET)
  }

  begin(topic: string, partition: number, _timestampType: TimestampType, topicId: string): void {
    this.#topic = topic
    this.#topicId = topicId
    this.#partition = partition
    this.#start = `{"topic":${JSON.stringify(topic)},"key":`
    this.#isEnded = this.refused.some((record) => record.topic === topic && record.partition === partition)
  }

  write(record: RecordReader): void {
    if (this.#isEnded) return
    const output = this.#output
    const before = output.position
    if (this.shownCount > 0) output.writeByte(COMMA)
    output.writeText(this.#start)
    const isKeyShown = this.#writeBytes(record, record.keyStart, record.keyEnd)
    output.writeText(',"value":')
    if (!isKeyShown || !this.#writeBytes(record, record.valueStart, record.valueEnd)) {
      output.position = before
      this.#refuse(isKeyShown ? 'value' : 'key', record.offset)
      return
    }
    output.writeText(`,"partition":${this.#partition},"offset":${record.offset}`)
    output.writeText(this.#withMetadata ? `${metadataOf(record)}}` : '}')
    this.shownCount++
  }

  /** The array. */
  finish(): Buffer {
    this.#output.writeByte(CLOSE_BRACKET)
    return this.#output.written()
  }

  #writeBytes({ bytes }: RecordReader, start: number, end: number): boolean {
    if (start < 0) this.#output.writeText('null')
    else if (!this.#isJson) this.#output.writeText(`"${bytes.toString('base64', start, end)}"`)
    else if (isJson(bytes, start, end)) this.#output.writeBytes(bytes, start, end)
    else return false
    return true
  }

  #refuse(part: 'key' | 'value', offset: number): void {
    this.#isEnded = true
    const place = `partition ${this.#topic}-${this.#partition} at offset ${offset}`
    const message = `Error deserializing ${part} for ${place}: it is not JSON. ${this.#onNotJson}`
    this.refused.push({
      topic: this.#topic,
      topicId: this.#topicId,
      partition: this.#partition,
      offset,
      error: restProxyFailure(40801, message),
    })
  }
}

function metadataOf(record: RecordReader): string {
  const headers = record.headers().map(({ name, value }) => {
    return { key: name, value: value === null ? null : Buffer.from(value).toString('base64') }
  })
  return `,"timestamp":${record.timestamp},"headers":${JSON.stringify(headers)}`
}
