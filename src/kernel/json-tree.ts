// JSON as it was written: members in their order, whatever their names; numbers with their digits. For texts that are kept,
// compared and printed again (schemas), where JSON.parse would lose what their authors wrote. Not for hot paths.

import { TailraceError } from './errors.ts'
import { describeJsonFault, jsonFault, skipJsonValue, skipWhitespace } from './json-scanner.ts'
import { DECIMAL_DIGITS_MAX } from './limits.ts'

export type JsonNode = JsonObject | JsonArray | JsonString | JsonNumber | JsonBoolean | JsonNull

export interface JsonObject {
  readonly kind: 'object'
  /** In the order of their first appearance; of a name that appears twice, the last value. */
  readonly members: ReadonlyMap<string, JsonNode>
}

export interface JsonArray {
  readonly kind: 'array'
  readonly items: readonly JsonNode[]
}

export interface JsonString {
  readonly kind: 'string'
  readonly value: string
}

export interface JsonNumber {
  readonly kind: 'number'
  /** As it stands in the text. */
  readonly source: string
}

export interface JsonBoolean {
  readonly kind: 'boolean'
  readonly value: boolean
}

export interface JsonNull {
  readonly kind: 'null'
}

export interface JsonPrinting {
  /** How a number is printed; as it stands if left out. */
  readonly number?: ((source: string) => string) | undefined
  /** Members of every object by their names, in the order of UTF-16 code units. */
  readonly sorted?: boolean | undefined
}

const NULL: JsonNull = { kind: 'null' }
const TRUE: JsonBoolean = { kind: 'boolean', value: true }
const FALSE: JsonBoolean = { kind: 'boolean', value: false }

/** invalid_request with the place where the text is no JSON, or is nested deeper than JSON_DEPTH_MAX. */
export function parseJsonTree(text: string): JsonNode {
  const bytes = Buffer.from(text)
  const end = skipJsonValue(bytes, 0, bytes.length)
  const rest = end < 0 ? end : skipWhitespace(bytes, end, bytes.length)
  if (rest === bytes.length) return new TreeBuilder(text).value()
  const { line, column, expected, found } = describeJsonFault(
    bytes,
    0,
    bytes.length,
    rest < 0 ? rest : jsonFault(rest, 'the end of the text'),
  )
  throw new TailraceError(
    'invalid_request',
    `malformed JSON at line ${line}, column ${column}: expected ${expected}, found ${found}`,
  )
}

/** Compact. */
export function printJsonTree(node: JsonNode, printing: JsonPrinting = {}): string {
  switch (node.kind) {
    case 'object': {
      const members = [...node.members]
      if (printing.sorted) members.sort(([left], [right]) => (left < right ? -1 : 1))
      return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${printJsonTree(value, printing)}`).join(',')}}`
    }
    case 'array':
      return `[${node.items.map((item) => printJsonTree(item, printing)).join(',')}]`
    case 'string':
      return JSON.stringify(node.value)
    case 'number':
      return printing.number?.(node.source) ?? node.source
    case 'boolean':
      return String(node.value)
    case 'null':
      return 'null'
  }
}

/** The same JSON: the order of members means nothing, 1.0 is 1. */
export function isSameJson(left: JsonNode, right: JsonNode): boolean {
  if (left.kind !== right.kind) return false
  switch (left.kind) {
    case 'object': {
      const { members } = right as JsonObject
      if (members.size !== left.members.size) return false
      return [...left.members].every(([name, value]) => {
        const other = members.get(name)
        return other !== undefined && isSameJson(value, other)
      })
    }
    case 'array': {
      const { items } = right as JsonArray
      return (
        items.length === left.items.length && left.items.every((item, at) => isSameJson(item, items[at] as JsonNode))
      )
    }
    case 'number':
      return compareDecimals(left.source, (right as JsonNumber).source) === 0
    case 'null':
      return true
    default:
      return left.value === (right as JsonString | JsonBoolean).value
  }
}

/** What JSON.parse would give, but for members called __proto__, which become own members. */
export function plainOf(node: JsonNode): unknown {
  switch (node.kind) {
    case 'object': {
      const plain: Record<string, unknown> = {}
      for (const [name, value] of node.members) {
        Object.defineProperty(plain, name, {
          value: plainOf(value),
          enumerable: true,
          writable: true,
          configurable: true,
        })
      }
      return plain
    }
    case 'array':
      return node.items.map(plainOf)
    case 'number':
      return Number(node.source)
    case 'null':
      return null
    default:
      return node.value
  }
}

