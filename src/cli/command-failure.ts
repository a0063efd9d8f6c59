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
  return (error as { status?: unknown }).status === 404 ? EXIT.notFound : EXIT.failed
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
