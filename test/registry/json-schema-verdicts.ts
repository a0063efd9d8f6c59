// What a reader's JSON Schema can read of what was written with another: the verdict, and the rule it follows from. Written
// from the rules of content models and keywords, not from what a library answers.

import type { Verdict } from './verdict.ts'
import { verdict } from './verdict.ts'

type Schema = object | boolean
type JsonSchemaVerdict = Verdict<Schema>
const row = verdict<Schema>

/** Upper bounds may rise, lower ones may fall; a new one may not come. */
const BOUNDS: readonly (readonly [keyword: string, name: string, base: object, isUpper: boolean])[] = [
  ['maxLength', 'MAX_LENGTH', { type: 'string' }, true],
  ['minLength', 'MIN_LENGTH', { type: 'string' }, false],
  ['maximum', 'MAXIMUM', { type: 'number' }, true],
  ['minimum', 'MINIMUM', { type: 'number' }, false],
  ['exclusiveMaximum', 'EXCLUSIVE_MAXIMUM', { type: 'integer' }, true],
  ['exclusiveMinimum', 'EXCLUSIVE_MINIMUM', { type: 'integer' }, false],
  ['maxProperties', 'MAX_PROPERTIES', { type: 'object' }, true],
  ['minProperties', 'MIN_PROPERTIES', { type: 'object' }, false],
  ['maxItems', 'MAX_ITEMS', { type: 'array' }, true],
  ['minItems', 'MIN_ITEMS', { type: 'array' }, false],
  ['maxContains', 'MAX_CONTAINS', { type: 'array' }, true],
  ['minContains', 'MIN_CONTAINS', { type: 'array' }, false],
]

const bounds: JsonSchemaVerdict[] = BOUNDS.flatMap(([keyword, name, base, isUpper]) => {
  const of = (value: number) => ({ ...base, [keyword]: value })
  const path = `#/${keyword}`
  return [
    row(`${keyword}: from now on`, of(5), base, [`${name}_ADDED`, path]),
    row(`${keyword}: no longer`, base, of(5)),
    row(`${keyword}: higher`, of(6), of(5), ...(isUpper ? [] : [[`${name}_INCREASED`, path] as const])),
    row(`${keyword}: lower`, of(4), of(5), ...(isUpper ? [[`${name}_DECREASED`, path] as const] : [])),
  ]
})

const TYPES = ['string', 'number', 'boolean', 'null', 'object', 'array']

const types: JsonSchemaVerdict[] = [
  ...TYPES.flatMap((type, at) => {
    const other = TYPES[(at + 1) % TYPES.length] as string
    return [row(`types: ${type} for ${other}`, { type }, { type: other }, ['TYPE_CHANGED', '#/'])]
  }),
  row('types: a number where integers were', { type: 'number' }, { type: 'integer' }),
  row('types: an integer where numbers were', { type: 'integer' }, { type: 'number' }, ['TYPE_NARROWED', '#/']),
  row('types: whatever where a text was', {}, { type: 'string' }),
  row('types: true where a text was', true, { type: 'string' }),
  row('types: a text where there was whatever', { type: 'string' }, {}, ['TYPE_CHANGED', '#/']),
  row('types: a text where there was nothing', { type: 'string' }, false),
  row('types: nothing where a text was', false, { type: 'string' }, ['TYPE_CHANGED', '#/']),
  row('types: one more in a list', { type: ['string', 'null'] }, { type: 'string' }),
  row('types: one less in a list', { type: 'string' }, { type: ['string', 'null'] }, ['TYPE_CHANGED', '#/']),
  row('types: a list in another order', { type: ['null', 'string'] }, { type: ['string', 'null'] }),
  row('types: a list with one more', { type: ['string', 'null', 'integer'] }, { type: ['string', 'null'] }),
  row('types: a list with one less', { type: ['string', 'null'] }, { type: ['string', 'null', 'integer'] }, [
    'SUM_TYPE_NARROWED',
    '#/',
  ]),
  row('types: what the keywords say where none is named', { minLength: 1 }, { type: 'string', minLength: 1 }),
  row(
    'notes: title, description, default and examples',
    { type: 'string', title: 'b', description: 'b', default: 'b', examples: ['b'] },
    { type: 'string', title: 'a' },
  ),
  row('notes: formats are not compared', { type: 'string', format: 'email' }, { type: 'string' }),
]

