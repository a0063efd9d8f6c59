// A3: a line of plain JSON as a record: its bytes are the value as they stand, its key is the text of one member. That text
// is a string's characters, and for a number or a boolean the JSON as it is written. Nothing is parsed: the key is a range
// of the line itself, unless it holds escapes.

import { isUtf8 } from 'node:buffer'
import { TailraceError } from '../kernel/errors.ts'
import { NO_HEADERS } from '../record/record.ts'
import { JsonCursor, MemberNames, OBJECT_END } from './json-cursor.ts'
import { decodeJsonString, isPlainText } from './json-string.ts'
import type { ProduceRecord } from './produce-record.ts'

const QUOTE = 0x22
const LETTER_N = 0x6e
const OPEN_BRACKET = 0x5b
const OPEN_BRACE = 0x7b

/** For parseValueLine: the member whose text is the key, among members of any other name. */
export function keyMember(name: string): MemberNames {
  return new MemberNames([name], 'pass')
}

/** invalid_request where the JSON is malformed, invalid_record where it is not what can have the key. */
export function parseValueLine(bytes: Buffer, start: number, end: number, key: MemberNames | undefined): ProduceRecord {
  if (!isUtf8(bytes.subarray(start, end))) throw new TailraceError('invalid_record', 'the line is not UTF-8')
  const cursor = new JsonCursor(bytes, start, end)
  cursor.skipValue()
  cursor.finish()
  const record = {
    key: bytes,
    keyStart: -1,
    keyEnd: -1,
    value: bytes,
    valueStart: start,
    valueEnd: end,
    headers: NO_HEADERS,
    partition: -1,
    timestamp: -1,
  }
  if (key !== undefined) readKey(record, new JsonCursor(bytes, start, end), key)
  return record
}

/** Without a key stay lines that have no such member, or null there. Of a name that stands twice the last counts. */
function readKey(
  record: { key: Buffer; keyStart: number; keyEnd: number },
  cursor: JsonCursor,
  key: MemberNames,
): void {
  const shown = JSON.stringify(key.names[0])
  if (cursor.kind() !== 'an object') {
    throw new TailraceError('invalid_record', `the line is no JSON object: it has no member ${shown}`)
  }
  cursor.enterObject('')
  let start = -1
  let end = -1
  for (let member = cursor.nextMember(key); member !== OBJECT_END; member = cursor.nextMember(key)) {
    const valueStart = cursor.position
    const valueEnd = cursor.skipValue()
    if (member !== 0) continue
    start = valueStart
    end = valueEnd
  }
  const { bytes } = cursor
  const first = bytes[start]
  if (start < 0 || first === LETTER_N) return
  if (first === OPEN_BRACE || first === OPEN_BRACKET) {
    throw new TailraceError('invalid_record', `member ${shown} is no text, number or boolean: it can be no key`)
  }
  const quotes = first === QUOTE ? 1 : 0
  record.keyStart = start + quotes
  record.keyEnd = end - quotes
  if (quotes === 0 || isPlainText(bytes, record.keyStart, record.keyEnd)) return
  const text = decodeJsonString(bytes, record.keyStart, record.keyEnd)
  if (text === undefined) {
    throw new TailraceError('invalid_record', `member ${shown} holds half a surrogate pair, which has no UTF-8`)
  }
  record.key = text
  record.keyStart = 0
  record.keyEnd = text.length
}
