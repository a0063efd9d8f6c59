// Some workers of a group in a process of their own, which group-workers.ts starts and kills. Its parent says by message where
// the server is, takes what the workers tell, and answers each; the process ends with its parent.

import { flushCompileCache } from 'node:module'
import { TailraceClient } from '../../src/client/client.ts'
import { Random } from '../support/random.ts'
import type { WorkerEvent } from './group-worker.ts'
import { work } from './group-worker.ts'

export interface WorkerProcessOptions {
  readonly mode: 'exclusive' | 'shared'
  readonly limit: number
  readonly workers: number
  readonly seed: number
}

/** Where the server is, or that the event of that number was heard. */
export type ToWorkers = { readonly url: string; readonly life: number } | { readonly heard: number }

export type FromWorkers = { readonly number: number; readonly event: WorkerEvent } | { readonly fault: string }

const { mode, limit, workers, seed } = JSON.parse(process.argv[2] ?? '{}') as WorkerProcessOptions
const unheard = new Map<number, () => void>()
let server: { client: TailraceClient; life: number } | undefined
let told = 0

process.once('disconnect', () => process.exit(0))
process.on('message', (message: ToWorkers) => {
  if ('heard' in message) {
    unheard.get(message.heard)?.()
    unheard.delete(message.heard)
    return
  }
  const isFirst = server === undefined
  server = { client: new TailraceClient({ url: message.url }), life: message.life }
  if (isFirst) for (let at = 0; at < workers; at++) void begin(at, server)
})

async function begin(at: number, first: NonNullable<typeof server>): Promise<void> {
  const place = {
    mode,
    limit,
    random: new Random(seed + at),
    server: () => server ?? first,
    tell: (event: WorkerEvent) =>
      new Promise<void>((resolve) => {
        const number = ++told
        unheard.set(number, resolve)
        send({ number, event })
      }),
  }
  await work(place, new AbortController().signal).catch((error: unknown) => {
    send({ fault: error instanceof Error ? String(error.stack) : String(error) })
  })
}

function send(message: FromWorkers): void {
  process.send?.(message)
}

// a process that is killed never comes to the flush at its end
flushCompileCache()
