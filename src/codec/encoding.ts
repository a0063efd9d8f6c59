// How a key, a value or a header's value in JSON stands for bytes, by name. The numbers and uuid are Kafka's own
// serializers, so that Kafka's deserializers read what is produced here:
//
//   name     JSON                                          bytes
//   string   a string                                      its UTF-8
//   json     anything                                      the JSON text exactly as it was sent
//   base64   a string of base64                            what it stands for
//   int16    -32768 .. 32767, as a number or its digits    2, big-endian (ShortSerializer)
//   int32    a number or its digits in a string            4, big-endian (IntegerSerializer)
//   int64    a number or its digits in a string            8, big-endian (LongSerializer)
//   float32  a number, or NaN, Infinity, -Infinity         4, IEEE 754 big-endian (FloatSerializer)
//   float64  likewise, numbers as strings too              8, IEEE 754 big-endian (DoubleSerializer)
//   uuid     a string of 8-4-4-4-12 hexadecimal digits     36, its text in lower case (UUIDSerializer)

import { decodeBase64 } from './base64.ts'
import { wrongMember } from './json-cursor.ts'
import { decodeJsonString, isPlainText } from './json-string.ts'

export const ENCODINGS = ['string', 'json', 'base64', 'int16', 'int32', 'int64', 'float32', 'float64', 'uuid'] as const
export type Encoding = (typeof ENCODINGS)[number]

/**
 * The bytes that the JSON value in [start, end) stands for; for strings without escapes and for json a range of `bytes`
 * itself. `member` is what the refusal calls it.
 */
export function encodeValue(encoding: Encoding, bytes: Buffer, start: number, end: number, member: string): Buffer {
  switch (encoding) {
    case 'json':
      return bytes.subarray(start, end)
    case 'string':
      return stringOf(bytes, start, end, member)
    case 'base64':
      return encodeBase64Text(bytes, start, end, member)
    case 'int16':
    case 'int32':
    case 'int64':
      return encodeInteger(encoding, bytes, start, end, member)
    case 'float32':
    case 'float64':
      return encodeFloat(encoding, bytes, start, end, member)
    case 'uuid':
      return encodeUuid(bytes, start, end, member)
  }
}

/** A JSON string's text in UTF-8. */
function stringOf(bytes: Buffer, start: number, end: number, member: string, what = 'a string'): Buffer {
  if (bytes[start] !== QUOTE) throw wrongMember(member, `must be ${what}, not ${excerpt(bytes, start, end)}`)
  if (isPlainText(bytes, start + 1, end - 1)) return bytes.subarray(start + 1, end - 1)
  const text = decodeJsonString(bytes, start + 1, end - 1)
  if (text === undefined) {
    throw wrongMember(
      member,
      'holds an escape of half a surrogate pair, which has no UTF-8; as a JSON value it can be stored',
    )
  }
  return text
}

const QUOTE = 0x22

function encodeBase64Text(bytes: Buffer, start: number, end: number, member: string): Buffer {
  const text = stringOf(bytes, start, end, member, 'a string of base64')
  const decoded = decodeBase64(text, 0, text.length)
  if (decoded === undefined) {
    throw wrongMember(member, `is not base64 (A-Z a-z 0-9 + / and = as padding): ${excerpt(bytes, start, end)}`)
  }
  return decoded
}

const INTEGER_BYTES = { int16: 2, int32: 4, int64: 8 } as const

function encodeInteger(
  encoding: keyof typeof INTEGER_BYTES,
  bytes: Buffer,
  start: number,
  end: number,
  member: string,
): Buffer {
  const size = INTEGER_BYTES[encoding]
  const bound = 1n << BigInt(size * 8 - 1)
  const digits = numberText(bytes, start, end)
  // 20 characters hold every int64; longer ones are not made into numbers only to be refused.
  if (!/^-?(0|[1-9]\d*)$/.test(digits) || digits.length > 20 || BigInt(digits) >= bound || BigInt(digits) < -bound) {
    const range = `a whole number from ${-bound} to ${bound - 1n}`
    throw wrongMember(
      member,
      `must be ${range}, as a number or its digits in a string, not ${excerpt(bytes, start, end)}`,
    )
  }
  const encoded = Buffer.allocUnsafeSlow(8)
  encoded.writeBigInt64BE(BigInt(digits))
  return encoded.subarray(8 - size)
}

