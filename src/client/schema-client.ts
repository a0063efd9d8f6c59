// A client of the schema registry, as Confluent's API has it. Failures are TailraceClientErrors whose code is the registry's
// own number, such as '40401'. Nothing is kept and nothing is tried again.

import type { CompatibilityLevel, SchemaType } from '../kernel/schema-words.ts'
import type { CallOptions, ClientOptions } from './client.ts'
import { TailraceClientError } from './client-error.ts'
import type { Call, Fetch } from './http-call.ts'
import { callForBody } from './http-call.ts'
import { textOf } from './raw-json.ts'

export const SCHEMA_MODES = ['READWRITE', 'READONLY', 'READONLY_OVERRIDE', 'IMPORT'] as const
export type SchemaMode = (typeof SCHEMA_MODES)[number]

export interface SchemaReference {
  /** As the schema that refers writes it: a full name, a URI, a path to import. */
  readonly name: string
  readonly subject: string
  readonly version: number
}

/** A schema to be. */
export interface SchemaText {
  /** AVRO if left out. */
  readonly schemaType?: SchemaType | undefined
  readonly schema: string
  readonly references?: readonly SchemaReference[] | undefined
}

/** A schema by its id, whatever subjects it is in. */
export interface IdentifiedSchema extends SchemaText {
  readonly guid?: string
  readonly metadata?: object
  readonly ruleSet?: object
}

/** A version of a subject. */
export interface SchemaVersion extends IdentifiedSchema {
  readonly subject: string
  readonly version: number
  readonly id: number
  /** Only where deleted ones are asked for. */
  readonly deleted?: boolean
}

export interface RegisteredSchema extends IdentifiedSchema {
  readonly id: number
  readonly version?: number
}

export interface SchemaVerdict {
  readonly is_compatible: boolean
  /** Why it is not. */
  readonly messages: readonly string[]
}

/** Of all where no subject is named. */
export interface SchemaConfig {
  readonly compatibilityLevel: CompatibilityLevel
  readonly normalize?: boolean
}

/** The number of a version, or the last. */
export type VersionName = number | 'latest'

const HEADERS = { accept: 'application/json' }
const JSON_HEADERS = { ...HEADERS, 'content-type': 'application/json' }

/** Schemas asked for in one call of a listing: as many as a registry gives. */
const PAGE_LIMIT = 1_000

export class SchemaClient {
  readonly url: string
  readonly #fetch: Fetch

  constructor({ url, fetch = globalThis.fetch }: ClientOptions) {
    this.url = url.replace(/\/+$/, '')
    this.#fetch = fetch
  }

  /** Versions of the subjects that begin with a prefix: the last of each, or all. By subject and version. */
  async listSchemas(
    options: CallOptions & {
      readonly subjectPrefix?: string | undefined
      readonly allVersions?: boolean | undefined
      readonly deleted?: boolean | undefined
    } = {},
  ): Promise<SchemaVersion[]> {
    const { subjectPrefix = '', allVersions = false, deleted = false, signal } = options
    const all: SchemaVersion[] = []
    for (;;) {
      const query = { subjectPrefix, latestOnly: !allVersions, deleted, offset: all.length, limit: PAGE_LIMIT }
      const page = await this.#json<SchemaVersion[]>({ method: 'GET', path: `/schemas${queryOf(query)}`, signal })
      // a page of long schemas may have fewer than it could
      if (page.length === 0) return all
      all.push(...page)
    }
  }

  getSchema(id: number, { signal }: CallOptions = {}): Promise<IdentifiedSchema> {
    return this.#json({ method: 'GET', path: `/schemas/ids/${id}`, signal })
  }

  getVersion(
    subject: string,
    version: VersionName,
    { deleted = false, signal }: CallOptions & { readonly deleted?: boolean | undefined } = {},
  ): Promise<SchemaVersion> {
    return this.#json({ method: 'GET', path: `${versionsOf(subject)}/${version}${queryOf({ deleted })}`, signal })
  }

  listVersions(
    subject: string,
    { deleted = false, signal }: CallOptions & { readonly deleted?: boolean | undefined } = {},
  ): Promise<number[]> {
    return this.#json({ method: 'GET', path: `${versionsOf(subject)}${queryOf({ deleted })}`, signal })
  }

  /** One that is there already is given as it is there. */
  register(subject: string, schema: SchemaText, options: NormalizeOptions = {}): Promise<RegisteredSchema> {
    return this.#json(post(versionsOf(subject), schema, options))
  }

  /** The version that has this schema. */
  lookUp(subject: string, schema: SchemaText, options: NormalizeOptions = {}): Promise<SchemaVersion> {
    return this.#json(post(subjectPath(subject), schema, options))
  }

