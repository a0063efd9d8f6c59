// A wait on a client's behalf: it ends when the client goes away or the server is closing.

import type { FastifyReply } from 'fastify'

export async function whileConnected<Result>(
  reply: FastifyReply,
  closing: AbortSignal,
  wait: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const over = new AbortController()
  const abort = () => over.abort()
  if (closing.aborted) abort()
  closing.addEventListener('abort', abort)
  reply.raw.once('close', abort)
  try {
    return await wait(over.signal)
  } finally {
    closing.removeEventListener('abort', abort)
    reply.raw.off('close', abort)
  }
}
