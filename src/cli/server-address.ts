// Where the server is that a command talks to: --url, else TAILRACE_URL, else this machine.

import { DEFAULT_PORT, DEFAULT_URL, parseServerUrl } from '../client/server-url.ts'
import { CommandFailure, EXIT, messageOf } from './command-failure.ts'

/** Kafka's own port: what people type out of habit, and what a server.properties has. */
const KAFKA_PORT = 9092

const LOOPBACK_HOSTS: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])

type Environment = Readonly<Record<string, string | undefined>>

export function serverUrl(option: string | undefined, env: Environment): string {
  return parseUrl(option ?? configuredUrl(env) ?? DEFAULT_URL)
}

export interface KafkaAddress {
  readonly url: string
  /** What to tell when it is another place than the one that was typed. */
  readonly notice: string | undefined
  /** Where to go when nothing at `url` answers as Tailrace. */
  readonly otherwise?: { readonly url: string; readonly notice: string }
}

/**
 * What `--bootstrap-server host:port[,…]` of a Kafka command means: the HTTP address of a server. --url goes before it,
 * TAILRACE_URL only before localhost:9092, which people have in their lines without meaning a server. Behind Kafka's port
 * 9092 Tailrace is looked for first, then behind its own.
 */
export function kafkaAddress(
  options: { readonly url?: string | undefined; readonly bootstrapServer?: string | undefined },
  env: Environment,
): KafkaAddress {
  const typed = options.bootstrapServer?.split(',', 1)[0]?.trim()
  if (typed === undefined || typed === '') return { url: serverUrl(options.url, env), notice: undefined }
  const named = parseUrl(typed)
  const { port, hostname } = new URL(named)
  const isStandIn = port === String(KAFKA_PORT) && LOOPBACK_HOSTS.has(hostname)
  const chosen = options.url ?? (isStandIn ? configuredUrl(env) : undefined)
  if (chosen !== undefined) {
    const url = parseUrl(chosen)
    const source = options.url === undefined ? 'TAILRACE_URL' : '--url'
    return { url, notice: isSameServer(url, named) ? undefined : `${source} is ${url}: used in place of ${typed}` }
  }
  if (port !== String(KAFKA_PORT)) return { url: named, notice: undefined }
  const own = new URL(named)
  own.port = String(DEFAULT_PORT)
  const url = parseUrl(own.href)
  const notice = `nothing at ${typed} answers as Tailrace: talking to ${url} (--url names another)`
  return { url: named, notice: undefined, otherwise: { url, notice } }
}

function isSameServer(one: string, other: string): boolean {
  const [a, b] = [new URL(one), new URL(other)]
  const isSameHost = a.hostname === b.hostname || (LOOPBACK_HOSTS.has(a.hostname) && LOOPBACK_HOSTS.has(b.hostname))
  return isSameHost && a.port === b.port && a.protocol === b.protocol
}

function configuredUrl(env: Environment): string | undefined {
  const url = env['TAILRACE_URL']
  return url === '' ? undefined : url
}

function parseUrl(text: string): string {
  try {
    return parseServerUrl(text)
  } catch (error) {
    throw new CommandFailure(messageOf(error), { exitCode: EXIT.usage, cause: error })
  }
}
