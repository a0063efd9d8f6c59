// asyncapi.yaml as the judge of Server-Sent Events: every event that a test reads is held against the message of its name.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { ValidateFunction } from 'ajv'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { asyncApi, frameSchemas } from './frames.ts'

const FILE = 'schemas/events.json'

const ajv = new Ajv({ strict: false, allErrors: true })
formats.default(ajv)
ajv.addSchema(frameSchemas, 'frames.json')
ajv.addSchema(JSON.parse(readFileSync(join(import.meta.dirname, '../..', FILE), 'utf8')), 'events.json')

/** By name; records come under `message`, as to a browser. */
export const eventMessages = Object.values(asyncApi.components.messages).filter(({ payload }) =>
  payload.$ref.includes(FILE),
)

const validators = new Map(
  [...new Set(eventMessages.map(({ name }) => name))].map((name) => {
    const described = eventMessages.filter((message) => message.name === name)
    return [name, described.map(({ payload }) => validatorOf(basename(payload.$ref)))]
  }),
)

function validatorOf(schema: string): ValidateFunction {
  const validate = ajv.getSchema(`events.json#/components/schemas/${schema}`)
  assert.ok(validate, schema)
  return validate
}

/** Throws unless the event is one that asyncapi.yaml knows. Some tests read hundreds of thousands. */
export function checkEvent(name: string, data: unknown): void {
  const described = validators.get(name) ?? []
  if (described.some((validate) => validate(data))) return
  const faults = described.map(({ errors }) => errors)
  assert.fail(`${JSON.stringify(faults).slice(0, 1_000)}: ${name} ${JSON.stringify(data).slice(0, 1_000)}`)
}
