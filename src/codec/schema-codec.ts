// Records and the schema registry: values in frames (a zero byte, the schema's id, the value) as JSON, and JSON as values in
// frames. What a schema is compiled to is kept for as long as the registry says the same of it. Nothing waits: all schemas
// are in memory.

import type { ByteWriter } from '../kernel/byte-writer.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import { SCHEMAS_COMPILED_CHARS_MAX, SCHEMAS_COMPILED_EACH_CHARS } from '../kernel/limits.ts'
import type { StoredSchema } from '../registry/schema-entity.ts'
import type { ParsedSchema, SchemaType } from '../registry/schema-format.ts'
import type { SchemaRegistry } from '../registry/schema-registry.ts'
import type { AvroUnions } from './avro-decoder.ts'
import { SchemaDataError } from './schema-data-error.ts'
import type { ValueCodec } from './value-codec.ts'
import { codecOf } from './value-codecs.ts'

export const SCHEMA_ENCODINGS = ['avro', 'jsonschema', 'protobuf'] as const
export type SchemaEncoding = (typeof SCHEMA_ENCODINGS)[number]

const ENCODING_OF: Readonly<Record<SchemaType, SchemaEncoding>> = {
  AVRO: 'avro',
  JSON: 'jsonschema',
  PROTOBUF: 'protobuf',
}

/** Magic byte and id. */
const FRAME_HEAD_BYTES = 5
const MAGIC = 0

export type KnownSchemas = Pick<SchemaRegistry, 'failure' | 'revision' | 'findById' | 'version' | 'parsed' | 'charsOf'>

/** A schema that values are made with, or were. */
export interface FramedSchema {
  readonly id: number
  readonly encoding: SchemaEncoding
}

/** Why a framed value could not be shown. */
export interface UndecodedValue extends FramedSchema {
  readonly error: string
  /** Bytes that were written before that was known, and taken back. */
  readonly takenBack: number
}

export interface SchemaChoice {
  readonly id?: number | undefined
  /** Of this subject's version; the latest where none is named. */
  readonly subject?: string | undefined
  readonly version?: number | undefined
}

/** What a frame begins with; undefined: it is none. */
export function schemaIdOf(bytes: Uint8Array, start: number, end: number): number | undefined {
  if (end - start < FRAME_HEAD_BYTES || bytes[start] !== MAGIC) return undefined
  const at = (place: number) => bytes[start + place] as number
  return (at(1) << 24) | (at(2) << 16) | (at(3) << 8) | at(4)
}

export function isUndecoded(found: FramedSchema | UndecodedValue): found is UndecodedValue {
  return 'error' in found
}

/** What is known of an id. */
interface Known {
  /** Of the registry when it said so. */
  revision: number
  /** undefined: nobody knows the id. */
  readonly stored: StoredSchema | undefined
  readonly compiled: Compiled | undefined
  readonly chars: number
}

interface Compiled {
  readonly framed: FramedSchema
  readonly parsed: ParsedSchema | undefined
  readonly codec: ValueCodec | undefined
  /** Why there is no codec. */
  readonly error: string
}

export class SchemaCodec {
  readonly #schemas: KnownSchemas
  readonly #byId = new Map<number, Known>()
  #compiledChars = 0

  constructor(schemas: KnownSchemas) {
    this.#schemas = schemas
  }

  /** Why no schema can be looked up at present; undefined: they can. */
  get failure(): TailraceError | undefined {
    return this.#schemas.failure
  }

  /**
   * Writes the JSON of the value that is framed in [start, end) and gives its schema. undefined: it is no frame of a schema that
   * is known. What cannot be decoded is not written.
   */
  decode(
    bytes: Buffer,
    start: number,
    end: number,
    output: ByteWriter,
    unions: AvroUnions,
  ): FramedSchema | UndecodedValue | undefined {
    const id = schemaIdOf(bytes, start, end)
    const compiled = id === undefined ? undefined : this.#compiled(id)
    if (compiled === undefined) return undefined
    const { framed, codec, error } = compiled
    if (codec === undefined) return { ...framed, error, takenBack: 0 }
    const before = output.position
    try {
      codec.decode(bytes, start + FRAME_HEAD_BYTES, end, output, unions)
      return framed
    } catch (failure) {
      const takenBack = output.position - before
      output.position = before
      if (failure instanceof SchemaDataError || failure instanceof RangeError)
        return { ...framed, error: failure.message, takenBack }
      throw failure
    }
  }

