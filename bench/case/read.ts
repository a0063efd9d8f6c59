// Read: pages of 1,000 JSON records of 100 bytes, in records per second of one server core (the CPU time of all the
// server's threads), from topics whose batches hold 100 records and from topics whose batches hold one. Before anything
// is measured the topic is walked by its cursors and every record counted; the measured windows then ask for the very
// same pages and check the length of each. Beside it: JSON.parse + JSON.stringify of the same page from memory.

import type { BenchCase, BenchRow } from '../bench-case.ts'
import type { BenchContext, RunningServer } from '../bench-context.ts'
import * as figures from '../figures.ts'
import { getRequest, peerBodies, postRequest, produceBodies } from '../records.ts'
import type { Contender, Measured } from '../rounds.ts'
import { measureInTurns } from '../rounds.ts'
import { createTopic, expectStored, readPage, storedBytes } from '../tailrace-api.ts'
import { createPeerStream } from './produce.ts'

interface ReadWork {
  readonly name: string
  readonly recordsPerRequest: number
  readonly partitions: number
}

const TOPIC = 'bench'
const PAGE_RECORDS = 1_000
const CONNECTIONS = 4
const WRITERS = 32
const BODIES = 512
const RECORDS_PER_CORE_SECOND_GOAL = 2_000_000
const WRITE_MS_MAX = 600_000
/** The peer gives everything from an offset on, without a limit: a stream stands for a page, whatever the partitions. */
const PEER_STREAMS = 4

const works: readonly ReadWork[] = [
  { name: 'read-100-p1', recordsPerRequest: 100, partitions: 1 },
  { name: 'read-100-p8', recordsPerRequest: 100, partitions: 8 },
  { name: 'read-1-p1', recordsPerRequest: 1, partitions: 1 },
  { name: 'read-1-p8', recordsPerRequest: 1, partitions: 8 },
]

export const readCases: readonly BenchCase[] = works.map((work) => ({
  name: work.name,
  about: title(work),
  run: (context) => runRead(context, work),
}))

function title({ recordsPerRequest, partitions }: ReadWork): string {
  const places = partitions === 1 ? '1 partition' : `${partitions} partitions`
  return `read pages of 1,000, written ${recordsPerRequest} a request, ${places}`
}

async function runRead(context: BenchContext, work: ReadWork): Promise<readonly BenchRow[]> {
  const dataDir = context.makeDir(work.name)
  const recordCount = work.recordsPerRequest === 1 ? context.options.singleReadRecords : context.options.readRecords
  const writer = await context.startTailrace(dataDir, { profiled: false })
  await writeTopic(context, writer, work, recordCount)
  await writer.process.stop()
  const tailrace = await context.startTailrace(dataDir)
  const pages = await walkPages(tailrace, recordCount)
  const contenders: Contender[] = [
    { server: tailrace, connections: CONNECTIONS, status: 200, requests: pages.requests, bodyBytes: pages.bodyBytes },
    { server: await context.startBare(), connections: CONNECTIONS, status: 200, requests: barePages() },
  ]
  const slowToWrite = context.options.quick && work.recordsPerRequest === 1
  if (work.partitions === 1 && !slowToWrite) contenders.push(await peerContender(context, work))
  const [own, bare, peer] = await measureInTurns(context, contenders)
  const bytesPerRecord = (await storedBytes(tailrace, TOPIC)) / recordCount
  return [readRow(work, own!, bare!, peer, { recordsPerPage: recordCount / pages.requests.length, bytesPerRecord })]
}

async function writeTopic(
  context: BenchContext,
  server: RunningServer,
  work: ReadWork,
  recordCount: number,
): Promise<void> {
  await createTopic(server, TOPIC, work.partitions)
  await context.load(server, {
    connections: WRITERS,
    requests: numberedRequests(work, recordCount / work.recordsPerRequest),
    status: 200,
    warmUpMs: 0,
    durationMs: WRITE_MS_MAX,
    once: true,
  })
  await expectStored(server, TOPIC, recordCount)
}

/**
 * Each connection is a named producer: its requests never share a batch with others that wait, as those of a slow
 * producer would not, and yet are many at once.
 */