interface Decimal {
  readonly sign: -1 | 0 | 1
  /** Without zeros at either end. */
  readonly digits: string
  /** Of the first digit: 0.d1d2… times ten to the exponent. */
  readonly exponent: number
}

/** Of the sources of two JSON numbers, exactly: negative, 0 or positive. */
export function compareDecimals(left: string, right: string): number {
  const a = decimalOf(left)
  const b = decimalOf(right)
  if (a.sign !== b.sign) return a.sign - b.sign
  if (a.sign === 0) return 0
  if (a.exponent !== b.exponent) return (a.exponent - b.exponent) * a.sign
  // digit strings without zeros at the end compare as fractions
  if (a.digits === b.digits) return 0
  return (a.digits < b.digits ? -1 : 1) * a.sign
}

/** Whether one JSON number is a whole multiple of another, exactly; false where that takes more than DECIMAL_DIGITS_MAX digits. */
export function isMultiple(source: string, of: string): boolean {
  const number = decimalOf(source)
  const divisor = decimalOf(of)
  if (divisor.sign === 0 || number.sign === 0) return divisor.sign !== 0
  // as whole numbers of the divisor's last digit: what has digits behind that is no multiple
  const zeros = number.exponent - number.digits.length - (divisor.exponent - divisor.digits.length)
  if (zeros < 0) return false
  if (!(Math.max(number.digits.length + zeros, divisor.digits.length) <= DECIMAL_DIGITS_MAX)) return false
  return BigInt(number.digits + '0'.repeat(zeros)) % BigInt(divisor.digits) === 0n
}

function decimalOf(source: string): Decimal {
  const isNegative = source.startsWith('-')
  const [mantissa = '', power = '0'] = source.slice(isNegative ? 1 : 0).split(/[eE]/)
  const [whole = '', fraction = ''] = mantissa.split('.')
  const all = whole + fraction
  const first = all.search(/[1-9]/)
  if (first < 0) return { sign: 0, digits: '', exponent: 0 }
  // a pattern would go through zeros within again and again
  let last = all.length
  while (all.charCodeAt(last - 1) === 0x30) last--
  const digits = all.slice(first, last)
  return { sign: isNegative ? -1 : 1, digits, exponent: Number(power) + whole.length - first }
}

/** Of a text that is known to be JSON. */
class TreeBuilder {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(): JsonNode {
    this.#skipBlanks()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object()
      case '[':
        return this.#array()
      case '"':
        return { kind: 'string', value: this.#string() }
      case 't':
        return this.#word(TRUE, 4)
      case 'f':
        return this.#word(FALSE, 5)
      case 'n':
        return this.#word(NULL, 4)
      default:
        return this.#number()
    }
  }

  #object(): JsonObject {
    const members = new Map<string, JsonNode>()
    this.#at++
    for (this.#skipBlanks(); this.#text[this.#at] !== '}'; this.#skipSeparator()) {
      const name = this.#string()
      this.#skipBlanks()
      this.#at++
      members.set(name, this.value())
    }
    this.#at++
    return { kind: 'object', members }
  }

  #array(): JsonArray {
    const items: JsonNode[] = []
    this.#at++
    for (this.#skipBlanks(); this.#text[this.#at] !== ']'; this.#skipSeparator()) items.push(this.value())
    this.#at++
    return { kind: 'array', items }
  }

  #string(): string {
    const start = this.#at
    for (this.#at++; this.#text[this.#at] !== '"'; this.#at++) if (this.#text[this.#at] === '\\') this.#at++
    this.#at++
    return JSON.parse(this.#text.slice(start, this.#at)) as string
  }

  #number(): JsonNumber {
    NUMBER.lastIndex = this.#at
    const source = NUMBER.exec(this.#text)?.[0] ?? ''
    this.#at += source.length
    return { kind: 'number', source }
  }

  #word<Node extends JsonNode>(node: Node, length: number): Node {
    this.#at += length
    return node
  }

  /** To the next member or item, or the end. */
  #skipSeparator(): void {
    this.#skipBlanks()
    if (this.#text[this.#at] !== ',') return
    this.#at++
    this.#skipBlanks()
  }

  #skipBlanks(): void {
    while (BLANKS.includes(this.#text[this.#at] ?? '?')) this.#at++
  }
}

const NUMBER = /[-+.0-9eE]+/y
const BLANKS = ' \t\n\r'
