// Tails under load, in a process of their own (tail-load-process.ts): opens the readers, produces, and measures window
// after window; late joiners and readers that stall come with a window. Every reader must have got every record by the end.

import { LatencyHistogram } from './latency-histogram.ts'
import { machineCpuMs, processCpuMs, processMemory } from './process-stat.ts'
import { eachSendTime, TailProducer } from './tail-producer.ts'
import type { TailReaderOptions } from './tail-reader.ts'
import { TailReader } from './tail-reader.ts'

export interface TailJob {
  readonly port: number
  /** Whose CPU time and memory to take. */
  readonly serverPid: number
  readonly topic: string
  readonly transport: 'websocket' | 'events'
  readonly readers: number
  /** Records a second; or as fast as all readers together come within so many records of the end; left out: none. */
  readonly pace?: { readonly perSecond: number } | { readonly behindMax: number }
  readonly producers: number
  readonly recordsPerRequest: number
  readonly settleMs: number
  readonly windows: readonly TailWindow[]
}

export interface TailWindow {
  readonly durationMs: number
  /** One reader at a time that begins at the earliest record and ends at what is the newest then; so many records at least. */
  readonly lateJoinRecords?: number
  /** Readers that read nothing. */
  readonly stalled?: number
}

export interface TailWindowResult {
  readonly windowMs: number
  readonly deliveryCount: number
  readonly producedCount: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly serverCpuMs: number
  readonly generatorCpuMs: number
  readonly otherCpuMs: number
  /** Of the server, seen every 100 ms. */
  readonly residentMbMax: number
  readonly residentMbAtEnd: number
  /** How long each took to catch up. */
  readonly lateJoinsMs: readonly number[]
  /** After how long each stalled reader was closed; those that were not are missing. */
  readonly stalledClosedMs: readonly number[]
}

export interface TailResult {
  readonly windows: readonly TailWindowResult[]
  readonly residentMbBefore: number
  readonly openMs: number
}

const OPENING_AT_ONCE = 200
const OPEN_MS_MAX = 120_000
const DRAIN_MS_MAX = 60_000
const MEMORY_EVERY_MS = 100
const PROD_EVERY_MS = 500
/** Readers that parse all that they get, and those whose latencies are taken: all others get the same bytes. */
const SAMPLES = 2
const TIMED_READERS = 10

export async function loadTails(job: TailJob): Promise<TailResult> {
  const load = new TailLoad(job)
  try {
    return await Promise.race([load.run(), load.failed])
  } finally {
    load.close()
  }
}

class TailLoad {
  readonly failed: Promise<never>
  readonly #job: TailJob
  readonly #readers: TailReader[] = []
  readonly #others = new Set<TailReader>()
  readonly #timers: NodeJS.Timeout[] = []
  #producer: TailProducer | undefined
  #fail: (error: Error) => void = () => {}
  #isProducing = false
  #isMeasured = false
  #histogram = new LatencyHistogram()
  #deliveryCount = 0
  #windowDeliveryCount = 0

  constructor(job: TailJob) {
    this.#job = job
    this.failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.failed.catch(() => {})
  }

  async run(): Promise<TailResult> {
    const job = this.#job
    const residentMbBefore = processMemory(job.serverPid).residentMb
    const start = performance.now()
    await this.#openReaders()
    const openMs = performance.now() - start
    this.#produce()
    await delay(job.settleMs)
    const windows: TailWindowResult[] = []
    for (const window of job.windows) windows.push(await this.#measure(window))
    this.#isProducing = false
    await this.#drain()
    return { windows, residentMbBefore, openMs }
  }

  close(): void {
    this.#isProducing = false
    for (const timer of this.#timers) clearInterval(timer)
    this.#producer?.close()
    for (const reader of [...this.#readers, ...this.#others]) reader.close()
  }

  #open(options: Partial<TailReaderOptions> = {}): Promise<TailReader> {
    const { port, topic, transport } = this.#job
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        reject(error)
        this.#fail(error)
      }
      new TailReader({
        port,
        topic,
        transport,
        from: 'latest',
        isSample: false,
        onRecords: () => {},
        onReady: resolve,
        onClosed: (_, code) => fail(new Error(`the server closed a reader (${code})`)),
        onFailure: fail,
        ...options,
      })
    })
  }