const values: JsonSchemaVerdict[] = [
  row('patterns: from now on', { type: 'string', pattern: 'a' }, { type: 'string' }, ['PATTERN_ADDED', '#/pattern']),
  row('patterns: no longer', { type: 'string' }, { type: 'string', pattern: 'a' }),
  row('patterns: another one', { type: 'string', pattern: 'b' }, { type: 'string', pattern: 'a' }, [
    'PATTERN_CHANGED',
    '#/pattern',
  ]),
  row('multiples: from now on', { type: 'number', multipleOf: 2 }, { type: 'number' }, [
    'MULTIPLE_OF_ADDED',
    '#/multipleOf',
  ]),
  row('multiples: no longer', { type: 'number' }, { type: 'number', multipleOf: 2 }),
  row('multiples: of more', { type: 'number', multipleOf: 4 }, { type: 'number', multipleOf: 2 }, [
    'MULTIPLE_OF_EXPANDED',
    '#/multipleOf',
  ]),
  row('multiples: of less', { type: 'number', multipleOf: 0.01 }, { type: 'number', multipleOf: 0.1 }),
  row('multiples: of something else', { type: 'number', multipleOf: 3 }, { type: 'number', multipleOf: 2 }, [
    'MULTIPLE_OF_CHANGED',
    '#/multipleOf',
  ]),
  row(
    'multiples: exactly, however often the one goes into the other',
    { type: 'number', multipleOf: 50_000_000_001 },
    { type: 'number', multipleOf: 2 },
    ['MULTIPLE_OF_CHANGED', '#/multipleOf'],
  ),
  row('multiples: of decimals', { type: 'number', multipleOf: 0.1 }, { type: 'number', multipleOf: 0.3 }),
  row('enums: one more', { enum: ['a', 'b'] }, { enum: ['a'] }),
  row('enums: one less', { enum: ['a'] }, { enum: ['a', 'b'] }, ['ENUM_ARRAY_NARROWED', '#/enum']),
  row('enums: another one', { enum: ['b'] }, { enum: ['a'] }, ['ENUM_ARRAY_CHANGED', '#/enum']),
  row('enums: in another order', { enum: ['b', 'a'] }, { enum: ['a', 'b'] }),
  row('enums: of any values', { enum: [1, { a: [null] }] }, { enum: [{ a: [null] }, 1] }),
  row('enums: beside a type', { type: 'string', enum: ['a'] }, { type: 'string', enum: ['a', 'b'] }, [
    'COMBINED_TYPE_SUBSCHEMAS_CHANGED',
    '#/',
  ]),
  row('constants: the same', { const: 'a' }, { const: 'a' }),
  row('constants: another one', { const: 'b' }, { const: 'a' }, ['ENUM_ARRAY_CHANGED', '#/const']),
  row('not: what lets more through', { not: { type: 'string', maxLength: 5 } }, { not: { type: 'string' } }),
  row('not: what lets less through', { not: { type: 'string' } }, { not: { type: 'string', maxLength: 5 } }, [
    'NOT_TYPE_EXTENDED',
    '#/not',
  ]),
  row(
    'conditions: what is in them is not compared',
    { if: { type: 'string' }, else: false },
    { if: { type: 'string' }, else: true },
  ),
]

const open = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more })
const closed = (properties: object, more: object = {}) => open(properties, { additionalProperties: false, ...more })
const partly = (properties: object, schema: Schema, more: object = {}) =>
  open(properties, { additionalProperties: schema, ...more })
