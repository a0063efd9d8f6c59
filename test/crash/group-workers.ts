// Workers of one group on a real data set: they poll, work, acknowledge, and die at any moment, and so does the server. Half of
// them are processes of their own, killed with SIGKILL. What is held against the promises (group-ledger.ts): every record is
// worked on; one whose ack was answered is never given again; an exclusive group's partitions are gone through in their order;
// of a shared group what cannot be worked on, and nothing else, ends in the dead-letter topic, once, with its reason.

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TailraceClient } from '../../src/client/client.ts'
import { Random } from '../support/random.ts'
import { ServerProcess } from '../support/server-process.ts'
import { GroupLedger } from './group-ledger.ts'
import type { WorkerEvent } from './group-worker.ts'
import { GROUP, PARTITIONS, TOPIC, work } from './group-worker.ts'
import type { FromWorkers, ToWorkers, WorkerProcessOptions } from './group-worker-process.ts'

const SCRIPT = join(import.meta.dirname, 'group-worker-process.ts')
const PROCESSES = 2
/** What a process tells at most before it is killed. */
const EVENTS_MAX = 40
const STUCK_MS_MAX = 60_000

export interface WorkersOptions {
  readonly dataDir: string
  readonly mode: 'exclusive' | 'shared'
  readonly seed: number
  readonly records: number
  /** Half of them in two processes of their own. */
  readonly workers: number
  /** Of the server. */
  readonly kills: number
  /** Records of one poll. */
  readonly limit: number
}

export interface WorkersReport {
  readonly delivered: number
  readonly acknowledged: number
  readonly fenced: number
  readonly workersKilled: number
  readonly processesKilled: number
  readonly kills: number
  readonly deadLetters: number
}

export async function runWorkers(options: WorkersOptions): Promise<WorkersReport> {
  const history = new WorkersHistory(options)
  try {
    return await history.run()
  } finally {
    await history.close()
  }
}

function flightLines(count: number): string[] {
  const text = readFileSync(new URL('../data/flights-200k.json', import.meta.resolve('vega-datasets')), 'latin1')
  const lines = text.match(/\{[^{}]*\}/g) ?? []
  return Array.from({ length: count }, (_, at) => lines[at % lines.length] as string)
}

class WorkersHistory {
  readonly #report = { workersKilled: 0, processesKilled: 0, kills: 0 }
  readonly #options: WorkersOptions
  readonly #random: Random
  readonly #workers = new Map<AbortController, Promise<void>>()
  readonly #processes = new Set<WorkerProcess>()
  #server: ServerProcess | undefined
  #client = new TailraceClient({ url: 'http://127.0.0.1:1' })
  #ledger: GroupLedger | undefined
  #isOver = false
  #fault: unknown
  /** That the group stands behind. */
  #doneCount = 0

  constructor(options: WorkersOptions) {
    this.#options = options
    this.#random = new Random(options.seed)
  }

