// Records on stdout: lines of a table on a terminal, one JSON object a line in a pipe, or one JSON array. JSON goes out as
// the server sent it; only line breaks inside a value, which mean nothing there, become blanks where a line is a record.

import type { RecordHeader } from '../client/api.ts'
import type { RawRecord } from '../client/record-page.ts'
import type { RecordOutput } from './table.ts'
import { chosenOutput } from './table.ts'
import type { Terminal } from './terminal.ts'

export interface RecordPrinter {
  print(records: readonly RawRecord[]): Promise<void>
  /** After the last record. */
  finish(): Promise<void>
}

/** In the form that was asked for, else in what fits stdout. `titles`: where they are for people, topics have a line above them. */
export function openRecordPrinter(terminal: Terminal, asked?: RecordOutput, titles = false): RecordPrinter {
  const output = asked ?? chosenOutput(undefined, terminal)
  const nothing = async () => {}
  switch (output) {
    case 'ndjson':
      return { print: (records) => terminal.write(joined(records.map(jsonLine))), finish: nothing }
    case 'json':
      return openArrayPrinter(terminal)
    default: {
      const print = output === 'table' ? tablePrint(terminal) : linesPrint(terminal, output)
      return { print: titles ? titledPrint(terminal, print) : print, finish: nothing }
    }
  }
}

type Print = RecordPrinter['print']

/** As coreutils' tail has the names of files. */
function titledPrint(terminal: Terminal, print: Print): Print {
  let title: string | undefined
  return async (records) => {
    for (let start = 0, end = 0; start < records.length; start = end) {
      const topic = records[start]?.topic ?? ''
      while (end < records.length && records[end]?.topic === topic) end++
      if (topic !== title) await terminal.write(`${title === undefined ? '' : '\n'}==> ${topic} <==\n`)
      title = topic
      await print(records.slice(start, end))
    }
  }
}

const LINE_END = Buffer.from('\n')
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const BLANK = 0x20

function jsonLine({ json }: RawRecord): readonly Uint8Array[] {
  return [onOneLine(json), LINE_END]
}

function joined(parts: readonly (readonly Uint8Array[])[]): Buffer {
  return Buffer.concat(parts.flat())
}

/** Inside a JSON string a line break cannot stand raw: wherever there is one, a blank says the same. */
function onOneLine(json: Uint8Array): Uint8Array {
  if (!json.includes(LINE_FEED) && !json.includes(CARRIAGE_RETURN)) return json
  return json.map((byte) => (byte === LINE_FEED || byte === CARRIAGE_RETURN ? BLANK : byte))
}

function openArrayPrinter(terminal: Terminal): RecordPrinter {
  const separator = Buffer.from(',\n')
  let isFirst = true
  return {
    async print(records) {
      const parts = records.map(({ json }, at) => (isFirst && at === 0 ? [json] : [separator, json]))
      await terminal.write(joined([[isFirst ? Buffer.from('[\n') : Buffer.alloc(0)], ...parts]))
      isFirst = false
    },
    finish: () => terminal.write(isFirst ? '[]\n' : '\n]\n'),
  }
}

/** Widths that most records fit in; a longer cell pushes its line to the right. */
const WIDTHS = { place: 12, timestamp: 24, key: 12 }

function tablePrint(terminal: Terminal): Print {
  let isFirst = true
  return async (records) => {
    const lines = records.map((record) => renderLine(record))
    if (isFirst) lines.unshift(columns('PART:OFFSET', 'TIMESTAMP', 'KEY', 'VALUE'))
    isFirst = false
    await terminal.write(lines.join(''))
  }
}

const TAB = Buffer.from('\t')

/** What was stored, and nothing else: values as lines, or keys and values with a tab between. Typed ones as their schema has them. */
function linesPrint(terminal: Terminal, output: 'value' | 'key-value'): Print {
  let isTold = false
  return (records) => {
    const untold = isTold ? undefined : records.find((record) => reasonOf(record, output) !== undefined)
    if (untold !== undefined) {
      const place = `offset ${untold.offset} of partition ${untold.partition} of ${untold.topic}`
      terminal.note(
        `tailrace: ${place}: ${reasonOf(untold, output)}: what no schema can show is printed as base64; --value-format base64 prints the bytes of all values`,
      )
      isTold = true
    }
    const lines = records.map((record) => {
      const value = storedBytes(record, 'value')
      return output === 'value' ? [value, LINE_END] : [storedBytes(record, 'key'), TAB, value, LINE_END]
    })
    return terminal.write(joined(lines))
  }
}

/** Why the value, or the key where that is printed, is not shown by a schema though it looks as if it were of one. */
function reasonOf(record: RawRecord, output: 'value' | 'key-value'): string | undefined {
  return record.text('value_error') ?? (output === 'value' ? undefined : record.text('key_error'))
}

/** JSON on one line, base64 for what its schema cannot show; nothing for a key or a value that is not there. */
function storedBytes(record: RawRecord, name: 'key' | 'value'): Uint8Array {
  const encoding = record.text(`${name}_encoding`)
  if (encoding === undefined) return Buffer.alloc(0)
  if (encoding === 'base64') {
    const text = record.text(name) ?? ''
    return record.member(`${name}_error`) === undefined ? Buffer.from(text, 'base64') : Buffer.from(text)
  }
  const text = encoding === 'string' ? record.text(name) : undefined
  return text === undefined ? onOneLine(Buffer.from(record.member(name) ?? '')) : Buffer.from(text)
}

function columns(place: string, timestamp: string, key: string, rest: string): string {
  const { place: placeWidth, timestamp: timestampWidth, key: keyWidth } = WIDTHS
  return `${place.padEnd(placeWidth)} ${timestamp.padEnd(timestampWidth)} ${key.padEnd(keyWidth)} ${rest}\n`
}

function renderLine(record: RawRecord): string {
  const headers = JSON.parse(record.member('headers') ?? '[]') as RecordHeader[]
  const headerText = headers.map(({ name, value }) => `${name}=${value ?? 'null'}`).join(', ')
  const value = renderField(record, 'value')
  return columns(
    `${record.partition}:${record.offset}`,
    record.text('timestamp') ?? '-',
    renderField(record, 'key'),
    headers.length === 0 ? value : `[${printable(headerText)}] ${value}`,
  )
}

/** Text as it is, JSON as JSON, bytes as base64: that and nothing that a terminal would act on. */
function renderField(record: RawRecord, name: 'key' | 'value'): string {
  const encoding = record.text(`${name}_encoding`)
  if (encoding === 'string') return printable(record.text(name) ?? '')
  const text = printable(record.member(name) ?? 'null')
  return encoding === 'base64' ? `base64 ${record.text(name)}` : text
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => {
    return ESCAPES[control] ?? `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
