// Walks the JSON of a request in place: objects member by member, arrays element by element, every value as a range of the
// bytes. Nothing is made of what is not asked for. Path A3, and the hot one: every record produced over HTTP passes here.
// Malformed JSON throws invalid_request with line, column and what was expected. What is well-formed but not what the
// request may hold throws invalid_record with the member's name; who knows the record's index adds it.
// The text must be UTF-8: that is checked before.

import { invariant, TailraceError } from '../kernel/errors.ts'
import type { JsonExpectation } from '../kernel/json-scanner.ts'
import {
  describeJsonFault,
  JSON_ENVELOPE_DEPTH,
  jsonFault,
  skipJsonString,
  skipJsonValue,
  skipPlainString,
  skipWhitespace,
} from '../kernel/json-scanner.ts'
import { nearestName } from '../kernel/nearest-name.ts'
import { decodeJsonText } from './json-string.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** What nextMember answers besides the number of a name. */
export const OBJECT_END = -1
/** A name that is not in the list, where others may stand too. */
const OTHER_MEMBER = -2

/** The names that an object's members may have; a member is known by its name's place in the list. */
export class MemberNames {
  readonly names: readonly string[]
  /** One for each name. */
  readonly zeros: readonly number[]
  /** What becomes of a member of another name. */
  readonly others: 'refuse' | 'pass'
  /** What to tell those who write a name that is known elsewhere. */
  readonly hints: ReadonlyMap<string, string>
  readonly #bytes: readonly Uint8Array[]
  /** By length, first and last byte: the number of the one name that may be meant, or -1. */
  readonly #candidates = new Int8Array(CANDIDATE_SLOTS).fill(-1)

  constructor(
    names: readonly string[],
    others: 'refuse' | 'pass' = 'refuse',
    hints: ReadonlyMap<string, string> = NO_HINTS,
  ) {
    this.names = names
    this.others = others
    this.hints = hints
    this.zeros = names.map(() => 0)
    this.#bytes = names.map((name) => Buffer.from(name))
    for (const [number, name] of this.#bytes.entries()) {
      const slot = candidateSlot(name, 0, name.length)
      invariant(this.#candidates[slot] === -1, 'the names of one object differ in length or in first and last letter')
      this.#candidates[slot] = number
    }
  }

  /** The number of the name that stands in [start, end); -1 when it is none of them. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const candidate = this.#candidates[candidateSlot(bytes, start, end)] as number
    if (candidate === -1) return -1
    const name = this.#bytes[candidate] as Uint8Array
    if (name.length !== end - start) return -1
    for (let index = 0; index < name.length; index++) {
      if (name[index] !== bytes[start + index]) return -1
    }
    return candidate
  }
}

const NO_HINTS: ReadonlyMap<string, string> = new Map()
const CANDIDATE_SLOTS = 512

function candidateSlot(bytes: Uint8Array, start: number, end: number): number {
  const letters = (bytes[start] as number) + (bytes[end - 1] as number)
  return (((end - start) << 5) | (letters & 0x1f)) & (CANDIDATE_SLOTS - 1)
}

/** Where the members of one object stand, by their names' numbers. Used again for the next object. */
export class MemberRanges {
  /** Bit n is set when the n-th name was there. */
  seen = 0
  readonly names: MemberNames
  readonly starts: number[]
  readonly ends: number[]

  constructor(names: MemberNames) {
    this.names = names
    this.starts = names.zeros.slice()
    this.ends = names.zeros.slice()
  }

  has(member: number): boolean {
    return (this.seen & (1 << member)) !== 0
  }
}

export type JsonKind = 'an object' | 'an array' | 'a string' | 'a number' | 'true' | 'false' | 'null'

export class JsonCursor {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  /** The next byte that was not walked over. */
  position: number
  /** A bracket was just opened, so that no comma stands before what comes. */
  #isFirst = false

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.bytes = bytes
    this.start = start
    this.end = end
    this.position = skipWhitespace(bytes, start, end)
  }

  /** What begins here. */
  kind(): JsonKind {
    const byte = this.#byte(this.position)
    if (byte === OPEN_BRACE) return 'an object'
    if (byte === OPEN_BRACKET) return 'an array'
    if (byte === QUOTE) return 'a string'
    if (byte === 0x74) return 'true'
    if (byte === 0x66) return 'false'
    if (byte === 0x6e) return 'null'
    if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) return 'a number'
    throw this.malformed(this.position, 'a value')
  }

