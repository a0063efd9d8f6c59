// What `wscat` does with the options that the README gives it: connects, sends, prints what comes, and goes after a while.

import { parseArgs } from 'node:util'
import { WebSocket } from 'ws'

const { values } = parseArgs({
  options: {
    connect: { type: 'string', short: 'c', default: '' },
    subprotocol: { type: 'string', short: 's', default: '' },
    execute: { type: 'string', short: 'x', default: '' },
    wait: { type: 'string', short: 'w', default: '0' },
  },
})
const socket = new WebSocket(values.connect, values.subprotocol)
socket.on('open', () => {
  socket.send(values.execute)
  setTimeout(() => socket.close(), Number(values.wait) * 1_000)
})
socket.on('message', (data) => console.log(String(data)))
