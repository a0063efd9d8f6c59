// A wire between clients and a server, which is cut where a test says: in the middle of a frame, of a header, of a handshake.
// It keeps its port while servers come and go behind it.

import type { AddressInfo, Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'

export class CuttingWire {
  /** undefined: nobody is there. */
  targetPort: number | undefined
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server) {
    this.#server = server
  }

  /**
   * `bytesOf` is asked once for each connection: how many bytes of the server's go through it before it is cut, both its ends at once;
   * undefined: all that come.
   */
  static async open(bytesOf: () => number | undefined, onCut: () => void): Promise<CuttingWire> {
    const server = createServer({ noDelay: true }, (client) => wire.#join(client, bytesOf(), onCut))
    const wire = new CuttingWire(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return wire
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #join(client: Socket, bytesMax: number | undefined, onCut: () => void): void {
    if (this.targetPort === undefined) {
      client.on('error', () => {}).destroy()
      return
    }
    const server = connect({ port: this.targetPort, host: '127.0.0.1', noDelay: true })
    let left = bytesMax ?? Number.POSITIVE_INFINITY
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(one)
      one.on('error', () => one.destroy())
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroySoon()
      })
    }
    client.pipe(server)
    server.on('data', (bytes) => {
      const taken = Math.min(left, bytes.length)
      left -= taken
      if (!client.write(bytes.subarray(0, taken)) && left > 0) server.pause()
      if (left > 0) return
      onCut()
      // what has gone through arrives
      client.destroySoon()
      server.destroy()
    })
    client.on('drain', () => server.resume())
  }
}
