// What a reader's Protobuf schema can read of what was written with another: the verdict, and the rule it follows from. Written
// from what the wire format allows, not from what a library answers.

import type { Verdict } from './verdict.ts'
import { verdict } from './verdict.ts'

/** Of bodies of files, proto3 unless they say otherwise. */
type ProtobufVerdict = Verdict<string>
const row = verdict<string>

const m = (body: string) => `message M { ${body} }`

const SCALAR_GROUPS: readonly (readonly string[])[] = [
  ['int32', 'int64', 'uint32', 'uint64', 'bool', 'E'],
  ['sint32', 'sint64'],
  ['string', 'bytes'],
  ['fixed32', 'sfixed32'],
  ['fixed64', 'sfixed64'],
  ['float'],
  ['double'],
]

/** Every scalar with the one behind it in its group, and the first of every group with the first of every other. */
const scalars: ProtobufVerdict[] = [
  ...SCALAR_GROUPS.flatMap((group) =>
    group.map((type, at) => {
      const other = group[(at + 1) % group.length] as string
      const withEnum = (body: string) => `enum E { A = 0; } ${m(body)}`
      return row(
        `scalars: ${type} reads ${other}, of its group`,
        withEnum(`${type} a = 1;`),
        withEnum(`${other} a = 1;`),
      )
    }),
  ),
  ...SCALAR_GROUPS.flatMap(([type], at) =>
    SCALAR_GROUPS.flatMap(([other], place) =>
      at === place
        ? []
        : [
            row(
              `scalars: ${type} does not read ${other}, of another group`,
              m(`${type} a = 1;`),
              m(`${other} a = 1;`),
              ['FIELD_SCALAR_KIND_CHANGED', '#/M/1'],
            ),
          ],
    ),
  ),
]

const files: ProtobufVerdict[] = [
  row('packages: another one', `package b; ${m('')}`, `package a; ${m('')}`, ['PACKAGE_CHANGED', '#/']),
  row('packages: one from now on', `package b; ${m('')}`, m(''), ['PACKAGE_CHANGED', '#/']),
  row('messages: one more', `${m('')} message N {}`, m('')),
  row('messages: one less', m(''), `${m('')} message N {}`, ['MESSAGE_REMOVED', '#/N']),
  row('messages: in another order', 'message N {} message M {}', 'message M {} message N {}'),
  row('messages: one less, within another', m(''), m('message N {}'), ['MESSAGE_REMOVED', '#/M/N']),
  row('messages: another name is another message', 'message N {}', 'message M {}', ['MESSAGE_REMOVED', '#/M']),
  row('enums: one more', `enum E { A = 0; } ${m('')}`, m('')),
  row('enums: one less', m(''), `enum E { A = 0; } ${m('')}`),
  row('enums: a value more', 'enum E { A = 0; B = 1; }', 'enum E { A = 0; }'),
  row('enums: a value less', 'enum E { A = 0; }', 'enum E { A = 0; B = 1; }'),
  row('enums: a value’s name', 'enum E { B = 0; }', 'enum E { A = 0; }'),
  row(
    'options, reserved numbers and services are not compared',
    `option java_package = "x"; message M { reserved 5; option deprecated = true; } service S {}`,
    m(''),
  ),
  row('syntax is not compared', `syntax = "proto2"; message M { optional int32 a = 1; }`, m('int32 a = 1;')),
]

const fields: ProtobufVerdict[] = [
  row('fields: one more', m('int32 a = 1; int32 b = 2;'), m('int32 a = 1;')),
  row('fields: one less', m('int32 a = 1;'), m('int32 a = 1; int32 b = 2;')),
  row('fields: another name', m('int32 b = 1;'), m('int32 a = 1;')),
  row('fields: another number is another field', m('int32 a = 2;'), m('int32 a = 1;')),
  row('fields: a message for a scalar', `message N {} ${m('N a = 1;')}`, `message N {} ${m('int32 a = 1;')}`, [
    'FIELD_KIND_CHANGED',
    '#/M/1',
  ]),
  row('fields: a scalar for a message', `message N {} ${m('bytes a = 1;')}`, `message N {} ${m('N a = 1;')}`, [
    'FIELD_KIND_CHANGED',
    '#/M/1',
  ]),
  row('fields: a map for a scalar', m('map<string, int32> a = 1;'), m('int32 a = 1;'), ['FIELD_KIND_CHANGED', '#/M/1']),
  row(
    'fields: another message',
    `message N {} message O {} ${m('O a = 1;')}`,
    `message N {} message O {} ${m('N a = 1;')}`,
    ['FIELD_NAMED_TYPE_CHANGED', '#/M/1'],
  ),
  row(
    'fields: the same message, named in full',
    `package p; message N {} ${m('p.N a = 1;')}`,
    `package p; message N {} ${m('N a = 1;')}`,
  ),
  row(
    'fields: an enum for an integer',
    `enum E { A = 0; } ${m('E a = 1;')}`,
    `enum E { A = 0; } ${m('uint64 a = 1;')}`,
  ),
  row(
    'fields: another enum',
    `enum E { A = 0; } enum F { B = 0; } ${m('F a = 1;')}`,
    `enum E { A = 0; } enum F { B = 0; } ${m('E a = 1;')}`,
  ),
  row(
    'fields: of a message within',
    m('message N { string x = 1; } N a = 1;'),
    m('message N { int32 x = 1; } N a = 1;'),
    ['FIELD_SCALAR_KIND_CHANGED', '#/M/N/1'],
  ),
  row('fields: json_name and other options', m('int32 a = 1 [json_name = "x", deprecated = true];'), m('int32 a = 1;')),
  row(
    'fields: a well-known type for another',
    `import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; ${m('google.protobuf.Timestamp a = 1;')}`,
    `import "google/protobuf/duration.proto"; ${m('google.protobuf.Duration a = 1;')}`,
    ['FIELD_NAMED_TYPE_CHANGED', '#/M/1'],
  ),
  row('fields: a message that holds itself', m('M a = 1; int32 b = 2;'), m('M a = 1;')),
]

