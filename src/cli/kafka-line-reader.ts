// A line of `kafka-console-producer` as a record, by the reader properties of Kafka's LineMessageReader:
//
//   parse.headers=true parse.key=true     h1:v1,h2:v2<headers.delimiter>key<key.separator>value
//
// It works on bytes: what is no UTF-8 arrives as it is.

import { isUtf8 } from 'node:buffer'
import { CommandFailure } from './command-failure.ts'
import type { Properties } from './kafka-connect.ts'
import { isTrue } from './kafka-connect.ts'
import { encodedMember } from './line-record.ts'

const TEXT = { encoding: 'string', schema: undefined } as const

/** Gives the record as JSON. */
export type LineReader = (line: Buffer, lineNumber: number) => string

export function openLineReader(properties: Properties): LineReader {
  const settings = readSettings(properties)
  return (line, lineNumber) => {
    const headers = settings.parseHeaders ? cut(line, 0, settings, lineNumber, 'headers delimiter') : undefined
    const keyStart = headers?.end ?? 0
    const key = settings.parseKey ? cut(line, keyStart, settings, lineNumber, 'key separator') : undefined
    const value = line.subarray(key?.end ?? keyStart)
    const members: string[] = []
    if (key !== undefined && !isNull(key.bytes, settings)) members.push(encodedMember('key', key.bytes, TEXT))
    if (!isNull(value, settings)) members.push(encodedMember('value', value, TEXT))
    if (headers !== undefined && !isNull(headers.bytes, settings)) {
      members.push(`"headers":${renderHeaders(headers.bytes, settings, lineNumber)}`)
    }
    return `{${members.join(',')}}`
  }
}

interface Settings {
  readonly parseKey: boolean
  readonly parseHeaders: boolean
  readonly ignoreError: boolean
  readonly keySeparator: Buffer
  readonly headersDelimiter: Buffer
  readonly headersSeparator: Buffer
  readonly headersKeySeparator: Buffer
  readonly nullMarker: Buffer | undefined
}

function readSettings(properties: Properties): Settings {
  const bytes = (name: string, usual: string) => Buffer.from(properties.get(name) ?? usual)
  const nullMarker = properties.get('null.marker')
  const named = {
    'key.separator': bytes('key.separator', '\t'),
    'headers.delimiter': bytes('headers.delimiter', '\t'),
    'headers.separator': bytes('headers.separator', ','),
    'headers.key.separator': bytes('headers.key.separator', ':'),
    'null.marker': nullMarker === undefined ? undefined : Buffer.from(nullMarker),
  }
  for (const [left, right] of DISTINCT) {
    const bytes = named[right]
    if (bytes !== undefined && named[left]?.equals(bytes)) {
      throw new CommandFailure(`${left} and ${right} may not be equal`)
    }
  }
  return {
    parseKey: isTrue(properties, 'parse.key'),
    parseHeaders: isTrue(properties, 'parse.headers'),
    ignoreError: isTrue(properties, 'ignore.error'),
    keySeparator: named['key.separator'],
    headersDelimiter: named['headers.delimiter'],
    headersSeparator: named['headers.separator'],
    headersKeySeparator: named['headers.key.separator'],
    nullMarker: named['null.marker'],
  }
}

const DISTINCT = [
  ['headers.delimiter', 'headers.separator'],
  ['headers.delimiter', 'headers.key.separator'],
  ['headers.separator', 'headers.key.separator'],
  ['null.marker', 'key.separator'],
  ['null.marker', 'headers.separator'],
  ['null.marker', 'headers.delimiter'],
  ['null.marker', 'headers.key.separator'],
] as const

/** What stands before the separator, and where the rest begins; undefined where an error is ignored. */
function cut(
  line: Buffer,
  start: number,
  settings: Settings,
  lineNumber: number,
  what: 'headers delimiter' | 'key separator',
): { bytes: Buffer; end: number } | undefined {
  const separator = what === 'key separator' ? settings.keySeparator : settings.headersDelimiter
  const at = line.indexOf(separator, start)
  if (at >= 0) return { bytes: line.subarray(start, at), end: at + separator.length }
  if (settings.ignoreError) return undefined
  throw new CommandFailure(`No ${what} found on line number ${lineNumber}: '${line}'`)
}

function isNull(bytes: Buffer, { nullMarker }: Settings): boolean {
  return nullMarker?.equals(bytes) === true
}

function renderHeaders(bytes: Buffer, settings: Settings, lineNumber: number): string {
  const pairs = split(bytes, settings.headersSeparator)
  return `[${pairs.map((pair) => renderHeader(pair, settings, lineNumber)).join(',')}]`
}

function renderHeader(pair: Buffer, settings: Settings, lineNumber: number): string {
  const at = pair.indexOf(settings.headersKeySeparator)
  if (at < 0 && !settings.ignoreError) {
    throw new CommandFailure(`No header key separator found in pair '${pair}' on line number ${lineNumber}`)
  }
  const name = at < 0 ? pair : pair.subarray(0, at)
  if (isNull(name, settings)) {
    throw new CommandFailure(
      `Header keys should not be equal to the null marker '${settings.nullMarker}' as they can't be null`,
    )
  }
  const value = pair.subarray(at + settings.headersKeySeparator.length)
  const isText = isUtf8(value)
  return JSON.stringify({
    name: name.toString(),
    value: at < 0 || isNull(value, settings) ? null : value.toString(isText ? 'utf8' : 'base64'),
    ...(isText ? {} : { value_encoding: 'base64' }),
  })
}

function split(bytes: Buffer, separator: Buffer): Buffer[] {
  const parts: Buffer[] = []
  let start = 0
  for (let at = bytes.indexOf(separator); at >= 0; at = bytes.indexOf(separator, start)) {
    parts.push(bytes.subarray(start, at))
    start = at + separator.length
  }
  return [...parts, bytes.subarray(start)]
}
