// JSON Schema as a schema format: what is taken, how it is stored, and what reads what.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonSchemaFormat } from '../../src/registry/json-schema/json-schema-format.ts'
import { matchesPattern } from '../../src/registry/json-schema/pattern-match.ts'
import type { ReferencedSchema } from '../../src/registry/schema-format.ts'
import { JSON_SCHEMA_VERDICTS } from './json-schema-verdicts.ts'

const WORDS = { reader: 'new', writer: 'old' }

const parse = (schema: object | boolean | string, references: readonly ReferencedSchema[] = []) =>
  jsonSchemaFormat.parse(typeof schema === 'string' ? schema : JSON.stringify(schema), references, 'new')

for (const { rule, reader, writer, faults } of JSON_SCHEMA_VERDICTS) {
  test(`reading, ${rule}`, () => {
    const found = parse(reader).incompatibilities(parse(writer), WORDS)
    const seen = found.map((message) => [/errorType:"(\w+)"/.exec(message)?.[1], /'(#[^']*)'/.exec(message)?.[1]])
    assert.deepEqual(seen, faults)
  })
}

test('a lenient policy lives with what strangers to a schema add', () => {
  const lenient = (reader: object, writer: object) => parse(reader).incompatibilities(parse(writer), WORDS, 'LENIENT')
  assert.deepEqual(lenient({ type: 'object', properties: { a: { type: 'string' } } }, { type: 'object' }), [])
  assert.deepEqual(lenient({ type: 'object', additionalProperties: false }, { type: 'object' }), [])
  assert.equal(
    lenient({ type: 'object', properties: { a: {} }, required: ['a'] }, { type: 'object', properties: { a: {} } })
      .length,
    1,
  )
})

test('words what keeps a reader from reading', () => {
  assert.deepEqual(
    parse({ type: 'string', maxLength: 4 }).incompatibilities(parse({ type: 'string', maxLength: 5 }), WORDS),
    [
      `{errorType:"MAX_LENGTH_DECREASED", description:"The value at path '#/maxLength' in the new schema is less than its value in the old schema'}`,
    ],
  )
})

test('is stored with its members in their order and its numbers as decimals', () => {
  const text = ' { "b": 1.0, "a": 1e2, "2": 100, "c": 1.5e-3, "d": 12e-9, "e": -0.5E+1, "f": 1.20E1 } '
  assert.equal(
    jsonSchemaFormat.parse(text, [], 'stored').canonical,
    '{"b":1.0,"a":1E+2,"2":100,"c":0.0015,"d":1.2E-8,"e":-5,"f":12.0}',
  )
  assert.equal(
    jsonSchemaFormat.parse(text, [], 'stored').normalized,
    '{"2":100,"a":1E+2,"b":1.0,"c":0.0015,"d":1.2E-8,"e":-5,"f":12.0}',
  )
})

test('is the same schema to the letter, but for white space: another order of members makes another', () => {
  const { meaning } = parse({ type: 'string', maxLength: 5 })
  assert.equal(meaning, parse(' { "type" : "string", "maxLength":5 }').meaning)
  assert.notEqual(meaning, parse('{"maxLength":5,"type":"string"}').meaning)
  assert.notEqual(meaning, parse('{"type":"string","maxLength":5.0}').meaning)
})

test('is named by its title', () => {
  assert.equal(parse({ title: 'Order', type: 'object' }).recordName, 'Order')
  assert.equal(parse(true).recordName, undefined)
})

const deep = (levels: number): object => (levels === 0 ? {} : { not: deep(levels - 1) })

