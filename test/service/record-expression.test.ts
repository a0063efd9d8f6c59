// What expressions on records mean, what they refuse, and that none of them costs more than its share.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Environment } from '@marcbachmann/cel-js'
import type { KnownSchemas } from '../../src/codec/schema-codec.ts'
import { SchemaCodec } from '../../src/codec/schema-codec.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { EXPRESSION_STEPS_MAX, EXPRESSION_VALUE_BYTES_MAX } from '../../src/kernel/limits.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import type { StoredSchema } from '../../src/registry/schema-entity.ts'
import { SCHEMA_FORMATS } from '../../src/registry/schema-formats.ts'
import { ExpressionFault } from '../../src/service/filter/expression-values.ts'
import { FramedValues } from '../../src/service/filter/framed-values.ts'
import { RecordExpression } from '../../src/service/filter/record-expression.ts'
import { RecordFilter } from '../../src/service/filter/record-filter.ts'
import { Random } from '../support/random.ts'

interface Given {
  readonly key?: string | Uint8Array | null
  readonly value?: string | Uint8Array | null
  readonly headers?: readonly (readonly [string, string | Uint8Array | null])[]
}

const AT = Date.parse('2026-11-21T13:14:15.167Z')

/** Stands on the record, the 43rd of its partition. */
function readerOf({ key = 'c-17', value = null, headers = [] }: Given): RecordReader {
  const bytes = (part: string | Uint8Array | null) => (part === null ? null : Buffer.from(part))
  const keyBytes = bytes(key)
  const valueBytes = bytes(value)
  const { bytes: batch } = sealBatch(
    [
      {
        key: keyBytes ?? Buffer.alloc(0),
        keyStart: keyBytes === null ? -1 : 0,
        keyEnd: keyBytes?.length ?? -1,
        value: valueBytes ?? Buffer.alloc(0),
        valueStart: valueBytes === null ? -1 : 0,
        valueEnd: valueBytes?.length ?? -1,
        headers: headers.map(([name, text]) => ({ name, value: bytes(text) })),
        timestamp: AT,
      },
    ],
    { compression: 'none' },
  )
  batch.writeBigInt64BE(42n, 0)
  const reader = new RecordReader()
  reader.open(batch, 0)
  assert.ok(reader.next())
  return reader
}

const ORDER: Given = {
  value: JSON.stringify({
    id: 'o-1',
    total: 120.5,
    count: 3,
    ok: true,
    none: null,
    text: 'Grüße, World 🎉',
    items: [
      { sku: 'a', price: 10 },
      { sku: 'b', price: 100, tags: ['x', 'y'] },
    ],
    nested: { deep: { er: 1 } },
    'with-dash': 1,
    at: '2026-11-21T12:00:00Z',
  }),
  headers: [
    ['type', 'free'],
    ['type', 'paid'],
    ['empty', null],
    ['bin', Uint8Array.of(0xff, 0xfe)],
  ],
}

