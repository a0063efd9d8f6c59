// Which node writes the registry, on a real coordinator whose time is the test's: who is picked, who takes over and when, and
// that at no moment two think that it is they.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { TailraceError } from '../../src/kernel/errors.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { registryCodeOf } from '../../src/registry/registry-failure.ts'
import { SchemaWriter } from '../../src/registry/schema-writer.ts'
import { chooseWriter, decodeAssignment, encodeAssignment, encodeIdentity } from '../../src/registry/writer-protocol.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { viewOf } from '../support/shared-engine.ts'

const SESSION_MS = 10_000

class Nodes {
  readonly clock = new FakeClock()
  readonly engine = new MemoryEngine({ clock: this.clock })
  readonly all: { readonly host: string; readonly writer: SchemaWriter; readonly view: ReturnType<typeof viewOf> }[] =
    []
  readonly #t: TestContext

  constructor(t: TestContext) {
    this.#t = t
    t.after(() => this.engine.close())
  }

  async add(host: string, changes: { readonly isCut?: boolean } = {}) {
    const view = viewOf(this.engine)
    view.isCut = changes.isCut ?? false
    const { clock } = this
    const writer = new SchemaWriter({ engine: view.engine, clock, logger: silentLogger, sessionTimeoutMs: SESSION_MS })
    const node = { host, writer, view }
    this.all.push(node)
    this.#t.after(() => writer.close())
    writer.open({ protocol: 'http', host, port: 8081 })
    await this.settle()
    return node
  }

  /** Those that think that it is they. */
  get writing(): string[] {
    return this.all.filter(({ writer }) => writer.isHere).map(({ host }) => host)
  }

  async settle(): Promise<void> {
    for (let turns = 0; turns < 20; turns++) await turn()
    assert.ok(this.writing.length <= 1, `${this.writing} at once`)
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      this.clock.advance(100)
      assert.ok(this.writing.length <= 1, `${this.writing} at once`)
      await this.settle()
    }
  }
}

test('the first is picked and stays so while it is there, whoever comes; then it is the lowest', async (t) => {
  const nodes = new Nodes(t)
  const b = await nodes.add('b')
  assert.equal(b.writer.isHere, true)
  const c = await nodes.add('c')
  const a = await nodes.add('a')
  assert.deepEqual(nodes.writing, ['b'])
  assert.deepEqual(await a.writer.place(), { url: 'http://b:8081' })
  await assert.rejects(a.writer.own(), (error) => error instanceof TailraceError && registryCodeOf(error) === 50004)
  await nodes.pass(60_000)
  assert.deepEqual(nodes.writing, ['b'])
  const { generationId } = (await nodes.engine.groups.describe('schema-registry')) ?? {}
  await nodes.pass(60_000)
  assert.equal((await nodes.engine.groups.describe('schema-registry'))?.generationId, generationId, 'it is quiet')
  await b.writer.close()
  await nodes.settle()
  assert.deepEqual(nodes.writing, ['a'], 'at once')
  assert.deepEqual(await c.writer.place(), { url: 'http://a:8081' })
  await assert.rejects(b.writer.place())
})

test('one that is not heard any more stops by itself within a session, and only then another is picked', async (t) => {
  const nodes = new Nodes(t)
  const a = await nodes.add('a')
  const b = await nodes.add('b')
  const c = await nodes.add('c')
  await nodes.pass(5_000)
  a.view.isCut = true
  await nodes.pass(2_000)
  assert.deepEqual(nodes.writing, ['a'])
  await nodes.pass(SESSION_MS)
  assert.deepEqual(nodes.writing, ['b'])
  assert.deepEqual(await c.writer.place(), { url: 'http://b:8081' })
  a.view.isCut = false
  await nodes.pass(SESSION_MS)
  assert.deepEqual(nodes.writing, ['b'], 'and stays so when the other is back')
  assert.deepEqual(await a.writer.place(), { url: 'http://b:8081' })
  assert.equal((await nodes.engine.groups.describe('schema-registry'))?.members.length, 3)
  await b.writer.close()
  await nodes.settle()
  assert.deepEqual(nodes.writing, ['a'])
})

