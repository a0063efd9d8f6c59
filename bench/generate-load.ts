// Closed-loop HTTP load: every connection sends its next prebuilt request as soon as its reply is in. Runs in the load
// generator's own process (load-process.ts). Every reply's status is checked, and its length where it is known: a wrong
// one fails the whole job. Counted are replies inside the measured window alone; what is under way at its end is
// awaited, so `acceptedCount` is exactly what the server has answered.

import { LatencyHistogram } from './latency-histogram.ts'
import { LoadConnection } from './load-connection.ts'
import { machineCpuMs, processCpuMs } from './process-stat.ts'

export interface LoadJob {
  readonly port: number
  readonly connections: number
  /** Connection c of n sends requests c, c+n, c+2n, … and begins again at the end of the list. */
  readonly requests: readonly Uint8Array[]
  readonly status: number
  /** The length that each request's reply body must have, but for a hundredth; left out: not checked. */
  readonly bodyBytes?: readonly number[]
  readonly warmUpMs: number
  readonly durationMs: number
  /** Ends once so many have been sent, if that is before the time is over. */
  readonly requestCountMax?: number
  /** Every request is sent once, and then it ends. */
  readonly once?: boolean
  /** A connection that the server breaks ends the job instead of failing it: for servers that are killed under load. */
  readonly serverMayDie?: boolean
  /** Whose CPU time to take over the measured window. */
  readonly serverPid: number
}

export interface LoadResult {
  readonly windowMs: number
  readonly replyCount: number
  /** Over the whole job, warm-up and end included. */
  readonly acceptedCount: number
  readonly bodyBytes: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly serverCpuMs: number
  /** Of this process: near the window's length means that the generator is the bottleneck. */
  readonly generatorCpuMs: number
  /** Of all others on this machine, the kernel's own work for the disk included: it disturbs what is measured. */
  readonly otherCpuMs: number
}

/** A page over several partitions may be divided among them another way the next time: its numbers have other digits. */
const BODY_SLACK = 0.01
/** A server that answers nothing for so long has failed. */
const STALL_MS_MAX = 30_000

export function generateLoad(job: LoadJob): Promise<LoadResult> {
  return new LoadRun(job).result
}

class LoadRun {
  readonly result: Promise<LoadResult>
  readonly #job: LoadJob
  readonly #histogram = new LatencyHistogram()
  readonly #connections: LoadConnection[] = []
  readonly #timers: NodeJS.Timeout[] = []
  readonly #requestCountMax: number
  #resolve!: (result: LoadResult) => void
  #reject!: (error: Error) => void
  #ended = false
  #measuring = false
  #issuing = true
  #issuedCount = 0
  #acceptedCount = 0
  #acceptedCountAtCheck = 0
  #bodyBytes = 0
  #busyConnections: number
  #windowStart = 0
  #windowMs = 0
  #serverCpuMs = 0
  #generatorCpuMs = 0
  #machineCpuMs = 0

  constructor(job: LoadJob) {
    this.#job = job
    this.#requestCountMax = job.requestCountMax ?? Number.POSITIVE_INFINITY
    this.#busyConnections = job.connections
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    for (let index = 0; index < job.connections; index += 1) this.#openConnection(index)
    if (job.warmUpMs === 0) this.#beginWindow()
    else this.#timers.push(setTimeout(() => this.#beginWindow(), job.warmUpMs))
    this.#timers.push(setTimeout(() => this.#endWindow(), job.warmUpMs + job.durationMs))
    this.#timers.push(setInterval(() => this.#checkProgress(), STALL_MS_MAX))
  }

  #openConnection(index: number): void {
    const { requests, connections, status: statusWanted, bodyBytes: bodyBytesWanted, port } = this.#job
    // repeated, each connection walks a stretch of its own, as a client does that goes on from where it is
    let next = this.#job.once ? index : Math.floor((index * requests.length) / connections)
    const step = this.#job.once ? connections : 1
    let sent = next
    let sentAt = 0
    const issue = () => {
      if (!this.#issuing || this.#issuedCount >= this.#requestCountMax || next >= requests.length) {
        this.#connectionIsDone()
        return
      }
      this.#issuedCount += 1
      sent = next
      next = this.#job.once ? next + step : (next + step) % requests.length
      sentAt = performance.now()
      connection.send(requests[sent]!)
    }
    const onReply = (status: number, bodyBytes: number) => {
      if (status !== statusWanted) {
        this.#fail(new Error(`request ${sent} got status ${status} in place of ${statusWanted}`))
        return
      }
      const wanted = bodyBytesWanted?.[sent] ?? bodyBytes
      if (Math.abs(bodyBytes - wanted) > wanted * BODY_SLACK) {
        this.#fail(new Error(`reply ${sent} has ${bodyBytes} body bytes in place of ${wanted}`))
        return
      }
      this.#acceptedCount += 1
      if (this.#measuring) {
        this.#histogram.record(performance.now() - sentAt)
        this.#bodyBytes += bodyBytes
      }
      issue()
    }
    const connection = new LoadConnection({ port, onReply, onFailure: (error) => this.#connectionFailed(error) })
    this.#connections.push(connection)
    issue()
  }

  #beginWindow(): void {
    this.#measuring = true
    this.#serverCpuMs = processCpuMs(this.#job.serverPid)
    this.#generatorCpuMs = ownCpuMs()
    this.#machineCpuMs = machineCpuMs()
    this.#windowStart = performance.now()
  }

  #endWindow(): void {
    if (!this.#measuring) return
    this.#measuring = false
    this.#issuing = false
    this.#windowMs = performance.now() - this.#windowStart
    this.#generatorCpuMs = ownCpuMs() - this.#generatorCpuMs
    this.#machineCpuMs = machineCpuMs() - this.#machineCpuMs
    this.#serverCpuMs = this.#job.serverMayDie ? 0 : processCpuMs(this.#job.serverPid) - this.#serverCpuMs
  }

  #connectionIsDone(): void {
    this.#busyConnections -= 1
    if (this.#busyConnections > 0) return
    this.#endWindow()
    this.#finish()
  }

  #connectionFailed(error: Error): void {
    if (!this.#job.serverMayDie) {
      this.#fail(error)
      return
    }
    this.#endWindow()
    this.#finish()
  }

  #checkProgress(): void {
    if (this.#acceptedCount === this.#acceptedCountAtCheck) this.#fail(new Error(`no reply for ${STALL_MS_MAX} ms`))
    this.#acceptedCountAtCheck = this.#acceptedCount
  }

  #fail(error: Error): void {
    this.#close()
    this.#reject(error)
  }

  #finish(): void {
    if (this.#ended) return
    this.#close()
    this.#resolve({
      windowMs: this.#windowMs,
      replyCount: this.#histogram.count,
      acceptedCount: this.#acceptedCount,
      bodyBytes: this.#bodyBytes,
      p50Ms: this.#histogram.percentileMs(0.5),
      p99Ms: this.#histogram.percentileMs(0.99),
      serverCpuMs: this.#serverCpuMs,
      generatorCpuMs: this.#generatorCpuMs,
      otherCpuMs: Math.max(0, this.#machineCpuMs - this.#serverCpuMs - this.#generatorCpuMs),
    })
  }

  #close(): void {
    this.#ended = true
    this.#issuing = false
    for (const timer of this.#timers) clearTimeout(timer)
    for (const connection of this.#connections) connection.close()
  }
}

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
