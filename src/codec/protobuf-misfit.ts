// Where a JSON value is not of a Protobuf message, and what is allowed there. The library says neither; once it has refused a
// value, it is asked again, part by part.

import type { DescField, DescMessage, JsonObject, JsonValue, ScalarType } from '@bufbuild/protobuf'
import { protobufLibrary } from '../registry/protobuf/protobuf-library.ts'

/** Throws where the value is not of the message. */
type Read = (message: DescMessage, json: JsonValue) => void

/** The library takes no deeper values. */
const DEPTH_MAX = 100

const NAMES_SHOWN_MAX = 50
const VALUE_CHARS_SHOWN_MAX = 60

/** `shop.Order.lines[1].sku must be a string, not 5`. undefined: it is nothing that a part alone shows. */
export function protobufMisfit(message: DescMessage, json: JsonValue, read: Read): string | undefined {
  return new MisfitSearch(read).inMessage(message, json, message.typeName, 0)
}

class MisfitSearch {
  readonly #read: Read
  readonly #fields = new Map<DescMessage, ReadonlyMap<string, DescField>>()

  constructor(read: Read) {
    this.#read = read
  }

  inMessage(message: DescMessage, json: JsonValue, place: string, depth: number): string | undefined {
    if (depth > DEPTH_MAX) return undefined
    if (protobufLibrary().hasCustomJsonRepresentation(message)) return told(place, this.#refusal(message, json))
    if (!isObject(json)) return wrong(place, `an object of the message ${message.typeName}`, json)
    const fields = this.#fieldsOf(message)
    const leaves: [string, JsonValue][] = []
    const parts: [DescField, string, JsonValue][] = []
    for (const [name, value] of Object.entries(json)) {
      const field = fields.get(name)
      if (field === undefined && !name.startsWith('[')) return unknownField(place, name, message)
      if (field === undefined || !hasMessages(field) || value === null) leaves.push([name, value])
      else parts.push([field, name, value])
    }
    const refusal = this.#refusal(message, Object.fromEntries(leaves))
    if (refusal !== undefined) {
      for (const [name, value] of leaves) {
        const fault = this.#inLeaf(message, fields.get(name), name, value, `${place}.${name}`)
        if (fault !== undefined) return fault
      }
      return told(place, refusal)
    }
    for (const [field, name, value] of parts) {
      const fault = this.#inParts(field, value, `${place}.${name}`, depth)
      if (fault !== undefined) return fault
    }
    return undefined
  }

  #inParts(field: DescField, json: JsonValue, place: string, depth: number): string | undefined {
    const message = field.message as DescMessage
    if (field.fieldKind === 'message') return this.inMessage(message, json, place, depth + 1)
    const isList = field.fieldKind === 'list'
    if (isList ? !Array.isArray(json) : !isObject(json)) return wrong(place, isList ? 'an array' : 'an object', json)
    for (const [key, value] of Object.entries(json as JsonObject)) {
      const part = isList ? `[${key}]` : entryPart(key)
      const fault = this.inMessage(message, value, `${place}${part}`, depth + 1)
      if (fault !== undefined) return fault
    }
    return undefined
  }

  #inLeaf(
    message: DescMessage,
    field: DescField | undefined,
    name: string,
    json: JsonValue,
    place: string,
  ): string | undefined {
    const refusal = this.#refusal(message, { [name]: json })
    if (refusal === undefined || field === undefined) return told(place, refusal)
    if (field.fieldKind === 'list') {
      if (!Array.isArray(json)) return wrong(place, 'an array', json)
      const at = firstRefused(json, (items) => this.#refusal(message, { [name]: items }) === undefined)
      const item = json[at] as JsonValue
      return explained(field, item, `${place}[${at}]`, this.#refusal(message, { [name]: [item] }))
    }
    if (field.fieldKind === 'map') {
      if (!isObject(json)) return wrong(place, 'an object', json)
      const entries = Object.entries(json)
      const of = (some: readonly [string, JsonValue][]) => this.#refusal(message, { [name]: Object.fromEntries(some) })
      const [key, value] = entries[firstRefused(entries, (some) => of(some) === undefined)] as [string, JsonValue]
      return explained(field, value, `${place}${entryPart(key)}`, of([[key, value]])) ?? told(place, refusal)
    }
    return explained(field, json, place, refusal)
  }

  /** In the library's words, without its place. */
  #refusal(message: DescMessage, json: JsonValue): string | undefined {
    try {
      this.#read(message, json)
      return undefined
    } catch (error) {
      const { cause } = error as Error
      return cause instanceof Error ? cause.message : (error as Error).message
    }
  }

  #fieldsOf(message: DescMessage): ReadonlyMap<string, DescField> {
    const known = this.#fields.get(message)
    if (known !== undefined) return known
    const fields = new Map(
      message.fields.flatMap((field) => [[field.name, field] as const, [field.jsonName, field] as const]),
    )
    this.#fields.set(message, fields)
    return fields
  }
}

