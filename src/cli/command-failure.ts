// How a command ends when it does not end well: what to say, and the exit code.

export const EXIT = { done: 0, failed: 1, usage: 2, notFound: 3, interrupted: 130, terminated: 143 } as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export class CommandFailure extends Error {
  readonly exitCode: ExitCode

  constructor(message: string, options: { readonly exitCode?: ExitCode; readonly cause?: unknown } = {}) {
    super(message, options)
    this.name = 'CommandFailure'
    this.exitCode = options.exitCode ?? EXIT.failed
  }
}

/** The exit code for anything that a command has thrown. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommandFailure) return error.exitCode
  const { status, code } = error as { status?: unknown; code?: unknown }
  if (typeof code === 'string' && WRONG_OPTION.has(code)) return EXIT.usage
  return status === 404 || code === 'unknown_topic_or_partition' || code === 'ENOENT' ? EXIT.notFound : EXIT.failed
}

/** What the server says of values that were passed on to it, and its configuration of its own. */
const WRONG_OPTION: ReadonlySet<string> = new Set([
  'invalid_config',
  'invalid_cursor',
  'invalid_filter',
  'invalid_group_id',
  'invalid_partitions',
  'invalid_position',
  'invalid_replication_factor',
  'invalid_topic_exception',
])

/** Whether a server's words are told: as they came, or in what the command made of them. */
export function isOfServer(error: unknown): boolean {
  if (error instanceof CommandFailure) return isOfServer(error.cause)
  // by its name: `serve` starts without the client
  return error instanceof Error && error.name === 'TailraceClientError'
}

/** For people: with what to do where a newcomer would not know. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code, path } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' && path !== undefined) return `there is no file or folder ${path}`
  if (code === 'unreachable') return `${error.message}; 'tailrace serve' starts a server, --url names another one`
  return error.message
}