const TEXT = { type: 'string' }
const NUMBER = { type: 'number' }
const A = '#/properties/a'

const objects: JsonSchemaVerdict[] = [
  row('objects: an optional property more, open', open({ a: TEXT }), open({}), [
    'OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL',
    A,
  ]),
  row('objects: a property that may be anything more, open', open({ a: {} }), open({})),
  row('objects: a required property more, open', open({ a: TEXT }, { required: ['a'] }), open({}), [
    'REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL',
    A,
  ]),
  row(
    'objects: a required property with a default more, open',
    open({ a: { ...TEXT, default: 'x' } }, { required: ['a'] }),
    open({}),
    ['REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL', A],
  ),
  row('objects: an optional property more, closed', closed({ a: TEXT }), closed({})),
  row('objects: a required property more, closed', closed({ a: TEXT }, { required: ['a'] }), closed({}), [
    'REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL',
    A,
  ]),
  row(
    'objects: a required property with a default more, closed',
    closed({ a: { ...TEXT, default: 'x' } }, { required: ['a'] }),
    closed({}),
  ),
  row('objects: a property less, open', open({}), open({ a: TEXT })),
  row('objects: a property less, closed', closed({}), closed({ a: TEXT }), [
    'PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL',
    A,
  ]),
  row('objects: a property that never was less, closed', closed({}), closed({ a: false })),
  row('objects: a property more that the others’ schema covers', partly({ a: TEXT }, TEXT), partly({}, TEXT)),
  row(
    'objects: a property more that the others’ schema does not cover',
    partly({ a: NUMBER }, TEXT),
    partly({}, TEXT),
    ['TYPE_CHANGED', A],
    ['PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL', A],
  ),
  row('objects: a property less that the others’ schema covers', partly({}, TEXT), partly({ a: TEXT }, TEXT)),
  row(
    'objects: a property less that the others’ schema does not cover',
    partly({}, TEXT),
    partly({ a: NUMBER }, TEXT),
    ['TYPE_CHANGED', A],
    ['PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL', A],
  ),
  row(
    'objects: a property less that a pattern covers',
    open({}, { patternProperties: { '^a': TEXT } }),
    open({ a: TEXT }, { patternProperties: { '^a': TEXT } }),
  ),
  row(
    'objects: a property less that no pattern covers',
    open({}, { patternProperties: { '^b': TEXT } }),
    open({ a: TEXT }, { patternProperties: { '^b': TEXT } }),
    ['PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL', A],
  ),
  row('objects: the type of a property', open({ a: TEXT }), open({ a: NUMBER }), ['TYPE_CHANGED', A]),
  row('objects: a property within a property', open({ a: open({ b: TEXT }) }), open({ a: open({}) }), [
    'OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL',
    `${A}/properties/b`,
  ]),
  row('required: from now on', open({ a: TEXT }, { required: ['a'] }), open({ a: TEXT }), [
    'REQUIRED_ATTRIBUTE_ADDED',
    '#/required/a',
  ]),
  row(
    'required: from now on, with a default',
    open({ a: { ...TEXT, default: '' } }, { required: ['a'] }),
    open({ a: { ...TEXT, default: '' } }),
  ),
  row('required: no longer', open({ a: TEXT }), open({ a: TEXT }, { required: ['a'] })),
  row('required: of what is not described', open({}, { required: ['z'] }), open({})),
  row('others: no longer', closed({}), open({}), ['ADDITIONAL_PROPERTIES_REMOVED', '#/additionalProperties']),
  row('others: from now on', open({}), closed({})),
  row('others: a schema from now on', partly({}, TEXT), open({}), [
    'ADDITIONAL_PROPERTIES_NARROWED',
    '#/additionalProperties',
  ]),
  row('others: a schema no longer', open({}), partly({}, TEXT)),
  row('others: another schema', partly({}, NUMBER), partly({}, TEXT), ['TYPE_CHANGED', '#/additionalProperties']),
  row('unevaluated: no longer', open({}, { unevaluatedProperties: false }), open({}), [
    'UNEVALUATED_PROPERTIES_REMOVED',
    '#/unevaluatedProperties',
  ]),
  row('unevaluated: from now on', open({}), open({}, { unevaluatedProperties: false })),
  row('dependencies: from now on', open({}, { dependencies: { a: ['b'] } }), open({}), [
    'DEPENDENCY_ARRAY_ADDED',
    '#/dependencies/a',
  ]),
  row('dependencies: no longer', open({}), open({}, { dependencies: { a: ['b'] } })),
  row(
    'dependencies: on more',
    open({}, { dependencies: { a: ['b', 'c'] } }),
    open({}, { dependencies: { a: ['b'] } }),
    ['DEPENDENCY_ARRAY_EXTENDED', '#/dependencies/a'],
  ),
  row('dependencies: on less', open({}, { dependencies: { a: ['b'] } }), open({}, { dependencies: { a: ['b', 'c'] } })),
  row(
    'dependencies: on something else',
    open({}, { dependencies: { a: ['c'] } }),
    open({}, { dependencies: { a: ['b'] } }),
    ['DEPENDENCY_ARRAY_CHANGED', '#/dependencies/a'],
  ),
  row('dependencies: a schema from now on', open({}, { dependencies: { a: TEXT } }), open({}), [
    'DEPENDENCY_SCHEMA_ADDED',
    '#/dependencies/a',
  ]),
  row('dependencies: a schema no longer', open({}), open({}, { dependencies: { a: TEXT } })),
  row(
    'dependencies: another schema',
    open({}, { dependencies: { a: NUMBER } }),
    open({}, { dependencies: { a: TEXT } }),
    ['TYPE_CHANGED', '#/dependencies/a'],
  ),
]

