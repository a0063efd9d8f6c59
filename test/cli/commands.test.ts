// The commands against a real server: what they print, where, and how they end.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'
import { CliProcess, runCli, runCliOk } from './cli-process.ts'

test('every command tells what it does with --help, and ends with 0', async () => {
  const commands = [
    [],
    ...['serve', 'topics', 'produce', 'consume', 'tail', 'export', 'import', 'bench', 'dump-log'].map((name) => [name]),
    ...['list', 'describe', 'create', 'alter', 'delete'].map((name) => ['topics', name]),
    ...['list', 'show', 'register', 'check', 'diff', 'delete', 'config'].map((name) => ['schemas', name]),
    ...['kafka-topics', 'kafka-console-producer', 'kafka-console-consumer'].map((name) => [name]),
    ['bench', 'produce'],
    ['bench', 'consume'],
  ]
  for (const command of commands) {
    const { code, stdout, stderr } = await runCli([...command, '--help'])
    assert.deepEqual({ command, code, stderr }, { command, code: 0, stderr: '' })
    assert.match(stdout, /^Usage: tailrace .*\n\n[A-Z]/)
  }
})

const words = (line: string) => line.split(' ')

test('wrong usage ends with 2 and says what was wrong', async () => {
  for (const [args, says] of [
    [[], /Usage:/],
    [['frobnicate'], /unknown command 'frobnicate'/],
    [
      ['kafka-avro-console-producer', '--topic', 'orders', '--property', 'value.schema={"type":"string"}'],
      /no kafka-avro-console-producer here; this does the same: tailrace produce orders --value-encoding avro \(after: tailrace schemas register orders-value FILE\)\n/,
    ],
    [
      words(
        '/opt/bin/kafka-json-schema-console-producer.sh --topic=o --property parse.key=true --property key.separator=| --property value.schema.id=7',
      ),
      /: tailrace produce o --value-encoding jsonschema --schema-id 7 --key-encoding jsonschema --key-separator '\|'\n/,
    ],
    [
      words('kafka-protobuf-console-consumer --bootstrap-server h:9092 --from-beginning --topic o --max-messages 3'),
      /: tailrace consume o --from-beginning --max-messages 3 --output value\n/,
    ],
    [['topics'], /Usage:/],
    [['topics', 'create'], /missing required argument 'topic'/],
    [['topics', 'create', 't', '-p', '0'], /'0' is invalid.*from 1 on/],
    [['topics', 'create', 't', '-c', 'retention.ms'], /name=value/],
    [['topics', 'list', '--url', 'ftp://host'], /'ftp:\/\/host' is no address/],
    [['topics', 'list', '--output', 'xml'], /Allowed choices are table, json, ndjson/],
    [['produce', 't', '-k', 'a', '-K', ':'], /one of them/],
    [['produce', 't', '--value-encoding', 'yaml'], /Allowed choices/],
    [['produce', 't', '--value-encoding', 'json', '--schema-id', '1'], /avro, jsonschema and protobuf/],
    [['produce', 't', '--key-encoding', 'string', '--key-subject', 's'], /--key-encoding string does not go with/],
    [['produce', 't', '--schema-version', '4294967296'], /from 1 to 2147483647/],
    [['produce', 't', '--input', 'ndjson', '--subject', 's'], /each line names its own schema/],
    [['consume', 't', '--group', 'g', '--partition', '0'], /do not go with --group/],
    [['consume', 't', '--from-beginning', '-o', '5'], /one of them/],
    [['import', 't', '--key', 'id'], /--format value/],
    [['tail', 't', '-n', 'x'], /'x' is invalid/],
  ] as const) {
    const { code, stdout, stderr } = await runCli(args)
    assert.deepEqual({ args, code, stdout }, { args, code: 2, stdout: '' }, stderr)
    assert.match(stderr, says)
  }
})

