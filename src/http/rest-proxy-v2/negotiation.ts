// Media types of the REST Proxy v2 API: what a request body is, by its Content-Type, and what the answer is to be, by
// Accept. The type of a produce request chooses how its keys and values stand for bytes, so there is no default for it.
// Tools of older days send v1 types; they are taken for the v2 ones, and what they get is named as v2.

import type { SchemaEncoding } from '../../codec/schema-codec.ts'
import { SCHEMA_ENCODINGS } from '../../codec/schema-codec.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { weightsIn } from '../media-type.ts'

export const REST_PROXY_JSON = 'application/vnd.kafka.v2+json'

const PLAIN_JSON = 'application/json'

/** Types of v1, whose records were base64 unless said otherwise. */
const V1_TYPES = ['application/vnd.kafka.v1+json', 'application/vnd.kafka+json']

/** Those that need no registry. */
export type PlainFormat = 'binary' | 'json'

export type RecordFormat = PlainFormat | SchemaEncoding

/** by_value: v1's own type, where base64 and JSON are told apart by what stands there. */
export type RequestFormat = RecordFormat | 'by_value'

export const RECORDS_MEDIA_TYPE = {
  binary: 'application/vnd.kafka.binary.v2+json',
  json: 'application/vnd.kafka.json.v2+json',
  avro: 'application/vnd.kafka.avro.v2+json',
  jsonschema: 'application/vnd.kafka.jsonschema.v2+json',
  protobuf: 'application/vnd.kafka.protobuf.v2+json',
} as const satisfies Record<RecordFormat, string>

export function isSchemaFormat<Format extends string>(format: Format): format is Format & SchemaEncoding {
  return (SCHEMA_ENCODINGS as readonly string[]).includes(format)
}

/** How a produce request's records are written. unsupported_media_type, also where the type is missing. */
export function requestFormat(header: string | undefined, options: { readonly lenient: boolean }): RequestFormat {
  if (header === RECORDS_MEDIA_TYPE.json) return 'json'
  if (header === RECORDS_MEDIA_TYPE.binary) return 'binary'
  const type = utf8TypeOf(header)
  const format = type === undefined ? undefined : REQUEST_FORMATS.get(type)
  if (format !== undefined) return format
  if (options.lenient && type === PLAIN_JSON) return 'json'
  throw unsupported(header, Object.values(RECORDS_MEDIA_TYPE))
}

const REQUEST_FORMATS: ReadonlyMap<string, RequestFormat> = new Map([
  ...V1_TYPES.map((type) => [type, 'by_value'] as const),
  ...(['binary', 'json', ...SCHEMA_ENCODINGS] as const).flatMap((format) => [
    [`application/vnd.kafka.${format}.v1+json`, format] as const,
    [RECORDS_MEDIA_TYPE[format], format] as const,
  ]),
])

/** unsupported_media_type unless the body is the API's own JSON, or unnamed. */
export function checkEnvelopeType(header: string | undefined): void {
  if (header === undefined) return
  const type = utf8TypeOf(header)
  if (type === undefined || !ENVELOPE_NAMES.includes(type)) throw unsupported(header, ENVELOPE_NAMES)
}

/** unsupported_media_type unless the body is the API's own JSON, by any of its names, or unnamed. */
export function checkConsumerType(header: string | undefined): void {
  if (header === undefined) return
  const type = utf8TypeOf(header)
  if (type === undefined || !(ENVELOPE_NAMES.includes(type) || REQUEST_FORMATS.has(type))) {
    throw unsupported(header, ENVELOPE_NAMES)
  }
}

/** The media type in lower case; undefined where a charset other than UTF-8 or ASCII is named. */
function utf8TypeOf(header: string | undefined): string | undefined {
  const [type = '', ...parameters] = (header ?? '').toLowerCase().split(';')
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith('charset='))
  const isUtf8 = charset === undefined || /^charset="?(utf-?8|us-ascii)"?$/.test(charset)
  return isUtf8 ? type.trim() : undefined
}

function unsupported(header: string | undefined, allowed: readonly string[]): TailraceError {
  const found = header === undefined ? 'no Content-Type' : `Content-Type ${JSON.stringify(header.slice(0, 100))}`
  return new TailraceError('unsupported_media_type', `${found} is not taken here; allowed are ${allowed.join(', ')}`)
}

/** not_acceptable if the client has no use for the API's own JSON, under none of its names. */
export function checkAcceptsEnvelope(header: string | undefined): void {
  if (header === undefined || header === REST_PROXY_JSON || header === '*/*') return
  if (preferred(header, ENVELOPE_OFFERS) === undefined) throw notAcceptable(header)
}

