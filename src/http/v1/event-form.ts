// Records as Server-Sent Events, the form of a tail: path F6 for those who listen.
//
//   id: CURSOR            goes on after the event
//   data: {"topic":…}     a record as the API shows it everywhere, on one line
//                         (an empty line ends the event)
//
// Records have no event name, so that onmessage and plain tools get them. With a batch of more than one an event's data is
// an array. All that listen in the same form are given the same bytes.

import type { RecordField } from '../../codec/record-json.ts'
import { RecordJsonWriter } from '../../codec/record-json.ts'
import type { ByteWriter } from '../../kernel/byte-writer.ts'
import { invariant } from '../../kernel/errors.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type { TailEncoder, TailForm } from '../../service/tail/tail.ts'
import type { ReplyBuffers } from '../reply-buffers.ts'
import type { RecordFormats } from './read-query.ts'

export interface EventFormOptions extends RecordFormats {
  /** undefined: all. */
  readonly fields: ReadonlySet<RecordField> | undefined
  /** Records of one event at most; 1: an event is a record, not an array. */
  readonly batch: number
}

export class EventForm implements TailForm {
  readonly key: string
  readonly #options: EventFormOptions
  readonly #buffers: ReplyBuffers

  constructor(options: EventFormOptions, buffers: ReplyBuffers) {
    const { keyFormat, valueFormat, unions, fields, batch } = options
    this.#options = options
    this.#buffers = buffers
    this.key = `sse ${keyFormat} ${valueFormat} ${unions} ${fields === undefined ? '*' : [...fields].sort()} ${batch}`
  }

  newEncoder(): TailEncoder {
    return new EventEncoder(this.#options, this.#buffers)
  }
}

const COMMA = 0x2c

class EventEncoder implements TailEncoder {
  readonly #buffers: ReplyBuffers
  readonly #output: ByteWriter
  readonly #json: RecordJsonWriter
  readonly #batch: number
  /** Records of the array that is open. */
  #batched = 0

  constructor(options: EventFormOptions, buffers: ReplyBuffers) {
    this.#buffers = buffers
    this.#output = buffers.take()
    this.#json = new RecordJsonWriter(this.#output, { ...options, lineBreaks: 'blank' })
    this.#batch = options.batch
  }

  get size(): number {
    return this.#output.position + this.#json.takenBack
  }

  begin(topic: string, partition: number, timestampType: TimestampType): void {
    this.#json.begin(topic, partition, timestampType)
  }

  write(record: RecordReader, cursor?: () => string): void {
    invariant(cursor !== undefined, 'an event has the cursor behind it')
    if (this.#batch > 1) this.#writeToBatch(record, cursor)
    else {
      this.#output.writeText(`id: ${cursor()}\ndata: `)
      this.#json.write(record)
      this.#output.writeText('\n\n')
    }
  }

  #writeToBatch(record: RecordReader, cursor: () => string): void {
    if (this.#batched === 0) this.#output.writeText('data: [')
    else this.#output.writeByte(COMMA)
    this.#json.write(record)
    this.#batched++
    if (this.#batched === this.#batch) this.#endBatch(cursor())
  }

  #endBatch(cursor: string): void {
    this.#output.writeText(`]\nid: ${cursor}\n\n`)
    this.#batched = 0
  }

  finish(cursor: string): Buffer {
    if (this.#batched > 0) this.#endBatch(cursor)
    this.#json.end()
    // of its own size: it is kept for as long as somebody may ask for it
    const chunk = Buffer.from(this.#output.written())
    this.#buffers.giveBack(this.#output)
    return chunk
  }
}

/** An event that is no record: its name says what it is. */
export function namedEvent(name: string, data: object, id?: string): Buffer {
  const idLine = id === undefined ? '' : `id: ${id}\n`
  return Buffer.from(`event: ${name}\n${idLine}data: ${JSON.stringify(data)}\n\n`)
}
