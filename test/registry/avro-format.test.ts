// Avro as a schema format: what is taken, how it is stored, and what reads what.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { avroFormat } from '../../src/registry/avro/avro-format.ts'
import type { ReferencedSchema } from '../../src/registry/schema-format.ts'
import { AVRO_VERDICTS } from './avro-verdicts.ts'

const WORDS = { reader: 'new', writer: 'old' }

const parse = (text: string, references: readonly ReferencedSchema[] = []) => avroFormat.parse(text, references, 'new')

for (const { rule, reader, writer, faults } of AVRO_VERDICTS) {
  test(`reading, ${rule}`, () => {
    const found = avroFormat
      .parse(reader, [], 'stored')
      .incompatibilities(avroFormat.parse(writer, [], 'stored'), WORDS)
    const seen = found.map((message) => [/errorType:'(\w+)'/.exec(message)?.[1], /path '([^']*)'/.exec(message)?.[1]])
    assert.deepEqual(seen, faults)
  })
}

const R = '{"type":"record","name":"R","fields":['

const CANONICAL: readonly (readonly [what: string, text: string, stored: string])[] = [
  ['a primitive in an object', '{"type":"string"}', '"string"'],
  ['a primitive in two objects', '{"type":{"type":"string"}}', '"string"'],
  ['white space', ' [ "null" ,\n"int" ] ', '["null","int"]'],
  [
    'a logical type',
    '{"logicalType":"decimal","scale":2,"type":"bytes","precision":4}',
    '{"type":"bytes","logicalType":"decimal","scale":2,"precision":4}',
  ],
  ['a full name', `{"name":"a.b.C","type":"fixed","size":2}`, '{"type":"fixed","name":"C","namespace":"a.b","size":2}'],
  [
    'the order of members',
    '{"x":1,"fields":[{"y":2,"aliases":["b"],"order":"ignore","default":1,"doc":"d","type":"int","name":"a"}],"aliases":["S"],"doc":"D","namespace":"n","name":"R","type":"record"}',
    '{"type":"record","name":"R","namespace":"n","doc":"D","fields":[{"name":"a","type":"int","doc":"d","default":1,"order":"ignore","aliases":["b"],"y":2}],"x":1,"aliases":["S"]}',
  ],
  [
    'an order that goes without saying',
    `${R}{"name":"a","type":"int","order":"ascending"}]}`,
    `${R}{"name":"a","type":"int"}]}`,
  ],
  [
    'a namespace that goes without saying, and one that does not',
    '{"type":"record","name":"a.R","fields":[{"name":"x","type":{"type":"fixed","name":"a.F","size":1}},{"name":"y","type":{"type":"fixed","name":"G","namespace":"","size":1}},{"name":"z","type":"a.F"}]}',
    '{"type":"record","name":"R","namespace":"a","fields":[{"name":"x","type":{"type":"fixed","name":"F","size":1}},{"name":"y","type":{"type":"fixed","name":"G","namespace":"","size":1}},{"name":"z","type":"F"}]}',
  ],
  [
    'numbers as Java’s doubles',
    `${R}{"name":"a","type":"double","default":1e2},{"name":"b","type":"double","default":1.50},{"name":"c","type":"double","default":1},{"name":"d","type":"double","default":1e20}]}`,
    `${R}{"name":"a","type":"double","default":100.0},{"name":"b","type":"double","default":1.5},{"name":"c","type":"double","default":1},{"name":"d","type":"double","default":1.0E20}]}`,
  ],
  [
    'a text for a number',
    `${R}{"name":"a","type":"double","default":"1.5"},{"name":"b","type":"float","default":"NaN"}]}`,
    `${R}{"name":"a","type":"double","default":1.5},{"name":"b","type":"float","default":"NaN"}]}`,
  ],
  [
    'a default of null',
    `${R}{"name":"a","type":["null","int"],"default":null}]}`,
    `${R}{"name":"a","type":["null","int"],"default":null}]}`,
  ],
  ['properties that are null', '{"type":"array","items":"int","x":null}', '{"type":"array","items":"int","x":null}'],
  [
    'big numbers in properties',
    '{"type":"map","values":"int","x":12345678901234567890}',
    '{"type":"map","values":"int","x":12345678901234567890}',
  ],
  [
    'letters as they are',
    `{"type":"enum","name":"E","doc":"é \\u00e9 \\"\\\\","symbols":["A"]}`,
    `{"type":"enum","name":"E","doc":"é é \\"\\\\","symbols":["A"]}`,
  ],
  [
    'aliases near by',
    '{"type":"fixed","name":"a.F","size":1,"aliases":["a.G","b.H","I"]}',
    '{"type":"fixed","name":"F","namespace":"a","size":1,"aliases":["G","b.H","I"]}',
  ],
]

