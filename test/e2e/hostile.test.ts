// Clients that break off, dawdle, push, or send what no client should, over real sockets to a real process: nothing of a
// broken request is stored, nobody else notices, memory stays bounded, and the server lives.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { temporaryDirectory } from '../support/engine-options.ts'
import { ServerProcess } from '../support/server-process.ts'

const MIB = 1024 * 1024
const BODY = '{"records":[{"key":"k","value":1}]}'

async function start(t: TestContext, set: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.start({ dataDir: temporaryDirectory(t), set })
  t.after(() => server.kill())
  return server
}

async function connected(server: ServerProcess): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** All that comes until the server closes. */
async function readAll(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (bytes) => {
    text += bytes
  })
  socket.on('error', () => {
    // A reset after the answer: what was read before it counts.
  })
  await once(socket, 'close')
  return text
}

/** A request's head; what follows is its body. */
function head(request: string, ...headers: string[]): string {
  return `${[`${request} HTTP/1.1`, 'host: localhost', ...headers].join('\r\n')}\r\n\r\n`
}

const RECORDS = '/v1/topics/t/records'
const POST_RECORDS = `POST ${RECORDS}`
const JSON_TYPE = 'content-type: application/json'

async function endOf(server: ServerProcess, topic = 't'): Promise<number | undefined> {
  const reply = await server.request('GET', `/v1/topics/${topic}`)
  if (reply.status === 404) return undefined
  return reply.json().partitions[0].end_offset
}

test('a client that hangs up half way through its body leaves nothing', async (t) => {
  const server = await start(t)
  for (const cut of [0, 1, 17, BODY.length - 1]) {
    const socket = await connected(server)
    socket.end(head(POST_RECORDS, JSON_TYPE, `content-length: ${BODY.length}`) + BODY.slice(0, cut))
    await readAll(socket)
  }
  const chunked = await connected(server)
  chunked.write(head(POST_RECORDS, JSON_TYPE, 'transfer-encoding: chunked'))
  chunked.write(`${BODY.length.toString(16)}\r\n${BODY}\r\n`)
  chunked.destroy()
  assert.equal(await endOf(server), undefined, 'no topic was made')
  assert.equal((await server.request('POST', RECORDS, { body: BODY })).status, 200)
  assert.equal(await endOf(server), 1)
})

test('an import that is cut stores whole lines from its beginning, in order', async (t) => {
  const server = await start(t)
  const socket = await connected(server)
  socket.write(
    head('POST /v1/topics/t/import?format=value', 'content-type: application/x-ndjson', 'content-length: 99999999'),
  )
  const lines = Array.from({ length: 12_000 }, (_, at) => `{"n":${at}}\n`).join('')
  socket.write(`${lines}{"n":`)
  // Once something of it is stored, the rest is on its way as well.
  let end = 0
  while (end < 10_000) end = (await endOf(server)) ?? 0
  socket.destroy()
  const page = (await server.request('GET', `${RECORDS}?limit=10000&from=0&partition=0`)).json()
  assert.ok(page.records.length > 0)
  for (const [at, { value }] of page.records.entries()) assert.deepEqual(value, { n: at })
})

test('a body that comes too slowly is answered with 408 while others are served', async (t) => {
  const server = await start(t, { 'http.request.timeout.ms': '1500' })
  const socket = await connected(server)
  socket.write(head(POST_RECORDS, JSON_TYPE, `content-length: ${BODY.length}`))
  const drip = setInterval(() => socket.writable && socket.write(' '), 100)
  t.after(() => clearInterval(drip))
  const answered = readAll(socket)
  assert.equal((await server.request('POST', '/v1/topics/other/records', { body: BODY })).status, 200)
  const text = await Promise.race([answered, once(socket, 'data').then(([bytes]) => String(bytes))])
  assert.match(text, /^HTTP\/1\.1 408 /)
  assert.match(text, /"code":"request_timed_out"/)
  socket.destroy()
  assert.equal(await endOf(server), undefined)
})

