// How lines are gathered into requests, and what is said when one fails.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { ExportEnd } from '../../src/cli/export-end.ts'
import { inputLines } from '../../src/cli/input-lines.ts'
import { RecordSender } from '../../src/cli/record-sender.ts'
import { TailraceClientError } from '../../src/client/client-error.ts'

async function* pieces(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text)
}

async function linesOf(...texts: string[]): Promise<string[][]> {
  const groups: string[][] = []
  for await (const lines of inputLines(pieces(...texts))) groups.push(lines.map(String))
  return groups
}

test('lines end with LF or CR LF, or with the input, wherever the pieces are cut', async () => {
  assert.deepEqual(await linesOf('a\nb\r\nc'), [['a', 'b'], ['c']])
  assert.deepEqual(await linesOf('a', 'b', '\nc\n'), [['ab', 'c']])
  assert.deepEqual(await linesOf('a\r', '\n', '\n'), [['a'], ['']])
  assert.deepEqual(await linesOf(''), [])
  assert.deepEqual(await linesOf('\n'), [['']])
})

/** Requests that wait until they are answered. */
function heldRequests() {
  const bodies: string[][] = []
  const answers: { resolve(): void; reject(error: unknown): void }[] = []
  const send = (body: string) => {
    bodies.push(JSON.parse(body).records)
    const { promise, resolve, reject } = Promise.withResolvers<{ records: [] }>()
    answers.push({ resolve: () => resolve({ records: [] }), reject })
    return promise
  }
  return { bodies, answers, send }
}

test('the first record goes at once, and what comes meanwhile goes together', async () => {
  const { bodies, answers, send } = heldRequests()
  const sender = new RecordSender({ send, recordsMax: 100 })
  void sender.add('1', 'line 1')
  sender.flushSoon()
  assert.deepEqual(bodies, [[1]])
  for (const line of [2, 3, 4]) {
    void sender.add(String(line), `line ${line}`)
    sender.flushSoon()
  }
  assert.equal(bodies.length, 1, 'one request at a time')
  answers[0]?.resolve()
  await turn()
  assert.deepEqual(bodies, [[1], [2, 3, 4]])
  answers[1]?.resolve()
  await sender.finish()
  assert.equal(sender.producedCount, 4)
})

test('a full request is waited for when another is under way', async () => {
  const { bodies, answers, send } = heldRequests()
  const sender = new RecordSender({ send, recordsMax: 2 })
  assert.equal(sender.add('1', 'line 1'), undefined)
  await sender.add('2', 'line 2')
  assert.equal(sender.add('3', 'line 3'), undefined)
  let isFree = false
  const waiting = sender.add('4', 'line 4')?.then(() => {
    isFree = true
  })
  await turn()
  assert.equal(isFree, false)
  answers[0]?.resolve()
  await waiting
  assert.deepEqual(bodies, [
    [1, 2],
    [3, 4],
  ])
  answers[1]?.resolve()
  await sender.finish()
})

test('a failure names the line, and what went in before it; nothing is sent after it', async () => {
  const { bodies, answers, send } = heldRequests()
  const sender = new RecordSender({ send, recordsMax: 2 })
  const failure = {
    status: 422,
    code: 'invalid_record',
    message: 'a value is bad',
    retryable: false,
    details: { index: 1 },
  }
  for (const line of [1, 2]) await sender.add(String(line), `line ${line}`)
  answers[0]?.resolve()
  await turn()
  for (const line of [3, 4]) await sender.add(String(line), `line ${line}`)
  answers[1]?.reject(new TailraceClientError(failure))
  const message = 'line 4: a value is bad (invalid_record; 2 records were produced, none of line 3 to line 4)'
  await assert.rejects(sender.failed, { message, exitCode: 1 })
  void sender.add('5', 'line 5')
  sender.flushSoon()
  await assert.rejects(sender.finish(), { message })
  assert.equal(bodies.length, 2)
})

test('the last line of an export is found, wherever its pieces are cut', () => {
  const text = '{"value":1}\n{"value":2}\n{"$end":{"cursor":"c","records":2}}\n'
  for (let first = 0; first <= text.length; first++) {
    for (let second = first; second <= text.length; second += 7) {
      const end = new ExportEnd()
      for (const piece of [text.slice(0, first), text.slice(first, second), text.slice(second)]) {
        if (piece !== '') end.push(Buffer.from(piece))
      }
      assert.deepEqual(end.summary(), { records: 2, gaps: [] }, `${first} ${second}`)
    }
  }
})

test('an export without its last line is not whole', () => {
  for (const [text, says] of [
    ['', /last line is missing/],
    ['{"value":1}\n', /last line is missing/],
    ['{"$end":{"records":1}}', /last line is missing/],
    ['{"value":1}\n{"$end":{"records":1}}\n{"val', /last line is missing/],
    [
      '{"value":1}\n{"$error":{"code":"kafka_storage_error","message":"bad disk"}}\n',
      /bad disk \(kafka_storage_error\)/,
    ],
  ] as const) {
    const end = new ExportEnd()
    if (text !== '') end.push(Buffer.from(text))
    assert.throws(() => end.summary(), { message: says }, text)
  }
})
