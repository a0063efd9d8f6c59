// Avro's bytes as Avro's JSON, written straight into the output: no value is made in between, so that every digit of a long
// stays, and nothing is kept of what a hostile length promises. Compiled once for a schema. Unions are tagged, as the
// specification and Confluent's clients have it, or plain.

import { isUtf8 } from 'node:buffer'
import type { ByteWriter, Piece } from '../kernel/byte-writer.ts'
import { makePiece } from '../kernel/byte-writer.ts'
import {
  AVRO_DATA_DEPTH_MAX,
  AVRO_EMPTY_ITEMS_MAX,
  AVRO_JSON_BYTES_MAX,
  AVRO_LONG_NAME_BYTES,
} from '../kernel/limits.ts'
import type { AvroRecord, AvroType } from '../registry/avro/avro-type.ts'
import { branchNameOf } from '../registry/avro/avro-type.ts'
import type { AvroStep } from './avro-steps.ts'
import { AvroCompiler } from './avro-steps.ts'
import { floatText } from './encoding.ts'
import { writeJsonString } from './json-string.ts'
import { SchemaDataError } from './schema-data-error.ts'

export type AvroUnions = 'tagged' | 'plain'

type Step = AvroStep<AvroReader>

export class AvroDecoder {
  readonly #root: Step
  readonly #reader = new AvroReader()

  constructor(root: AvroType, unions: AvroUnions) {
    this.#root = new DecoderCompiler(unions).compile(root)
  }

  /** Writes the value in [start, end) as JSON. SchemaDataError: it is not of the schema; part of it may be written then. */
  decode(bytes: Buffer, start: number, end: number, output: ByteWriter): void {
    const reader = this.#reader
    reader.begin(bytes, start, end, output)
    try {
      this.#root(reader)
      if (reader.position !== end) throw new SchemaDataError(`${end - reader.position} bytes follow the value`)
    } finally {
      reader.begin(NOTHING, 0, 0, output)
    }
  }
}

const NOTHING = Buffer.alloc(0)
const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const MINUS = 0x2d
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

class AvroReader {
  bytes: Buffer = NOTHING
  position = 0
  end = 0
  output!: ByteWriter
  depth = 0
  /** Items without any bytes: how many there are nobody could else bound. */
  emptyItems = 0
  /** Where what is written began. */
  began = 0

  /** Something without any bytes. */
  empty(count: number): void {
    this.emptyItems += count
    if (this.emptyItems > AVRO_EMPTY_ITEMS_MAX)
      throw new SchemaDataError(`there are more than ${AVRO_EMPTY_ITEMS_MAX} items without any bytes`)
  }

  /** Names and symbols are as long as the schema has them. */
  bound(): void {
    if (this.output.position - this.began > AVRO_JSON_BYTES_MAX)
      throw new SchemaDataError(`as JSON it has more than ${AVRO_JSON_BYTES_MAX} bytes`)
  }

  begin(bytes: Buffer, start: number, end: number, output: ByteWriter): void {
    this.bytes = bytes
    this.position = start
    this.end = end
    this.output = output
    this.depth = 0
    this.emptyItems = 0
    this.began = output.position
  }

  byte(): number {
    if (this.position >= this.end) throw cut()
    return this.bytes[this.position++] as number
  }

  /** Where the next `count` bytes begin. */
  skip(count: number): number {
    const start = this.position
    if (count > this.end - start) throw cut()
    this.position = start + count
    return start
  }

