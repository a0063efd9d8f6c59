// `tailrace serve`: the server in this process until a signal ends it. The first SIGTERM or SIGINT lets it finish what is
// under way, the second ends it at once; under npm, one Ctrl-C is two SIGINTs. Nothing goes to stdout.

import { readFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { openApp } from '../app/app.ts'
import type { ServerFlags } from '../app/config.ts'
import { loadConfig } from '../app/config.ts'
import { systemClock } from '../kernel/clock.ts'
import type { Terminal } from './terminal.ts'

export async function serve(terminal: Terminal, flags: ServerFlags): Promise<void> {
  // Listened to before anything is opened: a signal during the start is not lost.
  const stop = signalThatStops()
  const config = loadConfig({ flags, env: terminal.env, readFile: (path) => readFileSync(path, 'utf8') })
  const app = await openApp(config)
  // What was compiled is kept for the next start; a server that is killed never reaches the flush at exit.
  flushCompileCache()
  await stop
  await app.close()
}

const EXIT_CODE_OF_SIGNAL = { SIGINT: 130, SIGTERM: 143 } as const

/** A terminal sends Ctrl-C to npm and to the server, and npm passes it on: this soon after a SIGINT, another is the same. */
const SAME_INTERRUPT_MS_MAX = 1_000

function signalThatStops(): Promise<void> {
  return new Promise((resolve) => {
    let first: { readonly name: string; readonly atMs: number } | undefined
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => {
        const atMs = systemClock.monotonic()
        if (first === undefined) {
          first = { name, atMs }
          resolve()
        } else if (name === 'SIGTERM' || first.name !== name || atMs - first.atMs > SAME_INTERRUPT_MS_MAX) {
          process.exit(EXIT_CODE_OF_SIGNAL[name])
        }
      })
    }
  })
}
