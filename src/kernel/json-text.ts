// Whole JSON texts: whether bytes are one, and one without the white space that means nothing.

import { isUtf8 } from 'node:buffer'
import { invariant } from './errors.ts'
import { skipJsonString, skipJsonValue, skipWhitespace } from './json-scanner.ts'

const SPACE = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Whether the bytes are one JSON value and nothing else but white space around it, in UTF-8. */
export function isJson(bytes: Uint8Array, start: number, end: number): boolean {
  const valueEnd = skipJsonValue(bytes, start, end)
  if (valueEnd < 0 || skipWhitespace(bytes, valueEnd, end) !== end) return false
  return isAscii(bytes, start, end) || isUtf8(bytes.subarray(start, end))
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  let bits = 0
  for (let position = start; position < end; position++) bits |= bytes[position] as number
  return bits < 0x80
}

/**
 * The JSON in [start, end) without the white space that means nothing, all else unchanged: the bytes themselves when there is
 * none. They must be JSON.
 */
export function compactJson(bytes: Uint8Array, start: number, end: number): Uint8Array {
  let position = skipMeaningful(bytes, start, end)
  if (position === end) return bytes.subarray(start, end)
  const compact = Buffer.allocUnsafe(end - start)
  compact.set(bytes.subarray(start, position))
  let length = position - start
  let inString = false
  // Byte by byte: the runs between two blanks are too short for the engine's own copy.
  while (position < end) {
    const byte = bytes[position++] as number
    if (!inString && byte <= SPACE) continue
    compact[length++] = byte
    if (byte === QUOTE) inString = !inString
    else if (byte === BACKSLASH) compact[length++] = bytes[position++] as number
  }
  return compact.subarray(0, length)
}

/** The first position in [start, end) with white space between tokens; `end` when there is none. It must be JSON. */
export function skipMeaningful(bytes: Uint8Array, start: number, end: number): number {
  let position = start
  while (position < end) {
    const byte = bytes[position] as number
    if (byte <= SPACE) break
    position = byte === QUOTE ? skipJsonString(bytes, position, end) : position + 1
    invariant(position > 0, 'only JSON can be made compact')
  }
  return position
}