const maps: ProtobufVerdict[] = [
  row('maps: keys of a group', m('map<int64, string> a = 1;'), m('map<int32, string> a = 1;')),
  row('maps: keys of another group', m('map<string, string> a = 1;'), m('map<int32, string> a = 1;'), [
    'FIELD_SCALAR_KIND_CHANGED',
    '#/M/1',
  ]),
  row('maps: values of a group', m('map<string, bytes> a = 1;'), m('map<string, string> a = 1;')),
  row('maps: values of another group', m('map<string, double> a = 1;'), m('map<string, float> a = 1;'), [
    'FIELD_SCALAR_KIND_CHANGED',
    '#/M/1',
  ]),
  row(
    'maps: values that are another message',
    `message N {} message O {} ${m('map<string, O> a = 1;')}`,
    `message N {} message O {} ${m('map<string, N> a = 1;')}`,
    ['FIELD_NAMED_TYPE_CHANGED', '#/M/1'],
  ),
]

const two = (body: string) => `syntax = "proto2"; message M { ${body} }`

const labels: ProtobufVerdict[] = [
  row('labels: repeated for one that is not written', m('repeated int32 a = 1;'), m('int32 a = 1;')),
  row('labels: repeated for optional, of a number', m('repeated int32 a = 1;'), m('optional int32 a = 1;'), [
    'FIELD_NUMERIC_LABEL_CHANGED',
    '#/M/1',
  ]),
  row('labels: optional for repeated, of a number', m('optional int32 a = 1;'), m('repeated int32 a = 1;'), [
    'FIELD_NUMERIC_LABEL_CHANGED',
    '#/M/1',
  ]),
  row(
    'labels: repeated for optional, of an enum',
    `enum E { A = 0; } ${m('repeated E a = 1;')}`,
    `enum E { A = 0; } ${m('optional E a = 1;')}`,
    ['FIELD_NUMERIC_LABEL_CHANGED', '#/M/1'],
  ),
  row('labels: repeated for optional, of a text', m('repeated string a = 1;'), m('optional string a = 1;')),
  row(
    'labels: repeated for optional, of a message',
    `message N {} ${m('repeated N a = 1;')}`,
    `message N {} ${m('optional N a = 1;')}`,
  ),
  row('labels: optional for none', m('optional int32 a = 1;'), m('int32 a = 1;')),
  row('required: a field more', two('required int32 a = 1;'), two(''), ['REQUIRED_FIELD_ADDED', '#/M/1']),
  row('required: a field less', two(''), two('required int32 a = 1;'), ['REQUIRED_FIELD_REMOVED', '#/M/1']),
  row('required: the same', two('required int32 a = 1;'), two('required int32 a = 1;')),
]

const oneofs: ProtobufVerdict[] = [
  row('oneofs: a new one, of new fields', m('oneof o { int32 a = 1; }'), m('')),
  row('oneofs: one less, with all of its fields', m('int32 z = 9;'), m('int32 z = 9; oneof o { int32 a = 1; }')),
  row('oneofs: a field more', m('oneof o { int32 a = 1; int32 b = 2; }'), m('oneof o { int32 a = 1; }')),
  row('oneofs: a field less', m('oneof o { int32 a = 1; }'), m('oneof o { int32 a = 1; int32 b = 2; }'), [
    'ONEOF_FIELD_REMOVED',
    '#/M/o/2',
  ]),
  row('oneofs: one field comes in', m('oneof o { int32 a = 1; }'), m('int32 a = 1;')),
  row('oneofs: two fields come in', m('oneof o { int32 a = 1; int32 b = 2; }'), m('int32 a = 1; int32 b = 2;'), [
    'MULTIPLE_FIELDS_MOVED_TO_ONEOF',
    '#/M/o',
  ]),
  row(
    'oneofs: a field comes into one that is there',
    m('oneof o { int32 a = 1; int32 b = 2; }'),
    m('oneof o { int32 a = 1; } int32 b = 2;'),
    ['FIELD_MOVED_TO_EXISTING_ONEOF', '#/M/o'],
  ),
  row(
    'oneofs: a field goes out',
    m('oneof o { int32 a = 1; } int32 b = 2;'),
    m('oneof o { int32 a = 1; int32 b = 2; }'),
  ),
  row('oneofs: another name', m('oneof p { int32 a = 1; int32 b = 2; }'), m('oneof o { int32 a = 1; int32 b = 2; }')),
  row('oneofs: the type of a field', m('oneof o { string a = 1; }'), m('oneof o { int32 a = 1; }'), [
    'FIELD_SCALAR_KIND_CHANGED',
    '#/M/o/1',
  ]),
  row(
    'oneofs: one that goes while some of its fields stay',
    m('int32 a = 1;'),
    m('oneof o { int32 a = 1; int32 b = 2; }'),
    ['ONEOF_FIELD_REMOVED', '#/M/o/2'],
  ),
]

export const PROTOBUF_VERDICTS: readonly ProtobufVerdict[] = [
  ...scalars,
  ...files,
  ...fields,
  ...maps,
  ...labels,
  ...oneofs,
]
