// What a case gets: ways to start the servers, the load generator, a directory on the real disk, and the options. All
// that it starts is stopped, and all that it wrote removed, when the case is over, failed or not.

import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { BenchOptions } from './bench-options.ts'
import { BenchProcess, killAllNow } from './child-process.ts'
import type { LoadJob, LoadResult } from './generate-load.ts'
import { LoadClient } from './load-client.ts'
import { awaitReady } from './ready.ts'
import type { TailJob, TailResult } from './tail-load.ts'

export interface RunningServer {
  readonly process: BenchProcess
  readonly port: number
  readonly url: string
  /** From spawning node to its first 200. */
  readonly readyMs: number
}

interface TailraceStart {
  readonly profiled?: boolean
  readonly set?: readonly string[]
  readonly collects?: boolean
}

const COLLECT_WHEN_TOLD = [
  '--expose-gc',
  '--import',
  'data:text/javascript,process.on("SIGUSR2", () => gc({ type: "major", flavor: "last-resort" }))',
]
const SERVER_CORE = 0
const GENERATOR_CORE = 1
const START_MS_MAX = 120_000

export class BenchContext {
  readonly options: BenchOptions
  readonly #runDir: string
  readonly #profileDir: string
  readonly #load: LoadClient<LoadJob, LoadResult>
  #tailLoad: LoadClient<TailJob, TailResult> | undefined
  #servers: RunningServer[] = []
  #dirs: string[] = []

  constructor(options: BenchOptions) {
    this.options = options
    this.#runDir = join(options.resultsDir, `run-${process.pid}`)
    this.#profileDir = join(this.#runDir, 'profile')
    mkdirSync(this.#profileDir, { recursive: true })
    this.#load = new LoadClient('load-process', join(this.#runDir, 'load.log'), this.#core(GENERATOR_CORE))
  }

  /** In a server that collects. It takes a moment. */
  collectGarbage(server: RunningServer): void {
    server.process.child.kill('SIGUSR2')
  }

  load(server: RunningServer, job: Omit<LoadJob, 'port' | 'serverPid'>): Promise<LoadResult> {
    return this.#load.run({ ...job, port: server.port, serverPid: server.process.pid })
  }

  loadTails(server: RunningServer, job: Omit<TailJob, 'port' | 'serverPid'>): Promise<TailResult> {
    const logFile = join(this.#runDir, 'tail-load.log')
    this.#tailLoad ??= new LoadClient('tail-load-process', logFile, this.#core(GENERATOR_CORE))
    return this.#tailLoad.run({ ...job, port: server.port, serverPid: server.process.pid })
  }

  /** An empty directory that is removed at the end of the case. */
  makeDir(name: string): string {
    const dir = join(this.#runDir, `${this.#dirs.length}-${name}`)
    mkdirSync(dir)
    this.#dirs.push(dir)
    return dir
  }

  /** `profiled: false` for a server that only prepares what another is measured on; `set` as on its command line; `collects`: collectGarbage may be called. */
  async startTailrace(
    dataDir: string,
    { profiled = true, set = [], collects = false }: TailraceStart = {},
  ): Promise<RunningServer> {
    const port = await freePort()
    const { profile, serverEntry } = this.options
    const profiling =
      profile && profiled ? ['--cpu-prof', '--cpu-prof-interval=200', `--cpu-prof-dir=${this.#profileDir}`] : []
    const options = ['--port', String(port), '--data-dir', dataDir, ...set.flatMap((one) => ['--set', one])]
    const collecting = collects ? COLLECT_WHEN_TOLD : []
    const nodeArguments = [...profiling, ...collecting, serverEntry, 'serve', ...options]
    const spawnedAt = performance.now()
    const process = new BenchProcess({
      name: 'Tailrace',
      nodeArguments,
      logFile: join(this.#runDir, 'tailrace.log'),
      core: this.#core(SERVER_CORE),
    })
    await awaitReady(process, port, START_MS_MAX)
    return this.#register({ process, port, url: `http://127.0.0.1:${port}`, readyMs: performance.now() - spawnedAt })
  }

  startBare(): Promise<RunningServer> {
    return this.#startOwn('The bare server', 'bare-server', [])
  }

  startBareTail(): Promise<RunningServer> {
    return this.#startOwn('The bare ws server', 'bare-tail-server', [])
  }

  startPeer(): Promise<RunningServer> {
    return this.#startOwn('@durable-streams/server', 'peer-server', [this.makeDir('peer')])
  }

  startSocketServer(): Promise<RunningServer> {
    return this.#startOwn('The socket server', 'socket-server', [])
  }

  /** Ends what the case has started and removes what it has written. */
  async endCase(): Promise<void> {
    const servers = this.#servers
    this.#servers = []
    for (const server of servers) await server.process.stop()
    for (const dir of this.#dirs) rmSync(dir, { recursive: true, force: true })
    this.#dirs = []
  }

  /** The profiles written since the last call, moved to where they stay. */
  takeProfiles(caseName: string): string[] {
    return readdirSync(this.#profileDir).map((file, index) => {
      const kept = join(this.options.resultsDir, `${caseName}-${process.pid}-${index}.cpuprofile`)
      renameSync(join(this.#profileDir, file), kept)
      return kept
    })
  }

  async close(): Promise<void> {
    await this.#load.close()
    await this.#tailLoad?.close()
    rmSync(this.#runDir, { recursive: true, force: true })
  }

  /** In place of close() where nothing can be awaited any more: Ctrl-C, or a failure of the bench itself. */
  abandon(): void {
    killAllNow()
    rmSync(this.#runDir, { recursive: true, force: true, maxRetries: 5 })
  }

  async #startOwn(name: string, script: string, scriptArguments: readonly string[]): Promise<RunningServer> {
    const spawnedAt = performance.now()
    const process = new BenchProcess({
      name,
      nodeArguments: [new URL(`./${script}.ts`, import.meta.url).pathname, ...scriptArguments],
      logFile: join(this.#runDir, `${script}.log`),
      core: this.#core(SERVER_CORE),
      ipc: true,
    })
    const port = await new Promise<number>((resolve, reject) => {
      process.child.once('message', (message: { port: number }) => resolve(message.port))
      process.child.once('exit', () => reject(process.failure('did not start')))
    })
    return this.#register({ process, port, url: `http://127.0.0.1:${port}`, readyMs: performance.now() - spawnedAt })
  }

  #register(server: RunningServer): RunningServer {
    this.#servers.push(server)
    return server
  }

  #core(core: number): number | undefined {
    return this.options.pin ? core : undefined
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
