// Which schemas the records of a v2 produce request are made with: by the ids that it names, or by their texts, which are
// registered unless they are there, under the subjects that the topic's strategy names: TOPIC-key and TOPIC-value, if it has
// no other. Of a text and an id the text counts.

import type { FramedSchema, SchemaCodec, SchemaEncoding } from '../../codec/schema-codec.ts'
import type { Engine } from '../../engine/engine.ts'
import type { ErrorCode } from '../../kernel/errors.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import type { SchemaType } from '../../kernel/schema-words.ts'
import { registryCodeOf } from '../../registry/registry-failure.ts'
import type { SchemaRequest } from '../../registry/schema-finder.ts'
import type { SchemaRegistry } from '../../registry/schema-registry.ts'
import { DEFAULT_CONTEXT, parseSubject } from '../../registry/subject.ts'
import type { RecordPart } from '../../registry/subject-name.ts'
import { subjectNameOf, subjectStrategy } from '../../registry/subject-name.ts'
import type { SchemaForwarder } from '../schema-forwarder.ts'
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

const PARTS: readonly RecordPart[] = ['key', 'value']

interface RecordSchemaParts {
  readonly registry: SchemaRegistry
  readonly codec: SchemaCodec
  readonly engine: Engine
  readonly forwarder: SchemaForwarder
}

export class RecordSchemaFinder {
  readonly #registry: SchemaRegistry
  readonly #codec: SchemaCodec
  readonly #engine: Engine
  readonly #forwarder: SchemaForwarder

  constructor({ registry, codec, engine, forwarder }: RecordSchemaParts) {
    this.#registry = registry
    this.#codec = codec
    this.#engine = engine
    this.#forwarder = forwarder
  }

  /** 'unregistered': a text is not there yet. 42205, 42207; what keeps the registry from answering. */
  find(wanted: SchemasWanted): RecordSchemas | 'unregistered' {
    if (this.#registry.failure !== undefined) throw this.#registry.failure
    const key = this.#find(wanted, 'key')
    const value = this.#find(wanted, 'value')
    return key === 'unregistered' || value === 'unregistered' ? 'unregistered' : { key, value }
  }

  /** As find; texts that are not there are registered, both or none. */
  async register(wanted: SchemasWanted, requestId: string): Promise<RecordSchemas> {
    const found = { key: this.#find(wanted, 'key'), value: this.#find(wanted, 'value') }
    const missing = PARTS.filter((part) => found[part] === 'unregistered')
    const registered = await this.#registerAll(wanted, missing, requestId)
    const schemaOf = (part: RecordPart): FramedSchema | undefined => {
      const there = found[part]
      return there === 'unregistered' ? registered[missing.indexOf(part)] : there
    }
    return { key: schemaOf('key'), value: schemaOf('value') }
  }

  #find(wanted: SchemasWanted, part: RecordPart): FramedSchema | undefined | 'unregistered' {
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

  #lookUp(wanted: SchemasWanted, part: RecordPart, text: string): FramedSchema | 'unregistered' {
    const { encoding } = wanted
    const request = requestOf(encoding, text)
    try {
      const subject = this.#subjectOf(wanted, part, request)
      const found = this.#registry.lookup(subject, request)
      // one of another context has an id of that context
      return found.subject === subject ? this.#codec.framedBy(found, encoding) : 'unregistered'
    } catch (error) {
      const failure = asTailraceError(error)
      if (failure.code === 'schema_not_found') return 'unregistered'
      throw told(failure)
    }
  }

  async #registerAll(wanted: SchemasWanted, parts: readonly RecordPart[], requestId: string): Promise<FramedSchema[]> {
    const { encoding, named } = wanted
    try {
      const all = parts.map((part) => {
        const request = requestOf(encoding, named[part].text ?? '')
        const subject = this.#subjectOf(wanted, part, request)
        const { context } = parseSubject(subject)
        if (context !== DEFAULT_CONTEXT) throw ofOtherContext(subject, context)
        return { subject, request }
      })
      const registered = await this.#forwarder.registerAll(all, requestId)
      return registered.map((schema) => this.#codec.framedBy(schema, encoding))
    } catch (error) {
      throw told(error)
    }
  }

  /** By the topic's strategy, and what stands for that. One that is not there will have the usual strategy. */
  #subjectOf({ topic }: SchemasWanted, part: RecordPart, request: SchemaRequest): string {
    const config = this.#engine.findTopic(topic)?.config
    const strategy = config === undefined ? 'TopicNameStrategy' : subjectStrategy(config, part)
    const recordName = strategy === 'TopicNameStrategy' ? undefined : this.#registry.recordName(request)
    const subject = subjectNameOf(strategy, topic, part, recordName)
    if (subject !== undefined) return this.#registry.aliased(subject)
    const fault = `it has no record name, by which the ${strategy} of topic '${topic}' says its subject`
    throw new TailraceError('invalid_record', fault)
  }
}

function requestOf(encoding: SchemaEncoding, schema: string): SchemaRequest {
  return { schemaType: TYPE_OF[encoding], schema, references: [] }
}

/** What is made by it would be read by another, as records carry the id alone. */
function ofOtherContext(subject: string, context: string): TailraceError {
  return new TailraceError(
    'invalid_record',
    `it would be registered in the context ${context}, as '${subject}', and records are read by the ids of the default context`,
  )
}

const OF_THE_SCHEMA: ReadonlySet<ErrorCode> = new Set(['invalid_schema', 'schema_not_found', 'incompatible_schema'])
const INVALID_SCHEMA = 42201

/** The registry's refusal in the proxy's numbers: a text that is no schema, and all else. What will pass stays what it is. */
function told(error: unknown): TailraceError {
  const failure = asTailraceError(error)
  // of another format, another context, or without the name that its subject has
  if (failure.code === 'invalid_record') return restProxyFailure(42205, `Invalid schema: ${failure.message}`)
  // the registry's numbers mean something else in the proxy
  if (!OF_THE_SCHEMA.has(failure.code))
    return registryCodeOf(failure) === undefined ? failure : new TailraceError(failure.code, failure.message)
  if (registryCodeOf(failure) === INVALID_SCHEMA) return restProxyFailure(42205, `Invalid schema: ${failure.message}`)
  return restProxyFailure(42207, `Error serializing message. ${failure.message}`)
}
