// Schemas with all that they refer to, parsed; those that were stored are kept parsed for a while.

import type { TailraceError } from '../kernel/errors.ts'
import { asTailraceError } from '../kernel/errors.ts'
import {
  SCHEMA_REFERENCE_DEPTH_MAX,
  SCHEMA_REFERENCES_MAX,
  SCHEMA_RESOLVED_CHARS_MAX,
  SCHEMA_TEXT_CHARS_MAX,
  SCHEMAS_PARSED_CHARS_MAX,
  SCHEMAS_PARSED_EACH_CHARS,
} from '../kernel/limits.ts'
import type { SchemaType } from '../kernel/schema-words.ts'
import { registryFailure } from './registry-failure.ts'
import type { SchemaContent, SchemaReference, StoredSchema } from './schema-entity.ts'
import { guidOf } from './schema-entity.ts'
import type { ParsedSchema, ReferencedSchema, SchemaFormat } from './schema-format.ts'
import type { SchemaState } from './schema-state.ts'
import { qualifiedReference } from './schema-state.ts'
import { parseSubject } from './subject.ts'
import type { WorkClock } from './work-clock.ts'

export type SchemaFormats = Readonly<Record<SchemaType, SchemaFormat>>

type Parsable = Pick<SchemaContent, 'schemaType' | 'schema' | 'references'>

interface Resolved extends ReferencedSchema {
  readonly guid: string
}

/** How a text is read. */
export interface Reading {
  /** As the format has it: what is to be registered, or what was taken once. */
  readonly strictness: 'new' | 'stored'
  /** What was deleted may be referred to. */
  readonly withDeleted: boolean
  /** Of a request; undefined for what is stored, whose cost was bounded when it came. */
  readonly clock: WorkClock | undefined
}

const AS_STORED: Reading = { strictness: 'stored', withDeleted: true, clock: undefined }

export interface ReadSchema {
  readonly parsed: ParsedSchema
  /** For those who read the same again. */
  keep(): void
}

interface Kept {
  readonly parsed: ParsedSchema
  readonly chars: number
}

export class SchemaParser {
  readonly #formats: SchemaFormats
  readonly #state: SchemaState
  /** The longest unused first. */
  readonly #kept = new Map<string, Kept>()
  #keptChars = 0

  constructor(formats: SchemaFormats, state: SchemaState) {
    this.#formats = formats
    this.#state = state
  }

  /** Of what is stored, kept for a while. 42201, 42209. */
  parse(stored: Parsable, subject: string): ParsedSchema {
    const read = this.read(stored, subject, AS_STORED)
    read.keep()
    return read.parsed
  }

  /** `subject`: whose context references are in. 42201, 42209. */
  read(content: Parsable, subject: string, reading: Reading): ReadSchema {
    const { schemaType, schema, references } = content
    const { strictness, clock } = reading
    if (schema.length > SCHEMA_TEXT_CHARS_MAX) throw tooLarge()
    const { resolved, chars } = this.#resolve(references, subject, reading)
    const key = [
      schemaType,
      strictness,
      guidOf({ ...content, metadata: undefined, ruleSet: undefined }),
      ...resolved.map(keyOf),
    ].join(' ')
    const known = this.#kept.get(key)
    if (known !== undefined) return { parsed: known.parsed, keep: () => this.#keep(key, known) }
    try {
      const parse = () => this.#formats[schemaType].parse(schema, resolved, strictness)
      const parsed = clock === undefined ? parse() : clock.run(parse)
      const size = SCHEMAS_PARSED_EACH_CHARS + key.length + schema.length + chars
      return { parsed, keep: () => this.#keep(key, { parsed, chars: size }) }
    } catch (error) {
      throw unparsable(content, subject, asTailraceError(error))
    }
  }

  /** The text of what is stored in a form that a client names; as it is stored where the name means nothing. 42201. */
  formatted(stored: StoredSchema, form: string): string {
    if (!this.#formats[stored.schemaType].forms.includes(form)) return stored.schema
    return this.parse(stored, stored.subject).formatted(form)
  }

  /** Characters of a stored text, and of all that it refers to. 42201, 42209. */
  charsOf({ schema, references }: Parsable, subject: string): number {
    return schema.length + this.#resolve(references, subject, AS_STORED).chars
  }

  /** All that it refers to, each once, what others need first. */
  /** All that a stored schema refers to, each once. 42201. */
  referred({ references, subject }: StoredSchema): readonly Resolved[] {
    return this.#resolve(references, subject, AS_STORED).resolved
  }

  #resolve(references: readonly SchemaReference[], subject: string, { withDeleted }: Reading) {
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
      if (stored === undefined || (!withDeleted && depth === 1 && stored.deleted)) {
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
    return { resolved: [...found.values()], chars }
  }

  /** -1: the latest that is not deleted. */
  find({ subject, version }: SchemaReference, context: string) {
    const qualified = qualifiedReference(context, subject)
    if (version !== -1) return this.#state.version(qualified, version)
    return this.#state.versions(qualified).findLast(({ schema }) => !schema.deleted)
  }

  /** As the one that was used last. */
  #keep(key: string, kept: Kept): void {
    const before = this.#kept.get(key)
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    this.#keptChars += kept.chars - (before?.chars ?? 0)
    for (const [oldest, { chars }] of this.#kept) {
      if (this.#keptChars <= SCHEMAS_PARSED_CHARS_MAX || oldest === key) return
      this.#kept.delete(oldest)
      this.#keptChars -= chars
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
