// JSON taken apart without being parsed: objects into members and arrays into elements, each as the range of bytes it
// stands in. What a value looks like is left as it was received: 12345678901234567890 and 1.0 keep every character.

import { skipJsonString, skipJsonValue, skipWhitespace } from '../kernel/json-scanner.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** The text whose bytes these are, in UTF-8. */
export function textOf(bytes: Uint8Array): string {
  return utf8.decode(bytes)
}

/** Levels around the values of a page or frame: it, its records, the record. */
const ENVELOPE_DEPTH = 4

/** The members of the one object in the bytes: its names, and their values' text. undefined: it is no JSON object. */
export function splitObject<Bytes extends Uint8Array>(bytes: Bytes): Map<string, Bytes> | undefined {
  const end = bytes.length
  let at = skipWhitespace(bytes, 0, end)
  if (bytes[at] !== OPEN_BRACE) return undefined
  const members = new Map<string, Bytes>()
  at = skipWhitespace(bytes, at + 1, end)
  if (bytes[at] === CLOSE_BRACE) return isEnd(bytes, at + 1) ? members : undefined
  for (;;) {
    if (bytes[at] !== QUOTE) return undefined
    const nameEnd = skipJsonString(bytes, at, end)
    if (nameEnd < 0) return undefined
    const name = nameOf(bytes, at, nameEnd)
    at = skipWhitespace(bytes, nameEnd, end)
    if (bytes[at] !== COLON) return undefined
    const start = skipWhitespace(bytes, at + 1, end)
    const valueEnd = skipJsonValue(bytes, start, end, ENVELOPE_DEPTH)
    if (valueEnd < 0) return undefined
    members.set(name, bytes.subarray(start, valueEnd) as Bytes)
    at = skipWhitespace(bytes, valueEnd, end)
    if (bytes[at] === CLOSE_BRACE) return isEnd(bytes, at + 1) ? members : undefined
    if (bytes[at] !== COMMA) return undefined
    at = skipWhitespace(bytes, at + 1, end)
  }
}

/** The elements of the one array in the bytes, as text. undefined: it is no JSON array. */
export function splitArray<Bytes extends Uint8Array>(bytes: Bytes): Bytes[] | undefined {
  const end = bytes.length
  let at = skipWhitespace(bytes, 0, end)
  if (bytes[at] !== OPEN_BRACKET) return undefined
  const elements: Bytes[] = []
  at = skipWhitespace(bytes, at + 1, end)
  if (bytes[at] === CLOSE_BRACKET) return isEnd(bytes, at + 1) ? elements : undefined
  for (;;) {
    const start = skipWhitespace(bytes, at, end)
    const elementEnd = skipJsonValue(bytes, start, end, ENVELOPE_DEPTH)
    if (elementEnd < 0) return undefined
    elements.push(bytes.subarray(start, elementEnd) as Bytes)
    at = skipWhitespace(bytes, elementEnd, end)
    if (bytes[at] === CLOSE_BRACKET) return isEnd(bytes, at + 1) ? elements : undefined
    if (bytes[at] !== COMMA) return undefined
    at++
  }
}

function isEnd(bytes: Uint8Array, at: number): boolean {
  return skipWhitespace(bytes, at, bytes.length) === bytes.length
}

function nameOf(bytes: Uint8Array, start: number, end: number): string {
  const text = textOf(bytes.subarray(start + 1, end - 1))
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text
}
