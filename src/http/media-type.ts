// What a request sends and what it can take: one request and one success media type per operation.

import { TailraceError } from '../kernel/errors.ts'

export const JSON_MEDIA_TYPE = 'application/json'

/** unsupported_media_type unless the Content-Type is `wanted`, with UTF-8 as its charset if it names one, or absent. */
export function checkContentType(header: string | undefined, wanted: string): void {
  if (header === undefined || header === wanted) return
  const [type = '', ...parameters] = header.split(';')
  const charset = parameters.map((text) => text.trim().toLowerCase()).find((text) => text.startsWith('charset='))
  const utf8 = charset === undefined || /^charset="?utf-?8"?$/.test(charset)
  if (type.trim().toLowerCase() === wanted && utf8) return
  const detail = `Content-Type ${JSON.stringify(header.slice(0, 100))} is not taken here; send Content-Type: ${wanted}`
  throw new TailraceError('unsupported_media_type', detail, { allowed: [wanted] })
}

/** not_acceptable if the Accept header has no place for `offered`. */
export function checkAccept(header: string | undefined, offered: string): void {
  if (header === undefined || header === '*/*' || header === offered || accepts(header, offered)) return
  const detail = `this answers with ${offered}, which the Accept header ${JSON.stringify(header.slice(0, 100))} leaves out`
  throw new TailraceError('not_acceptable', detail, { offered: [offered] })
}

/** By RFC 9110: the most specific range that fits decides, a weight of 0 refuses. An empty header says nothing. */
function accepts(header: string, offered: string): boolean {
  if (header.trim() === '') return true
  const family = `${offered.slice(0, offered.indexOf('/'))}/*`
  const weights = weightsIn(header)
  const weight = weights.get(offered) ?? weights.get(family) ?? weights.get('*/*') ?? 0
  return weight > 0
}

/** The ranges of an Accept header, in lower case, with their weights. */
export function weightsIn(header: string): ReadonlyMap<string, number> {
  return new Map(header.split(',').map(rangeOf))
}

function rangeOf(text: string): [range: string, weight: number] {
  const [range = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  const weight = parameters.find((part) => part.startsWith('q='))
  return [range, weight === undefined ? 1 : Math.min(1, Number(weight.slice(2)) || 0)]
}