function encodeFloat(
  encoding: 'float32' | 'float64',
  bytes: Buffer,
  start: number,
  end: number,
  member: string,
): Buffer {
  const text = numberText(bytes, start, end)
  const isNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)
  const number = encoding === 'float32' ? Math.fround(Number(text)) : Number(text)
  if (isNumber ? !Number.isFinite(number) : !/^(NaN|-?Infinity)$/.test(text) || bytes[start] !== QUOTE) {
    const found = excerpt(bytes, start, end)
    throw wrongMember(
      member,
      `must be a number in the range of ${encoding}, or "NaN", "Infinity" or "-Infinity", not ${found}`,
    )
  }
  const encoded = Buffer.allocUnsafeSlow(encoding === 'float32' ? 4 : 8)
  if (encoding === 'float32') encoded.writeFloatBE(number)
  else encoded.writeDoubleBE(number)
  return encoded
}

/** What stands there, without the quotes if it is a string. */
function numberText(bytes: Buffer, start: number, end: number): string {
  const quotes = bytes[start] === QUOTE ? 1 : 0
  return bytes.toString('latin1', start + quotes, end - quotes)
}

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/

function encodeUuid(bytes: Buffer, start: number, end: number, member: string): Buffer {
  const text = numberText(bytes, start, end).toLowerCase()
  if (bytes[start] !== QUOTE || !UUID.test(text)) {
    throw wrongMember(
      member,
      `must be a string such as "7f1a1bd0-5c1e-4d1b-9d5e-0c5f4f0a9b11", not ${excerpt(bytes, start, end)}`,
    )
  }
  return Buffer.from(text)
}

/** What was sent, for a message. */
export function excerpt(bytes: Buffer, start: number, end: number): string {
  if (end - start <= EXCERPT_BYTES_MAX) return bytes.toString('utf8', start, end)
  return `${bytes.toString('utf8', start, start + EXCERPT_BYTES_MAX)}…`
}

const EXCERPT_BYTES_MAX = 60

/**
 * The way back for the numbers and uuid: JSON that encodes to these very bytes again. Undefined when the bytes are not of the
 * encoding. Integers that a double cannot hold are written as strings, so that no client loses their digits.
 */
export function decodeToJson(encoding: Encoding, bytes: Buffer, start: number, end: number): string | undefined {
  const size = end - start
  switch (encoding) {
    case 'int16':
      return size === 2 ? String(bytes.readInt16BE(start)) : undefined
    case 'int32':
      return size === 4 ? String(bytes.readInt32BE(start)) : undefined
    case 'int64':
      return size === 8 ? integerJson(bytes.readBigInt64BE(start)) : undefined
    case 'float32':
      return size === 4 ? float32Json(bytes, start) : undefined
    case 'float64':
      return size === 8 ? float64Json(bytes, start) : undefined
    case 'uuid':
      return size === 36 ? uuidJson(bytes.toString('latin1', start, end)) : undefined
    default:
      return undefined
  }
}

function integerJson(integer: bigint): string {
  return Number.isSafeInteger(Number(integer)) ? String(integer) : `"${integer}"`
}

function float32Json(bytes: Buffer, start: number): string | undefined {
  const number = bytes.readFloatBE(start)
  if (!Number.isFinite(number)) return oddFloatJson(number, bytes.readUInt32BE(start) === 0x7fc00000)
  return floatText(number)
}

/** The fewest digits that name a finite float among the floats. */
export function floatText(number: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(number.toPrecision(digits))
    if (Math.fround(short) === number) return numberJson(short)
  }
  return numberJson(number)
}

function float64Json(bytes: Buffer, start: number): string | undefined {
  const number = bytes.readDoubleBE(start)
  if (!Number.isFinite(number)) return oddFloatJson(number, bytes.readBigUInt64BE(start) === 0x7ff8000000000000n)
  return numberJson(number)
}

function numberJson(number: number): string {
  return Object.is(number, -0) ? '-0' : String(number)
}

/** There are many NaNs; only the one that is written for "NaN" comes back as it was. */
function oddFloatJson(number: number, isUsualNaN: boolean): string | undefined {
  return Number.isNaN(number) && !isUsualNaN ? undefined : `"${number}"`
}

function uuidJson(text: string): string | undefined {
  return UUID.test(text) ? `"${text}"` : undefined
}
