// `tailrace produce TOPIC [FILE…]`: each line of the input is a record.

import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { Acks, ProduceResponse, RecordEncoding } from '../client/api.ts'
import { NamedProducer } from '../client/named-producer.ts'
import { foregroundClock } from '../kernel/clock.ts'
import { CommandFailure, EXIT } from './command-failure.ts'
import type { ListOptions } from './connect.ts'
import { connect } from './connect.ts'
import type { LineFormat, MemberForm, SchemaMembers } from './line-record.ts'
import { isSchemaEncoding, recordOfJsonLine, recordOfLine } from './line-record.ts'
import { RecordSender } from './record-sender.ts'
import type { LineInput, RenderLine } from './send-lines.ts'
import { sendLines } from './send-lines.ts'
import { chosenOutput } from './table.ts'
import type { Terminal } from './terminal.ts'

export interface ProduceVerbOptions extends ListOptions {
  readonly key?: string
  readonly keySeparator?: string
  readonly header?: readonly (readonly [name: string, value: string])[]
  readonly partition?: number
  readonly keyEncoding?: RecordEncoding
  readonly valueEncoding?: RecordEncoding
  readonly schemaId?: number
  readonly subject?: string
  readonly schemaVersion?: number
  readonly keySchemaId?: number
  readonly keySubject?: string
  readonly keySchemaVersion?: number
  readonly tombstones?: boolean
  readonly input: 'lines' | 'ndjson'
  /** With ndjson; false: by key. */
  readonly keepPartitions: boolean
  readonly acks: Acks
  readonly batchRecords: number
  readonly idempotent?: boolean
  readonly echo?: boolean
}

export async function produce(
  terminal: Terminal,
  topic: string,
  files: readonly string[],
  options: ProduceVerbOptions,
): Promise<void> {
  if (options.key !== undefined && options.keySeparator !== undefined) {
    throw new CommandFailure('-k gives every record the same key and -K takes it from the line: one of them', {
      exitCode: EXIT.usage,
    })
  }
  const signal = terminal.interruptSignal()
  const sender = new RecordSender({
    send: sendWith(terminal, topic, options),
    recordsMax: options.batchRecords,
    ...(options.echo && { onProduced: echoTo(terminal, options) }),
  })
  const render = placed(renderWith(options))
  try {
    for (const input of inputsOf(terminal, files)) {
      await sendLines({ input, sender, render, signal })
      if (signal.aborted) break
    }
  } catch (error) {
    throw await sender.finishBefore(error)
  }
  await sender.finish()
}

function sendWith(
  terminal: Terminal,
  topic: string,
  options: ProduceVerbOptions,
): (body: string) => Promise<ProduceResponse> {
  const client = connect(terminal, options)
  const { acks } = options
  if (!options.idempotent) return (body) => client.produceJson(topic, body, { acks })
  const producer = new NamedProducer({
    client,
    clock: foregroundClock,
    id: `cli-${randomUUID()}`,
    epoch: 0,
    onRetry: ({ message }, delayMs) => terminal.note(`tailrace: ${message}: trying again in ${delayMs} ms`),
  })
  return (body) => producer.produceJson(topic, body, { acks })
}

/** A line that cannot be taken is named. */
function placed(render: (line: Buffer) => string | undefined): RenderLine {
  return (line, _number, place) => {
    try {
      return render(line)
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error
      throw new CommandFailure(`${place}: ${error.message}`, { exitCode: error.exitCode, cause: error })
    }
  }
}

function renderWith(options: ProduceVerbOptions): (line: Buffer) => string | undefined {
  const keyForm = formOf('--key-encoding', options.keyEncoding, {
    id: options.keySchemaId,
    subject: options.keySubject,
    version: options.keySchemaVersion,
  })
  const valueForm = formOf('--value-encoding', options.valueEncoding, {
    id: options.schemaId,
    subject: options.subject,
    version: options.schemaVersion,
  })
  if (options.input === 'ndjson') {
    if (keyForm.schema !== undefined || valueForm.schema !== undefined) {
      throw usage('with --input ndjson each line names its own schema (schema_id, subject, schema_version)')
    }
    const format = { partition: options.partition, keepPartition: options.keepPartitions }
    return (line) => recordOfJsonLine(line, format)
  }
  const format: LineFormat = {
    keySeparator: options.keySeparator === undefined ? undefined : Buffer.from(options.keySeparator),
    key: options.key,
    headers: options.header ?? [],
    partition: options.partition,
    keyForm,
    valueForm,
    emptyIsTombstone: options.tombstones === true,
  }
  return (line) => recordOfLine(line, format)
}

/** A schema that is named brings its own encoding, and goes with no other. */
function formOf(option: string, encoding: RecordEncoding | undefined, members: SchemaMembers): MemberForm {
  const isNamed = members.id !== undefined || members.subject !== undefined || members.version !== undefined
  if (!isNamed) return { encoding: encoding ?? 'string', schema: undefined }
  if (encoding === undefined || isSchemaEncoding(encoding)) return { encoding, schema: members }
  throw usage(`${option} ${encoding} does not go with a schema: avro, jsonschema and protobuf do, or none`)
}

function usage(message: string): CommandFailure {
  return new CommandFailure(message, { exitCode: EXIT.usage })
}

function* inputsOf(terminal: Terminal, files: readonly string[]): Generator<LineInput> {
  for (const name of files.length === 0 ? ['-'] : files) {
    yield name === '-' ? { chunks: terminal.input, name: undefined } : { chunks: createReadStream(name), name }
  }
}

function echoTo(terminal: Terminal, options: ProduceVerbOptions): (response: ProduceResponse) => Promise<void> {
  const isTable = chosenOutput(options.output, terminal) === 'table'
  return async ({ records }) => {
    const lines = records.map((record) => {
      const { partition, offset, timestamp } = record
      return isTable ? `partition ${partition} offset ${offset} ${timestamp}\n` : `${JSON.stringify(record)}\n`
    })
    await terminal.write(lines.join(''))
  }
}
