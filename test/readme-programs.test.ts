// Every program and every WebSocket frame of README.md as it stands there, but for the address, the way to the client, and the
// cursor that stands as `…`: what it prints, what it is answered, and what the README says becomes of it.

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryDirectory } from './support/engine-options.ts'
import type { TestServer } from './support/http.ts'
import { startServer } from './support/http.ts'
import { readmeBlocks } from './support/readme.ts'
import type { FramePartition, FrameRecord, SentFrame, TestSocket } from './support/ws-client.ts'
import { openSocket } from './support/ws-client.ts'

const WAIT_MS_MAX = 20_000
const CLIENT = new URL('../src/client/client.ts', import.meta.url).href

async function until(what: () => string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  for (const deadline = performance.now() + WAIT_MS_MAX; !(await isSo()); await sleep(20)) {
    assert.ok(performance.now() < deadline, what())
  }
}

async function produce(server: TestServer, topic: string, records: readonly object[]): Promise<void> {
  assert.equal((await server.post(`/v1/topics/${topic}/records`, { records })).status, 200)
}

interface DescribedGroup {
  readonly protocol_type: string
  readonly offsets: readonly { readonly partition: number; readonly committed_offset: number; readonly lag: number }[]
}

async function groupOf(server: TestServer, name: string): Promise<DescribedGroup> {
  return (await server.get(`/v1/groups/${name}`)).json() as DescribedGroup
}

/** A program of the README in a process of its own, which is killed. */
class Program {
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>
  printed = ''
  #errors = ''

  constructor(t: TestContext, text: string) {
    const path = join(temporaryDirectory(t), 'program.ts')
    writeFileSync(path, text)
    this.#child = spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'pipe'], env: {} })
    this.#child.stdout?.setEncoding('utf8').on('data', (printed: string) => {
      this.printed += printed
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (errors: string) => {
      this.#errors += errors
    })
    this.#exit = once(this.#child, 'exit')
    t.after(() => this.kill())
  }

  async prints(...lines: readonly string[]): Promise<void> {
    const hasEnded = () => this.#child.exitCode !== null
    const told = () => `${lines.join('\n')}\nnot printed, but\n${this.printed}\n${this.#errors}`
    await until(told, () => hasEnded() || lines.every((line) => `\n${this.printed}`.includes(`\n${line}\n`)))
    assert.ok(!hasEnded(), told())
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }
}

test('every program of the README prints and does what it says', { timeout: 120_000 }, async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions: 4 })
  const totals = [5, 3, 7].map((total) => ({ key: 'c-17', value: { total } }))
  await produce(server, 'orders', [...totals, { key: 'c-42', value: { total: 123 } }])

  const blocks = readmeBlocks('ts')
  // the first one says what `tailrace` is, the others go on from there
  const [opening = ''] = blocks[0]?.split(/(?<=\n)(?=for )/) ?? []
  assert.match(opening, /^import .* from 'tailrace\/client'\n[\s\S]*'http:\/\/127\.0\.0\.1:8082'/)
  const ran = new Set<string>()
  const start = (part: string) => {
    const [block = '', ...more] = blocks.filter((text) => text.includes(part))
    assert.ok(block !== '' && more.length === 0, part)
    ran.add(block)
    const text = block.startsWith(opening) ? block : opening + block
    return new Program(t, text.replace("'tailrace/client'", `'${CLIENT}'`).replace('http://127.0.0.1:8082', server.url))
  }
  const isThrough = async (group: string) => {
    await until(
      () => `${group} is not through`,
      async () => {
        const { offsets = [] } = await groupOf(server, group)
        return offsets.length === 4 && offsets.every(({ lag }) => lag === 0)
      },
    )
  }

  await t.test('a tail', async () => {
    const tail = start("from: '1h'")
    await tail.prints('c-17 { total: 5 }', 'c-17 { total: 7 }', 'c-42 { total: 123 }')
    await produce(server, 'orders', [
      { key: 'c-43', value: { total: 4 } },
      { key: 'c-44', value: { total: 9 } },
    ])
    await tail.prints('c-44 { total: 9 }')
    assert.doesNotMatch(tail.printed, /total: [34] /, 'what the filter has not chosen')
    await tail.kill()
  })

  await t.test('a member of a group', async () => {
    const billed = [3, 4, 5, 7, 9, 123].map((total) => `to be billed { total: ${total} }`)
    const first = start("group: 'invoices'")
    await first.prints(...billed)
    await isThrough('invoices')
    assert.equal((await groupOf(server, 'invoices')).protocol_type, 'consumer')
    await first.kill()
    await produce(server, 'orders', [{ key: 'c-17', value: { total: 11 } }])
    const second = start("group: 'invoices'")
    await second.prints('to be billed { total: 11 }')
    await isThrough('invoices')
    assert.equal(second.printed, 'to be billed { total: 11 }\n', 'what is committed nobody is given twice')
    await second.kill()
  })

  await t.test('a worker at a queue', async () => {
    const packed = [3, 4, 5, 7, 9, 11, 123].map((total) => `packed at attempt 1 { total: ${total} }`)
    const worker = start("name: 'packers'")
    await worker.prints(...packed)
    await isThrough('packers')
    assert.equal((await groupOf(server, 'packers')).protocol_type, 'shared')
    assert.deepEqual(worker.printed.trimEnd().split('\n').sort(), packed.sort(), 'each is accepted, once')
    await worker.kill()
  })

  assert.deepEqual([...ran], blocks, 'there is no other')
})