test('what the server does not take of options is wrong usage too, and is told by their names', async (t) => {
  const { url, request } = await startServer(t)
  await runCliOk(['topics', 'create', 't', '-p', '2'], { url })
  await runCliOk(['produce', 't', '-p', '0'], { url, input: '0\n' })
  await request('DELETE', '/v1/topics/t/partitions/0/records?before=1')
  for (const [args, code, says] of [
    [['topics', 'create', 'a b'], 2, /holds the character " "/],
    [['topics', 'create', 'u', '-p', '1000000'], 2, /1000000 partitions are more than/],
    [['topics', 'create', 'u', '--replication-factor', '3'], 2, /larger than available/],
    [['topics', 'create', 'u', '-c', 'foo=1'], 2, /no topic config 'foo'/],
    [['topics', 'alter', 't', '-c', 'retention.ms=soon'], 2, /retention\.ms cannot be 'soon'/],
    [['topics', 'alter', 't', '-p', '1'], 2, /would not be an increase/],
    [['tail', 't', '--since', 'cursor:zzz'], 2, /not a cursor/],
    [['tail', '--pattern', '['], 2, /--pattern '\[' is no regular expression/],
    [['consume', 't', '-g', '', '-e'], 2, /no group can be called ''/],
    [['groups', 'reset', 'g', '--to', 'cursor:z'], 2, /; --shift-by moves them by a number of records\n/],
    [
      ['tail', 't', '-p', '0', '--since', '0'],
      1,
      /; --since earliest begins at the first, and a read with tailrace consume --on-gap earliest passes/,
    ],
    [['kafka-topics', '--create', '--topic', 'a b'], 1, /holds the character/],
  ] as const) {
    const result = await runCli(args, { url })
    assert.deepEqual({ args, code: result.code, stdout: result.stdout }, { args, code, stdout: '' }, result.stderr)
    assert.match(result.stderr, says)
  }
})

test('what is not there ends with 3, a server that is not there with 1', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['topics', 'create', 'there'], { url })
  for (const args of [
    ['topics', 'describe', 'nope'],
    ['topics', 'delete', 'nope'],
    ['topics', 'alter', 'nope', '-p', '2'],
    ['consume', 'nope', '-e'],
    ['tail', 'nope'],
    ['export', 'nope'],
    ['dump-log', '/nope/nope.log'],
    ['produce', 'there', '/nope/nope.txt'],
    ['import', 'there', '/nope/nope.ndjson'],
    ['export', 'there', '/nope/nope.ndjson'],
  ]) {
    const { code, stdout, stderr } = await runCli(args, { url })
    assert.deepEqual({ args, code, stdout }, { args, code: 3, stdout: '' }, stderr)
    assert.match(stderr, /^tailrace: .*nope.*\n$/)
  }
  const folder = await runCli(['export', 'there', '/nope/a/out.ndjson'], { url })
  assert.equal(folder.stderr, 'tailrace: there is no folder /nope/a\n')
  const { code, stderr } = await runCli(['topics', 'list', '--url', 'http://127.0.0.1:2'])
  assert.equal(code, 1)
  assert.match(
    stderr,
    /^tailrace: no answer from http:\/\/127\.0\.0\.1:2 \(.*ECONNREFUSED.*\); 'tailrace serve' starts .* --url .*\n$/,
  )
})

