// Every command of README.md is run as it stands there, in order, in one shell a block, against a server of this
// checkout: only the address and the way to the `tailrace` command are put in its place. The two commands that install are
// what `.ci/run` and the test of the packed package run. Its programs and its frames: readme-programs.test.ts.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { App } from '../src/app/app.ts'
import { openApp } from '../src/app/app.ts'
import { loadConfig } from '../src/app/config.ts'
import { silentLogger } from '../src/kernel/logger.ts'
import { README_LANGUAGES, readmeBlocks, readmeFences } from './support/readme.ts'

const BIN = new URL('../bin/tailrace.js', import.meta.url).pathname
const WSCAT = new URL('support/wscat-process.ts', import.meta.url).pathname
const INSTALLING = ['npm ci && npm start', 'npm ci && npm test']

const blocks = readmeBlocks('sh')
const commands = blocks.filter((block) => !INSTALLING.includes(block.trim()))

let app: App
/** Where the README moves things to, at port 8083. */
let other: App
let directory: string

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tailrace-readme-'))
  app = await open('data')
  other = await open('other', ['allow.internal.topics=true'])
})

async function open(name: string, set: readonly string[] = []): Promise<App> {
  const flags = { port: '0', dataDir: join(directory, name), set }
  return await openApp(loadConfig({ flags, env: {}, readFile: () => '' }), { logger: silentLogger })
}

after(async () => {
  await app.close()
  await other.close()
  rmSync(directory, { recursive: true, force: true })
})

/** What a block prints, with every command's failure a failure of the block. */
async function run(block: string): Promise<string> {
  const script = block
    .replaceAll('http://127.0.0.1:8082', app.url)
    .replaceAll('http://127.0.0.1:8083', other.url)
    .replaceAll(/^npx tailrace tail -f.*$/gm, 'timeout --preserve-status -s INT 2 $& || test $? = 130')
    .replaceAll('npx tailrace', `"${process.execPath}" "${BIN}"`)
    // what waits a minute for a record that nobody sends, and what listens until Ctrl-C
    .replaceAll('wait_ms=60000', 'wait_ms=50')
    .replaceAll(/curl -N '([^']*\/events\?[^']*)'/g, "curl -N --fail-with-body '$1&max_ms=1'")
    .replaceAll('-w -1', '-w 2')
    .replaceAll('npx -y wscat', `"${process.execPath}" "${WSCAT}"`)
    .replaceAll('ws://127.0.0.1:8082', app.url.replace('http', 'ws'))
    .replaceAll('curl -s', 'curl -s --fail-with-body')
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: directory,
    env: { ...process.env, TAILRACE_URL: app.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output: Buffer[] = []
  const errors: Buffer[] = []
  shell.stdout.on('data', (chunk) => output.push(chunk))
  shell.stderr.on('data', (chunk) => errors.push(chunk))
  const code = await new Promise((resolve) => shell.on('close', resolve))
  const printed = Buffer.concat(output).toString()
  assert.equal(code, 0, `${script}\n${printed}\n${Buffer.concat(errors)}`)
  return printed
}

test('the README has no block of code that no test runs', () => {
  const begins = README_LANGUAGES.flatMap((language) => readmeBlocks(language).map(() => `\`\`\`${language}`))
  assert.deepEqual([...readmeFences].sort(), [...begins, ...begins.map(() => '```')].sort())
})

test('the README has its commands, the two that install among them', () => {
  for (const command of INSTALLING)
    assert.ok(
      blocks.some((block) => block.trim() === command),
      command,
    )
  assert.ok(commands.length >= 8)
})

test('every command of the README does what it says', { timeout: 120_000 }, async () => {
  const printed: string[] = []
  for (const block of commands) printed.push(await run(block))
  const all = printed.join('\n')
  assert.match(all, /"value":\{"total":12345678901234567890\}/, 'values come back as they were sent')
  assert.match(all, /"imported":2,"rejected":0/, 'what was exported goes in again')
  assert.match(all, /"duplicate":true/, 'a repeated request is known again')
  assert.match(all, /^==> orders <==$/m, 'a tail that was asked for values says of which topic they are')
  assert.match(all, /Created topic quickstart-events\./)
  assert.match(all, /^This is my first event$/m)
  assert.match(all, /"positions":\[\{"topic":"orders"/, 'a poll has records on a lease')
  assert.match(all, /"rejected":1,[\s\S]*\{"lines":1,"imported":1,"rejected":0/, 'a dead letter goes back')
  assert.match(all, /"lag":0,"member_id"/, 'an acknowledged lease leaves no lag')
  assert.match(all, /^quickstart +quickstart-events +0 +1 +1 +0 /m, "a group as Kafka's tool shows it")
  assert.match(all, /^id: .+\ndata: \{"topic":"orders".*"key":"c-17","value":\{"total":7\}/m, 'an event stream')
  assert.match(all, /^data: \[\{"topic":"orders"/m, 'in arrays')
  assert.match(all, /^event: end\n.*\ndata: \{"reason":"max_ms"/m, 'which ends as it should')
  assert.match(all, /\{"type":"records","sub":"a",.*"value":\{"total":7\}/, 'a WebSocket')
  assert.match(
    all,
    /"value":\{"id":2,"to":"Graz"\},"value_encoding":"avro","schema_id":1/,
    'a value as its schema has it',
  )
  const graz = all.match(
    /^\{"topic":"shipments".*"value":\{"id":2,"to":"Graz"\},"value_encoding":"avro","schema_id":1.*\}$/gm,
  )
  assert.equal(graz?.length, 2, 'here, and where it was moved to')
  const found = /^\{"records":\[\{"topic":"shipments","partition":0,"offset":1,.*"scanned":3,"filter_errors":0/m
  assert.match(all, found, 'and as a filter finds it')
  assert.match(
    all,
    /^\+ {4}\{"name": "weight", "type": \["null", "int"\], "default": null\}$/m,
    'what a version changed',
  )
  assert.match(all, /"subject":"trips-value","version":1,"id":\d+,/, 'the latest version')
  assert.match(all, /\{"is_compatible":true,"messages":\[\]\}/, 'a schema may follow')
  const clicks = all.match(/\[\{"topic":"clicks","key":17,"value":\{"total":5\},"partition":0,"offset":0/g)
  assert.equal(clicks?.length, 2, 'v2 reads with a consumer and without')
})
