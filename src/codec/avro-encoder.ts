// Avro's JSON as Avro's bytes, read straight from the text of a request, so that every digit of a long stays. Compiled once
// for a schema. Tagged unions first, as the specification has them; then a value without a tag, where it fits exactly one
// branch. What a record leaves out has its default; what it has too much, or twice, is refused.

import { ByteWriter } from '../kernel/byte-writer.ts'
import { skipJsonValue, skipPlainString, skipWhitespace } from '../kernel/json-scanner.ts'
import type { JsonNode } from '../kernel/json-tree.ts'
import { printJsonTree } from '../kernel/json-tree.ts'
import { AVRO_DATA_DEPTH_MAX, AVRO_TRIALS, AVRO_TRIALS_PER_BYTE } from '../kernel/limits.ts'
import { isDefaultOf } from '../registry/avro/avro-default.ts'
import type { AvroPrimitive, AvroRecord, AvroType } from '../registry/avro/avro-type.ts'
import { branchNameOf, fullNameOf } from '../registry/avro/avro-type.ts'
import { AvroMisfit, placed } from './avro-misfit.ts'
import type { AvroStep } from './avro-steps.ts'
import { AvroCompiler } from './avro-steps.ts'
import { decodeJsonString, decodeJsonText, isPlainText } from './json-string.ts'

type Step = AvroStep<AvroWriter>

export class AvroEncoder {
  readonly #root: Step
  readonly #writer = new AvroWriter()

  constructor(root: AvroType) {
    this.#root = new EncoderCompiler().compile(root)
  }

  /** Appends the bytes of the JSON value in [start, end), which is well-formed. SchemaDataError: it is not of the schema. */
  encode(bytes: Buffer, start: number, end: number, output: ByteWriter): void {
    const writer = this.#writer
    writer.bytes = bytes
    writer.end = end
    writer.position = skipWhitespace(bytes, start, end)
    writer.output = output
    writer.depth = 0
    writer.trialsLeft = AVRO_TRIALS + AVRO_TRIALS_PER_BYTE * (end - start)
    try {
      this.#root(writer)
    } catch (error) {
      throw error instanceof AvroMisfit ? error.settled() : error
    }
  }
}

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const CAPITAL_E = 0x45
const LETTER_E = 0x65
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const LETTER_F = 0x66
const LETTER_N = 0x6e
const LETTER_T = 0x74
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

class AvroWriter {
  bytes: Buffer = Buffer.alloc(0)
  /** On the first byte of a value, before a step; behind its last, after. */
  position = 0
  end = 0
  output!: ByteWriter
  depth = 0
  /** How often a part may still be written for a trial: parts within parts, each tried, would otherwise take for ever. */
  trialsLeft = 0

  tries(): void {
    if (--this.trialsLeft < 0) throw new AvroMisfit('it takes too many tries to find its branches: they must be tagged')
  }

  first(): number {
    return this.bytes[this.position] as number
  }

  skipBlanks(): void {
    this.position = skipWhitespace(this.bytes, this.position, this.end)
  }

  /** Goes behind the value and gives where it begins. */
  skipValue(): number {
    const start = this.position
    this.position = skipJsonValue(this.bytes, start, this.end)
    return start
  }

  /** Past a bracket and blanks. */
  enter(): void {
    this.position++
    this.skipBlanks()
  }

  /** True when another element follows, whose first byte comes next. */
  nextElement(closing: number): boolean {
    this.skipBlanks()
    if (this.first() === COMMA) {
      this.enter()
      return true
    }
    if (this.first() !== closing) throw new AvroMisfit('the value is no JSON')
    this.position++
    return false
  }

  /** The text between the quotes of the string that comes next; undefined: it has half a surrogate pair. */
  stringBytes(): Buffer {
    if (this.first() !== QUOTE) throw this.wrong('a string')
    const start = this.skipValue() + 1
    const end = this.position - 1
    if (isPlainText(this.bytes, start, end)) return this.bytes.subarray(start, end)
    const decoded = decodeJsonString(this.bytes, start, end)
    if (decoded === undefined) throw new AvroMisfit('a string has an escape of half a surrogate pair')
    return decoded
  }

  /** A member's name, and past the colon. */
  memberName(): string {
    const start = this.skipValue() + 1
    const name = decodeJsonText(this.bytes, start, this.position - 1)
    if (name === undefined) throw new AvroMisfit('a name has an escape of half a surrogate pair')
    this.skipBlanks()
    this.enter()
    return name
  }

