// A line of text as a record of a produce request. What goes over the wire is the line's bytes: as a JSON string where
// they are UTF-8, else as base64; JSON that is checked goes as it stands.

import { isUtf8 } from 'node:buffer'
import type { RecordEncoding } from '../client/api.ts'
import { splitObject } from '../client/raw-json.ts'
import { isJson } from '../kernel/json-text.ts'
import { CommandFailure } from './command-failure.ts'

export interface LineFormat {
  /** Cuts the key off the front of the line. */
  readonly keySeparator?: Buffer | undefined
  /** The key of every record. */
  readonly key?: string | undefined
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly partition?: number | undefined
  readonly keyForm: MemberForm
  readonly valueForm: MemberForm
  /** An empty value is none: a tombstone. */
  readonly emptyIsTombstone: boolean
}

/** How a key or value is meant. */
export interface MemberForm {
  /** undefined: that of the schema. */
  readonly encoding: RecordEncoding | undefined
  /** Which, with the encodings of schemas; undefined: that of the topic's subject. */
  readonly schema: SchemaMembers | undefined
}

/** As they stand in a record. */
export interface SchemaMembers {
  readonly id: number | undefined
  readonly subject: string | undefined
  readonly version: number | undefined
}

/** A record, as JSON, of a line that is its value, or its key and value. */
export function recordOfLine(line: Buffer, format: LineFormat): string {
  const { key, value } = splitLine(line, format)
  const members: string[] = []
  if (key !== null) members.push(encodedMember('key', key, format.keyForm))
  if (value.length > 0 || !format.emptyIsTombstone) {
    members.push(encodedMember('value', value, format.valueForm))
  }
  if (format.headers.length > 0) {
    const headers = format.headers.map(([name, value]) => ({ name, value }))
    members.push(`"headers":${JSON.stringify(headers)}`)
  }
  if (format.partition !== undefined) members.push(`"partition":${format.partition}`)
  return `{${members.join(',')}}`
}

function splitLine(line: Buffer, { keySeparator, key }: LineFormat): { key: Buffer | null; value: Buffer } {
  if (keySeparator === undefined) return { key: key === undefined ? null : Buffer.from(key), value: line }
  const at = line.indexOf(keySeparator)
  if (at < 0) throw new CommandFailure(`there is no key separator '${keySeparator}' in it`)
  return { key: line.subarray(0, at), value: line.subarray(at + keySeparator.length) }
}

/** A member and its encoding: `"value":"…","value_encoding":"string"`. */
export function encodedMember(name: 'key' | 'value', bytes: Buffer, { encoding, schema }: MemberForm): string {
  if (encoding === undefined || encoding === 'json' || isSchemaEncoding(encoding)) {
    if (!isJson(bytes, 0, bytes.length)) throw new CommandFailure(`its ${name} is not JSON: ${excerpt(bytes)}`)
    const said = encoding === undefined ? '' : `,"${name}_encoding":"${encoding}"`
    return `"${name}":${bytes}${said}${schema === undefined ? '' : schemaMembers(name, schema)}`
  }
  if (encoding !== 'string') return `"${name}":${JSON.stringify(bytes.toString())},"${name}_encoding":"${encoding}"`
  return isUtf8(bytes)
    ? `"${name}":${JSON.stringify(bytes.toString())},"${name}_encoding":"string"`
    : `"${name}":"${bytes.toString('base64')}","${name}_encoding":"base64"`
}

export function isSchemaEncoding(encoding: RecordEncoding): boolean {
  return encoding === 'avro' || encoding === 'jsonschema' || encoding === 'protobuf'
}

function schemaMembers(name: 'key' | 'value', { id, subject, version }: SchemaMembers): string {
  const prefix = name === 'key' ? 'key_' : ''
  const members = [
    id === undefined ? '' : `,"${prefix}schema_id":${id}`,
    subject === undefined ? '' : `,"${prefix}subject":${JSON.stringify(subject)}`,
    version === undefined ? '' : `,"${prefix}schema_version":${version}`,
  ]
  return members.join('')
}

/** What says where a record was, and not what it is. */
const PLACE_MEMBERS = ['topic', 'offset', 'timestamp_type', 'key_was', 'value_was']
/** Bytes that could not be read, and the schema that they could not be read by. */
const UNREAD_MEMBERS = [
  ['key', 'key_error', 'key_schema_id'],
  ['value', 'value_error', 'schema_id'],
] as const

export interface JsonLineFormat {
  /** Goes before what the line says. */
  readonly partition?: number | undefined
  /** false: by key, whatever the line says. */
  readonly keepPartition: boolean
}

/** A record, as JSON, of a line that is one, as consume and export write it. undefined: an export's last line, or blank. */
export function recordOfJsonLine(line: Buffer, { partition, keepPartition }: JsonLineFormat): string | undefined {
  if (line.every((byte) => byte === 0x20 || byte === 0x09)) return undefined
  const members = isUtf8(line) ? splitObject(line) : undefined
  if (members === undefined) throw new CommandFailure(`it is no JSON object: ${excerpt(line)}`)
  if (members.has('$end')) return undefined
  for (const name of PLACE_MEMBERS) members.delete(name)
  for (const [part, error, schemaId] of UNREAD_MEMBERS) {
    const isUnread =
      members.delete(error) && !isSchemaEncoding(JSON.parse(String(members.get(`${part}_encoding`) ?? null)))
    if (isUnread) members.delete(schemaId)
  }
  if (!keepPartition) members.delete('partition')
  if (partition !== undefined) members.set('partition', Buffer.from(String(partition)))
  const texts = [...members].map(([name, json]) => `${JSON.stringify(name)}:${json}`)
  return `{${texts.join(',')}}`
}

const EXCERPT_BYTES_MAX = 60

function excerpt(bytes: Buffer): string {
  const text = bytes.toString('utf8', 0, EXCERPT_BYTES_MAX)
  return bytes.length > EXCERPT_BYTES_MAX ? `${text}…` : text
}
