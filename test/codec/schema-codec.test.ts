// Values in frames: Avro, JSON Schema and Protobuf, by id or subject, and what does not fit.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProduceBody } from '../../src/codec/produce-body.ts'
import type { KnownSchemas, SchemaEncoding } from '../../src/codec/schema-codec.ts'
import { SchemaCodec } from '../../src/codec/schema-codec.ts'
import { SchemaDataError } from '../../src/codec/schema-data-error.ts'
import { ByteWriter } from '../../src/kernel/byte-writer.ts'
import type { SchemaType } from '../../src/kernel/schema-words.ts'
import type { StoredSchema } from '../../src/registry/schema-entity.ts'
import type { ReferencedSchema } from '../../src/registry/schema-format.ts'
import { SCHEMA_FORMATS } from '../../src/registry/schema-formats.ts'

interface Given {
  readonly type: SchemaType
  readonly schema: string
  readonly references?: readonly ReferencedSchema[]
}

/** The first has the id 1. */
function codecWith(...given: readonly Given[]) {
  const stored = given.map(({ type, schema }, at): StoredSchema => {
    return {
      subject: `s${at + 1}`,
      version: 1,
      id: at + 1,
      guid: `g${at + 1}`,
      schemaType: type,
      schema,
      references: [],
      metadata: undefined,
      ruleSet: undefined,
      deleted: false,
      ts: undefined,
    }
  })
  const schemas = {
    failure: undefined,
    revision: 1,
    findById: (id: number) => stored[id - 1],
    isFoundById: () => true,
    aliased: (subject: string) => subject,
    version: (subject: string) => stored.find((one) => one.subject === subject) as StoredSchema,
    versions: (subject: string) => stored.filter((one) => one.subject === subject),
    nearestSubject: () => undefined,
    parsed: (one: StoredSchema) => {
      const { type, schema, references = [] } = given[one.id - 1] as Given
      return SCHEMA_FORMATS[type].parse(schema, references, 'stored')
    },
    charsOf: ({ schema }: StoredSchema) => schema.length,
  } satisfies KnownSchemas
  return new SchemaCodec(schemas)
}

const ENCODING: Readonly<Record<SchemaType, SchemaEncoding>> = {
  AVRO: 'avro',
  JSON: 'jsonschema',
  PROTOBUF: 'protobuf',
}

function encode(given: Given, json: string): Buffer {
  const codec = codecWith(given)
  const bytes = Buffer.from(json)
  const output = new ByteWriter()
  codec.encode(codec.choose(ENCODING[given.type], { id: 1 }), bytes, 0, bytes.length, output)
  return output.written()
}

function decode(given: Given, frame: Buffer) {
  const output = new ByteWriter(4)
  const found = codecWith(given).decode(frame, 0, frame.length, output, 'tagged')
  return { ...found, json: output.written().toString() }
}

const avro = (schema: unknown): Given => ({ type: 'AVRO', schema: JSON.stringify(schema) })
const json = (schema: unknown, references: readonly ReferencedSchema[] = []): Given => ({
  type: 'JSON',
  schema: JSON.stringify(schema),
  references,
})
const proto = (body: string, references: readonly ReferencedSchema[] = []): Given => ({
  type: 'PROTOBUF',
  schema: `syntax = "proto3"; ${body}`,
  references,
})

test('a frame is a zero byte, the id and the value', () => {
  assert.equal(encode(avro('string'), '"hi"').toString('hex'), '0000000001046869')
  assert.equal(encode(json({ type: 'object' }), '{"a":1.0}').toString('latin1'), '\0\0\0\0\x01{"a":1.0}')
  assert.equal(encode(proto('message M { int32 a = 1; }'), '{"a":5}').toString('hex'), '0000000001000805')
})

