// An export that goes on: GET /v1/topics/{topic}/export?follow=true. The lines of a tail, in an export's form; what is not a
// record begins with a member that an import knows:
//
//   {"$gap":{"topic","partition","from","to","reason"}}     records that were removed before they were read
//   {"$end":{"cursor","records","reason"}}                  the last line: until, topic_deleted, draining
//   {"$error":{"code","message","details"}}                 the last line in its place, where something went wrong
//                                                           (an empty line: it lives)

import type { ServerResponse } from 'node:http'
import { RecordJsonWriter } from '../../codec/record-json.ts'
import type { ByteWriter } from '../../kernel/byte-writer.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import {
  LIVE_CONNECTION_PENDING_BYTES_MAX,
  LIVE_HEARTBEAT_MS_DEFAULT,
  TAIL_CHUNK_RECORDS_MAX,
} from '../../kernel/limits.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type { Tail, TailChunk, TailEncoder, TailEnd, TailForm, TailGap, TailReader } from '../../service/tail/tail.ts'
import type { LiveConnection, LiveConnections } from '../live-connections.ts'
import { LiveOutbox } from '../live-outbox.ts'
import type { ReplyBuffers } from '../reply-buffers.ts'

const LINE_FEED = 0x0a
const HEARTBEAT = Buffer.from('\n')

export class ExportForm implements TailForm {
  readonly key = 'ndjson'
  readonly #buffers: ReplyBuffers

  constructor(buffers: ReplyBuffers) {
    this.#buffers = buffers
  }

  newEncoder(): TailEncoder {
    return new LineEncoder(this.#buffers)
  }
}

class LineEncoder implements TailEncoder {
  readonly #buffers: ReplyBuffers
  readonly #output: ByteWriter
  readonly #json: RecordJsonWriter

  constructor(buffers: ReplyBuffers) {
    this.#buffers = buffers
    this.#output = buffers.take()
    this.#json = new RecordJsonWriter(this.#output, { keyFormat: 'auto', valueFormat: 'auto', lineBreaks: 'base64' })
  }

  get size(): number {
    return this.#output.position
  }

  begin(topic: string, partition: number, timestampType: TimestampType): void {
    this.#json.begin(topic, partition, timestampType)
  }

  write(record: RecordReader): void {
    this.#json.write(record)
    this.#output.writeByte(LINE_FEED)
  }

  finish(): Buffer {
    this.#json.end()
    const lines = Buffer.from(this.#output.written())
    this.#buffers.giveBack(this.#output)
    return lines
  }
}

export class FollowedExport implements LiveConnection, TailReader {
  readonly #response: ServerResponse
  readonly #clock: Clock
  readonly #live: LiveConnections
  readonly #outbox: LiveOutbox
  readonly #leave: () => void
  #tail: Tail | undefined
  #recordCount = 0
  #isOver = false
  #sentAt: number

  /** overloaded: as many live connections as there may be. */
  constructor(response: ServerResponse, live: LiveConnections, clock: Clock) {
    this.#response = response
    this.#clock = clock
    this.#live = live
    this.#sentAt = clock.monotonic()
    this.#outbox = new LiveOutbox(live, response, () => this.#tail?.wake())
    this.#leave = live.add(this)
    response.once('close', () => this.close())
    // a write that meets a connection that has just gone: close says so
    response.on('error', () => {})
  }

  begin(head: Readonly<Record<string, string>>, tail: Tail): void {
    this.#tail = tail
    this.#response.writeHead(200, head)
    this.#outbox.release()
    if (this.#isOver) this.#outbox.end()
  }

  room(): { readonly records: number; readonly bytes: number } {
    const { waiting } = this.#outbox
    const isFull = waiting > LIVE_CONNECTION_PENDING_BYTES_MAX / 2 || (waiting > 0 && this.#live.isFull)
    return { records: TAIL_CHUNK_RECORDS_MAX, bytes: isFull ? 0 : LIVE_CONNECTION_PENDING_BYTES_MAX - waiting }
  }

  take(chunk: TailChunk): void {
    this.#recordCount += chunk.recordCount
    this.#push(chunk.body, () => chunk.taken())
  }

  gap({ topic, partition, from, to, reason }: TailGap): void {
    this.#push(line({ $gap: { topic, partition, from, to, reason } }))
  }

  progress(): void {}

  /** The others could go on, but the text would not be whole. */
  fault({ error }: { readonly error: TailraceError }): void {
    this.fail(error)
  }

  end(reason: TailEnd | 'draining'): void {
    this.#finish({ $end: { cursor: this.#tail?.cursor, records: this.#recordCount, reason } })
  }

  fail({ code, message, details }: TailraceError): void {
    this.#finish({ $error: { code, message, details } })
  }

  sweep(now: number): void {
    if (this.#outbox.isStalled(now)) this.#response.destroy()
    else if (this.#outbox.waiting === 0 && now - this.#sentAt >= LIVE_HEARTBEAT_MS_DEFAULT) this.#push(HEARTBEAT)
  }

  drain(): void {
    if (this.#tail !== undefined) this.end('draining')
  }

  /** The connection is gone, or was never begun. */
  close(): void {
    this.#isOver = true
    this.#tail?.close()
    this.#leave()
    this.#outbox.close()
  }

  #push(bytes: Buffer, onTaken?: () => void): void {
    if (this.#isOver) return
    this.#sentAt = this.#clock.monotonic()
    this.#outbox.push(bytes, onTaken)
  }

  #finish(last: object): void {
    if (this.#isOver) return
    this.#push(line(last))
    this.#isOver = true
    this.#tail?.close()
    this.#outbox.end()
  }
}

function line(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}
