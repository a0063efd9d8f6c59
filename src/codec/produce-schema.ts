// Which schema a key or value of a produce request is made by: the one that is named, else that of the subject which the
// strategy of the topic names. What cannot be taken is told with what can.

import type { Engine } from '../engine/engine.ts'
import { TailraceError } from '../kernel/errors.ts'
import { registryCodeOf } from '../registry/registry-failure.ts'
import type { RecordPart } from '../registry/subject-name.ts'
import { subjectNameOf, subjectStrategy } from '../registry/subject-name.ts'
import type { Encoding } from './encoding.ts'
import { wrongMember } from './json-cursor.ts'
import type { FramedSchema, SchemaChoice, SchemaCodec, SchemaEncoding } from './schema-codec.ts'
import { SCHEMA_ENCODINGS } from './schema-codec.ts'

/** What keys and values of the schema formats are made with, and whose subjects they are of if nothing else is said. */
export interface TypedRecords {
  readonly schemas: SchemaCodec
  readonly topic: string
  readonly engine: Pick<Engine, 'findTopic'>
}

export type AnyEncoding = Encoding | SchemaEncoding

export function isSchemaEncoding(encoding: AnyEncoding): encoding is SchemaEncoding {
  return (SCHEMA_ENCODINGS as readonly AnyEncoding[]).includes(encoding)
}

const REGISTER_FIRST =
  'a schema is registered first (POST /subjects/SUBJECT/versions), and named by its schema_id or subject'

/** What others call the members that name a schema, or bring one. */
export const FOREIGN_MEMBERS: ReadonlyMap<string, string> = new Map([
  ['value_schema_id', 'did you mean schema_id?'],
  ['value_subject', 'did you mean subject?'],
  ['value_schema_version', 'did you mean schema_version?'],
  ...['schema', 'value_schema', 'key_schema'].map((name) => [name, REGISTER_FIRST] as const),
])

const CHOICE_NAMES: Readonly<Record<RecordPart, string>> = {
  key: 'key_schema_id, key_subject, key_schema_version',
  value: 'schema_id, subject, schema_version',
}

/** Of an encoding beside a schema. */
export function checkSchemaEncoding(part: RecordPart, encoding: AnyEncoding): asserts encoding is SchemaEncoding {
  if (isSchemaEncoding(encoding)) return
  throw wrongMember(
    `${part}_encoding`,
    `must be one of ${SCHEMA_ENCODINGS.join(', ')}, or be left out, where a schema is named (${CHOICE_NAMES[part]}), not "${encoding}"`,
  )
}

interface Found {
  readonly encoding: SchemaEncoding | undefined
  readonly choice: SchemaChoice
  readonly framed: FramedSchema
}

/** Of one request: its records mostly say the same. */
export class ProduceSchemas {
  readonly #typed: TypedRecords
  readonly #last: Partial<Record<RecordPart, Found>> = {}

  constructor(typed: TypedRecords) {
    this.#typed = typed
  }

  /** `encoding`: the one that is named. invalid_record, schema_not_found; what keeps the registry from answering. */
  find(part: RecordPart, encoding: SchemaEncoding | undefined, choice: SchemaChoice): FramedSchema {
    const last = this.#last[part]
    if (last !== undefined && last.encoding === encoding && isSameChoice(last.choice, choice)) return last.framed
    const isById = choice.id !== undefined && choice.version === undefined
    const subject = choice.subject ?? (isById ? undefined : usualSubject(part, this.#typed))
    const { schemas } = this.#typed
    try {
      const framed = schemas.choose(encoding, { ...choice, subject })
      this.#last[part] = { encoding, choice, framed }
      return framed
    } catch (error) {
      throw error instanceof TailraceError ? toldOf(error, part, subject, schemas) : error
    }
  }
}

function isSameChoice(left: SchemaChoice, right: SchemaChoice): boolean {
  return left.id === right.id && left.subject === right.subject && left.version === right.version
}

/** A topic that is not there will have the usual strategy. */
function usualSubject(part: RecordPart, { topic, engine }: TypedRecords): string {
  const config = engine.findTopic(topic)?.config
  const strategy = config === undefined ? 'TopicNameStrategy' : subjectStrategy(config, part)
  const subject = subjectNameOf(strategy, topic, part)
  if (subject !== undefined) return subject
  throw wrongMember(
    part,
    `needs a schema that is named: topic '${topic}' has the ${strategy} (confluent.${part}.subject.name.strategy), by which its record says the subject; name ${waysToName(part)}`,
  )
}

function waysToName(part: RecordPart): string {
  return part === 'key' ? 'key_subject or key_schema_id' : 'subject or schema_id'
}

const SUBJECT_NOT_FOUND = 40401

/** With the part that it is about, or with what can be done. */
function toldOf(
  error: TailraceError,
  part: RecordPart,
  subject: string | undefined,
  schemas: SchemaCodec,
): TailraceError {
  if (error.code === 'invalid_record') {
    return new TailraceError('invalid_record', `${part}: ${error.message}`, { ...error.details, member: part })
  }
  if (subject === undefined || registryCodeOf(error) !== SUBJECT_NOT_FOUND) return error
  const nearest = schemas.nearestSubject(subject)
  const hint = nearest === undefined ? '' : ` (did you mean '${nearest}'?)`
  return new TailraceError(
    error.code,
    `${error.message} Register it first, or name ${waysToName(part)}${hint}`,
    { ...error.details, subject },
    { cause: error },
  )
}