  wrong(wanted: string): AvroMisfit {
    const start = this.position
    const end = Math.min(skipJsonValue(this.bytes, start, this.end), start + 60)
    return new AvroMisfit(`must be ${wanted}, not ${this.bytes.toString('utf8', start, Math.max(start, end))}`)
  }

  long(value: number): void {
    let rest = value >= 0 ? value * 2 : -value * 2 - 1
    const { output } = this
    output.reserve(10)
    while (rest >= 0x80) {
      output.bytes[output.position++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    output.bytes[output.position++] = rest
  }

  bigLong(value: bigint): void {
    let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
    for (; rest >= 0x80n; rest >>= 7n) this.output.writeByte(Number(rest & 0x7fn) | 0x80)
    this.output.writeByte(Number(rest))
  }
}

class EncoderCompiler extends AvroCompiler<AvroWriter> {
  protected compileNew(type: AvroType): Step {
    switch (type.kind) {
      case 'null':
        return (writer) => {
          if (writer.first() !== LETTER_N) throw writer.wrong('null')
          writer.skipValue()
        }
      case 'boolean':
        return encodeBoolean
      case 'int':
        return integerStep(31n, `an int${unitOf(type)}`)
      case 'long':
        return integerStep(63n, `a long${unitOf(type)}`)
      case 'float':
        return (writer) => encodeFloat(writer, 'float')
      case 'double':
        return (writer) => encodeFloat(writer, 'double')
      case 'string':
        return encodeString
      case 'bytes':
        return (writer) => {
          const bytes = latinBytes(writer)
          writer.long(bytes.length)
          writer.output.writeBytes(bytes)
        }
      case 'fixed':
        return (writer) => {
          const at = writer.position
          const bytes = latinBytes(writer)
          if (bytes.length === type.size) return writer.output.writeBytes(bytes)
          writer.position = at
          throw writer.wrong(`${type.size} characters, one for each byte`)
        }
      case 'enum':
        return encodeEnum(fullNameOf(type.name), type.symbols)
      case 'array':
        return this.#items(OPEN_BRACKET, 'an array', this.compile(type.items))
      case 'map':
        return this.#items(OPEN_BRACE, 'an object', this.compile(type.values))
      case 'union':
        return this.#union(type.branches)
      case 'record':
        return this.#record(type)
    }
  }

  /** In one block: how many there are is known only behind them. */
  #items(opening: number, wanted: string, item: Step): Step {
    const closing = opening === OPEN_BRACKET ? CLOSE_BRACKET : CLOSE_BRACE
    const isMap = opening === OPEN_BRACE
    return deeper((writer) => {
      if (writer.first() !== opening) throw writer.wrong(wanted)
      const { output } = writer
      const start = output.position
      let count = 0
      let key: Buffer | undefined
      writer.enter()
      if (writer.first() === closing) writer.position++
      else {
        try {
          do {
            if (isMap) {
              key = undefined
              key = writer.stringBytes()
              writer.skipBlanks()
              writer.enter()
              writer.long(key.length)
              output.writeBytes(key)
            }
            item(writer)
            count++
          } while (writer.nextElement(closing))
        } catch (error) {
          throw placed(error, isMap ? entryPart(key) : `[${count}]`)
        }
        insertCount(writer, start, count)
      }
      output.writeByte(0)
    })
  }

  #union(branches: readonly AvroType[]): Step {
    const steps = branches.map((branch) => this.compile(branch))
    const indexOf = new Map(branches.map((branch, at) => [branchNameOf(branch), at]))
    const tags = branches.map((branch) => Buffer.from(`{${JSON.stringify(branchNameOf(branch))}:`))
    const nullAt = branches.findIndex(({ kind }) => kind === 'null')
    return deeper((writer) => {
      if (writer.first() === LETTER_N) {
        if (nullAt < 0) throw writer.wrong(`one of ${[...indexOf.keys()].join(', ')}`)
        writer.long(nullAt)
        writer.skipValue()
        return
      }
      if (writer.first() === OPEN_BRACE && (encodeTight(writer, tags, steps) || encodeTagged(writer, indexOf, steps)))
        return
      encodeUntagged(writer, branches, steps)
    })
  }