  async #openReaders(): Promise<void> {
    const { readers } = this.#job
    const onRecords: TailReaderOptions['onRecords'] = (_, count) => this.#take(count)
    const onTimedRecords: TailReaderOptions['onRecords'] = (_, count, bytes, start, end) => {
      this.#take(count)
      if (this.#isMeasured) this.#time(bytes, start, end)
    }
    const isSample = (index: number) => index % Math.ceil(readers / SAMPLES) === 0
    for (let from = 0; from < readers; from += OPENING_AT_ONCE) {
      const some = Array.from({ length: Math.min(OPENING_AT_ONCE, readers - from) }, (_, at) =>
        this.#open({
          isSample: isSample(from + at),
          onRecords: from + at < TIMED_READERS ? onTimedRecords : onRecords,
        }),
      )
      this.#readers.push(...(await within(Promise.all(some), OPEN_MS_MAX, 'readers were not all opened')))
    }
  }

  #take(count: number): void {
    this.#deliveryCount += count
    if (this.#isMeasured) this.#windowDeliveryCount += count
    this.#sendBehind()
  }

  #time(bytes: Buffer, start: number, end: number): void {
    const now = performance.now()
    eachSendTime(bytes, start, end, (sentMs) => this.#histogram.record(now - sentMs))
  }

  #produce(): void {
    const { port, topic, pace, producers, recordsPerRequest } = this.#job
    if (pace === undefined) return
    const onFailure = (error: Error) => this.#fail(error)
    const onIdle = () => this.#sendBehind()
    this.#producer = new TailProducer({ port, topic, connections: producers, recordsPerRequest, onIdle, onFailure })
    this.#isProducing = true
    if ('behindMax' in pace) this.#sendBehind()
    else this.#sendPaced(this.#producer, pace.perSecond / recordsPerRequest)
  }

  /** In all: the readers' mean is what counts. */
  #sendBehind(): void {
    const producer = this.#producer
    const { pace } = this.#job
    if (pace === undefined || !('behindMax' in pace)) return
    const { behindMax } = pace
    while (this.#isProducing && producer?.hasIdle) {
      if (producer.sentCount * this.#job.readers - this.#deliveryCount >= behindMax * this.#job.readers) return
      producer.send()
    }
  }

  #sendPaced(producer: TailProducer, requestsPerSecond: number): void {
    const start = performance.now()
    let sent = 0
    const sendDue = () => {
      const due = Math.floor(((performance.now() - start) * requestsPerSecond) / 1_000)
      for (; sent < due && this.#isProducing; sent += 1) producer.send()
    }
    this.#timers.push(setInterval(sendDue, 1))
  }

  async #measure({ durationMs, lateJoinRecords, stalled = 0 }: TailWindow): Promise<TailWindowResult> {
    const pid = this.#job.serverPid
    let residentMbMax = 0
    const watch = () => {
      residentMbMax = Math.max(residentMbMax, processMemory(pid).residentMb)
    }
    const watching = setInterval(watch, MEMORY_EVERY_MS)
    this.#timers.push(watching)
    const stalledClosedMs: number[] = []
    for (let index = 0; index < stalled; index += 1) void this.#stall(stalledClosedMs)
    this.#histogram = new LatencyHistogram()
    this.#windowDeliveryCount = 0
    const produced = this.#producer?.sentCount ?? 0
    const cpu = cpuMs(pid)
    const start = performance.now()
    this.#isMeasured = true
    const lateJoinsMs: number[] = []
    const until = start + durationMs
    if (lateJoinRecords === undefined) await delay(durationMs)
    else {
      do lateJoinsMs.push(await this.#joinLate(lateJoinRecords))
      while (performance.now() < until)
    }
    this.#isMeasured = false
    const windowMs = performance.now() - start
    const after = cpuMs(pid)
    clearInterval(watching)
    watch()
    const [serverCpuMs, generatorCpuMs] = [after.server - cpu.server, after.own - cpu.own]
    return {
      windowMs,
      deliveryCount: this.#windowDeliveryCount,
      producedCount: (this.#producer?.sentCount ?? 0) - produced,
      p50Ms: this.#histogram.percentileMs(0.5),
      p99Ms: this.#histogram.percentileMs(0.99),
      p999Ms: this.#histogram.percentileMs(0.999),
      serverCpuMs,
      generatorCpuMs,
      otherCpuMs: Math.max(0, after.machine - cpu.machine - serverCpuMs - generatorCpuMs),
      residentMbMax,
      residentMbAtEnd: processMemory(pid).residentMb,
      lateJoinsMs,
      stalledClosedMs,
    }
  }

  /** Resolves with the time that it took to come to where the others are. */
  async #joinLate(recordsMin: number): Promise<number> {
    const start = performance.now()
    const others = this.#readers[0]
    return await new Promise<number>((resolve, reject) => {
      const onRecords = (reader: TailReader) => {
        if (reader.recordCount < recordsMin || (reader.nextOffset ?? 0) < (others?.nextOffset ?? 0)) return
        reader.close()
        this.#others.delete(reader)
        resolve(performance.now() - start)
      }
      this.#open({ from: 'earliest', onRecords }).then((reader) => this.#others.add(reader), reject)
    })
  }

  async #stall(closedMs: number[]): Promise<void> {
    const start = performance.now()
    const reader = await this.#open({
      isStalled: true,
      onClosed: (closed) => {
        closedMs.push(performance.now() - start)
        this.#others.delete(closed)
        clearInterval(prodding)
      },
    })
    this.#others.add(reader)
    const prodding = setInterval(() => reader.prod(), PROD_EVERY_MS)
    this.#timers.push(prodding)
  }

  /** Nothing is produced any more: all that was is with every reader. */
  async #drain(): Promise<void> {
    const producer = this.#producer
    if (producer === undefined) return
    const isDone = () => {
      return (
        producer.acceptedCount === producer.sentCount &&
        this.#readers.every(({ recordCount }) => recordCount === producer.acceptedCount)
      )
    }
    for (const start = performance.now(); !isDone(); ) {
      if (performance.now() - start > DRAIN_MS_MAX) {
        const counts = this.#readers.map(({ recordCount }) => recordCount)
        throw new Error(
          `of ${producer.acceptedCount} records (${producer.sentCount} sent) readers got ${Math.min(...counts)} to ${Math.max(...counts)}`,
        )
      }
      await delay(10)
    }
  }
}

function cpuMs(serverPid: number): { readonly server: number; readonly own: number; readonly machine: number } {
  const { user, system } = process.cpuUsage()
  return { server: processCpuMs(serverPid), own: (user + system) / 1_000, machine: machineCpuMs() }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
