// The standard streams and signals of one command: data to stdout and nothing else there, everything for people to
// stderr. A reader that has gone away (head, less) ends the command without a word, as the first signal would.

import { EXIT } from './command-failure.ts'

const CLEAR_LINE = '\r\x1b[K'

export class Terminal {
  readonly #process: NodeJS.Process
  readonly #interrupt = new AbortController()
  #interruptExitCode: number | undefined
  /** Somebody ends well when told to. */
  #isInterruptible = false
  #progressShown = false
  /** What the command may be told, as `--on-gap`: for inOptionWords. */
  optionNames: ReadonlySet<string> = new Set()

  constructor(process: NodeJS.Process) {
    this.#process = process
    for (const stream of [process.stdout, process.stderr]) {
      stream.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE') throw error
        if (!this.#isInterruptible) process.exit(EXIT.done)
        this.#interruptExitCode ??= EXIT.done
        this.#interrupt.abort()
      })
    }
  }

  get env(): Readonly<Record<string, string | undefined>> {
    return this.#process.env
  }

  get input(): AsyncIterable<Buffer> {
    return this.#process.stdin
  }

  get inputIsTerminal(): boolean {
    return this.#process.stdin.isTTY === true
  }

  get outputIsTerminal(): boolean {
    return this.#process.stdout.isTTY === true
  }

  get progressIsShown(): boolean {
    return this.#process.stderr.isTTY === true
  }

  /** Resolves when the system has taken it all, rejects when nobody does. */
  write(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#process.stdout.write(data, (error) => (error ? reject(error) : resolve()))
    })
  }

  /** One line for people. */
  note(line: string): void {
    this.#process.stderr.write(`${this.#clearance()}${line}\n`)
  }

  /** A line that takes the place of the one before; on a terminal only. */
  progress(line: string): void {
    if (!this.progressIsShown) return
    this.#process.stderr.write(`${this.#clearance()}${line}`)
    this.#progressShown = true
  }

  endProgress(): void {
    const clearance = this.#clearance()
    if (clearance !== '') this.#process.stderr.write(clearance)
  }

  #clearance(): string {
    if (!this.#progressShown) return ''
    this.#progressShown = false
    return CLEAR_LINE
  }

  /**
   * Aborted by the first SIGINT or SIGTERM, from the first call on, or when nobody reads the output any more; a signal after
   * that ends the process at once.
   */
  interruptSignal(): AbortSignal {
    if (!this.#isInterruptible) {
      this.#isInterruptible = true
      this.#process.on('SIGINT', () => this.#onSignal(EXIT.interrupted))
      this.#process.on('SIGTERM', () => this.#onSignal(EXIT.terminated))
    }
    return this.#interrupt.signal
  }

  #onSignal(exitCode: number): void {
    if (this.#interruptExitCode !== undefined) this.#process.exit(exitCode)
    this.#interruptExitCode = exitCode
    this.#interrupt.abort()
  }

  /** Set once a signal has come, or nobody reads the output any more. */
  get interruptExitCode(): number | undefined {
    return this.#interruptExitCode
  }

  /** Ends the process when all that was written has left. */
  exit(exitCode: number): void {
    this.endProgress()
    this.#process.stdout.write('', () => this.#process.exit(exitCode))
  }
}
