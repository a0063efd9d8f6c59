import assert from 'node:assert/strict'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { answersAsTailrace } from '../../src/cli/kafka-connect.ts'
import { startServer } from '../support/http.ts'

const interrupt = new AbortController().signal

async function urlOf(t: { after(cleanUp: () => void): void }, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('a Tailrace server is known by its answer', async (t) => {
  const { url } = await startServer(t)
  assert.equal(await answersAsTailrace(url, { interrupt }), true)
})

test('no server, a broker of Kafka and another web server are none', async (t) => {
  const asKafka = createServer((socket) => socket.once('data', () => socket.destroy()))
  const elsewhere = createHttpServer((_, response) => response.writeHead(404).end('no such page'))
  const gone = createServer()
  const goneUrl = await urlOf(t, gone)
  await new Promise((resolve) => gone.close(resolve))
  for (const url of [goneUrl, await urlOf(t, asKafka), await urlOf(t, elsewhere)]) {
    assert.equal(await answersAsTailrace(url, { interrupt }), false)
  }
})

test('a server that is silent is no reason to go to another', async (t) => {
  const silent = createServer((socket) => t.after(() => socket.destroy()))
  const url = await urlOf(t, silent)
  await assert.rejects(answersAsTailrace(url, { interrupt, waitMs: 50 }), {
    name: 'CommandFailure',
    message: /^no answer/,
  })
})