const BACK: readonly (readonly [given: Given, sent: string, back: string])[] = [
  [avro('long'), '9223372036854775807', '9223372036854775807'],
  [
    avro({ type: 'record', name: 'R', fields: [{ name: 'a', type: ['null', 'string'] }] }),
    '{"a":"x"}',
    '{"a":{"string":"x"}}',
  ],
  [avro('bytes'), '"\\u0000a\\u00ff\\""', '"\\u0000a\u00ff\\""'],
  [avro({ type: 'bytes', logicalType: 'decimal', precision: 4 }), '""', '""'],
  [json(true), '{"big":12345678901234567890}', '{"big":12345678901234567890}'],
  [
    proto('message M { int64 a = 1; fixed64 b = 2; repeated sint64 c = 3; map<string, uint64> d = 4; M m = 5; }'),
    '{"a":9007199254740993,"b":18446744073709551615,"c":[-9223372036854775808,1.8014398509481985e16],"d":{"__proto__":9007199254740995,"k\\"9":1},"m":{"a":9223372036854775807}}',
    '{"a":"9007199254740993","b":"18446744073709551615","c":["-9223372036854775808","18014398509481985"],"d":{"__proto__":"9007199254740995","k\\"9":"1"},"m":{"a":"9223372036854775807","b":"0","c":[],"d":{}}}',
  ],
  [
    proto(
      'import "google/protobuf/wrappers.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/any.proto"; message M { google.protobuf.Int64Value a = 1; google.protobuf.Struct b = 2; google.protobuf.Any c = 3; google.protobuf.Any d = 4; double e = 5; float f = 6; N n = 7; } message N { int64 x_y = 1; }',
    ),
    '{"a":9007199254740993,"b":{"a":9007199254740992},"c":{"@type":"type.googleapis.com/N","xY":9007199254740993},"d":{"@type":"type.googleapis.com/google.protobuf.UInt64Value","value":9007199254740993},"e":1e300,"f":1e20,"n":{"x_y":90071992547409930e-1}}',
    '{"a":"9007199254740993","b":{"a":9007199254740992},"c":{"xY":"9007199254740993","@type":"type.googleapis.com/N"},"d":{"value":"9007199254740993","@type":"type.googleapis.com/google.protobuf.UInt64Value"},"e":1e+300,"f":100000002004087730000,"n":{"xY":"9007199254740993"}}',
  ],
  [
    proto('message M { int64 a = 1; string some_name = 2; repeated int32 list = 3; optional int32 maybe = 4; }'),
    '{"a":"9007199254740993","some_name":"é"}',
    '{"a":"9007199254740993","someName":"é","list":[]}',
  ],
  [
    proto(
      'import "google/protobuf/timestamp.proto"; message M { google.protobuf.Timestamp at = 1; E e = 2; } enum E { ZERO = 0; ONE = 1; }',
    ),
    '{"at":"2026-11-21T02:00:00Z","e":"ONE"}',
    '{"at":"2026-11-21T02:00:00Z","e":"ONE"}',
  ],
]

/** As README.md and openapi.yaml say that values look, with the bytes behind the frame's head. */
const LOOKS: readonly (readonly [given: Given, json: string, hex: string])[] = [
  [avro('bytes'), '"\\u0000ÿ"', '00ff'],
  [avro({ type: 'array', items: 'bytes' }), '["\\u0000ÿ"]', '020400ff00'],
  [avro({ type: 'fixed', name: 'F', size: 2 }), '"aÿ"', '61ff'],
  [avro({ type: 'bytes', logicalType: 'decimal', precision: 4, scale: 2 }), '"\\u0004Ò"', '04d2'],
  [avro({ type: 'int', logicalType: 'date' }), '20778', 'd4c402'],
  [avro({ type: 'int', logicalType: 'time-millis' }), '1000', 'd00f'],
  [avro({ type: 'long', logicalType: 'timestamp-millis' }), '1795226400000', '80d4a7bdbf68'],
  [avro({ type: 'string', logicalType: 'uuid' }), '"u"', '0275'],
  [avro('double'), '"NaN"', '000000000000f87f'],
  [avro(['null', 'int']), 'null', '00'],
  [avro(['null', 'int']), '{"int":1}', '0202'],
  [
    proto('message M { bytes a = 1; fixed64 b = 2; } message N { }'),
    '{"a":"AP8=","b":"1"}',
    '000a0200ff110100000000000000',
  ],
  [json({ type: 'object' }), '{ "a" : 1.0 }', '7b20226122203a20312e30207d'],
]

for (const [given, text, hex] of LOOKS) {
  test(`${given.type}: ${given.schema.slice(0, 60)} is ${text} both ways`, () => {
    const frame = encode(given, text)
    assert.equal(frame.toString('hex'), `0000000001${hex}`)
    assert.equal(decode(given, frame).json, text)
  })
}

