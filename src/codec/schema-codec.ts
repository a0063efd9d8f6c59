// Records and the schema registry: values in frames (a zero byte, the schema's id, the value) as JSON, and JSON as values in
// frames. What a schema is compiled to is kept for as long as the registry says the same of it. Nothing waits: all schemas
// are in memory.

import type { ByteWriter } from '../kernel/byte-writer.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import { SCHEMAS_COMPILED_CHARS_MAX, SCHEMAS_COMPILED_EACH_CHARS } from '../kernel/limits.ts'
import type { SchemaType } from '../kernel/schema-words.ts'
import type { StoredSchema } from '../registry/schema-entity.ts'
import type { ParsedSchema } from '../registry/schema-format.ts'
import type { SchemaRegistry } from '../registry/schema-registry.ts'
import { parseSubject } from '../registry/subject.ts'
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

export type KnownSchemas = Pick<
  SchemaRegistry,
  | 'failure'
  | 'revision'
  | 'findById'
  | 'isFoundById'
  | 'aliased'
  | 'version'
  | 'versions'
  | 'nearestSubject'
  | 'parsed'
  | 'charsOf'
>

/** A schema that values are made with, or were. */
export interface FramedSchema {
  readonly id: number
  readonly encoding: SchemaEncoding
}

/** Why a framed value could not be shown. */
export interface UndecodedValue {
  /** undefined: no schema has the frame's id, so that it may be no frame at all. */
  readonly id: number | undefined
  readonly error: string
  /** Bytes that were written before that was known, and taken back. */
  readonly takenBack: number
}

/** An id, or a subject and perhaps its version, or both if they mean the same. */
export interface SchemaChoice {
  readonly id?: number | undefined
  /** Of this subject's version; the latest where neither that is named nor an id. */
  readonly subject?: string | undefined
  readonly version?: number | undefined
}

/** What a frame begins with; undefined: it is none. Bytes that begin so are no text: what they are only their schema says. */
export function schemaIdOf(bytes: Uint8Array, start: number, end: number): number | undefined {
  if (end - start < FRAME_HEAD_BYTES || bytes[start] !== MAGIC) return undefined
  const at = (place: number) => bytes[start + place] as number
  const id = (at(1) << 24) | (at(2) << 16) | (at(3) << 8) | at(4)
  // ids begin at 1, and small int64 numbers with nothing but zeros
  return id === 0 ? undefined : id
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
   * Writes the JSON of the value that is framed in [start, end) and gives its schema. undefined: it is no frame. What cannot
   * be decoded is not written.
   */
  decode(
    bytes: Buffer,
    start: number,
    end: number,
    output: ByteWriter,
    unions: AvroUnions,
  ): FramedSchema | UndecodedValue | undefined {
    const id = schemaIdOf(bytes, start, end)
    if (id === undefined) return undefined
    const compiled = this.#compiled(id)
    if (compiled === undefined) return this.#unknown(id)
    const { framed, codec, error } = compiled
    if (codec === undefined) return { id, error, takenBack: 0 }
    const before = output.position
    try {
      codec.decode(bytes, start + FRAME_HEAD_BYTES, end, output, unions)
      return framed
    } catch (failure) {
      const takenBack = output.position - before
      output.position = before
      if (failure instanceof SchemaDataError || failure instanceof RangeError)
        return { id, error: failure.message, takenBack }
      throw failure
    }
  }

  #unknown(id: number): UndecodedValue {
    return { id: undefined, error: this.#schemas.failure?.message ?? `no schema has the id ${id}`, takenBack: 0 }
  }

  /**
   * What values are made with; `encoding`: the format that it must be of, if one was named. schema_not_found; invalid_record: it
   * is of another format, not the id's and the subject's, or not what its id means to readers; what keeps the registry.
   */
  choose(encoding: SchemaEncoding | undefined, choice: SchemaChoice): FramedSchema {
    if (this.#schemas.failure !== undefined) throw this.#schemas.failure
    return this.framedBy(this.#chosen(choice), encoding)
  }

  /** As choose, of a schema that was found already. */
  framedBy(stored: StoredSchema, encoding?: SchemaEncoding): FramedSchema {
    const { id } = stored
    const found = ENCODING_OF[stored.schemaType]
    if (encoding !== undefined && found !== encoding) {
      throw new TailraceError('invalid_record', `schema ${id} is ${found}, not ${encoding}`, { schema_id: id })
    }
    if (!this.#schemas.isFoundById(stored)) throw unreadable(stored, this.#schemas.findById(id))
    return { id, encoding: found }
  }

  /** A subject with a name like that of one that is not there. */
  nearestSubject(subject: string): string | undefined {
    return this.#schemas.nearestSubject(subject)
  }

  #chosen({ id, subject, version }: SchemaChoice): StoredSchema {
    if (subject === undefined) {
      const found = id === undefined ? undefined : this.#schemas.findById(id)
      if (found !== undefined) return found
      throw new TailraceError('schema_not_found', `there is no schema with the id ${id}`, { schema_id: id })
    }
    const named = this.#schemas.version(this.#schemas.aliased(subject), version ?? 'latest')
    if (id === undefined || named.id === id) return named
    const versions = version === undefined ? this.#schemas.versions(named.subject, { deleted: true }) : []
    const same = versions.find((one) => one.id === id)
    if (same !== undefined) return same
    const found =
      version === undefined
        ? `no version of subject '${subject}' is schema ${id}`
        : `version ${version} of subject '${subject}' is schema ${named.id}, not ${id}`
    throw new TailraceError('invalid_record', `${found}: name the id alone, or the subject`, { schema_id: id, subject })
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

/** Of a schema that is no longer, or not, what its id means where records are read. */
function unreadable({ id, subject }: StoredSchema, read: StoredSchema | undefined): TailraceError {
  const means = read === undefined ? 'nothing' : `version ${read.version} of subject '${read.subject}'`
  const { context } = parseSubject(subject)
  return new TailraceError(
    'invalid_record',
    `schema ${id} of subject '${subject}' is one of the context ${context}; a record carries the id alone, and to its readers id ${id} means ${means}: register the schema in the default context`,
    { schema_id: id, subject },
  )
}