test('topics are created, listed, described, altered and deleted', async (t) => {
  const { url } = await startServer(t)
  const created = await runCliOk(['topics', 'create', 'orders', '-p', '3', '-c', 'retention.ms=3600000'], { url })
  assert.equal(created.lines[0].name, 'orders')
  assert.equal(created.lines[0].partitions.length, 3)

  const again = await runCli(['topics', 'create', 'orders'], { url })
  assert.deepEqual([again.code, again.stdout], [1, ''])
  await runCliOk(['topics', 'create', 'orders', '--if-not-exists'], { url })

  const listed = await runCliOk(['topics', 'list'], { url })
  assert.deepEqual(
    listed.lines.map(({ name, partition_count }) => ({ name, partition_count })),
    [{ name: 'orders', partition_count: 3 }],
  )
  const table = await runCliOk(['topics', 'list', '--output', 'table'], { url })
  assert.match(table.stdout, /^TOPIC +PARTITIONS +ID\norders +3 +[0-9a-f-]{36}\n$/)
  const json = await runCliOk(['topics', 'list', '--output', 'json'], { url })
  assert.equal(JSON.parse(json.stdout).length, 1)

  await runCliOk(['topics', 'alter', 'orders', '-p', '5', '-c', 'segment.ms=60000', '--unset', 'retention.ms'], { url })
  const described = await runCliOk(['topics', 'describe', 'orders', '--output', 'table'], { url })
  assert.match(described.stdout, /^Topic orders \(id .*\)\n\nPARTITION +START +END/)
  assert.match(described.stdout, /\n4 +0 +0 +0 +1 +1 +1 +online\n/)
  assert.match(described.stdout, /\nsegment\.ms +60000 +topic +604800000\n$/)
  const all = await runCliOk(['topics', 'describe', 'orders', '--all', '--output', 'table'], { url })
  assert.match(all.stdout, /\nretention\.ms +604800000 +default +604800000\n/)

  await runCliOk(['topics', 'delete', 'orders'], { url })
  await runCliOk(['topics', 'delete', 'orders', '--if-exists'], { url })
  assert.equal((await runCliOk(['topics', 'list'], { url })).stdout, '')
})

test('records that retention will take soon are told of on stderr, by import and by describe', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['topics', 'create', 'old', '--partitions', '2'], { url })
  const input = '{"key":"k","value":1,"timestamp":"2001-01-01T00:00:00Z"}\n'
  const imported = await runCliOk(['import', 'old'], { url, input })
  assert.match(
    imported.stderr,
    /1 records are older than the topic's retention\.ms, 604800000: .*\(1 in partition \d\)\n$/,
  )
  for (const output of ['table', 'ndjson']) {
    const { stderr } = await runCliOk(['topics', 'describe', 'old', '--output', output], { url })
    assert.match(stderr, /^topic old: (\d+) of \1 bytes, in partition \d, are older than retention\.ms: .*\n$/)
  }
  await runCliOk(['topics', 'alter', 'old', '--config', 'retention.ms=-1'], { url })
  assert.equal((await runCliOk(['topics', 'describe', 'old'], { url })).stderr, '')
})

test('lines go in as they are and come out as they are', async (t) => {
  const { url } = await startServer(t)
  const lines = [
    '{"value":12345678901234567890}',
    '1.0',
    '{"b":1,"a":2,"b":3}',
    '"\\ud800"',
    ' { "spaced" : [ 1 , 2 ] } ',
    'plain text, "quoted" \\ and back',
    '',
    'ünïcödé 🎏',
    'x'.repeat(200_000),
  ]
  await runCliOk(['produce', 'raw'], { url, input: `${lines.join('\n')}\n` })
  const console = await runCliOk(
    ['kafka-console-consumer', '--topic', 'raw', '--partition', '0', '--offset', '0', '--max-messages', '9'],
    { url },
  )
  assert.equal(console.stdout, `${lines.join('\n')}\n`)

  const { stdout } = await runCliOk(['consume', 'raw', '--from-beginning', '-e'], { url })
  const values = stdout
    .split('\n')
    .slice(0, 4)
    .map((line) => /"value":(.*),"value_encoding"/.exec(line)?.[1])
  assert.deepEqual(values, lines.slice(0, 4))
})

test('bytes that are no UTF-8 are stored as they are', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['produce', 'bytes', '-K', '='], { url, input: Buffer.from([0xff, 0x3d, 0x00, 0xfe, 0x0d, 0x0a]) })
  const { lines } = await runCliOk(['tail', 'bytes'], { url })
  const [{ key, key_encoding, value, value_encoding }] = lines
  assert.deepEqual({ key_encoding, value_encoding }, { key_encoding: 'base64', value_encoding: 'base64' })
  assert.deepEqual(
    [Buffer.from(key, 'base64'), Buffer.from(value, 'base64')],
    [Buffer.from([0xff]), Buffer.from([0, 0xfe])],
  )
})

