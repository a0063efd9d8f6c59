// The bench is tried at tiny sizes, so that it works on the day it is needed; nothing here looks at how fast anything is.

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { describe, it } from 'node:test'
import type { BenchOptions } from '../bench/bench-options.ts'
import { parseBenchOptions } from '../bench/bench-options.ts'
import type { LoadJob } from '../bench/generate-load.ts'
import { generateLoad } from '../bench/generate-load.ts'
import { LatencyHistogram } from '../bench/latency-histogram.ts'
import { summariseProfile } from '../bench/profile.ts'
import { getRequest, jsonValues, VALUE_BYTES } from '../bench/records.ts'
import { runBench } from '../bench/run.ts'
import { renderTable, writeIntoReadme } from '../bench/table.ts'
import { FrameWalker, maskedFrame } from '../bench/web-socket-frames.ts'

const TINY: BenchOptions = {
  ...parseBenchOptions(['--quick', '--no-pin', '--rounds', '1', '--seconds', '0.1']),
  warmUpMs: 50,
  startUpRecords: 2_000,
  readRecords: 2_000,
  singleReadRecords: 1_000,
  settleMs: 50,
}
const PLAIN = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello'
const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n'

describe('the load generator', () => {
  it('counts every reply and the bytes of its body, by length and by chunks', async (t) => {
    for (const reply of [PLAIN, CHUNKED]) {
      const result = await generateLoad(await job(t, (socket) => socket.write(reply)))
      assert.equal(result.replyCount, 20)
      assert.equal(result.acceptedCount, 20)
      assert.equal(result.bodyBytes, 100)
    }
  })

  it('understands replies that arrive byte by byte', async (t) => {
    for (const reply of [PLAIN, CHUNKED]) {
      const result = await generateLoad({
        ...(await job(t, (socket) => writeByteByByte(socket, reply))),
        requestCountMax: 3,
      })
      assert.equal(result.bodyBytes, 15)
    }
  })

  it('sends every request once when told so, each connection its own', async (t) => {
    const seen: string[] = []
    const answer = (socket: Socket, request: string) => {
      seen.push(request.slice('GET /'.length, request.indexOf(' HTTP')))
      socket.write(PLAIN)
    }
    const requests = ['a', 'b', 'c', 'd', 'e'].map((path) => getRequest(`/${path}`))
    const result = await generateLoad({ ...(await job(t, answer)), connections: 2, requests, once: true })
    assert.equal(result.acceptedCount, 5)
    assert.deepEqual(seen.sort(), ['a', 'b', 'c', 'd', 'e'])
  })

  it('takes a reply without a body', async (t) => {
    const reply = 'HTTP/1.1 204 No Content\r\nStream-Next-Offset: 1\r\n\r\n'
    const result = await generateLoad({
      ...(await job(t, (socket) => socket.write(reply))),
      status: 204,
      bodyBytes: [0],
    })
    assert.equal(result.replyCount, 20)
  })

  it('fails at a status that was not expected', async (t) => {
    const refuse = 'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n'
    await assert.rejects(generateLoad(await job(t, (socket) => socket.write(refuse))), /status 503 in place of 200/)
  })

  it('fails at a body of another length than expected', async (t) => {
    const load = { ...(await job(t, (socket) => socket.write(PLAIN))), bodyBytes: [6] }
    await assert.rejects(generateLoad(load), /5 body bytes in place of 6/)
  })

  it('fails when the server closes a connection, unless it may die', async (t) => {
    const load = await job(t, (socket) => socket.destroy())
    await assert.rejects(generateLoad(load), /closed a connection|ECONNRESET/)
    const result = await generateLoad({ ...load, serverMayDie: true })
    assert.equal(result.acceptedCount, 0)
  })
})

describe('the reader of WebSocket messages', () => {
  it('gives each message whole, wherever reads have cut its frames, and its fragments as one', () => {
    const payloads = [0, 1, 125, 126, 127, 3_000, 65_535, 65_536, 200_000, 5].map((length) =>
      Buffer.alloc(length, 'abc'),
    )
    const fragments = [
      serverFrame(Buffer.from('one, '), 0x01),
      serverFrame(Buffer.alloc(0), 0x89),
      serverFrame(Buffer.from('two'), 0x80),
    ]
    const bytes = Buffer.concat([...fragments, ...payloads.map((payload) => serverFrame(payload))])
    for (const step of [1, 2, 7, 1_000, 65_537, bytes.length]) {
      const seen: Buffer[] = []
      const walker = new FrameWalker((opcode, from, start, end) => {
        if (opcode === 1) seen.push(Buffer.from(from.subarray(start, end)))
        else assert.equal(opcode, 9)
      })
      for (let at = 0; at < bytes.length; at += step) walker.read(bytes, at, Math.min(bytes.length, at + step))
      assert.deepEqual(seen, [Buffer.from('one, two'), ...payloads], `in steps of ${step}`)
    }
  })

  it('refuses the rest of a message that has not begun, reserved bits and masks', () => {
    for (const [first, second] of [
      [0x80, 0],
      [0xc1, 0],
      [0x81, 0x80],
    ] as const) {
      const walker = new FrameWalker(() => {})
      assert.throws(() => walker.read(Buffer.from([first, second]), 0, 2))
    }
  })

  it('writes frames of a client whose payload stands as it is', () => {
    assert.deepEqual(maskedFrame(1, Buffer.from('hi')), Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]))
    assert.equal(maskedFrame(1, Buffer.alloc(300)).readUInt16BE(2), 300)
  })
})

