// `tailrace schemas` against a real server.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { describe, it } from 'node:test'
import { unifiedDiff } from '../../src/cli/line-diff.ts'
import { readableSchema } from '../../src/cli/readable-schema.ts'
import { SchemaClient } from '../../src/client/schema-client.ts'
import { startServer } from '../support/http.ts'
import { runCli, runCliOk } from './cli-process.ts'

const ORDER = {
  type: 'record',
  name: 'Order',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'total', type: 'double' },
  ],
}
const WITH_NOTE = {
  ...ORDER,
  fields: [...ORDER.fields, { name: 'note', type: ['null', 'string'], default: null }],
}
const WITH_WEIGHT = { ...ORDER, fields: [...ORDER.fields, { name: 'weight', type: 'int' }] }

async function start(t: TestContext) {
  const { url } = await startServer(t)
  const cwd = mkdtempSync(join(tmpdir(), 'tailrace-schemas-'))
  t.after(() => rmSync(cwd, { recursive: true, force: true }))
  const write = (name: string, content: object | string) =>
    writeFileSync(join(cwd, name), typeof content === 'string' ? content : JSON.stringify(content))
  return { url, cwd, write }
}

describe('tailrace schemas', () => {
  it('registers schemas from files and stdin, lists them and shows them', async (t) => {
    const { write, ...server } = await start(t)
    write('order.avsc', ORDER)
    write('order.json', { type: 'object', properties: { id: { type: 'integer' } } })
    write('item.proto', 'syntax = "proto3";\nmessage Item { string sku = 1; }\n')
    write('basket.proto', 'syntax = "proto3";\nimport "item.proto";\nmessage Basket { repeated Item items = 1; }\n')
    const [first] = (await runCliOk(['schemas', 'register', 'orders-value', 'order.avsc'], server)).lines
    assert.deepEqual([first.subject, first.version, first.id, first.schemaType], ['orders-value', 1, 1, 'AVRO'])
    await runCliOk(['schemas', 'register', 'orders-value', '-'], { ...server, input: JSON.stringify(WITH_NOTE) })
    await runCliOk(['schemas', 'register', 'orders-key', 'order.json', '--normalize'], server)
    await runCliOk(['schemas', 'register', 'item', 'item.proto'], server)
    const basket = ['schemas', 'register', 'basket', 'basket.proto']
    assert.equal((await runCli(basket, server)).code, 1)
    await runCliOk([...basket, '--reference', 'item.proto=item'], server)
    const table = await runCliOk(['schemas', 'list', '--output', 'table'], server)
    assert.equal(
      table.stdout,
      [
        'SUBJECT       VERSION  ID  TYPE      NOTE',
        'basket        1        5   PROTOBUF',
        'item          1        4   PROTOBUF',
        'orders-key    1        3   JSON',
        'orders-value  2        2   AVRO',
        '',
      ].join('\n'),
    )
    const all = await runCliOk(['schemas', 'list', 'orders-v', '--all'], server)
    assert.deepEqual(
      all.lines.map(({ version }) => version),
      [1, 2],
    )
    const shown = await runCliOk(['schemas', 'show', 'orders-value', '--output', 'table'], server)
    assert.equal(
      shown.stdout,
      `orders-value version 2, id 2 (AVRO)

{
  "type": "record",
  "name": "Order",
  "fields": [
    {"name": "id", "type": "long"},
    {"name": "total", "type": "double"},
    {"name": "note", "type": ["null", "string"], "default": null}
  ]
}
`,
    )
    const raw = await runCliOk(['schemas', 'show', '--id', '1', '--raw'], server)
    assert.deepEqual(JSON.parse(raw.stdout), ORDER)
    const referring = await runCliOk(['schemas', 'show', 'basket', '--output', 'table'], server)
    assert.match(
      referring.stdout,
      /^basket version 1, id 5 \(PROTOBUF\)\n\nREFERENCE +SUBJECT +VERSION\nitem\.proto +item +1\n/,
    )
    assert.equal((await runCliOk(['schemas', 'show', 'orders-value', '1'], server)).lines[0].id, 1)
  })

  it('checks, and tells why a schema would be refused', async (t) => {
    const { write, ...server } = await start(t)
    write('order.avsc', ORDER)
    write('note.avsc', WITH_NOTE)
    write('weight.avsc', WITH_WEIGHT)
    await runCliOk(['schemas', 'register', 'orders-value', 'order.avsc'], server)
    const good = await runCliOk(['schemas', 'check', 'orders-value', 'note.avsc'], server)
    assert.deepEqual(good.lines, [{ subject: 'orders-value', is_compatible: true, messages: [] }])
    const bad = await runCli(
      ['schemas', 'check', 'orders-value', 'weight.avsc', '--against', '1', '--output', 'table'],
      server,
    )
    assert.equal(bad.code, 1)
    assert.equal(
      bad.stdout,
      `READER_FIELD_MISSING_DEFAULT_VALUE: The field 'weight' at path '/fields/2' in the new schema has no default value and is missing in the old schema
compared with version 1, as BACKWARD asks
`,
    )
    assert.equal(bad.stderr, 'tailrace: weight.avsc is not compatible with orders-value\n')
    const refused = await runCli(['schemas', 'register', 'orders-value', 'weight.avsc'], server)
    assert.deepEqual([refused.code, refused.stdout], [1, ''])
    assert.match(refused.stderr, /^tailrace: Schema being registered is incompatible with an earlier schema/)
  })

  it('checks, and tells what is no schema and what has no versions', async (t) => {
    const { write, ...server } = await start(t)
    write('order.avsc', ORDER)
    write('broken.avsc', '{"type":"foo"}')
    const check = async (...args: string[]) => await runCli(['schemas', 'check', ...args, '--output', 'table'], server)
    const first = await check('orders-value', 'order.avsc')
    assert.deepEqual(
      [first.code, first.stdout, first.stderr],
      [0, '', 'orders-value has no versions yet: order.avsc can be the first\n'],
    )
    assert.match(
      (await check('orders-value', 'order.avsc', '--against', '1')).stderr,
      /Subject 'orders-value' not found/,
    )
    const broken = await check('orders-value', 'broken.avsc')
    assert.deepEqual([broken.code, broken.stdout], [1, ''])
    assert.match(
      broken.stderr,
      /^tailrace: broken\.avsc is no valid schema of type AVRO: .*foo.*; orders-value has no versions yet\n$/,
    )
    write('empty.avsc', '')
    assert.match((await check('orders-value', 'empty.avsc')).stderr, /no valid schema of type AVRO: Empty schema;/)
    for (const [kind, old, changed] of [
      ['proto', 'message M { int32 a = 1; }', 'message M { string a = 1; }'],
      ['json', '{"type":"string"}', '{"type":"integer"}'],
    ] as const) {
      write(`old.${kind}`, kind === 'proto' ? `syntax = "proto3";\n${old}` : old)
      write(`new.${kind}`, kind === 'proto' ? `syntax = "proto3";\n${changed}` : changed)
      await runCliOk(['schemas', 'register', kind, `old.${kind}`], server)
      const { code, stdout, stderr } = await check(kind, `new.${kind}`)
      assert.equal(code, 1)
      assert.match(
        stdout,
        /^[A-Z_]+: (?!.*(?:errorType|oldSchema)).* '.*'.*\ncompared with version 1, as BACKWARD asks\n$/,
      )
      assert.equal(stderr, `tailrace: new.${kind} is not compatible with ${kind}\n`)
    }
    const wrongType = await check('proto', 'order.avsc')
    assert.match(wrongType.stdout, /^Incompatible because of different schema type\n/)
  })

  it('tells what a file was taken as where that may be wrong, and what is the body of a request', async (t) => {
    const { write, ...server } = await start(t)
    write('order.json', ORDER)
    write('body.json', { schemaType: 'AVRO', schema: JSON.stringify(ORDER) })
    for (const command of ['register', 'check']) {
      const avro = await runCli(['schemas', command, 'o', 'order.json'], server)
      assert.equal(avro.code, 1)
      assert.match(avro.stderr, /#\/type: .*; order\.json was taken as JSON because of how its name ends: --type names/)
      await runCliOk(['schemas', command, 'o', 'order.json', '--type', 'avro'], server)
      const body = await runCli(['schemas', command, 'o', 'body.json'], server)
      assert.equal(body.code, 1)
      assert.match(body.stderr, /body\.json is the body of a request, not a schema: .*member schema.*AVRO/)
    }
  })

  it('shows what a version changed', async (t) => {
    const { write, ...server } = await start(t)
    write('order.avsc', ORDER)
    write('note.avsc', WITH_NOTE)
    for (const file of ['order.avsc', 'note.avsc']) {
      await runCliOk(['schemas', 'register', 'orders-value', file], server)
      if (file === 'order.avsc') assert.equal((await runCli(['schemas', 'diff', 'orders-value'], server)).code, 3)
    }
    const { stdout } = await runCliOk(['schemas', 'diff', 'orders-value'], server)
    assert.equal(
      stdout,
      `--- orders-value version 1 (AVRO)
+++ orders-value version 2 (AVRO)
@@ -3,6 +3,7 @@
   "name": "Order",
   "fields": [
     {"name": "id", "type": "long"},
-    {"name": "total", "type": "double"}
+    {"name": "total", "type": "double"},
+    {"name": "note", "type": ["null", "string"], "default": null}
   ]
 }
`,
    )
    assert.equal((await runCliOk(['schemas', 'diff', 'orders-value', '2', '2'], server)).stdout, '')
  })

  it('sets what may follow what, for a subject or for all', async (t) => {
    const { write, ...server } = await start(t)
    const config = async (...args: string[]) => {
      const [line] = (await runCliOk(['schemas', 'config', ...args], server)).lines
      return [line.subject, line.compatibilityLevel, line.mode]
    }
    assert.deepEqual(await config(), [null, 'BACKWARD', 'READWRITE'])
    assert.deepEqual(await config('--level', 'full-transitive'), [null, 'FULL_TRANSITIVE', 'READWRITE'])
    assert.deepEqual(await config('orders-value'), ['orders-value', 'FULL_TRANSITIVE', 'READWRITE'])
    assert.deepEqual(await config('orders-value', '--level', 'NONE', '--mode', 'READONLY'), [
      'orders-value',
      'NONE',
      'READONLY',
    ])
    write('order.avsc', ORDER)
    assert.match((await runCli(['schemas', 'register', 'orders-value', 'order.avsc'], server)).stderr, /read-only/)
    assert.deepEqual(await config('orders-value', '--unset'), ['orders-value', 'FULL_TRANSITIVE', 'READWRITE'])
    assert.deepEqual(await config('orders-value', '--unset'), ['orders-value', 'FULL_TRANSITIVE', 'READWRITE'])
  })

  it('tells whose setting it is that holds', async (t) => {
    const { write: _, ...server } = await start(t)
    const origins = async (...args: string[]) => {
      const [line] = (await runCliOk(['schemas', 'config', ...args], server)).lines
      return [line.compatibilityLevelFrom, line.modeFrom]
    }
    assert.deepEqual(await origins(), ['all', 'all'])
    assert.deepEqual(await origins('s'), ['all', 'all'])
    assert.deepEqual(await origins('s', '--level', 'NONE'), ['subject', 'all'])
    assert.deepEqual(await origins('s', '--mode', 'READONLY'), ['subject', 'subject'])
    assert.deepEqual(await origins(':.two:', '--level', 'FULL'), ['context', 'all'])
    assert.deepEqual(await origins(':.two:s'), ['context', 'all'])
    const { stdout } = await runCliOk(['schemas', 'config', ':.two:s', '--output', 'table'], server)
    assert.equal(stdout, 'SUBJECT  LEVEL  FROM         MODE       FROM\n:.two:s  FULL   its context  READWRITE  all\n')
  })

  it('deletes versions and subjects, for good when told so', async (t) => {
    const { write, ...server } = await start(t)
    write('order.avsc', ORDER)
    write('note.avsc', WITH_NOTE)
    for (const file of ['order.avsc', 'note.avsc']) await runCliOk(['schemas', 'register', 'o', file], server)
    const remove = async (...args: string[]) => (await runCliOk(['schemas', 'delete', 'o', ...args], server)).lines
    assert.deepEqual(await remove('1'), [{ subject: 'o', version: 1 }])
    assert.match(
      (await runCli(['schemas', 'delete', 'o', '1'], server)).stderr,
      /^tailrace: o version 1 was deleted before; --permanent deletes it for good\n$/,
    )
    const listed = await runCliOk(['schemas', 'list', '--all', '--deleted'], server)
    assert.deepEqual(
      listed.lines.map(({ version, deleted }) => [version, deleted]),
      [
        [1, true],
        [2, undefined],
      ],
    )
    assert.deepEqual(await remove('latest', '--permanent'), [{ subject: 'o', version: 2 }])
    assert.deepEqual(await remove('1', '--permanent'), [{ subject: 'o', version: 1 }])
    assert.equal((await runCli(['schemas', 'delete', 'o'], server)).code, 3)
    await runCliOk(['schemas', 'register', 'o', 'order.avsc'], server)
    assert.deepEqual(await remove('--permanent'), [{ subject: 'o', version: 1 }])
    assert.deepEqual((await runCliOk(['schemas', 'list', '--deleted'], server)).lines, [])
  })

  it('ends with 2 where it is used wrongly, and with 3 where there is nothing', async (t) => {
    const { write, ...server } = await start(t)
    write('order.avsc', ORDER)
    for (const [args, code, says] of [
      [['show'], 2, /one of them/],
      [['show', 'a', '--id', '1'], 2, /one of them/],
      [['show', 'a', 'first'], 2, /whole number from 1 to 2147483647, or latest,/],
      [['config', '--level', 'sideways'], 2, /Allowed choices are NONE, BACKWARD/],
      [['register', 'a', 'order.avsc', '--type', 'XML'], 2, /Allowed choices are AVRO, JSON, PROTOBUF/],
      [['register', 'a', 'order.avsc', '--reference', 'x'], 2, /name=subject:version/],
      [['register', 'a', 'order.avsc', '--reference', 'x=nope'], 3, /'nope' not found/],
      [['register', '..', 'order.avsc'], 1, /no subject can be called/],
      [['register', 'a', 'nope.avsc'], 3, /nope\.avsc/],
      [['show', 'a'], 3, /Subject 'a' not found/],
      [['show', '--id', '7'], 3, /Schema 7 not found/],
      [['diff', 'a'], 3, /Subject 'a' not found/],
      [['delete', 'a'], 3, /Subject 'a' not found/],
    ] as const) {
      const result = await runCli(['schemas', ...args], server)
      assert.deepEqual({ args, code: result.code, stdout: result.stdout }, { args, code, stdout: '' }, result.stderr)
      assert.match(result.stderr, says)
    }
  })
})

describe('a diff of lines', () => {
  const side = (text: string) => ({ name: 'x', lines: text.split('') })

  it('keeps what both have, in order, and shows three lines around', () => {
    assert.equal(unifiedDiff(side('abc'), side('abc')), '')
    assert.equal(
      unifiedDiff(side('abcdefghij'), side('abXdefghij')).split('\n').slice(2).join('\n'),
      '@@ -1,6 +1,6 @@\n a\n b\n-c\n+X\n d\n e\n f\n',
    )
    assert.equal(unifiedDiff(side('a'), side('ab')).split('\n').slice(2).join('\n'), '@@ -1,1 +1,2 @@\n a\n+b\n')
    assert.equal(unifiedDiff({ name: 'x', lines: [] }, side('a')).split('\n')[2], '@@ -0,0 +1,1 @@')
  })

  it('makes two hunks of changes that are far apart, and one of near ones', () => {
    const hunks = (from: string, to: string) => unifiedDiff(side(from), side(to)).match(/^@@/gm)?.length
    assert.equal(hunks('aBcdefghijKl', 'abcdefghijkl'), 2)
    assert.equal(hunks('aBcdefgHijkl', 'abcdefghijkl'), 1)
  })

  it('makes the one text of the other, whatever they are', () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const text = (salt: number) =>
        Array.from({ length: (seed * salt) % 9 }, (_, at) => 'abc'[(seed * salt * (at + 7) + at * at) % 3] as string)
      const [from, to] = [text(7), text(11)]
      const hunks = unifiedDiff({ name: 'x', lines: from }, { name: 'y', lines: to })
        .split(/^@@ -(\d+).*\n/m)
        .slice(1)
      const made = [...from]
      // from the last to the first, so that the numbers of lines stay true
      for (let at = hunks.length - 2; at >= 0; at -= 2) {
        const lines = (hunks[at + 1] as string).split('\n').slice(0, -1)
        const side = (sign: string) => lines.filter((line) => !line.startsWith(sign)).map((line) => line.slice(1))
        const start = Math.max(0, Number(hunks[at]) - 1)
        assert.deepEqual(made.splice(start, side('+').length, ...side('-')), side('+'), `${seed}`)
      }
      assert.deepEqual(made, to, `${seed}`)
    }
  })
})