const list = (items: Schema, more: object = {}) => ({ type: 'array', items, ...more })
const tuple = (items: Schema[], more: object = {}) => ({ type: 'array', items, ...more })

const arrays: JsonSchemaVerdict[] = [
  row('items: another type', list(NUMBER), list(TEXT), ['TYPE_CHANGED', '#/items']),
  row('items: a wider type', list(NUMBER), list({ type: 'integer' })),
  row('items: described from now on', list(TEXT), { type: 'array' }, ['SCHEMA_ADDED', '#/items']),
  row('items: described no longer', { type: 'array' }, list(TEXT)),
  row('items: each once, from now on', { type: 'array', uniqueItems: true }, { type: 'array' }, [
    'UNIQUE_ITEMS_ADDED',
    '#/uniqueItems',
  ]),
  row('items: each once, no longer', { type: 'array' }, { type: 'array', uniqueItems: true }),
  row('tuples: the type at a place', tuple([TEXT, TEXT]), tuple([TEXT, NUMBER]), ['TYPE_CHANGED', '#/items/1']),
  row('tuples: one more, open', tuple([TEXT, TEXT]), tuple([TEXT]), ['ITEM_ADDED_TO_OPEN_CONTENT_MODEL', '#/items/1']),
  row('tuples: one more that may be anything, open', tuple([TEXT, {}]), tuple([TEXT])),
  row(
    'tuples: one more, closed',
    tuple([TEXT, TEXT], { additionalItems: false }),
    tuple([TEXT], { additionalItems: false }),
  ),
  row('tuples: one less, open', tuple([TEXT]), tuple([TEXT, TEXT])),
  row(
    'tuples: one less, closed',
    tuple([TEXT], { additionalItems: false }),
    tuple([TEXT, TEXT], { additionalItems: false }),
    ['ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL', '#/items/1'],
  ),
  row(
    'tuples: one less that never was, closed',
    tuple([TEXT], { additionalItems: false }),
    tuple([TEXT, false], { additionalItems: false }),
  ),
  row(
    'tuples: one more that is covered',
    tuple([TEXT, TEXT], { additionalItems: TEXT }),
    tuple([TEXT], { additionalItems: TEXT }),
  ),
  row(
    'tuples: one more that is not covered',
    tuple([TEXT, NUMBER], { additionalItems: TEXT }),
    tuple([TEXT], { additionalItems: TEXT }),
    ['TYPE_CHANGED', '#/items/1'],
    ['ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL', '#/items/1'],
  ),
  row(
    'tuples: one less that is covered',
    tuple([TEXT], { additionalItems: TEXT }),
    tuple([TEXT, TEXT], { additionalItems: TEXT }),
  ),
  row('tuples: others no longer', tuple([TEXT], { additionalItems: false }), tuple([TEXT]), [
    'ADDITIONAL_ITEMS_REMOVED',
    '#/additionalItems',
  ]),
  row('tuples: others from now on', tuple([TEXT]), tuple([TEXT], { additionalItems: false })),
  row('tuples: a schema for the others from now on', tuple([TEXT], { additionalItems: TEXT }), tuple([TEXT]), [
    'ADDITIONAL_ITEMS_NARROWED',
    '#/additionalItems',
  ]),
  row('tuples: a schema for the others no longer', tuple([TEXT]), tuple([TEXT], { additionalItems: TEXT })),
]

