// Records that the clients of Confluent's registry have framed, produced as bytes, are read as JSON by every way there is;
// and what is produced as JSON by every way there is, those clients read.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { describe, it } from 'node:test'
import { runCliOk } from '../cli/cli-process.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { clientPackage, clientsMissing } from '../support/registry-clients.ts'
import { V2, V2_BINARY } from '../support/rest-proxy-v2.ts'

const AVRO = JSON.stringify({
  type: 'record',
  name: 'Order',
  namespace: 'shop',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'note', type: ['null', 'string'], default: null },
    {
      name: 'lines',
      type: { type: 'array', items: { type: 'record', name: 'Line', fields: [{ name: 'sku', type: 'string' }] } },
    },
  ],
})
const JSON_SCHEMA = JSON.stringify({
  type: 'object',
  properties: { id: { type: 'integer' }, note: { type: ['string', 'null'] }, lines: { type: 'array' } },
  required: ['id'],
})
const PROTOBUF = `syntax = "proto3";
package shop;

message Order {
  int32 id = 1;
  string note = 2;
  repeated Line lines = 3;

  message Line {
    string sku = 1;
  }
}
`

interface Format {
  readonly schemaType: 'AVRO' | 'JSON' | 'PROTOBUF'
  readonly schema: string
  /** Of ours. */
  readonly name: 'avro' | 'jsonschema' | 'protobuf'
  /** As JSON shows it: unions of Avro have tags. */
  readonly shown: object
  /** As the clients have it. */
  readonly plain: object
}

const plain = { id: 7, note: 'wörld', lines: [{ sku: 'a' }, { sku: 'b' }] }
const FORMATS: readonly Format[] = [
  { schemaType: 'AVRO', schema: AVRO, name: 'avro', plain, shown: { ...plain, note: { string: 'wörld' } } },
  { schemaType: 'JSON', schema: JSON_SCHEMA, name: 'jsonschema', plain, shown: plain },
  { schemaType: 'PROTOBUF', schema: PROTOBUF, name: 'protobuf', plain, shown: plain },
]

const v2Of = (name: string) => `application/vnd.kafka.${name}.v2+json`

for (const format of FORMATS) {
  describe(`records of ${format.name}`, { skip: clientsMissing }, () => {
    it('that clients have framed are read as JSON through v1, v2, event streams and the command line', async (t) => {
      const { server, clients } = await start(t, format)
      for (const [index, { write }] of clients.entries()) {
        const value = (await write()).toString('base64')
        const [path, type, body] =
          index === 0
            ? ['/v1/topics/orders/records', 'application/json', { value_encoding: 'base64', records: [{ value }] }]
            : ['/topics/orders', V2_BINARY, { records: [{ value }] }]
        const reply = await server.post(path as string, body as object, { 'content-type': type as string })
        assert.equal(reply.status, 200, reply.text())
      }
      const expected = clients.map(() => format.shown)
      assert.deepEqual(await readV1(server), expected)
      assert.deepEqual(await readV2(server, format), expected)
      assert.deepEqual(await readEvents(server), expected)
      assert.deepEqual(await readCommandLine(server), expected)
    })

    it('that are produced as JSON through v1, v2 and the command line are read by the clients', async (t) => {
      const { server, clients, id } = await start(t, format)
      const json = JSON.stringify(format.shown)
      const v1 = { value_encoding: format.name, records: [{ value: format.shown }] }
      assert.equal((await server.post('/v1/topics/orders/records', v1)).status, 200)
      const v2 = { value_schema_id: id, records: [{ value: format.shown }] }
      const reply = await server.post('/topics/orders', v2, { 'content-type': v2Of(format.name) })
      assert.equal(reply.status, 200, reply.text())
      assert.equal((reply.json() as { value_schema_id: number }).value_schema_id, id)
      const produce = ['produce', 'orders', '--value-encoding', format.name]
      await runCliOk(produce, { url: server.url, input: `${json}\n` })
      await runCliOk([...produce, '--schema-id', String(id)], { url: server.url, input: `${json}\n` })
      const frames = await readFrames(server)
      assert.equal(frames.length, 4)
      for (const frame of frames) {
        for (const { read } of clients) assert.deepEqual(plainJson(await read(frame)), format.plain)
      }
    })
  })
}

it('a message of Protobuf that is not the first of its file, with all kinds of fields', {
  skip: clientsMissing,
}, async (t) => {
  const schema = `syntax = "proto3";
package shop;

import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

message First {
  string a = 1;
}
message Order {
  google.protobuf.Timestamp at = 1;
  map<string, int64> counts = 2;
  optional int32 maybe = 3;
  google.protobuf.StringValue wrapped = 4;
  Kind kind = 5;

  oneof which {
    string left = 6;
    bytes right = 7;
  }

  enum Kind {
    NONE = 0;
    SOME = 1;
  }
}
`
  const shown = {
    at: '2026-01-02T03:04:05Z',
    counts: { a: '9007199254740993' },
    maybe: 0,
    wrapped: 'w',
    kind: 'SOME',
    right: 'AQI=',
  }
  const format: Format = { schemaType: 'PROTOBUF', schema, name: 'protobuf', shown, plain: shown }
  const { server, clients } = await start(t, format)
  const { write, read } = clients[1] as Client
  const frame = await write()
  assert.deepEqual([...frame.subarray(5, 7)], [2, 2], 'the message in the second place')
  const body = { value_encoding: 'base64', records: [{ value: frame.toString('base64') }] }
  assert.equal((await server.post('/v1/topics/orders/records', body)).status, 200)
  assert.deepEqual(await readV1(server), [shown])
  const message = (await read(frame)) as { $typeName: string; counts: Record<string, bigint> }
  assert.deepEqual([message.$typeName, message.counts['a']], ['shop.Order', 9007199254740993n])
})

