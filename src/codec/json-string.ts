// What a JSON string stands for, from the bytes between its quotes. Most strings hold no escape and are their own text;
// the others are decoded into new bytes. Escapes of lone surrogates have no UTF-8: the answer is undefined then.
// And the way back, from text in UTF-8 to a JSON string.

import type { ByteWriter } from '../kernel/byte-writer.ts'
import { hexDigit } from '../kernel/json-scanner.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Whether the range holds no escape, so that it is its own text. */
export function isPlainText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let position = start; position < end; position++) {
    if (bytes[position] === BACKSLASH) return false
  }
  return true
}

/** As a JavaScript string. */
export function decodeJsonText(bytes: Buffer, start: number, end: number): string | undefined {
  if (isPlainText(bytes, start, end)) return bytes.toString('utf8', start, end)
  return decodeJsonString(bytes, start, end)?.toString('utf8')
}

/** As UTF-8, in bytes of its own. */
export function decodeJsonString(bytes: Uint8Array, start: number, end: number): Buffer | undefined {
  const text = Buffer.allocUnsafeSlow(end - start)
  let length = 0
  let position = start
  while (position < end) {
    const byte = bytes[position] as number
    if (byte !== BACKSLASH) {
      text[length++] = byte
      position++
      continue
    }
    const letter = bytes[position + 1] as number
    if (letter !== 0x75) {
      text[length++] = shortEscape(letter)
      position += 2
      continue
    }
    let codePoint = codeUnit(bytes, position + 2)
    position += 6
    if (codePoint >= 0xd800 && codePoint < 0xe000) {
      const low = bytes[position] === BACKSLASH && bytes[position + 1] === 0x75 ? codeUnit(bytes, position + 2) : 0
      if (codePoint >= 0xdc00 || low < 0xdc00 || low >= 0xe000) return undefined
      codePoint = 0x10000 + ((codePoint - 0xd800) << 10) + (low - 0xdc00)
      position += 6
    }
    length = writeCodePoint(text, length, codePoint)
  }
  return text.subarray(0, length)
}

function codeUnit(bytes: Uint8Array, position: number): number {
  let unit = 0
  for (let digit = 0; digit < 4; digit++) unit = (unit << 4) | hexDigit(bytes[position + digit] as number)
  return unit
}

function shortEscape(letter: number): number {
  switch (letter) {
    case 0x62:
      return 0x08 // \b
    case 0x66:
      return 0x0c // \f
    case 0x6e:
      return 0x0a // \n
    case 0x72:
      return 0x0d // \r
    case 0x74:
      return 0x09 // \t
    default:
      return letter // \" \\ \/
  }
}

/** An escape is never shorter than its UTF-8, so there is room. */
function writeCodePoint(text: Uint8Array, length: number, codePoint: number): number {
  let at = length
  if (codePoint < 0x80) text[at++] = codePoint
  else if (codePoint < 0x800) text[at++] = 0xc0 | (codePoint >> 6)
  else {
    if (codePoint < 0x10000) text[at++] = 0xe0 | (codePoint >> 12)
    else {
      text[at++] = 0xf0 | (codePoint >> 18)
      text[at++] = 0x80 | ((codePoint >> 12) & 0x3f)
    }
    text[at++] = 0x80 | ((codePoint >> 6) & 0x3f)
  }
  if (codePoint >= 0x80) text[at++] = 0x80 | (codePoint & 0x3f)
  return at
}

/**
 * Writes the text in [start, end) as a JSON string. The answer has bit 7 set when a byte was above 0x7f: who does not know the
 * bytes to be UTF-8 has to look then.
 */
export function writeJsonString(output: ByteWriter, source: Uint8Array, start: number, end: number): number {
  let bits = 0
  output.writeByte(QUOTE)
  for (let position = start; position < end; ) {
    const stepEnd = Math.min(end, position + STEP_BYTES)
    output.reserve((stepEnd - position) * ESCAPE_BYTES_MAX)
    const { bytes } = output
    let at = output.position
    for (; position < stepEnd; position++) {
      const byte = source[position] as number
      bits |= byte
      if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) bytes[at++] = byte
      else at = writeEscape(bytes, at, byte)
    }
    output.position = at
  }
  output.writeByte(QUOTE)
  return bits
}

/** Room is made in steps, so that a long text does not reserve what it would take were it all escapes. */
const STEP_BYTES = 1024
const ESCAPE_BYTES_MAX = 6

const SHORT_ESCAPES = new Map(
  Array.from('"\\\b\f\n\r\t', (char, place) => [char.charCodeAt(0), '"\\bfnrt'.charCodeAt(place)]),
)

function writeEscape(bytes: Buffer, position: number, byte: number): number {
  const letter = SHORT_ESCAPES.get(byte)
  if (letter === undefined)
    return position + bytes.write(`\\u00${byte.toString(16).padStart(2, '0')}`, position, 'latin1')
  bytes[position] = BACKSLASH
  bytes[position + 1] = letter
  return position + 2
}
