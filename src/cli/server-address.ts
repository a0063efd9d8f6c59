// Where the server is that a command talks to: --url, else TAILRACE_URL, else this machine.

import { CommandFailure, EXIT } from './command-failure.ts'

export const DEFAULT_URL = 'http://127.0.0.1:8082'
const DEFAULT_PORT = 8082

/** Kafka's own port: what people type out of habit, and nothing of ours answers there. */
const KAFKA_PORT = 9092

type Environment = Readonly<Record<string, string | undefined>>

export function serverUrl(option: string | undefined, env: Environment): string {
  return parseUrl(option ?? configuredUrl(env) ?? DEFAULT_URL)
}

export interface KafkaAddress {
  readonly url: string
  /** What to tell when it is another place than the one that was typed. */
  readonly notice: string | undefined
}

/**
 * What `--bootstrap-server host:port[,…]` of a Kafka command means: the HTTP address of a server. --url and TAILRACE_URL
 * go before it, and Kafka's port 9092 stands for 8082.
 */
export function kafkaAddress(
  options: { readonly url?: string | undefined; readonly bootstrapServer?: string | undefined },
  env: Environment,
): KafkaAddress {
  const typed = options.bootstrapServer?.split(',', 1)[0]?.trim()
  const chosen = options.url ?? configuredUrl(env)
  if (typed === undefined || typed === '') return { url: serverUrl(options.url, env), notice: undefined }
  if (chosen !== undefined) {
    const url = parseUrl(chosen)
    const source = options.url === undefined ? 'TAILRACE_URL' : '--url'
    return { url, notice: new URL(url).host === typed ? undefined : `${source} is ${url}: used in place of ${typed}` }
  }
  const url = new URL(parseUrl(typed))
  if (url.port !== String(KAFKA_PORT)) return { url: parseUrl(typed), notice: undefined }
  url.port = String(DEFAULT_PORT)
  const redirected = parseUrl(url.href)
  const notice = `${typed} is where Kafka would be: talking to Tailrace at ${redirected} (--url and TAILRACE_URL name another)`
  return { url: redirected, notice }
}

function configuredUrl(env: Environment): string | undefined {
  const url = env['TAILRACE_URL']
  return url === '' ? undefined : url
}

/** host:port is enough, and a host alone means the usual port. */
function parseUrl(text: string): string {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text)
  const url = URL.parse(hasScheme ? text : `http://${text}`)
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.hostname === '') {
    throw new CommandFailure(`'${text}' is no address of a server: it has the form ${DEFAULT_URL}`, {
      exitCode: EXIT.usage,
    })
  }
  if (url.username !== '' || url.password !== '') {
    throw new CommandFailure('an address with a user name or password in it is not taken', { exitCode: EXIT.usage })
  }
  // A port of 80 is no part of the parsed form: whether one was typed is seen in the text.
  if (!hasScheme && !/:\d+(\/|$)/.test(text)) url.port = String(DEFAULT_PORT)
  return url.href.replace(/\/+$/, '')
}
