// Lists for people and for programs: a table on a terminal, one JSON object a line in a pipe, or one JSON text.

import type { Terminal } from './terminal.ts'

export const OUTPUTS = ['table', 'json', 'ndjson'] as const
export type Output = (typeof OUTPUTS)[number]

/** Of records: also what was stored, and nothing else. */
export const RECORD_OUTPUTS = [...OUTPUTS, 'value', 'key-value'] as const
export type RecordOutput = (typeof RECORD_OUTPUTS)[number]

/** What was asked for, else what fits stdout. */
export function chosenOutput(asked: Output | undefined, terminal: Terminal): Output {
  return asked ?? (terminal.outputIsTerminal ? 'table' : 'ndjson')
}

export interface Column<Item> {
  readonly name: string
  readonly text: (item: Item) => string
}

export async function printList<Item>(
  terminal: Terminal,
  output: Output,
  items: readonly Item[],
  columns: readonly Column<Item>[],
): Promise<void> {
  if (output === 'json') await terminal.write(`${JSON.stringify(items, null, 2)}\n`)
  else if (output === 'ndjson') await terminal.write(items.map((item) => `${JSON.stringify(item)}\n`).join(''))
  else await terminal.write(renderTable(items, columns))
}

export function renderTable<Item>(items: readonly Item[], columns: readonly Column<Item>[]): string {
  const rows = [columns.map(({ name }) => name), ...items.map((item) => columns.map(({ text }) => text(item)))]
  const widths = columns.map((_, at) => rows.reduce((width, row) => Math.max(width, row[at]?.length ?? 0), 0))
  const lines = rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '))
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}