  async run(): Promise<WorkersReport> {
    await this.#start()
    const ledger = new GroupLedger(this.#options.mode, await this.#fill())
    this.#ledger = ledger
    let progressMs = performance.now()
    let progress = -1
    while (!(await this.#isDone())) {
      this.#hire(ledger)
      // a kill comes while what the others have asked for is still on its way
      for (let ms = 20 + this.#random.below(60); ms > 0 && !this.#isKillDue; ms -= 2) await sleep(2)
      if (this.#fault !== undefined) throw this.#fault
      for (let deaths = this.#random.below(4); deaths > 0; deaths--) this.#killOne()
      if (this.#isKillDue) await this.#killServer(ledger)
      if (this.#doneCount !== progress) progressMs = performance.now()
      progress = this.#doneCount
      assert.ok(
        performance.now() - progressMs < STUCK_MS_MAX,
        `the group is stuck at ${progress} of ${this.#options.records} records`,
      )
    }
    await this.#dismiss()
    if (this.#fault !== undefined) throw this.#fault
    ledger.checkEnd(this.#options.mode === 'shared' ? await this.#deadLetters() : new Map())
    return { ...ledger.report, ...this.#report }
  }

  async close(): Promise<void> {
    await this.#dismiss()
    await this.#server?.kill()
  }

  async #dismiss(): Promise<void> {
    this.#isOver = true
    for (const end of this.#workers.keys()) end.abort()
    await Promise.all(this.#workers.values())
    await Promise.all([...this.#processes].map((one) => one.kill()))
  }

  async #start(): Promise<void> {
    const { dataDir } = this.#options
    this.#server = await ServerProcess.start({ dataDir })
    this.#client = new TailraceClient({ url: this.#server.url })
  }

  /** The partitions' end offsets. */
  async #fill(): Promise<number[]> {
    await this.#client.createTopic({ name: TOPIC, partitions: PARTITIONS })
    const lines = flightLines(this.#options.records)
    async function* body() {
      for (let at = 0; at < lines.length; at += 5_000) yield Buffer.from(`${lines.slice(at, at + 5_000).join('\n')}\n`)
    }
    const report = await this.#client.import(TOPIC, body(), { format: 'value', key: 'distance' })
    assert.equal(report.imported, lines.length)
    return (await this.#client.getTopic(TOPIC)).partitions.map(({ end_offset }) => end_offset)
  }

  /**
   * What is left to do then waits for it: else a quick group would be through before. By what was given, which is told of every
   * record in the end: what was acknowledged is not, of those who died before they told.
   */
  get #isKillDue(): boolean {
    const { kills, records } = this.#options
    const killed = this.#report.kills
    return killed < kills && (this.#ledger?.seenCount ?? 0) > ((killed + 1) * records) / (kills + 1)
  }

  async #killServer(ledger: GroupLedger): Promise<void> {
    ledger.serverDies()
    await this.#server?.kill()
    await this.#start()
    for (const one of this.#processes) one.tell(this.#whereToGo(ledger))
    this.#report.kills++
  }

  #whereToGo({ life }: GroupLedger): ToWorkers {
    return { url: this.#server?.url ?? '', life }
  }

  #hire(ledger: GroupLedger): void {
    const { mode, limit, workers } = this.#options
    const inProcess = workers / 2
    while (this.#processes.size < PROCESSES) {
      const seed = this.#random.below(2 ** 31)
      const one = new WorkerProcess(
        { mode, limit, seed, workers: (workers - inProcess) / PROCESSES },
        {
          eventsMax: 3 + this.#random.below(EVENTS_MAX - 2),
          killAfterMs: this.#random.below(5),
          take: (event) => this.#take(ledger, event),
          failed: (fault) => {
            this.#fault ??= fault
          },
          gone: () => {
            this.#processes.delete(one)
            if (!this.#isOver) this.#report.processesKilled++
          },
        },
      )
      this.#processes.add(one)
      one.tell(this.#whereToGo(ledger))
    }
    // the processes take a while to start: of little work nothing would be left for them
    while (this.#report.processesKilled > 0 && this.#workers.size < inProcess) this.#hireHere(ledger)
  }

  #hireHere(ledger: GroupLedger): void {
    const { mode, limit } = this.#options
    const end = new AbortController()
    const place = {
      mode,
      limit,
      random: new Random(this.#random.below(2 ** 31)),
      server: () => ({ client: this.#client, life: ledger.life }),
      tell: (event: WorkerEvent) => this.#take(ledger, event),
    }
    const working = work(place, end.signal).catch((error: unknown) => {
      this.#fault ??= error
    })
    this.#workers.set(
      end,
      working.finally(() => this.#workers.delete(end)),
    )
  }

  async #take(ledger: GroupLedger, event: WorkerEvent): Promise<void> {
    ledger.note(event)
    while (event.kind === 'given' && this.#isKillDue && !this.#isOver) await sleep(5)
  }

  #killOne(): void {
    if (this.#workers.size === 0) return
    this.#report.workersKilled++
    this.#random.pick([...this.#workers.keys()]).abort()
  }

  async #isDone(): Promise<boolean> {
    const { offsets } = await this.#client.getGroup(GROUP).catch(() => ({ offsets: [] }))
    const committed = offsets.reduce((sum, { committed_offset: offset }) => sum + (offset ?? 0), 0)
    this.#doneCount = Math.max(this.#doneCount, committed)
    return offsets.length === PARTITIONS && offsets.every(({ lag }) => lag === 0)
  }

  /** The reasons, by `partition:offset`. */
  async #deadLetters(): Promise<Map<string, string>> {
    const reasons = new Map<string, string>()
    for await (const page of this.#client.pages(`${TOPIC}.dlq`, { limit: 1_000 })) {
      for (const record of page.records) {
        const headers = new Map(record.parse().headers.map(({ name, value }) => [name, String(value)]))
        const place = `${headers.get('dlq.origin.partition')}:${headers.get('dlq.origin.offset')}`
        assert.ok(!reasons.has(place), `${place} is a dead letter twice`)
        reasons.set(place, headers.get('dlq.reason') ?? '')
      }
    }
    return reasons
  }
}

interface WorkerProcessHost {
  /** It is killed so long after it has told so much: on its way to what comes next. */
  readonly eventsMax: number
  readonly killAfterMs: number
  take(event: WorkerEvent): Promise<void>
  failed(fault: unknown): void
  gone(): void
}

class WorkerProcess {
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>
  readonly #host: WorkerProcessHost
  #isKilled = false
  #events = 0
  #log = ''

  constructor(options: WorkerProcessOptions, host: WorkerProcessHost) {
    this.#host = host
    this.#child = spawn(process.execPath, [SCRIPT, JSON.stringify(options)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') },
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text
    })
    this.#child.on('message', (message: FromWorkers) => void this.#heard(message))
    this.#exit = once(this.#child, 'exit').then(() => {
      if (!this.#isKilled) host.failed(new Error(`a process of workers ended by itself:\n${this.#log.slice(-4_000)}`))
      host.gone()
    })
  }

  tell(message: ToWorkers): void {
    // one that is gone does not hear it
    if (this.#child.connected) this.#child.send(message, () => {})
  }

  async #heard(message: FromWorkers): Promise<void> {
    try {
      if ('fault' in message) throw new Error(message.fault)
      if (++this.#events === this.#host.eventsMax) setTimeout(() => void this.kill(), this.#host.killAfterMs)
      await this.#host.take(message.event)
      this.tell({ heard: message.number })
    } catch (error) {
      this.#host.failed(error)
    }
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#isKilled = true
    this.#child.kill('SIGKILL')
    await this.#exit
  }
}
