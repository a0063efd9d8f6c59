// `consume --group` and Kafka's console consumer with --group: workers of a group as people run them.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { TailraceClient } from '../../src/client/client.ts'
import { startServer } from '../support/http.ts'
import { CliProcess, runCli, runCliOk } from './cli-process.ts'

/** A topic of four partitions with as many records, one after the other. */
async function start(t: TestContext, recordCount: number) {
  const { url, post } = await startServer(t)
  await post('/v1/topics', { name: 'orders', partitions: 4 })
  const client = new TailraceClient({ url })
  let sent = 0
  const produce = async (count: number) => {
    const records = Array.from({ length: count }, () => ({ value: `v${sent}`, partition: sent++ % 4 }))
    await client.produce('orders', records, { valueEncoding: 'string' })
  }
  if (recordCount > 0) await produce(recordCount)
  const lag = async (group: string) =>
    (await client.getGroup(group)).offsets.reduce((sum, { lag }) => sum + (lag ?? 0), 0)
  return { url, client, produce, lag }
}

const valuesOf = (lines: readonly { value: string }[]) => lines.map(({ value }) => value).sort()
const allValues = (count: number) => Array.from({ length: count }, (_, at) => `v${at}`).sort()

test('what was printed is committed, and a later run goes on behind it', async (t) => {
  const { url, produce, lag } = await start(t, 10)
  const consume = (...options: string[]) => runCliOk(['consume', 'orders', '-g', 'g', '-e', ...options], { url })
  const first = await consume('--from-beginning', '-n', '3')
  assert.equal(first.lines.length, 3)
  assert.equal(await lag('g'), 7)
  const rest = await consume('--from-beginning')
  assert.deepEqual(valuesOf([...first.lines, ...rest.lines]), allValues(10))
  assert.equal(await lag('g'), 0)
  assert.equal((await consume()).stdout, '')
  await produce(1)
  assert.deepEqual(valuesOf((await consume()).lines), ['v10'])
})

