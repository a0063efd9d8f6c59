// Avro's JSON to Avro's bytes and back, beside an independent library, and what becomes of what does not fit.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import avsc from 'avsc'
import fc from 'fast-check'
import type { AvroUnions } from '../../src/codec/avro-decoder.ts'
import { AvroDecoder } from '../../src/codec/avro-decoder.ts'
import { AvroEncoder } from '../../src/codec/avro-encoder.ts'
import { SchemaDataError } from '../../src/codec/schema-data-error.ts'
import { ByteWriter } from '../../src/kernel/byte-writer.ts'
import { parseJsonTree } from '../../src/kernel/json-tree.ts'
import { parseAvro } from '../../src/registry/avro/avro-parser.ts'

const typeOf = (schema: unknown) =>
  parseAvro(parseJsonTree(JSON.stringify(schema)), new Map(), { isStrict: true, isReferenced: false })

function encode(schema: unknown, json: string): Buffer {
  const output = new ByteWriter(8)
  const text = Buffer.from(json)
  new AvroEncoder(typeOf(schema)).encode(text, 0, text.length, output)
  return Buffer.from(output.written())
}

function decode(schema: unknown, bytes: Buffer, unions: AvroUnions = 'tagged'): string {
  const output = new ByteWriter(8)
  // not at the beginning of what it lies in
  const shifted = Buffer.concat([Buffer.from([1, 2, 3]), bytes, Buffer.from([4])])
  new AvroDecoder(typeOf(schema), unions).decode(shifted, 3, 3 + bytes.length, output)
  return output.written().toString()
}

const record = (...fields: object[]) => ({ type: 'record', name: 'n.R', fields })
const ITEM = { type: 'record', name: 'n.Item', fields: [{ name: 'id', type: 'long' }] }

const SAME: readonly (readonly [schema: unknown, json: string])[] = [
  ['null', 'null'],
  ['boolean', 'true'],
  ['int', '-2147483648'],
  ['int', '2147483647'],
  ['long', '9223372036854775807'],
  ['long', '-9223372036854775808'],
  ['long', '9007199254740993'],
  ['long', '1795295506028'],
  ['long', '-64'],
  ['float', '0.1'],
  ['float', '"NaN"'],
  ['double', '0.1'],
  ['double', '"-Infinity"'],
  ['double', '1e+300'],
  ['string', '"é\\n\\"\\\\😀"'],
  ['string', '""'],
  ['bytes', '"\\u0000a\u00ff\\"\\\\"'],
  [{ type: 'fixed', name: 'F', size: 3 }, '"a\u0080b"'],
  [{ type: 'enum', name: 'E', symbols: ['A', 'B'] }, '"B"'],
  [{ type: 'array', items: 'int' }, '[]'],
  [{ type: 'array', items: 'int' }, '[1,2,300]'],
  [{ type: 'map', values: 'string' }, '{"b":"1","a":"","__proto__":"x"}'],
  [['null', 'string'], 'null'],
  [['null', 'string'], '{"string":"x"}'],
  [['null', ITEM, { type: 'array', items: 'n.Item' }], '{"n.Item":{"id":5}}'],
  [['null', ITEM, { type: 'array', items: 'n.Item' }], '{"array":[{"id":5},{"id":-6}]}'],
  [record({ name: 'a', type: 'int' }, { name: 'b', type: ['null', 'n.R'] }), '{"a":1,"b":{"n.R":{"a":2,"b":null}}}'],
  [record(), '{}'],
  [{ type: 'bytes', logicalType: 'decimal', precision: 4 }, '"\\u0001"'],
]

for (const [schema, json] of SAME) {
  test(`${JSON.stringify(schema).slice(0, 60)}: ${json.slice(0, 40)} comes back as it was`, () => {
    assert.equal(decode(schema, encode(schema, json)), json)
  })
}

