// What keys and values that are framed with the id of a schema are to expressions: what their JSON says as the registry
// shows it, unions plain. All expressions share one of these: what one looks at is decoded when it does, at once.

import type { SchemaCodec } from '../../codec/schema-codec.ts'
import { isUndecoded, schemaIdOf } from '../../codec/schema-codec.ts'
import { ByteWriter } from '../../kernel/byte-writer.ts'
import { EXPRESSION_DECODED_BYTES_MAX, EXPRESSION_VALUE_BYTES_MAX } from '../../kernel/limits.ts'
import type { Value } from './expression-values.ts'
import { ExpressionFault, STEPS_PER_MS, TOO_LARGE } from './expression-values.ts'

export class FramedValues {
  /** What the last one took. */
  steps = 0
  readonly #schemas: SchemaCodec
  readonly #json = new ByteWriter(4096, EXPRESSION_DECODED_BYTES_MAX)
  #lastFault = TOO_LARGE

  constructor(schemas: SchemaCodec) {
    this.#schemas = schemas
  }

  /** undefined: [start, end) is no frame. A fault: it cannot be decoded, or is too large to be. */
  read(bytes: Buffer, start: number, end: number): Value | ExpressionFault | undefined {
    this.steps = 0
    if (schemaIdOf(bytes, start, end) === undefined) return undefined
    const size = end - start
    if (size > EXPRESSION_VALUE_BYTES_MAX) return TOO_LARGE
    const json = this.#json
    json.reset()
    const since = performance.now()
    const found = this.#schemas.decode(bytes, start, end, json, 'plain')
    if (found === undefined) return undefined
    if (isUndecoded(found)) {
      // what was written before it failed nobody knows any more
      this.steps = ExpressionFault.steps + Math.round((performance.now() - since) * STEPS_PER_MS)
      return this.#fault(found.error)
    }
    this.steps = 10 + Math.round((size + json.position) * STEPS_PER_BYTE[found.encoding])
    if (json.position > EXPRESSION_VALUE_BYTES_MAX) return TOO_LARGE
    return JSON.parse(json.bytes.toString('utf8', 0, json.position))
  }

  /** Records that follow each other fail for the same reason. */
  #fault(reason: string): ExpressionFault {
    if (this.#lastFault.message !== reason) this.#lastFault = new ExpressionFault(reason)
    return this.#lastFault
  }
}

/** Decoding and parsing together. */
const STEPS_PER_BYTE = { avro: 0.5, jsonschema: 0.5, protobuf: 1 } as const
