// Protobuf's bytes and its canonical JSON, by a well-kept library from the descriptors of a schema. In front of a message
// stands which one of the schema's it is: the positions of its messages, the outermost first.

import type { DescMessage, JsonValue, Registry } from '@bufbuild/protobuf'
import type { ByteWriter } from '../kernel/byte-writer.ts'
import { PROTOBUF_DEPTH_MAX, PROTOBUF_JSON_CHARS_MAX } from '../kernel/limits.ts'
import { describeProto } from '../registry/protobuf/proto-descriptor.ts'
import type { ProtoMessage } from '../registry/protobuf/proto-file.ts'
import type { ProtobufSchema } from '../registry/protobuf/protobuf-format.ts'
import { protobufLibrary } from '../registry/protobuf/protobuf-library.ts'
import { ProtobufJson } from './protobuf-json.ts'
import { protobufMisfit } from './protobuf-misfit.ts'
import { ProtobufWidth, tooWide } from './protobuf-width.ts'
import { SchemaDataError } from './schema-data-error.ts'
import type { ValueCodec } from './value-codec.ts'

const FIRST: readonly number[] = [0]

export class ProtobufMessages implements ValueCodec {
  readonly #schema: ProtobufSchema
  readonly #registry: Registry
  readonly #json: ProtobufJson
  readonly #library = protobufLibrary()
  readonly #width: ProtobufWidth

  /** SchemaDataError: what it needs is not there. */
  constructor(schema: ProtobufSchema) {
    this.#schema = schema
    const { create, createFileRegistry, FileDescriptorSetSchema } = this.#library
    try {
      const files = schema.scope.all().map((scope) => describeProto(scope, { path: scope.path, isComplete: true }))
      this.#registry = createFileRegistry(create(FileDescriptorSetSchema, { file: files }))
      this.#width = new ProtobufWidth(this.#registry)
      this.#json = new ProtobufJson(this.#registry)
    } catch (error) {
      throw new SchemaDataError(`messages cannot be made of this schema: ${(error as Error).message}`, { cause: error })
    }
  }

  /** Of the schema's first message. */
  encode(bytes: Buffer, start: number, end: number, output: ByteWriter): void {
    const message = this.#messageAt(FIRST)
    if (message === undefined) throw new SchemaDataError('Protobuf schema definition contains no type definitions')
    const { fromJson, toBinary } = this.#library
    let json: JsonValue | undefined
    try {
      json = this.#json.parse(bytes, start, end, message)
      this.#width.checkJson(message, json, end - start)
      const encoded = toBinary(message, fromJson(message, json, { registry: this.#registry }))
      output.writeByte(0)
      output.writeBytes(encoded)
    } catch (error) {
      if (error instanceof SchemaDataError) throw error
      throw new SchemaDataError(this.#misfit(message, json) ?? (error as Error).message, { cause: error })
    }
  }

  #misfit(message: DescMessage, json: JsonValue | undefined): string | undefined {
    if (json === undefined) return undefined
    return protobufMisfit(message, json, (part, value) => {
      this.#library.fromJson(part, value, { registry: this.#registry })
    })
  }

  decode(bytes: Buffer, start: number, end: number, output: ByteWriter): void {
    const { indexes, position } = readIndexes(bytes, start, end)
    // clients that work with descriptors may count what maps are made of
    const message = this.#messageAt(indexes) ?? this.#messageAt(indexes, true)
    // some clients write no positions at all
    const first = message === undefined ? this.#messageAt(FIRST) : undefined
    const before = output.position
    try {
      if (message !== undefined) this.#write(message, bytes.subarray(position, end), output)
      else if (first !== undefined) this.#write(first, bytes.subarray(start, end), output)
      if (output.position > before) return
    } catch (error) {
      if (message !== undefined) throw new SchemaDataError((error as Error).message, { cause: error })
    }
    throw new SchemaDataError(`the schema has no message at [${indexes.slice(0, 8).join(', ')}]`)
  }

  #write(message: DescMessage, bytes: Uint8Array, output: ByteWriter): void {
    const { fromBinary, toJsonString } = this.#library
    this.#width.checkBytes(message, bytes)
    const decoded = fromBinary(message, bytes)
    const json = toJsonString(message, decoded, { registry: this.#registry, alwaysEmitImplicit: true })
    if (json.length > PROTOBUF_JSON_CHARS_MAX) throw tooWide()
    output.writeText(json)
  }

  /** `withEntries`: among those that a map's entries are, in front of the others as fields are in front of messages. */
  #messageAt(indexes: readonly number[], withEntries = false): DescMessage | undefined {
    const { packageName, messages } = this.#schema.file
    let among: readonly (ProtoMessage | undefined)[] = messages
    let name = packageName
    for (const index of indexes) {
      const found = among[index]
      if (found === undefined) return undefined
      name = name === '' ? found.name : `${name}.${found.name}`
      const entries = withEntries ? found.fields.filter(({ mapKey }) => mapKey !== undefined) : []
      among = [...entries.map(() => undefined), ...found.messages]
    }
    return this.#registry.getMessage(name)
  }
}

/** Zigzag varints: how many, then each. None at all is the first message. */
function readIndexes(bytes: Buffer, start: number, end: number) {
  let position = start
  const next = (): number => {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (position >= end) return -1
      const byte = bytes[position++] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    return -1
  }
  const count = next()
  if (count === 0) return { indexes: FIRST, position }
  const indexes: number[] = []
  if (count > 0 && count <= PROTOBUF_DEPTH_MAX) while (indexes.length < count) indexes.push(next())
  else indexes.push(-1)
  return { indexes, position }
}