test('writes the bytes that another library reads, and reads what it writes', () => {
  const value = fc.record({
    // beyond, the other library loses digits
    id: fc.integer({ min: -(2 ** 51), max: 2 ** 51 }),
    name: fc.string({ unit: 'grapheme' }),
    tags: fc.array(fc.string()),
    // the other library loses __proto__
    counts: fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      fc.integer(),
    ),
    ratio: fc.double({ noNaN: true, noDefaultInfinity: true }),
    isOld: fc.boolean(),
    color: fc.constantFrom('RED', 'GREEN'),
    note: fc.option(fc.string()),
  })
  const schema = record(
    { name: 'id', type: 'long' },
    { name: 'name', type: 'string' },
    { name: 'tags', type: { type: 'array', items: 'string' } },
    { name: 'counts', type: { type: 'map', values: 'int' } },
    { name: 'ratio', type: 'double' },
    { name: 'isOld', type: 'boolean' },
    { name: 'color', type: { type: 'enum', name: 'Color', symbols: ['RED', 'GREEN'] } },
    { name: 'note', type: ['null', 'string'] },
  )
  const other = avsc.Type.forSchema(schema as avsc.Schema, { wrapUnions: 'always' })
  fc.assert(
    fc.property(value, (given) => {
      const tagged = { ...given, ratio: given.ratio + 0, note: given.note === null ? null : { string: given.note } }
      if (JSON.stringify(tagged).includes('\\ud')) return
      const theirs = other.toBuffer(tagged)
      const ours = encode(schema, JSON.stringify(tagged))
      assert.deepEqual(
        JSON.parse(other.fromBuffer(ours).constructor ? JSON.stringify(other.fromBuffer(ours)) : ''),
        JSON.parse(JSON.stringify(tagged)),
      )
      assert.deepEqual(JSON.parse(decode(schema, theirs)), JSON.parse(JSON.stringify(tagged)))
      assert.deepEqual(JSON.parse(decode(schema, theirs, 'plain')), JSON.parse(JSON.stringify(given)))
    }),
  )
})

const PAIR = record({ name: 'a', type: 'int' }, { name: 'b', type: ['null', 'string'], default: null })

const TAKEN: readonly (readonly [what: string, schema: unknown, json: string, back: string])[] = [
  [
    'fields in any order',
    record({ name: 'a', type: 'int' }, { name: 'b', type: 'int' }),
    '{ "b" : 2 ,\n"a":1 }',
    '{"a":1,"b":2}',
  ],
  ['a field that is left out, by its default', PAIR, '{"a":1}', '{"a":1,"b":null}'],
  ['a field whose name is escaped', PAIR, '{"\\u0061":1}', '{"a":1,"b":null}'],
  ['a value without a tag', PAIR, '{"a":1,"b":"x"}', '{"a":1,"b":{"string":"x"}}'],
  ['a number without a tag', ['null', 'double'], '1', '{"double":1}'],
  ['an object without a tag', ['null', ITEM], '{"id":1}', '{"n.Item":{"id":1}}'],
  ['an object that has one member, and no tag', ['null', { type: 'map', values: 'int' }], '{"x":1}', '{"map":{"x":1}}'],
  [
    'an object whose first member has the name of a branch',
    ['string', { type: 'map', values: 'int' }],
    '{"string":1,"other":2}',
    '{"map":{"string":1,"other":2}}',
  ],
  ['one of several that alone fits', ['int', 'string', ITEM], '"x"', '{"string":"x"}'],
  [
    'defaults of every kind',
    record(
      { name: 'a', type: { type: 'array', items: ['int', 'null'] }, default: [1, null] },
      { name: 'm', type: { type: 'map', values: 'string' }, default: { k: 'v' } },
      { name: 'r', type: ITEM, default: { id: 7 } },
      { name: 'u', type: ['null', 'string'], default: 'second' },
      { name: 'x', type: 'bytes', default: '\u00ff' },
    ),
    '{}',
    '{"a":[{"int":1},null],"m":{"k":"v"},"r":{"id":7},"u":{"string":"second"},"x":"\u00ff"}',
  ],
]

for (const [what, schema, json, back] of TAKEN) {
  test(`takes ${what}`, () => assert.equal(decode(schema, encode(schema, json)), back))
}

const LINES = {
  type: 'record',
  name: 'n.Order',
  fields: [
    {
      name: 'lines',
      type: { type: 'array', items: { type: 'record', name: 'Line', fields: [{ name: 'id', type: 'long' }] } },
    },
    { name: 'counts', type: ['null', { type: 'map', values: 'int' }], default: null },
  ],
}

