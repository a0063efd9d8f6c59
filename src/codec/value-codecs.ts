// What a schema of any format is to records: JSON in, the bytes behind a frame's head out, and back. One for each schema,
// compiled once.

import type { ByteWriter } from '../kernel/byte-writer.ts'
import { isJson } from '../kernel/json-text.ts'
import { AvroSchema } from '../registry/avro/avro-format.ts'
import { JsonSchema } from '../registry/json-schema/json-schema-format.ts'
import { ProtobufSchema } from '../registry/protobuf/protobuf-format.ts'
import type { ParsedSchema } from '../registry/schema-format.ts'
import type { AvroUnions } from './avro-decoder.ts'
import { AvroDecoder } from './avro-decoder.ts'
import { AvroEncoder } from './avro-encoder.ts'
import { JsonSchemaValidator } from './json-schema-validator.ts'
import { ProtobufMessages } from './protobuf-messages.ts'
import { SchemaDataError } from './schema-data-error.ts'
import type { ValueCodec } from './value-codec.ts'

/** SchemaDataError: values cannot be made with it. */
export function codecOf(schema: ParsedSchema): ValueCodec {
  if (schema instanceof AvroSchema) return schema.root.kind === 'bytes' ? RAW_BYTES : new AvroCodec(schema)
  if (schema instanceof JsonSchema) return new JsonSchemaCodec(schema)
  if (schema instanceof ProtobufSchema) return new ProtobufMessages(schema)
  throw new SchemaDataError('values of this kind of schema are not known here')
}

class AvroCodec implements ValueCodec {
  readonly #schema: AvroSchema
  #encoder: AvroEncoder | undefined
  readonly #decoders = new Map<AvroUnions, AvroDecoder>()

  constructor(schema: AvroSchema) {
    this.#schema = schema
  }

  encode(bytes: Buffer, start: number, end: number, output: ByteWriter): void {
    this.#encoder ??= new AvroEncoder(this.#schema.root)
    this.#encoder.encode(bytes, start, end, output)
  }

  decode(bytes: Buffer, start: number, end: number, output: ByteWriter, unions: AvroUnions): void {
    let decoder = this.#decoders.get(unions)
    if (decoder === undefined) {
      decoder = new AvroDecoder(this.#schema.root, unions)
      this.#decoders.set(unions, decoder)
    }
    decoder.decode(bytes, start, end, output)
  }
}

/** Where a schema is Avro's bytes and nothing else they stand as they are, without their length: so Java's serializer has it. */
const RAW_BYTES: ValueCodec = {
  encode(bytes, start, end, output) {
    const value: unknown = JSON.parse(bytes.toString('utf8', start, end))
    if (typeof value === 'string' && LATIN.test(value)) return output.writeBytes(Buffer.from(value, 'latin1'))
    const shown = bytes.toString('utf8', start, Math.min(end, start + 60))
    throw new SchemaDataError(`must be a string of characters up to \\u00ff, one for each byte, not ${shown}`)
  },
  decode(bytes, start, end, output) {
    output.writeText(JSON.stringify(bytes.toString('latin1', start, end)))
  },
}

const LATIN = /^[\0-\xff]*$/

/** What is stored is the text that was sent, and what is given is the text that was stored. */
class JsonSchemaCodec implements ValueCodec {
  readonly #schema: JsonSchema
  #validator: JsonSchemaValidator | SchemaDataError | undefined

  constructor(schema: JsonSchema) {
    this.#schema = schema
  }

  encode(bytes: Buffer, start: number, end: number, output: ByteWriter): void {
    this.#validator ??= validatorOf(this.#schema)
    if (this.#validator instanceof SchemaDataError) throw this.#validator
    this.#validator.check(bytes.toString('utf8', start, end))
    output.writeBytes(bytes, start, end)
  }

  decode(bytes: Buffer, start: number, end: number, output: ByteWriter): void {
    if (!isJson(bytes, start, end)) throw new SchemaDataError('the value is no JSON')
    output.writeBytes(bytes, start, end)
  }
}

/** What it cannot be made for it cannot be made for the next value either, and not in less time. */
function validatorOf(schema: JsonSchema): JsonSchemaValidator | SchemaDataError {
  try {
    return new JsonSchemaValidator(schema)
  } catch (error) {
    if (error instanceof SchemaDataError) return error
    throw error
  }
}
