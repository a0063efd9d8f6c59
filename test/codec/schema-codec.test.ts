// Values in frames: Avro, JSON Schema and Protobuf, by id or subject, and what does not fit.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProduceBody } from '../../src/codec/produce-body.ts'
import type { KnownSchemas, SchemaEncoding } from '../../src/codec/schema-codec.ts'
import { SchemaCodec } from '../../src/codec/schema-codec.ts'
import { SchemaDataError } from '../../src/codec/schema-data-error.ts'
import { ByteWriter } from '../../src/kernel/byte-writer.ts'
import type { StoredSchema } from '../../src/registry/schema-entity.ts'
import type { ReferencedSchema, SchemaType } from '../../src/registry/schema-format.ts'
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
    version: (subject: string) => stored.find((one) => one.subject === subject) as StoredSchema,
    parsed: (one: StoredSchema) => {
      const { type, schema, references = [] } = given[one.id - 1] as Given
      return SCHEMA_FORMATS[type].parse(schema, references, 'stored')
    },
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
  [json(true), '{"big":12345678901234567890}', '{"big":12345678901234567890}'],
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
  [proto('enum E { A = 0; }'), '{}', /contains no type definitions/],
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
  encode(json(true), '1')
  assert.throws(() => encode(json(false), '1'))
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
  for (const hex of ['', '00', '00000001', '0100000001', '0000000002', '7b7d']) {
    assert.deepEqual(decode(given, Buffer.from(hex, 'hex')), { json: '' })
  }
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
  const typed = { schemas: codecWith(avro('string')), topic: 't' }
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
