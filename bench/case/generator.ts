// What the load generator itself can do: the same requests against a socket server that answers fixed bytes and parses
// nothing. A server measured near this figure was held back by the generator.

import type { BenchCase } from '../bench-case.ts'
import * as figures from '../figures.ts'
import { postRequest, produceBodies } from '../records.ts'
import { measureInTurns } from '../rounds.ts'

const CONNECTIONS = 32

export const generatorCase: BenchCase = {
  name: 'generator',
  about: 'what the load generator reaches against a socket server that only answers',
  async run(context) {
    const server = await context.startSocketServer()
    const bodies = produceBodies({ recordsPerRequest: 1, keyed: false }, 4_096)
    const requests = bodies.map((body) => postRequest('/v1/topics/bench/records?acks=all', body))
    const [socket] = await measureInTurns(context, [{ server, connections: CONNECTIONS, requests, status: 200 }])
    return [
      {
        work: 'the load generator’s own limit: a socket server that only answers',
        tailrace: '',
        bare: `${figures.count(socket!.perSecond)}/s`,
        measured: socket,
      },
    ]
  },
}
