// Which schemas the records of a v2 produce request are made with: by the ids that it names, or by their texts, which are
// registered under TOPIC-key and TOPIC-value unless they are there. Of a text and an id the text counts.

import type { FramedSchema, SchemaCodec, SchemaEncoding } from '../../codec/schema-codec.ts'
import type { ErrorCode, TailraceError } from '../../kernel/errors.ts'
import { asTailraceError } from '../../kernel/errors.ts'
import { registryCodeOf } from '../../registry/registry-failure.ts'
import type { SchemaType } from '../../registry/schema-format.ts'
import type { SchemaRegistry } from '../../registry/schema-registry.ts'
import { restProxyFailure } from './failure.ts'
import type { NamedSchemas } from './named-schemas.ts'

/** Undefined: none is named, and all that stands there must be null. */
export interface RecordSchemas {
  readonly key: FramedSchema | undefined
  readonly value: FramedSchema | undefined
}

export interface SchemasWanted {
  readonly topic: string
  readonly encoding: SchemaEncoding
  readonly named: NamedSchemas
}

const TYPE_OF: Readonly<Record<SchemaEncoding, SchemaType>> = {
  avro: 'AVRO',
  jsonschema: 'JSON',
  protobuf: 'PROTOBUF',
}

const PARTS = ['key', 'value'] as const
type Part = (typeof PARTS)[number]

export class RecordSchemaFinder {
  readonly #registry: SchemaRegistry
  readonly #codec: SchemaCodec

  constructor(registry: SchemaRegistry, codec: SchemaCodec) {
    this.#registry = registry
    this.#codec = codec
  }

  /** 'unregistered': a text is not there yet. 42205, 42207; what keeps the registry from answering. */
  find(wanted: SchemasWanted): RecordSchemas | 'unregistered' {
    if (this.#registry.failure !== undefined) throw this.#registry.failure
    const key = this.#find(wanted, 'key')
    const value = this.#find(wanted, 'value')
    return key === 'unregistered' || value === 'unregistered' ? 'unregistered' : { key, value }
  }

  /** As find; texts that are not there are registered, both or none. */
  async register(wanted: SchemasWanted): Promise<RecordSchemas> {
    const found = { key: this.#find(wanted, 'key'), value: this.#find(wanted, 'value') }
    const missing = PARTS.filter((part) => found[part] === 'unregistered')
    const registered = await this.#registerAll(wanted, missing)
    const schemaOf = (part: Part): FramedSchema | undefined => {
      const there = found[part]
      return there === 'unregistered' ? registered[missing.indexOf(part)] : there
    }
    return { key: schemaOf('key'), value: schemaOf('value') }
  }

  #find(wanted: SchemasWanted, part: Part): FramedSchema | undefined | 'unregistered' {
    const { encoding, named } = wanted
    const { text, id } = named[part]
    if (text !== undefined) return this.#lookUp(wanted, part, text)
    return id === undefined ? undefined : this.#byId(encoding, id)
  }

  #byId(encoding: SchemaEncoding, id: number): FramedSchema {
    try {
      return this.#codec.choose(encoding, { id })
    } catch (error) {
      throw told(error)
    }
  }

  #lookUp({ topic, encoding }: SchemasWanted, part: Part, text: string): FramedSchema | 'unregistered' {
    const subject = `${topic}-${part}`
    try {
      const found = this.#registry.lookup(subject, requestOf(encoding, text))
      // one of another context has an id of that context
      return found.subject === subject ? { id: found.id, encoding } : 'unregistered'
    } catch (error) {
      const failure = asTailraceError(error)
      if (failure.code === 'schema_not_found') return 'unregistered'
      throw told(failure)
    }
  }
  async #registerAll({ topic, encoding, named }: SchemasWanted, parts: readonly Part[]): Promise<FramedSchema[]> {
    const all = parts.map((part) => {
      return { subject: `${topic}-${part}`, request: requestOf(encoding, named[part].text ?? '') }
    })
    try {
      const registered = await this.#registry.registerAll(all)
      return registered.map(({ schema }) => ({ id: schema.id, encoding }))
    } catch (error) {
      throw told(error)
    }
  }
}

function requestOf(encoding: SchemaEncoding, schema: string) {
  return { schemaType: TYPE_OF[encoding], schema, references: [] }
}

const OF_THE_SCHEMA: ReadonlySet<ErrorCode> = new Set(['invalid_schema', 'schema_not_found', 'incompatible_schema'])
const INVALID_SCHEMA = 42201

/** The registry's refusal in the proxy's numbers: a text that is no schema, and all else. What will pass stays what it is. */
function told(error: unknown): TailraceError {
  const failure = asTailraceError(error)
  // a schema of another format
  if (failure.code === 'invalid_record') return restProxyFailure(42205, `Invalid schema: ${failure.message}`)
  if (!OF_THE_SCHEMA.has(failure.code)) return failure
  if (registryCodeOf(failure) === INVALID_SCHEMA) return restProxyFailure(42205, `Invalid schema: ${failure.message}`)
  return restProxyFailure(42207, `Error serializing message. ${failure.message}`)
}
