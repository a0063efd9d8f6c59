// The door of topics that take only what is framed by their schemas (confluent.key.schema.validation and
// confluent.value.schema.validation): the id in a frame must be one of the subject that the topic's strategy names, and
// that version not deleted. Null passes: it has no frame. Only what comes from outside is asked; for other topics nothing.

import type { ProduceRecord } from '../../codec/produce-record.ts'
import { schemaIdOf } from '../../codec/schema-codec.ts'
import type { Topic } from '../../engine/engine.ts'
import { TailraceError } from '../../kernel/errors.ts'
import type { StoredSchema } from '../../registry/schema-entity.ts'
import type { SchemaRegistry } from '../../registry/schema-registry.ts'
import type { RecordPart } from '../../registry/subject-name.ts'
import { subjectNameOf, subjectStrategy } from '../../registry/subject-name.ts'

export type RegisteredSchemas = Pick<SchemaRegistry, 'failure' | 'findById' | 'aliased' | 'sharing' | 'parsed'>

/** Why a record of one request must not be stored; undefined: it may. */
export type RecordCheck = (record: ProduceRecord, index: number) => TailraceError | undefined

/** Undefined: the topic takes anything. Throws what keeps the registry from answering. */
export function schemaCheckOf(topic: Topic, schemas: RegisteredSchemas): RecordCheck | undefined {
  const { keySchemaValidation, valueSchemaValidation } = topic.config
  if (!keySchemaValidation && !valueSchemaValidation) return undefined
  if (schemas.failure !== undefined) throw schemas.failure
  const keys = keySchemaValidation ? new PartCheck(topic, 'key', schemas) : undefined
  const values = valueSchemaValidation ? new PartCheck(topic, 'value', schemas) : undefined
  return (record, index) =>
    keys?.faultOf(record.key, record.keyStart, record.keyEnd, index) ??
    values?.faultOf(record.value, record.valueStart, record.valueEnd, index)
}

class PartCheck {
  readonly #topic: Topic
  readonly #part: RecordPart
  readonly #schemas: RegisteredSchemas
  /** What this request's records were found to be framed with. */
  readonly #good = new Set<number>()

  constructor(topic: Topic, part: RecordPart, schemas: RegisteredSchemas) {
    this.#topic = topic
    this.#part = part
    this.#schemas = schemas
  }

  faultOf(bytes: Uint8Array, start: number, end: number, index: number): TailraceError | undefined {
    if (start < 0) return undefined
    const id = schemaIdOf(bytes, start, end)
    if (id !== undefined && this.#good.has(id)) return undefined
    const stored = id === undefined ? undefined : this.#schemas.findById(id)
    const subject = this.#subjectOf(stored)
    if (id === undefined)
      return this.#refusal(index, subject, id, 'is not framed with the id of a schema', howToFrame(this.#part))
    if (stored === undefined)
      return this.#refusal(index, subject, id, `names schema ${id}, which nobody has registered`)
    if (subject === undefined) return this.#refusal(index, subject, id, `names schema ${id}, which has no record name`)
    const meant = this.#schemas.aliased(subject)
    const isOfSubject = this.#schemas.sharing(id).some((one) => one.subject === meant && !one.deleted)
    if (!isOfSubject)
      return this.#refusal(index, subject, id, `names schema ${id}, which is none of subject '${subject}'`)
    this.#good.add(id)
    return undefined
  }

  /** Undefined: only the schema says, and there is none, or it has no name. */
  #subjectOf(stored: StoredSchema | undefined): string | undefined {
    const { name, config } = this.#topic
    const strategy = subjectStrategy(config, this.#part)
    const recordName = strategy === 'TopicNameStrategy' || stored === undefined ? undefined : this.#recordName(stored)
    return subjectNameOf(strategy, name, this.#part, recordName)
  }

  #recordName(stored: StoredSchema): string | undefined {
    try {
      return this.#schemas.parsed(stored).recordName
    } catch {
      // what it refers to is gone: nothing can be made with it
      return undefined
    }
  }

  #refusal(
    index: number,
    subject: string | undefined,
    id: number | undefined,
    fault: string,
    advice = '',
  ): TailraceError {
    const topic = this.#topic.name
    const part = this.#part
    const wanted = subject === undefined ? subjectStrategy(this.#topic.config, part) : `subject '${subject}'`
    return new TailraceError(
      'invalid_record',
      `the ${part} of record ${index} ${fault}: topic '${topic}' takes ${part}s by schemas of ${wanted} alone (confluent.${part}.schema.validation)${advice}`,
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

/** For those who have sent something else. */
function howToFrame(part: RecordPart): string {
  return `; ${part}_encoding avro, jsonschema or protobuf has a JSON ${part} framed here (REST Proxy: ${part}_schema or ${part}_schema_id, sent as application/vnd.kafka.avro.v2+json, jsonschema or protobuf)`
}
