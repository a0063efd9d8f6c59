// What schemas may cost whoever asks for them, and everybody else: time on the clock, and memory of what is kept parsed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { registryCodeOf } from '../../src/registry/registry-failure.ts'
import { SchemaFinder } from '../../src/registry/schema-finder.ts'
import type { ParsedSchema, SchemaFormat } from '../../src/registry/schema-format.ts'
import { SCHEMA_FORMATS } from '../../src/registry/schema-formats.ts'
import { SchemaParser } from '../../src/registry/schema-parser.ts'
import type { Known } from '../../src/registry/schema-registration.ts'
import { planRegistration, testedFaults } from '../../src/registry/schema-registration.ts'
import { SchemaState } from '../../src/registry/schema-state.ts'
import { recordOf } from '../support/schema-registry.ts'

const request = (schema: string) => ({ schemaType: 'AVRO' as const, schema, references: [] })

/** Avro that counts what is parsed; schemas by these names take as long as they are let. */
class CostlyFormat implements SchemaFormat {
  readonly type = 'AVRO'
  readonly forms = SCHEMA_FORMATS.AVRO.forms
  parses = 0

  parse(...given: Parameters<SchemaFormat['parse']>): ParsedSchema {
    this.parses++
    const parsed = SCHEMA_FORMATS.AVRO.parse(...given)
    if (parsed.recordName === 'SlowToRead') spin()
    return new Proxy(parsed, {
      get(target, name) {
        if (name === 'normalized' && parsed.recordName === 'SlowToNormalize') spin()
        if (name === 'incompatibilities' && parsed.recordName === 'SlowToCompare') return () => spin(100)
        return Reflect.get(target, name, target)
      },
    })
  }
}

function spin(milliseconds = 10_000): readonly string[] {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
  return []
}

interface Given extends Known {
  readonly format: CostlyFormat
}

function knowing(...rows: readonly (readonly [key: object, value: object])[]): Given {
  const format = new CostlyFormat()
  const state = new SchemaState()
  for (const [key, value] of rows) assert.ok(state.apply(JSON.stringify(key), JSON.stringify(value), 1))
  const parser = new SchemaParser({ ...SCHEMA_FORMATS, AVRO: format }, state)
  return { state, parser, finder: new SchemaFinder(state, parser), format }
}

function stored(subject: string, id: number, schema: string, more: object = {}) {
  const key = { keytype: 'SCHEMA', subject, version: id, magic: 1 }
  return [key, { subject, version: id, id, schema, deleted: false, ...more }] as const
}

function config(settings: object) {
  return [{ keytype: 'CONFIG', magic: 0 }, settings] as const
}

const tooExpensive = (message: RegExp) => (error: Error) => {
  assert.equal(registryCodeOf(error as never), 42201, error.message)
  assert.match(error.message, message)
  return true
}

const SLOW = [
  ['a lookup', (known: Given) => known.finder.lookup('s', request(recordOf('SlowToRead', {})), {})],
  [
    'a lookup that normalises',
    (known: Given) => known.finder.lookup('s', request(recordOf('SlowToNormalize', {})), { normalize: true }),
  ],
  ['a registration', (known: Given) => planRegistration(known, 's', request(recordOf('SlowToRead', {})), {})],
] as const

for (const [what, ask] of SLOW) {
  test(`${what} takes a second at most, new schemas validated or not`, () => {
    const known = knowing(config({ validateNewSchemas: false }), stored('s', 1, '"int"'))
    assert.throws(() => ask(known), tooExpensive(/^the schema is too expensive: it takes longer than 1000 ms$/))
  })
}

test('a comparison takes a second at most, with all versions together', () => {
  const versions = Array.from({ length: 30 }, (_, at) =>
    stored('s', at + 1, recordOf('SlowToCompare', { [`f${at}`]: ['int', 1] })),
  )
  const known = knowing(config({ compatibilityLevel: 'FULL_TRANSITIVE' }), ...versions)
  const asked = request(recordOf('SlowToCompare', { other: ['int', 1] }))
  const began = performance.now()
  assert.throws(
    () => testedFaults(known, 's', 'all', asked, false),
    tooExpensive(/^compatibility check too expensive: it takes longer than 1000 ms$/),
  )
  // sixty comparisons of a tenth of a second each
  assert.ok(performance.now() - began < 5_000)
})

test('what was found by its text is not parsed again; what was not found is not kept', () => {
  const known = knowing(stored('s', 1, '"int"'))
  const parsesOf = (schema: string) => {
    const before = known.format.parses
    try {
      known.finder.lookup('s', request(schema), {})
    } catch (error) {
      assert.equal(registryCodeOf(error as never), 40403)
    }
    return known.format.parses - before
  }
  assert.deepEqual([parsesOf('{"type": "int"}'), parsesOf('{"type": "int"}')], [1, 0])
  // with the stored one, to compare what they mean
  assert.deepEqual([parsesOf('"long"'), parsesOf('"long"')], [2, 1])
})

test('what is kept parsed counts with all that it refers to, and a little by itself', () => {
  const large = recordOf('Large', Object.fromEntries(Array.from({ length: 16_000 }, (_, at) => [`field_${at}`, 'int'])))
  const references = [{ name: 'Large', subject: 'large', version: 1 }]
  const referring = Array.from({ length: 20 }, (_, at) =>
    stored('s', at + 2, recordOf(`R${at}`, { large: 'Large' }), { references }),
  )
  const known = knowing(stored('large', 1, large), ...referring)
  const all = known.state.versions('s').map(({ schema }) => schema)
  for (const one of all) known.finder.parsed(one)
  const parsesOf = (index: number) => {
    const before = known.format.parses
    known.finder.parsed(all[index] as never)
    return known.format.parses - before
  }
  assert.ok(large.length * all.length > 9 * 2 ** 20)
  assert.deepEqual([parsesOf(19), parsesOf(10), parsesOf(0)], [0, 0, 1])
})

test('a form that means nothing for a type is the text as it is stored, unparsed', () => {
  const known = knowing(stored('s', 1, 'no schema at all'))
  const one = known.finder.ownVersion('s', 1).schema
  for (const form of ['', 'x', 'serialized', 'toString']) assert.equal(known.parser.formatted(one, form), one.schema)
  assert.throws(() => known.parser.formatted(one, 'resolved'))
})
