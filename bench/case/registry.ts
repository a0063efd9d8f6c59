// Schemas: what it costs that values are encoded and decoded by one, beside JSON that is stored as it came; lookups by id
// beside the bare server; how soon a server with ten thousand schemas is ready. The very values of the other cases are
// sent, by an Avro schema that fits them.

import type { BenchCase, BenchRow } from '../bench-case.ts'
import type { BenchContext, RunningServer } from '../bench-context.ts'
import * as figures from '../figures.ts'
import { getRequest, postRequest, produceBodies } from '../records.ts'
import { measureInTurns, median } from '../rounds.ts'
import { callJson, createTopic, expectStored, readPage } from '../tailrace-api.ts'

const CONNECTIONS = 32
const READERS = 4
const RECORDS_PER_REQUEST = 100
const PAGE_RECORDS = 1_000
const LOAD_MS_MAX = 600_000
const PRODUCE_RATIO_GOAL = 0.6
const READ_RECORDS_PER_CORE_SECOND_GOAL = 500_000
const LOOKUP_RATIO_GOAL = 0.8
const LOAD_MS_GOAL = 2_000
const SCHEMAS = 10_000

/** Of the bench's values. */
const VALUE_SCHEMA = JSON.stringify({
  type: 'record',
  name: 'Payment',
  namespace: 'bench',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'user', type: 'string' },
    { name: 'amount', type: 'double' },
    { name: 'paid', type: 'boolean' },
    { name: 'note', type: 'string' },
  ],
})

export const registryCases: readonly BenchCase[] = [
  { name: 'registry-produce', about: 'produce by an Avro schema, beside JSON', run: runProduce },
  { name: 'registry-read', about: 'read pages of Avro as JSON', run: runRead },
  { name: 'registry-lookup', about: 'look schemas up by id', run: runLookup },
  { name: 'registry-load', about: 'start with ten thousand schemas', run: runLoad },
]

async function register(server: RunningServer, subject: string, schema: string): Promise<number> {
  const reply = await callJson('POST', `${server.url}/subjects/${subject}/versions`, { schema })
  return (reply as { id: number }).id
}

async function runProduce(context: BenchContext): Promise<readonly BenchRow[]> {
  const server = await context.startTailrace(context.makeDir('registry-produce'))
  const schemaId = await register(server, 'avro-value', VALUE_SCHEMA)
  for (const topic of ['avro', 'json']) await createTopic(server, topic, 1)
  const [avro, json] = await measureInTurns(
    context,
    [avroRequests(schemaId), produceRequests('json')].map((requests) => ({
      server,
      connections: CONNECTIONS,
      requests,
      status: 200,
    })),
  )
  await expectStored(server, 'avro', avro!.acceptedCount * RECORDS_PER_REQUEST)
  await expectStored(server, 'json', json!.acceptedCount * RECORDS_PER_REQUEST)
  const ratio = avro!.perSecond / json!.perSecond
  const rate = (perSecond: number) => `${figures.count(perSecond * RECORDS_PER_REQUEST)}/s`
  return [
    {
      work: `produce by the id of an Avro schema, ${RECORDS_PER_REQUEST} records a request, 1 partition, acks=all`,
      tailrace: rate(avro!.perSecond),
      latency: `${avro!.p50Ms.toFixed(2)} / ${avro!.p99Ms.toFixed(2)} ms`,
      bare: `${rate(json!.perSecond)} as JSON`,
      bareRatio: figures.ratio(ratio),
      bareCpuRatio: figures.ratio(avro!.perCpuSecond / json!.perCpuSecond),
      othersBusy: Math.max(avro!.othersBusy, json!.othersBusy),
      goal: `>= ${PRODUCE_RATIO_GOAL} x JSON`,
      goalMet: ratio >= PRODUCE_RATIO_GOAL,
      measured: { avro, json },
    },
  ]
}

function produceRequests(topic: string, members = ''): Buffer[] {
  const bodies = produceBodies({ recordsPerRequest: RECORDS_PER_REQUEST, keyed: false, members }, 128)
  return bodies.map((body) => postRequest(`/v1/topics/${topic}/records?acks=all`, body))
}

function avroRequests(schemaId: number): Buffer[] {
  return produceRequests('avro', `"value_encoding":"avro","schema_id":${schemaId},`)
}