for (const [what, text, stored] of CANONICAL) {
  test(`is stored with ${what}`, () => {
    assert.equal(parse(text).canonical, stored)
    assert.equal(parse(stored).canonical, stored)
  })
}

const NORMALIZED: readonly (readonly [text: string, normalized: string])[] = [
  ['{"type":"string"}', '"string"'],
  [
    '{"type":"record","name":"R","namespace":"n","doc":"","aliases":["Z","A"],"z":{"b":1,"a":2},"y":1,"fields":[{"name":"a","type":"int","b":1,"a":{"d":1,"c":2},"aliases":["y","x"]}]}',
    '{"name":"n.R","type":"record","fields":[{"name":"a","type":"int","order":"ascending","aliases":["x","y"],"a":{"c":2,"d":1},"b":1}],"aliases":["n.A","n.Z"],"y":1,"z":{"a":2,"b":1}}',
  ],
  [
    '{"x":1,"scale":0,"precision":4,"logicalType":"decimal","type":"bytes"}',
    '{"type":"bytes","logicalType":"decimal","precision":4,"x":1}',
  ],
  [
    '{"type":"enum","name":"E","symbols":["b","a"],"default":"a"}',
    '{"name":"E","type":"enum","symbols":["b","a"],"default":"a"}',
  ],
]

for (const [text, normalized] of NORMALIZED) {
  test(`is normalised: ${normalized.slice(0, 60)}`, () => {
    assert.equal(parse(text).normalized, normalized)
    assert.equal(parse(normalized).normalized, normalized)
  })
}

