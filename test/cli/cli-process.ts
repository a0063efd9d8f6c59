// The command line as people run it: the real bin in a process of its own, with pipes for its streams. Only what was
// spawned here is ever signalled, by its pid.

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'tailrace.js')
const WAIT_MS_MAX = 30_000

export interface CliOptions {
  /** As TAILRACE_URL. */
  readonly url?: string | undefined
  /** All of stdin; without it stdin is empty. */
  readonly input?: string | Buffer
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly bytes: Buffer
  readonly stderr: string
  /** stdout's lines, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into lines whose shape they assert
  readonly lines: any[]
}

export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const cli = new CliProcess(args, options)
  cli.end(options.input ?? '')
  return await cli.finished()
}

/** A run that is expected to succeed. */
export async function runCliOk(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const result = await runCli(args, options)
  assert.equal(result.code, 0, `tailrace ${args.join(' ')}: ${result.stderr}`)
  return result
}

export class CliProcess {
  readonly #child: ChildProcess
  readonly #stdout: Buffer[] = []
  #stderr = ''
  readonly #exit: Promise<unknown>

  constructor(args: readonly string[], { url, env, cwd }: CliOptions = {}) {
    this.#child = spawn(process.execPath, [BIN, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...plainEnvironment(), ...(url !== undefined && { TAILRACE_URL: url }), ...env },
      ...(cwd !== undefined && { cwd }),
    })
    this.#child.stdout?.on('data', (chunk: Buffer) => this.#stdout.push(chunk))
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    // A command that ends before it has read all of its input is no failure of the test.
    this.#child.stdin?.on('error', () => {})
    this.#exit = once(this.#child, 'close')
  }

  write(text: string): void {
    this.#child.stdin?.write(text)
  }

  end(input: string | Buffer = ''): void {
    this.#child.stdin?.end(input)
  }

  signal(name: 'SIGINT' | 'SIGTERM' | 'SIGKILL'): void {
    if (this.#child.exitCode === null) this.#child.kill(name)
  }

  /** Stops reading its stdout, as head does. */
  closeStdout(): void {
    this.#child.stdout?.destroy()
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString()
  }

  get stderr(): string {
    return this.#stderr
  }

  /** Resolves when stdout or stderr fits. */
  async until(fits: (stdout: string, stderr: string) => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(WAIT_MS_MAX)
    while (!fits(this.stdout, this.#stderr)) {
      if (this.#child.exitCode !== null) assert.fail(`it ended: ${this.stdout}${this.#stderr}`)
      await Promise.race([
        once(this.#child.stdout ?? this.#child, 'data', { signal: deadline }),
        once(this.#child.stderr ?? this.#child, 'data', { signal: deadline }),
        this.#exit,
      ])
    }
  }

  async finished(): Promise<CliResult> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), WAIT_MS_MAX)
    await this.#exit
    clearTimeout(timer)
    const bytes = Buffer.concat(this.#stdout)
    const stdout = bytes.toString()
    return {
      code: this.#child.exitCode,
      stdout,
      bytes,
      stderr: this.#stderr,
      get lines() {
        return stdout
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line))
      },
    }
  }
}

/** Without what would configure the command, or the reporter of this test. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(TAILRACE_|NODE_)/.test(name)))
}