describe('the histogram', () => {
  it('gives percentiles within 4 % of the truth, from microseconds to minutes', () => {
    for (const scale of [0.05, 1, 30, 60_000]) {
      const histogram = new LatencyHistogram()
      for (let value = 1; value <= 1_000; value += 1) histogram.record((value * scale) / 1_000)
      for (const share of [0.5, 0.99, 1]) {
        const given = histogram.percentileMs(share)
        assert.ok(
          Math.abs(given - share * scale) <= share * scale * 0.04 + 0.001,
          `${share} of ${scale} ms gave ${given}`,
        )
      }
    }
  })
})

describe('the bench', () => {
  it('runs its cases against the server and leaves no process and no file behind', async (t) => {
    const resultsDir = tempDir(t)
    const only = ['produce-1-p1', 'read-100-p8', 'start-up-p8']
    const report = await runBench({ ...TINY, resultsDir, only }, () => {})
    assert.deepEqual(report.failures, [])
    assert.match(report.rows[0]!.bareRatio!, /^\d+(\.\d+)? x$/)
    assert.ok(report.rows.every(({ tailrace }) => tailrace !== '' && !tailrace.includes('NaN')))
    assert.deepEqual(readdirSync(resultsDir), [])
  })

  it('sees a topic that keeps little stay small under load, and its readers told what is gone', async (t) => {
    const report = await runBench({ ...TINY, resultsDir: tempDir(t), only: ['retention'] }, () => {})
    assert.deepEqual(report.failures, [])
  })

  it('sees every record come to every tail, by WebSocket and as events, to a late one too', async (t) => {
    const only = ['tail-events', 'tail-late']
    const report = await runBench({ ...TINY, resultsDir: tempDir(t), only }, () => {})
    assert.deepEqual(report.failures, [])
    assert.ok(report.rows.every(({ tailrace }) => tailrace !== '' && !tailrace.includes('NaN')))
  })

  it('makes values of 100 bytes of JSON, each different', () => {
    const values = jsonValues(2_000)
    assert.ok(
      values.every((value) => Buffer.byteLength(value) === VALUE_BYTES && typeof JSON.parse(value) === 'object'),
    )
    assert.equal(new Set(values).size, values.length)
  })

  it('writes its table into the README between the markers, and nowhere else', (t) => {
    const file = join(tempDir(t), 'README.md')
    writeFileSync(file, 'before\n<!-- bench: begin (npm run bench -- --readme) -->\nold\n<!-- bench: end -->\nafter\n')
    writeIntoReadme(file, renderTable([{ work: 'produce', tailrace: '1', goal: '> 0', goalMet: true, measured: 1 }]))
    const text = readFileSync(file, 'utf8')
    assert.match(
      text,
      /^before\n<!-- bench: begin [^\n]*-->\n\n\| work +\|[\s\S]*\| produce +\|[\s\S]*\n\n<!-- bench: end -->\nafter\n$/,
    )
    assert.doesNotMatch(text, /old/)
  })

  it('sums a CPU profile by function, leaving out idle time and counting recursion once', () => {
    const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 9 })
    const summary = summariseProfile({
      nodes: [
        { id: 1, callFrame: frame('(root)'), children: [2, 3] },
        { id: 2, callFrame: frame('(idle)') },
        { id: 3, callFrame: frame('read', 'file:///x/src/log/read.ts'), children: [4] },
        { id: 4, callFrame: frame('read', 'file:///x/src/log/read.ts'), children: [5] },
        { id: 5, callFrame: frame('parse', 'file:///x/node_modules/fastify/lib/a.js') },
      ],
      samples: [2, 3, 4, 5],
      timeDeltas: [5_000, 1_000, 2_000, 4_000],
    })
    assert.equal(summary.busyMs, 7)
    assert.deepEqual(summary.selfByFunction, [
      { what: 'parse fastify/lib/a.js:10', ms: 4 },
      { what: 'read src/log/read.ts:10', ms: 3 },
    ])
    assert.deepEqual(summary.selfByModule[0], { what: 'fastify', ms: 4 })
    assert.deepEqual(summary.totalByFunction, [{ what: 'read src/log/read.ts:10', ms: 7 }])
  })

  it('says which option is wrong', () => {
    assert.throws(() => parseBenchOptions(['--rounds', '0']), /--rounds takes a number above 0/)
    assert.throws(() => parseBenchOptions(['--fast']), /fast/)
  })
})

/** Twenty requests over two connections to a server that answers each as told. */
async function job(t: TestContext, answer: (socket: Socket, request: string) => void): Promise<LoadJob> {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('data', (bytes) => answer(socket, bytes.toString()))
    socket.on('error', () => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    port: (server.address() as AddressInfo).port,
    connections: 2,
    requests: [getRequest('/')],
    status: 200,
    warmUpMs: 0,
    durationMs: 5_000,
    requestCountMax: 20,
    serverPid: process.pid,
  }
}

function serverFrame(payload: Buffer, first = 0x81): Buffer {
  const { length } = payload
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  header[0] = first
  header[1] = length < 126 ? length : length < 65_536 ? 126 : 127
  if (header.length === 4) header.writeUInt16BE(length, 2)
  if (header.length === 10) header.writeUInt32BE(length, 6)
  return Buffer.concat([header, payload])
}

function writeByteByByte(socket: Socket, reply: string): void {
  let position = 0
  const next = () => {
    if (position >= reply.length || socket.destroyed) return
    socket.write(reply[position]!, () => setImmediate(next))
    position += 1
  }
  next()
}

function tempDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'tailrace-bench-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
