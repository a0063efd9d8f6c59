// The query parameters that reads share: where to begin, which partitions, in which form.

import type { AvroUnions } from '../../codec/avro-decoder.ts'
import { ENCODINGS } from '../../codec/encoding.ts'
import type { RecordFormat } from '../../codec/record-json.ts'
import type { SchemaCodec } from '../../codec/schema-codec.ts'
import { SCHEMA_ENCODINGS } from '../../codec/schema-codec.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { TOPIC_PARTITIONS_MAX } from '../../kernel/limits.ts'
import type { Position } from '../../service/read/positions.ts'
import { bareCursor, parsePosition } from '../../service/read/positions.ts'
import type { RequestQuery } from '../request-query.ts'
import { parseInteger } from '../request-query.ts'

const FORMATS: readonly RecordFormat[] = ['auto', ...ENCODINGS, ...SCHEMA_ENCODINGS]

/** Of readFormats. */
export const FORMAT_PARAMETERS = ['key_format', 'value_format', 'unions']

export interface RecordFormats {
  readonly keyFormat: RecordFormat
  readonly valueFormat: RecordFormat
  /** undefined: frames are bytes. */
  readonly schemas?: SchemaCodec | undefined
  readonly unions?: AvroUnions | undefined
}

export function readFormats(query: RequestQuery, schemas: SchemaCodec): RecordFormats {
  return {
    keyFormat: query.oneOf('key_format', FORMATS) ?? 'auto',
    valueFormat: query.oneOf('value_format', FORMATS) ?? 'auto',
    schemas,
    unions: query.oneOf('unions', ['tagged', 'plain']) ?? 'tagged',
  }
}

/** undefined: all. */
export function readPartitions(query: RequestQuery): readonly number[] | undefined {
  const texts = query.texts('partition')
  if (texts.length === 0) return undefined
  for (const text of texts) checkSingle('partition', text)
  return texts.map((text) => parseInteger('partition', text, { min: 0, max: TOPIC_PARTITIONS_MAX - 1 }))
}

/** Of a parameter that is repeated: lists with commas are other APIs' habit. */
export function checkSingle(name: string, text: string): void {
  if (!text.includes(',')) return
  const again = text
    .split(',', 3)
    .map((one) => `${name}=${one.trim()}`)
    .join('&')
  throw new TailraceError(
    'invalid_request',
    `parameter ${name} takes one, and is repeated for more: ${again.slice(0, 200)}`,
    {
      parameter: name,
    },
  )
}

/** A cursor, with or without its prefix, goes before `from`: a client may keep its first URL and add the cursor. */
export function readFrom(query: RequestQuery): Position {
  const cursor = query.text('cursor')
  if (cursor !== undefined) return { kind: 'cursor', cursor: bareCursor(cursor) }
  checkGroupMeant(query, ['from', 'until'])
  return readPosition(query, 'from') ?? { kind: 'earliest' }
}

/** Where it is `committed`, the group that is meant stands beside it. */
export function readPosition(query: RequestQuery, name: string): Position | undefined {
  const text = query.text(name)
  return text === undefined ? undefined : parsePosition(text, query.text('group'))
}

/** A group alone would be overlooked. */
export function checkGroupMeant(query: RequestQuery, names: readonly string[]): void {
  if (query.text('group') === undefined || names.some((name) => query.text(name) === 'committed')) return
  throw new TailraceError('invalid_request', `group goes with ${names[0]}=committed, where that group stands`, {
    parameter: 'group',
  })
}
