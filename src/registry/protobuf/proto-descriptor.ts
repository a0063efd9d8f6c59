// Linked .proto files as descriptors, which Protobuf's libraries work with, and descriptors as .proto files.

import type { DescField, DescMessage, Message } from '@bufbuild/protobuf'
import type {
  DescriptorProto,
  EnumDescriptorProto,
  FieldDescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProto,
} from '@bufbuild/protobuf/wkt'
import { TailraceError } from '../../kernel/errors.ts'
import { PROTOBUF_DEPTH_MAX, PROTOBUF_FIELDS_MAX } from '../../kernel/limits.ts'
import { invalid } from '../invalid-schema.ts'
import type {
  ProtoEnum,
  ProtoField,
  ProtoFile,
  ProtoLabel,
  ProtoMessage,
  ProtoOption,
  ProtoRange,
  ProtoReserved,
  ProtoValue,
} from './proto-file.ts'
import { FIELD_NUMBER_MAX, jsonNameOf, mapEntryName, optionOf, SCALAR_TYPES } from './proto-file.ts'
import type { ProtoScope } from './proto-scope.ts'
import { unresolved } from './proto-scope.ts'
import { protobufLibrary } from './protobuf-library.ts'

export interface Describing {
  readonly path: string
  /** Every field gets its JSON name, not those alone whose authors wrote one. */
  readonly isComplete: boolean
}

/** The numbers of descriptor.proto. */
const SCALARS: Readonly<Record<string, FieldDescriptorProto_Type>> = {
  double: 1,
  float: 2,
  int64: 3,
  uint64: 4,
  int32: 5,
  fixed64: 6,
  fixed32: 7,
  bool: 8,
  string: 9,
  bytes: 12,
  uint32: 13,
  sfixed32: 15,
  sfixed64: 16,
  sint32: 17,
  sint64: 18,
}
const Type = { BOOL: 8, STRING: 9, GROUP: 10, MESSAGE: 11, BYTES: 12, ENUM: 14 } as const
const Label = { OPTIONAL: 1, REQUIRED: 2, REPEATED: 3 } as const
const Edition = { EDITION_2023: 1000, EDITION_2024: 1001 } as const

const SCALAR_NAMES = new Map(Object.entries(SCALARS).map(([name, type]) => [type, name]))

const LABELS: Readonly<Record<ProtoLabel, FieldDescriptorProto_Label>> = {
  optional: Label.OPTIONAL,
  required: Label.REQUIRED,
  repeated: Label.REPEATED,
}

/** invalid_schema: a type that is not there. */
export function describeProto(scope: ProtoScope, describing: Describing): FileDescriptorProto {
  return new Describer(scope, describing).file()
}

class Describer {
  readonly #scope: ProtoScope
  readonly #describing: Describing

  constructor(scope: ProtoScope, describing: Describing) {
    this.#scope = scope
    this.#describing = describing
  }

