// What a reader's Avro schema can read of what was written with another: the verdict, and the rule it follows from. Written
// from the specification's schema resolution, not from what a library answers.

import type { Verdict } from './verdict.ts'
import { verdict } from './verdict.ts'

type AvroVerdict = Verdict<string>
const row = verdict<string>

const PRIMITIVES = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'] as const

/** Rows: the reader's; columns: the writer's, in the order of PRIMITIVES. */
const PROMOTIONS: Readonly<Record<(typeof PRIMITIVES)[number], string>> = {
  null: 'y.......',
  boolean: '.y......',
  int: '..y.....',
  long: '..yy....',
  float: '..yyy...',
  double: '..yyyy..',
  bytes: '......yy',
  string: '......yy',
}

const primitives: AvroVerdict[] = PRIMITIVES.flatMap((reader) =>
  PRIMITIVES.map((writer, column) => ({
    rule: `primitives: ${reader} reads ${writer}`,
    reader: `"${reader}"`,
    writer: `"${writer}"`,
    faults: PROMOTIONS[reader][column] === 'y' ? [] : [['TYPE_MISMATCH', '/'] as const],
  })),
)

const COMPLEX: Readonly<Record<string, string>> = {
  record: '{"type":"record","name":"R","fields":[]}',
  enum: '{"type":"enum","name":"R","symbols":["a"]}',
  fixed: '{"type":"fixed","name":"R","size":4}',
  array: '{"type":"array","items":"int"}',
  map: '{"type":"map","values":"int"}',
  bytes: '"bytes"',
}

const kinds: AvroVerdict[] = Object.entries(COMPLEX).flatMap(([reader, readerText]) =>
  Object.entries(COMPLEX).map(([writer, writerText]) => ({
    rule: `kinds: ${reader} reads ${writer}`,
    reader: readerText,
    writer: writerText,
    faults: reader === writer ? [] : [['TYPE_MISMATCH', '/'] as const],
  })),
)

const record = (fields: string, more = '"name":"R"') => `{"type":"record",${more},"fields":[${fields}]}`
const field = (name: string, type: string, more = '') => `{"name":"${name}","type":${type}${more}}`
const enumOf = (symbols: string[], more = '') =>
  `{"type":"enum","name":"E","symbols":${JSON.stringify(symbols)}${more}}`
const fixed = (size: number, more = '"name":"F"') => `{"type":"fixed",${more},"size":${size}}`

const fields: AvroVerdict[] = [
  row('fields: one that the reader does not have is passed over', record(''), record(field('a', '"int"'))),
  row('fields: one that the writer does not have needs a default', record(field('a', '"int"')), record(''), [
    'READER_FIELD_MISSING_DEFAULT_VALUE',
    '/fields/0',
  ]),
  row('fields: with a default it may be missing', record(field('a', '"int"', ',"default":1')), record('')),
  row('fields: a default of null is one', record(field('a', '["null","int"]', ',"default":null')), record('')),
  row('fields: that it may be null is no default', record(field('a', '["null","int"]')), record(''), [
    'READER_FIELD_MISSING_DEFAULT_VALUE',
    '/fields/0',
  ]),
  row(
    'fields: their order means nothing',
    record(`${field('a', '"int"')},${field('b', '"string"')}`),
    record(`${field('b', '"string"')},${field('a', '"int"')}`),
  ),
  row('fields: a type that cannot be promoted', record(field('a', '"int"')), record(field('a', '"string"')), [
    'TYPE_MISMATCH',
    '/fields/0/type',
  ]),
  row('fields: a type that can be promoted', record(field('a', '"double"')), record(field('a', '"int"'))),
  row(
    'fields: an alias of the reader finds the writer’s field',
    record(field('b', '"int"', ',"aliases":["a"]')),
    record(field('a', '"int"')),
  ),
  row(
    'fields: the type under an alias is compared',
    record(field('b', '"int"', ',"aliases":["a"]')),
    record(field('a', '"string"')),
    ['TYPE_MISMATCH', '/fields/0/type'],
  ),
  row(
    'fields: aliases of the writer do not count',
    record(field('b', '"int"')),
    record(field('a', '"int"', ',"aliases":["b"]')),
    ['READER_FIELD_MISSING_DEFAULT_VALUE', '/fields/0'],
  ),
  row(
    'fields: every fault is told, in the reader’s order',
    record(`${field('a', '"int"')},${field('b', '"int"')},${field('c', '"int"')}`),
    record(`${field('a', '"string"')},${field('c', '"boolean"')}`),
    ['TYPE_MISMATCH', '/fields/0/type'],
    ['READER_FIELD_MISSING_DEFAULT_VALUE', '/fields/1'],
    ['TYPE_MISMATCH', '/fields/2/type'],
  ),
  row(
    'fields: doc, default, order and properties may change',
    record(field('a', '"int"', ',"doc":"x","default":2,"order":"ignore","x":1')),
    record(field('a', '"int"', ',"default":1')),
  ),
  row(
    'fields: a default of an enum’s own is none of the field',
    record(field('a', enumOf(['x'], ',"default":"x"'))),
    record(''),
    ['TYPE_MISMATCH', '/fields/0/type'],
  ),
  row(
    'fields: an enum with a default and a default of the field',
    record(field('a', enumOf(['x'], ',"default":"x"'), ',"default":"x"')),
    record(''),
  ),
  row(
    'fields: within fields',
    record(field('a', record(field('b', '"int"'), '"name":"I"'))),
    record(field('a', record('', '"name":"I"'))),
    ['READER_FIELD_MISSING_DEFAULT_VALUE', '/fields/0/type/fields/0'],
  ),
]

