// A browser as people have it: native EventSource and WebSocket, and the client of src/client, on a server that is killed and
// comes again; and the page in examples/.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { stripTypeScriptTypes } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { after, suite, test } from 'node:test'
import type { Page } from 'playwright-core'
import { closeBrowser, NO_CHROMIUM, openPage } from '../support/chromium.ts'
import { freePort } from '../support/free-port.ts'
import { ServerProcess } from '../support/server-process.ts'

const OPTIONS = { skip: NO_CHROMIUM, timeout: 60_000 }
const nameOf = (name: string) => (NO_CHROMIUM ? `${name} (skipped: ${NO_CHROMIUM})` : name)

const EXAMPLE = new URL('../../examples/tail.html', import.meta.url)

after(closeBrowser)

/** A server that comes again at the same address. */
class Revenant {
  readonly url: string
  readonly #options
  #server: ServerProcess | undefined

  constructor(dataDir: string, port: number, origin: string) {
    this.url = `http://127.0.0.1:${port}`
    this.#options = { dataDir, set: { port: String(port), 'access.control.allow.origin': origin } }
  }

  async start(): Promise<void> {
    this.#server = await ServerProcess.start(this.#options)
  }

  async kill(): Promise<void> {
    await this.#server?.kill()
  }

  async produce(...values: unknown[]): Promise<void> {
    const records = values.map((value) => ({ value }))
    const reply = await this.#server!.request('POST', '/v1/topics/orders/records', { body: { records } })
    assert.equal(reply.status, 200, reply.text())
  }
}

async function startRevenant(t: TestContext, origin: string): Promise<Revenant> {
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-browser-'))
  const server = new Revenant(dataDir, await freePort(), origin)
  t.after(async () => {
    await server.kill()
    rmSync(dataDir, { recursive: true, force: true })
  })
  await server.start()
  return server
}

/** A page of another origin than the server's; the sources are there too, without their types. */
async function openForeignPage(t: TestContext): Promise<{ page: Page; origin: string }> {
  const site = createServer(({ url = '' }, response) => {
    const isSource = /^\/src\/(client|kernel)\/[a-z-]+\.ts$/.test(url)
    response.setHeader('content-type', isSource ? 'text/javascript' : 'text/html')
    const source = () => stripTypeScriptTypes(readFileSync(new URL(`../..${url}`, import.meta.url), 'utf8'))
    response.end(isSource ? source() : '<!doctype html><title>foreign</title>')
  }).listen(0, '127.0.0.1')
  await once(site, 'listening')
  const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
  const page = await openPage(t)
  t.after(() => {
    site.closeAllConnections()
    site.close()
  })
  await page.goto(origin)
  return { page, origin }
}

