// schemas/config.json, and the few of its words that turn an option's text into a value. ajv would cost each start, the
// command line's too, 70 ms and 22 MB to check what must be parsed from text here anyway; a test holds both to the same
// verdicts. Options that stand for topic configs are ruled by engine/topic-config.ts instead.

import { readFileSync } from 'node:fs'

export interface OptionSchema {
  readonly description: string
  readonly type: 'string' | 'integer' | 'number' | 'boolean'
  readonly default?: string | number | boolean
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly pattern?: string
  /** What the pattern means, for people. */
  readonly 'x-allowed'?: string
  /** The topic config that this option is the server-wide default of. */
  readonly 'x-topic-config'?: string
}

export const OPTION_SCHEMAS: ReadonlyMap<string, OptionSchema> = readSchemas()

/** The value that the text stands for; undefined when it stands for none, and then `allowed` says what would. */
export function optionValue(
  name: string,
  text: string,
): { readonly value: string | number | boolean | undefined; readonly allowed: string } {
  const schema = OPTION_SCHEMAS.get(name)
  if (schema === undefined) return { value: undefined, allowed: 'nothing: there is no such option' }
  return { value: parse(schema, text.trim()), allowed: allowedText(schema) }
}

function readSchemas(): ReadonlyMap<string, OptionSchema> {
  const text = readFileSync(new URL('../../schemas/config.json', import.meta.url), 'utf8')
  const { properties } = JSON.parse(text) as { properties: Record<string, OptionSchema> }
  return new Map(Object.entries(properties))
}

function parse(schema: OptionSchema, text: string): string | number | boolean | undefined {
  switch (schema.type) {
    case 'boolean':
      return /^(true|false)$/i.test(text) ? text.toLowerCase() === 'true' : undefined
    case 'integer':
      return /^[+-]?\d{1,15}$/.test(text) ? inRange(schema, Number(text)) : undefined
    case 'number':
      return /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text) ? inRange(schema, Number(text)) : undefined
    case 'string':
      if (schema.enum !== undefined && !schema.enum.includes(text)) return undefined
      return schema.pattern === undefined || new RegExp(schema.pattern, 'u').test(text) ? text : undefined
  }
}

function inRange({ minimum = -Infinity, maximum = Infinity }: OptionSchema, value: number): number | undefined {
  return value >= minimum && value <= maximum ? value : undefined
}

function allowedText(schema: OptionSchema): string {
  if (schema['x-allowed'] !== undefined) return schema['x-allowed']
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`
  if (schema.type === 'boolean') return 'true or false'
  if (schema.type === 'string') return 'text'
  const { minimum, maximum } = schema
  const range = [minimum === undefined ? '' : ` from ${minimum}`, maximum === undefined ? '' : ` to ${maximum}`].join(
    '',
  )
  return `a ${schema.type === 'integer' ? 'whole ' : ''}number${range}`
}