const WRITTEN: readonly (readonly [given: Given, sent: string, back: string])[] = [
  [avro(['null', 'int']), '1', '{"int":1}'],
  [
    avro({
      type: 'record',
      name: 'R',
      fields: [
        { name: 'a', type: 'int', default: 7 },
        { name: 'b', type: 'int' },
      ],
    }),
    '{"b":1}',
    '{"a":7,"b":1}',
  ],
  [proto('message M { int32 some_name = 1; } message N { int32 b = 1; }'), '{"some_name":1}', '{"someName":1}'],
  [proto('enum E { ZERO = 0; ONE = 1; } message M { E e = 1; uint64 n = 2; }'), '{"e":1,"n":5}', '{"e":"ONE","n":"5"}'],
]

for (const [given, sent, back] of WRITTEN) {
  test(`${given.type}: ${given.schema.slice(0, 60)} takes ${sent} for ${back}`, () => {
    assert.equal(decode(given, encode(given, sent)).json, back)
  })
}

for (const [given, sent, back] of BACK) {
  test(`${given.type}: ${sent.slice(0, 60)} comes back`, () => {
    const found = decode(given, encode(given, sent))
    assert.equal(found.json, back)
    assert.partialDeepStrictEqual(found, { id: 1, encoding: ENCODING[given.type] })
  })
}

const ADDRESS: ReferencedSchema = {
  name: 'address.json',
  subject: 'address',
  version: 1,
  isDirect: true,
  text: '{"type":"object","required":["city"]}',
}

const prototypeProperty: Given = {
  type: 'JSON',
  schema: '{"properties":{"__proto__":{"type":"string"}},"required":["__proto__"],"additionalProperties":false}',
}

const ORDER: Given = {
  type: 'PROTOBUF',
  schema: `syntax = "proto3";
    package shop;
    import "google/protobuf/timestamp.proto";
    enum State { NEW = 0; PAID = 1; }
    message Order {
      int64 id = 1;
      State state = 2;
      repeated Line lines = 3;
      map<string, Line> by_name = 4;
      map<int32, uint32> counts = 5;
      repeated bool flags = 6;
      bytes raw = 7;
      google.protobuf.Timestamp at = 8;
      oneof choice { string a = 9; string b = 10; }
      Order next = 11;
    }
    message Line { string sku = 1; }`,
}

