// What commands that talk to a server share.

import { TailraceClient } from '../client/client.ts'
import { serverUrl } from './server-address.ts'
import type { Output } from './table.ts'
import type { Terminal } from './terminal.ts'

/** Options of every command that talks to a server. */
export interface ConnectOptions {
  readonly url?: string | undefined
}

export interface ListOptions extends ConnectOptions {
  readonly output?: Output | undefined
}

export function connect(terminal: Terminal, { url }: ConnectOptions): TailraceClient {
  return new TailraceClient({ url: serverUrl(url, terminal.env) })
}
