// Input cut into lines as it arrives. A line ends with LF or CR LF; what stands after the last line end is a line too.

import { CommandFailure } from './command-failure.ts'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** More than any record that a server takes by default; an endless line must not fill the memory. */
const LINE_BYTES_MAX = 64 * 1024 * 1024

/** The lines that each piece of input completes, together: whoever takes them knows then that input pauses. */
export async function* inputLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer[]> {
  const pieces: Buffer[] = []
  let pieceBytes = 0
  for await (const chunk of chunks) {
    const lines: Buffer[] = []
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      lines.push(lineOf(pieces, chunk.subarray(start, end)))
      pieceBytes = 0
      start = end + 1
    }
    if (start < chunk.length) {
      pieces.push(chunk.subarray(start))
      pieceBytes += chunk.length - start
      if (pieceBytes > LINE_BYTES_MAX) throw new CommandFailure(`a line is longer than ${LINE_BYTES_MAX} bytes`)
    }
    if (lines.length > 0) yield lines
  }
  if (pieces.length > 0) yield [lineOf(pieces, NOTHING)]
}

const NOTHING = Buffer.alloc(0)

function lineOf(pieces: Buffer[], last: Buffer): Buffer {
  const line = pieces.length === 0 ? last : Buffer.concat([...pieces, last])
  pieces.length = 0
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line
}