  /** A length, an index, or an int: within the safe integers. */
  whole(): number {
    const { bytes, end } = this
    let position = this.position
    let scale = 1
    let value = 0
    for (let count = 0; count < 7; count++) {
      if (position >= end) throw cut()
      const byte = bytes[position++] as number
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        this.position = position
        return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      }
      scale *= 128
    }
    const long = this.long()
    if (long > Number.MAX_SAFE_INTEGER || long < Number.MIN_SAFE_INTEGER)
      throw new SchemaDataError(`${long} is too large here`)
    return Number(long)
  }

  long(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n))
    }
    throw new SchemaDataError('a number is longer than ten bytes')
  }

  length(): number {
    const length = this.whole()
    if (length < 0) throw new SchemaDataError(`a length of ${length} is none`)
    return length
  }

  /** Whether the number that comes next has more than seven bytes. */
  isLong(): boolean {
    const { bytes, position, end } = this
    for (let at = position; at < position + 7 && at < end; at++) if ((bytes[at] as number) < 0x80) return false
    return true
  }
}

class DecoderCompiler extends AvroCompiler<AvroReader> {
  readonly #unions: AvroUnions

  constructor(unions: AvroUnions) {
    super()
    this.#unions = unions
  }

  protected compileNew(type: AvroType): Step {
    switch (type.kind) {
      case 'null':
        return ({ output }) => output.writeText('null')
      case 'boolean':
        return decodeBoolean
      case 'int':
        return decodeInt
      case 'long':
        return decodeLong
      case 'float':
        return (reader) => writeNumber(reader.output, reader.bytes.readFloatLE(reader.skip(4)), true)
      case 'double':
        return (reader) => writeNumber(reader.output, reader.bytes.readDoubleLE(reader.skip(8)), false)
      case 'string':
        return decodeString
      case 'bytes':
        return (reader) => decodeBytes(reader, reader.length())
      case 'fixed':
        return (reader) => decodeBytes(reader, type.size)
      case 'enum':
        return decodeEnum(type.symbols)
      case 'array':
        return this.#array(this.compile(type.items))
      case 'map':
        return this.#map(this.compile(type.values))
      case 'union':
        return this.#union(type.branches)
      case 'record':
        return this.#record(type)
    }
  }

  #record({ fields }: AvroRecord): Step {
    if (fields.length === 0) return ({ output }) => output.writeText('{}')
    const steps = fields.map(({ type }) => this.compile(type))
    const names = fields.map(({ name }, at) => piece(`${at === 0 ? '{' : ','}${JSON.stringify(name)}:`))
    return deeper((reader) => {
      const before = reader.position
      for (let at = 0; at < steps.length; at++) {
        reader.output.writePiece(names[at] as Piece)
        const step = steps[at] as Step
        step(reader)
      }
      reader.output.writeByte(CLOSE_BRACE)
      if (reader.position === before) reader.empty(steps.length)
      reader.bound()
    })
  }

  #union(branches: readonly AvroType[]): Step {
    const steps = branches.map((branch) => this.compile(branch))
    const tags = branches.map((branch) => {
      const isBare = branch.kind === 'null' || this.#unions === 'plain'
      return isBare ? undefined : piece(`{${JSON.stringify(branchNameOf(branch))}:`)
    })
    return deeper((reader) => {
      const index = reader.whole()
      const step = steps[index]
      if (step === undefined)
        throw new SchemaDataError(`a union of ${steps.length} branches has none with the index ${index}`)
      const tag = tags[index]
      if (tag !== undefined) writeName(reader, tag)
      step(reader)
      if (tag !== undefined) reader.output.writeByte(CLOSE_BRACE)
    })
  }

  #array(item: Step): Step {
    return deeper((reader) => {
      let isFirst = true
      reader.output.writeByte(OPEN_BRACKET)
      decodeBlocks(reader, () => {
        if (!isFirst) reader.output.writeByte(COMMA)
        isFirst = false
        item(reader)
      })
      reader.output.writeByte(CLOSE_BRACKET)
    })
  }

  #map(value: Step): Step {
    return deeper((reader) => {
      let isFirst = true
      reader.output.writeByte(OPEN_BRACE)
      decodeBlocks(reader, () => {
        if (!isFirst) reader.output.writeByte(COMMA)
        isFirst = false
        decodeString(reader)
        reader.output.writeByte(COLON)
        value(reader)
      })
      reader.output.writeByte(CLOSE_BRACE)
    })
  }
}

