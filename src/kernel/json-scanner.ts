// Finds out where a JSON value ends, and whether it is one: RFC 8259 to the letter, byte by byte, without making anything
// of it. Produce (A3) cuts keys and values out of bodies with it, reading (F5) splices stored bytes into replies. It
// allocates nothing and does not recurse: nesting is counted up to a bound, so that no text can exhaust the stack.
// Bytes from 0x80 on pass inside strings: whoever needs UTF-8 checks it natively (buffer.isUtf8), as isJson does. Browsers
// run this file too, in the client.
//
// The skip functions answer the position after what they skipped, or a fault: a negative number that holds the position
// where the text goes wrong and what was expected there. describeJsonFault tells it to people.

import { JSON_DEPTH_MAX } from './limits.ts'

const TAB = 0x09
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const SPACE = 0x20
const QUOTE = 0x22
const PLUS = 0x2b
const COMMA = 0x2c
const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** What a fault says was expected; the order is the number in the fault. */
const EXPECTATIONS = [
  'a value',
  'a value or ]',
  'a member name in double quotes or }',
  'a member name in double quotes',
  ':',
  ', or }',
  ', or ]',
  'a closing double quote',
  'no raw control character in a string',
  'one of the escapes \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX',
  'four hexadecimal digits after \\u',
  'a digit',
  'true, false or null',
  `at most ${JSON_DEPTH_MAX} levels of nesting`,
  'the end of the text',
  '{',
  '[',
  'UTF-8',
] as const

export type JsonExpectation = (typeof EXPECTATIONS)[number]

const VALUE = 0
const VALUE_OR_END = 1
const NAME_OR_END = 2
const NAME = 3
const MEMBER_COLON = 4
const NEXT_MEMBER = 5
const NEXT_ELEMENT = 6
const CLOSING_QUOTE = 7
const NO_CONTROL = 8
const ESCAPE = 9
const HEX_DIGITS = 10
const DIGIT = 11
const LITERAL = 12
const DEPTH = 13

/** Levels of a request around the values that it carries, at most. */
export const JSON_ENVELOPE_DEPTH = 8

/** The byte that closes each open bracket, outermost first: the scratch of one call at a time. */
const closingAt = new Uint8Array(JSON_DEPTH_MAX + JSON_ENVELOPE_DEPTH)

/** A bracket's closing byte is 2 above its opening one, in ASCII. */
const CLOSING_DISTANCE = 2

/**
 * The position after the value that begins at `start` (white space may stand before it), or a fault. `envelopeDepth` is how
 * many levels around a value of the greatest depth are passed over with it: JSON_ENVELOPE_DEPTH at most.
 */
// biome-ignore lint/complexity/noExcessiveCognitiveComplexity: one loop, because a call for each bracket and comma costs a quarter of the speed
export function skipJsonValue(bytes: Uint8Array, start: number, end: number, envelopeDepth = 0): number {
  let depth = 0
  let position = start
  value: for (;;) {
    position = skipWhitespace(bytes, position, end)
    if (position === end) return fault(end, VALUE)
    const first = bytes[position] as number
    if (first === OPEN_BRACE || first === OPEN_BRACKET) {
      if (depth === JSON_DEPTH_MAX + envelopeDepth) return fault(position, DEPTH)
      closingAt[depth++] = first + CLOSING_DISTANCE
      position = skipWhitespace(bytes, position + 1, end)
      // When the closing bracket follows at once, it is met below like any other.
      if (position === end || bytes[position] !== first + CLOSING_DISTANCE) {
        if (first === OPEN_BRACE) position = skipMemberName(bytes, position, end, NAME_OR_END)
        else if (position === end) return fault(end, VALUE_OR_END)
        if (position < 0) return position
        continue
      }
    } else {
      position = first === QUOTE ? skipJsonString(bytes, position, end) : skipScalar(bytes, position, end, first)
      if (position < 0) return position
    }
    for (; depth > 0; depth--) {
      position = skipWhitespace(bytes, position, end)
      const next = position < end ? (bytes[position] as number) : 0
      const closing = closingAt[depth - 1] as number
      if (next === COMMA) {
        position++
        if (closing !== CLOSE_BRACE) continue value
        position = skipMemberName(bytes, skipWhitespace(bytes, position, end), end, NAME)
        if (position < 0) return position
        continue value
      }
      if (next !== closing) return fault(position, closing === CLOSE_BRACE ? NEXT_MEMBER : NEXT_ELEMENT)
      position++
    }
    return position
  }
}

/** The first position in [start, end) that holds no white space; `end` when there is none. */
export function skipWhitespace(bytes: Uint8Array, start: number, end: number): number {
  let position = start
  while (position < end) {
    const byte = bytes[position] as number
    if (byte > SPACE || (byte !== SPACE && byte !== LINE_FEED && byte !== CARRIAGE_RETURN && byte !== TAB)) break
    position++
  }
  return position
}

/** The position after the closing quote of the string whose opening quote is at `start`, or a fault. */
export function skipJsonString(bytes: Uint8Array, start: number, end: number): number {
  let position = start + 1
  while (position < end) {
    const byte = bytes[position] as number
    if (byte === QUOTE) return position + 1
    if (byte === BACKSLASH) {
      position = skipEscape(bytes, position, end)
      if (position < 0) return position
    } else if (byte < SPACE) return fault(position, NO_CONTROL)
    else position++
  }
  return fault(end, CLOSING_QUOTE)
}

