// How a client reaches this server, for the absolute URLs in replies: as the configuration advertises it, else as the
// proxies in front of it say (Forwarded, RFC 7239; X-Forwarded-*), else as the request's Host names it. What a client says
// of itself there comes back to that client alone.

import type { FastifyRequest } from 'fastify'

export interface AdvertisedAddress {
  readonly protocol: 'http' | 'https'
  readonly host: string
  readonly port: number
}

/** Without a slash at the end. */
export function ownUrl(request: FastifyRequest, advertised: AdvertisedAddress | undefined): string {
  if (advertised !== undefined && advertised.host !== '') {
    const host = advertised.host.includes(':') ? `[${advertised.host}]` : advertised.host
    return `${advertised.protocol}://${host}:${advertised.port}`
  }
  const forwarded = forwardedPairs(first(request.headers['forwarded']))
  const protocol = forwarded.get('proto') ?? first(request.headers['x-forwarded-proto'])
  const scheme = protocol?.toLowerCase() === 'https' ? 'https' : 'http'
  const prefix = first(request.headers['x-forwarded-prefix']) ?? first(request.headers['x-forwarded-path'])
  return `${scheme}://${authority(request, forwarded)}${prefix !== undefined && PREFIX.test(prefix) ? prefix : ''}`
}

function authority(request: FastifyRequest, forwarded: ReadonlyMap<string, string>): string {
  const named = [forwarded.get('host'), first(request.headers['x-forwarded-host']), request.headers.host]
  const known = named.find((host) => host !== undefined && AUTHORITY.test(host))
  if (known !== undefined) return known
  const { localAddress = '127.0.0.1', localPort = 80 } = request.raw.socket
  return `${localAddress.includes(':') ? `[${localAddress}]` : localAddress}:${localPort}`
}

/** What would be another URL than it looks is not taken. */
const AUTHORITY = /^(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/
const PREFIX = /^(?:\/[A-Za-z0-9._~%-]{1,100}){1,8}$/

/** Each proxy adds itself at the end: the first is the one that the client asked. */
function first(header: string | string[] | undefined): string | undefined {
  const text = Array.isArray(header) ? header[0] : header
  return text?.split(',', 1)[0]?.trim()
}

function forwardedPairs(element: string | undefined): ReadonlyMap<string, string> {
  const pairs = (element ?? '').split(';', 8).map((pair): [string, string] => {
    const [name = '', value = ''] = pair.split('=', 2)
    return [name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, '$1')]
  })
  return new Map(pairs)
}