  #record(type: AvroRecord): Step {
    const { fields } = type
    const name = fullNameOf(type.name)
    const steps = fields.map((field) => this.compile(field.type))
    const names = fields.map((field) => Buffer.from(JSON.stringify(field.name)))
    const placeOf = new Map(fields.map((field, at) => [field.name, at]))
    const defaults = new Map<number, Buffer>()
    const encodeDefault = (at: number): Buffer => {
      const known = defaults.get(at)
      if (known !== undefined) return known
      const field = fields[at] as AvroRecord['fields'][number]
      if (field.default === undefined) {
        throw new AvroMisfit(`the field ${field.name} is missing, and has no default`, name)
      }
      const encoded = defaultBytes(field.type, field.default)
      defaults.set(at, encoded)
      return encoded
    }
    /** `done` fields are written already. */
    const inAnyOrder = (writer: AvroWriter, done: number): void => {
      const starts = new Array<number>(fields.length).fill(-1)
      writer.enter()
      if (writer.first() === CLOSE_BRACE) writer.position++
      else {
        do {
          const member = writer.memberName()
          const at = placeOf.get(member)
          if (at === undefined) {
            const known = [...placeOf.keys()].slice(0, 50).join(', ')
            throw new AvroMisfit(`has no field ${JSON.stringify(member.slice(0, 60))}; it has ${known}`, name)
          }
          if (starts[at] !== -1) throw new AvroMisfit(`has the field ${member} twice`, name)
          starts[at] = writer.skipValue()
        } while (writer.nextElement(CLOSE_BRACE))
      }
      const after = writer.position
      for (const [at, start] of starts.entries()) {
        if (at < done) continue
        if (start < 0) writer.output.writeBytes(encodeDefault(at))
        else {
          writer.position = start
          encodeField(writer, at)
        }
      }
      writer.position = after
    }
    const encodeField = (writer: AvroWriter, at: number): void => {
      try {
        const step = steps[at] as Step
        step(writer)
      } catch (error) {
        throw placed(error, `.${fields[at]?.name}`, name)
      }
    }
    return deeper((writer) => {
      if (writer.first() !== OPEN_BRACE) throw writer.wrong(`an object of the record ${name}`)
      const start = writer.position
      writer.enter()
      // mostly members come as the fields do
      for (let at = 0; at < steps.length; at++) {
        if (!takesName(writer, names[at] as Buffer)) {
          writer.position = start
          inAnyOrder(writer, at)
          return
        }
        encodeField(writer, at)
        writer.skipBlanks()
        if (writer.first() === COMMA && at < steps.length - 1) writer.enter()
      }
      if (writer.first() === CLOSE_BRACE) writer.position++
      else {
        writer.position = start
        inAnyOrder(writer, steps.length)
      }
    })
  }
}

const KEY_CHARS_SHOWN_MAX = 60

/** undefined: the key itself could not be read. */
function entryPart(key: Buffer | undefined): string {
  return key === undefined ? '' : `[${JSON.stringify(key.toString().slice(0, KEY_CHARS_SHOWN_MAX))}]`
}

/** Goes past the name and its colon, if it is the one that comes next. */
function takesName(writer: AvroWriter, name: Buffer): boolean {
  if (!startsWith(writer.bytes, writer.position, name)) return false
  writer.position += name.length
  writer.skipBlanks()
  writer.enter()
  return true
}

/** Room for it was not left: items are mostly few and short. */
function insertCount(writer: AvroWriter, start: number, count: number): void {
  const { output } = writer
  const items = Buffer.from(output.bytes.subarray(start, output.position))
  output.position = start
  writer.long(count)
  output.writeBytes(items)
}

/** A tag as it is mostly written, without blanks. */
function encodeTight(writer: AvroWriter, tags: readonly Buffer[], steps: readonly Step[]): boolean {
  const { bytes, position: start, output } = writer
  for (let at = 0; at < tags.length; at++) {
    const tag = tags[at] as Buffer
    if (!startsWith(bytes, start, tag)) continue
    const written = output.position
    const { depth } = writer
    writer.position = start + tag.length
    writer.skipBlanks()
    writer.long(at)
    const valueAt = writer.position
    const failure = failureOf(writer, steps[at] as Step)
    if (failure !== undefined) {
      writer.position = valueAt
      writer.skipValue()
    }
    writer.skipBlanks()
    if (writer.first() === CLOSE_BRACE) {
      // it is tagged, and would not fit when tried again
      if (failure !== undefined) throw failure
      writer.position++
      return true
    }
    writer.tries()
    // an object of more members, perhaps, whose first has the name of a branch
    writer.position = start
    writer.depth = depth
    output.position = written
    return false
  }
  return false
}