const names: AvroVerdict[] = [
  row('names: of records', record('', '"name":"A"'), record('', '"name":"B"'), ['NAME_MISMATCH', '/name']),
  row('names: of enums', enumOf(['a']).replace('"E"', '"G"'), enumOf(['a']), ['NAME_MISMATCH', '/name']),
  row('names: of fixed', fixed(4, '"name":"G"'), fixed(4), ['NAME_MISMATCH', '/name']),
  row(
    'names: another namespace alone',
    record('', '"name":"A","namespace":"x"'),
    record('', '"name":"A","namespace":"y"'),
  ),
  row('names: a namespace in the name', record('', '"name":"x.A"'), record('', '"name":"A"')),
  row('names: an alias of the reader', record('', '"name":"B","aliases":["A"]'), record('', '"name":"A"')),
  row(
    'names: an alias is a full name in the reader’s namespace',
    record('', '"name":"B","namespace":"x","aliases":["A"]'),
    record('', '"name":"A"'),
    ['NAME_MISMATCH', '/name'],
  ),
  row('names: a full alias', record('', '"name":"x.B","aliases":["y.A"]'), record('', '"name":"y.A"')),
  row('names: an alias of the writer', record('', '"name":"B"'), record('', '"name":"A","aliases":["B"]'), [
    'NAME_MISMATCH',
    '/name',
  ]),
  row(
    'names: the fields are compared as well',
    record(field('a', '"int"'), '"name":"A"'),
    record('', '"name":"B"'),
    ['NAME_MISMATCH', '/name'],
    ['READER_FIELD_MISSING_DEFAULT_VALUE', '/fields/0'],
  ),
  row('names: within a field', record(field('f', fixed(2, '"name":"G"'))), record(field('f', fixed(2))), [
    'NAME_MISMATCH',
    '/fields/0/type/name',
  ]),
  row('names: an error is a record', '{"type":"error","name":"R","fields":[]}', record('')),
]

const enums: AvroVerdict[] = [
  row('enums: a symbol more', enumOf(['a', 'b']), enumOf(['a'])),
  row('enums: a symbol less', enumOf(['a']), enumOf(['a', 'b']), ['MISSING_ENUM_SYMBOLS', '/symbols']),
  row('enums: a symbol less, with a default', enumOf(['a'], ',"default":"a"'), enumOf(['a', 'b'])),
  row('enums: the writer’s default is no help', enumOf(['a']), enumOf(['a', 'b'], ',"default":"a"'), [
    'MISSING_ENUM_SYMBOLS',
    '/symbols',
  ]),
  row('enums: their order means nothing', enumOf(['b', 'a']), enumOf(['a', 'b'])),
  row('enums: none in common', enumOf(['c']), enumOf(['b', 'a']), ['MISSING_ENUM_SYMBOLS', '/symbols']),
  row('enums: empty ones', enumOf([]), enumOf([])),
]

const sizes: AvroVerdict[] = [
  row('fixed: the same size', fixed(4), fixed(4)),
  row('fixed: larger', fixed(8), fixed(4), ['FIXED_SIZE_MISMATCH', '/size']),
  row('fixed: smaller', fixed(2), fixed(4), ['FIXED_SIZE_MISMATCH', '/size']),
  row(
    'fixed: name and size',
    fixed(2, '"name":"G"'),
    fixed(4),
    ['NAME_MISMATCH', '/name'],
    ['FIXED_SIZE_MISMATCH', '/size'],
  ),
  row('fixed: is no bytes', fixed(4), '"bytes"', ['TYPE_MISMATCH', '/']),
]

const containers: AvroVerdict[] = [
  row('arrays: items that are promoted', '{"type":"array","items":"long"}', '{"type":"array","items":"int"}'),
  row('arrays: items that are not', '{"type":"array","items":"int"}', '{"type":"array","items":"long"}', [
    'TYPE_MISMATCH',
    '/items',
  ]),
  row('maps: values that are promoted', '{"type":"map","values":"string"}', '{"type":"map","values":"bytes"}'),
  row('maps: values that are not', '{"type":"map","values":"int"}', '{"type":"map","values":"null"}', [
    'TYPE_MISMATCH',
    '/values',
  ]),
  row(
    'arrays: of arrays, in a field',
    record(`${field('a', '"int"')},${field('b', '{"type":"array","items":{"type":"map","values":"int"}}')}`),
    record(`${field('a', '"int"')},${field('b', '{"type":"array","items":{"type":"map","values":"string"}}')}`),
    ['TYPE_MISMATCH', '/fields/1/type/items/values'],
  ),
]