test('workers of a group share its records, and each comes once', async (t) => {
  const { url, produce, lag } = await start(t, 0)
  const workers = [1, 2].map(() => new CliProcess(['consume', 'orders', '-g', 'g', '--from-beginning'], { url }))
  t.after(() => {
    for (const worker of workers) worker.signal('SIGKILL')
  })
  let count = 0
  // who has printed nothing may not have heard of signals yet
  while (count < 80 || workers.some(({ stdout }) => stdout === '')) {
    await produce(8)
    count += 8
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const printed = () => workers.flatMap(({ stdout }) => stdout.split('\n').slice(0, -1))
  await Promise.race(workers.map((worker) => worker.until(() => printed().length >= count)))
  for (const worker of workers) worker.signal('SIGINT')
  for (const worker of workers) assert.equal((await worker.finished()).code, 130)
  assert.deepEqual(valuesOf(printed().map((line) => JSON.parse(line))), allValues(count))
  assert.equal(await lag('g'), 0)
})

test('what a pipe that was closed did not take is not acknowledged, and is there for the next run at once', async (t) => {
  const { url, client, produce, lag } = await start(t, 0)
  const filler = 'x'.repeat(200)
  await client.produce(
    'orders',
    Array.from({ length: 5_000 }, (_, at) => ({ value: `v${at} ${filler}` })),
    { valueEncoding: 'string' },
  )
  const consume = ['consume', 'orders', '-g', 'g', '--from-beginning']
  const cut = new CliProcess([...consume, '-e'], { url })
  await cut.until((stdout) => stdout !== '')
  cut.closeStdout()
  assert.deepEqual(await codeAndNotes(cut), [0, ''])
  const left = await lag('g')
  assert.ok(left > 0)
  assert.equal((await runCliOk([...consume, '-e'], { url })).lines.length, left)

  const waiting = new CliProcess(consume, { url })
  await waiting.until((_stdout, stderr) => stderr.includes('goes on where it stands'))
  waiting.closeStdout()
  await produce(1)
  assert.equal((await codeAndNotes(waiting))[0], 0)
  assert.equal(await lag('g'), 1)
})

async function codeAndNotes(cli: CliProcess) {
  const { code, stderr } = await cli.finished()
  return [code, stderr]
}

test('an end at which others hold what is left says how much that is', async (t) => {
  const { url, client } = await start(t, 5)
  const { lease } = await client.pollGroup('g', { topics: ['orders'], from: 'earliest', wait_ms: 5_000 })
  const { stdout, stderr } = await runCliOk(['consume', 'orders', '-g', 'g', '-e', '--from-beginning'], { url })
  assert.equal(stdout, '')
  assert.match(stderr, /5 records of topic orders are left to group 'g'/)
  await client.ackLease('g', lease ?? '', { through: 'all' })
  assert.doesNotMatch((await runCliOk(['consume', 'orders', '-g', 'g', '-e'], { url })).stderr, /are left/)
})

test('without a place to begin a group begins at the end', async (t) => {
  const { url, produce, client } = await start(t, 4)
  const worker = new CliProcess(['consume', 'orders', '-g', 'g', '-n', '1'], { url })
  t.after(() => worker.signal('SIGKILL'))
  while (!(await client.listGroups()).some(({ state }) => state === 'Stable')) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  // From where it begins is known when its first poll has been resolved, a moment later.
  for (let tries = 0; worker.stdout === '' && tries < 50; tries++) {
    await produce(1)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { lines } = await worker.finished()
  assert.equal(lines.length, 1)
  assert.ok(Number(lines[0].value.slice(1)) >= 4, lines[0].value)
})

test('where a group begins, or goes on in spite of what is asked, is told', async (t) => {
  const { url } = await start(t, 4)
  const consume = async (...options: string[]) => {
    const { stderr, lines } = await runCliOk(['consume', 'orders', '-g', 'g', '-e', ...options], { url })
    return [lines.length, stderr]
  }
  assert.deepEqual(await consume('-n', '1', '--from-beginning'), [1, ''])
  assert.deepEqual(await consume(), [3, ''])
  const [, ignored] = await consume('--from-beginning')
  assert.match(String(ignored), /goes on where it stands in topic orders: --from-beginning is ignored\n$/)
  const other = await runCliOk(['consume', 'orders', '-g', 'h', '-e'], { url })
  assert.equal(other.stdout, '')
  assert.match(other.stderr, /'h' is new to topic orders: it begins at latest; --from-beginning begins at the earliest/)
})

/** One that answers each request with the first of the replies whose path fits. */
async function startReplies(
  t: TestContext,
  replies: readonly (readonly [path: RegExp, status: number, body: object])[],
) {
  const server = createServer((request, response) => {
    const [, status = 500, body = {}] = replies.find(([path]) => path.test(request.url ?? '')) ?? []
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  t.after(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('an end that is reached without some partition is a failure, with what to do about it', async (t) => {
  const error = { code: 'offset_out_of_range', title: 'x', detail: 'offset 50 is not there', retryable: false }
  const group = { group: 'g', offsets: [{ topic: 'orders', partition: 0, committed_offset: 50 }] }
  const nothing = { records: [], lease: null, expires_at: null, positions: [], generation: 1, next: '' }
  const faults = [{ topic: 'orders', partition: 0, error }]
  const someFail = await startReplies(t, [
    [/poll$/, 200, { ...nothing, faults }],
    [/groups/, 200, group],
  ])
  const allFail = await startReplies(t, [
    [/poll$/, 416, error],
    [/groups/, 200, group],
  ])
  for (const url of [someFail, allFail]) {
    const { code, stderr } = await runCli(['consume', 'orders', '-g', 'g', '-e'], { url })
    assert.equal(code, 1, stderr)
    assert.match(stderr, /offset 50 is not there; 'tailrace groups reset g -t orders --to latest --execute'/)
  }
})

test('at a work queue what was printed is accepted, and what was not is there again, as if it had not been given', async (t) => {
  const { url, client, lag } = await start(t, 10)
  const consume = (...options: string[]) => ['consume', 'orders', '-g', 'q', '--shared', '-e', ...options]
  const first = await runCliOk(consume('--from-beginning', '-n', '3'), { url })
  assert.deepEqual(
    first.lines.map(({ attempts }) => attempts),
    [1, 1, 1],
  )
  assert.equal((await client.getGroup('q')).protocol_type, 'shared')
  const rest = await runCliOk(consume(), { url })
  assert.deepEqual(valuesOf([...first.lines, ...rest.lines]), allValues(10))
  assert.equal(await lag('q'), 0)
  assert.equal((await runCliOk(consume(), { url })).stdout, '')

  const filler = 'x'.repeat(200)
  const records = Array.from({ length: 2_000 }, (_, at) => ({ value: `v${at} ${filler}` }))
  await client.produce('orders', records, { valueEncoding: 'string' })
  const cut = new CliProcess(consume(), { url })
  await cut.until((stdout) => stdout !== '')
  cut.closeStdout()
  assert.deepEqual(await codeAndNotes(cut), [0, ''])
  const again = await runCliOk(consume(), { url })
  assert.ok(again.lines.length > 0)
  assert.ok(again.lines.every(({ attempts }) => attempts === 1))
})

test('a group of the other kind is refused with the way that it is worked at', async (t) => {
  const { url, client } = await start(t, 4)
  await client.pollGroup('q', { topics: ['orders'], mode: 'shared' })
  await client.pollGroup('g', { topics: ['orders'] })
  const consume = (...options: string[]) => runCli(['consume', 'orders', '-e', '--from-beginning', ...options], { url })
  const shared = await consume('-g', 'q')
  assert.equal(shared.code, 1)
  assert.match(
    shared.stderr,
    /group 'q' is shared, and that for its life: 'tailrace consume orders -g q --shared' works at it/,
  )
  const line = 'kafka-console-consumer.sh --topic orders --group q --bootstrap-server localhost:9092'
  assert.match((await runCli(line.split(' '), { url })).stderr, /'tailrace consume orders -g q --shared' works at it/)
  const exclusive = await consume('-g', 'g', '--shared')
  assert.equal(exclusive.code, 1)
  assert.match(exclusive.stderr, /group 'g' is exclusive, .*: 'tailrace consume orders -g g' works in it/)
})

test("Kafka's console consumer in a group prints, commits and counts", async (t) => {
  const { url, lag } = await start(t, 10)
  const line = 'kafka-console-consumer.sh --topic orders --group g --from-beginning --bootstrap-server localhost:9092'
  const { stdout, stderr } = await runCliOk([...line.split(' '), '--max-messages', '10'], { url })
  assert.deepEqual(stdout.trim().split('\n').sort(), allValues(10))
  assert.match(stderr, /^Processed a total of 10 messages$/m)
  assert.equal(await lag('g'), 0)
  const again = await runCliOk([...line.split(' '), '--timeout-ms', '300'], { url })
  assert.equal(again.stdout, '')
})

test('what does not go together is refused', async () => {
  const wrong: [line: string, code: number, message: RegExp][] = [
    ['consume orders --group g --partition 0', 2, /do not go with --group/],
    ['consume orders --group g --offset 3', 2, /--offset 3 does not go with --group: earliest, latest/],
    ['consume orders --shared', 2, /--group names it/],
    ['consume orders --group g --shared --offset committed', 2, /without being in it/],
    ['kafka-console-consumer --topic t --group g --partition 0 --offset 1', 1, /group and partition cannot be/],
    ['kafka-console-consumer --topic t --group g --consumer-property group.id=h', 1, /group\.id says h/],
  ]
  const results = await Promise.all(wrong.map(([line]) => runCli(line.split(' '))))
  for (const [at, { code, stderr }] of results.entries()) {
    assert.equal(code, wrong[at]?.[1], stderr)
    assert.match(stderr, wrong[at]?.[2] ?? /^$/)
  }
})