/** Why it cannot be written; undefined: it is. */
function failureOf(writer: AvroWriter, step: Step): AvroMisfit | undefined {
  try {
    step(writer)
    return undefined
  } catch (error) {
    if (error instanceof AvroMisfit) return error
    throw error
  }
}

function startsWith(bytes: Buffer, start: number, wanted: Buffer): boolean {
  for (let at = 0; at < wanted.length; at++) if (bytes[start + at] !== wanted[at]) return false
  return true
}

function encodeTagged(writer: AvroWriter, indexOf: ReadonlyMap<string, number>, steps: readonly Step[]): boolean {
  const start = writer.position
  writer.enter()
  if (writer.first() === QUOTE) {
    const index = indexOf.get(writer.memberName())
    if (index !== undefined) {
      const valueAt = writer.position
      writer.skipValue()
      writer.skipBlanks()
      if (writer.first() === CLOSE_BRACE) {
        const after = writer.position + 1
        writer.position = valueAt
        writer.long(index)
        const step = steps[index] as Step
        step(writer)
        writer.position = after
        return true
      }
    }
  }
  writer.position = start
  return false
}

/** Where one branch alone takes it. */
function encodeUntagged(writer: AvroWriter, branches: readonly AvroType[], steps: readonly Step[]): void {
  const start = writer.position
  const candidates = branches.flatMap((branch, at) => (mayBe(branch, writer.first()) ? [at] : []))
  const [only] = candidates
  if (candidates.length === 1 && only !== undefined) {
    writer.long(only)
    const step = steps[only] as Step
    step(writer)
    return
  }
  const fitting = candidates.filter((at) => fits(writer, steps[at] as Step))
  const [index] = fitting
  if (index === undefined) throw writer.wrong(`one of the branches ${branches.map(branchNameOf).join(', ')}`)
  if (fitting.length > 1)
    throw ambiguous(
      writer,
      fitting.map((at) => branchNameOf(branches[at] as AvroType)),
    )
  writer.position = start
  writer.long(index)
  const step = steps[index] as Step
  step(writer)
}

function ambiguous(writer: AvroWriter, names: readonly string[]): AvroMisfit {
  const start = writer.skipValue()
  const isShort = writer.position - start <= EXAMPLE_BYTES_MAX
  const value = isShort ? writer.bytes.toString('utf8', start, writer.position) : '…'
  const example = `{${JSON.stringify(names[0])}: ${value}}`
  return new AvroMisfit(`must be tagged, such as ${example}: untagged it fits several branches, ${names.join(', ')}`)
}

const EXAMPLE_BYTES_MAX = 60

/** Leaves everything as it was. */
function fits(writer: AvroWriter, step: Step): boolean {
  const { position, depth, output } = writer
  const written = output.position
  try {
    writer.tries()
    step(writer)
    return true
  } catch (error) {
    if (error instanceof AvroMisfit) return false
    throw error
  } finally {
    writer.position = position
    writer.depth = depth
    output.position = written
  }
}

/** By the first byte of a JSON value. */
function mayBe({ kind }: AvroType, first: number): boolean {
  switch (kind) {
    case 'null':
      return first === LETTER_N
    case 'boolean':
      return first === LETTER_T || first === LETTER_F
    case 'int':
    case 'long':
      return first === MINUS || (first >= ZERO && first <= ZERO + 9)
    case 'float':
    case 'double':
      return first === MINUS || (first >= ZERO && first <= ZERO + 9) || first === QUOTE
    case 'array':
      return first === OPEN_BRACKET
    case 'map':
    case 'record':
      return first === OPEN_BRACE
    case 'union':
      return true
    default:
      return first === QUOTE
  }
}

function deeper(step: Step): Step {
  return (writer) => {
    if (++writer.depth > AVRO_DATA_DEPTH_MAX) {
      throw new AvroMisfit(`the value is nested deeper than ${AVRO_DATA_DEPTH_MAX} levels`)
    }
    step(writer)
    writer.depth--
  }
}