it('a schema is shown with its numbers and the order of its members as they are', () => {
  const schema = '{"b":1.0,"a":[12345678901234567890,{"x":{}}]}'
  assert.equal(
    readableSchema({ schema, schemaType: 'JSON' }),
    '{\n  "b": 1.0,\n  "a": [\n    12345678901234567890,\n    {\n      "x": {}\n    }\n  ]\n}',
  )
  assert.equal(readableSchema({ schema: 'no JSON' }), 'no JSON')
})

it('a listing of several pages is gathered', async () => {
  const asked: string[] = []
  const page = (count: number) => Array.from({ length: count }, (_, id) => ({ id }))
  const pages = [page(1_000), page(3), page(0)]
  const client = new SchemaClient({
    url: 'http://server',
    fetch: async (url) => {
      asked.push(String(url))
      return Response.json(pages.shift())
    },
  })
  assert.equal((await client.listSchemas({ subjectPrefix: 'a' })).length, 1_003)
  assert.deepEqual(asked, [
    'http://server/schemas?subjectPrefix=a&latestOnly=true&offset=0&limit=1000',
    'http://server/schemas?subjectPrefix=a&latestOnly=true&offset=1000&limit=1000',
    'http://server/schemas?subjectPrefix=a&latestOnly=true&offset=1003&limit=1000',
  ])
})
