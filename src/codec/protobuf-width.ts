// How wide Protobuf's messages are once they are made, or written as JSON: with all their fields, set or not. Two bytes are
// an empty message, which may have thousands of fields, and one byte is a number in a list; so what may be much is counted
// before it is made.

import type { DescField, DescMessage, JsonValue, Registry } from '@bufbuild/protobuf'
import { PROTOBUF_JSON_CHARS_MAX } from '../kernel/limits.ts'
import { protobufLibrary } from '../registry/protobuf/protobuf-library.ts'
import { SchemaDataError } from './schema-data-error.ts'

/** An empty message as bytes (its field's number, its length) and as JSON. */
const LEAST_BYTES = 2
const LEAST_CHARS = 2
/** Of a field: quotes, a colon, a comma and a zero. */
const FIELD_CHARS = 6
/** Of one number, true or false in a list, and for each byte that it takes. */
const ELEMENT_CHARS = 6
const BYTE_CHARS = 2
/** Of field types: string and bytes, which are never packed. */
const STRING = 9
const BYTES = 12
/** As deep as the library goes; what is deeper it refuses itself. */
const DEPTH_MAX = 100

const LENGTH_DELIMITED = 2
const START_GROUP = 3
const END_GROUP = 4

const ANY = 'google.protobuf.Any'

export class ProtobufWidth {
  readonly #registry: Registry
  readonly #widths = new Map<string, number>()
  readonly #fieldsOf = new Map<string, ReadonlyMap<number | string, DescField>>()
  readonly #widest: number
  #chars = 0

  constructor(registry: Registry) {
    this.#registry = registry
    for (const type of registry) if (type.kind === 'message') this.#widths.set(type.typeName, widthOf(type))
    this.#widest = Math.max(0, ...this.#widths.values())
  }

  /** SchemaDataError: the message would be too much. */
  checkBytes(message: DescMessage, bytes: Uint8Array): void {
    const charsAByte = Math.max(this.#widest / LEAST_BYTES, ELEMENT_CHARS + BYTE_CHARS)
    if (bytes.length * charsAByte <= PROTOBUF_JSON_CHARS_MAX) return
    this.#chars = 0
    this.#addBytes(message, bytes, 0)
  }

  /** The same of what a text of so many bytes was parsed to. */
  checkJson(message: DescMessage, json: JsonValue, length: number): void {
    if ((length / LEAST_CHARS) * this.#widest <= PROTOBUF_JSON_CHARS_MAX) return
    this.#chars = 0
    this.#addJson(message, json, 0)
  }

  #add({ typeName }: DescMessage): void {
    this.#addChars(this.#widths.get(typeName) ?? 0)
  }

  #addChars(chars: number): void {
    this.#chars += chars
    if (this.#chars <= PROTOBUF_JSON_CHARS_MAX) return
    throw tooWide()
  }

  #addBytes(message: DescMessage, bytes: Uint8Array, depth: number): void {
    const { BinaryReader } = protobufLibrary()
    this.#addMessage(message, new BinaryReader(bytes), depth, 0)
  }

