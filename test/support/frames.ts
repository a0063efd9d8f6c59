// schemas/frames.json as the judge of WebSocket frames: whatever a test sends or receives is held against it, and no frame
// may be of a type that asyncapi.yaml does not describe for its direction.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'

interface FrameSchema {
  readonly properties: { readonly type?: { readonly const?: string } }
}

const root = join(import.meta.dirname, '../..')
const file = JSON.parse(readFileSync(join(root, 'schemas/frames.json'), 'utf8')) as {
  readonly components: { readonly schemas: Readonly<Record<string, FrameSchema>> }
}

/** By type, the name of its schema. */
export const FRAME_SCHEMAS: ReadonlyMap<string, string> = new Map(
  Object.entries(file.components.schemas).flatMap(([name, { properties }]) => {
    const type = properties?.type?.const
    return type === undefined ? [] : [[type, name] as const]
  }),
)

const ajv = new Ajv({ strict: false, allErrors: true })
formats.default(ajv)
ajv.addSchema(file, 'frames')

/** Types of frames that some test of this process has seen: sent by a client, sent by the server. */
export const seenFrames = { client: new Set<string>(), server: new Set<string>() }

/** Throws unless the frame is as its schema says. */
export function checkFrame(from: 'client' | 'server', frame: { readonly type: string }): void {
  const about = `${from} ${JSON.stringify(frame).slice(0, 1_000)}`
  const schema = FRAME_SCHEMAS.get(frame.type)
  assert.ok(schema, `the type is described: ${about}`)
  const validate = ajv.getSchema(`frames#/components/schemas/${schema}`)
  assert.ok(validate, schema)
  const isValid = validate(frame)
  assert.ok(isValid, `${JSON.stringify(validate.errors?.slice(0, 3))}: ${about}`)
  seenFrames[from].add(frame.type)
}
