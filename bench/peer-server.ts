// The peer: @durable-streams/server, file-backed, in a process of its own. It is as durable as Tailrace with acks=all:
// an append is answered after an fdatasync of its stream's file and a commit of its offset to LMDB; appends to one stream
// wait for one another, each with a sync of its own.

import { DurableStreamTestServer } from '@durable-streams/server'

const server = new DurableStreamTestServer({ port: 0, host: '127.0.0.1', dataDir: process.argv[2]! })
const url = await server.start()
process.send?.({ port: Number(new URL(url).port) })
process.on('disconnect', () => process.exit())
process.on('SIGTERM', () => void server.stop().then(() => process.exit()))