  /** Whether it could be registered; with a version, whether it goes with that one. */
  checkCompatibility(
    subject: string,
    schema: SchemaText,
    options: NormalizeOptions & { readonly version?: VersionName | undefined } = {},
  ): Promise<SchemaVerdict> {
    const { version } = options
    const path = `/compatibility${versionsOf(subject)}${version === undefined ? '' : `/${version}`}`
    return this.#json(post(path, schema, options, { verbose: true }))
  }

  /** Gives the versions that are deleted now. Permanently only what was deleted before. */
  deleteSubject(subject: string, { permanent = false, signal }: DeleteOptions = {}): Promise<number[]> {
    const path = `${subjectPath(subject)}${queryOf({ permanent })}`
    return this.#json({ method: 'DELETE', path, signal })
  }

  deleteVersion(
    subject: string,
    version: VersionName,
    { permanent = false, signal }: DeleteOptions = {},
  ): Promise<number> {
    const path = `${versionsOf(subject)}/${version}${queryOf({ permanent })}`
    return this.#json({ method: 'DELETE', path, signal })
  }

  /** What holds for a subject, be it set there or for all; with isOwn only what is set there, else '40408'. */
  getConfig(subject: string | undefined, { isOwn = false, signal }: OwnOptions = {}): Promise<SchemaConfig> {
    return this.#json({ method: 'GET', path: settingPath('config', subject, { defaultToGlobal: !isOwn }), signal })
  }

  async setLevel(subject: string | undefined, level: CompatibilityLevel, { signal }: CallOptions = {}): Promise<void> {
    await this.#json(put(settingPath('config', subject), { compatibility: level }, signal))
  }

  /** What is set for all holds again. */
  async unsetConfig(subject: string | undefined, { signal }: CallOptions = {}): Promise<void> {
    await this.#json({ method: 'DELETE', path: settingPath('config', subject), signal })
  }

  /** As getConfig; '40409'. */
  async getMode(subject: string | undefined, { isOwn = false, signal }: OwnOptions = {}): Promise<SchemaMode> {
    const path = settingPath('mode', subject, { defaultToGlobal: !isOwn })
    return (await this.#json<{ mode: SchemaMode }>({ method: 'GET', path, signal })).mode
  }

  async setMode(
    subject: string | undefined,
    mode: SchemaMode,
    { force = false, signal }: CallOptions & { readonly force?: boolean | undefined } = {},
  ): Promise<void> {
    await this.#json(put(settingPath('mode', subject, { force }), { mode }, signal))
  }

  async unsetMode(subject: string | undefined, { signal }: CallOptions = {}): Promise<void> {
    await this.#json({ method: 'DELETE', path: settingPath('mode', subject), signal })
  }

  async #json<Body>(call: Call): Promise<Body> {
    return JSON.parse(textOf(await callForBody(this.#fetch, this.url, { headers: HEADERS, ...call }))) as Body
  }
}

interface OwnOptions extends CallOptions {
  readonly isOwn?: boolean
}

interface NormalizeOptions extends CallOptions {
  readonly normalize?: boolean | undefined
}

interface DeleteOptions extends CallOptions {
  readonly permanent?: boolean | undefined
}

function subjectPath(subject: string): string {
  return `/subjects/${pathPart(subject)}`
}

function versionsOf(subject: string): string {
  return `${subjectPath(subject)}/versions`
}

/** A path has no place for `.` and `..`: what is sent would be another path. */
function pathPart(subject: string): string {
  if (subject !== '' && subject !== '.' && subject !== '..') return encodeURIComponent(subject)
  const message = `no subject can be called '${subject}'`
  throw new TailraceClientError({ status: 0, code: '42208', message, retryable: false })
}

function settingPath(what: 'config' | 'mode', subject: string | undefined, query: Query = {}): string {
  return `/${what}${subject === undefined ? '' : `/${pathPart(subject)}`}${queryOf(query)}`
}

function post(path: string, body: object, { normalize = false, signal }: NormalizeOptions, query: Query = {}): Call {
  const whole = `${path}${queryOf({ normalize, ...query })}`
  return { method: 'POST', path: whole, headers: JSON_HEADERS, body: JSON.stringify(body), signal }
}

function put(path: string, body: object, signal: AbortSignal | undefined): Call {
  return { method: 'PUT', path, headers: JSON_HEADERS, body: JSON.stringify(body), signal }
}

type Query = Readonly<Record<string, string | number | boolean>>

/** What is false or empty is as good as left out. */
function queryOf(values: Query): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) {
    if (value !== false && value !== '') query.append(name, String(value))
  }
  return query.size === 0 ? '' : `?${query}`
}
