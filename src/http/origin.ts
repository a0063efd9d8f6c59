// Which pages may come here. There is no authentication, and a browser would carry a page of any origin to a server that
// listens on its own machine: CORS keeps such a page from reading replies, nothing keeps it from opening a WebSocket or from
// writing, by a request that needs no preflight. So one that names a foreign Origin may do neither, unless the configuration
// allows it. Who sends no Origin is no page. And a server that only its own machine can reach has no name but that machine's:
// a page that comes by another name had that name turned round to here (DNS rebinding), which makes its origin ours. Its
// browser then sends nothing that tells it from another client, so nobody comes by another name.

import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { TailraceError } from '../kernel/errors.ts'

export interface OriginOptions {
  /** `*` for all. */
  readonly allowedOrigins: readonly string[]
  /** Where the server listens. */
  readonly host?: string | undefined
  /** Set: it is reached by other ways than where it listens. */
  readonly advertised: object | undefined
}

/** A page of a foreign origin may ask to look around, and CORS hides the replies. */
export function addOriginCheck(app: FastifyInstance, options: OriginOptions): void {
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    try {
      checkOrigin(raw.headers, options, !READING.has(raw.method ?? ''))
      done()
    } catch (error) {
      done(error as Error)
    }
  })
}

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** origin_not_allowed: it is a page that may not come, or one that may be. */
export function checkOrigin(headers: IncomingHttpHeaders, options: OriginOptions, doesMoreThanRead: boolean): void {
  const { origin, host = '' } = headers
  if (isNamed(origin, options.allowedOrigins)) return
  if (doesMoreThanRead && !isAllowedOrigin(headers, options.allowedOrigins)) throw foreignOrigin(origin ?? '')
  if (host !== '' && isLocalOnly(options) && !isOwnHost(host) && !isHostOfNamed(host, options.allowedOrigins)) {
    throw foreignHost(host)
  }
}

/** `allowed`: lower case, as browsers write them, `*` for all. */
export function isAllowedOrigin(headers: IncomingHttpHeaders, allowed: readonly string[]): boolean {
  const { origin } = headers
  if (origin === undefined) return true
  return isNamed(origin, allowed) || isOwnOrigin(origin, headers)
}

function isNamed(origin: string | undefined, allowed: readonly string[]): boolean {
  return allowed.includes('*') || (origin !== undefined && allowed.includes(origin.toLowerCase()))
}

/** As a proxy passes it on that leads the pages of an origin here. */
function isHostOfNamed(host: string, allowed: readonly string[]): boolean {
  return allowed.some(
    (origin) => URL.canParse(origin) && hostOf(new URL(origin).protocol, host) === new URL(origin).host,
  )
}

function isLocalOnly({ host, advertised }: OriginOptions): boolean {
  return advertised === undefined && host !== undefined && LOCAL.test(host)
}

const LOCAL = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/i

/** As nearly all requests name it. */
const USUAL = /^(?:localhost|127\.0\.0\.1)(?::\d+)?$/

/** A name of the machine itself, or an address: nobody can turn an address round. */
function isOwnHost(authority: string): boolean {
  if (USUAL.test(authority)) return true
  const host = URL.canParse(`http://${authority}`) ? new URL(`http://${authority}`).hostname : ''
  return host === 'localhost' || host.endsWith('.localhost') || isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0
}

function foreignOrigin(origin: string): TailraceError {
  const shown = origin.slice(0, 200)
  const detail = `pages of ${shown} may not write or open WebSockets here: access.control.allow.origin names those that may`
  return new TailraceError('origin_not_allowed', detail, { origin: shown })
}

function foreignHost(host: string): TailraceError {
  const shown = host.slice(0, 200)
  const detail = `this server listens for its own machine alone, and ${shown} is no name of that: where a proxy leads here, or hosts has a name for it, advertised.listeners or access.control.allow.origin names what clients see`
  return new TailraceError('origin_not_allowed', detail, { host: shown })
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
