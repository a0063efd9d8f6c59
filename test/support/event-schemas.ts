// schemas/events.json as the judge of Server-Sent Events: whatever a test reads is held against it.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'

const ajv = new Ajv({ strict: false, allErrors: true })
formats.default(ajv)
for (const file of ['frames.json', 'events.json']) {
  ajv.addSchema(JSON.parse(readFileSync(join(import.meta.dirname, '../../schemas', file), 'utf8')), file)
}

/** By the event's name; records have none, which is `message` to a browser. */
const SCHEMA_OF: Readonly<Record<string, string>> = {
  message: 'EventRecord',
  progress: 'EventProgress',
  gap: 'EventGap',
  problem: 'EventProblem',
  end: 'EventEnd',
}

/** Throws unless the event is as its schema says. */
export function checkEvent(name: string, data: unknown): void {
  const about = () => `${name} ${JSON.stringify(data).slice(0, 1_000)}`
  const schema = Array.isArray(data) && name === 'message' ? 'EventRecords' : SCHEMA_OF[name]
  if (schema === undefined) assert.fail(`the event is not described: ${about()}`)
  const validate = ajv.getSchema(`events.json#/components/schemas/${schema}`)
  assert.ok(validate, schema)
  if (!validate(data)) assert.fail(`${JSON.stringify(validate.errors?.slice(0, 3))}: ${about()}`)
}
