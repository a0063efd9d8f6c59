// Frames with records. A chunk's body is the same for all tails that are given it; what stands in front differs by
// subscription and generation, of which most sockets have the same. So a whole frame is put together once for them all.

import type { RecordField, RecordJsonOptions } from '../../codec/record-json.ts'
import { RECORD_FIELDS, RecordJsonWriter } from '../../codec/record-json.ts'
import type { ByteWriter } from '../../kernel/byte-writer.ts'
import { WS_FRAME_HEADS_MAX } from '../../kernel/limits.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type { QueueForm } from '../../service/group-tails/group-tail.ts'
import type { PollSink } from '../../service/groups/group-poll.ts'
import type { TailEncoder, TailForm } from '../../service/tail/tail.ts'
import type { HttpFloor } from '../http-floor.ts'

/** Puts frames together; one for all sockets. */
export class RecordFrames {
  #body: Buffer | undefined
  #heads: Buffer[] = []
  #frames: Buffer[] = []

  /** Tails at the same place are given their chunk one after the other. */
  join(head: Buffer, body: Buffer): Buffer {
    if (body !== this.#body) {
      this.#body = body
      this.#heads = []
      this.#frames = []
    }
    const known = this.#heads.findIndex((each) => each.equals(head))
    if (known >= 0) return this.#frames[known] as Buffer
    const frame = Buffer.concat([head, body])
    if (this.#heads.length < WS_FRAME_HEADS_MAX) {
      this.#heads.push(head)
      this.#frames.push(frame)
    }
    return frame
  }
}

export type FrameFormats = Pick<RecordJsonOptions, 'keyFormat' | 'valueFormat' | 'schemas' | 'unions'> & {
  /** undefined: all. */
  readonly fields: ReadonlySet<RecordField> | undefined
}

/** Of the HTTP floor. */
export type FrameMemory = Pick<HttpFloor, 'knownJson' | 'replyBuffers'>

/** `,"records":[…],"cursor":"…"}` */
export class RecordsForm implements TailForm {
  readonly key: string
  readonly #formats: FrameFormats
  readonly #memory: FrameMemory

  constructor(formats: FrameFormats, memory: FrameMemory) {
    const { keyFormat, valueFormat, unions, fields } = formats
    this.key = `frames/${keyFormat}/${valueFormat}/${unions}/${RECORD_FIELDS.filter((field) => fields?.has(field) ?? true)}`
    this.#formats = formats
    this.#memory = memory
  }

  newEncoder(): TailEncoder {
    return new RecordsEncoder(this.#formats, this.#memory)
  }
}

const OPEN = Buffer.from(',"records":[')
const COMMA = 0x2c

class RecordsEncoder implements TailEncoder {
  readonly #memory: FrameMemory
  readonly #output: ByteWriter
  readonly #json: RecordJsonWriter

  constructor(formats: FrameFormats, memory: FrameMemory) {
    this.#memory = memory
    this.#output = memory.replyBuffers.take()
    this.#json = new RecordJsonWriter(this.#output, { ...formats, lineBreaks: 'keep' })
  }

  get size(): number {
    return this.#output.position + this.#json.takenBack
  }

  begin(topic: string, partition: number, timestampType: TimestampType, topicId: string): void {
    this.#json.begin(topic, partition, timestampType, this.#memory.knownJson.of(topicId, partition))
  }

  write(record: RecordReader): void {
    if (this.#output.position === 0) this.#output.writeBytes(OPEN)
    else this.#output.writeByte(COMMA)
    this.#json.write(record)
  }

  /** Of the record that was written last. */
  writeAttempts(attempts: number): void {
    // in front of the record's closing brace
    this.#output.position--
    this.#output.writeText(`,"attempts":${attempts}}`)
  }

  finish(cursor: string): Buffer {
    this.#json.end()
    this.#output.writeText(cursor === '' ? ']}' : `],"cursor":${JSON.stringify(cursor)}}`)
    // memory of its own, and no more of it than there are bytes: a chunk may be kept for a while
    const bytes = Buffer.from(this.#output.written())
    this.#memory.replyBuffers.giveBack(this.#output)
    return bytes
  }
}

/** Records of a work queue: with how often each was given to somebody, and no cursor. */
export class WorkerRecordsForm implements QueueForm {
  readonly key = 'worker'
  readonly #formats: FrameFormats
  readonly #memory: FrameMemory

  constructor(formats: FrameFormats, memory: FrameMemory) {
    this.#formats = formats
    this.#memory = memory
  }

  newEncoder(): ReturnType<QueueForm['newEncoder']> {
    return new WorkerRecordsEncoder(this.#formats, this.#memory)
  }
}

class WorkerRecordsEncoder extends RecordsEncoder implements PollSink {
  #attempts = 1

  attempt(attempts: number): void {
    this.#attempts = attempts
  }

  override write(record: RecordReader): void {
    super.write(record)
    this.writeAttempts(this.#attempts)
  }
}