test('a reader that takes an export slowly holds no memory', { timeout: 60_000 }, async (t) => {
  const server = await start(t)
  const record = `{"value":"${'x'.repeat(64 * 1024)}"}`
  const body = `{"records":[${Array.from({ length: 16 }, () => record).join(',')}]}`
  for (let left = 160; left > 0; left--) assert.equal((await server.request('POST', RECORDS, { body })).status, 200)
  const before = server.residentBytes()
  const readers = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const socket = await connected(server)
      socket.pause()
      socket.write(head('GET /v1/topics/t/export'))
      return socket
    }),
  )
  t.after(() => {
    for (const socket of readers) socket.destroy()
  })
  // Each of them would be sent 160 MiB; what the system's socket buffers do not take must wait on the disk.
  let most = 0
  for (let left = 30; left > 0; left--) {
    assert.equal((await server.request('GET', '/readyz')).status, 200)
    most = Math.max(most, server.residentBytes())
    await delay(50)
  }
  const grown = (most - before) / MIB
  t.diagnostic(`${grown.toFixed(1)} MiB more with 8 readers of 160 MiB each that do not read`)
  assert.ok(grown < 96, `${grown} MiB more`)
  const [patient, ...others] = readers as [Socket, ...Socket[]]
  for (const socket of others) socket.destroy()
  let read = 0
  let last = Buffer.alloc(0)
  patient.on('data', (bytes: Buffer) => {
    read += bytes.length
    last = Buffer.concat([last, bytes]).subarray(-200)
    if (last.includes('{"$end":')) patient.destroy()
  })
  patient.resume()
  await once(patient, 'close')
  assert.ok(read > 160 * MIB && last.includes('"records":2560'), `${read} bytes, ending ${last}`)
})

test('pages that nobody takes are bounded together, and small ones pass', { timeout: 60_000 }, async (t) => {
  const server = await start(t)
  const record = { records: [{ value: 'x'.repeat(14 * MIB) }] }
  for (let left = 3; left > 0; left--) {
    assert.equal((await server.request('POST', '/v1/topics/large/records', { body: record })).status, 200)
  }
  assert.equal((await server.request('POST', RECORDS, { body: BODY })).status, 200)
  const before = server.residentBytes()
  const largePage = '/v1/topics/large/records?max_bytes=67108864'
  const readers: Socket[] = []
  t.after(() => {
    for (const socket of readers) socket.destroy()
  })
  let start503 = ''
  while (start503 === '') {
    assert.ok(readers.length < 20, 'never refused')
    const socket = await connected(server)
    readers.push(socket)
    socket.write(head(`GET ${largePage}`))
    await once(socket, 'readable')
    const first = String(socket.read(500))
    if (first.startsWith('HTTP/1.1 503 ')) start503 = first
    assert.equal((await server.request('GET', RECORDS)).status, 200, 'a small page')
  }
  assert.match(start503, /retry-after: 1\b.*"code":"overloaded"/s)
  const grown = (server.residentBytes() - before) / MIB
  t.diagnostic(`${grown.toFixed(1)} MiB more, ${readers.length} readers`)
  assert.ok(grown < 600, `${grown} MiB more`)
  for (const socket of readers) socket.destroy()
  let status = 503
  while (status === 503) status = (await server.request('GET', largePage)).status
  assert.equal(status, 200, 'room again when they are gone')
})

