// The whole server in this process, on an own data directory: asked through Fastify's inject (no socket) or over real
// sockets. Every reply is held against openapi.yaml before the test sees it, and every frame against asyncapi.yaml.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { App } from '../../src/app/app.ts'
import { openApp } from '../../src/app/app.ts'
import { loadConfig } from '../../src/app/config.ts'
import type { Engine } from '../../src/engine/engine.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import type { Logger } from '../../src/kernel/logger.ts'
import { FakeClock } from './fake-clock.ts'
import type { TestReply, TestRequest } from './http-send.ts'
import { send } from './http-send.ts'
import { checkReply } from './openapi.ts'
import { checkServerFrames, watchServerFrames } from './server-frames.ts'

export interface LoggedLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly facts: object
  readonly message: string
}

export interface TestServer {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  /** What the server logged. */
  readonly log: readonly LoggedLine[]
  /** Over a real socket; an object as the body is sent as JSON. */
  request(method: string, path: string, request?: TestRequest): Promise<TestReply>
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<TestReply>
  post(path: string, body: TestRequest['body'], headers?: Readonly<Record<string, string>>): Promise<TestReply>
  /** Writes bytes to a new connection, as they are, and gives all that comes back until it is closed. */
  raw(bytes: string | Buffer, options?: RawOptions): Promise<string>
  close(): Promise<void>
}

interface RawOptions {
  readonly hangUpAfterMs?: number
  /** Says that nothing more comes from here when there were so many, and reads on until the server closes as well. */
  readonly endAfterReplies?: number
}

interface TestContext {
  after(cleanUp: () => Promise<void> | void): void
}

/** Closed with the test. Options are the server's own, as on its command line: `{ 'num.partitions': '4' }`. */
export async function startServer(
  t: TestContext,
  options: {
    readonly set?: Readonly<Record<string, string>>
    readonly dataDir?: string
    /** In place of the system's; a fake one goes on by itself while the server closes. */
    readonly clock?: Clock
    readonly openEngine?: () => Promise<Engine>
  } = {},
): Promise<TestServer> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'tailrace-http-'))
  const log: LoggedLine[] = []
  const set = Object.entries(options.set ?? {}).map(([name, value]) => `${name}=${value}`)
  const config = loadConfig({
    flags: { port: '0', host: '127.0.0.1', dataDir, set },
    env: {},
    readFile: (path) => readFileSync(path, 'utf8'),
  })
  watchServerFrames()
  const { clock, openEngine } = options
  const app = await openApp(config, {
    logger: recordingLogger(log),
    ...(clock && { clock }),
    ...(openEngine && { openEngine }),
  })
  t.after(async () => {
    const ticking = clock instanceof FakeClock ? setInterval(() => clock.advance(100), 1) : undefined
    await app.close()
    clearInterval(ticking)
    if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true })
    checkServerFrames()
  })
  return testServer(app, dataDir, log)
}

function testServer(app: App, dataDir: string, log: readonly LoggedLine[]): TestServer {
  const port = Number(new URL(app.url).port)
  const request = async (method: string, path: string, { headers, body }: TestRequest = {}) => {
    const isObject = typeof body === 'object' && !Buffer.isBuffer(body)
    const bytes = isObject ? JSON.stringify(body) : body
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    const reply = await send(port, method, path, { ...type, ...headers }, bytes)
    checkReply(reply)
    return reply
  }
  return {
    url: app.url,
    port,
    dataDir,
    log,
    request,
    get: (path, headers = {}) => request('GET', path, { headers }),
    post: (path, body, headers = {}) => request('POST', path, { headers, ...(body === undefined ? {} : { body }) }),
    raw: (bytes, options) => exchange(port, bytes, options),
    close: () => app.close(),
  }
}

function recordingLogger(log: LoggedLine[]): Logger {
  const at = (level: LoggedLine['level']) => (facts: object, message: string) => {
    log.push({ level, facts, message })
  }
  return { info: at('info'), warn: at('warn'), error: at('error') }
}

const QUIET_MS = 10_000

function exchange(
  port: number,
  bytes: string | Buffer,
  { hangUpAfterMs, endAfterReplies }: RawOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(bytes)
      if (hangUpAfterMs !== undefined) setTimeout(() => socket.destroy(), hangUpAfterMs)
    })
    socket.setTimeout(QUIET_MS, () => socket.destroy())
    socket.on('data', (chunk) => {
      text += chunk
      if (endAfterReplies !== undefined && text.split('HTTP/1.1 ').length > endAfterReplies) socket.end()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error)
    })
    socket.on('close', () => resolve(text))
  })
}
