// What a client says when it makes a consumer: properties with dots in their names, as text or not, some under two names.

import { randomUUID } from 'node:crypto'
import { CONSUMER_INSTANCE_NAME_CHARS_MAX } from '../../kernel/limits.ts'
import type { ConsumerSpec } from '../../service/consumers/consumer-spec.ts'
import { restProxyFailure } from './failure.ts'
import { JsonFields } from './json-fields.ts'
import { isSchemaFormat } from './negotiation.ts'

export interface NamedSpec {
  readonly name: string
  readonly spec: ConsumerSpec
}

const PROPERTIES = [
  'id',
  'name',
  'format',
  'auto.offset.reset',
  'auto.commit.enable',
  'enable.auto.commit',
  'fetch.min.bytes',
  'responseMinBytes',
  'consumer.request.timeout.ms',
  'requestWaitMs',
  'session.timeout.ms',
  'isolation.level',
]

const INT32_MAX = 2 ** 31 - 1
const FETCH_MIN_BYTES = { min: -1, max: 10_000_000 }

export function parseConsumerConfig(body: unknown): NamedSpec {
  const fields = new JsonFields(body ?? {}, PROPERTIES)
  const { text, oneOf, integer } = propertiesOf(fields)
  const format = parseFormat(text('format'))
  const offsetReset = oneOf(['auto.offset.reset'], ['latest', 'earliest', 'none'], 'latest')
  const autoCommit = oneOf(['auto.commit.enable', 'enable.auto.commit'], ['true', 'false'], 'true') === 'true'
  // there are no transactions here that could be open or come to nothing: both read the same
  oneOf(['isolation.level'], ['read_committed', 'read_uncommitted'], 'read_committed')
  return {
    name: parseName(text('id', 'name')),
    spec: {
      format,
      offsetReset,
      autoCommit,
      fetchMinBytes: integer(['fetch.min.bytes', 'responseMinBytes'], FETCH_MIN_BYTES) ?? -1,
      requestTimeoutMs: integer(['consumer.request.timeout.ms', 'requestWaitMs'], { min: 0, max: INT32_MAX }),
      sessionTimeoutMs: integer(['session.timeout.ms'], { min: 1, max: INT32_MAX }),
    },
  }
}

/** Of several names of one property the first that is given counts. */
function propertiesOf(fields: JsonFields) {
  const given = (names: readonly string[]) => names.find((name) => fields.has(name))
  const text = (...names: readonly string[]) => {
    const name = given(names)
    return name === undefined ? undefined : fields.text(name)
  }
  return {
    text,
    oneOf<Value extends string>(names: readonly string[], allowed: readonly Value[], byDefault: Value): Value {
      const found = text(...names)
      if (found === undefined) return byDefault
      const value = allowed.find((each) => each === found.toLowerCase())
      if (value !== undefined) return value
      throw invalid(
        `Invalid value ${shown(found)} for configuration ${given(names)}: one of ${allowed.join(', ')} is allowed`,
      )
    },
    integer(names: readonly string[], range: { readonly min: number; readonly max: number }): number | undefined {
      const name = given(names)
      if (name === undefined) return undefined
      const found = fields.text(name) ?? ''
      const value = /^-?\d{1,16}$/.test(found) ? Number(found) : Number.NaN
      if (Number.isNaN(value))
        throw invalid(`Invalid value ${shown(found)} for configuration ${name}: it is no whole number`)
      if (value >= range.min && value <= range.max) return value
      throw restProxyFailure(
        40001,
        `Invalid consumer configuration. It does not abide by the constraints: ${name} is ${value}, ${range.min} to ${range.max} is allowed`,
      )
    },
  }
}

function parseFormat(found: string | undefined): ConsumerSpec['format'] {
  const format = found?.toLowerCase() ?? 'binary'
  if (format === 'binary' || format === 'json' || isSchemaFormat(format)) return format
  throw restProxyFailure(
    422,
    `Invalid format type. It is ${shown(found ?? '')}; binary, json, avro, jsonschema and protobuf are allowed`,
  )
}

const CONTROL = /\p{Cc}/u

function parseName(found: string | undefined): string {
  if (found === undefined) return `rest-consumer-${randomUUID()}`
  const fault = faultOfName(found)
  if (fault === undefined) return found
  throw invalid(
    `the name ${shown(found)} ${fault}; 1 to ${CONSUMER_INSTANCE_NAME_CHARS_MAX} characters are allowed, none of them a control character`,
  )
}

function faultOfName(name: string): string | undefined {
  if (name === '') return 'is empty'
  // every HTTP client takes such a segment out of the path
  if (name === '.' || name === '..') return 'cannot stand in a path'
  if (name.length > CONSUMER_INSTANCE_NAME_CHARS_MAX) return `has ${name.length} characters`
  if (!name.isWellFormed()) return 'is no Unicode text'
  return CONTROL.test(name) ? 'holds a control character' : undefined
}

function invalid(reason: string) {
  return restProxyFailure(42204, `Invalid consumer configuration: ${reason}`)
}

function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
