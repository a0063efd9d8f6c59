// The registry's topic: the bytes of its keys and values, what is made of records of other registries, and that the same
// records always make the same.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { guidOf } from '../../src/registry/schema-entity.ts'
import {
  clearSubjectValue,
  contextValue,
  deletedValue,
  deleteSubjectValue,
  keyText,
  modeValue,
  schemaValue,
  settingsValue,
} from '../../src/registry/schema-entries.ts'
import { SchemaState } from '../../src/registry/schema-state.ts'

type Row = readonly [key: string, value: string | null]

function stateOf(rows: readonly Row[]): SchemaState {
  const state = new SchemaState()
  for (const [key, value] of rows) state.apply(key, value, 1_000)
  return state
}

/** All that can be asked of it. */
function seen(state: SchemaState): unknown {
  const subjects = [...state.subjects].sort()
  return {
    versions: subjects.map((subject) => state.versions(subject).map(({ schema }) => schema)),
    contexts: state.contexts,
    settings: [...state.scopesWithSettings()].sort().map((scope) => [scope, state.settings(scope)]),
    modes: [...state.scopesWithModes()].sort().map((scope) => [scope, state.mode(scope)]),
    referrers: subjects.map((subject) =>
      state.versions(subject).map(({ schema }) => state.referrers(subject, schema.version).map(({ id }) => id)),
    ),
    ids: subjects.flatMap((subject) => state.versions(subject).map(({ schema }) => state.idsOfGuid(schema.guid))),
  }
}

const KEYS: readonly (readonly [made: string, bytes: string])[] = [
  [keyText({ kind: 'SCHEMA', subject: 's', version: 1 }), '{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}'],
  [keyText({ kind: 'CONFIG', scope: '' }), '{"keytype":"CONFIG","magic":0}'],
  [keyText({ kind: 'CONFIG', scope: 's' }), '{"keytype":"CONFIG","subject":"s","magic":0}'],
  [keyText({ kind: 'MODE', scope: '' }), '{"keytype":"MODE","magic":0}'],
  [keyText({ kind: 'MODE', scope: ':.c:' }), '{"keytype":"MODE","subject":":.c:","magic":0}'],
  [keyText({ kind: 'DELETE_SUBJECT', subject: 's' }), '{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}'],
  [keyText({ kind: 'CLEAR_SUBJECT', subject: 's' }), '{"keytype":"CLEAR_SUBJECT","subject":"s","magic":0}'],
  [
    keyText({ kind: 'CONTEXT', context: '.ctx' }),
    '{"keytype":"CONTEXT","tenant":"default","context":".ctx","magic":0}',
  ],
  [keyText({ kind: 'NOOP' }), '{"keytype":"NOOP","magic":0}'],
]

test('keys are written byte for byte: compaction goes by them', () => {
  for (const [made, bytes] of KEYS) assert.equal(made, bytes)
})

const STRING = {
  schemaType: 'AVRO',
  schema: '"string"',
  references: [],
  metadata: undefined,
  ruleSet: undefined,
} as const

test('values have their members in their order, empty ones left out', () => {
  const place = { subject: 's', version: 1, id: 1, deleted: false }
  assert.equal(
    schemaValue({ ...STRING, ...place }),
    String.raw`{"subject":"s","version":1,"id":1,"schemaType":"AVRO","schema":"\"string\"","deleted":false}`,
  )
  const full = {
    ...place,
    schemaType: 'JSON',
    schema: '{}',
    references: [{ name: 'n', subject: 't', version: 2 }],
    metadata: { properties: { a: 'b' } },
    ruleSet: { domainRules: [] },
  } as const
  assert.equal(
    schemaValue(full),
    '{"subject":"s","version":1,"id":1,"schemaType":"JSON","references":[{"name":"n","subject":"t","version":2}],"metadata":{"properties":{"a":"b"}},"ruleSet":{"domainRules":[]},"schema":"{}","deleted":false}',
  )
  assert.equal(settingsValue('', { compatibilityLevel: 'FULL' }), '{"compatibilityLevel":"FULL"}')
  assert.equal(
    settingsValue('s', { compatibilityLevel: 'FULL', x: 1, normalize: true, alias: 'a' }),
    '{"subject":"s","alias":"a","normalize":true,"compatibilityLevel":"FULL","x":1}',
  )
  assert.equal(modeValue('s', 'READONLY'), '{"subject":"s","mode":"READONLY"}')
  assert.equal(modeValue('', 'READONLY'), '{"mode":"READONLY"}')
  assert.equal(deleteSubjectValue('s', 3), '{"subject":"s","version":3}')
  assert.equal(clearSubjectValue('s'), '{"subject":"s"}')
  assert.equal(contextValue('.ctx'), '{"tenant":"default","context":".ctx"}')
})

