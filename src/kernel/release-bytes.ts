// Memory of large Buffers, given back at once. It lies outside of V8's heap: the collector looks for it when the heap has
// grown, which in a server that starts and then waits is never.

/** Nothing reads these bytes any more: a Buffer with memory of its own is empty from now on. */
export function releaseBytes({ buffer, length }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === length) buffer.transfer(0)
}