function numberedRequests({ recordsPerRequest, partitions }: ReadWork, requestCount: number): Buffer[] {
  const bodies = produceBodies({ recordsPerRequest, keyed: false, partitionCount: partitions }, BODIES)
  return Array.from({ length: requestCount }, (_, index) =>
    postRequest(`/v1/topics/${TOPIC}/records?acks=all`, bodies[index % BODIES]!, {
      'Producer-Id': `writer-${index % WRITERS}`,
      'Producer-Epoch': '0',
      'Producer-Seq': String(Math.floor(index / WRITERS)),
    }),
  )
}

async function walkPages(
  server: RunningServer,
  recordCount: number,
): Promise<{ requests: Buffer[]; bodyBytes: number[] }> {
  const requests: Buffer[] = []
  const bodyBytes: number[] = []
  const nextOffsets = new Map<number, number>()
  let seen = 0
  let position = 'from=earliest'
  while (seen < recordCount) {
    const path = `/v1/topics/${TOPIC}/records?${position}&limit=${PAGE_RECORDS}`
    const { page, bodyBytes: bytes } = await readPage(server, path)
    if (page.records.length === 0) throw new Error(`A page is empty after ${seen} of ${recordCount} records`)
    for (const { partition, offset } of page.records) {
      const expected = nextOffsets.get(partition) ?? 0
      if (offset !== expected) throw new Error(`Partition ${partition} gave offset ${offset} in place of ${expected}`)
      nextOffsets.set(partition, offset + 1)
    }
    requests.push(getRequest(path))
    bodyBytes.push(bytes)
    seen += page.records.length
    position = `cursor=${encodeURIComponent(page.cursor)}`
  }
  return { requests, bodyBytes }
}

function barePages(): Buffer[] {
  return [0, 1, 2, 3].map((page) =>
    getRequest(`/v1/topics/bench/records?start=${page * PAGE_RECORDS}&limit=${PAGE_RECORDS}`),
  )
}

async function peerContender(context: BenchContext, { recordsPerRequest }: ReadWork): Promise<Contender> {
  const server = await context.startPeer()
  const paths = Array.from({ length: PEER_STREAMS }, (_, index) => `/bench-${index}`)
  for (const path of paths) await createPeerStream(server, path)
  const writes = peerBodies(recordsPerRequest, PAGE_RECORDS / recordsPerRequest)
  const job = { connections: PEER_STREAMS, status: 204, warmUpMs: 0, durationMs: WRITE_MS_MAX }
  await context.load(server, {
    ...job,
    requests: writes.flatMap((body) => paths.map((path) => postRequest(path, body))),
    once: true,
  })
  return {
    server,
    connections: CONNECTIONS,
    status: 200,
    requests: paths.map((path) => getRequest(`${path}?offset=-1`)),
  }
}

function readRow(
  work: ReadWork,
  own: Measured,
  bare: Measured,
  peer: Measured | undefined,
  pages: { readonly recordsPerPage: number; readonly bytesPerRecord: number },
): BenchRow {
  const ownRecords = own.perCpuSecond * pages.recordsPerPage
  const bareRecords = bare.perCpuSecond * PAGE_RECORDS
  const peerRecords = peer && peer.perCpuSecond * PAGE_RECORDS
  const perCore = (records: number) => `${figures.count(records)}/s a core`
  return {
    work: title(work),
    tailrace: perCore(ownRecords),
    latency: `${own.p50Ms.toFixed(2)} / ${own.p99Ms.toFixed(2)} ms`,
    bare: perCore(bareRecords),
    bareCpuRatio: figures.ratio(ownRecords / bareRecords),
    othersBusy: Math.max(own.othersBusy, bare.othersBusy),
    ...(peerRecords && { peer: perCore(peerRecords), peerRatio: figures.ratio(ownRecords / peerRecords) }),
    goal: `>= ${figures.count(RECORDS_PER_CORE_SECOND_GOAL)}/s a core`,
    goalMet: ownRecords >= RECORDS_PER_CORE_SECOND_GOAL,
    measured: { own, bare, peer, ...pages, wallRecordsPerSecond: own.perSecond * pages.recordsPerPage },
  }
}
