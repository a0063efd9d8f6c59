// `tailrace schemas list | show | register | check | diff | delete | config`.

import { TailraceClientError } from '../client/client-error.ts'
import type {
  CompatibilityLevel,
  IdentifiedSchema,
  RegisteredSchema,
  SchemaMode,
  SchemaText,
  SchemaType,
  SchemaVersion,
  VersionName,
} from '../client/schema-client.ts'
import { SchemaClient } from '../client/schema-client.ts'
import { CommandFailure, EXIT } from './command-failure.ts'
import type { ConnectOptions, ListOptions } from './connect.ts'
import { unifiedDiff } from './line-diff.ts'
import type { NamedReference } from './option-value.ts'
import { readableSchema } from './readable-schema.ts'
import { serverUrl } from './server-address.ts'
import type { Column } from './table.ts'
import { chosenOutput, printList, renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'

function connect(terminal: Terminal, { url }: ConnectOptions): SchemaClient {
  return new SchemaClient({ url: serverUrl(url, terminal.env) })
}

const VERSION_COLUMNS: readonly Column<SchemaVersion>[] = [
  { name: 'SUBJECT', text: ({ subject }) => subject },
  { name: 'VERSION', text: ({ version }) => String(version) },
  { name: 'ID', text: ({ id }) => String(id) },
  { name: 'TYPE', text: typeOf },
  { name: 'NOTE', text: ({ deleted }) => (deleted ? 'deleted' : '') },
]

/** Older registries leave Avro out. */
function typeOf({ schemaType = 'AVRO' }: SchemaText): string {
  return schemaType
}

export async function listSchemas(
  terminal: Terminal,
  subjectPrefix: string | undefined,
  options: ListOptions & { readonly all?: boolean; readonly deleted?: boolean },
): Promise<void> {
  const { all: allVersions, deleted } = options
  const signal = terminal.interruptSignal()
  const schemas = await connect(terminal, options).listSchemas({ subjectPrefix, allVersions, deleted, signal })
  await printList(terminal, chosenOutput(options.output, terminal), schemas, VERSION_COLUMNS)
}

export async function showSchema(
  terminal: Terminal,
  subject: string | undefined,
  version: VersionName | undefined,
  options: ListOptions & { readonly id?: number; readonly raw?: boolean },
): Promise<void> {
  const { id, raw, output } = options
  if ((subject === undefined) === (id === undefined)) {
    throw new CommandFailure('a subject or --id says which schema: one of them', { exitCode: EXIT.usage })
  }
  const client = connect(terminal, options)
  const signal = terminal.interruptSignal()
  const schema =
    subject === undefined
      ? { id: id as number, ...(await client.getSchema(id as number, { signal })) }
      : await client.getVersion(subject, version ?? 'latest', { signal })
  if (raw) await terminal.write(withLineEnd(schema.schema))
  else if (chosenOutput(output, terminal) === 'table') await terminal.write(renderSchema(schema))
  else await printList(terminal, chosenOutput(output, terminal), [schema], [])
}

/** For people: what it is, and its text as it reads best. */
function renderSchema(schema: IdentifiedSchema & Partial<SchemaVersion>): string {
  const { subject, version, id, references = [], metadata, ruleSet } = schema
  const where = subject === undefined ? '' : `${subject} version ${version}, `
  const parts = [
    `${where}id ${id} (${typeOf(schema)})\n`,
    ...(references.length === 0 ? [] : [renderTable(references, REFERENCE_COLUMNS)]),
    ...(metadata === undefined ? [] : [`metadata: ${JSON.stringify(metadata)}\n`]),
    ...(ruleSet === undefined ? [] : [`rules: ${JSON.stringify(ruleSet)}\n`]),
    withLineEnd(readableSchema(schema)),
  ]
  return parts.join('\n')
}

const REFERENCE_COLUMNS: readonly Column<{ name: string; subject: string; version: number }>[] = [
  { name: 'REFERENCE', text: ({ name }) => name },
  { name: 'SUBJECT', text: ({ subject }) => subject },
  { name: 'VERSION', text: ({ version }) => String(version) },
]

function withLineEnd(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`
}

export interface SchemaFileOptions extends ListOptions {
  readonly type?: SchemaType
  readonly reference?: readonly NamedReference[]
  readonly normalize?: boolean
}

export async function registerSchema(
  terminal: Terminal,
  subject: string,
  file: string,
  options: SchemaFileOptions,
): Promise<void> {
  const client = connect(terminal, options)
  const signal = terminal.interruptSignal()
  const schema = await readSchema(terminal, client, file, options)
  const registered = await client.register(subject, schema, { normalize: options.normalize, signal })
  const line = { subject, ...registered }
  await printList(terminal, chosenOutput(options.output, terminal), [line], REGISTERED_COLUMNS)
}

const REGISTERED_COLUMNS: readonly Column<RegisteredSchema & { readonly subject: string }>[] = [
  { name: 'SUBJECT', text: ({ subject }) => subject },
  { name: 'VERSION', text: ({ version }) => (version === undefined ? '-' : String(version)) },
  { name: 'ID', text: ({ id }) => String(id) },
  { name: 'TYPE', text: typeOf },
]

/** Exits with 1 where it would be refused. */
export async function checkSchema(
  terminal: Terminal,
  subject: string,
  file: string,
  options: SchemaFileOptions & { readonly against?: VersionName },
): Promise<void> {
  const client = connect(terminal, options)
  const signal = terminal.interruptSignal()
  const schema = await readSchema(terminal, client, file, options)
  const { normalize, against: version } = options
  const verdict = await client.checkCompatibility(subject, schema, { version, normalize, signal })
  const output = chosenOutput(options.output, terminal)
  if (output !== 'table') await printList(terminal, output, [{ subject, ...verdict }], [])
  else await terminal.write(verdict.messages.map((message) => `${message}\n`).join(''))
  if (!verdict.is_compatible) throw new CommandFailure(`${file} is not compatible with ${subject}`)
  terminal.note(`${file} is compatible with ${subject}`)
}

/** A file, or stdin. */
async function readSchema(
  terminal: Terminal,
  client: SchemaClient,
  file: string,
  { type, reference = [] }: SchemaFileOptions,
): Promise<SchemaText> {
  const { readFile } = await import('node:fs/promises')
  const schema = file === '-' ? await textOfInput(terminal) : await readFile(file, 'utf8')
  const references = []
  for (const { name, subject, version } of reference) {
    const found =
      version ?? (await client.getVersion(subject, 'latest', { signal: terminal.interruptSignal() })).version
    references.push({ name, subject, version: found })
  }
  return { schema, schemaType: type ?? typeByName(file), references }
}

/** More than a registry takes, so that an input without an end has one. */
const SCHEMA_BYTES_MAX = 16 * 1024 * 1024

async function textOfInput(terminal: Terminal): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of terminal.input) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > SCHEMA_BYTES_MAX) throw new CommandFailure(`the schema is longer than ${SCHEMA_BYTES_MAX} bytes`)
  }
  return Buffer.concat(chunks).toString()
}

function typeByName(file: string): SchemaType {
  if (file.endsWith('.proto')) return 'PROTOBUF'
  return file.endsWith('.json') ? 'JSON' : 'AVRO'
}

/** As `diff -u` of the two texts; nothing where they are the same. By default what the last version changed. */
export async function diffSchemas(
  terminal: Terminal,
  subject: string,
  from: VersionName | undefined,
  to: VersionName | undefined,
  options: ConnectOptions,
): Promise<void> {
  const client = connect(terminal, options)
  const signal = terminal.interruptSignal()
  const versions = await client.listVersions(subject, { signal })
  const before = from ?? versions.at(-2)
  if (before === undefined) throw new CommandFailure(`${subject} has one version only`, { exitCode: EXIT.notFound })
  const older = await client.getVersion(subject, before, { signal })
  const newer = await client.getVersion(subject, to ?? 'latest', { signal })
  await terminal.write(unifiedDiff(sideOf(older), sideOf(newer)))
}

function sideOf(schema: SchemaVersion) {
  const name = `${schema.subject} version ${schema.version} (${typeOf(schema)})`
  return { name, lines: readableSchema(schema).trimEnd().split('\n') }
}

export async function deleteSchemas(
  terminal: Terminal,
  subject: string,
  version: VersionName | undefined,
  options: ListOptions & { readonly permanent?: boolean },
): Promise<void> {
  const client = connect(terminal, options)
  const signal = terminal.interruptSignal()
  const remove = async (permanent: boolean, which = version): Promise<readonly number[]> =>
    which === undefined
      ? await client.deleteSubject(subject, { permanent, signal })
      : [await client.deleteVersion(subject, which, { permanent, signal })]
  let deleted = await unlessDeleted(remove(false), options.permanent === true)
  if (options.permanent) deleted = await remove(true, version === 'latest' ? deleted[0] : version)
  const lines = deleted.map((one) => ({ subject, version: one }))
  await printList(
    terminal,
    chosenOutput(options.output, terminal),
    lines,
    VERSION_COLUMNS.slice(0, 2) as Column<object>[],
  )
}

/** What is deleted for good is deleted first: that it was so already is no failure then. */
async function unlessDeleted(deleted: Promise<readonly number[]>, isTolerant: boolean): Promise<readonly number[]> {
  try {
    return await deleted
  } catch (error) {
    const wasDeleted = error instanceof TailraceClientError && (error.code === '40404' || error.code === '40406')
    if (!wasDeleted || !isTolerant) throw error
    return []
  }
}

/** What holds for a subject, or for all: shown, after it was changed where that is asked for. */
export async function configureSchemas(
  terminal: Terminal,
  subject: string | undefined,
  options: ListOptions & {
    readonly level?: CompatibilityLevel
    readonly mode?: SchemaMode
    readonly force?: boolean
    readonly unset?: boolean
  },
): Promise<void> {
  const client = connect(terminal, options)
  const { level, mode, force } = options
  const signal = terminal.interruptSignal()
  if (options.unset) {
    await unlessUnset(client.unsetMode(subject, { signal }))
    await unlessUnset(client.unsetConfig(subject, { signal }))
  }
  // no level can be set where everything is only read
  const isModeLast = mode?.startsWith('READONLY') === true
  const setMode = async () => mode !== undefined && (await client.setMode(subject, mode, { force, signal }))
  if (!isModeLast) await setMode()
  if (level !== undefined) await client.setLevel(subject, level, { signal })
  if (isModeLast) await setMode()
  const [config, modeNow] = await Promise.all([
    client.getConfig(subject, { signal }),
    client.getMode(subject, { signal }),
  ])
  const line = { subject: subject ?? null, ...config, mode: modeNow }
  await printList(terminal, chosenOutput(options.output, terminal), [line], CONFIG_COLUMNS)
}

async function unlessUnset(unset: Promise<void>): Promise<void> {
  try {
    await unset
  } catch (error) {
    if (!(error instanceof TailraceClientError && error.code === '40401')) throw error
  }
}

const CONFIG_COLUMNS: readonly Column<{
  readonly subject: string | null
  readonly compatibilityLevel: string
  readonly mode: string
}>[] = [
  { name: 'SUBJECT', text: ({ subject }) => subject ?? '(all)' },
  { name: 'LEVEL', text: ({ compatibilityLevel }) => compatibilityLevel },
  { name: 'MODE', text: ({ mode }) => mode },
]
