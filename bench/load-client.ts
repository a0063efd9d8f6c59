// The bench's side of the load generator: starts its process once and hands it one job at a time.

import { once } from 'node:events'
import { BenchProcess } from './child-process.ts'
import type { LoadJob, LoadResult } from './generate-load.ts'
import type { LoadAnswer } from './load-process.ts'

export class LoadClient {
  readonly #process: BenchProcess

  constructor(logFile: string, core: number | undefined) {
    const script = new URL('./load-process.ts', import.meta.url).pathname
    this.#process = new BenchProcess({ name: 'The load generator', nodeArguments: [script], logFile, core, ipc: true })
  }

  async run(job: LoadJob): Promise<LoadResult> {
    const { child } = this.#process
    const ended = new AbortController()
    const died = once(child, 'exit', { signal: ended.signal }).then(() => {
      throw this.#process.failure('ended in the middle of a job')
    })
    child.send(job)
    try {
      const [answer] = (await Promise.race([once(child, 'message', { signal: ended.signal }), died])) as [LoadAnswer]
      if ('error' in answer) throw new Error(`Load on port ${job.port} failed: ${answer.error}`)
      return answer.result
    } finally {
      ended.abort()
      died.catch(() => {}) // its own end by the abort
    }
  }

  async close(): Promise<void> {
    await this.#process.killNow()
  }
}