/** An expression, and what it is of ORDER: a fault where it has no result. */
const MEANS: readonly (readonly [string, boolean | 'fault'])[] = [
  ['true', true],
  ['value.ok', true],
  ['!value.ok', false],
  ['topic == "orders" && partition == 7 && offset == 42', true],
  ['topic in ["orders", "payments"]', true],
  ['key == "c-17"', true],
  ['key.startsWith("c-") && key.endsWith("17")', true],
  ['key != null', true],
  ['value.total > 100', true],
  ['value.total > 120.5', false],
  ['value.total >= 120.5 && value.total <= 121', true],
  ['value.count == 3', true],
  ['value.count == 3.0', true],
  ['value.count + 1 == 4', true],
  ['value.count % 2 == 1', true],
  ['value.count / 2 == 1.5', true],
  ['value.total * 2 == 241.0 && 2.0 * value.count == 6 && value.total * 2 == 241', true],
  ['value.count / 2 == 1', false],
  ['offset * 1.5 == 63.0 && offset == 42.0', true],
  ['7 / 2 == 3 && -7 % 3 == -1', true],
  ['-value.count < 0', true],
  ['value.count == "3"', false],
  ['value.none == null', true],
  ['value.missing == null', 'fault'],
  ['has(value.missing)', false],
  ['has(value.none)', true],
  ['has(value.nested.deep)', true],
  ['has(value.missing.deep)', 'fault'],
  ['has(value.total.deep) || has(value.none.deep)', false],
  ['has(value.missing) && value.missing.deep == 1', false],
  ['value.missing == 1 || value.ok', true],
  ['value.ok || value.missing == 1', true],
  ['value.missing == 1 && value.total < 0', false],
  ['value.missing == 1 && value.ok', 'fault'],
  ['value.ok ? value.count == 3 : value.missing', true],
  ['value.count ? true : false', 'fault'],
  ['value.total', 'fault'],
  ['value["with-dash"] == 1', true],
  ['value.items[1].price == 100', true],
  ['value.items[value.count - 2].sku == "b"', true],
  ['value.items[2].price == 1', 'fault'],
  ['value.items[-1].price == 1', 'fault'],
  ['size(value.items) == 2 && value.items.size() == 2', true],
  ['size(value.text) == 14', true],
  ['value.items.exists(i, i.price > 50)', true],
  ['value.items.all(i, i.price > 50)', false],
  ['value.items.exists_one(i, i.price > 50)', true],
  ['value.items.exists(i, i.tags[0] == "x")', true],
  ['value.items.all(i, i.tags[0] == "x")', 'fault'],
  ['value.items.filter(i, i.price > 50).map(i, i.sku) == ["b"]', true],
  ['value.items.map(i, i.price > 50, i.sku) == ["b"]', true],
  ['value.items.exists(i, has(i.tags) && i.tags.exists(t, t == "y" && i.sku == "b"))', true],
  ['value.nested.exists(name, name == "deep")', true],
  ['"x" in value.items[1].tags && !("z" in value.items[1].tags)', true],
  ['"total" in value', true],
  ['value.nested == value.nested && value.items != value.nested', true],
  ['value.text.contains("World") && value.text.indexOf("World") == 7', true],
  ['value.text.lowerAscii().contains("world")', true],
  ['value.text.matches("^Gr.*World")', true],
  ['value.text.matches("Grüße, .*🎉$")', true],
  ['value.id.matches("[0-9]+") && !value.id.matches("^[0-9]+$")', true],
  ['value.id.substring(2) == "1" && value.id.substring(0, 1) == "o"', true],
  ['value.id.substring(9) == ""', 'fault'],
  ['headers.type == "paid"', true],
  ['headers["type"] != "free" && "type" in headers', true],
  ['headers.empty == null && !has(headers.other)', true],
  ['headers.bin == b"\\xff\\xfe" && size(headers.bin) == 2', true],
  ['headers.bin + b"a" == b"\\xff\\xfea"', true],
  ['headers.other == "x"', 'fault'],
  ['timestamp > timestamp("2026-11-21T00:00:00Z") && timestamp < timestamp("2026-11-22T00:00:00+01:00")', true],
  ['timestamp - timestamp("2026-11-21T13:00:00Z") < duration("1h")', true],
  ['timestamp - timestamp(value.at) > duration("1h14m") && timestamp.getHours() == 13', true],
  ['timestamp == timestamp("2026-11-21T13:14:15.167Z") + duration("0s")', true],
  ['timestamp.getFullYear() == 2026 && timestamp.getMonth() == 10 && timestamp.getDayOfWeek() == 6', true],
  ['timestamp.getDayOfYear() == 324 && timestamp.getDate() == 21 && timestamp.getDayOfMonth() == 20', true],
  ['int(timestamp) == 1795266855', true],
  ['timestamp("yesterday") < timestamp', 'fault'],
  ['int("12") == 12 && int(12.9) == 12 && double("1.5") == 1.5 && string(12) == "12" && bool("true")', true],
  ['int("x") == 1', 'fault'],
  ['value.count / 0 > 1', true],
  ['offset / 0 == 1', 'fault'],
  ['9223372036854775807 + offset > 0', 'fault'],
  ['size > 200', true],
  ['"a" + string(partition) == "a7"', true],
  ['"a" < "b" && "a" < "aa" && false < true', true],
  ['value.text < 5', 'fault'],
  ['[1, 2] + [3] == [1, 2, 3]', true],
  ['value.__proto__ == null', 'fault'],
  ['value.constructor == null', 'fault'],
  ['headers.toString == null', 'fault'],
  ['dyn(value).total > 100 // and a remark', true],
]