// most of their time is waiting: for an EventSource to come again
suite('a browser', { concurrency: true }, () => {
  test(nameOf('a native EventSource goes on where it was when the server was killed'), OPTIONS, async (t) => {
    const { page, origin } = await openForeignPage(t)
    const server = await startRevenant(t, origin)
    await server.produce(0)
    await page.evaluate((url) => {
      const seen: unknown[] = []
      const events = new EventSource(`${url}/v1/topics/orders/events?from=earliest`)
      events.onmessage = ({ data }) => seen.push(JSON.parse(data).value)
      Object.assign(globalThis, { seen, events })
    }, server.url)
    const seen = (count: number) =>
      page
        .waitForFunction((wanted) => {
          const { seen } = globalThis as unknown as { seen: unknown[] }
          return seen.length >= wanted && seen
        }, count)
        .then((handle) => handle.jsonValue())
    await server.produce(1, 2)
    assert.deepEqual(await seen(3), [0, 1, 2])
    await server.kill()
    await server.start()
    await server.produce(3, 4)
    await seen(5)
    await server.produce(5)
    assert.deepEqual(await seen(6), [0, 1, 2, 3, 4, 5])
    const state = await page.evaluate(() => (globalThis as unknown as { events: EventSource }).events.readyState)
    assert.equal(state, 1, 'the same EventSource, open')
  })

  test(
    nameOf('the client tails in a page, and goes on where it was when the server was killed'),
    OPTIONS,
    async (t) => {
      const { page, origin } = await openForeignPage(t)
      const server = await startRevenant(t, origin)
      await server.produce(0, 1)
      const reading = page.evaluate(
        async ({ url, client }) => {
          const { TailraceClient } = await import(client)
          const tailrace = new TailraceClient({ url })
          const seen: string[] = []
          Object.assign(globalThis, { seen })
          for await (const { records } of tailrace.tail('orders', { from: 'earliest', until: { count: 6 } })) {
            seen.push(...records.map((record: { member(name: string): string }) => record.member('value')))
          }
          const page = await tailrace.read('orders', { from: '-1' })
          return [...seen, page.records[0].parse().value]
        },
        { url: server.url, client: '/src/client/client.ts' },
      )
      await page.waitForFunction(() => (globalThis as { seen?: unknown[] }).seen?.length === 2)
      await server.kill()
      await server.start()
      await server.produce(2, 3)
      await server.kill()
      await server.start()
      await server.produce(4, 5)
      assert.deepEqual(await reading, ['0', '1', '2', '3', '4', '5', 5])
    },
  )

  test(nameOf('a native EventSource that is told there is nothing more stays away'), OPTIONS, async (t) => {
    const { page, origin } = await openForeignPage(t)
    const server = await startRevenant(t, origin)
    await server.produce(0, 1)
    const told = await page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const told: unknown[] = []
          const events = new EventSource(`${url}/v1/topics/orders/events?from=earliest&until=latest`)
          events.onmessage = ({ data }) => told.push(JSON.parse(data).value)
          events.addEventListener('end', (event) => told.push(JSON.parse((event as MessageEvent).data).reason))
          events.onerror = () => {
            if (events.readyState === EventSource.CLOSED) resolve(told)
          }
        }),
      server.url,
    )
    assert.deepEqual(told, [0, 1, 'until'])
  })

  test(nameOf('a native WebSocket tails'), OPTIONS, async (t) => {
    const { page, origin } = await openForeignPage(t)
    const server = await startRevenant(t, origin)
    await server.produce(0)
    await page.evaluate((url) => {
      const seen: unknown[] = []
      const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, 'events.v1.json')
      socket.onopen = () => {
        socket.send(JSON.stringify({ type: 'subscribe', id: 1, sub: 'a', topics: ['orders'], from: 'earliest' }))
      }
      socket.onmessage = ({ data }) => {
        const frame = JSON.parse(data)
        if (frame.type === 'records') seen.push(...frame.records.map(({ value }: { value: unknown }) => value))
      }
      Object.assign(globalThis, { seen })
    }, server.url)
    await server.produce(1, 2)
    const handle = await page.waitForFunction(() => {
      const { seen } = globalThis as unknown as { seen: unknown[] }
      return seen.length >= 3 && seen
    })
    assert.deepEqual(await handle.jsonValue(), [0, 1, 2])
  })

  test(
    nameOf('the example page, opened from its file, shows every record once in both of its halves'),
    OPTIONS,
    async (t) => {
      const server = await startRevenant(t, 'null')
      await server.produce({ total: 1 })
      const page = await openPage(t)
      const chosen = new URLSearchParams({ server: server.url, topic: 'orders', from: 'earliest' })
      await page.goto(`${EXAMPLE}#${chosen}`)
      const shows = async (half: string, count: number) => {
        const rows = page.locator(`#${half} li[data-offset]`)
        await rows.nth(count - 1).waitFor()
        const offsets = await rows.evaluateAll((found) => found.map((row) => row.getAttribute('data-offset')))
        const expected = Array.from({ length: count }, (_, at) => `0:${at}`).reverse()
        assert.deepEqual(offsets, expected, half)
      }
      const bothShow = async (count: number) => {
        for (const half of ['sse', 'ws']) await shows(half, count)
      }
      await bothShow(1)
      await page.fill('#key', 'c-17')
      await page.fill('#value', '{"total": 2}')
      await page.click('#send button')
      await bothShow(2)
      assert.match((await page.locator('#ws li[data-offset]').first().textContent()) ?? '', /c-17.*"total":2/s)
      const typed = '{"total": 12345678901234567890, "rate": 1.0}'
      await page.fill('#value', typed)
      await page.click('#send button')
      await bothShow(3)
      for (const half of ['sse', 'ws']) {
        const shown = await page.locator(`#${half} li[data-offset] .value`).first().textContent()
        assert.equal(shown, typed.replaceAll(' ', ''), half)
      }
      const stored = await fetch(`${server.url}/v1/topics/orders/records?from=-1`)
      assert.ok((await stored.text()).includes(`"value":${typed}`), 'as it was typed')
      await server.kill()
      await page.locator('#sse[data-state=waiting]').waitFor()
      await page.locator('#ws[data-state=waiting]').waitFor()
      await server.start()
      await server.produce({ total: 3 }, { total: 4 })
      await bothShow(5)
      assert.equal(await page.locator('#said').isVisible(), false)
      await page.fill('#topic', 'none')
      await page.click('#choose button')
      for (const half of ['sse', 'ws']) await page.locator(`#${half}[data-state=over]`).waitFor()
      assert.equal(await page.locator('#sse .state').textContent(), 'there is no such topic')
      await page.fill('#server', 'http://127.0.0.1:2')
      await page.locator('#server').blur()
      await page.locator('#said').waitFor()
      assert.match((await page.locator('#said').textContent()) ?? '', /--set access\.control\.allow\.origin=null\?$/)
    },
  )
})
