// Records as `kafka-console-consumer` prints them, by the properties of Kafka's DefaultMessageFormatter. Keys and values
// are the stored bytes, unless a deserializer is named for them. Records are read with key_format and value_format base64.

import type { RecordHeader } from '../client/api.ts'
import type { RawRecord } from '../client/record-page.ts'
import { javaDouble, javaFloat } from '../kernel/java-number.ts'
import { CommandFailure } from './command-failure.ts'
import type { Properties } from './kafka-connect.ts'
import { isTrue } from './kafka-connect.ts'

export type MessageFormatter = (record: RawRecord) => Buffer

type Deserialize = (bytes: Buffer) => string | Buffer

/** By the last part of the class's name. */
const DESERIALIZERS: Readonly<Record<string, { readonly size?: number; readonly text: Deserialize }>> = {
  StringDeserializer: { text: (bytes) => bytes },
  ByteArrayDeserializer: { text: (bytes) => bytes },
  BytesDeserializer: { text: (bytes) => bytes },
  ShortDeserializer: { size: 2, text: (bytes) => String(bytes.readInt16BE()) },
  IntegerDeserializer: { size: 4, text: (bytes) => String(bytes.readInt32BE()) },
  LongDeserializer: { size: 8, text: (bytes) => String(bytes.readBigInt64BE()) },
  FloatDeserializer: { size: 4, text: (bytes) => javaFloat(bytes.readFloatBE()) },
  DoubleDeserializer: { size: 8, text: (bytes) => javaDouble(bytes.readDoubleBE()) },
  UUIDDeserializer: { text: (bytes) => bytes },
  BooleanDeserializer: { size: 1, text: (bytes) => String(bytes[0] !== 0) },
}

const OF_SCHEMAS = /^Kafka(?:Avro|JsonSchema|Protobuf)Deserializer$/

export function openMessageFormatter(properties: Properties): MessageFormatter {
  const separator = Buffer.from(properties.get('key.separator') ?? '\t')
  const lineSeparator = Buffer.from(properties.get('line.separator') ?? '\n')
  const nullLiteral = Buffer.from(properties.get('null.literal') ?? 'null')
  const fields = fieldsOf(properties, nullLiteral)
  return (record) => {
    const parts: Buffer[] = []
    for (const [at, field] of fields.entries()) {
      if (at > 0) parts.push(separator)
      parts.push(field(record))
    }
    if (fields.length > 0) parts.push(lineSeparator)
    return Buffer.concat(parts)
  }
}

/** What is printed of a record, in Kafka's order. */
function fieldsOf(properties: Properties, nullLiteral: Buffer): MessageFormatter[] {
  const key = deserializer(properties, 'key.deserializer')
  const value = deserializer(properties, 'value.deserializer')
  const header = deserializer(properties, 'headers.deserializer')
  const headersSeparator = Buffer.from(properties.get('headers.separator') ?? ',')
  const fields: MessageFormatter[] = []
  const add = (name: string, field: MessageFormatter) => {
    if (isTrue(properties, name)) fields.push(field)
  }
  add('print.timestamp', timestampOf)
  add('print.partition', (record) => Buffer.from(`Partition:${record.partition}`))
  add('print.offset', (record) => Buffer.from(`Offset:${record.offset}`))
  add('print.delivery', () => Buffer.from('Delivery:NONE'))
  add('print.headers', (record) => headersOf(record, header, headersSeparator, nullLiteral))
  add('print.key', (record) => printed(bytesOf(record, 'key'), key, nullLiteral))
  if (!properties.has('print.value') || isTrue(properties, 'print.value')) {
    fields.push((record) => printed(bytesOf(record, 'value'), value, nullLiteral))
  }
  return fields
}

function timestampOf(record: RawRecord): Buffer {
  const timestamp = record.text('timestamp')
  if (timestamp === undefined) return Buffer.from('NO_TIMESTAMP')
  return Buffer.from(`${record.text('timestamp_type')}:${Date.parse(timestamp)}`)
}

function bytesOf(record: RawRecord, name: 'key' | 'value'): Buffer | null {
  const base64 = record.text(name)
  return base64 === undefined ? null : Buffer.from(base64, 'base64')
}

function headersOf(record: RawRecord, text: Deserialize, separator: Buffer, nullLiteral: Buffer): Buffer {
  const headers = JSON.parse(record.member('headers') ?? '[]') as RecordHeader[]
  if (headers.length === 0) return Buffer.from('NO_HEADERS')
  const parts = headers.flatMap(({ name, value, value_encoding }, at) => {
    const bytes = value === null ? null : Buffer.from(value, value_encoding === 'base64' ? 'base64' : 'utf8')
    return [at > 0 ? separator : Buffer.alloc(0), Buffer.from(`${name}:`), printed(bytes, text, nullLiteral)]
  })
  return Buffer.concat(parts)
}

function printed(bytes: Buffer | null, text: Deserialize, nullLiteral: Buffer): Buffer {
  if (bytes === null) return nullLiteral
  const result = text(bytes)
  return typeof result === 'string' ? Buffer.from(result) : result
}

function deserializer(properties: Properties, name: string): Deserialize {
  const className = properties.get(name)
  if (className === undefined) return (bytes) => bytes
  const shortName = className.slice(className.lastIndexOf('.') + 1)
  const found = Object.hasOwn(DESERIALIZERS, shortName) ? DESERIALIZERS[shortName] : undefined
  if (found === undefined) {
    const hint = OF_SCHEMAS.test(shortName) ? "; 'tailrace consume' shows what schemas stand for" : ''
    throw new CommandFailure(`${name}=${className}: here are ${Object.keys(DESERIALIZERS).join(', ')}${hint}`)
  }
  const { size, text } = found
  return (bytes) => {
    if (size === undefined || bytes.length === size) return text(bytes)
    throw new CommandFailure(`Size of data received by ${shortName} is not ${size}`)
  }
}