/** What becomes of keys and values that are no text or no JSON. */
const OTHERS: readonly (readonly [Given, string])[] = [
  [{ key: null }, 'key == null && value == null && size == 0 && size(headers) == 0'],
  [{ key: '' }, 'key == "" && key != null'],
  [{ key: Uint8Array.of(0xff) }, 'key == b"\\xff"'],
  [{ value: 'no JSON' }, 'value == "no JSON" && value.startsWith("no")'],
  [{ value: '' }, 'value == ""'],
  [{ value: 'null' }, 'value == null'],
  [{ value: '"text"' }, 'value == "text"'],
  [{ value: '[1,2]' }, 'value[0] == 1 && value == [1, 2]'],
  [{ value: '5' }, 'value > 4 && value < 6'],
  [{ value: Uint8Array.of(0x22, 0xff, 0x22) }, 'size(value) == 3 && value == b"\\"\\xff\\""'],
  [{ value: '{"__proto__":{"a":1}}' }, 'value.__proto__.a == 1 && !has(value.a)'],
]

/** What is refused, with the character that the message names and what it says. */
const REFUSED: readonly (readonly [string, number | undefined, RegExp])[] = [
  ['', 0, /EOF/],
  ['value.a ==', 10, /EOF/],
  ['value.a = 1', 8, /CEL writes = as ==/],
  ['key === "a"', undefined, /CEL writes === as ==/],
  ['key <> "a"', undefined, /CEL writes <> as !=/],
  ['value.a == 1 and key == "a"', undefined, /CEL writes and as &&/],
  ['value.a OR value.b', undefined, /CEL writes OR as \|\|/],
  ['not value.ok', undefined, /CEL writes not as !/],
  ['value.a & value.b', undefined, /CEL writes & as &&/],
  ['timestamp > "2026-01-01"', 0, /write timestamp\("2026-11-21T02:00:00Z"\)/],
  ['"2026" <= timestamp', 0, /write timestamp\(/],
  ['value', 0, /value alone is no condition/],
  ['key', 0, /key alone is no condition/],
  ['key.startswith("a")', 0, /did you mean startsWith\(\)\?/],
  ['key.startsWith()', 0, /startsWith\(\) takes 1 argument$/],
  ['len(key) > 1', 0, /There are has, size, int, .*startsWith/],
  ['"open', 0, /Unterminated/],
  ['total > 100', 0, /'total' is not known; a record has topic, partition/],
  ['record.value > 1', 0, /'record' is not known/],
  ['offset + 1', 0, /result is int/],
  ['topic', 0, /result is string/],
  ['value.items.map(i, i.sku)', 0, /result is list/],
  ['partition == "1"', 0, /no such overload/],
  ['timestamp > 5', 0, /no such overload/],
  ['value.all(1, true)', undefined, /variable/],
  ['value.foo(1) == 2', 0, /foo\(\) is not available/],
  ['foo(1)', 0, /foo\(\) is not available/],
  ['value.split(",") == []', 0, /split\(\) is not available/],
  ['value == {"a": 1}', undefined, /maxMapEntries/],
  ['[].all(v, v <= 3.0)', undefined, /types cannot be told/],
  ['value == {}', 9, /'\{\}' is not available/],
  ['has(value)', 0, /has\(\) takes a member/],
  ['key.matches(value.pattern)', 0, /in quotes/],
  ['key.matches("(")', undefined, /RE2/],
  ['key.matches("[ä-ü]")', undefined, /neither \[ nor/],
  ['key.matches("(a{1000}){1000}")', undefined, /allowed/],
  [Array(5).fill('key.matches("a")').join(' || '), 80, /4 regular expressions/],
  ['type(value) == int', 0, /type\(\) is not available/],
  ['cel.bind(x, 1, x == 1)', 0, /bind\(\) is not available/],
  ['google.protobuf.Timestamp == value', 0, /'google' is not known/],
  [`true${' '.repeat(5_000)}`, undefined, /4096 are allowed/],
  [Array(300).fill('true').join(' && '), undefined, /maxAstNodes/],
  [`${'('.repeat(40)}true${')'.repeat(40)}`, undefined, /maxDepth/],
  [`${'!'.repeat(4_000)}true`, undefined, /maxAstNodes/],
]

function evaluate(expression: string, given: Given): boolean | 'fault' {
  const result = new RecordExpression(expression).evaluate(readerOf(given), 'orders', 7)
  return typeof result === 'boolean' ? result : 'fault'
}

describe('an expression on records', () => {
  for (const [expression, meaning] of MEANS) {
    it(`${expression} is ${meaning}`, () => assert.equal(evaluate(expression, ORDER), meaning))
  }

  for (const [given, expression] of OTHERS) {
    it(`${expression} holds`, () => assert.equal(evaluate(expression, given), true))
  }

  for (const [expression, position, message] of REFUSED) {
    it(`${expression.slice(0, 60)} is refused`, () => {
      assert.throws(
        () => new RecordExpression(expression),
        (error) => {
          assert.ok(error instanceof TailraceError)
          assert.equal(error.code, 'invalid_filter')
          assert.match(error.message, message)
          if (position !== undefined) assert.equal(error.details['position'], position)
          return true
        },
      )
    })
  }
})

/** What expressions are made of at random, over the record that random expressions are about. */
const VALUE = {
  i: 3,
  f: 1.5,
  s: 'abc',
  e: '',
  t: true,
  n: null,
  l: [1, 2, 3],
  m: { a: 1 },
  o: [{ p: 1 }, { p: 5, q: 'z' }],
}
const PATHS = ['i', 'f', 's', 'e', 't', 'n', 'l', 'm', 'o', 'missing', 'o[1].q', 'l[0]', 'l[5]', 'm.a', 'm["a"]']
const WORDS = [...PATHS.map((path) => `value.${path}`), 'headers.h', 'key', 'topic', 'partition', 'timestamp']
const LITERALS = ['1', '2', '0', '-1', '1.5', '3.0', '"abc"', '"a"', '""', 'true', 'false', 'null', '[1, 2, 3]', '[]']
const OPERATORS = ['==', '!=', '<', '<=', '>', '>=', '+', '-', '*', '/', '%', 'in', '&&', '||']

function madeUp(random: Random, depth: number, bound: readonly string[] = []): string {
  const atom = () => random.pick([...WORDS, ...LITERALS, ...bound, ...bound])
  if (depth === 0) return atom()
  const part = () => madeUp(random, depth - 1, bound)
  const inMacro = () => `v${bound.length}, ${madeUp(random, depth - 1, [...bound, `v${bound.length}`])}`
  return random.pick([
    atom,
    () => `(${part()} ${random.pick(OPERATORS)} ${part()})`,
    () => `${random.pick(['!', '-'])}(${part()})`,
    () => `(${part()} ? ${part()} : ${part()})`,
    () => `${random.pick(['size', 'double', 'string', 'bool'])}(${part()})`,
    () => `${atom()}.${random.pick(['startsWith', 'endsWith', 'contains'])}(${part()})`,
    () => `${atom()}.${random.pick(['all', 'exists', 'exists_one', 'filter', 'map'])}(${inMacro()})`,
    () => `has(value.${random.pick(['i', 'missing', 'm.a', 'm.z', 'i.x'])})`,
    () => `${atom()}[${part()}]`,
  ])()
}

describe('a made-up expression', () => {
  const seed = Number(process.env['TAILRACE_TEST_SEED'] ?? Date.now() % 1_000_000)
  it(`is refused, or is what the library makes of it where both have a result; seed ${seed}`, () => {
    const random = new Random(seed)
    const reader = readerOf({ key: 'abc', value: JSON.stringify(VALUE), headers: [['h', 'v']] })
    const environment = new Environment()
    for (const name of ['key', 'value', 'headers', 'topic', 'partition', 'timestamp']) {
      environment.registerVariable(name, 'dyn')
    }
    const context = {
      key: 'abc',
      value: VALUE,
      headers: { h: 'v' },
      topic: 'orders',
      partition: 7n,
      timestamp: new Date(AT),
    }
    let agreed = 0
    for (let made = 0; made < 1_000; made++) {
      const text = `${madeUp(random, random.below(4))} == ${madeUp(random, 1)}`
      let expression: RecordExpression
      try {
        expression = new RecordExpression(text)
      } catch (error) {
        assert.ok(error instanceof TailraceError && error.code === 'invalid_filter', `${text}: ${error}`)
        continue
      }
      const result = expression.evaluate(reader, 'orders', 7)
      const [itsResult] = tried(() => environment.clone().evaluate(text, context))
      if (typeof result !== 'boolean' || typeof itsResult !== 'boolean') continue
      assert.equal(result, itsResult, text)
      agreed++
    }
    assert.ok(agreed > 30, `${agreed} had results`)
  })
})

function tried(action: () => unknown): [result?: unknown] {
  try {
    return [action()]
  } catch {
    return []
  }
}

const MANY = 60_000

/** Expressions and values that are made to cost much. */
const HOSTILE: readonly (readonly [string, string, string?])[] = [
  ['value.all(a, key.startsWith("x"))', `[${'0,'.repeat(MANY)}0]`, 'x'.repeat(200_000)],
  ['value.all(a, timestamp.getDayOfYear() + duration("1h").getHours() > 0)', `[${'0,'.repeat(MANY)}0]`],
  ['value.all(a, value.all(b, value.all(c, a + b + c >= 0)))', `[${'0,'.repeat(MANY)}0]`],
  ['value.exists(a, value.exists(b, a != b))', `[${'0,'.repeat(MANY)}0]`],
  ['value.exists(a, a.missing == 1)', `[${'0,'.repeat(MANY)}0]`],
  ['value.exists(a, value.missing == 1 || a == 1)', `[${'0,'.repeat(MANY)}0]`],
  ['value.all(a, 1 in value || a == 0)', `[${'0,'.repeat(MANY)}0]`],
  ['size(value.map(a, value)) == 0 || value.map(a, value) == value.map(a, value + [])', `[${'0,'.repeat(MANY)}0]`],
  ['value.map(a, value + value).size() == 1', `[${'0,'.repeat(MANY)}0]`],
  ['value.l.all(a, value.s + value.s != "")', `{"s":"${'x'.repeat(100_000)}","l":[${'0,'.repeat(20_000)}0]}`],
  [
    'value.l.all(a, value.s == value.t)',
    `{"s":"${'x'.repeat(90_000)}","t":"${'x'.repeat(90_000)}","l":[${'0,'.repeat(20_000)}0]}`,
  ],
  [
    'value.l.all(a, !value.s.contains(value.t))',
    `{"s":"${'a'.repeat(100_000)}","t":"b${'a'.repeat(50_000)}","l":[${'0,'.repeat(20_000)}0]}`,
  ],
  ['value.l.all(a, size(value.s) > 0)', `{"s":"${'x'.repeat(100_000)}","l":[${'0,'.repeat(20_000)}0]}`],
  ['value.l.all(a, value.s.lowerAscii() != "")', `{"s":"${'X'.repeat(100_000)}","l":[${'0,'.repeat(20_000)}0]}`],
  ['value.l.all(a, !value.s.matches("(x+x+)+y"))', `{"s":"${'x'.repeat(100_000)}","l":[${'0,'.repeat(20_000)}0]}`],
  [
    'value.l.all(a, !value.s.matches("(a|b)*a[ab]{60}c$"))',
    `{"s":"${'abba'.repeat(1_000)}","l":[${'0,'.repeat(20_000)}0]}`,
  ],
  ['value.matches("(.*)(.*)(.*)(.*)(.*)[ab]{50}$")', 'x'.repeat(200_000)],
  [
    'value.l.all(a, size(value.m) > 0)',
    `{"m":{${Array.from({ length: 5_000 }, (_, at) => `"k${at}":0`).join()}},"l":[${'0,'.repeat(20_000)}0]}`,
  ],
  ['value == value + []', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  ['value[0] == [value[0]][0] && value == [value[0]]', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  [
    'value.a == value.b',
    `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)},"b":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
  ],
  [`value.all(a, ${Array(100).fill('a.b == 1').join(' || ')})`, `[${'{},'.repeat(50_000)}{}]`],
]

describe('a hostile expression', () => {
  for (const [expression, value, key = 'k'] of HOSTILE) {
    it(`${expression.slice(0, 60)} ends in its steps`, () => {
      assert.ok(value.length <= EXPRESSION_VALUE_BYTES_MAX)
      const reader = readerOf({ key, value })
      const hostile = new RecordExpression(expression)
      const began = performance.now()
      hostile.evaluate(reader, 'orders', 7)
      // not a measure of speed: what has no bound takes minutes
      assert.ok(performance.now() - began < 1_000)
      // searching is paid for twice: foreseen, and as it was
      const mayTakeTime = expression.includes('matches(')
      assert.ok(mayTakeTime || hostile.steps <= EXPRESSION_STEPS_MAX + value.length + key.length)
    })
  }

  it('does not look into a value that is too large, and says so', () => {
    const filter = RecordFilter.of({ expression: 'value.a == 1 || true' })
    const large = readerOf({ value: `{"a":"${'x'.repeat(EXPRESSION_VALUE_BYTES_MAX)}"}` })
    assert.equal(filter?.matches(large, 'orders', 0), true)
    const only = RecordFilter.of({ expression: 'value.a == 1' })
    assert.equal(only?.matches(large, 'orders', 0), false)
    assert.equal(only?.isInError, true)
    assert.match(only?.lastError ?? '', /too large/)
  })
})

const LONG_NAME = 'n'.repeat(5_000)

/** Schemas by id. */
const SCHEMAS: readonly unknown[] = [
  { type: 'record', name: 'R', fields: [{ name: 'a', type: ['null', 'string'] }] },
  { type: 'array', items: { type: 'record', name: 'Long', fields: [{ name: LONG_NAME, type: 'null' }] } },
  { type: 'array', items: 'int' },
  ['null', 'int'],
]

function framedValues() {
  const stored = SCHEMAS.map((schema, at) => ({ id: at + 1, schemaType: 'AVRO', schema: JSON.stringify(schema) }))
  const schemas = {
    failure: undefined,
    revision: 1,
    findById: (id: number) => stored[id - 1] as StoredSchema | undefined,
    isFoundById: () => true,
    aliased: (subject: string) => subject,
    version: () => assert.fail('nobody asks for a subject'),
    versions: () => [],
    nearestSubject: () => undefined,
    charsOf: ({ schema }: StoredSchema) => schema.length,
    parsed: ({ schema }: StoredSchema) => SCHEMA_FORMATS.AVRO.parse(schema, [], 'stored'),
  } satisfies KnownSchemas
  return new FramedValues(new SchemaCodec(schemas))
}

const frame = (id: number, hex: string) => Buffer.from(`00${id.toString(16).padStart(8, '0')}${hex}`, 'hex')
/** So many ints, the last of them cut. */
const CUT_INTS = frame(3, `b0ea01${'02'.repeat(14_999)}`)

/** Of framed values: the expression, its meaning or why it has none. */
const FRAMED: readonly (readonly [Buffer, string, boolean | RegExp])[] = [
  [frame(1, '020278'), 'value.a == "x"', true],
  [frame(1, '00'), 'value.a == null', true],
  [frame(1, '00'), 'key == value', true],
  [frame(4, '00'), 'value == null', true],
  [frame(1, '06'), 'value.a == "x"', /none with the index 3/],
  [frame(1, '06'), 'value.a == "x" || offset == 42', true],
  [frame(9, '00'), 'value != "x"', /^no schema has the id 9$/],
  [frame(2, '80b51800'), 'value != []', /more than \d+ bytes|items without any bytes/],
  [frame(2, 'c80100'), 'value != []', /too large/],
  [CUT_INTS, '[1, 2, 3].all(a, [1, 2, 3].all(b, has(value.x) || has(value.y) || true))', true],
  [CUT_INTS, '[1, 2, 3].exists(a, value[0] == a)', /ends before/],
]

describe('an expression on framed keys and values', () => {
  const framed = framedValues()
  for (const [value, text, meaning] of FRAMED) {
    it(`${text} of ${value.toString('hex').slice(0, 30)} is ${meaning}`, () => {
      const expression = new RecordExpression(text, framed)
      const result = expression.evaluate(readerOf({ key: value, value }), 'orders', 7)
      if (typeof meaning === 'boolean') assert.equal(result, meaning)
      else assert.match(result instanceof ExpressionFault ? result.message : String(result), meaning)
      assert.ok(expression.steps > 10)
    })
  }

  it('decodes once what it names, what cannot be too, and nothing else', () => {
    const steps = (text: string) => {
      const expression = new RecordExpression(text, framed)
      expression.evaluate(
        readerOf({ key: frame(1, '00'), value: frame(3, `a09c01${'02'.repeat(10_000)}00`) }),
        'orders',
        7,
      )
      return expression.steps
    }
    const once = steps('value[0] == 1')
    assert.ok(once > 10_000, `${once} for 10,000 numbers`)
    assert.ok(steps('value[0] == 1 && value[1] == 1 && size(value) > 1') < once + 100)
    assert.ok(steps('size > 5 || value[0] == 1') < 50)
    let decodedCount = 0
    const counting = {
      steps: 0,
      read() {
        decodedCount++
        return new ExpressionFault('it cannot be decoded')
      },
    }
    const names = new RecordExpression(`[${'0,'.repeat(50)}0].exists(a, value.a == a || key == a)`, counting)
    names.evaluate(readerOf({ key: frame(1, '06'), value: frame(1, '06') }), 'orders', 7)
    assert.equal(decodedCount, 2)
  })
})

describe('a filter with an expression', () => {
  it('looks at key and headers first, and tells of a record without a result', () => {
    const filter = RecordFilter.of({ key: Buffer.from('c-17'), expression: 'value.total > 100' })
    assert.ok(filter)
    assert.equal(filter.matches(readerOf(ORDER), 'orders', 0), true)
    assert.equal(filter.matches(readerOf({ key: 'other', value: '{}' }), 'orders', 0), false)
    assert.equal(filter.isInError, false)
    assert.equal(filter.matches(readerOf({ value: '{}' }), 'orders', 0), false)
    assert.equal(filter.isInError, true)
  })

  it('is the same as another with the same id only', () => {
    const ids = ['value.a == 1', 'value.a == 2', undefined].map((expression) => new RecordFilter({ expression }).id)
    assert.equal(new Set(ids).size, 3)
    assert.equal(new RecordFilter({ expression: 'value.a == 1' }).id, ids[0])
  })
})
