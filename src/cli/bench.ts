// `tailrace bench`: a small load against a running server, told in the words of Kafka's producer and consumer performance
// tools, so that their numbers can be laid beside each other. A closed loop: each client sends its next request when it
// has the answer to the last. The repository's own bench/ measures the server more sharply.

import { randomBytes } from 'node:crypto'
import type { Acks } from '../client/api.ts'
import type { TailraceClient } from '../client/client.ts'
import { foregroundClock } from '../kernel/clock.ts'
import type { ConnectOptions } from './connect.ts'
import { connect } from './connect.ts'
import { pause } from './pause.ts'
import type { Terminal } from './terminal.ts'

export interface BenchOptions extends ConnectOptions {
  readonly numRecords: number
  readonly recordSize: number
  /** Records a second; -1: as many as it takes. */
  readonly throughput: number
  readonly batchRecords: number
  readonly clients: number
  readonly acks: Acks
  readonly partitions: number
  readonly hideHeader?: boolean
}

const REPORT_MS = 5_000

/** Both loads, on a topic of their own that is deleted in the end. */
export async function bench(terminal: Terminal, options: BenchOptions): Promise<void> {
  const client = connect(terminal, options)
  const topic = `tailrace-bench-${randomBytes(4).toString('hex')}`
  await client.createTopic({ name: topic, partitions: options.partitions })
  try {
    await runProduce(terminal, client, topic, options)
    if (!terminal.interruptSignal().aborted) await runConsume(terminal, client, topic, options)
  } finally {
    await client.deleteTopic(topic)
  }
}

export async function benchProduce(terminal: Terminal, topic: string, options: BenchOptions): Promise<void> {
  await runProduce(terminal, connect(terminal, options), topic, options)
}

export async function benchConsume(terminal: Terminal, topic: string, options: BenchOptions): Promise<void> {
  await runConsume(terminal, connect(terminal, options), topic, options)
}

async function runProduce(
  terminal: Terminal,
  client: TailraceClient,
  topic: string,
  options: BenchOptions,
): Promise<void> {
  const signal = terminal.interruptSignal()
  const { numRecords, recordSize, batchRecords, acks } = options
  const value = JSON.stringify(randomText(recordSize))
  const bodyOf = (count: number) =>
    `{"value_encoding":"string","records":[${Array.from({ length: count }, () => `{"value":${value}}`).join(',')}]}`
  const wholeBody = bodyOf(Math.min(batchRecords, numRecords))
  const whole = new Latencies()
  let recent = new Latencies()
  const startedAt = foregroundClock.monotonic()
  let reportedAt = startedAt
  let claimed = 0

  const runClient = async (): Promise<void> => {
    while (claimed < numRecords && !signal.aborted) {
      const count = Math.min(batchRecords, numRecords - claimed)
      claimed += count
      await untilDue(options.throughput, claimed - count, startedAt, signal)
      const sentAt = foregroundClock.monotonic()
      await client.produceJson(topic, count === batchRecords ? wholeBody : bodyOf(count), { acks, signal })
      const now = foregroundClock.monotonic()
      whole.add(now - sentAt, count)
      recent.add(now - sentAt, count)
      if (now - reportedAt < REPORT_MS) continue
      await terminal.write(recent.renderWindow(now - reportedAt, recordSize))
      recent = new Latencies()
      reportedAt = now
    }
  }
  await Promise.all(Array.from({ length: options.clients }, runClient))
  await terminal.write(whole.renderTotal(foregroundClock.monotonic() - startedAt, recordSize))
}

async function untilDue(throughput: number, sent: number, startedAt: number, signal: AbortSignal): Promise<void> {
  if (throughput <= 0) return
  const delayMs = startedAt + (sent * 1000) / throughput - foregroundClock.monotonic()
  if (delayMs > 0) await pause(delayMs, signal)
}

/** Kafka's tool sends upper-case letters. */
function randomText(length: number): string {
  return Array.from(randomBytes(length), (byte) => String.fromCharCode(65 + (byte % 26))).join('')
}

