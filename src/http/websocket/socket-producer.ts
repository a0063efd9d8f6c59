// What a socket produces: its frames have their place in the order in which they came, whatever each must wait for, and a
// window of them may be unanswered at a time.

import type { RecordEncodings } from '../../codec/produce-body.ts'
import { parseProduceRecords } from '../../codec/produce-body.ts'
import type { ProduceRecord } from '../../codec/produce-record.ts'
import type { SchemaChoice } from '../../codec/schema-codec.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import { WS_PRODUCED_RECORD_BYTES, WS_PRODUCES_IN_FLIGHT_MAX } from '../../kernel/limits.ts'
import type { Caller } from '../../service/caller.ts'
import type { ProduceResult } from '../../service/produce/produce-result.ts'
import type { HttpFloor } from '../http-floor.ts'
import { renderProduced, TimestampText, withResults } from '../produced-json.ts'
import { ACKS_OF_TEXT } from '../v1/produce.ts'
import type { FrameId, ProduceFrame, ReadFrame } from './frames-in.ts'

export interface ProducerOwner {
  readonly caller: Caller
  /** The members as the text of a JSON object. */
  answerText(id: FrameId, members: string): void
  refuse(id: FrameId | undefined, sub: string | undefined, failure: TailraceError): void
  warningsOf(frame: ProduceFrame): readonly string[]
  /** One more is answered. */
  onProduced(): void
}

interface Request {
  readonly frame: ProduceFrame
  readonly records: readonly ProduceRecord[]
  readonly bytes: number
  release(): void
}

export class SocketProducer {
  readonly #floor: HttpFloor
  readonly #owner: ProducerOwner
  readonly #timestamps = new TimestampText()
  /** Not answered yet, those that wait among them. */
  #unanswered = 0
  /** Of them: what they hold, their answers foreseen. */
  #heldBytes = 0
  #waiting: Request[] = []
  /** One was begun that has not found its place yet: those behind it wait. */
  #isPlacing = false

  constructor(floor: HttpFloor, owner: ProducerOwner) {
    this.#floor = floor
    this.#owner = owner
  }

  get unanswered(): number {
    return this.#unanswered
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  produce({ frame: read, recordsStart, recordsEnd }: ReadFrame, bytes: Buffer): void {
    const frame = read as ProduceFrame
    try {
      if (this.#unanswered >= WS_PRODUCES_IN_FLIGHT_MAX) throw tooManyInFlight()
      const { schemas, services } = this.#floor
      const typed = { schemas, topic: frame.topic, engine: services.engine }
      const records = parseProduceRecords(bytes, recordsStart, recordsEnd, encodingsOf(frame), typed)
      const held = bytes.length + records.length * WS_PRODUCED_RECORD_BYTES
      this.#waiting.push({ frame, records, bytes: held, release: this.#floor.bodies.hold(held) })
      this.#unanswered++
      this.#heldBytes += held
      this.#beginNext()
    } catch (error) {
      this.#owner.refuse(frame.id, undefined, asTailraceError(error))
    }
  }

  #beginNext(): void {
    while (!this.#isPlacing) {
      const request = this.#waiting.shift()
      if (request === undefined) return
      this.#begin(request)
    }
  }

  #begin({ frame, records, bytes, release }: Request): void {
    const { id, topic, acks, producer } = frame
    this.#isPlacing = true
    let isPlaced = false
    const onPlaced = () => {
      if (isPlaced) return
      isPlaced = true
      this.#isPlacing = false
    }
    const over = () => {
      this.#unanswered--
      this.#heldBytes -= bytes
      release()
      onPlaced()
      this.#beginNext()
      this.#owner.onProduced()
    }
    const options = {
      acks: ACKS_OF_TEXT[acks ?? 'all'],
      producer: producer && { name: producer.id, epoch: producer.epoch, sequence: producer.seq },
      badRecords: 'refuse',
      onPlaced: () => {
        onPlaced()
        // Others may be begun from within, but not before this one's call has returned.
        queueMicrotask(() => this.#beginNext())
      },
    } as const
    this.#floor.services.produce.produce(this.#owner.caller, topic, records, options).then(
      (result) => {
        this.#answer(frame, result)
        over()
      },
      (error) => {
        this.#owner.refuse(id, undefined, asTailraceError(error))
        over()
      },
    )
  }

  #answer(frame: ProduceFrame, result: ProduceResult): void {
    const { id } = frame
    const { failure } = result
    if (failure !== undefined) {
      this.#owner.refuse(id, undefined, withResults(failure, result, this.#timestamps))
      return
    }
    if (id === undefined) return
    const warnings = this.#owner.warningsOf(frame)
    const text = renderProduced(result, this.#timestamps)
    const warned = warnings.length === 0 ? text : `{"warnings":${JSON.stringify(warnings)},${text.slice(1)}`
    this.#owner.answerText(id, warned)
  }
}

function tooManyInFlight(): TailraceError {
  const detail = `${WS_PRODUCES_IN_FLIGHT_MAX} frames of this socket are being stored: wait for their answers`
  return new TailraceError('too_many_in_flight', detail, { max: WS_PRODUCES_IN_FLIGHT_MAX })
}

function encodingsOf(frame: ProduceFrame): RecordEncodings {
  return {
    key: frame.key_encoding,
    value: frame.value_encoding,
    keySchema: choiceOf(frame.key_schema_id, frame.key_subject, frame.key_schema_version),
    valueSchema: choiceOf(frame.schema_id, frame.subject, frame.schema_version),
  }
}

function choiceOf(
  id: number | undefined,
  subject: string | undefined,
  version: number | undefined,
): SchemaChoice | undefined {
  return id === undefined && subject === undefined && version === undefined ? undefined : { id, subject, version }
}
