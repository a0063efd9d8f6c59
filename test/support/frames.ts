// asyncapi.yaml, and the schemas that it refers to, as the judge of WebSocket frames: every frame that a test sends or
// receives is held against it, is it one of that direction, does it fit its schema.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { ValidateFunction } from 'ajv'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { readYaml } from './yaml-file.ts'

interface Reference {
  readonly $ref: string
}

interface AsyncApi {
  readonly info: { readonly description: string }
  readonly operations: Readonly<
    Record<
      string,
      {
        readonly action: 'receive' | 'send'
        readonly channel: Reference
        readonly messages: readonly Reference[]
        readonly reply?: { readonly messages: readonly Reference[] }
      }
    >
  >
  readonly components: {
    readonly messages: Readonly<
      Record<
        string,
        {
          readonly name: string
          readonly payload: Reference
          readonly examples: readonly { readonly payload: object }[]
        }
      >
    >
  }
}

export type Sender = 'client' | 'server'

const root = join(import.meta.dirname, '../..')
const SCHEMAS_FILE = './schemas/frames.json'

export const asyncApi = readYaml('asyncapi.yaml') as AsyncApi
export const frameSchemas = JSON.parse(readFileSync(join(root, SCHEMAS_FILE), 'utf8')) as {
  readonly components: {
    readonly schemas: Readonly<
      Record<string, { readonly properties?: { readonly type?: { readonly const?: string } } }>
    >
  }
}

const ajv = new Ajv({ strict: false, allErrors: true })
formats.default(ajv)
ajv.addSchema(frameSchemas, 'frames')

/** The messages that are frames, by type. */
export const frameMessages = Object.entries(asyncApi.components.messages).filter(([, { payload }]) =>
  payload.$ref.startsWith(SCHEMAS_FILE),
)

/** The types that each side sends. */
export const frameTypes: Readonly<Record<Sender, ReadonlySet<string>>> = {
  client: typesOf('receive'),
  server: typesOf('send'),
}

/** Those of them that some test of this process has seen. */
export const seenFrames: Readonly<Record<Sender, Set<string>>> = { client: new Set(), server: new Set() }

/** Throws unless the frame is one that the sender may send. */
export function checkFrame(sender: Sender, frame: { readonly type: string }): void {
  const about = () => `${sender} ${JSON.stringify(frame).slice(0, 1_000)}`
  if (!frameTypes[sender].has(frame.type)) assert.fail(`asyncapi.yaml does not say that it is sent: ${about()}`)
  const validate = validatorOf(frame.type)
  if (!validate(frame)) assert.fail(`${JSON.stringify(validate.errors?.slice(0, 3))}: ${about()}`)
  seenFrames[sender].add(frame.type)
}

function validatorOf(type: string): ValidateFunction {
  const message = asyncApi.components.messages[type]
  const validate = message && ajv.getSchema(message.payload.$ref.replace(SCHEMAS_FILE, 'frames'))
  assert.ok(validate, `asyncapi.yaml has a message ${type} with a schema`)
  return validate
}

function typesOf(action: 'receive' | 'send'): ReadonlySet<string> {
  const operations = Object.values(asyncApi.operations).filter(
    (operation) => operation.action === action && operation.channel.$ref === '#/channels/events',
  )
  return new Set(operations.flatMap(({ messages }) => messages.map(({ $ref }) => basename($ref))))
}