const REFUSED: readonly (readonly [schema: object | string, message: RegExp])[] = [
  ['', /malformed JSON/],
  ['[]', /expected an object or boolean at the root/],
  ['"string"', /expected an object or boolean at the root/],
  ['1', /expected an object or boolean at the root/],
  [{ type: 3 }, /#\/type/],
  [
    { type: 'text' },
    /^#\/type: must match a schema in anyOf: must be equal to one of the allowed values: \["array",.*"string"\]; or must be array$/,
  ],
  [{ minLength: 'a' }, /#\/minLength/],
  [{ properties: [] }, /#\/properties/],
  [{ required: 'a' }, /#\/required/],
  [{ $schema: 'http://json-schema.org/draft-04/schema#', exclusiveMaximum: 5 }, /exclusiveMaximum/],
  [{ $schema: 'http://json-schema.org/draft-06/schema#', type: 3 }, /#\/type/],
  [{ $schema: 'https://json-schema.org/draft/2019-09/schema', type: 3 }, /type/],
  [{ $schema: 'https://json-schema.org/draft/2020-12/schema', type: 3 }, /type/],
  [{ $ref: '#/definitions/none' }, /leads nowhere/],
  [{ $ref: 'other.json' }, /nothing is fetched/],
  [
    { $ref: 'http://example.com/s.json' },
    /Remote schema reference fetching over HTTP\(S\) is disabled: http:\/\/example.com\/s.json/,
  ],
  [{ $ref: 'file:///etc/passwd' }, /nothing is fetched/],
  [
    { $id: 'http://example.com/root.json', properties: { a: { $ref: 'other.json' } } },
    /disabled: http:\/\/example.com\/other.json/,
  ],
  [{ pattern: 'a'.repeat(1001) }, /1001 characters/],
  [{ pattern: '(' }, /^the pattern "\(" is no regular expression: Unterminated group$/],
  [{ properties: { a: { patternProperties: { '[a': {} } } } }, /no regular expression: Unterminated character class/],
  [{ pattern: '(?i)a)' }, /no regular expression/],
  [{ pattern: 'a\\' }, /no regular expression/],
  [{ pattern: '*a' }, /no regular expression: Nothing to repeat/],
  [deep(300), /nested too deeply/],
  [{ properties: Object.fromEntries(Array.from({ length: 2001 }, (_, at) => [`p${at}`, {}])) }, /2001 members/],
  [{ enum: Array.from({ length: 20_001 }, (_, at) => at) }, /more than 20000 parts/],
]

for (const [schema, message] of REFUSED) {
  test(`refuses ${(typeof schema === 'string' ? schema : JSON.stringify(schema)).slice(0, 70)}`, () => {
    assert.throws(() => parse(schema), { code: 'invalid_schema', message })
  })
}

test('takes what a draft does not know, meta-schemas as references, and patterns of other engines', () => {
  parse({
    'connect.type': 'bytes',
    format: 'anything',
    properties: { a: { $ref: 'http://json-schema.org/draft-07/schema#' } },
  })
  parse({ type: 'string', pattern: '(?i)\\A\\h++' })
  for (const pattern of [
    '(?=a)(a)\\1',
    '(?>a|b)*+',
    '(?<!x)y',
    '\\Q(\\E(?s-i:.)',
    '\\p{IsAlphabetic}{2}',
    '[[:alpha:]]',
    '^\\u0041$',
  ]) {
    parse({ type: 'string', pattern })
  }
  parse({ $schema: 'https://example.com/unknown', type: 'string' })
})

const ADDRESS: ReferencedSchema = {
  name: 'address.json',
  subject: 'address',
  version: 1,
  isDirect: true,
  text: '{"type":"object","properties":{"city":{"type":"string"}},"$defs":{"zip":{"type":"string"}}}',
}

for (const [what, schema] of [
  ['by the name', { properties: { a: { $ref: 'address.json' } } }],
  [
    'by the name, relative to an $id',
    { $id: 'http://example.com/root.json', properties: { a: { $ref: 'address.json' } } },
  ],
  [
    'by the resolved name',
    { $id: 'http://example.com/root.json', properties: { a: { $ref: 'http://example.com/address.json' } } },
  ],
  ['a part of it', { properties: { a: { $ref: 'address.json#/$defs/zip' } } }],
  ['a part of it by its other name', { properties: { a: { $ref: 'address.json#/definitions/zip' } } }],
] as const) {
  test(`finds a reference ${what}`, () => {
    parse(schema, [ADDRESS])
    assert.throws(() => parse(schema), { code: 'invalid_schema' })
  })
}

test('finds parts by their ids and anchors', () => {
  parse({ $schema: 'https://json-schema.org/draft/2020-12/schema', $defs: { a: { $anchor: 'x' } }, $ref: '#x' })
  parse({ definitions: { a: { $id: '#x' } }, $ref: '#x' })
  parse({ $id: 'http://example.com/r.json', definitions: { a: { $id: 'sub.json', type: 'string' } }, $ref: 'sub.json' })
})

test('a property is a schema whatever its name is', () => {
  const $schema = 'https://json-schema.org/draft/2020-12/schema'
  for (const name of ['other', 'type', 'default', 'enum', 'const', 'required', 'examples', 'definitions']) {
    parse({ $schema, properties: { [name]: { $anchor: 't', type: 'string' }, b: { $ref: '#t' } } })
    assert.throws(() => parse({ properties: { [name]: { $ref: '#/nowhere' } } }), { code: 'invalid_schema' })
  }
  parse({ default: { $ref: '#/nowhere' }, enum: [{ $ref: '#/nowhere' }] })
})

test('gives up a comparison that would take for ever', () => {
  let count = 0
  const nested = (depth: number): object => ({
    title: `${++count}`,
    ...(depth === 0
      ? { type: 'string', maxLength: 5 }
      : { anyOf: Array.from({ length: 12 }, () => nested(depth - 1)) }),
  })
  const other = JSON.parse(JSON.stringify(nested(3)).replaceAll('5', '4')) as object
  assert.throws(() => parse(other).incompatibilities(parse(nested(3)), WORDS), /too expensive/)
})

test('a pattern that no engine here knows is found in any text', () => {
  for (const pattern of ['^\\h*a++$', '^\\h$', 'a{2}+', '\\R', '('])
    assert.equal(matchesPattern(pattern, 'b'), true, pattern)
  assert.deepEqual(parse({ properties: { pattern: { pattern: '\\h' } }, const: { pattern: '\\R' } }).unchecked, ['\\h'])
  assert.deepEqual(parse({ pattern: '(?<=a)b', patternProperties: { '(?i)\\Aa\\z': true } }).unchecked, [])
})

test('looks for patterns in time that grows with the text', () => {
  assert.equal(matchesPattern('^(a+)+$', `${'a'.repeat(50_000)}!`), false)
  assert.equal(matchesPattern('^(?=a)(a+)+$', `${'a'.repeat(40)}!`), false)
  assert.equal(matchesPattern('^x-', 'x-a'), true)
  assert.equal(matchesPattern('(?=b)b', 'ab'), true)
  assert.equal(matchesPattern('^\\p{Alpha}(?=b)', 'éb'), true)
})