const REFUSED: readonly (readonly [text: string, message: RegExp])[] = [
  ['string', /malformed JSON/],
  ['1', /not yet supported/],
  ['"foo"', /Undefined name: "foo"/],
  ['{"type":"foo"}', /Undefined name/],
  ['{"name":"x"}', /No type/],
  ['{"type":"record","fields":[]}', /No name/],
  ['{"type":"record","name":"a-b","fields":[]}', /Illegal character/],
  ['{"type":"record","name":"1a","fields":[]}', /Illegal character/],
  ['{"type":"record","name":"é","fields":[]}', /Illegal character/],
  ['{"type":"record","name":"a","namespace":"a-b","fields":[]}', /Illegal character/],
  ['{"type":"record","name":"a","namespace":"a..b","fields":[]}', /Empty name/],
  ['{"type":"record","name":"int","fields":[]}', /named after primitives/],
  ['{"type":"record","name":"R"}', /Record has no fields/],
  ['{"type":"record","name":"R","fields":{}}', /Record has no fields/],
  [`${R}{"name":"a"}]}`, /No field type/],
  [`${R}{"type":"int"}]}`, /No field name/],
  [`${R}{"name":"a","type":"foo"}]}`, /not a defined name/],
  [`${R}{"name":"a","type":"int"},{"name":"a","type":"int"}]}`, /Duplicate field a/],
  [`${R}{"name":"a","type":{"type":"fixed","name":"R","size":1}}]}`, /Can't redefine: R/],
  ['{"type":"enum","name":"E"}', /no symbols/],
  ['{"type":"enum","name":"E","symbols":["a","a"]}', /Duplicate enum symbol/],
  ['{"type":"enum","name":"E","symbols":["a-b"]}', /Illegal character/],
  ['{"type":"enum","name":"E","symbols":["a"],"default":"b"}', /Enum Default/],
  ['{"type":"fixed","name":"F"}', /no size/],
  ['{"type":"fixed","name":"F","size":-1}', /no size/],
  ['{"type":"array"}', /no items/],
  ['{"type":"map"}', /no values/],
  ['["int","int"]', /Duplicate in union: int/],
  ['["int",["string"]]', /Nested union/],
  ['[{"type":"fixed","name":"F","size":1},"F"]', /Duplicate in union: F/],
  [`${R}{"name":"a","type":"int","default":"1"}]}`, /Invalid default/],
  [`${R}{"name":"a","type":"int","default":1.5}]}`, /Invalid default/],
  [`${R}{"name":"a","type":"int","default":2147483648}]}`, /Invalid default/],
  [`${R}{"name":"a","type":"long","default":9223372036854775808}]}`, /Invalid default/],
  [`${R}{"name":"a","type":"string","default":null}]}`, /Invalid default/],
  [`${R}{"name":"a","type":{"type":"array","items":"int"},"default":["x"]}]}`, /Invalid default/],
  [`${R}{"name":"a","type":"double","default":"x"}]}`, /For input string/],
  [`${R}{"name":"a","type":"int","order":"up"}]}`, /no order/],
  [`${'{"type":"array","items":'.repeat(300)}"int"${'}'.repeat(300)}`, /nested too deeply/],
  [
    `{"type":"enum","name":"E","symbols":${JSON.stringify(Array.from({ length: 20_001 }, (_, at) => `s${at}`))}}`,
    /more than 20000/,
  ],
]

for (const [text, message] of REFUSED) {
  test(`refuses ${text.slice(0, 70)}`, () => {
    assert.throws(() => parse(text), { code: 'invalid_schema', message })
  })
}

test('takes defaults of any branch, of records that name themselves, and what is odd but allowed', () => {
  for (const text of [
    `${R}{"name":"a","type":["string","null"],"default":null}]}`,
    `${R}{"name":"a","type":["null","R"],"default":{}},{"name":"b","type":"int","default":1}]}`,
    '{"type":"enum","name":"E","symbols":[]}',
    '{"type":"bytes","logicalType":"decimal"}',
    '[]',
    R.concat(']}'),
  ]) {
    parse(text)
  }
})

test('takes again what was taken once: bad defaults, letters of any script', () => {
  avroFormat.parse(`${R}{"name":"a","type":"int","default":"x"}]}`, [], 'stored')
  avroFormat.parse('{"type":"record","name":"é","fields":[]}', [], 'stored')
})

const ITEM = {
  name: 'a.Item',
  subject: 'item',
  version: 1,
  isDirect: true,
  text: '{"type":"record","name":"a.Item","fields":[{"name":"id","type":"int"}]}',
}
const ORDER =
  '{"type":"record","name":"a.Order","fields":[{"name":"item","type":"a.Item"},{"name":"more","type":{"type":"array","items":"Item"}}]}'

test('finds the types of its references, prints their names, and writes them out when it is asked to', () => {
  const order = parse(ORDER, [ITEM])
  assert.equal(
    order.canonical,
    '{"type":"record","name":"Order","namespace":"a","fields":[{"name":"item","type":"Item"},{"name":"more","type":{"type":"array","items":"Item"}}]}',
  )
  const resolved =
    '{"type":"record","name":"Order","namespace":"a","fields":[{"name":"item","type":{"type":"record","name":"Item","fields":[{"name":"id","type":"int"}]}},{"name":"more","type":{"type":"array","items":"Item"}}]}'
  assert.equal(order.formatted('resolved'), resolved)
  assert.equal(order.formatted('anything'), order.canonical)
  assert.equal(order.meaning, parse(resolved).meaning)
  assert.equal(order.recordName, 'a.Order')
  assert.throws(() => parse(ORDER), { code: 'invalid_schema', message: /not a defined name/ })
  assert.throws(() => parse(ITEM.text, [ITEM]), { code: 'invalid_schema', message: /Can't redefine: a.Item/ })
})

test('is the same schema whatever the order of members, and another one with another doc', () => {
  const left = parse(`${R}{"name":"a","type":"int","doc":"x"}]}`)
  assert.equal(
    left.meaning,
    parse('{"fields":[{"doc":"x","type":"int","name":"a"}],"name":"R","type":"record"}').meaning,
  )
  assert.notEqual(left.meaning, parse(`${R}{"name":"a","type":"int","doc":"y"}]}`).meaning)
})

test('words what keeps a reader from reading', () => {
  const messages = parse(`${R}{"name":"a","type":"int"}]}`).incompatibilities(parse(`${R}]}`), WORDS)
  assert.deepEqual(messages, [
    "{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'a' at path '/fields/0' in the new schema has no default value and is missing in the old schema', additionalInfo:'a'}",
  ])
})

test('a field whose aliases are two fields of the writer makes the two incompatible', () => {
  const reader = parse(`${R}{"name":"c","type":"int","aliases":["a","b"]}]}`)
  const writer = parse(`${R}{"name":"a","type":"int"},{"name":"b","type":"int"}]}`)
  assert.deepEqual(reader.incompatibilities(writer, WORDS), [
    'Unexpected exception during compatibility check: Reader record field c matches multiple fields in writer record schema R',
  ])
})

test('gives up a comparison that would take for ever', () => {
  const wide = (type: string) =>
    `[${Array.from({ length: 1500 }, (_, at) => `{"type":"record","name":"R${at}","fields":[{"name":"f","type":"${type}"}]}`).join(',')}]`
  assert.throws(() => parse(wide('int')).incompatibilities(parse(wide('string')), WORDS), {
    code: 'invalid_schema',
    message: /too expensive/,
  })
})
