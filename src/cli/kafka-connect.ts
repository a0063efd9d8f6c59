// What the commands that take Kafka's lines share: how they find the server, and properties in Kafka's form.

import { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import { CommandFailure } from './command-failure.ts'
import { kafkaAddress } from './server-address.ts'
import type { Terminal } from './terminal.ts'

export interface KafkaConnectOptions {
  readonly url?: string
  readonly bootstrapServer?: string
  /** What --bootstrap-server was called before. */
  readonly brokerList?: string
  readonly zookeeper?: string
}

export async function connectAsKafka(terminal: Terminal, options: KafkaConnectOptions): Promise<TailraceClient> {
  if (options.zookeeper !== undefined) {
    throw new CommandFailure(
      '--zookeeper went with ZooKeeper itself (Kafka 4.0 has none either): say --bootstrap-server HOST:PORT, which here is the address of the Tailrace server',
    )
  }
  const bootstrapServer = options.bootstrapServer ?? options.brokerList
  const address = kafkaAddress({ url: options.url, bootstrapServer }, terminal.env)
  const { otherwise } = address
  const isThere =
    otherwise === undefined || (await answersAsTailrace(address.url, { interrupt: terminal.interruptSignal() }))
  const { url, notice } = isThere ? address : otherwise
  if (notice !== undefined) terminal.note(`tailrace: ${notice}`)
  return new TailraceClient({ url })
}

/** How long a server may take for its first answer: a broker of Kafka closes the connection at once. */
const FIRST_ANSWER_MS_MAX = 10_000

/** Silence is no no: a command that deletes must not go to another server because the one that was named is slow. */
export async function answersAsTailrace(
  url: string,
  { interrupt, waitMs = FIRST_ANSWER_MS_MAX }: { readonly interrupt: AbortSignal; readonly waitMs?: number },
): Promise<boolean> {
  const timeout = AbortSignal.timeout(waitMs)
  try {
    const cluster = await new TailraceClient({ url }).getCluster({ signal: AbortSignal.any([interrupt, timeout]) })
    return typeof cluster.cluster_id === 'string'
  } catch (error) {
    if (timeout.aborted) {
      throw new CommandFailure(`no answer from ${url} in ${waitMs} ms: --url names a server`, { cause: error })
    }
    if (interrupt.aborted) throw error
    return error instanceof TailraceClientError && !NO_TAILRACE.has(error.code)
  }
}

const NO_TAILRACE: ReadonlySet<string> = new Set(['unreachable', 'broken_off', 'unexpected_reply'])

/** Options that are taken because people's lines have them, and that change nothing. */
export function noteUnread(terminal: Terminal, options: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) terminal.note(`tailrace: ${name} is not read: a Tailrace server needs no client settings`)
  }
}

export type Properties = ReadonlyMap<string, string>

/** Each key=value; of a key the last counts. */
export function parseProperties(texts: readonly string[] | undefined): Properties {
  const properties = new Map<string, string>()
  for (const text of texts ?? []) {
    const equals = text.indexOf('=')
    if (equals < 0) throw new CommandFailure(`Invalid command line properties: ${text}`)
    properties.set(text.slice(0, equals), text.slice(equals + 1))
  }
  return properties
}

export function isTrue(properties: Properties, name: string): boolean {
  return properties.get(name)?.trim().toLowerCase() === 'true'
}