test('keys, headers, partition, tombstones and encodings are as asked', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['topics', 'create', 't', '-p', '3'], { url })
  const echoed = await runCliOk(['produce', 't', '-k', 'k', '-H', 'a=1', '-H', 'a=2', '-p', '2', '-Z', '--echo'], {
    url,
    input: 'v\n\n',
  })
  assert.deepEqual(
    echoed.lines.map(({ partition, offset }) => [partition, offset]),
    [
      [2, 0],
      [2, 1],
    ],
  )
  await runCliOk(['produce', 't', '-p', '0', '--value-encoding', 'int64'], { url, input: '9223372036854775807\n' })
  const { lines } = await runCliOk(['consume', 't', '--from-beginning', '-e', '-p', '2'], { url })
  assert.deepEqual(
    lines.map(({ key, value, headers }) => ({ key, value, headers })),
    ['v', null].map((value) => ({ key: 'k', value, headers: ['1', '2'].map((value) => ({ name: 'a', value })) })),
  )
  const int64 = await runCliOk(['tail', 't', '-p', '0', '--value-format', 'int64'], { url })
  assert.match(int64.stdout, /"value":"?9223372036854775807"?,/)
  const filtered = await runCliOk(['consume', 't', '--from-beginning', '-e', '--key', 'none'], { url })
  assert.equal(filtered.stdout, '')
  const judged = await runCliOk(
    ['consume', 't', '--from-beginning', '-e', '--filter', 'value == "v" && headers.a == "2"'],
    { url },
  )
  assert.equal(judged.lines.length, 1)
  const refused = await runCli(['consume', 't', '-e', '--filter', 'total > 1'], { url })
  assert.match(refused.stderr, /'total' is not known/)
})

test('typed values are printed and filtered as pages show them, unions as asked, in a group too', async (t) => {
  const server = await startServer(t)
  const { url } = server
  const schema = { type: 'record', name: 'R', fields: [{ name: 'note', type: ['null', 'string'] }] }
  await server.post('/subjects/t-value/versions', { schema: JSON.stringify(schema) })
  await runCliOk(['produce', 't', '--value-encoding', 'avro'], { url, input: '{"note":"x"}\n{"note":null}\n' })
  const all = ['t', '--from-beginning', '-e']
  const printed = async (...args: readonly string[]) => (await runCliOk(args, { url })).stdout
  const plain = ['--output', 'value', '--unions', 'plain']
  assert.equal(await printed('consume', ...all, '--output', 'value'), '{"note":{"string":"x"}}\n{"note":null}\n')
  assert.equal(await printed('consume', ...all, ...plain), '{"note":"x"}\n{"note":null}\n')
  assert.equal(await printed('consume', 't', '-o', '0', '-p', '0', '-e', ...plain), '{"note":"x"}\n{"note":null}\n')
  assert.equal(await printed('consume', ...all, '--group', 'g', ...plain), '{"note":"x"}\n{"note":null}\n')
  assert.equal(await printed('consume', ...all, ...plain, '--filter', 'value.note == "x"'), '{"note":"x"}\n')
  assert.equal(await printed('tail', 't', ...plain, '--filter', 'value.note == null'), '{"note":null}\n')
})

test('what has the id of no schema is printed as base64, with the reason, and its bytes where they are asked for', async (t) => {
  const { url } = await startServer(t)
  const value = 'AAAAAAUGVWxt'
  await runCliOk(['produce', 't', '--value-encoding', 'base64'], { url, input: `${value}\n${value}\n` })
  const all = ['consume', 't', '--from-beginning', '-e']
  const lines = (await runCliOk(all, { url })).lines
  assert.partialDeepStrictEqual(lines[0], { value, value_encoding: 'base64', value_error: 'no schema has the id 5' })
  const asValues = await runCliOk([...all, '--output', 'value'], { url })
  assert.equal(asValues.stdout, `${value}\n${value}\n`)
  assert.equal(asValues.stderr.match(/no schema has the id 5/g)?.length, 1)
  const raw = await runCliOk([...all, '--output', 'value', '--value-format', 'base64'], { url })
  assert.deepEqual({ out: raw.stdout, err: raw.stderr }, { out: '\0\0\0\0\x05\x06Ulm\n'.repeat(2), err: '' })
  await runCliOk(['produce', 'copy', '--input', 'ndjson'], { url, input: (await runCliOk(all, { url })).stdout })
  const copied = (await runCliOk(['consume', 'copy', '--from-beginning', '-e'], { url })).lines
  assert.deepEqual(
    copied.map((line) => line.value),
    [value, value],
  )
})

