// Avro as a schema format of the registry.

import { asTailraceError } from '../../kernel/errors.ts'
import { invalid, jsonOfSchema } from '../invalid-schema.ts'
import type { ParsedSchema, ReaderWriter, ReferencedSchema, SchemaFormat } from '../schema-format.ts'
import { avroIncompatibilities, NotComparable, renderAvroIncompatibility } from './avro-compatibility.ts'
import type { AvroNames } from './avro-parser.ts'
import { parseAvro } from './avro-parser.ts'
import { printAvro } from './avro-printer.ts'
import type { AvroType } from './avro-type.ts'
import { fullNameOf } from './avro-type.ts'

export const avroFormat: SchemaFormat = {
  type: 'AVRO',
  forms: ['resolved'],
  parse(text, references, strictness) {
    const names: AvroNames = new Map()
    for (const reference of references) parseReferenced(reference, names)
    const type = parseAvro(jsonOfSchema(text), names, { isStrict: strictness === 'new', isReferenced: false })
    return new AvroSchema(type)
  },
}

export class AvroSchema implements ParsedSchema {
  readonly type = 'AVRO'
  readonly root: AvroType
  readonly canonical: string
  #normalized: string | undefined

  constructor(root: AvroType) {
    this.root = root
    this.canonical = printAvro(root)
  }

  get normalized(): string {
    this.#normalized ??= printAvro(this.root, { isNormalized: true })
    return this.#normalized
  }

  get recordName(): string | undefined {
    return this.root.kind === 'record' ? fullNameOf(this.root.name) : undefined
  }

  get fieldNames(): readonly string[] {
    return this.root.kind === 'record' ? this.root.fields.map(({ name }) => name) : []
  }

  formatted(format: string): string {
    return format === 'resolved' ? printAvro(this.root, { isResolved: true }) : this.canonical
  }

  /** Whether types are referred to or written out makes no other schema. */
  get meaning(): string {
    return printAvro(this.root, { isNormalized: true, isResolved: true })
  }

  incompatibilities(writer: ParsedSchema, words: ReaderWriter): readonly string[] {
    try {
      const found = avroIncompatibilities(this.root, (writer as AvroSchema).root)
      return found.map((one) => renderAvroIncompatibility(one, words))
    } catch (error) {
      if (!(error instanceof NotComparable)) throw error
      return [`Unexpected exception during compatibility check: ${error.message}`]
    }
  }
}

function parseReferenced({ name, text }: ReferencedSchema, names: AvroNames): void {
  try {
    parseAvro(jsonOfSchema(text), names, { isStrict: false, isReferenced: true })
  } catch (error) {
    throw invalid(`the reference ${name}: ${asTailraceError(error).message}`)
  }
}
