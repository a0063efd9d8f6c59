// Protobuf as a schema format: what is taken, how it is stored, what its descriptors say, and what reads what.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, createFileRegistry, fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import protobufjs from 'protobufjs'
import { describeProto } from '../../src/registry/protobuf/proto-descriptor.ts'
import type { ProtobufSchema } from '../../src/registry/protobuf/protobuf-format.ts'
import { protobufFormat } from '../../src/registry/protobuf/protobuf-format.ts'
import type { ReferencedSchema } from '../../src/registry/schema-format.ts'
import { PROTOBUF_VERDICTS } from './protobuf-verdicts.ts'

const WORDS = { reader: 'new', writer: 'old' }

const parse = (text: string, references: readonly ReferencedSchema[] = []) =>
  protobufFormat.parse(text, references, 'new') as ProtobufSchema

const withSyntax = (text: string) => (text.startsWith('syntax') ? text : `syntax = "proto3"; ${text}`)

for (const { rule, reader, writer, faults } of PROTOBUF_VERDICTS) {
  test(`reading, ${rule}`, () => {
    const found = parse(withSyntax(reader)).incompatibilities(parse(withSyntax(writer)), WORDS)
    const seen = found.map((message) => [/errorType:"(\w+)"/.exec(message)?.[1], /'([^']*)'/.exec(message)?.[1]])
    assert.deepEqual(seen, faults)
  })
}

const ORDER = `syntax = "proto3";
package shop;

import "google/protobuf/timestamp.proto";

message Order {
  string id = 1;
  google.protobuf.Timestamp at = 2;

  oneof pay {
    string card = 3;
    int64 cash = 4;
  }

  enum State {
    NEW = 0;
  }
}
`

const CANONICAL: readonly (readonly [what: string, text: string, stored: string])[] = [
  ['what is stored already', ORDER, ORDER],
  [
    'comments, blanks and enums in front',
    `// c\nsyntax="proto3";/* x\n */package shop;import "google/protobuf/timestamp.proto";message Order{string id=1;enum State{NEW=0;}google.protobuf.Timestamp at=2;oneof pay{string card=3;int64 cash=0x4;};}`,
    ORDER,
  ],
  ['no syntax and no package', 'message M {}', '\nmessage M {}\n'],
  [
    'one option and several',
    'syntax = "proto3"; message M { int32 a = 1 [deprecated = true]; int32 b = 2 [json_name = "x", deprecated = true]; }',
    'syntax = "proto3";\n\nmessage M {\n  int32 a = 1 [deprecated = true];\n  int32 b = 2 [\n    deprecated = true,\n    json_name = "x"\n  ];\n}\n',
  ],
  [
    'strings that stand together, and escapes',
    `syntax = "proto3"; option java_package = 'a' "b\\x41\\n\\"é"; message M {}`,
    'syntax = "proto3";\n\noption java_package = "abA\\n\\"é";\n\nmessage M {}\n',
  ],
  [
    'ranges',
    'syntax = "proto2"; message M { reserved 5 to 9, 11; reserved "a", "b"; extensions 100 to max; }',
    'syntax = "proto2";\n\nmessage M {\n  reserved 5 to 9, 11;\n  reserved "a", "b";\n\n  extensions 100 to max;\n}\n',
  ],
  [
    'public imports behind the others',
    'syntax = "proto3"; import public "google/protobuf/any.proto"; import "google/protobuf/empty.proto"; message M {}',
    'syntax = "proto3";\n\nimport "google/protobuf/empty.proto";\nimport public "google/protobuf/any.proto";\n\nmessage M {}\n',
  ],
  [
    'services',
    'syntax = "proto3"; message M {} service S { rpc A (stream M) returns (M); rpc B (M) returns (stream M) { option deprecated = true; } }',
    'syntax = "proto3";\n\nmessage M {}\n\nservice S {\n  rpc A (stream M) returns (M);\n  rpc B (M) returns (stream M) {\n    option deprecated = true;\n  };\n}\n',
  ],
  [
    'groups, maps and labels',
    'syntax = "proto2"; message M { required int32 a = 1; repeated group G = 2 { optional string x = 1; } map<string, M> m = 3; }',
    'syntax = "proto2";\n\nmessage M {\n  required int32 a = 1;\n  map<string, M> m = 3;\n\n  repeated group G = 2 {\n    optional string x = 1;\n  }\n}\n',
  ],
  [
    'an edition',
    'edition = "2023"; message M { int32 a = 1 [features.field_presence = IMPLICIT]; }',
    'edition = "2023";\n\nmessage M {\n  int32 a = 1 [features.field_presence = IMPLICIT];\n}\n',
  ],
]

