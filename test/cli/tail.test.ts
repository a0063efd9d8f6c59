// `tailrace tail` against a real server: what coreutils' tail does with files, with topics.

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'
import { CliProcess, runCli, runCliOk } from './cli-process.ts'

type Context = Parameters<typeof startServer>[0]

/** Two topics: of `orders` the values 0 to 19 in two partitions a second apart, of `bills` 0 to 2. */
async function startWithTopics(t: Context) {
  const server = await startServer(t)
  const { url } = server
  await runCliOk(['topics', 'create', 'orders', '-p', '2'], { url })
  const orders = Array.from({ length: 20 }, (_, at) => ({
    key: at % 2 === 0 ? 'even' : 'odd',
    value: at,
    partition: at % 2,
    timestamp: `2026-01-01T00:00:${String(at).padStart(2, '0')}Z`,
  }))
  assert.equal((await server.post('/v1/topics/orders/records', { records: orders })).status, 200)
  await runCliOk(['produce', 'bills', '-H', 'kind=late'], { url, input: '{"total": 1}\nText, Größe\n\n' })
  return server
}

test('prints the last records of each topic, ten unless told otherwise, in the order of time', async (t) => {
  const { url } = await startWithTopics(t)
  const values = async (...args: string[]) => {
    const { lines } = await runCliOk(['tail', ...args], { url })
    return lines.map(({ value }) => value)
  }
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at)
  assert.deepEqual(await values('orders'), range(10, 20))
  assert.deepEqual(await values('orders', '-n', '3'), [17, 18, 19])
  assert.deepEqual(await values('orders', '-n3', '-p', '1'), [15, 17, 19])
  assert.deepEqual(await values('orders', '-n', '-3'), [17, 18, 19])
  assert.deepEqual(await values('orders', '-3'), [17, 18, 19])
  assert.deepEqual(await values('-3', 'orders'), [17, 18, 19])
  assert.deepEqual(await values('orders', '-n', '0'), [])
  assert.deepEqual((await values('orders', '-n', '+1')).toSorted(), range(0, 20).toSorted())
  assert.deepEqual(await values('orders', '-n', '+9', '-p', '0'), [16, 18])
  assert.deepEqual(await values('orders', '-n', '+99'), [])
  assert.deepEqual(await values('bills', 'orders', '-n', '2'), ['Text, Größe', '', 18, 19])
  assert.deepEqual(await values('--pattern', '(orders|bills)', '-n', '4'), [19, { total: 1 }, 'Text, Größe', ''])
  assert.deepEqual(await values('orders', '--since', '2026-01-01T00:00:17Z', '--key', 'odd'), [17, 19])
  assert.deepEqual(await values('orders', '--since', 'earliest', '--until', '2026-01-01T00:00:02Z', '-p', '0'), [0])
  assert.deepEqual(await values('orders', 'bills', '-H', 'kind=late', '-n', '1'), [''])
  assert.deepEqual(await values('orders', '--filter', 'value > 17'), [18, 19])
  assert.deepEqual(await values('orders', '--grep', '^(1[23]|even)$', '-n', '6'), [14, 16, 18])
  assert.deepEqual(await values('bills', '--grep', 'Gr(ö|oe)ße$'), ['Text, Größe'])
  assert.deepEqual(await values('bills', '--grep', 'TEXT'), [])
  assert.deepEqual(await values('bills', '--grep', 'TEXT', '-i'), ['Text, Größe'])
})

test('topics have their names above them where several are read, for people', async (t) => {
  const { url } = await startWithTopics(t)
  const print = async (...args: string[]) => (await runCliOk(['tail', ...args], { url })).stdout
  assert.equal(await print('orders', '--output', 'value', '-n', '2'), '18\n19\n')
  assert.equal(await print('orders', '--output', 'value', '-n', '2', '-v'), '==> orders <==\n18\n19\n')
  assert.equal(await print('bills', 'orders', '--output', 'value', '-n', '1', '-q'), '\n19\n')
  assert.equal(await print('orders', '--output', 'key-value', '-n', '2'), 'even\t18\nodd\t19\n')
  const three = await print('orders', 'bills', '--output', 'value', '-n', '3')
  assert.equal(three, '==> orders <==\n17\n18\n19\n\n==> bills <==\n{"total": 1}\nText, Größe\n\n')
  const table = await print('orders', 'bills', '--output', 'table', '-n', '1')
  assert.match(table, /^==> orders <==\nPART:OFFSET .*\n1:9 .* 19\n\n==> bills <==\n\d:\d .*\n$/)
  const lines = (await print('orders', 'bills', '-n', '1')).trim().split('\n')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).topic),
    ['orders', 'bills'],
  )
})

test('-f goes on with what comes, of all topics, and Ctrl-C ends it', async (t) => {
  const { url } = await startWithTopics(t)
  const cli = new CliProcess(['tail', '-f', '-n', '1', '--output', 'value', 'orders', 'bills'], { url })
  t.after(() => cli.signal('SIGKILL'))
  await cli.until((stdout) => stdout === '==> orders <==\n19\n\n==> bills <==\n\n')
  await runCliOk(['produce', 'bills'], { url, input: 'more\n' })
  await cli.until((stdout) => stdout.endsWith('more\n'))
  await runCliOk(['produce', 'orders'], { url, input: '20\n' })
  await cli.until((stdout) => stdout.endsWith('20\n'))
  cli.signal('SIGINT')
  const { code, stdout, stderr } = await cli.finished()
  assert.deepEqual({ code, stderr }, { code: 130, stderr: '' })
  assert.equal(stdout, '==> orders <==\n19\n\n==> bills <==\n\nmore\n\n==> orders <==\n20\n')
})

