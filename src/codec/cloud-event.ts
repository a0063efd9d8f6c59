// CloudEvents 1.0 as records, by the specification's Kafka binding: in binary mode attributes are headers named `ce_…` and
// the data is the value, null where there is none; in structured mode the value is the whole event as it was sent. Here is
// what tells whether it is one: the attributes that each must have, and the one that is its key.

import { isUtf8 } from 'node:buffer'
import { TailraceError } from '../kernel/errors.ts'
import { PRODUCE_RECORDS_MAX } from '../kernel/limits.ts'
import type { RecordHeader } from '../record/record.ts'
import { excerpt } from './encoding.ts'
import { JsonCursor, MemberNames, OBJECT_END, wrongMember } from './json-cursor.ts'
import { decodeJsonText } from './json-string.ts'

const REQUIRED = ['id', 'source', 'specversion', 'type']
const KEY_ATTRIBUTE = 'partitionkey'
const SPEC_VERSION = '1.0'

/** Where an event lies in its text, and what its records are to be placed by. */
export interface StructuredEvent {
  readonly start: number
  readonly end: number
  readonly partitionKey: string | undefined
}

/** The body's one event. invalid_request where it is no JSON, invalid_record where it is no event. */
export function parseCloudEvent(body: Buffer): StructuredEvent {
  const cursor = cursorOf(body)
  const event = readEvent(cursor)
  cursor.finish()
  return event
}

/** The events of a batch, which may have none. As parseCloudEvent, with the event's index. */
export function parseCloudEventBatch(body: Buffer): readonly StructuredEvent[] {
  const cursor = cursorOf(body)
  const events: StructuredEvent[] = []
  cursor.enterArray('the batch')
  while (cursor.nextElement()) {
    if (events.length === PRODUCE_RECORDS_MAX) {
      throw new TailraceError('invalid_record', `a batch of CloudEvents may have ${PRODUCE_RECORDS_MAX}`)
    }
    try {
      events.push(readEvent(cursor))
    } catch (error) {
      throw withIndex(error, events.length)
    }
  }
  cursor.finish()
  return events
}

function cursorOf(body: Buffer): JsonCursor {
  if (!isUtf8(body)) throw new TailraceError('invalid_request', 'the body is not UTF-8 text')
  return new JsonCursor(body)
}

const ATTRIBUTE_NAMES = new MemberNames([...REQUIRED, KEY_ATTRIBUTE], 'pass')

function readEvent(cursor: JsonCursor): StructuredEvent {
  const { bytes, position: start } = cursor
  const attributes = new Map<string, string>()
  cursor.enterObject('the CloudEvent')
  for (;;) {
    const number = cursor.nextMember(ATTRIBUTE_NAMES)
    if (number === OBJECT_END) break
    const from = cursor.position
    const to = cursor.skipValue()
    const name = ATTRIBUTE_NAMES.names[number]
    if (name === undefined) continue
    const text = bytes[from] === 0x22 ? decodeJsonText(bytes, from + 1, to - 1) : undefined
    if (text === undefined) throw wrongMember(name, `must be a string, not ${excerpt(bytes, from, to)}`)
    if (attributes.has(name)) throw wrongMember(name, 'stands twice in one CloudEvent')
    attributes.set(name, text)
  }
  checkAttributes(attributes)
  return { start, end: cursor.position, partitionKey: attributes.get(KEY_ATTRIBUTE) }
}

function withIndex(error: unknown, index: number): unknown {
  if (!(error instanceof TailraceError) || error.code !== 'invalid_record') return error
  const details = { ...error.details, index }
  return new TailraceError('invalid_record', `event ${index} of the batch: ${error.message}`, details, { cause: error })
}

const HEADER_PREFIX = 'ce-'

/** Whether a request says by its headers that it is a CloudEvent in binary mode. */
export function isCloudEvent(headers: Readonly<Record<string, unknown>>): boolean {
  return REQUIRED.some((name) => headers[`${HEADER_PREFIX}${name}`] !== undefined)
}

/** The attributes of an event in binary mode, collected header by header. */
export class BinaryAttributes {
  readonly headers: RecordHeader[] = []
  readonly #values = new Map<string, string>()

  /** Takes a header that is an attribute, its name in lower case; false for another. invalid_record. */
  take(name: string, value: Buffer): boolean {
    if (!name.startsWith(HEADER_PREFIX)) return false
    const attribute = name.slice(HEADER_PREFIX.length)
    if (!/^[a-z0-9]+$/.test(attribute))
      throw wrongMember(name, 'names no attribute: those have letters and digits only')
    if (attribute === 'datacontenttype') throw wrongMember(name, 'is not sent: Content-Type says what the data is')
    if (this.#values.has(attribute)) throw wrongMember(name, 'is there twice')
    const decoded = decodeHeaderValue(value)
    if (!isUtf8(decoded)) throw wrongMember(name, 'is not UTF-8 when its percent signs are decoded')
    this.#values.set(attribute, decoded.toString('utf8'))
    this.headers.push({ name: `ce_${attribute}`, value: decoded })
    return true
  }

  /** Called when all are taken. invalid_record where one that must be there is not; the partition key, if it has one. */
  finish(): string | undefined {
    checkAttributes(this.#values)
    return this.#values.get(KEY_ATTRIBUTE)
  }
}

function checkAttributes(attributes: ReadonlyMap<string, string>): void {
  const missing = REQUIRED.filter((name) => !attributes.get(name))
  if (missing.length > 0) {
    const detail = `the CloudEvent has no ${missing.join(', no ')}: it must have ${REQUIRED.join(', ')}, each with a text`
    throw new TailraceError('invalid_record', detail, { missing })
  }
  const version = attributes.get('specversion') as string
  if (version === SPEC_VERSION) return
  throw wrongMember('specversion', `is ${JSON.stringify(version.slice(0, 20))}; ${SPEC_VERSION} is understood`)
}

/** Quotes off, as older senders put them, then one round of percent-decoding; bytes beyond ASCII are left as they are. */
function decodeHeaderValue(value: Buffer): Buffer {
  const text = value.toString('latin1')
  const isQuoted = text.length >= 2 && text.startsWith('"') && text.endsWith('"')
  const plain = isQuoted ? text.slice(1, -1).replace(/\\(.)/g, '$1') : text
  return Buffer.from(
    plain.replace(/%([0-9A-Fa-f]{2})/g, (_escape, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
}