for (const [what, text, stored] of CANONICAL) {
  test(`is stored with ${what}`, () => {
    assert.equal(parse(text).canonical, stored)
    assert.equal(parse(stored).canonical, stored)
  })
}

test('is normalised: names in full, parts by their numbers, messages in their order', () => {
  const text = `syntax = "proto3"; package p; import "google/protobuf/empty.proto"; import "google/protobuf/any.proto";
    message B { A y = 2; oneof second { int32 s = 9; } oneof first { int32 f = 4; } string x = 1; reserved 30 to 31, 20; }
    message A { google.protobuf.Any any = 1; enum E { Z = 0; Y = 2; X = 1; } }`
  const normalized = `syntax = "proto3";
package p;

import "google/protobuf/any.proto";
import "google/protobuf/empty.proto";

message B {
  reserved 20;
  reserved 30 to 31;

  string x = 1;
  .p.A y = 2;

  oneof first {
    int32 f = 4;
  }
  oneof second {
    int32 s = 9;
  }
}
message A {
  .google.protobuf.Any any = 1;

  enum E {
    Z = 0;
    X = 1;
    Y = 2;
  }
}
`
  assert.equal(parse(text).normalized, normalized)
  assert.equal(parse(normalized).normalized, normalized)
})

const ALIKE: readonly (readonly [what: string, one: string, other: string])[] = [
  [
    'numbers of options',
    'message M { optional int32 a = 1 [default = 0x10]; optional int32 b = 2 [default = -010]; optional float c = 3 [default = 1.50]; }',
    'message M { optional int32 a = 1 [default = 16]; optional int32 b = 2 [default = -8]; optional float c = 3 [default = 15e-1]; }',
  ],
  [
    'large numbers',
    'message M { optional uint64 a = 1 [default = 0xffffffffffffffff]; }',
    'message M { optional uint64 a = 1 [default = 18446744073709551615]; }',
  ],
  [
    'names of custom options',
    'message M { optional int32 a = 1 [(o) = "x"]; }',
    'message M { optional int32 a = 1 [(.p.o) = "x"]; }',
  ],
  [
    'names of custom options and others',
    'message M { optional int32 a = 1 [(o) = "x", deprecated = true]; }',
    'message M { optional int32 a = 1 [deprecated = true, (p.o) = "x"]; }',
  ],
  [
    'parts of a custom option',
    'message M { option (m).doc = "x"; option (m).in.a = 1; option (m).tags = "s"; option (m).in.b = 0x2; option (m).tags = "t"; }',
    'message M { option (p.m) = { tags: ["s", "t"], in { b: 2 a: 1 } doc: "x" }; }',
  ],
  ['extensions in a custom option', 'message M { option (m) = { [p.e]: 1 }; }', 'message M { option (m).(e) = 1; }'],
]

for (const [what, one, other] of ALIKE) {
  test(`normalised it is one text: ${what}`, () => {
    const head = `syntax = "proto2"; package p; import "google/protobuf/descriptor.proto";
      message Meta { optional string doc = 1; repeated string tags = 2; optional In in = 3; extensions 10 to 20; message In { optional int32 a = 1; optional int32 b = 2; } }
      extend google.protobuf.FieldOptions { optional string o = 50000; } extend google.protobuf.MessageOptions { optional Meta m = 50000; } extend Meta { optional int32 e = 10; }`
    const { normalized } = parse(`${head} ${one}`)
    assert.equal(parse(`${head} ${other}`).normalized, normalized)
    assert.equal(parse(normalized).normalized, normalized)
  })
}

