// What a socket produces: its frames are begun in their order, a window of them may be unanswered at a time.

import { parseProduceRecords } from '../../codec/produce-body.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import { WS_PRODUCES_IN_FLIGHT_MAX } from '../../kernel/limits.ts'
import type { Caller } from '../../service/caller.ts'
import type { ProduceResult } from '../../service/produce-result.ts'
import type { HttpFloor } from '../http-floor.ts'
import { renderProduced, TimestampText, withResults } from '../produced-json.ts'
import { ACKS_OF_TEXT } from '../v1/produce.ts'
import type { FrameId, ProduceFrame, ReadFrame } from './frames-in.ts'

export interface ProducerOwner {
  readonly caller: Caller
  answer(id: FrameId | undefined, members: object): void
  refuse(id: FrameId | undefined, sub: string | undefined, failure: TailraceError): void
}

export class SocketProducer {
  readonly #floor: HttpFloor
  readonly #owner: ProducerOwner
  readonly #timestamps = new TimestampText()
  #inFlight = 0

  constructor(floor: HttpFloor, owner: ProducerOwner) {
    this.#floor = floor
    this.#owner = owner
  }

  produce({ frame, recordsStart, recordsEnd }: ReadFrame, bytes: Buffer): void {
    const { id, topic, acks, key_encoding, value_encoding, producer } = frame as ProduceFrame
    try {
      if (this.#inFlight >= WS_PRODUCES_IN_FLIGHT_MAX) throw tooManyInFlight()
      const records = parseProduceRecords(bytes, recordsStart, recordsEnd, { key: key_encoding, value: value_encoding })
      const options = {
        acks: ACKS_OF_TEXT[acks ?? 'all'],
        producer: producer && { name: producer.id, epoch: producer.epoch, sequence: producer.seq },
        badRecords: 'refuse',
      } as const
      this.#inFlight++
      this.#floor.services.produce.produce(this.#owner.caller, topic, records, options).then(
        (result) => this.#answer(id, result),
        (error) => this.#refuse(id, error),
      )
    } catch (error) {
      this.#owner.refuse(id, undefined, asTailraceError(error))
    }
  }

  #answer(id: FrameId | undefined, result: ProduceResult): void {
    this.#inFlight--
    const { failure } = result
    if (failure !== undefined) this.#owner.refuse(id, undefined, withResults(failure, result, this.#timestamps))
    else if (id !== undefined) this.#owner.answer(id, JSON.parse(renderProduced(result, this.#timestamps)))
  }

  #refuse(id: FrameId | undefined, error: unknown): void {
    this.#inFlight--
    this.#owner.refuse(id, undefined, asTailraceError(error))
  }
}

function tooManyInFlight(): TailraceError {
  const detail = `${WS_PRODUCES_IN_FLIGHT_MAX} frames of this socket are being stored: wait for their answers`
  return new TailraceError('too_many_in_flight', detail, { max: WS_PRODUCES_IN_FLIGHT_MAX })
}