interface Client {
  /** The record, framed. */
  write(): Promise<Buffer>
  read(frame: Buffer): Promise<unknown>
}

async function start(t: TestContext, format: Format) {
  const server = await startServer(t)
  const { schema, schemaType } = format
  const reply = await server.post('/subjects/orders-value/versions', { schema, schemaType })
  assert.equal(reply.status, 200, reply.text())
  const { id } = reply.json() as { id: number }
  return { server, id, clients: [kafkajs(server, id, format), confluent(server, format)] }
}

function kafkajs({ url }: TestServer, id: number, { plain: record }: Format): Client {
  const { SchemaRegistry } = clientPackage('@kafkajs/confluent-schema-registry')
  const registry = new SchemaRegistry({ host: url })
  return { write: () => registry.encode(id, record), read: (frame) => registry.decode(frame) }
}

function confluent({ url }: TestServer, { schemaType, plain: record }: Format): Client {
  const confluentClient = clientPackage('@confluentinc/schemaregistry')
  const { SchemaRegistryClient, SerdeType } = confluentClient
  const client = SchemaRegistryClient.newClient({ baseURLs: [url] })
  if (schemaType === 'PROTOBUF') return confluentProtobuf(client, record)
  const name = schemaType === 'AVRO' ? 'Avro' : 'Json'
  const serializer = new confluentClient[`${name}Serializer`](client, SerdeType.VALUE, { useLatestVersion: true })
  const deserializer = new confluentClient[`${name}Deserializer`](client, SerdeType.VALUE, {})
  return {
    write: () => serializer.serialize('orders', record),
    read: (frame) => deserializer.deserialize('orders', frame),
  }
}

/** Its types are made from the descriptor that the registry gives, as the client itself does to read. */
// biome-ignore lint/suspicious/noExplicitAny: a package's own client, whose types are not installed here
function confluentProtobuf(client: any, record: object): Client {
  const { ProtobufSerializer, ProtobufDeserializer, SerdeType } = clientPackage('@confluentinc/schemaregistry')
  const protobuf = clientPackage('@bufbuild/protobuf')
  const {
    FileDescriptorProtoSchema,
    FileDescriptorSetSchema,
    file_google_protobuf_timestamp,
    file_google_protobuf_wrappers,
  } = clientPackage('@bufbuild/protobuf/wkt')
  const deserializer = new ProtobufDeserializer(client, SerdeType.VALUE, {})
  return {
    async write() {
      const { schema } = await client.getLatestSchemaMetadata('orders-value', 'serialized')
      const file = protobuf.fromBinary(FileDescriptorProtoSchema, Buffer.from(schema, 'base64'))
      if (file.name === '') file.name = 'orders.proto'
      const imported = [file_google_protobuf_timestamp.proto, file_google_protobuf_wrappers.proto]
      const set = protobuf.create(FileDescriptorSetSchema, { file: [...imported, file] })
      const files = protobuf.createFileRegistry(set)
      const registry = protobuf.createRegistry(files)
      const serializer = new ProtobufSerializer(client, SerdeType.VALUE, { useLatestVersion: true, registry })
      return await serializer.serialize('orders', protobuf.fromJson(registry.getMessage('shop.Order'), record))
    },
    read: (frame) => deserializer.deserialize('orders', frame),
  }
}

/** Without the classes and the type names of the clients. */
function plainJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (name, member) => (name.startsWith('$') ? undefined : member))
}

function valuesOf(records: unknown): unknown[] {
  return (records as { value: unknown }[]).map(({ value }) => value)
}

async function readV1(server: TestServer): Promise<unknown[]> {
  const reply = await server.get('/v1/topics/orders/records?from=earliest')
  return valuesOf((reply.json() as { records: unknown }).records)
}

async function readFrames(server: TestServer): Promise<Buffer[]> {
  const reply = await server.get('/v1/topics/orders/records?from=earliest&value_format=base64')
  const values = valuesOf((reply.json() as { records: unknown }).records)
  return values.map((value) => Buffer.from(value as string, 'base64'))
}

async function readV2(server: TestServer, { name }: Format): Promise<unknown[]> {
  const post = (path: string, body: object) => server.post(path, body, { 'content-type': V2 })
  const made = await post('/consumers/g', { name: 'c', format: name, 'auto.offset.reset': 'earliest' })
  assert.equal(made.status, 200, made.text())
  await post('/consumers/g/instances/c/subscription', { topics: ['orders'] })
  const reply = await server.get('/consumers/g/instances/c/records?timeout=5000', { accept: v2Of(name) })
  assert.equal(reply.status, 200, reply.text())
  return valuesOf(reply.json())
}

async function readEvents(server: TestServer): Promise<unknown[]> {
  const reply = await server.get('/v1/topics/orders/events?from=earliest&until=latest')
  const records = reply
    .text()
    .split('\n\n')
    .filter((event) => event.includes('"value":'))
    .map((event) => JSON.parse(event.slice(event.indexOf('data: ') + 'data: '.length)) as unknown)
  return valuesOf(records)
}

async function readCommandLine({ url }: TestServer): Promise<unknown[]> {
  const { lines } = await runCliOk(['consume', 'orders', '--from-beginning', '-e'], { url })
  const values = await runCliOk(['consume', 'orders', '--from-beginning', '-e', '--output', 'value'], { url })
  assert.deepEqual(
    values.lines,
    lines.map(({ value }) => value),
  )
  return valuesOf(lines)
}
