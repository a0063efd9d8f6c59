// Input line by line into a RecordSender, until it ends or a signal comes. What was read before a signal is still sent.

import { inputLines } from './input-lines.ts'
import type { RecordSender } from './record-sender.ts'

export interface LineInput {
  readonly chunks: AsyncIterable<Buffer>
  /** For people; undefined for stdin. */
  readonly name: string | undefined
}

/** The line as a record's JSON; undefined leaves it out. Its place is for people. */
export type RenderLine = (line: Buffer, number: number, place: string) => string | undefined

export interface SendLines {
  readonly input: LineInput
  readonly sender: RecordSender
  readonly render: RenderLine
  readonly signal: AbortSignal
  /** Called when the lines so far are on their way and more are waited for. */
  readonly onPause?: () => void
}

export async function sendLines({ input, sender, render, signal, onPause }: SendLines): Promise<void> {
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  const lines = inputLines(input.chunks)
  let number = 0
  for (;;) {
    const next = await Promise.race([lines.next(), sender.failed, aborted])
    if (next === undefined || next.done === true) return
    for (const line of next.value) {
      number++
      const place = `${input.name === undefined ? '' : `${input.name} `}line ${number}`
      const record = render(line, number, place)
      if (record !== undefined) await sender.add(record, place)
    }
    sender.flushSoon()
    onPause?.()
  }
}
