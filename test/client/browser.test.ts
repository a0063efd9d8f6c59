// Browsers run src/client as it stands, types stripped: it reaches nothing of Node's, by import or by name.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { startServer } from '../support/http.ts'

const root = join(import.meta.dirname, '..', '..')

/** What a file imports when it runs: imports of types are gone then. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/^(?:import|export) (?!type\b)(?:[^'"]*? from )?'([^']+)'/gms)].map(
    ([, name]) => name as string,
  )
}

test('no file that the client imports, however far away, is Node’s or a package', () => {
  const files = new Set(globSync('src/client/*.ts', { cwd: root }).map((file) => join(root, file)))
  const foreign: string[] = []
  for (const file of files) {
    for (const name of importsOf(file)) {
      if (name.startsWith('.')) files.add(join(dirname(file), name))
      else foreign.push(`${relative(root, file)} imports ${name}`)
    }
  }
  assert.ok(files.has(join(root, 'src/kernel/json-scanner.ts')), 'imports are followed')
  assert.deepEqual(foreign, [])
})

/** What the client may find in the global scope: what browsers have there. */
const WEB = [
  ...['AbortController', 'TextDecoder', 'TextEncoder', 'URL', 'URLSearchParams', 'WebSocket', 'console', 'fetch'],
  ...['performance', 'setTimeout', 'clearTimeout'],
]

const PROGRAM = `
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { createContext, SourceTextModule } from 'node:vm'
const [client, url] = process.argv.slice(-2)
const web = Object.fromEntries(${JSON.stringify(WEB)}.map((name) => [name, globalThis[name]]))
const context = createContext({ ...web, url })
const modules = new Map()
const load = (identifier, source = stripTypeScriptTypes(readFileSync(new URL(identifier), 'utf8'))) => {
  if (!modules.has(identifier)) modules.set(identifier, new SourceTextModule(source, { identifier, context }))
  return modules.get(identifier)
}
const program = load(new URL('program.js', client).href, \`
import { TailraceClient } from './client.ts'
const tailrace = new TailraceClient({ url })
await tailrace.createTopic({ name: 'orders' })
await tailrace.produce('orders', [{ key: 'k', value: 'a' }, { value: { total: 1 } }])
for await (const page of tailrace.pages('orders')) console.log(...page.records.map((record) => record.member('value')))
for await (const page of tailrace.tail('orders', { from: 'earliest', until: { count: 3 } })) {
  for (const record of page.records) console.log(record.text('key') ?? '-', record.member('value'))
  if (page.progress?.caughtUp) await tailrace.produceJson('orders', '{"records":[{"value":1.0}]}')
}
\`)
await program.link((name, { identifier }) => load(new URL(name, identifier).href))
await program.evaluate()
`

test('the client reads and tails where there is nothing of Node’s', { timeout: 30_000 }, async (t) => {
  const { url } = await startServer(t)
  const client = new URL('../../src/client/client.ts', import.meta.url).href
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', '--input-type=module']
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, '--eval', PROGRAM, '--', client, url])
  assert.equal(stdout, '"a" {"total":1}\nk "a"\n- {"total":1}\n- 1.0\n')
})
