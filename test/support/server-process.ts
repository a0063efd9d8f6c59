// The real server in a child process, so that it can be killed as a machine's operator or kernel would: by signal, at any
// moment. Only what was spawned here is ever signalled, by its pid; a server ends with the process that started it.

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestReply, TestRequest } from './http-send.ts'
import { send } from './http-send.ts'
import { checkReply } from './openapi.ts'

export interface ServerProcessOptions {
  readonly dataDir: string
  /** The server's own options: `{ 'num.partitions': '4' }`. */
  readonly set?: Readonly<Record<string, string>>
  readonly nodeArguments?: readonly string[]
  /** Open files that the process may have. */
  readonly descriptorsMax?: number
}

const SCRIPT = join(import.meta.dirname, 'serve-process.ts')
const STOP_MS_MAX = 20_000
const LOG_CHARS_KEPT = 20_000

export class ServerProcess {
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>
  readonly #listening: Promise<string>
  #url = ''
  #log = ''

  /** Spawned, not ready: for a test that kills a server while it starts. */
  constructor({ dataDir, set = {}, nodeArguments = [], descriptorsMax }: ServerProcessOptions) {
    const options = Object.entries(set).map(([name, value]) => `${name}=${value}`)
    const command = [process.execPath, ...nodeArguments, SCRIPT, dataDir, ...options]
    // exec: the process that is signalled is the server itself
    const limited = descriptorsMax === undefined ? [] : ['sh', '-c', `ulimit -n ${descriptorsMax}; exec "$@"`, 'sh']
    const [program = '', ...programArguments] = [...limited, ...command]
    this.#child = spawn(program, programArguments, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // Compiled code kept between runs, where bin/tailrace.js keeps it: half of the time of a start.
      env: { NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') },
    })
    this.#exit = once(this.#child, 'exit')
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log = (this.#log + text).slice(-LOG_CHARS_KEPT)
    })
    this.#listening = Promise.race([
      once(this.#child, 'message').then(([{ url }]) => url as string),
      this.#exit.then(() => Promise.reject(this.failure('ended before it listened'))),
    ])
    // Nobody may be waiting yet.
    this.#listening.catch(() => {})
  }

  /** A server that answers /readyz with 200. */
  static async start(options: ServerProcessOptions): Promise<ServerProcess> {
    const server = new ServerProcess(options)
    await server.ready()
    return server
  }

  async ready(): Promise<void> {
    this.#url = await this.#listening
    const { status, body } = await this.request('GET', '/readyz')
    assert.equal(status, 200, this.failure(`is not ready: ${body}`).message)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get url(): string {
    return this.#url
  }

  get port(): number {
    return Number(new URL(this.#url).port)
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** The last of what it logged. */
  get log(): string {
    return this.#log
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    if (!this.ended) this.#child.kill('SIGKILL')
    await this.#exit
  }

  signal(name: 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): void {
    if (!this.ended) this.#child.kill(name)
  }

  /** SIGTERM; resolves when it has ended by itself with code 0. */
  async stop(): Promise<void> {
    this.signal('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS_MAX)
    await this.#exit
    clearTimeout(timer)
    assert.equal(this.#child.signalCode, null, this.failure(`did not stop within ${STOP_MS_MAX} ms`).message)
    assert.equal(this.#child.exitCode, 0, this.failure('failed while it stopped').message)
  }

  /** Resolves when it is gone, however. */
  async gone(): Promise<void> {
    await this.#exit
  }

  residentBytes(): number {
    const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8')) ?? []
    return Number(kibibytes) * 1024
  }

  /** Over a connection of its own; the reply is held against openapi.yaml. */
  async request(method: string, path: string, { headers, body }: TestRequest = {}): Promise<TestReply> {
    const isObject = typeof body === 'object' && !Buffer.isBuffer(body)
    const bytes = isObject ? JSON.stringify(body) : body
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    const reply = await send(this.port, method, path, { ...type, ...headers }, bytes)
    if (!path.includes('/export')) checkReply(reply)
    return reply
  }

  failure(what: string): Error {
    return new Error(`the server (pid ${this.pid}) ${what}; it last logged:\n${this.#log.slice(-4_000)}`)
  }
}