const unions: AvroVerdict[] = [
  row('unions: a reader’s branch reads it', '["null","int"]', '"int"'),
  row('unions: a reader’s branch is promoted', '["null","long"]', '"int"'),
  row('unions: none of the reader’s branches reads it', '["null","int"]', '"string"', ['MISSING_UNION_BRANCH', '/']),
  row('unions: the reader reads every branch of the writer', '"long"', '["int","long"]'),
  row('unions: it does not read one', '"string"', '["null","string"]', ['TYPE_MISMATCH', '/']),
  row('unions: of one branch are that branch', '["int"]', '"int"'),
  row('unions: the writer’s of one branch', '"int"', '["int"]'),
  row('unions: the same', '["null","int"]', '["null","int"]'),
  row('unions: in another order', '["int","null"]', '["null","int"]'),
  row('unions: a branch more', '["null","int","string"]', '["null","int"]'),
  row('unions: a branch less', '["null","int"]', '["null","int","string"]', ['MISSING_UNION_BRANCH', '/2']),
  row(
    'unions: two branches less',
    '["null"]',
    '["null","int","string"]',
    ['MISSING_UNION_BRANCH', '/1'],
    ['MISSING_UNION_BRANCH', '/2'],
  ),
  row('unions: every branch is promoted', '["double"]', '["int","long","float"]'),
  row('unions: an empty one of the writer', '"int"', '[]'),
  row('unions: an empty one of the reader', '[]', '"int"', ['MISSING_UNION_BRANCH', '/']),
  row('unions: what may be null from now on', record(field('a', '["null","int"]')), record(field('a', '"int"'))),
  row('unions: what may be null no longer', record(field('a', '"int"')), record(field('a', '["null","int"]')), [
    'TYPE_MISMATCH',
    '/',
  ]),
  row(
    'unions: a branch that is missing in a field',
    record(field('a', '["null","int"]')),
    record(field('a', '["null","string"]')),
    ['MISSING_UNION_BRANCH', '/fields/0/type/1'],
  ),
  row(
    'unions: records are found by their names',
    `[${record('', '"name":"A"')},${record('', '"name":"B"')}]`,
    record('', '"name":"B"'),
  ),
  row(
    'unions: a record that no branch reads',
    `["null",${record(field('x', '"int"'), '"name":"A"')}]`,
    record('', '"name":"A"'),
    ['MISSING_UNION_BRANCH', '/'],
  ),
  row(
    'unions: as items',
    '{"type":"array","items":["null","int"]}',
    '{"type":"array","items":["null","int","string"]}',
    ['MISSING_UNION_BRANCH', '/items/2'],
  ),
]

const logical = (type: string, logicalType: string, more = '') =>
  `{"type":"${type}","logicalType":"${logicalType}"${more}}`

const logicalTypes: AvroVerdict[] = [
  row(
    'logical types: another precision',
    logical('bytes', 'decimal', ',"precision":4,"scale":2'),
    logical('bytes', 'decimal', ',"precision":9'),
  ),
  row('logical types: another unit', logical('long', 'timestamp-millis'), logical('long', 'timestamp-micros')),
  row('logical types: one or none', logical('int', 'date'), '"int"'),
  row('logical types: their bases are promoted', logical('long', 'timestamp-millis'), logical('int', 'date')),
  row('logical types: their bases differ', logical('string', 'uuid'), logical('int', 'date'), ['TYPE_MISMATCH', '/']),
]

const list = (value: string, more = '') =>
  record(`${field('v', value)},${field('next', '["null","R"]', ',"default":null')}${more}`)

const recursion: AvroVerdict[] = [
  row('recursion: a list', list('"int"'), list('"int"')),
  row('recursion: a list whose values are promoted', list('"long"'), list('"int"')),
  row('recursion: a list whose values are not, told where it is met first', list('"int"'), list('"long"'), [
    'TYPE_MISMATCH',
    '/fields/0/type',
  ]),
  row(
    'recursion: a field more, with a default',
    list('"int"', `,${field('w', '"int"', ',"default":0')}`),
    list('"int"'),
  ),
  row(
    'recursion: a type that is named twice',
    record(`${field('a', fixed(2))},${field('b', '"F"')}`),
    record(`${field('a', fixed(2))},${field('b', '"F"')}`),
  ),
]

export const AVRO_VERDICTS: readonly AvroVerdict[] = [
  ...primitives,
  ...kinds,
  ...fields,
  ...names,
  ...enums,
  ...sizes,
  ...containers,
  ...unions,
  ...logicalTypes,
  ...recursion,
]
