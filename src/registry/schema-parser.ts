// Schemas with all that they refer to, parsed; those that were stored are kept parsed for a while.

import type { TailraceError } from '../kernel/errors.ts'
import { asTailraceError } from '../kernel/errors.ts'
import {
  SCHEMA_REFERENCE_DEPTH_MAX,
  SCHEMA_REFERENCES_MAX,
  SCHEMA_RESOLVED_CHARS_MAX,
  SCHEMA_TEXT_CHARS_MAX,
  SCHEMA_WORK_MS_MAX,
  SCHEMAS_PARSED_CHARS_MAX,
} from '../kernel/limits.ts'
import { OutOfTime, withinTime } from '../kernel/within-time.ts'
import { registryFailure } from './registry-failure.ts'
import type { SchemaContent, SchemaReference } from './schema-entity.ts'
import { guidOf } from './schema-entity.ts'
import type { ParsedSchema, ReferencedSchema, SchemaFormat, SchemaType } from './schema-format.ts'
import type { SchemaState } from './schema-state.ts'
import { qualifiedReference } from './schema-state.ts'
import { parseSubject } from './subject.ts'

export type SchemaFormats = Readonly<Record<SchemaType, SchemaFormat>>

type Parsable = Pick<SchemaContent, 'schemaType' | 'schema' | 'references'>

interface Resolved extends ReferencedSchema {
  readonly guid: string
}

/** What new schemas may refer to is what is not deleted; what was stored once keeps what it referred to. */
type Strictness = 'new' | 'stored'

export class SchemaParser {
  readonly #formats: SchemaFormats
  readonly #state: SchemaState
  /** The longest unused first. */
  readonly #kept = new Map<string, ParsedSchema>()
  #keptChars = 0

  constructor(formats: SchemaFormats, state: SchemaState) {
    this.#formats = formats
    this.#state = state
  }

  /** `subject`: whose context references are in. 42201, 42209. */
  parse(content: Parsable, subject: string, strictness: Strictness): ParsedSchema {
    const { schemaType, schema, references } = content
    if (schema.length > SCHEMA_TEXT_CHARS_MAX) throw tooLarge()
    const resolved = this.resolve(references, subject, strictness)
    const key = [
      schemaType,
      strictness,
      guidOf({ ...content, metadata: undefined, ruleSet: undefined }),
      ...resolved.map(keyOf),
    ].join(' ')
    const known = this.#kept.get(key)
    if (known !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, known)
      return known
    }
    try {
      const parse = () => this.#formats[schemaType].parse(schema, resolved, strictness)
      const parsed = strictness === 'new' ? withinTime(SCHEMA_WORK_MS_MAX, parse) : parse()
      this.#keep(key, parsed)
      return parsed
    } catch (error) {
      if (error instanceof OutOfTime) throw registryFailure(42201, `the schema is too expensive: ${error.message}`)
      throw unparsable(content, subject, asTailraceError(error))
    }
  }

  /** All that it refers to, each once, what others need first. */
  resolve(references: readonly SchemaReference[], subject: string, strictness: Strictness): readonly Resolved[] {
    const found = new Map<string, Resolved>()
    const names = new Set<string>()
    let chars = 0
    const visit = (reference: SchemaReference, context: string, depth: number): void => {
      if (names.has(reference.name)) return
      names.add(reference.name)
      if (depth > SCHEMA_REFERENCE_DEPTH_MAX || names.size > SCHEMA_REFERENCES_MAX) {
        throw registryFailure(
          42201,
          `a schema refers to at most ${SCHEMA_REFERENCES_MAX} others, ${SCHEMA_REFERENCE_DEPTH_MAX} deep`,
        )
      }
      const stored = this.find(reference, context)?.schema
      if (stored === undefined || (strictness === 'new' && depth === 1 && stored.deleted)) {
        throw registryFailure(
          42201,
          `No schema reference found for subject "${reference.subject}" and version ${reference.version}`,
        )
      }
      chars += stored.schema.length
      if (chars > SCHEMA_RESOLVED_CHARS_MAX) throw tooLarge()
      for (const one of stored.references) visit(one, parseSubject(stored.subject).context, depth + 1)
      found.set(reference.name, {
        name: reference.name,
        subject: stored.subject,
        version: stored.version,
        text: stored.schema,
        guid: stored.guid,
        isDirect: depth === 1,
      })
    }
    for (const reference of references) visit(reference, parseSubject(subject).context, 1)
    return [...found.values()]
  }

  /** -1: the latest that is not deleted. */
  find({ subject, version }: SchemaReference, context: string) {
    const qualified = qualifiedReference(context, subject)
    if (version !== -1) return this.#state.version(qualified, version)
    return this.#state.versions(qualified).findLast(({ schema }) => !schema.deleted)
  }

  #keep(key: string, parsed: ParsedSchema): void {
    this.#kept.set(key, parsed)
    this.#keptChars += parsed.canonical.length
    for (const [oldest, other] of this.#kept) {
      if (this.#keptChars <= SCHEMAS_PARSED_CHARS_MAX || oldest === key) return
      this.#kept.delete(oldest)
      this.#keptChars -= other.canonical.length
    }
  }
}

function keyOf({ name, guid, isDirect }: Resolved): string {
  return JSON.stringify([name, guid, isDirect])
}

function tooLarge(): TailraceError {
  return registryFailure(42209, 'Register operation failed because schema is too large')
}

const SHOWN_CHARS = 300

/** In the words of Confluent's, with ours behind them. */
function unparsable(
  { schemaType, schema, references }: Parsable,
  subject: string,
  error: TailraceError,
): TailraceError {
  if (error.code === 'unknown_server_error' || error.details['error_code'] !== undefined) return error
  const { message } = error
  if (schemaType !== 'AVRO') {
    return registryFailure(42201, `Invalid schema of type ${schemaType}, details: ${message}`)
  }
  const refs = references.map(
    ({ name, subject: of, version }) => `{name='${name}', subject='${of}', version=${version}}`,
  )
  const shown = schema.length <= SHOWN_CHARS ? schema : `${schema.slice(0, SHOWN_CHARS)}…`
  return registryFailure(
    42201,
    `Invalid schema of type AVRO, details: Invalid schema {subject=${subject},schemaType=AVRO,references=[${refs.join(', ')}],schema=${shown}} with refs [${refs.join(', ')}] of type AVRO, details: ${message}`,
  )
}