test('what is deleted keeps what nobody knows', () => {
  const value = String.raw`{"subject":"s","version":1,"id":1,"md5":"abc=","schema":"\"int\"","deleted":false,"new":{"a":[1]}}`
  assert.equal(deletedValue(value), value.replace('false', 'true'))
  assert.equal(deletedValue('{"subject":"s","version":1}'), '{"subject":"s","version":1,"deleted":true}')
})

test('guids are those of Confluent’s', () => {
  assert.equal(guidOf(STRING), '095d71cf-1255-6b9d-5e33-0ad575b3df5d')
  const references = [{ name: 'a.B', subject: 'b-value', version: 2 }]
  assert.equal(guidOf({ ...STRING, references }), '6642f5fc-2e9a-9c6f-2011-1830a8f3eedd')
  const metadata = { properties: { owner: 'x' } }
  assert.equal(guidOf({ ...STRING, metadata }), '78aed40f-c3de-ffc7-4e70-adae86c555e4')
})

test('an absent and an empty object of metadata differ; the order of what is in it does not', () => {
  assert.notEqual(guidOf({ ...STRING, metadata: {} }), guidOf(STRING))
  const metadata = { tags: { a: ['x', 'y'], b: [] }, properties: { p: '1', q: '2' }, sensitive: ['s', 't'] }
  const turned = { sensitive: ['t', 's'], properties: { q: '2', p: '1' }, tags: { b: [], a: ['y', 'x'] } }
  assert.equal(guidOf({ ...STRING, metadata }), guidOf({ ...STRING, metadata: turned }))
})

const schemaRow = (subject: string, version: number, id: number, schema = '"string"', more: object = {}): Row => [
  keyText({ kind: 'SCHEMA', subject, version }),
  JSON.stringify({ subject, version, id, schema, deleted: false, ...more }),
]

const OTHERS: readonly (readonly [who: string, rows: readonly Row[]])[] = [
  [
    '5.x',
    [
      ['{"keytype":"CONFIG","subject":null,"magic":0}', '{"compatibilityLevel":"FULL"}'],
      [
        '{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}',
        String.raw`{"subject":"s","version":1,"id":1,"schema":"\"string\"","deleted":false}`,
      ],
      [
        '{"keytype":"SCHEMA","subject":"old","version":1,"magic":0}',
        String.raw`{"subject":"old","version":1,"id":2,"schema":"\"int\""}`,
      ],
      ['{"keytype":"NOOP","magic":0}', null],
    ],
  ],
  [
    '6.x',
    [
      ['{"keytype":"CONFIG","magic":0}', '{"compatibilityLevel":"FULL"}'],
      [
        '{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}',
        String.raw`{"subject":"s","version":1,"id":1,"schema":"\"string\"","deleted":false}`,
      ],
      ['{"keytype":"MODE","subject":"s","magic":0}', '{"subject":"s","mode":"READONLY"}'],
    ],
  ],
  [
    '7.x',
    [
      ['{"keytype":"CONFIG","magic":0}', '{"compatibilityLevel":"FULL","validateFields":null}'],
      [
        '{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}',
        String.raw`{"subject":"s","version":1,"id":1,"references":[],"metadata":null,"schema":"\"string\"","deleted":false}`,
      ],
      ['{"keytype":"CONTEXT","tenant":"default","context":".c","magic":0}', '{"tenant":"default","context":".c"}'],
      [
        '{"keytype":"ASSOC","tenant":"default","resourceName":"t","subject":"s","magic":0}',
        '{"subject":"s","frozen":false}',
      ],
    ],
  ],
  [
    'Karapace',
    [
      ['{"keytype":"CONFIG","subject":null,"magic":0}', '{"compatibilityLevel":"FULL"}'],
      [
        '{"subject":"s","version":1,"magic":1,"keytype":"SCHEMA"}',
        String.raw`{"subject":"s","version":1,"id":1,"schema":"\"string\"","deleted":false}`,
      ],
    ],
  ],
]

for (const [who, rows] of OTHERS) {
  test(`a topic of ${who} is taken over`, () => {
    const state = stateOf(rows)
    assert.equal(state.versions('s')[0]?.schema.id, 1)
    assert.equal(state.versions('s')[0]?.schema.guid, '095d71cf-1255-6b9d-5e33-0ad575b3df5d')
    assert.deepEqual(state.settings(''), { compatibilityLevel: 'FULL' })
  })
}

