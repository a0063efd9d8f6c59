// `tailrace serve`: the server in this process until a signal ends it. The first SIGTERM or SIGINT lets it finish what is
// under way, the second ends it at once. Nothing goes to stdout.

import { readFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { openApp } from '../app/app.ts'
import type { ServerFlags } from '../app/config.ts'
import { loadConfig } from '../app/config.ts'
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

function signalThatStops(): Promise<void> {
  return new Promise((resolve) => {
    let isStopping = false
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => {
        if (isStopping) process.exit(EXIT_CODE_OF_SIGNAL[name])
        isStopping = true
        resolve()
      })
    }
  })
}