test('a command that has no --version does nothing when it is given one', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['topics', 'create', 'kept'], { url })
  const misread = await runCli(['topics', 'delete', 'kept', '--version'], { url })
  assert.equal(misread.code, 2)
  assert.match(misread.stderr, /unknown option '--version'/)
  assert.equal((await runCliOk(['topics', 'list'], { url })).lines.length, 1)
  assert.match((await runCliOk(['--version'], { url })).stdout, /^\d+\.\d+\.\d+\n$/)
})

test('files are read one after the other, and a line that cannot be taken is named', async (t) => {
  const { url } = await startServer(t)
  const dir = mkdtempSync(join(tmpdir(), 'tailrace-cli-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const [one, two] = [join(dir, 'one'), join(dir, 'two')]
  writeFileSync(one, '1\n2\n')
  writeFileSync(two, '3\nnot json\n5\n')
  const bad = await runCli(['produce', 'files', one, two, '--value-encoding', 'json'], { url })
  assert.equal(bad.code, 1)
  assert.match(
    bad.stderr,
    new RegExp(`^tailrace: ${two} line 2: its value is not JSON: not json \\(3 records were produced\\)\n$`),
  )
  const { lines } = await runCliOk(['consume', 'files', '--from-beginning', '-e'], { url })
  assert.deepEqual(
    lines.map(({ value }) => value),
    [1, 2, 3],
  )
  const refused = await runCli(['produce', 'files', '--value-encoding', 'int16'], { url, input: '1\n70000\n' })
  assert.equal(refused.code, 1)
  assert.match(
    refused.stderr,
    /^tailrace: line 2: .*70000.*\(invalid_record; 0 records were produced, none of line 1 to line 2\)/,
  )
})

test('what consume prints, produce takes: keys, headers, times and every digit', async (t) => {
  const server = await startServer(t)
  const { url } = server
  const records = [
    { key: 'a', value: 1, headers: [{ name: 'h', value: null }], timestamp: '2026-01-02T03:04:05.678Z' },
    { key: '', value: null },
    { key: null, value: 'AP8=', value_encoding: 'base64' },
  ]
  assert.equal((await server.post('/v1/topics/from/records', { records })).status, 200)
  await runCliOk(['produce', 'from', '--value-encoding', 'json'], {
    url,
    input: '{"n":1.00, "m":12345678901234567890}',
  })
  const printed = await runCliOk(['consume', 'from', '--from-beginning', '-e'], { url })
  await runCliOk(['produce', 'to', '--input', 'ndjson'], { url, input: `${printed.stdout}\n{"$end":{}}\n` })
  const copied = await runCliOk(['consume', 'to', '--from-beginning', '-e'], { url })
  assert.equal(copied.stdout, printed.stdout.replaceAll('"topic":"from"', '"topic":"to"'))
})

test('consume follows from the end until it is interrupted', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['produce', 'live'], { url, input: 'before\n' })
  const cli = new CliProcess(['consume', 'live', '--output', 'ndjson'], { url })
  t.after(() => cli.signal('SIGKILL'))
  let number = 0
  // Until one of them comes after the reader began.
  while (cli.stdout === '') {
    await runCliOk(['produce', 'live'], { url, input: `after ${number++}\n` })
  }
  await runCliOk(['produce', 'live'], { url, input: 'last\n' })
  await cli.until((stdout) => stdout.includes('"last"'))
  cli.signal('SIGINT')
  const { code, lines, stderr } = await cli.finished()
  assert.deepEqual({ code, stderr }, { code: 130, stderr: '' })
  assert.ok(!lines.some(({ value }) => value === 'before'))
  const offsets = lines.map(({ offset }) => offset)
  assert.deepEqual(
    offsets,
    offsets.map((_, at) => offsets[0] + at),
    'none is missed, none comes twice',
  )
})

