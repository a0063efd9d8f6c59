// Requests a second through produce() alone: an engine that answers a turn of the event loop later, as many clients as
// are named, each with one request under way. What is left of a core when this is taken away belongs to HTTP and the log.
// Run: node bench/micro/produce-gate.ts [--seconds 2]

import { parseArgs } from 'node:util'
import type { ProduceRecord } from '../../src/codec/produce-record.ts'
import type { Acks, BatchAppended, Engine, Topic } from '../../src/engine/engine.ts'
import { parseTopicConfig, topicConfigDefaults } from '../../src/engine/topic-config.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { NO_HEADERS } from '../../src/record/record.ts'
import { createProduceService } from '../../src/service/produce/produce.ts'
import { createTopicService } from '../../src/service/topics.ts'

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '2' } } })
const caller = { principal: 'User:ANONYMOUS', clientId: 'bench', host: '127.0.0.1', requestId: 'r' }
const defaults = topicConfigDefaults({})
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/** Answers all appends of one turn of the event loop in the next. */
function openEngine(partitionCount: number): Engine {
  const topic: Topic = {
    id: 'b',
    name: 't',
    partitionCount,
    internal: false,
    config: parseTopicConfig({}, defaults),
    configOverrides: {},
    growths: [],
  }
  const ends = new Array<number>(partitionCount).fill(0)
  const engine = {
    capabilities: { name: 'local', replicationFactorMax: 1, namedProducers: true },
    findTopic: (name: string) => (name === 't' ? topic : undefined),
    append(_topic: Topic, partition: number, batches: readonly { readonly header: { recordCount: number } }[]) {
      const appended: BatchAppended[] = batches.map(({ header }) => {
        const baseOffset = ends[partition] as number
        ends[partition] = baseOffset + header.recordCount
        return { baseOffset, logAppendTimeMs: -1, duplicate: false }
      })
      return new Promise<readonly BatchAppended[]>((resolve) => setImmediate(resolve, appended))
    },
  }
  return engine as unknown as Engine
}

function makeRecords(count: number, keyed: boolean): ProduceRecord[] {
  const body = Buffer.from(`key-0000"${'v'.repeat(100)}"`)
  return Array.from({ length: count }, (_, at) => {
    body.write(String(at % 10_000).padStart(4, '0'), 4)
    const [keyStart, keyEnd] = keyed ? [0, 8] : [-1, -1]
    const own = Buffer.from(body)
    return {
      ...{ key: own, keyStart, keyEnd, value: own, valueStart: 9, valueEnd: 109, headers: NO_HEADERS },
      ...{ timestamp: -1, partition: -1 },
    }
  })
}

async function run(clients: number, perRequest: number, partitions: number, acks: Acks): Promise<void> {
  const engine = openEngine(partitions)
  const telemetry = new Telemetry()
  const options = {
    autoCreateTopics: true,
    deleteTopics: true,
    allowInternalTopics: false,
    defaultPartitionCount: 1,
    topicConfigDefaults: defaults,
  }
  const topics = createTopicService({ engine, options })
  const service = createProduceService({ schemas: {} as never, engine, topics, clock: systemClock, telemetry })
  const records = makeRecords(Math.max(perRequest, 1024), partitions > 1)
  let requests = 0
  let checksum = 0
  let next = 0
  const client = async (until: number) => {
    while (performance.now() < until) {
      const fresh: ProduceRecord[] = []
      for (let at = 0; at < perRequest; at++) {
        next = (next + 1) % records.length
        fresh.push({ ...(records[next] as ProduceRecord) })
      }
      const result = await service.produce(caller, 't', fresh, { acks, badRecords: 'refuse' })
      for (let index = 0; index < result.recordCount; index++) checksum += result.offset(index)
      requests++
      // As a socket would: whoever is answered at once sends again in the next turn.
      if (acks === 'none') await nextTurn()
    }
  }
  const clientsUntil = (until: number) => Promise.all(Array.from({ length: clients }, () => client(until)))
  await clientsUntil(performance.now() + 300)
  requests = 0
  const cpu = process.cpuUsage()
  const start = performance.now()
  await clientsUntil(start + Number(values.seconds) * 1000)
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const micros = (user + system) / requests
  const gathered = telemetry.gatheredRequests.sum / telemetry.gatheredRequests.count
  console.log(
    `${String(clients).padStart(4)} clients ${String(perRequest).padStart(4)} records ${partitions} partitions acks=${acks.padEnd(6)}` +
      ` ${Math.round(requests / seconds)
        .toLocaleString('en')
        .padStart(10)} requests/s  ${Math.round((requests * perRequest) / seconds)
        .toLocaleString('en')
        .padStart(11)} records/s  ${micros.toFixed(2)} us cpu/request  ${gathered.toFixed(1)} gathered` +
      (checksum === 0.5 ? ' ' : ''),
  )
}

for (const partitions of [1, 8]) {
  for (const acks of ['all', 'leader', 'none'] as const) await run(32, 1, partitions, acks)
  await run(1, 1, partitions, 'all')
  await run(256, 1, partitions, 'all')
  await run(32, 100, partitions, 'all')
}
