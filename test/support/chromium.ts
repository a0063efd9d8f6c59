// The machine's own Chromium, headless, for tests of pages.

import type { Browser, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { findProgram } from './program.ts'

const PROGRAM = findProgram('chromium') ?? findProgram('chromium-browser') ?? findProgram('google-chrome')

/** Why tests of pages are skipped, if they are. */
export const NO_CHROMIUM = PROGRAM === undefined ? 'there is no chromium' : false

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

let browser: Promise<Browser> | undefined

/** An empty page of its own, closed with the test. What the page itself fails with fails the test. */
export async function openPage(t: { after(cleanUp: () => Promise<void>): void }): Promise<Page> {
  browser ??= chromium.launch({ executablePath: PROGRAM as string, args: ARGUMENTS })
  const context = await (await browser).newContext({ viewport: { width: 1280, height: 800 } })
  const failures: Error[] = []
  context.on('weberror', (failure) => failures.push(failure.error()))
  t.after(async () => {
    await context.close()
    if (failures.length > 0) throw new AggregateError(failures, 'the page failed')
  })
  return await context.newPage()
}

/** The browser that the tests of a file share. */
export async function closeBrowser(): Promise<void> {
  await (await browser)?.close()
}