/** How records are shown: base64 where the client leaves it open. */
export function recordFormatFor(header: string | undefined): PlainFormat {
  const format = preferred(header, RECORD_OFFERS)
  if (format === undefined) throw notAcceptable(header ?? '')
  return format
}

/** What records, or a failure in place of them, are called; binary where the client leaves it open, or wants what nobody has. */
export function acceptedRecordsType(header: string | undefined): string {
  const format = preferred(header, CONSUMER_RECORD_OFFERS) ?? 'binary'
  return RECORDS_MEDIA_TYPE[format === 'own' ? 'json' : format]
}

/** How a consumer's client wants its records; `own`: as the consumer has them. */
export function consumerFormatFor(header: string | undefined): RecordFormat | 'own' {
  const format = preferred(header, CONSUMER_RECORD_OFFERS)
  if (format === undefined) throw notAcceptable(header ?? '')
  return format
}

/** What the replies about consumers are called: as the API's own JSON, or as a kind of records, for who takes only that. */
export function consumerTypeFor(header: string | undefined): string {
  const type = acceptedConsumerType(header)
  if (type === undefined) throw notAcceptable(header ?? '')
  return type
}

export function acceptedConsumerType(header: string | undefined): string | undefined {
  return preferred(header, CONSUMER_OFFERS)
}

/** For what fails before it comes to a route. */
export function acceptedErrorType(header: string | undefined): string {
  return preferred(header, ERROR_OFFERS) ?? PLAIN_JSON
}

function notAcceptable(header: string): TailraceError {
  return new TailraceError('not_acceptable', `there is nothing here for Accept ${JSON.stringify(header.slice(0, 100))}`)
}

interface Offer<Choice> {
  readonly choice: Choice
  /** Every media type that asks for it. */
  readonly names: readonly string[]
}

const ENVELOPE_NAMES = [REST_PROXY_JSON, PLAIN_JSON, ...V1_TYPES]
const ENVELOPE_OFFERS: readonly Offer<string>[] = [{ choice: REST_PROXY_JSON, names: ENVELOPE_NAMES }]

const RECORD_OFFERS: readonly Offer<PlainFormat>[] = [
  {
    choice: 'binary',
    names: [RECORDS_MEDIA_TYPE.binary, REST_PROXY_JSON, 'application/vnd.kafka.binary.v1+json', ...V1_TYPES],
  },
  { choice: 'json', names: [RECORDS_MEDIA_TYPE.json, PLAIN_JSON, 'application/vnd.kafka.json.v1+json'] },
]

const CONSUMER_RECORD_OFFERS: readonly Offer<RecordFormat | 'own'>[] = [
  ...RECORD_OFFERS.map(({ choice, names }) => ({ choice, names: names.filter((name) => name !== PLAIN_JSON) })),
  ...SCHEMA_ENCODINGS.map((choice) => ({ choice, names: [RECORDS_MEDIA_TYPE[choice]] })),
  { choice: 'own', names: [PLAIN_JSON] },
]

const CONSUMER_OFFERS: readonly Offer<string>[] = [
  ...ENVELOPE_OFFERS,
  ...Object.values(RECORDS_MEDIA_TYPE).map((choice) => ({ choice, names: [choice] })),
]

const ERROR_OFFERS: readonly Offer<string>[] = [
  { choice: PLAIN_JSON, names: [PLAIN_JSON] },
  { choice: REST_PROXY_JSON, names: [REST_PROXY_JSON] },
]

/** The greatest weight wins, then the most specific range, then the order of the offers; undefined: none will do. */
function preferred<Choice>(header: string | undefined, offers: readonly Offer<Choice>[]): Choice | undefined {
  if (header === undefined || header.trim() === '') return offers[0]?.choice
  const weights = weightsIn(header)
  let best: { choice: Choice; rank: number } | undefined
  for (const { choice, names } of offers) {
    for (const name of names) {
      const rank = rankOf(name, weights)
      if (rank > 0 && rank > (best?.rank ?? 0)) best = { choice, rank }
    }
  }
  return best?.choice
}

/** By RFC 9110: of the ranges that a type is in, the most specific one has its weight. 0: not wanted. */
function rankOf(type: string, weights: ReadonlyMap<string, number>): number {
  const family = `${type.slice(0, type.indexOf('/'))}/*`
  const ranges = [type, family, '*/*']
  const place = ranges.findIndex((range) => weights.has(range))
  const weight = weights.get(ranges[place] ?? '') ?? 0
  // A weight has three decimals at most: specificity only parts those that are equal.
  return weight === 0 ? 0 : weight + (ranges.length - place) / 10_000
}
