// Consumer groups: what sharing a topic costs beside reading it without state, and two groups beside one; how long a
// rebalance takes, what an idle consumer instance takes of memory, how many commits a second are made durable. Eight members
// on 64 partitions read a topic to its end, in turns with eight readers that ask for the same pages by cursor; every record is
// counted.

import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCase, BenchRow } from '../bench-case.ts'
import type { BenchContext, RunningServer } from '../bench-context.ts'
import * as figures from '../figures.ts'
import { processCpuMs, processMemory } from '../process-stat.ts'
import { postRequest, produceBodies } from '../records.ts'
import { measureInTurns, median } from '../rounds.ts'
import { callJson, createTopic, expectStored } from '../tailrace-api.ts'

const TOPIC = 'bench'
const PARTITIONS = 64
const MEMBERS = 8
const PAGE_RECORDS = 1_000
const RATIO_GOAL = 0.7
const TWO_GROUPS_RATIO_GOAL = 0.9
const V2_JSON = 'application/vnd.kafka.json.v2+json'
/** Of keys and values: a thousand records of the bench. */
const PAGE_BYTES = PAGE_RECORDS * 100

export const groupCases: readonly BenchCase[] = [
  {
    name: 'groups-read',
    about: 'a group of 8 members reads 64 partitions, beside reads without state; two groups beside one',
    run: runRead,
  },
  {
    name: 'groups-rebalance',
    about: '100 members share 1,000 partitions, one joins and one leaves',
    run: runRebalance,
  },
  { name: 'groups-instances', about: 'ten thousand idle consumer instances', run: runInstances },
  { name: 'groups-commit', about: 'offset commits from 32 connections', run: runCommit },
]

interface Pass {
  readonly perSecond: number
  /** Of the server's CPU time, all threads. */
  readonly perCpuSecond: number
  /** How long the first group to come to the end took of the last one's time. */
  readonly firstShare: number
}

type Reader = (server: RunningServer, pass: string, member: number, seen: (records: number) => boolean) => Promise<void>

async function runRead(context: BenchContext): Promise<readonly BenchRow[]> {
  const { options } = context
  const recordCount = Math.floor(options.readRecords / 6_400) * 6_400
  const server = await context.startTailrace(context.makeDir('groups-read'))
  await writeTopic(context, server, recordCount)
  const ways: readonly { readonly name: string; readonly read: Reader; readonly groups: number }[] = [
    { name: 'without state', read: readPages, groups: 1 },
    { name: 'lease polls, acked page by page', read: readLeases, groups: 1 },
    { name: 'REST Proxy v2 instances, committed page by page', read: readInstances, groups: 1 },
    { name: 'lease polls, acked page by page', read: readLeases, groups: 2 },
  ]
  const passes: Pass[][] = ways.map(() => [])
  for (let round = -1; round < options.rounds; round += 1) {
    for (const [way, { read, groups }] of ways.entries()) {
      const pass = await readAll(server, `${way}-${round}`, read, recordCount, groups)
      if (round >= 0) passes[way]!.push(pass)
    }
  }
  const [stateless, leases, instances, two] = passes.map(medianPass) as [Pass, Pass, Pass, Pass]
  const rows = [leases, instances].map((pass, index): BenchRow => {
    const cpuRatio = pass.perCpuSecond / stateless.perCpuSecond
    return {
      work: `${MEMBERS} members of a group on ${PARTITIONS} partitions, pages of 1,000: ${ways[index + 1]!.name}`,
      tailrace: `${figures.count(pass.perCpuSecond)}/s a core`,
      bare: `${figures.count(stateless.perCpuSecond)}/s a core without state`,
      bareRatio: figures.ratio(pass.perSecond / stateless.perSecond),
      bareCpuRatio: figures.ratio(cpuRatio),
      goal: `>= ${RATIO_GOAL} x without state`,
      goalMet: cpuRatio >= RATIO_GOAL,
      measured: { pass, stateless },
    }
  })
  const twoCpuRatio = two.perCpuSecond / leases.perCpuSecond
  rows.push({
    work: `two such groups at once, lease polls: records of both; the first at its end after ${(two.firstShare * 100).toFixed(0)} % of the time`,
    tailrace: `${figures.count(two.perCpuSecond)}/s a core`,
    bare: `${figures.count(leases.perCpuSecond)}/s a core, one group`,
    bareRatio: figures.ratio(two.perSecond / leases.perSecond),
    bareCpuRatio: figures.ratio(twoCpuRatio),
    goal: `>= ${TWO_GROUPS_RATIO_GOAL} x one group`,
    goalMet: twoCpuRatio >= TWO_GROUPS_RATIO_GOAL,
    measured: { two, leases },
  })
  return rows
}

