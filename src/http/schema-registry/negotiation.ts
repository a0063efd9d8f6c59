// Media types of the Schema Registry API. Its clients name them in many ways: what cannot be understood means anything.

import { TailraceError } from '../../kernel/errors.ts'

/** The server's choice where the client's are equal, the first first. */
const REPLY_TYPES = [
  'application/vnd.schemaregistry.v1+json',
  'application/vnd.schemaregistry+json',
  'application/json',
] as const

const REQUEST_TYPES: ReadonlySet<string> = new Set([...REPLY_TYPES, 'application/octet-stream'])

/** unsupported_media_type. */
export function checkRequestType(header: string | undefined): void {
  if (header === undefined || header === REPLY_TYPES[0]) return
  const type = (header.split(';')[0] as string).trim().toLowerCase()
  if (type === '' || REQUEST_TYPES.has(type)) return
  const found = `Content-Type ${JSON.stringify(header.slice(0, 100))}`
  throw new TailraceError('unsupported_media_type', `${found} is not taken here; allowed are ${REPLY_TYPES.join(', ')}`)
}

/** The reply's. not_acceptable. */
export function replyTypeFor(accept: string | undefined): string {
  if (accept === undefined || accept === '*/*') return REPLY_TYPES[0]
  const only = REPLY_TYPES.find((type) => type === accept)
  if (only !== undefined) return only
  const weights = new Map<string, number>()
  for (const part of accept.split(',')) {
    const [range = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    const weight = Number(parameters.find((text) => text.startsWith('q='))?.slice(2) ?? 1)
    if (range.includes('/')) weights.set(range, Number.isNaN(weight) ? 1 : weight)
  }
  if (weights.size === 0) return REPLY_TYPES[0]
  const weightOf = (type: string) => weights.get(type) ?? weights.get('application/*') ?? weights.get('*/*') ?? 0
  const best = Math.max(...REPLY_TYPES.map(weightOf))
  if (best <= 0) {
    const found = `Accept ${JSON.stringify(accept.slice(0, 100))}`
    throw new TailraceError('not_acceptable', `there is nothing here for ${found}; there are ${REPLY_TYPES.join(', ')}`)
  }
  return REPLY_TYPES.find((type) => weightOf(type) === best) as string
}

export const FALLBACK_TYPE = 'application/json'