test('normalised, repeated custom options stay several, in their order', () => {
  const text =
    'import "google/protobuf/descriptor.proto"; extend google.protobuf.FieldOptions { repeated int32 r = 50000; } message M { optional int32 a = 1 [(r) = 2, (r) = 1]; }'
  assert.match(parse(text).normalized, /\(r\) = 2,\s+\(r\) = 1/)
})

test('fields whose names in JSON are the same are two in proto2 alone', () => {
  parse('message M { optional string a_b = 1; optional string aB = 2; }')
  parse(
    'edition = "2023"; option features.json_format = LEGACY_BEST_EFFORT; message M { string a_b = 1; string aB = 2; }',
  )
  protobufFormat.parse('syntax = "proto3"; message M { string a_b = 1; string aB = 2; }', [], 'stored')
})

const REFUSED: readonly (readonly [text: string, message: RegExp])[] = [
  ['', /^$/],
  ['garbage', /line 1, column 1: expected package/],
  ['syntax = "proto4"; message M {}', /no syntax "proto4"/],
  ['message M { int32 a = 1 }', /expected ';'/],
  ['message M { int32 a = 0; }', /numbers go from 1/],
  ['message M { optional int32 a = 19000; }', /Protobuf's own/],
  ['message M { optional int32 a = 536870912; }', /numbers go from 1/],
  ['message M { optional int32 a = 99999999999; }', /too large/],
  ['message M { optional int32 a = 1; optional int32 b = 1; }', /the number 1 is taken/],
  ['message M { optional int32 a = 1; optional int32 a = 2; }', /a field of that name/],
  ['message M { reserved 1; optional int32 a = 1; }', /is reserved/],
  ['message M { reserved "a"; optional int32 a = 1; }', /name is reserved/],
  ['message M { optional Foo a = 1; }', /Could not resolve type: Foo/],
  ['import "foo.proto"; message M {}', /Could not resolve import: foo.proto/],
  ['package a; package b; message M {}', /a package already/],
  ['message M {} message M {}', /defined twice/],
  ['syntax = "proto3"; enum E { A = 1; }', /first value of a proto3 enum is 0/],
  ['enum E { A = 0; B = 0; }', /allow_alias/],
  ['enum E { A = 0; A = 1; }', /value of that name/],
  ['message M { map<float, int32> a = 1; }', /keys of a map cannot be float/],
  ['syntax = "proto3"; message M { required int32 a = 1; }', /no required/],
  ['syntax = "proto3"; message M { int32 a = 1 [default = 1]; }', /no defaults/],
  [
    'syntax = "proto3"; message M { string a_b = 1; string aB = 2; }',
    /field aB of M: in JSON .* of the field a_b, aB$/,
  ],
  ['edition = "2023"; message M { string a_b = 1; string aB = 2; }', /field aB of M: in JSON/],
  ['message M { optional string a = 1 [json_name = "b"]; optional string b = 2; }', /field b of M: in JSON/],
  ['message M { oneof o { optional int32 a = 1; } }', /no label/],
  ['message M { oneof o {} }', /has no field/],
  ['service S { rpc A (Foo) returns (Foo); }', /Could not resolve type: Foo/],
  ['message M { optional string a = 1 [default = "\\q"]; }', /no escape/],
  [`${'message M { '.repeat(40)}${'}'.repeat(40)}`, /nested too deeply/],
  [
    `message M { ${Array.from({ length: 5001 }, (_, at) => `optional int32 f${at} = ${at + 1};`).join(' ')} }`,
    /at most 5000 fields/,
  ],
]

for (const [text, message] of REFUSED.slice(1)) {
  test(`refuses ${text.slice(0, 70)}`, () => {
    assert.throws(() => parse(text), { code: 'invalid_schema', message })
  })
}

test('is parsed in time that grows with the text alone', () => {
  const fields = Array.from({ length: 5000 }, (_, at) => `int32 field_${at} = ${at + 1 < 19_000 ? at + 1 : at + 2000};`)
  const messages = Array.from({ length: 10 }, (_, at) => `message M${at} { ${fields.join('\n')} }`)
  const start = performance.now()
  parse(`syntax = "proto3"; ${messages.join('\n')} /* ${'*'.repeat(100_000)}`.concat(' */'))
  assert.ok(performance.now() - start < 5_000)
})

const COMMON: ReferencedSchema = {
  name: 'common/money.proto',
  subject: 'money',
  version: 1,
  isDirect: true,
  text: 'syntax = "proto3"; package common; message Money { string currency = 1; int64 units = 2; }',
}

test('finds types in its references, and in what these import publicly, and nowhere else', () => {
  const wallet = 'syntax = "proto3"; import "common/all.proto"; message Wallet { common.Money money = 1; }'
  const all = (kind: string): ReferencedSchema => ({
    name: 'common/all.proto',
    subject: 'all',
    version: 1,
    isDirect: true,
    text: `syntax = "proto3"; import ${kind} "common/money.proto";`,
  })
  parse(wallet, [COMMON, all('public')])
  assert.throws(() => parse(wallet, [COMMON, all('')]), /Could not resolve type: common.Money/)
})

test('compares messages of other files by what is in them', () => {
  const wallet = 'syntax = "proto3"; import "common/money.proto"; message Wallet { common.Money money = 1; }'
  const other = (text: string) =>
    parse(wallet, [{ ...COMMON, version: 2, text: `syntax = "proto3"; package common; message Money { ${text} }` }])
  const before = parse(wallet, [COMMON])
  assert.deepEqual(other('string currency = 1; int64 units = 2; int32 nanos = 3;').incompatibilities(before, WORDS), [])
  assert.deepEqual(other('double currency = 1;').incompatibilities(before, WORDS), [
    `{errorType:"FIELD_NAMED_TYPE_CHANGED", description:"The type of a MESSAGE field at path '#/Wallet/1' in the new schema does not match its type in the old schema"}`,
  ])
})

const RICH = `syntax = "proto3"; package rich;
import "google/protobuf/timestamp.proto"; import "google/type/money.proto"; import "common/money.proto";
message Rich {
  message Inner { bytes raw = 1; Inner inner = 2; }
  enum Color { RED = 0; GREEN = 1; }
  string some_name = 1; optional int32 maybe = 2; repeated sint64 numbers = 3; map<string, Inner> inners = 4;
  oneof choice { Color color = 5; common.Money money = 6; }
  google.protobuf.Timestamp at = 7; double d = 8 [json_name = "dee"]; google.type.Money price = 9; fixed64 big = 10;
}`

test('its descriptors are what a library reads and writes with', () => {
  const { scope } = parse(RICH, [COMMON])
  const file = create(FileDescriptorSetSchema, {
    file: scope.all().map((one) => describeProto(one, { path: one.path, isComplete: true })),
  })
  const registry = createFileRegistry(file)
  const message = registry.getMessage('rich.Rich')
  assert.ok(message)
  const json = {
    someName: 'é',
    maybe: 0,
    numbers: ['-1', '9007199254740993'],
    inners: { a: { raw: 'AAE=', inner: { raw: '' } } },
    money: { currency: 'EUR', units: '5' },
    at: '2026-11-21T02:00:00Z',
    dee: 1.5,
    price: { currencyCode: 'USD', units: '1', nanos: 2 },
    big: '18446744073709551615',
  }
  const bytes = toBinary(message, fromJson(message, json, { registry }))
  assert.deepEqual(toJson(message, fromBinary(message, bytes), { registry }), {
    ...json,
    inners: { a: { raw: 'AAE=', inner: {} } },
  })
  // and another library reads the same
  const root = new protobufjs.Root()
  for (const text of [
    COMMON.text,
    RICH.replace('import "google/type/money.proto"; import "common/money.proto";', '')
      .replace('google.type.Money price = 9;', '')
      .replace('import "google/protobuf/timestamp.proto";', '')
      .replace('google.protobuf.Timestamp at = 7;', ''),
  ])
    protobufjs.parse(text, root, { keepCase: true })
  const other = root.lookupType('rich.Rich').decode(bytes).toJSON()
  assert.equal(other['some_name'], 'é')
  assert.deepEqual(other['numbers'], ['-1', '9007199254740993'])
  assert.equal(other['maybe'], 0)
  assert.deepEqual(other['money'], { currency: 'EUR', units: '5' })
})

test('comes as a binary descriptor and is kept as text, and is given as one', () => {
  const schema = parse(RICH, [COMMON])
  const serialized = schema.formatted('serialized')
  const file = fromBinary(FileDescriptorProtoSchema, Buffer.from(serialized, 'base64'))
  assert.equal(file.name, 'default')
  assert.deepEqual(file.dependency, [
    'google/protobuf/timestamp.proto',
    'google/type/money.proto',
    'common/money.proto',
  ])
  assert.deepEqual(
    file.messageType[0]?.oneofDecl.map(({ name }) => name),
    ['choice', '_maybe'],
  )
  assert.deepEqual(
    file.messageType[0]?.field.map(({ jsonName }) => jsonName).filter((name) => name !== ''),
    ['dee'],
  )
  const again = parse(serialized, [COMMON])
  assert.equal(again.normalized, schema.normalized)
  assert.match(again.canonical, /optional int32 maybe = 2;/)
  assert.match(again.canonical, /map<string, \.rich\.Rich\.Inner> inners = 4;/)
  // base64 by its letters alone is no descriptor
  assert.throws(() => parse('bm90IGEgZGVzY3JpcHRvcg=='), {
    code: 'invalid_schema',
    message: /Could not parse Protobuf/,
  })
})

test('is named after its first message, or its first enum', () => {
  assert.equal(parse(ORDER).recordName, 'shop.Order')
  assert.equal(parse('syntax = "proto3"; enum E { A = 0; }').recordName, 'E')
  assert.equal(parse('syntax = "proto3";').recordName, undefined)
})

test('is given without extensions', () => {
  const text =
    'syntax = "proto3"; import "google/protobuf/descriptor.proto"; import "confluent/meta.proto"; extend google.protobuf.FieldOptions { string my = 50000; } message M { int32 a = 1 [(my) = "x", (confluent.field_meta).doc = "d"]; }'
  const without = parse(text).formatted('ignore_extensions')
  assert.doesNotMatch(without, /extend|\(my\)/)
  assert.match(without, /\(confluent.field_meta\).doc = "d"/)
})

test('every file that is known without a reference can be linked and read', () => {
  for (const path of [
    'any',
    'api',
    'descriptor',
    'duration',
    'empty',
    'field_mask',
    'source_context',
    'struct',
    'timestamp',
    'type',
    'wrappers',
  ]) {
    parse(`syntax = "proto3"; import "google/protobuf/${path}.proto"; message M {}`)
  }
  for (const name of [
    'calendar_period',
    'color',
    'date',
    'datetime',
    'dayofweek',
    'decimal',
    'expr',
    'fraction',
    'interval',
    'latlng',
    'money',
    'month',
    'phone_number',
    'postal_address',
    'quaternion',
    'timeofday',
  ]) {
    const { scope } = parse(`syntax = "proto3"; import "google/type/${name}.proto"; message M {}`)
    createFileRegistry(
      create(FileDescriptorSetSchema, {
        file: scope.all().map((one) => describeProto(one, { path: one.path, isComplete: true })),
      }),
    )
  }
  parse(
    'syntax = "proto3"; import "confluent/type/variant.proto"; import "confluent/type/decimal.proto"; message M { confluent.type.Decimal d = 1; }',
  )
})
