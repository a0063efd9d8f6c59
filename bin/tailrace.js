#!/usr/bin/env node
// The `tailrace` command. A checkout runs the TypeScript sources as they are; the published package, which has no src,
// runs the JavaScript built from them, because Node strips no types below node_modules.
// Written so that an old Node can still parse it and say what is needed: no static imports, no top-level await.

const NODE_MAJOR_MIN = 24

if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
  console.error(
    `tailrace needs Node.js ${NODE_MAJOR_MIN} or newer, and this is ${process.versions.node} (${process.execPath}).\n` +
      `Put a newer one first on the PATH; in a checkout, 'npm start' and 'npx tailrace' bring their own on Linux x64.`,
  )
  process.exit(1)
} else {
  void start()
}

async function start() {
  // Before the first use of the thread pool: fdatasyncs of several partitions at once must not queue for four threads.
  process.env.UV_THREADPOOL_SIZE ??= '8'
  const { existsSync } = await import('node:fs')
  const { enableCompileCache, flushCompileCache } = await import('node:module')
  // Compiled code kept between runs: half the start time and a fifth less memory. Flushed once all is loaded, because
  // a server that is killed never reaches the flush at exit.
  enableCompileCache()
  const source = new URL('../src/cli/main.ts', import.meta.url)
  await import(existsSync(source) ? source.href : new URL('../dist/cli/main.js', import.meta.url).href)
  flushCompileCache()
}
