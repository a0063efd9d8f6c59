// `tailrace schemas list | show | register | check | diff | delete | config`.

import { TailraceClientError } from '../client/client-error.ts'
import type {
  IdentifiedSchema,
  RegisteredSchema,
  SchemaMode,
  SchemaText,
  SchemaVerdict,
  SchemaVersion,
  VersionName,
} from '../client/schema-client.ts'
import { SchemaClient } from '../client/schema-client.ts'
import type { CompatibilityLevel, SchemaType } from '../kernel/schema-words.ts'
import { CommandFailure, EXIT, messageOf } from './command-failure.ts'
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
  const registered = await client.register(subject, schema, { normalize: options.normalize, signal }).catch((error) => {
    const hint = typeHint(file, schema, options)
    throw hint !== '' && INVALID.test(messageOf(error)) ? new CommandFailure(`${messageOf(error)}${hint}`) : error
  })
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
  const versions = await client.listVersions(subject, { signal }).catch((error) => {
    if (version !== undefined || codeOf(error) !== NO_SUBJECT) throw error
    return []
  })
  const none = versions.length === 0 ? `${subject} has no versions yet` : undefined
  const verdict = await client.checkCompatibility(subject, schema, { version, normalize, signal })
  const output = chosenOutput(options.output, terminal)
  if (output !== 'table') await printList(terminal, output, [{ subject, ...verdict }], [])
  const invalid = verdict.messages.find((message) => INVALID.test(message))
  if (invalid !== undefined) {
    const at = invalid.lastIndexOf(DETAILS)
    const reason = at < 0 ? invalid : invalid.slice(at + DETAILS.length)
    const told = `${file} is no valid schema of type ${typeOf(schema)}: ${reason}${typeHint(file, schema, options)}`
    throw new CommandFailure(none === undefined ? told : `${told}; ${none}`)
  }
  if (output === 'table') await terminal.write(readableVerdict(verdict))
  if (!verdict.is_compatible) throw new CommandFailure(`${file} is not compatible with ${subject}`)
  terminal.note(none === undefined ? `${file} is compatible with ${subject}` : `${none}: ${file} can be the first`)
}

const NO_SUBJECT = '40401'
const INVALID = /^(?:Invalid|Empty) schema/
const DETAILS = 'details: '

function codeOf(error: unknown): string | undefined {
  return error instanceof TailraceClientError ? error.code : undefined
}

/** What it was taken for, where nobody has said what it is. */
function typeHint(file: string, schema: SchemaText, { type }: SchemaFileOptions): string {
  if (type !== undefined) return ''
  const source = file === '-' ? 'stdin' : file
  const reason = file === '-' ? '' : ' because of how its name ends'
  return `; ${source} was taken as ${typeOf(schema)}${reason}: --type names another one`
}

/** A line for each difference, without the old schema. */
function readableVerdict({ messages }: SchemaVerdict): string {
  const about = (pattern: RegExp) => messages.map((message) => pattern.exec(message)?.[1]).find((found) => found)
  const version = about(/^\{oldSchemaVersion: (\d+)\}$/)
  const level = about(/^\{validateFields: .* compatibility: '(\w+)'\}$/)
  const lines = messages.filter((message) => !/^\{(?:oldSchema|validateFields)/.test(message)).map(readableDifference)
  if (version !== undefined && level !== undefined) lines.push(`compared with version ${version}, as ${level} asks`)
  return lines.map((line) => `${line}\n`).join('')
}

/** From `{errorType:'KIND', description:'...', additionalInfo:'...'}`, in which quotes are not escaped. */
function readableDifference(message: string): string {
  const match = /^\{errorType:['"](\w+)['"], description:['"](.*?)['"](?:, additionalInfo:'(.*)')?\}$/s.exec(message)
  if (match === null) return message
  const [, kind, description = '', info = ''] = match
  return `${kind}: ${description}${description.includes(info) ? '' : ` (${info})`}`
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
  checkIsNoRequest(file, schema)
  const references = []
  for (const { name, subject, version } of reference) {
    const found =
      version ?? (await client.getVersion(subject, 'latest', { signal: terminal.interruptSignal() })).version
    references.push({ name, subject, version: found })
  }
  return { schema, schemaType: type ?? typeByName(file), references }
}

/** JSON that is sent to a registry is itself a JSON Schema, which says nothing of any value. */
function checkIsNoRequest(file: string, text: string): void {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return
  }
  if (typeof json !== 'object' || json === null) return
  const { schema, schemaType } = json as { schema?: unknown; schemaType?: unknown }
  if (typeof schema !== 'string' || typeof schemaType !== 'string') return
  throw new CommandFailure(
    `${file} is the body of a request, not a schema: its member schema is the schema's text (of type ${schemaType.slice(0, 40)}), which belongs into a file of its own`,
  )
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
  let deleted = await unlessDeleted(remove(false), { subject, version, isTolerant: options.permanent === true })
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
async function unlessDeleted(
  deleted: Promise<readonly number[]>,
  { subject, version, isTolerant }: { subject: string; version: VersionName | undefined; isTolerant: boolean },
): Promise<readonly number[]> {
  try {
    return await deleted
  } catch (error) {
    const code = codeOf(error)
    if (code !== '40404' && code !== '40406') throw error
    if (isTolerant) return []
    const what = version === undefined ? subject : `${subject} version ${version}`
    const message = `${what} was deleted before; --permanent deletes it for good`
    throw new CommandFailure(message, { exitCode: EXIT.notFound, cause: error })
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
  const [config, modeNow, compatibilityLevelFrom, modeFrom] = await Promise.all([
    client.getConfig(subject, { signal }),
    client.getMode(subject, { signal }),
    originOf(subject, (scope) => client.getConfig(scope, { isOwn: true, signal })),
    originOf(subject, (scope) => client.getMode(scope, { isOwn: true, signal })),
  ])
  const line = { subject: subject ?? null, ...config, mode: modeNow, compatibilityLevelFrom, modeFrom }
  await printList(terminal, chosenOutput(options.output, terminal), [line], CONFIG_COLUMNS)
}

/** Whose setting it is that holds. */
type Origin = 'subject' | 'context' | 'all'

async function originOf(subject: string | undefined, ask: (scope: string) => Promise<unknown>): Promise<Origin> {
  const isSet = async (scope: string) => {
    try {
      await ask(scope)
      return true
    } catch (error) {
      if (error instanceof TailraceClientError && error.status === 404) return false
      throw error
    }
  }
  if (subject === undefined) return 'all'
  const [context, name] = /^(:\.[^:]*:)(.*)$/s.exec(subject)?.slice(1) ?? [undefined, subject]
  if (await isSet(subject)) return name === '' ? 'context' : 'subject'
  return context !== undefined && name !== '' && (await isSet(context)) ? 'context' : 'all'
}

const ORIGIN_TEXT: Readonly<Record<Origin, string>> = { subject: 'its own', context: 'its context', all: 'all' }

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
  readonly compatibilityLevelFrom: Origin
  readonly modeFrom: Origin
}>[] = [
  { name: 'SUBJECT', text: ({ subject }) => subject ?? '(all)' },
  { name: 'LEVEL', text: ({ compatibilityLevel }) => compatibilityLevel },
  { name: 'FROM', text: ({ compatibilityLevelFrom }) => ORIGIN_TEXT[compatibilityLevelFrom] },
  { name: 'MODE', text: ({ mode }) => mode },
  { name: 'FROM', text: ({ modeFrom }) => ORIGIN_TEXT[modeFrom] },
]
