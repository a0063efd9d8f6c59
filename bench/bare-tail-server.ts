// What fan-out is compared with: a bare `ws` server that stores nothing and sends each record, encoded once, as a frame of
// its own to every socket: the loop that everybody writes first. Produce requests and records have Tailrace's shape.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

interface ProduceBody {
  readonly records: readonly { readonly value: unknown }[]
}

let nextOffset = 0

// producers may wait for long until their records are through
const server = createServer({ keepAliveTimeout: 0 }, produce)
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on('connection', (socket) => {
  socket.on('message', () => socket.send('{"type":"ok","id":1}'))
  socket.on('error', () => socket.terminate())
})

function produce(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const { records } = JSON.parse(Buffer.concat(chunks).toString()) as ProduceBody
    const timestamp = new Date().toISOString()
    const placed = records.map(({ value }) => {
      const offset = nextOffset++
      send({ topic: 'bench', partition: 0, offset, timestamp, timestamp_type: 'CreateTime', key: null, value })
      return { partition: 0, offset, timestamp }
    })
    const body = JSON.stringify({ records: placed })
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
  })
}

function send(record: object): void {
  const frame = Buffer.from(`{"type":"records","records":[${JSON.stringify(record)}]}`)
  for (const socket of sockets.clients) socket.send(frame, { binary: false })
}

server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('disconnect', () => process.exit())
process.on('SIGTERM', () => process.exit())
