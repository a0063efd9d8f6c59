// A condition on records in CEL, the Common Expression Language: `value.total > 100 && headers.type == "paid"`. It is read
// once and evaluated for each record. A client sends it and nothing interrupts it, so what it may cost is bounded
// (expression-values.ts counts it). What it names of the record is decoded once, what it does not name not at all.
//
//   topic string   partition offset size int   timestamp timestamp   key string, else bytes, or null
//   headers        map: a name's last value, as a key
//   value          what its JSON says, else string, else bytes, or null
//
// A key or value that is framed with the id of a schema is what that says of it (framed-values.ts).
//
// CEL as specified, with its standard functions and macros and those of strings, but: doubles and ints may be calculated
// with each other, patterns of matches() are in quotes, and there are no map literals, type(), uint() or time zones. A
// JSON number is a double, as CEL has it: whole ones beyond 2^53 are rounded.

import { isUtf8 } from 'node:buffer'
import type { ASTNode, ParseResult } from '@marcbachmann/cel-js'
import { Environment } from '@marcbachmann/cel-js'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import {
  EXPRESSION_CHARS_MAX,
  EXPRESSION_DEPTH_MAX,
  EXPRESSION_NODES_MAX,
  EXPRESSION_VALUE_BYTES_MAX,
} from '../../kernel/limits.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { Evaluate, Scope } from './expression-compiler.ts'
import { ExpressionCompiler, UnknownWord } from './expression-compiler.ts'
import type { Value } from './expression-values.ts'
import { asBoolean, ExpressionFault, STEPS_PER_MS, Steps, TOO_LARGE } from './expression-values.ts'
import type { FramedValues } from './framed-values.ts'
import { TextSearch } from './text-search.ts'

const TYPES = {
  topic: 'string',
  partition: 'int',
  offset: 'int',
  timestamp: 'google.protobuf.Timestamp',
  key: 'dyn',
  value: 'dyn',
  headers: 'map<string, dyn>',
  size: 'int',
} as const

type Variable = keyof typeof TYPES

const ENVIRONMENT = describeRecords()

function describeRecords(): Environment {
  const environment = new Environment({
    limits: {
      maxAstNodes: EXPRESSION_NODES_MAX,
      maxDepth: EXPRESSION_DEPTH_MAX,
      maxListElements: EXPRESSION_NODES_MAX,
      maxMapEntries: 0,
      maxCallArguments: 3,
    },
  })
  for (const [name, type] of Object.entries(TYPES)) environment.registerVariable(name, type)
  // for the types alone: the compiler has its own operators and functions
  for (const operator of ['+', '-', '*', '/', '%']) {
    environment.registerOperator(`int ${operator} double: double`, Number)
    environment.registerOperator(`double ${operator} int: double`, Number)
  }
  environment.registerOperator('double % double: double', Number)
  environment.registerOperator('int == double: bool', Boolean)
  return environment
}

/** Each expression has its own: the library keeps every name that it has met, unless functions are registered anew. */
function newEnvironment(): Environment {
  return ENVIRONMENT.clone().registerFunction('int(google.protobuf.Timestamp): int', BigInt)
}

/** Of keys and values that are framed; without one they are bytes like others. */
export type FramedReader = Pick<FramedValues, 'read' | 'steps'>

export class RecordExpression {
  readonly text: string
  readonly #evaluate: Evaluate
  readonly #scope: Scope = { steps: new Steps(), bound: [], searchedMs: 0 }
  readonly #framed: FramedReader | undefined
  #record: RecordReader | undefined
  #topic = ''
  #partition = 0
  /** A fault: it cannot be decoded, and is not tried again each time that it is named. */
  #key: Value | ExpressionFault | undefined
  #value: Value | ExpressionFault | undefined
  #headers: Value | undefined
  #decodingSteps = 0

