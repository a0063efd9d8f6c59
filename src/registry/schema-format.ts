// What a schema format is to the registry: texts in, parsed schemas out, and what keeps one from reading what another wrote.
// A room each: avro/, json-schema/, protobuf/. Pure functions of texts: nothing is fetched, and nothing is kept that changes
// what they give. Types only.

import type { SchemaType } from '../kernel/schema-words.ts'

/** A schema that another one refers to, by its own references or by theirs. */
export interface ReferencedSchema {
  /** Avro: a full name; JSON Schema: the $ref as it is written; Protobuf: the import's path. */
  readonly name: string
  readonly subject: string
  readonly version: number
  /** As it is stored. */
  readonly text: string
  /** Which the schema itself names; the others are named by what it names. */
  readonly isDirect: boolean
}

/** How strictly JSON Schemas are compared; the other formats know one way. */
export type CompatibilityPolicy = 'STRICT' | 'LENIENT'

/** What the two sides of a comparison are called: new and old, or old and new. */
export interface ReaderWriter {
  readonly reader: string
  readonly writer: string
}

export interface ParsedSchema {
  readonly type: SchemaType
  /** As it is stored and answered. */
  readonly canonical: string
  /** A text that is the same for all texts that mean the same. Normalised again it is itself. */
  readonly normalized: string
  /** The canonical text in a form that a client asks for by name (resolved, serialized, ignore_extensions); itself for a name that means nothing. */
  formatted(format: string): string
  /** The same for schemas of its type that, parsed, are equal; made anew each time. */
  readonly meaning: string
  /** Of a record, title or message; undefined where it has none. */
  readonly recordName: string | undefined
  /** What of it nobody here knows, and values are not checked for; left out: nothing. */
  readonly unchecked?: readonly string[]
  /** Of its root: a record's fields, an object's properties, those of the first message. */
  readonly fieldNames: readonly string[]
  /**
   * What keeps this one, as the reader's, from reading what was written with the other, of the same type, in `words` for
   * the reader's and the writer's schema. Empty: it can. invalid_schema when finding out would take more steps than are
   * allowed.
   */
  incompatibilities(writer: ParsedSchema, words: ReaderWriter, policy?: CompatibilityPolicy): readonly string[]
}

export interface SchemaFormat {
  readonly type: SchemaType
  /** The names of forms, for `formatted`. */
  readonly forms: readonly string[]
  /**
   * `references`: in the order in which they must be known. 'new': strictly, as is asked of what is registered; 'stored':
   * what was taken once is taken again. invalid_schema, with the place and what is expected there.
   */
  parse(text: string, references: readonly ReferencedSchema[], strictness: 'new' | 'stored'): ParsedSchema
}
