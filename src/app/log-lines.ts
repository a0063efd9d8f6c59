// Where log lines go: to stderr, since stdout is for what a command was asked for; as JSON where a program reads them, and
// in words on a terminal. Written in one go: a line before a crash must not be lost.

import type { DestinationStream } from 'pino'
import { pino } from 'pino'
import type { Logger } from '../kernel/logger.ts'
import type { LogLevel } from './config.ts'

export function openLogger(level: LogLevel): Logger {
  const stderr = pino.destination({ dest: 2, sync: true })
  const readable: DestinationStream = { write: (line) => stderr.write(readableLine(line)) }
  return pino({ level }, process.stderr.isTTY ? readable : stderr)
}

interface LoggedLine {
  readonly level: number
  readonly time: number
  readonly msg?: string
  readonly err?: { readonly stack?: string; readonly message?: string }
}

/** For people: time, level, message, facts; the stack of an error on lines of its own. */
export function readableLine(line: string): string {
  let parsed: LoggedLine
  try {
    parsed = JSON.parse(line)
  } catch {
    return line
  }
  const { level, time, msg = '', err, ...facts } = parsed
  const told = Object.entries(facts).filter(([name]) => name !== 'pid' && name !== 'hostname')
  const parts = [new Date(time).toISOString(), (pino.levels.labels[level] ?? String(level)).toUpperCase().padEnd(5)]
  const pairs = told.map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const text = printable(`${parts.join(' ')} ${msg}${pairs.length === 0 ? '' : `  ${pairs.join(' ')}`}`)
  const stack = (err?.stack ?? err?.message ?? '').split('\n').filter((each) => each !== '')
  return `${[text, ...stack.map((each) => `    ${printable(each)}`)].join('\n')}\n`
}

/** Names and values come from clients: none of them commands the terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