function isObject(json: JsonValue): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

function hasMessages(field: DescField): boolean {
  if (field.fieldKind === 'list') return field.listKind === 'message'
  return field.fieldKind === 'message' || (field.fieldKind === 'map' && field.mapKind === 'message')
}

/** Where the first of those lies that are not taken: halves are tried, as one by one takes long. */
function firstRefused<Item>(items: readonly Item[], areTaken: (items: Item[]) => boolean): number {
  let start = 0
  let end = items.length
  while (end - start > 1) {
    const middle = (start + end) >> 1
    if (areTaken(items.slice(start, middle))) start = middle
    else end = middle
  }
  return start
}

function explained(field: DescField, json: JsonValue, place: string, refusal: string | undefined): string | undefined {
  if (refusal === undefined) return undefined
  const wanted = refusal.includes('map key') ? undefined : wantedBy(field, json)
  return wanted === undefined ? told(place, refusal) : wrong(place, wanted, json)
}

/** undefined: it is of the right kind. */
function wantedBy(field: DescField, json: JsonValue): string | undefined {
  if (field.enum !== undefined) {
    const names = field.enum.values.map(({ name }) => name)
    const more = names.length > NAMES_SHOWN_MAX ? ', …' : ''
    return `one of ${names.slice(0, NAMES_SHOWN_MAX).join(', ')}${more}`
  }
  const { scalar } = field
  if (scalar === undefined || (scalar === STRING && typeof json === 'string')) return undefined
  return WANTED[scalar]
}

const STRING = 9 satisfies ScalarType.STRING

const INT32 = 'from -2147483648 to 2147483647'
const INT64 = 'from -9223372036854775808 to 9223372036854775807'
const UINT32 = 'from 0 to 4294967295'
const UINT64 = 'from 0 to 18446744073709551615'
const SPECIAL = '"NaN", "Infinity" or "-Infinity"'

const WANTED: Readonly<Record<ScalarType, string>> = {
  1: `a number, ${SPECIAL}`,
  2: `a number of 32 bits, ${SPECIAL}`,
  3: `an int64 ${INT64}`,
  4: `a uint64 ${UINT64}`,
  5: `an int32 ${INT32}`,
  6: `a fixed64 ${UINT64}`,
  7: `a fixed32 ${UINT32}`,
  8: 'true or false',
  9: 'a string',
  12: 'a string of base64',
  13: `a uint32 ${UINT32}`,
  15: `an sfixed32 ${INT32}`,
  16: `an sfixed64 ${INT64}`,
  17: `an sint32 ${INT32}`,
  18: `an sint64 ${INT64}`,
}

function unknownField(place: string, name: string, { fields }: DescMessage): string {
  const known = fields.slice(0, NAMES_SHOWN_MAX).map((field) => field.name)
  const more = fields.length > NAMES_SHOWN_MAX ? ', …' : ''
  return `${place} has no field ${JSON.stringify(name.slice(0, VALUE_CHARS_SHOWN_MAX))}; it has ${known.join(', ')}${more}`
}

function wrong(place: string, wanted: string, json: JsonValue): string {
  return `${place} must be ${wanted}, not ${JSON.stringify(json).slice(0, VALUE_CHARS_SHOWN_MAX)}`
}

function told(place: string, refusal: string | undefined): string | undefined {
  return refusal === undefined ? undefined : `${place}: ${refusal}`
}

function entryPart(key: string): string {
  return `[${JSON.stringify(key.slice(0, VALUE_CHARS_SHOWN_MAX))}]`
}
