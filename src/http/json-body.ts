// Small JSON bodies (topics, configs): parsed without a way into prototypes, and checked against the named schemas of
// schemas/v1.json, which openapi.yaml repeats. The produce body does not come through here: its bytes are never parsed.

import { readFileSync } from 'node:fs'
import type { ErrorObject, ValidateFunction } from 'ajv'
import { TailraceError } from '../kernel/errors.ts'
import { JSON_BODY_DEPTH_MAX } from '../kernel/limits.ts'
import { nearestName } from '../kernel/nearest-name.ts'

const SCHEMAS_FILE = new URL('../../schemas/v1.json', import.meta.url)
const SCHEMAS_ID = 'schemas'
const CLOSED_SCHEMAS_ID = 'closed-schemas'

/** Checks bodies by the name of their schema; loads the validator and compiles a schema when it is first needed. */
export class JsonBodies {
  readonly #validators = new Map<string, Promise<ValidateFunction>>()
  #schemas: Promise<CompileSchema> | undefined

  /** The body as the schema's type, or invalid_request with every fault found. */
  async parse<Body>(bytes: Buffer, schema: string): Promise<Body> {
    const value = parseJson(bytes)
    const validate = await this.#validator(schema)
    if (validate(value)) return value as Body
    throw refusal('the request body', 'the body', validate.errors ?? [])
  }

  #validator(schema: string): Promise<ValidateFunction> {
    let validator = this.#validators.get(schema)
    if (validator === undefined) {
      this.#schemas ??= loadSchemas(SCHEMAS_FILE)
      validator = this.#schemas.then((compile) => compile(schema))
      this.#validators.set(schema, validator)
    }
    return validator
  }
}

/** The validator of the schema of that name. `closed`: members that it does not know are faults, whatever it says. */
export type CompileSchema = (schema: string, how?: 'closed') => ValidateFunction

/** The schemas of a file, under components.schemas. Loads the validator. */
export async function loadSchemas(file: URL): Promise<CompileSchema> {
  const { Ajv } = await import('ajv')
  const text = readFileSync(file, 'utf8')
  const ajv = new Ajv({ allErrors: true, strict: false, verbose: true, unicodeRegExp: false, validateFormats: false })
  ajv.addSchema(JSON.parse(text), SCHEMAS_ID)
  return (schema, how) => {
    const id = how === 'closed' ? CLOSED_SCHEMAS_ID : SCHEMAS_ID
    if (ajv.getSchema(id) === undefined) ajv.addSchema(JSON.parse(text, closed), id)
    return ajv.compile({ $ref: `${id}#/components/schemas/${schema}` })
  }
}

function closed(_name: string, node: unknown): unknown {
  const isOfObject = typeof node === 'object' && node !== null && 'properties' in node
  return isOfObject ? { additionalProperties: false, ...node } : node
}

/** invalid_request unless the bytes are one JSON text in UTF-8 that names no prototype and is not nested too deeply. */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) throw new TailraceError('invalid_request', 'the request has no body; a JSON object is needed')
  let text: string
  try {
    text = UTF8.decode(bytes)
  } catch (error) {
    throw unreadable('the request body is not UTF-8', error)
  }
  return parseJsonText(text, 'the request body')
}

/** `what`: as a refusal calls it. */
export function parseJsonText(text: string, what: string): unknown {
  checkDepth(text)
  try {
    // a reviver costs several times the parsing: only what may name a prototype, spelled out or escaped, needs one
    return text.includes('__proto__') || text.includes('\\') ? JSON.parse(text, refusePrototypes) : JSON.parse(text)
  } catch (error) {
    if (error instanceof TailraceError) throw error
    const fault = error instanceof Error ? error.message : ''
    throw unreadable(`${what} is not JSON: ${fault.slice(0, 200)}`, error)
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })

function unreadable(detail: string, cause: unknown): TailraceError {
  return new TailraceError('invalid_request', detail, {}, { cause })
}

function refusePrototypes(name: string, value: unknown): unknown {
  if (name === '__proto__') throw new TailraceError('invalid_request', 'a member may not be named __proto__')
  return value
}

