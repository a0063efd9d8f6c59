// The server as a process of its own, started by server-process.ts: node serve-process.ts DATA_DIR [name=value …]. It tells
// its parent where it listens, stops cleanly on SIGTERM, and does not outlive its parent.

import { readFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { openApp } from '../../src/app/app.ts'
import { loadConfig } from '../../src/app/config.ts'

const [dataDir, ...set] = process.argv.slice(2)
const hasPort = set.some((option) => option.startsWith('port='))
const config = loadConfig({
  flags: { host: '127.0.0.1', ...(hasPort ? {} : { port: '0' }), dataDir, set },
  env: {},
  readFile: (path) => readFileSync(path, 'utf8'),
})
process.once('disconnect', () => process.exit(1))
const app = await openApp(config)
process.once('SIGTERM', async () => {
  process.removeAllListeners('disconnect')
  await app.close()
  // From here on nothing may hold the process: it ends by itself or the parent sees that it does not.
  if (process.connected) process.disconnect()
})
process.send?.({ url: app.url })
// A process that is killed never comes to the flush at its end.
flushCompileCache()
