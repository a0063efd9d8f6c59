// Which connections still owe a reply. Replies go out in the order of their requests, so the last one of a connection tells.
// A client may send requests without waiting for their replies; so many of them are worked on at once, the others wait for
// their turn, and meanwhile no more is read: else what one small write asks for would be held in memory all at once.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { CONNECTION_REQUESTS_MAX, REQUESTS_WAITING_MAX } from '../kernel/limits.ts'

interface Connection {
  /** undefined: all replies are with the system. */
  last: ServerResponse | undefined
  open: number
  /** No more than one read of the socket brought. */
  waiting: (() => void)[]
  isHeld: boolean
  onAnswered: (() => void) | undefined
}

export class UnansweredRequests {
  readonly #connections = new WeakMap<Socket, Connection>()
  /** Over all connections. */
  readonly #waiting = { count: 0 }
  readonly #open = new Set<Socket>()
  #isClosing = false

  watch(server: Server): void {
    this.#endIdleOnClose(server)
    const connections = this.#connections
    const waiting = this.#waiting
    const isClosing = () => this.#isClosing
    // one for all: requests are many
    function onFinish(this: ServerResponse): void {
      const { socket } = this.req
      const connection = connections.get(socket)
      if (connection === undefined) return
      connection.open--
      const next = connection.waiting.shift()
      if (next !== undefined) {
        waiting.count--
        if (connection.waiting.length === 0) socket.resume()
        next()
      }
      if (connection.last === this) {
        connection.last = undefined
        if (isClosing()) socket.destroySoon()
      }
      if (connection.onAnswered !== undefined && owedOf(connection) === 0) connection.onAnswered()
    }
    server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
      let connection = connections.get(socket)
      if (connection === undefined) {
        connection = { last: undefined, open: 0, waiting: [], isHeld: false, onAnswered: undefined }
        connections.set(socket, connection)
      }
      connection.last = response
      connection.open++
      response.on('finish', onFinish)
    })
  }

  /**
   * Node itself takes a connection for idle when its reply was sent, though the most of it may be in memory still. It alone
   * knows whose next request has begun, so it is asked, and what owes something is out of its reach meanwhile.
   */
  #endIdleOnClose(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.#open.add(socket)
      socket.once('close', () => this.#open.delete(socket))
    })
    const endIdle = server.closeIdleConnections
    server.closeIdleConnections = () => {
      this.#isClosing = true
      const owing = [...this.#open].filter((socket) => this.has(socket))
      for (const socket of owing) socket.destroy = () => socket
      endIdle.call(server)
      for (const socket of owing) Reflect.deleteProperty(socket, 'destroy')
    }
  }

  /** Calls when it is the request's turn; never, when its connection is gone before. */
  takeTurn({ socket }: IncomingMessage, call: () => void): void {
    const connection = this.#connections.get(socket)
    if (connection === undefined || connection.open <= CONNECTION_REQUESTS_MAX) {
      call()
      return
    }
    if (socket.destroyed) return
    if (this.#waiting.count >= REQUESTS_WAITING_MAX) {
      // a refusal would have to wait for its turn too, and be held as the request is
      socket.destroy()
      return
    }
    connection.waiting.push(call)
    this.#waiting.count++
    if (!connection.isHeld) this.#hold(socket, connection)
    socket.pause()
  }

  #hold(socket: Socket, connection: Connection): void {
    connection.isHeld = true
    // who reads a body resumes its socket, for the rest of it: the bodies of those whose turn it is are there already
    socket.on('resume', () => {
      if (connection.waiting.length > 0) socket.pause()
    })
    socket.on('close', () => {
      this.#waiting.count -= connection.waiting.length
      connection.waiting = []
    })
  }

  /** A request of the connection came before, and its reply is not wholly with the system. */
  has(connection: Socket): boolean {
    return this.#connections.get(connection)?.last !== undefined
  }

  /**
   * Calls when all is answered that was asked for, at once where that is so: a request whose body is still to come has asked
   * for nothing yet. One call a connection.
   */
  whenAnswered(connection: Socket, call: () => void): void {
    const known = this.#connections.get(connection)
    if (known === undefined || owedOf(known) === 0) call()
    else known.onAnswered = call
  }
}

function owedOf({ open, last }: Connection): number {
  return last === undefined || last.req.complete || last.headersSent ? open : open - 1
}