test('every frame of the README is answered as it says', { timeout: 60_000 }, async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions: 4 })
  await server.post('/v1/topics', { name: 'jobs', partitions: 1 })
  const frames = readmeBlocks('json').flatMap((block) =>
    block
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as SentFrame),
  )
  const [member, commit, worker, ack, ...more] = frames as [SentFrame, SentFrame, SentFrame, SentFrame]
  assert.deepEqual(more, [], 'there is no other')
  const socket = await openSocket(t, server)

  await t.test('of a member of a group', async () => {
    await asked(socket, member)
    const own = await assignedTo(socket, member, 4)
    const partition = own[0]?.partition ?? -1
    const paid = { partition, headers: [{ name: 'type', value: 'paid' }] }
    await produce(server, 'orders', [
      { ...paid, value: { total: 100 } },
      { partition, value: { total: 300 } },
      { ...paid, value: { total: 200 } },
    ])
    const { records = [], cursor } = await socket.take(isOf(member, 'records'))
    assert.deepEqual(
      records.map(({ value }) => value),
      [{ total: 200 }],
      'what its filter chooses',
    )
    assert.equal(commit['cursor'], '…')
    await asked(socket, { ...commit, cursor })
    const { offsets } = await groupOf(server, String(member['group']))
    const committed = offsets.find((one) => one.partition === partition)?.committed_offset
    assert.equal(committed, 3, 'durable when it is answered')

    // cut off, and back under its name
    socket.socket.terminate()
    const back = await openSocket(t, server)
    await asked(back, member)
    const again = await assignedTo(back, member, 4)
    const positions = again.filter((one) => one.partition === partition).map(({ position }) => position)
    assert.deepEqual(positions, [3], 'its place, from where it has committed')
  })

  await t.test('of a worker at a queue', async () => {
    const jobs = Array.from({ length: 12 }, (_, value) => ({ partition: 0, value }))
    await produce(server, 'jobs', jobs)
    const { records: credit } = worker['credit'] as { readonly records: number }
    const first = await openSocket(t, server)
    await asked(first, worker)
    const given = await first.records(String(worker['sub']), credit)
    assert.deepEqual(
      given.map(placeOf),
      [...jobs.keys()].slice(0, credit).map((offset) => `jobs/0/${offset} x1`),
    )
    const [{ offset } = { offset: -1 }, ...others] = ack['records'] as readonly FrameRecord[]
    assert.deepEqual(others, [])
    assert.equal((await asked(first, ack))['accepted'], 1)

    const second = await openSocket(t, server)
    await asked(second, worker)
    const rest = [...jobs.keys()].slice(credit)
    const beside = await second.records(String(worker['sub']), rest.length)
    assert.deepEqual(
      beside.map(placeOf),
      rest.map((one) => `jobs/0/${one} x1`),
      'each record is with one worker',
    )
    await first.close()
    const next = await second.records(String(worker['sub']), credit - rest.length)
    const open = given.filter((record) => record.offset !== offset)
    assert.deepEqual(next.map(placeOf), open.slice(0, credit - rest.length).map(placeOf), 'at once, not tried')
  })
})

function isOf(frame: SentFrame, type: string): (frame: SentFrame) => boolean {
  return (one) => one.type === type && one['sub'] === frame['sub']
}

/** Sends it with the id that it has, and gives what answers that. */
async function asked(socket: TestSocket, frame: SentFrame): Promise<SentFrame> {
  socket.send(frame)
  const answer = await socket.take((one) => one.id === frame['id'])
  assert.deepEqual([answer.type, answer.sub], ['ok', frame['sub']], JSON.stringify(answer))
  return answer
}

async function assignedTo(socket: TestSocket, frame: SentFrame, count: number): Promise<FramePartition[]> {
  const own: FramePartition[] = []
  while (own.length < count)
    own.push(...((await socket.take(isOf(frame, 'assigned')))['partitions'] as FramePartition[]))
  assert.equal(own.length, count)
  return own
}

function placeOf({ topic, partition, offset, attempts }: FrameRecord): string {
  return `${topic}/${partition}/${offset} x${attempts}`
}
