// `tailrace tail TOPIC...`: the last records of topics, and with -f what comes, in coreutils' words.

import { RE2JS } from 're2js'
import type { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import type { RawRecord } from '../client/record-page.ts'
import type { TailSource } from '../client/tail-request.ts'
import { CommandFailure, EXIT, messageOf } from './command-failure.ts'
import { connect } from './connect.ts'
import { follow } from './follow.ts'
import { lineCount } from './option-value.ts'
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
  readonly followName?: boolean
  readonly pattern?: string
  readonly since?: string
  readonly until?: string
  readonly grep?: string
  readonly ignoreCase?: boolean
  readonly quiet?: boolean
  readonly verbose?: boolean
}

export async function tail(terminal: Terminal, names: readonly string[], given: TailVerbOptions): Promise<void> {
  const { topics, options } = withShortCount(names, given)
  checkUsage(topics, options)
  const { lines, pattern, since } = options
  const isFollowing = options.follow === true || options.followName === true
  const isWanted = matcherOf(options)
  const leftOut = since === undefined && lines.isFirst ? lines.count - 1 : 0
  const skip = new Skip(leftOut)
  const hasSeveral = pattern !== undefined || topics.length > 1
  const titles = options.verbose === true || (hasSeveral && options.quiet !== true)
  const printer = openRecordPrinter(terminal, options.output, titles)
  const following = {
    ...readOptions(options),
    from: since ?? startOf(lines),
    until: isFollowing ? undefined : (options.until ?? 'latest'),
    waiting: { isTold: false },
  }
  const client = connect(terminal, options)
  if (pattern !== undefined) await checkPattern(terminal, client, pattern, isFollowing)
  else if (options.followName) await tellMissing(terminal, client, topics)
  const missing = new MissingTopics(terminal, topics.length)
  // one by one: the last N of all would not be those of each, and one that is missing keeps nobody from the others
  const tails = sourcesOf(topics, options).map((source) =>
    missing.passed(follow(terminal, client, { ...following, source }), options),
  )
  for await (const records of tails.length === 1 ? (tails[0] as RecordStream) : joined(tails)) {
    const wanted = records.filter((record) => skip.isOver(record) && isWanted(record))
    if (wanted.length > 0) await printer.print(wanted)
  }
  await printer.finish()
  missing.check()
}

/** As in coreutils, -3 is -n 3. */
function withShortCount(names: readonly string[], options: TailVerbOptions) {
  const isCount = (name: string) => /^-\d+$/.test(name)
  const count = names.findLast(isCount)
  const topics = [...new Set(names.filter((name) => !isCount(name)))]
  if (count === undefined) return { topics, options }
  try {
    return { topics, options: { ...options, lines: lineCount(count) } }
  } catch (error) {
    throw new CommandFailure(`${count}: ${messageOf(error)}`, { exitCode: EXIT.usage, cause: error })
  }
}

function checkUsage(topics: readonly string[], { pattern, followName, partition, since }: TailVerbOptions): void {
  const wrong = (message: string) => new CommandFailure(message, { exitCode: EXIT.usage })
  if ((topics.length === 0) === (pattern === undefined)) {
    throw wrong('topics, or the --pattern that they fit: one of them')
  }
  const wild = topics.find((topic) => /[*?|()[\]{}^$\\]/.test(topic))
  if (wild !== undefined) {
    const expression = wild.replaceAll(/\.?\*/g, '.*').replaceAll('?', '.')
    throw wrong(`'${wild}' is no name of a topic; --pattern takes a regular expression, such as '${expression}'`)
  }
  if (since === 'committed') {
    const instead = `'tailrace consume ${topics[0] ?? 'TOPIC'} --group NAME --offset committed' prints from there`
    throw wrong(`--since committed is where a consumer group stands; ${instead}`)
  }
  if (followName && partition !== undefined) throw wrong('-F waits for whole topics: --partition goes with -f')
}

function sourcesOf(topics: readonly string[], { pattern, followName }: TailVerbOptions): readonly TailSource[] {
  if (pattern !== undefined) return [{ pattern }]
  // a pattern that one name fits stays when the topic goes, and waits when it is not there
  if (followName) return topics.map((topic) => ({ pattern: topic.replaceAll('.', '\\.') }))
  return topics.length === 1 ? topics : topics.map((topic) => [topic])
}

/** Nothing that fits is nothing to print: that would go unseen. */
async function checkPattern(
  terminal: Terminal,
  client: TailraceClient,
  pattern: string,
  isFollowing: boolean,
): Promise<void> {
  const expression = compiled('--pattern', pattern)
  const topics = await client.listTopics({ signal: terminal.interruptSignal() })
  if (topics.some(({ name }) => expression.matches(name))) return
  const nothing = `no topic has a name that fits --pattern '${pattern}'`
  if (!isFollowing) throw new CommandFailure(nothing, { exitCode: EXIT.notFound })
  terminal.note(`tailrace: ${nothing}: waiting for one`)
}

async function tellMissing(terminal: Terminal, client: TailraceClient, topics: readonly string[]): Promise<void> {
  for (const topic of topics) {
    try {
      await client.getTopic(topic, { signal: terminal.interruptSignal() })
    } catch (error) {
      if (!isMissing(error)) throw error
      terminal.note(`tailrace: topic ${topic} is not there yet: waiting for it`)
    }
  }
}

function isMissing(error: unknown): error is TailraceClientError {
  return error instanceof TailraceClientError && error.code === 'unknown_topic_or_partition'
}

/** One of several that is not there is told, and the others are read. */
class MissingTopics {
  readonly #terminal: Terminal
  readonly #topicCount: number
  #count = 0

  constructor(terminal: Terminal, topicCount: number) {
    this.#terminal = terminal
    this.#topicCount = topicCount
  }

  async *passed(stream: RecordStream, { follow }: TailVerbOptions): RecordStream {
    try {
      yield* stream
    } catch (error) {
      if (!isMissing(error)) throw error
      const message = `${error.message}${follow ? '; -F waits for topics that are not there' : ''}`
      if (this.#topicCount <= 1) throw new CommandFailure(message, { exitCode: EXIT.notFound, cause: error })
      this.#count++
      this.#terminal.note(`tailrace: ${message}`)
    }
  }

  check(): void {
    if (this.#count === 0) return
    const message = `this is not all: ${this.#count} of ${this.#topicCount} topics could not be read`
    throw new CommandFailure(message, { exitCode: EXIT.notFound })
  }
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
  const expression = compiled('--grep', grep, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0)
  return (record) =>
    expression.matcher(textOf(record, 'key')).find() || expression.matcher(textOf(record, 'value')).find()
}

function compiled(option: string, text: string, flags = 0): RE2JS {
  try {
    return RE2JS.compile(text, flags)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CommandFailure(`${option} '${text}' is no regular expression: ${reason}`, {
      exitCode: EXIT.usage,
      cause: error,
    })
  }
}

/** JSON as it stands, and bytes as the text that they may be. */
function textOf(record: RawRecord, name: 'key' | 'value'): string {
  const text = record.text(name)
  if (text === undefined) return record.member(`${name}_encoding`) === undefined ? '' : (record.member(name) ?? '')
  return record.text(`${name}_encoding`) === 'base64' ? Buffer.from(text, 'base64').toString() : text
}