const REFUSED: readonly (readonly [schema: unknown, json: string, message: RegExp])[] = [
  ['int', '2147483648', /must be an int from -2147483648 to 2147483647, not 2147483648/],
  ['int', '1.0', /must be an int/],
  ['int', '"1"', /must be an int/],
  [
    'long',
    '9223372036854775808',
    /^must be a long from -9223372036854775808 to 9223372036854775807, not 9223372036854775808$/,
  ],
  [{ type: 'long', logicalType: 'timestamp-millis' }, '"now"', /must be a long \(milliseconds since 1970\), not "now"/],
  ['long', '1e3', /must be a long/],
  ['boolean', '1', /must be true or false/],
  ['double', '"x"', /must be a number/],
  ['string', '1', /must be a string/],
  ['string', '"\\ud800"', /half a surrogate pair/],
  ['bytes', '"\u0100"', /up to \\u00ff/],
  [{ type: 'fixed', name: 'F', size: 2 }, '"abc"', /2 characters/],
  [{ type: 'enum', name: 'E', symbols: ['A'] }, '"B"', /one of the symbols of E: A/],
  [{ type: 'array', items: 'int' }, '{}', /must be an array/],
  [{ type: 'enum', name: 'E', symbols: ['A', 'B'] }, 'null', /must be one of the symbols of E: A, B, not null/],
  [{ type: 'array', items: 'int' }, '[1,"x"]', /^\[1\] must be an int, not "x"$/],
  [{ type: 'map', values: 'int' }, '{"a":1,"b\\"":"x"}', /^\["b\\""\] must be an int, not "x"$/],
  [{ type: 'map', values: 'int' }, '{"a":1,"\\ud800":1}', /^a string has an escape of half a surrogate pair$/],
  [PAIR, '[]', /an object of the record n.R/],
  [PAIR, '{"b":null}', /the field a is missing/],
  [PAIR, '{"a":1,"c":2}', /has no field "c"; it has a, b/],
  [PAIR, '{"a":1,"a":2}', /^n\.R has the field a twice$/],
  [PAIR, '{"a":1,"b":null,"b":null}', /^n\.R has the field b twice$/],
  [PAIR, '{"a":"x"}', /^n\.R\.a must be an int, not "x"$/],
  [LINES, '{"lines":[{"id":1},{"id":null}]}', /^n\.Order\.lines\[1\]\.id must be a long, not null$/],
  [LINES, '{"lines":[{"id":1},5]}', /^n\.Order\.lines\[1\] must be an object of the record n\.Line, not 5$/],
  [LINES, '{"lines":[{}]}', /^n\.Order\.lines\[0\]: the field id is missing, and has no default$/],
  [LINES, '{"lines":[{"id":1,"no":2}]}', /^n\.Order\.lines\[0\] has no field "no"; it has id$/],
  [LINES, '{"counts":{"a":1,"b c":"x"},"lines":[]}', /^n\.Order\.counts\["b c"\] must be an int, not "x"$/],
  [['int', 'string'], 'null', /one of int, string/],
  [
    ['int', 'long', 'string'],
    '1',
    /^must be tagged, such as \{"int": 1\}: untagged it fits several branches, int, long$/,
  ],
  [['null', 'int'], '"x"', /one of the branches/],
  [['null', 'int'], '{"int":"x"}', /must be an int/],
]

for (const [schema, json, message] of REFUSED) {
  test(`refuses ${json.slice(0, 30)} for ${JSON.stringify(schema).slice(0, 40)}`, () => {
    assert.throws(
      () => encode(schema, json),
      (error) => error instanceof SchemaDataError && message.test(error.message),
    )
  })
}

const NODE = { type: 'record', name: 'N', fields: [{ name: 'next', type: ['null', 'N'] }] }

const BROKEN: readonly (readonly [what: string, schema: unknown, hex: string, message: RegExp])[] = [
  ['a value that is cut', 'string', '0a61', /ends before its end/],
  ['a value with more behind it', 'int', '0200', /1 bytes follow/],
  ['a negative length', 'string', '01', /length of -1/],
  ['an endless number', 'long', 'ffffffffffffffffffffff01', /longer than ten bytes/],
  ['an int that is too large', 'int', '8080808010', /no int/],
  ['a boolean of 2', 'boolean', '02', /neither true nor false/],
  ['a branch that is not there', ['null', 'int'], '04', /none with the index 2/],
  ['a symbol that is not there', { type: 'enum', name: 'E', symbols: ['A'] }, '02', /none with the index 1/],
  ['a string that is not UTF-8', 'string', '02ff', /not UTF-8/],
  ['billions of items without bytes', { type: 'array', items: 'null' }, 'feffffff0f00', /items without any bytes/],
  ['a value that is nested for ever', NODE, '02'.repeat(100_000), /nested deeper/],
]

for (const [what, schema, hex, message] of BROKEN) {
  test(`refuses ${what}`, () => {
    assert.throws(
      () => decode(schema, Buffer.from(hex, 'hex')),
      (error) => error instanceof SchemaDataError && message.test(error.message),
    )
  })
}

test('any bytes are a value or an SchemaDataError, and what is a value has other bytes of its own at most', () => {
  const schema = record(
    { name: 'a', type: ['null', 'string', { type: 'array', items: 'long' }] },
    { name: 'b', type: { type: 'map', values: 'double' } },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      let json: string
      try {
        json = decode(schema, Buffer.from(bytes))
      } catch (error) {
        assert.ok(error instanceof SchemaDataError, String(error))
        return
      }
      assert.equal(decode(schema, encode(schema, json)), json)
    }),
    { numRuns: 2000 },
  )
})