  /** invalid_filter, with the place. */
  constructor(text: string, framed?: FramedReader) {
    this.text = text
    this.#framed = framed
    this.#evaluate = compile(text, {
      topic: () => this.#topic,
      partition: () => BigInt(this.#partition),
      offset: () => BigInt(this.#present.offset),
      timestamp: () => new Date(this.#present.timestamp),
      key: () => {
        if (this.#key === undefined) this.#key = this.#keyOf(this.#present)
        return withoutFault(this.#key)
      },
      value: () => {
        if (this.#value === undefined) this.#value = this.#valueOf(this.#present)
        return withoutFault(this.#value)
      },
      headers: () => (this.#headers ??= this.#headersOf(this.#present)),
      size: () => BigInt(sizeOf(this.#present)),
    })
  }

  /** What the last evaluation took. */
  get steps(): number {
    const { steps, searchedMs } = this.#scope
    return Math.round(steps.spent + this.#decodingSteps + searchedMs * STEPS_PER_MS)
  }

  /** The reader stands on the record. ExpressionFault where there is no result; throws corrupt_message. */
  evaluate(record: RecordReader, topic: string, partition: number): boolean | ExpressionFault {
    this.#record = record
    this.#topic = topic
    this.#partition = partition
    this.#decodingSteps = 0
    this.#scope.searchedMs = 0
    this.#scope.steps.begin()
    try {
      return asBoolean(this.#evaluate(this.#scope))
    } catch (error) {
      if (error instanceof ExpressionFault) return error
      throw error
    } finally {
      this.#record = undefined
      this.#key = undefined
      this.#value = undefined
      this.#headers = undefined
    }
  }

  get #present(): RecordReader {
    return this.#record as RecordReader
  }

  #keyOf({ bytes, keyStart, keyEnd }: RecordReader): Value | ExpressionFault {
    if (keyStart < 0) return null
    const framed = this.#framedOf(bytes, keyStart, keyEnd)
    return framed === undefined ? this.#textOf(bytes.subarray(keyStart, keyEnd)) : framed
  }

  #valueOf({ bytes, valueStart, valueEnd }: RecordReader): Value | ExpressionFault {
    if (valueStart < 0) return null
    const framed = this.#framedOf(bytes, valueStart, valueEnd)
    if (framed !== undefined) return framed
    const value = this.#textOf(bytes.subarray(valueStart, valueEnd))
    return typeof value === 'string' ? fromJson(value) : value
  }

  /** undefined: it is in no frame. */
  #framedOf(bytes: Buffer, start: number, end: number): Value | ExpressionFault | undefined {
    if (this.#framed === undefined) return undefined
    const found = this.#framed.read(bytes, start, end)
    this.#decodingSteps += this.#framed.steps
    return found
  }

  #headersOf(record: RecordReader): Value {
    const headers: Record<string, Value> = Object.create(null)
    for (const { name, value } of record.headers()) headers[name] = value === null ? null : this.#textOf(value)
    return headers
  }

  #textOf(bytes: Uint8Array): string | Uint8Array {
    if (bytes.length > EXPRESSION_VALUE_BYTES_MAX) throw TOO_LARGE
    this.#decodingSteps += 10 + (bytes.length >>> 2)
    if (!isUtf8(bytes)) return bytes
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
  }
}

function sizeOf({ keyStart, keyEnd, valueStart, valueEnd }: RecordReader): number {
  return (keyStart < 0 ? 0 : keyEnd - keyStart) + (valueStart < 0 ? 0 : valueEnd - valueStart)
}

function withoutFault(found: Value | ExpressionFault): Value {
  if (found instanceof ExpressionFault) throw found
  return found
}

function fromJson(text: string): Value {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function compile(text: string, variables: Readonly<Record<Variable, Evaluate>>): Evaluate {
  if (text.length > EXPRESSION_CHARS_MAX) {
    throw refused(`it has ${text.length} characters, ${EXPRESSION_CHARS_MAX} are allowed`)
  }
  const parsed = parse(text)
  // first, for its words are ours; and it knows fewer of them than the library
  const evaluate = compileTree(parsed.ast, variables)
  const { valid, type, error } = parsed.check()
  if (!valid) throw refusedByLibrary(error)
  if (parsed.ast.op === 'id' && type === 'dyn') {
    throw refused(`${text.trim()} alone is no condition: write one, such as value.total > 100`, parsed.ast.start)
  }
  if (type === 'bool' || type === 'dyn') return evaluate
  throw refused(
    `its result is ${type}, and a filter's is bool: write a condition, such as value.total > 100`,
    parsed.ast.start,
  )
}

function parse(text: string): ParseResult {
  try {
    return newEnvironment().parse(text)
  } catch (error) {
    throw refusedByLibrary(error, text)
  }
}

/** Of other languages, by what CEL has for them. */
const SPELLINGS: ReadonlyMap<string, string> = new Map([
  ['and', '&&'],
  ['or', '||'],
  ['not', '!'],
  ['is', '=='],
  ['=', '=='],
  ['===', '=='],
  ['!==', '!='],
  ['<>', '!='],
  ['&', '&&'],
  ['|', '||'],
])

/** What was meant by the word or sign that the library stopped in or behind. */
function spellingHint(text: string, position: number): string {
  const found = [...text.matchAll(/[A-Za-z_]+|[=!<>&|]+/g)]
  for (const at of [position, position - 1, position - 2]) {
    const word = found.find(({ index, 0: letters }) => index <= at && at < index + letters.length)?.[0]
    const meant = SPELLINGS.get(word?.toLowerCase() ?? '')
    if (meant !== undefined) return `; CEL writes ${word} as ${meant}`
  }
  return ''
}

function compileTree(tree: ASTNode, variables: Readonly<Record<Variable, Evaluate>>): Evaluate {
  try {
    return new ExpressionCompiler({ variables, compilePattern: compileSearch }).compile(tree)
  } catch (error) {
    throw error instanceof UnknownWord ? refused(error.message, error.node.start) : error
  }
}

function compileSearch(pattern: string): TextSearch {
  try {
    return new TextSearch(pattern)
  } catch (error) {
    throw refused(`${asTailraceError(error).message}`, undefined, error)
  }
}

function refusedByLibrary(error: unknown, text?: string): TailraceError {
  const { summary, range } = error as { readonly summary?: string; readonly range?: { readonly start: number } }
  // without its words: nested further than the stack is deep, or a type that may be any, as that of []
  const hint = text === undefined || range === undefined ? '' : spellingHint(text, range.start)
  return refused(`${summary ?? 'its types cannot be told'}${hint}`, range?.start, error)
}

function refused(fault: string, position?: number, cause?: unknown): TailraceError {
  const where = position === undefined ? '' : ` at character ${position + 1}`
  return new TailraceError(
    'invalid_filter',
    `the filter is not taken${where}: ${fault}`,
    position === undefined ? {} : { position },
    { cause },
  )
}