  /** Steps into the object that begins here; `member` is what to call it if it is none. */
  enterObject(member: string): void {
    if (this.#byte(this.position) !== OPEN_BRACE) throw wrongMember(member, `must be an object, not ${this.kind()}`)
    this.position++
    this.#isFirst = true
  }

  /** `what`: as it is called to those who wrote something else. */
  enterArray(member: string, what = 'an array'): void {
    if (this.#byte(this.position) !== OPEN_BRACKET) throw wrongMember(member, `must be ${what}, not ${this.kind()}`)
    this.position++
    this.#isFirst = true
  }

  /**
   * Goes to the value of the next member and answers its name's number; OBJECT_END after the last. A name that is not
   * known is refused, or OTHER_MEMBER where the names let others pass.
   */
  nextMember(names: MemberNames): number {
    const { bytes, end } = this
    let position = skipWhitespace(bytes, this.position, end)
    let byte = this.#byte(position)
    if (byte === CLOSE_BRACE) {
      this.#isFirst = false
      this.position = position + 1
      return OBJECT_END
    }
    if (!this.#isFirst) {
      if (byte !== COMMA) throw this.malformed(position, ', or }')
      position = skipWhitespace(bytes, position + 1, end)
      byte = this.#byte(position)
    }
    if (byte !== QUOTE) {
      throw this.malformed(
        position,
        this.#isFirst ? 'a member name in double quotes or }' : 'a member name in double quotes',
      )
    }
    this.#isFirst = false
    const nameStart = position + 1
    let member = -1
    position = skipPlainString(bytes, position, end)
    if (position > 0) member = names.find(bytes, nameStart, position - 1)
    else position = this.#check(position === 0 ? skipJsonString(bytes, nameStart - 1, end) : position)
    const nameEnd = position - 1
    position = skipWhitespace(bytes, position, end)
    if (this.#byte(position) !== COLON) throw this.malformed(position, ':')
    this.position = skipWhitespace(bytes, position + 1, end)
    return member === -1 ? this.#findOddName(names, nameStart, nameEnd) : member
  }

  /** Goes to the next element; false after the last. */
  nextElement(): boolean {
    const { bytes, end } = this
    let position = skipWhitespace(bytes, this.position, end)
    const byte = this.#byte(position)
    if (byte === CLOSE_BRACKET) {
      this.#isFirst = false
      this.position = position + 1
      return false
    }
    if (!this.#isFirst) {
      if (byte !== COMMA) throw this.malformed(position, ', or ]')
      position = skipWhitespace(bytes, position + 1, end)
      if (this.#byte(position) === CLOSE_BRACKET) throw this.malformed(position, 'a value')
    }
    this.#isFirst = false
    this.position = position
    return true
  }

  /** Walks over the value that begins here and answers where it ends. */
  skipValue(): number {
    const end = skipJsonValue(this.bytes, this.position, this.end)
    this.position = end < 0 ? this.#check(end) : end
    return end
  }

  /** As skipValue, over values and what is around them: deeper by the envelope's levels. */
  skipEnvelope(): number {
    const end = skipJsonValue(this.bytes, this.position, this.end, JSON_ENVELOPE_DEPTH)
    this.position = this.#check(end)
    return end
  }

  /** Notes where each member of the object that begins here stands. A name twice is refused. */
  readMembers(ranges: MemberRanges, member: string): void {
    const { names, starts, ends } = ranges
    ranges.seen = 0
    this.enterObject(member)
    for (;;) {
      const number = this.nextMember(names)
      if (number === OBJECT_END) return
      const bit = 1 << number
      if ((ranges.seen & bit) !== 0) throw wrongMember(names.names[number] as string, 'stands twice in one object')
      ranges.seen |= bit
      starts[number] = this.position
      ends[number] = this.skipValue()
    }
  }

  /** Nothing but white space may follow. */
  finish(): void {
    const position = skipWhitespace(this.bytes, this.position, this.end)
    if (position !== this.end) throw this.malformed(position, 'the end of the text')
  }

  malformed(position: number, expected: JsonExpectation): TailraceError {
    return malformedJson(this.bytes, this.start, this.end, jsonFault(position, expected))
  }

  /** A position of the scanner's, which may be a fault. */
  #check(position: number): number {
    if (position < 0) throw malformedJson(this.bytes, this.start, this.end, position)
    return position
  }

  #byte(position: number): number {
    return position < this.end ? (this.bytes[position] as number) : 0
  }

  /** A name that is unknown as it stands may be a known one with escapes. */
  #findOddName(names: MemberNames, start: number, end: number): number {
    const name = decodeJsonText(this.bytes, start, end) ?? this.bytes.toString('latin1', start, end)
    const member = names.names.indexOf(name)
    if (member >= 0) return member
    if (names.others === 'pass') return OTHER_MEMBER
    const shown = name.length > NAME_CHARS_SHOWN_MAX ? `${name.slice(0, NAME_CHARS_SHOWN_MAX)}…` : name
    throw wrongMember(shown, `is not known here; ${names.hints.get(name) ?? hintOf(name, names)}`)
  }
}

function hintOf(name: string, { names }: MemberNames): string {
  const nearest = nearestName(name, names)
  return nearest === undefined ? `allowed are ${names.join(', ')}` : `did you mean ${nearest}?`
}

const NAME_CHARS_SHOWN_MAX = 100

function malformedJson(bytes: Uint8Array, start: number, end: number, fault: number): TailraceError {
  const { position, line, column, expected, found } = describeJsonFault(bytes, start, end, fault)
  return new TailraceError(
    'invalid_request',
    `malformed JSON at line ${line}, column ${column}: expected ${expected}, found ${found}`,
    { position, line, column, expected },
  )
}

/**
 * Well-formed, but not what may stand there. The message begins with the member's name; with '' it is about the object itself,
 * and who knows what to call that says it before.
 */
export function wrongMember(member: string, problem: string): TailraceError {
  if (member === '') return new TailraceError('invalid_record', problem)
  return new TailraceError('invalid_record', `${member} ${problem}`, { member })
}

/** A number of digits alone; -1 when there is anything else, or nothing. */
export function parseWhole(bytes: Buffer, start: number, end: number): number {
  if (start >= end) return -1
  let whole = 0
  for (let position = start; position < end; position++) {
    const digit = (bytes[position] as number) - 0x30
    if (!(digit >= 0 && digit <= 9)) return -1
    whole = whole * 10 + digit
  }
  return whole
}
