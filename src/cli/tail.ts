// `tailrace tail TOPIC...`: the last records of topics, and with -f what comes, in coreutils' words.

import { RE2JS } from 're2js'
import type { RawRecord } from '../client/record-page.ts'
import { CommandFailure, EXIT } from './command-failure.ts'
import { connect } from './connect.ts'
import { follow } from './follow.ts'
import type { ReadVerbOptions } from './read-options.ts'
import { readOptions } from './read-options.ts'
import { openRecordPrinter } from './record-printer.ts'
import type { Terminal } from './terminal.ts'

/** The last so many of each topic, or from the one with this number on. */
export interface LineCount {
  readonly count: number
  readonly isFirst: boolean
}

export interface TailVerbOptions extends ReadVerbOptions {
  readonly lines: LineCount
  readonly follow?: boolean
  readonly pattern?: string
  readonly since?: string
  readonly until?: string
  readonly grep?: string
  readonly ignoreCase?: boolean
  readonly quiet?: boolean
  readonly verbose?: boolean
}

export async function tail(terminal: Terminal, topics: readonly string[], options: TailVerbOptions): Promise<void> {
  const { lines, pattern, since } = options
  if ((topics.length === 0) === (pattern === undefined)) {
    throw new CommandFailure('topics, or the --pattern that they fit: one of them', { exitCode: EXIT.usage })
  }
  const isWanted = matcherOf(options)
  const leftOut = since === undefined && lines.isFirst ? lines.count - 1 : 0
  const skip = new Skip(leftOut)
  const hasSeveral = pattern !== undefined || topics.length > 1
  const titles = options.verbose === true || (hasSeveral && options.quiet !== true)
  const printer = openRecordPrinter(terminal, options.output, titles)
  const following = {
    ...readOptions(options),
    from: since ?? startOf(lines),
    until: options.follow ? undefined : (options.until ?? 'latest'),
    waiting: { isTold: false },
  }
  const client = connect(terminal, options)
  const names = [...new Set(topics)]
  // the last N of all would not be those of each
  const isApart = pattern === undefined && following.from.startsWith('-')
  const sources = isApart ? names : [pattern === undefined ? names : { pattern }]
  const tails = sources.map((source) => follow(terminal, client, { ...following, source }))
  for await (const records of tails.length === 1 ? (tails[0] as RecordStream) : joined(tails)) {
    const wanted = records.filter((record) => skip.isOver(record) && isWanted(record))
    if (wanted.length > 0) await printer.print(wanted)
  }
  await printer.finish()
}

type RecordStream = AsyncGenerator<readonly RawRecord[]>

/** What each gives first, one after the other; then whatever comes. All begin at once. */
async function* joined(streams: readonly RecordStream[]): RecordStream {
  const coming = new Map(streams.map((stream) => [stream, nextOf(stream)]))
  const firsts = [...coming.values()]
  while (coming.size > 0) {
    const { stream, result } = await (firsts.shift() ?? Promise.race(coming.values()))
    coming.delete(stream)
    if (result.done) continue
    coming.set(stream, nextOf(stream))
    yield result.value
  }
}

function nextOf(stream: RecordStream) {
  const next = stream.next().then((result) => ({ stream, result }))
  // a failure is met when it is waited for
  next.catch(() => {})
  return next
}

function startOf({ count, isFirst }: LineCount): string {
  if (isFirst) return 'earliest'
  return count === 0 ? 'latest' : `-${count}`
}

/** Passes so many records of each topic, as they come. */
class Skip {
  readonly #count: number
  readonly #passed = new Map<string, number>()

  constructor(count: number) {
    this.#count = count
  }

  isOver({ topic }: RawRecord): boolean {
    if (this.#count === 0) return true
    const passed = this.#passed.get(topic) ?? 0
    if (passed < this.#count) this.#passed.set(topic, passed + 1)
    return passed >= this.#count
  }
}

/** Whether the expression is found in the text of the key or of the value; in linear time, whatever it is. */
function matcherOf({ grep, ignoreCase }: TailVerbOptions): (record: RawRecord) => boolean {
  if (grep === undefined) return () => true
  let expression: RE2JS
  try {
    expression = RE2JS.compile(grep, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CommandFailure(`--grep '${grep}' is no regular expression: ${reason}`, {
      exitCode: EXIT.usage,
      cause: error,
    })
  }
  return (record) =>
    expression.matcher(textOf(record, 'key')).find() || expression.matcher(textOf(record, 'value')).find()
}

/** JSON as it stands, and bytes as the text that they may be. */
function textOf(record: RawRecord, name: 'key' | 'value'): string {
  const text = record.text(name)
  if (text === undefined) return record.member(`${name}_encoding`) === undefined ? '' : (record.member(name) ?? '')
  return record.text(`${name}_encoding`) === 'base64' ? Buffer.from(text, 'base64').toString() : text
}