function encodeString(writer: AvroWriter): void {
  const { bytes, position, output } = writer
  const end = writer.first() === QUOTE ? skipPlainString(bytes, position, writer.end) : 0
  if (end > 0) {
    const start = position + 1
    const length = end - 1 - start
    writer.long(length)
    output.reserve(length)
    if (length > SHORT_BYTES_MAX) bytes.copy(output.bytes, output.position, start, end - 1)
    else for (let at = 0; at < length; at++) output.bytes[output.position + at] = bytes[start + at] as number
    output.position += length
    writer.position = end
    return
  }
  const text = writer.stringBytes()
  writer.long(text.length)
  output.writeBytes(text)
}

/** Up to here a loop copies faster than the engine. */
const SHORT_BYTES_MAX = 64

function encodeBoolean(writer: AvroWriter): void {
  const first = writer.first()
  if (first !== LETTER_T && first !== LETTER_F) throw writer.wrong('true or false')
  writer.skipValue()
  writer.output.writeByte(first === LETTER_T ? 1 : 0)
}

/** What an integer stands for, where its logical type says so. */
function unitOf({ properties }: AvroPrimitive): string {
  const logicalType = properties.get('logicalType')
  const unit = logicalType?.kind === 'string' ? UNITS.get(logicalType.value) : undefined
  return unit === undefined ? '' : ` (${unit})`
}

const UNITS: ReadonlyMap<string, string> = new Map([
  ['date', 'days since 1970'],
  ['time-millis', 'milliseconds of the day'],
  ['time-micros', 'microseconds of the day'],
  ['timestamp-millis', 'milliseconds since 1970'],
  ['timestamp-micros', 'microseconds since 1970'],
  ['timestamp-nanos', 'nanoseconds since 1970'],
  ['local-timestamp-millis', 'milliseconds since 1970'],
  ['local-timestamp-micros', 'microseconds since 1970'],
  ['local-timestamp-nanos', 'nanoseconds since 1970'],
])

function integerStep(bits: bigint, wanted: string): Step {
  const end = 2n ** bits
  const inRange = `${wanted} from ${-end} to ${end - 1n}`
  return (writer) => encodeInteger(writer, bits, wanted, inRange)
}

function encodeInteger(writer: AvroWriter, bits: bigint, wanted: string, inRange: string): void {
  const { bytes, position: start } = writer
  let position = start
  const isNegative = bytes[position] === MINUS
  if (isNegative) position++
  const digitsStart = position
  let value = 0
  for (let digit = digitAt(bytes, position); digit >= 0 && position < writer.end; digit = digitAt(bytes, position)) {
    value = value * 10 + digit
    position++
  }
  const digits = position - digitsStart
  const isWhole = digits > 0 && !isNumberByte(bytes[position])
  if (isWhole && digits <= EXACT_DIGITS && (bits > 31n || value <= (isNegative ? 0x80000000 : 0x7fffffff))) {
    writer.position = position
    writer.long(isNegative ? -value : value)
    return
  }
  const big = isWhole && digits <= LONG_DIGITS ? BigInt(bytes.toString('latin1', start, position)) : 2n ** 64n
  if (bits > 31n && big < 2n ** bits && big >= -(2n ** bits)) {
    writer.position = position
    writer.bigLong(big)
    return
  }
  throw writer.wrong(isWhole ? inRange : wanted)
}

/** So many digits are exact in a number, and every long has at most so many. */
const EXACT_DIGITS = 15
const LONG_DIGITS = 19

const POWERS_OF_TEN = Array.from({ length: EXACT_DIGITS + 1 }, (_, power) => 10 ** power)

function digitAt(bytes: Buffer, position: number): number {
  const digit = (bytes[position] as number) - ZERO
  return digit >= 0 && digit <= 9 ? digit : -1
}

/** What makes a number none that is whole. */
function isNumberByte(byte: number | undefined): boolean {
  return byte === DOT || byte === LETTER_E || byte === CAPITAL_E
}

const INT: AvroType = { kind: 'int', properties: new Map() }
const NOT_FINITE: ReadonlySet<string> = new Set(['NaN', 'Infinity', '-Infinity'])

function encodeFloat(writer: AvroWriter, kind: 'float' | 'double'): void {
  const number = plainDecimal(writer) ?? anyNumber(writer)
  const { output } = writer
  output.reserve(8)
  if (kind === 'float') output.position = output.bytes.writeFloatLE(number, output.position)
  else output.position = output.bytes.writeDoubleLE(number, output.position)
}

