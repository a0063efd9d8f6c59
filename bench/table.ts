// The table: Markdown that also reads well on a terminal, and its place in README.md between two markers.

import { readFileSync, writeFileSync } from 'node:fs'
import type { BenchRow } from './bench-case.ts'

const HEADINGS = [
  'work',
  'Tailrace',
  'p50 / p99',
  'bare Fastify',
  'ratio',
  'by CPU',
  'durable-streams',
  'ratio',
  'goal',
] as const
const README_BEGIN = '<!-- bench: begin (npm run bench -- --readme) -->'
const README_END = '<!-- bench: end -->'

export function renderTable(rows: readonly BenchRow[]): string {
  const lines = [HEADINGS, ...rows.map(cells)]
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  const render = (line: readonly string[]) =>
    `| ${line.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [render(HEADINGS), rule, ...rows.map((row) => render(cells(row)))].join('\n')
}

function cells(row: BenchRow): string[] {
  const goal =
    row.goal === undefined ? '' : `${row.goal}${row.goalMet === undefined ? '' : row.goalMet ? ', met' : ', missed'}`
  const { work, tailrace, latency = '', bare = '', bareRatio = '', bareCpuRatio = '', peer = '', peerRatio = '' } = row
  return [work, tailrace, latency, bare, bareRatio, bareCpuRatio, peer, peerRatio, goal]
}

export function writeIntoReadme(file: string, text: string): void {
  const readme = readFileSync(file, 'utf8')
  const begin = readme.indexOf(README_BEGIN)
  const end = readme.indexOf(README_END)
  if (begin === -1 || end < begin) throw new Error(`${file} lacks the lines\n${README_BEGIN}\n${README_END}`)
  writeFileSync(file, `${readme.slice(0, begin + README_BEGIN.length)}\n\n${text}\n\n${readme.slice(end)}`)
}
