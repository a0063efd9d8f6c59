// What everything is compared with: a bare Fastify 5 that stores nothing. For a produce request it parses the body
// (Fastify's default JSON parser, JSON.parse at its heart) and answers a reply of Tailrace's shape; for a read it does
// what a straightforward server would: JSON.parse every stored value, JSON.stringify the page. A schema that is looked up
// it has as an object.

import type { AddressInfo } from 'node:net'
import { fastify } from 'fastify'
import { jsonValues } from './records.ts'

interface ProduceBody {
  readonly records: readonly { readonly partition?: number }[]
}

const BODY_BYTES_MAX = 64 * 1024 * 1024
const STORED_VALUES = 10_000

const app = fastify({ logger: false, bodyLimit: BODY_BYTES_MAX })
let nextOffset = 0

app.post<{ Body: ProduceBody }>('/v1/topics/:topic/records', (request, reply) => {
  const timestamp = new Date().toISOString()
  const records = request.body.records.map(({ partition = 0 }) => ({ partition, offset: nextOffset++, timestamp }))
  reply.send({ records })
})

app.post('/consumers/:group/instances/:instance/offsets', (_request, reply) => {
  reply.send([])
})

app.get('/schemas/ids/:id', (_request, reply) => {
  reply.header('content-type', 'application/vnd.schemaregistry.v1+json').send(JSON.stringify(SCHEMA))
})

/** As a registry shows one. */
const SCHEMA = {
  guid: '9e6f3a58-6d37-4a5c-8a3f-0b1f2f6c1d11',
  schemaType: 'AVRO',
  schema: `{"type":"record","name":"Payment","fields":[${['id', 'user', 'amount', 'paid', 'note'].map((name) => `{"name":"${name}","type":"string"}`)}]}`,
}

const stored = jsonValues(STORED_VALUES).map((value) => Buffer.from(value))

app.get<{ Querystring: { limit: string; start: string } }>('/v1/topics/:topic/records', (request, reply) => {
  const start = Number(request.query.start)
  const limit = Number(request.query.limit)
  const records = []
  for (let offset = start; offset < start + limit; offset += 1) records.push(recordAt(offset))
  const partitions = [{ partition: 0, start_offset: 0, end_offset: STORED_VALUES, next_offset: start + limit }]
  reply.send({ records, cursor: String(start + limit), caught_up: false, partitions })
})

function recordAt(offset: number): object {
  return {
    topic: 'bench',
    partition: 0,
    offset,
    timestamp: new Date(1_790_000_000_000 + offset).toISOString(),
    timestamp_type: 'CreateTime',
    key: null,
    value: JSON.parse(stored[offset % STORED_VALUES]!.toString()) as unknown,
    key_encoding: null,
    value_encoding: 'json',
    headers: [],
  }
}

await app.listen({ port: 0, host: '127.0.0.1' })
process.send?.({ port: (app.server.address() as AddressInfo).port })
process.on('disconnect', () => process.exit())
process.on('SIGTERM', () => process.exit())