  /** The schema of a frame; undefined: it is none, or of no schema that is known. */
  schemaOf(bytes: Buffer, start: number, end: number): FramedSchema | undefined {
    const id = schemaIdOf(bytes, start, end)
    return id === undefined ? undefined : this.#compiled(id)?.framed
  }

  /** What values are made with. schema_not_found, invalid_record (it is of another format); what keeps the registry. */
  choose(encoding: SchemaEncoding, { id, subject, version }: SchemaChoice): FramedSchema {
    if (this.#schemas.failure !== undefined) throw this.#schemas.failure
    const stored =
      id === undefined ? this.#schemas.version(subject ?? '', version ?? 'latest') : this.#schemas.findById(id)
    if (stored === undefined)
      throw new TailraceError('schema_not_found', `there is no schema with the id ${id}`, { schema_id: id })
    const found = ENCODING_OF[stored.schemaType]
    if (found === encoding) return { id: stored.id, encoding }
    throw new TailraceError('invalid_record', `schema ${stored.id} is ${found}, not ${encoding}`, {
      schema_id: stored.id,
    })
  }

  /**
   * Appends the frame of the JSON value in [start, end), which is well-formed. SchemaDataError: it is not of the schema, and
   * nothing is appended.
   */
  encode({ id }: FramedSchema, bytes: Buffer, start: number, end: number, output: ByteWriter): void {
    const compiled = this.#compiled(id)
    if (compiled?.codec === undefined)
      throw new SchemaDataError(compiled?.error ?? `there is no schema with the id ${id}`)
    const before = output.position
    output.reserve(FRAME_HEAD_BYTES)
    output.bytes[before] = MAGIC
    output.position = output.bytes.writeInt32BE(id, before + 1)
    try {
      compiled.codec.encode(bytes, start, end, output)
    } catch (error) {
      output.position = before
      if (error instanceof RangeError) throw new SchemaDataError(error.message, { cause: error })
      throw error
    }
  }

  #compiled(id: number): Compiled | undefined {
    const known = this.#byId.get(id)
    const { revision } = this.#schemas
    if (known?.revision === revision) return known.compiled
    // what is unknown now may be known without any change: when the registry can answer again
    if (this.#schemas.failure !== undefined) return undefined
    const stored = this.#schemas.findById(id)
    if (known !== undefined && this.#isSame(known, stored)) {
      known.revision = revision
      return known.compiled
    }
    const compiled = stored === undefined ? undefined : this.#compile(stored)
    this.#keep(id, { revision, stored, compiled, chars: SCHEMAS_COMPILED_EACH_CHARS + this.#charsOf(stored) })
    return compiled
  }

  /** What it was compiled from is what the id means now. What could not be compiled may be by now. */
  #isSame({ stored: before, compiled }: Known, stored: StoredSchema | undefined): boolean {
    if (stored === undefined || before === undefined) return stored === before
    if (compiled?.codec === undefined) return false
    if (stored.guid !== before.guid || stored.schemaType !== before.schemaType) return false
    return stored.references.length === 0 || this.#parsed(stored) === compiled.parsed
  }

  /** undefined: what it refers to is gone. */
  #parsed(stored: StoredSchema): ParsedSchema | undefined {
    try {
      return this.#schemas.parsed(stored)
    } catch {
      return undefined
    }
  }

  #charsOf(stored: StoredSchema | undefined): number {
    if (stored === undefined) return 0
    try {
      return this.#schemas.charsOf(stored)
    } catch {
      // what it refers to is gone
      return stored.schema.length
    }
  }

  #compile(stored: StoredSchema): Compiled {
    const framed = { id: stored.id, encoding: ENCODING_OF[stored.schemaType] }
    try {
      const parsed = this.#schemas.parsed(stored)
      return { framed, parsed, codec: codecOf(parsed), error: '' }
    } catch (error) {
      return { framed, parsed: undefined, codec: undefined, error: asTailraceError(error).message }
    }
  }

  #keep(id: number, known: Known): void {
    this.#compiledChars += known.chars - (this.#byId.get(id)?.chars ?? 0)
    // simply anew: schemas that are in use are few
    if (this.#compiledChars > SCHEMAS_COMPILED_CHARS_MAX) {
      this.#byId.clear()
      this.#compiledChars = known.chars
    }
    this.#byId.set(id, known)
  }
}
