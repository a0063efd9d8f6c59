// How wide Protobuf's messages are once they are made, or written as JSON: with all their fields, set or not. Two bytes are
// an empty message, which may have thousands of fields; so what is wide enough is counted before it is made.

import type { DescField, DescMessage, JsonValue, Registry } from '@bufbuild/protobuf'
import { PROTOBUF_JSON_CHARS_MAX } from '../kernel/limits.ts'
import { protobufLibrary } from '../registry/protobuf/protobuf-library.ts'
import { SchemaDataError } from './schema-data-error.ts'

/** An empty message as bytes (its field's number, its length) and as JSON. */
const LEAST_BYTES = 2
const LEAST_CHARS = 2
/** Of a field: quotes, a colon, a comma and a zero. */
const FIELD_CHARS = 6
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
    if ((bytes.length / LEAST_BYTES) * this.#widest <= PROTOBUF_JSON_CHARS_MAX) return
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
    this.#chars += this.#widths.get(typeName) ?? 0
    if (this.#chars <= PROTOBUF_JSON_CHARS_MAX) return
    throw new SchemaDataError(
      `with all the fields of its messages the value has more than ${PROTOBUF_JSON_CHARS_MAX} characters`,
    )
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
    let anyType = ''
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag()
      if (wireType === END_GROUP && number === group) return
      const field = fields.get(number)
      if (field?.message !== undefined && wireType === START_GROUP) {
        this.#addMessage(field.message, reader, depth + 1, number)
      } else if (wireType !== LENGTH_DELIMITED) reader.skip(wireType, number)
      else {
        const bytes = reader.bytes()
        if (field?.message !== undefined) this.#addField(field, field.message, bytes, depth + 1)
        else if (message.typeName === ANY && number === 1) anyType = Buffer.from(bytes).toString()
        else if (message.typeName === ANY && number === 2) this.#addAny(anyType, bytes, depth + 1)
      }
    }
  }

  #addField({ fieldKind }: DescField, message: DescMessage, bytes: Uint8Array, depth: number): void {
    if (fieldKind === 'map') this.#addEntry(message, bytes, depth)
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

  /** Written as JSON it is unpacked. */
  #addAny(url: string, bytes: Uint8Array, depth: number): void {
    const message = this.#registry.getMessage(url.slice(url.lastIndexOf('/') + 1))
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

function widthOf({ fields }: DescMessage): number {
  const zeroOf = (field: DescField) => (field.fieldKind === 'enum' ? (field.enum.values[0]?.name.length ?? 0) : 0)
  return fields.reduce((sum, field) => sum + field.jsonName.length + zeroOf(field) + FIELD_CHARS, LEAST_CHARS)
}