async function writeTopic(context: BenchContext, server: RunningServer, recordCount: number): Promise<void> {
  await createTopic(server, TOPIC, PARTITIONS)
  const bodies = produceBodies({ recordsPerRequest: 100, keyed: false, partitionCount: PARTITIONS }, PARTITIONS * 4)
  const requests = bodies.map((body) => postRequest(`/v1/topics/${TOPIC}/records?acks=all`, body))
  await context.load(server, {
    connections: 32,
    requests: Array.from({ length: recordCount / 100 }, (_, index) => requests[index % requests.length]!),
    status: 200,
    warmUpMs: 0,
    durationMs: 600_000,
    once: true,
  })
  await expectStored(server, TOPIC, recordCount)
}

async function readAll(
  server: RunningServer,
  pass: string,
  read: Reader,
  recordCount: number,
  groups: number,
): Promise<Pass> {
  const cpuMs = processCpuMs(server.process.pid)
  const start = performance.now()
  const wallMs = await Promise.all(
    Array.from({ length: groups }, async (_, group) => {
      let count = 0
      const seen = (records: number) => {
        count += records
        return count >= recordCount
      }
      await Promise.all(Array.from({ length: MEMBERS }, (_, member) => read(server, `${pass}-${group}`, member, seen)))
      if (count !== recordCount) throw new Error(`${count} of ${recordCount} records were read in pass ${pass}`)
      return performance.now() - start
    }),
  )
  const spentMs = Math.max(10, processCpuMs(server.process.pid) - cpuMs)
  const lastMs = Math.max(...wallMs)
  return {
    perSecond: (groups * recordCount * 1_000) / lastMs,
    perCpuSecond: (groups * recordCount * 1_000) / spentMs,
    firstShare: Math.min(...wallMs) / lastMs,
  }
}

function medianPass(passes: readonly Pass[]): Pass {
  const of = (figure: keyof Pass) => median(passes.map((pass) => pass[figure]))
  return { perSecond: of('perSecond'), perCpuSecond: of('perCpuSecond'), firstShare: of('firstShare') }
}

/** Its eighth of the partitions, by cursor. */
async function readPages(server: RunningServer, _pass: string, member: number, seen: (n: number) => boolean) {
  const own = Array.from({ length: PARTITIONS / MEMBERS }, (_, index) => member + index * MEMBERS)
  const partitions = own.map((partition) => `partition=${partition}`).join('&')
  for (let position = 'from=earliest'; ; ) {
    const text = await getText(
      `${server.url}/v1/topics/${TOPIC}/records?${position}&${partitions}&limit=${PAGE_RECORDS}`,
    )
    const records = countRecords(text)
    seen(records)
    if (records === 0) return
    position = `cursor=${encodeURIComponent(lastMember(text, 'cursor'))}`
  }
}

async function readLeases(server: RunningServer, pass: string, member: number, seen: (n: number) => boolean) {
  const group = `${server.url}/v1/groups/lease-${pass}`
  const body = JSON.stringify({ topics: [TOPIC], limit: PAGE_RECORDS, wait_ms: 100, member: `w-${member}` })
  for (let isDone = false; !isDone; ) {
    const text = await postText(`${group}/poll`, body)
    const records = countRecords(text)
    isDone = seen(records)
    if (records === 0) continue
    const lease = lastMember(text, 'lease')
    await postText(`${group}/leases/${encodeURIComponent(lease)}/ack`, '{"through":"all"}')
  }
}

async function readInstances(server: RunningServer, pass: string, member: number, seen: (n: number) => boolean) {
  const group = `${server.url}/consumers/v2-${pass}`
  const own = `${group}/instances/c-${member}`
  const config = { name: `c-${member}`, format: 'json', 'auto.offset.reset': 'earliest', 'auto.commit.enable': 'false' }
  await callJson('POST', group, config)
  await callJson('POST', `${own}/subscription`, { topics: [TOPIC] })
  for (let isDone = false; !isDone; ) {
    const text = await getText(`${own}/records?timeout=100&max_bytes=${PAGE_BYTES}`, V2_JSON)
    const records = countRecords(text)
    isDone = seen(records)
    if (records > 0) await callJson('POST', `${own}/offsets`)
  }
  await callJson('DELETE', own)
}

