// The functions that an expression may call, CEL's own and those of its strings extension: by name, with how many
// arguments they take. A method's receiver is its first argument. `matches` is not among them: its pattern is compiled
// with the expression.

import type { Steps, Value, ValueMap } from './expression-values.ts'
import {
  asIndex,
  asText,
  checkedInt,
  checkedTime,
  Duration,
  isList,
  isMap,
  isNumber,
  namesOf,
  OUT_OF_RANGE,
  WRONG_TYPE,
} from './expression-values.ts'

export interface ExpressionFunction {
  /** With the receiver. */
  readonly argumentCounts: readonly number[]
  call(steps: Steps, first: Value, second: Value, third: Value): Value
}

function one(call: (steps: Steps, value: Value) => Value): ExpressionFunction {
  return { argumentCounts: [1], call }
}

/** Of a text, and what it costs to go through it. */
function ofText(call: (text: string) => Value): ExpressionFunction {
  return one((steps, value) => {
    const text = asText(value)
    steps.spendOn(text.length)
    return call(text)
  })
}

/** Of two texts, and what it costs at worst. */
function ofTwoTexts(
  costs: (text: string, other: string) => number,
  call: (text: string, other: string) => Value,
): ExpressionFunction {
  return {
    argumentCounts: [2],
    call(steps, first, second) {
      const text = asText(first)
      const other = asText(second)
      steps.spendOn(costs(text, other))
      return call(text, other)
    },
  }
}

function lengthOfOther(_text: string, other: string): number {
  return other.length
}

/** What is searched for may be periodic: with much of it, each place of the text costs more. */
function searching(text: string, wanted: string): number {
  return text.length * Math.max(1, Math.min(wanted.length, text.length) >>> 6)
}

/** What it takes beside the call to work with the calendar, or to read a time. */
const CALENDAR_STEPS = 5

/** Of a timestamp in UTC; of a duration in whole units, where CEL knows it for one. */
function ofTime(ofDate: (date: Date) => number, unitMs?: number): ExpressionFunction {
  return one((steps, value) => {
    steps.spend(CALENDAR_STEPS)
    if (value instanceof Date) return BigInt(ofDate(value))
    if (!(value instanceof Duration) || unitMs === undefined) throw WRONG_TYPE
    return BigInt(Math.trunc(value.ms / unitMs))
  })
}

export const FUNCTIONS: Readonly<Record<string, ExpressionFunction>> = {
  size: one(sizeOf),
  int: one(toInt),
  double: one(toDouble),
  string: one(toText),
  bool: one(toBoolean),
  bytes: one((steps, value) => {
    if (value instanceof Uint8Array) return value
    steps.spendOn(asText(value).length)
    return Buffer.from(asText(value))
  }),
  dyn: one((_steps, value) => value),
  timestamp: one(toTimestamp),
  duration: one((steps, value) => (value instanceof Duration ? value : parseDuration(steps, asText(value)))),
}

export const METHODS: Readonly<Record<string, ExpressionFunction>> = {
  size: one(sizeOf),
  startsWith: ofTwoTexts(lengthOfOther, (text, start) => text.startsWith(start)),
  endsWith: ofTwoTexts(lengthOfOther, (text, end) => text.endsWith(end)),
  contains: ofTwoTexts(searching, (text, wanted) => text.includes(wanted)),
  indexOf: ofTwoTexts(searching, (text, wanted) => BigInt(text.indexOf(wanted))),
  lowerAscii: ofText((text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())),
  upperAscii: ofText((text) => text.replace(/[a-z]+/g, (letters) => letters.toUpperCase())),
  trim: ofText((text) => text.trim()),
  substring: {
    argumentCounts: [2, 3],
    call(steps, first, from, to) {
      const text = asText(first)
      const start = asIndex(from)
      const end = to === undefined ? text.length : asIndex(to)
      if (start < 0 || end < start || end > text.length) throw OUT_OF_RANGE
      steps.spendOn(end - start)
      return text.substring(start, end)
    },
  },
  getFullYear: ofTime((date) => date.getUTCFullYear()),
  getMonth: ofTime((date) => date.getUTCMonth()),
  getDate: ofTime((date) => date.getUTCDate()),
  getDayOfMonth: ofTime((date) => date.getUTCDate() - 1),
  getDayOfWeek: ofTime((date) => date.getUTCDay()),
  getDayOfYear: ofTime((date) => Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000)),
  getHours: ofTime((date) => date.getUTCHours(), 3_600_000),
  getMinutes: ofTime((date) => date.getUTCMinutes(), 60_000),
  getSeconds: ofTime((date) => date.getUTCSeconds(), 1_000),
  getMilliseconds: ofTime((date) => date.getUTCMilliseconds(), 1),
}

