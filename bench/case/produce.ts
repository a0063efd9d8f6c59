// Produce: 32 connections in a closed loop, records of 100 bytes, beside the bare server that parses the same bodies and
// stores nothing; where keys play no part also beside @durable-streams/server, which is as durable as acks=all. Afterwards
// what was acknowledged is counted in the log.

import type { BenchCase, BenchRow } from '../bench-case.ts'
import type { BenchContext, RunningServer } from '../bench-context.ts'
import * as figures from '../figures.ts'
import { peerBodies, postRequest, produceBodies } from '../records.ts'
import type { Contender, Measured } from '../rounds.ts'
import { measureInTurns } from '../rounds.ts'
import { createTopic, expectStored } from '../tailrace-api.ts'

interface ProduceWork {
  readonly name: string
  readonly recordsPerRequest: number
  readonly partitions: number
  readonly keyed: boolean
  readonly acks: 'all' | '1'
  readonly ratioGoal?: number
  readonly withPeer?: boolean
  /** Left out of --quick, which must end within a minute. */
  readonly longOnly?: boolean
}

const CONNECTIONS = 32
const TOPIC = 'bench'
/** Different bodies, sent again and again: enough that no server can profit from repetition. */
const SINGLE_BODIES = 4_096
const BATCH_BODIES = 128

const works: readonly ProduceWork[] = [
  {
    name: 'produce-1-p1',
    recordsPerRequest: 1,
    partitions: 1,
    keyed: false,
    acks: 'all',
    ratioGoal: 0.9,
    withPeer: true,
  },
  {
    name: 'produce-1-p8',
    recordsPerRequest: 1,
    partitions: 8,
    keyed: false,
    acks: 'all',
    ratioGoal: 0.9,
    withPeer: true,
    longOnly: true,
  },
  { name: 'produce-1-p8-keyed', recordsPerRequest: 1, partitions: 8, keyed: true, acks: 'all', ratioGoal: 0.9 },
  { name: 'produce-1-p1-acks1', recordsPerRequest: 1, partitions: 1, keyed: false, acks: '1', longOnly: true },
  {
    name: 'produce-100-p1',
    recordsPerRequest: 100,
    partitions: 1,
    keyed: false,
    acks: 'all',
    ratioGoal: 1,
    withPeer: true,
  },
  {
    name: 'produce-100-p8',
    recordsPerRequest: 100,
    partitions: 8,
    keyed: false,
    acks: 'all',
    ratioGoal: 1,
    withPeer: true,
    longOnly: true,
  },
  { name: 'produce-100-p8-keyed', recordsPerRequest: 100, partitions: 8, keyed: true, acks: 'all', ratioGoal: 1 },
  { name: 'produce-100-p8-keyed-acks1', recordsPerRequest: 100, partitions: 8, keyed: true, acks: '1', longOnly: true },
]

export function produceCases(quick: boolean): BenchCase[] {
  return works
    .filter(({ longOnly }) => !(quick && longOnly))
    .map((work) => ({ name: work.name, about: title(work), run: (context) => runProduce(context, work) }))
}

function title({ recordsPerRequest, partitions, keyed, acks }: ProduceWork): string {
  const records = recordsPerRequest === 1 ? '1 record' : `${recordsPerRequest} records`
  const places = partitions === 1 ? '1 partition' : `${partitions} partitions`
  return `produce, ${records} a request, ${places}, ${keyed ? 'keyed' : 'keyless'}, acks=${acks}`
}

async function runProduce(context: BenchContext, work: ProduceWork): Promise<readonly BenchRow[]> {
  const tailrace = await context.startTailrace(context.makeDir(work.name))
  await createTopic(tailrace, TOPIC, work.partitions)
  const requests = produceRequests(work)
  const contenders: Contender[] = [tailrace, await context.startBare()].map((server) => ({
    server,
    connections: CONNECTIONS,
    requests,
    status: 200,
  }))
  if (work.withPeer) contenders.push(await peerContender(context, work))
  const [own, bare, peer] = await measureInTurns(context, contenders)
  await expectStored(tailrace, TOPIC, own!.acceptedCount * work.recordsPerRequest)
  return [produceRow(work, own!, bare!, peer)]
}

function produceRequests({ recordsPerRequest, keyed, acks }: ProduceWork): Buffer[] {
  const bodies = produceBodies({ recordsPerRequest, keyed }, recordsPerRequest === 1 ? SINGLE_BODIES : BATCH_BODIES)
  return bodies.map((body) => postRequest(`/v1/topics/${TOPIC}/records?acks=${acks}`, body))
}

/** A stream in place of each partition, requests dealt to them in turns. */
async function peerContender(context: BenchContext, work: ProduceWork): Promise<Contender> {
  const server = await context.startPeer()
  const paths = Array.from({ length: work.partitions }, (_, index) => `/bench-${index}`)
  for (const path of paths) await createPeerStream(server, path)
  const bodies = peerBodies(work.recordsPerRequest, work.recordsPerRequest === 1 ? SINGLE_BODIES : BATCH_BODIES)
  const requests = bodies.map((body, index) => postRequest(paths[index % paths.length]!, body))
  return { server, connections: CONNECTIONS, requests, status: 204 }
}

export async function createPeerStream(server: RunningServer, path: string): Promise<void> {
  const response = await fetch(server.url + path, { method: 'PUT', headers: { 'content-type': 'application/json' } })
  if (response.status !== 201) throw new Error(`PUT ${path} of the peer got ${response.status}`)
}

function produceRow(work: ProduceWork, own: Measured, bare: Measured, peer: Measured | undefined): BenchRow {
  const recordsPerSecond = ({ perSecond }: Measured) => `${figures.count(perSecond * work.recordsPerRequest)}/s`
  const bareRatio = own.perSecond / bare.perSecond
  const { ratioGoal } = work
  return {
    work: title(work),
    tailrace: recordsPerSecond(own),
    latency: `${own.p50Ms.toFixed(2)} / ${own.p99Ms.toFixed(2)} ms`,
    bare: recordsPerSecond(bare),
    bareRatio: figures.ratio(bareRatio),
    bareCpuRatio: figures.ratio(own.perCpuSecond / bare.perCpuSecond),
    othersBusy: Math.max(own.othersBusy, bare.othersBusy),
    ...(peer && { peer: recordsPerSecond(peer), peerRatio: figures.ratio(own.perSecond / peer.perSecond) }),
    ...(ratioGoal && { goal: `>= ${ratioGoal} x bare`, goalMet: bareRatio >= ratioGoal }),
    measured: { own, bare, peer },
  }
}
