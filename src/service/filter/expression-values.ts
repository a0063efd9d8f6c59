// What an expression works with: values, the steps that every piece of work costs, and CEL's operators on values that may
// be of any type. Whoever wrote the expression and the record may mean harm, and what runs cannot be interrupted: so all
// that takes longer for a larger value is paid for in steps, before it is done.
//
// Where this departs from CEL: a JSON number is a double, and arithmetic of an int with a double gives a double; CEL
// knows no such operator, and `value.total + 1` would fail for every record.

import { EXPRESSION_STEPS_MAX, EXPRESSION_TEXT_CHARS_MAX } from '../../kernel/limits.ts'

/** int is bigint, double number, bytes Uint8Array, timestamp Date; list and map are those of JSON. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | Date
  | Duration
  | readonly Value[]
  | ValueMap

export interface ValueMap {
  readonly [name: string]: Value
}

export class Duration {
  readonly ms: number

  constructor(ms: number) {
    this.ms = ms
  }
}

/** Why an expression has no result. Made once each: to make an error for every record would cost more than the record. */
export class ExpressionFault extends Error {
  /** What passing over one costs. */
  static readonly steps = 200
}

export const NO_MEMBER = new ExpressionFault('a member or element is missing')
export const WRONG_TYPE = new ExpressionFault('a value is not of the type that the operation takes')
export const OUT_OF_RANGE = new ExpressionFault('a number, time or text is out of range')
export const TOO_LARGE = new ExpressionFault('the value is too large to be looked into')
/** The only one that nothing within the expression passes over. */
const OUT_OF_STEPS = new ExpressionFault('it takes more steps than one record may cost')

/** Where work is measured by its time: a step is some 20 ns. */
export const STEPS_PER_MS = 50_000

export class Steps {
  #left = 0

  begin(): void {
    this.#left = EXPRESSION_STEPS_MAX
  }

  get spent(): number {
    return EXPRESSION_STEPS_MAX - this.#left
  }

  spend(count: number): void {
    const left = this.#left - count
    this.#left = Math.max(0, left)
    if (left < 0) throw OUT_OF_STEPS
  }

  /** For work whose costs grow with `size`: a step for 16 of it, a character or a byte. */
  spendOn(size: number): void {
    this.spend(Math.floor(size / 16))
  }

  /** A fault that something else in the expression may make good; throws what is to go on. */
  passOver(fault: unknown): ExpressionFault {
    if (!(fault instanceof ExpressionFault) || fault === OUT_OF_STEPS) throw fault
    this.spend(ExpressionFault.steps)
    return fault
  }
}

const INT_MIN = -(2n ** 63n)
const INT_MAX = 2n ** 63n - 1n
const TIME_MS_MIN = Date.parse('0001-01-01T00:00:00Z')
const TIME_MS_MAX = Date.parse('9999-12-31T23:59:59.999Z')

export function checkedInt(value: bigint): bigint {
  if (value < INT_MIN || value > INT_MAX) throw OUT_OF_RANGE
  return value
}

export function checkedTime(ms: number): Date {
  if (!(ms >= TIME_MS_MIN && ms <= TIME_MS_MAX)) throw OUT_OF_RANGE
  return new Date(ms)
}

export function asBoolean(value: Value): boolean {
  if (typeof value !== 'boolean') throw WRONG_TYPE
  return value
}

export function asText(value: Value): string {
  if (typeof value !== 'string') throw WRONG_TYPE
  return value
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value)
}

export function isMap(value: Value): value is ValueMap {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return !(value instanceof Uint8Array || value instanceof Date || value instanceof Duration)
}

/** undefined where it has none. */
export function memberOf(value: Value, name: Value): Value | undefined {
  if (isMap(value)) return Object.hasOwn(value, asText(name)) ? value[name as string] : undefined
  if (!isList(value)) throw WRONG_TYPE
  return value[asIndex(name)]
}

/** As CEL: an int, or a double that is a whole number. */
export function asIndex(value: Value): number {
  const index = typeof value === 'bigint' ? Number(value) : value
  if (typeof index !== 'number' || !Number.isInteger(index)) throw WRONG_TYPE
  return index
}

export function areEqual(steps: Steps, left: Value, right: Value, depth = 0): boolean {
  steps.spend(1)
  if (typeof left === 'string') {
    if (typeof right !== 'string' || left.length !== right.length) return false
    steps.spend(left.length >>> 8)
    return left === right
  }
  if (left === right) return true
  // biome-ignore lint/suspicious/noDoubleEquals: of a bigint and a number this compares exactly
  if (isNumber(left)) return isNumber(right) && left == right
  if (typeof left !== 'object' || left === null || typeof right !== 'object' || right === null) return false
  return areSame(steps, left, right, depth)
}

/** Beyond it JSON is nested for harm: comparing calls itself. */
const DEPTH_MAX = 200