const MISFITS: readonly (readonly [given: Given, sent: string, message: RegExp])[] = [
  [avro('int'), '"x"', /must be an int/],
  [json({ type: 'object', required: ['a'] }), '{}', /#: must have required property 'a'/],
  [
    json({ properties: { a: { enum: ['x'] } } }),
    '{"a":"y"}',
    /#\/a: must be equal to one of the allowed values: \["x"\]/,
  ],
  [
    json({ $schema: 'http://json-schema.org/draft-04/schema#', type: 'number', maximum: 5, exclusiveMaximum: true }),
    '5',
    /must be < 5/,
  ],
  [
    json({ $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: [{ type: 'string' }] }),
    '[1]',
    /#\/0: must be string/,
  ],
  [
    json({ $schema: 'https://json-schema.org/draft/2019-09/schema', dependentRequired: { a: ['b'] } }),
    '{"a":1}',
    /must have property b/,
  ],
  [
    json({ properties: { n: { oneOf: [{ type: 'string' }, { type: 'integer' }] } } }),
    '{"n":1.5}',
    /^#\/n: must be string or integer$/,
  ],
  [
    json({ anyOf: [{ required: ['a'] }, { properties: { b: { type: 'string' } } }, { type: 'array' }, { const: 1 }] }),
    '{"b":1}',
    /^#: must match a schema in anyOf: must have required property 'a'; or #\/b must be string; or must be array; or 1 more$/,
  ],
  [
    json({ oneOf: [{ type: 'number' }, { minimum: 9 }, { type: 'integer' }] }),
    '1',
    /^#: must match exactly one schema in oneOf, and matches those at 0 and 2$/,
  ],
  [json({ anyOf: [false] }), '1', /^#: must match a schema in anyOf: boolean schema is false$/],
  [json({ required: ['toString'] }), '{}', /toString/],
  [json({ multipleOf: 0.01 }), '4.355', /multiple of 0.01/],
  [json({ pattern: '^(a+)+$' }), JSON.stringify(`${'a'.repeat(100_000)}!`), /must match pattern/],
  [
    json({ properties: { a: { $ref: 'address.json' } } }, [ADDRESS]),
    '{"a":{}}',
    /#\/a: must have required property 'city'/,
  ],
  [
    json({ $id: 'http://example.com/r.json', properties: { a: { $ref: 'address.json' } } }, [ADDRESS]),
    '{"a":{}}',
    /city/,
  ],
  [json({ $ref: '#/$defs/t', definitions: { t: { type: 'string' } } }), '1', /must be string/],
  [json({ definitions: { a: { $ref: '#/definitions/a' } }, $ref: '#/definitions/a' }), '1', /cannot be checked|stack/],
  [proto('message M { int32 a = 1; string some_name = 2; }'), '{"b":1}', /^M has no field "b"; it has a, some_name$/],
  [
    proto('message M { int32 a = 1; }'),
    '{"a":1.5}',
    /^M\.a must be an int32 from -2147483648 to 2147483647, not 1\.5$/,
  ],
  [ORDER, '[]', /^shop\.Order must be an object of the message shop\.Order, not \[\]$/],
  [ORDER, '{"id":"x"}', /^shop\.Order\.id must be an int64 from -9223372036854775808 to 9223372036854775807, not "x"$/],
  [ORDER, '{"state":"PAYD"}', /^shop\.Order\.state must be one of NEW, PAID, not "PAYD"$/],
  [ORDER, '{"lines":[{"sku":"a"},{"sku":5}]}', /^shop\.Order\.lines\[1\]\.sku must be a string, not 5$/],
  [ORDER, '{"lines":[{},7]}', /^shop\.Order\.lines\[1\] must be an object of the message shop\.Line, not 7$/],
  [ORDER, '{"lines":{}}', /^shop\.Order\.lines must be an array, not \{\}$/],
  [ORDER, '{"byName":{"a b":{"skuu":1}}}', /^shop\.Order\.byName\["a b"\] has no field "skuu"; it has sku$/],
  [ORDER, '{"counts":{"1":1,"2":true}}', /^shop\.Order\.counts\["2"\] must be a uint32 .*, not true$/],
  [ORDER, '{"counts":{"x":1}}', /^shop\.Order\.counts\["x"\]: invalid map key/],
  [ORDER, '{"flags":[true,false,true,1,true]}', /^shop\.Order\.flags\[3\] must be true or false, not 1$/],
  [ORDER, '{"flags":true}', /^shop\.Order\.flags must be an array, not true$/],
  [ORDER, '{"raw":"*"}', /^shop\.Order\.raw must be a string of base64, not "\*"$/],
  [ORDER, '{"at":"today"}', /^shop\.Order\.at: .*google\.protobuf\.Timestamp/],
  [ORDER, '{"a":"x","b":"y"}', /^shop\.Order: oneof set multiple times by a and b$/],
  [ORDER, '{"by_name":{},"byName":{}}', /set multiple times/],
  [ORDER, `${'{"next":'.repeat(150)}{}${'}'.repeat(150)}`, /recursion depth/],
  [proto('message M { int32 a = 1; } message N { int32 b = 1; }'), '{"b":1}', /\bb\b/],
  [proto('message M { int64 a = 1; }'), '{"a":9223372036854775808}', /a/],
  [proto('message M { int64 a = 1; }'), '{"a":9007199254740993.5}', /a/],
  [proto('message M { int64 a = 1; }'), '{"a":1e300}', /a/],
  [proto('message M { string a = 1; }'), '{"a":9007199254740993}', /a/],
  [proto('message M { bytes a = 1; }'), '{"a":90071992547409930}', /a/],
  [proto('enum E { A = 0; }'), '{}', /contains no type definitions/],
  [avro('bytes'), '"\u0100"', /must be a string of characters up to/],
  [avro('bytes'), '["a"]', /must be a string of characters up to .*, not \["a"\]/],
  [json({ properties: { pattern: { pattern: '^\\h*$', maxLength: 3 } } }), '{"pattern":"long"}', /#\/pattern/],
  [prototypeProperty, '{"__proto__":5}', /must be string/],
  [prototypeProperty, '{}', /__proto__/],
  [prototypeProperty, '{"__proto__":"x","other":1}', /other/],
]

for (const [given, sent, message] of MISFITS) {
  test(`${given.type}: refuses ${sent.slice(0, 30)} for ${given.schema.slice(0, 60)}`, () => {
    assert.throws(
      () => encode(given, sent),
      (error) => error instanceof SchemaDataError && message.test(error.message),
    )
  })
}

test('what fits is taken: multiples as decimals, references with siblings in draft 7, boolean schemas', () => {
  encode(json({ multipleOf: 0.01 }), '4.35')
  encode(json({ definitions: { t: {} }, properties: { a: { $ref: '#/definitions/t', type: 'string' } } }), '{"a":1}')
  encode(
    json({ definitions: { t: {} }, properties: { default: { $ref: '#/definitions/t', type: 'string' } } }),
    '{"default":1}',
  )
  encode(prototypeProperty, '{"__proto__":"x"}')
  encode(json(true), '1')
  assert.throws(() => encode(json(false), '1'))
})

test('patterns that no engine here knows are not checked, wherever they stand', () => {
  const unknown = { pattern: '^\\h*a++$' }
  encode(json({ type: 'string', ...unknown }), '"b"')
  encode(json({ not: unknown }), '"b"')
  encode(json({ if: unknown, else: false }), '"b"')
  encode(json({ oneOf: [unknown, { type: 'string' }] }), '"b"')
  encode(json({ patternProperties: { '\\h': false }, additionalProperties: false }), '{"b":1}')
  assert.throws(() => encode(json({ type: 'string', ...unknown }), '1'), SchemaDataError)
})

const NESTED = proto(
  'message A { message B { message C { int32 x = 1; } map<string, int32> m = 2; } message D { int32 y = 1; } } message E { int32 z = 1; }',
)

for (const [hex, back] of [
  ['00', '{}'],
  ['0200', '{}'],
  ['02020805', '{"z":5}'],
  ['0400020805', '{"y":5}'],
  ['060000000805', '{"x":5}'],
  // counted with what the map's entries are: C is the second in B
  ['060000020805', '{"x":5}'],
] as const) {
  test(`reads which message it is: ${hex}`, () => {
    assert.equal(decode(NESTED, Buffer.from(`0000000001${hex}`, 'hex')).json, back)
  })
}

test('reads messages of clients that write no positions', () => {
  const given = proto('message M { string a = 1; }')
  assert.equal(decode(given, Buffer.from('00000000010a026869', 'hex')).json, '{"a":"hi"}')
})

test('says why a value cannot be shown, and leaves alone what is no frame', () => {
  const given = avro('string')
  const { error, json: found } = decode(given, Buffer.from('00000000010a61', 'hex')) as { error?: string; json: string }
  assert.match(error ?? '', /ends before its end/)
  assert.equal(found, '')
  for (const hex of ['', '00', '00000001', '0100000001', '7b7d']) {
    assert.deepEqual(decode(given, Buffer.from(hex, 'hex')), { json: '' })
  }
  const unknown = { id: undefined, error: 'no schema has the id 2', takenBack: 0, json: '' }
  assert.deepEqual(decode(given, Buffer.from('0000000002', 'hex')), unknown)
})

test('chooses by id, or by subject, of the right format', () => {
  const codec = codecWith(avro('int'), json(true))
  assert.deepEqual(codec.choose('jsonschema', { subject: 's2' }), { id: 2, encoding: 'jsonschema' })
  assert.throws(() => codec.choose('avro', { id: 3 }), { code: 'schema_not_found' })
  assert.throws(() => codec.choose('avro', { id: 2 }), {
    code: 'invalid_record',
    message: /schema 2 is jsonschema, not avro/,
  })
})

test('the frames of a request stay as they are, however many follow', () => {
  const typed = { schemas: codecWith(avro('string')), topic: 't', engine: { findTopic: () => undefined } }
  const texts = Array.from({ length: 300 }, (_, at) => `${at} `.repeat(at))
  const records = texts.map((value) => ({ key: value, value, key_schema_id: 1, schema_id: 1 }))
  const body = { records, key_encoding: 'avro', value_encoding: 'avro' }
  for (const [at, record] of parseProduceBody(Buffer.from(JSON.stringify(body)), typed).entries()) {
    const { key, keyStart, keyEnd, value, valueStart, valueEnd } = record
    const expected = encode(avro('string'), JSON.stringify(texts[at]))
    assert.deepEqual(value.subarray(valueStart, valueEnd), expected)
    assert.deepEqual(key.subarray(keyStart, keyEnd), expected)
  }
})

test('what a schema is compiled to outlives changes of something else, not of what it was compiled from', () => {
  let parses = 0
  const stored = (guid: string, schema: string, more: Partial<StoredSchema> = {}): StoredSchema => ({
    subject: 's',
    version: 1,
    id: 1,
    guid,
    schemaType: 'AVRO',
    schema,
    references: [],
    metadata: undefined,
    ruleSet: undefined,
    deleted: false,
    ts: undefined,
    ...more,
  })
  const parse = (schema: string) => SCHEMA_FORMATS.AVRO.parse(schema, [], 'stored')
  let one: StoredSchema | undefined = stored('a', '"int"')
  let parsed = parse('"int"')
  const schemas = {
    failure: undefined,
    revision: 1,
    findById: () => one,
    version: () => one as StoredSchema,
    parsed: () => {
      parses++
      return parsed
    },
    charsOf: () => 5,
    isFoundById: () => true,
    aliased: (subject: string) => subject,
    versions: () => [],
    nearestSubject: () => undefined,
  }
  const codec = new SchemaCodec(schemas satisfies KnownSchemas)
  const encoded = (json: string) => {
    const output = new ByteWriter()
    schemas.revision++
    codec.encode({ id: 1, encoding: 'avro' }, Buffer.from(json), 0, json.length, output)
    return output.written().toString('hex', 5)
  }
  assert.deepEqual([encoded('5'), encoded('5'), parses], ['0a', '0a', 1])
  one = stored('a', '"int"', { deleted: true })
  assert.deepEqual([encoded('5'), parses], ['0a', 1])
  one = stored('b', '"string"')
  parsed = parse('"string"')
  assert.deepEqual([encoded('"5"'), encoded('"5"'), parses], ['0235', '0235', 2])
  one = undefined
  assert.throws(() => encoded('"5"'), /no schema with the id 1/)
  one = stored('c', '"R"', { references: [{ name: 'R', subject: 'r', version: 1 }] })
  assert.equal(encoded('"5"'), '0235')
  parsed = parse('"int"')
  assert.deepEqual([encoded('5'), encoded('5')], ['0a', '0a'])
})

test('a few bytes of Protobuf become no flood: empty messages are made with all their fields', () => {
  const fields = Array.from({ length: 1_000 }, (_, at) => `int32 field_number_${at} = ${at + 1};`).join(' ')
  const given = proto(`import "google/protobuf/any.proto";
    message M { repeated W w = 1; map<int32, W> m = 2; google.protobuf.Any any = 3; }
    message W { ${fields} }`)
  const frame = (tag: string, count: number) => Buffer.from(`000000000100${`${tag}00`.repeat(count)}`, 'hex')
  const flood = /the value has more than 16777216 characters/
  assert.equal(JSON.parse(decode(given, frame('0a', 100)).json).w.length, 100)
  for (const tag of ['0a', '12']) {
    const { error, json: found } = decode(given, frame(tag, 100_000)) as { error?: string; json: string }
    assert.match(error ?? '', flood)
    assert.equal(found, '')
  }
  const list = proto('message M { repeated bool b = 1; repeated string s = 2; }')
  const packed = (length: number) => {
    const size = [(length % 128) | 0x80, ((length >> 7) % 128) | 0x80, ((length >> 14) % 128) | 0x80, length >> 21]
    return Buffer.concat([Buffer.from('0000000001000a', 'hex'), Buffer.from(size), Buffer.alloc(length, 1)])
  }
  assert.equal(JSON.parse(decode(list, packed(2_097_000)).json).b.length, 2_097_000)
  for (const bytes of [
    packed(4_000_000),
    Buffer.concat([packed(0).subarray(0, 6), Buffer.alloc(8_000_000, '0801', 'hex')]),
  ]) {
    assert.match((decode(list, bytes) as { error?: string }).error ?? '', flood)
  }
  const many = (count: number) => Array.from({ length: count }, () => ({}))
  assert.equal(decode(given, encode(given, JSON.stringify({ w: many(100) }))).json.length > 100, true)
  for (const value of [
    { w: many(100_000) },
    { m: { ...many(100_000) } },
    { any: { '@type': 'type.googleapis.com/M', w: many(100_000) } },
  ]) {
    assert.throws(() => encode(given, JSON.stringify(value)), flood)
  }
})