test('pipelined requests are answered in their order', async (t) => {
  const server = await start(t)
  const count = 200
  const socket = await connected(server)
  const one = (at: number) => {
    const body = `{"records":[{"value":${at}}]}`
    return `${head(`${POST_RECORDS}?acks=${at % 2 === 0 ? 'all' : '1'}`, JSON_TYPE, `x-request-id: r${at}`, `content-length: ${body.length}`)}${body}`
  }
  const answered = readAll(socket)
  socket.write(Array.from({ length: count }, (_, at) => one(at)).join(''))
  socket.write(head('GET /livez', 'x-request-id: last', 'connection: close'))
  const text = await answered
  const ids = Array.from(text.matchAll(/x-request-id: (\w+)/gi), ([, id]) => id)
  assert.deepEqual(ids, [...Array.from({ length: count }, (_, at) => `r${at}`), 'last'])
  assert.equal([...text.matchAll(/HTTP\/1\.1 200/g)].length, count + 1)
  assert.equal(await endOf(server), count)
})

test('a thousand long polls wait side by side, and one record wakes them all', { timeout: 60_000 }, async (t) => {
  const server = await start(t)
  await server.request('POST', RECORDS, { body: BODY })
  let waiting = 0
  const polls = Array.from(
    { length: 1_000 },
    () =>
      new Promise<string>((resolve, reject) => {
        const path = `${RECORDS}?from=latest&wait_ms=50000`
        const poll = get({ host: '127.0.0.1', port: server.port, path, agent: false }, (reply) => {
          let text = ''
          reply.setEncoding('utf8').on('data', (part) => {
            text += part
          })
          reply.on('end', () => resolve(text))
        })
        poll.on('error', reject)
      }),
  )
  while (waiting < polls.length) {
    const metrics = (await server.request('GET', '/metrics')).text()
    waiting = Number(/^tailrace\w*waiting\w* (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN)
    assert.ok(!Number.isNaN(waiting), 'a metric tells how many wait')
  }
  const woken = performance.now()
  assert.equal((await server.request('POST', RECORDS, { body: '{"records":[{"value":"wake"}]}' })).status, 200)
  const texts = await Promise.all(polls)
  t.diagnostic(`all awake after ${Math.round(performance.now() - woken)} ms`)
  for (const text of texts) {
    const { records } = JSON.parse(text)
    assert.deepEqual([records.length, records[0].value, records[0].offset], [1, 'wake', 1])
  }
})

test('heads that are too large, and what is no HTTP, are refused and the server goes on', async (t) => {
  const server = await start(t)
  const cases: [name: string, bytes: string, status: RegExp][] = [
    ['a long header', head('GET /livez', `x-long: ${'x'.repeat(20_000)}`), /^HTTP\/1\.1 431 /],
    ['many headers', head('GET /livez', ...Array.from({ length: 3_000 }, (_, at) => `x-${at}: 1`)), /^HTTP\/1\.1 431 /],
    ['a long URL', head(`GET /v1/topics/${'x'.repeat(20_000)}`), /^HTTP\/1\.1 (414|431) /],
    ['a long topic name', head(`GET /v1/topics/${'x'.repeat(8_000)}`, 'connection: close'), /^HTTP\/1\.1 400 /],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['TLS', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['two lengths', head(POST_RECORDS, JSON_TYPE, 'content-length: 3', 'content-length: 4'), /^HTTP\/1\.1 400 /],
    [
      'length and chunks',
      head(POST_RECORDS, JSON_TYPE, 'content-length: 3', 'transfer-encoding: chunked'),
      /^HTTP\/1\.1 400 /,
    ],
    ['a bad chunk', `${head(POST_RECORDS, JSON_TYPE, 'transfer-encoding: chunked')}zz\r\n`, /^HTTP\/1\.1 400 /],
    ['a negative length', head(POST_RECORDS, JSON_TYPE, 'content-length: -1'), /^HTTP\/1\.1 400 /],
  ]
  for (const [name, bytes, status] of cases) {
    const socket = await connected(server)
    const answered = readAll(socket)
    socket.write(bytes)
    assert.match(await answered, status, name)
    assert.equal((await server.request('GET', '/livez')).status, 200, `alive after ${name}`)
  }
  assert.equal(await endOf(server), undefined)
})

test('a few bytes that inflate to very many are refused without being held', async (t) => {
  const server = await start(t, { 'socket.request.max.bytes': String(4 * MIB) })
  const bomb = gzipSync(Buffer.alloc(512 * MIB, 0x20))
  const before = server.residentBytes()
  const inflated = await server.request('POST', RECORDS, { headers: { 'content-encoding': 'gzip' }, body: bomb })
  assert.deepEqual([inflated.status, inflated.json().code], [413, 'request_too_large'])
  const headers = { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' }
  const imported = await server.request('POST', '/v1/topics/t/import?format=value', { headers, body: bomb })
  assert.equal(imported.status, 200, imported.text())
  assert.deepEqual([imported.json().imported, imported.json().rejected], [0, 1])
  const grown = (server.residentBytes() - before) / MIB
  t.diagnostic(`${grown.toFixed(1)} MiB more after two bombs of 512 MiB`)
  assert.ok(grown < 200, `${grown} MiB more`)
  assert.equal(await endOf(server), undefined)
})

test('a body over the limit is answered before it is all there', async (t) => {
  const server = await start(t, { 'socket.request.max.bytes': String(MIB) })
  const outgoing = httpRequest({
    host: '127.0.0.1',
    port: server.port,
    method: 'POST',
    path: RECORDS,
    agent: false,
    headers: { 'content-type': 'application/json', 'content-length': String(100 * MIB) },
  })
  outgoing.on('error', () => {
    // The server may close on us once it has answered.
  })
  outgoing.flushHeaders()
  const [reply] = await once(outgoing, 'response')
  assert.equal(reply.statusCode, 413)
  outgoing.destroy()
})

test('bodies that are held together are bounded, and small requests pass meanwhile', { timeout: 60_000 }, async (t) => {
  const server = await start(t)
  const before = server.residentBytes()
  const piece = Buffer.alloc(MIB, 0x20)
  const refused: string[] = []
  const senders: Socket[] = []
  t.after(() => {
    for (const socket of senders) socket.destroy()
  })
  while (refused.length === 0) {
    assert.ok(senders.length < 40, 'never refused')
    const socket = await connected(server)
    senders.push(socket)
    socket.on('error', () => {})
    socket.once('data', (bytes) => refused.push(String(bytes)))
    socket.write(head(POST_RECORDS, JSON_TYPE, `content-length: ${100 * MIB}`))
    for (let left = 20; left > 0; left--) socket.write(piece)
    await Promise.race([once(socket, 'drain'), once(socket, 'data')])
    assert.equal((await server.request('POST', '/v1/topics/small/records', { body: BODY })).status, 200)
  }
  assert.match(refused[0] ?? '', /^HTTP\/1\.1 503 .*retry-after: 1\b.*"code":"overloaded"/s)
  const grown = (server.residentBytes() - before) / MIB
  t.diagnostic(`${grown.toFixed(1)} MiB more`)
  assert.ok(grown < 400, `${grown} MiB more`)
  for (const socket of senders) socket.destroy()
  const large = { records: [{ value: 'x'.repeat(8 * MIB) }] }
  let status = 503
  while (status === 503) status = (await server.request('POST', RECORDS, { body: large })).status
  assert.equal(status, 200, 'what was held is given back')
})

test('HTTP/1.0 is served, and its connection closed', async (t) => {
  const server = await start(t)
  await server.request('POST', RECORDS, { body: BODY })
  for (const path of ['/livez', RECORDS, '/v1/topics/t/export']) {
    const socket = await connected(server)
    const answered = readAll(socket)
    socket.write(`GET ${path} HTTP/1.0\r\n\r\n`)
    const text = await answered
    assert.match(text, /^HTTP\/1\.1 200 /, path)
    assert.ok(!/transfer-encoding/i.test(text), 'nothing that HTTP/1.0 does not know')
  }
  const socket = await connected(server)
  const answered = readAll(socket)
  socket.write(
    `POST ${RECORDS} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
  )
  assert.match(await answered, /"offset":1/)
})
