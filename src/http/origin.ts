// Which pages may come here. There is no authentication, and a browser would carry a page of any origin to a server that
// listens on its own machine: CORS keeps such a page from reading replies, nothing keeps it from opening a WebSocket. So
// one that names a foreign Origin is refused, unless the configuration allows it. Who sends no Origin is no page.

import type { IncomingHttpHeaders } from 'node:http'

/** `allowed`: lower case, as browsers write them, `*` for all. */
export function isAllowedOrigin(headers: IncomingHttpHeaders, allowed: readonly string[]): boolean {
  const { origin } = headers
  if (origin === undefined) return true
  if (allowed.includes('*') || allowed.includes(origin.toLowerCase())) return true
  return isOwnOrigin(origin, headers)
}

/** A page that came from where the request goes, as a browser or the proxies in front of this server name that. A page can set neither. */
function isOwnOrigin(origin: string, headers: IncomingHttpHeaders): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host } = new URL(origin)
  const named = [headers.host, headers['x-forwarded-host']].flat()
  return named.some((own) => own !== undefined && host !== '' && hostOf(protocol, own) === host)
}

/** Without the port that the protocol has anyway. */
function hostOf(protocol: string, authority: string): string | undefined {
  const url = `${protocol}//${authority.trim()}`
  return URL.canParse(url) ? new URL(url).host : undefined
}