test('a topic that is missing is told, and the others are read; -F waits for it', async (t) => {
  const { url } = await startWithTopics(t)
  const { code, stdout, stderr } = await runCli(['tail', 'nope', 'orders', '-n', '1', '--output', 'value'], { url })
  assert.deepEqual([code, stdout], [3, '==> orders <==\n19\n'])
  assert.match(stderr, /^tailrace: .*nope.*\ntailrace: this is not all: 1 of 2 topics .*\n$/)
  const alone = await runCli(['tail', '-f', 'nope'], { url })
  assert.deepEqual([alone.code, alone.stdout], [3, ''])
  assert.match(alone.stderr, /^tailrace: .*nope.*; -F waits for .*\n$/)

  const cli = new CliProcess(['tail', '-F', '-n', '1', '--output', 'value', 'ne.w', 'bills'], { url })
  t.after(() => cli.signal('SIGKILL'))
  await cli.until((stdout) => stdout === '==> bills <==\n\n')
  await runCliOk(['produce', 'ne.w'], { url, input: 'first\n' })
  await runCliOk(['produce', 'ne-w'], { url, input: 'not this\n' })
  await cli.until((stdout) => stdout.endsWith('==> ne.w <==\nfirst\n'))
  cli.signal('SIGINT')
  assert.equal((await cli.finished()).stderr, 'tailrace: topic ne.w is not there yet: waiting for it\n')
})

test('-f with a pattern finds topics that are made later', async (t) => {
  const { url } = await startWithTopics(t)
  const cli = new CliProcess(['tail', '-f', '-n', '1', '--output', 'value', '--pattern', 'bills|new.*'], { url })
  t.after(() => cli.signal('SIGKILL'))
  await cli.until((stdout) => stdout === '==> bills <==\n\n')
  await runCliOk(['produce', 'newer'], { url, input: 'first\n' })
  await cli.until((stdout) => stdout.endsWith('\n\n==> newer <==\nfirst\n'))
  cli.signal('SIGTERM')
  assert.equal((await cli.finished()).code, 143)
  const { code, stderr } = await runCli(['tail', '--pattern', 'ord'], { url })
  assert.deepEqual([code, stderr], [3, "tailrace: no topic has a name that fits --pattern 'ord'\n"])
})

test('a reader that goes away ends it without a word', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['produce', 'big'], { url, input: 'some value\n'.repeat(50_000) })
  const cli = new CliProcess(['tail', 'big', '-f', '-n', '+1'], { url })
  t.after(() => cli.signal('SIGKILL'))
  await cli.until((stdout) => stdout.length > 0)
  cli.closeStdout()
  const { code, stderr } = await cli.finished()
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
})

test('wrong usage ends with 2 and says what was wrong', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['topics', 'create', 't', '-p', '2'], { url })
  for (const [args, says] of [
    [[], /topics, or the --pattern/],
    [['t', '--pattern', 't'], /topics, or the --pattern/],
    [['t', '-n', '+0'], /'\+0' is invalid/],
    [['t', '-n', '10001'], /'10001' is invalid.* \+N is all from/],
    [['t', '-n', 'abc'], /'abc' is invalid.* \+N is all from/],
    [['t', '-10001'], /\+N is all from/],
    [['t*'], /'t\*' is no name of a topic; --pattern .* 't\.\*'/],
    [['--pattern', 't', '-p', '0'], /cannot be used with/],
    [['-F', 't', '-p', '0'], /--partition goes with -f/],
    [['-F', 't', '--until', 'latest'], /cannot be used with/],
    [['t', '--since', 'committed'], /consume t --group NAME --offset committed/],
    [['t', '--since', '1h', '-n', '3'], /cannot be used with/],
    [['t', '-f', '--until', 'latest'], /cannot be used with/],
    [['t', '-q', '-v'], /cannot be used with/],
    [['t', '--grep', '(a'], /--grep '\(a' is no regular expression: /],
    [['t', '--since', 'yesterday'], /'yesterday'/],
    [['t', '--since', '3'], /partition/],
    [['t', '--filter', 'value >'], /filter/],
  ] as const) {
    const { code, stdout, stderr } = await runCli(['tail', ...args], { url })
    assert.deepEqual({ args, code, stdout }, { args, code: 2, stdout: '' }, stderr)
    assert.match(stderr, says)
  }
})

test('an end that cannot be reached is none: what can be read is printed, and what cannot is told', async (t) => {
  const server = await startServer(t)
  const { url } = server
  await runCliOk(['topics', 'create', 't', '-p', '2'], { url })
  for (const value of ['one', 'two', 'three']) {
    await server.post('/v1/topics/t/records', { records: [0, 1].map((partition) => ({ value, partition })) })
  }
  const segment = join(server.dataDir, 'topics/t-1/00000000000000000000.log')
  const bytes = readFileSync(segment)
  bytes.write('TWO', bytes.indexOf('two'))
  writeFileSync(segment, bytes)
  const { code, stdout, stderr } = await runCli(['tail', 't', '-n', '+1', '--output', 'value'], { url })
  assert.deepEqual(stdout.trim().split('\n').toSorted(), ['"one"', '"one"', '"three"', '"two"'])
  assert.match(stderr, /^tailrace: partition 1 of topic t .*checksum.*\ntailrace: this is not all: .*\n$/)
  assert.equal(code, 1)
})
