// What `npm test` has every test process load first; a file that is run alone does without it. It makes nothing else of a
// test: it takes away what the runner and the start of Node cost, in some files half of the time.

import asyncHooks from 'node:async_hooks'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  // Compiled code kept between processes, where bin/tailrace.js keeps it. Set in the runner, it is there when they start.
  process.env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'node-compile-cache')
  await followNoPromises()
  process.on('uncaughtExceptionMonitor', (error) => console.error('not caught:', error))
  process.on('unhandledRejection', (reason) => {
    console.error('not caught:', reason)
    process.exitCode = 1
  })
}

/**
 * node:test follows every promise, for the sake of an error that nobody catches: to know the test that it came of. Servers
 * and random histories make millions of promises. Without it such an error still fails its file, and is told by its stack.
 */
async function followNoPromises(): Promise<void> {
  const { createHook } = asyncHooks
  asyncHooks.createHook = (callbacks) => createHook({ ...callbacks, trackPromises: false })
  await import('node:test')
  asyncHooks.createHook = createHook
}