test('a node that is not heard while another comes is waited for, and not longer than it thinks that it writes', async (t) => {
  const nodes = new Nodes(t)
  const b = await nodes.add('b')
  await nodes.pass(3_000)
  b.view.isCut = true
  await nodes.add('a')
  await nodes.pass(5_000)
  assert.deepEqual(nodes.writing, ['b'])
  await nodes.pass(6_000)
  assert.deepEqual(nodes.writing, ['a'])
})

test('a history of nodes that come, go and are cut off: never two at once, and in the end one', async (t) => {
  const nodes = new Nodes(t)
  for (const host of ['d', 'b', 'a', 'c']) await nodes.add(host)
  const cuts = [[0], [0, 2], [1], [], [3, 1], [2], [0, 1, 2, 3], []]
  for (const [round, cut] of cuts.entries()) {
    for (const [at, { view }] of nodes.all.entries()) view.isCut = cut.includes(at)
    await nodes.pass(3_000 + 2_700 * round)
  }
  await nodes.pass(2 * SESSION_MS)
  assert.equal(nodes.writing.length, 1)
})

test('without a coordinator nobody writes: that is told after a while, and it is tried again', async (t) => {
  const nodes = new Nodes(t)
  const a = await nodes.add('a', { isCut: true })
  const asked = assert.rejects(a.writer.place(), (error) => {
    return error instanceof TailraceError && registryCodeOf(error) === 50004 && error.retriable
  })
  await nodes.pass(5_000)
  await asked
  const waiting = a.writer.place()
  a.view.isCut = false
  await nodes.pass(4_000)
  assert.deepEqual(nodes.writing, ['a'])
  assert.equal(await waiting, 'here')
})

test('nodes that say that they are reached at one address have no writer', async (t) => {
  const nodes = new Nodes(t)
  const a = await nodes.add('a')
  const b = await nodes.add('a')
  assert.deepEqual(nodes.writing, [])
  await b.writer.close()
  await nodes.settle()
  assert.equal(a.writer.isHere, true)
})

test('what nodes tell each other has the form of Confluent’s', () => {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()
  const identity = { protocol: 'http', host: 'sr-1', port: 8081, isEligible: true, isWriter: false } as const
  const encoded = '{"version":1,"host":"sr-1","port":8081,"master_eligibility":true,"scheme":"http","leader":false}'
  assert.equal(text(encodeIdentity(identity)), encoded)
  const metadata = Buffer.from('{"version":1,"host":"sr-0","port":8081,"master_eligibility":true,"scheme":"https"}')
  const never = Buffer.from('{"version":1,"host":"a","port":1,"master_eligibility":false,"scheme":"http"}')
  const chosen = chooseWriter([
    { memberId: 'm1', metadata: encodeIdentity(identity) },
    { memberId: 'm2', metadata },
    { memberId: 'm3', metadata: never },
    { memberId: 'm4', metadata: Buffer.from('nonsense') },
  ])
  assert.equal(chosen.writer?.memberId, 'm1', 'http is lower than https')
  const assignment =
    '{"version":1,"error":0,"master":"m","master_identity":{"version":1,"host":"h","port":2,"master_eligibility":true,"scheme":"http"}}'
  const decoded = decodeAssignment(Buffer.from(assignment))
  assert.equal(decoded?.writer?.memberId, 'm')
  assert.deepEqual(decodeAssignment(encodeAssignment(chosen))?.writer?.memberId, 'm1')
  assert.equal(text(encodeAssignment(chooseWriter([{ memberId: 'm3', metadata: never }]))), '{"version":1,"error":0}')
  assert.equal(decodeAssignment(Buffer.from('{"version":1,"error":1,"master":"m"}'))?.writer, undefined)
  assert.equal(decodeAssignment(Buffer.alloc(0)), undefined)
})