function areSame(steps: Steps, left: object & Value, right: object & Value, depth: number): boolean {
  if (depth === DEPTH_MAX) throw TOO_LARGE
  if (isList(left)) {
    if (!isList(right) || left.length !== right.length) return false
    return left.every((element, at) => areEqual(steps, element, right[at] as Value, depth + 1))
  }
  if (left instanceof Uint8Array) {
    steps.spendOn(left.length)
    return right instanceof Uint8Array && Buffer.compare(left, right) === 0
  }
  if (left instanceof Date) return right instanceof Date && left.getTime() === right.getTime()
  if (left instanceof Duration) return right instanceof Duration && left.ms === right.ms
  if (!isMap(right)) return false
  const names = namesOf(steps, left)
  if (names.length !== namesOf(steps, right).length) return false
  return names.every(
    (name) =>
      Object.hasOwn(right, name) && areEqual(steps, (left as ValueMap)[name] as Value, right[name] as Value, depth + 1),
  )
}

/** Telling the names takes time before their number is known: how long the value is bounds it. */
export function namesOf(steps: Steps, map: ValueMap): string[] {
  const names = Object.keys(map)
  steps.spend(names.length)
  return names
}

export function isIn(steps: Steps, element: Value, container: Value): boolean {
  if (isMap(container)) return typeof element === 'string' && Object.hasOwn(container, element)
  if (!isList(container)) throw WRONG_TYPE
  return container.some((one) => areEqual(steps, element, one))
}

/** Whether left is less, equal or more: below 0, 0, above 0; NaN where a double is none. Text by its UTF-16 units. */
export function order(steps: Steps, left: Value, right: Value): number {
  if (isNumber(left) && isNumber(right)) return signOf(left < right, left > right, left >= right)
  if (typeof left === 'string' && typeof right === 'string') {
    steps.spendOn(Math.min(left.length, right.length))
    return signOf(left < right, left > right, true)
  }
  if (left instanceof Date && right instanceof Date) return left.getTime() - right.getTime()
  if (left instanceof Duration && right instanceof Duration) return left.ms - right.ms
  if (typeof left === 'boolean' && typeof right === 'boolean') return Number(left) - Number(right)
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    steps.spendOn(Math.min(left.length, right.length))
    return Buffer.compare(left, right)
  }
  throw WRONG_TYPE
}

function signOf(isLess: boolean, isMore: boolean, isOrdered: boolean): number {
  if (isLess) return -1
  if (isMore) return 1
  return isOrdered ? 0 : Number.NaN
}

export function isNumber(value: Value): value is bigint | number {
  return typeof value === 'bigint' || typeof value === 'number'
}

export function add(steps: Steps, left: Value, right: Value): Value {
  if (isNumber(left) && isNumber(right)) return arithmetic('+', left, right)
  if (typeof left === 'string' && typeof right === 'string') {
    spendOnBoth(steps, left, right)
    return left + right
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    spendOnBoth(steps, left, right)
    return Buffer.concat([left, right])
  }
  if (isList(left) && isList(right)) {
    steps.spend(left.length + right.length)
    return [...left, ...right]
  }
  if (left instanceof Duration) {
    if (right instanceof Date) return checkedTime(right.getTime() + left.ms)
    if (right instanceof Duration) return new Duration(left.ms + right.ms)
  }
  if (left instanceof Date && right instanceof Duration) return checkedTime(left.getTime() + right.ms)
  throw WRONG_TYPE
}

function spendOnBoth(steps: Steps, left: string | Uint8Array, right: string | Uint8Array): void {
  const size = left.length + right.length
  if (size > EXPRESSION_TEXT_CHARS_MAX) throw TOO_LARGE
  steps.spendOn(size)
}

export function subtract(left: Value, right: Value): Value {
  if (left instanceof Date && right instanceof Date) return new Duration(left.getTime() - right.getTime())
  if (left instanceof Date && right instanceof Duration) return checkedTime(left.getTime() - right.ms)
  if (left instanceof Duration && right instanceof Duration) return new Duration(left.ms - right.ms)
  return arithmetic('-', left, right)
}

export type Arithmetic = '+' | '-' | '*' | '/' | '%'

export function arithmetic(operator: Arithmetic, left: Value, right: Value): Value {
  if (!isNumber(left) || !isNumber(right)) throw WRONG_TYPE
  if (typeof left === 'bigint' && typeof right === 'bigint') return arithmeticOfInts(operator, left, right)
  const one = Number(left)
  const other = Number(right)
  switch (operator) {
    case '+':
      return one + other
    case '-':
      return one - other
    case '*':
      return one * other
    case '/':
      return one / other
    case '%':
      return one % other
  }
}

function arithmeticOfInts(operator: Arithmetic, left: bigint, right: bigint): bigint {
  switch (operator) {
    case '+':
      return checkedInt(left + right)
    case '-':
      return checkedInt(left - right)
    case '*':
      return checkedInt(left * right)
    default:
      if (right === 0n) throw OUT_OF_RANGE
      return checkedInt(operator === '/' ? left / right : left % right)
  }
}

export function negate(value: Value): Value {
  if (typeof value === 'bigint') return checkedInt(-value)
  if (typeof value !== 'number') throw WRONG_TYPE
  return -value
}
