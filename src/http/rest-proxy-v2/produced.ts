// F-side of a v2 produce request: what became of each record, as JSON text. Written by hand, record by record, because a
// reply is made for each request of a hot path. Members without a value are null, never left out.

import type { TailraceError } from '../../kernel/errors.ts'
import type { ProduceResult } from '../../service/produce/produce-result.ts'
import type { RecordSchemas } from './record-schemas.ts'

export interface ProduceReply {
  readonly status: number
  readonly body: string
}

const RETRIABLE = 50003
const FINAL = 50002
const NOT_AUTHORIZED = 40301

const OPEN = '{"offsets":['
const CLOSE = '],"key_schema_id":null,"value_schema_id":null}\n'

function closing(schemas: RecordSchemas | undefined): string {
  if (schemas === undefined) return CLOSE
  const { key, value } = schemas
  return `],"key_schema_id":${key?.id ?? null},"value_schema_id":${value?.id ?? null}}\n`
}

/** Throws where no record's error can stand for itself: they will all pass, or one is a bug of ours. */
export function replyOfResult(result: ProduceResult, schemas: RecordSchemas | undefined): ProduceReply {
  const { recordCount } = result
  if (result.failure !== undefined) refuseWholly(result)
  let text = OPEN
  for (let index = 0; index < recordCount; index++) {
    if (index > 0) text += ','
    const error = result.error(index)
    text +=
      error === undefined
        ? `{"partition":${result.partition(index)},"offset":${result.offset(index)},"error_code":null,"error":null}`
        : renderError(error)
  }
  return { status: 200, body: text + closing(schemas) }
}

/** Nothing was stored. What is wrong with the topic is told record by record; anything else is thrown. */
export function replyOfRejection(
  failure: TailraceError,
  recordCount: number,
  schemas: RecordSchemas | undefined,
): ProduceReply {
  switch (failure.code) {
    case 'unknown_topic_or_partition':
    case 'invalid_topic_exception':
    case 'topic_authorization_failed': {
      const errors = Array.from({ length: recordCount }, () => renderError(failure))
      const status = failure.code === 'topic_authorization_failed' ? 403 : 200
      return { status, body: OPEN + errors.join(',') + closing(schemas) }
    }
    default:
      throw failure
  }
}

function refuseWholly(result: ProduceResult): void {
  let willAllPass = true
  for (let index = 0; index < result.recordCount; index++) {
    const error = result.error(index)
    if (error?.code === 'unknown_server_error') throw error
    willAllPass &&= error?.retriable === true
  }
  if (willAllPass) throw result.failure
}

function renderError(error: TailraceError): string {
  return `{"partition":null,"offset":null,"error_code":${errorCodeOf(error)},"error":${JSON.stringify(error.message)}}`
}

/** To Kafka's clients a topic or partition that is unknown may yet appear. */
function errorCodeOf(error: TailraceError): number {
  if (error.code === 'topic_authorization_failed') return NOT_AUTHORIZED
  return error.retriable || error.code === 'unknown_topic_or_partition' ? RETRIABLE : FINAL
}
