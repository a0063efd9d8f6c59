// Protobuf as a schema format of the registry. A schema comes as .proto text, or as base64 of a binary descriptor; it is kept
// as text.

import { asTailraceError } from '../../kernel/errors.ts'
import { invalid } from '../invalid-schema.ts'
import type { ParsedSchema, ReaderWriter, ReferencedSchema, SchemaFormat } from '../schema-format.ts'
import { checkProto } from './proto-check.ts'
import { isIncompatible, protoDifferences, renderProtoDifference } from './proto-compatibility.ts'
import { describeProto, readDescriptor, serializeDescriptor } from './proto-descriptor.ts'
import type { ProtoEnum, ProtoField, ProtoFile, ProtoMessage, ProtoOption } from './proto-file.ts'
import { knownFile } from './proto-known-files.ts'
import { normalizeProto } from './proto-normal.ts'
import { parseProto } from './proto-parser.ts'
import { printProto } from './proto-printer.ts'
import type { ProtoScope } from './proto-scope.ts'
import { linkProto } from './proto-scope.ts'

export const protobufFormat: SchemaFormat = {
  type: 'PROTOBUF',
  forms: ['serialized', 'ignore_extensions'],
  parse(text, references, strictness) {
    const schema = new ProtobufSchema(readText(text), references)
    if (strictness === 'new') checkProto(schema.scope)
    return schema
  },
}

/** What a client asks for that reads descriptors alone. */
const SERIALIZED_PATH = 'default'

export class ProtobufSchema implements ParsedSchema {
  readonly type = 'PROTOBUF'
  readonly file: ProtoFile
  readonly canonical: string
  readonly #references: readonly ReferencedSchema[]
  #scope: ProtoScope | undefined
  #normalized: string | undefined

  constructor(file: ProtoFile, references: readonly ReferencedSchema[]) {
    this.file = file
    this.canonical = printProto(file)
    this.#references = references
  }

  /** With all that it imports. invalid_schema: something is missing. */
  get scope(): ProtoScope {
    this.#scope ??= linkProto(this.file, (path) => {
      const reference = this.#references.find(({ name }) => name === path)
      return reference === undefined ? knownFile(path) : readText(reference.text)
    })
    return this.#scope
  }

  get normalized(): string {
    this.#normalized ??= printProto(normalizeProto(this.scope))
    return this.#normalized
  }

  /** Of the first message, or the first enum where there is none. */
  get recordName(): string | undefined {
    const { packageName, messages, enums } = this.file
    const name = messages[0]?.name ?? enums[0]?.name
    if (name === undefined) return undefined
    return packageName === '' ? name : `${packageName}.${name}`
  }

  get fieldNames(): readonly string[] {
    return this.file.messages[0]?.fields.map(({ name }) => name) ?? []
  }

  formatted(format: string): string {
    if (format === 'serialized') {
      return serializeDescriptor(describeProto(this.scope, { path: SERIALIZED_PATH, isComplete: false }))
    }
    return format === 'ignore_extensions' ? printProto(withoutExtensions(this.file)) : this.canonical
  }

  get meaning(): string {
    return this.canonical
  }

  incompatibilities(writer: ParsedSchema, words: ReaderWriter): readonly string[] {
    return protoDifferences((writer as ProtobufSchema).scope, this.scope)
      .filter(isIncompatible)
      .map((difference) => renderProtoDifference(difference, words))
  }
}

function readText(text: string): ProtoFile {
  try {
    return parseProto(text)
  } catch (error) {
    const file = readDescriptor(text)
    if (file !== undefined) return file
    const known = asTailraceError(error)
    throw known.code === 'unknown_server_error' ? invalid('Could not parse Protobuf') : known
  }
}

/** Without extensions and the options that are some; those of Confluent stay. */
function withoutExtensions(file: ProtoFile): ProtoFile {
  const kept = (options: readonly ProtoOption[]) =>
    options.filter(({ name }) => !name.startsWith('(') || name.startsWith('(confluent.'))
  const fieldOf = (field: ProtoField): ProtoField => ({
    ...field,
    options: kept(field.options),
    group: field.group && messageOf(field.group),
  })
  const enumOf = (one: ProtoEnum): ProtoEnum => ({
    ...one,
    options: kept(one.options),
    values: one.values.map((value) => ({ ...value, options: kept(value.options) })),
  })
  const messageOf = (message: ProtoMessage): ProtoMessage => ({
    ...message,
    options: kept(message.options),
    fields: message.fields.map(fieldOf),
    oneofs: message.oneofs.map((oneof) => ({ ...oneof, options: kept(oneof.options) })),
    extensions: [],
    extends: [],
    messages: message.messages.map(messageOf),
    enums: message.enums.map(enumOf),
  })
  return {
    ...file,
    options: kept(file.options),
    messages: file.messages.map(messageOf),
    enums: file.enums.map(enumOf),
    extends: [],
    services: file.services.map((service) => ({
      ...service,
      options: kept(service.options),
      methods: service.methods.map((method) => ({ ...method, options: kept(method.options) })),
    })),
  }
}