test('consume ends at the end, after a count, or after a silence, and begins where it is told', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['produce', 't'], { url, input: '0\n1\n2\n3\n4\n' })
  const values = async (...args: string[]) => {
    const { lines } = await runCliOk(['consume', 't', ...args], { url })
    return lines.map(({ value }) => value)
  }
  assert.deepEqual(await values('--from-beginning', '-e'), [0, 1, 2, 3, 4])
  assert.deepEqual(await values('-o', 'beginning', '-e', '-n', '2'), [0, 1])
  assert.deepEqual(await values('-o', '-2', '-e'), [3, 4])
  assert.deepEqual(await values('-o', '3', '-p', '0', '-e'), [3, 4])
  assert.deepEqual(await values('-o', '1h', '--timeout-ms', '200'), [0, 1, 2, 3, 4])
  assert.deepEqual(await values('-o', '2099-01-01', '-e'), [])
  assert.deepEqual(await values('-e'), [])
  assert.equal((await runCli(['consume', 't', '-o', '99', '-p', '0', '-e'], { url })).code, 1)

  const { stdout } = await runCliOk(['consume', 't', '-o', '-1', '-e', '--output', 'json'], { url })
  assert.equal(JSON.parse(stdout)[0].value, 4)
  const table = await runCliOk(['consume', 't', '-o', '-1', '-e', '--output', 'table'], { url })
  assert.match(table.stdout, /^PART:OFFSET +TIMESTAMP +KEY +VALUE\n0:4 +\S+Z +null +4\n$/)
})

test('a table shows no control characters to the terminal', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['produce', 't', '-k', '\u001b[31mred'], { url, input: 'a\u001b]0;title\u0007\u009bb' })
  const { stdout } = await runCliOk(['tail', 't', '--output', 'table'], { url })
  assert.match(stdout, /\\u001b\[31mred +a\\u001b\]0;title\\u0007\\u009bb\n$/)
})

test('tail shows the last records of all partitions in the order of time', async (t) => {
  const server = await startServer(t)
  await runCliOk(['topics', 'create', 't', '-p', '2'], { url: server.url })
  const at = (minute: number) => `2026-01-01T00:0${minute}:00Z`
  const records = [4, 2, 5, 1, 3].map((minute, index) => ({
    value: minute,
    partition: index % 2,
    timestamp: at(minute),
  }))
  assert.equal((await server.post('/v1/topics/t/records', { records })).status, 200)
  const { lines } = await runCliOk(['tail', 't'], { url: server.url })
  const minutes = lines.map(({ value }) => value)
  assert.deepEqual(minutes.slice().sort(), [1, 2, 3, 4, 5])
  assert.deepEqual(minutes, [2, 1, 4, 5, 3], 'merged by time, each partition in its own order')
  assert.equal((await runCliOk(['tail', 't', '-n', '2'], { url: server.url })).lines.length, 2)
})

test('a reader that goes away ends the command without a word', async (t) => {
  const { url } = await startServer(t)
  const input = `${'some value\n'.repeat(50_000)}`
  await runCliOk(['produce', 'big'], { url, input })
  const cli = new CliProcess(['consume', 'big', '--from-beginning'], { url })
  t.after(() => cli.signal('SIGKILL'))
  await cli.until((stdout) => stdout.length > 0)
  cli.closeStdout()
  const { code, stderr } = await cli.finished()
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
})

test('an idempotent producer stores each line once', async (t) => {
  const { url } = await startServer(t)
  const input = Array.from({ length: 5_000 }, (_, at) => `${at}\n`).join('')
  await runCliOk(['produce', 'once', '--idempotent', '--batch-records', '100'], { url, input })
  const { lines } = await runCliOk(['consume', 'once', '--from-beginning', '-e'], { url })
  assert.deepEqual(
    lines.map(({ value }) => value),
    Array.from({ length: 5_000 }, (_, at) => at),
  )
})