const any = (...anyOf: Schema[]) => ({ anyOf })
const one = (...oneOf: Schema[]) => ({ oneOf })
const all = (...allOf: Schema[]) => ({ allOf })
const SHORT = { type: 'string', maxLength: 5 }

const combined: JsonSchemaVerdict[] = [
  row('combined: a part for all of it, any', any(TEXT, NUMBER), TEXT),
  row('combined: a part for all of it, one', one(TEXT, NUMBER), TEXT),
  row('combined: no part for all of it', any(TEXT, NUMBER), { type: 'boolean' }, ['TYPE_CHANGED', '#/']),
  row('combined: of one part', all(TEXT), TEXT),
  row('combined: of one part no longer', TEXT, all(TEXT)),
  row('combined: one of what had to be all', TEXT, all(TEXT, SHORT)),
  row('combined: one of what was any', TEXT, any(TEXT, NUMBER), ['TYPE_CHANGED', '#/']),
  row('combined: a part more, any', any(TEXT, NUMBER, { type: 'null' }), any(TEXT, NUMBER)),
  row('combined: a part less, any', any(TEXT), any(TEXT, NUMBER), ['SUM_TYPE_NARROWED', '#/']),
  row('combined: a part more, one', one(TEXT, NUMBER), one(TEXT)),
  row('combined: a part less, one', one(TEXT), one(TEXT, NUMBER), ['SUM_TYPE_NARROWED', '#/']),
  row('combined: a part more, all', all(TEXT, SHORT), all(TEXT), ['PRODUCT_TYPE_EXTENDED', '#/']),
  row('combined: a part less, all', all(TEXT), all(TEXT, SHORT)),
  row('combined: in another order', any(NUMBER, TEXT), any(TEXT, NUMBER)),
  row('combined: any where one was', any(TEXT, NUMBER), one(TEXT, NUMBER)),
  row('combined: one where any was', one(TEXT, NUMBER), any(TEXT, NUMBER), ['COMBINED_TYPE_CHANGED', '#/']),
  row('combined: all where any was', all(TEXT, NUMBER), any(TEXT, NUMBER), ['COMBINED_TYPE_CHANGED', '#/']),
  row('combined: any where all was', any(TEXT, SHORT), all(TEXT, SHORT)),
  row('combined: parts that do not fit', any(SHORT, NUMBER), any(TEXT, NUMBER), [
    'COMBINED_TYPE_SUBSCHEMAS_CHANGED',
    '#/',
  ]),
  row('combined: each part has a partner of its own', any(TEXT, {}), any(SHORT, TEXT)),
  row('combined: equal parts count once, any', any(TEXT, { type: 'null' }), any(TEXT, TEXT, { type: 'null' })),
  row('combined: equal parts count once, all', all(TEXT, SHORT, TEXT), all(TEXT, SHORT)),
]

