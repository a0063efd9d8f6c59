// Which schemas the records of a v2 produce request are made with: by the ids that it names, or by their texts, which are
// registered under TOPIC-key and TOPIC-value unless they are there. Of a text and an id the text counts.

import type { FramedSchema, SchemaCodec, SchemaEncoding } from '../../codec/schema-codec.ts'
import type { ErrorCode } from '../../kernel/errors.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import { registryCodeOf } from '../../registry/registry-failure.ts'
import type { SchemaType } from '../../registry/schema-format.ts'
import type { SchemaRegistry } from '../../registry/schema-registry.ts'
import type { SchemaForwarder } from '../schema-forwarder.ts'
import { restProxyFailure } from './failure.ts'
import type { NamedSchema, NamedSchemas } from './named-schemas.ts'

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

type Part = 'key' | 'value'

export class RecordSchemaFinder {
  readonly #registry: SchemaRegistry
  readonly #codec: SchemaCodec
  readonly #forwarder: SchemaForwarder

  constructor(registry: SchemaRegistry, codec: SchemaCodec, forwarder: SchemaForwarder) {
    this.#registry = registry
    this.#codec = codec
    this.#forwarder = forwarder
  }

  /** 'unregistered': a text is not there yet. 42205, 42207; what keeps the registry from answering. */
  find(wanted: SchemasWanted): RecordSchemas | 'unregistered' {
    if (this.#registry.failure !== undefined) throw this.#registry.failure
    const key = this.#find(wanted, 'key')
    const value = this.#find(wanted, 'value')
    return key === 'unregistered' || value === 'unregistered' ? 'unregistered' : { key, value }
  }

  /** As find; texts that are not there are registered. */
  async register(wanted: SchemasWanted, requestId: string): Promise<RecordSchemas> {
    const key = await this.#register(wanted, 'key', requestId)
    return { key, value: await this.#register(wanted, 'value', requestId) }
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

  async #register(wanted: SchemasWanted, part: Part, requestId: string): Promise<FramedSchema | undefined> {
    const found = this.#find(wanted, part)
    const { text }: NamedSchema = wanted.named[part]
    if (found !== 'unregistered' || text === undefined) return found === 'unregistered' ? undefined : found
    const { topic, encoding } = wanted
    try {
      return { id: await this.#forwarder.register(`${topic}-${part}`, requestOf(encoding, text), requestId), encoding }
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
  // the registry's numbers mean something else in the proxy
  if (!OF_THE_SCHEMA.has(failure.code))
    return registryCodeOf(failure) === undefined ? failure : new TailraceError(failure.code, failure.message)
  if (registryCodeOf(failure) === INVALID_SCHEMA) return restProxyFailure(42205, `Invalid schema: ${failure.message}`)
  return restProxyFailure(42207, `Error serializing message. ${failure.message}`)
}