/** Of a text the number of its code points. */
function sizeOf(steps: Steps, value: Value): bigint {
  if (typeof value === 'string') {
    steps.spendOn(value.length)
    return BigInt(codePointCount(value))
  }
  if (value instanceof Uint8Array || isList(value)) return BigInt(value.length)
  if (!isMap(value)) throw WRONG_TYPE
  return BigInt(namesOf(steps, value as ValueMap).length)
}

function codePointCount(text: string): number {
  let count = text.length
  for (let at = 1; at < text.length; at++) {
    const isLow = (text.charCodeAt(at) & 0xfc00) === 0xdc00
    if (isLow && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800) count--
  }
  return count
}

function toInt(_steps: Steps, value: Value): bigint {
  if (typeof value === 'bigint') return value
  if (value instanceof Date) return BigInt(Math.floor(value.getTime() / 1_000))
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw OUT_OF_RANGE
    return checkedInt(BigInt(Math.trunc(value)))
  }
  const text = asText(value)
  if (!/^-?\d{1,19}$/.test(text)) throw OUT_OF_RANGE
  return checkedInt(BigInt(text))
}

/** What fits in a double's text: longer ones are not looked at. */
const NUMBER_CHARS_MAX = 400

function toDouble(_steps: Steps, value: Value): number {
  if (isNumber(value)) return Number(value)
  const text = asText(value)
  if (text.length > NUMBER_CHARS_MAX || !/^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(text)) throw OUT_OF_RANGE
  return Number(text)
}

function toText(steps: Steps, value: Value): string {
  switch (typeof value) {
    case 'string':
      return value
    case 'boolean':
    case 'bigint':
    case 'number':
      return String(value)
    default:
      if (value instanceof Date) return value.toISOString()
      if (!(value instanceof Uint8Array)) throw WRONG_TYPE
      steps.spendOn(value.length)
      return Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8')
  }
}

function toBoolean(_steps: Steps, value: Value): boolean {
  if (typeof value === 'boolean') return value
  const text = asText(value)
  if (/^(?:1|t|true|TRUE|True)$/.test(text)) return true
  if (/^(?:0|f|false|FALSE|False)$/.test(text)) return false
  throw OUT_OF_RANGE
}

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[-+]\d\d:\d\d)$/

/** Of a text as RFC 3339 has it, of an int as seconds. */
function toTimestamp(steps: Steps, value: Value): Date {
  steps.spend(CALENDAR_STEPS)
  if (value instanceof Date) return value
  if (typeof value === 'bigint') return checkedTime(Number(value) * 1_000)
  const text = asText(value)
  if (!TIMESTAMP.test(text)) throw OUT_OF_RANGE
  return checkedTime(Date.parse(text))
}

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, ns: 1e-6 }

/** As Go writes it: `1h30m`, `-1.5s`, `300ms`. */
function parseDuration(steps: Steps, text: string): Duration {
  steps.spend(CALENDAR_STEPS * 2)
  if (!/^[-+]?(?:\d{1,15}(?:\.\d{0,9})?(?:h|ms|m|s|us|ns)){1,6}$/.test(text)) throw OUT_OF_RANGE
  let ms = 0
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d*)?)([a-z]+)/g)) {
    ms += Number(count) * (UNIT_MS[unit as string] as number)
  }
  return new Duration(text.startsWith('-') ? -ms : ms)
}
