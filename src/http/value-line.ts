// A line of plain JSON as a record: its bytes are the value as they stand, its key is the text of one member. That text
// is a string's characters, and for everything else the JSON as it is written (a number keeps its digits).

import { isUtf8 } from 'node:buffer'
import type { ProduceRecord } from '../codec/produce-record.ts'
import { TailraceError } from '../kernel/errors.ts'
import { NO_HEADERS } from '../record/record.ts'

const NO_KEY = Buffer.alloc(0)

/** invalid_record unless the line is a JSON object, or any JSON value where no key is asked for. */
export function parseValueLine(
  bytes: Buffer,
  start: number,
  end: number,
  keyMember: string | undefined,
): ProduceRecord {
  const line = bytes.subarray(start, end)
  if (!isUtf8(line)) throw new TailraceError('invalid_record', 'the line is not UTF-8')
  const text = line.toString('utf8')
  const value = parse(text)
  const key = keyMember === undefined ? undefined : keyOf(value, keyMember, text)
  const keyBytes = key === undefined ? NO_KEY : Buffer.from(key)
  return {
    key: keyBytes,
    keyStart: key === undefined ? -1 : 0,
    keyEnd: key === undefined ? -1 : keyBytes.length,
    value: bytes,
    valueStart: start,
    valueEnd: end,
    headers: NO_HEADERS,
    partition: -1,
    timestamp: -1,
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw notJson(error)
  }
}

function notJson(cause: unknown): TailraceError {
  return new TailraceError('invalid_record', 'the line is not JSON', {}, { cause })
}

/** undefined: the record has no key, as its line has no such member, or null there. */
function keyOf(value: unknown, member: string, text: string): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TailraceError('invalid_record', `the line is no JSON object: it has no member ${JSON.stringify(member)}`)
  }
  if (!Object.hasOwn(value, member)) return undefined
  const key = (value as Record<string, unknown>)[member]
  if (key === null) return undefined
  if (typeof key === 'string') return key
  if (typeof key === 'boolean') return String(key)
  if (typeof key === 'number') return numberText(text, member) ?? String(key)
  const detail = `member ${JSON.stringify(member)} is no text, number or boolean: it can be no key`
  throw new TailraceError('invalid_record', detail)
}

/** The digits of a number member as they are written, which the parsed number may have lost. */
function numberText(text: string, member: string): string | undefined {
  const sources = new Map<unknown, string>()
  let root: unknown
  // The reviver's third argument is of ES2025; objects are visited before what holds them.
  const reviver = function (this: unknown, name: string, value: unknown, context?: { source?: string }): unknown {
    if (name === member && context?.source !== undefined) sources.set(this, context.source)
    if (name === '') root = value
    return value
  }
  JSON.parse(text, reviver)
  return sources.get(root)
}
