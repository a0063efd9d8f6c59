// Records as the REST Proxy v2 API shows them, one run of bytes:
//
//   [{"topic":…,"key":…,"value":…,"partition":…,"offset":…}, …]
//
// A value is base64 or, where the client asked for JSON, the stored bytes themselves, checked and spliced. One record that
// is not JSON fails the whole array: its offset is told, so that the reader can step over it.

import { ByteWriter } from '../../kernel/byte-writer.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import { isJson } from '../../kernel/json-scanner.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { RecordSink } from '../../service/page.ts'
import { restProxyFailure } from './failure.ts'
import type { RecordFormat } from './negotiation.ts'

const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COMMA = 0x2c

export class RecordArray implements RecordSink {
  readonly #output = new ByteWriter()
  readonly #isJson: boolean
  readonly #withMetadata: boolean
  #topic = ''
  #partition = 0
  #start = ''
  #isFirst = true
  #failure: TailraceError | undefined = undefined

  /** withMetadata: timestamp and headers too. */
  constructor(format: RecordFormat, { withMetadata }: { readonly withMetadata: boolean }) {
    this.#isJson = format === 'json'
    this.#withMetadata = withMetadata
    this.#output.writeByte(OPEN_BRACKET)
  }

  begin(topic: string, partition: number): void {
    this.#topic = topic
    this.#partition = partition
    this.#start = `{"topic":${JSON.stringify(topic)},"key":`
  }

  write(record: RecordReader): void {
    if (this.#failure !== undefined) return
    const output = this.#output
    if (this.#isFirst) this.#isFirst = false
    else output.writeByte(COMMA)
    output.writeText(this.#start)
    this.#writeBytes(record, 'key', record.keyStart, record.keyEnd)
    output.writeText(',"value":')
    this.#writeBytes(record, 'value', record.valueStart, record.valueEnd)
    output.writeText(`,"partition":${this.#partition},"offset":${record.offset}`)
    output.writeText(this.#withMetadata ? `${metadataOf(record)}}` : '}')
  }

  /** The array; throws when a record could not be shown. */
  finish(): Buffer {
    if (this.#failure !== undefined) throw this.#failure
    this.#output.writeByte(CLOSE_BRACKET)
    return this.#output.written()
  }

  #writeBytes(record: RecordReader, part: 'key' | 'value', start: number, end: number): void {
    const { bytes } = record
    if (start < 0) this.#output.writeText('null')
    else if (!this.#isJson) this.#output.writeText(`"${bytes.toString('base64', start, end)}"`)
    else if (isJson(bytes, start, end)) this.#output.writeBytes(bytes, start, end)
    else this.#failure ??= this.#notJson(part, record.offset)
  }

  #notJson(part: 'key' | 'value', offset: number): TailraceError {
    const place = `partition ${this.#topic}-${this.#partition} at offset ${offset}`
    return restProxyFailure(
      40801,
      `Error deserializing ${part} for ${place}: it is not JSON. If needed, seek past the record to continue consumption, or ask for it as binary.`,
    )
  }
}

function metadataOf(record: RecordReader): string {
  const headers = record.headers().map(({ name, value }) => {
    return { key: name, value: value === null ? null : Buffer.from(value).toString('base64') }
  })
  return `,"timestamp":${record.timestamp},"headers":${JSON.stringify(headers)}`
}
