// Memory of large Buffers, given back at once. It lies outside of V8's heap: the collector looks for it when the heap has
// grown, which in a server that starts and then waits is never; and where much of it comes and goes, it is taken for growth
// of the heap, which is collected over and over. Who looks at what was given back finds it empty, not something else.

/** Nothing reads these bytes any more: a Buffer with memory of its own is empty from now on. */
export function releaseBytes({ buffer, length }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === length) buffer.transfer(0)
}

/** The same for memory of which these bytes are a part, and of which nobody has another one. */
export function releaseMemoryOf({ buffer, length }: Buffer): void {
  if (buffer instanceof ArrayBuffer && length > 0) buffer.transfer(0)
}