test('blocks with their sizes are read', () => {
  // two items of a block of two bytes, then none
  assert.equal(decode({ type: 'array', items: 'int' }, Buffer.from('0304020400', 'hex')), '[1,2]')
})

test('a double is the one that is nearest to its digits, however they are written', () => {
  const digits = fc.stringMatching(/^-?(?:0|[1-9]\d{0,8})(?:\.\d{1,10})?(?:[eE][+-]?\d{1,2})?$/)
  fc.assert(
    fc.property(digits, (text) => {
      assert.ok(Object.is(encode('double', text).readDoubleLE(), Number(text)), text)
      assert.ok(Object.is(encode('float', text).readFloatLE(), Math.fround(Number(text))), text)
    }),
    { numRuns: 2000 },
  )
  for (const text of [
    '0',
    '-0',
    '-0.0',
    '999999999999999',
    '0.00000000000001',
    '9007199254740993',
    '5e-324',
    '1e400',
  ]) {
    assert.ok(Object.is(encode('double', text).readDoubleLE(), Number(text)), text)
  }
})

const LIST = {
  type: 'record',
  name: 'N',
  fields: [
    { name: 'next', type: ['null', 'N'] },
    { name: 'v', type: 'int', default: 0 },
  ],
}

test('what is nested is written once, whatever is left out or wrong; of a long place the end is told', {
  timeout: 5_000,
}, () => {
  const listOf = (length: number, inner: string, after = '') =>
    `${'{"next":{"N":'.repeat(length)}${inner}${`}${after}}`.repeat(length)}`
  assert.equal(encode(LIST, listOf(60, '{"next":null}')).length, 60 * 2 + 2)
  assert.equal(encode(LIST, listOf(3, '{"next":null}', ',"v":2')).toString('hex'), '0202020000040404')
  assert.throws(() => encode(LIST, listOf(60, '{"next":null}', ',"v":1,"v":2')), /has the field v twice/)
  assert.throws(
    () => encode(LIST, listOf(200, '{"next":7}')),
    (error: Error) => /^N….*\.next must be/.test(error.message) && error.message.length < 600,
  )
  assert.throws(() => encode(LIST, listOf(60, '{"next":null,"v":"wrong"}')), SchemaDataError)
  const two = (name: string) => ({ type: 'record', name, fields: [{ name: 'f', type: ['null', 'A', 'B'] }] })
  const pair = [two('A'), { ...two('B') }]
  pair[0] = { ...two('A'), fields: [{ name: 'f', type: ['null', 'A', two('B') as never] }] }
  assert.throws(() => encode(pair[0], `${'{"f":'.repeat(40)}null${'}'.repeat(40)}`), SchemaDataError)
})

test('few bytes do not become a flood of JSON', { timeout: 5_000 }, () => {
  let schema: object = { type: 'record', name: 'R0', fields: [] }
  for (let at = 1; at <= 35; at++) {
    schema = {
      type: 'record',
      name: `R${at}`,
      fields: [
        { name: 'a', type: schema },
        { name: 'b', type: `R${at - 1}` },
      ],
    }
  }
  assert.throws(() => decode(schema, Buffer.alloc(0)), SchemaDataError)
})
