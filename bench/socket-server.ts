// The cheapest answer there is: a socket server that replies to whatever arrives with fixed bytes. Its only use is to
// show what the load generator reaches when no server is in its way. Requests must be small enough for one read.

import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'

const BODY = '{"records":[{"partition":0,"offset":1234567,"timestamp":"2026-11-21T02:00:00.123Z"}]}'
const REPLY = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n` +
    `date: Sat, 21 Nov 2026 02:00:00 GMT\r\nconnection: keep-alive\r\nkeep-alive: timeout=72\r\n\r\n${BODY}`,
)

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', () => socket.write(REPLY))
  socket.on('error', () => socket.destroy())
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('disconnect', () => process.exit())
process.on('SIGTERM', () => process.exit())