  file(): FileDescriptorProto {
    const { file } = this.#scope
    const { packageName } = file
    const indexesOf = (kind: string) => file.imports.flatMap((one, at) => (one.kind === kind ? [at] : []))
    const { create, FileDescriptorProtoSchema } = protobufLibrary()
    return create(FileDescriptorProtoSchema, {
      name: this.#describing.path,
      package: packageName,
      dependency: file.imports.map(({ path }) => path),
      publicDependency: indexesOf('public'),
      weakDependency: indexesOf('weak'),
      messageType: [
        ...file.messages.map((message) => this.#message(message, packageName)),
        ...this.#groupsOf(
          file.extends.flatMap(({ fields }) => fields),
          packageName,
        ),
      ],
      enumType: file.enums.map(describeEnum),
      extension: file.extends.flatMap(({ type, fields }) =>
        fields.map((field) => this.#field(field, packageName, type)),
      ),
      service: file.services.map(({ name, methods, options }) => ({
        name,
        method: methods.map((method) => ({
          name: method.name,
          inputType: this.#typeName(method.request, packageName),
          outputType: this.#typeName(method.response, packageName),
          clientStreaming: method.isRequestStream,
          serverStreaming: method.isResponseStream,
          options: optionsOf('MethodOptionsSchema', method.options),
        })),
        options: optionsOf('ServiceOptionsSchema', options),
      })),
      options: optionsOf('FileOptionsSchema', file.options),
      ...(file.edition === undefined
        ? { syntax: file.syntax ?? '' }
        : { syntax: 'editions', edition: file.edition === '2023' ? Edition.EDITION_2023 : Edition.EDITION_2024 }),
    })
  }

  #message(message: ProtoMessage, outer: string): DescriptorProto {
    const within = outer === '' ? message.name : `${outer}.${message.name}`
    const isProto3 = this.#scope.file.syntax === 'proto3'
    const optionals = message.fields.filter(
      ({ label, oneof, group }) => isProto3 && label === 'optional' && oneof === undefined && group === undefined,
    )
    const oneofs = new Map<string | undefined, number>(message.oneofs.map(({ name }, at) => [name, at]))
    const oneofIndexOf = new Map<ProtoField, number>(optionals.map((field, at) => [field, message.oneofs.length + at]))
    for (const field of message.fields) {
      const index = oneofs.get(field.oneof)
      if (index !== undefined) oneofIndexOf.set(field, index)
    }
    const { create, DescriptorProtoSchema } = protobufLibrary()
    return create(DescriptorProtoSchema, {
      name: message.name,
      field: message.fields.map((field) => {
        const described = this.#field(field, within)
        const oneofIndex = oneofIndexOf.get(field)
        if (oneofIndex !== undefined) described.oneofIndex = oneofIndex
        if (oneofIndex !== undefined && field.oneof === undefined) described.proto3Optional = true
        return described
      }),
      nestedType: [
        ...message.messages.map((one) => this.#message(one, within)),
        ...this.#groupsOf([...message.fields, ...message.extends.flatMap(({ fields }) => fields)], within),
        ...message.fields.filter(({ mapKey }) => mapKey !== undefined).map((field) => this.#mapEntry(field, within)),
      ],
      enumType: message.enums.map(describeEnum),
      extension: message.extends.flatMap(({ type, fields }) => fields.map((field) => this.#field(field, within, type))),
      extensionRange: message.extensions.flatMap(({ ranges }) =>
        ranges.map(({ from, to }) => ({ start: from, end: (to === 'max' ? FIELD_NUMBER_MAX : to) + 1 })),
      ),
      oneofDecl: [
        ...message.oneofs.map(({ name, options }) => ({ name, options: optionsOf('OneofOptionsSchema', options) })),
        ...optionals.map(({ name }) => ({ name: `_${name}` })),
      ],
      reservedRange: message.reserved.flatMap(({ ranges }) =>
        ranges.map(({ from, to }) => ({ start: from, end: (to === 'max' ? FIELD_NUMBER_MAX : to) + 1 })),
      ),
      reservedName: message.reserved.flatMap(({ names }) => names),
      options: optionsOf('MessageOptionsSchema', message.options),
    })
  }

  #groupsOf(fields: readonly ProtoField[], within: string): DescriptorProto[] {
    return fields.flatMap(({ group }) => (group === undefined ? [] : [this.#message(group, within)]))
  }

  #mapEntry(field: ProtoField, within: string): DescriptorProto {
    const part = { label: 'optional', mapKey: undefined, options: [], oneof: undefined, group: undefined } as const
    const { create, DescriptorProtoSchema } = protobufLibrary()
    return create(DescriptorProtoSchema, {
      name: mapEntryName(field.name),
      field: [
        this.#field({ ...part, name: 'key', number: 1, type: field.mapKey as string }, within),
        this.#field({ ...part, name: 'value', number: 2, type: field.type }, within),
      ],
      options: { mapEntry: true },
    })
  }

  #field(field: ProtoField, within: string, extendee?: string): FieldDescriptorProto {
    const { name, number, label, options, mapKey } = field
    const jsonName = optionOf(options, 'json_name')
    const given = optionOf(options, 'default')
    const { create, FieldDescriptorProtoSchema } = protobufLibrary()
    const described = create(FieldDescriptorProtoSchema, {
      name,
      number,
      label: mapKey === undefined ? LABELS[label ?? 'optional'] : Label.REPEATED,
      options: optionsOf('FieldOptionsSchema', options),
    })
    if (jsonName?.kind === 'string') described.jsonName = jsonName.bytes.toString()
    else if (this.#describing.isComplete) described.jsonName = jsonNameOf(name)
    if (given !== undefined) described.defaultValue = textOfDefault(given)
    if (extendee !== undefined) described.extendee = this.#typeName(extendee, within)
    if (mapKey !== undefined) {
      described.type = Type.MESSAGE
      described.typeName = `.${within === '' ? '' : `${within}.`}${mapEntryName(name)}`
    } else if (field.group !== undefined) {
      described.type = Type.GROUP
      described.typeName = `.${within === '' ? '' : `${within}.`}${field.type}`
    } else if (SCALAR_TYPES.has(field.type)) {
      described.type = SCALARS[field.type] as FieldDescriptorProto_Type
    } else {
      const symbol = this.#scope.resolve(field.type, within)
      if (symbol === undefined) throw unresolved(field.type)
      described.type = symbol.kind === 'message' ? Type.MESSAGE : Type.ENUM
      described.typeName = `.${symbol.fullName}`
    }
    return described
  }

  #typeName(name: string, within: string): string {
    const symbol = this.#scope.resolve(name, within)
    if (symbol === undefined) throw unresolved(name)
    return `.${symbol.fullName}`
  }
}

function describeEnum({ name, values, reserved, options }: ProtoEnum): EnumDescriptorProto {
  const { create, EnumDescriptorProtoSchema } = protobufLibrary()
  return create(EnumDescriptorProtoSchema, {
    name,
    value: values.map((value) => ({
      name: value.name,
      number: value.number,
      options: optionsOf('EnumValueOptionsSchema', value.options),
    })),
    // here both ends are included
    reservedRange: reserved.flatMap(({ ranges }) =>
      ranges.map(({ from, to }) => ({ start: from, end: to === 'max' ? 2 ** 31 - 1 : to })),
    ),
    reservedName: reserved.flatMap(({ names }) => names),
    options: optionsOf('EnumOptionsSchema', options),
  })
}

function textOfDefault(value: ProtoValue): string {
  if (value.kind === 'string') return value.bytes.toString()
  return value.kind === 'word' ? value.text : ''
}

type OptionsKind =
  | 'EnumOptionsSchema'
  | 'EnumValueOptionsSchema'
  | 'FieldOptionsSchema'
  | 'FileOptionsSchema'
  | 'MessageOptionsSchema'
  | 'MethodOptionsSchema'
  | 'OneofOptionsSchema'
  | 'ServiceOptionsSchema'

/** Those that Protobuf itself knows; undefined for none. */
function optionsOf<Kind extends OptionsKind>(kind: Kind, options: readonly ProtoOption[]) {
  const known = options.filter(({ name }) => !name.startsWith('(') && name !== 'default' && name !== 'json_name')
  if (known.length === 0) return undefined
  const { create, [kind]: schema } = protobufLibrary()
  const message = create(schema)
  const isSet = known.map(({ name, value }) => setOption(message, schema, name.split('.'), value))
  return isSet.includes(true) ? message : undefined
}

function setOption(message: Message, schema: DescMessage, path: readonly string[], value: ProtoValue): boolean {
  const field = schema.fields.find(({ name }) => name === path[0])
  if (field === undefined) return false
  const { create, reflect } = protobufLibrary()
  const reflected = reflect(schema, message)
  if (field.fieldKind === 'message') {
    const inner = reflected.isSet(field) ? reflected.get(field).message : create(field.message)
    const members = value.kind === 'aggregate' ? value.members : undefined
    const isSet =
      members === undefined
        ? setOption(inner, field.message, path.slice(1), value)
        : members.map((one) => setOption(inner, field.message, [one.name], one.value)).includes(true)
    if (isSet) reflected.set(field, reflect(field.message, inner))
    return isSet
  }
  const plain = path.length === 1 ? plainOption(field, value) : undefined
  if (plain === undefined) return false
  if (field.fieldKind === 'list') reflected.get(field).add(plain as never)
  else reflected.set(field, plain as never)
  return true
}

function plainOption(field: DescField, value: ProtoValue): unknown {
  if (field.fieldKind === 'enum') {
    return value.kind === 'word' ? field.enum.values.find(({ name }) => name === value.text)?.number : undefined
  }
  if (field.fieldKind !== 'scalar') return undefined
  if (field.scalar === Type.STRING) return value.kind === 'string' ? value.bytes.toString() : undefined
  if (value.kind !== 'word') return undefined
  if (field.scalar === Type.BOOL) return value.text === 'true'
  const number = Number(value.text)
  return Number.isInteger(number) ? number : undefined
}

/** Base64 of a FileDescriptorProto; undefined where it is none. */
export function readDescriptor(base64: string): ProtoFile | undefined {
  if (!/^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(base64)) return undefined
  try {
    const { fromBinary, FileDescriptorProtoSchema } = protobufLibrary()
    const file = fromBinary(FileDescriptorProtoSchema, Buffer.from(base64, 'base64'))
    if (file.name === '' && file.messageType.length === 0 && file.enumType.length === 0) return undefined
    return fileOfDescriptor(file)
  } catch (error) {
    if (error instanceof TailraceError) throw error
    return undefined
  }
}

export function serializeDescriptor(file: FileDescriptorProto): string {
  const { toBinary, FileDescriptorProtoSchema } = protobufLibrary()
  return Buffer.from(toBinary(FileDescriptorProtoSchema, file)).toString('base64')
}

export function fileOfDescriptor(file: FileDescriptorProto): ProtoFile {
  const isProto3 = file.syntax === 'proto3'
  const publicImports = new Set(file.publicDependency)
  const weakImports = new Set(file.weakDependency)
  return {
    syntax: isProto3 ? 'proto3' : file.syntax === 'proto2' ? 'proto2' : undefined,
    edition: file.syntax === 'editions' ? (file.edition === Edition.EDITION_2024 ? '2024' : '2023') : undefined,
    packageName: file.package,
    imports: file.dependency.map((path, at) => ({
      path,
      kind: publicImports.has(at) ? 'public' : weakImports.has(at) ? 'weak' : 'plain',
    })),
    options: writtenOptions('FileOptionsSchema', file.options),
    messages: file.messageType.map((message) => messageOf(message, isProto3, 1)),
    enums: file.enumType.map(enumOf),
    extends: extendsOf(file.extension, isProto3, 1),
    services: file.service.map(({ name, method, options }) => ({
      name,
      options: writtenOptions('ServiceOptionsSchema', options),
      methods: method.map((one) => ({
        name: one.name,
        request: one.inputType,
        isRequestStream: one.clientStreaming,
        response: one.outputType,
        isResponseStream: one.serverStreaming,
        options: writtenOptions('MethodOptionsSchema', one.options),
      })),
    })),
  }
}

function messageOf(message: DescriptorProto, isProto3: boolean, depth: number): ProtoMessage {
  if (depth > PROTOBUF_DEPTH_MAX) {
    throw invalid(`messages are nested too deeply: at most ${PROTOBUF_DEPTH_MAX} levels`)
  }
  if (message.field.length > PROTOBUF_FIELDS_MAX) {
    throw invalid(`a message has at most ${PROTOBUF_FIELDS_MAX} fields`)
  }
  const nested = firstByName(message.nestedType)
  const fields = message.field.map((field) => fieldOf(field, { message, nested }, isProto3, depth))
  const oneofs = new Set(message.field.map((field) => (isInOneof(field) ? field.oneofIndex : -1)))
  const groups = new Set(fields.flatMap(({ group }) => group?.name ?? []))
  return {
    name: message.name,
    fields,
    oneofs: message.oneofDecl
      .filter((_oneof, at) => oneofs.has(at))
      .map(({ name, options }) => ({ name, options: writtenOptions('OneofOptionsSchema', options) })),
    reserved: [
      ...reservedRanges(message.reservedRange.map(({ start, end }) => rangeOf(start, end - 1))),
      ...reservedNames(message.reservedName),
    ],
    extensions: message.extensionRange.map(({ start, end }) => ({ ranges: [rangeOf(start, end - 1)], options: [] })),
    extends: extendsOf(message.extension, isProto3, depth),
    messages: message.nestedType
      .filter(({ name, options }) => options?.mapEntry !== true && !groups.has(name))
      .map((one) => messageOf(one, isProto3, depth + 1)),
    enums: message.enumType.map(enumOf),
    options: writtenOptions('MessageOptionsSchema', message.options),
  }
}

function isInOneof(field: FieldDescriptorProto): boolean {
  return hasOneof(field) && !field.proto3Optional
}

/** 0 is a oneof's index, too: it counts where it is set. */
function hasOneof(field: FieldDescriptorProto): boolean {
  return Object.hasOwn(field, 'oneofIndex')
}

/** Where fields stand: their message, and the types in it by their names. */
interface Surroundings {
  readonly message: DescriptorProto
  readonly nested: ReadonlyMap<string, DescriptorProto>
}

function firstByName(types: readonly DescriptorProto[]): ReadonlyMap<string, DescriptorProto> {
  return new Map(types.toReversed().map((type) => [type.name, type]))
}

function fieldOf(
  field: FieldDescriptorProto,
  within: Surroundings | undefined,
  isProto3: boolean,
  depth: number,
): ProtoField {
  const { typeName } = field
  const nested = typeName.includes('.') ? within?.nested.get(typeName.slice(typeName.lastIndexOf('.') + 1)) : undefined
  const entry = nested?.options?.mapEntry === true && field.label === Label.REPEATED ? nested : undefined
  const inOneof = isInOneof(field) ? within?.message.oneofDecl[field.oneofIndex]?.name : undefined
  const base = { name: field.name, number: field.number, options: fieldOptions(field), oneof: inOneof }
  if (entry !== undefined) {
    const [key, value] = entry.field
    return { ...base, label: undefined, type: typeOf(value), mapKey: typeOf(key), group: undefined }
  }
  const label = inOneof === undefined ? labelOf(field, isProto3) : undefined
  if (field.type === Type.GROUP && nested !== undefined) {
    return { ...base, label, type: nested.name, mapKey: undefined, group: messageOf(nested, isProto3, depth + 1) }
  }
  return { ...base, label, type: typeOf(field), mapKey: undefined, group: undefined }
}

function labelOf({ label, proto3Optional }: FieldDescriptorProto, isProto3: boolean): ProtoLabel | undefined {
  if (label === Label.REPEATED) return 'repeated'
  if (label === Label.REQUIRED) return 'required'
  return isProto3 && !proto3Optional ? undefined : 'optional'
}

function typeOf(field: FieldDescriptorProto | undefined): string {
  if (field === undefined) return 'bytes'
  return SCALAR_NAMES.get(field.type) ?? field.typeName
}

function fieldOptions(field: FieldDescriptorProto): ProtoOption[] {
  const options = writtenOptions('FieldOptionsSchema', field.options)
  if (Object.hasOwn(field, 'defaultValue') && field.defaultValue !== '') {
    const isText = field.type === Type.STRING || field.type === Type.BYTES
    const value: ProtoValue = isText
      ? { kind: 'string', bytes: Buffer.from(field.defaultValue) }
      : { kind: 'word', text: field.defaultValue }
    options.push({ name: 'default', value })
  }
  if (field.jsonName !== '' && field.jsonName !== jsonNameOf(field.name)) {
    options.push({ name: 'json_name', value: { kind: 'string', bytes: Buffer.from(field.jsonName) } })
  }
  return options
}

function extendsOf(fields: readonly FieldDescriptorProto[], isProto3: boolean, depth: number) {
  const byType = Map.groupBy(fields, ({ extendee }) => extendee)
  return [...byType].map(([type, own]) => ({
    type,
    fields: own.map((field) => fieldOf(field, undefined, isProto3, depth)),
  }))
}

function enumOf({ name, value, reservedRange, reservedName, options }: EnumDescriptorProto): ProtoEnum {
  return {
    name,
    values: value.map((one) => ({
      name: one.name,
      number: one.number,
      options: writtenOptions('EnumValueOptionsSchema', one.options),
    })),
    reserved: [
      ...reservedRanges(
        reservedRange.map(({ start, end }) => ({ from: start, to: end === 2 ** 31 - 1 ? 'max' : end })),
      ),
      ...reservedNames(reservedName),
    ],
    options: writtenOptions('EnumOptionsSchema', options),
  }
}

function rangeOf(from: number, to: number): ProtoRange {
  return { from, to: to >= FIELD_NUMBER_MAX ? 'max' : to }
}

function reservedRanges(ranges: readonly ProtoRange[]): ProtoReserved[] {
  return ranges.length === 0 ? [] : [{ ranges, names: [] }]
}

function reservedNames(names: readonly string[]): ProtoReserved[] {
  return names.length === 0 ? [] : [{ ranges: [], names }]
}

/** Of those that Protobuf itself knows, the plain ones that are set. */
function writtenOptions(kind: OptionsKind, options: Message | undefined): ProtoOption[] {
  if (options === undefined) return []
  const library = protobufLibrary()
  const schema: DescMessage = library[kind]
  const reflected = library.reflect(schema, options)
  return reflected.fields.flatMap((field): ProtoOption[] => {
    if (!reflected.isSet(field) || field.name === 'map_entry') return []
    const value = reflected.get(field as never) as unknown
    if (field.fieldKind === 'enum') {
      const name = field.enum.values.find(({ number }) => number === value)?.name
      return name === undefined ? [] : [{ name: field.name, value: { kind: 'word', text: name } }]
    }
    if (field.fieldKind !== 'scalar') return []
    if (typeof value === 'string') return [{ name: field.name, value: { kind: 'string', bytes: Buffer.from(value) } }]
    return [{ name: field.name, value: { kind: 'word', text: String(value) } }]
  })
}
