// Confluent's console tools of schemas, such as kafka-avro-console-producer. They are not here; whoever calls one, or gives
// Kafka's own tools their properties, is told the line that does the same.

import { CommandFailure, EXIT } from './command-failure.ts'
import type { Properties } from './kafka-connect.ts'
import { isTrue, parseProperties } from './kafka-connect.ts'

const ENCODING_OF: Readonly<Record<string, string>> = {
  avro: 'avro',
  'json-schema': 'jsonschema',
  protobuf: 'protobuf',
}

export function insteadOfSchemaTool(name: string, args: readonly string[]): CommandFailure {
  const format = name.slice('kafka-'.length, name.indexOf('-console-'))
  const said = { topic: 'TOPIC', isFromBeginning: args.includes('--from-beginning'), ...readArguments(args) }
  const line = name.endsWith('producer') ? produceLine(said, ENCODING_OF[format] as string) : consumeLine(said)
  return new CommandFailure(`there is no ${name} here; this does the same: ${line}`, { exitCode: EXIT.usage })
}

interface Said {
  readonly topic: string
  readonly group?: string
  readonly count?: string
  readonly isFromBeginning: boolean
  readonly properties: Properties
}

/** As `--name value` and `--name=value`. */
function readArguments(args: readonly string[]) {
  const found = new Map<string, string[]>()
  for (const [at, arg] of args.entries()) {
    const equals = arg.indexOf('=')
    const [name, value] =
      arg.startsWith('--') && equals > 0 ? [arg.slice(0, equals), arg.slice(equals + 1)] : [arg, args[at + 1]]
    if (name.startsWith('--') && value !== undefined) found.set(name, [...(found.get(name) ?? []), value])
  }
  const last = (name: string) => found.get(name)?.at(-1)
  const properties = ['--property', '--reader-property', '--formatter-property'].flatMap(
    (name) => found.get(name) ?? [],
  )
  const named = { topic: last('--topic'), group: last('--group'), count: last('--max-messages') }
  return {
    ...(Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)) as Partial<typeof named>),
    properties: parseProperties(properties.filter((text) => text.includes('='))),
  } as Partial<Pick<Said, 'topic' | 'group' | 'count'>> & Pick<Said, 'properties'>
}

function produceLine({ topic, properties }: Said, encoding: string): string {
  const words = ['tailrace produce', topic, '--value-encoding', encoding]
  const id = properties.get('value.schema.id')
  if (id !== undefined) words.push('--schema-id', id)
  if (isTrue(properties, 'parse.key')) {
    words.push('--key-encoding', encoding, '--key-separator', shellWord(properties.get('key.separator') ?? '\t'))
    const keyId = properties.get('key.schema.id')
    if (keyId !== undefined) words.push('--key-schema-id', keyId)
  }
  if (id !== undefined) return words.join(' ')
  return `${words.join(' ')} (after: tailrace schemas register ${topic}-value FILE)`
}

function consumeLine({ topic, group, count, isFromBeginning, properties }: Said): string {
  const words = ['tailrace consume', topic]
  if (isFromBeginning) words.push('--from-beginning')
  if (group !== undefined) words.push('--group', group)
  if (count !== undefined) words.push('--max-messages', count)
  words.push('--output', isTrue(properties, 'print.key') ? 'key-value' : 'value')
  return words.join(' ')
}

function shellWord(text: string): string {
  if (text === '\t') return "$'\\t'"
  return /^[\w.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

const SCHEMA_PROPERTY = /^(?:schema\.|(?:key|value)\.(?:schema|subject)\b|auto\.register|use\.latest|print\.schema)/

/** What Confluent's tools would do with such a property is not done here: nobody is to believe that it was. */
export function refuseSchemaProperties(properties: Properties, line: string): void {
  const name = [...properties.keys()].find((one) => SCHEMA_PROPERTY.test(one))
  if (name === undefined) return
  throw new CommandFailure(`--property ${name}: this tool knows no schemas; '${line}' does`)
}