/**
 * Goes past a number of few digits without an exponent: those digits are exact in a double, as is the power of ten that
 * they are divided by, so that the quotient is the double nearest to the number. undefined: the text is something else.
 */
function plainDecimal(writer: AvroWriter): number | undefined {
  const { bytes, position: start, end } = writer
  const isNegative = bytes[start] === MINUS
  let position = isNegative ? start + 1 : start
  let digits = 0
  let fractionDigits = -1
  let value = 0
  for (; position < end; position++) {
    const digit = digitAt(bytes, position)
    if (digit >= 0) {
      value = value * 10 + digit
      digits++
      if (fractionDigits >= 0) fractionDigits++
    } else if (bytes[position] === DOT && fractionDigits < 0) fractionDigits = 0
    else break
  }
  if (digits === 0 || digits > EXACT_DIGITS || isNumberByte(bytes[position])) return undefined
  writer.position = position
  if (fractionDigits > 0) value /= POWERS_OF_TEN[fractionDigits] as number
  return isNegative ? -value : value
}

function anyNumber(writer: AvroWriter): number {
  const start = writer.position
  const isText = writer.first() === QUOTE
  if (!isText && !mayBe(INT, writer.first())) throw writer.wrong('a number')
  writer.skipValue()
  const quotes = isText ? 1 : 0
  const text = writer.bytes.toString('latin1', start + quotes, writer.position - quotes)
  if (!isText || NOT_FINITE.has(text)) return Number(text)
  writer.position = start
  throw writer.wrong('a number, "NaN", "Infinity" or "-Infinity"')
}

/** A byte for each character, which is one of the first 256. */
function latinBytes(writer: AvroWriter): Buffer {
  const at = writer.position
  const text = writer.stringBytes().toString()
  for (let place = 0; place < text.length; place++) {
    if (text.charCodeAt(place) <= 0xff) continue
    writer.position = at
    throw writer.wrong('a string of characters up to \\u00ff, one for each byte')
  }
  return Buffer.from(text, 'latin1')
}

function encodeEnum(name: string, symbols: readonly string[]): Step {
  const places = new Map(symbols.map((symbol, at) => [symbol, at]))
  const more = symbols.length > SYMBOLS_SHOWN_MAX ? ', …' : ''
  const wanted = `one of the symbols of ${name}: ${symbols.slice(0, SYMBOLS_SHOWN_MAX).join(', ')}${more}`
  return (writer) => {
    const at = writer.position
    if (writer.first() !== QUOTE) throw writer.wrong(wanted)
    const place = places.get(writer.stringBytes().toString())
    if (place !== undefined) return writer.long(place)
    writer.position = at
    throw writer.wrong(wanted)
  }
}

const SYMBOLS_SHOWN_MAX = 50

/** Of a schema's default, whose unions are not tagged: of the first branch that it fits. */
function defaultBytes(type: AvroType, value: JsonNode): Buffer {
  const output = new ByteWriter(64)
  const text = Buffer.from(printJsonTree(taggedDefault(type, value)))
  new AvroEncoder(type).encode(text, 0, text.length, output)
  return Buffer.from(output.written())
}

function taggedDefault(type: AvroType, value: JsonNode): JsonNode {
  switch (type.kind) {
    case 'union': {
      const branch = type.branches.find((one) => isDefaultOf(one, value))
      if (branch === undefined) throw new AvroMisfit('a default of the schema fits no branch of its union')
      if (branch.kind === 'null') return value
      return { kind: 'object', members: new Map([[branchNameOf(branch), taggedDefault(branch, value)]]) }
    }
    case 'array':
      if (value.kind !== 'array') return value
      return { kind: 'array', items: value.items.map((item) => taggedDefault(type.items, item)) }
    case 'map':
      if (value.kind !== 'object') return value
      return {
        kind: 'object',
        members: new Map([...value.members].map(([name, one]) => [name, taggedDefault(type.values, one)])),
      }
    case 'record': {
      if (value.kind !== 'object') return value
      const typeOf = new Map(type.fields.map((field) => [field.name, field.type]))
      const members = [...value.members].map(([name, one]) => {
        const fieldType = typeOf.get(name)
        return [name, fieldType === undefined ? one : taggedDefault(fieldType, one)] as const
      })
      return { kind: 'object', members: new Map(members) }
    }
    default:
      return value
  }
}
