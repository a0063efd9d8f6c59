// A page's reply as one run of bytes. Path F6, the hot one of reading: no object is made for a record.

import type { KnownJson } from '../../codec/known-json.ts'
import { RecordJsonWriter } from '../../codec/record-json.ts'
import type { ByteWriter } from '../../kernel/byte-writer.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type { PageRead } from '../../service/consume.ts'
import type { RecordSink } from '../../service/page.ts'
import type { RecordFormats } from './read-query.ts'

const OPEN = Buffer.from('{"records":[')
const COMMA = 0x2c

export class JsonPage implements RecordSink {
  readonly #output: ByteWriter
  readonly #json: RecordJsonWriter
  readonly #known: KnownJson
  #isFirst = true

  constructor(output: ByteWriter, formats: RecordFormats, known: KnownJson) {
    this.#output = output
    this.#known = known
    this.#json = new RecordJsonWriter(this.#output, { ...formats, lineBreaks: 'keep' })
    this.#output.writeBytes(OPEN)
  }

  begin(topic: string, partition: number, timestampType: TimestampType, topicId: string): void {
    this.#json.begin(topic, partition, timestampType, this.#known.of(topicId, partition))
  }

  write(record: RecordReader): void {
    if (this.#isFirst) this.#isFirst = false
    else this.#output.writeByte(COMMA)
    this.#json.write(record)
  }

  finish(page: PageRead, next: string): Buffer {
    this.#json.end()
    const rest = JSON.stringify({
      cursor: page.cursor,
      next,
      caught_up: page.caughtUp,
      partitions: page.partitions.map(({ partition, startOffset, endOffset, nextOffset, fault }) => {
        const bounds = { partition, start_offset: startOffset, end_offset: endOffset, next_offset: nextOffset }
        return fault === undefined ? bounds : { ...bounds, error: faultJson(fault) }
      }),
      ...(page.gaps.length === 0 ? {} : { gaps: page.gaps }),
    })
    this.#output.writeText(`],${rest.slice(1)}\n`)
    return this.#output.written()
  }
}

/** What a problem says of a failure, without what it says of a request. */
function faultJson({ code, message: detail, retriable: retryable, details }: TailraceError) {
  return { code, detail, retryable, details }
}