test('of two forms of one key the last record counts, and both are known', () => {
  const state = stateOf([
    ['{"keytype":"CONFIG","subject":null,"magic":0}', '{"compatibilityLevel":"FULL"}'],
    ['{"keytype":"CONFIG","magic":0}', '{"compatibilityLevel":"NONE"}'],
    ['{"subject":"s","version":1,"magic":1,"keytype":"SCHEMA"}', schemaRow('s', 1, 1)[1]],
    schemaRow('s', 1, 1, '"string"', { deleted: true }),
  ])
  assert.deepEqual(state.settings(''), { compatibilityLevel: 'NONE' })
  assert.equal([...state.keyTexts('CONFIG', '')].length, 2)
  assert.equal(state.version('s', 1)?.schema.deleted, true)
  assert.equal(state.version('s', 1)?.keyTexts.size, 2)
})

const POISON: readonly (readonly [what: string, ...row: Row])[] = [
  ['no JSON for a key', 'x', '{}'],
  ['no object for a key', '[]', '{}'],
  ['an unknown type', '{"keytype":"FUTURE","magic":0}', '{}'],
  ['a subject that is no text', '{"keytype":"SCHEMA","subject":1,"version":1,"magic":1}', schemaRow('p', 1, 9)[1]],
  [
    'a version that is no integer',
    '{"keytype":"SCHEMA","subject":"p","version":1.5,"magic":1}',
    schemaRow('p', 1, 9)[1],
  ],
  ['a version beyond 32 bits', '{"keytype":"SCHEMA","subject":"p","version":1e10,"magic":1}', schemaRow('p', 1, 9)[1]],
  ['no JSON for a value', schemaRow('p', 1, 9)[0], '{'],
  ['a list for a value', schemaRow('p', 1, 9)[0], '[]'],
  ['an id beyond 32 bits', ...schemaRow('p', 1, 2 ** 31)],
  ['a negative id', ...schemaRow('p', 1, -1)],
  ['settings that are none', keyText({ kind: 'CONFIG', scope: 'p' }), '7'],
  ['settings with metadata that are none', keyText({ kind: 'CONFIG', scope: 'p' }), '{"defaultMetadata":{"tags":1}}'],
  ['a mode that is none', keyText({ kind: 'MODE', scope: 'p' }), '{"mode":"FOO"}'],
  ['a deletion without a version', keyText({ kind: 'DELETE_SUBJECT', subject: 's' }), '{}'],
  ['an id that another text has', ...schemaRow('p', 1, 1, '"int"')],
  ['another text for the same id and place', ...schemaRow('s', 1, 1, '"int"')],
]

for (const [what, key, value] of POISON) {
  test(`a record is passed over: ${what}`, () => {
    const good = [schemaRow('s', 1, 1)]
    const state = stateOf(good)
    assert.equal(state.apply(key, value, 5), false)
    assert.deepEqual(seen(state), seen(stateOf(good)))
    assert.equal(state.maxId('.'), 1)
  })
}

const UNREAD: readonly (readonly [what: string, ...row: Row])[] = [
  ['no schema', schemaRow('p', 1, 9)[0], '{"id":9}'],
  ['an unknown type of schema', ...schemaRow('p', 1, 9, '"x"', { schemaType: 'XML' })],
  ['metadata that are none', ...schemaRow('p', 1, 9, '"x"', { metadata: 5 })],
  ['tags that are none', ...schemaRow('p', 1, 9, '"x"', { metadata: { tags: { a: 5 } } })],
  ['properties that are none', ...schemaRow('p', 1, 9, '"x"', { metadata: { properties: { a: 5 } } })],
  ['rules that are none', ...schemaRow('p', 1, 9, '"x"', { ruleSet: { domainRules: [5] } })],
  ['references that are none', ...schemaRow('p', 1, 9, '"x"', { references: [{ name: 'a' }] })],
  [
    'a reference’s version beyond 32 bits',
    ...schemaRow('p', 1, 9, '"x"', { references: [{ name: 'a', subject: 'b', version: 1e12 }] }),
  ],
]