const REFERENCE = { $ref: '#/definitions/t' }
const withT = (schema: object, t: Schema) => ({ ...schema, definitions: { t } })

const references: JsonSchemaVerdict[] = [
  row(
    'references: what they mean is compared',
    withT(open({ a: REFERENCE }), NUMBER),
    withT(open({ a: REFERENCE }), TEXT),
    ['TYPE_CHANGED', A],
  ),
  row('references: or what is written out', open({ a: TEXT }), withT(open({ a: REFERENCE }), TEXT)),
  row(
    'references: under another name',
    { ...open({ a: { $ref: '#/$defs/u' } }), $defs: { u: TEXT } },
    withT(open({ a: REFERENCE }), TEXT),
  ),
  row(
    'references: what stands beside one means nothing in draft 7',
    withT(open({ a: { ...REFERENCE, maxLength: 5 } }), TEXT),
    withT(open({ a: REFERENCE }), TEXT),
  ),
  row(
    'references: to itself',
    withT({ $ref: '#/definitions/t' }, closed({ next: REFERENCE, v: NUMBER })),
    withT({ $ref: '#/definitions/t' }, closed({ next: REFERENCE, v: { type: 'integer' } })),
  ),
  row(
    'references: to itself, with what differs',
    withT({ $ref: '#/definitions/t' }, closed({ next: REFERENCE, v: TEXT })),
    withT({ $ref: '#/definitions/t' }, closed({ next: REFERENCE, v: NUMBER })),
    ['TYPE_CHANGED', '#/properties/v'],
  ),
  row(
    'references: that mean nothing but themselves',
    withT({ $ref: '#/definitions/t' }, REFERENCE),
    withT({ $ref: '#/definitions/t' }, REFERENCE),
  ),
]

const D4 = { $schema: 'http://json-schema.org/draft-04/schema#' }
const D2020 = { $schema: 'https://json-schema.org/draft/2020-12/schema' }

const drafts: JsonSchemaVerdict[] = [
  row(
    'draft 4: exclusive bounds are said of the others',
    { ...D4, type: 'number', maximum: 5, exclusiveMaximum: true },
    { ...D4, type: 'number', maximum: 6, exclusiveMaximum: true },
    ['EXCLUSIVE_MAXIMUM_DECREASED', '#/exclusiveMaximum'],
  ),
  row(
    '2020-12: prefixItems are a tuple, items what follows',
    { ...D2020, type: 'array', prefixItems: [TEXT], items: false },
    { ...D2020, type: 'array', prefixItems: [TEXT] },
    ['ADDITIONAL_ITEMS_REMOVED', '#/additionalItems'],
  ),
  row(
    '2020-12: what stands beside a reference counts',
    { ...D2020, $ref: '#/$defs/t', maxLength: 3, $defs: { t: TEXT } },
    { ...D2020, $ref: '#/$defs/t', maxLength: 5, $defs: { t: TEXT } },
    ['COMBINED_TYPE_SUBSCHEMAS_CHANGED', '#/'],
  ),
  row(
    '2020-12: dependentRequired',
    { ...D2020, ...open({}, { dependentRequired: { a: ['b'] } }) },
    { ...D2020, ...open({}) },
    ['DEPENDENCY_ARRAY_ADDED', '#/dependencies/a'],
  ),
]

export const JSON_SCHEMA_VERDICTS: readonly JsonSchemaVerdict[] = [
  ...bounds,
  ...types,
  ...values,
  ...objects,
  ...arrays,
  ...combined,
  ...references,
  ...drafts,
]
