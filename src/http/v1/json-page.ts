// A page's reply as one run of bytes. Path F6, the hot one of reading: no object is made for a record.

import type { KnownJson } from '../../codec/known-json.ts'
import { RecordJsonWriter } from '../../codec/record-json.ts'
import type { ByteWriter } from '../../kernel/byte-writer.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import { PAGE_WRITTEN_BYTES_MAX } from '../../kernel/limits.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type { RecordSink } from '../../service/read/page.ts'
import type { RecordFormats } from './read-query.ts'

const OPEN = Buffer.from('{"records":[')
const COMMA = 0x2c

export class JsonPage implements RecordSink {
  readonly #output: ByteWriter
  readonly #json: RecordJsonWriter
  readonly #known: KnownJson
  #isFirst = true
  #attempts = 0

  constructor(output: ByteWriter, formats: RecordFormats, known: KnownJson) {
    this.#output = output
    this.#known = known
    this.#json = new RecordJsonWriter(this.#output, { ...formats, lineBreaks: 'keep' })
    this.#output.writeBytes(OPEN)
  }

  get isFull(): boolean {
    return this.#output.position + this.#json.takenBack > PAGE_WRITTEN_BYTES_MAX
  }

  begin(topic: string, partition: number, timestampType: TimestampType, topicId: string): void {
    this.#json.begin(topic, partition, timestampType, this.#known.of(topicId, partition))
  }

  write(record: RecordReader): void {
    if (this.#isFirst) this.#isFirst = false
    else this.#output.writeByte(COMMA)
    this.#json.write(record)
    if (this.#attempts > 0) this.#writeAttempts()
  }

  #writeAttempts(): void {
    // in front of the record's closing brace
    this.#output.position--
    this.#output.writeText(`,"attempts":${this.#attempts}}`)
  }

  /** How often the record that comes next was delivered. */
  attempt(attempts: number): void {
    this.#attempts = attempts
  }

  /** With what stands beside the records. */
  finish(rest: object): Buffer {
    this.#json.end()
    this.#output.writeText(`],${JSON.stringify(rest).slice(1)}\n`)
    return this.#output.written()
  }
}

/** What a problem says of a failure, without what it says of a request. */
export function faultJson({ code, message: detail, retriable: retryable, details }: TailraceError) {
  return { code, detail, retryable, details }
}
