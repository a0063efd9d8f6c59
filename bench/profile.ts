// Where a server's time goes: sums a .cpuprofile (node --cpu-prof) into self time by function, by module, and the time
// of the functions of src/ with all that they call. `node bench/profile.ts FILE… [--top N]`, or `npm run bench -- --profile`.

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: readonly number[]
}

interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  /** µs from one sample to the next. */
  readonly timeDeltas: readonly number[]
}

export interface ProfileLine {
  readonly what: string
  readonly ms: number
}

export interface ProfileSummary {
  /** Idle time is left out. */
  readonly busyMs: number
  readonly selfByFunction: readonly ProfileLine[]
  readonly selfByModule: readonly ProfileLine[]
  readonly totalByFunction: readonly ProfileLine[]
}

const TOP_DEFAULT = 25

export function summariseProfile(profile: CpuProfile): ProfileSummary {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const selfMs = new Map<number, number>()
  profile.samples.forEach((id, index) => {
    selfMs.set(id, (selfMs.get(id) ?? 0) + profile.timeDeltas[index]! / 1_000)
  })
  const byFunction = new Map<string, number>()
  const byModule = new Map<string, number>()
  let busyMs = 0
  for (const [id, ms] of selfMs) {
    const node = nodes.get(id)!
    if (node.callFrame.functionName === '(idle)') continue
    busyMs += ms
    add(byFunction, functionName(node), ms)
    add(byModule, moduleName(node), ms)
  }
  const totals = totalTimes(profile.nodes, nodes, selfMs)
  return {
    busyMs,
    selfByFunction: longestFirst(byFunction),
    selfByModule: longestFirst(byModule),
    totalByFunction: longestFirst(totals),
  }
}

/** A function that calls itself is counted once: where it first stands on the stack. */
function totalTimes(
  all: readonly ProfileNode[],
  nodes: Map<number, ProfileNode>,
  selfMs: Map<number, number>,
): Map<string, number> {
  const totals = new Map<string, number>()
  const isChild = new Set(all.flatMap(({ children = [] }) => children))
  const walk = (node: ProfileNode, onStack: ReadonlySet<string>): number => {
    const name = functionName(node)
    const stack = onStack.has(name) ? onStack : new Set(onStack).add(name)
    let ms = selfMs.get(node.id) ?? 0
    for (const child of node.children ?? []) ms += walk(nodes.get(child)!, stack)
    if (stack !== onStack && isOwn(node)) add(totals, name, ms)
    return ms
  }
  for (const node of all) if (!isChild.has(node.id)) walk(node, new Set())
  return totals
}

function isOwn({ callFrame: { url } }: ProfileNode): boolean {
  return /\/(src|dist|bench)\/[^:]*\.[jt]s$/.test(url) && !url.includes('/node_modules/')
}

function functionName({ callFrame: { functionName: name, url, lineNumber } }: ProfileNode): string {
  if (url === '') return name || '(anonymous)'
  return `${name || '(anonymous)'} ${shortPath(url)}:${lineNumber + 1}`
}

function moduleName(node: ProfileNode): string {
  const { functionName: name, url } = node.callFrame
  if (url === '') return name.startsWith('(') ? name : '(native)'
  const dependency = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)
  return dependency ? dependency[1]! : shortPath(url)
}

function shortPath(url: string): string {
  if (url.includes('/node_modules/')) return url.slice(url.lastIndexOf('/node_modules/') + '/node_modules/'.length)
  const own = /\/((?:src|dist|bench|bin)\/.*)$/.exec(url)
  return own ? own[1]! : url
}

function add(sums: Map<string, number>, key: string, ms: number): void {
  sums.set(key, (sums.get(key) ?? 0) + ms)
}

function longestFirst(sums: Map<string, number>): ProfileLine[] {
  return [...sums].map(([what, ms]) => ({ what, ms })).sort((a, b) => b.ms - a.ms)
}

/** The busiest thread's profile alone: a worker that waited for work says nothing. */
export function summariseProfiles(files: readonly string[], top = TOP_DEFAULT): string {
  const summaries = files.map((file) => ({ file, summary: summariseProfile(JSON.parse(readFileSync(file, 'utf8'))) }))
  const busiest = summaries.sort((a, b) => b.summary.busyMs - a.summary.busyMs)[0]
  if (!busiest) return 'No profile was written: did the server end by itself?'
  const { busyMs, selfByFunction, selfByModule, totalByFunction } = busiest.summary
  const block = (title: string, lines: readonly ProfileLine[]) => [
    '',
    title,
    ...lines
      .slice(0, top)
      .map(
        ({ what, ms }) => `${((ms / busyMs) * 100).toFixed(1).padStart(6)} % ${ms.toFixed(0).padStart(8)} ms  ${what}`,
      ),
  ]
  return [
    `${busiest.file}: ${busyMs.toFixed(0)} ms busy`,
    ...block('self time by function', selfByFunction),
    ...block('self time by module', selfByModule),
    ...block('with all that they call, our own functions', totalByFunction),
  ].join('\n')
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { top: { type: 'string' } } })
  process.stdout.write(`${summariseProfiles(positionals, Number(values.top ?? TOP_DEFAULT))}\n`)
}