/** Each record of a request waited as long as the request. */
class Latencies {
  #requests: { readonly latencyMs: number; readonly count: number }[] = []
  #recordCount = 0
  #sumMs = 0
  #maxMs = 0

  add(latencyMs: number, count: number): void {
    this.#requests.push({ latencyMs, count })
    this.#recordCount += count
    this.#sumMs += latencyMs * count
    this.#maxMs = Math.max(this.#maxMs, latencyMs)
  }

  renderWindow(elapsedMs: number, recordSize: number): string {
    const { rate, megabytes, averageMs } = this.#figures(elapsedMs, recordSize)
    return (
      `${this.#recordCount} records sent, ${rate.toFixed(1)} records/sec (${megabytes.toFixed(2)} MB/sec), ` +
      `${averageMs.toFixed(1)} ms avg latency, ${this.#maxMs.toFixed(1)} ms max latency.\n`
    )
  }

  renderTotal(elapsedMs: number, recordSize: number): string {
    const { rate, megabytes, averageMs } = this.#figures(elapsedMs, recordSize)
    const [p50, p95, p99, p999] = this.#percentiles([0.5, 0.95, 0.99, 0.999])
    return (
      `${this.#recordCount} records sent, ${rate.toFixed(6)} records/sec (${megabytes.toFixed(2)} MB/sec), ` +
      `${averageMs.toFixed(2)} ms avg latency, ${this.#maxMs.toFixed(2)} ms max latency, ` +
      `${p50} ms 50th, ${p95} ms 95th, ${p99} ms 99th, ${p999} ms 99.9th.\n`
    )
  }

  #figures(elapsedMs: number, recordSize: number) {
    const rate = (this.#recordCount * 1000) / Math.max(elapsedMs, 1)
    return {
      rate,
      megabytes: (rate * recordSize) / (1024 * 1024),
      averageMs: this.#sumMs / Math.max(this.#recordCount, 1),
    }
  }

  /** In whole milliseconds, as Kafka's. */
  #percentiles(shares: readonly number[]): number[] {
    const sorted = this.#requests.sort((a, b) => a.latencyMs - b.latencyMs)
    return shares.map((share) => {
      let left = share * this.#recordCount
      for (const { latencyMs, count } of sorted) {
        left -= count
        if (left <= 0) return Math.round(latencyMs)
      }
      return 0
    })
  }
}

const PAGE_RECORDS = 10_000
const PAGE_BYTES = 8 * 1024 * 1024

const CONSUME_COLUMNS =
  'start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, ' +
  'rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec'

async function runConsume(
  terminal: Terminal,
  client: TailraceClient,
  topic: string,
  options: BenchOptions,
): Promise<void> {
  const signal = terminal.interruptSignal()
  const startTime = foregroundClock.now()
  const startedAt = foregroundClock.monotonic()
  let recordCount = 0
  let bytes = 0
  let cursor: string | undefined
  for (;;) {
    const limit = Math.min(PAGE_RECORDS, options.numRecords - recordCount)
    const page = await client.read(topic, { cursor, limit, maxBytes: PAGE_BYTES, signal })
    cursor = page.cursor
    recordCount += page.records.length
    bytes += page.records.reduce((sum, { json }) => sum + json.length, 0)
    if (page.caughtUp || recordCount >= options.numRecords) break
  }
  const seconds = Math.max(foregroundClock.monotonic() - startedAt, 1) / 1000
  const megabytes = bytes / (1024 * 1024)
  const row = [
    timeText(startTime),
    timeText(foregroundClock.now()),
    megabytes.toFixed(4),
    (megabytes / seconds).toFixed(4),
    String(recordCount),
    (recordCount / seconds).toFixed(4),
    '0',
    (seconds * 1000).toFixed(0),
    (megabytes / seconds).toFixed(4),
    (recordCount / seconds).toFixed(4),
  ]
  await terminal.write(`${options.hideHeader ? '' : `${CONSUME_COLUMNS}\n`}${row.join(', ')}\n`)
}

/** yyyy-MM-dd HH:mm:ss:SSS, in this machine's zone. */
function timeText(ms: number): string {
  const local = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000)
  return local.toISOString().replace('T', ' ').replace('.', ':').slice(0, -1)
}
