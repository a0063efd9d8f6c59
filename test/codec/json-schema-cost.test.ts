// What a schema from anybody may cost everybody: it is bounded, whatever it says.

import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { JsonSchemaValidator } from '../../src/codec/json-schema-validator.ts'
import { SchemaDataError } from '../../src/codec/schema-data-error.ts'
import { OutOfTime, withinTime } from '../../src/kernel/within-time.ts'
import type { JsonSchema } from '../../src/registry/json-schema/json-schema-format.ts'
import { jsonSchemaFormat } from '../../src/registry/json-schema/json-schema-format.ts'

const validatorOf = (schema: object) =>
  new JsonSchemaValidator(jsonSchemaFormat.parse(JSON.stringify(schema), [], 'new') as JsonSchema)

// the time that values may take together is counted by turns
beforeEach(() => setImmediate())

test('work is stopped when its time is up, and what it throws is thrown', () => {
  const endless = () => {
    while (true) Math.random()
  }
  assert.throws(() => withinTime(20, endless), OutOfTime)
  assert.throws(() => withinTime(1_000, () => withinTime(20, endless)), OutOfTime)
  assert.throws(() => withinTime(20, () => withinTime(1_000, endless)), OutOfTime)
  assert.throws(
    () =>
      withinTime(100, () => {
        throw new RangeError('its own')
      }),
    RangeError,
  )
  assert.deepEqual(
    withinTime(100, () => [1]),
    [1],
  )
})

test('references that double with each level of the value', { timeout: 20_000 }, () => {
  const twice = { allOf: [{ $ref: '#/definitions/n' }, { $ref: '#/definitions/n' }] }
  const validator = validatorOf({
    definitions: { n: { properties: { a: twice } } },
    $ref: '#/definitions/n',
  })
  const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  validator.check(nested(8))
  assert.throws(() => validator.check(nested(40)), /longer than 200 ms/)
  for (let more = 0; more < 12; more++) assert.throws(() => validator.check(nested(40)), SchemaDataError)
  // all of them together have an end, until others had their turn
  const began = performance.now()
  for (let more = 0; more < 1_000; more++) assert.throws(() => validator.check(nested(40)), /values before it/)
  assert.ok(performance.now() - began < 5_000)
})

test('references that double with each definition', { timeout: 20_000 }, () => {
  const definitions: Record<string, object> = { n0: { type: 'object' } }
  for (let at = 1; at < 40; at++) {
    const $ref = `#/definitions/n${at - 1}`
    definitions[`n${at}`] = { allOf: [{ $ref }, { $ref }] }
  }
  const validator = validatorOf({ definitions, $ref: '#/definitions/n39' })
  assert.throws(() => validator.check('{}'), SchemaDataError)
})

test('a large part that is referred to often is compiled once', { timeout: 20_000 }, () => {
  const properties: Record<string, object> = {}
  for (let at = 0; at < 300; at++) properties[`p${at}`] = { $ref: '#/definitions/many' }
  const many = { enum: Array.from({ length: 3_000 }, (_, at) => `value ${at}`) }
  const validator = validatorOf({ definitions: { many }, properties })
  validator.check('{"p7":"value 8"}')
  assert.throws(() => validator.check('{"p7":"another"}'), SchemaDataError)
})
