// The bench's side of a load generator: starts its process once and hands it one job at a time.

import { once } from 'node:events'
import { BenchProcess } from './child-process.ts'

type Answer<Result> = { readonly result: Result } | { readonly error: string }

export class LoadClient<Job extends { readonly port: number }, Result> {
  readonly #process: BenchProcess

  constructor(process: 'load-process' | 'tail-load-process', logFile: string, core: number | undefined) {
    const script = new URL(`./${process}.ts`, import.meta.url).pathname
    this.#process = new BenchProcess({ name: 'The load generator', nodeArguments: [script], logFile, core, ipc: true })
  }

  async run(job: Job): Promise<Result> {
    const { child } = this.#process
    const ended = new AbortController()
    const died = once(child, 'exit', { signal: ended.signal }).then(() => {
      throw this.#process.failure('ended in the middle of a job')
    })
    child.send(job)
    try {
      const [answer] = (await Promise.race([once(child, 'message', { signal: ended.signal }), died])) as [
        Answer<Result>,
      ]
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
