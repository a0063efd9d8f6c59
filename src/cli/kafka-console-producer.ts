// `tailrace kafka-console-producer`: lines of stdin become records, as with Kafka's tool.

import type { Acks } from '../client/api.ts'
import { CommandFailure } from './command-failure.ts'
import type { KafkaConnectOptions, Properties } from './kafka-connect.ts'
import { connectAsKafka, noteUnread, parseProperties } from './kafka-connect.ts'
import { openLineReader } from './kafka-line-reader.ts'
import { refuseSchemaProperties } from './kafka-schema-tools.ts'
import { RecordSender } from './record-sender.ts'
import { sendLines } from './send-lines.ts'
import type { Terminal } from './terminal.ts'

export interface KafkaConsoleProducerOptions extends KafkaConnectOptions {
  readonly topic?: string
  /** For the reader of lines. */
  readonly property?: readonly string[]
  readonly readerProperty?: readonly string[]
  readonly producerProperty?: readonly string[]
  readonly commandProperty?: readonly string[]
  readonly requestRequiredAcks?: string
  readonly sync?: boolean
  readonly lineReader?: string
  readonly readerConfig?: string
  readonly commandConfig?: string
  readonly 'producer.config'?: string
}

const REQUEST_RECORDS = 1_000

export async function kafkaConsoleProducer(terminal: Terminal, options: KafkaConsoleProducerOptions): Promise<void> {
  const { topic } = options
  if (topic === undefined) throw new CommandFailure('Missing required argument "[topic]"')
  const properties = parseProperties([...(options.property ?? []), ...(options.readerProperty ?? [])])
  refuseSchemaProperties(properties, `tailrace produce ${topic} --value-encoding avro|jsonschema|protobuf`)
  const readLine = openLineReader(properties)
  const acks = acksOf(options)
  if (options.lineReader !== undefined && !options.lineReader.endsWith('LineMessageReader')) {
    throw new CommandFailure(
      `--line-reader ${options.lineReader}: there is no other reader than LineMessageReader here`,
    )
  }
  const client = await connectAsKafka(terminal, options)
  noteUnread(terminal, {
    '--reader-config': options.readerConfig,
    '--command-config': options.commandConfig,
    '--producer.config': options['producer.config'],
  })
  const sender = new RecordSender({
    send: (body) => client.produceJson(topic, body, { acks }),
    recordsMax: options.sync ? 1 : REQUEST_RECORDS,
  })
  const prompt = () => {
    if (terminal.inputIsTerminal && terminal.outputIsTerminal) terminal.write('>').catch(() => {})
  }
  prompt()
  const input = { chunks: terminal.input, name: undefined }
  try {
    await sendLines({ input, sender, render: readLine, signal: terminal.interruptSignal(), onPause: prompt })
  } catch (error) {
    throw await sender.finishBefore(error)
  }
  await sender.finish()
}

const ACKS: Readonly<Record<string, Acks>> = { all: 'all', '-1': 'all', '1': '1', '0': '0' }

function acksOf(options: KafkaConsoleProducerOptions): Acks {
  const texts = [...(options.producerProperty ?? []), ...(options.commandProperty ?? [])]
  const properties: Properties = parseProperties(texts)
  const text = options.requestRequiredAcks ?? properties.get('acks') ?? properties.get('request.required.acks') ?? 'all'
  const acks = ACKS[text]
  if (acks === undefined) throw new CommandFailure(`acks cannot be '${text}': allowed are all, -1, 1 and 0`)
  return acks
}
