// Every process that the bench starts, so that none outlives it: ended by pid at the end, on Ctrl-C and on failure.
// What a child prints goes to a file of its own in the run's directory, and its last lines into the error if it dies.

import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'

export interface StartOptions {
  readonly name: string
  /** Arguments of node: its own first, then the script and the script's. */
  readonly nodeArguments: readonly string[]
  readonly logFile: string
  /** 0 or 1: the core that it is bound to by taskset; left out: wherever the kernel puts it. */
  readonly core?: number | undefined
  /** A message channel, for children of our own. */
  readonly ipc?: boolean
}

const STOP_MS_MAX = 20_000
const LOG_LINES_SHOWN = 15
const running = new Set<BenchProcess>()

export class BenchProcess {
  readonly child: ChildProcess
  readonly #options: StartOptions

  constructor(options: StartOptions) {
    this.#options = options
    const log = openSync(options.logFile, 'a')
    const pinned = options.core === undefined ? [] : ['taskset', '--cpu-list', String(options.core)]
    const [command, ...rest] = [...pinned, process.execPath, ...options.nodeArguments]
    this.child = spawn(command!, rest, {
      stdio: options.ipc ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
      serialization: 'advanced',
      env: { ...process.env, NODE_NO_WARNINGS: '1' },
    })
    closeSync(log)
    running.add(this)
    this.child.once('exit', () => running.delete(this))
  }

  get pid(): number {
    return this.child.pid!
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** Milliseconds that a clean stop took; a process that does not go is killed, and that is an error. */
  async stop(): Promise<number> {
    const start = performance.now()
    if (this.ended) return 0
    const exit = once(this.child, 'exit')
    this.child.kill('SIGTERM')
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS_MAX)
    const [, signal] = (await exit) as [number | null, NodeJS.Signals | null]
    clearTimeout(timer)
    if (signal === 'SIGKILL') throw this.failure(`did not stop within ${STOP_MS_MAX} ms of SIGTERM`)
    return performance.now() - start
  }

  async killNow(): Promise<void> {
    if (this.ended) return
    const exit = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exit
  }

  failure(what: string): Error {
    const lines = readFileSync(this.#options.logFile, 'utf8').trimEnd().split('\n').slice(-LOG_LINES_SHOWN)
    return new Error([`${this.#options.name} ${what}. It last printed:`, ...lines].join('\n  '))
  }
}

/** For a handler of 'exit', where nothing can be awaited any more. */
export function killAllNow(): void {
  for (const { child } of running) child.kill('SIGKILL')
}