/** Items in blocks: a negative count has the block's size in bytes behind it. */
function decodeBlocks(reader: AvroReader, item: () => void): void {
  for (let count = reader.whole(); count !== 0; count = reader.whole()) {
    if (count < 0) {
      count = -count
      reader.whole()
    }
    for (let left = count; left > 0; left--) {
      const before = reader.position
      item()
      reader.bound()
      if (reader.position > before) continue
      reader.empty(1)
    }
  }
}

function deeper(step: Step): Step {
  return (reader) => {
    if (++reader.depth > AVRO_DATA_DEPTH_MAX) {
      throw new SchemaDataError(`the value is nested deeper than ${AVRO_DATA_DEPTH_MAX} levels`)
    }
    step(reader)
    reader.depth--
  }
}

function decodeBoolean(reader: AvroReader): void {
  const byte = reader.byte()
  if (byte > 1) throw new SchemaDataError(`${byte} is neither true nor false`)
  reader.output.writeText(byte === 1 ? 'true' : 'false')
}

function decodeInt(reader: AvroReader): void {
  const value = reader.whole()
  if (value > 0x7fffffff || value < -0x80000000) throw new SchemaDataError(`${value} is no int`)
  writeInteger(reader.output, value)
}

function decodeLong(reader: AvroReader): void {
  if (reader.isLong()) reader.output.writeText(String(reader.long()))
  else writeInteger(reader.output, reader.whole())
}

function decodeString(reader: AvroReader): void {
  const length = reader.length()
  const start = reader.skip(length)
  const bits = writeJsonString(reader.output, reader.bytes, start, start + length)
  if (bits >= 0x80 && !isUtf8(reader.bytes.subarray(start, start + length))) {
    throw new SchemaDataError('a string is not UTF-8')
  }
}

/** Each byte as the character of its number. */
function decodeBytes(reader: AvroReader, length: number): void {
  const start = reader.skip(length)
  const { bytes, output } = reader
  output.writeByte(QUOTE)
  for (let at = start; at < start + length; at++) {
    const byte = bytes[at] as number
    if (byte >= 0x80) {
      output.writeByte(0xc0 | (byte >> 6))
      output.writeByte(0x80 | (byte & 0x3f))
    } else if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) output.writeByte(byte)
    else output.writeText(JSON.stringify(String.fromCharCode(byte)).slice(1, -1))
  }
  output.writeByte(QUOTE)
}

function decodeEnum(symbols: readonly string[]): Step {
  const pieces = symbols.map((symbol) => piece(JSON.stringify(symbol)))
  return (reader) => {
    const index = reader.whole()
    const found = pieces[index]
    if (found === undefined)
      throw new SchemaDataError(`an enum of ${pieces.length} symbols has none with the index ${index}`)
    writeName(reader, found)
  }
}

/** A symbol or a branch's name: as long as the schema has it, and there as often as the value says. */
function writeName(reader: AvroReader, name: Piece): void {
  if (name.length > AVRO_LONG_NAME_BYTES) reader.bound()
  reader.output.writePiece(name)
}

function writeInteger(output: ByteWriter, value: number): void {
  if (value < 0) output.writeByte(MINUS)
  output.writeWhole(Math.abs(value))
}

/** What JSON has no number for is a text, as in Java. */
function writeNumber(output: ByteWriter, value: number, isFloat: boolean): void {
  if (!Number.isFinite(value)) output.writeText(`"${value}"`)
  else if (Number.isSafeInteger(value) && value !== 0) writeInteger(output, value)
  else output.writeText(isFloat ? floatText(value) : Object.is(value, -0) ? '-0.0' : String(value))
}

function piece(text: string): Piece {
  return makePiece(Buffer.from(text))
}

function cut(): SchemaDataError {
  return new SchemaDataError('the value ends before its end')
}
