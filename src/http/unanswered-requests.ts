// Which connections still owe a reply. Replies go out in the order of their requests, so the last one of a connection tells.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export class UnansweredRequests {
  readonly #last = new WeakMap<Socket, ServerResponse>()

  watch(server: Server): void {
    const last = this.#last
    // one for all: requests are many
    function onFinish(this: ServerResponse): void {
      const { socket } = this.req
      if (last.get(socket) === this) last.delete(socket)
    }
    server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
      last.set(socket, response)
      response.on('finish', onFinish)
    })
  }

  /** A request of the connection came before, and its reply is not wholly with the system. */
  has(connection: Socket): boolean {
    return this.#last.has(connection)
  }
}
