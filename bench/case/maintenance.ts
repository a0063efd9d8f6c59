// What compaction costs those who produce meanwhile: the delay of the server's event loop, and of the replies, at a fixed
// rate, once without and once while the log is cleaned over and over. The server and its maintenance thread share a core
// here, which is the worst that can be.

import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCase, BenchRow } from '../bench-case.ts'
import type { BenchContext, RunningServer } from '../bench-context.ts'
import * as figures from '../figures.ts'
import { LatencyHistogram } from '../latency-histogram.ts'
import { processCpuMs } from '../process-stat.ts'
import { jsonValues } from '../records.ts'
import { createTopic } from '../tailrace-api.ts'

const RECORDS_PER_SECOND = 10_000
const RECORDS_PER_REQUEST = 100
const FILL_RECORDS_PER_REQUEST = 10_000
const SEGMENT_BYTES = 1024 * 1024
/** The goal: the p99 with compaction, by the one without. */
const RATIO_MAX = 2
const WAIT_MS_MAX = 60_000

export const maintenanceCase: BenchCase = {
  name: 'maintenance',
  about: `the event loop's delay at ${RECORDS_PER_SECOND.toLocaleString('en')} records/s, with and without compaction`,
  run: runMaintenance,
}

interface Measured {
  readonly delayP99Ms: number
  readonly replyP99Ms: number
  readonly passes: number
  /** Time in which a pass was under way, of all. */
  readonly busyShare: number
  readonly cpuShare: number
}

async function runMaintenance(context: BenchContext): Promise<readonly BenchRow[]> {
  const idle = await measure(context, 'delete')
  const compacting = await measure(context, 'compact')
  if (compacting.passes === 0) throw new Error('nothing was compacted while it was measured')
  const ratio = compacting.delayP99Ms / idle.delayP99Ms
  const shown = ({ delayP99Ms, replyP99Ms }: Measured) =>
    `${figures.milliseconds(delayP99Ms)}, replies ${figures.milliseconds(replyP99Ms)}`
  return [
    {
      work: `event loop's delay p99 at ${RECORDS_PER_SECOND.toLocaleString('en')} records/s while compacting (without)`,
      tailrace: `${shown(compacting)} (${shown(idle)})`,
      goal: `<= ${RATIO_MAX} x`,
      goalMet: ratio <= RATIO_MAX,
      measured: { idle, compacting, ratio },
    },
  ]
}

async function measure(context: BenchContext, policy: 'delete' | 'compact'): Promise<Measured> {
  const { quick, roundMs, rounds } = context.options
  const server = await context.startTailrace(context.makeDir(`maintenance-${policy}`), {
    set: ['log.cleaner.backoff.ms=10'],
  })
  const keyCount = quick ? 20_000 : 200_000
  await createTopic(server, 'filled', 1, {
    'cleanup.policy': policy,
    'min.cleanable.dirty.ratio': '0',
    'segment.bytes': String(SEGMENT_BYTES),
  })
  const producer = new Producer(server, keyCount)
  for (let left = keyCount; left > 0; left -= FILL_RECORDS_PER_REQUEST) await producer.send(FILL_RECORDS_PER_REQUEST)
  if (policy === 'compact') await firstPass(server)
  await scrape(server)
  const before = await scrape(server)
  const { pid } = server.process
  const cpuMs = processCpuMs(pid)
  const windowMs = roundMs * rounds
  const latencies = await producer.sendAtRate(windowMs)
  const after = await scrape(server)
  const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0)
  const measured = {
    delayP99Ms: (after.get('nodejs_eventloop_lag_p99_seconds') ?? Number.NaN) * 1_000,
    replyP99Ms: latencies.percentileMs(0.99),
    passes: grown('tailrace_compaction_passes_total'),
    busyShare: (grown('tailrace_compaction_seconds_total') * 1_000) / windowMs,
    cpuShare: (processCpuMs(pid) - cpuMs) / windowMs,
  }
  await server.process.stop()
  return measured
}

async function firstPass(server: RunningServer): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX
  while (((await scrape(server)).get('tailrace_compaction_passes_total') ?? 0) === 0) {
    if (performance.now() > deadline) throw new Error(`nothing was compacted within ${WAIT_MS_MAX} ms`)
    await delay(100)
  }
}

/** Values by name; each look begins the event loop's figures anew. */
async function scrape(server: RunningServer): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${server.url}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}

/** Sends records whose keys come again and again, in their order. */
class Producer {
  readonly #server: RunningServer
  readonly #values = jsonValues(FILL_RECORDS_PER_REQUEST)
  readonly #agent = new Agent({ keepAlive: true })
  readonly #keyCount: number
  #sent = 0

  constructor(server: RunningServer, keyCount: number) {
    this.#server = server
    this.#keyCount = keyCount
  }

  send(count: number): Promise<void> {
    const records = this.#values
      .slice(0, count)
      .map((value) => `{"key":"k${this.#sent++ % this.#keyCount}","value":${value}}`)
    const body = `{"records":[${records.join(',')}]}`
    return new Promise((resolve, reject) => {
      const outgoing = request(
        `${this.#server.url}/v1/topics/filled/records`,
        { method: 'POST', agent: this.#agent, headers: { 'content-type': 'application/json' } },
        (reply) => {
          reply
            .resume()
            .on('end', () => (reply.statusCode === 200 ? resolve() : reject(new Error(`got ${reply.statusCode}`))))
        },
      )
      outgoing.on('error', reject).end(body)
    })
  }

  /** A request is sent when its time has come, whatever became of those before it. */
  async sendAtRate(windowMs: number): Promise<LatencyHistogram> {
    const latencies = new LatencyHistogram()
    const start = performance.now()
    const replies: Promise<void>[] = []
    const everyMs = (1_000 * RECORDS_PER_REQUEST) / RECORDS_PER_SECOND
    for (let dueMs = 0; dueMs < windowMs; dueMs += everyMs) {
      await delay(Math.max(0, start + dueMs - performance.now()))
      const sentAt = performance.now()
      replies.push(this.send(RECORDS_PER_REQUEST).then(() => latencies.record(performance.now() - sentAt)))
    }
    await Promise.all(replies)
    return latencies
  }
}
