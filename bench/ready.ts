// Waits for the first 200 of GET /readyz, asking every few milliseconds from the moment of spawning.

import { get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchProcess } from './child-process.ts'

const ASK_EVERY_MS = 3

export async function awaitReady(server: BenchProcess, port: number, msMax: number): Promise<void> {
  const deadline = performance.now() + msMax
  while (performance.now() < deadline) {
    if (server.ended) throw server.failure('ended before it was ready')
    if ((await readyStatus(port)) === 200) return
    await delay(ASK_EVERY_MS)
  }
  await server.killNow()
  throw server.failure(`was not ready within ${msMax} ms`)
}

/** undefined while nobody listens. */
function readyStatus(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = get({ port, host: '127.0.0.1', path: '/readyz', agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    request.on('error', () => resolve(undefined))
  })
}
