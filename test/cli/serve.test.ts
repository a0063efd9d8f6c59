// `tailrace serve` as an operator meets it: streams, signals, exit codes, and what is said when it cannot start.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { CliProcess, runCli, runCliOk } from './cli-process.ts'

interface TestContext {
  after(cleanUp: () => void): void
}

function freshDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'tailrace-cli-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function serve(
  t: TestContext,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ cli: CliProcess; url: string }> {
  const cli = new CliProcess(['serve', ...args], { env })
  t.after(() => cli.signal('SIGKILL'))
  let url = ''
  await cli.until((_, stderr) => {
    url = /"url":"(http:[^"]+)"/.exec(stderr)?.[1] ?? ''
    return url !== ''
  })
  return { cli, url }
}

test('serves, logs to stderr alone, and ends with 0 at SIGTERM and at SIGINT', async (t) => {
  const dataDir = join(freshDir(t), 'data')
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { cli, url } = await serve(t, ['--port', '0', '--data-dir', dataDir])
    await runCliOk(['produce', 'kept', '--url', url], { input: `${signal}\n` })
    cli.signal(signal)
    const { code, stdout, stderr } = await cli.finished()
    assert.deepEqual({ code, stdout }, { code: 0, stdout: '' }, stderr)
    for (const line of stderr.trim().split('\n')) assert.ok(JSON.parse(line), line)
  }
  const { url } = await serve(t, ['--port', '0', '--data-dir', dataDir])
  const { lines } = await runCliOk(['consume', 'kept', '--from-beginning', '-e', '--url', url])
  assert.deepEqual(
    lines.map(({ value }) => value),
    ['SIGTERM', 'SIGINT'],
  )
})

test('takes flags before the environment, that before the file', async (t) => {
  const dir = freshDir(t)
  const file = join(dir, 'server.properties')
  writeFileSync(file, `num.partitions=2\nlog.dirs=${join(dir, 'file')}\nport=1\nzookeeper.connect=old:2181\n`)
  const { cli, url } = await serve(t, ['--config', file, '--set', 'num.partitions=4'], {
    TAILRACE_PORT: '0',
    TAILRACE_DATA_DIR: join(dir, 'env'),
    TAILRACE_NUM_PARTITIONS: '3',
  })
  const { lines } = await runCliOk(['topics', 'create', 'orders', '--url', url])
  assert.equal(lines[0].partitions.length, 4)
  assert.match(cli.stderr, /zookeeper\.connect/)
})

test('a reader that follows goes on where it was when a killed server is back', async (t) => {
  const dataDir = freshDir(t)
  const first = await serve(t, ['--port', '0', '--data-dir', dataDir])
  const { url } = first
  await runCliOk(['produce', 'orders'], { url, input: '1\n2\n' })
  const reader = new CliProcess(['consume', 'orders', '--from-beginning'], { url })
  t.after(() => reader.signal('SIGKILL'))
  await reader.until((stdout) => stdout.split('\n').length === 3)
  first.cli.signal('SIGKILL')
  await first.cli.finished()
  await reader.until((_, stderr) => stderr.includes('waiting for the server'))
  const second = await serve(t, ['--port', new URL(url).port, '--data-dir', dataDir])
  assert.match(second.cli.stderr, /it was not stopped cleanly: 1 partitions? recovered in \d+ ms/)
  await runCliOk(['produce', 'orders'], { url, input: '3\n' })
  await reader.until((stdout) => stdout.includes('"value":3'))
  reader.signal('SIGINT')
  const { code, lines } = await reader.finished()
  assert.deepEqual({ code, values: lines.map(({ value }) => value) }, { code: 130, values: [1, 2, 3] })
})

test('says where it really listens, and warns where others may reach it', async (t) => {
  for (const [args, isWarned] of [
    [['--host', '0.0.0.0', '--port', '0', '--data-dir', freshDir(t)], true],
    [['--port', '0', '--data-dir', freshDir(t)], false],
  ] as const) {
    const { cli } = await serve(t, args)
    cli.signal('SIGTERM')
    const { stderr } = await cli.finished()
    assert.match(stderr, isWarned ? /listens on http:\/\/0\.0\.0\.0:[1-9]/ : /listens on http:\/\/127\.0\.0\.1:[1-9]/)
    assert.equal(stderr.includes('there is no authentication'), isWarned)
  }
})

test('a second signal ends it at once, whatever is under way', async (t) => {
  const { cli, url } = await serve(t, ['--port', '0', '--data-dir', freshDir(t), '--set', 'shutdown.grace.ms=600000'])
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  t.after(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  // A request that does not end keeps a drain waiting.
  socket.write('POST /v1/topics/t/import HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n')
  socket.write('Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n')
  await once(socket, 'data')
  cli.signal('SIGTERM')
  while (await isListening(url)) {}
  cli.signal('SIGTERM')
  assert.equal((await cli.finished()).code, 143)
})

test('one Ctrl-C that comes twice, as under npm start, lets what is under way finish', async (t) => {
  const { cli, url } = await serve(t, ['--port', '0', '--data-dir', freshDir(t)])
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  socket.write('POST /v1/topics/t/import HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n')
  socket.write('Content-Length: 11\r\nExpect: 100-continue\r\n\r\n')
  await once(socket, 'data')
  cli.signal('SIGINT')
  while (await isListening(url)) {}
  cli.signal('SIGINT')
  socket.write('{"value":1}')
  const [reply] = await Promise.race([once(socket, 'data'), once(socket, 'close')])
  assert.match(String(reply), /^HTTP\/1\.1 200 .*\nconnection: close\r\n.*"imported":1/s)
  const { code, stderr } = await cli.finished()
  assert.equal(code, 0)
  assert.match(stderr, /Tailrace has stopped/)
})

async function isListening(url: string): Promise<boolean> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    // Refused: it has begun to stop.
    return false
  } finally {
    socket.destroy()
  }
}

test('a start that fails says why in one line and ends with 1, or 2 where its options are wrong', async (t) => {
  const dir = freshDir(t)
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  const held = join(dir, 'held')
  await serve(t, ['--port', '0', '--data-dir', held])
  const notDirectory = join(dir, 'file')
  writeFileSync(notDirectory, '')
  mkdirSync(join(dir, 'fresh'))

  for (const [args, says, exitCode = 1] of [
    [['--port', String(port), '--data-dir', join(dir, 'fresh')], /EADDRINUSE.*--port/],
    [['--port', '0', '--data-dir', held], /held/],
    [['--port', '0', '--data-dir', notDirectory], /the data directory .*file cannot be used \(EEXIST/],
    // a folder that is there and takes none
    [['--port', '0', '--data-dir', '/proc/nope/data'], /the data directory \/proc\/nope\/data cannot be used \(ENOENT/],
    [['--port', '70000'], /port cannot be '70000'/, 2],
    [['--set', 'foo'], /--set takes name=value/, 2],
    [
      ['--set', 'access.control.allow.origin=https://a.example/'],
      /such as https:\/\/app\.example\.com, nothing behind host and port, separated/,
      2,
    ],
    [['--set', 'log.retention.huors=1'], /did you mean 'log\.retention\.hours'/, 2],
    [['--config', join(dir, 'none')], /cannot be read/, 2],
  ] as const) {
    const { code, stdout, stderr } = await runCli(['serve', ...args], { cwd: dir })
    assert.deepEqual({ args, code, stdout }, { args, code: exitCode, stdout: '' }, stderr)
    const said = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'))
    assert.equal(said.length, 1, stderr)
    assert.match(said[0] ?? '', /^tailrace: /)
    assert.match(said[0] ?? '', says)
  }
})