/** Counts brackets also inside of strings: more than JSON_BODY_DEPTH_MAX unclosed ones there are refused too, harmlessly. */
function checkDepth(text: string): void {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (character === 0x7b || character === 0x5b) depth++
    else if (character === 0x7d || character === 0x5d) depth--
    if (depth > JSON_BODY_DEPTH_MAX)
      throw new TailraceError('invalid_request', `the JSON is nested more than ${JSON_BODY_DEPTH_MAX} deep`)
  }
}

const FAULTS_SHOWN_MAX = 10

/** invalid_request with what a validator found. `what` was checked; `root` is what its outermost value is called. */
export function refusal(what: string, root: string, errors: readonly ErrorObject[]): TailraceError {
  const faults = [...new Set(errors.map((error) => faultOf(error, root)))].slice(0, FAULTS_SHOWN_MAX)
  return new TailraceError('invalid_request', `${what} is not as it should be: ${faults.join('; ')}`, { faults })
}

/** What a validator of closed schemas found beside what it was to find. */
export function unknownMembers(
  root: string,
  errors: readonly ErrorObject[],
  hints?: ReadonlyMap<string, string>,
): readonly string[] {
  const unknown = errors.filter(({ keyword }) => keyword === 'additionalProperties').slice(0, FAULTS_SHOWN_MAX)
  return unknown.map((error) => faultOf(error, root, hints))
}

/** `hints`: to those who write a name that is known elsewhere. */
function faultOf(
  { instancePath, keyword, message, params, parentSchema, data }: ErrorObject,
  root: string,
  hints?: ReadonlyMap<string, string>,
): string {
  const place = instancePath === '' ? root : instancePath.slice(0, 200)
  const allowed: readonly unknown[] | undefined = parentSchema?.['enum']
  if (allowed !== undefined && (keyword === 'type' || keyword === 'enum')) {
    return `${place} must be ${allowed.map((value) => JSON.stringify(value)).join(' or ')}`
  }
  if (keyword === 'type' && parentSchema?.['type'] === 'string' && isPlain(data)) {
    return `${place} ${message}: write "${data}"`
  }
  if (keyword === 'type') return `${place} ${message}${shapeOf(parentSchema, data)}`
  const { minimum, maximum } = parentSchema ?? {}
  if (BOUNDS.has(keyword) && minimum !== undefined && maximum !== undefined) {
    return `${place} is ${data}; an integer from ${minimum} to ${maximum} is allowed`
  }
  if (keyword !== 'additionalProperties') return `${place} ${message}`
  const unknown = String(params['additionalProperty']).slice(0, 100)
  const known = Object.keys((parentSchema?.['properties'] as object | undefined) ?? {})
  const nearest = nearestName(unknown, known)
  const usual = nearest === undefined ? `known: ${known.join(', ')}` : `did you mean ${nearest}?`
  const hint = hints?.get(unknown) ?? usual
  return `${place} has the unknown member ${JSON.stringify(unknown)} (${hint})`
}

const BOUNDS: ReadonlySet<string> = new Set(['minimum', 'maximum'])

/** What is wanted where something of another type stands. */
function shapeOf(schema: Readonly<Record<string, unknown>> | undefined, data: unknown): string {
  const {
    type,
    items,
    properties,
    examples,
    'x-all': forAll,
  } = (schema ?? {}) as {
    readonly type?: unknown
    readonly items?: { readonly type?: unknown }
    readonly properties?: object
    readonly examples?: readonly unknown[]
    /** What says `all` in place of an array that names them. */
    readonly 'x-all'?: object
  }
  if (data === 'all' && forAll !== undefined) return `: of all, write ${JSON.stringify(forAll)}`
  if (type === 'array' && items?.type === typeof data) return `: write ${JSON.stringify([data]).slice(0, 100)}`
  const example = examples?.[0]
  if (example !== undefined) return `, such as ${JSON.stringify(example)}`
  return type === 'object' && properties !== undefined ? ` with ${Object.keys(properties).join(', ')}` : ''
}

function isPlain(value: unknown): value is number | boolean {
  return typeof value === 'number' || typeof value === 'boolean'
}