test('bench prints the lines of Kafka’s tools and leaves nothing behind', async (t) => {
  const { url } = await startServer(t)
  const { stdout } = await runCliOk(['bench', '--num-records', '2000', '--batch-records', '100', '--clients', '2'], {
    url,
  })
  const [produced, header, consumed] = stdout.split('\n')
  assert.match(
    produced ?? '',
    /^2000 records sent, \d+\.\d{6} records\/sec \(\d+\.\d\d MB\/sec\), \d+\.\d\d ms avg latency, \d+\.\d\d ms max latency, \d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99\.9th\.$/,
  )
  assert.match(header ?? '', /^start\.time, end\.time, data\.consumed\.in\.MB, MB\.sec, /)
  assert.match(consumed ?? '', /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}, .*, 2000, /)
  assert.equal((await runCliOk(['topics', 'list'], { url })).stdout, '')
})

test('version prints the version of the package', async () => {
  for (const args of [['version'], ['--version']]) assert.match((await runCliOk(args)).stdout, /\b\d+\.\d+\.\d+\n$/)
})

test('a start whose records are gone is refused with what to do, or passed with --on-gap earliest', async (t) => {
  const server = await startServer(t)
  const { url } = server
  await runCliOk(['produce', 't', '-p', '0'], { url, input: '0\n1\n2\n' })
  await server.request('DELETE', '/v1/topics/t/partitions/0/records?before=2')
  const consume = ['consume', 't', '-p', '0', '--offset', '0', '-e']
  const refused = await runCli(consume, { url })
  assert.equal(refused.code, 1)
  assert.match(
    refused.stderr,
    /; --offset earliest begins at the first, and a read with --on-gap earliest passes what is gone\n$/,
  )
  const { lines, stderr } = await runCliOk([...consume, '--on-gap', 'earliest'], { url })
  assert.deepEqual(
    lines.map(({ offset }) => offset),
    [2],
  )
  assert.match(stderr, /offsets 0 to 1 of partition 0 were removed/)
})

test('an alter without a change is a misunderstanding', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['topics', 'create', 't'], { url })
  const { code, stderr } = await runCli(['topics', 'alter', 't'], { url })
  assert.equal(code, 2)
  assert.match(stderr, /nothing to change/)
})

test('a schema that is named says how lines are meant; what could not be read goes on as its bytes', async (t) => {
  const server = await startServer(t)
  const { url } = server
  for (const schema of ['"string"', '["string","int"]']) await server.post('/subjects/s/versions', { schema })
  await server.post('/subjects/typed-key/versions', { schema: '"int"' })
  const input = '5:"a"\n'
  const produce = ['produce', 'typed', '-K', ':']
  await runCliOk([...produce, '--schema-id', '1', '--key-schema-version', '1'], { url, input })
  await runCliOk([...produce, '--subject', 's', '--schema-version', '1', '--key-schema-id', '3'], { url, input })
  await runCliOk([...produce, '--value-encoding', 'avro', '--subject', 's', '--key-encoding', 'avro'], { url, input })
  const { lines } = await runCliOk(['consume', 'typed', '--from-beginning', '-e'], { url })
  assert.deepEqual(
    lines.map((line) => [line['key'], line['key_schema_id'], line['value'], line['schema_id']]),
    [
      [5, 3, 'a', 1],
      [5, 3, 'a', 1],
      [5, 3, { string: 'a' }, 2],
    ],
  )
  const none = await runCli(['produce', 'untyped', '--value-encoding', 'avro'], { url, input: '1\n' })
  assert.equal(none.code, 3)
  assert.match(none.stderr, /Subject 'untyped-value' not found\. Register it first, or name subject or schema_id/)
  const cut = Buffer.from([0, 0, 0, 0, 1, 10, 97]).toString('base64')
  await runCliOk(['produce', 'cut', '--value-encoding', 'base64'], { url, input: `${cut}\n` })
  const printed = await runCliOk(['consume', 'cut', '--from-beginning', '-e'], { url })
  assert.match(printed.stdout, /"schema_id":1.*value_error/)
  await runCliOk(['produce', 'cut-again', '--input', 'ndjson'], { url, input: printed.stdout })
  const [again] = (await runCliOk(['consume', 'cut-again', '--from-beginning', '-e'], { url })).lines
  assert.equal(again?.['value'], cut)
})
