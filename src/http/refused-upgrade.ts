// A request that asks for an upgrade and is not given it. Node's parser stops behind it all the same, loses what came in the
// same read, and goes on with the next, in the midst of a request maybe. So its connection ends with its reply, but where
// nothing can have come behind it: many clients ask for HTTP/2 with the first request of each connection, and wait.

import type { IncomingMessage, ServerResponse } from 'node:http'

const UPGRADE = /(?:^|[ \t,])upgrade(?:$|[ \t,])/i

function asksForUpgrade({ headers }: IncomingMessage): boolean {
  return headers.upgrade !== undefined && UPGRADE.test(headers.connection ?? '')
}

/** When the request comes. */
export function endBehindUpgrade(request: IncomingMessage, response: ServerResponse): void {
  if (asksForUpgrade(request)) response.shouldKeepAlive = false
}

/** When the reply goes out. */
export function goOnBehindUpgrade(request: IncomingMessage, response: ServerResponse): void {
  if (response.shouldKeepAlive || !asksForUpgrade(request)) return
  const { httpVersion, headers, socket } = request
  const bodyBytes = headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : Number.NaN
  // of a second request, or one that is written in another way, this says that there may be more
  response.shouldKeepAlive = httpVersion === '1.1' && socket.bytesRead === headBytes(request) + bodyBytes
}

/** As long as clients write it. */
function headBytes({ method = '', url = '', rawHeaders }: IncomingMessage): number {
  let bytes = `${method} ${url} HTTP/1.1\r\n\r\n`.length
  for (const part of rawHeaders) bytes += part.length + 2
  return bytes
}