for (const [what, key, value] of UNREAD) {
  test(`a record is passed over, and what it has taken stays taken: ${what}`, () => {
    const state = stateOf([schemaRow('s', 1, 1)])
    assert.equal(state.apply(key, value, 5), false)
    assert.deepEqual(seen(state), seen(stateOf([schemaRow('s', 1, 1)])))
    assert.deepEqual([state.maxId('.'), state.nextId('.'), state.lastVersion('p')], [9, 10, 1])
    assert.equal(state.isUnreadId('.', 9), true)
    assert.equal(state.apply(key, null, 6), true)
    assert.deepEqual([state.nextId('.'), state.lastVersion('p'), state.isUnreadId('.', 9)], [10, 0, false])
  })
}

test('a form of a key that goes leaves what the others say', () => {
  const [old, now] = ['{"keytype":"CONFIG","subject":null,"magic":0}', '{"keytype":"CONFIG","magic":0}']
  const rows: Row[] = [
    [old, '{"compatibilityLevel":"FULL"}'],
    [now, '{"compatibilityLevel":"NONE"}'],
  ]
  const state = stateOf([...rows, [now, null]])
  assert.deepEqual(state.settings(''), { compatibilityLevel: 'FULL' }, 'as a topic that is compacted says')
  assert.deepEqual([...state.keyTexts('CONFIG', '')], [old])
  assert.deepEqual(stateOf([...rows, [old, null]]).settings(''), { compatibilityLevel: 'NONE' })
  state.apply(old, null, 5)
  assert.equal(state.settings(''), undefined)
  assert.deepEqual([...state.scopesWithSettings()], [])
})

test('no record stops it', () => {
  const texts = fc.oneof(fc.string(), fc.json(), fc.constantFrom(...KEYS.map(([key]) => key)))
  const members = fc.constantFrom(
    'keytype',
    'subject',
    'version',
    'magic',
    'context',
    'id',
    'schema',
    'schemaType',
    'metadata',
    'ruleSet',
    'references',
    'deleted',
    'mode',
    'tags',
    'properties',
    '__proto__',
  )
  const things = fc.oneof(fc.constantFrom('SCHEMA', 'CONFIG', 's', 1, 0, -1, 'JSON', true, null), fc.jsonValue())
  const objects = fc.dictionary(members, things).map((json) => JSON.stringify(json))
  const keys = fc.oneof(texts, objects)
  const values = fc.option(fc.oneof(texts, objects, fc.constant(schemaRow('s', 1, 1)[1])))
  fc.assert(
    fc.property(fc.array(fc.tuple(keys, values), { maxLength: 8 }), (rows) => {
      seen(stateOf(rows))
    }),
    { numRuns: 2_000 },
  )
})

test('a subject is deleted up to a version of those that are there by then', () => {
  const rows: Row[] = [
    schemaRow('s', 1, 1),
    schemaRow('s', 2, 2, '"int"'),
    schemaRow('s', 3, 3, '"long"'),
    [keyText({ kind: 'DELETE_SUBJECT', subject: 's' }), deleteSubjectValue('s', 2)],
    [schemaRow('s', 1, 1)[0], null],
    schemaRow('s', 1, 4, '"bytes"'),
  ]
  const state = stateOf(rows)
  assert.deepEqual(
    state.versions('s').map(({ schema }) => [schema.version, schema.id, schema.deleted]),
    [
      [1, 4, false],
      [2, 2, true],
      [3, 3, false],
    ],
  )
})

test('versions of very old topics are loaded, 0 and below too; a tombstone of nothing is nothing', () => {
  const state = stateOf([schemaRow('s', 0, 1), schemaRow('s', -1, 2, '"int"'), [schemaRow('t', 1, 1)[0], null]])
  assert.deepEqual(
    state.versions('s').map(({ schema }) => schema.version),
    [-1, 0],
  )
  assert.deepEqual([...state.subjects], ['s'])
})

test('soft-deleted versions of a scope are cleared; live ones stay', () => {
  const rows: Row[] = [
    schemaRow(':.c:s', 1, 1, '"int"', { deleted: true }),
    schemaRow(':.c:s', 2, 2),
    schemaRow('s', 1, 1, '"int"', { deleted: true }),
    [keyText({ kind: 'CLEAR_SUBJECT', subject: ':.c:' }), clearSubjectValue(':.c:')],
  ]
  const state = stateOf(rows)
  assert.equal(state.versions(':.c:s').length, 1)
  assert.equal(state.versions('s').length, 1)
})

test('ids that a deletion for good has freed count as long as the process lives', () => {
  const state = stateOf([schemaRow('s', 1, 7), [schemaRow('s', 1, 7)[0], null]])
  assert.equal(state.maxId('.'), 7)
  assert.equal(state.hasId('.', 7), false)
})