  /** Up to the end of the bytes, or of the group with that number. What is malformed the library says itself. */
  #addMessage(message: DescMessage, reader: WireReader, depth: number, group: number): void {
    this.#add(message)
    if (depth > DEPTH_MAX) return
    const fields = this.#fields(message)
    const any = message.typeName === ANY ? { url: '' } : undefined
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag()
      if (wireType === END_GROUP && number === group) return
      const field = fields.get(number)
      if (wireType === LENGTH_DELIMITED) {
        const bytes = reader.bytes()
        if (any !== undefined) this.#addAny(any, number, bytes, depth + 1)
        else if (field !== undefined) this.#addField(field, bytes, depth + 1)
      } else if (field?.message !== undefined && wireType === START_GROUP) {
        this.#addMessage(field.message, reader, depth + 1, number)
      } else {
        this.#addChars(field === undefined ? 0 : ELEMENT_CHARS)
        reader.skip(wireType, number)
      }
    }
  }

  #addField(field: DescField, bytes: Uint8Array, depth: number): void {
    const { message, fieldKind } = field
    if (message === undefined) this.#addChars(isPackable(field) ? charsOfPacked(bytes) : 0)
    else if (fieldKind === 'map') this.#addEntry(message, bytes, depth)
    else this.#addBytes(message, bytes, depth)
  }

  /** A map's entry without a value has an empty one. */
  #addEntry(value: DescMessage, bytes: Uint8Array, depth: number): void {
    this.#add(value)
    const reader = new (protobufLibrary().BinaryReader)(bytes)
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag()
      if (number === 2 && wireType === LENGTH_DELIMITED) this.#addBytes(value, reader.bytes(), depth)
      else reader.skip(wireType, number)
    }
  }

  /** Written as JSON it is unpacked: its second field, which is of the type that the first one names. */
  #addAny(any: { url: string }, number: number, bytes: Uint8Array, depth: number): void {
    if (number === 1) any.url = Buffer.from(bytes).toString()
    const message = number === 2 ? this.#registry.getMessage(any.url.slice(any.url.lastIndexOf('/') + 1)) : undefined
    if (message !== undefined && depth <= DEPTH_MAX) this.#addBytes(message, bytes, depth)
  }

  #addJson(message: DescMessage, json: JsonValue, depth: number): void {
    this.#add(message)
    if (depth > DEPTH_MAX || typeof json !== 'object' || json === null || Array.isArray(json)) return
    const anyType = message.typeName === ANY ? String(json['@type'] ?? '') : ''
    const packed = this.#registry.getMessage(anyType.slice(anyType.lastIndexOf('/') + 1))
    if (packed !== undefined) this.#addJson(packed, json, depth + 1)
    const fields = this.#fields(message)
    for (const [name, value] of Object.entries(json)) {
      const field = fields.get(name)
      const inner = field?.message
      if (inner === undefined || value === null) continue
      const isMany = field?.fieldKind === 'list' || field?.fieldKind === 'map'
      const values = isMany && typeof value === 'object' ? Object.values(value) : [value]
      for (const one of values) this.#addJson(inner, one as JsonValue, depth + 1)
    }
  }

  /** By number, JSON name and name. */
  #fields(message: DescMessage): ReadonlyMap<number | string, DescField> {
    const known = this.#fieldsOf.get(message.typeName)
    if (known !== undefined) return known
    const entries = message.fields.flatMap((field): [number | string, DescField][] => [
      [field.number, field],
      [field.name, field],
      [field.jsonName, field],
    ])
    const fields = new Map(entries)
    this.#fieldsOf.set(message.typeName, fields)
    return fields
  }
}

type WireReader = InstanceType<ReturnType<typeof protobufLibrary>['BinaryReader']>

export function tooWide(): SchemaDataError {
  return new SchemaDataError(
    `with all the fields of its messages the value has more than ${PROTOBUF_JSON_CHARS_MAX} characters as JSON`,
  )
}

function isPackable(field: DescField): boolean {
  if (field.fieldKind !== 'list') return false
  return field.listKind === 'enum' || (field.listKind === 'scalar' && field.scalar !== STRING && field.scalar !== BYTES)
}

/** Each that is not the last byte of a varint has its high bit set; of fixed numbers it counts too many, at most. */
function charsOfPacked(bytes: Uint8Array): number {
  let elements = 0
  for (const byte of bytes) if (byte < 0x80) elements++
  return elements * ELEMENT_CHARS + bytes.length * BYTE_CHARS
}

function widthOf({ fields }: DescMessage): number {
  const zeroOf = (field: DescField) => (field.fieldKind === 'enum' ? (field.enum.values[0]?.name.length ?? 0) : 0)
  return fields.reduce((sum, field) => sum + field.jsonName.length + zeroOf(field) + FIELD_CHARS, LEAST_CHARS)
}
