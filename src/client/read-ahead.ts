// A reply's body, taken in as it comes. What lies in a web stream when its connection breaks is thrown away, and with it
// what the server said last: the reason. So it is taken out at once, and the reader gets it before the failure.

import { CLIENT_READ_AHEAD_BYTES_MAX } from '../kernel/limits.ts'

/** Chunks in their order, then the end or the failure. Nothing more is taken in while the reader has so much to do. */
export async function* readAhead(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader()
  const held: Uint8Array[] = []
  let heldBytes = 0
  let end: { readonly failure?: unknown } | undefined
  let changed = Promise.withResolvers<void>()

  const tell = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const takeIn = async () => {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      held.push(value)
      heldBytes += value.byteLength
      tell()
      while (heldBytes > CLIENT_READ_AHEAD_BYTES_MAX) await changed.promise
    }
  }
  takeIn().then(
    () => {
      end = {}
      tell()
    },
    (failure: unknown) => {
      end = { failure }
      tell()
    },
  )

  try {
    for (;;) {
      const chunk = held.shift()
      if (chunk === undefined) {
        if (end !== undefined) break
        await changed.promise
        continue
      }
      heldBytes -= chunk.length
      tell()
      yield chunk
    }
  } finally {
    // What is still to come is of no use to anybody; a stream that has failed has said so.
    await reader.cancel().catch(() => {})
  }
  if ('failure' in end) throw end.failure
}
