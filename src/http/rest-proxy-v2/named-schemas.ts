// What a v2 produce request names as the schemas of its keys and values: beside its records, in front of them or behind.
// Malformed JSON goes before a name of the wrong type, and whatever else is wrong is left to parseProduceRequest.

import { isUtf8 } from 'node:buffer'
import { excerpt } from '../../codec/encoding.ts'
import { JsonCursor, MemberNames, OBJECT_END } from '../../codec/json-cursor.ts'
import { decodeJsonText } from '../../codec/json-string.ts'
import { restProxyFailure } from './failure.ts'

export interface NamedSchema {
  readonly text: string | undefined
  /** Whether or not it can be one. */
  readonly id: number | undefined
}

export interface NamedSchemas {
  readonly key: NamedSchema
  readonly value: NamedSchema
}

const NAMES = new MemberNames(['key_schema', 'key_schema_id', 'value_schema', 'value_schema_id'], 'pass')
const KEY_SCHEMA = 0
const VALUE_SCHEMA = 2

/** Where the value of each of the names lies, of one that stands twice the last; a start of -1: it is not there, or null. */
interface Places {
  readonly bytes: Buffer
  readonly starts: number[]
  readonly ends: number[]
}

const QUOTE = 0x22
const LETTER_N = 0x6e

export function readNamedSchemas(body: Buffer): NamedSchemas {
  const places: Places = { bytes: body, starts: NAMES.names.map(() => -1), ends: NAMES.names.map(() => -1) }
  if (isUtf8(body)) findPlaces(places)
  return { key: namedAt(places, KEY_SCHEMA), value: namedAt(places, VALUE_SCHEMA) }
}

function findPlaces({ bytes, starts, ends }: Places): void {
  const cursor = new JsonCursor(bytes)
  if (cursor.position === bytes.length || cursor.kind() !== 'an object') return
  cursor.enterObject('')
  for (;;) {
    const member = cursor.nextMember(NAMES)
    if (member === OBJECT_END) break
    const start = cursor.position
    const end = cursor.skipValue()
    if (member < 0) continue
    starts[member] = bytes[start] === LETTER_N ? -1 : start
    ends[member] = end
  }
  cursor.finish()
}

/** A schema's text, and behind it its id. */
function namedAt(places: Places, member: number): NamedSchema {
  return { text: textAt(places, member), id: idAt(places, member + 1) }
}

function textAt({ bytes, starts, ends }: Places, member: number): string | undefined {
  const start = starts[member] as number
  const end = ends[member] as number
  if (start < 0) return undefined
  const text = bytes[start] === QUOTE ? decodeJsonText(bytes, start + 1, end - 1) : undefined
  if (text !== undefined) return text
  throw restProxyFailure(400, `${NAMES.names[member]} must be a string, not ${excerpt(bytes, start, end)}`)
}

/** As a number, or as its digits. */
function idAt({ bytes, starts, ends }: Places, member: number): number | undefined {
  const start = starts[member] as number
  const end = ends[member] as number
  if (start < 0) return undefined
  const quotes = bytes[start] === QUOTE ? 1 : 0
  const digits = bytes.toString('latin1', start + quotes, end - quotes)
  if (/^-?\d{1,15}$/.test(digits)) return Number(digits)
  throw restProxyFailure(400, `${NAMES.names[member]} must be a whole number, not ${excerpt(bytes, start, end)}`)
}
