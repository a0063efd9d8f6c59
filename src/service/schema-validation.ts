// The door of topics that take only what is framed by their schemas (confluent.key.schema.validation and
// confluent.value.schema.validation): the id in a frame must be one of the subject that the topic's strategy names, and
// that version not deleted. Null passes: it has no frame. Only what comes from outside is asked; for other topics nothing.

import type { ProduceRecord } from '../codec/produce-record.ts'
import { schemaIdOf } from '../codec/schema-codec.ts'
import type { Topic } from '../engine/engine.ts'
import type { SubjectNameStrategy } from '../engine/topic-config.ts'
import { TailraceError } from '../kernel/errors.ts'
import type { StoredSchema } from '../registry/schema-entity.ts'
import type { SchemaRegistry } from '../registry/schema-registry.ts'

export type RegisteredSchemas = Pick<SchemaRegistry, 'failure' | 'findById' | 'sharing' | 'parsed'>

/** Why a record of one request must not be stored; undefined: it may. */
export type RecordCheck = (record: ProduceRecord, index: number) => TailraceError | undefined

type Part = 'key' | 'value'

/** Undefined: the topic takes anything. Throws what keeps the registry from answering. */
export function schemaCheckOf(topic: Topic, schemas: RegisteredSchemas): RecordCheck | undefined {
  const { keySubjects, valueSubjects } = topic.config
  if (keySubjects === undefined && valueSubjects === undefined) return undefined
  if (schemas.failure !== undefined) throw schemas.failure
  const keys = keySubjects && new PartCheck(topic, 'key', keySubjects, schemas)
  const values = valueSubjects && new PartCheck(topic, 'value', valueSubjects, schemas)
  return (record, index) =>
    keys?.faultOf(record.key, record.keyStart, record.keyEnd, index) ??
    values?.faultOf(record.value, record.valueStart, record.valueEnd, index)
}

class PartCheck {
  readonly #topic: Topic
  readonly #part: Part
  readonly #strategy: SubjectNameStrategy
  readonly #schemas: RegisteredSchemas
  /** What this request's records were found to be framed with. */
  readonly #good = new Set<number>()

  constructor(topic: Topic, part: Part, strategy: SubjectNameStrategy, schemas: RegisteredSchemas) {
    this.#topic = topic
    this.#part = part
    this.#strategy = strategy
    this.#schemas = schemas
  }

  faultOf(bytes: Uint8Array, start: number, end: number, index: number): TailraceError | undefined {
    if (start < 0) return undefined
    const id = schemaIdOf(bytes, start, end)
    if (id !== undefined && this.#good.has(id)) return undefined
    const stored = id === undefined ? undefined : this.#schemas.findById(id)
    const subject = this.#subjectOf(stored)
    if (id === undefined) return this.#refusal(index, subject, id, 'is not framed with the id of a schema')
    if (stored === undefined)
      return this.#refusal(index, subject, id, `names schema ${id}, which nobody has registered`)
    if (subject === undefined) return this.#refusal(index, subject, id, `names schema ${id}, which has no record name`)
    const isOfSubject = this.#schemas.sharing(id).some((one) => one.subject === subject && !one.deleted)
    if (!isOfSubject)
      return this.#refusal(index, subject, id, `names schema ${id}, which is none of subject '${subject}'`)
    this.#good.add(id)
    return undefined
  }

  /** Undefined: only the schema says, and there is none, or it has no name. */
  #subjectOf(stored: StoredSchema | undefined): string | undefined {
    const topic = this.#topic.name
    if (this.#strategy === 'TopicNameStrategy') return `${topic}-${this.#part}`
    const name = stored && this.#recordName(stored)
    if (name === undefined) return undefined
    return this.#strategy === 'RecordNameStrategy' ? name : `${topic}-${name}`
  }

  #recordName(stored: StoredSchema): string | undefined {
    try {
      return this.#schemas.parsed(stored).recordName
    } catch {
      // what it refers to is gone: nothing can be made with it
      return undefined
    }
  }

  #refusal(index: number, subject: string | undefined, id: number | undefined, fault: string): TailraceError {
    const topic = this.#topic.name
    const part = this.#part
    const wanted = subject === undefined ? this.#strategy : `subject '${subject}'`
    return new TailraceError(
      'invalid_record',
      `the ${part} of record ${index} ${fault}: topic '${topic}' takes ${part}s by schemas of ${wanted} alone (confluent.${part}.schema.validation)`,
      {
        topic,
        index,
        member: part,
        ...(subject === undefined ? {} : { subject }),
        ...(id === undefined ? {} : { schema_id: id }),
      },
    )
  }
}