/** Not parsed: what a client does with a page is not what is measured. */
function countRecords(text: string): number {
  let count = 0
  for (let at = text.indexOf('"offset":'); at >= 0; at = text.indexOf('"offset":', at + 9)) count += 1
  return count
}

/** A text member that stands behind the records. */
function lastMember(text: string, name: string): string {
  const found = text.lastIndexOf(`"${name}":"`)
  if (found < 0) throw new Error(`a page has no ${name}: ${text.slice(0, 200)}`)
  const start = found + name.length + 4
  return text.slice(start, text.indexOf('"', start))
}

async function getText(url: string, accept = 'application/json'): Promise<string> {
  return await textOf(await fetch(url, { headers: { accept } }))
}

async function postText(url: string, body: string): Promise<string> {
  return await textOf(await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body }))
}

async function textOf(response: Response): Promise<string> {
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${response.url} got ${response.status}: ${text.slice(0, 500)}`)
  return text
}

const REBALANCE_MEMBERS = 100
const REBALANCE_PARTITIONS = 1_000
const REBALANCE_MS_MAX = 1_000

async function runRebalance(context: BenchContext): Promise<readonly BenchRow[]> {
  const { quick } = context.options
  const members = quick ? 20 : REBALANCE_MEMBERS
  const server = await context.startTailrace(context.makeDir('groups-rebalance'))
  await createTopic(server, TOPIC, REBALANCE_PARTITIONS)
  const group = `${server.url}/consumers/rebalance`
  const join = async (name: string) => {
    await callJson('POST', group, { name, format: 'json', 'auto.commit.enable': 'false' })
    await callJson('POST', `${group}/instances/${name}/subscription`, { topics: [TOPIC] })
  }
  const names = Array.from({ length: members }, (_, index) => `c-${index}`)
  const measure = async (change: () => Promise<unknown>, after: readonly string[]) => {
    const cpuMs = processCpuMs(server.process.pid)
    const start = performance.now()
    await change()
    await untilOwned(group, after)
    return { wallMs: performance.now() - start, cpuMs: processCpuMs(server.process.pid) - cpuMs }
  }
  const all = await measure(() => Promise.all(names.map(join)), names)
  const joined = await measure(() => join('late'), [...names, 'late'])
  const left = await measure(() => callJson('DELETE', `${group}/instances/c-0`), [...names.slice(1), 'late'])
  const idleCpuMs = processCpuMs(server.process.pid)
  await delay(1_000)
  const idleShare = (processCpuMs(server.process.pid) - idleCpuMs) / 1_000
  return [
    {
      work: `${members} instances share ${REBALANCE_PARTITIONS.toLocaleString('en')} partitions: all join / one more joins / one leaves, until every partition is owned, CPU then`,
      tailrace: `${[all, joined, left].map(({ wallMs }) => figures.milliseconds(wallMs)).join(' / ')}, ${(idleShare * 100).toFixed(1)} %`,
      goal: '< 1 s a rebalance',
      goalMet: Math.max(joined.wallMs, left.wallMs) < REBALANCE_MS_MAX,
      measured: { all, joined, left, idleShare },
    },
  ]
}

interface Assignments {
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[]
}

async function untilOwned(group: string, names: readonly string[]): Promise<void> {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; ) {
    const owned = await Promise.all(
      names.map(async (name) => (await callJson('GET', `${group}/instances/${name}/assignments`)) as Assignments),
    )
    const counts = owned.map(({ partitions }) => partitions.length)
    const different = new Set(owned.flatMap(({ partitions }) => partitions.map(({ partition }) => partition)))
    const total = counts.reduce((sum, one) => sum + one, 0)
    const isBalanced = Math.max(...counts) - Math.min(...counts) <= 1
    if (total === REBALANCE_PARTITIONS && different.size === total && isBalanced) return
  }
  throw new Error('the partitions were not shared out within a minute')
}

const INSTANCES = 10_000
const GROUP_INSTANCES = 10
const INSTANCE_BYTES_MAX = 5 * 1_024

async function runInstances(context: BenchContext): Promise<readonly BenchRow[]> {
  const { quick, settleMs } = context.options
  const instances = quick ? 2_000 : INSTANCES
  const server = await context.startTailrace(context.makeDir('groups-instances'), { collects: true })
  await createTopic(server, TOPIC, PARTITIONS)
  const makeSome = async (from: number, to: number) => {
    for (let at = from; at < to; at += 1) {
      const group = `${server.url}/consumers/g-${at % Math.ceil(instances / GROUP_INSTANCES)}`
      await callJson('POST', group, { name: `c-${at}`, format: 'json' })
      await callJson('POST', `${group}/instances/c-${at}/subscription`, { topics: [TOPIC] })
    }
  }
  // what the first ones bring in with them is not an instance's own
  await makeAtOnce(makeSome, 0, instances / 10)
  await delay(settleMs)
  const { pid } = server.process
  // V8 itself collects an idle heap some 100 s after the last time; whoever does not wait so long asks it to
  const collectedMb = async () => {
    context.collectGarbage(server)
    await delay(settleMs * 2)
    return processMemory(pid).anonymousMb
  }
  const before = processMemory(pid).anonymousMb
  const collectedBefore = await collectedMb()
  const start = performance.now()
  await makeAtOnce(makeSome, instances / 10, instances + instances / 10)
  const wallMs = performance.now() - start
  await delay(settleMs * 4)
  const idleCpuMs = processCpuMs(pid)
  await delay(2_000)
  const idleShare = (processCpuMs(pid) - idleCpuMs) / 2_000
  const bytesEach = (mb: number) => (mb * 1_024 * 1_024) / instances
  const justMadeBytes = bytesEach(processMemory(pid).anonymousMb - before)
  const collectedBytes = bytesEach((await collectedMb()) - collectedBefore)
  return [
    {
      work: `${instances.toLocaleString('en')} consumer instances made, ${GROUP_INSTANCES} a group: a second, memory each just made / once V8 has collected, CPU when idle`,
      tailrace: `${figures.count((instances * 1_000) / wallMs)}/s, ${(justMadeBytes / 1_024).toFixed(1)} / ${(collectedBytes / 1_024).toFixed(1)} KB, ${(idleShare * 100).toFixed(1)} %`,
      goal: '< 5 KB each',
      goalMet: collectedBytes < INSTANCE_BYTES_MAX,
      measured: { instances, wallMs, justMadeBytes, collectedBytes, idleShare },
    },
  ]
}

async function makeAtOnce(make: (from: number, to: number) => Promise<void>, from: number, to: number): Promise<void> {
  const share = Math.ceil((to - from) / 16)
  await Promise.all(
    Array.from({ length: 16 }, (_, at) => make(from + at * share, Math.min(to, from + (at + 1) * share))),
  )
}

const COMMITTERS = 32
const COMMITS_PER_SECOND_GOAL = 20_000

async function runCommit(context: BenchContext): Promise<readonly BenchRow[]> {
  const server = await context.startTailrace(context.makeDir('groups-commit'))
  await createTopic(server, TOPIC, PARTITIONS)
  const group = '/consumers/commit'
  for (let at = 0; at < COMMITTERS; at += 1) {
    await callJson('POST', `${server.url}${group}`, { name: `c-${at}`, 'auto.commit.enable': 'false' })
    await callJson('POST', `${server.url}${group}/instances/c-${at}/assignments`, {
      partitions: [{ topic: TOPIC, partition: at }],
    })
  }
  const requests = Array.from({ length: COMMITTERS }, (_, at) =>
    postRequest(
      `${group}/instances/c-${at}/offsets`,
      `{"offsets":[{"topic":"${TOPIC}","partition":${at},"offset":0}]}`,
    ),
  )
  const contenders = [server, await context.startBare()].map((one) => ({
    server: one,
    connections: COMMITTERS,
    requests,
    status: 200,
  }))
  const [own, bare] = await measureInTurns(context, contenders)
  return [
    {
      work: `offset commits, one partition a request, ${COMMITTERS} connections, durable`,
      tailrace: `${figures.count(own!.perSecond)}/s`,
      latency: `${own!.p50Ms.toFixed(2)} / ${own!.p99Ms.toFixed(2)} ms`,
      bare: `${figures.count(bare!.perSecond)}/s`,
      bareRatio: figures.ratio(own!.perSecond / bare!.perSecond),
      bareCpuRatio: figures.ratio(own!.perCpuSecond / bare!.perCpuSecond),
      othersBusy: Math.max(own!.othersBusy, bare!.othersBusy),
      goal: `>= ${figures.count(COMMITS_PER_SECOND_GOAL)}/s`,
      goalMet: own!.perSecond >= COMMITS_PER_SECOND_GOAL,
      measured: { own, bare },
    },
  ]
}