/**
 * As skipJsonString, for a string that is expected to hold no escape: what lies between the quotes is its text then. 0 when
 * it does hold one (no string ends at 0), and the long way is needed.
 */
export function skipPlainString(bytes: Uint8Array, start: number, end: number): number {
  for (let position = start + 1; position < end; position++) {
    const byte = bytes[position] as number
    if (byte === QUOTE) return position + 1
    if (byte === BACKSLASH) return 0
    if (byte < SPACE) return fault(position, NO_CONTROL)
  }
  return fault(end, CLOSING_QUOTE)
}

/** Names and the colon after them. */
function skipMemberName(bytes: Uint8Array, start: number, end: number, expected: number): number {
  if (start === end || bytes[start] !== QUOTE) return fault(start, expected)
  let position = skipJsonString(bytes, start, end)
  if (position < 0) return position
  position = skipWhitespace(bytes, position, end)
  return position < end && bytes[position] === COLON ? position + 1 : fault(position, MEMBER_COLON)
}

function skipEscape(bytes: Uint8Array, start: number, end: number): number {
  if (start + 1 >= end) return fault(end, ESCAPE)
  switch (bytes[start + 1]) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return start + 2
    case 0x75: // u
      for (let position = start + 2; position < start + 6; position++) {
        if (position >= end || hexDigit(bytes[position] as number) < 0)
          return fault(Math.min(position, end), HEX_DIGITS)
      }
      return start + 6
    default:
      return fault(start + 1, ESCAPE)
  }
}

/** The value of a hexadecimal digit; -1 when it is none. */
export function hexDigit(byte: number): number {
  if (byte >= ZERO && byte <= NINE) return byte - ZERO
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

/** A number, true, false or null. */
function skipScalar(bytes: Uint8Array, start: number, end: number, first: number): number {
  if (first === MINUS || (first >= ZERO && first <= NINE)) return skipNumber(bytes, start, end)
  if (first === 0x74) return skipLiteral(bytes, start, end, TRUE)
  if (first === 0x66) return skipLiteral(bytes, start, end, FALSE)
  if (first === 0x6e) return skipLiteral(bytes, start, end, NULL)
  return fault(start, VALUE)
}

const [TRUE, FALSE, NULL] = ['true', 'false', 'null'].map((text) => new TextEncoder().encode(text)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
]

function skipLiteral(bytes: Uint8Array, start: number, end: number, literal: Uint8Array): number {
  for (let index = 1; index < literal.length; index++) {
    if (start + index >= end || bytes[start + index] !== literal[index]) return fault(start, LITERAL)
  }
  return start + literal.length
}

/** -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
function skipNumber(bytes: Uint8Array, start: number, end: number): number {
  let position = bytes[start] === MINUS ? start + 1 : start
  position = position < end && bytes[position] === ZERO ? position + 1 : skipDigits(bytes, position, end)
  if (position > 0 && position < end && bytes[position] === DOT) position = skipDigits(bytes, position + 1, end)
  if (position > 0 && position < end && ((bytes[position] as number) | 0x20) === 0x65) {
    const sign = position + 1 < end ? bytes[position + 1] : 0
    position = skipDigits(bytes, sign === PLUS || sign === MINUS ? position + 2 : position + 1, end)
  }
  return position
}

/** One digit or more. */
function skipDigits(bytes: Uint8Array, start: number, end: number): number {
  let position = start
  while (position < end && (bytes[position] as number) >= ZERO && (bytes[position] as number) <= NINE) position++
  return position === start ? fault(start, DIGIT) : position
}

/** The fault of a text that holds something else than was expected at a position; for those who walk it themselves. */
export function jsonFault(position: number, expected: JsonExpectation): number {
  return fault(position, EXPECTATIONS.indexOf(expected))
}

function fault(position: number, expectation: number): number {
  return -1 - (position * EXPECTATIONS.length + expectation)
}

export interface JsonFault {
  /** In bytes, from the beginning of the text. */
  readonly position: number
  /** Both from 1; the column counts characters. */
  readonly line: number
  readonly column: number
  readonly expected: JsonExpectation
  /** What stands there, for people. */
  readonly found: string
}

/** What a fault says about the text in [start, end). */
export function describeJsonFault(bytes: Uint8Array, start: number, end: number, code: number): JsonFault {
  const sum = -1 - code
  const expected = EXPECTATIONS[sum % EXPECTATIONS.length] as JsonExpectation
  const at = Math.floor(sum / EXPECTATIONS.length)
  let line = 1
  let column = 1
  for (let position = start; position < at; position++) {
    const byte = bytes[position] as number
    if (byte === LINE_FEED) {
      line++
      column = 1
    } else if ((byte & 0xc0) !== 0x80) column++
  }
  return { position: at - start, line, column, expected, found: at < end ? nameBytes(bytes, at) : 'the end' }
}

function nameBytes(bytes: Uint8Array, position: number): string {
  const byte = bytes[position] as number
  if (byte === 0xef && bytes[position + 1] === 0xbb && bytes[position + 2] === 0xbf) return 'a byte order mark'
  if (byte > SPACE && byte < 0x7f) return byte === QUOTE ? `'"'` : `"${String.fromCharCode(byte)}"`
  return `the byte 0x${byte.toString(16).padStart(2, '0')}`
}