async function runRead(context: BenchContext): Promise<readonly BenchRow[]> {
  const recordCount = Math.max(PAGE_RECORDS, Math.floor(context.options.readRecords / PAGE_RECORDS) * PAGE_RECORDS)
  const server = await context.startTailrace(context.makeDir('registry-read'))
  const requests = avroRequests(await register(server, 'avro-value', VALUE_SCHEMA))
  await createTopic(server, 'avro', 1)
  await context.load(server, {
    connections: CONNECTIONS,
    requests: Array.from({ length: recordCount / RECORDS_PER_REQUEST }, (_, at) => requests[at % requests.length]!),
    status: 200,
    warmUpMs: 0,
    durationMs: LOAD_MS_MAX,
    once: true,
  })
  await expectStored(server, 'avro', recordCount)
  const paths = Array.from(
    { length: recordCount / PAGE_RECORDS },
    (_, page) => `/v1/topics/avro/records?from=${page * PAGE_RECORDS}&partition=0&limit=${PAGE_RECORDS}`,
  )
  const bodyBytes = []
  for (const path of paths) bodyBytes.push(await checkPage(server, path))
  const contender = { server, connections: READERS, status: 200, requests: paths.map(getRequest), bodyBytes }
  const [own] = await measureInTurns(context, [contender])
  const perCpuSecond = own!.perCpuSecond * PAGE_RECORDS
  return [
    {
      work: 'read pages of 1,000 Avro records as JSON, written 100 a request, 1 partition',
      tailrace: `${figures.count(perCpuSecond)}/s a core`,
      latency: `${own!.p50Ms.toFixed(2)} / ${own!.p99Ms.toFixed(2)} ms`,
      othersBusy: own!.othersBusy,
      goal: `>= ${figures.count(READ_RECORDS_PER_CORE_SECOND_GOAL)}/s a core`,
      goalMet: perCpuSecond >= READ_RECORDS_PER_CORE_SECOND_GOAL,
      measured: { own },
    },
  ]
}

/** Gives its size. */
async function checkPage(server: RunningServer, path: string): Promise<number> {
  const { page, bodyBytes } = await readPage(server, path)
  const shown = page.records.filter((record) => {
    const { value_encoding: encoding, value } = record as { value_encoding?: string; value?: { user?: unknown } }
    return encoding === 'avro' && typeof value?.user === 'string'
  })
  if (shown.length !== PAGE_RECORDS) throw new Error(`${path} shows ${shown.length} of ${PAGE_RECORDS} records`)
  return bodyBytes
}

async function runLookup(context: BenchContext): Promise<readonly BenchRow[]> {
  const server = await context.startTailrace(context.makeDir('registry-lookup'))
  const ids = []
  for (let at = 0; at < 100; at += 1) ids.push(await register(server, `lookup-${at}`, numberedSchema(at)))
  const requests = ids.map((id) => getRequest(`/schemas/ids/${id}`))
  const bare = await context.startBare()
  const [own, other] = await measureInTurns(
    context,
    [server, bare].map((one) => ({ server: one, connections: CONNECTIONS, requests, status: 200 })),
  )
  const ratio = own!.perSecond / other!.perSecond
  return [
    {
      work: 'look a schema up by its id',
      tailrace: `${figures.count(own!.perSecond)}/s`,
      latency: `${own!.p50Ms.toFixed(2)} / ${own!.p99Ms.toFixed(2)} ms`,
      bare: `${figures.count(other!.perSecond)}/s`,
      bareRatio: figures.ratio(ratio),
      bareCpuRatio: figures.ratio(own!.perCpuSecond / other!.perCpuSecond),
      othersBusy: Math.max(own!.othersBusy, other!.othersBusy),
      goal: `>= ${LOOKUP_RATIO_GOAL} x bare`,
      goalMet: ratio >= LOOKUP_RATIO_GOAL,
      measured: { own, bare: other },
    },
  ]
}

/** Each is another schema. */
function numberedSchema(number: number): string {
  return VALUE_SCHEMA.replace('"Payment"', `"Payment${number}"`)
}

async function runLoad(context: BenchContext): Promise<readonly BenchRow[]> {
  const { quick } = context.options
  const count = quick ? SCHEMAS / 10 : SCHEMAS
  const dataDir = context.makeDir('registry-load')
  const writer = await context.startTailrace(dataDir, { profiled: false })
  const requests = Array.from({ length: count }, (_, at) =>
    postRequest(`/subjects/load-${at}/versions`, JSON.stringify({ schema: numberedSchema(at) })),
  )
  await context.load(writer, {
    connections: CONNECTIONS,
    requests,
    status: 200,
    warmUpMs: 0,
    durationMs: LOAD_MS_MAX,
    once: true,
  })
  await writer.process.stop()
  const startsMs: number[] = []
  for (let repeat = 0; repeat < (quick ? 1 : 3); repeat += 1) {
    const server = await context.startTailrace(dataDir)
    startsMs.push(server.readyMs)
    const subjects = (await callJson('GET', `${server.url}/subjects`)) as readonly string[]
    if (subjects.length !== count) throw new Error(`${subjects.length} of ${count} subjects are there`)
    await server.process.stop()
  }
  const startMs = median(startsMs)
  return [
    {
      work: `start with ${figures.count(count)} schemas, all read`,
      tailrace: figures.milliseconds(startMs),
      goal: `< ${LOAD_MS_GOAL / 1_000} s`,
      goalMet: startMs < LOAD_MS_GOAL,
      measured: startsMs,
    },
  ]
}
